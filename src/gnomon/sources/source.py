"""The ports of the providers: who has candles, who has trades, who has events. A job cannot tell them apart.

What a source raises says what to do about it:

| error         | meaning                                                                               |
|---------------|---------------------------------------------------------------------------------------|
| `Unavailable` | try later: 5xx, a timeout, a body cut off, after every retry                          |
| `Exhausted`   | a rate limit or a ban; `detail["retry_after_s"]` is how long to wait                  |
| `Invalid`     | the answer is not of the known schema (it names the field), or the request is wrong   |
| `Refused`     | forbidden: a key, a region                                                            |
| `NotFound`    | the provider does not know the symbol                                                 |

A source that fails has yielded whole pages until then: each stands for itself and may be kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gnomon.clock import Timeframe, iso
from gnomon.errors import Invalid, NotFound
from gnomon.market.calendar import Sessions
from gnomon.market.candles import Basis, Candles
from gnomon.market.events import CalendarEvent
from gnomon.market.instrument import Instrument
from gnomon.market.trades import Trades
from gnomon.units import IntArray


@dataclass(frozen=True, slots=True)
class Request:
    """One series, one window: bars that open (prints that happen) in [first_ns, last_ns), UTC ns.

    The timeframe means nothing to a source of trades.
    """

    instrument: Instrument
    sessions: Sessions
    timeframe: Timeframe
    first_ns: int
    last_ns: int

    def __post_init__(self) -> None:
        if self.first_ns > self.last_ns:
            raise Invalid(
                f"a window from {iso(self.first_ns)} to {iso(self.last_ns)} ends before it begins",
                hint="give the earlier instant first",
            )


@dataclass(frozen=True, slots=True)
class Missing:
    """Scheduled bars that a source, asked for them, did not have: opens in [first_ns, until_ns). Never invented."""

    instrument: str
    timeframe: str
    first_ns: int
    until_ns: int
    bars: int
    why: str


class CandleSource(Protocol):
    """A provider of candles.

    `candles` yields pages, oldest first, of closed bars only, each checked (`Candles.check`) and knowable at its close.
    Grids may differ from page to page. Raises as the module's table says, at the first `next`.
    """

    @property
    def name(self) -> str: ...

    @property
    def basis(self) -> Basis: ...

    def timeframes(self) -> tuple[str, ...]: ...

    def candles(self, request: Request) -> Iterator[Candles]: ...


class TradeSource(Protocol):
    """A provider of prints: pages, oldest first."""

    @property
    def name(self) -> str: ...

    def trades(self, request: Request) -> Iterator[Trades]: ...


class EventSource(Protocol):
    """A provider of the economic calendar: statements about events scheduled in [first_ns, last_ns)."""

    @property
    def name(self) -> str: ...

    def events(self, first_ns: int, last_ns: int) -> Iterator[list[CalendarEvent]]: ...


def symbol_of(instrument: Instrument, source: str) -> str:
    """The instrument's preferred name at a source. `NotFound` when it has none there."""
    names = instrument.sources.get(source, ())
    if not names:
        has = ", ".join(instrument.sources) or "none"
        raise NotFound(
            f"{instrument.symbol} has no name at source {source!r} (it has: {has})",
            hint=f'add {source} = ["…"] to `sources` of {instrument.symbol} in the instruments file',
            detail={"instrument": instrument.id, "source": source},
        )
    return names[0]


def require_timeframe(source: CandleSource, timeframe: Timeframe) -> None:
    """`Invalid` when a source has no bars of that length."""
    if str(timeframe) not in source.timeframes():
        raise Invalid(
            f"{source.name} has no bars of {timeframe}",
            hint=f"one of {' '.join(source.timeframes())}",
            detail={"source": source.name, "timeframe": str(timeframe)},
        )


def missing_bars(request: Request, open_ns: IntArray, first_ns: int, until_ns: int, why: str) -> list[Missing]:
    """Runs of bars of the request that open from `first_ns` on, have closed by `until_ns` and are not in `open_ns`."""
    reach_ns = request.last_ns + 2 * request.timeframe.nominal_ns  # months are longer than their nominal length
    scheduled = request.sessions.between(request.timeframe, first_ns, min(until_ns, reach_ns))
    absent = ~np.isin(scheduled.open_ns, open_ns) & (scheduled.open_ns < request.last_ns)
    edges = np.flatnonzero(np.diff(absent, prepend=False, append=False))
    return [
        Missing(
            instrument=request.instrument.id,
            timeframe=str(request.timeframe),
            first_ns=int(scheduled.open_ns[first]),
            until_ns=int(scheduled.close_ns[last - 1]),
            bars=int(last - first),
            why=why,
        )
        for first, last in zip(edges[::2], edges[1::2], strict=True)
    ]
