"""Lock-step with bots that know nothing of it: after each step the venue waits until every socket has returned a ping
that was sent behind the step's events, no request is in work, and nothing new has come for a while.

A pong proves that an event was received, not that it was decided on; hence the quiet window, and hence no promise: a
run driven so is replayable, and how often it repeats is measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from gnomon.clock import Clock
from gnomon.serve.venue.group import Group
from gnomon.units import INT64_MAX

QUIET_S: Final = 0.02
IDLE_S: Final = 0.2
IDLE_STEP_NS: Final = 1_000_000_000
PONG_S: Final = 5.0


class Quiet:
    """Moves a group's clock from event to event."""

    def __init__(self, group: Group, clock: Clock, factor: float, end_ns: int, ended: Callable[[], None]) -> None:
        self.group = group
        self.flow = "flowing"
        self.speed_measured = 0.0
        self._clock = clock
        self._factor = factor
        self._end_ns = end_ns
        self._ended = ended
        self._is_held = False
        self._step_ns: int | None = None  # where a step ends that is under way
        self._steps = 0
        self._missing: set[int] = set()
        self._pinged = b""
        self._all_ponged = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def ponged(self, socket: object, payload: bytes) -> None:
        """A socket has returned a ping: it has received what was sent before."""
        if payload == self._pinged:
            self._missing.discard(id(socket))
            if not self._missing:
                self._all_ponged.set()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._is_held = True

    def hold(self) -> None:
        self._is_held = True
        self._step_ns = None

    def go(self) -> None:
        self._is_held = False
        self._step_ns = None

    @property
    def is_stepping(self) -> bool:
        return self._step_ns is not None

    def step(self, to_ns: int) -> None:
        """On to an instant, while held: event by event, each of them waited for as ever."""
        self._step_ns = min(to_ns, self._end_ns - 1)

    def set_factor(self, factor: float) -> None:
        self._factor = factor

    def hasten(self, to_ns: int) -> None:
        """Nothing to do: it is as fast as its bots."""

    async def _run(self) -> None:
        group, last_ns = self.group, self._end_ns - 1
        while group.now_ns < last_ns and not (group.courses and group.is_over):
            step_ns = self._step_ns
            if self._is_held and step_ns is None:
                await asyncio.sleep(0.002)
                continue
            at_ns = min(group.next_ns, self._awaited_ns())
            if step_ns is not None:
                at_ns = min(at_ns, step_ns)
            elif at_ns > last_ns:  # nothing is shown to anybody: they ask
                await self._silence(IDLE_S)
                at_ns = group.now_ns + IDLE_STEP_NS
            told, open_ = group.told, self._open()
            group.advance(min(max(at_ns, group.now_ns), last_ns))
            self._steps += 1
            if group.told != told or self._open() < open_:
                await self._barrier()
            if step_ns is not None and step_ns == self._step_ns and group.now_ns >= step_ns:
                await self._silence(QUIET_S)
                self._step_ns = None
        self._ended()

    def _open(self) -> int:
        """Requests without an answer."""
        return sum(one.gate.in_work for one in self.group.courses if one.gate is not None)

    def _awaited_ns(self) -> int:
        """When the next request is at the venue, or the next answer or own event is due."""
        found, now_ns = INT64_MAX, self.group.now_ns
        for one in self.group.courses:
            if one.awaited and one.run.arrival_ns > now_ns:
                found = min(found, one.run.arrival_ns)
            found = min(found, one.next_due_ns)
        return found

    async def _barrier(self) -> None:
        self.flow = "waiting_bot"
        payload, self._missing = b"%d" % self._steps, {id(one) for one in self.group.sockets}
        self._pinged = payload
        for one in self.group.sockets:
            one.ping(payload)
        if self._missing:
            self._all_ponged.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_ponged.wait(), PONG_S)
        await self._silence(QUIET_S)
        self.flow = "flowing"

    async def _silence(self, quiet_s: float) -> None:
        """Until no request is in work and none has come for so long. One whose answer comes with time (a latency, a
        fault that holds it back) is not in work: whoever waited for it would wait for ever."""
        seen, since = -1, 0.0
        loop = asyncio.get_running_loop()
        while True:
            gated = [one for one in self.group.courses if getattr(one, "gate", None) is not None]
            came = sum(one.gate.requests for one in gated)
            busy = any(one.gate.in_work > one.awaited for one in gated)
            if came != seen or busy:
                seen, since = came, loop.time()
            elif loop.time() - since >= quiet_s:
                return
            await asyncio.sleep(min(quiet_s, 0.002))
