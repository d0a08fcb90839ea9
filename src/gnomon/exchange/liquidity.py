"""Liquidity: what an order that takes could get at its arrival, price by price.

`best` and `levels` see only what the tape held before the arrival. What was taken from a level is remembered until the
market says something new about it, so nothing is sold twice; later history is not changed by us.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

from gnomon.exchange.order import Side
from gnomon.exchange.outcome import QuoteKind, Rule
from gnomon.exchange.prints import Prints
from gnomon.exchange.recorded import QUOTES, Offer, Seen, Shown
from gnomon.exchange.rules import AUTO, Fills, Taker


class Best(NamedTuple):
    """The best prices in ticks, 0 where there is none, and where they come from."""

    bid: int
    ask: int
    kind: QuoteKind
    print: int = -1  # the tape position that they stand on


class Level(NamedTuple):
    """Lots that can be had at a price."""

    price: int
    lots: int
    number: int  # from 1, best first
    rule: Rule
    layer: int = 0  # of a recording, and the row of it that displays the level
    row: int = -1


class Liquidity(Protocol):
    """Where takers find their counterpart."""

    def best(self, position: int, time_ns: int, /) -> Best: ...

    def levels(self, side: Side, position: int, time_ns: int, /) -> Iterator[Level]:
        """For a taker of this side, best price first."""
        ...

    def take(self, side: Side, level: Level, lots: int, /) -> None: ...


NO_QUOTE: Final = Best(0, 0, QuoteKind.NONE)


class NoLiquidity:
    """The rule `rest`: nothing is assumed beyond the prints."""

    def best(self, _position: int, _time_ns: int) -> Best:
        return NO_QUOTE

    def levels(self, _side: Side, _position: int, _time_ns: int) -> Iterator[Level]:
        return iter(())

    def take(self, _side: Side, _level: Level, _lots: int) -> None:
        raise AssertionError("nothing was offered")


class SyntheticQuote:
    """A quote around the last print: its aggressor met the price it printed at, the other side is a spread away."""

    __slots__ = ("_fills", "_lots", "_prints", "_taken", "_taken_at")

    def __init__(self, prints: Prints, fills: Fills) -> None:
        self._prints = prints
        self._fills = fills
        self._taken: dict[tuple[Side, int], int] = {}
        self._taken_at = -1
        self._lots = fills.level_lots

    def best(self, position: int, _time_ns: int) -> Best:
        if position == 0:
            return NO_QUOTE
        last = position - 1
        price, side, spread = int(self._prints.price[last]), int(self._prints.side[last]), self._fills.spread_ticks
        if side > 0:
            return Best(price - spread, price, QuoteKind.SYNTHETIC, last)
        if side < 0:
            return Best(price, price + spread, QuoteKind.SYNTHETIC, last)
        return Best(price - spread // 2, price - (-spread // 2), QuoteKind.SYNTHETIC, last)

    def levels(self, side: Side, position: int, time_ns: int) -> Iterator[Level]:
        best = self.best(position, time_ns)
        if best.kind is QuoteKind.NONE:
            return
        if self._taken_at != position:
            self._taken, self._taken_at = {}, position
            if self._fills.level_lots == AUTO:
                self._lots = self._prints.level_lots(position)
        lots = self._lots
        for number in range(1, self._fills.max_levels + 1):
            price = best.ask + number - 1 if side is Side.BUY else best.bid - number + 1
            left = lots - self._taken.get((side, price), 0)
            if price > 0 and left > 0:
                yield Level(price, left, number, Rule.TAKER_SYNTHETIC)

    def take(self, side: Side, level: Level, lots: int) -> None:
        key = side, level.price
        self._taken[key] = self._taken.get(key, 0) + lots


class RecordedLiquidity:
    """What was displayed: depth walked level by level, or the best quote and what is assumed behind it.

    Where the recording says nothing yet the synthetic quote stands in, but not for the rule `walk`.
    """

    __slots__ = ("_fills", "_prints", "_synthetic", "shown")

    def __init__(self, shown: Shown, prints: Prints, fills: Fills) -> None:
        self.shown = shown
        self._prints = prints
        self._fills = fills
        self._synthetic: Liquidity = NoLiquidity() if fills.taker is Taker.WALK else SyntheticQuote(prints, fills)

    def _now(self, time_ns: int) -> tuple[Seen, int]:
        """What is behind, and the layer that is asked; 0 for none."""
        seen = self.shown.at(time_ns)
        layer = self.shown.layer(seen)
        return seen, 0 if layer == QUOTES and self._fills.taker is Taker.WALK else layer

    def best(self, position: int, time_ns: int) -> Best:
        seen, layer = self._now(time_ns)
        if not layer:
            return self._synthetic.best(position, time_ns)
        bid, ask, row = self.shown.recorded.best(seen, layer)
        return Best(bid, ask, QuoteKind.RECORDED, row)

    def updated_ns(self, time_ns: int) -> int:
        """When what is best at an instant was last spoken of; -1 where nothing recorded says it."""
        seen, layer = self._now(time_ns)
        return self.shown.recorded.time_ns(seen, layer) if layer else -1

    def levels(self, side: Side, position: int, time_ns: int) -> Iterator[Level]:
        seen, layer = self._now(time_ns)
        if not layer:
            yield from self._synthetic.levels(side, position, time_ns)
            return
        offers = self.shown.offers(side, seen, layer)
        if layer == QUOTES or self._fills.taker is Taker.QUOTE:
            yield from self._behind_the_best(side, next(offers, None), position, layer)
            return
        for number, (price, lots, taken, row) in enumerate(offers, 1):
            if lots > taken:
                yield Level(price, lots - taken, number, Rule.TAKER_WALK, layer, row)

    def _behind_the_best(self, side: Side, best: Offer | None, position: int, layer: int) -> Iterator[Level]:
        """The best price for its size, then an assumed size at each tick further away."""
        if best is None or not best.price:
            return
        lots, row = self._fills.level_lots, best.row
        if lots == AUTO:
            lots = self._prints.level_lots(position)
        for number in range(1, self._fills.max_levels + 1):
            price = best.price + number - 1 if side is Side.BUY else best.price - number + 1
            taken = self.shown.taken(layer, side, price, row)
            left = (best.lots if number == 1 else lots) - taken
            if price > 0 and left > 0:
                yield Level(price, left, number, Rule.TAKER_QUOTE, layer, row)

    def take(self, side: Side, level: Level, lots: int) -> None:
        if level.layer:
            self.shown.take(level.layer, side, level.price, level.row, lots)
        else:
            self._synthetic.take(side, level, lots)
