"""A day's errands by ccxt over REST, sync or async: the same calls, awaited or not."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from steps import GIVEN, asked, far_bid, filters, introduce, refused, say, step_down


def addresses() -> dict[str, Any]:
    http, ws = GIVEN["http"], GIVEN["ws"]
    rest = {"public": "/api/v3", "private": "/api/v3", "v1": "/api/v1", "sapi": "/sapi/v1", "sapiV2": "/sapi/v2"}
    rest |= {"sapiV3": "/sapi/v3", "sapiV4": "/sapi/v4", "fapiPublic": "/fapi/v1", "dapiPublic": "/dapi/v1"}
    found: dict[str, Any] = {name: http + path for name, path in rest.items()}
    found["ws"] = {"spot": f"{ws}/ws", "ws-api": {"spot": f"{ws}/ws-api/v3"}}
    return found


def client(kind: Any, **changes: Any) -> Any:
    options = {
        "apiKey": GIVEN["key"],
        "secret": GIVEN["secret"],
        "urls": {"api": addresses()},
        "enableRateLimit": False,
    }
    return kind.binance(options | changes)


async def walk(kind: Any, name: str) -> None:
    introduce(name, importlib.import_module("ccxt").__version__)
    venue = client(kind)
    try:
        await errands(venue)
        await mistakes(venue, kind)
    finally:
        await asked(venue.close() if hasattr(venue, "close") else None)


async def errands(venue: Any) -> None:
    markets = await asked(venue.load_markets())
    pair = f"{GIVEN['base']}/{GIVEN['quote']}"
    market = markets[pair]
    say("markets", symbols=sorted(markets), symbol=market["id"], active=market["active"], precision=market["precision"])
    say("time", ms=await asked(venue.fetch_time()))
    say("balance before", **await balance(venue))
    ticker = await asked(venue.fetch_ticker(pair))
    say("ticker", **{k: ticker[k] for k in ("symbol", "timestamp", "bid", "ask", "last", "high", "low", "baseVolume")})
    book = await asked(venue.fetch_order_book(pair, 20))
    say("book", bids=book["bids"], asks=book["asks"], nonce=book["nonce"])
    bars = await asked(venue.fetch_ohlcv(pair, "1m", limit=10))
    say("bars", opens=[bar[0] for bar in bars], rows=bars)
    prints = await asked(venue.fetch_trades(pair, limit=20))
    say("prints", ids=[int(one["id"]) for one in prints], times=[one["timestamp"] for one in prints])
    price, quantity = far_bid(market["info"], ticker["last"])
    order = await asked(venue.create_order(pair, "limit", "buy", float(quantity), float(price)))
    say("far limit", id=order["id"], status=order["status"], price=price, quantity=quantity, info=order["info"])
    say("open orders", ids=[one["id"] for one in await asked(venue.fetch_open_orders(pair))])
    found = await asked(venue.fetch_order(order["id"], pair))
    say("order", id=found["id"], status=found["status"], remaining=found["remaining"], info=found["info"])
    say("balance held", **await balance(venue))
    await refused("market while held back", lambda: venue.create_order(pair, "market", "sell", 100))
    gone = await asked(venue.cancel_order(order["id"], pair))
    say("cancel", id=gone["id"], status=gone["status"])
    say("open orders after", ids=[one["id"] for one in await asked(venue.fetch_open_orders(pair))])
    for side in ("buy", "sell"):
        done = await asked(venue.create_order(pair, "market", side, float(quantity)))
        say(f"market {side}", id=done["id"], status=done["status"], filled=done["filled"], info=done["info"])
    trades = await asked(venue.fetch_my_trades(pair))
    say("own trades", trades=[one["info"] for one in trades], fees=[one["fee"] for one in trades])
    orders = await asked(venue.fetch_orders(pair))
    say("orders", ids=[one["id"] for one in orders], statuses=[one["status"] for one in orders])
    say("balance after", **await balance(venue))


async def balance(venue: Any) -> dict[str, Any]:
    found = await asked(venue.fetch_balance())
    exact = {one["asset"]: [one["free"], one["locked"]] for one in found["info"]["balances"]}
    return {"exact": exact, "total": {asset: found["total"].get(asset) for asset in exact}}


async def mistakes(venue: Any, kind: Any) -> None:
    pair, symbol = f"{GIVEN['base']}/{GIVEN['quote']}", GIVEN["symbol"]
    market = venue.markets[pair]
    ticker = await asked(venue.fetch_ticker(pair))
    price, quantity = far_bid(market["info"], ticker["last"])
    by_type = filters(market["info"])
    limit = {"symbol": symbol, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}

    def place(**changes: Any) -> Any:
        wanted = limit | {"quantity": quantity, "price": price} | changes
        return lambda: venue.privatePostOrder({name: value for name, value in wanted.items() if value is not None})

    await refused("insufficient balance", lambda: venue.create_order(pair, "limit", "buy", 100, float(price)))
    await refused("unknown order cancelled", lambda: venue.cancel_order("999999999", pair))
    await refused("unknown order asked for", lambda: venue.fetch_order("999999999", pair))
    await refused("price between ticks", place(price=step_down(price, "0.01") + "000001"))
    await refused("quantity below the least", place(quantity="0.00000001"))
    await refused("quantity above the most", place(quantity=str(int(float(by_type["LOT_SIZE"]["maxQty"])) * 2)))
    await refused("worth too little", place(quantity=by_type["LOT_SIZE"]["minQty"]))
    await refused("price out of bounds", place(price=str(int(float(price) * 50))))
    await refused("maker that would take", place(type="LIMIT_MAKER", timeInForce=None, price=dear(by_type, ticker)))
    await refused("stop that would fire", place(type="STOP_LOSS_LIMIT", stopPrice=price))
    await refused("unknown symbol", place(symbol="NOSUCHPAIR"))
    await refused("unknown interval", lambda: venue.publicGetKlines({"symbol": symbol, "interval": "7m"}))
    await refused("parameter missing", place(price=None))
    await refused("unknown type", place(type="WISH"))
    await refused("unknown side", place(side="HOLD"))
    await refused("stale stamp", lambda: stale(venue))
    for case, changes in (("wrong signature", {"secret": "not the secret"}), ("unknown key", {"apiKey": "n" * 64})):
        other = client(kind, **changes)
        try:
            await refused(case, lambda other=other: other.privateGetAccount())
        finally:
            await asked(other.close() if hasattr(other, "close") else None)


def dear(by_type: dict[str, Any], ticker: dict[str, Any]) -> str:
    return step_down(float(ticker["ask"]) * 1.01, by_type["PRICE_FILTER"]["tickSize"])


async def stale(venue: Any) -> Any:
    """A request with a stamp of 2001: older than any session of a market that trades at all hours."""
    honest = venue.nonce
    venue.nonce = lambda: 1_000_000_000_000
    try:
        return await asked(venue.privateGetAccount())
    finally:
        venue.nonce = honest


if __name__ == "__main__":
    flavours = {"sync": ("ccxt", "ccxt"), "async": ("ccxt.async_support", "ccxt async")}
    module, name = flavours[GIVEN["flavour"]]
    asyncio.run(walk(importlib.import_module(module), name))
