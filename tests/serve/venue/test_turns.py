"""Turns: counts, and answers that are given once."""

from __future__ import annotations

from typing import Any

import pytest
from tests.serve.venue.room import Course

from gnomon.serve.venue import codes
from gnomon.serve.venue.call import LATER, Call
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.serve.venue.routes import METHODS
from gnomon.serve.venue.turns import Turn


class Told(Turn):
    """Keeps what it was answered."""

    def __init__(self, course: Course, method: str = "order.place") -> None:
        self.route = METHODS[method]
        self.course = None
        self.wake = ""
        self.counted = 0
        self.is_done = False
        self.given: list[Any] = []
        self.enter(course, {})

    def give(self, value: Any, refusal: VenueRefusal | None) -> None:
        self.given.append(value if refusal is None else refusal.code)


def test_a_turn_is_in_work_until_its_answer_and_has_but_one() -> None:
    course = Course()
    turn = Told(course)
    calls: list[Call] = []

    def handler(call: Call) -> Any:
        calls.append(call)
        return LATER

    turn.run(handler, {"a": "1"}, True, "")
    assert (course.gate.requests, course.gate.in_work, turn.given) == (1, 1, [])
    calls[0].reply({"x": 1}, None)
    calls[0].reply(None, codes.unknown_order())
    assert (course.gate.in_work, turn.given) == (0, [{"x": 1}])
    assert (calls[0].params, calls[0].is_signed, calls[0].method) == ({"a": "1"}, True, "order.place")


@pytest.mark.parametrize(
    ("method", "refusal", "counted"),
    [
        ("order.place", None, 1),
        ("order.place", codes.unknown_order(), 0),
        ("orderList.place.otoco", None, 3),
        ("orderList.place.otoco", codes.order_refused(codes.NO_OCO), 0),
        ("order.cancelReplace", codes.not_replaced(None), 1),
        ("order.cancelReplace", codes.half_replaced(None), 1),
        ("order.cancelReplace", codes.filter_failure("LOT_SIZE"), 0),
        ("order.cancel", None, 0),
    ],
)
def test_accepted_orders_count_refused_ones_do_not(method: str, refusal: VenueRefusal | None, counted: int) -> None:
    course = Course()
    turn = Told(course, method)
    turn.run(lambda _: LATER, {}, True, "")
    turn.reply({}, refusal)
    assert course.gate.limits.orders_10s == counted


def test_a_wake_key_of_nobody_is_no_key() -> None:
    course = Course()
    for _ in range(2):
        turn = Told(course, "ping")
        turn.run(lambda _: 7, {}, False, "1-1")
        assert turn.given == [7]


def test_a_repeated_wake_key_asks_no_handler_and_counts_no_order() -> None:
    course = Course()
    first, again, after = Told(course), Told(course), Told(course)
    first.run(lambda _: LATER, {}, True, "1-1")
    again.run(_fails, {}, True, "1-1")
    assert again.given == []
    first.reply({"orderId": 1}, None)
    after.run(_fails, {}, True, "1-1")
    assert first.given == again.given == after.given == [{"orderId": 1}]
    assert (course.gate.limits.orders_10s, course.gate.in_work) == (1, 0)


def _fails(_: Call) -> Any:
    raise AssertionError("asked twice")
