"""Recalibration of bands: an online, two-sided tracker per series and horizon bucket.

Each side of a bucket has a shift in log price: above the median `q' = m + (q - m) e^u`, below `q' = m - (m - q) e^l`,
so the order of the levels and the median are kept by construction. When a target has realised,

    u += GAIN (1[y > q'(.9)] - .1)        l += GAIN (1[y < q'(.1)] - .1)        |u|, |l| <= BOUND

with the quantiles as they were served. One target counts for each non-overlapping window of a bucket: its graded steps
in turn, and the next window begins at a cutoff at or after that target's close. Targets count in the order in which
they realised. It is insurance against bands that are badly wrong, not a source of skill.

Source: quantile tracking after Gibbs and Candès and after Angelopoulos et al.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from gnomon.errors import Invalid
from gnomon.forecast.buckets import BUCKETS, bucket_of
from gnomon.units import FloatArray, IntArray

GAIN: Final = 0.05
BOUND: Final = 1.5
MISS: Final = 0.1
"""The share of targets that may lie beyond each side of the 80 % band."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How far one bucket's bands are stretched (log scale): above by `u`, below by `l`, from `n` targets."""

    u: float = 0.0
    l: float = 0.0  # noqa: E741 - the letter of the formula
    n: int = 0

    def after(self, side: int) -> Shift:
        """The shift after one more target: 1 above the 80 % band as served, -1 below it, 0 inside."""
        return Shift(
            float(min(BOUND, max(-BOUND, self.u + GAIN * ((side > 0) - MISS)))),
            float(min(BOUND, max(-BOUND, self.l + GAIN * ((side < 0) - MISS)))),
            self.n + 1,
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """One shift a bucket, in the order of BUCKETS."""

    shifts: tuple[Shift, ...] = tuple(Shift() for _ in BUCKETS)

    def document(self) -> dict[str, Any]:
        """JSON that `from_document` reads back to an equal calibration."""
        return {"method": "tracker", "shifts": [[one.u, one.l, one.n] for one in self.shifts]}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Calibration:
        return cls(tuple(Shift(float(u), float(low), int(n)) for u, low, n in document["shifts"]))


def calibrate(quantiles: FloatArray, levels: Sequence[float], calibration: Calibration) -> FloatArray:
    """The quantiles (H, Q) stretched by the shift of each step's bucket. `Invalid` without a median."""
    if 0.5 not in levels:
        raise Invalid(f"levels {tuple(levels)} have no median", hint="a calibrated forecast has the level 0.5")
    bucket = bucket_of(np.arange(1, len(quantiles) + 1))
    up = np.exp([one.u for one in calibration.shifts])[bucket][:, None]
    down = np.exp([one.l for one in calibration.shifts])[bucket][:, None]
    log_price = np.log(quantiles)
    away = log_price - log_price[:, [list(levels).index(0.5)]]
    stretched = away * np.where(away > 0.0, up, down)
    median = log_price - away
    # a shift of nothing leaves the bytes alone
    return np.where(stretched == away, quantiles, np.exp(median + stretched))


def sides(q10: FloatArray, q90: FloatArray, realised: FloatArray) -> IntArray:
    """1 above the band, -1 below it, 0 inside, as the scores have it."""
    return (realised > q90).astype(np.int64) - (realised < q10).astype(np.int64)


@dataclass(slots=True)
class _Bucket:
    """The tracker of one bucket. A window waits for its target; later cutoffs inside it do not count."""

    steps: tuple[int, ...]
    shift: Shift = field(default_factory=Shift)
    windows: int = 0
    free_from_ns: int = -(2**63)


class CalibrationTracker:
    """The tracker of one series: told of each forecast as it was served, asked what is known by an instant.

    Forecasts come in order of their cutoffs. `until` only moves on: state is one number a side and bucket, and a queue
    of targets that have not realised.
    """

    def __init__(self, graded: Sequence[int]) -> None:
        bucket = bucket_of(graded)
        self._buckets = [
            _Bucket(tuple(step for step, of in zip(graded, bucket, strict=True) if of == number))
            for number in range(len(BUCKETS))
        ]
        self._place = {step: place for place, step in enumerate(graded)}
        self._waiting: list[tuple[int, int, int, int]] = []  # realised_at, order, bucket, side
        self._count = 0
        self.fitted_until_ns = 0

    def add(self, cutoff_ns: int, target_close_ns: IntArray, realised_at_ns: IntArray, side: IntArray) -> None:
        """One forecast: at each graded step (S,) its target's close, when the outcome is knowable (0 where there is
        none and never will be), and on which side of the band as served it fell."""
        for number, one in enumerate(self._buckets):
            if not one.steps or cutoff_ns < one.free_from_ns:
                continue
            place = self._place[one.steps[one.windows % len(one.steps)]]
            if place >= len(target_close_ns) or not realised_at_ns[place]:
                continue  # a void target is no target: the window is left to the next forecast
            one.windows += 1
            one.free_from_ns = int(target_close_ns[place])
            heapq.heappush(self._waiting, (int(realised_at_ns[place]), self._count, number, int(side[place])))
            self._count += 1

    def until(self, at_ns: int) -> Calibration:
        """What is known at an instant: every target that was knowable by then, and no other."""
        while self._waiting and self._waiting[0][0] <= at_ns:
            realised_at_ns, _, number, side = heapq.heappop(self._waiting)
            self._buckets[number].shift = self._buckets[number].shift.after(side)
            self.fitted_until_ns = max(self.fitted_until_ns, realised_at_ns)
        return Calibration(tuple(one.shift for one in self._buckets))

    @property
    def n(self) -> int:
        """Targets used so far."""
        return sum(one.shift.n for one in self._buckets)
