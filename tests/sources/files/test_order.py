"""The fewest rows out of order, against an oracle that tries every subset."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gnomon.sources.files.order import LARGEST_LIFT_NS, lifted, out_of_order


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


# --- lifting ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, LARGEST_LIFT_NS), max_size=30))
def test_stamps_within_a_second_are_lifted_to_the_running_maximum(times: list[int]) -> None:
    wild, steady = lifted(np.array(times, np.int64))
    expected: list[int] = []
    for time in times:
        expected.append(max([time, *expected[-1:]]))
    assert (wild.tolist(), steady.tolist()) == ([], expected)


@given(st.lists(st.integers(0, 12).map(lambda halves: halves * LARGEST_LIFT_NS // 2), max_size=12))
def test_what_is_left_never_falls_and_is_lifted_by_little(times: list[int]) -> None:
    wild, steady = lifted(np.array(times, np.int64))
    rest = np.delete(np.array(times, np.int64), wild)
    assert (np.diff(steady) >= 0).all()
    assert (steady >= rest).all()
    if not _ordered(times, strict=False):
        assert len(wild) <= _fewest(times, strict=False)
    else:
        assert (len(wild), steady.tolist()) == (0, times)


def test_a_stamp_that_strays_by_more_than_a_second_is_a_fault_on_either_side() -> None:
    second = LARGEST_LIFT_NS
    for stray, wild in ((3 * second + 1, [2]), (3 * second, []), (-1, [2]), (0, [])):
        times = np.array([second, second, stray, 2 * second, 2 * second], np.int64)
        assert lifted(times)[0].tolist() == wild
