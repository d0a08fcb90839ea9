"""A `CandleSource` over ccxt: `ccxt:kraken`, `ccxt:coinbase`, and some hundred more. Needs the extra `ccxt`.

ccxt knows each exchange's addresses, signs and rate limit (its own throttle is left on); this module pages through
`fetch_ohlcv`, keeps closed bars only, and turns ccxt's errors into ours:

| what came                                                  | error                                          |
|------------------------------------------------------------|------------------------------------------------|
| 429, 418, RateLimitExceeded, DDoSProtection                | `Exhausted`, seconds to wait in its detail     |
| 401, 403, 451, AuthenticationError, RestrictedLocation     | `Refused`                                      |
| BadSymbol                                                  | `NotFound`                                     |
| 5xx, 408, another NetworkError, a body that is cut off     | `Unavailable`, after the retries               |
| an answer that ccxt or we cannot read, a bad request       | `Invalid`                                      |

ccxt answers with floats: the decimals they stand for, those of their shortest spelling, are found again
(`files.decimals`) and counted on the grids of the instrument, or on finer powers of ten where values need them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import numpy as np
import orjson

from gnomon.clock import Clock, Timeframe
from gnomon.errors import Exhausted, GnomonError, Invalid, NotFound, Refused, Unavailable, nearest
from gnomon.market.candles import Candles
from gnomon.sources.bars import Columns, LeftOut
from gnomon.sources.http import Asked, HttpRetries, retry_after_s
from gnomon.sources.source import Request, require_timeframe, symbol_of
from gnomon.units import INT64_MAX, SECOND_NS

if TYPE_CHECKING:
    import ccxt  # type: ignore[import-untyped]  # it ships no types

_T = TypeVar("_T")

PAGE_BARS: Final = 500
_MILLISECOND_NS: Final = 1_000_000
_LATEST_MS: Final = 2**43
_FIELDS: Final = ("open", "high", "low", "close", "volume")
_REFUSED_STATUS: Final = frozenset({401, 403, 407, 451})
_LIMIT_STATUS: Final = frozenset({418, 429})
_LATE_STATUS: Final = frozenset({408, 425})
_USUAL_WAIT_S: Final = 60.0
_OUR_SPELLING: Final = {"1M": "1mo", "3M": "3mo"}


class CcxtSource:
    """Candles of one exchange. A context manager; closes its connections.

    `base_url` sends every request of the exchange to another server (scheme and host alone are replaced), `options` is
    what ccxt's constructor takes. `left_out` counts rows that are no bars of the calendar. Raises `NotFound` for an
    exchange that ccxt does not know, and `Unavailable` without the extra.
    """

    basis: Final = "raw"

    def __init__(
        self,
        exchange: str,
        *,
        clock: Clock,
        base_url: str = "",
        options: Mapping[str, Any] | None = None,
        retries: HttpRetries | None = None,
        timeout_s: float = 30.0,
        page_bars: int = PAGE_BARS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._retries = retries or HttpRetries()
        self._page_bars = page_bars
        self.exchange = _open_exchange(exchange, base_url, {"timeout": int(timeout_s * 1000), **(options or {})})
        self.left_out: list[LeftOut] = []  # of the newest request
        self.log: list[Asked] = []
        self._seen = _Answers()
        self.exchange.on_rest_response = self._note
        self._parse: Callable[..., Any] = self.exchange.parse_ohlcvs
        self._parsed: Any = None
        self.exchange.parse_ohlcvs = self._note_rows

    @property
    def name(self) -> str:
        return f"ccxt:{self.exchange.id}"

    def __enter__(self) -> CcxtSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.exchange.close()
        self.exchange.session.close()

    def timeframes(self) -> tuple[str, ...]:
        """The exchange's bar lengths, in our spelling, shortest first."""
        known = (_OUR_SPELLING.get(one, one) for one in self.exchange.timeframes or ())
        return tuple(str(one) for one in sorted({Timeframe.parse(one) for one in known}))

    def candles(self, request: Request) -> Iterator[Candles]:
        """Pages of closed bars, oldest first."""
        self.left_out = []
        require_timeframe(self, request.timeframe)
        symbol = symbol_of(request.instrument, self.name)
        self._load_markets(symbol)
        since_ns = request.first_ns
        while self._is_due(request, since_ns):
            rows = self._page(symbol, request.timeframe, since_ns)
            if not len(rows):
                since_ns += self._page_bars * request.timeframe.nominal_ns
                continue
            newest_ns = int(rows[-1, 0])
            page = self._candles(rows, request, since_ns)
            if len(page):
                yield page
            if newest_ns < since_ns:
                return  # nothing has traded since
            since_ns = newest_ns + request.timeframe.nominal_ns

    def _is_due(self, request: Request, since_ns: int) -> bool:
        """Whether a bar of the window that opens at `since_ns` or later has closed."""
        last_ns = min(request.last_ns - 1 + request.timeframe.nominal_ns, self._now_ns())
        return len(request.sessions.between(request.timeframe, since_ns, last_ns)) > 0

    def _page(self, symbol: str, timeframe: Timeframe, since_ns: int) -> Any:
        """Rows (n, 6) as objects: the open in ns, then five floats."""
        spelled = next(one for one in self.exchange.timeframes if _spelled(one) == timeframe)
        since_ms = -(-since_ns // _MILLISECOND_NS)
        self._parsed = None
        found = self._ask(lambda: self.exchange.fetch_ohlcv(symbol, spelled, since_ms, self._page_bars))
        return _rows(self.name, found if self._parsed is None else self._parsed)

    def _candles(self, rows: Any, request: Request, since_ns: int) -> Candles:
        open_ns = rows[:, 0].astype(np.int64)
        opened, high, low, close, volume = (rows[:, k].astype(np.float64) for k in range(1, 6))
        columns = Columns(request.instrument, request.timeframe, open_ns, open_ns, (opened, high, low, close), volume)
        columns.place(request.sessions)
        columns.within(since_ns, request.last_ns, self._now_ns())
        page = columns.candles(self.basis)
        self.left_out += columns.left_out
        return page

    def _now_ns(self) -> int:
        """Our clock, or the exchange's where that is behind: a bar has closed when both say so."""
        return min(self._clock.now_ns(), self._seen.server_ns)

    # --- asking -----------------------------------------------------------------------------------------------------

    def _load_markets(self, symbol: str) -> None:
        if not self.exchange.markets:
            try:
                self._ask(lambda: self.exchange.load_markets(True))
            except GnomonError:
                self.exchange.markets = None  # they may have been made of a broken answer
                raise
        if symbol not in self.exchange.markets:
            close = nearest(symbol, self.exchange.markets)
            raise NotFound(
                f"{self.name} has no market {symbol!r}",
                hint=f"did you mean {', '.join(close)}?" if close else "ccxt writes BASE/QUOTE, e.g. BTC/USDT",
                detail={"nearest": close},
            )

    def _ask(self, call: Callable[[], _T]) -> _T:
        """What ccxt answers, after as many attempts as it takes and `HttpRetries` allows."""
        for attempt in range(1, self._retries.attempts + 1):
            try:
                return self._once(call, attempt)
            except Exhausted as error:
                wait_s = float(error.detail["retry_after_s"])
                if error.detail.get("banned") or wait_s > self._retries.longest_s or attempt == self._retries.attempts:
                    raise
            except Unavailable:
                wait_s = self._retries.wait_s(attempt, self.name)
                if attempt == self._retries.attempts:
                    raise
            self._sleep(wait_s)
        raise AssertionError("unreachable: the last attempt answers or raises")

    def _once(self, call: Callable[[], _T], attempt: int) -> _T:
        import ccxt

        self._seen.begin(attempt)
        try:
            found = call()
        except ccxt.BaseError as error:
            raise self._seen.cut_off(self.name) or _failure(
                self.name, error, self._seen, self._clock.now_ns()
            ) from None
        except (TypeError, KeyError, ValueError, AttributeError, IndexError) as error:
            raise self._seen.cut_off(self.name) or _unreadable(self.name, f"{type(error).__name__}: {error}") from None
        if failure := self._seen.cut_off(self.name):
            raise failure
        return found

    def _note(self, status: Any, reason: Any, url: str, method: str, headers: Any, text: str, *_: Any) -> str:
        """ccxt's own hook for an answer: remember it, and hand its text on."""
        del reason
        self.log.append(self._seen.take(int(status), url, method, {k.lower(): v for k, v in headers.items()}, text))
        return text.strip()

    def _note_rows(
        self, rows: Any, market: Any, timeframe: str, since: Any = None, limit: Any = None, *rest: Any
    ) -> Any:
        """ccxt's own reading of rows: it drops those it cannot read as if they were too old, so all are kept here."""
        self._parsed = self._parse(rows, market, timeframe, None, None)
        return self._parse(rows, market, timeframe, since, limit, *rest)


class _Answers:
    """What the exchange answered to the newest call: ccxt tells only its own reading of it."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.server_ns = INT64_MAX
        self._attempt = 1
        self._cut: str | None = None

    def begin(self, attempt: int) -> None:
        self.status, self.headers, self._attempt, self._cut = 0, {}, attempt, None

    def take(self, status: int, url: str, method: str, headers: Mapping[str, str], text: str) -> Asked:
        self.status, self.headers = status, headers
        if headers.get("date"):
            self.server_ns = _instant(headers["date"])
        if status == 200 and not _is_json(text):
            self._cut = text[-40:]
        parts = urlsplit(url)
        return Asked(method, parts.path, dict(parse_qsl(parts.query)), status, self._attempt)

    def cut_off(self, name: str) -> Unavailable | None:
        """The error for an answer whose JSON ends early, whatever ccxt made of it."""
        if self._cut is None:
            return None
        return Unavailable(f"{name}: the answer is cut off at {self._cut!r}", hint="try again later")


# --- ccxt -----------------------------------------------------------------------------------------------------------


def _open_exchange(name: str, base_url: str, options: Mapping[str, Any]) -> Any:
    try:
        import ccxt
    except ImportError:
        raise Unavailable("ccxt is not installed", hint="pip install 'gnomon[ccxt]'") from None
    if name not in ccxt.exchanges:
        close = nearest(name, ccxt.exchanges)
        raise NotFound(
            f"ccxt knows no exchange {name!r}",
            hint=f"did you mean {', '.join(close)}?" if close else "see ccxt.exchanges",
            detail={"nearest": close},
        )
    exchange = getattr(ccxt, name)({"enableRateLimit": True, "enableLastHttpResponse": False, **options})
    if not exchange.has.get("fetchOHLCV"):
        raise Refused(f"{name} has no candles at ccxt", hint="use another exchange")
    if base_url:
        exchange.urls["api"] = _elsewhere(exchange.urls["api"], base_url)
    return exchange


def _elsewhere(urls: Any, base_url: str) -> Any:
    """The same addresses at another scheme and host."""
    if isinstance(urls, dict):
        return {name: _elsewhere(one, base_url) for name, one in urls.items()}
    base, parts = urlsplit(base_url), urlsplit(str(urls))
    return urlunsplit((base.scheme, base.netloc, parts.path, parts.query, ""))


def _failure(name: str, error: ccxt.BaseError, seen: _Answers, now_ns: int) -> GnomonError:
    """Our error for one of ccxt's; the status of the answer is looked at first."""
    import ccxt

    said = f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    detail: dict[str, Any] = {"ccxt": type(error).__name__, "status": seen.status}
    if seen.status in _LIMIT_STATUS or isinstance(error, ccxt.RateLimitExceeded | ccxt.DDoSProtection):
        waits = {"retry_after_s": retry_after_s(seen.headers, now_ns) or _USUAL_WAIT_S, "banned": seen.status == 418}
        return Exhausted(said, hint="wait as long as detail.retry_after_s says", detail=detail | waits)
    refused = ccxt.AuthenticationError | ccxt.RestrictedLocation
    if seen.status in _REFUSED_STATUS or isinstance(error, refused):
        return Refused(said, hint="is a key needed, and is the exchange offered where this machine is?", detail=detail)
    if isinstance(error, ccxt.BadSymbol):
        return NotFound(said, hint="ccxt writes BASE/QUOTE, e.g. BTC/USDT", detail=detail)
    failed = isinstance(error, ccxt.OperationFailed) and not 400 <= seen.status < 500
    if failed or seen.status >= 500 or seen.status in _LATE_STATUS:
        return Unavailable(said, hint="try again later", detail=detail)
    return Invalid(said, hint="the request, or ccxt's reading of the answer, is wrong", detail=detail)


def _unreadable(name: str, said: str) -> Invalid:
    return Invalid(
        f"{name}: the answer is not of the known form ({said})", hint="is there a newer ccxt?", detail={"said": said}
    )


def _rows(name: str, found: Any) -> Any:
    """Rows (n, 6) of objects by open: ns, then floats. Raises `Invalid` with the field that is none."""
    if not isinstance(found, list):
        raise _unreadable(name, f"{type(found).__name__} where rows are due")
    for row in found:
        if not isinstance(row, list) or len(row) < 6 or type(row[0]) is not int or not 0 <= row[0] < _LATEST_MS:
            raise _unreadable(name, f"a row is {str(row)[:80]}")
        bad = next(
            (field for field, value in zip(_FIELDS, row[1:6], strict=True) if type(value) not in (int, float)), ""
        )
        if bad:
            raise _unreadable(name, f"{bad} is {row[1 + _FIELDS.index(bad)]!r}")
    ordered = sorted(found, key=lambda row: row[0])
    return np.array([[row[0] * _MILLISECOND_NS, *row[1:6]] for row in ordered], object).reshape(-1, 6)


def _spelled(timeframe: str) -> Timeframe:
    return Timeframe.parse(_OUR_SPELLING.get(timeframe, timeframe))


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _instant(date: str) -> int:
    try:
        return int(parsedate_to_datetime(date).timestamp()) * SECOND_NS
    except (ValueError, OverflowError):
        return INT64_MAX
