"""Forecasts as served: the calibrated curve where there is one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from sqlalchemy import Engine

from gnomon.store.forecasts import ForecastLedger
from gnomon.store.served import read_served

ASKED = {"lane": "live", "timeframe": "1h", "forecasters": ["ewma"], "instruments": ["binance:BTCUSDT"]}


def test_the_calibrated_curve_is_served_where_there_is_one(engine: Engine, make: SimpleNamespace) -> None:
    entries = [make.entry(0), make.entry(1, calibrated=True), make.entry(2)]
    ForecastLedger(engine).issue(entries, lane="live", issued_at_ns=make.start_ns + 10**18)
    cutoffs = [one.forecast.data_cutoff_ns for one in entries]
    found = read_served(engine, **ASKED, first_cutoff_ns=cutoffs[0], last_cutoff_ns=cutoffs[2])
    assert [one.is_calibrated for one in found] == [False, True, False]
    for one, entry in zip(found, entries, strict=True):
        curve = entry.forecast.quantiles if entry.calibrated is None else entry.calibrated
        np.testing.assert_array_equal(one.quantiles, curve.astype(np.float32))
        np.testing.assert_array_equal(one.target_close_ns, entry.forecast.target_close_ns)
    few = read_served(engine, **ASKED, first_cutoff_ns=0, last_cutoff_ns=cutoffs[2], cutoffs_ns={cutoffs[1]})
    assert [one.data_cutoff_ns for one in few] == [cutoffs[1]]
    early = read_served(engine, **ASKED, first_cutoff_ns=0, last_cutoff_ns=cutoffs[2], issued_by_ns=make.start_ns)
    assert early == []
