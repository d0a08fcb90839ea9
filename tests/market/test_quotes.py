"""Quotes: invariants, columns, grids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gnomon.errors import Invalid
from gnomon.market.quotes import COLUMNS, Quotes
from gnomon.units import Grid


def quotes(**changed: Any) -> Quotes:
    fields: dict[str, Any] = {
        "time_ns": [1, 2, 2],
        "received_ns": [5, 4, 6],
        "bid": [100, 101, 102],
        "bid_qty": [1, 0, 3],
        "ask": [101, 101, 101],
        "ask_qty": [4, 5, 6],
    }
    arrays = {name: np.array((fields | changed)[name], COLUMNS[name]) for name in COLUMNS}
    return Quotes(instrument="test:X", tick=Grid.of("0.01"), lot=Grid.of(1), **arrays)


def test_sound_quotes_pass_the_check_also_where_they_lock_or_cross() -> None:
    assert len(quotes().check()) == 3
    assert len(quotes(**{name: [] for name in COLUMNS}).check()) == 0
    assert quotes().key == ("test:X", "quotes", "raw")


@pytest.mark.parametrize(
    ("change", "row", "rule"),
    [
        ({"time_ns": [1, 2, 1]}, 2, "time must not go back"),
        ({"bid": [1, 0, 1]}, 1, "bid and ask must be positive"),
        ({"ask": [0, 1, 1]}, 0, "bid and ask must be positive"),
        ({"bid_qty": [1, 1, -1]}, 2, "quantities must not be negative"),
        ({"ask_qty": [1, -1, 1]}, 1, "quantities must not be negative"),
    ],
)
def test_the_first_quote_that_breaks_a_rule_is_named(change: dict[str, Any], row: int, rule: str) -> None:
    with pytest.raises(Invalid, match=rule) as caught:
        quotes(**change).check()
    assert caught.value.detail["row"] == row


def test_columns_come_in_their_documented_order_and_types() -> None:
    columns = quotes().take(slice(1, 3)).columns()
    assert [(name, column.dtype.str) for name, column in columns.items()] == list(COLUMNS.items())
    assert columns["bid_qty"].tolist() == [0, 3]


def test_a_finer_grid_holds_the_same_values_and_another_grid_is_refused() -> None:
    finer = quotes().regrid(Grid.of("0.005"), Grid.of("0.1"))
    assert (finer.bid.tolist(), finer.ask_qty.tolist()) == ([200, 202, 204], [40, 50, 60])
    assert finer.tick.value(int(finer.ask[0])) == quotes().tick.value(101)
    with pytest.raises(Invalid, match=r"a grid of 0.02 cannot hold values on 0.01"):
        quotes().regrid(Grid.of("0.02"), Grid.of(1))
