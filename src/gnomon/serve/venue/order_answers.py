"""Answers about own orders: acknowledgements, results, the order object, and what came of a cancel or an amendment.

A new order is answered as it stood when its request was done (`Standing`): more may have happened when the answer is
due.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from gnomon.exchange.order import Status
from gnomon.exchange.outcome import Accepted, Changed, Filled, Outcome
from gnomon.serve.venue.account import Account
from gnomon.serve.venue.own_orders import NOT_YET, STATUS_TEXTS, STOPS, OwnList, OwnOrder
from gnomon.serve.venue.reports import MS_NS

Document = dict[str, Any]

ACK: Final = "ACK"
RESULT: Final = "RESULT"
FULL: Final = "FULL"


_NEW: Final = Status.NEW


class Standing(NamedTuple):
    """How far an order has come. Lots, units of the quote; `working_ns` below 0 when it was never on the book."""

    status: Status
    executed: int
    quote_executed: int
    working_ns: int
    fills: Sequence[Filled] = ()


def standing(order: OwnOrder) -> Standing:
    """As it is now."""
    return Standing(order.status, order.executed, order.quote_executed, order.working_ns)


def standing_after(order: OwnOrder, at_ns: int, outcomes: Iterable[Outcome]) -> Standing:
    """As it was after the step that made it, at `at_ns`."""
    number, status, fills = order.number, _NEW, []
    for one in outcomes:
        if type(one) is Filled:
            if one.number == number:
                fills.append(one)
                status = one.status
        elif (type(one) is Changed or type(one) is Accepted) and one.number == number:
            status = one.status
    executed = quote = 0
    for fill in fills:
        executed += fill.lots
        quote += fill.notional
    is_waiting = status is Status.PENDING_NEW or order.working_ns > at_ns or order.working_ns < 0
    return Standing(status, executed, quote, NOT_YET if is_waiting else order.working_ns, fills)


def _just_accepted(order: OwnOrder, at_ns: int) -> Standing:
    """Of an order of which nothing was told but that it is there."""
    return Standing(_NEW, 0, 0, at_ns if order.leg["type"] not in STOPS else NOT_YET)


def placed(account: Account, order: OwnOrder, at_ns: int, outcomes: Sequence[Outcome], detail: str) -> Document:
    """The answer to a new order: ACK, RESULT or FULL."""
    leg, pair = order.leg, order.pair
    found: Document = {
        "symbol": pair.symbol,
        "orderId": order.number,
        "orderListId": NOT_YET if order.list is None else order.list.number,
        "clientOrderId": leg["client"],
        "transactTime": at_ns // MS_NS,
    }
    if detail == ACK:
        return found
    stands = standing_after(order, at_ns, outcomes) if len(outcomes) > 1 else _just_accepted(order, at_ns)
    _add_result(found, order, stands)
    found["workingTime"] = _working_ms(stands)
    found["selfTradePreventionMode"] = leg["stp"]
    if detail == FULL:
        found["fills"] = [_fill(account, order, one) for one in stands.fills]
    return found


def order_object(order: OwnOrder) -> Document:
    """The answer to a query."""
    leg, pair = order.leg, order.pair
    found: Document = {
        "symbol": pair.symbol,
        "orderId": order.number,
        "orderListId": order.list_number,
        "clientOrderId": order.client,
        "price": pair.ticks.text(leg["price"]),
        "origQty": pair.lots.text(order.lots),
        "executedQty": pair.lots.text(order.executed),
        "cummulativeQuoteQty": pair.quote_units.text(order.quote_executed),
        "status": STATUS_TEXTS[order.status],
        "timeInForce": leg["tif"],
        "type": leg["type"],
        "side": leg["side"],
        "stopPrice": pair.ticks.text(leg["stop"]),
        "icebergQty": pair.lots.zero,
        "time": order.time_ns // MS_NS,
        "updateTime": order.update_ns // MS_NS,
        "isWorking": order.working_ns >= 0,
        "workingTime": _working_ms(standing(order)),
        "origQuoteOrderQty": pair.quote_units.text(leg["quote"]),
        "selfTradePreventionMode": leg["stp"],
    }
    _add_conditional(found, order)
    return found


def cancelled(order: OwnOrder, at_ns: int) -> Document:
    """What came of a cancel; `clientOrderId` is the cancel's."""
    found: Document = {
        "symbol": order.pair.symbol,
        "origClientOrderId": order.client,
        "orderId": order.number,
        "orderListId": order.list_number,
        "clientOrderId": order.cancel_client or order.client,
        "transactTime": at_ns // MS_NS,
    }
    _add_result(found, order, standing(order))
    found["selfTradePreventionMode"] = order.leg["stp"]
    return found


def amended(order: OwnOrder, before: str, at_ns: int, execution: int, changed: Changed) -> Document:
    """What came of fewer lots for an open order, as it was then."""
    leg, pair = order.leg, order.pair
    quote = sum(fill.filled.notional for fill in order.fills if fill.time_ns <= at_ns)
    return {
        "transactTime": at_ns // MS_NS,
        "executionId": execution,
        "amendedOrder": {
            "symbol": pair.symbol,
            "orderId": order.number,
            "orderListId": order.list_number,
            "origClientOrderId": before,
            "clientOrderId": order.client,
            "price": pair.ticks.text(leg["price"]),
            "qty": pair.lots.text(order.lots),
            "executedQty": pair.lots.text(changed.executed),
            "preventedQty": pair.lots.text(order.prevented),
            "quoteOrderQty": pair.quote_units.text(leg["quote"]),
            "cumulativeQuoteQty": pair.quote_units.text(quote),
            "status": STATUS_TEXTS[changed.status],
            "timeInForce": leg["tif"],
            "type": leg["type"],
            "side": leg["side"],
            "workingTime": _working_ms(standing(order)),
            "selfTradePreventionMode": leg["stp"],
        },
    }


def list_object(found: OwnList, at_ns: int, status: tuple[str, str] | None = None) -> Document:
    """An order list, without reports of its orders."""
    kind, order_status = status or found.status
    symbol = found.pair.symbol
    return {
        "orderListId": found.number,
        "contingencyType": found.contingency,
        "listStatusType": kind,
        "listOrderStatus": order_status,
        "listClientOrderId": found.client,
        "transactionTime": at_ns // MS_NS,
        "symbol": symbol,
        "orders": [{"symbol": symbol, "orderId": one.number, "clientOrderId": one.client} for one in found.orders],
    }


def list_cancelled(found: OwnList, at_ns: int) -> Document:
    """What came of a cancel of a list, or of one of its orders: those that it ended are reported."""
    document = list_object(found, at_ns)
    document["orderReports"] = [cancelled(one, at_ns) for one in found.orders if one.status is Status.CANCELED]
    return document


def trade(account: Account, order: OwnOrder, time_ns: int, filled: Filled) -> Document:
    """A row of `myTrades`."""
    pair = order.pair
    return {
        "symbol": pair.symbol,
        "id": filled.fill,
        "orderId": order.number,
        "orderListId": order.list_number,
        "price": pair.ticks.text(filled.price),
        "qty": pair.lots.text(filled.lots),
        "quoteQty": pair.quote_units.text(filled.notional),
        "commission": account.scales[filled.fee_asset].text(filled.fee),
        "commissionAsset": account.ledger.assets[filled.fee_asset].name,
        "time": time_ns // MS_NS,
        "isBuyer": order.is_buy,
        "isMaker": filled.role.name == "MAKER",
        "isBestMatch": True,
    }


# --- parts ----------------------------------------------------------------------------------------------------------


def _add_result(found: Document, order: OwnOrder, stands: Standing) -> None:
    leg, pair = order.leg, order.pair
    money = pair.quote_units.text
    found.update(
        price=pair.ticks.text(leg["price"]),
        origQty=pair.lots.text(order.lots),
        executedQty=pair.lots.text(stands.executed),
        origQuoteOrderQty=money(leg["quote"]),
        cummulativeQuoteQty=money(stands.quote_executed),
        status=STATUS_TEXTS[stands.status],
        timeInForce=leg["tif"],
        type=leg["type"],
        side=leg["side"],
    )
    if leg["stop"]:
        found["stopPrice"] = pair.ticks.text(leg["stop"])
    _add_conditional(found, order)


def _add_conditional(found: Document, order: OwnOrder) -> None:
    """Fields that are there when they say something."""
    leg = order.leg
    if leg["trailing"]:
        found["trailingDelta"] = leg["trailing"]
        found["trailingTime"] = order.time_ns // MS_NS if not leg["stop"] else NOT_YET
    if "strategyId" in leg:
        found["strategyId"] = leg["strategyId"]
    if "strategyType" in leg:
        found["strategyType"] = leg["strategyType"]
    if order.prevented_match:
        found["preventedMatchId"] = order.prevented_match
        found["preventedQuantity"] = order.pair.lots.text(order.prevented)
    if order.reason:
        found["expiryReason"] = order.reason


def _working_ms(stands: Standing) -> int:
    return stands.working_ns // MS_NS if stands.working_ns >= 0 else NOT_YET


def _fill(account: Account, order: OwnOrder, one: Filled) -> Document:
    return {
        "price": order.pair.ticks.text(one.price),
        "qty": order.pair.lots.text(one.lots),
        "commission": account.scales[one.fee_asset].text(one.fee),
        "commissionAsset": account.ledger.assets[one.fee_asset].name,
        "tradeId": one.fill,
    }
