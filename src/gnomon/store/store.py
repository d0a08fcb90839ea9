"""The store as one value: what jobs and doors are given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from gnomon.store.calibrations import CalibrationStore
from gnomon.store.datasets import DatasetFiles
from gnomon.store.digests import DigestStore
from gnomon.store.engine import open_engine, require_current, upgrade
from gnomon.store.events import EventStore
from gnomon.store.forecasts import ForecastLedger
from gnomon.store.market import MarketStore
from gnomon.store.performance import PerformanceStore
from gnomon.store.scores import ScoreStore
from gnomon.store.slots import SlotStore
from gnomon.store.snapshots import BoardStore
from gnomon.store.tails import Tails
from gnomon.store.weights import WeightStore


@dataclass(frozen=True, slots=True)
class Store:
    """Everything that is remembered: one database and the folder of immutable datasets."""

    engine: Engine
    market: MarketStore
    tails: Tails
    forecasts: ForecastLedger
    scores: ScoreStore
    calibrations: CalibrationStore
    weights: WeightStore
    slots: SlotStore
    digests: DigestStore
    events: EventStore
    performance: PerformanceStore
    boards: BoardStore
    datasets: DatasetFiles

    @classmethod
    def open(cls, url: str, datasets: Path) -> Store:
        """The store at a database URL. SQLite is brought to the newest schema; PostgreSQL only by `gnomon db upgrade`.

        Raises `Unavailable` when the database cannot be reached or its schema is not the newest.
        """
        engine = open_engine(url)
        try:
            if engine.dialect.name == "sqlite":
                upgrade(engine)
            require_current(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls.over(engine, datasets)

    @classmethod
    def over(cls, engine: Engine, datasets: Path) -> Store:
        """The store over an engine whose schema is the newest."""
        return cls(
            engine=engine,
            market=MarketStore(engine),
            tails=Tails(engine),
            forecasts=ForecastLedger(engine),
            scores=ScoreStore(engine),
            calibrations=CalibrationStore(engine),
            weights=WeightStore(engine),
            slots=SlotStore(engine),
            digests=DigestStore(engine),
            events=EventStore(engine),
            performance=PerformanceStore(engine),
            boards=BoardStore(engine),
            datasets=DatasetFiles(datasets),
        )
