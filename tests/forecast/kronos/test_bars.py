"""Frames as arrays: columns, wall clocks and the normalisation of a look-back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import Invalid
from gnomon.forecast.kronos.bars import CLIP, Normalised, series_of, stamps

HOURS = pd.date_range("2024-02-28 21:00", periods=8, freq="h")


def frame(**changed) -> pd.DataFrame:
    rows = {
        name: np.arange(1.0, 6.0) + shift for name, shift in (("open", 0), ("high", 2), ("low", -0.5), ("close", 1))
    }
    return pd.DataFrame(rows | {"volume": np.full(5, 3.0), "amount": np.full(5, 7.0)} | changed, index=HOURS[:5])


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=50))
def test_stamps_are_those_of_a_calendar(times):
    index = pd.DatetimeIndex(np.array(times, "datetime64[ns]"))
    expected = np.stack([index.minute, index.hour, index.day_of_week, index.day, index.month], axis=-1)
    assert np.array_equal(stamps(np.array(times, np.int64)), expected)


def test_a_frame_is_its_six_columns_and_all_its_times():
    series = series_of(frame(), HOURS[5:])
    assert np.array_equal(series.bars, frame().to_numpy())
    assert np.array_equal(series.local_ns, HOURS.as_unit("ns").asi8)
    assert series.horizon_bars == 3


def test_what_is_not_given_of_volume_and_amount_is_filled_in_as_the_reference_does():
    without = series_of(frame().drop(columns=["volume", "amount"]), HOURS[5:])
    assert not without.bars[:, 4:].any()
    alone = series_of(frame().drop(columns="amount"), HOURS[5:])
    assert np.array_equal(alone.bars[:, 5], 3.0 * frame()[["open", "high", "low", "close"]].mean(axis=1))
    assert not series_of(frame().drop(columns="volume"), HOURS[5:]).bars[:, 4:].any()


@pytest.mark.parametrize("name", ["timestamps", "timestamp"])
def test_times_may_be_a_column(name):
    table = frame().reset_index(drop=True)
    table[name] = HOURS[:5]
    assert np.array_equal(series_of(table, HOURS[5:]).local_ns, series_of(frame(), HOURS[5:]).local_ns)


def test_times_are_read_as_the_wall_clock_shows_them():
    zoned = frame().tz_localize("America/New_York")
    assert np.array_equal(series_of(zoned, HOURS[5:].tz_localize("Asia/Tokyo")).local_ns, HOURS.as_unit("ns").asi8)


def test_the_key_is_that_of_the_bars_and_not_of_the_future():
    one = series_of(frame(), HOURS[5:])
    assert series_of(frame(), HOURS[5:6]).key == one.key
    assert series_of(frame(close=np.arange(2.0, 7.0) + 1e-9), HOURS[5:]).key != one.key


@pytest.mark.parametrize(
    "table, future, said",
    [
        (frame().drop(columns="low"), HOURS[5:], "no column 'low'"),
        (frame().iloc[:0], HOURS[5:], "no rows"),
        (frame(high=[1, np.nan, 3, 4, 5]), HOURS[5:], "high of row 1 is nan"),
        (frame(volume=[1, 2, 3, np.inf, 5]), HOURS[5:], "volume of row 3 is inf"),
        (frame().reset_index(drop=True), HOURS[5:], "has no times"),
        (frame(), HOURS[:0], "no future_timestamps"),
        (frame(), HOURS[4:], "future_timestamps row 0 at 2024-02-29T01:00"),
        (frame().iloc[::-1], HOURS[5:], "bars row 1 at"),
        (frame(), ["soon"], "future_timestamps: no times"),
        (frame(), [None], "future_timestamps: row 0 has no time"),
    ],
)
def test_what_breaks_a_rule_is_named(table, future, said):
    with pytest.raises(Invalid) as caught:
        series_of(table, future)
    assert said in caught.value.message
    assert caught.value.hint


def test_a_look_back_is_normalised_in_float32_and_clipped():
    luck = np.random.default_rng(0)
    bars = luck.lognormal(8, 2, (300, 6))
    found = Normalised.of(bars)
    mean, std = bars.astype(np.float32).mean(axis=0), bars.astype(np.float32).std(axis=0)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(found.std, std, rtol=1e-5)
    np.testing.assert_allclose(found.x, np.clip((bars - mean) / (std + 1e-5), -5, 5), rtol=1e-4, atol=1e-4)
    assert found.x.max() == CLIP
    inside = np.abs(found.x) < CLIP
    np.testing.assert_allclose(found.prices(found.x)[inside], bars[inside], rtol=1e-4, atol=1e-2)


def test_a_column_that_never_moves_is_zero():
    found = Normalised.of(np.full((10, 6), 3.0))
    assert not found.x.any()
    np.testing.assert_allclose(found.prices(np.zeros((2, 6), np.float32)), 3.0)
