"""What the baselines read from a context: log returns, their exponentially weighted variance, the floor under it.

Every figure of a series is computed from that series alone, on arrays of one fixed width and by elementwise or row-wise
operations: so a batch gives the same bytes as single calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np

from gnomon.clock import Timeframe
from gnomon.forecast.forecast import Context
from gnomon.units import FloatArray, IntArray

VARIANCE_RETURNS: Final = 500
"""The EWMA looks back this far; the rest weighs less than 3e-7 of the whole."""

DECAY_DAILY: Final = 0.94
DECAY_INTRADAY: Final = 0.97


def decay(timeframe: Timeframe) -> float:
    """λ: 0.94 for bars of a day and longer, 0.97 below (RiskMetrics' daily value; ours below a day)."""
    return DECAY_INTRADAY if timeframe.is_intraday else DECAY_DAILY


def log_returns(contexts: Sequence[Context], width: int) -> tuple[FloatArray, IntArray]:
    """The last `width` log returns of each context (B, width), newest last, zeros before the first; their counts."""
    closes = np.empty((len(contexts), width + 1))
    counts = np.empty(len(contexts), np.int64)
    for row, context in enumerate(contexts):
        tail = context.bars[-(width + 1) :, 3]
        counts[row] = len(tail) - 1
        closes[row, : width + 1 - len(tail)] = tail[0]  # equal closes: a return of exactly 0
        closes[row, width + 1 - len(tail) :] = tail
    returns = closes[:, 1:] / closes[:, :-1]
    return np.log(returns, out=returns), counts


def returns_of(context: Context, width: int) -> FloatArray:
    """The last `width` log returns of one context, oldest first; fewer where it is shorter."""
    closes = np.ascontiguousarray(context.bars[-(width + 1) :, 3])
    return np.log(closes[1:] / closes[:-1])


def variance_floor(context: Context) -> float:
    """(tick / 2c)²: half a tick is what a dead series may still move."""
    return float((context.tick / (2.0 * context.base_price)) ** 2)


def ewma_variance(contexts: Sequence[Context], returns: FloatArray, counts: IntArray) -> FloatArray:
    """v = Σ λ^k r² / Σ λ^k over the returns (B, `VARIANCE_RETURNS`) as `log_returns` pads them, k = 0 for the newest;
    never below the floor. (B,)"""
    weights, totals = _weights()
    series = np.array([int(context.timeframe.is_intraday) for context in contexts])
    weighed = returns * returns
    weighed *= weights[series]
    variance = weighed.sum(axis=1) / totals[series, counts - 1]
    return np.asarray(np.maximum(variance, [variance_floor(context) for context in contexts]))


@lru_cache(maxsize=1)
def _weights() -> tuple[FloatArray, FloatArray]:
    """λ^k with the newest last, and Σ λ^k over the newest 1, 2, … returns: rows for daily and intraday bars."""
    powers = np.array([DECAY_DAILY, DECAY_INTRADAY])[:, None] ** np.arange(VARIANCE_RETURNS)
    return np.ascontiguousarray(powers[:, ::-1]), np.cumsum(powers, axis=1)
