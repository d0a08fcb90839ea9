"""Calibrations as they were fitted: one row a forecaster, series and fit; never changed.

A forecast may use only a calibration with `fitted_at <= data_cutoff`; its row names the one it used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, Row, and_, func, select

from gnomon.errors import NotFound
from gnomon.store.chain import canonical
from gnomon.store.engine import reading, upsert, writing
from gnomon.store.entry import Lane
from gnomon.store.tables import calibrations, forecasts

_KEY = ("lane", "variant", "forecaster", "version", "instrument", "timeframe", "basis")


@dataclass(frozen=True, slots=True)
class StoredCalibration:
    """A fit. `document` is `Calibration.document()` with whatever the next fit goes on from; `id` is 0 before it is
    stored."""

    lane: Lane
    variant: str
    forecaster: str
    version: str
    instrument: str
    timeframe: str
    basis: str
    fitted_at_ns: int
    fitted_until_ns: int
    method: str
    n: int
    document: Mapping[str, Any] = field(default_factory=dict)
    id: int = 0

    @property
    def series(self) -> tuple[str, str, str, str]:
        """Whose calibration it is within a lane, variant and timeframe."""
        return self.forecaster, self.version, self.instrument, self.basis


class CalibrationStore:
    """Calibrations in the database of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def insert(self, fits: Sequence[StoredCalibration]) -> list[int]:
        """Store the fits whose key is not there yet; the id of each, in order."""
        if not fits:
            return []
        rows = [
            dict(zip((*_KEY, "fitted_at"), _key(one), strict=True))
            | {
                "fitted_until": one.fitted_until_ns,
                "method": one.method,
                "n": one.n,
                "payload": canonical(one.document),
            }
            for one in fits
        ]
        with writing(self._engine) as connection:
            connection.execute(upsert(connection, calibrations).on_conflict_do_nothing(), rows)
            ids = _ids(connection, fits)
        return [ids[_key(one)] for one in fits]

    def newest(
        self, *, lane: Lane, timeframe: str, variant: str = "", as_of_ns: int
    ) -> dict[tuple[str, str, str, str], StoredCalibration]:
        """The newest fit of each series that had been made by then."""
        which = (
            calibrations.c.lane == lane,
            calibrations.c.variant == variant,
            calibrations.c.timeframe == timeframe,
            calibrations.c.fitted_at <= as_of_ns,
        )
        series = [calibrations.c[name] for name in ("forecaster", "version", "instrument", "basis")]
        last = select(*series, func.max(calibrations.c.fitted_at).label("last")).where(*which).group_by(*series)
        found = last.subquery()
        same = [calibrations.c[column.name] == found.c[column.name] for column in series]
        wanted = select(calibrations).join(found, and_(*same, calibrations.c.fitted_at == found.c.last)).where(*which)
        with reading(self._engine) as connection:
            return {one.series: one for one in map(_stored, connection.execute(wanted))}

    def splits_served(
        self, *, lane: Lane, timeframe: str, variant: str = "", first_cutoff_ns: int | None = None
    ) -> dict[int, tuple[tuple[float, ...], dict[str, Any]]]:
        """Forecast id to its levels and the document of the split that it was served with; the others are not there."""
        which = [forecasts.c.lane == lane, forecasts.c.variant == variant, forecasts.c.timeframe == timeframe]
        which += [] if first_cutoff_ns is None else [forecasts.c.data_cutoff >= first_cutoff_ns]
        wanted = (
            select(forecasts.c.id, forecasts.c.levels, calibrations.c.payload)
            .join(calibrations, calibrations.c.id == forecasts.c.calibration_id)
            .where(*which, calibrations.c.method == "split")
        )
        with reading(self._engine) as connection:
            rows = connection.execute(wanted).all()
        return {id_: (tuple(orjson.loads(levels)), orjson.loads(payload)) for id_, levels, payload in rows}

    def get(self, id: int) -> StoredCalibration:  # noqa: A002 - the word for it
        """The fit of an id, or `NotFound`."""
        with reading(self._engine) as connection:
            row = connection.execute(select(calibrations).where(calibrations.c.id == id)).one_or_none()
        if row is None:
            raise NotFound(f"no calibration {id}", hint="a forecast's `calibration_id` names one")
        return _stored(row)


def _key(one: StoredCalibration) -> tuple[Any, ...]:
    return (*(getattr(one, name) for name in _KEY), one.fitted_at_ns)


def _ids(connection: Connection, fits: Sequence[StoredCalibration]) -> dict[tuple[Any, ...], int]:
    instants = [one.fitted_at_ns for one in fits]
    wanted = select(calibrations.c.id, *(calibrations.c[name] for name in (*_KEY, "fitted_at"))).where(
        calibrations.c.lane.in_({one.lane for one in fits}),
        calibrations.c.timeframe.in_({one.timeframe for one in fits}),
        calibrations.c.variant.in_({one.variant for one in fits}),
        calibrations.c.fitted_at.between(min(instants), max(instants)),
    )
    return {tuple(key): id_ for id_, *key in connection.execute(wanted)}


def _stored(row: Row[Any]) -> StoredCalibration:
    return StoredCalibration(
        **{name: getattr(row, name) for name in _KEY},
        fitted_at_ns=row.fitted_at,
        fitted_until_ns=row.fitted_until,
        method=row.method,
        n=row.n,
        document=orjson.loads(row.payload),
        id=row.id,
    )
