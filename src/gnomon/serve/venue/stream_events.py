"""Events of market streams as bytes, every field in the venue's order. Times in ms, `E` when it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gnomon.serve.venue.depth_levels import Top
from gnomon.serve.venue.klines import Candle
from gnomon.serve.venue.market_data import AggRow, average, levels_text
from gnomon.serve.venue.market_view import Market
from gnomon.serve.venue.stream_names import WINDOWS_NS
from gnomon.serve.venue.tickers import Window
from gnomon.units import DAY_NS, MINUTE_NS

MILLISECOND_NS: Final = 1_000_000


def trade(market: Market, position: int) -> bytes:
    """Of one print."""
    prints, texts = market.prints, market.texts
    at_ms = prints.time_ns.item(position) // MILLISECOND_NS
    return (
        f'{{"e":"trade","E":{at_ms},"s":"{market.symbol}","t":{position},"p":"{texts.price(prints.price.item(position))}",'
        f'"q":"{texts.qty(prints.lots.item(position))}","T":{at_ms},'
        f'"m":{"true" if prints.side.item(position) < 0 else "false"},"M":true}}'
    ).encode()


def agg_trade(market: Market, row: AggRow) -> bytes:
    number, first, last, price, qty, at_ms, is_maker = row
    return (
        f'{{"e":"aggTrade","E":{at_ms},"s":"{market.symbol}","a":{number},"p":"{price}","q":"{qty}","f":{first},'
        f'"l":{last},"T":{at_ms},"m":{is_maker},"M":true}}'
    ).encode()


def kline(market: Market, name: str, candle: Candle, at_ns: int, is_closed: bool) -> bytes:
    """`name` is that of the interval."""
    open_ns, close_ns, first, stop, opened, high, low, close, lots, worth, bought, bought_worth = candle
    price, qty, count = market.texts.price, market.texts.qty, stop - first
    first_id, last_id = (first, stop - 1) if count else (-1, -1)
    return (
        f'{{"e":"kline","E":{at_ns // MILLISECOND_NS},"s":"{market.symbol}","k":{{"t":{open_ns // MILLISECOND_NS},'
        f'"T":{close_ns // MILLISECOND_NS - 1},"s":"{market.symbol}","i":"{name}","f":{first_id},"L":{last_id},'
        f'"o":"{price(opened)}","c":"{price(close)}","h":"{price(high)}","l":"{price(low)}","v":"{qty(lots)}",'
        f'"n":{count},"x":{"true" if is_closed else "false"},"q":"{market.texts.worth(worth)}","V":"{qty(bought)}",'
        f'"Q":"{market.texts.worth(bought_worth)}","B":"0"}}}}'
    ).encode()


def book_ticker(market: Market, update: int, top: Top) -> bytes:
    price, qty = market.texts.price, market.texts.qty
    return (
        f'{{"u":{update},"s":"{market.symbol}","b":"{price(top.bid)}","B":"{qty(top.bid_lots)}",'
        f'"a":"{price(top.ask)}","A":"{qty(top.ask_lots)}"}}'
    ).encode()


Levels = Sequence[tuple[int, int]]


def depth_update(market: Market, at_ns: int, first: int, last: int, bids: Levels, asks: Levels) -> bytes:
    return (
        f'{{"e":"depthUpdate","E":{at_ns // MILLISECOND_NS},"s":"{market.symbol}","U":{first},"u":{last},'
        f'"b":{levels_text(market, bids)},"a":{levels_text(market, asks)}}}'
    ).encode()


def partial_depth(market: Market, update: int, bids: Levels, asks: Levels) -> bytes:
    return (
        f'{{"lastUpdateId":{update},"bids":{levels_text(market, bids)},"asks":{levels_text(market, asks)}}}'
    ).encode()


def average_price(market: Market, at_ns: int) -> bytes:
    price, traded_ms = average(market, at_ns)
    return (
        f'{{"e":"avgPrice","E":{at_ns // MILLISECOND_NS},"s":"{market.symbol}","i":"5m","w":"{price}","T":{traded_ms}}}'
    ).encode()


# --- tickers ----------------------------------------------------------------------------------------------------------


def ticker(market: Market, kind: str, at_ns: int) -> bytes:
    """Of a kind: `miniTicker`, `ticker`, `ticker_1h`, `ticker_4h`, `ticker_1d`."""
    if kind == "miniTicker":
        return _mini(Window.of(market, at_ns - DAY_NS, at_ns))
    if kind == "ticker":
        return _day(Window.of(market, at_ns - DAY_NS, at_ns))
    size = kind.removeprefix("ticker_")
    return _window(size, Window.of(market, (at_ns - WINDOWS_NS[size]) // MINUTE_NS * MINUTE_NS, at_ns))


def _mini(window: Window) -> bytes:
    texts, total = window.market.texts, window.total
    return (
        f'{{"e":"24hrMiniTicker","E":{window.now_ns // MILLISECOND_NS},"s":"{window.market.symbol}",'
        f'"c":"{texts.price(total.close)}","o":"{texts.price(total.open)}","h":"{texts.price(total.high)}",'
        f'"l":"{texts.price(total.low)}","v":"{texts.qty(total.lots)}","q":"{texts.worth(total.worth)}"}}'
    ).encode()


def _day(window: Window) -> bytes:
    market, texts, total, change = window.market, window.market.texts, window.total, window.change()
    price, top = texts.price, window.market.book.top(window.market.book.state(window.now_ns))
    return (
        f'{{"e":"24hrTicker","E":{window.now_ns // MILLISECOND_NS},"s":"{market.symbol}","p":"{change["priceChange"]}",'
        f'"P":"{change["priceChangePercent"]}","w":"{change["weightedAvgPrice"]}","x":"{price(window.before)}",'
        f'"c":"{price(total.close)}","Q":"{window.last_qty()}","b":"{price(top.bid)}","B":"{texts.qty(top.bid_lots)}",'
        f'"a":"{price(top.ask)}","A":"{texts.qty(top.ask_lots)}",{_tail(window)}}}'
    ).encode()


def _window(size: str, window: Window) -> bytes:
    change, price, total = window.change(), window.market.texts.price, window.total
    return (
        f'{{"e":"{size}Ticker","E":{window.now_ns // MILLISECOND_NS},"s":"{window.market.symbol}",'
        f'"p":"{change["priceChange"]}","P":"{change["priceChangePercent"]}","w":"{change["weightedAvgPrice"]}",'
        f'"c":"{price(total.close)}",{_tail(window)}}}'
    ).encode()


def _tail(window: Window) -> str:
    texts, total = window.market.texts, window.total
    return (
        f'"o":"{texts.price(total.open)}","h":"{texts.price(total.high)}","l":"{texts.price(total.low)}",'
        f'"v":"{texts.qty(total.lots)}","q":"{texts.worth(total.worth)}","O":{window.from_ns // MILLISECOND_NS},'
        f'"C":{window.now_ns // MILLISECOND_NS},"F":{window.first_id},"L":{window.last_id},"n":{window.count}'
    )
