"""Arrays as blocks, and the point bars."""

from __future__ import annotations

import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from gnomon.clock import Timeframe
from gnomon.store.blocks import PointBars, closes, decode, encode
from gnomon.store.chain import array_digest

DAY = Timeframe.parse("1d")


@given(arrays(np.float64, array_shapes(max_dims=3, max_side=5), elements=st.floats(1e-3, 1e9)))
def test_a_block_gives_back_its_array_in_float32(values: np.ndarray) -> None:
    block = encode(values)
    found = decode(block.dtype, block.shape, block.payload)
    np.testing.assert_array_equal(found, values.astype(np.float32))
    assert found.dtype == np.dtype("<f4")
    assert block.digest == array_digest(found)


def test_the_digest_is_of_the_content_not_of_the_compression() -> None:
    block = encode(np.arange(100.0).reshape(10, 10))
    harder = zlib.compress(zlib.decompress(block.payload), 9)
    assert harder != block.payload
    assert array_digest(decode(block.dtype, block.shape, harder)) == block.digest


def test_sorted_curves_stay_sorted_in_float32() -> None:
    curve = np.sort(np.random.default_rng(0).normal(100, 1e-6, (50, 13)), axis=1)
    block = encode(curve)
    assert (np.diff(decode(block.dtype, block.shape, block.payload), axis=1) >= 0).all()


@pytest.mark.parametrize(
    "damage",
    [
        lambda payload: payload[:-1],
        lambda payload: payload + b"x",
        lambda payload: payload[:20] + bytes([payload[20] ^ 1]) + payload[21:],
        lambda _: b"",
        lambda payload: zlib.compress(zlib.decompress(payload)[:-4]),
        lambda payload: zlib.compress(zlib.decompress(payload) + bytes(4)),
    ],
)
def test_a_damaged_block_is_not_read(damage) -> None:
    block = encode(np.arange(30.0))
    with pytest.raises(ValueError):
        decode(block.dtype, block.shape, damage(block.payload))


@pytest.mark.parametrize(
    "dtype, shape", [("<f4", "[31]"), ("<f8", "[30]"), ("no", "[30]"), ("<f4", "x"), ("<f4", "{}")]
)
def test_a_block_whose_description_is_wrong_is_not_read(dtype: str, shape: str) -> None:
    with pytest.raises(ValueError):
        decode(dtype, shape, encode(np.arange(30.0)).payload)


def test_closes_are_the_fourth_field_of_whole_paths() -> None:
    paths = np.arange(2 * 3 * 6.0).reshape(2, 3, 6)
    np.testing.assert_array_equal(closes(paths), paths[:, :, 3])
    assert closes(paths[:, :, 0]).shape == (2, 3)


def whole_paths(horizon: int, count: int = 5) -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 10, (count, horizon, 6))


def test_point_bars_are_medians_made_possible_bars(make: SimpleNamespace) -> None:
    paths = whole_paths(40)
    forecast = make.forecast(horizon=40, timeframe=DAY, paths=paths)
    bars = PointBars.of(forecast)
    assert bars is not None
    assert bars.step.tolist() == list(range(1, 31))
    assert bars.target_close_ns.tolist() == forecast.target_close_ns[:30].tolist()
    for row, step in zip(bars.fields, range(30), strict=True):
        opened, high, low, close, volume = (float(np.median(paths[:, step, field])) for field in range(5))
        expected = [opened, max(opened, high, close), min(opened, low, close), close, max(volume, 0.0)]
        assert row.tolist() == expected


@pytest.mark.parametrize("horizon, steps", [(5, 5), (30, 30), (31, 30)])
def test_point_bars_end_at_step_thirty(make: SimpleNamespace, horizon: int, steps: int) -> None:
    bars = PointBars.of(make.forecast(horizon=horizon, timeframe=DAY, paths=whole_paths(horizon)))
    assert bars is not None
    assert len(bars.step) == steps


def test_only_daily_forecasts_with_whole_paths_have_point_bars(make: SimpleNamespace) -> None:
    assert PointBars.of(make.forecast(horizon=5, paths=whole_paths(5))) is None
    assert PointBars.of(make.forecast(horizon=5, timeframe=DAY)) is None
    assert PointBars.of(make.forecast(horizon=5, timeframe=DAY, paths=whole_paths(5)[:, :, 3])) is None


def test_point_bars_survive_their_rows(make: SimpleNamespace) -> None:
    bars = PointBars.of(make.forecast(horizon=7, timeframe=DAY, paths=-np.zeros((3, 7, 6)) + 1.0))
    assert bars is not None
    rows = bars.rows(9)
    assert [row[0] for row in rows] == [9] * 7
    assert PointBars.of_rows([row[1:] for row in rows]).digest() == bars.digest()
    assert PointBars.of_rows([row[1:] for row in rows[:-1]]).digest() != bars.digest()
