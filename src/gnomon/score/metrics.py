"""How far a forecast was from what came: plain functions over arrays, any leading shape, levels on the last axis.

Losses are in the units of the prices they are given; the board divides both by the base price first, so that the
dearest instrument does not drown the rest. The sums over levels run level by level: a row's figures do not depend on
which other rows were scored with it, to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from gnomon.errors import Invalid
from gnomon.units import FloatArray

PIT_LEVELS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
WIS_ALPHAS: Final = (0.1, 0.2, 0.5)
BANDS: Final = {50: (0.25, 0.75), 80: (0.1, 0.9), 90: (0.05, 0.95)}
"""The central bands by their nominal coverage in per cent."""

SAME_PRICE: Final = 1e-12
"""Prices closer than this share are one price: so much a logarithm, or a split, leaves of an equality."""

SAME_CALL: Final = 1e-6
"""A median closer than this share to the base price calls no direction: the ledger keeps curves as float32, and half of
what rounding leaves of an equality would be a call up."""

P_UP_CLIP: Final = 0.01


# --- proper scores --------------------------------------------------------------------------------------------------


def pinball(quantiles: npt.ArrayLike, levels: Sequence[float], realised: npt.ArrayLike) -> FloatArray:
    """Quantile loss of each level, (t - 1[y < q]) (y - q): quantiles (..., Q) and realised (...) -> (..., Q)."""
    level = np.asarray(levels, np.float64)
    error = np.asarray(realised, np.float64)[..., None] - np.asarray(quantiles, np.float64)
    loss = level * error
    error *= level - 1.0
    return np.maximum(loss, error, out=loss)


def mean_pinball(losses: FloatArray) -> FloatArray:
    """The mean over levels of pinball losses (..., Q) -> (...)."""
    total = losses[..., 0].copy()
    for index in range(1, losses.shape[-1]):
        total += losses[..., index]
    return np.asarray(total / losses.shape[-1])


def crps_weights(levels: Sequence[float]) -> FloatArray:
    """The weight of each level in the CRPS, summing to one.

    The CRPS is twice the integral of the pinball loss over t in (0, 1). The trapezoid rule gives an inner level half
    the distance between its neighbours, an end level half the distance to its one neighbour plus its whole tail:
    below the lowest and above the highest level the loss is taken as constant. For LEVELS these are, up to the
    median, .075 .075 .075 .05 .075 .1 .1, and the same mirrored.
    """
    level = np.asarray(levels, np.float64)
    edges = np.concatenate([[0.0], (level[1:] + level[:-1]) / 2, [1.0]])
    return np.diff(edges)


def crps_of_pinball(losses: FloatArray, levels: Sequence[float]) -> FloatArray:
    """The board's CRPS, 2 sum_k w_k rho_k, of pinball losses (..., Q) -> (...). One rule for every forecaster."""
    return 2.0 * _over_levels(losses, crps_weights(levels))


def crps_from_quantiles(quantiles: npt.ArrayLike, levels: Sequence[float], realised: npt.ArrayLike) -> FloatArray:
    """The board's CRPS from quantiles (..., Q) -> (...); see `crps_weights`."""
    return crps_of_pinball(pinball(quantiles, levels, realised), levels)


def crps_from_paths(paths: npt.ArrayLike, realised: npt.ArrayLike) -> FloatArray:
    """The fair CRPS of sampled values (..., n) -> (...): mean abs(x - y) - sum_ij abs(x_i - x_j) / (2 n (n - 1)).

    Unbiased for any number of paths, so it may be negative for one outcome. Sorting makes it O(n log n): of the sorted
    values, x_(k) is added k times and subtracted n - 1 - k times in the sum over pairs. `Invalid` below two paths.
    """
    sample = np.asarray(paths, np.float64)
    count = sample.shape[-1]
    if count < 2:
        raise Invalid(f"the fair CRPS needs at least two paths, received {count}", hint="score the quantiles instead")
    error = np.sort(sample - np.asarray(realised, np.float64)[..., None], axis=-1)
    spread = (error * (2.0 * np.arange(count) - (count - 1))).sum(axis=-1) / (count * (count - 1))
    return np.asarray(np.abs(error).mean(axis=-1) - spread)


def interval_score(
    lower: npt.ArrayLike, upper: npt.ArrayLike, realised: npt.ArrayLike, alpha: npt.ArrayLike
) -> FloatArray:
    """IS_a of the central 1 - a band: u - l + (2/a)(l - y)+ + (2/a)(y - u)+ (Gneiting, Raftery 2007)."""
    low, high, y = (np.asarray(side, np.float64) for side in (lower, upper, realised))
    missed = np.maximum(low - y, 0.0) + np.maximum(y - high, 0.0)
    return np.asarray((high - low) + 2.0 / np.asarray(alpha, np.float64) * missed)


def wis(quantiles: npt.ArrayLike, levels: Sequence[float], realised: npt.ArrayLike) -> FloatArray:
    """Weighted interval score of the median and the 90, 80 and 50 % bands, (..., Q) -> (...) (Bracher et al. 2021).

    (1 / (K + 0.5)) (0.5 abs(y - m) + sum over a in .1 .2 .5 of (a/2) IS_a), K = 3: see `wis_of_pinball`.
    """
    return wis_of_pinball(pinball(quantiles, levels, realised), levels)


def wis_of_pinball(losses: FloatArray, levels: Sequence[float]) -> FloatArray:
    """The same from pinball losses (..., Q) -> (...): twice their mean over the median and the edges of the bands.

    An identity: (a/2) IS_a is the sum of the pinball losses at a/2 and 1 - a/2, half the error that of the median.
    """
    edges = [edge for low_high in BANDS.values() for edge in low_high]
    total = at_level(losses, levels, 0.5)
    for level in sorted(edges):
        total = total + at_level(losses, levels, level)
    return np.asarray(2.0 / (len(edges) + 1.0) * total)


# --- bands and the place of the outcome -----------------------------------------------------------------------------


def at_level(quantiles: FloatArray, levels: Sequence[float], level: float) -> FloatArray:
    """What belongs to one level (...) of quantiles or losses (..., Q); `Invalid` for a level that is not there."""
    if level not in levels:
        raise Invalid(f"level {level} was not forecast", hint=f"levels: {', '.join(map(str, levels))}")
    return quantiles[..., levels.index(level)]


def band(quantiles: FloatArray, levels: Sequence[float], nominal: int) -> tuple[FloatArray, FloatArray]:
    """Lower and upper edge (...) of the central 50, 80 or 90 % band."""
    low, high = BANDS[nominal]
    return at_level(quantiles, levels, low), at_level(quantiles, levels, high)


def covered(lower: npt.ArrayLike, upper: npt.ArrayLike, realised: npt.ArrayLike) -> FloatArray:
    """1 where l <= y <= u, else 0."""
    y = np.asarray(realised, np.float64)
    return ((np.asarray(lower) <= y) & (y <= np.asarray(upper))).astype(np.float64)


def side(lower: npt.ArrayLike, upper: npt.ArrayLike, realised: npt.ArrayLike) -> FloatArray:
    """-1 below the band, 0 inside, 1 above."""
    y = np.asarray(realised, np.float64)
    return (y > np.asarray(upper)).astype(np.float64) - (y < np.asarray(lower))


def width(lower: npt.ArrayLike, upper: npt.ArrayLike, base_price: npt.ArrayLike) -> FloatArray:
    """(u - l) / base price."""
    return np.asarray((np.asarray(upper, np.float64) - np.asarray(lower)) / np.asarray(base_price))


def pit_bin(quantiles: npt.ArrayLike, levels: Sequence[float], realised: npt.ArrayLike) -> FloatArray:
    """0 … 9: how many of the quantiles .1 … .9 lie at or below the outcome. Counted, never interpolated."""
    curve, y = np.asarray(quantiles, np.float64), np.asarray(realised, np.float64)
    below = np.zeros(y.shape)
    for level in PIT_LEVELS:
        below += at_level(curve, levels, level) <= y
    return below


def pit_shares(bins: npt.ArrayLike) -> FloatArray:
    """Share of outcomes below the quantile of each level .1 … .9, from PIT bins (n,); NaN for none.

    An outcome that meets a quantile exactly was counted above it by `pit_bin`, so this is share(y < q); it differs from
    share(y <= q) by the ties alone.
    """
    counts = np.bincount(np.asarray(bins).astype(np.int64), minlength=10)
    total = counts.sum()
    return np.cumsum(counts)[:9] / total if total else np.full(9, np.nan)


def pit_distance(bins: npt.ArrayLike) -> float:
    """max over t = .1 … .9 of abs(share below the t-quantile - t), from PIT bins (n,); NaN for none."""
    return float(np.abs(pit_shares(bins) - np.asarray(PIT_LEVELS)).max())


# --- direction, probability, point ----------------------------------------------------------------------------------


def move(value: npt.ArrayLike, base: npt.ArrayLike, *, within: float = SAME_PRICE) -> FloatArray:
    """-1, 0 or 1: where a price went from a base price; closer than a share `within` of it, it did not move."""
    start = np.asarray(base, np.float64)
    change = np.asarray(value, np.float64) - start
    return np.where(np.abs(change) <= within * np.abs(start), 0.0, np.sign(change))


def direction(median: npt.ArrayLike, base: npt.ArrayLike, realised: npt.ArrayLike) -> FloatArray:
    """1 hit, 0 miss, 0.5 where the price did not move, NaN where the median made no call (within `SAME_CALL`)."""
    call, came = move(median, base, within=SAME_CALL), move(realised, base)
    hit = np.where(came == 0.0, 0.5, (call == came).astype(np.float64))
    return np.where(call == 0.0, np.nan, hit)


def brier(p_up: npt.ArrayLike, up: npt.ArrayLike) -> FloatArray:
    """(p - 1[up])², where `up` says that the price closed above its base."""
    return np.asarray((np.asarray(p_up, np.float64) - np.asarray(up, np.float64)) ** 2)


def log_loss(p_up: npt.ArrayLike, up: npt.ArrayLike) -> FloatArray:
    """-ln of the probability given to what came, with p clipped to [.01, .99]."""
    p = np.minimum(np.maximum(np.asarray(p_up, np.float64), P_UP_CLIP), 1.0 - P_UP_CLIP)
    return -np.log(np.where(np.asarray(up, np.bool_), p, 1.0 - p))


def base_rate_known(up: npt.ArrayLike, target_close_ns: npt.ArrayLike, data_cutoff_ns: npt.ArrayLike) -> FloatArray:
    """The share of rises (n,) among the outcomes known at each row's cutoff; one half while there were none."""
    target = np.asarray(target_close_ns, np.int64)
    order = np.argsort(target, kind="stable")
    rises = np.concatenate([[0.0], np.cumsum(np.asarray(up, np.float64)[order])])
    known = np.searchsorted(target[order], np.asarray(data_cutoff_ns, np.int64), side="right")
    return np.where(known > 0, rises[known] / np.maximum(known, 1), 0.5)


def abs_error(median: npt.ArrayLike, realised: npt.ArrayLike, base_price: npt.ArrayLike) -> FloatArray:
    """abs(m - y) / base price."""
    return np.asarray(
        np.abs(np.asarray(median, np.float64) - np.asarray(realised, np.float64)) / np.asarray(base_price)
    )


def mae(errors: npt.ArrayLike) -> float:
    """The mean of absolute errors, NaN (void) left out; NaN for none."""
    present = _present(errors)
    return float(present.mean()) if len(present) else float("nan")


def mase(errors: npt.ArrayLike, last_close_errors: npt.ArrayLike, groups: npt.ArrayLike) -> float:
    """Mean absolute error over that of the last close at the same step, (n,) each; NaN where nothing moved.

    `groups` holds integer codes 0, 1, … of (instrument, step): each row is divided by the mean error of the last
    close in its own group, because the usual one-step scale makes 1.0 mean nothing at longer steps.
    """
    code, error, naive = (np.asarray(column) for column in (groups, errors, last_close_errors))
    count = np.bincount(code)
    scale = np.bincount(code, weights=naive) / np.maximum(count, 1)
    usable = scale[code] > SAME_PRICE
    return float((error[usable] / scale[code][usable]).mean()) if usable.any() else float("nan")


def skill(loss: npt.ArrayLike, reference_loss: npt.ArrayLike) -> float:
    """1 - mean loss / mean reference loss on identical keys; NaN for none or where the reference is perfect."""
    ours, theirs = np.asarray(loss, np.float64), np.asarray(reference_loss, np.float64)
    if not ours.size or not theirs.sum():
        return float("nan")
    return float(1.0 - ours.mean() / theirs.mean())


def _over_levels(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted sum over the last axis, always in the order of the levels."""
    total = weights[0] * values[..., 0]
    for index in range(1, len(weights)):
        total += weights[index] * values[..., index]
    return np.asarray(total)


def _present(values: npt.ArrayLike) -> FloatArray:
    array = np.asarray(values, np.float64)
    return array[~np.isnan(array)]
