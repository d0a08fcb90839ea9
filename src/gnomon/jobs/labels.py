"""Labels of runs beside their journals: what a check has found holds while the journal is as it was looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gnomon.clock import Clock
from gnomon.jobs.replay import Replays
from gnomon.replay.runners import JUMP
from gnomon.replay.verification import Outcome, Verification
from gnomon.score.label import Label, Standing
from gnomon.store.labels import StoredLabel
from gnomon.store.runs import StoredRun

VERIFIED: Final = "its inputs give its outputs; its closed loop was not run again"


class Labels:
    """The labels of the runs of one home and database."""

    def __init__(self, replays: Replays, clock: Clock) -> None:
        self._replays = replays
        self._labels = replays.labels
        self._clock = clock

    def of(self, found: Sequence[StoredRun]) -> dict[str, Standing]:
        """Of each of these runs, by id: what its newest check found. One whose journal is gone, or is another file than
        the one that was checked, is observed until it is verified again."""
        kept = self._labels.of([one.id for one in found])
        return {one.id: self._standing(one, kept.get(one.id)) for one in found}

    def verify(self, stored: StoredRun, runner: str = JUMP, *, from_snapshot: bool = False) -> Verification:
        """`Replays.verify`, and what it says of the label: replayable, or still certified; observed where it fails.

        From a snapshot on a run is not verified whole: that can cost a label, and gives none.
        """
        journal = self._journal(stored)
        found = self._replays.verify(stored, runner, from_snapshot=from_snapshot)
        if found.outcome is not Outcome.VERIFIED:
            if not from_snapshot or found.outcome is Outcome.DIFFERS:
                self._keep(stored, Standing(reason=found.steps[-1]), journal)
        elif not from_snapshot:
            before = self._labels.of([stored.id]).get(stored.id)
            if before is None or before.standing.label is Label.OBSERVED:
                self._keep(stored, Standing(Label.REPLAYABLE, VERIFIED), journal)
            else:
                self._keep(stored, before.standing, journal, before.witnesses)
        return found

    def witnesses(self, stored: StoredRun) -> tuple[str, ...]:
        """The stored runs that it was held against."""
        kept = self._labels.of([stored.id]).get(stored.id)
        return () if kept is None else kept.witnesses

    def keep(self, stored: StoredRun, standing: Standing, witnesses: Sequence[str]) -> None:
        """What came of running its closed loop again. `witnesses` are the stored runs that it was held against."""
        self._keep(stored, standing, self._journal(stored), witnesses)

    def _standing(self, stored: StoredRun, kept: StoredLabel | None) -> Standing:
        journal = self._journal(stored)
        if stored.journal == "full" and journal == (0, 0):
            return Standing(reason="its journal is missing")
        if kept is None:
            return Standing()
        if kept.standing.label is not Label.OBSERVED and (kept.journal_bytes, kept.journal_at) != journal:
            return Standing(reason="its journal was written to since it was checked")
        return kept.standing

    def _journal(self, stored: StoredRun) -> tuple[int, int]:
        """Size and time of the file, bytes and UTC ns; 0 and 0 where there is none."""
        path = self._replays.journals.beside(stored.id, "journal")
        if not path.exists():
            return 0, 0
        found = path.stat()
        return found.st_size, found.st_mtime_ns

    def _keep(
        self, stored: StoredRun, standing: Standing, journal: tuple[int, int], witnesses: Sequence[str] = ()
    ) -> None:
        self._labels.keep(StoredLabel(stored.id, standing, self._clock.now_ns(), *journal, tuple(witnesses)))
