"""The tracker: what it does to bands, what it learns from, and what it must not know."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import Invalid
from gnomon.forecast.buckets import BUCKETS, graded_steps
from gnomon.forecast.calibration import (
    BOUND,
    GAIN,
    MISS,
    Calibration,
    CalibrationTracker,
    Shift,
    calibrate,
    sides,
)
from gnomon.forecast.forecast import LEVELS

NEVER = 0
SHIFTS = st.floats(-BOUND, BOUND)


def curve(horizon: int, seed: int = 0) -> np.ndarray:
    luck = np.random.default_rng(seed)
    return np.exp(np.sort(luck.normal(size=(horizon, len(LEVELS))) * 0.05, axis=1)) * 100.0


@given(st.lists(st.tuples(SHIFTS, SHIFTS), min_size=len(BUCKETS), max_size=len(BUCKETS)), st.integers(0, 99))
def test_order_and_median_are_kept_whatever_the_shifts(shifts: list[tuple[float, float]], seed: int) -> None:
    raw = curve(48, seed)
    found = calibrate(raw, LEVELS, Calibration(tuple(Shift(u, low) for u, low in shifts)))
    assert (np.diff(found, axis=1) >= 0).all()
    np.testing.assert_allclose(found[:, LEVELS.index(0.5)], raw[:, LEVELS.index(0.5)], rtol=1e-12)


def test_each_side_of_each_bucket_is_stretched_by_its_own_shift_in_log_price() -> None:
    raw = curve(30)
    shifts = tuple(Shift(0.1 * n, -0.2 * n) for n in range(1, 5))
    found = calibrate(raw, LEVELS, Calibration(shifts))
    median = LEVELS.index(0.5)
    for step in range(1, 31):
        number = next(n for n, (first, last) in enumerate(BUCKETS) if first <= step <= last)
        for q, level in enumerate(LEVELS):
            m, value = np.log(raw[step - 1, median]), np.log(raw[step - 1, q])
            stretch = np.exp(shifts[number].u if level > 0.5 else shifts[number].l)
            assert found[step - 1, q] == pytest.approx(np.exp(m + (value - m) * stretch), rel=1e-12)


def test_no_shift_changes_no_byte() -> None:
    raw = curve(120)
    assert calibrate(raw, LEVELS, Calibration()).tobytes() == raw.tobytes()
    with pytest.raises(Invalid, match="median"):
        calibrate(raw[:, :2], LEVELS[:2], Calibration())


def test_a_calibration_survives_json_to_the_bit() -> None:
    made = Calibration(tuple(Shift(0.1 + n / 3, -n / 7, n) for n in range(4)))
    assert Calibration.from_document(made.document()) == made


def test_a_side_is_where_the_price_came_out() -> None:
    assert sides(np.array([1.0, 1.0, 1.0]), np.array([2.0, 2.0, 2.0]), np.array([0.5, 2.0, 2.5])).tolist() == [-1, 0, 1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("covered", "windows", "expected"),
    [(37, 50, 46), (37, 150, 69), (37, 300, 78), (37, 500, 80), (80, 300, 80)],
)
def test_a_wrong_band_recovers_as_fast_as_stated_and_a_good_one_stays(
    covered: int, windows: int, expected: int
) -> None:
    """Normal data, mean of 300 series over the last 50 windows, within two points (forecasting.md 6)."""
    z, half = NormalDist().inv_cdf(0.9), NormalDist().inv_cdf(0.5 + covered / 200)
    outcome = np.random.default_rng(windows).normal(size=(300, windows))
    u = np.zeros(300)
    low = np.zeros(300)
    inside = np.empty((300, windows))
    for n in range(windows):
        top, bottom = half * np.exp(u), -half * np.exp(low)
        y = outcome[:, n]
        inside[:, n] = (y <= top) & (y >= bottom)
        pairs = [Shift(float(a), float(b)).after(int(s)) for a, b, s in zip(u, low, sides(bottom, top, y), strict=True)]
        u, low = np.array([one.u for one in pairs]), np.array([one.l for one in pairs])
    assert z > 1.28
    assert abs(100 * inside[:, -50:].mean() - expected) <= 2.0


# --- which targets count ------------------------------------------------------------------------------------------


def told(cutoffs: np.ndarray, closes: np.ndarray, known: np.ndarray, side: np.ndarray, steps: tuple[int, ...]):
    tracker = CalibrationTracker(steps)
    for row in range(len(cutoffs)):
        tracker.add(int(cutoffs[row]), closes[row], known[row], side[row])
    return tracker


def naive(
    cutoffs: np.ndarray, closes: np.ndarray, known: np.ndarray, side: np.ndarray, steps: tuple[int, ...], at_ns: int
) -> list[tuple[float, float, int]]:
    """Each bucket by itself: its windows one after the other, then the targets in order of realisation."""
    found = []
    for first, last in BUCKETS:
        mine = [n for n, step in enumerate(steps) if first <= step <= last]
        windows: list[tuple[int, int, int]] = []
        free = -1
        for row in range(len(cutoffs)):
            if not mine or cutoffs[row] < free:
                continue
            place = mine[len(windows) % len(mine)]
            if known[row, place]:
                windows.append((int(known[row, place]), len(windows), int(side[row, place])))
                free = closes[row, place]
        u = low = 0.0
        used = sorted(one for one in windows if one[0] <= at_ns)
        for _, _, out in used:
            u = min(BOUND, max(-BOUND, u + GAIN * ((out > 0) - MISS)))
            low = min(BOUND, max(-BOUND, low + GAIN * ((out < 0) - MISS)))
        found.append((u, low, len(used)))
    return found


@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 9))
def test_the_tracker_is_the_naive_one(seed: int, count: int, stride: int) -> None:
    luck = np.random.default_rng(seed)
    steps = (1, 2, 4, 6, 12, 24, 36, 48)
    cutoffs = np.arange(count) * stride + 100
    closes = cutoffs[:, None] + np.array(steps)
    known = closes + luck.integers(0, 5, closes.shape) * (luck.random(closes.shape) < 0.3)
    known[luck.random(closes.shape) < 0.1] = NEVER
    side = luck.integers(-1, 2, closes.shape)
    tracker = told(cutoffs, closes, known, side, steps)
    for at_ns in sorted(luck.integers(0, 100 + count * stride + 60, 4).tolist()):
        made = tracker.until(at_ns)
        expected = naive(cutoffs, closes, known, side, steps, at_ns)
        assert [(one.u, one.l, one.n) for one in made.shifts] == expected


def test_what_realises_later_changes_nothing_now() -> None:
    luck = np.random.default_rng(3)
    steps = graded_steps_of_a_day = (1, 2, 4, 6, 12, 24)
    cutoffs = np.arange(80) * 3
    closes = cutoffs[:, None] + np.array(graded_steps_of_a_day)
    side = luck.integers(-1, 2, closes.shape)
    for at_ns in (10, 55, 120):
        other = np.where(closes > at_ns, luck.integers(-1, 2, closes.shape), side)
        assert told(cutoffs, closes, closes, side, steps).until(at_ns) == told(
            cutoffs, closes, closes, other, steps
        ).until(at_ns)
    assert told(cutoffs, closes, closes, side, steps).until(120) != told(cutoffs, closes, closes, -side, steps).until(
        120
    )


def test_graded_steps_stop_at_the_horizon() -> None:
    from gnomon.clock import Timeframe

    assert graded_steps(Timeframe.parse("1h"), 24) == (1, 2, 3, 4, 6, 8, 12, 18, 24)
    assert graded_steps(Timeframe.parse("1d"), 5) == (1, 2, 3, 4, 5)
