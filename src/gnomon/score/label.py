"""The label of a run: how well it can be repeated, as far as that was tried, and what bars a better one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from gnomon.replay.session import Drive, Session

UNMODIFIED: Final = "unmodified"
BY_WALL: Final = "by_wall_alone"
"""Of a run's counts: 1 where the wall clock alone let a request of its bot pass; absent where nobody looked."""


class Label(StrEnum):
    """Certified: the closed loop, trader included, was run at least twice with all four digests equal, and no clock of
    the wall had a say. Replayable: the stored inputs give the stored outputs, without the trader. Observed: it was not
    verified yet, or what is kept of it is missing or broken."""

    CERTIFIED = "certified"
    REPLAYABLE = "replayable"
    OBSERVED = "observed"


@dataclass(frozen=True, slots=True)
class Standing:
    """A label with its reason. Of `repeats` runs of the closed loop, this one included, `equal` had its four digests;
    0 of 0 where nobody counted."""

    label: Label = Label.OBSERVED
    reason: str = "not verified yet"
    equal: int = 0
    repeats: int = 0

    @property
    def measured(self) -> str:
        """`2 of 2 equal`; empty where the closed loop was not run again."""
        return f"{self.equal} of {self.repeats} equal" if self.repeats > 1 else ""

    @property
    def words(self) -> str:
        """In a line: `certified, 2 of 2 equal: …`."""
        return ", ".join(filter(None, (str(self.label), self.measured))) + (f": {self.reason}" if self.reason else "")

    def row(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"label": str(self.label), "reason": self.reason, "equal": self.equal, "repeats": self.repeats}


def bars(session: Session, tier: str, counts: Mapping[str, int], *, is_by_operator: bool) -> tuple[str, ...]:
    """What keeps a run from being certified however often it repeats, in words; nothing of one in process.

    `tier` is how the venue knew that the bot was done, `counts` those of the stored run; `is_by_operator` where an
    operator ended it.
    """
    if session.drive is Drive.IN_PROCESS:
        return ()
    clock = counts.get(BY_WALL)
    found = (
        (session.drive is Drive.PACED, "it was paced: virtual time followed the wall's"),
        (session.rate_limits == "wall", "its rate limits ran on the wall's clock"),
        (session.time_check == "wall", "its timestamps were held against the wall's clock"),
        (clock is None, "an older version made it, which did not note whose clock let its requests pass"),
        (bool(clock), "the wall's clock alone let a request of it pass"),
        (tier == UNMODIFIED, "its bot is unmodified: how often it repeats is measured, never promised"),
        (is_by_operator, "an operator ended it, not its window or its bot"),
    )
    return tuple(words for bars_it, words in found if bars_it)
