"""Candles: closed bars as a struct of integer arrays.

| column       | dtype | unit                                                                      |
|--------------|-------|---------------------------------------------------------------------------|
| `open_ns`    | int64 | UTC ns, first instant of the bar; strictly increasing                     |
| `close_ns`   | int64 | UTC ns, first instant at which the bar cannot change                      |
| `knowable_ns`| int64 | UTC ns, when this row became knowable; at or after its close              |
| `open` `high` `low` `close` | int64 | ticks of `tick`                                            |
| `volume`     | int64 | lots of `lot`                                                             |
| `amount`     | int64 | turnover in units of `money`; -1 where the source does not say            |
| `flags`      | uint8 | bits: 1 roll day of a continuous future, 2 trading halt                   |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from gnomon.clock import Timeframe, iso
from gnomon.errors import Invalid
from gnomon.units import FloatArray, Grid, IntArray, scaled

Basis = Literal["raw", "split", "adjusted"]
"""raw: as printed then. split: adjusted for splits. adjusted: for splits and dividends. Never joined to each other."""

ROLL: Final = 1
HALT: Final = 2
UNKNOWN_AMOUNT: Final = -1

COLUMNS: Final[dict[str, str]] = {
    "open_ns": "<i8",
    "close_ns": "<i8",
    "knowable_ns": "<i8",
    "open": "<i8",
    "high": "<i8",
    "low": "<i8",
    "close": "<i8",
    "volume": "<i8",
    "amount": "<i8",
    "flags": "|u1",
}


@dataclass(frozen=True, slots=True, eq=False)
class Candles:
    """Bars of one instrument, timeframe and basis, oldest first. Arrays of one length; treat them as read-only."""

    instrument: str
    timeframe: Timeframe
    basis: Basis
    tick: Grid
    lot: Grid
    money: Grid
    open_ns: IntArray
    close_ns: IntArray
    knowable_ns: IntArray
    open: IntArray
    high: IntArray
    low: IntArray
    close: IntArray
    volume: IntArray
    amount: IntArray
    flags: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.open_ns)

    @property
    def key(self) -> tuple[str, str, str]:
        return self.instrument, str(self.timeframe), self.basis

    def columns(self) -> dict[str, npt.NDArray[np.generic]]:
        """Name to array, in the order and dtypes of `COLUMNS`."""
        return {name: np.ascontiguousarray(getattr(self, name), dtype=dtype) for name, dtype in COLUMNS.items()}

    def take(self, rows: slice | IntArray | npt.NDArray[np.bool_]) -> Candles:
        """The chosen rows. A slice shares memory."""
        return replace(self, **{name: getattr(self, name)[rows] for name in COLUMNS})

    def ohlcva(self) -> FloatArray:
        """(n, 6) float64: open, high, low, close, volume, amount.

        An unknown amount is the volume times the mean of the four prices.
        """
        prices = [self.tick.floats(column) for column in (self.open, self.high, self.low, self.close)]
        volume = self.lot.floats(self.volume)
        known = self.amount != UNKNOWN_AMOUNT
        amount = np.where(known, self.money.floats(self.amount), volume * (sum(prices) / 4))
        return np.column_stack([*prices, volume, amount])

    def check(self) -> Candles:
        """This, or `Invalid` with the first row that breaks an invariant of the module's table."""
        rules = {
            "open times must increase strictly": np.diff(self.open_ns, prepend=self.open_ns[:1] - 1) > 0,
            "a bar must close after it opens": self.close_ns > self.open_ns,
            "a bar is not knowable before its close": self.knowable_ns >= self.close_ns,
            "prices must be positive": self.low > 0,
            "low <= open, close <= high": (self.low <= np.minimum(self.open, self.close))
            & (self.high >= np.maximum(self.open, self.close)),
            "volume must not be negative": self.volume >= 0,
            "amount must not be negative, or -1 where it is unknown": self.amount >= UNKNOWN_AMOUNT,
        }
        for rule, good in rules.items():
            if not good.all():
                row = int(np.argmin(good))
                raise Invalid(
                    f"{self.instrument} {self.timeframe}, bar {row} at {iso(int(self.open_ns[row]))}: {rule}",
                    hint="mend the source or import with --skip-bad",
                    detail={"row": row, "rule": rule},
                )
        return self

    def regrid(self, tick: Grid, lot: Grid, money: Grid) -> Candles:
        """The same values counted on grids at least as fine; `Invalid` when one would need rounding."""
        price, size, worth = self.tick.times(tick), self.lot.times(lot), self.money.times(money)
        return replace(
            self,
            tick=tick,
            lot=lot,
            money=money,
            open=scaled(self.open, price),
            high=scaled(self.high, price),
            low=scaled(self.low, price),
            close=scaled(self.close, price),
            volume=scaled(self.volume, size),
            amount=np.where(self.amount == UNKNOWN_AMOUNT, UNKNOWN_AMOUNT, scaled(self.amount, worth)),
        )


def concat(parts: Sequence[Candles]) -> Candles:
    """One series from parts in time order, all of one key and one set of grids."""
    head = parts[0]
    assert all(
        (part.key, part.tick, part.lot, part.money) == (head.key, head.tick, head.lot, head.money) for part in parts
    )
    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}
    return replace(head, **columns)
