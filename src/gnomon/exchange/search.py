"""Search: the first print that concerns the own orders of a book, without reading those that cannot.

Blocks whose four bounds lie clear of the thresholds are never read, so the work is bound by how often we decide, not by
how much was printed.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from gnomon.exchange.bars import Bars
from gnomon.exchange.prints import Prints
from gnomon.exchange.thresholds import NEVER_DOWN, NEVER_UP, Thresholds, any_of
from gnomon.market.block_index import BLOCKS, BlockIndex, Bounds

DIRECT_ROWS: Final = 256
"""Stretches up to here are compared at once: the index would cost more calls than it saves rows."""


def first_crossing(tape: Prints | Bars, index: BlockIndex, start: int, stop: int, thresholds: Thresholds) -> int:
    """The first position in [start, stop) whose print reaches a threshold; `stop` where none does."""
    at = start
    while at < stop:
        if stop - at <= DIRECT_ROWS:
            return at + _first(tape.reached(at, stop, thresholds), stop - at)
        if at % BLOCKS[0]:
            edge = at + BLOCKS[0] - at % BLOCKS[0]
            hit = at + _first(tape.reached(at, edge, thresholds), edge - at)
            if hit < edge:
                return hit
            at = edge
            continue
        at, is_found = _skip(index, at, stop, thresholds)
        if is_found:
            edge = min(stop, at + BLOCKS[0])
            return at + _first(tape.reached(at, edge, thresholds), edge - at)
    return stop


def _skip(index: BlockIndex, at: int, stop: int, thresholds: Thresholds) -> tuple[int, bool]:
    """From an aligned position past whole blocks that are clear: the first row of the next block of 64 that is not, or
    of the row from which blocks no longer fit before `stop`."""
    level = 0
    while level + 1 < len(BLOCKS) and at % BLOCKS[level + 1] == 0 and at + BLOCKS[level + 1] <= stop:
        level += 1
    while True:
        length = BLOCKS[level]
        until = stop if level + 1 == len(BLOCKS) else min(stop, at - at % BLOCKS[level + 1] + BLOCKS[level + 1])
        first, last = at // length, until // length
        if first == last:
            if level == 0:
                return at, False
            level -= 1
            continue
        found = _first(_touched(index.levels[level], first, last, thresholds), last - first)
        at = (first + found) * length
        if found == last - first:
            return at, False
        if level == 0:
            return at, True
        level -= 1


def _first(mask: npt.NDArray[np.bool_], none: int) -> int:
    found = int(mask.argmax())
    return found if mask[found] else none


def _touched(bounds: Bounds, first: int, last: int, thresholds: Thresholds) -> npt.NDArray[np.bool_]:
    bid, ask, up, down = thresholds
    masks: list[npt.NDArray[np.bool_]] = []
    if bid > NEVER_DOWN:
        masks.append(bounds.min_sell[first:last] <= bid)
    if ask < NEVER_UP:
        masks.append(bounds.max_buy[first:last] >= ask)
    if up < NEVER_UP:
        masks.append(bounds.max_any[first:last] >= up)
    if down > NEVER_DOWN:
        masks.append(bounds.min_any[first:last] <= down)
    return any_of(masks, last - first)
