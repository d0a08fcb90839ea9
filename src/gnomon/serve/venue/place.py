"""A bot's place in a live session: its run, what is kept of it, and the clock that it has of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gnomon.clock import iso
from gnomon.replay.bodies import Branch, EndReason
from gnomon.replay.session import Entry
from gnomon.serve.venue.course import BotCourse
from gnomon.serve.venue.inputs import InputLog
from gnomon.serve.venue.lockstep import BUSY, LockStep
from gnomon.store.bots import Bot
from gnomon.units import INT64_MAX


@dataclass(slots=True, eq=False)
class Place:
    """One bot's. `clock` is its own in lock-step; where it has none, time is that of all who share the session's."""

    session: str
    bot: Bot
    entry: Entry
    number: int  # of the entry
    run_id: str
    course: BotCourse
    log: InputLog
    sink: Any
    text: str  # the plan that its run is stored with
    branch: Branch | None = None
    clock: LockStep | None = None
    is_attached: bool = False
    is_over: bool = False
    stalled: bool = False
    until_n: int = 0  # wakes that its clock may tell while the session is paused

    @property
    def is_busy(self) -> bool:
        """Whether its clock waits for an answer."""
        return self.clock is not None and self.clock.state == BUSY

    @property
    def n(self) -> int:
        """The newest wake that its clock has told; 0 without one."""
        return self.clock.n if self.clock is not None else 0

    @property
    def tier(self) -> str:
        """How the venue knew that the bot had decided."""
        if self.clock is None:
            return "unmodified"
        return "native" if self.clock.is_native else "shim"

    @property
    def has_failed(self) -> bool:
        played = self.course.run.played
        return played is not None and played.reason is EndReason.FAILED

    def state(self, status: str) -> dict[str, Any]:
        """As an operator sees it, in a session that stands so."""
        return {
            "run": self.run_id,
            "bot": self.bot.name,
            "entry": self.entry.name,
            "status": "stalled" if self.stalled else "over" if self.is_over else status,
            "now": iso(self.course.now_ns),
            "is_attached": self.is_attached,
            "events": self.course.events,
        }

    def sockets(self, shared: Sequence[Any]) -> list[Any]:
        """Those of its bot; of the sockets that `shared` a clock, those that nobody's key has opened too."""
        if self.clock is not None:
            return list(self.clock.sockets)
        return [one for one in shared if one.key is None or one.key.bot == self.bot.id]

    # --- steps of a paused session ------------------------------------------------------------------------------------

    def step(self, events: int, until_ns: int) -> None:
        """Its own clock may tell so many wakes more, or goes to an instant."""
        if self.clock is not None:
            self.until_n = self.clock.n + events
            self.clock.until_ns = INT64_MAX if events else until_ns
            self.clock.go_on()

    def end_step(self) -> None:
        self.until_n = 0
        if self.clock is not None:
            self.clock.until_ns = INT64_MAX

    @property
    def may_step(self) -> bool:
        """Whether the step that is under way leads its clock further."""
        clock = self.clock
        return clock is not None and (clock.n < self.until_n or self.course.now_ns < clock.until_ns < INT64_MAX)
