"""The ledger as a file, row by row: what is needed to walk its chain without us, streamed in bounded memory.

A row has every column of `forecasts` as it is hashed (instants in UTC ns, JSON parsed) and its quantiles, from which
the digests of its blocks follow. `store.chain` says how a row is packed and hashed.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
from sqlalchemy import Engine, RowMapping, select

from gnomon.serve.gateway.table import Format, csv_cells, dumps
from gnomon.store.blocks import decode
from gnomon.store.chain import canonical
from gnomon.store.engine import reading
from gnomon.store.forecasts import Lane
from gnomon.store.tables import forecast_blocks, forecasts

if TYPE_CHECKING:
    import pyarrow

BATCH_ROWS: Final = 100
COLUMNS: Final = (*(column.name for column in forecasts.c), "raw", "calibrated")
_JSON: Final = ("params", "levels", "warnings", "event_context", "p_up", "p10", "p50", "p90")
_TIMES: Final = ("target_open", "target_close")

Batches = Iterator[Sequence[Mapping[str, Any]]]


def batches(engine: Engine, lane: Lane, after_seq: int, last_seq: int) -> Batches:
    """The rows of a lane in (after, last], in the order of the chain. Each batch is a transaction of its own: rows that
    are there never change."""
    while after_seq < last_seq:
        until = min(after_seq + BATCH_ROWS, last_seq)
        rows = _batch(engine, lane, after_seq, until)
        if rows:
            yield rows
        after_seq = until


def written(rows: Batches, form: Format, next_cursor: str | None) -> Iterator[bytes]:
    """The rows in the form asked for, a piece a batch."""
    if form == "json":
        return _as_json(rows, next_cursor)
    return _as_csv(rows) if form == "csv" else _as_parquet(rows)


def _batch(engine: Engine, lane: Lane, after_seq: int, last_seq: int) -> list[dict[str, Any]]:
    within = (forecasts.c.lane == lane, forecasts.c.seq > after_seq, forecasts.c.seq <= last_seq)
    mine = select(forecasts.c.id).where(*within)
    with reading(engine) as connection:
        rows = connection.execute(select(forecasts).where(*within).order_by(forecasts.c.seq)).mappings().all()
        blocks = connection.execute(select(forecast_blocks).where(forecast_blocks.c.forecast_id.in_(mine))).all()
    curves = {(one.forecast_id, one.kind): decode(one.dtype, one.shape, one.payload).tolist() for one in blocks}
    return [_row(row, curves) for row in rows]


def _row(row: RowMapping, curves: Mapping[tuple[int, str], Any]) -> dict[str, Any]:
    values: dict[str, Any] = {str(name): value for name, value in row.items()}
    values |= {name: orjson.loads(values[name]) for name in _JSON}
    values |= {name: np.frombuffer(values[name], "<i8").tolist() for name in _TIMES}
    return values | {kind: curves.get((values["id"], kind)) for kind in ("raw", "calibrated")}


# --- forms ----------------------------------------------------------------------------------------------------------


def _as_json(rows: Batches, next_cursor: str | None) -> Iterator[bytes]:
    """One document, `{"items": […], "next_cursor": …}`."""
    opening = b'{"items":['
    for batch in rows:
        yield opening + dumps(batch)[1:-1]
        opening = b","
    start = opening if opening != b"," else b""
    yield start + b'],"next_cursor":' + dumps(next_cursor) + b"}"


def _as_csv(rows: Batches) -> Iterator[bytes]:
    yield _lines([COLUMNS])
    for batch in rows:
        yield _lines([csv_cells(row) for row in batch])


def _lines(cells: Sequence[Sequence[Any]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(cells)
    return out.getvalue().encode()


def _as_parquet(rows: Batches) -> Iterator[bytes]:
    """A row group a batch; the schema is fixed, so that an empty ledger has columns too."""
    import pyarrow
    import pyarrow.parquet

    sink, schema = _Sink(), _schema()
    with pyarrow.parquet.ParquetWriter(pyarrow.PythonFile(sink, mode="w"), schema) as writer:
        for batch in rows:
            writer.write_table(pyarrow.Table.from_pylist([_flat(row) for row in batch], schema))
            yield sink.taken()
    yield sink.taken()


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Objects as JSON text."""
    return {name: canonical(value) if isinstance(value, dict) else value for name, value in row.items()}


def _schema() -> pyarrow.Schema:
    import pyarrow

    whole, number, text = pyarrow.int64(), pyarrow.float64(), pyarrow.string()
    kinds = {"INTEGER": whole, "BIGINT": whole, "DOUBLE": number, "TEXT": text}
    fields = {column.name: kinds.get(str(column.type), text) for column in forecasts.c}
    fields |= dict.fromkeys(_TIMES, pyarrow.list_(whole))
    fields |= dict.fromkeys(("levels", "p_up", "p10", "p50", "p90"), pyarrow.list_(number))
    fields |= {"warnings": pyarrow.list_(text)}
    fields |= dict.fromkeys(("raw", "calibrated"), pyarrow.list_(pyarrow.list_(number)))
    return pyarrow.schema(list(fields.items()))


class _Sink(io.RawIOBase):
    """A file that is written once from front to back; what was written is taken away piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._length = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._length

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._length += len(part)
        return len(part)

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
