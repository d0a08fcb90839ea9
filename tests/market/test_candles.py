"""Candles: invariants, values, grids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gnomon.errors import Invalid
from gnomon.market.candles import COLUMNS, UNKNOWN_AMOUNT, Candles, concat
from gnomon.units import HOUR_NS, Grid

MakeCandles = Callable[..., Candles]


def test_sound_bars_pass_the_check(make_candles: MakeCandles) -> None:
    bars = make_candles([100, 101, 102])
    assert bars.check() is bars
    assert len(bars) == 3
    assert len(make_candles([]).check()) == 0


@pytest.mark.parametrize(
    ("change", "row", "rule"),
    [
        ({"open_ns": [0, 2 * HOUR_NS, HOUR_NS]}, 2, "open times must increase strictly"),
        ({"open_ns": [0, HOUR_NS, HOUR_NS]}, 2, "open times must increase strictly"),
        ({"close_ns": [HOUR_NS, HOUR_NS, 3 * HOUR_NS]}, 1, "a bar must close after it opens"),
        ({"knowable_ns": [HOUR_NS, 2 * HOUR_NS, 3 * HOUR_NS - 1]}, 2, "a bar is not knowable before its close"),
        ({"low": [0, 100, 100]}, 0, "prices must be positive"),
        ({"low": [100, 101, 100]}, 1, "low <= open, close <= high"),
        ({"high": [100, 100, 99]}, 2, "low <= open, close <= high"),
        ({"volume": [1, -1, 1]}, 1, "volume must not be negative"),
        ({"amount": [0, -1, -2]}, 2, "amount must not be negative"),
    ],
)
def test_the_first_bar_that_breaks_a_rule_is_named(
    make_candles: MakeCandles, change: dict[str, Any], row: int, rule: str
) -> None:
    with pytest.raises(Invalid, match=rule) as caught:
        make_candles([100, 100, 100], **change).check()
    assert caught.value.detail["row"] == row
    assert f"bar {row}" in caught.value.message


def test_values_are_floats_on_the_grids(make_candles: MakeCandles) -> None:
    bars = make_candles([123, 456], high=[200, 500], low=[100, 400], volume=[7, 8], amount=[UNKNOWN_AMOUNT, 1234])
    unknown = 7 * (1.23 + 2.00 + 1.00 + 1.23) / 4
    assert bars.ohlcva() == pytest.approx(
        np.array([[1.23, 2.0, 1.0, 1.23, 7, unknown], [4.56, 5, 4, 4.56, 8, 12.34]]), rel=1e-15
    )


def test_a_slice_shares_memory_and_a_mask_chooses_rows(make_candles: MakeCandles) -> None:
    bars = make_candles([1, 2, 3, 4])
    assert np.shares_memory(bars.take(slice(1, 3)).close, bars.close)
    assert bars.take(bars.close % 2 == 0).close.tolist() == [2, 4]
    assert bars.take(np.array([3, 0])).close.tolist() == [4, 1]


def test_columns_come_in_their_documented_order_and_types(make_candles: MakeCandles) -> None:
    columns = make_candles([1, 2]).take(np.array([0, 1])).columns()
    assert list(columns) == list(COLUMNS)
    assert all(columns[name].dtype.str == dtype for name, dtype in COLUMNS.items())
    assert all(column.flags.c_contiguous for column in columns.values())


def test_a_finer_grid_keeps_the_values(make_candles: MakeCandles) -> None:
    bars = make_candles([123, 456], volume=[5, 6], amount=[UNKNOWN_AMOUNT, 99])
    finer = bars.regrid(Grid.of("0.0001"), Grid.of("0.5"), Grid.of("0.001"))
    assert np.array_equal(finer.ohlcva(), bars.ohlcva())
    assert finer.close.tolist() == [12300, 45600]
    assert finer.volume.tolist() == [10, 12]
    assert finer.amount.tolist() == [UNKNOWN_AMOUNT, 990]
    assert np.array_equal(bars.regrid(bars.tick, bars.lot, bars.money).close, bars.close)


@pytest.mark.parametrize("tick", ["0.1", "0.003", "1"])
def test_a_grid_that_would_round_is_refused(make_candles: MakeCandles, tick: str) -> None:
    bars = make_candles([123])
    with pytest.raises(Invalid, match="cannot hold values"):
        bars.regrid(Grid.of(tick), bars.lot, bars.money)


@pytest.mark.parametrize("tick", ["1e-18", "1e-30"])
def test_counts_that_would_overflow_are_refused(make_candles: MakeCandles, tick: str) -> None:
    bars = make_candles([10**9])
    with pytest.raises(Invalid, match="overflow"):
        bars.regrid(Grid.of(tick), bars.lot, bars.money)


def test_parts_join_into_one_series(make_candles: MakeCandles) -> None:
    bars = make_candles([1, 2, 3, 4])
    joined = concat([bars.take(slice(0, 1)), bars.take(slice(1, 4))])
    assert all(np.array_equal(getattr(joined, name), getattr(bars, name)) for name in COLUMNS)
    with pytest.raises(AssertionError):
        concat([bars, make_candles([5], money=Grid.of(1))])
