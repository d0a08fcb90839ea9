"""The hash chain of the ledger: canonical JSON, the fixed packing of a row, and its BLAKE2b-256.

`row_hash = BLAKE2b-256(prev_hash || record)`. The record is every column of the row but `id`, `prev_hash` and
`row_hash`, in the order of `RECORD`, little-endian:

| kind  | bytes                                             |
|-------|---------------------------------------------------|
| int   | int64                                             |
| null  | one byte 0 or 1, then int64 (0 where it is null)  |
| float | IEEE 754 float64                                  |
| text  | uint32 length, then UTF-8; JSON as canonical text |
| bytes | uint32 length, then the bytes                     |

No two different rows pack to the same bytes: each part says how long it is. The blocks, paths and bars of a forecast
are under the chain by their digests.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from gnomon.errors import Invalid

FORMAT: Final = "gnomon ledger 1"
"""Named by the genesis: another packing is another chain."""

RECORD: Final[tuple[tuple[str, str], ...]] = (
    ("lane", "text"),
    ("variant", "text"),
    ("seq", "int"),
    ("instrument", "text"),
    ("timeframe", "text"),
    ("basis", "text"),
    ("forecaster", "text"),
    ("version", "text"),
    ("role", "text"),
    ("information", "text"),
    ("revision", "text"),
    ("params", "text"),
    ("seed", "int"),
    ("as_of", "int"),
    ("data_cutoff", "int"),
    ("issued_at", "int"),
    ("valid_until", "int"),
    ("horizon", "int"),
    ("n_paths", "int"),
    ("crossings", "int"),
    ("base_price", "float"),
    ("levels", "text"),
    ("input_hash", "text"),
    ("calibration_id", "null"),
    ("weights_id", "null"),
    ("code_version", "text"),
    ("job_key", "text"),
    ("raw_digest", "text"),
    ("calibrated_digest", "text"),
    ("paths_digest", "text"),
    ("bars_digest", "text"),
    ("warnings", "text"),
    ("event_context", "text"),
    ("target_open", "bytes"),
    ("target_close", "bytes"),
    ("p_up", "text"),
    ("p10", "text"),
    ("p50", "text"),
    ("p90", "text"),
)

_INT: Final = struct.Struct("<q").pack
_NULLABLE: Final = struct.Struct("<Bq").pack
_FLOAT: Final = struct.Struct("<d").pack
_LENGTH: Final = struct.Struct("<I").pack


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _LENGTH(len(encoded)) + encoded


def _bytes(value: bytes) -> bytes:
    return _LENGTH(len(value)) + value


def _nullable(value: int | None) -> bytes:
    return _NULLABLE(0, 0) if value is None else _NULLABLE(1, value)


_PACK: Final[dict[str, Callable[[Any], bytes]]] = {
    "int": _INT,
    "null": _nullable,
    "float": _FLOAT,
    "text": _text,
    "bytes": _bytes,
}
_PACKERS: Final = tuple((name, _PACK[kind]) for name, kind in RECORD)


def pack(row: Mapping[str, Any]) -> bytes:
    """The record of a row of `forecasts`. Raises `struct.error`, `TypeError` or `AttributeError` on a foreign type."""
    return b"".join([pack_one(row[name]) for name, pack_one in _PACKERS])


def genesis(lane: str) -> str:
    """The hash before a lane's first row."""
    return hashlib.blake2b(f"{FORMAT}: {lane}".encode(), digest_size=32).hexdigest()


def link(prev_hash: str, row: Mapping[str, Any]) -> str:
    """The `row_hash` of a row after the one hashed `prev_hash`: 64 hexadecimal digits."""
    state = hashlib.blake2b(bytes.fromhex(prev_hash), digest_size=32)
    state.update(pack(row))
    return state.hexdigest()


def array_digest(*arrays: npt.NDArray[Any]) -> str:
    """BLAKE2b-256 over dtype, shape and little-endian bytes: of what arrays say, not of how they were compressed."""
    state = hashlib.blake2b(digest_size=32)
    for array in arrays:
        plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        state.update(f"{plain.dtype.str}{list(plain.shape)}".encode())
        state.update(plain.data)
    return state.hexdigest()


# --- canonical JSON -----------------------------------------------------------------------------

_OPTIONS: Final = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_SERIALIZE_NUMPY
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def canonical(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """The one text of a JSON value: sorted keys, no spaces, shortest floats. Read and written again it is the same.

    Raises `Invalid` for what JSON cannot hold: NaN, infinity, keys that are no text, other types.
    """
    try:
        return orjson.dumps(_plain(value), option=_OPTIONS).decode()
    except (orjson.JSONEncodeError, UnicodeError, RecursionError) as error:
        raise Invalid(f"not a JSON value: {error}", hint="text keys; text, finite numbers, lists, mappings") from None


def canonical_floats(values: npt.NDArray[np.float64]) -> str:
    """`canonical` of a float array of any shape. The caller has checked that it is finite."""
    return orjson.dumps(np.ascontiguousarray(values, np.float64), option=_OPTIONS).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, str | int | None):
        return value
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Invalid(f"not a JSON value: {value}", hint="leave the field out or write null")
        return value
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return value
