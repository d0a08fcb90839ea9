"""The fewest rows out of order, against an oracle that tries every subset."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gnomon.sources.files.order import out_of_order


def _ordered(times: list[int], strict: bool) -> bool:
    return all(a < b if strict else a <= b for a, b in pairwise(times))


def _fewest(times: list[int], strict: bool) -> int:
    for taken in range(len(times) + 1):
        for left_out in combinations(range(len(times)), taken):
            if _ordered([time for row, time in enumerate(times) if row not in left_out], strict):
                return taken
    raise AssertionError("an empty list is in order")


@given(st.lists(st.integers(0, 9), max_size=8), st.booleans())
def test_no_smaller_set_of_rows_restores_the_order(times: list[int], strict: bool) -> None:
    late = out_of_order(np.array(times, np.int64), strict=strict)
    rest = np.delete(np.array(times, np.int64), late).tolist()
    assert _ordered(rest, strict)
    assert len(late) == _fewest(times, strict)


def test_one_far_off_stamp_is_one_row() -> None:
    assert out_of_order(np.array([1, 2, 10**18, 4, 5]), strict=True).tolist() == [2]
    assert out_of_order(np.array([1, 2, -5, 4, 5]), strict=True).tolist() == [2]


def test_equal_times_are_in_order_for_trades_alone() -> None:
    assert out_of_order(np.array([1, 1, 2]), strict=False).tolist() == []
    assert len(out_of_order(np.array([1, 1, 2]), strict=True)) == 1


def test_of_two_rows_the_wrong_way_round_the_second_is_reported() -> None:
    assert out_of_order(np.array([1, 3, 2, 4]), strict=True).tolist() == [2]
    assert out_of_order(np.array([5, 3, 6]), strict=False).tolist() == [1]
