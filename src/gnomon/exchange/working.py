"""Working orders: those that are open, the funds behind them, and what becomes of them.

An order is admitted, it fills, it ends. Each of the three moves the funds that it must and leaves its outcome in `out`,
so nothing happens to an order that is not told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gnomon.exchange.book import Book
from gnomon.exchange.funds import price_of_lock
from gnomon.exchange.liquidity import Best
from gnomon.exchange.order import Order, OrderList, Status
from gnomon.exchange.outcome import Accepted, Changed, Filled, Outcome, QuoteKind, Role, Rule

NO_BEST: Final = Best(0, 0, QuoteKind.NONE)
_FILLED: Final = Status.FILLED
_PARTIALLY_FILLED: Final = Status.PARTIALLY_FILLED
_CANCELED: Final = Status.CANCELED
_MAKER: Final = Role.MAKER

_make = tuple.__new__


class Working:
    """The open orders of the account, by number."""

    __slots__ = ("_clients", "books", "fills_made", "freed", "made", "orders", "out")

    def __init__(self, books: Mapping[int, Book]) -> None:
        self.books = books
        self.orders: dict[int, Order] = {}
        self.out: list[Outcome] = []
        self.freed: list[OrderList] = []  # whose working order was filled in this step
        self.fills_made = 0
        self.made = 0
        self._clients: dict[int, int] = {}

    def count(self, instrument: int) -> int:
        """Open orders of an instrument."""
        if len(self.books) == 1:
            return len(self.orders)
        return sum(one.instrument == instrument for one in self.orders.values())

    def has_client(self, client: int) -> bool:
        """Whether an open order has it."""
        return client in self._clients

    def find(self, number: int, client: int = 0) -> Order | None:
        """The open order of a number, or of a client id."""
        return self.orders.get(number or self._clients.get(client, 0))

    def need(self, order: Order) -> int:
        """Units that it sets aside for its remainder."""
        book = self.books[order.instrument]
        return book.purse.need(order.side, price_of_lock(order, book.last_price()), order.remaining)

    def admit(self, order: Order, lock: int, book: Book) -> None:
        """It is open from now on: it gets its number unless it was pending, and `lock` units are set aside."""
        number = order.number
        if not number:
            self.made = order.number = number = self.made + 1
        self.orders[number] = order
        if order.client:
            self._clients[order.client] = number
        if lock:
            book.purse.lock(order, lock)

    def accept(self, order: Order, request: int, lock: int, list_number: int = 0) -> None:
        """Admit it, and say so."""
        self.admit(order, lock, self.books[order.instrument])
        self.out.append(
            _make(
                Accepted,
                (order.number, request, order.status, lock, order.ahead, list_number, order.instrument, order.side),
            )
        )

    def fill(
        self, book: Book, order: Order, price: int, lots: int, rule: Rule, role: Role, position: int,
        print_price: int = 0, print_lots: int = 0, print_side: int = 0, ahead_before: int = 0, ahead_after: int = 0,
        excess: int = 0, share_cap: int = 0, level: int = 0, levels: int = 0, best: Best = NO_BEST, flags: int = 0,
    ) -> None:  # fmt: skip
        """`lots` at `price`, allowed by the print or price named. The rest are the words of `Filled`.

        A filled order leaves its book; the other leg of its pair expires.
        """
        if order.pair is not None:
            self._leave(order)
        order.remaining = remaining = order.remaining - lots
        order.executed += lots
        purse = book.purse
        notional = price * lots * purse.notional_unit
        order.quote_executed += notional
        order.status = status = _PARTIALLY_FILLED if remaining else _FILLED
        fee, fee_asset, rate, released, is_locked, is_fee_locked = purse.settle(order, price, lots, role is _MAKER)
        number = order.number
        self.fills_made = made = self.fills_made + 1
        self.out.append(
            _make(
                Filled,
                (
                    number, made, order.instrument, order.side, price, lots, remaining, status, rule, role, position,
                    print_price, print_lots, print_side, ahead_before, ahead_after, excess, share_cap, level, levels,
                    best[0], best[1], best[2], order.decided_ns, order.arrived_ns, rate, fee, fee_asset, flags,
                    released, purse.base, purse.quote, lots * purse.lot_unit, notional, is_locked, is_fee_locked,
                ),
            )
        )  # fmt: skip
        if not remaining:
            book.remove(order)
            del self.orders[number]
            if order.client:
                self._clients.pop(order.client, None)
            if order.leads is not None:
                self.freed.append(order.leads)

    def withdraw(self, book: Book, order: Order) -> int:
        """Cancel an order of the standing pair without a word of its own; the units set free."""
        order.status = _CANCELED
        book.remove(order)
        del self.orders[order.number]
        return book.purse.release(order)

    def finish(self, order: Order, status: Status, reason: int = 0) -> None:
        """It ends unfilled, or partly filled; what it had locked is free again. Its pair ends with it."""
        book = self.books[order.instrument]
        order.status = status
        self._forget(book, order)
        released = book.purse.release(order)
        self.out.append(Changed(order.number, status, order.executed, order.remaining, released, reason))
        of_mate = Status.CANCELED if status is Status.CANCELED else Status.EXPIRED
        for other in self._mates(order):
            if other.number in self.orders:
                self.finish(other, of_mate, reason)

    def _mates(self, order: Order) -> list[Order]:
        """Those that end with it: the other leg of its pair; the whole list while its working order is not filled."""
        mates: list[Order] = []
        if order.pair is not None:
            mates, order.pair = list(order.pair.legs), None
            for leg in mates:
                leg.pair = None
        pending = order.leads or order.awaits
        if pending is not None and pending.working is not None:
            mates = [pending.working, *pending.legs]
            for one in mates:
                one.leads = one.awaits = None
        return mates

    def lock_more(self, order: Order, units: int) -> None:
        """What its trigger asks for beyond its lock; told as a release below zero."""
        self.books[order.instrument].purse.lock(order, units)
        self.out.append(Changed(order.number, order.status, order.executed, order.remaining, -units))

    def decrement(self, order: Order, lots: int) -> None:
        """Self-trade prevention takes `lots` and sets free what they had locked. Its pair ends, as by a fill."""
        self.leave_list(order)
        order.remaining -= lots
        order.prevented += lots
        if order.remaining == 0:
            self.finish(order, Status.EXPIRED_IN_MATCH)
            return
        purse = self.books[order.instrument].purse
        released = purse.release(order, purse.keep(order))
        self.out.append(Changed(order.number, order.status, order.executed, order.remaining, released))

    def shrink(self, order: Order, lots: int) -> None:
        """Fewer lots, the place in the queue kept."""
        order.lots = lots
        order.remaining = lots - order.executed - order.prevented
        released = self.books[order.instrument].purse.release(order, min(order.lock, self.need(order)))
        self.out.append(Changed(order.number, order.status, order.executed, order.remaining, released))

    def leave_list(self, order: Order) -> None:
        """Its condition was met: the other leg expires in the same step."""
        if order.pair is not None:
            self._leave(order)

    def _leave(self, order: Order) -> None:
        pair = order.pair
        assert pair is not None
        order.pair = None
        for other in pair.legs:
            if other is not order and other.number in self.orders:
                other.pair = None
                order.lock, other.lock = order.lock + other.lock, 0  # one lock stands for both
                self._forget(self.books[other.instrument], other)
                other.status = Status.EXPIRED
                released = self.books[order.instrument].purse.release(order, min(order.lock, self.need(order)))
                self.out.append(Changed(other.number, Status.EXPIRED, other.executed, other.remaining, released))

    def _forget(self, book: Book, order: Order) -> None:
        book.remove(order)
        self.orders.pop(order.number, None)
        if order.client:
            self._clients.pop(order.client, None)
