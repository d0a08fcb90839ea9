"""Ensemble weights, fitted from scores and from nothing that realised later.

Per horizon bucket, over the rows of one asset class: a window is a cutoff, the next one begins when the bucket's last
step of the window before has closed. A member's loss is its mean pinball over the last 40 windows that have realised,
on rows that every member has. Then `w ~ 1 / loss`, half-way to equal, a floor of 0.05, summing to one. Until every
member has 10 windows the weights are equal. A member whose 80 % band covered less than 50 % or more than 97 % of those
targets is left out, and so is one whose newest version has no scores.

Source: forecasting.md 5; sharper weights were worse on real series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from gnomon.forecast.buckets import BUCKETS, bucket_of
from gnomon.score.forecasts import ScoredKeys, Scores
from gnomon.units import FloatArray, IntArray

WINDOWS: Final = 40
LEAST_WINDOWS: Final = 10
SHRINK: Final = 0.5
FLOOR: Final = 0.05
COVERAGE: Final = (0.50, 0.97)


@dataclass(frozen=True, slots=True)
class BucketFit:
    """The weights of one bucket and what they come from; `weights` sum to one over those who are in."""

    weights: Mapping[str, float]
    windows: int
    losses: Mapping[str, float] = field(default_factory=dict)
    coverages: Mapping[str, float] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _Windows:
    """A bucket's windows, in order: when each had realised in full, and each member's sums in it."""

    realised_at_ns: IntArray  # (W,) running maximum: nothing in a window counts before all of it is known
    loss: FloatArray  # (W, M) sums of pinball
    covered: FloatArray  # (W, M)
    rows: FloatArray  # (W,)


class WeightsFitter:
    """Weights as of any instant, for the rows of one class and stage. Prepared once; `at` takes microseconds."""

    def __init__(self, scores: Scores, keys: ScoredKeys, members: Sequence[str]) -> None:
        self._members = tuple(members)
        rows = _newest_version(keys, self._members) & (scores.void_reason == "") & ~np.isnan(scores.pinball_mean)
        scores, keys = scores.take(rows), keys.take(rows)
        self._present = set(keys.forecaster)
        bucket = bucket_of(scores.step)
        self._windows = [self._of_bucket(scores, keys, bucket == number) for number in range(len(BUCKETS))]

    def at(self, known_until_ns: int) -> tuple[BucketFit, ...]:
        """The weights of each bucket, from windows that had realised by then."""
        return tuple(self._fit(one, known_until_ns) for one in self._windows)

    def fitted_until_ns(self, known_until_ns: int) -> int:
        """When the newest target used had become knowable; 0 where nothing was."""
        ends = [one.realised_at_ns[one.realised_at_ns <= known_until_ns] for one in self._windows]
        return int(max((end[-1] for end in ends if len(end)), default=0))

    def _fit(self, windows: _Windows, known_until_ns: int) -> BucketFit:
        end = int(np.searchsorted(windows.realised_at_ns, known_until_ns, side="right"))
        part = slice(max(0, end - WINDOWS), end)
        count = end - part.start
        equal = {name: 1.0 / len(self._members) for name in self._members}
        if count < LEAST_WINDOWS:
            return BucketFit(equal, count)
        rows = windows.rows[part].sum()
        loss = windows.loss[part].sum(axis=0) / rows
        covered = windows.covered[part].sum(axis=0) / rows
        named = dict(zip(self._members, zip(loss.tolist(), covered.tolist(), strict=True), strict=True))
        left_out = {name: _excluded(one[1]) for name, one in named.items() if _excluded(one[1])}
        kept = [name for name in self._members if name not in left_out] or list(self._members)
        return BucketFit(
            weights=shrunk({name: named[name][0] for name in kept}),
            windows=count,
            losses={name: one[0] for name, one in named.items()},
            coverages={name: one[1] for name, one in named.items()},
            left_out=left_out,
        )

    def _of_bucket(self, scores: Scores, keys: ScoredKeys, mine: npt.NDArray[np.bool_]) -> _Windows:
        """Windows of rows that all members share; a bucket that some member never had a row in has none."""
        empty = np.empty((0, len(self._members)))
        none = _Windows(np.empty(0, np.int64), empty, empty, np.empty(0))
        if not mine.any():
            return none
        part, who = scores.take(mine), keys.take(mine)
        member = np.searchsorted(np.sort(self._members), who.forecaster.astype(str))
        member = np.argsort(self._members)[member]
        instrument = np.unique(who.instrument.astype(str), return_inverse=True)[1]
        order = np.lexsort((member, part.step, instrument, who.data_cutoff_ns))
        identity = np.stack([who.data_cutoff_ns, instrument, part.step])[:, order]
        new = np.append(True, (np.diff(identity, axis=1) != 0).any(axis=0))
        group = np.cumsum(new) - 1
        full = np.bincount(group) == len(self._members)  # a member has one row of one version each
        shared = order[full[group]]
        if not len(shared):
            return none
        return _windows_of(part.take(shared), who.take(shared), member[shared], len(self._members))


def _windows_of(scores: Scores, keys: ScoredKeys, member: IntArray, count: int) -> _Windows:
    """Sums by window. Cutoffs inside a window that has begun are not used: overlapping targets say the same twice."""
    cutoffs, position = np.unique(keys.data_cutoff_ns, return_inverse=True)
    ends = np.zeros(len(cutoffs), np.int64)
    np.maximum.at(ends, position, scores.target_close_ns)
    chosen, free_from_ns = np.zeros(len(cutoffs), np.bool_), -(2**63)
    for number, (cutoff_ns, end_ns) in enumerate(zip(cutoffs.tolist(), ends.tolist(), strict=True)):
        if cutoff_ns >= free_from_ns:
            chosen[number], free_from_ns = True, end_ns
    rows = chosen[position]
    window = (np.cumsum(chosen) - 1)[position[rows]]
    total = int(chosen.sum())
    place = window * count + member[rows]

    def summed(column: FloatArray) -> FloatArray:
        sums = np.bincount(place, weights=column[rows], minlength=total * count)
        return np.asarray(sums, np.float64).reshape(total, count)

    realised = np.zeros(total, np.int64)
    np.maximum.at(realised, window, scores.realised_at_ns[rows])
    per_window = np.bincount(window, minlength=total) / count
    return _Windows(np.maximum.accumulate(realised), summed(scores.pinball_mean), summed(scores.covered_80), per_window)


def shrunk(losses: Mapping[str, float]) -> dict[str, float]:
    """Weights ~ 1 / loss, half-way to equal, none below the floor, summing to one."""
    inverse = np.array([1.0 / max(loss, 1e-12) for loss in losses.values()])
    weights = SHRINK * inverse / inverse.sum() + (1.0 - SHRINK) / len(inverse)
    low = weights < FLOOR
    if low.any() and FLOOR * len(weights) < 1.0:
        weights[low] = FLOOR
        weights[~low] *= (1.0 - FLOOR * low.sum()) / weights[~low].sum()
    return dict(zip(losses, (weights / weights.sum()).tolist(), strict=True))


def _excluded(coverage: float) -> str:
    low, high = COVERAGE
    if low <= coverage <= high:
        return ""
    return f"its 80 % band covered {coverage:.0%} of the targets, not {low:.0%} to {high:.0%}"


def _newest_version(keys: ScoredKeys, members: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Rows of members, each of the version with the newest cutoff: what an older one scored says nothing of it."""
    rows = np.zeros(len(keys), np.bool_)
    for name in members:
        mine = np.flatnonzero(keys.forecaster == name)
        if len(mine):
            newest = keys.version[mine[np.argmax(keys.data_cutoff_ns[mine])]]
            rows[mine[keys.version[mine] == newest]] = True
    return rows
