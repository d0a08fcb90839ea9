"""The few distribution functions that the tests of significance need: normal, chi-squared (1), Student's t.

`math` has the error function and the logarithm of gamma; the regularised incomplete beta function comes from its
continued fraction (Abramowitz, Stegun 26.5.8), evaluated by the modified Lentz method. Checked against SciPy to nine
digits.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from gnomon.errors import Invalid
from gnomon.units import FloatArray

_SQRT_2 = math.sqrt(2.0)
_TINY = 1e-300
_ITERATIONS = 100_000


def normal_cdf(x: float) -> float:
    """P(Z <= x); accurate in the lower tail."""
    return 0.5 * math.erfc(-x / _SQRT_2)


def normal_quantile(p: float) -> float:
    """The x with P(Z <= x) = p in (0, 1), by bisection of the distribution function. `Invalid` outside."""
    if not 0.0 < p < 1.0:
        raise Invalid(f"a probability must lie between 0 and 1, received {p}", hint="0.975 gives 1.96")
    if p > 0.5:
        return -normal_quantile(1.0 - p)
    low, high = -40.0, 0.0
    while low < (middle := (low + high) / 2.0) < high:
        low, high = (middle, high) if normal_cdf(middle) < p else (low, middle)
    return high


def chi_squared_tail(x: npt.ArrayLike) -> FloatArray:
    """P(X > x) of the chi-squared distribution with one degree of freedom, element by element."""
    root = np.sqrt(np.maximum(np.asarray(x, np.float64), 0.0) / 2.0)
    return np.asarray(np.frompyfunc(math.erfc, 1, 1)(root), np.float64)


def student_two_sided(t: float, degrees: float) -> float:
    """P(abs(T) >= abs(t)) of Student's t, which is I_x(degrees/2, 1/2) at x = degrees/(degrees + t²); NaN for NaN."""
    if math.isnan(t):
        return math.nan
    square = t * t
    if math.isinf(square):
        return 0.0
    return _incomplete_beta(degrees / 2.0, 0.5, degrees / (degrees + square), square / (degrees + square))


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), a and b positive, x in [0, 1]; `Invalid` outside."""
    if not (a > 0.0 and b > 0.0 and 0.0 <= x <= 1.0):
        raise Invalid(f"I_x(a, b) of a={a}, b={b}, x={x}", hint="a and b are positive, x lies in [0, 1]")
    return _incomplete_beta(a, b, x, 1.0 - x)


def _incomplete_beta(a: float, b: float, x: float, complement: float) -> float:
    """I_x(a, b) with 1 - x given apart, so that neither end loses digits."""
    if x <= 0.0 or complement <= 0.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1.0) / (a + b + 2.0):  # the fraction converges fast only on this side of the mean
        return 1.0 - _incomplete_beta(b, a, complement, x)
    log_front = (
        a * math.log(x) + b * math.log(complement) - math.log(a) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    )
    return math.exp(log_front) / _fraction(a, b, x)


def _fraction(a: float, b: float, x: float) -> float:
    """1 + d_1 / (1 + d_2 / (1 + …)), forwards: the ratio of successive numerators times that of denominators."""
    value, upper, lower = 1.0, 1.0, 0.0
    for index in range(1, _ITERATIONS):
        term = _coefficient(a, b, x, index)
        upper = (1.0 + term / upper) or _TINY
        lower = 1.0 / ((1.0 + term * lower) or _TINY)
        value *= upper * lower
        if abs(upper * lower - 1.0) < 1e-15:
            return value
    raise AssertionError(f"the continued fraction of I_x({a}, {b}) at {x} did not settle")


def _coefficient(a: float, b: float, x: float, index: int) -> float:
    half = index // 2
    if index % 2:
        return -(a + half) * (a + b + half) * x / ((a + index - 1) * (a + index))
    return half * (b - half) * x / ((a + index - 1) * (a + index))
