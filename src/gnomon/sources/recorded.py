"""Bars that are at hand, served as if they came in by the clock: for demonstrations, simulated weeks and tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gnomon.clock import Clock
from gnomon.errors import NotFound
from gnomon.market.candles import Basis, Candles
from gnomon.sources.source import Request


@dataclass(slots=True)
class RecordedSource:
    """A source over recorded bars. It has nothing that is not knowable by its clock. `asked` is its request log."""

    bars: dict[tuple[str, str], Candles]
    clock: Clock
    name: str = "recorded"
    basis: Basis = "raw"
    page_bars: int = 1_000
    asked: list[Request] = field(default_factory=list)

    @classmethod
    def of(cls, series: Iterable[Candles], clock: Clock, name: str = "recorded") -> RecordedSource:
        found = {(one.instrument, str(one.timeframe)): one for one in series}
        return cls(found, clock, name)

    def timeframes(self) -> tuple[str, ...]:
        """The lengths that were recorded."""
        return tuple(dict.fromkeys(timeframe for _, timeframe in self.bars))

    def candles(self, request: Request) -> Iterator[Candles]:
        """Pages of what is knowable by now; `NotFound` for a series that was not recorded."""
        self.asked.append(request)
        try:
            bars = self.bars[request.instrument.id, str(request.timeframe)]
        except KeyError:
            raise NotFound(
                f"no recording of {request.instrument.symbol} at {request.timeframe}", hint="record it first"
            ) from None
        inside = (bars.open_ns >= request.first_ns) & (bars.open_ns < request.last_ns)
        known = bars.take(inside & (bars.knowable_ns <= self.clock.now_ns()))
        for first in range(0, len(known), self.page_bars):
            yield known.take(slice(first, first + self.page_bars))
