"""What does a live session cost in memory, what an idle bot; how do fifty sessions of four bots fare on two cores?

`memory`: anonymous memory of `gnomon serve venue` (RssAnon) after each of so many sessions over one recorded day of
prints is launched; the slope by least squares, of sessions with one bot and with sixteen, tells a session from a bot.
The prints themselves are read from files that all share: `tape_mib` is what one private copy would be.

`fleet`: fifty sessions, paced at sixty virtual seconds a second, four bots in each. Every bot holds a socket of the
trade stream and sends a signed order a second (a limit that meets nobody); the venue has one core, the load the other.
Events a second are those that the bots have received, latencies from the first byte of a request to its answer.

python bench/venue_sessions.py [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import platform
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import uvloop
from typer.testing import CliRunner

from gnomon.cli.main import app
from gnomon.clock import iso, parse_instant
from gnomon.units import HOUR_NS
from workload.venue import PRINTS, VenueProcess, write_prints

HOURS, PACE, BOTS = 12, 60, 4
HANDSHAKE = (
    "GET /s/{session}/stream?streams=btcusdt@trade HTTP/1.1\r\nHost: v\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

SESSION = """
[session]
dataset = "{dataset}"
from = "{opens}"
to = "{closes}"
seed = {seed}
drive = "paced"
pace = {pace}
start_policy = "now"
rate_limits = "off"
time_check = "off"

[rules]
fees = {{ maker = "0.001", taker = "0.001" }}
balances = {{ USDT = "1000000", BTC = "10" }}
"""
ENTRY = '\n[[entry]]\nname = "bot{number}"\ntrader = "wire"\ntier = "unmodified"\n'


class Fleet:
    """Sessions of one venue, made in this process: a command for each would take longer than they do."""

    def __init__(self, venue: VenueProcess) -> None:
        self.venue = venue
        self.made: list[dict[str, Any]] = []
        os.environ.update({name: value for name, value in venue.environment.items() if name.startswith("GNOMON")})
        self.opens = parse_instant("2024-03-01T00:00:00Z")

    def add(self, bots: int, pace: float = PACE) -> dict[str, Any]:
        path = self.venue.home / "session.toml"
        opens, closes = self.opens + HOUR_NS, self.opens + HOURS * HOUR_NS
        text = SESSION.format(
            dataset=PRINTS, opens=iso(opens), closes=iso(closes), seed=len(self.made) + 1, pace=pace
        )  # fmt: skip
        path.write_text(text + "".join(ENTRY.format(number=one) for one in range(bots)))
        made: dict[str, Any] = json.loads(self.run("session", "create", str(path)))
        self.run("session", "launch", made["id"])
        self.made.append(made)
        return made

    def run(self, *words: str) -> str:
        done = CliRunner().invoke(app, [*words, "--json"])
        assert done.exit_code == 0, f"{words}: {done.output}"
        return done.output

    def touch(self, made: dict[str, Any]) -> None:
        """Its bots come: each asks for its account once."""
        for bot in made["bots"]:
            query = signed(bot["api_secret"], {})
            url = f"{made['base_url']}/api/v3/account?{query}"
            asked = urllib.request.Request(url, headers={"X-MBX-APIKEY": bot["api_key"]})
            with urllib.request.urlopen(asked, timeout=30) as answer:
                answer.read()


def signed(secret: str, params: dict[str, Any]) -> str:
    payload = urlencode({**params, "recvWindow": 60_000, "timestamp": time.time_ns() // 1_000_000})
    return f"{payload}&signature={hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()}"


# --- memory ---------------------------------------------------------------------------------------------------------


def memory(folder: Path, dump: Path, sessions: int, bots: int) -> dict[str, float]:
    """MiB a session of so many bots that have come and do nothing; its clock hardly moves."""
    home = folder / f"memory{bots}"
    home.mkdir()
    venue = VenueProcess(home, [dump])
    try:
        fleet, found = Fleet(venue), []
        for _ in range(sessions):
            fleet.touch(fleet.add(bots, pace=1))
            found.append(venue.memory_mib())
    finally:
        venue.close()
    slope, first = np.polyfit(range(1, sessions + 1), found, 1)
    return {"mib_a_session": round(float(slope), 3), "mib_without": round(float(first), 1), "sessions": sessions}


def memories(folder: Path, dump: Path, sessions: int) -> dict[str, Any]:
    """Sessions of one bot and of sixteen, and what follows of each of the two."""
    one, many = (memory(folder, dump, max(6, sessions // bots), bots) for bots in (1, 16))
    bot_mib = (many["mib_a_session"] - one["mib_a_session"]) / 15
    with dump.open() as lines:
        rows = sum(1 for _ in lines)
    return {
        "of_one_bot": one,
        "of_sixteen": many,
        "mib_an_idle_bot": round(bot_mib, 3),
        "mib_a_session_alone": round(one["mib_a_session"] - bot_mib, 3),
        "rows": rows,
        "tape_mib": round(rows * 25 / 2**20, 2),  # time, price, lots, side
    }


# --- the fleet ------------------------------------------------------------------------------------------------------


class Bot:
    """One bot: a socket of trades, and a connection for orders."""

    def __init__(self, made: dict[str, Any], number: int) -> None:
        self.bot = made["bots"][number]
        self.session = made["id"]
        self.name = f"{made['id'][-6:]}{number}"
        self.events = self.orders = self.refused = 0
        self.took: list[float] = []

    async def stream(self, port: int) -> None:
        source, sink = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
        sink.write(HANDSHAKE.format(session=self.session).encode())
        assert b"101" in await source.readuntil(b"\r\n\r\n")
        while data := await source.read(2**18):
            self.events += data.count(b'"e":"trade"')

    async def trade(self, port: int, starts_s: float, until_s: float) -> None:
        source, sink = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(starts_s - time.monotonic())
        while (now_s := time.monotonic()) < until_s:
            sink.write(self.order())
            head = await source.readuntil(b"\r\n\r\n")
            size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await source.readexactly(size)
            self.took.append(time.monotonic() - now_s)
            self.refused += not head.startswith(b"HTTP/1.1 200")
            await asyncio.sleep(max(0.0, now_s + 1.0 - time.monotonic()))
        sink.close()

    def order(self) -> bytes:
        self.orders += 1
        params = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "IOC", "quantity": "0.00100000",
                  "price": "10000.00", "newClientOrderId": f"{self.name}-{self.orders}"}  # fmt: skip
        body = signed(self.bot["api_secret"], params)
        return (
            f"POST /api/v3/order HTTP/1.1\r\nHost: v\r\nX-MBX-APIKEY: {self.bot['api_key']}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


async def drive(bots: Sequence[Bot], venue: VenueProcess, seconds: float) -> dict[str, Any]:
    streams = [asyncio.create_task(one.stream(venue.port)) for one in bots]
    await asyncio.sleep(2.0)
    began_s, cpu_s, events = time.monotonic(), venue.cpu_s(), sum(one.events for one in bots)
    until_s = began_s + seconds
    spread = 1.0 / len(bots)  # not all in the same instant
    await asyncio.gather(*(one.trade(venue.port, began_s + i * spread, until_s) for i, one in enumerate(bots)))
    wall_s, used_s = time.monotonic() - began_s, venue.cpu_s() - cpu_s
    got = sum(one.events for one in bots) - events
    for task in streams:
        task.cancel()
    took = np.sort(np.concatenate([one.took for one in bots]))
    p50, p99 = (round(1e3 * float(took[int(share * (len(took) - 1))]), 2) for share in (0.5, 0.99))
    return {
        "bots": len(bots),
        "events_s": round(got / wall_s),
        "requests_s": round(len(took) / wall_s, 1),
        "p50_ms": p50,
        "p99_ms": p99,
        "refused": sum(one.refused for one in bots),
        "venue_cpu_share": round(used_s / wall_s, 3),
        "events_a_cpu_s": round(got / used_s) if used_s else None,
    }


def fleet_of(folder: Path, dump: Path, sessions: int, seconds: float) -> dict[str, Any]:
    home = folder / "fleet"
    home.mkdir()
    venue = VenueProcess(home, [dump])
    try:
        fleet = Fleet(venue)
        for _ in range(sessions):
            fleet.add(BOTS)
        bots = [Bot(made, number) for made in fleet.made for number in range(BOTS)]
        before_mib = venue.memory_mib()
        found = uvloop.run(drive(bots, venue, seconds))
        after_mib = venue.memory_mib()
    finally:
        venue.close()
    return {"sessions": sessions, "pace": PACE, **found, "mib": [round(before_mib), round(after_mib)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="8 sessions, not 50; 5 seconds, not 20")
    parser.add_argument("--nice", type=int, default=0, help="priority of all processes, on a machine that others share")
    parser.add_argument("--only", default="memory,fleet", help="what (comma list)")
    given = parser.parse_args()
    os.nice(given.nice)
    sessions, fifty, seconds = (8, 8, 5.0) if given.quick else (50, 50, 20.0)
    load = os.getloadavg()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dump, opens = folder / f"{PRINTS}.csv", parse_instant("2024-03-01T00:00:00Z")
        write_prints(dump, opens, opens + HOURS * HOUR_NS)
        results = {}
        if "memory" in given.only:
            results["memory"] = memories(folder, dump, sessions)
        if "fleet" in given.only:
            results["fleet"] = fleet_of(folder, dump, fifty, seconds)
    document = {
        "question": "memory of a session and of an idle bot; fifty sessions of four bots on two cores",
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform(), "load": load},
        "versions": {"python": platform.python_version(), "uvloop": version("uvloop")},
        "nice": given.nice,
        "results": results,
        "notes": "quick: fewer sessions" if given.quick else "full length",
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
