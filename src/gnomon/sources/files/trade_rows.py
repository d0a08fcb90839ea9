"""Trades from a raw table: the rules of `rows`, sides and ids, in the order of the file."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gnomon.market.trades import EXTENDED_HOURS, SUSPICIOUS, Trades
from gnomon.sources.files.decimals import Counted, count
from gnomon.sources.files.faults import Faults
from gnomon.sources.files.identity import Identity
from gnomon.sources.files.numbers import Flags, Numbers, matches, read_truth, read_whole, trimmed
from gnomon.sources.files.rows import Built, Request, finite_numbers, settle, text_of
from gnomon.sources.files.schedule import outside_sessions
from gnomon.sources.files.stamps import Stamps, in_zone, read_stamps
from gnomon.sources.files.table import Clock, Table
from gnomon.sources.sessions import load_sessions
from gnomon.units import IntArray

_BOUGHT: Final = r"(?i)^(buy|b|bid|1)$"
_SOLD: Final = r"(?i)^(sell|s|ask|-1)$"
_NEITHER: Final = r"(?i)^(unknown|none|0|)$"


def build_trades(table: Table, request: Request, identity: Identity, stamps: Stamps, faults: Faults) -> Built:
    """The trades of a table. Raises `Invalid` for what concerns the whole of it, never for a row."""
    del request  # trades have no timeframe, and one basis
    notes = [*table.notes, *([identity.note] if identity.note else [])]
    cells = _read_cells(table, faults)
    times_ns = _instants(table, identity, stamps, faults)
    side, suspicious = _sides(table, faults), _suspicious(table, faults)
    received_ns, ids = _received(table, times_ns, faults), _ids(table, faults, notes)
    rows = np.flatnonzero(faults.good)
    keys = None if ids is None else ids[rows]
    order = settle(rows, times_ns[rows], keys, {**cells, "time": times_ns, "side": side}, faults, notes)
    rows = rows[order]
    grids = _count(table, cells, rows, faults, notes)
    good = faults.good[rows]
    if not good.any():
        return Built(table, faults, notes=tuple(notes))
    untouched = isinstance(order, slice) and len(rows) == len(table) and bool(good.all())
    kept = slice(None) if untouched else rows[good]  # a slice copies nothing
    columns: dict[str, npt.NDArray[Any]] = {
        "time_ns": times_ns[kept],
        "received_ns": received_ns[kept],
        "id": table.lines[kept] if ids is None else ids[kept],
        "side": side[kept],
        "flags": suspicious[kept] * np.uint8(SUSPICIOUS),
    }
    series = _assemble(identity, columns, grids, slice(None) if untouched else good)
    return Built(table, faults, series, identity.instrument(series.tick, series.lot), None, tuple(notes))


def _assemble(
    identity: Identity, columns: dict[str, npt.NDArray[Any]], grids: dict[str, Counted], good: Flags | slice
) -> Trades:
    tick, lot = identity.grids or (None, None)
    ((price,), price_grid), ((size,), size_grid) = grids["price"].on(tick), grids["size"].on(lot)
    columns["flags"] |= _outside(identity, columns["time_ns"]) * np.uint8(EXTENDED_HOURS)
    return Trades(
        instrument=identity.id, tick=price_grid, lot=size_grid, price=price[good], size=size[good], **columns
    ).check()


def _read_cells(table: Table, faults: Faults) -> dict[str, Numbers]:
    cells: dict[str, Numbers] = {}
    for name in ("price", "size"):
        if name in table.decimals:
            whole, good = read_whole(table.columns[name])
            faults.add(~good, f"{name} is not a whole number", name)
            cells[name] = whole
        else:
            cells[name] = finite_numbers(table, faults, name)
    faults.add(cells["price"] <= 0, "price must be positive", "price")
    faults.add(cells["size"] < 0, "size must not be negative", "size")
    return cells


def _instants(table: Table, identity: Identity, stamps: Stamps, faults: Faults) -> IntArray:
    zone = identity.stamp_zone if table.clock.zone == "exchange" else table.clock.zone or "UTC"
    zoned = in_zone(stamps, zone)
    faults.add(stamps.good & ~zoned.good, f"the clock of {zone} skips this time or shows it twice", "time")
    return zoned.utc_ns()


def _received(table: Table, times_ns: IntArray, faults: Faults) -> IntArray:
    if "received" not in table.columns:
        return times_ns
    stamps = read_stamps(table.columns["received"], Clock())
    faults.add(~stamps.good, "received is not a time", "received")
    return stamps.utc_ns()


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


def _ids(table: Table, faults: Faults, notes: list[str]) -> IntArray | None:
    """The venue's ids; None where there are none, or where most are no whole numbers."""
    if "id" not in table.columns:
        return None
    ids, good = read_whole(table.columns["id"])
    if len(ids) and good.mean() < 0.5:
        notes.append("the venue's ids are no whole numbers: rows are numbered instead")
        return None
    faults.add(~good, "id is not a whole number", "id")
    return ids


def _count(
    table: Table, cells: dict[str, Numbers], rows: IntArray, faults: Faults, notes: list[str]
) -> dict[str, Counted]:
    grids = {}
    for name in ("price", "size"):
        scale = table.decimals.get(name, 0)
        counted = count([cells[name][rows]], f"{name}s", scale=scale, text=text_of(table, (name,), rows))
        faults.add(rows[~counted.fits], f"{name} is too large or too fine for the grid of the others", name)
        notes += counted.notes
        grids[name] = counted
    return grids


def _outside(identity: Identity, times_ns: IntArray) -> Flags:
    """Prints outside the sessions of a share: before the open, from the close on. Other markets have no such hours."""
    if identity.asset_class != "equity" or identity.calendar == "always":
        return np.zeros(len(times_ns), np.bool_)
    return outside_sessions(times_ns, load_sessions(identity.calendar, identity.stamp_zone))
