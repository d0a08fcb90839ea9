"""Symbols: one a listing, plain, and found again."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.exchange.listing import Asset, Listing
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.serve.venue.symbols import Symbols


def of(*ids: str) -> Symbols:
    return Symbols(
        [
            Listing(number, one, Asset("A"), Asset("B"), Decimal("0.01"), Decimal("0.001"))
            for number, one in enumerate(ids)
        ]
    )


def test_a_listing_of_binance_keeps_its_symbol_and_others_lose_odd_characters() -> None:
    symbols = of("binance:BTCUSDT", "ftx:BTC-PERP", "freqtrade:ETH/BTC", "cme:ES=F", "AAPL")
    assert symbols.all() == ("BTCUSDT", "BTCPERP", "ETHBTC", "ESF", "AAPL")
    assert [symbols.number(one) for one in symbols.all()] == [0, 1, 2, 3, 4]


def test_two_listings_of_one_name_are_told_apart() -> None:
    assert of("binance:BTCUSDT", "okx:BTC-USDT", "x:BTCUSDT2", "x:..").all() == (
        "BTCUSDT",
        "BTCUSDT2",
        "BTCUSDT22",
        "S3",
    )


def test_an_unknown_symbol_is_refused_in_the_venues_words() -> None:
    for wrong in ("BTCUSD", "btcusdt", ""):
        with pytest.raises(VenueRefusal) as refused:
            of("binance:BTCUSDT").number(wrong)
        assert refused.value.document() == {"code": -1121, "msg": "Invalid symbol."}


@given(st.lists(st.text(max_size=8), max_size=8))
def test_symbols_are_distinct_and_lead_back(names: list[str]) -> None:
    symbols = of(*(f"venue:{one}" for one in names))
    assert len(set(symbols.all())) == len(names) == len(symbols)
    for number, symbol in enumerate(symbols.all()):
        assert symbol.isascii()
        assert symbol.isalnum()
        assert symbol == symbol.upper()
        assert symbols.number(symbol) == number == symbols.lower[symbol.lower()]
        assert symbols.symbol(number) == symbol
