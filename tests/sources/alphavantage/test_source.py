"""The source over a server on this machine that speaks Alpha Vantage's format, its limits in words included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sources.loopback import Document, Fault, Loopback, Seen

from gnomon.clock import SimClock, Timeframe, parse_instant
from gnomon.errors import Exhausted, GnomonError, Invalid, NotFound, Refused, Unavailable
from gnomon.market.candles import Candles
from gnomon.sources.alphavantage.source import AlphaVantageSource
from gnomon.sources.http import HttpRetries, RateLimit
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.sources.source import CandleSource, Request
from gnomon.units import SECOND_NS

KEY = "SECRET123"
NOW_NS = parse_instant("2024-07-05T15:10:00Z")
PATIENT = HttpRetries(attempts=40, base_s=0.01, longest_s=30.0)
ZONE = ZoneInfo("US/Eastern")
SLOW_DOWN = {
    "Information": "Please consider spreading out your free API requests more sparsely (1 request per second)."
}
NO_MORE = {
    "Information": f"We have detected your API key as {KEY} and our standard API rate limit is 25 requests per day."
}


def query(seen: Seen) -> Document:
    """Every bar of the calendar of shares, the forming one included, newest first."""
    if seen.params["apikey"] != KEY:
        return {"Error Message": "the parameter apikey is invalid or missing."}
    if seen.params.get("symbol") != "SPY":
        return {"Error Message": "Invalid API call. Please retry or visit the documentation"}
    intraday = seen.params["function"] == "TIME_SERIES_INTRADAY"
    timeframe = Timeframe.parse(seen.params["interval"] if intraday else "1d")
    bars = load_sessions("nyse").between(timeframe, parse_instant("2024-01-01"), parse_instant("2024-07-06"))
    series = {}
    for opened in reversed(bars.open_ns.tolist()):
        local = datetime.fromtimestamp(opened // SECOND_NS, ZONE)
        if opened <= NOW_NS and f"{local:%Y-%m}" == seen.params.get("month", f"{local:%Y-%m}"):
            stamp = f"{local:%Y-%m-%d %H:%M:%S}" if intraday else f"{local:%Y-%m-%d}"
            series[stamp] = {f"{n}. {name}": text for n, (name, text) in enumerate(cells(opened).items(), 1)}
    key = f"Time Series ({seen.params['interval']})" if intraday else "Time Series (Daily)"
    return {"Meta Data": {"2. Symbol": "SPY", "6. Time Zone": "US/Eastern"}, key: series}


def cells(opened: int) -> dict[str, str]:
    price = 500 + opened // SECOND_NS % 997 / 100
    prices = {"open": price, "high": price + 1, "low": price - 1, "close": price + 0.25}
    return {name: f"{value:.4f}" for name, value in prices.items()} | {"volume": str(opened // SECOND_NS % 1000)}


@pytest.fixture
def vantage() -> Iterator[Loopback]:
    with Loopback({"/query": query}) as server:
        yield server


def source(server: Loopback, key: str = KEY, **changes: Any) -> AlphaVantageSource:
    given = {"clock": SimClock(NOW_NS), "retries": PATIENT, "rate": RateLimit(1e9), "sleep": lambda _: None}
    return AlphaVantageSource(key, base_url=server.url, **{**given, **changes})


def request(
    symbol: str = "SPY", timeframe: str = "30m", first: str = "2024-05-20", last: str = "2024-07-06"
) -> Request:
    one = shipped_instruments().find(symbol)
    names = {"SPY": "SPY", "AAPL": "AAPL", "EURUSD": "EUR/USD", "BTCUSDT": "BTC/USD", "GBPUSD": "GBPUSD"}
    one = replace(one, sources={"alphavantage": (names[symbol],)})
    sessions = load_sessions(one.calendar, one.stamp_zone)
    return Request(one, sessions, Timeframe.parse(timeframe), parse_instant(first), parse_instant(last))


def rows(pages: list[Candles]) -> list[tuple[Any, ...]]:
    found = []
    for page in pages:
        prices = [page.tick.floats(column).tolist() for column in (page.open, page.high, page.low, page.close)]
        columns = (page.open_ns.tolist(), page.close_ns.tolist(), *prices, page.lot.floats(page.volume).tolist())
        found += list(zip(*columns, strict=True))
    return found


def expected(asked: Request) -> list[tuple[Any, ...]]:
    bars = asked.sessions.between(asked.timeframe, asked.first_ns, NOW_NS)
    return [
        (opened, closed, *(float(text) for text in cells(opened).values()))
        for opened, closed in zip(bars.open_ns.tolist(), bars.close_ns.tolist(), strict=True)
    ]


def test_bars_below_a_day_come_month_by_month(vantage: Loopback) -> None:
    asked = request()
    with source(vantage) as bars:
        port: CandleSource = bars
        pages = list(port.candles(asked))
    assert rows(pages) == expected(asked)
    assert (port.name, port.basis, len(pages)) == ("alphavantage", "raw", 3)
    assert [seen.params["month"] for seen in vantage.requests] == ["2024-05", "2024-06", "2024-07"]
    flags = {"function": "TIME_SERIES_INTRADAY", "interval": "30min", "adjusted": "false", "extended_hours": "false"}
    assert all(seen.params.items() >= flags.items() for seen in vantage.requests)


def test_days_come_in_one_answer_as_short_as_will_do(vantage: Loopback) -> None:
    asked = request(timeframe="1d")
    with source(vantage) as bars:
        assert rows(list(bars.candles(asked))) == expected(asked)
        long = request(timeframe="1d", first="2024-01-01")
        assert rows(list(bars.candles(long))) == expected(long)
    assert [seen.params["outputsize"] for seen in vantage.requests] == ["compact", "full"]


def test_a_premium_key_may_ask_the_adjusted_endpoint(vantage: Loopback) -> None:
    with source(vantage, daily="TIME_SERIES_DAILY_ADJUSTED") as bars:
        list(bars.candles(request(timeframe="1d")))
    assert vantage.requests[0].params["function"] == "TIME_SERIES_DAILY_ADJUSTED"


@pytest.mark.parametrize(
    ("symbol", "timeframe", "params"),
    [
        ("EURUSD", "1d", {"function": "FX_DAILY", "from_symbol": "EUR", "to_symbol": "USD"}),
        ("EURUSD", "1h", {"function": "FX_INTRADAY", "interval": "60min"}),
        ("BTCUSDT", "1d", {"function": "DIGITAL_CURRENCY_DAILY", "symbol": "BTC", "market": "USD"}),
        ("BTCUSDT", "5m", {"function": "CRYPTO_INTRADAY", "interval": "5min"}),
    ],
)
def test_currencies_and_coins_have_functions_of_their_own(
    vantage: Loopback, symbol: str, timeframe: str, params: dict[str, str]
) -> None:
    with source(vantage) as bars, pytest.raises(NotFound):  # this server knows a share alone
        list(bars.candles(request(symbol, timeframe)))
    assert vantage.requests[0].params.items() >= params.items()


def test_the_key_stands_in_no_log_and_no_error(vantage: Loopback) -> None:
    vantage.script(Fault(body=NO_MORE))
    with source(vantage) as bars, pytest.raises(Exhausted) as error:
        list(bars.candles(request()))
    assert vantage.requests[0].params["apikey"] == KEY
    assert KEY not in f"{bars.http.log} {error.value.document()}"
    assert bars.http.log[0].params["apikey"] == "***"


def test_the_limit_of_the_day_ends_it_at_once(vantage: Loopback) -> None:
    vantage.script(Fault(body=NO_MORE))
    with source(vantage) as bars:
        with pytest.raises(Exhausted) as error:
            list(bars.candles(request()))
        assert error.value.detail["retry_after_s"] == 86_400
        with pytest.raises(Exhausted, match="barred"):
            list(bars.candles(request()))
    assert len(vantage.requests) == 1


TROUBLE = [
    Fault(status=500, body="oops"),
    Fault(status=429, headers={"Retry-After": "1"}, body="slow down"),
    Fault(body=SLOW_DOWN),
    Fault(keep_bytes=100),
    Fault(cut_bytes=120),
    Fault(cut_bytes=0),
    Fault(reset=True),
    None,
]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(st.sampled_from(TROUBLE), max_size=8))
@pytest.mark.slow
def test_whatever_goes_wrong_for_a_while_the_rows_are_the_same(script: list[Fault | None]) -> None:
    asked = request()
    with Loopback({"/query": query}) as server, source(server) as bars:
        server.script(*script)
        assert rows(list(bars.candles(asked))) == expected(asked)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=429, headers={"Retry-After": "900"}), Exhausted),
        (Fault(status=418, headers={"Retry-After": "900"}), Exhausted),
        (Fault(status=403, body="no"), Refused),
        (Fault(body={"Information": "This is a premium endpoint."}), Refused),
        (Fault(body={"Note": "5 calls per minute and 500 calls per day"}), Exhausted),
        (Fault(body={"Error Message": "Invalid inputs."}), Invalid),
        (Fault(body={}), Invalid),
        (Fault(body={"Meta Data": {}, "Series": {}}), Invalid),
    ],
)
def test_an_answer_that_no_patience_mends_has_its_error(
    vantage: Loopback, fault: Fault, error: type[GnomonError]
) -> None:
    vantage.script(fault)
    with source(vantage) as bars, pytest.raises(error) as raised:
        list(bars.candles(request(timeframe="1d")))
    assert raised.value.hint
    assert len(vantage.requests) == 1


def test_a_server_that_stays_down_is_unavailable_after_every_attempt(vantage: Loopback) -> None:
    vantage.script(*[Fault(status=502)] * 3)
    with source(vantage, retries=HttpRetries(attempts=3)) as bars, pytest.raises(Unavailable, match="after 3 attempts"):
        list(bars.candles(request(timeframe="1d")))


def test_what_cannot_be_asked_is_refused_before_asking(vantage: Loopback) -> None:
    with source(vantage) as bars:
        with pytest.raises(Refused, match="are on the hour") as error:
            list(bars.candles(request(timeframe="1h")))
        assert "30m" in error.value.hint
        with pytest.raises(Invalid, match="'GBPUSD' is no pair"):
            list(bars.candles(request("GBPUSD", "1d")))
        with pytest.raises(Invalid, match="no bars of 2h"):
            list(bars.candles(request(timeframe="2h")))
    with pytest.raises(Invalid, match="needs a key"):
        AlphaVantageSource("", clock=SimClock(NOW_NS))
    assert vantage.requests == []


def test_unknown_symbols_and_keys_have_their_errors(vantage: Loopback) -> None:
    with source(vantage) as bars, pytest.raises(NotFound):
        list(bars.candles(request("AAPL", "1d")))
    with source(vantage, key="other") as bars, pytest.raises(Refused):
        list(bars.candles(request(timeframe="1d")))
