"""Cron in time zones: a naive walk beside it, and both changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.clock import iso, parse_instant
from gnomon.errors import Invalid
from gnomon.jobs.schedule import Schedule, ticks
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata")
CRONS = ("* * * * *", "30 2 * * *", "0 * * * *", "15,45 1-3 * * *", "5 22 * * 1-5", "0 6 1 * *", "*/7 0-4 * * 0")


def schedule(cron: str, timezone: str = "UTC") -> Schedule:
    return Schedule("s", cron, "kind", "key", timezone=timezone)


def isos(cron: str, zone: str, first: str, last: str) -> list[str]:
    return [iso(at_ns) for at_ns in ticks(schedule(cron, zone), parse_instant(first), parse_instant(last))]


def naive(cron: str, zone: str, after_ns: int, until_ns: int) -> list[int]:
    """Minute by minute: a tick where the wall clock first reads a matching minute, or jumps over one."""
    found: list[int] = []
    wall = ZoneInfo(zone)

    def reads(at_ns: int) -> datetime:
        return datetime.fromtimestamp(at_ns // SECOND_NS, UTC).astimezone(wall).replace(tzinfo=None)

    at_ns = after_ns - DAY_NS
    seen = reads(at_ns)  # the latest the clock has read: what it reads again was there before
    while at_ns <= until_ns:
        now = reads(at_ns)
        passed = []
        minute = seen + timedelta(minutes=1)
        while minute <= now:
            passed.append(minute)
            minute += timedelta(minutes=1)
        if any(croniter.match(cron, one) for one in passed) and after_ns < at_ns <= until_ns:
            found.append(at_ns)
        seen = max(seen, now)
        at_ns += MINUTE_NS
    return found


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(CRONS), st.sampled_from(ZONES), st.integers(0, 365 * 24), st.integers(1, 30))
def test_ticks_are_those_of_a_walk_by_the_clock_on_the_wall(cron: str, zone: str, hour: int, hours: int) -> None:
    first = parse_instant("2026-01-01") + hour * HOUR_NS
    last = first + hours * HOUR_NS
    assert ticks(schedule(cron, zone), first, last) == naive(cron, zone, first, last)


@pytest.mark.parametrize("zone", ZONES[1:4])
@pytest.mark.parametrize("cron", CRONS)
def test_both_changes_of_the_clock_are_walked_right(cron: str, zone: str) -> None:
    for day in ("2026-03-07", "2026-03-28", "2026-04-04", "2026-10-03", "2026-10-24", "2026-10-31"):
        first = parse_instant(day)
        assert ticks(schedule(cron, zone), first, first + 2 * DAY_NS) == naive(cron, zone, first, first + 2 * DAY_NS)


def test_a_local_time_that_does_not_exist_fires_once_at_the_jump() -> None:
    found = isos("*/10 2 * * *", "America/New_York", "2026-03-08T00:00:00Z", "2026-03-09T00:00:00Z")
    assert found == ["2026-03-08T07:00:00Z"]


def test_a_local_time_that_occurs_twice_fires_once() -> None:
    found = isos("30 1 * * *", "America/New_York", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z")
    assert found == ["2026-11-01T05:30:00Z"]


def test_six_fields_have_seconds_first_and_limit_stops_early() -> None:
    found = isos("*/20 * * * * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z")
    assert found == [f"2026-01-01T00:{m}:{s}Z" for m, s in (("00", "20"), ("00", "40"), ("01", "00"))]
    first = parse_instant("2026-01-01")
    assert len(ticks(schedule("* * * * *"), first, first + 400 * DAY_NS, limit=1)) == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cron": "61 * * * *"}, "not a cron line"),
        ({"cron": "* * *"}, "not a cron line"),
        ({"cron": "@daily"}, "not a cron line"),
        ({"timezone": "Mars/Olympus"}, "no time zone"),
        ({"catch_up": "never"}, "catch_up"),
        ({"grace_s": -1}, "grace_s"),
        ({"kind": ""}, "are needed"),
        ({"colour": "red"}, "unknown field 'colour'"),
    ],
)
def test_a_schedule_that_breaks_a_rule_is_refused(changes: dict[str, object], says: str) -> None:
    row = {"name": "s", "cron": "0 * * * *", "kind": "k", "key": "k"} | changes
    with pytest.raises(Invalid, match=says):
        Schedule.from_row(row)


def test_a_row_reads_back_and_a_job_has_its_tick_in_key_and_arguments() -> None:
    one = Schedule("s", "0 * * * *", "predict", "1h:x", args={"a": 1}, grace_s=60, catch_up="all")
    assert Schedule.from_row(one.row()) == one
    at_ns = parse_instant("2026-04-28T12:55:00Z")
    assert one.key_at(at_ns) == "1h:x:2026-04-28T12:55:00Z"
    assert one.args_at(at_ns) == {"a": 1, "due_ns": at_ns, "grace_s": 60}
    with pytest.raises(Invalid, match="cron is missing"):
        Schedule.from_row({"name": "s", "kind": "k", "key": "k"})
