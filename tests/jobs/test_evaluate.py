"""Walk-forward: origins, resumption, look-ahead, the board."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gnomon.clock import SimClock, Timeframe, iso, parse_instant
from gnomon.errors import Invalid
from gnomon.forecast.catalog import BASELINES
from gnomon.jobs.evaluate import Span, board_filter, evaluate, origins_of
from gnomon.jobs.predict import Plan, subjects
from gnomon.market.candles import Candles
from gnomon.market.instrument import Instruments
from gnomon.store.boards import BoardFilter, board_of, reliability_of
from gnomon.store.store import Store

HOUR = Timeframe.parse("1h")
NOW = SimClock(parse_instant("2025-01-01"))
SPAN = Span(parse_instant("2024-03-10"), parse_instant("2024-03-20"), 12)


def slots(plan: Plan) -> int:
    return sum(len(origins_of(subject, SPAN, plan.horizon)) for subject in plan.subjects)


def plan_of(store: Store, configured: Instruments, *names: str, forecasters: tuple[str, ...] = BASELINES) -> Plan:
    return Plan(tuple(subjects(store, configured, HOUR, names)), HOUR, 12, forecasters)


def test_origins_are_every_stride_th_close_and_targets_stay_inside(filled: Store, configured: Instruments) -> None:
    subject = subjects(filled, configured, HOUR, ("BTCUSDT",))[0]
    origins = [iso(at_ns) for at_ns in origins_of(subject, SPAN, 12)]
    assert origins[:2] == ["2024-03-10T00:00:00Z", "2024-03-10T12:00:00Z"]
    assert origins[-1] == "2024-03-19T12:00:00Z"
    assert len(origins) == 20


def test_a_walk_forward_issues_scores_and_answers_with_a_board(filled: Store, configured: Instruments) -> None:
    plan = plan_of(filled, configured)
    done = evaluate(filled, plan, SPAN, NOW)
    rows = board_of(filled.scores, board_filter(plan, SPAN))
    assert done.issued + len(BASELINES) * sum(done.missed.values()) == len(BASELINES) * slots(plan)
    assert {row.forecaster for row in rows} == set(BASELINES)
    assert {row.instrument for row in rows} == {"all", *(one.instrument.id for one in plan.subjects)}
    assert all(0.0 <= row.coverage80 <= 1.0 for row in rows if row.coverage80 is not None)
    assert all("too early to say" in row.verdict for row in rows if row.forecaster != "ewma")
    assert {one.forecaster for one in reliability_of(filled.scores, board_filter(plan, SPAN))} == set(BASELINES)


def test_a_second_run_does_nothing_and_shows_the_same_board(filled: Store, configured: Instruments) -> None:
    plan = plan_of(filled, configured, "BTCUSDT", forecasters=("ewma", "fhs"))
    first = evaluate(filled, plan, SPAN, NOW)
    board = board_of(filled.scores, board_filter(plan, SPAN))
    again = evaluate(filled, plan, SPAN, NOW)
    assert (again.issued, again.existing, again.scored.rows) == (0, first.issued, 0)
    assert board_of(filled.scores, board_filter(plan, SPAN)) == board


def test_live_and_backfill_never_mix(filled: Store, configured: Instruments) -> None:
    plan = plan_of(filled, configured, "BTCUSDT", forecasters=("ewma",))
    evaluate(filled, plan, SPAN, NOW)
    assert board_of(filled.scores, BoardFilter("live", HOUR)) == ()
    assert filled.forecasts.find(lane="live") == []


@pytest.mark.parametrize("seed", range(4))
def test_garbage_after_an_origin_changes_no_forecast_before_it(
    seed: int, configured: Instruments, bars: list[Candles], record: Callable[..., None], tmp_path: Path
) -> None:
    """The canary of the whole job: every value after a random cutoff is replaced; what was issued by then is equal."""
    generator = np.random.default_rng(seed)
    cutoff_ns = int(generator.integers(SPAN.first_ns, SPAN.last_ns))
    worlds = {"clean": bars, "spoiled": [spoil(one, cutoff_ns, generator) for one in bars]}
    issued = {}
    for name, candles in worlds.items():
        store = Store.open(f"sqlite:///{tmp_path / name}.db", tmp_path / name)
        record(store, candles, NOW.now_ns())
        evaluate(store, plan_of(store, configured), SPAN, NOW)
        issued[name] = {
            (one.instrument, one.forecaster, one.data_cutoff_ns): (one.raw_digest, one.input_hash)
            for one in store.forecasts.find(lane="backfill", limit=10_000)
        }
        store.engine.dispose()
    before = {key for key in issued["clean"] if key[2] <= cutoff_ns}
    assert before
    assert {key: issued["spoiled"][key] for key in before} == {key: issued["clean"][key] for key in before}
    after = issued["clean"].keys() - before
    assert all(issued["spoiled"][key] != issued["clean"][key] for key in after), "the garbage must be seen after it"


def spoil(candles: Candles, cutoff_ns: int, generator: np.random.Generator) -> Candles:
    """Bars that close after the cutoff, replaced by garbage that still is a bar."""
    after = candles.close_ns > cutoff_ns
    percent = generator.integers(90, 110, len(candles))
    changed = {
        name: np.where(after, getattr(candles, name) * percent // 100, getattr(candles, name))
        for name in ("open", "high", "low", "close", "volume")
    }
    return replace(candles, **changed)


def test_a_span_without_room_is_refused(filled: Store, configured: Instruments) -> None:
    short = Span(parse_instant("2024-03-10"), parse_instant("2024-03-10T06:00:00Z"), 1)
    with pytest.raises(Invalid, match="leaves room for 12 bars"):
        evaluate(filled, plan_of(filled, configured, "BTCUSDT"), short, NOW)
    with pytest.raises(Invalid, match="not after"):
        Span(10, 10, 1)
    with pytest.raises(Invalid, match="stride 0"):
        Span(10, 20, 0)


def test_origins_with_too_few_bars_behind_them_are_missed_not_fatal(filled: Store, configured: Instruments) -> None:
    start = Span(parse_instant("2024-01-02"), parse_instant("2024-01-05"), 12)
    plan = plan_of(filled, configured, "BTCUSDT", forecasters=("ewma",))
    done = evaluate(filled, plan, start, NOW)
    assert done.missed == {"BTCUSDT": 3}, "24, 36 and 48 bars are too few"
    assert done.issued == len(origins_of(plan.subjects[0], start, 12)) - 3
