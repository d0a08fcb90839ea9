"""A sweep's Sharpes beside the luck of their number."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.score.growth import Growth, growth
from gnomon.score.run_record import Periods
from gnomon.score.trials import deflated
from gnomon.units import DAY_NS


def tried(seed: int, drift: float = 0.0, days: int = 500, frame: str = "1d") -> Growth:
    at_ns = DAY_NS * np.arange(days + 1)
    came = np.random.default_rng(seed).normal(drift, 0.01, days)
    equity = 100.0 * np.concatenate([[1.0], np.cumprod(1.0 + came)])
    return growth(at_ns, equity, Periods.regular(0, int(at_ns[-1]), "always", Timeframe.parse(frame)))


def test_worthless_tries_are_seen_through() -> None:
    runs = [tried(seed) for seed in range(60)]
    found = deflated(runs)
    best = max(found, key=lambda one: one.sharpe or 0.0)
    assert best.probabilistic is not None
    assert best.deflated is not None
    assert best.probabilistic > 0.95, "alone it would look good"
    assert best.deflated < 0.8, "among sixty it does not"
    assert best.trials == 60


def test_one_that_is_good_stays_good_among_many() -> None:
    found = deflated([*(tried(seed) for seed in range(20)), tried(99, drift=0.003)])
    assert found[-1].deflated is not None
    assert found[-1].deflated > 0.95


def test_the_bar_is_the_expected_best_of_that_many() -> None:
    runs = [tried(seed) for seed in range(5)]
    spread = np.std([one.per_period for one in runs], ddof=1)
    # Φ⁻¹(1 - 1/5) = 0.8416212, Φ⁻¹(1 - 1/5e) = 1.4502015, from tables
    expected = spread * (0.4227843351 * 0.8416212336 + 0.5772156649 * 1.4502015)
    assert deflated(runs)[0].expected_best == pytest.approx(expected * math.sqrt(365), rel=1e-3)


def test_tries_that_are_not_at_hand_count() -> None:
    runs = [tried(seed) for seed in range(5)]
    few, many = deflated(runs), deflated(runs, trials=1000)
    assert all(a.deflated > b.deflated for a, b in zip(few, many, strict=True) if a.deflated and b.deflated)
    assert [one.probabilistic for one in few] == [one.probabilistic for one in many]
    with pytest.raises(Invalid, match="3 trials for 5 runs"):
        deflated(runs, trials=3)


def test_one_run_alone_is_only_probable() -> None:
    [alone] = deflated([tried(1)])
    assert alone.deflated == alone.probabilistic
    assert alone.expected_best == 0.0
    assert deflated([]) == ()


def test_a_run_without_a_sharpe_counts_as_a_try() -> None:
    at_ns = DAY_NS * np.arange(501)
    idle = growth(at_ns, np.full(501, 100.0), Periods.regular(0, int(at_ns[-1]), "always", Timeframe.parse("1d")))
    found = deflated([tried(1), tried(2), idle])
    assert (found[2].sharpe, found[2].deflated, found[2].trials) == (None, None, 3)


def test_runs_on_different_periods_do_not_mix() -> None:
    with pytest.raises(Invalid, match="1d and 1h"):
        deflated([tried(1), tried(1, frame="1h")])
