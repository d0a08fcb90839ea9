"""Times in microseconds, for clients that ask for them: `X-MBX-TIME-UNIT`, or `timeUnit` in the URL of a socket.

What the venue says is written once, in milliseconds, and shared by all who hear it; for these clients the times in it
are exchanged on the way out. Whole milliseconds they stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from gnomon.serve.venue import codes
from gnomon.serve.venue.frames import TEXT, frame

SCALE: Final = 1_000
UNITS: Final = {"MICROSECOND": True, "MILLISECOND": False}

IN_ANSWERS: Final = frozenset({
    "serverTime", "time", "updateTime", "workingTime", "transactTime", "transactionTime", "trailingTime", "openTime",
    "closeTime", "T", "authorizedSince", "connectedSince",
})  # fmt: skip
"""Members of answers that are times, wherever they stand."""
IN_ROWS: Final[Mapping[str, tuple[int, ...]]] = {"klines": (0, 6), "uiKlines": (0, 6)}
"""Places of times in answers that are rows without names."""
IN_EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "executionReport": ("E", "T", "W", "O", "D"),
    "outboundAccountPosition": ("E", "u"),
    **{f"{kind}Ticker": ("E", "O", "C") for kind in ("24hr", "1h", "4h", "1d")},
}
"""Members of events that are times, by the event; of all others `E` and `T`."""
IN_KLINES: Final = ("t", "T")


def is_micro(unit: str) -> bool:
    """Whether a client wants microseconds; nothing said is milliseconds. -1130 for another unit."""
    found = UNITS.get(unit.upper(), None) if unit else False
    if found is None:
        raise codes.invalid_data("timeUnit")
    return found


def answer_in_micro(method: str, value: Any) -> bytes:
    """An answer (what JSON says, or bytes of it) with its times in microseconds."""
    document = orjson.loads(value if isinstance(value, bytes) else orjson.dumps(value))
    if method in IN_ROWS and isinstance(document, list):
        for row in document:
            for place in IN_ROWS[method]:
                row[place] *= SCALE
    else:
        _walk(document)
    return orjson.dumps(document)


def _walk(document: Any) -> None:
    if isinstance(document, dict):
        _exchange(document, IN_ANSWERS)
        for value in document.values():
            _walk(value)
    elif isinstance(document, list):
        for value in document:
            _walk(value)


def _exchange(document: dict[str, Any], names: Any) -> None:
    """Whole numbers that are positive: -1 and 0 say that there is no time yet."""
    for name in document.keys() & names:
        value = document[name]
        if type(value) is int and value > 0:
            document[name] = value * SCALE


def event_in_micro(event: Any) -> None:
    """The times of one event, or of a list of them, in place."""
    if isinstance(event, list):
        for one in event:
            event_in_micro(one)
    elif isinstance(event, dict) and "e" in event:
        _exchange(event, set(IN_EVENTS.get(event["e"], ("E", "T"))))
        if isinstance(event.get("k"), dict):
            _exchange(event["k"], set(IN_KLINES))


def frames_in_micro(joined: bytes) -> bytes:
    """Frames of a server with the times of the events in them in microseconds; all others as they are."""
    return b"".join(whole if opcode != TEXT else _told(whole, payload) for opcode, payload, whole in _frames(joined))


def _told(whole: bytes, payload: bytes) -> bytes:
    message = orjson.loads(payload)
    if not isinstance(message, dict | list):
        return whole
    within = message if isinstance(message, list) or "e" in message else message.get("data", message.get("event"))
    if within is None:
        return whole
    event_in_micro(within)
    return frame(orjson.dumps(message))


def _frames(joined: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Opcode, payload and all of each frame: not masked, whole, as we make them."""
    at = 0
    while at < len(joined):
        size, head = joined[at + 1], 2
        if size >= 126:
            head = 4 if size == 126 else 10
            size = int.from_bytes(joined[at + 2 : at + head], "big")
        end = at + head + size
        yield joined[at] & 0x0F, joined[at + head : end], joined[at:end]
        at = end
