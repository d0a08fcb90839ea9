"""Is the forecast job dominated by the database, or by our Python?

Read, forecast, insert: 23 instruments x 120 steps x 13 levels by `ewma`, one job, SQLite. Time inside the driver
(statements and commits) is the database's, taken by hooks around it while the job runs; the rest is ours, by parts from
a profile of as many more jobs. The peer is the bare insert of rows of the same size by the driver alone, in one run.
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
from typing import Any

import numpy as np
from sqlalchemy import Engine, event

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
    rounds = 8 if parser.parse_args().quick else 30
    with tempfile.TemporaryDirectory() as folder:
        store = filled_store(Path(folder))
        plan = Plan(tuple(subjects(store, shipped_instruments(), HOUR)), HOUR, HORIZON, ("ewma",))
        driver = Driver(store.engine)
        whole_s, database_s, profile = measure(store, plan, rounds, driver)
        bare_s = bare_insert(Path(folder) / "bare.db", rounds)
    shares = [inside / whole for inside, whole in zip(database_s, whole_s, strict=True)]
    document = {
        "question": "forecast job, 23 instruments x 120 steps x 13 levels by ewma: whose time is it?",
        "machine": {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, "numpy": np.__version__},
        "results": [
            {
                "rounds": rounds,
                "job_median_ms": round(statistics.median(whole_s) * 1e3, 2),
                "job_min_ms": round(min(whole_s) * 1e3, 2),
                "database_median_ms": round(statistics.median(database_s) * 1e3, 2),
                "database_share_median": round(statistics.median(shares), 3),
                "bare_insert_median_ms": round(statistics.median(bare_s) * 1e3, 2),
                "ratio_job_to_bare_insert": round(statistics.median(whole_s) / statistics.median(bare_s), 2),
                "by_part_profiled_ms": parts(profile, rounds),
            }
        ],
        "limit": "one commit: a synced write of 23 rows and their blocks",
    }
    print(json.dumps(document, indent=2))


class Driver:
    """Seconds spent inside the database driver of an engine: in statements and in commits."""

    def __init__(self, engine: Engine) -> None:
        self.seconds = 0.0
        self._began = 0.0
        event.listen(engine, "before_cursor_execute", lambda *_: self._begin())
        event.listen(engine, "after_cursor_execute", lambda *_: self._end())
        commit = engine.dialect.do_commit

        def timed(connection: Any) -> None:
            self._begin()
            commit(connection)
            self._end()

        engine.dialect.do_commit = timed  # type: ignore[method-assign]  # there is no event after a commit

    def _begin(self) -> None:
        self._began = time.perf_counter()

    def _end(self) -> None:
        self.seconds += time.perf_counter() - self._began


def filled_store(folder: Path) -> Store:
    """23 instruments with enough hourly bars for a full look-back."""
    instruments = [one for one in shipped_instruments() if one.forecast]
    sessions = {one.calendar: load_sessions(one.calendar) for one in instruments}
    candles = synthetic_market(instruments, sessions, HOUR, END_NS - 600 * 24 * HOUR_NS, END_NS, seed=5)
    store = Store.open(f"sqlite:///{folder / 'gnomon.db'}", folder / "datasets")
    passport = Passport.of(candles, "bench")
    store.market.record(passport, candles, instruments, recorded_ns=END_NS)
    return store


def measure(store: Store, plan: Plan, rounds: int, driver: Driver) -> tuple[list[float], list[float], pstats.Stats]:
    """Seconds of each job and of the driver within it, at a new cutoff each; then the profile of as many more."""
    whole_s, database_s = [], []
    profiler = cProfile.Profile()
    for number in range(2 * rounds):
        as_of_ns = END_NS - (number + 1) * 24 * HOUR_NS
        if number >= rounds:
            profiler.enable()
        before_s, started = driver.seconds, time.perf_counter()
        report = predict(store, plan, SimClock(END_NS), as_of_ns=as_of_ns)
        spent_s = time.perf_counter() - started
        profiler.disable()
        if number < rounds:
            whole_s.append(spent_s)
            database_s.append(driver.seconds - before_s)
        assert len(report.ids) + len(report.missed) == len(plan.subjects)
        assert report.issued >= 8  # on a weekend only crypto has a new cutoff
    return whole_s, database_s, pstats.Stats(profiler)


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
