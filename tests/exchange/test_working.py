"""What becomes of open orders: pairs, changes, the standing quote, and the money that is locked for them."""

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
    refusal,
    rules,
    stop,
)

from gnomon.exchange.listing import Filters
from gnomon.exchange.order import (
    Amend,
    Cancel,
    CancelAll,
    ListKind,
    OrderType,
    Place,
    PlaceList,
    Quote,
    Replace,
    Side,
    Status,
    TimeInForce,
)
from gnomon.exchange.outcome import Accepted, Changed, Filled, Quoted, Refusal, Rejected, Triggered
from gnomon.exchange.rules import SHARE_ONE, FeeAsset, Fees

MAKER, STOP, STOP_LIMIT = OrderType.LIMIT_MAKER, OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT
TAPE: list[Row] = [(1, 100, 10, -1)]  # bid 100, ask 101


def pair(side: Side, profit: int, loss: int, lots: int = 10) -> PlaceList:
    return PlaceList(ListKind.OCO, (stop(MAKER, side, lots, price=profit), stop(STOP, side, lots, stop=loss)))


# --- locks ------------------------------------------------------------------------------------------------------------


def test_a_buy_locks_its_price_and_a_sale_its_lots(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), TAPE)
    assert accepted(driver.send(limit(BUY, 90, 10), 1)).lock == 900 * UNIT
    assert accepted(driver.send(limit(SELL, 110, 10))).lock == 10 * UNIT
    assert (driver.locked("USD"), driver.locked("BTC")) == (900 * UNIT, 10 * UNIT)


def test_a_buy_stop_locks_its_stop_price_and_a_trailing_one_the_last(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), TAPE)
    assert accepted(driver.send(stop(STOP, BUY, 10, stop=120), 1)).lock == 1_200 * UNIT
    assert accepted(driver.send(stop(STOP, BUY, 10, trailing_bips=100))).lock == 1_000 * UNIT
    assert accepted(driver.send(stop(STOP_LIMIT, BUY, 10, stop=120, price=125))).lock == 1_250 * UNIT


def test_a_fill_below_the_limit_sets_the_difference_free(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(level_lots=4), TAPE)
    outcomes = driver.send(limit(BUY, 103, 10), 1)
    assert [(one.price, one.lots, one.released) for one in outcomes if isinstance(one, Filled)] == [
        (101, 4, 8 * UNIT),
        (102, 4, 4 * UNIT),
        (103, 2, 0),
    ]
    assert driver.locked("USD") == 0


def test_a_cancel_sets_free_exactly_what_is_left_of_the_lock(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), [*TAPE, (2, 89, 4, -1)])
    number = accepted(driver.send(limit(BUY, 90, 10), 1)).number
    driver.until(2)
    assert driver.send(Cancel(0, number)) == [Changed(number, Status.CANCELED, 4, 6, 540 * UNIT)]
    assert driver.locked("USD") == 0


def test_a_fee_in_the_quote_is_locked_with_the_order_and_what_is_not_charged_comes_back(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(fees=Fees(100_000, 200_000, FeeAsset.QUOTE)), [*TAPE, (2, 89, 10, -1)])
    assert accepted(driver.send(limit(BUY, 90, 10), 1)).lock == 900 * UNIT + 180_000_000
    (fill,) = driver.until(2)
    assert isinstance(fill, Filled)
    assert (fill.fee, fill.released) == (90_000_000, 90_000_000)
    assert driver.locked("USD") == 0


# --- pairs ------------------------------------------------------------------------------------------------------------


def test_a_pair_has_one_lock_and_a_buy_the_larger_need(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), TAPE)
    first, second = driver.send(pair(SELL, 110, 90), 1)
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert (first.lock, second.lock, first.list) == (10 * UNIT, 0, second.list)
    bought = driver.send(pair(BUY, 90, 120))
    assert isinstance(bought[0], Accepted)
    assert bought[0].lock == 1_200 * UNIT


def test_the_first_fill_of_a_leg_even_a_part_expires_the_other(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), [*TAPE, (2, 110, 3, 1), (3, 80, 3, -1)])
    driver.send(pair(SELL, 110, 90), 1)
    outcomes = driver.end()
    assert [type(one) for one in outcomes] == [Changed, Filled]
    assert outcomes[0] == Changed(2, Status.EXPIRED, 0, 10, 0)
    assert driver.locked("BTC") == 7 * UNIT


def test_a_trigger_of_a_leg_expires_the_other_and_sells_with_the_lock_of_both(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), [*TAPE, (2, 90, 3, -1), (3, 110, 90, 1)])
    driver.send(pair(SELL, 110, 90), 1)
    outcomes = driver.end()
    assert outcomes[0] == Changed(1, Status.EXPIRED, 0, 10, 0)
    assert outcomes[1] == Triggered(2, 1, 90)
    assert fills(outcomes) == [(90, 10)]
    assert driver.locked("BTC") == 0


def test_a_buying_pair_keeps_only_what_the_remaining_leg_needs(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), [*TAPE, (2, 90, 3, -1)])
    driver.send(pair(BUY, 90, 120), 1)
    outcomes = driver.end()
    assert outcomes[0] == Changed(2, Status.EXPIRED, 0, 10, 300 * UNIT)
    assert driver.locked("USD") == 630 * UNIT


def test_cancelling_one_leg_cancels_both(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), TAPE)
    driver.send(pair(SELL, 110, 90), 1)
    assert driver.send(Cancel(0, 2)) == [
        Changed(2, Status.CANCELED, 0, 10, 0),
        Changed(1, Status.CANCELED, 0, 10, 10 * UNIT),
    ]
    assert driver.locked("BTC") == 0


# --- one after the other ----------------------------------------------------------------------------------------------


def test_a_pending_order_has_no_lock_until_the_working_one_is_filled_whole(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), [*TAPE, (2, 90, 4, -1), (3, 90, 6, -1), (4, 110, 3, 1)])
    outcomes = driver.send(PlaceList(ListKind.OTO, (limit(BUY, 90, 10), limit(SELL, 110, 10))), 1)
    assert [(one.number, one.status, one.lock) for one in outcomes if isinstance(one, Accepted)] == [
        (1, Status.NEW, 900 * UNIT),
        (2, Status.PENDING_NEW, 0),
    ]
    driver.until(2)
    assert driver.locked("BTC") == 0
    filled, triggered, begun = driver.until(3)
    assert isinstance(filled, Filled)
    assert isinstance(triggered, Triggered)
    assert isinstance(begun, Accepted)
    assert (begun.number, begun.status, begun.lock) == (2, Status.NEW, 10 * UNIT)
    assert fills(driver.end()) == [(110, 3)]


def test_a_pending_order_begins_at_once_where_the_working_one_takes(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), TAPE)
    outcomes = driver.send(PlaceList(ListKind.OTO, (limit(BUY, 101, 5), stop(STOP, SELL, 5, stop=95))), 1)
    assert [type(one) for one in outcomes] == [Accepted, Accepted, Filled, Accepted]
    assert driver.locked("BTC") == 5 * UNIT


def test_a_pending_pair_becomes_a_pair_of_one_lock(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), [*TAPE, (2, 90, 10, -1), (3, 80, 5, -1)])
    legs = pair(SELL, 110, 85).orders
    driver.send(PlaceList(ListKind.OTOCO, (limit(BUY, 90, 10), *legs)), 1)
    driver.until(2)
    assert driver.locked("BTC") == 10 * UNIT
    outcomes = driver.end()
    assert outcomes[0] == Changed(2, Status.EXPIRED, 0, 10, 0)
    assert fills(outcomes) == [(80, 10)]


def test_what_would_be_refused_when_it_begins_expires(venue: type[Venue]) -> None:
    driver = Driver(venue, rules({"USD": 10_000}), [*TAPE, (2, 90, 10, -1)])
    driver.send(PlaceList(ListKind.OTO, (limit(BUY, 90, 10), limit(SELL, 110, 11))), 1)
    last = driver.end()[-1]
    assert last == Changed(2, Status.EXPIRED, 0, 11, 0, Refusal.INSUFFICIENT_BALANCE)


def test_a_cancel_of_any_order_ends_the_list(venue: type[Venue]) -> None:
    for number in (1, 2):
        driver = Driver(venue, rules(), TAPE)
        driver.send(PlaceList(ListKind.OTO, (limit(BUY, 90, 10), limit(SELL, 110, 10))), 1)
        ended = driver.send(Cancel(0, number))
        assert {one.number: one.status for one in ended if isinstance(one, Changed)} == {
            1: Status.CANCELED,
            2: Status.CANCELED,
        }
        assert driver.open_orders() == []
        assert driver.locked("USD") == 0


WRONG_LISTS = {
    "a working order that may not rest": (limit(BUY, 90, 10, tif=TimeInForce.IOC), limit(SELL, 110, 10)),
    "a pending order elsewhere": (limit(BUY, 90, 10), limit(SELL, 110, 10, instrument=1)),
    "three of two": (limit(BUY, 90, 10), limit(SELL, 110, 10), limit(SELL, 110, 10)),
}


@pytest.mark.parametrize("case", WRONG_LISTS)
def test_a_list_of_the_wrong_orders_is_refused_whole(venue: type[Venue], case: str) -> None:
    driver = Driver(venue, rules(), TAPE)
    assert refusal(driver.send(PlaceList(ListKind.OTO, WRONG_LISTS[case]), 1))[0] == "BAD_COMBINATION"
    assert driver.open_orders() == []


# --- changes ----------------------------------------------------------------------------------------------------------


def test_an_amendment_keeps_the_place_in_the_queue(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), [*TAPE, (2, 90, 5, -1)])
    driver.send(limit(BUY, 90, 10), 1)
    driver.send(limit(BUY, 90, 10))
    assert driver.send(Amend(0, 1, 4)) == [Changed(1, Status.NEW, 0, 4, 540 * UNIT)]
    assert [(one.number, one.lots) for one in driver.end() if isinstance(one, Filled)] == [(1, 4), (2, 1)]


def test_an_amendment_keeps_the_people_ahead(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(ahead=6), [*TAPE, (2, 90, 4, -1), (3, 90, 4, -1)])
    driver.send(limit(BUY, 90, 10), 1)
    driver.until(2)
    driver.send(Amend(0, 1, 5))
    (fill,) = driver.end()
    assert isinstance(fill, Filled)
    assert (fill.ahead_before, fill.lots) == (2, 2)


def test_more_lots_or_fewer_than_are_filled_are_no_amendment(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), [*TAPE, (2, 90, 4, -1)])
    driver.send(limit(BUY, 90, 10), 1)
    driver.until(2)
    for lots in (10, 11, 4, 0, -1):
        assert refusal(driver.send(Amend(0, 1, lots))) == ("NO_CHANGE", lots, 10)


def test_a_replacement_goes_to_the_end_of_the_queue(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), [*TAPE, (2, 90, 5, -1)])
    driver.send(limit(BUY, 90, 4), 1)
    driver.send(limit(BUY, 90, 4))
    outcomes = driver.send(Replace(1, limit(BUY, 90, 4)))
    assert [type(one) for one in outcomes] == [Changed, Accepted]
    assert [(one.number, one.lots) for one in driver.end() if isinstance(one, Filled)] == [(2, 4), (3, 1)]


def test_a_replacement_that_is_wrong_in_itself_leaves_the_old_order(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), TAPE)
    driver.send(limit(BUY, 90, 4, client=1), 1)
    assert refusal(driver.send(Replace(1, limit(BUY, 90, 0)))) == ("LOT_SIZE", 0, 0)
    assert [one.number for one in driver.open_orders()] == [1]


def test_a_replacement_may_use_the_money_and_the_client_id_of_the_old_order(venue: type[Venue]) -> None:
    driver = Driver(venue, rules({"USD": 900}), TAPE)
    driver.send(limit(BUY, 90, 10, client=1), 1)
    outcomes = driver.send(Replace(1, limit(BUY, 75, 12, client=1)))
    assert accepted(outcomes).lock == 900 * UNIT


def test_a_replacement_without_funds_leaves_the_cancel_done(venue: type[Venue]) -> None:
    driver = Driver(venue, rules({"USD": 900}), TAPE)
    driver.send(limit(BUY, 90, 10), 1)
    outcomes = driver.send(Replace(1, limit(BUY, 90, 11)))
    assert [type(one) for one in outcomes] == [Changed, Rejected]
    assert driver.open_orders() == []


def test_cancelling_all_ends_each_order_once(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), TAPE)
    driver.send(limit(BUY, 90, 1), 1)
    driver.send(pair(SELL, 110, 90))
    outcomes = driver.send(CancelAll(0))
    assert [one.number for one in outcomes if isinstance(one, Changed)] == [1, 2, 3]
    assert driver.locked("BTC") == driver.locked("USD") == 0


# --- the standing quote -----------------------------------------------------------------------------------------------


def test_a_quote_is_a_cancel_and_two_orders_told_in_one(venue: type[Venue]) -> None:
    asked = Driver(venue, rules(), [*TAPE, (2, 90, 50, -1), (3, 110, 50, 1)])
    asked.send(Quote(0, 98, 103, 5, keep=False), 1)
    (quoted,) = asked.send(Quote(0, 97, 103, 5, keep=False))
    plain = Driver(venue, rules(), [*TAPE, (2, 90, 50, -1), (3, 110, 50, 1)])
    plain.send(limit(BUY, 98, 5), 1)
    plain.send(limit(SELL, 103, 5))
    parts = [Cancel(0, 1), Cancel(0, 2), limit(BUY, 97, 5), limit(SELL, 103, 5)]
    cancelled, other, bid, ask = (one for part in parts for one in plain.send(part))
    assert isinstance(quoted, Quoted)
    assert isinstance(cancelled, Changed)
    assert isinstance(other, Changed)
    assert isinstance(bid, Accepted)
    assert isinstance(ask, Accepted)
    assert (quoted.bid_gone, quoted.bid_released) == (cancelled.number, cancelled.released)
    assert (quoted.ask_gone, quoted.ask_released) == (other.number, other.released)
    assert (quoted.bid, quoted.bid_lock, quoted.bid_ahead) == (bid.number, bid.lock, bid.ahead)
    assert (quoted.ask, quoted.ask_lock, quoted.ask_ahead) == (ask.number, ask.lock, ask.ahead)
    assert asked.end() == plain.end()


def quoted(driver: Driver, quote: Quote, time_ns: int | None = None) -> Quoted:
    (told,) = (one for one in driver.send(quote, time_ns) if isinstance(one, Quoted))
    return told


def test_a_side_with_the_same_price_and_its_full_remainder_stays(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), [*TAPE, (2, 98, 2, -1)])
    quoted(driver, Quote(0, 98, 103, 5), 1)
    again = quoted(driver, Quote(0, 98, 103, 5))
    assert (again.bid, again.ask, again.bid_kept, again.ask_kept) == (1, 2, True, True)
    moved = quoted(driver, Quote(0, 98, 104, 5))
    assert (moved.bid, moved.ask, moved.bid_kept, moved.ask_gone) == (1, 3, True, 2)
    driver.until(2)
    partly = quoted(driver, Quote(0, 98, 104, 5))
    assert (partly.bid, partly.ask, partly.bid_gone, partly.bid_released) == (4, 3, 1, 294 * UNIT)


def test_a_price_of_zero_withdraws_a_side_and_a_filled_side_is_no_error(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), [*TAPE, (2, 97, 50, -1)])
    quoted(driver, Quote(0, 98, 103, 5), 1)
    driver.until(2)
    gone = quoted(driver, Quote(0, 0, 0, 5))
    assert (gone.bid, gone.ask, gone.bid_gone, gone.ask_gone, gone.ask_released) == (0, 0, 0, 2, 5 * UNIT)
    assert driver.open_orders() == []


def test_a_post_only_quote_that_would_take_is_refused_by_side(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), TAPE)
    told, rejected = driver.send(Quote(0, 101, 103, 5, post_only=True), 1)
    assert isinstance(told, Quoted)
    assert (told.bid, told.ask) == (0, 1)
    assert isinstance(rejected, Rejected)
    assert (rejected.refusal.name, rejected.received, rejected.limit) == ("WOULD_TAKE", 101, 101)


def test_the_orders_of_another_instrument_do_not_use_up_the_count_of_a_quote(venue: type[Venue]) -> None:
    filters = Filters(max_orders=2)
    listings = listing(0, "BTC", filters=filters), listing(1, "ETH", filters=filters)
    driver = Driver(venue, rules(), [TAPE, TAPE], *listings)
    driver.send(limit(BUY, 90, 1, instrument=1), 1)
    told = quoted(driver, Quote(0, 98, 103, 5))
    assert (told.bid, told.ask) == (2, 3)


# --- time in force ----------------------------------------------------------------------------------------------------


def test_an_order_at_once_takes_what_it_can_and_the_rest_expires(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(level_lots=4), TAPE)
    outcomes = driver.send(limit(BUY, 102, 10, tif=TimeInForce.IOC), 1)
    assert fills(outcomes) == [(101, 4), (102, 4)]
    last = outcomes[-1]
    assert isinstance(last, Changed)
    assert (last.status, last.executed, last.remaining) == (Status.EXPIRED, 8, 2)
    assert driver.locked("USD") == 0


def test_all_or_nothing_fills_whole_or_not_at_all(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(level_lots=4), TAPE)
    outcomes = driver.send(limit(BUY, 102, 9, tif=TimeInForce.FOK), 1)
    assert fills(outcomes) == []
    assert isinstance(outcomes[-1], Changed)
    assert fills(driver.send(limit(BUY, 102, 8, tif=TimeInForce.FOK))) == [(101, 4), (102, 4)]


def test_a_limit_takes_first_and_rests_with_the_remainder_as_a_maker(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(level_lots=4, share=SHARE_ONE), [*TAPE, (2, 101, 9, -1)])
    assert fills(driver.send(limit(BUY, 101, 10), 1)) == [(101, 4)]
    (fill,) = driver.end()
    assert isinstance(fill, Filled)
    assert (fill.lots, fill.price, fill.role) == (6, 101, 1)


def test_nothing_taken_from_a_level_is_taken_again_until_the_next_print(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(level_lots=4, max_levels=1), [*TAPE, (2, 100, 1, -1)])
    once = Place(0, BUY, OrderType.LIMIT, 3, 101, TimeInForce.IOC)
    assert fills(driver.send(once, 1)) == [(101, 3)]
    assert fills(driver.send(once)) == [(101, 1)]
    assert fills(driver.send(once)) == []
    assert fills(driver.send(once, 2)) == [(101, 3)]
