"""From columns of numbers, as a provider answers them, to candles: placed on the calendar, counted, checked.

Nothing is mended. A row that is no closed bar of the calendar is left out and counted, with the reason; a page with
more of those than good ones is not the page that was asked for.

| left out              | why                                                                                 |
|-----------------------|-------------------------------------------------------------------------------------|
| a gap                 | a price is missing (providers fill their grid with nulls)                           |
| off the schedule      | no bar of the instrument's calendar opens then                                      |
| twice                 | another row before it has the same open                                             |
| no candle             | low <= open, close <= high does not hold, or a price is not positive                |
| unexact               | the prices do not fit the grid of the others                                        |

Rows that still form, and rows outside the window, are no fault and not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from gnomon.clock import Timeframe, iso
from gnomon.errors import Invalid
from gnomon.market.calendar import Sessions
from gnomon.market.candles import UNKNOWN_AMOUNT, Basis, Candles
from gnomon.market.instrument import Instrument
from gnomon.sources.files.decimals import Counted, count
from gnomon.sources.files.numbers import Flags
from gnomon.units import MONEY_DECIMALS, FloatArray, Grid, IntArray

GAP: Final = "a price is missing"
OFF_SCHEDULE: Final = "no bar of the calendar opens then"
TWICE: Final = "a bar before it has the same open"
NO_CANDLE: Final = "low <= open, close <= high does not hold, or a price is not positive"
UNEXACT: Final = "a value does not fit the grid of the others"

_MONEY: Final = Grid.of(f"0.{'0' * (MONEY_DECIMALS - 1)}1")
_STRAYS_OF_A_SHORT_PAGE: Final = 3


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows of one page that were left out for one reason: how many, and the open of the first."""

    instrument: str
    timeframe: str
    reason: str
    rows: int
    first_ns: int


@dataclass(slots=True, eq=False)
class Columns:
    """Rows of a provider: opens and closes (n,) in UTC ns, values (n,) as float64 with NaN where there is none.

    `volume` and `amount` are None where the provider has none. Each step leaves rows out and says so in `left_out`.
    """

    instrument: Instrument
    timeframe: Timeframe
    open_ns: IntArray
    close_ns: IntArray
    prices: tuple[FloatArray, FloatArray, FloatArray, FloatArray]  # open, high, low, close
    volume: FloatArray | None = None
    amount: FloatArray | None = None
    left_out: list[LeftOut] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.open_ns)

    def keep(self, good: Flags, reason: str = "") -> None:
        """Leave out what is not good, counted where there is a reason."""
        if good.all():
            return
        if reason:
            first_ns = int(self.open_ns[int(np.argmin(good))])
            rows = int((~good).sum())
            self.left_out.append(LeftOut(self.instrument.id, str(self.timeframe), reason, rows, first_ns))
        self.open_ns, self.close_ns = self.open_ns[good], self.close_ns[good]
        opened, high, low, close = (column[good] for column in self.prices)
        self.prices = opened, high, low, close
        self.volume = None if self.volume is None else self.volume[good]
        self.amount = None if self.amount is None else self.amount[good]

    def drop_gaps(self) -> None:
        """Rows without all four prices."""
        self.keep(np.asarray(np.isfinite(np.stack(self.prices)).all(axis=0)), GAP)

    def place(self, sessions: Sessions) -> None:
        """Closes of the bars that the calendar opens; rows off its schedule are left out.

        Raises `Invalid` when most rows are: a clock or a zone of the answer is not what it was.
        """
        if not len(self):
            return
        close_ns = scheduled_close(self.open_ns, self.timeframe, sessions)
        on_schedule = close_ns > 0
        strays = int((~on_schedule).sum())
        if strays > max(_STRAYS_OF_A_SHORT_PAGE, len(self) // 2):
            first_ns = int(self.open_ns[int(np.argmin(on_schedule))])
            raise Invalid(
                f"{self.instrument.id} {self.timeframe}: {strays} of {len(self)} rows open where calendar "
                f"{sessions.name} has no bar, the first at {iso(first_ns)}",
                hint="does the instrument have the right calendar? the provider may also have changed its stamps",
                detail={"rows": len(self), "off_schedule": strays},
            )
        self.close_ns = close_ns
        self.keep(on_schedule, OFF_SCHEDULE)

    def within(self, first_ns: int, last_ns: int, now_ns: int) -> None:
        """The bars that open in [first_ns, last_ns) and have closed by `now_ns`, by open time, each once."""
        asked = (self.open_ns >= first_ns) & (self.open_ns < last_ns)
        self.keep(np.asarray(asked & (self.close_ns <= now_ns)))
        if (np.diff(self.open_ns) > 0).all():
            return
        order = np.argsort(self.open_ns, kind="stable")
        self.open_ns, self.close_ns = self.open_ns[order], self.close_ns[order]
        opened, high, low, close = (column[order] for column in self.prices)
        self.prices = opened, high, low, close
        self.volume = None if self.volume is None else self.volume[order]
        self.amount = None if self.amount is None else self.amount[order]
        self.keep(np.asarray(np.diff(self.open_ns, prepend=self.open_ns[:1] - 1) > 0), TWICE)

    def candles(self, basis: Basis, knowable_ns: IntArray | None = None) -> Candles:
        """The rows as candles on the instrument's grids, or on finer powers of ten where values need them.

        `knowable_ns` (n,) by default is the close. Raises `Invalid` when more rows are no candles than are.
        """
        known_ns = self.close_ns if knowable_ns is None else knowable_ns
        counted = self._counted()
        opened, high, low, close = counted["price"].counts
        sound = (low > 0) & (low <= np.minimum(opened, close)) & (high >= np.maximum(opened, close))
        sound &= counted["volume"].counts[0] >= 0
        fits = np.logical_and.reduce([one.fits for one in counted.values()])
        self._refuse_nonsense(sound & fits)
        prices, tick = counted["price"].on(self.instrument.tick)
        (volume,), lot = counted["volume"].on(self.instrument.lot)
        amount, money = np.full(len(self), UNKNOWN_AMOUNT, np.int64), _MONEY
        if "amount" in counted:
            (amount,), money = counted["amount"].on(_MONEY)
        good = sound & fits
        series = Candles(
            instrument=self.instrument.id,
            timeframe=self.timeframe,
            basis=basis,
            tick=tick,
            lot=lot,
            money=money,
            open_ns=self.open_ns[good],
            close_ns=self.close_ns[good],
            knowable_ns=known_ns[good],
            open=prices[0][good],
            high=prices[1][good],
            low=prices[2][good],
            close=prices[3][good],
            volume=volume[good],
            amount=amount[good],
            flags=np.zeros(int(good.sum()), np.uint8),
        )
        for rows, reason in ((sound | ~fits, NO_CANDLE), (fits[sound | ~fits], UNEXACT)):
            self.keep(rows, reason)
        return series.check()

    def _counted(self) -> dict[str, Counted]:
        """Counts by kind; a volume that is missing is 0."""
        none = np.zeros(len(self))
        columns: dict[str, Sequence[FloatArray]] = {
            "price": self.prices,
            "volume": [none if self.volume is None else np.nan_to_num(self.volume, nan=0.0)],
        }
        if self.amount is not None and np.isfinite(self.amount).all():
            columns["amount"] = [self.amount]
        return {what: count(values, f"{what}s") for what, values in columns.items()}

    def _refuse_nonsense(self, good: Flags) -> None:
        bad = int((~good).sum())
        if bad > max(_STRAYS_OF_A_SHORT_PAGE, len(good) // 2):
            row = int(np.argmin(good))
            shown = ", ".join(f"{column[row]:g}" for column in self.prices)
            raise Invalid(
                f"{self.instrument.id} {self.timeframe}: {bad} of {len(good)} rows are no candles, the first at "
                f"{iso(int(self.open_ns[row]))} with open, high, low, close {shown}",
                hint="the provider may have changed the order of its columns",
            )


def scheduled_close(open_ns: IntArray, timeframe: Timeframe, sessions: Sessions) -> IntArray:
    """The close of the calendar's bar that opens at each instant; 0 where none does."""
    if not len(open_ns):
        return np.zeros(0, np.int64)
    reach_ns = 2 * timeframe.nominal_ns if timeframe.is_intraday else 40 * timeframe.nominal_ns
    bars = sessions.between(timeframe, int(open_ns.min()), int(open_ns.max()) + reach_ns)
    if not len(bars):
        return np.zeros(len(open_ns), np.int64)
    index = np.minimum(np.searchsorted(bars.open_ns, open_ns), len(bars) - 1)
    return np.where(bars.open_ns[index] == open_ns, bars.close_ns[index], 0)
