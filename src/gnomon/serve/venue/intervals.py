"""Intervals of klines: 1s to 1M, on a grid that begins with the epoch, weeks on Mondays, months on the 1st.

A time zone moves the grid: with `+08:00` a day begins at 16:00 UTC. All instants are ns UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from gnomon.clock import Timeframe
from gnomon.serve.venue import codes
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS, WEEK_NS, IntArray

MONTH: Final = 0
"""The length of an interval that has none."""

LENGTHS_NS: Final = {
    "1s": SECOND_NS,
    **{f"{count}m": count * MINUTE_NS for count in (1, 3, 5, 15, 30)},
    **{f"{count}h": count * HOUR_NS for count in (1, 2, 4, 6, 8, 12)},
    "1d": DAY_NS,
    "3d": 3 * DAY_NS,
    "1w": WEEK_NS,
    "1M": MONTH,
}

MONDAY_NS: Final = 4 * DAY_NS
"""1970-01-05."""

WEST_MOST_NS: Final = -12 * HOUR_NS
EAST_MOST_NS: Final = 14 * HOUR_NS

_zone: Final = re.compile(r"([+-]?)([0-9]{1,2})(?::([0-9]{2}))?").fullmatch


@dataclass(frozen=True, slots=True)
class Interval:
    """One grid. Its cells are numbered; the number says nothing but the order."""

    name: str
    length_ns: int
    offset_ns: int = 0

    @classmethod
    def parse(cls, name: str, zone: str = "") -> Interval:
        """-1120 where there is no such interval, -1130 for a time zone that is none."""
        return _interval(name, zone_ns(zone))

    @classmethod
    def of(cls, timeframe: Timeframe) -> Interval:
        """Of a session's candles, whether or not the venue has an interval of that length."""
        return cls("1M", MONTH) if str(timeframe) == "1mo" else cls(str(timeframe), timeframe.nominal_ns)

    @property
    def _shift_ns(self) -> int:
        return self.offset_ns - (MONDAY_NS if self.length_ns == WEEK_NS else 0)

    def cell(self, at_ns: int) -> int:
        """The number of the cell that holds an instant."""
        if self.length_ns:
            return (at_ns + self._shift_ns) // self.length_ns
        return int(np.datetime64(at_ns + self.offset_ns, "ns").astype("datetime64[M]").astype(np.int64))

    def cells(self, at_ns: IntArray) -> IntArray:
        if self.length_ns:
            return (np.asarray(at_ns) + self._shift_ns) // self.length_ns
        return (np.asarray(at_ns) + self.offset_ns).astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)

    def open_ns(self, cell: int) -> int:
        """The first instant of a cell."""
        if self.length_ns:
            return cell * self.length_ns - self._shift_ns
        return int(np.datetime64(cell, "M").astype("datetime64[ns]").astype(np.int64)) - self.offset_ns

    def opens_ns(self, first: int, stop: int) -> IntArray:
        """The first instants of the cells [first, stop)."""
        cells = np.arange(first, stop, dtype=np.int64)
        if self.length_ns:
            return cells * self.length_ns - self._shift_ns
        return cells.astype("datetime64[M]").astype("datetime64[ns]").astype(np.int64) - self.offset_ns


@cache
def _interval(name: str, offset_ns: int) -> Interval:
    if name not in LENGTHS_NS:
        raise codes.invalid_interval()
    length_ns = LENGTHS_NS[name]
    return Interval(name, length_ns, offset_ns % length_ns if length_ns else offset_ns)


def zone_ns(text: str) -> int:
    """`8`, `-1:00`, `+05:45`: how much later than UTC its clocks are."""
    if not text:
        return 0
    match = _zone(text)
    if match is None:
        raise codes.invalid_data("timeZone")
    size = int(match[2]) * HOUR_NS + int(match[3] or 0) * MINUTE_NS
    offset_ns = -size if match[1] == "-" else size
    if int(match[3] or 0) > 59 or not WEST_MOST_NS <= offset_ns <= EAST_MOST_NS:
        raise codes.invalid_data("timeZone")
    return offset_ns
