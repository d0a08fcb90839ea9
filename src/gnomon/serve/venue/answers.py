"""Answers as bytes: HTTP with its headers joined ahead, and those of the WebSocket API."""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final

import orjson

from gnomon.serve.venue.limits import Limits
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.units import SECOND_NS

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
NO_LIMITS: Final = Limits("off")
"""What the headers of an answer count where no course was found."""

_OPENINGS: Final = {
    (status.value, keeps_alive): (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json;charset=UTF-8\r\n"
        f"{'' if keeps_alive else 'Connection: close' + chr(13) + chr(10)}"
    ).encode()
    for status in HTTPStatus
    for keeps_alive in (True, False)
}
_PREPARED: Final = 8_192
_WEIGHTS: Final = tuple(
    b"X-MBX-USED-WEIGHT: %d\r\nX-MBX-USED-WEIGHT-1M: %d\r\nContent-Length: " % (used, used) for used in range(_PREPARED)
)
_LENGTHS: Final = tuple(b"%d\r\n\r\n" % length for length in range(_PREPARED))


def date_line(wall_ns: int) -> bytes:
    """The `Date` of answers that are written in this second."""
    return f"Date: {formatdate(wall_ns // SECOND_NS, usegmt=True)}\r\n".encode()


def dumped(value: Any) -> bytes:
    """The JSON of an answer; bytes are JSON already."""
    return value if isinstance(value, bytes) else orjson.dumps(value)


def http_answer(
    status: int, body: bytes, keeps_alive: bool, date: bytes, used_weight: int, extra: bytes = b""
) -> bytes:
    """A whole answer; `extra` are header lines, each with its end."""
    length = len(body)
    if used_weight < _PREPARED and length < _PREPARED:
        weights, end = _WEIGHTS[used_weight], _LENGTHS[length]
    else:
        weights = b"X-MBX-USED-WEIGHT: %d\r\nX-MBX-USED-WEIGHT-1M: %d\r\nContent-Length: " % (used_weight, used_weight)
        end = b"%d\r\n\r\n" % length
    return b"".join((_OPENINGS[status, keeps_alive], date, extra, weights, end, body))


def order_headers(limits: Limits) -> bytes:
    """The header lines of an accepted placement."""
    return b"X-MBX-ORDER-COUNT-10S: %d\r\nX-MBX-ORDER-COUNT-1D: %d\r\n" % (limits.orders_10s, limits.orders_1d)


def refusal_headers(refusal: VenueRefusal) -> bytes:
    return b"Retry-After: %d\r\n" % refusal.retry_after_s if refusal.retry_after_s else b""


def socket_answer(
    request_id: Any, status: int, value: Any, refusal: VenueRefusal | None, limits: Sequence[Any] | None
) -> bytes:
    """An answer of the WebSocket API; `limits` None where the client wants none."""
    tail = b"" if limits is None else b',"rateLimits":' + orjson.dumps(limits)
    name, body = (b"result", dumped(value)) if refusal is None else (b"error", orjson.dumps(refusal.document()))
    return b'{"id":%b,"status":%d,"%b":%b%b}' % (orjson.dumps(request_id), status, name, body, tail)
