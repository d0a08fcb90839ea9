"""What an account is told of itself, as of virtual now."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serve.venue.courses import CALM, START_NS, HandCourse, btc, tape, usual_rules

from gnomon.serve.venue.gate import Gate
from gnomon.serve.venue.parameters import Span
from gnomon.serve.venue.queries import ARCHIVED_AFTER_NS, window

SYMBOL = {"symbol": "BTCUSDT"}
MS = START_NS // 1_000_000


@pytest.fixture
def course() -> HandCourse:
    """Orders 1 to 4, one a second; the second is filled by the fourth print, the third is cancelled."""
    made = HandCourse(tape(*CALM, "S 9000 x 600", "B 10000 x 1"))
    made.until(1)
    made.place(price="80.00", newClientOrderId="a")
    made.until(2)
    made.place(price="90.00", newClientOrderId="b")
    made.until(3)
    made.place(price="85.00", newClientOrderId="c")
    made.ask("order.cancel", **SYMBOL, origClientOrderId="c")
    made.until(5)
    made.place("SELL", "120.00", newClientOrderId="d")
    made.until(6)
    return made


def numbers(rows: list[dict[str, Any]]) -> list[int]:
    return [one["orderId"] for one in rows]


def test_an_order_is_told_with_every_field(course: HandCourse) -> None:
    assert course.ask("order.status", **SYMBOL, orderId=2) == {
        "symbol": "BTCUSDT",
        "orderId": 2,
        "orderListId": -1,
        "clientOrderId": "b",
        "price": "90.00000000",
        "origQty": "1.00000000",
        "executedQty": "0.60000000",
        "cummulativeQuoteQty": "54.00000000",
        "status": "PARTIALLY_FILLED",
        "timeInForce": "GTC",
        "type": "LIMIT",
        "side": "BUY",
        "stopPrice": "0.00000000",
        "icebergQty": "0.00000000",
        "time": MS + 2_000,
        "updateTime": MS + 5_000,
        "isWorking": True,
        "workingTime": MS + 2_000,
        "origQuoteOrderQty": "0.00000000",
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }


def test_an_order_is_found_by_number_by_client_id_and_by_both(course: HandCourse) -> None:
    assert course.ask("order.status", **SYMBOL, origClientOrderId="c")["status"] == "CANCELED"
    assert course.ask("order.status", **SYMBOL, orderId=3, origClientOrderId="c")["orderId"] == 3
    assert course.refused("order.status", **SYMBOL, orderId=3, origClientOrderId="a")[0] == -2039
    assert course.refused("order.status", **SYMBOL, orderId=9) == (-2013, "Order does not exist.")
    assert course.refused("order.status", **SYMBOL)[0] == -1102
    assert course.refused("order.status", orderId=1) == (
        -1102,
        "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
    )


def test_orders_of_another_symbol_are_not_found() -> None:
    course = HandCourse([tape(*CALM), tape(*CALM)], btc(), btc(1, "ETH"), rules=usual_rules({"USDT": "1000"}))
    course.until(4)
    course.place(newClientOrderId="a")
    assert course.refused("order.status", symbol="ETHUSDT", orderId=1)[0] == -2013
    assert course.refused("order.status", symbol="ETHUSDT", origClientOrderId="a")[0] == -2013
    assert course.refused("order.cancel", symbol="ETHUSDT", orderId=1)[0] == -2011
    course.place(symbol="ETHUSDT")
    assert numbers(course.ask("openOrders.status", symbol="ETHUSDT")) == [2]
    assert numbers(course.ask("openOrders.status")) == [1, 2]
    assert numbers(course.ask("allOrders", **SYMBOL)) == [1]


def test_an_order_that_came_to_nothing_long_ago_is_archived(course: HandCourse) -> None:
    course.until((ARCHIVED_AFTER_NS + 4 * 10**9) // 10**9)
    assert course.refused("order.status", **SYMBOL, orderId=3) == (
        -2026,
        "Order was canceled or expired with no executed qty over 90 days ago and has been archived.",
    )
    assert course.ask("order.status", **SYMBOL, orderId=2)["orderId"] == 2


def test_open_orders_are_those_that_are_open(course: HandCourse) -> None:
    assert numbers(course.ask("openOrders.status", **SYMBOL)) == [1, 2, 4]


def test_all_orders_are_cut_by_number_time_and_limit(course: HandCourse) -> None:
    assert numbers(course.ask("allOrders", **SYMBOL)) == [1, 2, 3, 4]
    assert numbers(course.ask("allOrders", **SYMBOL, limit=2)) == [3, 4]
    assert numbers(course.ask("allOrders", **SYMBOL, orderId=2, limit=2)) == [2, 3]
    assert numbers(course.ask("allOrders", **SYMBOL, startTime=MS + 2_000, limit=2)) == [2, 3]
    assert numbers(course.ask("allOrders", **SYMBOL, endTime=MS + 3_000, limit=2)) == [2, 3]
    assert numbers(course.ask("allOrders", **SYMBOL, startTime=MS + 2_000, endTime=MS + 3_000)) == [2, 3]
    day = 86_400_000
    assert course.refused("allOrders", **SYMBOL, startTime=MS, endTime=MS + day + 1)[0] == -1127


def test_trades_are_told_with_every_field(course: HandCourse) -> None:
    assert course.ask("myTrades", **SYMBOL) == [
        {
            "symbol": "BTCUSDT",
            "id": 1,
            "orderId": 2,
            "orderListId": -1,
            "price": "90.00000000",
            "qty": "0.60000000",
            "quoteQty": "54.00000000",
            "commission": "0.00060000",
            "commissionAsset": "BTC",
            "time": MS + 5_000,
            "isBuyer": True,
            "isMaker": True,
            "isBestMatch": True,
        }
    ]


def test_trades_are_cut_by_order_id_time_and_limit(course: HandCourse) -> None:
    for _ in range(3):
        course.ask("order.place", **SYMBOL, side="SELL", type="MARKET", quantity="1")
    ids = [one["id"] for one in course.ask("myTrades", **SYMBOL)]
    assert ids == [1, 2, 3, 4]
    assert [one["id"] for one in course.ask("myTrades", **SYMBOL, orderId=6)] == [3]
    assert [one["id"] for one in course.ask("myTrades", **SYMBOL, fromId=2, limit=2)] == [2, 3]
    assert [one["id"] for one in course.ask("myTrades", **SYMBOL, limit=1)] == [4]
    assert [one["id"] for one in course.ask("myTrades", **SYMBOL, startTime=MS + 6_000)] == [2, 3, 4]
    assert course.ask("myTrades", **SYMBOL, startTime=MS + 60_000) == []
    assert course.refused("myTrades", **SYMBOL, fromId=1, startTime=MS) == (
        -1128,
        "Combination of optional parameters invalid.",
    )


@given(
    times=st.lists(st.integers(0, 50), max_size=30),
    start=st.none() | st.integers(0, 50),
    end=st.none() | st.integers(0, 50),
    limit=st.integers(1, 10),
)
def test_a_window_is_what_the_rule_of_lists_says(
    times: list[int], start: int | None, end: int | None, limit: int
) -> None:
    times.sort()
    held = [one for one in times if (start is None or one >= start) and (end is None or one <= end)]
    expected = held[:limit] if start is not None else held[max(0, len(held) - limit) :]
    assert window(times, Span(start, end), limit, lambda one: one * 1_000_000) == expected


def test_the_account_is_told_with_every_field(course: HandCourse) -> None:
    found = course.ask("account.status")
    assert isinstance(found.pop("uid"), int)
    assert found == {
        "makerCommission": 10,
        "takerCommission": 10,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {
            "maker": "0.00100000",
            "taker": "0.00100000",
            "buyer": "0.00000000",
            "seller": "0.00000000",
        },
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": False,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": MS + 5_000,
        "accountType": "SPOT",
        "balances": [
            {"asset": "BTC", "free": "99.59940000", "locked": "1.00000000"},
            {"asset": "USDT", "free": "99830.00000000", "locked": "116.00000000"},
        ],
        "permissions": ["SPOT"],
    }


def test_balances_of_nothing_may_be_left_out() -> None:
    course = HandCourse(rules=usual_rules({"USDT": "5"}))
    assert [one["asset"] for one in course.ask("account.status")["balances"]] == ["BTC", "USDT"]
    assert [one["asset"] for one in course.ask("account.status", omitZeroBalances="true")["balances"]] == ["USDT"]


def test_commission_is_told_of_a_symbol(course: HandCourse) -> None:
    found = course.ask("account.commission", **SYMBOL)
    nothing = dict.fromkeys(("maker", "taker", "buyer", "seller"), "0.00000000")
    assert found["standardCommission"] == nothing | {"maker": "0.00100000", "taker": "0.00100000"}
    assert found["specialCommission"] == found["taxCommission"] == nothing
    assert course.refused("account.commission", symbol="NONE") == (-1121, "Invalid symbol.")


def test_the_counts_of_orders_are_the_doors(course: HandCourse) -> None:
    assert [(one["interval"], one["count"]) for one in course.ask("account.rateLimits.orders")] == [
        ("SECOND", 0),
        ("DAY", 0),
    ]
    course.gate = Gate()
    course.gate.limits.admit_orders(course.now_ns, 2)
    assert [(one["interval"], one["count"]) for one in course.ask("account.rateLimits.orders")] == [
        ("SECOND", 2),
        ("DAY", 2),
    ]
    course.account.on_first_fill = course.gate.limits.first_fill
    course.ask("order.place", **SYMBOL, side="SELL", type="MARKET", quantity="1")
    assert [one["count"] for one in course.ask("account.rateLimits.orders")] == [1, 1]


def test_prevented_matches_are_asked_by_match_or_by_order(course: HandCourse) -> None:
    assert course.ask("myPreventedMatches", **SYMBOL, preventedMatchId=1) == []
    assert course.refused("myPreventedMatches", **SYMBOL)[0] == -1102
