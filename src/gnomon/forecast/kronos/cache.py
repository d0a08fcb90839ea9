"""Keys and values that a layer keeps, and what a query sees of them.

With B series, S samples a series, H heads and e the width of a head; keys lie turned, as a product with queries reads
them. Pasts of unequal length are aligned to the right.

| class    | for          | the past, computed once              | what was drawn since                     |
|----------|--------------|--------------------------------------|------------------------------------------|
| `Alone`  | one sample   | keys (B H, e, P + C), values (B H, P + C, e): both parts in one                 |
| `Shared` | many samples | keys (B H, e, P), values (B H, P, e) | keys (B H S, e, C), values (B H S, C, e) |

With many samples the scores against the past are one product of S rows a head, not S products of one row.
"""

from __future__ import annotations

from typing import Final, Protocol

import torch
from torch import Tensor

_SCORES_AT_ONCE: Final = 1 << 21
"""Floats of scores held at a time where many tokens come at once: they stay within the processor's cache."""


class KeyValues(Protocol):
    """What one layer kept of some series. Rows are series-major: series 0 sample 0, series 0 sample 1, …"""

    series: int

    def start(self, at: int, k: Tensor, v: Tensor) -> None:
        """Keep the past of one series: keys and values (T, H, e), T at most P."""

    def append(self, k: Tensor, v: Tensor) -> None:
        """Keep new tokens: (rows, H, e), or (rows · n, H, e) where n come at once to one series."""

    def attend(self, q: Tensor, mask: Tensor | None = None) -> Tensor:
        """What the queries (rows · n, H, e) of the newest tokens see (rows · n, H · e). Scores are not scaled.

        `mask` (B, 1, P + filled) is added to the scores: -inf for what a series doesn't see. Tokens that came at once
        see each other causally.
        """

    def narrow(self, series: int) -> None:
        """Forget all but the first series."""


def keys_and_values(
    series: int, samples: int, heads: int, width: int, *, past: int, room: int, device: torch.device
) -> KeyValues:
    """An empty cache for pasts of up to `past` tokens and `room` new ones a sample."""
    if samples == 1:
        return Alone(series, heads, width, past=past, room=room, device=device)
    return Shared(series, samples, heads, width, past=past, room=room, device=device)


class Alone:
    """One sample a series."""

    __slots__ = ("_filled", "_heads", "_k", "_past", "_v", "_width", "series")

    def __init__(self, series: int, heads: int, width: int, *, past: int, room: int, device: torch.device) -> None:
        self.series, self._heads, self._width, self._past, self._filled = series, heads, width, past, past
        self._k = torch.empty(series * heads, width, past + room, device=device)
        self._v = torch.empty(series * heads, past + room, width, device=device)

    def start(self, at: int, k: Tensor, v: Tensor) -> None:
        rows = slice(at * self._heads, (at + 1) * self._heads)
        _put_past(self._k[rows, :, : self._past], self._v[rows, : self._past], k, v)

    def append(self, k: Tensor, v: Tensor) -> None:
        at, new = self._filled, len(k) // self.series
        if new == 1:
            self._k[:, :, at] = k.reshape(-1, self._width)
            self._v[:, at] = v.reshape(-1, self._width)
        else:
            self._k[:, :, at : at + new] = k.permute(1, 2, 0)
            self._v[:, at : at + new] = v.transpose(0, 1)
        self._filled = at + new

    def attend(self, q: Tensor, mask: Tensor | None = None) -> Tensor:
        new, filled = len(q) // self.series, self._filled
        q = q.reshape(-1, 1, self._width) if new == 1 else q.transpose(0, 1)  # (B H, n, e)
        scores = torch.bmm(q, self._k[:, :, :filled])
        if mask is not None:
            scores = (scores.view(self.series, -1, filled) + mask).view(scores.shape)
        if new > 1:
            scores[..., -new:].masked_fill_(_later(new, q.device), float("-inf"))
        seen = torch.bmm(torch.softmax(scores, -1), self._v[:, :filled])
        return seen.view(self.series, -1) if new == 1 else seen.transpose(0, 1).reshape(new, -1)

    def narrow(self, series: int) -> None:
        self.series = series
        self._k, self._v = self._k[: series * self._heads], self._v[: series * self._heads]


class Shared:
    """Many samples a series, which share their past."""

    __slots__ = ("_filled", "_heads", "_k", "_past", "_past_k", "_past_v", "_samples", "_v", "_width", "series")

    def __init__(
        self, series: int, samples: int, heads: int, width: int, *, past: int, room: int, device: torch.device
    ) -> None:
        self.series, self._samples, self._heads, self._width = series, samples, heads, width
        self._past, self._filled = past, 0
        self._past_k = torch.empty(series * heads, width, past, device=device)
        self._past_v = torch.empty(series * heads, past, width, device=device)
        self._k = torch.empty(series * heads * samples, width, room, device=device)
        self._v = torch.empty(series * heads * samples, room, width, device=device)

    def start(self, at: int, k: Tensor, v: Tensor) -> None:
        rows = slice(at * self._heads, (at + 1) * self._heads)
        _put_past(self._past_k[rows], self._past_v[rows], k, v)

    def append(self, k: Tensor, v: Tensor) -> None:
        k, v = self._by_head(k), self._by_head(v)
        end = self._filled + k.shape[1]
        self._k[:, :, self._filled : end] = k.transpose(1, 2)
        self._v[:, self._filled : end] = v
        self._filled = end

    def attend(self, q: Tensor, mask: Tensor | None = None) -> Tensor:
        q = self._by_head(q)  # (B H S, n, e)
        new = q.shape[1]
        if new == 1:
            return self._by_row(self._seen(q, self._k, self._v, self._samples, mask))
        assert self.series == 1
        shape = (self._heads, self._samples, new, self._width)
        seen, q = q.new_empty(shape), q.view(shape)
        group = max(1, _SCORES_AT_ONCE // (self._heads * new * (self._past + self._filled)))
        own_k, own_v = (one.view(self._heads, self._samples, *one.shape[1:]) for one in (self._k, self._v))
        for first in range(0, self._samples, group):
            part = slice(first, first + group)
            some_q, some_k, some_v = (one[:, part].flatten(0, 1) for one in (q, own_k, own_v))
            count = len(some_q) // self._heads
            seen[:, part] = self._seen(some_q, some_k, some_v, count, mask).view(self._heads, count, new, -1)
        return self._by_row(seen.view(-1, new, self._width))

    def narrow(self, series: int) -> None:
        self.series = series
        self._past_k, self._past_v = (one[: series * self._heads] for one in (self._past_k, self._past_v))
        rows = series * self._heads * self._samples
        self._k, self._v = self._k[:rows], self._v[:rows]

    def _seen(self, q: Tensor, k: Tensor, v: Tensor, samples: int, mask: Tensor | None) -> Tensor:
        """One soft-max over both parts: (B H S, n, e)."""
        new, past, filled = q.shape[1], self._past, self._filled
        heads = self.series * self._heads
        scores = torch.bmm(q.view(heads, samples * new, self._width), self._past_k).view(heads * samples, new, past)
        if filled:
            scores = torch.cat([scores, torch.bmm(q, k[:, :, :filled])], -1)
        if mask is not None:
            scores = (scores.view(self.series, -1, past + filled) + mask).view(scores.shape)
        if new > 1:
            scores[..., -new:].masked_fill_(_later(new, q.device), float("-inf"))
        weights = torch.softmax(scores, -1)
        against = weights.view(heads, samples * new, past + filled)[..., :past]
        seen = torch.bmm(against, self._past_v).view(q.shape)
        return torch.baddbmm(seen, weights[..., past:], v[:, :filled]) if filled else seen

    def _by_head(self, rows: Tensor) -> Tensor:
        """(B S n, H, e) to (B H S, n, e)."""
        new = len(rows) // (self.series * self._samples)
        parted = rows.view(self.series, self._samples, new, self._heads, self._width)
        return parted.permute(0, 3, 1, 2, 4).reshape(-1, new, self._width)

    def _by_row(self, seen: Tensor) -> Tensor:
        """(B H S, n, e) to (B S n, H e)."""
        parted = seen.view(self.series, self._heads, self._samples, -1, self._width)
        return parted.permute(0, 2, 3, 1, 4).reshape(-1, self._heads * self._width)


def _put_past(keys: Tensor, values: Tensor, k: Tensor, v: Tensor) -> None:
    """Keys and values (T, H, e) at the right end of a series' room; what is before them is masked, but a number."""
    begin = values.shape[1] - len(k)
    if begin:
        keys[:, :, :begin] = 0.0
        values[:, :begin] = 0.0
    keys[:, :, begin:] = k.permute(1, 2, 0)
    values[:, begin:] = v.transpose(0, 1)


def _later(count: int, device: torch.device) -> Tensor:
    return torch.ones(count, count, dtype=torch.bool, device=device).triu_(1)
