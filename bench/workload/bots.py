"""Strategies that are let loose on a venue; they count their calls."""

from __future__ import annotations

from typing import Any

from gnomon.trader.params import between
from gnomon.trader.strategies.crosses import EmaCross
from gnomon.trader.trader import Strategy


class Silent(Strategy):
    """Hears every bar and wants nothing."""

    def on_bar(self, desk: Any, bar: Any) -> None: ...


class Cross(EmaCross):
    """The shipped cross of averages: in and out, some ten thousand times in a year of minutes."""


class Prints(Strategy):
    """Hears prints and wants nothing."""

    wake = {"every_nth_print": 1}  # noqa: RUF012 - class data of a strategy

    def on_trade(self, desk: Any, trade: Any) -> None: ...


class Hundredth(Prints):
    """Every hundredth of them."""

    wake = {"every_nth_print": 100}  # noqa: RUF012 - class data of a strategy


class Quoter(Strategy):
    """Buys a little and sells it again, by turns, at every `every`-th bar."""

    class Params:
        every: int = between(5, 1, 1000, 1)

    def on_start(self, desk: Any) -> None:  # noqa: ARG002 - the form of the hook
        self.bars = 0

    def on_bar(self, desk: Any, bar: Any) -> None:  # noqa: ARG002 - the form of the hook
        self.bars += 1
        if self.bars % self.params.every == 0:
            if desk.position(0):
                desk.close(0)
            else:
                desk.buy(0, usd=500)
