"""Decoded paths made possible bars: nothing in the network keeps a high above a low, or a volume from being negative.

| rule | what breaks it becomes |
|---|---|
| prices are at least `floor` | `floor` |
| high >= open, close | the larger of the two |
| low <= open, close | the smaller of the two |
| volume, amount >= 0 | 0 |

Prices are mended first. A path that keeps the rules comes back as it was, so a second repair changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from gnomon.errors import Invalid

_OPEN, _HIGH, _LOW, _CLOSE, _VOLUME = range(5)

Floats = TypeVar("Floats", np.float32, np.float64)


@dataclass(frozen=True, slots=True)
class Corrections:
    """How many values of a forecast's paths had to be corrected, by kind."""

    prices: int = 0
    highs: int = 0
    lows: int = 0
    volumes: int = 0
    amounts: int = 0

    @property
    def total(self) -> int:
        return sum(self.document().values())

    def document(self) -> dict[str, int]:
        return asdict(self)

    def sentence(self) -> str:
        """What was corrected, in words."""
        said = ", ".join(f"{count:,} {kind}" for kind, count in self.document().items() if count)
        return f"corrected in the paths: {said or 'nothing'}"


def repair(paths: npt.NDArray[Floats], floor: float) -> tuple[npt.NDArray[Floats], Corrections]:
    """Consistent copies of paths (S, H, 6) of open, high, low, close, volume, amount, and the count of corrections.

    A high or low that follows a mended open or close counts as mended only where it broke a rule itself.
    Raises `Invalid` for values that are no finite numbers, or a floor that is not positive.
    """
    if not (math.isfinite(floor) and floor > 0):
        raise Invalid(f"a floor of {floor!r} for prices", hint="a positive number, such as the tick")
    if paths.ndim != 3 or paths.shape[2] != 6:
        raise Invalid(f"paths of shape {paths.shape}", hint="(samples, horizon, 6)")
    if not np.isfinite(paths).all():
        raise Invalid("a path holds values that are no finite numbers", hint="check the bars and the weights")
    mended = paths.copy()
    np.maximum(mended[..., : _CLOSE + 1], _at_least(floor, paths.dtype), out=mended[..., : _CLOSE + 1])
    np.maximum(mended[..., _VOLUME:], 0, out=mended[..., _VOLUME:])
    prices = _differ(mended, paths, slice(_CLOSE + 1))
    first, last = mended[..., _OPEN], mended[..., _CLOSE]
    high, low = mended[..., _HIGH].copy(), mended[..., _LOW].copy()
    np.maximum(high, np.maximum(first, last), out=mended[..., _HIGH])
    np.minimum(low, np.minimum(first, last), out=mended[..., _LOW])
    mended += 0.0  # no negative zero
    return mended, Corrections(
        prices=prices,
        highs=int(np.count_nonzero(mended[..., _HIGH] != high)),
        lows=int(np.count_nonzero(mended[..., _LOW] != low)),
        volumes=_differ(mended, paths, slice(_VOLUME, _VOLUME + 1)),
        amounts=_differ(mended, paths, slice(_VOLUME + 1, None)),
    )


def _at_least(floor: float, kind: np.dtype[Floats]) -> Floats:
    """The floor in the type of the paths; never rounded down to nothing."""
    value = kind.type(floor)
    return value if value > 0 else np.nextafter(kind.type(0), kind.type(1))


def _differ(mended: npt.NDArray[Floats], paths: npt.NDArray[Floats], columns: slice) -> int:
    return int(np.count_nonzero(mended[..., columns] != paths[..., columns]))
