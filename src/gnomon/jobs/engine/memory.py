"""The jobs of one process, in memory, on a simulated clock: for tests, for the docs, for simulated weeks.

The same port and the same states as the durable engine. Nothing survives the process.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

from sqlalchemy import Connection, Engine

from gnomon.clock import SimClock
from gnomon.errors import Conflict, GnomonError, NotFound, Unavailable
from gnomon.jobs.engine.attempts import pause_s
from gnomon.jobs.engine.port import (
    FINISHED,
    Handler,
    Handlers,
    Job,
    JobEvent,
    JobFilter,
    JobStatus,
    Json,
    Outcome,
    Partial,
    Progress,
    State,
    StepStatus,
    chosen_jobs,
    error_document,
    small_json,
)
from gnomon.store.engine import joined
from gnomon.units import SECOND_NS

T = TypeVar("T")

_NEVER: Final = object()


class _Cancelled(BaseException):
    """Unwinds a handler at a step boundary."""


@dataclass(slots=True)
class _Record:
    """A job with all that was kept of it."""

    id: str
    handler: Handler
    key: str
    args: dict[str, Any]
    queue: str
    priority: int
    created_ns: int
    ready_ns: int
    number: int
    state: State = "waiting"
    parent: str = ""
    attempts: int = 0
    tries: int = 0  # of the step that failed last
    started_ns: int | None = None
    finished_ns: int | None = None
    result: Json = None
    error: Mapping[str, Any] | None = None
    outcomes: list[tuple[str, Json]] = field(default_factory=list)  # of steps that succeeded, in order
    steps: list[StepStatus] = field(default_factory=list)
    events: list[JobEvent] = field(default_factory=list)
    children: list[str] = field(default_factory=list)
    progress: Progress | None = None
    is_cancelling: bool = False


class MemoryJobs:
    """Jobs that `run_due` runs in the caller's thread, by priority and age."""

    def __init__(self, handlers: Handlers, clock: SimClock, store_engine: Engine | None = None) -> None:
        self._handlers, self._clock, self._engine = handlers, clock, store_engine
        self._records: dict[str, _Record] = {}

    # --- the port ---------------------------------------------------------------------------------------------------

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
        handler = self._handlers.get(kind)
        id_ = f"{kind}:{key}"
        known = self._records.get(id_)
        if known is None:
            now_ns = self._clock.now_ns()
            self._records[id_] = known = _Record(
                id=id_,
                handler=handler,
                key=key,
                args=dict(small_json(dict(args))),
                queue=queue or handler.queue,
                priority=priority,
                created_ns=now_ns,
                ready_ns=now_ns + int(delay_s * SECOND_NS),
                number=len(self._records),
                state="delayed" if delay_s > 0 else "waiting",
            )
            return Job(id_, kind, key, known.state, True)
        return Job(id_, kind, key, known.state, False)

    def status(self, id: str) -> JobStatus:  # noqa: A002 - the word for it
        one = self._record(id)
        return JobStatus(
            id=one.id,
            kind=one.handler.kind,
            key=one.key,
            state=one.state,
            queue=one.queue,
            args=one.args,
            priority=one.priority,
            attempts=one.attempts,
            created_ns=one.created_ns,
            started_ns=one.started_ns,
            finished_ns=one.finished_ns,
            executor="memory",
            parent=one.parent,
            children=tuple(one.children),
            steps=tuple(one.steps),
            progress=one.progress,
            result=one.result,
            error=one.error,
        )

    def find(self, which: JobFilter) -> list[JobStatus]:
        return chosen_jobs([self.status(id_) for id_ in self._records], which)

    def cancel(self, id: str, *, children: bool = True) -> None:  # noqa: A002 - the word for it
        one = self._record(id)
        if one.state in FINISHED:
            raise Conflict(f"job {id} is {one.state}", hint="only a job that has not finished can be cancelled")
        for child in one.children if children else ():
            if self._records[child].state not in FINISHED:
                self.cancel(child)
        one.is_cancelling = True
        if one.state != "running":
            self._finish(one, "cancelled")

    def resume(self, id: str, *, retry: bool = False) -> None:  # noqa: A002 - the word for it
        one = self._record(id)
        if one.state != ("failed" if retry else "cancelled"):
            wanted = "a failed job can be retried" if retry else "a cancelled or orphaned job can be resumed"
            raise Conflict(f"job {id} is {one.state}", hint=f"only {wanted}")
        one.state, one.error, one.is_cancelling, one.finished_ns = "waiting", None, False, None
        one.ready_ns = self._clock.now_ns()

    def events(self, id: str, *, after: int = 0) -> Iterator[JobEvent]:  # noqa: A002 - the word for it
        return iter([one for one in self._record(id).events if one.number > after])

    def prune(self, *, done_before_ns: int, failed_before_ns: int) -> int:
        old = [
            one.id
            for one in self._records.values()
            if one.finished_ns is not None
            and one.finished_ns < (failed_before_ns if one.state == "failed" else done_before_ns)
        ]
        for id_ in old:
            del self._records[id_]
        return len(old)

    # --- running ----------------------------------------------------------------------------------------------------

    def run_due(self) -> int:
        """Run what is waiting and due, the highest priority and the oldest first, until nothing is left; how many."""
        count = 0
        while (one := self._next()) is not None:
            self._run(one)
            count += 1
        return count

    def next_ready_ns(self) -> int | None:
        """When the next waiting job is due, or None."""
        return min(
            (one.ready_ns for one in self._records.values() if one.state in ("waiting", "delayed")), default=None
        )

    def _next(self) -> _Record | None:
        now_ns = self._clock.now_ns()
        due = [
            (one.priority, one.number, one)
            for one in self._records.values()
            if one.state in ("waiting", "delayed") and one.ready_ns <= now_ns
        ]
        return heapq.nsmallest(1, due, key=lambda item: item[:2])[0][2] if due else None

    def _run(self, one: _Record) -> None:
        one.state, one.attempts = "running", one.attempts + 1
        one.started_ns = one.started_ns or self._clock.now_ns()
        try:
            answer = one.handler.run(MemoryWork(self, one))
        except _Cancelled:
            self._finish(one, "cancelled")
        except _Paused:
            one.state = "delayed"
        except Exception as error:
            one.error = error_document(error)
            self._finish(one, "failed")
        else:
            partial = isinstance(answer, Partial)
            one.result = small_json({"result": answer.result, "failed": list(answer.failed)} if partial else answer)
            self._finish(one, "partial" if partial else "done")

    def _finish(self, one: _Record, state: State) -> None:
        one.state, one.finished_ns = state, self._clock.now_ns()

    def _record(self, id_: str) -> _Record:
        try:
            return self._records[id_]
        except KeyError:
            raise NotFound(f"no job {id_!r}", hint="`gnomon jobs list` shows what there is") from None


class _Paused(BaseException):
    """Unwinds a handler whose step waits for another try, or whose children have not finished."""


class MemoryWork:
    """What a handler of `MemoryJobs` is given."""

    def __init__(self, jobs: MemoryJobs, record: _Record) -> None:
        self._jobs, self._one, self._position = jobs, record, 0

    @property
    def id(self) -> str:
        return self._one.id

    @property
    def key(self) -> str:
        return self._one.key

    @property
    def args(self) -> Mapping[str, Any]:
        return self._one.args

    @property
    def due_ns(self) -> int:
        return int(self._one.args.get("due_ns", self._one.created_ns))

    @property
    def cancelled(self) -> bool:
        return self._one.is_cancelling

    def now_ns(self) -> int:
        return int(self.step("clock", self._jobs._clock.now_ns))

    def step(self, name: str, fn: Callable[..., T], *args: Any) -> T:
        if self._one.is_cancelling:
            raise _Cancelled
        kept = self._kept(name)
        if kept is not _NEVER:
            return cast(T, kept)
        started_ns = self._jobs._clock.now_ns()
        try:
            answer = small_json(fn(*args))
        except Exception as error:
            self._try_again(error)
            raise
        self._one.tries = 0
        self._keep(name, answer, started_ns)
        return cast(T, answer)

    def each(self, name: str, items: Sequence[Json], fn: Callable[[Json], Json], *, parallel: int = 1) -> list[Outcome]:  # noqa: ARG002 - one thread here
        def one(item: Json) -> dict[str, Any]:
            try:
                return {"result": fn(item)}
            except Exception as error:
                if self._one.handler.retries.worth_it(error):
                    raise
                return {"error": error_document(error)}

        found = []
        for number, item in enumerate(items):
            try:
                kept = self.step(f"{name} {number}", one, item)
            except GnomonError as error:
                kept = {"error": error_document(error)}
                self._keep(f"{name} {number}", kept, self._jobs._clock.now_ns())
            found.append(Outcome(item, kept.get("result"), kept.get("error")))
        return found

    def tx(self, name: str, fn: Callable[[Connection], T]) -> T:
        engine = self._jobs._engine
        if engine is None:
            raise Unavailable("a transaction needs a database", hint="give MemoryJobs the store's engine")

        def once() -> T:
            with joined(engine) as connection:
                return fn(connection)

        return self.step(name, once)

    def child(
        self, kind: str, key: str, args: Mapping[str, Any], *, queue: str | None = None, delay_s: float = 0.0
    ) -> str:
        def make() -> str:
            job = self._jobs.enqueue(kind, key, args, queue=queue, delay_s=delay_s)
            if job.id not in self._one.children:
                self._one.children.append(job.id)
                self._jobs._records[job.id].parent = self._one.id
            return job.id

        return self.step(f"child {kind}:{key}", make)

    def wait(self, ids: Sequence[str]) -> list[JobStatus]:
        """The handler lets go of the thread, and is taken up again behind those it waits for."""
        open_ = [self._jobs._record(one) for one in ids]
        open_ = [one for one in open_ if one.state not in FINISHED]
        if open_:
            self._one.ready_ns = max(self._jobs._clock.now_ns(), min(one.ready_ns for one in open_))
            self._one.number += len(self._jobs._records)
            raise _Paused
        return [self._jobs.status(one) for one in ids]

    @contextmanager
    def slot(self, name: str) -> Iterator[None]:  # noqa: ARG002 - one job at a time here
        yield

    def progress(self, done: int, total: int, note: str = "") -> None:
        self._one.progress = Progress(done, total, note)
        document = {"done": done, "total": total, "note": note}
        self._note("progress", document)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _kept(self, name: str) -> Any:
        if self._position >= len(self._one.outcomes):
            return _NEVER
        kept_name, answer = self._one.outcomes[self._position]
        assert kept_name == name, f"step {name!r} where {kept_name!r} was before: the body is not deterministic"
        self._position += 1
        return answer

    def _keep(self, name: str, answer: Json, started_ns: int) -> None:
        self._one.outcomes.append((name, answer))
        self._position += 1
        now_ns = self._jobs._clock.now_ns()
        self._one.steps.append(StepStatus(len(self._one.steps) + 1, name, started_ns, now_ns))
        self._note("step", {"name": name})

    def _note(self, kind: Any, document: dict[str, Any]) -> None:
        events = self._one.events
        events.append(JobEvent(len(events) + 1, self._jobs._clock.now_ns(), kind, document))

    def _try_again(self, error: Exception) -> None:
        """Put the job off, if the step is worth another try: its finished steps are not repeated then."""
        retries = self._one.handler.retries
        self._one.tries += 1
        if not retries.worth_it(error) or self._one.tries >= retries.attempts:
            self._one.tries = 0
            return
        delay_ns = int(pause_s(error, retries, self._one.tries) * SECOND_NS)
        self._one.ready_ns = self._jobs._clock.now_ns() + delay_ns
        raise _Paused from error
