"""Columns in and out of both databases, against rows read one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, func, select, text

from gnomon.store.columns import insert_columns, insert_rows, read_columns, stage_columns
from gnomon.store.engine import reading, writing
from gnomon.store.tables import candle_series, candles, forecast_bars, forecasts, instruments, scores

NAMES = [column.name for column in candles.c]


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """An engine with one candle series, number 1, without bars."""
    with writing(engine) as connection:
        connection.execute(instruments.insert().values(id="x:A", symbol="A", document="{}", recorded_at=0))
        key = {"instrument": "x:A", "timeframe": "1h", "basis": "raw"}
        connection.execute(candle_series.insert().values(id=1, **key, tick="1", lot="1", money="1"))
    return engine


def some_columns(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    luck = np.random.default_rng(seed)
    columns = {name: luck.integers(-(2**62), 2**62, rows) for name in NAMES}
    columns["series_id"] = np.ones(rows, np.int64)
    columns["open_ns"] = np.arange(rows, dtype=np.int64) * 1000 + 2**61
    columns["revision"] = luck.integers(0, 100, rows)
    columns["flags"] = luck.integers(0, 256, rows).astype(np.uint8)
    return columns


def read(engine: Engine, **options: Any) -> dict[str, np.ndarray]:
    with reading(engine) as connection:
        return read_columns(connection, select(candles), order=("open_ns", "revision"), **options)


@pytest.mark.parametrize("rows", [0, 1, 1000])
def test_integer_columns_come_back_as_they_went(filled: Engine, rows: int) -> None:
    columns = some_columns(rows)
    if rows:
        columns["close_ns"][0], columns["high"][0] = -(2**63), 2**63 - 1
    with writing(filled) as connection:
        insert_columns(connection, candles, columns)
    found = read(filled)
    assert list(found) == NAMES
    for name in NAMES:
        assert found[name].dtype == np.int64
        np.testing.assert_array_equal(found[name], columns[name], name)
    with reading(filled) as connection:
        naive = connection.execute(select(candles).order_by(candles.c.open_ns)).all()
    assert [tuple(row) for row in naive] == list(zip(*(found[name].tolist() for name in NAMES), strict=True))


def test_rows_are_ordered_whatever_the_order_of_their_insertion(filled: Engine) -> None:
    columns = some_columns(200)
    columns["open_ns"] //= 7000  # several revisions of a bar
    keys = np.unique(np.stack([columns["open_ns"], columns["revision"]]), axis=1, return_index=True)[1]
    shuffled = np.random.default_rng(1).permutation(keys)
    with writing(filled) as connection:
        insert_columns(connection, candles, {name: column[shuffled] for name, column in columns.items()})
    found = read(filled)
    order = np.lexsort((columns["revision"][keys], columns["open_ns"][keys]))
    for name in NAMES:
        np.testing.assert_array_equal(found[name], columns[name][keys][order])


STEADY = {"flags": None, "close_ns": "open_ns", "knowable_ns": "close_ns", "revision": None}


@pytest.mark.parametrize("exceptions", [(), ("flags",), ("close_ns",), ("knowable_ns", "revision"), tuple(STEADY)])
@pytest.mark.parametrize("rows", [0, 1, 50])
def test_steady_columns_are_right_when_they_are_not_steady(
    filled: Engine, rows: int, exceptions: tuple[str, ...]
) -> None:
    columns = some_columns(rows)
    columns |= {"flags": np.full(rows, 3), "revision": np.full(rows, 2), "close_ns": columns["open_ns"] + 60}
    columns["knowable_ns"] = columns["close_ns"] + 5
    for name in exceptions:
        columns[name] = columns[name] + (np.arange(rows) == rows // 2)
    with writing(filled) as connection:
        insert_columns(connection, candles, columns)
    found = read(filled, steady=STEADY)
    assert list(found) == NAMES
    for name in NAMES:
        np.testing.assert_array_equal(found[name], columns[name], name)


def test_floats_come_back_to_the_bit_and_null_is_nan(engine: Engine) -> None:
    floats = np.concatenate(
        [np.random.default_rng(0).normal(size=500) * 10.0 ** np.arange(-250, 250), [5.0, 0.1 + 0.2]]
    )
    rows = [(1, step, 0, step, 0, 0, 0, value, None, "") for step, value in enumerate(floats.tolist())]
    names = [
        "forecast_id",
        "step",
        "stage",
        "target_close",
        "realised_revision",
        "realised_at",
        "scored_at",
        "realised",
        "crps",
        "void_reason",
    ]
    with writing(engine) as connection:
        _without_parents(connection)
        assert insert_rows(connection, scores, names, rows) == len(rows)
    wanted = select(scores.c.forecast_id, scores.c.step, scores.c.realised, scores.c.crps, scores.c.target_close)
    with reading(engine) as connection:
        found = read_columns(connection, wanted, order=("forecast_id", "step"))
    np.testing.assert_array_equal(found["realised"], floats)
    assert np.isnan(found["crps"]).all()
    assert found["step"].tolist() == found["target_close"].tolist() == list(range(len(floats)))


def _without_parents(connection: Any) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        connection.exec_driver_sql("DROP TABLE forecasts")  # then nothing is checked against it
        connection.exec_driver_sql("CREATE TABLE forecasts (id INTEGER PRIMARY KEY)")
        connection.exec_driver_sql("INSERT INTO forecasts VALUES (1)")
    else:
        connection.exec_driver_sql("ALTER TABLE scores DROP CONSTRAINT fk_scores_forecast_id")


def test_names_with_percent_signs_and_quotes_are_found(filled: Engine) -> None:
    name = 'x:100%s\' OR "1"'
    with writing(filled) as connection:
        connection.execute(instruments.insert().values(id=name, symbol="A", document="{}", recorded_at=0))
        key = {"instrument": name, "timeframe": "1h", "basis": "raw"}
        connection.execute(candle_series.insert().values(id=2, **key, tick="1", lot="1", money="1"))
        insert_columns(connection, candles, some_columns(5) | {"series_id": np.full(5, 2)})
    mine = select(candle_series.c.id).where(candle_series.c.instrument.in_([name, "%"]))
    wanted = select(candles.c.open_ns, candles.c.close).where(candles.c.series_id.in_(mine), candles.c.close != 0)
    with reading(filled) as connection:
        assert len(read_columns(connection, wanted, order=("open_ns",))["close"]) == 5


def test_computed_columns_are_read_by_their_label(filled: Engine) -> None:
    with writing(filled) as connection:
        insert_columns(connection, candles, some_columns(5))
    wanted = select(candles.c.open_ns, func.coalesce(candles.c.flags, -9).label("bits"))
    with reading(filled) as connection:
        assert list(read_columns(connection, wanted, order=("open_ns",))) == ["open_ns", "bits"]


def test_text_bytes_and_nothing_go_in_as_rows(engine: Engine) -> None:
    names = [column.name for column in forecasts.c]
    row: dict[str, Any] = {
        c.name: {"TEXT": 'ü "\\\n\t', "BLOB": b"\0\xff\\", "DOUBLE": 0.1}.get(str(c.type), 7) for c in forecasts.c
    }
    row |= {"lane": "live", "calibration_id": None}
    with writing(engine) as connection:
        assert insert_rows(connection, forecasts, names, iter([tuple(row.values())])) == 1
        assert insert_rows(connection, forecast_bars, ["forecast_id", "step"], iter([])) == 0
    with reading(engine) as connection:
        assert dict(connection.execute(select(forecasts)).mappings().one()) == row


def test_staged_columns_are_gone_with_the_transaction(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        return  # it has no need of them
    for _ in range(2):
        with writing(engine) as connection:
            name = stage_columns(connection, {"a": np.arange(3), "b": np.array([0.5, np.nan, 1.5])})
            found = connection.execute(text(f"SELECT a, nullif(b, 'NaN') FROM {name} ORDER BY a")).all()
        assert [tuple(row) for row in found] == [(0, 0.5), (1, None), (2, 1.5)]
