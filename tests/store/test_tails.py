"""What is kept of a series' end is what the database has: checked against a plain read after every kind of change."""

from __future__ import annotations

import shutil
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from gnomon.clock import Timeframe
from gnomon.market.candles import COLUMNS, Candles
from gnomon.market.instrument import Split
from gnomon.store.engine import open_engine
from gnomon.store.market import MarketStore
from gnomon.store.tails import Tails
from gnomon.units import HOUR_NS, Grid

HOUR = Timeframe.parse("1h")
KEYS = [("binance:BTCUSDT", HOUR, "raw"), ("binance:ETHUSDT", HOUR, "raw")]
SPLITS = {"binance:ETHUSDT": (Split(10**18, 2, 1),)}


class World:
    """A market whose bars come in any order, and its tails."""

    def __init__(self, engine: Engine, make: SimpleNamespace) -> None:
        self.market, self.tails, self.make = MarketStore(engine), Tails(engine), make
        self.now_ns = 2 * 10**18
        self.bars: dict[str, Candles] = {
            symbol: make.candles(300, instrument=f"binance:{symbol}") for symbol in ("BTCUSDT", "ETHUSDT")
        }

    def add(self, symbol: str, first: int, last: int, **changes: Any) -> None:
        self.now_ns += HOUR_NS
        rows = replace(self.bars[symbol].take(slice(first, last)), **changes)
        self.market.extend([rows], [self.make.instrument(symbol)], recorded_ns=self.now_ns)

    def check(self, last_ns: int, limit: int) -> None:
        plain = self.market.tape(KEYS, splits=SPLITS, last_ns=last_ns, limit=limit)
        kept = self.tails.tape(KEYS, splits=SPLITS, last_ns=last_ns, limit=limit)
        assert sorted(kept.keys()) == sorted(plain.keys())
        for key in plain.keys():  # noqa: SIM118 - a tape is no mapping
            one, other = (tape.series(key[0], HOUR) for tape in (kept, plain))
            assert one.splits == other.splits
            assert (one.history.rows.tick, one.history.rows.lot) == (other.history.rows.tick, other.history.rows.lot)
            for name in COLUMNS:
                ours, theirs = getattr(one.history.rows, name), getattr(other.history.rows, name)
                np.testing.assert_array_equal(ours, theirs)
                assert ours.dtype == theirs.dtype


@pytest.fixture
def world(engine: Engine, make: SimpleNamespace) -> World:
    return World(engine, make)


def start_of(world: World) -> int:
    return int(world.bars["BTCUSDT"].open_ns[0])


def test_new_bars_late_bars_revisions_and_finer_grids_are_all_seen(world: World) -> None:
    end_ns = start_of(world) + 400 * HOUR_NS
    world.check(end_ns, 50)  # nothing is stored
    world.add("BTCUSDT", 0, 100)
    world.check(end_ns, 50)
    world.add("ETHUSDT", 20, 60)  # fewer than are asked for
    world.check(end_ns, 50)
    world.add("BTCUSDT", 100, 103)
    world.check(end_ns, 50)
    world.add("BTCUSDT", 110, 112)
    world.check(end_ns, 50)
    world.add("BTCUSDT", 104, 106)  # a hole is filled
    world.check(end_ns, 50)
    world.add("ETHUSDT", 0, 5)  # before the first one
    world.check(end_ns, 50)
    world.add("BTCUSDT", 90, 91, volume=world.bars["BTCUSDT"].volume[90:91] + 1)  # a revision
    world.check(end_ns, 50)
    fine = world.bars["BTCUSDT"].tick.step / 10
    world.add("BTCUSDT", 112, 113, tick=Grid.of(str(Decimal(fine))))
    world.check(end_ns, 50)


def test_a_look_at_the_past_and_a_longer_look_are_answered_too(world: World) -> None:
    world.add("BTCUSDT", 0, 300)
    for hours, limit in ((300, 20), (250, 20), (40, 20), (300, 100), (300, 299), (300, 500), (0, 3), (10, 10), (9, 10)):
        world.check(start_of(world) + hours * HOUR_NS, limit)


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["BTCUSDT", "ETHUSDT"]),
            st.integers(0, 290),
            st.integers(1, 30),
            st.booleans(),
            st.integers(1, 320),
            st.integers(1, 60),
        ),
        max_size=8,
    )
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_in_whatever_order_it_equals_a_plain_read(
    migrated_sqlite: Any, tmp_path_factory: pytest.TempPathFactory, make: SimpleNamespace, steps: list[Any]
) -> None:
    file = tmp_path_factory.mktemp("tails") / "gnomon.db"
    shutil.copyfile(migrated_sqlite, file)
    engine = open_engine(f"sqlite:///{file}")
    world = World(engine, make)
    for symbol, first, count, is_revised, hours, limit in steps:
        bars = world.bars[symbol]
        changes = {"volume": bars.volume[first : first + count] + world.now_ns % 7} if is_revised else {}
        world.add(symbol, first, first + count, **changes)
        world.check(start_of(world) + hours * HOUR_NS, limit)
    engine.dispose()


def test_the_next_hour_costs_three_queries_however_many_series_there_are(world: World, engine: Engine) -> None:
    for symbol in world.bars:
        world.add(symbol, 0, 200)
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    end_ns = start_of(world) + 400 * HOUR_NS
    world.tails.tape(KEYS, last_ns=end_ns, limit=150)
    first = len(asked)
    for symbol in world.bars:
        world.add(symbol, 200, 201)
    asked.clear()
    world.tails.tape(KEYS, last_ns=end_ns, limit=150)
    read = [one for one in asked if one.lstrip().upper().startswith(("SELECT", "WITH"))]
    assert len(read) == 3 < first
