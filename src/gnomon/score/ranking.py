"""Does the order of the forecasts foretell the order of the outcomes: rank correlation across instruments."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gnomon.score.significance import newey_west_t
from gnomon.units import FloatArray

MIN_INSTRUMENTS = 8
"""A class with fewer at a cutoff is ranked together with all others."""


class RankIC(NamedTuple):
    """The mean rank correlation, its Newey-West t and p, and the number of cutoffs that had one."""

    mean: float
    t: float
    p: float
    cutoffs: int


def ranks(values: npt.ArrayLike) -> FloatArray:
    """Ranks 1 … n along the last axis, ties sharing their mean rank, NaN left out. O(n²) a row: n is instruments."""
    x = np.asarray(values, np.float64)
    less = (x[..., None, :] < x[..., :, None]).sum(axis=-1)
    equal = (x[..., None, :] == x[..., :, None]).sum(axis=-1)
    return np.where(np.isnan(x), np.nan, less + (equal + 1) / 2.0)


def spearman(left: npt.ArrayLike, right: npt.ArrayLike) -> FloatArray:
    """Rank correlation along the last axis over pairs without NaN; NaN for fewer than two, or a side that is flat."""
    x, y = np.broadcast_arrays(np.asarray(left, np.float64), np.asarray(right, np.float64))
    missing = np.isnan(x) | np.isnan(y)
    a, b = _centred(np.where(missing, np.nan, x)), _centred(np.where(missing, np.nan, y))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((a * b).sum(axis=-1) / np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1)))


def rank_ic(forecast_return: npt.ArrayLike, realised_return: npt.ArrayLike, *, overlap: int) -> RankIC:
    """RankIC of ln(median / base) against ln(realised / base), both (cutoffs, instruments) in the order of cutoffs.

    `overlap` is the number of cutoffs whose targets overlap (the step in cutoffs): the lag of the Newey-West t is one
    less. NaN marks what is missing; cutoffs without a correlation are left out.
    """
    each = spearman(forecast_return, realised_return)
    each = each[~np.isnan(each)]
    test = newey_west_t(each, max(0, overlap - 1))
    return RankIC(float(each.mean()) if len(each) else float("nan"), test.t, test.p, len(each))


def _centred(values: FloatArray) -> FloatArray:
    """Ranks less their mean, zero where missing."""
    rank = ranks(values)
    missing = np.isnan(rank)
    count = np.maximum((~missing).sum(axis=-1, keepdims=True), 1)
    mean = np.where(missing, 0.0, rank).sum(axis=-1, keepdims=True) / count
    return np.where(missing, 0.0, rank - mean)
