"""Gates over what is stored: the same store gives the same bytes, a report is there whole or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gnomon.clock import SimClock, Timeframe, parse_instant
from gnomon.errors import Invalid
from gnomon.jobs.engine.memory import MemoryJobs
from gnomon.jobs.evaluate import Span, board_filter, evaluate
from gnomon.jobs.gates import gates, write_report
from gnomon.jobs.handlers import Crew
from gnomon.jobs.predict import Plan, subjects
from gnomon.market.instrument import Instruments
from gnomon.market.synthetic_events import synthetic_events
from gnomon.score.gates import EVENT_KINDS
from gnomon.store.boards import BoardFilter
from gnomon.store.store import Store

HOUR = Timeframe.parse("1h")
FIRST_NS, LAST_NS = parse_instant("2024-02-01"), parse_instant("2024-03-01")
NOW_NS = parse_instant("2024-04-01")


@pytest.fixture
def asked(filled: Store, configured: Instruments) -> BoardFilter:
    """A month of two forecasters and a pool, and a synthetic calendar."""
    filled.events.record(synthetic_events(parse_instant("2023-12-01"), parse_instant("2024-05-01"), seed=3))
    chosen = tuple(subjects(filled, configured, HOUR, ("BTCUSDT", "ETHUSDT")))
    plan = Plan(chosen, HOUR, 6, ("ewma", "drift", "ensemble-pool"))
    span = Span(FIRST_NS, LAST_NS, 7)
    evaluate(filled, plan, span, SimClock(NOW_NS))
    return replace(board_filter(plan, span), known_until_ns=None)


def test_every_forecaster_meets_every_gate_and_few_releases_are_too_early(filled: Store, asked: BoardFilter) -> None:
    report = gates(filled, asked)
    document = report.document()
    kinds = [(one["gate"], one["forecaster"]) for one in document["gates"]]
    single = ("coverage", "event-window", "spread", "direction")
    assert kinds == [
        *((gate, who) for who in ("drift", "ensemble-pool", "ewma") for gate in single),
        ("ensemble", "ensemble-pool"),
    ]
    released = filled.events.book().releases(EVENT_KINDS).released_ns
    first, last = parse_instant(document["first_cutoff"]), LAST_NS
    assert 0 < document["releases"] == np.sum((released >= first) & (released < last)) < 20
    spread = {one.outcome for one in report.gates if one.gate in ("spread", "event-window")}
    assert spread == {"too_early"}
    assert sum(document["outcomes"].values()) == 13


def test_the_same_store_gives_the_same_bytes_and_one_folder(filled: Store, asked: BoardFilter, tmp_path: Path) -> None:
    folder = write_report(gates(filled, asked), tmp_path / "reports")
    before = {one.name: (one.read_bytes(), one.stat().st_mtime_ns) for one in folder.iterdir()}
    assert set(before) == {"gates.json", "gates.md"}
    assert write_report(gates(filled, asked), tmp_path / "reports") == folder
    assert {one.name: (one.read_bytes(), one.stat().st_mtime_ns) for one in folder.iterdir()} == before
    assert json.loads(before["gates.json"][0]) == gates(filled, asked).document()
    text = before["gates.md"][0].decode()
    assert "| spread | ewma | too early | too early to say (" in text
    assert "## ensemble: ensemble-pool" in text


def test_a_report_that_could_not_be_written_leaves_nothing(
    filled: Store, asked: BoardFilter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = gates(filled, asked)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_report(report, tmp_path / "reports")
    assert list((tmp_path / "reports").iterdir()) == []
    monkeypatch.undo()
    assert write_report(report, tmp_path / "reports").is_dir()


def test_nothing_scored_is_refused_with_what_to_do(filled: Store) -> None:
    with pytest.raises(Invalid, match="nothing is scored in lane live") as caught:
        gates(filled, BoardFilter("live", HOUR))
    assert "gnomon evaluate" in caught.value.hint


def test_an_ensemble_s_rival_is_chosen_at_the_instant_that_is_asked_for(filled: Store, asked: BoardFilter) -> None:
    late = gates(filled, asked, choose_until_ns=LAST_NS)
    assert late.gates[-1].outcome == "no_figure", "nothing lies behind that instant"
    early = gates(filled, asked, choose_until_ns=parse_instant("2024-02-08")).gates[-1].figures[0]
    middle = gates(filled, asked).gates[-1].figures[0]
    assert early.n > middle.n > 0


@pytest.mark.usefixtures("asked")
def test_the_job_writes_the_report_of_the_span_before_its_tick(
    filled: Store, configured: Instruments, tmp_path: Path
) -> None:
    clock = SimClock(NOW_NS)
    jobs = MemoryJobs(Crew(filled, configured, clock, {}).handlers(), clock, filled.engine)
    args = {"timeframe": "1h", "lane": "backfill", "days": 60, "folder": str(tmp_path / "made")}
    once = jobs.enqueue("gates", "once", args).id
    jobs.run_due()
    done = jobs.status(once)
    assert done.state == "done"
    assert done.result["outcomes"]["too_early"] > 0
    assert (Path(done.result["report"]) / "gates.md").exists()
    live = jobs.enqueue("gates", "live", {**args, "lane": "live"}).id
    jobs.run_due()
    assert jobs.status(live).result["why"] == "nothing is scored in lane live"
