"""What a trader is told of: prints and bars of the market, in integers first.

One object of each kind is used again and again: it is valid inside the hook only. Whoever wants to keep something keeps
the numbers.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple, NoReturn

from gnomon.errors import Invalid
from gnomon.exchange.listing import Listing


class Trade:
    """A market print. `side` is the aggressor: 1 bought, -1 sold, 0 unknown; `position` its row on the tape."""

    __slots__ = ("_down", "_up", "listing", "lots", "position", "price_ticks", "side", "time_ns")

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self._up, self._down = listing.tick.as_integer_ratio()  # 3 ticks of 0.1 are 0.3
        self.time_ns = self.price_ticks = self.lots = self.side = self.position = 0

    @property
    def instrument(self) -> str:
        return self.listing.id

    @property
    def price(self) -> float:
        return self.price_ticks * self._up / self._down

    @property
    def qty(self) -> Decimal:
        return self.lots * self.listing.lot


class Candle:
    """A closed bar of one instrument; prices in ticks, volume in lots."""

    __slots__ = (
        "_down",
        "_up",
        "close_ns",
        "close_ticks",
        "high_ticks",
        "is_new",
        "listing",
        "low_ticks",
        "open_ns",
        "open_ticks",
        "position",
        "volume_lots",
    )

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self._up, self._down = listing.tick.as_integer_ratio()  # 3 ticks of 0.1 are 0.3
        self.is_new = True  # it closed at the instant of the bar
        self.open_ns = self.close_ns = self.position = 0
        self.open_ticks = self.high_ticks = self.low_ticks = self.close_ticks = self.volume_lots = 0

    @property
    def instrument(self) -> str:
        return self.listing.id

    @property
    def open(self) -> float:
        return self.open_ticks * self._up / self._down

    @property
    def high(self) -> float:
        return self.high_ticks * self._up / self._down

    @property
    def low(self) -> float:
        return self.low_ticks * self._up / self._down

    @property
    def close(self) -> float:
        return self.close_ticks * self._up / self._down

    @property
    def volume(self) -> Decimal:
        return self.volume_lots * self.listing.lot


class Bar:
    """The candles that closed at one instant, by instrument. `candle` is the only one, of a session with one."""

    __slots__ = ("candle", "candles", "time_ns")

    def __init__(self, candles: dict[str, Candle]) -> None:
        self.candles = candles
        self.time_ns = 0
        if len(candles) == 1:
            (self.candle,) = candles.values()

    def __getattr__(self, name: str) -> NoReturn:
        if name == "candle":
            raise Invalid(f"a bar of {len(self.candles)} instruments has no candle", hint="bar[instrument]")
        raise AttributeError(name)

    def __getitem__(self, instrument: str) -> Candle:
        return self.candles[instrument]


class BestQuote(NamedTuple):
    """Best bid and ask as known at `time_ns`, in ticks and lots; 0 where a side is empty."""

    instrument: int
    time_ns: int
    bid_ticks: int
    ask_ticks: int
    bid_lots: int = 0
    ask_lots: int = 0


class Timer(NamedTuple):
    """A timer of the desk has run out."""

    name: str


class Phase(NamedTuple):
    """The session opens, begins a day, or closes. `day` counts from 1, 0 outside of days."""

    name: str
    day: int = 0


class Degraded(NamedTuple):
    """Something that the trader relies on is not what it should be."""

    reason: str
