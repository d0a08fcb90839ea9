"""Prints as the venue reads them, beside loops over the rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.exchange.venue import Row, prints

from gnomon.exchange.prints import Prints
from gnomon.exchange.thresholds import IDLE, NEVER_DOWN, NEVER_UP, Thresholds
from gnomon.units import MINUTE_NS

ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9), st.integers(1, 50), st.sampled_from((1, 0, -1))))


def risen(steps: list[Row], stretch: int = 1) -> list[Row]:
    """Rows with the first number as the time since the row before."""
    rows: list[Row] = []
    at_ns = 0
    for step, *rest in steps:
        at_ns += step * stretch
        rows.append((at_ns, *rest))  # type: ignore[arg-type]  # three numbers follow
    return rows


@given(ROWS, st.integers(-1, 30))
def test_a_position_stands_after_every_print_of_its_instant(steps: list[Row], at_ns: int) -> None:
    rows = risen(steps)
    expected = sum(row[0] <= at_ns for row in rows)
    tape = prints(rows)
    assert tape.until(at_ns) == expected
    assert tape.until(at_ns, expected // 2) == expected


@given(ROWS, st.builds(Thresholds, *([st.integers(1, 9)] * 4)))
def test_a_row_is_reached_as_the_four_thresholds_say(steps: list[Row], thresholds: Thresholds) -> None:
    rows = risen(steps)
    expected = [
        (side <= 0 and price <= thresholds.bid)
        or (side >= 0 and price >= thresholds.ask)
        or price >= thresholds.up
        or price <= thresholds.down
        for _, price, _, side in rows
    ]
    assert prints(rows).reached(0, len(rows), thresholds).tolist() == expected


def test_nothing_is_reached_where_nothing_waits() -> None:
    rows = [(1, 1, 1, 1), (2, 9, 1, -1)]
    assert not prints(rows).reached(0, 2, IDLE).any()
    assert (IDLE.bid, IDLE.ask) == (NEVER_DOWN, NEVER_UP)


@given(ROWS, st.integers(1, 9))
def test_the_queue_ahead_is_the_larger_of_two_counts_over_a_minute(steps: list[Row], price: int) -> None:
    rows = risen(steps, MINUTE_NS // 4)
    tape = prints(rows)
    for position in range(len(rows) + 1):
        at_ns = rows[position - 1][0] if position else 0
        recent = [row for row in rows[:position] if row[0] > at_ns - MINUTE_NS]
        here = sum(row[2] for row in recent if row[1] == price)
        spread = -(-sum(row[2] for row in recent) // len({row[1] for row in recent})) if recent else 0
        assert tape.ahead(price, position, at_ns) == max(here, spread)


def test_a_level_is_a_twentieth_of_the_last_hundred_prints_and_at_least_a_lot() -> None:
    rows = [(number, 100, number, 1) for number in range(1, 151)]
    tape = prints(rows)
    assert tape.level_lots(0) == 1
    assert tape.level_lots(3) == 1
    assert tape.level_lots(150) == -(-sum(range(51, 151)) // 20)


def test_an_empty_tape_has_no_rows() -> None:
    assert len(Prints.empty()) == 0
    assert Prints.empty().until(5) == 0
    assert Prints.empty().ahead(100, 0, 5) == 0
    assert Prints.empty().side.dtype == np.int8
