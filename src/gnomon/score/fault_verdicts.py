"""How a bot bore the faults of its session: from a Record alone, a verdict for each, and checks of the whole run.

What a bot thinks cannot be seen; what it does can. It is held to what a careful bot does after each fault: it asks
before it sends an order again, asks again after events were lost, waits when told to, sends nothing on a frozen stream.
Requests are inputs, own events and refusals are outputs; what it asked, and what the door refused, are notes that a run
keeps while faults are planned.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from gnomon.clock import iso
from gnomon.exchange.fault_plan import CATALOGUE, KINDS, OWN_EVENTS, REJECTS_A_MINUTE, FaultKind, query_number
from gnomon.exchange.order import Side
from gnomon.exchange.outcome import Refusal
from gnomon.replay.bodies import (
    Accept,
    Decision,
    Deliver,
    Door,
    Fault,
    Fill,
    OrderChange,
    Read,
    Reject,
    RequestCancel,
    RequestList,
    RequestPlace,
    RequestReplace,
    Wake,
)
from gnomon.replay.header import RecordType
from gnomon.replay.record import Record
from gnomon.units import MINUTE_NS, SECOND_NS

RESEND_NS: Final = 60 * SECOND_NS
"""How long after an answer that left things open the same order again counts as sent again."""

SILENCE_NS: Final = 10 * MINUTE_NS
"""After a connection ended: no word for so long, and the bot is taken for lost."""

_OF_ORDERS: Final = ("account.status", "allOrders", "myTrades", "openOrders.status", "order.status")
_OF_MARKET: Final = ("avgPrice", "depth", "klines", "ticker", "trades", "ticker.price", "uiKlines", "sim.view")
OF_ORDERS: Final = tuple(query_number(one) for one in _OF_ORDERS)
OF_MARKET: Final = tuple(query_number(one) for one in _OF_MARKET)
OF_RULES: Final = (query_number("exchangeInfo"),)
OF_TIME: Final = (query_number("time"),)
OF_VIEW: Final = query_number("sim.view")
"""What a desk on the wire sees: no call of an exchange, so no limit is for it."""

BY_ITSELF: Final = 3
"""Own events and timers: the filter of a bot that has not said what wakes it."""

PLACING: Final = (RequestPlace, RequestReplace, RequestList)
OWN: Final = (Accept, OrderChange, Fill)
BY_FILTER: Final = (Refusal.PRICE_FILTER, Refusal.LOT_SIZE, Refusal.MARKET_LOT_SIZE, Refusal.NOTIONAL)


class Verdict(StrEnum):
    MET = "met"
    RECOVERED = "recovered"
    VIOLATED = "violated"


@dataclass(frozen=True, slots=True)
class Judged:
    """One fault that happened, and how it was borne. `events` are the own events until it was."""

    fault: str
    entry: int
    at_ns: int
    entity: int
    verdict: Verdict
    events: int
    why: str

    def row(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": str(self.verdict), "at_ns": str(self.at_ns), "at": iso(self.at_ns)}


@dataclass(frozen=True, slots=True)
class FaultReport:
    """All verdicts of a run, and the checks that are common to all faults."""

    judged: tuple[Judged, ...]
    duplicates: tuple[str, ...]
    exposure: Decimal
    exposure_limit: Decimal | None
    rejects: int
    rejects_limit: int

    @property
    def is_within_exposure(self) -> bool:
        return self.exposure_limit is None or self.exposure <= self.exposure_limit

    @property
    def is_calm(self) -> bool:
        return self.rejects <= self.rejects_limit

    @property
    def is_borne(self) -> bool:
        """Whether nothing was violated."""
        return (
            not self.duplicates
            and self.is_within_exposure
            and self.is_calm
            and all(one.verdict is not Verdict.VIOLATED for one in self.judged)
        )

    def row(self) -> dict[str, Any]:
        """JSON-ready."""
        counts = {str(kind): sum(one.verdict is kind for one in self.judged) for kind in Verdict}
        return {
            "is_borne": self.is_borne,
            **counts,
            "checks": {
                "duplicates": list(self.duplicates),
                "exposure": f"{self.exposure.normalize():f}",
                "exposure_limit": "none" if self.exposure_limit is None else f"{self.exposure_limit.normalize():f}",
                "rejects_a_minute": self.rejects,
                "rejects_limit": self.rejects_limit,
            },
            "verdicts": [one.row() for one in self.judged],
        }


@dataclass(frozen=True, slots=True)
class Step:
    """One record, as far as verdicts look at it."""

    t: int
    body: Any


def fault_report(record: Record) -> FaultReport | None:
    """The verdicts of a run; None where no fault was planned."""
    config = json.loads(record.genesis.config)
    plan = config["rules"].get("faults")
    return None if plan is None else _Story(record, config, plan).report()


class _Story:
    """The steps of a run in their order, notes among them."""

    def __init__(self, record: Record, config: Mapping[str, Any], plan: Mapping[str, Any]) -> None:
        self.steps = list(_steps(record))
        self.plan = plan
        self.listings = config["listings"]
        self.most_events = int(plan.get("own_events", OWN_EVENTS))
        self.end_ns = self.steps[-1].t if self.steps else 0
        wakes = [one.body for one in self.steps if isinstance(one.body, Wake)][:1]
        self.is_waited_for = any(one.closed_bars or one.every_nth_print or one.flags > BY_ITSELF for one in wakes)
        self.placed = {one.body.number: one.body for one in self.steps if isinstance(one.body, PLACING)}
        self.cancels = {one.body.number: one.body for one in self.steps if isinstance(one.body, RequestCancel)}
        faults = [one.body for one in self.steps if isinstance(one.body, Fault)]
        self.turned = [one.entity for one in faults if one.fault == FaultKind.RATE_LIMIT and one.entity]

    def report(self) -> FaultReport:
        limit = self.plan.get("exposure", "none")
        return FaultReport(
            tuple(self._judge()),
            tuple(self._duplicates()),
            self._exposure(),
            None if limit == "none" else Decimal(limit),
            self._rejects(),
            int(self.plan.get("rejects_a_minute", REJECTS_A_MINUTE)),
        )

    def _judge(self) -> Iterator[Judged]:
        limited_until: dict[int, int] = {}
        for i, step in enumerate(self.steps):
            body = step.body
            if not isinstance(body, Fault):
                continue
            kind = FaultKind(body.fault)
            if kind is FaultKind.RATE_LIMIT:
                was = limited_until.get(body.plan, 0)
                limited_until[body.plan] = body.until
                if step.t < was:
                    continue  # the same limit, met again: its own verdict says so
            verdict, events, why = JUDGES[kind](self, i, step.t, body)
            if verdict is Verdict.RECOVERED and events > self.most_events:
                verdict, why = Verdict.VIOLATED, f"{why}, {events} own events later (at most {self.most_events})"
            yield Judged(kind.word, body.plan, step.t, body.entity, verdict, events, why)

    def after(self, i: int, until_ns: int | None = None) -> Iterator[Step]:
        """What came after a step, to an instant."""
        for step in self.steps[i + 1 :]:
            if until_ns is not None and step.t >= until_ns:
                return
            yield step

    # --- one fault ------------------------------------------------------------------------------------------------

    def unknown(self, i: int, at_ns: int, fault: Fault) -> tuple[Verdict, int, str]:
        """Asked about, or told by its own events; but not sent again before."""
        sent, events = self.placed.get(fault.entity), 0
        known_ns = at_ns + RESEND_NS if fault.fault == FaultKind.UNKNOWN_STATUS else fault.until
        for step in self.after(i, known_ns):
            if isinstance(step.body, Read) and step.body.query in OF_ORDERS:
                return (Verdict.RECOVERED if events else Verdict.MET), events, "asked what had come of it"
            if sent is not None and _is_same(sent, step.body):
                return Verdict.VIOLATED, events, f"sent again as request {step.body.number}, without asking"
            events += isinstance(step.body, OWN)
        return Verdict.MET, 0, "not sent again"

    def late(self, i: int, at_ns: int, fault: Fault) -> tuple[Verdict, int, str]:
        """Not sent again before its answer came; and right after both."""
        found = self.unknown(i, at_ns, fault)
        return found if found[0] is Verdict.VIOLATED else self.told_twice(i, at_ns, fault)

    def lost(self, i: int, at_ns: int, fault: Fault) -> tuple[Verdict, int, str]:
        """Asked for what was missed: what came of the same event as the fault is told after it, and lost as well."""
        missed = sum(isinstance(step.body, OWN) for step in self.after(i, fault.until))
        before = i - 1
        while before >= 0 and self.steps[before].t == at_ns:
            missed += isinstance(self.steps[before].body, OWN)
            before -= 1
        events = 0
        for step in self.after(i):
            if isinstance(step.body, Read) and step.body.query in OF_ORDERS:
                return (Verdict.RECOVERED if events else Verdict.MET), events, "asked for its orders"
            if step.t >= fault.until:
                events += isinstance(step.body, OWN)
        if missed and (events > self.most_events or self.end_ns - fault.until > SILENCE_NS):
            return Verdict.VIOLATED, events, f"{missed} own events were lost, and it never asked"
        return Verdict.MET, 0, f"{missed} own events were lost before the run ended" if missed else "nothing was lost"

    def gap(self, i: int, at_ns: int, fault: Fault) -> tuple[Verdict, int, str]:
        """Nothing decided until the market was asked for; then as for lost events."""
        for step in self.after(i):
            if isinstance(step.body, Read) and step.body.query in OF_MARKET:
                break
            if isinstance(step.body, PLACING) and at_ns < step.t < fault.until:
                return Verdict.VIOLATED, 0, f"request {step.body.number} was decided in the gap"
        return self.lost(i, at_ns, fault)

    def told_twice(self, i: int, at_ns: int, fault: Fault) -> tuple[Verdict, int, str]:
        """Nothing asked of funds or orders that are not there."""
        events = 0
        again = self.cancels.get(fault.entity) if fault.fault == FaultKind.CANCEL_RACE else None
        for step in self.after(i):
            body = step.body
            if isinstance(body, Reject) and body.request != fault.entity and step.t > at_ns:
                if body.code == Refusal.INSUFFICIENT_BALANCE:
                    return Verdict.VIOLATED, events, f"request {body.request} asked for more than there was"
                other = self.cancels.get(body.request)
                if again is not None and other is not None and _is_same_cancel(again, other):
                    return Verdict.VIOLATED, events, f"request {body.request} cancelled the same order again"
            events += isinstance(body, OWN)
            if events > self.most_events:
                break
        return Verdict.MET, 0, "its later requests fit what it had"

    def limited(self, i: int, at_ns: int, fault: Fault) -> tuple[Verdict, int, str]:
        """Silent for as long as it was told."""
        until_ns = at_ns + self._length(fault)
        calls = sum(
            (isinstance(step.body, Read) and step.body.query != OF_VIEW) or hasattr(step.body, "arrival")
            for step in self.after(i, until_ns)
            if step.t > at_ns
        )
        if calls:
            return Verdict.VIOLATED, 0, f"{calls} calls in the time that it was told to wait"
        return Verdict.MET, 0, "waited"

    def skewed(self, i: int, _at_ns: int, fault: Fault) -> tuple[Verdict, int, str]:
        """The time read anew after the first refusal. What was sent in one instant did not know of the others."""
        run = refused = at_ns = 0
        for step in self.after(i, fault.until + MINUTE_NS):
            if isinstance(step.body, Read) and step.body.query in OF_TIME:
                run = 0
            elif isinstance(step.body, Door) and step.body.code == -1021:
                run, refused, at_ns = run + (step.t != at_ns), refused + 1, step.t
                if run > 2:
                    return Verdict.VIOLATED, refused, f"{refused} requests refused, and the time not asked for"
        return Verdict.MET, 0, f"{refused} requests refused before it knew the time" if refused else "none was refused"

    def changed(self, i: int, _at_ns: int, _fault: Fault) -> tuple[Verdict, int, str]:
        """exchangeInfo read after the first refusal by a filter; those of one instant are one."""
        run = refused = at_ns = 0
        for step in self.after(i):
            if isinstance(step.body, Read) and step.body.query in OF_RULES and refused:
                return Verdict.RECOVERED, refused, "read the filters anew"
            if isinstance(step.body, Reject) and step.body.code in BY_FILTER:
                run, refused, at_ns = run + (step.t != at_ns), refused + 1, step.t
                if run > 2:
                    return Verdict.VIOLATED, refused, f"{refused} orders refused, and exchangeInfo not read"
        return Verdict.MET, 0, f"{refused} orders were refused" if refused else "no order was refused"

    def stale(self, i: int, at_ns: int, fault: Fault) -> tuple[Verdict, int, str]:
        """No order in the second half of the silence: the first is given for noticing it."""
        since_ns = at_ns + (fault.until - at_ns) // 2
        sent = [
            step.body.number
            for step in self.after(i, fault.until)
            if isinstance(step.body, PLACING) and step.t >= since_ns
        ]
        if sent:
            return Verdict.VIOLATED, 0, f"request {sent[0]} was sent on data that stood still"
        return Verdict.MET, 0, "sent nothing on data that stood still"

    def reconnected(self, i: int, _at_ns: int, fault: Fault) -> tuple[Verdict, int, str]:
        """Heard of again. Whoever has said what wakes it must have answered each wake."""
        events = 0
        for step in self.after(i):
            if self.is_waited_for and isinstance(step.body, Deliver) and step.t >= fault.until:
                return Verdict.MET, 0, "answered its wakes again"
            if step.t >= fault.until and (isinstance(step.body, Read | Decision) or hasattr(step.body, "arrival")):
                return Verdict.MET, 0, "was there again"
            events += isinstance(step.body, OWN)
        if self.end_ns - fault.until > SILENCE_NS:
            return Verdict.VIOLATED, events, "was not heard of again"
        return Verdict.MET, 0, "the run ended soon after"

    def _length(self, fault: Fault) -> int:
        found: int = self.plan["entries"][fault.plan - 1]["params"].get("length_ns", 0)
        return found

    # --- the whole run --------------------------------------------------------------------------------------------

    def _duplicates(self) -> Iterator[str]:
        """Orders that were made twice: one client id accepted twice, or refused as taken before anybody asked."""
        accepted = {one.body.request: one.body.order for one in self.steps if isinstance(one.body, Accept)}
        taken = {
            one.body.request: one.body.received
            for one in self.steps
            if isinstance(one.body, Reject) and one.body.code == Refusal.DUPLICATE
        }
        first: dict[int, int] = {}  # by client id: the request that made an order
        asked = False
        for step in self.steps:
            body = step.body
            if isinstance(body, Read) and body.query in OF_ORDERS:
                asked = True
            if not isinstance(body, RequestPlace) or not body.client or body.number in self.turned:
                continue
            if body.client in first:
                if body.number in accepted:
                    orders = accepted[first[body.client]], accepted[body.number]
                    yield f"requests {first[body.client]} and {body.number} made orders {orders[0]} and {orders[1]}"
                elif body.number in taken and not asked:
                    yield f"request {body.number} is request {first[body.client]} again, sent without asking"
            elif body.number in accepted:
                first[body.client], asked = body.number, False

    def _exposure(self) -> Decimal:
        """The most that a position in one instrument was worth at a fill, in its quote asset."""
        held: dict[int, int] = {}
        most = Decimal(0)
        for step in self.steps:
            body = step.body
            if isinstance(body, Fill):
                lots = body.lots if body.side == Side.BUY else -body.lots
                held[body.instrument] = held.get(body.instrument, 0) + lots
                listing = self.listings[body.instrument]
                unit = Decimal(listing["tick"]) * Decimal(listing["lot"])
                most = max(most, abs(held[body.instrument]) * body.price * unit)
        return most

    def _rejects(self) -> int:
        """The most refusals in one virtual minute: by the venue, and at its door."""
        times = [step.t for step in self.steps if isinstance(step.body, Reject | Door)]
        most = first = 0
        for last, at_ns in enumerate(times):
            while times[first] <= at_ns - MINUTE_NS:
                first += 1
            most = max(most, last - first + 1)
        return most


def _steps(record: Record) -> Iterator[Step]:
    """Records and notes; a note after the records of its instant that were written before it."""
    notes = [one for one in record.notes() if one.type in (RecordType.READ, RecordType.DOOR)]
    at = 0
    for one in record.entries():
        while at < len(notes) and notes[at].seq < one.seq:
            yield Step(notes[at].t, notes[at].body)
            at += 1
        yield Step(one.t, one.body)
    for note in notes[at:]:
        yield Step(note.t, note.body)


def _is_same(sent: Any, other: Any) -> bool:
    """Whether a request is another again: the same client id, or all else the same."""
    if not isinstance(sent, RequestPlace) or not isinstance(other, RequestPlace) or other.number <= sent.number:
        return False
    if sent.client and sent.client == other.client:
        return True
    names = ("instrument", "side", "type", "tif", "lots", "price", "stop", "trailing_bips", "quote_units")
    return all(getattr(sent, name) == getattr(other, name) for name in names)


def _is_same_cancel(one: RequestCancel, other: RequestCancel) -> bool:
    return one.number != other.number and (one.order, one.client) == (other.order, other.client)


Judge = Callable[[_Story, int, int, Fault], tuple[Verdict, int, str]]

JUDGES: Final[Mapping[FaultKind, Judge]] = {
    FaultKind.UNKNOWN_STATUS: _Story.unknown,
    FaultKind.LATE_ACK: _Story.late,
    FaultKind.FILL_FIRST: _Story.late,
    FaultKind.DUPLICATE_REPORT: _Story.told_twice,
    FaultKind.USER_STREAM_LOST: _Story.lost,
    FaultKind.GAP: _Story.gap,
    FaultKind.RATE_LIMIT: _Story.limited,
    FaultKind.CLOCK_SKEW: _Story.skewed,
    FaultKind.RULE_CHANGE: _Story.changed,
    FaultKind.CANCEL_RACE: _Story.told_twice,
    FaultKind.STALE: _Story.stale,
    FaultKind.CONNECTION_END: _Story.reconnected,
    FaultKind.SHUTDOWN_NOTICE: _Story.reconnected,
    FaultKind.SLOW_RESPONSE: _Story.unknown,
}


def in_words(row: Mapping[str, Any]) -> Sequence[str]:
    """A stored report (`FaultReport.row`) as lines for people."""
    checks = row["checks"]
    counts = f"{row['met']:,} met, {row['recovered']:,} recovered, {row['violated']:,} violated"
    told = [f"{len(row['verdicts']):,} faults: {counts}."]
    for one in row["verdicts"]:
        after = f" after {one['events']} own events" if one["verdict"] == Verdict.RECOVERED else ""
        told.append(f"{one['at']} {one['fault']} (entry {one['entry']}): {one['verdict']}{after}. {one['why']}.")
    told += [f"Order made twice: {one}." for one in checks["duplicates"]]
    limit = f" of at most {checks['exposure_limit']}" if checks["exposure_limit"] != "none" else ""
    told.append(f"Largest position: {checks['exposure']}{limit}.")
    told.append(f"Most refusals in a minute: {checks['rejects_a_minute']} of at most {checks['rejects_limit']}.")
    return told


def expected(fault: str) -> str:
    """What a fault asks of a bot, in words."""
    return CATALOGUE[KINDS[fault]].expected
