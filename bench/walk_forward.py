"""How long does a walk-forward take, and where does the time go?

Five symbols, two years of hourly bars, horizon 24, stride 24, six baselines: from an empty ledger to the board, on
SQLite. The physical limit is the bytes of the ledger at the disk's pace; the peer is the same six forecasters called
once a context without any store, so the ratio says what remembering costs.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path

import numpy as np

from gnomon.clock import Timeframe, parse_instant
from gnomon.forecast.catalog import BASELINES, forecaster
from gnomon.jobs.evaluate import Span, board_filter, evaluate, origins_of
from gnomon.jobs.predict import Plan, contexts_at, load_tape, subjects
from gnomon.market.dataset import Passport
from gnomon.market.synth import synthetic_market
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.store.boards import board_of
from gnomon.store.store import Store
from gnomon.wallclock import WallClock

HOUR = Timeframe.parse("1h")
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a quarter of the span")
    quick = parser.parse_args().quick
    span = Span(parse_instant("2024-01-01"), parse_instant("2024-07-01" if quick else "2026-01-01"), 24)
    with tempfile.TemporaryDirectory() as folder:
        store = filled_store(Path(folder))
        chosen = subjects(store, shipped_instruments(), HOUR, SYMBOLS)
        plan = Plan(tuple(chosen), HOUR, 24, BASELINES)
        started = time.perf_counter()
        done = evaluate(store, plan, span, WallClock())
        with done.watch.part("board"):
            rows = board_of(store.scores, board_filter(plan, span))
        whole_s = time.perf_counter() - started
        bare_s = bare_forecasting(store, plan, span)
        ledger_bytes = sum(path.stat().st_size for path in Path(folder).glob("gnomon.db*"))
    seconds = {part: round(spent, 3) for part, spent in done.watch.seconds.items()}
    document = {
        "question": "walk-forward over 5 symbols x hourly, horizon 24, stride 24, six baselines: seconds and where",
        "machine": {"python": platform.python_version(), "numpy": np.__version__, "cpu": platform.machine()},
        "results": [
            {
                "days": (span.last_ns - span.first_ns) // 86_400_000_000_000,
                "origins": done.origins,
                "forecasts": done.issued,
                "scores": done.scored.rows,
                "board_rows": len(rows),
                "whole_s": round(whole_s, 3),
                "bare_forecasting_s": round(bare_s, 3),
                "ratio_whole_to_bare": round(whole_s / bare_s, 2),
                "seconds": seconds,
                "forecasts_per_s": round(done.issued / whole_s),
            }
        ],
        "limit": {
            "ledger_mb": round(ledger_bytes / 1e6, 1),
            "note": "what was written, to set against the disk's pace",
        },
    }
    print(json.dumps(document, indent=2))


def filled_store(folder: Path) -> Store:
    """A store with three years of synthetic hourly bars of the five symbols."""
    instruments = [shipped_instruments().find(symbol) for symbol in SYMBOLS]
    sessions = {one.calendar: load_sessions(one.calendar) for one in instruments}
    span = parse_instant("2023-01-01"), parse_instant("2026-01-02")
    candles = synthetic_market(instruments, sessions, HOUR, *span, seed=5)
    store = Store.open(f"sqlite:///{folder / 'gnomon.db'}", folder / "datasets")
    passport = Passport.of(candles, "bench")
    store.market.record(passport, candles, instruments, recorded_ns=WallClock().now_ns())
    return store


def bare_forecasting(store: Store, plan: Plan, span: Span) -> float:
    """The same contexts and forecasters with nothing stored."""
    tape = load_tape(store, plan.subjects, last_ns=span.last_ns)
    started = time.perf_counter()
    for at_ns in origins_of(plan.subjects[0], span, plan.horizon):
        contexts = contexts_at(tape, plan, plan.subjects, at_ns, [])
        for name in plan.forecasters:
            forecaster(name).predict(contexts, plan.horizon, seed=plan.seed)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
