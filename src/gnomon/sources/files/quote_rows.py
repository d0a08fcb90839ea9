"""Quotes from a raw table: the rules of `rows`, best prices and the lots displayed there, in the order of the file."""

from __future__ import annotations

from typing import Final

import numpy as np

from gnomon.market.quotes import Quotes
from gnomon.sources.files.faults import Faults
from gnomon.sources.files.identity import Identity
from gnomon.sources.files.rows import Built, Request, settle_prints
from gnomon.sources.files.stamps import Stamps
from gnomon.sources.files.table import Table
from gnomon.sources.files.tick_rows import instants, on_grid, read_cells, read_ids

_PRICES: Final = ("bid", "ask")
_SIZES: Final = ("bid_qty", "ask_qty")


def build_quotes(table: Table, request: Request, identity: Identity, stamps: Stamps, faults: Faults) -> Built:
    """The quotes of a table. Raises `Invalid` for what concerns the whole of it, never for a row."""
    notes = [*table.notes, *([identity.note] if identity.note else [])]
    cells = read_cells(table, faults, _PRICES, _SIZES)
    times_ns, received_ns = instants(table, request, identity, stamps, faults)
    ids = read_ids(table, faults, notes)
    rows = np.flatnonzero(faults.good)
    keys = None if ids is None else ids[rows]
    order, times, lifted = settle_prints(rows, times_ns[rows], keys, {**cells, "time": times_ns}, faults, notes)
    rows = rows[order]
    prices = on_grid(table, cells, _PRICES, "price", rows, faults, notes)
    sizes = on_grid(table, cells, _SIZES, "size", rows, faults, notes)
    good = faults.good[rows]
    if not good.any():
        return Built(table, faults, notes=tuple(notes))
    tick, lot = identity.grids or (None, None)
    (bid, ask), price_grid = prices.on(tick)
    (bid_qty, ask_qty), size_grid = sizes.on(lot)
    received = times if received_ns is times_ns else received_ns[rows]
    columns = times, received, bid, bid_qty, ask, ask_qty
    series = Quotes(identity.id, price_grid, size_grid, *(one[good] for one in columns)).check()
    return Built(
        table,
        faults,
        series,
        identity.instrument(series.tick, series.lot),
        notes=tuple(notes),
        dropped=table.dropped,
        lifted=lifted,
        updates=None if ids is None else ids[rows][good],
    )
