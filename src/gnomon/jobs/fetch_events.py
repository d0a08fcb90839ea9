"""Ingest of the economic calendar: what a source says anew is stored as statements, and what surprises are divided by.

A calendar is asked for a window again and again, because what it says of an event changes: listed, then forecast, then
actual. A repetition is no statement and is not stored. A page is one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gnomon.clock import Clock, iso
from gnomon.errors import GnomonError
from gnomon.jobs.engine.port import Partial, Work
from gnomon.jobs.event_contexts import BEFORE_NS
from gnomon.market.events import CalendarEvent
from gnomon.sources.calendar.news import news
from gnomon.sources.source import EventSource
from gnomon.store.store import Store
from gnomon.units import DAY_NS

BACK_NS: Final = 7 * DAY_NS
"""How far back a calendar is asked by default: actuals and first revisions come within days."""

AHEAD_NS: Final = 70 * DAY_NS
"""How far ahead: beyond the next decision of every bank."""

_MOVED_NS: Final = 400 * DAY_NS


@dataclass(slots=True)
class FetchedEvents:
    """What an ingest of one calendar did. `said` statements were read, `added` were new."""

    source: str
    first_ns: int
    last_ns: int
    pages: int = 0
    said: int = 0
    added: int = 0
    surprises: int = 0
    error: dict[str, Any] | None = None

    def row(self) -> dict[str, Any]:
        counts = {name: getattr(self, name) for name in ("pages", "said", "added", "surprises", "error")}
        return {"source": self.source, "from": iso(self.first_ns), "to": iso(self.last_ns)} | counts


def fetch_events(
    store: Store, source: EventSource, clock: Clock, *, first_ns: int | None = None, last_ns: int | None = None
) -> FetchedEvents:
    """Store what a calendar says anew about events scheduled in [first_ns, last_ns): by default a window around now.

    An error of the source ends it, with the pages before it kept, and is in the report.
    """
    now_ns = clock.now_ns()
    first_ns = now_ns - BACK_NS if first_ns is None else first_ns
    last_ns = now_ns + AHEAD_NS if last_ns is None else last_ns
    report = FetchedEvents(source.name, first_ns, last_ns)
    earliest_ns = last_ns
    try:
        for page in source.events(first_ns, last_ns):
            report.pages += 1
            report.said += len(page)
            report.added += _record(store, page)
            earliest_ns = min(earliest_ns, *(one.scheduled_ns for one in page))
    except GnomonError as error:
        report.error = error.document()
    if report.added:
        stats = store.events.record_surprise_stats(store.events.book(first_ns=earliest_ns - BEFORE_NS))
        report.surprises = stats.added
    return report


def ingest_events(work: Work, store: Store, calendars: Mapping[str, EventSource], clock: Clock) -> Any:
    """The job: each calendar that is set up, a step each. Without one there is nothing to do."""
    outcomes = work.each("calendar", list(calendars), lambda name: fetch_events(store, calendars[name], clock).row())
    rows = [one.result for one in outcomes if one.ok]
    failed = [{"source": one.item, **(one.error or {})} for one in outcomes if not one.ok]
    failed += [{"source": row["source"], **row["error"]} for row in rows if row["error"]]
    total = {"calendars": len(outcomes), "added": sum(row["added"] for row in rows)}
    return Partial(total, tuple(failed)) if failed else total


def _record(store: Store, page: list[CalendarEvent]) -> int:
    """Store the statements of a page that are new; how many."""
    times = [one.scheduled_ns for one in page]
    known = store.events.book(min(times) - _MOVED_NS, max(times) + _MOVED_NS)  # an event may have moved since
    added, _ = store.events.record(news(page, known))
    return added
