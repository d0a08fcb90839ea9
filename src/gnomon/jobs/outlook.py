"""The outlook of a session: forecasts of a ledger and the calendar, frozen into its ground; or who computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from gnomon.forecast.catalog import BASELINES, forecaster
from gnomon.market.candles import Candles
from gnomon.market.dataset import AnySeries
from gnomon.market.events import EventBook
from gnomon.market.instrument import Instrument
from gnomon.market.quotes import Quotes
from gnomon.replay.archive import Archive, Stated
from gnomon.replay.digests import dataset_digest
from gnomon.replay.ground import Ground
from gnomon.replay.session import Origin, Outlook
from gnomon.replay.wire import Compute
from gnomon.sources.sessions import load_sessions
from gnomon.store.forecasts import Lane
from gnomon.store.served import read_stated
from gnomon.store.store import Store
from gnomon.units import DAY_NS, Grid

LANES: Final[Mapping[Origin, Lane]] = {Origin.LEDGER: "live", Origin.BACKFILL: "backfill"}
AROUND_NS: Final = 400 * DAY_NS
"""Events that are scheduled so long before or after a window are part of its calendar."""


def with_outlook(
    store: Store,
    ground: Ground,
    outlook: Outlook,
    by_instrument: Mapping[str, Sequence[AnySeries]],
    window_ns: tuple[int, int],
    upto_seq: int | None = None,
) -> tuple[Ground, int]:
    """The ground with what was said in a window, and the last row of the ledger's lane that was looked at.

    The digest moves where there is something: what could be read is part of the dataset.
    """
    seq, stated = 0, []
    if lane := LANES.get(outlook.origin):
        seq = store.forecasts.head(lane)[0] if upto_seq is None else upto_seq
        number = {one.id: one.number for one in ground.listings}
        rows = read_stated(
            store.engine,
            lane=lane,
            variant=outlook.variant,
            instruments={name: _basis(series) for name, series in by_instrument.items()},
            upto_seq=seq,
            start_ns=window_ns[0],
            end_ns=window_ns[1],
            latency_ns=outlook.latency_ns,
        )
        stated = [Stated.of(number[one.instrument], at_ns, one) for at_ns, one in rows]
    archive = Archive(stated, _calendar(store, window_ns))
    parts = archive.parts()
    if parts:
        ground = replace(ground, archive=archive, digest=dataset_digest([("market", ground.digest), *parts]))
    return replace(ground, quotes=_quotes(ground, by_instrument)), seq


def compute_of(outlook: Outlook, instruments: Sequence[Instrument]) -> Compute | None:
    """Forecasters for a session that computes its own. `NotFound` for one that the catalog does not have."""
    if outlook.origin is not Origin.COMPUTE:
        return None
    return Compute(
        {name: forecaster(name) for name in outlook.names or BASELINES},
        tuple(instruments),
        tuple(load_sessions(one.calendar) for one in instruments),
        horizon_bars=outlook.horizon_bars,
        lookback_bars=outlook.lookback_bars,
        latency_ns=outlook.latency_ns,
        seed=outlook.seed,
    )


def _basis(series: Sequence[AnySeries]) -> str:
    """Of the candles that a ground takes: as printed where there are such."""
    bases = [one.basis for one in series if isinstance(one, Candles)]
    return "raw" if not bases or "raw" in bases else bases[0]


def _calendar(store: Store, window_ns: tuple[int, int]) -> EventBook | None:
    """What was said by the window's end; None where nothing was."""
    start_ns, end_ns = window_ns
    said = [one for one in store.events.book(start_ns - AROUND_NS, end_ns + AROUND_NS) if one.knowable_ns < end_ns]
    return EventBook(said) if said else None


def _quotes(ground: Ground, by_instrument: Mapping[str, Sequence[AnySeries]]) -> dict[int, Quotes]:
    """Recorded best prices on the grids of their listings; those recorded on finer ones are left out."""
    found = {}
    for listing in ground.listings:
        tick, lot = Grid(listing.tick), Grid(listing.lot)
        for one in by_instrument[listing.id]:
            if isinstance(one, Quotes) and _is_multiple(one.tick, tick) and _is_multiple(one.lot, lot):
                found[listing.number] = one.regrid(tick, lot)
    return found


def _is_multiple(grid: Grid, of: Grid) -> bool:
    return grid.step % of.step == 0
