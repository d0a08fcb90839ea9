"""The parts of both networks as modules with the names of the checkpoint: what is trained, and what is compared with.

Forecasts are drawn by `packed.py`, which rearranges the same weights. These modules hold no position tables, so that
any number of calls may run at once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-5


def frequencies(head_width: int) -> Tensor:
    """Angles of a rotation per position (head_width / 2,), float32: 10000^(-2j / head_width)."""
    return 1.0 / 10000.0 ** (torch.arange(0, head_width, 2, dtype=torch.float32) / head_width)


def rotate(x: Tensor, inv_freq: Tensor) -> Tensor:
    """Rotary positions 0 … T-1 on (B, H, T, e); component j is paired with j + e/2. Angles are float32 always."""
    angles = torch.outer(torch.arange(x.shape[-2], dtype=torch.float32, device=x.device), inv_freq.float())
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    low, high = x.chunk(2, -1)
    return torch.cat([low * cos - high * sin, high * cos + low * sin], -1)


class RMSNorm(nn.Module):
    """x / sqrt(mean x² + 1e-5) · weight, normalised in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + EPSILON)).to(x.dtype) * self.weight


class Rotary(nn.Module):
    """The frequencies, which a checkpoint carries as a buffer."""

    inv_freq: Tensor

    def __init__(self, head_width: int) -> None:
        super().__init__()
        self.register_buffer("inv_freq", frequencies(head_width))


class Attention(nn.Module):
    """Four biased projections around scaled dot-product attention; queries (B, T, d), keys and values (B, T', d)."""

    def __init__(self, width: int, heads: int, *, attn_dropout_p: float = 0.0, resid_dropout_p: float = 0.0) -> None:
        super().__init__()
        self.heads, self.attn_dropout_p = heads, attn_dropout_p
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))
        self.rotary = Rotary(width // heads)
        self.resid_dropout = nn.Dropout(resid_dropout_p)

    def forward(self, query: Tensor, context: Tensor, *, causal: bool, rotated: bool) -> Tensor:
        """(B, T, d). `rotated` and `causal` are separate: the dependency layer is used with either alone."""
        q, k, v = (
            project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project, x in ((self.q_proj, query), (self.k_proj, context), (self.v_proj, context))
        )
        if rotated:
            q, k = rotate(q, self.rotary.inv_freq), rotate(k, self.rotary.inv_freq)
        dropout = self.attn_dropout_p if self.training else 0.0
        seen = functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=causal)
        attended: Tensor = self.resid_dropout(self.out_proj(seen.transpose(1, 2).flatten(-2)))
        return attended


class GatedMLP(nn.Module):
    """w2(silu(w1 x) · w3 x), no biases."""

    def __init__(self, width: int, ff_dim: int, dropout_p: float = 0.0) -> None:
        super().__init__()
        self.w1, self.w3 = (nn.Linear(width, ff_dim, bias=False) for _ in range(2))
        self.w2 = nn.Linear(ff_dim, width, bias=False)
        self.dropout = nn.Dropout(dropout_p)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.dropout(self.w2(functional.silu(self.w1(x)) * self.w3(x)))
        return y


class Block(nn.Module):
    """A causal pre-norm block of either network."""

    def __init__(
        self,
        width: int,
        heads: int,
        ff_dim: int,
        *,
        ffn_dropout_p: float = 0.0,
        attn_dropout_p: float = 0.0,
        resid_dropout_p: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm1 = RMSNorm(width)
        self.self_attn = Attention(width, heads, attn_dropout_p=attn_dropout_p, resid_dropout_p=resid_dropout_p)
        self.norm2 = RMSNorm(width)
        self.ffn = GatedMLP(width, ff_dim, ffn_dropout_p)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.self_attn(y, y, causal=True, rotated=True)
        done: Tensor = x + self.ffn(self.norm2(x))
        return done


def initialise(module: nn.Module, width: int) -> None:
    """Start values for training from scratch: Xavier-normal maps, zero biases, embeddings N(0, 1/width)."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_normal_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, std=width**-0.5)
