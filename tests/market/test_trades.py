"""Trades: invariants and columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gnomon.errors import Invalid
from gnomon.market.trades import COLUMNS, Trades
from gnomon.units import Grid


def trades(**changed: Any) -> Trades:
    fields: dict[str, Any] = {
        "time_ns": [1, 2, 2],
        "received_ns": [5, 4, 6],
        "id": [7, 9, 8],
        "price": [100, 101, 99],
        "size": [1, 0, 3],
        "side": [1, -1, 0],
        "flags": [0, 1, 2],
    }
    arrays = {name: np.array((fields | changed)[name], COLUMNS[name]) for name in COLUMNS}
    return Trades(instrument="test:X", tick=Grid.of("0.01"), lot=Grid.of(1), **arrays)


def test_sound_prints_pass_the_check() -> None:
    assert len(trades().check()) == 3
    assert len(trades(**{name: [] for name in COLUMNS}).check()) == 0
    assert trades().key == ("test:X", "trades", "raw")


@pytest.mark.parametrize(
    ("change", "row", "rule"),
    [
        ({"time_ns": [1, 2, 1]}, 2, "time must not go back"),
        ({"price": [1, 0, 1]}, 1, "price must be positive"),
        ({"size": [1, 1, -1]}, 2, "size must not be negative"),
        ({"side": [1, 1, 2]}, 2, "side must be 1, -1 or 0"),
        ({"side": [1, -128, 0]}, 1, "side must be 1, -1 or 0"),
    ],
)
def test_the_first_print_that_breaks_a_rule_is_named(change: dict[str, Any], row: int, rule: str) -> None:
    with pytest.raises(Invalid, match=rule) as caught:
        trades(**change).check()
    assert caught.value.detail["row"] == row


def test_columns_come_in_their_documented_order_and_types() -> None:
    columns = trades().take(slice(0, 2)).columns()
    assert [(name, column.dtype.str) for name, column in columns.items()] == list(COLUMNS.items())
    assert columns["id"].tolist() == [7, 9]


def test_a_finer_grid_holds_the_same_prints() -> None:
    finer = trades().regrid(Grid.of("0.005"), Grid.of("0.1"))
    assert (finer.price.tolist(), finer.size.tolist()) == ([200, 202, 198], [10, 0, 30])
    with pytest.raises(Invalid, match=r"a grid of 0.02 cannot hold values on 0.01"):
        trades().regrid(Grid.of("0.02"), Grid.of(1))
