"""Streams of wakes: when the market calls a trader, and with what.

A stream knows the time of its next wake, and delivers wakes in a row as long as nothing else is due: the engine says
until when. Columns become Python lists a block at a time, which costs a tenth of reading them one number at a time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, Protocol

import numpy as np

from gnomon.exchange.bars import Bars
from gnomon.exchange.prints import Prints
from gnomon.trader.events import Bar, Trade
from gnomon.units import INT64_MAX, IntArray

BLOCK_WAKES: Final = 4_096
NEVER_NS: Final = INT64_MAX


class Clocked(Protocol):
    """What a stream needs of the desk: somewhere to set the time, and the requests that a hook leaves."""

    now_ns: int
    outbox: list[Any]
    is_deciding: bool


class Stream(Protocol):
    """Wakes in time order."""

    next_ns: int
    """When the next wake is told, `NEVER_NS` after the last."""

    layer: int
    """Number of the layer that it tells of."""

    told: tuple[int, int, int, int]
    """Of the last run: rows (after, upto] of the layer, counted from 1, how many wakes, and when the first was."""

    is_flowing: bool
    """Whether the last wakes asked for nothing, so that a longer run of them is likely."""

    def run(self, desk: Clocked, limit_ns: int) -> None:
        """Tell wakes before `limit_ns`, one at least if it is due then, until the trader wants something."""
        ...


class TradeStream:
    """A wake at every n-th print of one instrument, `feed_ns` after it was printed."""

    def __init__(
        self, prints: Prints, trade: Trade, hook: Callable[[Any, Trade], object], rows: range, feed_ns: int, layer: int
    ) -> None:
        """`rows` are the positions that wake."""
        self.layer = layer
        self.told = 0, 0, 0, 0
        self._prints = prints
        self._trade = trade
        self._hook = hook
        self.rows = rows
        self.instrument = trade.listing.number
        self.is_flowing = True
        self._feed_ns = feed_ns
        self._done = 0  # wakes before the block
        self._at = 0
        self._times: list[int] = []
        self._wakes: Iterator[tuple[int, ...]] | None = None
        self.next_ns = NEVER_NS
        self._load()

    @property
    def position(self) -> int:
        """Of the next wake's print."""
        return self.rows[self._done + self._at]

    def _load(self) -> None:
        self._done += len(self._times)
        self._at = 0
        self._wakes = None
        rows = self.rows[self._done : self._done + BLOCK_WAKES]
        self._start, self._step = rows.start, rows.step
        chosen = slice(rows.start, rows.stop, rows.step)
        self._printed = self._prints.time_ns[chosen].tolist()
        self._times = [time + self._feed_ns for time in self._printed] if self._feed_ns else self._printed
        self._price = self._prints.price[chosen].tolist()
        self._lots = self._prints.lots[chosen].tolist()
        self._side = self._prints.side[chosen].tolist()
        self.next_ns = self._times[0] if self._times else NEVER_NS

    def run(self, desk: Clocked, limit_ns: int) -> None:
        times, first, trade, hook, outbox = self._times, self._at, self._trade, self._hook, desk.outbox
        stop = bisect_left(times, limit_ns, first + 1) if self.is_flowing else first + 1
        if self._wakes is None:
            self._wakes = self._zipped()
        rows = islice(self._wakes, stop - first)
        try:
            for (
                self._at, desk.now_ns, trade.time_ns, trade.price_ticks, trade.lots, trade.side, trade.position,
            ) in rows:  # fmt: skip
                hook(desk, trade)
                if outbox or desk.is_deciding:
                    break
        finally:  # the wake at which a trader stops, or fails, was told too
            at, step = self._at, self._step
            upto = self._start + (at - 1) * step + 1
            self.told = upto - (at - first) * step, upto, at - first, times[first]
        self.is_flowing = not (outbox or desk.is_deciding)
        if at == len(times):
            self._load()
        else:
            self.next_ns = times[at]

    def _zipped(self) -> Iterator[tuple[int, ...]]:
        """The wakes of the block: how many there are with it, then its numbers."""
        count = len(self._times)
        rows = range(self._start, self._start + count * self._step, self._step)
        return zip(
            range(1, count + 1), self._times, self._printed, self._price, self._lots, self._side, rows, strict=True
        )


class BarStream:
    """A wake at every instant at which candles closed, of one instrument or several, `feed_ns` after it.

    A bar tells which candles closed then: those of instruments that had none are as they were, with `is_new` false.
    """

    def __init__(
        self,
        bars: Sequence[Bars],
        bar: Bar,
        hook: Callable[[Any, Bar], object],
        window_ns: tuple[int, int],
        feed_ns: int,
        layer: int,
    ) -> None:
        """`bars` in the order of `bar.candles`; closes in (start, end] wake."""
        self.layer = layer
        self.told = 0, 0, 0, 0
        self.is_flowing = True
        self.next_ns = NEVER_NS
        self._bars = bars
        self._bar = bar
        self._candles = list(bar.candles.values())
        self._hook = hook
        self._feed_ns = feed_ns
        start_ns, end_ns = window_ns
        closes = [one.close_ns[(one.close_ns > start_ns) & (one.close_ns <= end_ns)] for one in bars]
        self._closes_ns: IntArray = closes[0] if len(closes) == 1 else np.unique(np.concatenate(closes))
        self._done = 0
        self._at = 0
        self._times: list[int] = []
        self._wakes: Iterator[tuple[int, ...]] | None = None
        self._load()

    def times_ns(self, wakes: IntArray) -> IntArray:
        """When wakes are told, by their numbers from 0."""
        return self._closes_ns[wakes] + self._feed_ns

    def _load(self) -> None:
        self._done += len(self._times)
        self._at = 0
        self._wakes = None
        closes = self._closes_ns[self._done : self._done + BLOCK_WAKES]
        self._closed: list[int] = closes.tolist()
        self._times = [time + self._feed_ns for time in self._closed] if self._feed_ns else self._closed
        self._columns = [_block(one, closes) for one in self._bars]
        self.next_ns = self._times[0] if self._times else NEVER_NS

    def run(self, desk: Clocked, limit_ns: int) -> None:
        times, first = self._times, self._at
        stop = bisect_left(times, limit_ns, first + 1) if self.is_flowing else first + 1
        run = self._run_one if len(self._candles) == 1 else self._run_all
        try:
            run(desk, stop)
        finally:
            at = self._at
            self.told = self._done + first, self._done + at, at - first, times[first]
        self.is_flowing = not (desk.outbox or desk.is_deciding)
        if at == len(times):
            self._load()
        else:
            self.next_ns = times[at]

    def upcoming(self, most: int) -> list[tuple[int, list[tuple[int, ...]]]]:
        """The next wakes of the block, at most so many: when each is told, and the candles that closed then as
        (place in the bar, row, open, close, prices, volume)."""
        found = []
        for at in range(self._at, min(self._at + most, len(self._times))):
            rows = [(place, one[0][at], one[1][at], self._closed[at], *(column[at] for column in one[2:]))
                    for place, one in enumerate(self._columns) if one[0][at] >= 0]  # fmt: skip
            found.append((self._times[at], rows))
        return found

    def _run_one(self, desk: Clocked, stop: int) -> None:
        """The wakes up to `stop` of the block, of one instrument: each has its candle."""
        bar, hook, outbox = self._bar, self._hook, desk.outbox
        (one,) = self._candles
        if self._wakes is None:
            (columns,) = self._columns
            counts = range(1, len(self._times) + 1)
            self._wakes = zip(counts, self._times, self._closed, self._closed, *columns, strict=True)
        rows = islice(self._wakes, stop - self._at)
        for (
            self._at, desk.now_ns, bar.time_ns, one.close_ns, one.position, one.open_ns, one.open_ticks,
            one.high_ticks, one.low_ticks, one.close_ticks, one.volume_lots,
        ) in rows:  # fmt: skip
            hook(desk, bar)
            if outbox or desk.is_deciding:
                break

    def _run_all(self, desk: Clocked, stop: int) -> None:
        """The same of several: those that had no candle then keep theirs."""
        times, bar, hook, outbox = self._times, self._bar, self._hook, desk.outbox
        for at in range(self._at, stop):
            desk.now_ns = times[at]
            bar.time_ns = closed_ns = self._closed[at]
            for one, (rows, opened, open_, high, low, close, volume) in zip(self._candles, self._columns, strict=True):
                row = rows[at]
                one.is_new = row >= 0
                if row >= 0:
                    one.position = row
                    one.close_ns = closed_ns
                    one.open_ns = opened[at]
                    one.open_ticks = open_[at]
                    one.high_ticks = high[at]
                    one.low_ticks = low[at]
                    one.close_ticks = close[at]
                    one.volume_lots = volume[at]
            self._at += 1
            hook(desk, bar)
            if outbox or desk.is_deciding:
                break


def _block(bars: Bars, closes_ns: IntArray) -> tuple[list[int], ...]:
    """The rows that close at the instants (-1 none), and their columns, as lists."""
    if not len(bars):
        return ([-1] * len(closes_ns),) * 7
    columns = (bars.open_ns, bars.open, bars.high, bars.low, bars.close, bars.volume)
    first = int(bars.close_ns.searchsorted(closes_ns[0])) if len(closes_ns) else 0
    block = slice(first, first + len(closes_ns))
    if np.array_equal(bars.close_ns[block], closes_ns):  # no bar is missing, and none is there besides
        return list(range(block.start, block.stop)), *(column[block].tolist() for column in columns)
    rows = np.minimum(bars.close_ns.searchsorted(closes_ns), len(bars) - 1)
    found = np.where(bars.close_ns[rows] == closes_ns, rows, -1)
    return found.tolist(), *(column[rows].tolist() for column in columns)
