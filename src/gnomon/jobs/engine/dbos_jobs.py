"""Durable jobs on DBOS Transact: the only module that knows it.

One workflow function runs every kind of job; the workflow's id is the job's. `DbosJobs` is the port as a client of the
system database: it needs no running engine, so doors and verbs use it beside the workers. `DbosEngine` runs the work.

Outcomes are JSON, errors are the documents of our tree: nothing is ever pickled.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from dbos import DBOS, DBOSClient
from dbos._dbos import _get_dbos_instance
from dbos._error import DBOSException, DBOSWorkflowCancelledError, DBOSWorkflowIDInUseError
from dbos._serialization import Serializer
from sqlalchemy import Connection, Engine
from sqlalchemy.engine import make_url

from gnomon.clock import Clock, iso
from gnomon.errors import Conflict, GnomonError, Invalid, NotFound, Refused, Unavailable
from gnomon.jobs.engine.attempts import attempt
from gnomon.jobs.engine.lock import EngineLock
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
    Queue,
    State,
    StepStatus,
    error_document,
    small_json,
)
from gnomon.store.engine import Fence, errors_of, fenced, joined
from gnomon.store.job_notes import JobNotes, keep_outcome, outcome_of
from gnomon.store.leases import Lease, LeaseStore
from gnomon.store.workers import Claim, fence_of
from gnomon.units import SECOND_NS

T = TypeVar("T")

VERSION: Final = "jobs-1"
"""Raised only when a handler's sequence of steps changes: jobs of the version before must be drained first."""

SCHEMA: Final = "dbos"
POLL_S: Final = 0.1
EXIT_FENCED: Final = 70
_WORKFLOW: Final = "gnomon_job"
_MS: Final = 1_000_000
_STATES: Final[dict[str, State]] = {
    "ENQUEUED": "waiting",
    "DELAYED": "delayed",
    "PENDING": "running",
    "SUCCESS": "done",
    "ERROR": "failed",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "failed",
    "CANCELLED": "cancelled",
}
_NOTES_A_STEP: Final = 1_000
"""Numbers of events: a thousand a step, so that progress between two steps has its place."""


def system_url(store_url: str) -> str:
    """Where the engine keeps its own tables: `gnomon-jobs.db` beside SQLite's `gnomon.db`, the same PostgreSQL else."""
    url = make_url(store_url)
    if url.drivername.startswith("sqlite"):
        path = Path(str(url.database)).expanduser()
        return f"sqlite:///{path.with_name(f'{path.stem}-jobs{path.suffix}')}"
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


# --- JSON -----------------------------------------------------------------------------------------------------


class JsonSerializer(Serializer):
    """Arguments, outcomes and errors as JSON text."""

    def serialize(self, data: Any) -> str:
        return json.dumps(data, default=_plain)

    def deserialize(cls, serialized_data: str) -> Any:  # noqa: N805 - the base class spells it so
        return json.loads(serialized_data, object_hook=_revived)

    def name(self) -> str:
        return "gnomon_json"


class Failure(Exception):
    """An error that is not of our tree, as it was kept."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(str(document.get("message", "")))
        self.document = dict(document)


def _plain(value: Any) -> Any:
    if isinstance(value, Failure):
        return {"$error": value.document}
    if isinstance(value, BaseException):
        return {"$error": error_document(value)}
    raise TypeError(f"{type(value).__name__} is not JSON")


_KINDS: Final = {kind.code: kind for kind in GnomonError.__subclasses__()}


def _revived(found: dict[str, Any]) -> Any:
    if set(found) != {"$error"}:
        return found
    document = found["$error"]
    kind = _KINDS.get(document.get("error", ""))
    if kind is None:
        return Failure(document)
    return kind(document["message"], hint=document.get("hint", ""), detail=document.get("detail", {}))


def _document_of(error: BaseException | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return error.document if isinstance(error, Failure) else error_document(error)


# --- the port -----------------------------------------------------------------------------------------------------


class DbosJobs:
    """The port over the system database. Close it when done: it holds connections."""

    def __init__(self, url: str, store_engine: Engine, handlers: Handlers, clock: Clock) -> None:
        prepare(url)
        self._handlers, self._clock = handlers, clock
        self._notes = JobNotes(store_engine)
        client = DBOSClient(
            system_database_url=url,
            dbos_system_schema=SCHEMA,
            serializer=JsonSerializer(),
            application_name="gnomon",
            lazy=True,
            retry_connection_errors=False,  # a door says that the database is gone, it does not wait for it
        )
        self._client = cast(DBOSClient, _Answering(client, store_engine))

    def close(self) -> None:
        self._client.destroy()

    def __enter__(self) -> DbosJobs:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
        options = _options(handler, key, queue, priority, delay_s)
        try:
            self._client.enqueue(cast(Any, options), kind, key, small_json(dict(args)), options["queue_name"])
        except DBOSWorkflowIDInUseError:
            return Job(options["workflow_id"], kind, key, self.status(options["workflow_id"]).state, False)
        return Job(options["workflow_id"], kind, key, "delayed" if delay_s > 0 else "waiting", True)

    def status(self, id: str) -> JobStatus:  # noqa: A002 - the word for it
        found = self._client.list_workflows(workflow_ids=[id])
        if not found:
            raise NotFound(f"no job {id!r}", hint="`gnomon jobs list` shows what there is")
        steps = self._client.list_workflow_steps(id)
        children = self._client.list_workflows(parent_workflow_id=id, load_input=False, load_output=False)
        return _status(
            found[0],
            steps=tuple(_step(one) for one in steps or ()),
            children=tuple(one.workflow_id for one in children),
            progress=self._notes.newest([id]).get(id),
        )

    def find(self, which: JobFilter) -> list[JobStatus]:
        """Jobs by state `partial` are told from `done` ones by their results, which are read for it."""
        wanted = [name for name, state in _STATES.items() if state in which.states] if which.states else None
        if which.states and "partial" in which.states and "done" not in which.states:
            wanted = [*(wanted or []), "SUCCESS"]
        page = self._client.list_workflows(
            status=wanted,
            queue_name=which.queue or None,
            workflow_id_prefix=f"{which.kind}:" if which.kind else None,
            start_time=None if which.first_ns is None else iso(which.first_ns),
            end_time=None if which.last_ns is None else iso(which.last_ns - 1),
            limit=None if which.text or which.states else which.limit + which.offset,
            sort_desc=True,
        )
        found = [_status(one) for one in page if which.text in one.workflow_id]
        found = [one for one in found if not which.states or one.state in which.states]
        return found[which.offset : which.offset + which.limit]

    def cancel(self, id: str, *, children: bool = True) -> None:  # noqa: A002 - the word for it
        one = self.status(id)
        if one.state in FINISHED:
            raise Conflict(f"job {id} is {one.state}", hint="only a job that has not finished can be cancelled")
        # The library would throw away the outcome of the step that is running; a job that is asked keeps it. The parent
        # is asked first: it might take the end of its children for theirs.
        self._notes.ask_to_stop(id, self._clock.now_ns())
        for child in one.children if children else ():
            with suppress(Conflict):  # it may have finished since
                self.cancel(child)
        if one.state != "running":
            self._client.cancel_workflow(id)

    def stop(self, id: str) -> None:  # noqa: A002 - the word for it
        """Mark a job cancelled at once: for the job itself, between two of its steps."""
        self._client.cancel_workflow(id)

    def resume(self, id: str, *, retry: bool = False) -> None:  # noqa: A002 - the word for it
        """Always on the job's own queue: elsewhere it would run past the queue's limit."""
        one = self.status(id)
        if retry:
            if one.state != "failed":
                raise Conflict(f"job {id} is {one.state}", hint="only a failed job can be retried")
            failing = [step.number for step in one.steps if step.error is not None]
            start = failing[-1] if failing else len(one.steps) + 1
            self._client.rewind_workflow(id, start_step=start, queue_name=one.queue)
            return
        if one.state not in ("cancelled", "running"):
            raise Conflict(f"job {id} is {one.state}", hint="only a cancelled or orphaned job can be resumed")
        self._notes.let_go_on(id)
        self._client.resume_workflow(id, queue_name=one.queue)

    def running(self, executor_id: str, version: str) -> set[str]:
        """The jobs that an executor has, by a version of the code."""
        rows = self._client.list_workflows(
            status="PENDING", executor_id=executor_id, app_version=version, load_input=False, load_output=False
        )
        return {one.workflow_id for one in rows}

    def in_flight(self) -> dict[str, int]:
        """How many jobs have not finished, by the version of the code that began them; '' for those to begin."""
        rows = self._client.list_workflows(
            status=["ENQUEUED", "DELAYED", "PENDING"], load_input=False, load_output=False
        )
        return dict(Counter(one.app_version or "" for one in rows))

    def events(self, id: str, *, after: int = 0) -> Iterator[JobEvent]:  # noqa: A002 - the word for it
        steps = [
            JobEvent(_NOTES_A_STEP * one.number, one.finished_ns or 0, "step", {"name": one.name, "error": one.error})
            for one in self.status(id).steps
        ]
        notes = [JobEvent(number, at_ns, "progress", text) for number, at_ns, text in self._notes.read(id, after=after)]
        return iter(sorted((one for one in (*steps, *notes) if one.number > after), key=lambda one: one.number))

    def prune(self, *, done_before_ns: int, failed_before_ns: int) -> int:
        count = 0
        for states, before_ns in (("SUCCESS", "CANCELLED"), done_before_ns), (_FAILED, failed_before_ns):
            while old := self._client.list_workflows(
                status=list(states),
                completed_before=iso(before_ns),
                load_input=False,
                load_output=False,
                limit=1_000,
            ):
                ids = [one.workflow_id for one in old]
                self._client.delete_workflows(ids)
                self._notes.forget(ids)
                count += len(ids)
        return count


class _Answering:
    """The library's client, whose database's failures are errors of ours."""

    def __init__(self, client: DBOSClient, engine: Engine) -> None:
        self._client, self._engine = client, engine

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def ask(*args: Any, **options: Any) -> Any:
            with errors_of(self._engine):
                return method(*args, **options)

        return ask


_FAILED: Final = ("ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")


def _options(handler: Handler, key: str, queue: str | None, priority: int, delay_s: float) -> dict[str, Any]:
    if not key or "\0" in key:
        raise Invalid(f"the key of a job: {key!r}", hint="give what makes it one job, e.g. 1h:2026-04-28T12:55:00Z")
    options: dict[str, Any] = {
        "workflow_name": _WORKFLOW,
        "queue_name": queue or handler.queue,
        "workflow_id": f"{handler.kind}:{key}",
        "workflow_id_reuse_policy": "reject",
        "application_name": "gnomon",
    }
    if priority:
        options["priority"] = priority
    if delay_s > 0:
        options["delay_seconds"] = delay_s
    return options


def _status(
    one: Any,
    *,
    steps: tuple[StepStatus, ...] = (),
    children: tuple[str, ...] = (),
    progress: Mapping[str, Any] | None = None,
) -> JobStatus:
    kind, _, key = one.workflow_id.partition(":")
    output = one.output if isinstance(one.output, dict) else {}
    state = _STATES[one.status]
    given, queue = one.input["args"][2:4] if one.input else ({}, one.queue_name)  # a cancelled row forgets its queue
    return JobStatus(
        id=one.workflow_id,
        kind=kind,
        key=key,
        state="partial" if state == "done" and output.get("state") == "partial" else state,
        queue=queue or "",
        args=given,
        priority=one.priority or 0,
        attempts=one.recovery_attempts or 0,
        created_ns=(one.created_at or 0) * _MS,
        started_ns=None if one.dequeued_at is None else one.dequeued_at * _MS,
        finished_ns=None if one.completed_at is None else one.completed_at * _MS,
        executor=one.executor_id or "",
        parent=one.parent_workflow_id or "",
        children=children,
        steps=steps,
        progress=None if progress is None else Progress(**progress),
        result=output.get("result"),
        error=_document_of(one.error),
    )


def _step(one: Any) -> StepStatus:
    started, finished = one["started_at_epoch_ms"], one["completed_at_epoch_ms"]
    return StepStatus(
        number=one["function_id"],
        name=one["function_name"],
        started_ns=None if started is None else started * _MS,
        finished_ns=None if finished is None else finished * _MS,
        error=_document_of(one["error"]),
    )


def prepare(url: str) -> None:
    """Make the system database what the engine needs: WAL in the SQLite file, its tables. Safe at any time."""
    _quiet()
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        path.parent.mkdir(parents=True, exist_ok=True)
        with sqlite3.connect(path, timeout=30) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
    try:
        DBOS.migrate(url, schema=SCHEMA)
    except Exception as error:
        raise Unavailable(
            f"the jobs' database cannot be prepared: {type(error).__name__}: {error}",
            hint="is the server up, and may this user create the schema dbos?",
        ) from error


def _quiet() -> None:
    logging.getLogger("dbos").setLevel(logging.CRITICAL)  # a failure is in the status of its job


# --- the engine -----------------------------------------------------------------------------------------------------


class _Fast(sqlite3.Connection):
    """A connection whose commits survive a crash of the process but perhaps not of the machine."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA synchronous=NORMAL")


class DbosEngine:
    """Runs jobs in this process, one engine a process.

    `claim` is the worker's hold on its executor id: each step's writes are fenced by it. Without one (a test, a tool)
    nothing is fenced.
    """

    def __init__(
        self,
        store_engine: Engine,
        url: str,
        handlers: Handlers,
        queues: Sequence[Queue],
        *,
        clock: Clock,
        executor_id: str = "worker-0",
        version: str = VERSION,
        listen: Sequence[str] | None = None,
        leases: LeaseStore | None = None,
        fast: bool = False,
    ) -> None:
        self.store_engine, self.url, self.handlers, self.clock = store_engine, url, handlers, clock
        self.executor_id, self.version, self.fast = executor_id, version, fast
        self._queues, self._listen = queues, listen
        self._limits = {one.name: one.limit for one in queues if one.limit is not None}
        self.leases = leases or LeaseStore(store_engine)
        self.notes = JobNotes(store_engine)
        self.claim: Claim | None = None
        self.stopping = threading.Event()
        self.on_fenced: Callable[[GnomonError], None] = _exit
        self._lock: EngineLock | None = None
        self._jobs: DbosJobs | None = None
        self._orphans: set[str] = set()

    @property
    def jobs(self) -> DbosJobs:
        """The port, as long as the engine runs."""
        assert self._jobs is not None, "the engine is not running"
        return self._jobs

    @property
    def is_newest(self) -> bool:
        """Whether no newer version of the code has worked on these jobs: only the newest begins what nobody began."""
        with errors_of(self.store_engine):
            return str(DBOS.get_latest_application_version()["version_name"]) == self.version

    def start(self) -> None:
        """Take the lock (SQLite), register the queues, begin to claim jobs. `Conflict` when another engine has it."""
        if self.url.startswith("sqlite"):
            path = Path(self.url.removeprefix("sqlite:///"))
            self._lock = EngineLock(path.with_name(f"{path.name}.lock"))
            self._lock.take(self.executor_id, self.clock)
        try:
            prepare(self.url)
            self._launch()
        except BaseException:
            self._unlock()
            raise

    def stop(self, *, finish_within_s: float = 25.0) -> None:
        """Stop claiming, let running steps end, give back what is left to whoever takes it up next."""
        self.stopping.set()
        DBOS.destroy(workflow_completion_timeout_sec=int(finish_within_s), destroy_registry=True)
        if self._jobs is not None:
            self._jobs.close()
            self._jobs = None
        self._unlock()

    def recover(self, executor_ids: Sequence[str]) -> int:
        """Put the running jobs of executors that are gone back on their queues; how many were offered."""
        ours = [one for one in executor_ids if one != self.executor_id]
        with errors_of(self.store_engine):
            return len(DBOS._recover_pending_workflows(ours)) if ours else 0

    def recover_own(self) -> int:
        """Put jobs back on their queues that are ours by the database and that nothing here runs any more: they ended
        while the database was gone, so that their end was not written. How many.

        Each has to be found twice: what was claimed this instant is not running yet.
        """
        found = self.jobs.running(self.executor_id, self.version)
        running = set(_get_dbos_instance()._active_workflows_set.activeList())
        orphans = found - running
        again, self._orphans = orphans & self._orphans, orphans
        for id_ in sorted(again):
            with suppress(Conflict):  # it may have been cancelled since
                self.jobs.resume(id_)
        return len(again)

    def __enter__(self) -> DbosEngine:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _launch(self) -> None:
        config: dict[str, Any] = {
            "name": "gnomon",
            "system_database_url": self.url,
            "dbos_system_schema": SCHEMA,
            "executor_id": self.executor_id,
            "application_version": self.version,
            "serializer": JsonSerializer(),
            "log_level": "CRITICAL",
            "enable_otlp": False,
            "run_migrations": False,
            "notification_listener_polling_interval_sec": POLL_S,
        }
        if self.fast and self.url.startswith("sqlite"):
            config["db_engine_kwargs"] = {"connect_args": {"factory": _Fast}}
        DBOS(config=cast(Any, config))

        def run(kind: str, key: str, args: dict[str, Any], queue: str) -> dict[str, Any]:
            with self._place_in(queue, f"{kind}:{key}") as held:
                return self._run(kind, key, args, held)

        DBOS.workflow(name=_WORKFLOW)(run)
        if self._listen is not None:
            DBOS.listen_queues(self._listen)
        # before the launch: a job that is taken up again begins at once
        self._jobs = DbosJobs(self.url, self.store_engine, self.handlers, self.clock)
        DBOS.launch()
        for queue in self._queues:
            DBOS.register_queue(
                queue.name,
                global_concurrency=queue.limit,
                worker_concurrency=queue.worker_limit,
                limiter=None if queue.rate is None else {"limit": queue.rate[0], "period": queue.rate[1]},
                polling_interval_sec=POLL_S,
            )

    def _run(self, kind: str, key: str, args: dict[str, Any], held: dict[str, int]) -> dict[str, Any]:
        """Every job's workflow: its handler, and what it answered with how it ended."""
        handler = self.handlers.get(kind)
        answer = handler.run(DbosWork(self, handler, f"{kind}:{key}", key, args, held))
        if isinstance(answer, Partial):
            result = small_json({"result": answer.result, "failed": list(answer.failed)})
            return {"state": "partial", "result": result}
        return {"state": "done", "result": small_json(answer)}

    @contextmanager
    def _place_in(self, queue: str, job_id: str) -> Iterator[dict[str, int]]:
        """One of the places of a queue with a limit over all workers, as a lease.

        The library claims the oldest jobs and lets the second of two claims fail on the same row; jobs of one
        millisecond have no order, so that two workers may each claim one. The queue is comfort, the lease is the truth.
        """
        limit = self._limits.get(queue)
        if limit is None or self.url.startswith("sqlite"):  # one engine counts for itself
            yield {}
            return
        places = [f"queue:{queue}:{n}" for n in range(limit)]
        with self.hold(places, job_id) as lease:
            yield {lease.slot: lease.epoch}

    @contextmanager
    def hold(self, slots: Sequence[str], job_id: str) -> Iterator[Lease]:
        """Wait for a lease of one of the slots; another thread renews it until the block ends."""
        lease = self._take(slots, job_id)
        done = threading.Event()
        renewal = threading.Thread(target=_renew, args=(self, lease, done), daemon=True)
        renewal.start()
        try:
            yield lease
        finally:
            done.set()
            renewal.join()
            with suppress(Unavailable):  # then it runs out by itself
                self.leases.release(lease)

    def _take(self, slots: Sequence[str], job_id: str) -> Lease:
        while True:
            for slot in slots:
                lease = self.patiently(partial(self.leases.take, slot, self.executor_id, job_id, self.clock))
                if lease is not None:
                    return lease
            self.pause(POLL_S / 2)

    def fence(self, held: dict[str, int]) -> Fence | None:
        return None if self.claim is None else fence_of(self.claim, held)

    def pause(self, seconds: float) -> None:
        """Sleep between two tries; a worker that stops does not wait them out, it leaves the job as it is."""
        if self.stopping.wait(seconds):
            raise Left

    def patiently(self, fn: Callable[[], T]) -> T:
        """What a job needs between its steps: a database that is gone is waited for, it fails no job."""
        while True:
            try:
                return fn()
            except Unavailable:
                self.pause(1.0)

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None


class Left(BaseException):
    """A job is left in the middle of a step, by a worker that stops. No `Exception`: nothing may write that it failed,
    for whoever takes it up goes on with it."""


def _exit(error: GnomonError) -> None:
    """A worker that was taken over must not write another byte, not even that its step failed."""
    sys.stderr.write(f"{error.message}\n")
    os._exit(EXIT_FENCED)


class DbosWork:
    """What a handler of the engine is given."""

    def __init__(
        self, engine: DbosEngine, handler: Handler, id_: str, key: str, args: dict[str, Any], held: dict[str, int]
    ) -> None:
        self._engine, self._handler = engine, handler
        self._id, self._key, self._args = id_, key, args
        self._held = held
        self._last_step = 0
        self._notes = 0

    @property
    def id(self) -> str:
        return self._id

    @property
    def key(self) -> str:
        return self._key

    @property
    def args(self) -> Mapping[str, Any]:
        return self._args

    @property
    def due_ns(self) -> int:
        if "due_ns" in self._args:
            return int(self._args["due_ns"])
        return self.step("due", lambda: self._engine.jobs.status(self._id).created_ns)

    @property
    def cancelled(self) -> bool:
        return self._engine.notes.is_asked_to_stop(self._id)

    def now_ns(self) -> int:
        return self.step("clock", self._engine.clock.now_ns)

    def step(self, name: str, fn: Callable[..., T], *args: Any) -> T:
        return cast(T, self._reserved(name, lambda: fn(*args))())

    def each(self, name: str, items: Sequence[Json], fn: Callable[[Json], Json], *, parallel: int = 1) -> list[Outcome]:
        def one(item: Json) -> Callable[[], Json]:
            return lambda: _caught(lambda: attempt(lambda: fn(item), self._handler.retries, self._engine.pause))

        steps = [self._reserved(f"{name} {n}", one(item), tries=False) for n, item in enumerate(items)]
        if parallel <= 1:
            kept = [step() for step in steps]
        else:
            contexts = [copy_context() for _ in steps]  # the engine's own context goes along into each thread
            with ThreadPoolExecutor(parallel) as pool:  # the steps were numbered before: their order is kept
                kept = list(pool.map(lambda pair: pair[0].run(pair[1]), zip(contexts, steps, strict=True)))
        return [Outcome(item, k.get("result"), k.get("error")) for item, k in zip(items, kept, strict=True)]

    def tx(self, name: str, fn: Callable[[Connection], T]) -> T:
        def once() -> T:
            with joined(self._engine.store_engine) as connection:
                happened, answer = outcome_of(connection, self._id, name)
                if not happened:
                    answer = small_json(fn(connection))
                    keep_outcome(connection, self._id, name, answer, self._engine.clock.now_ns())
                return cast(T, answer)

        return self.step(name, once)

    def child(
        self, kind: str, key: str, args: Mapping[str, Any], *, queue: str | None = None, delay_s: float = 0.0
    ) -> str:
        handler = self._engine.handlers.get(kind)
        options = _options(handler, key, queue, 0, delay_s) | {
            "workflow_id_reuse_policy": "return-existing",
            "app_version": self._engine.version,  # a tree of jobs is never done by two versions of the code
        }
        handle = DBOS.enqueue_workflow_with_options(
            cast(Any, options), kind, key, small_json(dict(args)), options["queue_name"]
        )
        return str(handle.workflow_id)

    def wait(self, ids: Sequence[str]) -> list[JobStatus]:
        """The parent keeps its place in its queue meanwhile: children wait in another one, or they never come on."""

        def poll() -> list[str]:
            while True:
                self._stop_if_asked()
                found = {one: self._engine.jobs.status(one).state for one in ids}
                if all(state in FINISHED for state in found.values()):
                    return sorted(found)
                self._engine.pause(POLL_S / 2)

        self.step("wait", poll)
        return [self._engine.jobs.status(one) for one in ids]

    @contextmanager
    def slot(self, name: str) -> Iterator[None]:
        """Hold a lease; another thread renews it. Writes inside are fenced by it."""
        with self._engine.hold([name], self._id) as lease:
            self._held[name] = lease.epoch
            try:
                yield
            finally:
                self._held.pop(name, None)

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Written beside the steps: repeating it changes nothing."""
        self._notes = min(self._notes + 1, _NOTES_A_STEP - 1)
        number = self._last_step * _NOTES_A_STEP + self._notes
        document = {"done": done, "total": total, "note": note}
        now_ns = self._engine.clock.now_ns()
        self._engine.patiently(lambda: self._engine.notes.write(self._id, number, document, now_ns))

    # --- inside -----------------------------------------------------------------------------------------------------

    def _stop_if_asked(self) -> None:
        if self._engine.patiently(lambda: self._engine.notes.is_asked_to_stop(self._id)):
            self._engine.patiently(lambda: self._engine.jobs.stop(self._id))
            raise DBOSWorkflowCancelledError(f"job {self._id} was cancelled")

    def _reserved(self, name: str, fn: Callable[[], Any], *, tries: bool = True) -> Callable[[], Any]:
        """A step with its number drawn now, to be run later, perhaps in another thread."""
        self._stop_if_asked()
        place = DBOS.reserve_step()
        self._last_step, self._notes = place.step_id, 0

        def body() -> Any:
            fence = self._engine.fence(self._held)
            try:
                with fenced(fence) if fence is not None else nullcontext():
                    made = attempt(fn, self._handler.retries, self._engine.pause) if tries else fn()
            except Refused as error:
                if error.detail.get("fenced"):
                    self._engine.on_fenced(error)
                raise
            return small_json(made)

        return lambda: place.run({"name": name}, body)


def _caught(fn: Callable[[], Json]) -> dict[str, Any]:
    """An item's failure as data. A fence is no failure of the item's."""
    try:
        return {"result": fn()}
    except DBOSException:
        raise
    except Exception as error:
        if isinstance(error, Refused) and error.detail.get("fenced"):
            raise
        return {"error": error_document(error)}


def _renew(engine: DbosEngine, lease: Lease, done: threading.Event) -> None:
    while not done.wait(engine.leases.time_to_live_ns / SECOND_NS / 4):
        with suppress(GnomonError):  # not renewed is found out by the fence
            engine.leases.renew(lease, engine.clock)
