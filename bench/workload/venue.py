"""A venue process on a home of its own, with a recorded market, and the bots that are let loose on it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gnomon.clock import Timeframe
from gnomon.market.synth import synthetic_market, synthetic_trades
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions

BARS, PRINTS = "BTCUSDT-1m", "BTCUSDT-aggTrades-2024-03-01"


def write_bars(path: Path, start_ns: int, end_ns: int) -> None:
    """Seeded minutes of bitcoin, as a Parquet file."""
    bitcoin = shipped_instruments().find("BTCUSDT")
    calendars = {bitcoin.calendar: load_sessions(bitcoin.calendar)}
    (bars,) = synthetic_market([bitcoin], calendars, Timeframe.parse("1m"), start_ns, end_ns, seed=7)
    values = bars.ohlcva()
    columns = {"timestamp": pa.array(bars.open_ns, type=pa.timestamp("ns", tz="UTC"))}
    for index, name in enumerate(("open", "high", "low", "close", "volume")):
        columns[name] = pa.array(values[:, index])
    pq.write_table(pa.table(columns), path)


def write_prints(path: Path, start_ns: int, end_ns: int) -> None:
    """Seeded prints of bitcoin, as a dump of aggregated trades."""
    bitcoin = shipped_instruments().find("BTCUSDT")
    prints = synthetic_trades(bitcoin, load_sessions(bitcoin.calendar), start_ns, end_ns, seed=7)
    with path.open("w") as file:
        for row in range(len(prints)):
            number, at_ms = int(prints.id[row]), int(prints.time_ns[row]) // 1_000_000
            price, size = int(prints.price[row]), int(prints.size[row])
            sold = "true" if prints.side[row] < 0 else "false"
            file.write(f"{number},{price / 100:.2f},{size / 100_000:.5f},{number},{number},{at_ms},{sold},true\n")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def pinned(core: int) -> Callable[[], None] | None:
    """Keep a child to one core, where there are two."""
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        return None
    cores = sorted(os.sched_getaffinity(0))
    return lambda: os.sched_setaffinity(0, {cores[core]})


@dataclass(frozen=True, slots=True)
class Launched:
    """A live session: where its bots find it, and their keys."""

    id: str
    base_url: str
    ws_url: str
    bots: list[dict[str, Any]]

    def pulse(self, path: Path, bot: int = 0, **more: Any) -> Path:
        """The configuration of a bot of Pulse."""
        keys = {name: self.bots[bot][name] for name in ("api_key", "api_secret")}
        run = {"base_url": self.base_url, "ws_url": self.ws_url, "symbol": "BTCUSDT", "interval": "1m", **keys,
               "health_port": 0}  # fmt: skip
        path.write_text(json.dumps({"strategy_paths": [str(Path(__file__).parent)], "run": run, **more}))
        return path


class VenueProcess:
    """`gnomon serve venue`, until `close`. `files` are imported first."""

    def __init__(self, home: Path, files: list[Path], core: int | None = 0) -> None:
        self.home = home
        self.port = free_port()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GNOMON")}
        self.environment = clean | {"GNOMON_HOME": str(home), "GNOMON_VENUE_URL": f"http://127.0.0.1:{self.port}"}
        self.verb("db", "upgrade")
        for one in files:
            self.verb("import", str(one))
        command = [sys.executable, "-m", "gnomon.cli", "serve", "venue", "--port", str(self.port)]
        self._said = (home / "venue.log").open("w")
        self.process = subprocess.Popen(
            command, env=self.environment, stdout=self._said, stderr=self._said,
            preexec_fn=None if core is None else pinned(core),
        )  # fmt: skip
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert self.process.poll() is None, (self.home / "venue.log").read_text()
                assert time.monotonic() < until, "the venue does not answer"
                time.sleep(0.05)
            else:
                return

    def verb(self, *words: str, **more: str) -> Any:
        """What a command of `gnomon` says."""
        command = [sys.executable, "-m", "gnomon.cli", *words, "--json"]
        environment = self.environment | more
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=590, check=False)
        assert done.returncode == 0, f"gnomon {' '.join(words)}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def launch(self, spec: str) -> Launched:
        path = self.home / "session.toml"
        path.write_text(spec)
        made = self.verb("session", "create", str(path))
        self.verb("session", "launch", made["id"])
        return Launched(made["id"], made["base_url"], made["ws_url"], made["bots"])

    def bot(self, config: Path, says: Path, core: int | None = 1) -> subprocess.Popen[str]:
        """`gnomon pulse run`, with a stopwatch that writes to `says`."""
        watch = Path(__file__).with_name("bot_process.py")
        command = [sys.executable, str(watch), str(says), "pulse", "run", "--config", str(config), "--json"]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=None if core is None else pinned(core),
        )  # fmt: skip

    def fingerprint(self, run: str) -> str:
        (row,) = [one for one in self.verb("runs")["runs"] if one["id"] == run]
        return str(row["digests"]["fingerprint"])

    def run_of(self, session: str) -> Mapping[str, Any]:
        """The first run of a session, as `session show` has it."""
        shown = self.verb("session", "show", session)
        found: Mapping[str, Any] = shown["runs"][0] | {"session": shown["status"]}
        return found

    def cpu_s(self) -> float:
        """CPU time that the venue has used; NaN where the machine has no /proc."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return float("nan")
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self) -> float:
        """Resident memory of its own, without pages that are shared with files; NaN without /proc."""
        try:
            lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        except OSError:
            return float("nan")
        return sum(int(one.split()[1]) for one in lines if one.startswith("RssAnon")) / 1024

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self._said.close()
