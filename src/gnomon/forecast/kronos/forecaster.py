"""Kronos behind the port of forecasters: sample paths made consistent, and the quantiles that come of them.

Weights are read at the first forecast, once a process, and shared by all threads. Nothing here loads PyTorch before.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gnomon.errors import Invalid, Unavailable
from gnomon.forecast.forecast import LEVELS, MIN_CONTEXT_BARS, Context, Forecast
from gnomon.forecast.forecaster import Traits, version_of
from gnomon.forecast.kronos.bars import Series
from gnomon.forecast.kronos.config import (
    DEFAULT_CONTEXT_BARS,
    FIELDS,
    LICENCE,
    PUBLISHED,
    Checkpoint,
    ModelConfig,
    TokenizerConfig,
)
from gnomon.forecast.kronos.repair import repair
from gnomon.forecast.kronos.shelf import Found, fetched, of_folder
from gnomon.forecast.kronos.window import Window
from gnomon.forecast.quantiles import in_order, publishable, ranks
from gnomon.forecast.sanitise import accept, out_of_range
from gnomon.units import FloatArray

if TYPE_CHECKING:
    from gnomon.forecast.kronos.kronos import Drawn, Kronos
    from gnomon.forecast.kronos.linear import Precision

SEMANTICS: Final = 1
PATHS: Final = 30
CLOSE: Final = FIELDS.index("close")

STILL: Final = "the closes did not move in the look-back: the spread is noise"
ONE_PATH: Final = "one path: no spread"


@dataclass(frozen=True, slots=True)
class KronosForecaster:
    """A Kronos with its tokenizer, and how it is sampled.

    Without `lookback_bars` a look-back is as long as the context allows without sliding, and at least 50 bars. `device`
    is where it is drawn, `auto` the GPU where there is one: another device moves numbers by rounding, and is said in
    a forecast's `params`, but makes no other version. `folders` are those of checkpoints that were not fetched.
    """

    name: str
    model: Checkpoint
    tokenizer: Checkpoint
    samples: int = PATHS
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    window: Window = "exact"
    precision: Precision = "float32"
    lookback_bars: int | None = None
    device: str = "auto"
    licence: str = LICENCE
    folders: tuple[Path, Path] | None = None
    traits: Traits = field(init=False)
    version: str = field(init=False)

    def __post_init__(self) -> None:
        if self.lookback_bars is not None and self.lookback_bars < MIN_CONTEXT_BARS:
            raise Invalid(f"a look-back of {self.lookback_bars} bars", hint=f"{MIN_CONTEXT_BARS} bars or more, or None")
        context_bars = self.model.context_bars
        traits = Traits(paths=True, max_context_bars=context_bars, max_horizon_bars=context_bars, licence=self.licence)
        object.__setattr__(self, "traits", traits)
        object.__setattr__(self, "version", version_of(SEMANTICS, self.parameters))

    @classmethod
    def published(cls, name: str, model: str, **options: Any) -> KronosForecaster:
        """The forecaster of a published model with its own tokenizer."""
        one = PUBLISHED[model]
        return cls(name, one, PUBLISHED[one.tokenizer], **options)

    @classmethod
    def of_folders(
        cls,
        name: str,
        model: str | Path,
        tokenizer: str | Path,
        *,
        max_context: int = DEFAULT_CONTEXT_BARS,
        licence: str = "",
        **options: Any,
    ) -> KronosForecaster:
        """The forecaster of checkpoints in two folders, for instance fine-tuned ones. Their files are hashed now."""
        of_model, of_tokenizer = Path(model).expanduser(), Path(tokenizer).expanduser()
        return cls(
            name,
            of_folder(of_model, ModelConfig, name, max_context),
            of_folder(of_tokenizer, TokenizerConfig, f"tokenizer of {name}", max_context),
            folders=(of_model, of_tokenizer),
            licence=licence,
            **options,
        )

    @property
    def parameters(self) -> dict[str, Any]:
        """Whatever changes the numbers: what the version is made of."""
        return {
            "weights_sha256": self.model.weights_sha256,
            "tokenizer_sha256": self.tokenizer.weights_sha256,
            "samples": self.samples,
            "temperature": float(self.temperature),
            "top_k": self.top_k,
            "top_p": float(self.top_p),
            "window": self.window,
            "max_context": self.model.context_bars,
            "lookback_bars": self.lookback_bars,
            "precision": self.precision,
        }

    def predict(
        self, contexts: Sequence[Context], horizon: int, *, levels: Sequence[float] = LEVELS, seed: int = 0
    ) -> list[Forecast]:
        """One forecast a context, in order, drawn together; a context's paths depend on nothing beside it.

        Raises `Invalid` as `sanitise.accept` says, `Unavailable` without PyTorch or the weights, with what to do,
        `Exhausted` when memory runs out.
        """
        accepted = accept(contexts, horizon, levels, self.traits)
        if not contexts:
            return []
        kronos = self._kronos()
        from gnomon.forecast.kronos.kronos import Sampling

        sampling = Sampling(self.samples, self.temperature, self.top_k, self.top_p, self.window)
        series = [self._series(one, horizon) for one in contexts]
        drawn = kronos.draw(series, sampling, seed)
        said = {"device": str(kronos.device), **self._checkpoints()}
        return [
            self._forecast(context, horizon, accepted, seed, paths, said | {"lookback_used_bars": len(past.bars)})
            for context, past, paths in zip(contexts, series, drawn, strict=True)
        ]

    # --- inside -----------------------------------------------------------------------------------------------------

    def _series(self, context: Context, horizon: int) -> Series:
        """The newest bars of a context with their wall clock; the key is that of its luck."""
        rows, most = len(context.bars), self.lookback(horizon)
        first = max(rows - most, 0)
        key = (self.name, self.version, context.instrument, str(context.timeframe), context.data_cutoff_ns)
        return Series(context.bars[first:], context.local_ns[first : rows + horizon], json.dumps(key))

    def lookback(self, horizon: int) -> int:
        """How many bars of a context are read, at most."""
        if self.lookback_bars is not None:
            return self.lookback_bars
        return max(self.model.context_bars - horizon + 1, MIN_CONTEXT_BARS)

    def _forecast(
        self,
        context: Context,
        horizon: int,
        levels: tuple[float, ...],
        seed: int,
        drawn: Drawn,
        said: Mapping[str, Any],
    ) -> Forecast:
        raw = drawn.paths.astype(np.float64)
        if not np.isfinite(raw).all():
            raise out_of_range(context)
        paths, corrections = repair(raw, min(context.tick, context.base_price / 1000))
        closes = paths[:, :, CLOSE]
        quantiles, crossings = in_order(_at_levels(np.sort(closes, axis=0), levels))
        if not publishable(quantiles):
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
            p_up=_share_above(closes, context.base_price),
            seed=seed,
            input_hash=context.input_hash(),
            paths=paths,
            n_paths=len(paths),
            crossings=int(crossings),
            information=self.traits.information,
            basis=context.basis,
            params=self.parameters | dict(said) | {"corrections": corrections.document()},
            warnings=(
                *drawn.notes,
                *([corrections.sentence()] if corrections.total else []),
                *([ONE_PATH] if len(paths) == 1 else []),
                *([STILL] if np.ptp(context.closes[-self.lookback(horizon) :]) == 0 else []),
            ),
        )

    def _checkpoints(self) -> dict[str, str]:
        model, tokenizer = self.model, self.tokenizer
        return {
            "hf_id": model.hf_id,
            "revision": model.revision,
            "tokenizer": tokenizer.hf_id,
            "tokenizer_revision": tokenizer.revision,
        }

    def _kronos(self) -> Kronos:
        model, tokenizer = self._found()
        return _shared(model, tokenizer, self.model.context_bars, self.device, self.precision)

    def _found(self) -> tuple[Found, Found]:
        if self.folders is None:
            return fetched(self.model), fetched(self.tokenizer)
        return Found(self.folders[0], self.model), Found(self.folders[1], self.tokenizer)


def field_quantiles(forecast: Forecast, levels: Sequence[float] | None = None) -> FloatArray:
    """Quantiles (H, 6, Q) of open, high, low, close, volume and amount over a forecast's paths, at rank (n + 1)·level.

    Each field alone: the median of the highs is no high of any path. `Invalid` for a forecast without such paths.
    """
    paths = forecast.paths
    if paths is None or paths.ndim != 3:
        raise Invalid(
            f"{forecast.forecaster} drew no paths of all six fields",
            hint="quantiles per field come from paths of shape (n, H, 6)",
        )
    chosen = forecast.levels if levels is None else tuple(map(float, levels))
    if not chosen or not all(0 < one < 1 for one in chosen):
        raise Invalid(f"levels {chosen}", hint="quantile levels such as 0.1, 0.5, 0.9")
    return _at_levels(np.sort(paths, axis=0), chosen)


def _at_levels(ordered: FloatArray, levels: tuple[float, ...]) -> FloatArray:
    """Quantiles (…, Q) of samples (n, …) in order, at rank (n + 1)·level, linear between two."""
    below, above, share = ranks(levels, len(ordered))
    low, high = np.moveaxis(ordered[below], 0, -1), np.moveaxis(ordered[above], 0, -1)
    return np.asarray(low + share * (high - low))


def _share_above(closes: FloatArray, base_price: float) -> FloatArray:
    """p_up (H,): the share of paths (n, H) above the base price, ties half."""
    above = np.count_nonzero(closes > base_price, axis=0)
    below = np.count_nonzero(closes < base_price, axis=0)
    return np.asarray(0.5 + 0.5 * (above - below) / len(closes))


# --- loaded once ------------------------------------------------------------------------------------------------------

_Key = tuple[str, str, int, str, str]
_loaded: dict[_Key, Kronos] = {}
_loading = threading.Lock()


def _shared(model: Found, tokenizer: Found, max_context: int, device: str, precision: Precision) -> Kronos:
    """The Kronos of two checkpoints, read when it is first asked for; one a process, whoever asks."""
    assert model.checkpoint is not None
    assert tokenizer.checkpoint is not None
    with _loading:
        place = _device(device)
        key = (model.checkpoint.weights_sha256, tokenizer.checkpoint.weights_sha256, max_context, place, precision)
        if key not in _loaded:
            from gnomon.forecast.kronos.weights import load_kronos

            _loaded[key] = load_kronos(model, tokenizer, max_context, place, precision=precision)
        return _loaded[key]


def _device(name: str) -> str:
    """The device to draw on. `Unavailable` without PyTorch."""
    try:
        import safetensors  # noqa: F401 - part of the same extra
        import torch
    except ModuleNotFoundError as error:
        raise Unavailable(f"{error.name} is not installed", hint="pip install 'gnomon[kronos]'") from None
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"
