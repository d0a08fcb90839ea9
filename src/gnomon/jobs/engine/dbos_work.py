"""What a handler is given by the durable engine: steps that are kept, transactions that happen once, leases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from dbos import DBOS
from dbos._error import DBOSException, DBOSWorkflowCancelledError
from sqlalchemy import Connection

from gnomon.errors import Refused
from gnomon.jobs.engine.attempts import attempt
from gnomon.jobs.engine.dbos_jobs import NOTES_A_STEP, job_options
from gnomon.jobs.engine.port import FINISHED, Handler, JobStatus, Json, Outcome, error_document, small_json
from gnomon.store.engine import fenced, joined
from gnomon.store.job_notes import keep_outcome, outcome_of

if TYPE_CHECKING:
    from gnomon.jobs.engine.dbos_engine import DbosEngine

T = TypeVar("T")

POLL_S: Final = 0.1


class Left(BaseException):
    """A job is left in the middle of a step, by a worker that stops. No `Exception`: nothing may write that it failed,
    for whoever takes it up goes on with it."""


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
        options = job_options(handler, key, queue, 0, delay_s) | {
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
        self._notes = min(self._notes + 1, NOTES_A_STEP - 1)
        number = self._last_step * NOTES_A_STEP + self._notes
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
