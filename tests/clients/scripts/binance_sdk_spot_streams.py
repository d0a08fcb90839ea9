"""binance-sdk-spot beside a moving market: its typed streams, its own events, orders over REST meanwhile."""

from __future__ import annotations

import asyncio
import logging
from importlib.metadata import version
from typing import Any

from binance_sdk_spot.spot import ConfigurationWebSocketAPI, ConfigurationWebSocketStreams, Spot
from binance_sdk_spot_walk import Complaints, Face, balance, document
from steps import GIVEN, Heard, far_bid, introduce, say, until

KINDS = {"trade": {}, "kline": {"interval": "1m"}, "book_ticker": {}, "ticker": {}, "mini_ticker": {}}
KINDS |= {"agg_trade": {}, "diff_book_depth": {}}


async def walk() -> None:
    introduce("binance-sdk-spot streams", version("binance-sdk-spot"))
    complaints, heard = Complaints(), Heard()
    logging.getLogger().addHandler(complaints)
    streams = Spot(config_ws_streams=ConfigurationWebSocketStreams(stream_url=GIVEN["ws"])).websocket_streams
    await streams.create_connection()
    for kind, more in KINDS.items():
        stream = await getattr(streams, kind)(symbol=GIVEN["symbol"].lower(), **more)
        stream.on("message", lambda event: heard.take(document(event)))
    keys = {"api_key": GIVEN["key"], "api_secret": GIVEN["secret"]}
    own = Spot(config_ws_api=ConfigurationWebSocketAPI(stream_url=GIVEN["ws"] + "/ws-api/v3", **keys)).websocket_api
    await own.create_connection()
    subscribed = await own.user_data_stream_subscribe_signature()
    say("subscribed", answer=document(subscribed.response.data()))
    subscribed.stream.on("message", lambda event: heard.take(named(event)))
    face = await Face("rest").open()
    say("balance before", exact=await balance(face))
    await errands(face)
    await until(lambda: heard.has_enough(GIVEN["bars"], len(KINDS)), GIVEN.get("patience", 30))
    say("own trades", trades=await face.my_trades(symbol=GIVEN["symbol"]))
    say("balance after", exact=await balance(face))
    await own.close_connection()
    await streams.close_connection()
    say("complaints", said=complaints.said)
    heard.say()


def named(event: Any) -> Any:
    """A user event by its name: the models of this client drop `e`, their class tells."""
    model = getattr(event, "actual_instance", None) or event
    found = document(model)
    if isinstance(found, dict) and "e" not in found:
        name = type(model).__name__
        found = {"e": name[0].lower() + name[1:], **found}
    return found


async def errands(face: Any) -> None:
    symbol = GIVEN["symbol"]
    ticker = await face.ticker(symbol=symbol)
    price, quantity = far_bid(GIVEN["info"], ticker["lastPrice"])
    buy = {"symbol": symbol, "side": "BUY", "type": "LIMIT", "time_in_force": "GTC"}
    order = await face.place(**buy, quantity=float(quantity), price=float(price))
    say("far limit", id=order["orderId"], status=order["status"], price=price, quantity=quantity)
    await face.cancel(symbol=symbol, order_id=order["orderId"])
    for side in ("buy", "sell"):
        done = await face.place(symbol=symbol, side=side.upper(), type="MARKET", quantity=float(quantity))
        say(f"market {side}", id=done["orderId"], status=done["status"], filled=done["executedQty"])


if __name__ == "__main__":
    asyncio.run(walk())
