"""The daily board: what it keeps is what the verb computes, as of its tick, once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gnomon.clock import SimClock, Timeframe, parse_instant
from gnomon.jobs.board import BoardOf, snapshot
from gnomon.jobs.engine.memory import MemoryJobs
from gnomon.jobs.engine.port import JobStatus
from gnomon.jobs.handlers import Crew
from gnomon.jobs.predict import Plan, predict, subjects
from gnomon.jobs.score import score
from gnomon.market.instrument import Instruments
from gnomon.score.compare import board
from gnomon.store.boards import BoardFilter, board_of
from gnomon.store.store import Store
from gnomon.store.views import SeedViews, signal_performance
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS

HOUR = Timeframe.parse("1h")
FIRST_NS = parse_instant("2024-03-11")
NAMES = ("ewma", "seasonal")


@pytest.fixture
def clock() -> SimClock:
    return SimClock(FIRST_NS)


@pytest.fixture
def scored(filled: Store, configured: Instruments, clock: SimClock) -> Store:
    """Ten hours of live forecasts, each scored as far as it had matured an hour later."""
    plan = Plan(tuple(subjects(filled, configured, HOUR)), HOUR, 6, NAMES)
    for hour in range(10):
        clock.advance_to(FIRST_NS + hour * HOUR_NS + MINUTE_NS)
        predict(filled, plan, clock)
    for hour in range(10, 14):
        clock.advance_to(FIRST_NS + hour * HOUR_NS + MINUTE_NS)
        score(filled, plan.subjects, clock)
    return filled


def run(store: Store, configured: Instruments, clock: SimClock, key: str = "daily", **args: object) -> JobStatus:
    jobs = MemoryJobs(Crew(store, configured, clock, {}).handlers(), clock, store.engine)
    job = jobs.enqueue("board", key, args)
    jobs.run_due()
    return jobs.status(job.id)


def test_the_job_keeps_the_boards_that_the_verb_computes(
    scored: Store, configured: Instruments, clock: SimClock
) -> None:
    due_ns = clock.now_ns()
    status = run(scored, configured, clock, due_ns=due_ns)
    assert (status.state, status.result["as_of"][:10]) == ("done", "2024-03-11")
    kept = {one.filter["group"]: one for one in scored.boards.read()}
    assert set(kept) == {"all", "crypto", "fx_commodity"}
    whole = board_of(scored.scores, BoardFilter("live", HOUR))
    assert [dict(row) for row in kept["all"].rows] == [row.row() for row in whole]
    assert {row["instrument"] for row in kept["crypto"].rows} == {"all", "binance:BTCUSDT", "binance:ETHUSDT"}
    assert {one.as_of_ns for one in kept.values()} == {due_ns}
    assert {one.ledger_head for one in kept.values()} == {scored.forecasts.head("live")[1]}
    assert {one["hash"] for one in status.result["snapshots"]} == {one.hash for one in kept.values()}


def test_a_made_up_tick_takes_the_board_of_its_own_time(
    scored: Store, configured: Instruments, clock: SimClock
) -> None:
    early_ns = FIRST_NS + 11 * HOUR_NS
    run(scored, configured, clock, due_ns=early_ns, groups=["all"])
    (kept,) = scored.boards.read()
    found, keys = scored.scores.read(lane="live", timeframe="1h")
    known = found.scored_at_ns <= early_ns
    assert 0 < known.sum() < len(known)
    identity = BoardFilter("live", HOUR).identity
    expected = board(found.take(known), keys.take(known), timeframe=HOUR, identity=identity)
    assert [dict(row) for row in kept.rows] == [row.row() for row in expected]
    again = snapshot(scored, configured, BoardOf(HOUR), early_ns)
    assert again is not None
    assert again.hash == kept.hash


def test_the_same_tick_twice_keeps_one_snapshot_of_each_board(
    scored: Store, configured: Instruments, clock: SimClock
) -> None:
    due_ns = clock.now_ns()
    first = run(scored, configured, clock, due_ns=due_ns)
    kept = scored.boards.read()
    second = run(scored, configured, clock, "daily+manual-1", due_ns=due_ns)
    assert scored.boards.read() == kept
    assert [one["kept"] for one in first.result["snapshots"]] == [True] * 3
    assert [one["kept"] for one in second.result["snapshots"]] == [False] * 3


def test_the_job_refreshes_the_figures_by_symbol_and_step(
    scored: Store, configured: Instruments, clock: SimClock
) -> None:
    status = run(scored, configured, clock, timeframe="1h", groups=["all"])
    rows = SeedViews(scored.engine).read(signal_performance)
    assert len(rows) == status.result["performance"] == 3 * len(NAMES) * 5  # steps 1 2 3 4 6
    assert {row["symbol"] for row in rows} == {"BTCUSDT", "ETHUSDT", "EURUSD"}


def test_a_store_without_scores_has_no_snapshot(store: Store, configured: Instruments, clock: SimClock) -> None:
    status = run(store, configured, clock)
    assert status.state == "done"
    assert (status.result["snapshots"], status.result["performance"]) == ([], 0)
    assert store.boards.read() == []


def test_a_group_that_does_not_exist_fails_with_the_names_of_those_that_do(
    scored: Store, configured: Instruments, clock: SimClock
) -> None:
    status = run(scored, configured, clock, groups=["cripto"])
    assert status.state == "failed"
    assert status.error is not None
    assert "crypto" in status.error["hint"]


def test_a_snapshot_of_a_time_before_any_score_is_none(scored: Store, configured: Instruments) -> None:
    one = BoardOf(HOUR, "crypto")
    assert snapshot(scored, configured, one, FIRST_NS) is None
    assert snapshot(scored, configured, replace(one, stage="calibrated"), FIRST_NS + DAY_NS) is None
