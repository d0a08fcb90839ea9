"""Tiny checkpoints with random weights, in folders and in a home, as data that a forecaster or the Hub can be given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gnomon.forecast.kronos.config import Checkpoint, ModelConfig, TokenizerConfig
from gnomon.forecast.kronos.forecaster import KronosForecaster
from gnomon.forecast.kronos.model import KronosModel
from gnomon.forecast.kronos.shelf import CONFIG, folder_of, sha256_of
from gnomon.forecast.kronos.tokenizer import KronosTokenizer
from gnomon.forecast.kronos.weights import save

TOKENIZER = TokenizerConfig(
    d_model=16, n_heads=2, ff_dim=24, n_enc_layers=2, n_dec_layers=2, s1_bits=4, s2_bits=4, group_size=4
)
MODEL = ModelConfig(n_layers=2, d_model=16, n_heads=2, ff_dim=24, s1_bits=4, s2_bits=4)


def tiny_model(seed: int = 0, **changed: Any) -> KronosModel:
    """A model of random weights, livelier than flat."""
    torch.manual_seed(seed)
    made = KronosModel(replace(MODEL, **changed))
    _stir(made)
    with torch.no_grad():
        made.head.proj_s1.weight.mul_(3.0)
        made.head.proj_s2.weight.mul_(3.0)
    return made


def tiny_tokenizer(seed: int = 1, **changed: Any) -> KronosTokenizer:
    """A tokenizer of random weights."""
    torch.manual_seed(seed)
    made = KronosTokenizer(replace(TOKENIZER, **changed))
    _stir(made)
    return made


def _stir(network: Any) -> None:
    """No bias stays zero and no gain one, so that a missing term shows."""
    with torch.no_grad():
        for name, one in network.named_parameters():
            if name.endswith("bias"):
                one.normal_(0, 0.1)
            elif "norm" in name:
                one.uniform_(0.5, 1.5)
    network.eval().requires_grad_(False)


def saved(folder: Path, network: Any, name: str, *, tokenizer: str = "", context_bars: int = 512) -> Checkpoint:
    """A network saved in a folder, and what is published of it."""
    sha256 = save(network, folder)
    return Checkpoint(
        name,
        hf_id=f"tests/{name}",
        revision="".join(f"{ord(one) % 16:x}" for one in name.ljust(40, "-"))[:40],
        config=network.config,
        weights_sha256=sha256,
        config_sha256=sha256_of(folder / CONFIG),
        tokenizer=tokenizer,
        context_bars=context_bars,
    )


def installed(scratch: Path, *, context_bars: int = 512, seed: int = 0) -> tuple[Checkpoint, Checkpoint]:
    """A tiny model and its tokenizer in the present home, as if they had been fetched."""
    found = []
    for network, name, tokenizer in (
        (tiny_model(seed), f"Tiny-{seed}-{context_bars}", f"Tiny-Tokenizer-{seed}"),
        (tiny_tokenizer(seed + 1), f"Tiny-Tokenizer-{seed}", ""),
    ):
        one = saved(scratch / name, network, name, tokenizer=tokenizer, context_bars=context_bars)
        folder_of(one).parent.mkdir(parents=True, exist_ok=True)
        if not folder_of(one).exists():
            (scratch / name).rename(folder_of(one))
        found.append(one)
    return found[0], found[1]


def tiny_forecaster(
    folder: Path, name: str = "kronos-tiny", *, context_bars: int = 512, **options: Any
) -> KronosForecaster:
    """A forecaster of tiny checkpoints that lie in a folder."""
    model, tokenizer = folder / "model", folder / "tokenizer"
    if not model.exists():
        save(tiny_model(), model)
        save(tiny_tokenizer(), tokenizer)
    options = {"device": "cpu"} | options
    return KronosForecaster.of_folders(name, model, tokenizer, max_context=context_bars, **options)
