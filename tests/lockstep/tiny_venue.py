"""A venue for tests of the shim: one bot, a tape of events, lock-step as `determinism` says it, plain HTTP beside it.

What the bot does is written into `log` with its wake and its virtual time: equal logs are equal runs.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import threading
from heapq import heappop, heappush
from typing import Any
from urllib.parse import parse_qsl, unquote

from gnomon.lockstep.line import CLOSE, PING, PONG, TEXT, frame_of, server_frame

START_NS = 1_700_000_000_000_000_000
SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
KEY = "k" * 64


class TinyVenue:
    """`events` are (virtual ns after the start, stream, document). The session ends after the last at `end_ns`."""

    def __init__(self, events: list[tuple[int, str, Any]], end_ns: int) -> None:
        self.log: list[Any] = []
        self.opened: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.now_ns = START_NS
        self.n = 0
        self.acknowledged = -1
        self.timers: list[tuple[int, str]] = []
        self.port = 0
        self._events = [(START_NS + at_ns, stream, data) for at_ns, stream, data in events]
        self._end_ns = START_NS + end_ns
        self._place = 0
        self._sockets: list[Connection] = []
        self._is_over = False
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> TinyVenue:
        self._thread.start()
        assert self._started.wait(60), "the venue does not stand after 60 s"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await self._loop.create_server(lambda: Connection(self), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        for one in self._sockets:
            one.transport.close()

    # --- the clock --------------------------------------------------------------------------------------------------

    def control(self, method: str, params: list[Any]) -> None:
        if method == "TIMER":
            heappush(self.timers, (int(params[0]), params[1]))
        elif method == "BYE":
            self.log.append("bye")
        elif params[0] == self.n and self.acknowledged < self.n:
            self.acknowledged = self.n
            self._next()

    def _next(self) -> None:
        if self._is_over:
            self.log.append("over")
            return
        event_ns = self._events[self._place][0] if self._place < len(self._events) else self._end_ns
        if self.timers and self.timers[0][0] <= event_ns:
            at_ns, name = heappop(self.timers)
            self._tell([("", {"event": {"e": "timer", "E": at_ns // 10**6, "name": name}})], at_ns)
        elif self._place < len(self._events):
            frames = []
            while self._place < len(self._events) and self._events[self._place][0] == event_ns:
                _, stream, data = self._events[self._place]
                frames.append((stream, {"stream": stream, "data": data}))
                self._place += 1
            self._tell(frames, event_ns)
        else:
            self._is_over = True
            self._tell([("", {"event": {"e": "sessionEnd", "E": event_ns // 10**6, "reason": "window"}})], event_ns)

    def _tell(self, frames: list[tuple[str, Any]], at_ns: int) -> None:
        self.n += 1
        self.now_ns = max(self.now_ns, at_ns)
        for i, (stream, document) in enumerate(frames):
            found = [one for one in self._sockets if stream and stream in one.streams] or self._sockets[:1]
            more = {"more": True} if i < len(frames) - 1 else {}
            text = json.dumps({**document, "n": self.n, "t": str(at_ns), **more}, separators=(",", ":"))
            for one in found:
                one.transport.write(server_frame(text.encode()))

    # --- requests ---------------------------------------------------------------------------------------------------

    def answer(self, verb: str, target: str, headers: dict[str, str], body: bytes) -> bytes:
        path, _, query = target.partition("?")
        self.headers.append(headers)
        params = dict(parse_qsl(query or body.decode()))
        if path.endswith("/api/v3/time"):
            document: Any = {"serverTime": self.now_ns // 10**6}
        elif path.endswith("/large"):
            document = {"rows": ["x" * 100] * 20_000}
        else:
            self.log.append((self.n, self.now_ns - START_NS, verb, path.rpartition("/")[2], params))
            self.now_ns += 5_000_000  # what the way takes
            document = {"ok": True, **params}
        text = json.dumps(document).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Gnomon-Time: {self.now_ns}\r\n"
        return f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text


class Connection(asyncio.Protocol):
    """HTTP until it is upgraded."""

    def __init__(self, venue: TinyVenue) -> None:
        self.venue = venue
        self.streams: set[str] = set()
        self._buffer = bytearray()
        self._is_socket = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._is_socket:
            self._hear()
            return
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            lines = self._buffer[:end].decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines[1:])}
            length = int(headers.get("content-length", 0))
            if len(self._buffer) < end + 4 + length:
                return
            body = bytes(self._buffer[end + 4 : end + 4 + length])
            del self._buffer[: end + 4 + length]
            verb, target, _ = lines[0].split(" ")
            if headers.get("upgrade", "").lower() == "websocket":
                self._upgrade(target, headers)
                return
            self.transport.write(self.venue.answer(verb, target, headers, body))

    def _upgrade(self, target: str, headers: dict[str, str]) -> None:
        _, _, query = target.partition("?")
        params = dict(parse_qsl(query))
        assert (params["lockstep"], params["apiKey"]) == ("serial", KEY), target
        self.venue.opened.append(unquote(target))
        self.streams |= set(params.get("streams", "").split("/")) - {""}
        nonce = headers["sec-websocket-key"].encode()
        accept = base64.b64encode(hashlib.sha1(nonce + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        self._is_socket = True
        self.venue._sockets.append(self)

    def _hear(self) -> None:
        while (found := frame_of(self._buffer)) is not None:
            opcode, payload, _ = found
            if opcode == PING:
                self.transport.write(bytes([0x80 | PONG, len(payload)]) + payload)
            elif opcode == CLOSE:
                self.transport.write(bytes([0x80 | CLOSE, len(payload)]) + payload)
                self.transport.close()  # the server goes first: clients wait ten seconds for it
            elif opcode == TEXT:
                self._obey(json.loads(payload))

    def _obey(self, message: Any) -> None:
        if message["method"] in ("ACK", "TIMER", "BYE"):
            self.venue.control(message["method"], message.get("params", []))
            return
        self.streams |= set(message["params"])
        self.venue.log.append((self.venue.n, self.venue.now_ns - START_NS, "subscribe", sorted(message["params"])))
        self.transport.write(server_frame(json.dumps({"result": None, "id": message["id"]}).encode()))

    def connection_lost(self, _error: Exception | None) -> None:
        if self in self.venue._sockets:
            self.venue._sockets.remove(self)
