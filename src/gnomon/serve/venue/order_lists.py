"""Order lists on the wire: OCO (new and old), OTO and OTOCO; placed, cancelled and queried.

An OCO has a leg above the price and one below it. One takes a profit, the other stops a loss; which is which follows
from the side:

|      | above                                            | below                                            |
|------|--------------------------------------------------|--------------------------------------------------|
| SELL | `LIMIT_MAKER`, `TAKE_PROFIT`, `TAKE_PROFIT_LIMIT` | `STOP_LOSS`, `STOP_LOSS_LIMIT`                    |
| BUY  | `STOP_LOSS`, `STOP_LOSS_LIMIT`                    | `LIMIT_MAKER`, `TAKE_PROFIT`, `TAKE_PROFIT_LIMIT` |

OPO and OPOCO, whose pending orders are as large as what the first one received, are not supported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gnomon.exchange.order import Cancel, ListKind, PlaceList, Status
from gnomon.exchange.outcome import Accepted, Changed, Outcome, Rejected
from gnomon.serve.venue import codes, parameters
from gnomon.serve.venue.account import Account
from gnomon.serve.venue.call import LATER, Call, Handler
from gnomon.serve.venue.order_answers import (
    RESULT,
    Document,
    list_cancelled,
    list_object,
    placed,
    standing_after,
)
from gnomon.serve.venue.order_entry import DETAILS, Leg, name_order
from gnomon.serve.venue.order_fields import Names, order_of, pair_of, place_of, prefixed, quantity_of, side_of, type_of
from gnomon.serve.venue.order_refusals import refused
from gnomon.serve.venue.own_orders import EXECUTING, OwnList
from gnomon.serve.venue.pairs import Pair
from gnomon.serve.venue.parameters import Params
from gnomon.serve.venue.queries import window

OCO: Final = "OCO"
OTO: Final = "OTO"

ABOVE: Final = prefixed("above")
BELOW: Final = prefixed("below")
WORKING: Final = prefixed("working")
PENDING: Final = prefixed("pending")
PENDING_ABOVE: Final = prefixed("pendingAbove")
PENDING_BELOW: Final = prefixed("pendingBelow")
OLD_LIMIT: Final = Names(
    type="", stop="", trailing="", tif="", iceberg="limitIcebergQty", client="limitClientOrderId",
    strategy_id="limitStrategyId", strategy_type="limitStrategyType",
)  # fmt: skip
OLD_STOP: Final = Names(
    type="", price="stopLimitPrice", tif="stopLimitTimeInForce", iceberg="stopIcebergQty", client="stopClientOrderId",
    strategy_id="stopStrategyId", strategy_type="stopStrategyType",
)  # fmt: skip

WORKS_FIRST: Final = frozenset({"LIMIT", "LIMIT_MAKER"})
LIMITS: Final = frozenset({"LIMIT_MAKER"})
PROFITS: Final = frozenset({"TAKE_PROFIT", "TAKE_PROFIT_LIMIT"})
LOSSES: Final = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT"})


# --- placing --------------------------------------------------------------------------------------------------------


def place_oco(call: Call) -> Any:
    """`orderList.place.oco`."""
    params, account = call.params, call.course.account
    pair = pair_of(params, account)
    side, lots = side_of(params, "side"), quantity_of(params, pair, "quantity")
    return _send(call, pair, ListKind.OCO, _pair_of_legs(params, pair, ABOVE, BELOW, side, lots))


def place_old_oco(call: Call) -> Any:
    """`orderList.place`, the older form: a limit leg and a stop leg."""
    params, account = call.params, call.course.account
    pair = pair_of(params, account)
    side, lots = side_of(params, "side"), quantity_of(params, pair, "quantity")
    profit = order_of(params, pair, OLD_LIMIT, "LIMIT_MAKER", side, lots)
    kind = "STOP_LOSS_LIMIT" if "stopLimitPrice" in params else "STOP_LOSS"
    return _send(call, pair, ListKind.OCO, [profit, order_of(params, pair, OLD_STOP, kind, side, lots)])


def place_oto(call: Call) -> Any:
    """`orderList.place.oto`: the pending order begins when the working one is filled."""
    params, account = call.params, call.course.account
    pair = pair_of(params, account)
    return _send(call, pair, ListKind.OTO, [_first(params, pair), order_of(params, pair, PENDING)])


def place_otoco(call: Call) -> Any:
    """`orderList.place.otoco`: a pair begins when the working order is filled."""
    params, account = call.params, call.course.account
    pair = pair_of(params, account)
    first = _first(params, pair)
    side, lots = side_of(params, "pendingSide"), quantity_of(params, pair, "pendingQuantity")
    legs = _pair_of_legs(params, pair, PENDING_ABOVE, PENDING_BELOW, side, lots)
    return _send(call, pair, ListKind.OTOCO, [first, *legs])


def place_opo(_call: Call) -> Any:
    """`orderList.place.opo` and `.opoco`: the exchange sizes every order when it is placed."""
    raise codes.not_supported()


def _first(params: Params, pair: Pair) -> Leg:
    kind = type_of(params, WORKING.type)
    if kind not in WORKS_FIRST:
        raise codes.unsupported_combination()
    return order_of(params, pair, WORKING, kind)


def _pair_of_legs(params: Params, pair: Pair, above: Names, below: Names, side: str, lots: int) -> list[Leg]:
    """The leg that takes a profit, then the one that stops a loss."""
    kinds = type_of(params, above.type), type_of(params, below.type)
    check_kinds(side, *kinds)
    legs = [order_of(params, pair, names, kind, side, lots) for names, kind in zip((above, below), kinds, strict=True)]
    return legs if side == "SELL" else legs[::-1]


def check_kinds(side: str, above: str, below: str) -> None:
    """Each leg on the side of the price where it belongs."""
    for kind in (above, below):
        if kind not in LIMITS | PROFITS | LOSSES:
            raise codes.list_types()
    if above in LIMITS and below in LIMITS:
        raise codes.both_limit()
    if side == "SELL":
        if below in LIMITS:
            raise codes.sell_limit_below()
        if above in LOSSES:
            raise codes.stop_below_with_sell_limit()
        if below in PROFITS:
            raise codes.profit_above_in_sell()
    else:
        if above in LIMITS:
            raise codes.buy_limit_above()
        if below in LOSSES:
            raise codes.stop_above_with_buy_limit()
        if above in PROFITS:
            raise codes.profit_below_in_buy()


def _send(call: Call, pair: Pair, kind: ListKind, legs: list[Leg]) -> Any:
    course, params = call.course, call.params
    account: Account = course.account
    detail = parameters.choice(params, "newOrderRespType", DETAILS, RESULT)
    request = course.next_request
    client = parameters.client_id(params, "listClientOrderId") or account.generated(request, len(legs))
    twin = account.find_list(None, client)
    if twin is not None and twin.is_open:
        raise codes.order_refused(codes.DUPLICATE_ORDER)
    for place, leg in enumerate(legs):
        name_order(account, pair, leg, request, place)
    contingency = OCO if kind is ListKind.OCO else OTO
    account.expect(request, {"do": "list", "legs": legs, "contingency": contingency, "client": client})

    def then(at_ns: int, outcomes: Sequence[Outcome]) -> None:
        first = outcomes[0]
        if type(first) is Accepted:
            call.reply(_placed_list(account, account.lists[first.list], at_ns, outcomes, detail), None)
        else:
            assert type(first) is Rejected
            call.reply(None, refused(first))

    places = tuple(place_of(leg, pair, course.client(leg["client"])) for leg in legs)
    course.send(PlaceList(kind, places), then)
    return LATER


def _placed_list(account: Account, made: OwnList, at_ns: int, outcomes: Sequence[Outcome], detail: str) -> Document:
    """The list and its orders as they stood when it was placed."""
    is_open = any(standing_after(one, at_ns, outcomes).status <= Status.PARTIALLY_FILLED for one in made.orders)
    document = list_object(made, at_ns, EXECUTING if is_open else None)
    document["orderReports"] = [placed(account, one, at_ns, outcomes, detail) for one in made.orders]
    return document


# --- cancelling -----------------------------------------------------------------------------------------------------


def cancel(call: Call) -> Any:
    """`orderList.cancel`: all of its orders that are open."""
    course, params = call.course, call.params
    account: Account = course.account
    pair = pair_of(params, account)
    found = _meant(account, params, "listClientOrderId")
    new_client = parameters.client_id(params, "newClientOrderId")
    if found is None or found.pair is not pair or not found.is_open:
        raise codes.unknown_order()
    meant, request = found, course.next_request
    account.expect(request, {"do": "cancel", "client": new_client or account.generated(request)})

    def then(at_ns: int, outcomes: Sequence[Outcome]) -> None:
        if type(outcomes[0]) is Changed:
            call.reply(list_cancelled(meant, at_ns), None)
        else:
            call.reply(None, codes.unknown_order())

    course.send(Cancel(pair.number, next(one.number for one in found.orders if one.is_open)), then)
    return LATER


def _meant(account: Account, params: Params, client_name: str) -> OwnList | None:
    """The list that is named by its number, its client id or both."""
    number, client = parameters.number(params, "orderListId"), parameters.given(params, client_name)
    if number is None and client is None:
        raise codes.either("orderListId", client_name)
    found = account.find_list(number, client)
    if found is not None and number is not None and client is not None and found.client != client:
        raise codes.ids_disagree()
    return found


# --- queries --------------------------------------------------------------------------------------------------------


def status(call: Call) -> Any:
    """`orderList.status`."""
    found = _meant(call.course.account, call.params, "origClientOrderId")
    if found is None:
        raise codes.no_such_order()
    return list_object(found, found.time_ns)


def open_lists(call: Call) -> Any:
    """`openOrderLists.status`."""
    account: Account = call.course.account
    return [list_object(one, one.time_ns) for one in account.lists.values() if one.is_open]


def all_lists(call: Call) -> Any:
    """`allOrderLists`."""
    account: Account = call.course.account
    first, span = parameters.number(call.params, "fromId"), parameters.span(call.params)
    limit = parameters.limit(call.params)
    if first is not None and not span.is_open:
        raise codes.optional_combination()
    rows = [one for one in account.lists.values() if first is None or one.number >= first]
    return [
        list_object(one, one.time_ns) for one in window(rows, span, limit, lambda one: one.time_ns, first is not None)
    ]


HANDLERS: Final[dict[str, Handler]] = {
    "orderList.place": place_old_oco,
    "orderList.place.oco": place_oco,
    "orderList.place.oto": place_oto,
    "orderList.place.otoco": place_otoco,
    "orderList.place.opo": place_opo,
    "orderList.place.opoco": place_opo,
    "orderList.cancel": cancel,
    "orderList.status": status,
    "openOrderLists.status": open_lists,
    "allOrderLists": all_lists,
}
