"""Which rows break the order of time: the fewest whose removal leaves the others in order.

One far-off stamp is then one bad row, where a running maximum would condemn every row after it. Only a file out of
order pays for the search.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np

from gnomon.units import IntArray


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


def _not_on_the_way(times: IntArray, longest_from: IntArray, strict: bool) -> IntArray:
    """Walk along a longest subsequence from its first possible row, and name the rows passed over."""
    late, wanted, last = [], int(longest_from.max()), -(2**63)
    for row, (time, length) in enumerate(zip(times.tolist(), longest_from.tolist(), strict=True)):
        if length == wanted and (time > last if strict else time >= last):
            wanted, last = wanted - 1, time
        else:
            late.append(row)
    return np.array(late, np.int64)
