"""Grading: blocks of forecasts against a walk over rows, voids, and what a score may not know."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.forecast.forecast import LEVELS
from gnomon.score import forecasts
from gnomon.score.forecasts import BUCKETS, GRADED_STEPS, Scores, bucket_of, grade, grade_rows, graded_steps
from gnomon.units import FloatArray

STEPS = (1, 2, 3, 4, 6, 8)


def issued(count: int = 6, horizon: int = 8, seed: int = 0) -> dict[str, Any]:
    """Arguments of `grade` for some forecasts with outcomes inside and outside their bands, some unchanged."""
    luck = np.random.default_rng(seed)
    base = luck.uniform(1, 50_000, count)
    curves = np.sort(np.exp(luck.normal(0, 0.02, (count, horizon, len(LEVELS)))), axis=2) * base[:, None, None]
    curves[0, :, 6] = base[0]  # no call
    curves[0, :, :6] = np.minimum(curves[0, :, :6], base[0])
    curves[0, :, 7:] = np.maximum(curves[0, :, 7:], base[0])
    realised = base[:, None] * np.exp(luck.normal(0, 0.03, (count, len(STEPS))))
    realised[-1, 0] = base[-1]
    return {
        "quantiles": curves,
        "levels": LEVELS,
        "base_price": base,
        "p_up": luck.random((count, horizon)),
        "steps": STEPS,
        "realised": realised,
        "forecast_id": np.arange(count) + 100,
        "target_close_ns": np.arange(count)[:, None] * 10 + np.array(STEPS),
        "scored_at_ns": 7,
    }


def naive_row(curve: list[float], base: float, p_up: float, y: float) -> dict[str, float]:
    """One (forecast, step), as the table of metrics says it."""
    q = dict(zip(LEVELS, curve, strict=True))
    rho = {t: max(t * (y - q[t]), (t - 1) * (y - q[t])) for t in LEVELS}
    edges = [0.0, *((a + b) / 2 for a, b in zip(LEVELS[1:], LEVELS[:-1], strict=True)), 1.0]
    crps = 2 * sum((edges[k + 1] - edges[k]) * rho[t] for k, t in enumerate(LEVELS))
    m, l, u = q[0.5], q[0.1], q[0.9]  # noqa: E741 - the names of the formula
    wis = 0.5 * abs(y - m)
    for a, low, high in ((0.1, q[0.05], q[0.95]), (0.2, l, u), (0.5, q[0.25], q[0.75])):
        wis += a / 2 * (high - low) + max(0, low - y) + max(0, y - high)
    hit = math.nan if m == base else 0.5 if y == base else float((m > base) == (y > base))
    p = min(max(p_up, 0.01), 0.99)
    return {
        "realised": y,
        "pinball_mean": sum(rho.values()) / len(rho) / base,
        "crps": crps / base,
        "wis": wis / 3.5 / base,
        "covered_50": q[0.25] <= y <= q[0.75],
        "covered_80": l <= y <= u,
        "covered_90": q[0.05] <= y <= q[0.95],
        "side_80": (y > u) - (y < l),
        "width_80": (u - l) / base,
        "pit_bin": sum(q[t] <= y for t in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)),
        "direction_hit": hit,
        "p_up": p_up,
        "brier": (p_up - (y > base)) ** 2,
        "log_loss": -math.log(p if y > base else 1 - p),
        "abs_error": abs(m - y) / base,
        "log_return": math.log(y / base),
    }


def columns(scores: Scores) -> dict[str, np.ndarray]:
    return {column.name: getattr(scores, column.name) for column in fields(Scores)}


def same_bytes(left: Scores, right: Scores) -> bool:
    pairs = zip(columns(left).values(), columns(right).values(), strict=True)
    return all(a.tolist() == b.tolist() if a.dtype == object else a.tobytes() == b.tobytes() for a, b in pairs)


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_grading_a_block_is_grading_row_after_row(seed: int) -> None:
    case = issued(seed=seed)
    scores = grade(**case)
    expected = [
        naive_row(curves[step - 1].tolist(), base, p[step - 1], y)
        for curves, base, p, outcomes in zip(
            case["quantiles"],
            case["base_price"].tolist(),
            case["p_up"].tolist(),
            case["realised"].tolist(),
            strict=True,
        )
        for step, y in zip(STEPS, outcomes, strict=True)
    ]
    for name in expected[0]:
        found = getattr(scores, name)
        np.testing.assert_allclose(found, [row[name] for row in expected], rtol=1e-9, atol=1e-15, err_msg=name)
    assert scores.forecast_id.tolist() == np.repeat(case["forecast_id"], len(STEPS)).tolist()
    assert scores.step.tolist() == list(STEPS) * 6
    assert scores.target_close_ns.tolist() == case["target_close_ns"].ravel().tolist()
    assert set(scores.void_reason) == {""}


def test_every_figure_of_the_table_is_compared_with_the_naive_row() -> None:
    figures = set(naive_row([1.0] * len(LEVELS), 1.0, 0.5, 1.0))
    identity = {"forecast_id", "step", "stage", "target_close_ns", "realised_revision", "void_reason"}
    identity |= {"realised_at_ns", "scored_at_ns"}
    assert figures | identity == {column.name for column in fields(Scores)}


def test_a_forecast_scored_alone_has_the_same_bytes_as_in_a_batch() -> None:
    case = issued(count=40)
    together = grade(**case)
    by_forecast = ("quantiles", "base_price", "p_up", "realised", "forecast_id", "target_close_ns")
    alone = [
        grade(**{**case, **{name: case[name][one : one + 1] for name in by_forecast}, "steps": (step,),
                 "realised": case["realised"][one : one + 1, at : at + 1],
                 "target_close_ns": case["target_close_ns"][one : one + 1, at : at + 1]})
        for one in range(40)
        for at, step in enumerate(STEPS)
    ]  # fmt: skip
    assert same_bytes(Scores.join(alone), together)
    order = np.random.default_rng(1).permutation(40)
    shuffled = grade(**{**case, **{name: case[name][order] for name in by_forecast}})
    back = np.argsort(np.repeat(order, len(STEPS)) * len(STEPS) + np.tile(np.arange(len(STEPS)), 40))
    assert same_bytes(shuffled.take(back), together)


def test_canary_what_comes_after_a_target_changes_no_score_of_it() -> None:
    case = issued(count=10)
    before = grade(**case)
    for at, step in enumerate(STEPS):
        later = case["realised"].copy()
        later[:, at + 1 :] *= 7.0
        after = grade(**{**case, "realised": later})
        kept = before.step <= step
        assert same_bytes(before.take(kept), after.take(kept))
        assert at + 1 == len(STEPS) or (before.pinball_mean != after.pinball_mean)[~kept].all()


def test_void_rows_carry_their_reason_and_no_figure() -> None:
    case = issued()
    reason = np.full(case["realised"].shape, "", dtype=object)
    reason[2, 3] = "roll"
    case["realised"][4, 1] = math.nan
    scores = grade(**case, void_reason=reason)
    void = {("roll", 102, 4), (forecasts.NO_TARGET, 104, 2)}
    rows = zip(scores.void_reason, scores.forecast_id.tolist(), scores.step.tolist(), strict=True)
    assert {row for row in rows if row[0]} == void
    is_void = scores.void_reason != ""
    for name, column in columns(scores).items():
        if column.dtype == np.float64:
            assert np.isnan(column[is_void]).all(), name
            assert name == "direction_hit" or not np.isnan(column[~is_void]).any(), name
    assert reason[4, 1] == "", "the caller's array is left alone"


def test_a_void_row_may_have_any_outcome_but_a_scored_one_may_not() -> None:
    case = issued()
    case["realised"][1, 1] = -5.0
    reason = np.full(case["realised"].shape, "", dtype=object)
    with pytest.raises(Invalid, match="forecast 101, step 2: base price"):
        grade(**case, void_reason=reason)
    reason[1, 1] = "halt"
    assert np.isnan(grade(**case, void_reason=reason).pinball_mean).sum() == 1


def test_only_wanted_pairs_are_graded() -> None:
    case = issued()
    wanted = np.random.default_rng(3).random((6, len(STEPS))) < 0.4
    some, every = grade(**case, wanted=wanted), grade(**case)
    assert same_bytes(some, every.take(wanted.ravel()))
    assert len(grade(**case, wanted=np.zeros_like(wanted))) == 0


def test_levels_beyond_those_of_the_board_are_left_out() -> None:
    case = issued()
    low, high = case["quantiles"][..., :1] * 0.9, case["quantiles"][..., -1:] * 1.1
    wide = {
        **case,
        "quantiles": np.concatenate([low, case["quantiles"], high], axis=2),
        "levels": (0.01, *LEVELS, 0.99),
    }
    assert same_bytes(grade(**wide), grade(**case))


def test_what_cannot_be_scored_is_refused_with_its_place() -> None:
    case = issued()
    with pytest.raises(Invalid, match=r"level 0\.05 was not forecast"):
        grade(**{**case, "quantiles": case["quantiles"][..., 1:], "levels": LEVELS[1:]})
    with pytest.raises(Invalid, match="a forecast of 8"):
        grade(**{**case, "steps": (1, 2, 3, 4, 6, 9)})
    for broken in (case["quantiles"][..., ::-1], case["quantiles"] * -1, case["quantiles"] * math.nan):
        with pytest.raises(Invalid, match="forecast 100, step 1: quantiles"):
            grade(**{**case, "quantiles": broken})
    with pytest.raises(Invalid, match=r"forecast 100, step 1: base price -"):
        grade(**{**case, "base_price": -case["base_price"]})


def test_stage_revision_and_time_of_scoring_are_kept() -> None:
    case = issued()
    revision = np.arange(6 * len(STEPS)).reshape(6, -1)
    scores = grade(**case, stage=1, realised_revision=revision)
    assert set(scores.stage.tolist()) == {1}
    assert scores.stage.dtype == np.int8
    assert scores.realised_revision.tolist() == revision.ravel().tolist()
    assert set(scores.scored_at_ns.tolist()) == {7}


def test_rows_of_many_shapes_are_graded_together() -> None:
    short, long = issued(horizon=8), issued(horizon=24, seed=2)
    separate = Scores.join([grade(**short), grade(**long)])

    def rows(case: dict[str, Any]) -> list[FloatArray]:
        at = np.array(STEPS) - 1
        n = len(STEPS)
        return [
            case["quantiles"][:, at].reshape(-1, len(LEVELS)),
            np.repeat(case["base_price"], n),
            case["p_up"][:, at].ravel(),
            case["realised"].ravel(),
            np.repeat(case["forecast_id"], n),
            np.tile(STEPS, len(case["base_price"])),
            case["target_close_ns"].ravel(),
        ]

    curve, base, p_up, y, ids, step, target = (
        np.concatenate(pair) for pair in zip(rows(short), rows(long), strict=True)
    )
    flat = grade_rows(curve, LEVELS, base, p_up, y, forecast_id=ids, step=step, target_close_ns=target, scored_at_ns=7)
    assert same_bytes(flat, separate)


def test_nothing_cannot_be_joined() -> None:
    with pytest.raises(Invalid, match="no scores"):
        Scores.join([])


@pytest.mark.parametrize(
    ("timeframe", "table"), [("1h", "1h"), ("5m", "1h"), ("4h", "1h"), ("1d", "1d"), ("1w", "1d"), ("1mo", "1d")]
)
def test_graded_steps_are_hourly_below_a_day_and_daily_from_a_day_on(timeframe: str, table: str) -> None:
    frame = Timeframe.parse(timeframe)
    assert graded_steps(frame, 120) == GRADED_STEPS[table]
    assert graded_steps(frame, 5) == tuple(step for step in GRADED_STEPS[table] if step <= 5)
    assert graded_steps(frame, 0) == ()


def test_buckets_hold_their_first_and_last_step() -> None:
    for index, (first, last) in enumerate(BUCKETS):
        assert bucket_of([first, last]).tolist() == [index, index]
    assert bucket_of(500) == len(BUCKETS) - 1


def test_every_metric_is_importable_from_here() -> None:
    assert all(callable(getattr(forecasts, name)) or name in ("BUCKETS", "GRADED_STEPS") for name in forecasts.__all__)
