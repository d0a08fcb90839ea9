"""The book that is shown: what changes between two of its states makes the one of the other."""

from __future__ import annotations

import random

import pytest
from tests.serve.venue.market_scene import listing, rough_prints, scene, span_of, tape

from gnomon.exchange.prints import Prints
from gnomon.exchange.recorded import DEPTH, QUOTES
from gnomon.exchange.rules import Fills
from gnomon.market.depth import ASK, BID
from gnomon.serve.venue.depth_levels import SYNTHETIC, ShownBook, State, Top
from gnomon.units import INT64_MAX, MINUTE_NS


@pytest.mark.parametrize("name", ["recorded", "rough", "bars"])
@pytest.mark.parametrize("number", [0, 1])
def test_changes_make_one_book_of_another(name: str, number: int) -> None:
    market, chance = scene(name), random.Random(name)
    book = ShownBook(market.tapes[number], Fills(level_lots=7 if number else -1))
    first, last = span_of(market)
    layers = set()
    for _ in range(300):
        start = chance.randint(first - MINUTE_NS, last)
        before = book.state(start)
        after = book.state(start + chance.choice([0, MINUTE_NS // 10, 5 * MINUTE_NS, last - first]))
        layers |= {(before.layer, after.layer)}
        changes = book.changed(before, after)
        for side, changed in zip((BID, ASK), changes, strict=True):
            prices = [price for price, _ in changed]
            assert prices == sorted(set(prices), reverse=side == BID)
            levels = dict(book.levels(before, side)) | dict(changed)
            assert {price: lots for price, lots in levels.items() if lots} == dict(book.levels(after, side))
    if name == "recorded":
        assert layers >= {(DEPTH, DEPTH), (SYNTHETIC, DEPTH)} | ({(QUOTES, DEPTH)} if not number else set())


@pytest.mark.parametrize("name", ["recorded", "rough", "bars"])
def test_the_top_is_the_first_level_of_each_side(name: str) -> None:
    market = scene(name)
    book = ShownBook(market.tapes[0], Fills())
    at_ns, count = span_of(market)[0] - 1, 0
    assert book.top(book.state(at_ns)) == Top(0, 0, 0, 0)
    assert book.said_ns(at_ns) == 0
    while (next_ns := book.changes_after(at_ns)) != INT64_MAX:
        count += 1
        at_ns = next_ns
        state = book.state(at_ns)
        assert book.said_ns(at_ns) == at_ns
        assert book.said_ns(at_ns + 1) in (at_ns, at_ns + 1)
        assert state.update > book.state(at_ns - 1).update
        best = [(book.levels(state, side, 1) or [(0, 0)])[0] for side in (BID, ASK)]
        assert book.top(state) == Top(*best[0], *best[1])
    assert count > 250


def test_prices_of_nothing_are_not_shown() -> None:
    prints = rough_prints(1, 5)
    low = Prints(prints.time_ns, prints.price * 0 + 3, prints.lots, prints.side * 0 + 1)
    book = ShownBook(tape(listing(0, "BTC"), low), Fills(spread_ticks=2))
    bids = book.levels(State(5, 0, 0, SYNTHETIC), BID)
    assert [price for price, _ in bids] == [1]
