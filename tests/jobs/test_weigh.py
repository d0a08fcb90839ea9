"""Fits from scores: the live job and the walk-forward agree, and neither sees ahead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gnomon.clock import SimClock, Timeframe, parse_instant
from gnomon.forecast.calibration import Calibration
from gnomon.forecast.ensemble import Weights
from gnomon.jobs.cast import POOL
from gnomon.jobs.engine.memory import MemoryJobs
from gnomon.jobs.evaluate import Span, evaluate
from gnomon.jobs.handlers import Crew
from gnomon.jobs.predict import Plan, predict, subjects
from gnomon.jobs.score import score
from gnomon.jobs.weigh import weigh
from gnomon.market.instrument import Instruments
from gnomon.store.store import Store
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS

HOUR = Timeframe.parse("1h")
FIRST_NS = parse_instant("2024-03-10")
NAMES = ("ewma", "seasonal", "momentum")


def live(store: Store, configured: Instruments, hours: int, clock: SimClock) -> Plan:
    """Forecasts issued live, hour by hour."""
    plan = Plan(tuple(subjects(store, configured, HOUR, ("BTCUSDT", "ETHUSDT"))), HOUR, 24, NAMES)
    for hour in range(hours):
        clock.advance_to(FIRST_NS + hour * HOUR_NS + MINUTE_NS)
        predict(store, plan, clock)
    return plan


@pytest.mark.slow
def test_live_fits_that_go_on_from_the_newest_equal_one_fit_of_everything(
    filled: Store, configured: Instruments
) -> None:
    """Fits after each day, each from the state of the one before, against one fit at the end."""
    clock = SimClock(FIRST_NS)
    plan = live(filled, configured, 60, clock)
    final_ns = FIRST_NS + 5 * DAY_NS
    for day in range(3, 6):
        clock.advance_to(FIRST_NS + day * DAY_NS)
        score(filled, plan.subjects, clock)
        done = weigh(filled, plan.subjects, HOUR, clock, members=NAMES)
        assert done.weights == 1
        assert done.calibrations == (6 if day == 3 else 0)  # by then all was told
    stepped = filled.calibrations.newest(lane="live", timeframe="1h", as_of_ns=final_ns)
    fits = {series: Calibration.from_document(one.document) for series, one in stepped.items()}
    assert all(one.n > 40 for one in stepped.values())
    assert all(one.fitted_until_ns <= final_ns for one in stepped.values())
    weights = filled.weights.newest(lane="live", ensemble=POOL, scope="crypto", timeframe="1h", as_of_ns=final_ns)
    assert weights is not None
    made = Weights.from_document(weights.document)
    assert made.windows[0] == 40
    assert sum(made.by_bucket[0].values()) == pytest.approx(1.0)
    anew = _fit_of_everything(filled, plan, final_ns)
    assert fits == anew


def _fit_of_everything(store: Store, plan: Plan, at_ns: int) -> dict[object, Calibration]:
    """The same targets told to fresh trackers."""
    from gnomon.forecast.buckets import graded_steps
    from gnomon.forecast.calibration import CalibrationTracker

    scores, keys = store.scores.read(lane="live", timeframe="1h", stage=0)
    steps = graded_steps(HOUR, 24)
    found: dict[object, Calibration] = {}
    for name in NAMES:
        for subject in plan.subjects:
            mine = (keys.forecaster == name) & (keys.instrument == subject.instrument.id)
            mine &= scores.realised_at_ns <= at_ns
            tracker = CalibrationTracker(steps)
            for cutoff_ns in np.unique(keys.data_cutoff_ns[mine]):
                rows = np.flatnonzero(mine & (keys.data_cutoff_ns == cutoff_ns))
                known, side = np.zeros(len(steps), np.int64), np.full(len(steps), np.nan)
                column = [steps.index(int(step)) for step in scores.step[rows]]
                known[column] = scores.realised_at_ns[rows]
                side[column] = scores.side_80[rows]
                tracker.add(int(cutoff_ns), cutoff_ns + np.array(steps) * HOUR_NS, known, side)
            version = keys.version[mine][0]
            found[name, version, subject.instrument.id, subject.basis] = tracker.until(at_ns)
    return found


@pytest.mark.slow
def test_a_live_forecast_is_served_with_the_newest_fit_made_by_its_cutoff(
    filled: Store, configured: Instruments
) -> None:
    clock = SimClock(FIRST_NS)
    plan = live(filled, configured, 30, clock)
    clock.advance_to(FIRST_NS + 3 * DAY_NS + 30 * MINUTE_NS)
    score(filled, plan.subjects, clock)
    weigh(filled, plan.subjects, HOUR, clock, members=NAMES)
    same_hour = predict(filled, plan, clock)
    assert all(filled.forecasts.get(one).calibration_id is None for one in same_hour.ids)  # its cutoff was before
    clock.advance_to(FIRST_NS + 3 * DAY_NS + HOUR_NS + MINUTE_NS)
    report = predict(filled, replace(plan, forecasters=(*NAMES, POOL)), clock)
    rows = [filled.forecasts.get(one) for one in report.ids]
    for row in rows[: 2 * len(NAMES)]:
        fit = filled.calibrations.get(row.calibration_id or 0)
        assert (fit.forecaster, fit.version, fit.instrument) == (row.forecaster, row.version, row.instrument)
        assert fit.fitted_at_ns <= row.data_cutoff_ns
    assert {row.forecaster for row in rows if row.weights_id} == {POOL}
    assert all(one.ok for one in filled.forecasts.verify())


@pytest.mark.slow
def test_a_walk_forward_sees_no_bar_beyond_an_origin(filled: Store, configured: Instruments) -> None:
    """Calibrated, with the pool: what the walk says at an origin does not change with how far it goes on."""
    plan = Plan(
        tuple(subjects(filled, configured, HOUR, ("BTCUSDT", "ETHUSDT"))), HOUR, 24, (*NAMES, POOL), calibrated=True
    )
    short = Span(FIRST_NS, FIRST_NS + 6 * DAY_NS, 6)
    clock = SimClock(parse_instant("2024-04-02"))
    evaluate(filled, plan, short, clock)
    served = {
        (row.forecaster, row.instrument, row.data_cutoff_ns): (row.p10, row.p90)
        for row in filled.forecasts.find(lane="backfill", limit=10_000)
    }
    assert len(served) == 2 * 4 * 21
    longer = replace(plan, seed=1)  # another variant: all is issued anew
    evaluate(filled, longer, Span(FIRST_NS, FIRST_NS + 12 * DAY_NS, 6), clock)
    again = {
        (row.forecaster, row.instrument, row.data_cutoff_ns): (row.p10, row.p90)
        for row in filled.forecasts.find(lane="backfill", variant="h24:s1:c", limit=10_000)
    }
    assert {key: again[key] for key in served} == served


def test_the_handlers_score_weigh_and_close_the_day(filled: Store, configured: Instruments) -> None:
    clock = SimClock(FIRST_NS)
    live(filled, configured, 3, clock)
    clock.advance_to(FIRST_NS + 2 * DAY_NS)
    jobs = MemoryJobs(Crew(filled, configured, clock, {}).handlers(), clock, filled.engine)
    for kind in ("score", "weigh"):
        jobs.enqueue(kind, "1h", {"timeframe": "1h"})
    jobs.enqueue("digest", "daily", {"due_ns": FIRST_NS + DAY_NS})
    jobs.enqueue("prune", "daily", {})
    jobs.enqueue("weigh", "nothing", {})
    jobs.run_due()
    assert jobs.status("score:1h").result["rows"] == 3 * 6 * 9
    assert jobs.status("weigh:1h").result["calibrations"] == 6
    assert jobs.status("digest:daily").result == [filled.digests.all("live")[0].head]
    assert jobs.status("prune:daily").result == 0
    assert (jobs.status("weigh:nothing").error or {})["error"] == "invalid"
