"""Requests in the exchange's own words are shown as if they had come by the wire."""

from __future__ import annotations

from typing import Any

import pytest
from tests.serve.venue.courses import CALM, HandCourse, tape

from gnomon.exchange.order import (
    Amend,
    Cancel,
    CancelAll,
    ListKind,
    OrderType,
    Place,
    PlaceList,
    Quote,
    Replace,
    Request,
    Side,
)
from gnomon.serve.venue.asked import asked_of

SYMBOL = {"symbol": "BTCUSDT"}
BUY = Place(0, Side.BUY, OrderType.LIMIT, 1_000, 9_000, client=1)


@pytest.fixture
def course() -> HandCourse:
    made = HandCourse(tape(*CALM, "S 9500 x 5000"))
    made.until(4)
    return made


def send(course: HandCourse, request: Request, *clients: str) -> None:
    course.account.expect(course.next_request, asked_of(request, clients))
    course.send(request, lambda _at_ns, _outcomes: None)


def statuses(course: HandCourse) -> list[tuple[Any, ...]]:
    rows = course.ask("allOrders", **SYMBOL)
    return [(one["orderId"], one["type"], one["price"], one["origQty"], one["status"]) for one in rows]


def test_an_order_that_is_filled_at_once_is_what_it_was(course: HandCourse) -> None:
    send(course, BUY._replace(price=10_100), "mine")
    found = course.ask("order.status", **SYMBOL, origClientOrderId="mine")
    assert (found["type"], found["price"], found["status"]) == ("LIMIT", "101.00000000", "FILLED")


def test_an_order_without_an_id_gets_one(course: HandCourse) -> None:
    send(course, BUY)
    (found,) = course.ask("openOrders.status")
    assert len(found["clientOrderId"]) == 22
    assert course.account.find(0, None, found["clientOrderId"]) is course.account.orders[1]


def test_cancels_amendments_and_replacements_are_reported_as_such(course: HandCourse) -> None:
    send(course, BUY, "a")
    send(course, Amend(0, 1, 400))
    send(course, Replace(1, BUY._replace(price=9_100)), "b")
    send(course, Cancel(0, 2))
    send(course, BUY)
    send(course, CancelAll(0))
    reports = [one for one in course.told() if one["e"] == "executionReport"]
    assert [(one["x"], one["i"]) for one in reports] == [
        ("NEW", 1),
        ("REPLACED", 1),
        ("CANCELED", 1),
        ("NEW", 2),
        ("CANCELED", 2),
        ("NEW", 3),
        ("CANCELED", 3),
    ]
    assert (reports[1]["c"], reports[1]["q"]) == ("a", "0.40000000")


def test_a_standing_pair_has_the_type_of_its_orders(course: HandCourse) -> None:
    send(course, Quote(0, 9_900, 10_100, 500, post_only=True))
    send(course, Quote(0, 10_000, 10_100, 500))
    assert statuses(course) == [
        (1, "LIMIT_MAKER", "99.00000000", "0.50000000", "CANCELED"),
        (2, "LIMIT_MAKER", "101.00000000", "0.50000000", "NEW"),
        (3, "LIMIT", "100.00000000", "0.50000000", "FILLED"),
    ]


def test_a_list_is_a_list(course: HandCourse) -> None:
    sell = Place(0, Side.SELL, OrderType.LIMIT_MAKER, 1_000, 12_000)
    loss = Place(0, Side.SELL, OrderType.STOP_LOSS, 1_000, stop=9_400)
    send(course, PlaceList(ListKind.OCO, (sell, loss)), "up", "down")
    send(course, PlaceList(ListKind.OTOCO, (BUY, sell, loss)))
    lists = course.ask("allOrderLists")
    assert [(one["contingencyType"], len(one["orders"])) for one in lists] == [("OCO", 2), ("OTO", 3)]
    assert len({one["listClientOrderId"] for one in lists}) == 2
    assert [one["clientOrderId"] for one in lists[0]["orders"]] == ["up", "down"]
