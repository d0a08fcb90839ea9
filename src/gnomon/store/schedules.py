"""Schedules as rows: declared by defaults, edited by hand, and how far each has fired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Engine, Row, select, update

from gnomon.errors import NotFound, nearest
from gnomon.store.chain import canonical
from gnomon.store.engine import reading, upsert, writing
from gnomon.store.tables import schedules

DUE_FIELDS: Final = ("cron", "timezone", "enabled")
"""The fields of a schedule's document that say when it is due."""


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """`fired_until_ns`: ticks at or before it have been enqueued, or were never to be."""

    name: str
    document: Mapping[str, Any]
    is_edited: bool
    fired_until_ns: int
    updated_ns: int


class ScheduleStore:
    """The schedules in the database of an engine.

    A new schedule fires from now on. So does one whose change touches a field of `DUE_FIELDS`: what would have been due
    by the new rule before it was made is not made up.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def declare(self, documents: Mapping[str, Mapping[str, Any]], now_ns: int) -> None:
        """Defaults by name: inserted, or replacing an older default. A row that was edited by hand stays as it is.

        An edited row that has become equal to its default follows the defaults again.
        """
        with writing(self._engine) as connection:
            for name, document in documents.items():
                found = _locked(connection, name)
                if found is None or not found.edited or found.document == canonical(document):
                    _write(connection, found, name, document, now_ns, edited=0)

    def put(self, name: str, document: Mapping[str, Any], now_ns: int) -> None:
        """By hand: inserted or replaced; defaults leave it alone from now on."""
        with writing(self._engine) as connection:
            _write(connection, _locked(connection, name), name, document, now_ns, edited=1)

    def advance(self, name: str, fired_until_ns: int) -> None:
        """Ticks up to here are done with; never back."""
        later = (schedules.c.name == name) & (schedules.c.fired_until < fired_until_ns)
        with writing(self._engine) as connection:
            connection.execute(update(schedules).where(later).values(fired_until=fired_until_ns))

    def get(self, name: str) -> ScheduleRow:
        """The row of a name; `NotFound` offers the nearest."""
        found = {one.name: one for one in self.all()}
        if name in found:
            return found[name]
        close = nearest(name, found)
        hint = f"did you mean {', '.join(close)}?" if close else "`gnomon schedules list` lists them"
        raise NotFound(f"no schedule {name!r}", hint=hint, detail={"nearest": close})

    def all(self) -> list[ScheduleRow]:
        """Every schedule, by name."""
        with reading(self._engine) as connection:
            return [_row(row) for row in connection.execute(select(schedules).order_by(schedules.c.name))]


def _locked(connection: Connection, name: str) -> Row[Any] | None:
    return connection.execute(select(schedules).where(schedules.c.name == name).with_for_update()).one_or_none()


def _write(
    connection: Connection, found: Row[Any] | None, name: str, document: Mapping[str, Any], now_ns: int, *, edited: int
) -> None:
    text = canonical(document)
    if found is None:
        row = {"name": name, "document": text, "edited": edited, "fired_until": now_ns, "updated_at": now_ns}
        new = upsert(connection, schedules).values(**row).on_conflict_do_nothing().returning(schedules.c.name)
        if connection.execute(new).first() is not None:
            return
        found = _locked(connection, name)  # another's insert came first
        assert found is not None
    if (found.document, found.edited) == (text, edited):
        return
    before, after = orjson.loads(found.document), orjson.loads(text)
    values = {"document": text, "edited": edited, "updated_at": now_ns}
    if any(before.get(one) != after.get(one) for one in DUE_FIELDS):
        values["fired_until"] = max(now_ns, found.fired_until)
    connection.execute(update(schedules).where(schedules.c.name == name).values(**values))


def _row(row: Row[Any]) -> ScheduleRow:
    return ScheduleRow(row.name, orjson.loads(row.document), bool(row.edited), row.fired_until, row.updated_at)
