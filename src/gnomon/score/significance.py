"""How much of a figure is luck: intervals and tests, plain functions over arrays.

| question                                         | function                    |
|--------------------------------------------------|-----------------------------|
| how sure is a share                              | `wilson`                    |
| does a band miss as often as it says             | `kupiec`                    |
| do misses come in runs                           | `christoffersen`            |
| is a mean of overlapping values different from 0 | `newey_west_t`              |
| is one forecaster's loss lower than another's    | `diebold_mariano`           |
| which of many findings survive                   | `benjamini_hochberg`        |
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from gnomon.errors import Invalid
from gnomon.score.distributions import chi_squared_tail, student_two_sided
from gnomon.units import FloatArray

Z_95: Final = 1.959963984540054


class Likelihood(NamedTuple):
    """A likelihood-ratio statistic and its p value, chi-squared with one degree of freedom; NaN where undefined."""

    statistic: FloatArray
    p: FloatArray


class TTest(NamedTuple):
    """A t statistic and its two-sided p value; NaN where undefined."""

    t: float
    p: float


def wilson(share: npt.ArrayLike, n: npt.ArrayLike, *, z: float = Z_95) -> tuple[FloatArray, FloatArray]:
    """Wilson's interval of a share in [0, 1] seen over `n` independent cases (`n` may be fractional); NaN for none.

    (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n), element by element.
    """
    p, count = np.asarray(share, np.float64), np.asarray(n, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = p + z * z / (2.0 * count)
        half = z * np.sqrt(p * (1.0 - p) / count + z * z / (4.0 * count * count))
        scale = 1.0 + z * z / count
        low, high = (centre - half) / scale, (centre + half) / scale
    return np.where(count > 0, np.minimum(np.clip(low, 0.0, 1.0), p), np.nan), np.where(
        count > 0, np.maximum(np.clip(high, 0.0, 1.0), p), np.nan
    )


def kupiec(misses: npt.ArrayLike, n: npt.ArrayLike, rate: npt.ArrayLike) -> Likelihood:
    """Kupiec's test that misses come at the stated rate: -2 ln[(1-p)^(n-x) p^x / ((1-x/n)^(n-x) (x/n)^x)].

    Element by element over counts of misses `x` of `n` independent cases. `Invalid` for a rate outside (0, 1).
    """
    x, count, p = (np.asarray(value, np.float64) for value in (misses, n, rate))
    if not ((p > 0.0) & (p < 1.0)).all():
        raise Invalid(f"a rate of misses must lie between 0 and 1, received {p.tolist()}", hint="0.2 for an 80 % band")
    seen = x / np.where(count > 0, count, np.nan)
    free = _x_log_y(count - x, 1.0 - seen) + _x_log_y(x, seen)
    bound = _x_log_y(count - x, 1.0 - p) + _x_log_y(x, p)
    return _likelihood(np.where(count > 0, 2.0 * (free - bound), np.nan))


def christoffersen(misses: npt.ArrayLike) -> Likelihood:
    """Christoffersen's test that a miss is as likely after a miss as after a hit, over sequences (..., T) in order.

    The likelihood ratio of a first-order Markov chain against independence (Christoffersen 1998).
    """
    sequence = np.asarray(misses, np.bool_)
    before, after = sequence[..., :-1], sequence[..., 1:]
    n00, n01, n10, n11 = (
        (first & second).sum(axis=-1).astype(np.float64)
        for first, second in ((~before, ~after), (~before, after), (before, ~after), (before, after))
    )
    alike = _two_way(n00 + n10, n01 + n11)
    return _likelihood(2.0 * (_two_way(n00, n01) + _two_way(n10, n11) - alike))


def newey_west_t(values: npt.ArrayLike, lag: int) -> TTest:
    """t of the mean of a series (n,) whose neighbours up to `lag` apart are dependent (Newey, West 1987).

    Bartlett weights 1 - k / (lag + 1); p from Student's t with n - 1 degrees. NaN values are left out.
    """
    series = np.asarray(values, np.float64)
    series = series[~np.isnan(series)]
    n = len(series)
    if n < 2:
        return TTest(math.nan, math.nan)
    return _t_of(float(series.mean()), _bartlett(series, min(lag, n - 1)) / n, n)


def diebold_mariano(loss_difference: npt.ArrayLike, step_cutoffs: int) -> TTest:
    """Diebold-Mariano test that a mean loss difference is zero, from the differences (n,) of successive cutoffs.

    `step_cutoffs` is the forecast step h in cutoffs. Variance (γ_0 + 2 Σ_{k<h} γ_k) / n; where that sum is not
    positive, as it may be in small samples, Bartlett weights take its place. t is corrected by sqrt((n + 1 - 2h +
    h(h-1)/n) / n) (Harvey, Leybourne, Newbold 1997) and read from Student's t with n - 1 degrees. NaN where n <= h:
    nothing can be said.
    """
    series = np.asarray(loss_difference, np.float64)
    n, h = len(series), max(1, step_cutoffs)
    if n < 2 or n <= h:
        return TTest(math.nan, math.nan)
    gamma = _autocovariances(series, h - 1)
    long_run = float(gamma[0] + 2.0 * gamma[1:].sum())
    if long_run <= 0.0:
        long_run = _bartlett(series, h - 1)
    correction = math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    return _t_of(float(series.mean()), long_run / n, n, correction)


def benjamini_hochberg(p: npt.ArrayLike, *, rate: float = 0.1) -> npt.NDArray[np.bool_]:
    """Which of the p values (n,) survive when a share `rate` of the survivors may be false; a NaN never does.

    All up to the largest p_(k) <= k rate / m, m being the number of p values that are there (Benjamini, Hochberg 1995).
    """
    values = np.asarray(p, np.float64)
    ordered = np.sort(values[~np.isnan(values)])
    passing = np.flatnonzero(ordered <= np.arange(1, len(ordered) + 1) * rate / max(1, len(ordered)))
    bar = ordered[passing[-1]] if len(passing) else -1.0
    return values <= bar


def _autocovariances(series: FloatArray, lags: int) -> FloatArray:
    """γ_0 … γ_lags, each divided by n."""
    centred, n = series - series.mean(), len(series)
    return np.array([(centred[k:] * centred[: n - k]).sum() / n for k in range(lags + 1)])


def _bartlett(series: FloatArray, lag: int) -> float:
    gamma = _autocovariances(series, lag)
    weight = 1.0 - np.arange(lag + 1) / (lag + 1.0)
    return float(gamma[0] + 2.0 * (weight * gamma)[1:].sum())


def _t_of(mean: float, variance: float, n: int, correction: float = 1.0) -> TTest:
    """t and p; a series that never varies is no evidence where it is zero and all there can be where it is not."""
    if variance <= (1e-15 * mean) ** 2:
        return TTest(0.0, 1.0) if mean == 0.0 else TTest(math.copysign(math.inf, mean), 0.0)
    t = mean / math.sqrt(variance) * correction
    return TTest(t, student_two_sided(t, n - 1))


def _x_log_y(x: FloatArray, y: FloatArray) -> FloatArray:
    """x ln y with 0 ln 0 = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(x == 0.0, 0.0, x * np.log(y))


def _two_way(hits: FloatArray, misses: FloatArray) -> FloatArray:
    """Log-likelihood of a two-way count at its own rate."""
    total = hits + misses
    with np.errstate(invalid="ignore", divide="ignore"):
        return _x_log_y(hits, hits / total) + _x_log_y(misses, misses / total)


def _likelihood(ratio: FloatArray) -> Likelihood:
    statistic = np.maximum(ratio, 0.0)  # rounding may leave -1e-16; NaN stays
    return Likelihood(statistic, chi_squared_tail(statistic))
