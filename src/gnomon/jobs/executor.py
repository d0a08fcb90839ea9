"""Parallel work inside one step: a function over items, in this process, in child processes, or on a Ray cluster.

| back end | an item that ...     | takes too long     | kills its process            | cannot be sent     |
|----------|----------------------|--------------------|------------------------------|--------------------|
| inline   | runs here, in turn   | is waited for      | kills this one               | runs all the same  |
| local    | runs in a child      | dies with it       | once more in a fresh child   | fails              |
| ray      | runs on the cluster  | dies with it       | once more on a fresh worker  | fails              |

Whatever an item does, it fails alone: the others' results do not change. An item brings all that it depends on, its
seed included, so results depend neither on the back end, nor on the number of workers, nor on the order. The durable
part stays outside: a crash repeats the step.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Final, Protocol

from gnomon.errors import Exhausted, GnomonError, Invalid, Unavailable

ONE_THREAD: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "BLIS_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}
"""A child has one core: a library that starts a thread a core would have them fight each other."""
TRIES: Final = 2
_SEND: Final = "functions of modules and plain data can be sent, lambdas and open files cannot"
_LAST_WORDS_S: Final = 1.0  # between the end of a child's connection and its exit status
_STARTS: Final = 3  # children in a row that may die while they start


@dataclass(frozen=True, slots=True)
class Mapped:
    """What became of one item: its result, or the document of an error."""

    key: str
    result: Any = None
    error: Mapping[str, Any] | None = None

    @property
    def ok(self) -> bool:
        return self.error is None


class Executor(Protocol):
    """`fn(item)` for every item."""

    def map(
        self, fn: Callable[[Any], Any], items: Mapping[str, Any], *, timeout_s: float | None = None
    ) -> Iterator[Mapped]:
        """One `Mapped` an item, in the order of the items, as soon as it and those before it are there.

        `timeout_s` bounds each item from the moment it is handed to a worker that has started.
        """
        ...


class InlineExecutor:
    """A plain loop in this process: for tests, and for looking at what goes wrong."""

    def map(
        self,
        fn: Callable[[Any], Any],
        items: Mapping[str, Any],
        *,
        timeout_s: float | None = None,  # noqa: ARG002 - nobody is there to interrupt this process
    ) -> Iterator[Mapped]:
        for key, item in items.items():
            yield Mapped(key, *_outcome(fn, item))


def _outcome(fn: Callable[[Any], Any], item: Any) -> tuple[Any, dict[str, Any] | None]:
    try:
        return fn(item), None
    except Exception as error:
        return None, _document(error)


def _document(error: Exception) -> dict[str, Any]:
    if isinstance(error, GnomonError):
        return error.document()
    from gnomon.jobs.engine.port import error_document  # with all of SQL behind it: a child rarely needs it

    return error_document(error)


# --- child processes ------------------------------------------------------------------------------------------------


class LocalExecutor:
    """Child processes of this machine, each a fresh interpreter with one thread; they stay for the next call.

    `workers` children at most (a core each by default); `preload` names modules that a child imports before its first
    item. Functions, items and results travel pickled between processes of one user. Use it in a `with` block, or
    `close` it. `Invalid` for a preload that cannot be imported, `Unavailable` when children cannot be started.
    """

    def __init__(self, workers: int | None = None, preload: Sequence[str] = ()) -> None:
        self.workers = workers or os.cpu_count() or 1
        if self.workers < 1:
            raise Invalid(f"an executor of {workers} workers", hint="one or more")
        self._preload = tuple(preload)
        self._idle: deque[_Child] = deque()
        self._crews: list[_Crew] = []

    def map(
        self, fn: Callable[[Any], Any], items: Mapping[str, Any], *, timeout_s: float | None = None
    ) -> Iterator[Mapped]:
        crew = _Crew(self._idle, self._preload, min(self.workers, len(items)), fn, timeout_s)
        self._crews.append(crew)
        try:
            yield from crew.run(items)
        finally:
            self._crews.remove(crew)
            crew.leave()
            while len(self._idle) > self.workers:
                self._idle.pop().end()

    def close(self) -> None:
        """End the children, those at work too; another `map` starts new ones."""
        for crew in self._crews:
            crew.leave()
        while self._idle:
            self._idle.pop().end()

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


@dataclass(slots=True)
class _Task:
    key: str
    item: Any
    deaths: int = 0


class _Crew:
    """The children that one `map` uses, and which item each of them has."""

    def __init__(
        self,
        idle: deque[_Child],
        preload: tuple[str, ...],
        size: int,
        fn: Callable[[Any], Any],
        timeout_s: float | None,
    ) -> None:
        self._idle, self._preload, self._size = idle, preload, size
        self._fn, self._timeout_s = fn, timeout_s
        self._busy: dict[_Child, _Task | None] = {}  # None: it is still starting
        self._free: list[_Child] = []
        self._waiting: deque[_Task] = deque()
        self._done: dict[str, Mapped] = {}
        self._failed_starts = 0
        self._has_left = False

    def run(self, items: Mapping[str, Any]) -> Iterator[Mapped]:
        self._waiting.extend(_Task(key, item) for key, item in items.items())
        for key in items:
            while key not in self._done:
                if self._has_left:
                    raise Unavailable("the executor was closed", hint="read all results before closing it")
                self._hand_out()
                if key not in self._done:
                    self._look()
            yield self._done.pop(key)

    def leave(self) -> None:
        """Give back the children that are free; one that works on what nobody waits for is ended."""
        self._has_left = True
        self._idle.extend(self._free)
        self._free.clear()
        for child in self._busy:
            child.end()
        self._busy.clear()

    def _hand_out(self) -> None:
        """Give what waits to whoever is free, and start children for the rest, as many as are allowed."""
        while self._waiting and len(self._busy) < self._size:
            child = self._free_child()
            if child is not None:
                self._give(child, self._waiting.popleft())
            elif len(self._busy) - len(self._working()) < len(self._waiting):
                self._busy[_Child(self._preload, getattr(self._fn, "__module__", ""))] = None
            else:
                return

    def _free_child(self) -> _Child | None:
        """One that is there and alive; for an item that killed its child before, one that is fresh."""
        for children in (self._free, self._idle):
            while children:
                child = children.pop()
                if child.is_alive and (child.is_fresh or not self._waiting[0].deaths):
                    return child
                child.end()
        return None

    def _give(self, child: _Child, task: _Task) -> None:
        try:
            child.give(self._fn, task.item)
        except OSError:
            self._bury(child, task)
        except Exception as error:
            self._free.append(child)
            self._fail(task, Invalid(f"item {task.key!r} cannot be sent to another process: {error}", hint=_SEND))
        else:
            self._busy[child] = task

    def _look(self) -> None:
        """Wait until a child has something to say, or time is up for one."""
        ends = [child.since_s + self._timeout_s for child in self._working()] if self._timeout_s is not None else []
        patience_s = max(0.0, min(ends) - time.monotonic()) if ends else None
        ready = set(wait([child.connection for child in self._busy], patience_s))
        for child in [one for one in self._busy if one.connection in ready]:
            self._hear(child, self._busy.pop(child))
        if self._timeout_s is not None:
            for child in [one for one in self._working() if time.monotonic() >= one.since_s + self._timeout_s]:
                task = self._busy.pop(child)
                assert task is not None
                child.end()
                self._fail(task, _too_slow(task.key, self._timeout_s))

    def _working(self) -> list[_Child]:
        return [child for child, task in self._busy.items() if task is not None]

    def _hear(self, child: _Child, task: _Task | None) -> None:
        try:
            result, error = child.connection.recv()
        except (EOFError, OSError):
            self._bury(child, task)
            return
        except Exception as fault:
            self._free.append(child)
            assert task is not None
            self._fail(task, Invalid(f"the result of item {task.key!r} cannot be read here: {fault}", hint=_SEND))
            return
        if task is None and error is not None:  # it could not import what was to be preloaded
            child.end()
            raise Invalid(f"a child process cannot start: {error['message']}", hint="check `preload`")
        self._free.append(child)
        self._failed_starts = 0
        if task is not None:
            self._done[task.key] = Mapped(task.key, result, error)

    def _bury(self, child: _Child, task: _Task | None) -> None:
        how = child.end(_LAST_WORDS_S)
        if task is None:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS:
                raise Unavailable(f"child processes die while they start: {how}", hint="is there memory for them?")
            return
        task.deaths += 1
        if task.deaths < TRIES:
            self._waiting.appendleft(task)
            return
        self._fail(task, _died(task.key, how))

    def _fail(self, task: _Task, error: GnomonError) -> None:
        self._done[task.key] = Mapped(task.key, None, error.document())


class _Child:
    """A fresh interpreter that runs what it is sent, until its connection is closed."""

    def __init__(self, preload: tuple[str, ...], also: str) -> None:
        ours, theirs = socket.socketpair()
        self.connection: Connection = Connection(ours.detach())
        code = f"from {__name__} import serve; serve({theirs.fileno()}, {preload!r}, {also!r})"
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", code],
                pass_fds=[theirs.fileno()],
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(one or "." for one in sys.path)},
                stdin=subprocess.DEVNULL,
                stdout=2,  # what it prints must not mix with a document on our standard output
            )
        except OSError as error:
            self.connection.close()
            raise Unavailable(f"no child process can be started: {error}", hint="try fewer workers") from None
        finally:
            theirs.close()
        self.since_s = 0.0
        self.is_fresh = True

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def give(self, fn: Callable[[Any], Any], item: Any) -> None:
        self.connection.send((fn, item))
        self.since_s, self.is_fresh = time.monotonic(), False

    def end(self, patience_s: float = 0.0) -> str:
        """Make sure that it is gone; how it went."""
        self.connection.close()
        if patience_s:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience_s)
        self._process.kill()
        code = self._process.wait()
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit {code}"


def serve(descriptor: int, preload: Sequence[str], also: str) -> None:
    """The life of a child: import, say so, then a result for each item. It ends when its parent is gone.

    `also` is the module of the first function: imported now, so that it does not count as time of the first item.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    connection: Connection = Connection(descriptor)
    outcome = _outcome(lambda names: [import_module(name) for name in names] and None, preload)
    with suppress(ImportError, ValueError):  # if it is not to be had, the items will say so
        import_module(also)
    connection.send(outcome)
    while True:
        try:
            fn, item = connection.recv()
        except EOFError:
            return
        except Exception as error:
            unread = Invalid(f"an item cannot be read in another process: {error}", hint=_SEND)
            connection.send((None, unread.document()))
            continue
        outcome = _outcome(fn, item)
        try:
            connection.send(outcome)
        except OSError:
            return
        except Exception as error:
            unsent = Invalid(f"a result cannot be sent to another process: {error}", hint=_SEND)
            connection.send((None, unsent.document()))


# --- Ray ------------------------------------------------------------------------------------------------------------


class RayExecutor:
    """Tasks on a Ray cluster, one CPU each: the extra `ray`.

    `address` of the cluster; none means `RAY_ADDRESS`, and where that is not set either, a local start, which takes
    some nine seconds. The cluster is left running for the next executor of this process. `Unavailable` when Ray is not
    installed. Waiting for a CPU that others hold counts as an item's time.
    """

    def __init__(self, address: str | None = None) -> None:
        try:
            self._ray: Any = import_module("ray")
        except ImportError:
            raise Unavailable("Ray is not installed", hint="install the extra: pip install 'gnomon[ray]'") from None
        if not self._ray.is_initialized():
            self._ray.init(address=address, log_to_driver=False, runtime_env={"env_vars": dict(ONE_THREAD)})

    def map(
        self, fn: Callable[[Any], Any], items: Mapping[str, Any], *, timeout_s: float | None = None
    ) -> Iterator[Mapped]:
        flight = _Flight(self._ray, fn, timeout_s)
        try:
            yield from flight.run(items)
        finally:
            flight.cancel()


class _Flight:
    """The tasks of one `map` that are on the cluster: no more than it has CPUs, so that waiting is not counted."""

    def __init__(self, ray: Any, fn: Callable[[Any], Any], timeout_s: float | None) -> None:
        self._ray, self._fn, self._timeout_s = ray, fn, timeout_s
        self._task = ray.remote(_outcome).options(num_cpus=1, max_retries=TRIES - 1)
        self._size = max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._running: dict[Any, tuple[str, float]] = {}
        self._done: dict[str, Mapped] = {}

    def run(self, items: Mapping[str, Any]) -> Iterator[Mapped]:
        waiting = deque(items)
        for key in items:
            while key not in self._done:
                while waiting and len(self._running) < self._size:
                    self._send(waiting[0], items[waiting.popleft()])
                if self._running:
                    self._look()
            yield self._done.pop(key)

    def cancel(self) -> None:
        for ref in self._running:
            self._ray.cancel(ref, force=True)
        self._running.clear()

    def _send(self, key: str, item: Any) -> None:
        try:
            self._running[self._task.remote(self._fn, item)] = key, time.monotonic()
        except Exception as error:
            self._fail(key, Invalid(f"item {key!r} cannot be sent to another process: {error}", hint=_SEND))

    def _look(self) -> None:
        patience_s = None
        if self._timeout_s is not None:
            first_s = min(since_s for _, since_s in self._running.values())
            patience_s = max(0.0, first_s + self._timeout_s - time.monotonic())
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=patience_s)
        for ref in ready:
            self._take(ref, self._running.pop(ref)[0])
        for ref, (key, since_s) in list(self._running.items()):
            if self._timeout_s is not None and time.monotonic() >= since_s + self._timeout_s:
                del self._running[ref]
                self._ray.cancel(ref, force=True)
                self._fail(key, _too_slow(key, self._timeout_s))

    def _take(self, ref: Any, key: str) -> None:
        try:
            self._done[key] = Mapped(key, *self._ray.get(ref))
        except self._ray.exceptions.RayTaskError as error:
            self._fail(key, Invalid(f"item {key!r} or its result cannot be sent: {error.cause}", hint=_SEND))
        except self._ray.exceptions.RayError as error:
            self._fail(key, _died(key, type(error).__name__))

    def _fail(self, key: str, error: GnomonError) -> None:
        self._done[key] = Mapped(key, None, error.document())


def _too_slow(key: str, timeout_s: float) -> Exhausted:
    message = f"item {key!r} took longer than {timeout_s:g} s: its process was killed"
    return Exhausted(message, hint="give it more time, or make it smaller")


def _died(key: str, how: str) -> Unavailable:
    message = f"item {key!r}: its process died {TRIES} times, at last by {how}"
    return Unavailable(message, hint="it may need more memory than there is")
