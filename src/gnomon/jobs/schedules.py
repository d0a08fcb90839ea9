"""The ticker: what came due by the schedules becomes jobs, each once.

One ticker serves the durable engine, the in-memory one, `gnomon tick` and simulated time. Several may run at once, and
any of them may die at any moment: a tick is enqueued first and noted as fired afterwards, and the id of its job is its
nominal time, so whoever repeats the enqueue finds the job that is there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from gnomon.clock import Clock, iso
from gnomon.errors import Conflict, GnomonError, Invalid, NotFound
from gnomon.jobs.engine.port import Job, Jobs
from gnomon.jobs.schedule import Schedule, newest_tick, ticks
from gnomon.store.schedules import ScheduleRow, ScheduleStore
from gnomon.units import DAY_NS, SECOND_NS

FARTHEST_NS: Final = 400 * DAY_NS
"""How far ahead the next tick is looked for: a yearly schedule has one."""
LARGEST_TICK: Final = 200
"""Jobs that one call of `tick` makes of one schedule; after a long outage the next call goes on."""
LARGEST_BACKFILL: Final = 1_000
RETIRED: Final = "no longer among the defaults"


@dataclass(frozen=True, slots=True)
class Planned:
    """A schedule as it stands, with its next tick (None while it is paused or has none within 400 days)."""

    schedule: Schedule
    is_edited: bool
    fired_until_ns: int
    next_ns: int | None


class Schedules:
    """The schedules of a store, and the jobs that they make."""

    def __init__(self, store: ScheduleStore, jobs: Jobs, clock: Clock) -> None:
        self._store, self._jobs, self.clock = store, jobs, clock
        self._quiet: dict[str, tuple[ScheduleRow, int]] = {}  # rows that were looked at, with their next tick

    def declare(self, defaults: Iterable[Schedule]) -> None:
        """Make the defaults known, all of them at once.

        A new one fires from now on. A newer default replaces an older one, never a row that was edited by hand. A row
        that is no default any more and was not edited stays, disabled: its jobs keep their origin, and it comes back
        with the default.
        """
        documents = {one.name: one.row() for one in defaults}
        for row in self._store.all():
            if row.name not in documents and not row.is_edited and row.document.get("enabled", True):
                documents[row.name] = {**row.document, "enabled": False, "note": RETIRED}
        self._store.declare(documents, self.clock.now_ns())

    def list(self) -> list[Planned]:
        """Every schedule, by name."""
        return [self._planned(row) for row in self._store.all()]

    def get(self, name: str) -> Planned:
        """One schedule; `NotFound` offers the nearest name."""
        return self._planned(self._store.get(name))

    def put(self, schedule: Schedule) -> Planned:
        """Replace or add a schedule by hand; defaults do not touch it from now on."""
        self._store.put(schedule.name, schedule.row(), self.clock.now_ns())
        return self.get(schedule.name)

    def pause(self, name: str) -> Planned:
        """No more ticks until it is resumed; jobs that were made run on."""
        return self.put(replace(self.get(name).schedule, enabled=False))

    def resume(self, name: str) -> Planned:
        """Go on from now: what came due while it was paused is not made up."""
        return self.put(replace(self.get(name).schedule, enabled=True))

    def trigger(self, name: str) -> Job:
        """Make one job now, beside the ticks: its key ends in `+manual-<n>`, the first n that is free."""
        schedule = self.get(name).schedule
        now_ns = self.clock.now_ns() // SECOND_NS * SECOND_NS
        for number in range(1, 100):
            job = self._enqueue(schedule, f"{schedule.key_at(now_ns)}+manual-{number}", now_ns)
            if job.created:
                return job
        raise Conflict(f"schedule {name} was triggered 99 times within a second", hint="wait a second")

    def backfill(self, name: str, first_ns: int, last_ns: int) -> Sequence[Job]:
        """The jobs of the ticks in [first, last], oldest first; those that exist stay as they are.

        Nothing that comes due by itself changes. `Invalid` for a window beyond now or with more than 1,000 ticks.
        """
        schedule = self.get(name).schedule
        window = f"a window from {iso(first_ns)} to {iso(last_ns)}"
        if last_ns < first_ns:
            raise Invalid(window, hint="give its beginning before its end")
        if last_ns > self.clock.now_ns():
            raise Invalid(f"{window} ends after now", hint="what is still to come makes its jobs by itself")
        due = ticks(schedule, first_ns - 1, last_ns, limit=LARGEST_BACKFILL + 1)
        if len(due) > LARGEST_BACKFILL:
            raise Invalid(
                f"{window} has more than {LARGEST_BACKFILL:,} ticks of {schedule.cron!r}",
                hint=f"fill it in parts, e.g. up to {iso(due[LARGEST_BACKFILL - 1])} first",
            )
        return [self._enqueue(schedule, schedule.key_at(at_ns), at_ns) for at_ns in due]

    def tick(self, now_ns: int | None = None) -> Sequence[Job]:
        """Enqueue what came due since the last time; of each schedule at most 200 jobs, the oldest first.

        A schedule that cannot fire (no such kind of job, a row that is none) keeps no other from firing; the first such
        error is raised after all others have been served, and its ticks stay due.
        """
        now_ns = self.clock.now_ns() if now_ns is None else now_ns
        made: list[Job] = []
        faults: list[GnomonError] = []
        for row in self._store.all():
            try:
                made += self._fire(row, now_ns)
            except (Invalid, NotFound) as fault:
                faults.append(_named(fault, row.name))
        if faults:
            raise faults[0]
        return made

    def next_ns(self, name: str = "") -> int | None:
        """The next tick of a schedule, or of all; None where none is enabled."""
        planned = [self.get(name)] if name else self.list()
        return min((one.next_ns for one in planned if one.next_ns is not None), default=None)

    def _fire(self, row: ScheduleRow, now_ns: int) -> Sequence[Job]:
        known, next_ns = self._quiet.get(row.name, (None, 0))
        if known == row and now_ns < next_ns:
            return []
        schedule = Schedule.from_row(row.document)
        if not schedule.enabled:
            return []
        if schedule.catch_up == "latest":
            newest_ns = newest_tick(schedule, row.fired_until_ns, now_ns)
            due = [] if newest_ns is None else [newest_ns]
        else:
            due = ticks(schedule, row.fired_until_ns, now_ns, limit=LARGEST_TICK)
        made = [self._enqueue(schedule, schedule.key_at(at_ns), at_ns) for at_ns in due]
        if due:
            self._store.advance(schedule.name, due[-1])
        else:
            ends_ns = row.fired_until_ns + FARTHEST_NS
            self._quiet[row.name] = row, next(iter(ticks(schedule, row.fired_until_ns, ends_ns, limit=1)), ends_ns)
        return made

    def _enqueue(self, schedule: Schedule, key: str, at_ns: int) -> Job:
        return self._jobs.enqueue(schedule.kind, key, schedule.args_at(at_ns), queue=schedule.queue or None)

    def _planned(self, row: ScheduleRow) -> Planned:
        schedule = Schedule.from_row(row.document)
        after_ns = max(row.fired_until_ns, self.clock.now_ns())
        found = ticks(schedule, after_ns, after_ns + FARTHEST_NS, limit=1) if schedule.enabled else []
        return Planned(schedule, row.is_edited, row.fired_until_ns, found[0] if found else None)


def _named(fault: GnomonError, name: str) -> GnomonError:
    """The same error, with the schedule's name."""
    message = fault.message.removeprefix(f"schedule {name!r}: ")
    return type(fault)(f"schedule {name!r}: {message}", hint=fault.hint, detail={**fault.detail, "schedule": name})


def default_schedules(path: Path | None = None, profile: str = "") -> list[Schedule]:
    """The shipped schedules, or those of a file; a profile (`after-close`) changes some of their cron lines.

    Raises `Invalid` for a file that is not of this form.
    """
    source = path or Path(__file__).with_name("schedules.toml")
    try:
        document = tomllib.loads(source.read_text(encoding="utf-8"))
        rows = [Schedule.from_row(row) for row in _tables(document, source)]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Invalid(f"schedules file {source.name}: {error}", hint="TOML with [[schedule]] tables") from None
    except GnomonError as error:
        raise Invalid(f"schedules file {source.name}: {error.message}", hint=error.hint) from None
    profiles = document.get("profile", {})
    if profile and profile not in profiles:
        raise Invalid(f"no profile {profile!r}", hint=f"one of {', '.join(profiles) or 'none'}")
    crons = profiles.get(profile, {})
    unknown = sorted(set(crons) - {one.name for one in rows})
    if unknown:
        raise Invalid(f"profile {profile!r} names {unknown[0]!r}, which is no schedule", hint="see [[schedule]] name")
    return [replace(one, cron=crons.get(one.name, one.cron)) for one in rows]


def _tables(document: Mapping[str, Any], source: Path) -> Sequence[Mapping[str, Any]]:
    rows = document.get("schedule")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Invalid("no [[schedule]] tables", hint=f"see {source.name} of the package")
    names = [row.get("name") for row in rows]
    twice = sorted({str(one) for one in names if names.count(one) > 1})
    if twice:
        raise Invalid(f"schedule {twice[0]} stands twice", hint="one table a name")
    return rows
