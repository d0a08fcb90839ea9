"""From logits to tokens: temperature, filters, and a draw whose luck is keyed by identity.

A draw is a race: every token waits an exponential time with its probability as the rate, and the first wins. Against
inverting a cumulative sum this costs a number a token, and buys robustness: a rounding error in the logits changes the
winner only where the first two arrive together, about one draw in a million.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gnomon import chance, compiled
from gnomon.errors import Invalid
from gnomon.forecast.kronos import kernels

_STEPS_AT_ONCE: Final = 8


# --- filters ----------------------------------------------------------------------------------------------------------


def probabilities(logits: Tensor, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Normalised probabilities (rows, V) after temperature and filter."""
    weights = kept(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    return weights.div_(weights.sum(-1, keepdim=True))


def kept(logits: Tensor, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Probabilities (rows, V) with what a filter drops set to zero; they need not sum to one.

    `top_k` keeps every logit that is at least the k-th largest; with it `top_p` is ignored. `top_p` below one keeps a
    token when the probability of all larger ones together is at most `top_p`, so that one token always stays.
    """
    if temperature != 1.0:
        logits = logits / temperature
    weights = torch.softmax(logits, -1)
    if top_k > 0:
        least = torch.topk(logits, min(top_k, logits.shape[-1])).values[:, -1:]
        return weights.mul_(logits >= least)
    if top_p < 1.0:
        return _nucleus(weights, top_p)
    return weights


def _nucleus(weights: Tensor, top_p: float) -> Tensor:
    """Only values are sorted, not their places; a tie at the edge, where places matter, is looked at by itself."""
    if weights.device.type == "cpu":  # NumPy sorts values with vector instructions, twenty times as fast
        values = weights.numpy()
        stay, least = _edge(values, top_p)
        mask = values >= least
        if (np.count_nonzero(mask, axis=-1) > stay).any():
            mask = _first_of_equals(weights, torch.from_numpy(stay)).numpy()
        values *= mask
        return weights
    largest = weights.sort(-1, descending=True).values
    stays = (largest.cumsum(-1)[:, :-1] <= top_p).sum(-1) + 1
    masks = weights >= largest.gather(-1, stays[:, None] - 1)
    if bool((masks.sum(-1) > stays).any()):
        masks = _first_of_equals(weights, stays)
    return weights.mul_(masks)


def _edge(values: npt.NDArray[np.float32], top_p: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """How many tokens of each row stay (rows,), and the probability of the last of them (rows, 1)."""
    ordered = np.sort(values, axis=-1)
    running = np.cumsum(ordered[:, :0:-1], axis=-1)  # the largest first; all but the smallest
    stay = np.count_nonzero(running <= top_p, axis=-1) + 1
    return stay, np.take_along_axis(ordered, values.shape[-1] - stay[:, None], axis=-1)


def _first_of_equals(weights: Tensor, stay: Tensor) -> Tensor:
    """A mask (rows, V) of the `stay` largest, of equal ones the first."""
    order = weights.argsort(dim=-1, descending=True, stable=True)
    ranks = torch.arange(weights.shape[-1], device=weights.device).expand_as(order)
    return torch.zeros_like(order).scatter_(-1, order, ranks) < stay[:, None]


# --- luck -------------------------------------------------------------------------------------------------------------


class Luck(Protocol):
    """Waiting times of the race, exponential with rate one."""

    def times(self, step: int, head: int, vocabulary: int) -> Tensor:
        """(rows, V) for the coarse (0) or fine (1) token of a step. Steps and heads are asked for in order."""


class KeyedLuck:
    """Each path has its own stream: (seed, key of the series, number of the sample).

    So a path depends neither on how many others there are nor on what they are drawn beside, and a shorter horizon
    gives the first steps of a longer one. Numbers are those of Philox itself, which NumPy promises to keep.
    """

    def __init__(self, seed: int, keys: Sequence[str], samples: range, vocabularies: tuple[int, int]) -> None:
        self._streams = [chance.generator(seed, "kronos", key, number) for key in keys for number in samples]
        self._each = sum(vocabularies)
        self._first = vocabularies[0]
        self._block = torch.empty(0)

    def times(self, step: int, head: int, vocabulary: int) -> Tensor:
        at = step % _STEPS_AT_ONCE
        if at == 0 and head == 0:
            self._block = self._drawn()
        start = 0 if head == 0 else self._first
        return self._block[:, at, start : start + vocabulary]

    def _drawn(self) -> Tensor:
        words = _STEPS_AT_ONCE * self._each // 2
        raw = np.empty((len(self._streams), words), np.uint64)
        for row, stream in zip(raw, self._streams, strict=True):
            row[:] = stream.bit_generator.random_raw(words)
        uniform = raw.view(np.uint32).astype(np.float32)
        uniform += np.float32(0.5)
        uniform *= np.float32(-(2.0**-32))
        return torch.from_numpy(uniform).log1p_().neg_().view(len(raw), _STEPS_AT_ONCE, self._each)


class ReferenceLuck:
    """The order in which the reference implementation draws: one generator, all rows of a step at once."""

    def __init__(self, seed: int, rows: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._rows = rows

    def times(self, step: int, head: int, vocabulary: int) -> Tensor:  # noqa: ARG002 - the order of calls is all
        return torch.empty(self._rows, vocabulary).exponential_(generator=self._generator)


def drawn(logits: Tensor, times: Tensor, *, temperature: float, top_k: int, top_p: float) -> Tensor:
    """Tokens (rows,): who arrives first of those that are kept."""
    if not compiled.AVAILABLE or top_k > 0 or logits.device.type != "cpu":
        return first_to_arrive(kept(logits, temperature=temperature, top_k=top_k, top_p=top_p), times)
    weights = kept(logits, temperature=temperature).numpy()
    ordered = np.sort(weights, axis=-1) if top_p < 1.0 else weights[:0]
    winners = torch.empty(len(weights), dtype=torch.long)
    kernels.win(weights, ordered, np.float32(top_p), times.numpy(), winners.numpy())
    return winners


def first_to_arrive(weights: Tensor, times: Tensor) -> Tensor:
    """The winners (rows,) of the race; the weights are overwritten."""
    arrived = weights.div_(times)
    if arrived.device.type == "cpu":  # NumPy's argmax is vectorised
        return torch.from_numpy(arrived.numpy().argmax(-1))
    return arrived.argmax(-1)


def check_sampling(temperature: float, top_k: int, top_p: float) -> None:
    """`Invalid` for parameters that no distribution comes of."""
    if not (np.isfinite(temperature) and temperature > 0):
        raise Invalid(
            f"temperature {temperature!r}", hint="a positive number; for the likeliest token each time use top_k=1"
        )
    if type(top_k) is not int or top_k < 0:
        raise Invalid(f"top_k {top_k!r}", hint="a whole number; 0 keeps all tokens")
    if type(top_p) not in (int, float) or not 0 < top_p <= 1:
        raise Invalid(f"top_p {top_p!r}", hint="above 0, at most 1; 1 keeps all tokens")
