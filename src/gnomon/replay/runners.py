"""Runners: three ways to find the next print of concern, one answer. Which one it was moves no record and no digest.

| runner   | the search of a run                 | an array policy                         |
|----------|-------------------------------------|-----------------------------------------|
| `jump`   | NumPy over the block index          | in one loop, compiled where that pays   |
| `kernel` | the same, compiled (extra `fast`)   | in one compiled loop                    |
| `naive`  | print by print, without the index   | quote by quote                          |
"""

from __future__ import annotations

import warnings
from typing import Any, Final

from gnomon import compiled
from gnomon.errors import Invalid
from gnomon.exchange import search
from gnomon.exchange.bars import Bars
from gnomon.exchange.thresholds import Thresholds
from gnomon.market.block_index import BlockIndex
from gnomon.replay.engine import Search

JUMP: Final = "jump"
KERNEL: Final = "kernel"
NAIVE: Final = "naive"
RUNNERS: Final = (JUMP, KERNEL, NAIVE)


def print_by_print(rows: Any, _index: BlockIndex, start: int, stop: int, thresholds: Thresholds) -> int:
    """`first_crossing` as its definition reads: one row after the other, without index, columns or windows."""
    bid, ask, up, down = thresholds
    is_bars = isinstance(rows, Bars)
    for row in range(start, stop):
        if is_bars:
            low, high = rows.low.item(row), rows.high.item(row)
            is_sold = is_bought = True
        else:
            low = high = rows.price.item(row)
            side = rows.side.item(row)
            is_sold, is_bought = side <= 0, side >= 0
        if (is_sold and low <= bid) or (is_bought and high >= ask) or high >= up or low <= down:
            return row
    return stop


def runner(name: str) -> Search:
    """The search of a name, which `play` and `play_again` take; `Invalid` for an unknown one. Without numba `kernel` is
    `jump`, and says so."""
    if name == NAIVE:
        return print_by_print
    if name == KERNEL:
        if compiled.AVAILABLE:
            from gnomon.exchange.kernels import first_crossing  # which brings numba

            return first_crossing
        warnings.warn(
            "numba is not there: the runner is jump, with the same result; install gnomon[fast]",
            RuntimeWarning,
            stacklevel=2,
        )
    elif name != JUMP:
        raise Invalid(f"no runner {name!r}", hint=f"one of {', '.join(RUNNERS)}")
    return search.first_crossing
