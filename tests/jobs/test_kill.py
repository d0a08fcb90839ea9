"""Killed with -9 at a random moment, an import or a walk-forward goes on where it stopped."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text
from tests.jobs.verb_process import start_verb

from gnomon.store.store import Store

ROUNDS = int(os.environ.get("GNOMON_ROUNDS", "3"))
HOURS = 2_500
TABLES = ("datasets", "dataset_series", "candle_series", "candles", "forecasts", "forecast_blocks", "scores")

IMPORT = ("import", "bars")
EVALUATE = (
    *("evaluate", "--timeframe", "1h", "--horizon", "12", "--stride", "12"),
    *("--from", "2024-03-20", "--to", "2024-04-10", "--forecasters", "ewma,seasonal"),
)


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four CSV files of hourly bars."""
    folder = tmp_path_factory.mktemp("kill") / "bars"
    folder.mkdir()
    times = (np.datetime64("2024-01-01T00:00") + np.arange(HOURS) * np.timedelta64(1, "h")).astype(str)
    for number, symbol in enumerate(("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")):
        steps = np.random.default_rng(number).normal(0, 0.004, len(times))
        close = np.round(100 * np.exp(np.cumsum(steps)), 2)
        opened = np.concatenate([[100.0], close[:-1]])
        high, low = np.maximum(opened, close) + 0.05, np.minimum(opened, close) - 0.05
        lines = [
            f"{t},{o:.2f},{h:.2f},{w:.2f},{c:.2f},10"
            for t, o, h, w, c in zip(times, opened, high, low, close, strict=True)
        ]
        (folder / f"{symbol}-1h.csv").write_text("timestamp,open,high,low,close,volume\n" + "\n".join(lines) + "\n")
    return folder


def finish(home: Path, url: str, bars: Path, *verb: str) -> float:
    """Run a verb to its end; the seconds it took."""
    started = time.monotonic()
    process = start_verb(home, url, bars.parent, verb)
    process.join(timeout=600)
    assert process.exitcode == 0, verb  # None: it runs for longer than that
    return time.monotonic() - started


def contents(home: Path, url: str) -> dict[str, object]:
    """Row counts of every table, what the forecasts say, and the dataset folders."""
    store = Store.open(url, home / "datasets")
    with store.engine.connect() as connection:
        counts = {table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in TABLES}
        digests = connection.execute(text("SELECT raw_digest, input_hash FROM forecasts ORDER BY 1, 2")).all()
    assert all(lane.ok for lane in store.forecasts.verify())
    folders = sorted(path.name for path in (home / "datasets").iterdir()) if (home / "datasets").exists() else []
    store.engine.dispose()
    return {**counts, "digests": [tuple(row) for row in digests], "folders": folders}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("verb", [IMPORT, EVALUATE], ids=["import", "evaluate"])
def test_a_killed_run_is_completed_by_the_next_one(
    kind: str, verb: tuple[str, ...], bars: Path, tmp_path: Path, postgres_url_factory: Callable[..., str]
) -> None:
    luck = random.Random(f"{kind} {verb[0]}")
    start = tmp_path / "start"
    start.mkdir()
    start_url = f"sqlite:///{start / 'gnomon.db'}" if kind == "sqlite" else postgres_url_factory()
    finish(start, start_url, bars, "db", "upgrade")
    if verb is EVALUATE:
        finish(start, start_url, bars, *IMPORT)

    def copied(name: str) -> tuple[Path, str]:
        home = Path(shutil.copytree(start, tmp_path / name))
        return home, f"sqlite:///{home / 'gnomon.db'}" if kind == "sqlite" else postgres_url_factory(copy_of=start_url)

    home, url = copied("whole")
    duration_s = finish(home, url, bars, *verb)
    expected = contents(home, url)
    assert expected["candles"] == 4 * HOURS
    assert bool(expected["scores"]) is (verb is EVALUATE)

    for number in range(ROUNDS):
        home, url = copied(f"killed-{number}")
        process = start_verb(home, url, bars.parent, verb)
        time.sleep(luck.uniform(0.0, 1.0) * duration_s)
        process.kill()
        process.join(timeout=60)
        assert process.exitcode is not None, f"{verb[0]} outlived its kill by a minute"
        finish(home, url, bars, *verb)
        assert contents(home, url) == expected, f"round {number}"
