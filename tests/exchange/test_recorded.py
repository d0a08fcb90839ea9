"""Recorded layers by themselves: which of them is asked when, what they show, and the moves that they make."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.exchange.test_runners import recordings
from tests.exchange.venue import BUY, SELL, Message, all_moves, recording

from gnomon.exchange.recorded import DEPTH, QUOTES, UNKNOWN, Recorded, Seen, Shown
from gnomon.market.depth import ASK, BID, CHANGE
from gnomon.market.ladder import NO_ASK, NO_BID

QUOTED = [(5, 100, 3, 102, 4), (6, 100, 3, 103, 4), (9, 100, 2, 103, 4)]
BOOK: list[Message] = [
    (6, CHANGE, [(BID, 99, 1), (ASK, 104, 2)]),
    (6, CHANGE, [(BID, 100, 7)]),
    (8, CHANGE, [(ASK, 104, 0)]),
]


def test_depth_speaks_from_where_it_may_be_walked_and_quotes_before() -> None:
    found = recording(QUOTED, BOOK, 6)
    assert [found.layer(found.until(at), asks_quotes=False) for at in (4, 5, 6, 9)] == [0, QUOTES, DEPTH, DEPTH]
    assert [found.layer(found.until(at), asks_quotes=True) for at in (4, 5, 6, 9)] == [0, QUOTES, QUOTES, QUOTES]
    assert [found.until(at) for at in (4, 5, 6, 8)] == [(0, 0), (1, 0), (2, 3), (2, 4)]


def test_the_best_prices_and_the_row_that_they_stand_on() -> None:
    found = recording(QUOTED, BOOK, 6)
    assert found.best(Seen(2, 3), DEPTH) == (100, 104, 2)
    assert found.best(Seen(2, 4), DEPTH) == (100, 0, 3)  # nobody asks any more
    assert found.best(Seen(2, 3), QUOTES) == (100, 103, 1)
    assert [found.time_ns(Seen(2, 4), layer) for layer in (QUOTES, DEPTH)] == [6, 8]


def test_the_moves_are_quotes_until_depth_speaks() -> None:
    moves = recording(QUOTED, BOOK, 6).moves(asks_quotes=False)
    told = zip(*(one.tolist() for one in (moves.time_ns, moves.layer, moves.bid, moves.ask)), strict=True)
    assert list(told) == [
        (5, QUOTES, 100, 102),
        (6, QUOTES, 100, 103),
        (6, DEPTH, 99, 104),
        (6, DEPTH, 100, 104),
        (8, DEPTH, 100, NO_ASK),
    ]
    asked = recording(QUOTED, BOOK, 6).moves(asks_quotes=True)
    assert [(at, bid) for at, bid in zip(asked.time_ns.tolist(), asked.bid.tolist(), strict=True)] == [
        (5, 100), (6, 100), (6, NO_BID), (6, NO_BID), (8, NO_BID), (9, 100),
    ]  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(recordings([1, 2, 3, 5, 8, 13]), st.booleans())
def test_moves_say_what_one_finds_by_their_rows(found: Recorded | None, asks_quotes: bool) -> None:
    if found is None:
        return
    moves = found.moves(asks_quotes)
    events = [moves.event(7, position) for position in range(len(moves))]
    assert [one.time_ns for one in events] == sorted(one.time_ns for one in events)
    known = {(one.time_ns, one.layer, one.quotes if one.layer == QUOTES else one.depth) for one in all_moves(7, found)}
    for position, one in enumerate(events):
        assert (one.time_ns, one.layer, one.quotes if one.layer == QUOTES else one.depth) in known
        seen = Seen(one.quotes, one.depth)
        if found.layer(seen, asks_quotes) == one.layer:
            bid, ask, _ = found.best(seen, one.layer)
            assert (moves.bid[position], moves.ask[position]) == (bid, ask or NO_ASK)
        else:
            assert (moves.bid[position], moves.ask[position]) == (NO_BID, NO_ASK)
    for at in range(15):
        assert moves.until(at) == sum(one.time_ns <= at for one in events)


def test_what_was_taken_is_remembered_by_level_and_side_until_another_row_says_it() -> None:
    shown = Shown(recording(QUOTED, BOOK, 0), asks_quotes=False)
    shown.take(DEPTH, SELL, 100, 2, 5)
    shown.take(DEPTH, SELL, 100, 2, 1)
    assert [one.taken for one in shown.offers(SELL, Seen(2, 3), DEPTH)] == [6, 0]
    assert shown.taken(DEPTH, SELL, 100, 9) == shown.taken(DEPTH, BUY, 100, 2) == shown.taken(QUOTES, SELL, 100, 2) == 0


def test_a_quote_counts_from_the_row_that_first_said_it() -> None:
    shown = Shown(recording(QUOTED), asks_quotes=True)
    assert [(one.price, one.lots, one.row) for one in shown.offers(BUY, Seen(3, 0), QUOTES)] == [(103, 4, 1)]
    assert [(one.price, one.lots, one.row) for one in shown.offers(SELL, Seen(3, 0), QUOTES)] == [(100, 2, 2)]


@pytest.mark.parametrize(("price", "ahead"), [(101, 0), (100, 7), (99, 1), (98, UNKNOWN)])
def test_the_queue_is_what_is_displayed(price: int, ahead: int) -> None:
    shown = Shown(recording(QUOTED, BOOK, 6), asks_quotes=False)
    assert shown.ahead(BUY, price, 7) == ahead
    assert shown.ahead(BUY, price, 5) == UNKNOWN
