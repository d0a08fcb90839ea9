"""ccxt.pro beside a moving market: every kind of stream watched, own orders sent over the WebSocket API meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import ccxt
import ccxt.pro
from ccxt_walk import addresses
from steps import GIVEN, Heard, far_bid, introduce, refused, say, until


class Watching:
    """What the `watch_…` calls of ccxt.pro made of the streams."""

    def __init__(self, venue: Any, pair: str) -> None:
        self.venue, self.pair = venue, pair
        self.failed: dict[str, str] = {}
        calls = {"trades": lambda: venue.watch_trades(pair), "bars": lambda: venue.watch_ohlcv(pair, "1m")}
        calls |= {"book": lambda: venue.watch_order_book(pair, 10), "best": lambda: venue.watch_bids_asks([pair])}
        calls |= {"ticker": lambda: venue.watch_ticker(pair, {"name": "ticker"}), "orders": venue.watch_orders}
        calls |= {"own trades": venue.watch_my_trades, "balance": venue.watch_balance}
        self.seen: dict[str, list[Any]] = {name: [] for name in calls}
        self.tasks = [asyncio.ensure_future(self.watch(name, call)) for name, call in calls.items()]

    async def watch(self, name: str, call: Any) -> None:
        try:
            while True:
                self.seen[name].extend(self.brief(name, await call()))
        except asyncio.CancelledError:
            pass
        except Exception as error:
            self.failed[name] = f"{type(error).__name__}: {error}"

    def brief(self, name: str, got: Any) -> list[Any]:
        if name in ("trades", "own trades"):
            return [int(one["id"]) for one in got]
        if name == "bars":
            return [[one[0], one[4]] for one in got]
        if name == "orders":
            return [[one["id"], one["status"], one["filled"]] for one in got]
        if name == "book":
            return [[got["nonce"], got["bids"][:1], got["asks"][:1]]]
        if name == "balance":
            return [{asset: got[asset] for asset in (GIVEN["base"], GIVEN["quote"]) if asset in got}]
        one = got[self.pair] if name == "best" else got
        return [[one["bid"], one["ask"]]]


async def walk() -> None:
    introduce("ccxt pro", ccxt.__version__)
    options = {"apiKey": GIVEN["key"], "secret": GIVEN["secret"], "urls": {"api": addresses()}, "newUpdates": True}
    venue, heard = ccxt.pro.binance(options), Heard()
    handle = venue.handle_message
    venue.handle_message = lambda client, message: (heard.take(message), handle(client, message))[1]
    try:
        await session(venue, heard)
    finally:
        await venue.close()


async def session(venue: Any, heard: Heard) -> None:
    pair = f"{GIVEN['base']}/{GIVEN['quote']}"
    await venue.load_markets()
    before = await venue.fetch_balance()
    say("balance before", exact={one["asset"]: [one["free"], one["locked"]] for one in before["info"]["balances"]})
    watching = Watching(venue, pair)
    await until(lambda: len(watching.seen["best"]) > 0 and len(watching.seen["bars"]) > 0, 20)
    await errands(venue, pair)
    await until(lambda: heard.has_enough(GIVEN["bars"]), GIVEN.get("patience", 30))
    trades = await venue.fetch_my_trades(pair)
    say("own trades", trades=[one["info"] for one in trades])
    after = await venue.fetch_balance()
    say("balance after", exact={one["asset"]: [one["free"], one["locked"]] for one in after["info"]["balances"]})
    for task in watching.tasks:
        task.cancel()
    say("watched", **watching.seen, failed=watching.failed)
    heard.say()


async def errands(venue: Any, pair: str) -> None:
    ticker = await venue.fetch_ticker(pair)
    price, quantity = far_bid(venue.markets[pair]["info"], ticker["last"])
    order = await venue.create_order_ws(pair, "limit", "buy", float(quantity), float(price))
    say("far limit", id=order["id"], status=order["status"], price=price, quantity=quantity)
    say("open orders", ids=[one["id"] for one in await venue.fetch_open_orders_ws(pair)])
    found = await venue.fetch_order_ws(order["id"], pair)
    say("order", id=found["id"], status=found["status"])
    gone = await venue.cancel_order_ws(order["id"], pair)
    say("cancel", id=gone["id"], status=gone["status"])
    for side in ("buy", "sell"):
        done = await venue.create_order_ws(pair, "market", side, float(quantity))
        say(f"market {side}", id=done["id"], status=done["status"], filled=done["filled"])
    bars = await venue.fetch_ohlcv_ws(pair, "1m", limit=5)
    say("bars", opens=[bar[0] for bar in bars])
    await refused("insufficient balance", lambda: venue.create_order_ws(pair, "limit", "buy", 100, float(price)))
    await refused("unknown order cancelled", lambda: venue.cancel_order_ws("999999999", pair))


if __name__ == "__main__":
    asyncio.run(walk())
