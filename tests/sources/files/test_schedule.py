"""Timeframes from spacings, and where bars open and close."""

from __future__ import annotations

import numpy as np
import pytest

from gnomon.clock import Timeframe, iso, parse_instant
from gnomon.errors import Invalid
from gnomon.market.calendar import Sessions
from gnomon.sources.files.schedule import decide_timeframe, marks_ends, outside_sessions, place, share_in_session
from gnomon.sources.files.stamps import Stamps
from gnomon.sources.sessions import load_sessions
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS, IntArray

START = parse_instant("2024-01-02")


def _stamps(*instants: str, ahead_ns: int = 0) -> Stamps:
    wall = np.array([parse_instant(one) for one in instants], np.int64)
    return Stamps(wall, np.full(len(wall), ahead_ns, np.int64), np.ones(len(wall), np.bool_))


def _every(step_ns: int, count: int = 20) -> IntArray:
    return START + np.arange(count, dtype=np.int64) * step_ns


def _dates(*days: str) -> IntArray:
    return np.array([parse_instant(day) for day in days], np.int64)


# --- timeframes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step_ns", "expected"), [(MINUTE_NS, "1m"), (8 * HOUR_NS, "8h"), (DAY_NS, "1d"), (7 * DAY_NS, "1w")]
)
def test_the_most_common_spacing_is_the_timeframe(step_ns: int, expected: str) -> None:
    times = np.delete(_every(step_ns), [3, 4, 9])
    assert str(decide_timeframe(times, "", "", "f")) == expected


def test_months_and_quarters_have_no_fixed_length() -> None:
    ends = _dates("2012-01-31", "2012-02-29", "2012-03-31", "2012-04-30", "2012-05-31")
    assert str(decide_timeframe(ends, "", "", "f")) == "1mo"
    assert str(decide_timeframe(ends[::3], "", "", "f")) == "3mo"
    assert str(decide_timeframe(ends, "1mo", "the file", "f")) == "1mo"


def test_weekends_do_not_hide_a_daily_timeframe() -> None:
    days = _dates("2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09", "2024-01-10")
    assert str(decide_timeframe(days, "", "", "f")) == "1d"


def test_what_is_said_must_agree_with_the_rows() -> None:
    with pytest.raises(Invalid, match=r"f\.csv: the file says 1h, but the rows are most often 5m apart") as caught:
        decide_timeframe(_every(5 * MINUTE_NS), "1h", "the file", "f.csv")
    assert caught.value.detail["said"] == "1h"
    with pytest.raises(Invalid, match="--timeframe says 1m, but the rows are most often 5m apart"):
        decide_timeframe(_every(5 * MINUTE_NS), "1m", "--timeframe", "f.csv")
    with pytest.raises(Invalid, match="--timeframe says 1mo, but the rows are most often 1d apart"):
        decide_timeframe(_every(DAY_NS), "1mo", "--timeframe", "f.csv")


def test_a_thin_market_may_skip_most_of_its_bars() -> None:
    thin = np.concatenate([_every(3 * MINUTE_NS), _every(3 * MINUTE_NS)[-1:] + MINUTE_NS])
    assert str(decide_timeframe(thin, "1m", "the file", "f")) == "1m"


def test_one_row_needs_to_be_told_its_timeframe() -> None:
    assert str(decide_timeframe(_every(1, 1), "4h", "--timeframe", "f")) == "4h"
    with pytest.raises(Invalid, match="one bar has no spacing") as caught:
        decide_timeframe(_every(1, 1), "", "", "f")
    assert "--timeframe" in caught.value.hint


def test_rows_a_fraction_of_a_second_apart_are_no_bars() -> None:
    with pytest.raises(Invalid, match="most often 1000000 ns apart, no timeframe"):
        decide_timeframe(_every(1_000_000), "", "", "f")


def test_an_unreadable_timeframe_is_refused() -> None:
    with pytest.raises(Invalid, match="not a timeframe: 'often'"):
        decide_timeframe(_every(HOUR_NS), "often", "--timeframe", "f")


# --- opens and closes -------------------------------------------------------------------------------------------------


def _spans(timeframe: str, sessions: Sessions, *instants: str, stamp: str = "open") -> list[tuple[str, str]]:
    placed = place(_stamps(*instants), Timeframe.parse(timeframe), sessions, stamp)
    return [(iso(int(a))[5:16], iso(int(b))[5:16]) for a, b in zip(placed.open_ns, placed.close_ns, strict=True)]


def test_intraday_bars_last_one_timeframe() -> None:
    always = load_sessions("always")
    assert _spans("1h", always, "2024-01-02T23:00") == [("01-02T23:00", "01-03T00:00")]
    assert _spans("7h", always, "2024-01-02T21:00") == [("01-02T21:00", "01-03T04:00")]  # no close between days
    assert _spans("1h", always, "2024-01-02T23:00", stamp="close") == [("01-02T22:00", "01-02T23:00")]


@pytest.mark.slow
def test_the_last_bar_of_a_session_ends_at_its_close() -> None:
    nyse = load_sessions("nyse")
    assert _spans("1h", nyse, "2024-01-02T20:30") == [("01-02T20:30", "01-02T21:00")]
    assert _spans("1h", nyse, "2024-07-03T16:30") == [("07-03T16:30", "07-03T17:00")]  # an early close
    assert _spans("1h", nyse, "2024-01-02T22:00") == [("01-02T22:00", "01-02T23:00")]  # after hours


def test_a_bar_over_a_short_pause_is_not_cut() -> None:
    """Four hours from 20:00 hold the trades of the evening too: cut at the pause they would be known too early."""
    cme = load_sessions("cme")
    assert _spans("4h", cme, "2024-01-03T20:00") == [("01-03T20:00", "01-04T00:00")]
    assert _spans("1h", cme, "2024-01-03T21:30") == [("01-03T21:30", "01-03T22:00")]  # within the last half hour


def test_dates_become_sessions_weeks_and_months() -> None:
    fx = load_sessions("fx")
    assert _spans("1d", fx, "2024-01-03") == [("01-02T22:00", "01-03T22:00")]
    assert _spans("1w", fx, "2024-01-07") == [("12-31T22:00", "01-05T22:00")]  # a Sunday belongs to the week before it
    assert _spans("1mo", load_sessions("always"), "2024-02-29") == [("02-01T00:00", "03-01T00:00")]
    assert _spans("1w", load_sessions("always"), "2024-01-01") == [("01-01T00:00", "01-08T00:00")]


def test_an_instant_means_the_session_it_falls_into() -> None:
    fx = load_sessions("fx")
    assert _spans("1d", fx, "2024-01-02T22:00") == [("01-02T22:00", "01-03T22:00")]


def test_a_date_without_a_session_runs_from_midnight_to_midnight_and_is_noted() -> None:
    shanghai = load_sessions("XSHG")
    placed = place(_stamps("2024-01-05", "2024-01-06"), Timeframe.parse("1d"), shanghai, "open")
    assert [iso(int(at)) for at in placed.open_ns] == ["2024-01-05T01:30:00Z", "2024-01-05T16:00:00Z"]
    assert iso(int(placed.close_ns[1])) == "2024-01-06T16:00:00Z"
    assert placed.notes == ("1 bars lie on dates without a session of calendar XSHG (the first on 2024-01-06)",)


def test_dates_before_the_calendar_begins_are_kept() -> None:
    placed = place(_stamps("1929-10-28", "1929-10-29"), Timeframe.parse("1d"), load_sessions("always"), "open")
    assert [iso(int(at))[:10] for at in placed.open_ns] == ["1929-10-28", "1929-10-29"]


# --- which end is stamped ---------------------------------------------------------------------------------------------

SHANGHAI_OPENS = ("2024-06-18T01:30", "2024-06-18T03:25", "2024-06-18T05:00", "2024-06-18T06:55")
SHANGHAI_ENDS = ("2024-06-18T01:35", "2024-06-18T03:30", "2024-06-18T05:05", "2024-06-18T07:00", "2024-06-19T07:00")


def test_stamps_at_closes_and_never_at_openings_mark_ends() -> None:
    shanghai = load_sessions("XSHG")
    assert marks_ends(_stamps(*SHANGHAI_ENDS).utc_ns(), shanghai) is True
    assert marks_ends(_stamps(*SHANGHAI_OPENS).utc_ns(), shanghai) is False
    assert marks_ends(_stamps(*SHANGHAI_OPENS, *SHANGHAI_ENDS).utc_ns(), shanghai) is None
    assert marks_ends(_stamps(*SHANGHAI_ENDS[:2]).utc_ns(), shanghai) is None  # one close is no habit


def test_stamps_after_hours_are_no_ends() -> None:
    late = ("2024-06-18T08:00", "2024-06-18T09:00", "2024-06-18T10:00")
    assert marks_ends(_stamps(*SHANGHAI_ENDS, *late).utc_ns(), load_sessions("XSHG")) is None


def test_a_market_without_pauses_cannot_tell() -> None:
    assert marks_ends(_every(HOUR_NS), load_sessions("always")) is None


def test_a_close_is_outside_the_session_and_counts_for_the_share() -> None:
    shanghai = load_sessions("XSHG")
    times = _stamps("2024-06-18T01:30", "2024-06-18T03:30", "2024-06-18T04:00", "2024-06-18T07:00").utc_ns()
    assert outside_sessions(times, shanghai).tolist() == [False, True, True, True]
    assert share_in_session(times, shanghai) == 0.75
    assert len(outside_sessions(times[:0], shanghai)) == 0
    assert outside_sessions(times - 100 * 365 * DAY_NS, shanghai).all()
