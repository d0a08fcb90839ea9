"""The seeded market is the specification's, to the byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from bench.workload.seeded import BAR_NS, T0_NS, Bars, Prints, bars, load, prints, save

MILLION = 1_000_000


def digest(column: np.ndarray, dtype: str) -> str:
    return hashlib.sha256(column.astype(dtype).tobytes()).hexdigest()[:16]


@pytest.fixture(scope="module")
def million_prints() -> Prints:
    return prints(MILLION)


@pytest.fixture(scope="module")
def million_bars() -> Bars:
    return bars(MILLION)


def test_a_million_prints_have_the_prices_of_the_table(million_prints: Prints) -> None:
    price = million_prints.price
    assert price[:6].tolist() == [600000, 600001, 600000, 599999, 600000, 600000]
    assert price[-3:].tolist() == [601507, 601507, 601508]
    assert (price.min(), price.max()) == (599971, 601508)
    assert digest(price, "<i8") == "90f001048b699e5e"


def test_a_million_prints_have_the_lots_of_the_table(million_prints: Prints) -> None:
    lots = million_prints.lots
    assert lots[:6].tolist() == [62, 51, 93, 60, 29, 30]
    assert lots[-3:].tolist() == [40, 20, 12]
    assert lots.sum() == 60_997_098
    assert digest(lots, "<i8") == "14293a3ae508d056"


def test_a_million_prints_have_the_aggressors_of_the_table(million_prints: Prints) -> None:
    assert million_prints.buy.sum() == 499_430
    assert digest(million_prints.buy, "u1") == "d367b075a2631fa4"
    assert million_prints.side[million_prints.buy].tolist() == [1] * 499_430
    assert set(million_prints.side[~million_prints.buy].tolist()) == {2}


def test_prints_are_fifty_milliseconds_apart(million_prints: Prints) -> None:
    assert million_prints.ts[0] == T0_NS + 50_000_000
    assert set(np.diff(million_prints.ts).tolist()) == {50_000_000}


def test_a_million_bars_have_the_closes_of_the_table(million_bars: Bars) -> None:
    assert million_bars.close[:4].tolist() == [399975, 400042, 400025, 400093]
    assert million_bars.close[-3:].tolist() == [232150, 232175, 232060]
    assert million_bars.close.min() >= 50_000


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("open", "cf6108019404ab65"),
        ("high", "4af4e5b6644e0508"),
        ("low", "4bd59f68f1c230d3"),
        ("close", "366b5ce7b93d6d40"),
    ],
)
def test_a_million_bars_have_the_bytes_of_the_table(million_bars: Bars, name: str, expected: str) -> None:
    assert digest(getattr(million_bars, name), "<i8") == expected


def test_bars_open_where_the_last_one_closed_and_hold_their_prices() -> None:
    some = bars(1_000)
    assert some.open[0] == some.close[0]
    assert (some.open[1:] == some.close[:-1]).all()
    assert (some.high >= np.maximum(some.open, some.close)).all()
    assert (some.low <= np.minimum(some.open, some.close)).all()
    assert some.open_ts[0] == T0_NS
    assert set(np.diff(some.open_ts).tolist()) == {BAR_NS}


def test_the_length_is_part_of_the_input() -> None:
    assert prints(100).price.tolist() != prints(200).price[:100].tolist()


@pytest.mark.parametrize("columns", [prints(50), bars(50)], ids=["prints", "bars"])
def test_columns_come_back_from_their_files(columns: Prints | Bars, tmp_path: Path) -> None:
    back = load(type(columns), save(columns, tmp_path / "input"))
    for name in type(columns).__slots__:
        assert getattr(back, name).tolist() == getattr(columns, name).tolist()
        assert getattr(back, name).dtype == getattr(columns, name).dtype
