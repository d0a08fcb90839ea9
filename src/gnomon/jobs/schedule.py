"""Schedules: a rule that makes jobs due. Cron in a time zone, nominal ticks, what becomes of those that were missed.

The job of a tick has the nominal time in its key, so a tick fired late, twice or by hand is the same job.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Literal, get_args
from zoneinfo import ZoneInfo

from croniter import croniter

from gnomon.clock import iso
from gnomon.errors import Invalid
from gnomon.units import SECOND_NS

CatchUp = Literal["late-is-missed", "latest", "all"]
"""Of the ticks that an outage missed: all run and see that they are late; the newest alone runs; all run in order."""

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - naive on purpose: local times are reckoned without an offset
_MARGIN: Final = timedelta(hours=3)  # more than any clock was ever changed by
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """One rule. The job of a tick is `kind:key:TICK` with `args`, `due_ns` (the tick) and `grace_s`."""

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
        if not self.name or not self.kind or not self.key:
            raise Invalid(f"schedule {self.name!r}: name, kind and key are needed", hint="see `gnomon schedules list`")
        if len(self.cron.split()) not in (5, 6) or not croniter.is_valid(self.cron, second_at_beginning=True):
            raise Invalid(
                f"schedule {self.name}: not a cron line: {self.cron!r}",
                hint="five fields (minute hour day month weekday), e.g. '55 * * * *', or six with seconds first",
            )
        if self.catch_up not in get_args(CatchUp):
            raise Invalid(
                f"schedule {self.name}: catch_up {self.catch_up!r}", hint=f"one of {', '.join(get_args(CatchUp))}"
            )
        if self.grace_s < 0:
            raise Invalid(f"schedule {self.name}: grace_s {self.grace_s}", hint="seconds, none or more")
        _zone(self.timezone)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Schedule:
        """A schedule from a JSON or TOML row; `Invalid` names the field at fault."""
        unknown = sorted(set(row) - {one.name for one in fields(cls)})
        if unknown:
            raise Invalid(
                f"schedule {row.get('name', '?')}: unknown field {unknown[0]!r}",
                hint=f"fields: {', '.join(one.name for one in fields(cls))}",
            )
        missing = [name for name in ("name", "cron", "kind", "key") if name not in row]
        if missing:
            name = row.get("name", "?")
            raise Invalid(f"schedule {name}: {missing[0]} is missing", hint="see `gnomon schedules list`")
        return cls(**row)

    def row(self) -> dict[str, Any]:
        """The JSON-ready row that `from_row` reads back to an equal schedule."""
        return {one.name: getattr(self, one.name) for one in fields(self)} | {"args": dict(self.args)}

    def key_at(self, tick_ns: int) -> str:
        """The key of a tick's job."""
        return f"{self.key}:{iso(tick_ns)}"

    def args_at(self, tick_ns: int) -> dict[str, Any]:
        """The arguments of a tick's job."""
        return {**self.args, "due_ns": tick_ns, "grace_s": self.grace_s}


def ticks(schedule: Schedule, after_ns: int, until_ns: int, *, limit: int | None = None) -> list[int]:
    """The nominal instants in (after, until], UTC ns, oldest first.

    The line is read by the clock on the wall of its zone. A local time that does not exist fires once, at the jump;
    one that occurs twice fires once, at its first occurrence.
    """
    zone = _zone(schedule.timezone)
    margin = timedelta(0) if zone.key == "UTC" else _MARGIN  # a change of the clock puts local times out of order
    local = _local(after_ns, zone) - margin
    last = _local(until_ns, zone) + margin
    walk = croniter(schedule.cron, local, second_at_beginning=True)
    found: list[int] = []
    while (local := walk.get_next(datetime)) <= last:
        at_ns = _instant_ns(local, zone)
        if after_ns < at_ns <= until_ns and (not found or at_ns > found[-1]):
            found.append(at_ns)
            if limit is not None and len(found) >= limit:
                break
        if at_ns > until_ns + SECOND_NS:
            break
    return found


@lru_cache
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Invalid(f"no time zone {name!r}", hint="a name of the IANA database, e.g. America/New_York") from None


def _local(at_ns: int, zone: ZoneInfo) -> datetime:
    """What the clock on the wall reads, to the second, without its offset."""
    utc = (_EPOCH + timedelta(seconds=at_ns // SECOND_NS)).replace(tzinfo=ZoneInfo("UTC"))
    return utc.astimezone(zone).replace(tzinfo=None)


def _instant_ns(local: datetime, zone: ZoneInfo) -> int:
    """The instant of a local time: its first occurrence; of one that was skipped, the jump."""
    first = local.replace(tzinfo=zone, fold=0)
    before, after = first.utcoffset(), local.replace(tzinfo=zone, fold=1).utcoffset()
    assert before is not None
    assert after is not None
    if after > before:  # a gap: fold 0 reckons with the offset before it, so the jump lies within
        return _jump_ns(local, before, after, zone)
    return int((local - before - _EPOCH) / _SECOND) * SECOND_NS


def _jump_ns(local: datetime, before: timedelta, after: timedelta, zone: ZoneInfo) -> int:
    """When the clock jumped over a local time: the first instant with the offset after it, by bisection."""
    low = int((local - after - _EPOCH) / _SECOND)  # still before the jump
    high = int((local - before - _EPOCH) / _SECOND)  # at or after it
    utc = ZoneInfo("UTC")
    while high - low > 1:
        middle = (low + high) // 2
        offset = (_EPOCH + timedelta(seconds=middle)).replace(tzinfo=utc).astimezone(zone).utcoffset()
        low, high = (middle, high) if offset == before else (low, middle)
    return high * SECOND_NS
