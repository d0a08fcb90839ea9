"""freqtrade's JSON, lists and objects, and what is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gnomon.errors import Invalid
from gnomon.market.candles import Candles
from gnomon.market.instrument import Instruments
from gnomon.sources.files.read import Imported, read

START = 1704067200000
ROWS = [[START + n * 3_600_000, 42000.5, 42100, 41900.25, 42050, 12.5 + n] for n in range(6)]


@pytest.fixture
def load(write: Callable[..., Path], instruments: Instruments) -> Callable[..., Imported]:
    def load_file(content: object, name: str = "BTC_USDT-1h.json", **options: object) -> Imported:
        text = content if isinstance(content, str) else json.dumps(content)
        return read(write(name, text), instruments=instruments, **options)

    return load_file


Load = Callable[..., Imported]


def test_lists_objects_and_records_are_one_content(load: Load) -> None:
    plain = load(ROWS)
    assert plain.format == "freqtrade-json"
    objects = load([dict(zip("TOHLCV", row, strict=True)) for row in ROWS])
    assert (objects.format, objects.passport.hash) == ("freqtrade-json-objects", plain.passport.hash)
    records = load([dict(zip(["date", "open", "high", "low", "close", "volume"], row, strict=True)) for row in ROWS])
    assert (records.format, records.passport.hash) == ("json-records", plain.passport.hash)
    strings = load([[row[0], *map(str, row[1:])] for row in ROWS])
    assert strings.passport.hash == plain.passport.hash
    assert load("\ufeff" + json.dumps(ROWS)).passport.hash == plain.passport.hash


def test_trades_come_as_records_too(load: Load) -> None:
    rows = [{"timestamp": START + n, "price": 1.5, "amount": 2, "side": "buy", "id": str(n)} for n in range(3)]
    imported = load(rows, "XRP_ETH-trades.json")
    assert (imported.format, imported.passport.series[0].kind, imported.passport.rows) == ("json-records", "trades", 3)


@pytest.mark.parametrize(
    ("index", "row", "said"),
    [
        (2, [START + 7_200_000, None, 1, 1, 1, 1], "line 2: open is not a finite number, received nan"),
        (2, [START + 7_200_000, "x", 1, 1, 1, 1], "line 2: open is not a number, received 'x'"),
        (2, [START + 7_200_000, float("nan"), 1, 1, 1, 1], "line 2: open is not a finite number, received nan"),
        (
            2,
            [START + 7_200_000, 42000.5, 42100, 41900.25, 42050, -1],
            "line 2: volume must not be negative, received -1.0",
        ),
        (3, [1, 2, 3], "line 3: a row is no list of 6 fields, received [1, 2, 3]"),
        (3, "words", "line 3: a row is no list of 6 fields, received words"),
        (0, [None, 42000.5, 42100, 41900.25, 42050, 1], "line 0: not a time"),
        (4, [10**400, 42000.5, 42100, 41900.25, 42050, 1], "line 4: not a time"),
        (5, [START, 42000.5, 42100, 41900.25, 42050, 99], "line 5: time comes twice with different values"),
    ],
)
def test_bad_elements_are_named_by_their_index(index: int, row: object, said: str, load: Load) -> None:
    rows = [*ROWS[:index], row, *ROWS[index + 1 :]]
    with pytest.raises(Invalid) as caught:
        load(rows)
    assert caught.value.message.startswith(f"BTC_USDT-1h.json, {said}")
    kept = load(rows, skip_bad=True)
    assert (kept.passport.rows, [reject.line for reject in kept.rejects]) == (5, [index])


def test_objects_that_are_none_are_bad_rows(load: Load) -> None:
    rows: list[object] = [dict(zip("TOHLCV", row, strict=True)) for row in ROWS]
    rows[3] = 7
    rows[4] = {"T": START + 4 * 3_600_000, "O": 1}
    with pytest.raises(Invalid, match=r"line 3: a row is no object, received 7 \(and 1 more bad row\)"):
        load(rows)
    kept = load(rows, skip_bad=True)
    assert [(one.line, one.rule) for one in kept.rejects] == [(3, "a row is no object"), (4, "high is not a number")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "an empty JSON array"),
        ("[1, 2, 3]", "a JSON array of int values"),
        ("[[1, 2]]", "a JSON array of rows with 2 fields: freqtrade's candles have 6"),
        ('[{"a": 1}]', "a JSON array of objects with the keys 'a': neither candles nor trades"),
        ("[{}]", "a JSON array of objects with the keys : neither"),
        ("[[1, 2, 3", "not JSON at line 1, column 10"),
        ("[" * 100_000, "JSON nested too deep"),
        ('{"a": 1}', "a JSON object of no known kind (keys 'a')"),
        ('{"a": ', "not JSON at line 1"),
        ('{"stream": "btcusdt@trade", "data": {}}', "recorded websocket messages"),
        ('{"topic": "orderbook.50.X", "data": {}}\n{"topic": "orderbook.50.X"}', "line 1: no message of an order book"),
    ],
)
def test_other_json_is_refused_by_name(content: str, said: str, load: Load) -> None:
    with pytest.raises(Invalid) as caught:
        load(content)
    assert said in caught.value.message


def test_a_cut_off_array_names_the_place(load: Load) -> None:
    text = json.dumps(ROWS, indent=0)
    with pytest.raises(Invalid, match=r"BTC_USDT-1h\.json: not JSON at line \d+, column \d+") as caught:
        load(text[: len(text) // 2])
    assert caught.value.detail["line"] > 1


def test_whole_seconds_and_fractions_of_milliseconds_are_epochs_too(load: Load) -> None:
    candles = load([[row[0] / 1000, *row[1:]] for row in ROWS]).series[0]
    assert isinstance(candles, Candles)
    assert int(candles.open_ns[1]) == (START + 3_600_000) * 10**6
