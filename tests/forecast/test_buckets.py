"""Graded steps and horizon buckets: one table for scores, calibrations and weights."""

from __future__ import annotations

import numpy as np
import pytest

from gnomon.clock import Timeframe
from gnomon.forecast.buckets import BUCKETS, GRADED_STEPS, bucket_of, graded_steps
from gnomon.score import forecasts


def test_every_graded_step_lies_in_the_bucket_that_names_it():
    for steps in GRADED_STEPS.values():
        for step in steps:
            first, last = BUCKETS[int(bucket_of(step))]
            assert first <= step <= last


def test_buckets_follow_on_each_other_and_the_last_takes_what_lies_beyond():
    assert np.array_equal(bucket_of(np.arange(1, 121)), [0] + [1] * 4 + [2] * 19 + [3] * 96)
    assert bucket_of(500) == 3


@pytest.mark.parametrize(("timeframe", "expected"), [("1h", (1, 2, 3, 4, 6)), ("1d", (1, 2, 3, 4, 5))])
def test_steps_are_graded_up_to_the_horizon(timeframe, expected):
    assert graded_steps(Timeframe.parse(timeframe), 6) == expected


def test_scores_use_the_same_tables():
    assert forecasts.BUCKETS is BUCKETS
    assert forecasts.GRADED_STEPS is GRADED_STEPS
    assert forecasts.bucket_of is bucket_of
    assert forecasts.graded_steps is graded_steps
