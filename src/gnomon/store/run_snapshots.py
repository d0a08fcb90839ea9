"""Snapshots of runs in files: `<home>/journals/<run>.snapshots`, beside the journal that each belongs to.

A row of frames as in a journal (`store.journals`), one for each snapshot: form (u32), seq (u64), t (i64), chain (32
bytes), length of the state (u32), digest (32 bytes), the state, and what was drawn for since the one before. They can
be thrown away: a run is verified from its start without them.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from gnomon.errors import Invalid
from gnomon.replay.snapshots import Snapshot
from gnomon.store.journals import JournalFile, Journals


class RunSnapshots:
    """The snapshots of one run; a sink for them. The file is made with the first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.refusal = ""  # why there are no more
        self._file: JournalFile | None = None

    @classmethod
    def of(cls, journals: Journals, run: str) -> Self:
        """Of a run that has a journal, or will have one."""
        return cls(journals.beside(run, "snapshots"))

    def add(self, snapshot: Snapshot) -> None:
        """Behind those that are there; what a kill left half-written is dropped."""
        if self._file is None:
            is_new = not self.path.exists()
            self._file = JournalFile(self.path, is_new=is_new, appends=not is_new)
            self._file.cut()
        self._file.append(snapshot.pack(), snapshot.seq)

    def refuse(self, why: str) -> None:
        self.refusal = why

    def good(self) -> list[Snapshot]:
        """From the first on, up to the first that is damaged: each needs those before it."""
        if not self.path.exists():
            return []
        file, found = JournalFile(self.path), []
        for i in range(len(file.frames)):
            try:
                found.append(Snapshot.unpack(file.read(i)))
            except Invalid:
                break
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
