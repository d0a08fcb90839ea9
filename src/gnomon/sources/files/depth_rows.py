"""Depth from a raw table: the rules of `rows`, a row a level, the rows of one message together."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from gnomon.market.depth import ASK, BID, CHANGE, NEVER, SNAPSHOT, Depth
from gnomon.sources.files.faults import Faults
from gnomon.sources.files.identity import Identity
from gnomon.sources.files.numbers import Flags, matches, read_truth, trimmed
from gnomon.sources.files.order import lifted, out_of_order
from gnomon.sources.files.rows import Built, Request
from gnomon.sources.files.stamps import Stamps
from gnomon.sources.files.table import Table
from gnomon.sources.files.tick_rows import instants, on_grid, read_cells, read_ids
from gnomon.units import IntArray

_BID: Final = r"(?i)^(b|bid|bids|buy)$"
_ASK: Final = r"(?i)^(a|ask|asks|s|sell)$"


def build_depth(table: Table, request: Request, identity: Identity, stamps: Stamps, faults: Faults) -> Built:
    """The book updates of a table. Raises `Invalid` for what concerns the whole of it, never for a row."""
    notes = [*table.notes, *([identity.note] if identity.note else [])]
    cells = read_cells(table, faults, ("price",), ("size",))
    times_ns, received_ns = instants(table, request, identity, stamps, faults)
    side, snapshot = _sides(table, faults), _snapshots(table, faults)
    ids = read_ids(table, faults, notes)
    update = _messages(times_ns, received_ns, snapshot) if ids is None else ids
    rows = np.flatnonzero(faults.good)
    falling = out_of_order(update[rows], strict=False)
    faults.add(rows[falling], "update id falls", "id")
    rows = np.delete(rows, falling)
    wild, times = lifted(times_ns[rows])
    faults.add(rows[wild], "time goes back", "time")
    rows = np.delete(rows, wild)
    lifts = int((times != times_ns[rows]).sum())
    prices = on_grid(table, cells, ("price",), "price", rows, faults, notes)
    sizes = on_grid(table, cells, ("size",), "size", rows, faults, notes)
    good = faults.good[rows]
    if not good.any():
        return Built(table, faults, notes=tuple(notes))
    tick, lot = identity.grids or (None, None)
    ((price,), price_grid), ((size,), size_grid) = prices.on(tick), sizes.on(lot)
    received = times if received_ns is times_ns else received_ns[rows]
    kind = np.where(snapshot[rows], SNAPSHOT, CHANGE).astype(np.uint8)
    series = Depth(
        instrument=identity.id,
        tick=price_grid,
        lot=size_grid,
        time_ns=times[good],
        received_ns=received[good],
        side=side[rows][good],
        price=price[good],
        size=size[good],
        kind=kind[good],
        update=update[rows][good],
        valid_from_ns=_first(times[good], kind[good]),
    )
    return Built(
        table,
        faults,
        series.check(),
        identity.instrument(series.tick, series.lot),
        notes=tuple(notes),
        dropped=table.dropped,
        lifted=lifts,
    )


def _first(times: IntArray, kind: npt.NDArray[np.uint8]) -> int:
    """The time of the first snapshot."""
    return int(times[int(np.argmax(kind == SNAPSHOT))]) if (kind == SNAPSHOT).any() else NEVER


def _sides(table: Table, faults: Faults) -> npt.NDArray[np.int8]:
    column = table.columns["side"]
    if isinstance(column, np.ndarray):
        return column.astype(np.int8)
    words = trimmed(column)
    bids, asks = matches(words, _BID), matches(words, _ASK)
    faults.add(~(bids | asks), "side is neither bid nor ask", "side")
    return np.where(bids, BID, ASK).astype(np.int8)


def _snapshots(table: Table, faults: Faults) -> Flags:
    if "snapshot" not in table.columns:
        return np.zeros(len(table), np.bool_)
    truth, good = read_truth(table.columns["snapshot"])
    faults.add(~good, "snapshot is neither true nor false", "snapshot")
    return truth


def _messages(times_ns: IntArray, received_ns: IntArray, snapshot: Flags) -> IntArray:
    """Numbers for messages that have no ids: rows of the same stamps came together."""
    if not len(times_ns):
        return times_ns
    another = (np.diff(times_ns) != 0) | (np.diff(received_ns) != 0) | (np.diff(snapshot.astype(np.int8)) != 0)
    return np.concatenate([[1], 1 + np.cumsum(another)]).astype(np.int64)
