"""Takers: what they find, what they pay, and how they treat their own orders in their way."""

from __future__ import annotations

import pytest
from tests.exchange.venue import (
    BUY,
    SELL,
    UNIT,
    Driver,
    Row,
    Venue,
    accepted,
    fills,
    limit,
    listing,
    market,
    refusal,
    rules,
    stop,
)

from gnomon.exchange.listing import Filters
from gnomon.exchange.order import Cancel, ListKind, OrderType, PlaceList, SelfTrade, Status, TimeInForce
from gnomon.exchange.outcome import Changed, Filled, FillFlag, Outcome, QuoteKind, Refusal, Role, Rule
from gnomon.exchange.rules import SHARE_ONE, WHOLE, Fees, Taker

TAPE: list[Row] = [(1, 100, 10, -1)]  # bid 100, ask 101


# --- the synthetic quote ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "spread", "bid", "ask"),
    [(1, 1, 99, 100), (-1, 1, 100, 101), (0, 1, 100, 101), (0, 3, 99, 102), (0, 4, 98, 102), (1, 3, 97, 100)],
)
def test_a_quote_stands_around_the_last_print(venue: type[Venue], side: int, spread: int, bid: int, ask: int) -> None:
    driver = Driver(venue, rules(spread_ticks=spread), [(1, 100, 10, side)])
    bought = driver.send(market(BUY, 1), 1)[-1]
    sold = driver.send(market(SELL, 1))[-1]
    assert isinstance(bought, Filled)
    assert isinstance(sold, Filled)
    assert (sold.price, bought.price) == (bid, ask) == (bought.best_bid, bought.best_ask)
    assert bought.quote_kind is QuoteKind.SYNTHETIC


def test_each_further_level_costs_a_tick_and_what_is_left_expires(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(level_lots=4, max_levels=3), TAPE)
    outcomes = driver.send(market(SELL, 20), 1)
    assert fills(outcomes) == [(100, 4), (99, 4), (98, 4)]
    assert outcomes[-1] == Changed(1, Status.EXPIRED, 12, 8, 0, Refusal.NO_LIQUIDITY)
    assert [one.level for one in outcomes if isinstance(one, Filled)] == [1, 2, 3]


def test_a_level_is_a_twentieth_of_the_last_hundred_prints(venue: type[Venue]) -> None:
    tape: list[Row] = [(number, 100, 1_000 if number == 1 else 7, -1) for number in range(1, 102)]
    driver = Driver(venue, rules(level_lots=-1), tape)
    assert fills(driver.send(market(BUY, 40), 101)) == [(101, 35), (102, 5)]


def test_slippage_moves_a_taker_but_never_beyond_its_limit(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(slippage_ticks=2, level_lots=4), TAPE)
    assert fills(driver.send(market(BUY, 4), 1)) == [(103, 4)]
    assert fills(driver.send(limit(SELL, 99, 6, tif=TimeInForce.IOC))) == [(99, 4), (99, 2)]


def test_a_share_bounds_what_is_taken_of_a_level(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(level_lots=5, share=SHARE_ONE // 2), TAPE)
    assert fills(driver.send(market(BUY, 4), 1)) == [(101, 2), (102, 2)]


def test_before_the_first_print_there_is_nothing_to_take(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), [(5, 100, 1, 1)])
    outcomes = driver.send(market(SELL, 1), 1)
    assert isinstance(outcomes[-1], Changed)
    assert outcomes[-1].status is Status.EXPIRED


# --- market orders by quote amount ------------------------------------------------------------------------------------


def test_a_quote_amount_buys_whole_lots_and_never_more_than_was_given(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(level_lots=4), TAPE)
    outcomes = driver.send(market(BUY, quote_units=1_000 * UNIT), 1)
    assert fills(outcomes) == [(101, 4), (102, 4), (103, 1)]  # 404 + 408 + 103 = 915, one more would be 1,018


def test_a_quote_amount_is_rounded_down_to_the_step(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(level_lots=4), TAPE, listing(filters=Filters(step_lots=5)))
    assert fills(driver.send(market(BUY, quote_units=1_000 * UNIT), 1)) == [(101, 4), (102, 1)]


def test_a_quote_amount_below_the_smallest_order_is_refused(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), TAPE, listing(filters=Filters(min_lots=3)))
    assert refusal(driver.send(market(SELL, quote_units=299 * UNIT), 1)) == ("NO_LIQUIDITY", 2, 3)


def test_a_market_buy_that_cannot_be_paid_in_full_is_refused_not_trimmed(venue: type[Venue]) -> None:
    driver = Driver(venue, rules({"USD": 1_000}, level_lots=5), TAPE)
    assert refusal(driver.send(market(BUY, 10), 1)) == ("INSUFFICIENT_BALANCE", 1_015 * UNIT, 1_000 * UNIT)
    assert fills(driver.send(market(BUY, 9))) == [(101, 5), (102, 4)]


# --- own orders in the way --------------------------------------------------------------------------------------------


def crossing(venue: type[Venue], mode: SelfTrade, lots: int = 10, **more: int) -> tuple[Driver, list[Outcome]]:
    """An own sale of 6 at 102, and a buy at 103 that meets it after 4 lots of the market at 101."""
    driver = Driver(venue, rules(level_lots=4, fees=Fees(100_000, 200_000)), TAPE)
    driver.send(limit(SELL, 102, 6), 1)
    return driver, driver.send(limit(BUY, 103, lots, stp=mode, **more))


def states(driver: Driver) -> dict[int, int]:
    return {one.number: one.remaining for one in driver.open_orders()}


def test_the_market_is_taken_first_where_it_is_better_and_the_own_order_at_its_price(venue: type[Venue]) -> None:
    driver, outcomes = crossing(venue, SelfTrade.EXPIRE_MAKER)
    assert fills(outcomes) == [(101, 4), (102, 4), (103, 2)]
    assert [type(one) for one in outcomes[1:3]] == [Filled, Changed]
    assert outcomes[2] == Changed(1, Status.EXPIRED_IN_MATCH, 0, 6, 6 * UNIT)
    assert states(driver) == {}


def test_expire_taker_ends_the_arriving_order(venue: type[Venue]) -> None:
    driver, outcomes = crossing(venue, SelfTrade.EXPIRE_TAKER)
    assert fills(outcomes) == [(101, 4)]
    last = outcomes[-1]
    assert isinstance(last, Changed)
    assert (last.number, last.status, last.remaining) == (2, Status.EXPIRED_IN_MATCH, 6)
    assert states(driver) == {1: 6}


def test_expire_both_ends_both(venue: type[Venue]) -> None:
    driver, outcomes = crossing(venue, SelfTrade.EXPIRE_BOTH)
    assert fills(outcomes) == [(101, 4)]
    assert states(driver) == {}


@pytest.mark.parametrize("mode", [SelfTrade.DECREMENT, SelfTrade.TRANSFER])
def test_decrement_takes_the_smaller_remainder_from_both(venue: type[Venue], mode: SelfTrade) -> None:
    driver, outcomes = crossing(venue, mode, lots=7)
    assert fills(outcomes) == [(101, 4)]
    assert states(driver) == {1: 3}
    assert driver.open_orders()[0].prevented == 3
    assert driver.locked("BTC") == 3 * UNIT
    driver, outcomes = crossing(venue, mode, lots=12)
    assert fills(outcomes) == [(101, 4), (102, 2)]
    assert states(driver) == {}


def test_without_prevention_both_trade_at_the_resting_price_and_both_pay(venue: type[Venue]) -> None:
    _, outcomes = crossing(venue, SelfTrade.NONE)
    own = [one for one in outcomes if isinstance(one, Filled) and one.flags == FillFlag.SELF_TRADE]
    assert [(one.number, one.price, one.lots, one.role, one.rule) for one in own] == [
        (1, 102, 6, Role.MAKER, Rule.SELF),
        (2, 102, 6, Role.TAKER, Rule.SELF),
    ]
    assert [one.fee for one in own] == [612 * UNIT // 1_000, 6 * UNIT // 500]


def test_prevention_of_one_leg_ends_the_other(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(taker=Taker.REST), TAPE)
    legs = stop(OrderType.LIMIT_MAKER, SELL, 10, price=105), stop(OrderType.STOP_LOSS, SELL, 10, stop=90)
    driver.send(PlaceList(ListKind.OCO, legs), 1)
    driver.send(limit(BUY, 105, 4, stp=SelfTrade.DECREMENT))
    assert states(driver) == {1: 6}
    assert driver.locked("BTC") == 6 * UNIT


@pytest.mark.parametrize(
    ("mode", "executed"),
    [(SelfTrade.NONE, 10), (SelfTrade.EXPIRE_MAKER, 10), (SelfTrade.EXPIRE_TAKER, 0), (SelfTrade.DECREMENT, 0)],
)
def test_all_or_nothing_knows_what_prevention_would_leave(venue: type[Venue], mode: SelfTrade, executed: int) -> None:
    driver, outcomes = crossing(venue, mode, tif=TimeInForce.FOK)
    assert sum(lots for _, lots in fills(outcomes) if lots) - (6 if mode is SelfTrade.NONE else 0) == executed
    assert states(driver).get(1) == (6 if executed == 0 else None)


def test_the_taker_says_which_mode_rules(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(taker=Taker.REST), TAPE)
    driver.send(limit(SELL, 102, 6, stp=SelfTrade.EXPIRE_TAKER), 1)
    driver.send(limit(BUY, 102, 2))
    assert states(driver) == {2: 2}


def test_orders_of_another_instrument_are_not_in_the_way(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(taker=Taker.REST, share=WHOLE), [TAPE, TAPE], listing(), listing(1, "ETH"))
    number = accepted(driver.send(limit(SELL, 102, 6), 1)).number
    driver.send(limit(BUY, 103, 6, instrument=1))
    assert isinstance(driver.send(Cancel(0, number))[0], Changed)
