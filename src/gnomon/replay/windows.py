"""Windows: the extremes of the prints between two wakes, so that most of them are passed by one comparison.

A strategy that wakes at every n-th print cuts the tape into stretches of n rows. Their lowest seller's and highest
buyer's price are reduced a block of wakes at a time and kept as Python integers: a stretch that reaches neither own
price costs two comparisons, whatever it holds.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from gnomon.exchange.prints import Prints
from gnomon.exchange.thresholds import NEVER_DOWN, NEVER_UP, Thresholds

BLOCK_WINDOWS: Final = 1_024


class Windows:
    """Consecutive windows of `step` rows, the first beginning at `first`."""

    __slots__ = ("_buy", "_first", "_loaded", "_prints", "_sell", "_step")

    def __init__(self, prints: Prints, first: int, step: int) -> None:
        self._prints = prints
        self._first = first
        self._step = step
        self._loaded = -1  # number of the block at hand
        self._sell: list[int] = []
        self._buy: list[int] = []

    def clear_until(self, position: int, thresholds: Thresholds) -> int:
        """The end of the run of clear windows that `position` lies in; `position` itself if its own may not be clear.

        Stops are not looked at: with one waiting nothing is known.
        """
        bid, ask, up, down = thresholds
        if position < self._first or up < NEVER_UP or down > NEVER_DOWN:
            return position
        window = (position - self._first) // self._step
        block, at = divmod(window, BLOCK_WINDOWS)
        if block != self._loaded:
            self._load(block)
        sell, buy, count = self._sell, self._buy, len(self._sell)
        first = at
        while at < count and sell[at] > bid and buy[at] < ask:
            at += 1
            if at - first == 2:  # far enough: the next quote will come before that
                break
        if at == first:
            return position
        return self._first + (block * BLOCK_WINDOWS + at) * self._step

    def _load(self, block: int) -> None:
        start = self._first + block * BLOCK_WINDOWS * self._step
        stop = min(len(self._prints), start + BLOCK_WINDOWS * self._step)
        price, side = self._prints.price[start:stop], self._prints.side[start:stop]
        self._loaded = block
        rows = len(price) - len(price) % self._step
        shape = (-1, self._step)
        self._sell = np.where(side <= 0, price, NEVER_UP)[:rows].reshape(shape).min(1).tolist() if rows else []
        self._buy = np.where(side >= 0, price, NEVER_DOWN)[:rows].reshape(shape).max(1).tolist() if rows else []
