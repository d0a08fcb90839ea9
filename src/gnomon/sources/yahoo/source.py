"""A `CandleSource` over Yahoo's chart endpoint, by REST (see the decision `0008-yahoo-by-its-chart-endpoint`).

The endpoint is unofficial and for personal use. It keeps intraday bars for a while only, by the length of the bar; a
window that begins earlier is refused with the earliest instant that can be had, and never answered in part.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import orjson

from gnomon.clock import Clock, Timeframe, iso
from gnomon.errors import GnomonError, Invalid, NotFound, Refused
from gnomon.market.candles import Candles
from gnomon.sources.bars import LeftOut
from gnomon.sources.http import Answer, Http, HttpRetries, RateLimit
from gnomon.sources.source import Request, require_timeframe, symbol_of
from gnomon.sources.yahoo.chart import read_chart, refusal_of
from gnomon.units import DAY_NS, HOUR_NS, SECOND_NS

BASE_URL: Final = "https://query2.finance.yahoo.com"
PATH: Final = "/v8/finance/chart/"

_INTERVALS: Final = {"1m": "1m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1h", "1d": "1d", "1w": "1wk"}
_KEPT_DAYS: Final = {"1m": 29, "5m": 59, "15m": 59, "30m": 59, "1h": 729}
"""Days of history that Yahoo keeps, less one for the clocks: it says 30, 60 and 730."""
_PAGE_DAYS: Final = {"1m": 6, "5m": 30, "15m": 30, "30m": 30, "1h": 180, "1d": 3650, "1w": 3650}


class YahooSource:
    """Candles of Yahoo, split-adjusted as of today. A context manager; closes its connections.

    `left_out` counts rows that are no bars: gaps, and what is off the calendar's schedule. Raises what `Http` raises,
    `NotFound` for an unknown symbol, `Refused` for a window that Yahoo no longer keeps, and `Invalid` with the name of
    the field where an answer is not of the known form.
    """

    name: Final = "yahoo"
    basis: Final = "split"

    def __init__(
        self,
        *,
        clock: Clock,
        base_url: str = BASE_URL,
        rate: RateLimit | None = None,
        retries: HttpRetries | None = None,
        timeout_s: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self.left_out: list[LeftOut] = []  # of the newest request
        pace = rate or RateLimit(30, burst=5)
        self.http = Http(
            base_url, clock=clock, rate=pace, retries=retries, timeout_s=timeout_s, sleep=sleep, judge=_judge
        )

    def __enter__(self) -> YahooSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def timeframes(self) -> tuple[str, ...]:
        return tuple(_INTERVALS)

    def candles(self, request: Request) -> Iterator[Candles]:
        """Pages of closed bars, oldest first. Where an instrument has several names, the first that Yahoo knows."""
        self.left_out = []
        require_timeframe(self, request.timeframe)
        symbols = list(request.instrument.sources.get(self.name, ())) or [symbol_of(request.instrument, self.name)]
        self._require_kept(request)
        page_ns = _PAGE_DAYS[str(request.timeframe)] * DAY_NS
        first_ns = request.first_ns
        while first_ns < min(request.last_ns, self._clock.now_ns()):
            last_ns = min(first_ns + page_ns, request.last_ns)
            page = self._page(symbols, request, first_ns, last_ns)
            if len(page):
                yield page
            first_ns = last_ns

    def _page(self, symbols: list[str], request: Request, first_ns: int, last_ns: int) -> Candles:
        document = self._ask(symbols, request.timeframe, first_ns, last_ns)
        columns = read_chart(document, request, _INTERVALS[str(request.timeframe)])
        columns.within(first_ns, last_ns, self._now_ns())
        self.left_out += columns.left_out
        counted = len(columns.left_out)
        page = columns.candles(self.basis)
        self.left_out += columns.left_out[counted:]
        return page

    def _ask(self, symbols: list[str], timeframe: Timeframe, first_ns: int, last_ns: int) -> Any:
        """The answer for the first symbol that is known; the others are forgotten."""
        reach_ns = 0 if timeframe.is_intraday else DAY_NS  # a row of a day is stamped some hours from where it opens
        params: dict[str, str | int] = {
            "period1": (first_ns - reach_ns) // SECOND_NS,
            "period2": -(-(last_ns + reach_ns) // SECOND_NS),
            "interval": _INTERVALS[str(timeframe)],
            "includePrePost": "false",
            "events": "div,splits",
        }
        while True:
            try:
                return self.http.json(PATH + symbols[0], params)
            except NotFound:
                if len(symbols) == 1:
                    raise
                del symbols[0]

    def _require_kept(self, request: Request) -> None:
        days = _KEPT_DAYS.get(str(request.timeframe))
        if days is None:
            return
        earliest_ns = -(-(self._now_ns() - days * DAY_NS) // HOUR_NS) * HOUR_NS
        if request.first_ns < earliest_ns:
            raise Refused(
                f"yahoo keeps bars of {request.timeframe} for {days} days: from {iso(request.first_ns)} is too early",
                hint=f"ask from {iso(earliest_ns)} on, or for 1d",
                detail={"earliest_ns": earliest_ns, "earliest": iso(earliest_ns)},
            )

    def _now_ns(self) -> int:
        """Our clock, or Yahoo's where that is behind: a bar has closed when both say so."""
        return self._clock.now_ns() - max(0, self.http.clock_ahead_ns or 0)


def _judge(answer: Answer) -> GnomonError | None:
    """What an error of the chart endpoint means: it says why in a document."""
    if answer.status not in (400, 404, 422):
        return None
    try:
        said = refusal_of(orjson.loads(answer.body))
    except orjson.JSONDecodeError:
        said = ""
    if not said:
        return None
    if answer.status == 404:
        return NotFound(f"yahoo knows no such symbol ({said})", hint="check the symbol at `sources.yahoo`")
    if "range" in said.lower() or "data doesn't exist" in said.lower():
        return Refused(f"yahoo has no such window ({said})", hint="ask for a later window, or for 1d")
    return Invalid(f"yahoo refused the request ({said})", hint="check the symbol and the window")
