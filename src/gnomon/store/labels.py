"""Labels of runs: what the last check of each found, and the journal that it looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from sqlalchemy import Engine, select

from gnomon.errors import NotFound
from gnomon.score.label import Label, Standing
from gnomon.store.chain import canonical
from gnomon.store.engine import reading, upsert, writing
from gnomon.store.tables import run_labels, runs


@dataclass(frozen=True, slots=True)
class StoredLabel:
    """What was found of one run. `witnesses` are the stored runs that it was held against; `journal_bytes` and
    `journal_at` (UTC ns) are of the file as it was looked at, 0 where none is kept."""

    run: str
    standing: Standing
    checked_at: int
    journal_bytes: int = 0
    journal_at: int = 0
    witnesses: tuple[str, ...] = ()


class LabelStore:
    """The labels of a database: one row a run that was checked, the newest check in it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep(self, found: StoredLabel) -> None:
        """What the newest check found, in the place of the one before. `NotFound` for a run that is not stored."""
        row = asdict(found)
        row |= {
            **row.pop("standing"),
            "label": str(found.standing.label),
            "witnesses": canonical(list(found.witnesses)),
        }
        with writing(self._engine) as connection:
            if connection.execute(select(runs.c.id).where(runs.c.id == found.run)).first() is None:
                raise NotFound(f"no run {found.run!r}", hint="`gnomon runs` lists them")
            statement = upsert(connection, run_labels).values(**row)
            connection.execute(statement.on_conflict_do_update(index_elements=["run"], set_=row))

    def of(self, names: Sequence[str]) -> dict[str, StoredLabel]:
        """Those of some runs, by run; a run that was never checked has none."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(run_labels).where(run_labels.c.run.in_(names))).all()
        return {row.run: _label(row) for row in rows}


def _label(row: Any) -> StoredLabel:
    standing = Standing(Label(row.label), row.reason, row.equal, row.repeats)
    return StoredLabel(
        row.run, standing, row.checked_at, row.journal_bytes, row.journal_at, tuple(orjson.loads(row.witnesses))
    )
