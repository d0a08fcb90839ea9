"""What Binance's error bodies `{"code": -1121, "msg": "Invalid symbol."}` stand for in our tree of errors.

| codes                                   | error                                                       |
|-----------------------------------------|-------------------------------------------------------------|
| -1003 -1015                             | `Exhausted`; a ban where the text says until when           |
| -1000 -1001 -1006 -1007 -1008 -1016     | `Unavailable`: the venue's own troubles                     |
| -1021                                   | `Unavailable`: clocks differ                                |
| -1002 -1022 -2014 -2015                 | `Refused`                                                   |
| -1121 -1122                             | `NotFound`: the symbol                                      |
| any other negative code                 | `Invalid`: the request                                      |
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from gnomon.clock import Clock
from gnomon.errors import Exhausted, GnomonError, Invalid, NotFound, Refused, Unavailable
from gnomon.sources.http import Answer, Judge

_KINDS: Final[dict[type[GnomonError], tuple[tuple[int, ...], str]]] = {
    Exhausted: ((-1003, -1015), "wait as long as detail.retry_after_s says"),
    Unavailable: ((-1000, -1001, -1006, -1007, -1008, -1016), "try again later"),
    Refused: ((-1002, -1022, -2014, -2015), "market data needs no key; the address may be refused"),
    NotFound: ((-1121, -1122), "is the symbol spelled as at Binance (BTCUSDT), and still listed?"),
}
_CLOCKS_DIFFER: Final = -1021
_BANNED_UNTIL: Final = re.compile(r"banned until (\d{13})")


def judge(clock: Clock) -> Judge:
    """What an answer with an error body stands for; other answers are left to their status."""

    def judged(answer: Answer) -> GnomonError | None:
        body = _error_body(answer)
        return None if body is None else error_of(*body, answer, clock.now_ns())

    return judged


def error_of(code: int, said: str, answer: Answer, now_ns: int) -> GnomonError:
    """The error of one code."""
    message, detail = f"Binance answers {answer.status}, code {code}: {said}", {"code": code}
    if code == _CLOCKS_DIFFER:
        return Unavailable(message, hint="set the clock of this machine (NTP)", detail=detail)
    for kind, (codes, hint) in _KINDS.items():
        if code in codes:
            error = kind(message, hint=hint, detail=detail)
            if match := _BANNED_UNTIL.search(said):
                wait_s = max(0.0, int(match[1]) / 1_000 - now_ns / 1e9)
                error.detail |= {"banned": True} | (
                    {} if "retry-after" in answer.headers else {"retry_after_s": wait_s}
                )
            return error
    return Invalid(message, hint="the request is wrong, or the interface has changed", detail=detail)


def _error_body(answer: Answer) -> tuple[int, str] | None:
    """Code and text of an error body, whatever the status; None for anything else."""
    if not answer.body[:64].lstrip().startswith(b"{") or len(answer.body) > 10_000:
        return None
    try:
        document: Any = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
    code = document.get("code")
    if not isinstance(code, int) or code >= 0 or "msg" not in document:
        return None  # code 0 comes with pages about regions: the status says it
    return code, str(document["msg"])[:300]
