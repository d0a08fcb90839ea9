"""Listings: what an instrument is paid in, and scales on which every step is a whole number."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from gnomon.errors import Invalid
from gnomon.exchange.listing import Filters
from gnomon.market.instrument import AssetClass, Instrument
from gnomon.replay.listings import Traded, listings, pair_of
from gnomon.units import Grid


def instrument(symbol: str, asset_class: AssetClass = "crypto", venue: str = "BINANCE") -> Instrument:
    return Instrument(symbol, venue, asset_class, "always", Grid.of("0.01"), Grid.of("0.001"))


@pytest.mark.parametrize(
    ("symbol", "asset_class", "pair"),
    [
        ("BTCUSDT", "crypto", ("BTC", "USDT")),
        ("ETHBTC", "crypto", ("ETH", "BTC")),
        ("BTCBUSD", "crypto", ("BTC", "BUSD")),  # not BTCB in USD
        ("BTC/USDT", "crypto", ("BTC", "USDT")),
        ("btc-usd", "crypto", ("BTC", "USD")),
        ("BTC/USDT:USDT", "crypto", ("BTC", "USDT")),
        ("BTCUSDT-PERP", "crypto", ("BTC", "USDT")),
        ("SPY", "equity", ("SPY", "USD")),
        ("EURUSD", "fx_commodity", ("EUR", "USD")),
        ("XAU", "fx_commodity", ("XAU", "USD")),
        ("EUR_JPY", "fx_commodity", ("EUR", "JPY")),
    ],
)
def test_a_symbol_says_what_is_bought_and_what_is_paid(
    symbol: str, asset_class: AssetClass, pair: tuple[str, str]
) -> None:
    assert pair_of(instrument(symbol, asset_class)) == pair


@pytest.mark.parametrize("symbol", ["XYZ", "USDT"])
def test_a_symbol_that_does_not_say_is_refused_with_how_to_name_it(symbol: str) -> None:
    with pytest.raises(Invalid, match="paid in") as error:
        pair_of(instrument(symbol))
    assert "BASE/QUOTE" in str(error.value.hint)


def traded(symbol: str, tick: str, lot: str) -> Traded:
    return Traded(instrument(symbol), Grid.of(tick), Grid.of(lot))


def test_numbers_follow_the_order_and_steps_are_those_of_the_series() -> None:
    first, second = listings([traded("BTC/USDT", "0.1", "0.001"), traded("ETH/USDT", "0.01", "0.0001")])
    assert (first.number, second.number) == (0, 1)
    assert (second.tick, second.lot) == (Decimal("0.01"), Decimal("0.0001"))
    assert [one.scale for one in (first.base, first.quote, second.base)] == [8, 8, 8]


def test_an_asset_has_as_many_decimals_as_its_smallest_step_needs_in_all_listings() -> None:
    """0.000001 x 0.0001 needs ten decimals of USDT, and the other listing in USDT has them too."""
    first, second = listings([traded("BTC/USDT", "0.1", "0.001"), traded("PEPE/USDT", "0.000001", "0.0001")])
    assert first.quote == second.quote
    assert first.quote.scale == 10
    assert first.notional_unit == 10**6
    assert second.notional_unit == 1


def test_scales_beyond_eighteen_decimals_are_refused() -> None:
    with pytest.raises(Invalid, match="USDT would need 20 decimals"):
        listings([traded("PEPE/USDT", "0.0000000001", "0.0000000001")])


def test_filters_are_given_by_instrument() -> None:
    one = traded("BTC/USDT", "0.1", "0.001")
    tight = replace(Filters(), min_lots=5)
    assert listings([one], {one.instrument.id: tight})[0].filters == tight
    assert listings([one], {"other": tight})[0].filters == Filters()
