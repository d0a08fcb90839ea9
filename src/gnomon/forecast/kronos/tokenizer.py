"""The tokenizer: bars to pairs of tokens (coarse, fine) and back, through a bottleneck of signs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from gnomon.forecast.kronos.config import TokenizerConfig
from gnomon.forecast.kronos.layers import Block, initialise


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """A training pass: both reconstructions (B, T, 6), the code (B, T, D) and the loss of quantising."""

    coarse: Tensor
    full: Tensor
    code: Tensor
    quantisation_loss: Tensor


class _Code(nn.Module):
    basis: Tensor
    group_basis: Tensor

    def __init__(self, bits: int, group_size: int) -> None:
        super().__init__()
        self.register_buffer("basis", 2 ** torch.arange(bits - 1, -1, -1))
        self.register_buffer("group_basis", 2 ** torch.arange(group_size - 1, -1, -1))


class _Bottleneck(nn.Module):
    """Two buffers that a strict load elsewhere wants; nothing here reads them."""

    def __init__(self, bits: int, group_size: int) -> None:
        super().__init__()
        self.bsq = _Code(bits, group_size)


class KronosTokenizer(nn.Module):
    """Bars in normalised units (B, T, 6) to tokens (B, T), and back. Every block is causal."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config = config
        width, bits = config.d_model, config.code_bits

        def stack(count: int) -> nn.ModuleList:
            return nn.ModuleList(
                Block(
                    width,
                    config.n_heads,
                    config.ff_dim,
                    ffn_dropout_p=config.ffn_dropout_p,
                    attn_dropout_p=config.attn_dropout_p,
                    resid_dropout_p=config.resid_dropout_p,
                )
                for _ in range(count - 1)
            )

        self.embed = nn.Linear(config.d_in, width)
        self.encoder = stack(config.n_enc_layers)
        self.quant_embed = nn.Linear(width, bits)
        self.post_quant_embed_pre = nn.Linear(config.s1_bits, width)
        self.post_quant_embed = nn.Linear(bits, width)
        self.decoder = stack(config.n_dec_layers)
        self.head = nn.Linear(width, config.d_in)
        self.tokenizer = _Bottleneck(bits, config.group_size)
        initialise(self, width)

    # --- tokens -----------------------------------------------------------------------------------------------------

    def latent(self, x: Tensor) -> Tensor:
        """The code before its signs are taken (B, T, D)."""
        x = self.embed(x)
        for block in self.encoder:
            x = block(x)
        code: Tensor = self.quant_embed(x)
        return code

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Coarse and fine tokens (B, T) int64; the first bit is the least, and exactly zero counts as 0."""
        bits = (self.latent(x) > 0).long()
        coarse, fine = bits[..., : self.config.s1_bits], bits[..., self.config.s1_bits :]
        return (coarse << _powers(coarse)).sum(-1), (fine << _powers(fine)).sum(-1)

    def signs(self, s1: Tensor, s2: Tensor) -> Tensor:
        """The code of tokens (…, D): ±1 / sqrt(D)."""
        n1, n2 = self.config.s1_bits, self.config.s2_bits
        bits = torch.cat([_bits_of(s1, n1), _bits_of(s2, n2)], -1)
        signs: Tensor = (bits * 2 - 1).to(self.head.weight.dtype)
        return signs / math.sqrt(n1 + n2)

    def decode(self, s1: Tensor, s2: Tensor) -> Tensor:
        """Bars (B, T, 6) in normalised units, not clipped."""
        return self.decoded(self.post_quant_embed(self.signs(s1, s2)))

    def decoded(self, x: Tensor) -> Tensor:
        for block in self.decoder:
            x = block(x)
        bars: Tensor = self.head(x)
        return bars

    # --- training ---------------------------------------------------------------------------------------------------

    def forward(self, x: Tensor) -> Reconstruction:
        """A pass with gradients through the signs; the losses of the specification, section 7.2."""
        bits = self.config.code_bits
        unit = functional.normalize(self.latent(x), dim=-1)
        signs = torch.where(unit > 0, 1.0, -1.0).to(unit.dtype)
        code = (unit + (signs - unit).detach()) / math.sqrt(bits)
        return Reconstruction(
            coarse=self.decoded(self.post_quant_embed_pre(code[..., : self.config.s1_bits])),
            full=self.decoded(self.post_quant_embed(code)),
            code=code,
            quantisation_loss=self._quantisation_loss(unit, code),
        )

    def _quantisation_loss(self, unit: Tensor, code: Tensor) -> Tensor:
        config = self.config
        commitment = config.beta * (code.detach() - unit).square().sum(-1).mean()
        odds = torch.sigmoid(-4 * unit / math.sqrt(config.code_bits))
        each = _entropy(odds).sum(-1).mean()
        book = _entropy(odds.flatten(0, -2).mean(0)).sum()
        return commitment + config.zeta * (config.gamma0 * each - config.gamma * book)


def _entropy(p: Tensor) -> Tensor:
    return -p * torch.log(p + 1e-8) - (1 - p) * torch.log(1 - p + 1e-8)


def _powers(bits: Tensor) -> Tensor:
    return torch.arange(bits.shape[-1], device=bits.device)


def _bits_of(token: Tensor, count: int) -> Tensor:
    return (token.unsqueeze(-1) >> torch.arange(count, device=token.device)) & 1


def signs_of_all(bits: int) -> Tensor:
    """The signs (2^bits, bits) of every token."""
    return _bits_of(torch.arange(2**bits), bits) * 2 - 1
