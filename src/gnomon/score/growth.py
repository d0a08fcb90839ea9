"""What an equity curve says: return, volatility, the ratios of the two, and how deep and how long it was under water.

Returns are simple and taken over the periods of a calendar; the risk-free rate is 0. A ratio is annualised by the root
of the periods in a year, which every figure carries with it. Where a figure does not exist it is None.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gnomon.score.returns import moments
from gnomon.score.run_record import Periods
from gnomon.units import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall from a peak, as a share of the peak, over all marks of the curve.

    `length_ns` and `length_marks` run from the peak to the recovery, or to the end of the curve where there is none
    (`recovered_ns` is None). `longest_ns` is the longest time under water, which may belong to another fall.
    """

    depth: float
    peak_ns: int
    trough_ns: int
    recovered_ns: int | None
    length_ns: int
    length_marks: int
    longest_ns: int


@dataclass(frozen=True, slots=True)
class Growth:
    """The figures of one equity curve; `n` periods of the name `period`, of which `a_year` make a year.

    `total_return` is over the whole curve. `annual_return` is geometric, over whole periods. `volatility` and `sharpe`
    use the sample deviation (n - 1); `sortino` divides by the root mean square of the losses over all n periods
    (Sortino, van der Meer 1991); `calmar` is the annual return over the deepest drawdown. `per_period` is the Sharpe
    before annualisation, `skew` and `kurtosis` (3 for a normal) those of the returns: what `deflated_sharpe` asks for.
    """

    start: float
    end: float
    total_return: float
    annual_return: float | None
    volatility: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    best: float | None
    worst: float | None
    drawdown: Drawdown
    n: int
    period: str
    a_year: float
    per_period: float | None
    skew: float
    kurtosis: float


def growth(at_ns: IntArray, equity: FloatArray, periods: Periods) -> Growth:
    """The figures of a curve (T,) that begins above 0."""
    returns = returns_of(at_ns, equity, periods)
    deepest = drawdown(at_ns, equity)
    annual = annual_return(returns, periods.a_year)
    per_period, skew, kurtosis = moments(returns)
    yearly = math.sqrt(periods.a_year)
    losses = math.sqrt(float((np.minimum(returns, 0.0) ** 2).mean())) if len(returns) else 0.0
    return Growth(
        start=float(equity[0]),
        end=float(equity[-1]),
        total_return=float(equity[-1] / equity[0] - 1.0),
        annual_return=annual,
        volatility=float(returns.std(ddof=1)) * yearly if len(returns) > 1 else None,
        sharpe=_figure(per_period * yearly),
        sortino=float(returns.mean()) / losses * yearly if losses > 0.0 else None,
        calmar=annual / deepest.depth if annual is not None and deepest.depth > 0.0 else None,
        best=float(returns.max()) if len(returns) else None,
        worst=float(returns.min()) if len(returns) else None,
        drawdown=deepest,
        n=len(returns),
        period=periods.name,
        a_year=periods.a_year,
        per_period=_figure(per_period),
        skew=skew,
        kurtosis=kurtosis,
    )


def returns_of(at_ns: IntArray, equity: FloatArray, periods: Periods) -> FloatArray:
    """Simple returns (n,) over the periods that end within the curve; the first begins with the curve.

    The equity at an end is that of the last mark at or before it. What follows the last whole period is left out. A
    curve that falls to 0 or below ends there: nothing can be earned on nothing.
    """
    ends = periods.ends_ns[(periods.ends_ns > at_ns[0]) & (periods.ends_ns <= at_ns[-1])]
    values = equity[np.concatenate([[0], np.searchsorted(at_ns, ends, side="right") - 1])]
    ruined = np.flatnonzero(values <= 0.0)
    if len(ruined):
        values = values[: ruined[0] + 1]
    return np.asarray(values[1:] / values[:-1] - 1.0, np.float64)


def annual_return(returns: FloatArray, a_year: float) -> float | None:
    """(Π (1 + r))^(a_year / n) - 1; None without a period or beyond what a float holds."""
    if not len(returns):
        return None
    with np.errstate(all="ignore"):
        grown = np.exp(np.log1p(np.maximum(returns, -1.0)).sum() * (a_year / len(returns)))
    return _figure(float(grown) - 1.0)


def drawdowns(equity: FloatArray) -> FloatArray:
    """How far each mark (T,) of a curve lies below its peak so far, as a share of the peak."""
    return np.asarray(1.0 - equity / np.maximum.accumulate(equity), np.float64)


def drawdown(at_ns: IntArray, equity: FloatArray) -> Drawdown:
    """The deepest fall of a curve (T,) from its running peak; of equal depths the first."""
    peaks = np.maximum.accumulate(equity)
    depth = drawdowns(equity)
    trough = int(depth.argmax())
    peak = int(np.flatnonzero(equity[: trough + 1] == peaks[trough])[-1])
    back = np.flatnonzero(equity[trough:] >= peaks[trough])
    end = trough + int(back[0]) if len(back) else len(equity) - 1
    return Drawdown(
        depth=float(depth[trough]),
        peak_ns=int(at_ns[peak]),
        trough_ns=int(at_ns[trough]),
        recovered_ns=int(at_ns[end]) if len(back) else None,
        length_ns=int(at_ns[end] - at_ns[peak]),
        length_marks=end - peak,
        longest_ns=_longest_under_water(at_ns, equity >= peaks),
    )


def _longest_under_water(at_ns: IntArray, at_peak: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int:
    """The longest time between two marks at a peak with lower ones between, or up to the end of the curve."""
    tops = np.flatnonzero(at_peak)
    ends = np.append(tops[1:], len(at_ns) - 1)
    under = (ends - tops > 1) | ~at_peak[ends]
    return int(np.where(under, at_ns[ends] - at_ns[tops], 0).max())


def _figure(value: float) -> float | None:
    return value if math.isfinite(value) else None
