"""Relive: calls that were read back, their answers, and what they have counted."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from tests.serve.venue.test_group import group_of

from gnomon.exchange.order import OrderType, Place, Side
from gnomon.exchange.outcome import Outcome
from gnomon.exchange.rules import Latency, Leg
from gnomon.serve.venue.call import LATER, Call
from gnomon.serve.venue.gate import Gate
from gnomon.serve.venue.relive import relive


def sends_an_order(call: Call) -> Any:
    def then(at_ns: int, outcomes: Sequence[Outcome]) -> None:
        call.reply({"outcomes": len(outcomes), "at": at_ns}, None)

    call.course.send(Place(0, Side.BUY, OrderType.LIMIT, 1, 1), then)
    return LATER


def test_a_call_that_was_read_back_and_has_no_answer_yet_is_not_made_again_by_whoever_repeats_it() -> None:
    group, course = group_of(Latency(entry=Leg(10_000_000), reply=Leg(15_000_000)))
    course.gate = Gate()
    place: Any = SimpleNamespace(course=course, clock=None)
    began_ns = group.now_ns
    relive(place, group, {"order.place": sends_an_order}, [["call", began_ns, "order.place", {"wake": "4-1"}, 7, 3]])
    assert (course.run.next_request, course.gate.limits.used_weight, course.gate.limits.raw) == (2, 7, 3)
    assert not course.is_reliving
    heard: list[Any] = []
    assert course.gate.answers.repeat("4-1", lambda value, refusal: heard.append((value, refusal)))
    assert not heard, "it is under way still"
    group.advance(began_ns + 25_000_000)
    assert heard == [({"outcomes": 1, "at": began_ns + 10_000_000}, None)]
    assert course.run.next_request == 2


def test_a_call_that_was_refused_is_refused_again_and_counts_no_order() -> None:
    group, course = group_of()
    course.gate = Gate()

    def refuses(_call: Call) -> Any:
        raise ValueError("no")

    place: Any = SimpleNamespace(course=course, clock=None)
    relive(place, group, {"order.place": refuses}, [["call", group.now_ns, "order.place", {"wake": "1-1"}]])
    assert course.gate.limits.orders_10s == 0
    heard: list[Any] = []
    assert course.gate.answers.repeat("1-1", lambda _, refusal: heard.append(str(refusal)))
    assert heard == ["no"]


def test_a_clock_that_bots_shared_stands_where_it_was_written_down() -> None:
    group, course = group_of()
    course.gate = Gate()
    place: Any = SimpleNamespace(course=course, clock=None)
    relive(place, group, {}, [["clock", group.now_ns + 5_000_000_000]])
    assert course.now_ns == group.now_ns
