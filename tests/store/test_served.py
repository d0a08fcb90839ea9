"""Forecasts as served: the calibrated curve where there is one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from sqlalchemy import Engine

from gnomon.store.forecasts import ForecastLedger
from gnomon.store.served import read_served, read_stated

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


STATED = {"instruments": {"binance:BTCUSDT": "raw"}, "start_ns": 0, "end_ns": 2**62}


def test_what_could_be_read_in_a_window_comes_with_when(engine: Engine, make: SimpleNamespace) -> None:
    ledger = ForecastLedger(engine)
    at = [make.start_ns + 10**18 + step * 1_000 for step in range(5)]
    entries = [make.entry(step, calibrated=step == 1) for step in range(5)]
    for one, at_ns in zip(entries, at, strict=True):
        ledger.issue([one], lane="live", issued_at_ns=at_ns)
    found = read_stated(engine, lane="live", upto_seq=99, **STATED)
    assert [at_ns for at_ns, _ in found] == at
    for (_, one), entry in zip(found, entries, strict=True):
        curve = entry.forecast.quantiles if entry.calibrated is None else entry.calibrated
        np.testing.assert_array_equal(one.quantiles, curve.astype(np.float32))
        for name in (
            "forecaster",
            "version",
            "instrument",
            "timeframe",
            "basis",
            "data_cutoff_ns",
            "seed",
            "input_hash",
        ):
            assert getattr(one, name) == getattr(entry.forecast, name)
        assert one.horizon == entry.forecast.horizon
    window = {**STATED, "start_ns": at[2], "end_ns": at[4]}
    assert [at_ns for at_ns, _ in read_stated(engine, lane="live", upto_seq=99, **window)] == [at[1], at[2], at[3]]
    late = read_stated(engine, lane="live", upto_seq=99, latency_ns=1_000, **window)
    assert [at_ns for at_ns, _ in late] == [at[1], at[2], at[3]], "those of one step before, a step later"
    assert [at_ns for at_ns, _ in read_stated(engine, lane="live", upto_seq=2, **STATED)] == at[:2]
    other = {**STATED, "instruments": {"binance:BTCUSDT": "split", "binance:ETHUSDT": "raw"}}
    assert read_stated(engine, lane="live", upto_seq=99, **other) == []


def test_a_backfill_is_stated_at_the_instant_that_it_looked_from(engine: Engine, make: SimpleNamespace) -> None:
    entries = [make.entry(step) for step in range(2)]
    ForecastLedger(engine).issue(entries, lane="backfill", variant="h24:s0", issued_at_ns=make.start_ns + 10**18)
    found = read_stated(engine, lane="backfill", upto_seq=99, variant="h24:s0", **STATED)
    assert [at_ns for at_ns, _ in found] == [one.as_of_ns for one in entries]
    assert read_stated(engine, lane="backfill", upto_seq=99, variant="h25:s0", **STATED) == []
    assert read_stated(engine, lane="live", upto_seq=99, **STATED) == []
