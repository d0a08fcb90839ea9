"""Instants, ISO 8601 and timeframes, against the standard library's datetime."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.clock import Clock, SimClock, Timeframe, iso, parse_instant
from gnomon.errors import Invalid
from gnomon.units import DAY_NS, HOUR_NS, INT64_MAX, MINUTE_NS, SECOND_NS, WEEK_NS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CENTURY_US = 36_525 * 86_400 * 10**6
moments = st.integers(-2 * CENTURY_US, 2 * CENTURY_US).map(lambda us: EPOCH + timedelta(microseconds=us))


def naive_ns(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


@given(moments, st.integers(-23 * 60 - 59, 23 * 60 + 59), st.sampled_from(["T", " "]), st.booleans())
def test_instants_are_read_like_the_standard_library_reads_them(
    moment: datetime, offset: int, separator: str, colon: bool
) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    text = aware.isoformat(sep=separator)
    if not colon:
        text = text[:-3] + text[-2:]
    assert parse_instant(text) == naive_ns(aware)


@given(st.integers(-INT64_MAX, INT64_MAX))
def test_an_instant_comes_back_from_its_text(at_ns: int) -> None:
    assert parse_instant(iso(at_ns)) == at_ns
    assert iso(at_ns).endswith("Z")


@given(moments)
def test_instants_are_written_as_fine_as_they_need(moment: datetime) -> None:
    at_ns = naive_ns(moment)
    fraction = iso(at_ns).partition(".")[2].rstrip("Z")
    assert len(fraction) in (0, 3, 6)
    assert datetime.fromisoformat(iso(at_ns)) == moment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-01", "2024-05-01T00:00:00Z"),
        (" 2024-05-01T13:30 ", "2024-05-01T13:30:00Z"),
        ("2024-05-01 13:30:00", "2024-05-01T13:30:00Z"),
        ("2024-05-01T13:30:00.5Z", "2024-05-01T13:30:00.500Z"),
        ("2024-05-01T13:30:00.000001Z", "2024-05-01T13:30:00.000001Z"),
        ("2024-05-01T13:30:00.123456789Z", "2024-05-01T13:30:00.123456789Z"),
        ("2024-05-01T13:30:00-04:00", "2024-05-01T17:30:00Z"),
        ("2024-05-01T13:30:00-0400", "2024-05-01T17:30:00Z"),
        ("2024-05-01T13:30:00+00", "2024-05-01T13:30:00Z"),
        ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z"),
    ],
)
def test_dates_and_times_are_utc_unless_they_say_otherwise(text: str, expected: str) -> None:
    assert iso(parse_instant(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "2024", "2024-13-01", "2024-02-30", "2024-05-01T24:00", "2024-05-01T13:30:60Z"),
        *("2024-5-1", "01.05.2024", "2024-05-01T13", "2024-05-01Z", "2024-05-01T13:30:00+25:00", "NaT"),
        *("0001-01-01", "9999-12-31", "2262-04-12", "2262-04-11T23:47:16.854775807-01:00", "1714521600"),
        "٢٠٢٤-05-01",
    ],
)
def test_what_is_no_instant_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Invalid, match="not an instant") as caught:
        parse_instant(text)
    assert "2024-05-01" in caught.value.hint


def test_a_simulated_clock_stands_still_and_never_goes_back() -> None:
    clock: Clock = (sim := SimClock(5))
    assert (clock.now_ns(), clock.now_ns()) == (5, 5)
    sim.advance_to(5)
    sim.advance_to(9)
    assert clock.now_ns() == 9
    with pytest.raises(Invalid, match="cannot go back"):
        sim.advance_to(8)
    assert clock.now_ns() == 9


UNITS = {"s": SECOND_NS, "m": MINUTE_NS, "h": HOUR_NS, "d": DAY_NS, "w": WEEK_NS}
timeframes = st.one_of(
    st.builds(lambda n: Timeframe.of_ns(n * SECOND_NS), st.integers(1, 86_400)),
    st.builds(lambda n: Timeframe.of_ns(n * DAY_NS), st.integers(1, 9_999)),
    st.builds(lambda n: Timeframe.parse(f"{n}mo"), st.integers(1, 3_000)),
)


@given(timeframes)
def test_a_timeframe_comes_back_from_its_text(timeframe: Timeframe) -> None:
    if timeframe.count <= 9_999:
        assert Timeframe.parse(str(timeframe)) == timeframe
    if timeframe.unit != "mo":
        assert timeframe.nominal_ns == timeframe.count * UNITS[timeframe.unit]
        larger = [unit for unit in UNITS.values() if unit > UNITS[timeframe.unit]]
        assert all(timeframe.nominal_ns % unit for unit in larger)


@given(timeframes, timeframes)
def test_timeframes_order_by_length(one: Timeframe, other: Timeframe) -> None:
    if one.nominal_ns != other.nominal_ns:
        assert (one < other) == (one.nominal_ns < other.nominal_ns)
    assert one.is_intraday == (one.nominal_ns < DAY_NS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("60min", "1h"), ("60m", "1h"), ("5T", "5m"), ("1Min", "1m"), ("15 minutes", "15m"), ("90sec", "90s")),
        *(("24h", "1d"), ("1D", "1d"), ("1day", "1d"), ("2days", "2d"), ("1H", "1h"), ("4hours", "4h"), ("1hr", "1h")),
        *(("7d", "1w"), ("1W", "1w"), ("1wk", "1w"), ("2weeks", "2w")),
        *(("1M", "1mo"), ("3M", "3mo"), ("1mo", "1mo"), ("1MO", "1mo"), ("1month", "1mo"), ("6 months", "6mo")),
        *(("1m", "1m"), ("30d", "30d"), (" 1h ", "1h"), ("0001h", "1h")),
    ],
)
def test_common_spellings_are_understood(text: str, expected: str) -> None:
    assert str(Timeframe.parse(text)) == expected


@pytest.mark.parametrize("text", ["", "h", "0h", "-1h", "1.5h", "1y", "5ms", "1x", "hour", "36h", "9999mo", "99999s"])
def test_what_is_no_timeframe_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        Timeframe.parse(text)


@pytest.mark.parametrize("length_ns", [0, -1, 1, SECOND_NS + 1, 36 * HOUR_NS])
def test_a_bar_is_whole_seconds_or_whole_days(length_ns: int) -> None:
    with pytest.raises(Invalid, match="not a bar length"):
        Timeframe.of_ns(length_ns)


def test_a_month_and_thirty_days_are_two_timeframes() -> None:
    assert Timeframe.parse("1mo") != Timeframe.parse("30d")
    assert Timeframe.parse("1mo").nominal_ns == Timeframe.parse("30d").nominal_ns
