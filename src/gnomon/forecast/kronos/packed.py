"""The weights rearranged for inference, and the arithmetic of a step. Exact up to the order of float sums.

| rearrangement                                                             | saves                                  |
|---------------------------------------------------------------------------|----------------------------------------|
| q, k, v in one map; w1, w3 in one map                                      | calls                                  |
| gains of the norms multiplied into the maps behind them                    | a pass over the activations            |
| 1/sqrt(e) multiplied into q                                                | a pass over the scores                 |
| rows of q and k reordered so that a rotation is one complex product        | four passes; scores don't see the order|
| the bias of v, carried through `out_proj`, added to its bias               | a pass: soft-max weights sum to one    |
| token embedding, its scale and `fusion_proj` as two tables (V, d)          | a map of 2d x d a token                |
| `q_proj` of the dependency layer as a table (V1, d)                        | a map a step                           |

Rows are (rows, d) throughout; only attention knows series, samples and positions. Nothing here is changed by a call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from gnomon import compiled
from gnomon.forecast.kronos import kernels
from gnomon.forecast.kronos.cache import Alone, KeyValues, Panelled, keys_and_values, of_mask
from gnomon.forecast.kronos.config import DEPENDENCY_HEADS, STAMPS
from gnomon.forecast.kronos.layers import EPSILON, Block, RMSNorm, frequencies
from gnomon.forecast.kronos.linear import FEW_ROWS, FEW_THREADS, Linear, Precision
from gnomon.forecast.kronos.memory import Sizes
from gnomon.forecast.kronos.model import CalendarEmbedding, KronosModel
from gnomon.forecast.kronos.tokenizer import KronosTokenizer, signs_of_all

_LIGHT_BYTES: Final = 32 << 20
"""Weights up to here are read faster by one thread than many operators are called; of heavier ones each thread reads
its part."""


@dataclass(frozen=True, slots=True, eq=False)
class PackedBlock:
    """One block: four maps."""

    qkv: Linear  # d to 3d
    out: Linear  # d to d
    gate: Linear  # d to 2 ff
    down: Linear  # ff to d

    @property
    def maps(self) -> tuple[Linear, Linear, Linear, Linear]:
        """In the order in which a row goes through them."""
        return self.qkv, self.out, self.gate, self.down


class PackedStack:
    """A causal stack of blocks: `prefill` for a sequence, `advance` for what comes after one."""

    def __init__(
        self, blocks: Sequence[Block], heads: int, width: int, device: torch.device, precision: Precision
    ) -> None:
        """A tokenizer may have no block at all."""
        self.heads, self.width, self.device = heads, width, device
        self.inv_freq = frequencies(width // heads).to(device)
        self.blocks = [_pack(block, self.heads, precision) for block in blocks]
        arrays = [_arrays(block) for block in self.blocks]
        self._arrays = [one for one in arrays if one is not None] if all(arrays) else []
        self._is_light = sum(one.nbytes for block in self.blocks for one in block.maps) <= _LIGHT_BYTES

    def rotation(self, positions: int) -> Tensor:
        """What q, k and v are multiplied with at positions 0 … (T, 3, 1, e/2) complex64: cos + i sin, and one for v.

        Angles are float32 whatever the weights are (specification, section 10).
        """
        angles = torch.outer(torch.arange(positions, dtype=torch.float32, device=self.device), self.inv_freq)
        angles = torch.stack([angles, angles, torch.zeros_like(angles)], 1).unsqueeze(2)
        return torch.polar(torch.ones_like(angles), angles)

    def room(self, series: int, samples: int, *, past: int, room: int, at_once: bool = False) -> list[KeyValues]:
        """Empty caches of every layer, for a past and for new tokens of each sample, one by one or all at once."""
        of = series, samples, self.heads, self.width // self.heads
        return [keys_and_values(*of, past=past, room=room, at_once=at_once, device=self.device) for _ in self.blocks]

    def prefill(
        self,
        x: Tensor,
        rotation: Tensor,
        keep: Sequence[KeyValues] | None = None,
        at: int = 0,
        *,
        is_past: bool = False,
    ) -> Tensor:
        """One sequence from its start, (T, d) to (T, d); the input is overwritten. `keep` gets keys and values.

        Of what `is_past` nothing but these is wanted: what comes out is not of the last block.
        """
        length = len(x)
        for layer, block in enumerate(self.blocks):
            q, k, v = self._projected(block, x, rotation[:length])
            if keep is not None:
                keep[layer].start(at, k, v)
            if is_past and layer == len(self.blocks) - 1:
                break  # nobody reads what comes out of it
            q, k, v = (one.transpose(0, 1).unsqueeze(0) for one in (q, k, v))  # (1, H, T, e)
            seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)
            block.out.add_to(x, seen[0].transpose(0, 1).reshape(length, -1))
            _mlp(block, x)
        return x

    def advance(self, x: Tensor, rotation: Tensor, past: Sequence[KeyValues], mask: Tensor | None = None) -> Tensor:
        """New tokens of every row after what is kept: (B · S · n, d) to the same; the input is overwritten.

        `rotation` is (1 or B · S · n, 3, 1, e/2), of the new positions.
        """
        if self._arrays and (self._is_light or torch.get_num_threads() <= FEW_THREADS):
            if len(x) == 1 and mask is None:
                return self._advance_alone(x, rotation, past)
            if len(x) in FEW_ROWS and isinstance(past[0], Panelled):
                return self._advance_rows(x, rotation, past, mask)
        for block, kept in zip(self.blocks, past, strict=True):
            q, k, v = self._projected(block, x, rotation)
            kept.append(k, v)
            block.out.add_to(x, kept.attend(q, mask))
            _mlp(block, x)
        return x

    def _advance_alone(self, x: Tensor, rotation: Tensor, past: Sequence[KeyValues]) -> Tensor:
        """One row, a call a block."""
        row, turn, least = x[0].numpy(), rotation[0, 0, 0].numpy(), len(x[0]) * EPSILON
        for arrays, kept in zip(self._arrays, past, strict=True):
            assert isinstance(kept, Alone)
            kernels.block(row, least, arrays.whole, kept.next(), turn)
        return x

    def _advance_rows(self, x: Tensor, rotation: Tensor, past: Sequence[KeyValues], mask: Tensor | None) -> Tensor:
        """Some rows, a call a block."""
        rows, turns, hidden = x.numpy(), rotation[:, 0, 0].contiguous().numpy(), of_mask(mask)
        least, normed = self.width * EPSILON, np.empty_like(rows)
        wide = np.empty(len(rows) * max(len(self._arrays[0].whole[1]), self._arrays[0].whole[4].shape[1]), np.float32)
        for arrays, kept in zip(self._arrays, past, strict=True):
            assert isinstance(kept, Panelled)
            kernels.block_of_rows(rows, least, arrays.panels, kept.next(), hidden, turns, normed, wide)
        return x

    def _projected(self, block: PackedBlock, x: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """q, k, v of rows (rows, H, e), rotated."""
        projected = block.qkv(normed(x)).view(len(x), 3, self.heads, -1, 2)
        turned = torch.view_as_real(torch.view_as_complex(projected) * rotation)
        q, k, v = turned.view(len(x), 3, self.heads, -1).unbind(1)
        return q, k, v


def normed(x: Tensor) -> Tensor:
    """x / sqrt(sum x² + d · 1e-5): RMSNorm without its gain and its sqrt(d), which the next map carries."""
    if compiled.AVAILABLE and x.device.type == "cpu":
        made = torch.empty_like(x)
        kernels.norm_rows(x.numpy(), x.shape[-1] * EPSILON, made.numpy())
        return made
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / torch.hypot(length, _least_length(x.shape[-1], x.device))


@lru_cache
def _least_length(width: int, device: torch.device) -> Tensor:
    return torch.tensor([math.sqrt(width * EPSILON)], device=device)


def _gain(norm: RMSNorm) -> Tensor:
    """What the map behind `normed` is multiplied with, column by column."""
    weight = _wide(norm.weight)
    return weight * math.sqrt(len(weight))


def _mlp(block: PackedBlock, x: Tensor) -> None:
    gate, value = block.gate(normed(x)).chunk(2, -1)
    block.down.add_to(x, functional.silu(gate).mul_(value))


@dataclass(frozen=True, slots=True, eq=False)
class _Arrays:
    """What the kernels take of a block: maps and biases, whole and in panels."""

    whole: kernels.Maps
    panels: kernels.Maps


def _arrays(block: PackedBlock) -> _Arrays | None:
    """None where the kernels can't take it."""
    qkv, out, _, _ = maps = block.maps
    if any(one.panels is None for one in maps) or qkv.bias is None or out.bias is None:
        return None
    biases = qkv.bias.numpy(), out.bias.numpy()

    def ordered(*arrays: Any) -> kernels.Maps:
        return arrays[0], biases[0], arrays[1], biases[1], arrays[2], arrays[3]

    return _Arrays(ordered(*(one.weight.numpy() for one in maps)), ordered(*(one.panels for one in maps)))


def _pack(block: Block, heads: int, precision: Precision) -> PackedBlock:
    attention, ffn = block.self_attn, block.ffn
    width = attention.q_proj.in_features
    half = width // heads // 2
    order = torch.arange(width).view(heads, 2, half).transpose(1, 2).reshape(-1)
    scale = 1.0 / math.sqrt(width // heads)
    q, k, v = attention.q_proj, attention.k_proj, attention.v_proj
    qkv = torch.cat([_wide(q.weight)[order] * scale, _wide(k.weight)[order], _wide(v.weight)])
    bias = torch.cat([_wide(q.bias)[order] * scale, _wide(k.bias)[order], torch.zeros_like(_wide(v.bias))])
    return PackedBlock(
        qkv=Linear.of(qkv * _gain(block.norm1), bias, precision),
        out=_out(attention.out_proj, v.bias, precision),
        gate=Linear.of(torch.cat([_wide(ffn.w1.weight), _wide(ffn.w3.weight)]) * _gain(block.norm2), None, precision),
        down=Linear.of(_wide(ffn.w2.weight), None, precision),
    )


def _out(out_proj: nn.Linear, v_bias: Tensor, precision: Precision) -> Linear:
    weight = _wide(out_proj.weight)
    return Linear.of(weight, _wide(out_proj.bias) + weight @ _wide(v_bias), precision)


def _wide(weight: Tensor) -> Tensor:
    """Sums are folded in float64 and rounded once."""
    return weight.detach().double()


class PackedDecoder:
    """The tokenizer's way back: pairs of tokens to bars."""

    def __init__(self, tokenizer: KronosTokenizer) -> None:
        config = tokenizer.config
        self.stack = PackedStack(
            [*tokenizer.decoder], config.n_heads, config.d_model, tokenizer.head.weight.device, "float32"
        )
        weight, bias = _wide(tokenizer.post_quant_embed.weight), _wide(tokenizer.post_quant_embed.bias)
        coarse, fine = weight[:, : config.s1_bits], weight[:, config.s1_bits :]
        scale = 1.0 / math.sqrt(config.code_bits)
        self.table_s1 = (signs_of_all(config.s1_bits).to(weight) @ coarse.T * scale + bias).float()
        self.table_s2 = (signs_of_all(config.s2_bits).to(weight) @ fine.T * scale).float()
        self.head = Linear.of(_wide(tokenizer.head.weight), _wide(tokenizer.head.bias), "float32")

    def embed(self, s1: Tensor, s2: Tensor) -> Tensor:
        """Rows (rows, d) of tokens (rows,)."""
        return self.table_s1[s1].add_(self.table_s2[s2])


class PackedModel:
    """The model: tables, trunk, dependency layer, heads."""

    def __init__(self, model: KronosModel, precision: Precision) -> None:
        config, device = model.config, model.norm.weight.device
        self.stack = PackedStack([*model.transformer], config.n_heads, config.d_model, device, precision)
        self.width = model.config.d_model
        self.dep_heads = DEPENDENCY_HEADS
        self.sizes = Sizes(
            model.config.n_layers, self.width, model.config.ff_dim, 2 ** max(model.config.s1_bits, model.config.s2_bits)
        )
        self.vocabularies = 2**model.config.s1_bits, 2**model.config.s2_bits
        self._tables(model)
        self._calendar(model.time_emb)
        attention, norm, head = model.dep_layer.cross_attn, model.norm, model.head
        self.gain = _gain(norm).float()
        self.table_q = self._queries(model)
        keys_values = torch.cat([_wide(attention.k_proj.weight), _wide(attention.v_proj.weight)])
        bias = torch.cat([_wide(attention.k_proj.bias), torch.zeros_like(_wide(attention.v_proj.bias))])
        self.keys_values = Linear.of(keys_values, bias, precision)
        self.coarse = Linear.of(_wide(head.proj_s1.weight), _wide(head.proj_s1.bias), precision)
        self.out = _out(attention.out_proj, attention.v_proj.bias, precision)
        gain = _gain(model.dep_layer.norm)
        self.fine = Linear.of(_wide(head.proj_s2.weight) * gain, _wide(head.proj_s2.bias), precision)

    def embed(self, s1: Tensor, s2: Tensor, calendar: Tensor) -> Tensor:
        """Rows (rows, d) of tokens (rows,) and their calendar rows (rows, d)."""
        return self.table_s1[s1].add_(self.table_s2[s2]).add_(calendar)

    def calendar(self, stamps: Tensor) -> Tensor:
        """The sum of the five rows of each stamp: (…, 5) to (…, d)."""
        rows = [self._calendars[name][stamps[..., STAMPS.index(name)]] for name in CalendarEmbedding.ORDER]
        total = rows[0]
        for row in rows[1:]:
            total = total.add_(row)
        return total

    def context(self, x: Tensor) -> Tensor:
        """The final norm, with its gain."""
        return normed(x).mul_(self.gain)

    def dependency(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (rows, 4, e) of the dependency layer; they know no position."""
        k, v = self.keys_values(context).view(len(context), 2, self.dep_heads, -1).unbind(1)
        return k, v

    def dependency_room(self, series: int, samples: int, *, past: int, room: int, at_once: bool = False) -> KeyValues:
        """An empty cache of the dependency layer."""
        of = series, samples, self.dep_heads, self.width // self.dep_heads
        return keys_and_values(*of, past=past, room=room, at_once=at_once, device=self.stack.device)

    def fine_logits(self, context: Tensor, seen: Tensor) -> Tensor:
        """Logits (rows, V2) from the context and what the dependency layer saw (rows, d)."""
        return self.fine(normed(self.out(seen).add_(context)))

    # --- inside -----------------------------------------------------------------------------------------------------

    def _tables(self, model: KronosModel) -> None:
        embedding, width = model.embedding, self.width
        weight, bias = _wide(embedding.fusion_proj.weight), _wide(embedding.fusion_proj.bias)
        coarse, fine = _wide(embedding.emb_s1.weight), _wide(embedding.emb_s2.weight)
        self.table_s1 = (coarse @ weight[:, :width].T * embedding.scale + bias).float()
        self.table_s2 = (fine @ weight[:, width:].T * embedding.scale).float()

    def _calendar(self, calendar: CalendarEmbedding) -> None:
        self._calendars: dict[str, Tensor] = {}
        for name in STAMPS:
            weight = calendar.get_submodule(f"{name}_embed").weight
            assert isinstance(weight, Tensor)
            self._calendars[name] = weight.detach().float()

    def _queries(self, model: KronosModel) -> Tensor:
        project = model.dep_layer.cross_attn.q_proj
        scale = 1.0 / math.sqrt(self.width // self.dep_heads)
        table = _wide(model.embedding.emb_s1.weight) @ _wide(project.weight).T + _wide(project.bias)
        return (table * scale).float().view(-1, self.dep_heads, self.width // self.dep_heads)
