"""FRED's CSV over a server on this machine: closes of the VIX, and from when each is knowable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sources.loopback import Fault, Loopback, Reply, Seen

from gnomon.clock import SimClock, Timeframe, iso, parse_instant
from gnomon.errors import Exhausted, GnomonError, Invalid, NotFound, Unavailable
from gnomon.market.candles import Candles
from gnomon.sources.fred.source import FredSource, read_csv
from gnomon.sources.http import HttpRetries, RateLimit
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.sources.source import CandleSource, Request
from gnomon.units import SECOND_NS

NOW_NS = parse_instant("2024-07-09T12:59:00Z")
PATIENT = HttpRetries(attempts=40, base_s=0.01, longest_s=5.0)
VALUES = {
    "2024-06-28": "12.44",
    "2024-07-01": "12.22",
    "2024-07-02": "12.03",
    "2024-07-03": "12.09",
    "2024-07-04": ".",
    "2024-07-05": "12.48",
    "2024-07-08": "12.37",
}


def graph(seen: Seen) -> Reply:
    if seen.params["id"] != "VIXCLS":
        return Reply("<html>not found</html>", status=404)
    rows = [f"{day},{value}" for day, value in VALUES.items() if seen.params["cosd"] <= day <= seen.params["coed"]]
    return Reply("\n".join(["observation_date,VIXCLS", *rows]).encode() + b"\n", headers={"Content-Type": "text/csv"})


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback({"/graph/fredgraph.csv": graph}) as one:
        yield one


def source(server: Loopback, **changes: Any) -> FredSource:
    given = {"clock": SimClock(NOW_NS), "retries": PATIENT, "rate": RateLimit(1e9), "sleep": lambda _: None}
    return FredSource(base_url=server.url, **{**given, **changes})


def request(first: str = "2024-06-28", last: str = "2024-07-10", timeframe: str = "1d", symbol: str = "VIX") -> Request:
    one = shipped_instruments().find(symbol)
    sessions = load_sessions(one.calendar, one.stamp_zone)
    return Request(one, sessions, Timeframe.parse(timeframe), parse_instant(first), parse_instant(last))


def rows(pages: list[Candles]) -> list[tuple[str, str, float]]:
    return [
        (iso(int(closed)), iso(int(known)), float(value))
        for page in pages
        for closed, known, value in zip(page.close_ns, page.knowable_ns, page.tick.floats(page.close), strict=True)
    ]


EXPECTED = [
    ("2024-06-28T20:00:00Z", "2024-07-01T13:00:00Z", 12.44),
    ("2024-07-01T20:00:00Z", "2024-07-02T13:00:00Z", 12.22),
    ("2024-07-02T20:00:00Z", "2024-07-03T13:00:00Z", 12.03),
    ("2024-07-03T17:00:00Z", "2024-07-05T13:00:00Z", 12.09),
    ("2024-07-05T20:00:00Z", "2024-07-08T13:00:00Z", 12.48),
]


def test_a_close_is_knowable_on_the_next_day_of_trading_at_nine(server: Loopback) -> None:
    with source(server) as bars:
        port: CandleSource = bars
        (page,) = pages = list(port.candles(request()))
    assert rows(pages) == EXPECTED, "Monday's close is not knowable on Tuesday at 08:59 New York"
    assert (page.key, port.name, port.timeframes()) == (("us:VIX", "1d", "raw"), "fred", ("1d",))
    assert (page.open == page.close).all()
    assert (page.high == page.low).all()
    asked = {"id": "VIXCLS", "cosd": "2024-06-28", "coed": "2024-07-10"}
    assert [seen.params for seen in server.requests] == [asked]


def test_a_minute_later_it_is(server: Loopback) -> None:
    with source(server, clock=SimClock(NOW_NS + 60 * SECOND_NS)) as bars:
        assert rows(list(bars.candles(request())))[-1] == ("2024-07-08T20:00:00Z", "2024-07-09T13:00:00Z", 12.37)


def test_in_winter_nine_in_new_york_is_an_hour_later(server: Loopback) -> None:
    server.routes["/graph/fredgraph.csv"] = lambda _: b"DATE,VALUE\n2024-01-12,12.70\n"
    with source(server) as bars:
        found = rows(list(bars.candles(request("2024-01-01"))))
    assert found == [("2024-01-12T21:00:00Z", "2024-01-16T14:00:00Z", 12.7)], "the Monday was a holiday"


def test_a_window_holds_the_sessions_that_open_in_it(server: Loopback) -> None:
    with source(server) as bars:
        assert rows(list(bars.candles(request("2024-07-01", "2024-07-03")))) == EXPECTED[1:3]
        assert list(bars.candles(request("2023-01-01", "2023-02-01"))) == []


def test_a_value_of_a_date_without_a_session_is_left_out_and_counted(server: Loopback) -> None:
    server.routes["/graph/fredgraph.csv"] = lambda _: b"DATE,VALUE\n2024-07-04,12.70\n2024-07-05,12.48\n"
    with source(server) as bars:
        assert rows(list(bars.candles(request()))) == EXPECTED[-1:]
    assert [(one.rows, one.reason) for one in bars.left_out] == [(1, "no bar of the calendar opens then")]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "the header"),
        ("<html>\n", "the header"),
        ("DATE,DGS10\n", "the header"),
        ("DATE,VALUE,NOTE\n", "the header"),
        ("DATE,VALUE\n07/05/2024,12\n", "the date"),
        ("DATE,VALUE\n2024-07-05\n", "the date"),
        ("DATE,VALUE\n2024-07-05,12\n2024-07-05,13\n", "the date"),
        ("DATE,VALUE\n2024-07-05,12;5\n", "the value"),
        ("DATE,VALUE\n2024-07-05,1e999\n", "the value"),
        ('DATE,VALUE\n"2024-07-05,12\n', "the file"),
    ],
)
def test_another_schema_is_refused_with_the_name_of_the_field(text: str, field: str) -> None:
    with pytest.raises(Invalid, match="not of the known form") as error:
        read_csv(text.encode(), "VIXCLS")
    assert error.value.detail["field"] == field


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(Invalid, match="the file"):
        read_csv(b"DATE,VALUE\n\xff\n", "VIXCLS")


TROUBLE = [
    Fault(status=500, body="oops"),
    Fault(status=429, headers={"Retry-After": "1"}),
    Fault(keep_bytes=50),
    Fault(keep_bytes=50, chunked=True),
    Fault(cut_bytes=50),
    Fault(cut_bytes=0),
    Fault(reset=True),
    None,
]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(st.sampled_from(TROUBLE), max_size=8))
@pytest.mark.slow
def test_whatever_goes_wrong_for_a_while_the_rows_are_the_same(script: list[Fault | None]) -> None:
    with Loopback({"/graph/fredgraph.csv": graph}) as server, source(server) as bars:
        server.script(*script)
        assert rows(list(bars.candles(request()))) == EXPECTED


def test_half_a_number_at_the_end_is_never_taken_for_one(server: Loopback) -> None:
    whole = graph(Seen("GET", "", {"id": "VIXCLS", "cosd": "2024-06-28", "coed": "2024-07-10"}, {})).payload
    server.script(Fault(cut_bytes=len(whole) - 3))
    with source(server) as bars:
        assert rows(list(bars.candles(request()))) == EXPECTED
    assert [one.status for one in bars.http.log] == [200, 200]
    assert "ends early" in bars.http.log[0].problem


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=429, headers={"Retry-After": "900"}), Exhausted),
        (Fault(status=418, headers={"Retry-After": "900"}), Exhausted),
        (Fault(status=404), NotFound),
        (Fault(body="<html>maintenance</html>\n"), Invalid),
    ],
)
def test_an_answer_that_no_patience_mends_has_its_error(
    server: Loopback, fault: Fault, error: type[GnomonError]
) -> None:
    server.script(fault)
    with source(server) as bars, pytest.raises(error) as raised:
        list(bars.candles(request()))
    assert raised.value.hint
    assert len(server.requests) == 1


def test_a_server_that_stays_down_is_unavailable_after_every_attempt(server: Loopback) -> None:
    server.script(*[Fault(status=500)] * 3)
    with source(server, retries=HttpRetries(attempts=3)) as bars, pytest.raises(Unavailable, match="after 3 attempts"):
        list(bars.candles(request()))


def test_our_clock_ahead_of_the_server_takes_nothing_early() -> None:
    date = format_datetime(datetime.fromtimestamp(NOW_NS // SECOND_NS, UTC), usegmt=True)
    with (
        Loopback({"/graph/fredgraph.csv": graph}, date=date) as server,
        source(server, clock=SimClock(NOW_NS + 3600 * SECOND_NS)) as bars,
    ):
        assert rows(list(bars.candles(request()))) == EXPECTED


def test_what_fred_has_not_is_refused_before_asking(server: Loopback) -> None:
    with source(server) as bars:
        with pytest.raises(Invalid, match="no bars of 1h"):
            list(bars.candles(request(timeframe="1h")))
        with pytest.raises(NotFound, match="no name at source 'fred'"):
            list(bars.candles(request(symbol="SPY")))
        other = request()
        other = replace(other, instrument=replace(other.instrument, sources={"fred": ("NOPE",)}))
        assert server.requests == []
        with pytest.raises(NotFound):
            list(bars.candles(other))
