"""Sockets: a WebSocket without threads or an event loop. Whoever has it waits on it, or asks whether something came."""

from __future__ import annotations

import select
import socket
import ssl
from collections import deque
from typing import Final
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidState, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from gnomon.errors import Unavailable

READ_BYTES: Final = 1 << 18
CLOSED: Final = "the venue has closed the connection"


class Lost(Unavailable):
    """The connection has ended."""


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
        self._part = b""
        self._has_ended = False
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
        self._protocol = ClientProtocol(parse_uri(url), max_size=None)
        self._protocol.send_request(self._protocol.connect())
        try:
            self._flush()
            while self._protocol.state is State.CONNECTING and not self._has_ended:
                self._read()
        except Lost:
            error_ = self._protocol.handshake_exc
            self.close()
            if isinstance(error_, InvalidStatus):
                body = (error_.response.body or b"").decode("utf-8", "replace")
                raise Rejected(error_.response.status_code, body) from error_
            raise
        error_ = self._protocol.handshake_exc
        if isinstance(error_, InvalidHandshake):
            self.close()
            raise Lost(f"no WebSocket at {parts.netloc}: {error_}", hint="a venue's ws_url")

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, *texts: bytes) -> None:
        """Several messages in one write."""
        try:
            for text in texts:
                self._protocol.send_text(text)
        except InvalidState as error:
            raise Lost(CLOSED, hint="it is opened again") from error
        self._flush()

    def receive(self, timeout_s: float) -> bytes | None:
        """The next message; None where none came in that time."""
        if self._messages:
            return self._messages.popleft()
        if self._has_ended:
            raise Lost(CLOSED, hint="it is opened again")
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
            if self._protocol.state is State.OPEN:
                self._protocol.send_close()
                self._flush()
        except Lost:
            pass
        finally:
            self._socket.close()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _has_pending(self) -> bool:
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except OSError as error:
            raise Lost(f"the connection has ended: {error}", hint="it is opened again") from error
        protocol = self._protocol
        if data:
            protocol.receive_data(data)
        else:
            protocol.receive_eof()
        self._flush()
        for event in protocol.events_received():
            if isinstance(event, Frame):
                self._take(event)
        self._has_ended = not data or protocol.state is State.CLOSED
        if self._has_ended and not self._messages:
            raise Lost(CLOSED, hint="it is opened again")

    def _take(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            whole = self._part + bytes(frame.data) if self._part else bytes(frame.data)
            self._part = b"" if frame.fin else whole
            if frame.fin:
                self._messages.append(whole)

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            try:
                if data:
                    self._socket.sendall(data)
                else:
                    self._socket.shutdown(socket.SHUT_WR)
            except OSError as error:
                raise Lost(f"the connection has ended: {error}", hint="it is opened again") from error
