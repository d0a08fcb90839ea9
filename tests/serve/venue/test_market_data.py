"""Answers of the public market: beside loops over the tape, as of any instant."""

from __future__ import annotations

import random
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from tests.serve.venue.market_scene import (
    LOT,
    SCENES,
    T0,
    TICK,
    ask,
    course,
    ground,
    listing,
    raw,
    refusal,
    rough_prints,
    scene,
    span_of,
    synthetic_prints,
    tape,
)  # fmt: skip

from gnomon.exchange.exchange import Exchange
from gnomon.exchange.listing import Filters
from gnomon.exchange.order import Side
from gnomon.exchange.outcome import QuoteKind
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import Fills, Rules, Taker
from gnomon.market.calendar import Hours
from gnomon.market.depth import ASK, BID
from gnomon.replay.ground import Ground, Tape
from gnomon.serve.venue.market_data import HANDLERS
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

MS = 1_000_000
Row = tuple[int, int, int, int]


def text(value: Decimal | int) -> str:
    return f"{Decimal(value):.8f}"


def nearest(value: Decimal, places: str = "0.00000001") -> str:
    return str(value.quantize(Decimal(places), ROUND_HALF_UP))


def told(one: Tape, now_ns: int) -> list[Row]:
    if not isinstance(one.tape, Prints):
        return []
    columns = (one.tape.time_ns, one.tape.price, one.tape.lots, one.tape.side)
    return [row for row in zip(*(column.tolist() for column in columns), strict=True) if row[0] <= now_ns]


def instants(market: Ground, seed: int, count: int = 8) -> list[int]:
    chance = random.Random(seed)
    first, last = span_of(market)
    times = market.tapes[0].tape.time_ns.tolist()
    found = [chance.randint(first - MINUTE_NS, last + MINUTE_NS) for _ in range(count)]
    return found + [chance.choice(times) + chance.choice([-1, 0, 1]) for _ in range(count)]


# --- the venue --------------------------------------------------------------------------------------------------------


def test_the_clock_of_the_venue_is_virtual() -> None:
    assert ask(scene("rough"), "ping", T0) == {}
    assert ask(scene("rough"), "time", T0 + 1_999_999) == {"serverTime": T0 // MS + 1}


def test_a_listing_is_published_with_every_field_and_the_filters_that_are_enforced() -> None:
    rules = Filters(min_lots=10, max_lots=9_000_000, step_lots=10, market_max_lots=5_000, min_notional_units=5 * 10**8)
    market = ground(tape(listing(0, "BTC", filters=rules), rough_prints(1, 50)))
    info = ask(market, "exchangeInfo", T0)
    assert list(info) == ["timezone", "serverTime", "rateLimits", "exchangeFilters", "symbols"]
    assert (info["timezone"], info["serverTime"], info["exchangeFilters"]) == ("UTC", T0 // MS, [])
    [found] = info["symbols"]
    assert list(found) == [
        "symbol", "status", "baseAsset", "baseAssetPrecision", "quoteAsset", "quotePrecision", "quoteAssetPrecision",
        "baseCommissionPrecision", "quoteCommissionPrecision", "orderTypes", "icebergAllowed", "ocoAllowed",
        "otoAllowed", "opoAllowed", "quoteOrderQtyMarketAllowed", "allowTrailingStop", "cancelReplaceAllowed",
        "amendAllowed", "pegInstructionsAllowed", "isSpotTradingAllowed", "isMarginTradingAllowed", "filters",
        "permissions", "permissionSets", "defaultSelfTradePreventionMode", "allowedSelfTradePreventionModes",
    ]  # fmt: skip
    assert (found["symbol"], found["status"], found["baseAsset"], found["quoteAsset"]) == (
        "BTCUSDT", "TRADING", "BTC", "USDT"
    )  # fmt: skip
    filters = {one.pop("filterType"): one for one in found["filters"]}
    assert filters["PRICE_FILTER"] == {
        "minPrice": "0.01000000", "maxPrice": "9000000000.00000000", "tickSize": "0.01000000",
    }  # fmt: skip
    assert filters["LOT_SIZE"] == {"minQty": "0.00010000", "maxQty": "90.00000000", "stepSize": "0.00010000"}
    assert filters["MARKET_LOT_SIZE"] == {"minQty": "0.00000000", "maxQty": "0.05000000", "stepSize": "0.00000000"}
    assert filters["NOTIONAL"]["minNotional"] == "5.00000000"
    assert (filters["MAX_NUM_ORDERS"], filters["MAX_NUM_ALGO_ORDERS"]) == (
        {"maxNumOrders": 200}, {"maxNumAlgoOrders": 50}
    )  # fmt: skip
    assert filters["TRAILING_DELTA"]["minTrailingAboveDelta"] == 10


def test_bands_are_published_where_there_are_some() -> None:
    def published(**bands: int) -> list[dict[str, Any]]:
        market = ground(tape(listing(0, "BTC", filters=Filters(**bands)), rough_prints(1, 50)))
        found = ask(market, "exchangeInfo", T0)["symbols"][0]["filters"]
        return [one for one in found if one["filterType"].startswith("PERCENT")]

    assert published() == []
    up, down = 120_000_000, 80_000_000
    assert published(bid_up=up, ask_up=up, bid_down=down, ask_down=down, avg_price_mins=5) == [
        {"filterType": "PERCENT_PRICE", "multiplierUp": "1.2", "multiplierDown": "0.8", "avgPriceMins": 5}
    ]
    assert published(bid_up=up, ask_down=down) == [{
        "filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": "1.2", "bidMultiplierDown": "0",
        "askMultiplierUp": "0", "askMultiplierDown": "0.8", "avgPriceMins": 0,
    }]  # fmt: skip


def test_listings_are_chosen_by_symbol_status_and_permission() -> None:
    market = scene("rough")

    def symbols(**params: Any) -> list[str]:
        return [one["symbol"] for one in ask(market, "exchangeInfo", T0, **params)["symbols"]]

    assert symbols() == ["BTCUSDT", "ETHUSDT"]
    assert symbols(symbol="ETHUSDT") == symbols(symbols='["ETHUSDT"]') == ["ETHUSDT"]
    assert symbols(permissions="SPOT") == symbols(permissions='["MARGIN","SPOT"]') == ["BTCUSDT", "ETHUSDT"]
    assert symbols(permissions="MARGIN") == []
    assert symbols(symbolStatus="TRADING") == ["BTCUSDT", "ETHUSDT"]
    assert symbols(symbolStatus="HALT") == []
    assert ask(market, "exchangeInfo", T0, showPermissionSets="false")["symbols"][0]["permissionSets"] == []
    both = (-1128, "Combination of optional parameters invalid.")
    assert refusal(market, "exchangeInfo", T0, symbol="BTCUSDT", symbols='["BTCUSDT"]') == both
    assert refusal(market, "exchangeInfo", T0, symbol="BTCUSDT", symbolStatus="TRADING") == both
    assert refusal(market, "exchangeInfo", T0, symbolStatus="OPEN") == (-1122, "Invalid symbolStatus.")
    assert refusal(market, "exchangeInfo", T0, symbol="XXX") == (-1121, "Invalid symbol.")
    twice = '["BTCUSDT","BTCUSDT"]'
    assert refusal(market, "exchangeInfo", T0, symbols=twice) == (
        -1151, "Symbol is present multiple times in the list.",
    )  # fmt: skip
    assert refusal(market, "exchangeInfo", T0, symbols="BTCUSDT")[0] == -1100
    assert refusal(market, "exchangeInfo", T0, symbols="[]")[0] == -1105


def test_a_market_that_is_closed_is_on_a_break_and_shows_no_book() -> None:
    hours = Hours.of([(T0 + HOUR_NS, T0 + 2 * HOUR_NS)])
    market = ground(tape(listing(0, "SPY", hours=hours), synthetic_prints("BTCUSDT")))
    for now_ns, status in ((T0 + HOUR_NS - 1, "BREAK"), (T0 + HOUR_NS, "TRADING"), (T0 + 2 * HOUR_NS, "BREAK")):
        assert ask(market, "exchangeInfo", now_ns)["symbols"][0]["status"] == status
        assert bool(ask(market, "depth", now_ns, symbol="SPYUSDT")["bids"]) is (status == "TRADING")
        best = ask(market, "ticker.book", now_ns, symbol="SPYUSDT")
        assert (best["bidQty"] != "0.00000000") is (status == "TRADING")


# --- trades -----------------------------------------------------------------------------------------------------------


def again(market: Ground) -> Ground:
    """The same, of which nothing is kept."""
    return Ground(market.tapes, market.timeframe, market.digest)


def trade(number: int, row: Row) -> dict[str, Any]:
    at_ns, price, lots, side = row
    return {
        "id": number, "price": text(price * TICK), "qty": text(lots * LOT), "quoteQty": text(price * TICK * lots * LOT),
        "time": at_ns // MS, "isBuyerMaker": side < 0, "isBestMatch": True,
    }  # fmt: skip


@pytest.mark.parametrize("name", SCENES)
def test_trades_are_the_prints_up_to_now(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnomon.serve.venue.trade_rows.BLOCK", 32)
    monkeypatch.setattr("gnomon.serve.venue.trade_rows.BLOCKS_KEPT", 3)
    market = again(scene(name))
    for now_ns in instants(market, 1):
        all_trades = [trade(number, row) for number, row in enumerate(told(market.tapes[0], now_ns))]
        for limit in (1, 7, 1_000):
            assert ask(market, "trades.recent", now_ns, symbol="BTCUSDT", limit=limit) == all_trades[-limit:]
            assert ask(market, "trades.historical", now_ns, symbol="BTCUSDT", limit=limit) == all_trades[-limit:]
        for first in (0, 3, 250, 10**9):
            found = ask(market, "trades.historical", now_ns, symbol="BTCUSDT", fromId=first, limit=9)
            assert found == all_trades[first : first + 9]


def aggregated(rows: list[Row]) -> list[dict[str, Any]]:
    """By a loop: what follows at one instant, price and side is one."""
    found: list[dict[str, Any]] = []
    last: tuple[int, int, int] | None = None
    for number, (at_ns, price, lots, side) in enumerate(rows):
        if last == (at_ns, price, side):
            found[-1]["q"] = text(Decimal(found[-1]["q"]) + lots * LOT)
            found[-1]["l"] = number
        else:
            found.append(
                {
                    "a": len(found), "p": text(price * TICK), "q": text(lots * LOT), "f": number, "l": number,
                    "T": at_ns // MS, "m": side < 0, "M": True,
                }
            )  # fmt: skip
        last = (at_ns, price, side)
    return found


@pytest.mark.parametrize("name", SCENES)
def test_aggregate_trades_are_those_of_a_loop(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnomon.serve.venue.agg_trades.BLOCK", 64)
    market = again(scene(name))
    chance = random.Random(name)
    for now_ns in instants(market, 2):
        rows = aggregated(told(market.tapes[0], now_ns))
        for limit in (1, 40, 1_000):
            assert ask(market, "trades.aggregate", now_ns, symbol="BTCUSDT", limit=limit) == rows[-limit:]
        for _ in range(6):
            first, limit = chance.randint(0, len(rows) + 3), chance.choice([1, 5, 200])
            found = ask(market, "trades.aggregate", now_ns, symbol="BTCUSDT", fromId=first, limit=limit)
            assert found == rows[first : first + limit]
            start, end = sorted((T0 + chance.randint(-HOUR_NS, 3 * HOUR_NS)) // MS for _ in range(2))
            inside = [row for row in rows if start <= row["T"] <= end]
            params = {"symbol": "BTCUSDT", "limit": limit}
            assert ask(market, "trades.aggregate", now_ns, **params, startTime=start, endTime=end) == inside[:limit]
            until = [row for row in rows if row["T"] <= end]
            assert ask(market, "trades.aggregate", now_ns, **params, endTime=end) == until[-limit:]
            since = [row for row in rows if row["T"] >= start]
            assert ask(market, "trades.aggregate", now_ns, **params, startTime=start) == since[:limit]
    both = refusal(market, "trades.aggregate", T0, symbol="BTCUSDT", fromId=1, startTime=5)
    assert both == (-1128, "Combination of optional parameters invalid.")


# --- the book ---------------------------------------------------------------------------------------------------------


def levels(rows: list[tuple[int, int]]) -> list[list[str]]:
    return [[text(price * TICK), text(lots * LOT)] for price, lots in rows]


@pytest.mark.parametrize("taker", [Taker.AUTO, Taker.QUOTE])
@pytest.mark.parametrize("name", ["rough", "recorded"])
def test_the_book_is_what_an_order_of_now_would_meet(name: str, taker: Taker) -> None:
    market, fills = scene(name), Fills(taker=taker, spread_ticks=3)
    tapes = {one.listing.number: one.tape for one in market.tapes}
    recorded = {one.listing.number: one.recorded for one in market.tapes if one.recorded is not None}
    exchange = Exchange(market.listings, tapes, Rules(fills), recorded)
    seen = set()
    for now_ns in instants(market, 3, 40):
        for number, one in enumerate(market.tapes):
            book = exchange.books[one.listing.number]
            position = one.tape.until(now_ns)
            best = book.liquidity.best(position, now_ns)
            seen.add(best.kind)
            symbol = f"{one.listing.base.name}USDT"
            told = ask(market, "ticker.book", now_ns, fills, symbol=symbol)
            assert (told["bidPrice"], told["askPrice"]) == (text(best.bid * TICK), text(best.ask * TICK))
            answer = ask(market, "depth", now_ns, fills, symbol=symbol, limit=5000)
            for key, side in (("asks", Side.BUY), ("bids", Side.SELL)):
                wanted = [(level.price, level.lots) for level in book.liquidity.levels(side, position, now_ns)]
                if best.kind is QuoteKind.RECORDED and taker is Taker.QUOTE and number:
                    wanted = wanted[
                        :1
                    ]  # of a book without quotes the rule takes the best level alone, and assumes more
                    assert answer[key][:1] == levels(wanted)
                    continue
                assert answer[key] == levels(wanted)
                assert ask(market, "depth", now_ns, fills, symbol=symbol, limit=3)[key] == levels(wanted[:3])
            assert told["bidQty"] == (answer["bids"][0][1] if answer["bids"] else "0.00000000")
    assert seen >= {QuoteKind.SYNTHETIC} | ({QuoteKind.RECORDED} if name == "recorded" else set())


def test_a_recorded_book_is_told_as_history_displayed_it() -> None:
    market = scene("recorded")
    one = market.tapes[1]
    assert one.recorded is not None
    ladder = one.recorded.ladder
    assert ladder is not None
    for number in range(0, len(ladder.stops), 17):
        now_ns = ladder.time_ns.item(number)
        rows = ladder.rows_until(now_ns)
        answer = ask(market, "depth", now_ns, symbol="ETHUSDT", limit=5000)
        bids, asks = ([(row.price, row.lots) for row in ladder.levels(side, rows)] for side in (BID, ASK))
        assert (answer["bids"], answer["asks"]) == (levels(bids), levels(asks))


def test_without_prints_the_book_stands_a_tick_around_the_last_close() -> None:
    market = scene("bars")
    bars = market.tapes[0].bars
    for row in (0, 7, 200):
        last, volume = bars.close.item(row), bars.volume.item(row)
        book = ask(market, "depth", bars.close_ns.item(row), symbol="BTCUSDT", limit=2)
        lots = max(1, -(-volume // 20))
        assert book["bids"] == levels([(last - 1, lots), (last - 2, lots)])
        assert book["asks"] == levels([(last + 1, lots), (last + 2, lots)])
    assert ask(market, "depth", bars.close_ns.item(0) - 1, symbol="BTCUSDT") == {
        "lastUpdateId": 0, "bids": [], "asks": [],
    }  # fmt: skip


@pytest.mark.parametrize("name", SCENES)
def test_update_ids_rise_with_everything_that_is_said(name: str) -> None:
    market = scene(name)
    last = -1
    before: Any = None
    for now_ns in sorted(instants(market, 4, 60)):
        book = ask(market, "depth", now_ns, symbol="BTCUSDT", limit=5000)
        update = book.pop("lastUpdateId")
        assert update >= last
        assert update > last or book == before
        last, before = update, book


# --- tickers ----------------------------------------------------------------------------------------------------------


def window(rows: list[Row], from_ns: int, now_ns: int) -> dict[str, Any]:
    """By a loop."""
    inside = [(number, row) for number, row in enumerate(rows) if row[0] >= from_ns]
    prices = [row[1] * TICK for _, row in inside] or [rows[-1][1] * TICK if rows else Decimal(0)]
    volume = sum((row[2] * LOT for _, row in inside), Decimal(0))
    worth = sum((row[1] * TICK * row[2] * LOT for _, row in inside), Decimal(0))
    change = prices[-1] - prices[0]
    return {
        "priceChange": text(change),
        "priceChangePercent": nearest(change / prices[0] * 100, "0.001") if prices[0] else "0.000",
        "weightedAvgPrice": nearest(worth / volume) if volume else "0.00000000",
        "openPrice": text(prices[0]), "highPrice": text(max(prices)), "lowPrice": text(min(prices)),
        "lastPrice": text(prices[-1]), "volume": text(volume), "quoteVolume": text(worth),
        "openTime": from_ns // MS, "closeTime": now_ns // MS, "firstId": inside[0][0] if inside else -1,
        "lastId": inside[-1][0] if inside else -1, "count": len(inside),
    }  # fmt: skip


DAY_FIELDS = [
    "symbol", "priceChange", "priceChangePercent", "weightedAvgPrice", "prevClosePrice", "lastPrice", "lastQty",
    "bidPrice", "bidQty", "askPrice", "askQty", "openPrice", "highPrice", "lowPrice", "volume", "quoteVolume",
    "openTime", "closeTime", "firstId", "lastId", "count",
]  # fmt: skip
CHANGES = ("priceChange", "priceChangePercent", "weightedAvgPrice")


@pytest.mark.parametrize("widest_gap_ns", [90 * SECOND_NS, 3 * HOUR_NS])
def test_tickers_are_those_of_a_loop(widest_gap_ns: int) -> None:
    prints = rough_prints(3, 900, widest_gap_ns)
    market = ground(tape(listing(0, "BTC"), prints), tape(listing(1, "ETH"), rough_prints(4, 500, widest_gap_ns)))
    for now_ns in instants(market, 5, 20):
        rows = told(market.tapes[0], now_ns)
        day = ask(market, "ticker.24hr", now_ns, symbol="BTCUSDT")
        assert list(day) == DAY_FIELDS
        expected = window(rows, now_ns - DAY_NS, now_ns)
        assert {key: day[key] for key in expected} == expected
        before = [row for row in rows if row[0] < now_ns - DAY_NS]
        assert day["prevClosePrice"] == (text(before[-1][1] * TICK) if before else expected["openPrice"])
        assert day["lastQty"] == (text(rows[-1][2] * LOT) if rows else "0.00000000")
        book = ask(market, "ticker.book", now_ns, symbol="BTCUSDT")
        assert {key: day[key] for key in book} == book
        mini = {key: value for key, value in expected.items() if key not in CHANGES}
        assert ask(market, "ticker.24hr", now_ns, symbol="BTCUSDT", type="MINI") == {"symbol": "BTCUSDT", **mini}
        if not rows:
            for method in ("ticker", "ticker.tradingDay"):
                code, msg = refusal(market, method, now_ns, symbol="BTCUSDT")
                assert code == -2016
                assert msg.startswith("No trading window")
            continue
        for size, length_ns in (("1m", MINUTE_NS), ("59m", 59 * MINUTE_NS), ("4h", 4 * HOUR_NS), ("7d", 7 * DAY_NS)):
            found = ask(market, "ticker", now_ns, symbol="BTCUSDT", windowSize=size)
            assert found == {"symbol": "BTCUSDT", **window(rows, (now_ns - length_ns) // MINUTE_NS * MINUTE_NS, now_ns)}
        today = ask(market, "ticker.tradingDay", now_ns, symbol="BTCUSDT")
        assert today == {"symbol": "BTCUSDT", **window(rows, now_ns // DAY_NS * DAY_NS, now_ns)}
        local = ask(market, "ticker.tradingDay", now_ns, symbol="BTCUSDT", timeZone="8", type="MINI")
        assert local["openTime"] == ((now_ns + 8 * HOUR_NS) // DAY_NS * DAY_NS - 8 * HOUR_NS) // MS
        last = text(rows[-1][1] * TICK)
        assert ask(market, "ticker.price", now_ns, symbol="BTCUSDT") == {"symbol": "BTCUSDT", "price": last}
        recent = [row for row in rows if row[0] >= now_ns - 5 * MINUTE_NS]
        volume = sum((row[2] for row in recent), 0)
        mean = nearest(sum((row[1] * row[2] for row in recent), 0) * TICK / volume) if volume else last
        assert ask(market, "avgPrice", now_ns, symbol="BTCUSDT") == {
            "mins": 5, "price": mean, "closeTime": rows[-1][0] // MS if rows else 0,
        }  # fmt: skip


def test_without_prints_tickers_are_made_of_closed_candles() -> None:
    market = scene("bars")
    bars = market.tapes[0].bars
    now_ns = bars.close_ns.item(150) + 5
    rows = [row for row in range(151) if bars.open_ns[row] >= (now_ns - HOUR_NS) // MINUTE_NS * MINUTE_NS]
    found = ask(market, "ticker", now_ns, symbol="BTCUSDT", windowSize="1h")
    assert found["openPrice"] == text(bars.open.item(rows[0]) * TICK)
    assert found["highPrice"] == text(max(bars.high[rows].tolist()) * TICK)
    assert found["volume"] == text(int(bars.volume[rows].sum()) * LOT)
    assert (found["firstId"], found["lastId"], found["count"]) == (-1, -1, 0)
    day = ask(market, "ticker.24hr", now_ns, symbol="BTCUSDT")
    assert (day["lastPrice"], day["lastQty"]) == (text(bars.close.item(150) * TICK), "0.00000000")
    assert ask(market, "ticker.price", now_ns, symbol="BTCUSDT")["price"] == text(bars.close.item(150) * TICK)
    assert ask(market, "trades.recent", now_ns, symbol="BTCUSDT") == []


@pytest.mark.parametrize("method", ["ticker.24hr", "ticker.price", "ticker.book", "ticker", "ticker.tradingDay"])
def test_one_symbol_is_an_object_and_several_are_a_list(method: str) -> None:
    market, now_ns = scene("rough"), T0 + HOUR_NS
    one = ask(market, method, now_ns, symbol="ETHUSDT")
    other = ask(market, method, now_ns, symbol="BTCUSDT")
    assert ask(market, method, now_ns, symbols='["ETHUSDT","BTCUSDT"]') == [one, other]
    assert ask(market, method, now_ns, symbols='["ETHUSDT"]', symbolStatus="TRADING") == [one]
    assert refusal(market, method, now_ns, symbol="ETHUSDT", symbols='["ETHUSDT"]')[0] == -1128
    assert refusal(market, method, now_ns, symbol="ETH USDT")[0] == -1100
    assert refusal(market, method, now_ns, symbol="ETHUSDT", symbolStatus="x")[0] == -1122
    if method in ("ticker", "ticker.tradingDay"):
        assert refusal(market, method, now_ns) == (
            -1102, "Param 'symbol' or 'symbols' must be sent, but both were empty/null!",
        )  # fmt: skip
    else:
        assert ask(market, method, now_ns) == [other, one]
    if method not in ("ticker.price", "ticker.book"):
        assert refusal(market, method, now_ns, symbol="ETHUSDT", type="BIG")[0] == -1130
    if method == "ticker":
        assert refusal(market, method, now_ns, symbol="ETHUSDT", windowSize="60m")[0] == -1130


def test_narrow_columns_say_what_wide_ones_say() -> None:
    """Columns that were mapped from files are of 32 bits where every value fits."""
    market = scene("synthetic")
    tapes = []
    for one in market.tapes:
        assert isinstance(one.tape, Prints)
        narrow = Prints(one.tape.time_ns, one.tape.price.astype("i4"), one.tape.lots.astype("i4"), one.tape.side)
        tapes.append(tape(one.listing, narrow))
    mapped = ground(*tapes)
    for now_ns in instants(market, 9, 4):
        for method, params in (
            ("klines", {"interval": "1h"}), ("klines", {"interval": "1s"}), ("ticker.24hr", {}), ("depth", {}),
            ("trades.recent", {}), ("trades.aggregate", {}), ("avgPrice", {}),
        ):  # fmt: skip
            params |= {"symbol": "BTCUSDT"}
            assert raw(market, method, now_ns, **params) == raw(mapped, method, now_ns, **params)


def test_before_anything_was_traded_prices_are_zero() -> None:
    market, now_ns = scene("rough"), T0 - HOUR_NS
    day = ask(market, "ticker.24hr", now_ns, symbol="BTCUSDT")
    assert {day[key] for key in ("lastPrice", "openPrice", "bidPrice", "askQty", "volume")} == {"0.00000000"}
    assert (day["firstId"], day["count"]) == (-1, 0)
    assert ask(market, "depth", now_ns, symbol="BTCUSDT") == {"lastUpdateId": 0, "bids": [], "asks": []}
    for method in ("trades.recent", "trades.historical", "trades.aggregate"):
        assert ask(market, method, now_ns, symbol="BTCUSDT") == []


def test_whoever_asks_for_no_symbol_that_needs_one_is_refused() -> None:
    for method in ("depth", "trades.recent", "trades.historical", "trades.aggregate", "klines", "avgPrice"):
        assert refusal(scene("rough"), method, T0)[0] == -1102
        assert refusal(scene("rough"), method, T0, symbol="NONE") == (-1121, "Invalid symbol.")
    assert set(HANDLERS) >= {"ping", "time", "exchangeInfo", "uiKlines"}
    assert course(scene("rough"), T0).now_ns == T0
