"""The course of a trader who is asked bar by bar, and answers with nothing but a MARKET order of some lots.

Such an order arrives before anything else happens, and is filled whole at the open of the bar that begins then: that
needs no general engine. What came of the orders is written a few thousand at a time. The first hook that says anything
else, and the first order that would be refused, would wait or would find too little, ends that: everything is left as
if the engine had done it all, and the engine goes on. No record and no digest says which of the two it was.
"""

from __future__ import annotations

import gc
import hashlib
from typing import Any, Final

import numpy as np

from gnomon.exchange.bars import POINTS, Bars
from gnomon.exchange.exchange import Exchange
from gnomon.exchange.fees import fee_units, reserve_units
from gnomon.exchange.ledger import Account
from gnomon.exchange.order import OrderType, Place, Side, Status
from gnomon.exchange.outcome import Accepted, Filled, Outcome, QuoteKind, Role, Rule
from gnomon.exchange.rules import SHARE_ONE, WHOLE, FeeAsset, FillMoment, Taker
from gnomon.market.lanes import Lane
from gnomon.replay import array_records as forms
from gnomon.replay.engine import TRADER, Replay
from gnomon.replay.header import Flag, RecordType
from gnomon.replay.run import Stage
from gnomon.replay.streams import NEVER_NS, BarStream
from gnomon.trader.desk import Desk
from gnomon.trader.orders import Said
from gnomon.units import IntArray

HELD: Final = 4_096
"""Orders that wait to be written."""

RECORDS: Final = 6
"""That an order leaves: DELIVER, DECISION, REQUEST, ACCEPT, FILL and POSTING."""

LARGEST: Final = 2**61
"""Amounts beyond it are the engine's: the columns of the records hold int64."""

LARGEST_PART: Final = 1_024
"""Of a bar's length, which int64 holds so many times."""

_BUY: Final = Side.BUY
_MARKET: Final = OrderType.MARKET
_PLAIN: Final = tuple(Place._field_defaults[name] for name in Place._fields[4:10])
"""What a MARKET order of some lots says between its size and its client id."""


class BarRun:
    """The beginning of a run, for as long as it is of the plain kind."""

    def __init__(self, stage: Stage, engine: Replay, desk: Desk, stream: BarStream, keeps: bool) -> None:
        plan, exchange = stage.plan, stage.exchange
        (tape,) = plan.ground.tapes
        rules, latency = plan.rules, plan.rules.latency
        self._stage, self._engine, self._desk, self._stream, self._keeps = stage, engine, desk, stream, keeps
        self._book = book = exchange.books[tape.listing.number]
        self._purse = purse = book.purse
        self._number, self._bars = tape.listing.number, book.bars
        self._entry_ns, self._reply_ns = latency.entry.const_ns or 1, latency.reply.const_ns
        self._share, self._slip = rules.fills.share, rules.fills.slippage_ticks
        self._rate, self._is_fee_in_quote = rules.fees.taker, rules.fees.asset is FeeAsset.QUOTE
        self._next = int(self._bars.close_ns.searchsorted(stream.next_ns - latency.feed.const_ns)) + 1
        self._is_fit = self._fitting().tobytes()
        self._opens = self._bars.open
        self._free = exchange.ledger.free[purse.quote], exchange.ledger.free[purse.base]
        self._fees = [0, 0]  # in the quote, in the base
        self._held: list[tuple[int, ...]] = []  # wakes told, side, lots, client id, whether it reduces, fee
        self._decisions: list[bytes] = []
        self._written = 0  # orders in the journal
        self._freezes = not gc.get_freeze_count()  # unless somebody else does
        self._told = 0  # wakes in it
        self._last_seq = self._last_lots = 0  # of the last delivery, of the last order
        self._layout = np.dtype(
            [
                ("deliver", forms.DELIVER), ("decision", forms.DECISION), ("request", forms.PLACE),
                ("accept", forms.ACCEPT), ("fill", forms.FILL), ("posting", forms.posting(6 if self._rate else 4)),
            ]
        )  # fmt: skip

    @classmethod
    def of(cls, stage: Stage, engine: Replay, desk: Desk, keeps: bool) -> BarRun | None:
        """None where the rules, the trader or what it did at the start ask for the whole engine."""
        (stream,) = engine.streams
        if type(engine) is not Replay or type(stage.exchange) is not Exchange or not engine.is_untouched:
            return None
        if type(stream) is not BarStream or desk.is_listening or desk.alarms or stream.next_ns == NEVER_NS:
            return None
        return cls(stage, engine, desk, stream, keeps) if _covers(stage) else None

    def _fitting(self) -> Any:
        """By row of the bars: whether what was decided at the close before it is in the market at its open."""
        bars, fills = self._bars, self._stage.plan.rules.fills
        part, whole = fills.open_grace
        is_fit = (bars.close_ns - bars.open_ns) * part // whole >= self._entry_ns
        quarters = bars.volume // POINTS
        is_fit &= quarters > 0
        is_fit[0] = False
        is_fit[1:] &= bars.open_ns[1:] == bars.close_ns[:-1] + self._stage.plan.rules.latency.feed.const_ns
        is_fit[:-1] &= bars.open_ns[1:] > bars.open_ns[:-1] + self._entry_ns
        is_fit &= bars.open_ns + self._entry_ns < self._stage.plan.end_ns
        return np.append(is_fit, False)

    def run(self) -> None:
        """Until the window ends, the trader says something else, or it fails: then the engine goes on from here."""
        desk, stream, end_ns = self._desk, self._stream, self._stage.plan.end_ns
        outbox = desk.outbox
        try:
            while stream.next_ns < end_ns:
                stream.run(desk, end_ns)
                if (outbox or desk.is_deciding or desk.alarms) and not self._take_up():
                    break
                stream.is_flowing = True
        finally:
            if self._freezes:
                gc.unfreeze()
            self._hand_over()
        if outbox or desk.alarms or desk.is_deciding:
            self._engine.start()

    def _take_up(self) -> bool:
        """A wake that was answered by one plain order, which is filled whole; anything else is the engine's."""
        desk = self._desk
        outbox = desk.outbox
        if len(outbox) != 1 or desk.alarms or desk.is_listening or type(outbox[0]) is not Place:
            return False
        place = outbox[0]
        instrument, side, kind, lots, *_, client, is_reducing = place
        told = self._stream.told[1]
        row = self._next + told - 1
        if not (
            instrument == self._number
            and kind is _MARKET
            and place[4:10] == _PLAIN
            and type(lots) is int
            and self._is_fit[row]
            and self._book.is_plain_market(lots, self._stage.exchange.working)
        ):
            return False
        found = self._moves(side, self._opens.item(row), lots, row)
        packed = desk.take_alone() if found is not None else b""
        if found is None or not packed:
            return False
        fee, moves, self._free = found
        self._fees[side is _BUY and not self._is_fee_in_quote] += fee
        self._last_lots = lots
        held = (told, side, lots, client, is_reducing, fee)
        self._decisions.append(packed)
        self._held.append(held)
        number = self._written + len(self._held)
        desk.hear(desk.now_ns + self._entry_ns + self._reply_ns, Said(self._outcomes, number, held, moves))
        if len(self._held) >= HELD:
            self._write()
            if self._freezes:
                gc.freeze()  # what is kept as long as the run is not gone through again and again
        return True

    def _moves(self, side: Side, opened: int, lots: int, row: int) -> Any:
        """The fee of a fill at the open of a bar, what it adds to the assets, and what is free then. None where it
        would not be filled whole or not be paid for, or where its fee comes to nothing."""
        purse, (free_quote, free_base) = self._purse, self._free
        if self._share != WHOLE and self._bars.volume.item(row) // POINTS * self._share // SHARE_ONE < lots:
            return None
        is_buy = side is _BUY
        price = max(1, opened + self._slip if is_buy else opened - self._slip)
        notional, units = price * lots * purse.notional_unit, lots * purse.lot_unit
        if is_buy:
            is_short = notional + reserve_units(notional, purse.reserve_rate) > free_quote
            quote, base = -notional, units
        else:
            is_short = units > free_base
            quote, base = notional, -units
        if is_short or notional > LARGEST or units > LARGEST:
            return None
        if is_buy and not self._is_fee_in_quote:
            fee = fee_units(units, self._rate)
            base -= fee
        else:
            fee = fee_units(notional, self._rate)
            quote -= fee
        free_quote, free_base = free_quote + quote, free_base + base
        if (not fee and self._rate) or abs(fee) > LARGEST or free_quote < 0 or free_base < 0:
            return None
        return fee, (purse.quote, quote, purse.base, base), (free_quote, free_base)

    # --- what came of it ----------------------------------------------------------------------------------------------

    def _outcomes(self, number: int, held: tuple[int, ...]) -> list[Outcome]:
        """What the venue said of an order: the so many-th."""
        told, side, lots, _, _, fee = held
        row, purse = self._next + told - 1, self._purse
        is_buy = side == _BUY
        of_side = _BUY if is_buy else Side.SELL
        opened = self._opens.item(row)
        price = max(1, opened + self._slip if is_buy else opened - self._slip)
        decided_ns = int(self._stream.times_ns(np.array([told - 1]))[0])
        return [
            Accepted(number, number, Status.NEW, 0, 0, 0, self._number, of_side),
            Filled(
                number, number, self._number, of_side, price, lots, 0, Status.FILLED, Rule.BAR_OPEN, Role.TAKER, row,
                opened, self._bars.volume.item(row) // POINTS, 0, 0, 0, 0, 0, 0, 0, opened, opened, QuoteKind.BAR,
                decided_ns, decided_ns + self._entry_ns, self._rate, fee,
                purse.quote if self._is_fee_in_quote or not is_buy else purse.base, 0, 0, purse.base, purse.quote,
                lots * purse.lot_unit, price * lots * purse.notional_unit, False, False,
            ),
        ]  # fmt: skip

    def _write(self) -> None:
        """Everything that has happened, into the journal: six records an order, in the order of the engine's."""
        held, decisions = self._held, self._decisions
        if not held:
            return
        journal, count = self._stage.journal, len(held)
        rows = np.zeros(count, self._layout)
        seq = journal.next_seq() + RECORDS * np.arange(count)
        told, side, lots, client, reduces, fee = np.array(held, np.int64).T
        number = self._written + 1 + np.arange(count)
        t = self._stream.times_ns(told - 1)
        self._tell(rows, t, seq, told)
        seen = [hashlib.blake2b(one, digest_size=32).digest() for one in decisions]
        rows["decision"] = forms.records(
            forms.DECISION, RecordType.DECISION, Lane.DELIVERY, TRADER, t, seq + 1, seq, wake=seq,
            seen=np.frombuffer(b"".join(seen), "V32"),
        )  # fmt: skip
        rows["request"] = forms.records(
            forms.PLACE, RecordType.REQUEST, Lane.DELIVERY, TRADER, t, seq + 2, seq, action=1, number=number,
            arrival=t + self._entry_ns, instrument=self._number, side=side, type=int(_MARKET), tif=int(_PLAIN[1]),
            stp=int(_PLAIN[5]), flags=reduces, lots=lots, client=client,
        )  # fmt: skip
        gives = np.where(side == _BUY, self._purse.quote, self._purse.base)
        rows["accept"] = forms.records(
            forms.ACCEPT, RecordType.ACCEPT, Lane.ARRIVAL, TRADER, t + self._entry_ns, seq + 3, seq + 2, order=number,
            request=number, status=int(Status.NEW), asset=gives,
        )  # fmt: skip
        self._fill(rows, t, seq, (told, side, lots, fee, number))
        chain, ends = rows.tobytes(), np.cumsum([rows.dtype[name].itemsize for name in rows.dtype.names or ()])
        all_ends = (ends + rows.itemsize * np.arange(count)[:, None]).reshape(-1).tolist()
        inputs, outputs = (
            forms.side_by_side(rows, names)
            for names in (("decision", "request"), ("deliver", "accept", "fill", "posting"))
        )
        journal.add_many(chain, all_ends, inputs, outputs, (2 * count, 4 * count))
        if self._keeps:
            arrivals = (t + self._entry_ns).tolist()
            for at_ns, made, one in zip(arrivals, number.tolist(), held, strict=True):
                self._stage.course.told_outcomes += [(at_ns, said) for said in self._outcomes(made, one)]
        self._written += count
        self._told, self._last_seq = int(told[-1]), int(seq[-1])
        held.clear()
        decisions.clear()

    def _tell(self, rows: forms.Rows, t: IntArray, seq: IntArray, told: IntArray) -> None:
        before = np.concatenate([[self._told], told[:-1]])
        first = self._stream.times_ns(before)
        delivers = forms.records(
            forms.DELIVER, RecordType.DELIVER, Lane.DELIVERY, TRADER, t, seq, told, wakes=told - before,
            first=np.where(first, first, t), spans=1,
        )  # fmt: skip
        delivers["flags"] = int(Flag.OUTPUT | Flag.CAUSE_IS_POSITION)
        span = delivers["span"]
        span["layer"], span["after"], span["upto"] = self._stream.layer, before, told
        rows["deliver"] = delivers

    def _fill(self, rows: forms.Rows, t: IntArray, seq: IntArray, of: tuple[IntArray, ...]) -> None:
        """The fills, and what they moved."""
        told, side, lots, fee, number = of
        purse, row, is_buy = self._purse, self._next + told - 1, side == _BUY
        opened = self._opens[row].astype(np.int64)
        price = np.maximum(1, np.where(is_buy, opened + self._slip, opened - self._slip))
        gives, gets = np.where(is_buy, purse.quote, purse.base), np.where(is_buy, purse.base, purse.quote)
        fee_asset = np.full(len(row), purse.quote) if self._is_fee_in_quote else gets
        notional, units = price * lots * purse.notional_unit, lots * purse.lot_unit
        paid, received = np.where(is_buy, notional, units), np.where(is_buy, units, notional)
        rows["fill"] = forms.records(
            forms.FILL, RecordType.FILL, Lane.ARRIVAL, TRADER, t + self._entry_ns, seq + 4, seq + 3, order=number,
            fill=number, instrument=self._number, side=side, status=int(Status.FILLED), rule=int(Rule.BAR_OPEN),
            role=int(Role.TAKER), quote_kind=int(QuoteKind.BAR), price=price, lots=lots, print=row,
            print_price=opened, print_lots=self._bars.volume[row] // POINTS, best_bid=opened, best_ask=opened,
            decided=t, arrived=t + self._entry_ns, rate=self._rate, fee_asset=fee_asset, fee=fee, asset=gives,
        )  # fmt: skip
        layout = self._layout["posting"]
        entries = 6 if self._rate else 4
        postings = forms.records(
            layout, RecordType.POSTING, Lane.ARRIVAL, TRADER, t + self._entry_ns, seq + 5, seq + 4, entries=entries
        )
        moves = (
            (Account.FREE, gives, -paid), (Account.MARKET, gives, paid), (Account.MARKET, gets, -received),
            (Account.FREE, gets, received), (Account.FREE, fee_asset, -fee), (Account.FEES, fee_asset, fee),
        )  # fmt: skip
        for place, (account, asset, moved) in enumerate(moves[:entries]):
            entry = postings["entry"][:, place]
            entry["account"], entry["asset"] = int(account), asset
            forms.put(entry, "amount", moved)
        rows["posting"] = postings

    def _hand_over(self) -> None:
        """Leave exchange, journal and engine as if they had done it all."""
        self._write()
        stage, stream, desk, purse = self._stage, self._stream, self._desk, self._purse
        told = stream.told[1]
        if told > self._told:
            first_ns, last_ns = stream.times_ns(np.array([self._told, told - 1])).tolist()
            stage.course.told(TRADER, stream.layer, self._told, told, told - self._told, first_ns, last_ns)
        elif self._written:
            stage.course.goes_on(self._last_seq)
        self._engine.goes_on(desk.now_ns, self._written, [])
        if not self._written:
            return
        exchange, book, row = stage.exchange, self._book, self._next + self._told - 1
        book.see(self._bars.open_ns.item(row) + self._entry_ns)
        book.open_of, book.open_left = row, self._bars.volume.item(row) // POINTS
        if self._share != WHOLE:
            book.open_left -= self._last_lots
        exchange.ledger.stand(purse.quote, self._free[0], 0, self._fees[0])
        exchange.ledger.stand(purse.base, self._free[1], 0, self._fees[1])
        exchange.working.made = exchange.working.fills_made = self._written


def _covers(stage: Stage) -> bool:
    """Whether these rules and this tape are such that an order can be filled by hand."""
    plan = stage.plan
    rules = plan.rules
    latency, fills = rules.latency, rules.fills
    tape = plan.ground.tapes[0]
    return (
        len(plan.ground.tapes) == 1
        and isinstance(tape.tape, Bars)
        and tape.tape is tape.bars
        and rules.shorting is None
        and rules.faults.is_empty
        and not (latency.feed.table or latency.entry.table or latency.reply.table)
        and rules.fees.asset in (FeeAsset.QUOTE, FeeAsset.RECEIVED)
        and fills.taker in (Taker.AUTO, Taker.QUOTE)
        and fills.moment is FillMoment.NEXT_OPEN
        and fills.open_grace[0] <= LARGEST_PART
        and tape.listing.hours is None
        and tape.listing.base.name != tape.listing.quote.name
    )
