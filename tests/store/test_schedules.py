"""Schedules as rows: what defaults may replace, how far each has fired."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine

from gnomon.errors import NotFound
from gnomon.store.schedules import ScheduleStore


@pytest.fixture
def store(engine: Engine) -> ScheduleStore:
    return ScheduleStore(engine)


def document(**changed: Any) -> dict[str, Any]:
    return {"name": "a", "cron": "5 * * * *", "timezone": "UTC", "enabled": True, "args": {"b": 1, "a": [1]}} | changed


def state(store: ScheduleStore, name: str = "a") -> tuple[Any, bool, int, int]:
    row = store.get(name)
    return row.document["cron"], row.is_edited, row.fired_until_ns, row.updated_ns


def test_a_new_default_fires_from_now_on(store: ScheduleStore) -> None:
    store.declare({"a": document()}, 100)
    assert state(store) == ("5 * * * *", False, 100, 100)
    assert store.get("a").document == document()


def test_declaring_the_same_again_changes_nothing(store: ScheduleStore) -> None:
    for now_ns in (100, 200):
        store.declare({"a": document()}, now_ns)
    assert state(store) == ("5 * * * *", False, 100, 100)


def test_a_newer_default_replaces_an_older_one_but_no_edited_row(store: ScheduleStore) -> None:
    store.declare({"a": document(), "b": document(name="b")}, 100)
    store.put("b", document(name="b", cron="7 * * * *"), 150)
    newer = {name: document(name=name, cron="9 * * * *") for name in "ab"}
    store.declare(newer, 200)
    assert state(store) == ("9 * * * *", False, 200, 200)
    assert state(store, "b") == ("7 * * * *", True, 150, 150)


def test_an_edited_row_that_equals_its_default_follows_the_defaults_again(store: ScheduleStore) -> None:
    store.declare({"a": document()}, 100)
    store.put("a", document(enabled=False), 110)
    store.put("a", document(), 120)
    assert state(store)[1]
    store.declare({"a": document()}, 130)
    assert state(store) == ("5 * * * *", False, 120, 130)


@pytest.mark.parametrize("change", [{"cron": "6 * * * *"}, {"timezone": "Asia/Tokyo"}, {"enabled": False}])
def test_a_change_of_when_it_is_due_counts_from_the_moment_it_was_made(
    store: ScheduleStore, change: dict[str, Any]
) -> None:
    store.put("a", document(), 100)
    store.put("a", document(**change), 500)
    assert store.get("a").fired_until_ns == 500


def test_a_change_of_anything_else_leaves_what_is_due_due(store: ScheduleStore) -> None:
    store.put("a", document(), 100)
    store.put("a", document(args={}, note="n"), 500)
    assert store.get("a").fired_until_ns == 100
    assert store.get("a").document["note"] == "n"


def test_fired_until_never_goes_back(store: ScheduleStore) -> None:
    store.put("a", document(), 100)
    for at_ns, expected in ((300, 300), (200, 300), (301, 301)):
        store.advance("a", at_ns)
        assert store.get("a").fired_until_ns == expected
    store.put("a", document(cron="6 * * * *"), 250)
    assert store.get("a").fired_until_ns == 301


def test_an_unknown_name_is_answered_with_the_nearest(store: ScheduleStore) -> None:
    store.put("ingest-1h", document(name="ingest-1h"), 1)
    with pytest.raises(NotFound, match="ingest-1") as caught:
        store.get("ingest-1x")
    assert caught.value.detail == {"nearest": ["ingest-1h"]}
    with pytest.raises(NotFound, match="nothing"):
        store.get("nothing")


def test_rows_are_listed_by_name(store: ScheduleStore) -> None:
    for name in ("c", "a", "b"):
        store.put(name, document(name=name), 1)
    assert [one.name for one in store.all()] == ["a", "b", "c"]


def test_first_edits_at_once_leave_one_row_with_one_of_them(store: ScheduleStore) -> None:
    for number in range(10):
        crons = [f"{minute} * * * *" for minute in range(4)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda cron, n=number: store.put(f"s{n}", document(cron=cron), 1), crons))
        assert store.get(f"s{number}").document["cron"] in crons
    assert len(store.all()) == 10
