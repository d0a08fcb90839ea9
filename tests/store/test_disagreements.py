"""What pools said of their pair, read back; the scorecard over it is tested where pools are made (tests/jobs)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine

from gnomon.store.disagreements import Disagreed, read_disagreements
from gnomon.store.forecasts import ForecastLedger

LATE_NS = 2 * 10**18
PAIR = ("a_b", "c%d")


def said(distance: float, pair: tuple[str, str] = PAIR) -> dict[str, Any]:
    document = {"pair": list(pair), "distance": distance, "threshold": None, "raised": distance > 2.5, "why": ""}
    return {"members": {}, "disagreement": document}


@pytest.fixture
def issued(engine: Engine, make: SimpleNamespace) -> list[int]:
    """Cutoffs of a pool's rows: four with the pair, one with another, one without a flag."""
    entries = [make.entry(number, forecaster="ensemble-pool", params=said(float(number))) for number in range(4)]
    entries += [make.entry(4, forecaster="ensemble-pool", params=said(9.0, ("axb", "cyd")))]
    entries += [make.entry(5, forecaster="ensemble-pool", params={"note": "disagreement"})]
    entries += [make.entry(6, forecaster="other", params=said(1.0))]
    ForecastLedger(engine).issue(entries, lane="live", issued_at_ns=LATE_NS, code_version="1")
    return [one.forecast.data_cutoff_ns for one in entries]


def distances(engine: Engine, **asked: Any) -> list[float]:
    rows = read_disagreements(engine, lane="live", timeframe="1h", forecaster="ensemble-pool", **asked)
    return [one.distance for one in rows]


def test_rows_with_a_flag_come_by_cutoff_and_no_others(engine: Engine, issued: list[int]) -> None:
    assert distances(engine) == [0.0, 1.0, 2.0, 3.0, 9.0]
    last = read_disagreements(engine, lane="live", timeframe="1h", forecaster="ensemble-pool", pair=PAIR)[-1]
    assert last == Disagreed("binance:BTCUSDT", "raw", issued[3], PAIR, 3.0, is_raised=True)


@pytest.mark.usefixtures("issued")
def test_a_pair_is_that_pair_whatever_its_letters_mean_to_the_database(engine: Engine) -> None:
    assert distances(engine, pair=PAIR) == [0.0, 1.0, 2.0, 3.0]
    assert distances(engine, pair=("axb", "cyd")) == [9.0]
    assert distances(engine, pair=PAIR[::-1]) == []


def test_the_newest_the_span_the_instruments_and_the_issue_bound_what_is_read(
    engine: Engine, issued: list[int]
) -> None:
    assert distances(engine, pair=PAIR, newest=2) == [2.0, 3.0]
    assert distances(engine, first_cutoff_ns=issued[1], last_cutoff_ns=issued[3]) == [1.0, 2.0]
    assert distances(engine, instruments=("binance:ETHUSDT",)) == []
    assert distances(engine, issued_by_ns=LATE_NS - 1) == []
    assert distances(engine, basis="split") == []
