"""Buy and hold: all in at the first bar, in equal parts, and nothing after that."""

from __future__ import annotations

from gnomon.trader.desk import Desk
from gnomon.trader.events import Bar
from gnomon.trader.trader import Strategy


class BuyAndHold(Strategy):
    """What every other strategy must beat. An order that came to nothing is tried again at the next bar."""

    def on_bar(self, desk: Desk, _bar: Bar) -> None:
        names = [one.id for one in desk.instruments()]
        if desk.orders() or any(desk.position_lots(name) for name in names):
            return
        priced = [name for name in names if desk.price(name) is not None]
        if len(priced) == len(names):
            desk.target(dict.fromkeys(names, 1 / len(names)))
