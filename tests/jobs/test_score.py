"""Scoring: what is due, what it is measured against, what is void."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from gnomon.clock import SimClock, Timeframe, parse_instant
from gnomon.jobs.predict import Plan, predict, subjects
from gnomon.jobs.score import score
from gnomon.market.candles import Candles
from gnomon.market.instrument import Instruments
from gnomon.store.store import Store
from gnomon.units import DAY_NS, HOUR_NS

HOUR = Timeframe.parse("1h")
LAST_NS = parse_instant("2024-04-01")


def issue(store: Store, configured: Instruments, as_of: str, horizon: int = 24) -> Plan:
    plan = Plan(tuple(subjects(store, configured, HOUR, ("BTCUSDT",))), HOUR, horizon, ("ewma", "drift"))
    assert predict(store, plan, SimClock(LAST_NS), as_of_ns=parse_instant(as_of)).issued == 2
    return plan


def test_a_score_is_the_naive_formula_over_the_stored_forecast(
    filled: Store, configured: Instruments, bars: list[Candles]
) -> None:
    plan = issue(filled, configured, "2024-03-20")
    done = score(filled, plan.subjects, SimClock(LAST_NS), lane="backfill")
    assert (done.rows, done.waiting, done.voids) == (18, 0, {})  # 9 graded steps up to 24, two forecasters
    scores, keys = filled.scores.read(lane="backfill", timeframe="1h")
    stored = {one.forecaster: one for one in filled.forecasts.find(lane="backfill")}
    btc = bars[0]
    closes = dict(zip(btc.close_ns.tolist(), btc.tick.floats(btc.close).tolist(), strict=True))
    for row, name in enumerate(keys.forecaster):
        one = stored[name]
        curve = filled.forecasts.quantiles([one.id])[one.id][scores.step[row] - 1]
        outcome = closes[parse_instant("2024-03-20") + int(scores.step[row]) * HOUR_NS]
        losses = [max(t * (outcome - q), (t - 1) * (outcome - q)) for t, q in zip(one.levels, curve, strict=True)]
        assert scores.realised[row] == outcome
        assert scores.pinball_mean[row] == pytest.approx(np.mean(losses) / one.base_price, rel=1e-12)


def test_scoring_twice_changes_nothing(filled: Store, configured: Instruments) -> None:
    plan = issue(filled, configured, "2024-03-20")
    score(filled, plan.subjects, SimClock(LAST_NS), lane="backfill")
    assert score(filled, plan.subjects, SimClock(LAST_NS), lane="backfill").rows == 0


def test_only_matured_steps_are_scored_and_the_rest_later(filled: Store, configured: Instruments) -> None:
    plan = issue(filled, configured, "2024-03-20")
    noon_ns = parse_instant("2024-03-20T06:30:00Z")
    assert score(filled, plan.subjects, SimClock(noon_ns), lane="backfill").rows == 2 * 5  # steps 1 2 3 4 6
    assert score(filled, plan.subjects, SimClock(LAST_NS), lane="backfill").rows == 2 * 4  # steps 8 12 18 24


def test_an_absent_bar_is_waited_for_and_then_void(filled: Store, configured: Instruments) -> None:
    plan = issue(filled, configured, "2024-03-31T12:00:00Z")
    soon = score(filled, plan.subjects, SimClock(LAST_NS + 20 * HOUR_NS), lane="backfill")
    assert (soon.rows, soon.waiting) == (14, 4)  # targets up to the last bar are scored, 18 and 24 wait
    late = score(filled, plan.subjects, SimClock(LAST_NS + 9 * DAY_NS), lane="backfill")
    assert (late.rows, late.waiting, late.voids) == (4, 0, {"absent": 2 * 2})


def test_a_live_step_whose_target_had_passed_is_late_and_void(filled: Store, configured: Instruments) -> None:
    plan = Plan(tuple(subjects(filled, configured, HOUR, ("BTCUSDT",))), HOUR, 24, ("ewma",))
    started_ns = parse_instant("2024-03-20T00:05:00Z")
    report = predict(filled, plan, _Slow(started_ns, started_ns + 3 * HOUR_NS))
    assert report.issued == 1
    done = score(filled, plan.subjects, SimClock(LAST_NS), lane="live")
    assert done.voids == {"late": 3}
    scores, _ = filled.scores.read(lane="live", timeframe="1h")
    late = scores.void_reason == "late"
    assert sorted(scores.step[late]) == [1, 2, 3]
    assert np.isnan(scores.pinball_mean[late]).all()


class _Slow:
    """A clock that reads the job's start first and its insertion hours later."""

    def __init__(self, *times_ns: int) -> None:
        self.times_ns = list(times_ns)

    def now_ns(self) -> int:
        return self.times_ns.pop(0) if len(self.times_ns) > 1 else self.times_ns[0]


def test_a_later_revision_does_not_rescore(
    filled: Store, configured: Instruments, bars: list[Candles], record: Callable[..., None]
) -> None:
    plan = issue(filled, configured, "2024-03-20")
    revised = replace(bars[0], close=bars[0].high.copy())
    record(filled, [revised], LAST_NS + HOUR_NS)
    score(filled, plan.subjects, SimClock(LAST_NS + 2 * HOUR_NS), lane="backfill")
    scores, _ = filled.scores.read(lane="backfill", timeframe="1h")
    first_close = bars[0].tick.floats(bars[0].close)[bars[0].open_ns == parse_instant("2024-03-20")][0]
    assert scores.realised[scores.step == 1][0] == first_close


def test_the_scorer_never_looks_past_the_target(
    filled: Store, configured: Instruments, bars: list[Candles], record: Callable[..., None]
) -> None:
    """Canary: with garbage after a step's target, the scores up to that step are the same."""
    plan = issue(filled, configured, "2024-03-20")
    at_ns = parse_instant("2024-03-20T06:00:00Z")
    score(filled, plan.subjects, SimClock(at_ns), lane="backfill")
    before, _ = filled.scores.read(lane="backfill", timeframe="1h")
    clean = dict(zip(zip(before.forecast_id, before.step, strict=True), before.pinball_mean, strict=True))
    after = bars[0].open_ns >= at_ns
    garbage = replace(bars[0], close=np.where(after, bars[0].low, bars[0].close))
    record(filled, [garbage], LAST_NS + HOUR_NS)
    score(filled, plan.subjects, SimClock(LAST_NS + 2 * HOUR_NS), lane="backfill")
    scores, _ = filled.scores.read(lane="backfill", timeframe="1h")
    seen = dict(zip(zip(scores.forecast_id, scores.step, strict=True), scores.pinball_mean, strict=True))
    assert {key: seen[key] for key in clean} == clean
