"""Stops: what sets them off, how trailing ones follow, and what they do when they meet the market."""

from __future__ import annotations

import numpy as np
import pytest
from tests.exchange.venue import BUY, SELL, UNIT, Driver, Row, Venue, fills, limit, refusal, rules, sequence, stop

from gnomon.exchange.exchange import Entry, Printed
from gnomon.exchange.order import Cancel, ListKind, Order, OrderType, Place, PlaceList, Side, Status, TimeInForce
from gnomon.exchange.outcome import Changed, Filled, Refusal, Role, Rule, Triggered
from gnomon.exchange.rules import Taker
from gnomon.exchange.stops import observe, trigger_prices

LOSS, LOSS_LIMIT = OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT
PROFIT, PROFIT_LIMIT = OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT
MAKER = OrderType.LIMIT_MAKER

# Ticks of a half, so that 43,012.5 is one.
TRAILING: list[tuple[OrderType, Side, float, int, list[float]]] = [
    (LOSS_LIMIT, BUY, 44_000, 500, [40_000, 37_000, 44_000, 46_000, 42_000, 44_100]),
    (LOSS_LIMIT, SELL, 39_000, 1_000, [40_000, 41_500, 39_000, 37_000, 41_000, 36_900]),
    (PROFIT_LIMIT, BUY, 38_000, 850, [40_000, 42_000, 38_000, 37_000, 39_000, 38_000, 40_145]),
    (PROFIT_LIMIT, SELL, 42_000, 750, [40_000, 39_000, 42_000, 45_000, 44_000, 46_500, 43_012.5]),
    (LOSS_LIMIT, SELL, 0, 700, [40_000, 42_000, 39_500, 45_500, 42_315]),
]


@pytest.mark.parametrize("row", range(len(TRAILING)))
def test_a_trailing_stop_fires_where_the_table_says(venue: type[Venue], row: int) -> None:
    kind, side, at, bips, prices = TRAILING[row]
    tape = [(number + 1, int(2 * price), 1, 0) for number, price in enumerate(prices)]
    driver = Driver(venue, rules(taker=Taker.REST), tape)
    order = stop(kind, side, 1, price=80_000, stop=int(2 * at), trailing_bips=bips)
    driver.send(order, 0)
    fired = [one for one in driver.end() if isinstance(one, Triggered)]
    assert fired == [Triggered(1, len(tape) - 1, int(2 * prices[-1]))]


def test_without_a_stop_tracking_begins_with_the_last_price(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), sequence("S 100 x 1", "S 96 x 1", "S 95 x 1"))
    driver.send(stop(LOSS, SELL, 1, trailing_bips=500), 10**9)
    assert [one.position for one in driver.end() if isinstance(one, Triggered)] == [2]


CONDITIONS: dict[str, tuple[OrderType, Side, list[str], int]] = {
    "a loss of a buy waits for a rise": (LOSS, BUY, ["S 99 x 1", "B 105 x 1"], 105),
    "a loss of a sale waits for a fall": (LOSS, SELL, ["S 99 x 1", "B 95 x 1"], 95),
    "a profit of a buy waits for a fall": (PROFIT, BUY, ["S 99 x 1", "B 95 x 1"], 95),
    "a profit of a sale waits for a rise": (PROFIT, SELL, ["S 99 x 1", "S 105 x 1"], 105),
}


@pytest.mark.parametrize("case", CONDITIONS)
def test_the_last_print_of_any_side_sets_a_stop_off(venue: type[Venue], case: str) -> None:
    kind, side, texts, at = CONDITIONS[case]
    driver = Driver(venue, rules(), sequence("B 100 x 1", *texts))
    driver.send(stop(kind, side, 5, stop=at), 10**9)
    outcomes = driver.end()
    assert [one.position for one in outcomes if isinstance(one, Triggered)] == [2]
    (fill,) = (one for one in outcomes if isinstance(one, Filled))
    assert (fill.role, fill.rule, fill.lots) == (Role.TAKER, Rule.TAKER_SYNTHETIC, 5)


def test_a_gap_costs_what_the_market_gives(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), sequence("B 100 x 1", "S 80 x 1"))
    driver.send(stop(LOSS, SELL, 5, stop=95), 10**9)
    assert fills(driver.end()) == [(80, 5)]


def test_a_stop_enters_after_all_prints_of_its_instant(venue: type[Venue]) -> None:
    tape: list[Row] = [(1, 100, 1, -1), (2, 95, 1, -1), (2, 70, 9, -1), (2, 90, 3, -1), (3, 60, 9, -1)]
    driver = Driver(venue, rules(), tape)
    driver.send(stop(LOSS, SELL, 5, stop=95), 1)
    (fill,) = (one for one in driver.end() if isinstance(one, Filled))
    assert (fill.price, fill.print) == (90, 3)


def test_a_limit_of_a_stop_rests_and_is_not_filled_by_its_own_instant(venue: type[Venue]) -> None:
    tape: list[Row] = [(1, 100, 1, 1), (2, 105, 1, 1), (2, 90, 50, -1), (3, 103, 4, 1), (4, 101, 2, -1)]
    driver = Driver(venue, rules(taker=Taker.REST), tape)
    driver.send(stop(LOSS_LIMIT, BUY, 5, stop=105, price=102), 1)
    fill = driver.end()[-1]
    assert isinstance(fill, Filled)
    assert (fill.price, fill.lots, fill.print, fill.role) == (102, 2, 4, Role.MAKER)


def test_a_stop_limit_that_may_not_rest_expires(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), sequence("B 100 x 1", "B 105 x 1"))
    driver.send(stop(LOSS_LIMIT, BUY, 5, stop=105, price=102, tif=TimeInForce.IOC), 10**9)
    last = driver.end()[-1]
    assert isinstance(last, Changed)
    assert (last.status, last.reason, last.released) == (Status.EXPIRED, Refusal.NO_LIQUIDITY, 510 * UNIT)


def test_a_buy_stop_that_the_balance_cannot_pay_at_the_trigger_expires(venue: type[Venue]) -> None:
    driver = Driver(venue, rules({"USD": 1_000}), sequence("B 100 x 1", "B 150 x 1"))
    driver.send(stop(LOSS, BUY, 9, stop=105), 10**9)
    last = driver.end()[-1]
    assert isinstance(last, Changed)
    assert (last.status, last.reason) == (Status.EXPIRED, Refusal.INSUFFICIENT_BALANCE)
    assert (driver.free("USD"), driver.locked("USD")) == (1_000 * UNIT, 0)


def test_a_buy_stop_that_climbs_the_book_never_draws_on_the_lock_of_another(venue: type[Venue]) -> None:
    driver = Driver(venue, rules({"USD": 10_000}, level_lots=10), sequence("B 100 x 1", "B 102 x 1"))
    driver.send(limit(BUY, 50, 20), 10**9)
    driver.send(stop(LOSS, BUY, 30, stop=101))
    outcomes = driver.end()
    assert fills(outcomes) == [(102, 10), (103, 10), (104, 10)]
    assert [one.released for one in outcomes if isinstance(one, Filled)] == [0, 0, 0]
    assert driver.locked("USD") == 1_000 * UNIT


def test_what_a_stop_locks_more_at_its_trigger_is_told(venue: type[Venue]) -> None:
    driver = Driver(venue, rules({"USD": 10_000}), sequence("B 100 x 1", "B 150 x 1"))
    driver.send(stop(LOSS, BUY, 9, stop=105), 10**9)
    outcomes = driver.end()
    assert outcomes[1] == Changed(1, Status.NEW, 0, 9, -405 * UNIT)  # of 945 to 1,350
    assert fills(outcomes) == [(150, 9)]


def test_a_stop_cancelled_between_its_trigger_and_its_entry_does_not_enter(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), sequence("B 100 x 1", "S 80 x 1"))
    driver.send(stop(LOSS, SELL, 5, stop=95), 10**9)
    exchange = driver.exchange
    assert exchange.apply(Printed(0, 1)) == [Triggered(1, 1, 80)]
    driver.send(Cancel(0, 1), 10**9)
    assert exchange.apply(Entry(2 * 10**9, 1)) == []


def test_a_print_that_fills_one_leg_does_not_set_off_the_other(venue: type[Venue]) -> None:
    """The print is our trade first, and news to the stops after that."""
    tape = sequence("B 100 x 1", "S 120 x 1", "B 112 x 30")
    driver = Driver(venue, rules(taker=Taker.REST), tape)
    pair = PlaceList(
        ListKind.OCO, (stop(MAKER, SELL, 10, price=110), stop(LOSS_LIMIT, SELL, 10, price=90, trailing_bips=500))
    )
    driver.send(pair, 10**9)
    outcomes = driver.end()
    assert fills(outcomes) == [(110, 10)]
    assert not [one for one in outcomes if isinstance(one, Triggered)]


def test_a_stop_that_its_print_would_set_off_at_once_is_refused(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), sequence("B 100 x 1"))
    assert refusal(driver.send(stop(PROFIT_LIMIT, SELL, 5, stop=100, price=99), 10**9)) == ("WOULD_TRIGGER", 100, 100)


@pytest.mark.parametrize("kind", [OrderType.STOP_LOSS, OrderType.TAKE_PROFIT])
@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("at", [0, 990, 1_010])
@pytest.mark.parametrize("bips", [10, 55, 300])
def test_prints_between_the_trigger_prices_change_nothing(kind: OrderType, side: Side, at: int, bips: int) -> None:
    """An order told only of prints at or beyond its trigger prices is where one is that hears of every print."""
    chance = np.random.default_rng(bips + at)
    path = (1_000 + np.cumsum(chance.integers(-2, 3, 600))).tolist()
    place = Place(0, side, kind, 5, stop=at, trailing_bips=bips)
    told, told_some = Order.of(place, 0, 0), Order.of(place, 0, 0)
    heard = 0
    for price in path:
        up, down = trigger_prices(told_some)
        is_told = price >= up or price <= down
        fired = is_told and observe(told_some, price)
        heard += is_told
        assert observe(told, price) == fired
        assert (told.reference, told.is_reached) == (told_some.reference, told_some.is_reached)
        if fired:
            break
    assert heard < len(path)
