"""Proof that the ledger says what it said: the chain walked row by row, everything under it recomputed.

Rows are read in batches, in one snapshot, so memory stays bounded and a forecast issued meanwhile disturbs nothing.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, Table, func, select

from gnomon.clock import iso
from gnomon.store.blocks import PointBars, decode
from gnomon.store.chain import array_digest, genesis, link
from gnomon.store.entry import Lane
from gnomon.store.tables import chain_heads, forecast_bars, forecast_blocks, forecast_paths, forecasts

BATCH_ROWS: Final = 500

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Broken:
    """The first broken row of a lane and why. A row that is missing has no id, only the `seq` where it should stand."""

    id: int | None
    seq: int
    instrument: str
    forecaster: str
    data_cutoff: str  # ISO 8601
    why: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a walk along one lane found. `rows` are those that were found good."""

    lane: Lane
    rows: int
    ok: bool
    broken: Broken | None = None

    def row(self) -> dict[str, Any]:
        """JSON-ready."""
        broken = self.broken and {name: getattr(self.broken, name) for name in Broken.__slots__}
        return {"lane": self.lane, "rows": self.rows, "ok": self.ok, "broken": broken or None}

    def sentence(self) -> str:
        """In words."""
        if self.broken is None:
            return f"{self.lane}: {self.rows:,} forecasts, all as they were issued"
        one = self.broken
        what = f"forecast {one.id}, {one.forecaster} of {one.instrument} at {one.data_cutoff}, " if one.id else ""
        return f"{self.lane}: broken at row {one.seq}: {what}{one.why}"


def verify_lane(connection: Connection, lane: Lane, progress: Progress | None = None) -> Verified:
    """Walk one chain from its genesis to its head; the first fault ends the walk."""
    head = connection.execute(select(chain_heads).where(chain_heads.c.lane == lane)).one_or_none()
    total = connection.execute(select(func.count()).where(forecasts.c.lane == lane)).scalar_one()
    last_hash, seq = genesis(lane), 0
    for batch in _batches(connection, lane):
        parts = _Parts.of(connection, [row["id"] for row in batch])
        for row in batch:
            why = _fault(row, seq + 1, last_hash, parts)
            if why:
                return Verified(lane, seq, False, _broken(row, seq + 1, why))
            seq, last_hash = row["seq"], row["row_hash"]
        if progress is not None:
            progress(seq, total, f"verifying {lane}")
    why = _fault_of_end(head, seq, last_hash)
    return Verified(lane, seq, not why, _missing(seq + 1, why) if why else None)


# --- inside -----------------------------------------------------------------------------------------------------


def _batches(connection: Connection, lane: Lane) -> Iterator[Sequence[RowMapping]]:
    """The rows by seq. One out of range comes too: the walk must meet it."""
    after: int | None = None
    while True:
        beyond = [] if after is None else [forecasts.c.seq > after]
        wanted = select(forecasts).where(forecasts.c.lane == lane, *beyond).order_by(forecasts.c.seq).limit(BATCH_ROWS)
        batch = connection.execute(wanted).mappings().all()
        if not batch:
            return
        yield batch
        after = batch[-1]["seq"]


@dataclass(frozen=True, slots=True)
class _Parts:
    """What hangs under the rows of a batch, by forecast id."""

    blocks: Mapping[int, Mapping[str, Any]]
    paths: Mapping[int, Any]
    bars: Mapping[int, Sequence[Any]]

    @classmethod
    def of(cls, connection: Connection, ids: Sequence[int]) -> _Parts:
        def under(table: Table) -> Any:
            return connection.execute(select(table).where(table.c.forecast_id.in_(ids)).order_by(*table.primary_key))

        blocks: dict[int, dict[str, Any]] = defaultdict(dict)
        for row in under(forecast_blocks):
            blocks[row.forecast_id][row.kind] = row
        bars: dict[int, list[Any]] = defaultdict(list)
        for row in under(forecast_bars):
            bars[row.forecast_id].append(row[1:])
        return cls(blocks, {row.forecast_id: row for row in under(forecast_paths)}, bars)


def _fault(row: RowMapping, seq: int, last_hash: str, parts: _Parts) -> str:
    """Why a row is broken; "" when it is whole."""
    if row["seq"] != seq:
        return f"row missing: the chain goes on with row {row['seq']}, forecast {row['id']}"
    if row["prev_hash"] != last_hash:
        return "row altered: it does not follow the row before it"
    try:
        is_whole = link(last_hash, dict(row)) == row["row_hash"]
    except (struct.error, TypeError, AttributeError, ValueError):
        is_whole = False  # a value of another type than the column's
    if not is_whole:
        return "row altered: its hash is not that of its columns"
    return _fault_of_parts(row, parts)


def _fault_of_parts(row: RowMapping, parts: _Parts) -> str:
    blocks = parts.blocks.get(row["id"], {})
    wanted = {"raw": row["raw_digest"]} | ({"calibrated": row["calibrated_digest"]} if row["calibrated_digest"] else {})
    for kind in sorted(wanted.keys() | blocks.keys()):
        if kind not in blocks:
            return f"block missing: {kind}"
        if kind not in wanted:
            return f"block added: {kind}"
        if not _is_block(blocks[kind], wanted[kind]):
            return f"block altered: {kind}"
    paths = parts.paths.get(row["id"])
    if paths is not None and not _is_block(paths, row["paths_digest"]):  # absent ones were retired
        return "paths altered"
    bars = parts.bars.get(row["id"], [])
    if (PointBars.of_rows(bars).digest() if bars else "") != row["bars_digest"]:
        return "bars altered"
    return ""


def _is_block(block: Any, digest: str) -> bool:
    try:
        return array_digest(decode(block.dtype, block.shape, block.payload)) == digest
    except ValueError:
        return False


def _fault_of_end(head: Any, seq: int, last_hash: str) -> str:
    if head is None:
        return "the head of the chain is missing"
    if head.seq > seq:
        return f"chain cut at the end: its head counts {head.seq} rows, {seq} are there"
    if head.seq < seq:
        return f"chain longer than its head: it counts {head.seq} rows, {seq} are there"
    return "" if head.hash == last_hash else "head altered: its hash is not that of the last row"


def _broken(row: RowMapping, seq: int, why: str) -> Broken:
    if row["seq"] != seq:
        return _missing(seq, why)
    return Broken(row["id"], seq, str(row["instrument"]), str(row["forecaster"]), _instant(row["data_cutoff"]), why)


def _missing(seq: int, why: str) -> Broken:
    return Broken(None, seq, "", "", "", why)


def _instant(at_ns: Any) -> str:
    return iso(at_ns) if isinstance(at_ns, int) else str(at_ns)
