"""Crosses of moving averages: in while the fast one is above the slow one, out while it is below.

Simple averages are compared as sums of ticks, in integers, so no two are ever equal by rounding. Exponential ones weigh
a new close with `2 / (n + 1)` and begin at the first close.
"""

from __future__ import annotations

from collections import deque

from gnomon.errors import Invalid
from gnomon.trader.desk import Desk
from gnomon.trader.events import Bar, Candle
from gnomon.trader.params import among, between
from gnomon.trader.trader import Strategy


class _Cross(Strategy):
    """One average per instrument and length; whoever inherits says how they are kept and compared."""

    class Params:
        fast: int = between(20, 1, 100, 5, aliases=("n1",))
        slow: int = between(50, 2, 400, 10, aliases=("n2",))
        size: str = among("all", "fixed")
        lots: int = between(1, 1, 10**12, 1)
        """Of a fixed size."""

        def __post_init__(self) -> None:
            if self.fast >= self.slow:
                raise Invalid(f"fast {self.fast} is not below slow {self.slow}", hint="fast < slow")

    def on_start(self, desk: Desk) -> None:
        """Warm-up: the bars before the start count."""
        for listing in desk.instruments():
            for ticks in desk.candles(listing.number, self.params.slow).close.tolist():
                self.take(listing.id, ticks)

    def on_bar(self, desk: Desk, bar: Bar) -> None:
        for name, candle in bar.candles.items():
            self.take(name, candle.close_ticks)
            above = self.is_above(name)
            if above is not None:
                self._follow(desk, candle, above)

    def _follow(self, desk: Desk, candle: Candle, above: bool) -> None:
        name = candle.instrument
        held = desk.position_lots(name)
        if above and not held and not desk.orders():
            if self.params.size == "fixed":
                desk.buy(name, lots=self.params.lots)
            else:
                desk.buy(name, pct=100 / len(desk.instruments()))
        elif not above and held:
            desk.close(name)

    def take(self, name: str, ticks: int) -> None:
        """A close."""
        raise NotImplementedError

    def is_above(self, name: str) -> bool | None:
        """Whether the fast average is above the slow one; None while there are too few closes, and where they meet."""
        raise NotImplementedError


class SmaCross(_Cross):
    """Simple moving averages."""

    def __init__(self, **given: object) -> None:
        super().__init__(**given)
        self._closes: dict[str, deque[int]] = {}
        self._sums: dict[str, list[int]] = {}

    def take(self, name: str, ticks: int) -> None:
        fast, slow = self.params.fast, self.params.slow
        closes = self._closes.setdefault(name, deque())
        sums = self._sums.setdefault(name, [0, 0])
        closes.append(ticks)
        sums[0] += ticks - (closes[-1 - fast] if len(closes) > fast else 0)
        sums[1] += ticks - (closes.popleft() if len(closes) > slow else 0)

    def is_above(self, name: str) -> bool | None:
        if len(self._closes[name]) < self.params.slow:
            return None
        fast, slow = self._sums[name]
        difference = fast * self.params.slow - slow * self.params.fast
        return None if difference == 0 else difference > 0


class EmaCross(_Cross):
    """Exponential moving averages."""

    def __init__(self, **given: object) -> None:
        super().__init__(**given)
        self._averages: dict[str, tuple[float, float]] = {}
        self._count: dict[str, int] = {}

    def take(self, name: str, ticks: int) -> None:
        fast, slow = self._averages.get(name, (float(ticks), float(ticks)))
        fast += (ticks - fast) * 2 / (self.params.fast + 1)
        slow += (ticks - slow) * 2 / (self.params.slow + 1)
        self._averages[name] = fast, slow
        self._count[name] = self._count.get(name, 0) + 1

    def is_above(self, name: str) -> bool | None:
        fast, slow = self._averages[name]
        return None if self._count[name] < self.params.slow or fast == slow else fast > slow
