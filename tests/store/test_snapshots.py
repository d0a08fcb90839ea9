"""Snapshots of the board: kept once, read back in pages, and told when one was altered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from gnomon.errors import Invalid
from gnomon.store.chain import genesis
from gnomon.store.forecasts import ForecastLedger
from gnomon.store.snapshots import BoardStore, Snapshot, filter_hash

HOURLY, DAILY = {"timeframe": "1h", "group": "all"}, {"timeframe": "1d", "group": "all"}


def snapshot(as_of_ns: int = 10, asked: dict[str, Any] = HOURLY, skill: float | None = 0.25) -> Snapshot:
    return Snapshot(as_of_ns, asked, [{"forecaster": "fhs", "skill": skill, "n": 3}], "f" * 64)


def test_a_snapshot_is_kept_once_and_a_second_one_changes_nothing(engine: Engine) -> None:
    boards = BoardStore(engine)
    assert boards.insert(snapshot())
    assert not boards.insert(snapshot(skill=0.9))
    assert boards.read() == [snapshot()]
    assert boards.read(HOURLY)[0].hash == snapshot().hash
    assert boards.altered() == []


def test_pages_hold_every_snapshot_once_newest_first(engine: Engine) -> None:
    boards = BoardStore(engine)
    for as_of_ns in range(10, 17):
        for asked in (HOURLY, DAILY):
            boards.insert(snapshot(as_of_ns, asked))
    for limit in (1, 3, 100):
        found: list[Snapshot] = []
        before = None
        while page := boards.read(before=before, limit=limit):
            found += page
            before = (page[-1].as_of_ns, page[-1].filter_hash)
        assert [one.as_of_ns for one in found] == sorted([*range(10, 17)] * 2, reverse=True)
        assert len({(one.as_of_ns, one.filter_hash) for one in found}) == 14
    assert [one.as_of_ns for one in boards.read(DAILY, first_ns=12, last_ns=15)] == [14, 13, 12]


def test_a_snapshot_that_was_altered_behind_the_store_is_found(engine: Engine) -> None:
    boards = BoardStore(engine)
    for as_of_ns in (10, 11, 12):
        boards.insert(snapshot(as_of_ns))
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE boards SET rows = replace(rows, '0.25', '0.26') WHERE as_of = 11")
        connection.exec_driver_sql("UPDATE boards SET filter_hash = 'x' WHERE as_of = 12")
    assert boards.altered() == [(11, filter_hash(HOURLY)), (12, "x")]


def test_a_figure_that_json_cannot_hold_is_refused(engine: Engine) -> None:
    with pytest.raises(Invalid, match="not a JSON value"):
        BoardStore(engine).insert(snapshot(skill=float("nan")))


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_two_hashes_are_one_only_for_equal_figures(one: float, other: float) -> None:
    assert (snapshot(skill=one).hash == snapshot(skill=other).hash) == (repr(one) == repr(other))


def test_the_head_is_the_last_row_issued_by_then(engine: Engine, make: SimpleNamespace) -> None:
    ledger, boards = ForecastLedger(engine), BoardStore(engine)
    issued_ns = make.start_ns * 2
    assert boards.head_at("live", issued_ns) == genesis("live")
    heads = []
    for number in range(3):
        ledger.issue([make.entry(number)], lane="live", issued_at_ns=issued_ns + number)
        heads.append(ledger.head("live")[1])
    assert [boards.head_at("live", issued_ns + number) for number in range(4)] == [*heads, heads[-1]]
    assert boards.head_at("backfill", issued_ns) == genesis("backfill")
