"""Names of streams: `btcusdt@kline_1m`, `ethusdt@depth5@100ms`, `!miniTicker@arr`. What a name asks for, or None."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gnomon.serve.venue.intervals import LENGTHS_NS, Interval
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.serve.venue.symbols import Symbols
from gnomon.units import DAY_NS, HOUR_NS, SECOND_NS

ALL: Final = -1
"""The number of no listing: all of them."""

WINDOWS_NS: Final = {"1h": HOUR_NS, "4h": 4 * HOUR_NS, "1d": DAY_NS}
PACES_NS: Final = {"": SECOND_NS, "@1000ms": SECOND_NS, "@100ms": SECOND_NS // 10}

_kline: Final = re.compile(r"kline_([0-9]+[smhdwM])(?:@([+-][0-9]{2}:[0-9]{2}))?").fullmatch
_depth: Final = re.compile(r"depth(5|10|20)?(@1000ms|@100ms)?").fullmatch
_window: Final = re.compile(r"ticker_(1h|4h|1d)(@arr)?").fullmatch

PLAIN: Final = ("trade", "aggTrade", "miniTicker", "ticker", "bookTicker", "avgPrice")
OF_ALL: Final = ("miniTicker@arr", "ticker@arr", "bookTicker")


@dataclass(frozen=True, slots=True)
class Asked:
    """One stream: its kind (`trade`, `kline`, `depth`, `ticker_1h`, …), the number of the listing or `ALL`, and what
    else its name says."""

    kind: str
    number: int
    interval: Interval | None = None
    levels: int = 0
    pace_ns: int = SECOND_NS


def parsed(name: str, symbols: Symbols) -> Asked | None:
    if name.startswith("!"):
        return _of_all(name[1:])
    symbol, _, rest = name.partition("@")
    number = symbols.lower.get(symbol)
    if number is None:
        return None
    if rest in PLAIN:
        return Asked(rest, number)
    if match := _kline(rest):
        return _of_kline(number, match[1], match[2] or "")
    if match := _depth(rest):
        return Asked("depth", number, levels=int(match[1] or 0), pace_ns=PACES_NS[match[2] or ""])
    match = _window(rest)
    return Asked(f"ticker_{match[1]}", number) if match and not match[2] else None


def _of_all(name: str) -> Asked | None:
    if name in OF_ALL:
        return Asked(name.removesuffix("@arr"), ALL)
    match = _window(name)
    return Asked(f"ticker_{match[1]}", ALL) if match and match[2] else None


def _of_kline(number: int, name: str, zone: str) -> Asked | None:
    if name not in LENGTHS_NS:
        return None
    try:
        interval = Interval.parse(name, zone)
    except VenueRefusal:  # there is no such time zone
        return None
    return Asked("kline", number, interval, pace_ns=SECOND_NS if name == "1s" else 2 * SECOND_NS)
