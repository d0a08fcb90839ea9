"""The economic calendar: every statement about an event as it was said, and what surprises were divided by.

Both tables only grow. A revision is a new statement with its own `knowable_at`; one that contradicts what was already
said at that instant is a `Conflict`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
from sqlalchemy import Connection, Engine, Row, select

from gnomon.clock import iso
from gnomon.errors import Conflict
from gnomon.forecast.events import SURPRISE_FLOORS, SurpriseStats, surprise_stats
from gnomon.market.events import CalendarEvent, EventBook
from gnomon.store.chain import canonical
from gnomon.store.engine import reading, upsert, writing
from gnomon.store.tables import calendar_events, event_surprise_stats

_PLAIN: Final = ("id", "source", "kind", "subject", "title", "impact", "forecast", "actual", "previous", "unit")
_INSTANTS: Final = {"knowable_at": "knowable_ns", "scheduled_at": "scheduled_ns", "listed_at": "listed_ns"}
_IDS_PER_QUERY: Final = 500


@dataclass(frozen=True, slots=True)
class RecordedStats:
    """What `record_surprise_stats` changed. `differing` are (kind, instant) whose stored row says something else.

    They occur when history was imported behind releases that were recorded before it: the stored row stays.
    """

    added: int
    known: int
    differing: tuple[tuple[str, int], ...] = ()


class EventStore:
    """Statements about events in the database of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(self, events: Iterable[CalendarEvent]) -> tuple[int, int]:
        """Store what is new: how many statements were added, and how many were known. One transaction.

        Raises `Conflict`, and stores nothing, when a statement differs from the stored one of the same id and
        `knowable_ns`, or gives an event another kind or subject.
        """
        given = list(events)
        if not given:
            return 0, 0
        with writing(self._engine) as connection:
            statement = upsert(connection, calendar_events).on_conflict_do_nothing().returning(calendar_events.c.id)
            added = len(connection.execute(statement, [_row(one) for one in given]).all())
            _require_agreement(connection, given)
        return added, len(given) - added

    def book(self, first_ns: int | None = None, last_ns: int | None = None) -> EventBook:
        """Everything said about the events that were at any time scheduled in [first_ns, last_ns); None is unbounded.

        A surprise is divided by the 20 before it: let the book begin two years before the first row that is encoded.
        """
        which = []
        if first_ns is not None:
            which.append(calendar_events.c.scheduled_at >= first_ns)
        if last_ns is not None:
            which.append(calendar_events.c.scheduled_at < last_ns)
        wanted = select(calendar_events)
        if which:
            wanted = wanted.where(calendar_events.c.id.in_(select(calendar_events.c.id).where(*which)))
        with reading(self._engine) as connection:
            return EventBook(map(_statement, connection.execute(wanted)))

    def record_surprise_stats(self, book: EventBook) -> RecordedStats:
        """Store what the encoder divides the surprises of a book by, where no row of the same key is there yet."""
        added, known, differing = 0, 0, []
        with writing(self._engine) as connection:
            for kind in SURPRISE_FLOORS:
                found = surprise_stats(book, kind)
                before = {at: (std, n) for at, std, n in _stats(connection, kind)}
                rows = list(zip(found.as_of_ns.tolist(), found.std.tolist(), found.n.tolist(), strict=True))
                fresh = [row for row in rows if row[0] not in before]
                added, known = added + len(fresh), known + len(rows) - len(fresh)
                differing += [(kind, at) for at, std, n in rows if before.get(at, (std, n)) != (std, n)]
                if fresh:
                    statement = upsert(connection, event_surprise_stats).on_conflict_do_nothing()
                    names = ("event_type", "as_of", "std", "n")
                    connection.execute(statement, [dict(zip(names, (kind, *row), strict=True)) for row in fresh])
        return RecordedStats(added, known, tuple(differing))

    def surprise_stats(self, kind: str) -> SurpriseStats:
        """The recorded deviations of a kind, by the instant of the release."""
        with reading(self._engine) as connection:
            rows = _stats(connection, kind)
        as_of, std, n = zip(*rows, strict=True) if rows else ((), (), ())
        return SurpriseStats(np.array(as_of, np.int64), np.array(std, np.float64), np.array(n, np.int64))


def _stats(connection: Connection, kind: str) -> list[tuple[int, float, int]]:
    table = event_surprise_stats.c
    wanted = select(table.as_of, table.std, table.n).where(table.event_type == kind).order_by(table.as_of)
    return [(row.as_of, row.std, row.n) for row in connection.execute(wanted)]


def _require_agreement(connection: Connection, given: Sequence[CalendarEvent]) -> None:
    stored: dict[tuple[str, int], CalendarEvent] = {}
    traits: dict[str, tuple[str, str]] = {}
    for one in _said(connection, sorted({one.id for one in given})):
        stored[one.id, one.knowable_ns] = one
        said = traits.setdefault(one.id, (one.kind, one.subject))
        if said != (one.kind, one.subject):
            raise Conflict(
                f"event {one.id} is {said[0]} of {said[1]} and {one.kind} of {one.subject}",
                hint="give what is another event an id of its own",
                detail={"id": one.id},
            )
    for one in given:
        if stored[one.id, one.knowable_ns] != one:
            raise Conflict(
                f"event {one.id}: another statement of {iso(one.knowable_ns)} is stored",
                hint="a revision is knowable later than what it revises",
                detail={"id": one.id, "knowable_at": iso(one.knowable_ns)},
            )


def _said(connection: Connection, ids: Sequence[str]) -> Iterator[CalendarEvent]:
    for first in range(0, len(ids), _IDS_PER_QUERY):
        which = calendar_events.c.id.in_(ids[first : first + _IDS_PER_QUERY])
        wanted = select(calendar_events).where(which).order_by(calendar_events.c.id, calendar_events.c.knowable_at)
        yield from map(_statement, connection.execute(wanted))


def _row(one: CalendarEvent) -> Mapping[str, Any]:
    return {
        **{name: getattr(one, name) for name in _PLAIN},
        **{column: int(getattr(one, name)) for column, name in _INSTANTS.items()},
        "released_at": None if one.released_ns is None else int(one.released_ns),
        "detail": canonical(one.detail),
    }


def _statement(row: Row[Any]) -> CalendarEvent:
    return CalendarEvent(
        **{name: getattr(row, name) for name in _PLAIN},
        **{name: getattr(row, column) for column, name in _INSTANTS.items()},
        released_ns=row.released_at,
        detail=orjson.loads(row.detail),
    )
