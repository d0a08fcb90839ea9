"""Steps that are scored, and the horizon buckets they fall into: of scores, calibrations and weights alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from gnomon.clock import Timeframe
from gnomon.units import IntArray

GRADED_STEPS: Final[Mapping[str, tuple[int, ...]]] = {
    "1h": (1, 2, 3, 4, 6, 8, 12, 18, 24, 36, 48, 72, 96, 120),
    "1d": (1, 2, 3, 4, 5, 10, 15, 20, 30, 60, 90, 120),
}
BUCKETS: Final = ((1, 1), (2, 5), (6, 24), (25, 120))


def graded_steps(timeframe: Timeframe, horizon: int) -> tuple[int, ...]:
    """The steps that are scored, up to `horizon`: of the hourly table below a day, of the daily table from a day on."""
    table = GRADED_STEPS["1h" if timeframe.is_intraday else "1d"]
    return tuple(step for step in table if step <= horizon)


def bucket_of(step: npt.ArrayLike) -> IntArray:
    """The index in BUCKETS of each step; steps beyond the last bucket belong to it."""
    return np.searchsorted([first for first, _ in BUCKETS], np.asarray(step), side="right").astype(np.int64) - 1
