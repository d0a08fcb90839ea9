"""The tracker beside a loop that starts anew for every question; the closed facts of its simulation; the split fit."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.forecast.buckets import BUCKETS, bucket_of, graded_steps
from gnomon.forecast.calibration import (
    BOUND,
    GAIN,
    Calibration,
    CalibrationTracker,
    Shift,
    advance,
    calibrate,
    chance_above,
    sides,
    split_shifts,
    track,
    with_split,
)
from gnomon.forecast.forecast import LEVELS
from gnomon.forecast.quantiles import normal_cdf, normal_scores
from gnomon.units import HOUR_NS

HOURLY = Timeframe.parse("1h")
STEPS = graded_steps(HOURLY, 24)
Z = normal_scores(LEVELS)


def log_normal(deviation: np.ndarray, base: float = 100.0, drift: float = 0.0) -> np.ndarray:
    """Curves (H, Q) of a log price that is normal at each step."""
    return base * np.exp(drift + deviation[:, None] * Z)


# --- curves -----------------------------------------------------------------------------------------------------------

shifts = st.builds(Shift, st.floats(-BOUND, BOUND), st.floats(-BOUND, BOUND), st.integers(0, 10))
calibrations = st.builds(Calibration, st.tuples(*[shifts] * len(BUCKETS)))
curves = st.integers(0, 2**32 - 1).map(
    lambda seed: np.sort(np.exp(np.random.default_rng(seed).normal(4, 0.3, (30, len(LEVELS)))), axis=1)
)


@given(curves, calibrations)
def test_the_order_of_levels_and_the_median_are_kept(quantiles, calibration):
    served = calibrate(quantiles, LEVELS, calibration)
    assert (np.diff(served, axis=1) >= 0).all()
    assert np.array_equal(served[:, LEVELS.index(0.5)], quantiles[:, LEVELS.index(0.5)])


@given(curves, calibrations)
def test_each_level_moves_away_from_the_median_by_the_shift_of_its_side(quantiles, calibration):
    served = calibrate(quantiles, LEVELS, calibration)
    for step in (1, 2, 5, 6, 24, 25, 30):
        shift = calibration.shifts[int(bucket_of(step))]
        median = math.log(quantiles[step - 1, LEVELS.index(0.5)])
        for place, level in enumerate(LEVELS):
            away = math.log(quantiles[step - 1, place]) - median
            expected = median + away * math.exp(shift.u if level > 0.5 else shift.l)
            assert math.log(served[step - 1, place]) == pytest.approx(expected, rel=1e-12, abs=1e-9)


def test_no_shift_changes_no_byte():
    quantiles = log_normal(np.linspace(0.001, 0.3, 120))
    assert calibrate(quantiles, LEVELS, Calibration()).tobytes() == quantiles.tobytes()


def test_a_wild_band_stays_within_what_a_float32_holds():
    quantiles = log_normal(np.full(3, 30.0))
    served = calibrate(quantiles, LEVELS, Calibration((Shift(BOUND, BOUND),) * 4))
    stored = served.astype(np.float32)
    assert np.isfinite(stored).all()
    assert (stored > 0).all()


def test_levels_without_a_median_are_refused():
    with pytest.raises(Invalid, match="no median"):
        calibrate(np.ones((2, 2)), (0.1, 0.9), Calibration())


@given(calibrations)
def test_a_calibration_comes_back_from_json_to_the_last_bit(calibration):
    assert Calibration.from_document(json.loads(json.dumps(calibration.document()))) == calibration


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"method": "tracker", "shifts": [[0, 0, 0]]},
        {"method": "magic", "shifts": [[0, 0, 0]] * 4},
        {"method": "tracker", "shifts": [[math.nan, 0, 0]] * 4},
        {"method": "split", "shifts": [[0, 0, 0]] * 4, "levels": [0.1, 0.9], "splits": [[0.0]] * 4},
    ],
)
def test_a_document_that_is_no_calibration_is_refused(document):
    with pytest.raises(Invalid, match="not a calibration"):
        Calibration.from_document(document)


@pytest.mark.parametrize("price", [60.0, 92.0, 99.0, 100.0, 101.5, 108.0, 180.0])
def test_the_chance_above_a_price_is_that_of_the_normal_it_was_read_from(price):
    deviation = np.linspace(0.02, 0.2, 12)
    expected = 1.0 - normal_cdf((math.log(price / 100.0) - 0.01) / deviation)
    assert chance_above(log_normal(deviation, drift=0.01), LEVELS, price) == pytest.approx(expected, abs=1e-9)


@given(curves, st.floats(10, 300))
def test_the_chance_above_agrees_with_every_level(quantiles, price):
    chance = chance_above(quantiles, LEVELS, price)
    for row, one in zip(quantiles, chance, strict=True):
        assert 0.0 <= one <= 1.0
        for quantile, level in zip(row, LEVELS, strict=True):
            assert quantile <= price or one >= 1.0 - level - 1e-12
            assert quantile >= price or one <= 1.0 - level + 1e-12


def test_a_price_that_levels_share_counts_half():
    curve = np.full((1, len(LEVELS)), 100.0)
    assert chance_above(curve, LEVELS, 100.0) == pytest.approx([0.5])
    assert chance_above(curve, LEVELS, 99.0).tolist() == [1.0]
    assert chance_above(curve, LEVELS, 101.0).tolist() == [0.0]


def test_sides_are_those_of_the_scores():
    found = sides(np.full(4, 1.0), np.full(4, 2.0), np.array([0.5, 1.0, 2.5, np.nan]))
    assert np.array_equal(found, [-1.0, 0.0, 1.0, np.nan], equal_nan=True)


# --- the tracker against a loop -----------------------------------------------------------------------------------


@dataclass
class Told:
    """What a tracker is told of one forecast."""

    cutoff_ns: int
    close_ns: np.ndarray
    realised_at_ns: np.ndarray
    side: np.ndarray


def history(seed: int, count: int = 160, *, steps: tuple[int, ...] = STEPS) -> list[Told]:
    """Forecasts at most hours, sides at random, some targets void, some known days late."""
    rng = np.random.default_rng(seed)
    told = []
    for hour in np.flatnonzero(rng.random(count) < 0.9):
        close_ns = (hour + 1000 + np.array(steps)) * HOUR_NS
        late_ns = np.where(rng.random(len(steps)) < 0.1, rng.integers(1, 80, len(steps)), 0) * HOUR_NS
        side = rng.choice([-1.0, 0.0, 1.0, math.nan], len(steps), p=[0.2, 0.5, 0.2, 0.1])
        told.append(Told(int(hour + 1000) * HOUR_NS, close_ns, close_ns + late_ns, side))
    return told


def naive(told: list[Told], until_ns: int, steps: tuple[int, ...] = STEPS) -> list[tuple[float, float, int]]:
    """From scratch: windows of each bucket by their cutoffs, then the known targets in the order of realisation."""
    states = []
    for number in range(len(BUCKETS)):
        mine = [place for place, step in enumerate(steps) if bucket_of(step) == number]
        windows, known, free = 0, [], -(2**63)
        for one in told:
            if mine and one.cutoff_ns >= free:
                place = mine[windows % len(mine)]
                windows, free = windows + 1, one.close_ns[place]
                if one.realised_at_ns[place] <= until_ns and not math.isnan(one.side[place]):
                    known.append((one.realised_at_ns[place], one.close_ns[place], one.side[place]))
        u = low = 0.0
        for _, _, side in sorted(known):
            u = max(-BOUND, min(BOUND, u + GAIN * ((1 if side > 0 else 0) - 0.1)))
            low = max(-BOUND, min(BOUND, low + GAIN * ((1 if side < 0 else 0) - 0.1)))
        states.append((u, low, len(known)))
    return states


def states(calibration: Calibration) -> list[tuple[float, float, int]]:
    return [(one.u, one.l, one.n) for one in calibration.shifts]


def tell(tracker: CalibrationTracker, one: Told) -> None:
    tracker.add(one.cutoff_ns, one.close_ns, one.realised_at_ns, one.side)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_walk_forward_knows_at_each_cutoff_what_a_loop_from_scratch_knows(seed):
    told = history(seed)
    tracker = CalibrationTracker(STEPS)
    for number, one in enumerate(told):
        if number % 7 == 0:
            assert states(tracker.until(one.cutoff_ns)) == naive(told[:number], one.cutoff_ns)
        tell(tracker, one)
    end_ns = told[-1].cutoff_ns + 200 * HOUR_NS
    assert states(tracker.until(end_ns)) == naive(told, end_ns)
    assert tracker.n == sum(n for _, _, n in naive(told, end_ns))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_is_known_later_changes_nothing(seed):
    """Canary: another world after the instant, other sides, other voids, other delays, and the state is equal."""
    told = history(seed)
    rng = np.random.default_rng(seed + 1)
    until_ns = told[len(told) // 2].cutoff_ns
    other = []
    for one in told:
        later = one.realised_at_ns > until_ns
        side = np.where(later, rng.choice([-1.0, 0.0, 1.0, math.nan], len(STEPS)), one.side)
        moved = np.where(later, until_ns + rng.integers(1, 10**15, len(STEPS)), one.realised_at_ns)
        other.append(Told(one.cutoff_ns, one.close_ns, moved, side))
    known, poisoned = CalibrationTracker(STEPS), CalibrationTracker(STEPS)
    for one, spoilt in zip(told, other, strict=True):
        tell(known, one)
        tell(poisoned, spoilt)
    assert known.until(until_ns) == poisoned.until(until_ns)
    assert known.fitted_until_ns == poisoned.fitted_until_ns <= until_ns


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_a_tracker_that_is_stored_and_told_the_rest_equals_one_told_everything(seed, every):
    """A job's view: at each visit only what has realised is known; forecasts are told again from `needs_from_ns` on."""
    told = history(seed)
    stored = json.dumps(CalibrationTracker(STEPS).document())
    visits = [one.cutoff_ns for one in told[::every]] + [told[-1].cutoff_ns + 200 * HOUR_NS]
    for now_ns in visits:
        tracker = CalibrationTracker.from_document(STEPS, json.loads(stored))
        for one in told:
            if tracker.needs_from_ns <= one.cutoff_ns <= now_ns:
                known = one.realised_at_ns <= now_ns
                tracker.add(one.cutoff_ns, one.close_ns, np.where(known, one.realised_at_ns, 0), one.side)
        found = tracker.until(now_ns)
        assert states(found) == naive([one for one in told if one.cutoff_ns <= now_ns], now_ns)
        stored = json.dumps(tracker.document())
    whole = track(STEPS, [(one.cutoff_ns, one.close_ns, one.realised_at_ns, one.side) for one in told], visits[-1])
    assert json.loads(stored) == json.loads(json.dumps(whole.document()))


def test_a_target_that_becomes_known_late_counts_when_it_is_known():
    told = history(3, 60)
    for one in told:
        one.side[:], one.realised_at_ns = 1.0, one.close_ns.copy()
    told[0].realised_at_ns[0] = told[0].close_ns[0] + 30 * HOUR_NS
    tracker = CalibrationTracker(STEPS)
    for one in told:
        tell(tracker, one)
    late_ns = int(told[0].realised_at_ns[0])
    before = tracker.until(late_ns - 1).shifts[0].n
    assert before > 20
    assert tracker.until(late_ns).shifts[0].n == before + 2  # the late one, and the one that is due at that hour


def test_windows_of_a_bucket_do_not_overlap_and_take_its_steps_in_turn():
    hours = np.arange(1000, 1400)
    tracker = CalibrationTracker(STEPS)
    used: list[tuple[int, int]] = []
    for hour in hours:
        close_ns = (hour + np.array(STEPS)) * HOUR_NS
        before = {number: one.windows for number, one in enumerate(tracker._buckets)}
        tracker.add(int(hour) * HOUR_NS, close_ns, close_ns, np.zeros(len(STEPS)))
        third = tracker._buckets[2]
        if third.windows > before[2]:
            used.append((int(hour), third.free_from_ns // HOUR_NS - int(hour)))
    assert [step for _, step in used][:6] == [6, 8, 12, 18, 24, 6]
    assert all(later >= hour + step for (hour, step), (later, _) in pairwise(used))


def test_a_shorter_forecast_goes_through_the_steps_it_has():
    tracker = CalibrationTracker(STEPS)
    for hour in range(1000, 1100):
        close_ns = (hour + np.array(STEPS[:7])) * HOUR_NS  # steps up to 12
        tracker.add(hour * HOUR_NS, close_ns, close_ns, np.zeros(7))
    assert tracker.until(2000 * HOUR_NS).shifts[2].n == pytest.approx(100 / ((6 + 8 + 12) / 3), abs=1)


@pytest.mark.parametrize("document", [{}, {"tracker": {"buckets": []}}, {"tracker": 3}])
def test_a_state_of_another_form_is_refused(document):
    with pytest.raises(Invalid, match="not a tracker's state"):
        CalibrationTracker.from_document(STEPS, document)


def test_a_state_that_waits_for_a_step_that_is_not_graded_is_refused():
    tracker = CalibrationTracker(STEPS)
    tracker.add(HOUR_NS, HOUR_NS * np.array(STEPS), np.zeros(len(STEPS), np.int64), np.zeros(len(STEPS)))
    with pytest.raises(Invalid, match="waits for step"):
        CalibrationTracker.from_document((7, 9), tracker.document())


# --- the closed facts -----------------------------------------------------------------------------------------------


def coverages(nominal: float, *, windows: int, series: int = 400) -> np.ndarray:
    """Coverage (windows,) of an 80 % band that truly covers `nominal`, tracked: the mean of seeded series."""
    rng = np.random.default_rng(20)
    half = float(np.interp(nominal, [2 * normal_cdf(np.array([z]))[0] - 1 for z in np.linspace(0, 3, 3001)],
                           np.linspace(0, 3, 3001)))  # fmt: skip
    covered = np.zeros((series, windows))
    for row, draws in enumerate(rng.standard_normal((series, windows)).tolist()):
        shift = Shift()
        for number, y in enumerate(draws):
            low, high = -half * math.exp(shift.l), half * math.exp(shift.u)
            covered[row, number] = low <= y <= high
            shift = advance(shift, y, low, high)
    return covered.mean(axis=0)


def test_a_band_that_covers_37_percent_is_mended_at_the_pace_that_is_promised():
    """The mean over the 50 windows that end there, as forecasting.md 6 states it, to two points."""
    path = coverages(0.37, windows=500)
    for windows, expected in ((50, 0.46), (150, 0.69), (300, 0.78), (500, 0.80)):
        assert path[windows - 50 : windows].mean() == pytest.approx(expected, abs=0.02)


def test_a_calibrated_band_stays_calibrated():
    path = coverages(0.80, windows=500)
    for windows in (50, 150, 300, 500):
        assert path[windows - 50 : windows].mean() == pytest.approx(0.80, abs=0.02)


def test_the_simulation_through_whole_curves_and_the_tracker_is_the_same():
    """One series by `calibrate` and `CalibrationTracker` equals one by `advance`: the parts fit together."""
    draws = np.random.default_rng(4).standard_normal(300)
    raw = log_normal(np.array([0.376 * 0.01]))
    tracker, shift = CalibrationTracker((1,)), Shift()
    for hour, draw in enumerate(draws):
        now_ns = (1000 + hour) * HOUR_NS
        served = calibrate(raw, LEVELS, tracker.until(now_ns))
        low, high = served[0, LEVELS.index(0.1)], served[0, LEVELS.index(0.9)]
        price = 100.0 * math.exp(0.01 * draw)
        shift = advance(shift, price, low, high)
        close_ns = np.array([now_ns + HOUR_NS])
        tracker.add(now_ns, close_ns, close_ns, sides(low[None], high[None], np.array([price])))
    assert tracker.until(2000 * HOUR_NS).shifts[0] == shift
    assert shift.n == 300


# --- the split fit ----------------------------------------------------------------------------------------------------


def narrow(count: int, seed: int, factor: float = 0.376) -> tuple[np.ndarray, np.ndarray]:
    """Raw curves (n, Q) whose 80 % band covers 37 %, of changing width, and what realised."""
    rng = np.random.default_rng(seed)
    deviation = 0.01 * np.exp(0.3 * rng.standard_normal(count))
    return log_normal(factor * deviation), 100.0 * np.exp(deviation * rng.standard_normal(count))


def test_the_split_fit_restores_the_coverage_of_a_band_that_is_far_too_narrow():
    inside = []
    for seed in range(20):
        quantiles, realised = narrow(1000, seed)
        shifts = split_shifts(quantiles[:500], LEVELS, realised[:500])
        fit = Calibration(method="split", levels=LEVELS, splits=(shifts, (), (), ()))
        for row, price in zip(quantiles[500:], realised[500:], strict=True):
            served = calibrate(row[None], LEVELS, fit)[0]
            assert (np.diff(served) >= 0).all()
            inside.append(served[LEVELS.index(0.1)] <= price <= served[LEVELS.index(0.9)])
    assert 0.785 <= np.mean(inside) <= 0.805


def test_split_shifts_are_order_statistics_by_hand():
    quantiles, realised = narrow(99, 5)
    shifts = split_shifts(quantiles, LEVELS, realised)
    for place, level in enumerate(LEVELS):
        low, high = np.log(quantiles[:, LEVELS.index(0.1)]), np.log(quantiles[:, LEVELS.index(0.9)])
        missed = sorted((np.log(realised) - np.log(quantiles[:, place])) / (high - low))
        assert shifts[place] == missed[round(100 * level) - 1]


def test_the_split_is_used_where_the_tracker_stands_at_a_bound_and_there_is_enough():
    quantiles, realised = narrow(600, 1)
    step, known_ns = np.ones(600, np.int64), np.arange(600) * HOUR_NS

    def fit(shift: Shift, until: int) -> Calibration:
        one = Calibration((shift, Shift(), Shift(), Shift()))
        return with_split(one, quantiles, LEVELS, realised, step, known_ns, until_ns=until * HOUR_NS)

    assert fit(Shift(0.9, BOUND, 300), 599).method == "split"
    assert fit(Shift(0.9, 0.9, 300), 599).method == "tracker"
    assert fit(Shift(BOUND, 0.0, 300), 248).method == "tracker"  # 249 rows
    assert fit(Shift(BOUND, 0.0, 300), 249).method == "split"
    fitted = fit(Shift(BOUND, 0.0, 300), 599)
    assert fitted.splits[0] == split_shifts(quantiles[100:], LEVELS, realised[100:])  # the last 500
    assert fitted.tracked() == Calibration((Shift(BOUND, 0.0, 300), Shift(), Shift(), Shift()))
    assert Calibration.from_document(json.loads(json.dumps(fitted.document()))) == fitted
    with pytest.raises(Invalid, match=r"levels \(0.1, "):
        calibrate(quantiles[:, 1:], LEVELS[1:], fitted)


def test_every_bucket_in_use_needs_enough_for_the_split():
    quantiles, realised = narrow(600, 1)
    step, known_ns = np.where(np.arange(600) < 400, 1, 2), np.arange(600) * HOUR_NS
    one = Calibration((Shift(BOUND, BOUND, 300), Shift(0.1, 0.1, 60), Shift(), Shift()))
    assert with_split(one, quantiles, LEVELS, realised, step, known_ns, until_ns=10**18) is one


def test_the_split_does_not_read_what_is_known_later():
    quantiles, realised = narrow(600, 2)
    step, known_ns = np.ones(600, np.int64), np.arange(600) * HOUR_NS
    one = Calibration((Shift(BOUND, BOUND, 300), Shift(), Shift(), Shift()))
    spoilt = np.where(np.arange(600) > 400, 1.0, realised)
    fits = [
        with_split(one, quantiles, LEVELS, rows, step, known_ns, until_ns=400 * HOUR_NS) for rows in (realised, spoilt)
    ]
    assert fits[0] == fits[1]
    assert fits[0].method == "split"


def test_a_band_without_a_width_says_nothing_to_the_split():
    assert split_shifts(np.full((3, len(LEVELS)), 5.0), LEVELS, np.full(3, 6.0)) == ()
