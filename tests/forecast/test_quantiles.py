"""Normal scores, order statistics and sorting beside their textbook forms."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.forecast.forecast import LEVELS
from gnomon.forecast.quantiles import in_order, normal_cdf, normal_scores, publishable, ranks


def test_scores_are_those_of_the_standard_normal():
    assert normal_scores(LEVELS).tolist() == [NormalDist().inv_cdf(level) for level in LEVELS]
    assert normal_scores((0.5,)).tolist() == [0.0]


def test_the_normal_cdf_keeps_its_small_tail():
    values = np.array([[-10.0, -1.0, 0.0], [1.0, 8.0, 40.0]])
    expected = [[7.619853024160527e-24, 0.15865525393145705, 0.5], [0.8413447460685429, 1.0, 1.0]]
    assert normal_cdf(values) == pytest.approx(np.array(expected), rel=1e-14)


@given(st.integers(2, 60), st.floats(0.001, 0.999))
@settings(deadline=None)
def test_order_statistics_are_those_of_weibull(count, level):
    samples = np.sort(np.random.default_rng(count).normal(size=count))
    below, above, share = ranks((level,), count)
    ours = samples[below] + share * (samples[above] - samples[below])
    assert ours[0] == pytest.approx(np.quantile(samples, level, method="weibull"), rel=1e-12, abs=1e-12)


def test_order_statistics_by_hand():
    """Of 1 … 9, rank 10·0.25 = 2.5 lies between the second and the third."""
    below, above, share = ranks((0.05, 0.25, 0.5, 0.99), 9)
    assert below.tolist() == [0, 1, 4, 7]
    assert above.tolist() == [1, 2, 5, 8]
    assert share.tolist() == [0.0, 0.5, 0.0, 1.0]


def test_crossings_are_counted_and_sorted_away():
    raw = np.array([[[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]], [[1.0, 1.0, 2.0], [1.0, 3.0, 2.0]]])
    ordered, crossings = in_order(raw)
    assert crossings.tolist() == [2, 1]
    assert (np.diff(ordered) >= 0).all()
    assert sorted(ordered.ravel()) == sorted(raw.ravel())
    again, none = in_order(ordered)
    assert again is ordered
    assert none.tolist() == [0, 0]


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_a_curve_with_one_bad_value_is_not_publishable(value):
    curves = np.ones((2, 3, 4))
    curves[1, 2, 1] = value
    assert publishable(curves).tolist() == [True, False]
