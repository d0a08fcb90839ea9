"""Boards from the store: what a filter keeps apart."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sqlalchemy import Engine

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.score.forecasts import grade
from gnomon.store.boards import BoardFilter, board_of, reliability_of, slot_counts
from gnomon.store.forecasts import ForecastLedger
from gnomon.store.scores import ScoreStore
from gnomon.store.slots import Slot, SlotStore, Verdict

HOUR = Timeframe.parse("1h")
ISSUED_NS = 2 * 10**18


@pytest.fixture
def scores(engine: Engine, make: SimpleNamespace) -> ScoreStore:
    """Two walk-forwards of one forecaster over twelve cutoffs, each step scored."""
    ledger, store = ForecastLedger(engine), ScoreStore(engine)
    for variant in ("h24:s0", "h24:s1"):
        entries = [make.entry(number, forecaster="ewma") for number in range(12)]
        ids = ledger.issue(entries, lane="backfill", variant=variant, issued_at_ns=ISSUED_NS).ids
        for number, entry in zip(ids, entries, strict=True):
            one = entry.forecast
            store.insert(
                grade(
                    one.quantiles[None],
                    one.levels,
                    np.array([one.base_price]),
                    one.p_up[None],
                    (1, 2),
                    np.full((1, 2), one.base_price * 1.001),
                    forecast_id=np.array([number]),
                    target_close_ns=one.target_close_ns[None, :2],
                    scored_at_ns=ISSUED_NS,
                )
            )
    return store


def test_a_board_is_made_of_one_walk_forward(scores: ScoreStore) -> None:
    with pytest.raises(Invalid, match=r"holds 2 walk-forwards: h24:s0, h24:s1") as caught:
        board_of(scores, BoardFilter("backfill", HOUR))
    assert "variant h24:s1" in caught.value.hint
    rows = board_of(scores, BoardFilter("backfill", HOUR, "h24:s0"))
    assert {row.forecaster for row in rows} == {"ewma"}
    assert rows[0].n == 24


def test_a_filter_keeps_what_it_names(scores: ScoreStore) -> None:
    assert board_of(scores, BoardFilter("live", HOUR)) == ()
    assert board_of(scores, BoardFilter("backfill", HOUR, "h24:s0", forecasters=("fhs",))) == ()
    assert board_of(scores, BoardFilter("backfill", HOUR, "h24:s0", known_until_ns=ISSUED_NS - 1)) == ()
    assert board_of(scores, BoardFilter("backfill", HOUR, "h24:s0", "adjusted")) == ()
    assert board_of(scores, BoardFilter("backfill", HOUR, "h24:s0", bucket=(2, 2)))[0].n == 12


def test_each_forecaster_has_its_calibration_curve(scores: ScoreStore) -> None:
    [curve] = reliability_of(scores, BoardFilter("backfill", HOUR, "h24:s1"))
    assert (curve.forecaster, curve.n) == ("ewma", 24)


def test_the_same_question_has_the_same_seed_and_another_has_another() -> None:
    asked = BoardFilter("backfill", HOUR, "h24:s0")
    assert asked.identity == BoardFilter("backfill", HOUR, "h24:s0").identity
    others = [BoardFilter("live", HOUR), BoardFilter("backfill", HOUR, "h24:s0", first_cutoff_ns=1)]
    assert asked.identity not in {other.identity for other in others}


def test_a_missed_slot_is_counted_and_in_that_view_scored_as_the_reference(
    engine: Engine, make: SimpleNamespace
) -> None:
    ledger, scores, slots = ForecastLedger(engine), ScoreStore(engine), SlotStore(engine)
    for number in range(4):
        one = make.forecast(number, forecaster="ewma")
        key = (one.instrument, "1h")
        for who in ("ewma", "fhs"):
            slots.declare([Slot(*key, who, one.data_cutoff_ns, one.data_cutoff_ns + 5)])
        lost = [Verdict(Slot(*key, "fhs", one.data_cutoff_ns, 0), "missed", "no bar")]
        if number == 3:
            slots.settle([*lost, Verdict(Slot(*key, "ewma", one.data_cutoff_ns, 0), "missed", "no bar")])
            continue
        if number:
            slots.settle(lost)
        for who in ("ewma", "fhs") if number == 0 else ("ewma",):
            entry = make.entry(number, forecaster=who)
            (id_,) = ledger.issue([entry], lane="live", variant="", issued_at_ns=one.data_cutoff_ns + 9).ids
            slots.settle([Verdict(Slot(*key, who, one.data_cutoff_ns, 0), "issued", "", id_)])
            graded = grade(
                one.quantiles[None],
                one.levels,
                np.array([one.base_price]),
                one.p_up[None],
                (1, 2),
                np.full((1, 2), one.base_price * 1.001),
                forecast_id=np.array([id_]),
                target_close_ns=one.target_close_ns[None, :2],
                scored_at_ns=ISSUED_NS,
            )
            scores.insert(graded)
    which = BoardFilter("live", HOUR)
    counts = {one.forecaster: one.row() for one in slot_counts(slots, which)}
    assert counts["fhs"] == {
        "forecaster": "fhs",
        "due": 0,
        "issued": 1,
        "late": 0,
        "missed": 3,
        "without_reference": 1,
    }
    assert (counts["ewma"]["issued"], counts["ewma"]["missed"]) == (3, 1)
    assert slot_counts(slots, replace(which, lane="backfill")) == []
    assert [one.forecaster for one in slot_counts(slots, replace(which, forecasters=("fhs",)))] == ["fhs"]
    bare = {row.forecaster: row.n for row in board_of(scores, which, slots) if row.instrument == "all"}
    assert bare == {"ewma": 6, "fhs": 2}
    asked = replace(which, missed_as_naive=True)
    seen = {row.forecaster: (row.n, row.skill) for row in board_of(scores, asked, slots) if row.instrument == "all"}
    assert seen == {"ewma": (6, 0.0), "fhs": (6, 0.0)}
    alone = board_of(scores, replace(asked, forecasters=("fhs",)), slots)
    assert {row.forecaster: row.n for row in alone} == {"fhs": 6}
    with pytest.raises(Invalid, match="no slots to read"):
        board_of(scores, asked)
