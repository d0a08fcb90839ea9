"""Takers by later prints: what they share, how long they stand, and what becomes of the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.exchange.venue import BUY, SELL, UNIT, Driver, Row, Venue, fills, limit, market, prints, refusal, rules, stop
from tests.replay.scene import ground, plan, recorded
from tests.replay.scene import rules as scene_rules

from gnomon.exchange.exchange import Exchange
from gnomon.exchange.liquidity import Best
from gnomon.exchange.order import Amend, Cancel, OrderType, Quote, SelfTrade, Status, TimeInForce
from gnomon.exchange.outcome import Accepted, Changed, Filled, FillFlag, QuoteKind, Refusal, Role, Rule
from gnomon.exchange.rules import SHARE_ONE, WHOLE, FeeAsset, Fees, Fills, Resting, Taker
from gnomon.replay.explain import explain_fill
from gnomon.replay.run import play
from gnomon.trader.orders import OrderRequest
from gnomon.trader.trader import Strategy

IOC, FOK = TimeInForce.IOC, TimeInForce.FOK
TAPE: list[Row] = [
    (1, 100, 9, -1),
    (5, 100, 4, -1),  # a seller's: not for a buyer
    (6, 101, 4, 1), (6, 102, 6, 1), (6, 101, 5, -1),
    (8, 103, 8, 0),
    (9, 104, 8, 1),
    (20, 105, 50, 1),
]  # fmt: skip


def driver(venue: type[Venue], tape: list[Row] = TAPE, **how: Any) -> Driver:
    return Driver(venue, rules(**{"taker": Taker.NEXT_PRINT, "taker_timeout_ns": 10, "max_levels": 3} | how), tape)


def test_a_market_order_shares_the_later_prints_of_its_side(venue: type[Venue]) -> None:
    course = driver(venue)
    (accepted,) = course.send(market(BUY, 20), 1)
    assert isinstance(accepted, Accepted)
    assert accepted.lock == 103 * 20 * UNIT  # three ticks above the last print
    outcomes = course.until(30)
    assert fills(outcomes) == [(101, 4), (102, 6), (103, 8)]  # 104 is beyond what it locked
    assert outcomes[-1] == Changed(1, Status.EXPIRED, 18, 2, 103 * 20 * UNIT - (404 + 612 + 824) * UNIT, 25)
    first = outcomes[0]
    assert isinstance(first, Filled)
    assert (first.rule, first.role, first.print, first.excess, first.share_cap) == (
        Rule.TAKER_PRINT, Role.TAKER, 2, 4, 4
    )  # fmt: skip
    assert first.quote_kind is QuoteKind.NONE
    assert [one.flags for one in outcomes if isinstance(one, Filled)] == [0, 0, FillFlag.SIDE_UNKNOWN]


def test_a_seller_has_no_price_below_which_it_stops(venue: type[Venue]) -> None:
    course = driver(venue, [(1, 100, 9, 1), (5, 60, 4, -1), (6, 100, 9, 1), (8, 40, 9, -1)])
    course.send(market(SELL, 10), 1)
    assert fills(course.until(30)) == [(60, 4), (40, 6)]


@pytest.mark.parametrize(
    ("share", "expected"), [(SHARE_ONE // 2, [(101, 2), (102, 3), (103, 4)]), (WHOLE, [(101, 20)])]
)
def test_up_to_the_share_of_each(venue: type[Venue], share: int, expected: list[tuple[int, int]]) -> None:
    course = driver(venue, share=share)
    course.send(market(BUY, 20), 1)
    assert fills(course.until(30)) == expected


def test_the_prints_of_the_last_instant_count(venue: type[Venue]) -> None:
    course = driver(venue, taker_timeout_ns=5)
    course.send(market(BUY, 20), 1)
    assert fills(course.until(30)) == [(101, 4), (102, 6)]
    course = driver(venue, taker_timeout_ns=4)
    course.send(market(BUY, 20), 1)
    assert fills(course.until(30)) == []


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (limit(BUY, 110, 20, tif=IOC), [(101, 4), (102, 6)]),
        (limit(BUY, 101, 20, tif=IOC), [(101, 4)]),
        (limit(BUY, 100, 20, tif=IOC), []),  # the first instant is used up, whatever its price
        (limit(BUY, 110, 10, tif=FOK), [(101, 4), (102, 6)]),
        (limit(BUY, 110, 7, tif=FOK), [(101, 4), (102, 3)]),
        (limit(BUY, 110, 11, tif=FOK), []),
        (limit(BUY, 101, 5, tif=FOK), []),
    ],
)
def test_what_cannot_rest_has_the_first_instant_alone(venue: type[Venue], place: Any, expected: Any) -> None:
    course = driver(venue)
    course.send(place, 1)
    outcomes = course.until(7)
    assert fills(outcomes) == expected
    done = sum(lots for _, lots in expected)
    if done < place.lots:
        assert isinstance(outcomes[-1], Changed)
        assert (outcomes[-1].status, outcomes[-1].reason) == (Status.EXPIRED, Refusal.NO_LIQUIDITY)
    assert course.open_orders() == []
    assert course.locked("USD") == 0


def test_a_limit_that_takes_rests_with_what_is_left(venue: type[Venue]) -> None:
    course = driver(venue, [*TAPE, (21, 101, 30, -1)])
    course.send(limit(BUY, 102, 20), 1)
    assert fills(course.until(7)) == [(101, 4), (102, 6)]
    assert [one.remaining for one in course.open_orders()] == [10]
    (last,) = [one for one in course.until(30) if isinstance(one, Filled)]
    assert (last.rule, last.role, last.price, last.lots) == (Rule.MAKER_THROUGH, Role.MAKER, 102, 10)


def test_a_limit_before_the_market_rests_at_once(venue: type[Venue]) -> None:
    course = driver(venue)
    course.send(limit(BUY, 99, 20), 1)
    assert fills(course.until(30)) == []
    assert refusal(course.send(limit(BUY, 105, 1, tif=TimeInForce.GTX), 30))[0] == "WOULD_TAKE"


def test_a_triggered_stop_waits_for_prints_as_any_market_order(venue: type[Venue]) -> None:
    course = driver(venue)
    course.send(stop(OrderType.STOP_LOSS, BUY, 9, stop=102), 1)
    outcomes = course.until(30)
    assert fills(outcomes) == [(103, 8), (104, 1)]  # after the instant of its trigger
    assert course.locked("USD") == 0


def test_by_quote_amount_it_never_spends_more(venue: type[Venue]) -> None:
    course = driver(venue, fees=Fees(0, 100_000, FeeAsset.QUOTE))
    (accepted,) = course.send(market(BUY, quote_units=1_010 * UNIT), 1)
    assert isinstance(accepted, Accepted)
    assert accepted.lock == 1_010 * UNIT + 101 * UNIT // 100
    outcomes = course.until(30)
    assert fills(outcomes) == [(101, 4), (102, 5)]
    assert course.locked("USD") == 0


def test_no_print_no_funds_no_market_order(venue: type[Venue]) -> None:
    assert refusal(driver(venue).send(market(BUY, 1), 0))[0] == "NO_LIQUIDITY"
    poor = driver(venue, balances={"USD": 1_029})
    assert refusal(poor.send(market(BUY, 10), 1)) == ("INSUFFICIENT_BALANCE", 1_030 * UNIT, 1_029 * UNIT)


def test_a_standing_order_can_be_cancelled_and_not_made_smaller(venue: type[Venue]) -> None:
    course = driver(venue)
    course.send(market(BUY, 20), 1)
    assert refusal(course.send(Amend(0, 1, 5), 2))[0] == "NO_CHANGE"
    (gone,) = course.send(Cancel(0, 1), 3)
    assert isinstance(gone, Changed)
    assert gone.status is Status.CANCELED
    assert course.until(30) == []


def test_two_that_stand_share_what_a_print_has(venue: type[Venue]) -> None:
    course = driver(venue)
    course.send(market(BUY, 3), 1)
    course.send(market(BUY, 9), 1)
    filled = [(one.number, one.price, one.lots) for one in course.until(30) if isinstance(one, Filled)]
    assert filled == [(1, 101, 3), (2, 101, 1), (2, 102, 6), (2, 103, 2)]


@pytest.mark.parametrize(
    ("stp", "expected"),
    [
        (SelfTrade.EXPIRE_MAKER, [(2, 101, 4), (2, 102, 6)]),
        (SelfTrade.EXPIRE_TAKER, [(2, 101, 4), (1, 102, 6), (1, 102, 4)]),
        (SelfTrade.DECREMENT, [(2, 101, 4), (1, 102, 4)]),
        (SelfTrade.NONE, [(2, 101, 4), (1, 102, 6), (2, 102, 6), (1, 102, 4)]),
    ],
)
def test_own_orders_in_its_way_are_met_before_the_print(venue: type[Venue], stp: SelfTrade, expected: Any) -> None:
    """Its ask at 102 is met when a print reaches it; the ask is served by prints, too."""
    course = driver(venue, resting=Resting.TOUCH)
    course.send(limit(SELL, 102, 10), 1)
    course.send(market(BUY, 10, stp=stp), 1)
    outcomes = course.until(8)
    filled = [(one.number, one.price, one.lots) for one in outcomes if isinstance(one, Filled)]
    assert filled == expected
    used: dict[int, int] = {}
    for one in outcomes:
        if isinstance(one, Filled) and one.print >= 0:
            used[one.print] = used.get(one.print, 0) + one.lots
    assert all(lots <= TAPE[row][2] for row, lots in used.items())
    assert course.locked("USD") == 0


def test_the_standing_pair_may_stand_for_prints_and_is_withdrawn(venue: type[Venue]) -> None:
    course = driver(venue)
    course.send(Quote(0, 102, 0, 5), 1)
    course.send(Quote(0, 99, 0, 5), 3)
    assert [one.price for one in course.open_orders()] == [99]
    course.send(Quote(0, 102, 0, 5), 5)
    assert fills(course.until(7)) == [(101, 4), (102, 1)]


def test_what_would_take_is_what_reaches_the_last_price() -> None:
    liquidity = driver(Exchange).exchange.books[0].liquidity  # type: ignore[union-attr]  # the fast one
    assert liquidity.best(0, 0) == Best(0, 0, QuoteKind.NONE)
    assert liquidity.best(3, 9) == Best(101, 101, QuoteKind.NONE, 2)
    assert list(liquidity.levels(BUY, 3, 9)) == []


class Buyer(Strategy):
    """Buys by MARKET at the first print."""

    wake = {"every_nth_print": 1}  # noqa: RUF012 - class data of a strategy is written so
    lots = 20
    done = False

    def on_trade(self, desk: Any, _trade: Any) -> None:
        if not self.done:
            self.done = True
            desk.submit(OrderRequest("t:A0", BUY, lots=self.lots))


def test_the_engine_brings_the_timeout_back_in_its_time() -> None:
    second = 10**9
    tape = prints([(at * second, price, lots, side) for at, price, lots, side in TAPE])
    how = scene_rules(Fills(taker=Taker.NEXT_PRINT, taker_timeout_ns=6 * second), Fees(0, 0))
    told = play(plan(ground(tape), how), Buyer()).told
    assert [(at // second, one.price, one.lots) for at, one in told if isinstance(one, Filled)] == [
        (6, 101, 4), (6, 102, 6)
    ]  # fmt: skip
    (at, ended), = [(at, one) for at, one in told if isinstance(one, Changed)]  # fmt: skip
    assert at == 7 * second + 1  # a nanosecond on its way
    assert ended.remaining == 10
    longer = replace(how, fills=replace(how.fills, taker_timeout_ns=7 * second))
    assert len([one for _, one in play(plan(ground(tape), longer), Buyer()).told if isinstance(one, Filled)]) == 3


def test_a_fill_says_which_print_it_shared() -> None:
    second = 10**9
    tape = prints([(at * second, price, lots, side) for at, price, lots, side in TAPE])
    how = scene_rules(Fills(taker=Taker.NEXT_PRINT, taker_timeout_ns=6 * second, share=SHARE_ONE // 2), Fees(0, 0))
    where = plan(ground(tape), how)
    _, record = recorded(where, Buyer())
    said = " ".join(explain_fill(record, where.ground, 2).sentences)
    assert "Rule TAKER_PRINT: it shared a later print of its own side." in said
    assert "The print is number 3: 0.006 at 10.2, begun by a buyer." in said
    assert "Own orders had left 0.006 of it, of which the volume share gave 0.003." in said
