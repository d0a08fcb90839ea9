"""A `CandleSource` over FRED's public CSV: daily closes of an index such as the VIX (`VIXCLS`).

The file has two columns, the date and the value; a dot stands for a day without one. A close becomes a bar whose four
prices are equal, on the session of its date. It is knowable on the next day of the calendar at 09:00 New York, when
FRED surely shows it; rows that are not knowable yet are left for the next call.
"""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from gnomon.clock import Clock, iso, parse_instant
from gnomon.errors import GnomonError, Invalid, Unavailable
from gnomon.market.candles import Candles
from gnomon.sources.bars import OFF_SCHEDULE, Columns, LeftOut
from gnomon.sources.http import Answer, Http, HttpRetries, RateLimit
from gnomon.sources.source import Request, require_timeframe, symbol_of
from gnomon.units import DAY_NS, SECOND_NS, IntArray

BASE_URL: Final = "https://fred.stlouisfed.org"
PATH: Final = "/graph/fredgraph.csv"
_NEW_YORK: Final = ZoneInfo("America/New_York")
_KNOWABLE_AT: Final = clock_time(9)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_VALUE: Final = re.compile(r"-?\d{1,12}(?:\.\d{1,12})?")
_MISSING: Final = frozenset({".", "", "NA"})


class FredSource:
    """Daily values of FRED as candles. A context manager; closes its connection.

    `left_out` counts rows of dates that are no session. Raises what `Http` raises, and `Invalid` where the file is not
    of the known form (the field is named).
    """

    name: Final = "fred"
    basis: Final = "raw"

    def __init__(
        self,
        *,
        clock: Clock,
        base_url: str = BASE_URL,
        rate: RateLimit | None = None,
        retries: HttpRetries | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self.left_out: list[LeftOut] = []  # of the newest request
        self.http = Http(base_url, clock=clock, rate=rate or RateLimit(30), retries=retries, sleep=sleep, judge=_judge)

    def __enter__(self) -> FredSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def timeframes(self) -> tuple[str, ...]:
        return ("1d",)

    def candles(self, request: Request) -> Iterator[Candles]:
        """One page: the bars that open in the window and are knowable by now."""
        self.left_out = []
        series = symbol_of(request.instrument, self.name)
        require_timeframe(self, request.timeframe)
        span = {"cosd": _date_of(request.first_ns), "coed": _date_of(request.last_ns)}
        answer = self.http.get(PATH, {"id": series, **span})
        now_ns = self._clock.now_ns() - max(0, self.http.clock_ahead_ns or 0)
        days, values = read_csv(answer.body, series)
        columns, knowable_ns = _columns(days, values, request)
        kept = np.asarray(columns.open_ns >= request.first_ns) & (columns.open_ns < request.last_ns)
        kept &= knowable_ns <= now_ns
        columns.keep(np.asarray(kept))
        self.left_out += columns.left_out
        if len(columns):
            yield columns.candles(self.basis, knowable_ns[kept])


def _judge(answer: Answer) -> GnomonError | None:
    """A file that does not end with its line is cut off, though its length agree: half a number would pass for one."""
    if answer.status != 200 or answer.body.endswith(b"\n"):
        return None
    return Unavailable(f"fred's file ends early, after {len(answer.body):,} bytes", hint="try again later")


def read_csv(body: bytes, series: str) -> tuple[IntArray, list[float]]:
    """Dates (days since 1970-01-01), strictly increasing, and values of the days that have one.

    Raises `Invalid` with the field that is not as it was: the header, a date, a value.
    """
    try:
        rows = list(csv.reader(io.StringIO(body.decode("utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _changed("the file", str(error)) from None
    header = [one.strip().upper() for one in rows[0]] if rows else []
    if len(header) != 2 or header[0] not in ("DATE", "OBSERVATION_DATE") or header[1] not in ("VALUE", series.upper()):
        raise _changed("the header", ",".join(header))
    days, values = [], []
    for cells in rows[1:]:
        if len(cells) != 2 or not _DATE.fullmatch(cells[0]):
            raise _changed("the date", ",".join(cells))
        if cells[1].strip() in _MISSING:
            continue
        if not _VALUE.fullmatch(cells[1].strip()):
            raise _changed("the value", cells[1])
        days.append(parse_instant(cells[0]) // DAY_NS)
        values.append(float(cells[1]))
    if any(later <= earlier for earlier, later in pairwise(days)):
        raise _changed("the date", "not in order")
    return np.array(days, np.int64), values


def _columns(days: IntArray, values: list[float], request: Request) -> tuple[Columns, IntArray]:
    bars, absent = request.sessions.of_days(days)
    price = np.array(values, np.float64)
    columns = Columns(request.instrument, request.timeframe, bars.open_ns, bars.close_ns, (price, price, price, price))
    good = np.ones(len(days), np.bool_)
    good[absent] = False
    columns.keep(good, OFF_SCHEDULE)
    return columns, _next_morning(columns.close_ns, days[good], request)


def _next_morning(close_ns: IntArray, days: IntArray, request: Request) -> IntArray:
    """09:00 New York on the calendar's next day; never before the close."""
    index = np.minimum(np.searchsorted(request.sessions.day, days, side="right"), len(request.sessions.day) - 1)
    mornings = [_morning(int(day)) for day in request.sessions.day[index]]
    return np.maximum(close_ns, np.array(mornings, np.int64))


def _morning(day: int) -> int:
    local = datetime.combine(date(1970, 1, 1) + timedelta(days=day), _KNOWABLE_AT, _NEW_YORK)
    return round(local.timestamp()) * SECOND_NS


def _date_of(at_ns: int) -> str:
    return iso(at_ns)[:10]


def _changed(field: str, received: str) -> Invalid:
    return Invalid(
        f"fred's file is not of the known form: {field} is {received[:80]!r}",
        hint="the endpoint may have changed, or the series is unknown: look at its answer",
        detail={"field": field},
    )
