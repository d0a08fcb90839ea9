"""ccxt's real classes of two exchanges against a server on this machine that speaks their formats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sources.loopback import Document, Fault, Loopback, Reply, Seen

from gnomon.clock import SimClock, Timeframe, iso, parse_instant
from gnomon.errors import Exhausted, GnomonError, Invalid, NotFound, Refused, Unavailable
from gnomon.market.candles import Candles
from gnomon.market.instrument import Instrument
from gnomon.sources.ccxt.source import CcxtSource
from gnomon.sources.http import HttpRetries
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.sources.source import Request
from gnomon.units import HOUR_NS

pytest.importorskip("ccxt")

FIRST_NS = parse_instant("2024-05-01")
NOW_NS = FIRST_NS + 30 * HOUR_NS + 20 * 60 * 10**9
HOUR_MS = 3_600_000
FIRST_MS = FIRST_NS // 1_000_000
PATIENT = HttpRetries(attempts=40, base_s=0.01, longest_s=5.0)


def price(bar: int) -> float:
    return round(60_000 + 7.31 * bar, 2)


def values(bar: int) -> tuple[str, str, str, str, str]:
    opened, close = price(bar), price(bar + 1)
    return f"{opened:.8f}", f"{close + 1:.8f}", f"{opened - 1:.8f}", f"{close:.8f}", f"{bar + 0.12345:.8f}"


class Binance:
    """Spot klines in Binance's form; the bar that forms is served too, as there."""

    def __init__(self, bars: int = 31) -> None:
        self.bars = bars

    def routes(self) -> dict[str, Any]:
        return {"/api/v3/exchangeInfo": self.info, "/api/v3/klines": self.klines}

    def info(self, _: Seen) -> Document:
        limits = [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01000000"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001000"},
        ]
        pair = {"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT", "filters": limits}
        pair |= {"baseAssetPrecision": 8, "quotePrecision": 8, "isSpotTradingAllowed": True, "permissions": ["SPOT"]}
        return {"timezone": "UTC", "serverTime": NOW_NS // 1_000_000, "symbols": [pair]}

    def klines(self, seen: Seen) -> Document:
        start, limit = int(seen.params["startTime"]), int(seen.params["limit"])
        stamps = range(FIRST_MS, FIRST_MS + self.bars * HOUR_MS, HOUR_MS)
        rows = []
        for stamp in [one for one in stamps if one >= start][:limit]:
            bar = (stamp - FIRST_MS) // HOUR_MS
            rows.append([stamp, *values(bar), stamp + HOUR_MS - 1, "1.0", 10, "1.0", "1.0", "0"])
        return rows


class Kraken:
    """OHLC in Kraken's form: errors in a list beside the result, at most the newest 720 bars."""

    def routes(self) -> dict[str, Any]:
        return {"/0/public/Assets": self.assets, "/0/public/AssetPairs": self.pairs, "/0/public/OHLC": self.ohlc}

    def assets(self, _: Seen) -> Document:
        coin = {"aclass": "currency", "altname": "XBT", "decimals": 10, "display_decimals": 5, "status": "enabled"}
        return {"error": [], "result": {"XXBT": coin, "USDT": {**coin, "altname": "USDT"}}}

    def pairs(self, _: Seen) -> Document:
        pair = {"altname": "XBTUSDT", "wsname": "XBT/USDT", "base": "XXBT", "quote": "USDT", "lot": "unit"}
        pair |= {"aclass_base": "currency", "aclass_quote": "currency", "ordermin": "0.0001", "costmin": "0.5"}
        pair |= {"tick_size": "0.01", "status": "online"}
        digits = {"pair_decimals": 2, "lot_decimals": 8, "lot_multiplier": 1}
        fees = {"leverage_buy": [], "leverage_sell": [], "fees": [[0, 0.26]], "fees_maker": [[0, 0.16]]}
        return {"error": [], "result": {"XBTUSDT": {**pair, **digits, **fees}}}

    def ohlc(self, seen: Seen) -> Document:
        since = int(seen.params["since"])
        rows = []
        for bar in range(31):
            stamp = FIRST_MS // 1000 + bar * 3600
            opened, high, low, close, volume = values(bar)
            if stamp > since:
                rows.append([stamp, opened, high, low, close, opened, volume, 12])
        return {"error": [], "result": {"XBTUSDT": rows[-720:], "last": since}}


SPOT_ONLY = {"rateLimit": 1, "options": {"fetchMarkets": {"types": ["spot"]}}}


def bitcoin(exchange: str, **changes: Any) -> Instrument:
    known = shipped_instruments().find("BTCUSDT")
    return replace(known, sources={f"ccxt:{exchange}": ("BTC/USDT",)}, **changes)


def request(exchange: str = "binance", first_ns: int = FIRST_NS, last_ns: int = NOW_NS, **changes: Any) -> Request:
    return Request(bitcoin(exchange, **changes), load_sessions("always"), Timeframe.parse("1h"), first_ns, last_ns)


def source(server: Loopback, exchange: str = "binance", **changes: Any) -> CcxtSource:
    given = {"clock": SimClock(NOW_NS), "retries": PATIENT, "page_bars": 10, "sleep": lambda _: None, "timeout_s": 300}
    return CcxtSource(exchange, base_url=server.url, options=SPOT_ONLY, **{**given, **changes})


@pytest.fixture
def binance() -> Iterator[Loopback]:
    with Loopback(Binance().routes()) as server:
        yield server


def rows(pages: list[Candles]) -> list[tuple[Any, ...]]:
    """What the pages hold, whatever their grids."""
    found = []
    for page in pages:
        prices = [page.tick.floats(column).tolist() for column in (page.open, page.high, page.low, page.close)]
        columns = (page.open_ns.tolist(), page.close_ns.tolist(), *prices, page.lot.floats(page.volume).tolist())
        found += list(zip(*columns, strict=True))
    return found


def expected(bars: int = 30) -> list[tuple[Any, ...]]:
    return [
        (FIRST_NS + bar * HOUR_NS, FIRST_NS + (bar + 1) * HOUR_NS, *(float(value) for value in values(bar)))
        for bar in range(bars)
    ]


def test_pages_of_closed_bars_with_exact_decimals(binance: Loopback) -> None:
    with source(binance) as bars:
        pages = list(bars.candles(request()))
    assert rows(pages) == expected(30), "the bar that forms is left out"
    assert [len(page) for page in pages] == [10, 10, 10]
    assert all(
        (page.key, str(page.tick.step), str(page.lot.step)) == (("binance:BTCUSDT", "1h", "raw"), "0.01", "0.00001")
        for page in pages
    )
    assert all((page.knowable_ns == page.close_ns).all() for page in pages)
    asked = [seen.params["startTime"] for seen in binance.requests if seen.path.endswith("klines")]
    assert asked == [str(FIRST_MS + bar * HOUR_MS) for bar in (0, 10, 20)]
    assert [(one.path, one.status) for one in bars.log][:2] == [("/api/v3/exchangeInfo", 200), ("/api/v3/klines", 200)]


def test_a_window_begins_and_ends_where_it_was_asked_to(binance: Loopback) -> None:
    with source(binance) as bars:
        pages = list(bars.candles(request(first_ns=FIRST_NS + 3 * HOUR_NS - 1, last_ns=FIRST_NS + 7 * HOUR_NS)))
    assert [row[0] for row in rows(pages)] == [FIRST_NS + bar * HOUR_NS for bar in range(3, 7)]


def test_kraken_speaks_its_own_format() -> None:
    with Loopback(Kraken().routes()) as server, source(server, "kraken", page_bars=720) as bars:
        assert rows(list(bars.candles(request("kraken")))) == expected(30)
        assert (bars.name, bars.basis) == ("ccxt:kraken", "raw")
        assert {"1m", "1h", "1d"} <= set(bars.timeframes())


TROUBLE = [
    Fault(status=500, body="oops"),
    Fault(status=502, body="<html>bad gateway</html>"),
    Fault(status=503, body={"code": -1, "msg": "down"}),
    Fault(status=429, headers={"Retry-After": "1"}, body={"code": -1003, "msg": "Too many requests."}),
    Fault(keep_bytes=40),
    Fault(cut_bytes=60),
    Fault(cut_bytes=0),
    Fault(reset=True),
    None,
]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(st.sampled_from(TROUBLE), max_size=8))
@pytest.mark.slow
def test_whatever_goes_wrong_for_a_while_the_rows_are_the_same(script: list[Fault | None]) -> None:
    with Loopback(Binance().routes()) as server, source(server) as bars:
        server.script(*script)
        assert rows(list(bars.candles(request()))) == expected(30)


@pytest.mark.parametrize(
    ("fault", "error", "detail"),
    [
        (Fault(status=429, headers={"Retry-After": "77"}), Exhausted, {"retry_after_s": 77.0, "status": 429}),
        (Fault(status=418, headers={"Retry-After": "2"}), Exhausted, {"retry_after_s": 2.0, "banned": True}),
        (Fault(status=418), Exhausted, {"retry_after_s": 60.0}),
        (Fault(status=451, body={"code": 0, "msg": "restricted location"}), Refused, {"status": 451}),
        (Fault(status=403, body="<html>forbidden</html>"), Refused, {"status": 403}),
        (Fault(status=400, body={"code": -1121, "msg": "Invalid symbol."}), NotFound, {"ccxt": "BadSymbol"}),
        (Fault(status=400, body={"code": -1100, "msg": "Illegal characters."}), Invalid, {"status": 400}),
    ],
)
def test_an_answer_that_no_patience_mends_has_its_error(
    binance: Loopback, fault: Fault, error: type[GnomonError], detail: dict[str, Any]
) -> None:
    binance.script(fault, path="/api/v3/klines")
    with source(binance) as bars, pytest.raises(error) as raised:
        list(bars.candles(request()))
    assert raised.value.detail.items() >= detail.items()
    assert raised.value.hint


def test_a_server_that_stays_down_is_unavailable_after_every_attempt(binance: Loopback) -> None:
    binance.script(*[Fault(status=503)] * 3, path="/api/v3/klines")
    with source(binance, retries=HttpRetries(attempts=3)) as bars, pytest.raises(Unavailable, match="ExchangeNotAvail"):
        list(bars.candles(request()))
    assert [one.attempt for one in bars.log if one.status == 503] == [1, 2, 3]


@pytest.mark.parametrize(
    "change",
    [
        {"rows": []},
        [[FIRST_MS, "1", "2"]],
        [[FIRST_MS, "1", None, "1", "1", "1", FIRST_MS + 1]],
        [["2024-05-01", "1", "2", "1", "1", "1", FIRST_MS + 1]],
        [{"openTime": FIRST_MS, "open": "1"}],
        "klines",
    ],
)
def test_another_schema_is_named_and_not_guessed_at(binance: Loopback, change: Any) -> None:
    binance.script(*[Fault(body=change if change != "klines" else '"klines"')] * 2, path="/api/v3/klines")
    with source(binance) as bars, pytest.raises(Invalid, match="not of the known form"):
        list(bars.candles(request()))


def test_columns_in_another_order_are_refused(binance: Loopback) -> None:
    def swapped(reply: Reply) -> Reply:
        assert isinstance(reply.body, list)
        return replace(reply, body=[[row[0], row[1], row[3], row[2], *row[4:]] for row in reply.body])

    binance.script(Fault(change=swapped), path="/api/v3/klines")
    with source(binance) as bars, pytest.raises(Invalid, match="rows are no candles"):
        list(bars.candles(request()))


def test_our_clock_ahead_of_the_exchange_takes_no_forming_bar() -> None:
    true_ns = FIRST_NS + 10 * HOUR_NS + 600 * 10**9
    stamp = format_datetime(_datetime(true_ns), usegmt=True)
    ahead = SimClock(true_ns + 2 * HOUR_NS)
    with Loopback(Binance(bars=11).routes(), date=stamp) as server, source(server, clock=ahead) as bars:
        found = rows(list(bars.candles(request(last_ns=true_ns + 2 * HOUR_NS))))
    assert found == expected(10)


def _datetime(at_ns: int) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_ns // 10**9, UTC)


def test_a_market_where_nothing_has_traded_since_ends_there(binance: Loopback) -> None:
    binance.routes["/api/v3/klines"] = lambda _: [[FIRST_MS, *values(0), FIRST_MS + HOUR_MS - 1, "1", 1, "1", "1", "0"]]
    with source(binance) as bars:
        assert list(bars.candles(request(first_ns=FIRST_NS + 5 * HOUR_NS))) == []


def test_rows_off_the_calendar_are_left_out_and_counted(binance: Loopback) -> None:
    def shifted(reply: Reply) -> Reply:
        assert isinstance(reply.body, list)
        first, *rest = reply.body
        return replace(reply, body=[[first[0] + 60_000, *first[1:]], *rest])

    binance.script(Fault(change=shifted), path="/api/v3/klines")
    with source(binance) as bars:
        found = rows(list(bars.candles(request())))
    assert found == expected(30)[1:]
    assert [(one.rows, one.reason, iso(one.first_ns)) for one in bars.left_out] == [
        (1, "no bar of the calendar opens then", "2024-05-01T00:01:00Z")
    ]


def test_unknown_names_are_refused_with_the_nearest(binance: Loopback) -> None:
    with pytest.raises(NotFound, match="no exchange 'krakn'") as error:
        CcxtSource("krakn", clock=SimClock(NOW_NS))
    assert "kraken" in error.value.hint
    with source(binance) as bars:
        asked = request()
        other = replace(asked, instrument=replace(asked.instrument, sources={"ccxt:binance": ("BTC/USTD",)}))
        with pytest.raises(NotFound, match="no market 'BTC/USTD'") as missing:
            list(bars.candles(other))
        assert missing.value.detail["nearest"] == ["BTC/USDT"]
        with pytest.raises(NotFound, match="has no name at source"):
            list(bars.candles(request("kraken")))
        with pytest.raises(Invalid, match="no bars of 7h"):
            list(bars.candles(replace(asked, timeframe=Timeframe.parse("7h"))))


def test_a_month_is_spelled_as_ours(binance: Loopback) -> None:
    with source(binance) as bars:
        assert bars.timeframes()[-1] == "1mo"


def test_markets_made_of_a_broken_answer_are_not_kept(binance: Loopback) -> None:
    binance.script(Fault(cut_bytes=90), Fault(body="<html>maintenance</html>"))
    with source(binance, retries=HttpRetries(attempts=2)) as bars:
        with pytest.raises(Unavailable, match="cut off"):
            list(bars.candles(request()))
        assert rows(list(bars.candles(request()))) == expected(30)
