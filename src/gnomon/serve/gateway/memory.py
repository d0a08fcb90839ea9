"""Answers kept ready to be sent: bytes and headers, until they are outdated, too old or crowded out."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from gnomon.errors import NotFound
from gnomon.serve.gateway.table import dumps
from gnomon.units import MINUTE_NS, SECOND_NS

MAX_ANSWERS: Final = 512
MAX_SPELLINGS: Final = 4096
"""How many ways of asking are remembered: `?model=ewma` and `?timeframe=1h&model=ewma` mean one answer."""

KEEP_NS: Final = 30 * MINUTE_NS
KEEP_SCORED_NS: Final = MINUTE_NS
"""Scores arrive without a new forecast, so an answer that shows them is not kept for long."""
KEEP_PASSING_NS: Final = 5 * SECOND_NS
"""For a 404, and for a forecast that is stale already: whatever ends either state is awaited."""

MAX_AGE_S: Final = 1800
PAST_MAX_AGE_S: Final = 86_400

Slot = tuple[str, str]
"""An instrument's identity and a timeframe: a newer forecast of any forecaster outdates its answers."""

Message = dict[str, Any]
_STEADY_HEADERS: Final = [
    (b"content-type", b"application/json"),
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"ETag, Retry-After"),
    (b"x-content-type-options", b"nosniff"),
]


@dataclass(slots=True, eq=False)
class Answer:
    """One 200, ready but for its age, which is written in when it is sent.

    `facts` is the JSON object up to and including `"age_seconds":`. The ETag covers all of it: it changes with the
    forecast, its calibration, the parts included, their content, and with growing stale.
    """

    slot: Slot
    facts: bytes
    etag: bytes
    issued_at_ns: int
    valid_until_ns: int
    keep_until_ns: int
    seen_at_ns: int = 0  # of a past `as_of`: the age is that of then, for ever; else 0
    settled: bool = False  # that past cannot gain a row any more
    _moment: tuple[int, int] = (-1, -1)
    _full: list[Message] = field(default_factory=list)
    _unchanged: list[Message] = field(default_factory=list)

    def ready(self, now_ns: int) -> tuple[list[Message], list[Message]]:
        """The ASGI messages of the 200 and of the 304, as of now. Rendered at most twice a second."""
        at_ns = self.seen_at_ns or now_ns
        moment = (at_ns - self.issued_at_ns) // SECOND_NS, (self.valid_until_ns - at_ns) // SECOND_NS
        if moment != self._moment:
            self._moment = moment
            self._render(*moment)
        return self._full, self._unchanged

    def _render(self, age_s: int, left_s: int) -> None:
        if self.settled:
            cache = b"public, max-age=%d, immutable" % PAST_MAX_AGE_S
        elif self.seen_at_ns:
            cache = b"no-cache"
        else:
            cache = b"public, max-age=%d, stale-if-error=86400" % min(max(left_s, 0), MAX_AGE_S)
        body = b"%s%d}" % (self.facts, max(age_s, 0))
        headers = [*_STEADY_HEADERS, (b"etag", self.etag), (b"cache-control", cache)]
        length = (b"content-length", b"%d" % len(body))
        self._full = [
            {"type": "http.response.start", "status": 200, "headers": [*headers, length]},
            {"type": "http.response.body", "body": body},
        ]
        self._unchanged = [
            {"type": "http.response.start", "status": 304, "headers": headers[1:]},
            {"type": "http.response.body", "body": b""},
        ]


def facts_of(document: dict[str, Any], identity: str) -> tuple[bytes, bytes]:
    """The JSON of an answer up to its age, and its ETag: the identity and a digest of everything but the age."""
    facts = dumps(document)[:-1] + b',"age_seconds":'
    digest = hashlib.blake2b(facts, digest_size=8).hexdigest()
    return facts, f'"{identity}-{digest}"'.encode()


class Memory:
    """Answers by what was asked, the least recently used forgotten first; and the 404s of the last seconds.

    Used from the event loop alone, so it needs no lock.
    """

    def __init__(self) -> None:
        self._answers: OrderedDict[Hashable, Answer] = OrderedDict()
        self._absences: OrderedDict[Hashable, tuple[Slot | None, NotFound, int]] = OrderedDict()
        self._spellings: OrderedDict[Hashable, Hashable] = OrderedDict()
        self.drops = 0

    def __len__(self) -> int:
        return len(self._answers)

    def spelled(self, spelling: Hashable, now_ns: int) -> Answer | None:
        """The answer to a request that was spelled like this before."""
        key = self._spellings.get(spelling)
        return None if key is None else self.answer(key, now_ns)

    def answer(self, key: Hashable, now_ns: int) -> Answer | None:
        """The answer to a question, unless it is outdated."""
        found = self._answers.get(key)
        if found is None:
            return None
        if now_ns >= found.keep_until_ns:
            del self._answers[key]
            return None
        self._answers.move_to_end(key)
        return found

    def absence(self, key: Hashable, now_ns: int) -> NotFound | None:
        """The 404 that the question got within the last seconds."""
        found = self._absences.get(key)
        if found is None or now_ns >= found[2]:
            return None
        return found[1]

    def keep(self, key: Hashable, answer: Answer) -> None:
        _put(self._answers, key, answer, MAX_ANSWERS)
        self._absences.pop(key, None)

    def keep_absence(self, key: Hashable, slot: Slot | None, error: NotFound, now_ns: int) -> None:
        _put(self._absences, key, (slot, error, now_ns + KEEP_PASSING_NS), MAX_ANSWERS)

    def keep_spelling(self, spelling: Hashable, key: Hashable) -> None:
        _put(self._spellings, spelling, key, MAX_SPELLINGS)

    def drop(self, slots: Iterable[Slot]) -> None:
        """Forget what newer forecasts have outdated, and every 404 about a symbol that was unknown."""
        self.drops += 1
        outdated = set(slots)
        for key in [key for key, one in self._answers.items() if one.slot in outdated]:
            del self._answers[key]
        for key in [key for key, one in self._absences.items() if one[0] is None or one[0] in outdated]:
            del self._absences[key]


def _put(kept: OrderedDict[Hashable, Any], key: Hashable, value: Any, limit: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > limit:
        kept.popitem(last=False)
