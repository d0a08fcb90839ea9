"""Boards from the store: what a filter keeps apart."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from sqlalchemy import Engine

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.score.forecasts import grade
from gnomon.store.boards import BoardFilter, board_of, reliability_of
from gnomon.store.forecasts import ForecastLedger
from gnomon.store.scores import ScoreStore

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
