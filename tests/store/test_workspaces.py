"""What belongs to another workspace is not found, whichever way it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.store.test_runs import RUN

from gnomon.errors import GnomonError, Invalid, NotFound
from gnomon.store.bots import Bot, BotStore
from gnomon.store.runs import RunStore
from gnomon.store.seal import Seal
from gnomon.store.sessions import SessionStore
from gnomon.store.workspaces import EVERY

OURS, THEIRS = "ws_local", "ws_other"
SEAL = Seal("k" * 32)


@pytest.fixture
def ids(engine: Engine) -> dict[str, str]:
    """A session with a bot, a key and a start in each of two workspaces; what belongs to the other one."""
    keys = {}
    for workspace, n in ((OURS, 1), (THEIRS, 2)):
        sessions, bots = SessionStore(engine, workspace), BotStore(engine, SEAL, workspace)
        sessions.create(f"ses_0000{n}", "[session]", n, name="march", seed=7, pace="max")
        bots.create(Bot(id=f"bot_{n}", workspace=workspace, name="maker"), n)
        bots.bind(f"bot_{n}", f"ses_0000{n}", "maker", n)
        sessions.begin_run(f"ses_0000{n}", f"bot_{n}", f"run_{n}", n)
        keys[workspace] = bots.add_key(f"bot_{n}", "hmac", n)[0].api_key
    return {"session": "ses_00002", "bot": "bot_2", "run": "run_2", "key": keys[THEIRS]}


SESSIONS: tuple[Callable[[SessionStore, dict[str, str]], Any], ...] = (
    lambda store, ids: store.get(ids["session"]),
    lambda store, ids: store.act(ids["session"], "start", 9),
    lambda store, ids: store.change(ids["session"], 9, name="mine"),
    lambda store, ids: store.delete(ids["session"], with_runs=True),
    lambda store, ids: store.begin_run(ids["session"], "bot_1", "run_9", 9),
    lambda store, ids: store.begin_run("ses_00001", ids["bot"], "run_9", 9),
    lambda store, ids: store.set_run(ids["run"], "running"),
    lambda store, ids: store.end_run(ids["run"], "failed", 9),
)
BOTS: tuple[Callable[[BotStore, dict[str, str]], Any], ...] = (
    lambda store, ids: store.get(ids["bot"]),
    lambda store, ids: store.revise(ids["bot"], {"a": 1}, 9),
    lambda store, ids: store.spec(ids["bot"], 1),
    lambda store, ids: store.change(ids["bot"], 9, status="disabled"),
    lambda store, ids: store.bind(ids["bot"], "ses_00001", "maker", 9),
    lambda store, ids: store.bind("bot_1", ids["session"], "other", 9),
    lambda store, ids: store.unbind(ids["bot"], 9),
    lambda store, ids: store.add_key(ids["bot"], "hmac", 9),
    lambda store, ids: store.rotate_key(ids["bot"], ids["key"], 9),
    lambda store, ids: store.delete_key(ids["bot"], ids["key"]),
    lambda store, ids: store.keys(ids["bot"]),
)


def everything(engine: Engine) -> list[Any]:
    """All rows of sessions and bots, to be compared."""
    sessions, bots = SessionStore(engine, EVERY), BotStore(engine, SEAL, EVERY)
    found = [sessions.all(limit=99), sessions.open_runs(), bots.all()]
    return [*found, *(bots.keys(one.id) for one in bots.all())]


@pytest.mark.parametrize("number", range(len(SESSIONS)))
def test_no_method_of_sessions_finds_or_moves_what_is_anothers(
    engine: Engine, ids: dict[str, str], number: int
) -> None:
    before = everything(engine)
    with pytest.raises(NotFound):
        SESSIONS[number](SessionStore(engine), ids)
    assert everything(engine) == before


@pytest.mark.parametrize("number", range(len(BOTS)))
def test_nor_does_one_of_bots_and_keys(engine: Engine, ids: dict[str, str], number: int) -> None:
    before = everything(engine)
    with pytest.raises(NotFound):
        BOTS[number](BotStore(engine, SEAL), ids)
    assert everything(engine) == before


def test_lists_and_beginnings_hold_what_is_ours_alone(engine: Engine, ids: dict[str, str]) -> None:
    sessions, bots = SessionStore(engine), BotStore(engine, SEAL)
    assert [one.id for one in sessions.all()] == [one.id for one in sessions.standing()] == ["ses_00001"]
    assert sessions.get("ses_0000").id == "ses_00001", "the other's does not make it ambiguous"
    assert sessions.runs(ids["session"]) == []
    assert [one.run for one in sessions.open_runs()] == ["run_1"]
    assert [one.id for one in bots.all()] == ["bot_1"]
    assert bots.get("maker").id == "bot_1"
    assert bots.all(session=ids["session"]) == []
    with pytest.raises(Invalid):
        bots.create(Bot(id="bot_3", workspace=THEIRS, name="spy"), 9)
    with pytest.raises(GnomonError) as error:
        sessions.get("ses_00002")
    assert ids["session"] not in error.value.hint


def test_the_venue_has_them_all(engine: Engine, ids: dict[str, str]) -> None:
    assert {one.id for one in SessionStore(engine, EVERY).standing()} == {"ses_00001", ids["session"]}
    assert [one.workspace for one in BotStore(engine, SEAL, EVERY).all()] == [OURS, THEIRS]
    key = BotStore(engine, SEAL).open_key(ids["key"])
    assert key is not None, "a key says itself whose it is"
    assert (key.workspace, key.session) == (THEIRS, ids["session"])


def test_a_run_on_the_wire_is_that_of_its_session(engine: Engine, ids: dict[str, str]) -> None:
    runs = RunStore(engine)
    runs.keep([replace(RUN, id=name) for name in ("run_1", ids["run"], "run_in_process")])
    assert {one.id for one in runs.list()} == {"run_1", "run_in_process"}
    assert {one.id for one in RunStore(engine, THEIRS).list()} == {"run_2", "run_in_process"}
    with pytest.raises(NotFound):
        runs.find(ids["run"])
