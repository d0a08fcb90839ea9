"""Which path is which method: its name on the WebSocket API, who may call it, what it weighs and counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import orjson

Weigh = Callable[[Mapping[str, str]], int]
"""What a request weighs by its parameters."""

NONE: Final = ""
TRADE: Final = "TRADE"
USER_DATA: Final = "USER_DATA"
USER_STREAM: Final = "USER_STREAM"


@dataclass(frozen=True, slots=True)
class Route:
    """One method: what it needs and costs. `orders` is what an accepted call adds to the count of unfilled orders;
    `weigh` replaces `weight` where parameters decide; `key_only` asks for a key but no signature."""

    method: str
    security: str = NONE
    weight: int = 1
    orders: int = 0
    weigh: Weigh | None = None
    key_only: bool = False


# --- weights by parameters ------------------------------------------------------------------------------------------


def depth_weight(params: Mapping[str, str]) -> int:
    limit = _count(params, "limit", 100)
    return 5 if limit <= 100 else 25 if limit <= 500 else 50 if limit <= 1_000 else 250


def day_ticker_weight(params: Mapping[str, str]) -> int:
    if "symbol" in params:
        return 2
    symbols = _symbols(params)
    return 80 if symbols is None or symbols > 100 else 40 if symbols > 20 else 2


def window_ticker_weight(params: Mapping[str, str]) -> int:
    if "symbol" in params:
        return 4
    return min(4 * (_symbols(params) or 1), 200)


def price_weight(params: Mapping[str, str]) -> int:
    return 2 if "symbol" in params else 4


def open_orders_weight(params: Mapping[str, str]) -> int:
    return 6 if "symbol" in params else 80


def trades_weight(params: Mapping[str, str]) -> int:
    return 5 if "orderId" in params else 20


def test_weight(params: Mapping[str, str]) -> int:
    return 20 if params.get("computeCommissionRates") == "true" else 1


def _count(params: Mapping[str, str], name: str, default: int) -> int:
    text = params.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default


def _symbols(params: Mapping[str, str]) -> int | None:
    """How many symbols a JSON list names; None for all of them."""
    text = params.get("symbols")
    if text is None:
        return None
    try:
        named = orjson.loads(text)
    except orjson.JSONDecodeError:
        return 1
    return len(named) if isinstance(named, list) else 1


# --- methods --------------------------------------------------------------------------------------------------------

METHODS: Final[Mapping[str, Route]] = {
    route.method: route
    for route in (
        Route("ping"),
        Route("time"),
        Route("exchangeInfo", weight=20),
        Route("depth", weigh=depth_weight),
        Route("trades.recent", weight=25),
        Route("trades.historical", weight=25),
        Route("trades.aggregate", weight=4),
        Route("klines", weight=2),
        Route("uiKlines", weight=2),
        Route("avgPrice", weight=2),
        Route("ticker.24hr", weigh=day_ticker_weight),
        Route("ticker.tradingDay", weigh=window_ticker_weight),
        Route("ticker", weigh=window_ticker_weight),
        Route("ticker.price", weigh=price_weight),
        Route("ticker.book", weigh=price_weight),
        Route("sim.view", USER_DATA, 0),
        Route("sim.send", TRADE, orders=1),
        Route("order.place", TRADE, orders=1),
        Route("order.test", TRADE, weigh=test_weight),
        Route("order.status", USER_DATA, 4),
        Route("order.cancel", TRADE),
        Route("order.cancelReplace", TRADE, orders=1),
        Route("order.amend.keepPriority", TRADE, 4),
        Route("openOrders.status", USER_DATA, weigh=open_orders_weight),
        Route("openOrders.cancelAll", TRADE),
        Route("allOrders", USER_DATA, 20),
        Route("orderList.place", TRADE, orders=2),
        Route("orderList.place.oco", TRADE, orders=2),
        Route("orderList.place.oto", TRADE, orders=2),
        Route("orderList.place.otoco", TRADE, orders=3),
        Route("orderList.place.opo", TRADE, orders=2),
        Route("orderList.place.opoco", TRADE, orders=3),
        Route("orderList.cancel", TRADE),
        Route("orderList.status", USER_DATA, 4),
        Route("openOrderLists.status", USER_DATA, 6),
        Route("allOrderLists", USER_DATA, 20),
        Route("account.status", USER_DATA, 20),
        Route("account.commission", USER_DATA, 20),
        Route("account.rateLimits.orders", USER_DATA, 40),
        Route("myTrades", USER_DATA, weigh=trades_weight),
        Route("myPreventedMatches", USER_DATA, 20),
        Route("myAllocations", USER_DATA, 20),
        Route("myFilters", USER_DATA, 40),
        Route("order.amendments", USER_DATA, 4),
        Route("referencePrice", weight=2),
    )
}

USER_STREAM_START: Final = "userDataStream.start"
USER_STREAM_PING: Final = "userDataStream.ping"
USER_STREAM_STOP: Final = "userDataStream.stop"

_V3: Final[Mapping[str, str]] = {
    "GET ping": "ping",
    "GET time": "time",
    "GET exchangeInfo": "exchangeInfo",
    "GET depth": "depth",
    "GET trades": "trades.recent",
    "GET historicalTrades": "trades.historical",
    "GET aggTrades": "trades.aggregate",
    "GET klines": "klines",
    "GET uiKlines": "uiKlines",
    "GET avgPrice": "avgPrice",
    "GET ticker/24hr": "ticker.24hr",
    "GET ticker/tradingDay": "ticker.tradingDay",
    "GET ticker": "ticker",
    "GET ticker/price": "ticker.price",
    "GET ticker/bookTicker": "ticker.book",
    "GET referencePrice": "referencePrice",
    "POST order": "order.place",
    "POST order/test": "order.test",
    "GET order": "order.status",
    "DELETE order": "order.cancel",
    "POST order/cancelReplace": "order.cancelReplace",
    "PUT order/amend/keepPriority": "order.amend.keepPriority",
    "GET order/amendments": "order.amendments",
    "GET openOrders": "openOrders.status",
    "DELETE openOrders": "openOrders.cancelAll",
    "GET allOrders": "allOrders",
    "POST order/oco": "orderList.place",
    "POST orderList/oco": "orderList.place.oco",
    "POST orderList/oto": "orderList.place.oto",
    "POST orderList/otoco": "orderList.place.otoco",
    "POST orderList/opo": "orderList.place.opo",
    "POST orderList/opoco": "orderList.place.opoco",
    "DELETE orderList": "orderList.cancel",
    "GET orderList": "orderList.status",
    "GET openOrderList": "openOrderLists.status",
    "GET allOrderList": "allOrderLists",
    "GET account": "account.status",
    "GET account/commission": "account.commission",
    "GET rateLimit/order": "account.rateLimits.orders",
    "GET myTrades": "myTrades",
    "GET myPreventedMatches": "myPreventedMatches",
    "GET myAllocations": "myAllocations",
    "GET myFilters": "myFilters",
}

ROUTES: Final[Mapping[tuple[bytes, bytes], Route]] = {
    **{
        (verb.encode(), b"/api/v3/" + path.encode()): METHODS[method]
        for (verb, path), method in ((asked.split(" "), name) for asked, name in _V3.items())
    },
    # the first version of the public calls, which old clients still ask
    (b"GET", b"/api/v1/ping"): METHODS["ping"],
    (b"GET", b"/api/v1/time"): METHODS["time"],
    (b"GET", b"/api/v1/exchangeInfo"): METHODS["exchangeInfo"],
    (b"POST", b"/api/v3/userDataStream"): Route(USER_STREAM_START, USER_STREAM, 2, key_only=True),
    (b"PUT", b"/api/v3/userDataStream"): Route(USER_STREAM_PING, USER_STREAM, 2, key_only=True),
    (b"DELETE", b"/api/v3/userDataStream"): Route(USER_STREAM_STOP, USER_STREAM, 2, key_only=True),
}
"""By verb and path."""
