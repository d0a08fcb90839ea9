"""Faults that are due: a pure function of the plan, the seed and what has gone into the run so far.

Requests, own events and instants are what faults befall. All three are known to whoever replays a Record from its
inputs, so FAULT records are made again as they were; what a client read, or when it read it, decides nothing here.
What a fault does to answers and sockets is `serve.venue.faults`' business; what it does to the venue is done here:
a request is turned away, filters change, a cancel comes too late.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

from gnomon.errors import Invalid, NotFound, nearest
from gnomon.exchange.draws import Draws
from gnomon.exchange.exchange import Exchange, Raced, RuleChanged
from gnomon.exchange.fault_plan import (
    CANCELS,
    CATALOGUE,
    CHANCE_ONE,
    PLACING,
    SHARE_ONE,
    Counts,
    FaultEntry,
    FaultKind,
    FaultPlan,
    is_under,
    plain_symbol,
)
from gnomon.exchange.listing import Filters, Listing
from gnomon.exchange.order import Amend, Cancel, CancelAll, Place, PlaceList, Quote, Replace, Request
from gnomon.exchange.outcome import Accepted, Changed, Filled, Outcome
from gnomon.market.lanes import Lane
from gnomon.units import INT64_MAX

_RULE: Final = int(Lane.RULE)
_DELIVERY: Final = int(Lane.DELIVERY)

METHODS: Final[Mapping[type, str]] = {
    Place: "order.place",
    PlaceList: "orderList.place",
    Cancel: "order.cancel",
    CancelAll: "openOrders.cancelAll",
    Amend: "order.amend.keepPriority",
    Replace: "order.cancelReplace",
    Quote: "quote",
}
"""What the wire calls each request."""


class Point(IntEnum):
    """Where a fault may be due."""

    REQUEST = 1
    EVENT = 2
    FILL = 3  # the own event that moves a position


class Fault(NamedTuple):
    """One fault that happens: its kind, its entry in the plan (from 1), the request, own event or instrument that it
    befalls, from when until when (ns)."""

    kind: FaultKind
    entry: int
    entity: int
    at_ns: int
    until_ns: int


class FaultDue(NamedTuple):
    """In the engine's queue: an entry of the plan whose time has come."""

    time_ns: int
    entry: int


Write = Callable[[int, Fault, int, int], int]
"""Of a fault into the journal: lane, fault, cause, or the request that is the cause; the seq of its record."""


def _nowhere(_lane: int, _fault: Fault, _cause: int, _request: int) -> int:
    return 0


class Faults:
    """The faults of one run. The engine asks at every request, outcome and instant; `happened` is all that was, and
    `listen`, where somebody does, is told each as it happens."""

    def __init__(self, plan: FaultPlan, draws: Draws, listings: Sequence[Listing], start_ns: int) -> None:
        """`Invalid` where an entry is for a symbol that is not traded, or changes a filter off its grid."""
        self.plan = plan
        self.happened: list[Fault] = []
        self.listen: Callable[[Fault], object] | None = None
        self.write: Write = _nowhere  # the engine's, once it has these faults
        self._draws = draws
        self._listings = {one.number: one for one in listings}
        self._symbols = {one.number: plain_symbol(one.id) for one in listings}
        self._start_ns = start_ns
        self._counts = [0] * len(plan.entries)  # requests or events that an entry was for
        self._done = [0] * len(plan.entries)  # how often it was due
        self._waiting: dict[int, list[Fault]] = {}  # by request, until it arrives
        self._races: dict[int, Fault] = {}
        self._placed = 0
        self._ordinals: dict[int, int] = {}  # of requests that place orders
        self._orders: dict[int, tuple[int, int]] = {}  # order number to its ordinal and instrument
        self._events = 0
        self._met: dict[tuple[int, int], int] = {}  # entries and the orders that they were for
        self._limit: Fault | None = None  # the rate limit that holds
        self._is_banned = False
        self._changes = [
            (at_ns, number, instrument, _changed(entry, one))
            for number, entry in enumerate(plan.entries, 1)
            if entry.fault is FaultKind.RULE_CHANGE
            for at_ns in self._times(entry)
            for instrument, one in sorted(self._listings.items())
            if entry.symbol in ("", self._symbols[instrument])
        ]
        self._changes.sort(key=lambda one: one[:3])
        for number, entry in enumerate(plan.entries, 1):
            if entry.symbol and entry.symbol not in self._symbols.values():
                raise Invalid(
                    f"fault {number} is for {entry.symbol}, which is not traded here",
                    hint=f"one of {', '.join(self._symbols.values())}",
                )

    # --- what is due --------------------------------------------------------------------------------------------------

    def due(
        self, point: Point, entity: int, now_ns: int, method: str = "", symbol: str = "", order_no: int = 0
    ) -> tuple[Fault, ...]:
        """What befalls the request, or own event, of that number: of each entry at most once, in the plan's order.

        To ask is to count, and to draw: once for each entity.
        """
        found = []
        for number, entry in enumerate(self.plan.entries, 1):
            counts = CATALOGUE[entry.fault].counts
            if not _is_asked(point, counts, method) or not entry.is_for(method, symbol):
                continue
            if entry.fault is FaultKind.DUPLICATE_REPORT and point is not Point.FILL:
                continue
            self._counts[number - 1] += 1
            if entry.most and self._done[number - 1] >= entry.most:
                continue
            if self._is_due(number, entry, entity, now_ns, order_no):
                self._done[number - 1] += 1
                found.append(Fault(entry.fault, number, entity, now_ns, now_ns + entry.params.get("length_ns", 0)))
        return tuple(found)

    def _is_due(self, number: int, entry: FaultEntry, entity: int, now_ns: int, order_no: int) -> bool:
        when = entry.when
        if when.chance:
            # n tells entries apart, so that two of one plan have luck of their own
            return when.chance == CHANCE_ONE or self._draws.happens(when.chance, "fault", entity, number)
        if when.every_nth:
            return self._counts[number - 1] % when.every_nth == 0
        if when.request_no:
            return entity in when.request_no
        if when.order_no:
            met = number, order_no
            is_first = order_no in when.order_no and met not in self._met
            if is_first:
                self._met[met] = entity
            return is_first
        if CATALOGUE[entry.fault].is_state:
            return False  # its instants are in the engine's queue
        times = self._times(entry)
        done = self._done[number - 1]
        return done < len(times) and times[done] <= now_ns

    def _times(self, entry: FaultEntry) -> list[int]:
        when = entry.when
        return sorted([*when.at_ns, *(self._start_ns + one for one in when.after_ns)])

    def instants(self) -> list[FaultDue]:
        """Times at which a state begins, for the engine's queue; none before the window."""
        found = []
        for number, entry in enumerate(self.plan.entries, 1):
            if CATALOGUE[entry.fault].is_state and entry.when.has_instant:
                times = [one for one in self._times(entry) if one >= self._start_ns]
                found += [FaultDue(one, number) for one in times[: entry.most or None]]
        return sorted(found)

    # --- what the engine tells ----------------------------------------------------------------------------------------

    def sent(self, now_ns: int, number: int, request: Request) -> int:
        """A request is on its way. The seq of the FAULT record that says it was turned away, 0 where it was not."""
        method, instrument = METHODS[type(request)], _instrument(request)
        symbol = self._symbols.get(instrument, "")
        order_no = self._ordinal(number, method)
        found = self.due(Point.REQUEST, number, now_ns, method, symbol, order_no)
        refused = self._turn_away(now_ns, number, method, symbol)
        for one in found:
            if one.kind is FaultKind.RATE_LIMIT:
                if refused is None:
                    self._limit, self._is_banned, refused = one, False, one
            elif one.kind is FaultKind.CLOCK_SKEW:
                self._happen(one, _DELIVERY, 0, number)
            elif one.kind is FaultKind.CANCEL_RACE:
                self._races[number] = one
            else:
                self._waiting.setdefault(number, []).append(one)
        if refused is None:
            return 0
        self._waiting.pop(number, None)
        self._races.pop(number, None)
        return self._happen(refused, _DELIVERY, 0, number)

    def _ordinal(self, number: int, method: str) -> int:
        if method not in PLACING:
            return 0
        self._placed += 1
        self._ordinals[number] = self._placed
        return self._placed

    def _turn_away(self, now_ns: int, number: int, method: str, symbol: str) -> Fault | None:
        """The limit that still holds, for this request. Who goes on is banned, once, and the longer for it."""
        limit = self._limit
        if limit is None or now_ns >= limit.until_ns:
            return None
        entry = self.plan.entries[limit.entry - 1]
        if not entry.is_for(method, symbol):
            return None
        if not self._is_banned and now_ns > limit.at_ns:  # what was sent in the same instant did not know
            self._is_banned = True
            self._limit = limit = limit._replace(until_ns=max(limit.until_ns, now_ns + entry.params["ban_ns"]))
        return limit._replace(entity=number, at_ns=now_ns)

    def arriving(self, exchange: Exchange, now_ns: int, number: int, request: Request) -> Raced | None:
        """What happens just before a cancel arrives: its order is filled, as far as the plan says."""
        one = self._races.get(number)
        if one is None or not isinstance(request, Cancel):
            return None
        order = exchange.working.find(request.number, request.client)
        share = self.plan.entries[one.entry - 1].params["share"]
        if order is None or order.instrument != request.instrument:
            return None
        return Raced(now_ns, order.number, max(1, order.remaining * share // SHARE_ONE))

    def came(self, now_ns: int, lane: int, number: int, outcomes: Sequence[Outcome], cause: int) -> int:
        """What came of an event (`number` is the request that arrived, 0 of none), its last record being `cause`. The
        seq of the last FAULT record that follows from it; `cause` where none does."""
        seq = cause
        race = self._races.pop(number, None) if number else None
        is_filled = any(type(one) is Filled for one in outcomes)
        if race is not None and is_filled:
            seq = self._happen(race._replace(at_ns=now_ns, until_ns=now_ns), lane, cause)
        elif race is not None:
            self._done[race.entry - 1] -= 1  # there was nothing to fill
        for one in self._waiting.pop(number, ()) if number else ():
            if one.kind is FaultKind.FILL_FIRST and not is_filled:
                self._done[one.entry - 1] -= 1  # nothing was filled at once: there is nothing to come first
                continue
            length_ns = one.until_ns - one.at_ns
            seq = self._happen(one._replace(at_ns=now_ns, until_ns=now_ns + length_ns), lane, cause)
        for outcome in outcomes:
            seq = self._event(now_ns, lane, outcome, cause) or seq
        return seq

    def _event(self, now_ns: int, lane: int, outcome: Outcome, cause: int) -> int:
        if isinstance(outcome, Accepted):
            self._orders[outcome.number] = self._ordinals.get(outcome.request, 0), outcome.instrument
        elif not isinstance(outcome, Changed | Filled):
            return 0
        self._events += 1
        is_fill = type(outcome) is Filled
        order_no, instrument = self._orders.get(outcome.number, (0, -1))
        seq = 0
        point = Point.FILL if is_fill else Point.EVENT
        for one in self.due(point, self._events, now_ns, "", self._symbols.get(instrument, ""), order_no):
            seq = self._happen(one, lane, cause)
        return seq

    def begin(self, due: FaultDue, exchange: Exchange) -> None:
        """An entry's time has come."""
        entry, now_ns = self.plan.entries[due.entry - 1], due.time_ns
        if entry.fault is FaultKind.RULE_CHANGE:
            for at_ns, number, instrument, _ in self._changes:
                if (at_ns, number) == (now_ns, due.entry):
                    filters = self.filters_at(self._listings[instrument], now_ns)
                    exchange.apply(RuleChanged(now_ns, instrument, filters))
                    self._happen(Fault(entry.fault, number, instrument, now_ns, now_ns), _RULE)
            return
        fault = Fault(entry.fault, due.entry, 0, now_ns, now_ns + entry.params.get("length_ns", 0))
        if entry.fault is FaultKind.RATE_LIMIT:
            self._limit, self._is_banned = fault, False
        self._happen(fault, _RULE)

    def _happen(self, fault: Fault, lane: int, cause: int = 0, request: int = 0) -> int:
        seq = self.write(lane, fault, cause, request)
        self.happened.append(fault)
        if self.listen is not None:
            self.listen(fault)
        return seq

    # --- for whoever shows the market ---------------------------------------------------------------------------------

    def filters_at(self, listing: Listing, now_ns: int) -> Filters:
        """What holds for an instrument at an instant: its own filters, as they were changed until then."""
        found = listing.filters
        for at_ns, _, instrument, change in self._changes:
            if instrument == listing.number and at_ns <= now_ns:
                found = replace(found, **change)
        return found

    @property
    def limit(self) -> tuple[Fault | None, bool]:
        """The newest rate limit, and whether it has become a ban."""
        return self._limit, self._is_banned


def _is_asked(point: Point, counts: Counts, method: str) -> bool:
    if point is not Point.REQUEST:
        return counts is Counts.EVENTS
    if counts is Counts.PLACING:
        return method in PLACING
    if counts is Counts.CANCELS:
        return method in CANCELS
    return counts is Counts.REQUESTS


def _instrument(request: Request) -> int:
    if isinstance(request, Replace):
        return request.order.instrument
    if isinstance(request, PlaceList):
        return request.orders[0].instrument if request.orders else -1
    return request.instrument


def _changed(entry: FaultEntry, listing: Listing) -> dict[str, int]:
    """The filters that an entry sets, in the listing's own units."""
    params, change = entry.params, {}
    for name, field, step in (("tick", "step_ticks", listing.tick), ("step", "step_lots", listing.lot)):
        if params[name]:
            change[field] = _whole(entry, name, step)
    if params["min_qty"]:
        change["min_lots"] = _whole(entry, "min_qty", listing.lot)
    if params["min_notional"]:
        change["min_notional_units"] = listing.quote.units(Decimal(params["min_notional"]))
    return change


def _whole(entry: FaultEntry, name: str, step: Any) -> int:
    count, rest = divmod(Decimal(entry.params[name]), step)
    if rest or not 0 < count <= INT64_MAX:
        raise Invalid(f"rule_change: {name} = {entry.params[name]}", hint=f"a multiple of {step}, which prices lie on")
    return int(count)


# --- plans by name ----------------------------------------------------------------------------------------------------

FOLDER: Final = Path(__file__).with_name("fault_plans")


def plan_names() -> dict[str, int]:
    """The plans that are shipped, by name, with their newest version."""
    found: dict[str, int] = {}
    for one in sorted(FOLDER.glob("*.toml")):
        name, _, version = one.stem.rpartition("-")
        found[name] = max(found.get(name, 0), int(version))
    return found


def pinned(name: str) -> str:
    """A plan's name with its version: `flaky-acks` is `flaky-acks@1` until there is another."""
    plain, _, version = name.partition("@")
    known = plan_names()
    if plain not in known:
        close = nearest(plain, known)
        hint = f"did you mean {', '.join(close)}?" if close else f"one of {', '.join(known)}"
        raise NotFound(f"no fault plan {plain!r}", hint=hint)
    if version and not (version.isdigit() and 1 <= int(version) <= known[plain]):
        raise NotFound(f"no version {version!r} of the fault plan {plain!r}", hint=f"1 to {known[plain]}")
    return f"{plain}@{version or known[plain]}"


def plan_table(name: str) -> dict[str, Any]:
    """What the file of a plan says. Versions are kept for ever and never edited."""
    plain, _, version = pinned(name).partition("@")
    return tomllib.loads(FOLDER.joinpath(f"{plain}-{version}.toml").read_text(encoding="utf-8"))


def named(given: Any) -> Any:
    """What a session says under `faults`, with the entries of plans in the place of their names."""
    if isinstance(given, str):
        given = [given]
    table = dict(given) if isinstance(given, Mapping) else {"entry": given}
    entries = table.get("entry", [])
    if not isinstance(entries, list):
        return given
    found: list[Any] = []
    said: dict[str, Any] = {}
    for one in entries:
        if isinstance(one, str):
            plan = plan_table(one)
            found += plan.pop("entry")
            said |= {key: value for key, value in plan.items() if key != "about"}
        else:
            found.append(one)
    return {**said, **table, "entry": found}


def with_names(given: Any, names: Sequence[str]) -> Any:
    """What a session says under `faults`, with more plans, every name pinned to its version."""
    table = dict(given) if isinstance(given, Mapping) else {"entry": [given] if isinstance(given, str) else given}
    entries = table.get("entry", [])
    if not isinstance(entries, list):
        return given
    table["entry"] = [pinned(one) if isinstance(one, str) else one for one in (*entries, *names)]
    return table


__all__ = ["METHODS", "Fault", "FaultDue", "Faults", "Point", "is_under", "named", "pinned", "plan_names", "with_names"]
