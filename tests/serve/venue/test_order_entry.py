"""Requests of the wire meet the real exchange."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.serve.venue.courses import CALM, START_NS, HandCourse, btc, tape, usual_rules

from gnomon.exchange.rules import FeeAsset, Fees
from gnomon.market.calendar import Hours
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.units import SECOND_NS

SYMBOL = {"symbol": "BTCUSDT"}
UNKNOWN = (-2011, "Unknown order sent.")


@pytest.fixture
def course() -> HandCourse:
    made = HandCourse()
    made.until(4)
    return made


def order(**more: Any) -> dict[str, Any]:
    return SYMBOL | {
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "price": "90.00",
        "quantity": "1",
    } | more  # fmt: skip


def market(side: str = "BUY", **more: Any) -> dict[str, Any]:
    return SYMBOL | {"side": side, "type": "MARKET"} | more


# --- new orders -----------------------------------------------------------------------------------------------------


def test_a_limit_order_rests_and_its_answer_is_full(course: HandCourse) -> None:
    answer = course.ask("order.place", **order(newClientOrderId="mine"))
    assert answer == {
        "symbol": "BTCUSDT",
        "orderId": 1,
        "orderListId": -1,
        "clientOrderId": "mine",
        "transactTime": 1_690_000_004_000,
        "price": "90.00000000",
        "origQty": "1.00000000",
        "executedQty": "0.00000000",
        "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": "0.00000000",
        "status": "NEW",
        "timeInForce": "GTC",
        "type": "LIMIT",
        "side": "BUY",
        "workingTime": 1_690_000_004_000,
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "fills": [],
    }
    assert list(answer)[-1] == "fills"


def test_a_market_order_is_told_its_fills(course: HandCourse) -> None:
    answer = course.ask("order.place", **market(quantity="2"))
    assert answer["status"] == "FILLED"
    assert (answer["price"], answer["timeInForce"], answer["cummulativeQuoteQty"]) == (
        "0.00000000",
        "GTC",
        "200.00000000",
    )
    assert answer["fills"] == [
        {
            "price": "100.00000000",
            "qty": "2.00000000",
            "commission": "0.00200000",
            "commissionAsset": "BTC",
            "tradeId": 1,
        }
    ]


def test_a_market_order_by_what_it_may_spend_says_what_it_bought(course: HandCourse) -> None:
    answer = course.ask("order.place", **market(quoteOrderQty="150.05"))
    assert (answer["origQty"], answer["executedQty"], answer["origQuoteOrderQty"]) == (
        "1.50000000",
        "1.50000000",
        "150.05000000",
    )


def test_how_much_is_told_is_the_types_or_the_clients_choice(course: HandCourse) -> None:
    maker = order(type="LIMIT_MAKER")
    del maker["timeInForce"]
    assert list(course.ask("order.place", **maker)) == [
        "symbol",
        "orderId",
        "orderListId",
        "clientOrderId",
        "transactTime",
    ]
    assert "fills" not in course.ask("order.place", **order(newOrderRespType="RESULT"))
    assert "price" not in course.ask("order.place", **order(newOrderRespType="ACK"))
    assert course.ask("order.place", **maker, newOrderRespType="FULL")["fills"] == []
    assert course.refused("order.place", **order(newOrderRespType="SOME"))[0] == -1130


def test_what_cannot_be_filled_at_once_expires(course: HandCourse) -> None:
    answer = course.ask("order.place", **order(price="100.00", quantity="12", timeInForce="IOC"))
    assert (answer["status"], answer["executedQty"], answer["expiryReason"]) == (
        "EXPIRED",
        "10.00000000",
        "UNFILLED_IOC_QUANTITY_EXPIRED",
    )
    answer = course.ask("order.place", **order(price="99.00", timeInForce="FOK"))
    assert (answer["status"], answer["expiryReason"], answer["fills"]) == (
        "EXPIRED",
        "UNFILLED_FOK_ORDER_EXPIRED",
        [],
    )


def test_a_stop_waits_and_is_not_working(course: HandCourse) -> None:
    stop = market("SELL", quantity="1", newOrderRespType="RESULT") | {"type": "STOP_LOSS", "stopPrice": "95.00"}
    answer = course.ask("order.place", **stop)
    assert (answer["status"], answer["stopPrice"], answer["workingTime"]) == ("NEW", "95.00000000", -1)


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"price": "20000000"}, (-1013, "Filter failure: PRICE_FILTER")),
        ({"quantity": "20000"}, (-1013, "Filter failure: LOT_SIZE")),
        ({"quantity": "0.001"}, (-1013, "Filter failure: NOTIONAL")),
        ({"quantity": "2000", "price": "99.00"}, (-2010, "Account has insufficient balance for requested action.")),
        ({"symbol": "ETHUSDT"}, (-1121, "Invalid symbol.")),
        (
            {"symbol": "btcusdt"},
            (-1100, "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'."),
        ),
        ({"newClientOrderId": "taken"}, (-2010, "Duplicate order sent.")),
    ],
)
def test_the_exchange_refuses_in_the_venues_words(
    course: HandCourse, change: dict[str, str], expected: tuple[int, str]
) -> None:
    course.place(newClientOrderId="taken")
    assert course.refused("order.place", **order() | change) == expected
    assert [one["clientOrderId"] for one in course.ask("openOrders.status")] == ["taken"]


def test_orders_that_the_market_forbids_are_refused(course: HandCourse) -> None:
    maker = order(type="LIMIT_MAKER", price="100.00")
    del maker["timeInForce"]
    assert course.refused("order.place", **maker) == (-2010, "Order would immediately match and take.")
    stop = market("SELL", quantity="1") | {"type": "STOP_LOSS", "stopPrice": "99.99"}
    assert course.refused("order.place", **stop) == (-2010, "Order would trigger immediately.")


def test_a_thin_book_is_less_than_the_smallest_lot() -> None:
    course = HandCourse(tape(*CALM), btc(min_lots=1_000))
    course.until(4)
    assert course.refused("order.place", **market(quoteOrderQty="50")) == (
        -2010,
        "Order book liquidity is less than LOT_SIZE filter minimum quantity.",
    )


def test_a_market_that_is_closed_takes_what_can_wait() -> None:
    hours = Hours.of([(START_NS, START_NS + 3 * SECOND_NS)])
    course = HandCourse(tape(*CALM), replace(btc(), hours=hours))
    course.until(4)
    closed = (-2010, "Market is closed.")
    assert course.refused("order.place", **market(quantity="1")) == closed
    assert course.refused("order.test", **market(quantity="1")) == closed
    assert course.refused("order.cancelReplace", **replacing(timeInForce="IOC")) == closed
    assert course.place()["status"] == "NEW"


def test_limits_on_open_orders_have_their_filters() -> None:
    course = HandCourse(None, btc(max_orders=2, max_stop_orders=1))
    course.until(4)
    stop = market("SELL", quantity="1") | {"type": "STOP_LOSS", "stopPrice": "90.00"}
    course.ask("order.place", **stop)
    assert course.refused("order.place", **stop) == (-1013, "Filter failure: MAX_NUM_ALGO_ORDERS")
    course.place()
    assert course.refused("order.place", **order()) == (-1013, "Filter failure: MAX_NUM_ORDERS")


def test_a_trailing_delta_has_its_filter(course: HandCourse) -> None:
    stop = market("SELL", quantity="1") | {"type": "STOP_LOSS", "trailingDelta": "5000"}
    assert course.refused("order.place", **stop) == (-1013, "Filter failure: TRAILING_DELTA")


def test_an_id_that_is_not_given_is_generated_and_repeats(course: HandCourse) -> None:
    first, second = course.place()["clientOrderId"], course.place()["clientOrderId"]
    assert len(first) == 22
    assert first != second
    again = HandCourse()
    again.until(4)
    assert again.place()["clientOrderId"] == first
    other = HandCourse(run="run-2")
    other.until(4)
    assert other.place()["clientOrderId"] != first


def test_an_id_is_free_again_when_its_order_is_closed(course: HandCourse) -> None:
    course.place(newClientOrderId="a")
    course.ask("order.cancel", **SYMBOL, origClientOrderId="a")
    assert course.place(newClientOrderId="a")["orderId"] == 2


# --- order.test -----------------------------------------------------------------------------------------------------


def test_a_tried_order_passes_every_check_but_that_of_the_balance(course: HandCourse) -> None:
    assert course.ask("order.test", **order()) == {}
    assert course.ask("order.test", **order(quantity="2000")) == {}
    assert course.refused("order.test", **order(price="20000000")) == (-1013, "Filter failure: PRICE_FILTER")
    assert course.refused("order.test", **order(price="90.001"))[0] == -1013
    assert course.refused("order.test", **order(quantity="0.001")) == (-1013, "Filter failure: NOTIONAL")
    stop = market("SELL", quantity="1") | {"type": "STOP_LOSS", "stopPrice": "99.99"}
    assert course.refused("order.test", **stop) == (-2010, "Order would trigger immediately.")
    course.place(newClientOrderId="a")
    assert course.refused("order.test", **order(newClientOrderId="a")) == (-2010, "Duplicate order sent.")


def test_a_tried_order_changes_nothing(course: HandCourse) -> None:
    before = course.account.ledger.free[:], course.next_request, course.exchange.books[0].position
    course.ask("order.test", **order())
    assert (course.account.ledger.free[:], course.next_request, course.exchange.books[0].position) == before
    assert course.told() == []


def test_a_tried_order_can_be_told_its_commission(course: HandCourse) -> None:
    found = course.ask("order.test", **order(computeCommissionRates="true"))
    assert found["standardCommissionForOrder"] == {"maker": "0.00100000", "taker": "0.00100000"}
    assert found["discount"]["discountAsset"] == "BNB"


# --- cancels --------------------------------------------------------------------------------------------------------


def test_a_cancel_is_answered_with_the_order_as_it_ended(course: HandCourse) -> None:
    course.place(newClientOrderId="mine")
    answer = course.ask("order.cancel", **SYMBOL, orderId=1, newClientOrderId="stop-it")
    assert answer == {
        "symbol": "BTCUSDT",
        "origClientOrderId": "mine",
        "orderId": 1,
        "orderListId": -1,
        "clientOrderId": "stop-it",
        "transactTime": 1_690_000_004_000,
        "price": "90.00000000",
        "origQty": "1.00000000",
        "executedQty": "0.00000000",
        "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": "0.00000000",
        "status": "CANCELED",
        "timeInForce": "GTC",
        "type": "LIMIT",
        "side": "BUY",
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }


def test_a_cancel_of_what_is_not_open_is_refused(course: HandCourse) -> None:
    assert course.refused("order.cancel", **SYMBOL, orderId=1) == UNKNOWN
    assert course.refused("order.cancel", **SYMBOL, origClientOrderId="none") == UNKNOWN
    course.place(newClientOrderId="mine")
    course.ask("order.cancel", **SYMBOL, orderId=1)
    assert course.refused("order.cancel", **SYMBOL, orderId=1) == UNKNOWN
    assert course.refused("order.cancel", **SYMBOL, origClientOrderId="mine") == UNKNOWN
    assert course.refused("order.cancel", **SYMBOL)[0] == -1102


def test_number_and_client_id_must_name_one_order(course: HandCourse) -> None:
    course.place(newClientOrderId="a")
    course.place(newClientOrderId="b")
    assert course.refused("order.cancel", **SYMBOL, orderId=1, origClientOrderId="b") == (
        -2039,
        "Client order ID is not correct for this order ID.",
    )
    assert course.ask("order.cancel", **SYMBOL, orderId=1, origClientOrderId="a")["orderId"] == 1


def test_a_cancel_may_be_restricted(course: HandCourse) -> None:
    course.place()
    restricted = (-2011, "Order was not canceled due to cancel restrictions.")
    assert course.refused("order.cancel", **SYMBOL, orderId=1, cancelRestrictions="ONLY_PARTIALLY_FILLED") == restricted
    assert course.refused("order.cancel", **SYMBOL, orderId=1, cancelRestrictions="NEVER") == (
        -1145,
        "Invalid cancelRestrictions",
    )
    assert course.ask("order.cancel", **SYMBOL, orderId=1, cancelRestrictions="ONLY_NEW")["status"] == "CANCELED"


def test_all_orders_of_a_symbol_are_cancelled(course: HandCourse) -> None:
    assert course.refused("openOrders.cancelAll", **SYMBOL) == UNKNOWN
    course.place()
    course.place(price="80.00")
    answers = course.ask("openOrders.cancelAll", **SYMBOL)
    assert [(one["orderId"], one["status"]) for one in answers] == [(1, "CANCELED"), (2, "CANCELED")]
    assert len({one["clientOrderId"] for one in answers}) == 2
    assert course.ask("openOrders.status") == []


# --- cancel and replace ---------------------------------------------------------------------------------------------


def replacing(mode: str = "STOP_ON_FAILURE", **more: Any) -> dict[str, Any]:
    return order(cancelReplaceMode=mode, **{"cancelOrderId": 1, "price": "91.00"} | more)


def replace_refusal(course: HandCourse, **params: Any) -> tuple[int, int, Any]:
    (answer,) = course.call("order.cancelReplace", **params)
    assert isinstance(answer, VenueRefusal), answer
    return answer.status, answer.code, answer.data


@pytest.mark.parametrize("mode", ["STOP_ON_FAILURE", "ALLOW_FAILURE"])
def test_an_order_is_replaced_by_another(course: HandCourse, mode: str) -> None:
    course.place(newClientOrderId="old")
    answer = course.ask("order.cancelReplace", **replacing(mode, newClientOrderId="new", cancelNewClientOrderId="off"))
    assert (answer["cancelResult"], answer["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert answer["cancelResponse"]["origClientOrderId"] == "old"
    assert answer["cancelResponse"]["clientOrderId"] == "off"
    assert answer["newOrderResponse"]["clientOrderId"] == "new"
    assert answer["newOrderResponse"]["status"] == "NEW"
    assert [one["clientOrderId"] for one in course.ask("openOrders.status")] == ["new"]


def test_a_replacement_may_go_by_the_id_of_the_one_that_it_replaces(course: HandCourse) -> None:
    course.place(newClientOrderId="same")
    answer = course.ask("order.cancelReplace", **replacing(newClientOrderId="same"))
    assert answer["newOrderResponse"]["orderId"] == 2


def test_a_cancel_that_fails_stops_the_new_order(course: HandCourse) -> None:
    status, code, data = replace_refusal(course, **replacing())
    assert (status, code) == (400, -2022)
    assert data == {
        "cancelResult": "FAILURE",
        "newOrderResult": "NOT_ATTEMPTED",
        "cancelResponse": {"code": -2011, "msg": "Unknown order sent."},
        "newOrderResponse": None,
    }
    assert course.ask("openOrders.status") == []


def test_a_cancel_that_fails_may_be_allowed(course: HandCourse) -> None:
    status, code, data = replace_refusal(course, **replacing("ALLOW_FAILURE"))
    assert (status, code) == (409, -2021)
    assert (data["cancelResult"], data["newOrderResult"]) == ("FAILURE", "SUCCESS")
    assert data["newOrderResponse"]["status"] == "NEW"


def test_both_halves_may_fail(course: HandCourse) -> None:
    status, code, data = replace_refusal(course, **replacing("ALLOW_FAILURE", quantity="2000"))
    assert (status, code, data["cancelResult"], data["newOrderResult"]) == (400, -2022, "FAILURE", "FAILURE")
    assert data["newOrderResponse"]["code"] == -2010


@pytest.mark.parametrize("mode", ["STOP_ON_FAILURE", "ALLOW_FAILURE"])
def test_a_new_order_without_funds_leaves_the_old_one_cancelled(course: HandCourse, mode: str) -> None:
    course.place()
    status, code, data = replace_refusal(course, **replacing(mode, quantity="2000"))
    assert (status, code, data["cancelResult"], data["newOrderResult"]) == (409, -2021, "SUCCESS", "FAILURE")
    assert data["newOrderResponse"] == {
        "code": -2010,
        "msg": "Account has insufficient balance for requested action.",
    }
    assert course.ask("openOrders.status") == []


@pytest.mark.parametrize("mode", ["STOP_ON_FAILURE", "ALLOW_FAILURE"])
def test_filters_are_asked_before_the_cancel(course: HandCourse, mode: str) -> None:
    course.place()
    assert course.refused("order.cancelReplace", **replacing(mode, price="20000000")) == (
        -1013,
        "Filter failure: PRICE_FILTER",
    )
    assert [one["orderId"] for one in course.ask("openOrders.status")] == [1]


def test_a_restricted_cancel_is_a_failed_half(course: HandCourse) -> None:
    course.place()
    only = {"cancelRestrictions": "ONLY_PARTIALLY_FILLED"}
    status, code, data = replace_refusal(course, **replacing(**only))
    assert (status, code, data["newOrderResult"]) == (400, -2022, "NOT_ATTEMPTED")
    assert data["cancelResponse"]["msg"] == "Order was not canceled due to cancel restrictions."
    status, code, data = replace_refusal(course, **replacing("ALLOW_FAILURE", **only))
    assert (status, code, data["newOrderResult"]) == (409, -2021, "SUCCESS")
    assert course.refused("order.cancelReplace", **replacing(cancelRestrictions="X"))[0] == -1145


def test_what_a_replacement_needs_is_asked(course: HandCourse) -> None:
    lacking = replacing()
    del lacking["cancelReplaceMode"]
    assert course.refused("order.cancelReplace", **lacking)[0] == -1102
    assert course.refused("order.cancelReplace", **replacing("MAYBE"))[0] == -1130
    lacking = replacing()
    del lacking["cancelOrderId"]
    assert course.refused("order.cancelReplace", **lacking) == (
        -1102,
        "Param 'cancelOrigClientOrderId' or 'cancelOrderId' must be sent, but both were empty/null!",
    )


# --- amend ----------------------------------------------------------------------------------------------------------


def test_fewer_lots_keep_the_order_where_it_is(course: HandCourse) -> None:
    course.place(newClientOrderId="mine")
    answer = course.ask("order.amend.keepPriority", **SYMBOL, orderId=1, newQty="0.4", newClientOrderId="less")
    assert answer["amendedOrder"] == {
        "symbol": "BTCUSDT",
        "orderId": 1,
        "orderListId": -1,
        "origClientOrderId": "mine",
        "clientOrderId": "less",
        "price": "90.00000000",
        "qty": "0.40000000",
        "executedQty": "0.00000000",
        "preventedQty": "0.00000000",
        "quoteOrderQty": "0.00000000",
        "cumulativeQuoteQty": "0.00000000",
        "status": "NEW",
        "timeInForce": "GTC",
        "type": "LIMIT",
        "side": "BUY",
        "workingTime": 1_690_000_004_000,
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }
    replaced = next(one for one in course.told() if one.get("x") == "REPLACED")
    assert (replaced["c"], replaced["C"], replaced["q"], replaced["I"]) == (
        "less",
        "mine",
        "0.40000000",
        answer["executionId"],
    )
    assert course.refused("order.place", **order(newClientOrderId="less")) == (-2010, "Duplicate order sent.")
    assert course.ask("order.cancel", **SYMBOL, origClientOrderId="less")["origQty"] == "0.40000000"


def test_an_amendment_must_be_one(course: HandCourse) -> None:
    course.place()
    for quantity, msg in (
        ("2", "Order amend (quantity increase) is not supported."),
        ("1", "The requested action would change no state; rejecting"),
    ):
        assert course.refused("order.amend.keepPriority", **SYMBOL, orderId=1, newQty=quantity) == (-2038, msg)
    assert course.refused("order.amend.keepPriority", **SYMBOL, orderId=1, newQty="0.0001") == (
        -1013,
        "Filter failure: LOT_SIZE",
    )
    assert course.refused("order.amend.keepPriority", **SYMBOL, orderId=1, newQty="0.001") == (
        -1013,
        "Filter failure: NOTIONAL",
    )
    assert course.refused("order.amend.keepPriority", **SYMBOL, orderId=9, newQty="1") == (-2038, "Unknown order sent.")


# --- what takes time ------------------------------------------------------------------------------------------------


def test_an_answer_says_how_it_was_when_the_request_arrived() -> None:
    rows = tape(*CALM, "S 9000 x 400", "S 9000 x 400", "S 8900 x 5000")
    course = HandCourse(rows, latency_ns=900_000_000)
    course.until(4.5)
    answers = course.call("order.place", **order(newClientOrderId="slow"))
    assert answers == []
    course.until(5)
    assert course.refused("order.status", **SYMBOL, origClientOrderId="slow") == (-2013, "Order does not exist.")
    course.until(6)
    assert answers == []
    assert course.ask("order.status", **SYMBOL, origClientOrderId="slow")["executedQty"] == "0.40000000"
    course.until(7)
    (answer,) = answers
    assert (answer["status"], answer["executedQty"], answer["transactTime"]) == ("NEW", "0.00000000", 1_690_000_005_400)


def test_an_order_that_is_on_its_way_can_be_cancelled_by_its_client_id() -> None:
    course = HandCourse(tape(*CALM, "B 10000 x 1", "B 10000 x 1"), latency_ns=400_000_000)
    course.until(4)
    course.call("order.place", **order(newClientOrderId="late"))
    answers = course.call("order.cancel", **SYMBOL, origClientOrderId="late")
    course.until(6)
    (answer,) = answers
    assert (answer["status"], answer["origClientOrderId"]) == ("CANCELED", "late")


def test_fees_of_a_third_asset_are_told_by_fill() -> None:
    fees = Fees(asset=FeeAsset.OTHER, other="BNB", discount=75_000_000)
    course = HandCourse(
        [tape(*CALM), tape("B 20000 x 5")],
        btc(),
        btc(1, "BNB"),
        rules=usual_rules({"USDT": "100000", "BNB": "10"}, fees),
    )
    course.until(4)
    (fill,) = course.ask("order.place", **market(quantity="2"))["fills"]
    assert (fill["commissionAsset"], fill["commission"]) == ("BNB", "0.00075000")
