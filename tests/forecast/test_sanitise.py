"""What is refused before anything is computed, and what the refusal says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gnomon.errors import Invalid
from gnomon.forecast.forecaster import Traits
from gnomon.forecast.sanitise import accept

ANY = Traits(role="baseline")
MODEL = Traits(levels=(0.01, 0.5, 0.99), min_context_bars=64, max_horizon_bars=16)


def with_bar(context, row, column, value):
    bars = context.bars.copy()
    bars[row, column] = value
    return replace(context, bars=bars)


def with_time(context, row, shift_bars):
    times = context.open_ns.copy()
    times[row] = times[row] + shift_bars * context.timeframe.nominal_ns
    return replace(context, open_ns=times)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column, name", [(0, "open"), (3, "close"), (4, "volume"), (5, "amount")])
def test_a_value_that_is_not_finite_is_named(make_context, value, column, name):
    with pytest.raises(Invalid, match=rf"test:S3 1h: bar 11 at 20\d\d-.*Z: {name} {value!r} is not finite") as caught:
        accept([with_bar(make_context(seed=3), 11, column, value)], 24, (0.5,), ANY)
    assert caught.value.detail["instrument"] == "test:S3"
    assert caught.value.detail["row"] == 11
    assert caught.value.detail["value"] == repr(float(value))
    assert caught.value.hint


@pytest.mark.parametrize("value", [0.0, -1.5])
def test_a_close_that_is_not_positive_is_named(make_context, value):
    with pytest.raises(Invalid, match=rf"bar 399 at .*: close {value} is not positive"):
        accept([with_bar(make_context(), -1, 3, value)], 24, (0.5,), ANY)


@pytest.mark.parametrize("value", [1e-200, 1e200])
def test_a_close_that_is_no_price_is_named(make_context, value):
    with pytest.raises(Invalid, match=r"is no price between 1e-100 and 1e\+100"):
        accept([with_bar(make_context(), 5, 3, value)], 24, (0.5,), ANY)


def test_a_volume_of_zero_is_fine(make_context):
    assert accept([with_bar(make_context(), 5, 4, 0.0)], 24, (0.5,), ANY) == (0.5,)


def test_fewer_bars_than_needed_are_refused(make_context):
    assert accept([make_context(50)], 24, (0.5,), ANY)
    with pytest.raises(Invalid, match="49 bars, at least 50 are needed"):
        accept([make_context(49)], 24, (0.5,), ANY)
    with pytest.raises(Invalid, match="63 bars, at least 64 are needed"):
        accept([make_context(63)], 8, (0.5,), MODEL)


@pytest.mark.parametrize("shift_bars, said", [(-1, "repeats"), (-3, "lies before")])
def test_times_that_do_not_increase_are_named(make_context, shift_bars, said):
    with pytest.raises(Invalid, match=rf"bar 20 at .*: its time {said} that of the bar before it"):
        accept([with_time(make_context(), 20, shift_bars)], 24, (0.5,), ANY)


def test_a_bar_at_the_cutoff_is_refused(make_context):
    with pytest.raises(Invalid, match=r"bar 399 at .*: it opens at or after the cutoff"):
        accept([with_time(make_context(), -1, 1)], 24, (0.5,), ANY)


def test_targets_that_do_not_increase_or_lie_in_the_past_are_refused(make_context):
    context = make_context()
    repeated = context.target_open_ns.copy()
    repeated[4] = repeated[3]
    past = context.target_open_ns - 10 * context.timeframe.nominal_ns
    closed = context.target_close_ns - 2 * context.timeframe.nominal_ns
    for broken, said in (
        (replace(context, target_open_ns=repeated), "target 5 at .* is not after the bar before"),
        (replace(context, target_open_ns=past), "target 1 at .* is not after the bar before"),
        (replace(context, target_close_ns=closed), "the first target closes at .*, not after the cutoff"),
    ):
        with pytest.raises(Invalid, match=said):
            accept([broken], 24, (0.5,), ANY)


def test_a_horizon_beyond_the_scheduled_targets_is_refused(make_context):
    assert accept([make_context(horizon=24)], 24, (0.5,), ANY)
    with pytest.raises(Invalid, match="horizon of 25 bars, but the context schedules 24 targets"):
        accept([make_context(horizon=24)], 25, (0.5,), ANY)


@pytest.mark.parametrize("horizon, traits", [(0, ANY), (-1, ANY), (17, MODEL)])
def test_a_horizon_that_nobody_can_answer_is_refused(make_context, horizon, traits):
    with pytest.raises(Invalid, match=f"horizon of {horizon} bars"):
        accept([make_context()], horizon, (0.5,), traits)


def test_arrays_that_do_not_fit_together_are_refused(make_context):
    context = make_context()
    for broken in (
        replace(context, open_ns=context.open_ns[1:]),
        replace(context, local_ns=context.local_ns[:-1]),
        replace(context, bars=context.bars[:, :5]),
    ):
        with pytest.raises(Invalid, match="arrays of"):
            accept([broken], 24, (0.5,), ANY)


@pytest.mark.parametrize("tick", [0.0, -0.01, np.nan, np.inf])
def test_a_tick_that_is_no_step_is_refused(make_context, tick):
    with pytest.raises(Invalid, match=r"tick .* is not a positive number"):
        accept([make_context(tick=tick)], 24, (0.5,), ANY)


def test_five_sessions_without_bars_are_refused(make_context):
    with pytest.raises(Invalid, match="0 bars in five sessions"):
        accept([make_context(five_session_bars=0)], 24, (0.5,), ANY)


@pytest.mark.parametrize(
    "levels, said",
    [
        ((), "no levels"),
        ((0.0, 0.5), "level 0.0 lies outside"),
        ((0.5, 1.0), "level 1.0 lies outside"),
        ((float("nan"),), "level nan lies outside"),
        ((0.5, 0.1), "0.1 follows 0.5"),
        ((0.1, 0.5, 0.5), "0.5 follows 0.5"),
    ],
)
def test_levels_that_are_no_levels_are_refused(make_context, levels, said):
    with pytest.raises(Invalid, match=said):
        accept([make_context()], 24, levels, ANY)


def test_levels_beyond_the_learned_ones_are_refused(make_context):
    assert accept([make_context()], 8, (0.01, 0.3, 0.99), MODEL) == (0.01, 0.3, 0.99)
    for level in (0.005, 0.995):
        with pytest.raises(Invalid, match=f"level {level} lies beyond"):
            accept([make_context()], 8, (level,), MODEL)
