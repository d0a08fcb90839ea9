"""Streams of wakes: when the market calls a trader, and with what.

A stream knows the time of its next wake, and delivers wakes in a row as long as nothing else is due: the engine says
until when. Columns become Python lists a block at a time, which costs a tenth of reading them one number at a time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy as np

from gnomon.exchange.bars import Bars
from gnomon.exchange.prints import Prints
from gnomon.trader.events import Bar, Trade
from gnomon.units import INT64_MAX, IntArray

BLOCK_WAKES: Final = 4_096
FIRST_BURST: Final = 4
"""Wakes looked at together after one that made a request; twice as many after each stretch that made none."""

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
        self._burst = FIRST_BURST
        self._times: list[int] = []
        self.next_ns = NEVER_NS
        self._load()

    @property
    def position(self) -> int:
        """Of the next wake's print."""
        return self.rows[self._done + self._at]

    def _load(self) -> None:
        self._done += len(self._times)
        self._at = 0
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
        if self.is_flowing:
            self._run_on(desk, limit_ns)
            return
        at, trade, times = self._at, self._trade, self._times
        desk.now_ns = now_ns = times[at]
        trade.time_ns = self._printed[at]
        trade.price_ticks = self._price[at]
        trade.lots = self._lots[at]
        trade.side = self._side[at]
        trade.position = position = self._start + at * self._step
        self.told = position + 1 - self._step, position + 1, 1, now_ns
        self._hook(desk, trade)
        self.is_flowing = not (desk.outbox or desk.is_deciding)
        self._at = at = at + 1
        if at == len(times):
            self._load()
        else:
            self.next_ns = times[at]

    def _run_on(self, desk: Clocked, limit_ns: int) -> None:
        """Wakes in a row, as long as they ask for nothing."""
        times, first, trade, hook, outbox = self._times, self._at, self._trade, self._hook, desk.outbox
        stop = max(first + 1, bisect_left(times, limit_ns, first, min(len(times), first + self._burst)))
        step, at = self._step, first
        trade.position = position = self._start + first * step
        try:
            for time, printed, price, lots, side in zip(
                times[first:stop], self._printed[first:stop], self._price[first:stop], self._lots[first:stop],
                self._side[first:stop], strict=True,
            ):  # fmt: skip
                desk.now_ns = time
                trade.time_ns = printed
                trade.price_ticks = price
                trade.lots = lots
                trade.side = side
                trade.position = position
                at += 1
                position += step
                hook(desk, trade)
                if outbox or desk.is_deciding:
                    break
        finally:  # the wake at which a trader stops, or fails, was told too
            upto = self._start + (at - 1) * step + 1
            self.told = upto - (at - first) * step, upto, at - first, times[first]
        self.is_flowing = not (outbox or desk.is_deciding)
        self._burst = min(2 * self._burst, BLOCK_WAKES) if self.is_flowing else FIRST_BURST
        self._at = at
        if at == len(times):
            self._load()
        else:
            self.next_ns = times[at]


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
        self._closes_ns = closes[0] if len(closes) == 1 else np.unique(np.concatenate(closes))
        self._done = 0
        self._at = 0
        self._burst = FIRST_BURST
        self._times: list[int] = []
        self._load()

    def _load(self) -> None:
        self._done += len(self._times)
        self._at = 0
        closes = self._closes_ns[self._done : self._done + BLOCK_WAKES]
        self._closed: list[int] = closes.tolist()
        self._times = [time + self._feed_ns for time in self._closed] if self._feed_ns else self._closed
        self._columns = [_block(one, closes) for one in self._bars]
        self.next_ns = self._times[0] if self._times else NEVER_NS

    def run(self, desk: Clocked, limit_ns: int) -> None:
        times, first = self._times, self._at
        stop = max(first + 1, bisect_left(times, limit_ns, first, min(len(times), first + self._burst)))
        at_ns = times[first]
        run = self._run_one if len(self._candles) == 1 else self._run_all
        self._at = at = first
        try:
            run(desk, stop)
        finally:
            at = self._at
            self.told = self._done + first, self._done + at, at - first, at_ns
        self.is_flowing = not (desk.outbox or desk.is_deciding)
        self._burst = min(2 * self._burst, BLOCK_WAKES) if self.is_flowing else FIRST_BURST
        if at == len(times):
            self._load()
        else:
            self.next_ns = times[at]

    def _run_one(self, desk: Clocked, stop: int) -> None:
        """The wakes up to `stop` of the block, of one instrument: each has its candle."""
        bar, hook, outbox, rows = self._bar, self._hook, desk.outbox, slice(self._at, stop)
        (one,) = self._candles
        (columns,) = self._columns
        for (
            desk.now_ns, bar.time_ns, one.close_ns, one.position, one.open_ns, one.open_ticks, one.high_ticks,
            one.low_ticks, one.close_ticks, one.volume_lots,
        ) in zip(
            self._times[rows], self._closed[rows], self._closed[rows], *[column[rows] for column in columns],
            strict=True,
        ):  # fmt: skip
            self._at += 1
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
    rows = np.minimum(bars.close_ns.searchsorted(closes_ns), max(0, len(bars) - 1))
    if not len(bars):
        return ([-1] * len(closes_ns),) * 7
    found = np.where(bars.close_ns[rows] == closes_ns, rows, -1)
    columns = (bars.open_ns, bars.open, bars.high, bars.low, bars.close, bars.volume)
    return found.tolist(), *(column[rows].tolist() for column in columns)
