"""Runs jobs in this process on DBOS Transact, one engine a process. See `jobs.engine.worker` for who starts it."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from dbos import DBOS
from dbos._dbos import _get_dbos_instance
from sqlalchemy import Engine

from gnomon.clock import Clock
from gnomon.errors import Conflict, GnomonError, Unavailable
from gnomon.jobs.engine.dbos_jobs import SCHEMA, WORKFLOW, DbosJobs, prepare
from gnomon.jobs.engine.dbos_json import JsonSerializer
from gnomon.jobs.engine.dbos_work import POLL_S, DbosWork, Left
from gnomon.jobs.engine.lock import EngineLock
from gnomon.jobs.engine.port import Handlers, Partial, Queue, small_json
from gnomon.store.engine import IDLE_S, Fence, errors_of
from gnomon.store.job_notes import JobNotes
from gnomon.store.leases import Lease, LeaseStore
from gnomon.store.workers import Claim, fence_of
from gnomon.units import SECOND_NS

T = TypeVar("T")

VERSION: Final = "jobs-1"
"""Raised only when a handler's sequence of steps changes: jobs of the version before must be drained first."""

EXIT_FENCED: Final = 70


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
            "sys_db_idle_transaction_timeout_sec": IDLE_S,
        }
        if self.fast and self.url.startswith("sqlite"):
            config["db_engine_kwargs"] = {"connect_args": {"factory": _Fast}}
        DBOS(config=cast(Any, config))

        def run(kind: str, key: str, args: dict[str, Any], queue: str) -> dict[str, Any]:
            with self._place_in(queue, f"{kind}:{key}") as held:
                return self._run(kind, key, args, held)

        DBOS.workflow(name=WORKFLOW)(run)
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


def _exit(error: GnomonError) -> None:
    """A worker that was taken over must not write another byte, not even that its step failed."""
    sys.stderr.write(f"{error.message}\n")
    os._exit(EXIT_FENCED)


def _renew(engine: DbosEngine, lease: Lease, done: threading.Event) -> None:
    while not done.wait(engine.leases.time_to_live_ns / SECOND_NS / 4):
        with suppress(GnomonError):  # not renewed is found out by the fence
            engine.leases.renew(lease, engine.clock)
