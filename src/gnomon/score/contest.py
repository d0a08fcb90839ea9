"""Two runs side by side: the difference of their returns with an interval, and a verdict in words.

Runs over the same window share their luck, so their periods are redrawn together, in blocks (a paired bootstrap): what
both had from the market cancels. Where seeds or settings differ the pairing is not honest; then each is redrawn by
itself, and the comparison says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from gnomon.score.bootstrap import block_sums, interval_95
from gnomon.score.growth import returns_of
from gnomon.score.run_record import RunRecord
from gnomon.score.skill import REPLICATES
from gnomon.score.verdict import MIN_BLOCKS, Verdict
from gnomon.units import FloatArray

OTHER_WINDOWS: Final = "other windows: by their figures only"


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of both runs, left minus right, with its 95 % interval; None where there is no figure."""

    name: str
    left: float | None
    right: float | None
    difference: float | None
    lo: float | None
    hi: float | None


@dataclass(frozen=True, slots=True)
class Contest:
    """Left against right over `n` common periods in `blocks` blocks of `block_periods`.

    `returns` is the arithmetic mean return a year, `sharpe` the annualised Sharpe ratio; the verdict is about returns.
    """

    left: str
    right: str
    paired: bool
    n: int
    block_periods: int
    blocks: float
    returns: Difference
    sharpe: Difference
    verdict: Verdict


def contest(
    left: RunRecord,
    right: RunRecord,
    *,
    paired: bool = True,
    block_periods: int | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Contest:
    """Left against right. Blocks are as long as the cube root of n, rounded up, unless given.

    Runs over other periods get no interval. The same two runs the other way round give the same figures with the sign
    turned.
    """
    a, b = (returns_of(one.marks.at_ns, one.marks.equity, one.periods) for one in (left, right))
    n, year = max(len(a), len(b)), left.periods.a_year
    a, b = (np.pad(one, (0, n - len(one))) for one in (a, b))  # after ruin nothing is earned
    block = block_periods or math.ceil(round(n ** (1 / 3), 9)) or 1
    if not _same_periods(left, right):
        return _without_figures(left, right, paired, 0, block, Verdict("no_figure", OTHER_WINDOWS))
    if n < 2 * block:
        return _without_figures(left, right, paired, n, block, Verdict("too_early", f"too early to say (n = {n})"))
    keys = ("contest", "contest") if paired else (f"contest {left.run}", f"contest {right.run}")
    (mean_a, sharpe_a), (mean_b, sharpe_b) = (
        _redrawn(one, block, replicates, seed, key, year) for one, key in zip((a, b), keys, strict=True)
    )
    returns = _difference("return a year", _mean(a) * year, _mean(b) * year, mean_a - mean_b)
    sharpe = _difference("Sharpe", _sharpe(a, year), _sharpe(b, year), sharpe_a - sharpe_b)
    words = _in_words(left.run, right.run, returns, n, n / block)
    return Contest(left.run, right.run, paired, n, block, n / block, returns, sharpe, words)


def _without_figures(left: RunRecord, right: RunRecord, paired: bool, n: int, block: int, verdict: Verdict) -> Contest:
    returns, sharpe = (Difference(name, None, None, None, None, None) for name in ("return a year", "Sharpe"))
    return Contest(left.run, right.run, paired, n, block, n / block, returns, sharpe, verdict)


def _same_periods(left: RunRecord, right: RunRecord) -> bool:
    """Whether both curves run over the same periods of the same grid."""
    grids = []
    for one in (left, right):
        ends, at_ns = one.periods.ends_ns, one.marks.at_ns
        grids.append(ends[(ends > at_ns[0]) & (ends <= at_ns[-1])])
    return left.periods.a_year == right.periods.a_year and np.array_equal(*grids)


def _redrawn(
    returns: FloatArray, block: int, replicates: int, seed: int, key: str, a_year: float
) -> tuple[FloatArray, FloatArray]:
    """Mean return and Sharpe a year (replicates,) of returns whose periods are redrawn; NaN where nothing varies."""
    n, centre = len(returns), _mean(returns)
    centred = returns - centre  # the sum of squares would lose digits otherwise
    sums = block_sums(np.column_stack([centred, centred**2]), block, replicates, seed=seed, identity=key)
    variance = np.maximum(sums[:, 1] - sums[:, 0] ** 2 / n, 0.0) / (n - 1)
    mean = centre + sums[:, 0] / n
    deviation = np.sqrt(np.where(variance > 0.0, variance, np.nan))
    return mean * a_year, mean / deviation * math.sqrt(a_year)


def _difference(name: str, left: float | None, right: float | None, drawn: FloatArray) -> Difference:
    there = drawn[~np.isnan(drawn)]
    lo, hi = interval_95(there) if len(there) > len(drawn) / 2 else (None, None)
    gap = None if left is None or right is None else left - right
    return Difference(name, left, right, gap, lo if gap is not None else None, hi if gap is not None else None)


def _mean(returns: FloatArray) -> float:
    return float(returns.mean())


def _sharpe(returns: FloatArray, a_year: float) -> float | None:
    deviation = float(returns.std(ddof=1))
    return _mean(returns) / deviation * math.sqrt(a_year) if deviation > 0.0 else None


def _in_words(left: str, right: str, gap: Difference, n: int, blocks: float) -> Verdict:
    assert gap.difference is not None
    if blocks < MIN_BLOCKS or gap.lo is None or gap.hi is None:
        return Verdict("too_early", f"too early to say (n = {n})")
    if gap.lo > 0.0:
        return Verdict("beats", f"{left} beats {right} by {_points(gap.difference, gap.lo, gap.hi)}")
    if gap.hi < 0.0:
        return Verdict("beaten", f"{right} beats {left} by {_points(-gap.difference, -gap.hi, -gap.lo)}")
    return Verdict("tie", f"{left} and {right} cannot be told apart (n = {n})")


def _points(value: float, low: float, high: float) -> str:
    return f"{100 * value:.3g} points a year ({100 * low:.3g} … {100 * high:.3g})"
