"""What planned faults do on the wire: to answers, user events, streams and sockets of one bot, in virtual time.

What is due is decided in the run (`replay.faults`) and recorded there; here each fault that has happened is turned into
what a client meets. Nothing here draws, counts calls or looks at a clock of the wall: of the same run, restarted or
repeated, the same comes.

| called by | when | what |
|---|---|---|
| the door | a request is let in | `admit`, `skew_ns` |
| the door | an answer goes out | `answer` |
| the course | an answer or events become due | `answer_ns`, `events`, `loses_user` |
| whoever feeds sockets | an event of a stream | `freezes` |
| the course, in `on_break` | sockets are to close or to be warned | `Break` |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

import orjson

from gnomon.exchange.fault_plan import CHANGING, FaultEntry, FaultKind, is_under, query_number
from gnomon.replay.bodies import Body, Door, Read
from gnomon.replay.faults import Fault, Faults
from gnomon.serve.venue import codes
from gnomon.serve.venue.call import UserEvent
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.trader.pulse import native
from gnomon.units import SECOND_NS

MILLISECOND_NS: Final = 1_000_000

OF_ANSWERS: Final = (
    FaultKind.UNKNOWN_STATUS,
    FaultKind.LATE_ACK,
    FaultKind.FILL_FIRST,
    FaultKind.SLOW_RESPONSE,
)
AT_THE_DOOR: Final = {-1021: 2, -1003: 4, -1015: 4}
"""Refusals of requests that did not get as far as the venue, and the reason that a DOOR note gives."""

WEIGHT_LIMIT: Final = 6_000
SERVICE_RESTART: Final = 1012
GOING_AWAY: Final = 1001

UNKNOWN: Final = {
    "502": (-1001, "Internal error; unable to process your request. Please try again."),
    "503": (-1000, "Unknown error, please check your request or try again later."),
    "504": (-1007, "Timeout waiting for response from backend server. Send status unknown; execution status unknown."),
}


class Break(NamedTuple):
    """Sockets of the bot are to close, or to be told that they will: those of user events, or all of them. `told` are
    those that a notice was given to: they alone close after it."""

    is_user_only: bool
    is_notice: bool
    at_ns: int
    told: list[Any] | None = None


class WireFaults:
    """The faults of one course, as its client meets them."""

    def __init__(self, faults: Faults) -> None:
        self.answering = 0  # number of the request whose answer is being made
        self.on_break: Callable[[Break], None] = lambda _: None
        self.note: Callable[[Body], object] = lambda _: None  # into the journal: what verdicts are made of
        self._faults = faults
        self._entries: Sequence[FaultEntry] = faults.plan.entries
        self._answers: dict[int, list[Fault]] = {}  # by request
        self._banned: dict[int, bool] = {}  # requests that were sent in spite of a limit
        self._doubles = 0  # reports of the newest event that come twice
        self._states: list[Fault] = []
        faults.listen = self.heard
        for fault in faults.happened:
            self.heard(fault)

    def heard(self, fault: Fault) -> None:
        """One fault has happened."""
        kind = fault.kind
        if kind in OF_ANSWERS or (kind is FaultKind.RATE_LIMIT and fault.entity):
            self._answers.setdefault(fault.entity, []).append(fault)
            if kind is FaultKind.RATE_LIMIT and self._faults.limit[1]:
                self._banned[fault.entity] = True
        if kind is FaultKind.DUPLICATE_REPORT:
            self._doubles += 1
        elif kind in (FaultKind.USER_STREAM_LOST, FaultKind.GAP, FaultKind.STALE, FaultKind.CLOCK_SKEW):
            self._states.append(fault)
        if kind is FaultKind.USER_STREAM_LOST:
            self.on_break(Break(True, False, fault.at_ns))
        elif kind in (FaultKind.GAP, FaultKind.CONNECTION_END):
            self.on_break(Break(False, False, fault.at_ns))
        elif kind is FaultKind.SHUTDOWN_NOTICE:
            told: list[Any] = []
            self.on_break(Break(False, True, fault.at_ns, told))
            self.on_break(Break(False, False, fault.until_ns, told))

    # --- the door -----------------------------------------------------------------------------------------------------

    def admit(self, method: str, now_ns: int, symbol: str = "") -> None:
        """Raises 429 or 418 for a call that only reads, while a limit holds. One that changes something goes on to the
        run, which turns it away itself: its refusal is an input's, and recorded."""
        if any(is_under(method, one) for one in (*CHANGING, native.SEND)):
            return
        self.note(Read(query_number(method), 0))
        limit, is_banned = self._faults.limit
        if method == native.VIEW:
            return  # what a runtime of ours sees of the market is no call of an exchange
        if limit is None or now_ns >= limit.until_ns or now_ns < limit.at_ns:
            return
        if self._entries[limit.entry - 1].is_for(method, symbol):
            raise too_often(limit.until_ns, now_ns, is_banned)

    def skew_ns(self, now_ns: int) -> int:
        """How far the server's clock is off: added to both clocks that a timestamp is held against, and to what
        `time` answers."""
        return sum(
            self._entries[one.entry - 1].params["skew_ns"]
            for one in self._states
            if one.kind is FaultKind.CLOCK_SKEW and one.at_ns <= now_ns < one.until_ns
        )

    def answer(
        self, method: str, value: Any, refusal: VenueRefusal | None, now_ns: int
    ) -> tuple[Any, VenueRefusal | None]:
        """What goes out in the place of an answer. `answering` says of which request, 0 of a call that only reads."""
        for one in self._answers.pop(self.answering, ()) if self.answering else ():
            if one.kind is FaultKind.RATE_LIMIT:
                return None, too_often(one.until_ns, now_ns, self._banned.pop(one.entity, False))
            if one.kind is FaultKind.UNKNOWN_STATUS:
                return None, unknown(self._entries[one.entry - 1].params["answer"])
        if refusal is not None and not self.answering and refusal.code in AT_THE_DOOR:
            self.note(Door(AT_THE_DOOR[refusal.code], refusal.code, method))
        if method == "time" and refusal is None and (skew_ns := self.skew_ns(now_ns)):
            document = dict(orjson.loads(value) if isinstance(value, bytes) else value)
            return {**document, "serverTime": document["serverTime"] + skew_ns // MILLISECOND_NS}, None
        return value, refusal

    # --- what becomes due ---------------------------------------------------------------------------------------------

    def answer_ns(self, request: int, due_ns: int) -> int:
        """When a request's answer goes out, that would be due then."""
        held_ns = 0
        for one in self._answers.get(request, ()):
            if one.kind in (FaultKind.LATE_ACK, FaultKind.FILL_FIRST):
                held_ns = max(held_ns, one.until_ns - one.at_ns, 1)  # after the events of the same instant
            elif one.kind is not FaultKind.RATE_LIMIT:
                held_ns = max(held_ns, one.until_ns - one.at_ns)
        return due_ns + held_ns

    def events(self, request: int, events: Sequence[UserEvent]) -> list[UserEvent]:
        """User events of one step, in the order in which they go out: some twice, fills before their acceptance."""
        found = list(events)
        if any(one.kind is FaultKind.FILL_FIRST for one in self._answers.get(request, ())):
            fills = [one for one in found if _is_fill(one)]
            found = [*fills, *(one for one in found if not _is_fill(one))]
        if self._doubles:
            fills = [one for one in found if _is_fill(one)][-self._doubles :]
            found = [again for one in found for again in ((one, one) if one in fills else (one,))]
            self._doubles = 0
        return found

    def loses_user(self, at_ns: int) -> bool:
        """Whether a user event that is due then is lost."""
        return any(
            one.at_ns <= at_ns < one.until_ns
            for one in self._states
            if one.kind in (FaultKind.USER_STREAM_LOST, FaultKind.GAP)
        )

    def freezes(self, stream: str, at_ns: int) -> bool:
        """Whether an event of a stream of the market is not sent: frozen, or gone with a gap."""
        for one in self._states:
            if one.at_ns <= at_ns < one.until_ns:
                if one.kind is FaultKind.GAP:
                    return True
                if one.kind is FaultKind.STALE and self._is_frozen(self._entries[one.entry - 1], stream):
                    return True
        return False

    def _is_frozen(self, entry: FaultEntry, stream: str) -> bool:
        symbol, _, kind = stream.partition("@")
        name = kind.partition("_")[0].partition("@")[0].rstrip("0123456789")
        return name in entry.params["streams"] and entry.symbol in ("", symbol.upper())


def too_often(until_ns: int, now_ns: int, is_banned: bool) -> VenueRefusal:
    """429 with the seconds to wait, or 418 for whoever did not."""
    seconds = max(1, -(-(until_ns - now_ns) // SECOND_NS))
    if not is_banned:
        return codes.too_much_weight(WEIGHT_LIMIT, seconds)
    msg = (
        f"Way too much request weight used; IP banned until {until_ns // MILLISECOND_NS}. "
        "Please use WebSocket Streams for live updates to avoid bans."
    )
    return VenueRefusal(-1003, msg, 418, retry_after_s=seconds)


def unknown(answer: str) -> VenueRefusal:
    """An answer that leaves open what came of the request."""
    if answer == "timeout":
        return codes.timed_out()
    code, msg = UNKNOWN[answer]
    return VenueRefusal(code, msg, int(answer))


def _is_fill(event: UserEvent) -> bool:
    return b'"x":"TRADE"' in event.body and b'"executionReport"' in event.body


def break_sockets(sockets: Iterable[Any], what: Break) -> None:
    """Close sockets, or tell them that they will be. Where no socket is for user events alone, all are meant."""
    meant = tuple(sockets)
    if what.is_user_only:
        meant = tuple(one for one in meant if getattr(one, "user_subscriptions", None)) or meant
    if what.told is not None and not what.is_notice:
        meant = tuple(one for one in meant if any(one is other for other in what.told))
    for socket in meant:
        if what.is_notice:
            if what.told is not None:
                what.told.append(socket)
            socket.send_text(notice(socket, what.at_ns))
        else:
            socket.close(GOING_AWAY if not what.is_user_only else SERVICE_RESTART, "planned fault")


def notice(socket: Any, at_ns: int) -> bytes:
    """`serverShutdown` in the form of a socket: bare, in the wrapper of combined streams, as `event` of the API."""
    event = {"e": "serverShutdown", "E": at_ns // MILLISECOND_NS}
    if getattr(socket, "user_subscriptions", None) is not None:
        return orjson.dumps({"event": event})
    return orjson.dumps({"stream": "!serverShutdown", "data": event} if socket.is_combined else event)
