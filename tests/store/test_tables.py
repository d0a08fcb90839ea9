"""The seal of the ledger, tried by raw SQL on both databases: no statement changes or removes an issued row."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from gnomon.clock import Timeframe
from gnomon.store.forecasts import ForecastLedger
from gnomon.store.tables import forecast_bars, forecast_blocks, forecast_paths, forecasts, ledger_digests
from gnomon.store.verification import verify_lane

SEALED = (forecasts, forecast_blocks, forecast_bars, ledger_digests)


@pytest.fixture
def ledger(engine: Engine, make: SimpleNamespace) -> Engine:
    """A ledger with rows in every sealed table."""
    paths = make.forecast(horizon=3).quantiles[None, :, :6].repeat(4, axis=0)
    entries = [
        make.entry(0, horizon=3, timeframe=Timeframe.parse("1d"), paths=paths, calibrated=True),
        make.entry(1, horizon=3),
    ]
    ForecastLedger(engine).issue(entries, lane="live", issued_at_ns=make.start_ns * 2)
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO ledger_digests (day, lane, first_seq, last_seq, head) VALUES ('d', 'live', 1, 2, 'h')")
        )
    return engine


def contents(engine: Engine) -> list[list[tuple[Any, ...]]]:
    with engine.connect() as connection:
        return [sorted(tuple(row) for row in connection.execute(table.select())) for table in (*SEALED, forecast_paths)]


def refused(engine: Engine, statement: str) -> None:
    """The statement fails, or does nothing; either way every row stays as it was."""
    before = contents(engine)
    assert all(before)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(statement)
    except DBAPIError:
        pass
    assert contents(engine) == before
    with engine.connect() as connection:
        assert verify_lane(connection, "live").ok


def seal(engine: Engine, statement: str) -> None:
    with pytest.raises(DBAPIError, match="insert-only"), engine.begin() as connection:
        connection.exec_driver_sql(statement)


COLUMN = {"forecasts": "p50", "forecast_blocks": "payload", "forecast_bars": "close", "ledger_digests": "head"}


@pytest.mark.parametrize("table", COLUMN)
def test_update_and_delete_are_refused(ledger: Engine, table: str) -> None:
    before = contents(ledger)
    seal(ledger, f"UPDATE {table} SET {COLUMN[table]} = {COLUMN[table]}")
    seal(ledger, f"DELETE FROM {table}")
    assert contents(ledger) == before


def test_truncate_is_refused(ledger: Engine) -> None:
    if ledger.dialect.name == "sqlite":
        refused(ledger, "TRUNCATE forecasts")  # there is no such statement: DELETE is
        return
    for table in COLUMN:
        seal(ledger, f"TRUNCATE {table} CASCADE")
    refused(ledger, "TRUNCATE forecasts, forecast_blocks, forecast_bars, forecast_paths, scores")


def test_a_column_set_to_another_value_under_any_conflict_rule_is_refused(ledger: Engine) -> None:
    for rule in ("", "OR REPLACE", "OR IGNORE", "OR ROLLBACK", "OR FAIL"):
        refused(ledger, f"UPDATE {rule} forecasts SET base_price = 1 WHERE seq = 1")
        refused(ledger, f"UPDATE {rule} forecasts SET seq = 1 WHERE seq = 2")


def copied(table: Any, **changes: str) -> tuple[str, str]:
    """Columns, and a SELECT of existing rows with some columns changed."""
    names = [column.name for column in table.c]
    return ", ".join(names), ", ".join(changes.get(name, name) for name in names)


CONFLICTS = [
    (forecasts, {"p50": "'[1.0]'"}),  # every key the same
    (forecasts, {"p50": "'[1.0]'", "id": "id + 100"}),  # another id, the same key and seq
    (forecasts, {"p50": "'[1.0]'", "id": "id + 100", "seq": "seq + 100"}),  # the natural key alone
    (forecasts, {"p50": "'[1.0]'", "id": "id + 100", "data_cutoff": "data_cutoff + 7"}),  # lane and seq alone
    (forecasts, {"p50": "'[1.0]'", "seq": "seq + 100", "data_cutoff": "data_cutoff + 7"}),  # the id alone
    (forecast_blocks, {"shape": "'[0]'"}),
    (forecast_bars, {"close": "1.0"}),
    (ledger_digests, {"head": "'x'"}),
    (forecast_paths, {"shape": "'[0]'"}),
]


@pytest.mark.parametrize(
    "table, changes", [pytest.param(*one, id=f"{one[0].name}-{'-'.join(one[1])}") for one in CONFLICTS]
)
def test_no_insert_replaces_a_row_whose_key_exists(ledger: Engine, table: Any, changes: dict[str, str]) -> None:
    names, values = copied(table, **changes)
    source = f"({names}) SELECT {values} FROM {table.name} WHERE true"
    changed = next(iter(changes))
    for statement in (
        f"INSERT INTO {table.name} {source}",
        f"INSERT OR REPLACE INTO {table.name} {source}",
        f"REPLACE INTO {table.name} {source}",
        f"INSERT OR IGNORE INTO {table.name} {source}",
        f"INSERT INTO {table.name} {source} ON CONFLICT DO NOTHING",
    ):
        refused(ledger, statement)
    keys = [constraint for constraint in table.constraints if hasattr(constraint, "columns")]
    for key in keys:
        target = ", ".join(column.name for column in key.columns)
        refused(
            ledger,
            f"INSERT INTO {table.name} {source} ON CONFLICT ({target}) DO UPDATE SET {changed} = excluded.{changed}",
        )


def test_every_sealed_table_refuses_an_upsert_on_its_key(ledger: Engine) -> None:
    for table in SEALED:
        names, values = copied(table)
        key = ", ".join(column.name for column in table.primary_key)
        refused(
            ledger,
            f"INSERT INTO {table.name} ({names}) SELECT {values} FROM {table.name} WHERE true "
            f"ON CONFLICT ({key}) DO UPDATE SET {COLUMN[table.name]} = excluded.{COLUMN[table.name]}",
        )


def test_merge_and_replica_sessions_are_refused(ledger: Engine) -> None:
    attempt = refused if ledger.dialect.name == "sqlite" else seal  # SQLite knows neither
    before = contents(ledger)
    for table, column in COLUMN.items():
        key = {"forecasts": "id", "ledger_digests": "day"}.get(table, "forecast_id")
        merge = f"MERGE INTO {table} t USING {table} s ON t.{key} = s.{key} WHEN MATCHED THEN"
        attempt(ledger, f"{merge} UPDATE SET {column} = s.{column}")
        attempt(ledger, f"{merge} DELETE")
        attempt(ledger, f"SET session_replication_role = replica; DELETE FROM {table}")
    assert contents(ledger) == before


def test_a_row_of_the_ledger_keeps_its_parent(ledger: Engine) -> None:
    refused(
        ledger,
        "INSERT INTO forecast_blocks (forecast_id, kind, dtype, shape, payload) VALUES (999, 'raw', '<f4', '[]', '')",
    )


def test_paths_may_be_retired_but_not_changed(ledger: Engine) -> None:
    seal(ledger, "UPDATE forecast_paths SET payload = payload")
    with ledger.begin() as connection:
        connection.exec_driver_sql("DELETE FROM forecast_paths")
    with ledger.connect() as connection:
        assert verify_lane(connection, "live").ok


def test_a_lane_that_does_not_exist_takes_no_row(ledger: Engine) -> None:
    names, values = copied(forecasts, lane="'other'", id="id + 100")
    refused(ledger, f"INSERT INTO forecasts ({names}) SELECT {values} FROM forecasts WHERE true")
