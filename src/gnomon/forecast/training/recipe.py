"""How a network is trained: the optimiser's numbers, for how long, and the rate at each step. No PyTorch in here.

Section 7.3 of the specification: AdamW with weight decay 0.1; a one-cycle schedule that starts at a tenth of the peak
and reaches it after 3 % of the steps; a clip of the gradient's norm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Final, Literal, get_args

from gnomon.errors import Invalid, Refused

Coarse = Literal["sampled", "target"]
"""The coarse token that the dependency layer is given in training: the model's own draw, or the true one."""

_END_DIVISOR: Final = 1e4
"""By how much the last rate lies below the first."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The numbers of the optimiser. `coarse` and `seen` say how the model's fine token is trained; the tokenizer has
    none and ignores them."""

    peak_rate: float
    clip_norm: float
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.1  # of matrices; norms, embeddings and biases decay by nothing
    warm_share: float = 0.03
    start_divisor: float = 10.0
    coarse: Coarse = "sampled"
    seen: Literal["forecast", "training"] = "training"

    def __post_init__(self) -> None:
        for name in ("peak_rate", "clip_norm", "start_divisor"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise Invalid(f"{name} {value!r}", hint="a positive number")
        if self.coarse not in get_args(Coarse):
            raise Invalid(f"coarse {self.coarse!r}", hint=f"one of {', '.join(get_args(Coarse))}")
        if not 0 <= self.warm_share < 1:
            raise Invalid(f"warm_share {self.warm_share!r}", hint="a share of the steps, from 0 to below 1")
        check_causal(self.seen)

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of step `step` (from 0) of `steps`: half a cosine up to the peak, half a cosine down."""
        first, top = self.peak_rate / self.start_divisor, self.warm_share * steps - 1
        if step <= top:
            return _half_cosine(first, self.peak_rate, step / top if top else 1.0)
        left = steps - 1 - top
        return _half_cosine(self.peak_rate, first / _END_DIVISOR, (step - top) / left if left else 1.0)


@dataclass(frozen=True, slots=True)
class Budget:
    """For how long: after each stretch of steps the network is validated, reported and kept.

    `patience` stretches in a row without a better validation end the training; 0 never ends it early.
    """

    steps: int
    batch_windows: int = 32
    stretch_steps: int = 100
    patience: int = 0
    validation_windows: int = 256  # spread evenly over those there are

    def __post_init__(self) -> None:
        for one in fields(self):
            value, least = getattr(self, one.name), 0 if one.name == "patience" else 1
            if value < least:
                raise Invalid(f"{one.name} {value}", hint=f"a whole number, {least} or more")


def check_causal(seen: str) -> None:
    """`Refused` for the fine token that sees its own future: its loss is too low and decides wrongly."""
    if seen == "leaking":
        raise Refused("a loss in which fine tokens see the future", hint='seen="training" or seen="forecast"')
    if seen not in ("training", "forecast"):
        raise Invalid(f"seen {seen!r}", hint="training or forecast")


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


# --- what was published -----------------------------------------------------------------------------------------------

TOKENIZER: Final = Recipe(peak_rate=2e-4, clip_norm=2.0)
MODEL: Final = Recipe(peak_rate=4e-5, clip_norm=3.0, betas=(0.9, 0.95))
"""The A-share recipe: windows of 90 + 10 + 1 bars."""

MODEL_CSV: Final = Recipe(peak_rate=1e-6, clip_norm=3.0, betas=(0.9, 0.95))
"""The CSV recipe: windows of 512 + 48 + 1 bars."""
