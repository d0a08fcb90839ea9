"""Scores of forecasts: one row for each (forecast, graded step, stage). Plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gnomon.units import FloatArray, IntArray

GRADED_STEPS = {
    "1h": (1, 2, 3, 4, 6, 8, 12, 18, 24, 36, 48, 72, 96, 120),
    "1d": (1, 2, 3, 4, 5, 10, 15, 20, 30, 60, 90, 120),
}
BUCKETS = ((1, 1), (2, 5), (6, 24), (25, 120))


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Columns of equal length N, in the names of the `scores` table. NaN where a void row has no figure."""

    forecast_id: IntArray
    step: IntArray
    stage: npt.NDArray[np.int8]  # 0 raw, 1 calibrated
    target_close_ns: IntArray
    realised: FloatArray  # price, in shares of the forecast's cutoff
    realised_revision: IntArray  # 0 = first revision
    scored_at_ns: IntArray
    pinball_mean: FloatArray  # divided by the base price
    crps: FloatArray  # divided by the base price
    wis: FloatArray  # divided by the base price
    covered_50: FloatArray  # 0, 1 (NaN when void)
    covered_80: FloatArray
    covered_90: FloatArray
    side_80: FloatArray  # -1 below the band, 0 inside, 1 above
    width_80: FloatArray  # (q.9 - q.1) / base price
    pit_bin: FloatArray  # 0 … 9
    direction_hit: FloatArray  # 1 hit, 0 miss, 0.5 unchanged price, NaN no call
    p_up: FloatArray
    brier: FloatArray
    log_loss: FloatArray
    abs_error: FloatArray  # |median - realised| / base price
    log_return: FloatArray  # ln(realised / base price)
    void_reason: npt.NDArray[np.object_]  # "" or the reason


@dataclass(frozen=True, slots=True, eq=False)
class ScoredKeys:
    """Whose score each row of a `Scores` is: columns of the same length N."""

    forecaster: npt.NDArray[np.object_]
    version: npt.NDArray[np.object_]
    instrument: npt.NDArray[np.object_]
    data_cutoff_ns: IntArray
