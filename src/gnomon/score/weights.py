"""Ensemble weights, fitted from scores and from nothing that realised later.

Per horizon bucket, over the rows of one asset class, on (instrument, cutoff, step) keys that every member has. A window
is a cutoff with all its instruments and all the bucket's steps; windows are picked from the newest back, each one's
targets closed by the cutoff of the next. A member's loss is its mean pinball over the last 40 windows that have
realised. Then `w ~ 1 / loss`, half-way to equal, a floor of 0.05, summing to one. Until every member has 10 windows the
weights are equal. A member whose 80 % band covered less than 50 % or more than 97 % of those targets is left out.
Scores of a version that is no longer the member's newest do not count.

What is used at an instant depends on rows that were knowable by then and on no other: an instrument enters a window
once all its steps of the bucket are known. So a walk-forward over stored scores and a job that reads the scores of its
day agree.

Source: forecasting.md 5; sharper weights were worse on real series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from gnomon.clock import iso
from gnomon.errors import Invalid
from gnomon.forecast.buckets import BUCKETS, bucket_of
from gnomon.forecast.ensemble import Weights
from gnomon.score.forecasts import ScoredKeys, Scores
from gnomon.units import FloatArray, IntArray

WINDOWS: Final = 40
LEAST_WINDOWS: Final = 10
SHRINK: Final = 0.5
FLOOR: Final = 0.05
COVERAGE: Final = (0.50, 0.97)
LEAST_TARGETS: Final = 40
"""A band is judged from so many targets on: of ten targets all ten lie in an honest band one time in ten."""

SILENT_CUTOFFS: Final = 40
"""A member whose newest score lies so many cutoffs behind the newest of all is no longer waited for."""

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class BucketFit:
    """The weights of one bucket and what they come from; `weights` sum to one over those who are in.

    `losses` (mean pinball) and `coverages` (of the 80 % band) are over the same targets; empty while the weights are
    equal. `fitted_until_ns` is when the newest of those targets became knowable; 0 where there is none.
    """

    weights: Mapping[str, float]
    windows: int
    losses: Mapping[str, float] = field(default_factory=dict)
    coverages: Mapping[str, float] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    fitted_until_ns: int = 0


class WeightsFitter:
    """Weights as of any instant, for the scores of one class, timeframe and stage. `at` takes well under a millisecond.

    `members` are all who may be in the pool. Raises `Invalid` when a version of a member has two rows for one key.
    """

    def __init__(self, scores: Scores, keys: ScoredKeys, members: Sequence[str]) -> None:
        self._members = tuple(members)
        self._rows = _Rows(scores, keys)
        self._careers = {name: _Career(scores, keys, name) for name in self._members}
        self._shared: dict[tuple[tuple[str, str], ...], tuple[_Windows, ...]] = {}

    def at(self, known_until_ns: int) -> tuple[BucketFit, ...]:
        """The weights of each bucket, from targets that were knowable by then."""
        versions = self.versions(known_until_ns)
        silent = self._silent(known_until_ns)
        waited_for = [name for name in self._members if name not in silent]
        if any(name not in versions for name in waited_for):  # someone has no score yet
            equal = dict.fromkeys(waited_for, 1.0 / len(waited_for))
            return tuple(BucketFit(equal, 0, left_out=silent) for _ in BUCKETS)
        who = tuple((name, versions[name]) for name in waited_for)
        if who not in self._shared:
            self._shared[who] = self._rows.shared(who)
        return tuple(_fit(one, waited_for, silent, known_until_ns) for one in self._shared[who])

    def versions(self, known_until_ns: int) -> dict[str, str]:
        """Of each member the newest version that had a score by then; members without any are not there."""
        found = {name: career.version_at(known_until_ns) for name, career in self._careers.items()}
        return {name: version for name, version in found.items() if version is not None}

    def fitted_until_ns(self, known_until_ns: int) -> int:
        """When the newest target used had become knowable; 0 where nothing was."""
        return max(one.fitted_until_ns for one in self.at(known_until_ns))

    def weights(self, scope: str, fitted_at_ns: int) -> Weights:
        """The weights of a scope as a pool reads them."""
        buckets = self.at(fitted_at_ns)
        return Weights(
            scope=scope,
            fitted_at_ns=fitted_at_ns,
            fitted_until_ns=max(one.fitted_until_ns for one in buckets),
            by_bucket=tuple(one.weights for one in buckets),
            windows=tuple(one.windows for one in buckets),
            left_out=_reasons(buckets),
            versions=self.versions(fitted_at_ns),
            losses=tuple(one.losses for one in buckets),
            coverages=tuple(one.coverages for one in buckets),
        )

    def _silent(self, known_until_ns: int) -> dict[str, str]:
        """Members that had scores and stopped having them, with the reason."""
        newest = {name: career.newest_ns(known_until_ns) for name, career in self._careers.items()}
        place = {name: int(np.searchsorted(self._rows.cutoffs_ns, at_ns)) for name, at_ns in newest.items() if at_ns}
        last = max(place.values(), default=0)
        return {
            name: f"its newest score is of {iso(newest[name])}, {last - own} cutoffs behind the others"
            for name, own in place.items()
            if last - own > SILENT_CUTOFFS
        }


def shrunk(losses: Mapping[str, float]) -> dict[str, float]:
    """Weights ~ 1 / loss, half-way to equal, none below the floor, summing to one."""
    inverse = np.array([1.0 / max(loss, 1e-12) for loss in losses.values()])
    weights = SHRINK * inverse / inverse.sum() + (1.0 - SHRINK) / len(inverse)
    low = weights < FLOOR
    if low.any() and FLOOR * len(weights) < 1.0:
        weights[low] = FLOOR
        weights[~low] *= (1.0 - FLOOR * low.sum()) / weights[~low].sum()
    return dict(zip(losses, (weights / weights.sum()).tolist(), strict=True))


# --- one bucket at one instant ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Windows:
    """Keys (K,) that all members share in one bucket, by cutoff, and the cutoffs (C,) they belong to.

    `known_ns` (K,) is when all of the key's instrument was known in the bucket, `first_known_ns` (C,) the least of
    those; `close_ns` (C,) the last target's close; `bounds` (C + 1,) where each cutoff's keys lie. The small arrays are
    lists: they are walked one by one.
    """

    cutoff_ns: list[int]
    close_ns: list[int]
    first_known_ns: list[int]
    bounds: IntArray
    known_ns: IntArray
    loss: FloatArray  # (M, K)
    covered: FloatArray  # (M, K)

    def last(self, known_until_ns: int) -> list[int]:
        """The cutoffs of the last windows that were known by then, newest first."""
        chosen: list[int] = []
        place = int(np.searchsorted(self.cutoff_ns, known_until_ns, side="right")) - 1
        free_until_ns = known_until_ns
        while place >= 0 and len(chosen) < WINDOWS:
            if self.close_ns[place] <= free_until_ns and self.first_known_ns[place] <= known_until_ns:
                chosen.append(place)
                free_until_ns = self.cutoff_ns[place]
            place -= 1
        return chosen


def _fit(windows: _Windows, members: Sequence[str], silent: Mapping[str, str], known_until_ns: int) -> BucketFit:
    chosen = windows.last(known_until_ns)
    equal = dict.fromkeys(members, 1.0 / len(members))
    if len(chosen) < LEAST_WINDOWS:
        return BucketFit(equal, len(chosen), left_out=silent)
    keys = np.concatenate([np.arange(windows.bounds[one], windows.bounds[one + 1]) for one in reversed(chosen)])
    keys = keys[windows.known_ns[keys] <= known_until_ns]
    losses = dict(zip(members, windows.loss[:, keys].mean(axis=1).tolist(), strict=True))
    coverages = dict(zip(members, windows.covered[:, keys].mean(axis=1).tolist(), strict=True))
    left_out = {
        name: f"its 80 % band covered {share:.0%} of {len(keys)} targets, not {COVERAGE[0]:.0%} to {COVERAGE[1]:.0%}"
        for name, share in coverages.items()
        if len(keys) >= LEAST_TARGETS and not COVERAGE[0] <= share <= COVERAGE[1]
    }
    kept = [name for name in members if name not in left_out]
    if not kept:
        left_out, kept = {}, list(members)  # nobody would be left: a pool of all is better than none
    return BucketFit(
        weights=shrunk({name: losses[name] for name in kept}),
        windows=len(chosen),
        losses=losses,
        coverages=coverages,
        left_out={**silent, **left_out},
        fitted_until_ns=int(windows.known_ns[keys].max()),
    )


def _reasons(buckets: Sequence[BucketFit]) -> dict[str, str]:
    """Who is left out and why, with the steps where it is not everywhere."""
    found: dict[str, dict[str, list[str]]] = {}
    for (first, last), one in zip(BUCKETS, buckets, strict=True):
        for name, reason in one.left_out.items():
            found.setdefault(name, {}).setdefault(reason, []).append(str(first) if first == last else f"{first}-{last}")
    return {
        name: "; ".join(
            reason if len(steps) == len(BUCKETS) else f"steps {', '.join(steps)}: {reason}"
            for reason, steps in reasons.items()
        )
        for name, reasons in found.items()
    }


# --- prepared once ------------------------------------------------------------------------------------------------


class _Career:
    """The versions of one member: which was the newest, and of which cutoff its newest score, as of any instant."""

    def __init__(self, scores: Scores, keys: ScoredKeys, name: str) -> None:
        mine = np.flatnonzero(keys.forecaster == name)
        order = np.lexsort((scores.forecast_id[mine], keys.data_cutoff_ns[mine]))
        rank = np.empty(len(mine), np.int64)
        rank[order] = np.arange(len(mine))  # by cutoff; of two at one cutoff the later forecast is the newer
        by_time = np.argsort(scores.realised_at_ns[mine], kind="stable")
        self._known_ns = scores.realised_at_ns[mine][by_time]
        self._newest = mine[order][np.maximum.accumulate(rank[by_time])] if len(mine) else mine
        self._version, self._cutoff_ns = keys.version, keys.data_cutoff_ns

    def version_at(self, known_until_ns: int) -> str | None:
        row = self._row(known_until_ns)
        return None if row < 0 else str(self._version[row])

    def newest_ns(self, known_until_ns: int) -> int:
        """The newest cutoff with a score by then; 0 for none."""
        row = self._row(known_until_ns)
        return 0 if row < 0 else int(self._cutoff_ns[row])

    def _row(self, known_until_ns: int) -> int:
        count = int(np.searchsorted(self._known_ns, known_until_ns, side="right"))
        return int(self._newest[count - 1]) if count else -1


class _Rows:
    """All rows with their key (cutoff, instrument and step in one integer) and the code of their (member, version)."""

    def __init__(self, scores: Scores, keys: ScoredKeys) -> None:
        self._scores = scores
        self.cutoffs_ns, self._cutoff = np.unique(keys.data_cutoff_ns, return_inverse=True)
        instruments, instrument = np.unique(keys.instrument.astype(str), return_inverse=True)
        self._instruments, self._span = max(1, len(instruments)), int(scores.step.max(initial=0)) + 1
        self._key = (self._cutoff * self._instruments + instrument) * self._span + scores.step
        self._who: dict[tuple[str, str], IntArray] = {}
        labels = list(zip(keys.forecaster.tolist(), keys.version.tolist(), strict=True))
        codes = {label: code for code, label in enumerate(dict.fromkeys(labels))}
        code = np.fromiter(map(codes.__getitem__, labels), np.int64, len(labels))
        for label, number in codes.items():
            mine = np.flatnonzero(code == number)
            mine = mine[np.argsort(self._key[mine], kind="stable")]
            if (np.diff(self._key[mine]) == 0).any():
                raise Invalid(f"{label[0]} {label[1]} is scored twice on one key", hint="one lane, variant and basis")
            self._who[label] = mine

    def shared(self, who: Sequence[tuple[str, str]]) -> tuple[_Windows, ...]:
        """The windows of each bucket on keys that all of them have."""
        rows = [self._who[one] for one in who]
        common = self._key[rows[0]]
        for one in rows[1:]:
            common = common[np.isin(common, self._key[one], assume_unique=True)]
        rows = [one[np.searchsorted(self._key[one], common)] for one in rows]
        bucket = bucket_of(common % self._span)
        return tuple(self._windows([one[bucket == number] for one in rows]) for number in range(len(BUCKETS)))

    def _windows(self, rows: Sequence[IntArray]) -> _Windows:
        """Rows (K,) of each member for the same keys, in the order of the keys."""
        scores, key = self._scores, self._key[rows[0]]
        _, cell, size = np.unique(key // self._span, return_inverse=True, return_counts=True)
        complete = size[cell] == len(np.unique(key % self._span))
        known_ns = np.zeros(len(size), np.int64)
        for one in rows:
            np.maximum.at(known_ns, cell, scores.realised_at_ns[one])
        void = np.any([np.isnan(scores.pinball_mean[one]) | (scores.void_reason[one] != "") for one in rows], axis=0)
        used = complete & ~void
        rows, known = [one[used] for one in rows], known_ns[cell[used]]
        cutoff, first = np.unique(self._cutoff[rows[0]], return_index=True)
        close_ns = np.max([scores.target_close_ns[one] for one in rows], axis=0)
        return _Windows(
            cutoff_ns=self.cutoffs_ns[cutoff].tolist(),
            close_ns=np.maximum.reduceat(close_ns, first).tolist() if len(first) else [],
            first_known_ns=np.minimum.reduceat(known, first).tolist() if len(first) else [],
            bounds=np.append(first, len(known)),
            known_ns=known,
            loss=np.array([scores.pinball_mean[one] for one in rows]),
            covered=np.array([scores.covered_80[one] for one in rows]),
        )
