"""Order entry: requests of the wire become requests of the exchange, and what comes of them becomes answers.

The exchange decides. Here is checked what it cannot see: parameters, grids, and what the wire asks for beyond it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gnomon.exchange.order import Amend, Cancel, CancelAll, Replace, Status
from gnomon.exchange.outcome import Accepted, Changed, Outcome, Refusal, Rejected
from gnomon.serve.venue import codes, commission, parameters
from gnomon.serve.venue.account import Account
from gnomon.serve.venue.call import LATER, Call, Handler
from gnomon.serve.venue.order_answers import ACK, FULL, RESULT, Document, amended, cancelled, list_cancelled, placed
from gnomon.serve.venue.order_fields import ids_of, order_of, pair_of, place_of
from gnomon.serve.venue.order_refusals import amend_refused, refused
from gnomon.serve.venue.own_orders import OwnOrder
from gnomon.serve.venue.pairs import Pair
from gnomon.serve.venue.parameters import Params
from gnomon.serve.venue.refusal import VenueRefusal

DETAILS: Final = {ACK: ACK, RESULT: RESULT, FULL: FULL}
TOLD_IN_FULL: Final = frozenset({"LIMIT", "MARKET"})
RESTRICTIONS: Final[Mapping[str, Status]] = {
    "ONLY_NEW": Status.NEW,
    "ONLY_PARTIALLY_FILLED": Status.PARTIALLY_FILLED,
}
STOP_ON_FAILURE: Final = "STOP_ON_FAILURE"
ALLOW_FAILURE: Final = "ALLOW_FAILURE"
REPLACE_MODES: Final = {STOP_ON_FAILURE: "", ALLOW_FAILURE: ""}
RATE_MODES: Final = {"DO_NOTHING": "", "CANCEL_ONLY": ""}

Leg = dict[str, Any]


# --- new orders -----------------------------------------------------------------------------------------------------


def place(call: Call) -> Any:
    """`order.place`."""
    course, params = call.course, call.params
    account: Account = course.account
    pair = pair_of(params, account)
    leg = order_of(params, pair)
    detail = detail_of(params, leg["type"])
    number = course.next_request
    name_order(account, pair, leg, number)
    account.expect(number, {"do": "place", "legs": [leg]})

    def then(at_ns: int, outcomes: Sequence[Outcome]) -> None:
        first = outcomes[0]
        if type(first) is Rejected:
            call.reply(None, refused(first, leg))
            return
        assert type(first) is Accepted
        call.reply(placed(account, account.orders[first.number], at_ns, outcomes, detail), None)

    course.send(place_of(leg, pair, course.client(leg["client"])), then)
    return LATER


def try_place(call: Call) -> Any:
    """`order.test`: every check but that of the balance."""
    account: Account = call.course.account
    params = call.params
    pair = pair_of(params, account)
    leg = order_of(params, pair)
    detail_of(params, leg["type"])
    wants_rates = parameters.flag(params, "computeCommissionRates")
    if leg["client"] and account.has_client(pair.number, leg["client"]):
        raise codes.order_refused(codes.DUPLICATE_ORDER)
    broken = account.exchange.check(place_of(leg, pair, 0), call.course.now_ns)
    if broken is not None:
        raise refused(broken, leg)
    return commission.of_order(account.exchange.rules.fees) if wants_rates else {}


def detail_of(params: Params, kind: str) -> str:
    """How much is told of a new order: FULL of those that may trade at once, else ACK, unless the client says."""
    default = FULL if kind in TOLD_IN_FULL else ACK
    return parameters.choice(params, "newOrderRespType", DETAILS, default)


def name_order(account: Account, pair: Pair, leg: Leg, request: int, place: int = 0) -> None:
    """A client id for an order that has none. -2010 where an amended order goes by the one that it has."""
    if not leg["client"]:
        leg["client"] = account.generated(request, place)
    elif account.is_renamed_open(pair.number, leg["client"]):
        raise codes.order_refused(codes.DUPLICATE_ORDER)


# --- cancels --------------------------------------------------------------------------------------------------------


def cancel(call: Call) -> Any:
    """`order.cancel`: of one order; of the whole list where it belongs to one."""
    course, params = call.course, call.params
    account: Account = course.account
    pair = pair_of(params, account)
    number, client = ids_of(params)
    new_client = parameters.client_id(params, "newClientOrderId")
    target = meant(account, pair, number, client)
    check_restriction(params, target)
    request = course.next_request
    account.expect(request, {"do": "cancel", "client": new_client or account.generated(request)})

    def then(at_ns: int, outcomes: Sequence[Outcome]) -> None:
        first = outcomes[0]
        if type(first) is Changed:
            call.reply(cancel_answer(account.orders[first.number], at_ns), None)
        else:
            call.reply(None, codes.unknown_order())

    course.send(cancel_request(call, pair, target, number, client), then)
    return LATER


def meant(account: Account, pair: Pair, number: int | None, client: str | None) -> OwnOrder | None:
    """The order that was named; None where the account knows none such (yet). -2039 where number and id disagree."""
    order = account.find(pair.number, number, client)
    if order is not None and number is not None and client is not None and order.client != client:
        raise codes.ids_disagree()
    return order


def check_restriction(params: Params, target: OwnOrder | None) -> None:
    """`cancelRestrictions`, of an order that is open."""
    restriction = parameters.given(params, "cancelRestrictions")
    if restriction is None:
        return
    if restriction not in RESTRICTIONS:
        raise codes.invalid_cancel_restrictions()
    if target is not None and target.is_open and target.status is not RESTRICTIONS[restriction]:
        raise codes.cancel_restricted()


def cancel_request(call: Call, pair: Pair, target: OwnOrder | None, number: int | None, client: str | None) -> Cancel:
    """By its number where it is known; one that is on its way still is named by its client id."""
    if target is not None and target.is_open:
        return Cancel(pair.number, target.number)
    if number is not None:
        return Cancel(pair.number, number)
    return Cancel(pair.number, 0, call.course.client(client or ""))


def cancel_answer(order: OwnOrder, at_ns: int) -> Document:
    return cancelled(order, at_ns) if order.list is None else list_cancelled(order.list, at_ns)


def cancel_all(call: Call) -> Any:
    """`openOrders.cancelAll`: of one symbol; order lists as lists."""
    course = call.course
    account: Account = course.account
    pair = pair_of(call.params, account)
    account.expect(course.next_request, {"do": "cancelAll", "client": ""})

    def then(at_ns: int, outcomes: Sequence[Outcome]) -> None:
        if type(outcomes[0]) is Rejected:
            call.reply(None, codes.unknown_order())
            return
        answers: list[Document] = []
        told: set[int] = set()
        for one in outcomes:
            if type(one) is Changed:
                order = account.orders[one.number]
                if order.list is None:
                    answers.append(cancelled(order, at_ns))
                elif order.list.number not in told:
                    told.add(order.list.number)
                    answers.append(list_cancelled(order.list, at_ns))
        call.reply(answers, None)

    course.send(CancelAll(pair.number), then)
    return LATER


# --- cancel and replace ---------------------------------------------------------------------------------------------


def cancel_replace(call: Call) -> Any:
    """`order.cancelReplace`. What the new order is in itself is checked before anything is cancelled."""
    course, params = call.course, call.params
    account: Account = course.account
    pair = pair_of(params, account)
    leg = order_of(params, pair)
    detail = detail_of(params, leg["type"])
    if parameters.given(params, "cancelReplaceMode") is None:
        raise codes.mandatory("cancelReplaceMode")
    mode = parameters.choice(params, "cancelReplaceMode", REPLACE_MODES, "")
    parameters.choice(params, "orderRateLimitExceededMode", RATE_MODES, "")
    number, client = ids_of(params, "cancelOrderId", "cancelOrigClientOrderId")
    new_client = parameters.client_id(params, "cancelNewClientOrderId")
    target = meant(account, pair, number, client)
    return _Replacing(call, account, pair, leg, detail).begin(mode, target, number, client, new_client)


class _Replacing:
    """One cancelReplace: what came of its two halves, and the answer when both are known."""

    def __init__(self, call: Call, account: Account, pair: Pair, leg: Leg, detail: str) -> None:
        self._call = call
        self._account = account
        self._pair = pair
        self._leg = leg
        self._detail = detail
        self._cancelled: Document | VenueRefusal | None = None
        self._placed: Document | VenueRefusal | None = None

    def begin(
        self, mode: str, target: OwnOrder | None, number: int | None, client: str | None, new_client: str | None
    ) -> Any:
        call, account, pair, leg = self._call, self._account, self._pair, self._leg
        course = call.course
        open_target = target if target is not None and target.is_open else None
        place = place_of(leg, pair, 0)
        without = open_target.number if open_target is not None else 0
        broken = account.exchange.check_itself(place, course.now_ns, without)
        if broken is not None:
            raise refused(broken, leg)
        try:
            check_restriction(call.params, target)
        except VenueRefusal as restricted:
            if restricted.code != codes.unknown_order().code:
                raise
            self._cancelled = restricted
        request = course.next_request
        details = {"do": "replace", "client": new_client or account.generated(request, 1), "legs": [leg]}
        if mode == STOP_ON_FAILURE:
            if open_target is None or self._cancelled is not None:
                raise _replace_refusal(self._cancelled or codes.unknown_order(), None)
            name_order(account, pair, leg, request)
            account.expect(request, details)
            replaced = place_of(leg, pair, course.client(leg["client"]))
            course.send(Replace(open_target.number, replaced), self._on_replaced)
            return LATER
        if self._cancelled is None:
            account.expect(request, {"do": "cancel", "client": details["client"]})
            course.send(cancel_request(call, pair, target, number, client), self._on_cancelled)
        request = course.next_request
        name_order(account, pair, leg, request)
        account.expect(request, {"do": "place", "legs": [leg]})
        course.send(place_of(leg, pair, course.client(leg["client"])), self._on_placed)
        return LATER

    def _on_replaced(self, at_ns: int, outcomes: Sequence[Outcome]) -> None:
        first = outcomes[0]
        if type(first) is Rejected:
            if first.refusal is Refusal.UNKNOWN_ORDER:
                self._call.reply(None, _replace_refusal(codes.unknown_order(), None))
            else:
                self._call.reply(None, refused(first, self._leg))
            return
        self._on_cancelled(at_ns, outcomes)
        self._on_placed(at_ns, outcomes)

    def _on_cancelled(self, at_ns: int, outcomes: Sequence[Outcome]) -> None:
        first = outcomes[0]
        if type(first) is Changed:
            self._cancelled = cancel_answer(self._account.orders[first.number], at_ns)
        else:
            self._cancelled = codes.unknown_order()
        self._finish()

    def _on_placed(self, at_ns: int, outcomes: Sequence[Outcome]) -> None:
        for one in outcomes:
            if type(one) is Accepted:
                order = self._account.orders[one.number]
                self._placed = placed(self._account, order, at_ns, outcomes, self._detail)
                break
            if type(one) is Rejected:
                self._placed = refused(one, self._leg)
                break
        self._finish()

    def _finish(self) -> None:
        if self._cancelled is None or self._placed is None:
            return
        if isinstance(self._cancelled, VenueRefusal) or isinstance(self._placed, VenueRefusal):
            self._call.reply(None, _replace_refusal(self._cancelled, self._placed))
            return
        document = {
            "cancelResult": "SUCCESS",
            "newOrderResult": "SUCCESS",
            "cancelResponse": self._cancelled,
            "newOrderResponse": self._placed,
        }
        self._call.reply(document, None)


def _replace_refusal(done: Document | VenueRefusal, placed: Document | VenueRefusal | None) -> VenueRefusal:
    """-2022 where nothing came of it, -2021 where one half did; `placed` None was not attempted."""
    has_failed = [isinstance(one, VenueRefusal) for one in (done, placed)]
    data = {
        "cancelResult": "FAILURE" if has_failed[0] else "SUCCESS",
        "newOrderResult": "NOT_ATTEMPTED" if placed is None else "FAILURE" if has_failed[1] else "SUCCESS",
        "cancelResponse": _half(done),
        "newOrderResponse": _half(placed),
    }
    is_half = "SUCCESS" in (data["cancelResult"], data["newOrderResult"])
    return codes.half_replaced(data) if is_half else codes.not_replaced(data)


def _half(one: Document | VenueRefusal | None) -> Any:
    return one.document() if isinstance(one, VenueRefusal) else one


# --- amend ----------------------------------------------------------------------------------------------------------


def amend(call: Call) -> Any:
    """`order.amend.keepPriority`: fewer lots, the place in the queue kept."""
    course, params = call.course, call.params
    account: Account = course.account
    pair = pair_of(params, account)
    number, client = ids_of(params)
    value = pair.lots.read("newQty", parameters.needed(params, "newQty"))
    new_client = parameters.client_id(params, "newClientOrderId")
    lots, rest = divmod(value, pair.lots.step)
    if rest or not lots:
        raise codes.filter_failure("LOT_SIZE")
    target = meant(account, pair, number, client)
    if target is None or not target.is_open:
        raise codes.amend_refused("Unknown order sent.")
    if new_client is not None and new_client != target.client and account.has_client(pair.number, new_client):
        raise codes.amend_refused(codes.DUPLICATE_ORDER)
    request, order, before = course.next_request, target, target.client
    account.expect(request, {"do": "amend", "client": new_client or account.generated(request)})

    def then(at_ns: int, outcomes: Sequence[Outcome]) -> None:
        first = outcomes[0]
        if type(first) is Changed:
            call.reply(amended(order, before, at_ns, order.amend_execution, first), None)
        else:
            assert type(first) is Rejected
            call.reply(None, amend_refused(first))

    course.send(Amend(pair.number, order.number, lots), then)
    return LATER


HANDLERS: Final[dict[str, Handler]] = {
    "order.place": place,
    "order.test": try_place,
    "order.cancel": cancel,
    "order.cancelReplace": cancel_replace,
    "order.amend.keepPriority": amend,
    "openOrders.cancelAll": cancel_all,
}
