"""Filters against the specification and its golden vectors; luck against what it promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from tests.forecast.kronos.conftest import Golden, arithmetic

from gnomon.errors import Invalid
from gnomon.forecast.kronos.sampling import (
    KeyedLuck,
    ReferenceLuck,
    check_sampling,
    drawn,
    first_to_arrive,
    probabilities,
)

LOGITS = hnp.arrays(np.float32, (2, 12), elements=st.sampled_from([float(one) / 4 for one in range(-12, 13)]))


def naive(logits: list[float], temperature: float, top_k: int, top_p: float) -> list[float]:
    """Section 8.5, token by token, in float64."""
    scaled = [one / temperature for one in logits]
    weights = np.exp(np.array(scaled) - max(scaled))
    whole = weights / weights.sum()
    if top_k > 0:
        least = sorted(scaled, reverse=True)[min(top_k, len(scaled)) - 1]
        kept = [one >= least for one in scaled]
    elif top_p < 1:
        kept = [False] * len(scaled)
        before = 0.0
        for token in sorted(range(len(scaled)), key=lambda at: -scaled[at]):  # stable: of equal ones the first
            kept[token] = before <= top_p
            before += whole[token]
    else:
        kept = [True] * len(scaled)
    filtered = np.where(kept, whole, 0.0)
    return list(filtered / filtered.sum())


def test_filters_give_the_golden_probabilities(golden: Golden) -> None:
    for number, given_ in enumerate(golden.meta["filter"]):
        options = {name: given_[name] for name in ("top_k", "top_p") if given_.get(name) is not None}
        temperature = given_.get("temperature", given_.get("T", 1.0))
        found = probabilities(golden["filter.logits"].clone(), temperature=temperature, **options)
        assert torch.allclose(found, golden[f"filter.probs.{number}"], atol=1e-6), given_


@given(
    LOGITS, st.sampled_from([0.5, 1.0, 2.0]), st.integers(0, 14), st.sampled_from([0.05, 0.33, 0.62, 0.9, 0.97, 1.0])
)
def test_filters_equal_the_loop_over_tokens_also_with_ties(
    logits: np.ndarray, temperature: float, top_k: int, top_p: float
) -> None:
    found = probabilities(torch.from_numpy(logits), temperature=temperature, top_k=top_k, top_p=top_p)
    for row, one in zip(found.numpy(), logits.tolist(), strict=True):
        assert np.allclose(row, naive(one, temperature, top_k, top_p), atol=2e-6)


@settings(deadline=None)
@given(LOGITS, st.sampled_from([0.5, 1.0]), st.sampled_from([0.05, 0.33, 0.62, 0.9, 0.97, 1.0]), st.integers(0, 99))
def test_the_compiled_race_is_won_by_the_same_tokens_also_with_ties(
    logits: np.ndarray, temperature: float, top_p: float, seed: int
) -> None:
    times = KeyedLuck(seed, ["a", "b"], range(1), (12, 12)).times(0, 0, 12)
    winners = []
    for is_compiled in (True, False):
        with arithmetic(is_compiled):
            given_ = torch.from_numpy(logits.copy())
            winners.append(drawn(given_, times, temperature=temperature, top_k=0, top_p=top_p))
    assert torch.equal(*winners)


def test_one_token_always_stays() -> None:
    found = probabilities(torch.tensor([[9.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), top_p=0.01)
    assert found[0].tolist() == [1.0, 0.0, 0.0]
    assert found[1].tolist() == [1.0, 0.0, 0.0]


def test_the_race_draws_each_token_as_often_as_its_probability_says() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0, 0.5, -3.0]])
    weights = probabilities(logits)
    luck = KeyedLuck(5, ["a"], range(4_000), (6, 6))
    counts = np.zeros(6)
    for step in range(10):
        won = first_to_arrive(weights.repeat(4_000, 1), luck.times(step, step % 2, 6))
        counts += np.bincount(won.numpy(), minlength=6)
    assert stats.chisquare(counts, weights[0].double().numpy() * counts.sum()).pvalue > 0.001


def test_waiting_times_are_exponential() -> None:
    luck = KeyedLuck(1, ["a"], range(50), (512, 512))
    times = luck.times(0, 0, 512).flatten().double().numpy()
    assert stats.kstest(times, "expon").pvalue > 0.001
    assert times.min() > 0


def test_a_path_has_its_own_luck_whatever_is_drawn_beside_it() -> None:
    together = KeyedLuck(7, ["x", "y"], range(3), (8, 16))
    alone = KeyedLuck(7, ["y"], range(2, 3), (8, 16))
    for step in range(20):
        for head, vocabulary in ((0, 8), (1, 16)):
            rows = together.times(step, head, vocabulary)
            assert torch.equal(rows[5], alone.times(step, head, vocabulary)[0])
            assert len(torch.unique(rows)) == rows.numel()


@pytest.mark.parametrize("other", [(8, "x", 0), (7, "z", 0), (7, "x", 1)])
def test_seed_series_and_number_of_the_sample_each_change_the_luck(other: tuple[int, str, int]) -> None:
    seed, key, number = other
    first = KeyedLuck(7, ["x"], range(1), (8, 8)).times(0, 0, 8)
    assert not torch.equal(first, KeyedLuck(seed, [key], range(number, number + 1), (8, 8)).times(0, 0, 8))


def test_the_reference_order_draws_what_the_library_draws_with_the_same_seed() -> None:
    weights = torch.softmax(torch.randn(6, 32, generator=torch.Generator().manual_seed(1)), -1)
    luck, theirs = ReferenceLuck(11, 6), torch.Generator().manual_seed(11)
    for step in range(5):
        for head in (0, 1):
            drawn = first_to_arrive(weights.clone(), luck.times(step, head, 32))
            assert torch.equal(drawn, torch.multinomial(weights, 1, generator=theirs)[:, 0])


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p", "said"),
    [
        (0.0, 0, 1.0, "temperature 0.0"),
        (float("nan"), 0, 1.0, "temperature nan"),
        (1.0, -1, 1.0, "top_k -1"),
        (1.0, None, 1.0, "top_k None"),
        (1.0, 0, 0.0, "top_p 0.0"),
        (1.0, 0, 1.1, "top_p 1.1"),
        (1.0, 0, None, "top_p None"),
    ],
)
def test_what_nothing_can_be_drawn_with_is_refused(temperature: float, top_k: int, top_p: float, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        check_sampling(temperature, top_k, top_p)
