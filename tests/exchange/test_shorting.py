"""Short sales: what is lent, what is locked for it, and what becomes of it at the close."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from tests.exchange.invariants import FillCheck, Mirror, check_books
from tests.exchange.test_runners import Run, first_difference, runs
from tests.exchange.venue import BUY, SELL, UNIT, Driver, Row, limit, listing, market, rules

from gnomon.errors import Invalid
from gnomon.exchange.exchange import Exchange
from gnomon.exchange.naive_shorting import NaiveShortingExchange
from gnomon.exchange.order import Cancel, CancelAll, Quote
from gnomon.exchange.outcome import Accepted, Filled, Margined, Refusal, Rejected, Rule
from gnomon.exchange.rules import RATE_ONE, FeeAsset, Fees, Rules, Shorting, Taker
from gnomon.exchange.shorting import ShortingExchange, next_close_ns
from gnomon.market.calendar import Hours
from gnomon.units import DAY_NS

VENUES = (ShortingExchange, NaiveShortingExchange)
both = pytest.mark.parametrize("venue", VENUES)


def shorting(cash: int = 1_000, shares: int = 0, fee: int = 0, **more: int) -> Rules:
    chosen = rules({"USD": cash, "BTC": shares}, Fees(fee, fee, FeeAsset.QUOTE), level_lots=50)
    return replace(chosen, shorting=Shorting(**more))


def desk(venue: type, rows: list[Row], chosen: Rules | None = None, **more: object) -> Driver:
    return Driver(venue, chosen or shorting(), rows, listing(may_short=True, **more))


def days(*prices: int) -> list[Row]:
    """A print of each price a day, after two at 100."""
    return [(1, 100, 50, 1), (2, 100, 50, -1), *((n * DAY_NS + 5, price, 50, 1) for n, price in enumerate(prices, 1))]


def state(driver: Driver) -> tuple[int, int, int, int]:
    """Free and locked quote, shares lent, in wholes; and shares held."""
    ledger = driver.exchange.ledger
    ledger.check()
    held = ledger.free[0] + ledger.locked[0]
    return ledger.free[1] // UNIT, ledger.locked[1] // UNIT, ledger.borrowed[0] // UNIT, held // UNIT


@both
def test_a_sale_beyond_the_holding_locks_its_proceeds_and_half_of_them(venue: type) -> None:
    driver = desk(venue, days(100), shorting(shares=2))
    driver.send(market(SELL, 10), 3)
    assert state(driver) == (800, 1_200, 8, 0)  # two were held: 8 x 100 and half of it are locked
    assert isinstance(driver.outcomes[-1], Margined)


@both
def test_a_sale_that_free_money_is_no_collateral_for_is_refused(venue: type) -> None:
    driver = desk(venue, days(100))
    refused = driver.send(market(SELL, 21), 3)[0]
    assert isinstance(refused, Rejected)
    assert (refused.refusal, refused.received, refused.limit) == (Refusal.INSUFFICIENT_BALANCE, 21 * UNIT, 20 * UNIT)
    assert state(driver) == (1_000, 0, 0, 0)
    assert isinstance(driver.send(market(SELL, 20), 3)[0], Accepted)


@both
def test_an_instrument_that_may_not_be_sold_short_refuses_it_as_ever(venue: type) -> None:
    driver = Driver(venue, shorting(), days(100), listing())
    assert isinstance(driver.send(market(SELL, 1), 3)[0], Rejected)


@both
def test_a_resting_sale_locks_its_margin_and_a_cancel_frees_it(venue: type) -> None:
    driver = desk(venue, days(100))
    driver.send(limit(SELL, 110, 10), 3)
    assert state(driver) == (450, 550, 10, 10)
    driver.send(Cancel(0, 1), 4)
    assert state(driver) == (1_000, 0, 0, 0)


@both
def test_resting_sales_together_get_no_more_than_one_would(venue: type) -> None:
    driver = desk(venue, days(100))
    for _ in range(3):
        driver.send(limit(SELL, 110, 10), 3)
    assert isinstance(driver.outcomes[-1], Rejected)
    assert state(driver)[2] == 10  # of the money left (450) 9 more could be sold


@both
def test_a_purchase_is_paid_from_the_collateral_and_sets_the_rest_free(venue: type) -> None:
    driver = desk(venue, days(100))
    driver.send(market(SELL, 20), 3)
    assert state(driver) == (0, 3_000, 20, 0)
    driver.send(limit(BUY, 99, 20), 4)
    assert state(driver) == (0, 3_000, 20, 0)  # 1,980 of it in the order's lock
    driver.send(CancelAll(0), 5)
    driver.send(market(BUY, 5), 6)  # at 101
    assert state(driver) == (245, 2_250, 15, 0)


@both
def test_a_purchase_beyond_the_short_turns_it_into_a_holding(venue: type) -> None:
    driver = desk(venue, days(100))
    driver.send(market(SELL, 10), 3)
    driver.send(market(BUY, 15), 4)
    free, locked, borrowed, held = state(driver)
    assert (locked, borrowed, held) == (0, 0, 5)
    assert free == 1_000 + 1_000 - 15 * 101


@both
def test_the_close_marks_the_short_at_the_last_price_both_ways(venue: type) -> None:
    driver = desk(venue, days(110, 80))
    driver.send(market(SELL, 10), 3)
    driver.until(2 * DAY_NS)
    assert state(driver) == (350, 1_650, 10, 0)
    driver.until(3 * DAY_NS)
    assert state(driver) == (800, 1_200, 10, 0)


@both
def test_a_loan_costs_bips_of_its_worth_a_day_to_the_fees(venue: type) -> None:
    driver = desk(venue, days(100), shorting(borrow_bips_day=20))
    driver.send(market(SELL, 10), 3)
    driver.until(3 * DAY_NS)
    ledger = driver.exchange.ledger
    assert ledger.fees[1] == 3 * 2 * UNIT
    assert [one.cost for one in driver.outcomes if isinstance(one, Margined) and one.cost] == [2 * UNIT] * 3


@both
def test_below_maintenance_the_venue_buys_all_of_it_back(venue: type) -> None:
    driver = desk(venue, days(120))
    driver.send(market(SELL, 18), 3)
    assert state(driver) == (100, 2_700, 18, 0)
    driver.until(2 * DAY_NS)  # at 120: worth 2,160, to be kept 2,808, and there is 2,800
    called = [one for one in driver.outcomes if isinstance(one, Filled)][1:]
    assert called
    assert {one.rule for one in called} == {Rule.SHORT_CALL}
    assert sum(one.lots for one in called) == 18
    assert state(driver)[1:] == (0, 0, 0)


@both
def test_at_maintenance_nothing_is_called(venue: type) -> None:
    driver = desk(venue, days(119))
    driver.send(market(SELL, 18), 3)
    driver.until(3 * DAY_NS)  # 18 x 119 x 1.3 = 2,784.6, and there is 2,800
    assert state(driver) == (0, 2_800, 18, 0)


@both
def test_a_call_buys_what_all_the_money_can_pay(venue: type) -> None:
    driver = desk(venue, days(300))
    driver.send(market(SELL, 18), 3)
    driver.until(2 * DAY_NS - 1)
    called = sum(one.lots for one in driver.outcomes if isinstance(one, Filled) and one.rule is Rule.SHORT_CALL)
    assert 0 < called < 18
    assert state(driver)[2] == 18 - called


@both
def test_a_market_with_hours_marks_at_its_last_instant(venue: type) -> None:
    hours = Hours.of([(0, 100), (200, 300)])
    rows = [(1, 100, 50, 1), (2, 100, 50, -1), (50, 120, 50, 1), (250, 90, 50, 1)]
    driver = desk(venue, rows, hours=hours)
    driver.send(market(SELL, 10), 3)
    driver.until(98)
    assert state(driver)[1] == 1_500
    driver.until(99)
    assert state(driver)[1] == 1_800
    driver.until(299)
    assert state(driver)[1] == 1_350


def test_the_next_close_is_after_the_instant() -> None:
    one = listing(hours=Hours.of([(0, 100), (200, 300)]))
    assert [next_close_ns(one, False, at) for at in (0, 98, 99, 298, 299)] == [99, 99, 299, 299, 0]
    assert [next_close_ns(one, True, at) for at in (99, 100, 300)] == [100, 300, 0]
    assert next_close_ns(listing(), False, 5) == DAY_NS - 1
    assert next_close_ns(listing(), False, DAY_NS - 1) == 2 * DAY_NS - 1
    assert next_close_ns(listing(), True, DAY_NS) == 2 * DAY_NS


@both
def test_a_standing_pair_may_ask_without_a_holding(venue: type) -> None:
    driver = desk(venue, days(100))
    driver.send(Quote(0, 98, 103, 5, True, False), 3)
    assert state(driver)[2:] == (5, 5)
    driver.send(Quote(0, 0, 0, 5, True, False), 4)
    assert state(driver) == (1_000, 0, 0, 0)


def test_shorting_needs_fees_in_the_quote_and_a_maintenance_that_initial_covers() -> None:
    with pytest.raises(Invalid, match="fees in received"):
        Rules.parse({"shorting": {}})
    parsed = Rules.parse({"shorting": {"initial": "0.6", "borrow_bips_day": 3}, "fees": {"asset": "quote"}})
    assert parsed.shorting == Shorting(6 * RATE_ONE // 10, 3 * RATE_ONE // 10, 3)
    assert parsed.document()["shorting"] == {"initial": 60_000_000, "maintenance": 30_000_000, "borrow_bips_day": 3}
    assert "shorting" not in Rules().document()
    for wrong in ({"maintenance": "0.6"}, {"maintenance": "0"}, {"borrow_bips_day": -1}, {"borrow_bips_day": "2"}):
        with pytest.raises(Invalid, match="shorting"):
            Rules.parse({"shorting": wrong, "fees": {"asset": "quote"}})
    with pytest.raises(Invalid, match="no setting"):
        Rules.parse({"shorting": {"inital": "0.5"}, "fees": {"asset": "quote"}})


def test_an_asset_that_may_be_sold_short_is_traded_by_one_listing() -> None:
    with pytest.raises(Invalid, match="trades BTC too"):
        Driver(ShortingExchange, shorting(), [[], []], listing(may_short=True), listing(1, "ETH", "BTC"))


@st.composite
def short_runs(draw: st.DrawFn) -> Run:
    chosen, listings, tapes, recorded, asked = draw(runs())
    may = [draw(st.integers(0, 4)) > 0 for _ in listings]
    listings = [replace(one, quote=listings[0].quote, may_short=can) for one, can in zip(listings, may, strict=True)]
    fees = Fees(max(0, chosen.fees.maker), chosen.fees.taker, FeeAsset.QUOTE)
    maintenance = draw(st.sampled_from((1, 10_000_000, 30_000_000)))
    initial = draw(st.sampled_from((maintenance, 50_000_000, 100_000_000)))
    terms = Shorting(initial, maintenance, draw(st.sampled_from((0, 3, 500))))
    balances = dict.fromkeys(chosen.balances, 0) | {"USD": chosen.balances["USD"]}
    if draw(st.booleans()):
        balances = dict(chosen.balances)
    stretch = draw(st.sampled_from((1, 1_000)))  # some tapes last days
    tapes = [[(at * stretch, *rest) for at, *rest in tape] for tape in tapes]
    if stretch > 1:
        recorded = {}
        if chosen.fills.taker is Taker.WALK:
            chosen = replace(chosen, fills=replace(chosen.fills, taker=Taker.AUTO))
        asked = [(at * stretch, request) for at, request in asked]
    chosen = replace(chosen, fees=fees, shorting=terms, balances={name: chosen.balances["USD"] * 0 + units
                                                                  for name, units in balances.items()})  # fmt: skip
    return chosen, listings, tapes, recorded, asked


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(short_runs())
def test_both_exchanges_lend_and_call_the_same(run: Run) -> None:
    chosen, listings, tapes, recorded, asked = run
    note(f"{chosen} {listings} {tapes}")
    drivers = [Driver(kind, chosen, tapes, *listings, recorded=recorded) for kind in VENUES]
    hours = {one.number: one.hours for one in listings}
    checks = [FillCheck(driver.tapes, chosen.fills.share, hours, recorded) for driver in drivers]
    mirrors = [Mirror(driver) for driver in drivers]
    for at_ns, request in [*asked, (max([0, *(at for at, _ in asked)]) + 3 * DAY_NS, CancelAll(0))]:
        note(f"{at_ns} {request}")
        answers = []
        for driver, check, mirror in zip(drivers, checks, mirrors, strict=True):
            seen = len(driver.steps)
            driver.send(request, at_ns)
            for event, outcomes in driver.steps[seen:]:
                check.check(event, outcomes)
            check_books(driver)
            answers.append([one for _, outcomes in driver.steps[seen:] for one in outcomes])
            mirror.hear(answers[-1])
        assert answers[0] == answers[1], first_difference(answers[0], answers[1])
        assert drivers[0].balances() == drivers[1].balances()


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(runs())
def test_where_no_listing_may_be_sold_short_nothing_is_different(run: Run) -> None:
    chosen, listings, tapes, recorded, asked = run
    chosen = replace(chosen, fees=Fees(0, 100_000, FeeAsset.QUOTE), shorting=None)
    lending = replace(chosen, shorting=Shorting())
    plain = Driver(Exchange, chosen, tapes, *listings, recorded=recorded)
    other = Driver(ShortingExchange, lending, tapes, *listings, recorded=recorded)
    for at_ns, request in asked:
        assert plain.send(request, at_ns) == other.send(request, at_ns)
