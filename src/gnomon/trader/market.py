"""What a desk sees of the world, as of an instant: two ports, and the things that come through them.

Whoever implements them answers with what was knowable at `now_ns` and with nothing else. The desk checks the stamps of
what it is given once more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.forecast.forecast import Forecast
from gnomon.market.candles import Candles
from gnomon.market.events import CalendarEvent
from gnomon.trader.decisions import canonical
from gnomon.trader.events import BestQuote
from gnomon.units import IntArray


class Last(NamedTuple):
    """The newest price: of a print, or of a closed bar where nothing is printed. ns and ticks."""

    knowable_ns: int
    price_ticks: int


class Printed(NamedTuple):
    """The newest prints, oldest first: when each was knowable (ns), ticks, lots, aggressor (1, -1, 0)."""

    knowable_ns: IntArray
    price_ticks: IntArray
    lots: IntArray
    side: IntArray


class Market(Protocol):
    """Prices. Instruments by the number of their listing."""

    def last(self, instrument: int, now_ns: int, /) -> Last | None:
        """The newest price, None before the first."""
        ...

    def candles(self, instrument: int, timeframe: Timeframe, n: int, now_ns: int, /) -> Candles:
        """The newest `n` closed bars with `knowable_ns <= now_ns`, oldest first; fewer where there are fewer."""
        ...

    def trades(self, instrument: int, n: int, now_ns: int, /) -> Printed: ...

    def best(self, instrument: int, now_ns: int, /) -> BestQuote | None:
        """Best bid and ask, recorded or as the rules of the session assume them."""
        ...


@dataclass(frozen=True, slots=True)
class Issued:
    """A forecast as it was issued. `id` is what the decision log keeps."""

    id: str
    issued_ns: int
    forecast: Forecast

    def quantile(self, level: float, step: int = 1) -> float:
        """The price at a level of the close `step` bars ahead; `Invalid` for a level or step that is not there."""
        if not 1 <= step <= self.forecast.horizon:
            raise Invalid(f"step {step} was not forecast", hint=f"1 to {self.forecast.horizon}")
        return float(self.forecast.at_level(level)[step - 1])

    def median(self, step: int = 1) -> float:
        return self.quantile(0.5, step)

    def p_up(self, step: int = 1) -> float:
        return float(self.forecast.p_up[step - 1])


def content_of(forecast: Forecast) -> bytes:
    """BLAKE2b-256 over who said what of which steps: 32 bytes."""
    one = forecast
    said = (
        one.forecaster, one.version, one.instrument, str(one.timeframe), one.basis, int(one.data_cutoff_ns),
        float(one.base_price), tuple(map(float, one.levels)), one.target_open_ns, one.target_close_ns, one.quantiles,
        one.p_up,
    )  # fmt: skip
    return hashlib.blake2b(canonical(said), digest_size=32).digest()


class Document(NamedTuple):
    """A dated text."""

    published_ns: int
    title: str
    text: str
    source: str = ""


class News(Protocol):
    """What was said: forecasts, events, texts."""

    def forecast(self, name: str | None, instrument: int, timeframe: Timeframe, now_ns: int, /) -> Issued | None:
        """The newest of this forecaster (of any, for None) with `issued_ns <= now_ns`."""
        ...

    def calendar(self, now_ns: int, /) -> Sequence[CalendarEvent]:
        """The newest statement about each event that was knowable."""
        ...

    def search(self, query: str, n: int, now_ns: int, /) -> Sequence[Document]:
        """The best texts published by then; `Unavailable` where nothing can be searched."""
        ...


class Book(NamedTuple):
    """Price levels of an order book, best first: (ticks, lots) of each side."""

    knowable_ns: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


class Depth(Protocol):
    """Order books, where they are recorded."""

    def book(self, instrument: int, depth: int, now_ns: int, /) -> Book | None: ...
