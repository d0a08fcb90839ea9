"""Buy and hold: all in at the first bar, in equal parts, and nothing after that."""

from __future__ import annotations

from gnomon.trader.desk import Desk
from gnomon.trader.events import Bar
from gnomon.trader.orders import Order
from gnomon.trader.trader import Strategy


class BuyAndHold(Strategy):
    """What every other strategy must beat. An order that came to nothing is tried again at the next bar."""

    def on_start(self, _desk: Desk) -> None:
        self._orders: list[Order] = []

    def on_bar(self, desk: Desk, _bar: Bar) -> None:
        if any(one.is_open or one.executed_lots for one in self._orders):
            return
        names = [one.id for one in desk.instruments()]
        if all(desk.price(name) is not None for name in names):
            self._orders = desk.target(dict.fromkeys(names, 1 / len(names)))
