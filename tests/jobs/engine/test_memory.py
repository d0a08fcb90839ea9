"""The jobs of one process: the same port, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, insert, select

from gnomon.clock import SimClock
from gnomon.errors import Conflict, Exhausted, Invalid, NotFound, Unavailable
from gnomon.jobs.engine.memory import MemoryJobs
from gnomon.jobs.engine.port import Handler, Handlers, JobFilter, Partial, Retries, Work
from gnomon.store.engine import reading
from gnomon.store.tables import leases
from gnomon.units import DAY_NS, SECOND_NS


class World:
    """Handlers that leave a trace."""

    def __init__(self, engine: Engine | None = None) -> None:
        self.trace: list[str] = []
        self.failures: list[Exception] = []
        self.clock = SimClock(1_000 * SECOND_NS)
        kinds = {
            "plain": self.plain,
            "flaky": self.flaky,
            "parent": self.parent,
            "items": self.items,
            "rows": self.rows,
        }
        handlers = [Handler(kind, run, retries=Retries(3, 5.0, 600.0)) for kind, run in kinds.items()]
        self.jobs = MemoryJobs(Handlers(handlers), self.clock, engine)

    def plain(self, work: Work) -> Any:
        for n in range(int(work.args.get("steps", 1))):
            work.step(f"s{n}", self.trace.append, f"{work.key}{n}")
            work.progress(n + 1, int(work.args.get("steps", 1)))
        return work.now_ns()

    def flaky(self, work: Work) -> Any:
        work.step("before", self.trace.append, "before")

        def fail() -> int:
            self.trace.append("try")
            if self.failures:
                raise self.failures.pop(0)
            return 1

        return work.step("fail", fail)

    def parent(self, work: Work) -> Any:
        ids = [work.child("plain", f"{work.key}-{n}", {"steps": 1}) for n in range(2)]
        return [one.state for one in work.wait(ids)]

    def items(self, work: Work) -> Any:
        found = work.each("divide", [1, 0, 2], lambda n: 10 // n)
        failed = tuple({"item": one.item, **(one.error or {})} for one in found if not one.ok)
        return Partial([one.result for one in found if one.ok], failed)

    def rows(self, work: Work) -> Any:
        row = {"slot": work.key, "owner": "", "epoch": 1, "job_id": "", "taken_at": 0, "expires_at": 0}
        return work.tx("row", lambda c: c.execute(insert(leases).values(**row)) and 1)


def test_a_job_runs_once_and_the_same_id_is_the_same_job() -> None:
    world = World()
    assert world.jobs.enqueue("plain", "a", {"steps": 2}).created
    assert not world.jobs.enqueue("plain", "a", {}).created
    assert world.jobs.run_due() == 1
    status = world.jobs.status("plain:a")
    assert (status.state, status.result, world.trace) == ("done", world.clock.now_ns(), ["a0", "a1"])
    assert [one.name for one in status.steps] == ["s0", "s1", "clock"]
    assert [one.kind for one in world.jobs.events("plain:a", after=1)] == ["progress", "step", "progress", "step"]
    assert not world.jobs.enqueue("plain", "a", {}).created


def test_higher_priority_runs_first_and_a_delay_is_waited_for() -> None:
    world = World()
    world.jobs.enqueue("plain", "late", {}, delay_s=30)
    world.jobs.enqueue("plain", "second", {}, priority=2)
    world.jobs.enqueue("plain", "first", {}, priority=1)
    assert world.jobs.run_due() == 2
    assert world.trace == ["first0", "second0"]
    assert world.jobs.status("plain:late").state == "delayed"
    world.clock.advance_to(world.jobs.next_ready_ns() or 0)
    world.jobs.run_due()
    assert world.trace[-1] == "late0"


@pytest.mark.parametrize("error", [Unavailable("away"), Exhausted("full", detail={"retry_after_s": 60})])
def test_an_error_that_may_pass_is_tried_again_later_and_finished_steps_are_not_repeated(error: Exception) -> None:
    world = World()
    world.failures = [error]
    world.jobs.enqueue("flaky", "a", {})
    world.jobs.run_due()
    waits_s = ((world.jobs.next_ready_ns() or 0) - world.clock.now_ns()) / SECOND_NS
    assert waits_s == (60.0 if isinstance(error, Exhausted) else 5.0)
    world.clock.advance_to(world.jobs.next_ready_ns() or 0)
    world.jobs.run_due()
    assert world.trace == ["before", "try", "try"]
    assert world.jobs.status("flaky:a").state == "done"


def test_other_errors_fail_at_once_and_retry_goes_on_at_the_failing_step() -> None:
    world = World()
    world.failures = [Invalid("wrong", hint="mend it")]
    world.jobs.enqueue("flaky", "a", {})
    world.jobs.run_due()
    status = world.jobs.status("flaky:a")
    assert status.state == "failed"
    assert status.error is not None
    assert (status.error["error"], status.error["hint"]) == ("invalid", "mend it")
    with pytest.raises(Conflict):
        world.jobs.resume("flaky:a")
    world.jobs.resume("flaky:a", retry=True)
    world.jobs.run_due()
    assert world.trace == ["before", "try", "try"]
    assert world.jobs.status("flaky:a").state == "done"


def test_tries_are_used_up() -> None:
    world = World()
    world.failures = [Unavailable(str(n)) for n in range(5)]
    world.jobs.enqueue("flaky", "a", {})
    for _ in range(3):
        world.jobs.run_due()
        world.clock.advance_to(world.clock.now_ns() + DAY_NS)
    assert world.trace.count("try") == 3
    assert world.jobs.status("flaky:a").state == "failed"


def test_a_parent_waits_for_its_children() -> None:
    world = World()
    world.jobs.enqueue("parent", "p", {})
    world.jobs.run_due()
    status = world.jobs.status("parent:p")
    assert (status.state, status.result) == ("done", ["done", "done"])
    assert status.children == ("plain:p-0", "plain:p-1")
    assert world.jobs.status("plain:p-0").parent == "parent:p"


def test_a_failing_item_makes_the_job_partial() -> None:
    world = World()
    world.jobs.enqueue("items", "a", {})
    world.jobs.run_due()
    status = world.jobs.status("items:a")
    assert status.state == "partial"
    assert status.result["result"] == [10, 5]
    assert status.result["failed"][0]["item"] == 0


def test_a_cancelled_job_is_resumed_and_a_finished_one_is_not_cancelled() -> None:
    world = World()
    world.jobs.enqueue("plain", "a", {})
    world.jobs.cancel("plain:a")
    assert world.jobs.run_due() == 0
    world.jobs.resume("plain:a")
    world.jobs.run_due()
    assert world.trace == ["a0"]
    with pytest.raises(Conflict, match="is done"):
        world.jobs.cancel("plain:a")
    with pytest.raises(NotFound, match="no job"):
        world.jobs.status("plain:b")


def test_a_transaction_writes_to_the_store(engine: Engine) -> None:
    world = World(engine)
    world.jobs.enqueue("rows", "a", {})
    world.jobs.run_due()
    assert world.jobs.status("rows:a").result == 1
    with reading(engine) as connection:
        assert connection.execute(select(leases.c.slot)).scalars().all() == ["a"]
    without = World()
    without.jobs.enqueue("rows", "a", {})
    without.jobs.run_due()
    assert without.jobs.status("rows:a").state == "failed"


def test_jobs_are_found_and_forgotten() -> None:
    world = World()
    for n in range(4):
        world.jobs.enqueue("plain", str(n), {})
    world.jobs.run_due()
    world.failures = [Invalid("x")]
    world.jobs.enqueue("flaky", "f", {})
    world.jobs.run_due()
    assert len(world.jobs.find(JobFilter(kind="plain", states=("done",)))) == 4
    assert [one.id for one in world.jobs.find(JobFilter(text="f"))] == ["flaky:f"]
    later = world.clock.now_ns() + 1
    assert world.jobs.prune(done_before_ns=later, failed_before_ns=0) == 4
    assert [one.id for one in world.jobs.find(JobFilter())] == ["flaky:f"]


def test_a_step_that_answers_too_much_is_refused() -> None:
    world = World()

    def big(work: Work) -> Any:
        return work.step("big", lambda: "x" * 100_000)

    jobs = MemoryJobs(Handlers([Handler("big", big)]), world.clock)
    jobs.enqueue("big", "a", {})
    jobs.run_due()
    assert "bytes of JSON" in (jobs.status("big:a").error or {})["message"]
