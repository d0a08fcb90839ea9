"""What a forecaster is given and answers with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gnomon.errors import Invalid
from gnomon.forecast import catalog


def test_the_input_hash_depends_on_all_that_a_forecaster_reads(make_context):
    context = make_context()
    changed = [
        replace(context, **{name: getattr(context, name) + 1})
        for name in ("bars", "open_ns", "target_open_ns", "target_close_ns", "local_ns", "five_session_bars", "tick")
    ]
    changed += [replace(context, instrument="test:other"), replace(context, data_cutoff_ns=context.data_cutoff_ns + 1)]
    hashes = {one.input_hash() for one in [context, *changed]}
    assert len(hashes) == len(changed) + 1
    assert replace(context, as_of_ns=context.as_of_ns + 1).input_hash() == context.input_hash()


def test_a_context_changed_by_replace_is_hashed_again(make_context):
    context = make_context()
    before = context.input_hash()
    assert replace(context, tick=1.0).input_hash() != before
    assert replace(context).input_hash() == before == context.input_hash()


def test_a_level_is_a_column(make_context):
    (forecast,) = catalog.forecaster("ewma").predict([make_context()], 24, levels=(0.1, 0.5))
    assert np.array_equal(forecast.at_level(0.5), forecast.quantiles[:, 1])
    with pytest.raises(Invalid, match=r"level 0\.9 was not forecast"):
        forecast.at_level(0.9)
