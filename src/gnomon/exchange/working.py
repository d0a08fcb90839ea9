"""Working orders: those that are open, the funds behind them, and what becomes of them.

An order is admitted, it fills, it ends. Each of the three moves the funds that it must and leaves its outcome in `out`,
so nothing happens to an order that is not told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gnomon.exchange.book import Book
from gnomon.exchange.funds import Funds, price_of_lock
from gnomon.exchange.liquidity import Best
from gnomon.exchange.order import Order, Place, Status
from gnomon.exchange.outcome import Accepted, Changed, Filled, Outcome, QuoteKind, Role, Rule

NO_BEST = Best(0, 0, QuoteKind.NONE)


class Reason(NamedTuple):
    """Why a fill came about: the print or price that allowed it, and what stood before us. Fields as in `Filled`."""

    rule: Rule
    role: Role
    print: int = -1
    print_price: int = 0
    print_lots: int = 0
    print_side: int = 0
    ahead_before: int = 0
    ahead_after: int = 0
    excess: int = 0
    share_cap: int = 0
    level: int = 0
    levels: int = 0
    best: Best = NO_BEST
    flags: int = 0


class Working:
    """The open orders of the account, by number."""

    __slots__ = ("_clients", "books", "fills_made", "funds", "made", "orders", "out")

    def __init__(self, books: Mapping[int, Book], funds: Funds) -> None:
        self.books = books
        self.funds = funds
        self.orders: dict[int, Order] = {}
        self.out: list[Outcome] = []
        self.fills_made = 0
        self.made = 0
        self._clients: dict[int, int] = {}

    def knows_client(self, client: int) -> bool:
        return client in self._clients

    def find(self, number: int, client: int = 0) -> Order | None:
        """The open order of a number, or of a client id."""
        return self.orders.get(number or self._clients.get(client, 0))

    def make(self, place: Place, decided_ns: int, arrived_ns: int) -> Order:
        self.made += 1
        return Order(self.made, place, decided_ns, arrived_ns)

    def need(self, order: Order) -> int:
        """Units that it sets aside for its remainder."""
        book = self.books[order.instrument]
        price = price_of_lock(order, book.last_price())
        return self.funds.need(book.listing, order.side, price, order.remaining)

    def admit(self, order: Order, request: int, lock: int, list_number: int = 0) -> None:
        """It is open from now on, with `lock` units set aside."""
        self.orders[order.number] = order
        if order.client:
            self._clients[order.client] = order.number
        if lock:
            self.funds.lock(order, lock)
        self.out.append(Accepted(order.number, request, order.status, lock, order.ahead, list_number))

    def fill(self, book: Book, order: Order, price: int, lots: int, reason: Reason) -> None:
        """`lots` at `price`. A filled order leaves its book; the other leg of its pair expires."""
        if order.list is not None:
            self._leave(order)
        order.remaining -= lots
        order.executed += lots
        order.quote_executed += book.listing.notional(price, lots)
        is_done = order.remaining == 0
        order.status = Status.FILLED if is_done else Status.PARTIALLY_FILLED
        settled = self.funds.settle(book.listing, order, price, lots, reason.role)
        self.fills_made += 1
        best = reason.best
        self.out.append(
            Filled(
                order.number, self.fills_made, order.instrument, order.side, price, lots, order.remaining,
                order.status, reason.rule, reason.role, reason.print, reason.print_price, reason.print_lots,
                reason.print_side, reason.ahead_before, reason.ahead_after, reason.excess, reason.share_cap,
                reason.level, reason.levels, best.bid, best.ask, best.kind, order.decided_ns, order.arrived_ns,
                settled.rate, settled.fee, settled.fee_asset, reason.flags, settled.released, settled.postings,
            )
        )  # fmt: skip
        if is_done:
            self._forget(book, order)

    def finish(self, order: Order, status: Status, reason: int = 0) -> None:
        """It ends unfilled, or partly filled; what it had locked is free again. Its pair ends with it."""
        book = self.books[order.instrument]
        order.status = status
        mate = order.list
        self._forget(book, order)
        released = self.funds.release(order)
        self.out.append(Changed(order.number, status, order.executed, order.remaining, released, reason))
        if mate is not None:
            order.list = None
            for other in mate.legs:
                if other.number in self.orders:
                    other.list = None
                    self.finish(other, status, reason)

    def decrement(self, order: Order, lots: int) -> None:
        """Self-trade prevention takes `lots` from it, and sets free what they had locked."""
        order.remaining -= lots
        order.prevented += lots
        if order.remaining == 0:
            self.finish(order, Status.EXPIRED_IN_MATCH)
            return
        released = self.funds.release(order, min(order.lock, self.need(order)))
        self.out.append(Changed(order.number, order.status, order.executed, order.remaining, released))

    def shrink(self, order: Order, lots: int) -> None:
        """Fewer lots, the place in the queue kept."""
        order.lots = lots
        order.remaining = lots - order.executed - order.prevented
        released = self.funds.release(order, min(order.lock, self.need(order)))
        self.out.append(Changed(order.number, order.status, order.executed, order.remaining, released))

    def leave_list(self, order: Order) -> None:
        """Its condition was met: the other leg expires in the same step."""
        if order.list is not None:
            self._leave(order)

    def _leave(self, order: Order) -> None:
        pair = order.list
        assert pair is not None
        order.list = None
        for other in pair.legs:
            if other is not order and other.number in self.orders:
                other.list = None
                order.lock, other.lock = order.lock + other.lock, 0  # one lock stands for both
                self._forget(self.books[other.instrument], other)
                other.status = Status.EXPIRED
                released = self.funds.release(order, min(order.lock, self.need(order)))
                self.out.append(Changed(other.number, Status.EXPIRED, other.executed, other.remaining, released))

    def _forget(self, book: Book, order: Order) -> None:
        book.remove(order)
        self.orders.pop(order.number, None)
        if order.client:
            self._clients.pop(order.client, None)
