"""Rank correlation beside SciPy, with ties and gaps."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gnomon.score.ranking import rank_ic, ranks, spearman
from gnomon.score.significance import newey_west_t

VALUES = st.one_of(st.integers(-3, 3).map(float), st.just(math.nan))


@given(st.lists(VALUES, min_size=1, max_size=15))
def test_ranks_share_ties_and_skip_gaps(values: list[float]) -> None:
    x = np.array(values)
    present = ~np.isnan(x)
    expected = np.full(len(x), np.nan)
    expected[present] = stats.rankdata(x[present])
    np.testing.assert_array_equal(ranks(x), expected)


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=15))
def test_spearman_is_scipys_over_the_pairs_that_are_there(pairs: list[tuple[float, float]]) -> None:
    x, y = np.array(pairs).T
    present = ~np.isnan(x) & ~np.isnan(y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy warns of a side that is flat
        theirs = stats.spearmanr(x[present], y[present]).statistic if present.sum() > 1 else math.nan
    np.testing.assert_allclose(spearman(x, y), theirs, atol=1e-12)


def test_rank_ic_is_the_mean_over_cutoffs_with_a_newey_west_t() -> None:
    luck = np.random.default_rng(3)
    realised = luck.normal(size=(80, 12))
    forecast = realised + luck.normal(0, 3, (80, 12))
    forecast[5] = np.nan
    forecast[9, :4] = np.nan
    each = [
        stats.spearmanr(f[~np.isnan(f)], r[~np.isnan(f)]).statistic
        for f, r in zip(forecast, realised, strict=True)
        if not np.isnan(f).all()
    ]
    result = rank_ic(forecast, realised, overlap=4)
    assert result.mean == pytest.approx(np.mean(each))
    assert result.t == pytest.approx(newey_west_t(each, 3).t)
    assert result.cutoffs == 79
    assert result.p < 0.01


def test_rank_ic_of_nothing_is_nan() -> None:
    result = rank_ic(np.full((5, 8), np.nan), np.zeros((5, 8)), overlap=1)
    assert math.isnan(result.mean)
    assert result.cutoffs == 0


def test_a_perfect_order_has_a_rank_ic_of_one_whatever_the_sizes() -> None:
    realised = np.random.default_rng(1).normal(size=(20, 8))
    assert rank_ic(np.exp(realised), realised, overlap=1).mean == pytest.approx(1.0)
