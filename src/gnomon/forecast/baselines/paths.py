"""Baselines that resample the past: 2,000 seeded paths of the log price, quantiles from all of them.

| id          | a path                                                                                               |
|-------------|------------------------------------------------------------------------------------------------------|
| `fhs`       | filtered historical simulation: standardised residuals drawn with replacement, volatility by EWMA    |
| `bootstrap` | circular blocks of ten returns, centred                                                              |

Each series draws from its own generator, keyed by (seed, forecaster, version, instrument, timeframe, cutoff). Step h of
a path depends on the draws of steps 1 … h alone, so a shorter horizon gives the first steps of a longer one.

Arrays are (step, path): a step's prices lie side by side in memory, which is what drawing, stepping and sorting want.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gnomon import chance
from gnomon.forecast.baselines.returns import DECAY_DAILY, DECAY_INTRADAY, decay, returns_of, variance_floor
from gnomon.forecast.forecast import LEVELS, Context, Forecast
from gnomon.forecast.forecaster import Traits, version_of
from gnomon.forecast.quantiles import in_order, publishable, ranks
from gnomon.forecast.sanitise import accept, out_of_range
from gnomon.units import FloatArray

PATHS: Final = 2000
KEPT_PATHS: Final = 30
"""How many paths a forecast carries: every 66th of those drawn. They are for pictures; the quantiles come from all."""

RETURNS: Final = 1000
WARM_UP_RETURNS: Final = 50
"""The filter starts from the variance of these, and their residuals are not used."""

BLOCK_RETURNS: Final = 10

_TRAITS: Final = Traits(role="baseline", paths=True)

Draw = Callable[[Context, int, np.random.Generator], FloatArray | None]
"""A context, a horizon and its generator to log returns since the cutoff (H, `PATHS`); None where nothing moved."""

DEAD: Final = "the closes moved less than half a tick a bar: paths are normal steps of half a tick"


@dataclass(frozen=True, slots=True)
class Resampled:
    """A forecaster that draws paths."""

    name: str
    draw: Draw
    semantics: int
    parameters: Mapping[str, Any]
    traits: Traits = _TRAITS
    version: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "version", version_of(self.semantics, self.parameters))

    def predict(
        self, contexts: Sequence[Context], horizon: int, *, levels: Sequence[float] = LEVELS, seed: int = 0
    ) -> list[Forecast]:
        """One forecast a context, in order, the same bytes for the same seed. `Invalid` as `sanitise.accept` says."""
        accepted = accept(contexts, horizon, levels, self.traits)
        return [self._forecast(context, horizon, accepted, seed) for context in contexts]

    def generator(self, context: Context, seed: int) -> np.random.Generator:
        """The luck of one series at one cutoff, whatever else is forecast beside it."""
        return chance.generator(
            seed, self.name, self.version, context.instrument, str(context.timeframe), context.data_cutoff_ns
        )

    def _forecast(self, context: Context, horizon: int, levels: tuple[float, ...], seed: int) -> Forecast:
        drawn = self.draw(context, horizon, self.generator(context, seed))
        walks = still(context, horizon, self.generator(context, seed)) if drawn is None else drawn
        kept = np.ascontiguousarray(walks[:, :: PATHS // KEPT_PATHS][:, :KEPT_PATHS].T)
        p_up = share_above(walks)
        walks.sort(axis=1)
        quantiles, crossings = in_order(prices_at(walks, context.base_price, levels))
        paths = _prices(kept, context.base_price)
        if not (publishable(quantiles) and publishable(paths)):
            raise out_of_range(context)
        return Forecast(
            forecaster=self.name,
            version=self.version,
            role=self.traits.role,
            instrument=context.instrument,
            timeframe=context.timeframe,
            data_cutoff_ns=context.data_cutoff_ns,
            base_price=context.base_price,
            target_open_ns=context.target_open_ns[:horizon],
            target_close_ns=context.target_close_ns[:horizon],
            levels=levels,
            quantiles=quantiles,
            p_up=p_up,
            seed=seed,
            input_hash=context.input_hash(),
            paths=paths,
            n_paths=PATHS,
            crossings=int(crossings),
            information=self.traits.information,
            basis=context.basis,
            params=self.parameters,
            warnings=() if drawn is not None else (DEAD,),
        )


def share_above(walks: FloatArray) -> FloatArray:
    """p_up (H,): the share of paths above the base price, ties half."""
    above = np.count_nonzero(walks > 0, axis=1)
    below = np.count_nonzero(walks < 0, axis=1)
    return np.asarray(0.5 + 0.5 * (above - below) / walks.shape[1])


def prices_at(ordered: FloatArray, base_price: float, levels: tuple[float, ...]) -> FloatArray:
    """Quantiles (H, Q) of `base_price · exp(walk)` at rank (n + 1)τ, linear in price; walks (H, n) sorted per step."""
    below, above, share = ranks(levels, ordered.shape[1])
    low, high = _prices(ordered[:, below], base_price), _prices(ordered[:, above], base_price)
    with np.errstate(invalid="ignore"):
        return low + share * (high - low)


def _prices(walks: FloatArray, base_price: float) -> FloatArray:
    with np.errstate(over="ignore", under="ignore"):  # what leaves float64 is refused later, by name
        return base_price * np.exp(walks)


def indices(generator: np.random.Generator, count: int) -> Iterator[npt.NDArray[np.intp]]:
    """Rows of `PATHS` uniform indices below `count`, without end; a row is overwritten by the next.

    The upper half of a 32 x 32 bit product: the bias is below count / 2^32, and unlike `Generator.integers` the stream
    is that of the bit generator itself, which NumPy promises to keep.
    """
    row = np.empty(PATHS, np.uint64)
    while True:
        raw = np.asarray(generator.bit_generator.random_raw(PATHS // 2))
        np.multiply(raw.view("<u4"), np.uint64(count), out=row)
        row >>= np.uint64(32)
        yield row.view(np.intp)


def still(context: Context, horizon: int, generator: np.random.Generator) -> FloatArray:
    """Walks (H, `PATHS`) of a series with nothing to resample: normal steps of the variance floor."""
    steps = generator.standard_normal((horizon, PATHS))
    steps *= np.sqrt(variance_floor(context))
    return np.cumsum(steps, axis=0, out=steps)


# --- filtered historical simulation -------------------------------------------------------------------------------


def _fhs(context: Context, horizon: int, generator: np.random.Generator) -> FloatArray | None:
    returns = returns_of(context, RETURNS)
    floor, fade = variance_floor(context), decay(context.timeframe)
    variance = np.maximum(filtered(returns, fade), floor)  # (n + 1,)
    warm_up = min(WARM_UP_RETURNS, len(returns) // 2)
    residuals = (returns / np.sqrt(variance[:-1]))[warm_up:]
    residuals -= residuals.mean()
    deviation = residuals.std()
    if returns.var() < floor or deviation == 0:
        return None
    residuals /= deviation
    return _simulated(residuals, float(variance[-1]), fade, horizon, generator)


def filtered(returns: FloatArray, fade: float) -> FloatArray:
    """v_1 … v_{n+1} with v_{t+1} = λ v_t + (1 − λ) r_t² and v_1 the variance of the first `WARM_UP_RETURNS`.

    The recursion unrolled: v_{t+1} = λ^t (v_1 + (1 − λ) Σ_{k≤t} λ^{-k} r_k²); all terms are positive, nothing cancels.
    """
    growth = _growth(fade)[: len(returns)]
    variance = np.empty(len(returns) + 1)
    variance[0] = returns[:WARM_UP_RETURNS].var()
    np.cumsum((1.0 - fade) * growth * returns * returns, out=variance[1:])
    variance[1:] += variance[0]
    variance[1:] /= growth
    return variance


@lru_cache(maxsize=2)
def _growth(fade: float) -> FloatArray:
    return np.asarray(fade ** -np.arange(1.0, RETURNS + 1))  # at most 0.94^-1000 = 8e26


def _simulated(
    residuals: FloatArray, variance: float, fade: float, horizon: int, generator: np.random.Generator
) -> FloatArray:
    walks = np.empty((horizon, PATHS))
    volatile, scratch = np.full(PATHS, variance), np.empty(PATHS)
    for step, (move, chosen) in enumerate(zip(walks, indices(generator, len(residuals)), strict=False)):
        np.take(residuals, chosen, out=move, mode="clip")  # always inside; "clip" only skips the check
        move *= np.sqrt(volatile, out=scratch)
        np.multiply(move, move, out=scratch)
        scratch *= 1.0 - fade
        volatile *= fade
        volatile += scratch
        if step:
            move += walks[step - 1]
    return walks


# --- block bootstrap ----------------------------------------------------------------------------------------------


def _bootstrap(context: Context, horizon: int, generator: np.random.Generator) -> FloatArray | None:
    returns = returns_of(context, RETURNS)
    if returns.var() < variance_floor(context):
        return None
    returns -= returns.mean()
    blocks = _block_sums(returns)
    walks = np.empty((horizon, PATHS))
    for first, starts in zip(range(0, horizon, BLOCK_RETURNS), indices(generator, len(returns)), strict=False):
        for within, walk in enumerate(walks[first : first + BLOCK_RETURNS]):
            np.take(blocks[within], starts, out=walk, mode="clip")
            if first:
                walk += walks[first - 1]
    return walks


def _block_sums(returns: FloatArray) -> FloatArray:
    """(`BLOCK_RETURNS`, n): the sum of 1, 2, … returns from each start on, round the end."""
    around = np.concatenate([returns, returns[: BLOCK_RETURNS - 1]])
    windows = np.lib.stride_tricks.sliding_window_view(around, BLOCK_RETURNS)
    return np.cumsum(np.ascontiguousarray(windows.T), axis=0)


# --- the forecasters ----------------------------------------------------------------------------------------------

FHS: Final = Resampled(
    "fhs",
    _fhs,
    semantics=1,
    parameters={
        "paths": PATHS,
        "returns": RETURNS,
        "warm_up": WARM_UP_RETURNS,
        "decay_daily": DECAY_DAILY,
        "decay_intraday": DECAY_INTRADAY,
    },
)
BOOTSTRAP: Final = Resampled(
    "bootstrap",
    _bootstrap,
    semantics=1,
    parameters={"paths": PATHS, "returns": RETURNS, "block": BLOCK_RETURNS},
)
