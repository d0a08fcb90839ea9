"""Market making: a pair of quotes around the last print, leaning away from the inventory."""

from __future__ import annotations

from dataclasses import replace

from gnomon.trader.desk import Desk
from gnomon.trader.events import Trade
from gnomon.trader.params import between
from gnomon.trader.trader import Strategy, Wake


class MarketMaker(Strategy):
    """Bid and ask `distance` ticks from the print, moved against the inventory by `skew` ticks for each `lots` of it.

    At `most` times `lots` the side that would add to it is withdrawn. What is held at the start is no inventory.
    """

    class Params:
        every: int = between(100, 1, 100_000, 100)
        distance: int = between(5, 1, 10_000, 1)
        lots: int = between(10, 1, 10**12, 10)
        skew: int = between(1, 0, 1_000, 1)
        most: int = between(5, 1, 1_000, 1)

    def wakes(self) -> Wake:
        return replace(super().wakes(), every_nth_print=self.params.every)

    def on_start(self, desk: Desk) -> None:
        self._opening = [desk.position_lots(one.number) for one in desk.instruments()]

    def on_trade(self, desk: Desk, trade: Trade) -> None:
        params, number = self.params, trade.listing.number
        inventory = desk.position_lots(number) - self._opening[number]
        middle = trade.price_ticks - inventory * params.skew // params.lots
        limit = params.most * params.lots
        bid = max(1, middle - params.distance) if inventory < limit else 0
        ask = max(2, middle + params.distance) if inventory > -limit else 0
        desk.quote_ticks(bid, ask, params.lots, number)
