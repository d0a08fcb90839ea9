"""Weights of ensembles as they were fitted: one row a scope (an asset class) and fit; never changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Engine, Row, select

from gnomon.errors import NotFound
from gnomon.store.chain import canonical
from gnomon.store.engine import reading, upsert, writing
from gnomon.store.entry import Lane
from gnomon.store.tables import weights

_KEY = ("lane", "variant", "ensemble", "scope", "timeframe")


@dataclass(frozen=True, slots=True)
class StoredWeights:
    """A fit. `document` is `Weights.document()`; `id` is 0 before it is stored."""

    lane: Lane
    variant: str
    ensemble: str
    scope: str
    timeframe: str
    fitted_at_ns: int
    fitted_until_ns: int
    document: Mapping[str, Any] = field(default_factory=dict)
    id: int = 0


class WeightStore:
    """Weights in the database of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def insert(self, fits: Sequence[StoredWeights]) -> list[int]:
        """Store the fits whose key is not there yet; the id of each, in order."""
        if not fits:
            return []
        rows = [
            {name: getattr(one, name) for name in _KEY}
            | {
                "fitted_at": one.fitted_at_ns,
                "fitted_until": one.fitted_until_ns,
                "payload": canonical(one.document),
            }
            for one in fits
        ]
        columns = [weights.c[name] for name in (*_KEY, "fitted_at")]
        wanted = select(weights.c.id, *columns).where(
            weights.c.timeframe.in_({one.timeframe for one in fits}),
            weights.c.variant.in_({one.variant for one in fits}),
            weights.c.fitted_at.in_({one.fitted_at_ns for one in fits}),
        )
        with writing(self._engine) as connection:
            connection.execute(upsert(connection, weights).on_conflict_do_nothing(), rows)
            ids = {tuple(key): id_ for id_, *key in connection.execute(wanted)}
        return [ids[(*(getattr(one, name) for name in _KEY), one.fitted_at_ns)] for one in fits]

    def newest(
        self, *, lane: Lane, ensemble: str, scope: str, timeframe: str, variant: str = "", as_of_ns: int
    ) -> StoredWeights | None:
        """The newest fit that had been made by then, or None."""
        found = self._find(
            lane, variant, ensemble, timeframe, weights.c.scope == scope, weights.c.fitted_at <= as_of_ns, limit=1
        )
        return found[0] if found else None

    def history(
        self, *, lane: Lane, ensemble: str, timeframe: str, variant: str = "", limit: int = 100
    ) -> list[StoredWeights]:
        """The fits of an ensemble, newest first."""
        return self._find(lane, variant, ensemble, timeframe, limit=limit)

    def get(self, id: int) -> StoredWeights:  # noqa: A002 - the word for it
        """The fit of an id, or `NotFound`."""
        with reading(self._engine) as connection:
            row = connection.execute(select(weights).where(weights.c.id == id)).one_or_none()
        if row is None:
            raise NotFound(f"no weights {id}", hint="an ensemble's forecast names them by `weights_id`")
        return _stored(row)

    def _find(
        self, lane: Lane, variant: str, ensemble: str, timeframe: str, *more: Any, limit: int
    ) -> list[StoredWeights]:
        same = {"lane": lane, "variant": variant, "ensemble": ensemble, "timeframe": timeframe}
        wanted = select(weights).filter_by(**same).where(*more).order_by(weights.c.fitted_at.desc()).limit(limit)
        with reading(self._engine) as connection:
            return [_stored(row) for row in connection.execute(wanted)]


def _stored(row: Row[Any]) -> StoredWeights:
    return StoredWeights(
        **{name: getattr(row, name) for name in _KEY},
        fitted_at_ns=row.fitted_at,
        fitted_until_ns=row.fitted_until,
        document=orjson.loads(row.payload),
        id=row.id,
    )
