"""What came of a series: the bars that forecasts are marked against, as they were first known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gnomon.clock import Timeframe
from gnomon.market.tape import Series
from gnomon.units import DAY_NS, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What came of one series: first revisions of its bars, and how long an absent bar is waited for."""

    series: Series
    open_ns: IntArray
    knowable_ns: IntArray
    close: FloatArray
    flags: npt.NDArray[np.uint8]
    now_ns: int
    patience_ns: int

    @classmethod
    def of(cls, series: Series, now_ns: int, timeframe: Timeframe) -> Outcomes:
        bars = series.history.first_revisions()
        known = bars.take(bars.knowable_ns <= now_ns)
        patience_ns = (7 if timeframe.is_intraday else 14) * DAY_NS
        return cls(
            series, known.open_ns, known.knowable_ns, known.tick.floats(known.close), known.flags, now_ns, patience_ns
        )

    def at(self, target_open_ns: IntArray, cutoff_ns: IntArray) -> tuple[FloatArray, npt.NDArray[np.uint8], IntArray]:
        """Closes (N, S) of the target bars in shares of each forecast's cutoff (N,), NaN where absent; their flags;
        when each became knowable (0 where absent)."""
        if not len(self.open_ns):
            nothing = np.zeros(target_open_ns.shape, np.int64)
            return np.full(nothing.shape, np.nan), nothing.astype(np.uint8), nothing
        index = np.minimum(np.searchsorted(self.open_ns, target_open_ns), len(self.open_ns) - 1)
        present = self.open_ns[index] == target_open_ns
        price = np.where(present, self.close[index], np.nan)
        if self.series.splits:
            for row, at_ns in enumerate(cutoff_ns):
                price[row] /= self.series.share_factor(target_open_ns[row], int(at_ns))
        flags = np.where(present, self.flags[index], 0).astype(np.uint8)
        return price, flags, np.where(present, self.knowable_ns[index], 0)
