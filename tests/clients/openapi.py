"""What the venue's REST takes, as an OpenAPI document that schemathesis reads: made from the venue's own routes.

The parameters stand here, in the wire's documented types; the routes say which calls are signed.
"""

from __future__ import annotations

from typing import Any

from gnomon.serve.venue.routes import ROUTES

TEXT: dict[str, Any] = {"type": "string", "maxLength": 40}
COUNT: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 2**53}
DECIMAL: dict[str, Any] = {"type": "string", "pattern": r"^[0-9]{1,8}(\.[0-9]{1,8})?$"}


def words(*among: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(among)}


TYPES: dict[str, dict[str, Any]] = {
    "symbol": words("BTCUSDT", "ETHUSDT", "NOSUCHPAIR", ""),
    "symbols": words('["BTCUSDT"]', '["BTCUSDT","BTCUSDT"]', "[]", "[", "{}", "BTCUSDT"),
    "interval": words("1s", "1m", "1h", "1d", "1w", "1M", "7m", ""),
    "side": words("BUY", "SELL", "HOLD"),
    "type": words("LIMIT", "MARKET", "LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "WISH"),
    "timeInForce": words("GTC", "IOC", "FOK", "GTX"),
    "newOrderRespType": words("ACK", "RESULT", "FULL", "SHORT"),
    "cancelReplaceMode": words("STOP_ON_FAILURE", "ALLOW_FAILURE", "OFTEN"),
    "cancelRestrictions": words("ONLY_NEW", "ONLY_PARTIALLY_FILLED", "ONLY_MINE"),
    "selfTradePreventionMode": words("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "FORGIVE"),
    "permissions": words("SPOT", '["SPOT","MARGIN"]', "x"),
    "windowSize": words("1m", "59m", "1h", "23h", "1d", "7d", "8d"),
    "recvWindow": {"type": "number", "minimum": -1, "maximum": 70_000},
    "workingType": words("LIMIT", "LIMIT_MAKER", "MARKET"),
    "pendingType": words("LIMIT", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT"),
    "aboveType": words("LIMIT_MAKER", "STOP_LOSS", "TAKE_PROFIT", "STOP_LOSS_LIMIT"),
    "belowType": words("LIMIT_MAKER", "STOP_LOSS", "TAKE_PROFIT", "STOP_LOSS_LIMIT"),
    **dict.fromkeys(("workingSide", "pendingSide"), words("BUY", "SELL", "HOLD")),
    **dict.fromkeys(("limit", "orderId", "fromId", "orderListId", "startTime", "endTime", "trailingDelta"), COUNT),
    **dict.fromkeys(("strategyId", "strategyType", "cancelOrderId", "preventedMatchId"), COUNT),
    **dict.fromkeys(("quantity", "price", "stopPrice", "icebergQty", "quoteOrderQty", "newQty"), DECIMAL),
    **dict.fromkeys(("workingPrice", "workingQuantity", "pendingPrice", "pendingQuantity", "abovePrice"), DECIMAL),
    **dict.fromkeys(("belowPrice", "aboveStopPrice", "belowStopPrice", "stopLimitPrice"), DECIMAL),
}
MARKET = ("symbol", "symbols", "limit")
RANGE = ("symbol", "fromId", "startTime", "endTime", "limit")
ORDER = (
    *("symbol", "side", "type", "timeInForce", "quantity", "quoteOrderQty", "price", "stopPrice", "icebergQty"),
    *("trailingDelta", "newClientOrderId", "strategyId", "strategyType", "newOrderRespType", "selfTradePreventionMode"),
)
NAMED = ("symbol", "orderId", "origClientOrderId")
OCO = ("symbol", "side", "quantity", "listClientOrderId", "aboveType", "belowType", "abovePrice", "belowPrice")
OTO = ("symbol", "workingType", "workingSide", "workingPrice", "workingQuantity", "pendingType", "pendingSide")
PARAMETERS: dict[str, tuple[str, ...]] = {
    "ping": (),
    "time": (),
    "exchangeInfo": ("symbol", "symbols", "permissions"),
    "klines": ("symbol", "interval", "startTime", "endTime", "timeZone", "limit"),
    "uiKlines": ("symbol", "interval", "startTime", "endTime", "timeZone", "limit"),
    "trades.aggregate": RANGE,
    "ticker": (*MARKET, "windowSize", "type"),
    "ticker.tradingDay": (*MARKET, "timeZone", "type"),
    "ticker.24hr": (*MARKET, "type"),
    "order.place": ORDER,
    "order.test": (*ORDER, "computeCommissionRates"),
    "order.status": NAMED,
    "order.cancel": (*NAMED, "newClientOrderId", "cancelRestrictions"),
    "order.cancelReplace": (*ORDER, "cancelReplaceMode", "cancelOrderId", "cancelOrigClientOrderId"),
    "order.amend.keepPriority": (*NAMED, "newQty", "newClientOrderId"),
    "allOrders": ("symbol", "orderId", "startTime", "endTime", "limit"),
    "myTrades": ("orderId", *RANGE),
    "orderList.place": ("symbol", "side", "quantity", "price", "stopPrice", "stopLimitPrice", "listClientOrderId"),
    "orderList.place.oco": (*OCO, "aboveStopPrice", "belowStopPrice"),
    "orderList.place.oto": (*OTO, "pendingQuantity", "pendingPrice"),
    "orderList.place.otoco": (*OTO, "pendingQuantity", "pendingPrice"),
    "orderList.place.opo": OTO,
    "orderList.place.opoco": OTO,
    "orderList.cancel": ("symbol", "orderListId", "listClientOrderId"),
    "orderList.status": ("orderListId", "origClientOrderId"),
    "allOrderLists": ("fromId", "startTime", "endTime", "limit"),
    "account.status": ("omitZeroBalances",),
}
OTHERS = ("symbol", "limit", "fromId", "orderId")


def document() -> dict[str, Any]:
    """One operation for each verb and path; `x-signed` says that a signature is wanted."""
    paths: dict[str, dict[str, Any]] = {}
    for (verb, path), route in ROUTES.items():
        names = PARAMETERS.get(route.method, OTHERS)
        found = [*names, *(("recvWindow",) if route.security else ())]
        listed = [{"name": name, "in": "query", "schema": TYPES.get(name, TEXT)} for name in dict.fromkeys(found)]
        operation = {"operationId": f"{verb.decode()} {path.decode()}", "parameters": listed}
        operation |= {"x-signed": bool(route.security), "responses": {"default": {"description": "JSON"}}}
        paths.setdefault(path.decode(), {})[verb.decode().lower()] = operation
    return {"openapi": "3.1.0", "info": {"title": "The venue", "version": "3"}, "paths": paths}
