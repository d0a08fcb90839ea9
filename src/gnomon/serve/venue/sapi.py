"""Stubs of the wallet, margin and futures paths that clients ask for at start-up."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from gnomon.exchange.rules import RATE_ONE
from gnomon.serve.venue.call import Call, Handler
from gnomon.serve.venue.routes import NONE, USER_DATA, Route
from gnomon.serve.venue.symbols import Symbols

NS_PER_MS: Final = 1_000_000


def _futures(call: Call) -> dict[str, Any]:
    """An exchange without symbols."""
    return {
        "timezone": "UTC",
        "serverTime": call.course.now_ns // NS_PER_MS,
        "rateLimits": [],
        "exchangeFilters": [],
        "symbols": [],
    }


def _options(call: Call) -> dict[str, Any]:
    return {**_futures(call), "optionSymbols": []}


def _status(_: Call) -> dict[str, Any]:
    return {"status": 0, "msg": "normal"}


def _nothing(_: Call) -> list[Any]:
    return []


def _trade_fee(call: Call) -> list[dict[str, str]]:
    """Rates of each symbol, or of the one that was asked for."""
    fees = call.course.exchange.rules.fees
    maker, taker = (format((Decimal(rate) / RATE_ONE).normalize(), "f") for rate in (fees.maker, fees.taker))
    asked = call.params.get("symbol")
    symbols = Symbols(list(call.course.exchange.listings.values())).all()
    return [
        {"symbol": symbol, "makerCommission": maker, "takerCommission": taker}
        for symbol in symbols
        if asked in (None, "", symbol)
    ]


def _restrictions(_: Call) -> dict[str, Any]:
    """What a key of ours may do: trade on spot, and nothing else."""
    return {
        "ipRestrict": False,
        "createTime": 0,
        "enableReading": True,
        "enableWithdrawals": False,
        "enableInternalTransfer": False,
        "enableMargin": False,
        "enableFutures": False,
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
        "enableSpotAndMarginTrading": True,
        "enablePortfolioMarginTrading": False,
    }


_STUBS: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET /sapi/v1/capital/config/getall", USER_DATA, _nothing),
    ("GET /sapi/v1/margin/allPairs", USER_DATA, _nothing),
    ("GET /sapi/v1/margin/isolated/allPairs", USER_DATA, _nothing),
    ("GET /sapi/v1/asset/tradeFee", USER_DATA, _trade_fee),
    ("GET /sapi/v1/system/status", NONE, _status),
    ("GET /sapi/v1/spot/delist-schedule", USER_DATA, _nothing),
    ("GET /sapi/v1/account/apiRestrictions", USER_DATA, _restrictions),
    ("POST /sapi/v3/asset/getUserAsset", USER_DATA, _nothing),
    ("POST /sapi/v1/asset/get-funding-asset", USER_DATA, _nothing),
    ("GET /fapi/v1/exchangeInfo", NONE, _futures),
    ("GET /dapi/v1/exchangeInfo", NONE, _futures),
    ("GET /eapi/v1/exchangeInfo", NONE, _options),
)

HANDLERS: Final[dict[str, Handler]] = {asked: handler for asked, _, handler in _STUBS}
ROUTES: Final[Mapping[tuple[bytes, bytes], Route]] = {
    (verb, path): Route(asked, security)
    for asked, security, _ in _STUBS
    for verb, path in (asked.encode().split(b" "),)
}
