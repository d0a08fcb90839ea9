"""Whose series it is: a configured instrument, or one inferred from the names and the rows.

| what is known                                   | instrument                                                         |
|-------------------------------------------------|--------------------------------------------------------------------|
| `instrument=` names a configured one            | that                                                               |
| `instrument=VENUE:SYMBOL`, not configured       | inferred with that venue and symbol                                |
| the format says the venue                       | the configured one of that venue and symbol, else inferred         |
| only a symbol                                   | the configured one of any such name, else inferred, venue `local`  |

The class and calendar of an inferred one: venue `us` or dates without weekends: equity, nyse; a venue such as XSHG:
equity and its own calendar; a pair of currencies or metals: fx_commodity, fx; a crypto quote, a known coin or bars at
weekends: crypto, always.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gnomon.errors import Invalid
from gnomon.market.instrument import AssetClass, Instrument, Instruments
from gnomon.sources.files.stamps import Stamps
from gnomon.sources.files.table import Name
from gnomon.sources.sessions import stamp_zone_of
from gnomon.units import DAY_NS, Grid, IntArray

_STABLE_COINS: Final = ("USDT", "USDC", "BUSD", "FDUSD", "TUSD", "USDP", "DAI", "USDE")
_COIN_NAMES: Final = (
    "BTC XBT ETH BNB XRP SOL ADA DOGE AVAX LTC LINK DOT TRX MATIC POL APE SHIB BCH ETC XLM XMR ATOM UNI FIL NEAR ALGO "
    "EOS XTZ AAVE SUI APT ARB OP TON HBAR ICP VET FTM INJ"
)
_CURRENCY_NAMES: Final = (
    "USD EUR GBP JPY AUD CAD CHF NZD CNH CNY HKD SGD SEK NOK DKK PLN CZK HUF TRY ZAR MXN INR KRW BRL THB ILS RUB "
    "XAU XAG XPT XPD"
)
_COINS: Final = frozenset(_COIN_NAMES.split())
_CURRENCIES: Final = frozenset(_CURRENCY_NAMES.split())
_EXCHANGE_CODE: Final = re.compile(r"X[A-Z]{3}")
_VENUE_AND_SYMBOL: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}:[A-Za-z0-9_.-]{1,32}")


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose series it is; `own` is the instrument where one is known, its grids included where they were configured."""

    symbol: str
    venue: str
    asset_class: AssetClass
    calendar: str
    stamp_zone: str
    own: Instrument | None = None
    forecast: bool = True
    note: str = ""

    @property
    def id(self) -> str:
        return f"{self.venue}:{self.symbol}"

    @property
    def grids(self) -> tuple[Grid, Grid] | None:
        """Tick and lot of a configured instrument. One that only imports have met has no source symbols, and grids
        that follow whatever was imported first: they must not decide the hash of another file."""
        return (self.own.tick, self.own.lot) if self.own is not None and self.own.sources else None

    def instrument(self, tick: Grid, lot: Grid) -> Instrument:
        """The known instrument, or a new one on the grids of its rows."""
        if self.own is not None:
            return self.own
        return Instrument(
            symbol=self.symbol,
            venue=self.venue,
            asset_class=self.asset_class,
            calendar=self.calendar,
            tick=tick,
            lot=lot,
            stamp_zone=self.stamp_zone,
            forecast=self.forecast,
        )


def identify(name: Name, stamps: Stamps, instruments: Instruments, override: str | None, file: str) -> Identity:
    """Whose series it is. `NotFound` for an unknown override, `Invalid` when nothing tells."""
    known = _configured(name, instruments, override)
    if known is not None and known.forecast and not name.forecast:
        raise Invalid(
            f"{file}: mark prices are no trades of {known.id}", hint="leave --instrument out: they are kept apart"
        )
    if known is not None:
        return Identity(
            known.symbol, known.venue, known.asset_class, known.calendar, known.stamp_zone, known, known.forecast
        )
    if override is not None:
        venue, symbol = override.split(":")
        name = replace(name, symbols=(symbol.upper(),), venue=venue)
    if not name.symbols:
        raise Invalid(
            f"{file}: nothing in it or in its name says which instrument this is",
            hint="say --instrument, a configured name or VENUE:SYMBOL",
        )
    return _inferred(name, stamps)


def _configured(name: Name, instruments: Instruments, override: str | None) -> Instrument | None:
    if override is not None:
        inferable = override not in instruments and _VENUE_AND_SYMBOL.fullmatch(override) is not None
        return None if inferable else instruments.find(override)
    for symbol in name.symbols:
        wanted = f"{name.venue}:{symbol}" if name.venue else symbol
        if wanted in instruments:
            return instruments.find(wanted)
        if name.venue and symbol in instruments and instruments.find(symbol).venue == name.venue:
            return instruments.find(symbol)
    return None


def _inferred(name: Name, stamps: Stamps) -> Identity:
    symbol, venue = name.symbols[0], name.venue or "local"
    asset_class: AssetClass
    if _EXCHANGE_CODE.fullmatch(venue):
        asset_class, calendar, why = "equity", venue, "its exchange"
    elif venue == "us":
        asset_class, calendar, why = "equity", "nyse", "its venue"
    elif name.asset_class == "crypto":
        asset_class, calendar, why = "crypto", "always", "its format"
    else:
        asset_class, calendar, why = _class_of(symbol, stamps)
    zone = stamp_zone_of(calendar)
    note = f"no configured instrument: taken as {venue}:{symbol}, {asset_class}, calendar {calendar} ({why})"
    return Identity(symbol, venue, asset_class, calendar, zone, None, name.forecast, note)


def _class_of(symbol: str, stamps: Stamps) -> tuple[AssetClass, str, str]:
    base, _, kind = symbol.partition("-")
    if len(base) == 6 and base[:3] in _CURRENCIES and base[3:] in _CURRENCIES:
        return "fx_commodity", "fx", "a pair of currencies"
    quote = next((coin for coin in _STABLE_COINS if base.endswith(coin) and base != coin), "")
    if quote or kind == "PERP" or base in _COINS:
        return "crypto", "always", f"quoted in {quote}" if quote else "its symbol"
    if any(base == coin + rest for coin in _COINS for rest in (*_CURRENCIES, *_COINS)):
        return "crypto", "always", "a pair with a known coin"
    if _weekend_share(stamps.wall_ns // DAY_NS):
        return "crypto", "always", "bars at weekends"
    if stamps.are_dates:
        return "equity", "nyse", "dates without weekends"
    hours = stamps.wall_ns % DAY_NS // (DAY_NS // 24)
    if len(np.unique(hours)) > 20:
        return "fx_commodity", "fx", "round the clock without weekends"
    return "equity", "nyse", "part of the day without weekends"


def _weekend_share(days: IntArray) -> float:
    return float(((days + 3) % 7 >= 5).mean()) if len(days) else 0.0  # 1970-01-01 was a Thursday
