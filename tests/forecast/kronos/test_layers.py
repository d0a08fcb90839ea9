"""The parts of the networks, against their formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from gnomon.forecast.kronos.layers import Attention, Block, GatedMLP, RMSNorm, frequencies, rotate


def test_a_norm_divides_by_the_root_of_the_mean_square() -> None:
    norm = RMSNorm(8)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
    x = torch.randn(3, 8)
    expected = [[v / math.sqrt(sum(u * u for u in row) / 8 + 1e-5) for v in row] for row in x.tolist()]
    assert torch.allclose(norm(x), torch.tensor(expected) * norm.weight, atol=1e-6)


def test_a_norm_is_computed_in_float32_whatever_comes_in() -> None:
    x = torch.randn(2, 64).bfloat16() * 100
    norm = RMSNorm(64).bfloat16()
    wide = x.float() / (x.float().square().mean(-1, keepdim=True) + 1e-5).sqrt()
    assert torch.equal(norm(x), wide.bfloat16() * norm.weight)


def test_a_rotation_turns_the_pair_j_and_j_plus_half() -> None:
    x = torch.randn(1, 1, 5, 6, dtype=torch.float64)
    turned = rotate(x, frequencies(6))
    for position in range(5):
        for j in range(3):
            angle = position * 10_000 ** (-2 * j / 6)
            a, b = float(x[0, 0, position, j]), float(x[0, 0, position, j + 3])
            assert float(turned[0, 0, position, j]) == pytest.approx(
                a * math.cos(angle) - b * math.sin(angle), abs=1e-6
            )
            assert float(turned[0, 0, position, j + 3]) == pytest.approx(
                b * math.cos(angle) + a * math.sin(angle), abs=1e-6
            )


def test_scores_after_a_rotation_know_distances_only() -> None:
    q, k = torch.randn(2, 1, 1, 1, 16).double().unbind(0)
    at = [rotate(one.expand(1, 1, 40, 16), frequencies(16)) for one in (q, k)]
    scores = at[0][0, 0] @ at[1][0, 0].T
    assert torch.allclose(scores[10, 3], scores[37, 30], atol=1e-5)
    assert not torch.allclose(scores[10, 3], scores[10, 4], atol=1e-3)


def test_angles_stay_float32_in_half_types() -> None:
    x = torch.ones(1, 1, 512, 4).bfloat16()
    turned = rotate(x, frequencies(4))
    assert len(torch.unique(turned[0, 0, :, 0].float())) > 100  # positions in bfloat16 leave fewer than 400 of 512
    assert torch.allclose(turned[0, 0, 511].float(), rotate(x.float(), frequencies(4))[0, 0, 511], atol=0.02)


def test_the_gated_map_is_what_its_name_says() -> None:
    ffn = GatedMLP(4, 6)
    x = torch.randn(3, 4)
    gate, value = x @ ffn.w1.weight.T, x @ ffn.w3.weight.T
    assert torch.allclose(ffn(x), (gate * torch.sigmoid(gate) * value) @ ffn.w2.weight.T, atol=1e-6)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("rotated", [True, False])
@torch.inference_mode()
def test_attention_equals_a_loop_over_heads_and_positions(causal: bool, rotated: bool) -> None:
    attention = Attention(12, 2)
    query, context = torch.randn(1, 5, 12), torch.randn(1, 5, 12)
    q, k, v = attention.q_proj(query)[0], attention.k_proj(context)[0], attention.v_proj(context)[0]
    rows = []
    for t in range(5):
        heads = []
        for part in (slice(0, 6), slice(6, 12)):
            qs, ks = (one[None, None, :, part] for one in (q, k))
            if rotated:
                qs, ks = rotate(qs, attention.rotary.inv_freq), rotate(ks, attention.rotary.inv_freq)
            last = t + 1 if causal else 5
            scores = [float(qs[0, 0, t] @ ks[0, 0, u]) / math.sqrt(6) for u in range(last)]
            weights = functional.softmax(torch.tensor(scores), 0)
            heads.append(weights @ v[:last, part])
        rows.append(attention.out_proj(torch.cat(heads)))
    assert torch.allclose(attention(query, context, causal=causal, rotated=rotated)[0], torch.stack(rows), atol=1e-5)


def test_a_block_never_looks_ahead() -> None:
    block = Block(16, 2, 24)
    x = torch.randn(1, 9, 16)
    changed = x.clone()
    changed[:, 6:] = 50.0
    assert torch.equal(block(x)[:, :6], block(changed)[:, :6])


def test_dropout_acts_in_training_only() -> None:
    block = Block(16, 2, 24, ffn_dropout_p=0.5, attn_dropout_p=0.5, resid_dropout_p=0.5)
    x = torch.randn(1, 9, 16)
    assert torch.equal(block.eval()(x), block(x))
    assert not torch.equal(block.train()(x), block(x))
