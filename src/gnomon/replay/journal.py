"""The journal: records packed and hashed as they come, in batches, and handed to a sink.

Sequence numbers count frame, input and output records. Notes have none of their own, so that what an answer looked like
on the wire moves no digest. A delivery stays open until another record comes, because wakes that follow by rule alone
extend it; how they were told (one by one, or many at once) moves nothing either.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from struct import Struct
from typing import Final, Literal, Protocol, Self, get_args

from gnomon.errors import Invalid, Refused
from gnomon.exchange.draws import COMPONENTS, Tally
from gnomon.exchange.ledger import Account
from gnomon.replay.bodies import LAYOUTS, TYPE_OF, Body, Branch, DrawTally, End, Entry, Genesis, Pending, Span
from gnomon.replay.digests import PREFIX_RECORDS, Digests, Prefix, hasher
from gnomon.replay.header import FIRST_INPUT, FIRST_NOTE, FIRST_OUTPUT, HEADER, HEADER_BYTES, Header, RecordType
from gnomon.replay.layout import WORD_MASK

Mode = Literal["full", "digest", "off"]
"""`full` keeps the bytes, `digest` hashes them only, `off` does neither (for measurements of the rest)."""

NOTES_HELD: Final = 4_096

Buffer = bytes | memoryview


class Sink(Protocol):
    """Where the bytes go. Each write holds whole records; what it holds may be relied on once the call returns."""

    def write(self, plain: bytes, first_seq: int) -> None: ...

    def mark(self, prefix: Prefix) -> None: ...

    def seal(self, digests: Digests) -> None: ...


class _Delivery:
    """The delivery that may still be extended; its seq is the journal's."""

    __slots__ = ("cause", "first", "flags", "lane", "own", "source", "spans", "t", "wakes")

    def __init__(
        self,
        lane: int,
        t: int,
        cause: int,
        source: int,
        flags: int,
        wakes: int,
        first: int,
        own: tuple[int, int],
        spans: Sequence[tuple[int, int, int]],
    ) -> None:
        self.lane = lane
        self.t = t
        self.cause = cause
        self.source = source
        self.flags = flags
        self.wakes = wakes
        self.first = first
        self.own = own
        self.spans = spans


def _goes_on(old: Sequence[tuple[int, int, int]], new: Sequence[tuple[int, int, int]]) -> bool:
    """Whether spans begin where others end, layer by layer."""
    if len(old) == len(new) == 1:
        return old[0][0] == new[0][0] and old[0][2] == new[0][1]
    return len(old) == len(new) and all(
        before[0] == after[0] and before[2] == after[1] for before, after in zip(old, new, strict=True)
    )


def _hot(kind: RecordType, body: str) -> Struct:
    """Header and body in one, for the types that come by the thousand."""
    struct = Struct("<IHBBqQQIHH" + body)
    assert struct.size > HEADER_BYTES, kind
    return struct


_PLACE = _hot(RecordType.REQUEST, "BQqIBBBBBqqqqQqQ")
_QUOTE = _hot(RecordType.REQUEST, "BQqIqqqB")
_DECISION = _hot(RecordType.DECISION, "Q32sIII")
_ACCEPT = _hot(RecordType.ACCEPT, "QQBIQqqQ")
_ORDER = _hot(RecordType.ORDER, "QBHqqIQq")
_FILL = _hot(RecordType.FILL, "QQIBBBBBBBHHqqqqqqqqqqqqqqqIQqIQq")
_QUOTED = _hot(RecordType.QUOTED, "QBIIQQQQqqQqQqQqQq")
_DELIVER = _hot(RecordType.DELIVER, "QqQQI" + "Iqq")
_DELIVER_HEAD = Struct("<QqQQI")
_SPAN = Struct("<Iqq")
_POSTINGS = tuple(Struct("<IHBBqQQIHH" + "I" + "BIQq" * count) for count in range(9))
_ENTRY = Struct("<BIQq")
_COUNT = Struct("<I")
_FREE, _MARKET, _FEES = int(Account.FREE), int(Account.MARKET), int(Account.FEES)


class Journal:
    """The records of one run, from GENESIS (after BRANCH, where there is one) to END.

    Every writer returns the seq of its record, for others to name as their cause. Hot writers take the fields of their
    body in its order; `add` takes any type with a packed body, `put` any body.
    """

    seq: int
    input_count: int
    output_count: int
    prefixes: list[Prefix]
    _delivery: _Delivery | None
    _sealed: Digests | None

    __slots__ = (
        "_chain",
        "_chain_hash",
        "_config",
        "_dataset",
        "_delivery",
        "_drained",
        "_has_pending",
        "_input_hash",
        "_inputs",
        "_is_off",
        "_note_hash",
        "_notes",
        "_output_hash",
        "_outputs",
        "_sealed",
        "_sink",
        "input_count",
        "output_count",
        "prefixes",
        "seq",
    )

    def __init__(
        self,
        genesis: Genesis,
        t: int,
        *,
        sink: Sink | None = None,
        mode: Mode = "full",
        branch: Branch | None = None,
    ) -> None:
        if mode not in get_args(Mode):
            raise Invalid(f"no journal mode {mode!r}", hint="one of " + ", ".join(get_args(Mode)))
        if (mode == "full") != (sink is not None):
            raise Invalid(f"a journal in mode {mode} with {'a' if sink else 'no'} sink", hint="full alone needs one")
        self._start(genesis, sink, mode)
        if branch is not None:
            self.put(branch, 0, t, 0, 0)
        self.put(genesis, 0, t, 0, 0)

    @classmethod
    def resumed(cls, genesis: Genesis, records: Iterable[bytes], sink: Sink) -> Self:
        """The journal of a process that is gone, from the bytes of every record it left, in their order. The sink has
        them already; it is told the prefixes again. `Refused` after END."""
        journal = cls.__new__(cls)
        journal._start(genesis, None, "full")
        pending: tuple[int, bytes] = (0, b"")
        for record in records:
            _, kind, _, _, _, seq, *_ = HEADER.unpack_from(record)
            if kind >= FIRST_NOTE:
                journal._notes.append(record)
                pending = (seq, record) if kind == RecordType.PENDING else pending
            elif kind == RecordType.END:
                raise Refused("the journal has ended", hint="nothing follows END; a new run has a journal of its own")
            else:
                journal.seq = seq
                journal._take(kind, record)
        journal._drain()
        if pending[0] == journal.seq + 1:
            journal._reopen(pending[1])
        for prefix in journal.prefixes:
            sink.mark(prefix)
        journal._sink = sink
        return journal

    def _reopen(self, note: bytes) -> None:
        state = LAYOUTS[Pending].unpack(note[HEADER_BYTES:])
        self.seq += 1
        spans = [(span.layer, span.after, span.upto) for span in state.spans]
        self._delivery = _Delivery(
            HEADER.unpack_from(note)[2],
            state.t,
            state.cause,
            state.source,
            state.flags,
            state.wakes,
            state.first,
            (state.own_after, state.own_upto),
            spans,
        )
        self._has_pending = True

    def _start(self, genesis: Genesis, sink: Sink | None, mode: Mode) -> None:
        self._sink = sink
        self._is_off = mode == "off"
        self._dataset, self._config = genesis.dataset, genesis.config_digest
        self._chain: list[bytes] = []
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []
        self._notes: list[bytes] = []
        self._chain_hash, self._note_hash = hasher("chain"), hasher("notes")
        self._input_hash, self._output_hash = hasher("inputs"), hasher("outputs")
        self._drained = 0
        self._delivery = None
        self._has_pending = False
        self._sealed = None
        self.seq = self.input_count = self.output_count = 0
        self.prefixes = []

    # --- any record -------------------------------------------------------------------------------------------------

    def add(
        self,
        kind: int,
        lane: int,
        t: int,
        cause: int,
        source: int,
        body: bytes,
        *,
        cause_is_position: bool = False,
        version: int = 1,
    ) -> int:
        """A record of any type with its packed body. A note gets the seq of the record it stands at."""
        if kind >= FIRST_NOTE:
            return self._note(kind, lane, t, cause, source, body, version)
        if self._delivery is not None:
            self._close_delivery()
        flags = (kind >> 8) | (4 if cause_is_position else 0)
        self.seq = seq = self.seq + 1
        head = HEADER.pack(HEADER_BYTES + len(body), kind, lane, flags, t, seq, cause, source, version, 0)
        self._take(kind, head + body)
        return seq

    def put(self, body: Body, lane: int, t: int, cause: int, source: int, *, cause_is_position: bool = False) -> int:
        """A record of the type that the body belongs to. `Invalid` where a field does not fit."""
        kind = TYPE_OF[type(body)]
        return self.add(kind, lane, t, cause, source, body.pack(), cause_is_position=cause_is_position)

    def add_packed(self, record: bytes) -> int:
        """A record that was packed whole, its seq being `next_seq()`; `Invalid` where it is not."""
        length, kind, _, flags, _, seq, _, _, _, _ = Header._make(HEADER.unpack_from(record))
        if length != len(record) or seq != self.next_seq() or kind >= FIRST_NOTE or flags & 3 != kind >> 8:
            raise Invalid(
                f"a packed record of type 0x{kind:04x}, {length} bytes, seq {seq}, flags {flags}",
                hint=f"expected {len(record)} bytes, seq {self.next_seq()} and the flag of its type",
            )
        if self._delivery is not None:
            self._close_delivery()
        self.seq = seq
        self._take(kind, record)
        return seq

    def next_seq(self) -> int:
        """What the next record's seq will be."""
        return self.seq + 1

    def add_many(
        self, records: Buffer, ends: Sequence[int], inputs: Buffer, outputs: Buffer, counts: tuple[int, int]
    ) -> None:
        """Inputs and outputs that were packed together, seqs and all, from `next_seq()` on: the bytes, where each
        record ends in them, those of the inputs and of the outputs alone, and how many these are."""
        if self._delivery is not None:
            self._close_delivery()
        first, self.seq = self.seq, self.seq + len(ends)
        if self._is_off:
            return
        for state, held, more in (
            (self._input_hash, self._inputs, inputs),
            (self._output_hash, self._outputs, outputs),
        ):
            state.update(b"".join(held))
            state.update(more)
        self.input_count += len(self._inputs) + counts[0]
        self.output_count += len(self._outputs) + counts[1]
        self._inputs.clear()
        self._outputs.clear()
        whole, at, start = memoryview(records), 0, 0
        while at < len(ends):
            upto = min(len(ends), at + PREFIX_RECORDS - (first + at) % PREFIX_RECORDS)
            if (first + upto) % PREFIX_RECORDS:  # they wait for those that fill the batch
                bounds = [start, *ends[at:upto]]
                self._chain.extend(bytes(whole[one:two]) for one, two in pairwise(bounds))
            else:
                self._batch(b"".join((*self._chain, whole[start : ends[upto - 1]])), first + upto)
            at, start = upto, ends[upto - 1]

    # --- the ones that come by the thousand ---------------------------------------------------------------------------

    def place(
        self,
        lane: int,
        t: int,
        cause: int,
        source: int,
        number: int,
        arrival: int,
        instrument: int,
        side: int,
        order_type: int,
        tif: int,
        stp: int,
        flags: int,
        lots: int,
        price: int,
        stop: int,
        trailing_bips: int,
        quote_units: int,
        client: int,
    ) -> int:
        """REQUEST, a new order."""
        if self._delivery is not None:
            self._close_delivery()
        self.seq = seq = self.seq + 1
        if self._is_off:
            return seq
        record = _PLACE.pack(
            122, 0x0105, lane, 1, t, seq, cause, source, 1, 0,
            1, number, arrival, instrument, side, order_type, tif, stp, flags, lots, price, stop, trailing_bips,
            quote_units & WORD_MASK, quote_units >> 64, client,
        )  # fmt: skip
        self._inputs.append(record)
        self._chain.append(record)
        if not seq & 1023:
            self._drain()
        return seq

    def quote(
        self,
        lane: int,
        t: int,
        cause: int,
        source: int,
        number: int,
        arrival: int,
        instrument: int,
        bid: int,
        ask: int,
        lots: int,
        flags: int,
    ) -> int:
        """REQUEST, a standing pair; flags 1 keep, 2 post-only."""
        if self._delivery is not None:
            self._close_delivery()
        self.seq = seq = self.seq + 1
        if self._is_off:
            return seq
        record = _QUOTE.pack(
            86, 0x0105, lane, 1, t, seq, cause, source, 1, 0, 7, number, arrival, instrument, bid, ask, lots, flags
        )
        self._inputs.append(record)
        self._chain.append(record)
        if not seq & 1023:
            self._drain()
        return seq

    def decision(self, lane: int, t: int, cause: int, source: int, wake: int, seen: bytes) -> int:
        """DECISION, in which nothing was said."""
        if self._delivery is not None:
            self._close_delivery()
        self.seq = seq = self.seq + 1
        if self._is_off:
            return seq
        record = _DECISION.pack(92, 0x0106, lane, 1, t, seq, cause, source, 1, 0, wake, seen, 0, 0, 0)
        self._inputs.append(record)
        self._chain.append(record)
        if not seq & 1023:
            self._drain()
        return seq

    def accept(
        self,
        lane: int,
        t: int,
        cause: int,
        source: int,
        order: int,
        request: int,
        status: int,
        asset: int,
        lock: int,
        ahead: int,
        order_list: int,
    ) -> int:
        """ACCEPT: an order is open."""
        if self._delivery is not None:
            self._close_delivery()
        self.seq = seq = self.seq + 1
        if self._is_off:
            return seq
        record = _ACCEPT.pack(
            93, 0x0202, lane, 2, t, seq, cause, source, 1, 0,
            order, request, status, asset, lock & WORD_MASK, lock >> 64, ahead, order_list,
        )  # fmt: skip
        self._outputs.append(record)
        self._chain.append(record)
        if not seq & 1023:
            self._drain()
        return seq

    def order(
        self,
        lane: int,
        t: int,
        cause: int,
        source: int,
        order: int,
        status: int,
        reason: int,
        executed: int,
        remaining: int,
        asset: int,
        released: int,
    ) -> int:
        """ORDER: a change of state other than by a fill."""
        if self._delivery is not None:
            self._close_delivery()
        self.seq = seq = self.seq + 1
        if self._is_off:
            return seq
        record = _ORDER.pack(
            87, 0x0204, lane, 2, t, seq, cause, source, 1, 0,
            order, status, reason, executed, remaining, asset, released & WORD_MASK, released >> 64,
        )  # fmt: skip
        self._outputs.append(record)
        self._chain.append(record)
        if not seq & 1023:
            self._drain()
        return seq

    def fill(
        self,
        lane: int,
        t: int,
        cause: int,
        source: int,
        fields: tuple[int, ...],
        fee: int,
        asset: int,
        released: int,
        *,
        cause_is_position: bool = False,
    ) -> int:
        """FILL; `fields` are those of `bodies.Fill` from `order` to `fee_asset`."""
        if self._delivery is not None:
            self._close_delivery()
        self.seq = seq = self.seq + 1
        if self._is_off:
            return seq
        record = _FILL.pack(
            231, 0x0205, lane, 6 if cause_is_position else 2, t, seq, cause, source, 1, 0,
            *fields, fee & WORD_MASK, fee >> 64, asset, released & WORD_MASK, released >> 64,
        )  # fmt: skip
        self._outputs.append(record)
        self._chain.append(record)
        if not seq & 1023:
            self._drain()
        return seq

    def fill_posted(
        self,
        lane: int,
        t: int,
        cause: int,
        source: int,
        fields: tuple[int, ...],
        fee: int,
        lock_asset: int,
        released: int,
        gives: int,
        paid: int,
        gets: int,
        received: int,
        account: int,
        fee_account: int,
        fee_asset: int,
    ) -> int:
        """FILL and the POSTING that it causes: `account` pays the market, the market pays FREE, FEES get the fee."""
        if self._delivery is not None:
            self._close_delivery()
        seq = self.seq + 1
        self.seq = posted = seq + 1
        if self._is_off:
            return posted
        record = _FILL.pack(
            231, 0x0205, lane, 2, t, seq, cause, source, 1, 0,
            *fields, fee & WORD_MASK, fee >> 64, lock_asset, released & WORD_MASK, released >> 64,
        )  # fmt: skip
        paid_low, paid_high, got_low, got_high = paid & WORD_MASK, paid >> 64, received & WORD_MASK, received >> 64
        out_low, out_high, in_low, in_high = -paid & WORD_MASK, -paid >> 64, -received & WORD_MASK, -received >> 64
        if fee:
            posting = _POSTINGS[6].pack(
                170, 0x0206, lane, 2, t, posted, seq, source, 1, 0, 6,
                account, gives, out_low, out_high, _MARKET, gives, paid_low, paid_high,
                _MARKET, gets, in_low, in_high, _FREE, gets, got_low, got_high,
                fee_account, fee_asset, -fee & WORD_MASK, -fee >> 64, _FEES, fee_asset, fee & WORD_MASK, fee >> 64,
            )  # fmt: skip
        else:
            posting = _POSTINGS[4].pack(
                128, 0x0206, lane, 2, t, posted, seq, source, 1, 0, 4,
                account, gives, out_low, out_high, _MARKET, gives, paid_low, paid_high,
                _MARKET, gets, in_low, in_high, _FREE, gets, got_low, got_high,
            )  # fmt: skip
        self._outputs += (record, posting)
        if seq & 1023:
            self._chain += (record, posting)
        else:
            self._outputs.pop()
            self._chain.append(record)
            self._drain()
            self._outputs.append(posting)
            self._chain.append(posting)
        if not posted & 1023:
            self._drain()
        return posted

    def posting(self, lane: int, t: int, cause: int, source: int, entries: Sequence[tuple[int, int, int]]) -> int:
        """POSTING: (account, asset, units) of each side."""
        count = len(entries)
        if count >= len(_POSTINGS):
            body = _COUNT.pack(count) + b"".join(_ENTRY.pack(a, b, n & WORD_MASK, n >> 64) for a, b, n in entries)
            return self.add(RecordType.POSTING, lane, t, cause, source, body)
        if self._delivery is not None:
            self._close_delivery()
        self.seq = seq = self.seq + 1
        if self._is_off:
            return seq
        words = [word for account, asset, units in entries for word in (account, asset, units & WORD_MASK, units >> 64)]
        record = _POSTINGS[count].pack(44 + 21 * count, 0x0206, lane, 2, t, seq, cause, source, 1, 0, count, *words)
        self._outputs.append(record)
        self._chain.append(record)
        if not seq & 1023:
            self._drain()
        return seq

    def quoted(
        self,
        lane: int,
        t: int,
        cause: int,
        source: int,
        fields: tuple[int, ...],
        bid_lock: int,
        ask_lock: int,
        bid_released: int,
        ask_released: int,
    ) -> int:
        """QUOTED; `fields` are those of `bodies.Quoted` from `request` to `ask_ahead`."""
        if self._delivery is not None:
            self._close_delivery()
        self.seq = seq = self.seq + 1
        if self._is_off:
            return seq
        record = _QUOTED.pack(
            169, 0x0207, lane, 2, t, seq, cause, source, 1, 0,
            *fields, bid_lock & WORD_MASK, bid_lock >> 64, ask_lock & WORD_MASK, ask_lock >> 64,
            bid_released & WORD_MASK, bid_released >> 64, ask_released & WORD_MASK, ask_released >> 64,
        )  # fmt: skip
        self._outputs.append(record)
        self._chain.append(record)
        if not seq & 1023:
            self._drain()
        return seq

    def deliver(
        self,
        lane: int,
        t: int,
        cause: int,
        source: int,
        spans: Sequence[tuple[int, int, int]],
        own: tuple[int, int] = (0, 0),
        wakes: int = 1,
        first: int = 0,
        by_rule: bool = True,
        cause_is_position: bool = False,
    ) -> int:
        """DELIVER: (layer, after, upto] of each layer and own events in (after, upto], told in `wakes` wakes, from
        `first` (0: t) to t.

        `by_rule` says that they follow the wake before by rule alone (same filter, constant latency). Then they extend
        the open delivery, if it is to the same trader, its spans end where these begin, and no own event is told.
        """
        open_one = self._delivery
        if open_one is not None:
            if by_rule and own[0] == own[1] and open_one.source == source and _goes_on(open_one.spans, spans):
                open_one.wakes += wakes
                open_one.t, open_one.cause = t, cause
                old = open_one.spans
                open_one.spans = [(one[0], one[1], new[2]) for one, new in zip(old, spans, strict=True)]
                self._has_pending = False
                return self.seq
            self._close_delivery()
        self.seq += 1
        flags = 6 if cause_is_position else 2
        self._delivery = _Delivery(lane, t, cause, source, flags, wakes, first or t, own, spans)
        self._has_pending = False
        return self.seq

    # --- ends ---------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Bring everything to the sink now, before an effect leaves the process. It moves no digest: an open delivery
        stays open, and what it says so far goes into a note."""
        one = self._delivery
        if one is not None and not self._has_pending:
            spans = tuple(Span(*span) for span in one.spans)
            state = Pending(one.source, one.t, one.cause, one.flags, one.wakes, one.first, *one.own, spans)
            self.put(state, one.lane, one.t, 0, 0)
            self._has_pending = True
        self._drain()

    def end(
        self, t: int, reason: int, tallies: Iterable[Tally] = (), balances: Iterable[tuple[int, int, int]] = ()
    ) -> Digests:
        """Write END, with (account, asset, units) of every balance, and seal the sink. Nothing can follow."""
        if self._delivery is not None:
            self._close_delivery()
        drawn = tuple(DrawTally(COMPONENTS.index(one.component), one.count, one.digest) for one in tallies)
        inputs, outputs = self.input_count + len(self._inputs), self.output_count + len(self._outputs)
        self.put(End(reason, inputs, outputs, drawn, tuple(Entry(*one) for one in balances)), 0, t, 0, 0)
        return self._seal()

    def _seal(self) -> Digests:
        self._drain()
        self._sealed = Digests(
            self._dataset,
            self._config,
            self._input_hash.digest(),
            self._output_hash.digest(),
            self._chain_hash.digest(),
            self._note_hash.digest(),
        )
        if self._sink is not None:
            self._sink.seal(self._sealed)
        self._delivery = _Delivery(
            0, 0, 0, 0, 0, 0, 0, (0, 0), ()
        )  # whoever writes next tries to close it, and is refused
        return self._sealed

    # --- inside -------------------------------------------------------------------------------------------------------

    def _take(self, kind: int, record: bytes) -> None:
        if self._is_off:
            return
        if kind >= FIRST_OUTPUT:
            self._outputs.append(record)
        elif kind >= FIRST_INPUT:
            self._inputs.append(record)
        self._chain.append(record)
        if not self.seq & 1023:
            self._drain()

    def _note(self, kind: int, lane: int, t: int, cause: int, source: int, body: bytes, version: int) -> int:
        if self._is_off:
            return self.seq
        length = HEADER_BYTES + len(body)
        self._notes.append(HEADER.pack(length, kind, lane, 0, t, self.seq, cause, source, version, 0) + body)
        if len(self._notes) >= NOTES_HELD:
            self._drain()
        return self.seq

    def _close_delivery(self) -> None:
        one = self._delivery
        assert one is not None
        if self._sealed is not None:
            raise Refused("the journal has ended", hint="nothing follows END; a new run has a journal of its own")
        self._delivery = None
        seq, count, own = self.seq, len(one.spans), one.own
        if count == 1:
            layer, after, upto = one.spans[0]
            record = _DELIVER.pack(
                96, 0x0201, one.lane, one.flags, one.t, seq, one.cause, one.source, 1, 0,
                one.wakes, one.first, own[0], own[1], 1, layer, after, upto,
            )  # fmt: skip
        else:
            head = (76 + 20 * count, 0x0201, one.lane, one.flags, one.t, seq, one.cause, one.source, 1, 0)
            spans = b"".join(_SPAN.pack(*span) for span in one.spans)
            record = HEADER.pack(*head) + _DELIVER_HEAD.pack(one.wakes, one.first, *own, count) + spans
        if self._is_off:
            return
        self._outputs.append(record)
        self._chain.append(record)
        if not seq & 1023:
            self._drain()

    def _drain(self) -> None:
        """Hash what has come and hand it on. Batches are joined first: an update of a hash has a price of its own."""
        chain = b"".join(self._chain)
        first_seq = self._drained + 1
        self._chain_hash.update(chain)
        self._input_hash.update(b"".join(self._inputs))
        self._output_hash.update(b"".join(self._outputs))
        self.input_count += len(self._inputs)
        self.output_count += len(self._outputs)
        notes = b"".join(self._notes)
        self._note_hash.update(notes)
        self._drained = seq = self._drained + len(self._chain)
        is_prefix = bool(self._chain) and not seq % PREFIX_RECORDS
        for held in (self._chain, self._inputs, self._outputs, self._notes):
            held.clear()
        if self._sink is not None and (chain or notes):
            self._sink.write(chain + notes, first_seq)
        if is_prefix:
            self._mark(seq)

    def _batch(self, chain: bytes, seq: int) -> None:
        """A whole batch up to `seq`, whose inputs and outputs are hashed already."""
        self._chain.clear()
        self._chain_hash.update(chain)
        notes = b"".join(self._notes)
        self._note_hash.update(notes)
        self._notes.clear()
        if self._sink is not None:
            self._sink.write(chain + notes, self._drained + 1)
        self._drained = seq
        self._mark(seq)

    def _mark(self, seq: int) -> None:
        mark = Prefix(seq, self._chain_hash.digest())
        self.prefixes.append(mark)
        if self._sink is not None:
            self._sink.mark(mark)
