"""WebSocket framing (RFC 6455) for a server, and the wrappers of events.

Whoever broadcasts encodes a frame once and hands the same bytes to every socket.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
NOT_UNDERSTOOD: Final = 1003
NOT_TEXT: Final = 1007
POLICY: Final = 1008
TOO_BIG: Final = 1009

WHOLE_TEXT: Final = 0x80 | TEXT
MASKED: Final = 0x80
SHORT: Final = 126 + 6  # bytes of a masked frame whose length is one byte
LARGEST_CONTROL: Final = 125
SENDABLE_CODES: Final = (*range(1000, 1004), *range(1007, 1015), *range(3000, 5000))


# --- what we send ---------------------------------------------------------------------------------------------------


TEXT_HEADS: Final = tuple(
    bytes((0x80 | TEXT, size)) if size < 126 else bytes((0x80 | TEXT, 126)) + size.to_bytes(2, "big")
    for size in range(4_096)
)
"""The heads of text frames by the size of what they carry, as far as events go."""


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """One whole frame, not masked, as servers send them."""
    size = len(payload)
    if opcode == TEXT and size < len(TEXT_HEADS):
        return TEXT_HEADS[size] + payload
    return head_of(size, opcode) + payload


def head_of(size: int, opcode: int = TEXT) -> bytes:
    """The head of a frame that carries so many bytes."""
    if size < 126:
        return bytes((0x80 | opcode, size))
    if size < 65_536:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big")
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big")


def close_frame(code: int, reason: str = "") -> bytes:
    return frame(code.to_bytes(2, "big") + reason.encode()[: LARGEST_CONTROL - 2], CLOSE)


def wake_tail(n: int, at_ns: int, more: bool = False) -> bytes:
    """What the wrapper of a lock-step socket carries besides: wake number, virtual time, whether the wake goes on."""
    return b',"n":%d,"t":"%d"%b' % (n, at_ns, b',"more":true' if more else b"")


def combined(stream: str, data: bytes, tail: bytes = b"") -> bytes:
    """JSON of an event on `/stream`; `data` is the event's JSON."""
    return b'{"stream":"%b","data":%b%b}' % (stream.encode(), data, tail)


def user_event(subscription_id: int, event: bytes, tail: bytes = b"") -> bytes:
    """JSON of an event on the WebSocket API."""
    return b'{"subscriptionId":%d,"event":%b%b}' % (subscription_id, event, tail)


def bare_event(event: bytes, tail: bytes) -> bytes:
    """JSON of a wake that is of no stream: a timer, a forecast, the end of a session. `tail` begins with a comma."""
    return b'{%b,"event":%b}' % (tail[1:], event)


class Event:
    """One event of one stream: its frames for raw and for combined sockets, each made once, when first asked for."""

    __slots__ = ("_bare", "_combined", "data", "stream")

    def __init__(self, stream: str, data: bytes) -> None:
        self.stream = stream
        self.data = data
        self._bare = b""
        self._combined = b""

    @property
    def bare_frame(self) -> bytes:
        self._bare = self._bare or frame(self.data)
        return self._bare

    @property
    def combined_frame(self) -> bytes:
        self._combined = self._combined or frame(combined(self.stream, self.data))
        return self._combined


# --- what we read ---------------------------------------------------------------------------------------------------


class Broken(Exception):
    """The peer broke the protocol: the connection is closed with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Message(NamedTuple):
    """A whole message, or a control frame."""

    opcode: int
    payload: bytes


class FrameReader:
    """Frames of one client, put together to messages of at most `largest` bytes. Raises `Broken`."""

    __slots__ = ("_kind", "_parts", "_rest", "_size", "largest")

    def __init__(self, largest: int) -> None:
        self.largest = largest
        self._rest = b""
        self._kind = 0  # of the message under way
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Message]:
        """The messages that these bytes complete. Where a frame breaks the rules, those before it are lost: the
        connection ends."""
        size = len(data)
        is_next = not (self._rest or self._kind) and 6 <= size < SHORT <= self.largest
        if is_next and data[0] == WHOLE_TEXT and data[1] == MASKED + size - 6:  # one and no more, as most come
            return [Message(TEXT, unmasked(data[2:6], data[6:]))]
        if self._rest:
            data = self._rest + data
        found: list[Message] = []
        at, size = 0, len(data)
        while size - at >= 2:
            first, second = data[at], data[at + 1]
            opcode, length = first & 0x0F, second & 0x7F
            self._check(first, second, opcode, length)
            begin = at + 2
            if length == 126:
                begin += 2
                length = int.from_bytes(data[at + 2 : begin], "big")
            elif length == 127:
                begin += 8
                length = int.from_bytes(data[at + 2 : begin], "big")
            if size < begin:
                break
            if length + self._size > self.largest and opcode < CLOSE:
                raise Broken(TOO_BIG, "message too big")
            end = begin + 4 + length
            if size < end:
                break
            message = self._take(first & 0x80, opcode, unmasked(data[begin : begin + 4], data[begin + 4 : end]))
            if message is not None:
                found.append(message)
            at = end
        self._rest = data[at:]
        return found

    def _check(self, first: int, second: int, opcode: int, length: int) -> None:
        if first & 0x70:
            raise Broken(PROTOCOL_ERROR, "reserved bits are set")
        if not second & 0x80:
            raise Broken(PROTOCOL_ERROR, "a client's frames are masked")
        if opcode >= CLOSE:
            if opcode > PONG or length > LARGEST_CONTROL or not first & 0x80:
                raise Broken(PROTOCOL_ERROR, "a control frame that cannot be")
        elif opcode > BINARY:
            raise Broken(PROTOCOL_ERROR, "an opcode that is not known")
        elif (opcode == CONTINUATION) != bool(self._kind):
            raise Broken(PROTOCOL_ERROR, "fragments in a wrong order")

    def _take(self, is_last: int, opcode: int, payload: bytes) -> Message | None:
        if opcode >= CLOSE or (is_last and opcode):
            return Message(opcode, payload)
        self._kind = self._kind or opcode
        if payload:
            self._parts.append(payload)
            self._size += len(payload)
        if not is_last:
            return None
        whole = Message(self._kind, b"".join(self._parts))
        self._kind = self._size = 0
        self._parts = []
        return whole


def unmasked(mask: bytes, payload: bytes) -> bytes:
    """The payload under its mask of four bytes; as one number, which is quicker than byte by byte."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def close_code(payload: bytes) -> int:
    """The code that the peer closes with, to be sent back; `Broken` where it may not be sent."""
    if not payload:
        return NORMAL
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or code not in SENDABLE_CODES:
        raise Broken(PROTOCOL_ERROR, "a close code that cannot be")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise Broken(NOT_TEXT, "the reason is no text") from None
    return code


SHARD: Final = re.compile(r"[0-9]{1,9}")
"""`/ws/<n>`: the number of a connection of a client, not a stream."""
