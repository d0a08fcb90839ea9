"""Gates: every figure beside a loop, planted forecasters that must pass and must fail, and how early is too early."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.score.conftest import Made, made_of

from gnomon.clock import Timeframe
from gnomon.score.gates import Gate, gates
from gnomon.score.significance import wilson
from gnomon.units import DAY_NS, HOUR_NS, FloatArray, IntArray

HOURLY = Timeframe.parse("1h")
STEPS = np.array([1, 3, 6])
CUTOFFS = 1500
INSTRUMENTS = 2


def releases(every_hours: int = 30, *, cutoffs: int = CUTOFFS) -> IntArray:
    return np.arange(40, cutoffs, every_hours, dtype=np.int64) * HOUR_NS + HOUR_NS // 2


def holding(at_ns: IntArray, *, cutoffs: int = CUTOFFS) -> tuple[FloatArray, FloatArray]:
    """(C, S) twice, by loops: whether the horizon of a row holds a release, whether its target bar lies in a window."""
    holds, inside = (np.zeros((cutoffs, len(STEPS))) for _ in range(2))
    for c in range(cutoffs):
        for s, step in enumerate(STEPS):
            close = (c + step) * HOUR_NS
            holds[c, s] = any(c * HOUR_NS <= at < close for at in at_ns.tolist())
            inside[c, s] = any(close - 2 * HOUR_NS <= at < close for at in at_ns.tolist())
    return holds, inside


def world(at_ns: IntArray, *, widens: float = 1.0, moves: float = 2.0, seed: int = 0, cutoffs: int = CUTOFFS) -> Made:
    """`ewma` never widens, `other` widens by a factor with a release ahead; the market moves by another."""
    luck = np.random.default_rng(seed)
    holds, _ = holding(at_ns, cutoffs=cutoffs)
    shape = (INSTRUMENTS, cutoffs, len(STEPS))
    scale = 0.01 * np.sqrt(STEPS) * np.array([1.0, 3.0])[:, None, None]
    came = luck.normal(0, 1, shape) * scale * np.where(holds > 0, moves, 1.0)
    width = np.stack([np.full(shape, 2.56) * scale, 2.56 * scale * np.where(holds > 0, widens, 1.0)])
    width *= luck.uniform(0.9, 1.1, shape)
    losses = luck.gamma(4.0, 0.25, (2, *shape)) * scale
    inside = np.abs(came)[None] <= width / 2
    return made_of(
        {"ewma": losses[0], "other": losses[1]},
        steps=STEPS.tolist(),
        width_80=width,
        log_return=came,
        covered_80=inside.astype(float),
        direction_hit=np.where(luck.random((2, *shape)) < 0.5, 1.0, 0.0),
    )


def asked(made: Made, at_ns: IntArray, **options: Any) -> dict[tuple[str, str], Gate]:
    options = {"replicates": 200, "identity": "x", **options}
    found = gates(*made, releases_ns=at_ns, timeframe=HOURLY, **options)
    return {(one.gate, one.forecaster): one for one in found}


def figure(gate: Gate, name: str) -> Any:
    return next(one for one in gate.figures if one.name == name)


def by_cell(made: Made, at_ns: IntArray, who: str, column: str, *, holds: bool) -> float:
    """exp of the mean over (instrument, step) of ln(mean with / mean without), by loops."""
    scores, keys = made
    cells: dict[tuple[str, int], tuple[list[float], list[float]]] = {}
    for row in range(len(scores)):
        cutoff, close = int(keys.data_cutoff_ns[row]), int(scores.target_close_ns[row])
        if keys.forecaster[row] != who or min(abs(close - at) for at in at_ns.tolist()) > 7 * DAY_NS:
            continue
        first = cutoff if holds else close - 2 * HOUR_NS
        is_with = any(first <= at < close for at in at_ns.tolist())
        value = abs(float(getattr(scores, column)[row]))
        cells.setdefault((keys.instrument[row], int(scores.step[row])), ([], []))[not is_with].append(value)
    logs = [math.log(np.mean(a) / np.mean(b)) for a, b in cells.values() if a and b]
    return math.exp(np.mean(logs))


# --- spread -----------------------------------------------------------------------------------------------------------


def test_a_forecaster_that_widens_passes_the_spread_gate_and_one_that_does_not_fails() -> None:
    at_ns = releases()
    found = asked(world(at_ns, widens=2.0), at_ns)
    wide, still = found["spread", "other"], found["spread", "ewma"]
    assert (wide.outcome, still.outcome) == ("pass", "fail")
    ratio = figure(wide, "spread_ratio")
    assert ratio.lo < 2.0 < ratio.hi
    assert figure(still, "spread_ratio").value == pytest.approx(1.0, abs=0.02)
    assert "times as wide with a release ahead" in wide.words
    assert figure(wide, "spread_over_realised").lo < 1.0 < figure(wide, "spread_over_realised").hi


def test_a_forecaster_that_narrows_or_widens_too_little_fails() -> None:
    at_ns = releases()
    for widens in (0.5, 1.2):
        assert asked(world(at_ns, widens=widens), at_ns)["spread", "other"].outcome == "fail"


def test_the_ratios_are_means_over_instrument_and_step_of_rows_within_a_week_of_a_release() -> None:
    at_ns = np.array([30, 61, 400], np.int64) * HOUR_NS
    made = world(at_ns, widens=1.7, cutoffs=700)
    gate = asked(made, at_ns)["spread", "other"]
    assert figure(gate, "spread_ratio").value == pytest.approx(by_cell(made, at_ns, "other", "width_80", holds=True))
    assert figure(gate, "realised_ratio").value == pytest.approx(
        by_cell(made, at_ns, "other", "log_return", holds=True)
    )
    quotient = figure(gate, "spread_ratio").value / figure(gate, "realised_ratio").value
    assert figure(gate, "spread_over_realised").value == pytest.approx(quotient)
    assert figure(gate, "events").value == 3


def test_few_releases_or_few_blocks_are_too_early_and_none_is_no_figure() -> None:
    few = releases(200)
    assert asked(world(few, widens=3.0), few)["spread", "other"].outcome == "too_early"
    short = releases(5, cutoffs=200)
    found = asked(world(short, widens=3.0, cutoffs=200), short)
    assert figure(found["spread", "other"], "events").value >= 20
    assert found["spread", "other"].words.startswith("too early to say")
    assert found["event-window", "other"].outcome == "too_early"
    none = asked(world(few), np.zeros(0, np.int64))
    assert {none[name, "other"].outcome for name in ("spread", "event-window", "direction")} == {"no_figure"}
    assert none["coverage", "other"].outcome != "no_figure"


def test_a_release_at_the_close_is_outside_and_one_at_the_cutoff_is_ahead() -> None:
    shape = (1, 60, 1)
    made = made_of({"ewma": np.full(shape, 0.01)}, steps=[1], width_80=np.ones(shape))
    found = asked(made, np.array([30 * HOUR_NS]))["spread", "ewma"]
    assert figure(found, "spread_ratio").n == 1, "of the bars around it only the one that opens with it"
    assert figure(asked(made, np.array([30 * HOUR_NS]))["event-window", "ewma"], "skill_inside").n == 2


# --- event windows ----------------------------------------------------------------------------------------------------


def test_skill_inside_and_outside_are_those_of_a_loop_and_a_planted_gap_fails() -> None:
    at_ns = releases()
    scores, keys = world(at_ns, moves=1.0)
    _, inside = holding(at_ns)
    row_in = np.array(
        [inside[cutoff // HOUR_NS, list(STEPS).index(step)] > 0 for cutoff, step in zip(
            keys.data_cutoff_ns, scores.step, strict=True)]
    )  # fmt: skip
    worse = (keys.forecaster == "other") & row_in
    scores.pinball_mean[worse] *= 1.5
    gate = asked((scores, keys), at_ns)["event-window", "other"]
    for name, rows in (("skill_inside", row_in), ("skill_outside", ~row_in)):
        logs = []
        for instrument in ("X:0", "X:1"):
            for step in STEPS:
                cell = rows & (keys.instrument == instrument) & (scores.step == step)
                mine, theirs = (scores.pinball_mean[cell & (keys.forecaster == who)] for who in ("other", "ewma"))
                logs.append(math.log(mine.mean() / theirs.mean()))
        assert figure(gate, name).value == pytest.approx(-math.expm1(np.mean(logs)))
    gap = figure(gate, "skill_inside").value - figure(gate, "skill_outside").value
    assert figure(gate, "skill_inside_minus_outside").value == pytest.approx(gap)
    assert gate.outcome == "fail"
    assert figure(gate, "skill_inside_minus_outside").hi < 0.0


def test_coverage_inside_counts_releases_and_a_calm_calibrated_forecaster_passes() -> None:
    at_ns = releases()
    made = world(at_ns, moves=1.0, seed=3)
    gate = asked(made, at_ns)["event-window", "ewma"]
    covered = figure(gate, "coverage80_inside")
    lo, hi = wilson(covered.value, covered.n)
    assert covered.n <= len(at_ns), "the rows around one release are one case"
    assert (covered.lo, covered.hi) == (float(lo), float(hi))
    assert gate.outcome == "pass"
    loud = asked(world(at_ns, moves=4.0), at_ns)["event-window", "ewma"]
    assert loud.outcome == "fail", "the market moves four times as far and the band does not"


# --- coverage, direction ----------------------------------------------------------------------------------------------


def test_a_band_that_covers_far_too_little_fails_the_coverage_gate() -> None:
    at_ns = releases()
    scores, keys = world(at_ns, moves=1.0)
    gate = asked((scores, keys), at_ns)["coverage", "other"]
    assert gate.outcome == "pass"
    scores.covered_80[np.random.default_rng(0).random(len(scores)) < 0.3] = 0.0
    gate = asked((scores, keys), at_ns)["coverage", "other"]
    assert gate.outcome == "fail"
    assert figure(gate, "kupiec_p").value < 0.01
    assert figure(gate, "coverage80").n == math.ceil((CUTOFFS) / 6), "origins that do not overlap"
    short = asked(world(releases(cutoffs=60), cutoffs=60), releases(cutoffs=60))["coverage", "other"]
    assert short.outcome == "too_early"


def test_direction_is_read_only_behind_a_spread_gate_that_was_passed() -> None:
    at_ns = releases()
    for widens, outcome in ((2.0, "pass"), (1.0, "fail")):
        scores, keys = world(at_ns, widens=widens)
        scores.direction_hit[:] = np.where(np.random.default_rng(1).random(len(scores)) < 0.9, 1.0, 0.0)
        gate = asked((scores, keys), at_ns)["direction", "other"]
        assert gate.outcome == outcome
        assert ("the spread gate comes first" in gate.words) is (outcome == "fail")
    scores.direction_hit[:] = np.nan
    assert asked((scores, keys), at_ns)["direction", "other"].outcome == "no_figure"
    coin = asked(world(at_ns, widens=2.0), at_ns)["direction", "other"]
    assert coin.outcome == "fail"
    rows = figure(coin, "direction_hit")
    assert rows.lo < 0.5 < rows.hi


# --- ensemble ---------------------------------------------------------------------------------------------------------


def pool_world(early: float, late: float, pool: float, *, cutoffs: int = 1200) -> Made:
    """`a` loses `early` times the reference's loss in the first half and `late` after it; `b` is steady at .97."""
    luck = np.random.default_rng(5)
    naive = luck.gamma(4.0, 0.001, (1, cutoffs, 1))
    noise = luck.uniform(0.98, 1.02, (3, *naive.shape))
    half = np.arange(cutoffs)[None, :, None] < cutoffs // 2
    return made_of(
        {
            "ewma": naive,
            "a": naive * np.where(half, early, late) * noise[0],
            "b": naive * 0.97 * noise[1],
            "ensemble-pool": naive * pool * noise[2],
        }
    )


def test_the_single_member_is_the_one_that_was_best_before_and_not_in_hindsight() -> None:
    gate = asked(pool_world(0.9, 1.2, 1.0), releases())["ensemble", "ensemble-pool"]
    assert gate.outcome == "pass", "a was best before and lost afterwards: the pool beats it"
    assert "beats a, chosen before" in gate.words
    assert "in hindsight was b" in gate.words
    assert figure(gate, "skill_over_hindsight_best").value < 0.0 < figure(gate, "skill_over_chosen").lo
    assert figure(gate, "skill_over_chosen").value == pytest.approx(1 - 1.0 / 1.2, abs=0.01)
    assert figure(gate, "dm_p").value < 0.01


def test_a_pool_that_ties_or_loses_fails_and_a_short_window_is_too_early() -> None:
    assert asked(pool_world(1.1, 1.1, 1.0), releases())["ensemble", "ensemble-pool"].outcome == "fail"
    lost = asked(pool_world(1.1, 1.1, 1.0), releases())["ensemble", "ensemble-pool"]
    assert "is beaten by b" in lost.words
    short = asked(pool_world(1.0, 1.0, 0.5, cutoffs=100), releases())["ensemble", "ensemble-pool"]
    assert short.outcome == "too_early"
    none = asked(pool_world(1.0, 1.0, 0.5), releases(), choose_until_ns=-1)["ensemble", "ensemble-pool"]
    assert none.outcome == "no_figure", "nothing had realised: nobody can be chosen"


def test_a_member_with_few_common_keys_is_not_compared() -> None:
    made = pool_world(0.5, 0.5, 0.9)
    scores, keys = made
    few = (keys.forecaster == "a") & (keys.data_cutoff_ns % (2 * HOUR_NS) == 0)
    gate = asked((scores.take(~few), keys.take(~few)), releases())["ensemble", "ensemble-pool"]
    assert "beats b, chosen before" in gate.words


# --- invariants -------------------------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), widens=st.floats(0.5, 3.0), scale=st.sampled_from([0.25, 2.0, 8.0]))
def test_order_of_rows_and_scale_of_widths_do_not_matter(seed: int, widens: float, scale: float) -> None:
    at_ns = releases(25, cutoffs=120)
    scores, keys = world(at_ns, widens=widens, seed=seed, cutoffs=120)
    before = gates(scores, keys, releases_ns=at_ns, timeframe=HOURLY, identity="x", replicates=20)
    order = np.random.default_rng(seed).permutation(len(scores))
    shuffled = gates(
        scores.take(order), keys.take(order), releases_ns=at_ns[::-1], timeframe=HOURLY, identity="x", replicates=20
    )
    assert shuffled == before
    scores.width_80[:] *= scale
    scaled = gates(scores, keys, releases_ns=at_ns, timeframe=HOURLY, identity="x", replicates=20)
    for left, right in zip(before, scaled, strict=True):
        if left.gate == "spread":
            assert figure(left, "spread_ratio").value == pytest.approx(figure(right, "spread_ratio").value)
            assert left.outcome == right.outcome


def test_nothing_scored_has_no_gates() -> None:
    scores, keys = world(releases(cutoffs=60), cutoffs=60)
    assert gates(scores.take([]), keys.take([]), releases_ns=releases(), timeframe=HOURLY, identity="x") == ()
