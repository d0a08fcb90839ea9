"""Time in integers: the Clock port, a simulated clock, timeframes and ISO 8601 text.

Instants are int64 nanoseconds since 1970-01-01 UTC. Nothing here asks the machine for the time: that is `wallclock`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gnomon.errors import Invalid
from gnomon.units import DAY_NS, HOUR_NS, INT64_MAX, MINUTE_NS, SECOND_NS, WEEK_NS


class Clock(Protocol):
    """Whoever needs the time is given one of these."""

    def now_ns(self) -> int: ...


@dataclass(slots=True)
class SimClock:
    """A clock that stands still until it is told to move, and never moves back."""

    at_ns: int = 0

    def now_ns(self) -> int:
        return self.at_ns

    def advance_to(self, at_ns: int) -> None:
        if at_ns < self.at_ns:
            raise Invalid(f"a clock cannot go back from {iso(self.at_ns)} to {iso(at_ns)}", hint="make a new SimClock")
        self.at_ns = at_ns


# --- ISO 8601 -----------------------------------------------------------------------------------------------------

_ISO = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[T ](?P<time>\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?)?",
    re.ASCII,
)


def parse_instant(text: str) -> int:
    """Nanoseconds UTC of an ISO 8601 date or date-time; without an offset it is UTC. `Invalid` otherwise."""
    match = _ISO.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError
        stamp = f"{match['date']}T{match['time'] or '00:00'}"
        local_ns = int(np.datetime64(stamp, "ns").astype(np.int64))
        if np.datetime64(stamp, "us") != np.datetime64(local_ns // 1000, "us"):
            raise ValueError  # beyond the years 1678 to 2262 that fit int64 nanoseconds
        at_ns = local_ns - _offset_ns(match["zone"])
        if abs(at_ns) > INT64_MAX:
            raise ValueError
        return at_ns
    except ValueError:
        raise Invalid(
            f"not an instant: {text!r}", hint="write ISO 8601 in UTC, e.g. 2024-05-01 or 2024-05-01T13:30:00Z"
        ) from None


def _offset_ns(zone: str | None) -> int:
    if zone in (None, "Z"):
        return 0
    assert zone is not None
    hours, minutes = int(zone[1:3]), int(zone[3:].removeprefix(":") or 0)
    if hours > 23 or minutes > 59:
        raise ValueError
    size = hours * HOUR_NS + minutes * MINUTE_NS
    return size if zone[0] == "+" else -size


def iso(at_ns: int) -> str:
    """ISO 8601 in UTC with a Z, to the second, or as fine as the instant needs (milli-, micro-, nanoseconds)."""
    stamp = np.datetime64(int(at_ns), "ns")
    if at_ns % SECOND_NS == 0:
        text = np.datetime_as_string(stamp, unit="s")
    elif at_ns % 1_000_000 == 0:
        text = np.datetime_as_string(stamp, unit="ms")
    elif at_ns % 1_000 == 0:
        text = np.datetime_as_string(stamp, unit="us")
    else:
        text = np.datetime_as_string(stamp, unit="ns")
    return f"{text}Z"


# --- timeframes -----------------------------------------------------------------------------------------------------

_UNITS_NS = {"s": SECOND_NS, "m": MINUTE_NS, "h": HOUR_NS, "d": DAY_NS, "w": WEEK_NS}
_TIMEFRAME = re.compile(r"([0-9]{1,4})(mo|[smhdw])")
_MONTHS = re.compile(r"^([0-9]{1,4})M$")
_SPELLED = re.compile(r"([0-9]{1,4})([a-z]+?)s?")
_SPELLINGS = {
    "sec": "s",
    "second": "s",
    "t": "m",
    "min": "m",
    "minute": "m",
    "hr": "h",
    "hour": "h",
    "day": "d",
    "wk": "w",
    "week": "w",
    "mon": "mo",
    "month": "mo",
}


@dataclass(frozen=True, slots=True, order=True)
class Timeframe:
    """A bar length: a count and a unit of `s m h d w mo`. Months have no fixed length and order after weeks.

    `nominal_ns` is the length for comparison and for spacing (a month counts 30 days); the true opens and closes of
    bars come from the calendar (`market.calendar.Sessions`).
    """

    nominal_ns: int
    count: int
    unit: str

    @classmethod
    def parse(cls, text: str) -> Timeframe:
        """`5m`, `1h`, `1d`, `1w`, `1mo`; common other spellings (`60min`, `1D`, `1day`) are understood.

        A lone capital M means months (`1M`), as at the venues; `m` means minutes.
        """
        spelled = "".join(_MONTHS.sub(r"\1mo", text.strip()).lower().split())
        match = _SPELLED.fullmatch(spelled)
        if match and match[2] in _SPELLINGS:
            spelled = match[1] + _SPELLINGS[match[2]]
        match = _TIMEFRAME.fullmatch(spelled)
        if match is None or int(match[1]) == 0:
            raise Invalid(f"not a timeframe: {text!r}", hint="write a count and one of s m h d w mo, e.g. 1h or 1d")
        count, unit = int(match[1]), match[2]
        if unit != "mo":
            return cls.of_ns(count * _UNITS_NS[unit])
        if count * 30 * DAY_NS > INT64_MAX:
            raise Invalid(f"too long a timeframe: {text!r}", hint="at most some 290 years")
        return cls(count * 30 * DAY_NS, count, unit)

    @classmethod
    def of_ns(cls, length_ns: int) -> Timeframe:
        """The timeframe of a fixed length, in its largest whole unit: 60 minutes are `1h`."""
        if length_ns <= 0 or length_ns % SECOND_NS or (length_ns > DAY_NS and length_ns % DAY_NS):
            raise Invalid(f"not a bar length: {length_ns} ns", hint="whole seconds, from a day on whole days")
        for unit in ("w", "d", "h", "m", "s"):
            if length_ns % _UNITS_NS[unit] == 0:
                return cls(length_ns, length_ns // _UNITS_NS[unit], unit)
        raise AssertionError("unreachable: seconds divide every allowed length")

    @property
    def is_intraday(self) -> bool:
        return self.nominal_ns < DAY_NS

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"
