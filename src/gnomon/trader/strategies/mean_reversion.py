"""Mean reversion: buy below, sell above a band of k deviations around a moving mean."""

from __future__ import annotations

import numpy as np

from gnomon.trader.desk import Desk
from gnomon.trader.events import Bar
from gnomon.trader.params import between
from gnomon.trader.trader import Strategy


class MeanReversion(Strategy):
    """Each instrument by itself, an equal part of equity for each."""

    class Params:
        bars: int = between(20, 2, 500, 10)
        k: float = between(2.0, 0.1, 5.0, 0.5)

    def on_bar(self, desk: Desk, bar: Bar) -> None:
        for name, candle in bar.candles.items():
            closes = desk.candles(name, self.params.bars).close.astype(np.float64)
            if len(closes) < self.params.bars:
                continue
            mean, width = closes.mean(), self.params.k * closes.std()
            held = desk.position_lots(name)
            if candle.close_ticks < mean - width and not held and not desk.orders():
                desk.buy(name, pct=100 / len(desk.instruments()))
            elif candle.close_ticks > mean + width and held:
                desk.close(name)
