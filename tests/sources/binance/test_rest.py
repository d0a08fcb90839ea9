"""Binance over REST, against a server on this machine that speaks its formats and fails in its ways."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sources.binance.exchange import (
    HOUR_MS,
    Exchange,
    bitcoin,
    kline,
    ms,
    naive,
    prints_from,
    served,
    told,
    window,
)
from tests.sources.loopback import Fault, Loopback

from gnomon.clock import SimClock
from gnomon.errors import Exhausted, GnomonError, Invalid, NotFound, Refused, Unavailable
from gnomon.market.candles import Candles
from gnomon.market.trades import Trades
from gnomon.sources.binance.rest import BinanceRest
from gnomon.sources.binance.venue import USDM
from gnomon.sources.http import HttpRetries
from gnomon.sources.source import Request
from gnomon.units import HOUR_NS

NOW = "2026-02-10T12:34:56Z"


def exchange(**options: Any) -> Exchange:
    return Exchange(ms(NOW), ms("2026-01-01"), **options)


def source(provider: Loopback, *, local: str = NOW, **options: Any) -> BinanceRest:
    clock = SimClock(ms(local) * 1_000_000)
    return BinanceRest(clock=clock, base_url=provider.url, sleep=lambda _: None, **options)


def fetched(provider: Loopback, request: Request, **options: Any) -> list[Candles]:
    with source(provider, **options) as binance:
        return list(binance.candles(request))


WEEK = window("2026-01-10", "2026-01-17")


def test_candles_equal_the_naive_reading_page_by_page() -> None:
    venue = exchange()
    with served(venue) as provider:
        pages = fetched(provider, WEEK, page_rows=50)
    assert [len(page) for page in pages] == [50, 50, 50, 18]
    assert told(pages) == naive(venue, WEEK)
    assert pages[0].key == ("binance:BTCUSDT", "1h", "raw")


def test_requests_touch_the_window_and_nothing_else() -> None:
    with served(exchange()) as provider:
        fetched(provider, WEEK, page_rows=50)
    asked = [seen for seen in provider.requests if seen.path == "/api/v3/klines"]
    assert [int(seen.params["startTime"]) for seen in asked] == [
        ms("2026-01-10") + 50 * page * HOUR_MS for page in range(4)
    ]
    assert {int(seen.params["endTime"]) for seen in asked} == {ms("2026-01-17") - 1}
    assert {(seen.params["symbol"], seen.params["interval"]) for seen in asked} == {("BTCUSDT", "1h")}
    assert {seen.path for seen in provider.requests} == {"/api/v3/klines", "/api/v3/time"}


def test_an_empty_window_asks_for_nothing() -> None:
    with served(exchange()) as provider:
        assert fetched(provider, window("2026-01-10", "2026-01-10")) == []
        assert fetched(provider, window("2026-03-10", "2026-03-11")) == []
    assert set(provider.paths()) == {"/api/v3/time"}


# --- time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("local", ["2026-02-10T04:00:00Z", NOW, "2026-02-10T21:00:00Z"])
def test_the_forming_bar_is_left_out_by_the_venues_clock_whatever_ours_says(local: str) -> None:
    venue, request = exchange(), window("2026-02-10", "2026-02-11")
    with served(venue, date="Tue, 10 Feb 2026 12:34:56 GMT") as provider, source(provider, local=local) as binance:
        pages = list(binance.candles(request))
    assert told(pages) == naive(venue, request)
    assert len(told(pages)) == 12
    assert binance.missing == []
    assert len(binance.http.notes) == (local != NOW)


def test_a_venue_whose_own_clock_is_hours_behind_gives_what_it_says_is_closed() -> None:
    venue, request = exchange(), window("2026-02-10", "2026-02-11")
    venue.routes["/api/v3/time"] = lambda _: {"serverTime": ms("2026-02-10T09:30:00Z")}
    with served(venue) as provider:
        assert len(told(fetched(provider, request))) == 9


def test_a_bar_that_closes_this_very_moment_is_closed() -> None:
    request = window("2026-02-10", "2026-02-11")
    for now, bars in (("2026-02-10T12:59:59.999Z", 12), ("2026-02-10T13:00:00Z", 13)):
        with served(Exchange(ms(now), ms("2026-01-01"))) as provider:
            assert len(told(fetched(provider, request))) == bars


def test_the_venues_time_is_asked_once_a_minute() -> None:
    now_s = [0.0]
    with served(exchange()) as provider, source(provider, monotonic=lambda: now_s[0]) as binance:
        first = binance.server_ns()
        now_s[0] = 30.0
        assert binance.server_ns() == first + 30_000_000_000
        assert provider.paths() == ["/api/v3/time"]
        now_s[0] = 61.0
        assert binance.server_ns() == first  # its clock stands still here
    assert len(provider.requests) == 2


# --- outages, listing, timeframes -----------------------------------------------------------------------------------


def test_an_outage_is_reported_and_not_filled() -> None:
    dark = (ms("2026-01-12T03:00:00Z"), ms("2026-01-12T08:00:00Z"))
    venue = exchange(outages=[dark])
    with served(venue) as provider, source(provider, page_rows=50) as binance:
        pages = list(binance.candles(WEEK))
    assert told(pages) == naive(venue, WEEK)
    (gap,) = binance.missing
    assert (gap.first_ns, gap.until_ns, gap.bars) == (dark[0] * 10**6, dark[1] * 10**6, 5)


def test_bars_before_the_listing_and_a_dark_end_are_missing() -> None:
    venue = Exchange(ms(NOW), ms("2026-01-11"), outages=[(ms("2026-01-16"), ms("2026-01-20"))])
    with served(venue) as provider, source(provider) as binance:
        pages = list(binance.candles(WEEK))
        assert told(pages) == naive(venue, WEEK)
        assert [(gap.bars, gap.why[:21]) for gap in binance.missing] == [(24, "the venue has no bars")] * 2
        list(binance.candles(window("2026-01-12", "2026-01-13")))
        assert binance.missing == []  # of the last window


@pytest.mark.parametrize(("timeframe", "interval", "days"), [("1d", "1d", 1), ("1w", "1w", 7), ("15m", "15m", 1 / 96)])
def test_other_lengths(timeframe: str, interval: str, days: float) -> None:
    length_ms = int(days * 24 * HOUR_MS)
    # weeks begin on Mondays: the bars of the server are counted from 1970, a Thursday
    venue = exchange(length_ms=length_ms)
    if timeframe == "1w":
        venue.routes["/api/v3/klines"] = lambda _: [
            kline(ms("2026-01-05"), length_ms),
            kline(ms("2026-01-12"), length_ms),
        ]
    with served(venue) as provider:
        (page,) = fetched(provider, window("2026-01-05", "2026-01-19", timeframe), page_rows=5000)
    assert provider.requests[-1].params["interval"] == interval
    assert len(page) == round(14 / days)


def test_months_are_spelled_1m_and_have_their_own_lengths() -> None:
    venue = exchange()
    rows = [kline(ms("2025-12-01"), 31 * 24 * HOUR_MS), kline(ms("2026-01-01"), 31 * 24 * HOUR_MS)]
    venue.routes["/api/v3/klines"] = lambda _: [*rows, kline(ms("2026-02-01"), 28 * 24 * HOUR_MS)]
    with served(venue) as provider:
        (page,) = fetched(provider, window("2025-12-01", "2026-03-01", "1mo"))
    assert provider.requests[-1].params["interval"] == "1M"
    assert page.close_ns.tolist() == [ms("2026-01-01") * 10**6, ms("2026-02-01") * 10**6]


def test_what_binance_does_not_have_is_said_before_anything_is_asked() -> None:
    with served(exchange()) as provider:
        with pytest.raises(Invalid, match="no bars of 7m"):
            fetched(provider, window("2026-01-10", "2026-01-11", "7m"))
        with pytest.raises(NotFound, match="no name at source 'binance'"):
            fetched(provider, window("2026-01-10", "2026-01-11", instrument=replace(bitcoin(), sources={})))
        strange = replace(bitcoin(), sources={"binance": ("../etc",)})
        with pytest.raises(Invalid, match="not a symbol"):
            fetched(provider, window("2026-01-10", "2026-01-11", instrument=strange))
    assert provider.requests == []


def test_the_futures_market_has_its_own_paths_and_key() -> None:
    venue = exchange()
    with Loopback({path.replace("/api/v3", "/fapi/v1"): route for path, route in venue.routes.items()}) as provider:
        future = replace(bitcoin(), sources={"binance-usdm": ("BTCUSDT",)})
        request = window("2026-01-10", "2026-01-11", instrument=future)
        with source(provider, venue=USDM) as binance:
            assert binance.name == "binance-usdm"
            assert told(binance.candles(request)) == naive(venue, request)
            assert str(binance.rules("BTCUSDT").tick.step) == "0.01"


# --- faults ---------------------------------------------------------------------------------------------------------

WEATHER = [
    Fault(status=500),
    Fault(status=502, body="<html>bad gateway</html>", headers={"Content-Type": "text/html"}),
    Fault(status=503, headers={"Retry-After": "1"}),
    Fault(status=429, headers={"Retry-After": "1"}, body={"code": -1003, "msg": "Too much request weight used."}),
    Fault(status=400, body={"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}),
    Fault(status=400, body={"code": -1001, "msg": "Internal error; unable to process your request."}),
    Fault(body={"code": -1008, "msg": "Server is currently overloaded with other requests."}),
    Fault(reset=True),
    Fault(keep_bytes=100),
    Fault(keep_bytes=100, chunked=True),
    Fault(cut_bytes=101),
    Fault(cut_bytes=0),
    Fault(body="<!DOCTYPE html><html>maintenance</html>", headers={"Content-Type": "text/html"}),
]
DAYS = window("2026-01-10", "2026-01-14")


@pytest.mark.parametrize("fault", WEATHER, ids=lambda fault: repr(fault)[:70])
def test_what_passes_leaves_no_trace(fault: Fault) -> None:
    venue = exchange()
    with served(venue) as provider:
        provider.script(None, fault, None, fault)
        assert told(fetched(provider, DAYS, page_rows=50)) == naive(venue, DAYS)
    assert len(provider.requests) == 5


@pytest.mark.parametrize("fault", WEATHER, ids=lambda fault: repr(fault)[:70])
def test_what_does_not_pass_fails_with_a_reason_and_whole_pages_before_it(fault: Fault) -> None:
    venue = exchange()
    with served(venue) as provider, source(provider, page_rows=50, retries=HttpRetries(attempts=2)) as binance:
        provider.script(None, None, fault, fault)
        pages = binance.candles(DAYS)
        first = next(pages)
        with pytest.raises((Unavailable, Exhausted)) as caught:
            next(pages)
    assert told([first]) == naive(venue, DAYS)[:50]
    assert caught.value.hint
    assert str(caught.value)


@pytest.mark.slow
@given(st.lists(st.sampled_from([None, None, *WEATHER]), max_size=14), st.integers(10, 60))
@settings(max_examples=25, deadline=None)
def test_any_weather_that_ends_gives_the_candles_of_a_fine_day(faults: list[Fault | None], page_rows: int) -> None:
    venue = exchange(outages=[(ms("2026-01-12T03:00:00Z"), ms("2026-01-12T08:00:00Z"))])
    rows: list[tuple[int, ...]] = []
    at_s = [0.0]
    given = {"page_rows": page_rows, "retries": HttpRetries(attempts=2), "monotonic": lambda: at_s[0]}
    with served(venue) as provider, source(provider, **given) as binance:
        provider.script(*faults)
        for _ in range(20):  # a job that goes on from what it has, an hour later: no bar lasts as long
            at_s[0] += 3_600.0
            first_ns = rows[-1][1] if rows else DAYS.first_ns
            try:
                for page in binance.candles(replace(DAYS, first_ns=first_ns)):
                    rows += told([page])
                break
            except (Unavailable, Exhausted):
                continue
    assert rows == naive(venue, DAYS)


def test_a_ban_says_until_when_and_is_not_asked_against() -> None:
    until_ms = ms(NOW) + 90_000
    said = f"Way too much request weight used; IP banned until {until_ms}. Please use WebSocket Streams."
    with served(exchange()) as provider, source(provider) as binance:
        provider.script(Fault(status=418, body={"code": -1003, "msg": said}))
        for _ in range(2):
            with pytest.raises(Exhausted) as caught:
                list(binance.candles(WEEK))
            assert caught.value.detail["retry_after_s"] == pytest.approx(90, abs=1)
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"code": -1121, "msg": "Invalid symbol."}, NotFound),
        (400, {"code": -1120, "msg": "Invalid interval."}, Invalid),
        (400, {"code": -1102, "msg": "Mandatory parameter 'symbol' was not sent."}, Invalid),
        (401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}, Refused),
        (403, "<html>403 Forbidden</html>", Refused),
        (451, {"code": 0, "msg": "Service unavailable from a restricted location."}, Refused),
    ],
)
def test_what_will_not_pass_is_said_at_once(status: int, body: Any, kind: type[GnomonError]) -> None:
    with served(exchange()) as provider:
        provider.script(Fault(status=status, body=body), path="/api/v3/klines")
        with pytest.raises(kind):
            fetched(provider, WEEK)
    assert len(provider.requests) == 2


Edit = Callable[[list[Any]], Any]


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (lambda rows: [row[:11] for row in rows], "12 columns expected, received 11 columns"),
        (lambda rows: [[*row, "new"] for row in rows], "12 columns expected, received 13 columns"),
        (lambda rows: [*rows[:5], None], "kline 5: 12 columns expected, received None"),
        (lambda rows: {"rows": rows}, "a list of rows expected"),
        (
            lambda rows: [[*row[:4], float(row[4]), *row[5:]] for row in rows],
            "column close: a decimal as text expected",
        ),
        (lambda rows: [[*row[:2], "", *row[3:]] for row in rows], "column high: a decimal as text expected"),
        (lambda rows: [[*row[:7], "1e5", *row[8:]] for row in rows], "column quoteVolume"),
        (lambda rows: [[*row[:5], "-1.0", *row[6:]] for row in rows], "column volume"),
        (lambda rows: [[str(row[0]), *row[1:]] for row in rows], "column openTime: a whole number expected"),
        (lambda rows: [[row[0] * 1000, *row[1:6], row[6] * 1000, *row[7:]] for row in rows], "milliseconds expected"),
        (lambda rows: [[row[0] // 1000, *row[1:]] for row in rows], "milliseconds expected"),
        (lambda rows: [[*row[:6], row[6] + HOUR_MS, *row[7:]] for row in rows], "column closeTime: at most"),
        (lambda rows: [[*row[:6], row[0] - 1, *row[7:]] for row in rows], "column closeTime"),
        (lambda rows: [[row[0], row[3], row[4], row[1], row[2], *row[5:]] for row in rows], "low <= open"),
        (lambda rows: [rows[0], [rows[0][0], *rows[1][1:6], rows[0][6], *rows[1][7:]], *rows[1:]], "comes twice"),
        (lambda rows: [*rows[:4], rows[7], rows[5], rows[6], rows[4], *rows[8:]], "time goes back"),
        (lambda rows: [[row[0] + 60_000, *row[1:6], row[6] + 60_000, *row[7:]] for row in rows], "opens none"),
    ],
)
def test_a_changed_schema_is_refused_and_named(edit: Edit, named: str) -> None:
    with served(exchange()) as provider:
        change = Fault(change=lambda reply: replace(reply, body=edit(reply.body)))
        provider.script(change, path="/api/v3/klines")
        with pytest.raises(Invalid, match=named):
            fetched(provider, WEEK)
    assert provider.paths().count("/api/v3/klines") == 1


def test_repeated_rows_and_pages_that_overlap_are_counted_once() -> None:
    venue = exchange()
    honest = venue.klines

    def overlapping(seen: Any) -> Any:
        early = dict(seen.params) | {"startTime": str(int(seen.params["startTime"]) - 3 * HOUR_MS)}
        reply = honest(replace(seen, params=early))
        return replace(reply, body=[reply.body[0], *reply.body])

    venue.routes["/api/v3/klines"] = overlapping
    with served(venue) as provider:
        assert told(fetched(provider, DAYS, page_rows=30)) == naive(venue, DAYS)


def test_a_server_that_ignores_the_window_ends_in_an_error_and_not_in_a_loop() -> None:
    venue = exchange()
    venue.routes["/api/v3/klines"] = lambda _: [kline(ms("2026-01-10") + n * HOUR_MS) for n in range(50)]
    with served(venue) as provider, pytest.raises(Invalid, match="none after 2026-01-12T01:00:00Z"):
        fetched(provider, WEEK)
    assert len(provider.requests) == 3


def test_a_bar_that_an_outage_cut_short_is_kept() -> None:
    venue = exchange()
    row = kline(ms("2026-01-10"))
    venue.routes["/api/v3/klines"] = lambda _: [[*row[:6], row[6] - 1_000_000, *row[7:]]]
    with served(venue) as provider:
        (page,) = fetched(provider, window("2026-01-10", "2026-01-10T01:00:00Z"))
    assert page.close_ns.tolist() == [(ms("2026-01-10") + HOUR_MS) * 10**6]


@pytest.mark.parametrize("answer", [{}, {"serverTime": "1"}, {"serverTime": True}, []])
def test_a_time_that_is_none_is_refused(answer: Any) -> None:
    venue = exchange()
    venue.routes["/api/v3/time"] = lambda _: answer
    with served(venue) as provider, pytest.raises(Invalid, match="serverTime"):
        fetched(provider, WEEK)


# --- trades ---------------------------------------------------------------------------------------------------------

NOON = "2026-01-10T12:00:00Z"
MORNING = window("2026-01-10T10:00:00Z", "2026-01-10T14:00:00Z")


def printed(provider: Loopback, request: Request, **options: Any) -> list[Trades]:
    with source(provider, **options) as binance:
        return list(binance.trades(request))


def numbers(pages: list[Trades]) -> list[tuple[int, ...]]:
    return [
        (int(page.id[k]), int(page.time_ns[k]), int(page.side[k]), int(page.tick.step * int(page.price[k]) * 100),
         int(page.lot.step * int(page.size[k]) * 10**8))
        for page in pages
        for k in range(len(page))
    ]  # fmt: skip


def naive_prints(rows: list[dict[str, Any]], request: Request) -> list[tuple[int, ...]]:
    """The aggressor sold where the buyer was the maker."""
    return [
        (row["a"], row["T"] * 10**6, -1 if row["m"] else 1, int(row["p"].replace(".", "")) // 10**6,
         int(row["q"].replace(".", "")))
        for row in rows
        if request.first_ns <= row["T"] * 10**6 < request.last_ns
    ]  # fmt: skip


def test_prints_of_one_millisecond_are_told_apart_by_their_ids() -> None:
    rows = prints_from(ms(NOON), 230)
    with served(exchange(prints=rows)) as provider:
        pages = printed(provider, MORNING, page_rows=50)
    assert numbers(pages) == naive_prints(rows, MORNING)
    assert [len(page) for page in pages] == [50, 50, 50, 50, 30]


def test_the_search_by_time_takes_an_hour_at_a_time_and_the_rest_goes_by_id() -> None:
    with served(exchange(prints=prints_from(ms(NOON), 120))) as provider:
        printed(provider, MORNING, page_rows=50)
    asked = [seen.params for seen in provider.requests if seen.path == "/api/v3/aggTrades"]
    hours = [(int(p["startTime"]), int(p["endTime"])) for p in asked if "startTime" in p]
    start = ms("2026-01-10T10:00:00Z")
    assert hours == [(start + n * HOUR_MS, start + (n + 1) * HOUR_MS - 1) for n in range(3)]
    assert [p["fromId"] for p in asked if "fromId" in p] == ["5050", "5100", "5120"]


def test_prints_outside_the_window_are_cut_and_nothing_is_asked_behind_it() -> None:
    rows = prints_from(ms("2026-01-10T09:59:00Z"), 400)
    request = window("2026-01-10T10:00:00Z", "2026-01-10T10:00:20Z")
    with served(exchange(prints=rows)) as provider:
        assert numbers(printed(provider, request, page_rows=30)) == naive_prints(rows, request)
    newest = max(int(seen.params.get("fromId", 0)) for seen in provider.requests)
    assert newest <= 5_000 + 4 * 80


def test_no_prints_at_all_is_an_empty_answer() -> None:
    with served(exchange()) as provider:
        assert printed(provider, MORNING) == []


def test_lost_ids_are_reported() -> None:
    rows = [row for row in prints_from(ms(NOON), 100) if not 5_050 <= row["a"] < 5_057]
    with served(exchange(prints=rows)) as provider, source(provider, page_rows=50) as binance:
        assert len(numbers(list(binance.trades(MORNING)))) == 93
        assert [(gap.bars, gap.timeframe) for gap in binance.missing] == [(7, "trades")]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"a": "x"}, "column a: a whole number"),
        ({"p": 1.5}, "column p: a decimal as text"),
        ({"m": "true"}, "column m: true or false"),
        ({"T": 12}, "column T: milliseconds"),
        ({"p": "0.00"}, "price must be positive"),
        (None, "field q: it is missing"),
    ],
)
def test_a_changed_print_is_refused_and_named(change: dict[str, Any] | None, named: str) -> None:
    rows = prints_from(ms(NOON), 10)
    rows[3] = {key: cell for key, cell in rows[3].items() if key != "q"} if change is None else rows[3] | change
    venue = exchange()
    venue.routes["/api/v3/aggTrades"] = lambda _: rows
    with served(venue) as provider, pytest.raises(Invalid, match=named):
        printed(provider, MORNING)


def test_a_server_that_ignores_ids_ends_in_an_error() -> None:
    venue = exchange()
    venue.routes["/api/v3/aggTrades"] = lambda _: prints_from(ms(NOON), 10)
    with served(venue) as provider, pytest.raises(Invalid, match="ids from 5010"):
        printed(provider, MORNING)


def test_a_cut_answer_among_prints_is_asked_for_again() -> None:
    rows = prints_from(ms(NOON), 120)
    with served(exchange(prints=rows)) as provider:
        provider.script(None, None, None, *[Fault(keep_bytes=500), Fault(cut_bytes=700), None] * 3)
        assert numbers(printed(provider, MORNING, page_rows=50)) == naive_prints(rows, MORNING)


# --- grids ----------------------------------------------------------------------------------------------------------


def test_the_venues_filters_become_the_grids_of_an_instrument() -> None:
    with served(exchange()) as provider, source(provider) as binance:
        rules = binance.rules("BTCUSDT")
        assert provider.requests[-1].params == {"symbol": "BTCUSDT"}
        with pytest.raises(NotFound):
            binance.rules("NOSUCH")
    assert (str(rules.tick.step), str(rules.lot.step), rules.status) == ("0.01", "0.00001", "TRADING")


def test_prices_finer_than_the_tick_keep_their_last_digit() -> None:
    venue = exchange()
    row = kline(ms("2026-01-10"))
    fine = [row[0], "0.00000012", "0.00000013", "0.00000011", "0.00000012", "9876543210.12345678", *row[6:]]
    venue.routes["/api/v3/klines"] = lambda _: [fine]
    with served(venue) as provider:
        (page,) = fetched(provider, window("2026-01-10", "2026-01-10T01:00:00Z"))
    assert (page.open[0], page.high[0], page.low[0]) == (12, 13, 11)
    assert page.volume[0] * page.lot.step * 10**8 == 987654321012345678


def test_used_weight_is_heeded() -> None:
    waits: list[float] = []
    venue = exchange()
    honest = venue.klines
    venue.routes["/api/v3/klines"] = lambda seen: replace(honest(seen), headers={"X-MBX-USED-WEIGHT-1M": "5990"})
    clock = SimClock(ms(NOW) * 10**6)
    with served(venue) as provider, BinanceRest(clock=clock, base_url=provider.url, sleep=waits.append) as binance:
        list(binance.candles(DAYS))
        list(binance.candles(DAYS))
    assert max(waits) > 10


def test_columns_land_where_they_belong() -> None:
    with served(exchange()) as provider:
        (page,) = fetched(provider, window("2026-01-10", "2026-01-10T02:00:00Z"))
    row = kline(ms("2026-01-10"))
    assert float(page.tick.floats(page.close)[0]) == float(row[4])
    assert float(page.money.floats(page.amount)[0]) == float(row[7])
    assert np.diff(page.open_ns).tolist() == [HOUR_NS]
