"""Engines in processes of their own, that tests start, kill, stop and start again."""

from __future__ import annotations

import atexit
import os
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Engine, Float, Integer, MetaData, Table, Text, insert, select
from tests.jobs.forks import FORKS

from gnomon.errors import Unavailable
from gnomon.jobs.engine.dbos_engine import VERSION, DbosEngine
from gnomon.jobs.engine.dbos_jobs import system_url
from gnomon.jobs.engine.port import FINISHED, Handler, Handlers, Jobs, JobStatus, Queue, Retries, Work
from gnomon.jobs.engine.worker import Pace, Worker
from gnomon.jobs.schedules import Schedules
from gnomon.store.engine import errors_of, open_engine, upgrade, writing
from gnomon.store.leases import LeaseStore
from gnomon.store.schedules import ScheduleStore
from gnomon.store.workers import WorkerStore
from gnomon.units import SECOND_NS
from gnomon.wallclock import WallClock

log = Table(
    "crew_log",  # no key: whatever is done twice is seen twice
    MetaData(),
    Column("what", Text),
    Column("position", Integer),
    Column("began", Float),
    Column("ended", Float),
    Column("executor", Text),
)
QUEUES = [Queue("cpu"), Queue("flow"), Queue("one", limit=1), Queue("leased")]
PACE = Pace(tick_s=0.2, heartbeat_s=0.4, reap_s=1.0, drain_s=60.0)
PATIENCE_S = 600.0  # only what hangs takes so long; what waits for less fails where a machine is busy
DEAD_AFTER_S = PATIENCE_S  # a worker that is starved lives; a test that wants one taken for dead says after how long
STEP_S = 0.01
GATE_AT = 10
"""Before which of its days a walk waits, when the test gave it a gate."""


def prepare_log(engine: Engine) -> None:
    upgrade(engine)
    with writing(engine) as connection:
        log.metadata.create_all(connection)


def entries(engine: Engine, what: str = "") -> list[Any]:
    wanted = select(log).order_by(log.c.began)
    with engine.connect() as connection:
        return list(connection.execute(wanted.where(log.c.what.startswith(what)) if what else wanted))


def open_gate(engine: Engine, gate: str) -> None:
    note(engine, "test", f"gate:{gate}")


def note(engine: Engine, executor: str, what: str, position: int = 0, last_s: float = 0.0) -> int:
    """Leave a line with the interval of the work, committed on its own."""
    began = time.time()
    time.sleep(last_s)
    row = {"what": what, "position": position, "began": began, "ended": time.time(), "executor": executor}
    with errors_of(engine), engine.begin() as connection:  # past the fence: executions are counted, not results
        connection.execute(insert(log).values(**row))
    return position


def handlers_of(engine: Engine, executor: str) -> Handlers:
    """The kinds of the tests. They leave lines in the log."""

    def pass_gate(work: Work) -> None:
        """Wait for the test. Where it has nothing to do between two moments, no clock decides what happens first."""
        if gate := work.args.get("gate"):
            work.step("hold", until, lambda: entries(engine, f"gate:{gate}"))

    def parent(work: Work) -> Any:
        args = {name: value for name, value in work.args.items() if name != "children"}
        ids = [work.child("walk", f"{work.key}:{n}", args, queue="cpu") for n in range(work.args["children"])]
        return [one.state for one in work.wait(ids)]

    def walk(work: Work) -> Any:
        for position in range(work.args["steps"]):
            if position == work.args.get("gate_at", GATE_AT):
                pass_gate(work)
            work.step(f"day {position}", note, engine, executor, work.id, position, STEP_S)
            work.tx(f"row {position}", lambda c, p=position: _row(c, f"row:{work.id}", p))
        return work.args["steps"]

    def rows(work: Work) -> Any:
        for position in range(work.args["rows"]):
            work.tx(f"row {position}", lambda c, p=position: _row(c, f"row:{work.id}", p))
        return work.args["rows"]

    def nap(work: Work) -> Any:
        return work.step("nap", note, engine, executor, f"nap:{work.key}", 0, work.args.get("s", 0.04))

    def leased(work: Work) -> Any:
        def hold() -> int:
            with work.slot("gpu:test"):
                return note(engine, executor, f"nap:{work.key}", 0, work.args.get("s", 0.04))

        return work.step("hold", hold)

    def leased_write(work: Work) -> Any:
        with work.slot("gpu:test"):
            work.step("begin", note, engine, executor, f"begin:{work.id}")
            pass_gate(work)
            return work.tx("write", lambda c: _row(c, f"row:{work.id}", 0))

    def slow_write(work: Work) -> Any:
        work.step("begin", note, engine, executor, f"begin:{work.id}")
        pass_gate(work)
        return work.tx("write", lambda c: _row(c, f"row:{work.id}", 0))

    def flaky(work: Work) -> Any:
        work.step("before", note, engine, executor, f"before:{work.id}")

        def fail() -> int:
            note(engine, executor, f"try:{work.id}")
            if len(entries(engine, f"try:{work.id}")) < work.args["succeeds_at"]:
                raise Unavailable("not yet", hint="wait")
            return 1

        return work.step("fail", fail)

    def tick(work: Work) -> Any:
        return work.tx("tick", lambda c: _row(c, f"tick:{work.due_ns}", 0))

    quick = Retries(attempts=3, base_s=0.05, cap_s=0.1)
    return Handlers(
        [
            Handler("parent", parent, queue="flow"),
            Handler("walk", walk),
            Handler("rows", rows),
            Handler("nap", nap, queue="one"),
            Handler("leased", leased, queue="leased"),
            Handler("leased-write", leased_write, queue="leased"),
            Handler("slow", slow_write),
            Handler("flaky", flaky, retries=quick),
            Handler("stubborn", flaky, retries=Retries(base_s=300.0)),
            Handler("tick", tick),
        ]
    )


def _row(connection: Connection, what: str, position: int) -> int:
    row = {"what": what, "position": position, "began": time.time(), "ended": 0.0, "executor": ""}
    connection.execute(insert(log).values(**row))
    return position


def main(url: str, executor: str, options: dict[str, Any]) -> None:
    """A worker until SIGTERM. Options: listen (queues), version (of the code), dead_after_s, until_idle."""
    engine = open_engine(url)
    clock = WallClock()
    version = options.get("version", VERSION)
    durable = DbosEngine(
        engine,
        system_url(url),
        handlers_of(engine, executor if version == VERSION else f"{executor} of {version}"),
        QUEUES,
        clock=clock,
        executor_id=executor,
        version=version,
        listen=options.get("listen"),
        leases=LeaseStore(engine, time_to_live_ns=int(PATIENCE_S * SECOND_NS)),
    )
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    store = ScheduleStore(engine)
    worker = Worker(
        durable,
        WorkerStore(engine, dead_after_ns=int(options.get("dead_after_s", DEAD_AFTER_S) * SECOND_NS)),
        tick=lambda: Schedules(store, durable.jobs, clock).tick(),
        pace=PACE,
        until_idle=options.get("until_idle", False),
    )
    worker.run(stop)
    engine.dispose()


# --- in the test's own process --------------------------------------------------------------------------------------


class Member:
    """A worker's process, as `Popen` would show it. What it writes to its standard error lies in a file."""

    def __init__(self, url: str, executor: str, options: dict[str, Any]) -> None:
        number, name = tempfile.mkstemp(prefix="gnomon-crew-")
        os.close(number)
        self._file, self._words = Path(name), ""
        self._process = FORKS.Process(target=enter, args=(name, url, executor, options))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, patience_s: float) -> int:
        self._process.join(patience_s)
        code = self._process.exitcode
        assert code is not None, f"worker {self.pid} has not ended in {patience_s:.0f} s:\n{self.said()}"
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def said(self) -> str:
        """So far; once it has ended, its file goes."""
        if self._file.exists():
            self._words = self._file.read_text()
            if self.poll() is not None:
                self._file.unlink()
        return self._words


def enter(file: str, url: str, executor: str, options: dict[str, Any]) -> None:
    """In the child: `main`, its words in a file."""
    warnings.simplefilter("ignore")
    for number, path in ((1, os.devnull), (2, file)):
        with Path(path).open("w") as there:
            os.dup2(there.fileno(), number)
    main(url, executor, options)


@contextmanager
def crew(url: str, *executors: str, **options: Any) -> Iterator[list[Member]]:
    """Workers as processes, ended with the block."""
    running = [start(url, one, **options) for one in executors]
    try:
        yield running
    finally:
        for one in running:
            end(one)


_started: list[Member] = []
"""Every worker ever started: one that a failing test left behind is ended with the tests."""


def start(url: str, executor: str = "worker-0", **options: Any) -> Member:
    if not _started:
        atexit.register(lambda: [one.kill() for one in _started if one.poll() is None])
    _started.append(Member(url, executor, options))
    return _started[-1]


def end(member: Member) -> str:
    """Kill it if it still runs; what it wrote to its standard error."""
    if member.poll() is None:
        member.kill()
    member.wait(PATIENCE_S)
    return member.said()


def until(condition: Callable[[], object]) -> None:
    """Wait for something to become true; when it does not, say how the workers ended."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s; workers ended with {_ends()}"
        time.sleep(0.02)


def _ends() -> list[int]:
    return [code for one in _started if (code := one.poll()) is not None]


def finished(jobs: Jobs, ids: Sequence[str]) -> list[JobStatus]:
    """Wait for jobs to finish; how they stand then."""
    until(lambda: all(jobs.status(one).state in FINISHED for one in ids))
    return [jobs.status(one) for one in ids]
