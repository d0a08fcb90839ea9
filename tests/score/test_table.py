"""One order for scored rows, labels as numbers, versions told apart, overlap of targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import Invalid
from gnomon.score.table import code_of, span_of, table_of
from gnomon.units import HOUR_NS

Make = Callable[..., Any]


def test_rows_lie_by_forecaster_instrument_cutoff_and_step(made: Make) -> None:
    luck = np.random.default_rng(0)
    scores, keys = made({"b": luck.random((2, 5, 3)), "a": luck.random((2, 5, 3))}, steps=(1, 4, 2))
    order = luck.permutation(len(scores))
    table = table_of(scores.take(order), keys.take(order))
    assert table.forecasters == ("a", "b")
    assert table.instruments == ("X:0", "X:1")
    place = [
        (table.rows(f, i), f, i) for f in range(2) for i in range(2)
    ]  # fmt: skip
    for rows, _f, i in place:
        within = list(zip(table.cutoff_ns[rows].tolist(), table.scores.step[rows].tolist(), strict=True))
        assert within == sorted(within)
        assert len(within) == 15
        assert set(table.instrument[rows].tolist()) == {i}
    assert table.rows(1) == slice(30, 60)
    assert (table.loss == table.scores.pinball_mean).all()


def test_the_loss_of_another_is_found_at_the_same_key_or_is_nan(made: Make) -> None:
    ours, theirs = np.arange(1.0, 7).reshape(1, 3, 2), np.arange(11.0, 17).reshape(1, 3, 2)
    theirs[0, 1, 1], theirs[0, 2, 0] = -1.0, np.nan  # not there; void
    scores, keys = made({"f": ours, "ewma": theirs}, steps=(1, 2))
    table = table_of(scores, keys)
    against = table.loss_of(code_of(table, "ewma"))[table.rows(code_of(table, "f"))]
    np.testing.assert_array_equal(against, [11, 12, 13, np.nan, np.nan, 16])
    assert len(table.scored(table.rows(code_of(table, "ewma")))) == 4


def test_a_bucket_narrows_the_table(made: Make) -> None:
    scores, keys = made({"a": np.ones((4, 3))}, steps=(1, 5, 6))
    assert set(table_of(scores, keys, bucket=(2, 5)).scores.step.tolist()) == {5}
    assert len(table_of(scores, keys, bucket=(25, 120)).key) == 0


def test_versions_that_answer_the_same_key_stand_apart(made: Make, join: Make) -> None:
    old, new = made({"a": np.ones(5), "b": np.ones(5)}), made({"a": np.ones(3)}, version="2")
    table = table_of(*join(old, new))
    assert table.forecasters == ("a@1", "a@2", "b")
    assert table.forecasters[code_of(table, "a")] == "a@1", "the one with more rows"
    assert code_of(table, "c") == -1


def test_versions_that_follow_each_other_are_one_forecaster(made: Make, join: Make) -> None:
    losses = np.ones(6)
    first, second = losses.copy(), losses.copy()
    first[3:], second[:3] = -1.0, -1.0
    table = table_of(*join(made({"a": first}), made({"a": second}, version="2")))
    assert table.forecasters == ("a",)


def test_what_has_no_single_meaning_is_refused(made: Make, join: Make) -> None:
    raw = made({"a": np.ones(5)})
    with pytest.raises(Invalid, match="raw and calibrated"):
        table_of(*join(raw, made({"a": np.ones(5)}, stage=1)))
    with pytest.raises(Invalid, match="a@1 is scored twice on X:0"):
        table_of(*join(raw, raw))
    with pytest.raises(Invalid, match="step 0"):
        table_of(*made({"a": np.ones(5)}, steps=(0,)))


def naive_span(cutoffs: list[int], known: list[int]) -> tuple[int, int]:
    """The longest run of cutoffs that begin before a target is known, and a greedy walk over those that don't."""
    distinct = sorted(set(cutoffs))
    last = {c: max(k for a, k in zip(cutoffs, known, strict=True) if a == c) for c in distinct}
    overlap = max(sum(c <= other < last[c] for other in distinct) for c in distinct)
    picked, free_at = 0, distinct[0]
    for c in distinct:
        if c >= free_at:
            picked, free_at = picked + 1, last[c]
    return overlap, picked


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 6)), min_size=1, max_size=40, unique=True))
def test_the_overlap_of_targets_is_counted_in_cutoffs(made: Make, rows: list[tuple[int, int]]) -> None:
    losses = np.full((31, 6), -1.0)
    for cutoff, step in rows:
        losses[cutoff, step - 1] = 1.0
    table = table_of(*made({"a": losses}, steps=range(1, 7)))
    span = span_of(table, table.scored(table.rows(0)))
    expected = naive_span([c for c, _ in rows], [c + s for c, s in rows])
    assert (span.overlap, span.independent) == expected
    assert (span.cutoffs_ns[span.position] == table.cutoff_ns).all()


def test_a_stride_of_a_day_makes_a_days_steps_one_cutoff_long(made: Make) -> None:
    table = table_of(*made({"a": np.ones((10, 2))}, steps=(1, 24), stride_bars=24))
    span = span_of(table, table.scored(table.rows(0)))
    assert (span.overlap, span.independent) == (1, 10)
    assert np.diff(span.cutoffs_ns).tolist() == [24 * HOUR_NS] * 9


def test_no_rows_span_nothing(made: Make) -> None:
    table = table_of(*made({"a": np.full(3, np.nan)}))
    span = span_of(table, table.scored(table.rows(0)))
    assert (len(span.cutoffs_ns), span.overlap, span.independent) == (0, 0, 0)
