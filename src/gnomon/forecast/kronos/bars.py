"""What a person hands in, as arrays: six columns, wall-clock stamps, and the normalisation of a look-back."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from gnomon.errors import Invalid
from gnomon.forecast.kronos.config import FIELDS
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS, FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]  # pandas ships no types

CLIP: Final = 5.0
EPSILON: Final = np.float32(1e-5)

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One series: bars (L, 6) float64 and the wall-clock times (L + H,) ns of its bars and of those to forecast.

    `key` names its luck: the same key and seed draw the same path.
    """

    bars: FloatArray
    local_ns: IntArray
    key: str

    @property
    def horizon_bars(self) -> int:
        return len(self.local_ns) - len(self.bars)


@dataclass(frozen=True, slots=True, eq=False)
class Normalised:
    """A look-back in units of its own mean and deviation (float32), clipped."""

    x: Float32Array  # (L, 6)
    mean: Float32Array  # (6,)
    std: Float32Array  # (6,)

    @classmethod
    def of(cls, bars: FloatArray) -> Normalised:
        values = np.asarray(bars, np.float32, order="F")  # columns lie together: NumPy then adds pairwise, more exactly
        mean, std = values.mean(axis=0), values.std(axis=0)
        return cls(np.clip((values - mean) / (std + EPSILON), -CLIP, CLIP), mean, std)

    def prices(self, paths: Float32Array) -> Float32Array:
        """Normalised paths (…, 6) back in the units of the bars."""
        return paths * (self.std + EPSILON) + self.mean


def stamps(local_ns: IntArray) -> IntArray:
    """Minute, hour, weekday (Monday 0), day and month (…, 5) of wall-clock times in ns."""
    days = local_ns // DAY_NS
    date = days.astype("datetime64[D]")
    month = date.astype("datetime64[M]")
    columns = (
        local_ns // MINUTE_NS % 60,
        local_ns // HOUR_NS % 24,
        (days + 3) % 7,  # 1970-01-01 was a Thursday
        (date - month).astype(np.int64) + 1,
        month.astype(np.int64) % 12 + 1,
    )
    return np.stack(columns, axis=-1)


def series_of(frame: pd.DataFrame, future_timestamps: Any) -> Series:
    """A frame with `open, high, low, close` and maybe `volume, amount`; its times are its index or `timestamps`.

    Without `volume` both it and `amount` are zero; without `amount` it is volume times the mean of the four prices.
    Times are taken as the wall clock shows them. Raises `Invalid` for what lacks, is no number, or is out of order.
    """
    bars = _columns(frame)
    past, future = _wall_clock(_times_of(frame), "bars"), _wall_clock(future_timestamps, "future_timestamps")
    local_ns = np.concatenate([past, future])
    if not len(future):
        raise Invalid("no future_timestamps", hint="the times of the bars to forecast, one each")
    later = np.diff(local_ns) > 0
    if not later.all():
        row = int(np.argmin(later)) + 1
        of = f"bars row {row}" if row < len(past) else f"future_timestamps row {row - len(past)}"
        at = np.datetime64(int(local_ns[row]), "ns")
        raise Invalid(f"{of} at {at} is not after the one before", hint="sort the rows and keep each time once")
    return Series(bars, local_ns, _digest(bars, local_ns[: len(past)]))


def _columns(frame: pd.DataFrame) -> FloatArray:
    missing = [name for name in FIELDS[:4] if name not in frame.columns]
    if missing or not len(frame):
        said = f"no column {missing[0]!r}" if missing else "no rows"
        raise Invalid(
            f"the frame of bars has {said}", hint="open, high, low, close, and volume and amount if there are"
        )
    given = {name: np.asarray(frame[name], np.float64) for name in FIELDS if name in frame.columns}
    for name, values in given.items():
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values)))
            raise Invalid(f"{name} of row {row} is {values[row]}", hint="leave the row out, or fill it knowingly")
    prices = [given[name] for name in FIELDS[:4]]
    if "volume" not in given:
        volume = amount = np.zeros(len(frame))
    else:
        volume = given["volume"]
        amount = given.get("amount", volume * np.mean(prices, axis=0))
    return np.stack([*prices, volume, amount], axis=1)


def _times_of(frame: pd.DataFrame) -> Any:
    import pandas as pd

    if isinstance(frame.index, pd.DatetimeIndex):
        return frame.index
    for name in ("timestamps", "timestamp"):
        if name in frame.columns:
            return frame[name]
    raise Invalid("the frame of bars has no times", hint="a DatetimeIndex, or a column named timestamps")


def _wall_clock(times: Any, name: str) -> IntArray:
    import pandas as pd

    try:
        index = pd.DatetimeIndex(times)
    except (TypeError, ValueError) as error:
        raise Invalid(f"{name}: no times ({error})", hint="a DatetimeIndex, or a column of time stamps") from None
    if index.hasnans:
        raise Invalid(f"{name}: row {int(np.argmax(index.isna()))} has no time", hint="every bar needs one")
    return np.asarray(index.tz_localize(None).as_unit("ns").asi8)


def _digest(bars: FloatArray, local_ns: IntArray) -> str:
    state = hashlib.blake2b(digest_size=16)
    state.update(np.ascontiguousarray(bars, "<f8").data)
    state.update(np.ascontiguousarray(local_ns, "<i8").data)
    return state.hexdigest()
