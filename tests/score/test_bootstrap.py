"""Block sums beside replicates that are built index by index."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon import chance
from gnomon.errors import Invalid
from gnomon.score.bootstrap import block_sums, interval_95
from gnomon.units import FloatArray


def naive_block_sums(rows: FloatArray, block: int, replicates: int, identity: str) -> FloatArray:
    count = len(rows)
    blocks = -(-count // block)
    starts = chance.generator(0, "score/bootstrap", identity, count, block).integers(
        0, count - block + 1, size=(blocks, replicates)
    )
    picked = [[first + k for first in starts[:, r] for k in range(block)][:count] for r in range(replicates)]
    return np.array([rows[index].sum(axis=0) for index in picked])


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))), st.integers(1, 3))
def test_block_sums_are_sums_over_picked_cutoffs(case: tuple[int, int], columns: int) -> None:
    count, block = case
    rows = np.random.default_rng(count).random((count, columns))
    found = block_sums(rows, block, 7, seed=0, identity="x")
    np.testing.assert_allclose(found, naive_block_sums(rows, block, 7, "x"), rtol=1e-9)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))))
def test_every_replicate_holds_as_many_cutoffs_as_there_are(case: tuple[int, int]) -> None:
    count, block = case
    assert (block_sums(np.ones((count, 1)), block, 20, seed=1, identity="x") == count).all()


def test_the_draw_depends_on_seed_and_identity_and_not_on_the_columns() -> None:
    rows = np.random.default_rng(0).random((50, 3))
    drawn = block_sums(rows, 5, 100, seed=0, identity="x")
    assert np.array_equal(drawn, block_sums(rows, 5, 100, seed=0, identity="x"))
    assert np.array_equal(drawn[:, :1], block_sums(rows[:, :1], 5, 100, seed=0, identity="x"))
    assert not np.array_equal(drawn, block_sums(rows, 5, 100, seed=1, identity="x"))
    assert not np.array_equal(drawn, block_sums(rows, 5, 100, seed=0, identity="y"))


@pytest.mark.parametrize("block", [0, 11])
def test_a_block_longer_than_history_is_refused(block: int) -> None:
    with pytest.raises(Invalid, match=f"blocks of {block} in 10"):
        block_sums(np.ones((10, 1)), block, 5, seed=0, identity="x")


def test_the_deviation_of_replicated_means_grows_with_dependence() -> None:
    """Of an autoregressive series (0.9) the mean has about sqrt(19) times the deviation that single draws suggest."""
    luck = np.random.default_rng(7)
    series = np.zeros(4_000)
    for t in range(1, len(series)):
        series[t] = 0.9 * series[t - 1] + luck.normal()
    single, blocks = (block_sums(series[:, None], length, 1_000, seed=0, identity="x").std() for length in (1, 100))
    assert 3.0 < blocks / single < 5.0


def test_the_interval_leaves_a_fortieth_on_either_side() -> None:
    low, high = interval_95(np.arange(1001.0))
    assert (low, high) == (pytest.approx(25.0), pytest.approx(975.0))
