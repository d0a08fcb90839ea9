"""Keys and values that a layer keeps, and what a query sees of them.

With B series, S samples a series, H heads and e the width of a head. Pasts of unequal length are aligned to the right.

| class      | for                                  | the past, computed once              | what was drawn since    |
|------------|--------------------------------------|--------------------------------------|-------------------------|
| `Alone`    | one sample                           | keys and values (B H, P + C, e): both parts in one             |
| `Shared`   | many samples                         | keys (B H, e, P), values (B H, P, e) | both (B H, S, C, e)     |
| `Panelled` | the same, a token at a time, compiled| both in panels: `kernels.attend_rows`| both (B H, C, S, e)     |

With many samples the scores against the past are one product of S rows a head, not S products of one row.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
import torch
from torch import Tensor

from gnomon import compiled
from gnomon.forecast.kronos import kernels, panels
from gnomon.forecast.kronos.panels import Floats

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
    series: int, samples: int, heads: int, width: int, *, past: int, room: int, at_once: bool, device: torch.device
) -> KeyValues:
    """An empty cache for pasts of up to `past` tokens and `room` new ones a sample, one by one or at once."""
    if samples == 1:
        return Alone(series, heads, width, past=past, room=room, device=device)
    if compiled.AVAILABLE and device.type == "cpu" and not at_once:
        return Panelled(series, samples, heads, width, past=past, room=room)
    return Shared(series, samples, heads, width, past=past, room=room, device=device)


class Alone:
    """One sample a series."""

    __slots__ = ("_filled", "_heads", "_k", "_past", "_v", "_width", "series")

    def __init__(self, series: int, heads: int, width: int, *, past: int, room: int, device: torch.device) -> None:
        self.series, self._heads, self._width, self._past, self._filled = series, heads, width, past, past
        self._k, self._v = (torch.empty(series * heads, past + room, width, device=device) for _ in range(2))

    def start(self, at: int, k: Tensor, v: Tensor) -> None:
        rows = slice(at * self._heads, (at + 1) * self._heads)
        _put_past(self._k[rows, : self._past].transpose(1, 2), self._v[rows, : self._past], k, v)

    def next(self) -> tuple[Floats, Floats, int]:
        """Keys and values (H, P + C, e) of the one series, and the position that the caller fills in them."""
        self._filled += 1
        return self._k.numpy(), self._v.numpy(), self._filled - 1

    def append(self, k: Tensor, v: Tensor) -> None:
        at, new = self._filled, len(k) // self.series
        for kept, rows in ((self._k, k), (self._v, v)):
            if new == 1:
                kept[:, at] = rows.reshape(-1, self._width)
            else:
                kept[:, at : at + new] = rows.transpose(0, 1)
        self._filled = at + new

    def attend(self, q: Tensor, mask: Tensor | None = None) -> Tensor:
        new, filled = len(q) // self.series, self._filled
        if len(q) == 1 and mask is None and _is_compiled(q):
            alone = torch.zeros(self._heads, self._width)
            kernels.attend(q[0].numpy(), self._k.numpy(), self._v.numpy(), filled, alone.numpy())
            return alone.view(1, -1)
        q = q.reshape(-1, 1, self._width) if new == 1 else q.transpose(0, 1)  # (B H, n, e)
        scores = torch.bmm(q, self._k[:, :filled].transpose(1, 2))
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
        self._k, self._v = (torch.empty(series * heads, samples, room, width, device=device) for _ in range(2))

    def start(self, at: int, k: Tensor, v: Tensor) -> None:
        rows = slice(at * self._heads, (at + 1) * self._heads)
        _put_past(self._past_k[rows], self._past_v[rows], k, v)

    def append(self, k: Tensor, v: Tensor) -> None:
        at, new = self._filled, len(k) // (self.series * self._samples)
        for kept, rows in ((self._k, k), (self._v, v)):
            parted = kept.view(self.series, self._heads, *kept.shape[1:])
            parted[:, :, :, at : at + new] = self._parted(rows)
        self._filled = at + new

    def attend(self, q: Tensor, mask: Tensor | None = None) -> Tensor:
        heads = self.series * self._heads
        q = self._parted(q).reshape(heads, self._samples, -1, self._width)
        new = q.shape[2]
        if new == 1:
            return self._by_row(self._seen(q, self._k, self._v, mask))
        assert self.series == 1
        seen = torch.empty_like(q)
        group = max(1, _SCORES_AT_ONCE // (heads * new * (self._past + self._filled)))
        for first in range(0, self._samples, group):
            part = slice(first, first + group)
            seen[:, part] = self._seen(q[:, part], self._k[:, part], self._v[:, part], mask)
        return self._by_row(seen)

    def narrow(self, series: int) -> None:
        self.series = series
        heads = series * self._heads
        self._past_k, self._past_v = self._past_k[:heads], self._past_v[:heads]
        self._k, self._v = self._k[:heads], self._v[:heads]

    def _seen(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """One soft-max over both parts: (B H, S, n, e)."""
        heads, samples, new, width = q.shape
        past, filled = self._past, self._filled
        scores = torch.bmm(q.reshape(heads, samples * new, width), self._past_k).view(heads, samples, new, past)
        if filled:
            scores = torch.cat([scores, q @ k[:, :, :filled].transpose(2, 3)], -1)
        if mask is not None:
            scores = (scores.view(self.series, -1, past + filled) + mask).view(scores.shape)
        if new > 1:
            scores[..., -new:].masked_fill_(_later(new, q.device), float("-inf"))
        weights = torch.softmax(scores, -1)
        against = weights.view(heads, samples * new, past + filled)[..., :past]
        seen = torch.bmm(against, self._past_v).view(q.shape)
        return seen.add_(weights[..., past:] @ v[:, :, :filled]) if filled else seen

    def _parted(self, rows: Tensor) -> Tensor:
        """(B S n, H, e) to (B, H, S, n, e)."""
        return rows.view(self.series, self._samples, -1, self._heads, self._width).permute(0, 3, 1, 2, 4)

    def _by_row(self, seen: Tensor) -> Tensor:
        """(B H, S, …, e) to (B S n, H e)."""
        parted = seen.view(self.series, self._heads, self._samples, -1, self._width)
        return parted.permute(0, 2, 3, 1, 4).reshape(-1, self._heads * self._width)


class Panelled:
    """Many samples a series, one new token each at a time: what `kernels.attend_rows` reads, in the order it reads."""

    __slots__ = ("_filled", "_heads", "_k", "_past", "_past_k", "_past_v", "_v", "_width", "series")

    def __init__(self, series: int, samples: int, heads: int, width: int, *, past: int, room: int) -> None:
        self.series, self._heads, self._width, self._past, self._filled = series, heads, width, past, 0
        self._past_k, self._past_v = (
            np.zeros((series * heads, _rounded(past) * size), np.float32) for size in (width, _rounded(width))
        )
        self._k, self._v = (np.empty((series * heads, room, samples, width), np.float32) for _ in range(2))

    def start(self, at: int, k: Tensor, v: Tensor) -> None:
        begin, padded = self._past - len(k), _rounded(self._past)
        keys = torch.zeros(self._heads, self._width, padded)
        keys[:, :, begin : self._past] = k.permute(1, 2, 0)
        values = torch.zeros(self._heads, padded, _rounded(self._width))
        values[:, begin : self._past, : self._width] = v.transpose(0, 1)
        for head in range(self._heads):
            row = at * self._heads + head
            self._past_k[row] = panels.in_panels(keys[head].numpy())
            self._past_v[row] = panels.in_panels(values[head].numpy())

    def append(self, k: Tensor, v: Tensor) -> None:
        kernels.keep_rows(k.numpy(), v.numpy(), self._k, self._v, self._filled)
        self._filled += 1

    def attend(self, q: Tensor, mask: Tensor | None = None) -> Tensor:
        q = q.reshape(len(q), -1)
        seen = torch.empty_like(q)
        kept = self._past_k, self._past_v, self._k, self._v
        kernels.attend_rows(q.numpy(), *kept, self._past, self._filled, of_mask(mask), seen.numpy())
        return seen

    def next(self) -> tuple[Floats, Floats, Floats, Floats, int, int]:
        """What `kernels.block_of_rows` takes: past and own keys and values, P, and the position that it fills."""
        self._filled += 1
        return self._past_k, self._past_v, self._k, self._v, self._past, self._filled - 1

    def narrow(self, series: int) -> None:
        self.series = series
        heads = series * self._heads
        self._past_k, self._past_v = self._past_k[:heads], self._past_v[:heads]
        self._k, self._v = self._k[:heads], self._v[:heads]


def of_mask(mask: Tensor | None) -> Floats:
    """A mask (B, 1, P + filled) as the kernels take it: of no rows where nothing is hidden."""
    return np.empty((0, 0), np.float32) if mask is None else mask[:, 0].numpy()


def _rounded(size: int) -> int:
    """To whole panels, one or more."""
    return max(1, -(-size // panels.COLUMNS)) * panels.COLUMNS


def _is_compiled(q: Tensor) -> bool:
    return compiled.AVAILABLE and q.device.type == "cpu"


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
