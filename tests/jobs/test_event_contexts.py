"""The calendar at a cutoff, stored with what is issued, and blind to what comes after."""

from __future__ import annotations

from dataclasses import replace

from gnomon.clock import SimClock, Timeframe, parse_instant
from gnomon.forecast.events import ENCODER
from gnomon.jobs.engine.memory import MemoryJobs
from gnomon.jobs.event_contexts import event_contexts
from gnomon.jobs.handlers import Crew
from gnomon.jobs.predict import Plan, contexts_at, load_tape, subjects
from gnomon.market.instrument import Instruments
from gnomon.market.synthetic_events import synthetic_events
from gnomon.store.store import Store
from gnomon.units import DAY_NS, MINUTE_NS

HOUR = Timeframe.parse("1h")
LAST_NS = parse_instant("2024-04-01")


def found_at(store: Store, configured: Instruments, at_ns: int) -> dict[str, object]:
    plan = Plan(tuple(subjects(store, configured, HOUR, ("BTCUSDT", "EURUSD"))), HOUR, 120, ("ewma",))
    contexts = contexts_at(load_tape(store, plan.subjects, last_ns=at_ns), plan, plan.subjects, at_ns, [])
    return event_contexts(store, contexts, {one.instrument.id: one.instrument for one in plan.subjects})  # type: ignore[return-value]  # documents


def test_without_a_calendar_there_is_nothing_to_say(filled: Store, configured: Instruments) -> None:
    assert found_at(filled, configured, LAST_NS) == {}
    assert event_contexts(filled, [], {}) == {}


def test_what_lies_ahead_is_stored_with_the_forecast_and_the_future_does_not_change_it(
    filled: Store, configured: Instruments
) -> None:
    statements = synthetic_events(LAST_NS - 800 * DAY_NS, LAST_NS + 200 * DAY_NS, seed=3)
    known = [one for one in statements if one.knowable_ns <= LAST_NS]
    later = [replace(one, id=f"{one.id}-garbage", forecast=9e9) for one in statements if one.knowable_ns > LAST_NS]
    filled.events.record(known)
    before = found_at(filled, configured, LAST_NS)
    assert set(before) == {"binance:BTCUSDT", "fx:EURUSD"}
    filled.events.record(later)
    assert found_at(filled, configured, LAST_NS) == before
    clock = SimClock(LAST_NS + 2 * MINUTE_NS)
    jobs = MemoryJobs(Crew(filled, configured, clock, {}).handlers(), clock, filled.engine)
    args = {"timeframe": "1h", "horizon": 120, "forecasters": ["ewma"], "due_ns": clock.now_ns()}
    jobs.enqueue("predict", "1h", args)
    jobs.run_due()
    stored = filled.forecasts.latest("binance:BTCUSDT", "1h", "ewma")
    assert stored is not None
    assert stored.event_context == before["binance:BTCUSDT"]
    assert stored.event_context["encoder"] == ENCODER
    assert stored.event_context["ahead"]
