"""Real recordings as a venue shows them: five minutes of two books of Binance with their prints, hours of candles."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.serve.venue.market_scene import ask, span_of
from tests.serve.venue.test_streams import applied, as_book, one_by_one

from gnomon.clock import Timeframe
from gnomon.exchange.rules import Rules
from gnomon.market.candles import Candles
from gnomon.market.trades import Trades
from gnomon.replay.ground import Ground, recorded_of, tape_of
from gnomon.replay.listings import Traded, listings
from gnomon.replay.run import RunPlan
from gnomon.serve.venue.streams import Streams
from gnomon.sources.files.read import read
from gnomon.sources.instruments import shipped_instruments
from gnomon.units import HOUR_NS, MINUTE_NS, SECOND_NS

FEEDS = {"usdm_btcusdt_20240808.gz": 1_272_402_468, "spot_btcusdt_20240809.gz": 1_276_159_997}
MS = 1_000_000

pytestmark = pytest.mark.slow


@cache
def feed(path: Path) -> Ground:
    imported = read(path, instruments=shipped_instruments(), clock_shift_ns=FEEDS[path.name])
    trades = imported.series[0]
    assert isinstance(trades, Trades)
    (listing,) = listings([Traded(imported.instruments[0], trades.tick, trades.lot)])
    frame = Timeframe.parse("1m")
    tape = tape_of(listing, trades, [], frame, None, recorded_of(imported.series, trades.tick, trades.lot))
    return Ground((tape,), frame, bytes(32))


@pytest.fixture(params=FEEDS)
def market(request: pytest.FixtureRequest, shared: Path) -> Ground:
    return feed(shared / "data/hftbacktest_feeds" / request.param)


def streams(market: Ground) -> Streams:
    first, last = span_of(market)
    return Streams(RunPlan(market, Rules(), first, last, 0))


def symbol_of(market: Ground) -> str:
    return str(ask(market, "exchangeInfo", span_of(market)[1])["symbols"][0]["symbol"])


def test_diffs_of_a_real_book_lead_from_a_snapshot_to_every_later_one(market: Ground) -> None:
    symbol, source = symbol_of(market), streams(market)
    first, last = span_of(market)
    name = f"{symbol.lower()}@depth@100ms"
    assert source.subscribe([name]) == []
    diffs = [event for _, _, event in one_by_one(source, first + 2 * MINUTE_NS)]
    assert len(diffs) > 800
    assert all(after["U"] == one["u"] + 1 for one, after in itertools.pairwise(diffs))
    snapshot_ns = first + 30 * SECOND_NS + 12 * MS
    rest = ask(market, "depth", snapshot_ns, symbol=symbol, limit=5000)
    book, update = as_book(rest), rest["lastUpdateId"]
    follows = [one for one in diffs if one["u"] > update]
    assert follows[0]["U"] <= update + 1
    for number, one in enumerate(follows):
        applied(book, one)
        if number % 100 == 0:
            later = ask(market, "depth", one["E"] * MS, symbol=symbol, limit=5000)
            for side in ("bids", "asks"):
                shown = dict(later[side])
                worst = (min if side == "bids" else max)(map(float, shown))  # a snapshot of 5,000 levels ends somewhere
                near = {
                    price: qty
                    for price, qty in book[side].items()
                    if (float(price) >= worst if side == "bids" else float(price) <= worst)
                }
                assert near == shown
    assert last > first


def test_a_real_top_never_crosses_and_is_the_one_of_rest(market: Ground) -> None:
    symbol, source = symbol_of(market), streams(market)
    first, _ = span_of(market)
    source.subscribe([f"{symbol.lower()}@bookTicker"])
    found = one_by_one(source, first + 20 * SECOND_NS)
    assert len(found) > 100
    for at_ns, _, event in found[::25]:
        rest = ask(market, "ticker.book", at_ns, symbol=symbol)
        assert [event[key] for key in "bBaA"] == [rest[key] for key in ("bidPrice", "bidQty", "askPrice", "askQty")]
        assert float(event["b"]) < float(event["a"])


def test_real_candles_and_tickers_hold_the_prints_up_to_now(market: Ground) -> None:
    symbol = symbol_of(market)
    first, last = span_of(market)
    for now_ns in range(first + 7 * SECOND_NS, last, 41 * SECOND_NS):
        trades: list[Any] = []
        while page := ask(market, "trades.historical", now_ns, symbol=symbol, fromId=len(trades), limit=1000):
            trades += page
        row = ask(market, "klines", now_ns, symbol=symbol, interval="1m", limit=1)[0]
        inside = [one for one in trades if one["time"] >= row[0]]
        assert row[8] == len(inside)
        assert float(row[2]) == max([float(one["price"]) for one in inside] or [float(row[4])])
        assert abs(float(row[5]) - sum(float(one["qty"]) for one in inside)) < 1e-6
        day = ask(market, "ticker.24hr", now_ns, symbol=symbol)
        assert (day["count"], day["lastPrice"], day["lastId"]) == (
            len(trades), trades[-1]["price"], trades[-1]["id"],
        )  # fmt: skip
        aggregates = ask(market, "trades.aggregate", now_ns, symbol=symbol, limit=1000)
        assert aggregates[-1]["l"] == len(trades) - 1
        assert all(after["f"] == one["l"] + 1 for one, after in itertools.pairwise(aggregates))


def test_real_hours_of_candles_make_days_and_weeks(shared: Path) -> None:
    file = next(iter(sorted((shared / "data/binance_spot_1h").glob("*BTC*1h*"))))
    imported = read(file, instruments=shipped_instruments())
    candles = imported.series[0]
    assert isinstance(candles, Candles)
    (listing,) = listings([Traded(imported.instruments[0], candles.tick, candles.lot)])
    frame = Timeframe.parse("1h")
    market = Ground((tape_of(listing, None, [candles], frame, None),), frame, bytes(32))
    symbol = symbol_of(market)
    now_ns = candles.close_ns.item(2_000) + 20 * MINUTE_NS
    hours = ask(market, "klines", now_ns, symbol=symbol, interval="1h", limit=1000)
    days = ask(market, "klines", now_ns, symbol=symbol, interval="1d", limit=10)
    assert hours[-1][0] == now_ns // HOUR_NS * HOUR_NS // MS
    for day in days[1:]:
        inside = [one for one in hours if day[0] <= one[0] <= day[6]]
        assert day[1] == inside[0][1]
        assert float(day[2]) == max(float(one[2]) for one in inside)
        assert abs(float(day[5]) - sum(float(one[5]) for one in inside)) < 1e-6
    source = streams(market)
    name = f"{symbol.lower()}@kline_1d"
    source.subscribe([name], candles.close_ns.item(1_000))
    told = [orjson.loads(body)["k"] for _, body in source.take(now_ns)]
    assert (
        sum(one["x"] for one in told) == len({at // (24 * HOUR_NS) for at in candles.open_ns[1_001:2_000].tolist()}) - 1
    )
