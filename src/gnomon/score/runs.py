"""What a Run was worth: its figures from the record, and buy-and-hold beside them. Nothing here enters a digest."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gnomon.score.execution import Execution, execution
from gnomon.score.growth import Growth, growth
from gnomon.score.round_trips import TripFigures, trip_figures
from gnomon.score.run_record import Marks, RunRecord
from gnomon.units import FloatArray


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in figures. `hold` is what the same money had become in the window's instruments, bought at the first mark.

    `hold_fee` is the share that buying them cost: part of what `hold` says.
    """

    run: str
    quote: str
    start_ns: int
    end_ns: int
    growth: Growth
    hold: Growth
    hold_fee: float
    execution: Execution
    trips: TripFigures

    def row(self) -> dict[str, Any]:
        """JSON-ready, in the order of the fields; None where there is no figure."""
        return asdict(self)


def summary(record: RunRecord, *, hold_fee: float = 0.0) -> Summary:
    """All figures of a run."""
    marks = record.marks
    return Summary(
        run=record.run,
        quote=record.quote,
        start_ns=int(marks.at_ns[0]),
        end_ns=int(marks.at_ns[-1]),
        growth=growth(marks.at_ns, marks.equity, record.periods),
        hold=growth(marks.at_ns, hold_equity(marks, fee=hold_fee), record.periods),
        hold_fee=hold_fee,
        execution=execution(record),
        trips=trip_figures(record),
    )


def hold_equity(marks: Marks, *, fee: float = 0.0) -> FloatArray:
    """The curve (T,) of the opening equity in equal parts, each put into its instrument at that one's first price.

    A part waits in cash until then. Where a price is missing later, the last one counts.
    """
    opening, (_, instruments) = float(marks.equity[0]), marks.price.shape
    if not instruments:
        return np.full(len(marks), opening)
    total = np.zeros(len(marks))
    for price in marks.price.T:
        there = np.flatnonzero(np.isfinite(price))
        part = np.full(len(marks), opening / instruments)
        if len(there):
            last = np.maximum.accumulate(np.where(np.isfinite(price), np.arange(len(price)), there[0]))
            part[there[0] :] *= (1.0 - fee) * price[last[there[0] :]] / price[there[0]]
        total += part
    return total
