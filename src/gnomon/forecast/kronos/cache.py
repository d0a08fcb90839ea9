"""Keys and values that a layer keeps: a part that the samples of a series share, and a part of each sample.

Layout, with B series, S samples, H heads, e the width of a head; keys lie turned, as their product with a query reads
them:

    shared  keys (B, H, e, P)     values (B, H, P, e)      the past, once for all samples, aligned to the right
    own     keys (B, H, S, e, C)  values (B, H, S, C, e)   what each sample drew

The scores against the shared part are one product of S rows a head, not S products of one row. A single sample shares
with nobody: its past lies in its own part and the shared part is absent.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SCORES_AT_ONCE = 1 << 21
"""Floats of scores held at a time where many tokens come at once: they stay within the processor's cache."""


class KeyValues:
    """What one layer kept of some series. Rows are series-major: series 0 sample 0, series 0 sample 1, …"""

    __slots__ = ("_filled", "_own_k", "_own_v", "_shared_k", "_shared_v", "heads", "past", "samples", "series", "width")

    def __init__(
        self, series: int, samples: int, heads: int, head_width: int, *, past: int, room: int, device: torch.device
    ) -> None:
        self.series, self.samples, self.past = series, samples, past
        self.heads, self.width = heads, head_width
        alone = samples == 1
        shared, own = 0 if alone else past, room + (past if alone else 0)
        self._shared_k = torch.empty(series, heads, head_width, shared, device=device)
        self._shared_v = torch.empty(series, heads, shared, head_width, device=device)
        self._own_k = torch.empty(series, heads, samples, head_width, own, device=device)
        self._own_v = torch.empty(series, heads, samples, own, head_width, device=device)
        self._filled = past if alone else 0

    def start(self, at: int, k: Tensor, v: Tensor) -> None:
        """Keep the past of one series: keys and values (T, H, e), T at most `past`."""
        alone = self.samples == 1
        keys = self._own_k[at, :, 0, :, : self.past] if alone else self._shared_k[at]
        values = self._own_v[at, :, 0, : self.past] if alone else self._shared_v[at]
        begin = self.past - len(k)
        if begin:  # masked, but these have to be numbers
            keys[..., :begin] = 0.0
            values[:, :begin] = 0.0
        keys[..., begin:] = k.permute(1, 2, 0)
        values[:, begin:] = v.transpose(0, 1)

    def append(self, k: Tensor, v: Tensor) -> None:
        """Keep new tokens of every row: (rows, H, e), or (rows · n, H, e) where n come at once."""
        new = len(k) // (self.series * self.samples)
        shape = (self.series, self.samples, new, self.heads, self.width)
        end = self._filled + new
        self._own_k[..., self._filled : end] = k.view(shape).permute(0, 3, 1, 4, 2)
        self._own_v[..., self._filled : end, :] = v.view(shape).permute(0, 3, 1, 2, 4)
        self._filled = end

    def attend(self, q: Tensor, mask: Tensor | None = None) -> Tensor:
        """What queries (rows · n, H, e) of the newest n tokens see: (rows · n, H · e). Scores are not scaled.

        `mask` (B, 1, P + filled) is added to the scores: -inf for what a series doesn't see. The newest tokens see each
        other causally.
        """
        new = len(q) // (self.series * self.samples)
        if new == 1:
            return self._attend(q, 1, 0, self.samples, mask)
        assert self.series == 1
        each = self.heads * new * (self._shared_k.shape[-1] + self._filled)
        group = max(1, _SCORES_AT_ONCE // each)
        parts = [
            self._attend(q[first * new : (first + group) * new], new, first, min(first + group, self.samples), mask)
            for first in range(0, self.samples, group)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def narrow(self, series: int) -> None:
        """Forget all but the first series."""
        self.series = series
        self._shared_k, self._shared_v = self._shared_k[:series], self._shared_v[:series]
        self._own_k, self._own_v = self._own_k[:series], self._own_v[:series]

    def _attend(self, q: Tensor, new: int, first: int, last: int, mask: Tensor | None) -> Tensor:
        series, samples, heads, width, filled = self.series, last - first, self.heads, self.width, self._filled
        if series * samples == 1 and new == 1:  # heads lie as they are wanted
            q = q.view(heads, 1, width)
        else:
            q = q.view(series, samples, new, heads, width).permute(0, 3, 1, 2, 4).reshape(-1, new, width)
        rows, room = series * heads * samples, self._own_k.shape[-1]
        own_k = self._own_k[:, :, first:last].reshape(rows, width, room)[..., :filled]
        own_v = self._own_v[:, :, first:last].reshape(rows, room, width)[:, :filled]
        past = self._shared_k.shape[-1]
        scores = torch.bmm(q, own_k) if filled else q.new_empty(len(q), new, 0)  # (B H S, n, filled)
        if past:
            shared_k = self._shared_k.view(series * heads, width, past)
            against = torch.bmm(q.view(series * heads, -1, width), shared_k)  # (B H, S n, P)
            scores = torch.cat([against.view(-1, new, past), scores], -1)
        if mask is not None:
            scores = (scores.view(series, -1, past + filled) + mask).view(scores.shape)
        if new > 1:
            causal = torch.ones(new, new, dtype=torch.bool, device=q.device).triu_(1)
            scores[..., -new:].masked_fill_(causal, float("-inf"))
        weights = torch.softmax(scores, -1)
        if not past:
            seen = torch.bmm(weights, own_v)
        else:
            shared_v = self._shared_v.view(series * heads, past, width)
            shared_weights = weights.view(series * heads, samples * new, past + filled)[..., :past]
            seen = torch.bmm(shared_weights, shared_v).view(-1, new, width)
            if filled:
                seen = torch.baddbmm(seen, weights[..., past:], own_v)
        if series * samples == 1 and new == 1:
            return seen.view(1, heads * width)
        return seen.view(series, heads, samples, new, width).permute(0, 2, 3, 1, 4).reshape(-1, heads * width)
