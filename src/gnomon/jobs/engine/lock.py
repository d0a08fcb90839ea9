"""One engine a SQLite file: an exclusive lock on a file beside it, which says who holds it."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType

from gnomon.clock import Clock, iso
from gnomon.errors import Conflict


class EngineLock:
    """Held from `take` to `release`, or to the end of the process, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def take(self, executor_id: str, clock: Clock) -> None:
        """Take the lock; `Conflict` with the holder while another process has it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(file, 4096).decode(errors="replace")
            os.close(file)
            raise Conflict(
                f"another engine works on {self._path.name.removesuffix('.lock')}: {_described(holder)}",
                hint="SQLite has one engine process; set GNOMON_DATABASE_URL=postgresql://… for many workers",
            ) from None
        document = {"pid": os.getpid(), "executor": executor_id, "started": iso(clock.now_ns())}
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(document).encode(), 0)
        self._file = file

    def release(self) -> None:
        """Let go; a lock that is not held is no error."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> EngineLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _described(holder: str) -> str:
    try:
        known = json.loads(holder)
        return f"process {known['pid']}, executor {known['executor']}, since {known['started']}"
    except (ValueError, KeyError, TypeError):
        return "a process that has not said its name yet"
