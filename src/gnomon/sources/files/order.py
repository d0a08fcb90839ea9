"""Which rows break the order of time: the fewest whose removal leaves the others in order.

One far-off stamp is then one bad row, where a running maximum would condemn every row after it. Only a file out of
order pays for the search.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final

import numpy as np

from gnomon.units import SECOND_NS, IntArray

LARGEST_LIFT_NS: Final = SECOND_NS
"""A stamp that strays further than this from its neighbours is a fault, no unsteady clock."""


def out_of_order(times: IntArray, *, strict: bool) -> IntArray:
    """Indices of the fewest rows to take out so that times increase (`strict`) or at least never go back.

    The complement of a longest increasing subsequence, by patience sorting from the end: O(n log n). Where several are
    as long, the earlier rows stay, so that of two rows the wrong way round the second is reported.
    """
    steps = np.diff(times)
    if not (steps < (1 if strict else 0)).any():
        return np.empty(0, np.int64)
    place = bisect_left if strict else bisect_right
    ends: list[int] = []  # negated: the largest first time of a subsequence of each length
    longest_from = np.empty(len(times), np.int64)
    for row in range(len(times) - 1, -1, -1):
        length = place(ends, -int(times[row]))
        ends[length : length + 1] = [-int(times[row])]
        longest_from[row] = length + 1
    return _not_on_the_way(times, longest_from, strict)


def lifted(times: IntArray) -> tuple[IntArray, IntArray]:
    """Indices of the rows whose stamps are faults, and the times of the others, lifted so that none falls.

    The clocks of venues fall a little now and then, while the order of the file is right: such a stamp is lifted to the
    running maximum. One that strays from its neighbours by more than `LARGEST_LIFT_NS` is a fault, or it would drag
    everything after it along.
    """
    late = out_of_order(times, strict=False)
    if not len(late):
        return late, times
    stays = np.ones(len(times), np.bool_)
    stays[late] = False
    before = np.maximum.accumulate(np.where(stays, times, -(2**62)))[late]
    after = np.minimum.accumulate(np.where(stays, times, 2**62)[::-1])[::-1][late]
    wild = late[(times[late] < before - LARGEST_LIFT_NS) | (times[late] > after + LARGEST_LIFT_NS)]
    return wild, np.maximum.accumulate(np.delete(times, wild))


def _not_on_the_way(times: IntArray, longest_from: IntArray, strict: bool) -> IntArray:
    """Walk along a longest subsequence from its first possible row, and name the rows passed over."""
    late, wanted, last = [], int(longest_from.max()), -(2**63)
    for row, (time, length) in enumerate(zip(times.tolist(), longest_from.tolist(), strict=True)):
        if length == wanted and (time > last if strict else time >= last):
            wanted, last = wanted - 1, time
        else:
            late.append(row)
    return np.array(late, np.int64)
