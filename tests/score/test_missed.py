"""Missed counts as naive: beside a loop, and what must hold whatever is missed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.score.conftest import made_of

from gnomon.clock import Timeframe
from gnomon.score.compare import board
from gnomon.score.forecasts import ScoredKeys, Scores
from gnomon.score.missed import MissedSlot, missed_as_naive, without_reference
from gnomon.units import HOUR_NS

HOURLY = Timeframe.parse("1h")
STEPS = (1, 3)


def world(silent: set[int], *, cutoffs: int = 60, seed: int = 0) -> tuple[Scores, ScoredKeys]:
    """Scores of the reference and of another, who said nothing at the cutoffs in `silent`."""
    luck = np.random.default_rng(seed)
    naive = luck.gamma(4.0, 0.001, (2, cutoffs, 2))
    other = naive * luck.uniform(0.5, 1.6, naive.shape)
    other[:, sorted(silent)] = -1.0
    return made_of({"ewma": naive, "other": other}, steps=STEPS)


def slots_of(silent: set[int], who: str = "other") -> list[MissedSlot]:
    return [MissedSlot(who, f"X:{i}", c * HOUR_NS) for c in sorted(silent) for i in (0, 1)]


def losses(made: tuple[Scores, ScoredKeys], who: str) -> dict[tuple[str, int, int], float]:
    scores, keys = made
    rows = zip(
        keys.forecaster, keys.instrument, keys.data_cutoff_ns.tolist(), scores.step.tolist(), scores.pinball_mean,
        strict=True,
    )  # fmt: skip
    return {(name, at, step): loss for by, name, at, step, loss in rows if by == who}


@given(st.sets(st.integers(0, 59), max_size=20), st.integers(0, 3))
def test_a_missed_slot_has_the_reference_s_loss_and_every_other_its_own(silent: set[int], seed: int) -> None:
    made = world(silent, seed=seed)
    filled = missed_as_naive(*made, slots_of(silent))
    naive, mine = losses(made, "ewma"), losses(made, "other")
    assert losses(filled, "other") == {key: mine.get(key, naive[key]) for key in naive}
    assert losses(filled, "ewma") == naive
    assert missed_as_naive(*filled, slots_of(silent))[0].step.tolist() == filled[0].step.tolist(), "twice is once"


def test_the_skill_of_a_forecaster_that_never_answered_is_nought() -> None:
    silent = set(range(60))
    made = world(silent)
    rows = board(*missed_as_naive(*made, slots_of(silent)), timeframe=HOURLY, identity="x", replicates=50)
    mine = [row for row in rows if row.forecaster == "other"]
    assert len(mine) == 3
    assert all((row.skill, row.skill_lo, row.skill_hi) == (0.0, 0.0, 0.0) for row in mine)


def test_silence_in_bad_hours_does_not_pay() -> None:
    """Who answers only where it is better has skill; counted as naive where silent, it has less."""
    made = world(set(), cutoffs=400)
    bare = board(*made, timeframe=HOURLY, identity="x", replicates=50)
    silent = set(range(0, 400, 2))
    kept = world(silent, cutoffs=400)
    plain = board(*kept, timeframe=HOURLY, identity="x", replicates=50)
    filled = board(*missed_as_naive(*kept, slots_of(silent)), timeframe=HOURLY, identity="x", replicates=50)
    skills = [next(row.skill for row in rows if row.forecaster == "other") for rows in (bare, plain, filled)]
    assert all(skill is not None for skill in skills)
    assert abs(skills[2]) < abs(skills[1])  # type: ignore[arg-type, operator]  # asserted above


def test_where_the_reference_was_missed_too_nothing_is_added_and_it_is_counted() -> None:
    made = world({3, 4})
    scores, keys = made
    there = ~((keys.forecaster == "ewma") & (keys.data_cutoff_ns == 3 * HOUR_NS))
    missed = [*slots_of({3, 4}), *slots_of({3}, "ewma")]
    filled = missed_as_naive(scores.take(there), keys.take(there), missed)
    assert {key[1] for key in set(losses(filled, "other"))} >= {4 * HOUR_NS}
    assert not [key for key in losses(filled, "other") if key[1] == 3 * HOUR_NS]
    assert without_reference(missed) == {"other": 2, "ewma": 2}


def test_a_slot_that_was_answered_and_one_nobody_was_scored_at_change_nothing() -> None:
    made = world({5})
    answered = MissedSlot("other", "X:0", 6 * HOUR_NS)
    nowhere = MissedSlot("other", "X:9", 6 * HOUR_NS)
    scores, keys = missed_as_naive(*made, [answered, nowhere])
    assert scores is made[0]
    assert keys is made[1]


def test_of_two_versions_of_the_reference_the_one_with_more_rows_is_copied() -> None:
    old = made_of({"ewma": np.full(10, 0.5)}, version="1")
    new = made_of({"ewma": np.full(20, 0.1)}, version="2")
    keys = ScoredKeys(
        *(np.concatenate([getattr(old[1], name), getattr(new[1], name)]) for name in ScoredKeys.__slots__)
    )
    found = missed_as_naive(Scores.join([old[0], new[0]]), keys, [MissedSlot("fresh", "X:0", 0)])
    assert losses(found, "fresh") == {("X:0", 0, 1): pytest.approx(0.1)}
    assert found[1].version[-1] == "", "nothing of it is scored: it has no version"
