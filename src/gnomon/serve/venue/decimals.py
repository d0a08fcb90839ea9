"""Decimals: integers of a listing as the wire writes them, always with 8 decimals or more, never through a float.

| what     | counted in                        | decimals                                 |
|----------|-----------------------------------|------------------------------------------|
| price    | ticks                             | 8, or as many as the tick needs          |
| quantity | lots                              | those of the base asset                  |
| worth    | ticks times lots                  | those of the quote asset                 |
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from gnomon.exchange.listing import Listing

LEAST_PLACES: Final = 8
MOST_KEPT: Final = 16_384


def fixed(units: int, places: int) -> str:
    """`units` of 10^-places."""
    if units < 0:
        return "-" + fixed(-units, places)
    whole, part = divmod(units, 10**places)
    return f"{whole}.{part:0{places}d}"


def rounded(numerator: int, denominator: int) -> int:
    """To the nearest whole number, half away from zero. The denominator is positive."""
    if numerator < 0:
        return -rounded(-numerator, denominator)
    return (2 * numerator + denominator) // (2 * denominator)


def places_of(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(LEAST_PLACES, -exponent)


class Decimals:
    """The texts of one listing's prices, quantities and worths. Those of prices and quantities are kept."""

    __slots__ = ("_money_unit", "_price_unit", "_prices", "_qty_unit", "_qtys", "_worth_unit", "price_places",
                 "qty_places",
                 "worth_places", "zero_price", "zero_qty", "zero_worth")  # fmt: skip

    def __init__(self, listing: Listing) -> None:
        self.price_places = places_of(listing.tick)
        self.qty_places = max(LEAST_PLACES, listing.base.scale)
        self.worth_places = max(LEAST_PLACES, listing.quote.scale)
        self._price_unit = int(listing.tick.scaleb(self.price_places))
        self._qty_unit = listing.lot_unit * 10 ** (self.qty_places - listing.base.scale)
        self._money_unit = 10 ** (self.worth_places - listing.quote.scale)
        self._worth_unit = listing.notional_unit * self._money_unit
        self._prices: dict[int, str] = {}
        self._qtys: dict[int, str] = {}
        self.zero_price = fixed(0, self.price_places)
        self.zero_qty = fixed(0, self.qty_places)
        self.zero_worth = fixed(0, self.worth_places)

    def price(self, ticks: int) -> str:
        text = self._prices.get(ticks)
        if text is None:
            if len(self._prices) >= MOST_KEPT:
                self._prices.clear()
            text = self._prices[ticks] = fixed(ticks * self._price_unit, self.price_places)
        return text

    def qty(self, lots: int) -> str:
        text = self._qtys.get(lots)
        if text is None:
            if len(self._qtys) >= MOST_KEPT:
                self._qtys.clear()
            text = self._qtys[lots] = fixed(lots * self._qty_unit, self.qty_places)
        return text

    def worth(self, tick_lots: int) -> str:
        """Of a sum of ticks times lots, in the quote asset."""
        return fixed(tick_lots * self._worth_unit, self.worth_places)

    def money(self, units: int) -> str:
        """Units of the quote asset."""
        return fixed(units * self._money_unit, self.worth_places)

    def mean_price(self, tick_lots: int, lots: int) -> str:
        """Ticks times lots over lots, to the nearest; 0 where nothing was traded."""
        return fixed(rounded(tick_lots * self._price_unit, lots), self.price_places) if lots else self.zero_price

    def percent(self, change: int, of: int) -> str:
        """Of two numbers of ticks, with three decimals."""
        return fixed(rounded(change * 100_000, of), 3) if of else "0.000"
