"""Parquet and Arrow (feather) files: columns with names and types of their own."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import pyarrow as pa

from gnomon.errors import Invalid
from gnomon.sources.files.content import Content
from gnomon.sources.files.named import column_table, recognise
from gnomon.sources.files.table import Column, Table
from gnomon.sources.files.unsupported import refusal

_BATCH_ROWS: Final = 1 << 16


def is_columnar(data: bytes) -> bool:
    """Whether these bytes begin as Parquet or as an Arrow file (feather) do."""
    return data[:4] == b"PAR1" or data[:6] == b"ARROW1" or data[:4] == b"FEA1"


def table(content: Content, largest_bytes: int) -> Table:
    """The one series of a Parquet or Arrow file. Rows are counted from 1."""
    form = "parquet" if content.data[:4] == b"PAR1" else "feather"
    try:
        frame = _parquet(content, largest_bytes) if form == "parquet" else _feather(content, largest_bytes)
        frame.validate(full=True)
        found = recognise(frame.column_names, content.file)
        if found is None:
            names = ", ".join(map(repr, frame.column_names[:8]))
            raise refusal(content.file, f"{form} with the columns {names}: neither candles nor trades")
        if not len(frame):
            raise Invalid(f"{content.file}: columns and no rows", hint="fetch the file again")
        kind, positions = found
        columns = {name: _column(frame.column(at)) for name, at in positions.items()}
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{content.file}: damaged {form} file ({error})", hint="fetch the file again") from None
    lines = np.arange(1, len(frame) + 1, dtype=np.int64)
    return column_table(content, form, kind, columns, lines)


def _parquet(content: Content, largest_bytes: int) -> Any:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(io.BytesIO(content.data))
    return _within(content, largest_bytes, file.iter_batches(batch_size=_BATCH_ROWS), file.schema_arrow)


def _feather(content: Content, largest_bytes: int) -> Any:
    if content.data[:4] == b"FEA1":
        raise refusal(content.file, "feather of version 1: save it again as version 2 (Arrow)")
    reader = pa.ipc.open_file(pa.BufferReader(content.data))
    every = (reader.get_batch(number) for number in range(reader.num_record_batches))
    return _within(content, largest_bytes, every, reader.schema)


def _within(content: Content, largest_bytes: int, every: Iterable[Any], schema: Any) -> Any:
    """The batches as one table, as long as they do not unpack to more than they may."""
    batches, room = [], largest_bytes
    for batch in every:
        batches.append(batch)
        room -= batch.nbytes
        if room < 0:
            raise Invalid(
                f"{content.file} unpacks to more than {largest_bytes:,} bytes", hint="cut it into smaller files"
            )
    return pa.Table.from_batches(batches, schema)


def _column(column: Any) -> Column:
    """NumPy for numbers, text for text, decimals and words of a dictionary, else as it is. A float32 is read as its
    shortest decimal: 187.35, where a bare cast gives 187.35000610351562."""
    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):  # a column of no or several chunks
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], column.type)
    kind = whole.type
    if pa.types.is_dictionary(kind):
        whole, kind = whole.cast(kind.value_type), kind.value_type
    if pa.types.is_decimal(kind) or pa.types.is_null(kind) or pa.types.is_large_string(kind):
        return whole.cast(pa.string())
    if pa.types.is_integer(kind) and not whole.null_count:
        return whole.cast(pa.int64()).to_numpy()
    if pa.types.is_float32(kind):
        return whole.to_numpy(zero_copy_only=False).astype(str).astype(np.float64)
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return whole.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return whole
