"""The series of one file and instrument fitted together: trades, quotes and depth on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gnomon.market.candles import Candles
from gnomon.market.depth import Depth, first_agreement
from gnomon.market.quotes import Quotes
from gnomon.sources.files.rows import Built


def joined(built: Sequence[Built]) -> list[Built]:
    """The same, with prices of one instrument in ticks of one size, lots likewise; and from when a book is valid."""
    on_one_grid = [_regridded(one, built) for one in built]
    return [_validated(one, on_one_grid) for one in on_one_grid]


def _regridded(one: Built, among: Sequence[Built]) -> Built:
    series = one.series
    if series is None or isinstance(series, Candles):
        return one
    others = [
        other.series
        for other in among
        if other.series is not None
        and not isinstance(other.series, Candles)
        and other.series.instrument == series.instrument
    ]
    tick = min((other.tick for other in others), key=lambda grid: grid.step)
    lot = min((other.lot for other in others), key=lambda grid: grid.step)
    instrument = one.instrument
    if instrument is not None and not instrument.sources:  # met in files alone: its grids are those of its rows
        instrument = replace(instrument, tick=tick, lot=lot)
    return replace(one, series=series.regrid(tick, lot), instrument=instrument)


def _validated(one: Built, among: Sequence[Built]) -> Built:
    """A book is valid from its first snapshot, or from its first agreement with the quotes of its instrument."""
    depth = one.series
    if not isinstance(depth, Depth):
        return one
    for other in among:
        if isinstance(other.series, Quotes) and other.series.instrument == depth.instrument:
            agreed = first_agreement(depth, other.series, other.updates)
            return replace(one, series=replace(depth, valid_from_ns=min(depth.valid_from_ns, agreed)))
    return one
