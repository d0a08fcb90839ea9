"""Rates as the venue tells them."""

from __future__ import annotations

from gnomon.exchange.rules import FeeAsset, Fees
from gnomon.serve.venue import commission


def test_rates_are_decimals_and_bips() -> None:
    assert commission.rate_text(75_000) == "0.00075000"
    assert commission.rate_text(-10_000) == "-0.00010000"
    assert commission.in_bips(100_000) == 10
    assert commission.in_bips(75_000) == 7


def test_a_discount_is_there_when_another_asset_pays() -> None:
    with_bnb = Fees(asset=FeeAsset.OTHER, other="BNB", discount=75_000_000)
    assert commission.discount(with_bnb) == {
        "enabledForAccount": True,
        "enabledForSymbol": True,
        "discountAsset": "BNB",
        "discount": "0.75000000",
    }
    assert commission.discount(Fees())["enabledForAccount"] is False
    assert commission.of_order(Fees())["taxCommissionForOrder"] == {"maker": "0.00000000", "taker": "0.00000000"}
    assert commission.rates(Fees(1, 2))["taker"] == "0.00000002"
