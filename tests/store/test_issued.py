"""A row of the ledger as an object."""

from __future__ import annotations

import dataclasses

from gnomon.store.issued import StoredForecast
from gnomon.store.tables import forecasts


def test_a_stored_forecast_has_every_column_of_its_table() -> None:
    instants = {"as_of", "data_cutoff", "issued_at", "valid_until", "target_open", "target_close"}
    columns = [f"{one.name}_ns" if one.name in instants else one.name for one in forecasts.c]
    assert sorted(field.name for field in dataclasses.fields(StoredForecast)) == sorted(columns)
