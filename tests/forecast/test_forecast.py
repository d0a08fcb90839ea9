"""What a forecaster is given and answers with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.forecast import catalog
from gnomon.forecast.forecast import Context, context_at
from gnomon.market.calendar import always
from gnomon.market.events import Events
from gnomon.market.synth import synthetic_candles
from gnomon.market.tape import History, Series, Tape
from gnomon.sources.instruments import shipped_instruments
from gnomon.units import DAY_NS, HOUR_NS


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


def test_the_hash_of_a_context_without_events_is_what_it_was_before_there_were_events():
    """Hashes of stored forecasts stay valid: this one was computed by the version before events."""
    times = np.arange(62, dtype=np.int64) * HOUR_NS
    context = Context(
        instrument="test:X",
        asset_class="crypto",
        timeframe=Timeframe.parse("1h"),
        as_of_ns=60 * HOUR_NS,
        data_cutoff_ns=60 * HOUR_NS,
        tick=0.5,
        bars=np.arange(1.0, 361.0).reshape(60, 6),
        open_ns=times[:60],
        target_open_ns=times[60:],
        target_close_ns=times[60:] + HOUR_NS,
        local_ns=times,
        five_session_bars=120,
    )
    known = "db64928e9309774e2003265ebe3673c9bf676cbff9b7ef27fe60aaab357e098e"
    assert context.input_hash() == known
    assert replace(context, close_ns=times[1:61], previous_close_ns=0).input_hash() == known


def test_events_are_part_of_the_hash(make_context):
    context = make_context()
    values, mask = np.zeros((400, 20), np.float32), np.ones((400, 20), np.uint8)
    other_values, other_mask = values.copy(), mask.copy()
    other_values[3, 5], other_mask[3, 6] = 1.0, 0
    given = [
        None,
        Events(values, mask, "events-1"),
        Events(values, mask, "events-2"),
        Events(other_values, mask, "events-1"),
        Events(values, other_mask, "events-1"),
        Events(np.concatenate([values, values]), np.concatenate([mask, mask]), "events-1"),
    ]
    assert len({replace(context, events=events).input_hash() for events in given}) == len(given)
    assert replace(context, events=given[1]).input_hash() == replace(context, events=given[1]).input_hash()


def test_a_context_knows_the_closes_of_its_bars_and_of_the_one_before():
    calendar, timeframe = always(19_000, 19_100), Timeframe.parse("1h")
    bitcoin = shipped_instruments().find("BTCUSDT")
    candles = synthetic_candles(bitcoin, calendar, timeframe, 19_000 * DAY_NS, 19_005 * DAY_NS, seed=1)
    view = Tape([Series(History(candles))]).as_of(19_004 * DAY_NS)
    short, whole = (context_at(view, bitcoin, calendar, timeframe, 5, lookback_bars=rows) for rows in (60, 96))
    assert len(short.bars) == len(short.close_ns) == 60
    assert np.array_equal(short.close_ns, short.open_ns + HOUR_NS)
    assert short.previous_close_ns == short.open_ns[0]
    assert np.array_equal(short.bars, whole.bars[-60:])
    assert len(whole.bars) == 96
    assert whole.previous_close_ns is None
