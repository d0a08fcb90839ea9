"""How many signed orders a second of server CPU does the venue answer, beside the leanest servers of the same answer?

Three peers in the same run, each a process of its own on one core: `echo` (raw asyncio protocol, httptools, uvloop, a
handler that returns the same bytes), `full` (the same with the whole handler: signature, form, a dict of orders, JSON)
and `door` (the venue's door over that dict). `venue` is `gnomon serve venue` with a live session: validated, matched,
journalled, answered. `ratio` is of requests a second of server CPU to those of `echo` (goal: 0.4); `of_full` to `full`.
The load comes from `wrk`, with requests signed before the clock starts; where it is absent, from an asyncio client.

python bench/venue_orders.py [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
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
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httptools
import orjson
import uvloop

from gnomon.clock import parse_instant
from gnomon.market.synth import synthetic_trades
from gnomon.serve.venue.gate import Gate
from gnomon.serve.venue.keys import Key
from gnomon.serve.venue.limits import Limits
from gnomon.serve.venue.server import Door
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.wallclock import WallClock

CONNECTIONS, GOAL_RATIO, SIGNED = 32, 0.4, 20_000
API_KEY, SECRET = "K" * 64, "s" * 64
KINDS = ("echo", "full", "door", "venue")
FROM, OPENS, CLOSES = "2024-03-01T00:00:00Z", "2024-03-01T01:00:00Z", "2024-03-01T03:00:00Z"

SESSION = f"""
[session]
dataset = "BTCUSDT-aggTrades-2024-03-01"
from = "{OPENS}"
to = "{CLOSES}"
seed = 7
drive = "paced"
pace = 1
start_policy = "now"
rate_limits = "off"
filters = [{{ min_notional = "5", min_qty = "0.00001", max_qty = "9000", max_price = "1000000" }}]

[rules]
fees = {{ maker = "0.001", taker = "0.001" }}
balances = {{ USDT = "1000000000", BTC = "1000" }}

[[entry]]
name = "bench"
trader = "wire"
"""

LUA = """
local requests, at = {}, 0
function init(args)
  local file = io.open(args[1], "rb")
  for one in string.gmatch(file:read("*a"), "([^%z]+)") do requests[#requests + 1] = one end
  file:close()
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('RESULT {"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, ' ..
    '"refused": %d, "failed": %d}\\n', summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, e.status, e.connect + e.read + e.write + e.timeout))
end
"""


# --- the peers ------------------------------------------------------------------------------------------------------


def order_document(params: Any, number: int) -> dict[str, Any]:
    """The FULL answer to an order that rests, about 450 bytes."""
    return {
        "symbol": params["symbol"],
        "orderId": number,
        "orderListId": -1,
        "clientOrderId": params["newClientOrderId"],
        "transactTime": 1_709_254_800_000,
        "price": params["price"],
        "origQty": params["quantity"],
        "executedQty": "0.00000000",
        "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": "0.00000000",
        "status": "NEW",
        "timeInForce": params["timeInForce"],
        "type": params["type"],
        "side": params["side"],
        "workingTime": 1_709_254_800_000,
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "fills": [],
    }


class Raw(asyncio.Protocol):
    """HTTP by httptools, as lean as its callbacks allow."""

    answer: Callable[[bytes, dict[bytes, bytes], bytes], bytes]

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
        self.url = self.body = b""
        self.headers: dict[bytes, bytes] = {}

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        content = self.answer(self.url, self.headers, self.body)
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(content), content)
        )
        self.body = b""
        self.headers = {}


class Echo(Raw):
    """The same bytes each time."""

    content = orjson.dumps(
        order_document(
            {
                "symbol": "BTCUSDT",
                "newClientOrderId": "x-TKT5PX2F22ecb58444f5a52f4aea",
                "price": "20000.00",
                "quantity": "0.00100000",
                "timeInForce": "GTC",
                "type": "LIMIT",
                "side": "BUY",
            },
            1,
        )
    )

    def answer(self, url: bytes, headers: dict[bytes, bytes], body: bytes) -> bytes:  # noqa: ARG002 - the peer's form
        return self.content


class Full(Raw):
    """The handler of the specification: signature, form, a dict of orders, JSON."""

    orders: dict[int, Any] = {}  # noqa: RUF012 - one process, one dict

    def answer(self, url: bytes, headers: dict[bytes, bytes], body: bytes) -> bytes:  # noqa: ARG002 - the peer's form
        payload, _, signature = body.rpartition(b"&signature=")
        expected = hmac.new(SECRET.encode(), payload, hashlib.sha256).hexdigest()
        if headers[b"x-mbx-apikey"] != API_KEY.encode() or not hmac.compare_digest(expected.encode(), signature):
            return b'{"code":-1022}'
        params = dict(parse_qsl(payload.decode()))
        number = len(self.orders) + 1
        self.orders[number] = document = order_document(params, number)
        return orjson.dumps(document)


class Course:
    """A course without an exchange: the dict of orders is its account."""

    def __init__(self, wall: WallClock) -> None:
        self.now_ns = wall.now_ns()
        self.account: dict[int, Any] = {}
        self.gate = Gate(limits=Limits("off"))


class Rooms:
    """The ports of a door over one course."""

    def __init__(self, wall: WallClock) -> None:
        self.course: Any = Course(wall)
        self.key = Key(API_KEY, "hmac", SECRET, "bot", "ws")

    def find(self, api_key: str) -> Key | None:
        return self.key if api_key == API_KEY else None

    def of_key(self, key: Key, _lockstep: bool = False) -> Any:  # noqa: ARG002 - the form of the port
        return self.course

    def of_session(self, *_: str) -> Any:
        return self.course

    def single(self, *_: str) -> Any:
        return self.course

    def choices(self, *_: str) -> str:
        return ""


def place(call: Any) -> dict[str, Any]:
    orders = call.course.account
    number = len(orders) + 1
    orders[number] = document = order_document(call.params, number)
    return document


def serve(kind: str, port: int) -> None:
    """Be one of the peers, until killed."""

    async def forever() -> None:
        if kind == "door":
            wall = WallClock()
            rooms: Any = Rooms(wall)
            factory: Any = Door(rooms, rooms, {"order.place": place}, rooms, wall).protocol_factory()
        else:
            factory = Echo if kind == "echo" else Full
        server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", port)
        await server.serve_forever()

    uvloop.run(forever())


# --- the venue ------------------------------------------------------------------------------------------------------


def record(path: Path) -> None:
    """Seeded prints, as a dump of aggregated trades."""
    bitcoin = shipped_instruments().find("BTCUSDT")
    calendar = load_sessions(bitcoin.calendar)
    prints = synthetic_trades(bitcoin, calendar, parse_instant(FROM), parse_instant(CLOSES), seed=7)
    with path.open("w") as file:
        for row in range(len(prints)):
            number, at_ms = int(prints.id[row]), int(prints.time_ns[row]) // 1_000_000
            price, size = int(prints.price[row]), int(prints.size[row])
            sold = "true" if prints.side[row] < 0 else "false"
            file.write(f"{number},{price / 100:.2f},{size / 100_000:.5f},{number},{number},{at_ms},{sold},true\n")


def gnomon(environment: dict[str, str], *words: str) -> Any:
    command = [sys.executable, "-m", "gnomon.cli", *words, "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"gnomon {' '.join(words)}: {done.stdout}{done.stderr}"
    return json.loads(done.stdout) if done.stdout.strip() else None


@dataclass(frozen=True, slots=True)
class Server:
    """A process with an address, and the key that it knows."""

    kind: str
    port: int
    process: subprocess.Popen[Any]
    api_key: str = API_KEY
    secret: str = SECRET
    price: float = 20_000.0

    def cpu_s(self) -> float:
        """CPU time it has used; NaN where the machine has no /proc."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return float("nan")
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pinned(core: int) -> Callable[[], None] | None:
    """Keep a child to one core, the load to another, where there are two."""
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        return None
    cores = sorted(os.sched_getaffinity(0))
    return lambda: os.sched_setaffinity(0, {cores[core]})


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[Any]) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.05)
        else:
            return


@contextmanager
def running(kind: str, home: Path) -> Iterator[Server]:
    port = free_port()
    if kind == "venue":
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GNOMON")}
        environment = clean | {"GNOMON_HOME": str(home), "GNOMON_VENUE_URL": f"http://127.0.0.1:{port}"}
        dump = home / "BTCUSDT-aggTrades-2024-03-01.csv"
        record(dump)
        gnomon(environment, "db", "upgrade")
        gnomon(environment, "import", str(dump))
        command = [sys.executable, "-m", "gnomon.cli", "serve", "venue", "--port", str(port)]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, preexec_fn=pinned(0))
    else:
        command = [sys.executable, __file__, "--serve", kind, "--port", str(port)]
        process = subprocess.Popen(command, preexec_fn=pinned(0))
    try:
        wait_for(port, process)
        if kind != "venue":
            yield Server(kind, port, process)
            return
        spec = home / "session.toml"
        spec.write_text(SESSION)
        made = gnomon(environment, "session", "create", str(spec))
        gnomon(environment, "session", "launch", made["id"])
        bot = made["bots"][0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v3/ticker/price?symbol=BTCUSDT", timeout=10) as said:
            price = float(json.load(said)["price"])
        yield Server(kind, port, process, bot["api_key"], bot["api_secret"], price)
    finally:
        process.terminate()
        process.wait(20)


# --- the load -------------------------------------------------------------------------------------------------------


def requests_of(what: str, server: Server, count: int, salt: str) -> list[bytes]:
    """Signed requests, each of its own, as a client library sends them."""
    made = []
    for number in range(count):
        stamp = time.time_ns() // 1_000_000
        verb, path, params = "POST", "/api/v3/order", {}
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.00010000"}
        name = f"x-TKT5PX2F{salt}{number if what != 'cancel' else number // 2:09d}"
        if what in ("order", "fill"):  # meets nobody, and is over; or meets the market
            price = f"{server.price * (0.97 if what == 'order' else 1.02):.2f}"
            params = order | {"timeInForce": "IOC", "price": price, "newClientOrderId": name}
        elif what == "cancel" and number % 2 == 0:  # rests far away
            params = order | {"timeInForce": "GTC", "price": f"{server.price * 0.9:.2f}", "newClientOrderId": name}
        elif what == "cancel":
            verb, params = "DELETE", {"symbol": "BTCUSDT", "origClientOrderId": name}
        elif what == "account":
            verb, path = "GET", "/api/v3/account"
        else:
            verb, path = "GET", "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=100"
        body = ""
        if what != "klines":
            payload = urlencode({**params, "recvWindow": 60_000, "timestamp": stamp})
            signature = hmac.new(server.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
            body = f"{payload}&signature={signature}"
        if verb != "POST" and body:
            path, body = f"{path}?{body}", ""
        head = (
            f"{verb} {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUser-Agent: python-requests/2.32.5\r\n"
            f"Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n"
            f"X-MBX-APIKEY: {server.api_key}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        )
        made.append(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    return made


def load(server: Server, what: str, seconds: int, folder: Path, connections: int) -> dict[str, float]:
    """Ask for some seconds: requests a second, latencies, requests a second of server CPU."""
    salt = f"{time.monotonic_ns() % 10**6:06d}"
    made = requests_of(what, server, SIGNED, salt)
    before = server.cpu_s()
    ask = by_wrk if shutil.which("wrk") else by_asyncio
    found = ask(server, made, seconds, folder, connections)
    used = server.cpu_s() - before
    return found | {
        "rps": found["requests"] / found["seconds"],
        "rps_cpu": found["requests"] / used if used else float("nan"),
    }


def by_wrk(server: Server, made: Sequence[bytes], seconds: int, folder: Path, connections: int) -> dict[str, float]:
    script, asked = folder / "load.lua", folder / "requests.bin"
    script.write_text(LUA)
    asked.write_bytes(b"\0".join(made))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script)]
    command += [f"http://127.0.0.1:{server.port}", "--", str(asked)]
    out = subprocess.run(command, capture_output=True, text=True, check=True, preexec_fn=pinned(1)).stdout
    match = re.search(r"RESULT (.*)", out)
    assert match is not None, out
    result: dict[str, float] = json.loads(match[1])
    assert result["failed"] == 0, out
    return result


def by_asyncio(
    server: Server,
    made: Sequence[bytes],
    seconds: float,
    folder: Path,  # noqa: ARG001 - the form is that of by_wrk
    connections: int,
) -> dict[str, float]:
    """The same load from Python: a client as lean as asyncio allows, still slower than the servers."""
    took: list[float] = []
    refused = 0
    numbers = iter(range(10**9))

    async def reader(until: float) -> None:
        nonlocal refused
        source, sink = await asyncio.open_connection("127.0.0.1", server.port, limit=2**20)
        while time.perf_counter() < until:
            began = time.perf_counter()
            sink.write(made[next(numbers) % len(made)])
            head = await source.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            await source.readexactly(int(length[1]) if length else 0)
            took.append(time.perf_counter() - began)
            refused += not head.startswith(b"HTTP/1.1 200")
        sink.close()

    async def everyone() -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(reader(until) for _ in range(connections)))

    uvloop.run(everyone())
    took.sort()
    p50, p99 = (1e3 * took[int(share * (len(took) - 1))] for share in (0.5, 0.99))
    return {"requests": len(took), "seconds": seconds, "p50_ms": p50, "p99_ms": p99, "refused": refused, "failed": 0}


# --- the answer -----------------------------------------------------------------------------------------------------


def measure(quick: bool, kinds: Sequence[str], folder: Path) -> dict[str, Any]:
    rounds, seconds = (2, 2) if quick else (5, 4)
    runs: dict[str, list[dict[str, float]]] = {}
    asked = [(kind, "order") for kind in kinds] + [("venue", one) for one in ("fill", "cancel", "account", "klines")]
    for number in range(rounds):  # every round begins with servers that hold nothing
        for kind in kinds:
            home = folder / f"{kind}{number}"
            home.mkdir()
            with running(kind, home) as server:
                load(server, "order", 1, folder, CONNECTIONS)  # warm
                for what in (what for of, what in asked if of == kind):
                    runs.setdefault(f"{kind} {what}", []).append(load(server, what, seconds, folder, CONNECTIONS))
                runs.setdefault(f"{kind} alone", []).append(load(server, "order", seconds // 2, folder, 1))
    return {name: summary(found) for name, found in runs.items()}


def summary(found: Sequence[dict[str, float]]) -> dict[str, float]:
    """The median of the rounds; the best for requests a second of CPU, which other work on the machine only lowers."""
    middle = {name: statistics.median(one[name] for one in found) for name in found[0]}
    return {
        "rps_cpu": round(max(one["rps_cpu"] for one in found)),
        "rps_cpu_median": round(middle["rps_cpu"]),
        "rps": round(middle["rps"]),
        "p50_ms": round(middle["p50_ms"], 3),
        "p99_ms": round(middle["p99_ms"], 3),
        "refused": round(sum(one["refused"] for one in found) / sum(one["requests"] for one in found), 5),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--only", default=",".join(KINDS), help="which servers (comma list)")
    parser.add_argument("--serve", default="", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.port)
        return
    with tempfile.TemporaryDirectory() as folder:
        found = measure(given.quick, given.only.split(","), Path(folder))
    echo, full = (found.get(f"{peer} order", {}).get("rps_cpu", float("nan")) for peer in ("echo", "full"))
    ratios = {
        name: {"ratio": round(one["rps_cpu"] / echo, 3), "of_full": round(one["rps_cpu"] / full, 3)}
        for name, one in found.items()
        if not name.endswith("alone")
    }
    document = {
        "question": f"signed orders a second of server CPU beside raw servers, {CONNECTIONS} connections, one process",
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform(), "load": os.getloadavg()},
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("uvloop", "httptools", "orjson")},
        "load_from": "wrk" if shutil.which("wrk") else "asyncio (install wrk for the real limit)",
        "results": {name: one | ratios.get(name, {}) for name, one in found.items()},
        "goals": {
            name: {"goal": GOAL_RATIO, "reached": ratios[name]["ratio"] >= GOAL_RATIO}
            for name in ("venue order", "door order")
            if name in ratios
        },
        "notes": "`alone`: one connection. `order`: a limit that meets nobody, IOC; `fill`: one that is filled; "
        "`cancel`: half of its requests place the orders that the other half cancels",
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
