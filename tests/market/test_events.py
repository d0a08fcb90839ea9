"""Statements about events: their rules, the book as of any instant, first prints, schedules and the twenty columns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import Invalid
from gnomon.market.events import CalendarEvent, EventBook, Events, Schedule
from gnomon.units import INT64_MAX, IntArray

CPI = (("cpi", "US"),)
LISTED = CalendarEvent("test:1", "test", "cpi", "US", "CPI", "high", scheduled_ns=100, listed_ns=10, knowable_ns=10)


def said(knowable_ns: int, **changed: Any) -> CalendarEvent:
    return replace(LISTED, knowable_ns=knowable_ns, **changed)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"kind": "ppi"}, "kind is 'ppi'"),
        ({"impact": "huge"}, "impact is 'huge'"),
        ({"id": "1"}, "its source, a colon"),
        ({"id": ":1", "source": ""}, "its source, a colon"),
        ({"subject": ""}, "subject is ''"),
        ({"subject": "us"}, "subject is 'us'"),
        ({"kind": "fomc"}, "of the FED"),
        ({"forecast": float("nan")}, "not a finite number"),
        ({"previous": float("inf")}, "not a finite number"),
        ({"forecast": "0.3"}, "not a finite number"),
        ({"forecast": True}, "not a finite number"),
        ({"detail": {"rate_change_bp": "25"}}, "not a finite number"),
        ({"listed_ns": 11}, "before its event is listed"),
        ({"released_ns": 11}, "before it happens"),
        ({"actual": 0.3}, "an actual needs released_ns"),
    ],
)
def test_a_statement_that_breaks_a_rule_is_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        replace(LISTED, **changed)


def test_a_book_answers_with_the_newest_statement_of_each_event() -> None:
    moved = said(50, scheduled_ns=120)
    other = replace(LISTED, id="test:2", scheduled_ns=90, listed_ns=20, knowable_ns=20)
    book = EventBook([moved, other, LISTED, LISTED])
    assert len(book) == 2
    assert list(book) == [LISTED, moved, other]
    assert book.kinds() == CPI
    assert [book.as_of(at_ns) for at_ns in (9, 10, 20, 50)] == [[], [LISTED], [other, LISTED], [other, moved]]


def test_contradictions_are_refused() -> None:
    with pytest.raises(Invalid, match="two statements about event test:1"):
        EventBook([LISTED, said(10, forecast=1.0)])
    with pytest.raises(Invalid, match="is cpi of US, then cpi of DE"):
        EventBook([LISTED, said(20, subject="DE")])


def test_a_surprise_is_the_first_print_less_the_last_consensus_before_the_release() -> None:
    history = [
        said(20, forecast=1.0),
        said(60, forecast=2.0),
        said(61, forecast=None),
        said(101, forecast=7.0, released_ns=101),
        said(103, forecast=7.0, released_ns=101, actual=5.0),
        said(200, forecast=7.0, released_ns=150, actual=9.0),
    ]
    releases = EventBook([LISTED, *history]).releases(CPI)
    assert len(releases) == 1
    assert (releases.arrival_ns[0], releases.released_ns[0]) == (102, 101)
    assert (releases.surprise[0], releases.surprise_known_ns[0]) == (3.0, 103)
    assert np.isnan(releases.rate_change_bp[0])
    assert releases.rate_known_ns[0] == INT64_MAX


def test_a_release_arrives_when_it_is_out_and_known() -> None:
    on_time, late = said(100, released_ns=100), said(500, released_ns=100)
    assert EventBook([LISTED, on_time]).releases(CPI).arrival_ns.tolist() == [101]
    assert EventBook([LISTED, late]).releases(CPI).arrival_ns.tolist() == [500]
    assert len(EventBook([LISTED]).releases(CPI)) == 0
    assert len(EventBook([]).releases(CPI)) == 0


@pytest.mark.parametrize(
    ("kind", "unit", "factor"),
    [
        ("cpi", "", 1),
        ("cpi", "%", 1),
        ("cpi", "index", None),
        ("nfp", "", 1),
        ("nfp", " K", 1),
        ("nfp", "Persons", 1e-3),
        ("nfp", "M", 1e3),
        ("nfp", "%", None),
        ("gdp", "%", None),
    ],
)
def test_surprises_are_counted_in_the_unit_of_their_kind(kind: Any, unit: str, factor: float | None) -> None:
    history = [said(20, forecast=1.0), said(101, forecast=1.0, released_ns=100, actual=3.0)]
    book = EventBook(replace(one, kind=kind, unit=unit) for one in history)
    expected = np.nan if factor is None else 2.0 * factor
    assert book.releases(((kind, "US"),)).surprise[0] == pytest.approx(expected, nan_ok=True)


def test_the_schedule_keeps_what_was_in_effect_when() -> None:
    history = [LISTED, said(20, forecast=1.0), said(30, scheduled_ns=140), said(40, scheduled_ns=140, impact="low")]
    book = EventBook(history)
    plain, high = book.schedule(CPI), book.schedule(CPI, high_impact=True)
    rows = list(zip(plain.scheduled_ns, plain.from_ns, plain.until_ns, strict=True))
    assert rows == [(100, 10, 30), (140, 30, 40), (140, 40, INT64_MAX)]
    assert high.until_ns.tolist() == [30, 40]
    assert book.schedule(CPI) is plain


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 30)), max_size=20),
    st.lists(st.tuples(st.integers(-2, 35), st.integers(0, 12), st.integers(-2, 65)), min_size=1, max_size=20),
)
def test_a_schedule_equals_a_loop(spans: list[tuple[int, int, int]], asked: list[tuple[int, int, int]]) -> None:
    rows = sorted((at, known, known + length) for at, known, length in spans)
    schedule = Schedule(*np.array(rows, np.int64).reshape(-1, 3).T)
    at, width, now = (np.array(column, np.int64) for column in zip(*asked, strict=True))

    def matches(first: int, last: int, as_of: int) -> list[int]:
        return [i for i, (due, known, until) in enumerate(rows) if first <= due < last and known <= as_of < until]

    queries = list(zip(at.tolist(), width.tolist(), now.tolist(), strict=True))
    assert _next(schedule, at, now) == [min(matches(a, 99, n), default=len(rows)) for a, _, n in queries]
    assert schedule.count(at, at + width, now).tolist() == [len(matches(a, a + w, n)) for a, w, n in queries]


def _next(schedule: Schedule, at: IntArray, now: IntArray) -> list[int]:
    found: list[int] = schedule.next(at, now).tolist()
    return found


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"values": np.zeros((3, 19), np.float32)}, "shape"),
        ({"values": np.zeros(20, np.float32)}, "shape"),
        ({"mask": np.ones((2, 20), np.uint8)}, "shape"),
        ({"values": np.zeros((3, 20))}, "float64"),
        ({"mask": np.ones((3, 20), np.bool_)}, "bool"),
        ({"values": np.full((3, 20), np.nan, np.float32)}, "not finite"),
        ({"mask": np.full((3, 20), 2, np.uint8)}, "masked cell"),
        ({"values": np.ones((3, 20), np.float32), "mask": np.zeros((3, 20), np.uint8)}, "masked cell"),
    ],
)
def test_channels_of_another_form_are_refused(changed: dict[str, Any], words: str) -> None:
    fields = {"values": np.zeros((3, 20), np.float32), "mask": np.ones((3, 20), np.uint8), "encoder": "events-1"}
    assert len(Events(**fields)) == 3
    with pytest.raises(Invalid, match=words):
        Events(**(fields | changed))
