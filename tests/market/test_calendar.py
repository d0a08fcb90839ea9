"""Sessions against a list of bars made by a slow loop, over random calendars."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.clock import Timeframe, iso, parse_instant
from gnomon.errors import Invalid
from gnomon.market.calendar import Bars, Hours, Sessions, always
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

TIMEFRAMES = [
    Timeframe.parse(text) for text in ("3m", "7m", "1h", "4h", "13h", "1d", "2d", "3d", "1w", "2w", "1mo", "3mo")
]
NaiveBars = list[tuple[int, int]]


def naive_bars(sessions: Sessions, timeframe: Timeframe) -> NaiveBars:
    """Every bar of a calendar, by loops over sessions and days alone."""
    parts = list(zip(sessions.open_ns.tolist(), sessions.close_ns.tolist(), sessions.day.tolist(), strict=True))
    found: NaiveBars = []
    if timeframe.is_intraday:
        for opened, closed, _ in parts:
            while opened < closed:
                found.append((opened, min(opened + timeframe.nominal_ns, closed)))
                opened += timeframe.nominal_ns
        return found
    groups: dict[object, NaiveBars] = {}
    for opened, closed, day in parts:
        groups.setdefault(naive_group(day, timeframe), []).append((opened, closed))
    for outside in (naive_group(parts[0][2] - 1, timeframe), naive_group(parts[-1][2] + 1, timeframe)):
        groups.pop(outside, None)  # the calendar may have cut this one short
    return [(group[0][0], group[-1][1]) for group in groups.values()]


def naive_group(day: int, timeframe: Timeframe) -> object:
    when = date(1970, 1, 1) + timedelta(days=day)
    if timeframe.unit == "mo":
        return (when.year * 12 + when.month - 1) // timeframe.count
    if timeframe.unit == "w":
        monday = when - timedelta(days=when.weekday())
        return (monday - date(1969, 12, 29)).days // (7 * timeframe.count)
    return day // timeframe.count


@st.composite
def calendars(draw: st.DrawFn) -> Sessions:
    """A few sessions of minutes to hours, with closed days and lunch breaks between."""
    day, opens, closes, days = draw(st.integers(19_000, 19_040)), [], [], []
    for _ in range(draw(st.integers(1, 12))):
        first = draw(st.integers(0, 600))
        length, pause, rest = draw(st.integers(1, 400)), draw(st.integers(0, 60)), draw(st.integers(0, 300))
        base = day * DAY_NS + first * MINUTE_NS
        opens.append(base)
        closes.append(base + length * MINUTE_NS)
        days.append(day)
        if rest:
            opens.append(closes[-1] + pause * MINUTE_NS)
            closes.append(opens[-1] + rest * MINUTE_NS)
            days.append(day)
        day += draw(st.sampled_from([1, 1, 1, 2, 3, 9, 30]))
    arrays = [np.array(one, np.int64) for one in (opens, closes, days, [0] * len(days))]
    return Sessions("random", *arrays)


@st.composite
def moments(draw: st.DrawFn) -> tuple[Sessions, Timeframe, int]:
    """A calendar, a timeframe, and an instant that likes to fall on an edge."""
    sessions, timeframe = draw(calendars()), draw(st.sampled_from(TIMEFRAMES))
    first_ns, last_ns = int(sessions.open_ns[0]), int(sessions.close_ns[-1])
    edges = [edge for bar in naive_bars(sessions, timeframe)[:400] for edge in bar]
    anywhere = st.integers(first_ns, last_ns)
    at_ns = draw(st.one_of(anywhere, st.sampled_from(edges)) if edges else anywhere)
    return sessions, timeframe, min(max(at_ns + draw(st.sampled_from([0, 0, -1, 1])), first_ns), last_ns)


def pairs(bars: Bars) -> NaiveBars:
    return list(zip(bars.open_ns.tolist(), bars.close_ns.tolist(), strict=True))


@settings(max_examples=150, deadline=None)
@given(moments())
def test_the_newest_closed_bar_is_the_last_one_of_a_slow_list(moment: tuple[Sessions, Timeframe, int]) -> None:
    sessions, timeframe, at_ns = moment
    closed = [closed for _, closed in naive_bars(sessions, timeframe) if closed <= at_ns]
    if closed:
        assert sessions.newest_closed_ns(timeframe, at_ns) == closed[-1]
    else:
        with pytest.raises(Invalid, match="no bar of calendar random has closed"):
            sessions.newest_closed_ns(timeframe, at_ns)


@settings(max_examples=150, deadline=None)
@given(moments(), st.integers(1, 60))
def test_the_future_is_what_a_slow_list_says_comes_next(moment: tuple[Sessions, Timeframe, int], horizon: int) -> None:
    sessions, timeframe, at_ns = moment
    coming = [bar for bar in naive_bars(sessions, timeframe) if bar[0] >= at_ns]
    if len(coming) >= horizon:
        assert pairs(sessions.future(timeframe, at_ns, horizon)) == coming[:horizon]
    else:
        with pytest.raises(Invalid, match="ends at"):
            sessions.future(timeframe, at_ns, horizon)


@settings(max_examples=150, deadline=None)
@given(moments(), st.integers(-600, 60_000))
def test_the_bars_between_are_those_of_a_slow_list(moment: tuple[Sessions, Timeframe, int], minutes: int) -> None:
    sessions, timeframe, first_ns = moment
    last_ns = first_ns + minutes * MINUTE_NS
    expected = [bar for bar in naive_bars(sessions, timeframe) if bar[0] >= first_ns and bar[1] <= last_ns]
    assert pairs(sessions.between(timeframe, first_ns, last_ns)) == expected


@settings(deadline=None)
@given(calendars(), st.integers(-3, 60))
def test_days_are_found_by_their_date(sessions: Sessions, shift: int) -> None:
    days = np.arange(sessions.day[0] - 3, sessions.day[0] + shift + 4)
    bars, absent = sessions.of_days(days)
    known = dict(zip(sorted(set(sessions.day.tolist())), naive_bars(sessions, ONE_DAY), strict=True))
    assert absent.tolist() == [index for index, day in enumerate(days.tolist()) if day not in known]
    for index, day in enumerate(days.tolist()):
        if day in known:
            assert (bars.open_ns[index], bars.close_ns[index]) == known[day]


@settings(deadline=None)
@given(calendars(), st.sampled_from(TIMEFRAMES))
def test_ordinary_days_hold_the_median_number_of_bars(sessions: Sessions, timeframe: Timeframe) -> None:
    bars = naive_bars(sessions, timeframe)
    days = sorted(set(sessions.day.tolist()))
    if timeframe.is_intraday:
        whole = dict(zip(days, naive_bars(sessions, ONE_DAY), strict=True))
        a_day = [sum(whole[day][0] <= opened < whole[day][1] for opened, _ in bars) for day in days]
        assert sessions.bars_in_sessions(timeframe, 5) == 5 * int(np.median(a_day))
    else:
        assert sessions.bars_in_sessions(timeframe, 5) == max(1, round(5 * len(bars) / len(days)))


ONE_DAY, ONE_HOUR = Timeframe.parse("1d"), Timeframe.parse("1h")


@pytest.mark.parametrize("timeframe", TIMEFRAMES, ids=str)
def test_every_quarter_of_an_hour_of_six_weeks_agrees_with_the_slow_list(timeframe: Timeframe) -> None:
    """No luck needed: long sessions that touch, short ones with a break, closed days."""
    opens = [18_993 * DAY_NS]
    lengths = [24, 24, 6, 2, 1, 9, 3.5, 0.5, 7, 13, 2.25] * 3
    pauses = [0, 0, 30, 1, 22, 60, 0.75, 100, 12, 20, 15] * 3
    for length, pause in zip(lengths, pauses, strict=True):
        opens.append(opens[-1] + int((length + pause) * HOUR_NS))
    start_ns = np.array(opens[:-1])
    close_ns = start_ns + (np.array(lengths) * HOUR_NS).astype(np.int64)
    sessions = Sessions("six weeks", start_ns, close_ns, start_ns // DAY_NS, np.zeros(len(start_ns), np.int64))
    bars = naive_bars(sessions, timeframe)
    starts, closes = [opened for opened, _ in bars], [closed for _, closed in bars]
    for at_ns in range(opens[0], int(close_ns[-1]), 15 * MINUTE_NS):
        closed = bisect_right(closes, at_ns)
        if closed:
            assert sessions.newest_closed_ns(timeframe, at_ns) == closes[closed - 1]
        coming = bars[bisect_left(starts, at_ns) :][:3]
        if len(coming) == 3:
            assert pairs(sessions.future(timeframe, at_ns, 3)) == coming


def test_a_lunch_break_cuts_a_session_but_not_its_day() -> None:
    nine, day = 9 * HOUR_NS, np.array([0, 0, 1, 1])
    opens = np.array([nine, nine + 4 * HOUR_NS]).repeat(1)
    opens = np.concatenate([opens, opens + DAY_NS])
    sessions = Sessions("lunch", opens, opens + 150 * MINUTE_NS, day, np.zeros(4, np.int64))
    assert pairs(sessions.between(ONE_DAY, 0, 2 * DAY_NS)) == [
        (nine, nine + 390 * MINUTE_NS),
        (nine + DAY_NS, nine + DAY_NS + 390 * MINUTE_NS),
    ]
    hours = sessions.between(ONE_HOUR, 0, DAY_NS)
    assert [(int(a) - nine) // MINUTE_NS for a in hours.open_ns] == [0, 60, 120, 240, 300, 360]
    assert [int(b - a) // MINUTE_NS for a, b in pairs(hours)] == [60, 60, 30, 60, 60, 30]
    assert sessions.newest_closed_ns(ONE_HOUR, nine + 200 * MINUTE_NS) == nine + 150 * MINUTE_NS
    assert sessions.bars_in_sessions(ONE_HOUR, 5) == 30
    assert sessions.bars_in_sessions(ONE_DAY, 5) == 5


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    sessions = always(parse_instant("2024-01-01") // DAY_NS, parse_instant("2025-01-01") // DAY_NS)
    week = sessions.future(Timeframe.parse("1w"), parse_instant("2024-05-01"), 1)
    assert pairs(week) == [(parse_instant("2024-05-06"), parse_instant("2024-05-13"))]
    month = sessions.future(Timeframe.parse("1mo"), parse_instant("2024-01-31T12:00"), 2)
    assert pairs(month) == [
        (parse_instant("2024-02-01"), parse_instant("2024-03-01")),
        (parse_instant("2024-03-01"), parse_instant("2024-04-01")),
    ]
    quarter = sessions.newest_closed_ns(Timeframe.parse("3mo"), parse_instant("2024-08-15"))
    assert quarter == parse_instant("2024-07-01")


def test_any_date_of_a_month_or_week_finds_its_bar() -> None:
    sessions = always(parse_instant("2024-01-01") // DAY_NS, parse_instant("2024-12-31") // DAY_NS)
    days = np.array([parse_instant(day) // DAY_NS for day in ("2024-01-31", "2024-02-29", "2024-03-01", "2025-01-01")])
    bars, absent = sessions.of_days(days, Timeframe.parse("1mo"))
    assert absent.tolist() == [3]
    assert [iso(int(at))[:10] for at in bars.open_ns[:3]] == ["2024-01-01", "2024-02-01", "2024-03-01"]
    bars, absent = sessions.of_days(days, Timeframe.parse("1w"))
    assert [iso(int(at))[:10] for at in bars.open_ns[:3]] == ["2024-01-29", "2024-02-26", "2024-02-26"]
    assert absent.tolist() == [3]


def test_a_group_that_the_range_cuts_short_is_no_bar() -> None:
    sessions = always(
        parse_instant("2024-05-01") // DAY_NS, parse_instant("2024-06-29") // DAY_NS
    )  # Wednesday, Saturday
    weeks = sessions.between(Timeframe.parse("1w"), 0, parse_instant("2025-01-01"))
    assert weeks.open_ns[0] == parse_instant("2024-05-06")
    assert weeks.close_ns[-1] == parse_instant("2024-06-24")
    months = sessions.between(Timeframe.parse("1mo"), 0, parse_instant("2025-01-01"))
    assert pairs(months) == [(parse_instant("2024-05-01"), parse_instant("2024-06-01"))]
    with pytest.raises(Invalid, match="ends at"):
        sessions.future(Timeframe.parse("1mo"), parse_instant("2024-05-15"), 1)


def test_hours_of_a_calendar_that_never_closes_are_the_hours() -> None:
    sessions = always(0, 40)
    future = sessions.future(ONE_HOUR, 5 * HOUR_NS, 900)
    assert np.array_equal(future.open_ns, (5 + np.arange(900)) * HOUR_NS)
    assert np.array_equal(future.close_ns, future.open_ns + HOUR_NS)
    assert sessions.newest_closed_ns(Timeframe.parse("1s"), 7 * SECOND_NS + 1) == 7 * SECOND_NS


@pytest.mark.parametrize("at_ns", [-1, 41 * DAY_NS + 1])
def test_an_instant_outside_the_calendar_is_refused(at_ns: int) -> None:
    for ask in (always(0, 40).newest_closed_ns, lambda *given: always(0, 40).future(*given, 1)):
        with pytest.raises(Invalid, match="outside calendar always") as caught:
            ask(ONE_HOUR, at_ns)
        assert "1970-01-01" in caught.value.hint


def test_the_clock_on_the_wall_follows_the_session() -> None:
    opens = np.array([0, DAY_NS, 2 * DAY_NS])
    sessions = Sessions("x", opens, opens + HOUR_NS, opens // DAY_NS, np.array([-5, -4, -4]) * HOUR_NS)
    at_ns = np.array([0, HOUR_NS, DAY_NS - 1, DAY_NS, 9 * DAY_NS, -HOUR_NS])
    assert ((sessions.local_ns(at_ns) - at_ns) // HOUR_NS).tolist() == [-5, -5, -5, -4, -4, -5]


@pytest.mark.parametrize(
    ("open_ns", "close_ns", "day"),
    [([], [], []), ([0], [0], [0]), ([0, 5], [6, 9], [0, 1]), ([0, 5], [5, 9], [1, 0]), ([0], [1], [0, 1])],
)
def test_sessions_that_overlap_or_go_back_are_a_bug(open_ns: list[int], close_ns: list[int], day: list[int]) -> None:
    with pytest.raises(AssertionError):
        Sessions("bad", np.array(open_ns), np.array(close_ns), np.array(day), np.zeros(len(open_ns), np.int64))


# --- trading hours --------------------------------------------------------------------------------------------------

INTERVALS = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)), max_size=6)


def intervals(steps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """From pauses (0 where two touch) and lengths."""
    found, at = [], 0
    for pause, length in steps:
        found.append((at + pause, at + pause + length))
        at += pause + length
    return found


@given(INTERVALS)
def test_hours_are_open_in_their_intervals_and_nowhere_else(steps: list[tuple[int, int]]) -> None:
    given_ = intervals(steps)
    hours = Hours.of(given_)
    instants = {at for start, end in given_ for at in range(start, end)}
    for at in range(80):
        assert hours.is_open(at) is (at in instants)
        assert hours.next_open_ns(at) == min((one for one in instants if one >= at), default=0)
    assert all(end < start for end, start in zip(hours.close_ns, hours.open_ns[1:], strict=False))


@given(INTERVALS, st.integers(0, 60), st.integers(1, 30))
def test_a_halt_is_a_hole_in_the_hours(steps: list[tuple[int, int]], start: int, length: int) -> None:
    hours = Hours.of(intervals(steps))
    halted = hours.without(start, start + length)
    for at in range(100):
        assert halted.is_open(at) is (hours.is_open(at) and not start <= at < start + length)


def test_hours_that_overlap_are_refused() -> None:
    for wrong in ([(5, 5)], [(0, 5), (4, 6)], [(3, 4), (0, 1)]):
        with pytest.raises(Invalid, match="trading hours"):
            Hours.of(wrong)


def test_the_hours_of_a_stretch_and_the_session_after_it() -> None:
    week = always(0, 9)
    assert week.hours(2 * DAY_NS, 4 * DAY_NS) == Hours((2 * DAY_NS,), (6 * DAY_NS,))
    days = np.array([0, 1, 4], np.int64)
    shut = Sessions("c", days * DAY_NS + HOUR_NS, days * DAY_NS + 2 * HOUR_NS, days, np.zeros(3, np.int64))
    assert shut.hours(DAY_NS, DAY_NS + 1).open_ns == (DAY_NS + HOUR_NS,)
    assert shut.hours(0, DAY_NS + HOUR_NS).open_ns == (HOUR_NS, DAY_NS + HOUR_NS, 4 * DAY_NS + HOUR_NS)


def test_hours_have_an_identity() -> None:
    one, same = Hours.of([(1, 2), (2, 3)]), Hours.of([(1, 3)])
    assert one.document() == same.document() != Hours.of([(1, 4)]).document()
