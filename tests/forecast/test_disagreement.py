"""The disagreement flag by hand: distance, opposite medians, its own past, and the envelope."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.errors import Invalid
from gnomon.forecast.disagreement import (
    FARTHEST,
    LEAST_TRAILING,
    TRAILING,
    Flag,
    KnownDistances,
    are_opposite,
    disagreement,
    distance,
    envelope,
)
from gnomon.forecast.forecast import LEVELS
from gnomon.forecast.quantiles import normal_scores

Z = normal_scores(LEVELS)
STEPS = np.sqrt(np.arange(1.0, 25.0))


def curve(drift: float, deviation: float = 0.01, base: float = 100.0) -> np.ndarray:
    return base * np.exp(drift * STEPS[:, None] + deviation * STEPS[:, None] * Z)


def test_the_distance_is_the_gap_of_the_medians_in_bands():
    one, other = curve(0.001), curve(-0.002, 0.02)
    columns = [LEVELS.index(level) for level in (0.1, 0.5, 0.9)]
    gaps, widths = [], []
    for step in range(24):
        (a10, a50, a90), (b10, b50, b90) = one[step, columns], other[step, columns]
        gaps.append(abs(a50 - b50))
        widths.append(0.5 * ((a90 - a10) + (b90 - b10)))
    assert distance(one, other, LEVELS) == pytest.approx(np.mean(gaps) / np.mean(widths), rel=1e-12)
    assert distance(one, one, LEVELS) == 0.0
    assert distance(np.full((2, 13), 5.0), np.full((2, 13), 6.0), LEVELS) == FARTHEST


def test_medians_are_opposite_when_each_lies_over_a_quarter_of_its_band_away():
    band = 2 * 1.2816 * 0.01
    assert are_opposite(curve(0.3 * band), curve(-0.3 * band), LEVELS, 100.0)
    assert not are_opposite(curve(0.3 * band), curve(-0.2 * band), LEVELS, 100.0)
    assert not are_opposite(curve(0.3 * band), curve(0.6 * band), LEVELS, 100.0)


def test_it_is_raised_beyond_the_95th_percentile_of_its_own_trailing_values():
    one, other = curve(0.0), curve(0.004)
    now = distance(one, other, LEVELS)
    past = np.linspace(0.0, 1.0, TRAILING)
    calm = past * now / 0.95 * 1.01
    assert not disagreement(one, other, LEVELS, 100.0, calm).is_raised
    found = disagreement(one, other, LEVELS, 100.0, calm * 0.97)
    assert found.is_raised
    assert found.words == "they lie unusually far apart"
    assert found.threshold == pytest.approx(np.quantile(calm * 0.97, 0.95))
    old = np.concatenate([np.full(1000, 99.0), calm * 0.97])  # what lies further back says nothing
    assert disagreement(one, other, LEVELS, 100.0, old) == found


def test_too_short_a_past_raises_nothing_but_opposite_medians():
    one, other = curve(0.0), curve(0.004)
    assert not disagreement(one, other, LEVELS, 100.0, np.zeros(LEAST_TRAILING - 1)).is_raised
    assert disagreement(one, other, LEVELS, 100.0, np.zeros(LEAST_TRAILING)).is_raised
    found = disagreement(curve(0.02), curve(-0.02), LEVELS, 100.0, np.zeros(0))
    assert found.is_raised
    assert (found.threshold, found.words) == (None, "their medians point opposite ways")
    assert json.loads(json.dumps(found.document()))["raised"] is True


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_the_envelope_holds_every_member_and_is_sorted(seed, count):
    curves = np.sort(np.random.default_rng(seed).lognormal(4, 0.2, (count, 6, len(LEVELS))), axis=2)
    widest = envelope(curves, LEVELS)
    middle = LEVELS.index(0.5)
    assert (np.diff(widest, axis=1) >= 0).all()
    assert np.array_equal(widest[:, :middle], curves[:, :, :middle].min(axis=0))
    assert np.array_equal(widest[:, middle + 1 :], curves[:, :, middle + 1 :].max(axis=0))
    assert np.array_equal(widest[:, middle], np.median(curves[:, :, middle], axis=0))


def test_the_envelope_keeps_a_given_median_inside():
    curves = np.stack([curve(0.0), curve(0.01)])
    widest = envelope(curves, LEVELS, curves[1][:, LEVELS.index(0.5)] * 2)
    assert np.array_equal(widest[:, LEVELS.index(0.5)], curves[1][:, LEVELS.index(0.5)])


def test_known_distances_are_those_of_earlier_cutoffs_of_the_same_series(make_context):
    known = KnownDistances()
    contexts = [make_context(60, last_day=day) for day in (20_000, 20_002, 20_001)]
    for number, context in enumerate(contexts):
        known.add(context, float(number))
        known.add(context, 99.0)  # a cutoff told twice keeps the first
    assert known.of(contexts[1]).tolist() == [0.0, 2.0]
    assert known.of(contexts[0]).tolist() == []
    assert known.of(make_context(60, last_day=20_500)).tolist() == [0.0, 2.0, 1.0]
    assert known.of(make_context(60, last_day=20_500, instrument="test:other")).tolist() == []


def test_a_flag_names_two_members_and_what_it_does():
    with pytest.raises(Invalid, match="disagree with itself"):
        Flag("ewma", "ewma", KnownDistances())
    with pytest.raises(Invalid, match="on_disagree"):
        Flag("ewma", "drift", KnownDistances(), on_disagree="shout")  # type: ignore[arg-type]  # what a user may write
