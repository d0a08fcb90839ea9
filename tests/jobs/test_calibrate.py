"""What a forecast may be served with: its own version's fit, made by its cutoff; a walk goes on after a kill."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gnomon.clock import SimClock, Timeframe, parse_instant
from gnomon.forecast.calibration import Calibration, Shift, calibrate
from gnomon.forecast.catalog import forecaster
from gnomon.jobs.calibrate import Calibrations
from gnomon.jobs.evaluate import Span, evaluate
from gnomon.jobs.predict import Plan, contexts_at, load_tape, subjects
from gnomon.market.instrument import Instruments
from gnomon.store.calibrations import StoredCalibration
from gnomon.store.store import Store
from gnomon.units import DAY_NS, HOUR_NS

HOUR = Timeframe.parse("1h")
LAST_NS = parse_instant("2024-04-01")


def test_a_fit_is_used_from_its_instant_on_and_for_its_own_version(filled: Store, configured: Instruments) -> None:
    plan = Plan(tuple(subjects(filled, configured, HOUR, ("BTCUSDT",))), HOUR, 24, ("ewma",))
    contexts = contexts_at(load_tape(filled, plan.subjects, last_ns=LAST_NS), plan, plan.subjects, LAST_NS, [])
    (forecast,) = forecaster("ewma").predict(contexts, 24)
    made = Calibration(tuple(Shift(0.1 * n, -0.1 * n, n) for n in range(4)))
    fit = StoredCalibration(
        "live",
        "",
        "ewma",
        forecast.version,
        forecast.instrument,
        "1h",
        "raw",
        LAST_NS,
        LAST_NS,
        "tracker",
        6,
        made.document(),
    )
    (id_,) = filled.calibrations.insert([fit])
    filled.calibrations.insert([replace(fit, version="other"), replace(fit, fitted_at_ns=LAST_NS + 1)])
    found = Calibrations(filled, HOUR).apply(forecast)
    assert found is not None
    assert found.calibration_id == id_
    assert (found.quantiles == calibrate(forecast.quantiles, forecast.levels, made)).all()
    earlier = replace(forecast, data_cutoff_ns=LAST_NS - HOUR_NS)
    assert Calibrations(filled, HOUR).apply(earlier) is None


@pytest.mark.slow
def test_a_walk_that_was_interrupted_goes_on_to_the_same_forecasts(filled: Store, configured: Instruments) -> None:
    chosen = tuple(subjects(filled, configured, HOUR, ("BTCUSDT", "EURUSD")))
    clock = SimClock(parse_instant("2024-04-02"))
    first_ns = parse_instant("2024-03-01")
    whole = Plan(chosen, HOUR, 24, ("ewma", "momentum"), calibrated=True)
    parts = replace(whole, seed=1)
    evaluate(filled, whole, Span(first_ns, first_ns + 20 * DAY_NS, 5), clock)
    evaluate(filled, parts, Span(first_ns, first_ns + 9 * DAY_NS, 5), clock)  # as far as a kill let it come
    done = evaluate(filled, parts, Span(first_ns, first_ns + 20 * DAY_NS, 5), clock)
    assert done.existing > 0
    served = [
        {
            (row.forecaster, row.instrument, row.data_cutoff_ns): row.calibrated_digest
            for row in filled.forecasts.find(lane="backfill", variant=one.variant, limit=10_000)
        }
        for one in (whole, parts)
    ]
    assert served[0] == served[1]
    assert "" not in served[0].values()
    assert filled.scores.read(lane="backfill", timeframe="1h", variant=whole.variant, stage=1)[0].step.size > 0
