"""Quotes: the best bid and ask as a struct of integer arrays, a row whenever one of the four numbers changed.

| column               | dtype | unit                                                                  |
|----------------------|-------|-----------------------------------------------------------------------|
| `time_ns`            | int64 | UTC ns of the venue; never decreasing                                 |
| `received_ns`        | int64 | UTC ns of the recorder's clock; equals `time_ns` where there was none |
| `bid` `ask`          | int64 | ticks                                                                 |
| `bid_qty` `ask_qty`  | int64 | lots displayed there                                                  |

Prices and quantities that were mapped from files are int32 where every value fits: cast before you multiply. A row
whose bid is not below its ask is kept as it came (consolidated quotes cross for moments): whoever trades on it decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from gnomon.clock import iso
from gnomon.errors import Invalid
from gnomon.units import Grid, IntArray, scaled

COLUMNS: Final[dict[str, str]] = {
    "time_ns": "<i8",
    "received_ns": "<i8",
    "bid": "<i8",
    "bid_qty": "<i8",
    "ask": "<i8",
    "ask_qty": "<i8",
}


@dataclass(frozen=True, slots=True, eq=False)
class Quotes:
    """Best prices of one instrument in their total order (time, then the order of the source)."""

    instrument: str
    tick: Grid
    lot: Grid
    time_ns: IntArray
    received_ns: IntArray
    bid: IntArray
    bid_qty: IntArray
    ask: IntArray
    ask_qty: IntArray

    def __len__(self) -> int:
        return len(self.time_ns)

    @property
    def key(self) -> tuple[str, str, str]:
        return self.instrument, "quotes", "raw"

    def columns(self) -> dict[str, npt.NDArray[np.generic]]:
        """Name to array, in the order and dtypes of `COLUMNS`."""
        return {name: np.ascontiguousarray(getattr(self, name), dtype=dtype) for name, dtype in COLUMNS.items()}

    def take(self, rows: slice | IntArray | npt.NDArray[np.bool_]) -> Quotes:
        return replace(self, **{name: getattr(self, name)[rows] for name in COLUMNS})

    def regrid(self, tick: Grid, lot: Grid) -> Quotes:
        """The same quotes counted on grids at least as fine; `Invalid` when one would need rounding."""
        price, size = self.tick.times(tick), self.lot.times(lot)
        return replace(
            self,
            tick=tick,
            lot=lot,
            bid=scaled(self.bid, price),
            ask=scaled(self.ask, price),
            bid_qty=scaled(self.bid_qty, size),
            ask_qty=scaled(self.ask_qty, size),
        )

    def check(self) -> Quotes:
        """This, or `Invalid` with the first quote that breaks an invariant."""
        rules = {
            "time must not go back": np.diff(self.time_ns, prepend=self.time_ns[:1]) >= 0,
            "bid and ask must be positive": (self.bid > 0) & (self.ask > 0),
            "quantities must not be negative": (self.bid_qty >= 0) & (self.ask_qty >= 0),
        }
        for rule, good in rules.items():
            if not good.all():
                row = int(np.argmin(good))
                raise Invalid(
                    f"{self.instrument}, quote {row} at {iso(int(self.time_ns[row]))}: {rule}",
                    hint="mend the source or import with --skip-bad",
                    detail={"row": row, "rule": rule},
                )
        return self
