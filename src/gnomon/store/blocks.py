"""Blocks: arrays as the ledger keeps them, float32 little-endian under zlib, each with the digest of what it says."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import orjson

from gnomon.forecast.forecast import Forecast
from gnomon.store.chain import array_digest, canonical
from gnomon.units import FloatArray, IntArray

BARS_UNTIL_STEP: Final = 30
_LEVEL: Final = 0  # stored, with a checksum: real quantiles shrink by 15 % only, for 15 to 25 times the time


@dataclass(frozen=True, slots=True)
class Block:
    """A packed array: `shape` is JSON, `digest` is over dtype, shape and bytes, not over how they were compressed."""

    dtype: str
    shape: str
    payload: bytes
    digest: str


def encode(values: FloatArray) -> Block:
    """The block of an array, rounded to float32."""
    plain = np.ascontiguousarray(values, "<f4")
    payload = zlib.compress(plain.data, _LEVEL)
    return Block(plain.dtype.str, _shape(plain.shape), payload, array_digest(plain))


def decode(dtype: str, shape: str, payload: bytes) -> np.ndarray[Any, Any]:
    """The array of a block. Raises `ValueError` when it is not exactly one: damaged, too short, too long."""
    try:
        sizes = _sizes(shape)
        reader = zlib.decompressobj()
        content = reader.decompress(payload)
        kind = np.dtype(dtype)
        if not reader.eof or reader.unused_data or len(content) != math.prod(sizes) * kind.itemsize:
            raise ValueError("its length is not that of its shape")
        return np.frombuffer(content, kind).reshape(sizes)
    except (zlib.error, TypeError) as error:
        raise ValueError(str(error)) from None


@lru_cache
def _shape(sizes: tuple[int, ...]) -> str:
    return canonical(sizes)


@lru_cache
def _sizes(shape: str) -> tuple[int, ...]:
    return tuple(int(size) for size in orjson.loads(shape))


def closes(paths: FloatArray) -> FloatArray:
    """The closes (n, H) of sample paths that have them alone or all six fields."""
    return paths if paths.ndim == 2 else paths[:, :, 3]


@dataclass(frozen=True, slots=True, eq=False)
class PointBars:
    """The bars of the seeds' table: for each step the median of each field over the paths, made a possible bar."""

    step: IntArray  # (S,)
    target_open_ns: IntArray
    target_close_ns: IntArray
    fields: FloatArray  # (S, 5): open, high, low, close, volume

    @classmethod
    def of(cls, forecast: Forecast) -> PointBars | None:
        """Steps 1 to 30 of a daily forecast whose paths have all fields; None for any other."""
        paths = forecast.paths
        if str(forecast.timeframe) != "1d" or paths is None or paths.ndim != 3:
            return None
        steps = min(BARS_UNTIL_STEP, forecast.horizon)
        fields = np.median(paths[:, :steps, :5], axis=0)
        body = fields[:, [0, 3]]
        fields[:, 1] = np.maximum(fields[:, 1], body.max(axis=1))
        fields[:, 2] = np.minimum(fields[:, 2], body.min(axis=1))
        fields[:, 4] = np.maximum(fields[:, 4], 0.0)
        return cls(
            step=np.arange(1, steps + 1, dtype=np.int64),
            target_open_ns=np.asarray(forecast.target_open_ns[:steps], np.int64),
            target_close_ns=np.asarray(forecast.target_close_ns[:steps], np.int64),
            fields=fields + 0.0,  # no negative zero: SQLite would give back another one
        )

    @classmethod
    def of_rows(cls, rows: Sequence[Sequence[Any]]) -> PointBars:
        """The bars of rows of `forecast_bars`, without their forecast_id, ordered by step."""
        times = np.array([row[:3] for row in rows], np.int64).reshape(-1, 3)
        fields = np.array([row[3:] for row in rows], np.float64).reshape(-1, 5)
        return cls(times[:, 0], times[:, 1], times[:, 2], fields)

    def digest(self) -> str:
        return array_digest(self.step, self.target_open_ns, self.target_close_ns, self.fields)

    def rows(self, forecast_id: int) -> list[tuple[Any, ...]]:
        """Rows of `forecast_bars`, in the order of its columns."""
        times = np.column_stack([self.step, self.target_open_ns, self.target_close_ns])
        return [
            (forecast_id, *when, *values) for when, values in zip(times.tolist(), self.fields.tolist(), strict=True)
        ]
