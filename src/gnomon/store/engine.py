"""The one door to the database: SQLite in a file by default, PostgreSQL by its URL.

| rule                          | SQLite                                       | PostgreSQL                 |
|-------------------------------|----------------------------------------------|----------------------------|
| a writer (`writing`)          | BEGIN IMMEDIATE: waits at once, never midway | READ COMMITTED             |
| a reader (`reading`)          | one snapshot (WAL), never blocks a writer    | REPEATABLE READ, read only |
| a commit survives a power cut | synchronous = FULL                           | the server's default       |
| waits for a lock at most      | 30 s, then `Unavailable`                     | 30 s, then `Unavailable`   |
| where the tables are          | the file                                     | schema `gnomon`            |

WAL with synchronous = NORMAL keeps a database whole but may lose its last commits in a power cut. A forecast that was
served, pinned by its hash and then forgotten would make the chain a lie, so each commit is synced: FULL.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, cast

from sqlalchemy import Connection, Engine, Table, create_engine, event, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gnomon.errors import Exhausted, GnomonError, Invalid, Refused, Unavailable

HEAD: Final = "0006"
"""The newest revision in `migrations/versions`: what this code needs to find."""

SCHEMA: Final = "gnomon"
LOCK_WAIT_S: Final = 30
IDLE_S: Final = 20
"""How long PostgreSQL lets a session sit idle inside a transaction. Less than a worker's silence is forgiven: what a
stopped process had locked is free when others take over its work."""
_UPGRADE_LOCK: Final = 0x676E6F6D6F6E  # the key of the advisory lock under which PostgreSQL is migrated
_POOL: Final[dict[str, Any]] = {"pool_size": 5, "max_overflow": 45}  # a thread of a server each, and some to spare
_READS: Final = "gnomon_reads"


def open_engine(url: str) -> Engine:
    """The engine of `sqlite:///path` (its folder is made) or `postgresql://…`; nothing is migrated.

    Raises `Invalid` for another kind of database, `Unavailable` when a driver is not installed.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise Invalid(f"not a database URL: {url!r}", hint="sqlite:///path/gnomon.db or postgresql://…") from None
    kind = parsed.drivername.partition("+")[0]
    if kind == "sqlite":
        return _open_sqlite(parsed)
    if kind in ("postgresql", "postgres"):
        return _open_postgresql(parsed)
    raise Invalid(f"no support for the database {kind!r}", hint="sqlite:///path/gnomon.db or postgresql://…")


Fence = Callable[[Connection], None]
"""Raises when whoever writes may not any more; called first in each transaction."""

_JOINED: Final[ContextVar[tuple[Engine, Connection] | None]] = ContextVar("joined", default=None)
_FENCE: Final[ContextVar[Fence | None]] = ContextVar("fence", default=None)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that sees one snapshot and must not write; within `joined`, the open transaction."""
    if (connection := _open_connection(engine)) is not None:
        yield connection
        return
    with errors_of(engine), engine.connect() as connection:
        options: dict[str, Any] = {_READS: True}
        if engine.dialect.name == "postgresql":
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        yield connection.execution_options(**options)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A connection in one write transaction: committed at the end of the block, rolled back by any exception.

    Within `joined` it is that transaction, which ends with it; within `fenced` the fence is asked first.
    """
    if (connection := _open_connection(engine)) is not None:
        yield connection
        return
    with errors_of(engine), engine.begin() as connection:
        if (fence := _FENCE.get()) is not None:
            fence(connection)
        yield connection


@contextmanager
def joined(engine: Engine) -> Iterator[Connection]:
    """One write transaction that every `writing` and `reading` of this engine inside the block takes part in.

    An exception that leaves the block undoes all of it. One that is caught inside does not undo what came before it.
    """
    with writing(engine) as connection:
        token = _JOINED.set((engine, connection))
        try:
            yield connection
        finally:
            _JOINED.reset(token)


@contextmanager
def fenced(fence: Fence) -> Iterator[None]:
    """Within the block every write transaction of this thread begins by asking the fence."""
    token = _FENCE.set(fence)
    try:
        yield
    finally:
        _FENCE.reset(token)


def _open_connection(engine: Engine) -> Connection | None:
    found = _JOINED.get()
    return found[1] if found is not None and found[0] is engine else None


def upsert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that knows `on_conflict_do_nothing` and `on_conflict_do_update`, which both databases spell alike."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def upgrade(engine: Engine) -> list[str]:
    """Migrate to the newest revision; the revisions applied, oldest first. Two processes may call it at once.

    Everything happens in one transaction: a crash leaves the database as it was. `Unavailable` when the database was
    migrated by a newer Gnomon.
    """
    if _revision(engine) == HEAD:
        return []  # and nothing of Alembic, which takes a while to import
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from alembic.script.revision import RevisionError
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    with writing(engine) as connection:
        _take_upgrade_lock(connection)
        before = MigrationContext.configure(connection).get_current_revision()
        config.attributes["connection"] = connection
        try:
            applied = [one.revision for one in script.iterate_revisions("head", before or "base")]
            command.upgrade(config, "head")
        except (CommandError, RevisionError):
            raise _newer_database(before) from None
    return applied[::-1]


def require_current(engine: Engine) -> None:
    """Nothing, or `Unavailable` when the database is not at the revision this code needs."""
    found = _revision(engine)
    if found == HEAD:
        return
    if found is not None and found > HEAD:
        raise _newer_database(found)
    raise Unavailable(
        f"the database is at revision {found or 'none'}, this Gnomon needs {HEAD}", hint="run `gnomon db upgrade`"
    )


# --- inside -----------------------------------------------------------------------------


def _open_sqlite(url: URL) -> Engine:
    if url.database in (None, "", ":memory:") or "mode=memory" in str(url):
        raise Invalid("an in-memory database cannot be shared", hint="give a file: sqlite:///path/gnomon.db")
    path = Path(str(url.database)).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot make the folder {path.parent}: {error.strerror}", hint="set GNOMON_HOME") from None
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite", database=str(path)),
        connect_args={"timeout": LOCK_WAIT_S, "check_same_thread": False},
        **_POOL,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: `_begin_sqlite` does
    cursor = connection.cursor()
    _switch_to_wal(cursor)
    for pragma in ("synchronous=FULL", "fullfsync=ON", "foreign_keys=ON", "cache_size=-32768"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _switch_to_wal(cursor: Any) -> None:
    """The mode is kept in the file. Switching needs the file alone and does not honour the busy timeout: ask again."""
    import sqlite3

    until = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            if cursor.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
                return
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    """A transaction is a writer's unless it says that it reads: forgetting to say so costs time, never a deadlock."""
    reads = connection.get_execution_options().get(_READS, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _open_postgresql(url: URL) -> Engine:
    own = url.query.get("options", "")
    options = " ".join(
        [
            *((own,) if isinstance(own, str) else own),
            f"-c search_path={SCHEMA},public",
            f"-c lock_timeout={LOCK_WAIT_S}s",
            f"-c idle_in_transaction_session_timeout={IDLE_S}s",
            "-c timezone=UTC",
        ]
    )
    try:
        return create_engine(
            url.difference_update_query(["options"]).set(drivername="postgresql+psycopg"),
            connect_args={"options": options.strip(), "connect_timeout": 10},
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            **_POOL,
        )
    except ModuleNotFoundError:
        raise Unavailable("the driver of PostgreSQL is missing", hint="pip install 'gnomon[postgres]'") from None


def _revision(engine: Engine) -> str | None:
    with reading(engine) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return cast(str | None, connection.execute(text("SELECT version_num FROM alembic_version")).scalar())


def _take_upgrade_lock(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        return  # BEGIN IMMEDIATE is the lock
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
    if connection.execute(text("SELECT to_regnamespace(:name)"), {"name": SCHEMA}).scalar() is None:
        connection.exec_driver_sql(f"CREATE SCHEMA {SCHEMA}")


def _newer_database(found: str | None) -> Unavailable:
    return Unavailable(
        f"the database is at revision {found}, which this Gnomon (at {HEAD}) does not know",
        hint="it was migrated by a newer Gnomon: install that one",
    )


@contextmanager
def errors_of(engine: Engine) -> Iterator[None]:
    """Errors of the driver, wrapped by SQLAlchemy or raw, as errors of the tree where they have a place in it."""
    try:
        yield
    except GnomonError:
        raise
    except Exception as error:
        known = _translated(error, engine)
        if known is None:
            raise
        raise known from error


def _translated(error: Exception, engine: Engine) -> GnomonError | None:
    if isinstance(error, PoolTimeout):
        return Exhausted("every connection to the database is busy", hint="try again; ask for less at once")
    cause = error.orig if isinstance(error, DBAPIError) else error
    kinds = {kind.__name__ for kind in type(cause).__mro__ if kind.__module__.partition(".")[0] in _DRIVERS}
    message = " ".join(str(cause).split())
    if not kinds:
        return None
    if "insert-only" in message:
        return Refused(message.partition(" CONTEXT:")[0], hint="issue a new forecast; an issued one is never changed")
    if any(words in message for words in _VIEW_REFUSALS):
        return Refused(message, hint="the seeds' tables are views: what they show is written by issuing and scoring")
    if "no such table" in message or "UndefinedTable" in kinds:
        return Unavailable(f"the database has no tables yet ({message})", hint="run `gnomon db upgrade`")
    if kinds & {"OperationalError", "IdleInTransactionSessionTimeout"}:
        where = engine.url.render_as_string(hide_password=True)
        return Unavailable(f"the database {where} does not answer: {message}", hint="is the server up? then try again")
    return None


_DRIVERS: Final = ("sqlite3", "psycopg")
_VIEW_REFUSALS: Final = (
    *("because it is a view", "cannot insert into view", "cannot update view", "cannot delete from view"),
    "cannot change materialized view",
)
