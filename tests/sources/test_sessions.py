"""Calendars at the edge: facts written by hand, walks minute by minute, the calendar library, and real bars."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gnomon.clock import Timeframe, iso, parse_instant
from gnomon.errors import Invalid, NotFound, Unavailable
from gnomon.market.calendar import Bars
from gnomon.sources.sessions import load_sessions, stamp_zone_of
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS

NEW_YORK = ZoneInfo("America/New_York")
HOUR, DAY, WEEK, MONTH = (Timeframe.parse(text) for text in ("1h", "1d", "1w", "1mo"))


def new_york(text: str) -> int:
    """Nanoseconds UTC of a date and time on the clocks of New York."""
    return int(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * 10**9


def minutes(first: str, last: str) -> Iterator[datetime]:
    """Every minute of New York's days from `first` to `last`, in the order of real time."""
    at = new_york(first)
    while at < new_york(last):
        yield datetime.fromtimestamp(at // 10**9, NEW_YORK)
        at += MINUTE_NS


def walk(first: str, last: str, is_open: Callable[[datetime], bool]) -> list[tuple[int, int]]:
    """Stretches of open minutes, found by looking at each minute."""
    stretches: list[tuple[int, int]] = []
    for minute in minutes(first, last):
        at_ns = int(minute.timestamp()) * 10**9
        if is_open(minute):
            if stretches and stretches[-1][1] == at_ns:
                stretches[-1] = (stretches[-1][0], at_ns + MINUTE_NS)
            else:
                stretches.append((at_ns, at_ns + MINUTE_NS))
    return stretches


def cut(stretches: list[tuple[int, int]], length_ns: int) -> list[tuple[int, int]]:
    return [
        (at, min(at + length_ns, closed)) for opened, closed in stretches for at in range(opened, closed, length_ns)
    ]


def pairs(bars: Bars) -> list[tuple[int, int]]:
    return list(zip(bars.open_ns.tolist(), bars.close_ns.tolist(), strict=True))


# --- minute by minute -------------------------------------------------------------------------------------------------

NYSE_HOLIDAYS = {"2025-06-19", "2025-07-04", "2025-09-01", "2025-11-27", "2025-12-25", "2026-01-01"}
NYSE_EARLY = {"2025-07-03", "2025-11-28", "2025-12-24"}


def nyse_is_open(at: datetime) -> bool:
    if at.weekday() > 4 or at.date().isoformat() in NYSE_HOLIDAYS:
        return False
    return time(9, 30) <= at.time() < (time(13) if at.date().isoformat() in NYSE_EARLY else time(16))


def fx_is_open(at: datetime) -> bool:
    return (
        (at.weekday() == 6 and at.time() >= time(17))
        or at.weekday() < 4
        or (at.weekday() == 4 and at.time() < time(17))
    )


def cme_is_open(at: datetime) -> bool:
    if at.weekday() == 6:
        return at.time() >= time(18)
    return not time(17) <= at.time() < time(18) and (at.weekday() < 4 or (at.weekday() == 4 and at.time() < time(17)))


@pytest.mark.parametrize(
    ("calendar", "first", "last", "is_open"),
    [
        ("nyse", "2025-06-16", "2025-07-08", nyse_is_open),
        ("nyse", "2025-10-27", "2025-11-08", nyse_is_open),
        ("nyse", "2025-11-24", "2026-01-06", nyse_is_open),
        ("fx", "2025-03-02", "2025-03-16", fx_is_open),
        ("fx", "2025-10-26", "2025-11-09", fx_is_open),
        ("cme", "2025-03-02", "2025-03-16", cme_is_open),
        ("cme", "2025-10-26", "2025-11-09", cme_is_open),
    ],
)
def test_bars_are_those_of_a_walk_minute_by_minute(
    calendar: str, first: str, last: str, is_open: Callable[[datetime], bool]
) -> None:
    sessions, stretches = load_sessions(calendar), walk(first, last, is_open)
    if calendar == "fx":  # open without a break from Sunday to Friday, but dated anew at 17:00
        stretches = cut(stretches, DAY_NS)
    assert pairs(sessions.between(DAY, new_york(first), new_york(last))) == stretches
    for timeframe in (Timeframe.parse(text) for text in ("5m", "1h", "4h")):
        bars = sessions.between(timeframe, new_york(first), new_york(last))
        assert pairs(bars) == cut(stretches, timeframe.nominal_ns)


def test_a_calendar_that_never_closes_has_an_hour_every_hour() -> None:
    hours = load_sessions("always").between(HOUR, parse_instant("2025-03-08"), parse_instant("2025-03-11"))
    assert pairs(hours) == cut([(parse_instant("2025-03-08"), parse_instant("2025-03-11"))], HOUR_NS)


# --- facts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("calendar", "friday", "next_friday"),
    [
        ("nyse", "2025-05-09T16:00", "2025-05-16T16:00"),
        ("fx", "2025-05-09T17:00", "2025-05-16T17:00"),
        ("cme", "2025-05-09T17:00", "2025-05-16T17:00"),
        ("fx", "2025-03-07T17:00", "2025-03-14T17:00"),
        ("nyse", "2025-10-31T16:00", "2025-11-07T16:00"),
    ],
)
def test_the_fifth_daily_step_of_friday_is_next_friday(calendar: str, friday: str, next_friday: str) -> None:
    sessions = load_sessions(calendar)
    cutoff_ns = sessions.newest_closed_ns(DAY, new_york(friday) + 30 * HOUR_NS)
    assert cutoff_ns == new_york(friday)
    assert sessions.future(DAY, cutoff_ns, 5).close_ns[-1] == new_york(next_friday)


def test_the_first_hour_after_the_weekend_follows_fridays_last() -> None:
    fx, nyse, cme, always = (load_sessions(name) for name in ("fx", "nyse", "cme", "always"))
    assert fx.future(HOUR, new_york("2025-03-07T17:00"), 1).open_ns[0] == new_york("2025-03-09T17:00")
    assert iso(int(fx.future(HOUR, new_york("2025-03-07T17:00"), 1).open_ns[0])) == "2025-03-09T21:00:00Z"
    assert iso(int(fx.future(HOUR, new_york("2025-10-31T17:00"), 1).open_ns[0])) == "2025-11-02T22:00:00Z"
    assert nyse.future(HOUR, new_york("2025-03-07T16:00"), 1).open_ns[0] == new_york("2025-03-10T09:30")
    assert cme.future(HOUR, new_york("2025-03-07T17:00"), 1).open_ns[0] == new_york("2025-03-09T18:00")
    assert cme.future(HOUR, new_york("2025-03-10T17:00"), 1).open_ns[0] == new_york("2025-03-10T18:00")
    assert always.future(HOUR, parse_instant("2025-03-07T21:00"), 1).open_ns[0] == parse_instant("2025-03-07T21:00")


@pytest.mark.parametrize(
    "holiday", ["2025-01-09", "2025-06-19", "2025-07-04", "2025-09-01", "2025-11-27", "2025-04-18"]
)
def test_new_york_rests_on_its_holidays(holiday: str) -> None:
    nyse = load_sessions("nyse")
    assert not len(nyse.between(HOUR, new_york(holiday), new_york(holiday) + DAY_NS))
    _, absent = nyse.of_days(np.array([date.fromisoformat(holiday).toordinal() - date(1970, 1, 1).toordinal()]))
    assert absent.tolist() == [0]


@pytest.mark.parametrize("day", ["2025-07-03", "2025-11-28", "2025-12-24"])
def test_an_early_close_ends_the_last_hour_and_the_day(day: str) -> None:
    nyse = load_sessions("nyse")
    hours = nyse.between(HOUR, new_york(day), new_york(day) + DAY_NS)
    assert pairs(hours) == [
        (new_york(f"{day}T{a}"), new_york(f"{day}T{b}"))
        for a, b in (("09:30", "10:30"), ("10:30", "11:30"), ("11:30", "12:30"), ("12:30", "13:00"))
    ]
    assert nyse.newest_closed_ns(DAY, new_york(f"{day}T13:00")) == new_york(f"{day}T13:00")
    assert nyse.newest_closed_ns(DAY, new_york(f"{day}T13:00") - 1) < new_york(day)


def test_the_last_hour_of_an_ordinary_session_lasts_half_an_hour() -> None:
    hours = load_sessions("nyse").between(HOUR, new_york("2025-05-07"), new_york("2025-05-08"))
    assert [int(b - a) // MINUTE_NS for a, b in pairs(hours)] == [60] * 6 + [30]
    assert pairs(hours)[-1] == (new_york("2025-05-07T15:30"), new_york("2025-05-07T16:00"))


@pytest.mark.parametrize(
    ("closed", "reopens"), [("2025-04-17T17:00", "2025-04-20T18:00"), ("2025-12-24T13:00", "2025-12-25T18:00")]
)
def test_globex_rests_on_good_friday_and_christmas(closed: str, reopens: str) -> None:
    cme = load_sessions("cme")
    assert cme.newest_closed_ns(DAY, new_york(reopens)) == new_york(closed)
    assert cme.future(DAY, new_york(closed), 1).open_ns[0] == new_york(reopens)


def test_globex_closes_at_noon_of_chicago_on_thanksgiving() -> None:
    days = load_sessions("cme").between(DAY, new_york("2025-11-26T18:00"), new_york("2025-11-29"))
    assert pairs(days) == [
        (new_york("2025-11-26T18:00"), new_york("2025-11-27T13:00")),
        (new_york("2025-11-27T18:00"), new_york("2025-11-28T13:00")),
    ]


@pytest.mark.parametrize(
    ("calendar", "opens", "closes"),
    [
        ("nyse", "2025-06-30T09:30", "2025-07-03T13:00"),
        ("fx", "2025-06-29T17:00", "2025-07-04T17:00"),
        ("cme", "2025-06-29T18:00", "2025-07-04T13:00"),
    ],
)
def test_a_week_runs_from_its_first_open_to_its_last_close(calendar: str, opens: str, closes: str) -> None:
    weeks = load_sessions(calendar).between(WEEK, new_york("2025-06-28"), new_york("2025-07-05"))
    assert pairs(weeks) == [(new_york(opens), new_york(closes))]


def test_months_belong_to_the_dates_of_their_sessions() -> None:
    month = load_sessions("nyse").future(MONTH, new_york("2025-05-30T16:00"), 1)
    assert pairs(month) == [(new_york("2025-06-02T09:30"), new_york("2025-06-30T16:00"))]
    month = load_sessions("fx").future(MONTH, new_york("2025-05-30T17:00"), 1)
    assert pairs(month) == [(new_york("2025-06-01T17:00"), new_york("2025-06-30T17:00"))]
    month = load_sessions("always").future(MONTH, parse_instant("2025-05-20"), 1)
    assert pairs(month) == [(parse_instant("2025-06-01"), parse_instant("2025-07-01"))]


# --- the clock on the wall --------------------------------------------------------------------------------------------


def hours_on_the_wall(calendar: str, first: str, last: str, zone: str | None = None) -> set[tuple[int, int]]:
    sessions = load_sessions(calendar, zone) if zone else load_sessions(calendar)
    opens = sessions.between(HOUR, parse_instant(first), parse_instant(last)).open_ns
    return {(int(at % DAY_NS // HOUR_NS), int(at % HOUR_NS // MINUTE_NS)) for at in sessions.local_ns(opens)}


def test_stamps_of_shares_and_futures_are_those_of_new_york() -> None:
    session = {(hour, 30) for hour in range(9, 16)}
    assert hours_on_the_wall("nyse", "2025-03-03", "2025-03-15") == session
    assert hours_on_the_wall("nyse", "2025-10-27", "2025-11-08") == session
    assert (17, 0) not in hours_on_the_wall("cme", "2025-03-03", "2025-03-15")


def test_stamps_of_crypto_and_currencies_are_utc() -> None:
    for calendar in ("always", "fx"):
        sessions = load_sessions(calendar)
        assert not sessions.offset_ns.any()


def test_stamps_elsewhere_are_local_unless_another_zone_is_asked_for() -> None:
    assert hours_on_the_wall("XSHG", "2025-03-03", "2025-03-08") == {(9, 30), (10, 30), (13, 0), (14, 0)}
    assert hours_on_the_wall("XSHG", "2025-03-03", "2025-03-08", "UTC") == {(1, 30), (2, 30), (5, 0), (6, 0)}
    assert hours_on_the_wall("nyse", "2025-03-10", "2025-03-11", "UTC") == {(hour, 30) for hour in range(13, 20)}


def test_every_calendar_names_its_own_zone() -> None:
    zones = {name: stamp_zone_of(name) for name in ("always", "FX", "cme", "nyse", "xshg")}
    assert list(zones.values()) == ["UTC", "UTC", "America/New_York", "America/New_York", "Asia/Shanghai"]
    with pytest.raises(NotFound):
        stamp_zone_of("nowhere")


def test_offsets_are_those_of_the_zone_at_each_open() -> None:
    nyse = load_sessions("nyse")
    for index in range(0, len(nyse.day), 97):
        at = datetime.fromtimestamp(int(nyse.open_ns[index]) // 10**9, NEW_YORK)
        assert timedelta(microseconds=int(nyse.offset_ns[index]) // 1000) == at.utcoffset()
        assert at.date().toordinal() - date(1970, 1, 1).toordinal() == nyse.day[index]


# --- the library ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "code"), [("nyse", "XNYS"), ("XSHG", "XSHG"), ("xhkg", "XHKG"), ("XLON", "XLON")])
def test_sessions_are_those_of_the_calendar_library(name: str, code: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library is behind the newest pandas
        import exchange_calendars

        schedule = exchange_calendars.get_calendar(code, start="2012-01-01", end="2026-12-31").schedule
    sessions, expected = load_sessions(name), []
    for row in schedule.itertuples():
        times = (
            [row.open, row.close]
            if str(row.break_start) == "NaT"
            else [row.open, row.break_start, row.break_end, row.close]
        )
        stamps = [int(at.timestamp()) * 10**9 for at in times]
        expected += list(zip(stamps[::2], stamps[1::2], strict=True))
    inside = (sessions.open_ns >= expected[0][0]) & (sessions.close_ns <= expected[-1][1])
    assert pairs(Bars(sessions.open_ns[inside], sessions.close_ns[inside])) == expected


def test_futures_have_the_holidays_of_the_calendar_library() -> None:
    cme, library = load_sessions("cme"), load_sessions("CMES")
    assert np.array_equal(cme.open_ns, library.open_ns)
    assert set(((library.close_ns - cme.close_ns) // HOUR_NS).tolist()) == {0, 1}
    assert set(((cme.close_ns - cme.open_ns) // HOUR_NS).tolist()) == {19, 23}


@pytest.mark.parametrize("calendar", ["always", "fx", "cme", "nyse", "XLON", "24/7", "us_futures", "XTKS"])
def test_the_range_is_fixed_and_long_enough(calendar: str) -> None:
    sessions = load_sessions(calendar)
    assert sessions.open_ns[0] < parse_instant("2004-08-19")
    assert parse_instant("2039-12-30") < sessions.close_ns[-1] <= parse_instant("2040-01-01")


def test_the_range_ends_where_holidays_are_no_longer_known() -> None:
    assert load_sessions("XSHG").close_ns[-1] >= parse_instant("2026-12-31T07:00")
    with pytest.raises(Invalid, match="ends at"):
        load_sessions("XSHG").future(DAY, parse_instant("2026-06-30T07:00"), 400)


# --- names ------------------------------------------------------------------------------------------------------------


def test_names_ignore_case_and_give_the_same_object() -> None:
    assert load_sessions("NYSE") is load_sessions("nyse")
    assert load_sessions(" Fx ") is load_sessions("fx")
    assert load_sessions("xshg") is load_sessions("XSHG")
    assert load_sessions("nyse", "America/New_York") is load_sessions("nyse")


@pytest.mark.parametrize(("name", "near"), [("nyze", "NYSE"), ("alway", "always"), ("XSHGG", "XSHG")])
def test_an_unknown_calendar_is_answered_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(NotFound, match="no calendar") as caught:
        load_sessions(name)
    assert near.lower() in [one.lower() for one in caught.value.detail["nearest"]]


def test_a_name_near_to_none_is_answered_with_examples() -> None:
    with pytest.raises(NotFound) as caught:
        load_sessions("")
    assert "always" in caught.value.hint


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "America"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(Invalid, match="no time zone"):
        load_sessions("fx", zone)


def test_a_calendar_that_the_library_fails_to_compute_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    import exchange_calendars

    def broken(*_: object, **__: object) -> None:
        raise NotImplementedError("broken")

    monkeypatch.setattr(exchange_calendars, "get_calendar", broken)
    with pytest.raises(Unavailable, match="cannot compute calendar XICE: broken"):
        load_sessions("XICE")


def test_our_own_calendars_need_no_pandas_and_load_at_once() -> None:
    script = """
import json, sys, time
from gnomon.sources.sessions import load_sessions
began = time.process_time()
load_sessions("always"), load_sessions("fx")
print(json.dumps([time.process_time() - began, "pandas" in sys.modules, "exchange_calendars" in sys.modules]))
"""
    output = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=600
    ).stdout
    seconds, pandas, library = json.loads(output)
    assert (pandas, library) == (False, False)
    assert seconds < 1.0


# --- real bars --------------------------------------------------------------------------------------------------------


def rows_of(path: Path) -> list[list[str]]:
    with path.open() as file:
        return list(csv.reader(file))[1:]


def test_every_five_minutes_of_shanghai_are_on_schedule(shared: Path) -> None:
    rows = rows_of(shared / "data/kronos_5m/XSHG_5min_600977.csv")
    closes = [parse_instant(f"{row[0]}+08:00") for row in rows]
    scheduled = load_sessions("XSHG").between(Timeframe.parse("5m"), closes[0] - 5 * MINUTE_NS, closes[-1])
    assert scheduled.close_ns.tolist() == closes


def test_real_hours_of_currencies_are_on_schedule(shared: Path) -> None:
    opens = np.array([parse_instant(row[0]) for row in rows_of(shared / "data/backtesting_py/EURUSD.csv")])
    scheduled = load_sessions("fx").between(HOUR, int(opens[0]), int(opens[-1]) + HOUR_NS).open_ns
    late = opens[~np.isin(opens, scheduled)]  # two stray bars of the source, in the hour after Friday's close
    assert [iso(int(at)) for at in late] == ["2017-10-06T21:00:00Z", "2017-10-20T21:00:00Z"]
    absent = scheduled[~np.isin(scheduled, opens)]  # the calendar has no holidays: Christmas and New Year are gaps
    assert {iso(int(at + 2 * HOUR_NS))[:10] for at in absent} == {"2017-12-25", "2018-01-01"}
    assert len(absent) == 48


def test_real_days_of_shares_are_on_schedule(shared: Path) -> None:
    google = [row[0] for row in rows_of(shared / "data/backtesting_py/GOOG.csv")]
    apple = json.loads((shared / "data/nasdaq100/daily_raw/daily_prices_AAPL.json").read_text())
    for days in (google, sorted(apple["Time Series (Daily)"])):
        numbers = np.array([parse_instant(day) // DAY_NS for day in days])
        _, absent = load_sessions("nyse").of_days(numbers)
        assert not len(absent)
        sessions = load_sessions("nyse").day
        assert np.array_equal(sessions[(sessions >= numbers[0]) & (sessions <= numbers[-1])], numbers)
