"""The synthetic calendar: how many events, when, and that each belongs to its identity."""

from __future__ import annotations

from collections import Counter

import pytest

from gnomon.clock import iso, parse_instant
from gnomon.errors import Invalid
from gnomon.market.events import CalendarEvent, EventBook
from gnomon.market.synthetic_events import synthetic_events
from gnomon.units import DAY_NS

FIRST, LAST = parse_instant("2023-01-01"), parse_instant("2024-01-01")


def newest(statements: list[CalendarEvent]) -> list[CalendarEvent]:
    return EventBook(statements).as_of(LAST + 300 * DAY_NS)


def test_a_year_holds_what_a_year_holds() -> None:
    events = newest(synthetic_events(FIRST, LAST, 1))
    count = Counter(one.kind for one in events)
    assert count == {"fomc": 8, "cpi": 12, "nfp": 12, "gdp": 12, "pce": 12, "rate_decision": 56, "earnings": 28}
    assert {one.subject for one in events if one.kind == "rate_decision"} >= {"ECB", "BOE", "BOJ", "SNB", "RBNZ"}


def test_hours_follow_the_clock_of_new_york() -> None:
    listed = {one.id: iso(one.scheduled_ns) for one in reversed(synthetic_events(FIRST, LAST, 1))}
    assert listed["synthetic:fomc-FED-2023-03"] == "2023-03-15T18:00:00Z"
    assert listed["synthetic:fomc-FED-2023-01"] == "2023-01-18T19:00:00Z"
    assert listed["synthetic:nfp-US-2023-03"] == "2023-03-03T13:30:00Z"
    assert listed["synthetic:nfp-US-2023-11"] == "2023-11-03T12:30:00Z"  # two days before winter time
    assert listed["synthetic:pce-US-2023-11"] == "2023-11-24T13:30:00Z"


def test_a_longer_span_holds_the_same_events() -> None:
    short, long = synthetic_events(FIRST, LAST, 4), synthetic_events(FIRST - 400 * DAY_NS, LAST + 50 * DAY_NS, 4)
    ids = {one.id for one in short}
    assert short == [one for one in long if one.id in ids]
    assert short == synthetic_events(FIRST, LAST, 4)
    assert short != synthetic_events(FIRST, LAST, 5)


def test_statements_come_in_order_and_tell_a_whole_course() -> None:
    statements = synthetic_events(FIRST, LAST, 1)
    assert [one.knowable_ns for one in statements] == sorted(one.knowable_ns for one in statements)
    by_id: dict[str, list[CalendarEvent]] = {}
    for one in statements:
        by_id.setdefault(one.id, []).append(one)
    assert all(history[0].released_ns is None and history[-1].released_ns for history in by_id.values())
    assert all(history[0].scheduled_ns - history[0].knowable_ns >= 40 * DAY_NS for history in by_id.values())
    actuals = [{one.actual for one in history} - {None} for history in by_id.values()]
    assert sum(len(said) == 2 for said in actuals) > 10  # revised
    moved = [history for history in by_id.values() if history[0].scheduled_ns != history[-1].scheduled_ns]
    assert 0 < len(moved) < len(by_id) / 4
    fomc = [one for one in statements if one.kind == "fomc" and one.released_ns]
    assert all("rate_change_bp" in one.detail for one in fomc)


def test_an_empty_span_is_refused() -> None:
    with pytest.raises(Invalid, match="no span"):
        synthetic_events(LAST, LAST)
