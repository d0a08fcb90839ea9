"""The forecast procedure of the specification by the modules alone: no cache, no sharing, one path a row."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gnomon.forecast.kronos.layers import Attention, rotate
from gnomon.forecast.kronos.model import KronosModel
from gnomon.forecast.kronos.sampling import Luck, probabilities
from gnomon.forecast.kronos.tokenizer import KronosTokenizer


@torch.inference_mode()
def naive_draw(
    model: KronosModel,
    s1: Tensor,
    s2: Tensor,
    stamps: Tensor,
    samples: int,
    horizon: int,
    context: int,
    luck: Luck,
    **filters: Any,
) -> tuple[Tensor, Tensor]:
    """Tokens (S, H) after a past of tokens (L,) with stamps (L + H, 5): every step computes its whole window anew."""
    length = len(s1)
    s1, s2 = s1.repeat(samples, 1), s2.repeat(samples, 1)
    for step in range(horizon):
        known = length + step
        window = slice(max(0, known - context), known)
        hidden = model.context(s1[:, window], s2[:, window], stamps[window].expand(samples, -1, -1))
        logits = model.coarse_logits(hidden[:, -1])
        coarse = (probabilities(logits, **filters) / luck.times(step, 0, logits.shape[-1])).argmax(-1)
        logits = naive_fine(model, hidden, coarse)
        fine = (probabilities(logits, **filters) / luck.times(step, 1, logits.shape[-1])).argmax(-1)
        s1, s2 = torch.cat([s1, coarse[:, None]], 1), torch.cat([s2, fine[:, None]], 1)
    return s1[:, length:], s2[:, length:]


@torch.inference_mode()
def naive_rolling(
    model: KronosModel, s1: Tensor, s2: Tensor, stamps: Tensor, samples: int, horizon: int, context: int, luck: Luck
) -> tuple[Tensor, Tensor]:
    """Tokens (S, H) where every position of every layer sees itself and the C - 1 before it, and nothing forgets."""
    cut = max(0, len(s1) - context)
    s1, s2, stamps = s1[cut:].repeat(samples, 1), s2[cut:].repeat(samples, 1), stamps[cut:]
    length = s1.shape[1]
    for step in range(horizon):
        x = model.embedding(s1, s2) + model.time_emb(stamps[: length + step])
        apart = torch.arange(length + step)[:, None] - torch.arange(length + step)
        band = (apart >= 0) & (apart < context)
        for block in model.transformer:
            x = x + _banded(block.self_attn, block.norm1(x), band)
            x = x + block.ffn(block.norm2(x))
        hidden = model.norm(x)[:, -context:]
        logits = model.coarse_logits(hidden[:, -1])
        coarse = (logits.softmax(-1) / luck.times(step, 0, logits.shape[-1])).argmax(-1)
        logits = naive_fine(model, hidden, coarse)
        fine = (logits.softmax(-1) / luck.times(step, 1, logits.shape[-1])).argmax(-1)
        s1, s2 = torch.cat([s1, coarse[:, None]], 1), torch.cat([s2, fine[:, None]], 1)
    return s1[:, length:], s2[:, length:]


def _banded(attention: Attention, x: Tensor, band: Tensor) -> Tensor:
    maps = (attention.q_proj, attention.k_proj, attention.v_proj)
    q, k, v = (one(x).unflatten(-1, (attention.heads, -1)).transpose(1, 2) for one in maps)
    q, k = rotate(q, attention.rotary.inv_freq), rotate(k, attention.rotary.inv_freq)
    scores = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).masked_fill(~band, float("-inf"))
    attended: Tensor = attention.out_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(-2))
    return attended


def naive_fine(model: KronosModel, hidden: Tensor, coarse: Tensor) -> Tensor:
    """Logits of the fine token: one query over the whole window, head by head, without rotation."""
    attention = model.dep_layer.cross_attn
    query = attention.q_proj(model.embedding.emb_s1(coarse))
    keys, values = attention.k_proj(hidden), attention.v_proj(hidden)
    width = query.shape[-1] // 4
    seen = []
    for head in range(4):
        part = slice(head * width, (head + 1) * width)
        scores = torch.einsum("re,rte->rt", query[:, part], keys[..., part]) / width**0.5
        seen.append(torch.einsum("rt,rte->re", scores.softmax(-1), values[..., part]))
    attended = attention.out_proj(torch.cat(seen, -1))
    logits: Tensor = model.head.proj_s2(model.dep_layer.norm(hidden[:, -1] + attended))
    return logits


@torch.inference_mode()
def naive_decode(
    tokenizer: KronosTokenizer, past: tuple[Tensor, Tensor], new: tuple[Tensor, Tensor], context: int
) -> Tensor:
    """Bars (S, H, 6) in normalised units: the last C tokens of every path, decoded whole."""
    samples, horizon = new[0].shape
    whole = [torch.cat([old.expand(samples, -1), drawn], 1)[:, -context:] for old, drawn in zip(past, new, strict=True)]
    return tokenizer.decode(*whole)[:, -horizon:]
