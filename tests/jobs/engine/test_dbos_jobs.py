"""The durable engine with real processes, killed for real, on both databases (jobs.md, section 8)."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text, update
from tests.conftest import started
from tests.jobs.engine.crew import (
    GATE_AT,
    PATIENCE_S,
    Member,
    crew,
    end,
    entries,
    finished,
    handlers_of,
    open_gate,
    prepare_log,
    start,
    until,
)

from gnomon.errors import Conflict, Invalid, NotFound, Unavailable
from gnomon.jobs.engine.dbos_engine import EXIT_FENCED
from gnomon.jobs.engine.dbos_jobs import DbosJobs, system_url
from gnomon.jobs.engine.port import JobFilter
from gnomon.jobs.schedule import Schedule
from gnomon.jobs.schedules import Schedules
from gnomon.store.engine import open_engine, writing
from gnomon.store.leases import LeaseStore
from gnomon.store.schedules import ScheduleStore
from gnomon.store.tables import leases
from gnomon.units import DAY_NS
from gnomon.wallclock import WallClock

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("GNOMON_KILLS", "3"))
NAPS = int(os.environ.get("GNOMON_NAPS", "60"))
GONE_S = float(os.environ.get("GNOMON_GONE_S", "6"))
CHILDREN, STEPS, WALK = 4, 20, 150
SILENT_S = 2.0
"""After what silence a worker that is known not to live any more is taken for dead."""


@pytest.fixture
def url(database_url: str) -> Iterator[str]:
    """A migrated database with the tests' log."""
    engine = open_engine(database_url)
    prepare_log(engine)
    engine.dispose()
    return database_url


@pytest.fixture
def store(url: str) -> Iterator[Engine]:
    engine = open_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def jobs(url: str, store: Engine) -> Iterator[DbosJobs]:
    with DbosJobs(system_url(url), store, handlers_of(store, "test"), WallClock()) as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def postgresql(url: str) -> str:
    if not url.startswith("postgresql"):
        pytest.skip("SQLite has one engine process")
    return url


def overlaps(store: Engine) -> int:
    """How many of the naps began before another had ended."""
    intervals = sorted((one.began, one.ended) for one in entries(store, "nap:"))
    return sum(later[0] < earlier[1] for earlier, later in pairwise(intervals))


def rows_of(store: Engine, what: str) -> list[int]:
    return [one.position for one in entries(store, f"row:{what}") if one.what == f"row:{what}"]


# --- killed ---------------------------------------------------------------------------------------------------------


def test_a_run_killed_again_and_again_does_every_step_and_writes_every_row_once(
    url: str, store: Engine, jobs: DbosJobs
) -> None:
    """Test 1: a parent with 4 children of 20 days, kill -9 at random moments, the same executor starts again.

    A run that ends before it was killed often enough is followed by another one.
    """
    luck = random.Random(7)
    process = start(url)
    keys = [jobs.enqueue("parent", "p0", {"children": CHILDREN, "steps": STEPS}).key]
    slowest_s = 0.0
    for _ in range(KILLS):
        time.sleep(luck.uniform(0.6, 2.2))
        if jobs.status(f"parent:{keys[-1]}").state == "done":
            keys.append(jobs.enqueue("parent", f"p{len(keys)}", {"children": CHILDREN, "steps": STEPS}).key)
            time.sleep(luck.uniform(0.2, 1.0))
        process.send_signal(signal.SIGKILL)
        end(process)
        before, began = len(entries(store)), time.monotonic()
        process = start(url)
        until(lambda n=before: len(entries(store)) > n or jobs.status(f"parent:{keys[-1]}").state == "done")
        slowest_s = max(slowest_s, time.monotonic() - began)
    finished(jobs, [f"parent:{key}" for key in keys])
    end(process)
    executions = sum(assert_done_once(store, jobs, key) for key in keys)
    sys.stdout.write(
        f"{KILLS} kills, {len(keys)} runs of 80 steps, {executions} executions, on again within {slowest_s:.1f} s\n"
    )
    assert executions <= CHILDREN * STEPS * len(keys) + CHILDREN * KILLS  # at most the steps in flight were repeated


def assert_done_once(store: Engine, jobs: DbosJobs, key: str) -> int:
    """Every row once and in order, every day done; how many executions it took."""
    assert jobs.status(f"parent:{key}").result == ["done"] * CHILDREN
    executions = 0
    for child in range(CHILDREN):
        name = f"walk:{key}:{child}"
        assert rows_of(store, name) == list(range(STEPS))
        days = [one.position for one in entries(store, name) if one.what == name]
        assert sorted(set(days)) == list(range(STEPS))
        assert days == sorted(days)  # a repeated day follows itself: the order is kept
        executions += len(days)
    return executions


def test_three_hundred_rows_without_a_key_are_written_once_over_three_kills(
    url: str, store: Engine, jobs: DbosJobs
) -> None:
    """Test 3."""
    jobs.enqueue("rows", "r", {"rows": 300})
    for goal in (60, 140, 220):
        process = start(url)
        until(lambda goal=goal: len(rows_of(store, "rows:r")) >= goal)
        process.send_signal(signal.SIGKILL)
        end(process)
    with crew(url, "worker-0"):
        finished(jobs, ["rows:r"])
    assert rows_of(store, "rows:r") == list(range(300))


def test_another_worker_takes_up_what_a_killed_one_left_on_its_queue(
    postgresql: str, store: Engine, jobs: DbosJobs
) -> None:
    """Test 2."""
    first = start(postgresql, "worker-a")
    jobs.enqueue("parent", "p", {"children": CHILDREN, "steps": STEPS, "gate": "p"})
    until(lambda: len(entries(store, "row:")) == CHILDREN * GATE_AT)
    first.send_signal(signal.SIGKILL)
    end(first)
    open_gate(store, "p")
    with crew(postgresql, "worker-b", dead_after_s=SILENT_S):
        finished(jobs, ["parent:p"])
    assert_done_once(store, jobs, "p")
    assert {jobs.status(f"walk:p:{n}").queue for n in range(CHILDREN)} == {"cpu"}
    assert {one.executor for one in entries(store, "walk:")} == {"worker-a", "worker-b"}


def test_a_worker_that_was_stopped_past_its_time_cannot_write_when_it_wakes(
    postgresql: str, store: Engine, jobs: DbosJobs
) -> None:
    """Test 9: SIGSTOP, reaped, SIGCONT."""
    zombie = start(postgresql, "worker-a")
    jobs.enqueue("slow", "z", {"gate": "z"})
    until(lambda: entries(store, "begin:slow:z"))
    zombie.send_signal(signal.SIGSTOP)
    open_gate(store, "z")
    with crew(postgresql, "worker-b", dead_after_s=SILENT_S):
        finished(jobs, ["slow:z"])
        zombie.send_signal(signal.SIGCONT)
        until(lambda: zombie.poll() is not None)
    assert zombie.returncode == EXIT_FENCED
    assert "fenced" in end(zombie)
    assert rows_of(store, "slow:z") == [0]


# --- one at a time --------------------------------------------------------------------------------------------------


def test_a_second_engine_is_refused_with_the_holders_name(url: str, jobs: DbosJobs) -> None:
    """Test 4: a second engine on SQLite; a second worker of one executor id on PostgreSQL."""
    with crew(url, "worker-0") as (first,):
        jobs.enqueue("nap", "a", {})
        finished(jobs, ["nap:a"])
        second = start(url, "worker-0")
        second.wait(PATIENCE_S)
        said = end(second)
        assert second.returncode == 1
        assert f"process {first.pid}" in said
        jobs.enqueue("nap", "b", {})
        finished(jobs, ["nap:b"])
        if url.startswith("sqlite"):
            other = start(url, "worker-1")
            other.wait(PATIENCE_S)
            assert "another engine works on gnomon-jobs.db" in end(other)


@pytest.mark.parametrize("kind", ["nap", "leased"])
def test_a_limit_of_one_holds_over_many_jobs_and_all_workers(
    url: str, store: Engine, jobs: DbosJobs, kind: str
) -> None:
    """Test 5: by the queue's limit, and by leases alone with a queue that has none."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: jobs.enqueue(kind, str(n), {"s": 0.04}), range(NAPS)))
    names = ("worker-a", "worker-b") if url.startswith("postgresql") else ("worker-a",)
    with crew(url, *names):
        until(lambda: len({one.what for one in entries(store, "nap:")}) == NAPS)
        for number in range(NAPS, 100 * NAPS):  # one may have done them all before the other had started
            if kind == "leased" or {one.executor for one in entries(store, "nap:")} == set(names):
                break
            finished(jobs, [jobs.enqueue(kind, str(number), {"s": 0.04}).id])
    assert overlaps(store) == 0
    if kind == "nap":
        assert {one.executor for one in entries(store, "nap:")} == set(names)


def test_a_lease_that_ran_out_fences_its_holder_and_lets_the_next_one_in(
    url: str, store: Engine, jobs: DbosJobs
) -> None:
    """Test 10: the holder's lease ends while it works; whoever takes the slot has a higher epoch."""
    on_sqlite = url.startswith("sqlite")
    names = {"worker-a"} if on_sqlite else {"worker-a", "worker-b"}
    with crew(url, *sorted(names)) as running:
        jobs.enqueue("leased-write", "first", {"gate": "both"})
        until(lambda: entries(store, "begin:"))
        jobs.enqueue("leased-write", "second", {"gate": "both"})
        (held,) = [one for one in LeaseStore(store).all() if one.slot == "gpu:test"]
        assert (held.job_id, held.owner in names) == ("leased-write:first", True)
        with writing(store) as connection:
            connection.execute(update(leases).where(leases.c.slot == "gpu:test").values(expires_at=0))
        until(lambda: entries(store, "begin:leased-write:second"))
        open_gate(store, "both")
        until(lambda: any(one.poll() is not None for one in running))
        (fenced,) = [one for one in running if one.poll() is not None]
        assert fenced.returncode == EXIT_FENCED
        assert "the lease of 'gpu:test' ran out" in end(fenced)
        assert not rows_of(store, "leased-write:first")
        with crew(url, held.owner):  # it comes back, and its job waits for the slot in its turn
            finished(jobs, ["leased-write:first", "leased-write:second"])
    assert [rows_of(store, f"leased-write:{one}") for one in ("first", "second")] == [[0], [0]]
    (last,) = [one for one in LeaseStore(store).all() if one.slot == "gpu:test"]
    assert last.epoch > held.epoch + 1


def test_two_identical_enqueues_at_once_make_one_job(url: str, jobs: DbosJobs) -> None:
    """Test 8, in threads of two clients."""
    with DbosJobs(system_url(url), jobs._notes._engine, jobs._handlers, WallClock()) as other:
        for number in range(25):
            with ThreadPoolExecutor(2) as pool:
                made = list(pool.map(lambda door, n=number: door.enqueue("nap", f"{n}", {}), (jobs, other)))
            assert sorted(one.created for one in made) == [False, True]
    assert len(jobs.find(JobFilter(kind="nap", limit=1_000))) == 25


# --- schedules ------------------------------------------------------------------------------------------------------


def test_ticks_missed_in_an_outage_are_made_up_each_once_and_two_workers_fire_none_twice(
    url: str, store: Engine, jobs: DbosJobs
) -> None:
    """Tests 6 and 7."""
    schedules = Schedules(ScheduleStore(store), jobs, WallClock())
    schedules.put(Schedule("t", "* * * * * *", "tick", "t", catch_up="all"))
    began = time.time()
    first = start(url, "worker-a")
    until(lambda: len(entries(store, "tick:")) >= 2)
    first.send_signal(signal.SIGKILL)
    end(first)
    time.sleep(3)
    names = ("worker-b", "worker-c") if url.startswith("postgresql") else ("worker-a",)
    with crew(url, *names[:1], dead_after_s=SILENT_S), crew(url, *names[1:]):
        until(lambda: len(entries(store, "tick:")) >= 7)
        time.sleep(1)
        due = [one.id for one in jobs.find(JobFilter(kind="tick", limit=1_000))]  # whatever comes on after these
        finished(jobs, due)
    seen = [int(one.what.partition(":")[2]) // 10**9 for one in entries(store, "tick:")]
    assert not [at for at, count in Counter(seen).items() if count > 1]
    assert sorted(seen)[: len(due)] == list(range(min(seen), min(seen) + len(due)))  # no tick is absent
    assert min(seen) - began < 4


# --- stopping and going on ------------------------------------------------------------------------------------------


def test_a_cancelled_parent_stops_with_its_children_and_goes_on_where_it_stopped(
    url: str, store: Engine, jobs: DbosJobs
) -> None:
    """Test 11."""
    with crew(url, "worker-0"):
        jobs.enqueue("parent", "p", {"children": 2, "steps": STEPS, "gate": "p"})
        until(lambda: len(entries(store, "row:")) == 2 * GATE_AT)
        jobs.cancel("parent:p")
        open_gate(store, "p")
        until(lambda: {jobs.status(one).state for one in ("walk:p:0", "walk:p:1", "parent:p")} == {"cancelled"})
        time.sleep(0.5)
        assert len(entries(store, "row:")) == 2 * GATE_AT
        for id_ in ("walk:p:0", "walk:p:1", "parent:p"):
            jobs.resume(id_)
        finished(jobs, ["walk:p:0", "walk:p:1", "parent:p"])
        for child in range(2):
            assert rows_of(store, f"walk:p:{child}") == list(range(STEPS))
            assert [one.position for one in entries(store, f"walk:p:{child}")] == list(range(STEPS))
        assert jobs.status("walk:p:0").queue == "cpu"
        with pytest.raises(Conflict, match="is done"):
            jobs.cancel("parent:p")


def test_errors_are_retried_by_class_and_a_failed_job_goes_on_at_its_failing_step(
    url: str, store: Engine, jobs: DbosJobs
) -> None:
    """Tests 12 and 13: three attempts are made of each step; the fourth is `retry`."""
    with crew(url, "worker-0"):
        jobs.enqueue("flaky", "soon", {"succeeds_at": 2})
        jobs.enqueue("flaky", "later", {"succeeds_at": 4})
        soon, later = finished(jobs, ["flaky:soon", "flaky:later"])
        assert soon.state == "done"
        assert later.state == "failed"
        assert later.error is not None
        assert (later.error["error"], later.error["message"], later.error["hint"]) == ("unavailable", "not yet", "wait")
        assert len(entries(store, "try:flaky:later")) == 3
        jobs.resume("flaky:later", retry=True)
        until(lambda: jobs.status("flaky:later").state == "done")
        assert len(entries(store, "try:flaky:later")) == 4
        assert len(entries(store, "before:flaky:later")) == 1  # the step before the failing one is not repeated
        with pytest.raises(Conflict, match="is done"):
            jobs.resume("flaky:later", retry=True)


def test_a_worker_that_is_told_to_stop_drains_and_its_work_goes_on(url: str, store: Engine, jobs: DbosJobs) -> None:
    """Test 14."""
    first = start(url, "worker-0")
    jobs.enqueue("walk", "w", {"steps": 60})
    until(lambda: len(entries(store, "row:")) > 5)
    first.send_signal(signal.SIGTERM)
    first.wait(PATIENCE_S)
    assert end(first) == ""
    with crew(url, "worker-0" if url.startswith("sqlite") else "worker-b"):
        finished(jobs, ["walk:w"])
    assert rows_of(store, "walk:w") == list(range(60))


def test_a_job_is_finished_by_the_version_of_the_code_that_began_it(url: str, store: Engine, jobs: DbosJobs) -> None:
    """Test 15: a new version begins what nobody began; what the old one began waits for it, with its children."""
    old = start(url, "worker-0")
    jobs.enqueue("parent", "old", {"children": 2, "steps": STEPS, "gate": "old"})
    until(lambda: len(entries(store, "row:")) == 2 * GATE_AT)
    old.send_signal(signal.SIGKILL)
    end(old)
    open_gate(store, "old")
    with crew(url, "worker-0", version="jobs-next") as (new,):
        jobs.enqueue("walk", "new", {"steps": STEPS})
        finished(jobs, ["walk:new"])
        assert len(entries(store, "row:walk:old")) == 2 * GATE_AT
        assert jobs.status("parent:old").state == "running"
        if not url.startswith("sqlite"):  # both at once: the old one drains beside the new one
            drain(start(url, "worker-1", until_idle=True))
        new.send_signal(signal.SIGTERM)
        new.wait(PATIENCE_S)
        assert "of version jobs-1 are in flight" in end(new)
    jobs.enqueue("walk", "later", {"steps": 1})  # for the new one: the old one does not wait for it
    drain(start(url, "worker-0", until_idle=True))
    assert jobs.status("parent:old").result == ["done", "done"]
    assert jobs.status("walk:later").state == "waiting"
    assert {one.executor for one in entries(store, "walk:new")} == {"worker-0 of jobs-next"}
    for child in range(2):
        assert rows_of(store, f"walk:old:{child}") == list(range(STEPS))
        assert {one.executor for one in entries(store, f"walk:old:{child}")} <= {"worker-0", "worker-1"}


def drain(worker: Member) -> None:
    """Wait until a worker that is told to stop when nothing is left has stopped."""
    worker.wait(PATIENCE_S)
    assert end(worker) == ""
    assert worker.returncode == 0


def test_workers_wait_out_a_database_that_is_gone_for_a_while(
    database_kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Test 18: a while without a database: PostgreSQL killed and started again, SQLite's files locked by another."""
    if database_kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'gnomon.db'}"
        gone = locked([tmp_path / "gnomon.db", tmp_path / "gnomon-jobs.db"])
    else:
        server = request.getfixturevalue("postgresql_to_kill")
        url, gone = server.get_uri(), killed(server)
    engine = open_engine(url)
    prepare_log(engine)
    with DbosJobs(system_url(url), engine, handlers_of(engine, "test"), WallClock()) as jobs:
        jobs.enqueue("walk", "w", {"steps": WALK, "gate": "w", "gate_at": WALK - 10})
        with crew(url, "worker-0") as (worker,):
            until(lambda: len(rows_of(engine, "walk:w")) > 20)
            with gone:
                if database_kind == "postgresql":
                    with pytest.raises(Unavailable, match="does not answer"):
                        jobs.status("walk:w")  # a door does not wait
                time.sleep(GONE_S)
                assert worker.poll() is None
            assert len(rows_of(engine, "walk:w")) < WALK
            open_gate(engine, "w")
            finished(jobs, ["walk:w"])
            assert worker.poll() is None
    assert rows_of(engine, "walk:w") == list(range(WALK))
    days = [one.position for one in entries(engine, "walk:w") if one.what == "walk:w"]
    assert sorted(set(days)) == list(range(WALK))
    engine.dispose()


@contextmanager
def locked(files: Sequence[Path]) -> Iterator[None]:
    """Another process's exclusive hold on SQLite files: nobody reads or writes meanwhile."""
    held = [sqlite3.connect(file, isolation_level=None, timeout=PATIENCE_S) for file in files]
    for one in held:
        one.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        for one in held:
            one.rollback()
            one.close()


@contextmanager
def killed(server: Any) -> Iterator[None]:
    """A PostgreSQL server that crashes and is started again at the end."""
    pid = server.get_pid()
    os.kill(pid, signal.SIGQUIT)  # immediate: it writes nothing more
    until(lambda: not Path(f"/proc/{pid}").exists())
    try:
        yield
    finally:
        started(server)


def test_a_job_that_waits_to_try_again_is_left_as_it_is_by_a_worker_that_stops(
    url: str, store: Engine, jobs: DbosJobs
) -> None:
    """A drain in the pause between two tries: the step has not failed, whoever takes the job up tries it again."""
    first = start(url, "worker-0")
    jobs.enqueue("stubborn", "s", {"succeeds_at": 2})
    until(lambda: entries(store, "try:"))
    first.send_signal(signal.SIGTERM)
    first.wait(PATIENCE_S)
    assert end(first) == ""
    assert jobs.status("stubborn:s").state == "running"
    with crew(url, "worker-0" if url.startswith("sqlite") else "worker-b"):
        (status,) = finished(jobs, ["stubborn:s"])
    assert (status.state, status.error) == ("done", None)
    assert len(entries(store, "try:")) == 2


# --- the door -------------------------------------------------------------------------------------------------------


def test_what_does_not_exist_is_said_so(jobs: DbosJobs) -> None:
    with pytest.raises(NotFound, match="no kind of job"):
        jobs.enqueue("nonsense", "x", {})
    with pytest.raises(NotFound, match="no job"):
        jobs.status("nap:none")
    with pytest.raises(Invalid, match="JSON"):
        jobs.enqueue("nap", "x", {"s": float("nan")})


def test_finished_jobs_are_pruned_and_the_others_stay(url: str, jobs: DbosJobs) -> None:
    with crew(url, "worker-0"):
        ids = [jobs.enqueue("rows", str(n), {"rows": 1}).id for n in range(20)]
        finished(jobs, ids)
    jobs.enqueue("rows", "waits", {"rows": 1})
    assert jobs.prune(done_before_ns=0, failed_before_ns=0) == 0
    assert jobs.prune(done_before_ns=time.time_ns() + 10**10, failed_before_ns=0) == 20
    assert [one.id for one in jobs.find(JobFilter())] == ["rows:waits"]


def test_ten_thousand_finished_jobs_are_pruned_and_the_rest_stands(url: str, jobs: DbosJobs) -> None:
    """Test 17. Ten thousand jobs as the engine left one, with their steps."""
    with crew(url, "worker-0"):
        jobs.enqueue("rows", "one", {"rows": 2})
        finished(jobs, ["rows:one"])
    copy_job(system_url(url), "rows:one", 10_000)
    jobs.enqueue("rows", "waits", {"rows": 2})
    before = jobs.status("rows:one")
    assert len(before.steps) == 2
    began = time.monotonic()
    assert jobs.prune(done_before_ns=before.created_ns - DAY_NS, failed_before_ns=0) == 10_000
    sys.stdout.write(f"10,000 finished jobs pruned in {time.monotonic() - began:.1f} s\n")
    assert jobs.status("rows:one") == before
    assert [one.id for one in jobs.find(JobFilter(limit=1_000))] == ["rows:waits", "rows:one"]
    assert jobs.in_flight() == {"": 1}


def copy_job(url: str, id_: str, count: int) -> None:
    """Jobs like one that has finished, two days older, straight into the engine's tables."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    schema = "" if url.startswith("sqlite") else "dbos."
    with engine.begin() as connection:
        for table, changed in (("workflow_status", ("created_at", "completed_at")), ("operation_outputs", ())):
            found = connection.execute(text(f"SELECT * FROM {schema}{table} WHERE workflow_uuid = :id"), {"id": id_})
            rows = [dict(one) for one in found.mappings()]
            names = ", ".join(rows[0])
            values = ", ".join(f":{name}" for name in rows[0])
            made = [
                row
                | {name: row[name] - 2 * DAY_NS // 1_000_000 for name in changed if row.get(name) is not None}
                | {"workflow_uuid": f"{id_}:{n}"}
                for n in range(count)
                for row in rows
            ]
            connection.execute(text(f"INSERT INTO {schema}{table} ({names}) VALUES ({values})"), made)
    engine.dispose()


def test_nothing_that_is_kept_is_pickled(url: str, jobs: DbosJobs) -> None:
    jobs.enqueue("rows", "r", {"rows": 1})
    assert jobs.status("rows:r").args == {"rows": 1}
    if url.startswith("sqlite"):
        path = system_url(url).removeprefix("sqlite:///")
        found = subprocess.run(["grep", "-c", "gAS", path], capture_output=True, text=True, check=False, timeout=60)
        assert found.stdout.strip() == "0"  # how a pickle begins in base64
