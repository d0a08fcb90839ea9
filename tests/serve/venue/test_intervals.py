"""Intervals: grids of fixed lengths, weeks and months, moved by time zones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.clock import Timeframe, iso, parse_instant
from gnomon.serve.venue.intervals import LENGTHS_NS, MONTH, Interval, zone_ns
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS

instants = st.integers(0, parse_instant("2100-01-01"))
zones = st.sampled_from(["", "0", "8", "-12:00", "+14:00", "5:45", "-9:30"])


@given(st.sampled_from(list(LENGTHS_NS)), zones, instants)
def test_an_instant_lies_in_its_cell_and_cells_follow_each_other(name: str, zone: str, at_ns: int) -> None:
    grid = Interval.parse(name, zone)
    cell = grid.cell(at_ns)
    assert grid.open_ns(cell) <= at_ns < grid.open_ns(cell + 1)
    assert grid.cell(grid.open_ns(cell)) == cell
    assert grid.cells(np.array([at_ns])).tolist() == [cell]
    assert grid.opens_ns(cell - 1, cell + 2).tolist() == [grid.open_ns(one) for one in (cell - 1, cell, cell + 1)]
    if grid.length_ns != MONTH:
        assert grid.open_ns(cell + 1) - grid.open_ns(cell) == LENGTHS_NS[name]


def test_weeks_begin_on_mondays_and_months_on_the_first() -> None:
    at_ns = parse_instant("2024-02-29T23:30:00Z")
    assert [iso(Interval.parse(name).open_ns(Interval.parse(name).cell(at_ns))) for name in ("1w", "1M", "1d")] == [
        "2024-02-26T00:00:00Z", "2024-02-01T00:00:00Z", "2024-02-29T00:00:00Z",
    ]  # fmt: skip
    east = [Interval.parse(name, "+08:00") for name in ("1w", "1M", "1d")]
    assert [iso(one.open_ns(one.cell(at_ns))) for one in east] == [
        "2024-02-25T16:00:00Z", "2024-02-29T16:00:00Z", "2024-02-29T16:00:00Z",
    ]  # fmt: skip


def test_a_zone_that_moves_nothing_is_the_same_grid() -> None:
    assert Interval.parse("1m", "8") is Interval.parse("1m", "8")
    assert Interval.parse("1h", "8") == Interval.parse("1h")
    assert Interval.parse("1d", "8") != Interval.parse("1d")
    assert Interval.of(Timeframe.parse("1mo")) == Interval.parse("1M")
    assert Interval.of(Timeframe.parse("60m")) == Interval.parse("1h")
    assert Interval.of(Timeframe.parse("10m")) == Interval("10m", 10 * MINUTE_NS)


def test_zones_are_hours_and_minutes() -> None:
    assert [zone_ns(one) for one in ("", "0", "8", "-1:00", "+05:45", "-12", "14:00")] == [
        0, 0, 8 * HOUR_NS, -HOUR_NS, 345 * MINUTE_NS, -DAY_NS // 2, 14 * HOUR_NS,
    ]  # fmt: skip


@pytest.mark.parametrize("zone", ["15", "-13", "14:01", "1:60", "UTC", "+", "1:5", "١"])
def test_other_zones_are_refused(zone: str) -> None:
    with pytest.raises(VenueRefusal) as refused:
        zone_ns(zone)
    assert refused.value.document() == {"code": -1130, "msg": "Data sent for parameter 'timeZone' is not valid."}


@pytest.mark.parametrize("name", ["1x", "", "1D", "1mo", "60m", "2d", "m1"])
def test_other_intervals_are_refused(name: str) -> None:
    with pytest.raises(VenueRefusal, match="Invalid interval"):
        Interval.parse(name)
