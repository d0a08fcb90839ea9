"""One connection to the venue, seen as bytes: what a client writes and reads, and what the venue is told and says.

No client library is touched: requests get the bot's key, sockets are opened in lock-step, and the numbers of wakes are
taken out of frames, on the way between the client and its socket. So the shim knows of each connection whether an
answer is still awaited, whatever library holds it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlencode

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY_HEADER: Final = b"x-mbx-apikey"
TIME_HEADER: Final = b"x-gnomon-time"
_LARGEST_HEAD: Final = 256 * 1024

_TAIL: Final = re.compile(rb',"n":(\d+),"t":"(\d+)"(,"more":true)?\}$')
_STREAM: Final = re.compile(rb'^\{"stream":"[^"]*","data":')
_OWN: Final = re.compile(rb'^\{"subscriptionId":\d+,"event":')
_EVENT: Final = re.compile(rb'^\{"event":\{"e":"([A-Za-z]+)"')
_NAME: Final = re.compile(rb'"name":"([^"]*)"')
_SOCKET_PATH: Final = re.compile(r"^(?P<before>.*?)/(?P<kind>ws-api/v\d+|stream|ws)(?P<rest>/.*)?$")


class Told(NamedTuple):
    """What a frame says of its wake. `event` is the kind of an event of ours (`timer`, `sessionEnd`), else empty."""

    n: int
    t_ns: int
    is_last: bool
    event: str


class Line:
    """The state of one connection. `tell` is told of each wake's frame, `at` of the virtual time of an answer."""

    def __init__(self, key: str, tell: Callable[[Told], None], at: Callable[[int], None]) -> None:
        self.is_socket = False
        self.ready = bytearray()  # read from the venue, and not by the client yet
        self.is_ended = False  # the venue will say no more
        self._key, self._tell, self._at = key.encode(), tell, at
        self._is_raw = False
        self._is_upgrade = False
        self._requests = 1  # a connection is opened for a request
        self._asked = 0
        self._is_new = True
        self._out = bytearray()  # an unfinished head of the client's
        self._out_left = 0
        self._in = bytearray()  # an unfinished head or frame of the venue's
        self._in_left = -1  # bytes of a body; -1: a head is next; -2: chunks until the last
        self._sent = bytearray()  # unfinished frames of the client's
        self._verbs: list[bytes] = []

    @property
    def open(self) -> int:
        """Answers that are awaited."""
        return 0 if self.is_ended else self._requests + self._asked

    # --- to the venue -----------------------------------------------------------------------------------------------

    def written(self, data: bytes) -> bytes:
        """What goes to the venue instead of what the client has written."""
        if self.is_socket:
            return self._hear(data)
        out = bytearray()
        while data:
            if self._out_left:
                taken = min(self._out_left, len(data))
                out += data[:taken]
                self._out_left -= taken
                data = data[taken:]
                continue
            self._out += data
            end = self._out.find(b"\r\n\r\n")
            if end < 0 or len(self._out) > _LARGEST_HEAD:
                break
            head, data = bytes(self._out[: end + 4]), bytes(self._out[end + 4 :])
            self._out.clear()
            out += self._request(head)
        return bytes(out)

    def _request(self, head: bytes) -> bytes:
        """A head of a request, with the bot's key; a socket's with lock-step in its address."""
        first, _, rest = head.partition(b"\r\n")
        verb, _, target = first.partition(b" ")
        target, _, version = target.rpartition(b" ")
        lowered = rest.lower()
        self._is_upgrade = b"upgrade: websocket" in lowered
        if self._is_upgrade:
            target = self._socket_target(target.decode("latin-1")).encode("latin-1")
        found = re.search(rb"^content-length:\s*(\d+)", lowered, re.MULTILINE)
        self._out_left = int(found[1]) if found else (1 << 62) if b"transfer-encoding: chunked" in lowered else 0
        if not self._is_new:
            self._requests += 1
        self._is_new = False
        self._verbs.append(verb)
        own = b"" if KEY_HEADER + b":" in lowered else b"X-MBX-APIKEY: " + self._key + b"\r\n"
        return verb + b" " + target + b" " + version + b"\r\n" + own + rest

    def _socket_target(self, target: str) -> str:
        """A bare stream is asked for as a combined one: its events have no wrapper for the number of a wake."""
        path, _, query = target.partition("?")
        found = _SOCKET_PATH.match(path)
        if found is None:
            return target
        params = parse_qsl(query, keep_blank_values=True)
        kind = found["kind"]
        if kind == "ws":
            self._is_raw, kind = True, "stream"
            names = (found["rest"] or "").strip("/")
            params += [("streams", names)] if names else []
        known = {name for name, _ in params}
        added = {"lockstep": "serial", "tier": "shim", "apiKey": self._key.decode()}
        params += [(name, value) for name, value in added.items() if name not in known]
        return f"{found['before']}/{kind}?{urlencode(params, safe='@/!')}"

    def _hear(self, data: bytes) -> bytes:
        """Count what the client asks on its socket. Its pings are answered here: by virtual time there are thousands of
        them, and whether the connection is alive is for the control connection to know."""
        self._sent += data
        out = bytearray()
        while (found := frame_of(self._sent)) is not None:
            opcode, payload, whole = found
            if opcode == PING:
                self.ready += bytes([0x80 | PONG, len(payload)]) + payload
                continue
            if opcode == TEXT and b'"method"' in payload:
                self._asked += 1
            out += whole
        return bytes(out)

    # --- from the venue ---------------------------------------------------------------------------------------------

    def came(self, data: bytes) -> None:
        """What was read from the venue; an empty text is its end. What the client reads of it is put into `ready`."""
        if not data:
            self.is_ended = True
            return
        while data:
            if self.is_socket:
                self._in += data
                self._frames()
                return
            data = self._answer(data)

    def _answer(self, data: bytes) -> bytes:
        """Bytes of an answer over HTTP go through as they are; what is left once it is whole."""
        if self._in_left >= 0:
            taken = min(self._in_left, len(data))
            self.ready += data[:taken]
            self._in_left -= taken
            if not self._in_left:
                self._answered()
            return data[taken:]
        if self._in_left == -2:
            self._in += data
            self.ready += data
            if self._in.endswith(b"0\r\n\r\n"):
                self._in.clear()
                self._answered()
            return b""
        held = len(self._in)
        self._in += data
        end = self._in.find(b"\r\n\r\n")
        if end < 0:
            self.ready += data
            return b""
        head = bytes(self._in[: end + 4])
        self._in.clear()
        self.ready += head[held:]
        self._head(head)
        return data[len(head) - held :]

    def _head(self, head: bytes) -> None:
        first, _, rest = head.partition(b"\r\n")
        status = first.partition(b" ")[2][:3]
        lowered = rest.lower()
        time = re.search(rb"^x-gnomon-time:\s*(\d+)", lowered, re.MULTILINE)
        if time:
            self._at(int(time[1]))
        verb = self._verbs[0] if self._verbs else b"GET"
        if status == b"101":
            self.is_socket = True
            self._requests = 0
        elif status == b"100":
            return
        elif verb == b"HEAD" or status in (b"204", b"304"):
            self._answered()
        elif b"transfer-encoding: chunked" in lowered:
            self._in_left = -2
        else:
            length = re.search(rb"^content-length:\s*(\d+)", lowered, re.MULTILINE)
            self._in_left = int(length[1]) if length else 0
            if not self._in_left:
                self._answered()

    def _answered(self) -> None:
        self._in_left = -1
        self._out_left = 0
        self._requests = max(0, self._requests - 1)
        if self._verbs:
            self._verbs.pop(0)

    def _frames(self) -> None:
        while (found := frame_of(self._in)) is not None:
            opcode, payload, whole = found
            if opcode != TEXT:
                self.ready += whole
                continue
            shown = self._text(payload)
            if shown is not None:
                self.ready += whole if shown is payload else server_frame(shown)

    def _text(self, text: bytes) -> bytes | None:
        """What the client is shown of a message; None for what is between the venue and us alone."""
        tail = _TAIL.search(text)
        if tail is None:
            self._asked = max(0, self._asked - 1)
            return text
        event = _EVENT.match(text)
        kind = event[1].decode() if event else ""
        self._tell(Told(int(tail[1]), int(tail[2]), tail[3] is None, kind))
        if event:
            return None
        body = text[: tail.start()]
        inner = (_STREAM.match(text) or _OWN.match(text)) if self._is_raw else None
        return body[inner.end() :] if inner else body + b"}"


# --- frames ---------------------------------------------------------------------------------------------------------


def frame_of(buffer: bytearray) -> tuple[int, bytes, bytes] | None:
    """Take the first whole frame out of a buffer: its opcode, its payload without mask, all its bytes."""
    if len(buffer) < 2:
        return None
    length, start = buffer[1] & 127, 2
    if length >= 126:
        width = 2 if length == 126 else 8
        if len(buffer) < 2 + width:
            return None
        length, start = int.from_bytes(buffer[2 : 2 + width], "big"), 2 + width
    is_masked = buffer[1] & 128
    mask = bytes(buffer[start : start + 4]) if is_masked else b""
    end = start + len(mask) + length if len(mask) == 4 or not is_masked else 1 << 62
    if len(buffer) < end:
        return None
    whole = bytes(buffer[:end])
    del buffer[:end]
    payload = whole[end - length :]
    return whole[0] & 15, masked(payload, mask) if mask else payload, whole


def masked(payload: bytes, mask: bytes) -> bytes:
    """The payload XOR the four bytes of the mask, over and over."""
    size = len(payload)
    keys = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(size, "big")


def server_frame(payload: bytes) -> bytes:
    """A text without a mask, as servers send it."""
    return bytes([0x80 | TEXT]) + _length(len(payload), 0) + payload


def client_frame(payload: bytes, mask: bytes, opcode: int = TEXT) -> bytes:
    """A message under a mask, as clients send it."""
    return bytes([0x80 | opcode]) + _length(len(payload), 128) + mask + masked(payload, mask)


def _length(size: int, bit: int) -> bytes:
    if size < 126:
        return bytes([bit | size])
    if size < 1 << 16:
        return bytes([bit | 126]) + size.to_bytes(2, "big")
    return bytes([bit | 127]) + size.to_bytes(8, "big")
