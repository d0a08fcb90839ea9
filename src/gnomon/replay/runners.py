"""Runners: ways to find the next print that concerns an own order. Which one it was moves no digest."""

from __future__ import annotations

from typing import Any, Final

from gnomon.errors import Invalid
from gnomon.exchange.bars import Bars
from gnomon.exchange.search import first_crossing
from gnomon.exchange.thresholds import Thresholds
from gnomon.market.block_index import BlockIndex
from gnomon.replay.engine import Search

JUMP: Final = "jump"
NAIVE: Final = "naive"


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


RUNNERS: Final[dict[str, Search]] = {JUMP: first_crossing, NAIVE: print_by_print}
"""`jump` reads blocks of prints by their bounds, `naive` every print: slow, and what the other is held against."""


def runner(name: str) -> Search:
    """The search of a name; `Invalid` for an unknown one."""
    if name not in RUNNERS:
        raise Invalid(f"no runner {name!r}", hint=f"one of {', '.join(RUNNERS)}")
    return RUNNERS[name]
