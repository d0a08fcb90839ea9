"""Money: sleeves walked one by one, Sharpe ratios beside their formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.score.returns import (
    COST_ONE_WAY,
    bars_in_year,
    deflated_sharpe,
    expected_maximum_sharpe,
    positions_of_median,
    positions_of_p_up,
    probabilistic_sharpe,
    sharpe_with_costs,
)


def walked_sleeves(
    position: list[int], log_return: list[float], cost: float, step_bars: int, stride_bars: int
) -> tuple[list[float], float]:
    """Net return and total units traded, one sleeve after another, as a trader would do it."""
    sleeves = math.ceil(step_bars / stride_bars)
    rolls = sleeves * stride_bars == step_bars
    net, traded = [0.0] * len(position), 0.0
    for sleeve in range(sleeves):
        held = 0
        mine = range(sleeve, len(position), sleeves)
        for c in mine:
            units = abs(position[c] - held)
            held = position[c]
            if not rolls or c == mine[-1]:  # flat when the step ends
                units += abs(held)
                held = 0
            net[c] = position[c] * log_return[c] - cost * units
            traded += units
    return net, traded


@given(
    st.lists(st.tuples(st.sampled_from([-1, 0, 1]), st.floats(-0.1, 0.1)), min_size=4, max_size=40),
    st.integers(1, 5),
    st.integers(1, 3),
)
def test_sharpe_with_costs_is_what_walking_the_sleeves_gives(
    trades: list[tuple[int, float]], step: int, stride: int
) -> None:
    position, came = [list(column) for column in zip(*trades, strict=True)]
    net, traded = walked_sleeves(position, came, 0.001, step, stride)
    result = sharpe_with_costs(
        position, came, cost_one_way=0.001, step_bars=step, stride_bars=stride, bars_a_year=8760.0
    )
    assert result.mean_net_return == pytest.approx(np.mean(net), abs=1e-15)
    assert result.turnover == pytest.approx(traded / len(position))
    if np.std(net) > 1e-6:
        sleeves = math.ceil(step / stride)
        yearly = math.sqrt(8760 / (sleeves * stride))
        assert result.net_sharpe == pytest.approx(np.mean(net) / np.std(net, ddof=1) * yearly, rel=1e-9, abs=1e-12)
        assert result.holdings == len(position) / sleeves
        assert result.skew == pytest.approx(stats.skew(net), abs=1e-6)
        assert result.kurtosis == pytest.approx(stats.kurtosis(net, fisher=False), rel=1e-6)


def test_instruments_weigh_alike_and_pay_their_own_cost() -> None:
    luck = np.random.default_rng(2)
    position, came = luck.choice([-1.0, 1.0], (60, 3)), luck.normal(0, 0.01, (60, 3))
    costs = [COST_ONE_WAY[name] for name in ("crypto", "equity", "fx_commodity")]
    each = [
        sharpe_with_costs(position[:, i], came[:, i], cost_one_way=costs[i], step_bars=2, bars_a_year=8760.0)
        for i in range(3)
    ]
    together = sharpe_with_costs(position, came, cost_one_way=costs, step_bars=2, bars_a_year=8760.0)
    assert together.mean_net_return == pytest.approx(np.mean([one.mean_net_return for one in each]))
    assert together.turnover == pytest.approx(np.mean([one.turnover for one in each]))
    assert together.gross_sharpe > together.net_sharpe
    assert together.net_sharpe_lo < together.net_sharpe < together.net_sharpe_hi


def test_a_void_outcome_is_neither_earned_nor_traded() -> None:
    came = np.array([0.01, math.nan, 0.02, -0.01])
    result = sharpe_with_costs(np.ones(4), came, cost_one_way=0.0, step_bars=1, bars_a_year=365.0)
    assert result.n == 3
    assert result.mean_net_return == pytest.approx(0.02 / 3)


def test_a_rule_that_never_acts_has_no_sharpe_and_no_turnover() -> None:
    result = sharpe_with_costs(np.zeros(30), np.full(30, 0.01), cost_one_way=0.001, step_bars=1, bars_a_year=365.0)
    assert math.isnan(result.net_sharpe)
    assert result.turnover == 0.0
    empty = sharpe_with_costs([], [], cost_one_way=0.001, step_bars=1, bars_a_year=365.0)
    assert empty.n == 0
    assert math.isnan(empty.turnover)


def test_positions_are_the_sign_of_the_call() -> None:
    assert positions_of_median([99.0, 100.0, 101.0], 100.0).tolist() == [-1, 0, 1]
    assert positions_of_p_up([0.4, 0.54, 0.56, 0.5], 0.05).tolist() == [-1, 0, 1, 0]


def test_a_year_has_the_stated_number_of_bars() -> None:
    bars = {
        (calendar, frame): bars_in_year(calendar, Timeframe.parse(frame))
        for calendar in ("always", "nyse", "fx")
        for frame in ("1h", "1d", "15m", "1w")
    }
    assert [bars[calendar, "1h"] for calendar in ("always", "nyse", "fx")] == [8760, 1638, 6240]
    assert [bars[calendar, "1d"] for calendar in ("always", "nyse", "fx")] == [365, 252, 260]
    assert bars["always", "15m"] == 4 * 8760
    assert bars["nyse", "1w"] == pytest.approx(365 / 7)
    with pytest.raises(Invalid, match="XSHG"):
        bars_in_year("XSHG", Timeframe.parse("1d"))


@given(
    st.floats(-1, 1),
    st.integers(2, 2_000),
    st.floats(-1, 1),
    st.floats(2.5, 9),
    st.floats(-0.5, 0.5),
)
def test_probabilistic_sharpe_is_its_formula(
    sharpe: float, n: int, skew: float, kurtosis: float, benchmark: float
) -> None:
    shape = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2
    expected = stats.norm.cdf((sharpe - benchmark) * math.sqrt(n - 1) / math.sqrt(max(shape, 1e-12)))
    found = probabilistic_sharpe(sharpe, n, skew=skew, kurtosis=kurtosis, benchmark=benchmark)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(st.integers(2, 100_000), st.floats(0.01, 2))
def test_expected_maximum_sharpe_is_its_formula(trials: int, trial_sd: float) -> None:
    g = 0.5772156649015329
    expected = (1 - g) * stats.norm.ppf(1 - 1 / trials) + g * stats.norm.ppf(1 - 1 / (trials * math.e))
    assert expected_maximum_sharpe(trial_sd, trials) == pytest.approx(trial_sd * expected, rel=1e-6, abs=1e-9)


def test_expected_maximum_sharpe_is_near_the_best_of_worthless_rules() -> None:
    best = np.random.default_rng(1).normal(0, 0.1, (4_000, 50)).max(axis=1).mean()
    assert expected_maximum_sharpe(0.1, 50) == pytest.approx(best, rel=0.02)


def test_deflated_sharpe_gives_the_numbers_of_its_paper() -> None:
    """Bailey, López de Prado (2014), section "A numerical example": 2.5 a year over five years of 250 days."""
    paper = {"skew": -3.0, "kurtosis": 10.0, "trial_sd": math.sqrt(0.5 / 250)}
    assert expected_maximum_sharpe(paper["trial_sd"], 100) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(2.5 / math.sqrt(250), 1250, trials=100, **paper) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(2.5 / math.sqrt(250), 1250, trials=46, **paper) == pytest.approx(0.9505, abs=5e-5)


def test_deflated_sharpe_falls_with_every_further_try() -> None:
    tried = [deflated_sharpe(0.15, 250, trial_sd=0.05, trials=n) for n in (1, 2, 10, 100)]
    assert tried == sorted(tried, reverse=True)
    assert tried[0] == probabilistic_sharpe(0.15, 250)
    assert math.isnan(probabilistic_sharpe(0.1, 1))
