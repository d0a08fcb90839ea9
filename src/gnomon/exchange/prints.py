"""Prints: one instrument's recorded trades as the venue reads them, and how far it has read.

Columns are in tape order: time never falls, equal times keep the order of the source. `side` is the aggressor: 1
bought, -1 sold, 0 unknown (counts for both). A position is a row number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from gnomon.exchange.thresholds import NEVER_DOWN, NEVER_UP, Thresholds, any_of
from gnomon.units import SECOND_NS, IntArray

SPAN: Final = 1 << 16
"""Prices from the lowest to the highest that are counted one by one."""

AHEAD_WINDOW_NS: Final = 60 * SECOND_NS
LEVEL_PRINTS: Final = 100


@dataclass(frozen=True, slots=True, eq=False)
class Prints:
    """Columns of equal length, read-only: ns, ticks, lots, aggressor."""

    time_ns: IntArray
    price: IntArray
    lots: IntArray
    side: npt.NDArray[np.int8]
    _share: list[tuple[int, int, int]] = field(default_factory=lambda: [(0, 0, 0)], init=False, repr=False)

    def __len__(self) -> int:
        return len(self.time_ns)

    @classmethod
    def empty(cls) -> Prints:
        none = np.empty(0, np.int64)
        return cls(none, none, none, np.empty(0, np.int8))

    def until(self, time_ns: int, start: int = 0) -> int:
        """The position after all prints of `time_ns` or earlier, given that those before `start` are."""
        times = self.time_ns
        if start >= len(times) or times.item(start) > time_ns:
            return start
        return start + int(times[start:].searchsorted(time_ns, "right"))

    def reached(self, start: int, stop: int, thresholds: Thresholds) -> npt.NDArray[np.bool_]:
        """Which of the rows in [start, stop) reach a threshold."""
        price, side = self.price[start:stop], self.side[start:stop]
        bid, ask, up, down = thresholds
        masks: list[npt.NDArray[np.bool_]] = []
        if bid > NEVER_DOWN:
            masks.append((price <= bid) & (side <= 0))
        if ask < NEVER_UP:
            masks.append((price >= ask) & (side >= 0))
        if up < NEVER_UP:
            masks.append(price >= up)
        if down > NEVER_DOWN:
            masks.append(price <= down)
        return any_of(masks, stop - start)

    def ahead(self, price: int, position: int, time_ns: int) -> int:
        """A model of the lots that wait at a price where depth is not recorded.

        `max(V(p), ceil(V / n))` over the 60 s before: V(p) what was printed at the price, V all that was printed, n how
        many prices were.
        """
        first = int(np.searchsorted(self.time_ns[:position], time_ns - AHEAD_WINDOW_NS, "right"))
        prices, lots = self.price[first:position], self.lots[first:position]
        if not len(prices):
            return 0
        at_price = int(lots[prices == price].sum())
        known = self._share[0]
        if known[0] != first or known[1] != position:  # orders of one instant ask for the same
            known = self._share[0] = first, position, -(-int(lots.sum()) // _distinct(prices))
        return max(at_price, known[2])

    def level_lots(self, position: int) -> int:
        """Lots assumed at each price of a synthetic quote: a twentieth of the last 100 prints, at least 1."""
        recent = self.lots[max(0, position - LEVEL_PRINTS) : position]
        return max(1, -(-int(recent.sum()) // 20))


def _distinct(prices: IntArray) -> int:
    """How many different ones there are: counted, where they lie close together, which needs no sorting."""
    lowest = int(prices.min())
    span = int(prices.max()) - lowest
    if span > SPAN:
        return len(np.unique(prices))
    return int(np.count_nonzero(np.bincount(prices - lowest)))
