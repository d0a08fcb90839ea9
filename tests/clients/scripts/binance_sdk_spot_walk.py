"""A day's errands by binance-sdk-spot, over REST or over the WebSocket API: its two faces name things nearly alike."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from binance_sdk_spot.spot import ConfigurationRestAPI, ConfigurationWebSocketAPI, Spot
from steps import GIVEN, asked, far_bid, filters, introduce, refused, say, step_down

FACES = {
    "rest": {"info": "exchange_info", "account": "get_account", "place": "new_order", "cancel": "delete_order"}
    | {"opened": "get_open_orders", "order": "get_order", "orders": "all_orders", "prints": "get_trades"}
    | {"ticker": "ticker24hr"},
    "websocket": {
        "info": "exchange_info",
        "account": "account_status",
        "place": "order_place",
        "cancel": "order_cancel",
    }
    | {"opened": "open_orders_status", "order": "order_status", "orders": "all_orders", "prints": "trades_recent"}
    | {"ticker": "ticker24hr"},
}


class Complaints(logging.Handler):
    """What the client says of answers that are not of its models' types."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if "declared types" in text or "parse" in text:
            self.said.append(text[:300])


def plain(answer: Any) -> Any:
    """An answer as JSON says it, with the venue's own names."""
    data = answer.data()
    if isinstance(data, list):
        return [document(one) for one in data]
    found = document(data)
    return found["result"] if isinstance(found, dict) and "result" in found and "id" in found else found


def document(model: Any) -> Any:
    model = getattr(model, "actual_instance", None) or model  # of one-of models
    # its own `to_dict` fails on the rows of klines that come over a WebSocket
    return model.model_dump(by_alias=True) if hasattr(model, "model_dump") else model


class ErrorAnswer(Exception):
    """Over a WebSocket this client raises nothing: it hands `{"error": {code, msg}}` over as the answer."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["code"], error["msg"])


class Face:
    """One of the client's two faces by one set of names."""

    def __init__(self, flavour: str, key: str | None = None, secret: str | None = None) -> None:
        given: dict[str, Any] = {"api_key": key or GIVEN["key"], "api_secret": secret or GIVEN["secret"]}
        self.names = FACES[flavour]
        self.is_rest = flavour == "rest"
        if self.is_rest:
            rest = ConfigurationRestAPI(base_path=GIVEN["http"], timeout=10_000, **given)
            self.api: Any = Spot(config_rest_api=rest).rest_api
        else:
            socket = ConfigurationWebSocketAPI(stream_url=GIVEN["ws"] + "/ws-api/v3", timeout=10_000, **given)
            self.api = Spot(config_ws_api=socket).websocket_api

    async def open(self) -> Face:
        if not self.is_rest:
            await self.api.create_connection()
        return self

    async def close(self) -> None:
        if not self.is_rest:
            await self.api.close_connection()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(**arguments: Any) -> Any:
            found = plain(await asked(getattr(self.api, self.names.get(name, name))(**arguments)))
            if isinstance(found, dict) and isinstance(found.get("error"), dict):
                raise ErrorAnswer(found["error"])
            return found

        return call


async def walk(flavour: str) -> None:
    introduce("binance-sdk-spot" + ("" if flavour == "rest" else " WebSocket API"), version("binance-sdk-spot"))
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    face = await Face(flavour).open()
    try:
        await errands(face)
        await mistakes(face, flavour)
    finally:
        await face.close()
    say("complaints", said=complaints.said)


async def balance(face: Any) -> dict[str, list[str]]:
    return {one["asset"]: [one["free"], one["locked"]] for one in (await face.account())["balances"]}


async def errands(face: Any) -> None:
    symbol = GIVEN["symbol"]
    if face.is_rest:  # over WebSocket its model of exchangeInfo has no result
        every = (await face.info())["symbols"]
        info = next(one for one in every if one["symbol"] == symbol)
        say("markets", symbols=sorted(one["symbol"] for one in every), symbol=info["symbol"], info=info)
    say("time", ms=(await face.time())["serverTime"])
    say("balance before", exact=await balance(face))
    ticker = await face.ticker(symbol=symbol)
    say("ticker", **ticker)
    book = await face.depth(symbol=symbol, limit=20)
    say("book", bids=book["bids"], asks=book["asks"], nonce=book["lastUpdateId"])
    bars = await face.klines(symbol=symbol, interval="1m", limit=10)
    say("bars", opens=[bar[0] for bar in bars], rows=bars)
    prints = await face.prints(symbol=symbol, limit=20)
    say("prints", ids=[one["id"] for one in prints], times=[one["time"] for one in prints])
    price, quantity = far_bid(GIVEN["info"], ticker["lastPrice"])
    buy = {"symbol": symbol, "side": "BUY", "type": "LIMIT", "time_in_force": "GTC"}
    order = await face.place(**buy, quantity=float(quantity), price=float(price))
    say("far limit", id=order["orderId"], status=order["status"], price=price, quantity=quantity, info=order)
    say("open orders", ids=[one["orderId"] for one in await face.opened(symbol=symbol)])
    found = await face.order(symbol=symbol, order_id=order["orderId"])
    say("order", id=found["orderId"], status=found["status"], info=found)
    say("balance held", exact=await balance(face))
    gone = await face.cancel(symbol=symbol, order_id=order["orderId"])
    say("cancel", id=gone["orderId"], status=gone["status"], info=gone)
    say("open orders after", ids=[one["orderId"] for one in await face.opened(symbol=symbol)])
    for side in ("buy", "sell"):
        done = await face.place(symbol=symbol, side=side.upper(), type="MARKET", quantity=float(quantity))
        say(f"market {side}", id=done["orderId"], status=done["status"], filled=done["executedQty"], info=done)
    say("own trades", trades=await face.my_trades(symbol=symbol))
    orders = await face.orders(symbol=symbol)
    say("orders", ids=[one["orderId"] for one in orders], statuses=[one["status"] for one in orders])
    say("balance after", exact=await balance(face))


async def mistakes(face: Any, flavour: str) -> None:
    symbol, by_type = GIVEN["symbol"], filters(GIVEN["info"])
    ticker = await face.ticker(symbol=symbol)
    price, quantity = far_bid(GIVEN["info"], ticker["lastPrice"])
    limit = {"symbol": symbol, "side": "BUY", "type": "LIMIT", "time_in_force": "GTC"}
    limit |= {"quantity": quantity, "price": price}

    def place(without: tuple[str, ...] = (), **changes: Any) -> Any:
        wanted = {name: value for name, value in (limit | changes).items() if name not in without}
        return lambda: face.place(**wanted)

    dear = step_down(float(ticker["askPrice"]) * 1.01, by_type["PRICE_FILTER"]["tickSize"])
    most = str(int(float(by_type["LOT_SIZE"]["maxQty"])) * 2)
    await refused("insufficient balance", place(quantity=step_down(100, by_type["LOT_SIZE"]["stepSize"])))
    await refused("unknown order cancelled", lambda: face.cancel(symbol=symbol, order_id=999999999))
    await refused("unknown order asked for", lambda: face.order(symbol=symbol, order_id=999999999))
    await refused("price between ticks", place(price=step_down(price, "0.01") + "000001"))
    await refused("quantity below the least", place(quantity="0.00000001"))
    await refused("quantity above the most", place(quantity=most))
    await refused("worth too little", place(quantity=by_type["LOT_SIZE"]["minQty"]))
    await refused("price out of bounds", place(price=str(int(float(price) * 50))))
    await refused("maker that would take", place(without=("time_in_force",), type="LIMIT_MAKER", price=dear))
    await refused("stop that would fire", place(type="STOP_LOSS_LIMIT", stop_price=price))
    await refused("unknown symbol", place(symbol="NOSUCHPAIR"))
    await refused("unknown interval", lambda: face.klines(symbol=symbol, interval="7m"))
    await refused("parameter missing", place(without=("price",)))
    await refused("unknown type", place(type="WISH"))
    await refused("unknown side", place(side="HOLD"))
    for case, key, secret in (("wrong signature", None, "not the secret"), ("unknown key", "n" * 64, None)):
        other = await Face(flavour, key, secret).open()
        await refused(case, other.account)
        await other.close()


if __name__ == "__main__":
    asyncio.run(walk(GIVEN["flavour"]))
