"""Aggregate trades: numbered in blocks, as one loop numbers them."""

from __future__ import annotations

import random

import pytest
from tests.serve.venue.market_scene import rough_prints

from gnomon.exchange.prints import Prints
from gnomon.serve.venue.agg_trades import AggTrades


@pytest.mark.parametrize("block", [1, 2, 7, 64, 10_000])
def test_numbers_and_starts_are_those_of_a_loop(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnomon.serve.venue.agg_trades.BLOCK", block)
    monkeypatch.setattr("gnomon.serve.venue.agg_trades.BLOCKS_KEPT", 3)
    prints, chance = rough_prints(21, 500), random.Random(block)
    starts: list[int] = []
    numbers: list[int] = []
    last = None
    for row, key in enumerate(zip(*(c.tolist() for c in (prints.time_ns, prints.price, prints.side)), strict=True)):
        if key != last:
            starts.append(row)
        numbers.append(len(starts) - 1)
        last = key
    assert len(starts) < 490
    found = AggTrades(prints)
    for _ in range(80):
        position = chance.randrange(500)
        assert found.number(position) == numbers[position]
        first = chance.randrange(len(starts))
        stop = min(len(starts), first + chance.choice([0, 1, 50]))
        assert found.starts(first, stop) == starts[first:stop]


def test_no_print_makes_none() -> None:
    assert AggTrades(Prints.empty()).starts(0, 0) == []
