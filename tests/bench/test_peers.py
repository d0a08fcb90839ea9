"""A bench goes on without its peers and says why they are absent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bench.workload import peers
from bench.workload.seeded import bars, prints, save
from tests.replay.oracle_w1 import crossing
from tests.replay.oracle_w2 import Print, Rules, quoting

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No index to install from, and a folder of environments of its own."""
    monkeypatch.setenv("GNOMON_BENCH_PEERS", str(tmp_path / "peers"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(peers, "NEWER_PYTHONS", ())
    monkeypatch.setattr(peers, "_FAILED", {})


@pytest.fixture
def with_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a peer that needs no package: its environment is ours, its script the given text."""

    def made(text: str) -> peers.Peer:
        monkeypatch.setenv("GNOMON_BENCH_PEERS", str(tmp_path / "peers"))
        monkeypatch.setattr(peers, "SCRIPTS", tmp_path)
        (tmp_path / "run_it.py").write_text(text, encoding="utf-8")
        peer = peers.Peer("it", "it==1", "run_it.py")
        (peer.home / "bin").mkdir(parents=True)
        (peer.home / "bin" / "python").symlink_to(sys.executable)
        (peer.home / "ready").touch()
        return peer

    return made


@pytest.mark.slow
@pytest.mark.usefixtures("no_network")
def test_a_peer_that_cannot_be_installed_is_absent(tmp_path: Path) -> None:
    said = peers.ask(peers.HFTBACKTEST, save(prints(10), tmp_path / "prints"), "compiled")
    assert (said["peer"], said["work"]) == ("hftbacktest", "compiled")
    assert "hftbacktest" in said["absent"]
    assert not peers.HFTBACKTEST.home.exists()
    assert peers.ask(peers.HFTBACKTEST, tmp_path, "python")["absent"] == said["absent"]  # not tried twice


def test_a_peer_says_what_it_did_on_the_last_line(tmp_path: Path, with_script: Any) -> None:
    peer = with_script('import sys; print(\'loading\'); print(\'{"cpu_s": 2, "given": "%s"}\' % sys.argv[2:])')
    said = peers.ask(peer, tmp_path, "quotes", "--every", 100)
    assert said == {"peer": "it", "work": "quotes", "cpu_s": 2, "given": "['quotes', '--every', '100']"}


def test_a_peer_that_fails_is_absent_with_its_last_words(tmp_path: Path, with_script: Any) -> None:
    said = peers.ask(with_script("raise ValueError('no such column')"), tmp_path, "quotes")
    assert said["absent"] == "ValueError: no such column"


def test_a_peer_that_says_nothing_is_absent(tmp_path: Path, with_script: Any) -> None:
    assert "without an answer" in peers.ask(with_script("pass"), tmp_path, "quotes")["absent"]


def test_speed_is_the_yardsticks_time_over_ones_own() -> None:
    rows = [{"peer": "a", "ns": 50.0}, {"peer": "b", "ns": 200.0}, {"peer": "c", "absent": "no wheel"}]
    peers.beside(rows, lambda row: row["peer"] == "a", "ns")
    assert [row.get("speed") for row in rows] == [1.0, 0.25, None]


def test_without_the_yardstick_no_speed_is_claimed() -> None:
    rows = [{"peer": "a", "absent": "no network"}, {"peer": "b", "ns": 200.0}]
    peers.beside(rows, lambda row: row["peer"] == "a", "ns")
    assert "speed" not in rows[1]


def test_a_target_is_judged_by_the_ratio_to_its_peer() -> None:
    target = peers.Target("each", "it", "python", 2.0)
    theirs, ours = {"peer": "it", "work": "python", "ns": 300.0}, {"peer": "gnomon", "work": "each"}
    judged = {ns: target.judged([theirs, {**ours, "ns": ns}], "ns") for ns in (100.0, 200.0)}
    assert (judged[100.0]["ratio"], judged[100.0]["reached"]) == (3.0, True)
    assert (judged[200.0]["ratio"], judged[200.0]["reached"]) == (1.5, False)
    absent = target.judged([theirs, {**ours, "absent": "not yet"}], "ns")
    assert (absent["ratio"], absent["reached"]) == (None, None)


def test_a_sweep_trades_at_the_bars_of_the_specification() -> None:
    script = "import json, report; print(json.dumps([report.sweep_bars(1000, d, 100_000) for d in (1, 100)]))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=BENCH / "peers", capture_output=True, check=True, timeout=600
    )
    once, often = json.loads(done.stdout)
    assert once == [[50 * k + 1] for k in range(1_000)]
    assert often[0] == list(range(1, 100_000, 1_000))
    assert often[21] == list(range(51, 100_000, 1_000))
    assert {len(bars) for bars in often} == {100}


@pytest.mark.slow
def test_our_side_makes_the_fills_of_the_plain_loops(tmp_path: Path) -> None:
    market, candles = prints(5_000), bars(2_000)
    on_prints, on_bars = save(market, tmp_path / "prints"), save(candles, tmp_path / "bars")
    columns = (column.tolist() for column in (market.ts, market.price, market.lots, market.side))
    quoted = quoting(map(Print._make, zip(*columns, strict=True)), Rules(every=100, latency_ns=120_000_000))
    for work in ("quotes", "trades"):
        said = peers.ask(peers.GNOMON, on_prints, work, "--every", 100, "--latency-ns", 120_000_000)
        assert (said["digest"], said["fees_own"]) == (quoted.digest(), quoted.fees), said
    crossed = crossing(candles.open.tolist(), candles.close.tolist())
    said = peers.ask(peers.GNOMON, on_bars, "averages")
    assert (said["digest"], said["fees_own"]) == (crossed.digest(), crossed.fees), said
    assert peers.ask(peers.GNOMON, on_bars, "sweep", "--runs", 4, "--decisions", 10)["fills"] == 40
