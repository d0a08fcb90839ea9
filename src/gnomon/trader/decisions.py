"""The decision log: what was read, which forecasts, what was asked for and what was said, hook by hook.

`seen` is a BLAKE2b-128 over the canonical bytes of every answer of the market and the news that was read. Own orders
and balances are not in it: they follow from the outcomes, which the record holds anyway.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from gnomon.exchange.order import Amend, Cancel, CancelAll, Place, Quote, Request

SEEN_BYTES: Final = 16
_PRICE = struct.Struct("<cqqq")
_TEMPLATES: Final[dict[type[Any], str]] = {
    kind: f"{kind.__name__}({','.join(['%d'] * len(kind._fields))})"
    for kind in (Place, Quote, Cancel, CancelAll, Amend)
}
"""How requests that hold nothing but integers are written."""

NOTHING_SEEN: Final = hashlib.blake2b(digest_size=SEEN_BYTES).digest()


class Decision(NamedTuple):
    """One decision. `bar` is the ordinal of the session's bar, `forecasts` the ids that were read, in order."""

    bar: int
    now_ns: int
    seen: bytes
    forecasts: tuple[str, ...]
    requests: tuple[Request, ...]
    notes: tuple[str, ...]
    metrics: tuple[tuple[str, float], ...] = ()

    def pack(self) -> bytes:
        """The same bytes for the same decision, whichever way the trader was driven."""
        bar, now_ns, requests = self.bar, self.now_ns, self.requests
        if len(requests) == 1 and not (self.forecasts or self.notes or self.metrics):  # as most are
            return packed_alone(bar, now_ns, self.seen, requests[0])
        texts = (*self.forecasts, *map(_request_text, requests), *self.notes)
        counts = f"{len(self.forecasts)},{len(self.requests)},{len(self.notes)},{len(self.metrics)}"
        parts = [f"{bar},{now_ns},{self.seen.hex()},{counts}"]
        parts += [f"{len(one)}:{one}" for one in texts]
        parts += [f"{len(name)}:{name}={float(value).hex()}" for name, value in self.metrics]
        return "\n".join(parts).encode()


def packed_alone(bar: int, now_ns: int, seen: bytes, request: Request) -> bytes:
    """A decision that is one request, and says nothing else."""
    text = _request_text(request)
    return f"{bar},{now_ns},{seen.hex()},0,1,0,0\n{len(text)}:{text}".encode()


class Diary(Protocol):
    """Where decisions are kept."""

    def decided(self, decision: Decision, /) -> None: ...


class Seen:
    """What was read since the last decision."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = hashlib.blake2b(digest_size=SEEN_BYTES)

    def add(self, what: str, *answer: Any) -> None:
        self._state.update(canonical((what, *answer)))

    def add_price(self, instrument: int, knowable_ns: int, ticks: int) -> None:
        """A price, which is read more often than all the rest."""
        self._state.update(_PRICE.pack(b"p", instrument, knowable_ns, ticks))

    def digest(self) -> bytes:
        return self._state.digest()


def _request_text(request: Any) -> str:
    """Its kind and its integers; those of a list one after another."""
    kind = type(request)
    template = _TEMPLATES.get(kind)
    if template is not None:
        return str(template % request)
    parts = [_request_text(one) if isinstance(one, tuple) else str(int(one)) for one in request]
    return f"{kind.__name__}({','.join(parts)})"


def canonical(value: Any) -> bytes:
    """Bytes that say the type and the length of everything in them: arrays little-endian, integers in decimal."""
    match value:
        case None:
            return b"n"
        case bool() | np.bool_():
            return b"b1" if value else b"b0"
        case int():  # enumerations too
            return _sized(b"i", str(int(value)).encode())
        case float():
            return b"f" + struct.pack("<d", value)
        case str():
            return _sized(b"s", value.encode())
        case bytes():
            return _sized(b"x", value)
        case np.ndarray():
            kind = value.dtype.newbyteorder("<")
            return _sized(b"a" + kind.str.encode() + b";", np.ascontiguousarray(value, kind).tobytes())
        case tuple() | list():
            return _sized(b"t" + type(value).__name__.encode() + b";", b"".join(map(canonical, value)))
    raise TypeError(f"no canonical bytes of {type(value).__name__}")


def _sized(kind: bytes, body: bytes) -> bytes:
    return kind + str(len(body)).encode() + b":" + body
