"""Cells of a calendar read into a row."""

from __future__ import annotations

from typing import Any

import pytest

from gnomon.clock import parse_instant
from gnomon.errors import Invalid
from gnomon.sources.calendar.rows import Reading, read_row

CPI = {"title": "CPI m/m", "country": "US", "scheduled_at": "2024-09-11T12:30:00Z"}
NEW_YORK = Reading("America/New_York")


@pytest.mark.parametrize(
    ("cells", "reading"),
    [
        ({"scheduled_at": "2024-09-11T12:30:00Z"}, Reading()),
        ({"scheduled_at": "2024-09-11T08:30:00-04:00"}, Reading()),
        ({"scheduled_at": "2024-09-11 08:30"}, NEW_YORK),
        ({"scheduled_at": "2024-09-11T12:30:00Z"}, NEW_YORK),
        ({"date": "2024-09-11", "time": "08:30"}, NEW_YORK),
        ({"date": "2024-09-11", "time": "8:30am"}, NEW_YORK),
        ({"date": "2024-09-11", "time": "8:30 AM"}, NEW_YORK),
        ({"date": "2024-09-11 12:30:00"}, Reading("UTC")),
        ({"date": "2024-09-11T08:30:00-04:00"}, Reading()),
    ],
)
def test_a_time_is_read_in_its_zone_or_in_the_declared_one(cells: dict[str, str], reading: Reading) -> None:
    row = read_row(1, {"title": "CPI m/m", "currency": "USD", **cells}, reading)
    assert row.scheduled_ns == parse_instant("2024-09-11T12:30:00Z")


def test_winter_time_is_an_hour_later() -> None:
    row = read_row(1, {**CPI, "scheduled_at": "2024-12-11 08:30"}, NEW_YORK)
    assert row.scheduled_ns == parse_instant("2024-12-11T13:30:00Z")


@pytest.mark.parametrize(
    ("cells", "rule"),
    [
        ({"scheduled_at": "2024-09-11 08:30"}, "a time without a zone"),
        ({"scheduled_at": "2024-09-11"}, "a date without a time"),
        ({"scheduled_at": "11.09.2024 08:30Z"}, "not an instant"),
        ({"scheduled_at": ""}, "no scheduled_at"),
        ({"date": "2024-09-11", "time": "All Day", "scheduled_at": ""}, "time is 'All Day'"),
        ({"date": "2024-09-11", "time": "13:30pm", "scheduled_at": ""}, "time is '13:30pm'"),
        ({"title": "", "kind": ""}, "neither a kind nor a title"),
        ({"kind": "payrolls"}, "kind is 'payrolls'"),
        ({"kind": "earnings", "country": ""}, "without its share"),
        ({"kind": "rate_decision", "country": "SE"}, "without its bank"),
        ({"forecast": "a lot"}, "forecast: 'a lot' is not a figure"),
        ({"released_at": "2024-09-11"}, "a date without a time"),
        ({"title": ["CPI"]}, "is no text"),
    ],
)
def test_a_cell_at_fault_is_named(cells: dict[str, Any], rule: str) -> None:
    with pytest.raises(Invalid, match=rule):
        read_row(1, {**CPI, **cells}, Reading())


@pytest.mark.parametrize("stamp", ["2024-03-10 02:30", "2024-11-03 01:30"])
def test_a_time_that_a_clock_skips_or_shows_twice_is_refused(stamp: str) -> None:
    with pytest.raises(Invalid, match="skips this time or shows it twice"):
        read_row(1, {**CPI, "scheduled_at": stamp}, NEW_YORK)


def test_a_listing_of_a_date_counts_from_the_end_of_that_date() -> None:
    row = read_row(1, {**CPI, "listed_at": "2024-01-05"}, NEW_YORK)
    assert row.listed_ns == parse_instant("2024-01-06T05:00:00Z")


def test_the_subject_is_a_bank_a_share_or_a_country() -> None:
    def subject(**cells: str) -> str:
        return read_row(1, {"scheduled_at": "2024-09-11T12:30:00Z", **cells}, Reading()).subject

    assert subject(title="CPI m/m", subject="US") == "US"
    assert subject(title="CPI m/m", currency="USD") == "US"
    assert subject(kind="rate_decision", subject="ecb") == "ECB"
    assert subject(kind="rate_decision", currency="EUR") == "ECB"
    assert subject(kind="fomc", title="") == "FED"
    assert subject(kind="earnings", subject="aapl") == "AAPL"
    assert subject(title="Speech", subject="BOE") == "BOE"


def test_a_row_without_a_title_gets_one() -> None:
    assert (
        read_row(1, {"kind": "cpi", "country": "US", "scheduled_at": "2024-09-11T12:30Z"}, Reading()).title
        == "cpi of US"
    )


def test_a_zone_and_the_kinds_of_titles_are_checked_at_once() -> None:
    with pytest.raises(Invalid, match="no time zone 'New York'"):
        Reading("New York")
    with pytest.raises(Invalid, match="kind is 'prices'"):
        Reading("UTC", {"CPI": "prices"})
