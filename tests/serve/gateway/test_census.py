"""The census of issues agrees with a recount, however the ledger grew."""

from __future__ import annotations

from collections import Counter
from typing import Any

from gnomon.serve.gateway.census import Census, Issues, grown
from gnomon.store.forecasts import Lane


def recounted(world: Any, lane: Lane) -> list[Issues]:
    rows = world.ledger.find(lane=lane, limit=10_000)
    keys = [(row.instrument, row.timeframe, row.forecaster) for row in rows]
    newest = {key: max(row.issued_at_ns for other, row in zip(keys, rows, strict=True) if other == key) for key in keys}
    return [Issues(*key, count, newest[key]) for key, count in sorted(Counter(keys).items())]


def test_a_census_that_grew_equals_one_taken_anew_and_a_recount(world: Any) -> None:
    growing = Census(world.engine, "live")
    assert growing.taken() == []
    for hour, (symbol, forecaster) in enumerate([("BTCUSDT", "ewma"), ("BTCUSDT", "fhs"), ("EURUSD", "ewma")] * 2):
        world.advance(3600 * (hour + 1))
        world.issue(symbol, forecaster)
        world.issue(symbol, forecaster, cutoff="2024-04-01T00:00:00Z", lane="backfill")
        assert growing.taken() == Census(world.engine, "live").taken() == recounted(world, "live")
    assert Census(world.engine, "backfill").taken() == recounted(world, "backfill")


def test_the_newest_issue_of_each_timeframe(world: Any) -> None:
    world.issue()
    hourly_ns = world.clock.now_ns()
    world.advance(60)
    world.issue(timeframe="1d")
    assert Census(world.engine, "live").newest_ns() == {"1d": world.clock.now_ns(), "1h": hourly_ns}


def test_growth_names_the_slots_that_were_issued_since(world: Any) -> None:
    assert grown(world.engine, None) == (0, [])
    world.issue()
    head, slots = grown(world.engine, 0)
    assert (head, slots) == (1, [("binance:BTCUSDT", "1h")])
    world.issue("EURUSD")
    world.issue("EURUSD", "fhs")
    world.issue(cutoff="2024-04-01T00:00:00Z", lane="backfill")
    assert grown(world.engine, 1) == (3, [("fx:EURUSD", "1h")])
    assert grown(world.engine, 3) == (3, [])
