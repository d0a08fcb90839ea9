"""Replays on the command line: a session runs, is kept, explains itself and is verified; two runs are told apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from gnomon.cli.main import app
from gnomon.clock import parse_instant
from gnomon.replay.bodies import Branch, PostingGroup
from gnomon.replay.header import RecordType
from gnomon.store.journals import Journals

SESSION = """
[session]
dataset = "BTCUSDT-1h"
seed = 7

[rules]
fees = { maker = "0.001", taker = "0.001" }
latency = { entry = { const_ms = 10 } }
balances = { USDT = "10000" }

[[entry]]
name = "cross"
trader = "trader.py:Cross"
"""
TRADER = """
from gnomon.trader.trader import Strategy


class Cross(Strategy):
    class Params:
        fast: int = 5
        slow: int = 20

    def on_bar(self, desk, bar):
        name = bar.candle.instrument
        closes = desk.candles(name, self.params.slow).close
        if len(closes) < self.params.slow:
            return
        is_up = closes[-self.params.fast :].mean() > closes.mean()
        if is_up and not desk.position_lots(name):
            desk.buy(name, pct=90)
        elif not is_up and desk.position_lots(name):
            desk.close(name)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GNOMON_HOME", str(tmp_path / "home"))
    for name in ("GNOMON_DATABASE_URL", "GNOMON_INSTRUMENTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    times = (np.datetime64("2024-01-01T00:00") + np.arange(400) * np.timedelta64(1, "h")).astype(str)
    close = np.round(100 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.004, len(times)))), 2)
    rows = [f"{at},{c:.2f},{c + 1:.2f},{c - 1:.2f},{c:.2f},5000" for at, c in zip(times, close, strict=True)]
    Path("BTCUSDT-1h.csv").write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n")
    Path("session.toml").write_text(SESSION)
    Path("trader.py").write_text(TRADER)
    run("import", "BTCUSDT-1h.csv")
    return tmp_path / "home"


def run(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == code, result.output
    return result


def document(*words: str, code: int = 0) -> Any:
    return json.loads(run(*words, "--json", code=code).stdout)


def test_a_session_runs_twice_to_the_same_fingerprint_and_both_are_kept() -> None:
    first, second = document("replay", "session.toml"), document("replay", "session.toml")
    assert first["fills"] > 2
    assert first["status"] == "completed"
    assert first["digests"] == second["digests"]
    assert first["run"] != second["run"]
    assert set(first["digests"]) == {"dataset", "config", "inputs", "outputs"}
    assert [one["id"] for one in document("runs")["runs"]] == [second["run"], first["run"]]
    assert second["run"] in run("runs").stdout


def test_a_parameter_a_seed_and_a_trader_may_be_named_instead() -> None:
    plain = document("replay", "session.toml")
    other = document("replay", "session.toml", "--trader", "trader.py:Cross", "--param", "fast=9", "--seed", "8")
    assert other["seed"] == "8"
    assert other["digests"]["dataset"] == plain["digests"]["dataset"]
    assert other["digests"]["config"] != plain["digests"]["config"]
    answer = document("diff", plain["run"], other["run"], code=1)
    assert answer["verdict"] == "config"
    assert ["seed", "7", "8"] in answer["keys"]
    assert document("diff", plain["run"], plain["run"])["verdict"] == "same"


def test_a_fill_explains_itself_and_so_does_an_order() -> None:
    ran = document("replay", "session.toml")
    answer = document("explain", ran["run"], "1")
    assert answer["sentences"][0].startswith("Bought ")
    assert any("BAR_OPEN" in sentence for sentence in answer["sentences"])
    assert any(line.startswith("→") for line in answer["neighbours"])
    assert any("Filled" in sentence for sentence in document("explain", ran["run"], "order:1")["sentences"])
    assert "it has" in document("explain", ran["run"], "999", code=1)["hint"]


def test_what_a_taker_met_is_said_as_it_was() -> None:
    run("replay", "session.toml", "--report", "bars.html")
    assert "takers meet a synthetic quote" not in Path("bars.html").read_text()
    times = (np.datetime64("2024-01-01T00:00") + np.arange(900) * np.timedelta64(1, "s")).astype(str)
    prints = [f"{at},{100 + i % 7 / 100:.2f},{1 + i % 5},buy" for i, at in enumerate(times)]
    Path("prints.csv").write_text("\n".join(["timestamp,price,size,side", *prints]) + "\n")
    run("import", "prints.csv", "--instrument", "BTCUSDT")
    Path("prints.toml").write_text(SESSION.replace("BTCUSDT-1h", "prints").replace("trader.py:Cross", "buy_and_hold"))
    ran = document("replay", "prints.toml", "--report", "prints.html")
    page = Path("prints.html").read_text()
    assert "takers meet a synthetic quote" in page
    assert " assumed at " in page
    said = " ".join(document("explain", ran["run"], "1")["sentences"])
    assert "The quote stands around print " in said
    assert " were assumed at " in said


def test_the_table_of_runs_keeps_its_figures_whatever_the_name_of_the_session() -> None:
    ran = document("replay", "session.toml")
    Path("long.toml").write_text(SESSION.replace("[session]", f'[session]\nname = "{"long " * 40}"'))
    long = document("replay", "long.toml")
    table = run("runs").stdout
    for one in (ran, long):
        assert one["run"] in table
        assert one["fingerprint"][:12] in table
        assert f"{one['metrics']['growth']['total_return']:+.3%}" in table


def test_a_run_is_verified_from_its_inputs_and_a_damaged_journal_is_not(home: Path) -> None:
    ran = document("replay", "session.toml")
    assert document("verify", ran["run"])["outcome"] == "VERIFIED"
    assert document("verify", "--all")["ok"] is True
    path = home / "journals" / f"{ran['run']}.journal"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    run("verify", ran["run"], code=1)


def test_a_run_that_kept_snapshots_is_verified_from_the_newest(home: Path) -> None:
    plain, ran = document("replay", "session.toml"), document("replay", "session.toml", "--snapshots", "20")
    assert ran["digests"] == plain["digests"]
    answer = document("verify", ran["run"], "--from-snapshot")
    assert answer["outcome"] == "VERIFIED"
    assert answer["steps"][0].startswith("snapshot: from record ")
    assert document("verify", ran["run"])["outcome"] == "VERIFIED"
    none = document("verify", plain["run"], "--from-snapshot", code=2)
    assert none["outcome"] == "UNCHECKED"
    path = home / "journals" / f"{ran['run']}.snapshots"
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    older = document("verify", ran["run"], "--from-snapshot")
    assert older["outcome"] == "VERIFIED"
    assert older["steps"][0] != answer["steps"][0], "the one before it"


def test_a_page_is_written_for_a_run_and_for_a_comparison() -> None:
    document("replay", "session.toml", "--report", "run.html")
    document("replay", "session.toml", "--trader", "trader.py:Cross", "--param", "slow=40")
    names = [one["id"] for one in document("runs")["runs"]]
    run("compare", *names, "--report", "both.html")
    assert names[1] in Path("run.html").read_text()
    assert all(name in Path("both.html").read_text() for name in names)


def test_a_sweep_stores_every_run_and_says_how_many_were_tried() -> None:
    answer = document(
        "sweep", "session.toml", "--param", "fast=3,5", "--param", "slow=20,40", "--rule", "fees.taker=0.001,0.002",
        "--workers", "1",
    )  # fmt: skip
    assert answer["tried"] == len(answer["runs"]) == 8
    assert answer["failed"] == []
    sharpes = [one["deflated"]["sharpe"] for one in answer["runs"]]
    assert sharpes == sorted(sharpes, reverse=True)
    assert all(one["deflated"]["trials"] == 8 for one in answer["runs"])
    assert len({one["fingerprint"] for one in answer["runs"]}) == 8
    assert {one["id"] for one in document("runs", "--sweep", answer["sweep"])["runs"]} == {
        one["run"] for one in answer["runs"]
    }


def test_a_run_of_a_sweep_has_the_fingerprint_of_the_same_run_alone_and_is_verified() -> None:
    swept = document("sweep", "session.toml", "--param", "fast=5,7", "--workers", "1")["runs"]
    alone = document("replay", "session.toml", "--trader", "trader.py:Cross", "--param", "fast=7")
    [same] = [one for one in swept if one["params"]["fast"] == 7]
    assert same["fingerprint"] == alone["fingerprint"]
    assert document("verify", same["run"])["outcome"] == "VERIFIED"
    assert document("diff", same["run"], alone["run"])["verdict"] == "same"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--param", "fost=3"), "fost"),
        (("--param", "fast="), "names no values"),
        (("--rule", "fees.taker"), "names no values"),
    ],
)
def test_a_sweep_at_fault_is_refused_before_anything_runs(words: tuple[str, ...], message: str) -> None:
    assert message in document("sweep", "session.toml", *words, code=1)["message"]
    assert document("runs")["runs"] == []


def test_the_page_of_a_stored_run_is_drawn_again() -> None:
    ran = document("replay", "session.toml")
    document("plot", ran["run"], "--out", "again.html")
    assert ran["run"] in Path("again.html").read_text()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[session", "the session is not TOML", "replay.md"),
        ("[session]\nseed = 1", "names no dataset", "gnomon datasets"),
        ('[session]\ndataset = "BTCUSDT"', "no dataset 'BTCUSDT'", "BTCUSDT-1h"),
        (SESSION.replace("latency", "latenci"), "rules has no section 'latenci'", "latency"),
        (SESSION.replace("[rules]", '[rules]\nfills = { taker = "walk" }'), "no book of binance:BTCUSDT", "synthetic"),
        (SESSION.replace("trader.py:Cross", "trader.py:Crosss"), "no 'Crosss'", ""),
        (SESSION.replace('balances = { USDT = "10000" }', ""), "has no balance", "balances"),
        (SESSION.replace("seed = 7", "seed = 7\nfrom = 2030-01-01"), "not in the dataset", "it holds"),
        (SESSION + "params = { fost = 3 }", "fost", "fast"),
    ],
)
def test_a_session_at_fault_is_refused_with_a_hint_and_nothing_is_kept(
    text: str, message: str, hint: str, home: Path
) -> None:
    Path("session.toml").write_text(text)
    answer = document("replay", "session.toml", code=1)
    assert message in answer["message"]
    assert hint in answer["hint"]
    assert document("runs")["runs"] == []
    assert not list((home / "journals").glob("*.journal")) if (home / "journals").exists() else True


FAILS = """
from gnomon.trader.trader import Strategy


class Fails(Strategy):
    def on_bar(self, desk, bar):
        self.calls = getattr(self, "calls", 0) + 1
        desk.buy(pct=10)
        desk.buy(lots=10, limit=bar.candle.close * 0.5)
        if self.calls == 30:
            raise KeyError("no such thing")
"""


def test_a_run_whose_trader_fails_is_kept_shown_and_verified() -> None:
    Path("fails.py").write_text(FAILS)
    failed = document("replay", "session.toml", "--trader", "fails.py:Fails", "--report", "failed.html", code=1)
    assert (failed["status"], failed["reason"]) == ("failed", "KeyError: 'no such thing'")
    assert failed["fills"] > 1
    assert document("verify", failed["run"])["outcome"] == "VERIFIED"
    [row] = document("runs")["runs"]
    assert (row["id"], row["status"], row["reason"]) == (failed["run"], "failed", "KeyError: 'no such thing'")
    assert "failed" in run("runs").stdout
    assert "failed: KeyError: &#x27;no such thing&#x27;" in Path("failed.html").read_text()
    document("plot", failed["run"], "--out", "again.html")
    said = run("replay", "session.toml", "--trader", "fails.py:Fails", code=1)
    assert "(KeyError: 'no such thing')" in said.output
    assert 'raise KeyError("no such thing")' in said.output
    assert "were not sent" in said.output


def test_one_entry_that_fails_does_not_keep_the_others_from_running() -> None:
    Path("fails.py").write_text(FAILS)
    others = "".join(f'\n[[entry]]\ntrader = "{name}"\n' for name in ("fails.py:Fails", "buy_and_hold"))
    Path("session.toml").write_text(SESSION + others)
    found = document("replay", "session.toml", code=1)["runs"]
    assert [one["status"] for one in found] == ["completed", "failed", "completed"]
    assert found[1]["reason"] == "KeyError: 'no such thing'"


BOTS = """
class Oversold:
    def __init__(self, low=30, high=70):
        self.low, self.high = low, high

    def decisionFunction(self, row):
        rsi = row["momentum_rsi"]
        return 1 if rsi < self.low else -1 if rsi > self.high else 0


def oversold(row, low=30, high=70):
    rsi = row["momentum_rsi"]
    return 1 if rsi < low else -1 if rsi > high else 0
"""

CROSS_BY_BACKTESTING = """
from gnomon.compat.backtesting import SMA, Strategy, crossover


class SmaCross(Strategy):
    n1 = 10
    n2 = 20

    def init(self):
        self.fast = self.I(SMA, self.data.Close, self.n1)
        self.slow = self.I(SMA, self.data.Close, self.n2)

    def next(self):
        if crossover(self.fast, self.slow):
            self.buy(size=0.9)
        elif crossover(self.slow, self.fast):
            self.position.close()
"""


def test_a_bot_that_decides_by_row_is_replayed_as_class_and_as_function() -> None:
    Path("bots.py").write_text(BOTS)
    by_class = document("replay", "session.toml", "--trader", "bots.py:Oversold", "--param", "low=40")
    by_function = document("replay", "session.toml", "--trader", "bots.py:oversold", "--param", "low=40")
    other = document("replay", "session.toml", "--trader", "bots.py:oversold")
    assert by_class["fills"] > 2
    assert by_class["digests"] == by_function["digests"]
    assert other["digests"]["outputs"] != by_class["digests"]["outputs"]
    assert document("verify", by_class["run"])["outcome"] == "VERIFIED"


def test_a_strategy_of_backtesting_py_is_replayed() -> None:
    Path("cross.py").write_text(CROSS_BY_BACKTESTING)
    ran = document("replay", "session.toml", "--trader", "cross.py:SmaCross", "--param", "n1=5")
    assert ran["fills"] > 3
    assert document("verify", ran["run"])["outcome"] == "VERIFIED"
    Path("cross.py").write_text(CROSS_BY_BACKTESTING.replace("gnomon.compat.backtesting", "backtesting"))
    assert document("replay", "session.toml", "--trader", "cross.py:SmaCross", code=1)["hint"] == (
        "import gnomon.compat.backtesting instead"
    )


def test_a_sweep_of_a_bot_takes_the_values_that_are_named() -> None:
    Path("bots.py").write_text(BOTS)
    words = ("sweep", "session.toml", "--trader", "bots.py:oversold", "--workers", "1")
    swept = document(*words, "--param", "low=30,40", "--param", "high=60,70")
    assert len({one["fingerprint"] for one in swept["runs"]}) == 4
    alone = document(
        "replay", "session.toml", "--trader", "bots.py:oversold", "--param", "low=40", "--param", "high=60"
    )
    [same] = [one for one in swept["runs"] if one["params"] == {"low": 40, "high": 60}]
    assert same["fingerprint"] == alone["fingerprint"]
    assert "have no ranges" in document(*words, code=1)["message"]


def test_a_runner_moves_no_digest_and_either_verifies_the_other(home: Path) -> None:
    jumped, naive = (document("replay", "session.toml", "--runner", name) for name in ("jump", "naive"))
    assert jumped["fingerprint"] == naive["fingerprint"]
    for ran, runner in ((jumped, "naive"), (naive, "jump")):
        assert document("verify", ran["run"], "--runner", runner)["outcome"] == "VERIFIED"
    side = home / "journals" / f"{naive['run']}.side.jsonl"
    assert json.loads(side.read_text()) == {"fact": "runner", "name": "naive"}
    assert "one of jump, kernel, naive" in document("replay", "session.toml", "--runner", "jmp", code=1)["hint"]


def test_a_branch_goes_on_from_an_instant_and_leaves_its_parent_as_it_was(home: Path) -> None:
    parent = document("replay", "session.toml")
    kept = (home / "journals" / f"{parent['run']}.journal").read_bytes()
    at = "2024-01-09T12:00:00Z"
    branch = document("replay", "--branch", parent["run"], "--at", at)
    record, before = (Journals(home).read(one["run"]) for one in (branch, parent))
    first = next(record.entries())
    assert isinstance(first.body, Branch)
    assert (first.t, first.body.parent.hex()) == (parse_instant(at), parent["fingerprint"])
    assert before.at(first.body.seq).t <= parse_instant(at) < before.at(first.body.seq + 1).t
    opened = next(one for one in record.entries() if one.type is RecordType.POSTING)
    assert isinstance(opened.body, PostingGroup)
    assert opened.t == parse_instant(at)
    assert [row.amount for row in opened.body.entries if row.amount > 0] == [10_000 * 10**8]
    assert (home / "journals" / f"{parent['run']}.journal").read_bytes() == kept
    assert [document("verify", one["run"])["outcome"] for one in (branch, parent)] == ["VERIFIED"] * 2
    assert branch["parent"] == parent["fingerprint"]
    document("plot", branch["run"], "--out", "branch.html")
    assert f"branch of {parent['fingerprint'][:12]}" in Path("branch.html").read_text()
    Path("later.toml").write_text(SESSION.replace("seed = 7", f'seed = 7\nfrom = "{at}"'))
    later = document("replay", "later.toml")
    assert (later["metrics"]["growth"], later["counts"]) == (branch["metrics"]["growth"], branch["counts"])
    assert later["digests"]["config"] == branch["digests"]["config"]
    assert later["fingerprint"] != branch["fingerprint"], "but it is told: every record comes one later"


def test_a_branch_may_take_another_trader_or_parameter_and_be_branched_again() -> None:
    parent = document("replay", "session.toml")
    first = document("replay", "--branch", parent["run"], "--at", "2024-01-05", "--param", "fast=9")
    other = document("replay", "--branch", first["run"], "--at", "2024-01-06", "--trader", "buy_and_hold")
    assert (first["trader"], other["trader"]) == ("trader.py:Cross", "buy_and_hold")
    assert (first["parent"], other["parent"]) == (parent["fingerprint"], first["fingerprint"])
    assert document("verify", other["run"])["outcome"] == "VERIFIED"


def test_a_branch_from_nowhere_is_refused() -> None:
    ran = document("replay", "session.toml")["run"]
    unclear = "a branch goes on from a run at an instant"
    for words, message in (
        ((), "nothing to replay"),
        (("--at", "2024-01-05"), unclear),
        (("--branch", ran), unclear),
        (("session.toml", "--branch", ran, "--at", "2024-01-05"), unclear),
        (("--branch", ran, "--at", "2023-01-05"), "is not inside run"),
        (("--branch", ran, "--at", "2024-06-05"), "is not inside run"),
        (("--branch", "run_nothere", "--at", "2024-01-05"), "no run"),
    ):
        assert message in document("replay", *words, code=1)["message"]
    assert len(document("runs")["runs"]) == 1


KEEPS = """
from gnomon.trader.trader import Strategy


class Keeps(Strategy):
    def on_bar(self, desk, bar):
        before, self.last = getattr(self, "last", bar), bar
        if bar.candle.close > before.candle.close:
            desk.buy(pct=10)
"""


def test_a_kept_bar_is_refused_in_debug_with_the_line_that_used_it() -> None:
    Path("keeps.py").write_text(KEEPS)
    assert document("replay", "session.toml", "--trader", "keeps.py:Keeps")["fills"] == 0
    said = run("replay", "session.toml", "--trader", "keeps.py:Keeps", "--debug", code=1).output
    assert "a bar was kept beyond the hook that it was told in" in said
    assert "if bar.candle.close > before.candle.close" in said


def test_the_state_of_a_run_at_an_instant_is_told() -> None:
    ran = document("replay", "session.toml")
    opening = document("state", ran["run"], "--at", "2024-01-01")
    assert opening["balances"]["USDT"] == {"free": "10000.00000000", "locked": "0.00000000"}
    assert (opening["orders"], opening["counts"]["fills"]) == ([], 0)
    end = document("state", ran["run"])
    assert end["counts"]["fills"] == ran["fills"]
    assert "free" in run("state", ran["run"], "--at", "2024-01-09T12:00:00Z").output
    assert "is not inside run" in document("state", ran["run"], "--at", "2023-01-01", code=1)["message"]
