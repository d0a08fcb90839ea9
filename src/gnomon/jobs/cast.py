"""Who forecasts in a job: the forecasters of the catalog, and the ensembles that read what others issued.

An ensemble's members share its cutoff; what it may read of them ends at `issued_by_ns`, what it may know of their
merits at the cutoff itself. Walk-forwards read their own lane and variant and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gnomon.errors import Invalid
from gnomon.forecast.catalog import BASELINES, forecaster
from gnomon.forecast.disagreement import Flag, OnDisagree
from gnomon.forecast.ensemble import EnsembleMeta, EnsemblePool, Member, Weights
from gnomon.forecast.forecast import Context
from gnomon.forecast.forecaster import Forecaster
from gnomon.forecast.meta import Learner, load
from gnomon.jobs.disagreements import LedgerDistances
from gnomon.store.forecasts import Lane
from gnomon.store.served import Served, read_served
from gnomon.store.store import Store
from gnomon.store.weights import StoredWeights

POOL: Final = "ensemble-pool"
META: Final = "ensemble-meta"
ENSEMBLES: Final = (POOL, META)


@dataclass(frozen=True, slots=True)
class Watched:
    """The two members whose disagreement the pool watches, and what it does about it."""

    first: str = "kronos-base"
    second: str = "chronos-2"
    on_disagree: OnDisagree = "widen"


MODELS_WATCHED: Final = Watched()


@dataclass(frozen=True, slots=True)
class Cast:
    """The forecasters of one lane and variant, by id. `members` are who an ensemble may pool."""

    store: Store
    lane: Lane = "live"
    variant: str = ""
    members: tuple[str, ...] = tuple(BASELINES)
    issued_by_ns: int | None = None
    watched: Watched = MODELS_WATCHED

    def forecaster(self, name: str) -> Forecaster:
        """The forecaster of an id; `NotFound` offers the nearest."""
        if name == POOL:
            weights = LedgerWeights(LedgerFits(self), (POOL,))
            return EnsemblePool(LedgerMembers(self), weights, eligible=self.members, flag=self._flag())
        known = forecaster(name)
        if name != META:
            return known
        fits = LedgerFits(self)
        weights = LedgerWeights(fits, (META, POOL))
        return EnsembleMeta(LedgerMembers(self), weights, LedgerLearners(fits), eligible=self.members)

    def _flag(self) -> Flag:
        pair = self.watched
        distances = LedgerDistances(
            self.store.engine, POOL, (pair.first, pair.second), self.lane, self.variant, self.issued_by_ns
        )
        return Flag(pair.first, pair.second, distances, pair.on_disagree)


def split_cast(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those who read the market, and the ensembles, which come after them. `Invalid` for ensembles alone is not here:
    a live ensemble's members may have been issued before."""
    return tuple(one for one in names if one not in ENSEMBLES), tuple(one for one in names if one in ENSEMBLES)


@dataclass(frozen=True, slots=True)
class LedgerMembers:
    """What the members said at each context's cutoff, as the ledger serves it."""

    cast: Cast

    def of(self, contexts: Sequence[Context], horizon: int) -> list[dict[str, Member]]:
        """For each context its members by id: of each the newest version; those of another horizon are left out."""
        if not contexts:
            return []
        timeframes = {str(one.timeframe) for one in contexts}
        if len(timeframes) > 1:
            raise Invalid(f"contexts of {len(timeframes)} timeframes", hint="one timeframe a call")
        cutoffs = {one.data_cutoff_ns for one in contexts}
        rows = read_served(
            self.cast.store.engine,
            lane=self.cast.lane,
            variant=self.cast.variant,
            timeframe=timeframes.pop(),
            forecasters=self.cast.members,
            instruments=sorted({one.instrument for one in contexts}),
            first_cutoff_ns=min(cutoffs),
            last_cutoff_ns=max(cutoffs),
            cutoffs_ns=cutoffs,
            issued_by_ns=self.cast.issued_by_ns,
        )
        found: dict[tuple[str, str, int], dict[str, Member]] = {}
        for row in rows:  # by id: a newer version comes later and stays
            if len(row.target_close_ns) == horizon:
                found.setdefault((row.instrument, row.basis, row.data_cutoff_ns), {})[row.forecaster] = _member(row)
        return [found.get((one.instrument, one.basis, one.data_cutoff_ns), {}) for one in contexts]


class LedgerFits:
    """The newest fit of an ensemble for a context's asset class that had been made by its cutoff; each read once."""

    def __init__(self, cast: Cast) -> None:
        self._cast = cast
        self._known: dict[tuple[str, str, str, int], StoredWeights | None] = {}

    def of(self, context: Context, ensemble: str) -> StoredWeights | None:
        key = ensemble, context.asset_class, str(context.timeframe), context.data_cutoff_ns
        if key not in self._known:
            self._known[key] = self._cast.store.weights.newest(
                lane=self._cast.lane,
                variant=self._cast.variant,
                ensemble=ensemble,
                scope=context.asset_class,
                timeframe=str(context.timeframe),
                as_of_ns=context.data_cutoff_ns,
            )
        return self._known[key]


@dataclass(frozen=True, slots=True)
class LedgerWeights:
    """The weights of the first of the ensembles that has any for a context."""

    fits: LedgerFits
    ensembles: tuple[str, ...]

    def of(self, context: Context) -> Weights | None:
        found = (self.fits.of(context, one) for one in self.ensembles)
        fit = next((one for one in found if one is not None), None)
        return None if fit is None else Weights.from_document(fit.document, id=fit.id)


@dataclass(frozen=True, slots=True)
class LedgerLearners:
    """The learner that was stored with the weights of `ensemble-meta`: one row, so one id names both."""

    fits: LedgerFits

    def of(self, context: Context) -> Learner | None:
        fit = self.fits.of(context, META)
        if fit is None:
            return None
        document = fit.document["learner"]
        return load(document, document["text"])


def _member(row: Served) -> Member:
    return Member(
        name=row.forecaster,
        version=row.version,
        role=row.role,
        levels=row.levels,
        quantiles=row.quantiles,
        p_up=row.p_up,
        base_price=row.base_price,
        cutoff_ns=row.data_cutoff_ns,
    )
