"""Runs that are over: one row each, written once, found by id, by its beginning, or by fingerprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import orjson
from sqlalchemy import Engine, Select, insert, or_, select

from gnomon.errors import Conflict, Invalid, NotFound
from gnomon.store.chain import canonical
from gnomon.store.engine import reading, writing
from gnomon.store.tables import runs, session_runs
from gnomon.store.workspaces import WORKSPACE, starts_within

_JSON: Final = ("params", "digests", "counts", "summary")


@dataclass(frozen=True, slots=True)
class StoredRun:
    """One run. `digests`, `counts` and `summary` are JSON-ready; `sweep` is empty for a run on its own."""

    id: str
    session: str
    entry: str
    sweep: str
    trader: str
    params: Mapping[str, Any]
    seed: int
    dataset: str
    spec: str
    status: str
    reason: str
    digests: Mapping[str, str]
    engine: int
    counts: Mapping[str, int]
    summary: Mapping[str, Any]
    journal: str
    created_at: int

    @property
    def fingerprint(self) -> str:
        return self.digests["fingerprint"]

    @property
    def parent(self) -> str:
        """Fingerprint of the run that it branched from; empty for one that began at its session's start."""
        return self.digests.get("parent", "")

    def row(self) -> dict[str, Any]:
        """JSON-ready, without the text of the session."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "spec"}


class RunStore:
    """The runs of a database, but for those of sessions of another workspace."""

    def __init__(self, engine: Engine, workspace: str = WORKSPACE) -> None:
        self._engine, self._workspace = engine, workspace

    def keep(self, found: Sequence[StoredRun]) -> None:
        """Write runs, all or none. `Conflict` where an id is taken."""
        rows = []
        for one in found:
            row = {field.name: getattr(one, field.name) for field in fields(one)}
            row |= {name: canonical(row[name]) for name in _JSON}
            rows.append({**row, "seed": str(one.seed), "fingerprint": one.fingerprint})
        if not rows:
            return
        with writing(self._engine) as connection:
            taken = (
                connection.execute(select(runs.c.id).where(runs.c.id.in_([row["id"] for row in rows])))
                .scalars()
                .first()
            )
            if taken is not None:
                raise Conflict(f"run {taken} is stored already", hint="a run is written once; run it again for another")
            connection.execute(insert(runs), rows)

    def find(self, name: str) -> StoredRun:
        """The run of an id or the beginning of one, or of a fingerprint's beginning (the newest of several equal runs).

        `NotFound` where there is none, `Invalid` where the beginning fits several different runs.
        """
        if len(name) < 4:
            raise Invalid(f"{name!r} is too short for a run", hint="at least four characters of its id or fingerprint")
        wanted = self._select().where(
            or_(runs.c.id.startswith(name, autoescape=True), runs.c.fingerprint.startswith(name, autoescape=True))
        )
        with reading(self._engine) as connection:
            rows = connection.execute(wanted.order_by(runs.c.created_at.desc(), runs.c.id)).all()
        if not rows:
            raise NotFound(f"no run {name!r}", hint="`gnomon runs` lists them")
        found = [_run(row) for row in rows]
        if len(found) > 1 and found[0].id != name and len({one.fingerprint for one in found}) > 1:
            known = ", ".join(one.id for one in found[:5])
            raise Invalid(f"{name!r} is the beginning of {len(found)} runs", hint=f"write more of it: {known}")
        return found[0]

    def of(self, names: Sequence[str]) -> dict[str, StoredRun]:
        """Those of these ids that are stored, by id."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(runs).where(runs.c.id.in_(names))).all()
        return {row.id: _run(row) for row in rows}

    def list(self, *, session: str = "", sweep: str = "", limit: int = 50) -> list[StoredRun]:
        """The newest first."""
        wanted = self._select()
        if session:
            wanted = wanted.where(runs.c.session == session)
        if sweep:
            wanted = wanted.where(runs.c.sweep == sweep)
        with reading(self._engine) as connection:
            rows = connection.execute(wanted.order_by(runs.c.created_at.desc(), runs.c.id).limit(limit)).all()
        return [_run(row) for row in rows]

    def _select(self) -> Select[Any]:
        """Runs that no session on the wire has made, and those whose session is ours."""
        started = select(session_runs.c.run)
        mine = starts_within(started, self._workspace)
        return select(runs).where(or_(runs.c.id.not_in(started), runs.c.id.in_(mine)))


def _run(row: Any) -> StoredRun:
    values = {field.name: getattr(row, field.name) for field in fields(StoredRun)}
    return StoredRun(**{**values, **{name: orjson.loads(values[name]) for name in _JSON}, "seed": int(row.seed)})
