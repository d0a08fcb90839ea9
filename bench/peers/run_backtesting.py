"""backtesting.py on bars: two moving averages in Python a bar (`averages`), and buy and hold many times (`sweep`).

It knows whole units alone, so a unit is a lot and prices are those of a lot. Its first decision comes one bar late.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import backtesting.backtesting as inside
import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy

from report import FAST, FEE, LOT, ORDER_LOTS, SLOW, TICK, account, asked, columns, emit, least, sweep_bars

UNIT = TICK * LOT
OPENING = 10_000_000.0


class Replay:
    """CPU time from the end of `Strategy.init` to the statistics: the loop over bars."""

    def __init__(self) -> None:
        self.began = self.ended = 0.0
        statistics = inside.compute_stats

        def stopped(**given: Any) -> Any:
            self.ended = time.process_time()
            return statistics(**given)

        inside.compute_stats = stopped

    @property
    def seconds(self) -> float:
        return self.ended - self.began


REPLAY = Replay()


def rolling(close: Any, length: int) -> Any:
    """Sums of so many closes; whole numbers, which floats hold exactly, so that equal averages compare equal."""
    sums = np.full(len(close), np.nan)
    running = np.concatenate([[0.0], np.cumsum(close)])
    sums[length - 1 :] = running[length:] - running[:-length]
    return sums


class Averages(Strategy):
    ticks: Any = None

    def init(self) -> None:
        self.fast = self.I(lambda: 3 * rolling(self.ticks, FAST))
        self.slow = self.I(lambda: rolling(self.ticks, SLOW))
        REPLAY.began = time.process_time()

    def next(self) -> None:
        if self.fast[-1] > self.slow[-1]:
            if not self.position:
                self.buy(size=ORDER_LOTS)
        elif self.position:
            self.position.close()


class Holding(Strategy):
    """Buys and, with more decisions than one, sells in turn at the opens of `bars`."""

    bars: Any = ()

    def init(self) -> None:
        self.pending = list(self.bars)[::-1]
        REPLAY.began = time.process_time()

    def next(self) -> None:
        if self.pending and len(self.data) >= self.pending[-1]:  # a decision fills at the next open
            self.pending.pop()
            if self.position:
                self.position.close()
            else:
                self.buy()


def table(opened: Any, high: Any, low: Any, close: Any) -> pd.DataFrame:
    prices = {"Open": opened * UNIT, "High": high * UNIT, "Low": low * UNIT, "Close": close * UNIT}
    return pd.DataFrame(prices, index=pd.date_range("2023-11-14", periods=len(close), freq="min"))


def crossing(frame: pd.DataFrame, ticks: Any, opened: Any, repeat: int) -> dict[str, Any]:
    def run(_: Any) -> Any:
        return Backtest(frame, Averages, cash=OPENING, commission=FEE).run(ticks=ticks.astype(float))

    best, outcome = float("inf"), None
    for _ in range(repeat):
        outcome, _all = least(lambda: None, run, 1)
        best = min(best, REPLAY.seconds)
    trades = outcome["_trades"]
    entries, exits = trades["EntryBar"].tolist(), trades["ExitBar"].tolist()
    rows = sorted([(bar, "B") for bar in entries] + [(bar, "S") for bar in exits], key=lambda row: (row[0], row[1]))
    exact = account((bar, side, int(opened[bar]), ORDER_LOTS) for bar, side in rows)
    return {"cpu_s": best, "bars": len(ticks), "equity_own": outcome["Equity Final [$]"] - OPENING, **exact}


def sweep(frame: pd.DataFrame, runs: int, decisions: int) -> dict[str, Any]:
    seconds, fills = 0.0, 0
    for bars in sweep_bars(runs, decisions, len(frame)):
        outcome = Backtest(frame, Holding, cash=1_000_000.0, commission=FEE).run(bars=bars)
        seconds += REPLAY.seconds
        fills += 2 * len(outcome["_trades"]) + bool(outcome["_strategy"].position)
    counts = {"runs": runs, "decisions": decisions, "fills": fills}
    return {"cpu_s": seconds, "cpu_s_per_run": seconds / runs, **counts}


def main() -> None:
    warnings.simplefilter("ignore")
    given = asked()
    opened, high, low, close = columns(given, "open", "high", "low", "close")
    frame = table(opened, high, low, close)
    Backtest(frame[:1000], Averages, cash=OPENING, commission=FEE).run(ticks=close[:1000].astype(float))  # warm
    if given.work == "averages":
        emit("backtesting", **crossing(frame, close, opened, given.repeat))
    else:
        emit("backtesting", **sweep(frame, given.runs, given.decisions))


if __name__ == "__main__":
    main()
