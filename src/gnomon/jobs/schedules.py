"""The ticker: what came due by the schedules becomes jobs, each once.

One ticker serves the durable engine, the in-memory one, `gnomon tick` and simulated time. Several may run at once: the
id of a tick's job is its nominal time, so the second enqueue finds the first one's job.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gnomon.clock import Clock, iso
from gnomon.errors import GnomonError, Invalid
from gnomon.jobs.engine.port import Job, Jobs
from gnomon.jobs.schedule import Schedule, ticks
from gnomon.store.schedules import ScheduleRow, ScheduleStore
from gnomon.units import DAY_NS

FARTHEST_NS: Final = 400 * DAY_NS
"""How far ahead the next tick is looked for: a yearly schedule has one."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A schedule as it stands, with its next tick (None while it is paused or has none within a year)."""

    schedule: Schedule
    is_edited: bool
    fired_until_ns: int
    next_ns: int | None


class Schedules:
    """The schedules of a store, and the jobs that they make."""

    def __init__(self, store: ScheduleStore, jobs: Jobs, clock: Clock) -> None:
        self._store, self._jobs, self._clock = store, jobs, clock

    def declare(self, defaults: Iterable[Schedule]) -> None:
        """Make the defaults known. A row that was edited by hand stays; a new schedule fires from now on."""
        for one in defaults:
            self._store.declare(one.name, one.row(), self._clock.now_ns())

    def list(self) -> list[Planned]:
        """Every schedule, by name."""
        return [self._planned(row) for row in self._store.all()]

    def get(self, name: str) -> Planned:
        """One schedule; `NotFound` offers the nearest name."""
        return self._planned(self._store.get(name))

    def put(self, schedule: Schedule) -> Planned:
        """Replace or add a schedule by hand; defaults do not touch it from now on."""
        self._store.put(schedule.name, schedule.row(), self._clock.now_ns())
        return self.get(schedule.name)

    def pause(self, name: str) -> Planned:
        return self.put(replace(self.get(name).schedule, enabled=False))

    def resume(self, name: str) -> Planned:
        """Go on from now: what came due while it was paused is not made up."""
        self._store.advance(name, self._clock.now_ns())
        return self.put(replace(self.get(name).schedule, enabled=True))

    def trigger(self, name: str) -> Job:
        """Make one job now, beside the ticks: its key ends in `+manual-<n>`, the first n that is free."""
        schedule = self.get(name).schedule
        now_ns = self._clock.now_ns()
        for number in range(1, 1_000):
            key = f"{schedule.key_at(now_ns)}+manual-{number}"
            job = self._enqueue(schedule, key, now_ns)
            if job.created:
                return job
        raise Invalid(f"schedule {name} was triggered a thousand times at one instant", hint="wait a second")

    def backfill(self, name: str, first_ns: int, last_ns: int) -> Sequence[Job]:
        """The jobs of the ticks in [first, last], those that exist as they are."""
        schedule = self.get(name).schedule
        if last_ns < first_ns:
            raise Invalid(f"a window from {iso(first_ns)} to {iso(last_ns)}", hint="choose --from before --to")
        return [
            self._enqueue(schedule, schedule.key_at(at_ns), at_ns) for at_ns in ticks(schedule, first_ns - 1, last_ns)
        ]

    def tick(self, now_ns: int | None = None) -> Sequence[Job]:
        """Enqueue what came due since the last time. A crash between the two writes repeats a harmless enqueue."""
        now_ns = self._clock.now_ns() if now_ns is None else now_ns
        made: list[Job] = []
        for row in self._store.all():
            schedule = Schedule.from_row(row.document)
            due = ticks(schedule, row.fired_until_ns, now_ns) if schedule.enabled else []
            for at_ns in due[-1:] if schedule.catch_up == "latest" else due:
                made.append(self._enqueue(schedule, schedule.key_at(at_ns), at_ns))
            if due:
                self._store.advance(schedule.name, due[-1])
        return made

    def next_ns(self) -> int | None:
        """The next tick of all."""
        return min((one.next_ns for one in self.list() if one.next_ns is not None), default=None)

    def _enqueue(self, schedule: Schedule, key: str, at_ns: int) -> Job:
        return self._jobs.enqueue(schedule.kind, key, schedule.args_at(at_ns), queue=schedule.queue or None)

    def _planned(self, row: ScheduleRow) -> Planned:
        schedule = Schedule.from_row(row.document)
        after_ns = max(row.fired_until_ns, self._clock.now_ns())
        found = ticks(schedule, after_ns, after_ns + FARTHEST_NS, limit=1) if schedule.enabled else []
        return Planned(schedule, row.is_edited, row.fired_until_ns, found[0] if found else None)


def default_schedules(path: Path | None = None, profile: str = "") -> list[Schedule]:
    """The shipped schedules, or those of a file; a profile (`after-close`) changes some of their cron lines.

    Raises `Invalid` for a file that is not of this form.
    """
    source = path or Path(__file__).with_name("schedules.toml")
    try:
        document = tomllib.loads(source.read_text())
        rows = [Schedule.from_row(row) for row in document["schedule"]]
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise Invalid(
            f"schedules file {source.name}: {type(error).__name__} {error}", hint="it has [[schedule]] tables"
        ) from None
    except GnomonError as error:
        raise Invalid(f"schedules file {source.name}: {error.message}", hint=error.hint) from None
    profiles = document.get("profile", {})
    if profile and profile not in profiles:
        raise Invalid(f"no profile {profile!r}", hint=f"one of {', '.join(profiles) or 'none'}")
    crons = profiles.get(profile, {})
    return [replace(one, cron=crons.get(one.name, one.cron)) for one in rows]
