"""Tokens drawn one bar after the other, and decoded: the loop around the arithmetic.

The past of a series is computed once for all its samples. A step that does not slide computes one token a path; a step
that slides (see `window.py`) computes the window anew, its past once and what was drawn once a path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gnomon.forecast.kronos.cache import KeyValues
from gnomon.forecast.kronos.packed import PackedDecoder, PackedModel
from gnomon.forecast.kronos.sampling import Luck, drawn
from gnomon.forecast.kronos.window import Rules


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """A series as the model reads it: tokens (L,) of its bars, and the stamps (L + H, 5) of bars past and future."""

    s1: Tensor
    s2: Tensor
    stamps: Tensor


def draw(
    model: PackedModel, prompts: Sequence[Prompt], samples: int, rules: Rules, luck: Luck
) -> tuple[Tensor, Tensor]:
    """Tokens (B, S, H) of every path; prompts may be of unequal length, shortest first."""
    return _Drawing(model, prompts, samples, rules).run(luck)


def decode(decoder: PackedDecoder, prompt: Prompt, s1: Tensor, s2: Tensor, context_bars: int) -> Tensor:
    """Bars (S, H, 6) in normalised units of one series' tokens (S, H); the samples share the past's part."""
    samples, horizon = s1.shape
    past = min(len(prompt.s1) + horizon, context_bars) - horizon
    stack = decoder.stack
    caches = stack.room(1, samples, past=past, room=horizon, at_once=True)
    rotation = stack.rotation(past + horizon)
    if past:
        stack.prefill(decoder.embed(prompt.s1[-past:], prompt.s2[-past:]), rotation, caches, is_past=True)
    new = rotation[past:].repeat(samples, 1, 1, 1)
    x = stack.advance(decoder.embed(s1.flatten(), s2.flatten()), new, caches)
    return decoder.head(x).view(samples, horizon, -1)


class _Drawing:
    """One batch on its way: series that still have room in their window, shortest past first."""

    def __init__(self, model: PackedModel, prompts: Sequence[Prompt], samples: int, rules: Rules) -> None:
        self.model, self.prompts, self.samples, self.rules = model, prompts, samples, rules
        horizon = rules.horizon_bars
        self.past = [rules.past_bars(len(one.s1)) for one in prompts]
        assert self.past == sorted(self.past)
        self.longest = self.past[-1]
        self.calendar = [
            model.calendar(one.stamps[len(one.s1) - past :]) for one, past in zip(prompts, self.past, strict=True)
        ]
        self.future = torch.stack([one[past:] for one, past in zip(self.calendar, self.past, strict=True)])  # (B, H, d)
        self.device = model.table_s1.device
        self.rotation = model.stack.rotation(self.longest + horizon)
        shape = (len(prompts) * samples, horizon)
        self.s1, self.s2 = (torch.zeros(shape, dtype=torch.long, device=self.device) for _ in range(2))
        self.cached = self._unslid(1)
        self.trunk = model.stack.room(self.cached, samples, past=self.longest, room=horizon - 1)
        self.dependency = model.dependency_room(len(prompts), samples, past=self.longest, room=horizon - 1)

    def run(self, luck: Luck) -> tuple[Tensor, Tensor]:
        rules, coarse, fine = self.rules, *self.model.vocabularies
        for step in range(rules.horizon_bars):
            groups = [self._start()] if step == 0 else self._groups(step)
            context = _joined([hidden for hidden, _ in groups])
            self.s1[:, step] = self._one(self.model.coarse(context), luck.times(step, 0, coarse))
            query = self.model.table_q[self.s1[:, step]]
            seen, first = [], 0
            for hidden, cache in groups:
                mask = self._mask(step) if cache is self.dependency else None
                seen.append(cache.attend(query[first : first + len(hidden)], mask))
                first += len(hidden)
            logits = self.model.fine_logits(context, _joined(seen))
            self.s2[:, step] = self._one(logits, luck.times(step, 1, fine))
        shape = (len(self.prompts), self.samples, -1)
        return self.s1.view(shape), self.s2.view(shape)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _one(self, logits: Tensor, times: Tensor) -> Tensor:
        rules = self.rules
        return drawn(logits, times.to(self.device), temperature=rules.temperature, top_k=rules.top_k, top_p=rules.top_p)

    def _start(self) -> tuple[Tensor, KeyValues]:
        """The pasts, one after the other: each fills the machine by itself."""
        last = []
        for at, (prompt, past) in enumerate(zip(self.prompts, self.past, strict=True)):
            x = self.model.embed(prompt.s1[-past:], prompt.s2[-past:], self.calendar[at][:past])
            keep = self.trunk if at < self.cached else None
            context = self.model.context(self.model.stack.prefill(x, self.rotation, keep, at))
            self.dependency.start(at, *self.model.dependency(context))
            last.append(context[-1])
        return torch.stack(last).repeat_interleave(self.samples, 0), self.dependency

    def _groups(self, step: int) -> list[tuple[Tensor, KeyValues]]:
        """The context of every path's newest bar, with what the dependency layer may see; series in order."""
        cached = self._unslid(step)
        if cached < self.dependency.series:
            for cache in (*self.trunk, self.dependency):
                cache.narrow(cached)
        groups = [self._advance(step)] if cached else []
        return groups + [self._recompute(at, step) for at in range(cached, len(self.prompts))]

    def _unslid(self, step: int) -> int:
        return sum(not self.rules.slides(past, step) for past in self.past)

    def _advance(self, step: int) -> tuple[Tensor, KeyValues]:
        series, samples = self.dependency.series, self.samples
        rows, at = series * samples, step - 1  # of the token drawn before
        calendar = self.future[:series, at]
        if samples > 1:
            calendar = calendar.repeat_interleave(samples, 0)
        x = self.model.embed(self.s1[:rows, at], self.s2[:rows, at], calendar)
        context = self.model.context(
            self.model.stack.advance(x, self._places(series, at), self.trunk, self._mask(step))
        )
        self.dependency.append(*self.model.dependency(context))
        return context, self.dependency

    def _places(self, series: int, at: int) -> Tensor:
        """The rotation of each row's new position."""
        if self.past[0] == self.past[series - 1]:
            return self.rotation[self.past[0] + at : self.past[0] + at + 1]
        each = torch.tensor(self.past[:series], device=self.device) + at
        return self.rotation[each.repeat_interleave(self.samples)]

    def _recompute(self, at: int, step: int) -> tuple[Tensor, KeyValues]:
        """The window of one series from its start: the last C - step bars of the past, then what was drawn."""
        model, samples, prompt = self.model, self.samples, self.prompts[at]
        past = self.rules.context_bars - step
        rows = slice(at * samples, (at + 1) * samples)
        s1, s2 = self.s1[rows, :step], self.s2[rows, :step]
        calendar = self.calendar[at][self.past[at] - past : self.past[at] + step]
        if samples == 1:
            tokens = torch.cat([prompt.s1[-past:], s1[0]]), torch.cat([prompt.s2[-past:], s2[0]])
            context = model.context(model.stack.prefill(model.embed(*tokens, calendar), self.rotation))
            seen = model.dependency_room(1, 1, past=past + step, room=0)
            seen.start(0, *model.dependency(context))
            return context[-1:], seen
        trunk = model.stack.room(1, samples, past=past, room=step, at_once=True)
        seen = model.dependency_room(1, samples, past=past, room=step, at_once=True)
        x = model.embed(prompt.s1[-past:], prompt.s2[-past:], calendar[:past])
        seen.start(0, *model.dependency(model.context(model.stack.prefill(x, self.rotation, trunk))))
        x = model.embed(s1.flatten(), s2.flatten(), calendar[past:].repeat(samples, 1))
        rotation = self.rotation[past : past + step].repeat(samples, 1, 1, 1)
        context = model.context(model.stack.advance(x, rotation, trunk))
        seen.append(*model.dependency(context))
        return context.view(samples, step, -1)[:, -1], seen

    def _mask(self, step: int) -> Tensor | None:
        """-inf (B, 1, P + step) for what a shorter past does not have and what has rolled out of the window."""
        series, length = self.dependency.series, self.longest + step
        rolled = length - self.rules.context_bars if self.rules.window == "rolling" else 0
        first = [max(self.longest - past, rolled) for past in self.past[:series]]
        if not any(first):
            return None
        hidden = torch.arange(length, device=self.device) < torch.tensor(first, device=self.device)[:, None]
        return torch.zeros(series, 1, length, device=self.device).masked_fill_(hidden[:, None], float("-inf"))


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)
