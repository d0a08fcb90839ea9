"""What runtimes say: each message once, unknown members kept, nothing that is no message."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from gnomon.errors import Invalid
from gnomon.store.bots import Bot, BotStore
from gnomon.store.health import TelemetryStore


def message(seq: int, **more: Any) -> dict[str, Any]:
    return {"schema": 1, "seq": seq, "sent_at": "2026-01-05T10:00:02Z", "state": "online", "instance": "a/1", **more}


@pytest.fixture
def store(engine: Engine) -> TelemetryStore:
    for name in ("bot_1", "bot_2"):
        BotStore(engine).create(Bot(id=name, workspace="ws_local", name=name), 1)
    return TelemetryStore(engine)


def test_the_same_instance_and_seq_is_kept_once(store: TelemetryStore) -> None:
    assert store.keep("bot_1", "ws_local", [message(1), message(2, odd={"x": [1]})], 10) == 2
    assert store.keep("bot_1", "ws_local", [message(2), message(3), message(3)], 20) == 1
    assert store.keep("bot_1", "ws_local", [message(3, instance="b/1")], 30) == 1
    found = store.since("bot_1")
    assert [(one.instance, one.seq, one.received_ns) for one in found] == [
        ("a/1", 1, 10), ("a/1", 2, 10), ("a/1", 3, 20), ("b/1", 3, 30),
    ]  # fmt: skip
    assert found[1].document["odd"] == {"x": [1]}
    assert [one.seq for one in store.since("bot_1", 10)] == [3, 3]
    assert store.since("bot_2") == []


def test_the_newest_of_each_bot(store: TelemetryStore) -> None:
    store.keep("bot_1", "ws_local", [message(1), message(2)], 10)
    store.keep("bot_2", "ws_local", [message(7, state="degraded")], 5)
    found = store.newest(["bot_1", "bot_2", "bot_3"])
    assert {name: (one.seq, one.state) for name, one in found.items()} == {
        "bot_1": (2, "online"),
        "bot_2": (7, "degraded"),
    }


def test_old_messages_are_forgotten(store: TelemetryStore) -> None:
    store.keep("bot_1", "ws_local", [message(1)], 10)
    store.keep("bot_1", "ws_local", [message(2)], 20)
    assert store.forget(20) == 1
    assert [one.seq for one in store.since("bot_1")] == [2]


@pytest.mark.parametrize(
    "spoilt",
    [
        {},
        [],
        "x",
        {"schema": 1, "seq": 1, "sent_at": ""},
        message(-1),
        message(True),
        message(2**63),
        message(1, schema=2),
        message(1, state="fine"),
        message(1, instance=4),
        message(1, instance="x" * 300),
        message(1, note="\0"),
    ],
)
def test_what_is_no_message_spoils_its_batch(store: TelemetryStore, spoilt: Any) -> None:
    with pytest.raises(Invalid):
        store.keep("bot_1", "ws_local", [message(1), spoilt], 10)
    assert store.since("bot_1") == []


@pytest.mark.parametrize("count", [0, 101])
def test_a_batch_has_one_to_a_hundred_messages(store: TelemetryStore, count: int) -> None:
    with pytest.raises(Invalid, match=f"a batch of {count}"):
        store.keep("bot_1", "ws_local", [message(seq) for seq in range(count)], 10)
