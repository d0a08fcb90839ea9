"""What the exchange refuses, in the venue's code and words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gnomon.exchange.checks import Broken
from gnomon.exchange.outcome import Refusal, Rejected
from gnomon.serve.venue import codes
from gnomon.serve.venue.own_orders import Leg
from gnomon.serve.venue.refusal import VenueRefusal

FILTERS: Final[Mapping[Refusal, str]] = {
    Refusal.PRICE_FILTER: "PRICE_FILTER",
    Refusal.LOT_SIZE: "LOT_SIZE",
    Refusal.MARKET_LOT_SIZE: "MARKET_LOT_SIZE",
    Refusal.NOTIONAL: "NOTIONAL",
    Refusal.TRAILING_DELTA: "TRAILING_DELTA",
    Refusal.MAX_ORDERS: "MAX_NUM_ORDERS",
    Refusal.MAX_STOP_ORDERS: "MAX_NUM_ALGO_ORDERS",
    Refusal.PERCENT_PRICE: "PERCENT_PRICE",
    Refusal.PERCENT_PRICE_BY_SIDE: "PERCENT_PRICE_BY_SIDE",
}

TEXTS: Final[Mapping[Refusal, str]] = {
    Refusal.NOT_TRADING: codes.MARKET_CLOSED,
    Refusal.MARKET_CLOSED: codes.MARKET_CLOSED,
    Refusal.DUPLICATE: codes.DUPLICATE_ORDER,
    Refusal.WOULD_TRIGGER: codes.WOULD_TRIGGER,
    Refusal.WOULD_TAKE: codes.WOULD_MATCH,
    Refusal.LIST_PRICES: codes.PRICES_RELATED_WRONGLY,
    Refusal.INSUFFICIENT_BALANCE: codes.INSUFFICIENT_BALANCE,
}


def refused(broken: Rejected | Broken, leg: Leg | None = None) -> VenueRefusal:
    """Of a new order; `leg` is the one that was asked for."""
    refusal = broken.refusal
    if refusal in FILTERS:
        return codes.filter_failure(FILTERS[refusal])
    if refusal in TEXTS:
        return codes.order_refused(TEXTS[refusal])
    if refusal is Refusal.NO_LIQUIDITY:
        return codes.order_refused(codes.THIN_BOOK) if leg is not None and leg["quote"] else codes.empty_book()
    if refusal is Refusal.UNKNOWN_INSTRUMENT:
        return codes.invalid_symbol()
    if refusal is Refusal.UNKNOWN_ORDER:
        return codes.unknown_order()
    return codes.unsupported_combination()


def amend_refused(rejected: Rejected) -> VenueRefusal:
    """`received` and `limit` of a refused amendment are the lots asked for and those that the order has."""
    if rejected.refusal in FILTERS:
        return codes.filter_failure(FILTERS[rejected.refusal])
    if rejected.refusal is Refusal.UNKNOWN_ORDER:
        return codes.amend_refused("Unknown order sent.")
    if rejected.received > rejected.limit:
        return codes.amend_refused(codes.AMEND_UP)
    if rejected.received == rejected.limit:
        return codes.amend_refused(codes.NO_CHANGE)
    return codes.amend_refused(codes.ACTION_DISABLED)
