"""Tables with named columns: which column is what, by the spellings that exchanges, vendors and libraries use."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from gnomon.errors import Invalid
from gnomon.sources.files.table import Kind

_TIME: Final = (
    "timestamp", "timestamps", "open_time", "opentime", "transact_time", "datetime", "date", "time", "unix", "ts", "t",
    "index", "level_0", "index_level_0", "unnamed_0", "",
)  # fmt: skip
_CANDLES: Final[dict[str, tuple[str, ...]]] = {
    "time": _TIME,
    "open": ("open", "o", "open_price"),
    "high": ("high", "h", "high_price"),
    "low": ("low", "l", "low_price"),
    "close": ("close", "c", "close_price"),
    "volume": ("volume", "vol", "v", "base_volume", "tick_volume"),
    "amount": ("amount", "quote_volume", "quote_asset_volume", "quotevolume", "turnover", "bv"),
}
_TRADES: Final[dict[str, tuple[str, ...]]] = {
    "time": _TIME,
    "received": ("local_timestamp", "received", "received_time"),
    "id": ("id", "trade_id", "tradeid", "agg_trade_id"),
    "price": ("price", "p", "px"),
    "size": ("size", "quantity", "qty", "amount", "volume", "q"),
    "side": ("side", "taker_side", "aggressor", "aggressor_side"),
    "buyer_maker": ("buyer_maker", "is_buyer_maker", "isbuyermaker", "buyer_is_maker", "m"),
}
_NEEDED: Final[dict[Kind, tuple[str, ...]]] = {
    "candles": ("time", "open", "high", "low", "close"),
    "trades": ("time", "price", "size"),
}


def plain(header: Sequence[str]) -> tuple[str, ...]:
    """Column names in lower case, words joined by underscores."""
    return tuple(re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_") for name in header)


def roles(header: Sequence[str], file: str) -> tuple[Kind, dict[str, int]] | None:
    """Whether the columns are those of candles or of trades, and the position of each; None for neither.

    Raises `Invalid` where two columns have one name that matters, or date and time of day stand apart.
    """
    names = plain(header)
    candles, trades = _find(names, _CANDLES), _find(names, _TRADES)
    kind: Kind
    for kind, found in (("candles", candles), ("trades", trades)):
        if set(_NEEDED[kind]) <= set(found):
            _require_one_each(names, found, file)
            return kind, found
    if {"open", "high", "low", "close"} <= set(candles):
        raise Invalid(f"{file}: open, high, low and close, but no column of times", hint="name one timestamp")
    return None


def _find(names: Sequence[str], spellings: Mapping[str, Sequence[str]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for role, wanted in spellings.items():
        position = next((names.index(name) for name in wanted if name in names), None)
        if position is not None and position not in found.values():
            found[role] = position
    return found


def _require_one_each(names: Sequence[str], found: Mapping[str, int], file: str) -> None:
    twice = [names[position] for position in found.values() if names.count(names[position]) > 1]
    if twice:
        raise Invalid(f"{file}: two columns are called {twice[0]!r}", hint="keep one of them")
    if names[found["time"]] == "date" and "time" in names:
        raise Invalid(f"{file}: date and time of day stand in two columns", hint="join them into one timestamp")
