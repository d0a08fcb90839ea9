"""Tokens to the distribution of the next pair."""

from __future__ import annotations

import pytest
import torch
from tests.forecast.kronos.conftest import Golden, networks
from tests.forecast.kronos.naive import naive_fine

from gnomon.forecast.kronos.config import PUBLISHED, ModelConfig
from gnomon.forecast.kronos.model import KronosModel, Seen
from gnomon.forecast.kronos.weights import load_model

CLOSE = {"atol": 2e-5, "rtol": 1e-5}


def of(golden: Golden) -> tuple[KronosModel, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The golden model, with the tokens and stamps of its windows."""
    network = load_model(golden.folder / "model").network
    assert isinstance(network, KronosModel)
    rows = golden.meta["norm.rows"]
    return network, golden["tok.s1"], golden["tok.s2"], golden["input.stamps"][:rows].unsqueeze(0)


def test_the_trunk_gives_the_golden_activations(golden: Golden) -> None:
    model, s1, s2, stamps = of(golden)
    x = model.embedding(s1[:, :-1], s2[:, :-1])
    assert torch.allclose(x, golden["mod.embed"], **CLOSE)
    calendar = model.time_emb(stamps[:, :-1])
    assert torch.allclose(calendar, golden["mod.time"], **CLOSE)
    x = x + calendar
    for number, block in enumerate(model.transformer):
        x = block(x)
        assert torch.allclose(x, golden[f"mod.block.{number}"], **CLOSE)
    assert torch.allclose(model.norm(x), golden["mod.hidden"], **CLOSE)
    assert torch.allclose(model.context(s1[:, :-1], s2[:, :-1], stamps[:, :-1]), golden["mod.hidden"], **CLOSE)


@pytest.mark.parametrize(("seen", "name"), [("forecast", "infer"), ("training", "train"), ("leaking", "evalforward")])
def test_each_way_of_seeing_the_window_gives_its_golden_logits(golden: Golden, seen: Seen, name: str) -> None:
    model, s1, s2, stamps = of(golden)
    hidden = model.context(s1[:, :-1], s2[:, :-1], stamps[:, :-1])
    assert torch.allclose(model.coarse_logits(hidden), golden["mod.s1_logits"], **CLOSE)
    assert torch.allclose(model.fine_logits(hidden, s1[:, 1:], seen), golden[f"mod.s2_logits_{name}"], **CLOSE)


def test_one_pass_over_all_positions_equals_one_query_a_position() -> None:
    model, _ = networks(5)
    s1, s2 = torch.randint(0, 32, (2, 1, 13))
    hidden = model.context(s1, s2, None)
    whole = model.fine_logits(hidden, s1)
    for position in range(13):
        one = naive_fine(model, hidden[:, : position + 1], s1[:, position])
        assert torch.allclose(whole[:, position], one, atol=1e-5)


def test_only_the_leaking_way_sees_the_future() -> None:
    model, _ = networks(6)
    hidden, tokens = torch.randn(1, 9, 32), torch.randint(0, 32, (1, 9))
    changed = hidden.clone()
    changed[:, 6:] += 3.0
    moved = {
        seen: not torch.allclose(
            model.fine_logits(hidden, tokens, seen)[:, :6], model.fine_logits(changed, tokens, seen)[:, :6], atol=1e-5
        )
        for seen in ("forecast", "training", "leaking")
    }
    assert moved == {"forecast": False, "training": False, "leaking": True}


def test_fixed_calendar_tables_have_one_more_level_in_a_checkpoint() -> None:
    model, _ = networks(model={"learn_te": False})
    names = [name for name in model.state_dict() if name.startswith("time_emb")]
    assert names == [f"time_emb.{one}_embed.emb.weight" for one in ("minute", "hour", "weekday", "day", "month")]
    assert "time_emb.hour_embed.weight" in networks()[0].state_dict()


@pytest.mark.parametrize("name", ["Kronos-mini", "Kronos-small", "Kronos-base"])
def test_the_published_sizes_have_the_published_numbers_of_parameters(name: str) -> None:
    known = PUBLISHED[name]
    assert isinstance(known.config, ModelConfig)
    with torch.device("meta"):
        network = KronosModel(known.config)
    assert sum(one.numel() for one in network.parameters()) == known.parameters
