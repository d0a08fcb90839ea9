"""Who forecasts in a job, and what an ensemble may read."""

from __future__ import annotations

import pytest

from gnomon.clock import SimClock, Timeframe, parse_instant
from gnomon.errors import NotFound, Unavailable
from gnomon.jobs.cast import POOL, Cast, split_cast
from gnomon.jobs.predict import Plan, contexts_at, load_tape, predict, subjects
from gnomon.market.instrument import Instruments
from gnomon.store.store import Store

HOUR = Timeframe.parse("1h")
LAST_NS = parse_instant("2024-04-01")


def test_names_are_parted_into_members_and_ensembles() -> None:
    assert split_cast(("ewma", POOL, "fhs")) == (("ewma", "fhs"), (POOL,))


def test_an_ensemble_reads_what_was_issued_by_then_in_its_own_lane(filled: Store, configured: Instruments) -> None:
    plan = Plan(tuple(subjects(filled, configured, HOUR, ("BTCUSDT",))), HOUR, 24, ("ewma", "fhs"))
    predict(filled, plan, SimClock(LAST_NS + 100))
    contexts = contexts_at(load_tape(filled, plan.subjects, last_ns=LAST_NS), plan, plan.subjects, LAST_NS, [])
    pool = Cast(filled, members=("ewma", "fhs"), issued_by_ns=LAST_NS + 100).forecaster(POOL)
    (made,) = pool.predict(contexts, 24)
    assert set(made.params["members"]) == {"ewma", "fhs"}
    for late in (
        Cast(filled, members=("ewma",), issued_by_ns=LAST_NS + 99),
        Cast(filled, "backfill", "h24:s0", ("ewma",)),
    ):
        with pytest.raises(Unavailable, match="no member"):
            late.forecaster(POOL).predict(contexts, 24)
    with pytest.raises(NotFound):
        Cast(filled).forecaster("nonsense")
