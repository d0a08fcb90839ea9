"""Answers by themselves: an order as it stood, whatever has happened since."""

from __future__ import annotations

import pytest
from tests.serve.venue.courses import CALM, HandCourse, tape

from gnomon.exchange.order import Status
from gnomon.serve.venue.order_answers import order_object, placed, standing, standing_after

SYMBOL = {"symbol": "BTCUSDT"}


@pytest.fixture
def course() -> HandCourse:
    made = HandCourse(tape(*CALM, "S 8900 x 5000"))
    made.until(4)
    return made


def test_an_order_stands_as_the_outcomes_of_its_request_say(course: HandCourse) -> None:
    course.place(price="100.00", quantity="11")
    order, (at_ns, _, outcomes) = course.account.orders[1], course.journal[-1]
    stood = standing_after(order, at_ns, outcomes)
    assert (stood.status, stood.executed, stood.quote_executed) == (Status.PARTIALLY_FILLED, 10_000, 1_000 * 10**8)
    assert [one.lots for one in stood.fills] == [10_000]
    course.until(5)
    assert standing(order).status is Status.FILLED
    assert standing_after(order, at_ns, outcomes) == stood
    assert placed(course.account, order, at_ns, outcomes, "FULL")["status"] == "PARTIALLY_FILLED"


def test_a_stop_that_was_set_off_since_was_not_working_when_it_was_placed(course: HandCourse) -> None:
    course.ask("order.place", **SYMBOL, side="SELL", type="STOP_LOSS", quantity="1", stopPrice="95.00")
    order, (at_ns, _, outcomes) = course.account.orders[1], course.journal[-1]
    course.until(5)
    answer = placed(course.account, order, at_ns, outcomes, "RESULT")
    assert (answer["status"], answer["workingTime"]) == ("NEW", -1)
    assert order_object(order)["isWorking"] is True


def test_fields_are_there_when_they_say_something(course: HandCourse) -> None:
    plain = course.place(newOrderRespType="RESULT")
    rare = {"stopPrice", "trailingDelta", "strategyId", "strategyType", "preventedMatchId", "expiryReason"}
    assert rare.isdisjoint(plain)
    trailing = course.ask(
        "order.place", **SYMBOL, side="SELL", type="STOP_LOSS", quantity="1", trailingDelta="50",
        strategyId="1", strategyType="1000001", newOrderRespType="RESULT",
    )  # fmt: skip
    assert (trailing["trailingDelta"], trailing["trailingTime"]) == (50, trailing["transactTime"])
    assert (trailing["strategyId"], trailing["strategyType"]) == (1, 1_000_001)
    course.place(price="99.99")
    course.place("SELL", "99.99", "2")
    prevented = course.ask("order.status", **SYMBOL, orderId=3)
    assert (prevented["status"], prevented["preventedMatchId"], prevented["preventedQuantity"]) == (
        "EXPIRED_IN_MATCH",
        1,
        "1.00000000",
    )
