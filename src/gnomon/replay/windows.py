"""Windows: the extremes of the prints between two wakes, so that most of them are passed by one comparison.

A strategy that wakes at every n-th print cuts the tape into stretches of n rows. Their lowest seller's and highest
buyer's price are reduced a block of wakes at a time and kept as Python integers: a stretch that reaches neither own
price costs two comparisons, whatever it holds.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, Final

import numpy as np

from gnomon.exchange.prints import Prints
from gnomon.exchange.thresholds import NEVER_DOWN, NEVER_UP, Thresholds
from gnomon.units import INT64_MAX

NEVER_NS: Final = INT64_MAX

BLOCK_ROWS: Final = 131_072
"""Rows that are reduced together: few enough for a cache, so many that a reduction costs little a window."""

LEAST_WINDOWS: Final = 16

FAR_ROWS: Final = 4_096


class Windows:
    """Consecutive windows of `step` rows, the first beginning at `first`."""

    __slots__ = (
        "_block_rows",
        "_buy",
        "_buys",
        "_falls",
        "_first",
        "_least",
        "_loaded",
        "_most",
        "_prints",
        "_rises",
        "_rows",
        "_sell",
        "_sells",
        "_starts_ns",
        "_step",
        "_until",
    )

    def __init__(self, prints: Prints, first: int, step: int) -> None:
        self._prints = prints
        self._rows = len(prints)
        self._first = first
        self._step = step
        self._block_rows = max(LEAST_WINDOWS, BLOCK_ROWS // step) * step
        self._loaded = self._until = -1  # rows of the block at hand
        self._sell: list[int] = []  # of each window: the lowest price of its sellers
        self._buy: list[int] = []  # the highest of its buyers
        self._starts_ns: list[int] = []  # when its first row was printed, and that after the last
        limits = np.iinfo(prints.price.dtype)
        self._least, self._most = int(limits.min), int(limits.max)
        self._falls: Any = ()  # of the block: values, rows, and where those of each window begin
        self._rises: Any = ()
        self._sells = self._buys = prints.price[:0]  # of each row: its price, or what reaches nothing

    def clear_until(self, position: int, thresholds: Thresholds) -> tuple[int, int]:
        """The end of the run of clear windows that `position` lies in, and when that row is printed; `position` itself
        if its own window may not be clear.

        Stops are not looked at: with one waiting nothing is known.
        """
        bid, ask, up, down = thresholds
        if position < self._first or up < NEVER_UP or down > NEVER_DOWN:
            return position, self._time_ns(position)
        if not self._loaded <= position < self._until:
            self._load(position)
        inside = position - self._loaded
        at = inside // self._step
        if at >= len(self._sell) or self._sell[at] <= bid or self._buy[at] >= ask:
            return position, self._starts_ns[at] if at * self._step == inside else self._time_ns(position)
        at += 1
        if at < len(self._sell) and self._sell[at] > bid and self._buy[at] < ask:
            at += 1  # far enough: the next quote will come before that
        return self._loaded + at * self._step, self._starts_ns[at]

    def find(self, start: int, stop: int, thresholds: Thresholds) -> tuple[int, int] | None:
        """The first row in [start, stop) that reaches `bid` or `ask`, or how far none does, and how far was looked:
        to `stop` or the end of the block. None where the index knows better: with a stop waiting, before the first
        window, and for a stretch of many."""
        bid, ask, up, down = thresholds
        is_far = stop - start > FAR_ROWS and stop - start > 4 * self._step
        if is_far or start < self._first or up < NEVER_UP or down > NEVER_DOWN or bid >= self._most:
            return None
        if not self._loaded <= start < self._until:
            self._load(start)
        base = self._loaded
        stop = min(stop, self._until)
        found = stop
        first, last = (start - base) // self._step, (stop - 1 - base) // self._step
        is_whole = last < len(self._sell)
        lowest = (
            NEVER_DOWN if not is_whole else self._sell[first] if first == last else min(self._sell[first : last + 1])
        )
        if lowest <= bid:
            mask = self._sells[start - base : stop - base] <= bid
            at = int(mask.argmax())
            if mask[at]:
                found = start + at
        highest = NEVER_UP if not is_whole else self._buy[first] if first == last else max(self._buy[first : last + 1])
        if highest >= ask and found > start:
            mask = self._buys[start - base : found - base] >= ask
            at = int(mask.argmax())
            if mask[at]:
                found = start + at
        return found, stop

    def firsts(self, start: int, stop: int, bid: int, ask: int) -> tuple[int, int, int]:
        """The first rows in [start, stop) that reach `bid`, and `ask` (-1 none), and how far was looked: to `stop`, or
        the end of the window where `start` begins one. `start` is not before the first window."""
        if not self._loaded <= start < self._until:
            self._load(start)
        inside = start - self._loaded
        at, rest = divmod(inside, self._step)
        if rest or at >= len(self._sell):
            return self._firsts(start, min(stop, self._until), bid, ask)
        until = start + self._step
        if stop < until:
            until = stop
        bid_row = ask_row = -1
        if self._sell[at] <= bid:
            if not self._falls:
                self._record()
            falls, rows, bounds = self._falls
            bid_row = rows[bisect_left(falls, -bid, bounds[at], bounds[at + 1])]
            if bid_row >= until:
                bid_row = -1
        if self._buy[at] >= ask:
            if not self._falls:
                self._record()
            rises, rows, bounds = self._rises
            ask_row = rows[bisect_left(rises, ask, bounds[at], bounds[at + 1])]
            if ask_row >= until:
                ask_row = -1
        return bid_row, ask_row, until

    def _firsts(self, start: int, stop: int, bid: int, ask: int) -> tuple[int, int, int]:
        """The same by comparing every row."""
        base = self._loaded
        rows = []
        for mask in (
            self._sells[start - base : stop - base] <= min(bid, self._most - 1),
            self._buys[start - base : stop - base] >= max(ask, self._least + 1),
        ):
            at = int(mask.argmax())
            rows.append(start + at if mask[at] else -1)
        return rows[0], rows[1], stop

    def _record(self) -> None:
        """The rows of each whole window at which its lowest seller's price falls, and its highest buyer's rises."""
        whole = len(self._sell) * self._step
        shape = (-1, self._step)
        lows = np.minimum.accumulate(self._sells[:whole].reshape(shape), 1)
        highs = np.maximum.accumulate(self._buys[:whole].reshape(shape), 1)
        self._falls = _changes(lows, -1, self._loaded)
        self._rises = _changes(highs, 1, self._loaded)

    def _time_ns(self, row: int) -> int:
        return self._prints.time_ns.item(row) if row < self._rows else NEVER_NS

    def _load(self, position: int) -> None:
        start = self._first + (position - self._first) // self._block_rows * self._block_rows
        stop = min(self._rows, start + self._block_rows)
        prints, step = self._prints, self._step
        price, side = prints.price[start:stop], prints.side[start:stop]
        limits = np.iinfo(price.dtype)
        self._loaded, self._until = start, start + self._block_rows
        self._falls = self._rises = ()
        self._sells = np.where(side <= 0, price, limits.max)
        self._buys = np.where(side >= 0, price, limits.min)
        rows = len(price) - len(price) % step
        shape = (-1, step)
        self._sell = self._sells[:rows].reshape(shape).min(1).tolist() if rows else []
        self._buy = self._buys[:rows].reshape(shape).max(1).tolist() if rows else []
        self._starts_ns = prints.time_ns[start : stop + 1 : step].tolist()
        if len(self._starts_ns) == rows // step:
            self._starts_ns.append(NEVER_NS)


def _changes(extremes: Any, sign: int, base: int) -> tuple[list[int], list[int], list[int]]:
    """Where the running extremes of each window (a row) are new: their values times `sign`, which rise within a window,
    their rows from `base` on, and where each window begins among them."""
    is_new = np.ones(extremes.shape, np.bool_)
    is_new[:, 1:] = extremes[:, 1:] != extremes[:, :-1]
    at = np.flatnonzero(is_new)
    bounds = np.searchsorted(at, np.arange(len(extremes) + 1) * extremes.shape[1])
    values = extremes.reshape(-1)[at].astype(np.int64) * sign
    return values.tolist(), (at + base).tolist(), bounds.tolist()
