"""Paced time: virtual time follows the wall's by a factor, or goes as fast as bots and sockets allow.

Nothing is dropped for a slow reader: while a socket's buffer is full, virtual time stands and `flow` says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gnomon.clock import Clock
from gnomon.serve.venue.group import Group

TICK_S: Final = 0.002
TURN_S: Final = 0.004
"""How long the loop is held at full pace before others have their turn."""


class Paced:
    """Moves a group's clock. `factor` 0: as fast as can be."""

    def __init__(self, group: Group, clock: Clock, factor: float, end_ns: int, ended: Callable[[], None]) -> None:
        self.group = group
        self.flow = "flowing"
        self.speed_measured = 0.0
        self._clock = clock
        self._factor = factor
        self._end_ns = end_ns
        self._ended = ended
        self._fast_until_ns = 0
        self._wall0_ns = self._virtual0_ns = 0
        self._is_held = False
        self._step_ns: int | None = None  # where a step ends that is under way
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._anchor()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._is_held = True

    def hold(self) -> None:
        """The clock stands exactly where it is."""
        self._is_held = True
        self._step_ns = None
        self.flow = "paused"

    @property
    def is_stepping(self) -> bool:
        return self._step_ns is not None

    def step(self, to_ns: int) -> None:
        """On to an instant, while held: at once as far as a turn goes, and the rest by and by."""
        self._step_ns = min(to_ns, self._end_ns - 1)
        self._walk()

    def _walk(self) -> None:
        if self._step_ns is not None:
            self._hurry(self._step_ns, asyncio.get_running_loop())
            if self.group.now_ns >= self._step_ns:
                self._step_ns = None

    def go(self) -> None:
        self._step_ns = None
        if self._is_held:
            self._is_held = False
            self._anchor()
        self.flow = "flowing"

    def set_factor(self, factor: float) -> None:
        self._factor = factor
        self._anchor()

    def hasten(self, to_ns: int) -> None:
        """At full pace until then, and on at the old one."""
        self._fast_until_ns = to_ns

    def ponged(self, _socket: object, _payload: bytes) -> None:
        """Nobody waits for it here."""

    def due_ns(self) -> int:
        """Where the clock should be by now."""
        if self._is_held:
            return self.group.now_ns
        return self._virtual0_ns + int((self._clock.now_ns() - self._wall0_ns) * self._factor)

    def _anchor(self) -> None:
        self._wall0_ns, self._virtual0_ns = self._clock.now_ns(), self.group.now_ns

    async def _run(self) -> None:
        group, last_ns, loop = self.group, self._end_ns - 1, asyncio.get_running_loop()
        measured = loop.time(), group.now_ns
        while not group.is_over or not group.courses:
            if self._is_held:
                self._walk()
                await asyncio.sleep(0 if self.is_stepping and not group.is_full else TICK_S)
                continue
            if group.is_full:
                self.flow = "throttled"
                await asyncio.sleep(TICK_S)
                self._anchor()
                continue
            self.flow = "flowing"
            if self._factor and group.now_ns >= self._fast_until_ns:
                group.advance(min(self.due_ns(), last_ns))
                await asyncio.sleep(TICK_S)
            else:
                self._hurry(min(last_ns, self._fast_until_ns or last_ns), loop)
                if self._fast_until_ns and group.now_ns >= self._fast_until_ns:
                    self._fast_until_ns = 0 if self._factor else self._fast_until_ns
                    self._anchor()
                await asyncio.sleep(0)
            if loop.time() - measured[0] > 0.5:
                self.speed_measured = round((group.now_ns - measured[1]) / 1e9 / (loop.time() - measured[0]), 3)
                measured = loop.time(), group.now_ns
            if group.now_ns >= last_ns:
                group.advance(last_ns)
                break
        self._ended()

    def _hurry(self, until_ns: int, loop: asyncio.AbstractEventLoop) -> None:
        """Event by event, for a turn."""
        group, turn_ends = self.group, loop.time() + TURN_S
        while group.now_ns < until_ns and loop.time() < turn_ends and not group.is_full:
            step_ns = min(group.next_ns, group.now_ns + 60_000_000_000)
            group.advance(min(max(step_ns, group.now_ns + 1), until_ns))
