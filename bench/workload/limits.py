"""What no engine can beat here: bytes over the bandwidth of memory, Python's own calls, and a loop without accounts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .seeded import HALF_SPREAD_TICKS, Bars, Prints

Fills = list[tuple[int, str, int]]


def seconds(work: Callable[[], Any], repeat: int = 5) -> float:
    """The least CPU seconds of a call."""
    found = []
    for _ in range(repeat):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def stream_gb_per_s() -> float:
    """At which the minimum of a column too large for any cache is taken: 8 bytes a value, 256 MB."""
    column = np.arange(32_000_000, dtype=np.int64)
    return column.nbytes / seconds(column.min, 7) / 1e9


def read_seconds(rows: int, bytes_a_row: int, gb_per_s: float) -> float:
    """That reading so many rows of a tape takes at least."""
    return rows * bytes_a_row / (gb_per_s * 1e9)


# --- prints -----------------------------------------------------------------------------------------------------------


def call_per_print(market: Prints, every: int, block: int = 4096) -> int:
    """A method with four scalars from blocks of lists a print, which only counts; no order, no account."""
    seen = wakes = 0
    whole = (market.ts, market.price, market.lots, market.side)

    def on_trade(ts: int, price: int, lots: int, side: int) -> None:  # noqa: ARG001 - what a strategy is given
        nonlocal seen, wakes
        seen += 1
        if seen % every == 0:
            wakes += 1

    for at in range(0, len(market), block):
        for ts, price, lots, side in zip(*(column[at : at + block].tolist() for column in whole), strict=True):
            on_trade(ts, price, lots, side)
    return wakes


def jump(market: Prints, every: int) -> Fills:
    """Fills of a pair that is replaced every so many prints, touched and filled whole, without orders or accounts:
    plain NumPy from decision to decision (number of the print, side, ticks)."""
    fills: Fills = []
    price, buy = market.price, market.buy
    for wake in range(every, len(market), every):
        bid, ask = int(price[wake - 1]) - HALF_SPREAD_TICKS, int(price[wake - 1]) + HALF_SPREAD_TICKS
        prices, buys = price[wake : wake + every], buy[wake : wake + every]
        bought, sold = (prices <= bid) & ~buys, (prices >= ask) & buys
        b, s = int(bought.argmax()), int(sold.argmax())  # 0 also where nothing qualifies
        both = [(wake + b + 1, "B", bid)] if bought[b] else []
        both += [(wake + s + 1, "S", ask)] if sold[s] else []
        fills += sorted(both)
    return fills


# --- bars -------------------------------------------------------------------------------------------------------------


def call_per_bar(market: Bars, block: int = 4096) -> int:
    """Two running averages in a method that is called with a bar's scalars; counts its decisions, keeps no account."""
    decisions = 0
    closes: list[int] = []
    fast = slow = 0
    long = False

    def on_bar(opened: int, high: int, low: int, close: int) -> None:  # noqa: ARG001 - what a strategy is given
        nonlocal fast, slow, long, decisions
        closes.append(close)
        fast += close
        slow += close
        if len(closes) > 10:
            fast -= closes[-11]
        if len(closes) < 30:
            return
        if len(closes) > 30:
            slow -= closes[-31]
        if (3 * fast > slow) is not long:
            long = not long
            decisions += 1

    whole = (market.open, market.high, market.low, market.close)
    for at in range(0, len(market), block):
        for opened, high, low, close in zip(*(column[at : at + block].tolist() for column in whole), strict=True):
            on_bar(opened, high, low, close)
    return decisions
