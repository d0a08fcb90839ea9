"""Columns of text or numbers as float64 or int64, with the cells that are no number marked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gnomon.sources.files.table import Column
from gnomon.units import IntArray

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64] | IntArray

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?$"
_NOT_FINITE = r"(?i)^[+-]?(nan|inf|infinity)$"
_WHOLE = r"^[+-]?(\d{1,18}|[1-8]\d{18})$"


def is_text(column: Column) -> bool:
    """Whether a column is a pyarrow array of text."""
    return isinstance(column, pa.Array | pa.ChunkedArray) and (
        pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    )


def trimmed(column: Column) -> Any:
    """A text column as one array, without nulls and without blanks at the ends."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pc.fill_null(pc.utf8_trim_whitespace(whole.cast(pa.string())), "")


def read_numbers(column: Column) -> tuple[Numbers, Flags]:
    """The values (n,), int64 where the column holds whole numbers and float64 elsewhere, and which cells are numbers.

    A cell that is no number reads as 0 and is marked; NaN and infinity are numbers here, for a rule to refuse.
    """
    if isinstance(column, np.ndarray):
        return column, np.ones(len(column), np.bool_)
    try:
        return column.cast(pa.float64()).to_numpy(zero_copy_only=False), _present(column)
    except pa.ArrowInvalid:
        return _some_numbers(trimmed(column), _NUMBER, pa.float64())


def read_whole(column: Column) -> tuple[IntArray, Flags]:
    """The values (n,) of a column of whole numbers (ids), and which cells are one."""
    if isinstance(column, np.ndarray):
        if column.dtype == np.int64:
            return column, np.ones(len(column), np.bool_)
        with np.errstate(invalid="ignore"):
            whole = column.astype(np.int64)
        return whole, np.asarray(whole == column)
    try:
        return column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False), _present(column)
    except pa.ArrowInvalid:
        values, good = _some_numbers(trimmed(column), _WHOLE, pa.int64())
        return values.astype(np.int64), good


def read_truth(column: Column) -> tuple[Flags, Flags]:
    """The values (n,) of a column of true and false (or 1 and 0), and which cells are one of them."""
    if isinstance(column, np.ndarray):
        return column.astype(np.bool_), np.asarray((column == 0) | (column == 1))
    if pa.types.is_boolean(column.type):
        return column.fill_null(False).to_numpy(zero_copy_only=False), _present(column)
    words = pc.utf8_lower(trimmed(column))
    yes = matches(words, r"^(true|1|1\.0)$")
    return yes, yes | matches(words, r"^(false|0|0\.0)$")


def usual(column: Column) -> str:
    """The most common text of a column; "" where there is none."""
    counted = pc.value_counts(trimmed(column) if is_text(column) else pc.cast(pa.array(column), pa.string()))
    if not len(counted):
        return ""
    return str(counted.field("values")[int(np.argmax(counted.field("counts").to_numpy()))].as_py())


def matches(column: Column, pattern: str) -> Flags:
    """Which cells of a text column match."""
    return np.asarray(pc.match_substring_regex(column, pattern).to_numpy(zero_copy_only=False), np.bool_)


def _present(column: Column) -> Flags:
    return np.asarray(column.is_valid().to_numpy(zero_copy_only=False), np.bool_)


def _some_numbers(text: Any, pattern: str, kind: Any) -> tuple[Numbers, Flags]:
    good = matches(text, pattern)
    values = np.zeros(len(text), kind.to_pandas_dtype())
    values[good] = text.filter(pa.array(good)).cast(kind).to_numpy(zero_copy_only=False)
    if kind == pa.float64():
        strange = matches(text, _NOT_FINITE)
        values[strange] = np.nan
        good = good | strange
    return values, good
