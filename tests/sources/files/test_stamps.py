"""Times as files write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.clock import iso, parse_instant
from gnomon.errors import Invalid
from gnomon.sources.files.stamps import Stamps, in_zone, read_stamps
from gnomon.sources.files.table import Clock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = parse_instant("2024-01-02T12:00:00Z")


def _read(*cells: object) -> Stamps:
    if all(isinstance(cell, str) for cell in cells):
        return read_stamps(pa.array(cells), Clock())
    return read_stamps(np.array(cells), Clock())


@pytest.mark.parametrize(
    "spelled",
    [
        "2024-01-02 12:00",
        "2024-01-02T12:00:00",
        "2024-01-02 12:00:00.000000",
        "2024-01-02T12:00:00Z",
        "2024-01-02 13:00:00+01:00",
        "2024-01-02T07:00:00-0500",
        "2024/01/02 12:00:00",
        " 2024-01-02 12:00:00 ",
        "1704196800",
        "1704196800000",
        "1704196800000000",
        "1704196800000000000",
        "1704196800.0",
    ],
)
def test_one_instant_in_every_spelling(spelled: str) -> None:
    stamps = _read(spelled, spelled)
    assert stamps.good.all()
    assert stamps.utc_ns().tolist() == [NOON, NOON]


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
def test_epochs_as_numbers_tell_their_unit_by_size(unit: int) -> None:
    assert _read(1704196800 * unit).utc_ns().tolist() == [NOON]
    assert _read(1704196800.0 * unit).utc_ns().tolist() == [NOON]


def test_dates_in_words_and_digits_are_midnights() -> None:
    for cells in (("2024-01-02", "2024-01-03"), ("20240102", "20240103")):
        stamps = _read(*cells)
        assert stamps.are_dates
        assert [iso(int(at))[:10] for at in stamps.wall_ns] == ["2024-01-02", "2024-01-03"]


def test_fractions_of_a_second_are_kept_to_the_microsecond() -> None:
    assert _read("1582329602.111234").utc_ns().tolist() == [1582329602111234_000]


@given(
    st.integers(-(2**31), 2**32),
    st.integers(0, 999_999),
    st.integers(-14 * 4, 14 * 4),
)
def test_offsets_agree_with_the_standard_library(seconds: int, micros: int, quarters: int) -> None:
    zone = timezone(timedelta(minutes=15 * quarters))
    aware = (EPOCH + timedelta(seconds=seconds, microseconds=micros)).astimezone(zone)
    stamps = _read(aware.isoformat(), aware.isoformat(sep=" "))
    expected = (seconds * 1_000_000 + micros) * 1000
    assert stamps.utc_ns().tolist() == [expected, expected]
    assert stamps.ahead_ns is not None
    assert set((stamps.ahead_ns // 60_000_000_000).tolist()) == {15 * quarters}


@pytest.mark.parametrize(
    "bad",
    ["", "yesterday", "2024-13-01 00:00", "2024-02-30", "01/02/2024", "2024-01-02 25:00", "NaT", "1e400", "2524-01-01"],
)
def test_cells_that_are_no_time_are_marked_and_the_others_read(bad: str) -> None:
    stamps = _read("2024-01-02 12:00:00", bad, "2024-01-02 12:00:00")
    assert stamps.good.tolist() == [True, False, True]
    assert stamps.utc_ns()[[0, 2]].tolist() == [NOON, NOON]


def test_an_epoch_in_another_unit_than_the_rest_is_marked() -> None:
    assert _read(1704196800000, 1704196800, 1704196801000).good.tolist() == [True, False, True]
    assert _read("1704196800000", "1704196800", "1704196801000").good.tolist() == [True, False, True]
    assert _read("1704196800000", "2024-01-02", "1704196801000").good.tolist() == [True, False, True]


def test_numbers_that_are_no_time_are_marked() -> None:
    assert _read(float("nan"), 1704196800.0, float("inf")).good.tolist() == [False, True, False]
    assert _read(2**62 + 5, 1704196800 * 10**9).good.tolist() == [False, True]


def test_arrow_timestamps_keep_their_zone() -> None:
    naive = pa.array([NOON], pa.int64()).cast(pa.timestamp("ns"))
    assert read_stamps(naive, Clock()).ahead_ns is None
    aware = pa.array([NOON], pa.int64()).cast(pa.timestamp("ns", "America/New_York"))
    stamps = read_stamps(aware, Clock())
    assert stamps.utc_ns().tolist() == [NOON]
    assert iso(int(stamps.wall_ns[0])) == "2024-01-02T07:00:00Z"
    dates = pa.array([19724], pa.int32()).cast(pa.date32())
    assert read_stamps(dates, Clock()).are_dates
    gaps = pa.array([NOON, None], pa.int64()).cast(pa.timestamp("ns", "UTC"))
    assert read_stamps(gaps, Clock()).good.tolist() == [True, False]
    far = pa.array([2**60], pa.int64()).cast(pa.timestamp("s"))
    assert not read_stamps(far, Clock()).good.any()


def test_units_since_midnight_stay_within_the_day() -> None:
    clock = Clock(base_ns=NOON, unit_ns=1_000_000)
    stamps = read_stamps(np.array([0, 1500, 86_400_001, -1]), clock)
    assert stamps.good.tolist() == [True, True, False, False]
    assert stamps.utc_ns()[:2].tolist() == [NOON, NOON + 1_500_000_000]


def test_the_hour_that_is_skipped_and_the_one_that_comes_twice_are_marked() -> None:
    stamps = in_zone(_read("2024-03-10 02:30", "2024-11-03 01:30", "2024-07-01 12:00"), "America/New_York")
    assert stamps.good.tolist() == [False, False, True]
    assert iso(int(stamps.utc_ns()[2])) == "2024-07-01T16:00:00Z"


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(Invalid, match="no time zone 'Mars/Olympus'"):
        in_zone(_read("2024-01-02 12:00"), "Mars/Olympus")
    with pytest.raises(Invalid, match="no time zone"):
        read_stamps(pa.array([NOON], pa.int64()).cast(pa.timestamp("ns", "Mars/Olympus")), Clock())


def test_columns_that_cannot_be_times_are_bad_throughout() -> None:
    assert not read_stamps(pa.array([True, False]), Clock()).good.any()
