"""Aggregate trades: consecutive prints of one instant, one aggressor and one price, as one order took them.

They are numbered from the beginning of the tape. Numbers are counted block by block, as far as somebody asked.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from gnomon.exchange.prints import Prints
from gnomon.units import IntArray

BLOCK: Final = 1 << 16
BLOCKS_KEPT: Final = 16


class AggTrades:
    """Of one tape of prints. Numbers and positions begin with 0."""

    __slots__ = ("_before", "_prints", "_starts")

    def __init__(self, prints: Prints) -> None:
        self._prints = prints
        self._before = [0]  # how many begin before each block
        self._starts: dict[int, IntArray] = {}

    def number(self, position: int) -> int:
        """Of the one that holds a print."""
        block = position // BLOCK
        return self._until(block) + int(self._begins(block).searchsorted(position, "right")) - 1

    def starts(self, first: int, stop: int) -> list[int]:
        """Where the ones of the numbers [first, stop) begin; all of them must exist."""
        found: list[int] = []
        block = int(np.searchsorted(self._before, first, "right")) - 1
        while first < stop:
            before = self._until(block)
            begins = self._begins(block)
            found += begins[first - before : stop - before].tolist()
            first = max(first, before + len(begins))
            block += 1
        return found

    def _until(self, block: int) -> int:
        while len(self._before) <= block:
            last = len(self._before) - 1
            self._before.append(self._before[last] + len(self._begins(last)))
        return self._before[block]

    def _begins(self, block: int) -> IntArray:
        begins = self._starts.get(block)
        if begins is None:
            first = block * BLOCK
            rows = slice(max(0, first - 1), first + BLOCK)
            columns = (self._prints.time_ns[rows], self._prints.price[rows], self._prints.side[rows])
            is_new = np.any([np.diff(one) != 0 for one in columns], axis=0)
            begins = np.flatnonzero(is_new) + 1 + rows.start
            if not first and len(self._prints):
                begins = np.concatenate([[0], begins])
            if len(self._starts) >= BLOCKS_KEPT:
                self._starts.clear()
            self._starts[block] = begins
        return begins
