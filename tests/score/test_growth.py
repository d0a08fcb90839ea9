"""Equity curves: each figure beside its formula written out, and beside quantstats and ffn where they mean the same."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.clock import Timeframe, parse_instant
from gnomon.score.growth import drawdown, growth, returns_of
from gnomon.score.run_record import Periods
from gnomon.units import DAY_NS, FloatArray, IntArray

START_NS = parse_instant("2024-01-01")
DAYS = 250


def curve(seed: int, days: int = DAYS, drift: float = 0.001) -> tuple[IntArray, FloatArray, Periods]:
    """A daily curve from 10,000, marked at the opening and at the end of every day."""
    luck = np.random.default_rng(seed).normal(drift, 0.02, days)
    at_ns = START_NS + DAY_NS * np.arange(days + 1)
    equity = 10_000.0 * np.concatenate([[1.0], np.cumprod(1.0 + luck)])
    return at_ns, equity, Periods.regular(START_NS, int(at_ns[-1]), "always", Timeframe.parse("1d"))


def walked_drawdown(equity: list[float]) -> tuple[float, int, int, int]:
    """Depth, peak, trough, and where it ends, one mark after another."""
    deepest = (0.0, 0, 0)
    peak = 0
    for index, value in enumerate(equity):
        if value >= equity[peak]:
            peak = index
        if 1 - value / equity[peak] > deepest[0]:
            deepest = (1 - value / equity[peak], peak, index)
    depth, top, bottom = deepest
    end = next((i for i in range(bottom, len(equity)) if equity[i] >= equity[top]), len(equity) - 1)
    return depth, top, bottom, end


def walked_longest(equity: list[float]) -> int:
    """The longest stretch from a mark at the peak to the next one, with lower marks between or up to the end."""
    peak, longest = 0, 0
    for index, value in enumerate(equity):
        if value >= equity[peak]:
            longest = max(longest, index - peak if index - peak > 1 else 0)
            peak = index
    return max(longest, len(equity) - 1 - peak)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=40))
def test_a_drawdown_is_what_walking_the_curve_gives(values: list[int]) -> None:
    equity = [float(value) for value in values]
    at_ns = 1_000 * np.arange(len(equity))
    found = drawdown(at_ns, np.array(equity))
    depth, top, bottom, end = walked_drawdown(equity)
    assert found.depth == pytest.approx(depth)
    assert found.longest_ns == 1_000 * walked_longest(equity)
    if depth > 0:
        assert (found.peak_ns, found.trough_ns) == (1_000 * top, 1_000 * bottom)
        assert (found.length_ns, found.length_marks) == (1_000 * (end - top), end - top)
        assert (found.recovered_ns is None) == (equity[end] < equity[top])


def test_figures_are_their_formulas() -> None:
    at_ns, equity, periods = curve(1)
    found = growth(at_ns, equity, periods)
    came = [later / sooner - 1 for sooner, later in itertools.pairwise(equity)]
    mean = sum(came) / DAYS
    deviation = math.sqrt(sum((one - mean) ** 2 for one in came) / (DAYS - 1))
    losses = math.sqrt(sum(min(one, 0) ** 2 for one in came) / DAYS)
    assert (found.n, found.period, found.a_year) == (DAYS, "1d", 365.0)
    assert found.total_return == pytest.approx(equity[-1] / 10_000 - 1)
    assert found.annual_return == pytest.approx((equity[-1] / 10_000) ** (365 / DAYS) - 1)
    assert found.volatility == pytest.approx(deviation * math.sqrt(365))
    assert found.sharpe == pytest.approx(mean / deviation * math.sqrt(365))
    assert found.per_period == pytest.approx(mean / deviation)
    assert found.sortino == pytest.approx(mean / losses * math.sqrt(365))
    assert found.annual_return is not None
    assert found.calmar == pytest.approx(found.annual_return / found.drawdown.depth)
    assert (found.best, found.worst) == (max(came), min(came))


def test_marks_between_the_ends_of_periods_deepen_the_drawdown_and_move_no_return() -> None:
    at_ns, equity, periods = curve(2, days=10)
    between = np.sort(np.concatenate([at_ns, at_ns[:-1] + DAY_NS // 2]))
    dipped = np.repeat(equity, 2)[:-1]
    dipped[1::2] *= 0.5
    np.testing.assert_array_equal(returns_of(between, dipped, periods), returns_of(at_ns, equity, periods))
    assert growth(between, dipped, periods).drawdown.depth >= 0.5


def test_the_rest_of_a_period_counts_in_the_total_alone() -> None:
    at_ns, equity, periods = curve(3, days=10)
    longer = np.append(at_ns, at_ns[-1] + DAY_NS // 2)
    doubled = np.append(equity, equity[-1] * 2)
    before, after = growth(at_ns, equity, periods), growth(longer, doubled, periods)
    assert after.total_return == pytest.approx(2 * (1 + before.total_return) - 1)
    assert (after.n, after.sharpe, after.annual_return) == (before.n, before.sharpe, before.annual_return)


def test_a_curve_that_never_moves_has_no_ratios() -> None:
    at_ns, equity, periods = curve(4, days=5)
    flat = growth(at_ns, np.full_like(equity, 100.0), periods)
    assert (flat.total_return, flat.annual_return, flat.volatility) == (0, 0, 0)
    assert (flat.sharpe, flat.sortino, flat.calmar, flat.per_period) == (None, None, None, None)
    assert (flat.drawdown.depth, flat.drawdown.length_ns, flat.drawdown.longest_ns) == (0, 0, 0)


def test_a_curve_shorter_than_a_period_has_a_total_and_nothing_else() -> None:
    at_ns = START_NS + np.array([0, 1_000])
    periods = Periods.regular(START_NS, START_NS + 1_000, "always", Timeframe.parse("1d"))
    short = growth(at_ns, np.array([100.0, 101.0]), periods)
    assert short.total_return == pytest.approx(0.01)
    assert (short.n, short.annual_return, short.volatility, short.sharpe) == (0, None, None, None)


def test_after_ruin_nothing_is_earned() -> None:
    at_ns = START_NS + DAY_NS * np.arange(5)
    periods = Periods.regular(START_NS, int(at_ns[-1]), "always", Timeframe.parse("1d"))
    lost = growth(at_ns, np.array([100.0, 50.0, -10.0, 20.0, 40.0]), periods)
    assert lost.n == 2
    assert lost.annual_return == -1
    assert lost.drawdown.depth == pytest.approx(1.1)


def test_an_annual_return_that_no_float_holds_is_no_figure() -> None:
    at_ns = START_NS + DAY_NS * np.arange(2)
    periods = Periods.regular(START_NS, int(at_ns[-1]), "always", Timeframe.parse("1d"))
    assert growth(at_ns, np.array([1.0, 1000.0]), periods).annual_return is None


# --- oracles ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def lenient() -> Iterator[None]:
    """The oracles warn of their own dependencies; ours stay errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def frame(at_ns: IntArray, equity: FloatArray):  # type: ignore[no-untyped-def]  # pandas is the oracles' own
    import pandas as pd

    return pd.Series(equity, index=pd.to_datetime(at_ns, unit="ns"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.usefixtures("lenient")
def test_quantstats_says_the_same(seed: int) -> None:
    import quantstats

    at_ns, equity, periods = curve(seed)
    ours = growth(at_ns, equity, periods)
    prices = frame(at_ns, equity)
    came = prices.pct_change().dropna()
    oracle = quantstats.stats
    # 365 instead of its default 252: crypto never closes
    assert ours.sharpe == pytest.approx(oracle.sharpe(came, periods=365))
    assert ours.sortino == pytest.approx(oracle.sortino(came, periods=365))
    assert ours.volatility == pytest.approx(oracle.volatility(came, periods=365))
    assert ours.total_return == pytest.approx(oracle.comp(came))
    assert (ours.best, ours.worst) == pytest.approx((came.max(), came.min()))
    # its sign is that of a loss, and it must be told where the curve began
    assert -ours.drawdown.depth == pytest.approx(oracle.max_drawdown(prices))
    # its years are periods / 365, as ours
    assert ours.annual_return == pytest.approx(oracle.cagr(came, periods=365))
    # its skew and kurtosis are the unbiased ones of pandas (and of the excess over 3), ours plain moments
    n = len(came)
    assert ours.skew * math.sqrt(n * (n - 1)) / (n - 2) == pytest.approx(oracle.skew(came))
    unbiased = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * (ours.kurtosis - 3) + 6)
    assert unbiased == pytest.approx(oracle.kurtosis(came))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.usefixtures("lenient")
def test_ffn_says_the_same(seed: int) -> None:
    import ffn

    at_ns, equity, periods = curve(seed)
    ours = growth(at_ns, equity, periods)
    prices = frame(at_ns, equity)
    came = ffn.to_returns(prices).dropna()
    assert ours.total_return == pytest.approx(ffn.calc_total_return(prices))
    assert -ours.drawdown.depth == pytest.approx(ffn.calc_max_drawdown(prices))
    assert ours.sharpe == pytest.approx(ffn.calc_sharpe(came, nperiods=365))
    # its years are calendar days / 365.25 between the first mark and the last
    years = DAYS / 365.25
    assert (1 + ours.total_return) ** (1 / years) - 1 == pytest.approx(ffn.calc_cagr(prices))
    # its Calmar is that CAGR over the drawdown
    assert ffn.calc_cagr(prices) / ours.drawdown.depth == pytest.approx(ffn.calc_calmar_ratio(prices))
    assert ours.sortino == pytest.approx(ffn.calc_sortino_ratio(came, nperiods=365))
    deepest = ffn.drawdown_details(ffn.to_drawdown_series(prices)).sort_values("drawdown").iloc[0]
    assert ours.drawdown.depth == pytest.approx(-deepest["drawdown"])
