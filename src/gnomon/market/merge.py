"""Several series in one total order: `(time_ns, lane, source, seq)`.

The replay jumps from decision to decision, so it never merges print by print: it asks each stream which rows lie in a
window. `merged` is the order itself, one key at a time, for tests and for whoever wants to see it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gnomon.errors import Invalid
from gnomon.market.candles import Candles
from gnomon.market.dataset import AnySeries
from gnomon.market.depth import Depth
from gnomon.market.lanes import Lane
from gnomon.market.quotes import Quotes
from gnomon.units import IntArray

Key = tuple[int, Lane, int, int]
"""Time in ns, lane, source, and the position in its source. Unique, so keys order without looking at what they key."""


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """The times of one series under its number in the registry; `seq` is the row."""

    source: int
    lane: Lane
    time_ns: IntArray  # never decreasing

    def key(self, seq: int) -> Key:
        return int(self.time_ns[seq]), self.lane, self.source, seq

    def rows(self, first_ns: int, last_ns: int) -> slice:
        """The rows with `first_ns <= time_ns < last_ns`."""
        first, stop = np.searchsorted(self.time_ns, [first_ns, last_ns]).tolist()
        return slice(first, max(first, stop))


def streams(series: Sequence[AnySeries]) -> list[Stream]:
    """A stream a series, numbered in the order given: that order is the registry, and it decides ties.

    Prints are of the lane PRINT, quotes and depth of BOOK; a bar is of BAR, at its close. Raises `Invalid` where the
    bars of a series don't close in their order.
    """
    return [Stream(number, *_times(one)) for number, one in enumerate(series)]


def merged(streams: Sequence[Stream], first_ns: int, last_ns: int) -> Iterator[Key]:
    """The keys of all rows of the window `[first_ns, last_ns)`, in the total order."""
    return heapq.merge(*(_keys(one, one.rows(first_ns, last_ns)) for one in streams))


# --- inside -----------------------------------------------------------------------------------------------------


def _times(series: AnySeries) -> tuple[Lane, IntArray]:
    if isinstance(series, Candles):
        if (np.diff(series.close_ns) < 0).any():
            raise Invalid(
                f"bars of {' '.join(series.key)} don't close in their order", hint="take one revision of each bar"
            )
        return Lane.BAR, series.close_ns
    return (Lane.BOOK if isinstance(series, Quotes | Depth) else Lane.PRINT), series.time_ns


def _keys(stream: Stream, rows: slice) -> Iterator[Key]:
    return (stream.key(seq) for seq in range(rows.start, rows.stop))
