"""The shim's own connection: a stream in lock-step on which timers are named, wakes acknowledged and timers heard."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import select
import socket
import threading
from collections.abc import Callable
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

from gnomon.lockstep import real
from gnomon.lockstep.barrier import Barrier
from gnomon.lockstep.line import CLOSE, PING, PONG, Line, Told, client_frame, frame_of

WAIT_S: Final = 120.0
"""How long a session that is not live yet, or a venue that has gone, is waited for."""
_RETRY_S: Final = 0.2
_LOOK_S: Final = 0.25


class Refused(RuntimeError):
    """The venue does not take this bot."""


class Address:
    """Where the venue is: `http://host:port`, with whatever path the session has."""

    def __init__(self, url: str) -> None:
        parts: SplitResult = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "ws") or not parts.hostname:
            raise Refused(f"GNOMON_VENUE_URL is {url!r}: http://host:port of the venue")
        self.host, self.port, self.path = parts.hostname, parts.port or 80, parts.path.rstrip("/")
        self._known: set[str] = set()

    def means(self, address: object) -> bool:
        """Whether a socket's address is the venue's, or that of a port that it gives to sessions."""
        if not isinstance(address, tuple) or len(address) < 2 or address[1] != self.port:
            return False
        if not self._known:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            self._known = {self.host, *(str(one[4][0]) for one in found)}
        return str(address[0]) in self._known


def time_ns(address: Address, key: str) -> int:
    """Virtual now, as the venue says it. Asked once the bot has a stream in lock-step: before, its key would be taken
    for that of any other client."""
    connection = http.client.HTTPConnection(address.host, address.port, timeout=10)
    try:
        connection.request("GET", f"{address.path}/api/v3/time", headers={"X-MBX-APIKEY": key})
        answer = connection.getresponse()
        document, exact = json.loads(answer.read()), answer.getheader("X-Gnomon-Time")
        return int(exact) if exact else int(document["serverTime"]) * 1_000_000
    except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
        raise Refused(f"the venue at {address.host}:{address.port} does not say what time it is: {error}") from error
    finally:
        connection.close()


class Control:
    """The connection, and the thread that reads it."""

    def __init__(self, address: Address, key: str) -> None:
        self._address, self._key = address, key
        self._write = threading.Lock()
        self._look_out, self._look_in = socket.socketpair()
        self._look_in.setblocking(False)

    def open(self, tell: Callable[[Told], None], at: Callable[[int], None]) -> None:
        """Connect; waits while the session is not live yet. What comes of wakes is told, from here on."""
        self._tell, self._at = tell, at
        until = real.monotonic() + WAIT_S
        while True:
            try:
                self._socket, self._line = self._opened(None)
                return
            except (OSError, Refused) as error:
                if real.monotonic() > until:
                    raise Refused(f"no session at {self._address.host}:{self._address.port}: {error}") from None
            real.sleep(_RETRY_S)

    def say(self, method: str, params: list[object]) -> None:
        """Send a control message. A venue that is gone is noticed by the reader."""
        self._send(json.dumps({"method": method, "params": params}).encode())

    def look(self) -> None:
        """There may be other connections to look after: the reader is told to ask which."""
        with contextlib.suppress(BlockingIOError):  # then it has been told
            real.send(self._look_in, b".")

    def read(self, barrier: Barrier) -> None:
        """Until the session is over: hear what the venue says here, and look after connections that are nobody's."""
        while not barrier.is_over:
            watched = [self._socket.fileno(), self._look_out.fileno(), *barrier.unattended()]
            try:
                readable = readable_of(watched)
            except (OSError, ValueError):
                continue  # one of them was closed meanwhile
            if self._look_out.fileno() in readable:
                real.recv(self._look_out, 4_096)
            if self._socket.fileno() in readable and not self._hear() and not self._again(barrier):
                break
            barrier.consider()
        barrier.free()

    def bye(self) -> None:
        """Leave: the bot takes part no longer."""
        with contextlib.suppress(OSError):
            self.say("BYE", [])
            real.close(self._socket)

    def _hear(self) -> bool:
        try:
            data = real.recv(self._socket, 1 << 16)
        except OSError:
            data = b""
        self._line.came(data)
        while (found := frame_of(self._line.ready)) is not None:
            opcode, payload, _ = found
            if opcode == PING:
                self._send(payload, PONG)
            elif opcode == CLOSE:
                return False
        return bool(data)

    def _again(self, barrier: Barrier) -> bool:
        """Connect again after the venue was gone; it tells the newest wake again where that was not acknowledged."""
        until = real.monotonic() + WAIT_S
        while not barrier.is_over and real.monotonic() < until:
            real.sleep(_RETRY_S)
            with contextlib.suppress(OSError, Refused):
                self._socket, self._line = self._opened(max(barrier.acknowledged, 0))
                return True
        return False

    def _send(self, payload: bytes, opcode: int = 1) -> None:
        with contextlib.suppress(OSError), self._write:  # that the venue is gone is for the reader to notice
            real.sendall(self._socket, client_frame(payload, os.urandom(4), opcode))

    def _opened(self, resume: int | None) -> tuple[socket.socket, Line]:
        address = self._address
        found = socket.create_connection((address.host, address.port), timeout=10)
        again = "" if resume is None else f"&resume={resume}"
        target = f"{address.path}/stream?lockstep=serial&tier=shim&apiKey={quote(self._key)}{again}"
        nonce = base64.b64encode(os.urandom(16)).decode()
        head = f"GET {target} HTTP/1.1\r\nHost: {address.host}:{address.port}\r\n"
        head += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        head += f"Sec-WebSocket-Key: {nonce}\r\n\r\n"
        line = Line(self._key, self._tell, self._at)
        line.written(head.encode())
        real.sendall(found, head.encode())
        while not line.is_socket:
            data = real.recv(found, 1 << 16)
            line.came(data)
            if not data or (b"\r\n\r\n" in line.ready and not line.is_socket):
                raise Refused(f"the venue does not open a stream: {bytes(line.ready[:200])!r}")
        end = line.ready.find(b"\r\n\r\n")
        del line.ready[: end + 4]
        found.settimeout(None)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return found, line


def readable_of(watched: list[int]) -> list[int]:
    """Which can be read, within a quarter of a second; more descriptors than `select` holds are no trouble."""
    if not hasattr(select, "poll"):
        found: list[int] = real.select(watched, [], [], _LOOK_S)[0]
        return found
    poll = select.poll()
    for fd in watched:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll(_LOOK_S * 1_000)]
