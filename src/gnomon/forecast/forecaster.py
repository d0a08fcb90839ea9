"""The port of everyone who foresees: a baseline, a model, a remote host, an ensemble."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from gnomon.forecast.forecast import LEVELS, MIN_CONTEXT_BARS, Context, Forecast, Role


@dataclass(frozen=True, slots=True)
class Traits:
    """What a forecaster can do. `levels` is None where any level in (0, 1) can be answered."""

    role: Role = "model"
    levels: tuple[float, ...] | None = None
    covariates: Literal["none", "past", "past+known"] = "none"
    min_context_bars: int = MIN_CONTEXT_BARS
    max_context_bars: int | None = None
    max_horizon_bars: int | None = None
    paths: bool = False
    information: str = "bars"
    licence: str = "Apache-2.0"


class Forecaster(Protocol):
    """One method. The generator of each series is keyed by identity: a batch equals single calls, in any order.

    `predict` answers one forecast for each context, in order. Contexts may be of unequal length; their future times
    come from the calendar. Raises `Invalid` (a context breaks a rule; nothing is answered), `Unavailable`, `Exhausted`.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def traits(self) -> Traits: ...

    def predict(
        self, contexts: Sequence[Context], horizon: int, *, levels: Sequence[float] = LEVELS, seed: int = 0
    ) -> list[Forecast]: ...


def version_of(semantics: int, parameters: Mapping[str, Any]) -> str:
    """`N-xxxxxxxx`: the forecaster's hand-set semantics number and a short hash of its parameters (JSON values).

    Whatever changes the numbers changes one of the two; a release that changes none of them keeps the version.
    """
    text = json.dumps(parameters, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"{semantics}-{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"
