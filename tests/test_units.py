"""Grids: decimals and integer counts, exactly."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import Invalid
from gnomon.units import INT64_MAX, Grid, decimal, scaled

STEPS = ["0.01", "0.00001", "0.1", "1", "0.005", "0.25", "0.015", "1000", "2.5", "1e-8", "3"]
steps = st.sampled_from(STEPS)
counts = st.integers(-(10**12), 10**12)


@given(steps, st.integers(-INT64_MAX, INT64_MAX))
def test_a_count_comes_back_from_its_decimal(step: str, count: int) -> None:
    grid = Grid.of(step)
    assert grid.count(grid.value(count)) == count
    assert grid.count(str(grid.value(count))) == count


@given(steps, st.lists(counts, max_size=20))
def test_a_count_comes_back_from_its_float(step: str, numbers: list[int]) -> None:
    grid, array = Grid.of(step), np.array(numbers, np.int64)
    back, on_grid = grid.counts(grid.floats(array))
    assert on_grid.all()
    assert np.array_equal(back, array)


@given(steps, st.integers(-(2**53) // 5000, 2**53 // 5000))
def test_a_float_is_the_nearest_to_its_decimal(step: str, count: int) -> None:
    grid = Grid.of(step)
    assert grid.floats(np.array([count]))[0] == float(Decimal(count) * Decimal(step))


@given(st.sampled_from(["0.1", "0.01", "0.0001"]), st.integers(1, 10**9), st.sampled_from([10, 100]))
def test_a_value_is_one_float_on_grids_of_any_fineness(step: str, count: int, finer: int) -> None:
    coarse, fine = Grid.of(step), Grid.of(Decimal(step) / finer)
    assert coarse.floats(np.array([count]))[0] == fine.floats(np.array([count * finer]))[0]


@given(steps, st.floats(allow_nan=True, allow_infinity=True))
def test_a_float_lies_on_the_grid_only_if_its_count_gives_it_back(step: str, value: float) -> None:
    grid = Grid.of(step)
    found, on_grid = grid.counts(np.array([value]))
    assert on_grid[0] == bool(abs(int(found[0])) <= INT64_MAX and grid.floats(found)[0] == value)


def test_values_between_the_steps_are_refused() -> None:
    assert Grid.of("0.01").count("0.30") == 30
    assert Grid.of("0.1").count(0.3) == 3
    with pytest.raises(Invalid, match=r"0\.305 is not a multiple of 0\.01"):
        Grid.of("0.01").count("0.305")
    back, on_grid = Grid.of("0.01").counts(np.array([0.3, 0.305, 0.1 + 0.2]))
    assert on_grid.tolist() == [True, False, False]
    assert back.tolist() == [30, 30, 30]


@pytest.mark.parametrize("value", ["1e30", "-1e30", "1e999999"])
def test_a_value_beyond_int64_is_refused_at_once(value: str) -> None:
    with pytest.raises(Invalid, match="too large"):
        Grid.of("0.01").count(value)
    assert not Grid.of("1e-8").counts(np.array([float("1e30"), np.inf, -np.inf, np.nan]))[1].any()


@pytest.mark.parametrize("step", [0, -1, "-0.01", "0"])
def test_a_step_is_positive(step: Any) -> None:
    with pytest.raises(Invalid, match="positive decimal"):
        Grid.of(step)


@pytest.mark.parametrize("text", ["", "abc", "NaN", "inf", "-Infinity", "sNaN", True, None, "1.2.3"])
def test_what_is_no_finite_number_is_refused(text: Any) -> None:
    with pytest.raises(Invalid, match="not a"):
        decimal(text)


def test_a_float_is_read_as_it_is_written() -> None:
    assert decimal(0.1) == Decimal("0.1")
    assert decimal(1e-8) == Decimal("0.00000001")
    assert decimal(np.float64(0.7)) == Decimal("0.7")
    assert decimal(Decimal("0.10")) == Decimal("0.1")


def test_grids_of_one_step_are_equal_however_written() -> None:
    assert Grid.of("0.10") == Grid.of(0.1)
    assert hash(Grid.of("0.10")) == hash(Grid.of("0.1"))
    assert Grid.of("0.1").value(np.int64(3)) == Decimal("0.3")  # type: ignore[arg-type]  # a count out of an array


def test_steps_far_from_one_still_convert() -> None:
    for step in ("1e-20", "1e-22", "1e22"):  # beyond 10^22 the ratio itself is rounded
        grid, array = Grid.of(step), np.array([1, 3, 7])
        assert np.array_equal(grid.floats(array), [float(Decimal(step) * n) for n in (1, 3, 7)])
        assert np.array_equal(grid.counts(grid.floats(array))[0], array)


def test_a_grid_says_how_many_steps_of_a_finer_one_it_has() -> None:
    assert Grid.of("0.5").times(Grid.of("0.01")) == 50
    assert Grid.of("0.01").times(Grid.of("0.010")) == 1
    with pytest.raises(Invalid, match=r"a grid of 0\.03 cannot hold values on 0\.1"):
        Grid.of("0.1").times(Grid.of("0.03"))


def test_counts_are_scaled_within_int64_also_those_that_were_stored_narrow() -> None:
    narrow = np.array([2**31 - 1, -5], np.int32)
    assert scaled(narrow, 10).tolist() == [(2**31 - 1) * 10, -50]
    with pytest.raises(Invalid, match="counts overflow int64 when scaled by 10"):
        scaled(np.array([2**61]), 10)
