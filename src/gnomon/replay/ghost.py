"""The ghost: a Record's inputs, fed to the engine again where they came from a trader the first time.

It takes the trader's place at the desk, decides nothing, and says after each call what the Record says was said after
that call. So a run is replayed from its inputs alone, whatever made them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from gnomon.exchange.order import (
    Amend,
    Cancel,
    CancelAll,
    ListKind,
    OrderType,
    Place,
    PlaceList,
    Quote,
    Replace,
    Request,
    SelfTrade,
    Side,
    TimeInForce,
)
from gnomon.exchange.outcome import Outcome
from gnomon.replay.bodies import (
    Attach,
    Decision,
    Deliver,
    Detach,
    EndReason,
    ForecastSeen,
    RequestAmend,
    RequestCancel,
    RequestCancelAll,
    RequestList,
    RequestPlace,
    RequestQuote,
    RequestReplace,
    TimerSet,
    Wake,
)
from gnomon.replay.engine import LATER, OWN, WATCH
from gnomon.replay.header import RecordType
from gnomon.replay.record import Record, Recorded
from gnomon.trader.desk import Finished

KEEP: Final = 1
POST_ONLY: Final = 2
REDUCE_ONLY: Final = 1


class Failed(Exception):
    """Here the trader failed, as the Record says."""


class Left(Finished):
    """Here somebody ended it from outside, as the Record says."""

    def __init__(self, ends: EndReason) -> None:
        super().__init__("as recorded")
        self.ends = ends


@dataclass(slots=True)
class Said:
    """What was said at once after a call of the trader: decisions, then requests, then alarms, as the engine sends
    them. A trader on the wire may say several such things to one wake."""

    requests: list[Request] = field(default_factory=list)
    alarms: list[tuple[int, str]] = field(default_factory=list)
    decisions: list[Decision | ForecastSeen] = field(default_factory=list)
    wake: Wake | None = None
    leaves: Detach | None = None

    def takes(self, kind: RecordType) -> bool:
        """Whether a record of a kind can be of the same breath: nothing that is sent after it was said yet."""
        if kind in (RecordType.DECISION, RecordType.FORECAST):
            return not self.requests and not self.alarms
        return kind is not RecordType.REQUEST or not self.alarms


@dataclass(slots=True)
class Script:
    """The inputs of a Record by the number of calls before them, and what woke the trader."""

    wake: Wake
    said: dict[int, list[Said]]
    own: set[int]  # seqs of the own events that were told
    calls: int
    reason: EndReason
    concurrency: int = 0
    is_attached: bool = False
    is_detached: bool = False
    called_ns: int = 0  # of the last call
    later: dict[int, list[tuple[int, Said]]] = field(default_factory=dict)  # by call: when, and what was said then

    @classmethod
    def of(cls, record: Record) -> Script:
        script = cls(Wake(0, 0, 0, (), ()), {}, set(), 0, EndReason.WINDOW)
        for one in record.entries():
            script._take(one)
        end = record.end
        script.reason = EndReason(end.reason) if end is not None else EndReason.FAILED
        return script

    def _take(self, one: Recorded) -> None:
        if one.type is RecordType.DELIVER:
            told = cast(Deliver, one.body)
            self.calls += told.wakes
            self.called_ns = one.t
            self.own.update(range(told.own_after + 1, told.own_upto + 1))
        elif one.type is RecordType.TIMER:
            self.calls += 1
            self.called_ns = one.t
        elif one.type is RecordType.ATTACH:
            self.concurrency = cast(Attach, one.body).concurrency
        elif one.type is RecordType.WAKE and not self.is_attached:
            self.wake, self.is_attached, self.called_ns = cast(Wake, one.body), True, one.t
        elif one.type is RecordType.WAKE:
            said = self._said_at(one)
            said.wake = cast(Wake, one.body)
            said.alarms.append((0, WATCH))
        elif one.type is RecordType.DETACH:
            self.is_detached = True
            self.later.setdefault(self.calls, []).append((one.t, Said(leaves=cast(Detach, one.body))))
        elif one.type in (RecordType.REQUEST, RecordType.TIMER_SET, RecordType.DECISION, RecordType.FORECAST):
            said = self._said_at(one)
            body = one.body
            if isinstance(body, Decision | ForecastSeen):
                said.decisions.append(body)
            elif isinstance(body, TimerSet):
                said.alarms.append((body.due, body.name))
            else:
                said.requests.append(request_of(body))

    def _said_at(self, one: Recorded) -> Said:
        """Where what was said at an instant belongs: to the last call, or to a later moment of a trader that speaks
        between calls, as one on the wire may."""
        if one.t <= self.called_ns:
            breaths = self.said.setdefault(self.calls, [])
            if not breaths or not breaths[-1].takes(one.type):
                breaths.append(Said())
            return breaths[-1]
        later = self.later.setdefault(self.calls, [])
        if not later or later[-1][0] != one.t or not later[-1][1].takes(one.type):
            later.append((one.t, Said()))
        return later[-1][1]


class Ghost:
    """Desk and trader in one. `rewrite` puts a decision, or a forecast that was read, into the journal as it was, `seq`
    is the journal's newest."""

    __slots__ = (
        "_calls",
        "_later",
        "_rewrite",
        "_script",
        "_seq",
        "_waiting",
        "alarms",
        "is_deciding",
        "now_ns",
        "outbox",
        "wake",
    )

    def __init__(
        self, script: Script, rewrite: Callable[[Decision | ForecastSeen | Detach, int], object], seq: Callable[[], int]
    ) -> None:
        self.now_ns = 0
        self.outbox: list[Request] = []
        self.alarms: list[tuple[int, str]] = []
        self.is_deciding = False
        self._script = script
        self._rewrite = rewrite
        self._seq = seq
        self._calls = 0
        self.wake: Wake | None = None
        self._waiting: list[Decision | ForecastSeen] = []
        self._later: list[Said] = []

    def begin(self) -> None:
        self._say()

    def go_on(self, calls: int, now_ns: int) -> None:
        """In the place of a trader that has been called so often, and has said what it said to that."""
        self._calls, self.now_ns = calls, now_ns

    def called(self, *_: Any) -> None:
        """A wake, a timer, or own events: one call."""
        self._calls += 1
        self._say()

    def hook(self, _kind: str) -> Callable[..., None]:
        return self.called

    def hear(self, due_ns: int, _outcomes: Sequence[Outcome]) -> None:
        if self._seq() in self._script.own:  # whether the trader listened when this was said
            self.alarms.append((due_ns, OWN))

    def alarm(self, name: str) -> None:
        if name == LATER:
            said = self._later.pop(0)
            if said.leaves is not None:
                self._rewrite(said.leaves, self.now_ns)
                raise Left(self._script.reason)
            self._utter(said)
        else:
            self.called()

    def close_decision(self) -> None:
        for decision in self._waiting:
            self._rewrite(decision, self.now_ns)
        self._waiting.clear()
        self.is_deciding = False

    def take_watches(self, waiting: int) -> Sequence[tuple[int, int, int]]:
        """The watches that a recorded filter adds to those that wait."""
        found = self.wake.watches[waiting:] if self.wake is not None else ()
        return [(one.instrument, one.direction, one.price) for one in found]

    def _say(self) -> None:
        breaths = self._script.said.get(self._calls, ())
        if breaths:
            self._utter(breaths[0])
        more = [(self.now_ns, said) for said in breaths[1:]]
        for at_ns, said in (*more, *self._script.later.get(self._calls, ())):
            self._later.append(said)
            self.alarms.append((at_ns, LATER))
            self.is_deciding = True
        if (
            self._calls == self._script.calls
            and self._script.reason is EndReason.STOPPED
            and not self._script.is_detached
        ):
            raise Finished("as recorded")
        if self._calls == self._script.calls and self._script.reason is EndReason.FAILED:
            raise Failed

    def _utter(self, said: Said) -> None:
        self.outbox.extend(said.requests)
        self.alarms.extend(said.alarms)
        self._waiting.extend(said.decisions)
        self.wake = said.wake
        self.is_deciding = bool(said.decisions or said.alarms)  # as the desk: it wants the engine to look now


def request_of(body: Any) -> Request:
    """The request that a REQUEST record holds."""
    match body:
        case RequestPlace():
            return _place(body)
        case RequestQuote():
            keep, post_only = bool(body.flags & KEEP), bool(body.flags & POST_ONLY)
            return Quote(body.instrument, body.bid, body.ask, body.lots, keep, post_only)
        case RequestCancel():
            return Cancel(body.instrument, body.order, body.client)
        case RequestCancelAll():
            return CancelAll(body.instrument)
        case RequestAmend():
            return Amend(body.instrument, body.order, body.lots)
        case RequestReplace():
            return Replace(body.order, _place(body.legs[0]))
        case RequestList():
            return PlaceList(ListKind(body.kind), tuple(map(_place, body.legs)))
    raise AssertionError(f"{type(body).__name__} holds no request")


def _place(leg: Any) -> Place:
    return Place(
        leg.instrument,
        Side(leg.side),
        OrderType(leg.type),
        leg.lots,
        leg.price,
        TimeInForce(leg.tif),
        leg.stop,
        leg.trailing_bips,
        leg.quote_units,
        SelfTrade(leg.stp),
        leg.client,
        bool(leg.flags & REDUCE_ONLY),
    )


def requests(record: Record) -> Iterator[tuple[int, Request]]:
    """The number and the words of every request of a Record."""
    for one in record.entries():
        if one.type is RecordType.REQUEST:
            body: Any = one.body
            yield body.number, request_of(body)
