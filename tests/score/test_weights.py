"""Weights: a naive fit beside the prepared one, and what realises later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.forecast.buckets import BUCKETS
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
    first, last = BUCKETS[number]
    rows: dict[tuple[int, str, int], dict[str, int]] = {}
    for n in range(len(scores)):
        if first <= scores.step[n] <= last and not scores.void_reason[n]:
            key = (int(keys.data_cutoff_ns[n]), keys.instrument[n], int(scores.step[n]))
            rows.setdefault(key, {})[keys.forecaster[n]] = n
    shared = {key: one for key, one in rows.items() if len(one) == len(MEMBERS)}
    windows: list[list[tuple[int, str, int]]] = []
    free = -1
    for cutoff in sorted({key[0] for key in shared}):
        mine = [key for key in shared if key[0] == cutoff]
        if cutoff >= free:
            windows.append(mine)
            free = max(int(scores.target_close_ns[n]) for key in mine for n in shared[key].values())
    known, newest = [], 0
    for one in windows:
        newest = max(newest, *(int(scores.realised_at_ns[n]) for key in one for n in shared[key].values()))
        if newest <= at_ns:
            known.append(one)
    known = known[-WINDOWS:]
    if len(known) < LEAST_WINDOWS:
        return None
    loss = {
        name: float(np.mean([scores.pinball_mean[shared[key][name]] for one in known for key in one]))
        for name in MEMBERS
    }
    inverse = {name: 1 / value for name, value in loss.items()}
    return {name: 0.5 * value / sum(inverse.values()) + 0.5 / len(MEMBERS) for name, value in inverse.items()}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 900))
def test_the_prepared_fit_is_the_naive_one(seed: int, at_ns: int) -> None:
    scores, keys = table(seed)
    for number, fit in enumerate(WeightsFitter(scores, keys, MEMBERS).at(at_ns)[:3]):
        expected = naive(scores, keys, number, at_ns)
        if expected is None:
            assert set(fit.weights.values()) == {1 / 3}
        elif not fit.left_out:
            assert dict(fit.weights) == pytest.approx(expected, rel=1e-9)


def test_what_realises_later_changes_no_weight() -> None:
    scores, keys = table(4)
    for at_ns in (150, 333, 600):
        later = scores.realised_at_ns > at_ns
        changed = replace(scores, pinball_mean=np.where(later, 99.0, scores.pinball_mean))
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
