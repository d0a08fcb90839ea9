"""Names of instruments and forecasters, as readers write them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gnomon.errors import Invalid, NotFound
from gnomon.market.instrument import Instruments
from gnomon.serve.gateway.reading import Reading


@pytest.fixture
def reading(world: Any) -> Reading:
    return Reading.of(world.engine, world.instruments, world.clock)


def test_an_instrument_is_found_by_any_name(reading: Reading) -> None:
    assert {reading.instrument(name).id for name in ("BTCUSDT", "btc-usd", "binance:btcusdt")} == {"binance:BTCUSDT"}


def test_an_instrument_of_a_later_import_is_found(world: Any, reading: Reading) -> None:
    with pytest.raises(NotFound, match="NEWCOIN"):
        reading.instrument("NEWCOIN")
    coin = replace(world.instruments.find("BTCUSDT"), symbol="NEWCOIN", sources={})
    world.instruments = Instruments([coin])
    world.import_bars("NEWCOIN", bars=60)
    assert reading.instrument("NEWCOIN") == coin
    assert len(reading.all_instruments()) == 26


@pytest.mark.parametrize(
    ("instrument", "symbol"), [("binance:BTCUSDT", "BTCUSDT"), ("elsewhere:XYZ", "XYZ"), ("plain", "plain")]
)
def test_an_identity_has_a_symbol_even_when_it_is_not_in_the_file(
    reading: Reading, instrument: str, symbol: str
) -> None:
    assert reading.symbol(instrument) == symbol


def test_a_forecaster_is_known_from_the_roster_or_from_what_it_issued(world: Any, reading: Reading) -> None:
    reading.require_model("chronos-2")
    with pytest.raises(Invalid, match="mine"):
        reading.require_model("mine")
    world.issue(forecaster="mine")
    reading.require_model("mine")
