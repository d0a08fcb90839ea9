"""What does a checked import cost beside reading the same file with pandas and believing it?

One JSON document on stdout. `read` is the importer alone: unpack, hash, recognise, check, count on integer grids, place
on the calendar, digest. `stored` adds what a first import does after it: the dataset folder and the rows in a fresh
SQLite database, both synced. `ratio` is the time over that of `pandas.read_json` or `pandas.read_csv` of the same file
in the same run, on the wall and in CPU time (`cpu_ratio`, which other work on the machine disturbs less). The calendar
of the instrument is computed before the clock starts; `calendar_s` says what that costs a fresh process once.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from gnomon.sources.files.read import Imported, read
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.store.store import Store

Seconds = tuple[float, float]
"""On the wall, and of the processor."""

FILES: dict[str, Callable[[Path], Any]] = {
    "binance_spot_1h/BTC_USDT-1h.json.gz": pd.read_json,
    "lean_spy_ticks/spy_20131008_trade.zip": lambda path: pd.read_csv(path, header=None),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    rounds = 3 if parser.parse_args().quick else 15
    data = Path(os.environ.get("GNOMON_SHARED", Path(__file__).parents[2] / "shared")) / "data"
    started = time.perf_counter()
    load_sessions("nyse", "America/New_York")
    calendar_s = time.perf_counter() - started
    document = {
        "question": "a checked import beside pandas reading the same file",
        "machine": {"platform": platform.platform(), "cpus": os.cpu_count(), "load": os.getloadavg()[0]},
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "pandas": pd.__version__,
            "pyarrow": pa.__version__,
        },
        "calendar_s": round(calendar_s, 2),
        "results": [measure(data / name, peer, rounds) for name, peer in FILES.items()],
        "limit": "unpacking, SHA-256 and the dataset's BLAKE2b alone, which no importer can leave out: see floor_ms",
    }
    print(json.dumps(document, indent=2))


def measure(path: Path, peer: Callable[[Path], Any], rounds: int) -> dict[str, Any]:
    """Peer, import and stored import in turn, so that a busy spell of the machine meets all of them."""
    instruments = shipped_instruments()
    imported = read(path, instruments=instruments)
    times: dict[str, list[Seconds]] = {"peer": [], "read": [], "stored": [], "floor": []}
    for _ in range(rounds):
        times["peer"].append(timed(lambda: peer(path)))
        times["read"].append(timed(lambda: read(path, instruments=instruments)))
        times["stored"].append(stored(path))
        times["floor"].append(timed(lambda: floor(path, imported)))
    return {
        "file": path.name,
        "rows": imported.passport.rows,
        "rounds": rounds,
        "peer_ms": shown(times["peer"]),
        "read_ms": shown(times["read"]),
        "stored_ms": shown(times["stored"]),
        "floor_ms": shown(times["floor"]),
        "rows_per_s": round(imported.passport.rows / statistics.median(wall for wall, _ in times["read"])),
        "ratio": ratio(times["read"], times["peer"], 0),
        "cpu_ratio": ratio(times["read"], times["peer"], 1),
        "stored_ratio": ratio(times["stored"], times["peer"], 0),
        "stored_cpu_ratio": ratio(times["stored"], times["peer"], 1),
    }


def stored(path: Path) -> Seconds:
    """A first import into a fresh store; the empty database is made before the clock starts."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(f"sqlite:///{Path(folder) / 'gnomon.db'}", Path(folder) / "datasets")

        def run() -> None:
            imported = read(path, instruments=shipped_instruments())
            store.datasets.write(imported.passport, imported.series)
            store.market.record(imported.passport, imported.series, imported.instruments, recorded_ns=0)

        seconds = timed(run)
        store.engine.dispose()
    return seconds


def floor(path: Path, imported: Imported) -> None:
    """Unpack and hash, nothing else."""
    from gnomon.market.dataset import series_digest
    from gnomon.sources.files.content import open_content

    open_content(path)
    for series in imported.series:
        series_digest(series)


def timed(work: Callable[[], Any]) -> Seconds:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def shown(seconds: list[Seconds]) -> dict[str, float]:
    walls = [wall for wall, _ in seconds]
    return {"median": round(statistics.median(walls) * 1e3, 1), "min": round(min(walls) * 1e3, 1)}


def ratio(ours: list[Seconds], theirs: list[Seconds], which: int) -> dict[str, float]:
    first, second = [one[which] for one in ours], [one[which] for one in theirs]
    medians = statistics.median(first) / statistics.median(second)
    return {"median": round(medians, 2), "min": round(min(first) / min(second), 2)}


if __name__ == "__main__":
    main()
