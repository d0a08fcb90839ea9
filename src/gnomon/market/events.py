"""Calendar events: what was said about each one, and when it could be known.

One `CalendarEvent` is one statement about an event. A later statement with the same id is a revision: a new time, a new
consensus, the release, a corrected figure. `EventBook` holds every statement and answers as of any instant.

| figure      | which statement says it                                                                |
|-------------|----------------------------------------------------------------------------------------|
| schedule    | the newest one knowable then                                                            |
| release     | the first one with `released_ns`                                                        |
| actual      | the first one with an actual: the first print; a revision never replaces it             |
| consensus   | the newest one with a forecast that was knowable before the release, strictly           |
| rate change | the first one with `released_ns` and `rate_change_bp` in its detail, in basis points    |

`Events` are the channels that an encoder makes of a book for the rows of one context.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from gnomon.clock import iso
from gnomon.errors import Invalid
from gnomon.units import INT64_MAX, FloatArray, IntArray

EventKind = Literal["fomc", "cpi", "nfp", "gdp", "pce", "earnings", "rate_decision", "other"]
EVENT_KINDS: Final[tuple[str, ...]] = get_args(EventKind)

Impact = Literal["low", "medium", "high"]
IMPACTS: Final[tuple[str, ...]] = get_args(Impact)

RATE_CHANGE_BP: Final = "rate_change_bp"
"""The key of `CalendarEvent.detail` for the change of a central bank's rate in basis points; 0 for a hold."""

N_CHANNELS: Final = 20

_NAN: Final = math.nan
_PERCENT: Final = ("", "%", "pp", "percent", "point", "points")
_THOUSANDS: Final = ("", "k", "thousand", "thousands")
_UNITS: Final[dict[str, dict[str, float]]] = {
    "cpi": dict.fromkeys(_PERCENT, 1.0),  # percentage points
    "nfp": dict.fromkeys(_THOUSANDS, 1.0) | dict.fromkeys(("persons", "people", "jobs"), 1e-3) | {"m": 1e3},
}
"""What a figure of a kind is multiplied by, by its unit: CPI counts points, NFP thousands of jobs."""


@dataclass(frozen=True, slots=True)
class CalendarEvent:
    """One statement about an event, knowable at `knowable_ns`. Instants are UTC ns.

    `id` is `source:` and the source's own id; one real event has one id. `subject` is a central bank (FED ECB BOE …), a
    share (AAPL) or a country code (US), in capitals. `listed_ns` is when the event was first announced; where nobody
    knows, the first statement's `knowable_ns`. `forecast` is the consensus. Figures are in `unit`: CPI in percentage
    points ("%" or none), NFP in thousands of jobs ("K" or none) or in "persons"; a figure in another unit is kept but
    has no surprise. Two statements are needed for a surprise: one knowable before the release with the forecast, and
    the release with the actual. Raises `Invalid` for what breaks a rule.
    """

    id: str
    source: str
    kind: EventKind
    subject: str
    title: str
    impact: Impact
    scheduled_ns: int
    listed_ns: int
    knowable_ns: int
    released_ns: int | None = None
    forecast: float | None = None
    actual: float | None = None
    previous: float | None = None
    unit: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        figures = (self.forecast, self.actual, self.previous, self.detail.get(RATE_CHANGE_BP))
        rules = {
            f"kind is {self.kind!r}; one of {', '.join(EVENT_KINDS)}": self.kind in EVENT_KINDS,
            f"impact is {self.impact!r}; one of {', '.join(IMPACTS)}": self.impact in IMPACTS,
            "an id is its source, a colon and the source's own id": self.id.startswith(f"{self.source}:")
            and len(self.source) > 0,
            f"subject is {self.subject!r}; a bank, a share or a country, in capitals": self.subject != ""
            and self.subject == self.subject.upper(),
            f"subject is {self.subject!r}; an FOMC statement is of the FED": self.kind != "fomc"
            or self.subject == "FED",
            "a figure is not a finite number": all(_is_number(figure) for figure in figures if figure is not None),
            "a statement is not knowable before its event is listed": self.knowable_ns >= self.listed_ns,
            "a release is not knowable before it happens": self.released_ns is None
            or self.knowable_ns >= self.released_ns,
            "an actual needs released_ns": self.actual is None or self.released_ns is not None,
        }
        for rule, holds in rules.items():
            if not holds:
                raise Invalid(
                    f"event {self.id!r} ({self.title}): {rule}",
                    hint="mend the row of the calendar, or leave it out",
                    detail={"id": self.id, "rule": rule},
                )


def _is_number(figure: Any) -> bool:
    return isinstance(figure, int | float) and not isinstance(figure, bool) and math.isfinite(figure)


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """The channels of an encoder for T past rows, or for those and H future rows. Treat the arrays as read-only.

    `values` (n, 20) float32, finite. `mask` (n, 20) uint8: 1 where the value is present, 0 where it is masked; the
    value of a masked cell is 0. Raises `Invalid` for anything else.
    """

    values: npt.NDArray[np.float32]  # (n, 20)
    mask: npt.NDArray[np.uint8]  # (n, 20)
    encoder: str

    def __post_init__(self) -> None:
        values, mask = self.values, self.mask
        if values.ndim != 2 or values.shape[1] != N_CHANNELS or mask.shape != values.shape:
            raise Invalid(
                f"events of shape {values.shape} with a mask of {mask.shape}",
                hint=f"both are (rows, {N_CHANNELS})",
            )
        if values.dtype != np.float32 or mask.dtype != np.uint8:
            raise Invalid(f"events of {values.dtype} with a mask of {mask.dtype}", hint="float32 and uint8")
        if not np.isfinite(values).all():
            raise Invalid("events with a value that is not finite", hint="mask the cell: value 0, mask 0")
        if (mask > 1).any() or values[mask == 0].any():
            raise Invalid("events with a masked cell that is not 0", hint="mask is 1 for present and 0 for masked")

    def __len__(self) -> int:
        return len(self.values)


# --- the book -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Releases:
    """Releases of some kinds, by the instant from which a closed bar can show them.

    `arrival_ns` is the first close that lies behind the release and knows of it. All arrays have one entry a release;
    a NaN stands for a figure that is not there. Surprises are actual minus consensus, in points (CPI) or thousands of
    jobs (NFP).
    """

    arrival_ns: IntArray
    released_ns: IntArray
    surprise: FloatArray
    surprise_known_ns: IntArray  # INT64_MAX where there is none
    rate_change_bp: FloatArray
    rate_known_ns: IntArray  # INT64_MAX where there is none

    def __len__(self) -> int:
        return len(self.arrival_ns)


class Schedule:
    """What was said about the times of some kinds, by time. A statement is in effect in [from_ns, until_ns)."""

    def __init__(self, scheduled_ns: IntArray, from_ns: IntArray, until_ns: IntArray) -> None:
        self.scheduled_ns, self.from_ns, self.until_ns = scheduled_ns, from_ns, until_ns
        # _earliest[k][i] is the least `from_ns` of the 2^k statements from i on: to skip many unknown ones at once
        self._earliest = [np.append(from_ns, INT64_MAX)]
        for k in range(len(from_ns).bit_length() - 1):
            least = self._earliest[-1]
            self._earliest.append(np.minimum(least, np.append(least[1 << k :], np.full(1 << k, INT64_MAX))))

    def __len__(self) -> int:
        return len(self.scheduled_ns)

    def in_effect(self, index: IntArray, as_of_ns: IntArray | int) -> npt.NDArray[np.bool_]:
        """Which of the statements were in effect at the instants."""
        known: npt.NDArray[np.bool_] = (self.from_ns[index] <= as_of_ns) & (as_of_ns < self.until_ns[index])
        return known

    def next(self, at_ns: IntArray, as_of_ns: IntArray) -> IntArray:
        """Index of the first statement for `at_ns` or later that is in effect at `as_of_ns`; the length if none is."""
        index = np.searchsorted(self.scheduled_ns, at_ns)
        rows = np.arange(len(index))
        while len(rows):
            index[rows] = self._first_known(index[rows], as_of_ns[rows])
            rows = rows[index[rows] < len(self)]
            rows = rows[self.until_ns[index[rows]] <= as_of_ns[rows]]  # revised since: look behind it
            index[rows] += 1
        return index

    def count(self, first_ns: IntArray, last_ns: IntArray, as_of_ns: IntArray) -> IntArray:
        """How many statements for [first_ns, last_ns) are in effect at `as_of_ns`."""
        first, last = (np.searchsorted(self.scheduled_ns, at_ns) for at_ns in (first_ns, last_ns))
        spans = last - first
        row = np.repeat(np.arange(len(spans)), spans)
        index = np.arange(len(row)) + np.repeat(first - (np.cumsum(spans) - spans), spans)
        return np.bincount(row[self.in_effect(index, as_of_ns[row])], minlength=len(spans))

    def _first_known(self, index: IntArray, as_of_ns: IntArray) -> IntArray:
        for k in reversed(range(len(self._earliest))):
            unknown = self._earliest[k][index] > as_of_ns
            index = np.minimum(index + (unknown.astype(np.int64) << k), len(self))
        return index


Kinds = tuple[tuple[str, str], ...]
"""Pairs of a kind and a subject."""


class EventBook:
    """Every statement about every event, ready to be asked as of any instant. Never changed once made.

    The same statement twice counts once. Raises `Invalid` when two differ in what they say at one instant about one
    event, and when an event changes its kind or subject.
    """

    def __init__(self, statements: Iterable[CalendarEvent]) -> None:
        self._by_id = [_history(group) for _, group in groupby(sorted(statements, key=_order), key=lambda one: one.id)]
        self.statements: tuple[CalendarEvent, ...] = tuple(one for history in self._by_id for one in history)
        self._from_ns = np.array([one.knowable_ns for one in self.statements], np.int64)
        ends = (end for history in self._by_id for end in (*(one.knowable_ns for one in history[1:]), INT64_MAX))
        self._until_ns = np.fromiter(ends, np.int64, len(self.statements))
        self._by_kind: dict[tuple[str, str], list[list[CalendarEvent]]] = {}
        for history in self._by_id:
            self._by_kind.setdefault((history[0].kind, history[0].subject), []).append(history)
        self._releases: dict[Kinds, Releases] = {}
        self._schedules: dict[tuple[Kinds, bool], Schedule] = {}

    def __len__(self) -> int:
        """The number of events, not of statements."""
        return len(self._by_id)

    def __iter__(self) -> Iterator[CalendarEvent]:
        return iter(self.statements)

    def kinds(self) -> Kinds:
        """The pairs of kind and subject that occur, sorted."""
        return tuple(sorted(self._by_kind))

    def as_of(self, as_of_ns: int) -> list[CalendarEvent]:
        """The newest statement about each event that was knowable at the instant, by scheduled time and id."""
        known = np.flatnonzero((self._from_ns <= as_of_ns) & (as_of_ns < self._until_ns))
        return sorted((self.statements[i] for i in known), key=lambda one: (one.scheduled_ns, one.id))

    def releases(self, kinds: Kinds) -> Releases:
        """The releases of these kinds and subjects; prepared once."""
        if kinds not in self._releases:
            self._releases[kinds] = _releases(self._of(kinds))
        return self._releases[kinds]

    def schedule(self, kinds: Kinds, *, high_impact: bool = False) -> Schedule:
        """What was said about the times of these kinds, or of their high-impact events alone; prepared once."""
        key = kinds, high_impact
        if key not in self._schedules:
            self._schedules[key] = _schedule(self._of(kinds), high_impact)
        return self._schedules[key]

    def _of(self, kinds: Kinds) -> list[list[CalendarEvent]]:
        return [history for pair in dict.fromkeys(kinds) for history in self._by_kind.get(pair, ())]


def _order(one: CalendarEvent) -> tuple[str, int]:
    return one.id, one.knowable_ns


def _history(statements: Iterable[CalendarEvent]) -> list[CalendarEvent]:
    """The statements about one event, oldest first, each once."""
    history: list[CalendarEvent] = []
    for one in statements:
        if history and (one.kind, one.subject) != (history[0].kind, history[0].subject):
            raise Invalid(
                f"event {one.id} is {history[0].kind} of {history[0].subject}, then {one.kind} of {one.subject}",
                hint="give what is another event an id of its own",
                detail={"id": one.id},
            )
        if history and one.knowable_ns == history[-1].knowable_ns:
            if one != history[-1]:
                raise Invalid(
                    f"two statements about event {one.id} at {iso(one.knowable_ns)} differ",
                    hint="a revision is knowable later than what it revises",
                    detail={"id": one.id},
                )
            continue
        history.append(one)
    return history


def _releases(histories: Sequence[Sequence[CalendarEvent]]) -> Releases:
    rows = sorted((row for row in map(_release, histories) if row is not None), key=lambda row: row[:3])
    whole = np.array([row[:2] for row in rows], np.int64).reshape(-1, 2)
    known = np.array([(row[4], row[6]) for row in rows], np.int64).reshape(-1, 2)
    figures = np.array([(row[3], row[5]) for row in rows], np.float64).reshape(-1, 2)
    columns = (*whole.T, figures[:, 0], known[:, 0], figures[:, 1], known[:, 1])
    return Releases(*(np.ascontiguousarray(column) for column in columns))


def _release(history: Sequence[CalendarEvent]) -> tuple[int, int, str, float, int, float, int] | None:
    """Arrival, release, id, surprise and when it was known, rate change and when it was known."""
    first = next((one for one in history if one.released_ns is not None), None)
    if first is None or first.released_ns is None:
        return None
    printed = next((one for one in history if one.actual is not None), None)
    changed = next((one for one in history if one.released_ns is not None and RATE_CHANGE_BP in one.detail), None)
    surprise = _surprise(history, printed, first.released_ns)
    return (
        max(first.released_ns + 1, first.knowable_ns),
        first.released_ns,
        first.id,
        surprise,
        printed.knowable_ns if printed is not None and not math.isnan(surprise) else INT64_MAX,
        float(changed.detail[RATE_CHANGE_BP]) if changed is not None else _NAN,
        changed.knowable_ns if changed is not None else INT64_MAX,
    )


def _surprise(history: Sequence[CalendarEvent], printed: CalendarEvent | None, released_ns: int) -> float:
    """First print minus consensus in the unit of the kind; NaN where one of them is not there."""
    before = [one for one in history if one.forecast is not None and one.knowable_ns < released_ns]
    if printed is None or not before:
        return _NAN
    return _figure(printed, printed.actual) - _figure(before[-1], before[-1].forecast)


def _figure(statement: CalendarEvent, value: float | None) -> float:
    factor = _UNITS.get(statement.kind, {}).get(statement.unit.strip().lower(), _NAN)
    return _NAN if value is None else value * factor


def _schedule(histories: Sequence[Sequence[CalendarEvent]], high_impact: bool) -> Schedule:
    spans: list[tuple[int, int, int]] = []
    for history in histories:
        runs = [
            (timing, next(run).knowable_ns)
            for timing, run in groupby(history, key=lambda one: (one.scheduled_ns, one.impact == "high"))
        ]
        ends = [*(from_ns for _, from_ns in runs[1:]), INT64_MAX]
        spans += [
            (scheduled_ns, from_ns, until_ns)
            for ((scheduled_ns, is_high), from_ns), until_ns in zip(runs, ends, strict=True)
            if is_high or not high_impact
        ]
    columns = np.array(sorted(spans), np.int64).reshape(-1, 3)
    return Schedule(*(np.ascontiguousarray(column) for column in columns.T))
