"""A store with a few synthetic instruments, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Engine

from gnomon.clock import Timeframe, parse_instant
from gnomon.market.candles import Candles
from gnomon.market.dataset import Passport
from gnomon.market.instrument import Instruments
from gnomon.market.synth import synthetic_market
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.store.store import Store

HOUR = Timeframe.parse("1h")
FIRST_NS, LAST_NS = parse_instant("2024-01-01"), parse_instant("2024-04-01")
SYMBOLS = ("BTCUSDT", "ETHUSDT", "EURUSD")


@pytest.fixture
def configured() -> Instruments:
    return shipped_instruments()


@pytest.fixture
def store(engine: Engine, tmp_path: Path) -> Store:
    """An empty store."""
    return Store.over(engine, tmp_path / "datasets")


@pytest.fixture(scope="session")
def bars() -> list[Candles]:
    """Three months of hourly bars of three instruments."""
    instruments = [shipped_instruments().find(symbol) for symbol in SYMBOLS]
    sessions = {one.calendar: load_sessions(one.calendar) for one in instruments}
    return synthetic_market(instruments, sessions, HOUR, FIRST_NS, LAST_NS, seed=11)


Record = Callable[[Store, Sequence[Candles], int], None]


@pytest.fixture(scope="session")
def record() -> Record:
    """Puts candles into a store as an import would."""

    def put(store: Store, candles: Sequence[Candles], recorded_ns: int) -> None:
        passport = Passport.of(candles, "test")
        instruments = [shipped_instruments().find(one.instrument) for one in candles]
        store.market.record(passport, candles, instruments, recorded_ns=recorded_ns)

    return put


@pytest.fixture
def filled(store: Store, bars: list[Candles], record: Record) -> Store:
    """A store with the three instruments' bars."""
    record(store, bars, LAST_NS)
    return store
