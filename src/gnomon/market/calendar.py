"""Trading calendars as values: session opens and closes in UTC nanoseconds. They own every future timestamp.

`Sessions` is computed at the edge (`sources.sessions`) and passed in, so that nothing here needs a time-zone database.

| timeframe            | bars                                                                               |
|----------------------|------------------------------------------------------------------------------------|
| below a day          | cut from each session's open; the last one ends at the session's close, however short |
| one day              | one a date, from its first open to its last close                                  |
| several days, weeks  | sessions grouped by their date (weeks begin on Monday)                             |
| months               | sessions grouped by the calendar month of their date                               |

A group that the range of the calendar may have cut short (its first or last week, say) is no bar: its true open or
close is not known here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from gnomon.clock import Timeframe, iso
from gnomon.errors import Invalid
from gnomon.units import DAY_NS, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Scheduled bars: opens and closes (n,), UTC ns, oldest first."""

    open_ns: IntArray
    close_ns: IntArray

    def __len__(self) -> int:
        return len(self.open_ns)


@dataclass(frozen=True, slots=True)
class Hours:
    """When a market is open: intervals [open, close) in UTC ns, in order, none touching the next.

    A market that never closes has none of these. A halt is a hole in them.
    """

    open_ns: tuple[int, ...]
    close_ns: tuple[int, ...]

    @classmethod
    def of(cls, intervals: Iterable[tuple[int, int]]) -> Hours:
        """From intervals in order; those that touch become one. `Invalid` where one is empty or overlaps the last."""
        opens: list[int] = []
        closes: list[int] = []
        for start, end in intervals:
            if start >= end or (closes and start < closes[-1]):
                raise Invalid(f"trading hours from {start} to {end}", hint="intervals [open, close) in order, in ns")
            if closes and start == closes[-1]:
                closes[-1] = end
            else:
                opens.append(start)
                closes.append(end)
        return cls(tuple(opens), tuple(closes))

    def is_open(self, time_ns: int) -> bool:
        index = bisect_right(self.open_ns, time_ns) - 1
        return index >= 0 and time_ns < self.close_ns[index]

    def next_open_ns(self, time_ns: int) -> int:
        """The first instant from `time_ns` on at which it is open; 0 where none is known."""
        if self.is_open(time_ns):
            return time_ns
        index = bisect_right(self.open_ns, time_ns)
        return self.open_ns[index] if index < len(self.open_ns) else 0

    def without(self, start_ns: int, end_ns: int) -> Hours:
        """The same but for a halt [start, end)."""
        left = [(start, min(end, start_ns)) for start, end in self._intervals() if start < start_ns]
        return Hours.of(left + [(max(start, end_ns), end) for start, end in self._intervals() if end > end_ns])

    def document(self) -> dict[str, object]:
        """How many intervals, and what they are: a BLAKE2b-256 of their ends as int64, little-endian."""
        ends = np.array([self.open_ns, self.close_ns], "<i8")
        return {"intervals": len(self.open_ns), "digest": blake2b(ends.tobytes(), digest_size=32).hexdigest()}

    def _intervals(self) -> Iterable[tuple[int, int]]:
        return zip(self.open_ns, self.close_ns, strict=True)


@dataclass(frozen=True, slots=True, eq=False)
class Sessions:
    """The sessions of one calendar, oldest first.

    `day` is the session's date in days since 1970-01-01; `offset_ns` what is added to UTC to read the clock on the wall
    of the stamp zone from the session's open on. All arrays have one entry a session. A date whose session is cut by a
    lunch break has two entries; it is one day all the same wherever days are counted.
    """

    name: str
    open_ns: IntArray
    close_ns: IntArray
    day: IntArray
    offset_ns: IntArray
    _grouped: dict[Timeframe, tuple[IntArray, Bars]] = field(default_factory=dict, repr=False)
    _counted: dict[tuple[Timeframe, int], int] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        assert len(self.open_ns) == len(self.close_ns) == len(self.day) == len(self.offset_ns) > 0
        assert (self.close_ns > self.open_ns).all()
        assert (self.open_ns[1:] >= self.close_ns[:-1]).all()
        assert (np.diff(self.day) >= 0).all()

    def newest_closed_ns(self, timeframe: Timeframe, as_of_ns: int) -> int:
        """Close of the newest scheduled bar that is closed at `as_of_ns`: the `data_cutoff` of that instant."""
        self._require(as_of_ns)
        if not timeframe.is_intraday:
            closes = self._daily(timeframe).close_ns
            index = int(np.searchsorted(closes, as_of_ns, side="right")) - 1
            return int(closes[index]) if index >= 0 else self._too_early(as_of_ns)
        index = int(np.searchsorted(self.open_ns, as_of_ns, side="right")) - 1
        opened_ns, closed_ns = int(self.open_ns[index]), int(self.close_ns[index])
        if as_of_ns >= closed_ns:
            return closed_ns
        whole_bars = (as_of_ns - opened_ns) // timeframe.nominal_ns
        if whole_bars:
            return opened_ns + whole_bars * timeframe.nominal_ns
        return int(self.close_ns[index - 1]) if index else self._too_early(as_of_ns)

    def future(self, timeframe: Timeframe, cutoff_ns: int, horizon: int) -> Bars:
        """The `horizon` bars after the cutoff: the first is the one that opens at or after it."""
        self._require(cutoff_ns)
        if not timeframe.is_intraday:
            bars = self._daily(timeframe)
            first = int(np.searchsorted(bars.open_ns, cutoff_ns))
            chosen = Bars(bars.open_ns[first : first + horizon], bars.close_ns[first : first + horizon])
        else:
            chosen = self._intraday_after(timeframe, cutoff_ns, horizon)
        if len(chosen) < horizon:
            raise Invalid(
                f"calendar {self.name} ends at {iso(int(self.close_ns[-1]))}, before {horizon} bars of {timeframe}",
                hint="ask for fewer steps or compute the calendar further",
            )
        return chosen

    def between(self, timeframe: Timeframe, first_ns: int, last_ns: int) -> Bars:
        """The bars that open at or after `first_ns` and close at or before `last_ns`."""
        if not timeframe.is_intraday:
            bars = self._daily(timeframe)
        else:
            first = int(np.searchsorted(self.close_ns, first_ns, side="right"))
            last = int(np.searchsorted(self.open_ns, last_ns, side="left"))
            bars = self._cut(timeframe, first, last)
        inside = (bars.open_ns >= first_ns) & (bars.close_ns <= last_ns)
        return Bars(bars.open_ns[inside], bars.close_ns[inside])

    def of_days(self, days: IntArray, timeframe: Timeframe | None = None) -> tuple[Bars, IntArray]:
        """The bars that hold the given dates (days since 1970-01-01), and the indices of dates that no bar holds.

        The timeframe is one day unless given; a date lies in a week or month also when it is no session itself.
        """
        known, bars = self._groups(timeframe or _ONE_DAY)
        group = _group_of(days, timeframe or _ONE_DAY)
        index = np.minimum(np.searchsorted(known, group), len(known) - 1)
        absent = np.flatnonzero(known[index] != group)
        return Bars(bars.open_ns[index], bars.close_ns[index]), absent

    def hours(self, first_ns: int, last_ns: int) -> Hours:
        """The intervals of trading that have a part in [first, last], and the one after them."""
        first = int(np.searchsorted(self.close_ns, first_ns, side="right"))
        last = int(np.searchsorted(self.open_ns, last_ns, side="right")) + 1
        return Hours.of(zip(self.open_ns[first:last].tolist(), self.close_ns[first:last].tolist(), strict=True))

    def local_ns(self, at_ns: IntArray) -> IntArray:
        """What the clock on the wall of the stamp zone reads at each instant, as if it were UTC."""
        index = np.clip(np.searchsorted(self.open_ns, at_ns, side="right") - 1, 0, len(self.open_ns) - 1)
        return at_ns + self.offset_ns[index]

    def bars_in_sessions(self, timeframe: Timeframe, count: int) -> int:
        """How many bars of the timeframe `count` ordinary days of trading hold, at least one."""
        if (timeframe, count) not in self._counted:
            self._counted[timeframe, count] = self._count(timeframe, count)
        return self._counted[timeframe, count]

    # --- inside ---------------------------------------------------------------------------------------------------

    def _count(self, timeframe: Timeframe, count: int) -> int:
        first = np.flatnonzero(np.diff(self.day, prepend=self.day[0] - 1))  # of each date
        if not timeframe.is_intraday:
            return max(1, round(count * len(self._daily(timeframe)) / len(first)))
        recent = first[-250:]
        counts = -(-(self.close_ns - self.open_ns)[recent[0] :] // timeframe.nominal_ns)
        return max(1, count * int(np.median(np.add.reduceat(counts, recent - recent[0]))))

    def _require(self, at_ns: int) -> None:
        if not self.open_ns[0] <= at_ns <= self.close_ns[-1]:
            raise Invalid(
                f"{iso(at_ns)} lies outside calendar {self.name}",
                hint=f"it runs from {iso(int(self.open_ns[0]))} to {iso(int(self.close_ns[-1]))}",
            )

    def _too_early(self, at_ns: int) -> int:
        raise Invalid(f"no bar of calendar {self.name} has closed by {iso(at_ns)}", hint="choose a later instant")

    def _intraday_after(self, timeframe: Timeframe, cutoff_ns: int, horizon: int) -> Bars:
        first = int(np.searchsorted(self.close_ns, cutoff_ns, side="right"))  # this session may be running
        enough = slice(first, first + horizon + 1)  # each holds a bar at least, and the first may have none left
        counts = -(-(self.close_ns[enough] - self.open_ns[enough]) // timeframe.nominal_ns)
        begun = max(0, -(-(cutoff_ns - int(self.open_ns[first])) // timeframe.nominal_ns)) if len(counts) else 0
        needed = int(np.searchsorted(np.cumsum(counts), begun + horizon)) + 1
        bars = self._cut(timeframe, first, first + min(needed, len(counts)))
        start = int(np.searchsorted(bars.open_ns, cutoff_ns))
        return Bars(bars.open_ns[start : start + horizon], bars.close_ns[start : start + horizon])

    def _cut(self, timeframe: Timeframe, first: int, last: int) -> Bars:
        """Intraday bars of the sessions [first, last)."""
        opened, closed = self.open_ns[first:last], self.close_ns[first:last]
        counts = -(-(closed - opened) // timeframe.nominal_ns)
        within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        open_ns = np.repeat(opened, counts) + within * timeframe.nominal_ns
        return Bars(open_ns, np.minimum(open_ns + timeframe.nominal_ns, np.repeat(closed, counts)))

    def _daily(self, timeframe: Timeframe) -> Bars:
        return self._groups(timeframe)[1]

    def _groups(self, timeframe: Timeframe) -> tuple[IntArray, Bars]:
        """The numbers of the groups (see `_group_of`) and their bars."""
        if timeframe not in self._grouped:
            group = _group_of(self.day, timeframe)
            first = np.flatnonzero(np.diff(group, prepend=group[0] - 1))
            last = np.append(first[1:] - 1, len(group) - 1)
            before, after = _group_of(np.array([self.day[0] - 1, self.day[-1] + 1]), timeframe)
            whole = slice(int(before == group[0]), len(first) - int(after == group[-1]))
            bars = Bars(self.open_ns[first[whole]], self.close_ns[last[whole]])
            self._grouped[timeframe] = group[first[whole]], bars
        return self._grouped[timeframe]


_ONE_DAY = Timeframe.of_ns(DAY_NS)


def _group_of(day: IntArray, timeframe: Timeframe) -> IntArray:
    if timeframe.unit == "mo":
        months = day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
        return months // timeframe.count
    if timeframe.nominal_ns % (7 * DAY_NS) == 0:
        return (day + 3) // (timeframe.nominal_ns // DAY_NS)  # 1970-01-01 was a Thursday
    return day // (timeframe.nominal_ns // DAY_NS)


def always(first_day: int, last_day: int) -> Sessions:
    """The calendar that never closes: a session each UTC day, dates in days since 1970-01-01, both included."""
    day = np.arange(first_day, last_day + 1, dtype=np.int64)
    return Sessions("always", day * DAY_NS, (day + 1) * DAY_NS, day, np.zeros_like(day))
