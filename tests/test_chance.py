"""Chance keyed by identity."""

from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gnomon.chance import digest, generator, uniform

GOLDEN_DIGEST = "56b1215d8a763c8bd4510bd4647c683a682cc0de07b1501cea47bc80799cb451"
GOLDEN_UNIFORM = 0.9633584590212143
GOLDEN_INTEGERS = [628053750, 828986839, 468104035]

parts = st.lists(st.one_of(st.text(max_size=5), st.integers(-(10**6), 10**6)), max_size=4)


def test_the_numbers_are_the_same_on_every_machine_and_day() -> None:
    assert digest(7, "synth", "binance:BTCUSDT", 3).hex() == GOLDEN_DIGEST
    assert uniform(7, "synth", "binance:BTCUSDT") == GOLDEN_UNIFORM
    assert generator(7, "synth", "binance:BTCUSDT").integers(0, 10**9, 3).tolist() == GOLDEN_INTEGERS


def test_the_digest_is_the_documented_one() -> None:
    expected = hashlib.blake2b(digest_size=32)
    for text in (b"i7", b"sfill", b"sab", b"i3"):
        expected.update(len(text).to_bytes(4, "little") + text)
    assert digest(7, "fill", "ab", 3) == expected.digest()


@given(st.integers(), parts, parts)
def test_different_identities_have_different_digests(seed: int, one: list[str | int], other: list[str | int]) -> None:
    assert (digest(seed, "c", *one) == digest(seed, "c", *other)) == (one == other)


def test_neither_concatenation_nor_type_confuses_identities() -> None:
    assert digest(1, "c", "ab", "c") != digest(1, "c", "a", "bc")
    assert digest(1, "c", "1") != digest(1, "c", 1)
    assert digest(1, "c") != digest(2, "c")
    assert digest(1, "c", "x") != digest(1, "cx")


def test_luck_does_not_depend_on_the_turn() -> None:
    first = [uniform(0, "fill", f"order {n}") for n in range(50)]
    generator(0, "noise").standard_normal(1000)
    again = {n: uniform(0, "fill", f"order {n}") for n in reversed(range(50))}
    assert [again[n] for n in range(50)] == first


def test_uniform_numbers_fill_the_unit_interval() -> None:
    values = np.array([uniform(3, "u", n) for n in range(4000)])
    assert ((values >= 0) & (values < 1)).all()
    counts = np.histogram(values, bins=10, range=(0, 1))[0]
    assert ((counts - 400) ** 2 / 400).sum() < 33.7  # chi-squared, 9 degrees, one in 10,000


def test_a_longer_draw_begins_with_the_shorter_one() -> None:
    for draw in ("standard_normal", "random", "standard_exponential"):
        short, long = (getattr(generator(1, "a", "b"), draw)(n) for n in (100, 257))
        assert np.array_equal(short, long[:100])


def test_neighbouring_identities_are_not_correlated() -> None:
    rows = np.array([generator(1, "s", n).standard_normal(2000) for n in range(6)])
    off_diagonal = np.corrcoef(rows)[np.triu_indices(6, 1)]
    assert np.abs(off_diagonal).max() < 0.1
