"""Whatever is asked, however badly: an answer or a refusal in the venue's words, and a refusal changes nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.serve.venue.courses import HANDLERS, HandCourse, btc, tape, usual_rules

from gnomon.exchange.order import OrderType
from gnomon.serve.venue.order_fields import PLAIN, SELF_TRADES
from gnomon.serve.venue.refusal import VenueRefusal

NAMES = sorted(
    {name for name in PLAIN if isinstance(name, str)}
    | {f"{prefix}{name}" for prefix in ("above", "below", "working", "pending", "pendingAbove", "pendingBelow")
       for name in ("Type", "Side", "Price", "StopPrice", "Quantity", "TimeInForce", "TrailingDelta", "ClientOrderId")}
    | {"symbol", "orderId", "origClientOrderId", "newOrderRespType", "cancelRestrictions", "cancelReplaceMode"}
    | {"cancelOrderId", "cancelOrigClientOrderId", "cancelNewClientOrderId", "newQty", "orderListId"}
    | {"listClientOrderId", "stopLimitPrice", "stopLimitTimeInForce", "limit", "startTime", "endTime", "fromId"}
    | {"omitZeroBalances", "preventedMatchId", "computeCommissionRates", "orderRateLimitExceededMode"}
)  # fmt: skip
TEXTS = [
    *("BTCUSDT", "ETHUSDT", "BUY", "SELL", "GTC", "IOC", "FOK", "ACK", "RESULT", "FULL", "ONLY_NEW", "true", "false"),
    *("STOP_ON_FAILURE", "ALLOW_FAILURE", "DO_NOTHING", *SELF_TRADES, *(one.name for one in OrderType)),
    *("0", "1", "2", "3", "0.5", "99.99", "100.00", "100.01", "90", "110", "100.001", "1e-05", "-1", "", " ", "null"),
    *("9" * 19, "9" * 20, "9" * 40, "0.000000001", "92233720368.54775807", "1690000000000", "1690000000000000"),
    *("a", "x" * 36, "x" * 37, "ü", "\n", "1\n", "\x00", "' OR 1=1", "[]", "{}", "NaN", "Infinity", "٣"),
]
params = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(TEXTS) | st.text(max_size=8), max_size=12)
calls = st.tuples(st.sampled_from(sorted(HANDLERS)), params)
ordinary = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "1",
    "price": "99.00",
}


def state(course: HandCourse) -> Any:
    ledger = course.account.ledger
    return ledger.free[:], ledger.locked[:], sorted(course.exchange.working.orders), len(course.events)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(asked=st.lists(calls, min_size=1, max_size=12), is_usual=st.booleans())
def test_no_request_is_a_surprise(asked: list[tuple[str, dict[str, str]]], is_usual: bool) -> None:
    course = HandCourse(
        [tape("B 10000 x 500", "S 9999 x 500"), tape("B 10000 x 500")],
        btc(),
        btc(1, "ETH"),
        rules=usual_rules({"USDT": "1000", "BTC": "5"}),
    )
    course.until(2)
    course.place(price="99.00", newClientOrderId="a")
    for method, given_params in asked:
        before = state(course)
        sent = ordinary | given_params if is_usual else given_params
        (answer,) = course.call(method, **sent)
        if isinstance(answer, VenueRefusal):
            assert answer.code < -1000
            assert answer.status in (400, 409)
            if answer.status == 400:
                assert state(course) == before, (method, sent)
        course.told()
    course.exchange.ledger.check()
