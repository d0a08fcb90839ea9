"""What jobs leave in our own database: the outcomes of their transactions, and their progress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, delete, insert, select

from gnomon.store.chain import canonical
from gnomon.store.engine import reading, upsert, writing
from gnomon.store.tables import job_notes, job_transactions


def outcome_of(connection: Connection, job_id: str, step: str) -> tuple[bool, Any]:
    """Whether a transaction of a job has happened, and what it answered."""
    wanted = select(job_transactions.c.output).filter_by(job_id=job_id, step=step)
    found = connection.execute(wanted).scalar_one_or_none()
    return (False, None) if found is None else (True, orjson.loads(found))


def keep_outcome(connection: Connection, job_id: str, step: str, output: Any, now_ns: int) -> None:
    """Write, with the rows of a transaction, that it happened."""
    row = {"job_id": job_id, "step": step, "output": canonical(output), "at": now_ns}
    connection.execute(insert(job_transactions).values(**row))


class JobNotes:
    """Progress of jobs in the database of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def write(self, job_id: str, number: int, document: dict[str, Any], now_ns: int) -> None:
        """Keep a note under its number; one that is there stays."""
        row = {"job_id": job_id, "number": number, "at": now_ns, "kind": "progress", "document": canonical(document)}
        with writing(self._engine) as connection:
            connection.execute(upsert(connection, job_notes).values(**row).on_conflict_do_nothing())

    def read(self, job_id: str, *, after: int = 0) -> list[tuple[int, int, dict[str, Any]]]:
        """Number, instant and document of each note beyond a number, in order."""
        wanted = select(job_notes).where(job_notes.c.job_id == job_id, job_notes.c.number > after)
        with reading(self._engine) as connection:
            rows = connection.execute(wanted.order_by(job_notes.c.number)).all()
        return [(row.number, row.at, orjson.loads(row.document)) for row in rows]

    def ask_to_stop(self, job_id: str, now_ns: int) -> None:
        """Ask a running job to stop at its next step boundary."""
        row = {"job_id": job_id, "number": 0, "at": now_ns, "kind": "stop", "document": "{}"}
        with writing(self._engine) as connection:
            connection.execute(upsert(connection, job_notes).values(**row).on_conflict_do_nothing())

    def is_asked_to_stop(self, job_id: str) -> bool:
        wanted = select(job_notes.c.job_id).where(job_notes.c.job_id == job_id, job_notes.c.number == 0)
        with reading(self._engine) as connection:
            return connection.execute(wanted).one_or_none() is not None

    def let_go_on(self, job_id: str) -> None:
        """Take the request back, before a stopped job is resumed."""
        with writing(self._engine) as connection:
            connection.execute(delete(job_notes).where(job_notes.c.job_id == job_id, job_notes.c.number == 0))

    def newest(self, job_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The last note of each job that has one."""
        mine = (job_notes.c.job_id.in_(job_ids), job_notes.c.number > 0)
        wanted = select(job_notes.c.job_id, job_notes.c.document).where(*mine)
        with reading(self._engine) as connection:
            rows = connection.execute(wanted.order_by(job_notes.c.job_id, job_notes.c.number)).all()
        return {job_id: orjson.loads(document) for job_id, document in rows}

    def forget(self, job_ids: Sequence[str]) -> None:
        """Remove all that the jobs left."""
        with writing(self._engine) as connection:
            for table in (job_notes, job_transactions):
                connection.execute(delete(table).where(table.c.job_id.in_(job_ids)))
