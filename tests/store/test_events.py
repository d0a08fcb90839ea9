"""The calendar in the database: statements once, contradictions refused, books and the deviations of surprises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import Engine

from gnomon.clock import parse_instant
from gnomon.errors import Conflict
from gnomon.forecast.events import surprise_stats
from gnomon.market.events import CalendarEvent, EventBook
from gnomon.market.synthetic_events import synthetic_events
from gnomon.store.events import EventStore, RecordedStats
from gnomon.units import DAY_NS

FIRST, LAST = parse_instant("2022-01-01"), parse_instant("2024-06-01")
NOON = parse_instant("2024-01-10T12:00")

LISTED = CalendarEvent(
    id="test:1",
    source="test",
    kind="cpi",
    subject="US",
    title="Consumer price index",
    impact="high",
    scheduled_ns=NOON,
    listed_ns=NOON - 30 * DAY_NS,
    knowable_ns=NOON - 30 * DAY_NS,
    forecast=0.3,
    unit="%",
    detail={"note": "core", "parts": [1, 2.5, None]},
)
RELEASED = replace(LISTED, knowable_ns=NOON + 1, released_ns=NOON, actual=0.1 + 0.2, previous=-0.1)


@pytest.fixture
def store(engine: Engine) -> EventStore:
    return EventStore(engine)


def test_statements_read_back_as_they_were_said_and_twice_is_once(store: EventStore) -> None:
    assert store.record([]) == (0, 0)
    assert store.record([LISTED]) == (1, 0)
    assert store.record([LISTED, RELEASED, RELEASED]) == (1, 2)
    assert store.book().statements == (LISTED, RELEASED)
    assert store.book(NOON, NOON + 1).as_of(NOON) == [LISTED]


@pytest.mark.parametrize(
    "changed",
    [{"forecast": 0.4}, {"title": "CPI"}, {"detail": {}}, {"scheduled_ns": NOON + 1}, {"forecast": None}],
)
def test_a_changed_statement_of_the_same_instant_is_a_conflict_and_stores_nothing(
    store: EventStore, changed: dict[str, object]
) -> None:
    store.record([LISTED])
    with pytest.raises(Conflict, match="test:1"):
        store.record([RELEASED, replace(LISTED, **changed)])
    assert store.book().statements == (LISTED,)
    with pytest.raises(Conflict, match="test:2"):
        store.record([replace(LISTED, id="test:2"), replace(LISTED, id="test:2", **changed)])


def test_an_event_keeps_its_kind_and_subject(store: EventStore) -> None:
    store.record([LISTED])
    for changed in ({"kind": "pce"}, {"subject": "DE"}):
        with pytest.raises(Conflict, match="is cpi of US and"):
            store.record([replace(RELEASED, **changed)])


def test_a_book_holds_all_that_was_said_about_the_events_of_a_span(store: EventStore) -> None:
    moved = replace(LISTED, id="test:moved", scheduled_ns=NOON + 40 * DAY_NS)
    back = replace(moved, scheduled_ns=NOON, knowable_ns=NOON - DAY_NS)
    store.record([LISTED, moved, back])
    assert len(store.book(NOON + 30 * DAY_NS, NOON + 50 * DAY_NS).statements) == 2
    assert len(store.book(NOON, NOON + 1).statements) == 3
    assert len(store.book(NOON + 1, NOON + DAY_NS)) == 0
    assert len(store.book(None, NOON)) == 0
    assert len(store.book(NOON + 1)) == 1


def test_a_calendar_of_years_goes_in_and_out(store: EventStore) -> None:
    statements = synthetic_events(FIRST, LAST, 2)
    assert store.record(statements) == (len(statements), 0)
    assert store.record(statements[::3]) == (0, len(statements[::3]))
    assert store.book().statements == EventBook(statements).statements


def test_recorded_deviations_are_those_of_the_encoder_and_never_change(store: EventStore) -> None:
    book = EventBook(synthetic_events(FIRST, LAST, 2))
    first = store.record_surprise_stats(book)
    assert first.added > 30
    assert store.record_surprise_stats(book) == RecordedStats(0, first.added)
    for kind in ("cpi", "nfp"):
        wanted, found = surprise_stats(book, kind), store.surprise_stats(kind)
        for name in ("as_of_ns", "std", "n"):
            assert np.array_equal(getattr(wanted, name), getattr(found, name)), (kind, name)
        assert len(found) > 15
    more = store.record_surprise_stats(EventBook(synthetic_events(FIRST, LAST + 90 * DAY_NS, 2)))
    assert (more.added, more.known, more.differing) == (6, first.added, ())


def test_history_imported_behind_changes_no_recorded_deviation_and_is_reported(store: EventStore) -> None:
    store.record_surprise_stats(EventBook(synthetic_events(FIRST, LAST, 2)))
    before = store.surprise_stats("nfp")
    again = store.record_surprise_stats(EventBook(synthetic_events(FIRST - 300 * DAY_NS, LAST, 2)))
    assert {kind for kind, _ in again.differing} == {"cpi", "nfp"}
    after = store.surprise_stats("nfp")
    assert len(after) > len(before)
    kept = np.isin(after.as_of_ns, before.as_of_ns)
    assert np.array_equal(after.std[kept], before.std)
