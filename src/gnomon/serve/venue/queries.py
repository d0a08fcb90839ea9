"""Queries of an account: orders, trades, balances, as of virtual now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from gnomon.serve.venue import codes, commission, parameters
from gnomon.serve.venue.account import Account
from gnomon.serve.venue.call import Call, Handler
from gnomon.serve.venue.order_answers import Document, order_object, trade
from gnomon.serve.venue.order_entry import meant
from gnomon.serve.venue.order_fields import ids_of, pair_of
from gnomon.serve.venue.own_orders import OwnOrder
from gnomon.serve.venue.parameters import Span
from gnomon.serve.venue.reports import MS_NS
from gnomon.units import DAY_NS

ARCHIVED_AFTER_NS: Final = 90 * DAY_NS

Row = TypeVar("Row")


def window(
    rows: Sequence[Row], span: Span, limit: int, time_ns: Callable[[Row], int], is_from_start: bool = False
) -> list[Row]:
    """Rows in ascending time: the latest, but from a start where one is given."""
    held = list(rows) if span.is_open else [one for one in rows if span.holds(time_ns(one))]
    if is_from_start or span.start_ms is not None:
        return held[:limit]
    return held[-limit:]


def order_status(call: Call) -> Any:
    """`order.status`."""
    account: Account = call.course.account
    pair = pair_of(call.params, account)
    order = meant(account, pair, *ids_of(call.params))
    if order is None:
        raise codes.no_such_order()
    if not order.is_open and not order.executed and call.course.now_ns - order.update_ns > ARCHIVED_AFTER_NS:
        raise codes.archived_order()
    return order_object(order)


def open_orders(call: Call) -> Any:
    """`openOrders.status`, of a symbol or of all."""
    account: Account = call.course.account
    number = pair_of(call.params, account).number if "symbol" in call.params else None
    return [order_object(one) for one in account.open_orders(number)]


def all_orders(call: Call) -> Any:
    """`allOrders`: of a symbol, by number."""
    account: Account = call.course.account
    params = call.params
    pair = pair_of(params, account)
    first, span, limit = parameters.number(params, "orderId"), parameters.span(params), parameters.limit(params)
    rows = [one for one in account.orders.values() if one.pair is pair and (first is None or one.number >= first)]
    rows.sort(key=_number)
    return [order_object(one) for one in window(rows, span, limit, lambda one: one.time_ns, first is not None)]


def my_trades(call: Call) -> Any:
    """`myTrades`: of a symbol, by id."""
    account: Account = call.course.account
    params = call.params
    pair = pair_of(params, account)
    order, first = parameters.number(params, "orderId"), parameters.number(params, "fromId")
    span, limit = parameters.span(params), parameters.limit(params)
    if first is not None and not span.is_open:
        raise codes.optional_combination()
    rows = account.fills[pair.number]
    if order is not None:
        rows = [one for one in rows if one.order.number == order]
    if first is not None:
        rows = [one for one in rows if one.filled.fill >= first]
    found = window(rows, span, limit, lambda one: one.time_ns, first is not None)
    return [trade(account, one.order, one.time_ns, one.filled) for one in found]


def prevented_matches(call: Call) -> Any:
    """`myPreventedMatches`: by the id of a match, or of an order."""
    account: Account = call.course.account
    params = call.params
    pair = pair_of(params, account)
    number, order = parameters.number(params, "preventedMatchId"), parameters.number(params, "orderId")
    first, limit = parameters.number(params, "fromPreventedMatchId"), parameters.limit(params)
    if number is None and order is None:
        raise codes.either("preventedMatchId", "orderId")
    found = [
        one
        for one in account.prevented
        if one.maker.pair is pair
        and (number is None or one.number == number)
        and (order is None or order in (one.maker.number, one.taker.number))
        and (first is None or one.number >= first)
    ]
    return [one.document() for one in found[:limit]]


def account_status(call: Call) -> Any:
    """`account.status`."""
    account: Account = call.course.account
    fees, ledger = account.exchange.rules.fees, account.ledger
    omits_zero = parameters.flag(call.params, "omitZeroBalances")
    balances = [
        {"asset": asset.name, "free": scale.text(free), "locked": scale.text(locked)}
        for asset, scale, free, locked in zip(ledger.assets, account.scales, ledger.free, ledger.locked, strict=True)
        if free or locked or not omits_zero
    ]
    return {
        "makerCommission": commission.in_bips(fees.maker),
        "takerCommission": commission.in_bips(fees.taker),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": commission.rates(fees),
        "canTrade": not _is_over(call),
        "canWithdraw": False,
        "canDeposit": False,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": account.updated_ns // MS_NS,
        "accountType": "SPOT",
        "balances": balances,
        "permissions": ["SPOT"],
        "uid": account.uid,
    }


def account_commission(call: Call) -> Any:
    """`account.commission`, of a symbol."""
    account: Account = call.course.account
    pair, fees = pair_of(call.params, account), account.exchange.rules.fees
    found: Document = {
        "symbol": pair.symbol,
        "standardCommission": commission.rates(fees),
        "specialCommission": commission.no_rates(),
        "taxCommission": commission.no_rates(),
        "discount": commission.discount(fees),
    }
    return found


def order_limits(call: Call) -> Any:
    """`account.rateLimits.orders`: what the door has counted beside the course; limits alone where nobody counts."""
    gate = getattr(call.course, "gate", None)
    if gate is not None:
        return gate.limits.order_limits(call.course.now_ns)
    return [
        {"rateLimitType": "ORDERS", "interval": interval, "intervalNum": number, "limit": limit, "count": 0}
        for interval, number, limit in (("SECOND", 10, 100), ("DAY", 1, 200_000))
    ]


def _is_over(call: Call) -> bool:
    gate = getattr(call.course, "gate", None)
    return gate is not None and gate.is_over


def _number(order: OwnOrder) -> int:
    return order.number


HANDLERS: Final[dict[str, Handler]] = {
    "order.status": order_status,
    "openOrders.status": open_orders,
    "allOrders": all_orders,
    "myTrades": my_trades,
    "myPreventedMatches": prevented_matches,
    "account.status": account_status,
    "account.commission": account_commission,
    "account.rateLimits.orders": order_limits,
}
