"""Courses that share a clock: what is told, to whom, and when an answer is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson
from tests.replay.scene import ground, plan, rules, seeded_prints

from gnomon.exchange.order import OrderType, Place, Side
from gnomon.exchange.outcome import Accepted, Outcome
from gnomon.exchange.rules import Latency, Leg
from gnomon.serve.venue.account import Account
from gnomon.serve.venue.course import BotCourse
from gnomon.serve.venue.group import Group
from gnomon.serve.venue.streams import Streams
from gnomon.serve.venue.symbols import Symbols


class Listener:
    """A socket of a client, raw or combined."""

    key = None

    def __init__(self, is_combined: bool = False) -> None:
        self.is_combined = is_combined
        self.is_full = False
        self.told: list[Any] = []

    def send_joined(self, frames: bytes, count: int) -> None:
        found = [orjson.loads(one) for one in texts(frames)]
        assert len(found) == count
        self.told += found

    def send_frame(self, frame: bytes) -> None:
        self.send_joined(frame, 1)

    def send_user(self, number: int | None, body: bytes) -> None:
        self.told.append((number, orjson.loads(body)))


def texts(frames: bytes) -> Iterator[bytes]:
    """The texts of several frames behind each other."""
    at = 0
    while at < len(frames):
        size, head = frames[at + 1], 2
        if size == 126:
            size, head = int.from_bytes(frames[at + 2 : at + 4], "big"), 4
        yield frames[at + head : at + head + size]
        at += head + size


def group_of(latency: Latency | None = None) -> tuple[Group, BotCourse]:
    how = plan(ground(seeded_prints(300)), rules(latency=latency))
    group = Group(how.start_ns, Streams(how, Symbols(how.ground.listings)))
    course = BotCourse("run_1", how, lambda _, exchange, run: Account(exchange, run), None)
    course.drive(group, lambda _, event: group.tell("run_1", event))
    group.courses.append(course)
    return group, course


def test_an_event_is_told_once_to_each_that_subscribes_and_to_nobody_after() -> None:
    group, course = group_of()
    name = f"{Symbols(course.ground.listings).symbol(0).lower()}@trade"
    raw, wrapped = Listener(), Listener(is_combined=True)
    group.sockets += [raw, wrapped]
    assert group.subscribe(raw, [name, "nothing@trade"]) == ["nothing@trade"]
    assert group.subscribe(wrapped, [name]) == []
    tape = course.ground.tapes[0].tape
    group.advance(int(tape.time_ns[20]))
    rows = int(tape.time_ns.searchsorted(tape.time_ns[20], "right"))
    assert len(raw.told) == len(wrapped.told) == rows
    assert [one["data"] for one in wrapped.told] == raw.told
    assert [one["t"] for one in raw.told] == list(range(rows))
    group.detach(raw)
    group.advance(int(tape.time_ns[40]))
    assert len(raw.told) == rows < len(wrapped.told)
    group.unsubscribe(wrapped, [name])
    assert group.next_ns == 2**63 - 1


def test_a_request_without_latency_is_answered_before_send_returns_and_its_events_follow() -> None:
    group, course = group_of()
    ear = Listener()
    group.attach_user("run_1", ear, 0)
    group.advance(group.now_ns + 1_000_000_000)
    answers: list[tuple[int, Sequence[Outcome]]] = []
    course.account.expect(course.next_request, place_details())
    number = course.send(Place(0, Side.BUY, OrderType.LIMIT, 5, 1), lambda at, came: answers.append((at, came)))
    assert number == 1
    ((at_ns, outcomes),) = answers
    assert type(outcomes[0]) is Accepted
    assert at_ns == course.now_ns == group.now_ns + 1
    assert [event["e"] for _, event in ear.told] == ["executionReport", "outboundAccountPosition"]


def test_with_latency_it_is_answered_when_it_is_due_and_the_market_goes_on_meanwhile() -> None:
    group, course = group_of(Latency(entry=Leg(5_000_000), reply=Leg(7_000_000)))
    group.advance(group.now_ns + 1_000_000_000)
    sent_ns = group.now_ns
    answers: list[int] = []
    course.account.expect(course.next_request, place_details())
    course.send(Place(0, Side.BUY, OrderType.LIMIT, 5, 1), lambda at, _: answers.append(at))
    group.advance(sent_ns + 11_999_999)
    assert answers == []
    group.advance(sent_ns + 12_000_000)
    assert answers == [sent_ns + 5_000_000]


def test_a_group_is_full_while_one_of_its_sockets_is() -> None:
    group, _ = group_of()
    group.sockets.append(Listener())
    assert not group.is_full
    group.sockets[0].is_full = True
    assert group.is_full


def place_details() -> dict[str, Any]:
    leg = {"side": "BUY", "type": "LIMIT", "tif": "GTC", "stp": "NONE", "client": "c", "lots": 5, "price": 1, "stop": 0}
    return {"do": "place", "legs": [{**leg, "trailing": 0, "quote": 0}]}
