"""Intervals and tests beside their formulas, SciPy, and what they promise on simulated data."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gnomon.errors import Invalid
from gnomon.score.significance import (
    benjamini_hochberg,
    christoffersen,
    diebold_mariano,
    kupiec,
    newey_west_t,
    wilson,
)
from gnomon.units import FloatArray

# --- Wilson ---------------------------------------------------------------------------------------------------------


@given(st.integers(1, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys_and_holds_the_share(case: tuple[int, int]) -> None:
    hits, n = case
    low, high = wilson(hits / n, n)
    theirs = stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert (low, high) == (pytest.approx(theirs.low, abs=1e-12), pytest.approx(theirs.high, abs=1e-12))
    assert 0.0 <= low <= hits / n <= high <= 1.0


def test_wilson_works_element_by_element_and_is_nan_for_no_cases() -> None:
    low, high = wilson([0.8, 0.5, math.nan], [[100], [0]])
    assert low.shape == (2, 3)
    assert np.isnan(low[1]).all()
    assert np.isnan(high[:, 2]).all()
    assert low[0, 0] < 0.8 < high[0, 0]


# --- Kupiec, Christoffersen -----------------------------------------------------------------------------------------


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.01, 0.99))
def test_kupiec_is_the_ratio_of_two_binomials(case: tuple[int, int], rate: float) -> None:
    x, n = case
    expected = -2 * (stats.binom.logpmf(x, n, rate) - stats.binom.logpmf(x, n, x / n))
    test = kupiec(x, n, rate)
    assert test.statistic == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert test.p == pytest.approx(stats.chi2.sf(max(expected, 0), 1), rel=1e-5, abs=1e-6)


def test_kupiec_tells_a_wrong_rate_from_a_right_one() -> None:
    right, wrong = kupiec([50, 90], 250, 0.2).p
    assert right > 0.5
    assert wrong < 1e-6
    assert math.isnan(kupiec(0, 0, 0.2).p)


def test_kupiec_refuses_a_rate_that_is_none() -> None:
    with pytest.raises(Invalid, match=r"received 0\.0"):
        kupiec(1, 10, 0.0)


def naive_christoffersen(sequence: list[bool]) -> float:
    def likelihood(pairs: list[tuple[bool, bool]]) -> float:
        share = sum(after for _, after in pairs) / len(pairs) if pairs else 0.0
        return sum(math.log(share if after else 1 - share) for _, after in pairs)

    pairs = list(itertools.pairwise(sequence))
    by_before = [[pair for pair in pairs if pair[0] == value] for value in (False, True)]
    return 2 * (sum(map(likelihood, by_before)) - likelihood(pairs))


@given(st.lists(st.booleans(), min_size=2, max_size=60))
def test_christoffersen_is_a_likelihood_ratio_of_two_chains(sequence: list[bool]) -> None:
    test = christoffersen(sequence)
    assert test.statistic == pytest.approx(naive_christoffersen(sequence), abs=1e-9)
    assert test.p == pytest.approx(stats.chi2.sf(test.statistic, 1), abs=1e-9)


def test_christoffersen_tells_runs_from_chance() -> None:
    luck = np.random.default_rng(8)
    chance = luck.random(2_000) < 0.2
    runs = np.repeat(luck.random(200) < 0.2, 10)
    assert christoffersen(chance).p > 0.05
    assert christoffersen(np.stack([runs, runs])).p.shape == (2,)
    assert christoffersen(runs).p < 1e-9


# --- Newey-West, Diebold-Mariano ------------------------------------------------------------------------------------


def naive_long_run(series: FloatArray, lags: int, *, bartlett: bool) -> float:
    n, d = len(series), series - series.mean()
    gamma = [sum(d[t] * d[t - k] for t in range(k, n)) / n for k in range(lags + 1)]
    return gamma[0] + 2 * sum((1 - k / (lags + 1) if bartlett else 1) * gamma[k] for k in range(1, lags + 1))


SERIES = st.lists(st.floats(-100, 100).filter(lambda x: x == 0 or abs(x) > 1e-3), min_size=5, max_size=40)


@given(SERIES, st.integers(0, 4))
def test_newey_west_is_its_formula(values: list[float], lag: int) -> None:
    series = np.array(values)
    variance = naive_long_run(series, lag, bartlett=True) / len(series)
    test = newey_west_t([*values, math.nan], lag)
    if variance > 1e-9:
        assert test.t == pytest.approx(series.mean() / math.sqrt(variance), rel=1e-6)


def test_newey_west_without_lags_is_the_t_test_but_for_one_degree() -> None:
    series = np.random.default_rng(1).normal(0.2, 1, 50)
    theirs = stats.ttest_1samp(series, 0).statistic
    assert newey_west_t(series, 0).t == pytest.approx(theirs * math.sqrt(50 / 49))
    assert math.isnan(newey_west_t([1.0], 3).t)


@given(SERIES, st.integers(1, 4))
def test_diebold_mariano_is_its_formula(values: list[float], h: int) -> None:
    d, n = np.array(values), len(values)
    variance = naive_long_run(d, h - 1, bartlett=False)
    if abs(variance) < 1e-6:
        return
    if variance <= 0:
        variance = naive_long_run(d, h - 1, bartlett=True)
    t = d.mean() / math.sqrt(variance / n) * math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    test = diebold_mariano(d, h)
    assert test.t == pytest.approx(t, rel=1e-6, abs=1e-9)
    assert test.p == pytest.approx(2 * stats.t.sf(abs(t), n - 1), rel=1e-5, abs=1e-9)


def test_diebold_mariano_at_one_step_is_the_t_test() -> None:
    d = np.random.default_rng(2).normal(0.3, 1, 40)
    theirs = stats.ttest_1samp(d, 0)
    test = diebold_mariano(d, 1)
    assert (test.t, test.p) == (pytest.approx(theirs.statistic), pytest.approx(theirs.pvalue))


def test_diebold_mariano_says_nothing_of_too_little() -> None:
    assert math.isnan(diebold_mariano([], 1).p)
    assert math.isnan(diebold_mariano([1.0], 1).p)
    assert math.isnan(diebold_mariano([1.0, 2.0, 3.0], 3).p)


def test_diebold_mariano_of_series_that_never_vary() -> None:
    assert diebold_mariano(np.zeros(10), 2) == (0.0, 1.0)
    assert diebold_mariano(np.full(10, -2.0), 2) == (-math.inf, 0.0)


def test_diebold_mariano_keeps_its_level_on_overlapping_steps() -> None:
    luck = np.random.default_rng(4)
    shocks = luck.normal(size=(600, 203))
    overlapping = sum(shocks[:, k : k + 200] for k in range(4))  # what a four-step forecast issued at each step sees
    p = np.array([diebold_mariano(series, 4).p for series in overlapping])
    assert 0.02 < (p < 0.05).mean() < 0.11


# --- Benjamini-Hochberg ---------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.01, 0.5))
def test_benjamini_hochberg_keeps_what_scipys_adjusted_p_keeps(p: list[float], rate: float) -> None:
    adjusted = stats.false_discovery_control(p, method="bh")
    clear = np.abs(adjusted - rate) > 1e-9
    assert (benjamini_hochberg(p, rate=rate) == (adjusted <= rate))[clear].all()


def test_a_missing_p_never_survives_and_does_not_count() -> None:
    assert benjamini_hochberg([0.04, math.nan, 0.9]).tolist() == [True, False, False]
    assert benjamini_hochberg([math.nan]).tolist() == [False]
    assert benjamini_hochberg([]).tolist() == []
