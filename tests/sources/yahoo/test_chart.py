"""Yahoo's answers read and placed: what the chart endpoint really sends, and what it must not send."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gnomon.clock import Timeframe, iso, parse_instant
from gnomon.errors import Invalid, NotFound
from gnomon.sources.bars import Columns
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.sources.source import Request
from gnomon.sources.yahoo.chart import read_chart


def stamp(text: str, zone: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


def chart(stamps: list[int], zone: str = "America/New_York", granularity: str = "1d", **columns: Any) -> dict[str, Any]:
    prices = {
        name: [100.0 + 0.25 * at + extra for at in range(len(stamps))]
        for name, extra in (("open", 0.0), ("high", 1.0), ("low", -1.0), ("close", 0.5))
    }
    quote = {**prices, "volume": [1000 + at for at in range(len(stamps))], **columns}
    meta = {"symbol": "X", "exchangeTimezoneName": zone, "dataGranularity": granularity, "gmtoffset": 0}
    return {
        "chart": {
            "result": [{"meta": meta, "timestamp": stamps, "indicators": {"quote": [quote], "adjclose": [{}]}}],
            "error": None,
        }
    }


def read(symbol: str, timeframe: str, document: Any, granularity: str | None = None) -> Columns:
    instrument = shipped_instruments().find(symbol)
    sessions = load_sessions(instrument.calendar, instrument.stamp_zone)
    request = Request(
        instrument, sessions, Timeframe.parse(timeframe), parse_instant("2000-01-01"), parse_instant("2030-01-01")
    )
    return read_chart(document, request, granularity or timeframe)


def spans(columns: Columns) -> list[tuple[str, str]]:
    return [(iso(int(a)), iso(int(b))) for a, b in zip(columns.open_ns, columns.close_ns, strict=True)]


def left(columns: Columns) -> list[tuple[str, int]]:
    return [(one.reason, one.rows) for one in columns.left_out]


NY = "America/New_York"


def test_hourly_bars_of_shares_open_at_half_past_and_the_last_lasts_half_an_hour() -> None:
    stamps = [stamp(f"2024-07-02T{hour:02}:30", NY) for hour in range(9, 16)]
    columns = read("AAPL", "1h", chart(stamps, granularity="1h"))
    assert spans(columns)[0] == ("2024-07-02T13:30:00Z", "2024-07-02T14:30:00Z")
    assert spans(columns)[-1] == ("2024-07-02T19:30:00Z", "2024-07-02T20:00:00Z")


def test_an_early_close_ends_the_last_bar() -> None:
    stamps = [stamp(f"2024-07-03T{hour:02}:30", NY) for hour in range(9, 13)]
    assert spans(read("SPY", "1h", chart(stamps, granularity="1h")))[-1][1] == "2024-07-03T17:00:00Z"


def test_the_quote_behind_the_newest_bar_is_dropped_without_a_word() -> None:
    stamps = [stamp("2024-07-02T09:30", NY), stamp("2024-07-02T10:30", NY), stamp("2024-07-02T11:12", NY)]
    columns = read("AAPL", "1h", chart(stamps, granularity="1h"))
    assert (len(columns), left(columns)) == (2, [])


def test_bars_off_the_schedule_are_left_out_and_counted() -> None:
    stamps = [stamp(f"2024-07-02T{time}", NY) for time in ("08:30", "09:30", "10:30", "11:00", "11:30")]
    columns = read("AAPL", "1h", chart(stamps, granularity="1h"))
    assert (len(columns), left(columns)) == (3, [("no bar of the calendar opens then", 2)])


def test_bars_mostly_off_the_schedule_are_refused() -> None:
    stamps = [stamp(f"2024-07-02T{hour:02}:00", NY) for hour in range(10, 17)]
    with pytest.raises(Invalid, match="open where calendar nyse has no bar"):
        read("AAPL", "1h", chart(stamps, granularity="1h"))


def test_nulls_are_gaps() -> None:
    stamps = [stamp(f"2024-07-02T{hour:02}:30", NY) for hour in range(9, 13)]
    document = chart(stamps, granularity="1h", close=[1.0, None, 100.9, 101.2])
    columns = read("AAPL", "1h", document)
    assert (len(columns), left(columns)) == (3, [("a price is missing", 1)])
    assert columns.prices[0].tolist() == [100.0, 100.5, 100.75]


def test_a_daily_bar_of_a_share_is_its_session_also_on_a_short_day() -> None:
    stamps = [stamp("2024-07-02T09:30", NY), stamp("2024-07-03T09:30", NY), stamp("2024-07-05T16:00:01", NY)]
    assert spans(read("SPY", "1d", chart(stamps))) == [
        ("2024-07-02T13:30:00Z", "2024-07-02T20:00:00Z"),
        ("2024-07-03T13:30:00Z", "2024-07-03T17:00:00Z"),
        ("2024-07-05T13:30:00Z", "2024-07-05T20:00:00Z"),
    ]


def test_a_quote_beside_the_bar_of_its_day_is_left_out() -> None:
    stamps = [stamp("2024-07-02T09:30", NY), stamp("2024-07-02T16:00:02", NY)]
    assert left(read("SPY", "1d", chart(stamps))) == [("no bar of the calendar opens then", 1)]


def test_a_date_without_a_session_is_left_out() -> None:
    stamps = [stamp("2024-07-03T09:30", NY), stamp("2024-07-04T09:30", NY)]
    assert left(read("SPY", "1d", chart(stamps))) == [("no bar of the calendar opens then", 1)]


def test_days_of_currencies_end_at_midnight_in_london_in_summer_and_winter() -> None:
    stamps = [stamp("2024-07-02T00:00", "Europe/London"), stamp("2024-12-03T00:00", "Europe/London")]
    assert spans(read("EURUSD", "1d", chart(stamps, "Europe/London"))) == [
        ("2024-07-01T23:00:00Z", "2024-07-02T23:00:00Z"),
        ("2024-12-03T00:00:00Z", "2024-12-04T00:00:00Z"),
    ]


def test_the_day_on_which_london_changes_its_clock_has_its_own_length() -> None:
    stamps = [stamp("2024-03-29T00:00", "Europe/London"), stamp("2024-04-01T00:00", "Europe/London")]
    opened, closed = zip(*spans(read("EURUSD", "1d", chart(stamps, "Europe/London"))), strict=True)
    assert opened == ("2024-03-29T00:00:00Z", "2024-03-31T23:00:00Z")
    assert closed == ("2024-03-30T00:00:00Z", "2024-04-01T23:00:00Z")


def test_a_day_of_a_currency_at_the_weekend_is_left_out() -> None:
    stamps = [stamp("2024-07-06T00:00", "Europe/London"), stamp("2024-07-08T00:00", "Europe/London")]
    assert left(read("EURUSD", "1d", chart(stamps, "Europe/London"))) == [("no bar of the calendar opens then", 1)]


def test_hours_of_currencies_are_on_the_hour() -> None:
    stamps = [stamp(f"2024-07-02T{hour:02}:00", "Europe/London") for hour in range(4)]
    assert spans(read("EURUSD", "1h", chart(stamps, "Europe/London", "1h")))[0] == (
        "2024-07-01T23:00:00Z",
        "2024-07-02T00:00:00Z",
    )


def test_days_of_futures_are_sessions_of_the_date() -> None:
    stamps = [stamp("2024-07-02T00:00", NY)]
    assert spans(read("GOLD", "1d", chart(stamps))) == [("2024-07-01T22:00:00Z", "2024-07-02T21:00:00Z")]


def test_days_of_the_dollar_index_follow_the_calendar() -> None:
    assert spans(read("DXY", "1d", chart([stamp("2024-07-02T00:00", NY)]))) == [
        ("2024-07-01T21:00:00Z", "2024-07-02T21:00:00Z")
    ]


def test_days_of_coins_are_days_of_utc() -> None:
    assert spans(read("BTCUSDT", "1d", chart([stamp("2024-07-02T00:00", "UTC")], "UTC"))) == [
        ("2024-07-02T00:00:00Z", "2024-07-03T00:00:00Z")
    ]


def test_a_week_ends_with_its_last_session() -> None:
    document = chart([stamp("2024-07-01T00:00", NY)], granularity="1wk")
    assert spans(read("SPY", "1w", document, "1wk")) == [("2024-07-01T13:30:00Z", "2024-07-05T20:00:00Z")]


def test_floats_of_single_precision_are_the_decimals_they_stand_for() -> None:
    single = [float(np.float32(one)) for one in (187.35, 188.1, 186.99)]
    stamps = [stamp(f"2024-07-0{day}T09:30", NY) for day in (1, 2, 3)]
    columns = read("AAPL", "1d", chart(stamps, open=single, high=single, low=single, close=single))
    bars = columns.candles("split")
    assert (bars.tick.floats(bars.close).tolist(), str(bars.tick.step)) == ([187.35, 188.1, 186.99], "0.01")
    assert bars.basis == "split"


def test_an_empty_window_has_no_rows() -> None:
    document = chart([])
    del document["chart"]["result"][0]["timestamp"]
    document["chart"]["result"][0]["indicators"] = {"quote": [{}]}
    assert len(read("SPY", "1d", document)) == 0


def _result(document: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = document["chart"]["result"][0]
    return result


CHANGES: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    "no result": ("chart.result", lambda d: d["chart"].update(result=None)),
    "no chart": ("chart", lambda d: d.clear()),
    "stamps as text": ("timestamp", lambda d: _result(d).update(timestamp=["2024-07-01"])),
    "stamps in ms": ("timestamp", lambda d: _result(d).update(timestamp=[1719840600000])),
    "a truth value": ("timestamp", lambda d: _result(d).update(timestamp=[True])),
    "no quote": ("indicators.quote", lambda d: _result(d)["indicators"].update(quote=[])),
    "no high": ("indicators.quote.high", lambda d: _result(d)["indicators"]["quote"][0].pop("high")),
    "a short column": ("indicators.quote.low", lambda d: _result(d)["indicators"]["quote"][0]["low"].pop()),
    "text": ("indicators.quote.open", lambda d: _result(d)["indicators"]["quote"][0].update(open=["1", "2"])),
    "no zone": ("meta.exchangeTimezoneName", lambda d: _result(d)["meta"].pop("exchangeTimezoneName")),
    "a wild zone": ("meta.exchangeTimezoneName", lambda d: _result(d)["meta"].update(exchangeTimezoneName="../etc")),
    "no meta": ("meta", lambda d: _result(d).pop("meta")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_schema_is_refused_with_the_name_of_the_field(change: str) -> None:
    field, edit = CHANGES[change]
    document = deepcopy(chart([stamp("2024-07-01T09:30", NY), stamp("2024-07-02T09:30", NY)]))
    edit(document)
    with pytest.raises(Invalid, match="not of the known form") as error:
        read("SPY", "1d", document)
    assert error.value.detail["field"] == field


def test_an_answer_in_other_bars_than_asked_for_is_refused() -> None:
    with pytest.raises(Invalid, match="bars of 1d for 1h"):
        read("SPY", "1h", chart([stamp("2024-07-01T09:30", NY)], granularity="1d"))


def test_a_refusal_in_words_is_told_in_those_words() -> None:
    refused = {
        "chart": {
            "result": None,
            "error": {"code": "Not Found", "description": "No data found, symbol may be delisted"},
        }
    }
    with pytest.raises(NotFound, match="may be delisted"):
        read("SPY", "1d", refused)


def test_a_request_of_another_calendar_is_placed_there() -> None:
    asked = shipped_instruments().find("SPY")
    request = Request(
        replace(asked, calendar="always"),
        load_sessions("always"),
        Timeframe.parse("1d"),
        0,
        parse_instant("2030-01-01"),
    )
    columns = read_chart(chart([stamp("2024-07-02T09:30", NY)]), request, "1d")
    assert spans(columns) == [("2024-07-02T00:00:00Z", "2024-07-03T00:00:00Z")]
