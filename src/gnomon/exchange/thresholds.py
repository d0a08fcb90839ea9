"""Thresholds: what the tape must reach before an own order is concerned.

Four prices stand for all orders of a book, so that history can be searched and need not be walked:

| threshold | concerned by                                                          |
|-----------|-----------------------------------------------------------------------|
| `bid`     | a seller's print (or one of unknown side) at or below it              |
| `ask`     | a buyer's print (or one of unknown side) at or above it               |
| `up`      | any print at or above it: stops that need a rise, trailing references |
| `down`    | any print at or below it                                              |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from gnomon.units import INT64_MAX

NEVER_DOWN: Final = -1
NEVER_UP: Final = INT64_MAX


class Thresholds(NamedTuple):
    """Prices in ticks; `NEVER_DOWN` and `NEVER_UP` where nothing waits."""

    bid: int = NEVER_DOWN
    ask: int = NEVER_UP
    up: int = NEVER_UP
    down: int = NEVER_DOWN


IDLE: Final = Thresholds()


def any_of(masks: Sequence[npt.NDArray[np.bool_]], rows: int) -> npt.NDArray[np.bool_]:
    """Where at least one of the masks of `rows` is true; the first mask is overwritten."""
    if not masks:
        return np.zeros(rows, np.bool_)
    reached = masks[0]
    for mask in masks[1:]:
        reached |= mask
    return reached
