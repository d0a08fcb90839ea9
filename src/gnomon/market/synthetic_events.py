"""A synthetic economic calendar: seeded statements for tests, benchmarks and the demo. No claim of realism.

An event belongs to its identity (seed, kind, subject, month): a longer span holds the same events and more. Each is
listed months ahead, gets its consensus three days before, sometimes moves by a week or has its consensus changed, is
released within seconds of its time, and sometimes has its actual revised a month later. Hours follow the clock of New
York; its summer time begins on the second Sunday of March and ends on the first of November.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from gnomon.chance import generator
from gnomon.errors import Invalid
from gnomon.market.events import RATE_CHANGE_BP, CalendarEvent, EventKind, Impact
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

SOURCE: Final = "synthetic"

_WEDNESDAY, _THURSDAY, _FRIDAY = 2, 3, 4
_ALL: Final = tuple(range(1, 13))
_QUARTERS: Final = (1, 4, 7, 10)
_RATE_MOVES: Final = (-50.0, -25.0, 0.0, 0.0, 0.0, 0.0, 25.0, 50.0)


@dataclass(frozen=True, slots=True)
class _Habit:
    """When a kind of event happens, and what its figures are like. `week` counts from 0; -1 is the month's last."""

    kind: EventKind
    subject: str
    title: str
    impact: Impact
    months: tuple[int, ...]
    week: int
    weekday: int
    minute: int  # of the day in New York
    listed_days: int
    unit: str = ""
    usual: float = 0.0
    spread: float = 0.0
    decimals: int = 1


_DECISIONS: Final = (1, 3, 4, 6, 7, 9, 10, 12)
_BANKS: Final[tuple[tuple[str, int, int, Impact], ...]] = (
    ("ECB", _THURSDAY, 8 * 60 + 15, "high"),
    ("BOE", _THURSDAY, 7 * 60, "high"),
    ("BOJ", _FRIDAY, 22 * 60, "high"),
    ("RBA", 1, 23 * 60 + 30, "medium"),
    ("BOC", _WEDNESDAY, 9 * 60 + 45, "medium"),
    ("SNB", _THURSDAY, 3 * 60 + 30, "medium"),
    ("RBNZ", _WEDNESDAY, 20 * 60, "medium"),
)
_SHARES: Final = ("AAPL", "MSFT", "NVDA", "AMZN", "GOOGL", "META", "TSLA")

_HABITS: Final = (
    _Habit("fomc", "FED", "FOMC statement", "high", (1, 3, 5, 6, 7, 9, 11, 12), 2, _WEDNESDAY, 14 * 60, 300),
    _Habit("cpi", "US", "Consumer price index", "high", _ALL, 1, _WEDNESDAY, 510, 150, "%", 0.3, 0.12),
    _Habit("nfp", "US", "Employment situation", "high", _ALL, 0, _FRIDAY, 510, 150, "K", 170.0, 60.0, 0),
    _Habit("gdp", "US", "Gross domestic product", "medium", _ALL, -1, _THURSDAY, 510, 120, "%", 2.0, 0.4),
    _Habit("pce", "US", "PCE price index", "high", _ALL, -1, _FRIDAY, 510, 120, "%", 0.2, 0.1),
    *(
        _Habit("rate_decision", bank, f"{bank} rate decision", impact, _DECISIONS, 1, day, minute, 250)
        for bank, day, minute, impact in _BANKS
    ),
    *(
        _Habit("earnings", share, f"{share} earnings", "medium", _QUARTERS, -1, number % 5, 965, 40, "USD", 1.5, 0.1, 2)
        for number, share in enumerate(_SHARES)
    ),
)


def synthetic_events(first_ns: int, last_ns: int, seed: int = 0) -> list[CalendarEvent]:
    """Every statement about the events first scheduled in [first_ns, last_ns), by when it was knowable.

    Some 140 events a year: 8 FOMC statements, US CPI, employment, GDP and PCE each month, eight decisions of each of
    seven other central banks, and the quarterly earnings of seven shares. Raises `Invalid` for an empty span.
    """
    if last_ns <= first_ns:
        raise Invalid(f"no span from {first_ns} to {last_ns}", hint="the last instant comes after the first")
    first, last = (np.datetime64(at_ns, "ns").astype("datetime64[M]") for at_ns in (first_ns, last_ns))
    statements: list[CalendarEvent] = []
    for month in range(int(first.astype(np.int64)), int(last.astype(np.int64)) + 1):
        for habit in _HABITS:
            at_ns = _instant(habit, month)
            if month % 12 + 1 in habit.months and first_ns <= at_ns < last_ns:
                statements.extend(_course(habit, month, at_ns, seed))
    return sorted(statements, key=lambda one: (one.knowable_ns, one.id))


def _course(habit: _Habit, month: int, at_ns: int, seed: int) -> Iterator[CalendarEvent]:
    """The statements about one event, oldest first."""
    chance = generator(seed, "synthetic events", habit.kind, habit.subject, month)
    moved, changed, revised, silent = (chance.random(4) < (0.05, 0.2, 0.3, 0.05)).tolist()
    noise = chance.standard_normal(5).tolist()
    listed_ns = at_ns - habit.listed_days * DAY_NS
    label = str(np.datetime64(month, "M"))
    said = CalendarEvent(
        id=f"{SOURCE}:{habit.kind}-{habit.subject}-{label}",
        source=SOURCE,
        kind=habit.kind,
        subject=habit.subject,
        title=f"{habit.title} {label}",
        impact=habit.impact,
        scheduled_ns=at_ns,
        listed_ns=listed_ns,
        knowable_ns=listed_ns,
        unit=habit.unit,
    )
    yield said
    if moved:
        at_ns += 7 * DAY_NS
        said = replace(said, scheduled_ns=at_ns, knowable_ns=at_ns - 20 * DAY_NS)
        yield said
    has_figures = habit.spread > 0
    consensus = round(habit.usual + habit.spread * noise[0], habit.decimals)
    if has_figures and not silent:
        said = replace(said, forecast=consensus, knowable_ns=at_ns - 3 * DAY_NS)
        yield said
        if changed:
            consensus = round(consensus + habit.spread * noise[1] / 2, habit.decimals)
            said = replace(said, forecast=consensus, knowable_ns=at_ns - 6 * HOUR_NS)
            yield said
    released_ns = at_ns + int(2 * abs(noise[2])) * SECOND_NS
    figures: dict[str, Any] = {"detail": {RATE_CHANGE_BP: _RATE_MOVES[int(chance.integers(len(_RATE_MOVES)))]}}
    if has_figures:
        figures = {"actual": round(consensus + habit.spread * noise[3], habit.decimals)}
    said = replace(said, released_ns=released_ns, knowable_ns=released_ns + 5 * SECOND_NS, **figures)
    yield said
    if has_figures and revised:
        actual = round(figures["actual"] + habit.spread * noise[4] / 2, habit.decimals)
        yield replace(said, actual=actual, knowable_ns=released_ns + 30 * DAY_NS)


def _instant(habit: _Habit, month: int) -> int:
    """When the event of a month (since 1970-01) is due, UTC ns."""
    day = _day(month, habit.week, habit.weekday)
    return day * DAY_NS + habit.minute * MINUTE_NS + (4 if _is_summer(day) else 5) * HOUR_NS


def _day(month: int, week: int, weekday: int) -> int:
    """The day (since 1970-01-01, a Thursday) of a weekday (0 is Monday) in a week of a month."""
    edges = np.array([month, month + 1], "datetime64[M]").astype("datetime64[D]").astype(np.int64)
    first, next_first = int(edges[0]), int(edges[1])
    if week >= 0:
        return first + (weekday - first - 3) % 7 + 7 * week
    return next_first - 1 - (next_first - 1 + 3 - weekday) % 7


def _is_summer(day: int) -> bool:
    """Whether New York keeps summer time on a day, counted from noon."""
    year = int(np.datetime64(day, "D").astype("datetime64[Y]").astype(np.int64))
    return _day(12 * year + 2, 1, 6) <= day < _day(12 * year + 10, 0, 6)
