"""Decimals: exact beside `decimal`, with eight places or as many as it takes."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.exchange.listing import Asset, Listing
from gnomon.serve.venue.decimals import Decimals, fixed, rounded

LISTED = Listing(0, "x:A", Asset("A"), Asset("B"), Decimal("0.05"), Decimal("0.001"))
FINE = Listing(0, "x:A", Asset("A", 10), Asset("B", 13), Decimal("0.0000000025"), Decimal("0.001"))


@given(st.integers(-(10**27), 10**27), st.integers(1, 18))
def test_fixed_writes_every_place(units: int, places: int) -> None:
    text = fixed(units, places)
    assert Decimal(text) == Decimal(units).scaleb(-places)
    assert len(text.partition(".")[2]) == places


@given(st.integers(-(10**20), 10**20), st.integers(1, 10**12))
def test_rounded_is_to_the_nearest_half_away_from_zero(numerator: int, denominator: int) -> None:
    exact = Decimal(numerator) / Decimal(denominator)
    assert rounded(numerator, denominator) == int(exact.quantize(Decimal(1), ROUND_HALF_UP))


@pytest.mark.parametrize("listing", [LISTED, FINE])
@given(ticks=st.integers(1, 10**9), lots=st.integers(0, 10**9))
def test_texts_are_the_exact_values(listing: Listing, ticks: int, lots: int) -> None:
    texts = Decimals(listing)
    for _ in range(2):  # the second time from what is kept
        assert Decimal(texts.price(ticks)) == ticks * listing.tick
        assert Decimal(texts.qty(lots)) == lots * listing.lot
    assert Decimal(texts.worth(ticks * lots)) == ticks * listing.tick * lots * listing.lot
    assert Decimal(texts.money(ticks)) == listing.quote.decimal(ticks)
    assert texts.mean_price(ticks * lots, lots) == (texts.price(ticks) if lots else texts.zero_price)


def test_places_are_eight_or_as_many_as_the_step_needs() -> None:
    plain, fine = Decimals(LISTED), Decimals(FINE)
    assert (plain.price(1), plain.qty(1), plain.worth(1)) == ("0.05000000", "0.00100000", "0.00005000")
    assert (fine.price(1), fine.qty(1), fine.worth(2)) == ("0.0000000025", "0.0010000000", "0.0000000000050")
    assert (plain.percent(-1, 3), plain.percent(5, 0)) == ("-33.333", "0.000")


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnomon.serve.venue.decimals.MOST_KEPT", 3)
    texts = Decimals(LISTED)
    assert [texts.price(one) for one in range(9)] == [fixed(one * 5, 2) + "000000" for one in range(9)]
    assert [texts.qty(one) for one in range(9)] == [fixed(one, 3) + "00000" for one in range(9)]
