"""Answers to public requests, as of virtual now: nothing in them happened later.

Ids of trades are their positions on the tape, from 0. `HANDLERS` are by the names of the WebSocket API.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Final

from gnomon.market.depth import ASK, BID
from gnomon.serve.venue import codes
from gnomon.serve.venue import market_params as read
from gnomon.serve.venue.call import Call, Handler
from gnomon.serve.venue.exchange_info import PERMISSIONS, STATUSES, document, status_of, symbol_of
from gnomon.serve.venue.intervals import Interval, zone_ns
from gnomon.serve.venue.market_view import Market, MarketView, view_of
from gnomon.serve.venue.tickers import Window, best
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS

MILLISECOND_NS: Final = 1_000_000
AVERAGE_MINUTES: Final = 5
MOST_WINDOWS: Final = 200
DEFAULT_ROWS: Final = 500
MOST_ROWS: Final = 1_000
DEFAULT_LEVELS: Final = 100
MOST_LEVELS: Final = 5_000
LOCAL_PERMISSIONS: Final = ("SPOT", "MARGIN", "LEVERAGED")
WINDOWS_NS: Final = {
    **{f"{count}m": count * MINUTE_NS for count in range(1, 60)},
    **{f"{count}h": count * HOUR_NS for count in range(1, 24)},
    **{f"{count}d": count * DAY_NS for count in range(1, 8)},
}


def view_for(call: Call) -> MarketView:
    """The market of the session that a call means, by the rules of its runs."""
    course: Any = call.course
    rules = course.exchange.rules if course.exchange is not None else course.plan.rules
    return view_of(course.ground, rules.fills)


# --- the venue itself -------------------------------------------------------------------------------------------------


def ping(_call: Call) -> dict[str, Any]:
    return {}


def time(call: Call) -> dict[str, int]:
    return {"serverTime": call.course.now_ns // MILLISECOND_NS}


def exchange_info(call: Call) -> dict[str, Any]:
    params, now_ns, view = call.params, call.course.now_ns, view_for(call)
    chosen = read.chosen(params, view)
    asked = [name for name in ("permissions", "symbolStatus") if name in params]
    if chosen is not None and asked:
        raise codes.optional_combination()
    markets: Sequence[Market] = list(view.markets.values()) if chosen is None else chosen[0]
    if "permissions" in params:
        wanted = _permissions(params)
        markets = [one for one in markets if wanted & set(PERMISSIONS)]
    with_sets = read.flag(params, "showPermissionSets", True)
    exchange: Any = call.course.exchange
    listings = exchange.listings if exchange is not None else {}  # whose filters may have changed on the way
    rows = [symbol_of(one, now_ns, with_sets, listings.get(one.listing.number)) for one in _in_status(call, markets)]
    return document(rows, now_ns)


def _permissions(params: read.Params) -> set[str]:
    """One word, or a JSON list of them."""
    text = read.needed(params, "permissions")
    words = [one.strip(' "') for one in text.strip("[]").split(",")]
    if not all(one.replace("_", "").isalnum() for one in words):
        raise codes.invalid_data("permissions")
    return set(words)


def _in_status(call: Call, markets: Sequence[Market]) -> Sequence[Market]:
    """Those of the status that was asked for."""
    status = read.given(call.params, "symbolStatus")
    if status is None:
        return markets
    if status not in STATUSES:
        raise codes.invalid_symbol_status()
    return [one for one in markets if status_of(one.listing, call.course.now_ns) == status]


# --- the book ---------------------------------------------------------------------------------------------------------


def depth(call: Call) -> bytes:
    market = read.market(call.params, view_for(call))
    limit = read.limit(call.params, DEFAULT_LEVELS, MOST_LEVELS)
    state = market.book.state(call.course.now_ns)
    bids, asks = (levels_text(market, market.book.levels(state, side, limit)) for side in (BID, ASK))
    return f'{{"lastUpdateId":{state.update},"bids":{bids},"asks":{asks}}}'.encode()


def levels_text(market: Market, levels: Sequence[tuple[int, int]]) -> str:
    price, qty = market.texts.price, market.texts.qty
    return "[" + ",".join([f'["{price(one)}","{qty(lots)}"]' for one, lots in levels]) + "]"


# --- trades -----------------------------------------------------------------------------------------------------------


def recent_trades(call: Call) -> bytes:
    market = read.market(call.params, view_for(call))
    limit = read.limit(call.params, DEFAULT_ROWS, MOST_ROWS)
    stop = market.prints.until(call.course.now_ns)
    return _trades(market, max(0, stop - limit), stop)


def historical_trades(call: Call) -> bytes:
    market = read.market(call.params, view_for(call))
    limit, first = read.limit(call.params, DEFAULT_ROWS, MOST_ROWS), read.number(call.params, "fromId")
    stop = market.prints.until(call.course.now_ns)
    if first is None:
        return _trades(market, max(0, stop - limit), stop)
    return _trades(market, min(first, stop), min(first + limit, stop))


def _trades(market: Market, first: int, stop: int) -> bytes:
    return b"[" + b",".join(market.trade_rows.rows(first, stop)) + b"]"


def aggregate_trades(call: Call) -> bytes:
    params, market = call.params, read.market(call.params, view_for(call))
    limit, first = read.limit(params, DEFAULT_ROWS, MOST_ROWS), read.number(params, "fromId")
    start_ns, end_ns = read.instant(params, "startTime"), read.instant(params, "endTime", is_end=True)
    if first is not None and (start_ns is not None or end_ns is not None):
        raise codes.optional_combination()
    times, now_ns = market.prints.time_ns, call.course.now_ns
    end = market.prints.until(now_ns if end_ns is None else min(end_ns, now_ns))
    begin = 0 if start_ns is None else int(times.searchsorted(start_ns, "left"))
    if begin >= end:
        return b"[]"
    low, high = market.aggregates.number(begin), market.aggregates.number(end - 1) + 1
    if first is not None or start_ns is not None:
        low = max(low, first or 0)
        return aggregates_bytes(market, low, min(low + limit, high), high, end)
    return aggregates_bytes(market, max(low, high - limit), high, high, end)


def aggregates_bytes(market: Market, low: int, stop: int, high: int, end: int) -> bytes:
    """As `aggregates`, in JSON."""
    found = [
        f'{{"a":{number},"p":"{price}","q":"{qty}","f":{first},"l":{last},"T":{at_ms},"m":{is_maker},"M":true}}'
        for number, first, last, price, qty, at_ms, is_maker in aggregates(market, low, stop, high, end)
    ]
    return f"[{','.join(found)}]".encode()


AggRow = tuple[int, int, int, str, str, int, str]


def aggregates(market: Market, low: int, stop: int, high: int, end: int) -> list[AggRow]:
    """Rows of the numbers [low, stop): number, first and last id, price, quantity, ms, `true` where the buyer was the
    maker. `high` is the first number that is not known, `end` where it would begin."""
    if low >= stop:
        return []
    edges = market.aggregates.starts(low, min(stop + 1, high))
    if len(edges) == stop - low:
        edges.append(end)
    prints, texts = market.prints, market.texts
    sums = prints.lots[edges[0] : edges[-1]].cumsum(dtype="int64").tolist()
    found, taken = [], 0
    for number, (first, after) in enumerate(itertools.pairwise(edges), low):
        upto = sums[after - edges[0] - 1]
        found.append(
            (
                number, first, after - 1, texts.price(prints.price.item(first)), texts.qty(upto - taken),
                prints.time_ns.item(first) // MILLISECOND_NS, "true" if prints.side.item(first) < 0 else "false",
            )
        )  # fmt: skip
        taken = upto
    return found


# --- candles ----------------------------------------------------------------------------------------------------------


def klines(call: Call) -> bytes:
    params, market = call.params, read.market(call.params, view_for(call))
    interval = Interval.parse(read.needed(params, "interval"), read.given(params, "timeZone") or "")
    limit = read.limit(params, DEFAULT_ROWS, MOST_ROWS)
    start_ns, end_ns = read.instant(params, "startTime"), read.instant(params, "endTime", is_end=True)
    rows = market.klines(interval).asked(call.course.now_ns, start_ns, end_ns, limit)
    return b"[" + b",".join(rows) + b"]"


# --- prices -----------------------------------------------------------------------------------------------------------


def average_price(call: Call) -> dict[str, Any]:
    market = read.market(call.params, view_for(call))
    price, traded_ms = average(market, call.course.now_ns)
    return {"mins": AVERAGE_MINUTES, "price": price, "closeTime": traded_ms}


def average(market: Market, now_ns: int) -> tuple[str, int]:
    """Of the last five minutes, weighted by volume, the last price where nothing was traded; when something was last,
    in ms (0 never)."""
    spans = market.spans
    found = spans.totals(now_ns - AVERAGE_MINUTES * MINUTE_NS, now_ns)
    texts = market.texts
    price = texts.mean_price(found.worth, found.lots) if found.lots else texts.price(spans.last(now_ns))
    return price, spans.last_ns(now_ns) // MILLISECOND_NS


def day_ticker(call: Call) -> Any:
    view, now_ns = view_for(call), call.course.now_ns
    kind = _kind(call)
    markets, is_one = read.chosen(call.params, view) or (list(view.markets.values()), False)
    windows = [Window.of(one, now_ns - DAY_NS, now_ns) for one in _in_status(call, markets)]
    found = [one.mini() if kind == "MINI" else one.day() for one in windows]
    return found[0] if is_one and found else found


def trading_day_ticker(call: Call) -> Any:
    offset_ns = zone_ns(read.given(call.params, "timeZone") or "")
    now_ns = call.course.now_ns
    return _windows(call, (now_ns + offset_ns) // DAY_NS * DAY_NS - offset_ns)


def window_ticker(call: Call) -> Any:
    size = read.given(call.params, "windowSize") or "1d"
    if size not in WINDOWS_NS:
        raise codes.invalid_data("windowSize")
    return _windows(call, (call.course.now_ns - WINDOWS_NS[size]) // MINUTE_NS * MINUTE_NS)


def _windows(call: Call, from_ns: int) -> Any:
    kind, chosen = _kind(call), read.chosen(call.params, view_for(call))
    if chosen is None:
        raise codes.either("symbol", "symbols")
    markets, is_one = chosen
    if len(markets) > MOST_WINDOWS:
        raise codes.invalid_data("symbols")
    windows = [Window.of(one, from_ns, call.course.now_ns) for one in _in_status(call, markets)]
    if any(not one.total.open for one in windows):
        raise codes.no_trading_window()  # nothing was traded yet
    found = [one.mini() if kind == "MINI" else one.full() for one in windows]
    return found[0] if is_one and found else found


def _kind(call: Call) -> str:
    return read.word(call.params, "type", ("FULL", "MINI"), "FULL")


def price_ticker(call: Call) -> Any:
    return _each(call, lambda one, now_ns: {"price": one.texts.price(one.spans.last(now_ns))})


def book_ticker(call: Call) -> Any:
    return _each(call, best)


def _each(call: Call, tell: Any) -> Any:
    """One object for a symbol, a list for several or all."""
    view, now_ns = view_for(call), call.course.now_ns
    markets, is_one = read.chosen(call.params, view) or (list(view.markets.values()), False)
    found = [{"symbol": one.symbol, **tell(one, now_ns)} for one in _in_status(call, markets)]
    return found[0] if is_one and found else found


HANDLERS: Final[dict[str, Handler]] = {
    "ping": ping,
    "time": time,
    "exchangeInfo": exchange_info,
    "depth": depth,
    "trades.recent": recent_trades,
    "trades.historical": historical_trades,
    "trades.aggregate": aggregate_trades,
    "klines": klines,
    "uiKlines": klines,
    "avgPrice": average_price,
    "ticker.24hr": day_ticker,
    "ticker.tradingDay": trading_day_ticker,
    "ticker": window_ticker,
    "ticker.price": price_ticker,
    "ticker.book": book_ticker,
}
