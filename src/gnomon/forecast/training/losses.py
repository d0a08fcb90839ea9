"""What training makes small: the losses of the tokenizer and of the model of a Kronos (specification, section 7)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from gnomon.errors import Invalid
from gnomon.forecast.kronos.model import KronosModel, Seen
from gnomon.forecast.kronos.tokenizer import KronosTokenizer
from gnomon.forecast.training.recipe import Coarse, check_causal


@dataclass(frozen=True, slots=True)
class TokenizerLoss:
    """Means over all positions; `quantisation` is usually negative."""

    coarse: Tensor  # squared error of what the coarse bits alone rebuild
    full: Tensor  # squared error of what all bits rebuild
    quantisation: Tensor

    @property
    def total(self) -> Tensor:
        return (self.coarse + self.full + self.quantisation) / 2

    @property
    def reconstruction(self) -> Tensor:
        """What quantising loses: the loss without its entropies, which depend on what stands in one batch."""
        return (self.coarse + self.full) / 2


@dataclass(frozen=True, slots=True)
class ModelLoss:
    """Cross-entropies in nats, means over all positions, those of the look-back too."""

    coarse: Tensor
    fine: Tensor

    @property
    def total(self) -> Tensor:
        return (self.coarse + self.fine) / 2


def tokenizer_loss(tokenizer: KronosTokenizer, x: Tensor) -> TokenizerLoss:
    """The loss of normalised bars (B, N, 6), section 7.2."""
    rebuilt = tokenizer(x)
    return TokenizerLoss(
        coarse=functional.mse_loss(rebuilt.coarse, x),
        full=functional.mse_loss(rebuilt.full, x),
        quantisation=rebuilt.quantisation_loss,
    )


def model_loss(
    model: KronosModel,
    s1: Tensor,
    s2: Tensor,
    stamps: Tensor | None,
    *,
    coarse: Coarse = "sampled",
    seen: Seen = "training",
    generator: torch.Generator | None = None,
) -> ModelLoss:
    """The loss of predicting tokens 1 … N-1 of windows (B, N) from those before, stamps (B, N, 5); section 7.1.

    The dependency layer is given the coarse token that the model itself draws from `generator` (`sampled`: published;
    no gradient goes through the draw), or the true one (`target`). Raises `Invalid` for a draw without a generator,
    `Refused` for `seen="leaking"`.
    """
    check_causal(seen)
    context = model.context(s1[:, :-1], s2[:, :-1], None if stamps is None else stamps[:, :-1])
    logits = model.coarse_logits(context)
    given = s1[:, 1:] if coarse == "target" else _drawn(logits, generator)
    fine = model.fine_logits(context, given, seen)
    return ModelLoss(coarse=_cross_entropy(logits, s1[:, 1:]), fine=_cross_entropy(fine, s2[:, 1:]))


def causal_loss(
    model: KronosModel, s1: Tensor, s2: Tensor, stamps: Tensor | None, *, seen: Seen = "training"
) -> ModelLoss:
    """The validation loss: half the negative log-likelihood of a true pair, no dropout, no draw, no future.

    The public validation loss lets the fine token see the whole window (section 5.6); that one is refused here.
    """
    with evaluating(model):
        return model_loss(model, s1, s2, stamps, coarse="target", seen=seen)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """No dropout and no gradients inside; the mode it had before afterwards."""
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        network.train(was_training)


def _drawn(logits: Tensor, generator: torch.Generator | None) -> Tensor:
    """Tokens (B, T) from plain soft-max probabilities, by a race of exponential times as in `kronos/sampling.py`.

    A network that has diverged draws nonsense here instead of an error of PyTorch; its loss then tells.
    """
    if generator is None:
        raise Invalid("a sampled coarse token without a generator", hint='pass generator=…, or coarse="target"')
    odds = torch.softmax(logits.detach(), -1)
    return (odds / torch.empty_like(odds).exponential_(generator=generator)).argmax(-1)


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(logits.flatten(0, -2), target.flatten())
