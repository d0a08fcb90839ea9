"""Where the pool of a job finds the past of its disagreement flag: in its own earlier rows of the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Engine

from gnomon.forecast.disagreement import TRAILING, KnownDistances
from gnomon.forecast.forecast import Context
from gnomon.store.disagreements import read_disagreements
from gnomon.store.entry import Lane
from gnomon.units import FloatArray


@dataclass(frozen=True, slots=True)
class LedgerDistances:
    """The distances of a pool's earlier forecasts of the same pair, lane and variant.

    A series is read once, when it is first asked about; what the pool says after that it tells this, so that a chunk of
    a walk-forward that is not inserted yet counts too. Contexts of a series come in order of their cutoffs.
    """

    engine: Engine
    pool: str
    pair: tuple[str, str]
    lane: Lane = "live"
    variant: str = ""
    issued_by_ns: int | None = None
    _known: KnownDistances = field(default_factory=KnownDistances)
    _read: set[tuple[str, str, str]] = field(default_factory=set)

    def of(self, context: Context) -> FloatArray:
        series = context.instrument, str(context.timeframe), context.basis
        if series not in self._read:
            self._read.add(series)
            rows = read_disagreements(
                self.engine,
                lane=self.lane,
                variant=self.variant,
                timeframe=str(context.timeframe),
                forecaster=self.pool,
                instruments=(context.instrument,),
                basis=context.basis,
                last_cutoff_ns=context.data_cutoff_ns,
                pair=self.pair,
                issued_by_ns=self.issued_by_ns,
                newest=TRAILING,
            )
            for one in rows:
                self._known.put(series, one.cutoff_ns, one.distance)
        return self._known.of(context)

    def add(self, context: Context, distance: float) -> None:
        self._known.add(context, distance)
