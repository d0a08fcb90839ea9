"""The ground of a run: the layers of a dataset that it reads, as the engine reads them.

A listing's tape is its prints where the dataset has them, else its finest candles (the run is *bar-modelled* then).
Candles that wake a trader are those of the dataset, or made of the prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.exchange.bars import Bars
from gnomon.exchange.listing import Listing
from gnomon.exchange.prints import Prints
from gnomon.market.block_index import BlockIndex
from gnomon.market.candles import Candles
from gnomon.market.quotes import Quotes
from gnomon.market.trades import Trades
from gnomon.replay.archive import Archive

ENGINE_VERSION: Final = 1
"""Raised by hand with every change that may move an output of a run."""


@dataclass(frozen=True, slots=True, eq=False)
class Tape:
    """What a listing's orders meet, and the candles that its trader is told of."""

    listing: Listing
    tape: Prints | Bars
    index: BlockIndex
    bars: Bars

    @property
    def is_bar_modelled(self) -> bool:
        return isinstance(self.tape, Bars)


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Everything of the market that a run can read. `digest` is the dataset's, 32 bytes; `archive` what was
    said, `quotes` the recorded best prices by the number of the listing."""

    tapes: tuple[Tape, ...]
    timeframe: Timeframe
    digest: bytes
    archive: Archive | None = None
    quotes: Mapping[int, Quotes] = field(default_factory=dict)

    @property
    def listings(self) -> tuple[Listing, ...]:
        return tuple(one.listing for one in self.tapes)

    def span(self) -> tuple[int, int]:
        """First instant and the first one after the last, UTC ns."""
        starts = [int(one.tape.time_ns[0]) for one in self.tapes if len(one.tape)]
        ends = [_end_ns(one.tape) for one in self.tapes if len(one.tape)]
        if not starts:
            raise Invalid("the dataset holds no row of these instruments", hint="`gnomon datasets` says what is in it")
        return min(starts), max(ends)


def _end_ns(tape: Prints | Bars) -> int:
    return int(tape.close_ns[-1]) if isinstance(tape, Bars) else int(tape.time_ns[-1]) + 1


def tape_of(
    listing: Listing,
    trades: Trades | None,
    candles: Sequence[Candles],
    timeframe: Timeframe,
    index: BlockIndex | None,
    resolves: bool = False,
) -> Tape:
    """A listing's tape from the series of a dataset; `index` is that of its prints, or of its finest candles, and made
    where it is None. `Invalid` where it has neither prints nor candles.

    With `resolves` orders meet the candles that the trader is told of, and the finest say what happened inside them.
    """
    if trades is not None and len(trades):
        prints = Prints(trades.time_ns, trades.price, trades.size, trades.side)
        return Tape(listing, prints, index or BlockIndex.of(trades), _bars_for(candles, prints, timeframe))
    if not candles:
        raise Invalid(f"no prints and no candles of {listing.id}", hint="`gnomon datasets` says what is stored")
    finest, told = bars_of(finest_of(candles)), _told(candles, timeframe)
    if resolves and any(one.timeframe < timeframe for one in candles):
        told = replace(told, finer=finest)
        return Tape(listing, told, BlockIndex.of_ranges(told.low, told.high, told.volume), told)
    return Tape(listing, finest, index or BlockIndex.of_ranges(finest.low, finest.high, finest.volume), told)


def finest_of(candles: Sequence[Candles]) -> Candles:
    """Those of the shortest timeframe: what orders meet where there are no prints."""
    return min(candles, key=lambda one: one.timeframe.nominal_ns)


def _bars_for(candles: Sequence[Candles], prints: Prints, timeframe: Timeframe) -> Bars:
    for one in candles:
        if one.timeframe == timeframe:
            return bars_of(one)
    return bars_from_prints(prints, timeframe.nominal_ns)


def _told(candles: Sequence[Candles], timeframe: Timeframe) -> Bars:
    for one in candles:
        if one.timeframe == timeframe:
            return bars_of(one)
    known = ", ".join(sorted({str(one.timeframe) for one in candles}))
    raise Invalid(f"no candles of {timeframe}", hint=f"the dataset has {known}")


def bars_of(candles: Candles) -> Bars:
    """The columns of candles, in the grids that they are stored on."""
    return Bars(
        candles.open_ns, candles.close_ns, candles.open, candles.high, candles.low, candles.close, candles.volume
    )


def bars_from_prints(prints: Prints, length_ns: int) -> Bars:
    """Candles of a fixed length from prints, aligned to the epoch. A stretch without a print has no candle."""
    if not len(prints):
        none = np.empty(0, np.int64)
        return Bars(none, none, none, none, none, none, none)
    bar = np.asarray(prints.time_ns) // length_ns
    starts = np.flatnonzero(np.diff(bar, prepend=bar[0] - 1))
    ends = np.append(starts[1:], len(bar)) - 1
    opens_ns = bar[starts] * length_ns
    price = np.asarray(prints.price, np.int64)
    return Bars(
        opens_ns,
        opens_ns + length_ns,
        price[starts],
        np.maximum.reduceat(price, starts),
        np.minimum.reduceat(price, starts),
        price[ends],
        np.add.reduceat(np.asarray(prints.lots, np.int64), starts),
    )


def tables(ground: Ground) -> Mapping[str, object]:
    """The instruments as they stand in a run's configuration, by number."""
    return {"listings": [one.document() for one in ground.listings], "timeframe": str(ground.timeframe)}
