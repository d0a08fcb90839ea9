"""Lock-step with bots that know nothing of it: the next event waits for pongs, for open requests and for quiet."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.serve.venue.test_group import Listener, group_of
from tests.serve.venue.test_paced import until

from gnomon.clock import SimClock
from gnomon.exchange.order import OrderType, Place, Side
from gnomon.exchange.rules import Latency, Leg
from gnomon.serve.venue.gate import Gate
from gnomon.serve.venue.quiet import Quiet
from gnomon.serve.venue.symbols import Symbols


class Pinged(Listener):
    def __init__(self) -> None:
        super().__init__()
        self.pings: list[bytes] = []

    def ping(self, payload: bytes) -> None:
        self.pings.append(payload)


class Asked:
    """A request that waits."""

    def reply(self, _value: Any, _refusal: Any) -> None: ...


def test_the_next_event_comes_when_every_socket_has_returned_the_ping_and_nothing_is_in_work() -> None:
    async def scene() -> None:
        group, course = group_of()
        course.gate = Gate()
        one, two = Pinged(), Pinged()
        name = f"{Symbols(course.ground.listings).symbol(0).lower()}@trade"
        for socket in (one, two):
            group.sockets.append(socket)
            group.subscribe(socket, [name])
        drive = Quiet(group, SimClock(1), 0, course.plan.end_ns, lambda: None)
        drive.start()
        await until(lambda: bool(two.pings))
        told = len(one.told)
        assert told == len(two.told) > 0
        assert len(one.pings) == 1
        drive.ponged(one, one.pings[0])
        await asyncio.sleep(0.1)
        assert len(one.told) == told, "the other has not received it yet"
        course.gate.waiting[Asked()] = None
        drive.ponged(two, two.pings[0])
        await asyncio.sleep(0.1)
        assert len(one.told) == told, "a request is open"
        assert drive.flow == "waiting_bot"
        course.gate.waiting.clear()
        await until(lambda: len(one.told) > told)
        assert len(one.told) > told
        drive.stop()

    asyncio.run(scene())


def test_a_step_of_a_held_session_is_over_when_its_sockets_have_returned_the_ping() -> None:
    async def scene() -> None:
        group, course = group_of()
        course.gate = Gate()
        one = Pinged()
        group.sockets.append(one)
        group.subscribe(one, [f"{Symbols(course.ground.listings).symbol(0).lower()}@trade"])
        drive = Quiet(group, SimClock(1), 0, course.plan.end_ns, lambda: None)
        drive.hold()
        drive.start()
        await asyncio.sleep(0.05)
        assert not one.pings
        to_ns = group.next_ns
        drive.step(to_ns)
        await until(lambda: bool(one.pings))
        assert group.now_ns == to_ns
        assert drive.is_stepping, "it has not received what it was sent"
        drive.ponged(one, one.pings[0])
        await until(lambda: not drive.is_stepping)
        assert group.now_ns == to_ns
        drive.stop()

    asyncio.run(scene())


def test_an_answer_that_comes_with_time_is_not_waited_for_in_time_that_stands() -> None:
    answered: list[int] = []

    async def scene() -> None:
        group, course = group_of(Latency(entry=Leg(2_000_000_000)))
        course.gate = Gate()
        course.gate.waiting[Asked()] = None
        course.send(Place(0, Side.BUY, OrderType.MARKET, 1), lambda at_ns, _: answered.append(at_ns))
        assert course.awaited == 1
        start_ns = group.now_ns
        drive = Quiet(group, SimClock(1), 0, course.plan.end_ns, lambda: None)
        drive.start()
        await until(lambda: bool(answered))
        assert answered == [start_ns + 2_000_000_000]
        assert course.awaited == 0
        drive.stop()

    asyncio.run(scene())


def test_bots_that_only_poll_are_given_time_and_then_moved_on() -> None:
    over: list[Any] = []

    async def scene() -> None:
        group, course = group_of()
        course.gate = Gate()
        drive = Quiet(group, SimClock(1), 0, course.plan.end_ns, lambda: over.append(1))
        start_ns = group.now_ns
        drive.start()
        await asyncio.sleep(0.1)
        assert group.now_ns == start_ns, "it may still ask"
        await until(lambda: group.now_ns > start_ns)
        assert (group.now_ns - start_ns) % 1_000_000_000 == 0 < group.now_ns - start_ns
        drive.stop()

    asyncio.run(scene())


def test_an_order_that_takes_time_gets_its_answer_though_its_bot_says_nothing_until_then() -> None:
    """The bot waits for the answer, and the answer for virtual time: neither may wait for the other's silence."""

    async def scene() -> None:
        group, course = group_of(Latency(entry=Leg(10_000_000), reply=Leg(15_000_000)))
        course.gate = Gate()
        drive = Quiet(group, SimClock(1), 0, course.plan.end_ns, lambda: None)
        answered: list[int] = []

        def answer(_at_ns: int, _outcomes: Any) -> None:
            course.gate.waiting.clear()
            answered.append(course.now_ns)

        began_ns = group.now_ns
        course.gate.requests, course.gate.waiting[Asked()] = 1, None
        course.send(Place(0, Side.BUY, OrderType.LIMIT, 1, 1), answer)
        drive.start()
        await until(lambda: bool(answered))
        drive.stop()
        assert answered == [began_ns + 25_000_000], "when it was due, not when the next event was"

    asyncio.run(scene())
