"""The loop with caches, sharing and slices, against the loop that computes every window anew."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.forecast.kronos.conftest import arithmetic, networks
from tests.forecast.kronos.naive import naive_decode, naive_draw, naive_rolling

from gnomon.forecast.kronos.generate import Prompt, decode, draw
from gnomon.forecast.kronos.packed import PackedDecoder, PackedModel
from gnomon.forecast.kronos.sampling import KeyedLuck
from gnomon.forecast.kronos.window import Rules, Window


def prompts_of(lengths: list[int], horizon: int, bits: tuple[int, int], seed: int) -> list[Prompt]:
    luck = torch.Generator().manual_seed(seed)
    sizes = torch.tensor([60, 24, 7, 31, 12])
    return [
        Prompt(
            torch.randint(0, 2 ** bits[0], (length,), generator=luck),
            torch.randint(0, 2 ** bits[1], (length,), generator=luck),
            (torch.rand(length + horizon, 5, generator=luck) * sizes).long() + torch.tensor([0, 0, 0, 1, 1]),
        )
        for length in lengths
    ]


def both(
    lengths: list[int], horizon: int, samples: int, context: int, window: Window = "exact", **options: Any
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Tokens (S, 2, H) of each series, by the fast loop and by the naive one; and their bars are equal."""
    seed, sizes = options.pop("seed", 0), options.pop("sizes", {})
    model, tokenizer = networks(seed, model=sizes)
    bits = model.config.s1_bits, model.config.s2_bits
    prompts = prompts_of(sorted(lengths), horizon, bits, seed)
    keys = [str(at) for at in range(len(prompts))]
    vocabularies = 2 ** bits[0], 2 ** bits[1]
    rules = Rules(horizon, context, window, **({"top_p": 1.0} | options))
    with torch.inference_mode():
        s1, s2 = draw(
            PackedModel(model, "float32"), prompts, samples, rules, KeyedLuck(seed, keys, range(samples), vocabularies)
        )
    fast, slow = [], []
    for at, prompt in enumerate(prompts):
        cut = len(prompt.s1) - rules.past_bars(len(prompt.s1)) if window == "capped" else 0
        tokens = naive_draw(
            model,
            prompt.s1[cut:],
            prompt.s2[cut:],
            prompt.stamps[cut:],
            samples,
            horizon,
            context,
            KeyedLuck(seed, [keys[at]], range(samples), vocabularies),
            **({"top_p": 1.0} | options),
        )
        fast.append(torch.stack([s1[at], s2[at]], 1))
        slow.append(torch.stack(tokens, 1))
        with torch.inference_mode():
            bars = decode(PackedDecoder(tokenizer), prompt, s1[at], s2[at], context)
        naive = naive_decode(tokenizer, (prompt.s1, prompt.s2), (s1[at], s2[at]), context)
        assert torch.allclose(bars, naive, atol=2e-5)
    return fast, slow


ODD: dict[str, int] = {}
IN_PANELS = {"d_model": 96, "n_heads": 4, "ff_dim": 48}
"""Maps of whole panels, heads of less than one: a block is one call of a kernel."""


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize(
    ("is_compiled", "sizes"),
    [
        pytest.param(True, ODD, id="compiled, odd sizes"),
        pytest.param(True, IN_PANELS, id="compiled, in panels"),
        pytest.param(False, IN_PANELS, id="without numba"),
    ],
)
@pytest.mark.parametrize(
    ("lengths", "context"),
    [
        pytest.param([20], 40, id="never slides"),
        pytest.param([20], 26, id="starts to slide"),
        pytest.param([26], 26, id="as long as the context"),
        pytest.param([40], 26, id="longer than the context"),
        pytest.param([9, 14, 20, 20], 40, id="unequal, never slide"),
        pytest.param([9, 14, 20, 26, 40], 26, id="unequal, slide one after the other"),
    ],
)
def test_every_token_equals_that_of_the_naive_loop(
    lengths: list[int], context: int, samples: int, is_compiled: bool, sizes: dict[str, int]
) -> None:
    with arithmetic(is_compiled):
        fast, slow = both(lengths, 9, samples, context, sizes=sizes)
    for one, other in zip(fast, slow, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("is_compiled", [True, False])
@pytest.mark.parametrize("options", [{"top_k": 1}, {"top_k": 3}, {"top_p": 0.8}, {"temperature": 0.4}])
def test_filters_act_in_the_loop_as_by_themselves(options: dict[str, Any], is_compiled: bool) -> None:
    with arithmetic(is_compiled):
        fast, slow = both([10, 18], 9, 3, 22, **options)
    assert all(torch.equal(one, other) for one, other in zip(fast, slow, strict=True))


@settings(deadline=None, max_examples=25, derandomize=True)  # near ties are rare, not impossible
@given(
    lengths=st.lists(st.integers(1, 24), min_size=1, max_size=3),
    horizon=st.integers(1, 8),
    samples=st.integers(1, 3),
    context=st.integers(8, 30),
    heads=st.sampled_from([1, 2, 4]),
    layers=st.integers(1, 3),
    bits=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    seed=st.integers(0, 10_000),
)
def test_whatever_the_sizes_the_tokens_are_those_of_the_naive_loop(
    lengths: list[int],
    horizon: int,
    samples: int,
    context: int,
    heads: int,
    layers: int,
    bits: tuple[int, int],
    seed: int,
) -> None:
    sizes = {"n_heads": heads, "n_layers": layers, "d_model": 8 * heads, "s1_bits": bits[0], "s2_bits": bits[1]}
    model, _ = networks(seed, model=sizes)
    prompts = prompts_of(sorted(lengths), horizon, bits, seed)
    vocabularies = 2 ** bits[0], 2 ** bits[1]
    keys = [str(at) for at in range(len(prompts))]
    with torch.inference_mode():
        rules = Rules(horizon, context, top_p=1.0)
        luck = KeyedLuck(seed, keys, range(samples), vocabularies)
        s1, s2 = draw(PackedModel(model, "float32"), prompts, samples, rules, luck)
    for at, prompt in enumerate(prompts):
        luck = KeyedLuck(seed, [keys[at]], range(samples), vocabularies)
        tokens = naive_draw(model, prompt.s1, prompt.s2, prompt.stamps, samples, horizon, context, luck)
        assert torch.equal(s1[at], tokens[0])
        assert torch.equal(s2[at], tokens[1])


def test_capped_gives_the_numbers_of_the_shorter_past() -> None:
    fast, slow = both([30], 8, 3, 26, "capped")
    assert torch.equal(fast[0], slow[0])
    exact, _ = both([30], 8, 3, 26, "exact")
    assert not torch.equal(fast[0], exact[0])


def test_rolling_equals_exact_until_it_slides_and_not_after() -> None:
    rolling, exact = both([20], 12, 4, 26, "rolling")
    assert torch.equal(rolling[0][:, :, :7], exact[0][:, :, :7])
    assert not torch.equal(rolling[0], exact[0])


@pytest.mark.parametrize("samples", [1, 2])
def test_rolling_sees_the_last_positions_in_every_layer_also_for_unequal_pasts(samples: int) -> None:
    lengths, horizon, context = [9, 20, 26, 31], 12, 26
    rolling, _ = both(lengths, horizon, samples, context, "rolling", sizes=IN_PANELS)
    model, _ = networks(0, model=IN_PANELS)
    for at, prompt in enumerate(prompts_of(lengths, horizon, (5, 5), 0)):
        luck = KeyedLuck(0, [str(at)], range(samples), (32, 32))
        tokens = naive_rolling(model, prompt.s1, prompt.s2, prompt.stamps, samples, horizon, context, luck)
        assert torch.equal(rolling[at], torch.stack(tokens, 1))


def test_a_shorter_horizon_gives_the_first_steps_of_a_longer_one() -> None:
    short, _ = both([20], 5, 3, 40)
    long, _ = both([20], 15, 3, 40)
    assert torch.equal(short[0], long[0][..., :5])
