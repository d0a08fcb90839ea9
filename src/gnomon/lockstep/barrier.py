"""The client's side of lock-step: virtual time, who waits for what, and when a wake is done with.

A thread that asks for the next message, sleeps, or whose event loop has nothing left to do, waits. When every such
thread waits, no answer is awaited and every message of the wake has come, the client has decided: its timers are named
and the wake is acknowledged. Until then virtual time stands, however long the client takes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Protocol

from gnomon.lockstep.line import Line, Told
from gnomon.lockstep.real import monotonic_ns

TIMER: Final = "shim"
END: Final = "sessionEnd"


class SessionEnded(SystemExit):
    """The session is over: raised once in each thread that waits. It ends the process as a program's own end would."""

    def __init__(self) -> None:
        super().__init__(0)


class Waiter:
    """A thread that waits, until a virtual instant if there is one, for the connections that it has asked about."""

    __slots__ = ("due_ns", "lines", "wake")

    def __init__(self, due_ns: int | None, lines: frozenset[int], wake: Callable[[], None]) -> None:
        self.due_ns, self.lines, self.wake = due_ns, lines, wake


class Hands(Protocol):
    """What the barrier does and sees outside."""

    def say(self, method: str, params: list[object], /) -> None:
        """Send a control message to the venue."""
        ...

    def is_readable(self, fd: int, /) -> bool:
        """Whether the venue has said something on a connection that nobody has read."""
        ...

    def take_in(self, fd: int, /) -> None:
        """Read it, for whoever asks later."""
        ...

    def look(self) -> None:
        """Other connections than before are nobody's: somebody has to look after them."""
        ...


class Barrier:
    """Virtual time of one bot. `hands` are given, and it is started, before anybody waits."""

    hands: Hands

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.lines: dict[int, Line] = {}
        self.jobs = 0  # of executors
        self.n = 0
        self.acknowledged = -1
        self.is_over = False  # the venue has said so, and it was acknowledged
        self._start_ns = self._now_ns = 0
        self._freed_at_ns = 0
        self._is_whole = True
        self._is_ending = False
        self._timer_ns: int | None = None
        self._waiters: dict[threading.Thread, Waiter | None] = {}
        self._told: set[threading.Thread] = set()
        self._left: frozenset[int] = frozenset()

    # --- time -------------------------------------------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        """Virtual; after the session it goes on with the wall."""
        return self._now_ns + (monotonic_ns() - self._freed_at_ns if self.is_over else 0)

    @property
    def elapsed_ns(self) -> int:
        return self.now_ns - self._start_ns

    def start(self, now_ns: int) -> None:
        """The bot begins at this instant, or at that of a wake it was told already."""
        self.at(now_ns)
        self._start_ns = self._now_ns

    def at(self, t_ns: int) -> None:
        """It is this late, at least."""
        with self.lock:
            if t_ns > self._now_ns:
                self._now_ns = t_ns

    def tell(self, told: Told) -> None:
        """A frame of a wake has come."""
        with self.lock:
            if told.n > self.n:
                self.n, self._is_whole = told.n, told.is_last
            elif told.n == self.n and told.is_last:
                self._is_whole = True
            self.at(told.t_ns)
            if self._timer_ns is not None and self._now_ns >= self._timer_ns:
                self._timer_ns = None
            if told.event == END:
                self._is_ending = True
            for waiter in self._waiters.values():
                if waiter is not None and self._is_due(waiter):
                    waiter.wake()

    def free(self) -> None:
        """Nothing of the venue's will move time any more: it goes on with the wall."""
        with self.lock:
            if not self.is_over:
                self._freed_at_ns = monotonic_ns()
                self.is_over = True
            for waiter in self._waiters.values():
                if waiter is not None:
                    waiter.wake()

    # --- waiting ----------------------------------------------------------------------------------------------------

    def wait(self, due_ns: int | None, lines: frozenset[int], wake: Callable[[], None]) -> Waiter:
        """This thread has nothing to do."""
        waiter = Waiter(due_ns, lines, wake)
        with self.lock:
            self._waiters[threading.current_thread()] = waiter
            self.consider()
        return waiter

    def go_on(self) -> None:
        """This thread has."""
        with self.lock:
            self._waiters[threading.current_thread()] = None

    def is_due(self, waiter: Waiter) -> bool:
        with self.lock:
            return self._is_due(waiter)

    def _is_due(self, waiter: Waiter) -> bool:
        return waiter.due_ns is not None and self.now_ns >= waiter.due_ns

    def check_end(self) -> None:
        """Raises `SessionEnded` in each thread once."""
        if self.is_over and threading.current_thread() not in self._told:
            self._told.add(threading.current_thread())
            raise SessionEnded

    # --- acknowledging ----------------------------------------------------------------------------------------------

    def consider(self) -> None:
        """Acknowledge the newest wake if the client is done with it."""
        with self.lock:
            if self.is_over or not self._is_everybody_waiting() or self._is_anything_coming():
                return
            if not self._is_whole or self.jobs or any(line.open for line in self.lines.values()):
                return
            if self.n == self.acknowledged:
                return
            self._name_timer()
            self.acknowledged = self.n
            self.hands.say("ACK", [self.n])
            if self._is_ending:
                self.free()

    def unattended(self) -> list[int]:
        """Connections of streams that no thread waits for."""
        with self.lock:
            attended = self._attended()
            return [
                fd for fd, line in self.lines.items() if line.is_socket and not line.is_ended and fd not in attended
            ]

    def _is_everybody_waiting(self) -> bool:
        is_anybody = False
        for thread, waiter in list(self._waiters.items()):
            if not thread.is_alive():
                del self._waiters[thread]
            elif waiter is None:
                return False
            elif self._is_due(waiter):
                waiter.wake()
                return False
            else:
                is_anybody = True
        return is_anybody

    def _attended(self) -> set[int]:
        return {fd for waiter in self._waiters.values() if waiter is not None for fd in waiter.lines}

    def _is_anything_coming(self) -> bool:
        """Whether a thread that waits is about to be given something. What nobody waits for is taken in here."""
        attended, left = self._attended(), []
        for fd, line in list(self.lines.items()):
            if not line.is_socket:
                continue
            if fd in attended:
                if line.ready or self.hands.is_readable(fd):
                    self._wake_reader(fd)
                    return True
            else:
                while not line.is_ended and self.hands.is_readable(fd):
                    self.hands.take_in(fd)
                left.append(fd)
        if self._left != frozenset(left):
            self._left = frozenset(left)
            self.hands.look()
        return False

    def _wake_reader(self, fd: int) -> None:
        for waiter in self._waiters.values():
            if waiter is not None and fd in waiter.lines:
                waiter.wake()

    def _name_timer(self) -> None:
        dues = [one.due_ns for one in self._waiters.values() if one is not None and one.due_ns is not None]
        if dues and (self._timer_ns is None or min(dues) < self._timer_ns):
            self._timer_ns = min(dues)
            self.hands.say("TIMER", [str(self._timer_ns), TIMER])
