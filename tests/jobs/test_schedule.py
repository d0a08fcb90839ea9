"""Schedules: what a row may be, and their ticks against a walk of the clock minute by minute."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.clock import iso, parse_instant
from gnomon.errors import Invalid
from gnomon.jobs.schedule import Schedule, newest_tick, ticks
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS


def schedule(cron: str = "55 * * * *", timezone: str = "UTC", **changed: Any) -> Schedule:
    return Schedule("batch", cron, "predict", "1h:ewma", timezone=timezone, **changed)


def fired(cron: str, timezone: str, after: str, until: str) -> list[str]:
    return [iso(at) for at in ticks(schedule(cron, timezone), parse_instant(after), parse_instant(until))]


# --- rows -----------------------------------------------------------------------------------------------------------


def test_a_row_read_back_is_the_same_schedule() -> None:
    made = schedule("*/15 9-16 * * mon-fri", "America/New_York", args={"timeframe": "1h"}, catch_up="all", note="n")
    assert Schedule.from_row(made.row()) == made


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cron": "61 * * * *"}, "'61 * * * *'"),
        ({"cron": "* * * *"}, "'* * * *'"),
        ({"cron": "* * * * * * 2026"}, "cron line"),
        ({"cron": "@hourly"}, "@hourly"),
        ({"cron": "R * * * *"}, "'R"),
        ({"cron": "0 R(1-5) * * *"}, "R"),
        ({"cron": "H * * * *"}, "'H"),
        ({"cron": "0 0 30 2 *"}, "never fires"),
        ({"cron": ""}, "cron"),
        ({"cron": 5}, "cron 5"),
        ({"timezone": "Mars/Olympus"}, "Mars/Olympus"),
        ({"timezone": "../etc/passwd"}, "passwd"),
        ({"timezone": ""}, "time zone"),
        ({"catch_up": "some"}, "'some'"),
        ({"grace_s": -1}, "-1"),
        ({"grace_s": 1.5}, "1.5"),
        ({"grace_s": True}, "True"),
        ({"enabled": "yes"}, "yes"),
        ({"args": ["1h"]}, "args"),
        ({"args": {"at": datetime(2024, 1, 1, tzinfo=UTC)}}, "not JSON"),
        ({"args": {"x": float("nan")}}, "not JSON"),
        ({"name": "a/b"}, "a/b"),
        ({"name": ""}, "name ''"),
        ({"kind": "a:b"}, "a:b"),
        ({"key": "1h ewma"}, "1h ewma"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_row_is_refused_with_the_value_and_a_hint(change: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid) as caught:
        Schedule.from_row({**schedule().row(), **change})
    assert words in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("name", ["name", "cron", "kind", "key"])
def test_a_row_without_what_is_needed_is_refused(name: str) -> None:
    row = schedule().row()
    del row[name]
    with pytest.raises(Invalid, match=f"{name} is missing"):
        Schedule.from_row(row)


def test_lines_that_people_write_are_understood() -> None:
    for line in ("0 0 L * *", "0 0 * MAR FRI", "*/15 9-16 * * mon-fri", "0 0 29 2 *", "0 0 * * 1#2", "0 9 * * thu"):
        assert len(ticks(schedule(line), parse_instant("2024-01-01"), parse_instant("2025-01-01"))) >= 1, line


def test_a_tick_is_in_the_key_and_in_the_arguments() -> None:
    one, at_ns = schedule(args={"timeframe": "1h"}), parse_instant("2026-04-28T12:55:00Z")
    assert one.key_at(at_ns) == "1h:ewma:2026-04-28T12:55:00Z"
    assert f"{one.kind}:{one.key_at(at_ns)}".startswith(one.id_prefix)
    assert one.args_at(at_ns) == {"timeframe": "1h", "due_ns": at_ns, "grace_s": 600}


# --- ticks ----------------------------------------------------------------------------------------------------------


def test_the_window_is_open_at_its_beginning_and_closed_at_its_end() -> None:
    at_ns = parse_instant("2024-05-01T12:55:00Z")
    assert ticks(schedule(), at_ns - HOUR_NS, at_ns) == [at_ns]
    assert ticks(schedule(), at_ns - HOUR_NS, at_ns - 1) == []
    assert ticks(schedule(), at_ns - 1, at_ns) == [at_ns]
    assert ticks(schedule(), at_ns, at_ns) == []
    assert ticks(schedule(), at_ns, at_ns - HOUR_NS) == []


def test_six_fields_begin_with_seconds() -> None:
    found = fired("*/20 0 12 * * *", "UTC", "2024-05-01", "2024-05-02")
    assert found == ["2024-05-01T12:00:00Z", "2024-05-01T12:00:20Z", "2024-05-01T12:00:40Z"]


def test_a_local_time_that_does_not_exist_fires_once_at_the_jump() -> None:
    spring = ("America/New_York", "2024-03-10T05:00:00Z", "2024-03-10T09:00:00Z")  # 02:00 becomes 03:00
    assert fired("30 2 * * *", *spring) == ["2024-03-10T07:00:00Z"]
    assert fired("*/30 * * * *", *spring)[2:6] == [
        f"2024-03-10T{at}:00Z" for at in ("06:30", "07:00", "07:30", "08:00")
    ]
    assert fired("0 2,3 * * *", *spring) == ["2024-03-10T07:00:00Z"]  # 02:00 and 03:00 are one instant
    assert fired("0 30 2 * * *", *spring) == ["2024-03-10T07:00:00Z"]


def test_a_local_time_that_occurs_twice_fires_at_its_first_occurrence() -> None:
    autumn = ("America/New_York", "2024-11-03T04:30:00Z", "2024-11-03T08:00:00Z")  # 02:00 becomes 01:00
    assert fired("30 1 * * *", *autumn) == ["2024-11-03T05:30:00Z"]
    assert fired("0 * * * *", *autumn) == [f"2024-11-03T0{hour}:00:00Z" for hour in (5, 7, 8)]
    second = ("America/New_York", "2024-11-03T06:10:00Z", "2024-11-03T06:50:00Z")  # 01:10 to 01:50, again
    assert fired("*/10 * * * *", *second) == []


@pytest.mark.parametrize(
    ("zone", "line", "after", "until", "expected"),
    [
        ("Europe/Berlin", "30 2 * * *", "2024-03-31", "2024-04-01", ["2024-03-31T01:00:00Z"]),
        ("Europe/Berlin", "30 2 * * *", "2024-10-27", "2024-10-28", ["2024-10-27T00:30:00Z"]),
        # half an hour: 02:00 becomes 02:30, and back
        ("Australia/Lord_Howe", "15 2 * * *", "2024-10-05T12:00:00Z", "2024-10-06", ["2024-10-05T15:30:00Z"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2024-04-06T12:00:00Z", "2024-04-07", ["2024-04-06T14:45:00Z"]),
        # at midnight: the day begins at 01:00
        ("America/Havana", "0 0 * * *", "2024-03-10", "2024-03-11", ["2024-03-10T05:00:00Z"]),
        ("Africa/Cairo", "10 0 * * *", "2024-04-25", "2024-04-26", ["2024-04-25T22:00:00Z"]),
        # a day that did not happen, 30 December: its ticks and the first of the next day are one instant
        (
            "Pacific/Apia",
            "0 */12 * * *",
            "2011-12-29T12:00:00Z",
            "2011-12-31T12:00:00Z",
            ["2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z", "2011-12-31T10:00:00Z"],
        ),
    ],
)
def test_clock_changes_of_many_kinds(zone: str, line: str, after: str, until: str, expected: list[str]) -> None:
    assert fired(line, zone, after, until) == expected


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana"])
def test_a_year_of_daily_ticks_has_one_a_day_at_any_hour(zone: str) -> None:
    days = {(datetime(2023, 12, 31) + timedelta(n)).date() for n in range(1, 367)}  # noqa: DTZ001 - local days
    for line in ("30 0 * * *", "30 1 * * *", "30 2 * * *", "0 3 * * *"):
        found = ticks(schedule(line, zone), parse_instant("2023-12-30"), parse_instant("2025-01-02"))
        local = [datetime.fromtimestamp(at // SECOND_NS, ZoneInfo(zone)).date() for at in found]
        assert [one for one in local if one in days] == sorted(days)


# --- against a naive walk -------------------------------------------------------------------------------------------

ZONES = (
    *("UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana"),
    *("Africa/Casablanca", "America/St_Johns", "Pacific/Apia", "Africa/Cairo"),
)
Fields = tuple[set[int], set[int], set[int], set[int]]


def walk(which: Fields, zone: str, after_ns: int, until_ns: int) -> list[int]:
    """Look at the clock on the wall every minute; fire where it reads a matching time for the first time, or has just
    jumped over one."""
    minutes, hours, days, weekdays = which

    def matches(local: datetime) -> bool:
        day = not days or local.day in days
        weekday = not weekdays or local.isoweekday() % 7 in weekdays
        either = (day or weekday) if days and weekdays else (day and weekday)
        return local.minute in minutes and local.hour in hours and either

    found, start = [], datetime.fromtimestamp(after_ns // SECOND_NS, UTC)
    before = start.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    for number in range(1, (until_ns - after_ns) // MINUTE_NS + 1):
        aware = (start + timedelta(minutes=number)).astimezone(ZoneInfo(zone))
        local = aware.replace(tzinfo=None, fold=0)
        skipped = [before + timedelta(minutes=n) for n in range(1, (local - before) // timedelta(minutes=1))]
        if (matches(local) and aware.fold == 0) or any(matches(one) for one in skipped):
            found.append(after_ns + number * MINUTE_NS)
        before = local
    return found


def line_of(which: Fields) -> str:
    minutes, hours, days, weekdays = (",".join(map(str, sorted(one))) for one in which)
    return f"{minutes} {hours} {days or '*'} * {weekdays or '*'}"


def some(low: int, high: int, least: int) -> st.SearchStrategy[set[int]]:
    return st.sets(st.integers(low, high), min_size=least, max_size=high - low + 1)


CHANGES = [  # a moment before a change of some zone, and moments without any
    *("2024-03-09T12:00:00Z", "2024-11-02T12:00:00Z", "2024-03-30T12:00:00Z", "2024-10-26T12:00:00Z"),
    *("2024-10-05T00:00:00Z", "2024-04-06T00:00:00Z", "2011-12-29T00:00:00Z", "2024-06-10T00:00:00Z"),
    *("2024-03-09T20:00:00Z", "2024-04-25T10:00:00Z", "2024-10-31T10:00:00Z", "2010-03-13T20:00:00Z"),
]


@given(
    which=st.tuples(some(0, 59, 1), some(0, 23, 1), some(1, 31, 0), some(0, 6, 0)),
    zone=st.sampled_from(ZONES),
    began=st.sampled_from(CHANGES),
    shift=st.integers(0, 1500),
    length=st.integers(0, 2000),
)
@settings(max_examples=150, deadline=None)
@pytest.mark.slow
def test_ticks_are_those_of_a_walk_minute_by_minute(
    which: Fields, zone: str, began: str, shift: int, length: int
) -> None:
    after_ns = parse_instant(began) + shift * MINUTE_NS
    until_ns = after_ns + length * MINUTE_NS
    assert ticks(schedule(line_of(which), zone), after_ns, until_ns) == walk(which, zone, after_ns, until_ns)


@given(
    zone=st.sampled_from(ZONES),
    began=st.sampled_from(CHANGES),
    line=st.sampled_from(["*/7 * * * *", "30 * * * *", "*/13 */7 * * * *", "0 0 * * *"]),
    cuts=st.lists(st.integers(0, 2 * DAY_NS), max_size=12),
)
@settings(max_examples=60, deadline=None)
def test_however_a_window_is_cut_each_tick_fires_in_one_part(zone: str, began: str, line: str, cuts: list[int]) -> None:
    first_ns = parse_instant(began)
    one, edges = schedule(line, zone), sorted({0, *cuts, 2 * DAY_NS})
    parts = [at for low, high in pairwise(edges) for at in ticks(one, first_ns + low, first_ns + high)]
    whole = ticks(one, first_ns, first_ns + 2 * DAY_NS)
    assert parts == whole
    assert whole == sorted(set(whole))
    assert ticks(one, first_ns, first_ns + 2 * DAY_NS, limit=3) == whole[:3]
    assert newest_tick(one, first_ns, first_ns + 2 * DAY_NS) == (whole[-1] if whole else None)


# --- bounds ---------------------------------------------------------------------------------------------------------


def test_a_year_of_minutes_lacks_only_the_hour_that_comes_twice() -> None:
    first_ns, last_ns = parse_instant("2025-01-01"), parse_instant("2026-01-01")
    found = ticks(schedule("* * * * *", "America/New_York"), first_ns, last_ns)
    assert len(found) == 365 * 1440 - 60  # it fires once


def test_the_newest_tick_of_decades_of_seconds_is_found_from_the_end() -> None:
    """From the start it would be the last of more than a billion."""
    last_ns = parse_instant("2026-01-01")
    assert newest_tick(schedule("* * * * * *"), 0, last_ns + 1) == last_ns
    assert newest_tick(schedule("0 0 29 2 *"), 0, last_ns) == parse_instant("2024-02-29")
    assert newest_tick(schedule("0 0 29 2 *"), parse_instant("2024-03-01"), last_ns) is None


def test_a_paused_schedule_has_its_ticks_all_the_same() -> None:
    """Whether they fire is the ticker's affair."""
    one = schedule()
    window = (parse_instant("2024-05-01"), parse_instant("2024-05-02"))
    assert ticks(replace(one, enabled=False), *window) == ticks(one, *window)
