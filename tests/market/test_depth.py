"""Depth: invariants, messages, the book that they make, and the first instant at which it is known at its top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import Invalid
from gnomon.market.depth import ASK, BID, COLUMNS, NEVER, SNAPSHOT, Depth, best_prices, first_agreement
from gnomon.market.quotes import Quotes
from gnomon.units import Grid

Row = tuple[int, int, int, int, int, int]  # time, side, price, size, kind, update


def depth(rows: Sequence[Row], **changed: Any) -> Depth:
    names = ("time_ns", "side", "price", "size", "kind", "update")
    columns = dict(zip(names, np.array(rows, np.int64).reshape(-1, 6).T, strict=True))
    columns["received_ns"] = columns["time_ns"]
    arrays = {name: np.array(changed.get(name, columns[name]), dtype) for name, dtype in COLUMNS.items()}
    return Depth("test:X", Grid.of("0.1"), Grid.of(1), **arrays)


def quotes(rows: Sequence[tuple[int, int, int]]) -> Quotes:
    time, bid, ask = np.array(rows, np.int64).reshape(-1, 3).T
    one = np.ones_like(time)
    return Quotes("test:X", Grid.of("0.1"), Grid.of(1), time, time, bid, one, ask, one)


SOUND: list[Row] = [(1, BID, 100, 5, 0, 7), (1, ASK, 102, 5, 0, 7), (3, BID, 101, 2, 0, 9)]


def test_sound_updates_pass_the_check() -> None:
    assert len(depth(SOUND).check()) == 3
    assert len(depth([]).check()) == 0
    assert depth(SOUND).key == ("test:X", "depth", "raw")


@pytest.mark.parametrize(
    ("change", "row", "rule"),
    [
        ({"time_ns": [1, 2, 1]}, 2, "time must not go back"),
        ({"update": [1, 2, 1]}, 2, "update ids must not fall"),
        ({"price": [1, 0, 1]}, 1, "price must be positive"),
        ({"size": [1, 1, -1]}, 2, "size must not be negative"),
        ({"side": [1, 0, -1]}, 1, "side must be 1 or -1"),
        ({"kind": [0, 0, 2]}, 2, "kind must be 0 or 1"),
    ],
)
def test_the_first_row_that_breaks_a_rule_is_named(change: dict[str, Any], row: int, rule: str) -> None:
    with pytest.raises(Invalid, match=rule) as caught:
        depth(SOUND, **change).check()
    assert caught.value.detail["row"] == row


def test_columns_and_grids_are_those_of_the_table() -> None:
    book = depth(SOUND)
    assert [(name, column.dtype.str) for name, column in book.columns().items()] == list(COLUMNS.items())
    assert book.take(slice(2, 3)).price.tolist() == [101]
    finer = book.regrid(Grid.of("0.01"), Grid.of("0.5"))
    assert (finer.price.tolist(), finer.size.tolist()) == ([1000, 1020, 1010], [10, 10, 4])


def test_rows_of_one_update_are_one_message() -> None:
    assert depth(SOUND).messages().tolist() == [0, 2, 3]
    assert depth([]).messages().tolist() == [0]


def test_a_snapshot_replaces_the_whole_book_and_a_size_of_nothing_removes_a_level() -> None:
    rows: list[Row] = [
        *SOUND,
        (4, BID, 101, 0, 0, 10),
        (5, BID, 90, 1, SNAPSHOT, 11),
        (5, ASK, 95, 1, SNAPSHOT, 11),
        (6, ASK, 94, 1, 0, 12),
    ]
    assert list(best_prices(depth(rows))) == [
        (1, 100, 102),
        (2, 101, 102),
        (3, 100, 102),
        (5, 90, 95),
        (6, 90, 94),
    ]


@given(
    st.lists(
        st.tuples(st.sampled_from([BID, ASK]), st.integers(1, 6), st.integers(0, 2), st.integers(0, 3)), max_size=60
    )
)
def test_the_best_prices_are_those_of_a_book_kept_as_a_list_of_levels(levels: list[tuple[int, int, int, int]]) -> None:
    rows: list[Row] = []
    update = 0
    for side, price, size, step in levels:
        update += step > 0 or not rows
        rows.append((update, side, price, size, 0, update))
    expected = []
    for last in [k for k, row in enumerate(rows) if k + 1 == len(rows) or rows[k + 1][5] != row[5]]:
        standing = {}
        for _, side, price, size, _, _ in rows[: last + 1]:
            standing[side, price] = size
        bids = [price for (side, price), size in standing.items() if side == BID and size]
        asks = [price for (side, price), size in standing.items() if side == ASK and size]
        expected.append((last, max(bids, default=None), min(asks, default=None)))
    assert list(best_prices(depth(rows))) == expected


# --- the first agreement ----------------------------------------------------------------------------------------------


def test_the_book_is_known_from_its_first_agreement_with_the_quotes() -> None:
    rows: list[Row] = [
        (1, BID, 98, 1, 0, 10),
        (1, ASK, 102, 1, 0, 10),  # the quote says 100 and 101
        (2, BID, 100, 1, 0, 20),  # the ask is still another
        (3, ASK, 101, 1, 0, 30),
        (4, ASK, 101, 0, 0, 40),
    ]
    said = quotes([(0, 100, 101)])
    assert first_agreement(depth(rows), said) == 3
    assert first_agreement(depth(rows[:3]), said) == NEVER
    assert first_agreement(depth([]), said) == NEVER
    assert first_agreement(depth(rows), quotes([])) == NEVER


def test_the_quote_in_force_is_found_by_update_ids_where_there_are_any() -> None:
    rows: list[Row] = [(5, BID, 100, 1, 0, 10), (5, ASK, 101, 1, 0, 10), (6, ASK, 103, 1, 0, 20)]
    said = quotes([(5, 90, 91), (7, 100, 101)])  # the second was stamped late by a slow clock
    assert first_agreement(depth(rows), said) == NEVER
    assert first_agreement(depth(rows), said, np.array([5, 8])) == 5
    assert first_agreement(depth(rows), said, np.array([11, 20])) == 6


def test_a_crossed_book_agrees_with_nothing() -> None:
    rows: list[Row] = [(1, BID, 101, 1, 0, 1), (1, ASK, 101, 1, 0, 1)]
    assert first_agreement(depth(rows), quotes([(0, 101, 101)])) == NEVER
