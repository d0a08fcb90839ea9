"""The flag's scorecard beside a loop over cells, planted effects and none, and how early is too early."""

from __future__ import annotations

import numpy as np
import pytest

from gnomon.clock import Timeframe
from gnomon.forecast.buckets import BUCKETS
from gnomon.score.disagreement import flag_scorecard
from gnomon.units import HOUR_NS

HOURLY = Timeframe.parse("1h")
STEPS = (1, 3, 6)


def world(made, *, effect: float, cutoffs: int = 1500, share: float = 0.08, seed: int = 0):
    """Scores of a pool on two instruments of unlike size; its loss is `1 + effect` times as large under the flag."""
    rng = np.random.default_rng(seed)
    raised = rng.random((2, cutoffs)) < share
    scale = np.array([1.0, 30.0])[:, None, None] * np.array([1.0, 2.0, 3.0])
    losses = rng.gamma(4.0, 0.001, (2, cutoffs, len(STEPS))) * scale * (1.0 + effect * raised[:, :, None])
    scores, keys = made({"pool": losses}, steps=STEPS)
    flags = {(f"X:{i}", c * HOUR_NS): bool(raised[i, c]) for i in range(2) for c in range(cutoffs)}
    return scores, keys, flags


def naive_excess(scores, keys, flags) -> float:
    cells: dict[tuple[str, int], tuple[list[float], list[float]]] = {}
    for loss, step, name, cutoff in zip(
        scores.pinball_mean, scores.step, keys.instrument, keys.data_cutoff_ns, strict=True
    ):
        bucket = next(n for n, (first, last) in enumerate(BUCKETS) if first <= step <= last)
        cells.setdefault((name, bucket), ([], []))[not flags[name, cutoff]].append(loss)
    ratios = [np.log(np.mean(up) / np.mean(rest)) for up, rest in cells.values() if up and rest]
    return float(np.exp(np.mean(ratios)) - 1.0)


def test_the_excess_is_the_mean_over_cells(made):
    scores, keys, flags = world(made, effect=0.2)
    card = flag_scorecard(scores, keys, flags, timeframe=HOURLY, identity="x", replicates=50)
    assert card.excess == pytest.approx(naive_excess(scores, keys, flags), rel=1e-9)
    assert card.raised + card.rest == len(scores)
    assert card.cutoffs == 1500
    assert card.blocks == pytest.approx(1500 / 24)


def test_a_planted_effect_is_found_and_said_in_words(made):
    scores, keys, flags = world(made, effect=0.3)
    card = flag_scorecard(scores, keys, flags, timeframe=HOURLY, identity="x", replicates=500)
    assert card.lo is not None
    assert card.lo > 0.0
    assert card.lo < 0.3 < card.hi
    assert card.words.startswith("losses are ")
    assert "higher when it is raised" in card.words
    scores, keys, flags = world(made, effect=-0.3)
    assert "lower when it is raised" in flag_scorecard(
        scores, keys, flags, timeframe=HOURLY, identity="x", replicates=500
    ).words  # fmt: skip


def test_without_an_effect_the_interval_holds_zero_most_of_the_time(made):
    held = 0
    for seed in range(20):
        scores, keys, flags = world(made, effect=0.0, cutoffs=700, seed=seed)
        card = flag_scorecard(scores, keys, flags, timeframe=HOURLY, identity=str(seed), replicates=300)
        held += card.lo <= 0.0 <= card.hi
    assert held >= 16


def test_a_small_sample_is_too_early_to_say(made):
    scores, keys, flags = world(made, effect=5.0, cutoffs=200)
    card = flag_scorecard(scores, keys, flags, timeframe=HOURLY, identity="x", replicates=100)
    assert card.words.startswith("too early to say (raised at ")
    scores, keys, flags = world(made, effect=5.0, share=0.004)
    card = flag_scorecard(scores, keys, flags, timeframe=HOURLY, identity="x", replicates=100)
    assert card.words.startswith("too early to say")


def test_a_flag_that_was_never_raised_has_no_figure(made):
    scores, keys, flags = world(made, effect=0.0, share=0.0, cutoffs=600)
    card = flag_scorecard(scores, keys, flags, timeframe=HOURLY, identity="x", replicates=50)
    assert (card.excess, card.lo, card.hi) == (None, None, None)
    assert card.words == "no figure: raised at 0 of 600 cutoffs"


def test_forecasts_without_a_flag_and_void_rows_are_left_out(made):
    scores, keys, flags = world(made, effect=0.2, cutoffs=600)
    scores.pinball_mean[:30] = np.nan
    half = {pair: up for pair, up in flags.items() if pair[1] < 300 * HOUR_NS}
    card = flag_scorecard(scores, keys, half, timeframe=HOURLY, identity="x", replicates=50)
    assert card.raised + card.rest == 300 * 2 * len(STEPS) - 30
    nothing = flag_scorecard(scores, keys, {}, timeframe=HOURLY, identity="x", replicates=50)
    assert (nothing.raised, nothing.rest, nothing.excess) == (0, 0, None)


def test_the_same_identity_draws_the_same_interval(made):
    scores, keys, flags = world(made, effect=0.2, cutoffs=600)
    first, again, other = (
        flag_scorecard(scores, keys, flags, timeframe=HOURLY, identity=name, replicates=100) for name in "xxy"
    )
    assert first == again
    assert (first.lo, first.excess) != (other.lo, None)
    assert first.excess == other.excess
