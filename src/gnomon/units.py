"""Ticks, lots, money units and nanoseconds: integers that must not mix.

| expression        | gives    | why                                              |
|-------------------|----------|--------------------------------------------------|
| Ticks - Ticks     | Ticks    | a price difference                               |
| Ticks + Ticks     | nonsense | two prices have no sum; a type checker cannot say, a reviewer must |
| Ticks * Lots      | Money    | only through `Instrument`, which knows the scale |
| Nanoseconds - Ns  | Ns       | a duration                                       |

The types are `int` at run time (`NewType`), so arrays of them are plain int64. `Grid` is the one place where a decimal
becomes an integer and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import NewType

import numpy as np
import numpy.typing as npt

from gnomon.errors import Invalid

Ticks = NewType("Ticks", int)
Lots = NewType("Lots", int)
Money = NewType("Money", int)
Nanoseconds = NewType("Nanoseconds", int)

MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS
WEEK_NS = 7 * DAY_NS

MONEY_DECIMALS = 8
"""Money is counted in units of 10^-8 of its asset unless the asset says otherwise."""

INT64_MAX = 2**63 - 1

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def decimal(text: str | int | float | Decimal) -> Decimal:
    """The exact decimal that a person wrote; a float is read by its shortest representation."""
    try:
        value = Decimal(str(text))  # of a Decimal: itself
    except InvalidOperation:
        raise Invalid(f"not a number: {text!r}", hint="write a decimal such as 0.01") from None
    if not value.is_finite():
        raise Invalid(f"not a finite number: {text!r}", hint="write a decimal such as 0.01")
    return value


@dataclass(frozen=True, slots=True)
class Grid:
    """A step (tick or lot) with exact conversion between decimals and integer counts of it."""

    step: Decimal

    def __post_init__(self) -> None:
        if not self.step.is_finite() or self.step <= 0:
            raise Invalid(f"a grid step must be a positive decimal, received {self.step!r}", hint="e.g. 0.01")

    @classmethod
    def of(cls, step: str | int | float | Decimal) -> Grid:
        return cls(decimal(step))

    def count(self, value: str | int | float | Decimal) -> int:
        """The integer number of steps in `value`; `Invalid` when it does not lie on the grid."""
        exact = decimal(value)
        if abs(exact) > self.step * INT64_MAX:
            raise Invalid(f"{exact} is too large for a grid of {self.step}", hint="choose a coarser grid")
        whole = int((exact / self.step).to_integral_value())
        if whole * self.step != exact:
            raise Invalid(f"{exact} is not a multiple of {self.step}", hint="round it to the grid first")
        return whole

    def times(self, finer: Grid) -> int:
        """How many steps of a finer grid are one of this; `Invalid` where that is no whole number."""
        times = self.step / finer.step
        if times != int(times):
            raise Invalid(
                f"a grid of {finer.step} cannot hold values on {self.step}", hint="choose a grid that divides both"
            )
        return int(times)

    def value(self, count: int) -> Decimal:
        return self.step * int(count)

    def floats(self, counts: IntArray) -> FloatArray:
        """Counts as float64 values, each the nearest to the decimal it stands for while the count is below 2^53.

        The step is applied as a ratio of integers: 3 steps of 0.1 are 0.3, which multiplication by 0.1 would miss.
        """
        numerator, denominator = self.step.as_integer_ratio()
        return np.asarray(counts, np.float64) * numerator / denominator

    def counts(self, values: FloatArray) -> tuple[IntArray, npt.NDArray[np.bool_]]:
        """Nearest counts of float64 `values`, and which of them lie on the grid.

        A value lies on the grid when its count turns back into the very same float64. Non-finite or too large values
        get the count 0 and are reported off the grid.
        """
        numerator, denominator = self.step.as_integer_ratio()
        with np.errstate(all="ignore"):
            scaled = np.asarray(values, np.float64) * denominator / numerator
            representable = np.isfinite(scaled) & (np.abs(scaled) < float(INT64_MAX))
            counts = np.rint(np.where(representable, scaled, 0.0)).astype(np.int64)
        return counts, representable & (self.floats(counts) == values)


def scaled(counts: IntArray, times: int) -> IntArray:
    """Counts on a grid `times` as fine; `Invalid` where one would leave int64."""
    if times == 1:
        return counts
    if times > INT64_MAX or (len(counts) and int(np.abs(counts).max()) > INT64_MAX // times):
        raise Invalid(f"counts overflow int64 when scaled by {times}", hint="choose a coarser grid")
    return np.asarray(counts.astype(np.int64) * times)
