"""Snapshots: the state of a running engine in canonical bytes, from which it goes on as if it had never stopped.

One is taken between two steps of the loop, after what the trader asked for is on its way, so that nothing of the trader
is in it: its place is taken by the ghost, or by a client that waits at the venue's door. It holds

- the ledger, the books, the orders, lists, stops and takers, what was taken from quotes and recorded books;
- the heap, the counters, the own events that are not told yet, how far every stream and every watch has come;
- what the keeper names as causes, and the tallies of the draws.

The ground (tapes, listings, rules) is not in it: whoever restores builds it anew, and is refused where it is another.
The chain of the journal at that record is, so a snapshot belongs to one journal. Draws leave a running digest that
nobody can write down: beside a snapshot stand the pairs that were drawn for since the one before it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final, Protocol, Self, cast

from gnomon.errors import Invalid, Refused
from gnomon.exchange.book import Book
from gnomon.exchange.draws import COMPONENTS, Draws, _Stream
from gnomon.exchange.exchange import Arrival, Exchange
from gnomon.exchange.funds import Purse
from gnomon.exchange.hours import OpenOnly
from gnomon.exchange.ledger import Ledger
from gnomon.exchange.liquidity import Liquidity, NoLiquidity, RecordedLiquidity, SyntheticQuote
from gnomon.exchange.order import Side
from gnomon.exchange.recorded import Shown
from gnomon.exchange.takers import LaterPrints
from gnomon.exchange.working import Working
from gnomon.market.lanes import Lane
from gnomon.replay.bodies import LAYOUTS, Deliver, Pending, Span
from gnomon.replay.book_watch import BookWatch
from gnomon.replay.digests import PREFIX_RECORDS, canonical, hasher
from gnomon.replay.engine import TRADER, Replay, Watch
from gnomon.replay.feed import LaggedBars, LaggedTrades
from gnomon.replay.header import HEADER, HEADER_BYTES, RecordType
from gnomon.replay.journal import Journal, Sink
from gnomon.replay.keeper import JournalKeeper
from gnomon.replay.notices import NoticeStream
from gnomon.replay.record import Kept, Record
from gnomon.replay.state_values import StateReader, StateWriter, check_fields
from gnomon.replay.streams import NEVER_NS, BarStream, Stream, TradeStream
from gnomon.replay.watches import WatchStream

EVERY_RECORDS: Final = 100_000
FORM: Final = 1
"""Of the bytes: raised with every change of them."""

_DELIVERY: Final = int(Lane.DELIVERY)
_HEAD: Final = Struct("<IQq32sI")
_ASKED: Final = Struct("<BQ")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state after record `seq` of a journal whose chain is `chain` there, at `t` UTC ns. `asked` is what was drawn
    for since the snapshot before, by component; it is counted by the tallies that stand in the state."""

    seq: int
    t: int
    chain: bytes
    state: bytes
    asked: bytes = b""

    @property
    def digest(self) -> bytes:
        """BLAKE2b-256, person `gnomon.snapshot`, over form, seq, t, chain and state."""
        found = hasher("snapshot")
        found.update(_HEAD.pack(FORM, self.seq, self.t, self.chain, len(self.state)) + self.state)
        return found.digest()

    def pack(self) -> bytes:
        head = _HEAD.pack(FORM, self.seq, self.t, self.chain, len(self.state))
        return head + self.digest + self.state + self.asked

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """`Invalid` for bytes of another form, or with another digest."""
        start = _HEAD.size + 32
        if len(packed) < start:
            raise Invalid(f"a snapshot of {len(packed)} bytes", hint="it is cut off")
        form, seq, t, chain, length = _HEAD.unpack_from(packed)
        found = cls(seq, t, chain, packed[start : start + length], packed[start + length :])
        if form != FORM or found.digest != packed[_HEAD.size : start]:
            raise Invalid(f"the snapshot at record {seq:,} is damaged, or of another version", hint="use an older one")
        return found

    @property
    def document(self) -> dict[str, Any]:
        """For looking at it: the state in plain words (`state_values`)."""
        found: dict[str, Any] = json.loads(self.state)
        return found


class SnapshotSink(Protocol):
    """Where snapshots are kept, in their order."""

    def add(self, snapshot: Snapshot, /) -> None: ...

    def refuse(self, why: str, /) -> None:
        """No more of them: something of the state has no form. The run itself goes on."""
        ...


@dataclass(frozen=True, slots=True)
class Taking:
    """That a run keeps snapshots: each at the first word of the trader after so many more records."""

    sink: SnapshotSink
    every: int = EVERY_RECORDS


# --- chance ---------------------------------------------------------------------------------------------------------


class _Told:
    """The digest of a tally that also keeps what it was given since the last snapshot."""

    __slots__ = ("since", "state")

    def __init__(self, state: Any) -> None:
        self.state = state
        self.since = bytearray()

    def update(self, data: bytes | bytearray) -> None:
        self.state.update(data)
        self.since += data

    def digest(self) -> bytes:
        found: bytes = self.state.digest()
        return found


class KeptDraws(Draws):
    """`Draws` whose tallies can be written down. Draws are counted 256 at a time, so this costs nothing a draw."""

    __slots__ = ()

    def _open(self, component: str) -> _Stream:
        stream = super()._open(component)
        stream.asked_digest = _Told(stream.asked_digest)  # type: ignore[assignment]  # it has the two methods that are asked for
        return stream

    def take_asked(self) -> bytes:
        """What was drawn for since the last time, by component."""
        found = []
        for number, component in enumerate(COMPONENTS):
            stream = self._streams.get(component)
            if stream is not None:
                stream.tally(component)
                told: Any = stream.asked_digest
                found.append(_ASKED.pack(number, len(told.since)) + bytes(told.since))
                told.since.clear()
        return b"".join(found)

    def restore(self, asked: Sequence[bytes], tallies: Sequence[Sequence[Any]]) -> None:
        """From everything that was drawn for. `Invalid` where it is not what the tallies counted."""
        for packed in asked:
            at = 0
            while at < len(packed):
                number, length = _ASKED.unpack_from(packed, at)
                at += _ASKED.size
                component = COMPONENTS[number]
                stream = self._streams.get(component) or self._open(component)
                stream.asked_digest.update(packed[at : at + length])
                stream.count += length // 16
                at += length
        for stream in self._streams.values():
            told: Any = stream.asked_digest
            told.since.clear()
        found = [[one.component, one.count, one.digest.hex()] for one in self.tallies()]
        if found != [list(one) for one in tallies]:
            raise Invalid(
                "the draws beside the snapshots are not those that were counted", hint="replay from the start"
            )


# --- what is state, and what is not ---------------------------------------------------------------------------------

_Fields = tuple[str, ...]

FIELDS: Final[Mapping[type, tuple[_Fields, _Fields]]] = {
    # of each class: its state, and what is ground, derived from it, or gone between two steps
    Exchange: (
        ("lists_made", "deadlines"),
        ("rules", "listings", "ledger", "books", "working", "_has_hours", "_takers", "_looks_first", "_queues",
         "_is_fee_elsewhere", "_handlers"),
    ),
    Ledger: (("free", "locked", "market", "fees", "opening", "borrowed"), ("assets",)),
    Working: (("orders", "made", "fills_made", "freed", "_clients"), ("books", "out")),
    Book: (
        ("position", "bids", "asks", "stops", "takers", "waiting", "pair_bid", "pair_ask", "open_left", "open_of",
         "path", "path_of", "path_flags", "ambiguous_bars", "_last"),
        ("listing", "tape", "has_bars", "prints", "bars", "purse", "resting", "liquidity", "is_quoted", "shown",
         "current", "_beyond", "_bounds", "_market_most", "_step_ticks", "_rows", "_times", "_worth"),
    ),
    SyntheticQuote: (("_lots", "_taken", "_taken_at"), ("_fills", "_prints")),
    Shown: (("_taken",), ("recorded", "asks_quotes", "moves", "_at", "_seen")),
    Replay: (
        ("_timers", "_requests", "_last_arrival_ns", "_last_reply_ns", "_now_ns"),
        ("_exchange", "_deadlines", "_streams", "_desk", "_keeper", "_draws", "_end_ns", "_watches", "_prints_of",
         "_heap", "_pushed", "_entry", "_own", "_reply", "_may_overtake", "_due", "_taking", "_journal", "_faults"),
    ),
    Watch: (
        ("passed",),
        ("_rows", "_times", "book", "clear", "hit", "index", "reach", "safe_ns", "search", "source", "tape",
         "thresholds", "windows"),
    ),
    BookWatch: (
        ("_passed",),
        ("_ask", "_bid", "_hit", "_queue_hit", "_reach", "_shown", "book", "clear", "safe_ns", "source", "tape",
         "thresholds"),
    ),
    TradeStream: (
        ("_done", "_at"),
        ("layer", "told", "rows", "instrument", "is_flowing", "next_ns", "_prints", "_trade", "_hook", "_feed_ns",
         "_wakes", "_times", "_printed", "_price", "_lots", "_side", "_start", "_step", "_feed", "_newest_ns",
         "_known"),
    ),
    BarStream: (
        ("_done", "_at"),
        ("layer", "told", "is_flowing", "next_ns", "_bars", "_bar", "_candles", "_hook", "_feed_ns", "_closes_ns",
         "_wakes", "_times", "_closed", "_columns", "_feed", "_newest_ns", "_known"),
    ),
    NoticeStream: (("_at",), ("layer", "told", "is_flowing", "next_ns", "_times", "_tell")),
    WatchStream: (
        ("_since", "_crossings", "_watches", "_numbered"),
        ("layer", "told", "is_flowing", "next_ns", "_prints", "_index", "_trade", "_hook", "_first", "_feed_ns",
         "_every", "_volume", "_position"),
    ),
    JournalKeeper: (
        ("rejects", "_told"),
        ("journal", "_assets", "_requests", "_orders", "_made", "_writers", "told_outcomes", "wire", "filter", "asked",
         "_read"),
    ),
}  # fmt: skip

_KINDS: Final = {LaggedTrades: TradeStream, LaggedBars: BarStream}


def _fields_of(one: object) -> _Fields:
    """Names of its state. `Refused` for an object that holds more than is known of its class."""
    kind = next((_KINDS.get(base, base) for base in type(one).__mro__ if _KINDS.get(base, base) in FIELDS), None)
    if kind is None:
        raise Refused(
            f"a snapshot does not know {type(one).__name__}", hint="run without snapshots, and report what it was"
        )
    check_fields(one, *FIELDS[kind])
    return FIELDS[kind][0]


def _put_down(one: object, writer: StateWriter) -> dict[str, Any]:
    return {name: writer.plain(getattr(one, name)) for name in _fields_of(one)}


def _pour(one: Any, plain: Mapping[str, Any], reader: StateReader) -> None:
    """The state into an object that stands. Lists and maps keep their identity: others may hold them too."""
    for name in _fields_of(one):
        value, held = reader.value(plain[name]), getattr(one, name)
        if type(held) is list:
            held[:] = value
        elif type(held) is dict:
            held.clear()
            held.update(value)
        else:
            setattr(one, name, value)


def _shops(exchange: Exchange) -> list[tuple[str, object]]:
    """Where takers have taken: the quotes and recorded books that remember it, by the number of their book."""
    found: list[tuple[str, object]] = []
    for number, book in sorted(exchange.books.items()):
        if type(book.purse) is not Purse:
            raise Refused("a snapshot does not hold short positions", hint="run this session without snapshots")
        liquidity: Liquidity = book.liquidity
        if isinstance(liquidity, OpenOnly):
            liquidity = liquidity.inner
        if isinstance(liquidity, RecordedLiquidity):
            liquidity = liquidity._synthetic
        if isinstance(liquidity, SyntheticQuote):
            found.append((f"{number} synthetic", liquidity))
        elif not isinstance(liquidity, NoLiquidity | LaterPrints):
            raise Refused(f"a snapshot does not know {type(liquidity).__name__}", hint="run without snapshots")
        if book.shown is not None:
            found.append((f"{number} recorded", book.shown))
    return found


# --- take -------------------------------------------------------------------------------------------------------------


def take(engine: Replay, keeper: JournalKeeper) -> Snapshot:
    """The state between two steps of the loop; the journal is brought to its sink up to there.

    `Refused` where something of the state has no form.
    """
    journal, draws = keeper.journal, engine._draws
    if not isinstance(draws, KeptDraws):
        raise Refused("the tallies of these draws cannot be written down", hint="give the run `KeptDraws`")
    if engine._faults is not None:
        raise Refused("a snapshot does not hold faults", hint="run this session without snapshots")
    if engine._desk.outbox or engine._desk.alarms or engine._desk.is_deciding:
        raise Refused("the trader is in the middle of a word", hint="take a snapshot between two steps")
    journal.flush()
    writer, asked = StateWriter(), draws.take_asked()
    document = _document(engine, keeper, writer)
    document["draws"] = [[one.component, one.count, one.digest.hex()] for one in draws.tallies()]
    state = canonical({**document, "linked": writer.orders_and_lists()}).encode()
    return Snapshot(journal.seq, engine._now_ns, journal._chain_hash.digest(), state, asked)


def _document(engine: Replay, keeper: JournalKeeper, writer: StateWriter) -> dict[str, Any]:
    """Everything but the draws, and the orders and lists that `writer` has met on the way."""
    exchange = engine._exchange
    return {
        "form": FORM,
        "exchange": _put_down(exchange, writer),
        "ledger": _put_down(exchange.ledger, writer),
        "working": _put_down(exchange.working, writer),
        "books": [_put_down(book, writer) for _, book in sorted(exchange.books.items())],
        "taken": {name: _put_down(shop, writer) for name, shop in _shops(exchange)},
        "engine": _put_down(engine, writer),
        "own": [list(one) for one in _untold(engine)],
        "heap": [writer.plain([*one[:3], one[4]]) for one in _to_come(engine)],
        "watches": [_put_down(one, writer) for one in engine._watches],
        "streams": [_put_down(one, writer) for one in engine._streams],
        "keeper": _put_down(keeper, writer),
        "causes": _causes(engine, keeper),
        "delivery": _open_delivery(keeper.journal),
    }


def _to_come(engine: Replay) -> list[tuple[Any, ...]]:
    """The heap in order. A delivery stands once for each instant at which own events are due: a desk may have asked for
    more of them, and is told nothing then."""
    others = [one for one in engine._heap if one[1] != _DELIVERY]
    due = sorted({at_ns: 0 for at_ns, _, _ in _untold(engine)})
    return sorted([*others, *((at_ns, _DELIVERY, TRADER, 0, None) for at_ns in due)])


def _untold(engine: Replay) -> list[tuple[int, int, int]]:
    """Own events that will be told: those that are due at the window's end or later never are."""
    return [one for one in engine._own if one[0] < engine._end_ns]


def _causes(engine: Replay, keeper: JournalKeeper) -> dict[str, Any]:
    """What the keeper will be asked for again: of requests on their way, and of orders that are open."""
    on_way = sorted(one[4].number for one in engine._heap if type(one[4]) is Arrival)
    numbers = sorted(engine._exchange.working.orders)
    return {
        "requests": [[number, keeper._requests[number]] for number in on_way],
        "orders": [[number, keeper._made[number], *map(int, keeper._orders[number])] for number in numbers],
    }


def _open_delivery(journal: Journal) -> str:
    """The delivery that may still be extended, packed as a PENDING note's body, in hex; empty for none."""
    one = journal._delivery
    if one is None:
        return ""
    spans = tuple(Span(*span) for span in one.spans)
    note = Pending(one.source, one.t, one.cause, one.flags, one.wakes, one.first, *one.own, spans)
    return f"{one.lane:02x}{note.pack().hex()}"


class TakingReplay(Replay):
    """The engine of a run that keeps snapshots. One that keeps none is driven by `Replay` itself, and pays nothing."""

    def __init__(self, *args: Any, taking: Taking, keeper: JournalKeeper, **more: Any) -> None:
        super().__init__(*args, **more)
        self._taking = taking
        self._journal = keeper.journal
        self._due = keeper.journal.seq + taking.every
        _document(self, keeper, StateWriter())  # what is not known is refused before anything has happened

    def _send(self) -> bool:
        is_over = super()._send()
        if self._journal.seq >= self._due:
            self._due = self._journal.seq + self._taking.every
            keeper: Any = self._keeper
            try:
                self._taking.sink.add(take(self, keeper))
            except Refused as refusal:  # it must not be taken for a fault of the trader
                self._due = NEVER_NS
                self._taking.sink.refuse(refusal.message)
        return is_over

    def wind_down(self) -> None:
        self._due = NEVER_NS  # nobody goes on from where the trader has gone
        super().wind_down()


# --- restore ----------------------------------------------------------------------------------------------------------


def restore(snapshots: Sequence[Snapshot], engine: Replay, keeper: JournalKeeper) -> None:
    """The last of `snapshots` (all from the run's first on) into an engine that was built for the same run and has not
    moved. `Refused` where the pieces do not fit, `Invalid` where the draws are not those that were counted."""
    document, draws, exchange = snapshots[-1].document, engine._draws, engine._exchange
    if not isinstance(draws, KeptDraws):
        raise Refused("the tallies of these draws cannot be brought back", hint="give the run `KeptDraws`")
    reader = StateReader(document["linked"])
    books = [book for _, book in sorted(exchange.books.items())]
    shops = _shops(exchange)
    pieces: list[tuple[str, Sequence[object], Sequence[Mapping[str, Any]]]] = [
        ("books", books, document["books"]),
        ("watches", engine._watches, document["watches"]),
        ("streams", engine._streams, document["streams"]),
        ("quotes", [shop for _, shop in shops], [document["taken"].get(name, {}) for name, _ in shops]),
    ]
    for name, objects, plains in pieces:
        fields = [sorted(_fields_of(one)) for one in objects]
        if fields != [sorted(plain) for plain in plains]:
            raise Refused(f"the {name} of the snapshot are others", hint="restore on the ground of its run")
    draws.restore([one.asked for one in snapshots], document["draws"])
    for one, name in ((exchange, "exchange"), (exchange.ledger, "ledger"), (exchange.working, "working"),
                      (engine, "engine"), (keeper, "keeper")):  # fmt: skip
        _pour(one, document[name], reader)
    for _, objects, plains in pieces[:2] + pieces[3:]:
        for piece, plain in zip(objects, plains, strict=True):
            _pour(piece, plain, reader)
    for stream, plain in zip(engine._streams, document["streams"], strict=True):
        _wind(stream, plain, reader)
    for book in books:
        book.current = None  # the thresholds follow from the orders
    engine._own = [(due_ns, after, upto) for due_ns, after, upto in document["own"]]
    heap = [reader.value(one) for one in document["heap"]]
    engine._heap[:] = [(*one[:3], number, one[3]) for number, one in enumerate(heap, 1)]  # sorted, hence a heap
    engine._pushed = len(heap)
    _pour_causes(keeper, document["causes"])


def _wind(stream: Stream, plain: Mapping[str, Any], reader: StateReader) -> None:
    """A stream to where it was. Blocks of wakes are loaded again, as they came."""
    if isinstance(stream, TradeStream | BarStream):
        while stream._done < plain["_done"]:
            stream._load()
        if stream._done != plain["_done"]:
            raise Refused("a stream of the snapshot has other blocks", hint="restore on the ground of its run")
        _walk_on(stream, plain["_at"])
        return
    _pour(stream, plain, reader)
    if isinstance(stream, WatchStream):
        stream._seek()
    elif isinstance(stream, NoticeStream):
        stream.next_ns = stream._times[stream._at] if stream._at < len(stream._times) else NEVER_NS


class _Nobody:
    """A desk at which nobody sits."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.outbox: list[Any] = []
        self.is_deciding = False


def _walk_on(stream: TradeStream | BarStream, wakes: int) -> None:
    """Past so many wakes of its block, telling nobody. Draws for them are counted already."""
    hook, nobody = stream._hook, _Nobody()
    kind = TradeStream if isinstance(stream, TradeStream) else BarStream
    run: Any = kind.run  # not that of a lagged one, which counts what it delivers
    stream._hook = lambda _desk, _event: None
    for _ in range(wakes):
        stream.is_flowing = False  # one at a time
        run(stream, nobody, 0)
    stream._hook = hook
    stream.is_flowing = True


def _pour_causes(keeper: JournalKeeper, plain: Mapping[str, Any]) -> None:
    keeper._requests = dict(plain["requests"])
    keeper._made = {number: seq for number, seq, _, _ in plain["orders"]}
    keeper._orders = {number: (instrument, Side(side)) for number, _, instrument, side in plain["orders"]}


def fitting(record: Record, snapshots: Sequence[Snapshot]) -> int:
    """How many of a run's snapshots, from the first on, have the chain that its Record has there."""
    chain, due = hasher("chain"), [(one.seq - bool(one.document["delivery"]), one.chain) for one in snapshots]
    found = 0
    for one in record.entries():
        chain.update(one.raw)
        while found < len(due) and due[found][0] == one.seq:
            if due[found][1] != chain.digest():
                return found
            found += 1
        if found == len(due):
            break
    return found


def copy_before(record: Record, snapshot: Snapshot, into: Kept) -> None:
    """The records before a snapshot, for a journal that goes on from it."""
    closed = snapshot.seq - bool(snapshot.document["delivery"])
    raws = [one.raw for one in record.entries(1, closed)]
    for at in range(0, len(raws), PREFIX_RECORDS):
        into.write(b"".join(raws[at : at + PREFIX_RECORDS]), at + 1)


def resumed(record: Record, snapshot: Snapshot, sink: Sink) -> tuple[Journal, int]:
    """The journal as it stood, from the records before the snapshot, and how often the trader had been called.

    `Refused` for a journal with another chain there: the snapshot is not of this run.
    """
    packed = bytes.fromhex(snapshot.document["delivery"])
    closed = snapshot.seq - bool(packed)
    raws, calls, chain = [], 0, hasher("chain")
    for one in record.entries(1, closed):
        raws.append(one.raw)
        chain.update(one.raw)
        if one.type is RecordType.TIMER:
            calls += 1
        elif one.type is RecordType.DELIVER:
            calls += cast(Deliver, one.body).wakes
    if len(raws) != closed or chain.digest() != snapshot.chain:
        raise Refused(f"the snapshot at record {snapshot.seq:,} is of another journal", hint="replay from the start")
    if packed:
        lane, note = packed[0], packed[1:]
        calls += LAYOUTS[Pending].unpack(note).wakes
        head = (HEADER_BYTES + len(note), int(RecordType.PENDING), lane, 0, snapshot.t, snapshot.seq, 0, 0, 1, 0)
        raws.append(HEADER.pack(*head) + note)
    return Journal.resumed(record.genesis, raws, sink), calls
