"""Where does the time of an hourly run go: 23 instruments by six baselines, 120 hours ahead, as the schedule makes it?

One predict job on SQLite: slots, contexts, forecasts, calibrations, rows, verdicts. The physical limit is forecasting
itself and the database's own inserts and commits; the share outside both is what the pipeline costs, at most a fifth.
The peer is the same six forecasters called on the same contexts without a store.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine, event

from gnomon.clock import SimClock, Timeframe, parse_instant
from gnomon.forecast.catalog import BASELINES, forecaster
from gnomon.jobs.cast import Cast
from gnomon.jobs.engine.memory import MemoryJobs
from gnomon.jobs.handlers import Crew
from gnomon.jobs.predict import Plan, contexts_at, load_tape, subjects
from gnomon.market.synth import synthetic_market
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.store.store import Store
from gnomon.units import HOUR_NS, MINUTE_NS

HOUR = Timeframe.parse("1h")
NOW_NS = parse_instant("2025-11-19T15:00:00Z")  # a Wednesday: every market has an hourly bar today
HISTORY_NS = 420 * 24 * HOUR_NS


class Timed:
    """Seconds spent inside a function, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

        return timed


class TimedForecaster:
    """A forecaster whose `predict` is timed."""

    def __init__(self, inner: Any, timed: Timed) -> None:
        self.name, self.version, self.traits = inner.name, inner.version, inner.traits
        self.predict = timed.wrap("forecasting", inner.predict)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three runs instead of eight")
    runs = 3 if parser.parse_args().quick else 8
    with tempfile.TemporaryDirectory() as folder:
        results = measure(Path(folder), runs)
    document = {
        "question": "an hourly run over 23 instruments x 6 forecasters: the share outside forecasting and inserts",
        "machine": {"python": platform.python_version(), "numpy": np.__version__, "cpu": platform.machine()},
        "results": [results],
    }
    print(json.dumps(document, indent=2))


def measure(folder: Path, runs: int) -> dict[str, Any]:
    """The medians of some runs, each at the next hour."""
    configured = shipped_instruments()
    chosen = [one for one in configured if one.forecast]
    sessions = {one.calendar: load_sessions(one.calendar) for one in chosen}
    bars = synthetic_market(chosen, sessions, HOUR, NOW_NS - HISTORY_NS, NOW_NS + (runs + 1) * HOUR_NS, seed=5)
    store = Store.open(f"sqlite:///{folder / 'gnomon.db'}", folder / "datasets")
    store.market.extend(bars, chosen, recorded_ns=NOW_NS)
    clock = SimClock(NOW_NS)
    jobs = MemoryJobs(Crew(store, configured, clock, {}).handlers(), clock, store.engine)
    found: dict[str, list[float]] = {}
    inner_commit = store.engine.dialect.do_commit
    inner_cast = Cast.forecaster
    timed = Timed()
    listen_to_inserts(store.engine, timed)
    for run in range(runs):
        clock.advance_to(NOW_NS + run * HOUR_NS + MINUTE_NS)
        timed.seconds.clear()
        Cast.forecaster = lambda self, name, t=timed: TimedForecaster(inner_cast(self, name), t)  # type: ignore[method-assign, misc, assignment]  # taken apart for the clock
        store.engine.dialect.do_commit = timed.wrap("committing", inner_commit)  # type: ignore[method-assign]  # taken apart for the clock
        args = {"timeframe": "1h", "horizon": 120, "forecasters": list(BASELINES), "due_ns": clock.now_ns()}
        jobs.enqueue("predict", str(run), args)
        started = time.perf_counter()
        jobs.run_due()
        whole_s = time.perf_counter() - started
        status = jobs.status(f"predict:{run}")
        assert status.state == "done", status
        parts = {"whole": whole_s, **timed.seconds, "issued": float(status.result["issued"])}
        parts["outside_share"] = 1.0 - sum(timed.seconds.values()) / whole_s
        parts["bare"] = bare(store, configured, clock.now_ns())
        parts["times_the_bare_forecasting"] = whole_s / parts["bare"]
        for name, value in parts.items():
            found.setdefault(name, []).append(value)
    Cast.forecaster = inner_cast  # type: ignore[method-assign]  # taken apart for the clock
    store.engine.dispose()
    return {name: round(float(np.median(values)), 4) for name, values in found.items()}


def listen_to_inserts(engine: Engine, timed: Timed) -> None:
    """Count the driver's own time in statements that write."""

    def before(*given: Any) -> None:
        given[4].began = time.perf_counter()

    def after(*given: Any) -> None:
        if given[2].lstrip().upper().startswith(("INSERT", "UPDATE")):
            spent = time.perf_counter() - given[4].began
            timed.seconds["inserting"] = timed.seconds.get("inserting", 0.0) + spent

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)


def bare(store: Store, configured: Any, now_ns: int) -> float:
    """Seconds of the same forecasts without a pipeline."""
    plan = Plan(tuple(subjects(store, configured, HOUR)), HOUR, 120, BASELINES)
    contexts = contexts_at(
        load_tape(store, plan.subjects, last_ns=now_ns, limit=2_056), plan, plan.subjects, now_ns, []
    )
    started = time.perf_counter()
    for name in BASELINES:
        forecaster(name).predict(contexts, 120)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
