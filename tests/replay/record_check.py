"""An independent checker: a Record and the tape, and nothing else of the engine.

It walks the records once and asserts what must hold of any run: money is neither made nor lost, to the unit; no fill is
better than the tape allows; nothing happens before its cause, and nothing is told before it was knowable.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from gnomon.replay.bodies import Action
from gnomon.replay.header import Flag, RecordType
from gnomon.replay.record import Record, Recorded

BUY, SELL = 1, 2
MAKER, TAKER = 1, 2
OF_SELF = 4
FREE, LOCKED, MARKET, FEES = 0, 1, 2, 3
AGGRESSOR = {1: 1, -1: 2, 0: 0}
FIRST_LAYER = 2

Column = Sequence[int]


@dataclass(frozen=True)
class Rows:
    """A tape of prints as plain lists."""

    time_ns: Column
    price: Column
    lots: Column
    side: Column
    """1 bought, -1 sold, 0 unknown."""

    @classmethod
    def of(cls, prints: Any) -> Rows:
        return cls(*(getattr(prints, name).tolist() for name in ("time_ns", "price", "lots", "side")))


@dataclass
class Asked:
    """An order as it was asked for."""

    leg: Any
    decided: int
    arrival: int
    lots: int
    """0 for one by amount."""
    executed: int = 0


@dataclass
class RecordCheck:
    """`run` walks; the counts are what was found."""

    record: Record
    tapes: Mapping[int, Rows]
    share: int
    """What a print may give at most, in millionths; 0 where it gives whatever is asked."""
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        config = json.loads(self.record.genesis.config)
        self.assets = list(self.record.genesis.assets)
        self.feed_ns = int(config["rules"].get("latency", {}).get("feed", {}).get("const_ns", 0))
        self.money: list[tuple[int, int, int, int]] = []  # base, quote, units of a lot, of a tick times a lot
        for one in config["listings"]:
            base, quote = one["base"], one["quote"]
            lot_units = Decimal(one["lot"]).scaleb(base["scale"])
            notional = (Decimal(one["tick"]) * Decimal(one["lot"])).scaleb(quote["scale"])
            assert lot_units == int(lot_units)
            assert notional == int(notional)
            row = self.assets.index(base["name"]), self.assets.index(quote["name"]), int(lot_units), int(notional)
            self.money.append(row)
        self.times: list[int] = [0]  # t of each seq
        self.requests: dict[int, Recorded] = {}
        self.legs: dict[int, list[Any]] = {}  # of each request, those that are no order yet
        self.orders: dict[int, Asked] = {}
        self.balances: Counter[tuple[int, int]] = Counter()
        self.used: Counter[tuple[int, int]] = Counter()
        self.awaits: Any = None  # the fill whose posting comes next

    def run(self) -> Counter[str]:
        for one in self.record.entries():
            self._time(one)
            assert self.awaits is None or one.type is RecordType.POSTING
            look = getattr(self, f"_{one.type.name.lower()}", None)
            if look is not None:
                look(one, one.body)
            self.counts[one.type.name.lower()] += 1
        assert self.record.end is not None
        return self.counts

    # --- time ---------------------------------------------------------------------------------------------------------

    def _time(self, one: Recorded) -> None:
        """Records stand in the order of time, each after its cause, by number and by clock."""
        assert one.seq == len(self.times)
        assert one.t >= self.times[-1], f"record {one.seq} goes back in time"
        if one.header.cause and not one.header.flags & Flag.CAUSE_IS_POSITION:
            assert one.header.cause < one.seq
            assert self.times[one.header.cause] <= one.t
        self.times.append(one.t)

    def _deliver(self, one: Recorded, body: Any) -> None:
        """Nothing is told before it was printed, and before the feed carried it; own events not before they were."""
        for span in body.spans:
            tape = self.tapes.get(span.layer - FIRST_LAYER)
            if tape is not None and span.upto > 0:
                assert tape.time_ns[span.upto - 1] + self.feed_ns <= one.t
        if body.own_upto:
            assert body.own_upto < one.seq
            assert self.times[body.own_upto] <= one.t
        self._not_below_zero(one)

    # --- what was asked -----------------------------------------------------------------------------------------------

    def _request(self, one: Recorded, body: Any) -> None:
        assert body.arrival > one.t, "a request arrives after it was decided"
        assert body.number not in self.requests
        self.requests[body.number] = one
        if body.action == Action.PLACE:
            self.legs[body.number] = [body]
        elif body.action in (Action.REPLACE, Action.LIST):
            self.legs[body.number] = list(body.legs)
        self._not_below_zero(one)

    def _arrived(self, one: Recorded, request: int) -> Recorded:
        asked = self.requests[request]
        arrival: int = asked.body.arrival  # type: ignore[attr-defined]  # every request has one
        assert one.t >= arrival, f"record {one.seq} comes before the request it answers"
        return asked

    def _accept(self, one: Recorded, body: Any) -> None:
        asked = self._arrived(one, body.request)
        if body.order not in self.orders:
            self._note(body.order, self.legs[body.request].pop(0), asked)
        self._lock(body.asset, body.lock)

    def _note(self, number: int, leg: Any, asked: Recorded) -> None:
        assert number == len(self.orders) + 1, "orders are numbered as they come"
        arrival: int = asked.body.arrival  # type: ignore[attr-defined]  # every request has one
        self.orders[number] = Asked(leg, asked.t, arrival, leg.lots)

    def _quoted(self, one: Recorded, body: Any) -> None:
        asked = self._arrived(one, body.request)
        quote: Any = asked.body
        for number, price, side in ((body.bid, quote.bid, BUY), (body.ask, quote.ask, SELL)):
            if number and number not in self.orders:
                self._note(number, Side(quote.instrument, side, quote.lots, price), asked)
            elif number:
                assert (self.orders[number].leg.price, self.orders[number].leg.lots) == (price, quote.lots)
        self._lock(body.quote_asset, body.bid_lock - body.bid_released)
        self._lock(body.base_asset, body.ask_lock - body.ask_released)

    def _reject(self, one: Recorded, body: Any) -> None:
        self._arrived(one, body.request)
        assert body.code, "a refusal says why"

    def _order(self, one: Recorded, body: Any) -> None:
        order = self.orders[body.order]
        assert one.t >= order.arrival
        assert body.executed == order.executed
        if order.lots:
            assert body.executed + body.remaining <= order.lots
        self._lock(body.asset, body.released * -1)

    def _trigger(self, one: Recorded, body: Any) -> None:
        order = self.orders[body.order]
        tape = self.tapes[order.leg.instrument]
        assert (tape.time_ns[body.position], tape.price[body.position]) == (one.t, body.price)
        assert one.t > order.arrival

    # --- fills --------------------------------------------------------------------------------------------------------

    def _fill(self, one: Recorded, body: Any) -> None:
        order = self.orders[body.order]
        leg = order.leg
        assert (body.instrument, body.side) == (leg.instrument, leg.side)
        assert (body.decided, body.arrived) == (order.decided, order.arrival)
        assert one.t >= order.arrival
        assert body.lots > 0
        order.executed += body.lots
        if order.lots:
            assert order.executed + body.remaining <= order.lots
        better = 1 if body.side == BUY else -1  # a buyer wants less
        if leg.price:
            assert better * (leg.price - body.price) >= 0, "beyond its limit"
        if body.flags & OF_SELF:
            self.counts["self"] += 1
        elif body.role == MAKER:
            self._maker(one, body, leg, better)
        else:
            self._taker(one, body, better)
        base, quote, lot_units, notional_units = self.money[body.instrument]
        bought, paid = body.lots * lot_units, body.lots * body.price * notional_units
        assert body.fee_asset in (base, quote)
        of = bought if body.fee_asset == base else paid
        assert body.fee == _truncated(of * body.rate)
        self._lock(body.asset, -body.released)
        self.awaits = body, base, quote, bought, paid

    def _maker(self, one: Recorded, body: Any, leg: Any, better: int) -> None:
        """One print, later than the arrival, of the other side, at the order's price or beyond, given out once."""
        tape, row = self.tapes[body.instrument], body.print
        assert (body.print_price, body.print_lots) == (tape.price[row], tape.lots[row])
        assert body.print_side == AGGRESSOR[tape.side[row]]
        assert tape.time_ns[row] == one.t > body.arrived
        assert tape.side[row] * better <= 0, "its own aggressor"
        assert better * (body.price - tape.price[row]) >= 0, "a print that did not come so far"
        assert body.price == leg.price, "a maker trades at its own price"
        if self.share:
            assert body.lots * 1_000_000 <= tape.lots[row] * self.share
            self.used[body.instrument, row] += body.lots
            assert self.used[body.instrument, row] <= tape.lots[row], "a lot of a print given out twice"

    def _taker(self, one: Recorded, body: Any, better: int) -> None:
        """Nothing better than the last print that there was."""
        tape = self.tapes[body.instrument]
        last = bisect_right(tape.time_ns, one.t) - 1
        assert body.print == last
        assert better * (body.price - tape.price[last]) >= 0, "better than the last print"

    def _posting(self, one: Recorded, body: Any) -> None:
        sums: Counter[int] = Counter()
        moved: Counter[tuple[int, int]] = Counter()
        for entry in body.entries:
            sums[entry.asset] += entry.amount
            self.balances[entry.account, entry.asset] += entry.amount
            mine = FREE if entry.account == LOCKED else entry.account
            moved[mine, entry.asset] += entry.amount
        assert not any(sums.values()), f"record {one.seq}: postings that do not sum to zero"
        if self.awaits is not None:
            fill, base, quote, bought, paid = self.awaits
            self.awaits = None
            sign = 1 if fill.side == BUY else -1
            due: Counter[tuple[int, int]] = Counter()
            due[MARKET, base] -= sign * bought
            due[MARKET, quote] += sign * paid
            due[FREE, base] += sign * bought
            due[FREE, quote] -= sign * paid
            due[FREE, fill.fee_asset] -= fill.fee
            due[FEES, fill.fee_asset] += fill.fee
            assert {key: units for key, units in moved.items() if units} == {k: v for k, v in due.items() if v}

    # --- money --------------------------------------------------------------------------------------------------------

    def _lock(self, asset: int, units: int) -> None:
        if units:
            self.balances[FREE, asset] -= units
            self.balances[LOCKED, asset] += units

    def _not_below_zero(self, one: Recorded) -> None:
        for asset in range(len(self.assets)):
            for account in (FREE, LOCKED):
                assert self.balances[account, asset] >= 0, f"before record {one.seq}"

    def _end(self, one: Recorded, body: Any) -> None:
        self._not_below_zero(one)
        closing = {(entry.account, entry.asset): entry.amount for entry in body.balances}
        assert closing == {key: units for key, units in self.balances.items() if units}
        for asset in range(len(self.assets)):
            assert sum(units for (_, of), units in closing.items() if of == asset) == 0


@dataclass(frozen=True)
class Side:
    """One side of a quote, as an order."""

    instrument: int
    side: int
    lots: int
    price: int


def _truncated(product: int) -> int:
    """Of 10^8, toward zero."""
    return product // 10**8 if product >= 0 else -(-product // 10**8)
