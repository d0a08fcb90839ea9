"""Alpha Vantage's answers: refusals in words, and series of every endpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gnomon.clock import Timeframe, iso, parse_instant
from gnomon.errors import Exhausted, GnomonError, Invalid, NotFound, Refused
from gnomon.market.candles import Candles
from gnomon.sources.alphavantage.series import read_series, refusal_of
from gnomon.sources.bars import Columns
from gnomon.sources.files.read import read
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.sources.source import Request

KEY = "SECRET123"


@pytest.mark.parametrize(
    ("document", "error", "wait_s"),
    [
        (
            {
                "Note": "Thank you for using Alpha Vantage! Our standard call frequency is 5 calls per minute and 500 "
                "calls per day. Please visit https://www.alphavantage.co/premium/"
            },
            Exhausted,
            60.0,
        ),
        (
            {
                "Information": f"We have detected your API key as {KEY} and our standard API rate limit is 25 requests "
                "per day. Please subscribe to any of the premium plans."
            },
            Exhausted,
            86400.0,
        ),
        (
            {"Information": "Please consider spreading out your free requests more sparsely (1 request per second)."},
            Exhausted,
            5.0,
        ),
        ({"Information": "Thank you! This is a premium endpoint. You may subscribe"}, Refused, None),
        ({"Error Message": "the parameter apikey is invalid or missing."}, Refused, None),
        ({"Error Message": "Invalid API call. Please retry or visit the documentation"}, NotFound, None),
        ({"Error Message": "Invalid inputs. outputsize"}, Invalid, None),
    ],
)
def test_a_refusal_in_words_has_its_error(document: Any, error: type[GnomonError], wait_s: float | None) -> None:
    found = refusal_of(document, KEY)
    assert type(found) is error
    assert found.detail.get("retry_after_s") == wait_s
    assert KEY not in json.dumps(found.document())


@pytest.mark.parametrize("document", [{"Meta Data": {}}, {}, [], None, "text"])
def test_what_is_no_refusal_is_none(document: Any) -> None:
    assert refusal_of(document, KEY) is None


def bar(price: float, volume: str | None = "1000") -> dict[str, str]:
    values = [price, price + 1, price - 1, price + 0.5]
    fields = {
        f"{n}. {name}": f"{value:.4f}"
        for n, (name, value) in enumerate(zip(("open", "high", "low", "close"), values, strict=True), 1)
    }
    return fields if volume is None else {**fields, "5. volume": volume}


def answer(key: str, stamps: list[str], zone: str = "US/Eastern", **options: Any) -> dict[str, Any]:
    bars = {one: bar(100 + at, **options) for at, one in enumerate(stamps)}
    return {"Meta Data": {"1. Information": "Prices", "2. Symbol": "AAPL", "6. Time Zone": zone}, key: bars}


def placed(symbol: str, timeframe: str, document: Any, **changes: Any) -> Columns:
    one = replace(shipped_instruments().find(symbol), **changes)
    sessions = load_sessions(one.calendar, one.stamp_zone)
    request = Request(
        one, sessions, Timeframe.parse(timeframe), parse_instant("2000-01-01"), parse_instant("2030-01-01")
    )
    return read_series(document, request)


def spans(columns: Columns) -> list[tuple[str, str]]:
    return [(iso(int(a)), iso(int(b))) for a, b in zip(columns.open_ns, columns.close_ns, strict=True)]


def test_days_of_shares_are_sessions() -> None:
    columns = placed("AAPL", "1d", answer("Time Series (Daily)", ["2024-07-03", "2024-07-02"]))
    assert spans(columns) == [
        ("2024-07-02T13:30:00Z", "2024-07-02T20:00:00Z"),
        ("2024-07-03T13:30:00Z", "2024-07-03T17:00:00Z"),
    ]
    bars = columns.candles("raw")
    assert bars.tick.floats(bars.close).tolist() == [101.5, 100.5]


def test_an_adjusted_answer_is_read_for_the_prices_as_printed() -> None:
    document = answer("Time Series (Daily)", ["2024-07-02"])
    fields = {
        "5. adjusted close": "50.0",
        "6. volume": "777",
        "7. dividend amount": "0.0",
        "8. split coefficient": "1.0",
    }
    prices = {name: value for name, value in bar(100).items() if "volume" not in name}
    document["Time Series (Daily)"] = {"2024-07-02": {**prices, **fields}}
    bars = placed("AAPL", "1d", document).candles("raw")
    assert (bars.tick.floats(bars.close).tolist(), bars.lot.floats(bars.volume).tolist()) == ([100.5], [777.0])


def test_bars_below_a_day_are_on_the_clock_of_the_answer() -> None:
    stamps = ["2024-07-02 09:30:00", "2024-07-02 10:00:00", "2024-12-03 15:30:00"]
    assert spans(placed("AAPL", "30m", answer("Time Series (30min)", stamps))) == [
        ("2024-07-02T13:30:00Z", "2024-07-02T14:00:00Z"),
        ("2024-07-02T14:00:00Z", "2024-07-02T14:30:00Z"),
        ("2024-12-03T20:30:00Z", "2024-12-03T21:00:00Z"),
    ]


def test_days_of_currencies_run_from_midnight_to_midnight_there() -> None:
    document = answer("Time Series FX (Daily)", ["2024-07-02", "2024-07-06"], "UTC", volume=None)
    columns = placed("EURUSD", "1d", document)
    assert spans(columns) == [("2024-07-02T00:00:00Z", "2024-07-03T00:00:00Z")]
    assert [(one.rows, one.reason) for one in columns.left_out] == [(1, "no bar of the calendar opens then")]
    assert columns.candles("raw").volume.tolist() == [0]


@pytest.mark.parametrize(
    ("symbol", "timeframe", "key", "stamp", "span"),
    [
        (
            "EURUSD",
            "5m",
            "Time Series FX (5min)",
            "2024-07-02 10:05:00",
            ("2024-07-02T10:05:00Z", "2024-07-02T10:10:00Z"),
        ),
        (
            "BTCUSDT",
            "1d",
            "Time Series (Digital Currency Daily)",
            "2024-07-02",
            ("2024-07-02T00:00:00Z", "2024-07-03T00:00:00Z"),
        ),
        (
            "BTCUSDT",
            "1h",
            "Time Series Crypto (60min)",
            "2024-07-02 10:00:00",
            ("2024-07-02T10:00:00Z", "2024-07-02T11:00:00Z"),
        ),
        ("SPY", "1w", "Weekly Time Series", "2024-07-05", ("2024-07-01T13:30:00Z", "2024-07-05T20:00:00Z")),
    ],
)
def test_every_endpoint_has_its_series(
    symbol: str, timeframe: str, key: str, stamp: str, span: tuple[str, str]
) -> None:
    zone = "US/Eastern" if symbol == "SPY" else "UTC"
    assert spans(placed(symbol, timeframe, answer(key, [stamp], zone))) == [span]


CHANGES: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    "no meta": ("Meta Data", lambda d: d.pop("Meta Data")),
    "no series": ("the series", lambda d: d.pop("Time Series (Daily)")),
    "a list": ("the series", lambda d: d.update({"Time Series (Daily)": []})),
    "no high": ("high", lambda d: d["Time Series (Daily)"]["2024-07-02"].pop("2. high")),
    "text": ("close", lambda d: d["Time Series (Daily)"]["2024-07-02"].update({"4. close": "a lot"})),
    "no volume": ("volume", lambda d: d["Time Series (Daily)"]["2024-07-02"].pop("5. volume")),
    "a number": ("a bar", lambda d: d["Time Series (Daily)"].update({"2024-07-03": 12.5})),
    "a stamp": ("a time", lambda d: d["Time Series (Daily)"].update({"July": bar(1)})),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_schema_is_refused_with_the_name_of_the_field(change: str) -> None:
    field, edit = CHANGES[change]
    document = deepcopy(answer("Time Series (Daily)", ["2024-07-02"]))
    edit(document)
    with pytest.raises(Invalid, match="not of the known form") as error:
        placed("AAPL", "1d", document)
    assert error.value.detail["field"] == field


@pytest.mark.slow
def test_a_real_answer_reads_as_its_file_does(shared: Path) -> None:
    path = shared / "data/nasdaq100/daily_raw/daily_prices_AAPL.json"
    (imported,) = read(path, instruments=shipped_instruments(), basis="raw").series
    assert isinstance(imported, Candles)
    columns = placed("AAPL", "1d", json.loads(path.read_text()))
    columns.within(0, parse_instant("2030-01-01"), parse_instant("2030-01-01"))
    ours = columns.candles("raw")
    assert len(ours) == len(imported) > 50
    for name in ("open_ns", "close_ns", "open", "high", "low", "close", "volume"):
        assert getattr(ours, name).tolist() == getattr(imported, name).tolist(), name
