"""The seeded market that every engine of a bench is given: prints and bars of one length, the same bytes everywhere.

Whole-array draws of NumPy's PCG64 in a fixed order, so the length is part of the input: `prints(2_000)[:1_000]` is not
`prints(1_000)`. Prices are ticks of 0.1, sizes lots of 0.001; a lot at a tick is worth 10^4 units of 10^-8 quote.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

T0_NS = 1_700_000_000_000_000_000
PRINT_NS, BAR_NS = 50_000_000, 60_000_000_000
TICK, LOT = "0.1", "0.001"
UNITS_PER_TICK_LOT = 10_000  # of 10^-8 quote
FEE_PPCM = 50_000  # 5 bp, in parts of 10^-8 of the notional, both ways
ORDER_LOTS = 10
HALF_SPREAD_TICKS = 5


@dataclass(frozen=True, slots=True)
class Prints:
    """Trades: time in ns, price in ticks, size in lots, and whether the buyer was the aggressor. All of one length."""

    ts: Integers
    price: Integers
    lots: Integers
    buy: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def side(self) -> npt.NDArray[np.uint8]:
        """As a tape spells it: 1 buyer aggressor, 2 seller aggressor."""
        return np.where(self.buy, 1, 2).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Bars:
    """Candles of one minute: open time in ns, prices in ticks, volume in units of the base asset."""

    open_ts: Integers
    open: Integers
    high: Integers
    low: Integers
    close: Integers
    volume: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.open_ts)


def prints(n: int) -> Prints:
    """A random walk of `n` prints, 50 ms apart; a buyer pays one tick more than a seller gets."""
    luck = np.random.default_rng(20240809)
    steps = luck.choice([-1, 0, 0, 1], n)
    mid = 600_000 + np.cumsum(steps)
    buy = luck.random(n) < 0.5
    size = np.round(luck.gamma(1.2, 0.05, n) + 0.001, 3)
    return Prints(
        ts=T0_NS + (np.arange(n, dtype=np.int64) + 1) * PRINT_NS,
        price=np.where(buy, mid + 1, mid).astype(np.int64),
        lots=np.round(size * 1000).astype(np.int64),
        buy=buy,
    )


def bars(n: int) -> Bars:
    """A random walk of `n` bars that never falls below 50,000 ticks; a bar opens where the one before it closed."""
    luck = np.random.default_rng(20240808)
    close = 400_000 + np.cumsum(np.round(luck.normal(0, 60, n)))
    close += max(0, 50_000 - close.min(initial=50_000))
    opened = np.concatenate([close[:1], close[:-1]])
    up = np.round(np.abs(luck.normal(0, 25, n)))
    down = np.round(np.abs(luck.normal(0, 25, n)))
    return Bars(
        open_ts=T0_NS + np.arange(n, dtype=np.int64) * BAR_NS,
        open=opened.astype(np.int64),
        high=(np.maximum(opened, close) + up).astype(np.int64),
        low=(np.minimum(opened, close) - down).astype(np.int64),
        close=close.astype(np.int64),
        volume=np.round(luck.gamma(2, 5, n) + 0.001, 3),
    )


Columns = TypeVar("Columns", Prints, Bars)


def save(columns: Prints | Bars, folder: Path) -> Path:
    """Writes every column as `<name>.npy`; a peer in another environment needs NumPy alone to read them."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in fields(columns):
        np.save(folder / f"{one.name}.npy", getattr(columns, one.name))
    return folder


def load(kind: type[Columns], folder: Path) -> Columns:
    """What `save` wrote."""
    return kind(**{one.name: np.load(folder / f"{one.name}.npy") for one in fields(kind)})
