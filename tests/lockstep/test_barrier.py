"""When a wake is done with: everybody waits, nothing is awaited, everything has come. Threads here are real."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from gnomon.lockstep.barrier import Barrier, SessionEnded
from gnomon.lockstep.line import Line, Told

START_NS = 1_000


class Room:
    """A barrier, what it says, and threads that do as they are told."""

    def __init__(self) -> None:
        self.barrier = Barrier()
        self.barrier.hands = self
        self.barrier.start(START_NS)
        self.said: list[tuple[str, list[object]]] = []
        self.unread: dict[int, list[Told]] = {}
        self.looks = 0
        self.woken: list[str] = []

    def say(self, method: str, params: list[object]) -> None:
        self.said.append((method, params))

    def is_readable(self, fd: int) -> bool:
        return bool(self.unread.get(fd))

    def take_in(self, fd: int) -> None:
        self.barrier.tell(self.unread[fd].pop(0))

    def look(self) -> None:
        self.looks += 1

    def stream(self, fd: int) -> Line:
        line = Line("KEY", self.barrier.tell, self.barrier.at)
        line.came(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        line.ready.clear()
        self.barrier.lines[fd] = line
        return line

    def take(self) -> list[tuple[str, list[object]]]:
        said, self.said = self.said, []
        return said


class Other:
    """Another thread of the client."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._does: list[Callable[[], Any]] = []
        self._turn, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def _live(self) -> None:
        while True:
            assert self._turn.acquire(timeout=60)
            if not self._does:
                return
            self._does.pop()()
            self._done.release()

    def do(self, what: Callable[[], Any]) -> None:
        self._does.append(what)
        self._turn.release()
        assert self._done.acquire(timeout=10)

    def waits(self, due_ns: int | None = None, lines: frozenset[int] = frozenset()) -> None:
        self.do(lambda: self._room.barrier.wait(due_ns, lines, lambda: self._room.woken.append("other")))

    def end(self) -> None:
        self._turn.release()
        self._thread.join(10)


@pytest.fixture
def room() -> Room:
    return Room()


def wait(room: Room, due_ns: int | None = None, *lines: int) -> None:
    room.barrier.wait(due_ns, frozenset(lines), lambda: room.woken.append("main"))


def test_the_first_to_wait_begins_and_names_when_it_is_to_be_woken(room: Room) -> None:
    wait(room, START_NS + 60)
    assert room.take() == [("TIMER", [str(START_NS + 60), "shim"]), ("ACK", [0])]
    room.barrier.consider()
    assert room.take() == []  # nothing more until something has come
    room.barrier.tell(Told(1, START_NS + 60, True, "timer"))
    assert room.woken == ["main"]
    room.barrier.go_on()
    assert room.barrier.now_ns == START_NS + 60
    wait(room)
    assert room.take() == [("ACK", [1])]


def test_a_later_timer_is_not_named_while_an_earlier_one_is_to_come(room: Room) -> None:
    wait(room, START_NS + 60)
    room.take()
    for n in (1, 2):
        room.barrier.go_on()
        room.barrier.tell(Told(n, START_NS + 10 * n, True, ""))
        wait(room, START_NS + 10 * n + 60)
        assert room.take() == [("ACK", [n])]
    room.barrier.go_on()
    room.barrier.tell(Told(3, START_NS + 60, True, "timer"))
    wait(room, START_NS + 80)
    assert room.take() == [("TIMER", [str(START_NS + 80), "shim"]), ("ACK", [3])]


def test_nothing_is_acknowledged_while_anybody_is_at_work(room: Room) -> None:
    other = Other(room)
    other.do(room.barrier.go_on)
    wait(room)
    assert room.take() == []
    other.waits()
    assert room.take() == [("ACK", [0])]
    room.barrier.tell(Told(1, START_NS, True, ""))
    other.do(room.barrier.go_on)
    wait(room)
    assert room.take() == []
    other.end()  # a thread that is gone is waited for no longer
    room.barrier.consider()
    assert room.take() == [("ACK", [1])]


def test_nothing_is_acknowledged_while_an_answer_a_job_or_a_message_is_to_come(room: Room) -> None:
    line = room.stream(7)
    line._requests = 1
    wait(room, None, 7)
    assert room.take() == []
    line._requests, room.barrier.jobs = 0, 1
    room.barrier.consider()
    assert room.take() == []
    room.barrier.jobs = 0
    room.barrier.consider()
    assert room.take() == [("ACK", [0])]
    room.barrier.tell(Told(1, START_NS, False, ""))
    room.barrier.consider()
    assert room.take() == []  # there is more of this wake
    room.barrier.tell(Told(1, START_NS, True, ""))
    room.barrier.tell(Told(1, START_NS, False, ""))  # its first message, by a slower socket
    line.ready += b"x"
    room.barrier.consider()
    assert (room.take(), room.woken) == ([], ["main"])  # there is something to read
    line.ready.clear()
    room.barrier.consider()
    assert room.take() == [("ACK", [1])]


def test_what_nobody_reads_is_taken_in_and_counts_as_seen(room: Room) -> None:
    room.stream(7)
    room.unread[7] = []
    wait(room, START_NS + 90)
    assert room.take() == [("TIMER", [str(START_NS + 90), "shim"]), ("ACK", [0])]
    assert (room.looks, room.barrier.unattended()) == (1, [7])
    room.unread[7] = [Told(1, START_NS + 30, False, ""), Told(1, START_NS + 30, True, "")]
    room.barrier.consider()
    assert room.take() == [("ACK", [1])]
    assert (room.barrier.now_ns, room.looks) == (START_NS + 30, 1)


def test_whoever_is_due_is_woken_and_waited_for(room: Room) -> None:
    other = Other(room)
    other.waits(START_NS + 50)
    room.take()
    wait(room)
    room.barrier.tell(Told(1, START_NS + 50, True, "timer"))
    assert room.woken == ["other"]
    room.barrier.consider()
    assert room.take() == []
    other.waits(START_NS + 100)
    assert room.take() == [("TIMER", [str(START_NS + 100), "shim"]), ("ACK", [1])]
    other.end()


def test_time_never_goes_back(room: Room) -> None:
    room.barrier.at(START_NS + 5)
    room.barrier.tell(Told(1, START_NS + 3, True, ""))  # an own event that was due before the wake that brought it
    assert (room.barrier.now_ns, room.barrier.elapsed_ns) == (START_NS + 5, 5)


def test_the_end_is_acknowledged_and_then_said_to_each_thread_once(room: Room) -> None:
    wait(room)
    room.take()
    room.barrier.tell(Told(1, START_NS + 9, True, "sessionEnd"))
    room.barrier.check_end()  # what came with it is dealt with first
    room.barrier.consider()
    assert room.take() == [("ACK", [1])]
    with pytest.raises(SessionEnded) as ended:
        room.barrier.check_end()
    assert ended.value.code == 0
    room.barrier.check_end()
    first = room.barrier.now_ns
    assert START_NS + 9 <= first <= room.barrier.now_ns  # it goes on with the wall
