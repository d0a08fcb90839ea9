"""The keeper: what the engine tells of itself, as records with their causes.

`cause` makes a tree: a delivery leads to the requests that the trader made of it, a request to the orders that it made
or changed, an order to its trigger and its fills, a fill to its postings. The print that allowed a fill stands in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from gnomon.exchange.exchange import Arrival, Event
from gnomon.exchange.ledger import Account, Posting
from gnomon.exchange.order import Amend, Cancel, CancelAll, Place, PlaceList, Quote, Replace, Request, Side
from gnomon.exchange.outcome import Accepted, Changed, Filled, Margined, Outcome, Quoted, QuoteKind, Rejected, Triggered
from gnomon.market.lanes import Lane
from gnomon.replay.bodies import (
    Action,
    Decision,
    Leg,
    Reject,
    RequestAmend,
    RequestCancel,
    RequestCancelAll,
    RequestList,
    RequestReplace,
    TimerFired,
    TimerSet,
    Trigger,
)
from gnomon.replay.bodies import Fault as FaultBody
from gnomon.replay.faults import Fault
from gnomon.replay.journal import Journal

PRINT_SIDES: Final = {1: 1, -1: 2, 0: 0}
"""The aggressor as a Record writes it: 1 bought, 2 sold, 0 unknown."""


_DELIVERY: Final = int(Lane.DELIVERY)
_FREE: Final = int(Account.FREE)
_LOCKED: Final = int(Account.LOCKED)
_BAR: Final = int(QuoteKind.BAR)
_BUY: Final = Side.BUY
_SELL: Final = Side.SELL
_NO_OWN: Final = (0, 0)


Writer = Callable[[int, int, int, int, Any], int]
"""Of one kind of outcome: lane, time, cause, source, outcome; the seq of its last record."""


class JournalKeeper:
    """Writes a journal. `assets` are the (base, quote) numbers of each listing."""

    def __init__(self, journal: Journal, assets: Mapping[int, tuple[int, int]]) -> None:
        self.journal = journal
        self._assets = assets
        self.rejects = 0
        self._told = 0  # seq of the last delivery or timer: the cause of what the trader asks for
        self._requests: dict[int, int] = {}  # request number to the seq of its record
        self._orders: dict[int, tuple[int, Side]] = {}  # order number to instrument and side, for the asset of its lock
        self._made: dict[int, int] = {}  # order number to the seq of what made or triggered it
        self._writers: dict[type, Writer] = {
            Accepted: self._accepted,
            Rejected: self._rejected,
            Changed: self._changed,
            Filled: self._filled,
            Quoted: self._quoted,
            Triggered: self._triggered,
            Margined: self._margined,
        }

    # --- inputs -------------------------------------------------------------------------------------------------------

    def sent(self, now_ns: int, number: int, arrival_ns: int, request: Request) -> None:
        """A request is on its way; its record stands where it was decided and says when it arrives."""
        if type(request) is Quote:
            instrument, bid, ask, lots, keep, post_only = request
            flags = keep + 2 * post_only
            seq = self.journal.quote(
                _DELIVERY, now_ns, self._told, 1, number, arrival_ns, instrument, bid, ask, lots, flags
            )  # fmt: skip
        elif type(request) is Place:
            seq = self.journal.place(_DELIVERY, now_ns, self._told, 1, number, arrival_ns, *_leg(request))
        else:
            seq = self.journal.put(_body(request, number, arrival_ns), Lane.DELIVERY, now_ns, self._told, 1)
        self._requests[number] = seq

    def timer_set(self, now_ns: int, number: int, due_ns: int, name: str) -> None:
        self.journal.put(TimerSet(number, due_ns, name), Lane.DELIVERY, now_ns, self._told, 1)

    def write_decision(
        self, now_ns: int, packed: bytes, notes: Sequence[str], forecasts: tuple[bytes, ...] = ()
    ) -> None:
        """One entry of the decision log: what was read and said, under the delivery that led to it. `forecasts` are the
        content hashes of those that were read."""
        seen = hashlib.blake2b(packed, digest_size=32).digest()
        if not (notes or forecasts):
            self.journal.decision(_DELIVERY, now_ns, self._told, 1, self._told, seen)
            return
        body = Decision(self._told, seen, forecasts, (), "\n".join(notes))
        self.journal.put(body, Lane.DELIVERY, now_ns, self._told, 1)

    @property
    def cause(self) -> int:
        """Seq of the delivery or timer that the trader is answering."""
        return self._told

    # --- what others have written ------------------------------------------------------------------------------------

    def goes_on(self, told: int) -> None:
        """The last delivery has this seq."""
        self._told = told

    def sent_before(self, number: int, seq: int) -> None:
        """A request that has not arrived has its record."""
        self._requests[number] = seq

    def made_before(self, number: int, instrument: int, side: Side, seq: int) -> None:
        """An open order was made by the record of this seq."""
        self._orders[number] = instrument, side
        self._made[number] = seq

    # --- outputs ------------------------------------------------------------------------------------------------------

    def told(self, source: int, layer: int, after: int, upto: int, wakes: int, first_ns: int, last_ns: int) -> None:
        """The trader was woken by rows (after, upto] of a layer, `wakes` times."""
        self._told = self.journal.deliver(
            _DELIVERY, last_ns, upto, source, [(layer, after, upto)], _NO_OWN, wakes, first_ns, True, True
        )

    def told_own(self, now_ns: int, source: int, seqs: tuple[int, int]) -> None:
        """The trader was told its own events, records (after, upto]."""
        self._told = self.journal.deliver(Lane.DELIVERY, now_ns, seqs[1], source, [], seqs, by_rule=False)

    def fired(self, now_ns: int, number: int) -> None:
        self._told = self.journal.put(TimerFired(number), Lane.TIMER, now_ns, 0, 1)

    def came(self, now_ns: int, lane: int, source: int, event: Event, outcomes: Sequence[Outcome]) -> tuple[int, int]:
        """What came of an event: records (after, upto]."""
        after = self.journal.seq
        cause = self._requests.pop(event[2], 0) if type(event) is Arrival else 0
        for outcome in outcomes:
            self._writers[type(outcome)](lane, now_ns, cause, source, outcome)
        return after, self.journal.seq

    def fault(self, lane: int, one: Fault, cause: int, request: int = 0) -> int:
        """A planned fault happened: because of a record, or of a request that is not answered yet. The seq."""
        why = cause or (self._requests.get(request, 0) if request else 0)
        body = FaultBody(one.kind, one.entry, one.entity, one.until_ns)
        return self.journal.put(body, lane, one.at_ns, why, 0)

    def opened(self, now_ns: int, postings: Sequence[Posting]) -> None:
        """The opening balances."""
        self.journal.posting(0, now_ns, 0, 0, postings)

    def _accepted(self, lane: int, t: int, cause: int, source: int, one: Accepted) -> int:
        self._orders[one.number] = one.instrument, one.side
        self._made[one.number] = seq = self.journal.accept(
            lane, t, cause, source, one.number, one.request, one.status, self._lock_asset(one.number), one.lock,
            one.ahead, one.list,
        )  # fmt: skip
        return seq

    def _rejected(self, lane: int, t: int, cause: int, source: int, one: Rejected) -> int:
        self.rejects += 1
        body = Reject(one.request, one.number, one.refusal, 0, one.received, one.limit)
        return self.journal.put(body, lane, t, cause, source)

    def _changed(self, lane: int, t: int, cause: int, source: int, one: Changed) -> int:
        why = cause or self._made[one.number]
        return self.journal.order(
            lane, t, why, source, one.number, one.status, one.reason, one.executed, one.remaining,
            self._lock_asset(one.number), one.released,
        )  # fmt: skip

    def _filled(self, lane: int, t: int, cause: int, source: int, one: Filled) -> int:
        """FILL, and what it moved: the trade, then its fee."""
        (
            number, fill, instrument, side, price, lots, remaining, status, rule, role, position, print_price,
            print_lots, print_side, ahead_before, ahead_after, excess, share_cap, level, levels, best_bid, best_ask,
            quote_kind, decided_ns, arrived_ns, rate, fee, fee_asset, flags, released, base, quote, base_units,
            notional, is_locked, is_fee_locked,
        ) = one  # fmt: skip
        is_buy = side is _BUY
        aggressor = print_side if quote_kind == _BAR else PRINT_SIDES[print_side]
        fields = (
            number, fill, instrument, side, status, rule, role, aggressor, quote_kind, flags, level, levels, price,
            lots, remaining, position, print_price, print_lots, ahead_before, ahead_after, excess, share_cap, best_bid,
            best_ask, decided_ns, arrived_ns, rate, fee_asset,
        )  # fmt: skip
        if is_buy:
            gives, paid, gets, received = quote, notional, base, base_units
        else:
            gives, paid, gets, received = base, base_units, quote, notional
        return self.journal.fill_posted(
            lane, t, self._made.get(number, cause), source, fields, fee, quote if is_buy else base, released, gives,
            paid, gets, received, _LOCKED if is_locked else _FREE, _LOCKED if is_fee_locked else _FREE, fee_asset,
        )  # fmt: skip

    def _quoted(self, lane: int, t: int, cause: int, source: int, one: Quoted) -> int:
        (
            request, instrument, bid, ask, bid_lock, ask_lock, bid_kept, ask_kept, bid_gone, ask_gone, bid_released,
            ask_released, bid_ahead, ask_ahead,
        ) = one  # fmt: skip
        base, quote = self._assets[instrument]
        fields = (
            request, bid_kept + 2 * ask_kept, quote, base, bid, ask, bid_gone, ask_gone, bid_ahead, ask_ahead,
        )  # fmt: skip
        seq = self.journal.quoted(lane, t, cause, source, fields, bid_lock, ask_lock, bid_released, ask_released)
        if bid and not bid_kept:
            self._orders[bid] = instrument, _BUY
            self._made[bid] = seq
        if ask and not ask_kept:
            self._orders[ask] = instrument, _SELL
            self._made[ask] = seq
        return seq

    def _triggered(self, lane: int, t: int, cause: int, source: int, one: Triggered) -> int:
        body = Trigger(one.number, one.position, one.price)
        self._made[one.number] = seq = self.journal.put(body, lane, t, self._made.get(one.number, cause), source)
        return seq

    def _margined(self, lane: int, t: int, cause: int, source: int, one: Margined) -> int:
        return self.journal.posting(lane, t, cause, source, one.postings())

    def _lock_asset(self, number: int) -> int:
        instrument, side = self._orders[number]
        base, quote = self._assets[instrument]
        return quote if side is Side.BUY else base


def _leg(place: Place) -> tuple[int, ...]:
    return (
        place.instrument, place.side, place.type, place.tif, place.stp, int(place.reduce_only), place.lots, place.price,
        place.stop, place.trailing_bips, place.quote_units, place.client,
    )  # fmt: skip


def _body(request: Request, number: int, arrival_ns: int) -> Any:
    head = number, arrival_ns
    match request:
        case Cancel():
            return RequestCancel(Action.CANCEL, *head, request.instrument, request.number, request.client)
        case CancelAll():
            return RequestCancelAll(Action.CANCEL_ALL, *head, request.instrument)
        case Amend():
            return RequestAmend(Action.AMEND, *head, request.instrument, request.number, request.lots)
        case Replace():
            return RequestReplace(Action.REPLACE, *head, request.number, (Leg(*_leg(request.order)),))
        case PlaceList():
            legs = tuple(Leg(*_leg(place)) for place in request.orders)
            return RequestList(Action.LIST, *head, request.kind, legs)
    raise AssertionError(f"no record for {request!r}")
