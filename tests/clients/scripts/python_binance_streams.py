"""python-binance beside a moving market: single and combined sockets, own events, orders over the WebSocket API."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

from binance import BinanceSocketManager
from python_binance_walk import aim, balance, client
from steps import GIVEN, Heard, far_bid, introduce, refused, say, until


async def listen(socket: Any, heard: Heard, opened: asyncio.Semaphore) -> None:
    async with socket as stream:
        opened.release()
        while True:
            heard.take(await stream.recv())


async def walk() -> None:
    introduce("python-binance streams", version("python-binance"))
    GIVEN["flavour"] = "async"
    aim()
    venue, heard = await client(), Heard()
    manager, lower = BinanceSocketManager(venue), GIVEN["symbol"].lower()
    names = [f"{lower}@{kind}" for kind in ("aggTrade", "bookTicker", "ticker", "depth@100ms", "miniTicker")]
    sockets = [manager.trade_socket(GIVEN["symbol"]), manager.kline_socket(GIVEN["symbol"], interval="1m")]
    sockets += [manager.multiplex_socket(names), manager.user_socket()]
    opened = asyncio.Semaphore(0)
    tasks = [asyncio.ensure_future(listen(socket, heard, opened)) for socket in sockets]
    for _ in sockets:
        await asyncio.wait_for(opened.acquire(), 20)
    say("balance before", exact=await balance(venue))
    await errands(venue)
    await until(lambda: heard.has_enough(GIVEN["bars"], 2 + len(names)), GIVEN.get("patience", 30))
    say("own trades", trades=await venue.get_my_trades(symbol=GIVEN["symbol"]))
    say("balance after", exact=await balance(venue))
    for task in tasks:
        task.cancel()
    failed = [str(one) for one in await asyncio.gather(*tasks, return_exceptions=True) if isinstance(one, Exception)]
    say("watched", failed=failed)
    heard.say()
    await venue.close_connection()


async def errands(venue: Any) -> None:
    symbol = GIVEN["symbol"]
    ticker = await venue.ws_get_orderbook_ticker(symbol=symbol)
    price, quantity = far_bid(await venue.get_symbol_info(symbol), ticker["bidPrice"])
    limit = {"symbol": symbol, "quantity": quantity, "price": price}
    order = await venue.ws_order_limit_buy(**limit)
    say("far limit", id=order["orderId"], status=order["status"], price=price, quantity=quantity, info=order)
    opened = await venue.ws_get_open_orders(symbol=symbol)
    say("open orders", ids=[one["orderId"] for one in opened])
    found = await venue.ws_get_order(symbol=symbol, orderId=order["orderId"])
    say("order", id=found["orderId"], status=found["status"])
    gone = await venue.ws_cancel_order(symbol=symbol, orderId=order["orderId"])
    say("cancel", id=gone["orderId"], status=gone["status"])
    for side in ("buy", "sell"):
        done = await getattr(venue, f"ws_order_market_{side}")(symbol=symbol, quantity=quantity)
        say(f"market {side}", id=done["orderId"], status=done["status"], filled=done["executedQty"])
    await refused("insufficient balance", lambda: venue.ws_order_limit_buy(**limit | {"quantity": "100"}))
    await refused("unknown order cancelled", lambda: venue.ws_cancel_order(symbol=symbol, orderId=999999999))
    await refused("unknown symbol", lambda: venue.ws_get_order_book(symbol="NOSUCHPAIR"))


if __name__ == "__main__":
    asyncio.run(walk())
