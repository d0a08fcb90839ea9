"""The disagreement flag: two members of a pool that usually agree, and now do not.

`D = mean_h |p50_1 - p50_2| / mean_h ½ [(p90 - p10)_1 + (p90 - p10)_2]`. It is raised where D exceeds the 95th
percentile of its own trailing 250 values for the instrument and timeframe, or where the medians lie on opposite sides
of the last close, each by more than a quarter of its own band (all means over the steps). Then a pool may serve the
members' envelope. A flag with a scorecard of its own (`score.disagreement`), not a signal.

Source: forecasting.md 5; there is no literature under this name.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

import numpy as np

from gnomon.errors import Invalid
from gnomon.forecast.forecast import Context
from gnomon.units import FloatArray

TRAILING: Final = 250
LEAST_TRAILING: Final = 50
"""With fewer values of its own past, D alone raises nothing."""

PERCENTILE: Final = 0.95
BAND_SHARE: Final = 0.25
FARTHEST: Final = 1e6
"""What D is for medians apart without any band: a number, so that it can be stored."""

OnDisagree = Literal["flag", "widen"]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """How far two members lie apart. `threshold` is the percentile D is held against, None for too short a past."""

    distance: float
    threshold: float | None
    is_opposite: bool

    @property
    def is_raised(self) -> bool:
        return self.is_opposite or self.is_far

    @property
    def is_far(self) -> bool:
        return self.threshold is not None and self.distance > self.threshold

    @property
    def words(self) -> str:
        """Why it is raised; empty where it is not."""
        said = ["they lie unusually far apart"] * self.is_far + ["their medians point opposite ways"] * self.is_opposite
        return " and ".join(said)

    def document(self) -> dict[str, Any]:
        """JSON for the forecast's params; `distance` is what later flags are held against."""
        return {"distance": self.distance, "threshold": self.threshold, "raised": self.is_raised, "why": self.words}


class Distances(Protocol):
    """Where a flag finds its own past, and puts what it measures."""

    def of(self, context: Context) -> FloatArray:
        """The distances of forecasts of this series with an earlier cutoff, by cutoff."""
        ...

    def add(self, context: Context, distance: float) -> None:
        """What was measured for a context: the past of later ones."""
        ...


@dataclass(slots=True)
class KnownDistances:
    """Distances in memory. Told in any order; a cutoff told twice keeps the first."""

    _series: dict[tuple[str, str, str], list[tuple[int, float]]] = field(default_factory=dict)

    def add(self, context: Context, distance: float) -> None:
        self.put(_series_of(context), context.data_cutoff_ns, distance)

    def put(self, series: tuple[str, str, str], cutoff_ns: int, distance: float) -> None:
        """The distance of a series (instrument, timeframe, basis) at a cutoff."""
        known = self._series.setdefault(series, [])
        place = bisect.bisect_left(known, (cutoff_ns,))
        if place == len(known) or known[place][0] != cutoff_ns:
            known.insert(place, (cutoff_ns, distance))

    def of(self, context: Context) -> FloatArray:
        known = self._series.get(_series_of(context), [])
        end = bisect.bisect_left(known, (context.data_cutoff_ns,))
        return np.array([distance for _, distance in known[max(0, end - TRAILING) : end]])


def _series_of(context: Context) -> tuple[str, str, str]:
    return context.instrument, str(context.timeframe), context.basis


@dataclass(frozen=True, slots=True)
class Flag:
    """Which two members a pool watches, where it finds the past of their distance, and what it does when it is raised:
    say so, or also serve the envelope of all members."""

    first: str
    second: str
    distances: Distances
    on_disagree: OnDisagree = "widen"

    def __post_init__(self) -> None:
        if self.on_disagree not in ("flag", "widen"):
            raise Invalid(f"on_disagree {self.on_disagree!r}", hint="flag or widen")
        if self.first == self.second:
            raise Invalid(f"{self.first} cannot disagree with itself", hint="name two members")


def disagreement(
    first: FloatArray, second: FloatArray, levels: Sequence[float], base_price: float, trailing: FloatArray
) -> Disagreement:
    """Two curves (H, Q) from one cutoff, held against the distances (n,) of earlier cutoffs, newest last."""
    past = trailing[-TRAILING:]
    threshold = float(np.quantile(past, PERCENTILE)) if len(past) >= LEAST_TRAILING else None
    return Disagreement(distance(first, second, levels), threshold, are_opposite(first, second, levels, base_price))


def distance(first: FloatArray, second: FloatArray, levels: Sequence[float]) -> float:
    """D: the mean gap of the medians in mean widths of the 80 % bands, at most `FARTHEST`."""
    gap = float(np.abs(_median(first, levels) - _median(second, levels)).mean())
    width = float(_width(first, levels).mean() + _width(second, levels).mean()) / 2.0
    return 0.0 if gap == 0.0 else min(FARTHEST, gap / max(width, gap / FARTHEST))


def are_opposite(first: FloatArray, second: FloatArray, levels: Sequence[float], base_price: float) -> bool:
    """Whether the medians lie, on average over the steps, on either side of the base price by over a quarter band."""
    moves = [float((_median(curve, levels) - base_price).mean()) for curve in (first, second)]
    quarters = [BAND_SHARE * float(_width(curve, levels).mean()) for curve in (first, second)]
    is_far = all(abs(move) > quarter for move, quarter in zip(moves, quarters, strict=True))
    return is_far and moves[0] * moves[1] < 0.0


def envelope(curves: FloatArray, levels: Sequence[float], median: FloatArray | None = None) -> FloatArray:
    """The widest curve (H, Q) around members' curves (M, H, Q): the lowest below the median, the highest above it.

    The median is the one given, kept inside, or the median of the medians.
    """
    low, high = curves.min(axis=0), curves.max(axis=0)
    middle = list(levels).index(0.5)
    widest: FloatArray = np.where(np.array(levels) < 0.5, low, high)
    inner = np.median(curves[:, :, middle], axis=0) if median is None else median
    widest[:, middle] = np.clip(inner, low[:, middle], high[:, middle])
    return widest


def _median(curve: FloatArray, levels: Sequence[float]) -> FloatArray:
    median: FloatArray = curve[:, list(levels).index(0.5)]
    return median


def _width(curve: FloatArray, levels: Sequence[float]) -> FloatArray:
    width: FloatArray = curve[:, list(levels).index(0.9)] - curve[:, list(levels).index(0.1)]
    return width
