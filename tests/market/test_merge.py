"""The total order of several series against a plain sort."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.market.candles import Candles
from gnomon.market.depth import Depth
from gnomon.market.lanes import Lane
from gnomon.market.merge import Stream, merged, streams
from gnomon.market.quotes import Quotes
from gnomon.market.trades import Trades
from gnomon.units import MINUTE_NS, Grid

ONE = Grid.of(1)


def trades(times: list[int], instrument: str = "test:X") -> Trades:
    at, one = np.array(times, np.int64), np.ones(len(times), np.int64)
    return Trades(instrument, ONE, ONE, at, at, one, one, one, one.astype(np.int8), one.astype(np.uint8))


def quotes(times: list[int]) -> Quotes:
    at, one = np.array(times, np.int64), np.ones(len(times), np.int64)
    return Quotes("test:X", ONE, ONE, at, at, one, one, one, one)


def depth(times: list[int]) -> Depth:
    at, one = np.array(times, np.int64), np.ones(len(times), np.int64)
    return Depth("test:X", ONE, ONE, at, at, one.astype(np.int8), one, one, one.astype(np.uint8), one)


def minutes(closes: list[int]) -> Candles:
    at, one = np.array(closes, np.int64), np.ones(len(closes), np.int64)
    columns = (at - MINUTE_NS, at, at, one, one, one, one, one, one, one.astype(np.uint8))
    return Candles("test:X", Timeframe.parse("1m"), "raw", ONE, ONE, ONE, *columns)


def test_bars_close_before_the_prints_of_their_instant_and_prints_come_before_the_book() -> None:
    at = MINUTE_NS
    found = streams([depth([at]), quotes([at]), trades([at]), minutes([at])])
    assert [(key[1].name, key[2]) for key in merged(found, 0, at + 1)] == [
        ("BAR", 3),
        ("PRINT", 2),
        ("BOOK", 0),
        ("BOOK", 1),
    ]


def test_ties_follow_the_registry_and_inside_a_source_the_file() -> None:
    found = streams([trades([5, 5, 6], "test:B"), trades([5, 6], "test:A")])
    assert [(at, source, seq) for at, _, source, seq in merged(found, 0, 9)] == [
        (5, 0, 0),
        (5, 0, 1),
        (5, 1, 0),
        (6, 0, 2),
        (6, 1, 1),
    ]


@given(
    st.lists(st.tuples(st.sampled_from(list(Lane)), st.lists(st.integers(0, 20), max_size=15).map(sorted)), max_size=5),
    st.integers(0, 22),
    st.integers(0, 22),
)
def test_the_merge_is_a_sort_of_the_rows_of_the_window(
    given_streams: list[tuple[Lane, list[int]]], first_ns: int, last_ns: int
) -> None:
    registry = [Stream(number, lane, np.array(times, np.int64)) for number, (lane, times) in enumerate(given_streams)]
    every = [(at, lane, n, seq) for n, (lane, times) in enumerate(given_streams) for seq, at in enumerate(times)]
    expected = sorted(key for key in every if first_ns <= key[0] < last_ns)
    assert list(merged(registry, first_ns, last_ns)) == expected
    for stream in registry:
        rows = stream.rows(first_ns, last_ns)
        inside = [seq for seq, at in enumerate(stream.time_ns.tolist()) if first_ns <= at < last_ns]
        assert list(range(rows.start, rows.stop)) == inside


def test_bars_that_close_out_of_their_order_are_refused() -> None:
    bars = minutes([2 * MINUTE_NS, 3 * MINUTE_NS])
    with pytest.raises(Invalid, match="don't close in their order"):
        streams([replace(bars, close_ns=bars.close_ns[::-1])])
