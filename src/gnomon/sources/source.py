"""The ports of the outside's data: who asks says which series and window, and gets checked pages, oldest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from gnomon.clock import Timeframe, iso
from gnomon.errors import Invalid, NotFound
from gnomon.market.calendar import Sessions
from gnomon.market.candles import Basis, Candles
from gnomon.market.instrument import Instrument


@dataclass(frozen=True, slots=True)
class Request:
    """One series and one window: bars that open in [first_ns, last_ns)."""

    instrument: Instrument
    sessions: Sessions
    timeframe: Timeframe
    first_ns: int
    last_ns: int

    def __post_init__(self) -> None:
        if self.last_ns <= self.first_ns:
            raise Invalid(
                f"a window from {iso(self.first_ns)} to {iso(self.last_ns)}", hint="it has to end after it begins"
            )


class CandleSource(Protocol):
    """Where bars come from.

    `candles` yields pages of closed bars in order, each checked, with `knowable_ns` as the source declares it. Raises
    `Unavailable` (try later), `Exhausted` (a limit; `detail["retry_after_s"]` says how long), `Invalid` (the answer is
    not of the known form), `Refused` (not allowed) or `NotFound` (no such symbol); pages yielded before are good.
    """

    @property
    def name(self) -> str: ...

    @property
    def basis(self) -> Basis: ...

    def candles(self, request: Request) -> Iterator[Candles]: ...


def symbol_of(instrument: Instrument, source: str) -> str:
    """What a source calls an instrument; `NotFound` when it has no name there."""
    names = instrument.sources.get(source, ())
    if not names:
        raise NotFound(
            f"{instrument.symbol} has no symbol at {source}",
            hint="name it under `sources` in the instruments file",
        )
    return names[0]
