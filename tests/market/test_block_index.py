"""The block index against loops over plain lists."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.market import block_index
from gnomon.market.block_index import BLOCKS, BOUNDS, NO_MAXIMUM, NO_MINIMUM, BlockIndex, Bounds, window_index
from gnomon.market.candles import Candles
from gnomon.market.trades import Trades
from gnomon.units import INT64_MAX, MINUTE_NS, Grid

Row = tuple[int, int, int]  # price, size, side


def trades(rows: Sequence[Row], dtype: str = "<i8") -> Trades:
    price, size, side = np.array(rows, np.int64).reshape(-1, 3).T
    n = len(rows)
    return Trades(
        instrument="test:X",
        tick=Grid.of("0.1"),
        lot=Grid.of("0.001"),
        time_ns=np.arange(n, dtype=np.int64),
        received_ns=np.arange(n, dtype=np.int64),
        id=np.arange(n, dtype=np.int64),
        price=price.astype(dtype),
        size=size.astype(dtype),
        side=side.astype(np.int8),
        flags=np.zeros(n, np.uint8),
    )


def naive(rows: Sequence[Row]) -> tuple[int, int, int, int, int]:
    return (
        min((price for price, _, side in rows if side in (-1, 0)), default=NO_MINIMUM),
        max((price for price, _, side in rows if side in (1, 0)), default=NO_MAXIMUM),
        min((price for price, _, _ in rows), default=NO_MINIMUM),
        max((price for price, _, _ in rows), default=NO_MAXIMUM),
        min(sum(size for _, size, _ in rows), INT64_MAX),
    )


def listed(bounds: Bounds) -> list[tuple[int, ...]]:
    return [tuple(column) for column in bounds.table.T.tolist()]


def random_rows(n: int, seed: int) -> list[Row]:
    rng = np.random.default_rng(seed)
    price = 600_000 + np.cumsum(rng.choice([-1, 0, 0, 1], n))
    side = rng.choice([-1, 0, 1], n, p=[0.49, 0.02, 0.49])
    side[n // 3 : n // 2] = 1  # whole blocks that no seller began
    return list(zip(price.tolist(), rng.integers(0, 90, n).tolist(), side.tolist(), strict=True))


@pytest.mark.parametrize(
    ("n", "dtype"),
    [
        *(
            (n, "<i4")
            for n in (
                0,
                1,
                63,
                64,
                65,
                4_095,
                4_096,
                4_097,
            )
        ),
        *((n, "<i8") for n in (0, 65, 4_097, 262_143, 262_145)),
    ],
)
def test_every_level_is_the_naive_minimum_and_maximum_at_its_block_edges(n: int, dtype: str) -> None:
    rows = random_rows(n, seed=n)
    index = BlockIndex.of(trades(rows, dtype))
    assert index.rows == n
    for length, level in zip(BLOCKS, index.levels, strict=True):
        assert listed(level) == [naive(rows[start : start + length]) for start in range(0, n, length)]
        assert level.table.dtype == np.int64


def test_a_block_without_sellers_has_no_lowest_sale() -> None:
    index = BlockIndex.of(trades([(7, 2, 1)] * 64 + [(9, 1, -1)] * 64))
    first, second = listed(index.levels[0])
    assert first == (NO_MINIMUM, 7, 7, 7, 128)
    assert second == (9, NO_MAXIMUM, 9, 9, 64)
    assert listed(index.levels[1]) == [(9, 7, 7, 9, 192)]


def test_an_unknown_side_counts_for_both() -> None:
    assert listed(BlockIndex.of(trades([(7, 2, 0)])).levels[0]) == [(7, 7, 7, 7, 2)]


def test_the_largest_price_of_a_narrow_column_is_a_price() -> None:
    top = 2**31 - 1
    assert listed(BlockIndex.of(trades([(top, 1, -1)], "<i4")).levels[2]) == [(top, NO_MAXIMUM, top, top, 1)]


@given(st.lists(st.integers(0, INT64_MAX), min_size=1, max_size=200))
def test_sums_are_exact_and_held_at_the_largest_integer(sizes: list[int]) -> None:
    rows = [(5, size, 0) for size in sizes]
    for length, level in zip(BLOCKS, BlockIndex.of(trades(rows)).levels, strict=True):
        assert listed(level) == [naive(rows[start : start + length]) for start in range(0, len(rows), length)]


def test_bars_are_indexed_by_their_lows_and_highs() -> None:
    n = 5_000
    rng = np.random.default_rng(1)
    close = 1_000 + rng.integers(0, 50, n)
    low, high, volume = close - rng.integers(0, 9, n), close + rng.integers(0, 9, n), rng.integers(0, 9, n)
    opens = np.arange(n, dtype=np.int64) * MINUTE_NS
    grid = Grid.of(1)
    bars = Candles(
        "test:X",
        Timeframe.parse("1m"),
        "raw",
        grid,
        grid,
        grid,
        opens,
        opens + MINUTE_NS,
        opens + MINUTE_NS,
        *(close, high, low, close, volume, np.full(n, -1)),
        np.zeros(n, np.uint8),
    )
    for length, level in zip(BLOCKS, BlockIndex.of(bars).levels, strict=True):
        expected = [
            (min(low[a : a + length]), max(high[a : a + length])) * 2 + (sum(volume[a : a + length]),)
            for a in range(0, n, length)
        ]
        assert listed(level) == expected


def test_columns_of_two_lengths_are_refused() -> None:
    good = trades([(1, 1, 0)] * 3)
    with pytest.raises(Invalid, match=r"\[3, 2, 3\] rows"):
        BlockIndex.of_prints(good.price, good.size[:2], good.side)
    with pytest.raises(Invalid, match="cannot be indexed together"):
        BlockIndex.of_ranges(good.price, good.price[:1], good.size)


def test_an_index_that_does_not_fit_its_rows_is_refused() -> None:
    index = BlockIndex.of(trades([(1, 1, 0)] * 65))
    with pytest.raises(Invalid, match=r"129 rows has \[3, 1, 1\] blocks, received \[2, 1, 1\]"):
        BlockIndex(129, index.levels)
    with pytest.raises(Invalid, match="bounds are 5 rows of int64"):
        Bounds(np.zeros((5, 2), np.int32))  # type: ignore[arg-type]  # what a foreign file may hold


def test_the_digest_moves_with_the_rows_and_with_every_bound() -> None:
    index = BlockIndex.of(trades(random_rows(200, seed=3)))
    assert index.digest() == BlockIndex.of(trades(random_rows(200, seed=3), "<i4")).digest()
    seen = {index.digest(), BlockIndex(199, index.levels).digest()}
    for number, level in enumerate(index.levels):
        for bound in range(len(BOUNDS)):
            table = level.table.copy()
            table[bound, -1] += 1
            levels = tuple(Bounds(table) if n == number else one for n, one in enumerate(index.levels))
            seen.add(BlockIndex(200, levels).digest())
    assert len(seen) == 2 + len(BLOCKS) * len(BOUNDS)


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 5), st.integers(-1, 1)), max_size=40),
    st.lists(st.integers(0, 40), max_size=12),
)
def test_windows_are_the_naive_bounds_of_their_rows(rows: list[Row], cuts: list[int]) -> None:
    edges = sorted(min(cut, len(rows)) for cut in cuts)
    expected = [naive(rows[a:b]) for a, b in itertools.pairwise(edges)]
    assert listed(window_index(trades(rows), edges)) == expected


@pytest.mark.parametrize("every", [1, 100, 999, 1_000, 1_001, 5_000])
def test_windows_hold_across_the_pieces_they_are_read_in(every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_index, "_CHUNK", 1_000)
    rows = random_rows(6_000, seed=8)
    edges = np.arange(17, len(rows), every)
    expected = [naive(rows[a:b]) for a, b in itertools.pairwise(edges)]
    assert listed(window_index(trades(rows, "<i4"), edges)) == expected


@pytest.mark.parametrize("positions", [[-1, 2], [0, 4], [2, 1]])
def test_positions_outside_the_rows_or_out_of_order_are_refused(positions: list[int]) -> None:
    with pytest.raises(Invalid, match="must not go back and must lie in 0 to 3"):
        window_index(trades([(1, 1, 0)] * 3), positions)
