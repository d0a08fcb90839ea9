"""Draws by identity, against the formula written out, and their tallies."""

from __future__ import annotations

import hashlib
from itertools import accumulate, cycle, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import Invalid
from gnomon.exchange.draws import COMPONENTS, Draws, LatencyTable

u64s = st.integers(0, 2**64 - 1)
components = st.sampled_from(COMPONENTS)


def formula(seed: int, component: str, entity: int, n: int) -> int:
    data = entity.to_bytes(8, "little") + n.to_bytes(8, "little")
    key = seed.to_bytes(8, "little")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8, key=key, person=component.encode()).digest(), "little")


@given(u64s, components, u64s, u64s)
def test_a_draw_is_the_published_formula(seed: int, component: str, entity: int, n: int) -> None:
    assert Draws(seed).u64(component, entity, n) == formula(seed, component, entity, n)


def test_known_draws_never_change() -> None:
    draws = Draws(7)
    assert [draws.u64("latency.entry", 1, n) for n in range(2)] == [8999927712891304415, 5457204034695780438]


@given(st.lists(st.tuples(components, u64s, u64s), max_size=30))
def test_no_draw_depends_on_the_ones_before_it(asked: list[tuple[str, int, int]]) -> None:
    draws = Draws(3)
    assert [draws.u64(*one) for one in asked] == [Draws(3).u64(*one) for one in asked]


@given(st.lists(st.tuples(components, u64s, u64s), max_size=600))
def test_tallies_count_and_hash_what_was_asked_in_its_order(asked: list[tuple[str, int, int]]) -> None:
    draws = Draws(3)
    for i, one in enumerate(asked):
        draws.u64(*one)
        if i == 10:
            draws.tallies()  # looking moves nothing
    found = {tally.component: (tally.count, tally.digest) for tally in draws.tallies()}
    assert list(found) == [one for one in COMPONENTS if any(one == component for component, _, _ in asked)]
    for component, (count, digest) in found.items():
        mine = [(entity, n) for other, entity, n in asked if other == component]
        data = b"".join(entity.to_bytes(8, "little") + n.to_bytes(8, "little") for entity, n in mine)
        assert count == len(mine)
        assert digest == hashlib.blake2b(data, digest_size=32, person=component.encode()).digest()


def test_a_draw_taken_twice_or_in_another_order_shows_in_the_tally() -> None:
    def tally(*entities: int) -> object:
        draws = Draws(3)
        for entity in entities:
            draws.u64("fill", entity)
        return draws.tallies()

    assert tally(1, 2) == tally(1, 2)
    assert len({repr(tally(*one)) for one in [(1, 2), (2, 1), (1, 2, 2), (1,)]}) == 4


@given(st.integers(1, 2**64), u64s)
def test_a_bounded_draw_is_the_high_word_of_the_product(bound: int, entity: int) -> None:
    drawn = Draws(5).below(bound, "choice", entity)
    assert 0 <= drawn < bound
    assert drawn == formula(5, "choice", entity, 0) * bound // 2**64


def test_an_event_of_probability_zero_never_happens_and_of_one_always() -> None:
    draws = Draws(5)
    assert not any(draws.happens(0, "fault", i) for i in range(200))
    assert all(draws.happens(2**64, "fault", i) for i in range(200))
    assert 60 < sum(draws.happens(2**63, "fault", i) for i in range(200)) < 140


@given(st.lists(st.integers(0, 2**52), min_size=1, max_size=20), u64s)
def test_a_latency_lies_between_the_quantiles_beside_it(steps: list[int], u64: int) -> None:
    values = list(accumulate(islice(cycle(steps), 1_025)))
    table = LatencyTable(tuple(values))
    i = u64 * 1_024 // 2**64
    fraction = (u64 * 1_024 * 2**32 // 2**64) % 2**32  # 32 bits of the way to the next quantile
    assert table.at(u64) == values[i] + (values[i + 1] - values[i]) * fraction // 2**32
    assert values[i] <= table.at(u64) <= values[i + 1]


def test_a_latency_is_drawn_at_the_quantile_of_its_draw() -> None:
    table = LatencyTable(tuple(i * 1_000 for i in range(1_025)))
    drawn = [Draws(1).latency_ns(table, "latency.feed", i) for i in range(400)]
    assert drawn == [formula(1, "latency.feed", i, 0) * 1_024_000 // 2**64 for i in range(400)]


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (range(1_024), "1,025 quantiles"),
        ([-1, *range(1_024)], "quantile 0: -1"),
        ([5, 4, *range(5, 1_028)], "quantile 1: 4"),
        ([*range(1_024), 2**63], "quantile 1024"),
    ],
)
def test_a_table_that_is_not_one_is_refused(values: range | list[int], what: str) -> None:
    with pytest.raises(Invalid, match=what):
        LatencyTable(tuple(values))


def test_what_cannot_be_drawn_is_refused() -> None:
    draws = Draws(0)
    for seed in (-1, 2**64):
        with pytest.raises(Invalid, match="seed"):
            Draws(seed)
    with pytest.raises(Invalid, match=r"'luck'") as refused:
        draws.u64("luck", 1)
    assert "latency.entry" in refused.value.hint
    for entity, n in [(-1, 0), (2**64, 0), (0, -1), (0, 2**64)]:
        with pytest.raises(Invalid, match="two u64"):
            draws.u64("fill", entity, n)
    for bound in (0, 2**64 + 1):
        with pytest.raises(Invalid, match="bound"):
            draws.below(bound, "fill", 1)
    for chance in (-1, 2**64 + 1):
        with pytest.raises(Invalid, match="chance"):
            draws.happens(chance, "fill", 1)
    assert draws.tallies() == ()
