"""Heads of HTTP requests: read by httptools once, and then known by their bytes.

A client sends the same headers again and again; what they say is kept by their exact bytes, so that only the request
line is read each time.
"""

from __future__ import annotations

import re
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from gnomon.serve.venue import codes

LINE: Final = re.compile(rb"(([A-Z]{3,10}) ([^\x00-\x20\x7f?]+))(?:\?([^\x00-\x20\x7f]*))? HTTP/1\.([01])")
"""A request line: verb and path together, verb, path, query, minor version."""

CHUNKED: Final = -1
LARGEST_HEAD: Final = 16 * 1_024
LARGEST_BODY: Final = 64 * 1_024
MOST_KNOWN: Final = 2_048
LARGEST_KNOWN: Final = 2_048


class Head:
    """What the header lines of a request say. `length` is that of the body, CHUNKED where it is not said ahead."""

    __slots__ = ("api_key", "expects", "headers", "is_upgrade", "keeps_alive", "length", "time_unit", "wake")

    def __init__(self, headers: dict[bytes, bytes], is_upgrade: bool, keeps_alive: bool) -> None:
        self.headers = headers
        self.is_upgrade = is_upgrade
        self.keeps_alive = keeps_alive
        self.api_key = headers.get(b"x-mbx-apikey", b"").decode("latin-1").strip()
        self.wake = headers.get(b"x-gnomon-wake", b"").decode("latin-1").strip()
        self.time_unit = headers.get(b"x-mbx-time-unit", b"").decode("latin-1").strip()
        self.expects = b"100-continue" in headers.get(b"expect", b"").lower()
        is_chunked = b"chunked" in headers.get(b"transfer-encoding", b"").lower()
        self.length = CHUNKED if is_chunked else int(headers.get(b"content-length") or 0)


class _Listener:
    """What httptools tells."""

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.is_whole = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self.is_whole = True


class Heads:
    """The heads of one door's clients."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: dict[bytes, Head] = {}  # what these very bytes said before

    def read(self, line: bytes, block: bytes) -> Head:
        """What a head says; `block` is everything from the end of the request line to that of the last header line.
        Refuses what is not HTTP/1, and what could be understood in two ways (two lengths, a length and chunks)."""
        listener = _Listener()
        parser = HttpRequestParser(listener)
        is_upgrade = False
        try:
            parser.feed_data(line + block + b"\r\n\r\n")
        except HttpParserUpgrade:
            is_upgrade = True
        except HttpParserError:
            raise codes.malformed() from None
        if not listener.is_whole:
            raise codes.malformed()
        connection = listener.headers.get(b"connection", b"").lower()
        head = Head(listener.headers, is_upgrade, b"close" not in connection and line.endswith(b"1"))
        if head.length > LARGEST_BODY:
            raise codes.too_large()
        if head.keeps_alive and not (is_upgrade or head.wake or head.expects) and len(block) <= LARGEST_KNOWN:
            if len(self.known) >= MOST_KNOWN:
                self.known.clear()
            self.known[block] = head
        return head


def dechunked(data: bytes, at: int) -> tuple[bytes, int] | None:
    """A chunked body that begins at `at`, and where it ends; None while there is more to come.

    Raises `VenueRefusal` for what is malformed or too large. RFC 9112, section 7.1; trailers are read over.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        line_end = data.find(b"\r\n", at)
        if line_end < 0:
            _expect_more(data, at, 1_024)
            return None
        digits = data[at:line_end].partition(b";")[0].strip()
        if not digits or len(digits) > 8 or not all(one in b"0123456789abcdefABCDEF" for one in digits):
            raise codes.malformed()
        length = int(digits, 16)
        size += length
        if size > LARGEST_BODY:
            raise codes.too_large()
        at = line_end + 2
        if length == 0:
            return _after_trailers(data, at, b"".join(parts))
        if len(data) < at + length + 2:
            return None
        if data[at + length : at + length + 2] != b"\r\n":
            raise codes.malformed()
        parts.append(data[at : at + length])
        at += length + 2


def _after_trailers(data: bytes, at: int, body: bytes) -> tuple[bytes, int] | None:
    while True:
        line_end = data.find(b"\r\n", at)
        if line_end < 0:
            _expect_more(data, at, LARGEST_HEAD)
            return None
        if line_end == at:
            return body, at + 2
        at = line_end + 2


def _expect_more(data: bytes, at: int, most: int) -> None:
    """There is more to come, unless a line is longer than any can be."""
    if len(data) - at > most:
        raise codes.malformed()
