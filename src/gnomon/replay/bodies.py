"""What stands in a record after its header, type by type: integers, digests and a few texts.

A number that does not apply is 0. Orders, requests and fills carry the venue's own numbers; `instrument` and `asset`
are places in the lists of GENESIS. Sides, types, rules and refusals are the numbers of `gnomon.exchange`.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass
from enum import IntEnum
from typing import Any, Final, TypeVar, dataclass_transform

from gnomon.errors import Invalid
from gnomon.replay.header import RecordType
from gnomon.replay.layout import (
    Layout,
    digest32,
    digests,
    i64,
    i128,
    rows,
    text,
    texts,
    u8,
    u16,
    u32,
    u64,
    u64s,
)

Shape = TypeVar("Shape")


@dataclass_transform(
    frozen_default=True, field_specifiers=(digest32, digests, i64, i128, rows, text, texts, u8, u16, u32, u64, u64s)
)
def shaped(shape: type[Shape]) -> type[Shape]:
    """A dataclass by its fields alone: the rest is `Body`'s."""
    return dataclass(init=False, repr=False, eq=False, slots=True)(shape)


SCHEMA: Final = 1
"""Raised with every change of a header or a body."""


class Body:
    """A body knows its bytes; which record type it belongs to stands in `TYPE_OF`.

    All bodies share the methods that a frozen dataclass would be given one by one: there are 39 of them, and writing
    those costs every process that replays a tenth of its start. None is a key of anything: they have no hash.
    """

    __slots__ = ()
    __match_args__: tuple[str, ...] = ()

    def __init__(self, *values: Any, **named: Any) -> None:
        names = self.__match_args__
        if len(values) != len(names):
            values = (*values, *(named.pop(name) for name in names[len(values) :]))
        if named or len(values) != len(names):
            raise TypeError(f"{type(self).__name__} has the fields {', '.join(names)}")
        for name, value in zip(names, values, strict=True):
            object.__setattr__(self, name, value)

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in self.__match_args__])

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._values() == other._values()

    def __repr__(self) -> str:
        said = zip(self.__match_args__, self._values(), strict=True)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in said)})"

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._values()

    def pack(self) -> bytes:
        """The bytes of the body. `Invalid` names a field whose value does not fit."""
        return LAYOUTS[type(self)].pack(self)


# --- frame ----------------------------------------------------------------------------------------------------------


@shaped
class Genesis(Body):
    """What the run is a function of, besides its inputs."""

    schema: int = u16("record schema")
    engine: int = u32("engine version")
    dataset: bytes = digest32("dataset digest")
    config_digest: bytes = digest32("config digest")
    config: str = text("canonical config, as it was digested")
    sources: tuple[str, ...] = texts("name of each source, by its number")
    instruments: tuple[str, ...] = texts("each instrument, by its number")
    assets: tuple[str, ...] = texts("each asset, by its number")


@shaped
class Branch(Body):
    """First record of a run that goes on from another's position."""

    parent: bytes = digest32("fingerprint of the run that ended there")
    at: int = i64("ns, where it goes on")
    seq: int = u64("last record of the parent")


class EndReason(IntEnum):
    WINDOW = 1
    STOPPED = 2
    SEEK = 3
    FAILED = 4


@shaped
class DrawTally(Body):
    """One component of chance: how often and for what it was asked."""

    component: int = u8("place in `exchange.draws.COMPONENTS`")
    count: int = u64("draws")
    digest: bytes = digest32("BLAKE2b-256 over (entity, n), person = component")


@shaped
class Entry(Body):
    """One side of a movement of money, or a balance."""

    account: int = u8("0 free, 1 locked, 2 market, 3 fees, 4 opening, 5 borrowed")
    asset: int = u32("number")
    amount: int = i128("units of the asset")


@shaped
class End(Body):
    """Last record: why, how many, what was drawn, what is left."""

    reason: int = u8("1 window, 2 stopped, 3 seek, 4 failed")
    inputs: int = u64("records")
    outputs: int = u64("records")
    tallies: tuple[DrawTally, ...] = rows(DrawTally, "draws by component")
    balances: tuple[Entry, ...] = rows(Entry, "closing balance of every account that moved")


# --- inputs ---------------------------------------------------------------------------------------------------------


@shaped
class Attach(Body):
    """A trader takes part from here on; the header's source is its number."""

    account: int = u32("number of its account")
    concurrency: int = u8("0 serial, 1 concurrent")


@shaped
class Detach(Body):
    """A trader takes part no longer."""

    reason: int = u8("1 it said so, 2 its connection was lost, 3 the operator")


@shaped
class PriceWatch(Body):
    """Wake at the first print at or beyond a price."""

    instrument: int = u32("number")
    direction: int = u8("1 up, 2 down")
    price: int = i64("ticks")


@shaped
class Wake(Body):
    """The wake filter that a trader set."""

    flags: int = u8(
        "1 own events, 2 timers, 4 news, 8 quotes, 16 session, 32 degraded, 64 prices as they are asked for"
    )
    every_nth_print: int = u64("prints")
    volume: int = i64("lots printed since the last wake")
    closed_bars: tuple[int, ...] = u64s("layers whose closes wake")
    watches: tuple[PriceWatch, ...] = rows(PriceWatch, "prices")


@shaped
class TimerSet(Body):
    """A timer asked for."""

    timer: int = u64("number, counted by the trader")
    due: int = i64("ns")
    name: str = text("its name")


class Action(IntEnum):
    """What a REQUEST asks; the first byte of its body."""

    PLACE = 1
    CANCEL = 2
    CANCEL_ALL = 3
    AMEND = 4
    REPLACE = 5
    LIST = 6
    QUOTE = 7


@shaped
class Leg(Body):
    """One new order."""

    instrument: int = u32("number")
    side: int = u8("1 buy, 2 sell")
    type: int = u8("`exchange.order.OrderType`")
    tif: int = u8("1 GTC, 2 IOC, 3 FOK, 4 GTX (post-only)")
    stp: int = u8("`exchange.order.SelfTrade`")
    flags: int = u8("1 reduce only")
    lots: int = i64("lots")
    price: int = i64("ticks")
    stop: int = i64("ticks")
    trailing_bips: int = i64("parts of 10,000")
    quote_units: int = i128("units of the quote asset, of a market order by amount")
    client: int = u64("ordinal of the client order id")


@shaped
class RequestPlace(Body):
    """One new order. The header's t is when it was decided."""

    action: int = u8("1")
    number: int = u64("of the request")
    arrival: int = i64("ns, at the venue")
    instrument: int = u32("number")
    side: int = u8("1 buy, 2 sell")
    type: int = u8("`exchange.order.OrderType`")
    tif: int = u8("1 GTC, 2 IOC, 3 FOK, 4 GTX (post-only)")
    stp: int = u8("`exchange.order.SelfTrade`")
    flags: int = u8("1 reduce only")
    lots: int = i64("lots")
    price: int = i64("ticks")
    stop: int = i64("ticks")
    trailing_bips: int = i64("parts of 10,000")
    quote_units: int = i128("units of the quote asset, of a market order by amount")
    client: int = u64("ordinal of the client order id")


@shaped
class RequestCancel(Body):
    """Cancel one order, by its number or by its client id."""

    action: int = u8("2")
    number: int = u64("of the request")
    arrival: int = i64("ns, at the venue")
    instrument: int = u32("number")
    order: int = u64("order number")
    client: int = u64("ordinal of the client order id, where the number is 0")


@shaped
class RequestCancelAll(Body):
    """Cancel every open order of an instrument."""

    action: int = u8("3")
    number: int = u64("of the request")
    arrival: int = i64("ns, at the venue")
    instrument: int = u32("number")


@shaped
class RequestAmend(Body):
    """Fewer lots for an open order, which keeps its place."""

    action: int = u8("4")
    number: int = u64("of the request")
    arrival: int = i64("ns, at the venue")
    instrument: int = u32("number")
    order: int = u64("order number")
    lots: int = i64("new total, lots")


@shaped
class RequestReplace(Body):
    """Cancel and new in one arrival."""

    action: int = u8("5")
    number: int = u64("of the request")
    arrival: int = i64("ns, at the venue")
    order: int = u64("order number that goes")
    legs: tuple[Leg, ...] = rows(Leg, "the one that comes")


@shaped
class RequestList(Body):
    """Orders that belong together."""

    action: int = u8("6")
    number: int = u64("of the request")
    arrival: int = i64("ns, at the venue")
    kind: int = u8("1 OCO, 2 OTO, 3 OTOCO")
    legs: tuple[Leg, ...] = rows(Leg, "OCO: two; OTO: working, pending; OTOCO: working, two legs")


@shaped
class RequestQuote(Body):
    """The trader's standing pair; a price of 0 withdraws that side."""

    action: int = u8("7")
    number: int = u64("of the request")
    arrival: int = i64("ns, at the venue")
    instrument: int = u32("number")
    bid: int = i64("ticks")
    ask: int = i64("ticks")
    lots: int = i64("lots a side")
    flags: int = u8("1 keep, 2 post-only")


@shaped
class Decision(Body):
    """One entry of the decision log: what the trader read, and what it did about it."""

    wake: int = u64("number of the wake")
    seen: bytes = digest32("hash of what was read")
    forecasts: tuple[bytes, ...] = digests("content hash of each forecast read")
    requests: tuple[int, ...] = u64s("number of each request made")
    notes: str = text("the trader's own words")


@shaped
class ForecastSeen(Body):
    """A forecast came from outside, live or computed."""

    instrument: int = u32("number")
    issued: int = i64("ns")
    content: bytes = digest32("content hash")


@shaped
class Answer(Body):
    """A recorded answer of a model or a tool."""

    kind: int = u8("1 model, 2 tool")
    content: bytes = digest32("content hash")
    size: int = u64("bytes")


@shaped
class Credit(Body):
    """The operator changed a balance."""

    asset: int = u32("number")
    amount: int = i128("units; negative takes")


# --- outputs --------------------------------------------------------------------------------------------------------


@shaped
class Span(Body):
    """What was delivered of one layer: positions in (after, upto]."""

    layer: int = u32("number of the layer")
    after: int = i64("position, exclusive; -1 from the first on")
    upto: int = i64("position, inclusive")


@shaped
class Deliver(Body):
    """A trader was told something. Wakes that follow by rule alone extend one record; the header's t and cause are the
    last's."""

    wakes: int = u64("how many")
    first: int = i64("ns, the first of them")
    own_after: int = u64("seq, exclusive: own events told")
    own_upto: int = u64("seq, inclusive")
    spans: tuple[Span, ...] = rows(Span, "market data told")


@shaped
class Accept(Body):
    """An order is open; its lock went from free to locked."""

    order: int = u64("order number")
    request: int = u64("request number")
    status: int = u8("`exchange.order.Status`")
    asset: int = u32("of the lock")
    lock: int = i128("units")
    ahead: int = i64("lots of other people before it at its price")
    list: int = u64("list number")


@shaped
class Reject(Body):
    """A request came to nothing, and nothing changed."""

    request: int = u64("request number")
    order: int = u64("the order meant, of a cancel")
    code: int = u16("`exchange.outcome.Refusal`")
    rule: int = u16("which part of that rule")
    received: int = i128("what the rule looked at, in its own unit")
    limit: int = i128("what it compared with")


@shaped
class OrderChange(Body):
    """An order changed state other than by a fill."""

    order: int = u64("order number")
    status: int = u8("`exchange.order.Status`")
    reason: int = u16("`exchange.outcome.Refusal`, where one is the cause")
    executed: int = i64("lots")
    remaining: int = i64("lots")
    asset: int = u32("of the lock")
    released: int = i128("units from locked to free; below 0 a stop locked more at its trigger")


@shaped
class Fill(Body):
    """One fill, explained. Its money is in the POSTING that it causes, save what its lock sets free."""

    order: int = u64("order number")
    fill: int = u64("fill number")
    instrument: int = u32("number")
    side: int = u8("1 buy, 2 sell")
    status: int = u8("of the order, after it")
    rule: int = u8("`exchange.outcome.Rule`")
    role: int = u8("1 maker, 2 taker")
    print_side: int = u8("aggressor of the print: 0 unknown, 1 buyer, 2 seller; of a recorded book 1 quotes, 2 depth")
    quote_kind: int = u8("0 none, 1 recorded, 2 synthetic, 3 bar")
    flags: int = u8("1 side unknown, 2 ambiguous bar, 4 self, 8 same bar")
    level: int = u16("which price level of a taker's fill")
    levels: int = u16("of how many")
    price: int = i64("ticks")
    lots: int = i64("lots")
    remaining: int = i64("lots of the order, after it")
    print: int = i64("tape position that allowed it; -1 a posted price")
    print_price: int = i64("ticks")
    print_lots: int = i64("lots")
    ahead_before: int = i64("lots")
    ahead_after: int = i64("lots")
    excess: int = i64("lots of the print beyond the queue")
    share_cap: int = i64("lots of it within the volume share")
    best_bid: int = i64("ticks, as the taker rule saw it")
    best_ask: int = i64("ticks")
    decided: int = i64("ns")
    arrived: int = i64("ns")
    rate: int = i64("fee, parts of 10^-8")
    fee_asset: int = u32("number")
    fee: int = i128("units")
    asset: int = u32("of the lock")
    released: int = i128("units from locked to free")


@shaped
class PostingGroup(Body):
    """Movements of money that sum to zero for each asset."""

    entries: tuple[Entry, ...] = rows(Entry, "one side each")


@shaped
class Quoted(Body):
    """An accepted quote: what stands on each side, and what was withdrawn. Locks and releases move money."""

    request: int = u64("request number")
    flags: int = u8("1 bid kept, 2 ask kept")
    quote_asset: int = u32("of the bid's lock")
    base_asset: int = u32("of the ask's lock")
    bid: int = u64("order number that stands")
    ask: int = u64("order number that stands")
    bid_gone: int = u64("order number withdrawn")
    ask_gone: int = u64("order number withdrawn")
    bid_ahead: int = i64("lots of other people before it")
    ask_ahead: int = i64("lots")
    bid_lock: int = i128("units of the quote asset from free to locked")
    ask_lock: int = i128("units of the base asset from free to locked")
    bid_released: int = i128("units of the quote asset from locked to free")
    ask_released: int = i128("units of the base asset from locked to free")


@shaped
class TimerFired(Body):
    """A timer came due."""

    timer: int = u64("number")


@shaped
class RateLimit(Body):
    """An order refused by a rate limit."""

    request: int = u64("request number")
    kind: int = u8("1 orders, 2 weight, 3 connections")
    used: int = u64("in the window")
    limit: int = u64("of the window")
    window: int = i64("ns")
    until: int = i64("ns, when it is over")


@shaped
class Fault(Body):
    """A planned fault happened."""

    fault: int = u8("number in the fault catalogue")
    plan: int = u32("entry of the plan")
    entity: int = u64("request, order or event that it befell")
    until: int = i64("ns, when it is over")


@shaped
class Trigger(Body):
    """A stop's condition was met; the order enters matching."""

    order: int = u64("order number")
    position: int = i64("tape position of the print")
    price: int = i64("ticks")


# --- notes ----------------------------------------------------------------------------------------------------------


@shaped
class Read(Body):
    """A query that changed nothing but a rate limit's window."""

    query: int = u16("number of the query")
    weight: int = u32("of the limit")


@shaped
class Door(Body):
    """A request refused before it reached the venue."""

    reason: int = u8("1 signature, 2 time window, 3 format, 4 other")
    code: int = i64("as answered")
    what: str = text("as answered")


@shaped
class Response(Body):
    """How an answer went over the wire."""

    request: int = u64("request number")
    status: int = u16("as answered")
    size: int = u64("bytes")


@shaped
class Pending(Body):
    """At a flush: the delivery that may still be extended, as it stands. For recovery; the last one counts."""

    source: int = u32("of the delivery")
    t: int = i64("ns, its last wake so far")
    cause: int = u64("of the delivery")
    flags: int = u8("of the delivery")
    wakes: int = u64("how many so far")
    first: int = i64("ns")
    own_after: int = u64("seq, exclusive")
    own_upto: int = u64("seq, inclusive")
    spans: tuple[Span, ...] = rows(Span, "market data told so far")


@shaped
class Failure(Body):
    """A trader failed: what it raised, as Python told it. The paths in it are of one machine, so it is in no digest."""

    unsent: int = u32("requests of the failed hook, which were not sent")
    what: str = text("traceback")


TYPE_OF: Final[dict[type[Body], RecordType]] = {
    Genesis: RecordType.GENESIS,
    Branch: RecordType.BRANCH,
    End: RecordType.END,
    Attach: RecordType.ATTACH,
    Detach: RecordType.DETACH,
    Wake: RecordType.WAKE,
    TimerSet: RecordType.TIMER_SET,
    RequestPlace: RecordType.REQUEST,
    RequestCancel: RecordType.REQUEST,
    RequestCancelAll: RecordType.REQUEST,
    RequestAmend: RecordType.REQUEST,
    RequestReplace: RecordType.REQUEST,
    RequestList: RecordType.REQUEST,
    RequestQuote: RecordType.REQUEST,
    Decision: RecordType.DECISION,
    ForecastSeen: RecordType.FORECAST,
    Answer: RecordType.ANSWER,
    Credit: RecordType.CREDIT,
    Deliver: RecordType.DELIVER,
    Accept: RecordType.ACCEPT,
    Reject: RecordType.REJECT,
    OrderChange: RecordType.ORDER,
    Fill: RecordType.FILL,
    PostingGroup: RecordType.POSTING,
    Quoted: RecordType.QUOTED,
    TimerFired: RecordType.TIMER,
    RateLimit: RecordType.LIMIT,
    Fault: RecordType.FAULT,
    Trigger: RecordType.TRIGGER,
    Read: RecordType.READ,
    Door: RecordType.DOOR,
    Response: RecordType.RESPONSE,
    Pending: RecordType.PENDING,
    Failure: RecordType.FAILURE,
}

LAYOUTS: Final[dict[type[Body], Layout[Any]]] = {
    shape: Layout(shape) for shape in (*TYPE_OF, Leg, Entry, Span, PriceWatch, DrawTally)
}

REQUESTS: Final[dict[int, type[Body]]] = {
    Action.PLACE: RequestPlace,
    Action.CANCEL: RequestCancel,
    Action.CANCEL_ALL: RequestCancelAll,
    Action.AMEND: RequestAmend,
    Action.REPLACE: RequestReplace,
    Action.LIST: RequestList,
    Action.QUOTE: RequestQuote,
}

SHAPE_OF: Final[dict[int, type[Body]]] = {
    kind: shape for shape, kind in TYPE_OF.items() if kind is not RecordType.REQUEST
}


def has_form(kind: int, data: bytes | memoryview) -> bool:
    """Whether the bytes can be a body of the type. Of fixed fields any values can; only their length is looked at."""
    shape = REQUESTS.get(data[0]) if kind == RecordType.REQUEST and len(data) else SHAPE_OF.get(kind)
    return shape is not None and LAYOUTS[shape].accepts(data)


def unpack(kind: int, data: bytes | memoryview) -> Body:
    """The body of a record of the type. `Invalid` for an unknown type or action, or bytes that are not its own."""
    if kind == RecordType.REQUEST and len(data):
        shape = REQUESTS.get(data[0])
    else:
        shape = SHAPE_OF.get(kind)
    if shape is None:
        raise Invalid(f"no body is known for type 0x{kind:04x}", hint="the record is damaged, or of a newer schema")
    body: Body = LAYOUTS[shape].unpack(data)
    return body
