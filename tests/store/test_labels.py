"""Labels in the database: the newest check of a run stands, and goes with the run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine
from tests.store.test_runs import RUN
from tests.store.test_sessions import create

from gnomon.errors import NotFound
from gnomon.score.label import Label, Standing
from gnomon.store.bots import Bot, BotStore
from gnomon.store.labels import LabelStore, StoredLabel
from gnomon.store.runs import RunStore
from gnomon.store.sessions import SessionStore

FOUND = StoredLabel(RUN.id, Standing(Label.CERTIFIED, "it repeats", 3, 3), 2**60, 2**40, 2**61, ("run_a", "run_b"))


@pytest.fixture
def store(engine: Engine) -> LabelStore:
    RunStore(engine).keep([RUN, replace(RUN, id="run_0002bbbb")])
    return LabelStore(engine)


def test_a_label_is_read_back_as_it_was_kept(store: LabelStore) -> None:
    store.keep(FOUND)
    assert store.of([RUN.id, "run_0002bbbb"]) == {RUN.id: FOUND}


def test_the_newest_check_stands(store: LabelStore) -> None:
    worse = StoredLabel(RUN.id, Standing(reason="its journal is missing"), 2**60 + 1)
    for one in (FOUND, worse):
        store.keep(one)
    assert store.of([RUN.id]) == {RUN.id: worse}


def test_a_run_that_is_not_stored_has_no_label(store: LabelStore) -> None:
    with pytest.raises(NotFound, match="run_none"):
        store.keep(replace(FOUND, run="run_none"))
    assert store.of(["run_none"]) == {}


def test_a_label_goes_with_the_runs_of_its_session(store: LabelStore, engine: Engine) -> None:
    sessions, bots = SessionStore(engine), BotStore(engine)
    session = create(sessions, "ses_0001a")
    bots.create(Bot(id="bot_1", workspace="ws_local", name="b1"), 2)
    bots.bind("bot_1", session.id, "e1", 3)
    start = sessions.begin_run(session.id, "bot_1", "run_0002bbbb", 20)
    sessions.end_run(start.run, "completed", 21)
    store.keep(replace(FOUND, run=start.run))
    assert sessions.of_run(start.run) == sessions.runs(session.id)[0]
    assert sessions.of_run(RUN.id) is None
    assert sessions.delete(session.id, with_runs=True) == [start.run]
    assert store.of([start.run]) == {}
