"""The summary of a run: its parts put together, buy-and-hold beside, and a row that JSON can hold."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
from tests.score.by_hand import Trade, played

from gnomon.score.execution import execution
from gnomon.score.growth import growth
from gnomon.score.round_trips import trip_figures
from gnomon.score.runs import hold_equity, summary
from gnomon.units import HOUR_NS

TRADES = [Trade(HOUR_NS, 100, 50.0, fee=Fraction(1, 1000)), Trade(2 * HOUR_NS, -100, 60.0, maker=True)]


def test_a_summary_is_its_parts() -> None:
    record = played([50.0, 50.0, 60.0, 55.0], TRADES, rejects=["-2010"])
    found = summary(record)
    assert found.growth == growth(record.marks.at_ns, record.marks.equity, record.periods)
    assert found.execution == execution(record)
    assert found.trips == trip_figures(record)
    assert (found.run, found.quote, found.end_ns - found.start_ns) == ("run_1", "USDT", 3 * HOUR_NS)
    assert found.hold.total_return == pytest.approx(0.1)


def test_the_row_is_json_without_a_nan() -> None:
    for record in (played([50.0, 50.0, 60.0], TRADES), played([50.0]), played([np.nan, 50.0], TRADES[:1])):
        text = json.dumps(summary(record).row(), allow_nan=False)
        assert json.loads(text)["growth"]["start"] == 10_000.0


def test_holding_splits_the_opening_equity_and_pays_its_fee_once() -> None:
    marks = played([[100.0, 10.0], [110.0, 20.0], [90.0, 5.0]]).marks
    assert hold_equity(marks).tolist() == [10_000.0, 5_500.0 + 10_000.0, 4_500.0 + 2_500.0]
    np.testing.assert_allclose(hold_equity(marks, fee=0.01), 0.99 * hold_equity(marks))


def test_holding_waits_for_a_price_and_keeps_the_last_one() -> None:
    marks = played([[100.0, np.nan], [np.nan, 20.0], [150.0, 10.0]]).marks
    assert hold_equity(marks).tolist() == [10_000.0, 5_000.0 + 5_000.0, 7_500.0 + 2_500.0]
    nowhere = played([[np.nan], [np.nan]]).marks
    assert hold_equity(nowhere).tolist() == [10_000.0, 10_000.0]
