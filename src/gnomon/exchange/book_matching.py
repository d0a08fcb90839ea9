"""Matching against a recorded book: what a quote or a message of depth does to resting orders.

The people ahead of an order leave when the level that it waits at shrinks; an order is filled when the other side's
best price comes to its own. History holds nothing of ours: a level displays other people's lots alone.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Final

from gnomon.exchange.book import Book
from gnomon.exchange.liquidity import Best
from gnomon.exchange.order import Order, Side
from gnomon.exchange.outcome import QuoteKind, Role, Rule
from gnomon.exchange.prints import Prints
from gnomon.exchange.recorded import DEPTH, BookMoved, Offer, Seen, Shown
from gnomon.exchange.rules import SHARE_ONE, WHOLE, Fills, Resting
from gnomon.exchange.working import Working
from gnomon.market.depth import ASK, BID
from gnomon.market.ladder import Ladder

_BUY: Final = Side.BUY


def on_book(working: Working, book: Book, event: BookMoved, fills: Fills) -> None:
    """The book moved: first the queues at the levels that were named, then the orders that the other side reached."""
    shown, seen = book.shown, Seen(event.quotes, event.depth)
    assert shown is not None
    if event.layer == DEPTH and fills.resting is Resting.QUEUE and shown.recorded.is_walkable(seen):
        _shorten_queues(book, shown, event, fills)
    layer = shown.layer(seen)
    if event.layer != layer:
        return
    bid, ask, row = shown.recorded.best(seen, layer)
    best = Best(bid, ask, QuoteKind.RECORDED, row)
    if book.bids and 0 < ask <= book.bids[0].price:
        _reach(working, book, [one for one in book.bids if one.price >= ask], seen, best, fills)
    if book.asks and bid >= book.asks[0].price:
        _reach(working, book, [one for one in book.asks if one.price <= bid], seen, best, fills)


def _reach(working: Working, book: Book, orders: list[Order], seen: Seen, best: Best, fills: Fills) -> None:
    """The best price of the other side stands at these orders' prices or beyond: whoever was ahead is gone.

    They get a share of what is displayed at their price or inside it, best price first, then by arrival. What was had
    of a level counts until its next update, so no displayed lot is given out twice.
    """
    shown = book.shown
    assert shown is not None
    layer = shown.layer(seen)
    for order in orders:
        before, order.ahead = order.ahead, 0
        if order.number not in working.orders:  # ended in this step by the fill of the other leg
            continue
        offers = _inside(order, shown, seen, layer)
        displayed, taken = sum(one.lots for one in offers), sum(one.taken for one in offers)
        if fills.share == WHOLE:
            cap, lots = displayed - taken, order.remaining
        else:
            cap = max(0, displayed * fills.share // SHARE_ONE - taken)
            lots = min(order.remaining, cap)
        if not lots:
            continue
        _take(shown, layer, order.side, offers, lots)
        working.fill(
            book, order, order.price, lots, Rule.MAKER_BOOK, Role.MAKER, offers[0].row, offers[0].price, displayed,
            layer, before, 0, displayed - taken, cap, best=best,
        )  # fmt: skip


def _inside(order: Order, shown: Shown, seen: Seen, layer: int) -> list[Offer]:
    """What is displayed at the order's price or better for it."""
    found = shown.offers(order.side, seen, layer)
    if order.side is _BUY:
        return list(takewhile(lambda one: one.price <= order.price, found))
    return list(takewhile(lambda one: one.price >= order.price, found))


def _take(shown: Shown, layer: int, side: Side, offers: list[Offer], lots: int) -> None:
    for one in offers:
        got = min(lots, one.lots - one.taken)
        if got > 0:
            shown.take(layer, side, one.price, one.row, got)
            lots -= got


def _shorten_queues(book: Book, shown: Shown, event: BookMoved, fills: Fills) -> None:
    """Orders at a level that the message named: fewer people wait there than did, and some of them were ahead."""
    ladder = shown.recorded.ladder
    assert ladder is not None
    start = ladder.starts.item(int(ladder.stops.searchsorted(event.depth)))
    for orders, side in ((book.bids, BID), (book.asks, ASK)):
        for order in orders:
            if order.ahead:
                level = ladder.level(side, order.price, event.depth)
                if level is not None and level.row >= start:
                    if fills.depth_power:
                        order.ahead -= _left(book.prints, ladder, order, side, event, fills.depth_power)
                    order.ahead = min(order.ahead, level.lots)


def _left(prints: Prints, ladder: Ladder, order: Order, side: int, event: BookMoved, power: int) -> int:
    """How many of the people ahead left: `d * a^n / (a^n + b^n)` of the decrease d that no print explains.

    `a` are ahead and `b` behind. Prints at the price since the level's last update explain a decrease, as far as they
    are later than the order and so have moved its queue already.
    """
    start = ladder.starts.item(int(ladder.stops.searchsorted(event.depth)))
    was, is_now = ladder.level(side, order.price, start), ladder.level(side, order.price, event.depth)
    if was is None or is_now is None:
        return 0
    since_ns = order.queued_ns
    if was.row >= 0:
        since_ns = max(since_ns, int(ladder.depth.time_ns[was.row]))
    first, stop = prints.until(since_ns), prints.until(event.time_ns)
    price, of = prints.price[first:stop], prints.side[first:stop]
    is_here = (price == order.price) & (of <= 0 if side == BID else of >= 0)
    printed = int(prints.lots[first:stop][is_here].sum())
    decrease = max(0, was.lots - is_now.lots - printed)
    ahead: int = order.ahead**power
    behind: int = max(0, was.lots - printed - order.ahead) ** power
    return min(order.ahead, decrease * ahead // (ahead + behind))
