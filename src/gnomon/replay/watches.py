"""Watches: wakes at the first print at or beyond a price, and when enough has been printed since the last wake.

A stream of one instrument's prints wakes at every n-th print, at a crossing, and at the print with which `volume` lots
were printed since the last of these wakes, whichever comes first; a print that is several of them wakes once. Prints
between are searched by the block index, not walked.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gnomon.exchange.prints import Prints
from gnomon.exchange.search import first_crossing
from gnomon.exchange.thresholds import Thresholds
from gnomon.market.block_index import BLOCKS, BlockIndex
from gnomon.replay.bodies import PriceWatch, Wake
from gnomon.replay.streams import NEVER_NS, Clocked
from gnomon.trader.events import Trade

UP, DOWN = 1, 2


class WatchStream:
    """A `streams.Stream` over the prints of one instrument. `first` is the first row that is told of."""

    def __init__(
        self,
        prints: Prints,
        index: BlockIndex,
        trade: Trade,
        hook: Callable[[Any, Trade], object],
        first: int,
        feed_ns: int,
        layer: int,
        *,
        every: int = 0,
        volume: int = 0,
    ) -> None:
        self.layer = layer
        self.told = 0, 0, 0, 0
        self.is_flowing = True
        self._prints = prints
        self._index = index
        self._trade = trade
        self._hook = hook
        self._first = first
        self._feed_ns = feed_ns
        self._every = every
        self._volume = volume
        self._since = first  # the row after the last wake
        self._crossings: list[tuple[int, int]] = []  # (position, number of the watch) of those that are not passed
        self._watches: dict[int, PriceWatch] = {}
        self._numbered = 0
        self.next_ns = NEVER_NS
        self._position = 0
        self._seek()

    def watches(self) -> dict[int, PriceWatch]:
        """Those that wait, by their number, in the order in which they were set."""
        return self._watches

    def watch(self, one: PriceWatch, now_ns: int | None = None) -> None:
        """Wake at the first print beyond a price that becomes knowable after `now_ns`; of all, for None."""
        start = self._first if now_ns is None else self._prints.until(now_ns - self._feed_ns)
        bounds = Thresholds(up=one.price) if one.direction == UP else Thresholds(down=one.price)
        position = first_crossing(self._prints, self._index, start, len(self._prints), bounds)
        self._numbered += 1
        self._watches[self._numbered] = one
        insort(self._crossings, (position, self._numbered))
        self._seek()

    def run(self, desk: Clocked, limit_ns: int) -> None:
        after, wakes, first_ns, outbox = self._since, 0, self.next_ns, desk.outbox
        try:
            while True:
                desk.now_ns = self.next_ns
                self._show(self._position)
                wakes += 1
                self._pass(self._position)
                self._hook(desk, self._trade)
                if outbox or desk.is_deciding or self.next_ns >= limit_ns:
                    break
        finally:
            self.told = after, self._since, wakes, first_ns
        self.is_flowing = not (outbox or desk.is_deciding)

    def _show(self, position: int) -> None:
        trade, prints = self._trade, self._prints
        trade.position = position
        trade.time_ns = prints.time_ns.item(position)
        trade.price_ticks = prints.price.item(position)
        trade.lots = prints.lots.item(position)
        trade.side = prints.side.item(position)

    def _pass(self, position: int) -> None:
        self._since = position + 1
        while self._crossings and self._crossings[0][0] <= position:
            _, number = self._crossings.pop(0)
            del self._watches[number]
        self._seek()

    def _seek(self) -> None:
        rows = len(self._prints)
        position = self._crossings[0][0] if self._crossings else rows
        if self._every:
            wakes = (self._since - self._first) // self._every
            position = min(position, self._first + (wakes + 1) * self._every - 1)
        if self._volume:
            stop = min(rows, position + 1)
            position = min(position, volume_reached(self._prints, self._index, self._since, stop, self._volume))
        self._position = position
        self.next_ns = self._prints.time_ns.item(position) + self._feed_ns if position < rows else NEVER_NS


def volume_reached(prints: Prints, index: BlockIndex, start: int, stop: int, lots: int) -> int:
    """The first position in [start, stop) up to which `lots` were printed from `start` on; `stop` where they were not.

    Whole blocks that do not hold enough are passed by their sums.
    """
    at, left = start, lots
    while at < stop:
        level = len(BLOCKS) - 1
        while level >= 0 and (
            at % BLOCKS[level]
            or at + BLOCKS[level] > stop
            or index.levels[level].sum_qty.item(at // BLOCKS[level]) >= left
        ):
            level -= 1
        if level >= 0:
            left -= index.levels[level].sum_qty.item(at // BLOCKS[level])
            at += BLOCKS[level]
            continue
        edge = min(stop, at + BLOCKS[0] - at % BLOCKS[0])
        for each in prints.lots[at:edge].tolist():
            left -= each
            if left <= 0:
                return at
            at += 1
    return stop


class Filter:
    """The wake filter of a run as it stands: watches that were passed are no longer in it."""

    __slots__ = ("_streams", "_wake")

    def __init__(self, wake: Wake, streams: Mapping[int, WatchStream]) -> None:
        self._wake = wake
        self._streams = streams
        for one in wake.watches:
            if one.instrument in streams:
                streams[one.instrument].watch(one)

    def extended(self, asked: Sequence[PriceWatch], now_ns: int) -> Wake:
        """With more watches, each set as of now."""
        whole = (*self.waiting(), *asked)
        for one in asked:
            if one.instrument in self._streams:
                self._streams[one.instrument].watch(one, now_ns)
        return replace(self._wake, watches=whole)

    def waiting(self) -> list[PriceWatch]:
        """By instrument, and in the order in which they were set."""
        return [one for stream in self._streams.values() for one in stream.watches().values()]
