"""Counting on integer grids: exact wherever a decimal was meant, named wherever a value changed."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.sources.files.decimals import Counted, count
from gnomon.units import Grid


def _count(*values: float, text: list[str] | None = None) -> Counted:
    spelled = None if text is None else lambda _: pa.array(text)
    return count([np.array(values, np.float64)], "prices", text=spelled)


def test_the_coarsest_power_of_ten_that_holds_every_value_is_the_grid() -> None:
    counted = _count(1.5, 2.25, 3.0)
    assert (counted.decimals, counted.counts[0].tolist(), counted.notes) == (2, [150, 225, 300], ())
    assert _count(5.0, 7.0).decimals == 0


def test_several_columns_share_one_grid() -> None:
    counted = count([np.array([1.5]), np.array([2.125])], "prices")
    assert [column.tolist() for column in counted.counts] == [[1500], [2125]]


@given(st.lists(st.tuples(st.integers(0, 9 * 10**10), st.integers(0, 8)), min_size=1, max_size=30))
def test_decimals_of_up_to_eight_places_are_counted_exactly(pairs: list[tuple[int, int]]) -> None:
    """The oracle is the decimal module: the grid is the largest number of places after trailing zeros are cut."""
    exact = [(Decimal(whole).scaleb(-places)) for whole, places in pairs]
    counted = count([np.array([float(one) for one in exact])], "prices")
    needed = max((max(0, -int(one.normalize().as_tuple().exponent)) for one in exact), default=0)
    assert counted.decimals == needed
    fits = np.array([abs(one) * 10**needed < 2**63 for one in exact])
    assert (counted.fits == fits).all()
    for one, whole in zip(exact, counted.counts[0].tolist(), strict=True):
        assert not fits.all() or Decimal(whole).scaleb(-needed) == one
    assert not counted.notes


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=20), st.integers(-3, 3))
def test_binary_noise_is_taken_off_with_a_note(wholes: list[int], ulps: int) -> None:
    clean = np.array(wholes) / 10**6
    noisy = clean + ulps * np.spacing(clean)
    counted = count([noisy], "prices")
    assert (counted.counts[0] * 10 ** (6 - counted.decimals) == wholes).all()
    assert bool(counted.notes) == bool((noisy != clean).any() and ulps)


def test_the_note_on_noise_shows_an_example_and_the_largest_change() -> None:
    (note,) = _count(0.09147000000000001, 0.5).notes
    assert note.startswith("1 prices carry binary noise and are taken as the decimal they stand for")
    assert "0.09147000000000001 as 0.09147; by 1.4e-17 at most" in note


def test_float32_values_are_taken_as_their_shortest_decimal() -> None:
    counted = _count(187.35000610351562, 186.8699951171875, 185.0)
    assert (counted.decimals, counted.counts[0].tolist()) == (2, [18735, 18687, 18500])
    assert counted.notes[0].startswith("2 prices are float32 values")


def test_large_float32_values_pass_for_decimals_and_are_caught_as_columns() -> None:
    prices = np.round(np.linspace(20000, 60000, 50), 2)
    counted = count([prices.astype(np.float32).astype(np.float64)], "prices")
    assert counted.decimals <= 2
    assert (np.abs(counted.counts[0] / 10.0**counted.decimals - prices) < 0.005).all()
    assert "are float32 values" in counted.notes[0]
    fractions = np.arange(1, 50) / 256 + 110  # a true binary grid is kept
    assert count([fractions], "prices").decimals == 8


def test_more_than_eight_places_are_kept_where_the_values_need_them() -> None:
    counted = _count(0.000000012345, 0.00000001)
    assert (counted.decimals, counted.counts[0].tolist(), counted.notes) == (12, [12345, 10000], ())


def test_values_of_many_digits_are_rounded_with_a_note() -> None:
    counted = _count(37.123456789012345, 38.5)
    assert (counted.decimals, counted.counts[0].tolist()) == (8, [3712345679, 3850000000])
    assert (
        "have more digits than an exact grid holds and are rounded (37.123456789012344 as 37.12345679;"
        in counted.notes[0]
    )


def test_large_amounts_are_exact_where_the_file_has_text() -> None:
    text = ["2189134567.12345678", "9876543210.87654321", "12.5"]
    counted = _count(*map(float, text), text=text)
    assert counted.decimals == 8
    assert counted.counts[0].tolist() == [218913456712345678, 987654321087654321, 1250000000]
    assert not counted.notes
    inexact = _count(*map(float, text))
    assert inexact.counts[0].tolist() != counted.counts[0].tolist()
    assert inexact.notes  # without the text it is as near as a float64, and says so


def test_one_wild_value_costs_its_own_row_only() -> None:
    counted = _count(1e300, 42000.25, 1e19, 5e-324, 42001.75)
    assert counted.fits.tolist() == [False, True, False, False, True]
    assert counted.decimals == 2
    fine = _count(*[1e10 + 0.25] * 5, 1e-12)  # a grid of 10^-12 would hold none of the others
    assert fine.fits.tolist() == [True] * 5 + [False]


def test_nothing_that_fits_is_not_an_error() -> None:
    assert _count(1e300).fits.tolist() == [False]
    assert count([np.array([], np.float64)], "prices").decimals == 0


def test_whole_counts_are_reduced_to_the_coarsest_grid() -> None:
    counted = count([np.array([1674100, 1673300])], "prices", scale=4)
    assert (counted.decimals, counted.counts[0].tolist()) == (2, [16741, 16733])
    assert count([np.array([1674100, 1673305])], "prices", scale=4).decimals == 4
    assert count([np.array([0, 0])], "prices", scale=4).decimals == 0


@pytest.mark.parametrize(
    ("values", "own", "counts", "step"),
    [
        ([1.5, 2.0], "0.01", [150, 200], "0.01"),  # finer than needed: the instrument's
        ([1.5, 2.25], "0.1", [150, 225], "0.01"),  # too coarse: the power of ten
        ([1.5, 2.25], "0.25", [6, 9], "0.25"),  # no power of ten
        ([1.505, 2.25], "0.005", [301, 450], "0.005"),
        ([1.0, 2.0], None, [1, 2], "1"),
        ([1e10, 1.0], "0.000000000001", [10**10, 1], "1"),  # the instrument's would not fit an int64
    ],
)
def test_the_instruments_grid_is_used_when_every_value_lies_on_it(
    values: list[float], own: str | None, counts: list[int], step: str
) -> None:
    (counted,), grid = _count(*values).on(None if own is None else Grid.of(own))
    assert (counted.tolist(), grid.step) == (counts, Decimal(step))
