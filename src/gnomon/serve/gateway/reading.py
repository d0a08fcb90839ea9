"""All that the gateway may read: the store's parts, the instruments and the clock, as one value."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from gnomon.clock import Clock
from gnomon.errors import Invalid, nearest
from gnomon.market.instrument import Instrument, Instruments
from gnomon.serve.gateway.census import Census
from gnomon.serve.gateway.roster import ROSTER
from gnomon.store.digests import DigestStore
from gnomon.store.forecasts import LANES, ForecastLedger, Lane
from gnomon.store.market import MarketStore
from gnomon.store.scores import ScoreStore
from gnomon.store.slots import SlotStore
from gnomon.store.snapshots import BoardStore


@dataclass(slots=True)
class Reading:
    """What every route is given. Its methods may ask the database: call them off the event loop."""

    engine: Engine
    ledger: ForecastLedger
    market: MarketStore
    scores: ScoreStore
    slots: SlotStore
    digests: DigestStore
    snapshots: BoardStore
    instruments: Instruments
    clock: Clock
    census: dict[Lane, Census]

    @classmethod
    def of(cls, engine: Engine, instruments: Instruments, clock: Clock) -> Reading:
        return cls(
            engine=engine,
            ledger=ForecastLedger(engine),
            market=MarketStore(engine),
            scores=ScoreStore(engine),
            slots=SlotStore(engine),
            digests=DigestStore(engine),
            snapshots=BoardStore(engine),
            instruments=instruments,
            clock=clock,
            census={lane: Census(engine, lane) for lane in LANES},
        )

    def instrument(self, name: str) -> Instrument:
        """The instrument of any of its names; one that was imported since the start is found too. `NotFound` else."""
        if name not in self.instruments:
            self.all_instruments()
        return self.instruments.find(name)

    def all_instruments(self) -> Instruments:
        """The configured instruments and those that an import has met."""
        self.instruments = self.instruments.with_added(self.market.instruments())
        return self.instruments

    def symbol(self, instrument: str) -> str:
        """The display symbol of an identity; of one that is not in the file, the part after its venue."""
        known = self.instruments
        return known.find(instrument).symbol if instrument in known else instrument.partition(":")[2] or instrument

    def require_model(self, name: str) -> None:
        """`Invalid` for a forecaster that is neither in the roster nor in the ledger."""
        issued = {one.forecaster for one in self.census["live"].taken()} if name not in ROSTER else ()
        if name not in ROSTER and name not in issued:
            raise unknown_model(name)


def unknown_model(name: str) -> Invalid:
    """What a reader is told who asks for a forecaster that nobody knows."""
    close = nearest(name, ROSTER)
    hint = f"did you mean {', '.join(close)}?" if close else f"one of {', '.join(ROSTER)}"
    return Invalid(f"no forecaster {name!r}", hint=hint, detail={"nearest": close})
