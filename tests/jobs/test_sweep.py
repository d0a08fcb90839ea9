"""Sweeps: what varies, what is kept of every trial, and that workers and their order move nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gnomon.clock import SimClock, parse_instant
from gnomon.errors import Exhausted, Invalid
from gnomon.jobs.executor import InlineExecutor, LocalExecutor
from gnomon.jobs.ingest import ImportOptions, import_files
from gnomon.jobs.sweep import Trial, combinations, sweep, with_rules
from gnomon.replay.session import Entry, Session
from gnomon.sources.instruments import shipped_instruments
from gnomon.store.runs import StoredRun
from gnomon.store.store import Store

TEXT = '[session]\ndataset = "BTCUSDT-1h"\nseed = 7\n[rules]\nbalances = { USDT = "10000" }\n'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    store = Store.open(f"sqlite:///{tmp_path / 'gnomon.db'}", tmp_path / "datasets")
    times = (np.datetime64("2024-01-01T00:00") + np.arange(300) * np.timedelta64(1, "h")).astype(str)
    close = np.round(100 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.004, len(times)))), 2)
    rows = [f"{at},{c:.2f},{c + 1:.2f},{c - 1:.2f},{c:.2f},5000" for at, c in zip(times, close, strict=True)]
    path = tmp_path / "BTCUSDT-1h.csv"
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n")
    clock = SimClock(parse_instant("2024-06-01"))
    import_files(store, shipped_instruments(), [path], ImportOptions(), clock, reject_folder=tmp_path / "rejects")
    return tmp_path


def trials(home: Path, *fees: str) -> list[Trial]:
    entry = Entry("hold", "buy_and_hold")
    return [
        Trial(n, f"sqlite:///{home / 'gnomon.db'}", home, TEXT, (("fees.taker", fee),), entry, 7, "sweep_1")
        for n, fee in enumerate(fees, 1)
    ]


def test_every_parameter_set_meets_every_combination_of_rules() -> None:
    made = combinations([{"fast": 1}, {"fast": 2}], {"fees.taker": ["0", "0.1"], "fills.resting": ["touch"]})
    assert made == [
        ({"fast": fast}, (("fees.taker", fee), ("fills.resting", "touch"))) for fast in (1, 2) for fee in ("0", "0.1")
    ]
    assert combinations([{}], {}) == [({}, ())]
    with pytest.raises(Exhausted, match="a sweep of 100,001 runs"):
        combinations([{}] * 100_001, {})


def test_a_rule_is_set_by_its_path_and_the_document_stays_as_it_was() -> None:
    document = {"session": {"dataset": "a"}, "rules": {"fees": {"maker": "0"}}}
    changed = with_rules(document, [("fees.taker", "0.1"), ("latency.entry", {"const_ms": 5})])
    assert changed["rules"] == {"fees": {"maker": "0", "taker": "0.1"}, "latency": {"entry": {"const_ms": 5}}}
    assert document["rules"] == {"fees": {"maker": "0"}}
    assert Session.of(changed).rules.latency.entry.const_ns == 5_000_000


def test_all_runs_are_kept_and_the_best_sharpe_stands_first(home: Path) -> None:
    kept: list[StoredRun] = []
    swept = sweep(trials(home, "0.05", "0", "0.01"), InlineExecutor(), kept.extend)
    assert len(kept) == len(swept.runs) == 3
    sharpes = [luck.sharpe for _, luck in swept.runs]
    assert sharpes == sorted(sharpes, key=lambda one: -(one or 0))
    assert {one.sweep for one in kept} == {"sweep_1"}
    assert {one.journal for one in kept} == {"digest"}
    assert [luck.trials for _, luck in swept.runs] == [3, 3, 3]


def test_workers_move_no_fingerprint(home: Path) -> None:
    inline: list[StoredRun] = []
    apart: list[StoredRun] = []
    sweep(trials(home, "0", "0.01", "0.02"), InlineExecutor(), inline.extend)
    with LocalExecutor(2) as executor:
        sweep(trials(home, "0", "0.01", "0.02"), executor, apart.extend)
    assert [one.fingerprint for one in inline] == [one.fingerprint for one in apart]


def test_a_trial_that_fails_is_named_and_the_others_are_kept(home: Path) -> None:
    kept: list[StoredRun] = []
    swept = sweep(trials(home, "0", "two"), InlineExecutor(), kept.extend)
    assert len(kept) == 1
    assert [one.partition(":")[0] for one in swept.failed] == ["2"]
    assert swept.runs[0][1].trials == 2, "what failed was tried too"
    with pytest.raises(Invalid, match="no runs"):
        sweep([], InlineExecutor(), kept.extend)
