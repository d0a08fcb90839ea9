"""Slots: what was due, and what came of it. A slot is declared before its forecast and settled once.

Whoever counts only forecasts that exist cannot see those that are missing; slots can.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from sqlalchemy import ColumnElement, Engine, and_, bindparam, func, or_, select, tuple_, update

from gnomon.store.engine import reading, upsert, writing
from gnomon.store.tables import slots

Status = Literal["due", "issued", "late", "missed"]
STATUSES: Final[tuple[Status, ...]] = get_args(Status)
_ROWS_A_STATEMENT: Final = 2_000


@dataclass(frozen=True, slots=True)
class Slot:
    """One forecast that is due, by its key and when it came due."""

    instrument: str
    timeframe: str
    forecaster: str
    cutoff_ns: int
    due_ns: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a slot: issued, late (after its first target had closed) or missed, and why."""

    slot: Slot
    status: Literal["issued", "late", "missed"]
    why: str = ""
    forecast_id: int | None = None


@dataclass(frozen=True, slots=True)
class SlotRow:
    """A slot as it stands."""

    slot: Slot
    status: Status
    why: str
    forecast_id: int | None

    @property
    def position(self) -> tuple[int, str, str, int]:
        """Where it stands in a list of one timeframe."""
        return self.slot.due_ns, self.slot.forecaster, self.slot.instrument, self.slot.cutoff_ns


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many of a forecaster's slots were filled."""

    forecaster: str
    due: int
    issued: int
    late: int
    missed: int

    @property
    def all(self) -> int:
        return self.due + self.issued + self.late + self.missed


class SlotStore:
    """The slots in the database of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def declare(self, due: Iterable[Slot]) -> None:
        """Make slots known as due; one that is there stays as it is."""
        rows = [_key(one) | {"due_at": one.due_ns, "status": "due", "why": ""} for one in due]
        with writing(self._engine) as connection:
            for first in range(0, len(rows), _ROWS_A_STATEMENT):
                part = rows[first : first + _ROWS_A_STATEMENT]
                connection.execute(upsert(connection, slots).on_conflict_do_nothing(), part)

    def settle(self, verdicts: Sequence[Verdict]) -> None:
        """Say what came of slots that are due; one that was settled before stays as it was."""
        if not verdicts:
            return
        rows = [
            {f"of_{name}": value for name, value in _key(one.slot).items()}
            | {"new_status": one.status, "new_why": one.why, "new_id": one.forecast_id}
            for one in verdicts
        ]
        with writing(self._engine) as connection:
            connection.execute(_SETTLE, rows)

    def open(self, *, timeframe: str, forecaster: str, due_ns: int, instruments: Sequence[str] = ()) -> list[Slot]:
        """The slots of one tick that nothing came of yet, of these instruments (or all), by instrument."""
        given: dict[str, Any] = {"timeframe": timeframe, "forecaster": forecaster, "due_ns": due_ns}
        statement = _OPEN
        if instruments:
            statement, given = _OPEN_OF, given | {"instruments": list(instruments)}
        with reading(self._engine) as connection:
            return [_row(row).slot for row in connection.execute(statement, given)]

    def read(
        self,
        *,
        timeframe: str | None = None,
        forecaster: str | None = None,
        instrument: str | None = None,
        status: Status | None = None,
        due_ns: int | None = None,
        first_due_ns: int | None = None,
        last_due_ns: int | None = None,
        after: tuple[int, str, str, int] | None = None,
        limit: int | None = None,
    ) -> list[SlotRow]:
        """Slots that came due in [first, last), newest first; `after` is the `position` of the last one read."""
        wanted = {"timeframe": timeframe, "forecaster": forecaster, "instrument": instrument, "status": status}
        which = [slots.c[name] == value for name, value in wanted.items() if value is not None]
        which += [] if due_ns is None else [slots.c.due_at == due_ns]
        which += [] if first_due_ns is None else [slots.c.due_at >= first_due_ns]
        which += [] if last_due_ns is None else [slots.c.due_at < last_due_ns]
        which += [] if after is None else [_beyond(*after)]
        order = (slots.c.due_at.desc(), *_WITHIN_TICK)
        with reading(self._engine) as connection:
            rows = connection.execute(select(slots).where(*which).order_by(*order).limit(limit))
            return [_row(row) for row in rows]

    def coverage(
        self, timeframe: str, *, first_due_ns: int | None = None, last_due_ns: int | None = None
    ) -> list[Coverage]:
        """Counts by forecaster, of slots that came due in [first, last)."""
        which = [slots.c.timeframe == timeframe]
        which += [] if first_due_ns is None else [slots.c.due_at >= first_due_ns]
        which += [] if last_due_ns is None else [slots.c.due_at < last_due_ns]
        counted = select(slots.c.forecaster, slots.c.status, func.count()).where(*which)
        found: dict[str, dict[str, int]] = {}
        with reading(self._engine) as connection:
            for forecaster, status, count in connection.execute(counted.group_by(slots.c.forecaster, slots.c.status)):
                found.setdefault(forecaster, {"due": 0, "issued": 0, "late": 0, "missed": 0})[status] = count
        return [Coverage(name, **counts) for name, counts in sorted(found.items())]


_WITHIN_TICK: Final = (slots.c.forecaster, slots.c.instrument, slots.c.cutoff)


def _beyond(due_ns: int, forecaster: str, instrument: str, cutoff_ns: int) -> ColumnElement[bool]:
    same_tick = and_(slots.c.due_at == due_ns, tuple_(*_WITHIN_TICK) > (forecaster, instrument, cutoff_ns))
    return or_(slots.c.due_at < due_ns, same_tick)


_NAMES: Final = ("instrument", "timeframe", "forecaster", "cutoff")


_SETTLE: Final = (
    update(slots)
    .where(*(slots.c[name] == bindparam(f"of_{name}") for name in _NAMES), slots.c.status == "due")
    .values(status=bindparam("new_status"), why=bindparam("new_why"), forecast_id=bindparam("new_id"))
)
_OPEN: Final = (
    select(slots)
    .where(
        slots.c.timeframe == bindparam("timeframe"),
        slots.c.forecaster == bindparam("forecaster"),
        slots.c.due_at == bindparam("due_ns"),
        slots.c.status == "due",
    )
    .order_by(slots.c.instrument)
)


_OPEN_OF: Final = _OPEN.where(slots.c.instrument.in_(bindparam("instruments", expanding=True)))


def _key(one: Slot) -> dict[str, Any]:
    return {
        "instrument": one.instrument,
        "timeframe": one.timeframe,
        "forecaster": one.forecaster,
        "cutoff": one.cutoff_ns,
    }


def _row(row: Any) -> SlotRow:
    slot = Slot(row.instrument, row.timeframe, row.forecaster, row.cutoff, row.due_at)
    return SlotRow(slot, row.status, row.why, row.forecast_id)
