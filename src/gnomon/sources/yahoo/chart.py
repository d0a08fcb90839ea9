"""An answer of Yahoo's chart endpoint, read with suspicion, and placed on the calendar of its instrument.

| bars             | a row's stamp                           | opens and closes                               |
|------------------|-----------------------------------------|------------------------------------------------|
| below a day      | the open                                | the calendar's bar that opens then             |
| a day and longer | a time on the date, in the answer's zone | the calendar's bar that holds the date         |
| days of currencies in another zone than New York | the same | midnight to midnight there, not the calendar's |

The newest row may be a quote and no bar: its stamp is the time of the last trade. It is dropped, as what still forms.
Prices are adjusted for every split up to the day of asking, so their basis is `split`, never `raw`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from gnomon.errors import Invalid, NotFound
from gnomon.sources.bars import OFF_SCHEDULE, Columns, scheduled_close
from gnomon.sources.source import Request
from gnomon.units import DAY_NS, SECOND_NS, FloatArray, IntArray

NEW_YORK: Final = "America/New_York"
_EPOCH: Final = date(1970, 1, 1).toordinal()
_QUOTES: Final = ("open", "high", "low", "close", "volume")
_LATEST_S: Final = 2**33


def read_chart(document: Any, request: Request, granularity: str) -> Columns:
    """The rows of an answer; `granularity` is the interval that was asked for, in Yahoo's spelling.

    Raises `Invalid` with the name of the field that is not what it was, and `NotFound` for an unknown symbol.
    """
    result = _result(document)
    meta = _object(result, "meta")
    said = meta.get("dataGranularity", granularity)
    if said != granularity:
        raise Invalid(
            f"yahoo answered bars of {said} for {granularity}",
            hint="ask for a shorter window: the history of this interval is limited",
        )
    seconds = _whole_numbers(result.get("timestamp", []), "timestamp")
    numbers = _numbers(result, len(seconds))
    if request.timeframe.is_intraday:
        return _intraday(seconds * SECOND_NS, numbers, request)
    return _by_date(seconds, numbers, request, _zone(meta))


def refusal_of(document: Any) -> str:
    """What Yahoo says is wrong, in its words; "" where it says nothing."""
    chart = document.get("chart") if isinstance(document, dict) else None
    error = chart.get("error") if isinstance(chart, dict) else None
    return f"{error.get('code', '')}: {error.get('description', '')}" if isinstance(error, dict) else ""


# --- reading --------------------------------------------------------------------------------------------------------


def _result(document: Any) -> Mapping[str, Any]:
    if said := refusal_of(document):
        known = "not found" not in said.lower() and "no data found" not in said.lower()
        raise (Invalid if known else NotFound)(f"yahoo refused: {said}", hint="check the symbol and the window")
    results = _object(document if isinstance(document, dict) else {}, "chart").get("result")
    if not isinstance(results, list) or len(results) != 1 or not isinstance(results[0], dict):
        raise _changed("chart.result", results)
    return results[0]


def _numbers(result: Mapping[str, Any], rows: int) -> dict[str, FloatArray]:
    if not rows:
        return {name: np.zeros(0) for name in _QUOTES}
    quotes = _object(result, "indicators").get("quote")
    if not isinstance(quotes, list) or not quotes or not isinstance(quotes[0], dict):
        raise _changed("indicators.quote", quotes)
    found = {name: _floats(quotes[0].get(name), f"indicators.quote.{name}") for name in _QUOTES}
    short = next((name for name, column in found.items() if len(column) != rows), None)
    if short is not None:
        raise _changed(f"indicators.quote.{short}", f"{len(found[short])} values for {rows} stamps")
    return found


def _object(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    if not isinstance(found, dict):
        raise _changed(name, found)
    return found


def _floats(column: Any, name: str) -> FloatArray:
    """A column of numbers, NaN for null."""
    if not isinstance(column, list):
        raise _changed(name, column)
    bad = next((one for one in column if one is not None and type(one) not in (int, float)), None)
    if bad is not None:
        raise _changed(name, bad)
    return np.array([np.nan if one is None else one for one in column], np.float64)


def _whole_numbers(column: Any, name: str) -> IntArray:
    if not isinstance(column, list):
        raise _changed(name, column)
    bad = next((one for one in column if type(one) is not int or abs(one) > _LATEST_S), None)
    if bad is not None:
        raise _changed(name, bad)
    return np.array(column, np.int64)


def _changed(field: str, received: Any) -> Invalid:
    return Invalid(
        f"yahoo's answer is not of the known form: {field} is {str(received)[:80]!r}",
        hint="the endpoint may have changed; try again, then look at its answer",
        detail={"field": field},
    )


def _zone(meta: Mapping[str, Any]) -> ZoneInfo:
    name = meta.get("exchangeTimezoneName")
    try:
        return ZoneInfo(name if isinstance(name, str) else "")
    except (KeyError, ValueError, OSError):
        raise _changed("meta.exchangeTimezoneName", name) from None


# --- placing --------------------------------------------------------------------------------------------------------


def _columns(
    request: Request, open_ns: IntArray, close_ns: IntArray, numbers: Mapping[str, FloatArray], rows: Any
) -> Columns:
    opened, high, low, close, volume = (numbers[name][rows] for name in _QUOTES)
    return Columns(request.instrument, request.timeframe, open_ns, close_ns, (opened, high, low, close), volume)


def _intraday(open_ns: IntArray, numbers: Mapping[str, FloatArray], request: Request) -> Columns:
    """Rows at the opens of the calendar's bars. A newest row at another time is a quote."""
    kept = len(open_ns)
    if kept and not scheduled_close(open_ns[-1:], request.timeframe, request.sessions).any():
        kept -= 1
    rows = slice(0, kept)
    columns = _columns(request, open_ns[rows], open_ns[rows], numbers, rows)
    columns.drop_gaps()
    columns.place(request.sessions)
    return columns


def _by_date(seconds: IntArray, numbers: Mapping[str, FloatArray], request: Request, zone: ZoneInfo) -> Columns:
    days = np.array([_day(int(one), zone) for one in seconds], np.int64)
    has_own_days = request.timeframe.nominal_ns == DAY_NS and request.sessions.name == "fx" and zone.key != NEW_YORK
    bars, absent = request.sessions.of_days(days, request.timeframe)
    open_ns, close_ns = bars.open_ns, bars.close_ns
    if has_own_days:
        open_ns, close_ns = _midnights(days, zone), _midnights(days + 1, zone)
    columns = _columns(request, open_ns, close_ns, numbers, slice(None))
    on_schedule = np.ones(len(days), np.bool_)
    on_schedule[absent] = False
    on_schedule[_quotes_of_a_day_before(days)] = False
    columns.keep(on_schedule, OFF_SCHEDULE)
    columns.drop_gaps()
    return columns


def _quotes_of_a_day_before(days: IntArray) -> Sequence[int]:
    """The newest row, where the row before it has its date: a quote beside the bar."""
    return [len(days) - 1] if len(days) > 1 and days[-1] == days[-2] else []


def _day(second: int, zone: ZoneInfo) -> int:
    return datetime.fromtimestamp(second, zone).date().toordinal() - _EPOCH


def _midnights(days: IntArray, zone: ZoneInfo) -> IntArray:
    return np.array([_midnight(int(day), zone) for day in days], np.int64)


def _midnight(day: int, zone: ZoneInfo) -> int:
    local = datetime.combine(date(1970, 1, 1) + timedelta(days=day), time(0), zone)
    return round(local.timestamp()) * SECOND_NS
