"""Pairs: a listing as the wire writes it. Decimal texts there, ticks, lots and units of assets here, exactly.

The wire has eight decimals, or as many as the finest step needs: a price in ticks of 0.01 is `"100.50000000"`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache
from typing import Final

from gnomon.exchange.listing import Asset, Listing
from gnomon.serve.venue import codes
from gnomon.units import INT64_MAX

WIRE_DECIMALS: Final = 8

REMEMBERED: Final = 10_000
"""How many texts a scale remembers: bots ask for the same prices and quantities again and again."""

_decimal: Final = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,20}))?").fullmatch


class Scale:
    """Whole counts of a step as decimal texts, and back."""

    __slots__ = ("_form", "_texts", "_values", "_whole", "decimals", "step", "zero")

    def __init__(self, step: Decimal) -> None:
        exponent = step.normalize().as_tuple().exponent
        assert isinstance(exponent, int)
        self.decimals = max(WIRE_DECIMALS, -exponent)
        self._whole: int = 10**self.decimals
        self.step = int(step * self._whole)  # in the last decimal
        self._form = f"%d.%0{self.decimals}d"
        self._texts: dict[int, str] = {}
        self._values: dict[str, int] = {}
        self.zero = self.text(0)

    def text(self, count: int) -> str:
        found = self._texts.get(count)
        if found is None:
            if len(self._texts) >= REMEMBERED:
                self._texts.clear()
            found = self._texts[count] = self._write(count * self.step)
        return found

    def _write(self, value: int) -> str:
        text: str = self._form % divmod(abs(value), self._whole)
        return f"-{text}" if value < 0 else text

    def read(self, name: str, text: str) -> int:
        """The value of a parameter in the last decimal. -1100 what is no decimal, -1111 too fine, -1108 too large."""
        known = self._values.get(text)
        if known is not None:
            return known
        found = _decimal(text)
        if found is None:
            raise codes.illegal_characters(name, codes.DECIMAL_RANGE)
        whole, part = found.groups()
        value: int
        if part is None:
            value = int(whole) * self._whole
        elif len(part) > self.decimals:
            raise codes.too_precise(name)
        else:
            value = int(whole + part.ljust(self.decimals, "0"))
        if value > INT64_MAX:
            raise codes.overflowed(name)
        if len(self._values) >= REMEMBERED:
            self._values.clear()
        self._values[text] = value
        return value


@cache
def scale(step: Decimal) -> Scale:
    """The one of a step: all accounts of a process share what it remembers."""
    return Scale(step)


class Pair:
    """One listing by its symbol: the texts of its prices, quantities and money."""

    __slots__ = ("base", "base_units", "listing", "lots", "number", "quote", "quote_units", "symbol", "ticks")

    def __init__(self, listing: Listing, symbol: str, base: int, quote: int) -> None:
        """`base` and `quote` are the numbers of the assets."""
        self.listing = listing
        self.number = listing.number
        self.symbol = symbol
        self.base = base
        self.quote = quote
        self.ticks = scale(listing.tick)
        self.lots = scale(listing.lot)
        self.base_units = scale_of(listing.base)
        self.quote_units = scale_of(listing.quote)


def scale_of(asset: Asset) -> Scale:
    """Of the units that an asset is counted in."""
    return scale(Decimal(1).scaleb(-asset.scale))
