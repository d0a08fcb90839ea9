"""What queries see, against plain attention over everything that was kept."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.forecast.kronos.conftest import arithmetic
from torch import Tensor

from gnomon.forecast.kronos import cache
from gnomon.forecast.kronos.cache import Alone, Panelled, Shared, keys_and_values

CPU = torch.device("cpu")


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One query (H, e) over keys and values (T, H, e), head by head."""
    heads = [(q[h] @ k[:, h].T).softmax(-1) @ v[:, h] for h in range(len(q))]
    return torch.cat(heads)


@settings(deadline=None, max_examples=60)
@given(
    past=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    samples=st.integers(1, 4),
    steps=st.integers(0, 4),
    heads=st.integers(1, 3),
    width=st.sampled_from([4, 36]),  # the second takes more than one panel
    at_once=st.booleans(),
    is_compiled=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_a_step_sees_its_series_past_and_its_own_tokens(
    past: list[int], samples: int, steps: int, heads: int, width: int, at_once: bool, is_compiled: bool, seed: int
) -> None:
    with arithmetic(is_compiled):
        check_a_step(past, samples, steps, heads, width, at_once, seed)


def check_a_step(past: list[int], samples: int, steps: int, heads: int, width: int, at_once: bool, seed: int) -> None:
    torch.manual_seed(seed)
    past = sorted(past)
    kept = keys_and_values(len(past), samples, heads, width, past=past[-1], room=steps, at_once=at_once, device=CPU)
    before = [torch.randn(2, length, heads, width) for length in past]
    for at, one in enumerate(before):
        kept.start(at, one[0], one[1])
    rows = len(past) * samples
    new = torch.randn(2, steps, rows, heads, width)
    for step in range(steps):
        kept.append(new[0, step], new[1, step])
    hidden = torch.arange(past[-1] + steps) < torch.tensor([past[-1] - one for one in past])[:, None]
    mask = torch.zeros(hidden.shape).masked_fill_(hidden, float("-inf")).unsqueeze(1)
    q = torch.randn(rows, heads, width)
    seen = kept.attend(q, mask)
    for row in range(rows):
        k, v = (torch.cat([before[row // samples][part], new[part, :, row]]) for part in (0, 1))
        assert torch.allclose(seen[row], attention(q[row], k, v), atol=1e-5)


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("past", [0, 7])
def test_tokens_that_come_at_once_see_each_other_causally(
    samples: int, past: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_SCORES_AT_ONCE", 64)  # in groups of one or two samples
    torch.manual_seed(1)
    new = 5
    before = torch.randn(2, past, 2, 4)
    many, one = (
        keys_and_values(1, samples, 2, 4, past=past, room=new, at_once=at_once, device=CPU) for at_once in (True, False)
    )
    if past:
        many.start(0, before[0], before[1])
        one.start(0, before[0], before[1])
    q, k, v = torch.randn(3, samples, new, 2, 4)
    many.append(k.flatten(0, 1), v.flatten(0, 1))
    at_once = many.attend(q.flatten(0, 1)).view(samples, new, -1)
    for step in range(new):
        one.append(k[:, step], v[:, step])
        assert torch.allclose(at_once[:, step], one.attend(q[:, step]), atol=1e-5)


@pytest.mark.parametrize("at_once", [True, False])
def test_series_that_are_forgotten_leave_the_others_as_they_were(at_once: bool) -> None:
    kept = keys_and_values(3, 2, 2, 4, past=5, room=2, at_once=at_once, device=CPU)
    for at in range(3):
        kept.start(at, torch.randn(5, 2, 4), torch.randn(5, 2, 4))
    kept.append(torch.randn(6, 2, 4), torch.randn(6, 2, 4))
    q = torch.randn(6, 2, 4)
    whole = kept.attend(q)
    kept.narrow(2)
    assert torch.allclose(kept.attend(q[:4]), whole[:4], atol=1e-6)
    kept.append(torch.randn(4, 2, 4), torch.randn(4, 2, 4))
    assert kept.attend(q[:4]).shape == (4, 8)


@pytest.mark.parametrize(
    ("samples", "at_once", "is_compiled", "kind"),
    [
        (1, False, True, Alone),
        (2, False, True, Panelled),
        (2, True, True, Shared),
        (2, False, False, Shared),
    ],
)
def test_the_kind_of_cache_follows_how_it_is_filled(samples: int, at_once: bool, is_compiled: bool, kind: type) -> None:
    with arithmetic(is_compiled):
        assert type(keys_and_values(1, samples, 2, 4, past=3, room=1, at_once=at_once, device=CPU)) is kind
