"""Trading hours at the venue: what a market that closes does with orders that come while it is closed.

| while it is closed     | on prints                                                        | on candles             |
|------------------------|------------------------------------------------------------------|------------------------|
| `MARKET`, `IOC`, `FOK` | refused, `MARKET_CLOSED`, with the next open                     | wait for the next open |
| other orders           | accepted; they rest, or wait for their trigger, and take nothing | as at any time         |
| a print                | is news, and concerns no order                                   | -                      |

A halt is a hole in the hours. A listing without hours never gets here.
"""

from __future__ import annotations

from collections.abc import Iterator

from gnomon.exchange.book import Book
from gnomon.exchange.checks import Broken
from gnomon.exchange.liquidity import NO_QUOTE, Best, Level, Liquidity
from gnomon.exchange.listing import Listing
from gnomon.exchange.order import OrderType, Place, Side, TimeInForce
from gnomon.exchange.outcome import Refusal
from gnomon.market.calendar import Hours


class OpenOnly:
    """Liquidity that is there while the market is open."""

    __slots__ = ("_hours", "inner")

    def __init__(self, inner: Liquidity, hours: Hours) -> None:
        self.inner = inner
        self._hours = hours

    def best(self, position: int, time_ns: int) -> Best:
        return self.inner.best(position, time_ns) if self._hours.is_open(time_ns) else NO_QUOTE

    def levels(self, side: Side, position: int, time_ns: int) -> Iterator[Level]:
        return self.inner.levels(side, position, time_ns) if self._hours.is_open(time_ns) else iter(())

    def take(self, side: Side, level: Level, lots: int) -> None:
        self.inner.take(side, level, lots)


def while_open(liquidity: Liquidity, listing: Listing) -> Liquidity:
    """What a listing's takers find, by its hours."""
    return liquidity if listing.hours is None else OpenOnly(liquidity, listing.hours)


def is_immediate(place: Place) -> bool:
    """Whether an order wants the market of its arrival and nothing else."""
    if place.type is OrderType.MARKET:
        return True
    return place.type is OrderType.LIMIT and place.tif in (TimeInForce.IOC, TimeInForce.FOK)


def closed(place: Place, book: Book | None, time_ns: int) -> Broken | None:
    """An order that cannot wait, for a market of prints that is closed; `limit` is when it opens, 0 unknown."""
    if book is None or book.has_bars or book.listing.hours is None or not is_immediate(place):
        return None
    hours = book.listing.hours
    return None if hours.is_open(time_ns) else Broken(Refusal.MARKET_CLOSED, time_ns, hours.next_open_ns(time_ns))


def waits_for_open(book: Book, time_ns: int) -> bool:
    """Whether an order that cannot rest waits for the next candle, because the market is closed."""
    hours = book.listing.hours
    return book.has_bars and hours is not None and not hours.is_open(time_ns)
