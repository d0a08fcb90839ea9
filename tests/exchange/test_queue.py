"""What a print gives to the orders that rest: the worked example of the notes, column by column."""

from __future__ import annotations

from typing import Any

import pytest
from tests.exchange.venue import BUY, SELL, Driver, Venue, accepted, fills, limit, rules, sequence

from gnomon.exchange.exchange import Exchange
from gnomon.exchange.outcome import Filled, FillFlag, Rule
from gnomon.exchange.rules import SHARE_ONE, WHOLE, Resting, Taker

TAPE = sequence("S 101 x 5", "B 100 x 9", "S 100 x 4", "S 100 x 5", "S 99 x 2", "S 100 x 20")
HALF = SHARE_ONE // 2

COLUMNS: dict[str, tuple[dict[str, Any], list[list[int]]]] = {
    "queue, share 1": ({"ahead": 6, "share": SHARE_ONE}, [[], [], [], [3], [2], [5]]),
    "queue, none": ({"ahead": 6, "share": WHOLE}, [[], [], [], [10], [], []]),
    "queue, share 0.5": ({"ahead": 6, "share": HALF}, [[], [], [], [1], [1], [8]]),
    "touch, share 1": ({"resting": Resting.TOUCH, "share": SHARE_ONE}, [[], [], [4], [5], [1], []]),
    "through, none": ({"resting": Resting.THROUGH, "share": WHOLE}, [[], [], [], [], [10], []]),
}


@pytest.mark.parametrize("column", COLUMNS)
def test_the_worked_example_fills_as_the_notes_say(venue: type[Venue], column: str) -> None:
    settings, expected = COLUMNS[column]
    driver = Driver(venue, rules(**settings), TAPE)
    driver.send(limit(BUY, 100, 10), 0)
    seen = [fills(driver.until(row[0])) for row in TAPE]
    assert [[lots for _, lots in one] for one in seen] == expected
    assert {price for one in seen for price, _ in one} == {100}


def test_a_print_of_unknown_side_counts_for_both_and_is_flagged(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(ahead=6), sequence("? 100 x 9"))
    driver.send(limit(BUY, 100, 10), 0)
    (fill,) = driver.end()
    assert isinstance(fill, Filled)
    assert (fill.lots, fill.ahead_before, fill.ahead_after, fill.excess) == (3, 6, 0, 3)
    assert fill.flags == FillFlag.SIDE_UNKNOWN


def test_a_sale_is_the_mirror_image(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(ahead=6), sequence("B 99 x 5", "S 100 x 9", "B 100 x 4", "B 100 x 5", "B 101 x 2"))
    driver.send(limit(SELL, 100, 10), 0)
    outcomes = driver.end()
    assert fills(outcomes) == [(100, 3), (100, 2)]
    assert [one.rule for one in outcomes if isinstance(one, Filled)] == [Rule.MAKER_QUEUE, Rule.MAKER_THROUGH]


def test_a_print_of_the_arrivals_own_instant_does_not_fill(venue: type[Venue]) -> None:
    tape = [(5, 90, 50, -1), (5, 80, 50, -1), (6, 90, 50, -1)]
    driver = Driver(venue, rules(taker=Taker.REST), tape)
    driver.send(limit(BUY, 100, 10), 5)
    (fill,) = driver.end()
    assert isinstance(fill, Filled)
    assert fill.print == 2


def test_a_lot_of_a_print_is_never_given_out_twice(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), sequence("S 99 x 12"))
    driver.send(limit(BUY, 100, 10), 0)
    driver.send(limit(BUY, 101, 10), 0)
    assert fills(driver.end()) == [(101, 10), (100, 2)]


def test_the_people_ahead_of_two_own_orders_are_counted_once(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(ahead=6), sequence("S 100 x 10", "S 100 x 7"))
    driver.send(limit(BUY, 100, 3), 0)
    driver.send(limit(BUY, 100, 8), 0)
    assert fills(driver.until(10**9)) == [(100, 3), (100, 1)]
    assert fills(driver.end()) == [(100, 7)]


def test_without_a_share_each_order_is_filled_whole_once_the_print_exceeds_its_queue(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(ahead=6, share=WHOLE), sequence("S 100 x 6", "S 100 x 1"))
    driver.send(limit(BUY, 100, 30), 0)
    driver.send(limit(BUY, 100, 40), 0)
    assert fills(driver.until(10**9)) == []
    assert fills(driver.end()) == [(100, 30), (100, 40)]


def test_a_print_through_the_price_ends_the_queue_even_where_no_lot_of_it_is_left(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(ahead=50), sequence("S 98 x 4", "S 99 x 1"))
    driver.send(limit(BUY, 100, 4), 0)
    driver.send(limit(BUY, 99, 4), 0)
    assert fills(driver.until(10**9)) == [(100, 4)]
    assert fills(driver.end()) == [(99, 1)]


def test_the_queue_ahead_is_modelled_from_the_last_minute(venue: type[Venue]) -> None:
    second = 10**9
    tape = [(1 * second, 100, 999, 1), (30 * second, 100, 8, 1), (40 * second, 101, 5, -1), (61 * second, 102, 9, 1)]
    driver = Driver(venue, rules(ahead=-1, taker=Taker.REST), tape)
    at_price = accepted(driver.send(limit(BUY, 100, 1), 61 * second))
    elsewhere = accepted(driver.send(limit(BUY, 90, 1)))
    assert (at_price.ahead, elsewhere.ahead) == (8, 8)  # printed there; else ceil((8 + 5 + 9) / 3)


def test_a_print_that_concerns_nothing_need_not_be_told(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), sequence("B 100 x 9", "S 101 x 5", "S 100 x 4"))
    driver.send(limit(BUY, 100, 4), 0)
    driver.end()
    told = 1 if venue is Exchange else 3
    assert len(driver.steps) == 1 + told
