"""The loop is the plain one, ends when nothing improves, and goes on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gnomon.errors import Conflict, Exhausted
from gnomon.forecast.kronos.layers import RMSNorm
from gnomon.forecast.training.loop import Report, fit, optimiser_of
from gnomon.forecast.training.luck import luck
from gnomon.forecast.training.recipe import Budget, Recipe
from gnomon.forecast.training.windows import shuffled

RECIPE = Recipe(peak_rate=0.02, clip_norm=1.0, betas=(0.9, 0.95), warm_share=0.1)
BUDGET = Budget(steps=60, batch_windows=8, stretch_steps=7)


class Line:
    """Rows on a curve, with dropout, a norm and an embedding: a network of every kind of parameter."""

    def __init__(self, dropout: float = 0.2, *, begin: int = 1, noise: float = 0.1) -> None:
        rng = np.random.default_rng(0)
        self.x = torch.from_numpy(rng.standard_normal((100, 3)).astype(np.float32))
        self.y = self.x.sum(1, keepdim=True).tanh() + noise * torch.from_numpy(
            rng.standard_normal((100, 1)).astype(np.float32)
        )
        with luck(torch.device("cpu"), begin, "line"):
            self.network = nn.Sequential(
                nn.Linear(3, 16), RMSNorm(16), nn.Dropout(dropout), nn.ReLU(), nn.Linear(16, 1)
            )
            self.network.add_module("kind", nn.Embedding(2, 1))
        self.judged = 0

    def identity(self) -> Mapping[str, Any]:
        return {"trains": "line"}

    def windows(self) -> int:
        return 80

    def out(self, rows: Tensor) -> Tensor:
        found = self.x[rows]
        for name in "01234":
            found = self.network.get_submodule(name)(found)
        return found + self.network.get_submodule("kind")(rows % 2)

    def loss(self, which: np.ndarray, generator: torch.Generator) -> Tensor:
        rows = torch.from_numpy(which)
        noise = 0.01 * torch.randn(len(rows), 1, generator=generator)
        return nn.functional.mse_loss(self.out(rows) + noise, self.y[rows])

    def validation_loss(self) -> float:
        self.judged += 1
        self.network.eval()
        rows = torch.arange(80, 100)
        with torch.no_grad():
            return float(nn.functional.mse_loss(self.out(rows), self.y[rows]))


class Stopped(Exception):
    """Raised by a watch."""


def weights(task: Line) -> dict[str, bytes]:
    return {name: one.numpy().tobytes() for name, one in task.network.state_dict().items()}


def plain(task: Line, recipe: Recipe, steps: int, batch: int, seed: int) -> None:
    """The loop that anybody would write, with the schedule of PyTorch."""
    maps = [one.weight for one in task.network.modules() if isinstance(one, nn.Linear)]
    rest = [one for one in task.network.parameters() if not any(one is other for other in maps)]
    groups = [{"params": maps, "weight_decay": recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=1.0, betas=recipe.betas)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.peak_rate, steps, pct_start=recipe.warm_share, div_factor=10, cycle_momentum=False
    )
    task.network.train()
    for step in range(steps):
        optimiser.zero_grad()
        with luck(torch.device("cpu"), seed, "training step", step) as generator:
            task.loss(shuffled(task.windows(), step, batch, seed=seed), generator).backward()
        nn.utils.clip_grad_norm_(task.network.parameters(), recipe.clip_norm)
        optimiser.step()
        if step < steps - 1:
            schedule.step()


def test_the_loop_is_the_plain_one() -> None:
    ours, theirs = Line(noise=0.0), Line(noise=0.0)
    last: list[Report] = []
    report = fit(ours, RECIPE, replace(BUDGET, steps=40, stretch_steps=40), seed=3, watch=last.append)
    plain(theirs, RECIPE, 40, BUDGET.batch_windows, seed=3)
    assert report.best_step == 40
    for name, one in ours.network.state_dict().items():
        torch.testing.assert_close(one, theirs.network.state_dict()[name], rtol=1e-4, atol=1e-6)


def test_the_loss_falls_and_the_best_weights_are_left_in_evaluation_mode() -> None:
    task, seen = Line(), []
    before = task.validation_loss()
    report = fit(task, RECIPE, BUDGET, watch=seen.append)
    assert report.best_loss == min(one.validation_loss for one in seen) < before / 2
    assert not task.network.training
    assert task.validation_loss() == report.best_loss
    assert [one.step for one in seen] == [7, 14, 21, 28, 35, 42, 49, 56, 60]


def test_norms_embeddings_and_biases_do_not_decay() -> None:
    task = Line()
    decayed, kept = optimiser_of(task.network, RECIPE).param_groups
    names = {id(one): name for name, one in task.network.named_parameters()}
    assert {names[id(one)] for one in decayed["params"]} == {"0.weight", "4.weight"}
    assert {names[id(one)] for one in kept["params"]} == {"0.bias", "1.weight", "4.bias", "kind.weight"}
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)


def test_what_is_frozen_stays_as_it_is() -> None:
    task = Line()
    task.network.get_submodule("0").requires_grad_(False)
    before, began = weights(task), weights(Line())
    fit(task, RECIPE, BUDGET)
    assert weights(task)["0.weight"] == before["0.weight"] == began["0.weight"]
    assert weights(task)["4.weight"] != before["4.weight"]


def test_one_seed_gives_one_network_and_another_seed_another() -> None:
    tasks = [Line() for _ in range(3)]
    for task, seed in zip(tasks, (1, 1, 2), strict=True):
        fit(task, RECIPE, BUDGET, seed=seed)
    assert weights(tasks[0]) == weights(tasks[1]) != weights(tasks[2])


def test_training_ends_when_nothing_improves_and_the_best_is_kept() -> None:
    class Worse(Line):
        def validation_loss(self) -> float:
            super().validation_loss()
            return [3.0, 2.0, 2.5, 2.0, 2.1, 0.1][self.judged - 1]

    kept: dict[int, dict[str, bytes]] = {}
    task = Worse()
    report = fit(
        task,
        RECIPE,
        replace(BUDGET, patience=3),
        watch=lambda one: kept.__setitem__(one.step, weights(task)),
    )
    assert (report.step, report.best_step, report.best_loss, report.stale) == (35, 14, 2.0, 3)
    assert weights(task) == kept[14] != kept[35]


@pytest.mark.parametrize("until", [7, 14, 35, 56, 60])
def test_a_run_that_was_stopped_and_taken_up_is_the_run_that_was_not(tmp_path: Path, until: int) -> None:
    whole, seen = Line(), []
    expected = fit(whole, RECIPE, BUDGET, seed=5, watch=seen.append)

    def stop(report: Report) -> None:
        if report.step == until:
            raise Stopped

    file = tmp_path / "line.training"
    with pytest.raises(Stopped):
        fit(Line(), RECIPE, BUDGET, seed=5, checkpoint=file, watch=stop)
    again, rest = Line(), []
    assert fit(again, RECIPE, BUDGET, seed=5, checkpoint=file, watch=rest.append) == expected
    assert weights(again) == weights(whole)
    assert rest == [one for one in seen if one.step > until]


def test_a_run_that_had_ended_is_loaded_and_not_run_again(tmp_path: Path) -> None:
    file = tmp_path / "line.training"
    first, second = Line(), Line()
    expected = fit(first, RECIPE, BUDGET, checkpoint=file)
    assert fit(second, RECIPE, BUDGET, checkpoint=file) == expected
    assert second.judged == 0
    assert weights(second) == weights(first)


@pytest.mark.parametrize(
    "changed, differs",
    [
        ({"recipe": replace(RECIPE, peak_rate=0.01)}, "recipe"),
        ({"budget": replace(BUDGET, steps=61)}, "budget"),
        ({"seed": 9}, "seed"),
    ],
)
def test_the_checkpoint_of_another_training_is_refused(tmp_path: Path, changed: dict[str, Any], differs: str) -> None:
    file = tmp_path / "line.training"
    ours = {"recipe": RECIPE, "budget": replace(BUDGET, steps=60), "seed": 0}
    fit(Line(), **ours, checkpoint=file)
    before = file.read_bytes()
    with pytest.raises(Conflict, match=f"{differs} differ"):
        fit(Line(), **{**ours, **changed}, checkpoint=file)
    assert file.read_bytes() == before


def test_a_loss_that_is_no_number_ends_the_training_and_leaves_the_checkpoint_of_before(tmp_path: Path) -> None:
    class Breaking(Line):
        def loss(self, which: np.ndarray, generator: torch.Generator) -> Tensor:
            loss = super().loss(which, generator)
            return loss * float("nan") if self.judged == 2 else loss

    file = tmp_path / "line.training"
    with pytest.raises(Exhausted, match="losses of nan"):
        fit(Breaking(), RECIPE, BUDGET, checkpoint=file)
    from safetensors import safe_open

    with safe_open(file, framework="pt") as kept:
        assert json.loads(kept.metadata()["standing"])["report"]["step"] == 14
