"""Schedules: a rule that makes jobs due. Cron in a time zone, nominal ticks, what becomes of those that were missed.

The job of a tick has the nominal time in its key, so a tick fired late, twice or by hand is the same job.

A line is read by the clock on the wall of its zone. Where that clock jumps forward, the local times that it skips fire
once, at the jump; where it is put back, those that occur twice fire once, at their first occurrence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Literal, get_args
from zoneinfo import ZoneInfo

import numpy as np
from croniter import CroniterBadDateError, croniter

from gnomon.clock import iso
from gnomon.errors import Invalid
from gnomon.units import DAY_NS, SECOND_NS, IntArray

CatchUp = Literal["late-is-missed", "latest", "all"]
"""Of the ticks that an outage missed: all run and see that they are late; the newest alone runs; all run in order."""

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - naive on purpose: local times are reckoned without an offset
_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)
_DAY_S: Final = 86_400
_UTC: Final = ZoneInfo("UTC")
_WORD: Final = re.compile(r"[A-Za-z0-9][\w.:+-]{0,99}", re.ASCII)
_KIND: Final = re.compile(r"[a-z][a-z0-9_-]{0,49}")
_DRAWN: Final = re.compile(r"[HhRr](?![A-Za-z])")  # croniter's fields that are drawn by lot
_TEXTS: Final = ("name", "cron", "kind", "key", "timezone", "queue", "catch_up", "note")


@dataclass(frozen=True, slots=True)
class Schedule:
    """One rule. The job of a tick is `kind:key:TICK` with `args`, `due_ns` (the tick) and `grace_s`.

    `cron` has five fields (minute hour day month weekday) or six, with seconds first. `queue` empty means the kind's
    own. `Invalid` says which field is wrong, what it was and what it might be.
    """

    name: str
    cron: str
    kind: str
    key: str
    args: Mapping[str, Any] = field(default_factory=dict)
    timezone: str = "UTC"
    queue: str = ""
    enabled: bool = True
    catch_up: CatchUp = "latest"
    grace_s: int = 600
    note: str = ""

    def __post_init__(self) -> None:
        _require_types(self)
        for name, form, such_as in (
            ("name", _WORD, "ingest-1h"),
            ("kind", _KIND, "ingest"),
            ("key", _WORD, "1h:baselines"),
        ):
            if not form.fullmatch(getattr(self, name)):
                raise _wrong(self, name, f"letters, digits and . : + - _ without spaces or slashes, e.g. {such_as!r}")
        if self.catch_up not in get_args(CatchUp):
            raise _wrong(self, "catch_up", f"one of {', '.join(get_args(CatchUp))}")
        if self.grace_s < 0:
            raise _wrong(self, "grace_s", "seconds, none or more, e.g. 600")
        try:
            json.dumps(dict(self.args), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise Invalid(f"schedule {self.name!r}: args are not JSON: {error}", hint="text, numbers, lists") from None
        try:
            _zone(self.timezone)
            _line(self.cron)
        except Invalid as error:
            raise Invalid(f"schedule {self.name!r}: {error.message}", hint=error.hint) from None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Schedule:
        """A schedule from a JSON or TOML row; `Invalid` names the field at fault."""
        unknown = sorted(set(row) - {one.name for one in fields(cls)})
        if unknown:
            raise Invalid(
                f"schedule {row.get('name', '?')!r}: unknown field {unknown[0]!r}",
                hint=f"fields: {', '.join(one.name for one in fields(cls))}",
            )
        missing = [name for name in ("name", "cron", "kind", "key") if name not in row]
        if missing:
            raise Invalid(
                f"schedule {row.get('name', '?')!r}: {missing[0]} is missing", hint="see `gnomon schedules list`"
            )
        return cls(**row)

    def row(self) -> dict[str, Any]:
        """The JSON-ready row that `from_row` reads back to an equal schedule."""
        return {one.name: getattr(self, one.name) for one in fields(self)} | {"args": dict(self.args)}

    @property
    def id_prefix(self) -> str:
        """What the ids of all its jobs begin with."""
        return f"{self.kind}:{self.key}:"

    def key_at(self, tick_ns: int) -> str:
        """The key of a tick's job."""
        return f"{self.key}:{iso(tick_ns)}"

    def args_at(self, tick_ns: int) -> dict[str, Any]:
        """The arguments of a tick's job."""
        return {**self.args, "due_ns": tick_ns, "grace_s": self.grace_s}


def ticks(schedule: Schedule, after_ns: int, until_ns: int, *, limit: int | None = None) -> list[int]:
    """The nominal instants in (after, until], UTC ns, oldest first, at most `limit` of them."""
    found: list[int] = []
    if until_ns <= after_ns or limit == 0:
        return found
    zone, line = _zone(schedule.timezone), _line(schedule.cron)
    for day in line.days_from(_local(after_ns, zone).date()):
        if _instant_s(day, zone) * SECOND_NS > until_ns:
            break
        at_ns = _instants_s(day, line.times_s, zone) * SECOND_NS
        newest_ns = found[-1] if found else after_ns
        found.extend(at_ns[(at_ns > newest_ns) & (at_ns <= until_ns)].tolist())
        if limit is not None and len(found) >= limit:
            break
    return found[:limit]


def newest_tick(schedule: Schedule, after_ns: int, until_ns: int) -> int | None:
    """The last nominal instant in (after, until]; None where there is none. It costs no more for more of them."""
    span_ns = DAY_NS
    while until_ns > after_ns:
        first_ns = max(after_ns, until_ns - span_ns)
        found = ticks(schedule, first_ns, until_ns)
        if found:
            return found[-1]
        if first_ns == after_ns:
            break
        span_ns *= 8
    return None


# --- the line -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Line:
    """A cron line taken apart: which days, as a line of its own, and which seconds of such a day, in order."""

    days: str
    times_s: IntArray

    def days_from(self, first: date) -> Iterator[datetime]:
        """The midnights of the matching days from `first` on."""
        walk = croniter(self.days, datetime(first.year, first.month, first.day) - _SECOND)  # noqa: DTZ001 - a local time
        try:
            while True:
                yield walk.get_next(datetime)
        except CroniterBadDateError:  # none within 50 years
            return


@lru_cache(maxsize=512)
def _line(cron: str) -> _Line:
    """A year of `* * * * *` has 525,600 ticks but 365 days: days are walked, their times are an array."""
    parts = cron.split()
    is_drawn = any(_DRAWN.match(item) for part in parts for item in part.split(","))
    if len(parts) not in (5, 6) or is_drawn or not croniter.is_valid(cron, second_at_beginning=True):
        raise Invalid(
            f"not a cron line: {cron!r}",
            hint="five fields (minute hour day month weekday), e.g. '55 * * * *', or six with seconds first",
        )
    clock = parts[:-3] if len(parts) == 6 else ["0", *parts[:-3]]
    expanded = croniter(" ".join([*clock, "*", "*", "*"]), _EPOCH, second_at_beginning=True).expanded
    seconds, minutes, hours = (  # croniter's order: minute hour day month weekday second
        np.array(sorted(set(range(size) if values == ["*"] else values)), np.int64)
        for values, size in ((expanded[5], 60), (expanded[0], 60), (expanded[1], 24))
    )
    times_s = (hours[:, None, None] * 3600 + minutes[:, None] * 60 + seconds).ravel()
    line = _Line(" ".join(["0", "0", *parts[-3:]]), times_s)
    if next(line.days_from(date(2000, 1, 1)), None) is None:
        raise Invalid(f"cron line {cron!r} never fires", hint="no such day exists, e.g. 30 February")
    return line


# --- the clock on the wall -------------------------------------------------------------------------------------------


@lru_cache(maxsize=128)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Invalid(f"no time zone {name!r}", hint="a name of the IANA database, e.g. America/New_York") from None


def _local(at_ns: int, zone: ZoneInfo) -> datetime:
    """What the clock on the wall reads, to the second, without its offset."""
    utc = (_EPOCH + timedelta(seconds=at_ns // SECOND_NS)).replace(tzinfo=_UTC)
    return utc.astimezone(zone).replace(tzinfo=None)


def _instants_s(day: datetime, times_s: IntArray, zone: ZoneInfo) -> IntArray:
    """The instants of times of a day, UTC seconds, ascending. No zone changes its clock twice within a day."""
    offsets = {one for local in (day, day + _DAY) for one in _offsets(local, zone)}
    if len(offsets) == 1:
        return times_s + round((day - offsets.pop() - _EPOCH) / _SECOND)
    found = [_instant_s(day + timedelta(seconds=one), zone) for one in times_s.tolist()]
    return np.unique(np.array(found, np.int64))


def _instant_s(local: datetime, zone: ZoneInfo) -> int:
    """The instant of a local time: its first occurrence; of one that was skipped, the jump."""
    first, second = _offsets(local, zone)
    if second > first:  # a gap: fold 0 reckons with the offset before it, fold 1 with the one after it
        return _jump_s(local, first, second, zone)
    return round((local - first - _EPOCH) / _SECOND)


def _offsets(local: datetime, zone: ZoneInfo) -> tuple[timedelta, timedelta]:
    """The offsets from UTC of a local time, as at its first and as at its second occurrence."""
    first, second = (local.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    assert first is not None
    assert second is not None
    return first, second


def _jump_s(local: datetime, before: timedelta, after: timedelta, zone: ZoneInfo) -> int:
    """When the clock jumped over a local time: the first instant with the offset after it, by bisection."""
    low = round((local - after - _EPOCH) / _SECOND)  # still before the jump
    high = round((local - before - _EPOCH) / _SECOND)  # at or after it
    while high - low > 1:
        middle = (low + high) // 2
        offset = (_EPOCH + timedelta(seconds=middle)).replace(tzinfo=_UTC).astimezone(zone).utcoffset()
        low, high = (middle, high) if offset == before else (low, middle)
    return high


# --- what a row may hold --------------------------------------------------------------------------------------------


def _require_types(schedule: Schedule) -> None:
    """Rows come from files and from outside: a wrong type is the writer's mistake, not a failure of ours."""
    for name in _TEXTS:
        if not isinstance(getattr(schedule, name), str):
            raise _wrong(schedule, name, "text")
    if not isinstance(schedule.enabled, bool):
        raise _wrong(schedule, "enabled", "true or false")
    if isinstance(schedule.grace_s, bool) or not isinstance(schedule.grace_s, int):
        raise _wrong(schedule, "grace_s", "whole seconds, e.g. 600")
    if not isinstance(schedule.args, Mapping):
        raise _wrong(schedule, "args", "a table, e.g. { timeframe = '1h' }")


def _wrong(schedule: Schedule, name: str, expected: str) -> Invalid:
    return Invalid(f"schedule {schedule.name!r}: {name} {getattr(schedule, name)!r}", hint=f"{name}: {expected}")
