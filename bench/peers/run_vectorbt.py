"""vectorbt on bars: arrays of signals computed ahead, no Python a bar (`averages`); columns of runs (`sweep`).

The signal of a bar's close is moved to the next bar, where it fills at the open, as `next_open` does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import vectorbt as vbt

from report import FAST, FEE, LOT, ORDER_LOTS, SLOW, TICK, account, asked, columns, emit, least, sweep_bars

COLUMNS = 100  # runs in one call: more of them only cost memory


def signals(close: Any) -> tuple[Any, Any]:
    """Entries and exits at the bar that fills them."""
    running = np.concatenate([[0], np.cumsum(close)])
    fast = running[SLOW:] - running[SLOW - FAST : len(running) - FAST]
    slow = running[SLOW:] - running[:-SLOW]
    above = 3 * fast > slow  # of bars SLOW - 1 and later
    entries, exits = np.zeros(len(close), bool), np.zeros(len(close), bool)
    entries[SLOW:], exits[SLOW:] = above[:-1], ~above[:-1]
    return entries, exits


def averages(opened: Any, close: Any, repeat: int) -> dict[str, Any]:
    entries, exits = signals(close)
    given = {"entries": entries, "exits": exits, "size": ORDER_LOTS * LOT, "fees": FEE, "init_cash": 10_000_000.0}

    def run(prices: tuple[Any, Any]) -> Any:
        return vbt.Portfolio.from_signals(prices[0], price=prices[1], freq="min", **given)

    def prices() -> tuple[Any, Any]:
        return pd.Series(close * TICK), pd.Series(opened * TICK)

    run(prices())  # compiles
    portfolio, cpu_s = least(prices, run, repeat)
    orders = portfolio.orders.values
    rows = zip(orders["idx"].tolist(), orders["side"].tolist(), strict=True)
    exact = account((bar, "S" if side else "B", int(opened[bar]), ORDER_LOTS) for bar, side in rows)
    return {"cpu_s": cpu_s, "bars": len(close), "equity_own": portfolio.final_value() - 10_000_000.0, **exact}


def sweep(opened: Any, close: Any, runs: int, decisions: int, repeat: int) -> dict[str, Any]:
    bars = sweep_bars(runs, decisions, len(close))
    prices, opens = pd.Series(close * TICK), (opened * TICK)[:, None]

    def signalled(some: list[list[int]]) -> tuple[Any, Any]:
        entries, exits = (np.zeros((len(close), len(some)), bool) for _ in range(2))
        for column, one in enumerate(some):
            entries[one[0::2], column] = True
            exits[one[1::2], column] = True
        return entries, exits

    def run(flags: tuple[Any, Any]) -> Any:
        entries, exits = flags
        return vbt.Portfolio.from_signals(
            prices, entries, exits, price=opens, size=np.inf, fees=FEE, init_cash=1_000_000.0, freq="min"
        )

    run(signalled(bars[:2]))  # compiles
    seconds, fills = 0.0, 0
    for at in range(0, len(bars), COLUMNS):
        some = bars[at : at + COLUMNS]
        portfolio, cpu_s = least(lambda chosen=some: signalled(chosen), run, repeat)
        seconds += cpu_s
        fills += len(portfolio.orders.values)
    counts = {"runs": len(bars), "decisions": decisions, "fills": fills}
    return {"cpu_s": seconds, "cpu_s_per_run": seconds / len(bars), **counts}


def main() -> None:
    given = asked()
    opened, close = columns(given, "open", "close")
    if given.work == "averages":
        emit("vectorbt", **averages(opened, close, given.repeat))
    else:
        emit("vectorbt", **sweep(opened, close, given.runs, given.decisions, given.repeat))


if __name__ == "__main__":
    main()
