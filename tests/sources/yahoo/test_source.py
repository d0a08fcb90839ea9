"""The source over a server on this machine that speaks Yahoo's chart format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sources.loopback import Document, Fault, Loopback, Reply, Seen

from gnomon.clock import SimClock, Timeframe, iso, parse_instant
from gnomon.errors import Exhausted, GnomonError, Invalid, NotFound, Refused, Unavailable
from gnomon.market.candles import Candles
from gnomon.sources.http import HttpRetries, RateLimit
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.sources.source import CandleSource, Request
from gnomon.sources.yahoo.source import YahooSource
from gnomon.units import DAY_NS, HOUR_NS, SECOND_NS

NOW_NS = parse_instant("2024-07-05T15:10:00Z")
PATIENT = HttpRetries(attempts=40, base_s=0.01, longest_s=5.0)
INTERVALS = {"1h": "1h", "1d": "1d", "1wk": "1w"}


class Yahoo:
    """The chart endpoint for shares of New York: every bar of the calendar, and a quote behind the newest."""

    def __init__(self, now_ns: int = NOW_NS) -> None:
        self.now_ns = now_ns

    def routes(self) -> dict[str, Any]:
        return {"/v8/finance/chart/*": self.chart}

    def chart(self, seen: Seen) -> Document | Reply:
        symbol = unquote(seen.path.rpartition("/")[2])
        if symbol not in ("SPY", "JPY=X"):
            said = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
            return Reply({"chart": {"result": None, "error": said}}, status=404)
        first_ns, last_ns = (int(seen.params[name]) * SECOND_NS for name in ("period1", "period2"))
        calendar = "nyse" if symbol == "SPY" else "fx"
        bars = load_sessions(calendar).between(Timeframe.parse(INTERVALS[seen.params["interval"]]), first_ns, 2**62)
        shown = bars.open_ns[(bars.open_ns < last_ns) & (bars.open_ns <= self.now_ns)]
        stamps = [int(one) // SECOND_NS for one in shown]
        if stamps and last_ns > self.now_ns and seen.params["interval"] == "1h":
            stamps.append(self.now_ns // SECOND_NS)
        quote = {name: [price(one, name) for one in stamps] for name in ("open", "high", "low", "close", "volume")}
        zone = "America/New_York" if symbol == "SPY" else "Europe/London"
        meta = {"symbol": symbol, "exchangeTimezoneName": zone, "dataGranularity": seen.params["interval"]}
        result: dict[str, Any] = {"meta": meta, "indicators": {"quote": [quote]}}
        if stamps:
            result["timestamp"] = stamps
        return {"chart": {"result": [result], "error": None}}


def price(second: int, name: str) -> float:
    extra = {"open": 0.0, "high": 1.0, "low": -1.0, "close": 0.25, "volume": 0.0}[name]
    return round(500 + second % 997 / 100 + extra, 2) if name != "volume" else second % 1000


@pytest.fixture
def yahoo() -> Iterator[Loopback]:
    with Loopback(Yahoo().routes()) as server:
        yield server


def source(server: Loopback, **changes: Any) -> YahooSource:
    given = {"clock": SimClock(NOW_NS), "retries": PATIENT, "rate": RateLimit(1e9), "sleep": lambda _: None}
    return YahooSource(base_url=server.url, **{**given, **changes})


def request(symbol: str = "SPY", timeframe: str = "1h", first: str = "2024-06-03", last: str = "2024-07-06") -> Request:
    one = shipped_instruments().find(symbol)
    sessions = load_sessions(one.calendar, one.stamp_zone)
    return Request(one, sessions, Timeframe.parse(timeframe), parse_instant(first), parse_instant(last))


def rows(pages: list[Candles]) -> list[tuple[Any, ...]]:
    found = []
    for page in pages:
        prices = [page.tick.floats(column).tolist() for column in (page.open, page.high, page.low, page.close)]
        columns = (page.open_ns.tolist(), page.close_ns.tolist(), *prices, page.lot.floats(page.volume).tolist())
        found += list(zip(*columns, strict=True))
    return found


def expected(asked: Request, now_ns: int = NOW_NS) -> list[tuple[Any, ...]]:
    bars = asked.sessions.between(asked.timeframe, asked.first_ns, now_ns)
    found = []
    for opened, closed in zip(bars.open_ns.tolist(), bars.close_ns.tolist(), strict=True):
        if opened < asked.last_ns:
            second = opened // SECOND_NS
            values = (price(second, name) for name in ("open", "high", "low", "close", "volume"))
            found.append((opened, closed, *values))
    return found


@pytest.mark.parametrize("timeframe", ["1h", "1d", "1w"])
def test_the_closed_bars_of_the_window_and_nothing_of_the_forming_one(yahoo: Loopback, timeframe: str) -> None:
    asked = request(timeframe=timeframe)
    with source(yahoo) as bars:
        port: CandleSource = bars
        pages = list(port.candles(asked))
        assert rows(pages) == expected(asked)
        assert (port.name, port.basis, bars.left_out) == ("yahoo", "split", [])
    assert all(page.basis == "split" and (page.knowable_ns == page.close_ns).all() for page in pages)
    assert rows(pages)[-1][1] <= NOW_NS


def test_a_long_window_is_asked_in_pages(yahoo: Loopback) -> None:
    asked = request(first="2023-01-03")
    with source(yahoo) as bars:
        assert rows(list(bars.candles(asked))) == expected(asked)
    spans = [(int(seen.params["period1"]), int(seen.params["period2"])) for seen in yahoo.requests]
    assert len(spans) == 4
    assert all(earlier[1] == later[0] for earlier, later in pairwise(spans))
    assert yahoo.requests[0].params["interval"] == "1h"
    assert yahoo.requests[0].headers["user-agent"].startswith("gnomon/")


def test_a_window_longer_ago_than_yahoo_keeps_is_refused_before_asking(yahoo: Loopback) -> None:
    with source(yahoo) as bars, pytest.raises(Refused, match="keeps bars of 1h for 729 days") as error:
        list(bars.candles(request(first="2020-01-01")))
    earliest_ns = error.value.detail["earliest_ns"]
    assert NOW_NS - 729 * DAY_NS <= earliest_ns < NOW_NS - 728 * DAY_NS
    assert iso(earliest_ns) in error.value.hint
    assert yahoo.requests == []
    with source(yahoo) as bars:
        assert list(bars.candles(replace(request(), first_ns=earliest_ns)))
        assert list(bars.candles(request(timeframe="1d", first="2010-01-01")))


def test_the_next_name_is_tried_where_the_first_is_unknown(yahoo: Loopback) -> None:
    asked = request("USDJPY", first="2024-07-01", last="2024-07-03")
    with source(yahoo) as bars:
        assert rows(list(bars.candles(asked))) == expected(asked)
    assert [unquote(path.rpartition("/")[2]) for path in yahoo.paths()] == ["USDJPY=X", "JPY=X"]


TROUBLE = [
    Fault(status=500, body="oops"),
    Fault(status=502, body="<html>bad gateway</html>"),
    Fault(status=429, headers={"Retry-After": "1"}, body="Too Many Requests"),
    Fault(status=200, body="<html>maintenance</html>"),
    Fault(keep_bytes=100),
    Fault(keep_bytes=90, chunked=True),
    Fault(cut_bytes=120),
    Fault(cut_bytes=0),
    Fault(reset=True),
    None,
]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(st.sampled_from(TROUBLE), max_size=8))
@pytest.mark.slow
def test_whatever_goes_wrong_for_a_while_the_rows_are_the_same(script: list[Fault | None]) -> None:
    asked = request(first="2023-06-01", last="2024-07-06")
    with Loopback(Yahoo().routes()) as server, source(server) as bars:
        server.script(*script)
        assert rows(list(bars.candles(asked))) == expected(asked)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=429, headers={"Retry-After": "900"}), Exhausted),
        (Fault(status=418, headers={"Retry-After": "900"}), Exhausted),
        (Fault(status=403, body="forbidden"), Refused),
        (Fault(status=401, body={"finance": {"error": {"code": "Unauthorized"}}}), Refused),
        (
            Fault(
                status=422,
                body={
                    "chart": {
                        "error": {
                            "code": "Unprocessable Entity",
                            "description": "1h data not available: the "
                            "requested range must be within the last 730 days.",
                        }
                    }
                },
            ),
            Refused,
        ),
        (
            Fault(status=400, body={"chart": {"error": {"code": "Bad Request", "description": "Invalid input"}}}),
            Invalid,
        ),
        (Fault(body={"chart": {"result": [{"meta": {}}], "error": None}}), Invalid),
        (Fault(body={"finance": {}}), Invalid),
    ],
)
def test_an_answer_that_no_patience_mends_has_its_error(
    yahoo: Loopback, fault: Fault, error: type[GnomonError]
) -> None:
    yahoo.script(fault)
    with source(yahoo) as bars, pytest.raises(error) as raised:
        list(bars.candles(request(timeframe="1d")))
    assert raised.value.hint
    assert len(yahoo.requests) == 1
    if error is Exhausted:
        assert raised.value.detail["retry_after_s"] == 900


def test_an_unknown_symbol_is_not_found(yahoo: Loopback) -> None:
    with source(yahoo) as bars, pytest.raises(NotFound, match="may be delisted"):
        list(bars.candles(request("AAPL", "1d")))
    with source(yahoo) as bars, pytest.raises(NotFound, match="has no name at source 'yahoo'"):
        list(bars.candles(request("VIX", "1d")))
    with source(yahoo) as bars, pytest.raises(Invalid, match="no bars of 2h"):
        list(bars.candles(request("SPY", "2h")))


def test_a_server_that_stays_down_is_unavailable_after_every_attempt(yahoo: Loopback) -> None:
    yahoo.script(*[Fault(status=503)] * 3)
    with source(yahoo, retries=HttpRetries(attempts=3)) as bars, pytest.raises(Unavailable, match="after 3 attempts"):
        list(bars.candles(request(timeframe="1d")))
    assert [one.status for one in bars.http.log] == [503, 503, 503]


def test_our_clock_ahead_of_the_server_takes_no_forming_bar() -> None:
    date = format_datetime(datetime.fromtimestamp(NOW_NS // SECOND_NS, UTC), usegmt=True)
    asked = request(last="2024-07-10")
    with Loopback(Yahoo().routes(), date=date) as server, source(server, clock=SimClock(NOW_NS + 3 * HOUR_NS)) as bars:
        assert rows(list(bars.candles(asked))) == expected(asked)
        assert "ahead of" in bars.http.notes[0]


def test_after_a_failure_whole_pages_were_yielded(yahoo: Loopback) -> None:
    yahoo.script(None, *[Fault(status=500)] * 5)
    asked = request(first="2023-06-01")
    got = []
    with source(yahoo, retries=HttpRetries(attempts=2)) as bars, pytest.raises(Unavailable):
        got.extend(bars.candles(asked))
    kept: list[Candles] = []
    with source(yahoo, retries=HttpRetries(attempts=9)) as bars:
        kept.extend(bars.candles(asked))
    assert rows(kept) == expected(asked)
