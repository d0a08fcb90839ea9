"""The two trainings of a Kronos: the tokenizer first; then, with it frozen, the model on tokens made on the fly."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from gnomon.errors import Invalid
from gnomon.forecast.kronos.config import ModelConfig, TokenizerConfig
from gnomon.forecast.kronos.kronos import Kronos
from gnomon.forecast.kronos.model import KronosModel
from gnomon.forecast.kronos.tokenizer import KronosTokenizer
from gnomon.forecast.kronos.weights import load_kronos, save
from gnomon.forecast.training.loop import Report, Watch, fit, silent
from gnomon.forecast.training.losses import causal_loss, evaluating, model_loss, tokenizer_loss
from gnomon.forecast.training.luck import luck
from gnomon.forecast.training.recipe import MODEL, TOKENIZER, Budget, Recipe
from gnomon.forecast.training.windows import Windows
from gnomon.units import IntArray

VALIDATION_BATCH: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class TokenizerTask:
    """A tokenizer that learns to rebuild bars; judged by what it rebuilds."""

    network: KronosTokenizer
    training: Windows
    validation: Windows
    _began: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_began", digest_of(self.network))

    def identity(self) -> Mapping[str, Any]:
        return _identity("tokenizer", self.network, self._began, self.training, self.validation)

    def windows(self) -> int:
        return len(self.training)

    def loss(self, which: IntArray, generator: torch.Generator) -> Tensor:  # noqa: ARG002 - a tokenizer draws nothing
        return tokenizer_loss(self.network, self._bars(self.training, which)).total

    def validation_loss(self) -> float:
        def one(which: IntArray) -> Tensor:
            return tokenizer_loss(self.network, self._bars(self.validation, which)).reconstruction

        with evaluating(self.network):
            return _mean(one, self.validation)

    def _bars(self, windows: Windows, which: IntArray) -> Tensor:
        return torch.from_numpy(windows.batch(which)[0]).to(self.network.head.weight.device)


@dataclass(frozen=True, slots=True, eq=False)
class ModelTask:
    """A model that learns the tokens of a frozen tokenizer; judged by the likelihood of true ones."""

    network: KronosModel
    tokenizer: KronosTokenizer
    training: Windows
    validation: Windows
    recipe: Recipe
    _began: str = field(init=False)

    def __post_init__(self) -> None:
        bits = [(one.config.s1_bits, one.config.s2_bits) for one in (self.network, self.tokenizer)]
        if bits[0] != bits[1]:
            raise Invalid(
                f"a model of {bits[0][0]} + {bits[0][1]} bits on tokens of {bits[1][0]} + {bits[1][1]}",
                hint="the s1_bits and s2_bits of its tokenizer",
            )
        object.__setattr__(self, "_began", digest_of(self.network))

    def identity(self) -> Mapping[str, Any]:
        own = _identity("model", self.network, self._began, self.training, self.validation)
        return {**own, "tokenizer": digest_of(self.tokenizer)}

    def windows(self) -> int:
        return len(self.training)

    def loss(self, which: IntArray, generator: torch.Generator) -> Tensor:
        s1, s2, stamps = self._tokens(self.training, which)
        coarse, seen = self.recipe.coarse, self.recipe.seen
        return model_loss(self.network, s1, s2, stamps, coarse=coarse, seen=seen, generator=generator).total

    def validation_loss(self) -> float:
        def one(which: IntArray) -> Tensor:
            return causal_loss(self.network, *self._tokens(self.validation, which), seen=self.recipe.seen).total

        return _mean(one, self.validation)

    def _tokens(self, windows: Windows, which: IntArray) -> tuple[Tensor, Tensor, Tensor]:
        device = self.network.norm.weight.device
        bars, stamps = (torch.from_numpy(one).to(device) for one in windows.batch(which))
        with evaluating(self.tokenizer):
            return *self.tokenizer.encode(bars), stamps


@dataclass(frozen=True, slots=True)
class Plan:
    """What a Kronos is trained as: the sizes, the recipes and the budgets of both networks."""

    tokenizer: TokenizerConfig
    model: ModelConfig
    tokenizer_budget: Budget
    model_budget: Budget
    tokenizer_recipe: Recipe = TOKENIZER
    model_recipe: Recipe = MODEL
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """Two folders in the public layout, and how their trainings ended."""

    tokenizer: Path
    model: Path
    tokenizer_report: Report
    model_report: Report

    def load(self, max_context: int) -> Kronos:
        return load_kronos(self.model, self.tokenizer, max_context)


def train_kronos(plan: Plan, training: Windows, validation: Windows, folder: Path, *, watch: Watch = silent) -> Trained:
    """A Kronos from nothing: `folder/tokenizer` and `folder/model`, with a checkpoint beside each while it is made.

    Called again after a kill, with the same arguments, it goes on where it was.
    """
    tokenizer = new_tokenizer(plan)
    learned = fit(
        TokenizerTask(tokenizer, training, validation.spread(plan.tokenizer_budget.validation_windows)),
        plan.tokenizer_recipe,
        plan.tokenizer_budget,
        seed=plan.seed,
        checkpoint=folder / "tokenizer.training",
        watch=watch,
    )
    tokenizer.requires_grad_(False)
    sha256 = save(tokenizer, folder / "tokenizer")
    model = new_model(plan)
    spread = validation.spread(plan.model_budget.validation_windows)
    ended = fit(
        ModelTask(model, tokenizer, training, spread, plan.model_recipe),
        plan.model_recipe,
        plan.model_budget,
        seed=plan.seed,
        checkpoint=folder / "model.training",
        watch=watch,
    )
    save(model, folder / "model", tokenizer_sha256=sha256)
    return Trained(folder / "tokenizer", folder / "model", learned, ended)


def new_tokenizer(plan: Plan) -> KronosTokenizer:
    """A tokenizer with start values that belong to the seed."""
    _check(plan.tokenizer)
    with luck(torch.device("cpu"), plan.seed, "tokenizer at the start"):
        return KronosTokenizer(plan.tokenizer).to(plan.device)


def new_model(plan: Plan) -> KronosModel:
    """A model with start values that belong to the seed."""
    _check(plan.model)
    with luck(torch.device("cpu"), plan.seed, "model at the start"):
        return KronosModel(plan.model).to(plan.device)


def digest_of(network: nn.Module) -> str:
    """BLAKE2b-128 of the weights."""
    state = hashlib.blake2b(digest_size=16)
    for name, one in network.state_dict().items():
        state.update(name.encode())
        state.update(one.detach().cpu().contiguous().numpy().data)
    return state.hexdigest()


def _check(config: TokenizerConfig | ModelConfig) -> None:
    faults = config.faults()
    if faults:
        raise Invalid("; ".join(faults), hint="sizes as in the published configs of forecast/kronos/config.py")


def _identity(
    what: str, network: KronosTokenizer | KronosModel, began: str, training: Windows, validation: Windows
) -> dict[str, Any]:
    return {
        "trains": what,
        "config": asdict(network.config),
        "began": began,
        "training": training.digest(),
        "validation": validation.digest(),
    }


def _mean(loss: Callable[[IntArray], Tensor], windows: Windows) -> float:
    """The mean loss over all windows, in batches."""
    total = 0.0
    for first in range(0, len(windows), VALIDATION_BATCH):
        which = np.arange(first, min(first + VALIDATION_BATCH, len(windows)))
        total += float(loss(which)) * len(which)
    return total / len(windows)
