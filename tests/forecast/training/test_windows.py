"""Windows know their look-back alone, never cross the instant that parts them, and are shuffled by seed and epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.errors import Invalid
from gnomon.forecast.kronos.bars import CLIP, EPSILON, Normalised, stamps
from gnomon.forecast.training.windows import History, Windows, shuffled, split, windows_of
from gnomon.units import DAY_NS, HOUR_NS

FIRST_NS = 20_000 * DAY_NS


def history(name: str = "a", rows: int = 60, *, bar_ns: int = HOUR_NS, offset_ns: int = 0, seed: int = 0) -> History:
    rng = np.random.default_rng([seed, *name.encode()])
    close = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal(rows)))
    bars = np.column_stack([close, close * 1.01, close * 0.99, close, rng.random(rows) * 50, rng.random(rows) * 5000])
    open_ns = FIRST_NS + offset_ns + np.arange(rows) * bar_ns
    return History(name, bars, open_ns, open_ns + bar_ns, open_ns + 2 * HOUR_NS)


def naive_window(series: History, first: int, lookback: int, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """One window, by the words of the specification."""
    rows = slice(first, first + lookback + horizon + 1)
    known = Normalised.of(series.bars[first : first + lookback])
    x = (series.bars[rows].astype(np.float32) - known.mean) / (known.std + EPSILON)
    return np.clip(x, -CLIP, CLIP), stamps(series.local_ns[rows])


def spans(windows: Windows, histories: Sequence[History]) -> list[tuple[int, int]]:
    """The first open and the last close of every window."""
    ordered = sorted(histories, key=lambda one: one.name)
    open_ns, close_ns = (np.concatenate([getattr(one, name) for one in ordered]) for name in ("open_ns", "close_ns"))
    return [(int(open_ns[first]), int(close_ns[first + windows.bars_each - 1])) for first in windows.starts]


def test_a_batch_is_what_the_specification_says_window_by_window() -> None:
    series = [history("b", 40), history("a", 33)]
    windows = windows_of(series, 12, 5)
    expected = [naive_window(one, first, 12, 5) for one in series[::-1] for first in range(len(one.bars) - 17)]
    x, marks = windows.batch(np.arange(len(windows)))
    assert len(windows) == len(expected)
    np.testing.assert_array_equal(x, np.stack([one[0] for one in expected]))
    np.testing.assert_array_equal(marks, np.stack([one[1] for one in expected]))
    assert x.dtype == np.float32
    assert marks.dtype == np.int64


def test_a_look_back_is_normalised_as_a_forecast_normalises_it_to_the_last_bit() -> None:
    series = history(rows=600)
    x, _ = windows_of([series], 512, 48).batch(np.arange(3))
    for first in range(3):
        np.testing.assert_array_equal(x[first, :512], Normalised.of(series.bars[first : first + 512]).x)


def test_what_comes_after_the_look_back_changes_nothing_in_it() -> None:
    series = history()
    later = series.bars.copy()
    later[20:] *= 3
    before, after = (windows_of([one], 20, 5).batch(np.array([0]))[0] for one in (series, replace(series, bars=later)))
    np.testing.assert_array_equal(before[0, :20], after[0, :20])
    assert (before[0, 20:] != after[0, 20:]).any()
    assert np.abs(after).max() == CLIP


def test_stamps_are_read_off_the_wall_clock() -> None:
    _, marks = windows_of([history()], 4, 1).batch(np.array([0]))
    assert marks[0, :, 1].tolist() == [2, 3, 4, 5, 6, 7]  # two hours ahead of UTC


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    lookback=st.integers(2, 8),
    horizon=st.integers(1, 4),
    cut=st.integers(-2, 45),
    minutes=st.integers(0, 59),
)
def test_no_window_crosses_the_cut_and_every_other_is_there(
    rows: list[int], lookback: int, horizon: int, cut: int, minutes: int
) -> None:
    """Series of hours and of days side by side: what counts is time."""
    series = [
        history(f"s{at}", count, bar_ns=[HOUR_NS, DAY_NS][at % 2], offset_ns=at * HOUR_NS // 2)
        for at, count in enumerate(rows)
    ]
    cut_ns = FIRST_NS + cut * HOUR_NS + minutes * HOUR_NS // 60
    each = lookback + horizon + 1
    every = [(one, first) for one in series for first in range(len(one.bars) - each + 1)]
    before = {(one.name, first) for one, first in every if one.close_ns[first + each - 1] <= cut_ns}
    after = {(one.name, first) for one, first in every if one.open_ns[first] >= cut_ns}
    if not before or not after:
        with pytest.raises(Invalid, match="no window"):
            split(series, lookback, horizon, cut_ns)
        return
    training, validation = split(series, lookback, horizon, cut_ns)
    assert (len(training), len(validation)) == (len(before), len(after))
    assert (
        max(end for _, end in spans(training, series)) <= cut_ns <= min(first for first, _ in spans(validation, series))
    )


def test_validation_may_end_before_the_bars_do() -> None:
    series = [history(rows=100)]
    until_ns = FIRST_NS + 70 * HOUR_NS
    _, validation = split(series, 10, 4, FIRST_NS + 50 * HOUR_NS, until_ns=until_ns)
    assert len(validation) == 6
    assert max(end for _, end in spans(validation, series)) == until_ns


def test_the_order_of_the_series_does_not_matter() -> None:
    series = [history("b"), history("a"), history("c")]
    one, other = windows_of(series, 10, 4), windows_of(series[::-1], 10, 4)
    assert one.digest() == other.digest()


def test_the_digest_knows_the_bars_the_stamps_the_windows_and_the_sizes() -> None:
    series = history()
    moved = series.bars.copy()
    moved[-1, 3] += 0.01
    windows = windows_of([series], 10, 4)
    others = [
        windows_of([replace(series, bars=moved)], 10, 4),
        windows_of([replace(series, local_ns=series.local_ns + HOUR_NS)], 10, 4),
        windows_of([series], 10, 4, until_ns=int(series.close_ns[-2])),
        windows_of([series], 9, 5),
    ]
    assert len({windows.digest(), *(one.digest() for one in others)}) == 5
    assert windows.digest() == windows_of([history()], 10, 4).digest()


def test_a_spread_is_even_and_never_more_than_there_are() -> None:
    windows = windows_of([history(rows=115)], 10, 4)
    assert windows.spread(10).starts.tolist() == list(range(0, 100, 10))
    assert windows.spread(7).starts.tolist() == [at * 101 // 7 for at in range(7)]
    assert len(windows.spread(10_000)) == len(windows)


# --- the order --------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 40), batch=st.integers(1, 50), seed=st.integers(0, 5))
def test_every_epoch_shows_every_window_once(count: int, batch: int, seed: int) -> None:
    steps = -(-3 * count // batch)
    shown = np.concatenate([shuffled(count, step, batch, seed=seed) for step in range(steps)])[: 3 * count]
    for epoch in shown.reshape(3, count):
        assert sorted(epoch.tolist()) == list(range(count))


def test_a_step_depends_on_the_seed_and_on_no_step_before() -> None:
    again = [shuffled(1000, step, 32, seed=3).tolist() for step in (40, 7)]
    assert again == [shuffled(1000, step, 32, seed=3).tolist() for step in (40, 7)]
    assert shuffled(1000, 0, 32, seed=3).tolist() != shuffled(1000, 0, 32, seed=4).tolist()
    first, second = (shuffled(32, epoch, 32, seed=3).tolist() for epoch in (0, 1))
    assert first != second


# --- what is no history -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed, says",
    [
        (lambda one: {"bars": one.bars[:, :5]}, r"bars of shape \(60, 5\)"),
        (lambda one: {"close_ns": one.close_ns[1:]}, r"close_ns has shape \(59,\)"),
        (lambda one: {"bars": np.where(np.arange(60)[:, None] == 7, np.nan, one.bars)}, "row 7 holds"),
        (lambda one: {"open_ns": one.open_ns[::-1].copy()}, "out of order"),
        (lambda one: {"close_ns": one.open_ns}, "out of order"),
    ],
)
def test_bars_that_are_no_history_are_refused(changed: Any, says: str) -> None:
    series = history()
    with pytest.raises(Invalid, match=says):
        replace(series, **changed(series))


def test_windows_that_cannot_be_are_refused() -> None:
    with pytest.raises(Invalid, match=r"no window of 50 \+ 20 \+ 1 bars in 1 series"):
        windows_of([history()], 50, 20)
    with pytest.raises(Invalid, match=r"windows of 1 \+ 4 \+ 1 bars"):
        windows_of([history()], 1, 4)
    with pytest.raises(Invalid, match="two series are named a"):
        windows_of([history(), history()], 10, 4)
