"""The ground of a run: the layers of a dataset that it reads, as the engine reads them.

A listing's tape is its prints where the dataset has them, else its finest candles (the run is *bar-modelled* then).
Candles that wake a trader are those of the dataset, or made of the prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from gnomon.clock import Timeframe, iso
from gnomon.errors import Invalid
from gnomon.exchange.bars import Bars
from gnomon.exchange.listing import Listing
from gnomon.exchange.prints import Prints
from gnomon.exchange.recorded import Recorded
from gnomon.exchange.rules import Taker
from gnomon.market.block_index import BlockIndex
from gnomon.market.candles import Candles
from gnomon.market.dataset import AnySeries
from gnomon.market.depth import Depth
from gnomon.market.ladder import Ladder
from gnomon.market.quotes import Quotes
from gnomon.market.trades import Trades
from gnomon.replay.archive import Archive
from gnomon.units import Grid

ENGINE_VERSION: Final = 2
"""Raised by hand with every change that may move an output of a run."""


@dataclass(frozen=True, slots=True, eq=False)
class Tape:
    """What a listing's orders meet, and the candles that its trader is told of.

    Quotes and depth, where they are `recorded`, stand beside prints.
    """

    listing: Listing
    tape: Prints | Bars
    index: BlockIndex
    bars: Bars
    recorded: Recorded | None = None

    @property
    def is_bar_modelled(self) -> bool:
        return isinstance(self.tape, Bars)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
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
    recorded: Recorded | None = None,
    resolves: bool = False,
) -> Tape:
    """A listing's tape from the series of a dataset; `index` is that of its prints, or of its finest candles, and made
    where it is None. `Invalid` where it has neither prints nor candles.

    With `resolves` orders meet the candles that the trader is told of, and the finest say what happened inside them.
    """
    if trades is not None and len(trades):
        prints = Prints(trades.time_ns, trades.price, trades.size, trades.side)
        bars = _bars_for(candles, prints, timeframe)
        return Tape(listing, prints, index or BlockIndex.of(trades), bars, recorded)
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


def finest(trades: Trades, books: Sequence[Quotes | Depth]) -> tuple[Grid, Grid]:
    """The tick and the lot on which prints, quotes and depth of one instrument can all be counted."""
    return (
        min((one.tick for one in (trades, *books)), key=lambda grid: grid.step),
        min((one.lot for one in (trades, *books)), key=lambda grid: grid.step),
    )


def recorded_of(series: Sequence[AnySeries], tick: Grid, lot: Grid) -> Recorded | None:
    """The quotes and the depth among the series of an instrument, counted on the grids of its listing."""
    quotes = next((one.regrid(tick, lot) for one in series if isinstance(one, Quotes) and len(one)), None)
    depth = next((one.regrid(tick, lot) for one in series if isinstance(one, Depth) and len(one)), None)
    if quotes is None and depth is None:
        return None
    return Recorded(quotes, Ladder(depth) if depth is not None else None)


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


def check_walkable(ground: Ground, start_ns: int) -> None:
    """`Invalid` where a tape has no depth, or none that may be walked from the start of a run on."""
    for one in ground.tapes:
        ladder = one.recorded.ladder if one.recorded is not None else None
        if ladder is None or ladder.first_valid >= len(ladder.stops):
            raise Invalid(
                f"fills.taker walk: no book of {one.listing.id} is recorded that may be walked",
                hint=f"fills.taker {Taker.AUTO} takes what is recorded, or a synthetic quote",
            )
        valid_ns = int(ladder.time_ns[ladder.first_valid])
        if start_ns < valid_ns:
            raise Invalid(
                f"fills.taker walk: the book of {one.listing.id} may be walked from {iso(valid_ns)}, "
                f"and the run begins on {iso(start_ns)}",
                hint=f'from = "{iso(valid_ns)}" in [session], or fills.taker {Taker.AUTO}',
            )
