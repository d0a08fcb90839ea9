"""Refusals: the first rule that a request breaks is told with what was received and the limit; nothing else changes."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.exchange.venue import BUY, SELL, UNIT, Driver, Venue, accepted, limit, listing, market, refusal, rules, stop

from gnomon.exchange.exchange import Exchange
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
    Request,
    TimeInForce,
)
from gnomon.exchange.outcome import Accepted, Quoted, Refusal, Rejected
from gnomon.exchange.rules import Taker
from gnomon.units import INT64_MAX

TAPE = [(1, 100, 10, -1)]  # bid 100, ask 101
FILTERED = Filters(
    min_price_ticks=10,
    max_price_ticks=1_000,
    min_lots=2,
    max_lots=90,
    step_lots=2,
    market_max_lots=50,
    min_notional_units=500 * UNIT,
    max_notional_units=50_000 * UNIT,
)
STOP, STOP_LIMIT = OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT
PROFIT, MAKER = OrderType.TAKE_PROFIT, OrderType.LIMIT_MAKER

WRONG_IN_ITSELF: dict[str, tuple[Request, tuple[str, int, int]]] = {
    "unknown instrument": (limit(BUY, 100, 10, instrument=7), ("UNKNOWN_INSTRUMENT", 7, 0)),
    "negative lots": (limit(BUY, 100, -4), ("BAD_COMBINATION", -4, 0)),
    "negative price": (limit(BUY, -1, 10), ("BAD_COMBINATION", -1, 0)),
    "zero lots": (limit(BUY, 100, 0), ("LOT_SIZE", 0, 0)),
    "zero price": (limit(BUY, 0, 10), ("PRICE_FILTER", 0, 0)),
    "more than an int64": (limit(BUY, 100, 2**63), ("BAD_COMBINATION", INT64_MAX, 0)),
    "huge lots": (limit(BUY, 100, INT64_MAX - 1), ("LOT_SIZE", INT64_MAX - 1, 90)),
    "price below the smallest": (limit(BUY, 9, 10), ("PRICE_FILTER", 9, 10)),
    "price above the greatest": (limit(BUY, 1_001, 10), ("PRICE_FILTER", 1_001, 1_000)),
    "stop above the greatest": (stop(STOP, BUY, 10, stop=1_001), ("PRICE_FILTER", 1_001, 1_000)),
    "too few lots": (limit(BUY, 1_000, 1), ("LOT_SIZE", 1, 2)),
    "too many lots": (limit(BUY, 100, 92), ("LOT_SIZE", 92, 90)),
    "off the step": (limit(BUY, 100, 11), ("LOT_SIZE", 11, 2)),
    "too many for a market order": (market(BUY, 52), ("MARKET_LOT_SIZE", 52, 50)),
    "too small a notional": (limit(BUY, 100, 4), ("NOTIONAL", 400 * UNIT, 500 * UNIT)),
    "too small a notional at the last price": (market(BUY, 4), ("NOTIONAL", 400 * UNIT, 500 * UNIT)),
    "too small a quote amount": (market(BUY, quote_units=499 * UNIT), ("NOTIONAL", 499 * UNIT, 500 * UNIT)),
    "too great a notional": (limit(BUY, 1_000, 60), ("NOTIONAL", 60_000 * UNIT, 50_000 * UNIT)),
    "too small a delta": (stop(STOP, SELL, 10, trailing_bips=9), ("TRAILING_DELTA", 9, 10)),
    "too great a delta": (stop(STOP, SELL, 10, trailing_bips=2_001), ("TRAILING_DELTA", 2_001, 2_000)),
    "a market order with a price": (market(BUY, 10, price=100), ("BAD_COMBINATION", 100, 0)),
    "a market order with both sizes": (market(BUY, 10, quote_units=1_000 * UNIT), ("BAD_COMBINATION", 10, 0)),
    "a limit order by quote amount": (limit(BUY, 100, 0, quote_units=5), ("BAD_COMBINATION", 0, 0)),
    "a limit order with a stop": (limit(BUY, 100, 10, stop=110), ("BAD_COMBINATION", 110, 0)),
    "a stop without a stop": (stop(STOP, BUY, 10), ("BAD_COMBINATION", 0, 0)),
    "a market order that rests": (market(BUY, 10, tif=TimeInForce.IOC), ("BAD_COMBINATION", 2, 0)),
    "a post-only stop": (
        stop(STOP_LIMIT, BUY, 10, stop=110, price=110, tif=TimeInForce.GTX),
        ("BAD_COMBINATION", 4, 0),
    ),
    "a maker order at once": (stop(MAKER, BUY, 10, price=99, tif=TimeInForce.FOK), ("BAD_COMBINATION", 3, 0)),
}


@pytest.mark.parametrize("case", WRONG_IN_ITSELF)
def test_what_is_wrong_in_itself_is_refused_with_code_value_and_limit(venue: type[Venue], case: str) -> None:
    request, expected = WRONG_IN_ITSELF[case]
    driver = Driver(venue, rules(), TAPE, listing(filters=FILTERED))
    before = driver.balances()
    assert refusal(driver.send(request, 1)) == expected
    assert driver.balances() == before
    assert driver.open_orders() == []


BESIDE_THE_MARKET: dict[str, tuple[Request, tuple[str, int, int]]] = {
    "a post-only buy at the ask": (stop(MAKER, BUY, 10, price=101), ("WOULD_TAKE", 101, 101)),
    "a post-only sale at the bid": (limit(SELL, 100, 10, tif=TimeInForce.GTX), ("WOULD_TAKE", 100, 100)),
    "a stop that is met": (stop(STOP, BUY, 10, stop=100), ("WOULD_TRIGGER", 100, 100)),
    "a stop of a sale that is met": (stop(STOP, SELL, 10, stop=101), ("WOULD_TRIGGER", 100, 101)),
    "a profit that is met": (stop(PROFIT, SELL, 10, stop=99), ("WOULD_TRIGGER", 100, 99)),
    "a profit of a buy that is met": (stop(PROFIT, BUY, 10, stop=101), ("WOULD_TRIGGER", 100, 101)),
    "a buy beyond the balance": (limit(BUY, 101, 10_000), ("INSUFFICIENT_BALANCE", 1_010_000 * UNIT, 1_000_000 * UNIT)),
    "a sale beyond the balance": (limit(SELL, 101, 1_001), ("INSUFFICIENT_BALANCE", 1_001 * UNIT, 1_000 * UNIT)),
    "a market sale beyond the balance": (market(SELL, 1_001), ("INSUFFICIENT_BALANCE", 1_001 * UNIT, 1_000 * UNIT)),
    "a cancel of nothing": (Cancel(0, 5), ("UNKNOWN_ORDER", 5, 0)),
    "a cancel of no client": (Cancel(0, 0, 5), ("UNKNOWN_ORDER", 5, 0)),
    "a cancel of all of nothing": (CancelAll(0), ("UNKNOWN_ORDER", 0, 0)),
    "an amendment of nothing": (Amend(0, 5, 1), ("UNKNOWN_ORDER", 5, 0)),
    "a replacement of nothing": (Replace(5, limit(BUY, 90, 10)), ("UNKNOWN_ORDER", 5, 0)),
    "a quote of nothing": (Quote(3, 99, 101, 5), ("UNKNOWN_INSTRUMENT", 3, 0)),
}


@pytest.mark.parametrize("case", BESIDE_THE_MARKET)
def test_what_the_market_or_the_balance_forbids_is_refused(venue: type[Venue], case: str) -> None:
    request, expected = BESIDE_THE_MARKET[case]
    driver = Driver(venue, rules(), TAPE)
    before = driver.balances()
    assert refusal(driver.send(request, 1)) == expected
    assert driver.balances() == before
    assert driver.open_orders() == []


def test_own_orders_count_for_a_post_only_order(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(taker=Taker.REST), TAPE)
    driver.send(limit(SELL, 105, 10), 1)
    assert refusal(driver.send(stop(MAKER, BUY, 10, price=106))) == ("WOULD_TAKE", 106, 105)


def test_a_market_order_finds_nothing_where_only_prints_are_known(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(taker=Taker.REST), TAPE)
    assert refusal(driver.send(market(BUY, 10), 1)) == ("NO_LIQUIDITY", 0, 0)


def test_filters_come_before_the_client_id_and_that_before_the_market(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), TAPE, listing(filters=Filters(max_lots=50)))
    driver.send(limit(BUY, 90, 10, client=1), 1)
    assert refusal(driver.send(limit(BUY, 90, 60, client=1))) == ("LOT_SIZE", 60, 50)
    assert refusal(driver.send(stop(MAKER, BUY, 10, price=101, client=1))) == ("DUPLICATE", 1, 0)


MINUTE = 60 * 10**9
RISING = [(1 * MINUTE, 50, 10, -1), (4 * MINUTE, 100, 30, -1), (9 * MINUTE, 104, 10, 1)]  # five minutes: 101 on average


@pytest.mark.parametrize("minutes", [0, 5, 60])
def test_a_limit_price_lies_in_its_band_beside_the_average_of_the_last_minutes_of_trades(
    venue: type[Venue], minutes: int
) -> None:
    average = {0: 104, 5: 104, 60: Fraction(50 * 10 + 100 * 30 + 104 * 10, 50)}[minutes]
    filters = Filters(bid_up=110_000_000, bid_down=50_000_000, ask_up=500_000_000, ask_down=90_000_000,
                      avg_price_mins=minutes)  # fmt: skip
    for side, down, up in ((BUY, Fraction(1, 2), Fraction(11, 10)), (SELL, Fraction(9, 10), Fraction(5))):
        least, most = ceil(average * down), floor(average * up)
        for price, limit_ in ((least - 1, least), (least, 0), (most, 0), (most + 1, most)):
            driver = Driver(venue, rules(taker=Taker.REST), RISING, listing(filters=filters))
            told = driver.send(limit(side, price, 1), 10 * MINUTE)
            if limit_:
                assert refusal(told) == ("PERCENT_PRICE_BY_SIDE", price, limit_), (side, price)
            else:
                assert not [one for one in told if isinstance(one, Rejected)
                            and one.refusal is not Refusal.INSUFFICIENT_BALANCE], (side, price)  # fmt: skip


def test_a_band_is_that_of_both_sides_of_a_pair_and_of_a_stops_limit_and_asks_nothing_of_a_market_order(
    venue: type[Venue],
) -> None:
    filters = Filters(bid_up=110_000_000, bid_down=90_000_000, ask_up=110_000_000, ask_down=90_000_000)
    driver = Driver(venue, rules(), TAPE, listing(filters=filters))
    assert refusal(driver.send(stop(STOP_LIMIT, BUY, 10, stop=105, price=111), 1)) == ("PERCENT_PRICE", 111, 110)
    told = driver.send(Quote(0, 89, 110, 5, True, False))
    assert [(one.refusal.name, one.received, one.limit) for one in told if isinstance(one, Rejected)] == [
        ("PERCENT_PRICE", 89, 90)
    ]
    assert isinstance(driver.send(Quote(0, 90, 0, 5, True, False))[-1], Quoted)
    assert not [one for one in driver.send(market(BUY, 1)) if isinstance(one, Rejected)]
    before = Driver(venue, rules(), [(5, 100, 10, -1)], listing(filters=filters))
    assert isinstance(before.send(limit(BUY, 3, 10), 1)[0], Accepted), "nothing was traded yet"


def test_bands_that_there_are_not_go_without_saying() -> None:
    assert "bid_up" not in Filters().document()
    assert Filters(bid_up=5).document()["ask_down"] == 0
    assert (Filters(bid_up=5, ask_up=5).is_by_side, Filters(bid_up=5).is_by_side) == (False, True)


def test_a_client_id_is_free_again_when_its_order_has_ended(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), TAPE)
    driver.send(limit(BUY, 90, 10, client=1), 1)
    driver.send(Cancel(0, client=1))
    assert isinstance(driver.send(limit(BUY, 90, 10, client=1))[0], Accepted)


def test_orders_are_counted_by_instrument_and_with_the_new_one(venue: type[Venue]) -> None:
    filters = Filters(max_orders=2, max_stop_orders=1)
    listings = listing(0, "BTC", filters=filters), listing(1, "ETH", filters=filters)
    driver = Driver(venue, rules(), [TAPE, TAPE], *listings)
    driver.send(limit(BUY, 90, 1, instrument=1), 1)
    driver.send(stop(STOP, BUY, 1, stop=110))
    assert refusal(driver.send(stop(STOP, BUY, 1, stop=110))) == ("MAX_STOP_ORDERS", 2, 1)
    driver.send(limit(BUY, 90, 1))
    assert refusal(driver.send(limit(BUY, 90, 1))) == ("MAX_ORDERS", 3, 2)


def pair(side: int, profit: int, loss: int, **more: int) -> PlaceList:
    of = BUY if side == BUY else SELL
    legs = (stop(MAKER, of, 10, price=profit), stop(STOP, of, more.get("lots", 10), stop=loss))
    return PlaceList(ListKind.OCO, legs)


PAIRS: dict[str, tuple[PlaceList, tuple[str, int, int]]] = {
    "a profit below the last price": (pair(SELL, 99, 90), ("LIST_PRICES", 99, 100)),
    "a stop above the last price": (pair(SELL, 110, 101), ("LIST_PRICES", 101, 100)),
    "a profit of a buy above": (pair(BUY, 101, 110), ("LIST_PRICES", 101, 100)),
    "a stop of a buy below": (pair(BUY, 90, 99), ("LIST_PRICES", 99, 100)),
    "two quantities": (pair(SELL, 110, 90, lots=9), ("BAD_COMBINATION", 10, 9)),
    "two profits": (
        PlaceList(ListKind.OCO, (stop(MAKER, SELL, 10, price=110), stop(PROFIT, SELL, 10, stop=120))),
        ("BAD_COMBINATION", 3, 6),
    ),
    "one leg": (PlaceList(ListKind.OCO, (stop(MAKER, SELL, 10, price=110),)), ("BAD_COMBINATION", 1, 1)),
    "legs of one client id": (
        PlaceList(ListKind.OCO, (stop(MAKER, SELL, 10, price=110, client=3), stop(STOP, SELL, 10, stop=90, client=3))),
        ("DUPLICATE", 3, 0),
    ),
}


@pytest.mark.parametrize("case", PAIRS)
def test_a_pair_with_a_bad_side_is_refused_whole(venue: type[Venue], case: str) -> None:
    request, expected = PAIRS[case]
    driver = Driver(venue, rules(), TAPE)
    assert refusal(driver.send(request, 1)) == expected
    assert driver.open_orders() == []
    assert driver.locked("BTC") == driver.locked("USD") == 0


def test_both_legs_of_a_pair_count_as_open_orders(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), TAPE, listing(filters=Filters(max_orders=1)))
    assert refusal(driver.send(pair(SELL, 110, 90), 1)) == ("MAX_ORDERS", 2, 1)


def test_an_order_that_was_filled_cannot_be_cancelled_and_nothing_changes(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), [*TAPE, (2, 80, 50, -1)])
    number = accepted(driver.send(limit(BUY, 90, 10), 1)).number
    driver.until(2)
    before = driver.balances()
    assert refusal(driver.send(Cancel(0, number))) == ("UNKNOWN_ORDER", number, 0)
    assert driver.balances() == before


def test_a_refusal_names_the_order_that_was_meant(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), TAPE)
    (only,) = driver.send(Cancel(0, 9), 1)
    assert isinstance(only, Rejected)
    assert (only.number, only.request) == (9, 1)


def test_numbers_are_given_to_accepted_orders_alone(venue: type[Venue]) -> None:
    driver = Driver(venue, rules(), TAPE)
    driver.send(limit(BUY, 101, 10_000), 1)
    driver.send(pair(SELL, 110, 90, lots=10))
    assert [one.number for one in driver.open_orders()] == [1, 2]
    driver.send(Place(0, SELL, OrderType.LIMIT, 2_000, 110))
    assert accepted(driver.send(limit(BUY, 90, 1))).number == 3


# --- asking without sending -----------------------------------------------------------------------------------------

places = st.builds(
    Place,
    st.just(0),
    st.sampled_from([BUY, SELL]),
    st.sampled_from(OrderType),
    st.integers(0, 100),
    st.sampled_from([0, 5, 95, 100, 101, 105, 2_000]),
    st.sampled_from([TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTX]),
    st.sampled_from([0, 95, 100, 101, 2_000]),
    st.sampled_from([0, 5, 100]),
    st.sampled_from([0, 500 * UNIT]),
    client=st.integers(0, 2),
)


@given(place=places, at_ns=st.integers(2, 6))
def test_what_would_be_refused_is_what_is_refused(place: Place, at_ns: int) -> None:
    tape = [(time_ns, price, 100, side) for time_ns, price, side in [(1, 100, -1), (3, 96, 1), (5, 104, -1)]]
    driver = Driver(Exchange, rules({"USD": 10**9, "BTC": 10**6}), tape, listing(filters=FILTERED))
    driver.send(limit(BUY, 50, 20, client=1))
    driver.until(at_ns)
    exchange = driver.exchange
    assert isinstance(exchange, Exchange)
    before = exchange.books[0].position
    broken = exchange.check(place, at_ns)
    assert exchange.books[0].position == before
    told = [one for one in driver.send(place, at_ns) if isinstance(one, Rejected)]
    if broken is not None:
        assert [(one.refusal, one.received, one.limit) for one in told] == [broken]
    else:  # what is left is what the book holds
        assert {one.refusal for one in told} <= {Refusal.NO_LIQUIDITY}


def test_an_order_may_be_asked_for_as_if_another_had_ended() -> None:
    driver = Driver(Exchange, rules(), TAPE, listing(filters=Filters(max_orders=1)))
    driver.send(limit(BUY, 90, 5, client=3))
    exchange = driver.exchange
    assert isinstance(exchange, Exchange)
    same = limit(BUY, 91, 5, client=3)
    assert exchange.check_itself(same, 1) == (Refusal.MAX_ORDERS, 2, 1)
    assert exchange.check_itself(same, 1, without=1) is None
    assert exchange.check_itself(limit(BUY, 91, 5, instrument=4), 1) == (Refusal.UNKNOWN_INSTRUMENT, 4, 0)
