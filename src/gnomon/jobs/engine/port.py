"""The port of work that must happen later, once, and survive a crash. What a handler is given is `Work`.

A job is `kind:key`; the same id is the same job, whatever its state. A handler's body is deterministic: the clock,
chance, the network and files only inside steps, whose outcomes are kept and never computed twice once they are.

| state     | means                                                    |
|-----------|----------------------------------------------------------|
| waiting   | in its queue                                             |
| delayed   | not before an instant                                    |
| running   | a worker has it                                          |
| done      | finished                                                 |
| partial   | finished; some of its items failed and are listed        |
| failed    | gave up, with the reason                                 |
| cancelled | stopped on request, at a step boundary; may be resumed   |
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeVar, get_args

from sqlalchemy import Connection

from gnomon.errors import Exhausted, GnomonError, Invalid, NotFound, Unavailable

State = Literal["waiting", "delayed", "running", "done", "partial", "failed", "cancelled"]
STATES: Final[tuple[State, ...]] = get_args(State)
FINISHED: Final[frozenset[State]] = frozenset({"done", "partial", "failed", "cancelled"})

Json = Any
"""What `json` can write: steps, arguments and results are small JSON, never arrays of numbers or paths."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job:
    """What `enqueue` answers. `created` is False when the id was there already: then nothing changed."""

    id: str
    kind: str
    key: str
    state: State
    created: bool


@dataclass(frozen=True, slots=True)
class Progress:
    done: int
    total: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class StepStatus:
    """One step that has completed, in the order of completion."""

    number: int
    name: str
    started_ns: int | None
    finished_ns: int | None
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job as it stands. `error` is the document of an error of the tree."""

    id: str
    kind: str
    key: str
    state: State
    queue: str
    args: Mapping[str, Any]
    priority: int
    attempts: int
    created_ns: int
    started_ns: int | None
    finished_ns: int | None
    executor: str = ""
    parent: str = ""
    children: tuple[str, ...] = ()
    steps: tuple[StepStatus, ...] = ()
    progress: Progress | None = None
    result: Json = None
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened within a job; `number` counts from 1 and orders them."""

    number: int
    at_ns: int
    kind: Literal["step", "progress"]
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs to list, newest first; empty means any. `text` is looked for in the id."""

    kind: str = ""
    states: tuple[State, ...] = ()
    queue: str = ""
    text: str = ""
    first_ns: int | None = None
    last_ns: int | None = None
    limit: int = 100
    offset: int = 0


class Jobs(Protocol):
    """The door to durable work. Raises `NotFound` for an unknown id or kind, `Conflict` for an illegal transition."""

    def enqueue(
        self,
        kind: str,
        key: str,
        args: Mapping[str, Any],
        *,
        queue: str | None = None,
        priority: int = 0,
        delay_s: float = 0.0,
    ) -> Job:
        """The job `kind:key`, new or existing. Lower priorities run first; the queue is the kind's own unless given."""
        ...

    def status(self, id: str) -> JobStatus: ...  # noqa: A002 - the word for it

    def find(self, which: JobFilter) -> list[JobStatus]:
        """Jobs without their steps, newest first."""
        ...

    def cancel(self, id: str, *, children: bool = True) -> None:  # noqa: A002 - the word for it
        """Takes effect at the next step boundary; a running step may finish. `Conflict` when it has finished."""
        ...

    def resume(self, id: str, *, retry: bool = False) -> None:  # noqa: A002 - the word for it
        """A cancelled or orphaned job goes on from its first unfinished step, on its own queue; with `retry` a failed
        one restarts in place at the failing step. `Conflict` otherwise."""
        ...

    def events(self, id: str, *, after: int = 0) -> Iterator[JobEvent]:  # noqa: A002 - the word for it
        """Step completions and progress that are there by now, in order, beyond a number."""
        ...

    def prune(self, *, done_before_ns: int, failed_before_ns: int) -> int:
        """Forget jobs that finished (done, partial, cancelled) or failed before these instants; how many went."""
        ...


class Work(Protocol):
    """What a handler is given: its job, and the only ways to do anything that must not happen twice."""

    @property
    def id(self) -> str: ...

    @property
    def key(self) -> str: ...

    @property
    def args(self) -> Mapping[str, Any]: ...

    @property
    def due_ns(self) -> int:
        """The nominal time of the tick that made the job; for one enqueued by hand, when it was enqueued."""
        ...

    def now_ns(self) -> int:
        """The time, kept as a step: the same when the job is taken up again."""
        ...

    def step(self, name: str, fn: Callable[..., T], *args: Any) -> T:
        """Run `fn(*args)` once it has not run yet, and keep what it answers (small JSON). At least once."""
        ...

    def each(self, name: str, items: Sequence[Json], fn: Callable[[Json], Json], *, parallel: int = 1) -> list[Outcome]:
        """A step for each item, in order of the items. An item that fails is listed; the others go on."""
        ...

    def tx(self, name: str, fn: Callable[[Connection], T]) -> T:
        """Run `fn` in one transaction of the store's database, exactly once, fenced: see `store.engine`."""
        ...

    def child(
        self, kind: str, key: str, args: Mapping[str, Any], *, queue: str | None = None, delay_s: float = 0.0
    ) -> str:
        """Enqueue a child (id `kind:key`), perhaps not before a while, and answer its id."""
        ...

    def wait(self, ids: Sequence[str]) -> list[JobStatus]:
        """Wait until all of these jobs have finished."""
        ...

    def slot(self, name: str) -> AbstractContextManager[None]:
        """Hold a lease (e.g. `gpu:cuda:0`) during the block, inside a step; waits for it, renews it, gives it back."""
        ...

    def progress(self, done: int, total: int, note: str = "") -> None: ...

    @property
    def cancelled(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item of `each`."""

    item: Json
    result: Json = None
    error: Mapping[str, Any] | None = None

    @property
    def ok(self) -> bool:
        return self.error is None


@dataclass(frozen=True, slots=True)
class Partial:
    """What a handler returns when some of its items failed: the job is `partial`, with the list."""

    result: Json
    failed: tuple[Mapping[str, Any], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Retries:
    """How a step that fails is tried again: `Unavailable` and `Exhausted` alone, after base·2ⁿ seconds, at most cap."""

    attempts: int = 8
    base_s: float = 5.0
    cap_s: float = 600.0

    def delay_s(self, attempt: int) -> float:
        """Seconds before attempt `attempt` + 1 (the first attempt is 1)."""
        return float(min(self.cap_s, self.base_s * 2.0 ** (attempt - 1)))

    @staticmethod
    def worth_it(error: BaseException) -> bool:
        return isinstance(error, Unavailable | Exhausted)


@dataclass(frozen=True, slots=True)
class Handler:
    """One kind of job: the function that does it, the queue it waits in."""

    kind: str
    run: Callable[[Work], Json | Partial]
    queue: str = "cpu"
    retries: Retries = field(default=Retries())


@dataclass(frozen=True, slots=True)
class Queue:
    """A line of waiting jobs. `limit` holds over all workers, `worker_limit` within one; None means no limit."""

    name: str
    limit: int | None = None
    worker_limit: int | None = None
    rate: tuple[int, float] | None = None  # jobs started within seconds


class Handlers:
    """The kinds of jobs that an engine knows."""

    def __init__(self, handlers: Sequence[Handler]) -> None:
        self._by_kind = {one.kind: one for one in handlers}
        if len(self._by_kind) != len(handlers):
            raise Invalid("a kind of job stands twice", hint="one handler a kind")

    def __iter__(self) -> Iterator[Handler]:
        return iter(self._by_kind.values())

    def get(self, kind: str) -> Handler:
        try:
            return self._by_kind[kind]
        except KeyError:
            raise NotFound(f"no kind of job {kind!r}", hint=f"one of {', '.join(sorted(self._by_kind))}") from None


LARGEST_OUTPUT_BYTES: Final = 65_536


def small_json(value: Json) -> Json:
    """What the value is after a trip through JSON; `Invalid` for what JSON cannot hold, and for more than 64 KB."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Invalid(f"a step answers JSON: {error}", hint="return ids, counts and names") from None
    if len(text) > LARGEST_OUTPUT_BYTES:
        raise Invalid(
            f"a step answered {len(text):,} bytes of JSON, at most {LARGEST_OUTPUT_BYTES:,} are kept",
            hint="store the rows and return their ids or a count",
        )
    return json.loads(text)


def chosen_jobs(jobs: Sequence[JobStatus], which: JobFilter) -> list[JobStatus]:
    """The jobs that a filter lets through, newest first, one page of them."""
    found = [
        one
        for one in jobs
        if (not which.kind or one.kind == which.kind)
        and (not which.states or one.state in which.states)
        and (not which.queue or one.queue == which.queue)
        and which.text in one.id
        and (which.first_ns is None or one.created_ns >= which.first_ns)
        and (which.last_ns is None or one.created_ns < which.last_ns)
    ]
    found.sort(key=lambda one: (-one.created_ns, one.id))
    return found[which.offset : which.offset + which.limit]


def error_document(error: BaseException) -> dict[str, Any]:
    """The outside shape of any error: of the tree as it is, of another with its type."""
    if isinstance(error, GnomonError):
        return error.document()
    return {"error": "failure", "message": f"{type(error).__name__}: {error}", "hint": "a fault of ours", "detail": {}}
