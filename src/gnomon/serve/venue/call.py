"""A call: one request whose key, signature and time were checked, on its way to whoever answers it.

REST and the WebSocket API make the same calls; a handler does not know by which of them it was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from gnomon.exchange.exchange import Exchange
from gnomon.exchange.order import Request
from gnomon.exchange.outcome import Outcome
from gnomon.replay.ground import Ground
from gnomon.serve.venue.refusal import VenueRefusal

Then = Callable[[int, Sequence[Outcome]], None]
"""What is done when a request's answer is due: virtual ns of its arrival, and what came of it."""


class UserEvent(Protocol):
    """One event of the user stream: its time, and its JSON without a wrapper."""

    time_ns: int
    body: bytes


class Account(Protocol):
    """What a bot has and has done, as the venue shows it: fed with every outcome when it happens."""

    on_first_fill: Callable[[int], None]
    """Told the time (ns) whenever an order meets its first fill."""

    def take(self, now_ns: int, request: int, outcomes: Sequence[Outcome]) -> Sequence[UserEvent]:
        """Take in what came of one event (`request` is the number of the request that arrived, 0 of none); the events
        that it makes on the user stream, in order."""
        ...


class Course(Protocol):
    """One bot's run in one session, as handlers see it. Without a key: the session's market alone, no `account`."""

    @property
    def now_ns(self) -> int:
        """Virtual."""
        ...

    @property
    def ground(self) -> Ground: ...

    @property
    def exchange(self) -> Exchange: ...

    @property
    def account(self) -> Any: ...

    @property
    def next_request(self) -> int:
        """The number that the next request sent will get."""
        ...

    def send(self, request: Request, then: Then) -> int:
        """Send a request of the bot on its way to the exchange; its number. `then` is called once, when the answer is
        due: before this returns where there is no latency."""
        ...

    def client(self, text: str) -> int:
        """The ordinal of a client order id, by first appearance."""
        ...


class Call:
    """One request. `params` are decoded texts by name; on the WebSocket API numbers keep their literal."""

    __slots__ = ("course", "is_signed", "method", "params", "reply", "weight")

    def __init__(
        self,
        method: str,
        params: Mapping[str, str],
        course: Course,
        reply: Callable[[Any, VenueRefusal | None], None],
        is_signed: bool = False,
    ) -> None:
        self.method = method  # the name of the WebSocket API: "order.place", "klines", "account.status"
        self.params = params
        self.course = course
        self.reply = reply  # with what JSON says (or bytes of JSON as they are), or with a refusal
        self.is_signed = is_signed
        self.weight = 1


Handler = Callable[[Call], Any]
"""Answers with what JSON says, or bytes of JSON; raises `VenueRefusal`; or answers `LATER` and calls `call.reply`."""

LATER: Any = object()
"""The answer is given by `call.reply`, now or when it is due."""
