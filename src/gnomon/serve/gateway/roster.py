"""The forecasters' ids, as text.

The catalog holds the forecasters themselves, so the gateway must not import it: it has no code path to one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gnomon.forecast.forecast import Role


@dataclass(frozen=True, slots=True)
class Listed:
    """What is said of a forecaster before it has issued anything."""

    role: Role
    description: str
    information: str = "bars"


DEFAULT_MODEL: Final = "kronos-base"
BASELINE: Final = "ewma"
"""The naive row that stands beside every forecast."""

ROSTER: Final[Mapping[str, Listed]] = {
    "kronos-base": Listed("model", "Kronos, base size: a transformer over bars, 30 paths."),
    "kronos-small": Listed("model", "Kronos, small size."),
    "kronos-mini": Listed("model", "Kronos, mini size, with a long context."),
    "kronos-events": Listed("model", "Kronos base, told of scheduled events by an adapter.", "bars+events"),
    "chronos-2": Listed("model", "Chronos-2: quantiles of any series in one pass, no paths."),
    "ensemble-pool": Listed("ensemble", "The members' quantiles averaged, weighted by their recent loss."),
    "ensemble-meta": Listed("ensemble", "The pool, guided by a learner of direction."),
    "ewma": Listed("baseline", "No drift; log-normal with exponentially weighted volatility. The naive reference."),
    "fhs": Listed("baseline", "Past shocks redrawn under today's volatility, 2,000 paths."),
    "drift": Listed("baseline", "The mean return of the last 250 bars goes on."),
    "seasonal": Listed("baseline", "No drift; volatility by hour of the week, or by weekday."),
    "bootstrap": Listed("baseline", "Blocks of past returns redrawn, 2,000 paths."),
    "momentum": Listed("baseline", "A tenth of the last five sessions' return goes on."),
    "garch": Listed("baseline", "GARCH(1,1) with Student t shocks."),
}
