"""The loop that trains: AdamW on a one-cycle schedule, judged by a causal loss, taken up where it was killed.

What step 700 does follows from the seed and the number 700. So a run that was killed and taken up ends with the weights
of one that was not, to the last bit, on the same machine and the same number of threads.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gnomon.errors import Conflict, Exhausted
from gnomon.forecast.training.checkpoint import Checkpoint
from gnomon.forecast.training.luck import luck
from gnomon.forecast.training.recipe import Budget, Recipe
from gnomon.forecast.training.windows import shuffled
from gnomon.units import IntArray


class Task(Protocol):
    """What is trained, on what, and how it is judged."""

    @property
    def network(self) -> nn.Module: ...

    def identity(self) -> Mapping[str, Any]:
        """As JSON what the outcome depends on besides recipe, budget and seed: sizes, start values, data."""
        ...

    def windows(self) -> int:
        """How many windows there are to train on."""
        ...

    def loss(self, which: IntArray, generator: torch.Generator) -> Tensor:
        """The loss of the chosen windows, with its gradient."""
        ...

    def validation_loss(self) -> float:
        """Lower is better; no luck, no future."""
        ...


@dataclass(frozen=True, slots=True)
class Report:
    """How a training stands after a stretch."""

    step: int
    steps: int
    training_loss: float  # mean of the stretch; 0 before the first
    validation_loss: float
    best_step: int
    best_loss: float
    stale: int = 0  # stretches since the best

    def ends(self, budget: Budget) -> bool:
        return self.step >= budget.steps or 0 < budget.patience <= self.stale


class Watch(Protocol):
    """Told of every stretch; what it raises ends the training, which can be taken up again."""

    def __call__(self, report: Report) -> None: ...


def silent(report: Report) -> None:
    """Nobody is watching."""


def fit(
    task: Task,
    recipe: Recipe,
    budget: Budget,
    *,
    seed: int = 0,
    checkpoint: Path | None = None,
    watch: Watch = silent,
) -> Report:
    """Train the network of a task in place, leave it with the weights of its best validation, in evaluation mode.

    With a `checkpoint` the file is written after each stretch, and a run begins where the file ends; one that had ended
    only loads its weights. Raises `Conflict` for the file of another training, `Exhausted` for a loss that is infinite.
    """
    run = _Run(task, recipe, budget, seed)
    kept = Checkpoint.read(checkpoint) if checkpoint is not None else None
    if kept is not None:
        run.take_up(kept, str(checkpoint))
    while not run.report.ends(budget):
        run.advance()
        if checkpoint is not None:
            run.checkpoint().write(checkpoint)
        watch(run.report)
    task.network.load_state_dict(run.best)
    task.network.eval()
    return run.report


class _Run:
    """A training between two stretches."""

    def __init__(self, task: Task, recipe: Recipe, budget: Budget, seed: int) -> None:
        self.task, self.recipe, self.budget, self.seed = task, recipe, budget, seed
        self.identity = {**task.identity(), "recipe": asdict(recipe), "budget": asdict(budget), "seed": seed}
        self.report = Report(0, budget.steps, 0.0, math.inf, 0, math.inf)
        self.best: dict[str, Tensor] = {}
        self.parameters = {name: one for name, one in task.network.named_parameters() if one.requires_grad}
        self.optimiser = optimiser_of(task.network, recipe)

    def advance(self) -> None:
        """One stretch: steps, a validation, a report."""
        begin = self.report.step
        end = min(begin + self.budget.stretch_steps, self.budget.steps)
        self.task.network.train()
        losses = [self._step(step) for step in range(begin, end)]
        self.report = self._judged(end, float(torch.stack(losses).mean()))

    def _step(self, step: int) -> Tensor:
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate(step, self.budget.steps)
        which = shuffled(self.task.windows(), step, self.budget.batch_windows, seed=self.seed)
        self.optimiser.zero_grad()
        with luck(_device(self.task.network), self.seed, "training step", step) as generator:
            loss = self.task.loss(which, generator)
        loss.backward()  # type: ignore[no-untyped-call]  # PyTorch's own gap
        nn.utils.clip_grad_norm_(self.parameters.values(), self.recipe.clip_norm)
        self.optimiser.step()
        return loss.detach()

    def _judged(self, step: int, training_loss: float) -> Report:
        found = self.task.validation_loss()
        if not math.isfinite(training_loss + found):
            raise Exhausted(
                f"losses of {training_loss} (training) and {found} (validation) by step {step}",
                hint=f"a peak_rate below {self.recipe.peak_rate}; the checkpoint is that of the stretch before",
            )
        report = replace(self.report, step=step, training_loss=training_loss, validation_loss=found)
        if found >= report.best_loss:
            return replace(report, stale=report.stale + 1)
        self.best = {name: one.detach().clone() for name, one in self.task.network.state_dict().items()}
        return replace(report, best_step=step, best_loss=found, stale=0)

    # --- on disk ----------------------------------------------------------------------------------------------------

    def checkpoint(self) -> Checkpoint:
        state = self.optimiser.state
        return Checkpoint(
            {"identity": self.identity, "report": asdict(self.report)},
            {
                **{f"now.{name}": one for name, one in self.task.network.state_dict().items()},
                **{f"best.{name}": one for name, one in self.best.items()},
                **{
                    f"optimiser.{key}.{name}": value
                    for name, one in self.parameters.items()
                    for key, value in state.get(one, {}).items()
                },
            },
        )

    def take_up(self, kept: Checkpoint, where: str) -> None:
        """Stand where the checkpoint stood."""
        theirs, ours = kept.standing["identity"], json.loads(json.dumps(self.identity))
        other = sorted(name for name in {*theirs, *ours} if theirs.get(name) != ours.get(name))
        if other:
            raise Conflict(
                f"{where} is of another training: {', '.join(other)} differ",
                hint="another file for this one, or delete it to begin anew",
                detail={name: [theirs.get(name), ours.get(name)] for name in other},
            )
        self.report = Report(**kept.standing["report"])
        device = _device(self.task.network)
        parts: dict[str, dict[str, Tensor]] = {"now": {}, "best": {}, "optimiser": {}}
        for path, one in kept.tensors.items():
            part, _, name = path.partition(".")
            parts[part][name] = one
        self.task.network.load_state_dict(parts["now"])
        self.best = {name: one.to(device) for name, one in parts["best"].items()}
        for path, one in parts["optimiser"].items():
            key, _, name = path.partition(".")
            value = one if key == "step" else one.to(device)  # AdamW counts its steps on the CPU
            self.optimiser.state[self.parameters[name]][key] = value


def optimiser_of(network: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW over what is trained; matrices of linear maps decay, norms, embeddings and biases do not."""
    decayed = {id(one.weight) for one in network.modules() if isinstance(one, nn.Linear)}
    trained = [one for one in network.parameters() if one.requires_grad]
    groups = [
        {"params": [one for one in trained if id(one) in decayed], "weight_decay": recipe.weight_decay},
        {"params": [one for one in trained if id(one) not in decayed], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=recipe.betas)


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
