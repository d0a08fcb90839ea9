"""backtrader on bars: two averages in Python a bar (`averages`), and buy and hold (`sweep`)."""

from __future__ import annotations

from typing import Any

import backtrader
import numpy as np

from report import FAST, FEE, LOT, ORDER_LOTS, SLOW, TICK, account, asked, columns, emit, least, sweep_bars

EPOCH_DAYS = backtrader.date2num(backtrader.datetime.datetime(1970, 1, 1))
DAY_NS = 86_400 * 10**9


class Rows(backtrader.feed.DataBase):
    """Bars from arrays; it knows days as floats."""

    params = (("columns", ()),)

    def start(self) -> None:
        super().start()
        self.rows = zip(*(column.tolist() for column in self.p.columns), strict=True)

    def _load(self) -> bool:
        row = next(self.rows, None)
        if row is None:
            return False
        lines = self.lines
        lines.datetime[0], lines.open[0], lines.high[0], lines.low[0], lines.close[0] = row
        lines.volume[0] = 1.0
        return True


class Recording(backtrader.Strategy):
    def start(self) -> None:
        self.fills: list[tuple[int, str, int, int]] = []

    def notify_order(self, order: Any) -> None:
        if order.status == order.Completed:
            side = "B" if order.isbuy() else "S"
            self.fills.append((len(self) - 1, side, round(order.executed.price / TICK), ORDER_LOTS))


class Averages(Recording):
    def __init__(self) -> None:
        self.fast = backtrader.indicators.SMA(self.data.close, period=FAST)
        self.slow = backtrader.indicators.SMA(self.data.close, period=SLOW)

    def next(self) -> None:
        if self.fast[0] > self.slow[0]:
            if not self.position:
                self.buy(size=ORDER_LOTS * LOT)
        elif self.position:
            self.close()


class Holding(Recording):
    params = (("bars", ()),)

    def __init__(self) -> None:
        self.pending = list(self.p.bars)[::-1]

    def next(self) -> None:
        if self.pending and len(self) >= self.pending[-1]:
            self.pending.pop()
            if self.position:
                self.close()
            else:
                self.buy(size=0.99 * self.broker.getcash() / (self.data.close[0] * (1 + FEE)))


def engine(columns: list[Any], strategy: Any, cash: float, **params: Any) -> Any:
    cerebro = backtrader.Cerebro(stdstats=False)
    cerebro.adddata(Rows(columns=columns))
    cerebro.addstrategy(strategy, **params)
    cerebro.broker.setcash(cash)
    cerebro.broker.setcommission(commission=FEE)
    return cerebro


def main() -> None:
    given = asked()
    ts, *prices = columns(given, "open_ts", "open", "high", "low", "close")
    data = [np.asarray(ts / DAY_NS + EPOCH_DAYS), *(column * TICK for column in prices)]
    engine([column[:500] for column in data], Averages, 1e7).run()  # what it loads at its first run
    if given.work == "averages":
        (strategy,), cpu_s = least(lambda: engine(data, Averages, 1e7), lambda one: one.run(), given.repeat)
        equity = strategy.broker.getvalue() - 1e7
        emit("backtrader", cpu_s=cpu_s, bars=len(ts), equity_own=equity, **account(strategy.fills))
        return
    seconds, fills = 0.0, 0
    for bars in sweep_bars(given.runs, given.decisions, len(ts)):
        made = lambda chosen=bars: engine(data, Holding, 1e6, bars=chosen)  # noqa: E731 - bound to its bars
        (strategy,), cpu_s = least(made, lambda one: one.run(), 1)
        seconds += cpu_s
        fills += len(strategy.fills)
    counts = {"runs": given.runs, "decisions": given.decisions, "fills": fills}
    emit("backtrader", cpu_s=seconds, cpu_s_per_run=seconds / given.runs, **counts)


if __name__ == "__main__":
    main()
