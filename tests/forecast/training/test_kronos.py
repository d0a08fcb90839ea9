"""A tokenizer and a model are trained one after the other, survive kill -9, and predict."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.processes import running

from gnomon.errors import Conflict, Exhausted, Invalid
from gnomon.forecast.kronos.config import ModelConfig, TokenizerConfig
from gnomon.forecast.training.kronos import (
    ModelTask,
    Plan,
    TokenizerTask,
    digest_of,
    new_model,
    new_tokenizer,
    train_kronos,
)
from gnomon.forecast.training.loop import fit
from gnomon.forecast.training.losses import causal_loss, tokenizer_loss
from gnomon.forecast.training.recipe import MODEL, TOKENIZER, Budget
from gnomon.forecast.training.windows import History, Windows, split
from gnomon.units import DAY_NS, HOUR_NS

ROOT = Path(__file__).parents[3]
PLAN = Plan(
    tokenizer=TokenizerConfig(
        d_model=8, n_heads=2, ff_dim=12, n_enc_layers=2, n_dec_layers=2, s1_bits=3, s2_bits=3, group_size=3
    ),
    model=ModelConfig(s1_bits=3, s2_bits=3, n_layers=1, d_model=16, n_heads=2, ff_dim=16, resid_dropout_p=0.1),
    tokenizer_budget=Budget(steps=24, batch_windows=4, stretch_steps=3, validation_windows=10),
    model_budget=Budget(steps=24, batch_windows=4, stretch_steps=3, validation_windows=10),
    tokenizer_recipe=replace(TOKENIZER, peak_rate=1e-2),
    model_recipe=replace(MODEL, peak_rate=1e-2),
    seed=4,
)


def both(seed: int = 0) -> tuple[Windows, Windows]:
    rng = np.random.default_rng(seed)
    open_ns = 20_000 * DAY_NS + np.arange(150) * HOUR_NS
    close = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal(150)))
    bars = np.column_stack([close, close * 1.01, close * 0.99, close, rng.random(150), rng.random(150)])
    history = History("walk", bars, open_ns, open_ns + HOUR_NS, open_ns)
    return split([history], 12, 4, 20_000 * DAY_NS + 100 * HOUR_NS)


def files(folder: Path) -> dict[str, str]:
    """The SHA-256 of what was trained."""
    names = ["tokenizer/config.json", "tokenizer/model.safetensors", "model/config.json", "model/model.safetensors"]
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (*names, "model/gnomon.json")}


# --- one after the other ----------------------------------------------------------------------------------------------


def test_what_was_trained_is_saved_in_the_public_layout_and_forecasts(tmp_path: Path) -> None:
    import pandas as pd

    trained = train_kronos(PLAN, *both(), tmp_path)
    kronos = trained.load(20)
    times = pd.date_range("2024-01-01", periods=16, freq="h")
    frame = pd.DataFrame(np.random.default_rng(1).random((12, 4)) + 9, columns=["open", "high", "low", "close"])
    paths = kronos.sample(frame.set_index(times[:12]), times[12:], samples=5, seed=1)
    assert paths.shape == (5, 4, 6)
    assert np.isfinite(paths).all()
    assert trained.tokenizer_report.step == trained.model_report.step == 24


def test_a_seed_says_everything(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        for name, plan in (("a", PLAN), ("b", PLAN), ("c", replace(PLAN, seed=5))):
            torch.manual_seed(len(name) * 17)  # what was drawn before is no matter
            train_kronos(plan, *both(), tmp_path / name)
            torch.rand(3)
    found = {name: files(tmp_path / name) for name in "abc"}
    assert found["a"] == found["b"]
    weights = [name for name in found["a"] if "safetensors" in name]
    assert all(found["a"][name] != found["c"][name] for name in weights)


def test_the_tokenizer_is_frozen_while_the_model_learns() -> None:
    training, validation = both()
    tokenizer, model = new_tokenizer(PLAN).train(), new_model(PLAN).train()
    before = digest_of(tokenizer)
    task = ModelTask(model, tokenizer, training, validation, PLAN.model_recipe)
    task.loss(np.arange(4), torch.Generator().manual_seed(0)).backward()
    assert all(one.grad is None for one in tokenizer.parameters())
    assert all(one.grad is not None for one in model.parameters())
    assert digest_of(tokenizer) == before


def test_validation_losses_are_the_mean_over_all_windows() -> None:
    """In batches, without dropout, and without a future: as one batch of everything says."""
    training, validation = both()
    tokenizer, model = new_tokenizer(PLAN), new_model(PLAN).train()
    x, stamps = (torch.from_numpy(one) for one in training.batch(np.arange(len(training))))
    assert len(training) > 64
    found = TokenizerTask(tokenizer, validation, training).validation_loss()
    assert found == pytest.approx(tokenizer_loss(tokenizer, x).reconstruction.item(), rel=1e-5)
    found = ModelTask(model, tokenizer, validation, training, PLAN.model_recipe).validation_loss()
    assert found == pytest.approx(causal_loss(model, *tokenizer.encode(x), stamps).total.item(), rel=1e-5)
    assert model.training


def test_other_data_or_other_sizes_do_not_go_on_with_a_checkpoint(tmp_path: Path) -> None:
    train_kronos(PLAN, *both(), tmp_path)
    with pytest.raises(Conflict, match=r"training, validation differ"):
        train_kronos(PLAN, *both(seed=1), tmp_path)
    with pytest.raises(Conflict, match=r"began, config differ"):
        train_kronos(replace(PLAN, tokenizer=replace(PLAN.tokenizer, ff_dim=16)), *both(), tmp_path)


def test_a_model_that_has_diverged_ends_its_training_with_an_error_of_ours() -> None:
    training, validation = both()
    tokenizer, model = new_tokenizer(PLAN), new_model(PLAN)
    with torch.no_grad():
        model.norm.weight.fill_(float("nan"))
    with pytest.raises(Exhausted, match="losses of nan"):
        fit(ModelTask(model, tokenizer, training, validation, PLAN.model_recipe), MODEL, PLAN.model_budget)


def test_sizes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"a model of 2 \+ 3 bits on tokens of 3 \+ 3"):
        train_kronos(replace(PLAN, model=replace(PLAN.model, s1_bits=2)), *both(), tmp_path)
    with pytest.raises(Invalid, match="n_heads"):
        new_model(replace(PLAN, model=replace(PLAN.model, n_heads=5)))


# --- kill -9 ----------------------------------------------------------------------------------------------------------

TRAIN = """
import importlib.util, sys
import torch
torch.set_num_threads(1)
spec = importlib.util.spec_from_file_location("parts", sys.argv[1])
parts = importlib.util.module_from_spec(spec)
spec.loader.exec_module(parts)
from pathlib import Path
parts.train_kronos(parts.PLAN, *parts.both(), Path(sys.argv[2]), watch=lambda one: print(one.step, flush=True))
print("done", flush=True)
"""


def train_until(folder: Path, lines: int | None) -> list[str]:
    """Train in a process of its own that is killed once it has told of so many stretches; what it said."""
    command = [sys.executable, "-c", TRAIN, __file__, str(folder)]
    with running(command, 600, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line.strip())
            if len(said) == lines:
                os.kill(process.pid, signal.SIGKILL)
                break
    assert process.returncode == (0 if lines is None else -signal.SIGKILL)
    return said


@pytest.mark.slow
def test_a_training_that_is_killed_and_started_again_ends_with_the_same_bytes(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train_kronos(PLAN, *both(), whole)
    assert train_until(broken, 3) == ["3", "6", "9"]
    (broken / "tokenizer.training.part").write_bytes(b"half a checkpoint")
    train_until(broken, 7)  # into the training of the model
    assert (broken / "model.training").exists()
    assert not (broken / "model/model.safetensors").exists()
    said = train_until(broken, None)
    assert said[-1] == "done"
    assert len(said) < 8  # the model alone has eight stretches
    assert files(broken) == files(whole)


# --- it learns --------------------------------------------------------------------------------------------------------


def example() -> Any:
    spec = importlib.util.spec_from_file_location("train_tiny_kronos", ROOT / "examples/train_tiny_kronos.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses ask for it
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_a_tiny_kronos_beats_ewma_out_of_sample_on_a_market_with_structure(tmp_path: Path) -> None:
    outcome = example().run(tmp_path, seed=7, steps=100)
    skill = outcome.skill
    assert skill.n > 5000
    assert skill.value > 0.15
    assert skill.lo > 0.08
    assert skill.dm_p < 0.001
