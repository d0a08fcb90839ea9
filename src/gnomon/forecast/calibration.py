"""Recalibration of bands: an online, two-sided tracker per series and horizon bucket, and a split fit behind it.

`tracker`: each side of a bucket has a shift in log price. Above the median `q' = m + (q - m) e^u`, below
`q' = m - (m - q) e^l`, so the order of the levels and the median are kept by construction. When a target has realised,

    u += GAIN (1[y > q'(.9)] - .1)        l += GAIN (1[y < q'(.1)] - .1)        |u|, |l| <= BOUND

with the quantiles as they were served. One target counts for each non-overlapping window of a bucket: its graded steps
in turn, and the next window begins at a cutoff at or after that target's close. Targets count in the order in which
they realised.

`split`: where the tracker stands at a bound, each level is shifted by an order statistic of its past misses, in widths
of the 80 % band (`split_shifts`). A calibration is one of the two, never both.

It is insurance against bands that are badly wrong, not a source of skill. Sources: quantile tracking after Gibbs and
Candès and after Angelopoulos et al.; split conformal prediction after Romano et al.
"""

from __future__ import annotations

import bisect
import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from gnomon.errors import Invalid
from gnomon.forecast.buckets import BUCKETS, bucket_of
from gnomon.forecast.quantiles import normal_cdf, normal_scores
from gnomon.units import FloatArray, IntArray

GAIN: Final = 0.05
BOUND: Final = 1.5
MISS: Final = 0.1
"""The share of targets that may lie beyond each side of the 80 % band."""

SPLIT_LEAST: Final = 250
SPLIT_ROWS: Final = 500

_SMALLEST, _LARGEST = (float(bound) for bound in (np.finfo(np.float32).tiny, np.finfo(np.float32).max))
_EVER: Final = -(2**63)

Method = Literal["tracker", "split"]


@dataclass(frozen=True, slots=True)
class Shift:
    """How far one bucket's bands are stretched (log scale): above by `u`, below by `l`, from `n` targets."""

    u: float = 0.0
    l: float = 0.0  # noqa: E741 - the letter of the formula
    n: int = 0

    def after(self, side: float) -> Shift:
        """The shift after one more target: 1 above the 80 % band as served, -1 below it, 0 inside."""
        return Shift(
            min(BOUND, max(-BOUND, self.u + GAIN * (float(side > 0) - MISS))),
            min(BOUND, max(-BOUND, self.l + GAIN * (float(side < 0) - MISS))),
            self.n + 1,
        )


def advance(shift: Shift, realised: float, q10: float, q90: float) -> Shift:
    """The shift after one realised target. Prices or log prices: only their order counts."""
    return shift.after(float(realised > q90) - float(realised < q10))


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a curve is recalibrated by: a tracker's shift for each bucket of BUCKETS, or a split fit in its place.

    `splits` holds for each bucket the shift of every level of `levels`, in widths of the 80 % band; empty where the
    bucket has none.
    """

    shifts: tuple[Shift, ...] = tuple(Shift() for _ in BUCKETS)
    method: Method = "tracker"
    levels: tuple[float, ...] = ()
    splits: tuple[tuple[float, ...], ...] = ()

    @property
    def is_at_bound(self) -> bool:
        """Whether the tracker has gone as far as it may on either side of any bucket, give or take one miss: a target
        inside steps back from the bound by a tenth of that, and the two methods would take turns."""
        return any(max(abs(one.u), abs(one.l)) >= BOUND - GAIN for one in self.shifts)

    def tracked(self) -> Calibration:
        """The tracker's own state, whichever method is served: what the tracker must be fed with."""
        return replace(self, method="tracker", levels=(), splits=())

    def document(self) -> dict[str, Any]:
        """JSON that `from_document` reads back to an equal calibration, to the last bit."""
        said: dict[str, Any] = {"method": self.method, "shifts": [[one.u, one.l, one.n] for one in self.shifts]}
        if self.method == "split":
            said |= {"levels": list(self.levels), "splits": [list(one) for one in self.splits]}
        return said

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Calibration:
        """The calibration of a document; keys beside its own are another's. `Invalid` for what is none."""
        try:
            method = document["method"]
            shifts = tuple(Shift(float(u), float(low), int(n)) for u, low, n in document["shifts"])
            levels = tuple(float(one) for one in document.get("levels", ()))
            splits = tuple(tuple(float(one) for one in row) for row in document.get("splits", ()))
        except (KeyError, TypeError, ValueError) as error:
            raise Invalid(f"not a calibration: {error!r}", hint="made by `Calibration.document`") from None
        finite = all(math.isfinite(one) for row in (*splits, *((s.u, s.l) for s in shifts)) for one in row)
        of_levels = all(len(row) in (0, len(levels)) for row in splits)
        if method not in ("tracker", "split") or len(shifts) != len(BUCKETS) or not (finite and of_levels):
            raise Invalid(
                f"not a calibration: method {method!r} with {len(shifts)} shifts",
                hint=f"tracker or split, {len(BUCKETS)} buckets, finite numbers",
            )
        return cls(shifts, method, levels, splits)


# --- curves -------------------------------------------------------------------------------------------------------


def calibrate(quantiles: FloatArray, levels: Sequence[float], calibration: Calibration) -> FloatArray:
    """The quantiles (H, Q) recalibrated by the bucket of each step: sorted, positive, and within float32.

    A tracker keeps the median to the byte, and the bytes of every step whose shifts are zero. Raises `Invalid` when
    the median is not among the levels, and when a split fit was made for others.
    """
    levels, bucket = tuple(levels), _buckets(len(quantiles))
    if calibration.method == "split":
        return _split(quantiles, levels, calibration, bucket)
    if 0.5 not in levels:
        raise Invalid(f"levels {levels} have no median", hint="a calibrated forecast has the level 0.5")
    middle = levels.index(0.5)
    sides = [[one.l] * (middle + 1) + [one.u] * (len(levels) - middle - 1) for one in calibration.shifts]
    factor = np.exp(sides)[bucket]
    factor[:, middle] = 1.0
    median = quantiles[:, middle, None]
    with np.errstate(over="ignore", under="ignore"):
        stretched: FloatArray = np.exp(np.log(quantiles / median) * factor) * median
    np.maximum(stretched, _SMALLEST, out=stretched)
    np.minimum(stretched, _LARGEST, out=stretched)
    np.copyto(stretched, quantiles, where=factor == 1.0)
    stretched.sort(axis=1)  # an exponential may round neighbours past each other; the median stays in place
    return stretched


@lru_cache(maxsize=16)
def _buckets(horizon: int) -> IntArray:
    return bucket_of(np.arange(1, horizon + 1))


def _split(quantiles: FloatArray, levels: tuple[float, ...], fit: Calibration, bucket: IntArray) -> FloatArray:
    if levels != fit.levels:
        raise Invalid(f"levels {levels}", hint=f"the split was fitted for {', '.join(map(str, fit.levels))}")
    shift = np.array([row or [0.0] * len(levels) for row in fit.splits])[bucket]
    log_price = np.log(quantiles)
    with np.errstate(over="ignore", under="ignore"):
        moved = np.exp(log_price + shift * _width(log_price, levels)[:, None])
    moved = np.where(shift == 0.0, quantiles, np.clip(moved, _SMALLEST, _LARGEST))
    return np.sort(moved, axis=1)


def _width(log_price: FloatArray, levels: tuple[float, ...]) -> FloatArray:
    if 0.1 not in levels or 0.9 not in levels:
        raise Invalid(f"levels {levels} have no 80 % band", hint="a calibrated forecast has 0.1 and 0.9")
    width: FloatArray = log_price[:, levels.index(0.9)] - log_price[:, levels.index(0.1)]
    return width


def chance_above(quantiles: FloatArray, levels: Sequence[float], price: float) -> FloatArray:
    """P(close > price) of each step, (H,), read from curves (H, Q) of two levels or more.

    Between two levels and beyond the last the log price is normal; a price that several levels share counts half.
    """
    scores, shares = normal_scores(tuple(levels)), np.array(levels)
    away = np.log(quantiles) - math.log(price)
    rows, last = np.arange(len(away)), len(shares) - 1
    below, reached = (away < 0.0).sum(axis=1), (away <= 0.0).sum(axis=1)
    right = np.clip(below, 1, last)
    left = right - 1
    rise = away[rows, right] - away[rows, left]
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (scores[right] - scores[left]) / rise
        crossing = np.where(below == 0, scores[0] - away[:, 0] * slope, scores[left] - away[rows, left] * slope)
    flat = np.where(below == 0, -np.inf, np.inf)  # nothing lies beyond a level that equals its neighbour
    share = normal_cdf(np.where(rise > 0.0, crossing, flat))
    floor = np.where(below == 0, 0.0, shares[np.maximum(below - 1, 0)])
    ceiling = np.where(below > last, 1.0, shares[np.minimum(below, last)])
    tied = (shares[np.minimum(below, last)] + shares[np.maximum(reached - 1, 0)]) / 2.0
    return 1.0 - np.where(reached > below, tied, np.clip(share, floor, ceiling))


def sides(q10: FloatArray, q90: FloatArray, realised: FloatArray) -> FloatArray:
    """1 above the band, -1 below it, 0 inside, as the scores have it; NaN where nothing realised."""
    side = (realised > q90).astype(np.float64) - (realised < q10).astype(np.float64)
    return np.where(np.isnan(realised), np.nan, side)


# --- the tracker --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Bucket:
    """The tracker of one bucket. Cutoffs before `free_from_ns` lie inside a window that has begun."""

    steps: tuple[int, ...]
    shift: Shift = field(default_factory=Shift)
    windows: int = 0
    free_from_ns: int = _EVER

    def step(self, horizon: int) -> int:
        """The step whose target the next window waits for: the graded steps in turn; 0 where none is that near."""
        near = bisect.bisect_right(self.steps, horizon)
        return self.steps[self.windows % near] if near else 0


class CalibrationTracker:
    """The tracker of one series: told of each forecast as it was served, asked what is known by an instant.

    Forecasts come in order of their cutoffs. A window belongs to the first forecast with a cutoff in the free, whatever
    becomes of its target, so nothing that is known later decides what counts. A target not known yet is waited for:
    tell the same cutoff again (`needs_from_ns` says from where on) and only what was waited for is taken. So a tracker
    that is stored by `document`, read back and told the rest equals one that was told everything at once.

    Feed it with the band that the tracker itself made (`calibrate(raw, levels, calibration.tracked())`): where a split
    is served instead, the split's good coverage would pull the tracker from its bound, and the two would take turns.
    """

    def __init__(self, graded: Sequence[int]) -> None:
        bucket = bucket_of(np.asarray(graded, np.int64)).tolist()
        self._buckets = [
            _Bucket(tuple(step for step, of in zip(graded, bucket, strict=True) if of == number))
            for number in range(len(BUCKETS))
        ]
        self._steps = tuple(graded)
        self._place = {step: place for place, step in enumerate(graded)}
        self._open: dict[tuple[int, int], int] = {}  # (cutoff, bucket) to the step that is waited for
        self._known: list[tuple[int, int, int, float]] = []  # realised_at, target's close, bucket, side
        self._told_until_ns = _EVER
        self._made: Calibration | None = None  # the last answer, while it holds
        self.fitted_until_ns = 0

    def add(self, cutoff_ns: int, target_close_ns: IntArray, realised_at_ns: IntArray, side: npt.NDArray[Any]) -> None:
        """One forecast: at each graded step (S,), up to its horizon, its target's close, when the outcome became
        knowable (0 where that is not known yet), and on which side of the band as served it fell (NaN: void)."""
        if cutoff_ns > self._told_until_ns:
            self._told_until_ns = cutoff_ns
            horizon = self._steps[len(target_close_ns) - 1]
            for number, one in enumerate(self._buckets):
                if cutoff_ns >= one.free_from_ns and (step := one.step(horizon)):
                    self._open[cutoff_ns, number] = step
                    one.free_from_ns = int(target_close_ns[self._place[step]])
                    one.windows += 1
        for number in range(len(self._buckets)):
            place = self._place.get(self._open.get((cutoff_ns, number), 0))
            if place is not None and realised_at_ns[place] > 0:
                del self._open[cutoff_ns, number]
                known = int(realised_at_ns[place]), int(target_close_ns[place]), number, float(side[place])
                heapq.heappush(self._known, known)

    def until(self, at_ns: int) -> Calibration:
        """What is known at an instant: every target that was knowable by then, and no other."""
        while self._known and self._known[0][0] <= at_ns:
            realised_at_ns, _, number, side = heapq.heappop(self._known)
            if not math.isnan(side):
                self._buckets[number].shift = self._buckets[number].shift.after(side)
                self.fitted_until_ns = max(self.fitted_until_ns, realised_at_ns)
                self._made = None
        if self._made is None:
            self._made = Calibration(tuple(one.shift for one in self._buckets))
        return self._made

    @property
    def n(self) -> int:
        """Targets used so far."""
        return sum(one.shift.n for one in self._buckets)

    @property
    def needs_from_ns(self) -> int:
        """The oldest cutoff that it wants to be told again; all after the last one told are wanted too."""
        return min((cutoff_ns for cutoff_ns, _ in self._open), default=self._told_until_ns + 1)

    def document(self) -> dict[str, Any]:
        """JSON from which `from_document` goes on, beside what `Calibration.document` says of the shifts."""
        return {
            "tracker": {
                "buckets": [[b.shift.u, b.shift.l, b.shift.n, b.windows, b.free_from_ns] for b in self._buckets],
                "open": sorted([cutoff_ns, number, step] for (cutoff_ns, number), step in self._open.items()),
                "known": [[*rest, None if math.isnan(side) else side] for *rest, side in sorted(self._known)],
                "told_until_ns": self._told_until_ns,
                "fitted_until_ns": self.fitted_until_ns,
            }
        }

    @classmethod
    def from_document(cls, graded: Sequence[int], document: Mapping[str, Any]) -> CalibrationTracker:
        """The tracker as it was; `Invalid` for a document of another form or with steps that are not graded."""
        tracker = cls(graded)
        try:
            state = document["tracker"]
            for bucket, (u, low, n, windows, free_from_ns) in zip(tracker._buckets, state["buckets"], strict=True):
                bucket.shift = Shift(float(u), float(low), int(n))
                bucket.windows, bucket.free_from_ns = int(windows), int(free_from_ns)
            tracker._open = {(int(cutoff), int(number)): int(step) for cutoff, number, step in state["open"]}
            tracker._known = [
                (int(at), int(close), int(number), math.nan if side is None else float(side))
                for at, close, number, side in state["known"]
            ]
            tracker._told_until_ns = int(state["told_until_ns"])
            tracker.fitted_until_ns = int(state["fitted_until_ns"])
        except (KeyError, TypeError, ValueError) as error:
            raise Invalid(f"not a tracker's state: {error!r}", hint="made by `CalibrationTracker.document`") from None
        strange = [step for step in tracker._open.values() if step not in tracker._place]
        if strange:
            raise Invalid(f"a tracker that waits for step {strange[0]}", hint=f"graded steps: {tuple(graded)}")
        heapq.heapify(tracker._known)
        return tracker


def track(
    graded: Sequence[int],
    forecasts: Iterable[tuple[int, IntArray, IntArray, npt.NDArray[Any]]],
    until_ns: int,
    *,
    state: Mapping[str, Any] | None = None,
) -> CalibrationTracker:
    """A tracker, fresh or from a `document`, told forecasts (the arguments of `add`) by cutoff, up to an instant."""
    tracker = CalibrationTracker(graded) if state is None else CalibrationTracker.from_document(graded, state)
    for cutoff_ns, target_close_ns, realised_at_ns, side in forecasts:
        tracker.add(cutoff_ns, target_close_ns, realised_at_ns, side)
    tracker.until(until_ns)
    return tracker


# --- the split fit ------------------------------------------------------------------------------------------------


def split_shifts(quantiles: FloatArray, levels: Sequence[float], realised: FloatArray) -> tuple[float, ...]:
    """For each level the shift that past misses ask for, in widths of the 80 % band: quantiles (n, Q), realised (n,).

    `e = (y - q(t)) / (q(.9) - q(.1))` in log price; the shift is the ceil((n + 1) t)-th smallest e, its rank kept
    within 1 … n. Rows without a width say nothing. Empty where no row is left.
    """
    log_price = np.log(quantiles)
    width = _width(log_price, tuple(levels))
    rows = (width > 0.0) & ~np.isnan(realised)
    count = int(rows.sum())
    if not count:
        return ()
    missed = np.sort((np.log(realised[rows])[:, None] - log_price[rows]) / width[rows, None], axis=0)
    rank = np.ceil(np.round((count + 1) * np.array(levels), 9)).astype(np.int64)  # 0.55 * 100 is 55, not 56
    return tuple(missed[np.clip(rank, 1, count) - 1, np.arange(len(levels))].tolist())


def with_split(
    calibration: Calibration,
    quantiles: FloatArray,
    levels: Sequence[float],
    realised: FloatArray,
    step: IntArray,
    realised_at_ns: IntArray,
    *,
    until_ns: int,
) -> Calibration:
    """The split fit where the tracker stands at a bound and there is enough to fit it from, else `calibration` itself.

    Rows (n, Q) are raw curves of one series at graded steps with what realised. Of each bucket the last 500 that were
    knowable by `until_ns` are used; every bucket that the tracker has targets in needs 250, or the tracker stays.
    """
    if not calibration.is_at_bound:
        return calibration
    known = np.flatnonzero((realised_at_ns <= until_ns) & ~np.isnan(realised))
    known = known[np.argsort(realised_at_ns[known], kind="stable")]
    bucket = bucket_of(step)[known]
    splits = []
    for number, shift in enumerate(calibration.shifts):
        rows = known[bucket == number][-SPLIT_ROWS:]
        if shift.n and len(rows) < SPLIT_LEAST:
            return calibration
        splits.append(split_shifts(quantiles[rows], levels, realised[rows]) if len(rows) >= SPLIT_LEAST else ())
    return replace(calibration, method="split", levels=tuple(levels), splits=tuple(splits))
