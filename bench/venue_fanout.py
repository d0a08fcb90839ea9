"""How many messages of a trade stream does the venue deliver a second, beside a raw broadcast of the same frames?

`raw` writes frames that were made before the clock starts to every socket, one by one; `raw_joined` those of a step in
one write. `door` frames each event when it comes, joins those of a step, and hands them to the sockets of the venue's
door. All on uvloop, in a process of one core, with back-pressure; a second process reads and counts. `ratio` is of
messages a second of the server's CPU to those of `raw` (goal: 0.5), `of_joined` to those of `raw_joined`; `wall_ratio`
is by the reader's clock.

python bench/venue_fanout.py [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import platform
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import uvloop

from gnomon.serve.venue.broadcast import broadcast
from gnomon.serve.venue.frames import frame
from gnomon.serve.venue.gate import Gate
from gnomon.serve.venue.limits import Limits
from gnomon.serve.venue.server import Door
from gnomon.serve.venue.sockets import SocketRules
from gnomon.serve.venue.upgrade import _greeting
from gnomon.wallclock import WallClock

SOCKETS, STEP, GOAL_RATIO = (1, 10, 100), 20, 0.5
KINDS = ("raw", "raw_joined", "door")
STREAM = "btcusdt@trade"
EVENT = (
    b'{"e":"trade","E":1709254800123,"s":"BTCUSDT","t":%d,"p":"61234.56000000","q":"0.01234000",'
    b'"T":1709254800123,"m":true,"M":true}'
)


# --- the servers ----------------------------------------------------------------------------------------------------


class RawSocket(asyncio.Protocol):
    """Answers the handshake, and is written to."""

    open: list[RawSocket] = []  # noqa: RUF012 - one process, one list

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.is_held = False
        transport.set_write_buffer_limits(high=2**20)

    def data_received(self, data: bytes) -> None:
        headers = dict(line.split(b": ", 1) for line in data.split(b"\r\n")[1:] if b": " in line)
        self.transport.write(_greeting(b"GET", {name.lower(): value for name, value in headers.items()}))
        self.open.append(self)

    def pause_writing(self) -> None:
        self.is_held = True

    def resume_writing(self) -> None:
        self.is_held = False


class Course:
    """A market without an exchange."""

    now_ns = 0

    def __init__(self) -> None:
        self.gate = Gate(limits=Limits("off"))


class Streams:
    """The ports of a door: one session, one list of sockets a stream."""

    def __init__(self) -> None:
        self.course: Any = Course()
        self.sockets: list[Any] = []

    def find(self, api_key: str) -> None:
        """Nobody has a key."""

    def of_session(self, *_: str) -> Any:
        return self.course

    def single(self, *_: str) -> Any:
        return self.course

    def attach(self, socket: Any) -> None:
        self.sockets.append(socket)

    def detach(self, socket: Any) -> None:
        self.sockets.remove(socket)

    def subscribe(self, socket: Any, names: Sequence[str]) -> Sequence[str]:  # noqa: ARG002 - the form of the port
        return ()

    def drained(self, socket: Any) -> None:
        """Whoever feeds looks by itself."""


def serve(kind: str, port: int, sockets: int, messages: int) -> None:
    """Wait for the sockets, send them everything, say what it cost."""

    async def work() -> None:
        streams: Any = Streams()
        factory: Any = RawSocket
        if kind == "door":
            rules = SocketRules(when_full="wait")
            factory = Door(streams, streams, {}, streams, WallClock(), rules=rules).protocol_factory()
        server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", port)
        peers = streams.sockets if kind == "door" else RawSocket.open
        while len(peers) < sockets:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        used = await {"door": by_door, "raw": by_raw, "raw_joined": by_joined}[kind](list(peers), messages)
        sys.stdout.write(json.dumps(used) + "\n")
        sys.stdout.flush()
        await asyncio.sleep(60)
        server.close()

    uvloop.run(work())


def steps(messages: int) -> list[list[bytes]]:
    bodies = [EVENT % number for number in range(messages)]
    return [bodies[at : at + STEP] for at in range(0, messages, STEP)]


async def until_taken(peers: Sequence[Any]) -> None:
    await asyncio.sleep(0)
    while any(one.is_held for one in peers):
        await asyncio.sleep(0.0005)


async def until_written(transports: Sequence[Any]) -> None:
    while any(one.get_write_buffer_size() for one in transports):
        await asyncio.sleep(0.0005)


async def by_door(peers: Sequence[Any], messages: int) -> float:
    made = [[(STREAM, body) for body in bodies] for bodies in steps(messages)]
    hearers = {STREAM: peers}
    began = time.process_time()
    for events in made:
        broadcast(events, hearers)
        await until_taken(peers)
    await until_written([one._transport for one in peers])
    return time.process_time() - began


async def by_joined(peers: Sequence[Any], messages: int) -> float:
    joined = [b"".join([frame(body) for body in bodies]) for bodies in steps(messages)]
    began = time.process_time()
    for content in joined:
        for one in peers:
            one.transport.write(content)
        await until_taken(peers)
    await until_written([one.transport for one in peers])
    return time.process_time() - began


async def by_raw(peers: Sequence[Any], messages: int) -> float:
    made = [[frame(body) for body in bodies] for bodies in steps(messages)]
    began = time.process_time()
    for frames in made:
        for content in frames:
            for one in peers:
                one.transport.write(content)
        await until_taken(peers)
    await until_written([one.transport for one in peers])
    return time.process_time() - began


# --- the readers ----------------------------------------------------------------------------------------------------


def read_all(port: int, sockets: int, messages: int) -> float:
    """Open the sockets, read until each has everything; seconds from the first byte of a message to the last."""
    wanted = sum(len(frame(EVENT % number)) for number in range(messages))
    ready = selectors.DefaultSelector()
    left: dict[int, int] = {}
    for _ in range(sockets):
        one = socket.create_connection(("127.0.0.1", port), timeout=10)
        key = base64.b64encode(os.urandom(16)).decode()
        one.sendall(
            f"GET /ws/{STREAM} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        greeting = b""
        while b"\r\n\r\n" not in greeting:
            greeting += one.recv(65_536)
        assert b" 101 " in greeting, greeting
        left[one.fileno()] = wanted - len(greeting.partition(b"\r\n\r\n")[2])
        one.setblocking(False)
        ready.register(one, selectors.EVENT_READ)
    began = 0.0
    buffer = bytearray(2**20)
    while left:
        for found, _ in ready.select():
            began = began or time.perf_counter()
            one = found.fileobj
            assert isinstance(one, socket.socket)
            left[one.fileno()] -= one.recv_into(buffer)
            assert left[one.fileno()] >= 0, "more than was sent"
            if not left[one.fileno()]:
                del left[one.fileno()]
                ready.unregister(one)
                one.close()
    return time.perf_counter() - began


def once(kind: str, sockets: int, messages: int) -> dict[str, float]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, __file__, "--serve", kind, "--port", str(port)]
    command += ["--sockets", str(sockets), "--messages", str(messages)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        took_s = read_all(port, sockets, messages)
        assert process.stdout is not None
        cpu_s = float(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)
    return {"wall": sockets * messages / took_s, "cpu": sockets * messages / cpu_s}


# --- the answer -----------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    for name in ("--port", "--sockets", "--messages"):
        parser.add_argument(name, type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--serve", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.port, given.sockets, given.messages)
        return
    rounds, delivered = (2, 200_000) if given.quick else (5, 2_000_000)
    results = []
    for sockets in SOCKETS:
        messages = min(delivered // sockets, delivered // 4) // STEP * STEP
        runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
        for _ in range(rounds):
            for kind in KINDS:
                runs[kind].append(once(kind, sockets, messages))
        best = {kind: {name: max(one[name] for one in found) for name in found[0]} for kind, found in runs.items()}
        pairs = [(door, raw) for door, raw in zip(runs["door"], runs["raw"], strict=True)]
        results.append(
            {
                "sockets": sockets,
                "messages": messages,
                "ratio": round(best["door"]["cpu"] / best["raw"]["cpu"], 3),
                "wall_ratio": round(statistics.median(door["wall"] / raw["wall"] for door, raw in pairs), 3),
                "of_joined": round(best["door"]["cpu"] / best["raw_joined"]["cpu"], 3),
                **{kind: {name: round(value) for name, value in found.items()} for kind, found in best.items()},
            }
        )
    document = {
        "question": f"trades of {len(EVENT)} bytes a second to 1, 10, 100 sockets, {STEP} a step, beside raw frames",
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform(), "load": os.getloadavg()},
        "versions": {"python": platform.python_version(), "uvloop": version("uvloop")},
        "results": results,
        "goals": {"ratio": {"goal": GOAL_RATIO, "reached": all(one["ratio"] >= GOAL_RATIO for one in results)}},
        "notes": "cpu: messages a second of server CPU, best round; wall: by the reader's clock, best round",
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
