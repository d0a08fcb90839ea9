"""Spans: what was traded in any stretch of time, exactly, without walking all prints for every question.

Prints are summed by minute, a day of minutes at a time, when a question first touches the day. Sums of ticks times lots
may leave int64, so they are kept as two columns and put together as Python integers.

Where an instrument has candles only, a span holds those that lie in it whole. What they do not say is assumed: they
traded at the mean of their four prices, half of it by buyers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from gnomon.exchange.bars import Bars
from gnomon.exchange.prints import Prints
from gnomon.units import DAY_NS, INT64_MAX, MINUTE_NS, IntArray

FEW: Final = 512
"""So many prints are summed one by one."""

MOST_KEPT: Final = 256
DAYS_KEPT: Final = 64
SPLIT: Final = 20
LOW_BITS: Final = (1 << SPLIT) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Stretches in order, each with something traded in it. `x_high * 2^20 + x_low` is a sum of ticks times lots.

    `[first, stop)` are positions of prints; both 0 where there are none.
    """

    at_ns: IntArray
    first: IntArray
    stop: IntArray
    open: IntArray
    high: IntArray
    low: IntArray
    close: IntArray
    lots: IntArray
    worth_high: IntArray
    worth_low: IntArray
    bought: IntArray
    bought_high: IntArray
    bought_low: IntArray

    def __len__(self) -> int:
        return len(self.at_ns)

    def take(self, rows: slice | IntArray | npt.NDArray[np.bool_]) -> Rows:
        return Rows(*(getattr(self, name)[rows] for name in _COLUMNS))

    def grouped(self, cells: IntArray) -> tuple[IntArray, Rows]:
        """Neighbours of one cell made one row, and the cells that are there."""
        if not len(cells):
            return cells, self
        starts = np.flatnonzero(np.diff(cells, prepend=cells[0] - 1))
        ends = np.append(starts[1:], len(cells)) - 1
        sums = (np.add.reduceat(getattr(self, name), starts) for name in _SUMS)
        return cells[starts], Rows(
            self.at_ns[starts], self.first[starts], self.stop[ends], self.open[starts],
            np.maximum.reduceat(self.high, starts), np.minimum.reduceat(self.low, starts), self.close[ends], *sums,
        )  # fmt: skip


_COLUMNS: Final = tuple(one.name for one in fields(Rows))
_SUMS: Final = _COLUMNS[_COLUMNS.index("lots") :]


def joined(parts: Sequence[Rows]) -> Rows:
    """In time order."""
    if len(parts) == 1:
        return parts[0]
    return Rows(*(np.concatenate([getattr(one, name) for one in parts]) for name in _COLUMNS))


class Totals(NamedTuple):
    """Of a stretch of time, in ticks, lots and ticks times lots; prices 0 where nothing was traded in it."""

    first: int = 0
    stop: int = 0
    open: int = 0
    high: int = 0
    low: int = 0
    close: int = 0
    lots: int = 0
    worth: int = 0
    bought: int = 0
    bought_worth: int = 0

    @property
    def is_empty(self) -> bool:
        return not self.open


EMPTY: Final = Totals()


def added(parts: Iterable[Totals]) -> Totals:
    """Of stretches in time order."""
    told = [one for one in parts if not one.is_empty]
    if len(told) < 2:
        return told[0] if told else EMPTY
    return Totals(
        told[0].first, told[-1].stop, told[0].open, max(one.high for one in told), min(one.low for one in told),
        told[-1].close, *(sum(column) for column in zip(*(one[6:] for one in told), strict=True)),
    )  # fmt: skip


def totals(parts: Iterable[Rows]) -> Totals:
    """Of rows in time order."""
    told = [one for one in parts if len(one)]
    if not told:
        return EMPTY
    sums = [sum(int(getattr(one, name).sum()) for one in told) for name in _SUMS]
    lots, worth_high, worth_low, bought, bought_high, bought_low = sums
    return Totals(
        told[0].first.item(0), told[-1].stop.item(-1), told[0].open.item(0),
        max(int(one.high.max()) for one in told), min(int(one.low.min()) for one in told), told[-1].close.item(-1),
        lots, (worth_high << SPLIT) + worth_low, bought, (bought_high << SPLIT) + bought_low,
    )  # fmt: skip


class Spans(Protocol):
    """What a market's history answers."""

    @property
    def begins_ns(self) -> int:
        """An instant in the first row; INT64_MAX where there is no row."""
        ...

    def totals(self, from_ns: int, now_ns: int, /) -> Totals:
        """Of what was traded at `from` or later and is known at `now`."""
        ...

    def rows(self, from_ns: int, until_ns: int, grain_ns: int, /) -> Rows:
        """What was traded in [from, until), in rows no longer than the grain. From a minute on all three are whole
        minutes."""
        ...

    def close_before(self, at_ns: int, /) -> int:
        """The last price before anything of an instant, 0 where there is none."""
        ...

    def last(self, now_ns: int, /) -> int:
        """The last price known at an instant, 0 where there is none."""
        ...

    def last_ns(self, now_ns: int, /) -> int:
        """When it became known, 0 where there is none."""
        ...

    def changes_after(self, now_ns: int, /) -> int:
        """When something new becomes known; INT64_MAX where nothing will."""
        ...

    def traded_from(self, at_ns: int, /) -> int:
        """The instant of the first row at `at` or later; INT64_MAX where there is none."""
        ...

    def traded_before(self, at_ns: int, /) -> int:
        """The instant of the last row before `at`; -1 where there is none."""
        ...

    def traded_by(self, close_ns: int, /) -> int:
        """What is known at this instant, and nothing later, is what was traded before `close`."""
        ...


class PrintSpans:
    """Over prints."""

    __slots__ = ("_days", "_found", "begins_ns", "prints")

    def __init__(self, prints: Prints) -> None:
        self.prints = prints
        self.begins_ns = prints.time_ns.item(0) if len(prints) else INT64_MAX
        self._days: dict[int, Rows] = {}
        self._found: dict[tuple[int, int], Totals] = {}

    def totals(self, from_ns: int, now_ns: int) -> Totals:
        times = self.prints.time_ns
        start, stop = int(times.searchsorted(from_ns, "left")), int(times.searchsorted(now_ns, "right"))
        found = self._found.get((start, stop))
        if found is None:
            if len(self._found) >= MOST_KEPT:
                self._found.clear()
            found = self._found[start, stop] = self._sum(start, stop, from_ns, now_ns + 1)
        return found

    def _sum(self, start: int, stop: int, from_ns: int, until_ns: int) -> Totals:
        if stop - start < FEW:
            return self.of_positions(start, stop)
        times = self.prints.time_ns
        first_ns, last_ns = -(-from_ns // MINUTE_NS) * MINUTE_NS, until_ns // MINUTE_NS * MINUTE_NS
        first, last = (int(times.searchsorted(edge_ns, "left")) for edge_ns in (first_ns, last_ns))
        if last - first < FEW:
            return self.of_positions(start, stop)
        whole = totals(self._minutes(first_ns, last_ns))
        return added([self.of_positions(start, first), whole, self.of_positions(last, stop)])

    def rows(self, from_ns: int, until_ns: int, grain_ns: int) -> Rows:
        if grain_ns < MINUTE_NS:
            return self._between(from_ns, until_ns)
        return joined(self._minutes(from_ns, until_ns))

    def of_positions(self, first: int, stop: int) -> Totals:
        """Of the prints [first, stop), each looked at."""
        if first >= stop:
            return EMPTY
        price = np.asarray(self.prints.price[first:stop], np.int64)
        lots = np.asarray(self.prints.lots[first:stop], np.int64)
        bought = lots * (np.asarray(self.prints.side[first:stop]) >= 0)
        worth, bought_worth = (
            (int(price.dot(one >> SPLIT)) << SPLIT) + int(price.dot(one & LOW_BITS)) for one in (lots, bought)
        )
        return Totals(
            first, stop, price.item(0), int(price.max()), int(price.min()), price.item(-1), int(lots.sum()), worth,
            int(bought.sum()), bought_worth,
        )  # fmt: skip

    def close_before(self, at_ns: int) -> int:
        position = int(self.prints.time_ns.searchsorted(at_ns, "left"))
        return self.prints.price.item(position - 1) if position else 0

    def last(self, now_ns: int) -> int:
        return self.close_before(now_ns + 1)

    def last_ns(self, now_ns: int) -> int:
        position = self.prints.until(now_ns)
        return self.prints.time_ns.item(position - 1) if position else 0

    def changes_after(self, now_ns: int) -> int:
        position = self.prints.until(now_ns)
        return self.prints.time_ns.item(position) if position < len(self.prints) else INT64_MAX

    def traded_from(self, at_ns: int) -> int:
        return self.changes_after(at_ns - 1)

    def traded_before(self, at_ns: int) -> int:
        return self.last_ns(at_ns - 1) or -1

    def traded_by(self, close_ns: int) -> int:
        return close_ns - 1

    def _between(self, from_ns: int, until_ns: int) -> Rows:
        times = self.prints.time_ns
        return self._rows(int(times.searchsorted(from_ns, "left")), int(times.searchsorted(until_ns, "left")))

    def _rows(self, start: int, stop: int) -> Rows:
        stop = max(start, stop)
        prints = self.prints
        price = np.asarray(prints.price[start:stop], np.int64)
        lots = np.asarray(prints.lots[start:stop], np.int64)
        is_bought = np.asarray(prints.side[start:stop]) >= 0
        high, low = price * (lots >> SPLIT), price * (lots & LOW_BITS)
        number = np.arange(start, stop, dtype=np.int64)
        return Rows(
            np.asarray(prints.time_ns[start:stop]), number, number + 1, price, price, price, price, lots, high, low,
            lots * is_bought, high * is_bought, low * is_bought,
        )  # fmt: skip

    def _minutes(self, from_ns: int, until_ns: int) -> list[Rows]:
        """Of [from, until), both at a whole minute, a part a day."""
        parts = []
        times = self.prints.time_ns
        if len(times):
            from_ns, until_ns = max(from_ns, times.item(0) // DAY_NS * DAY_NS), min(until_ns, times.item(-1) + DAY_NS)
        for day in range(from_ns // DAY_NS, -(-until_ns // DAY_NS)) if len(times) else ():
            rows = self._days.get(day)
            if rows is None:
                if len(self._days) >= DAYS_KEPT:
                    del self._days[next(iter(self._days))]
                rows = self._days[day] = self._day(day)
            start, stop = (int(rows.at_ns.searchsorted(edge, "left")) for edge in (from_ns, until_ns))
            parts.append(rows if stop - start == len(rows) else rows.take(slice(start, stop)))
        return parts or [self._rows(0, 0)]

    def _day(self, day: int) -> Rows:
        prints = self._between(day * DAY_NS, (day + 1) * DAY_NS)
        minutes, rows = prints.grouped(prints.at_ns // MINUTE_NS)
        return Rows(minutes * MINUTE_NS, *(getattr(rows, name) for name in _COLUMNS[1:]))


class BarSpans:
    """Over candles, each known as a whole from its close on. A row is at the last instant of its candle."""

    __slots__ = ("bars", "begins_ns")

    def __init__(self, bars: Bars) -> None:
        self.bars = bars
        self.begins_ns = bars.close_ns.item(0) - 1 if len(bars) else INT64_MAX

    def totals(self, from_ns: int, now_ns: int) -> Totals:
        start = int(self.bars.open_ns.searchsorted(from_ns, "left"))
        stop = self._closed(now_ns)
        return totals([self._rows(start, stop)]) if start < stop else EMPTY

    def rows(self, from_ns: int, until_ns: int, _grain_ns: int) -> Rows:
        return self._rows(self._closed(from_ns), self._closed(until_ns))

    def close_before(self, at_ns: int) -> int:
        closed = self._closed(at_ns)
        return self.bars.close.item(closed - 1) if closed else 0

    def last(self, now_ns: int) -> int:
        return self.close_before(now_ns)

    def last_ns(self, now_ns: int) -> int:
        closed = self._closed(now_ns)
        return self.bars.close_ns.item(closed - 1) if closed else 0

    def changes_after(self, now_ns: int) -> int:
        closed = self._closed(now_ns)
        return self.bars.close_ns.item(closed) if closed < len(self.bars) else INT64_MAX

    def traded_from(self, at_ns: int) -> int:
        closes_ns = self.changes_after(at_ns)
        return closes_ns - 1 if closes_ns != INT64_MAX else INT64_MAX

    def traded_before(self, at_ns: int) -> int:
        return self.last_ns(at_ns) - 1

    def traded_by(self, close_ns: int) -> int:
        return close_ns

    def _closed(self, at_ns: int) -> int:
        """How many are closed by an instant: those whose last one is before it."""
        return int(self.bars.close_ns.searchsorted(at_ns, "right"))

    def _rows(self, start: int, stop: int) -> Rows:
        rows, bars = slice(start, stop), self.bars
        first, high, low, close, lots = (
            np.asarray(one[rows], np.int64) for one in (bars.open, bars.high, bars.low, bars.close, bars.volume)
        )
        four, half, none = first + high + low + close, lots // 2, np.zeros(len(lots), np.int64)
        return Rows(
            np.asarray(bars.close_ns[rows]) - 1, none, none, first, high, low, close, lots, *_quarter(four, lots), half,
            *_quarter(four, half),
        )  # fmt: skip


class CandlesThenPrints:
    """Prints, and the candles before the first of them."""

    __slots__ = ("_bars", "_prints", "_until_ns", "begins_ns")

    def __init__(self, bars: BarSpans, prints: PrintSpans) -> None:
        self._bars = bars
        self._prints = prints
        self._until_ns = prints.begins_ns
        self.begins_ns = min(bars.begins_ns, prints.begins_ns)

    def totals(self, from_ns: int, now_ns: int) -> Totals:
        early = self._bars.totals(from_ns, min(now_ns, self._until_ns))
        return added([early, self._prints.totals(from_ns, now_ns)])

    def rows(self, from_ns: int, until_ns: int, grain_ns: int) -> Rows:
        early = self._bars.rows(from_ns, min(until_ns, self._until_ns), grain_ns)
        return joined([early, self._prints.rows(from_ns, until_ns, grain_ns)])

    def close_before(self, at_ns: int) -> int:
        return self._prints.close_before(at_ns) or self._bars.close_before(at_ns)

    def last(self, now_ns: int) -> int:
        return self._prints.last(now_ns) or self._bars.last(now_ns)

    def last_ns(self, now_ns: int) -> int:
        return self._prints.last_ns(now_ns) or self._bars.last_ns(now_ns)

    def changes_after(self, now_ns: int) -> int:
        later_ns = self._prints.changes_after(now_ns)
        early_ns = self._bars.changes_after(now_ns)
        return early_ns if early_ns <= self._until_ns else later_ns

    def traded_from(self, at_ns: int) -> int:
        later_ns = self._prints.traded_from(at_ns)
        early_ns = self._bars.traded_from(at_ns)
        return early_ns if early_ns < self._until_ns else later_ns

    def traded_before(self, at_ns: int) -> int:
        later_ns = self._prints.traded_before(at_ns)
        return later_ns if later_ns >= 0 else self._bars.traded_before(min(at_ns, self._until_ns))

    def traded_by(self, close_ns: int) -> int:
        return close_ns if close_ns <= self._until_ns else close_ns - 1


def _quarter(four: IntArray, lots: IntArray) -> tuple[IntArray, IntArray]:
    """A quarter of the product, rounded down, in two columns."""
    high, low = four * (lots >> SPLIT), four * (lots & LOW_BITS)
    return high >> 2, (low + ((high & 3) << SPLIT)) >> 2
