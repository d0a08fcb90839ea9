"""A provider's calendar over a server on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sources.loopback import Document, Fault, Loopback, Seen

from gnomon.clock import SimClock, iso, parse_instant
from gnomon.errors import Exhausted, GnomonError, Invalid, Refused, Unavailable
from gnomon.market.events import CalendarEvent, EventBook
from gnomon.sources.calendar.http import FIELDS, CalendarProvider, Provider
from gnomon.sources.calendar.rows import Reading
from gnomon.sources.calendar.statements import Declared
from gnomon.sources.http import HttpRetries, RateLimit
from gnomon.sources.source import EventSource
from gnomon.units import DAY_NS, SECOND_NS

TOKEN = "SECRET123"
NOW_NS = parse_instant("2024-09-15T00:00:00Z")
FIRST_NS, LAST_NS = parse_instant("2024-09-01"), parse_instant("2024-10-01")
PATIENT = HttpRetries(attempts=40, base_s=0.01, longest_s=5.0)
LINES = [
    ("2024-09-06 12:30:00", "US", "USD", "Non Farm Payrolls (Aug)", "High", 160, 142, 89, "K"),
    ("2024-09-11 12:30:00", "US", "USD", "CPI MoM (Aug)", "High", 0.2, 0.2, 0.2, "%"),
    ("2024-09-11 12:30:00", "US", "USD", "CPI (Aug)", "Medium", 314.7, 314.8, 314.54, None),
    ("2024-09-11 12:30:00", "US", "USD", "CPI YoY (Aug)", "High", 2.6, 2.5, 2.9, "%"),
    ("2024-09-12 12:15:00", "EA", "EUR", "ECB Interest Rate Decision", "High", 3.65, 3.65, 4.25, "%"),
    ("2024-09-18 18:00:00", "US", "USD", "Fed Interest Rate Decision", "High", 5.25, None, 5.5, "%"),
    ("2024-09-26 12:30:00", "US", "USD", "GDP Growth Rate QoQ (Q2)", "High", 3.0, None, 1.6, "%"),
]


def line(at: str, country: str, currency: str, title: str, impact: str, *figures: Any) -> dict[str, Any]:
    names = ("estimate", "actual", "previous", "unit")
    said = {"date": at, "country": country, "currency": currency, "event": title, "impact": impact}
    return said | dict(zip(names, figures, strict=True))


def calendar(seen: Seen) -> Document:
    if TOKEN not in (seen.params.get("apikey"), seen.headers.get("x-token")):
        return {"Error Message": "Invalid API KEY."}
    first, last = seen.params["from"], seen.params["to"]
    return [line(*one) for one in LINES if first <= one[0][:10] <= last]


PROVIDER = Provider("cal", "http://provider", "/v3/economic_calendar", page_days=7)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback({"/v3/economic_calendar": calendar}) as one:
        yield one


def source(server: Loopback, provider: Provider = PROVIDER, **changes: Any) -> CalendarProvider:
    given = {"clock": SimClock(NOW_NS), "token": TOKEN, "retries": PATIENT, "rate": RateLimit(1e9)}
    return CalendarProvider(replace(provider, base_url=server.url), **{**given, "sleep": lambda _: None, **changes})


def read(events: EventSource) -> list[CalendarEvent]:
    return [one for page in events.events(FIRST_NS, LAST_NS) for one in page]


def test_a_window_is_asked_in_pages_of_whole_days(server: Loopback) -> None:
    with source(server) as events:
        found = read(events)
    assert [(seen.params["from"], seen.params["to"]) for seen in server.requests] == [
        ("2024-09-01", "2024-09-07"),
        ("2024-09-08", "2024-09-14"),
        ("2024-09-15", "2024-09-21"),
        ("2024-09-22", "2024-09-28"),
        ("2024-09-29", "2024-09-30"),
    ]
    assert len(EventBook(found)) == len(LINES)
    assert events.rejects == []


def test_what_was_not_declared_is_knowable_when_it_was_read(server: Loopback) -> None:
    with source(server) as events:
        found = {one.kind: one for one in read(events) if one.kind != "other"}
    assert {one.knowable_ns for one in found.values()} == {NOW_NS}
    assert (found["nfp"].actual, found["nfp"].unit, iso(found["nfp"].released_ns or 0)) == (
        142,
        "K",
        "2024-09-06T12:30:00Z",
    )
    assert (found["fomc"].subject, found["fomc"].released_ns, found["fomc"].forecast) == ("FED", None, 5.25)
    assert (found["rate_decision"].subject, found["rate_decision"].detail) == ("ECB", {"rate_change_bp": -60.0})
    assert found["cpi"].title == "CPI MoM (Aug)", "one line of the release carries the kind"


def test_a_window_of_the_past_may_be_declared(server: Loopback) -> None:
    declared = replace(PROVIDER, declared=Declared(listed_ahead_ns=7 * DAY_NS, on_time=True))
    with source(server, declared) as events:
        book = EventBook(read(events))
    releases = book.releases((("nfp", "US"),))
    assert releases.surprise.tolist() == [-18.0]
    assert iso(int(releases.surprise_known_ns[0])) == "2024-09-06T12:30:00Z"


def test_asked_again_the_events_are_the_same_and_what_is_new_is_a_revision(server: Loopback) -> None:
    later_ns = parse_instant("2024-09-19")
    with source(server) as events:
        before = read(events)
    LINES[5] = (*LINES[5][:6], 5.0, *LINES[5][7:])
    try:
        with source(server, clock=SimClock(later_ns)) as events:
            after = read(events)
    finally:
        LINES[5] = (*LINES[5][:6], None, *LINES[5][7:])
    assert {one.id for one in before} == {one.id for one in after}
    book = EventBook([*before, *after])
    decision = book.releases((("fomc", "FED"),))
    assert (decision.rate_change_bp.tolist(), decision.rate_known_ns.tolist()) == ([-50.0], [later_ns])


def test_a_token_in_a_header_and_rows_below_a_name(server: Loopback) -> None:
    server.routes["/v3/economic_calendar"] = lambda seen: {"data": {"events": calendar(seen)}}
    provider = replace(PROVIDER, token_in="header", token_name="X-Token", rows_at="data.events")
    with source(server, provider) as events:
        assert len(read(events)) == len(LINES)
    assert all("apikey" not in seen.params and seen.headers["x-token"] == TOKEN for seen in server.requests)


def test_the_token_stands_in_no_log_and_no_error(server: Loopback) -> None:
    server.script(Fault(body={"Error Message": f"Limit Reach for {TOKEN}. Please upgrade your plan"}))
    with source(server) as events, pytest.raises(Exhausted) as error:
        read(events)
    assert error.value.detail["retry_after_s"] == 3600
    assert TOKEN not in f"{events.http.log} {error.value.document()}"


def test_another_calendar_with_its_own_names_and_zone(server: Loopback) -> None:
    rows = [
        {"day": "2024-09-11", "at": "8:30am", "what": "CPI m/m", "ccy": "USD", "consensus": "0.2%", "print": "0.3%"}
    ]
    server.routes["/v3/economic_calendar"] = lambda _: rows
    names = {
        "date": "day",
        "time": "at",
        "title": "what",
        "currency": "ccy",
        "forecast": "consensus",
        "actual": "print",
    }
    provider = replace(PROVIDER, fields=names, reading=Reading("America/New_York"), page_days=31, token_in="none")
    with source(server, provider, token="") as events:
        (one,) = read(events)
    assert (one.id, iso(one.scheduled_ns), one.actual, one.unit) == (
        "cal:us-cpi-m-m-2024-09-11",
        "2024-09-11T12:30:00Z",
        0.3,
        "%",
    )


TROUBLE = [
    Fault(status=500, body="oops"),
    Fault(status=503, headers={"Retry-After": "1"}),
    Fault(status=429, headers={"Retry-After": "1"}, body={"Error Message": "Limit Reach"}),
    Fault(keep_bytes=30),
    Fault(cut_bytes=45),
    Fault(cut_bytes=0),
    Fault(reset=True),
    None,
]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(st.sampled_from(TROUBLE), max_size=8))
def test_whatever_goes_wrong_for_a_while_the_events_are_the_same(script: list[Fault | None]) -> None:
    with Loopback({"/v3/economic_calendar": calendar}) as server:
        with source(server) as events:
            expected = read(events)
        server.script(*script)
        with source(server) as events:
            assert read(events) == expected


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=429, headers={"Retry-After": "900"}), Exhausted),
        (Fault(status=418, headers={"Retry-After": "900"}), Exhausted),
        (Fault(status=403, body="no"), Refused),
        (Fault(body={"Error Message": "Exclusive Endpoint: not available under your plan"}), Refused),
        (Fault(body={"events": []}), Invalid),
        (Fault(body="3"), Invalid),
        (Fault(body=[{"datum": "2024-09-02", "event": "CPI"}]), Invalid),
        (Fault(body=[1, 2, 3, 4]), Invalid),
        (Fault(body=[{"date": "soon", "event": "CPI", "country": "US"}] * 9), Invalid),
    ],
)
def test_an_answer_that_no_patience_mends_has_its_error(
    server: Loopback, fault: Fault, error: type[GnomonError]
) -> None:
    server.script(fault)
    with source(server) as events, pytest.raises(error) as raised:
        read(events)
    assert raised.value.hint
    assert len(server.requests) == 1


def test_a_server_that_stays_down_is_unavailable_after_every_attempt(server: Loopback) -> None:
    server.script(*[Fault(status=500)] * 3)
    with (
        source(server, retries=HttpRetries(attempts=3)) as events,
        pytest.raises(Unavailable, match="after 3 attempts"),
    ):
        read(events)


def test_a_few_bad_rows_are_left_out_and_told(server: Loopback) -> None:
    def spoiled(seen: Seen) -> Document:
        rows = calendar(seen)
        assert isinstance(rows, list)
        return [*rows, line("2024-09-02", "US", "USD", "Labor Day", "None", None, None, None, None)] if rows else []

    server.routes["/v3/economic_calendar"] = spoiled
    with source(server, replace(PROVIDER, page_days=31)) as events:
        assert len(read(events)) == len(LINES)
    assert [(one.line, one.rule) for one in events.rejects] == [
        (7, "scheduled_at is '2024-09-02', a date without a time")
    ]


def test_a_row_that_contradicts_another_is_left_out_and_told(server: Loopback) -> None:
    server.routes["/v3/economic_calendar"] = lambda _: [line(*LINES[1]), line(*LINES[1][:5], 0.3, 0.2, 0.2, "%")]
    with source(server, replace(PROVIDER, page_days=31)) as events:
        assert [one.forecast for one in read(events)] == [0.2]
    assert events.rejects[0].rule == "it contradicts a row before it"


def test_a_clock_of_ours_that_is_behind_takes_the_release_all_the_same() -> None:
    at_ns = parse_instant("2024-09-11T12:30:00Z")
    date = format_datetime(datetime.fromtimestamp(at_ns // SECOND_NS + 5, UTC), usegmt=True)
    with (
        Loopback({"/v3/economic_calendar": calendar}, date=date) as server,
        source(server, clock=SimClock(at_ns - 60 * SECOND_NS), provider=replace(PROVIDER, page_days=31)) as events,
    ):
        found = {one.kind: one for one in read(events)}
    assert (found["cpi"].actual, found["cpi"].knowable_ns) == (0.2, at_ns + 5 * SECOND_NS)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"fields": {**FIELDS, "colour": "c"}}, "is none of ours"),
        ({"fields": {"title": "event"}}, "fields name no time"),
        ({"fields": {"scheduled_at": "date"}}, "neither a title nor a kind"),
        ({"token_name": "c"}, "so that logs mask it"),
        ({"page_days": 0}, "page_days"),
    ],
)
def test_a_provider_that_cannot_be_is_refused(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(Invalid, match=rule):
        replace(PROVIDER, **changes)
    with pytest.raises(Invalid, match="needs a token"):
        CalendarProvider(PROVIDER, clock=SimClock(NOW_NS))


def test_an_empty_window_asks_nothing(server: Loopback) -> None:
    with source(server) as events:
        assert list(events.events(FIRST_NS, FIRST_NS)) == []
    assert server.requests == []
