"""Alpha Vantage's own JSON, and AI-Trader's lines of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gnomon.clock import iso
from gnomon.errors import Invalid
from gnomon.market.candles import Candles
from gnomon.market.instrument import Instruments
from gnomon.sources.files.read import Imported, read

DAYS = ("2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05")


def _bar(price: float, names: str = "open high low close volume", **changes: object) -> dict[str, str]:
    values = {"open": price, "high": price + 1, "low": price - 1, "close": price + 0.5, "volume": 1000} | changes
    spelled = dict(zip(values, names.split(), strict=True))
    return {f"{n}. {spelled[name].replace('_', ' ')}": str(value) for n, (name, value) in enumerate(values.items(), 1)}


def _document(
    symbol: str = "AAPL", series: dict[str, Any] | None = None, key: str = "Time Series (Daily)"
) -> dict[str, Any]:
    bars = {day: _bar(100 + n) for n, day in enumerate(DAYS)} if series is None else series
    return {"Meta Data": {"2. Symbol": symbol, "5. Time Zone": "US/Eastern"}, key: bars}


@pytest.fixture
def load(write: Callable[..., Path], instruments: Instruments) -> Callable[..., Imported]:
    def load_file(*documents: object, name: str = "prices.json", **options: object) -> Imported:
        text = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in documents)
        return read(write(name, text), instruments=instruments, **options)

    return load_file


Load = Callable[..., Imported]
RENAMED = "buy_price high low sell_price volume"


def _candles(imported: Imported, at: int = 0) -> Candles:
    series = imported.series[at]
    assert isinstance(series, Candles)
    return series


@pytest.mark.slow
def test_keys_have_no_order_of_their_own(load: Load) -> None:
    forward = load(_document())
    backward = load(_document(series=dict(reversed(list(_document()["Time Series (Daily)"].items())))))
    assert forward.passport.hash == backward.passport.hash
    assert (forward.format, _candles(forward).key) == ("alpha-vantage", ("us:AAPL", "1d", "raw"))
    assert not backward.passport.series[0].notes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "stamps", "timeframe", "first_open"),
    [
        ("Time Series (5min)", ["2024-01-02 09:30:00", "2024-01-02 09:35:00"], "5m", "2024-01-02T14:30:00Z"),
        ("Time Series (60min)", ["2024-07-02 10:00:00", "2024-07-02 11:00:00"], "1h", "2024-07-02T14:00:00Z"),
        ("Weekly Time Series", ["2024-01-05", "2024-01-12"], "1w", "2024-01-02T14:30:00Z"),
        ("Monthly Adjusted Time Series", ["2024-01-31", "2024-02-29"], "1mo", "2024-01-02T14:30:00Z"),
    ],
)
def test_every_series_of_the_vendor_is_dated(
    key: str, stamps: list[str], timeframe: str, first_open: str, load: Load
) -> None:
    candles = _candles(load(_document(series={stamp: _bar(100) for stamp in stamps}, key=key)))
    assert (str(candles.timeframe), iso(int(candles.open_ns[0]))) == (timeframe, first_open)


@pytest.mark.slow
def test_lines_with_renamed_fields_are_the_same_content(load: Load) -> None:
    renamed = _document(series={day: _bar(100 + n, RENAMED) for n, day in enumerate(DAYS)})
    assert load(renamed, name="merged.jsonl").passport.hash == load(_document()).passport.hash
    two = load(renamed, renamed | {"Meta Data": {"2. Symbol": "MSFT"}}, name="merged.jsonl")
    assert (two.format, [one.key[0] for one in two.series]) == ("ai-trader", ["us:AAPL", "us:MSFT"])


@pytest.mark.slow
def test_only_the_newest_bar_may_hold_nothing_but_its_open(load: Load) -> None:
    bars = {day: _bar(100 + n, RENAMED) for n, day in enumerate(DAYS)}
    forming = bars | {DAYS[-1]: {"1. buy price": "104"}}
    imported = load(_document(series=forming), name="merged.jsonl")
    assert imported.passport.rows == 3
    assert not imported.rejects
    older = bars | {DAYS[1]: {"1. buy price": "104"}}
    with pytest.raises(Invalid, match=r"line 1: high is not a number \(bar '2024-01-03'\), received nothing"):
        load(_document(series=older), name="merged.jsonl")


@pytest.mark.slow
def test_bad_bars_are_named_by_line_and_time(load: Load) -> None:
    good = _document("MSFT", {day: _bar(100 + n, RENAMED) for n, day in enumerate(DAYS)})
    bad = _document("AAPL", {day: _bar(100 + n, RENAMED, volume=-5 if n == 2 else 1) for n, day in enumerate(DAYS)})
    with pytest.raises(Invalid, match=r"line 2: volume must not be negative \(bar '2024-01-04'\), received '-5'"):
        load(good, bad, name="merged.jsonl")
    imported = load(good, bad, name="merged.jsonl", skip_bad=True)
    assert [one.rows for one in imported.passport.series] == [4, 3]
    with pytest.raises(Invalid, match=r"prices\.json, line 2: volume must not be negative, received '-5'"):
        load(
            bad
            | {"Time Series (Daily)": {day: _bar(100 + n, volume=-5 if n == 2 else 1) for n, day in enumerate(DAYS)}}
        )


@pytest.mark.slow
def test_a_line_that_is_no_series_is_a_bad_row(load: Load) -> None:
    good = _document(series={day: _bar(100 + n, RENAMED) for n, day in enumerate(DAYS)})
    with pytest.raises(Invalid, match="line 2: a line is no series of Alpha Vantage"):
        load(good, '{"Meta Data": ', name="merged.jsonl")
    assert load(good, '{"Meta Data": ', name="merged.jsonl", skip_bad=True).passport.rows == 4
    bar_is_a_word = _document(series={DAYS[0]: "closed", DAYS[1]: _bar(1)})
    with pytest.raises(Invalid, match="line 0: bar 2024-01-02 is no object, received 'closed'"):
        load(bar_is_a_word, timeframe="1d")


def test_a_symbol_on_two_lines_is_refused(load: Load) -> None:
    one = _document(series={day: _bar(100 + n, RENAMED) for n, day in enumerate(DAYS)})
    with pytest.raises(Invalid, match=r"merged\.jsonl: AAPL stands on two lines"):
        load(one, one, name="merged.jsonl")


@pytest.mark.slow
def test_one_name_cannot_be_given_to_many_series(load: Load) -> None:
    bars = {day: _bar(100 + n, RENAMED) for n, day in enumerate(DAYS)}
    with pytest.raises(Invalid, match=r"merged\.jsonl holds series of 2 instruments, and --instrument names one"):
        load(_document("AAPL", bars), _document("MSFT", bars), name="merged.jsonl", instrument="AAPL")
    assert load(_document("AAPL"), instrument="QQQ").series[0].key[0] == "us:QQQ"


def test_an_answer_without_prices_is_quoted(load: Load) -> None:
    with pytest.raises(Invalid, match="an answer of Alpha Vantage without prices: Thank you for using"):
        load({"Information": "Thank you for using Alpha Vantage! Our standard API rate limit is 25 requests per day."})
    with pytest.raises(Invalid, match="a JSON object of no known kind"):
        load(_document(key="Time Series (Digital Currency Daily)"))
    for strange in ({"Meta Data": 5, "Time Series (Daily)": {}}, {"Meta Data": {}, "Time Series (Daily)": 7}):
        with pytest.raises(Invalid, match="a JSON object of no known kind"):
            load(strange)
    with pytest.raises(Invalid, match="no rows"):
        load(_document(series={}))


def test_a_zone_that_does_not_exist_is_refused(load: Load) -> None:
    document = _document(
        series={"2024-01-02 09:30:00": _bar(9), "2024-01-02 10:30:00": _bar(9)}, key="Time Series (60min)"
    )
    with pytest.raises(Invalid, match="no time zone 'Mars'"):
        load(document | {"Meta Data": {"2. Symbol": "EURUSD", "5. Time Zone": "Mars"}}, instrument="EURUSD")
