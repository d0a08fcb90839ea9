"""Stops: which prices set them off, and how a trailing one follows the market."""

from __future__ import annotations

from typing import Final

from gnomon.exchange.order import Order, OrderType, Side
from gnomon.exchange.thresholds import NEVER_DOWN, NEVER_UP

BIPS: Final = 10_000


def needs_rise(order: Order) -> bool:
    """Whether its condition is a rise to the stop price: STOP_LOSS BUY and TAKE_PROFIT SELL."""
    is_loss = order.type in (OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT)
    return is_loss == (order.side is Side.BUY)


def trigger_prices(order: Order) -> tuple[int, int]:
    """The nearest prices above and below at which the state of a stop changes: it triggers, or its reference moves."""
    if not order.trailing_bips or (order.stop and not order.is_reached):
        return (order.stop, NEVER_DOWN) if needs_rise(order) else (NEVER_UP, order.stop)
    if not order.reference:  # no print yet: the first one sets it, whatever its price
        return 0, NEVER_DOWN
    if order.side is Side.BUY:
        fires = -(-order.reference * (BIPS + order.trailing_bips) // BIPS)
        return fires, order.reference - 1
    fires = order.reference * (BIPS - order.trailing_bips) // BIPS
    return order.reference + 1, fires


def observe(order: Order, price: int) -> bool:
    """Tell a waiting stop of a print at `price` (any side); whether it fires.

    Trailing orders: BUY fires at `p * 10000 >= low * (10000 + delta)`, SELL at `p * 10000 <= high * (10000 - delta)`,
    with the lowest (highest) print since tracking began. With a stop price tracking begins at the first print that
    meets it, which sets the reference.
    """
    if not order.trailing_bips:
        return price >= order.stop if needs_rise(order) else price <= order.stop
    if order.stop and not order.is_reached:
        order.is_reached = price >= order.stop if needs_rise(order) else price <= order.stop
        if order.is_reached:
            order.reference = price
        return False
    if not order.reference:
        order.reference = price
        return False
    if order.side is Side.BUY:
        order.reference = min(order.reference, price)
        return price * BIPS >= order.reference * (BIPS + order.trailing_bips)
    order.reference = max(order.reference, price)
    return price * BIPS <= order.reference * (BIPS - order.trailing_bips)
