"""A day's errands by python-binance over REST, sync or async: the same calls, awaited or not."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

from binance import AsyncClient, BinanceSocketManager, Client
from binance.base_client import BaseClient
from steps import GIVEN, asked, far_bid, filters, introduce, refused, say, step_down


def aim() -> None:
    """Addresses are attributes of classes in this client; there is no other way to say http or a port."""
    http, ws = GIVEN["http"], GIVEN["ws"]
    BaseClient.API_URL, BaseClient.MARGIN_API_URL, BaseClient.FUTURES_URL = (
        http + "/api",
        http + "/sapi",
        http + "/fapi",
    )
    BaseClient.WS_API_URL, BinanceSocketManager.STREAM_URL = ws + "/ws-api/v3", ws + "/"


async def client(key: str | None = None, secret: str | None = None) -> Any:
    given = (key or GIVEN["key"], secret or GIVEN["secret"])
    return await AsyncClient.create(*given) if GIVEN["flavour"] == "async" else Client(*given)


async def walk() -> None:
    name = "python-binance" + (" async" if GIVEN["flavour"] == "async" else "")
    introduce(name, version("python-binance"))
    aim()
    venue = await client()
    try:
        await errands(venue)
        await mistakes(venue)
    finally:
        await asked(venue.close_connection())


async def errands(venue: Any) -> None:
    symbol = GIVEN["symbol"]
    every = await asked(venue.get_exchange_info())
    info = await asked(venue.get_symbol_info(symbol))
    say("markets", symbols=sorted(one["symbol"] for one in every["symbols"]), symbol=info["symbol"], info=info)
    say("time", ms=(await asked(venue.get_server_time()))["serverTime"])
    say("balance before", exact=await balance(venue))
    ticker = await asked(venue.get_ticker(symbol=symbol))
    say("ticker", **ticker)
    book = await asked(venue.get_order_book(symbol=symbol, limit=20))
    say("book", bids=book["bids"], asks=book["asks"], nonce=book["lastUpdateId"])
    bars = await asked(venue.get_klines(symbol=symbol, interval=Client.KLINE_INTERVAL_1MINUTE, limit=10))
    say("bars", opens=[bar[0] for bar in bars], rows=bars)
    prints = await asked(venue.get_recent_trades(symbol=symbol, limit=20))
    say("prints", ids=[one["id"] for one in prints], times=[one["time"] for one in prints])
    price, quantity = far_bid(info, ticker["lastPrice"])
    order = await asked(venue.order_limit_buy(symbol=symbol, quantity=quantity, price=price))
    say("far limit", id=order["orderId"], status=order["status"], price=price, quantity=quantity, info=order)
    say("open orders", ids=[one["orderId"] for one in await asked(venue.get_open_orders(symbol=symbol))])
    found = await asked(venue.get_order(symbol=symbol, orderId=order["orderId"]))
    say("order", id=found["orderId"], status=found["status"], info=found)
    say("balance held", exact=await balance(venue))
    gone = await asked(venue.cancel_order(symbol=symbol, orderId=order["orderId"]))
    say("cancel", id=gone["orderId"], status=gone["status"], info=gone)
    say("open orders after", ids=[one["orderId"] for one in await asked(venue.get_open_orders(symbol=symbol))])
    for side in ("buy", "sell"):
        place = getattr(venue, f"order_market_{side}")
        done = await asked(place(symbol=symbol, quantity=quantity))
        say(f"market {side}", id=done["orderId"], status=done["status"], filled=done["executedQty"], info=done)
    say("own trades", trades=await asked(venue.get_my_trades(symbol=symbol)))
    orders = await asked(venue.get_all_orders(symbol=symbol))
    say("orders", ids=[one["orderId"] for one in orders], statuses=[one["status"] for one in orders])
    say("balance after", exact=await balance(venue))


async def balance(venue: Any) -> dict[str, list[str]]:
    account = await asked(venue.get_account())
    return {one["asset"]: [one["free"], one["locked"]] for one in account["balances"]}


async def mistakes(venue: Any) -> None:
    symbol = GIVEN["symbol"]
    info = await asked(venue.get_symbol_info(symbol))
    ticker = await asked(venue.get_ticker(symbol=symbol))
    price, quantity = far_bid(info, ticker["lastPrice"])
    by_type = filters(info)
    limit = {
        "symbol": symbol,
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": quantity,
        "price": price,
    }

    def place(without: tuple[str, ...] = (), **changes: Any) -> Any:
        wanted = {name: value for name, value in (limit | changes).items() if name not in without}
        return lambda: venue.create_order(**wanted)

    dear = step_down(float(ticker["askPrice"]) * 1.01, by_type["PRICE_FILTER"]["tickSize"])
    most = str(int(float(by_type["LOT_SIZE"]["maxQty"])) * 2)
    await refused("insufficient balance", place(quantity=step_down(100, by_type["LOT_SIZE"]["stepSize"])))
    await refused("unknown order cancelled", lambda: venue.cancel_order(symbol=symbol, orderId=999999999))
    await refused("unknown order asked for", lambda: venue.get_order(symbol=symbol, orderId=999999999))
    await refused("price between ticks", place(price=step_down(price, "0.01") + "000001"))
    await refused("quantity below the least", place(quantity="0.00000001"))
    await refused("quantity above the most", place(quantity=most))
    await refused("worth too little", place(quantity=by_type["LOT_SIZE"]["minQty"]))
    await refused("price out of bounds", place(price=str(int(float(price) * 50))))
    await refused("maker that would take", place(without=("timeInForce",), type="LIMIT_MAKER", price=dear))
    await refused("stop that would fire", place(type="STOP_LOSS_LIMIT", stopPrice=price))
    await refused("unknown symbol", place(symbol="NOSUCHPAIR"))
    await refused("unknown interval", lambda: venue.get_klines(symbol=symbol, interval="7m"))
    await refused("parameter missing", place(without=("price",)))
    await refused("unknown type", place(type="WISH"))
    await refused("unknown side", place(side="HOLD"))
    venue.timestamp_offset, honest = -1_000_000_000_000, venue.timestamp_offset
    await refused("stale stamp", lambda: venue.get_account())
    venue.timestamp_offset = honest
    for case, key, secret in (("wrong signature", None, "not the secret"), ("unknown key", "n" * 64, None)):
        other = await client(key, secret)
        await refused(case, other.get_account)
        await asked(other.close_connection())


if __name__ == "__main__":
    asyncio.run(walk())
