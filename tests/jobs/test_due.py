"""A predict job that came due: slots, grace, bars that come late, what may not be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gnomon.clock import SimClock, Timeframe, parse_instant
from gnomon.errors import Invalid
from gnomon.forecast.catalog import BASELINES
from gnomon.jobs.cast import POOL
from gnomon.jobs.due import Due
from gnomon.jobs.engine.memory import MemoryJobs
from gnomon.jobs.engine.port import JobStatus
from gnomon.jobs.handlers import Crew
from gnomon.jobs.schedule import Schedule
from gnomon.market.candles import Candles
from gnomon.market.instrument import Instruments
from gnomon.store.store import Store
from gnomon.units import HOUR_NS, MINUTE_NS, SECOND_NS

HOUR = Timeframe.parse("1h")
LAST_NS = parse_instant("2024-04-01")
DUE_NS = LAST_NS + 2 * MINUTE_NS


class Tick:
    """One tick of a schedule over a store."""

    def __init__(self, store: Store, configured: Instruments, now_ns: int = DUE_NS) -> None:
        self.store, self.clock = store, SimClock(now_ns)
        crew = Crew(store, configured, self.clock, {})
        self.jobs = MemoryJobs(crew.handlers(), self.clock, store.engine)

    def fire(self, forecasters: Sequence[str] = ("ewma",), due_ns: int = DUE_NS, horizon: int = 24) -> JobStatus:
        args = {"timeframe": "1h", "horizon": horizon, "forecasters": list(forecasters)}
        schedule = Schedule("s", "2 * * * *", "predict", "1h:x", args=args)
        job = self.jobs.enqueue("predict", f"{schedule.key_at(due_ns)}:{forecasters[0]}", schedule.args_at(due_ns))
        self.jobs.run_due()
        return self.jobs.status(job.id)

    def slots(self, forecaster: str = "ewma") -> dict[str, tuple[str, str]]:
        rows = self.store.slots.read(forecaster=forecaster)
        return {one.slot.instrument: (one.status, one.why) for one in rows}


@pytest.mark.parametrize("kind", ["predict", "score", "weigh"])
def test_a_schedule_that_finds_nothing_stored_has_nothing_to_do_and_is_done(
    store: Store, configured: Instruments, kind: str
) -> None:
    clock = SimClock(DUE_NS)
    jobs = MemoryJobs(Crew(store, configured, clock, {}).handlers(), clock, store.engine)
    args = {"timeframe": "1d", "horizon": 24, "forecasters": ["ewma"], "due_ns": DUE_NS, "grace_s": 600}
    job = jobs.enqueue(kind, "1d:x", args)
    jobs.run_due()
    status = jobs.status(job.id)
    assert (status.state, status.error) == ("done", None)
    assert not any(value for value in status.result.values() if isinstance(value, int))


def test_a_tick_fills_its_slots_once_with_the_last_closed_bar(filled: Store, configured: Instruments) -> None:
    tick = Tick(filled, configured)
    status = tick.fire(BASELINES)
    assert status.state == "done"
    assert status.result["issued"] == 3 * len(BASELINES)
    for name in BASELINES:
        assert {one[0] for one in tick.slots(name).values()} == {"issued"}
    for row in filled.slots.read(forecaster="fhs"):
        stored = filled.forecasts.get(row.forecast_id or 0)
        assert stored.data_cutoff_ns == row.slot.cutoff_ns <= DUE_NS
        assert (stored.as_of_ns, stored.issued_at_ns) == (DUE_NS, DUE_NS)
    again = tick.fire(BASELINES, DUE_NS + 20 * MINUTE_NS)  # the cutoff has not moved: nothing is due
    assert again.result["issued"] == again.result["existing"] == 0
    assert len(filled.slots.read()) == 3 * len(BASELINES)


def test_a_tick_older_than_its_grace_issues_nothing_and_says_so(filled: Store, configured: Instruments) -> None:
    tick = Tick(filled, configured, DUE_NS + 601 * SECOND_NS)
    status = tick.fire()
    assert status.result["missed"] == 3
    assert {one[0] for one in tick.slots().values()} == {"missed"}
    assert "601 s late" in tick.slots()["binance:BTCUSDT"][1]
    assert filled.forecasts.find(lane="live") == []


def test_a_bar_that_comes_late_is_waited_for_and_one_that_does_not_come_is_missed(
    store: Store, configured: Instruments, bars: list[Candles], record: object
) -> None:
    short = [one.take(slice(0, len(one) - 1)) if one.instrument.endswith("BTCUSDT") else one for one in bars]
    never = [one.take(slice(0, len(one) - 1)) if one.instrument.endswith("ETHUSDT") else one for one in short]
    record(store, never, LAST_NS)  # type: ignore[operator]  # the fixture's type is in conftest
    tick = Tick(store, configured)
    status = tick.fire()
    assert (status.result["issued"], status.result["waiting"]) == (1, 2)
    assert tick.slots()["binance:BTCUSDT"][0] == "due"
    btc = next(one for one in bars if one.instrument == "binance:BTCUSDT")
    store.market.extend([btc], [configured.find("BTCUSDT")], recorded_ns=tick.clock.now_ns())
    while (ready_ns := tick.jobs.next_ready_ns()) is not None:
        tick.clock.advance_to(ready_ns)
        tick.jobs.run_due()
    assert tick.slots()["binance:BTCUSDT"][0] == "issued"
    state, why = tick.slots()["binance:ETHUSDT"]
    assert state == "missed"
    assert "is missing" in why
    assert tick.clock.now_ns() <= DUE_NS + 20 * MINUTE_NS


def test_a_forecaster_that_fails_is_missed_and_the_others_are_issued(filled: Store, configured: Instruments) -> None:
    tick = Tick(filled, configured)
    status = tick.fire(("nonsense", "ewma"))
    assert status.state == "partial"
    assert status.result["result"]["issued"] == 3
    assert {one["forecaster"] for one in status.result["failed"]} == {"nonsense"}
    assert {one[0] for one in tick.slots("nonsense").values()} == {"missed"}


def test_an_ensemble_reads_members_of_its_cutoff_and_waits_for_them(filled: Store, configured: Instruments) -> None:
    tick = Tick(filled, configured, DUE_NS + MINUTE_NS)
    early = tick.fire((POOL,), DUE_NS + MINUTE_NS)
    assert early.result["waiting"] == 3
    tick.fire(BASELINES)
    while (ready_ns := tick.jobs.next_ready_ns()) is not None:
        tick.clock.advance_to(ready_ns)
        tick.jobs.run_due()
    assert {one[0] for one in tick.slots(POOL).values()} == {"issued"}
    stored = filled.forecasts.latest("binance:BTCUSDT", "1h", POOL)
    assert stored is not None
    assert set(stored.params["members"]) == set(BASELINES)
    assert (stored.role, stored.weights_id) == ("ensemble", None)
    assert stored.as_of_ns == stored.issued_at_ns


def test_a_target_that_has_closed_before_the_issue_makes_the_slot_late(filled: Store, configured: Instruments) -> None:
    tick = Tick(filled, configured, DUE_NS + HOUR_NS)
    due = Due.of({"timeframe": "1h", "horizon": 24, "forecasters": ["ewma"], "grace_s": 7200}, DUE_NS)
    assert not due.is_too_late(tick.clock.now_ns())
    job = tick.jobs.enqueue(
        "predict",
        "late",
        {"timeframe": "1h", "horizon": 24, "forecasters": ["ewma"], "grace_s": 7200, "due_ns": DUE_NS},
    )
    tick.jobs.run_due()
    assert tick.jobs.status(job.id).result["late"] == 3
    assert tick.slots()["binance:BTCUSDT"][0] == "late"


@pytest.mark.parametrize("args", [{}, {"timeframe": "1h"}, {"timeframe": "1h", "horizon": "x", "forecasters": []}])
def test_arguments_that_are_none_are_refused(args: dict[str, object]) -> None:
    with pytest.raises(Invalid, match="predict job"):
        Due.of(args, 0)
    assert replace(Due(HOUR, 24, ("ewma",), 0, 600), attempt=3).next_delay_s == 360.0
