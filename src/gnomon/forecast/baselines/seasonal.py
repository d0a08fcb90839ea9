"""Volatility by hour of the week, or by weekday for bars of a day and longer.

`g_s = (n_s · (mean r² in slot s / mean r²) + 20) / (n_s + 20)` over the last 2,000 returns, divided by its mean over
all slots, those never seen (g = 1) included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from gnomon.forecast.baselines.returns import VARIANCE_RETURNS, ewma_variance, log_returns
from gnomon.forecast.forecast import Context
from gnomon.units import DAY_NS, HOUR_NS, FloatArray, IntArray

SEASONAL_RETURNS: Final = 2000
SEASONAL_PRIOR: Final = 20
"""How many average returns each slot is credited with, so that a slot seen three times says little."""

_WEEK_HOURS = 168
_EPOCH_HOUR = 72  # 1970-01-01 was a Thursday; the week begins on Monday at 00:00
_NO_SLOT = _WEEK_HOURS


def seasonal_deviation(contexts: Sequence[Context], horizon: int) -> FloatArray:
    """s_h = sqrt(v′ Σ_{j≤h} g(slot of bar T+j)) of each context, (B, H); v′ is the EWMA of the returns r / sqrt(g)."""
    returns, counts = log_returns(contexts, SEASONAL_RETURNS)
    past, future = _slots(contexts, counts, horizon)
    profile = _profile(contexts, returns, counts, past)
    scaled = returns[:, -VARIANCE_RETURNS:] / np.sqrt(np.take_along_axis(profile, past[:, -VARIANCE_RETURNS:], axis=1))
    variance = ewma_variance(contexts, scaled, np.minimum(counts, VARIANCE_RETURNS))
    ahead = np.cumsum(np.take_along_axis(profile, future, axis=1), axis=1)
    return np.sqrt(variance[:, None] * ahead)


def _slots(contexts: Sequence[Context], counts: IntArray, horizon: int) -> tuple[IntArray, IntArray]:
    """The slot of each past return (B, `SEASONAL_RETURNS`), `_NO_SLOT` before the first, and of each step (B, H).

    Hour of the week of the bar's open on the clock of the stamp zone; weekday for bars of a day and longer.
    """
    past = np.full((len(contexts), SEASONAL_RETURNS), _NO_SLOT)
    future = np.empty((len(contexts), horizon), np.int64)
    for row, (context, count) in enumerate(zip(contexts, counts, strict=True)):
        bars = len(context.bars)
        local_ns = context.local_ns[bars - count : bars + horizon]
        if context.timeframe.is_intraday:
            slot = (local_ns // HOUR_NS + _EPOCH_HOUR) % _WEEK_HOURS
        else:
            slot = (local_ns // DAY_NS + _EPOCH_HOUR // 24) % 7
        past[row, SEASONAL_RETURNS - count :] = slot[:count]
        future[row] = slot[count:]
    return past, future


def _profile(contexts: Sequence[Context], returns: FloatArray, counts: IntArray, past: IntArray) -> FloatArray:
    """g of each slot (B, 169): its mean squared return over that of all, drawn to 1; the slots' mean is 1.

    The last column belongs to the padding and is 1.
    """
    batch, columns = len(contexts), _WEEK_HOURS + 1
    flat = (past + np.arange(batch)[:, None] * columns).ravel()
    squares = returns * returns
    seen = np.bincount(flat, minlength=batch * columns).reshape(batch, columns)[:, :-1]
    sums = np.bincount(flat, squares.ravel(), minlength=batch * columns).reshape(batch, columns)[:, :-1]
    average = (squares.sum(axis=1) / counts)[:, None]
    relative = np.divide(sums, average, out=seen.astype(np.float64), where=average > 0)  # n_s · (slot mean / mean)
    raw = (relative + SEASONAL_PRIOR) / (seen + SEASONAL_PRIOR)
    slots = np.array([_WEEK_HOURS if context.timeframe.is_intraday else 7 for context in contexts])[:, None]
    level = np.where(np.arange(_WEEK_HOURS) < slots, raw, 0.0).sum(axis=1, keepdims=True) / slots
    return np.concatenate([raw / level, np.ones((batch, 1))], axis=1)
