"""Binance's public archive of dumps: whole months and days of klines and aggregate trades, each with its SHA-256.

| what                                   | what is done                                                        |
|----------------------------------------|---------------------------------------------------------------------|
| a month that lies whole in the window  | its monthly file; its daily files while that is not published       |
| the days of the window beside them     | daily files (bars of weeks and months stand in monthly files alone) |
| a file                                 | fetched under a temporary name, renamed once its SHA-256 fits       |
| a SHA-256 that does not fit            | fetched anew once; then `Unavailable`, and nothing is kept          |
| a file in the cache                    | verified again each time; fetched anew where it is damaged          |
| no such file (404)                     | listed in `missing`; `NotFound` when the symbol has none at all     |
| not one file of the right name, or one that unpacks to too much | `Invalid`                                  |

What is inside is read by the importer of files: a dump imported by hand holds the same bars.
"""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np

from gnomon.clock import Clock, iso
from gnomon.errors import Invalid, NotFound
from gnomon.market.candles import Basis, Candles
from gnomon.market.trades import Trades
from gnomon.sources.binance.cache import Cache
from gnomon.sources.binance.rows import on_schedule, one_instrument
from gnomon.sources.binance.venue import ARCHIVE_URL, SPOT, Venue, checked_symbol
from gnomon.sources.files.read import read
from gnomon.sources.http import Http, HttpRetries, RateLimit
from gnomon.sources.source import Missing, Request, missing_bars, require_timeframe, symbol_of
from gnomon.units import DAY_NS, IntArray

LARGEST_BYTES: Final = 2 * 1024**3
"""The most that one dump may unpack to."""

_RATE: Final = RateLimit(weight=600, per_s=60.0, burst=60)
_RETRIES: Final = HttpRetries(deadline_s=3600.0)
_NO_BARS: Final = "the dump has no such bars (an outage, or before its listing)"
_LATEST_MONTH_DAYS: Final = 45
_LATEST_DAY_DAYS: Final = 5
"""A file appears in the days after its end. Later than this it is not to be expected any more."""

Data = Literal["klines", "aggTrades"]


@dataclass(frozen=True, slots=True)
class Dump:
    """One file of the archive: `path` below its root, and the days it covers, `first_day` to before `last_day`."""

    path: str
    monthly: bool
    first_day: int
    last_day: int

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def member(self) -> str:
        """The one file that it must hold."""
        return f"{self.name.removesuffix('.zip')}.csv"


@dataclass(frozen=True, slots=True)
class Series:
    """What of the archive is asked: a kind of data of one symbol. `timeframe` is "" for trades."""

    venue: Venue
    data: Data
    symbol: str
    timeframe: str = ""

    def month(self, month: int) -> Dump:
        """The file of a month, in months since 1970-01."""
        return self._dump(True, str(np.datetime64(month, "M")), _first_day(month), _first_day(month + 1))

    def day(self, day: int) -> Dump:
        """The file of a day, in days since 1970-01-01."""
        return self._dump(False, str(np.datetime64(day, "D")), day, day + 1)

    def days(self, first: int, last: int) -> list[Dump]:
        return [self.day(day) for day in range(first, last)]

    def _dump(self, monthly: bool, date: str, first_day: int, last_day: int) -> Dump:
        folder = [self.venue.archive, "monthly" if monthly else "daily", self.data, self.symbol]
        what = self.timeframe or self.data
        name = f"{self.symbol}-{what}-{date}.zip"
        return Dump("/".join(["data", *folder, *filter(None, [self.timeframe]), name]), monthly, first_day, last_day)


def plan(series: Series, first_ns: int, last_ns: int, now_ns: int) -> list[Dump]:
    """The files whose rows make up the window, oldest first: nothing outside it but where bars are longer than a day.

    Only days that are over by now. Trades come in daily files alone: a month of them can unpack to tens of gigabytes.
    """
    first_day, last_day = first_ns // DAY_NS, min(-(-last_ns // DAY_NS), now_ns // DAY_NS)
    if series.timeframe.endswith(("w", "mo")):
        return [series.month(month) for month in _months(first_day, -(-last_ns // DAY_NS)) if _is_over(month, now_ns)]
    if series.data == "aggTrades":
        return series.days(first_day, last_day)
    files: list[Dump] = []
    for month in _months(first_day, last_day):
        begin, end = _first_day(month), _first_day(month + 1)
        if first_ns <= begin * DAY_NS and end * DAY_NS <= last_ns and end <= last_day:
            files.append(series.month(month))
        else:
            files += series.days(max(begin, first_day), min(end, last_day))
    return files


class BinanceDumps:
    """A source of candles and trades of the past. A context manager that closes its connections.

    Files are kept below `folder`. `missing` are the bars that the last window lacked.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock,
        venue: Venue = SPOT,
        base_url: str = ARCHIVE_URL,
        retries: HttpRetries = _RETRIES,
        timeout_s: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        largest_bytes: int = LARGEST_BYTES,
    ) -> None:
        self.http = Http(
            base_url,
            clock=clock,
            rate=_RATE,
            retries=retries,
            timeout_s=timeout_s,
            sleep=sleep,
            monotonic=monotonic,
        )
        self.missing: list[Missing] = []
        self._clock, self._venue, self._largest_bytes = clock, venue, largest_bytes
        self._cache = Cache(folder, self.http, largest_bytes)

    def __enter__(self) -> BinanceDumps:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.http.close()

    @property
    def name(self) -> str:
        return f"{self._venue.source}-dumps"

    @property
    def basis(self) -> Basis:
        return "raw"

    def timeframes(self) -> tuple[str, ...]:
        return self._venue.timeframes

    def candles(self, request: Request) -> Iterator[Candles]:
        """A page a file; see `CandleSource`."""
        self.missing = []
        require_timeframe(self, request.timeframe)
        now_ns, empty = self._clock.now_ns(), np.empty(0, np.int64)
        for dump, path in self._files(request, "klines"):
            page = None if path is None else self._candles(dump, path, request)
            first_ns, until_ns = _span(dump, request)
            if page is not None:
                page = on_schedule(page, request)
                wanted = (page.open_ns >= first_ns) & (page.open_ns < until_ns) & (page.close_ns <= now_ns)
                page = page.take(wanted)
            self._note(dump, path, request, empty if page is None else page.open_ns, now_ns)
            if page is not None and len(page):
                yield page.check()

    def trades(self, request: Request) -> Iterator[Trades]:
        """A page a day."""
        self.missing = []
        for dump, path in self._files(request, "aggTrades"):
            first_ns, until_ns = _span(dump, request)
            if path is None:
                self.missing.append(Missing(request.instrument.id, "trades", first_ns, until_ns, 0, _absent(dump)))
                continue
            page = self._read(dump, path, request)
            assert isinstance(page, Trades)
            page = page.take((page.time_ns >= first_ns) & (page.time_ns < until_ns))
            if len(page):
                yield page.check()

    # --- files --------------------------------------------------------------------------------------------------------

    def _files(self, request: Request, data: Data) -> Iterator[tuple[Dump, Path | None]]:
        """The files of the window, each where it lies in the cache; None where the archive has none."""
        symbol = checked_symbol(symbol_of(request.instrument, self._venue.source))
        series = Series(self._venue, data, symbol, str(request.timeframe) if data == "klines" else "")
        now_ns = self._clock.now_ns()
        found, absent = 0, 0
        for dump in self._published(plan(series, request.first_ns, request.last_ns, now_ns), series, now_ns):
            path = self._fetch(dump)
            found, absent = found + (path is not None), absent + (path is None and _is_settled(dump, now_ns))
            yield dump, path
        if absent and not found:
            raise NotFound(
                f"Binance's archive has no {data} of {symbol} from {iso(request.first_ns)} to {iso(request.last_ns)}",
                hint="is the symbol spelled as at Binance (BTCUSDT), and was it listed then?",
                detail={"symbol": symbol, "files": absent},
            )

    def _published(self, files: list[Dump], series: Series, now_ns: int) -> Iterator[Dump]:
        """The files, a month that is not published yet replaced by its days."""
        for dump in files:
            by_day = dump.monthly and not series.timeframe.endswith(("w", "mo")) and not _is_settled(dump, now_ns)
            if by_day and self._fetch(dump) is None:
                yield from series.days(dump.first_day, dump.last_day)
            else:
                yield dump

    def _fetch(self, dump: Dump) -> Path | None:
        try:
            return self._cache.get(dump.path)
        except NotFound:
            return None

    def _candles(self, dump: Dump, path: Path, request: Request) -> Candles | None:
        page = self._read(dump, path, request)
        assert page is None or isinstance(page, Candles)
        return page

    def _read(self, dump: Dump, path: Path, request: Request) -> Candles | Trades | None:
        """The one series of a dump; None of an empty one."""
        if not _checked_member(path, dump.member, self._largest_bytes):
            return None
        of_trades = "-aggTrades-" in dump.name
        imported = read(
            path,
            instruments=one_instrument(request.instrument),
            instrument=request.instrument.id,
            timeframe=None if of_trades else str(request.timeframe),
            largest_bytes=self._largest_bytes,
        )
        expected = "binance-aggtrades" if of_trades else "binance-klines"
        if imported.format != expected:
            raise Invalid(
                f"{dump.name} holds {imported.format}, {expected} expected", hint="has the layout of the dumps changed?"
            )
        (series,) = imported.series
        assert isinstance(series, Candles | Trades)
        return series

    def _note(self, dump: Dump, path: Path | None, request: Request, open_ns: IntArray, now_ns: int) -> None:
        first_ns, until_ns = _span(dump, request)
        why = _absent(dump) if path is None else _NO_BARS
        self.missing += missing_bars(replace(request, last_ns=until_ns), open_ns, first_ns, now_ns, why)


def _checked_member(path: Path, member: str, largest_bytes: int) -> bool:
    """Whether the archive's only file has anything in it. `Invalid` unless it is named as it should be."""
    try:
        with zipfile.ZipFile(path) as archive:
            inside = archive.infolist()
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError) as error:
        raise Invalid(f"{path.name}: no zip archive ({error})", hint="remove it from the cache") from None
    names = [one.filename for one in inside]
    if names != [member]:
        shown = ", ".join(map(repr, names[:3])) or "nothing"
        raise Invalid(f"{path.name} holds {shown}, {member!r} expected", hint="has the layout of the dumps changed?")
    if inside[0].file_size > largest_bytes:
        raise Invalid(
            f"{path.name} unpacks to {inside[0].file_size:,} bytes, at most {largest_bytes:,} are allowed",
            hint="ask for a shorter window, or raise the limit",
            detail={"largest_bytes": largest_bytes},
        )
    return inside[0].file_size > 0


def _absent(dump: Dump) -> str:
    return f"the archive has no {dump.name} (404)"


def _span(dump: Dump, request: Request) -> tuple[int, int]:
    """The part of the window that is this file's, UTC ns."""
    return max(request.first_ns, dump.first_day * DAY_NS), min(request.last_ns, dump.last_day * DAY_NS)


def _is_settled(dump: Dump, now_ns: int) -> bool:
    """Whether a file that is not there will not come any more."""
    return dump.last_day + (_LATEST_MONTH_DAYS if dump.monthly else _LATEST_DAY_DAYS) <= now_ns // DAY_NS


def _is_over(month: int, now_ns: int) -> bool:
    return _first_day(month + 1) <= now_ns // DAY_NS


def _months(first_day: int, last_day: int) -> range:
    """The months that hold the days, in months since 1970-01."""
    if last_day <= first_day:
        return range(0)
    first, last = (
        int(np.datetime64(day, "D").astype("datetime64[M]").astype(int)) for day in (first_day, last_day - 1)
    )
    return range(first, last + 1)


def _first_day(month: int) -> int:
    return int(np.datetime64(month, "M").astype("datetime64[D]").astype(int))
