"""What a forecast may be served with: its own version's fit, made by its cutoff; a walk goes on after a kill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from gnomon.clock import SimClock, Timeframe, parse_instant
from gnomon.forecast.calibration import BOUND, GAIN, SPLIT_LEAST, Calibration, Shift, calibrate
from gnomon.forecast.catalog import forecaster
from gnomon.forecast.forecast import LEVELS, Context, Forecast
from gnomon.jobs.calibrate import Calibrations, WalkForwardCalibration
from gnomon.jobs.evaluate import Span, evaluate
from gnomon.jobs.outcomes import Outcomes
from gnomon.jobs.predict import Plan, contexts_at, entry, load_tape, subjects
from gnomon.jobs.score import score
from gnomon.jobs.weigh import weigh
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


# --- the split ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Narrow:
    """`ewma` with its band cut to a hundredth of its width: no tracker can stretch it back."""

    name: str = "ewma"
    version: str = "narrow"

    def predict(self, contexts: Sequence[Context], horizon: int, *, seed: int) -> list[Forecast]:
        made = forecaster("ewma").predict(contexts, horizon, seed=seed)
        return [replace(one, version="narrow", quantiles=one.base_price * _cut(one)) for one in made]


def _cut(one: Forecast) -> np.ndarray:
    return np.exp(np.log(one.quantiles / one.base_price) / 100.0)


def narrow_forecasts(store: Store, plan: Plan, cutoffs_ns: Sequence[int]) -> list[tuple[Context, Forecast]]:
    tape = load_tape(store, plan.subjects, last_ns=LAST_NS)
    contexts = [one for at_ns in cutoffs_ns for one in contexts_at(tape, plan, plan.subjects, at_ns, [])]
    return list(zip(contexts, Narrow().predict(contexts, plan.horizon, seed=0), strict=True))


def outcomes_of(store: Store, plan: Plan) -> dict[str, Outcomes]:
    tape = load_tape(store, plan.subjects, last_ns=LAST_NS)
    (subject,) = plan.subjects
    series = tape.series(subject.instrument.id, HOUR, subject.basis)
    return {subject.instrument.id: Outcomes.of(series, LAST_NS, HOUR)}


@pytest.mark.slow
def test_a_split_takes_over_at_the_bound_and_the_tracker_goes_on_underneath(
    filled: Store, configured: Instruments
) -> None:
    """Hourly, one step ahead: a band that misses nearly always takes the tracker to its bound in 40 hours or so."""
    plan = Plan(tuple(subjects(filled, configured, HOUR, ("BTCUSDT",))), HOUR, 1, ("ewma",), calibrated=True)
    first_ns = parse_instant("2024-03-01")
    cutoffs = [first_ns + hour * HOUR_NS for hour in range(600)]
    walk = WalkForwardCalibration(filled, HOUR, plan.variant, outcomes_of(filled, plan))
    pairs = narrow_forecasts(filled, plan, cutoffs)
    served = walk.apply([forecast for _, forecast in pairs])
    fits = [filled.calibrations.get(one.calibration_id) for one in served]
    methods = [one.method for one in fits]
    turn = methods.index("split")
    assert set(methods[:turn]) == {"tracker"}
    assert set(methods[turn:]) == {"split"}  # it does not take turns with a tracker that its good coverage pulls back
    assert SPLIT_LEAST <= turn <= SPLIT_LEAST + 2
    assert all(one.fitted_until_ns <= one.fitted_at_ns for one in fits)
    shifts = Calibration.from_document(fits[-1].document).shifts[0]
    assert max(shifts.u, shifts.l) >= BOUND - GAIN
    closes = outcomes_of(filled, plan)["binance:BTCUSDT"]
    realised, _, _ = closes.at(np.array([[f.target_open_ns[0]] for _, f in pairs]), np.array(cutoffs))
    low, high = (np.array([one.quantiles[0, LEVELS.index(level)] for one in served]) for level in (0.1, 0.9))
    inside = (low <= realised[:, 0]) & (realised[:, 0] <= high)
    assert inside[:turn].mean() < 0.3
    assert inside[turn:].mean() == pytest.approx(0.8, abs=0.08)


@pytest.mark.slow
def test_a_split_uses_nothing_that_realised_later(filled: Store, configured: Instruments) -> None:
    """The fits of the first part of a walk are those of the whole."""
    plan = Plan(tuple(subjects(filled, configured, HOUR, ("BTCUSDT",))), HOUR, 1, ("ewma",), calibrated=True)
    first_ns = parse_instant("2024-03-01")
    pairs = narrow_forecasts(filled, plan, [first_ns + hour * HOUR_NS for hour in range(300)])
    outcomes = outcomes_of(filled, plan)["binance:BTCUSDT"]
    known = outcomes.knowable_ns <= first_ns + 280 * HOUR_NS
    cut = replace(
        outcomes,
        open_ns=outcomes.open_ns,
        close=np.where(known, outcomes.close, 1.0),
    )
    documents = []
    for number, world in enumerate((outcomes, cut)):
        walk = WalkForwardCalibration(filled, HOUR, f"world {number}", {"binance:BTCUSDT": world})
        served = walk.apply([forecast for _, forecast in pairs])
        documents.append([filled.calibrations.get(one.calibration_id).document for one in served])
    assert documents[0][:281] == documents[1][:281]
    assert documents[0][270]["method"] == "split"
    assert documents[0][-1] != documents[1][-1]


@pytest.mark.slow
def test_the_live_job_and_the_walk_forward_fit_the_same_split(filled: Store, configured: Instruments) -> None:
    """Hour by hour: forecasts served with the newest fit, scored, weighed."""
    plan = Plan(tuple(subjects(filled, configured, HOUR, ("BTCUSDT",))), HOUR, 1, ("ewma",), calibrated=True)
    first_ns = parse_instant("2024-03-01")
    pairs = narrow_forecasts(filled, plan, [first_ns + hour * HOUR_NS for hour in range(270)])
    walk = WalkForwardCalibration(filled, HOUR, plan.variant, outcomes_of(filled, plan))
    walked = walk.apply([forecast for _, forecast in pairs])
    clock = SimClock(first_ns)
    served = []
    for context, forecast in pairs:
        clock.advance_to(forecast.data_cutoff_ns)
        hour = (forecast.data_cutoff_ns - first_ns) // HOUR_NS
        if hour in (100, 200, 258, 260, 264, 269):  # fits are few, and each goes on from the one before
            score(filled, plan.subjects, clock)
            weigh(filled, plan.subjects, HOUR, clock, members=("ewma",))
        made = Calibrations(filled, HOUR).apply(forecast)
        row = entry(forecast, context, calibrated=made)
        filled.forecasts.issue([row], lane="live", issued_at_ns=clock.now_ns(), code_version="1")
        served.append(made)
    for hour in (264, 269):
        fit = filled.calibrations.get(served[hour].calibration_id)
        twin = filled.calibrations.get(walked[hour].calibration_id)
        assert (fit.fitted_at_ns, fit.method) == (twin.fitted_at_ns, "split") == (twin.fitted_at_ns, twin.method)
        assert fit.document["splits"] == twin.document["splits"]
        for one in (fit, twin):
            assert min(one.document["shifts"][0][:2]) >= BOUND - GAIN  # pulled back by no split
