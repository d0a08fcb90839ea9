"""The losses are the published ones: golden values and gradients, and the ways they must not be computed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import torch as safetensors

from gnomon.errors import Invalid, Refused
from gnomon.forecast.kronos.config import ModelConfig, TokenizerConfig
from gnomon.forecast.kronos.model import KronosModel
from gnomon.forecast.kronos.tokenizer import KronosTokenizer
from gnomon.forecast.training.losses import (
    causal_loss,
    evaluating,
    model_loss,
    tokenizer_loss,
)

SMALL = ModelConfig(s1_bits=3, s2_bits=4, n_layers=2, d_model=16, n_heads=2, ff_dim=24)


class Golden:
    """The folder of golden vectors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta: Mapping[str, Any] = json.loads((folder / "meta.json").read_text())
        self.arrays = safetensors.load_file(folder / "expected.safetensors")

    def tokenizer(self) -> KronosTokenizer:
        config = TokenizerConfig.of(json.loads((self.folder / "tokenizer/config.json").read_text()))
        network = KronosTokenizer(config)
        network.load_state_dict(safetensors.load_file(self.folder / "tokenizer/model.safetensors"))
        return network

    def model(self) -> KronosModel:
        """With all dropouts 0, as the README says of `mod.train`."""
        config = ModelConfig.of(json.loads((self.folder / "model/config.json").read_text()))
        still = replace(config, ffn_dropout_p=0.0, attn_dropout_p=0.0, resid_dropout_p=0.0, token_dropout_p=0.0)
        network = KronosModel(still)
        network.load_state_dict(safetensors.load_file(self.folder / "model/model.safetensors"))
        return network

    def tokens(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        rows = self.meta["norm.rows"]
        stamps = self.arrays["input.stamps"][:rows].unsqueeze(0)
        return self.arrays["tok.s1"], self.arrays["tok.s2"], stamps


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    folder = shared / "golden/kronos"
    if not folder.is_dir():
        pytest.skip(f"needs the golden vectors of Kronos in {folder}")
    return Golden(folder)


def compare_gradients(network: torch.nn.Module, expected: Mapping[str, float]) -> None:
    found = {name: one.grad.norm().item() for name, one in network.named_parameters() if one.grad is not None}
    assert set(found) == set(expected)
    for name, norm in expected.items():
        assert found[name] == pytest.approx(norm, rel=1e-3, abs=1e-6), name


def tokens_of(seed: int, config: ModelConfig = SMALL, batch: int = 3, bars: int = 9) -> tuple[torch.Tensor, ...]:
    luck = torch.Generator().manual_seed(seed)
    s1 = torch.randint(2**config.s1_bits, (batch, bars), generator=luck)
    s2 = torch.randint(2**config.s2_bits, (batch, bars), generator=luck)
    sizes = torch.tensor([60, 24, 7, 32, 13])
    stamps = (torch.rand(batch, bars, 5, generator=luck) * sizes).long()
    return s1, s2, stamps


def model_of(config: ModelConfig = SMALL, seed: int = 1) -> KronosModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return KronosModel(config)


# --- golden values ----------------------------------------------------------------------------------------------------


def test_the_loss_of_the_tokenizer_and_its_gradients_are_the_golden_ones(golden: Golden) -> None:
    expected, network = golden.meta["tok.train"], golden.tokenizer().train()
    loss = tokenizer_loss(network, golden.arrays["norm.x"].unsqueeze(0))
    loss.total.backward()
    found = {"recon_s1": loss.coarse, "recon": loss.full, "bsq": loss.quantisation, "loss": loss.total}
    for name, value in found.items():
        assert value.item() == pytest.approx(expected[name], rel=1e-5), name
    compare_gradients(network, expected["grad_l2"])


def test_the_training_pass_of_the_tokenizer_is_the_golden_one(golden: Golden) -> None:
    network = golden.tokenizer().eval()
    with torch.no_grad():
        passed = network(golden.arrays["norm.x"].unsqueeze(0))
    torch.testing.assert_close(passed.code, golden.arrays["tok.fwd.quantized"], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(passed.coarse, golden.arrays["tok.fwd.recon_s1_only"], atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(passed.full, golden.arrays["tok.fwd.recon"], atol=2e-5, rtol=1e-5)
    assert passed.quantisation_loss.item() == pytest.approx(golden.meta["tok.fwd.bsq_loss_eval"], rel=1e-5)


def test_the_loss_of_the_model_and_its_gradients_are_the_golden_ones(golden: Golden) -> None:
    expected, network = golden.meta["mod.train"], golden.model().train()
    loss = model_loss(network, *golden.tokens(), coarse="target")
    loss.total.backward()
    for name, value in {"ce_s1": loss.coarse, "ce_s2": loss.fine, "loss": loss.total}.items():
        assert value.item() == pytest.approx(expected[name], rel=1e-5), name
    compare_gradients(network, expected["grad_l2"])


def test_the_validation_loss_is_that_of_training_without_dropout_and_not_the_leaking_one(golden: Golden) -> None:
    network = golden.model()
    s1, s2, stamps = golden.tokens()
    causal = causal_loss(network, s1, s2, stamps).fine.item()
    assert causal == pytest.approx(golden.meta["mod.train"]["ce_s2"], rel=1e-5)
    leaking = golden.arrays["mod.s2_logits_evalforward"][0]
    as_published = torch.nn.functional.cross_entropy(leaking, s2[0, 1:]).item()
    assert abs(causal - as_published) > 1e-3


def test_the_loss_of_how_forecasts_are_drawn_is_that_of_the_golden_logits(golden: Golden) -> None:
    s1, s2, stamps = golden.tokens()
    logits = golden.arrays["mod.s2_logits_infer"][0]
    expected = torch.nn.functional.cross_entropy(logits, s2[0, 1:]).item()
    assert causal_loss(golden.model(), s1, s2, stamps, seen="forecast").fine.item() == pytest.approx(expected, rel=1e-5)


# --- the coarse token -------------------------------------------------------------------------------------------------


def test_a_sampled_coarse_token_follows_the_soft_max_and_its_generator() -> None:
    model, tokens = model_of().eval(), tokens_of(0)
    with torch.no_grad():
        losses = [
            model_loss(model, *tokens, generator=torch.Generator().manual_seed(seed)).fine.item()
            for seed in (5, 5, *range(150))
        ]
        context = model.context(*(one[:, :-1] for one in tokens))
        odds = torch.softmax(model.coarse_logits(context), -1)
        expected = sum(
            (
                odds[..., token]
                * torch.nn.functional.cross_entropy(
                    model.fine_logits(context, torch.full_like(tokens[0][:, 1:], token), "training").flatten(0, 1),
                    tokens[1][:, 1:].flatten(),
                    reduction="none",
                ).view_as(odds[..., token])
            ).mean()
            for token in range(odds.shape[-1])
        )
    assert losses[0] == losses[1]
    drawn = torch.tensor(losses[2:])
    error = drawn.std() / len(drawn) ** 0.5
    assert abs(drawn.mean() - expected) < 4 * error


def test_a_sampled_and_a_true_coarse_token_give_one_coarse_loss() -> None:
    model, tokens = model_of(), tokens_of(1)
    sampled = model_loss(model, *tokens, generator=torch.Generator().manual_seed(0))
    target = model_loss(model, *tokens, coarse="target")
    assert sampled.coarse.item() == target.coarse.item()
    assert sampled.fine.item() != target.fine.item()


def test_no_gradient_goes_through_the_draw() -> None:
    """The head of coarse tokens learns from its own loss alone."""
    model, tokens = model_of(), tokens_of(2)
    loss = model_loss(model, *tokens, generator=torch.Generator().manual_seed(0))
    loss.fine.backward()
    assert model.head.proj_s1.weight.grad is None
    assert model.head.proj_s2.weight.grad.abs().sum() > 0


def test_sampling_without_a_generator_is_refused() -> None:
    with pytest.raises(Invalid, match="generator"):
        model_loss(model_of(), *tokens_of(3))


# --- no future --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seen", ["training", "forecast"])
def test_a_changed_future_changes_no_earlier_validation_loss(seen: Any) -> None:
    """Of ten windows that differ in the last bar alone, the losses of all positions before are equal."""
    model = model_of().eval()
    s1, s2, stamps = tokens_of(4, batch=1)
    before = causal_loss(model, s1[:, :-1], s2[:, :-1], stamps[:, :-1], seen=seen)
    bars = s1.shape[1] - 1
    for token in range(8):
        changed = s1.clone()
        changed[0, -1] = token
        with torch.no_grad():
            context = model.context(changed[:, :-1], s2[:, :-1], stamps[:, :-1])
            logits = model.fine_logits(context, changed[:, 1:], seen)
        early = torch.nn.functional.cross_entropy(logits[0, : bars - 1], s2[0, 1:bars])
        assert early.item() == pytest.approx(before.fine.item(), rel=1e-5)


@pytest.mark.parametrize("loss", [model_loss, causal_loss])
def test_the_loss_that_sees_the_future_is_refused(loss: Any) -> None:
    with pytest.raises(Refused, match="future"):
        loss(model_of(), *tokens_of(5), seen="leaking")


def test_validation_has_no_dropout_and_leaves_the_mode_as_it_was() -> None:
    model, tokens = model_of(replace(SMALL, resid_dropout_p=0.5, token_dropout_p=0.5)).train(), tokens_of(6)
    losses = {causal_loss(model, *tokens).total.item() for _ in range(3)}
    assert len(losses) == 1
    assert model.training
    assert not causal_loss(model, *tokens).total.requires_grad
    with evaluating(model.eval()):
        assert not model.training
    assert not model.training


def test_windows_without_stamps_have_a_loss() -> None:
    s1, s2, stamps = tokens_of(7)
    with_stamps, without = (causal_loss(model_of(), s1, s2, one).total.item() for one in (stamps, None))
    assert with_stamps != without
