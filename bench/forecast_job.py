"""Is the forecast job dominated by the database, or by our Python?

Read, forecast, insert: 23 instruments x 120 steps x 13 levels by `ewma`, one job, SQLite. The split is by the
profiler: time inside the SQLite driver is the database's, the rest is ours. The peer is the bare insert of rows of
the same size by the driver alone, in the same run.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import platform
import pstats
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from gnomon.clock import SimClock, Timeframe, parse_instant
from gnomon.jobs.predict import Plan, predict, subjects
from gnomon.market.dataset import Passport
from gnomon.market.synth import synthetic_market
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.store.store import Store
from gnomon.units import HOUR_NS

HOUR = Timeframe.parse("1h")
END_NS = parse_instant("2026-01-08")
HORIZON = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    rounds = 5 if parser.parse_args().quick else 20
    with tempfile.TemporaryDirectory() as folder:
        store = filled_store(Path(folder))
        plan = Plan(tuple(subjects(store, shipped_instruments(), HOUR)), HOUR, HORIZON, ("ewma",))
        whole_s, profile = measure(store, plan, rounds)
        bare_s = bare_insert(Path(folder) / "bare.db", rounds)
    database_s, total_s = split(profile)
    document = {
        "question": "forecast job, 23 instruments x 120 steps x 13 levels by ewma: whose time is it?",
        "machine": {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, "numpy": np.__version__},
        "results": [
            {
                "rounds": rounds,
                "job_median_ms": round(statistics.median(whole_s) * 1e3, 2),
                "job_min_ms": round(min(whole_s) * 1e3, 2),
                "database_ms": round(database_s / rounds * 1e3, 2),
                "database_share": round(database_s / rounds / statistics.median(whole_s), 3),
                "database_share_under_the_profiler": round(database_s / total_s, 3),
                "bare_insert_median_ms": round(statistics.median(bare_s) * 1e3, 2),
                "ratio_job_to_bare_insert": round(statistics.median(whole_s) / statistics.median(bare_s), 2),
                "by_part_ms": parts(profile, rounds),
            }
        ],
        "limit": "one commit: a synced write of 23 rows and their blocks",
    }
    print(json.dumps(document, indent=2))


def filled_store(folder: Path) -> Store:
    """23 instruments with enough hourly bars for a full look-back."""
    instruments = [one for one in shipped_instruments() if one.forecast]
    sessions = {one.calendar: load_sessions(one.calendar) for one in instruments}
    candles = synthetic_market(instruments, sessions, HOUR, END_NS - 600 * 24 * HOUR_NS, END_NS, seed=5)
    store = Store.open(f"sqlite:///{folder / 'gnomon.db'}", folder / "datasets")
    passport = Passport.of(candles, "bench")
    store.market.record(passport, candles, instruments, recorded_ns=END_NS)
    return store


def measure(store: Store, plan: Plan, rounds: int) -> tuple[list[float], pstats.Stats]:
    """Seconds of each job, unprofiled, at a new cutoff each; then the profile of as many more."""
    spent = []
    profiler = cProfile.Profile()
    for number in range(2 * rounds):
        as_of_ns = END_NS - (number + 1) * 24 * HOUR_NS
        profiled = number >= rounds
        started = time.perf_counter()
        if profiled:
            profiler.enable()
        report = predict(store, plan, SimClock(END_NS), as_of_ns=as_of_ns)
        if profiled:
            profiler.disable()
        else:
            spent.append(time.perf_counter() - started)
        assert len(report.ids) + len(report.missed) == len(plan.subjects)
        assert report.issued >= 8  # on a weekend only crypto has a new cutoff
    return spent, pstats.Stats(profiler)


def split(profile: pstats.Stats) -> tuple[float, float]:
    """Seconds inside the database driver, and in all."""
    rows = profile.stats.items()  # type: ignore[attr-defined]  # the stubs leave it out: (file, line, name) to figures
    own = {name: figures[2] for name, figures in rows}
    database = sum(seconds for (_, _, name), seconds in own.items() if "sqlite3." in name)
    return database, sum(own.values())


def parts(profile: pstats.Stats, rounds: int) -> dict[str, float]:
    """Cumulated milliseconds a job of the steps that a reader would name."""
    wanted = {"load_tape": "read", "contexts_at": "contexts", "predict": "forecast", "issue": "insert"}
    found: dict[str, float] = {}
    for (file, _, name), figures in profile.stats.items():  # type: ignore[attr-defined]  # as above
        if name in wanted and not (name == "predict" and file.endswith("jobs/predict.py")):
            found[wanted[name]] = found.get(wanted[name], 0.0) + figures[3] / rounds * 1e3
    return {part: round(spent, 2) for part, spent in found.items()}


def bare_insert(path: Path, rounds: int) -> list[float]:
    """The driver alone: 23 rows of about 6 KB and 23 blobs of 12 KB, one synced transaction."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE f (id INTEGER PRIMARY KEY, text TEXT)")
    connection.execute("CREATE TABLE b (id INTEGER PRIMARY KEY, payload BLOB)")
    text, payload = "x" * 6_000, b"x" * 12_000
    spent = []
    for _ in range(rounds):
        started = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO f (text) VALUES (?)", [(text,)] * 23)
        connection.executemany("INSERT INTO b (payload) VALUES (?)", [(payload,)] * 23)
        connection.execute("COMMIT")
        spent.append(time.perf_counter() - started)
    connection.close()
    return spent


if __name__ == "__main__":
    main()
