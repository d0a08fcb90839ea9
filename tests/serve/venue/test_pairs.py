"""Decimal texts of the wire and the integers behind them, beside `decimal.Decimal`."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serve.venue.courses import btc

from gnomon.exchange.listing import Asset, Listing
from gnomon.serve.venue import pairs
from gnomon.serve.venue.pairs import Pair, Scale, scale
from gnomon.serve.venue.refusal import VenueRefusal

STEPS = ["0.01", "0.001", "1", "5", "0.05", "0.00000001", "0.0000000001", "100"]


@given(step=st.sampled_from(STEPS), count=st.integers(-(10**15), 10**15))
def test_a_count_is_the_decimal_that_it_stands_for(step: str, count: int) -> None:
    of_step = Scale(Decimal(step))
    text = of_step.text(count)
    assert Decimal(text) == count * Decimal(step)
    assert len(text.partition(".")[2]) == of_step.decimals >= 8


@given(value=st.decimals(0, 10**8, places=8, allow_nan=False), step=st.sampled_from(STEPS))
def test_a_text_is_read_to_its_last_decimal(value: Decimal, step: str) -> None:
    of_step = Scale(Decimal(step))
    read = of_step.read("price", f"{value:f}")
    assert Decimal(read).scaleb(-of_step.decimals) == value


@given(step=st.sampled_from(STEPS), count=st.integers(0, 10**9))
def test_what_is_written_is_read_back(step: str, count: int) -> None:
    of_step = Scale(Decimal(step))
    value = count * of_step.step
    if value < 2**63:
        assert divmod(of_step.read("quantity", of_step.text(count)), of_step.step) == (count, 0)


@pytest.mark.parametrize("text", ["1e-05", "-1", "+1", "", ".5", "1.", " 1", "1\n", "NaN", "0x1", "1,5", "١", "1" * 21])
def test_what_is_no_decimal_has_illegal_characters(text: str) -> None:
    with pytest.raises(VenueRefusal) as refusal:
        Scale(Decimal("0.01")).read("price", text)
    assert (refusal.value.code, refusal.value.msg) == (
        -1100,
        "Illegal characters found in parameter 'price'; legal range is '^([0-9]{1,20})(\\.[0-9]{1,20})?$'.",
    )


def test_a_ninth_decimal_is_too_much_precision() -> None:
    with pytest.raises(VenueRefusal) as refusal:
        Scale(Decimal("0.01")).read("quantity", "0.123456789")
    assert (refusal.value.code, refusal.value.msg) == (-1111, "Parameter 'quantity' has too much precision.")


def test_a_finer_grid_has_its_own_decimals() -> None:
    assert Scale(Decimal("0.0000000001")).read("price", "0.0000000003") == 3


def test_a_number_beyond_int64_overflows() -> None:
    with pytest.raises(VenueRefusal) as refusal:
        Scale(Decimal("0.01")).read("price", "99999999999999999999")
    assert (refusal.value.code, refusal.value.msg) == (-1108, "Parameter 'price' overflowed.")


def test_money_of_a_finely_scaled_asset_keeps_its_decimals() -> None:
    listing = Listing(0, "x:AB", Asset("A"), Asset("B", 12), Decimal("0.0001"), Decimal("0.00000001"))
    pair = Pair(listing, "AB", 0, 1)
    assert pair.quote_units.text(listing.notional(3, 1)) == "0.000000000003"
    assert pair.base_units.text(listing.base_units(1)) == "0.00000001"


def test_a_scale_forgets_before_it_grows_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "REMEMBERED", 3)
    one = Scale(Decimal("0.01"))
    assert [one.text(count) for count in range(10)] == [f"0.{count:02d}000000" for count in range(10)]
    assert [one.read("price", f"0.0{count}") for count in range(10)] == [count * 1_000_000 for count in range(10)]
    assert len(one._texts) <= 3 >= len(one._values)
    assert scale(Decimal("0.01")) is scale(Decimal("0.010"))


def test_a_pair_knows_what_its_listing_counts_in() -> None:
    pair = Pair(btc(), "BTCUSDT", 0, 1)
    assert (pair.ticks.text(10_000), pair.lots.text(1), pair.quote_units.zero) == (
        "100.00000000",
        "0.00100000",
        "0.00000000",
    )
