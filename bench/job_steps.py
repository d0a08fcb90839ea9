"""What does durability cost: an empty step, an empty job, an enqueue, an enqueue and its result?

On SQLite, and on PostgreSQL where a URL is given in GNOMON_DATABASE_URL. The physical limit is one synced commit; the
peer is a bare insert and commit of one row in the same database in the same run, and each figure is a ratio to it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import insert

from gnomon.jobs.engine.dbos_engine import DbosEngine
from gnomon.jobs.engine.dbos_jobs import DbosJobs, system_url
from gnomon.jobs.engine.port import FINISHED, Handler, Handlers, Queue
from gnomon.store.engine import open_engine, upgrade, writing
from gnomon.store.tables import job_notes
from gnomon.wallclock import WallClock

HANDLERS = Handlers(
    [
        Handler("steps", lambda work: [work.step(f"s{n}", int) for n in range(work.args["steps"])] and 0),
        Handler("empty", lambda work: work.key and 0),
    ]
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a third of the repetitions")
    count = 60 if parser.parse_args().quick else 200
    results = []
    with tempfile.TemporaryDirectory() as folder:
        results.append(measure(f"sqlite:///{Path(folder) / 'gnomon.db'}", count))
    if url := os.environ.get("GNOMON_DATABASE_URL", ""):
        results.append(measure(url, count))
    document = {
        "question": "what an empty step, job and enqueue cost, as ratios to one bare insert and commit",
        "machine": {"python": platform.python_version(), "numpy": np.__version__, "cpu": platform.machine()},
        "results": results,
    }
    print(json.dumps(document, indent=2))


def measure(url: str, count: int) -> dict[str, Any]:
    """Medians in milliseconds, and ratios."""
    store = open_engine(url)
    upgrade(store)

    def bare(number: int) -> None:
        row = {"job_id": "bench", "number": number, "at": 0, "kind": "progress", "document": "{}"}
        with writing(store) as connection:
            connection.execute(insert(job_notes).values(**row))

    run = str(time.time_ns())
    with DbosEngine(store, system_url(url), HANDLERS, [Queue("cpu")], clock=WallClock()) as engine:
        jobs = engine.jobs
        wait(jobs, [jobs.enqueue("empty", f"{run}-warm", {}).id])
        seconds = {
            "bare_insert": timed(bare, range(count)),
            "enqueue": timed(lambda n: jobs.enqueue("empty", f"{run}-q{n}", {}), range(count)),
        }
        wait(jobs, [f"empty:{run}-q{n}" for n in range(count)])
        seconds["enqueue_to_result"] = timed(
            lambda n: wait(jobs, [jobs.enqueue("empty", f"{run}-r{n}", {}).id]), range(max(10, count // 10))
        )
        seconds["step"] = steps(jobs, run, count)
    store.dispose()
    base = seconds["bare_insert"]
    return {
        "database": url.partition(":")[0],
        "milliseconds": {name: round(1_000 * value, 3) for name, value in seconds.items()},
        "ratio": {name: round(value / base, 2) for name, value in seconds.items()},
    }


def timed(call: Callable[[int], Any], numbers: Sequence[int]) -> float:
    """The median of single calls."""
    found = []
    for number in numbers:
        started = time.perf_counter()
        call(number)
        found.append(time.perf_counter() - started)
    return float(np.median(found))


def steps(jobs: DbosJobs, run: str, count: int) -> float:
    """Seconds a step: a job of many against a job of one."""
    found = []
    for number in (1, count):
        job = jobs.enqueue("steps", f"{run}-{number}", {"steps": number})
        wait(jobs, [job.id])
        status = jobs.status(job.id)
        first, last = status.steps[0].started_ns or 0, status.steps[-1].finished_ns or 0
        found.append((last - first) / 1e9)
    return (found[1] - found[0]) / (count - 1)


def wait(jobs: DbosJobs, ids: Sequence[str]) -> None:
    for one in ids:
        while jobs.status(one).state not in FINISHED:
            time.sleep(0.005)


if __name__ == "__main__":
    main()
