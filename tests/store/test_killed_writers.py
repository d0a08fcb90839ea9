"""A writer killed with -9 at a random moment leaves nothing half-written, and the next one completes its work."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.processes import first_line

from gnomon.store.engine import open_engine, reading, upgrade
from gnomon.store.forecasts import ForecastLedger

ROUNDS = int(os.environ.get("GNOMON_ROUNDS", "3"))
TABLES = (
    *("instruments", "datasets", "dataset_series", "candle_series", "candles"),
    *("forecasts", "forecast_blocks", "forecast_paths", "forecast_bars"),
)

# Imports once, then does the whole work in a fork for each database named on its standard input.
WRITER = """
import os, runpy, sys
import numpy as np
from gnomon.clock import Timeframe
from gnomon.store.engine import open_engine
from gnomon.store.forecasts import ForecastLedger
from gnomon.store.market import MarketStore
from gnomon.units import Grid

make = runpy.run_path(sys.argv[1])
bars = make["some_candles"](6000)
parts = [bars.take(slice(0, 2000)), bars.take(slice(1000, 4000)), bars]
parts.append(make["some_candles"](2000, first=6000, tick=Grid.of("0.0001")))
paths = np.random.default_rng(0).uniform(90, 110, (30, 24, 6))
day = Timeframe.parse("1d")
entries = [make["an_entry"](number, timeframe=day, paths=paths, calibrated=True) for number in range(160)]

def work(url):
    engine = open_engine(url)
    market, ledger = MarketStore(engine), ForecastLedger(engine)
    for number, part in enumerate(parts):
        passport = make["a_passport"]([part], f"part {number}")
        market.record(passport, [part], [make["an_instrument"]()], recorded_ns=2 * 10**18)
        for first in range(40 * number, 40 * number + 40, 20):
            batch = entries[first : first + 20]
            ledger.issue(batch, lane="backfill", variant="v", issued_at_ns=2 * 10**18)
    engine.dispose()

print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        work(line.strip())
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Writer:
    """The process that forks writers."""

    def __init__(self) -> None:
        maker = Path(__file__).with_name("conftest.py")
        self._process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(maker)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        return str(first_line(self._process))

    def run(self, url: str, *, kill_after_s: float | None = None) -> float:
        """Write everything; how long it took. Killed on the way when asked to be."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{url}\n")
        self._process.stdin.flush()
        child, began = int(self._line()), time.monotonic()
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            with contextlib.suppress(ProcessLookupError):  # it was done already
                os.kill(child, signal.SIGKILL)
        status = int(self._line())
        assert status == 0 or (kill_after_s is not None and os.WTERMSIG(status) == signal.SIGKILL)
        return time.monotonic() - began

    def close(self) -> None:
        self._process.communicate(timeout=300)


@pytest.fixture
def writer() -> Iterator[Writer]:
    writer = Writer()
    yield writer
    writer.close()


def contents(url: str) -> dict[str, Any]:
    """Row counts, the digests in order of the chain, and the sums of the candles; the chain is whole."""
    engine = open_engine(url)
    with reading(engine) as connection:
        found: dict[str, Any] = {
            table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in TABLES
        }
        chain = (
            "SELECT seq, raw_digest, calibrated_digest, paths_digest, bars_digest, row_hash FROM forecasts ORDER BY seq"
        )
        found["chain"] = [tuple(row) for row in connection.execute(text(chain))]
        candles = "SELECT revision, open_ns, close, volume, knowable_ns FROM candles ORDER BY open_ns, revision"
        found["candles seen"] = [tuple(row) for row in connection.execute(text(candles))]
    assert all(one.ok for one in ForecastLedger(engine).verify())
    engine.dispose()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_a_killed_writer_began_the_next_one_completes(
    kind: str, writer: Writer, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    luck = random.Random(kind)

    def fresh(name: str) -> str:
        if kind == "sqlite":
            url = f"sqlite:///{tmp_path / name}.db"
        else:
            url = request.getfixturevalue("postgres_url_factory")()
        engine = open_engine(url)
        upgrade(engine)
        engine.dispose()
        return url

    whole = fresh("whole")
    writer.run(fresh("warm"))
    duration_s = writer.run(whole)
    expected = contents(whole)
    assert (expected["candles"], expected["forecasts"], expected["forecast_bars"]) == (8000, 160, 160 * 24)
    unfinished = 0
    for number in itertools.count():
        if number >= ROUNDS and unfinished:
            break
        url = fresh(f"killed-{number}")
        writer.run(url, kill_after_s=luck.uniform(0.02, 0.95) * duration_s)
        between = contents(url)  # whole as far as it goes: all or nothing of each record and each issue
        unfinished += between != expected
        if between == expected:
            duration_s /= 2  # it is quicker than it was
        assert between["forecasts"] % 20 == 0
        assert between["forecast_blocks"] == 2 * between["forecasts"]
        assert between["candles"] in (0, 2000, 4000, 6000, 8000)
        assert between["chain"] == expected["chain"][: between["forecasts"]]
        writer.run(url)
        assert contents(url) == expected, f"round {number}"
