"""Quantile curves: normal scores, order statistics of samples, and the one order in which values are published."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from gnomon.units import FloatArray, IntArray

_ROOT_HALF = math.sqrt(0.5)


@lru_cache(maxsize=64)
def normal_scores(levels: tuple[float, ...]) -> FloatArray:
    """The standard normal quantile of each level, (Q,), read-only."""
    scores = np.array([NormalDist().inv_cdf(level) for level in levels])
    scores.flags.writeable = False
    return scores


def normal_cdf(values: FloatArray) -> FloatArray:
    """Φ of each value, to the last bit of the C library's `erfc`, which keeps the small tail exact as well."""
    scaled = (values * -_ROOT_HALF).ravel().tolist()
    return 0.5 * np.fromiter(map(math.erfc, scaled), np.float64, len(scaled)).reshape(values.shape)


@lru_cache(maxsize=64)
def ranks(levels: tuple[float, ...], count: int) -> tuple[IntArray, IntArray, FloatArray]:
    """Where the quantiles of `count` ordered samples lie, at rank (count + 1)·level: row below, row above, share.

    Beyond the first or the last sample the quantile is that sample.
    """
    rank = np.clip((count + 1) * np.array(levels), 1, count)
    below = np.minimum(rank.astype(np.int64), max(count - 1, 1))
    above = np.minimum(below, count - 1)
    return below - 1, above, rank - below


def in_order(raw: FloatArray) -> tuple[FloatArray, IntArray]:
    """Quantiles (…, H, Q) sorted per step, and for each curve how many neighbouring levels crossed before.

    Returns `raw` itself where nothing crosses.
    """
    crossed = raw[..., 1:] < raw[..., :-1]
    crossings = np.count_nonzero(crossed, axis=(-2, -1))
    return (np.sort(raw, axis=-1) if crossed.any() else raw), np.asarray(crossings, np.int64)


def publishable(quantiles: FloatArray) -> npt.NDArray[np.bool_]:
    """Which of the curves (…, H, Q) are positive and finite throughout."""
    return np.asarray((quantiles.min(axis=(-2, -1)) > 0) & (quantiles.max(axis=(-2, -1)) < np.inf))
