"""Bars to tokens and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.forecast.kronos.conftest import Golden, networks

from gnomon.forecast.kronos.config import PUBLISHED, TokenizerConfig
from gnomon.forecast.kronos.tokenizer import KronosTokenizer, signs_of_all
from gnomon.forecast.kronos.weights import load_tokenizer

CLOSE = {"atol": 2e-5, "rtol": 1e-5}


def of(golden: Golden) -> KronosTokenizer:
    network = load_tokenizer(golden.folder / "tokenizer").network
    assert isinstance(network, KronosTokenizer)
    return network


def test_the_golden_bars_give_the_golden_tokens(golden: Golden) -> None:
    tokenizer, x = of(golden), golden["norm.x"].unsqueeze(0)
    assert torch.allclose(tokenizer.latent(x), golden["tok.prequant"], **CLOSE)
    s1, s2 = tokenizer.encode(x)
    assert torch.equal(s1, golden["tok.s1"])
    assert torch.equal(s2, golden["tok.s2"])
    assert torch.equal(s1 + (s2 << tokenizer.config.s1_bits), golden["tok.full"])


def test_each_block_gives_the_golden_activations(golden: Golden) -> None:
    tokenizer = of(golden)
    x = tokenizer.embed(golden["norm.x"].unsqueeze(0))
    assert torch.allclose(x, golden["tok.embed"], **CLOSE)
    for number, block in enumerate(tokenizer.encoder):
        x = block(x)
        assert torch.allclose(x, golden[f"tok.enc.{number}"], **CLOSE)


def test_the_golden_tokens_give_the_golden_bars(golden: Golden) -> None:
    tokenizer = of(golden)
    s1, s2 = golden["tok.s1"], golden["tok.s2"]
    assert torch.allclose(tokenizer.signs(s1, s2), golden["tok.bits"], atol=1e-7)
    for name in ("tok.decode", "tok.decode_full"):
        assert torch.allclose(tokenizer.decode(s1, s2), golden[name], atol=1e-5)


def test_a_training_pass_gives_the_golden_reconstructions(golden: Golden) -> None:
    made = of(golden)(golden["norm.x"].unsqueeze(0))
    assert torch.allclose(made.code, golden["tok.fwd.quantized"], **CLOSE)
    assert torch.allclose(made.coarse, golden["tok.fwd.recon_s1_only"], **CLOSE)
    assert torch.allclose(made.full, golden["tok.fwd.recon"], **CLOSE)
    assert float(made.quantisation_loss) == pytest.approx(golden.meta["tok.fwd.bsq_loss_eval"], rel=1e-5)


def test_the_least_bit_comes_first_and_zero_counts_as_no() -> None:
    _, tokenizer = networks()
    latent = torch.tensor([[[1.0, -1, 2, 0, 0.5, -3, 1, 1, -1, 0]]])
    tokenizer.latent = lambda _: latent
    s1, s2 = tokenizer.encode(torch.zeros(1, 1, 6))
    assert (int(s1), int(s2)) == (1 + 4 + 16, 2 + 4)


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_the_code_of_a_token_gives_the_token_back(n1: int, n2: int, data: st.DataObject) -> None:
    config = TokenizerConfig(
        d_model=4, n_heads=1, ff_dim=4, n_enc_layers=1, n_dec_layers=1, s1_bits=n1, s2_bits=n2, group_size=1
    )
    tokenizer = KronosTokenizer(config)
    s1 = torch.tensor(data.draw(st.integers(0, 2**n1 - 1)))
    s2 = torch.tensor(data.draw(st.integers(0, 2**n2 - 1)))
    code = tokenizer.signs(s1, s2)
    assert torch.allclose(code.abs(), torch.full_like(code, (n1 + n2) ** -0.5))
    bits = (code > 0).long().tolist()
    assert sum(bit << at for at, bit in enumerate(bits[:n1])) == int(s1)
    assert sum(bit << at for at, bit in enumerate(bits[n1:])) == int(s2)
    assert torch.equal(signs_of_all(n1)[int(s1)], (code[:n1] > 0).long() * 2 - 1)


def test_later_bars_never_change_earlier_tokens_nor_later_tokens_earlier_bars() -> None:
    _, tokenizer = networks(3)
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 40, 6)).astype(np.float32))
    whole, part = tokenizer.encode(x), tokenizer.encode(x[:, :25])
    assert torch.equal(whole[0][:, :25], part[0])
    assert torch.allclose(tokenizer.decode(*whole)[:, :25], tokenizer.decode(*part), atol=1e-5)


def test_the_published_size_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        for name in ("Kronos-Tokenizer-base", "Kronos-Tokenizer-2k"):
            known = PUBLISHED[name]
            assert isinstance(known.config, TokenizerConfig)
            network = KronosTokenizer(known.config)
            assert sum(one.numel() for one in network.parameters()) == known.parameters == 3_958_042
