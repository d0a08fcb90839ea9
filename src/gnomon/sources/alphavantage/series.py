"""An answer of Alpha Vantage: a refusal in words under status 200, or a series, read by the importer of its files.

| answer                                     | error                                                             |
|--------------------------------------------|-------------------------------------------------------------------|
| `Note`, `Information` about the rate       | `Exhausted`: a few seconds, a minute, or until the next day        |
| `Information` about a premium endpoint     | `Refused`                                                         |
| `Error Message` about the key              | `Refused`                                                         |
| `Error Message`, "Invalid API call"        | `NotFound`: that is what an unknown symbol gets                    |
| any other `Error Message`                  | `Invalid`                                                         |

Prices are as printed on the day (`adjusted=false`): the basis is `raw`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from gnomon.errors import Exhausted, GnomonError, Invalid, NotFound, Refused
from gnomon.sources.bars import OFF_SCHEDULE, Columns
from gnomon.sources.files.alpha_vantage import table
from gnomon.sources.files.numbers import is_text, read_numbers, trimmed
from gnomon.sources.files.stamps import Stamps, in_zone, read_stamps
from gnomon.sources.files.table import Table
from gnomon.sources.source import Request
from gnomon.units import DAY_NS, FloatArray, IntArray

_PRICES: Final = ("open", "high", "low", "close")
_SERIES: Final = re.compile(r"(?:(Weekly|Monthly) )?.*Time Series.*?(?:\((.*)\))?")
_LENGTHS: Final = {"daily": "Daily", "weekly": "Weekly"}
_SHORT_WAIT_S: Final = 5.0
_MINUTE_S: Final = 60.0
_DAY_S: Final = 86_400.0


def refusal_of(document: Any, key: str) -> GnomonError | None:
    """The error that an answer stands for; None where it is none. The key, which answers repeat, is masked."""
    if not isinstance(document, dict):
        return None
    for name in ("Note", "Information", "Error Message"):
        if name in document:
            said = " ".join(str(document[name]).split())[:300]
            return _refusal(name, said.replace(key, "***") if key else said)
    return None


def _refusal(name: str, said: str) -> GnomonError:
    words = said.lower()
    message = f"alphavantage: {said}"
    if name == "Error Message":
        if "apikey" in words or "api key" in words:
            return Refused(message, hint="get a key, and set it")
        if "invalid api call" in words:
            return NotFound(message, hint="check the symbol at `sources.alphavantage`")
        return Invalid(message, hint="check the symbol and the window")
    if "premium endpoint" in words or "premium feature" in words:
        return Refused(message, hint="this endpoint needs a premium key")
    wait_s = _SHORT_WAIT_S if "per second" in words else _MINUTE_S
    if "per day" in words and "per second" not in words and "per minute" not in words:
        wait_s = _DAY_S
    return Exhausted(message, hint="wait as long as detail.retry_after_s says", detail={"retry_after_s": wait_s})


def read_series(document: Any, request: Request) -> Columns:
    """The rows of an answer, placed. Raises `Invalid` with the name of the field that is not what it was."""
    found = _table(document)
    if found.broken:
        raise _changed("a bar", found.broken[0].value)
    stamps = read_stamps(found.columns["time"], found.clock)
    if not stamps.good.all():
        raise _changed("a time", str(found.columns["time"][int(np.argmin(stamps.good))]))
    columns = _by_time(found, stamps, request) if request.timeframe.is_intraday else _by_date(found, stamps, request)
    columns.drop_gaps()
    return columns


def _table(document: Any) -> Table:
    """The importer's table of the answer. Currencies and coins have other names for the same things."""
    if not isinstance(document, dict) or not isinstance(document.get("Meta Data"), dict):
        raise _changed("Meta Data", document)
    series = next((name for name in document if _SERIES.fullmatch(name)), "")
    if not isinstance(document.get(series), dict):
        raise _changed("the series", list(document))
    match = _SERIES.fullmatch(series)
    assert match is not None
    inside = (match[2] or match[1] or "").lower()
    length = next((ours for theirs, ours in _LENGTHS.items() if theirs in series.lower()), inside)
    key = f"{length} Time Series" if length == "Weekly" else f"Time Series ({length})"
    try:
        return table({"Meta Data": document["Meta Data"], key: document[series]})
    except AssertionError:
        raise _changed("the series", series) from None


# --- placing --------------------------------------------------------------------------------------------------------


def _by_time(found: Table, stamps: Stamps, request: Request) -> Columns:
    zoned = in_zone(stamps, found.clock.zone)
    open_ns = zoned.utc_ns()
    columns = _columns(found, request, open_ns, open_ns)
    columns.keep(zoned.good, "the clock of the answer skips this time or shows it twice")
    columns.place(request.sessions)
    return columns


def _by_date(found: Table, stamps: Stamps, request: Request) -> Columns:
    """The calendar's bar of each date. Days of currencies run from midnight to midnight on the answer's clock."""
    days = stamps.wall_ns // DAY_NS
    bars, absent = request.sessions.of_days(days, request.timeframe)
    open_ns, close_ns = bars.open_ns, bars.close_ns
    if request.sessions.name == "fx" and request.timeframe.nominal_ns == DAY_NS:
        open_ns, close_ns = _midnights(days, found.clock.zone), _midnights(days + 1, found.clock.zone)
    columns = _columns(found, request, open_ns, close_ns)
    on_schedule = np.ones(len(days), np.bool_)
    on_schedule[absent] = False
    columns.keep(on_schedule, OFF_SCHEDULE)
    return columns


def _midnights(days: IntArray, zone: str) -> IntArray:
    midnights = Stamps(days * DAY_NS, None, np.ones(len(days), np.bool_))
    return in_zone(midnights, str(ZoneInfo(zone))).utc_ns()


def _columns(found: Table, request: Request, open_ns: IntArray, close_ns: IntArray) -> Columns:
    opened, high, low, close = (_numbers(found.columns, name) for name in _PRICES)
    has_volume = bool((trimmed(found.columns["volume"]).to_numpy(zero_copy_only=False) != "").any())
    volume = _numbers(found.columns, "volume") if has_volume or request.instrument.asset_class == "equity" else None
    return Columns(request.instrument, request.timeframe, open_ns, close_ns, (opened, high, low, close), volume)


def _numbers(columns: Mapping[str, Any], name: str) -> FloatArray:
    column = columns[name]
    assert is_text(column)
    values, good = read_numbers(column)
    if not good.all():
        raise _changed(name, column[int(np.argmin(good))].as_py() or "nothing")
    return np.asarray(values, np.float64)


def _changed(field: str, received: Any) -> Invalid:
    return Invalid(
        f"alphavantage's answer is not of the known form: {field} is {str(received)[:80]!r}",
        hint="the endpoint may have changed; look at its answer",
        detail={"field": field},
    )
