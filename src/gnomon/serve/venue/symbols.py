"""Symbols: what the wire calls the listings of a session.

| listing                             | symbol      |
|-------------------------------------|-------------|
| `binance:BTCUSDT`                   | `BTCUSDT`   |
| `ftx:BTC-PERP`, `freqtrade:ETH/BTC` | `BTCPERP`, `ETHBTC` |
| a second one that would be `BTCUSDT` | `BTCUSDT2` |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gnomon.exchange.listing import Listing
from gnomon.serve.venue.refusal import VenueRefusal

INVALID_SYMBOL: Final = (-1121, "Invalid symbol.")


class Symbols:
    """The listings of a session by their symbols, which are capital letters and digits, each once."""

    __slots__ = ("_numbers", "_symbols", "lower")

    def __init__(self, listings: Sequence[Listing]) -> None:
        self._numbers: dict[str, int] = {}
        self._symbols: dict[int, str] = {}
        for one in listings:
            plain = _plain(one.id) or f"S{one.number}"
            symbol, count = plain, 1
            while symbol in self._numbers:
                count += 1
                symbol = f"{plain}{count}"
            self._numbers[symbol] = one.number
            self._symbols[one.number] = symbol
        self.lower = {symbol.lower(): number for symbol, number in self._numbers.items()}
        """The same in lower case, as the names of streams have it."""

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._numbers

    def number(self, symbol: str) -> int:
        """The number of the listing; `VenueRefusal` -1121 where there is none."""
        try:
            return self._numbers[symbol]
        except KeyError:
            raise VenueRefusal(*INVALID_SYMBOL) from None

    def symbol(self, number: int) -> str:
        return self._symbols[number]

    def all(self) -> tuple[str, ...]:
        """In the order of the listings."""
        return tuple(self._numbers)


def _plain(listing: str) -> str:
    name = listing.partition(":")[2] or listing
    return "".join(one for one in name.upper() if one.isascii() and one.isalnum())
