"""The model: pairs of tokens with their calendar to the distribution of the next pair, coarse first."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from gnomon.forecast.kronos.config import DEPENDENCY_HEADS, STAMP_SIZES, STAMPS, ModelConfig
from gnomon.forecast.kronos.layers import Attention, Block, RMSNorm, initialise

Seen = Literal["forecast", "training", "leaking"]
"""How a fine token sees the window, three ways that give three numbers (specification, 5.6):

`forecast`: positions up to its own, without rotation: as every forecast is drawn.
`training`: positions up to its own, rotated: as the public weights were trained.
`leaking`: every position, the future too, rotated: what the public validation loss does. For comparison only.
"""


class _TokenEmbedding(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.d_model
        self.emb_s1 = nn.Embedding(2**config.s1_bits, width)
        self.emb_s2 = nn.Embedding(2**config.s2_bits, width)
        self.fusion_proj = nn.Linear(2 * width, width)
        self.scale = math.sqrt(width)

    def forward(self, s1: Tensor, s2: Tensor) -> Tensor:
        pair = torch.cat([self.emb_s1(s1) * self.scale, self.emb_s2(s2) * self.scale], -1)
        fused: Tensor = self.fusion_proj(pair)
        return fused


class _FixedTable(nn.Module):
    """A table that is stored and never trained; its name has one more level in a checkpoint."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.emb = nn.Embedding(rows, width)
        self.emb.weight.requires_grad_(False)

    @property
    def weight(self) -> Tensor:
        return self.emb.weight

    def forward(self, index: Tensor) -> Tensor:
        row: Tensor = self.emb(index)
        return row


class CalendarEmbedding(nn.Module):
    """The sum of five rows. Stamps are (…, 5): minute, hour, weekday (Monday 0), day of month, month."""

    ORDER = ("hour", "weekday", "day", "month", "minute")  # of summation: floats do not add in any order

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        for name, rows in zip(STAMPS, STAMP_SIZES, strict=True):
            table = nn.Embedding(rows, config.d_model) if config.learn_te else _FixedTable(rows, config.d_model)
            self.add_module(f"{name}_embed", table)

    def forward(self, stamps: Tensor) -> Tensor:
        rows = [self.get_submodule(f"{name}_embed")(stamps[..., STAMPS.index(name)]) for name in self.ORDER]
        total: Tensor = sum(rows[1:], rows[0])
        return total


class _DependencyLayer(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.cross_attn = Attention(
            config.d_model,
            DEPENDENCY_HEADS,
            attn_dropout_p=config.attn_dropout_p,
            resid_dropout_p=config.resid_dropout_p,
        )
        self.norm = RMSNorm(config.d_model)


class _Heads(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.proj_s1 = nn.Linear(config.d_model, 2**config.s1_bits)
        self.proj_s2 = nn.Linear(config.d_model, 2**config.s2_bits)


class KronosModel(nn.Module):
    """A causal decoder over pairs of tokens."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = _TokenEmbedding(config)
        self.time_emb = CalendarEmbedding(config)
        self.token_dropout = nn.Dropout(config.token_dropout_p)
        self.transformer = nn.ModuleList(
            Block(
                config.d_model,
                config.n_heads,
                config.ff_dim,
                ffn_dropout_p=config.ffn_dropout_p,
                attn_dropout_p=config.attn_dropout_p,
                resid_dropout_p=config.resid_dropout_p,
            )
            for _ in range(config.n_layers)
        )
        self.norm = RMSNorm(config.d_model)
        self.dep_layer = _DependencyLayer(config)
        self.head = _Heads(config)
        initialise(self, config.d_model)

    def context(self, s1: Tensor, s2: Tensor, stamps: Tensor | None) -> Tensor:
        """What the trunk knows at each position (B, T, d); stamps (B, T, 5) are those of the bars themselves."""
        x = self.embedding(s1, s2)
        if stamps is not None:
            x = x + self.time_emb(stamps)
        x = self.token_dropout(x)
        for block in self.transformer:
            x = block(x)
        normed: Tensor = self.norm(x)
        return normed

    def coarse_logits(self, context: Tensor) -> Tensor:
        """Logits (B, T, V1) of the coarse token of the next bar."""
        logits: Tensor = self.head.proj_s1(context)
        return logits

    def fine_logits(self, context: Tensor, next_s1: Tensor, seen: Seen = "forecast") -> Tensor:
        """Logits (B, T, V2) of the fine token of the next bar, given its coarse token (B, T)."""
        query = self.embedding.emb_s1(next_s1)
        attended = self.dep_layer.cross_attn(query, context, causal=seen != "leaking", rotated=seen != "forecast")
        logits: Tensor = self.head.proj_s2(self.dep_layer.norm(context + attended))
        return logits
