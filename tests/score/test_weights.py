"""Weights: a naive fit beside the prepared one, and what realises later."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.errors import Invalid
from gnomon.forecast.buckets import BUCKETS
from gnomon.forecast.ensemble import Weights
from gnomon.score.forecasts import ScoredKeys, Scores
from gnomon.score.weights import COVERAGE, FLOOR, LEAST_WINDOWS, WINDOWS, WeightsFitter, shrunk

MEMBERS = ("ewma", "fhs", "drift")
STEPS = (1, 2, 4, 6, 12, 24)


def table(seed: int = 0, cutoffs: int = 120, stride: int = 6, holes: float = 0.1) -> tuple[Scores, ScoredKeys]:
    """Scores of three members on two instruments, some absent, some void, some known late."""
    luck = np.random.default_rng(seed)
    shape = (len(MEMBERS), 2, cutoffs, len(STEPS))
    who, where, when, step = (part.ravel() for part in np.indices(shape))
    keep = luck.random(len(who)) > holes
    who, where, when, step = (part[keep] for part in (who, where, when, step))
    count = len(who)
    cutoff = when * stride
    close = cutoff + np.array(STEPS)[step]
    late = luck.integers(0, 4, count) * (luck.random(count) < 0.2)
    columns = {
        name: np.zeros(count)
        for name in Scores.__dataclass_fields__
        if name not in ("forecast_id", "step", "stage", "target_close_ns", "realised_at_ns", "void_reason")
    }
    columns |= {
        "pinball_mean": luck.gamma(2.0, size=count) * (1.0 + who),
        "covered_80": (luck.random(count) < 0.8).astype(float),
    }
    scores = Scores(
        forecast_id=np.arange(count),
        step=np.array(STEPS)[step],
        stage=np.zeros(count, np.int8),
        target_close_ns=close,
        realised_at_ns=close + late,
        void_reason=np.where(luck.random(count) < 0.05, "halt", "").astype(object),
        **columns,
    )
    keys = ScoredKeys(
        forecaster=np.array(MEMBERS, object)[who],
        version=np.full(count, "1", object),
        instrument=np.array(["a", "b"], object)[where],
        data_cutoff_ns=cutoff,
    )
    return scores, keys


def naive(scores: Scores, keys: ScoredKeys, number: int, at_ns: int) -> dict[str, float] | None:
    """From the rows that were known at the instant, and from nothing else."""
    first, last = BUCKETS[number]
    rows: dict[tuple[int, str], dict[tuple[int, str], int]] = {}
    for n in range(len(scores)):
        if first <= scores.step[n] <= last and scores.realised_at_ns[n] <= at_ns:
            cell = rows.setdefault((int(keys.data_cutoff_ns[n]), keys.instrument[n]), {})
            cell[int(scores.step[n]), keys.forecaster[n]] = n
    steps = [step for step in STEPS if first <= step <= last]
    whole = {key: cell for key, cell in rows.items() if len(cell) == len(steps) * len(MEMBERS)}
    kept = {
        (cutoff, name, step): [cell[step, member] for member in MEMBERS]
        for (cutoff, name), cell in whole.items()
        for step in steps
        if all(scores.void_reason[cell[step, member]] == "" for member in MEMBERS)
    }
    windows: list[int] = []
    for cutoff in sorted({key[0] for key in kept}, reverse=True):
        ends = max(int(scores.target_close_ns[n]) for key, mine in kept.items() if key[0] == cutoff for n in mine)
        if len(windows) < WINDOWS and ends <= (windows[-1] if windows else at_ns):
            windows.append(cutoff)
    if len(windows) < LEAST_WINDOWS:
        return None
    used = [mine for key, mine in kept.items() if key[0] in windows]
    loss = {name: float(np.mean([scores.pinball_mean[mine[m]] for mine in used])) for m, name in enumerate(MEMBERS)}
    inverse = {name: 1 / value for name, value in loss.items()}
    return {name: 0.5 * value / sum(inverse.values()) + 0.5 / len(MEMBERS) for name, value in inverse.items()}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 900))
def test_the_prepared_fit_is_the_naive_one(seed: int, at_ns: int) -> None:
    scores, keys = table(seed, holes=0.02)
    for number, fit in enumerate(WeightsFitter(scores, keys, MEMBERS).at(at_ns)[:3]):
        expected = naive(scores, keys, number, at_ns)
        if expected is None:
            assert set(fit.weights.values()) == {1 / 3}
        elif not fit.left_out:
            assert dict(fit.weights) == pytest.approx(expected, rel=1e-9)
            assert fit.fitted_until_ns <= at_ns


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(100, 900))
def test_a_job_that_reads_the_scores_of_its_day_agrees_with_a_walk_forward(seed: int, at_ns: int) -> None:
    scores, keys = table(seed, holes=0.02)
    known = scores.realised_at_ns <= at_ns
    of_the_day = WeightsFitter(scores.take(known), keys.take(known), MEMBERS).at(at_ns)
    assert of_the_day == WeightsFitter(scores, keys, MEMBERS).at(at_ns)


def test_what_realises_later_changes_no_weight() -> None:
    scores, keys = table(4)
    for at_ns in (150, 333, 600):
        later = scores.realised_at_ns > at_ns
        garbage = {"pinball_mean": np.where(later, 99.0, scores.pinball_mean)}
        garbage |= {"covered_80": np.where(later, 0.0, scores.covered_80)}
        changed = replace(scores, **garbage)
        assert WeightsFitter(changed, keys, MEMBERS).at(at_ns) == WeightsFitter(scores, keys, MEMBERS).at(at_ns)
    everything = replace(scores, pinball_mean=scores.pinball_mean * np.where(keys.forecaster == "fhs", 9.0, 1.0))
    assert WeightsFitter(everything, keys, MEMBERS).at(600) != WeightsFitter(scores, keys, MEMBERS).at(600)


def test_the_better_member_weighs_more_and_none_less_than_the_floor() -> None:
    scores, keys = table(1)
    fit = WeightsFitter(scores, keys, MEMBERS).at(10_000)[0]
    assert fit.weights["ewma"] > fit.weights["fhs"] > fit.weights["drift"]
    assert sum(fit.weights.values()) == pytest.approx(1.0)
    assert fit.windows == WINDOWS
    lost = shrunk({"good": 0.001, **{f"bad {n}": 1000.0 for n in range(12)}})
    assert min(lost.values()) == pytest.approx(FLOOR)
    assert sum(lost.values()) == pytest.approx(1.0)


def test_a_member_whose_band_is_badly_wrong_is_left_out_with_the_reason() -> None:
    scores, keys = table(2)
    wrong = replace(scores, covered_80=np.where(keys.forecaster == "drift", 0.0, scores.covered_80))
    fit = WeightsFitter(wrong, keys, MEMBERS).at(10_000)[0]
    assert set(fit.weights) == {"ewma", "fhs"}
    assert "covered 0 %" in fit.left_out["drift"].replace("0%", "0 %")
    assert COVERAGE == (0.50, 0.97)


def test_scores_of_an_older_version_do_not_count() -> None:
    scores, keys = table(3)
    version = np.where((keys.forecaster == "fhs") & (keys.data_cutoff_ns >= 600), "2", "1").astype(object)
    fits = WeightsFitter(scores, replace(keys, version=version), MEMBERS).at(10_000)
    assert fits[0].windows < WINDOWS
    assert WeightsFitter(scores, keys, MEMBERS).at(10_000)[0].windows == WINDOWS


def test_a_member_without_scores_leaves_the_weights_equal() -> None:
    scores, keys = table(3)
    rows = keys.forecaster != "fhs"
    fit = WeightsFitter(scores.take(rows), keys.take(rows), MEMBERS).at(10_000)[0]
    assert fit.windows == 0
    assert dict(fit.weights) == dict.fromkeys(MEMBERS, 1 / 3)


def test_a_version_that_appears_later_is_not_known_before() -> None:
    """The newest version is that of the newest score known then; a later one takes nothing away from it."""
    scores, keys = table(3, holes=0.0)
    version = np.where((keys.forecaster == "fhs") & (keys.data_cutoff_ns >= 600), "2", "1").astype(object)
    fitter = WeightsFitter(scores, replace(keys, version=version), MEMBERS)
    assert fitter.at(600)[0] == WeightsFitter(scores, keys, MEMBERS).at(600)[0]
    assert fitter.versions(600) == {"ewma": "1", "fhs": "1", "drift": "1"}
    assert fitter.versions(610)["fhs"] == "2"
    assert fitter.at(612)[0].windows == 2
    assert set(fitter.at(612)[0].weights.values()) == {1 / 3}


def test_weights_are_equal_until_every_member_has_ten_windows() -> None:
    scores, keys = table(5, holes=0.0)
    tenth_ns = 9 * 6 + 1 + 3  # the tenth cutoff's target, at most three late
    fitter = WeightsFitter(replace(scores, void_reason=np.full(len(scores), "", object)), keys, MEMBERS)
    assert set(fitter.at(9 * 6)[0].weights.values()) == {1 / 3}
    assert fitter.at(tenth_ns)[0].windows == LEAST_WINDOWS
    assert set(fitter.at(tenth_ns)[0].weights.values()) != {1 / 3}


def test_a_member_that_fell_silent_is_left_out_and_holds_nobody_up() -> None:
    scores, keys = table(6, holes=0.0)
    rows = (keys.forecaster != "drift") | (keys.data_cutoff_ns < 120)
    fitter = WeightsFitter(scores.take(rows), keys.take(rows), MEMBERS)
    before, after = fitter.at(300)[0], fitter.at(700)[0]
    assert set(before.weights) == set(MEMBERS)
    assert before.fitted_until_ns < 130  # nothing newer is shared
    assert set(after.weights) == {"ewma", "fhs"}
    assert "behind the others" in after.left_out["drift"]
    assert after.fitted_until_ns > 690


def test_few_targets_do_not_condemn_a_band() -> None:
    scores, keys = table(7, cutoffs=12, holes=0.0)
    perfect = replace(scores, covered_80=np.ones(len(scores)))
    fit = WeightsFitter(perfect, keys, MEMBERS).at(10_000)[0]
    assert fit.windows >= LEAST_WINDOWS
    assert fit.left_out == {}


def test_a_pool_of_bad_bands_is_better_than_none() -> None:
    scores, keys = table(8)
    fit = WeightsFitter(replace(scores, covered_80=np.zeros(len(scores))), keys, MEMBERS).at(10_000)[0]
    assert set(fit.weights) == set(MEMBERS)
    assert fit.left_out == {}


def test_the_weights_of_a_pool_name_versions_losses_and_the_steps_of_a_fault() -> None:
    scores, keys = table(9)
    wrong = (keys.forecaster == "drift") & (scores.step >= 6)
    fitter = WeightsFitter(replace(scores, covered_80=np.where(wrong, 0.0, scores.covered_80)), keys, MEMBERS)
    weights = fitter.weights("crypto", 10_000)
    assert weights.left_out["drift"].startswith("steps 6-24: its 80 % band covered 0%")
    assert "drift" in weights.by_bucket[1]
    assert "drift" not in weights.by_bucket[2]
    assert weights.versions == dict.fromkeys(MEMBERS, "1")
    assert weights.windows == tuple(one.windows for one in fitter.at(10_000))
    assert weights.losses[0]["ewma"] < weights.losses[0]["drift"]
    assert weights.fitted_until_ns == fitter.fitted_until_ns(10_000) <= 10_000
    again = Weights.from_document(json.loads(json.dumps(weights.document())))
    assert again == weights


def test_two_rows_for_one_key_are_refused() -> None:
    scores, keys = table(1)
    twice = np.concatenate([np.arange(len(scores)), [0]])
    with pytest.raises(Invalid, match="scored twice"):
        WeightsFitter(scores.take(twice), keys.take(twice), MEMBERS)


def test_no_scores_are_equal_weights() -> None:
    scores, keys = table(1)
    fits = WeightsFitter(scores.take(slice(0, 0)), keys.take(slice(0, 0)), MEMBERS).at(100)
    assert [dict(one.weights) for one in fits] == [dict.fromkeys(MEMBERS, 1 / 3)] * len(BUCKETS)


@pytest.mark.slow
def test_a_walk_forward_asks_seven_hundred_times_in_a_moment() -> None:
    scores, keys = table(2, cutoffs=2_000, holes=0.01)
    fitter = WeightsFitter(scores, keys, MEMBERS)
    fitter.at(10_000)
    began = time.process_time()
    for at_ns in np.linspace(500, 12_000, 700).astype(int):
        fitter.at(int(at_ns))
    assert time.process_time() - began < 3.0
