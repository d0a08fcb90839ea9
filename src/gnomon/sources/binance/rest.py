"""Binance over REST: closed klines, aggregate trades, and the grids of its symbols.

A bar is closed when the venue's clock says so, not ours: `serverTime`, asked before the bars, decides which are whole.
A page is asked for by the open time it starts at, so that a window's requests touch that window and nothing else. An
outage leaves no bars: what is absent is listed in `missing`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from gnomon.clock import Clock, iso
from gnomon.errors import Invalid
from gnomon.market.candles import Basis, Candles
from gnomon.market.trades import Trades
from gnomon.sources.binance.refusals import judge
from gnomon.sources.binance.rows import MS_NS, kline_candles, on_schedule, trade_prints
from gnomon.sources.binance.symbols import SymbolRules, read_rules
from gnomon.sources.binance.venue import SPOT, Venue, checked_symbol, interval_of
from gnomon.sources.http import Http, HttpRetries, RateLimit
from gnomon.sources.source import Missing, Request, missing_bars, require_timeframe, symbol_of
from gnomon.units import HOUR_NS, SECOND_NS

PAGE_ROWS: Final = 1000
"""The most rows that Binance gives at once."""

_TIME_KEEPS_S: Final = 60.0
_NO_BARS: Final = "the venue has no bars there (an outage, or before its listing)"
_NO_IDS: Final = "ids of aggregate trades are left out"


class BinanceRest:
    """A source of candles and trades. A context manager that closes its connections.

    `base_url` replaces the venue's address (a mirror such as https://data-api.binance.vision, a server of our own).
    `missing` are the bars, or ids, that the last window lacked.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        venue: Venue = SPOT,
        base_url: str = "",
        retries: HttpRetries | None = None,
        timeout_s: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        page_rows: int = PAGE_ROWS,
    ) -> None:
        self.http = Http(
            base_url or venue.url,
            clock=clock,
            rate=_rate(venue),
            retries=retries,
            timeout_s=timeout_s,
            sleep=sleep,
            monotonic=monotonic,
            judge=judge(clock),
        )
        self.missing: list[Missing] = []
        self._venue, self._monotonic, self._page_rows = venue, monotonic, page_rows
        self._server: tuple[int, float] | None = None  # its time in ns, and when we heard it

    def __enter__(self) -> BinanceRest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.http.close()

    @property
    def name(self) -> str:
        return self._venue.source

    @property
    def basis(self) -> Basis:
        return "raw"

    def timeframes(self) -> tuple[str, ...]:
        return self._venue.timeframes

    def server_ns(self) -> int:
        """The venue's time, never ahead of it: what it said last, and the seconds since on a clock that nobody sets."""
        heard = self._server
        if heard is None or self._monotonic() - heard[1] > _TIME_KEEPS_S:
            document = self.http.json(f"{self._venue.prefix}/time")
            said = document.get("serverTime") if isinstance(document, dict) else None
            if not isinstance(said, int) or isinstance(said, bool):
                raise Invalid(
                    f"Binance, time, field serverTime: milliseconds expected, received {said!r}",
                    hint="has the interface changed?",
                )
            heard = self._server = said * MS_NS, self._monotonic()
        return heard[0] + int((self._monotonic() - heard[1]) * SECOND_NS)

    def rules(self, symbol: str) -> SymbolRules:
        """The filters of a symbol, from exchangeInfo."""
        params = {"symbol": checked_symbol(symbol)} if self._venue is SPOT else {}  # others answer with all symbols
        document = self.http.json(f"{self._venue.prefix}/exchangeInfo", params, weight=self._venue.info_weight)
        return read_rules(document, symbol)

    # --- candles ------------------------------------------------------------------------------------------------------

    def candles(self, request: Request) -> Iterator[Candles]:
        """Pages of closed bars that open in the window; see `CandleSource`."""
        self.missing = []
        require_timeframe(self, request.timeframe)
        symbol = checked_symbol(symbol_of(request.instrument, self.name))
        now_ns = self.server_ns()
        from_ns = request.first_ns
        while from_ns < min(request.last_ns, now_ns):
            page = kline_candles(self._klines(symbol, request, from_ns), request, symbol)
            if page is None:
                break
            until_ns = int(page.close_ns[-1])
            if until_ns <= from_ns:
                newest = f"none after {iso(int(page.open_ns[-1]))}"
                raise _not_as_asked(f"{symbol}, klines", f"bars from {iso(from_ns)}", newest)
            wanted = (page.open_ns >= from_ns) & (page.open_ns < request.last_ns) & (page.close_ns <= now_ns)
            page = on_schedule(page.take(wanted), request)
            self.missing += missing_bars(request, page.open_ns, from_ns, min(until_ns, now_ns), _NO_BARS)
            from_ns = until_ns
            if len(page):
                yield page.check()
        self.missing += missing_bars(request, np.empty(0, np.int64), from_ns, now_ns, _NO_BARS)

    def _klines(self, symbol: str, request: Request, from_ns: int) -> Any:
        params: dict[str, str | int] = {
            "symbol": symbol,
            "interval": interval_of(request.timeframe),
            "startTime": -(-from_ns // MS_NS),
            "endTime": (request.last_ns - 1) // MS_NS,
            "limit": self._page_rows,
        }
        return self.http.json(f"{self._venue.prefix}/klines", params, weight=self._venue.klines_weight)

    # --- trades -------------------------------------------------------------------------------------------------------

    def trades(self, request: Request) -> Iterator[Trades]:
        """Pages of aggregate trades of the window: the first by time, an hour at a time, those after it by id."""
        self.missing = []
        symbol = checked_symbol(symbol_of(request.instrument, self.name))
        next_id, last_ns = -1, request.first_ns
        for rows in self._trade_rows(symbol, request):
            page = trade_prints(rows, request, symbol)
            if page is None:
                return
            if next_id >= 0:
                page = self._from_id(request, symbol, page, next_id, last_ns)
            wanted = page.take((page.time_ns >= request.first_ns) & (page.time_ns < request.last_ns))
            if len(wanted):
                yield wanted.check()
            if page.time_ns[-1] >= request.last_ns:
                return
            next_id, last_ns = int(page.id[-1]) + 1, int(page.time_ns[-1])

    def _trade_rows(self, symbol: str, request: Request) -> Iterator[Any]:
        """Answers until one is empty. Ids tell prints of one millisecond apart; times alone cannot."""
        from_ns, end_ns = request.first_ns, min(request.last_ns, self.server_ns() + 1)
        rows: Any = []
        while from_ns < end_ns and rows == []:
            to_ns = min(from_ns + HOUR_NS, end_ns)
            bounds = {"startTime": -(-from_ns // MS_NS), "endTime": max(from_ns, to_ns - 1) // MS_NS}
            rows = self._agg_trades(symbol, bounds)
            from_ns = to_ns
        while rows != []:
            yield rows
            rows = self._agg_trades(symbol, {"fromId": max(row["a"] for row in rows) + 1})

    def _agg_trades(self, symbol: str, bounds: dict[str, int]) -> Any:
        params: dict[str, str | int] = {"symbol": symbol, **bounds, "limit": self._page_rows}
        return self.http.json(f"{self._venue.prefix}/aggTrades", params, weight=self._venue.trades_weight)

    def _from_id(self, request: Request, symbol: str, page: Trades, next_id: int, last_ns: int) -> Trades:
        """The prints from an id on; ids that are left out between two pages are noted."""
        page = page.take(page.id >= next_id)
        if not len(page):
            raise _not_as_asked(f"{symbol}, aggTrades", f"ids from {next_id}", "older ones")
        lost = int(page.id[0]) - next_id
        if lost:
            at_ns = int(page.time_ns[0])
            self.missing.append(Missing(request.instrument.id, "trades", last_ns, at_ns, lost, _NO_IDS))
        return page


def _rate(venue: Venue) -> RateLimit:
    """Well below the venue's limit for an address, which others may share; its own count is heeded."""
    limit = venue.weight_limit
    return RateLimit(0.4 * limit, 60.0, 0.2 * limit, used_header="x-mbx-used-weight-1m", limit=0.9 * limit)


def _not_as_asked(what: str, asked: str, received: str) -> Invalid:
    return Invalid(
        f"Binance, {what}: {asked} on were asked for, received {received}",
        hint="does the base URL lead to Binance itself?",
    )
