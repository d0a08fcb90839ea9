"""Courses that share a clock, and the streams that their sockets are shown: a paced session, or the unmodified bots of
one in lock-step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from gnomon.serve.venue.broadcast import broadcast
from gnomon.serve.venue.call import UserEvent
from gnomon.serve.venue.course import BotCourse
from gnomon.units import INT64_MAX


class Streams(Protocol):
    """Events of the market by virtual time (`serve.venue.streams`)."""

    next_ns: int

    def subscribe(self, names: Sequence[str], now_ns: int, /) -> Sequence[str]: ...

    def unsubscribe(self, names: Sequence[str], /) -> object: ...

    def take(self, upto_ns: int, /) -> Sequence[tuple[str, bytes]]: ...


class Group:
    """`now_ns` is that of all of its courses."""

    def __init__(self, now_ns: int, streams: Streams) -> None:
        self.now_ns = now_ns
        self.courses: list[BotCourse] = []
        self.streams = streams
        self.sockets: list[Any] = []
        self.told = 0
        self.freezes: Callable[[Any, str], bool] | None = None  # whether a fault keeps a stream from a socket
        self._of_stream: dict[str, list[Any]] = {}
        self._users: dict[str, list[tuple[Any, int | None]]] = {}  # by run: sockets that hear its user events

    # --- time ---------------------------------------------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        return all(one.is_begun and one.run.is_over for one in self.courses)

    @property
    def next_ns(self) -> int:
        """Of the next event that somebody is shown."""
        return self.streams.next_ns if self._of_stream else INT64_MAX

    def advance(self, to_ns: int) -> None:
        """Everything up to an instant, which counts as well, has happened and was told."""
        for course in self.courses:
            course.advance(to_ns)
        if to_ns > self.now_ns:
            self.now_ns = to_ns
        if self._of_stream and self.streams.next_ns <= self.now_ns:
            self.told += broadcast(self.streams.take(self.now_ns), self._of_stream, self.freezes)

    def hurry(self, course: BotCourse, number: int) -> None:
        """An answer that is due at once is given at once; another comes with time."""
        latency = course.run.plan.rules.latency
        entry, reply = latency.entry, latency.reply
        if entry.table is None and reply.table is None and not (entry.const_ns or reply.const_ns):
            # one that a fault holds back comes with time: the others' clock is this one
            course.bring(number, lambda _: None, course.now_ns + 1 if course.faults is not None else INT64_MAX)

    # --- what is told -------------------------------------------------------------------------------------------------

    def tell(self, run: str, event: UserEvent) -> None:
        """A user event of one bot to its sockets."""
        for socket, number in self._users.get(run, ()):
            self.told += 1
            socket.send_user(number, event.body)

    # --- sockets ------------------------------------------------------------------------------------------------------

    def subscribe(self, socket: Any, names: Sequence[str]) -> Sequence[str]:
        """Those that are refused."""
        refused = list(self.streams.subscribe(names, self.now_ns))
        for name in names:
            if name not in refused:
                sockets = self._of_stream.setdefault(name, [])
                if socket in sockets:
                    self.streams.unsubscribe([name])
                else:
                    sockets.append(socket)
        return refused

    def unsubscribe(self, socket: Any, names: Iterable[str]) -> None:
        for name in names:
            sockets = self._of_stream.get(name, [])
            if socket in sockets:
                sockets.remove(socket)
                self.streams.unsubscribe([name])
                if not sockets:
                    del self._of_stream[name]

    def attach_user(self, run: str, socket: Any, number: int | None) -> None:
        self._users.setdefault(run, []).append((socket, number))

    def users_of(self, run: str) -> int:
        return len(self._users.get(run, ()))

    def detach_user(self, run: str, socket: Any, number: int | None = None) -> None:
        """Of one subscription, or of all that the socket has."""
        users = self._users.get(run, [])
        self._users[run] = [one for one in users if one[0] is not socket or number not in (None, one[1])]

    def detach(self, socket: Any) -> None:
        self.unsubscribe(socket, [name for name, sockets in self._of_stream.items() if socket in sockets])
        for run in self._users:
            self.detach_user(run, socket)
        if socket in self.sockets:
            self.sockets.remove(socket)

    @property
    def is_full(self) -> bool:
        """Whether somebody does not keep up."""
        return any(one.is_full for one in self.sockets)
