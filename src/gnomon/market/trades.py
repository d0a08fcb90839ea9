"""Trades: market prints (never ours) as a struct of integer arrays.

| column    | dtype | unit                                                                  |
|-----------|-------|-----------------------------------------------------------------------|
| `time_ns` | int64 | UTC ns of the venue; never decreasing                                 |
| `received_ns` | int64 | UTC ns of the recorder's clock; equals `time_ns` where there was none |
| `id`      | int64 | the venue's id, or the row number of the file                         |
| `price`   | int64 | ticks                                                                 |
| `size`    | int64 | lots                                                                  |
| `side`    | int8  | the aggressor: 1 bought, -1 sold, 0 unknown                           |
| `flags`   | uint8 | bits: 1 suspicious, 2 outside regular hours                           |

`price` and `size` that were mapped from files are int32 where every value fits: cast before you multiply.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from gnomon.clock import iso
from gnomon.errors import Invalid
from gnomon.units import Grid, IntArray, scaled

SUSPICIOUS: Final = 1
EXTENDED_HOURS: Final = 2

COLUMNS: Final[dict[str, str]] = {
    "time_ns": "<i8",
    "received_ns": "<i8",
    "id": "<i8",
    "price": "<i8",
    "size": "<i8",
    "side": "|i1",
    "flags": "|u1",
}


@dataclass(frozen=True, slots=True, eq=False)
class Trades:
    """Prints of one instrument in their total order (time, then the order of the source)."""

    instrument: str
    tick: Grid
    lot: Grid
    time_ns: IntArray
    received_ns: IntArray
    id: IntArray
    price: IntArray
    size: IntArray
    side: npt.NDArray[np.int8]
    flags: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.time_ns)

    @property
    def key(self) -> tuple[str, str, str]:
        return self.instrument, "trades", "raw"

    def columns(self) -> dict[str, npt.NDArray[np.generic]]:
        """Name to array, in the order and dtypes of `COLUMNS`."""
        return {name: np.ascontiguousarray(getattr(self, name), dtype=dtype) for name, dtype in COLUMNS.items()}

    def take(self, rows: slice | IntArray | npt.NDArray[np.bool_]) -> Trades:
        return replace(self, **{name: getattr(self, name)[rows] for name in COLUMNS})

    def regrid(self, tick: Grid, lot: Grid) -> Trades:
        """The same prints counted on grids at least as fine; `Invalid` when one would need rounding."""
        price, size = scaled(self.price, self.tick.times(tick)), scaled(self.size, self.lot.times(lot))
        return replace(self, tick=tick, lot=lot, price=price, size=size)

    def check(self) -> Trades:
        """This, or `Invalid` with the first print that breaks an invariant."""
        rules = {
            "time must not go back": np.diff(self.time_ns, prepend=self.time_ns[:1]) >= 0,
            "price must be positive": self.price > 0,
            "size must not be negative": self.size >= 0,
            "side must be 1, -1 or 0": (self.side >= -1) & (self.side <= 1),
        }
        for rule, good in rules.items():
            if not good.all():
                row = int(np.argmin(good))
                raise Invalid(
                    f"{self.instrument}, trade {row} at {iso(int(self.time_ns[row]))}: {rule}",
                    hint="mend the source or import with --skip-bad",
                    detail={"row": row, "rule": rule},
                )
        return self
