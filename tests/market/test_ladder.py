"""The ladder against a book that is replayed row by row, on random depth with snapshots, removals and equal stamps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.market.depth import ASK, BID, CHANGE, SNAPSHOT, Depth, best_prices
from gnomon.market.ladder import NO_ASK, NO_BID, Ladder
from gnomon.units import Grid

Message = tuple[int, int, Sequence[tuple[int, int, int]]]
"""Time in ns, kind, and (side, price, size) of each row."""


def depth_of(messages: Sequence[Message], valid_from_ns: int = 0) -> Depth:
    rows = [
        (at_ns, side, price, size, kind, number)
        for number, (at_ns, kind, levels) in enumerate(messages)
        for side, price, size in levels
    ]
    table = np.array(rows, np.int64).reshape(-1, 6)
    at_ns, side, price, size, kind, update = (table[:, column].copy() for column in range(6))
    grids = Grid.of("0.1"), Grid.of("0.001")
    kinds = side.astype(np.int8), price, size, kind.astype(np.uint8)
    return Depth("t:A0", *grids, at_ns, at_ns, *kinds, update, valid_from_ns).check()


@st.composite
def courses(draw: st.DrawFn) -> list[Message]:
    messages: list[Message] = []
    at_ns = 0
    for _ in range(draw(st.integers(0, 12))):
        at_ns += draw(st.sampled_from((0, 0, 1, 5)))
        kind = SNAPSHOT if draw(st.integers(0, 5)) == 0 else CHANGE
        row = st.tuples(st.sampled_from((BID, ASK)), st.integers(1, 12), st.integers(0, 4))
        messages.append((at_ns, kind, draw(st.lists(row, min_size=1, max_size=6))))
    return messages


def books_after(depth: Depth) -> list[tuple[int, dict[int, dict[int, tuple[int, int]]]]]:
    """After each message: how many rows are behind it, and price to (lots, row) of each side."""
    books: dict[int, dict[int, tuple[int, int]]] = {BID: {}, ASK: {}}
    found = []
    for first, stop in itertools.pairwise(depth.messages().tolist()):
        if depth.kind[first] == SNAPSHOT:
            books = {BID: {}, ASK: {}}
        for row in range(first, stop):
            books[int(depth.side[row])][int(depth.price[row])] = int(depth.size[row]), row
        found.append((stop, {side: dict(levels) for side, levels in books.items()}))
    return found


@settings(max_examples=150, deadline=None)
@given(courses())
def test_every_state_is_that_of_a_book_that_is_replayed(messages: list[Message]) -> None:
    depth = depth_of(messages)
    ladder = Ladder(depth)
    for rows, books in books_after(depth):
        for side, best in ((BID, max), (ASK, min)):
            alive = {price: said for price, said in books[side].items() if said[0]}
            prices = sorted(alive, reverse=side == BID)
            shown = [(price, *alive[price]) for price in prices]
            assert list(ladder.levels(side, rows)) == shown
            assert ladder.best(side, rows) == best(alive, default=NO_BID if side == BID else NO_ASK)
            for price in range(14):
                level = ladder.level(side, price, rows)
                lots, row = books[side].get(price, (0, -1))
                assert level is None or level.lots == lots
                if row >= 0:
                    assert level == (price, lots, row)
                wanted = np.flatnonzero((depth.side == side) & (depth.price == price) & (np.arange(len(depth)) >= rows))
                assert ladder.next_update(side, price, rows) <= (wanted[0] if len(wanted) else len(depth))


@settings(max_examples=60, deadline=None)
@given(courses())
def test_the_best_prices_are_those_that_the_depth_itself_tells(messages: list[Message]) -> None:
    depth = depth_of(messages)
    ladder = Ladder(depth)
    told = [(row + 1, bid or NO_BID, ask or NO_ASK) for row, bid, ask in best_prices(depth)]
    assert told == [(rows, ladder.best(BID, rows), ladder.best(ASK, rows)) for rows in ladder.stops.tolist()]


def test_a_deep_side_is_read_in_stretches() -> None:
    prices = range(100, 5_100, 2)
    depth = depth_of([(1, SNAPSHOT, [(ASK, price, price) for price in prices])])
    assert [one.price for one in Ladder(depth).levels(ASK, len(depth))] == list(prices)


def test_before_a_price_is_named_nothing_is_known_of_it_unless_a_snapshot_reaches_so_far() -> None:
    changes = Ladder(depth_of([(1, CHANGE, [(BID, 100, 5), (ASK, 102, 5)]), (2, CHANGE, [(BID, 98, 3)])]))
    assert changes.level(BID, 98, 2) is None
    assert changes.level(BID, 98, 3) == (98, 3, 2)
    whole = Ladder(depth_of([(1, SNAPSHOT, [(BID, 100, 5), (BID, 97, 5), (ASK, 102, 5)])]))
    assert whole.level(BID, 98, 3) == (98, 0, -1)
    assert whole.level(BID, 96, 3) is None
    assert whole.level(ASK, 101, 3) == (101, 0, -1)


@pytest.mark.parametrize(("valid_from_ns", "first"), [(0, 0), (2, 1), (3, 2), (9, 3)])
def test_it_may_be_walked_from_the_first_message_at_its_instant(valid_from_ns: int, first: int) -> None:
    messages: list[Message] = [(at, CHANGE, [(BID, 100, at)]) for at in (1, 2, 3)]
    ladder = Ladder(depth_of(messages, valid_from_ns))
    assert ladder.first_valid == first
    assert [ladder.is_valid(rows) for rows in range(4)] == [rows > first for rows in range(4)]


def test_states_are_found_by_time_after_all_messages_of_it() -> None:
    ladder = Ladder(depth_of([(5, CHANGE, [(BID, 1, 1), (BID, 2, 1)]), (5, CHANGE, [(BID, 3, 1)])]))
    assert [ladder.rows_until(at) for at in (4, 5, 6)] == [0, 3, 3]
    assert Ladder(depth_of([])).rows_until(9) == 0
    assert list(Ladder(depth_of([])).levels(BID, 0)) == []
