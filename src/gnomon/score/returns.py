"""What the calls would have earned: Sharpe with costs, and how much of it is the luck of many tries.

Money comes last on a board, with its costs stated. A step of k bars issued at every bar makes k overlapping positions:
the capital is split into k sleeves, each opened at one cutoff and turned over k bars later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.score.distributions import normal_cdf, normal_quantile
from gnomon.score.metrics import move
from gnomon.score.significance import Z_95
from gnomon.units import DAY_NS, HOUR_NS, FloatArray

COST_ONE_WAY: Final[Mapping[str, float]] = {"crypto": 10e-4, "equity": 5e-4, "fx_commodity": 2e-4}
"""Cost per unit traded, one way, by asset class: 10, 5 and 2 basis points."""

HOURS_AND_DAYS_A_YEAR: Final[Mapping[str, tuple[float, float]]] = {
    "always": (8760.0, 365.0),
    "nyse": (1638.0, 252.0),
    "fx": (6240.0, 260.0),
    "cme": (6240.0, 260.0),  # the class fx_commodity trades the same five days
}
EULER_GAMMA: Final = 0.5772156649015329


@dataclass(frozen=True, slots=True)
class Performance:
    """Annualised Sharpe ratios of a rule, with what is needed to judge them; NaN where nothing varies.

    `turnover` is the mean number of units traded at a cutoff; `n` the cutoffs, `holdings` how many of them do not
    overlap. `per_holding` is the net Sharpe of one holding, `skew` and `kurtosis` (3 for a normal) those of the net
    returns: the arguments of `probabilistic_sharpe` and `deflated_sharpe`.
    """

    n: int
    holdings: float
    gross_sharpe: float
    net_sharpe: float
    net_sharpe_lo: float
    net_sharpe_hi: float
    mean_net_return: float
    turnover: float
    per_holding: float
    skew: float
    kurtosis: float


def bars_in_year(calendar: str, timeframe: Timeframe) -> float:
    """Bars in a year by the calendar; `Invalid` for a calendar without a stated year."""
    if calendar not in HOURS_AND_DAYS_A_YEAR:
        known = ", ".join(HOURS_AND_DAYS_A_YEAR)
        raise Invalid(f"no length of a year for the calendar {calendar!r}", hint=f"one of {known}, or give the bars")
    hours, days = HOURS_AND_DAYS_A_YEAR[calendar]
    if timeframe.is_intraday:
        return hours * HOUR_NS / timeframe.nominal_ns
    per_calendar_day = days / 365.0 if timeframe.nominal_ns > DAY_NS else 1.0
    return days / (timeframe.nominal_ns / DAY_NS * per_calendar_day)


def positions_of_median(median: npt.ArrayLike, base: npt.ArrayLike) -> FloatArray:
    """The sign of the call: 1, -1, or 0 where the median makes none."""
    return move(median, base)


def positions_of_p_up(p_up: npt.ArrayLike, margin: float = 0.0) -> FloatArray:
    """1 where p > .5 + margin, -1 where p < .5 - margin, else 0."""
    p = np.asarray(p_up, np.float64)
    return (p > 0.5 + margin).astype(np.float64) - (p < 0.5 - margin)


def sharpe_with_costs(
    position: npt.ArrayLike,
    log_return: npt.ArrayLike,
    *,
    cost_one_way: npt.ArrayLike,
    step_bars: int,
    bars_a_year: float,
    stride_bars: int = 1,
) -> Performance:
    """Sharpe of holding `position` from each cutoff to its step, costs paid per unit traded.

    position and log_return are (cutoffs,) or (cutoffs, instruments), in order, `stride_bars` apart; NaN returns are
    left out, instruments weigh alike. A sleeve that is opened again when it ends trades only the difference of
    positions; its last position is closed at a cost. The Sharpe of one holding is annualised by the holdings of a
    sleeve in a year; its interval uses the number of holdings that do not overlap (Mertens 2002: skew and kurtosis of
    the returns).
    """
    held, came = _two_dimensional(position), _two_dimensional(log_return)
    held = np.where(np.isnan(came) | np.isnan(held), 0.0, held)
    sleeves = -(-step_bars // stride_bars)
    traded = _traded(held, sleeves, rolls=sleeves * stride_bars == step_bars)
    gross = _across(held * came, came)
    net = _across(held * came - np.asarray(cost_one_way, np.float64) * traded, came)
    there = ~np.isnan(gross)
    return _performance(
        gross[there],
        net[there],
        float(_across(traded, came)[there].mean()) if there.any() else math.nan,
        holdings=there.sum() / sleeves,
        holdings_a_year=bars_a_year / (sleeves * stride_bars),
    )


def probabilistic_sharpe(
    sharpe: float, n: float, *, skew: float = 0.0, kurtosis: float = 3.0, benchmark: float = 0.0
) -> float:
    """PSR: the probability that the true Sharpe (per period, as `sharpe`) exceeds `benchmark`, from n periods.

    Φ((S - S*) sqrt(n - 1) / sqrt(1 - γ3 S + (γ4 - 1) S² / 4)) (Bailey, López de Prado 2012). NaN where n < 2.
    """
    if n < 2.0 or math.isnan(sharpe):
        return math.nan
    return normal_cdf((sharpe - benchmark) / _sharpe_error(sharpe, n, skew, kurtosis))


def expected_maximum_sharpe(trial_sd: float, trials: int) -> float:
    """The Sharpe of the best of `trials` worthless rules whose Sharpes spread by `trial_sd`; 0 for one rule."""
    if trials < 2:
        return 0.0
    best = normal_quantile(1.0 - 1.0 / trials)
    next_best = normal_quantile(1.0 - 1.0 / (trials * math.e))
    return trial_sd * ((1.0 - EULER_GAMMA) * best + EULER_GAMMA * next_best)


def deflated_sharpe(
    sharpe: float, n: float, *, trial_sd: float, trials: int, skew: float = 0.0, kurtosis: float = 3.0
) -> float:
    """The probability that a Sharpe is not just the best of `trials` tries (Bailey, López de Prado 2014).

    PSR against `expected_maximum_sharpe`; `trials` counts all versions and rules ever scored on the board.
    """
    benchmark = expected_maximum_sharpe(trial_sd, trials)
    return probabilistic_sharpe(sharpe, n, skew=skew, kurtosis=kurtosis, benchmark=benchmark)


def _two_dimensional(values: npt.ArrayLike) -> FloatArray:
    array = np.asarray(values, np.float64)
    return array[:, None] if array.ndim == 1 else array


def _traded(held: FloatArray, sleeves: int, *, rolls: bool) -> FloatArray:
    """Units traded (cutoffs, instruments) to open at each cutoff, and to close whatever is not rolled."""
    if not rolls:
        return 2.0 * np.abs(held)
    before = np.zeros_like(held)
    before[sleeves:] = held[:-sleeves]
    traded = np.abs(held - before)
    traded[-sleeves:] += np.abs(held[-sleeves:])
    return traded


def _across(values: FloatArray, came: FloatArray) -> FloatArray:
    """Mean over the instruments that have an outcome; NaN for a cutoff without any."""
    present = ~np.isnan(came)
    count = present.sum(axis=1)
    total = np.where(present, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _performance(
    gross: FloatArray, net: FloatArray, turnover: float, *, holdings: float, holdings_a_year: float
) -> Performance:
    yearly = math.sqrt(holdings_a_year)
    per_holding, skew, kurtosis = moments(net)
    half = Z_95 * _sharpe_error(per_holding, holdings, skew, kurtosis) if holdings >= 2.0 else math.nan
    return Performance(
        n=len(net),
        holdings=float(holdings),
        gross_sharpe=moments(gross)[0] * yearly,
        net_sharpe=per_holding * yearly,
        net_sharpe_lo=(per_holding - half) * yearly,
        net_sharpe_hi=(per_holding + half) * yearly,
        mean_net_return=float(net.mean()) if len(net) else math.nan,
        turnover=turnover,
        per_holding=per_holding,
        skew=skew,
        kurtosis=kurtosis,
    )


def moments(returns: FloatArray) -> tuple[float, float, float]:
    """Sharpe (sample deviation, n - 1), skew and kurtosis; NaN, 0, 3 where nothing varies."""
    if len(returns) < 2:
        return math.nan, 0.0, 3.0
    n, mean = len(returns), float(returns.mean())
    centred = returns - mean
    largest = float(np.abs(centred).max())
    if largest <= 1e-15 * abs(mean) or largest == 0.0:
        return math.nan, 0.0, 3.0
    shape = centred / largest  # powers of tiny returns would vanish
    variance = float((shape**2).mean())
    sharpe = mean / largest / math.sqrt(variance * n / (n - 1))
    return sharpe, float((shape**3).mean()) / variance**1.5, float((shape**4).mean()) / variance**2


def _sharpe_error(sharpe: float, n: float, skew: float, kurtosis: float) -> float:
    """The standard error of a Sharpe ratio per period."""
    shape = 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe * sharpe
    return math.sqrt(max(shape, 1e-12) / (n - 1.0))
