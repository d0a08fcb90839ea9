"""Sockets: a WebSocket without threads or an event loop. Whoever has it waits on it, or asks whether something came.

The handshake is the `websockets` package's; frames are made and read here: in lock-step each costs the run its time.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
from collections import deque
from typing import Final
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.protocol import State
from websockets.uri import parse_uri

from gnomon.errors import Unavailable

READ_BYTES: Final = 1 << 18
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
LAST: Final = 0x80  # of the frames of a message
MASKED: Final = 0x80
LONG: Final = 126  # from here on the length has bytes of its own
NORMAL: Final = 1000
CLOSED: Final = "the venue has closed the connection"


class Lost(Unavailable):
    """The connection has ended. `is_told`: the other side has said so, with a close frame."""

    is_told = False


class Rejected(Unavailable):
    """The venue has refused the connection, with a status of HTTP."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"refused with {status}: {body[:200]}", hint="the key, the session, and what it drives")
        self.status = status


class WebSocket:
    """One connection. `Lost` from anything that finds it ended, `Rejected` where it was never begun."""

    def __init__(self, url: str, timeout_s: float) -> None:
        """Connect and shake hands."""
        parts = urlsplit(url)
        is_tls = parts.scheme == "wss"
        self._messages: deque[bytes] = deque()
        self._rest = b""
        self._parts: list[bytes] = []  # of a message under way
        self._has_ended = False
        self._is_told = False  # by the other side, with a close frame
        try:
            raw = socket.create_connection(
                (parts.hostname or "localhost", parts.port or (443 if is_tls else 80)), timeout_s
            )
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if is_tls:
                raw = ssl.create_default_context().wrap_socket(raw, server_hostname=parts.hostname)
        except OSError as error:
            raise Lost(f"{parts.netloc}: {error}", hint="is it running, and at this address?") from error
        self._socket = raw
        self._shake_hands(ClientProtocol(parse_uri(url)), parts.netloc)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, *texts: bytes) -> None:
        """Several messages in one write."""
        if self._has_ended:
            raise self._ended()
        self._write(b"".join(map(masked, texts)))

    def receive(self, timeout_s: float) -> bytes | None:
        """The next message; None where none came in that time."""
        if self._messages:
            return self._messages.popleft()
        if self._has_ended:
            raise self._ended()
        while True:
            if not self._has_pending() and not select.select([self._socket], [], [], timeout_s)[0]:
                return None
            self._read()
            if self._messages:
                return self._messages.popleft()

    @property
    def has_messages(self) -> bool:
        return bool(self._messages)

    def close(self) -> None:
        try:
            if not self._has_ended:
                self._write(masked(NORMAL.to_bytes(2, "big"), CLOSE))
        except Lost:
            pass
        finally:
            self._has_ended = True
            self._socket.close()

    def _ended(self) -> Lost:
        lost = Lost(CLOSED, hint="it is opened again")
        lost.is_told = self._is_told
        return lost

    # --- inside -------------------------------------------------------------------------------------------------------

    def _shake_hands(self, protocol: ClientProtocol, place: str) -> None:
        protocol.send_request(protocol.connect())
        self._write(b"".join(protocol.data_to_send()))
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._receive() or self._close_of(place)
        end = head.index(b"\r\n\r\n") + 4
        protocol.receive_data(head[:end])
        rest = head[end:]
        while not _has_answered(protocol):  # a refusal has a body
            rest = rest or self._receive()
            if rest:
                protocol.receive_data(rest)
            else:
                protocol.receive_eof()
            rest = b""
        error = protocol.handshake_exc
        if error is not None:
            self._has_ended = True
            self.close()
            if isinstance(error, InvalidStatus):
                body = (error.response.body or b"").decode("utf-8", "replace")
                raise Rejected(error.response.status_code, body) from error
            raise Lost(f"no WebSocket at {place}: {error}", hint="a venue's ws_url") from error
        self._feed(rest)

    def _close_of(self, place: str) -> bytes:
        self._has_ended = True
        self.close()
        raise Lost(f"no WebSocket at {place}: the connection was closed", hint="a venue's ws_url")

    def _has_pending(self) -> bool:
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def _read(self) -> None:
        data = self._receive()
        if data:
            self._feed(data)
        else:
            self._has_ended = True
        if self._has_ended and not self._messages:
            raise self._ended()

    def _feed(self, data: bytes) -> None:
        """Frames of the server: whole messages are kept."""
        if self._rest:
            data = self._rest + data
        at, size = 0, len(data)
        while size - at >= 2:
            first, length = data[at], data[at + 1]
            begin = at + 2
            if length >= LONG:
                begin += 2 if length == LONG else 8
                if size < begin:
                    break
                length = int.from_bytes(data[at + 2 : begin], "big")
            end = begin + length
            if size < end:
                break
            self._take(first, data[begin:end])
            at = end
        self._rest = data[at:]

    def _take(self, first: int, payload: bytes) -> None:
        opcode = first & 0x0F
        if opcode == PING:
            self._write(masked(payload, PONG))
        elif opcode == CLOSE:
            self._has_ended = self._is_told = True
            self._write(masked(payload[:2], CLOSE))
        elif opcode < CLOSE and first & LAST and not self._parts:
            self._messages.append(payload)
        elif opcode < CLOSE:
            self._parts.append(payload)
            if first & LAST:
                self._messages.append(b"".join(self._parts))
                self._parts = []

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(READ_BYTES)
        except OSError as error:
            raise Lost(f"the connection has ended: {error}", hint="it is opened again") from error

    def _write(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise Lost(f"the connection has ended: {error}", hint="it is opened again") from error


def _has_answered(protocol: ClientProtocol) -> bool:
    return protocol.state is not State.CONNECTING or protocol.handshake_exc is not None


def masked(payload: bytes, opcode: int = TEXT) -> bytes:
    """One whole frame, as clients send them: under a mask of its own, applied as one number."""
    size, mask = len(payload), os.urandom(4)
    if size < LONG:
        head = bytes((LAST | opcode, MASKED | size))
    elif size < 65_536:
        head = bytes((LAST | opcode, MASKED | LONG)) + size.to_bytes(2, "big")
    else:
        head = bytes((LAST | opcode, MASKED | 127)) + size.to_bytes(8, "big")
    key = (mask * (size // 4 + 1))[:size]
    hidden = int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")
    return head + mask + hidden.to_bytes(size, "little")
