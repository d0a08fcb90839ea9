"""The book: who comes first, and which prices concern somebody."""

from __future__ import annotations

from tests.exchange.venue import BUY, SELL, Driver, limit, rules, stop

from gnomon.exchange.exchange import Exchange
from gnomon.exchange.order import OrderType
from gnomon.exchange.rules import Resting, Taker
from gnomon.exchange.thresholds import IDLE, NEVER_DOWN, NEVER_UP

TAPE = [(1, 100, 10, -1)]


def standing(resting: Resting = Resting.QUEUE) -> Driver:
    driver = Driver(Exchange, rules(resting=resting, taker=Taker.REST), TAPE)
    for number, price in enumerate((95, 97, 95), 1):
        driver.send(limit(BUY, price, number), 1)
    for number, price in enumerate((105, 103, 105), 1):
        driver.send(limit(SELL, price, number))
    return driver


def test_the_best_price_comes_first_and_then_the_arrival() -> None:
    book = standing().exchange.books[0]
    assert [one.number for one in book.bids] == [2, 1, 3]
    assert [one.number for one in book.asks] == [5, 4, 6]


def test_the_best_prices_stand_for_all_that_rest() -> None:
    assert standing().exchange.books[0].thresholds[:2] == (97, 103)
    assert standing(Resting.THROUGH).exchange.books[0].thresholds[:2] == (96, 104)


def test_the_nearest_stops_stand_for_all_that_wait() -> None:
    driver = Driver(Exchange, rules(), TAPE)
    for at in (110, 108):
        driver.send(stop(OrderType.STOP_LOSS, BUY, 1, stop=at), 1)
    for at in (90, 92):
        driver.send(stop(OrderType.STOP_LOSS, SELL, 1, stop=at))
    assert driver.exchange.books[0].thresholds == (NEVER_DOWN, NEVER_UP, 108, 92)
    driver.send(stop(OrderType.STOP_LOSS, SELL, 1, trailing_bips=100))
    assert driver.exchange.books[0].thresholds == (NEVER_DOWN, NEVER_UP, 101, 99)


def test_a_book_without_orders_waits_for_nothing() -> None:
    driver = Driver(Exchange, rules(), TAPE)
    assert driver.exchange.books[0].is_idle
    assert driver.exchange.books[0].thresholds == IDLE
    driver.send(limit(BUY, 90, 1), 1)
    assert not driver.exchange.books[0].is_idle
