"""How fast is the latest forecast by symbol, beside a bare FastAPI route that returns the same bytes?

One uvicorn worker each (uvloop, httptools), 50 readers with kept connections, in turns. `ratio` is the gateway's
requests a second over the bare route's in the same run (goal: 0.5); `cpu_ratio` the same a second of server CPU, which
other work on the machine disturbs less. `cold` asks another instant each time, so that nothing is in memory.
The load comes from `wrk`; where it is absent, from an asyncio client here, which is slower than either server.

python bench/gateway.py [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from gnomon.clock import Timeframe, iso
from gnomon.forecast.forecast import LEVELS, Forecast
from gnomon.market.calendar import always
from gnomon.serve.gateway.app import create_app
from gnomon.sources.instruments import shipped_instruments
from gnomon.store.engine import open_engine, upgrade
from gnomon.store.forecasts import Entry, ForecastLedger
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS
from gnomon.wallclock import WallClock

READERS, HORIZON, GOAL_RATIO, GOAL_P95_MS = 50, 120, 0.5, 200.0
TARGET = "/showcase/ml-prediction/BTCUSDT?model=ewma"

LUA = """
local asked, threads = 0, {}
function setup(thread) table.insert(threads, thread) end
function init(args)
  moving = args[1] == "moving"
  first = tonumber(args[2] or "0")
  if args[3] then wrk.headers["If-None-Match"] = args[3] end
end
function request()
  if not moving then return wrk.format() end
  asked = asked + 1
  local at = first + asked
  local stamp = os.date("!%Y-%m-%dT%H:%M:%SZ", at)
  return wrk.format(nil, wrk.path .. "&as_of=" .. stamp)
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('RESULT {"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p95_ms": %.3f, "p99_ms": %.3f, ' ..
    '"failed": %d}\\n', summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(95) / 1e3, latency:percentile(99) / 1e3, e.connect + e.read + e.write + e.timeout))
end
"""


# --- the servers ----------------------------------------------------------------------------------------------------


def fill(url: str) -> None:
    """A live forecast of every instrument, 120 steps ahead, issued now; and one of each of the last hours."""
    engine, clock = open_engine(url), WallClock()
    upgrade(engine)
    ledger, calendar, hourly = ForecastLedger(engine), always(20_000, 24_000), Timeframe.parse("1h")
    for hours in range(24, -1, -1):
        at_ns = clock.now_ns() - hours * HOUR_NS
        cutoff_ns = calendar.newest_closed_ns(hourly, at_ns)
        targets = calendar.future(hourly, cutoff_ns, HORIZON)
        entries = [
            Entry(forecast(one.id, hourly, cutoff_ns, targets), at_ns, int(targets.close_ns[0]) + 10 * MINUTE_NS)
            for one in shipped_instruments()
        ]
        ledger.issue(entries, lane="live", issued_at_ns=at_ns)
    engine.dispose()


def forecast(instrument: str, timeframe: Timeframe, cutoff_ns: int, targets: Any) -> Forecast:
    rng = np.random.default_rng(zlib.crc32(instrument.encode()))
    steps = np.sqrt(np.arange(1, HORIZON + 1))[:, None]
    middle = np.cumsum(rng.normal(0, 0.002, HORIZON))[:, None]
    return Forecast(
        forecaster="ewma",
        version="1",
        role="baseline",
        instrument=instrument,
        timeframe=timeframe,
        data_cutoff_ns=cutoff_ns,
        base_price=60_000.0,
        target_open_ns=targets.open_ns,
        target_close_ns=targets.close_ns,
        levels=LEVELS,
        quantiles=60_000.0 * np.exp(middle + 0.01 * steps * (np.array(LEVELS) - 0.5)),
        p_up=rng.uniform(0.4, 0.6, HORIZON),
        seed=0,
        input_hash="0" * 64,
    )


def serve(what: str, url: str, port: int, body: Path) -> None:
    """Be one of the servers, until killed."""
    import uvicorn

    app = create_app(open_engine(url), shipped_instruments(), WallClock()) if what == "gateway" else bare(body)
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", log_level="warning", access_log=False)


def bare(body: Path) -> Any:
    """The peer: a route of FastAPI that returns the same bytes, and one that returns 304."""
    from fastapi import FastAPI
    from fastapi.responses import Response

    app, content = FastAPI(), body.read_bytes()

    @app.get("/bare/{symbol}")
    async def same(symbol: str) -> Response:  # noqa: ARG001 - the peer reads its parameter as ours does
        return Response(content, media_type="application/json")

    @app.get("/unchanged/{symbol}")
    async def unchanged(symbol: str) -> Response:  # noqa: ARG001 - as above
        return Response(status_code=304, headers={"etag": '"the same"'})

    return app


@dataclass(frozen=True, slots=True)
class Server:
    """A process with an address."""

    port: int
    process: subprocess.Popen[bytes]

    def cpu_s(self) -> float:
        """CPU time it has used; NaN where the machine has no /proc."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return float("nan")
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(what: str, url: str, body: Path, path: str) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, __file__, "--serve", what, "--url", url, "--port", str(port), "--body", str(body)]
    server = Server(port, subprocess.Popen(command))
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until and server.process.poll() is None:
            try:
                fetch(server, path)
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        yield server
    finally:
        server.process.terminate()
        server.process.wait(10)


def fetch(server: Server, path: str) -> tuple[bytes, str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10) as answer:
        return answer.read(), answer.headers.get("etag", "")


# --- the load -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a path, always the same or of another instant each time, and what the reader has already."""

    path: str
    moving: bool = False
    etag: str = ""


def load(server: Server, question: Question, seconds: float, folder: Path) -> dict[str, float]:
    """Ask for some seconds with all readers: requests a second, latencies, requests a second of server CPU."""
    before = server.cpu_s()
    # every run asks about instants of its own, so that the cold ones stay cold
    first = (WallClock().now_ns() - DAY_NS) // SECOND_NS + Counter.next(20_000 if question.moving else 0)
    found = (
        by_wrk(server, question, seconds, folder, first)
        if shutil.which("wrk")
        else by_asyncio(server, question, seconds, first)
    )
    used = server.cpu_s() - before
    return found | {
        "rps": found["requests"] / found["seconds"],
        "rps_cpu": found["requests"] / used if used else float("nan"),
    }


class Counter:
    """How far the instants asked about have come."""

    at = 0

    @classmethod
    def next(cls, step: int) -> int:
        cls.at += step
        return cls.at


def by_wrk(server: Server, question: Question, seconds: float, folder: Path, first: int) -> dict[str, float]:
    script = folder / "load.lua"
    script.write_text(LUA)
    address = f"http://127.0.0.1:{server.port}{question.path}"
    given = ["moving" if question.moving else "same", str(first), *([question.etag] if question.etag else [])]
    command = ["wrk", "-t1", f"-c{READERS}", f"-d{seconds:g}s", "-s", str(script), address, "--", *given]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    match = re.search(r"RESULT (.*)", out)
    assert match is not None, out
    result: dict[str, float] = json.loads(match[1])
    assert result.pop("failed") == 0, out
    assert "Non-2xx" not in out or question.etag, out
    return result


def by_asyncio(server: Server, question: Question, seconds: float, first: int) -> dict[str, float]:
    """The same load from Python: a client as lean as asyncio allows, still slower than the servers."""
    took: list[float] = []
    instants = iter(range(first, first + 10**9))

    async def reader(until: float) -> None:
        source, sink = await asyncio.open_connection("127.0.0.1", server.port, limit=2**20)
        while time.perf_counter() < until:
            path = question.path + (f"&as_of={iso(next(instants) * SECOND_NS)}" if question.moving else "")
            known = f"If-None-Match: {question.etag}\r\n" if question.etag else ""
            began = time.perf_counter()
            sink.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\n{known}\r\n".encode())
            head = await source.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            await source.readexactly(int(length[1]) if length else 0)
            took.append(time.perf_counter() - began)
        sink.close()

    async def everyone() -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(reader(until) for _ in range(READERS)))

    asyncio.run(everyone())
    p50, p95, p99 = (1e3 * float(np.quantile(took, share)) for share in (0.5, 0.95, 0.99))
    return {"requests": len(took), "seconds": seconds, "p50_ms": p50, "p95_ms": p95, "p99_ms": p99}


# --- the answer -----------------------------------------------------------------------------------------------------


def compare(
    name: str, sides: Sequence[tuple[Server, Question]], rounds: int, seconds: float, folder: Path
) -> dict[str, Any]:
    """Load both sides in turns; the figures of each and the ratio of ours to the peer's."""
    runs: list[list[dict[str, float]]] = [[], []]
    for server, question in sides:
        load(server, question, min(1.0, seconds), folder)  # warm
    for _ in range(rounds):
        for side, (server, question) in enumerate(sides):
            runs[side].append(load(server, question, seconds, folder))
    ours, peer = (
        {key: statistics.median(run[key] for run in side) for key in side[0]}
        | {"best_rps": max(run["rps"] for run in side)}
        for side in runs
    )
    ratios = [mine["rps"] / other["rps"] for mine, other in zip(*runs, strict=True)]
    return {
        "name": name,
        "ratio": round(statistics.median(ratios), 3),
        "ratio_best": round(ours["best_rps"] / peer["best_rps"], 3),
        "cpu_ratio": round(ours["rps_cpu"] / peer["rps_cpu"], 3),
        "gateway": rounded(ours),
        "bare": rounded(peer),
    }


def rounded(figures: dict[str, float]) -> dict[str, float]:
    kept = ("rps", "best_rps", "rps_cpu", "p50_ms", "p95_ms", "p99_ms")
    return {key: round(figures[key], 2 if key.endswith("_ms") else 0) for key in kept}


def measure(rounds: int, seconds: float, folder: Path) -> tuple[list[dict[str, Any]], int]:
    url, body = f"sqlite:///{folder / 'gnomon.db'}", folder / "body.json"
    fill(url)
    with running("gateway", url, body, "/health") as gateway:
        content, etag = fetch(gateway, TARGET)
        body.write_bytes(content)
        with running("bare", url, body, "/bare/BTCUSDT") as peer:
            same = Question("/bare/BTCUSDT?model=ewma")
            pairs = {
                "hit": (Question(TARGET), same),
                "not modified": (Question(TARGET, etag=etag), Question("/unchanged/BTCUSDT?model=ewma", etag=etag)),
                "cold": (Question(TARGET, moving=True), same),
            }
            found = [
                compare(name, ((gateway, ours), (peer, theirs)), rounds, seconds, folder)
                for name, (ours, theirs) in pairs.items()
            ]
    return found, len(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    for name in ("--serve", "--url", "--body"):
        parser.add_argument(name, default="", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.url, given.port, Path(given.body))
        return
    with tempfile.TemporaryDirectory() as folder:
        results, size = measure(3 if given.quick else 9, 2.0 if given.quick else 5.0, Path(folder))
    has_wrk = shutil.which("wrk") is not None
    hit = results[0]
    document = {
        "question": f"latest forecast by symbol beside a bare route: {size:,} bytes, {READERS} readers, one worker",
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform(), "load": os.getloadavg()},
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("fastapi", "starlette", "uvicorn", "uvloop", "httptools")},
        "load_from": "wrk" if has_wrk else "asyncio (install wrk for the real limit: apt-get install wrk)",
        "results": results,
        "goals": {
            "ratio": {"goal": GOAL_RATIO, "reached": hit["ratio"] >= GOAL_RATIO},
            "p95_ms": {"goal": GOAL_P95_MS, "reached": hit["gateway"]["p95_ms"] < GOAL_P95_MS},
        },
        "limit": "one core for the server and one for the load: the loopback and the HTTP parser are the floor of both",
        "notes": "cold: every request is a miss; 50 readers wait for 50 readings of the database, one after the other",
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
