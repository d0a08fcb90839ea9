"""The luck of the best of many runs: every try disclosed, and each Sharpe beside what worthless tries would reach.

A sweep shows its best run. Among n worthless strategies the best one has a Sharpe well above 0, so that is the mark to
beat (Bailey, López de Prado 2014, "The deflated Sharpe ratio").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gnomon.errors import Invalid
from gnomon.score.growth import Growth
from gnomon.score.returns import deflated_sharpe, expected_maximum_sharpe, probabilistic_sharpe


@dataclass(frozen=True, slots=True)
class Deflated:
    """A Sharpe among its trials, annualised as its run states; None where the run has no Sharpe.

    `probabilistic` is the probability that the true Sharpe is above 0, `deflated` that it is above `expected_best`,
    the best Sharpe to be expected of `trials` worthless strategies whose Sharpes spread as these do.
    """

    sharpe: float | None
    probabilistic: float | None
    deflated: float | None
    expected_best: float
    trials: int


def deflated(runs: Sequence[Growth], *, trials: int | None = None) -> tuple[Deflated, ...]:
    """Each run of a sweep beside the luck of its number.

    `trials` counts all that were ever tried, more than `runs` where earlier ones are not at hand; those without a
    Sharpe count too. The spread is the sample deviation of the Sharpes per period. `Invalid` for fewer trials than
    runs, and for runs on different periods.
    """
    tried = len(runs) if trials is None else trials
    if tried < len(runs):
        raise Invalid(f"{tried} trials for {len(runs)} runs", hint="disclose all that were tried")
    grids = sorted({(one.period, one.a_year) for one in runs})
    if len(grids) > 1:
        raise Invalid(f"runs on periods of {grids[0][0]} and {grids[1][0]}", hint="compare them on one grid")
    sharpes = [one.per_period for one in runs if one.per_period is not None]
    spread = float(np.std(sharpes, ddof=1)) if len(sharpes) > 1 else 0.0
    best = expected_maximum_sharpe(spread, tried)
    return tuple(_beside(one, best, spread, tried) for one in runs)


def _beside(run: Growth, best: float, spread: float, trials: int) -> Deflated:
    yearly = math.sqrt(run.a_year)
    if run.per_period is None or run.n < 2:
        return Deflated(None, None, None, best * yearly, trials)
    return Deflated(
        run.sharpe,
        probabilistic_sharpe(run.per_period, run.n, skew=run.skew, kurtosis=run.kurtosis),
        deflated_sharpe(run.per_period, run.n, trial_sd=spread, trials=trials, skew=run.skew, kurtosis=run.kurtosis),
        best * yearly,
        trials,
    )
