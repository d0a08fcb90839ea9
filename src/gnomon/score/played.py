"""A played run as columns: what its Record holds in integers, read into what the figures are computed from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

import numpy as np

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.exchange.bars import Bars
from gnomon.exchange.ledger import Account
from gnomon.exchange.order import OrderType, Status
from gnomon.exchange.outcome import Refusal, Role
from gnomon.replay.bodies import (
    Accept,
    Fill,
    OrderChange,
    PostingGroup,
    Quoted,
    Reject,
    RequestList,
    RequestPlace,
    RequestQuote,
    RequestReplace,
)
from gnomon.replay.explain import why_filled, why_refused
from gnomon.replay.ground import Ground, Tape
from gnomon.replay.header import RecordType
from gnomon.replay.record import Record, Recorded
from gnomon.score.run_record import BUY, NEVER, SELL, Fills, Marks, Orders, Periods, RunRecord
from gnomon.score.run_record import Listing as Named
from gnomon.units import FloatArray, IntArray

MINE: Final = (Account.FREE, Account.LOCKED, Account.BORROWED)
OPEN: Final = (Status.NEW, Status.PARTIALLY_FILLED, Status.PENDING_NEW)


@dataclass(slots=True)
class _Asked:
    """A request: when it was decided and arrives, and its orders as (side, kind, lots)."""

    instrument: int
    decided_ns: int
    arrived_ns: int
    legs: list[tuple[int, str, int]]


@dataclass(slots=True)
class _Made:
    """An order, as far as the Record has told it."""

    number: int
    asked: _Asked
    side: int
    kind: str
    lots: int
    acked_ns: int
    done_ns: int = NEVER
    executed: int = 0
    status: str = "NEW"
    reject: str = ""
    why: str = ""


@dataclass(slots=True)
class _Filled:
    """A fill, with the holding once it is booked."""

    at_ns: int
    fill: Fill
    position_units: int = 0


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    bases: Sequence[int]  # number of each listing's base asset
    asked: dict[int, _Asked] = field(default_factory=dict)
    made: dict[int, _Made] = field(default_factory=dict)
    refused: list[_Made] = field(default_factory=list)
    filled: list[_Filled] = field(default_factory=list)
    held: dict[int, int] = field(default_factory=dict)  # units by asset
    moves: list[tuple[int, int, int]] = field(default_factory=list)  # ns, asset, units

    def take(self, one: Recorded) -> None:
        reader = _READERS.get(one.type)
        if reader is not None:
            reader(self, one, one.body)

    def request(self, one: Recorded, body: Any) -> None:
        self.asked[body.number] = _Asked(*_legs(one.t, body))

    def accept(self, one: Recorded, body: Accept) -> None:
        if body.order in self.made:  # a pending order of a list begins: it was acknowledged with the list
            return
        if not body.request:  # the venue buys back what was sold short
            short = next((n for n, base in enumerate(self.bases) if self.held.get(base, 0) < 0), 0)
            called = _Asked(short, one.t, one.t, [(1, OrderType.MARKET.name, 0)])
            self.made[body.order] = _Made(body.order, called, 1, OrderType.MARKET.name, 0, one.t)
            return
        asked = self.asked[body.request]
        known = sum(made.asked is asked for made in self.made.values()) if len(asked.legs) > 1 else 0
        side, kind, lots = asked.legs[min(known, len(asked.legs) - 1)]
        self.made[body.order] = _Made(body.order, asked, side, kind, lots, one.t)

    def quoted(self, one: Recorded, body: Quoted) -> None:
        asked = self.asked[body.request]
        for number, (side, kind, lots) in zip((body.bid, body.ask), asked.legs, strict=True):
            if number and number not in self.made:
                self.made[number] = _Made(number, asked, side, kind, lots, one.t)
        for gone in (body.bid_gone, body.ask_gone):
            if gone:
                self._done(gone, one.t, Status.CANCELED)

    def reject(self, one: Recorded, body: Reject) -> None:
        asked = self.asked[body.request]
        side, kind, lots = asked.legs[0] if asked.legs else (0, "CANCEL", 0)
        refused = _Made(0, asked, side, kind, lots, one.t, one.t, 0, "REJECTED", Refusal(body.code).name)
        refused.why = why_refused(body)
        self.refused.append(refused)

    def change(self, one: Recorded, body: OrderChange) -> None:
        if body.status not in OPEN:
            self._done(body.order, one.t, Status(body.status))

    def fill(self, one: Recorded, body: Fill) -> None:
        made = self.made[body.order]
        made.executed += body.lots
        if made.asked.instrument != body.instrument:  # of a call nothing said so before
            made.asked = replace(made.asked, instrument=body.instrument)
        made.lots = max(made.lots, made.executed)  # of a MARKET order by amount nobody asked for lots
        made.status = Status(body.status).name
        if body.status == Status.FILLED:
            made.done_ns = one.t
        self.filled.append(_Filled(one.t, body))

    def posting(self, one: Recorded, body: PostingGroup) -> None:
        for entry in body.entries:
            if entry.account in MINE:
                self.held[entry.asset] = self.held.get(entry.asset, 0) + entry.amount
                self.moves.append((one.t, entry.asset, entry.amount))
        if self.filled:
            last = self.filled[-1]
            last.position_units = self.held.get(self.bases[last.fill.instrument], 0)

    def _done(self, number: int, at_ns: int, status: Status) -> None:
        made = self.made[number]
        made.done_ns, made.status = at_ns, status.name


_READERS: Final[dict[RecordType, Callable[[_Reading, Recorded, Any], None]]] = {
    RecordType.REQUEST: _Reading.request,
    RecordType.ACCEPT: _Reading.accept,
    RecordType.QUOTED: _Reading.quoted,
    RecordType.REJECT: _Reading.reject,
    RecordType.ORDER: _Reading.change,
    RecordType.FILL: _Reading.fill,
    RecordType.POSTING: _Reading.posting,
}


def _legs(decided_ns: int, body: Any) -> tuple[int, int, int, list[tuple[int, str, int]]]:
    match body:
        case RequestPlace():
            return body.instrument, decided_ns, body.arrival, [(body.side, OrderType(body.type).name, body.lots)]
        case RequestQuote():
            return body.instrument, decided_ns, body.arrival, [(1, "QUOTE", body.lots), (2, "QUOTE", body.lots)]
        case RequestReplace() | RequestList():
            legs = [(leg.side, OrderType(leg.type).name, leg.lots) for leg in body.legs]
            return body.legs[0].instrument, decided_ns, body.arrival, legs
    return body.instrument, decided_ns, body.arrival, []


def run_record(
    run: str, record: Record, ground: Ground, calendar: str, window_ns: tuple[int, int], *, in_words: bool = False
) -> RunRecord:
    """The columns of a run over its ground, marked at the closes of its candles. `Invalid` for a Record that is not of
    the ground, or listings that are paid in different assets. With `in_words` each fill says in a sentence why it came
    about: for people who look at it, and a cost that a sweep need not have."""
    genesis = record.genesis
    if genesis.instruments != tuple(one.id for one in ground.listings):
        raise Invalid("the record is of other instruments than the ground", hint="open the dataset that GENESIS names")
    quotes = {one.quote.name for one in ground.listings}
    if len(quotes) != 1:
        raise Invalid(f"a run paid in {', '.join(sorted(quotes))}", hint="figures need one quote asset for all")
    numbers = {name: number for number, name in enumerate(genesis.assets)}
    reading = _Reading([numbers[one.base.name] for one in ground.listings])
    for one in record.entries():
        reading.take(one)
    marks_ns = _mark_times(ground, window_ns)
    (quote,) = quotes
    return RunRecord(
        run=run,
        quote=quote,
        listings=tuple(_named(tape) for tape in ground.tapes),
        assets=genesis.assets,
        marks=_marks(reading, ground, marks_ns, numbers, quote),
        fills=_fills(reading, ground, genesis.assets, numbers[quote], in_words),
        orders=_orders(reading, ground),
        periods=_periods(ground.timeframe, calendar, marks_ns),
    )


def _named(tape: Tape) -> Named:
    listing = tape.listing
    places = [max(0, -cast(int, step.normalize().as_tuple().exponent)) for step in (listing.tick, listing.lot)]
    return Named(listing.id, listing.base.name, *places)


def _mark_times(ground: Ground, window_ns: tuple[int, int]) -> IntArray:
    start_ns, end_ns = window_ns
    closes = [one.bars.close_ns for one in ground.tapes]
    inside = np.unique(np.concatenate([one[(one > start_ns) & (one < end_ns)] for one in closes]))
    return np.concatenate([[start_ns], inside, [end_ns]])


def _periods(timeframe: Timeframe, calendar: str, marks_ns: IntArray) -> Periods:
    return Periods.of(calendar, timeframe, marks_ns[1:])


def _marks(reading: _Reading, ground: Ground, at_ns: IntArray, numbers: dict[str, int], quote: str) -> Marks:
    prices, highs, lows, positions = [], [], [], []
    for tape in ground.tapes:
        tick = float(tape.listing.tick)
        price, high, low = _prices(tape, at_ns)
        prices.append(price * tick)
        highs.append(high * tick)
        lows.append(low * tick)
        base = tape.listing.base
        positions.append(_held(reading, numbers[base.name], at_ns) / 10.0**base.scale)
    scale = ground.tapes[0].listing.quote.scale
    cash = _held(reading, numbers[quote], at_ns) / 10.0**scale
    price, position = np.column_stack(prices), np.column_stack(positions)
    return Marks(
        at_ns,
        cash + np.nansum(position * price, axis=1),
        cash,
        position,
        price,
        np.column_stack(highs),
        np.column_stack(lows),
    )


def _held(reading: _Reading, asset: int, at_ns: IntArray) -> FloatArray:
    """Units of the trader's own at each instant, what happened at it included."""
    moves = [(t, units) for t, number, units in reading.moves if number == asset]
    if not moves:
        return np.zeros(len(at_ns))
    total, running = [], 0
    for _, units in moves:
        running += units
        total.append(float(running))
    index = np.searchsorted(np.array([t for t, _ in moves], np.int64), at_ns, "right")
    return np.concatenate([[0.0], total])[index]


def _prices(tape: Tape, at_ns: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """In ticks: the newest price at each instant, and the extremes since the one before.

    Instants before the first price are valued at it: what was held at the opening was worth something.
    """
    if isinstance(tape.tape, Bars):
        times, close, high, low = tape.tape.close_ns, tape.tape.close, tape.tape.high, tape.tape.low
    else:
        times = tape.tape.time_ns
        close = high = low = tape.tape.price
    stops = np.searchsorted(times, at_ns, "right")
    newest = np.asarray(close, np.float64)[np.maximum(stops - 1, 0)]
    starts = np.concatenate([stops[:1], stops[:-1]])
    highs, lows = newest.copy(), newest.copy()
    full = np.flatnonzero(stops > starts)
    if len(full):
        edges = np.column_stack([starts[full], stops[full]]).ravel()
        for extreme, column, out in ((np.maximum, high, highs), (np.minimum, low, lows)):
            padded = np.append(np.asarray(column, np.float64), np.nan)
            with np.errstate(invalid="ignore"):
                found = extreme.reduceat(padded, edges)[::2]
            out[full] = found
    return newest, highs, lows


def _price_at(tape: Tape, at_ns: IntArray) -> FloatArray:
    return _prices(tape, at_ns)[0] * float(tape.listing.tick)


def _fills(reading: _Reading, ground: Ground, assets: Sequence[str], quote: int, in_words: bool) -> Fills:
    if not reading.filled:
        return Fills.none()
    found = reading.filled
    bodies = [one.fill for one in found]
    listings = [ground.listings[body.instrument] for body in bodies]
    price = np.array([body.price * float(one.tick) for body, one in zip(bodies, listings, strict=True)])
    quantity = np.array([body.lots * float(one.lot) for body, one in zip(bodies, listings, strict=True)])
    scales = {quote: ground.listings[0].quote.scale}
    scales |= {reading.bases[one.number]: one.base.scale for one in ground.listings}
    fee = np.array([body.fee / 10.0 ** scales.get(body.fee_asset, 8) for body in bodies])
    fee_asset = _whole(body.fee_asset for body in bodies)
    decided, arrived = _whole(body.decided for body in bodies), _whole(body.arrived for body in bodies)
    at_ns = _whole(one.at_ns for one in found)
    maker = np.array([body.role == Role.MAKER for body in bodies])
    instrument = _whole(body.instrument for body in bodies)
    return Fills(
        number=_whole(body.fill for body in bodies),
        order=_whole(body.order for body in bodies),
        instrument=instrument,
        side=_whole(BUY if body.side == 1 else SELL for body in bodies),
        at_ns=at_ns,
        decided_ns=decided,
        arrived_ns=arrived,
        queued_ns=np.where(maker, at_ns - arrived, 0),
        fee_asset=fee_asset,
        price=price,
        quantity=quantity,
        notional=price * quantity,
        fee=fee,
        fee_quote=fee * _worth(ground, assets, quote, fee_asset, at_ns, instrument, price),
        position_after=np.array(
            [one.position_units / 10.0**item.base.scale for one, item in zip(found, listings, strict=True)]
        ),
        decision_price=_by_instrument(ground, instrument, decided),
        arrival_price=_by_instrument(ground, instrument, arrived),
        maker=maker,
        why=tuple(why_filled(body, one) for body, one in zip(bodies, listings, strict=True)) if in_words else (),
    )


def _worth(
    ground: Ground,
    assets: Sequence[str],
    quote: int,
    fee_asset: IntArray,
    at_ns: IntArray,
    instrument: IntArray,
    price: FloatArray,
) -> FloatArray:
    """What one of each fee's asset is worth in the quote asset: the fill's own price for what was traded, else the
    newest price of the asset itself. The venue charges no asset that has none."""
    found = np.where(fee_asset == quote, 1.0, price)
    own = np.array([assets.index(one.base.name) for one in ground.listings])[instrument]
    for tape in ground.tapes:
        asset = assets.index(tape.listing.base.name)
        rows = (fee_asset == asset) & (fee_asset != own) & (fee_asset != quote)
        if rows.any():
            found[rows] = _price_at(tape, at_ns[rows])
    return found


def _by_instrument(ground: Ground, instrument: IntArray, at_ns: IntArray) -> FloatArray:
    found = np.full(len(at_ns), np.nan)
    for number, tape in enumerate(ground.tapes):
        rows = instrument == number
        found[rows] = _price_at(tape, at_ns[rows])
    return found


def _orders(reading: _Reading, ground: Ground) -> Orders:
    made = [*reading.made.values(), *reading.refused]
    if not made:
        return Orders.none()
    lot = [float(ground.listings[one.asked.instrument].lot) for one in made]
    return Orders(
        number=_whole(one.number for one in made),
        instrument=_whole(one.asked.instrument for one in made),
        side=_whole(BUY if one.side == 1 else SELL for one in made),
        decided_ns=_whole(one.asked.decided_ns for one in made),
        arrived_ns=_whole(one.asked.arrived_ns for one in made),
        acked_ns=_whole(one.acked_ns for one in made),
        done_ns=_whole(one.done_ns for one in made),
        quantity=np.array([one.lots * size for one, size in zip(made, lot, strict=True)]),
        executed=np.array([one.executed * size for one, size in zip(made, lot, strict=True)]),
        kind=tuple(one.kind for one in made),
        status=tuple(one.status for one in made),
        reject_code=tuple(one.reject for one in made),
        reject_text=tuple(one.why for one in made),
    )


def _whole(values: Any) -> IntArray:
    return np.array(list(values), np.int64)
