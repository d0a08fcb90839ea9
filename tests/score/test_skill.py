"""Skill beside its formula; its interval on simulated ties, true winners, and known truths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from gnomon.clock import Timeframe
from gnomon.score.forecasts import BUCKETS
from gnomon.score.significance import diebold_mariano
from gnomon.score.skill import LOSS_FLOOR, Rules, Skill, skill_of
from gnomon.score.table import code_of, table_of
from gnomon.units import DAY_NS, FloatArray

Make = Callable[..., Any]
HOURLY = Rules(Timeframe.parse("1h"), "a board")
STEPS = (1, 3, 8)


def skill_between(made: Make, ours: FloatArray, theirs: FloatArray, rules: Rules = HOURLY, **layout: Any) -> Skill:
    table = table_of(*made({"f": ours, "ewma": theirs}, **layout))
    rows = table.scored(table.rows(code_of(table, "f")))
    return skill_of(table, rows, table.loss_of(code_of(table, "ewma")), rules)


def naive_skill(ours: FloatArray, theirs: FloatArray, steps: tuple[int, ...]) -> float:
    """(I, C, S) -> 1 - exp of the mean over instrument x bucket of the log ratio of mean losses on common keys."""
    logs = []
    common = (ours > 0) & (theirs > 0)
    for i in range(len(ours)):
        for first, last in BUCKETS:
            inside = [s for s, step in enumerate(steps) if first <= step <= last]
            chosen = common[i][:, inside]
            if chosen.any():
                logs.append(np.log(ours[i][:, inside][chosen].mean() / theirs[i][:, inside][chosen].mean()))
    return 1 - np.exp(np.mean(logs))


def test_skill_is_the_geometric_mean_over_instruments_and_buckets_on_common_keys(made: Make) -> None:
    luck = np.random.default_rng(1)
    ours, theirs = luck.random((3, 60, 3)) + 0.5, luck.random((3, 60, 3)) + 0.5
    ours[luck.random(ours.shape) < 0.2] = np.nan
    theirs[luck.random(ours.shape) < 0.2] = -1.0
    skill = skill_between(made, ours, theirs, steps=STEPS)
    assert skill.value == pytest.approx(naive_skill(ours, theirs, STEPS), rel=1e-12)
    assert skill.n == ((ours > 0) & (theirs > 0)).sum()
    assert skill.lo is not None
    assert skill.hi is not None
    assert skill.lo < skill.value < skill.hi
    assert skill.blocks == pytest.approx(60 / 24)


def test_no_common_key_gives_no_figure(made: Make) -> None:
    ours, theirs = np.full((40, 1), 1.0), np.full((40, 1), 1.0)
    ours[:20], theirs[20:] = -1.0, -1.0
    assert skill_between(made, ours, theirs) == Skill()


def test_one_cutoff_has_a_skill_and_no_interval(made: Make) -> None:
    skill = skill_between(made, np.array([0.5]), np.array([1.0]))
    assert (skill.value, skill.lo, skill.hi, skill.dm_p) == (0.5, None, None, None)
    assert (skill.n, skill.blocks) == (1, 1.0)


def test_losses_of_zero_have_finite_skills(made: Make) -> None:
    some, none = np.full(100, 0.01), np.zeros(100)
    assert skill_between(made, none, none).value == 0.0
    perfect, hopeless = skill_between(made, none, some), skill_between(made, some, none)
    assert perfect.value == pytest.approx(1 - LOSS_FLOOR / 0.01)
    assert hopeless.value == pytest.approx(1 - 0.01 / LOSS_FLOOR)
    assert perfect.lo == pytest.approx(perfect.hi)


def test_a_forecaster_equal_to_the_reference_has_exactly_no_skill(made: Make) -> None:
    loss = np.random.default_rng(2).random((2, 100, 3))
    skill = skill_between(made, loss, loss, steps=STEPS)
    assert (skill.value, skill.lo, skill.hi, skill.dm_p) == (0.0, 0.0, 0.0, 1.0)


def test_a_cell_missing_from_a_replicate_is_left_out_of_its_mean(made: Make) -> None:
    ours, theirs = np.full((2, 200, 1), 0.5), np.full((2, 200, 1), 1.0)
    ours[1, 3:] = -1.0  # an instrument scored at three cutoffs alone
    skill = skill_between(made, ours, theirs)
    assert skill.lo == skill.hi == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("timeframe", "stride", "steps", "cutoffs", "block"),
    [
        ("1h", 1, (1, 8), 480, 24),  # at least a day
        ("1h", 1, (1, 48), 480, 48),  # the longest step
        ("1h", 6, (1, 48), 480, 24),  # 48 bars are 8 cutoffs
        ("5m", 1, (1, 8), 480, 24),
        ("1d", 1, (1, 2), 480, 5),
        ("1d", 1, (1, 30), 480, 30),
        ("1d", 1, (1, 120), 60, 60),  # never longer than all
    ],
)
def test_a_block_is_the_longest_step_and_at_least_a_day_or_a_week(
    made: Make, timeframe: str, stride: int, steps: tuple[int, ...], cutoffs: int, block: int
) -> None:
    frame = Timeframe.parse(timeframe)
    loss = np.random.default_rng(1).random((cutoffs, len(steps))) + 1
    skill = skill_between(
        made, loss, loss[::-1], Rules(frame, "x"), steps=steps, stride_bars=stride, bar_ns=frame.nominal_ns
    )
    assert skill.blocks == pytest.approx(cutoffs / block)


def test_where_instruments_close_at_different_hours_a_week_is_still_a_week(made: Make) -> None:
    """Three markets close at three hours of each day: a block of a week holds fifteen cutoffs."""
    loss = np.full((3, 300, 1), -1.0)
    for market in range(3):
        loss[market, market::3] = np.random.default_rng(market).random((100, 1))
    skill = skill_between(made, loss, loss, Rules(Timeframe.parse("1d"), "x"), steps=(3,), bar_ns=DAY_NS // 3)
    assert skill.blocks == pytest.approx(300 / 15)


def test_dm_is_over_cutoffs_with_each_cell_in_units_of_the_reference(made: Make) -> None:
    luck = np.random.default_rng(4)
    ours, theirs = luck.random((2, 80, 1)), luck.random((2, 80, 1)) * np.array([1.0, 100.0])[:, None, None]
    difference = ((theirs - ours) / theirs.mean(axis=1, keepdims=True)).mean(axis=(0, 2))
    skill = skill_between(made, ours, theirs, steps=(4,))
    assert skill.dm_p == pytest.approx(diebold_mariano(difference, 4).p)


# --- what the interval promises -------------------------------------------------------------------------------------


def rivals(seed: int, cutoffs: int, noise: float) -> tuple[FloatArray, FloatArray]:
    """Losses (C, S) of two forecasters of the same overlapping outcomes; ours calls with `noise`, the other with 1.

    Each call errs by a persistent noise of its own, so at noise 1 both are equal in law.
    """
    luck = np.random.default_rng(seed)
    path = np.concatenate([[0.0], np.cumsum(luck.normal(size=cutoffs + max(STEPS)))])
    outcome = np.stack([path[step:][:cutoffs] - path[:cutoffs] for step in STEPS], axis=1)

    def losses(noise: float) -> FloatArray:
        call = np.zeros(cutoffs)
        for c, shock in enumerate(luck.normal(0, noise * np.sqrt(1 - 0.7**2), cutoffs - 1), 1):
            call[c] = 0.7 * call[c - 1] + shock
        return np.abs(outcome - call[:, None] * np.sqrt(STEPS))

    return losses(noise), losses(1.0)


def skills(made: Make, seeds: int, noise: float, cutoffs: int = 720) -> list[Skill]:
    return [skill_between(made, *rivals(seed, cutoffs, noise), steps=STEPS) for seed in range(seeds)]


@pytest.mark.slow
def test_an_equal_in_law_is_called_a_tie_in_nine_of_ten_histories(made: Make) -> None:
    found = skills(made, 150, noise=1.0)
    ties = np.mean([skill.lo <= 0 <= skill.hi for skill in found])
    assert ties >= 0.9
    false_alarms = np.mean([skill.dm_p < 0.05 for skill in found])
    assert false_alarms <= 0.12


@pytest.mark.slow
def test_the_interval_holds_the_true_skill_at_about_its_nominal_rate(made: Make) -> None:
    truth = naive_skill(*(loss[None] for loss in rivals(10_000, 300_000, 0.8)), STEPS)
    held = sum(skill.lo <= truth <= skill.hi for skill in skills(made, 200, noise=0.8))
    low, high = stats.binomtest(held, 200).proportion_ci(0.99)
    assert 0.05 < truth < 0.25
    assert high >= 0.93, "a percentile interval of thirty blocks is a little narrow, not more"
    assert low <= 0.97


def test_a_truly_better_forecaster_is_told_from_the_reference(made: Make) -> None:
    found = skills(made, 20, noise=0.5)
    assert np.mean([skill.lo > 0 for skill in found]) >= 0.95
    assert np.mean([skill.dm_p < 0.05 for skill in found]) >= 0.9
