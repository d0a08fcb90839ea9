"""From a row of a calendar to what was said about its event, and from when each statement could be known.

| the row says                  | statement                                | knowable from                      |
|-------------------------------|------------------------------------------|------------------------------------|
| a time                        | the schedule, with forecast and previous | `listed_at`; else when it was read |
| an actual, or `released_at`   | the release, with everything             | `released_at`; else when it was read |
| a time that is past, no figure at all (a statement of a bank) | the release | as above              |
| `knowable_at`                 | the row as one statement                 | that                               |

A source may declare more than its rows say: `listed_ahead` (every event, its consensus included, stands in the calendar
so long before its time) and `on_time` (what is past came out at its scheduled time, and was knowable then). Nothing
else moves a statement to before it was read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from gnomon.clock import iso
from gnomon.errors import Invalid
from gnomon.market.events import RATE_CHANGE_BP, CalendarEvent, Impact
from gnomon.sources.calendar.figures import Figure, in_one_unit
from gnomon.sources.calendar.kinds import DECLARED, Classified

_IMPACTS: Final[dict[str, Impact]] = {
    **dict.fromkeys(("high", "3", "red", "high impact expected", "***"), "high"),
    **dict.fromkeys(("medium", "moderate", "med", "2", "orange", "medium impact expected", "**"), "medium"),
    **dict.fromkeys(("low", "1", "0", "none", "yellow", "gray", "grey", "holiday", "non-economic", "*"), "low"),
    "low impact expected": "low",
}
_USUAL_IMPACT: Final[dict[str, Impact]] = {
    **dict.fromkeys(("fomc", "cpi", "nfp", "gdp", "pce", "rate_decision"), "high"),
    "earnings": "medium",
    "other": "low",
}
_PERSONS_AT_LEAST: Final = 30_000
"""An employment figure without a unit counts thousands; more of them than this are persons."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What a source says of all its rows. `listed_ahead_ns`: see the module's table."""

    listed_ahead_ns: int | None = None
    on_time: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a calendar, its cells read. Instants are UTC ns; `own_id` is "" where the source gives none.

    `line` is where it stands, for whoever has to mend it. `country` is a code (`places`), "" where nobody says.
    """

    line: int
    title: str
    classified: Classified
    country: str
    scheduled_ns: int
    own_id: str = ""
    impact: str = ""
    unit: str = ""
    listed_ns: int | None = None
    released_ns: int | None = None
    knowable_ns: int | None = None
    forecast: Figure | None = None
    actual: Figure | None = None
    previous: Figure | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        return self.classified.subject or self.country


def one_line_a_release(rows: Sequence[Row]) -> list[Row]:
    """The rows, with the kind left to one line of each release (the lowest rank; see `kinds`), the first of equals.

    A line that gives way is `other`, and an event of its own: `:other` stands behind its id, so that no event ever
    changes its kind. Lines whose kind was said keep it.
    """
    first: dict[tuple[str, str, int], tuple[int, str]] = {}
    for row in rows:
        if row.classified.kind != "other":
            place = _release_of(row)
            rank = row.classified.rank, identity(row)
            first[place] = min(first.get(place, rank), rank)
    return [row if _keeps_kind(row, first) else _aside(row) for row in rows]


def _release_of(row: Row) -> tuple[str, str, int]:
    return row.classified.kind, row.subject, row.scheduled_ns


def _keeps_kind(row: Row, first: Mapping[tuple[str, str, int], tuple[int, str]]) -> bool:
    if row.classified.kind == "other" or row.classified.rank == DECLARED:
        return True
    return first[_release_of(row)] == (row.classified.rank, identity(row))


def _aside(row: Row) -> Row:
    return replace(row, classified=Classified("other", row.subject), own_id=f"{identity(row)}:other")


def identity(row: Row) -> str:
    """The source's own id, else one of subject, title and date that a revision of the row keeps.

    A calendar has several talks of one title on one day: an event of kind `other` has its time in the id too.
    """
    if row.own_id:
        return row.own_id
    words = re.sub(r"[^a-z0-9]+", "-", row.title.lower()).strip("-")
    at = iso(row.scheduled_ns)[: 16 if row.classified.kind == "other" else 10]
    return f"{row.subject.lower()}-{words}-{at}"


def statements(row: Row, source: str, read_ns: int, declared: Declared) -> list[CalendarEvent]:
    """What the row says, as one statement or two, oldest first. Raises `Invalid` for a row that breaks a rule."""
    (forecast, actual, previous), unit = in_one_unit((row.forecast, row.actual, row.previous), row.unit)
    _refuse_what_cannot_be(row, actual, read_ns)
    _refuse_persons(row.classified.kind, unit, (forecast, actual, previous))
    released_ns = _released_ns(row, read_ns, declared)
    listed_ns = _listed_ns(row, read_ns, declared)
    whole = CalendarEvent(
        id=f"{source}:{identity(row)}",
        source=source,
        kind=row.classified.kind,
        subject=row.subject,
        title=row.title,
        impact=impact_of(row.impact, row.classified.kind),
        scheduled_ns=row.scheduled_ns,
        listed_ns=min(listed_ns, row.knowable_ns or listed_ns),
        knowable_ns=row.knowable_ns or max(read_ns, listed_ns),
        released_ns=released_ns,
        forecast=forecast,
        actual=actual,
        previous=previous,
        unit=unit,
        detail={**row.detail, **_rate_change(row.classified.kind, actual, previous, unit)},
    )
    return [whole] if row.knowable_ns is not None else list(_in_turn(whole, row, read_ns, declared))


def _in_turn(whole: CalendarEvent, row: Row, read_ns: int, declared: Declared) -> Iterator[CalendarEvent]:
    """The listing, unless the release came first; then the release, where there was one."""
    if whole.released_ns is None:
        yield replace(whole, knowable_ns=whole.listed_ns)
        return
    is_declared = row.released_ns is not None or declared.on_time
    release_ns = whole.released_ns if is_declared else max(read_ns, whole.released_ns)
    if whole.listed_ns < whole.released_ns:
        detail = {name: value for name, value in whole.detail.items() if name != RATE_CHANGE_BP}
        yield replace(whole, knowable_ns=whole.listed_ns, released_ns=None, actual=None, detail=detail)
    yield replace(whole, listed_ns=min(whole.listed_ns, release_ns), knowable_ns=release_ns)


def _released_ns(row: Row, read_ns: int, declared: Declared) -> int | None:
    """When the event came out, as far as the row shows that it did; None while it is to come or waits for an actual."""
    if row.released_ns is not None or (row.knowable_ns is not None and row.actual is None):
        return row.released_ns
    has_figures = row.forecast is not None or row.previous is not None
    is_out = row.actual is not None or (row.scheduled_ns <= read_ns and (declared.on_time or not has_figures))
    return row.scheduled_ns if is_out else None


def _listed_ns(row: Row, read_ns: int, declared: Declared) -> int:
    """When the event was first announced: as the row or the source says, and never after it was read."""
    if row.listed_ns is not None:
        return min(row.listed_ns, read_ns)
    if declared.listed_ahead_ns is not None:
        return min(row.scheduled_ns - declared.listed_ahead_ns, read_ns)
    return read_ns


def _refuse_what_cannot_be(row: Row, actual: float | None, read_ns: int) -> None:
    released_ns, knowable_ns, listed_ns = row.released_ns, row.knowable_ns, row.listed_ns
    rules = {
        "released_at lies after the row was read": released_ns is not None and released_ns > read_ns,
        "an actual before the scheduled time, and no released_at": actual is not None
        and released_ns is None
        and row.scheduled_ns > read_ns,
        "knowable_at lies after the row was read": knowable_ns is not None and knowable_ns > read_ns,
        "knowable_at lies before listed_at": knowable_ns is not None
        and listed_ns is not None
        and knowable_ns < listed_ns,
        "knowable_at lies before the release that the row holds": knowable_ns is not None
        and (released_ns or (row.scheduled_ns if actual is not None else knowable_ns)) > knowable_ns,
        "released_at lies before listed_at": released_ns is not None
        and listed_ns is not None
        and released_ns < listed_ns,
        "it says neither a country or currency nor a bank or share": not row.subject,
    }
    for rule, broken in rules.items():
        if broken:
            raise Invalid(f"{row.title}: {rule}", hint="mend the row of the calendar, or leave it out")


def _refuse_persons(kind: str, unit: str, figures: Sequence[float | None]) -> None:
    largest = max((abs(one) for one in figures if one is not None), default=0)
    if kind == "nfp" and unit == "" and largest > _PERSONS_AT_LEAST:
        raise Invalid(
            f"an employment figure of {largest:g} without a unit counts thousands",
            hint="write 187K, or say the unit: persons",
        )


def impact_of(text: str, kind: str) -> Impact:
    """The impact that a calendar says; where it says nothing, what is usual of the kind."""
    word = text.strip().lower()
    if not word:
        return _USUAL_IMPACT[kind]
    if word not in _IMPACTS:
        raise Invalid(f"impact is {text!r}", hint="high, medium or low; or nothing, for what is usual of the kind")
    return _IMPACTS[word]


def _rate_change(kind: str, actual: float | None, previous: float | None, unit: str) -> dict[str, float]:
    if kind not in ("fomc", "rate_decision") or actual is None or previous is None or unit not in ("%", ""):
        return {}
    return {RATE_CHANGE_BP: round((actual - previous) * 100, 6)}
