"""Repaired paths are possible bars, and nothing that was possible is touched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gnomon.errors import Invalid
from gnomon.forecast.kronos.repair import Corrections, repair

FLOOR = 0.01

shapes = st.tuples(st.integers(1, 4), st.integers(1, 5), st.just(6))
values = st.one_of(
    st.floats(-1e6, 1e6, width=32), st.sampled_from([0.0, -0.0, 1.0, -1.0, FLOOR, FLOOR / 2, 1e-30, -1e30, 1e30])
)
paths = st.one_of(
    shapes.flatmap(lambda shape: arrays(np.float64, shape, elements=values)),
    shapes.flatmap(lambda shape: arrays(np.float32, shape, elements=values.map(np.float32))),
)


def naive(given_paths: np.ndarray, floor: float) -> tuple[np.ndarray, Corrections]:
    """One bar at a time, by the table of the module."""
    kind = given_paths.dtype.type
    mended, counts = given_paths.copy(), dict.fromkeys(("prices", "highs", "lows", "volumes", "amounts"), 0)
    for sample in mended:
        for bar in sample:
            for column in range(4):
                if bar[column] < kind(floor):
                    bar[column] = kind(floor)
                    counts["prices"] += 1
            opened, high, low, close, volume, amount = bar
            if high < max(opened, close):
                bar[1] = max(opened, close)
                counts["highs"] += 1
            if low > min(opened, close):
                bar[2] = min(opened, close)
                counts["lows"] += 1
            if volume < 0:
                bar[4] = 0
                counts["volumes"] += 1
            if amount < 0:
                bar[5] = 0
                counts["amounts"] += 1
    return mended, Corrections(**counts)


@given(paths)
def test_a_repair_is_what_one_bar_at_a_time_gives(found):
    mended, corrections = repair(found, FLOOR)
    expected, counts = naive(found, FLOOR)
    assert np.array_equal(mended, expected)
    assert corrections == counts
    assert mended.dtype == found.dtype


@given(paths)
def test_repaired_bars_are_possible(found):
    mended, _ = repair(found, FLOOR)
    opened, high, low, close, volume, amount = np.moveaxis(mended, -1, 0)
    assert (mended[..., :4] >= mended.dtype.type(FLOOR)).all()
    assert (low <= np.minimum(opened, close)).all()
    assert (high >= np.maximum(opened, close)).all()
    assert (volume >= 0).all()
    assert (amount >= 0).all()
    assert not np.signbit(mended).any()


@given(paths)
def test_a_second_repair_changes_nothing(found):
    once, _ = repair(found, FLOOR)
    twice, corrections = repair(once, FLOOR)
    assert twice.tobytes() == once.tobytes()
    assert corrections == Corrections()
    assert corrections.total == 0


@given(paths)
def test_open_and_close_stay_unless_they_are_no_prices(found):
    before = found.copy()
    mended, corrections = repair(found, FLOOR)
    assert np.array_equal(found, before)  # the paths handed in are not written to
    for column in (0, 3):
        is_price = found[..., column] >= found.dtype.type(FLOOR)
        assert np.array_equal(mended[..., column][is_price], found[..., column][is_price])
    changed = int(np.count_nonzero(mended != found))
    assert changed <= corrections.total  # a low that was no price and lay above the close was mended twice


@given(paths, st.floats(1e-6, 1e3))
def test_order_between_paths_is_kept(found, floor):
    """Repairing prices moves no path past another: quantiles of the close are those of the repaired closes."""
    mended, _ = repair(found, floor)
    for step in range(found.shape[1]):
        order = np.argsort(found[:, step, 3], kind="stable")
        assert (np.diff(mended[order, step, 3]) >= 0).all()


def test_corrections_are_told_by_kind():
    one = np.array([[[10.0, 9.0, 11.0, 10.5, -3.0, 7.0], [10.0, 11.0, 9.0, 10.0, 0.0, -1.0]]])
    mended, corrections = repair(one, 0.01)
    assert mended.tolist() == [[[10.0, 10.5, 10.0, 10.5, 0.0, 7.0], [10.0, 11.0, 9.0, 10.0, 0.0, 0.0]]]
    assert corrections == Corrections(highs=1, lows=1, volumes=1, amounts=1)
    assert corrections.sentence() == "corrected in the paths: 1 highs, 1 lows, 1 volumes, 1 amounts"
    assert corrections.document() == {"prices": 0, "highs": 1, "lows": 1, "volumes": 1, "amounts": 1}


@pytest.mark.parametrize("floor", [0.0, -1.0, float("nan"), float("inf")])
def test_a_floor_is_a_positive_number(floor):
    with pytest.raises(Invalid, match="a floor of"):
        repair(np.ones((1, 1, 6)), floor)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(value):
    broken = np.ones((2, 3, 6))
    broken[1, 2, 4] = value
    with pytest.raises(Invalid, match="no finite numbers"):
        repair(broken, 0.01)


def test_what_are_no_paths_is_refused():
    with pytest.raises(Invalid, match=r"paths of shape \(2, 3\)"):
        repair(np.ones((2, 3)), 0.01)
