"""Recorded latency: what it is between its rows, and what is refused of it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import Invalid
from gnomon.exchange.latency import LatencyCurve, curve_of
from gnomon.exchange.rules import Latency, Leg, Rules

ROWS = [[100, 10, 20, 30], [200, 20, 10, 30], [203, 0, 0, 0]]
POINTS = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 1_000)), min_size=1, max_size=6)


@given(POINTS, st.integers(-20, 320))
def test_it_is_linear_between_neighbours_and_held_at_the_ends(steps: list[tuple[int, int]], at: int) -> None:
    points, now = [], 0
    for step, value in steps:
        now += step
        points.append((now, value))
    expected = points[0][1]
    for (start, low), (end, high) in pairwise(points):
        if start <= at < end:
            expected = low + (high - low) * (at - start) // (end - start)
    if at >= points[-1][0]:
        expected = points[-1][1]
    curve = LatencyCurve(tuple(one for one, _ in points), tuple(one for _, one in points))
    assert curve.at(at) == expected
    assert min(value for _, value in points) <= curve.at(at) <= curve.slowest_ns


def test_each_leg_has_its_column() -> None:
    legs = Latency.parse({name: {"recorded": ROWS} for name in ("feed", "entry", "reply")})
    found = [leg.table.at(150) for leg in (legs.feed, legs.entry, legs.reply) if isinstance(leg.table, LatencyCurve)]
    assert found == [15, 15, 30]
    assert (legs.feed.slowest_ns, Leg(const_ns=7).slowest_ns) == (20, 7)


def test_a_recording_is_part_of_the_rules_identity() -> None:
    one, other = (
        Rules.parse({"latency": {"entry": {"recorded": rows}}}).document()
        for rows in (ROWS, [*ROWS[:2], [203, 0, 1, 0]])
    )
    assert one["latency"]["entry"]["table"]["rows"] == 3
    assert one != other
    again = Rules.parse({"latency": {"entry": {"recorded": [*ROWS[:2], [203, 9, 0, 9]]}}}).document()
    assert again == one  # the other legs are not of it


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"recorded": []}, "no row"),
        ({"recorded": [[2, 1, 1, 1], [2, 1, 1, 1]]}, "2 follows 2"),
        ({"recorded": [[1, 2, 3]]}, "row 1"),
        ({"recorded": [[1, 2, 3, "4"]]}, "row 1"),
        ({"recorded": [[-1, 2, 3, 4]]}, "row 1"),
        ({"recorded": ROWS, "shift_ns": "1"}, "shift_ns"),
        ({"recorded": "binance"}, "not read here"),
        ({"recorded": ROWS, "const_ns": 1}, "latency leg"),
    ],
)
def test_rows_that_make_no_sense_are_refused(given_: dict[str, object], message: str) -> None:
    with pytest.raises(Invalid, match=message):
        Leg.parse(given_, "entry")


def test_latency_below_zero_is_refused_with_the_shift_that_mends_it() -> None:
    """As in the feeds of 2024: received more than a second before it was sent."""
    rows = [[at, -1_230 + at % 7, 1_300, 5] for at in range(100)]
    with pytest.raises(Invalid, match="look-ahead") as refused:
        curve_of({"recorded": rows}, "feed")
    assert "median -1227 ns" in str(refused.value)
    assert "1st to 99th percentile -1230 to -1224 ns" in str(refused.value)
    assert refused.value.detail["clock.shift_ns"] == 1_230
    assert "clock.shift_ns" in refused.value.hint
    mended = {"recorded": rows, "shift_ns": 1_230}
    assert curve_of(mended, "feed").latency_ns[:3] == (0, 1, 2)
    assert curve_of(mended, "entry").latency_ns[0] == 70
    assert curve_of(mended, "reply").latency_ns[0] == 1_235
    with pytest.raises(Invalid, match="entry") as late:
        curve_of({"recorded": rows, "shift_ns": 1_301}, "reply")
    assert late.value.detail["clock.shift_ns"] == 1_300


def test_legs_that_no_shift_mends_are_told_so() -> None:
    with pytest.raises(Invalid) as refused:
        curve_of({"recorded": [[1, -5, 3, 1]]}, "feed")
    assert "record them again" in refused.value.hint
