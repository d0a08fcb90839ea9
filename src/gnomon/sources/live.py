"""The sources that the settings name, each opened when it is first asked for.

| name                                         | needs                              |
|----------------------------------------------|------------------------------------|
| `binance`, `binance-dumps`, `yahoo`, `fred`  | nothing                            |
| `alphavantage`                               | the setting `alphavantage_key`     |
| `ccxt:<exchange>`                            | the extra `ccxt`                   |
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from gnomon.clock import Clock
from gnomon.errors import Invalid, nearest
from gnomon.sources.source import CandleSource, EventSource, TradeSource

KEYLESS: Final = ("binance", "binance-dumps", "yahoo", "fred")
TRADE_SOURCES: Final = ("binance", "binance-dumps")

S = TypeVar("S")
Opener = Callable[[], AbstractContextManager[Any]]


class LiveSources(Mapping[str, S], Generic[S]):
    """Sources by name. A context manager that closes those that were opened. Safe to use from several threads."""

    def __init__(self, openers: Mapping[str, Opener]) -> None:
        self._openers = dict(openers)
        self._opened: dict[str, S] = {}
        self._stack, self._lock = ExitStack(), threading.Lock()

    def __enter__(self) -> LiveSources[S]:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __getitem__(self, name: str) -> S:
        with self._lock:
            if name not in self._opened:
                self._opened[name] = self._stack.enter_context(self._openers[name]())
            return self._opened[name]

    def __contains__(self, name: object) -> bool:
        return name in self._openers

    def __iter__(self) -> Iterator[str]:
        return iter(self._openers)

    def __len__(self) -> int:
        return len(self._openers)

    def only(self, names: tuple[str, ...]) -> LiveSources[Any]:
        """A view of its own of those sources alone."""
        return LiveSources({name: opener for name, opener in self._openers.items() if name in names})


def live_sources(
    wanted: tuple[str, ...], clock: Clock, *, cache: Path, urls: Mapping[str, str], alphavantage_key: str = ""
) -> LiveSources[CandleSource]:
    """The sources of these names that have what they need; `urls` sends one elsewhere (a mirror, a test).

    Raises `Invalid` for a name that is none.
    """
    openers: dict[str, Opener] = {}
    for name in wanted:
        if name.startswith("ccxt:"):
            if find_spec("ccxt") is not None:
                openers[name] = _ccxt(name.removeprefix("ccxt:"), clock, urls.get(name, ""))
        elif name != "alphavantage" or alphavantage_key:
            openers[name] = _known(name, clock, cache, urls, alphavantage_key)
    return LiveSources(openers)


def live_calendars(
    table: Mapping[str, Any], clock: Clock, *, token: str = "", urls: Mapping[str, str]
) -> LiveSources[EventSource]:
    """The provider of the economic calendar that the settings describe; none where they don't."""
    if not table:
        return LiveSources({})
    from gnomon.sources.calendar.http import CalendarProvider
    from gnomon.sources.calendar.provider import provider_of

    provider = provider_of(table, urls.get("calendar", ""))
    return LiveSources({provider.name: lambda: CalendarProvider(provider, clock=clock, token=token)})


def trade_sources(sources: LiveSources[CandleSource]) -> LiveSources[TradeSource]:
    """Those of the sources that have prints too."""
    return sources.only(TRADE_SOURCES)


def _known(name: str, clock: Clock, cache: Path, urls: Mapping[str, str], key: str) -> Opener:
    def url(default: str) -> str:
        return urls.get(name, default)

    def opened() -> AbstractContextManager[Any]:
        # imported when used: a command that asks nobody loads no client of HTTP
        if name == "yahoo":
            from gnomon.sources.yahoo.source import BASE_URL, YahooSource

            return YahooSource(clock=clock, base_url=url(BASE_URL))
        if name == "fred":
            from gnomon.sources.fred.source import BASE_URL, FredSource

            return FredSource(clock=clock, base_url=url(BASE_URL))
        if name == "alphavantage":
            from gnomon.sources.alphavantage.source import BASE_URL, AlphaVantageSource

            return AlphaVantageSource(key, clock=clock, base_url=url(BASE_URL))
        if name == "binance-dumps":
            from gnomon.sources.binance.dumps import BinanceDumps
            from gnomon.sources.binance.venue import ARCHIVE_URL

            return BinanceDumps(cache / "binance", clock=clock, base_url=url(ARCHIVE_URL))
        from gnomon.sources.binance.rest import BinanceRest

        return BinanceRest(clock=clock, base_url=url(""))

    if name not in (*KEYLESS, "alphavantage"):
        close = nearest(name, (*KEYLESS, "alphavantage", "ccxt:kraken"))
        raise Invalid(
            f"no source {name!r}",
            hint=f"did you mean {', '.join(close)}?" if close else f"{', '.join(KEYLESS)}, alphavantage, ccxt:EXCHANGE",
        )
    return opened


def _ccxt(exchange: str, clock: Clock, url: str) -> Opener:
    def opened() -> AbstractContextManager[Any]:
        from gnomon.sources.ccxt.source import CcxtSource

        return CcxtSource(exchange, clock=clock, base_url=url)

    return opened
