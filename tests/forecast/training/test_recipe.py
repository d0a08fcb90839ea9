"""The rate of each step, the published numbers, and what is refused."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.errors import GnomonError, Invalid, Refused
from gnomon.forecast.training.recipe import MODEL, MODEL_CSV, TOKENIZER, Budget, Recipe


@pytest.mark.parametrize("steps", [34, 100, 777])
@pytest.mark.parametrize("recipe", [TOKENIZER, MODEL, Recipe(peak_rate=0.1, clip_norm=1.0, warm_share=0.3)])
def test_the_rates_are_those_of_the_one_cycle_schedule_of_pytorch(recipe: Recipe, steps: int) -> None:
    import torch

    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        max_lr=recipe.peak_rate,
        total_steps=steps,
        pct_start=recipe.warm_share,
        div_factor=recipe.start_divisor,
        cycle_momentum=False,
    )
    for step in range(steps):
        assert recipe.rate(step, steps) == pytest.approx(schedule.get_last_lr()[0], rel=1e-9)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that no step of the optimiser was taken
            if step < steps - 1:
                schedule.step()


@settings(max_examples=100, deadline=None)
@given(steps=st.integers(1, 5000), share=st.floats(0.0, 0.9))
def test_a_rate_is_positive_and_at_most_the_peak_and_falls_after_it(steps: int, share: float) -> None:
    recipe = Recipe(peak_rate=1.0, clip_norm=1.0, warm_share=share)
    rates = [recipe.rate(step, steps) for step in range(min(steps, 200))] + [recipe.rate(steps - 1, steps)]
    assert all(0 < rate <= 1 + 1e-12 for rate in rates)
    top = rates.index(max(rates))
    assert rates[top:] == sorted(rates[top:], reverse=True)


def test_the_peak_is_reached_after_three_per_cent_from_a_tenth() -> None:
    assert MODEL.rate(0, 1000) == pytest.approx(4e-6)
    assert MODEL.rate(29, 1000) == pytest.approx(4e-5)
    assert MODEL.rate(999, 1000) == pytest.approx(4e-10)


def test_the_published_recipes_are_those_of_the_specification() -> None:
    assert (TOKENIZER.peak_rate, TOKENIZER.clip_norm, TOKENIZER.weight_decay) == (2e-4, 2.0, 0.1)
    assert (MODEL.peak_rate, MODEL.clip_norm, MODEL.weight_decay, MODEL.betas) == (4e-5, 3.0, 0.1, (0.9, 0.95))
    assert (MODEL_CSV.peak_rate, MODEL_CSV.betas) == (1e-6, (0.9, 0.95))
    assert {(one.coarse, one.seen) for one in (MODEL, MODEL_CSV)} == {("sampled", "training")}


@pytest.mark.parametrize(
    "changed, error, says",
    [
        ({"peak_rate": 0.0}, Invalid, "peak_rate 0.0"),
        ({"peak_rate": float("nan")}, Invalid, "peak_rate nan"),
        ({"clip_norm": -1.0}, Invalid, "clip_norm -1.0"),
        ({"warm_share": 1.0}, Invalid, "warm_share 1.0"),
        ({"coarse": "guessed"}, Invalid, "coarse 'guessed'"),
        ({"seen": "everything"}, Invalid, "seen 'everything'"),
        ({"seen": "leaking"}, Refused, "future"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(changed: dict[str, Any], error: type[GnomonError], says: str) -> None:
    with pytest.raises(error, match=says):
        Recipe(**{"peak_rate": 1e-3, "clip_norm": 1.0} | changed)


@pytest.mark.parametrize("changed", [{"steps": 0}, {"batch_windows": 0}, {"stretch_steps": 0}, {"patience": -1}])
def test_a_budget_of_nothing_is_refused(changed: dict[str, int]) -> None:
    with pytest.raises(Invalid, match=next(iter(changed))):
        Budget(**{"steps": 10} | changed)


def test_recipes_and_windows_load_no_pytorch() -> None:
    """A schedule, a page or a command line may ask for them."""
    script = (
        "import sys, gnomon.forecast.training.recipe, gnomon.forecast.training.windows; print('torch' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=600).stdout
        == "False\n"
    )
