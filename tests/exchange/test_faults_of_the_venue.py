"""What faults do to the venue itself: filters that change in mid-run, cancels that come too late; on both exchanges."""

from __future__ import annotations

from random import Random

import pytest
from tests.exchange.test_million_orders import request, tape
from tests.exchange.venue import BUY, SELL, Driver, Venue, limit, listing, market, rules, sequence, stop

from gnomon.exchange.exchange import Exchange, Raced, RuleChanged
from gnomon.exchange.listing import Filters
from gnomon.exchange.naive import NaiveExchange
from gnomon.exchange.order import Amend, Cancel, ListKind, OrderType, PlaceList, Quote, Status
from gnomon.exchange.outcome import Accepted, Changed, Filled, Refusal, Rejected, Role, Rule

TAPE = sequence("B 100 x 4", "S 100 x 4", "S 99 x 2", "B 101 x 3")


def driver(venue: type[Venue]) -> Driver:
    found = Driver(venue, rules(), TAPE)
    found.until(2 * 10**9)
    return found


def change(one: Driver, **filters: int) -> None:
    one._apply(RuleChanged(one.now_ns, 0, Filters(**filters)))


def test_other_filters_hold_from_their_instant_on(venue: type[Venue]) -> None:
    one = driver(venue)
    assert isinstance(one.send(limit(BUY, 93, 3))[0], Accepted)
    change(one, step_ticks=5, step_lots=2, min_notional_units=10**8 * 300)
    assert one.send(limit(BUY, 93, 4)) == [Rejected(2, Refusal.PRICE_FILTER, 93, 5)]
    assert one.send(limit(BUY, 95, 5)) == [Rejected(3, Refusal.LOT_SIZE, 5, 2)]
    assert one.send(limit(BUY, 95, 2)) == [Rejected(4, Refusal.NOTIONAL, 190 * 10**8, 300 * 10**8)]
    assert one.send(market(BUY, 3)) == [Rejected(5, Refusal.LOT_SIZE, 3, 2)]
    assert isinstance(one.send(limit(BUY, 95, 4))[0], Accepted)


def test_what_is_open_stays_as_it_is_and_may_still_be_cancelled(venue: type[Venue]) -> None:
    one = driver(venue)
    one.send(limit(BUY, 93, 3))
    change(one, step_ticks=5)
    assert one.send(Amend(0, 1, 2)) == [Rejected(2, Refusal.PRICE_FILTER, 93, 5, 1)]
    assert [type(found) for found in one.send(Cancel(0, 1))] == [Changed]


def test_a_quote_off_the_new_grid_is_refused_by_the_side(venue: type[Venue]) -> None:
    one = driver(venue)
    change(one, step_ticks=5)
    found = one.send(Quote(0, 95, 103, 2))
    assert [type(outcome).__name__ for outcome in found] == ["Quoted", "Rejected"]


def test_a_step_is_at_least_one_tick() -> None:
    with pytest.raises(Exception, match="step_ticks is 0"):
        Filters(step_ticks=0)


def test_a_listing_shows_its_step_of_ticks_only_where_it_is_more_than_one() -> None:
    assert "step_ticks" not in listing().document()["filters"]  # type: ignore[operator]  # a mapping
    assert listing(filters=Filters(step_ticks=5)).document()["filters"]["step_ticks"] == 5  # type: ignore[index]  # so is this


def test_a_resting_order_is_filled_at_its_own_price(venue: type[Venue]) -> None:
    one = driver(venue)
    one.send(limit(BUY, 95, 6))
    (fill,) = one._apply(Raced(one.now_ns, 1, 4))
    assert isinstance(fill, Filled)
    assert (fill.rule, fill.role, fill.print) == (Rule.POSTED, Role.MAKER, -1)
    assert (fill.price, fill.lots, fill.remaining, fill.status) == (95, 4, 2, Status.PARTIALLY_FILLED)
    (gone,) = one.send(Cancel(0, 1))
    assert isinstance(gone, Changed)
    assert (gone.status, gone.executed) == (Status.CANCELED, 4)


def test_a_whole_fill_makes_the_cancel_unknown(venue: type[Venue]) -> None:
    one = driver(venue)
    one.send(limit(BUY, 95, 6))
    one._apply(Raced(one.now_ns, 1, 9))
    assert one.send(Cancel(0, 1)) == [Rejected(2, Refusal.UNKNOWN_ORDER, 1, 0, 1)]


@pytest.mark.parametrize("number", [1, 2])
def test_nothing_comes_of_a_race_for_what_does_not_rest(venue: type[Venue], number: int) -> None:
    one = driver(venue)
    one.send(stop(OrderType.STOP_LOSS, SELL, 2, stop=90))
    assert one._apply(Raced(one.now_ns, number, 1)) == []


def test_those_that_wait_for_a_raced_order_begin_at_once(venue: type[Venue]) -> None:
    one = driver(venue)
    one.send(PlaceList(ListKind.OTO, (limit(BUY, 95, 2), limit(SELL, 120, 2))))
    found = one._apply(Raced(one.now_ns, 1, 2))
    assert [type(outcome).__name__ for outcome in found] == ["Filled", "Accepted"]


@pytest.mark.parametrize("seed", range(12))
def test_both_exchanges_agree_over_random_courses_with_faults(seed: int) -> None:
    def course(kind: type[Venue]) -> Driver:
        luck = Random(seed)
        tapes = [tape(luck, 400) for _ in range(2)]
        one = Driver(kind, rules({"USD": 10**6, "BTC": 10**4, "ETH": 10**4}), tapes, listing(0), listing(1, "ETH"))
        made = 0
        for at_ns in sorted(luck.randint(0, tapes[0][-1][0]) for _ in range(150)):
            instrument, dice = luck.randint(0, 1), luck.random()
            one.until(at_ns)
            last = tapes[instrument][max(0, one.passed(instrument) - 1)][1]
            if dice < 0.05:
                steps = {"step_ticks": luck.choice((1, 1, 5)), "step_lots": luck.choice((1, 2))}
                one._apply(RuleChanged(at_ns, instrument, Filters(min_notional_units=luck.choice((0, 10**9)), **steps)))
            elif dice < 0.25:
                number = luck.choice([order.number for order in one.open_orders()] or [made + 1])
                one._apply(Raced(at_ns, number, luck.randint(1, 9)), at_ns)
            else:
                one.send(request(luck, instrument, last, made), at_ns)
            made = max((order.number for order in one.open_orders()), default=made)
        one.end()
        return one

    fast, naive = course(Exchange), course(NaiveExchange)
    assert fast.outcomes == naive.outcomes
    assert fast.balances() == naive.balances()
    assert any(isinstance(one, Filled) and one.rule is Rule.POSTED for one in fast.outcomes)


def test_the_exchange_shows_the_listing_that_holds() -> None:
    one = driver(Exchange)
    change(one, step_ticks=5)
    venue = one.exchange
    assert isinstance(venue, Exchange)
    assert venue.listings[0].filters.step_ticks == 5
    assert venue.books[0].listing is venue.listings[0] is venue.books[0].purse.listing
