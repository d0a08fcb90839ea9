"""Markets to ask: prints of every kind, candles only, recorded books; and somebody who asks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
import orjson

from gnomon.clock import Timeframe, parse_instant
from gnomon.exchange.bars import Bars
from gnomon.exchange.exchange import Exchange
from gnomon.exchange.listing import Asset, Listing
from gnomon.exchange.prints import Prints
from gnomon.exchange.recorded import Recorded
from gnomon.exchange.rules import Fills, Rules
from gnomon.market.block_index import BlockIndex
from gnomon.market.calendar import Hours, always
from gnomon.market.depth import CHANGE, SNAPSHOT, Depth
from gnomon.market.instrument import Instrument
from gnomon.market.ladder import Ladder
from gnomon.market.quotes import Quotes
from gnomon.market.synth import synthetic_trades
from gnomon.replay.ground import Ground, Tape, bars_from_prints
from gnomon.serve.venue.call import Call
from gnomon.serve.venue.market_data import HANDLERS
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.sources.instruments import shipped_instruments
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS, Grid

T0 = parse_instant("2024-02-28T22:10:00Z")
MINUTE = Timeframe.parse("1m")
TICK, LOT = Decimal("0.01"), Decimal("0.00001")


def listing(number: int, name: str, **more: Any) -> Listing:
    return Listing(number, f"binance:{name}USDT", Asset(name), Asset("USDT"), TICK, LOT, **more)


def tape(one: Listing, rows: Prints | Bars, recorded: Recorded | None = None, told: Bars | None = None) -> Tape:
    if isinstance(rows, Bars):
        return Tape(one, rows, BlockIndex.of_ranges(rows.low, rows.high, rows.volume), told or rows)
    index = BlockIndex.of_prints(rows.price, rows.lots, rows.side)
    return Tape(one, rows, index, told or bars_from_prints(rows, MINUTE_NS), recorded)


def ground(*tapes: Tape, timeframe: Timeframe = MINUTE) -> Ground:
    return Ground(tapes, timeframe, bytes(32))


@cache
def synthetic_prints(symbol: str, hours: int = 3, mean_gap_ns: int = 5 * SECOND_NS, seed: int = 7) -> Prints:
    instrument: Instrument = shipped_instruments().find(symbol)
    end_ns = T0 + hours * HOUR_NS
    trades = synthetic_trades(
        instrument, always(T0 // DAY_NS - 1, end_ns // DAY_NS + 1), T0, end_ns, mean_gap_ns=mean_gap_ns, seed=seed
    )
    return Prints(trades.time_ns, trades.price, trades.size, trades.side)


def rough_prints(seed: int, n: int, widest_gap_ns: int = 90 * SECOND_NS) -> Prints:
    """Equal stamps, stamps a nanosecond apart, stamps on the minute, pauses, prints without an aggressor."""
    chance = np.random.default_rng(seed)
    price = np.maximum(100, 10_000 + np.cumsum(chance.choice([-1, 0, 0, 1, -40, 40], n)))
    gaps = chance.choice([0, 1, 1_000, 50_000_000, widest_gap_ns], n, p=[0.4, 0.1, 0.1, 0.35, 0.05])
    time_ns = T0 + 1 + np.cumsum(gaps)
    time_ns[n // 2 :] += MINUTE_NS - time_ns[n // 2] % MINUTE_NS
    side = chance.choice([-1, 0, 1], n, p=[0.45, 0.1, 0.45]).astype(np.int8)
    return Prints(time_ns, price, chance.integers(1, 60_000, n), side)


def rough_bars(seed: int, n: int, length_ns: int = MINUTE_NS) -> Bars:
    """Bars that are missing, bars of no volume."""
    chance = np.random.default_rng(seed)
    close = np.maximum(200, 10_000 + np.cumsum(chance.integers(-15, 16, n)))
    first = np.concatenate([close[:1], close[:-1]]) + chance.choice([0, 0, 0, 6, -6], n)
    high = np.maximum(first, close) + chance.integers(0, 12, n)
    low = np.minimum(first, close) - chance.integers(0, 12, n)
    volume = chance.choice([0, 8, 41, 1_000], n, p=[0.05, 0.15, 0.3, 0.5])
    open_ns = T0 // length_ns * length_ns + np.cumsum(chance.choice([1, 1, 1, 1, 3], n)) * length_ns
    return Bars(open_ns, open_ns + length_ns, first, high, low, close, volume)


def rough_book(seed: int, prints: Prints, n: int = 400, with_quotes: bool = True) -> Recorded:
    """Depth that begins a fifth into the prints, with a snapshot then and one later; quotes from a tenth on."""
    chance = np.random.default_rng(seed)
    first_ns, last_ns = prints.time_ns.item(0), prints.time_ns.item(-1)
    span = last_ns - first_ns
    times = np.sort(first_ns + span // 5 + chance.integers(0, span * 4 // 5, n))
    rows: list[tuple[int, int, int, int, int, int]] = []
    for number, at_ns in enumerate(times.tolist()):
        middle = prints.price.item(prints.until(at_ns) - 1)
        if number in (0, n // 2):
            levels = [
                (side, middle - side * far, int(chance.integers(1, 900))) for side in (1, -1) for far in range(1, 40)
            ]
            rows += [(at_ns, side, price, lots, SNAPSHOT, number) for side, price, lots in levels]
            continue
        for _ in range(int(chance.integers(1, 6))):
            side = int(chance.choice([1, -1]))
            price = middle - side * int(chance.integers(1, 30))
            rows.append((at_ns, side, price, int(chance.choice([0, 5, 70, 300])), CHANGE, number))
    at, side, price, size, kind, update = np.array(rows, np.int64).T.copy()
    grids = Grid(TICK), Grid(LOT)
    depth = Depth(
        "x", *grids, at, at, side.astype(np.int8), price, size, kind.astype(np.uint8), update, int(times[0])
    ).check()
    quotes = None
    if with_quotes:
        told = np.sort(first_ns + span // 10 + chance.integers(0, span * 9 // 10, n))
        middle = prints.price[np.searchsorted(prints.time_ns, told, "right") - 1]
        quotes = Quotes(
            "x", *grids, told, told, middle - 1, chance.integers(1, 50, n), middle + chance.integers(1, 3, n),
            chance.integers(1, 50, n),
        ).check()  # fmt: skip
    return Recorded(quotes, Ladder(depth))


@cache
def scene(name: str) -> Ground:
    """`synthetic`, `rough`, `bars`, `coarse` (candles of an hour), `recorded`, `early` (candles before prints), `hours`
    (a market that closes), `odd` (days from 13:30 to 20:00)."""
    if name == "synthetic":
        return ground(
            tape(listing(0, "BTC"), synthetic_prints("BTCUSDT")), tape(listing(1, "ETH"), synthetic_prints("ETHUSDT"))
        )
    if name == "rough":
        return ground(tape(listing(0, "BTC"), rough_prints(1, 900)), tape(listing(1, "ETH"), rough_prints(2, 600)))
    if name == "bars":
        return ground(tape(listing(0, "BTC"), rough_bars(3, 400)), tape(listing(1, "ETH"), rough_bars(4, 300)))
    if name == "coarse":
        hour = Timeframe.parse("1h")
        return ground(tape(listing(0, "BTC"), rough_bars(5, 900, HOUR_NS)), timeframe=hour)
    if name == "early":
        prints = rough_prints(6, 700)
        bars = rough_bars(7, 60)
        own = bars_from_prints(prints, MINUTE_NS)
        early = replace(bars, open_ns=bars.open_ns - DAY_NS // 10, close_ns=bars.close_ns - DAY_NS // 10)
        early = _rows(early, early.close_ns <= own.open_ns[0])
        columns = (
            np.concatenate([getattr(one, column) for one in (early, own)])
            for column in ("open_ns", "close_ns", "open", "high", "low", "close", "volume")
        )
        return ground(tape(listing(0, "BTC"), prints, told=Bars(*columns)))
    if name == "hours":
        hours = Hours.of([(T0, T0 + 12 * MINUTE_NS), (T0 + 20 * MINUTE_NS, T0 + 30 * MINUTE_NS)])
        return ground(tape(listing(0, "BTC", hours=hours), rough_prints(12, 700)))
    if name == "odd":
        days = rough_bars(13, 40, DAY_NS)
        open_ns = days.open_ns + 13 * HOUR_NS + 30 * MINUTE_NS
        odd = replace(days, open_ns=open_ns, close_ns=open_ns + 13 * HOUR_NS // 2)
        return ground(tape(listing(0, "BTC"), odd), timeframe=Timeframe.parse("1d"))
    assert name == "recorded"
    prints, more = rough_prints(8, 900), rough_prints(9, 500)
    return ground(
        tape(listing(0, "BTC"), prints, rough_book(10, prints)),
        tape(listing(1, "ETH"), more, rough_book(11, more, with_quotes=False)),
    )


def _rows(bars: Bars, chosen: Any) -> Bars:
    return Bars(
        *(getattr(bars, one)[chosen] for one in ("open_ns", "close_ns", "open", "high", "low", "close", "volume"))
    )


SCENES = ("synthetic", "rough", "bars", "coarse", "recorded", "early")


def span_of(market: Ground) -> tuple[int, int]:
    return market.span()


@dataclass
class OpenCourse:
    """A course without an account."""

    now_ns: int
    ground: Ground
    exchange: Exchange
    account: Any = None

    def send(self, request: Any, then: Any) -> int:
        raise AssertionError(f"{request} {then}: nothing here sends")

    def client(self, text: str) -> int:
        raise AssertionError(text)


def course(market: Ground, now_ns: int, fills: Fills | None = None) -> OpenCourse:
    tapes = {one.listing.number: one.tape for one in market.tapes}
    return OpenCourse(now_ns, market, Exchange(market.listings, tapes, Rules(fills or Fills())))


def raw(market: Ground, method: str, now_ns: int, fills: Fills | None = None, **params: Any) -> bytes:
    """The answer as it goes out."""
    texts = {name: one if isinstance(one, str) else str(one) for name, one in params.items()}
    value = HANDLERS[method](Call(method, texts, course(market, now_ns, fills), lambda *_: None))
    return value if isinstance(value, bytes) else orjson.dumps(value)


def ask(market: Ground, method: str, now_ns: int, fills: Fills | None = None, **params: Any) -> Any:
    return orjson.loads(raw(market, method, now_ns, fills, **params))


def answer(market: Ground, method: str, now_ns: int, **params: Any) -> bytes:
    """What goes out, refusals too."""
    try:
        return raw(market, method, now_ns, **params)
    except VenueRefusal as refused:
        return orjson.dumps(refused.document())


def refusal(market: Ground, method: str, now_ns: int, **params: Any) -> tuple[int, str]:
    try:
        raw(market, method, now_ns, **params)
    except VenueRefusal as refused:
        return refused.code, refused.msg
    raise AssertionError(f"{method} {params} was answered")
