"""Order lists: which orders make one, what the market does to them, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.serve.venue.courses import CALM, START_NS, HandCourse, tape

SYMBOL = {"symbol": "BTCUSDT"}
MS = START_NS // 1_000_000

SELL_OCO = SYMBOL | {
    "side": "SELL",
    "quantity": "2",
    "aboveType": "LIMIT_MAKER",
    "abovePrice": "110.00",
    "belowType": "STOP_LOSS_LIMIT",
    "belowStopPrice": "95.00",
    "belowPrice": "94.00",
    "belowTimeInForce": "GTC",
}
BUY_OCO = SYMBOL | {
    "side": "BUY",
    "quantity": "2",
    "aboveType": "STOP_LOSS",
    "aboveStopPrice": "105.00",
    "belowType": "TAKE_PROFIT_LIMIT",
    "belowStopPrice": "92.00",
    "belowPrice": "92.00",
    "belowTimeInForce": "GTC",
}
OTO = SYMBOL | {
    "workingType": "LIMIT",
    "workingSide": "BUY",
    "workingPrice": "95.00",
    "workingQuantity": "1",
    "workingTimeInForce": "GTC",
    "pendingType": "LIMIT_MAKER",
    "pendingSide": "SELL",
    "pendingPrice": "120.00",
    "pendingQuantity": "1",
}
OTOCO = {name: text for name, text in OTO.items() if name.startswith(("symbol", "working"))} | {
    "pendingSide": "SELL",
    "pendingQuantity": "1",
    "pendingAboveType": "LIMIT_MAKER",
    "pendingAbovePrice": "120.00",
    "pendingBelowType": "STOP_LOSS",
    "pendingBelowStopPrice": "80.00",
}


def at(*texts: str) -> HandCourse:
    """After four calm seconds; `texts` are the prints of the next ones."""
    course = HandCourse(tape(*CALM, *texts))
    course.until(4)
    return course


def states(course: HandCourse) -> dict[int, str]:
    return {one["orderId"]: one["status"] for one in course.ask("allOrders", **SYMBOL)}


def free_and_locked(course: HandCourse) -> dict[str, tuple[str, str]]:
    return {one["asset"]: (one["free"], one["locked"]) for one in course.ask("account.status")["balances"]}


# --- OCO ------------------------------------------------------------------------------------------------------------


def test_an_oco_is_placed_whole() -> None:
    course = at()
    named = {"listClientOrderId": "both", "aboveClientOrderId": "up", "belowClientOrderId": "down"}
    answer = course.ask("orderList.place.oco", **SELL_OCO, **named)
    reports = answer.pop("orderReports")
    assert answer == {
        "orderListId": 1,
        "contingencyType": "OCO",
        "listStatusType": "EXEC_STARTED",
        "listOrderStatus": "EXECUTING",
        "listClientOrderId": "both",
        "transactionTime": MS + 4_000,
        "symbol": "BTCUSDT",
        "orders": [
            {"symbol": "BTCUSDT", "orderId": 1, "clientOrderId": "up"},
            {"symbol": "BTCUSDT", "orderId": 2, "clientOrderId": "down"},
        ],
    }
    assert [(one["type"], one["status"], one["orderListId"], one["workingTime"]) for one in reports] == [
        ("LIMIT_MAKER", "NEW", 1, MS + 4_000),
        ("STOP_LOSS_LIMIT", "NEW", 1, -1),
    ]
    assert free_and_locked(course)["BTC"] == ("98.00000000", "2.00000000")
    events = course.told()
    assert [one.get("x", one["e"]) for one in events] == ["NEW", "NEW", "listStatus", "outboundAccountPosition"]
    assert events[2] == {
        "e": "listStatus",
        "E": MS + 4_000,
        "s": "BTCUSDT",
        "g": 1,
        "c": "OCO",
        "l": "EXEC_STARTED",
        "L": "EXECUTING",
        "r": "NONE",
        "C": "both",
        "T": MS + 4_000,
        "O": [{"s": "BTCUSDT", "i": 1, "c": "up"}, {"s": "BTCUSDT", "i": 2, "c": "down"}],
    }


def test_the_first_fill_of_a_leg_expires_the_other() -> None:
    course = at("B 11000 x 500", "B 11000 x 5000")
    course.ask("orderList.place.oco", **SELL_OCO)
    course.told()
    course.until(5)
    assert states(course) == {1: "PARTIALLY_FILLED", 2: "EXPIRED"}
    assert course.ask("order.status", **SYMBOL, orderId=2)["expiryReason"] == "OCO_TRIGGER"
    assert [one.get("x", one["e"]) for one in course.told()] == ["EXPIRED", "TRADE", "outboundAccountPosition"]
    course.until(6)
    assert states(course)[1] == "FILLED"
    done = next(one for one in course.told() if one["e"] == "listStatus")
    assert (done["l"], done["L"]) == ("ALL_DONE", "ALL_DONE")


def test_a_trigger_expires_the_other_leg() -> None:
    course = at("S 9500 x 1", "S 9400 x 1")
    course.ask("orderList.place.oco", **SELL_OCO)
    course.until(5)
    assert states(course)[1] == "EXPIRED"
    assert course.ask("order.status", **SYMBOL, orderId=2)["isWorking"] is True


def test_a_buy_oco_locks_the_larger_need() -> None:
    course = at()
    course.ask("orderList.place.oco", **BUY_OCO)
    assert free_and_locked(course)["USDT"] == ("99790.00000000", "210.00000000")


def test_the_older_oco_is_the_same_list() -> None:
    course = at()
    answer = course.ask(
        "orderList.place", **SYMBOL, side="SELL", quantity="1", price="110.00", stopPrice="95.00",
        stopLimitPrice="94.00", stopLimitTimeInForce="GTC", limitClientOrderId="up", stopClientOrderId="down",
    )  # fmt: skip
    assert [(one["type"], one["clientOrderId"]) for one in answer["orderReports"]] == [
        ("LIMIT_MAKER", "up"),
        ("STOP_LOSS_LIMIT", "down"),
    ]
    market = course.ask("orderList.place", **SYMBOL, side="SELL", quantity="1", price="110.00", stopPrice="95.00")
    assert market["orderReports"][1]["type"] == "STOP_LOSS"
    assert course.refused(
        "orderList.place", **SYMBOL, side="SELL", quantity="1", price="110.00", stopPrice="95.00", stopLimitPrice="94"
    ) == (-1102, "Mandatory parameter 'stopLimitTimeInForce' was not sent, was empty/null, or malformed.")


@pytest.mark.parametrize(
    "side, above, below, expected",
    [
        ("SELL", "LIMIT", "STOP_LOSS", (-1158, "Order type not supported in OCO.")),
        ("SELL", "LIMIT_MAKER", "LIMIT_MAKER", (-1168, "At least one OCO order must be contingent.")),
        ("BUY", "LIMIT_MAKER", "STOP_LOSS", (-1165, "A limit order in a buy OCO must be below.")),
        ("SELL", "STOP_LOSS", "LIMIT_MAKER", (-1166, "A limit order in a sell OCO must be above.")),
        ("BUY", "TAKE_PROFIT", "STOP_LOSS", (-1196, "A stop loss order in a buy OCO must be above.")),
        ("SELL", "STOP_LOSS", "TAKE_PROFIT", (-1197, "A stop loss order in a sell OCO must be below.")),
        ("BUY", "TAKE_PROFIT", "LIMIT_MAKER", (-1198, "A take profit order in a buy OCO must be below.")),
        ("SELL", "LIMIT_MAKER", "TAKE_PROFIT", (-1199, "A take profit order in a sell OCO must be above.")),
        ("SELL", "ICEBERG", "STOP_LOSS", (-1116, "Invalid orderType.")),
    ],
)
def test_each_leg_belongs_on_its_side(side: str, above: str, below: str, expected: tuple[int, str]) -> None:
    sent = SYMBOL | {"side": side, "quantity": "1", "aboveType": above, "belowType": below}
    assert at().refused("orderList.place.oco", **sent) == expected


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"abovePrice": "99.00"}, (-2010, "The relationship of the prices for the orders is not correct.")),
        ({"belowStopPrice": "105.00"}, (-2010, "The relationship of the prices for the orders is not correct.")),
        ({"quantity": "2000"}, (-2010, "Account has insufficient balance for requested action.")),
        ({"abovePrice": "110.001"}, (-1013, "Filter failure: PRICE_FILTER")),
        ({"quantity": "0.0001"}, (-1013, "Filter failure: LOT_SIZE")),
        ({"aboveClientOrderId": "x", "belowClientOrderId": "x"}, (-2010, "Duplicate order sent.")),
        ({"aboveTimeInForce": "GTC"}, (-1106, "Parameter 'aboveTimeInForce' sent when not required.")),
        ({"newOrderRespType": "SOME"}, (-1130, "Data sent for parameter 'newOrderRespType' is not valid.")),
    ],
)
def test_a_list_is_refused_whole(change: dict[str, str], expected: tuple[int, str]) -> None:
    course = at()
    assert course.refused("orderList.place.oco", **SELL_OCO | change) == expected
    assert course.ask("openOrders.status") == []
    assert course.told() == []


def test_an_open_list_keeps_its_id_to_itself() -> None:
    course = at()
    course.ask("orderList.place.oco", **SELL_OCO, listClientOrderId="one")
    assert course.refused("orderList.place.oco", **SELL_OCO, listClientOrderId="one") == (
        -2010,
        "Duplicate order sent.",
    )
    course.ask("orderList.cancel", **SYMBOL, listClientOrderId="one")
    assert course.ask("orderList.place.oco", **SELL_OCO, listClientOrderId="one")["orderListId"] == 2


# --- cancelling -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [{"orderListId": 1}, {"listClientOrderId": "one"}])
def test_a_list_is_cancelled_whole(by: dict[str, Any]) -> None:
    course = at()
    course.ask("orderList.place.oco", **SELL_OCO, listClientOrderId="one")
    course.told()
    answer = course.ask("orderList.cancel", **SYMBOL, **by, newClientOrderId="off")
    assert (answer["listStatusType"], answer["listOrderStatus"]) == ("ALL_DONE", "ALL_DONE")
    assert [(one["status"], one["clientOrderId"]) for one in answer["orderReports"]] == [("CANCELED", "off")] * 2
    assert [one.get("x", one["e"]) for one in course.told()] == [
        "CANCELED",
        "CANCELED",
        "listStatus",
        "outboundAccountPosition",
    ]
    assert free_and_locked(course)["BTC"] == ("100.00000000", "0.00000000")
    assert course.refused("orderList.cancel", **SYMBOL, orderListId=1) == (-2011, "Unknown order sent.")


def test_a_cancel_of_a_leg_cancels_the_list() -> None:
    course = at()
    course.ask("orderList.place.oco", **SELL_OCO)
    answer = course.ask("order.cancel", **SYMBOL, orderId=2)
    assert answer["orderListId"] == 1
    assert [one["orderId"] for one in answer["orderReports"]] == [1, 2]


def test_all_open_orders_are_cancelled_with_lists_as_lists() -> None:
    course = at()
    course.place()
    course.ask("orderList.place.oco", **SELL_OCO)
    plain, of_list = course.ask("openOrders.cancelAll", **SYMBOL)
    assert plain["orderId"] == 1
    assert [one["orderId"] for one in of_list["orderReports"]] == [2, 3]


def test_a_list_that_is_not_there_cannot_be_cancelled() -> None:
    course = at()
    assert course.refused("orderList.cancel", **SYMBOL, orderListId=1) == (-2011, "Unknown order sent.")
    assert course.refused("orderList.cancel", **SYMBOL)[0] == -1102
    course.ask("orderList.place.oco", **SELL_OCO, listClientOrderId="one")
    assert course.refused("orderList.cancel", **SYMBOL, orderListId=1, listClientOrderId="two")[0] == -2039


# --- OTO, OTOCO -----------------------------------------------------------------------------------------------------


def test_a_pending_order_waits_without_a_lock() -> None:
    course = at("S 9500 x 5000", "B 10000 x 1")
    answer = course.ask("orderList.place.oto", **OTO)
    assert answer["contingencyType"] == "OTO"
    assert [(one["status"], one["workingTime"]) for one in answer["orderReports"]] == [
        ("NEW", MS + 4_000),
        ("PENDING_NEW", -1),
    ]
    assert free_and_locked(course) == {"BTC": ("100.00000000", "0.00000000"), "USDT": ("99905.00000000", "95.00000000")}
    events = course.told()
    assert [(one["x"], one["X"], one["w"]) for one in events[:2]] == [
        ("NEW", "NEW", True),
        ("NEW", "PENDING_NEW", False),
    ]
    course.until(6)
    assert states(course) == {1: "FILLED", 2: "NEW"}
    assert [one.get("X", one["e"]) for one in course.told()] == [
        "FILLED",
        "outboundAccountPosition",
        "NEW",
        "outboundAccountPosition",
    ]
    assert free_and_locked(course)["BTC"] == ("99.99900000", "1.00000000")


def test_a_pair_begins_when_the_working_order_is_filled() -> None:
    course = at("S 9500 x 5000", "B 12000 x 5000")
    answer = course.ask("orderList.place.otoco", **OTOCO)
    assert [one["status"] for one in answer["orderReports"]] == ["NEW", "PENDING_NEW", "PENDING_NEW"]
    course.until(5)
    assert states(course) == {1: "FILLED", 2: "NEW", 3: "NEW"}
    course.until(6)
    assert states(course) == {1: "FILLED", 2: "FILLED", 3: "EXPIRED"}
    assert course.ask("orderList.status", orderListId=1)["listOrderStatus"] == "ALL_DONE"


def test_pending_orders_end_with_the_working_one() -> None:
    course = at()
    course.ask("orderList.place.otoco", **OTOCO)
    course.ask("order.cancel", **SYMBOL, orderId=1)
    assert states(course) == {1: "CANCELED", 2: "CANCELED", 3: "CANCELED"}


def test_a_pending_order_that_finds_no_funds_expires() -> None:
    course = at("S 9500 x 5000", "B 10000 x 1")
    course.ask("orderList.place.oto", **OTO | {"pendingQuantity": "500"})
    course.until(6)
    assert states(course) == {1: "FILLED", 2: "EXPIRED"}
    assert course.ask("order.status", **SYMBOL, orderId=2)["expiryReason"] == "REJECTED"


def test_pending_orders_expire_with_a_working_one_that_does() -> None:
    course = at()
    course.ask("orderList.place.oto", **OTO | {"workingPrice": "99.99"})
    course.place("SELL", "99.99", "1", selfTradePreventionMode="EXPIRE_MAKER")
    assert states(course) == {1: "EXPIRED_IN_MATCH", 2: "EXPIRED", 3: "FILLED"}
    assert course.ask("order.status", **SYMBOL, orderId=2)["expiryReason"] == "OTO_PHASE_ONE_EXPIRED"


def test_what_a_list_cannot_be_is_refused() -> None:
    course = at()
    assert course.refused("orderList.place.oto", **OTO | {"workingType": "MARKET"}) == (
        -1014,
        "Unsupported order combination.",
    )
    assert course.refused("orderList.place.oto", **OTO | {"workingTimeInForce": "IOC"}) == (
        -1014,
        "Unsupported order combination.",
    )
    for method in ("orderList.place.opo", "orderList.place.opoco"):
        assert course.refused(method, **OTO) == (-1020, "This operation is not supported.")


# --- queries --------------------------------------------------------------------------------------------------------


def test_lists_are_found_and_cut() -> None:
    course = at()
    for number in range(3):
        course.ask("orderList.place.oco", **SELL_OCO, listClientOrderId=f"list-{number}")
    course.ask("orderList.cancel", **SYMBOL, orderListId=2)

    def numbers(method: str, **params: Any) -> list[int]:
        return [one["orderListId"] for one in course.ask(method, **params)]

    assert course.ask("orderList.status", origClientOrderId="list-1")["listOrderStatus"] == "ALL_DONE"
    assert "orderReports" not in course.ask("orderList.status", orderListId=1)
    assert course.refused("orderList.status", orderListId=9) == (-2013, "Order does not exist.")
    assert numbers("openOrderLists.status") == [1, 3]
    assert numbers("allOrderLists") == [1, 2, 3]
    assert numbers("allOrderLists", limit=2) == [2, 3]
    assert numbers("allOrderLists", fromId=2) == [2, 3]
    assert numbers("allOrderLists", startTime=MS + 4_000, limit=1) == [1]
    assert numbers("allOrderLists", endTime=MS) == []
    assert course.refused("allOrderLists", fromId=1, startTime=MS)[0] == -1128
