"""Search: the first print that concerns an own order, by NumPy and compiled, against reading row by row."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.replay.scene import linear, rough_bars, rough_prints

from gnomon.exchange import kernels, search
from gnomon.exchange.bars import Bars
from gnomon.exchange.prints import Prints
from gnomon.exchange.thresholds import IDLE, NEVER_DOWN, NEVER_UP, Thresholds
from gnomon.market.block_index import BlockIndex
from gnomon.replay.engine import Search

SEARCHES = {"jump": search.first_crossing, "kernel": kernels.first_crossing}
of_both = pytest.mark.parametrize("first_crossing", SEARCHES.values(), ids=SEARCHES)


def indexed(rows: Prints | Bars) -> BlockIndex:
    if isinstance(rows, Bars):
        return BlockIndex.of_ranges(rows.low, rows.high, rows.volume)
    return BlockIndex.of_prints(rows.price, rows.lots, rows.side)


def flat(n: int, side: int = -1) -> Prints:
    return Prints(np.arange(n, dtype=np.int64), np.full(n, 100), np.ones(n, np.int64), np.full(n, side, np.int8))


EDGES = (0, 1, 63, 64, 65, 127, 128, 255, 256, 257, 4_095, 4_096, 4_097, 8_192, 12_287, 12_288)


@of_both
@pytest.mark.parametrize("hit", EDGES)
def test_a_single_print_is_found_at_the_edges_of_blocks(first_crossing: Search, hit: int) -> None:
    prints = flat(12_300)
    prints.price[hit] = 90
    index, wanted = indexed(prints), Thresholds(bid=90)
    for start, stop in product(EDGES, (*EDGES, 12_300)):
        if start <= stop:
            expected = hit if start <= hit < stop else stop
            assert first_crossing(prints, index, start, stop, wanted) == expected, (start, stop)


@of_both
@pytest.mark.parametrize("hit", [262_143, 262_144, 262_145, 266_240, 524_287, 524_288, 599_999, None])
def test_the_coarsest_blocks_are_skipped_and_left_at_their_edges(first_crossing: Search, hit: int | None) -> None:
    prints = flat(600_000)
    if hit is not None:
        prints.price[hit] = 111
    index, wanted = indexed(prints), Thresholds(up=111)
    for start in (0, 1, 64, 4_096, 200_000, 262_143, 262_144, 262_145):
        expected = 600_000 if hit is None or hit < start else hit
        assert first_crossing(prints, index, start, 600_000, wanted) == expected, start
        if hit is not None and start <= hit:
            assert first_crossing(prints, index, start, hit, wanted) == hit
            assert first_crossing(prints, index, start, hit + 1, wanted) == hit


@of_both
@pytest.mark.parametrize(("side", "wanted"), [(1, Thresholds(bid=100)), (-1, Thresholds(ask=100))])
def test_an_empty_side_is_never_reached(first_crossing: Search, side: int, wanted: Thresholds) -> None:
    """Buyers' prints reach no bid, sellers' no ask."""
    prints = flat(9_000, side)
    assert first_crossing(prints, indexed(prints), 3, 9_000, wanted) == 9_000


@of_both
@pytest.mark.parametrize("wanted", [Thresholds(bid=100), Thresholds(ask=100)])
def test_a_print_of_unknown_side_counts_for_both(first_crossing: Search, wanted: Thresholds) -> None:
    prints = flat(9_000, 0)
    assert first_crossing(prints, indexed(prints), 4_097, 9_000, wanted) == 4_097


@of_both
def test_nothing_waits_and_nothing_is_found(first_crossing: Search) -> None:
    prints = rough_prints(1, 5_000)
    assert first_crossing(prints, indexed(prints), 0, 5_000, IDLE) == 5_000
    assert first_crossing(prints, indexed(prints), 17, 17, Thresholds(bid=NEVER_UP - 1)) == 17


TAPES = {
    **{f"prints {seed}": rough_prints(seed, 10_000) for seed in range(3)},
    **{f"bars {seed}": rough_bars(seed, 10_000) for seed in range(2)},
}
INDEXES = {name: indexed(rows) for name, rows in TAPES.items()}


@of_both
@given(
    name=st.sampled_from(sorted(TAPES)),
    start=st.integers(0, 10_000),
    length=st.integers(0, 10_000),
    off=st.tuples(*[st.integers(-400, 400)] * 4),
    has=st.tuples(*[st.booleans()] * 4),
)
def test_it_finds_what_a_linear_scan_finds(
    first_crossing: Search, name: str, start: int, length: int, off: tuple[int, ...], has: tuple[bool, ...]
) -> None:
    rows = TAPES[name]
    column = rows.close if isinstance(rows, Bars) else rows.price
    middle = int(column[start % 10_000])
    signs = (-1, 1, 1, -1)
    at = [middle + sign * abs(by) for sign, by in zip(signs, off, strict=True)]
    never = (NEVER_DOWN, NEVER_UP, NEVER_UP, NEVER_DOWN)
    wanted = Thresholds(*(price if is_set else none for price, is_set, none in zip(at, has, never, strict=True)))
    stop = min(10_000, start + length)
    assert first_crossing(rows, INDEXES[name], start, stop, wanted) == linear(rows, INDEXES[name], start, stop, wanted)
