"""A worker: an engine with a claimed executor id, a heartbeat, the reaper and the ticker.

| every | what                                                                                     |
|-------|------------------------------------------------------------------------------------------|
| 1 s   | the ticker: what came due by the schedules is enqueued                                    |
| 5 s   | the heartbeat, from a thread of its own; two missed: red; dead by its own clock: it exits |
| 15 s  | the reaper: work of executors that are gone goes back on its queues                       |

Recovering is the ordinary path: starting after a crash is the same code as starting.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gnomon.errors import GnomonError, Refused
from gnomon.jobs.engine.dbos_engine import EXIT_FENCED, DbosEngine
from gnomon.store.workers import Claim, WorkerRow, WorkerStore
from gnomon.units import SECOND_NS


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a worker does what keeps it honest, in seconds."""

    tick_s: float = 1.0
    heartbeat_s: float = 5.0
    reap_s: float = 15.0
    drain_s: float = 25.0


DEFAULT_PACE: Final = Pace()


def nothing_is_due() -> None:
    """The ticker of a worker without schedules."""


class Worker:
    """Claims its executor id, runs the engine until it is told to stop, gives everything back."""

    def __init__(
        self,
        engine: DbosEngine,
        workers: WorkerStore,
        *,
        queues: tuple[str, ...] = (),
        tick: Callable[[], object] = nothing_is_due,
        pace: Pace = DEFAULT_PACE,
        until_idle: bool = False,
    ) -> None:
        self._engine, self._workers, self._queues = engine, workers, queues
        self._tick, self._pace, self._until_idle = nothing_is_due if until_idle else tick, pace, until_idle
        self._claim: Claim | None = None
        self._last_beat_ns = 0
        self._ended = threading.Event()
        self.reaped = 0

    @property
    def ready(self) -> bool:
        """Whether it claims jobs and its heartbeat is being written."""
        if self._claim is None or self._engine.stopping.is_set():
            return False
        silent_ns = self._engine.clock.now_ns() - self._last_beat_ns
        return silent_ns < 2 * self._pace.heartbeat_s * SECOND_NS + SECOND_NS

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, or `until_idle` until nothing is left that this version of the code may do.

        `Conflict` when the executor id, or SQLite's engine, is another's.
        """
        engine = self._engine
        self._claim = engine.claim = self._workers.claim(
            engine.executor_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=engine.version,
            queues=self._queues,
            now_ns=engine.clock.now_ns(),
            is_gone=_is_gone,
        )
        self._last_beat_ns = engine.clock.now_ns()
        engine.leases.release_all(engine.executor_id)  # held by whoever had this id before; the epoch is ours now
        heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        try:
            heart.start()  # before the engine: starting may take longer than a silence is forgiven
            engine.start()
            self._work(stop)
        finally:
            self._drain()
            self._ended.set()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _work(self, stop: threading.Event) -> None:
        since_reap_s = self._pace.reap_s  # once at the start: what others left is taken up at once
        _logged(self._say_what_is_stranded)
        while not stop.is_set() and not (self._until_idle and self._is_idle()):
            _logged(self._tick)
            if since_reap_s >= self._pace.reap_s:
                since_reap_s = 0.0
                _logged(self._reap)
            stop.wait(self._pace.tick_s)
            since_reap_s += self._pace.tick_s

    def _say_what_is_stranded(self) -> None:
        """A job that another version of the code began is never gone on with by this one."""
        for version, count in self._engine.jobs.in_flight().items():
            if version not in ("", self._engine.version):
                sys.stderr.write(
                    f"{count} jobs of version {version} are in flight and stay as they are: "
                    "let `gnomon work --until-idle` of that release finish them\n"
                )

    def _is_idle(self) -> bool:
        found = self._engine.jobs.in_flight()
        return not found.get(self._engine.version) and not (self._engine.is_newest and found.get(""))

    def _reap(self) -> None:
        """Take up what is nobody's: work of executors that are gone, and work that our version of the code began on an
        id that another version holds by now."""
        gone = self._workers.reap(self._engine.clock.now_ns(), but=self._engine.executor_id)
        moved_on = [one.executor_id for one in self._workers.all() if one.version != self._engine.version]
        self.reaped += self._engine.recover(sorted({*gone, *moved_on})) + self._engine.recover_own()

    def _beat(self) -> None:
        while not self._ended.wait(self._pace.heartbeat_s):
            state = "draining" if self._engine.stopping.is_set() else "running"
            now_ns = self._engine.clock.now_ns()
            try:
                if self._claim is not None and not self._workers.beat(self._claim, now_ns, state):
                    self._engine.on_fenced(
                        Refused(
                            f"fenced: executor {self._engine.executor_id!r} was taken over", detail={"fenced": True}
                        )
                    )
                self._last_beat_ns = now_ns
            except GnomonError as error:
                silent_ns = now_ns - self._last_beat_ns
                sys.stderr.write(f"heartbeat not written: {error.message}\n")
                if silent_ns > self._workers.dead_after_ns:
                    os._exit(EXIT_FENCED)  # others take it for dead: so it has to be

    def _drain(self) -> None:
        """Stop claiming, finish what runs, give back id and leases; what was cut off is anybody's then."""
        engine = self._engine
        engine.stop(finish_within_s=self._pace.drain_s)
        if self._claim is not None:
            engine.leases.release_all(self._claim.executor_id)
            self._workers.beat(self._claim, engine.clock.now_ns(), "stopped")


def _is_gone(holder: WorkerRow) -> bool:
    """Whether the holder of an id was a process of this machine that has ended: a restart need not wait for silence.

    A container starts again under the same name and number: then the holder was what we are now.
    """
    if holder.host != socket.gethostname():
        return False
    if holder.pid == os.getpid():
        return True
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _logged(fn: Callable[[], object]) -> None:
    """A tick or a reap that fails is tried again at the next; the worker goes on."""
    try:
        fn()
    except GnomonError as error:
        sys.stderr.write(f"{error.code}: {error.message}\n")
