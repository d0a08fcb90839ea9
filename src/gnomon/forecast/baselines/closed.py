"""Closed forms: the log price after h bars is normal with mean m_h and deviation s_h.

`q_h(τ) = c_T · exp(m_h + z_τ · s_h)` and `p_up = Φ(m_h / s_h)`. A baseline is a function from contexts to m and s.

| id         | m_h                                        | s_h                                 |
|------------|--------------------------------------------|-------------------------------------|
| `ewma`     | 0                                          | sqrt(v h)                           |
| `drift`    | h · mean of the last n ≤ 250 returns       | sqrt(v h (1 + h/n))                 |
| `momentum` | 0.1 · ln(c_T / c_{T−L}) · min(1, h/L)      | sqrt(v h)                           |
| `seasonal` | 0                                          | sqrt(v′ Σ_{j≤h} g(slot of bar T+j)) |

The arithmetic is done for a whole batch at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from gnomon.forecast.baselines.returns import (
    DECAY_DAILY,
    DECAY_INTRADAY,
    VARIANCE_RETURNS,
    ewma_variance,
    log_returns,
)
from gnomon.forecast.baselines.seasonal import SEASONAL_PRIOR, SEASONAL_RETURNS, seasonal_deviation
from gnomon.forecast.forecast import LEVELS, Context, Forecast
from gnomon.forecast.forecaster import Traits, version_of
from gnomon.forecast.quantiles import in_order, normal_cdf, normal_scores, publishable
from gnomon.forecast.sanitise import accept, out_of_range
from gnomon.units import FloatArray

DRIFT_RETURNS: Final = 250
MOMENTUM_SHARE: Final = 0.1

_TRAITS: Final = Traits(role="baseline")

Curve = Callable[[Sequence[Context], int], tuple[FloatArray, FloatArray]]
"""Contexts and a horizon to m and s, (B, H) each; every s positive."""


def _no_notes(context: Context) -> tuple[str, ...]:  # noqa: ARG001 - the signature of a note
    return ()


@dataclass(frozen=True, slots=True)
class ClosedForm:
    """A forecaster whose log price is normal at every step."""

    name: str
    curve: Curve
    semantics: int
    parameters: Mapping[str, Any]
    notes: Callable[[Context], tuple[str, ...]] = _no_notes
    traits: Traits = _TRAITS
    version: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "version", version_of(self.semantics, self.parameters))

    def predict(
        self, contexts: Sequence[Context], horizon: int, *, levels: Sequence[float] = LEVELS, seed: int = 0
    ) -> list[Forecast]:
        """One forecast a context, in order; the seed is recorded and not used. `Invalid` as `sanitise.accept` says."""
        accepted = accept(contexts, horizon, levels, self.traits)
        if not contexts:
            return []
        mean, deviation = self.curve(contexts, horizon)
        raw = log_normal(contexts, mean, deviation, accepted)
        quantiles, crossings = in_order(raw)
        p_up = normal_cdf(mean / deviation) if mean.any() else np.full(mean.shape, 0.5)
        good = publishable(quantiles)
        if not good.all():
            raise out_of_range(contexts[int(np.argmin(good))])
        return [
            Forecast(
                forecaster=self.name,
                version=self.version,
                role=self.traits.role,
                instrument=context.instrument,
                timeframe=context.timeframe,
                data_cutoff_ns=context.data_cutoff_ns,
                base_price=context.base_price,
                target_open_ns=context.target_open_ns[:horizon],
                target_close_ns=context.target_close_ns[:horizon],
                levels=accepted,
                quantiles=quantiles[row],
                p_up=p_up[row],
                seed=seed,
                input_hash=context.input_hash(),
                crossings=int(crossings[row]),
                information=self.traits.information,
                basis=context.basis,
                params=self.parameters,
                warnings=self.notes(context),
            )
            for row, context in enumerate(contexts)
        ]


def log_normal(
    contexts: Sequence[Context], mean: FloatArray, deviation: FloatArray, levels: tuple[float, ...]
) -> FloatArray:
    """Prices (B, H, Q) of the levels where the log return to each step is normal."""
    prices = deviation[..., None] * normal_scores(levels)
    prices += mean[..., None]
    with np.errstate(over="ignore", under="ignore"):  # refused later, by name
        np.exp(prices, out=prices)
        prices *= np.array([context.base_price for context in contexts])[:, None, None]
    return prices  # (batch, horizon, level)


# --- the curves -----------------------------------------------------------------------------------------------------


def _ewma(contexts: Sequence[Context], horizon: int) -> tuple[FloatArray, FloatArray]:
    variance = ewma_variance(contexts, *log_returns(contexts, VARIANCE_RETURNS))
    steps = np.arange(1.0, horizon + 1)
    return np.zeros((len(contexts), horizon)), np.sqrt(variance[:, None] * steps)


def _drift(contexts: Sequence[Context], horizon: int) -> tuple[FloatArray, FloatArray]:
    returns, counts = log_returns(contexts, VARIANCE_RETURNS)
    variance = ewma_variance(contexts, returns, counts)[:, None]
    used = np.minimum(counts, DRIFT_RETURNS)[:, None]
    mean = returns[:, -DRIFT_RETURNS:].sum(axis=1, keepdims=True) / used
    steps = np.arange(1.0, horizon + 1)
    return mean * steps, np.sqrt(variance * steps * (1.0 + steps / used))


def _momentum(contexts: Sequence[Context], horizon: int) -> tuple[FloatArray, FloatArray]:
    _, deviation = _ewma(contexts, horizon)
    lookback = np.array([_momentum_bars(context) for context in contexts])
    before = np.array([context.bars[-1 - bars, 3] for context, bars in zip(contexts, lookback, strict=True)])
    last = np.array([context.base_price for context in contexts])
    reached = np.minimum(1.0, np.arange(1.0, horizon + 1) / lookback[:, None])
    return MOMENTUM_SHARE * np.log(last / before)[:, None] * reached, deviation


def _momentum_bars(context: Context) -> int:
    """L: the bars of five sessions, or all that a shorter context holds."""
    return min(context.five_session_bars, len(context.bars) - 1)


def _momentum_notes(context: Context) -> tuple[str, ...]:
    bars = _momentum_bars(context)
    if bars == context.five_session_bars:
        return ()
    return (f"momentum over {bars} bars: the context is shorter than five sessions ({context.five_session_bars} bars)",)


def _seasonal(contexts: Sequence[Context], horizon: int) -> tuple[FloatArray, FloatArray]:
    return np.zeros((len(contexts), horizon)), seasonal_deviation(contexts, horizon)


# --- the forecasters --------------------------------------------------------------------------------------------------

_VOLATILITY: Final = {
    "returns": VARIANCE_RETURNS,
    "decay_daily": DECAY_DAILY,
    "decay_intraday": DECAY_INTRADAY,
}

EWMA: Final = ClosedForm("ewma", _ewma, semantics=1, parameters=_VOLATILITY)
DRIFT: Final = ClosedForm("drift", _drift, semantics=1, parameters={**_VOLATILITY, "drift_returns": DRIFT_RETURNS})
MOMENTUM: Final = ClosedForm(
    "momentum",
    _momentum,
    semantics=1,
    parameters={**_VOLATILITY, "share": MOMENTUM_SHARE, "sessions": 5},
    notes=_momentum_notes,
)
SEASONAL: Final = ClosedForm(
    "seasonal",
    _seasonal,
    semantics=1,
    parameters={**_VOLATILITY, "profile_returns": SEASONAL_RETURNS, "profile_prior": SEASONAL_PRIOR},
)
