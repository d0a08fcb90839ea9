"""Trading calendars, computed at the edge: `load_sessions("nyse")` answers with the values the pure packages use.

| name     | sessions                                                              | stamp zone |
|----------|-----------------------------------------------------------------------|------------|
| `always` | one a UTC day, without end                                            | UTC        |
| `fx`     | Sunday 17:00 to Friday 17:00 New York, one a trading day, no holidays | UTC        |
| `cme`    | 18:00 to 17:00 New York, Sunday to Friday, holidays and early closes of CME Globex | New York |
| `nyse`   | 09:30 to 16:00 New York, holidays and early closes                    | New York   |
| any code of `exchange_calendars` | its own; a lunch break makes two entries of one day | its own |

The range is the same whatever the day of the call: 1990 to 2039, less where a calendar's holidays are not known so far.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import date, datetime, time
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from gnomon.errors import Invalid, NotFound, Unavailable, nearest
from gnomon.market.calendar import Sessions, always
from gnomon.units import DAY_NS, HOUR_NS, SECOND_NS, IntArray

FIRST_DATE: Final = date(1990, 1, 1)
LAST_DATE: Final = date(2039, 12, 31)
NEW_YORK: Final = "America/New_York"

_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_FIRST_DAY: Final = FIRST_DATE.toordinal() - _EPOCH_ORDINAL
_LAST_DAY: Final = LAST_DATE.toordinal() - _EPOCH_ORDINAL
_CME_SESSION_NS: Final = 23 * HOUR_NS


def load_sessions(calendar: str, stamp_zone: str | None = None) -> Sessions:
    """The sessions of a calendar by name, case ignored; the same object for the same arguments.

    `stamp_zone` is the zone of the clock on the wall (`Sessions.offset_ns`); by default the calendar's, see the table.
    Raises `NotFound` for an unknown calendar, `Invalid` for an unknown zone, and `Unavailable` where the calendar
    library knows the name but fails to compute it.
    """
    name = calendar.strip().lower()
    return _load(name, stamp_zone or _STAMP_ZONES.get(name, ""))


@cache
def stamp_zone_of(calendar: str) -> str:
    """The IANA name of a calendar's own zone (see the table). Raises as `load_sessions` does."""
    name = calendar.strip().lower()
    return _STAMP_ZONES.get(name) or str(_compute(_code(name)).tz.key)


@cache
def _load(name: str, stamp_zone: str) -> Sessions:
    zone = _zone(stamp_zone) if stamp_zone else None
    if name in _OURS:
        sessions, own_zone = _OURS[name](), None
    else:
        sessions, own_zone = _exchange(name)
    wall = zone or own_zone
    assert wall is not None
    return Sessions(sessions.name, sessions.open_ns, sessions.close_ns, sessions.day, _offsets(sessions.open_ns, wall))


# --- our own rules --------------------------------------------------------------------------------------------------


def _always() -> Sessions:
    return always(_FIRST_DAY, _LAST_DAY)


def _fx() -> Sessions:
    """A session is dated by its close: the one that opens on Sunday at 17:00 is Monday's."""
    day = np.arange(_FIRST_DAY - 1, _LAST_DAY + 1, dtype=np.int64)
    five_pm_ns = day * DAY_NS + 17 * HOUR_NS - _offsets_of_local(day, time(17), ZoneInfo(NEW_YORK))
    trading = np.flatnonzero((day[1:] + 3) % 7 < 5) + 1  # 1970-01-01 was a Thursday: 0 is Monday
    return _without_stamps("fx", five_pm_ns[trading - 1], five_pm_ns[trading], day[trading])


def _cme() -> Sessions:
    """Globex: the calendar library lets each session run to the next one's open; the hour's break is taken off here."""
    open_ns, close_ns, day, _ = _schedule("CMES")
    return _without_stamps("cme", open_ns, np.minimum(close_ns, open_ns + _CME_SESSION_NS), day)


def _nyse() -> Sessions:
    open_ns, close_ns, day, _ = _schedule("XNYS")
    return _without_stamps("nyse", open_ns, close_ns, day)


_OURS: Final[dict[str, Callable[[], Sessions]]] = {"always": _always, "fx": _fx, "cme": _cme, "nyse": _nyse}
_STAMP_ZONES: Final = {"always": "UTC", "fx": "UTC", "cme": NEW_YORK, "nyse": NEW_YORK}


# --- exchange_calendars ---------------------------------------------------------------------------------------------


def _exchange(name: str) -> tuple[Sessions, ZoneInfo]:
    code = _code(name)
    open_ns, close_ns, day, zone = _schedule(code)
    return _without_stamps(code, open_ns, close_ns, day), zone


def _code(name: str) -> str:
    import exchange_calendars  # costs a second: loaded only where it is needed

    codes = {str(code).lower(): str(code) for code in exchange_calendars.get_calendar_names(include_aliases=True)}
    if name in codes:
        return str(exchange_calendars.resolve_alias(codes[name]))
    close = nearest(name, [*_OURS, *codes.values()])
    raise NotFound(
        f"no calendar {name!r}",
        hint=f"did you mean {', '.join(close)}?" if close else f"{', '.join(_OURS)} or an exchange code such as XSHG",
        detail={"nearest": close},
    )


def _schedule(code: str) -> tuple[IntArray, IntArray, IntArray, ZoneInfo]:
    """Opens, closes, dates (days since 1970-01-01) and the zone of an exchange; a break cuts a session in two."""
    calendar = _compute(code)
    open_ns, close_ns = _int64(calendar.opens_nanos), _int64(calendar.closes_nanos)
    pause_ns, resume_ns = _int64(calendar.break_starts_nanos), _int64(calendar.break_ends_nanos)
    day = calendar.sessions.to_numpy().astype("datetime64[D]").astype(np.int64)
    cut = pause_ns != np.iinfo(np.int64).min  # a day without a break has no time here (NaT)
    opens = np.concatenate([open_ns, resume_ns[cut]])
    closes = np.concatenate([np.where(cut, pause_ns, close_ns), close_ns[cut]])
    order = np.argsort(opens, kind="stable")
    return opens[order], closes[order], np.concatenate([day, day[cut]])[order], calendar.tz


def _compute(code: str) -> Any:
    """The library's calendar over our range, or over as much of it as the library vouches for."""
    import exchange_calendars

    with warnings.catch_warnings():  # the library is behind the newest pandas; its warnings are not for our users
        warnings.simplefilter("ignore")
        try:
            try:
                return exchange_calendars.get_calendar(code, start=str(FIRST_DATE), end=str(LAST_DATE))
            except ValueError:
                known = exchange_calendars.get_calendar(code)
                first, last = known.bound_min(), known.bound_max()
                start = FIRST_DATE if first is None else max(FIRST_DATE, first.date())
                end = LAST_DATE if last is None else min(LAST_DATE, last.date())
                return exchange_calendars.get_calendar(code, start=str(start), end=str(end))
        except Exception as error:
            raise Unavailable(
                f"exchange_calendars {exchange_calendars.__version__} cannot compute calendar {code}: {error}",
                hint="use another calendar, or another version of exchange_calendars",
            ) from error


def _int64(nanos: Any) -> IntArray:
    return np.asarray(nanos, dtype=np.int64)


# --- zones ----------------------------------------------------------------------------------------------------------


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Invalid(f"no time zone {name!r}", hint="an IANA name such as UTC or America/New_York") from None


def _without_stamps(name: str, open_ns: IntArray, close_ns: IntArray, day: IntArray) -> Sessions:
    return Sessions(name, open_ns, close_ns, day, np.zeros_like(day))


def _offsets(at_ns: IntArray, zone: ZoneInfo) -> IntArray:
    """What is added to UTC at each instant to read the clock on the wall."""
    if zone.key == "UTC":
        return np.zeros_like(at_ns)
    seconds = (datetime.fromtimestamp(int(at) // SECOND_NS, zone).utcoffset() for at in at_ns)
    return np.fromiter((_seconds(offset) for offset in seconds), np.int64, len(at_ns)) * SECOND_NS


def _offsets_of_local(day: IntArray, clock_time: time, zone: ZoneInfo) -> IntArray:
    """The offset in force on each date when the clock on the wall reads `clock_time`."""
    dates = (date.fromordinal(_EPOCH_ORDINAL + int(one)) for one in day)
    offsets = (datetime.combine(one, clock_time, zone).utcoffset() for one in dates)
    return np.fromiter((_seconds(offset) for offset in offsets), np.int64, len(day)) * SECOND_NS


def _seconds(offset: Any) -> int:
    return int(offset.total_seconds())
