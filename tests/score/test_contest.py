"""Two runs: intervals that cover what they should, luck that cancels, words that fit."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from tests.score.by_hand import START_NS, played

from gnomon.clock import Timeframe
from gnomon.score.contest import OTHER_WINDOWS, contest
from gnomon.score.run_record import Marks, Periods, RunRecord
from gnomon.units import DAY_NS, FloatArray


def earning(returns: FloatArray, run: str, frame: str = "1d") -> RunRecord:
    """A run whose equity has these daily returns."""
    equity = 100.0 * np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    at_ns = START_NS + DAY_NS * np.arange(len(equity))
    table = np.ones((len(equity), 1))
    marks = Marks(at_ns, equity, equity, 0.0 * table, table)
    periods = Periods.regular(START_NS, int(at_ns[-1]), "always", Timeframe.parse(frame))
    return replace(played([1.0], run=run), marks=marks, periods=periods)


def market(seed: int, days: int = 300) -> FloatArray:
    return np.random.default_rng(seed).normal(0.001, 0.03, days)


def test_what_both_had_from_the_market_cancels_only_in_pairs() -> None:
    shared = market(1)
    better, worse = earning(shared + 0.001, "better"), earning(shared, "worse")
    paired = contest(better, worse)
    assert paired.returns.difference == pytest.approx(0.365)
    assert (paired.returns.lo, paired.returns.hi) == pytest.approx((0.365, 0.365))
    assert paired.verdict.kind == "beats"
    assert paired.verdict.words == "better beats worse by 36.5 points a year (36.5 … 36.5)"
    apart = contest(better, worse, paired=False)
    assert apart.returns.difference == pytest.approx(0.365)
    assert apart.returns.lo is not None
    assert apart.returns.lo < 0.0 < 0.365
    assert apart.verdict.kind == "tie"
    assert apart.verdict.words == "better and worse cannot be told apart (n = 300)"


@pytest.mark.parametrize("paired", [True, False])
def test_the_other_way_round_is_the_same_with_the_sign_turned(paired: bool) -> None:
    a, b = earning(market(1), "a"), earning(market(1) * 0.9 - 0.004, "b")
    there, back = contest(a, b, paired=paired), contest(b, a, paired=paired)
    for one, other in ((there.returns, back.returns), (there.sharpe, back.sharpe)):
        assert one.difference == pytest.approx(-(other.difference or 0.0))
        assert (one.lo, one.hi) == pytest.approx((-(other.hi or 0.0), -(other.lo or 0.0)))
    if paired:
        assert there.verdict.words == back.verdict.words
        assert (there.verdict.kind, back.verdict.kind) == ("beats", "beaten")


def test_figures_are_those_of_the_runs() -> None:
    a, b = market(1), market(2)
    found = contest(earning(a, "a"), earning(b, "b"))
    assert found.returns.left == pytest.approx(a.mean() * 365)
    assert found.sharpe.right == pytest.approx(b.mean() / b.std(ddof=1) * math.sqrt(365))
    assert found.sharpe.lo is not None
    assert found.sharpe.difference is not None
    assert found.sharpe.hi is not None
    assert found.sharpe.lo < found.sharpe.difference < found.sharpe.hi
    assert (found.n, found.block_periods, found.blocks) == (300, 7, 300 / 7)


def test_the_interval_of_the_difference_is_that_of_a_bootstrap_of_the_differences() -> None:
    a, b = market(1), 0.5 * market(1) + 0.5 * market(2)
    found = contest(earning(a, "a"), earning(b, "b"), block_periods=1, replicates=4000)
    gap = (a - b) * 365
    half = 1.96 * gap.std() / math.sqrt(300)
    assert found.returns.lo == pytest.approx(gap.mean() - half, abs=0.1 * half)
    assert found.returns.hi == pytest.approx(gap.mean() + half, abs=0.1 * half)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    covered = 0
    for seed in range(100):
        a, b = earning(market(seed, 400), "a"), earning(market(1000 + seed, 400), "b")
        found = contest(a, b, replicates=400, seed=seed).returns
        assert found.lo is not None
        assert found.hi is not None
        covered += found.lo < 0.0 < found.hi
    assert 86 <= covered <= 99


def test_few_periods_are_too_early_and_other_windows_have_no_interval() -> None:
    a, b = earning(market(1, 30), "a"), earning(market(2, 30), "b")
    assert contest(a, b).verdict.words == "too early to say (n = 30)"
    assert contest(a, b).returns.lo is not None
    one = contest(earning(market(1, 1), "a"), earning(market(2, 1), "b"))
    assert (one.verdict.kind, one.returns.lo) == ("too_early", None)
    longer = contest(a, earning(market(2, 40), "b"))
    assert (longer.verdict.words, longer.n, longer.returns.difference) == (OTHER_WINDOWS, 0, None)
    assert contest(a, earning(market(2, 30), "b", frame="1h")).verdict.words == OTHER_WINDOWS


def test_a_run_that_never_moves_has_no_sharpe_and_still_a_return() -> None:
    found = contest(earning(np.zeros(300), "idle"), earning(market(1) + 0.01, "busy"))
    assert (found.sharpe.left, found.sharpe.difference, found.sharpe.lo) == (None, None, None)
    assert found.verdict.kind == "beaten"


def test_a_ruined_run_goes_on_at_nothing() -> None:
    lost = market(1)
    lost[10] = -1.0
    found = contest(earning(lost, "lost"), earning(market(1), "kept"))
    assert found.n == 300
    assert found.returns.left == pytest.approx(lost[:11].sum() / 300 * 365)
