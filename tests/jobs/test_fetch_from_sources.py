"""From a provider on this machine, which fails, into a real store: whole or with a reason; a rerun asks for the rest.

Each source speaks its provider's own format (see `tests/sources`). The log of requests is the provider's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.sources.alphavantage import test_source as vantage_server
from tests.sources.binance.exchange import Exchange, kline, ms
from tests.sources.ccxt import test_source as ccxt_server
from tests.sources.fred import test_source as fred_server
from tests.sources.loopback import Fault, Loopback
from tests.sources.yahoo.test_source import Yahoo

from gnomon.clock import SimClock, Timeframe, iso, parse_instant
from gnomon.jobs.fetch import Fetched, fetch_one
from gnomon.market.instrument import Instrument
from gnomon.sources.alphavantage.source import AlphaVantageSource
from gnomon.sources.binance.dumps import BinanceDumps
from gnomon.sources.binance.rest import BinanceRest
from gnomon.sources.ccxt.source import CcxtSource
from gnomon.sources.fred.source import FredSource
from gnomon.sources.http import HttpRetries, RateLimit
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.sources.source import Request
from gnomon.sources.yahoo.source import YahooSource
from gnomon.store.store import Store
from gnomon.units import HOUR_NS

HOUR = Timeframe.parse("1h")
ONCE = HttpRetries(attempts=1)
FAST = RateLimit(1e9)


@dataclass(frozen=True)
class Case:
    """A source with its server, a window, and at which request of it to fail (0 is the first)."""

    name: str
    symbol: str
    timeframe: str
    now: str
    first: str
    routes: Callable[[], dict[str, Any]]
    opened: Callable[[str, SimClock, HttpRetries, Path], Any]
    path: str = ""
    before: int = 1  # requests below `path` that are answered before the fault: a page


def _binance(url: str, clock: SimClock, retries: HttpRetries, _: Path) -> BinanceRest:
    return BinanceRest(clock=clock, base_url=url, retries=retries, sleep=_rest, page_rows=100)


def _dumps(url: str, clock: SimClock, retries: HttpRetries, folder: Path) -> BinanceDumps:
    return BinanceDumps(folder, clock=clock, base_url=url, retries=retries, sleep=_rest)


def _yahoo(url: str, clock: SimClock, retries: HttpRetries, _: Path) -> YahooSource:
    return YahooSource(clock=clock, base_url=url, retries=retries, rate=FAST, sleep=_rest)


def _fred(url: str, clock: SimClock, retries: HttpRetries, _: Path) -> FredSource:
    return FredSource(clock=clock, base_url=url, retries=retries, rate=FAST, sleep=_rest)


def _vantage(url: str, clock: SimClock, retries: HttpRetries, _: Path) -> AlphaVantageSource:
    key = vantage_server.KEY
    return AlphaVantageSource(key, clock=clock, base_url=url, retries=retries, rate=FAST, sleep=_rest)


def _ccxt(url: str, clock: SimClock, retries: HttpRetries, _: Path) -> CcxtSource:
    options = ccxt_server.SPOT_ONLY
    return CcxtSource("binance", clock=clock, base_url=url, retries=retries, options=options, page_bars=10, sleep=_rest)


def _rest(_: float) -> None:
    """Nobody waits here."""


EXCHANGE_NOW = "2026-02-10T12:34:56Z"


def _exchange() -> Exchange:
    return Exchange(ms(EXCHANGE_NOW), ms("2026-01-01"))


CASES = [
    Case(
        "binance", "BTCUSDT", "1h", EXCHANGE_NOW, "2026-01-20", lambda: _exchange().routes, _binance, "/api/v3/klines"
    ),
    Case(
        "binance-dumps", "BTCUSDT", "1h", EXCHANGE_NOW, "2026-02-05", lambda: _exchange().archive(), _dumps, "/data", 2
    ),
    Case("yahoo", "SPY", "1h", "2024-07-05T15:10:00Z", "2023-11-20", lambda: Yahoo().routes(), _yahoo),
    Case(
        "fred", "VIX", "1d", "2024-07-09T14:00:00Z", "2024-06-28",
        lambda: {"/graph/fredgraph.csv": fred_server.graph}, _fred, before=0,
    ),
    Case(
        "alphavantage", "SPY", "30m", "2024-07-05T15:10:00Z", "2024-05-10",
        lambda: {"/query": vantage_server.query}, _vantage,
    ),
    Case(
        "ccxt:binance", "BTCUSDT", "1h", iso(ccxt_server.NOW_NS), iso(ccxt_server.FIRST_NS),
        lambda: ccxt_server.Binance().routes(), _ccxt, "/api/v3/klines",
    ),
]  # fmt: skip
FAULTS = {
    "503": Fault(status=503),
    "a ban": Fault(status=418, headers={"Retry-After": "120"}),
    "too many": Fault(status=429, headers={"Retry-After": "3600"}),
    "cut off": Fault(keep_bytes=40),
    "a reset": Fault(reset=True),
    "another schema": Fault(body={"rows": "renamed"}),
    "refused": Fault(status=403),
}


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def subject(case: Case) -> Instrument:
    """The instrument, with the names that the shipped file has not."""
    one = shipped_instruments().find(case.symbol)
    more = {"alphavantage": ("SPY",), "ccxt:binance": ("BTC/USDT",)}
    return replace(one, sources={**one.sources, **more})


class Bench:
    """One provider and one store."""

    def __init__(self, case: Case, store: Store, folder: Path) -> None:
        self.case, self.store, self.folder = case, store, folder
        self.instrument = subject(case)
        self.clock = SimClock(parse_instant(case.now))
        self.provider = Loopback(case.routes())

    def fetch(self, retries: HttpRetries = ONCE, **options: Any) -> Fetched:
        timeframe, first_ns = Timeframe.parse(self.case.timeframe), parse_instant(self.case.first)
        with self.case.opened(self.provider.url, self.clock, retries, self.folder / "cache") as source:
            return fetch_one(self.store, source, self.instrument, timeframe, self.clock, first_ns=first_ns, **options)

    def rows(self) -> int:
        return sum(one.rows for one in self.store.market.series())


@pytest.fixture
def bench(case: Case, store: Store, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(case, store, tmp_path)
    with made.provider:
        yield made


def test_a_rerun_asks_only_for_what_is_missing(bench: Bench) -> None:
    whole = bench.fetch()
    assert whole.error is None
    assert whole.added == bench.rows() > 3
    asked = len(bench.provider.requests)
    again = bench.fetch()
    assert (again.added, again.revisions, again.error) == (0, 0, None)
    more = bench.provider.requests[asked:]
    missing = sum(window.bars for window in again.asked)
    if bench.case.name in ("binance", "yahoo", "alphavantage", "ccxt:binance"):
        assert (missing, more) == (0, []), "nothing is missing, so nobody is asked"
    else:  # the day that is not published yet is missing, and asked for alone
        assert missing < whole.added
        assert len(more) < asked or bench.case.name == "fred"


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_ends_with_a_reason_and_whole_pages_and_the_rerun_completes(
    bench: Bench, fault: Fault, case: Case
) -> None:
    bench.provider.script(*[None] * case.before, fault, path=case.path)
    failed = bench.fetch()
    assert failed.error is not None
    assert failed.error["message"]
    assert failed.error["hint"]
    assert failed.added == bench.rows()
    assert (failed.added > 0) == (case.before > 0), "the page before the fault is kept"
    rest = bench.fetch()
    assert rest.error is None
    assert failed.added + rest.added == bench.rows() == _whole(case, bench.folder / "honest")


def _whole(case: Case, folder: Path) -> int:
    """How many bars the window has, asked of an honest server page by page, with no store between."""
    one, clock = subject(case), SimClock(parse_instant(case.now))
    window = parse_instant(case.first), parse_instant(case.now)
    asked = Request(one, load_sessions(one.calendar), Timeframe.parse(case.timeframe), *window)
    with Loopback(case.routes()) as honest, case.opened(honest.url, clock, ONCE, folder) as source:
        return sum(len(page) for page in source.candles(asked))


def test_an_hour_later_only_that_hour_is_asked_for(store: Store, tmp_path: Path) -> None:
    exchange = _exchange()
    bench = Bench(replace(CASES[0], routes=lambda: exchange.routes), store, tmp_path)
    with bench.provider:
        bench.fetch()
        asked = len(bench.provider.requests)
        exchange.now_ms += 3_600_000
        bench.clock.advance_to(bench.clock.now_ns() + HOUR_NS)
        assert bench.fetch().added == 1
        (_, seen) = bench.provider.requests[asked:]
    window = int(seen.params["startTime"]), int(seen.params["endTime"])
    assert window == (ms("2026-02-10T12:00:00Z"), ms("2026-02-10T13:00:00Z") - 1)


def test_a_bar_that_is_told_otherwise_later_is_a_revision_knowable_from_then_on(store: Store, tmp_path: Path) -> None:
    exchange = _exchange()
    bench = Bench(replace(CASES[0], routes=lambda: exchange.routes), store, tmp_path)
    at_ms = ms("2026-02-01T05:00:00Z")
    honest = exchange.routes["/api/v3/klines"]

    def corrected(seen: Any) -> Any:
        reply = honest(seen)
        rows = [[*row[:5], "7.00000000", *row[6:]] if row[0] == at_ms else row for row in reply.body]
        return replace(reply, body=rows)

    with bench.provider:
        first = bench.fetch()
        first_ns = bench.clock.now_ns()
        bench.provider.routes["/api/v3/klines"] = corrected
        bench.clock.advance_to(first_ns + 600_000_000_000)
        assert bench.fetch().revisions == 0, "what is stored is not asked for again"
        report = bench.fetch(revise=True)
    assert (report.added, report.revisions, report.error) == (0, 1, None)
    assert bench.rows() == first.added
    before, after = (_volume(store, at_ms, as_of_ns) for as_of_ns in (first_ns, bench.clock.now_ns()))
    assert before == float(kline(at_ms)[5])
    assert after == 7.0


def _volume(store: Store, at_ms: int, as_of_ns: int) -> float:
    """What was known then of the bar that opened at `at_ms`."""
    view = store.market.tape([("binance:BTCUSDT", HOUR, "raw")]).as_of(as_of_ns).candles("binance:BTCUSDT", HOUR)
    return float(view.lot.floats(view.volume[view.open_ns == at_ms * 1_000_000])[0])
