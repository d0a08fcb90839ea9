"""The packing of a row, its hash, and canonical JSON."""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import Invalid
from gnomon.store.chain import RECORD, array_digest, canonical, canonical_floats, genesis, link, pack
from gnomon.store.tables import forecasts

_INTS = st.integers(-(2**63), 2**63 - 1)
_KINDS: dict[str, st.SearchStrategy[Any]] = {
    "int": _INTS,
    "null": st.none() | _INTS,
    "float": st.floats(allow_nan=False),
    "text": st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    "bytes": st.binary(max_size=8),
}
rows = st.fixed_dictionaries({name: _KINDS[kind] for name, kind in RECORD})
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


def unpacked(record: bytes) -> dict[str, Any]:
    """The row of a record, read field by field: where this exists, no two rows share a record."""
    row: dict[str, Any] = {}
    at = 0

    def take(count: int) -> bytes:
        nonlocal at
        at += count
        return record[at - count : at]

    for name, kind in RECORD:
        if kind == "int":
            row[name] = struct.unpack("<q", take(8))[0]
        elif kind == "null":
            is_there, value = struct.unpack("<Bq", take(9))
            row[name] = value if is_there else None
        elif kind == "float":
            row[name] = struct.unpack("<d", take(8))[0]
        else:
            content = take(struct.unpack("<I", take(4))[0])
            row[name] = content.decode() if kind == "text" else content
    assert at == len(record)
    return row


@given(rows)
def test_a_record_can_be_read_back_so_no_two_rows_share_one(row: dict[str, Any]) -> None:
    assert unpacked(pack(row)) == row


@given(rows, st.sampled_from(RECORD), st.data())
def test_a_change_of_any_column_changes_the_hash(row: dict[str, Any], column: tuple[str, str], data: Any) -> None:
    name, kind = column
    other = data.draw(_KINDS[kind].filter(lambda value: pack(row | {name: value}) != pack(row)))
    assert link(genesis("live"), row) != link(genesis("live"), row | {name: other})


def test_the_record_holds_every_column_but_the_id_and_the_hashes() -> None:
    packed = {name for name, _ in RECORD}
    assert packed == {column.name for column in forecasts.c} - {"id", "prev_hash", "row_hash"}
    kinds = {"BIGINT": "int", "INTEGER": "int", "DOUBLE": "float", "TEXT": "text", "BLOB": "bytes"}
    for name, kind in RECORD:
        column = forecasts.c[name]
        assert kind == ("null" if column.nullable else kinds[str(column.type)])


def test_the_packing_is_the_documented_one_to_the_byte() -> None:
    row: dict[str, Any] = {
        name: {"int": 0, "null": None, "float": 0.0, "text": "", "bytes": b""}[k] for name, k in RECORD
    }
    row |= {"lane": "live", "seq": 258, "base_price": 1.5, "calibration_id": 3, "target_open": b"\1"}
    naive = b""
    for name, kind in RECORD:
        value = row[name]
        if kind == "int":
            naive += value.to_bytes(8, "little", signed=True)
        elif kind == "null":
            naive += bytes(9) if value is None else b"\1" + value.to_bytes(8, "little", signed=True)
        elif kind == "float":
            naive += np.float64(value).tobytes()
        else:
            content = value.encode() if kind == "text" else value
            naive += len(content).to_bytes(4, "little") + content
    assert pack(row) == naive
    first = hashlib.blake2b(b"gnomon ledger 1: live", digest_size=32).digest()
    assert genesis("live") == first.hex()
    assert link(genesis("live"), row) == hashlib.blake2b(first + naive, digest_size=32).hexdigest()


def test_the_hash_depends_on_the_row_before() -> None:
    row: dict[str, Any] = {
        name: {"int": 0, "null": None, "float": 0.0, "text": "", "bytes": b""}[k] for name, k in RECORD
    }
    assert link(genesis("live"), row) != link(genesis("backfill"), row)


@given(json_values)
def test_canonical_json_is_a_fixed_point_and_says_the_same(value: Any) -> None:
    once = canonical([value])
    assert canonical(json.loads(once)) == once
    assert json.loads(once) == [value]


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 9)))
def test_canonical_json_does_not_know_the_order_of_keys(value: dict[str, int]) -> None:
    assert canonical(dict(reversed(value.items()))) == canonical(value)


def test_canonical_json_sorts_keys_and_leaves_no_space() -> None:
    value = {"b": (1, 2.0), "a": {"ü": None, "flag": True}, "n": np.float64(0.1), "v": np.array([1, 2])}
    assert canonical(value) == '{"a":{"flag":true,"ü":null},"b":[1,2.0],"n":0.1,"v":[1,2]}'


@pytest.mark.parametrize(
    "value", [{"x": float("nan")}, [float("inf")], {"x": np.array([np.nan])}, {1: 2}, [{1, 2}], ["\ud800"], [2**65]]
)
def test_what_json_cannot_hold_is_refused_not_changed(value: Any) -> None:
    with pytest.raises(Invalid, match="not a JSON value"):
        canonical(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(Invalid):
        canonical(value)


def test_floats_are_written_as_canonical_json_writes_them() -> None:
    values = np.random.default_rng(0).normal(size=50) * 10.0 ** np.arange(-25, 25)
    assert canonical_floats(values) == canonical(values.tolist())
    assert json.loads(canonical_floats(values)) == values.tolist()
    assert canonical_floats(values[::2]) == canonical(values[::2].tolist())


def test_an_array_digest_covers_dtype_shape_and_bytes_and_nothing_else() -> None:
    one = np.arange(6, dtype=np.float32)
    assert array_digest(one) == array_digest(one.astype(">f4")) == array_digest(np.repeat(one, 2)[::2])
    others = [one.reshape(2, 3), one.astype(np.float64), one.astype(np.int32), one + 1, one[:5]]
    assert len({array_digest(one), *map(array_digest, others)}) == 6
    assert array_digest(one, one) != array_digest(np.concatenate([one, one]))
