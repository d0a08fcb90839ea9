"""Runs in the database: written once, found by any beginning that names one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from gnomon.errors import Conflict, Invalid, NotFound
from gnomon.store.runs import RunStore, StoredRun

RUN = StoredRun(
    id="run_0001aaaa",
    session="btc",
    entry="maker",
    sweep="",
    trader="market_maker",
    params={"distance_ticks": 3},
    seed=2**64 - 1,
    dataset="ab" * 32,
    spec='[session]\ndataset = "btc"\n',
    status="completed",
    reason="",
    digests={"fingerprint": "0f" * 32, "config": "11" * 32},
    engine=1,
    counts={"fills": 2},
    summary={"growth": {"total_return": 0.01}},
    journal="full",
    created_at=5,
)


@pytest.fixture
def store(engine: Engine) -> RunStore:
    return RunStore(engine)


def test_a_run_is_read_back_as_it_was_kept(store: RunStore) -> None:
    store.keep([RUN])
    assert store.find(RUN.id) == RUN
    assert store.find(RUN.id[:8]) == RUN
    assert store.find(RUN.fingerprint[:12]) == RUN


def test_an_id_is_written_once_and_a_refused_batch_leaves_nothing(store: RunStore) -> None:
    store.keep([RUN])
    other = replace(RUN, id="run_0002bbbb")
    with pytest.raises(Conflict, match="run_0001aaaa is stored already"):
        store.keep([other, RUN])
    assert [one.id for one in store.list()] == [RUN.id]


def test_a_beginning_must_name_one_run_unless_all_are_equal(store: RunStore) -> None:
    twin = replace(RUN, id="run_0002bbbb", created_at=6)
    store.keep([RUN, twin])
    assert store.find("0f0f0f") == twin
    store.keep([replace(RUN, id="run_0003cccc", digests={"fingerprint": "22" * 32})])
    with pytest.raises(Invalid, match="the beginning of 3 runs"):
        store.find("run_")
    with pytest.raises(NotFound):
        store.find("run_9")
    with pytest.raises(Invalid, match="too short"):
        store.find("run")


def test_runs_are_listed_newest_first_by_session_and_sweep(store: RunStore) -> None:
    store.keep([replace(RUN, id=f"run_{n}", session="ab"[n % 2], sweep="s"[: n // 2], created_at=n) for n in range(4)])
    assert [one.id for one in store.list()] == ["run_3", "run_2", "run_1", "run_0"]
    assert [one.id for one in store.list(session="a")] == ["run_2", "run_0"]
    assert [one.id for one in store.list(sweep="s", limit=1)] == ["run_3"]
