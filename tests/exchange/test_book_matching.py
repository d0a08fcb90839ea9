"""Orders and a recorded book: what takers walk, who waits before makers, and when the other side reaches them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.exchange.venue import (
    BUY,
    SELL,
    Driver,
    Message,
    Venue,
    accepted,
    fills,
    limit,
    listing,
    market,
    recording,
    refusal,
    rules,
)  # fmt: skip

from gnomon.errors import Invalid
from gnomon.exchange.exchange import Exchange
from gnomon.exchange.order import ListKind, OrderType, Place, PlaceList, Side, TimeInForce
from gnomon.exchange.outcome import Changed, Filled, QuoteKind, Role, Rule, Triggered
from gnomon.exchange.recorded import DEPTH, QUOTES, Recorded
from gnomon.exchange.rules import SHARE_ONE, WHOLE, Resting, Taker
from gnomon.market.depth import ASK, BID, CHANGE, SNAPSHOT

LEVELS = [(BID, 100, 8), (BID, 99, 5), (BID, 97, 9), (ASK, 102, 4), (ASK, 103, 6), (ASK, 106, 50)]
BOOK: list[Message] = [(10, SNAPSHOT, LEVELS)]
PRINTS = [(5, 101, 40, 1)]
QUOTED = [(7, 100, 9, 102, 3)]


def driver(
    venue: type[Venue],
    depth: Sequence[Message] = BOOK,
    quotes: Sequence[tuple[int, int, int, int, int]] = (),
    prints: Sequence[tuple[int, int, int, int]] = PRINTS,
    valid_from_ns: int = 0,
    **settings: Any,
) -> Driver:
    found = recording(quotes, depth, valid_from_ns)
    return Driver(venue, rules(**settings), list(prints), recorded={0: found})


def filled(outcomes: Sequence[Any]) -> list[Filled]:
    return [one for one in outcomes if isinstance(one, Filled)]


# --- taking -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("taker", [Taker.AUTO, Taker.WALK])
def test_a_market_order_walks_the_displayed_levels_in_price_order(venue: type[Venue], taker: Taker) -> None:
    told = driver(venue, taker=taker).send(market(BUY, 12), 20)
    assert fills(told) == [(102, 4), (103, 6), (106, 2)]
    first, *_, last = filled(told)
    assert {one.rule for one in filled(told)} == {Rule.TAKER_WALK}
    assert (first.best_bid, first.best_ask, first.quote_kind) == (100, 102, QuoteKind.RECORDED)
    assert [(one.level, one.levels) for one in filled(told)] == [(1, 3), (2, 3), (3, 3)]
    assert (last.print, last.print_price, last.print_lots, last.print_side) == (5, 106, 50, DEPTH)


def test_what_was_taken_of_a_level_is_gone_until_it_is_updated(venue: type[Venue]) -> None:
    depth: list[Message] = [*BOOK, (30, CHANGE, [(ASK, 103, 6)]), (40, CHANGE, [(ASK, 102, 2)])]
    scene = driver(venue, depth)
    assert fills(scene.send(market(BUY, 5), 20)) == [(102, 4), (103, 1)]
    assert fills(scene.send(market(BUY, 6), 25)) == [(103, 5), (106, 1)]
    assert fills(scene.send(market(BUY, 1), 30)) == [(103, 1)]  # 102 was not named again
    assert fills(scene.send(market(BUY, 3), 40)) == [(102, 2), (103, 1)]


def test_a_share_slippage_and_a_limit_bound_a_walk(venue: type[Venue]) -> None:
    scene = driver(venue, share=SHARE_ONE // 2, slippage_ticks=1)
    assert fills(scene.send(market(SELL, 6), 20)) == [(99, 4), (98, 2)]
    told = scene.send(limit(BUY, 103, 30, tif=TimeInForce.IOC), 21)
    assert fills(told) == [(103, 2), (103, 3)]
    assert any(isinstance(one, Changed) and one.remaining == 25 for one in told)


def test_a_share_of_less_than_a_lot_is_nothing(venue: type[Venue]) -> None:
    scene = driver(venue, [(10, SNAPSHOT, [(BID, 100, 1), (ASK, 102, 1), (ASK, 103, 3)])], share=SHARE_ONE // 2)
    assert fills(scene.send(market(BUY, 5), 20)) == [(103, 1)]


def test_all_or_nothing_asks_the_whole_book_inside_the_limit(venue: type[Venue]) -> None:
    scene = driver(venue)
    assert fills(scene.send(limit(BUY, 103, 11, tif=TimeInForce.FOK), 20)) == []
    assert fills(scene.send(limit(BUY, 103, 10, tif=TimeInForce.FOK), 21)) == [(102, 4), (103, 6)]


def test_an_order_sees_the_book_of_its_own_instant(venue: type[Venue]) -> None:
    depth: list[Message] = [*BOOK, (20, CHANGE, [(ASK, 101, 2)])]
    assert fills(driver(venue, depth).send(market(BUY, 1), 19)) == [(102, 1)]
    assert fills(driver(venue, depth).send(market(BUY, 1), 20)) == [(101, 1)]


def test_a_quote_gives_its_size_and_then_an_assumed_one_a_tick(venue: type[Venue]) -> None:
    scene = driver(venue, [], QUOTED, level_lots=5, max_levels=3)
    told = scene.send(market(BUY, 20), 20)
    assert fills(told) == [(102, 3), (103, 5), (104, 5)]
    assert {(one.rule, one.print, one.print_side) for one in filled(told)} == {(Rule.TAKER_QUOTE, 0, QUOTES)}
    assert fills(scene.send(market(BUY, 5), 21)) == []
    assert fills(scene.send(market(SELL, 10), 21)) == [(100, 9), (99, 1)]


def test_a_quote_that_says_the_same_of_a_side_gives_nothing_new_there(venue: type[Venue]) -> None:
    scene = driver(venue, [], [*QUOTED, (30, 101, 4, 102, 3)], max_levels=1)
    assert fills(scene.send(market(BUY, 9), 20)) == [(102, 3)]
    assert fills(scene.send(market(BUY, 9), 30)) == []
    assert fills(scene.send(market(SELL, 9), 30)) == [(101, 4)]


def test_auto_takes_the_best_that_is_recorded_by_then(venue: type[Venue]) -> None:
    scene = driver(venue, [(8, CHANGE, LEVELS), (30, CHANGE, [(BID, 98, 1)])], QUOTED, valid_from_ns=30)
    rule_at = {at: filled(scene.send(market(BUY, 1), at))[0].rule for at in (6, 20, 30)}
    assert rule_at == {6: Rule.TAKER_SYNTHETIC, 20: Rule.TAKER_QUOTE, 30: Rule.TAKER_WALK}


def test_the_rule_quote_prefers_quotes_to_depth(venue: type[Venue]) -> None:
    (one,) = filled(driver(venue, BOOK, QUOTED, taker=Taker.QUOTE).send(market(BUY, 2), 20))
    assert (one.rule, one.print_side) == (Rule.TAKER_QUOTE, QUOTES)
    (one,) = filled(driver(venue, BOOK, taker=Taker.QUOTE).send(market(BUY, 2), 20))
    assert (one.rule, one.print_side) == (Rule.TAKER_QUOTE, DEPTH)


def test_walk_finds_nothing_before_the_book_is_known(venue: type[Venue]) -> None:
    scene = driver(venue, BOOK, QUOTED, taker=Taker.WALK, valid_from_ns=30)
    assert fills(scene.send(market(BUY, 1), 20)) == []


def test_walk_is_refused_where_no_depth_is_recorded() -> None:
    for recorded in ({}, {0: recording(QUOTED)}):
        with pytest.raises(Invalid, match="no depth of test:BTCUSD is recorded"):
            Driver(Exchange, rules(taker=Taker.WALK), PRINTS, listing(), recorded=recorded)


def test_a_maker_is_refused_where_the_recorded_best_price_would_meet_it(venue: type[Venue]) -> None:
    scene = driver(venue)
    post = Place(0, BUY, OrderType.LIMIT_MAKER, 1, 102)
    assert refusal(scene.send(post, 20)) == ("WOULD_TAKE", 102, 102)
    assert accepted(scene.send(post._replace(price=101), 20)).ahead == 0


# --- the queue --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "price", "ahead"),
    [(BUY, 100, 8), (BUY, 101, 0), (BUY, 99, 5), (BUY, 98, 0), (SELL, 102, 4), (SELL, 101, 0), (SELL, 105, 0)],
)
def test_whoever_is_displayed_at_the_price_is_ahead(venue: type[Venue], side: Side, price: int, ahead: int) -> None:
    assert accepted(driver(venue, ahead=-1).send(limit(side, price, 1), 20)).ahead == ahead


def test_where_the_book_does_not_say_a_model_does(venue: type[Venue]) -> None:
    changes: list[Message] = [(10, CHANGE, LEVELS)]
    assert accepted(driver(venue, changes, ahead=-1).send(limit(BUY, 98, 1), 20)).ahead == 40  # the one print's lots
    assert accepted(driver(venue, ahead=-1).send(limit(BUY, 90, 1), 20)).ahead == 40  # further than the snapshot
    assert accepted(driver(venue, ahead=-1, valid_from_ns=99).send(limit(BUY, 100, 1), 20)).ahead == 40


def ahead_after(venue: type[Venue], depth: Sequence[Message], prints: Any = (), **settings: Any) -> int:
    scene = driver(venue, [*BOOK, *depth], prints=[*PRINTS, *prints], **settings)
    scene.send(limit(BUY, 100, 3), 20)
    scene.until(1_000)
    (order,) = scene.open_orders()
    return order.ahead


def test_people_ahead_leave_when_the_level_shrinks_below_them(venue: type[Venue]) -> None:
    assert ahead_after(venue, [(30, CHANGE, [(BID, 100, 20)])], ahead=-1) == 8
    assert ahead_after(venue, [(30, CHANGE, [(BID, 100, 6)])], ahead=-1) == 6
    assert ahead_after(venue, [(30, CHANGE, [(BID, 100, 6)]), (31, CHANGE, [(BID, 100, 9)])], ahead=-1) == 6
    assert ahead_after(venue, [(30, CHANGE, [(BID, 100, 0)])], ahead=-1) == 0
    assert ahead_after(venue, [(30, SNAPSHOT, [(BID, 99, 1), (ASK, 102, 1)])], ahead=-1) == 0
    assert ahead_after(venue, [(20, CHANGE, [(BID, 100, 2)])], ahead=7) == 7  # before it, of the same instant


@pytest.mark.parametrize(("power", "left"), [(0, 8), (1, 8 - 4), (2, 8 - 5), (3, 8 - 5)])
def test_a_decrease_that_no_print_explains_is_shared_by_a_power(venue: type[Venue], power: int, left: int) -> None:
    """14 wait: 8 ahead and 6 behind. 8 leave: 8 * 8^n / (8^n + 6^n) of them from ahead."""
    depth: list[Message] = [(30, CHANGE, [(BID, 100, 14)]), (40, CHANGE, [(BID, 100, 6)])]
    wanted = left if power else 6
    assert ahead_after(venue, depth, ahead=-1, depth_power=power) == wanted


def test_prints_explain_a_decrease(venue: type[Venue]) -> None:
    """5 of 14 are printed away: 3 are ahead, 6 behind, and of the decrease by 8 only 3 are left to be shared."""
    depth: list[Message] = [(30, CHANGE, [(BID, 100, 14)]), (40, CHANGE, [(BID, 100, 6)])]
    prints = [(35, 100, 5, -1), (36, 101, 9, 1)]
    assert ahead_after(venue, depth, prints, ahead=-1, depth_power=1) == 2
    assert ahead_after(venue, depth, prints, ahead=-1) == 3


def test_other_ways_of_resting_know_no_queue(venue: type[Venue]) -> None:
    assert ahead_after(venue, [(30, CHANGE, [(BID, 100, 1)])], ahead=-1, resting=Resting.TOUCH) == 0


# --- reached ----------------------------------------------------------------------------------------------------


def reached(venue: type[Venue], depth: Sequence[Message], lots: int = 10, **settings: Any) -> list[Filled]:
    scene = driver(venue, [*BOOK, *depth], **settings)
    scene.send(limit(BUY, 100, lots), 20)
    return filled(scene.until(1_000))


DOWN: Message = (30, CHANGE, [(BID, 100, 0), (BID, 99, 0), (ASK, 102, 0), (ASK, 100, 4), (ASK, 99, 3)])


def test_an_ask_that_comes_to_a_bid_fills_it_at_its_own_price(venue: type[Venue]) -> None:
    (one,) = reached(venue, [DOWN], ahead=-1)
    assert (one.price, one.lots, one.rule, one.role) == (100, 7, Rule.MAKER_BOOK, Role.MAKER)
    assert (one.print_price, one.print_lots, one.print_side, one.best_ask) == (99, 7, DEPTH, 99)
    assert (one.ahead_before, one.ahead_after, one.excess, one.share_cap) == (0, 0, 7, 7)  # the level was gone


def test_displayed_lots_are_given_once(venue: type[Venue]) -> None:
    again: list[Message] = [DOWN, (31, CHANGE, [(BID, 97, 1)]), (32, CHANGE, [(ASK, 99, 2)])]
    assert [one.lots for one in reached(venue, again)] == [7, 2]
    assert [one.lots for one in reached(venue, again[:2], share=SHARE_ONE // 2)] == [3]
    assert [one.lots for one in reached(venue, again, share=SHARE_ONE // 2)] == [3, 3]  # what was had was of 99
    assert [one.lots for one in reached(venue, again, share=WHOLE)] == [10]


def test_several_bids_are_served_by_price_and_then_by_arrival(venue: type[Venue]) -> None:
    scene = driver(venue, [*BOOK, DOWN])
    for price in (99, 100, 100):
        scene.send(limit(BUY, price, 3), 20)
    assert fills(scene.until(30)) == [(100, 3), (100, 3)]  # the last one's price is reached by 3 lots, which are had


def test_quotes_reach_orders_too(venue: type[Venue]) -> None:
    scene = driver(venue, [], [*QUOTED, (30, 103, 5, 104, 5), (31, 103, 2, 104, 5)])
    scene.send(limit(SELL, 103, 9), 20)
    told = filled(scene.until(40))
    assert [(one.price, one.lots, one.rule, one.print_side) for one in told] == [
        (103, 5, Rule.MAKER_BOOK, QUOTES),
        (103, 2, Rule.MAKER_BOOK, QUOTES),
    ]


def test_an_order_that_rests_at_once_is_reached_by_the_next_word_only(venue: type[Venue]) -> None:
    scene = driver(venue, [*BOOK, (30, CHANGE, [(ASK, 102, 1)])], taker=Taker.REST)
    assert fills(scene.send(limit(BUY, 102, 3), 20)) == []
    assert fills(scene.until(29)) == []
    assert fills(scene.until(30)) == [(102, 1)]


def test_a_pair_ends_and_a_list_begins_by_a_fill_of_the_book(venue: type[Venue]) -> None:
    legs = Place(0, SELL, OrderType.LIMIT_MAKER, 2, 110), Place(0, SELL, OrderType.STOP_LOSS, 2, stop=90)
    scene = driver(venue, [*BOOK, DOWN])
    scene.send(PlaceList(ListKind.OTOCO, (limit(BUY, 100, 2), *legs)), 20)
    told = scene.until(30)
    assert fills(told) == [(100, 2)]
    assert [one.number for one in told if isinstance(one, Triggered)] == [2]
    assert len(scene.open_orders()) == 2


def test_without_a_recording_nothing_of_it_is_there() -> None:
    book = Driver(Exchange, rules(), PRINTS).exchange.books[0]
    assert isinstance(book.position, int)
    assert getattr(book, "shown", None) is None


def test_a_recording_of_neither_layer_says_nothing(venue: type[Venue]) -> None:
    scene = Driver(venue, rules(), PRINTS, recorded={0: Recorded(None, None)})
    assert filled(scene.send(market(BUY, 1), 20))[0].rule is Rule.TAKER_SYNTHETIC
