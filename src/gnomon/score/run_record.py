"""What scoring needs of one Run, as plain columns: marks of its account, its fills, its orders.

The port between a stored Record, which holds integers, and statistics, which compute with floats. Whoever reads a
Record fills these columns; nothing that is computed from them enters a digest. Money is in the quote asset, quantities
in the base asset, times in ns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.score.returns import bars_in_year
from gnomon.units import FloatArray, IntArray

BUY: Final = 1
SELL: Final = -1
NEVER: Final = -1
"""An instant that did not come: an order that is still open, a request that was never acknowledged."""


@dataclass(frozen=True, slots=True)
class Listing:
    """An instrument of the run: its symbol, its base asset, and the decimals in which people read it."""

    symbol: str
    base: str
    price_decimals: int = 2
    quantity_decimals: int = 8

    @property
    def least(self) -> float:
        """The smallest quantity that counts as a holding: what lies below, a fee's rest, cannot be traded."""
        return 10.0**-self.quantity_decimals * (1.0 - 1e-9)


@dataclass(frozen=True, slots=True, eq=False)
class Periods:
    """The grid on which returns are taken: the end of each period (N,), its name, and how many make a year.

    `a_year` comes from the instrument's calendar: 365 days where it never closes, 252 sessions in New York.
    """

    name: str
    ends_ns: IntArray
    a_year: float

    def __post_init__(self) -> None:
        _rising("ends of periods", self.ends_ns, strictly=True)
        if not self.a_year > 0:
            raise Invalid(f"{self.a_year} periods a year", hint="365 days, 8760 hours, 252 sessions")

    @classmethod
    def of(cls, calendar: str, timeframe: Timeframe, ends_ns: npt.ArrayLike) -> Periods:
        """Periods that end with the bars of a timeframe on a calendar; `Invalid` for one without a stated year."""
        return cls(str(timeframe), np.asarray(ends_ns, np.int64), bars_in_year(calendar, timeframe))

    @classmethod
    def regular(cls, start_ns: int, end_ns: int, calendar: str, timeframe: Timeframe) -> Periods:
        """Periods of one length on a market that never closes: all that end in (start, end]."""
        step = timeframe.nominal_ns
        first = start_ns // step + 1
        return cls.of(calendar, timeframe, step * np.arange(first, end_ns // step + 1))


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """The account at T instants, the first at the opening: equity and cash (T,), position and price (T, I).

    `high` and `low` (T, I) are the extremes of the price since the mark before; without them the marks are the path.
    """

    at_ns: IntArray
    equity: FloatArray
    cash: FloatArray
    position: FloatArray
    price: FloatArray
    high: FloatArray | None = None
    low: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.at_ns)


@dataclass(frozen=True, slots=True, eq=False)
class Fills:
    """The fills of a run in their order, one a row (F,).

    `number` counts from 1 as `gnomon explain` does; `order` is the order's number; `instrument` and `fee_asset` are
    indices into the record's `listings` and `assets`; `side` is 1 to buy and -1 to sell. `fee` is in its asset,
    `fee_quote` its worth in the quote asset. `position_after` is the holding of the base asset once fill and fee are
    booked, exactly 0 when flat. `decision_price` and `arrival_price` are the mid (or last) price at `decided_ns` and
    at `arrived_ns`, NaN where there was none; `queued_ns` is the time that a resting order had waited, 0 for a taker.
    `why` is a sentence for each fill, or empty.
    """

    number: IntArray
    order: IntArray
    instrument: IntArray
    side: IntArray
    at_ns: IntArray
    decided_ns: IntArray
    arrived_ns: IntArray
    queued_ns: IntArray
    fee_asset: IntArray
    price: FloatArray
    quantity: FloatArray
    notional: FloatArray
    fee: FloatArray
    fee_quote: FloatArray
    position_after: FloatArray
    decision_price: FloatArray
    arrival_price: FloatArray
    maker: npt.NDArray[np.bool_]
    why: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.number)

    @classmethod
    def none(cls) -> Fills:
        """A run that never traded."""
        whole, real = np.zeros(0, np.int64), np.zeros(0)
        return cls(
            *(whole, whole, whole, whole, whole, whole, whole, whole, whole),
            *(real, real, real, real, real, real, real, real),
            maker=np.zeros(0, np.bool_),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Orders:
    """The orders of a run, refused ones too, one a row (N,); instants are `NEVER` where they did not come.

    `status` and `kind` are the venue's words (`FILLED`, `LIMIT`); `reject_code` is empty for an accepted order.
    """

    number: IntArray
    instrument: IntArray
    side: IntArray
    decided_ns: IntArray
    arrived_ns: IntArray
    acked_ns: IntArray
    done_ns: IntArray
    quantity: FloatArray
    executed: FloatArray
    kind: tuple[str, ...]
    status: tuple[str, ...]
    reject_code: tuple[str, ...]
    reject_text: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.number)

    @classmethod
    def none(cls) -> Orders:
        """A run that never sent an order."""
        whole, real = np.zeros(0, np.int64), np.zeros(0)
        return cls(whole, whole, whole, whole, whole, whole, whole, real, real, (), (), ())


@dataclass(frozen=True, slots=True, eq=False)
class RunRecord:
    """All that the figures and the report of a run are computed from. `Invalid` for columns that do not fit together.

    `assets` are the names that `Fills.fee_asset` counts into; `quote` is the asset of all money here.
    """

    run: str
    quote: str
    listings: tuple[Listing, ...]
    assets: tuple[str, ...]
    marks: Marks
    fills: Fills
    orders: Orders
    periods: Periods

    def __post_init__(self) -> None:
        if not len(self.marks):
            raise Invalid(f"run {self.run} has no mark of its account", hint="the opening balance is the first mark")
        wide = (len(self.marks), len(self.listings))
        _shaped(self.marks, dict.fromkeys(("position", "price", "high", "low"), wide), wide[:1])
        _shaped(self.fills, {}, (len(self.fills),))
        _shaped(self.orders, {}, (len(self.orders),))
        _rising("marks", self.marks.at_ns)
        _rising("fills", self.fills.at_ns)
        _within("instrument of a fill", self.fills.instrument, len(self.listings))
        _within("instrument of an order", self.orders.instrument, len(self.listings))
        _within("asset of a fee", self.fills.fee_asset, len(self.assets))
        if not self.marks.equity[0] > 0:
            raise Invalid(f"run {self.run} opens with an equity of {self.marks.equity[0]}", hint="give it a balance")

    @property
    def opening(self) -> float:
        """The equity before anything was done."""
        return float(self.marks.equity[0])


def _shaped(columns: Any, wide: dict[str, tuple[int, ...]], narrow: tuple[int, ...]) -> None:
    for one in fields(columns):
        values = getattr(columns, one.name)
        expected = wide.get(one.name, narrow)
        if values is None or (isinstance(values, tuple) and not values):
            continue
        found = values.shape if isinstance(values, np.ndarray) else (len(values),)
        if found != expected:
            kind = type(columns).__name__
            raise Invalid(f"{kind}.{one.name} has the shape {found}, expected {expected}", hint="a row for each")


def _rising(what: str, at_ns: IntArray, *, strictly: bool = False) -> None:
    steps = np.diff(at_ns)
    if (steps <= 0 if strictly else steps < 0).any():
        raise Invalid(f"the {what} are not in the order of time", hint="sort them")


def _within(what: str, index: Sequence[int] | IntArray, count: int) -> None:
    wrong = [int(one) for one in np.unique(index) if not 0 <= one < count]
    if wrong:
        raise Invalid(f"{what}: index {wrong[0]} of {count}", hint="count from 0")
