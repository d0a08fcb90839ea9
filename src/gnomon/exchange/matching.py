"""Matching: what prints give to resting orders, what taking orders find, and which stops a print sets off.

The rules of resting orders are in `queue`, where takers find their counterpart in `liquidity`; here they meet the
orders. A maker fill is always at the order's own price.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from gnomon.exchange.book import Book
from gnomon.exchange.liquidity import Level
from gnomon.exchange.order import Order, SelfTrade, Side, Status
from gnomon.exchange.outcome import FillFlag, Role, Rule, Triggered
from gnomon.exchange.queue import Given, serve, serve_one
from gnomon.exchange.rules import SHARE_ONE, WHOLE, Fills
from gnomon.exchange.stops import observe
from gnomon.exchange.working import NO_BEST, Working

_MAKER: Final = Role.MAKER
_WALK: Final = Rule.TAKER_WALK
_SIDE_UNKNOWN: Final = int(FillFlag.SIDE_UNKNOWN)
_SELF_TRADE: Final = int(FillFlag.SELF_TRADE)


class Step(NamedTuple):
    """One price of a taking order's way: `lots` of a level, or an own resting order that it meets."""

    price: int
    lots: int
    level: Level | None
    mine: Order | None = None


def on_print(working: Working, book: Book, position: int, fills: Fills) -> None:
    """The print at `position`: it is the trade of the resting orders that it meets, then news to the stops."""
    prints = book.prints
    price, side = prints.price.item(position), prints.side.item(position)
    book.position = position + 1
    bids, asks = book.bids, book.asks
    if side <= 0 and bids and bids[0].price >= price:
        _serve(working, book, bids, position, price, side, fills)
    if side >= 0 and asks and asks[0].price <= price:
        _serve(working, book, asks, position, price, side, fills)
    if book.stops:
        _set_off(working, book, position, price)


def _set_off(working: Working, book: Book, position: int, price: int) -> None:
    fired = [order for order in book.stops if observe(order, price)]
    for order in fired:
        if order.number in working.orders:  # not ended by the other leg of its pair
            working.leave_list(order)
            order.is_waiting = False
            book.stops.remove(order)
            working.out.append(Triggered(order.number, position, price))
    book.moved()


def _serve(
    working: Working, book: Book, orders: list[Order], position: int, price: int, side: int, fills: Fills
) -> None:
    lots = book.prints.lots.item(position)
    flags = 0 if side else _SIDE_UNKNOWN
    if len(orders) == 1:
        one = serve_one(orders[0], price, lots, fills)
        touched: Iterable[Given] = (one,) if one is not None else ()
    elif orders is book.bids:
        touched = serve([order for order in orders if order.price >= price], price, lots, fills)
    else:
        touched = serve([order for order in orders if order.price <= price], price, lots, fills)
    for order, given, rule, before, after, excess, cap in touched:
        if order.number in working.orders:  # not ended in this step by the fill of the other leg
            working.fill(
                book, order, order.price, given, rule, _MAKER, position, price, lots, side, before, after, excess, cap,
                0, 0, NO_BEST, flags,
            )  # fmt: skip


def plan(book: Book, order: Order, time_ns: int, fills: Fills) -> Iterator[Step]:
    """Where the order would find its lots, best price first, as the market stands; own orders first at their price.

    Slippage is added against the taker; a limit is never exceeded.
    """
    is_buy = order.side is Side.BUY
    sign = 1 if is_buy else -1
    limit = order.price
    left = order.remaining
    own = iter(list(book.asks if is_buy else book.bids))
    mine = next(own, None)
    for level in book.liquidity.levels(order.side, book.position, time_ns):
        if limit and sign * level.price > sign * limit:
            break
        while mine is not None and sign * mine.price <= sign * level.price:
            if limit and sign * mine.price > sign * limit:
                break
            yield Step(mine.price, mine.remaining, None, mine)
            mine = next(own, None)
        price = level.price + sign * fills.slippage_ticks
        if limit:
            price = min(price, limit) if is_buy else max(price, limit)
        lots = level.lots if fills.share == WHOLE else level.lots * fills.share // SHARE_ONE
        if lots and price > 0:
            yield Step(price, lots, level)
            left -= lots
            if left <= 0 < order.remaining and level.rule is _WALK:  # a book is deep: no further than it is needed
                return
    while mine is not None and (not limit or sign * mine.price <= sign * limit):
        yield Step(mine.price, mine.remaining, None, mine)
        mine = next(own, None)


def take(working: Working, book: Book, order: Order, time_ns: int, fills: Fills) -> None:
    """Take what is there for the order now. What is left of it is the caller's to rest or to end."""
    steps = list(plan(book, order, time_ns, fills))
    best = book.liquidity.best(book.position, time_ns)
    levels = sum(step.level is not None for step in steps)
    for step in steps:
        if order.number not in working.orders:
            return
        if step.mine is not None:
            if meet_own(working, book, order, step.mine):
                return
            continue
        level = step.level
        assert level is not None
        lots = min(step.lots, order.remaining)
        book.liquidity.take(order.side, level, lots)
        working.fill(
            book, order, step.price, lots, level.rule, Role.TAKER, level.row if level.layer else best.print,
            level.price, level.lots, level.layer, level=level.number, levels=levels, best=best,
        )  # fmt: skip


class Reach(NamedTuple):
    """How far a way carries an order: lots and notional that trade, `size` with what self-trade prevention takes."""

    lots: int
    notional: int
    size: int


def reach(steps: list[Step], order: Order, book: Book) -> Reach:
    """What the steps hold for the order: its remainder, or where it has no size yet, what its quote amount buys.

    Own orders count as the order's self-trade prevention would treat them.
    """
    lots = notional = size = spent = 0
    for step in steps:
        unit = book.listing.notional(step.price, 1)
        wanted = order.remaining - size if order.remaining else (order.quote_units - spent) // unit
        got = min(step.lots, wanted)
        if got <= 0:
            break
        if step.mine is not None and order.stp is not SelfTrade.NONE:
            if order.stp is SelfTrade.EXPIRE_MAKER:
                continue
            if order.stp in (SelfTrade.EXPIRE_TAKER, SelfTrade.EXPIRE_BOTH):
                break
        else:
            lots += got
            notional += got * unit
        size += got
        spent += got * unit
        if got < step.lots:  # the way ends here: what is left of a quote amount pays for no lot of this price
            break
    return Reach(lots, notional, size)


def meet_own(working: Working, book: Book, taker: Order, maker: Order) -> bool:
    """Self-trade prevention; whether the taker is done."""
    if maker.number not in working.orders:
        return False
    mode = taker.stp
    if mode is SelfTrade.NONE:
        lots = min(taker.remaining, maker.remaining)
        for order, role in ((maker, Role.MAKER), (taker, Role.TAKER)):
            working.fill(book, order, maker.price, lots, Rule.SELF, role, -1, flags=_SELF_TRADE)
        return taker.remaining == 0
    if mode in (SelfTrade.DECREMENT, SelfTrade.TRANSFER):
        lots = min(taker.remaining, maker.remaining)
        working.decrement(maker, lots)
        working.decrement(taker, lots)
        return taker.remaining == 0
    if mode in (SelfTrade.EXPIRE_MAKER, SelfTrade.EXPIRE_BOTH):
        working.finish(maker, Status.EXPIRED_IN_MATCH)
    if mode in (SelfTrade.EXPIRE_TAKER, SelfTrade.EXPIRE_BOTH):
        working.finish(taker, Status.EXPIRED_IN_MATCH)
        return True
    return False
