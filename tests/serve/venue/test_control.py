"""The operators' paths: who may ask, what each does, and what a session answers in every status.

The conductor here moves the row and nothing else; sessions that really run are tried in tests of the venue.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.serve.venue.rows import START_NS, Rows

from gnomon.clock import SimClock, parse_instant
from gnomon.errors import Invalid
from gnomon.replay.session import ACTIONS, MOVES, Status
from gnomon.serve.venue.control import Control, allowed, instant_of
from gnomon.store.bots import Bot, BotStore
from gnomon.store.engine import open_engine, upgrade
from gnomon.store.sessions import SessionStore

TOKEN = "t" * 64
HEADERS = {"authorization": f"Bearer {TOKEN}"}


class Door:
    """Asks the control, and reads its answers."""

    def __init__(self, path: Path) -> None:
        engine = open_engine(f"sqlite:///{path / 'gnomon.db'}")
        upgrade(engine)
        self.sessions, self.bots = SessionStore(engine), BotStore(engine)
        self.rows = Rows(self.sessions)
        self.control = Control(self.sessions, self.rows, SimClock(100), TOKEN)
        self.create("ses_00001")

    def create(self, name: str) -> None:
        self.sessions.create(name, "[session]", 1, name="march", seed=7, pace="lockstep")

    def ask(self, method: str, path: str, query: str = "", body: Any = None, code: int = 200) -> Any:
        raw = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        status, text = self.control(method, f"/sim/v1/{path}", query, raw, HEADERS)
        assert status == code, text
        return orjson.loads(text)

    def become(self, status: Status) -> None:
        """Bring the session to a status by actions and events."""
        ways: dict[Status, Sequence[str]] = {
            Status.CREATED: (),
            Status.STARTING: ("start",),
            Status.RUNNING: ("start", "attached"),
            Status.PAUSED: ("start", "attached", "pause"),
            Status.COMPLETED: ("start", "attached", "end"),
            Status.STOPPED: ("start", "attached", "stop"),
            Status.FAILED: ("start", "timeout"),
        }
        for one in ways[status]:
            self.sessions.act("ses_00001", one, 50)


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


@pytest.mark.parametrize("shown", ["", "Bearer", "Bearer x", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer ü"])
def test_without_the_operators_token_nothing_is_told(door: Door, shown: str) -> None:
    for path in ("sessions", "nowhere"):
        status, text = door.control("GET", f"/sim/v1/{path}", "", b"", {"authorization": shown})
        assert status == 401
        assert orjson.loads(text)["error"] == "unauthenticated"
    assert door.control("GET", "/sim/v1/sessions", "", b"", {})[0] == 401
    assert door.control("GET", "/sim/v1/sessions", {}, b"", {"authorization": f"bearer {TOKEN}"})[0] == 200


def test_a_session_goes_through_its_life(door: Door) -> None:
    assert door.ask("GET", "sessions")["items"][0]["status"] == "created"
    started = door.ask("POST", "sessions/ses_00001/start")
    assert (started["status"], started["clock"]["progress"], started["flow"]["state"]) == ("running", 0.5, "flowing")
    assert door.ask("POST", "sessions/ses_00001/pause")["status"] == "paused"
    door.ask("POST", "sessions/ses_00001/step", body={"events": 3})
    door.ask("POST", "sessions/ses_00001/step", body={"by": "1m"})
    door.ask("POST", "sessions/ses_00001/step", "by_ms=5")
    door.ask("POST", "sessions/ses_00001/step", body={"to": "2025-03-02"})
    door.ask("POST", "sessions/ses_00001/seek", "to=1740873600000&mode=jump")
    assert door.ask("PATCH", "sessions/ses_00001/pace", body={"pace": 60})["pace"] == "60"
    assert door.ask("POST", "sessions/ses_00001/start")["status"] == "running"  # a synonym of resume
    assert door.ask("GET", "sessions/ses_0/flow") == {"state": "flowing", "since": "2025-03-01T00:00:00Z"}
    stopped = door.ask("POST", "sessions/ses_00001/stop")
    assert (stopped["status"], stopped["runs"]) == ("stopped", [])
    day_ns = parse_instant("2025-03-02")
    assert door.rows.made["ses_00001"].asked == [
        ("start", "attached"),
        ("pause",),
        ("step", 3, 0, None),
        ("step", 0, 60 * 10**9, None),
        ("step", 0, 5 * 10**6, None),
        ("step", 0, 0, day_ns),
        ("seek", day_ns, "jump"),
        ("pace", "60"),
        ("resume",),
        ("stop",),
    ]


@pytest.mark.parametrize("status", Status)
def test_a_session_is_deleted_where_it_is_not_under_way(door: Door, status: Status) -> None:
    door.become(status)
    is_open = (status, "delete") not in MOVES
    answer = door.ask("DELETE", "sessions/ses_00001", code=409 if is_open else 200)
    if is_open:
        assert (answer["error"], answer["detail"]["action"]) == ("illegal_transition", "delete")
        assert door.rows.forgotten == []
        assert door.ask("GET", "sessions/ses_00001")["status"] == str(status)
        return
    assert answer == {"id": "ses_00001", "deleted": True, "runs": []}
    assert door.rows.forgotten == [("ses_00001", [])]
    assert door.ask("DELETE", "sessions/ses_00001", code=404)["error"] == "not_found"


def test_one_that_has_runs_goes_only_where_it_is_said_that_they_go_too(door: Door) -> None:
    door.bots.create(Bot(id="bot_1", workspace="ws_local", name="b"), 1)
    door.bots.bind("bot_1", "ses_00001", "maker", 2)
    door.sessions.begin_run("ses_00001", "bot_1", "run_1", 3)
    door.sessions.end_run("run_1", "completed", 4)
    door.become(Status.COMPLETED)
    refused = door.ask("DELETE", "sessions/ses_00001", code=409)
    assert (refused["error"], refused["detail"]["runs"]) == ("has_runs", ["run_1"])
    assert door.ask("DELETE", "sessions/ses_00001", "with_runs=yes", code=400)["error"] == "invalid"
    assert door.ask("DELETE", "sessions/ses_0", "with_runs=true")["runs"] == ["run_1"]
    assert door.rows.forgotten == [("ses_00001", ["run_1"])]
    assert (door.bots.get("bot_1").session, door.bots.get("bot_1").status) == ("", "active")


@pytest.mark.parametrize(("status", "action"), list(product(Status, sorted({*ACTIONS} - {"delete"}))))
def test_every_action_in_every_status_answers_as_the_table_says(door: Door, status: Status, action: str) -> None:
    door.become(status)
    method = "PATCH" if action in ("pace", "enable", "disable") else "POST"
    body = {"pace": {"pace": "max"}, "seek": {"to": "2025-03-01"}}.get(action)
    moves = (status, action) in MOVES
    answer = door.ask(method, f"sessions/ses_00001/{action}", body=body, code=200 if moves else 409)
    if moves:
        assert answer["allowed"] == allowed(Status(answer["status"]), answer["enabled"])
        return
    assert answer["error"] == "illegal_transition"
    assert answer["detail"]["status"] == str(status)
    assert answer["detail"]["allowed"] == sorted(one for where, one in MOVES if where is status and one in ACTIONS)
    assert door.rows.made == {}


def test_what_is_in_effect_already_asks_nobody(door: Door) -> None:
    door.become(Status.PAUSED)
    assert door.ask("POST", "sessions/ses_00001/pause")["status"] == "paused"
    assert door.rows.made == {}


def test_a_disabled_session_takes_no_control_until_it_is_enabled(door: Door) -> None:
    door.become(Status.RUNNING)
    disabled = door.ask("PATCH", "sessions/ses_00001/disable")
    assert (disabled["status"], disabled["enabled"], disabled["allowed"]) == ("paused", False, ["enable"])
    assert door.ask("POST", "sessions/ses_00001/resume", code=403)["error"] == "session_disabled"
    door.ask("PATCH", "sessions/ses_00001/enable")
    assert door.ask("POST", "sessions/ses_00001/resume")["status"] == "running"


def test_the_clock_is_that_of_the_only_live_session_or_of_the_one_that_is_named(door: Door) -> None:
    assert door.ask("GET", "clock", code=400)["message"].startswith("0 sessions are live")
    door.ask("POST", "sessions/ses_00001/start")
    clock = door.ask("GET", "clock")
    assert (clock["session"], clock["now"], clock["at"]) == ("ses_00001", str(START_NS), "2025-03-01T00:00:00Z")
    assert door.ask("POST", "advance", body={"by_ms": 7})["status"] == "paused"
    assert door.rows.made["ses_00001"].asked[-2:] == [("pause",), ("step", 0, 7_000_000, None)]
    assert door.ask("POST", "pace", body={"pace": "max"})["pace"] == "max"
    door.create("ses_00002")
    door.ask("POST", "sessions/ses_00002/start")
    refused = door.ask("POST", "advance", body={"events": 1}, code=400)
    assert sorted(refused["detail"]["sessions"]) == ["ses_00001", "ses_00002"]
    assert door.ask("GET", "clock", "session=ses_00002")["session"] == "ses_00002"


@pytest.mark.parametrize(
    ("path", "query", "body"),
    [
        ("step", "", {"events": 0}),
        ("step", "", {"events": -1}),
        ("step", "", {"events": 1.5}),
        ("step", "", {"events": True}),
        ("step", "", {"events": 1, "by": "1m"}),
        ("step", "", {"by": "soon"}),
        ("step", "", {"to": "9" * 30}),
        ("step", "", [1]),
        ("step", "", b"{"),
        ("step", "", b"x" * 70_000),
        ("seek", "", {}),
        ("seek", "to=2025-03-01&mode=back", {}),
        ("pace", "", {"pace": "warp"}),
        ("pace", "", {}),
    ],
)
def test_what_means_nothing_is_refused_and_moves_nothing(door: Door, path: str, query: str, body: Any) -> None:
    door.become(Status.PAUSED)
    method = "PATCH" if path == "pace" else "POST"
    answer = door.ask(method, f"sessions/ses_00001/{path}", query, body, code=400)
    assert answer["error"] == "invalid"
    assert answer["hint"]
    assert not any(one.asked for one in door.rows.made.values())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "nowhere"),
        ("GET", ""),
        ("POST", "sessions"),
        ("POST", "sessions/ses_00001/fly"),
        ("GET", "sessions/ses_00001/start"),
        ("POST", "sessions/ses_99999/start"),
        ("GET", "sessions/ses_99999"),
        ("GET", "fleet"),
    ],
)
def test_a_path_or_session_that_is_not_there_is_not_found(door: Door, method: str, path: str) -> None:
    assert door.ask(method, path, code=404)["error"] == "not_found"


def test_the_runs_of_a_session_are_shown_with_it(door: Door) -> None:
    door.bots.create(Bot(id="bot_1", workspace="ws_local", name="b"), 1)
    door.bots.bind("bot_1", "ses_00001", "maker", 2)
    door.sessions.begin_run("ses_00001", "bot_1", "run_1", 3)
    [run] = door.ask("GET", "sessions/ses_00001")["runs"]
    assert (run["run"], run["entry"], run["number"]) == ("run_1", "maker", 1)


def test_an_instant_is_milliseconds_or_words() -> None:
    assert instant_of(1740787200000) == instant_of("1740787200000") == instant_of("2025-03-01") == START_NS
    with pytest.raises(Invalid):
        instant_of("tomorrow")
