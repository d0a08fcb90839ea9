"""Schedules as rows: declared by defaults, edited by hand, and how far each has fired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Engine, Row, delete, select, update

from gnomon.errors import NotFound, nearest
from gnomon.store.chain import canonical
from gnomon.store.engine import reading, upsert, writing
from gnomon.store.tables import schedules


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """`fired_until_ns`: ticks at or before it have been enqueued, or were never to be."""

    name: str
    document: Mapping[str, Any]
    is_edited: bool
    fired_until_ns: int
    updated_ns: int


class ScheduleStore:
    """The schedules in the database of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def declare(self, name: str, document: Mapping[str, Any], now_ns: int) -> None:
        """A default: inserted, or replacing an older default; a row that was edited by hand stays as it is."""
        row = {"name": name, "document": canonical(document), "edited": 0, "fired_until": now_ns, "updated_at": now_ns}
        with writing(self._engine) as connection:
            new = upsert(connection, schedules).values(**row)
            connection.execute(
                new.on_conflict_do_update(
                    index_elements=["name"],
                    set_={"document": new.excluded.document, "updated_at": new.excluded.updated_at},
                    where=(schedules.c.edited == 0) & (schedules.c.document != new.excluded.document),
                )
            )

    def put(self, name: str, document: Mapping[str, Any], now_ns: int) -> None:
        """By hand: inserted or replaced; a new one fires from now on."""
        row = {"name": name, "document": canonical(document), "edited": 1, "fired_until": now_ns, "updated_at": now_ns}
        with writing(self._engine) as connection:
            new = upsert(connection, schedules).values(**row)
            connection.execute(
                new.on_conflict_do_update(
                    index_elements=["name"],
                    set_={"document": new.excluded.document, "edited": 1, "updated_at": new.excluded.updated_at},
                )
            )

    def remove(self, name: str) -> None:
        with writing(self._engine) as connection:
            connection.execute(delete(schedules).where(schedules.c.name == name))

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
        hint = f"did you mean {', '.join(close)}?" if close else "`gnomon schedules list` shows them"
        raise NotFound(f"no schedule {name!r}", hint=hint, detail={"nearest": close})

    def all(self) -> list[ScheduleRow]:
        """Every schedule, by name."""
        with reading(self._engine) as connection:
            return [_row(row) for row in connection.execute(select(schedules).order_by(schedules.c.name))]


def _row(row: Row[Any]) -> ScheduleRow:
    return ScheduleRow(row.name, orjson.loads(row.document), bool(row.edited), row.fired_until, row.updated_at)
