"""A venue as its users run it: a home with a recorded market, a session made by the command line, a server process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.processes import end, put_down
from tests.warm import warm_folder

from gnomon.clock import parse_instant
from gnomon.market.synth import synthetic_trades
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions

SYMBOL, BASE, QUOTE = "BTCUSDT", "BTC", "USDT"
RECORDED_FROM, OPENS, CLOSES = "2024-03-01T00:00:00Z", "2024-03-01T02:00:00Z", "2024-03-01T08:00:00Z"
DATASET = "BTCUSDT-aggTrades-2024-03-01"

SESSION = """
[session]
dataset = "{dataset}"
from = "{opens}"
to = "{closes}"
seed = 7
drive = "paced"
pace = {pace}
start_policy = "now"
filters = [{{ min_notional = "5", min_qty = "0.00001", max_qty = "9000", max_price = "1000000" }}]
{more}

[rules]
fees = {{ maker = "0.001", taker = "0.001" }}
balances = {{ USDT = "100000", BTC = "1" }}
"""
ENTRY = """
[[entry]]
name = "{name}"
trader = "wire"
tier = "unmodified"
"""


def ms(instant: str) -> int:
    return parse_instant(instant) // 1_000_000


def record(path: Path) -> None:
    """Eight hours of seeded prints, as a dump of aggregated trades."""
    bitcoin = shipped_instruments().find(SYMBOL)
    calendar = load_sessions(bitcoin.calendar)
    prints = synthetic_trades(bitcoin, calendar, parse_instant(RECORDED_FROM), parse_instant(CLOSES), seed=7)
    with path.open("w") as file:
        for row in range(len(prints)):
            number, at_ms = int(prints.id[row]), int(prints.time_ns[row]) // 1_000_000
            price, size = int(prints.price[row]), int(prints.size[row])
            sold = "true" if prints.side[row] < 0 else "false"
            file.write(f"{number},{price / 100:.2f},{size / 100_000:.5f},{number},{number},{at_ms},{sold},true\n")


@dataclass(frozen=True, slots=True)
class Bot:
    name: str
    key: str
    secret: str


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session that runs: where its bots find it, and their keys."""

    id: str
    http: str
    ws: str
    bots: tuple[Bot, ...]
    began: float = field(default_factory=time.monotonic)

    def given(self, bot: int = 0, **more: Any) -> dict[str, Any]:
        """What a walk is told."""
        one = self.bots[bot]
        names = {"symbol": SYMBOL, "base": BASE, "quote": QUOTE, "info": self.info()}
        return {"http": self.http, "ws": self.ws, "key": one.key, "secret": one.secret, **names, **more}

    def info(self) -> dict[str, Any]:
        """The symbol's entry of exchangeInfo, asked without any client."""
        with urllib.request.urlopen(f"{self.http}/api/v3/exchangeInfo?symbol={SYMBOL}", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)["symbols"][0]
        return found

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.http.removeprefix("http://").partition("/")[0].partition(":")
        return host, int(port)


class Venue:
    """A venue process on a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GNOMON")}
        self.environment = clean | {"GNOMON_HOME": str(home)}
        self.port = free_port()
        self.environment["GNOMON_VENUE_URL"] = f"http://127.0.0.1:{self.port}"
        self.log = (home / "venue.log").open("w")
        self.process: subprocess.Popen[str] | None = None

    def verb(self, *words: str) -> Any:
        command = [warm_folder() / "gnomon", *words, "--json"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, f"gnomon {' '.join(words)}: {done.stdout}{done.stderr}\n{self.said()}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def open(self) -> None:
        dump = self.home / f"{DATASET}.csv"
        record(dump)
        self.verb("db", "upgrade")
        self.verb("import", str(dump))
        self.serve()

    def kill(self) -> None:
        """As a machine would end it: nothing is said, nothing is closed."""
        assert self.process is not None
        put_down(self.process)

    def serve(self) -> None:
        """The process, until it answers; after a kill the next one."""
        command = [sys.executable, "-m", "gnomon.cli", "serve", "venue", "--port", str(self.port)]
        self.process = subprocess.Popen(command, env=self.environment, stdout=self.log, stderr=self.log, text=True)
        until = time.monotonic() + 120
        while not self._answers():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < until, self.said()
            time.sleep(0.05)

    def said(self) -> str:
        self.log.flush()
        return (self.home / "venue.log").read_text()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def session(self, bots: tuple[str, ...] = ("bot",), pace: str = "60", more: str = "", closes: str = CLOSES,
                opens: str = OPENS) -> LiveSession:  # fmt: skip
        """A session that has begun."""
        spec = self.home / f"session-{time.monotonic_ns()}.toml"
        text = SESSION.format(dataset=DATASET, opens=opens, closes=closes, pace=pace, more=more)
        spec.write_text(text + "".join(ENTRY.format(name=name) for name in bots))
        made = self.verb("session", "create", str(spec))
        self.verb("session", "launch", made["id"])
        keys = tuple(Bot(one["name"], one["api_key"], one["api_secret"]) for one in made["bots"])
        http, ws = (made[name].rstrip("/") for name in ("base_url", "ws_url"))
        return LiveSession(made["id"], http, ws, keys)

    def close(self) -> None:
        try:
            if self.process is not None:
                end(self.process)
        finally:
            self.log.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
