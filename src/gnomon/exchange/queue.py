"""The queue: what one print gives to the own orders that it touches.

Prices are in ticks, sizes in lots. The lots of a print are given out once: first to the people ahead, then to us, best
price first, then by arrival.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gnomon.exchange.order import Order
from gnomon.exchange.outcome import Rule
from gnomon.exchange.rules import SHARE_ONE, WHOLE, Fills, Resting

_make = tuple.__new__


class Given(NamedTuple):
    """What a print does to one order: `lots` filled (0: only the queue moved)."""

    order: Order
    lots: int
    rule: Rule
    ahead_before: int
    ahead_after: int
    excess: int
    share_cap: int


def serve(orders: Sequence[Order], price: int, lots: int, fills: Fills) -> Iterator[Given]:
    """Give a print of `lots` at `price` to `orders`: those that it touches, best price first, then arrival.

    The state of an order's queue is changed; its remainder is the caller's to change, before it asks for the next.
    """
    left = lots
    for order in orders:
        if order.price == price:
            break
        before, order.ahead = order.ahead, 0
        given = _share(order, left, fills.share)
        if given:
            yield Given(order, given, Rule.MAKER_THROUGH, before, 0, left, _cap(left, fills.share))
            left -= given if fills.share else 0
    at_price = [order for order in orders if order.price == price]
    if not at_price or fills.resting is Resting.THROUGH:
        return
    if fills.resting is Resting.TOUCH:
        for order in at_price:
            given = _share(order, left, fills.share)
            if given:
                yield Given(order, given, Rule.MAKER_TOUCH, order.ahead, order.ahead, left, _cap(left, fills.share))
                left -= given if fills.share else 0
    elif fills.share == WHOLE:
        yield from _queue_whole(at_price, left)
    else:
        yield from _queue_share(at_price, left, fills.share)


def serve_one(order: Order, price: int, lots: int, fills: Fills) -> Given | None:
    """`serve` for one order that the print touches, which is how most prints meet us."""
    share, before = fills.share, order.ahead
    if order.price != price:
        order.ahead, left, rule = 0, lots, Rule.MAKER_THROUGH
    elif fills.resting is Resting.TOUCH:
        left, rule = lots, Rule.MAKER_TOUCH
    elif fills.resting is Resting.QUEUE:
        left, rule = lots - before, Rule.MAKER_QUEUE
        order.ahead = 0 if left > 0 else -left
        if left <= 0:
            return None
    else:
        return None
    if share == WHOLE:
        return _make(Given, (order, order.remaining, rule, before, order.ahead, left, left))
    cap = left * share // SHARE_ONE
    given = min(order.remaining, cap)
    return _make(Given, (order, given, rule, before, order.ahead, left, cap)) if given else None


def _queue_share(orders: Sequence[Order], left: int, share: int) -> Iterator[Given]:
    """Other people's lots ahead of several own orders are the same people: `taken` counts them once."""
    taken = 0
    befores = [order.ahead for order in orders]
    pending: list[Given] = []
    for order in orders:
        waited = min(left, max(0, order.ahead - taken))
        left -= waited
        taken += waited
        if left == 0:
            break
        given = _share(order, left, share)
        if given:
            after = max(0, order.ahead - taken)
            pending.append(Given(order, given, Rule.MAKER_QUEUE, order.ahead, after, left, _cap(left, share)))
            left -= given
    for order, before in zip(orders, befores, strict=True):
        order.ahead = max(0, before - taken)
    yield from pending


def _queue_whole(orders: Sequence[Order], lots: int) -> Iterator[Given]:
    """Without a share a print never runs out: whoever has fewer lots ahead than it holds is filled whole."""
    for order in orders:
        before = order.ahead
        if before < lots:
            order.ahead = 0
            yield Given(order, order.remaining, Rule.MAKER_QUEUE, before, 0, lots - before, lots - before)
        else:
            order.ahead = before - lots


def _share(order: Order, left: int, share: int) -> int:
    return order.remaining if share == WHOLE else min(order.remaining, left * share // SHARE_ONE)


def _cap(left: int, share: int) -> int:
    return left if share == WHOLE else left * share // SHARE_ONE
