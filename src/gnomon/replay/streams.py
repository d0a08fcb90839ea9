"""Streams of wakes: when the market calls a trader, and with what.

A stream knows the time of its next wake, and delivers wakes in a row as long as nothing else is due: the engine says
until when. Columns become Python lists a block at a time, which costs a tenth of reading them one number at a time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Final, Protocol

from gnomon.exchange.bars import Bars
from gnomon.exchange.prints import Prints
from gnomon.trader.events import Bar, Trade
from gnomon.units import INT64_MAX

BLOCK_WAKES: Final = 4_096
FIRST_BURST: Final = 4
"""Wakes looked at together after one that made a request; twice as many after each stretch that made none."""

NEVER_NS: Final = INT64_MAX


class Clocked(Protocol):
    """What a stream needs of the desk: somewhere to set the time, and the requests that a hook leaves."""

    now_ns: int
    outbox: list[Any]


class Stream(Protocol):
    """Wakes in time order."""

    next_ns: int
    """When the next wake is told, `NEVER_NS` after the last."""

    layer: int
    """Number of the layer that it tells of."""

    told: tuple[int, int, int]
    """Of the last run: rows (after, upto] of the layer, and when the first wake was."""

    is_flowing: bool
    """Whether the last wakes asked for nothing, so that a longer run of them is likely."""

    def run(self, desk: Clocked, limit_ns: int) -> int:
        """Tell wakes before `limit_ns`, one at least if it is due then, until the trader wants something; how many."""
        ...


class TradeStream:
    """A wake at every n-th print of one instrument, `feed_ns` after it was printed."""

    def __init__(
        self, prints: Prints, trade: Trade, hook: Callable[[Any, Trade], object], rows: range, feed_ns: int, layer: int
    ) -> None:
        """`rows` are the positions that wake."""
        self.layer = layer
        self.told = 0, 0, 0
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
        chosen = slice(rows.start, rows.stop, rows.step)
        self._printed = self._prints.time_ns[chosen].tolist()
        self._times = [time + self._feed_ns for time in self._printed] if self._feed_ns else self._printed
        self._price = self._prints.price[chosen].tolist()
        self._lots = self._prints.lots[chosen].tolist()
        self._side = self._prints.side[chosen].tolist()
        self.next_ns = self._times[0] if self._times else NEVER_NS

    def run(self, desk: Clocked, limit_ns: int) -> int:
        times, first, trade, hook, outbox = self._times, self._at, self._trade, self._hook, desk.outbox
        stop = max(first + 1, bisect_left(times, limit_ns, first, min(len(times), first + self._burst)))
        trade.position = position = self.rows[self._done + first]
        step, at = self.rows.step, first
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
            if outbox:
                break
        self.is_flowing = not outbox
        self._burst = FIRST_BURST if outbox else min(2 * self._burst, BLOCK_WAKES)
        last = self.rows[self._done + at - 1]
        self.told = last - (at - first) * self.rows.step, last, times[first]
        self._at = at
        if at == len(times):
            self._load()
        else:
            self.next_ns = times[at]
        return at - first


class BarStream:
    """A wake at every close of one instrument's candles, `feed_ns` after it."""

    def __init__(self, bars: Bars, bar: Bar, hook: Callable[[Any, Bar], object], rows: range, feed_ns: int) -> None:
        """`rows` are the positions that wake."""
        self._bars = bars
        self._bar = bar
        self._candle = bar.candle
        self._hook = hook
        self.rows = rows
        self.is_flowing = True
        self._feed_ns = feed_ns
        self._done = 0
        self._at = 0
        self._burst = FIRST_BURST
        self._times: list[int] = []
        self.next_ns = NEVER_NS
        self._load()

    def _load(self) -> None:
        self._done += len(self._times)
        self._at = 0
        rows = self.rows[self._done : self._done + BLOCK_WAKES]
        chosen, bars = slice(rows.start, rows.stop), self._bars
        self._closes_ns = bars.close_ns[chosen].tolist()
        self._times = [time + self._feed_ns for time in self._closes_ns] if self._feed_ns else self._closes_ns
        self._columns = [
            column[chosen].tolist()
            for column in (bars.open_ns, bars.open, bars.high, bars.low, bars.close, bars.volume)
        ]
        self.next_ns = self._times[0] if self._times else NEVER_NS

    def run(self, desk: Clocked, limit_ns: int) -> int:
        times, first, bar, candle, hook, outbox = (
            self._times, self._at, self._bar, self._candle, self._hook, desk.outbox,
        )  # fmt: skip
        stop = max(first + 1, bisect_left(times, limit_ns, first, min(len(times), first + self._burst)))
        at, position = first, self.rows[self._done + first]
        rows = (column[first:stop] for column in (times, self._closes_ns, *self._columns))
        for time, closed, opened, open_, high, low, close, volume in zip(*rows, strict=True):
            desk.now_ns = time
            bar.time_ns = candle.close_ns = closed
            candle.open_ns = opened
            candle.open_ticks = open_
            candle.high_ticks = high
            candle.low_ticks = low
            candle.close_ticks = close
            candle.volume_lots = volume
            candle.position = position
            at += 1
            position += 1
            hook(desk, bar)
            if outbox:
                break
        self.is_flowing = not outbox
        self._burst = FIRST_BURST if outbox else min(2 * self._burst, BLOCK_WAKES)
        last = self.rows[self._done + at - 1]
        self.told = last - (at - first) * self.rows.step, last, times[first]
        self._at = at
        if at == len(times):
            self._load()
        else:
            self.next_ns = times[at]
        return at - first
