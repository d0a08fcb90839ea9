"""A `CandleSource` over Alpha Vantage by REST; its package adds nothing that we need.

| class      | name there | below a day                            | a day and a week                              |
|------------|------------|----------------------------------------|-----------------------------------------------|
| shares     | `IBM`      | `TIME_SERIES_INTRADAY`, month by month | `TIME_SERIES_DAILY`, `TIME_SERIES_WEEKLY`     |
| currencies | `EUR/USD`  | `FX_INTRADAY`                          | `FX_DAILY`, `FX_WEEKLY`                       |
| coins      | `BTC/USD`  | `CRYPTO_INTRADAY`                      | `DIGITAL_CURRENCY_DAILY`, `…_WEEKLY`          |

A free key has a handful of requests a day, so a source asks as rarely as it can and waits for nobody: the first word
about a limit of the day ends it with `Exhausted`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

import orjson

from gnomon.clock import Clock
from gnomon.errors import GnomonError, Invalid, Refused
from gnomon.market.candles import Candles
from gnomon.sources.alphavantage.series import read_series, refusal_of
from gnomon.sources.bars import LeftOut
from gnomon.sources.http import Answer, Http, HttpRetries, RateLimit
from gnomon.sources.source import Request, require_timeframe, symbol_of
from gnomon.units import DAY_NS, SECOND_NS

BASE_URL: Final = "https://www.alphavantage.co"
PATH: Final = "/query"

_INTERVALS: Final = {"1m": "1min", "5m": "5min", "15m": "15min", "30m": "30min", "1h": "60min"}
_LENGTHS: Final = {"1d": "DAILY", "1w": "WEEKLY"}
_COMPACT_DAYS: Final = 130
"""A compact answer holds the newest 100 bars of a day: some 140 days of a calendar with weekends and holidays."""
_LARGEST_REFUSAL_BYTES: Final = 4096
_NEW_YORK: Final = ZoneInfo("America/New_York")


class AlphaVantageSource:
    """Candles of Alpha Vantage, as printed on the day. A context manager; closes its connections.

    `key` appears in no log and no error. `daily` is the endpoint for days of shares: the adjusted one needs a premium
    key and has the same prices beside adjusted ones that are not used. `left_out` counts rows that are no bars. Raises
    what `Http` raises, and what `series` makes of the answers in words.
    """

    name: Final = "alphavantage"
    basis: Final = "raw"

    def __init__(
        self,
        key: str,
        *,
        clock: Clock,
        base_url: str = BASE_URL,
        daily: Literal["TIME_SERIES_DAILY", "TIME_SERIES_DAILY_ADJUSTED"] = "TIME_SERIES_DAILY",
        rate: RateLimit | None = None,
        retries: HttpRetries | None = None,
        timeout_s: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not key:
            raise Invalid("alphavantage needs a key", hint="get one at the provider, and set it")
        self._key, self._daily, self._clock = key, daily, clock
        self.left_out: list[LeftOut] = []  # of the newest request
        pace = rate or RateLimit(5, burst=1)
        self.http = Http(
            base_url, clock=clock, rate=pace, retries=retries, timeout_s=timeout_s, sleep=sleep, judge=self._judge
        )

    def __enter__(self) -> AlphaVantageSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def timeframes(self) -> tuple[str, ...]:
        return (*_INTERVALS, *_LENGTHS)

    def candles(self, request: Request) -> Iterator[Candles]:
        """Pages of closed bars, oldest first: a month each below a day for shares, else one."""
        self.left_out = []
        require_timeframe(self, request.timeframe)
        symbol = symbol_of(request.instrument, self.name)
        _refuse_hours_off_the_hour(request)
        for params in self._asks(symbol, request):
            document = self.http.json(PATH, {**params, "apikey": self._key})
            columns = read_series(document, request)
            now_ns = self._clock.now_ns() - max(0, self.http.clock_ahead_ns or 0)
            columns.within(request.first_ns, request.last_ns, now_ns)
            page = columns.candles(self.basis)
            self.left_out += columns.left_out
            if len(page):
                yield page

    def _asks(self, symbol: str, request: Request) -> Iterator[dict[str, str | int]]:
        """The parameters of each request that the window needs."""
        interval = _INTERVALS.get(str(request.timeframe), "")
        is_recent = request.first_ns > self._clock.now_ns() - _COMPACT_DAYS * DAY_NS
        size = "compact" if is_recent and not interval else "full"
        if request.instrument.asset_class != "equity":
            yield {**_of_pair(symbol, request, interval), "outputsize": size}
        elif not interval:
            function = self._daily if str(request.timeframe) == "1d" else "TIME_SERIES_WEEKLY"
            yield {"function": function, "symbol": symbol, "outputsize": size}
        else:
            flags = {"outputsize": size, "adjusted": "false", "extended_hours": "false"}
            for month in _months(request.first_ns, min(request.last_ns, self._clock.now_ns())):
                asked = {"symbol": symbol, "interval": interval, "month": month}
                yield {"function": "TIME_SERIES_INTRADAY", **asked, **flags}

    def _judge(self, answer: Answer) -> GnomonError | None:
        """A refusal in words: a short document under status 200."""
        if len(answer.body) > _LARGEST_REFUSAL_BYTES:
            return None
        try:
            return refusal_of(orjson.loads(answer.body), self._key)
        except orjson.JSONDecodeError:
            return None


def _refuse_hours_off_the_hour(request: Request) -> None:
    if str(request.timeframe) == "1h" and request.sessions.name not in ("always", "fx", "cme"):
        raise Refused(
            f"alphavantage's hours of {request.instrument.symbol} are on the hour, those of calendar "
            f"{request.sessions.name} begin at its open",
            hint="ask for 30m, whose bars agree",
        )


def _of_pair(symbol: str, request: Request, interval: str) -> dict[str, str | int]:
    """The function for a pair of currencies or a coin, and the names of its parameters there."""
    base, slash, quote = symbol.partition("/")
    if not (base and slash and quote):
        raise Invalid(f"{symbol!r} is no pair", hint='write sources.alphavantage as BASE/QUOTE, e.g. "EUR/USD"')
    if request.instrument.asset_class == "crypto":
        kind, names = ("CRYPTO" if interval else "DIGITAL_CURRENCY"), ("symbol", "market")
    else:
        kind, names = "FX", ("from_symbol", "to_symbol")
    pair: dict[str, str | int] = dict(zip(names, (base, quote), strict=True))
    if interval:
        return {"function": f"{kind}_INTRADAY", **pair, "interval": interval}
    return {"function": f"{kind}_{_LENGTHS[str(request.timeframe)]}", **pair}


def _months(first_ns: int, last_ns: int) -> Iterator[str]:
    """The months, `2024-07`, of the clock in New York that hold an instant of [first_ns, last_ns)."""
    if first_ns >= last_ns:
        return
    month, last = (datetime.fromtimestamp(at_ns // SECOND_NS, _NEW_YORK) for at_ns in (first_ns, last_ns - 1))
    year, number = month.year, month.month
    while (year, number) <= (last.year, last.month):
        yield f"{year:04}-{number:02}"
        year, number = (year, number + 1) if number < 12 else (year + 1, 1)
