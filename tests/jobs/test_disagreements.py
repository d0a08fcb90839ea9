"""The disagreement flag at work: two members that part in a known stretch, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from gnomon.clock import SimClock, Timeframe, parse_instant
from gnomon.errors import Invalid
from gnomon.forecast.catalog import forecaster
from gnomon.forecast.disagreement import LEAST_TRAILING, OnDisagree
from gnomon.forecast.forecast import Context, Forecast
from gnomon.jobs.cast import POOL, Cast, Watched
from gnomon.jobs.predict import Plan, contexts_at, entry, load_tape, subjects
from gnomon.jobs.score import score
from gnomon.market.instrument import Instruments
from gnomon.store.boards import BoardFilter
from gnomon.store.disagreements import read_disagreements, scorecards
from gnomon.store.store import Store
from gnomon.units import HOUR_NS

HOUR = Timeframe.parse("1h")
FIRST_NS, LAST_NS = parse_instant("2024-03-01"), parse_instant("2024-04-01")
HOURS = 160
STRETCH = range(100, 108)
PAIR = ("ewma", "momentum")


@dataclass(frozen=True)
class Planted:
    """A member that says what `ewma` says but for a small, growing gap, and in the stretch far above it."""

    name: str

    def predict(self, contexts: Sequence[Context], horizon: int) -> list[Forecast]:
        made = forecaster("ewma").predict(contexts, horizon, seed=0)
        return [replace(one, forecaster=self.name, quantiles=one.quantiles * self._factor(one)) for one in made]

    def _factor(self, one: Forecast) -> float:
        hour = (one.data_cutoff_ns - FIRST_NS) // HOUR_NS
        if self.name == PAIR[0]:
            return 1.0
        return 1.2 if hour in STRETCH else 1.0 + 1e-6 * (hour % 40)


def plant(store: Store, configured: Instruments, on_disagree: OnDisagree, *, chunk: int) -> Plan:
    """Both members at each hour, and the pool on top, so many hours a call as a walk-forward does."""
    plan = Plan(tuple(subjects(store, configured, HOUR, ("BTCUSDT",))), HOUR, 2, PAIR)
    tape = load_tape(store, plan.subjects, last_ns=LAST_NS)
    instants = [FIRST_NS + hour * HOUR_NS for hour in range(HOURS)]
    contexts = [one for at_ns in instants for one in contexts_at(tape, plan, plan.subjects, at_ns, [])]
    for name in PAIR:
        issue(store, contexts, Planted(name).predict(contexts, 2))
    for first in range(0, HOURS, chunk):
        cast = Cast(store, "backfill", "planted", PAIR, watched=Watched(*PAIR, on_disagree=on_disagree))
        part = contexts[first : first + chunk]
        issue(store, part, cast.forecaster(POOL).predict(part, 2))
    return plan


def issue(store: Store, contexts: Sequence[Context], forecasts: Sequence[Forecast]) -> None:
    entries = [entry(one, context) for context, one in zip(contexts, forecasts, strict=True)]
    store.forecasts.issue(entries, lane="backfill", variant="planted", issued_at_ns=LAST_NS, code_version="1")


def flags_of(store: Store, **asked: object) -> dict[int, bool]:
    rows = read_disagreements(
        store.engine, lane="backfill", variant="planted", timeframe="1h", forecaster=POOL, **asked
    )
    return {(one.cutoff_ns - FIRST_NS) // HOUR_NS: one.is_raised for one in rows}


def test_the_flag_is_raised_in_the_stretch_and_the_pool_widens_to_the_envelope(
    filled: Store, configured: Instruments
) -> None:
    plant(filled, configured, "widen", chunk=24)
    flags = flags_of(filled)
    assert len(flags) == HOURS
    assert all(flags[hour] for hour in STRETCH)
    assert not any(flags[hour] for hour in range(LEAST_TRAILING))  # too short a past, and the gaps are small
    rows = filled.forecasts.find(lane="backfill", variant="planted", limit=10_000)
    said = {(row.forecaster, (row.data_cutoff_ns - FIRST_NS) // HOUR_NS): row for row in rows}
    for hour in STRETCH:
        pool, low, high = (said[name, hour] for name in (POOL, *PAIR))
        assert pool.p10 == pytest.approx(low.p10)
        assert pool.p90 == pytest.approx(high.p90)
        assert "disagree" in pool.warnings[0]
        assert pool.params["disagreement"]["pair"] == list(PAIR)
    quiet = next(hour for hour in range(60, 100) if not flags[hour])
    assert said[POOL, quiet].p90[0] == pytest.approx(np.sqrt(said[PAIR[0], quiet].p90[0] * said[PAIR[1], quiet].p90[0]))


def test_a_chunk_of_cutoffs_flags_what_one_call_each_does(filled: Store, configured: Instruments) -> None:
    """The past is in the ledger or said a moment ago: the threshold is the same to the last bit."""
    plant(filled, configured, "flag", chunk=40)
    chunked = documents(filled)
    again = Plan(tuple(subjects(filled, configured, HOUR, ("BTCUSDT",))), HOUR, 2, PAIR)
    contexts = contexts_at(
        load_tape(filled, again.subjects, last_ns=LAST_NS), again, again.subjects, FIRST_NS + 120 * HOUR_NS, []
    )
    cast = Cast(filled, "backfill", "planted", PAIR, watched=Watched(*PAIR, on_disagree="flag"))
    (alone,) = cast.forecaster(POOL).predict(contexts, 2)
    assert alone.params["disagreement"] == chunked[120]


def documents(store: Store) -> dict[int, dict[str, object]]:
    rows = store.forecasts.find(lane="backfill", variant="planted", forecaster=POOL, limit=10_000)
    return {(row.data_cutoff_ns - FIRST_NS) // HOUR_NS: row.params["disagreement"] for row in rows}


def test_what_is_read_back_is_bounded_by_the_pair_the_cutoffs_and_the_issue(
    filled: Store, configured: Instruments
) -> None:
    plant(filled, configured, "flag", chunk=80)
    asked = {"first_cutoff_ns": FIRST_NS + 3 * HOUR_NS, "last_cutoff_ns": FIRST_NS + 9 * HOUR_NS}
    assert list(flags_of(filled, **asked)) == [3, 4, 5, 6, 7, 8]
    assert list(flags_of(filled, newest=2)) == [HOURS - 2, HOURS - 1]
    assert len(flags_of(filled, pair=PAIR)) == HOURS
    assert flags_of(filled, pair=PAIR[::-1]) == {}
    assert flags_of(filled, issued_by_ns=LAST_NS - 1) == {}


def test_the_scorecard_says_that_losses_are_higher_when_it_is_raised(filled: Store, configured: Instruments) -> None:
    plan = plant(filled, configured, "flag", chunk=80)
    score(filled, plan.subjects, SimClock(LAST_NS), lane="backfill", variant="planted")
    which = BoardFilter("backfill", HOUR, "planted", forecasters=(POOL,))
    (pair, card), *others = scorecards(filled.engine, filled.scores, which).items()
    assert (pair, others) == (PAIR, [])
    flags = flags_of(filled)
    assert (card.raised_cutoffs, card.cutoffs) == (sum(flags.values()), HOURS)
    scores, keys = filled.scores.read(lane="backfill", variant="planted", timeframe="1h", forecasters=[POOL])
    up = np.array([flags[(at_ns - FIRST_NS) // HOUR_NS] for at_ns in keys.data_cutoff_ns.tolist()])
    ratios = []
    for step in (1, 2):  # a cell is an instrument and a bucket: step 1, and step 2 of 2-5
        mine = scores.step == step
        loss = scores.pinball_mean
        ratios.append(np.log(loss[mine & up].mean() / loss[mine & ~up].mean()))
    assert card.excess == pytest.approx(np.expm1(np.mean(ratios)))
    assert card.excess > 1.0
    with pytest.raises(Invalid, match="0 pools"):
        scorecards(filled.engine, filled.scores, replace(which, forecasters=()))
    assert scorecards(filled.engine, filled.scores, replace(which, forecasters=("ewma",))) == {}
