"""Distribution functions against SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from gnomon.errors import Invalid
from gnomon.score.distributions import (
    chi_squared_tail,
    incomplete_beta,
    normal_cdf,
    normal_quantile,
    student_two_sided,
)


@given(st.floats(-30, 30))
def test_normal_cdf_is_scipys_far_into_the_tail(x: float) -> None:
    assert normal_cdf(x) == pytest.approx(stats.norm.cdf(x), rel=1e-12, abs=1e-300)


@given(st.floats(1e-12, 1 - 1e-12))
def test_normal_quantile_is_scipys_and_the_inverse(p: float) -> None:
    assert normal_quantile(p) == pytest.approx(stats.norm.ppf(p), rel=1e-9, abs=1e-12)
    assert normal_cdf(normal_quantile(p)) == pytest.approx(p, rel=1e-9)


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, math.nan])
def test_a_quantile_of_no_probability_is_refused(p: float) -> None:
    with pytest.raises(Invalid, match="between 0 and 1"):
        normal_quantile(p)


@given(st.floats(0, 500))
def test_chi_squared_tail_is_scipys(x: float) -> None:
    assert chi_squared_tail(x) == pytest.approx(stats.chi2.sf(x, 1), rel=1e-9, abs=1e-300)


def test_chi_squared_tail_works_element_by_element() -> None:
    x = np.array([[0.0, 1.0], [3.84, np.nan]])
    np.testing.assert_allclose(chi_squared_tail(x), stats.chi2.sf(x, 1), rtol=1e-12)


@given(st.floats(-60, 60), st.integers(1, 20_000))
def test_student_two_sided_is_scipys(t: float, degrees: int) -> None:
    assert student_two_sided(t, degrees) == pytest.approx(2 * stats.t.sf(abs(t), degrees), rel=1e-9, abs=1e-300)


def test_student_two_sided_at_its_ends() -> None:
    assert student_two_sided(0.0, 5) == 1.0
    assert student_two_sided(math.inf, 5) == 0.0
    assert student_two_sided(-1e200, 5) == 0.0
    assert math.isnan(student_two_sided(math.nan, 5))


@given(st.floats(0.05, 500), st.floats(0.05, 500), st.floats(0, 1))
def test_incomplete_beta_is_scipys(a: float, b: float, x: float) -> None:
    assert incomplete_beta(a, b, x) == pytest.approx(special.betainc(a, b, x), rel=1e-8, abs=1e-13)


@pytest.mark.parametrize("arguments", [(0.0, 1.0, 0.5), (1.0, -1.0, 0.5), (1.0, 1.0, 1.1), (1.0, 1.0, math.nan)])
def test_an_incomplete_beta_outside_its_domain_is_refused(arguments: tuple[float, float, float]) -> None:
    with pytest.raises(Invalid, match="I_x"):
        incomplete_beta(*arguments)
