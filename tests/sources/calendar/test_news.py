"""Only what is new is a statement, however often a calendar is read."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gnomon.clock import parse_instant
from gnomon.market.events import CalendarEvent, EventBook
from gnomon.sources.calendar.news import news
from gnomon.units import DAY_NS, HOUR_NS

AT_NS = parse_instant("2024-09-11T12:30:00Z")


def said(knowable_ns: int, **changes: Any) -> CalendarEvent:
    given = {
        "id": "cal:cpi",
        "source": "cal",
        "kind": "cpi",
        "subject": "US",
        "title": "CPI",
        "impact": "high",
        "scheduled_ns": AT_NS,
        "listed_ns": knowable_ns,
        "knowable_ns": knowable_ns,
        "forecast": 0.2,
    }
    return CalendarEvent(**{**given, **changes})


def test_a_repetition_is_no_statement() -> None:
    first = said(AT_NS - 3 * DAY_NS)
    assert news([first], []) == [first]
    assert news([said(AT_NS - 2 * DAY_NS), said(AT_NS - DAY_NS)], [first]) == []


def test_what_has_changed_is_one_with_the_listing_that_was_first() -> None:
    first = said(AT_NS - 3 * DAY_NS)
    (revised,) = news([said(AT_NS - DAY_NS, forecast=0.3)], [first])
    assert (revised.forecast, revised.knowable_ns, revised.listed_ns) == (0.3, AT_NS - DAY_NS, first.knowable_ns)
    released = {"released_ns": AT_NS, "actual": 0.4, "forecast": 0.3}
    assert len(news([said(AT_NS + HOUR_NS, **released)], [first, revised])) == 1
    assert len(EventBook([first, revised, *news([said(AT_NS + HOUR_NS, **released)], [first, revised])])) == 1


def test_what_is_withdrawn_and_said_again_is_said_twice() -> None:
    first, other = said(AT_NS - 3 * DAY_NS), said(AT_NS - 2 * DAY_NS, forecast=0.3)
    assert len(news([other, said(AT_NS - DAY_NS)], [first])) == 2


def test_a_statement_of_earlier_than_what_is_known_stands_for_itself() -> None:
    later, earlier = said(AT_NS - DAY_NS, forecast=0.3), said(AT_NS - 3 * DAY_NS)
    assert news([earlier], [later]) == [earlier]
    assert len(EventBook([earlier, later]).statements) == 2


polls = st.lists(
    st.tuples(st.integers(1, 99), st.sampled_from([0.1, 0.2, 0.3])), max_size=12, unique_by=lambda poll: poll[0]
)


@given(polls=polls)
def test_polls_in_turn_leave_one_statement_a_change(polls: list[tuple[int, float]]) -> None:
    stored: list[CalendarEvent] = []
    for hours, forecast in sorted(polls):
        stored += news([said(AT_NS - 100 * HOUR_NS + hours * HOUR_NS, forecast=forecast)], stored)
    values = [forecast for _, forecast in sorted(polls)]
    changes = [value for at, value in enumerate(values) if at == 0 or value != values[at - 1]]
    assert [one.forecast for one in stored] == changes
    assert len({one.listed_ns for one in stored}) <= 1
    assert news(stored, stored) == []
