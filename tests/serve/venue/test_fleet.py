"""Telemetry at the venue's door: whose it is, how much and how often, and what the fleet looks like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from gnomon.clock import SimClock
from gnomon.serve.venue.fleet import LARGEST_BODY, TelemetryDoor
from gnomon.store.bots import Bot, BotStore
from gnomon.store.engine import open_engine, upgrade
from gnomon.store.health import TelemetryStore
from gnomon.store.seal import Seal
from gnomon.units import SECOND_NS

NOW_NS = 1_800_000_000 * SECOND_NS
GOOD: dict[str, Any] = {"schema": 1, "sent_at": "2026-01-05T10:00:02Z", "state": "online"}


class Place:
    def __init__(self, path: Path) -> None:
        engine = open_engine(f"sqlite:///{path / 'gnomon.db'}")
        upgrade(engine)
        self.clock = SimClock(NOW_NS)
        self.bots = BotStore(engine, Seal("k" * 32))
        self.bots.create(Bot(id="bot_1", workspace="ws_local", name="one"), 1)
        self.key = self.bots.add_key("bot_1", "hmac", 1, expires_at=NOW_NS + 1_000 * SECOND_NS)[0].api_key
        self.sockets = 0
        self.door = TelemetryDoor(
            TelemetryStore(engine), self.bots, self.clock, self.bots.open_key, lambda _: self.sockets
        )
        self._seq = 0

    def send(self, body: Any = None, code: int = 202, key: str | None = None, **more: Any) -> Any:
        self._seq += 1
        raw = body if isinstance(body, bytes) else orjson.dumps(body or {**GOOD, "seq": self._seq, **more})
        status, text = self.door(raw, {"x-mbx-apikey": self.key if key is None else key})
        assert status == code, text
        return orjson.loads(text)

    def later(self, seconds: float) -> None:
        self.clock.advance_to(self.clock.now_ns() + int(seconds * SECOND_NS))

    @property
    def state(self) -> str:
        [row] = self.door.fleet()
        return str(row["state"])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_message_is_accepted_once(place: Place) -> None:
    answer = place.send({**GOOD, "seq": 1})
    assert (answer["accepted"], answer["duplicates"], answer["interval_s"]) == (1, 0, 2)
    assert answer["server_time"] == "2027-01-15T08:00:00Z"
    place.later(1)
    batch = {"messages": [{**GOOD, "seq": 1}, {**GOOD, "seq": 2}]}
    assert place.send(batch) | {"server_time": ""} == {
        "accepted": 1, "duplicates": 1, "interval_s": 2, "server_time": "",
    }  # fmt: skip


def test_more_than_one_a_second_more_than_its_size_and_strangers_are_refused(place: Place) -> None:
    place.send()
    place.later(0.5)
    assert place.send(code=429)["error"] == "rate_limited"
    place.later(0.5)
    assert place.send(b" " * (LARGEST_BODY + 1), code=413)["error"] == "too_large"
    for spoilt in (b"{", b"[]", b"7", orjson.dumps({**GOOD})):
        assert place.send(spoilt, code=400)["error"] == "invalid"
    place.send(code=401, key="nobody")
    place.later(2_000)
    place.send(code=401)  # expired


def test_the_state_of_a_bot_follows_its_messages_and_its_sockets(place: Place) -> None:
    assert place.state == "offline"
    place.sockets = 1
    assert place.state == "online"  # it reports nothing, but it is there
    place.send()
    assert place.state == "online"
    place.later(7)
    assert place.state == "degraded"  # late
    place.sockets = 0
    assert place.state == "connecting"
    place.later(30)
    assert place.state == "offline"


@pytest.mark.parametrize(
    "said",
    [
        {"state": "degraded"},
        {"queue": {"depth": 81, "max": 100}},
        {"queue": {"overflows": 1}},
        {"orders": {"sent": 10, "rejected": {"-2010": 2}}},
        {"streams": {"market": {"connected": True}, "user": {"connected": False}}},
        {"streams": {"market": {"reconnects": 1, "uptime_s": 20}}},
    ],
)
def test_figures_that_say_trouble_are_degraded(place: Place, said: Any) -> None:
    place.sockets = 1
    place.send(**said)
    assert place.state == "degraded"


def test_odd_figures_break_nothing(place: Place) -> None:
    place.sockets = 1
    place.send(queue=3, orders={"sent": "many", "rejected": [1]}, streams={"market": None})
    assert place.state == "online"


def test_the_fleet_has_the_active_bots_alone(place: Place) -> None:
    place.send(run="run_1", last_error="boom")
    [row] = place.door.fleet()
    assert (row["bot"], row["name"], row["run"], row["last_error"]) == ("bot_1", "one", "run_1", "boom")
    place.bots.change("bot_1", 2, status="archived")
    assert place.door.fleet() == []
