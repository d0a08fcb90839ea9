"""Takers by later prints, the rule `next_print`: they share what others of their side took after them.

Nothing is assumed to be there at arrival. An order stands until prints of its own aggressor come, or of an unknown one,
and has up to the share of each at the print's price.

| order | stands for |
|---|---|
| `MARKET`, triggered or not | `taker_timeout_ns`; a BUY locks `max_levels` ticks above the last print, its limit |
| `IOC`, `FOK` | the first instant with such a print, the timeout at most; a `FOK` fills if all of it is there |
| `LIMIT` at or beyond the last price | the same, then it rests with what is left |

One print: each of those standing meets own resting orders at its price or better (self-trade prevention; a `FOK` when
it is filled). Then the print is the trade of resting orders, and news to the stops. Then those standing share what is
left of it, in the order in which they came to stand.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from gnomon.exchange.book import Book
from gnomon.exchange.checks import Broken
from gnomon.exchange.liquidity import NO_QUOTE, Best, Level
from gnomon.exchange.matching import meet_own, on_print, take
from gnomon.exchange.order import Order, Side, Status, TimeInForce
from gnomon.exchange.outcome import Filled, FillFlag, QuoteKind, Refusal, Role, Rule
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import SHARE_ONE, WHOLE, Fills
from gnomon.exchange.working import Working

_SIDE_UNKNOWN: Final = int(FillFlag.SIDE_UNKNOWN)


class Deadline(NamedTuple):
    """An order that waited for prints of its side has waited long enough; after all prints of the instant."""

    time_ns: int
    order: int


class Part(NamedTuple):
    """What one print gives to a taker: `lots` at `price`, out of `left` lots, of which the share is `cap`."""

    position: int
    price: int
    lots: int
    left: int
    cap: int


class LaterPrints:
    """Nothing is there to be taken at once; what would take is what reaches the last price."""

    def __init__(self, prints: Prints) -> None:
        self._prints = prints

    def best(self, position: int, _time_ns: int) -> Best:
        if position == 0:
            return NO_QUOTE
        last = self._prints.price.item(position - 1)
        return Best(last, last, QuoteKind.NONE, position - 1)

    def levels(self, _side: Side, _position: int, _time_ns: int) -> Iterator[Level]:
        return iter(())

    def take(self, _side: Side, _level: Level, _lots: int) -> None:
        raise AssertionError("nothing was offered")


class Takers:
    """Orders that stand for later prints. `deadlines` are for whoever drives the exchange to bring back in time."""

    __slots__ = ("_fills", "_working", "deadlines")

    def __init__(self, working: Working, fills: Fills, deadlines: list[Deadline]) -> None:
        self._working = working
        self._fills = fills
        self.deadlines = deadlines

    # --- they come ----------------------------------------------------------------------------------------------------

    def begin_market(self, order: Order, book: Book, request: int, time_ns: int, number: int) -> Broken | None:
        """A MARKET order; or what is missing. One by quote amount is sized by the last price, and never spends more."""
        last, purse = book.last_price(), book.purse
        if order.quote_units and last:
            filters = book.listing.filters
            lots = order.quote_units // book.listing.notional(last, 1)
            lots -= lots % filters.step_lots
            if lots < max(1, filters.min_lots):
                return Broken(Refusal.NO_LIQUIDITY, lots, max(1, filters.min_lots))
            order.lots = order.remaining = lots
        if not last:
            return Broken(Refusal.NO_LIQUIDITY)
        order.bound = self._bound(order, book)
        cost = purse.need(order.side, order.bound, order.lots)
        if order.quote_units and order.side is Side.BUY:
            cost = min(cost, purse.with_fee(order.quote_units))
        free = purse.free(order.side)
        if cost > free:
            return Broken(Refusal.INSUFFICIENT_BALANCE, cost, free)
        self._working.accept(order, request, cost, number)
        self.stand(order, book, time_ns)
        return None

    def enter(self, order: Order, book: Book, time_ns: int) -> None:
        """A triggered stop without a limit. It ends where the balance does not reach."""
        order.bound = self._bound(order, book)
        short = book.purse.need(order.side, order.bound, order.remaining) - order.lock
        if short > book.purse.free(order.side):
            self._working.finish(order, Status.EXPIRED, Refusal.INSUFFICIENT_BALANCE)
            return
        if short > 0:
            self._working.lock_more(order, short)
        self.stand(order, book, time_ns)

    def waits(self, order: Order, book: Book, time_ns: int) -> bool:
        """Whether an order with a limit stands for prints before it rests or ends."""
        if order.tif in (TimeInForce.IOC, TimeInForce.FOK):
            return True
        best = book.liquidity.best(book.position, time_ns)
        return 0 < best.ask <= order.price if order.side is Side.BUY else order.price <= best.bid

    def stand(self, order: Order, book: Book, time_ns: int) -> None:
        book.takers.append(order)
        book.moved()
        self._end_at(order, time_ns + self._fills.taker_timeout_ns)

    def _bound(self, order: Order, book: Book) -> int:
        return book.last_price() + self._fills.max_levels if order.side is Side.BUY else 0

    def _end_at(self, order: Order, time_ns: int) -> None:
        order.ends_ns = time_ns
        self.deadlines.append(Deadline(time_ns, order.number))

    # --- a print ------------------------------------------------------------------------------------------------------

    def on_print(self, book: Book, position: int) -> None:
        """The print at `position`, in a book where orders stand for it."""
        working, prints = self._working, book.prints
        price, side = prints.price.item(position), prints.side.item(position)
        standing = [one for one in book.takers if not side or (side > 0) is (one.side is Side.BUY)]
        for order in standing:
            if order.price and not order.is_last_instant:
                order.is_last_instant = True
                self._end_at(order, prints.time_ns.item(position))
        standing = [one for one in standing if _allows(one, price)]
        for order in standing:
            if order.tif is not TimeInForce.FOK:
                self._meet(book, order, price)
        told = len(working.out)
        on_print(working, book, position, self._fills)
        left = prints.lots.item(position) - sum(one.lots for one in working.out[told:] if type(one) is Filled)
        for order in standing:
            if order.number in working.orders:
                left -= self._share(book, order, position, left)

    def _meet(self, book: Book, order: Order, price: int) -> None:
        """Own orders in its way to a print, best first."""
        is_buy = order.side is Side.BUY
        for mine in list(book.asks if is_buy else book.bids):
            if mine.price > price if is_buy else mine.price < price:
                return
            if order.number not in self._working.orders or meet_own(self._working, book, order, mine):
                return

    def _share(self, book: Book, order: Order, position: int, left: int) -> int:
        """Fill what the print has for the order, or keep it for a FOK; how many lots are gone."""
        price, slip = book.prints.price.item(position), self._fills.slippage_ticks
        if order.side is Side.BUY:
            paid = min(price + slip, order.price or order.bound)
        else:
            paid = max(price - slip, order.price)
        if paid < 1:
            return 0
        wanted = order.remaining - sum(one.lots for one in order.kept)
        if order.quote_units:
            wanted = min(wanted, (order.quote_units - order.quote_executed) // book.listing.notional(paid, 1))
        if self._fills.share == WHOLE:
            left = cap = book.prints.lots.item(position)
            lots = wanted
        else:
            cap = left * self._fills.share // SHARE_ONE
            lots = min(wanted, cap)
        if lots <= 0:
            return 0
        part = Part(position, paid, lots, left, cap)
        if order.tif is not TimeInForce.FOK:
            self._fill(book, order, part)
        else:
            order.kept = (*order.kept, part)
            if lots == wanted:
                self._fill_kept(book, order)
        return 0 if self._fills.share == WHOLE else lots

    def _fill_kept(self, book: Book, order: Order) -> None:
        """All of a FOK is there: own orders in its way first, then print by print."""
        kept, order.kept = order.kept, ()
        prices = [book.prints.price.item(one.position) for one in kept]
        self._meet(book, order, max(prices) if order.side is Side.BUY else min(prices))
        for part in kept:
            if order.number in self._working.orders:
                self._fill(book, order, part._replace(lots=min(part.lots, order.remaining)))

    def _fill(self, book: Book, order: Order, part: Part) -> None:
        prints, at = book.prints, part.position
        side = prints.side.item(at)
        self._working.fill(
            book, order, part.price, part.lots, Rule.TAKER_PRINT, Role.TAKER, at, prints.price.item(at),
            prints.lots.item(at), side, excess=part.left, share_cap=part.cap, flags=0 if side else _SIDE_UNKNOWN,
        )  # fmt: skip

    # --- they end -----------------------------------------------------------------------------------------------------

    def end(self, order: Order, book: Book, time_ns: int) -> None:
        """What is left of it expires; that of a LIMIT rests, after the own orders in its way."""
        if order.ends_ns != time_ns or order not in book.takers:
            return
        if order.tif is TimeInForce.GTC and order.price:
            take(self._working, book, order, time_ns, self._fills)
            if order.number in self._working.orders:
                book.takers.remove(order)
                order.queued_ns = time_ns  # what the book did while it stood for prints concerned it not
                book.rest(order)
        else:
            self._working.finish(order, Status.EXPIRED, Refusal.NO_LIQUIDITY)


def _allows(order: Order, price: int) -> bool:
    if order.side is Side.BUY:
        return price <= (order.price or order.bound)
    return price >= order.price
