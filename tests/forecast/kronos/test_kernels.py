"""Kernels against NumPy in float64. What they are put together to is tested with the caches and the loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.forecast.kronos.conftest import arithmetic, networks

from gnomon.forecast.kronos import kernels
from gnomon.forecast.kronos.packed import PackedModel


def test_the_exponential_is_right_to_two_units_in_the_last_place() -> None:
    x = np.concatenate([np.linspace(-86.9, 0, 200_001), [-0.0, -1e-30, -87.0]]).astype(np.float32)
    wanted = np.exp(x.astype(np.float64))
    found = x.copy()
    kernels._exponentiate(found, np.float32(0.0))
    assert np.max(np.abs(found - wanted) / np.spacing(wanted.astype(np.float32))) <= 2.0


def test_what_is_hidden_has_no_weight_and_largest_is_largest() -> None:
    x = np.array([-np.inf, -500.0, -88.0], np.float32)
    kernels._exponentiate(x, np.float32(0.0))
    assert ((x >= 0) & (x < 2e-38)).all()
    for size in (1, 7, 8, 9, 31):
        some = np.random.default_rng(size).normal(size=size).astype(np.float32)
        assert kernels._largest(some) == some.max()


@pytest.mark.parametrize("rows", [1, 6, 30])
def test_rows_are_normed_as_in_float64(rows: int) -> None:
    x = np.random.default_rng(rows).normal(size=(rows, 40)).astype(np.float32)
    found = np.empty_like(x)
    kernels.norm_rows(x, 0.25, found)
    wide = x.astype(np.float64)
    assert np.allclose(found, wide / np.sqrt((wide**2).sum(1, keepdims=True) + 0.25), rtol=1e-6)


@pytest.mark.parametrize(("series", "samples"), [(1, 1), (1, 7), (3, 4)])
@pytest.mark.parametrize("hides", [False, True])
def test_a_stack_advances_as_pytorch_advances_it(series: int, samples: int, hides: bool) -> None:
    """Three tokens of each path, after pasts of unequal length where some are hidden."""
    network, _ = networks(model={"d_model": 96, "n_heads": 4, "ff_dim": 48, "n_layers": 2})
    torch.manual_seed(4)
    longest, rows = 9, series * samples
    lengths = [longest - at if hides else longest for at in range(series)][::-1]
    pasts, news = [torch.randn(one, 96) for one in lengths], torch.randn(3, rows, 96)
    found = []
    for is_compiled in (True, False):
        with arithmetic(is_compiled), torch.inference_mode():
            stack = PackedModel(network, "float32").stack
            caches = stack.room(series, samples, past=longest, room=3)
            rotation = stack.rotation(longest + 3)
            for at, past in enumerate(pasts):
                stack.prefill(past.clone(), rotation, caches, at)
            steps = []
            for step in range(3):
                each = (torch.tensor(lengths) + step).repeat_interleave(samples)
                hidden = torch.arange(longest + step + 1) < longest - torch.tensor(lengths)[:, None]
                mask = torch.zeros(hidden.shape).masked_fill_(hidden, float("-inf"))[:, None] if hides else None
                steps.append(stack.advance(news[step].clone(), rotation[each], caches, mask))
            found.append(torch.stack(steps))
    assert torch.allclose(*found, atol=2e-5)
