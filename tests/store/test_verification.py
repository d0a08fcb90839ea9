"""The walk along the chain: every change behind the ledger's back is named."""

from __future__ import annotations

import zlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, text

import gnomon.store.verification as verification
from gnomon.clock import Timeframe, iso
from gnomon.store.forecasts import ForecastLedger
from gnomon.store.verification import Broken, Verified

LATE_NS = 2 * 10**18
ROWS = 7
TRIGGERS = ("forecasts", "forecast_blocks", "forecast_bars", "forecast_paths")


@pytest.fixture
def ledger(engine: Engine, make: SimpleNamespace) -> ForecastLedger:
    """Seven live rows, of which the third (a day's, calibrated) has paths and bars; two rows in the other lane."""
    paths = np.random.default_rng(0).uniform(90, 110, (4, 5, 6))
    third = make.entry(2, horizon=5, timeframe=Timeframe.parse("1d"), paths=paths, calibrated=True)
    entries = [make.entry(n, horizon=5) for n in range(ROWS)]
    entries[2] = third
    made = ForecastLedger(engine)
    made.issue(entries[:4], lane="live", issued_at_ns=LATE_NS)
    made.issue(entries[4:], lane="live", issued_at_ns=LATE_NS)
    made.issue(entries[:2], lane="backfill", issued_at_ns=LATE_NS)
    return made


def unseal(connection: Connection) -> None:
    """What somebody with the right to change tables can do."""
    for table in TRIGGERS:
        if connection.dialect.name == "sqlite":
            for trigger in ("no_update", "no_delete", "no_replace"):
                connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {table}_{trigger}")
        else:
            connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER {table}_sealed")
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")


def behind_the_back(ledger: ForecastLedger, *statements: str, **values: Any) -> Verified:
    """What the walk along the live lane finds after the statements."""
    engine: Engine = ledger._engine
    with engine.begin() as connection:
        unseal(connection)
        for statement in statements:
            assert connection.execute(text(statement), values).rowcount > 0
    live, other = ledger.verify()
    assert other == Verified("backfill", 2, True)
    return live


def cell(ledger: ForecastLedger, query: str) -> Any:
    with ledger._engine.connect() as connection:
        return connection.execute(text(query)).scalar_one()


def test_an_untouched_ledger_is_whole(ledger: ForecastLedger) -> None:
    assert ledger.verify() == [Verified("live", ROWS, True), Verified("backfill", 2, True)]
    assert ledger.verify("backfill") == [Verified("backfill", 2, True)]
    assert ledger.verify()[0].row() == {"lane": "live", "rows": ROWS, "ok": True, "broken": None}
    assert ledger.verify()[0].sentence() == "live: 7 forecasts, all as they were issued"


COLUMNS = {
    "instrument": "'us:SPY'",
    "p50": "replace(p50, '9', '8')",
    "params": "'{ }'",
    "base_price": "base_price * 1.0000000001",
    "seed": "seed + 1",
    "issued_at": "issued_at - 1",
    "calibration_id": "0",
    "weights_id": "0",
    "code_version": "' '",
    "raw_digest": "paths_digest",
    "variant": "'x'",
    "row_hash": "replace(row_hash, substr(row_hash, 1, 1), 'e')",
    "prev_hash": "row_hash",
    "event_context": "'{\"active\":[]}'",
}


@pytest.mark.parametrize("column", COLUMNS)
def test_a_changed_column_is_named(ledger: ForecastLedger, make: SimpleNamespace, column: str) -> None:
    found = behind_the_back(
        ledger, f"UPDATE forecasts SET {column} = {COLUMNS[column]} WHERE lane = 'live' AND seq = 5"
    )
    assert found.rows == 4
    assert found.broken is not None
    instrument = "us:SPY" if column == "instrument" else "binance:BTCUSDT"
    cutoff = iso(make.entry(4).forecast.data_cutoff_ns)
    why = found.broken.why
    assert found.broken == Broken(5, 5, instrument, "ewma", cutoff, why)
    assert why.startswith("row altered")
    assert found.sentence() == f"live: broken at row 5: forecast 5, ewma of {instrument} at {cutoff}, {why}"


@pytest.mark.parametrize("position", [0, 500, -1])
def test_one_byte_of_one_row_is_named(ledger: ForecastLedger, position: int) -> None:
    content = bytes(cell(ledger, "SELECT target_close FROM forecasts WHERE lane = 'live' AND seq = 2"))
    position = position % len(content)
    other = content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
    found = behind_the_back(
        ledger, "UPDATE forecasts SET target_close = :other WHERE lane = 'live' AND seq = 2", other=other
    )
    assert found.broken is not None
    assert (found.broken.seq, found.broken.why[:11]) == (2, "row altered")


@pytest.mark.parametrize("position", [0, 30, -1])
@pytest.mark.parametrize("kind", ["raw", "calibrated"])
def test_one_byte_of_one_block_is_named(ledger: ForecastLedger, kind: str, position: int) -> None:
    where = f"forecast_id = 3 AND kind = '{kind}'"
    payload = bytes(cell(ledger, f"SELECT payload FROM forecast_blocks WHERE {where}"))
    position = position % len(payload)
    other = payload[:position] + bytes([payload[position] ^ 1]) + payload[position + 1 :]
    found = behind_the_back(ledger, f"UPDATE forecast_blocks SET payload = :other WHERE {where}", other=other)
    assert found.broken is not None
    assert (found.broken.id, found.broken.seq, found.broken.why) == (3, 3, f"block altered: {kind}")


def test_a_block_that_says_something_else_is_named(ledger: ForecastLedger) -> None:
    payload = zlib.decompress(cell(ledger, "SELECT payload FROM forecast_blocks WHERE forecast_id = 4"))
    values = np.frombuffer(payload, "<f4") * np.float32(1.5)
    other = zlib.compress(values.tobytes())
    found = behind_the_back(ledger, "UPDATE forecast_blocks SET payload = :other WHERE forecast_id = 4", other=other)
    assert found.broken is not None
    assert (found.broken.id, found.broken.why) == (4, "block altered: raw")


def test_a_block_compressed_anew_says_the_same(ledger: ForecastLedger) -> None:
    payload = zlib.decompress(cell(ledger, "SELECT payload FROM forecast_blocks WHERE forecast_id = 4"))
    other = zlib.compress(payload, 9)
    update = "UPDATE forecast_blocks SET payload = :other WHERE forecast_id = 4"
    assert behind_the_back(ledger, update, other=other).ok


PARTS = {
    "block missing: raw": "DELETE FROM forecast_blocks WHERE forecast_id = 3 AND kind = 'raw'",
    "block missing: calibrated": "DELETE FROM forecast_blocks WHERE forecast_id = 3 AND kind = 'calibrated'",
    "paths altered": "UPDATE forecast_paths SET shape = '[5,4]' WHERE forecast_id = 3",
    "bars altered": "UPDATE forecast_bars SET close = close + 0.5 WHERE forecast_id = 3 AND step = 2",
    "bars altered ": "DELETE FROM forecast_bars WHERE forecast_id = 3",
    "bars altered  ": "DELETE FROM forecast_bars WHERE forecast_id = 3 AND step = 5",
}


@pytest.mark.parametrize("why", PARTS)
def test_a_changed_part_is_named(ledger: ForecastLedger, why: str) -> None:
    found = behind_the_back(ledger, PARTS[why])
    assert found.broken is not None
    assert (found.broken.seq, found.broken.why) == (3, why.strip())


def test_a_part_that_was_added_is_named(ledger: ForecastLedger) -> None:
    block = "SELECT 2, 'calibrated', dtype, shape, payload FROM forecast_blocks WHERE forecast_id = 2"
    found = behind_the_back(ledger, f"INSERT INTO forecast_blocks (forecast_id, kind, dtype, shape, payload) {block}")
    assert found.broken is not None
    assert (found.broken.seq, found.broken.why) == (2, "block added: calibrated")
    bars = "SELECT 1, step, target_open, target_close, open, high, low, close, volume FROM forecast_bars"
    names = "forecast_id, step, target_open, target_close, open, high, low, close, volume"
    found = behind_the_back(ledger, f"INSERT INTO forecast_bars ({names}) {bars}")
    assert found.broken is not None
    assert (found.broken.seq, found.broken.why) == (1, "bars altered")


def test_retired_paths_are_no_fault(ledger: ForecastLedger) -> None:
    assert behind_the_back(ledger, "DELETE FROM forecast_paths").ok


def without(ledger: ForecastLedger, seq: int) -> Verified:
    id_ = cell(ledger, f"SELECT id FROM forecasts WHERE lane = 'live' AND seq = {seq}")
    tables = ("forecast_blocks", "forecast_paths", "forecast_bars")
    with ledger._engine.begin() as connection:
        unseal(connection)
        for table in tables:
            connection.execute(text(f"DELETE FROM {table} WHERE forecast_id = {id_}"))
    return behind_the_back(ledger, f"DELETE FROM forecasts WHERE id = {id_}")


@pytest.mark.parametrize("seq", [1, 3, 6])
def test_a_missing_row_is_named_by_its_number(ledger: ForecastLedger, seq: int) -> None:
    found = without(ledger, seq)
    assert found.broken is not None
    assert (found.broken.id, found.broken.seq) == (None, seq)
    assert found.broken.why == f"row missing: the chain goes on with row {seq + 1}, forecast {seq + 1}"
    assert found.row()["broken"]["id"] is None


def test_a_missing_last_row_is_a_chain_cut_at_the_end(ledger: ForecastLedger) -> None:
    found = without(ledger, ROWS)
    assert found.broken is not None
    assert (found.rows, found.broken.seq) == (ROWS - 1, ROWS)
    assert found.broken.why == "chain cut at the end: its head counts 7 rows, 6 are there"
    assert found.sentence() == f"live: broken at row 7: {found.broken.why}"


def test_two_rows_that_changed_places_are_named(ledger: ForecastLedger) -> None:
    found = behind_the_back(
        ledger,
        "UPDATE forecasts SET seq = 99 WHERE lane = 'live' AND seq = 4",
        "UPDATE forecasts SET seq = 4 WHERE lane = 'live' AND seq = 6",
        "UPDATE forecasts SET seq = 6 WHERE lane = 'live' AND seq = 99",
    )
    assert found.broken is not None
    assert (found.broken.id, found.broken.seq, found.broken.why[:11]) == (6, 4, "row altered")


def test_a_row_moved_to_the_other_lane_is_missed_here(ledger: ForecastLedger) -> None:
    with ledger._engine.begin() as connection:
        unseal(connection)
        connection.execute(text("UPDATE forecasts SET lane = 'backfill', seq = 3 WHERE lane = 'live' AND seq = 5"))
    live, other = ledger.verify()
    assert live.broken is not None
    assert other.broken is not None
    assert (live.broken.seq, other.broken.seq) == (5, 3)


def test_a_row_added_by_hand_is_named(ledger: ForecastLedger, engine: Engine) -> None:
    from gnomon.store.tables import forecasts

    names = [column.name for column in forecasts.c]
    changed = {"id": "100", "seq": "8", "data_cutoff": "data_cutoff + 1", "prev_hash": "row_hash"}
    values = ", ".join(changed.get(name, name) for name in names)
    with engine.begin() as connection:
        source = f"SELECT {values} FROM forecasts WHERE lane = 'live' AND seq = 7"
        connection.execute(text(f"INSERT INTO forecasts ({', '.join(names)}) {source}"))
    found = ledger.verify("live")[0]
    assert found.broken is not None
    assert (found.broken.id, found.broken.why[:11]) == (100, "row altered")


HEADS: dict[str, tuple[str, str]] = {
    "longer": ("UPDATE chain_heads SET seq = 6 WHERE lane = 'live'", "chain longer than its head"),
    "cut": ("UPDATE chain_heads SET seq = 9 WHERE lane = 'live'", "chain cut at the end"),
    "hash": ("UPDATE chain_heads SET hash = 'x' WHERE lane = 'live'", "head altered"),
    "gone": ("DELETE FROM chain_heads WHERE lane = 'live'", "the head of the chain is missing"),
}


@pytest.mark.parametrize("case", HEADS)
def test_a_changed_head_is_named(ledger: ForecastLedger, case: str) -> None:
    statement, why = HEADS[case]
    found = behind_the_back(ledger, statement)
    assert found.broken is not None
    assert found.broken.why.startswith(why)


@pytest.mark.parametrize("value", ["'text'", "1.5", "x'00'", "-1"])
def test_a_number_of_another_kind_is_an_altered_row(ledger: ForecastLedger, engine: Engine, value: str) -> None:
    if engine.dialect.name == "postgresql" and value != "-1":
        return  # its columns take no other type
    found = behind_the_back(ledger, f"UPDATE forecasts SET data_cutoff = {value} WHERE id = 2")
    assert found.broken is not None
    assert (found.broken.seq, found.broken.why[:11]) == (2, "row altered")


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_the_walk_is_the_same_in_batches_of_any_size(
    ledger: ForecastLedger, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "BATCH_ROWS", batch)
    seen: list[tuple[int, int, str]] = []
    assert ledger.verify("live", lambda *told: seen.append(told)) == [Verified("live", ROWS, True)]
    assert seen == [(min(done, ROWS), ROWS, "verifying live") for done in range(batch, ROWS + batch, batch)]
    assert without(ledger, 5).broken == Broken(
        None, 5, "", "", "", "row missing: the chain goes on with row 6, forecast 6"
    )


def test_a_forecast_issued_during_the_walk_does_not_disturb_it(
    ledger: ForecastLedger, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "BATCH_ROWS", 2)

    def meanwhile(*told: Any) -> None:
        ledger.issue([make.entry(100 + told[0])], lane="live", issued_at_ns=LATE_NS)

    assert ledger.verify("live", meanwhile) == [Verified("live", ROWS, True)]
    assert ledger.verify("live") == [Verified("live", ROWS + 4, True)]
