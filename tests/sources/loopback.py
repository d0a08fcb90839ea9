"""A provider on this machine: a real HTTP server on 127.0.0.1 with routes, scripted faults and a log of requests.

    with Loopback({"/api/v3/time": lambda asked: {"serverTime": 1}}) as provider:
        provider.script(Fault(status=503), Fault(status=429, headers={"Retry-After": "1"}), None)
        ... Http(provider.url) ...
        provider.requests  # what was asked, in order

A route is a path, or a prefix that ends in `*`. Its function answers with a `Reply`, or with bytes, text, or a document
for JSON. A script has one entry a request: a `Fault`, or None to serve honestly; behind its end all is served honestly.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Document = dict[str, Any] | list[Any]


@dataclass(frozen=True)
class Seen:
    """One request as it came: names of `headers` in lower case."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """An answer. `body` is bytes, text, or a document for JSON."""

    body: bytes | str | Document = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def payload(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request. What is left out stays as the route answers it.

    `keep_bytes`: only so many bytes of the body are sent, then the connection is closed (Content-Length tells the
    whole length; with `chunked` the last chunk is missing). `cut_bytes`: the body ends there and Content-Length agrees,
    as behind a proxy. `reset`: the connection is reset before any answer. `delay_s`: the answer comes that much later.
    `change`: the answer is edited by a function.
    """

    status: int | None = None
    body: bytes | str | Document | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    keep_bytes: int | None = None
    cut_bytes: int | None = None
    chunked: bool = False
    reset: bool = False
    delay_s: float = 0.0
    change: Callable[[Reply], Reply] | None = None

    def applied(self, reply: Reply) -> Reply:
        reply = replace(
            reply,
            status=reply.status if self.status is None else self.status,
            body=reply.body if self.body is None else self.body,
            headers={**reply.headers, **self.headers},
        )
        reply = reply if self.change is None else self.change(reply)
        return reply if self.cut_bytes is None else replace(reply, body=reply.payload[: self.cut_bytes])


Route = Callable[[Seen], Reply | bytes | str | Document]


class Loopback:
    """The server. A context manager; `url` is its address, `requests` what was asked so far.

    `date` (an RFC 9110 text) replaces the `Date` header of every answer: a server whose clock is wrong.
    """

    def __init__(self, routes: Mapping[str, Route] | None = None, *, date: str = "") -> None:
        self.routes: dict[str, Route] = dict(routes or {})
        self.date = date
        self.requests: list[Seen] = []
        self._script: deque[tuple[str, Fault | None]] = deque()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.loopback = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Loopback:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(60)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def script(self, *faults: Fault | None, path: str = "") -> None:
        """Append faults, one a request; with `path` (a prefix) only requests below it use them up."""
        with self._lock:
            self._script.extend((path, fault) for fault in faults)

    def paths(self) -> list[str]:
        """The paths asked, in order."""
        return [seen.path for seen in self.requests]

    def receive(self, seen: Seen) -> tuple[Reply, Fault]:
        with self._lock:
            self.requests.append(seen)
            fault = self._next_fault(seen.path)
        return fault.applied(self._reply(seen)), fault

    def _next_fault(self, path: str) -> Fault:
        for entry in self._script:
            if path.startswith(entry[0]):
                self._script.remove(entry)
                return entry[1] or Fault()
        return Fault()

    def _reply(self, seen: Seen) -> Reply:
        route = self.routes.get(seen.path)
        if route is None:
            prefixes = (path for path in self.routes if path.endswith("*") and seen.path.startswith(path[:-1]))
            best = max(prefixes, key=len, default="")
            route = self.routes.get(best)
        if route is None:
            return Reply({"error": f"no route {seen.path}"}, status=404)
        answer = route(seen)
        return answer if isinstance(answer, Reply) else Reply(answer)


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # closing the server waits for its threads, so that no socket is left open
    loopback: Loopback

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no news here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5.0
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, *_: Any) -> None:
        """Silent: `requests` is the log."""

    def _answer(self) -> None:
        url = urlsplit(self.path)
        params = dict(parse_qsl(url.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply, fault = self.server.loopback.receive(Seen(self.command, url.path, params, headers))
        if fault.delay_s:
            time.sleep(fault.delay_s)
        if fault.reset:
            self._reset()
            return
        self._send(reply, fault)

    def _send(self, reply: Reply, fault: Fault) -> None:
        payload = reply.payload
        sent = payload if fault.keep_bytes is None else payload[: fault.keep_bytes]
        given = {name.lower() for name in reply.headers}
        self.close_connection = True  # one request a connection, so that a test leaves no thread waiting
        self.send_response_only(reply.status)
        if "date" not in given:
            self.send_header("Date", self.server.loopback.date or self.date_time_string())
        if "content-type" not in given:
            kind = "application/json" if not isinstance(reply.body, bytes) else "application/octet-stream"
            self.send_header("Content-Type", kind)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        if fault.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif "content-length" not in given:
            self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault.chunked:
            self.wfile.write(f"{len(payload):x}\r\n".encode() + sent)
            if fault.keep_bytes is None:
                self.wfile.write(b"\r\n0\r\n\r\n")
            return
        self.wfile.write(sent)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()
        self.connection.close()
