"""Streams: in order, at their pace, never the future, and in agreement with what is asked at the same instant."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serve.venue.market_scene import (
    SCENES,
    T0,
    answer,
    ask,
    ground,
    listing,
    rough_prints,
    scene,
    span_of,
    synthetic_prints,
    tape,
)  # fmt: skip

from gnomon.exchange.bars import Bars
from gnomon.exchange.prints import Prints
from gnomon.exchange.recorded import Recorded
from gnomon.exchange.rules import Rules
from gnomon.market.calendar import Hours
from gnomon.market.ladder import Ladder
from gnomon.replay.ground import Ground
from gnomon.replay.run import RunPlan
from gnomon.serve.venue.streams import Streams
from gnomon.units import DAY_NS, HOUR_NS, INT64_MAX, MINUTE_NS, SECOND_NS

MS = 1_000_000
OF_ONE = (
    "trade", "aggTrade", "kline_1s", "kline_1m", "kline_5m", "kline_1h", "miniTicker", "ticker", "ticker_1h",
    "ticker_4h", "ticker_1d", "bookTicker", "avgPrice", "depth", "depth@100ms", "depth5", "depth20@100ms",
)  # fmt: skip
OF_ALL = ("!miniTicker@arr", "!ticker@arr", "!ticker_1h@arr", "!bookTicker")
NAMES = (*(f"{symbol}@{kind}" for symbol in ("btcusdt", "ethusdt") for kind in OF_ONE), *OF_ALL)


def streams(market: Ground, start_ns: int | None = None) -> Streams:
    first, last = span_of(market)
    start_ns = first if start_ns is None else start_ns
    return Streams(RunPlan(market, Rules(), start_ns, max(last + 1, start_ns + 1), 0))


def one_by_one(source: Streams, upto_ns: int) -> list[tuple[int, str, Any]]:
    """Every event when it is due, with its instant."""
    found = []
    while source.next_ns <= upto_ns:
        at_ns = source.next_ns
        told = source.take(at_ns)
        assert told, "an event is announced and does not come"
        assert source.next_ns > at_ns
        found += [(at_ns, name, orjson.loads(body)) for name, body in told]
    return found


def of(found: Iterable[tuple[int, str, Any]], name: str) -> list[Any]:
    return [event for _, one, event in found if one == name]


def played(name: str, *names: str, hours: int = 1) -> list[tuple[int, str, Any]]:
    market = scene(name)
    source = streams(market)
    assert source.subscribe(names) == []
    return one_by_one(source, span_of(market)[0] + hours * HOUR_NS)


# --- order, pace, completeness ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENES)
def test_events_come_in_order_with_times_that_agree(name: str) -> None:
    market = scene(name)
    source = streams(market)
    wanted = [one for one in NAMES if len(market.tapes) > 1 or "eth" not in one]
    assert source.subscribe(wanted) == []
    found = one_by_one(source, span_of(market)[0] + 6 * MINUTE_NS)
    assert [at_ns for at_ns, _, _ in found] == sorted(at_ns for at_ns, _, _ in found)
    for at_ns, one, event in found:
        for single in event if isinstance(event, list) else [event]:
            if "E" in single:
                assert single["E"] == at_ns // MS
                assert single["E"] >= single.get("T", 0)
            if "bookTicker" in one or one.split("@")[-1] in ("depth5", "100ms"):
                continue
            assert single["s"] in ("BTCUSDT", "ETHUSDT")
    assert source.next_ns > span_of(market)[0] + 6 * MINUTE_NS


def test_every_print_is_a_trade_and_its_id_is_the_one_of_rest() -> None:
    market = scene("rough")
    trades = of(played("rough", "btcusdt@trade"), "btcusdt@trade")
    rest = ask(market, "trades.historical", span_of(market)[0] + HOUR_NS, symbol="BTCUSDT", fromId=0, limit=1000)
    assert [(one["t"], one["p"], one["q"], one["T"], one["m"]) for one in trades] == [
        (one["id"], one["price"], one["qty"], one["time"], one["isBuyerMaker"]) for one in rest
    ]
    assert set(trades[0]) == set("eEstpqTmM")


def test_aggregate_trades_are_those_of_rest() -> None:
    market = scene("rough")
    told = of(played("rough", "btcusdt@aggTrade"), "btcusdt@aggTrade")
    rest = ask(market, "trades.aggregate", span_of(market)[0] + HOUR_NS, symbol="BTCUSDT", fromId=0, limit=1000)
    assert [{key: one[key] for key in "apqflTmM"} for one in told] == rest


@pytest.mark.parametrize("name", ["rough", "synthetic", "bars", "early"])
@pytest.mark.parametrize("interval", ["1s", "1m", "3m", "1h"])
def test_a_candle_closes_once_before_the_next_is_told_and_is_the_one_of_rest(name: str, interval: str) -> None:
    stream = f"btcusdt@kline_{interval}"
    market = scene(name)
    first_ns = span_of(market)[0]
    found = [(at_ns, event["k"]) for at_ns, _, event in played(name, stream, hours=2)]
    if name == "bars" and interval == "1s":
        assert not found
        return
    closed = [(at_ns, k) for at_ns, k in found if k["x"]]
    rest = ask(
        market, "klines", first_ns + 2 * HOUR_NS, symbol="BTCUSDT", interval=interval, limit=1000,
        startTime=closed[0][1]["t"],
    )  # fmt: skip
    for (at_ns, k), row in zip(closed[:1000], rest, strict=False):
        assert [k[key] for key in "tohlcvTqnVQ"] == row[:11]
        assert at_ns == (k["T"] + 1) * MS
    opens = [k["t"] for _, k in found]
    assert opens == sorted(opens)
    opens_closed = [k["t"] for _, k in closed]
    length_ms = rest[0][6] + 1 - rest[0][0]
    assert opens_closed == list(range(opens_closed[0], opens_closed[-1] + 1, length_ms))
    for (_, k), (_, after) in itertools.pairwise(found):
        assert after["t"] == (k["t"] if not k["x"] else k["t"] + length_ms)
    pace_ns = SECOND_NS if interval == "1s" else 2 * SECOND_NS
    for at_ns, k in found:
        if not k["x"]:
            assert at_ns % pace_ns == 0
            [row] = ask(market, "klines", at_ns, symbol="BTCUSDT", interval=interval, limit=1)
            assert [k[key] for key in "tohlcvTqnVQ"] == row[:11]
            assert (k["f"], k["L"]) == (-1, -1) if name == "bars" else k["L"] - k["f"] + 1 == k["n"]


def test_closed_hours_have_no_candles_and_no_closes() -> None:
    prints = rough_prints(1, 300, 20 * MINUTE_NS)
    market = ground(tape(listing(0, "SPY", hours=Hours.of([(T0, T0 + 10 * DAY_NS)])), prints))
    source = streams(market)
    source.subscribe(["spyusdt@kline_1m"])
    found = one_by_one(source, span_of(market)[1] + DAY_NS)
    closed = [event["k"]["t"] for _, _, event in found if event["k"]["x"]]
    assert closed == sorted({at // MINUTE_NS * 60_000 for at in prints.time_ns.tolist()})
    assert source.next_ns == INT64_MAX


TICKERS = {
    "miniTicker": ("ticker.24hr", {"c": "lastPrice", "o": "openPrice", "h": "highPrice", "v": "volume"}, {}),
    "ticker": (
        "ticker.24hr",
        {
            "p": "priceChange", "P": "priceChangePercent", "w": "weightedAvgPrice", "x": "prevClosePrice",
            "c": "lastPrice", "Q": "lastQty", "b": "bidPrice", "B": "bidQty", "a": "askPrice", "A": "askQty",
            "o": "openPrice", "h": "highPrice", "l": "lowPrice", "v": "volume", "q": "quoteVolume", "O": "openTime",
            "C": "closeTime", "F": "firstId", "L": "lastId", "n": "count", "s": "symbol",
        },
        {},
    ),
    "ticker_1h": (
        "ticker", {"p": "priceChange", "c": "lastPrice", "O": "openTime", "n": "count"}, {"windowSize": "1h"},
    ),
    "avgPrice": ("avgPrice", {"w": "price", "T": "closeTime"}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", ["rough", "recorded", "bars"])
@pytest.mark.parametrize("kind", TICKERS)
def test_tickers_come_each_second_after_news_and_say_what_rest_says(name: str, kind: str) -> None:
    market = scene(name)
    method, fields, params = TICKERS[kind]
    found = played(name, f"ethusdt@{kind}")
    assert found
    times = [at_ns for at_ns, _, _ in found]
    assert all(at_ns % SECOND_NS == 0 for at_ns in times)
    assert len(set(times)) == len(times)
    for at_ns, _, event in found[::7]:
        rest = ask(market, method, at_ns, symbol="ETHUSDT", **params)
        assert {key: event[key] for key in fields} == {key: rest[field] for key, field in fields.items()}
    news = {-(-at_ns // SECOND_NS) * SECOND_NS for at_ns in _news(market, 1)}
    upto = span_of(market)[0] + HOUR_NS
    assert set(times) >= {at_ns for at_ns in news if times[0] <= at_ns <= upto}


def _news(market: Ground, number: int) -> list[int]:
    rows = market.tapes[number].tape
    return (rows.close_ns if isinstance(rows, Bars) else rows.time_ns).tolist()


def test_arrays_hold_the_markets_that_have_changed() -> None:
    found = played("rough", "!miniTicker@arr", "btcusdt@miniTicker", "ethusdt@miniTicker")
    single: dict[int, list[Any]] = {}
    for at_ns, name, event in found:
        if not name.startswith("!"):
            single.setdefault(at_ns, []).append(event)
    arrays = {at_ns: event for at_ns, name, event in found if name.startswith("!")}
    assert arrays == single
    assert {len(one) for one in arrays.values()} == {1, 2}


# --- the book ---------------------------------------------------------------------------------------------------------


def applied(book: dict[str, dict[str, str]], event: Any) -> None:
    for side, rows in (("bids", event["b"]), ("asks", event["a"])):
        for price, qty in rows:
            if qty == "0.00000000":
                book[side].pop(price, None)
            else:
                book[side][price] = qty


def as_book(rest: Any) -> dict[str, dict[str, str]]:
    return {side: dict(rest[side]) for side in ("bids", "asks")}


@pytest.mark.parametrize("coalesces", [False, True])
@pytest.mark.parametrize("pace", ["", "@100ms"])
@pytest.mark.parametrize("name", ["recorded", "rough", "bars"])
@pytest.mark.parametrize("symbol", ["btcusdt", "ethusdt"])
def test_a_snapshot_and_the_diffs_after_it_make_the_book(name: str, pace: str, coalesces: bool, symbol: str) -> None:
    """As clients keep a book: diffs from some instant on, a snapshot a while later, then what follows it."""
    market, chance = scene(name), random.Random(name + pace)
    first, last = span_of(market)
    source = streams(market)
    source.subscribe([f"{symbol}@depth{pace}"])
    diffs: list[tuple[int, Any]] = []
    at_ns = first
    while at_ns < last:
        at_ns += chance.choice([7 * MS, SECOND_NS, 40 * SECOND_NS]) if coalesces else 0
        at_ns = at_ns if coalesces else source.next_ns
        if at_ns == INT64_MAX:
            break
        diffs += [(at_ns, orjson.loads(body)) for _, body in source.take(at_ns)]
    assert len(diffs) > 20
    for (_, one), (_, after) in itertools.pairwise(diffs):
        assert after["U"] == one["u"] + 1
    for at_ns, one in diffs:
        assert one["U"] <= one["u"]
        assert one["b"] or one["a"]
        assert one["E"] * MS <= at_ns
    for start in (0, len(diffs) // 4, len(diffs) // 2):
        snapshot_ns = diffs[start][0] + chance.randint(0, 3 * SECOND_NS)
        rest = ask(market, "depth", snapshot_ns, symbol=symbol.upper(), limit=5000)
        book, update = as_book(rest), rest["lastUpdateId"]
        follows = [(at, one) for at, one in diffs if one["u"] > update]
        assert any(one["U"] <= update <= one["u"] for _, one in diffs) or follows[0][1]["U"] <= update + 1
        for number, (seen_ns, one) in enumerate(follows[:25]):
            if number == 0:
                assert one["U"] <= update + 1 <= one["u"]
            applied(book, one)
            now = ask(market, "depth", one["E"] * MS, symbol=symbol.upper(), limit=5000)
            assert book == as_book(now)
            assert now["lastUpdateId"] == one["u"]
            assert seen_ns


@pytest.mark.parametrize("name", ["recorded", "rough", "bars"])
def test_the_top_is_told_whenever_it_is_another_one(name: str) -> None:
    market = scene(name)
    upto = span_of(market)[0] + HOUR_NS // 4
    source = streams(market)
    source.subscribe(["btcusdt@bookTicker"])
    found = one_by_one(source, upto)
    one = market.tapes[0]
    times = set(_news(market, 0))
    if one.recorded is not None:
        for layer in (one.recorded.quotes, one.recorded.ladder):
            times |= set(layer.time_ns.tolist()) if layer is not None else set()
    told = {at_ns: event for at_ns, _, event in found}
    last: Any = {"bidPrice": "0.00000000", "bidQty": "0.00000000", "askPrice": "0.00000000", "askQty": "0.00000000"}
    for number, at_ns in enumerate(sorted(at_ns for at_ns in times if at_ns <= upto)):
        rest = ask(market, "ticker.book", at_ns, symbol="BTCUSDT")
        del rest["symbol"]
        assert (at_ns in told) is (rest != last), number
        if at_ns in told:
            event = told[at_ns]
            assert [event[key] for key in "bBaA"] == list(rest.values())
            assert set(event) == set("usbBaA")
            assert event["u"] == ask(market, "depth", at_ns, symbol="BTCUSDT", limit=1)["lastUpdateId"]
        last = rest


@pytest.mark.parametrize("name", ["recorded", "rough"])
def test_partial_books_are_the_best_levels_of_the_grid(name: str) -> None:
    market = scene(name)
    found = played(name, "btcusdt@depth5@100ms", "btcusdt@depth20")
    for stream, levels, pace_ns in (("btcusdt@depth5@100ms", 5, SECOND_NS // 10), ("btcusdt@depth20", 20, SECOND_NS)):
        told = [(at_ns, event) for at_ns, one, event in found if one == stream]
        assert len(told) > 10
        for at_ns, event in told:
            assert at_ns % pace_ns == 0
            assert event == ask(market, "depth", at_ns, symbol="BTCUSDT", limit=levels)
        for (_, one), (_, after) in itertools.pairwise(told):
            assert (one["bids"], one["asks"]) != (after["bids"], after["asks"])


# --- over a long stretch ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENES)
def test_a_long_stretch_loses_no_trade_no_close_and_no_last_state(name: str) -> None:
    market = scene(name)
    first, _ = span_of(market)
    wanted = [one for one in NAMES if len(market.tapes) > 1 or "eth" not in one]
    slow, quick = streams(market), streams(market)
    slow.subscribe(wanted)
    quick.subscribe(reversed(wanted))
    upto_ns = first + 7 * MINUTE_NS + 700 * MS
    single = one_by_one(slow, upto_ns)
    at_once = [(name_, orjson.loads(body)) for name_, body in quick.take(upto_ns)]
    assert slow.next_ns == quick.next_ns
    assert len(at_once) < len(single) or name == "coarse"
    for stream in wanted:
        singles, coalesced = of(single, stream), [event for one, event in at_once if one == stream]
        kind = stream.split("@")[1] if not stream.startswith("!") else stream
        if kind in ("trade", "aggTrade", "bookTicker"):
            assert coalesced == singles
        elif kind.startswith("kline"):
            closed = [event for event in singles if event["k"]["x"]]
            assert [event for event in coalesced if event["k"]["x"]] == closed
            assert coalesced[-1:] == singles[-1:]
        elif kind == "depth":
            assert len(coalesced) == bool(singles)
        elif kind.startswith("depth"):
            levels = [(event["bids"], event["asks"]) for event in coalesced]
            assert levels == [(event["bids"], event["asks"]) for event in singles[-1:]]
        elif stream == "!bookTicker":
            assert coalesced == singles
        elif not stream.startswith("!"):
            assert coalesced == singles[-1:]


def test_many_tops_in_one_stretch_are_the_last_ones() -> None:
    market = ground(tape(listing(0, "BTC"), synthetic_prints("BTCUSDT", 1, SECOND_NS // 2)))
    slow, quick = streams(market), streams(market)
    for one in (slow, quick):
        one.subscribe(["btcusdt@bookTicker"])
    upto_ns = span_of(market)[1]
    singles = [event for _, _, event in one_by_one(slow, upto_ns)]
    assert len(singles) > 1_500
    assert [orjson.loads(body) for _, body in quick.take(upto_ns)] == singles[-1_000:]


# --- subscriptions ----------------------------------------------------------------------------------------------------


def test_names_without_a_stream_are_refused() -> None:
    source = streams(scene("rough"))
    wrong = [
        "btcusdt@kline_1x", "btcusdt@kline_7m", "BTCUSDT@trade", "xxx@trade", "btcusdt", "", "@trade", "btcusdt@depth7",
        "!trade", "btcusdt@ticker_2h", "!ticker_1h", "btcusdt@kline_1d@+25:00", "btcusdt@depth@50ms",
        "btcusdt@referencePrice",
    ]  # fmt: skip
    assert source.subscribe(wrong) == wrong
    assert source.next_ns == INT64_MAX
    assert source.subscribe(["btcusdt@kline_1d@+08:00", "btcusdt@depth@1000ms"]) == []


def test_a_stream_lives_as_long_as_somebody_is_subscribed() -> None:
    market = scene("rough")
    source = streams(market)
    source.subscribe(["btcusdt@trade"])
    source.subscribe(["btcusdt@trade", "ethusdt@trade"])
    source.unsubscribe(["btcusdt@trade", "nothing"])
    assert "btcusdt@trade" in source
    first_ns = source.next_ns
    source.unsubscribe(["btcusdt@trade"])
    assert "btcusdt@trade" not in source
    assert {name for name, _ in source.take(first_ns + MINUTE_NS)} == {"ethusdt@trade"}
    source.unsubscribe(["ethusdt@trade"])
    assert source.next_ns == INT64_MAX
    assert source.take(first_ns + HOUR_NS) == []


def test_what_happened_before_a_subscription_is_not_told() -> None:
    market = scene("rough")
    first, _ = span_of(market)
    source = streams(market)
    now_ns = first + 10 * MINUTE_NS
    source.subscribe(["btcusdt@trade", "btcusdt@kline_1m"], now_ns)
    found = one_by_one(source, now_ns + MINUTE_NS)
    assert found
    assert min(at_ns for at_ns, _, _ in found) > now_ns
    known = ask(market, "trades.recent", now_ns, symbol="BTCUSDT", limit=1)[0]["id"]
    assert of(found, "btcusdt@trade")[0]["t"] == known + 1


def test_after_a_rewind_the_same_events_come_again() -> None:
    market = scene("recorded")
    first, _ = span_of(market)
    names = [one for one in NAMES if "depth5" not in one and "depth20" not in one]
    source, fresh = streams(market), streams(market)
    source.subscribe(names)
    once = one_by_one(source, first + 20 * MINUTE_NS)
    source.rewind(first + 5 * MINUTE_NS)
    again = one_by_one(source, first + 20 * MINUTE_NS)
    fresh.subscribe(names, first + 5 * MINUTE_NS)
    assert again == one_by_one(fresh, first + 20 * MINUTE_NS)
    trades = [one for one in once if one[1] == "btcusdt@trade" and one[0] > first + 5 * MINUTE_NS]
    assert [one for one in again if one[1] == "btcusdt@trade"] == trades


def test_streams_say_the_same_whoever_else_is_subscribed_to_what() -> None:
    market = scene("recorded")
    upto_ns = span_of(market)[0] + 15 * MINUTE_NS
    together = streams(market)
    together.subscribe(NAMES)
    found = one_by_one(together, upto_ns)
    for name in NAMES[:: len(NAMES) // 12]:
        alone = streams(market)
        alone.subscribe([name])
        assert [event for _, _, event in one_by_one(alone, upto_ns)] == of(found, name)


# --- wakes of lock-step -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENES)
def test_events_of_wakes_are_those_of_the_streams(name: str) -> None:
    market = scene(name)
    source = streams(market)
    streamed = streams(market)
    streamed.subscribe(["btcusdt@trade", "btcusdt@bookTicker"])
    for at_ns, stream, event in one_by_one(streamed, span_of(market)[0] + HOUR_NS):
        if stream.endswith("trade"):
            assert orjson.loads(source.trade_event(0, event["t"])) == event
        else:
            assert orjson.loads(source.book_ticker_event(0, at_ns)) == event


# --- never the future -------------------------------------------------------------------------------------------------


def spoilt(rows: Prints | Bars, now_ns: int, chance: np.random.Generator) -> Prints | Bars:
    """The same up to now, garbage after it."""
    if isinstance(rows, Bars):
        known = int(rows.close_ns.searchsorted(now_ns, "right"))
        columns = {}
        for name in ("open", "high", "low", "close", "volume"):
            column = getattr(rows, name).copy()
            column[known:] = chance.integers(1, 10**7, len(column) - known)
            columns[name] = column
        return replace(rows, **columns)
    known = rows.until(now_ns)
    more = int(chance.integers(0, 200))
    times = np.sort(now_ns + 1 + chance.integers(0, DAY_NS, more))
    return Prints(
        np.concatenate([rows.time_ns[:known], times]),
        np.concatenate([rows.price[:known], chance.integers(1, 10**7, more)]),
        np.concatenate([rows.lots[:known], chance.integers(0, 10**9, more)]),
        np.concatenate([rows.side[:known], chance.integers(-1, 2, more).astype(np.int8)]),
    )


def spoilt_book(recorded: Recorded | None, now_ns: int, chance: np.random.Generator) -> Recorded | None:
    """The same for what is recorded beside prints."""
    if recorded is None:
        return None
    quotes, ladder = recorded.quotes, recorded.ladder
    if quotes is not None:
        later = quotes.time_ns > now_ns
        columns = ("bid", "ask", "bid_qty", "ask_qty")
        garbage = {
            one: np.where(later, chance.integers(1, 10**6, len(quotes)), getattr(quotes, one)) for one in columns
        }
        quotes = replace(quotes, **garbage)
    if ladder is not None:
        depth = ladder.depth
        later = depth.time_ns > now_ns
        garbage = {
            "price": np.where(later, chance.integers(1, 10**6, len(depth)), depth.price),
            "size": np.where(later, chance.integers(0, 10**6, len(depth)), depth.size),
            "side": np.where(later, chance.choice([-1, 1], len(depth)), depth.side).astype(np.int8),
        }
        ladder = Ladder(replace(depth, **garbage))
    return Recorded(quotes, ladder)


ASKED: list[tuple[str, dict[str, Any]]] = [
    ("depth", {"limit": 5000}), ("trades.recent", {}), ("trades.historical", {"fromId": 0}), ("trades.aggregate", {}),
    ("trades.aggregate", {"startTime": 0}), ("avgPrice", {}), ("ticker.24hr", {}), ("ticker.24hr", {"type": "MINI"}),
    ("ticker.tradingDay", {}), ("ticker", {"windowSize": "4h"}), ("ticker.price", {}), ("ticker.book", {}),
    ("exchangeInfo", {}), ("klines", {"interval": "1h", "endTime": 2_000_000_000_000}),
    *[("klines", {"interval": one}) for one in ("1s", "1m", "15m", "4h", "1d", "3d", "1w", "1M")],
    ("uiKlines", {"interval": "1d", "timeZone": "8"}), ("klines", {"interval": "1m", "startTime": 0}),
]  # fmt: skip


@pytest.mark.parametrize("name", ["rough", "synthetic", "bars", "coarse", "recorded", "hours", "odd"])
@settings(deadline=None, max_examples=6)
@given(st.integers(0, 2**32), st.floats(0, 1))
def test_garbage_in_the_future_moves_no_byte_of_any_answer_or_event(name: str, seed: int, part: float) -> None:
    market, chance = scene(name), np.random.default_rng(seed)
    first, last = span_of(market)
    now_ns = first + int((last - first) * part)
    one = market.tapes[0]
    if isinstance(one.tape, Prints) and seed % 2:
        now_ns = one.tape.time_ns.item(int(part * (len(one.tape) - 1)))
    tapes = []
    for each in market.tapes:
        rows = spoilt(each.tape, now_ns, chance)
        bars = spoilt(each.bars, now_ns, chance) if isinstance(rows, Prints) and len(rows) else None
        assert bars is None or isinstance(bars, Bars)
        tapes.append(tape(each.listing, rows, spoilt_book(each.recorded, now_ns, chance), bars))
    other = ground(*tapes, timeframe=market.timeframe)
    for method, params in ASKED:
        symbol = {} if method == "exchangeInfo" else {"symbol": "BTCUSDT"}
        told = answer(other, method, now_ns, **symbol, **params)
        assert answer(market, method, now_ns, **symbol, **params) == told, method
    wanted = [one_ for one_ in NAMES if len(market.tapes) > 1 or "eth" not in one_]
    begin_ns = now_ns - 3 * DAY_NS if name == "odd" else max(first - SECOND_NS, now_ns - 2 * MINUTE_NS)
    told_events = []
    for each_market in (market, other):
        source = Streams(RunPlan(each_market, Rules(), first, last, 0))
        source.subscribe(wanted, begin_ns)
        told_events.append(one_by_one(source, now_ns))
    assert told_events[0] == told_events[1]
