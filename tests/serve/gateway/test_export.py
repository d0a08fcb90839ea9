"""The ledger as a file: whoever has it can walk the chain and check every quantile without us."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet
import pytest

from gnomon.serve.gateway import export
from gnomon.serve.gateway.answers import ExportRow
from gnomon.store.chain import array_digest, canonical, genesis, link

API = "/api/v1/ledger/export"
JSON = ("params", "levels", "warnings", "event_context", "p_up", "p10", "p50", "p90")


@pytest.fixture
def issued(world: Any) -> Any:
    """Seven live rows, one calibrated, one with paths; three of the other lane."""
    for number in range(7):
        options: dict[str, Any] = {"calibrated": world.fan(60_100.0, 6), "calibration_id": 3} if number == 2 else {}
        options |= {"paths": np.full((4, 6), 60_000.0), "params": {"x": [1, 2.5]}} if number == 4 else {}
        world.issue(forecaster="ewma" if number % 2 else "fhs", **options)
        world.advance(3600)
    for number in range(3):
        world.issue(lane="backfill", cutoff=f"2024-04-0{number + 1}T00:00:00Z")
    return world


def walked(rows: list[Mapping[str, Any]], lane: str) -> str:
    """The hash of the last row, after every hash and digest has been recomputed from the file alone."""
    last = genesis(lane)
    for seq, row in enumerate(rows, 1):
        record = dict(row) | {name: canonical(row[name]) for name in JSON}
        record |= {name: np.array(row[name], "<i8").tobytes() for name in ("target_open", "target_close")}
        assert row["seq"] == seq
        assert row["prev_hash"] == last
        last = link(last, record)
        assert row["row_hash"] == last
        assert array_digest(np.array(row["raw"], "<f4")) == row["raw_digest"]
        curve = row["calibrated"]
        assert ("" if curve is None else array_digest(np.array(curve, "<f4"))) == row["calibrated_digest"]
    return last


def pages(client: Any, limit: int, **params: Any) -> list[Mapping[str, Any]]:
    rows, cursor = [], None
    while True:
        page = client.json(API, limit=limit, **params, **({"cursor": cursor} if cursor else {}))
        rows += page["items"]
        assert len(page["items"]) <= limit
        cursor = page["next_cursor"]
        if cursor is None:
            return rows


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_the_chain_is_walked_from_an_export_alone(
    issued: Any, client: Any, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(export, "BATCH_ROWS", batch)
    for limit in (1, 3, 1000):
        assert walked(pages(client, limit), "live") == issued.ledger.head("live")[1]
    assert walked(pages(client, 2, lane="backfill"), "backfill") == issued.ledger.head("backfill")[1]


def test_csv_and_parquet_hold_the_same(issued: Any, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "BATCH_ROWS", 2)
    as_csv = client.get(f"{API}?format=csv&limit=5")
    lines = list(csv.DictReader(io.StringIO(as_csv.text)))
    as_parquet = client.get(f"{API}?format=parquet&limit=5")
    file = pyarrow.parquet.ParquetFile(io.BytesIO(as_parquet.content))
    table = file.read().to_pylist()
    page = client.json(API, limit=5)
    assert file.num_row_groups == 3
    assert as_csv.headers["x-next-cursor"] == as_parquet.headers["x-next-cursor"] == page["next_cursor"]
    assert "ledger-live.parquet" in as_parquet.headers["content-disposition"]
    for line, row, wanted in zip(lines, table, page["items"], strict=True):
        assert orjson.loads(line["raw"]) == row["raw"] == wanted["raw"]
        assert line["row_hash"] == row["row_hash"] == wanted["row_hash"]
        assert orjson.loads(row["params"]) == orjson.loads(line["params"]) == wanted["params"]
    parsed = [row | {name: orjson.loads(row[name]) for name in ("params", "event_context")} for row in table]
    assert walked(parsed, "live") == issued.ledger.get(5).row_hash


def test_an_empty_lane_is_an_empty_file_with_its_columns(client: Any) -> None:
    assert client.json(API) == {"items": [], "next_cursor": None}
    assert client.get(f"{API}?format=csv").text.strip().split(",") == list(export.COLUMNS)
    empty = pyarrow.parquet.read_table(io.BytesIO(client.get(f"{API}?format=parquet").content))
    assert (empty.num_rows, empty.column_names) == (0, list(export.COLUMNS))


def test_what_comes_after_the_end_is_nothing(issued: Any, client: Any) -> None:
    last = client.json(API, limit=6)["next_cursor"]
    rest = client.json(API, cursor=last)
    assert ([row["seq"] for row in rest["items"]], rest["next_cursor"]) == ([7], None)
    issued.issue(forecaster="drift")
    assert [row["seq"] for row in client.json(API, cursor=last)["items"]] == [7, 8]


def test_a_row_is_as_the_document_promises(issued: Any, client: Any) -> None:
    assert issued.ledger.head("live")[0] == 7
    for row in client.json(API)["items"]:
        ExportRow.model_validate(row)
    assert set(ExportRow.model_fields) == set(export.COLUMNS)


def test_memory_does_not_grow_with_the_ledger(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The most that is held while an export runs, for 20 rows and for 200."""
    monkeypatch.setattr(export, "BATCH_ROWS", 10)
    for _ in range(200):
        world.issue(horizon=120)
        world.advance(3600)

    def peak(rows: int) -> int:
        tracemalloc.start()
        length = sum(len(part) for part in export.written(export.batches(world.engine, "live", 0, rows), "json", None))
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert length > rows * 10_000
        return held

    peak(20)  # what is loaded once
    assert peak(200) < 2 * peak(20)
