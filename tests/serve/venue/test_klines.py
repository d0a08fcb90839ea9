"""Klines: beside candles made by a loop over the prints, at any instant, and never a print too many."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from tests.serve.venue.market_scene import (
    LOT,
    T0,
    TICK,
    ask,
    ground,
    listing,
    refusal,
    rough_prints,
    scene,
    span_of,
    synthetic_prints,
    tape,
)  # fmt: skip

from gnomon.clock import Timeframe
from gnomon.exchange.bars import Bars
from gnomon.exchange.prints import Prints
from gnomon.market.calendar import Hours
from gnomon.replay.ground import Ground, Tape
from gnomon.serve.venue.intervals import LENGTHS_NS, Interval
from gnomon.units import DAY_NS, HOUR_NS, INT64_MAX, MINUTE_NS, SECOND_NS

MS = 1_000_000


def text(value: Decimal) -> str:
    return f"{value:.8f}"


def rows_of(prints: list[tuple[int, int, int, int]], interval: Interval, now_ns: int) -> list[list[Any]]:
    """Candles by a loop: every cell from that of the first print to that of now."""
    cells: dict[int, list[tuple[int, int, int, int]]] = {}
    for row in prints:
        if row[0] <= now_ns:
            cells.setdefault(interval.cell(row[0]), []).append(row)
    found: list[list[Any]] = []
    last = Decimal(0)
    for cell in range(min(cells, default=INT64_MAX), interval.cell(now_ns) + 1):
        inside = cells.get(cell, [])
        prices = [price * TICK for _, price, _, _ in inside] or [last]
        last = prices[-1]
        volume = sum((lots * LOT for _, _, lots, _ in inside), Decimal(0))
        worth = sum((price * TICK * lots * LOT for _, price, lots, _ in inside), Decimal(0))
        bought = [(price * TICK, lots * LOT) for _, price, lots, side in inside if side >= 0]
        found.append(
            [
                interval.open_ns(cell) // MS, text(prices[0]), text(max(prices)), text(min(prices)), text(prices[-1]),
                text(volume), interval.open_ns(cell + 1) // MS - 1, text(worth), len(inside),
                text(sum((lots for _, lots in bought), Decimal(0))),
                text(sum((price * lots for price, lots in bought), Decimal(0))), "0",
            ]
        )  # fmt: skip
    return found


def chosen(rows: list[list[Any]], start: int | None, end: int | None, limit: int) -> list[list[Any]]:
    """Rule 6 of the wire: neither bound, one of them, both."""
    inside = [one for one in rows if (start is None or one[0] >= start) and (end is None or one[0] <= end)]
    return inside[:limit] if start is not None else inside[-limit:]


def told(one: Tape) -> list[tuple[int, int, int, int]]:
    assert isinstance(one.tape, Prints)
    columns = (one.tape.time_ns, one.tape.price, one.tape.lots, one.tape.side)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def instants(market: Ground, chance: random.Random, count: int) -> Iterator[int]:
    first, last = span_of(market)
    prints = market.tapes[0].tape.time_ns.tolist()
    for _ in range(count):
        yield chance.randint(first - MINUTE_NS, last + 10 * MINUTE_NS)
        yield chance.choice(prints) + chance.choice([-1, 0, 1])
        yield chance.randint(first, last) // MINUTE_NS * MINUTE_NS + chance.choice([-1, 0, 1])


@pytest.mark.parametrize("interval", LENGTHS_NS)
@pytest.mark.parametrize("name", ["rough", "synthetic"])
def test_candles_are_those_that_a_loop_over_the_prints_makes(name: str, interval: str) -> None:
    market, chance = scene(name), random.Random(interval)
    grid, prints = Interval.parse(interval), told(market.tapes[1])
    for now_ns in instants(market, chance, 4):
        rows = rows_of(prints, grid, now_ns)
        assert ask(market, "klines", now_ns, symbol="ETHUSDT", interval=interval, limit=1000) == rows[-1000:]
        for _ in range(4):
            start, end = (
                None if chance.random() < 0.4 else (T0 + chance.randint(-HOUR_NS, 4 * HOUR_NS)) // MS for _ in range(2)
            )
            limit = chance.choice([1, 2, 7, 300])
            params = {"symbol": "ETHUSDT", "interval": interval, "limit": limit}
            params |= {key: one for key, one in (("startTime", start), ("endTime", end)) if one is not None}
            assert ask(market, "klines", now_ns, **params) == chosen(rows, start, end, limit)


@pytest.mark.parametrize("zone, offset_ns", [("8", 8 * HOUR_NS), ("-1:00", -HOUR_NS), ("+05:45", 345 * MINUTE_NS)])
@pytest.mark.parametrize("interval", ["15m", "2h", "1d", "3d", "1w", "1M"])
def test_a_time_zone_moves_where_candles_begin(interval: str, zone: str, offset_ns: int) -> None:
    market = scene("rough")
    grid = Interval(interval, LENGTHS_NS[interval], offset_ns)
    now_ns = span_of(market)[1] - SECOND_NS
    rows = ask(market, "uiKlines", now_ns, symbol="BTCUSDT", interval=interval, timeZone=zone)
    assert rows == rows_of(told(market.tapes[0]), grid, now_ns)[-500:]
    local_ns = rows[-1][0] * MS + offset_ns
    assert local_ns % min(grid.length_ns or DAY_NS, DAY_NS) == 0


def test_several_days_of_prints_are_summed_by_minutes_without_losing_one() -> None:
    prints = rough_prints(5, 3_000, 40 * MINUTE_NS)
    market = ground(tape(listing(0, "BTC"), prints))
    rows = told(market.tapes[0])
    assert prints.time_ns[-1] - prints.time_ns[0] > 3 * DAY_NS
    for interval in ("30m", "4h", "1d", "1w", "1M"):
        for now_ns in (prints.time_ns.item(-1), prints.time_ns.item(1_777)):
            oracle = rows_of(rows, Interval.parse(interval), now_ns)[-1000:]
            assert ask(market, "klines", now_ns, symbol="BTCUSDT", interval=interval, limit=1000) == oracle


def test_sums_beyond_int64_are_exact() -> None:
    price, lots = 9_000_000, 900_000_000_000
    times = T0 + np.arange(40) * SECOND_NS
    sides = np.ones(40, np.int8)
    prints = Prints(times, np.full(40, price), np.full(40, lots), sides)
    row = ask(ground(tape(listing(0, "BTC"), prints)), "klines", T0 + HOUR_NS, symbol="BTCUSDT", interval="1h")[0]
    assert row[7] == text(40 * price * TICK * lots * LOT) == row[10]


# --- candles only -----------------------------------------------------------------------------------------------------


def bar_rows(bars: Bars, interval: Interval, now_ns: int) -> list[list[Any]]:
    """A loop over the candles closed by now."""
    cells: dict[int, list[int]] = {}
    for row in range(len(bars)):
        if bars.close_ns[row] <= now_ns:
            cells.setdefault(interval.cell(bars.close_ns.item(row) - 1), []).append(row)
    found: list[list[Any]] = []
    last = Decimal(0)
    for cell in range(min(cells, default=INT64_MAX), interval.cell(now_ns) + 1):
        inside = cells.get(cell, [])
        four = [[c[row] * TICK for c in (bars.open, bars.high, bars.low, bars.close)] for row in inside] or [[last] * 4]
        last = four[-1][3]
        volume = sum((int(bars.volume[row]) for row in inside), 0)
        found.append(
            [
                interval.open_ns(cell) // MS, text(four[0][0]), text(max(one[1] for one in four)),
                text(min(one[2] for one in four)), text(last), text(volume * LOT), interval.open_ns(cell + 1) // MS - 1,
            ]
        )  # fmt: skip
    return found


@pytest.mark.parametrize("name", ["bars", "coarse"])
@pytest.mark.parametrize("interval", LENGTHS_NS)
def test_without_prints_a_candle_forms_of_the_closed_ones(name: str, interval: str) -> None:
    market, chance = scene(name), random.Random(interval)
    bars, grid = market.tapes[0].bars, Interval.parse(interval)
    is_known = (grid.length_ns or 28 * DAY_NS) >= market.timeframe.nominal_ns
    for now_ns in instants(market, chance, 5):
        rows = ask(market, "klines", now_ns, symbol="BTCUSDT", interval=interval, limit=1000)
        assert [one[:7] for one in rows] == (bar_rows(bars, grid, now_ns)[-1000:] if is_known else [])
        assert all(one[8] == 0 and one[11] == "0" for one in rows)


def test_a_candle_is_worth_its_volume_at_the_mean_of_its_four_prices_half_of_it_bought() -> None:
    market = scene("bars")
    bars = market.tapes[0].bars
    row = int(np.flatnonzero(bars.volume == 1_000)[3])
    at = ask(market, "klines", bars.close_ns.item(row), symbol="BTCUSDT", interval="1m", limit=2)[0]
    mean = sum(int(one[row]) for one in (bars.open, bars.high, bars.low, bars.close)) * 1_000 // 4 * TICK * LOT
    assert (at[0], at[7], at[9]) == (bars.open_ns.item(row) // MS, text(mean), text(500 * LOT))


def test_candles_before_the_first_print_are_those_of_the_dataset() -> None:
    market = scene("early")
    one = market.tapes[0]
    assert isinstance(one.tape, Prints)
    first_ns, now_ns = one.tape.time_ns.item(0), one.tape.time_ns.item(-1)
    early = int(one.bars.close_ns.searchsorted(first_ns, "right"))
    assert early > 20
    rows = {row[0]: row for row in ask(market, "klines", now_ns, symbol="BTCUSDT", interval="1m", limit=1000)}
    for row in range(len(one.bars)):
        answer = rows.get(one.bars.open_ns.item(row) // MS)
        if answer is not None and one.bars.close_ns[row] <= now_ns:
            prices = [text(int(c[row]) * TICK) for c in (one.bars.open, one.bars.high, one.bars.low, one.bars.close)]
            assert answer[1:6] == [*prices, text(int(one.bars.volume[row]) * LOT)]
            assert bool(answer[8]) is (row >= early)
    hours = ask(market, "klines", now_ns, symbol="BTCUSDT", interval="1h", limit=1000)
    total = sum(int(one) for one in one.bars.volume[:early]) * LOT
    total += sum(lots for at_ns, _, lots, _ in told(one) if at_ns <= now_ns) * LOT
    assert sum(Decimal(row[5]) for row in hours) == total
    seconds = ask(market, "klines", now_ns, symbol="BTCUSDT", interval="1s", limit=1000, startTime=0)
    assert seconds[0][0] == first_ns // SECOND_NS * 1_000


def test_the_candles_of_the_session_are_told_as_its_traders_are_told_them() -> None:
    prints = synthetic_prints("BTCUSDT")
    own = ground(tape(listing(0, "BTC"), prints)).tapes[0].bars
    odd = Bars(own.open_ns, own.close_ns, own.open, own.high + 3, own.low - 3, own.close, own.volume + 1)
    market = ground(tape(listing(0, "BTC"), prints, told=odd))
    now_ns = odd.close_ns.item(50)
    rows = ask(market, "klines", now_ns, symbol="BTCUSDT", interval="1m", startTime=odd.open_ns.item(50) // MS, limit=1)
    assert rows[0][2:4] == [text(odd.high.item(50) * TICK), text(odd.low.item(50) * TICK)]
    assert rows[0][5] == text(odd.volume.item(50) * LOT)


def test_a_market_with_hours_has_no_candle_while_nothing_is_traded() -> None:
    prints = rough_prints(1, 400, 20 * MINUTE_NS)
    hours = Hours.of([(T0, T0 + 10 * DAY_NS)])
    market = ground(tape(listing(0, "SPY", hours=hours), prints))
    now_ns = prints.time_ns.item(-1) + 5 * MINUTE_NS
    rows = ask(market, "klines", now_ns, symbol="SPYUSDT", interval="1m", limit=1000)
    assert [one[0] for one in rows] == sorted({at // MINUTE_NS * 60_000 for at in prints.time_ns.tolist()})
    assert ask(market, "klines", now_ns, symbol="SPYUSDT", interval="1m", limit=7) == rows[-7:]
    seconds = sorted({at // SECOND_NS * 1_000 for at in prints.time_ns.tolist()})
    told = ask(market, "klines", now_ns, symbol="SPYUSDT", interval="1s", limit=1000)
    assert [one[0] for one in told] == seconds
    assert ask(market, "klines", now_ns, symbol="SPYUSDT", interval="1s", limit=1000, startTime=0) == told
    start = rows[3][0] + 1
    assert ask(market, "klines", now_ns, symbol="SPYUSDT", interval="1m", limit=5, startTime=start) == rows[4:9]


def test_candles_that_lie_on_no_grid_are_given_as_they_are() -> None:
    opens = np.array([T0 // DAY_NS * DAY_NS + day * DAY_NS + 13 * HOUR_NS + 30 * MINUTE_NS for day in (0, 1, 4, 5)])
    four = [np.array([100, 110, 120, 130]) + more for more in (0, 5, -5, 1)]
    bars = Bars(opens, opens + 13 * HOUR_NS // 2, *four, np.array([10, 20, 30, 40]))
    market = ground(tape(listing(0, "SPY"), bars), timeframe=Timeframe.parse("1d"))
    closes = bars.close_ns.tolist()
    for now_ns, count in ((closes[0] - 1, 0), (closes[0], 1), (closes[2] - 1, 2), (closes[3] + DAY_NS, 4)):
        rows = ask(market, "klines", now_ns, symbol="SPYUSDT", interval="1d")
        assert [one[0] for one in rows] == (opens[:count] // MS).tolist()
        assert [one[6] for one in rows] == [one // MS - 1 for one in closes[:count]]
    since = ask(market, "klines", closes[3], symbol="SPYUSDT", interval="1d", startTime=opens[1] // MS, limit=2)
    assert [one[4] for one in since] == ["1.11000000", "1.21000000"]


# --- what is refused --------------------------------------------------------------------------------------------------


def test_parameters_are_refused_in_the_venues_words() -> None:
    market, now_ns = scene("rough"), T0 + HOUR_NS
    good = {"symbol": "BTCUSDT", "interval": "1m"}
    mandatory = "Mandatory parameter '{}' was not sent, was empty/null, or malformed."
    number = "Illegal characters found in parameter '{}'; legal range is '^[0-9]{{1,20}}$'."
    characters = "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'."
    cases: list[tuple[dict[str, str], int, str]] = [
        ({"interval": "1m"}, -1102, mandatory.format("symbol")),
        ({"symbol": "BTCUSDT"}, -1102, mandatory.format("interval")),
        (good | {"symbol": ""}, -1105, "Parameter 'symbol' was empty."),
        (good | {"symbol": "BTCUSD"}, -1121, "Invalid symbol."),
        (good | {"symbol": "btc/usdt"}, -1100, characters),
        (good | {"interval": "1minute"}, -1120, "Invalid interval."),
        (good | {"interval": "1D"}, -1120, "Invalid interval."),
        (good | {"limit": "x"}, -1100, number.format("limit")),
        (good | {"limit": "-1"}, -1100, number.format("limit")),
        (good | {"limit": "0"}, -1130, "Data sent for parameter 'limit' is not valid."),
        (good | {"startTime": "1.5"}, -1100, number.format("startTime")),
        (good | {"endTime": "99999999999999999999"}, -1108, "Parameter 'endTime' overflowed."),
        (good | {"timeZone": "15"}, -1130, "Data sent for parameter 'timeZone' is not valid."),
        (good | {"timeZone": "UTC"}, -1130, "Data sent for parameter 'timeZone' is not valid."),
    ]  # fmt: skip
    for params, code, msg in cases:
        assert refusal(market, "klines", now_ns, **params) == (code, msg)


def test_limits_are_cut_and_microseconds_understood() -> None:
    market, now_ns = scene("synthetic"), T0 + 3 * HOUR_NS
    many = ask(market, "klines", now_ns, symbol="BTCUSDT", interval="1s", limit=5_000)
    assert len(many) == 1_000
    assert len(ask(market, "klines", now_ns, symbol="BTCUSDT", interval="1s")) == 500
    start_us = (T0 + HOUR_NS) // 1_000
    rows = ask(market, "klines", now_ns, symbol="BTCUSDT", interval="1m", startTime=start_us, limit=2)
    assert rows == ask(market, "klines", now_ns, symbol="BTCUSDT", interval="1m", startTime=start_us // 1_000, limit=2)
    assert ask(market, "klines", now_ns, symbol="BTCUSDT", interval="1m", startTime=(now_ns + DAY_NS) // MS) == []
    assert ask(market, "klines", T0 - DAY_NS, symbol="BTCUSDT", interval="1m") == []
