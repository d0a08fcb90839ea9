"""Files of an archive that publishes a SHA-256 beside each: fetched once, verified always.

A file appears under its name only when its digest fits: it grows as `NAME.part`, goes on there after an interruption,
and is renamed. One process fetches at a time: a second one waits, and finds the file.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from pathlib import Path
from typing import IO, Final

from gnomon.errors import Unavailable
from gnomon.sources.http import Http

_DIGEST: Final = re.compile(r"([0-9a-fA-F]{64})\s+\*?(\S+)\s*")
_PIECE: Final = 1 << 20
_ATTEMPTS: Final = 2


class Cache:
    """A folder with the files of an archive, at their paths there."""

    def __init__(self, folder: Path, http: Http, largest_bytes: int) -> None:
        self._folder, self._http, self._largest_bytes = folder, http, largest_bytes

    def get(self, path: str) -> Path:
        """Where the file of that path lies, verified.

        Raises `NotFound` without one in the archive, and `Unavailable` when its digest does not fit twice (nothing is
        kept then) or the folder cannot be written.
        """
        target = self._folder / path
        try:
            if not _verified(target):
                self._folder.mkdir(parents=True, exist_ok=True)
                with (self._folder / ".lock").open("w") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed
                    if not _verified(target):
                        self._fetch(path, target)
        except OSError as error:
            raise Unavailable(
                f"cannot keep {target}: {error.strerror or error}", hint="is the folder writable, and is there room?"
            ) from None
        return target

    def _fetch(self, path: str, target: Path) -> None:
        part = target.with_name(f"{target.name}.part")
        received = expected = ""
        for _ in range(_ATTEMPTS):
            expected, text = self._checksum(path, target.name)
            received = self._download(path, part)
            if received == expected:
                _keep(target, part, text)
                return
            part.unlink()
        raise Unavailable(
            f"{target.name}: SHA-256 is {received}, its .CHECKSUM says {expected} (fetched {_ATTEMPTS} times)",
            hint="try again later: the archive may be replacing it",
            detail={"received": received, "expected": expected},
        )

    def _download(self, path: str, part: Path) -> str:
        """The digest of the file, fetched whole; what came before an interruption stays in `part`."""
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("a+b") as file:
            self._http.download(path, file, largest_bytes=self._largest_bytes)
            os.fsync(file.fileno())
            return _sha256(file)

    def _checksum(self, path: str, name: str) -> tuple[str, bytes]:
        answer = self._http.get(f"{path}.CHECKSUM")
        match = _DIGEST.fullmatch(answer.body.decode(errors="replace"))
        if match is None or match[2] != name:
            raise Unavailable(
                f"{name}.CHECKSUM says {answer.text()!r}, a SHA-256 and the name expected", hint="try again later"
            )
        return match[1].lower(), answer.body


def _keep(target: Path, part: Path, checksum: bytes) -> None:
    """The digest first: a file without one beside it is not taken for verified."""
    beside = target.with_name(f"{target.name}.CHECKSUM")
    fresh = beside.with_name(f"{beside.name}.part")
    fresh.write_bytes(checksum)
    fresh.replace(beside)
    part.replace(target)


def _verified(target: Path) -> bool:
    """Whether a file is there and still has its digest; a damaged one is removed."""
    beside = target.with_name(f"{target.name}.CHECKSUM")
    if not target.is_file() or not beside.is_file():
        return False
    match = _DIGEST.fullmatch(beside.read_text("utf-8", "replace"))
    with target.open("rb") as file:
        fits = match is not None and _sha256(file) == match[1].lower()
    if not fits:
        target.unlink(missing_ok=True)
    return fits


def _sha256(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()
