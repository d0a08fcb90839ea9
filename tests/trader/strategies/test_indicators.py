"""The 86 indicators: equal to `ta` 0.11 on a seeded series, and unmoved by bars that come later."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.errors import Invalid, NotFound
from gnomon.trader.strategies.indicators import COLUMNS, Frame, ema, rolling, shifted, sma
from gnomon.units import FloatArray

AHEAD = {
    # of ta: their first rows hold means of the whole series; ours are missing there
    "trend_kst": 44,
    "trend_kst_sig": 52,
    "trend_kst_diff": 52,
    "trend_visual_ichimoku_a": 26,
    "trend_visual_ichimoku_b": 26,
}


def series(n: int = 220) -> list[FloatArray]:
    """Eighths, so that every price is exact; the input that the file beside this was made from with ta 0.11.0."""
    luck = np.random.default_rng(86)
    close = 100 + np.cumsum(luck.integers(-8, 9, n)) * 0.125
    opened = np.concatenate([close[:1], close[:-1]])
    high = np.maximum(opened, close) + luck.integers(1, 9, n) * 0.125
    low = np.minimum(opened, close) - luck.integers(1, 9, n) * 0.125
    return [opened, high, low, close, luck.integers(50, 500, n).astype(float)]


def expected() -> dict[str, dict[int, float]]:
    with (Path(__file__).parent / "ta_0_11.csv").open(encoding="utf-8") as file:
        return {row.pop("column"): {int(at): float(value) for at, value in row.items()} for row in csv.DictReader(file)}


EXPECTED = expected()
FRAME = Frame(*series())


def test_the_names_are_those_of_ta() -> None:
    assert list(EXPECTED) == sorted(EXPECTED, key=list(COLUMNS).index)
    assert set(EXPECTED) == set(COLUMNS)
    assert len(COLUMNS) == 86


@pytest.mark.parametrize("name", COLUMNS)
def test_each_column_is_the_one_of_ta(name: str) -> None:
    ours = FRAME.column(name)
    assert len(ours) == 220
    for row, value in EXPECTED[name].items():
        if row < AHEAD.get(name, 0):
            assert np.isnan(ours[row])
        else:
            np.testing.assert_allclose(ours[row], value, rtol=1e-9, atol=1e-9, err_msg=f"row {row}")


@pytest.mark.parametrize("name", COLUMNS)
def test_bars_that_come_later_change_nothing(name: str) -> None:
    whole = FRAME.column(name)
    for n in (1, 2, 9, 14, 15, 28, 29, 53, 100, 219):
        part = Frame(*[one[:n] for one in series()]).column(name)
        np.testing.assert_allclose(part, whole[:n], rtol=1e-12, atol=1e-12, err_msg=f"{n} bars")


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 219), st.integers(0, 2**32 - 1))
def test_garbage_after_a_bar_changes_no_column_before_it(row: int, seed: int) -> None:
    noise = np.random.default_rng(seed)
    columns = [np.append(one[: row + 1], noise.uniform(1, 1e6, 219 - row)) for one in series()]
    other = Frame(*columns)
    for name in COLUMNS:
        np.testing.assert_allclose(other.column(name)[: row + 1], FRAME.column(name)[: row + 1], rtol=1e-12, atol=1e-12)


def test_gaps_are_filled_forward_then_with_zero() -> None:
    rsi = FRAME.filled("momentum_rsi")
    assert (rsi[:13] == 0).all()
    assert rsi[13] == FRAME.column("momentum_rsi")[13]
    assert np.isfinite([FRAME.filled(name) for name in COLUMNS]).all()
    falling = FRAME.filled("trend_psar_down")
    missing = np.isnan(FRAME.column("trend_psar_down"))
    assert (falling[1:][missing[1:]] == falling[:-1][missing[1:]]).all()


def test_windows_against_plain_loops() -> None:
    values = series()[3]
    for row in range(20, 40):
        assert sma(values, 7)[row] == pytest.approx(sum(values[row - 6 : row + 1]) / 7)
        assert rolling(values, 7, np.max)[row] == max(values[row - 6 : row + 1])
    mean = values[0]
    for row in range(1, 40):
        mean += (values[row] - mean) * 2 / 6
        assert ema(values, 5)[row] == pytest.approx(mean) or row < 4
    assert np.isnan(shifted(values, 3)[:3]).all()
    assert np.isnan(shifted(values, 500)).all()


def test_a_wrong_name_is_offered_the_nearest_and_uneven_columns_are_refused() -> None:
    with pytest.raises(NotFound, match="momentum_rsii") as caught:
        FRAME.column("momentum_rsii")
    assert "momentum_rsi" in caught.value.hint
    with pytest.raises(Invalid, match="bars"):
        Frame(*[one[: 5 + k] for k, one in enumerate(series())])
    assert all(len(Frame(*[one[:0] for one in series()]).filled(name)) == 0 for name in COLUMNS)
