"""Calibrations: kept as fitted, found as of an instant."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from gnomon.errors import NotFound
from gnomon.store.calibrations import CalibrationStore, StoredCalibration

FIT = StoredCalibration(
    lane="live",
    variant="",
    forecaster="ewma",
    version="1-aa",
    instrument="binance:BTCUSDT",
    timeframe="1h",
    basis="raw",
    fitted_at_ns=100,
    fitted_until_ns=90,
    method="tracker",
    n=3,
    document={"shifts": [[0.1, -0.2, 3]]},
)


def test_a_fit_reads_back_as_it_was_written_and_twice_is_once(engine: Engine) -> None:
    fits = CalibrationStore(engine)
    (first,) = fits.insert([FIT])
    (again,) = fits.insert([replace(FIT, document={"shifts": []})])
    assert first == again
    assert fits.get(first) == replace(FIT, id=first)
    with pytest.raises(NotFound):
        fits.get(first + 99)


def test_the_newest_fit_by_an_instant_is_found_for_each_series(engine: Engine) -> None:
    fits = CalibrationStore(engine)
    ids = fits.insert(
        [
            FIT,
            replace(FIT, fitted_at_ns=200),
            replace(FIT, instrument="binance:ETHUSDT", fitted_at_ns=150),
            replace(FIT, lane="backfill", variant="h24:s0", fitted_at_ns=160),
        ]
    )
    by = {as_of: fits.newest(lane="live", timeframe="1h", as_of_ns=as_of) for as_of in (99, 100, 199, 200)}
    assert by[99] == {}
    assert {one.id for one in by[100].values()} == {ids[0]}
    assert {one.id for one in by[199].values()} == {ids[0], ids[2]}
    assert by[200][FIT.series].id == ids[1]
    backfill = fits.newest(lane="backfill", variant="h24:s0", timeframe="1h", as_of_ns=999)
    assert backfill[FIT.series].id == ids[3]
