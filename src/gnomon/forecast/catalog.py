"""The catalog: every forecaster by its id, the row it is on the board. Adding one is a file and a line here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gnomon.errors import NotFound, nearest
from gnomon.forecast.baselines.closed import DRIFT, EWMA, MOMENTUM, SEASONAL
from gnomon.forecast.baselines.paths import BOOTSTRAP, FHS
from gnomon.forecast.ensemble import EnsembleMeta, EnsemblePool, ForecasterMembers
from gnomon.forecast.forecast import Role
from gnomon.forecast.forecaster import Forecaster, Traits
from gnomon.forecast.kronos.config import TRAINED_UNTIL
from gnomon.forecast.kronos.forecaster import KronosForecaster
from gnomon.forecast.meta import NoLearners, is_available

REFERENCE: Final = "ewma"
"""The forecaster that every skill is measured against; "naive" in words."""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One forecaster and what is said about it."""

    forecaster: Forecaster
    description: str
    hf_id: str = ""  # of models: where their weights were published
    parameters: int = 0
    trained_until: str = ""  # the month in which the data of their training end

    @property
    def id(self) -> str:
        return self.forecaster.name

    @property
    def traits(self) -> Traits:
        return self.forecaster.traits

    @property
    def role(self) -> Role:
        return self.traits.role

    @property
    def licence(self) -> str:
        return self.traits.licence

    @property
    def information(self) -> str:
        return self.traits.information


_CLOSED: Final = (EWMA, DRIFT, SEASONAL, MOMENTUM)
_POOL: Final = EnsemblePool(ForecasterMembers(_CLOSED), eligible=tuple(one.name for one in _CLOSED))
"""A pool without a ledger: equal weights, and members whose answer no seed moves, so that no seed moves the pool's."""

_META: Final = EnsembleMeta(ForecasterMembers(_CLOSED), None, NoLearners(), eligible=tuple(one.name for one in _CLOSED))
"""Without a ledger nothing has been learned, and this is the pool."""

_META_NAME: Final = "ensemble-meta"


def _kronos(size: str, description: str) -> CatalogEntry:
    """A published Kronos. The entry is there without its weights; forecasting with it is not."""
    one = KronosForecaster.published(f"kronos-{size}", f"Kronos-{size}")
    return CatalogEntry(one, description, one.model.hf_id, one.model.parameters, TRAINED_UNTIL)


_ENTRIES: Final = (
    _kronos("base", "Kronos, base size: a transformer over bars of 102 M weights; context 512, 30 paths."),
    _kronos("small", "Kronos, small size: 25 M weights; context 512, 30 paths."),
    _kronos("mini", "Kronos, mini size: 4 M weights; context 2,048, 30 paths."),
    CatalogEntry(EWMA, "No drift; log-normal with exponentially weighted volatility. The naive reference."),
    CatalogEntry(FHS, "Filtered historical simulation: past shocks redrawn under today's volatility, 2,000 paths."),
    CatalogEntry(DRIFT, "The mean return of the last 250 bars goes on, its error included in the width."),
    CatalogEntry(SEASONAL, "No drift; volatility by hour of the week, or by weekday for daily bars."),
    CatalogEntry(BOOTSTRAP, "Blocks of ten past returns redrawn, centred, 2,000 paths."),
    CatalogEntry(MOMENTUM, "A tenth of the last five sessions' return goes on; the width of ewma."),
    CatalogEntry(_POOL, "The mean of its members' log quantiles; here of ewma, drift, seasonal, momentum, equally."),
    CatalogEntry(_META, "The pool, tilted by a learner of the next bar's direction; without one, the pool."),
)
_BY_ID: Final = {one.id: one for one in _ENTRIES if one.id != _META_NAME or is_available()}

BASELINES: Final = tuple(entry.id for entry in _ENTRIES if entry.role == "baseline")


def names() -> tuple[str, ...]:
    """Every id, in the order of the board's legend."""
    return tuple(_BY_ID)


def entry(name: str) -> CatalogEntry:
    """The entry of an id; `NotFound` offers the nearest."""
    try:
        return _BY_ID[name]
    except KeyError:
        if name == _META_NAME:
            raise NotFound(
                f"no forecaster {name!r} here: lightgbm is not installed", hint="install the extra: gnomon[ensemble]"
            ) from None
        close = nearest(name, _BY_ID)
        hint = f"did you mean {', '.join(close)}?" if close else f"one of {', '.join(_BY_ID)}"
        raise NotFound(f"no forecaster {name!r}", hint=hint, detail={"nearest": close}) from None


def forecaster(name: str) -> Forecaster:
    """The forecaster of an id; `NotFound` offers the nearest."""
    return entry(name).forecaster
