"""Boards: every figure of a row beside its naive version, and what a board may not depend on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.clock import Timeframe
from gnomon.forecast.forecast import LEVELS
from gnomon.score.compare import ALL, BoardRow, board, pairs, reliability
from gnomon.score.forecasts import ScoredKeys, Scores, grade
from gnomon.score.metrics import mase, pit_distance
from gnomon.score.significance import benjamini_hochberg, wilson
from gnomon.units import HOUR_NS

Make = Callable[..., Any]
Made = tuple[Scores, ScoredKeys]
HOURLY = Timeframe.parse("1h")
STEPS = (1, 2, 4)
CONTRACT = [
    "forecaster", "instrument", "n", "blocks", "pinball", "skill", "skill_lo", "skill_hi", "coverage80",
    "coverage80_lo", "coverage80_hi", "below80", "above80", "coverage50", "coverage90", "width80", "crps", "wis",
    "mae", "mase", "direction_hit", "n_calls", "brier", "pit_distance", "dm_p", "star", "voids", "verdict",
    "verdict_kind",
]  # fmt: skip


def random_board(made: Make, seed: int = 0, cutoffs: int = 600, **shift: float) -> Made:
    """Two instruments; each named forecaster's losses are the reference's, times exp(shift), times noise; some void."""
    luck = np.random.default_rng(seed)
    shape = (2, cutoffs, len(STEPS))
    common = np.exp(luck.normal(0, 0.3, shape)) * 0.01
    losses = {"ewma": common * np.exp(luck.normal(0, 0.1, shape))}
    losses |= {name: common * np.exp(luck.normal(by, 0.1, shape)) for name, by in shift.items()}
    for loss in losses.values():
        loss[luck.random(shape) < 0.02] = np.nan
    full = (len(losses), *shape)
    side = luck.choice([-1.0, 0.0, 0.0, 0.0, 1.0], full)
    return made(
        losses,
        steps=STEPS,
        crps=luck.random(full),
        wis=luck.random(full),
        covered_50=luck.integers(0, 2, full),
        covered_80=side == 0,
        covered_90=luck.integers(0, 2, full),
        side_80=side,
        width_80=luck.random(full),
        pit_bin=luck.integers(0, 10, full),
        direction_hit=luck.choice([0.0, 0.5, 1.0, np.nan], full),
        brier=luck.random(full),
        abs_error=luck.random(full),
        log_return=luck.normal(0, 0.01, full),
    )


def board_of(made: Made, **options: Any) -> tuple[BoardRow, ...]:
    return board(*made, timeframe=HOURLY, **{"identity": "a board", "replicates": 300, **options})


def row_of(rows: tuple[BoardRow, ...], forecaster: str, instrument: str = ALL) -> BoardRow:
    (row,) = [one for one in rows if (one.forecaster, one.instrument) == (forecaster, instrument)]
    return row


def text(rows: tuple[BoardRow, ...]) -> str:
    return json.dumps([row.row() for row in rows], allow_nan=False)


# --- figures --------------------------------------------------------------------------------------------------------


def walked_origins(own: Scores, whose: ScoredKeys) -> int:
    """Cutoffs picked oldest first, none before the targets of the last one picked are known."""
    picked, free_at = 0, 0
    for cutoff in sorted(set(whose.data_cutoff_ns.tolist())):
        if cutoff >= free_at:
            picked, free_at = picked + 1, own.target_close_ns[whose.data_cutoff_ns == cutoff].max()
    return picked


@pytest.mark.parametrize("instrument", [ALL, "X:1"])
def test_each_figure_of_a_row_is_its_naive_version(made: Make, instrument: str) -> None:
    scores, keys = random_board(made, fhs=0.0)
    row = row_of(board_of((scores, keys)), "fhs", instrument)
    mine = (keys.forecaster == "fhs") & ((instrument == ALL) | (keys.instrument == instrument))
    voids = int((mine & np.isnan(scores.pinball_mean)).sum())
    own, whose = scores.take(mine & ~np.isnan(scores.pinball_mean)), keys.take(mine & ~np.isnan(scores.pinball_mean))
    low, high = wilson(own.covered_80.mean(), walked_origins(own, whose))
    group = own.step + 10 * (whose.instrument == "X:1")
    expected = {
        "n": len(own),
        "voids": voids,
        "blocks": 600 / 24,
        "pinball": own.pinball_mean.mean(),
        "crps": own.crps.mean(),
        "wis": own.wis.mean(),
        "coverage80": own.covered_80.mean(),
        "coverage80_lo": float(low),
        "coverage80_hi": float(high),
        "coverage50": own.covered_50.mean(),
        "coverage90": own.covered_90.mean(),
        "below80": (own.side_80 == -1).mean(),
        "above80": (own.side_80 == 1).mean(),
        "width80": np.median(own.width_80),
        "mae": own.abs_error.mean(),
        "mase": mase(own.abs_error, np.abs(np.exp(own.log_return) - 1), group),
        "direction_hit": np.nanmean(own.direction_hit),
        "n_calls": (~np.isnan(own.direction_hit)).sum(),
        "brier": own.brier.mean(),
        "pit_distance": pit_distance(own.pit_bin),
    }
    assert {name: row.row()[name] for name in expected} == pytest.approx(expected, rel=1e-12)
    assert row.coverage80 + row.below80 + row.above80 == pytest.approx(1.0)


def test_a_row_has_the_fields_of_the_contract_and_is_json(made: Make) -> None:
    rows = board_of(random_board(made, fhs=0.0))
    assert all(list(row.row()) == CONTRACT for row in rows)
    assert json.loads(text(rows)) == [row.row() for row in rows]


def test_rows_are_all_first_then_instruments_each_by_lower_bound(made: Make) -> None:
    rows = board_of(random_board(made, good=-0.1, bad=0.1, fhs=0.0))
    assert [row.instrument for row in rows] == [ALL] * 4 + ["X:0"] * 4 + ["X:1"] * 4
    for group in (rows[:4], rows[4:8], rows[8:]):
        bounds = [row.skill_lo for row in group]
        assert bounds == sorted(bounds, reverse=True)
        assert (group[0].forecaster, group[-1].forecaster) == ("good", "bad")


def test_verdicts_say_what_the_interval_allows(made: Make) -> None:
    rows = board_of(random_board(made, good=-0.1, bad=0.1, fhs=0.0))
    kinds = {name: row_of(rows, name).verdict_kind for name in ("good", "bad", "fhs", "ewma")}
    assert kinds == {"good": "beats", "bad": "beaten", "fhs": "tie", "ewma": "reference"}
    good = row_of(rows, "good")
    assert good.verdict == (
        f"beats naive by {100 * good.skill:.1f} % ({100 * good.skill_lo:.1f} … {100 * good.skill_hi:.1f})"
    )
    assert row_of(rows, "fhs").verdict.startswith("cannot be told from naive (n = ")


def test_the_reference_row_is_neutral(made: Make) -> None:
    row = row_of(board_of(random_board(made, fhs=0.0)), "ewma")
    assert (row.skill, row.skill_lo, row.skill_hi, row.dm_p, row.star) == (0.0, 0.0, 0.0, None, False)
    assert row.verdict == "the reference"


def test_without_the_reference_there_is_no_skill(made: Make) -> None:
    rows = board_of(random_board(made, fhs=0.0), reference="garch")
    assert {row.verdict for row in rows} == {"no figure: no keys in common with garch"}
    assert {(row.skill, row.skill_lo, row.dm_p, row.blocks) for row in rows} == {(None, None, None, 0.0)}
    assert all(row.pinball is not None for row in rows)


def test_few_blocks_are_too_early_to_say(made: Make) -> None:
    rows = board_of(random_board(made, cutoffs=479, good=-0.5))
    row = row_of(rows, "good")
    assert row.blocks < 20
    assert row.verdict == f"too early to say (n = {row.n - missing_at_reference(made)})"
    assert row_of(board_of(random_board(made, cutoffs=480, good=-0.5)), "good").verdict_kind == "beats"


def missing_at_reference(made: Make) -> int:
    """Steps that `good` has and the void rows of the reference don't answer: the words count common keys."""
    scores, keys = random_board(made, cutoffs=479, good=-0.5)
    loss = {
        name: {
            (i, c, s): x
            for i, c, s, x, f in zip(
                keys.instrument, keys.data_cutoff_ns, scores.step, scores.pinball_mean, keys.forecaster, strict=True
            )
            if f == name and not math.isnan(x)
        }
        for name in ("good", "ewma")
    }
    return len(loss["good"].keys() - loss["ewma"].keys())


def test_one_cutoff_makes_a_board(made: Make) -> None:
    rows = board_of(made({"ewma": np.array([0.02]), "f": np.array([0.01])}))
    row = row_of(rows, "f")
    assert (row.n, row.blocks, row.skill, row.skill_lo) == (1, 1.0, pytest.approx(0.5), None)
    assert row.verdict == "too early to say (n = 1)"
    assert json.loads(text(rows))


def test_an_empty_board_has_no_rows(made: Make) -> None:
    scores, keys = made({"ewma": np.ones(3)})
    nothing = np.zeros(3, dtype=bool)
    assert board_of((scores.take(nothing), keys.take(nothing))) == ()


def test_a_forecaster_whose_rows_are_all_void_stands_there_with_its_voids(made: Make) -> None:
    rows = board_of(made({"ewma": np.ones(50), "f": np.full(50, np.nan)}))
    row = row_of(rows, "f")
    assert (row.n, row.voids, row.pinball, row.mase, row.coverage80_lo, row.pit_distance) == (0, 50) + (None,) * 4
    assert row.verdict_kind == "no_figure"
    assert json.loads(text(rows))


def test_a_forecaster_that_misses_an_instrument_is_compared_on_what_it_has(made: Make) -> None:
    ours = np.full((2, 600, 1), 0.9)
    ours[1] = -1.0
    rows = board_of(made({"ewma": np.ones((2, 600, 1)), "f": ours}))
    assert row_of(rows, "f").skill == pytest.approx(0.1)
    assert [row.instrument for row in rows if row.forecaster == "f"] == [ALL, "X:0"]


def test_another_loss_or_bucket_makes_another_board(made: Make) -> None:
    scores, keys = random_board(made, fhs=0.0)
    whole, by_crps = (row_of(board_of((scores, keys), loss=loss), "fhs") for loss in ("pinball_mean", "crps"))
    assert whole.skill != by_crps.skill
    assert whole.pinball == by_crps.pinball
    narrow = row_of(board_of((scores, keys), bucket=(2, 5)), "fhs")
    assert narrow.n < whole.n
    one_step = scores.step == 1
    assert text(board_of((scores, keys), bucket=(1, 1))) == text(board_of((scores.take(one_step), keys.take(one_step))))


# --- what it may not depend on --------------------------------------------------------------------------------------


@settings(max_examples=8)
@given(st.integers(0, 1_000))
def test_the_order_of_rows_does_not_change_a_byte(made: Make, seed: int) -> None:
    scores, keys = random_board(made, fhs=0.0, drift=0.02, cutoffs=150)
    order = np.random.default_rng(seed).permutation(len(scores))
    assert text(board_of((scores.take(order), keys.take(order)))) == text(board_of((scores, keys)))


def test_a_row_does_not_depend_on_who_else_is_there_but_for_the_star(made: Make) -> None:
    scores, keys = random_board(made, a=-0.1, fhs=0.0, zed=0.01)
    few = np.isin(keys.forecaster, ["fhs", "ewma"])
    without_star = [
        {name: value for name, value in row.row().items() if name != "star"}
        for rows in (board_of((scores, keys)), board_of((scores.take(few), keys.take(few))))
        for row in rows
        if row.forecaster in ("fhs", "ewma")
    ]
    half = len(without_star) // 2
    assert sorted(without_star[:half], key=str) == sorted(without_star[half:], key=str)


def test_the_interval_is_drawn_by_identity_and_seed(made: Make) -> None:
    both = random_board(made, fhs=0.0)
    bounds = {
        (row.skill_lo, row.skill_hi)
        for options in ({}, {}, {"identity": "another"}, {"seed": 1})
        for row in [row_of(board_of(both, **options), "fhs")]
    }
    assert len(bounds) == 3


def test_stars_are_those_who_beat_naive_and_survive_benjamini_hochberg(made: Make) -> None:
    names = {f"tie{n}": 0.0 for n in range(6)}
    rows = board_of(random_board(made, seed=5, good=-0.05, bad=0.05, **names))
    survives = benjamini_hochberg([math.nan if row.dm_p is None else row.dm_p for row in rows])
    for row, kept in zip(rows, survives, strict=True):
        assert row.star == (kept and row.verdict_kind == "beats")
    assert {row.forecaster for row in rows if row.star} >= {"good"}
    assert not row_of(rows, "bad").star


# --- from quantiles to a verdict ------------------------------------------------------------------------------------


def test_a_forecaster_with_the_right_spread_beats_one_with_three_times_it() -> None:
    luck, cutoffs = np.random.default_rng(2), 600
    y = 100 * np.exp(luck.normal(0, 0.01, (cutoffs, 1)))
    z = np.sort(luck.normal(size=200_000))[(np.array(LEVELS) * 200_000).astype(int)]
    parts, names = [], {"ewma": 0.03, "sharp": 0.01}
    for number, spread in enumerate(names.values()):
        curve = np.tile(100 * np.exp(spread * z), (cutoffs, 1, 1))
        parts.append(
            grade(
                curve, LEVELS, np.full(cutoffs, 100.0), np.full((cutoffs, 1), 0.5), (1,), y,
                forecast_id=np.arange(cutoffs) + number * cutoffs,
                target_close_ns=(np.arange(cutoffs)[:, None] + 1) * HOUR_NS, scored_at_ns=0,
            )
        )  # fmt: skip
    forecaster = np.repeat(np.array(list(names), dtype=object), cutoffs)
    keys = ScoredKeys(
        forecaster, np.full(2 * cutoffs, "1", object), np.full(2 * cutoffs, "X:0", object),
        np.tile(np.arange(cutoffs) * HOUR_NS, 2),
    )  # fmt: skip
    rows = board_of((Scores.join(parts), keys))
    row = row_of(rows, "sharp")
    assert row.verdict_kind == "beats"
    assert row.star
    assert row.coverage80_lo < 0.8 < row.coverage80_hi
    assert row_of(rows, "ewma").coverage80 > 0.99


# --- pairs, reliability ---------------------------------------------------------------------------------------------


def test_pairs_count_the_cutoffs_won(made: Make) -> None:
    scores, keys = random_board(made, cutoffs=60, a=-0.1, b=0.0)
    found = pairs(scores, keys)
    loss: dict[str, dict[tuple[str, int, int], float]] = {name: {} for name in found.forecasters}
    for f, i, c, s, x in zip(
        keys.forecaster, keys.instrument, keys.data_cutoff_ns, scores.step, scores.pinball_mean, strict=True
    ):
        if not math.isnan(x):
            loss[f][i, c, s] = x
    for left, ours in enumerate(found.forecasters):
        for right, theirs in enumerate(found.forecasters):
            if left != right:
                gap: dict[int, float] = {}
                for key in loss[ours].keys() & loss[theirs].keys():
                    gap[key[1]] = gap.get(key[1], 0.0) + loss[theirs][key] - loss[ours][key]
                won = sum(x > 0 for x in gap.values()) / len(gap)
                low, high = wilson(won, 15)
                cell = (left, right)
                assert (found.share[cell], found.cutoffs[cell]) == (pytest.approx(won), len(gap))
                assert (found.lo[cell], found.hi[cell]) == (pytest.approx(float(low)), pytest.approx(float(high)))


def test_pairs_without_a_common_cutoff_are_nan(made: Make) -> None:
    ours, theirs = np.ones(10), np.ones(10)
    ours[:5], theirs[5:] = -1.0, -1.0
    found = pairs(*made({"a": ours, "b": theirs}))
    assert np.isnan(found.share).all()
    assert found.cutoffs.sum() == 0
    assert pairs(*made({"a": np.ones(4), "b": np.ones(4)})).share[0, 1] == 0.5, "a tie counts half"


def test_reliability_counts_outcomes_below_each_quantile(made: Make) -> None:
    scores, keys = random_board(made, fhs=0.0)
    curve = reliability(scores, keys, forecaster="fhs", instrument="X:1", bucket=(2, 5))
    mine = (keys.forecaster == "fhs") & (keys.instrument == "X:1") & (scores.step > 1)
    mine &= ~np.isnan(scores.pit_bin)
    bins = scores.pit_bin[mine]
    assert curve.n == len(bins) == curve.counts.sum()
    np.testing.assert_allclose(curve.share, [(bins < k).mean() for k in range(1, 10)])
    assert curve.origins == walked_origins(scores.take(mine), keys.take(mine))
    np.testing.assert_allclose(curve.lo, wilson(curve.share, curve.origins)[0])
    assert curve.sigma[0] == pytest.approx(math.sqrt(len(bins) * 0.09))
    assert (curve.lo < curve.share).all()
    assert (curve.share < curve.hi).all()


def test_reliability_of_nothing_is_nan(made: Make) -> None:
    scores, keys = random_board(made, fhs=0.0, cutoffs=30)
    for options in ({"forecaster": "nobody"}, {"forecaster": "fhs", "instrument": "X:9"}):
        curve = reliability(scores, keys, **options)
        assert (curve.n, curve.origins) == (0, 0)
        assert np.isnan(curve.share).all()
        assert np.isnan(curve.lo).all()
