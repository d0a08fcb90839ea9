"""Opening, migrating and locking, on both databases."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, insert, select, text
from sqlalchemy.exc import DBAPIError

import gnomon.store.engine as engine_module
from gnomon.errors import Exhausted, Invalid, Refused, Unavailable
from gnomon.store.engine import HEAD, fenced, joined, open_engine, reading, require_current, upgrade, writing
from gnomon.store.tables import leases, metadata

MIGRATIONS = Path(engine_module.__file__).parent / "migrations"


def pragma(engine: Engine, name: str) -> Any:
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_a_migrated_database_is_current_and_stays_so(engine: Engine) -> None:
    require_current(engine)
    assert upgrade(engine) == []
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM chain_heads")).scalar() == 2


def test_a_new_database_is_not_current_until_it_is_upgraded(database_url: str) -> None:
    engine = open_engine(database_url)
    with pytest.raises(Unavailable, match="at revision none") as refusal:
        require_current(engine)
    assert "gnomon db upgrade" in refusal.value.hint
    assert upgrade(engine)[0] == "0001"
    require_current(engine)
    engine.dispose()


def test_a_database_of_a_newer_gnomon_is_left_alone(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Unavailable, match="does not know"):
        require_current(engine)
    with pytest.raises(Unavailable, match="does not know"):
        upgrade(engine)


def test_the_head_of_the_code_is_that_of_the_migrations() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == HEAD


@pytest.mark.usefixtures("engine")
def test_the_migrations_make_the_tables_that_the_code_declares(database_url: str) -> None:
    fresh = open_engine(database_url)  # one that has never seen the database without its schema
    with fresh.connect() as connection:
        here = fresh.dialect.name

        def is_here(one: Any, *_: object) -> bool:
            return bool(one.info.get("only", here) == here)

        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": is_here})
        assert compare_metadata(context, metadata) == []
    fresh.dispose()


@pytest.mark.slow
def test_two_processes_that_upgrade_at_once_do_it_once(database_url: str) -> None:
    script = "import sys; from gnomon.store.engine import *; print(upgrade(open_engine(sys.argv[1])))"
    command = [sys.executable, "-c", script, database_url]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = sorted(process.communicate(timeout=600)[0].strip() for process in both)
    assert answers[1] == "[]"
    assert answers[0].startswith("['0001'")


def test_an_upgrade_that_fails_leaves_nothing(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_engine(database_url)

    def broken(*_: object) -> None:
        raise RuntimeError("the power went")

    with monkeypatch.context() as patched:
        patched.setattr("alembic.command.upgrade", _then(broken))
        with pytest.raises(RuntimeError):
            upgrade(engine)
    with pytest.raises(Unavailable):
        require_current(engine)
    assert upgrade(engine)[0] == "0001"
    engine.dispose()


def _then(failing: Callable[..., None]) -> Callable[..., None]:
    from alembic import command

    whole = command.upgrade

    def both(*arguments: Any) -> None:
        whole(*arguments)
        failing()

    return both


# --- SQLite ---------------------------------------------------------------------------------------------------------


def test_sqlite_keeps_every_commit_and_checks_foreign_keys(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'deep' / 'er' / 'gnomon.db'}")
    assert pragma(engine, "journal_mode") == "wal"
    assert pragma(engine, "synchronous") == 2  # FULL: the log is synced by each commit
    assert pragma(engine, "foreign_keys") == 1
    assert pragma(engine, "busy_timeout") == 30_000
    engine.dispose()


def test_sqlite_takes_the_write_lock_at_the_start_of_a_transaction(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'gnomon.db'}")
    upgrade(engine)
    entered = threading.Event()

    def second() -> None:
        with writing(engine):
            entered.set()

    with ThreadPoolExecutor() as pool:
        with writing(engine):
            waiting = pool.submit(second)
            assert not entered.wait(0.2)  # it waits before its first statement
            with reading(engine) as connection:  # and a reader does not
                assert connection.execute(text("SELECT count(*) FROM chain_heads")).scalar() == 2
        waiting.result(timeout=600)
    assert entered.is_set()
    engine.dispose()


# --- both -----------------------------------------------------------------------------------------------------------


def test_a_reader_sees_one_snapshot(engine: Engine) -> None:
    with reading(engine) as reader:
        before = reader.execute(text("SELECT seq FROM chain_heads WHERE lane = 'live'")).scalar()
        with writing(engine) as writer:
            writer.execute(text("UPDATE chain_heads SET seq = seq + 1"))
        assert reader.execute(text("SELECT seq FROM chain_heads WHERE lane = 'live'")).scalar() == before
    with reading(engine) as reader:
        assert reader.execute(text("SELECT seq FROM chain_heads WHERE lane = 'live'")).scalar() == before + 1


def test_a_write_that_raises_is_rolled_back(engine: Engine) -> None:
    def half_done() -> None:
        with writing(engine) as connection:
            connection.execute(text("UPDATE chain_heads SET seq = 5"))
            raise KeyError

    with pytest.raises(KeyError):
        half_done()
    with reading(engine) as connection:
        assert connection.execute(text("SELECT max(seq) FROM chain_heads")).scalar() == 0


def test_a_change_of_the_ledger_is_refused_in_the_words_of_the_tree(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(
            text("INSERT INTO ledger_digests (day, lane, first_seq, last_seq, head) VALUES ('d', 'live', 1, 1, 'x')")
        )
    with pytest.raises(Refused, match="insert-only"), writing(engine) as connection:
        connection.execute(text("DELETE FROM ledger_digests"))


def test_missing_tables_are_answered_with_the_command_to_run(database_url: str) -> None:
    engine = open_engine(database_url)
    with pytest.raises(Unavailable, match="no tables yet") as refusal, reading(engine) as connection:
        connection.execute(text("SELECT * FROM forecasts"))
    assert "gnomon db upgrade" in refusal.value.hint
    engine.dispose()


def test_other_faults_of_the_driver_are_left_as_they_are(engine: Engine) -> None:
    with pytest.raises(DBAPIError), writing(engine) as connection:
        connection.execute(text("INSERT INTO chain_heads (lane, seq, hash) VALUES ('live', 0, 'twice')"))


def test_a_pool_without_a_free_connection_is_exhausted(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_POOL", {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.05})
    engine = open_engine(database_url)
    with reading(engine) as first:
        first.execute(text("SELECT 1"))
        with pytest.raises(Exhausted, match="busy"), reading(engine):
            pass
    engine.dispose()


def test_a_stopped_process_gives_up_its_locks_and_hears_of_it(
    postgres_url_factory: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process holds that was stopped inside a transaction is free for the others while they wait for it."""
    monkeypatch.setattr(engine_module, "IDLE_S", 1)
    stopped, other = (open_engine(url) for url in [postgres_url_factory()] * 2)
    upgrade(stopped)
    change = text("UPDATE chain_heads SET seq = seq + 1 WHERE lane = 'live'")

    def fall_asleep() -> None:
        with writing(stopped) as asleep:
            asleep.execute(change)
            with writing(other) as awake:  # waits for the row until the server ends the idle session
                awake.execute(change)
            asleep.execute(change)

    with pytest.raises(Unavailable, match="idle-in-transaction"):
        fall_asleep()
    with reading(other) as connection:
        assert connection.execute(text("SELECT seq FROM chain_heads WHERE lane = 'live'")).scalar() == 1
    with reading(stopped) as again:
        assert again.execute(text("SELECT 1")).scalar() == 1
    stopped.dispose()
    other.dispose()


def test_a_database_that_is_away_is_unavailable(tmp_path: Path) -> None:
    engine = open_engine(f"postgresql://nobody@/none?host={tmp_path}")
    with pytest.raises(Unavailable, match="does not answer"):
        upgrade(engine)


@pytest.mark.parametrize("url", ["mysql://x/y", "no url", "sqlite://", "sqlite:///:memory:"])
def test_what_cannot_be_a_store_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(Invalid) as refusal:
        open_engine(url)
    assert "sqlite:///" in refusal.value.hint


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot make the folder"):
        open_engine(f"sqlite:///{tmp_path / 'file' / 'gnomon.db'}")


def test_a_password_is_not_in_the_message(tmp_path: Path) -> None:
    engine = open_engine(f"postgresql://somebody:hunter2@/none?host={tmp_path}")
    with pytest.raises(Unavailable) as refusal:
        require_current(engine)
    assert "hunter2" not in str(refusal.value.document())


# --- joining and fencing --------------------------------------------------------------------------------------------


def _leases_of(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return sorted(connection.execute(select(leases.c.slot)).scalars())


def _lease(engine: Engine, slot: str) -> None:
    row = {"slot": slot, "owner": "w", "epoch": 1, "job_id": "", "taken_at": 0, "expires_at": 0}
    with writing(engine) as connection:
        connection.execute(insert(leases).values(**row))


def _lease_and_fail(engine: Engine, slot: str) -> None:
    with joined(engine):
        _lease(engine, slot)
        raise RuntimeError


def test_what_is_written_inside_joined_is_one_transaction(engine: Engine) -> None:
    with joined(engine):
        _lease(engine, "a")
        assert _leases_of(engine) == ["a"]  # a reader inside sees it
        _lease(engine, "b")
    assert _leases_of(engine) == ["a", "b"]
    with pytest.raises(RuntimeError):
        _lease_and_fail(engine, "c")
    assert _leases_of(engine) == ["a", "b"]


def test_a_fence_is_asked_first_in_each_transaction_and_once_in_a_joined_one(engine: Engine) -> None:
    asked: list[int] = []

    def fence(_: Connection) -> None:
        asked.append(1)
        if len(asked) > 3:
            raise Refused("fenced")

    with fenced(fence):
        _lease(engine, "a")
        _lease(engine, "b")
        with joined(engine):
            _lease(engine, "c")
            _lease(engine, "d")
        assert len(asked) == 3
        with pytest.raises(Refused, match="fenced"):
            _lease(engine, "e")
    _lease(engine, "f")
    assert _leases_of(engine) == ["a", "b", "c", "d", "f"]
