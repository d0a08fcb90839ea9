"""Instruments: rows, names, splits."""

from __future__ import annotations

from typing import Any

import pytest

from gnomon.clock import parse_instant
from gnomon.errors import Invalid, NotFound
from gnomon.market.instrument import Instrument, Instruments, Split
from gnomon.units import Grid

ROW: dict[str, Any] = {
    "symbol": "spy",
    "venue": "us",
    "asset_class": "equity",
    "calendar": "nyse",
    "tick": "0.01",
    "lot": 1,
    "stamp_zone": "America/New_York",
    "sources": {"yahoo": ["SPY", "SPY.US"], "other": "S P Y"},
    "central_banks": ["FED"],
    "earnings_of": ["AAPL", "MSFT"],
    "splits": ["2025-06-10 15:1", "2020-01-02T14:30:00Z 3:2"],
}


def test_a_row_becomes_an_instrument() -> None:
    one = Instrument.from_row(ROW)
    assert (one.id, one.symbol, one.asset_class) == ("us:SPY", "SPY", "equity")
    assert (one.tick, one.lot) == (Grid.of("0.01"), Grid.of(1))
    assert one.sources == {"yahoo": ("SPY", "SPY.US"), "other": ("S P Y",)}
    assert [split.numerator for split in one.splits] == [3, 15], "splits are in the order of time"
    assert one.forecast
    assert not one.continuous


def test_a_row_comes_back_from_its_instrument() -> None:
    one = Instrument.from_row(ROW)
    assert Instrument.from_row(one.row()) == one


def test_a_single_name_may_stand_without_a_list() -> None:
    one = Instrument.from_row(ROW | {"central_banks": "FED", "earnings_of": "AAPL", "splits": "2025-06-10 15:1"})
    assert one.central_banks == ("FED",)
    assert one.earnings_of == ("AAPL",)
    assert one.splits == (Split(parse_instant("2025-06-10"), 15, 1),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ticks": "0.01"}, "instrument SPY: unknown field 'ticks'"),
        ({"tick": None}, "instrument SPY: field 'tick' is missing"),
        ({"venue": ""}, "instrument SPY: field 'venue' is missing"),
        ({"symbol": ""}, "field 'symbol' is missing"),
        ({"asset_class": "stock"}, "instrument SPY: asset_class 'stock'"),
        ({"tick": "a cent"}, "instrument SPY: tick: not a number: 'a cent'"),
        ({"lot": 0}, "instrument SPY: lot: a grid step must be a positive decimal"),
        ({"splits": ["2025-06-10"]}, "instrument SPY: splits: not a split: '2025-06-10'"),
        ({"splits": ["2025-06-10 0:1"]}, "both sides|not a split"),
        ({"splits": ["someday 2:1"]}, "not an instant"),
        ({"sources": ["SPY"]}, "instrument SPY: sources"),
    ],
)
def test_a_faulty_row_names_the_symbol_and_the_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid, match=message) as caught:
        Instrument.from_row(ROW | change)
    assert caught.value.hint


def instruments() -> Instruments:
    eth = {
        "symbol": "ETHUSDT",
        "venue": "binance",
        "asset_class": "crypto",
        "calendar": "always",
        "tick": 0.01,
        "lot": 1,
    }
    return Instruments([Instrument.from_row(ROW), Instrument.from_row(eth | {"sources": {"yahoo": ["ETH-USD"]}})])


@pytest.mark.parametrize("name", ["SPY", "spy", "us:SPY", "US:spy", "spy.us", "s p y"])
def test_an_instrument_is_found_by_any_of_its_names(name: str) -> None:
    assert instruments().find(name).id == "us:SPY"
    assert name in instruments()


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFound) as caught:
        instruments().find("ETHUSD")
    assert caught.value.detail["nearest"] == ["ETHUSDT"]
    assert "ETHUSDT" in caught.value.hint


def test_a_symbol_stands_once_in_a_file() -> None:
    with pytest.raises(Invalid, match="stands twice"):
        Instruments([Instrument.from_row(ROW), Instrument.from_row(ROW | {"venue": "xetra"})])


def test_a_display_symbol_wins_over_a_source_name() -> None:
    taker = Instrument.from_row(ROW | {"symbol": "TAKER", "sources": {"yahoo": ["SPY"]}})
    assert Instruments([taker, Instrument.from_row(ROW)]).find("SPY").id == "us:SPY"


def test_instruments_met_by_an_import_are_added_once_and_found_by_identity() -> None:
    known = instruments()
    taken = Instrument.from_row(ROW | {"venue": "file"})
    new = Instrument.from_row(ROW | {"symbol": "NEW", "sources": {}})
    more = known.with_added([taken, new, new]).with_added([taken])
    assert [one.id for one in more] == ["us:SPY", "binance:ETHUSDT", "file:SPY", "us:NEW"]
    assert (more.find("SPY").id, more.find("file:spy").id, more.find("new").id) == ("us:SPY", "file:SPY", "us:NEW")
    assert len(known) == 2


@pytest.mark.parametrize(
    "text", ["", "instrument = 3", "[instrument]\nsymbol = 'X'", "[[instrument]\n", "[[other]]\na=1"]
)
def test_a_file_without_instruments_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="instruments file"):
        Instruments.parse(text)
