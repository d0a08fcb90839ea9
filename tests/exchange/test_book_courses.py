"""Seeded courses over recorded books, long enough for queues to shrink: both venues alike, every fill checked."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from tests.exchange.invariants import FillCheck, Mirror, check_books
from tests.exchange.test_million_orders import request, tape
from tests.exchange.test_runners import first_difference
from tests.exchange.venue import Driver, Message, Row, Venue, listing, recording, rules

from gnomon.exchange.exchange import Exchange
from gnomon.exchange.listing import Filters
from gnomon.exchange.naive import NaiveExchange
from gnomon.exchange.outcome import Filled, Rule
from gnomon.exchange.recorded import Recorded
from gnomon.exchange.rules import SHARE_ONE, WHOLE, FeeAsset, Fees, Resting, Taker
from gnomon.market.depth import ASK, BID, CHANGE, SNAPSHOT

SEEDS = range(36)


def recorded(luck: Random, rows: list[Row]) -> Recorded:
    """A book around the prints: it follows them late, and is crossed now and then."""
    quotes: list[tuple[int, int, int, int, int]] = []
    depth: list[Message] = []
    at_ns, bid, ask = 0, 0, 0
    for printed_ns, price, _, _ in rows:
        at_ns = max(at_ns, printed_ns + luck.choice((0, 0, 0, 1)))
        if luck.random() < 0.6 or not bid:
            bid = price - luck.choice((0, 1, 1, 2))
            ask = bid + luck.choice((1, 1, 2, 0))
        if luck.random() < 0.5:
            quotes.append((at_ns, bid, luck.randint(0, 30), ask, luck.randint(0, 30)))
        levels = []
        for _ in range(luck.randint(1, 8)):
            side, away = luck.choice((BID, ASK)), luck.randint(0, 6)
            levels.append((side, bid - away if side == BID else ask + away, luck.choice((0, luck.randint(1, 40)))))
        if luck.random() < 0.7:  # what the other side holds within the spread is gone
            levels += [(BID, price_, 0) for price_ in range(bid + 1, bid + 5)]
            levels += [(ASK, price_, 0) for price_ in range(max(1, ask - 4), ask)]
        depth.append((at_ns, SNAPSHOT if luck.random() < 0.03 else CHANGE, levels))
    layers = luck.choice(("both", "both", "quotes", "depth"))
    return recording(
        quotes if layers != "depth" else (),
        depth if layers != "quotes" else (),
        luck.choice((0, 0, rows[len(rows) // 4][0])),
    )


def course(venue: type[Venue], seed: int) -> Driver:
    luck = Random(seed)
    chosen = rules(
        {"USD": luck.choice((200_000, 10**8)), "BTC": luck.choice((50, 10**6))},
        Fees(luck.choice((0, -5_000)), 75_000, luck.choice((FeeAsset.RECEIVED, FeeAsset.QUOTE))),
        resting=luck.choice((Resting.QUEUE, Resting.QUEUE, Resting.QUEUE, *Resting)),
        ahead=luck.choice((-1, -1, 0, 25)),
        share=luck.choice((SHARE_ONE, SHARE_ONE, SHARE_ONE // 3, WHOLE)),
        taker=luck.choice((Taker.AUTO, Taker.AUTO, Taker.QUOTE, Taker.REST, Taker.NEXT_PRINT)),
        taker_timeout_ns=10,
        depth_power=luck.randint(0, 3),
        level_lots=luck.choice((-1, 3, 20)),
        max_levels=luck.choice((1, 5)),
        slippage_ticks=luck.choice((0, 0, 1)),
    )
    rows = tape(luck, 200)
    found = recorded(luck, rows)
    driver = Driver(venue, chosen, rows, listing(filters=Filters(max_orders=12)), recorded={0: found})
    check, mirror = FillCheck(driver.tapes, chosen.fills.share, recorded={0: found}), Mirror(driver)
    made = 0
    for at_ns in sorted(luck.randint(0, rows[-1][0]) for _ in range(90)):
        seen = len(driver.steps)
        driver.until(at_ns)
        driver.send(request(luck, 0, rows[max(0, driver.passed(0) - 1)][1], made), at_ns)
        for event, outcomes in driver.steps[seen:]:
            check.check(event, outcomes)
        check_books(driver)
        mirror.hear([one for _, outcomes in driver.steps[seen:] for one in outcomes])
        made = max((one.number for one in driver.open_orders()), default=made)
    return driver


@pytest.mark.parametrize("seed", SEEDS)
def test_both_exchanges_take_the_same_course_over_a_recorded_book(seed: int) -> None:
    fast, naive = (course(kind, seed) for kind in (Exchange, NaiveExchange))
    assert fast.outcomes == naive.outcomes, first_difference(fast.outcomes, naive.outcomes)
    assert fast.balances() == naive.balances()


def test_these_courses_meet_every_rule_of_a_book() -> None:
    met: Counter[Rule] = Counter()
    moved = 0
    for seed in SEEDS:
        found = [one for one in course(Exchange, seed).outcomes if isinstance(one, Filled)]
        met.update(one.rule for one in found)
        moved += sum(one.rule is Rule.MAKER_QUEUE and one.ahead_before > 0 for one in found)
    assert min(met[one] for one in (Rule.MAKER_BOOK, Rule.TAKER_WALK, Rule.TAKER_QUOTE, Rule.MAKER_QUEUE)) > 20
    assert moved > 5
