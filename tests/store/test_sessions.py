"""Sessions in the database: their moves, and a bot's one open run, whoever asks at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from gnomon.errors import Conflict, GnomonError, Invalid, NotFound, Refused
from gnomon.replay.session import Status
from gnomon.store.bots import Bot, BotStore
from gnomon.store.sessions import SessionStore, StoredSession


def create(store: SessionStore, name: str, now_ns: int = 1) -> StoredSession:
    return store.create(name, "[session]\n", now_ns, name="march", seed=2**64 - 1, pace="lockstep", port=3002)


@pytest.fixture
def store(engine: Engine) -> SessionStore:
    made = SessionStore(engine)
    create(made, "ses_0001a")
    bots = BotStore(engine)
    for number in (1, 2):
        bots.create(Bot(id=f"bot_{number}", workspace="ws_local", name=f"b{number}"), 2)
        bots.bind(f"bot_{number}", "ses_0001a", f"e{number}", 3)
    return made


def test_a_session_is_read_back_and_found_by_its_beginning(store: SessionStore) -> None:
    found = store.get("ses_0001a")
    assert (found.status, found.enabled, found.seed, found.port) == (Status.CREATED, True, 2**64 - 1, 3002)
    assert found.row()["seed"] == str(2**64 - 1)
    assert "spec" not in found.row()
    assert store.get("ses_0") == found
    create(store, "ses_0001b", 2)
    assert [one.id for one in store.all()] == ["ses_0001b", "ses_0001a"]
    with pytest.raises(Invalid, match="several sessions"):
        store.get("ses_0001")
    for name in ("ses_9", "ses_", ""):
        with pytest.raises(NotFound):
            store.get(name)
    with pytest.raises(Conflict, match="exists already"):
        create(store, "ses_0001a")


def test_a_port_means_the_newest_session_that_is_not_over(store: SessionStore) -> None:
    assert (store.of_port(3002), store.of_port(3003)) == ("ses_0001a", "")
    create(store, "ses_0001b", 2)
    assert store.of_port(3002) == "ses_0001b"
    for action in ("start", "attached", "stop"):
        store.act("ses_0001b", action, 10)
    assert store.of_port(3002) == "ses_0001a"
    assert [one.id for one in store.standing()] == ["ses_0001a"]


def test_actions_move_the_row_and_stamp_it(store: SessionStore) -> None:
    started = store.act("ses_0001a", "start", 10, config="c1")
    assert (started.status, started.started_at, started.config) == (Status.STARTING, 10, "c1")
    assert store.live() == [started]
    assert store.act("ses_0001a", "attached", 11).status is Status.RUNNING
    assert store.act("ses_0001a", "pause", 12, reason="plan_limit").reason == "plan_limit"
    assert store.act("ses_0001a", "pause", 13).reason == "plan_limit"  # in effect already: nothing changes
    with pytest.raises(Conflict) as error:
        store.act("ses_0001a", "delete", 13)
    assert error.value.detail["allowed"] == sorted(
        ["resume", "start", "step", "seek", "pace", "stop", "pause", "enable", "disable"]
    )
    stopped = store.act("ses_0001a", "stop", 14)
    assert (stopped.status, stopped.ended_at, stopped.reason) == (Status.STOPPED, 14, "")
    assert store.live() == []
    again = store.act("ses_0001a", "start", 15, config="c2")
    assert (again.started_at, again.ended_at, again.config) == (15, 0, "c1")  # frozen at the first start


def test_disabling_a_running_session_pauses_it_and_nothing_but_enabling_helps(store: SessionStore) -> None:
    for action in ("start", "attached"):
        store.act("ses_0001a", action, 10)
    disabled = store.act("ses_0001a", "disable", 11)
    assert (disabled.status, disabled.enabled) == (Status.PAUSED, False)
    with pytest.raises(Refused) as error:
        store.act("ses_0001a", "resume", 12)
    assert error.value.detail["error"] == "session_disabled"
    with pytest.raises(Refused, match="is disabled"):
        store.begin_run("ses_0001a", "bot_1", "run_1", 12)
    store.act("ses_0001a", "enable", 13)
    assert store.act("ses_0001a", "resume", 14).status is Status.RUNNING


def test_name_and_pace_stay_editable(store: SessionStore) -> None:
    changed = store.change("ses_0001a", 9, pace="max")
    assert (changed.name, changed.pace, changed.updated_at) == ("march", "max", 9)
    assert store.change("ses_0001a", 9, name="april").name == "april"


def test_every_start_of_a_bot_takes_the_next_number(store: SessionStore) -> None:
    first = store.begin_run("ses_0001a", "bot_1", "run_1", 20)
    assert (first.number, first.entry, first.status, first.ended_at) == (1, "e1", "pending", 0)
    assert store.begin_run("ses_0001a", "bot_2", "run_2", 20).number == 2
    assert store.set_run("run_1", "stalled", reason="bot_1 has not answered wake 7").status == "stalled"
    assert [one.run for one in store.open_runs("ses_0001a")] == ["run_1", "run_2"]
    ended = store.end_run("run_1", "stopped", 25, reason="seek")
    assert (ended.status, ended.reason, ended.ended_at) == ("stopped", "seek", 25)
    assert store.end_run("run_1", "failed", 30) == ended  # over is over
    branch = store.begin_run("ses_0001a", "bot_1", "run_3", 26, parent="run_1", branched_at=99)
    assert (branch.number, branch.parent, branch.branched_at) == (3, "run_1", 99)
    assert [one.run for one in store.runs("ses_0001a")] == ["run_1", "run_2", "run_3"]
    with pytest.raises(Invalid, match="cannot end 'paused'"):
        store.end_run("run_3", "paused", 30)
    with pytest.raises(NotFound):
        store.set_run("run_9", "running")


def test_only_an_active_bot_that_is_bound_there_starts(store: SessionStore, engine: Engine) -> None:
    create(store, "ses_0002")
    bots = BotStore(engine)
    with pytest.raises(Conflict, match="not bound to ses_0002"):
        store.begin_run("ses_0002", "bot_1", "run_1", 20)
    bots.of("ws_other").create(Bot(id="bot_9", workspace="ws_other", name="foreign"), 2)
    with pytest.raises(NotFound):
        store.begin_run("ses_0001a", "bot_9", "run_1", 20)
    bots.change("bot_1", 4, status="disabled")
    with pytest.raises(Refused):
        store.begin_run("ses_0001a", "bot_1", "run_1", 20)


def test_of_many_starts_of_a_bot_at_once_one_passes(store: SessionStore) -> None:
    def attempt(number: int) -> str:
        try:
            return store.begin_run("ses_0001a", "bot_1", f"run_{number}", 20).run
        except GnomonError as error:
            return str(error.detail["error"])

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(attempt, range(8)))
    assert found.count("bot_busy") == 7
    assert len(store.open_runs()) == 1


def test_a_session_with_runs_is_deleted_only_with_them(store: SessionStore, engine: Engine) -> None:
    store.begin_run("ses_0001a", "bot_1", "run_1", 20)
    store.end_run("run_1", "completed", 21)
    with pytest.raises(Conflict) as error:
        store.delete("ses_0001a")
    assert error.value.detail == {"error": "has_runs", "runs": ["run_1"]}
    assert store.delete("ses_0001a", with_runs=True) == ["run_1"]
    assert store.all() == []
    assert BotStore(engine).get("bot_1").session == ""
    with pytest.raises(NotFound):
        store.delete("ses_0001a")
