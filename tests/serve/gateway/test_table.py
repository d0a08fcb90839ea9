"""Rows as JSON, CSV and Parquet, and the cursors between pages."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import Invalid
from gnomon.serve.gateway.table import as_csv, as_parquet, cursor_after, cursor_position, finite, json_response

ROWS: list[dict[str, Any]] = [
    {"id": 1, "name": 'a "quoted", name', "levels": [0.1, 0.9], "params": {"a": 1}, "late": True, "figure": None},
    {"id": 2, "name": "two\nlines", "levels": [], "params": {}, "late": False, "figure": 0.5},
]


def test_csv_reads_back_with_json_in_its_cells() -> None:
    read = list(csv.DictReader(io.StringIO(as_csv(ROWS).decode())))
    assert [row["name"] for row in read] == [row["name"] for row in ROWS]
    for name in ("id", "levels", "params", "late"):
        assert [json.loads(row[name]) for row in read] == [row[name] for row in ROWS]
    assert [row["figure"] for row in read] == ["", "0.5"]


def test_parquet_reads_back_with_lists_as_lists() -> None:
    read = pyarrow.parquet.read_table(io.BytesIO(as_parquet(ROWS))).to_pylist()
    assert read == [row | {"params": json.dumps(row["params"], separators=(",", ":"))} for row in ROWS]


def test_no_rows_are_an_empty_file() -> None:
    assert as_csv([]) == b""
    assert pyarrow.parquet.read_table(io.BytesIO(as_parquet([]))).num_rows == 0


def test_json_has_lists_for_arrays_and_null_for_nan() -> None:
    values = np.array([[1.0, np.nan], [2.0, 3.0]])
    body = json_response({"values": values, "column": values[:, 0], "name": "x"}).body
    assert json.loads(bytes(body)) == {"values": [[1.0, None], [2.0, 3.0]], "column": [1.0, 2.0], "name": "x"}


def test_what_has_no_json_is_a_fault() -> None:
    with pytest.raises(TypeError, match="not JSON serializable: set"):
        json_response({1, 2})


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=3))
def test_a_cursor_leads_back_to_its_position(position: list[int]) -> None:
    cursor = cursor_after(position)
    assert cursor_position(cursor, length=len(position)) == tuple(position)
    assert cursor.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("cursor", ["x", "!!!", "WzFd", "bnVsbA", "WyJhIl0", "W3RydWUsMV0", "é", "W1sxXSwyXQ"])
def test_a_cursor_nobody_gave_is_refused_with_what_to_do(cursor: str) -> None:
    with pytest.raises(Invalid, match="not a cursor") as refused:
        cursor_position(cursor, length=2)
    assert "next_cursor" in refused.value.hint


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_cursor_is_the_beginning(nothing: str | None) -> None:
    assert cursor_position(nothing, length=1) is None


@given(st.one_of(st.floats(), st.integers(), st.text()))
def test_only_floats_that_are_no_number_become_none(value: Any) -> None:
    assert finite(value) is None or finite(value) == value
    assert (finite(value) is None) == (isinstance(value, float) and (value != value or abs(value) == float("inf")))
