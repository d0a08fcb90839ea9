"""The inputs of a live run, line by line, before their effect leaves the process: what a venue that was killed goes on
from. `<home>/journals/<run>.inputs`, JSON lines, gone when the run's journal is whole.

| line | of |
|---|---|
| `["wake", {…}]` | the filter that a trader asked for, with `warmup` and `needs` |
| `["call", now, method, params, …]` | a call that may have sent something; then used weight and requests |
| `["ack", n, {…}]` | a trader's answer to wake n; of a native one only if there is something in it |
| `["streams", [name, …]]` | what a trader is shown from now on |
| `["concurrent"]` | its first socket has said that it is |
| `["refused", key, code, msg, status]` | to a concurrent trader: an answer of the door alone, to no call |
| `["bye", n, {…}]` | a trader that has left, or failed, at wake n |
| `["clock", now]` | how far a clock that bots share had come, once a second |
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson


class InputLog:
    """Appended by one write a line, so a kill leaves whole lines and at most one that is not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        size = os.fstat(self._file).st_size
        whole = os.pread(self._file, size, 0).rfind(b"\n") + 1 if size else 0
        if whole < size:  # a line that a kill has cut must not take the next with it
            os.ftruncate(self._file, whole)

    def write(self, *line: Any) -> None:
        os.write(self._file, orjson.dumps(line) + b"\n")

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def drop(self) -> None:
        """The run is over and kept: its inputs stand in its journal."""
        self.close()
        self.path.unlink(missing_ok=True)


def lines(path: Path) -> Iterator[list[Any]]:
    """What was written whole."""
    if not path.exists():
        return
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            return
        found: list[Any] = orjson.loads(line)
        yield found
