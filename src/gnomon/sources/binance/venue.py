"""Binance's markets: where each one answers, what its requests weigh, which bars it has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gnomon.clock import Timeframe
from gnomon.errors import Invalid

ARCHIVE_URL: Final = "https://data.binance.vision"

_SYMBOL: Final = re.compile(r"[\w-]{1,40}")
_TIMEFRAMES: Final = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w", "1mo")


@dataclass(frozen=True, slots=True)
class Venue:
    """One market. `source` is the key in an instrument's `sources`; weights are those of one request.

    The bars of three days are left out: they begin on days of the venue's own counting.
    """

    source: str
    url: str
    prefix: str
    archive: str
    timeframes: tuple[str, ...]
    weight_limit: int  # a minute, for one address
    klines_weight: int
    trades_weight: int
    info_weight: int


SPOT: Final = Venue("binance", "https://api.binance.com", "/api/v3", "spot", ("1s", *_TIMEFRAMES), 6000, 2, 4, 20)
USDM: Final = Venue("binance-usdm", "https://fapi.binance.com", "/fapi/v1", "futures/um", _TIMEFRAMES, 2400, 5, 20, 1)


def interval_of(timeframe: Timeframe) -> str:
    """A timeframe as the REST interface spells it: months are `1M`."""
    return f"{timeframe.count}M" if timeframe.unit == "mo" else str(timeframe)


def checked_symbol(symbol: str) -> str:
    """The symbol, fit to stand in an address. `Invalid` otherwise."""
    if _SYMBOL.fullmatch(symbol) is None:
        raise Invalid(f"not a symbol of Binance: {symbol!r}", hint="letters and digits, e.g. BTCUSDT")
    return symbol
