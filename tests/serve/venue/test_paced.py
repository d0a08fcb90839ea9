"""Paced time: it follows the wall by its factor, stands when held, and waits for whoever does not keep up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.serve.venue.test_group import Listener, group_of

from gnomon.clock import SimClock
from gnomon.serve.venue.group import Group
from gnomon.serve.venue.paced import Paced

SECOND = 1_000_000_000


class Wall(SimClock):
    """A wall clock that a test moves."""

    def go(self, by_ns: int) -> None:
        self.advance_to(self.now_ns() + by_ns)


def paced(factor: float, ended: Callable[[], None] = lambda: None) -> tuple[Group, Wall, Paced]:
    group, course = group_of()
    wall = Wall(1_000 * SECOND)
    return group, wall, Paced(group, wall, factor, course.plan.end_ns, ended)


async def turn() -> None:
    """A while in which nothing is to happen."""
    await asyncio.sleep(0.05)


async def until(is_so: Callable[[], bool]) -> None:
    """The machine may be slow."""
    for _ in range(2_000):
        if is_so():
            return
        await asyncio.sleep(0.005)


def test_virtual_time_is_the_walls_times_the_factor_and_stands_exactly_while_held() -> None:
    async def course() -> None:
        group, wall, drive = paced(10)
        start_ns = group.now_ns
        drive.start()
        wall.go(SECOND // 10)
        await until(lambda: group.now_ns == start_ns + SECOND)
        assert group.now_ns == start_ns + SECOND
        drive.hold()
        wall.go(SECOND)
        await turn()
        assert group.now_ns == start_ns + SECOND
        assert drive.flow == "paused"
        drive.go()
        drive.set_factor(1)
        wall.go(SECOND // 2)
        await until(lambda: group.now_ns == start_ns + SECOND + SECOND // 2)
        assert group.now_ns == start_ns + SECOND + SECOND // 2
        drive.stop()

    asyncio.run(course())


def test_while_a_socket_is_full_time_stands_and_flow_says_so_and_nothing_is_made_up_after() -> None:
    async def course() -> None:
        group, wall, drive = paced(1)
        slow = Listener()
        slow.is_full = True
        group.sockets.append(slow)
        start_ns = group.now_ns
        drive.start()
        wall.go(3 * SECOND)
        await until(lambda: drive.flow == "throttled")
        assert (group.now_ns, drive.flow) == (start_ns, "throttled")
        slow.is_full = False
        await until(lambda: drive.flow == "flowing")
        assert group.now_ns <= start_ns + SECOND // 100
        wall.go(SECOND)
        await until(lambda: group.now_ns >= start_ns + SECOND)
        assert start_ns + SECOND <= group.now_ns < start_ns + 2 * SECOND
        drive.stop()

    asyncio.run(course())


def test_a_step_goes_to_its_instant_and_waits_for_a_full_socket_on_the_way() -> None:
    async def course() -> None:
        group, _, drive = paced(1)
        drive.hold()
        drive.start()
        start_ns = group.now_ns
        drive.step(start_ns + SECOND)
        await until(lambda: not drive.is_stepping)
        assert group.now_ns == start_ns + SECOND
        slow = Listener()
        slow.is_full = True
        group.sockets.append(slow)
        drive.step(start_ns + 2 * SECOND)
        await turn()
        assert drive.is_stepping
        assert group.now_ns == start_ns + SECOND
        slow.is_full = False
        await until(lambda: not drive.is_stepping)
        assert group.now_ns == start_ns + 2 * SECOND
        drive.stop()

    asyncio.run(course())


def test_at_full_pace_it_goes_to_the_end_and_says_that_it_is_over() -> None:
    over: list[Any] = []

    async def course() -> None:
        group, _, drive = paced(0, lambda: over.append(1))
        drive.start()
        await until(lambda: bool(over))
        assert group.is_over

    asyncio.run(course())
    assert over == [1]


def test_a_seek_forward_hastens_and_then_takes_its_old_pace_again() -> None:
    async def course() -> None:
        group, wall, drive = paced(1)
        to_ns = group.now_ns + 5 * SECOND
        drive.start()
        drive.hasten(to_ns)
        await until(lambda: group.now_ns == to_ns)
        assert group.now_ns == to_ns
        await turn()
        wall.go(SECOND)
        await until(lambda: group.now_ns == to_ns + SECOND)
        assert group.now_ns == to_ns + SECOND
        drive.stop()

    asyncio.run(course())
