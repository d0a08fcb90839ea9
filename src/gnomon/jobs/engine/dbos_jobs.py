"""The port of jobs as a client of DBOS Transact's system database: doors and verbs use it beside the workers, for it
needs no running engine.

One workflow function runs every kind of job; the workflow's id is the job's.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

from dbos import DBOS, DBOSClient
from dbos._error import DBOSWorkflowIDInUseError
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from gnomon.clock import Clock, iso
from gnomon.errors import Conflict, Invalid, NotFound, Unavailable
from gnomon.jobs.engine.dbos_json import JsonSerializer, document_of
from gnomon.jobs.engine.port import (
    FINISHED,
    Handler,
    Handlers,
    Job,
    JobEvent,
    JobFilter,
    JobStatus,
    Progress,
    State,
    StepStatus,
    small_json,
)
from gnomon.store.engine import errors_of
from gnomon.store.job_notes import JobNotes

SCHEMA: Final = "dbos"
WORKFLOW: Final = "gnomon_job"
NOTES_A_STEP: Final = 1_000
"""Numbers of events: a thousand a step, so that progress between two steps has its place."""
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


def system_url(store_url: str) -> str:
    """Where the engine keeps its own tables: `gnomon-jobs.db` beside SQLite's `gnomon.db`, the same PostgreSQL else."""
    url = make_url(store_url)
    if url.drivername.startswith("sqlite"):
        path = Path(str(url.database)).expanduser()
        return f"sqlite:///{path.with_name(f'{path.stem}-jobs{path.suffix}')}"
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


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
        options = job_options(handler, key, queue, priority, delay_s)
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
            JobEvent(NOTES_A_STEP * one.number, one.finished_ns or 0, "step", {"name": one.name, "error": one.error})
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


def job_options(handler: Handler, key: str, queue: str | None, priority: int, delay_s: float) -> dict[str, Any]:
    if not key or "\0" in key:
        raise Invalid(f"the key of a job: {key!r}", hint="give what makes it one job, e.g. 1h:2026-04-28T12:55:00Z")
    options: dict[str, Any] = {
        "workflow_name": WORKFLOW,
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
        error=document_of(one.error),
    )


def _step(one: Any) -> StepStatus:
    started, finished = one["started_at_epoch_ms"], one["completed_at_epoch_ms"]
    return StepStatus(
        number=one["function_id"],
        name=one["function_name"],
        started_ns=None if started is None else started * _MS,
        finished_ns=None if finished is None else finished * _MS,
        error=document_of(one["error"]),
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
