"""Weights: kept as fitted, found as of an instant."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from gnomon.errors import NotFound
from gnomon.store.weights import StoredWeights, WeightStore

FIT = StoredWeights(
    lane="live",
    variant="",
    ensemble="ensemble-pool",
    scope="crypto",
    timeframe="1h",
    fitted_at_ns=100,
    fitted_until_ns=90,
    document={"by_bucket": [{"ewma": 0.6, "fhs": 0.4}]},
)


def test_a_fit_reads_back_as_it_was_written_and_twice_is_once(engine: Engine) -> None:
    fits = WeightStore(engine)
    (first,) = fits.insert([FIT])
    assert fits.insert([replace(FIT, document={})]) == [first]
    assert fits.get(first) == replace(FIT, id=first)
    with pytest.raises(NotFound):
        fits.get(first + 99)


def test_the_newest_fit_by_an_instant_is_found_for_each_scope(engine: Engine) -> None:
    fits = WeightStore(engine)
    fits.insert([FIT, replace(FIT, fitted_at_ns=200), replace(FIT, scope="equity", fitted_at_ns=150)])
    asked = {"lane": "live", "ensemble": "ensemble-pool", "timeframe": "1h"}
    assert fits.newest(**asked, scope="crypto", as_of_ns=99) is None
    assert fits.newest(**asked, scope="crypto", as_of_ns=199).fitted_at_ns == 100
    assert fits.newest(**asked, scope="crypto", as_of_ns=200).fitted_at_ns == 200
    assert fits.newest(**asked, scope="equity", as_of_ns=200).fitted_at_ns == 150
    assert [one.fitted_at_ns for one in fits.history(**asked)] == [200, 150, 100]
