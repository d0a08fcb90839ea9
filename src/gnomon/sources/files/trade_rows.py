"""Trades from a raw table: the rules of `rows`, sides and ids, in the order of the file."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from gnomon.market.trades import EXTENDED_HOURS, Trades
from gnomon.sources.files.faults import Faults
from gnomon.sources.files.identity import Identity
from gnomon.sources.files.numbers import Flags, matches, read_truth, trimmed
from gnomon.sources.files.rows import Built, Request, settle_prints
from gnomon.sources.files.schedule import outside_sessions
from gnomon.sources.files.stamps import Stamps
from gnomon.sources.files.table import Table
from gnomon.sources.files.tick_rows import instants, keep, on_grid, read_cells, read_ids
from gnomon.sources.sessions import load_sessions
from gnomon.units import IntArray

_BOUGHT: Final = r"(?i)^(buy|b|bid|1)$"
_SOLD: Final = r"(?i)^(sell|s|ask|-1)$"
_NEITHER: Final = r"(?i)^(unknown|none|0|)$"


def build_trades(table: Table, request: Request, identity: Identity, stamps: Stamps, faults: Faults) -> Built:
    """The trades of a table. Raises `Invalid` for what concerns the whole of it, never for a row."""
    notes = [*table.notes, *([identity.note] if identity.note else [])]
    cells = read_cells(table, faults, ("price",), ("size",))
    times_ns, received_ns = instants(table, request, identity, stamps, faults)
    side, suspicious = _sides(table, faults), _suspicious(table, faults)
    ids = read_ids(table, faults, notes)
    outside = _outside(identity, times_ns)
    dropped = dict(table.dropped)
    drops = {"suspicious": suspicious} | ({"outside regular hours": outside} if request.regular_hours else {})
    rows = np.flatnonzero(keep(faults.good, drops, dropped))
    keys = None if ids is None else ids[rows]
    known = {**cells, "time": times_ns, "side": side}
    order, times, lifted = settle_prints(rows, times_ns[rows], keys, known, faults, notes)
    rows = rows[order]
    prices = on_grid(table, cells, ("price",), "price", rows, faults, notes)
    sizes = on_grid(table, cells, ("size",), "size", rows, faults, notes)
    good = faults.good[rows]
    if not good.any():
        return Built(table, faults, notes=tuple(notes), dropped=dropped)
    tick, lot = identity.grids or (None, None)
    ((price,), price_grid), ((size,), size_grid) = prices.on(tick), sizes.on(lot)
    untouched = isinstance(order, slice) and len(rows) == len(table) and bool(good.all())
    kept = slice(None) if untouched else rows[good]  # a slice copies nothing
    chosen = slice(None) if untouched else good
    series = Trades(
        instrument=identity.id,
        tick=price_grid,
        lot=size_grid,
        time_ns=times[chosen],
        received_ns=times[chosen] if received_ns is times_ns else received_ns[kept],
        id=table.lines[kept] if ids is None else ids[kept],
        price=price[chosen],
        size=size[chosen],
        side=side[kept],
        flags=outside[kept] * np.uint8(EXTENDED_HOURS),
    ).check()
    return Built(
        table,
        faults,
        series,
        identity.instrument(series.tick, series.lot),
        notes=tuple(notes),
        dropped=dropped,
        lifted=lifted,
    )


def _sides(table: Table, faults: Faults) -> npt.NDArray[np.int8]:
    """The aggressor: 1 bought, -1 sold, 0 unknown. Where the buyer was the maker, the seller was the aggressor."""
    if "buyer_maker" in table.columns:
        maker, good = read_truth(table.columns["buyer_maker"])
        faults.add(~good, "buyer_maker is neither true nor false", "buyer_maker")
        return np.where(maker, -1, 1).astype(np.int8)
    if "side" not in table.columns:
        return np.zeros(len(table), np.int8)
    words = trimmed(table.columns["side"])
    bought, sold = matches(words, _BOUGHT), matches(words, _SOLD)
    faults.add(~(bought | sold | matches(words, _NEITHER)), "side is neither buy nor sell nor unknown", "side")
    return bought.astype(np.int8) - sold.astype(np.int8)


def _suspicious(table: Table, faults: Faults) -> Flags:
    if "suspicious" not in table.columns:
        return np.zeros(len(table), np.bool_)
    suspicious, good = read_truth(table.columns["suspicious"])
    faults.add(~good, "suspicious is neither 0 nor 1", "suspicious")
    return suspicious


def _outside(identity: Identity, times_ns: IntArray) -> Flags:
    """Prints outside the sessions of a share: before the open, from the close on. Other markets have no such hours."""
    if identity.asset_class != "equity" or identity.calendar == "always":
        return np.zeros(len(times_ns), np.bool_)
    return outside_sessions(times_ns, load_sessions(identity.calendar, identity.stamp_zone))
