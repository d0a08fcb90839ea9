"""Fees: from what they are taken, how they are rounded, and what they leave of the balances."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import pytest
from tests.exchange.venue import BUY, SELL, UNIT, Driver, Row, Venue, limit, listing, market, rules

from gnomon.exchange.fees import fee_units, reserve_units
from gnomon.exchange.ledger import Account
from gnomon.exchange.outcome import Filled, Outcome
from gnomon.exchange.rules import FeeAsset, Fees

TAPE: list[Row] = [(1, 100, 10, -1), (2, 90, 50, -1), (3, 110, 50, 1)]


def charged(outcomes: list[Outcome]) -> list[tuple[int, int, int]]:
    """Fee, its asset and its rate."""
    return [(one.fee, one.fee_asset, one.rate) for one in outcomes if isinstance(one, Filled)]


@pytest.mark.parametrize(
    ("amount", "rate", "fee"), [(999, 100_000, 0), (1_999, 100_000, 1), (-1_999, 100_000, -1), (1_999, -100_000, -1)]
)
def test_a_fee_is_truncated_toward_zero(amount: int, rate: int, fee: int) -> None:
    assert fee_units(amount, rate) == fee


def test_a_fee_is_exact_whatever_its_size() -> None:
    """Beside fractions; a float of 53 bits loses units long before the largest account does."""
    chance = Random(7)
    for _ in range(2_000):
        amount, rate = chance.getrandbits(chance.randint(1, 120)), chance.randint(-500_000, 500_000)
        assert fee_units(amount, rate) == int(Fraction(amount * rate, 10**8))
        assert reserve_units(amount, rate) == max(0, -(-amount * rate // 10**8))


def test_what_is_set_aside_for_fees_is_rounded_up_and_never_less_than_nothing() -> None:
    assert reserve_units(1_999, 100_000) == 2
    assert reserve_units(1_999, -100_000) == 0


def test_by_default_a_fee_is_taken_from_what_was_received(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(fees=Fees(100_000, 200_000)), TAPE)
    assert charged(driver.send(market(BUY, 10), 1)) == [(2_000_000, 0, 200_000)]  # 0.2 % of 10 BTC
    assert charged(driver.send(market(SELL, 10))) == [(2 * UNIT, 1, 200_000)]  # 0.2 % of 1,000 USD
    driver.send(limit(BUY, 95, 10))
    assert charged(driver.until(2)) == [(1_000_000, 0, 100_000)]


def test_a_fee_in_the_quote_is_taken_from_the_notional_on_both_sides(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(fees=Fees(100_000, 200_000, FeeAsset.QUOTE)), TAPE)
    assert charged(driver.send(market(BUY, 10), 1)) == [(202_000_000, 1, 200_000)]
    assert charged(driver.send(market(SELL, 10))) == [(200_000_000, 1, 200_000)]


def test_a_rebate_is_paid_out(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(fees=Fees(-10_000, 200_000)), TAPE)
    driver.send(limit(SELL, 105, 10), 1)
    (fill,) = driver.end()
    assert isinstance(fill, Filled)
    assert (fill.fee, fill.fee_asset) == (-10_500_000, 1)
    assert driver.free("USD") == 1_001_050 * UNIT + 10_500_000


def test_a_market_buy_must_pay_its_fee_in_the_quote_too(venue: type[Venue]) -> None:
    driver = Driver(venue, rules({"USD": 1_010}, Fees(0, 100_000, FeeAsset.QUOTE)), TAPE)
    assert not charged(driver.send(market(BUY, 10), 1))
    assert charged(driver.send(market(BUY, 9))) == [(90_900_000, 1, 100_000)]


OTHER = Fees(100_000, 100_000, FeeAsset.OTHER, "BNB", 75_000_000)
LISTINGS = listing(0, "BTC"), listing(1, "BNB")


def test_a_third_asset_pays_at_a_discount_while_it_lasts_and_then_the_received_one(venue: type[Venue]) -> None:
    balances = {"USD": 10_000, "BNB": 1}
    driver = Driver(venue, rules(balances, OTHER), [TAPE, [(1, 1, 5, 1)]], *LISTINGS)
    assert charged(driver.send(market(BUY, 10), 1)) == [(75_750_000, 2, 75_000)]  # 0.075 % of 1,010 USD, at 1 USD
    assert charged(driver.send(market(BUY, 10), 2)) == [(1_000_000, 0, 100_000)]
    assert driver.free("BNB") == UNIT - 75_750_000


def test_a_third_asset_without_a_price_does_not_pay(venue: type[Venue]) -> None:
    driver = Driver(venue, rules({"USD": 10_000, "BNB": 9}, OTHER), [TAPE, [(9, 1, 5, 1)]], *LISTINGS)
    assert charged(driver.send(market(BUY, 10), 1)) == [(1_000_000, 0, 100_000)]


def test_the_price_of_the_third_asset_is_that_of_the_prints_before_in_the_total_order(venue: type[Venue]) -> None:
    """A print of a later listing at the same instant comes after ours."""
    balances = {"USD": 10_000, "BNB": 9}
    for time_ns, price in ((2, 5), (1, 7)):
        bnb: list[Row] = [(1, 5, 5, 1), (time_ns, 7, 5, 1)]
        driver = Driver(venue, rules(balances, OTHER), [TAPE, bnb], *LISTINGS)
        driver.send(limit(BUY, 90, 10), 1)
        assert charged(driver.until(2)) == [(67_500_000 // price, 2, 75_000)]


def test_a_fee_in_the_third_asset_is_truncated_once(venue: type[Venue]) -> None:
    fees = Fees(99_999_999, 99_999_999, FeeAsset.OTHER, "BNB")
    listings = listing(0, "BTC", tick="0.00000001"), listing(1, "BNB", tick="0.00000001")
    driver = Driver(venue, rules({"USD": 10, "BNB": 9}, fees), [[(1, 7, 9, 1)], [(1, 3, 5, 1)]], *listings)
    (fee, _, _), *_ = charged(driver.send(market(BUY, 1), 1))
    assert fee == 7 * UNIT * 99_999_999 // (3 * UNIT)


def test_the_quote_itself_may_be_the_asset_of_the_discount(venue: type[Venue]) -> None:
    fees = Fees(100_000, 100_000, FeeAsset.OTHER, "USD", 75_000_000)
    driver = Driver(venue, rules({"USD": 1_000}, fees), [(1, 100, 5, -1), (2, 90, 4, -1), (3, 90, 4, -1)])
    driver.send(limit(BUY, 90, 10), 1)
    assert charged(driver.end()) == [(27_000_000, 1, 75_000), (27_000_000, 1, 75_000)]
    assert driver.locked("USD") == 180 * UNIT


def test_the_postings_of_a_fill_move_what_was_traded_and_the_fee(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(fees=Fees(100_000, 200_000)), TAPE)
    driver.send(limit(BUY, 95, 10), 1)
    (fill,) = driver.until(2)
    assert isinstance(fill, Filled)
    assert [tuple(one) for one in fill.postings()] == [
        (Account.LOCKED, 1, -950 * UNIT),
        (Account.MARKET, 1, 950 * UNIT),
        (Account.MARKET, 0, -10 * UNIT),
        (Account.FREE, 0, 10 * UNIT),
        (Account.FREE, 0, -1_000_000),
        (Account.FEES, 0, 1_000_000),
    ]
