"""Snapshots of the board: what it said on a day, kept once.

A snapshot is identified by its instant and its filter. `hash` covers both, the rows, and the head of the ledger that
they were computed from; recomputed from the same ledger it is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Engine, Row, select, tuple_

from gnomon.store.chain import canonical, genesis
from gnomon.store.engine import reading, upsert, writing
from gnomon.store.entry import Lane
from gnomon.store.tables import boards, forecasts


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The rows of a board as of an instant. `filter` and `rows` are JSON-ready."""

    as_of_ns: int
    filter: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    ledger_head: str

    @property
    def filter_hash(self) -> str:
        return filter_hash(self.filter)

    @property
    def hash(self) -> str:
        """BLAKE2b-256 over the canonical JSON of all of it."""
        parts = {"as_of": self.as_of_ns, "filter": self.filter, "rows": self.rows, "ledger_head": self.ledger_head}
        return _digest(parts)


def filter_hash(asked: Mapping[str, Any]) -> str:
    """BLAKE2b-256 of a filter's canonical JSON."""
    return _digest(asked)


class BoardStore:
    """The snapshots in the database of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def insert(self, taken: Snapshot) -> bool:
        """Keep a snapshot; False when there is one of that instant and filter, which stays as it is."""
        row = {
            "as_of": taken.as_of_ns,
            "filter_hash": taken.filter_hash,
            "filter": canonical(taken.filter),
            "rows": canonical(taken.rows),
            "ledger_head": taken.ledger_head,
            "hash": taken.hash,
        }
        with writing(self._engine) as connection:
            new = upsert(connection, boards).values(**row).on_conflict_do_nothing().returning(boards.c.as_of)
            return connection.execute(new).one_or_none() is not None

    def read(
        self,
        asked: Mapping[str, Any] | None = None,
        *,
        first_ns: int | None = None,
        last_ns: int | None = None,
        before: tuple[int, str] | None = None,
        limit: int = 100,
    ) -> list[Snapshot]:
        """The snapshots of a filter (None: of any) taken in [first, last), newest first.

        `before` is (as_of_ns, filter hash) of the last one that was read.
        """
        which = [] if asked is None else [boards.c.filter_hash == filter_hash(asked)]
        which += [] if first_ns is None else [boards.c.as_of >= first_ns]
        which += [] if last_ns is None else [boards.c.as_of < last_ns]
        which += [] if before is None else [tuple_(boards.c.as_of, boards.c.filter_hash) < before]
        order = (boards.c.as_of.desc(), boards.c.filter_hash.desc())
        with reading(self._engine) as connection:
            rows = connection.execute(select(boards).where(*which).order_by(*order).limit(limit))
            return [_snapshot(row) for row in rows]

    def altered(self) -> list[tuple[int, str]]:
        """(as_of_ns, filter hash) of the snapshots that no longer say what they said when taken, oldest first."""
        found = []
        with reading(self._engine) as connection:
            for row in connection.execute(select(boards).order_by(boards.c.as_of, boards.c.filter_hash)):
                kept = _snapshot(row)
                if (kept.filter_hash, kept.hash) != (row.filter_hash, row.hash):
                    found.append((row.as_of, row.filter_hash))
        return found

    def head_at(self, lane: Lane, at_ns: int) -> str:
        """The hash of the last row of a lane that had been issued by an instant; the genesis before any."""
        issued = (forecasts.c.lane == lane, forecasts.c.issued_at <= at_ns)
        last = select(forecasts.c.row_hash).where(*issued).order_by(forecasts.c.seq.desc()).limit(1)
        with reading(self._engine) as connection:
            return connection.execute(last).scalar() or genesis(lane)


def _snapshot(row: Row[Any]) -> Snapshot:
    return Snapshot(row.as_of, orjson.loads(row.filter), orjson.loads(row.rows), row.ledger_head)


def _digest(value: Mapping[str, Any]) -> str:
    return hashlib.blake2b(canonical(value).encode(), digest_size=32).hexdigest()
