"""Windows of bars to train on: look-back, horizon and one, in units of the look-back alone. No PyTorch in here.

A window never crosses the instant that parts training from validation: one that would is in neither.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from gnomon import chance
from gnomon.clock import iso
from gnomon.errors import Invalid
from gnomon.forecast.kronos.bars import CLIP, EPSILON, Float32Array, stamps
from gnomon.forecast.kronos.config import FIELDS
from gnomon.units import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """The bars of one series, in order: open, high, low, close, volume, amount. `Invalid` for what is no such thing.

    Windows are parted by `open_ns` and `close_ns` (UTC); stamps are read off `local_ns`, the wall clock at the opens.
    """

    name: str
    bars: FloatArray  # (L, 6)
    open_ns: IntArray  # (L,)
    close_ns: IntArray  # (L,)
    local_ns: IntArray  # (L,)

    def __post_init__(self) -> None:
        rows = len(self.bars)
        if self.bars.shape != (rows, len(FIELDS)):
            raise Invalid(f"{self.name}: bars of shape {self.bars.shape}", hint=f"(L, 6): {', '.join(FIELDS)}")
        for name in ("open_ns", "close_ns", "local_ns"):
            shape = getattr(self, name).shape
            if shape != (rows,):
                raise Invalid(f"{self.name}: {name} has shape {shape}", hint="one time for each bar")
        if not np.isfinite(self.bars).all():
            row = int(np.argmin(np.isfinite(self.bars).all(axis=1)))
            raise Invalid(f"{self.name}: row {row} holds {self.bars[row]}", hint="leave the row out")
        if (np.diff(self.open_ns) <= 0).any() or (self.close_ns <= self.open_ns).any():
            raise Invalid(f"{self.name}: bars out of order", hint="sort by time, keep each bar once, close after open")


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Windows of `lookback_bars + horizon_bars + 1` bars over rows that all of them share."""

    bars: Float32Array  # (rows, 6): of all series, one after the other
    stamps: IntArray  # (rows, 5)
    starts: IntArray  # (windows,): the first row of each
    lookback_bars: int
    horizon_bars: int

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def bars_each(self) -> int:
        return self.lookback_bars + self.horizon_bars + 1

    def batch(self, which: npt.NDArray[np.integer]) -> tuple[Float32Array, IntArray]:
        """Normalised bars (B, N, 6), clipped to ±5, and stamps (B, N, 5) of the chosen windows."""
        rows = self.starts[which][:, None] + np.arange(self.bars_each)
        # Time lies along memory, as in `Normalised.of`: the sums are then the same to the last bit.
        columns = np.ascontiguousarray(self.bars[rows].transpose(0, 2, 1))
        known = columns[:, :, : self.lookback_bars]
        mean, std = known.mean(axis=-1, keepdims=True), known.std(axis=-1, keepdims=True)
        x = np.clip((columns - mean) / (std + EPSILON), -CLIP, CLIP)
        return np.ascontiguousarray(x.transpose(0, 2, 1)), self.stamps[rows]

    def spread(self, count: int) -> Windows:
        """At most `count` of the windows, evenly spaced."""
        if count >= len(self):
            return self
        return replace(self, starts=self.starts[np.arange(count) * len(self) // count])

    def digest(self) -> str:
        """BLAKE2b-128 of all that these windows hold."""
        state = hashlib.blake2b(f"{self.lookback_bars}|{self.horizon_bars}".encode(), digest_size=16)
        for array, kind in ((self.bars, "<f4"), (self.stamps, "<i8"), (self.starts, "<i8")):
            state.update(np.ascontiguousarray(array, kind).data)
        return state.hexdigest()


def windows_of(
    histories: Sequence[History],
    lookback_bars: int,
    horizon_bars: int,
    *,
    from_ns: int | None = None,
    until_ns: int | None = None,
) -> Windows:
    """Every window whose first bar opens at `from_ns` or later and whose last bar closes by `until_ns`.

    In the order of the names and of time, whatever the order of the series. Raises `Invalid` where there is none, and
    for two series of one name.
    """
    size = f"{lookback_bars} + {horizon_bars} + 1 bars"
    if lookback_bars < 2 or horizon_bars < 1:
        raise Invalid(f"windows of {size}", hint="a look-back of 2 or more, a horizon of 1 or more")
    ordered = sorted(histories, key=lambda one: one.name)
    twice = [one.name for one, other in pairwise(ordered) if one.name == other.name]
    if twice:
        raise Invalid(f"two series are named {twice[0]}", hint="a name of its own for each series")
    starts, row = [], 0
    for one in ordered:
        first = 0 if from_ns is None else int(np.searchsorted(one.open_ns, from_ns))
        end = len(one.bars) if until_ns is None else int(np.searchsorted(one.close_ns, until_ns, side="right"))
        starts.append(row + np.arange(first, end - lookback_bars - horizon_bars))
        row += len(one.bars)
    if not sum(map(len, starts)):
        raise Invalid(
            f"no window of {size} {_between(from_ns, until_ns)}in {len(ordered)} series",
            hint="longer series, or shorter windows",
        )
    return Windows(
        bars=np.concatenate([one.bars for one in ordered]).astype(np.float32),
        stamps=stamps(np.concatenate([one.local_ns for one in ordered])),
        starts=np.concatenate(starts),
        lookback_bars=lookback_bars,
        horizon_bars=horizon_bars,
    )


def split(
    histories: Sequence[History], lookback_bars: int, horizon_bars: int, cut_ns: int, *, until_ns: int | None = None
) -> tuple[Windows, Windows]:
    """Windows to train on, all closed by `cut_ns`, and windows to validate on, none opened before it.

    The windows between are dropped, so that no bar is on both sides, and no instant of one series against another.
    """
    return (
        windows_of(histories, lookback_bars, horizon_bars, until_ns=cut_ns),
        windows_of(histories, lookback_bars, horizon_bars, from_ns=cut_ns, until_ns=until_ns),
    )


def shuffled(count: int, step: int, batch_windows: int, *, seed: int) -> IntArray:
    """Which of `count` windows step `step` (from 0) is trained on, (batch_windows,).

    Epochs follow each other, each in an order that belongs to (seed, epoch): a step depends on no step before.
    """
    place = np.arange(step * batch_windows, (step + 1) * batch_windows)
    epoch, within = np.divmod(place, count)
    return np.concatenate([_order(seed, int(one), count)[within[epoch == one]] for one in np.unique(epoch)])


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, count: int) -> IntArray:
    order = chance.generator(seed, "training windows", epoch).permutation(count)
    order.flags.writeable = False
    return order


def _between(from_ns: int | None, until_ns: int | None) -> str:
    after = "" if from_ns is None else f"from {iso(from_ns)} "
    return after + ("" if until_ns is None else f"until {iso(until_ns)} ")
