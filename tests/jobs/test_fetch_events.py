"""The economic calendar into a real store: what is said anew, once, page by page; the job; the verb's files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.sources.calendar.test_http import FIRST_NS, LAST_NS, LINES, calendar, line, source
from tests.sources.loopback import Fault, Loopback

from gnomon.clock import SimClock, parse_instant
from gnomon.jobs.engine.memory import MemoryJobs
from gnomon.jobs.fetch_events import fetch_events
from gnomon.jobs.handlers import Crew
from gnomon.market.instrument import Instruments
from gnomon.sources.calendar.files import CalendarFile
from gnomon.sources.http import HttpRetries
from gnomon.store.store import Store

NOW = "2024-09-15"
WINDOW = {"first_ns": FIRST_NS, "last_ns": LAST_NS}


@pytest.fixture
def clock() -> SimClock:
    return SimClock(parse_instant(NOW))


@pytest.fixture
def provider() -> Iterator[Loopback]:
    with Loopback({"/v3/economic_calendar": calendar}) as one:
        yield one


def test_what_a_calendar_says_is_stored_once(store: Store, provider: Loopback, clock: SimClock) -> None:
    with source(provider) as events:
        first = fetch_events(store, events, clock, **WINDOW)
        assert (first.error, first.pages) == (None, 4)
        assert first.added == first.said == len(store.events.book().statements) > 0
        again = fetch_events(store, events, clock, **WINDOW)
        assert (again.said, again.added) == (first.said, 0)


def test_an_actual_that_comes_later_is_one_more_statement_knowable_when_it_was_read(
    store: Store, provider: Loopback, clock: SimClock
) -> None:
    with source(provider) as events:
        fetch_events(store, events, clock, **WINDOW)
    rows = [line(*one) | ({"actual": 5.0} if "Fed" in one[3] else {}) for one in LINES]
    later = SimClock(parse_instant("2024-09-18T18:10:00Z"))
    provider.routes["/v3/economic_calendar"] = lambda seen: [
        one for one in rows if seen.params["from"] <= one["date"][:10] <= seen.params["to"]
    ]
    with source(provider, clock=later) as events:
        after = fetch_events(store, events, later, **WINDOW)
    (release,) = [one for one in store.events.book() if one.kind == "fomc" and one.actual is not None]
    assert after.added == 1
    assert (release.actual, release.knowable_ns) == (5.0, later.now_ns())


def test_a_fault_keeps_the_pages_before_it_and_a_rerun_completes(
    store: Store, provider: Loopback, clock: SimClock
) -> None:
    provider.script(None, None, Fault(status=503))
    with source(provider, retries=HttpRetries(attempts=1)) as events:
        failed = fetch_events(store, events, clock, **WINDOW)
        assert (failed.error or {})["error"] == "unavailable"
        assert 0 < failed.added == len(store.events.book().statements)
        rest = fetch_events(store, events, clock, **WINDOW)
        whole = [one for page in events.events(FIRST_NS, LAST_NS) for one in page]
    assert rest.error is None
    assert failed.added + rest.added == len(store.events.book().statements) == len(whole)


def test_a_refused_token_is_said_and_nothing_is_stored(store: Store, provider: Loopback, clock: SimClock) -> None:
    with source(provider, token="wrong") as events:
        report = fetch_events(store, events, clock, **WINDOW)
    assert (report.error or {})["error"] == "refused"
    assert "wrong" not in str(report.error)
    assert store.events.book().statements == ()


MONTHS = [f"{year}-{month:02}" for year in (2022, 2023) for month in range(1, 13)]


def history(path: Path) -> Path:
    rows = [f"CPI m/m,USD,{month}-12,8:30am,0.2%,0.{1 + n % 4}%" for n, month in enumerate(MONTHS)]
    head = [
        "# zone: America/New_York",
        "# listed_ahead: 7d",
        "# on_time: yes",
        "title,currency,date,time,forecast,actual",
    ]
    path.write_text("\n".join([*head, *rows]) + "\n")
    return path


def test_a_file_fills_the_book_and_what_surprises_are_divided_by(store: Store, clock: SimClock, tmp_path: Path) -> None:
    file = CalendarFile(history(tmp_path / "cpi.csv"), clock)
    span = {"first_ns": parse_instant("1900-01-01"), "last_ns": parse_instant("2200-01-01")}
    report = fetch_events(store, file, clock, **span)
    assert (report.error, report.said, report.added) == (None, 48, 48)  # the listing and the release of each
    stats = store.events.surprise_stats("cpi")
    assert report.surprises == len(stats.as_of_ns) == 18  # of 24: six come before a deviation can be had
    assert stats.std[-1] > 0
    assert fetch_events(store, file, clock, **span).added == 0


def test_a_bad_row_of_a_file_is_named_and_nothing_is_stored(store: Store, clock: SimClock, tmp_path: Path) -> None:
    path = history(tmp_path / "cpi.csv")
    path.write_text(path.read_text().replace("2022-05-12", "2022-05-32"))
    report = fetch_events(store, CalendarFile(path, clock), clock, **WINDOW)
    assert "line 9" in (report.error or {})["message"]
    assert store.events.book().statements == ()


def jobs_of(store: Store, configured: Instruments, clock: SimClock, calendars: dict[str, Any]) -> MemoryJobs:
    return MemoryJobs(Crew(store, configured, clock, {}, calendars=calendars).handlers(), clock, store.engine)


def test_the_job_of_the_schedule_asks_each_calendar_around_now(
    store: Store, configured: Instruments, provider: Loopback, clock: SimClock
) -> None:
    with source(provider) as events:
        jobs = jobs_of(store, configured, clock, {"cal": events})
        jobs.enqueue("ingest", "calendar", {"events": True})
        jobs.run_due()
        status = jobs.status("ingest:calendar")
    assert status.state == "done"
    assert status.result == {"calendars": 1, "added": len(store.events.book().statements)}
    assert provider.requests[0].params["from"] == "2024-09-08"
    assert provider.requests[-1].params["to"] == "2024-11-23"


def test_the_job_without_a_calendar_has_nothing_to_do_and_with_a_dead_one_says_so(
    store: Store, configured: Instruments, provider: Loopback, clock: SimClock
) -> None:
    jobs = jobs_of(store, configured, clock, {})
    jobs.enqueue("ingest", "none", {"events": True})
    jobs.run_due()
    assert jobs.status("ingest:none").result == {"calendars": 0, "added": 0}
    provider.script(Fault(status=403))
    with source(provider) as events:
        jobs = jobs_of(store, configured, clock, {"cal": events})
        jobs.enqueue("ingest", "dead", {"events": True})
        jobs.run_due()
        assert jobs.status("ingest:dead").state == "partial"
