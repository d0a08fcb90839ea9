"""Scores of stored forecasts: derived from the ledger, rebuildable, one row for each (forecast, step, stage)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import orjson
from sqlalchemy import ColumnElement, Connection, Engine, Integer, Row, func, select, text

from gnomon.clock import Timeframe
from gnomon.market.candles import Basis
from gnomon.score.forecasts import ScoredKeys, Scores, graded_steps
from gnomon.store.columns import AnyArray, read_columns, stage_columns
from gnomon.store.engine import reading, writing
from gnomon.store.entry import Lane
from gnomon.store.forecasts import chosen
from gnomon.store.tables import forecasts, scores
from gnomon.units import FloatArray, IntArray

_IDS_PER_QUERY: Final = 500
_NULL: Final = -9  # stands for null in the small counts while they are read as integers
_FIELDS: Final = {"target_close_ns": "target_close", "realised_at_ns": "realised_at", "scored_at_ns": "scored_at"}
"""Names of `Scores` that differ from the columns'. A column of the table has no suffix (pipeline 5.1)."""
_ORDER: Final = ("forecast_id", "step")
_NONE: Final[frozenset[int]] = frozenset()
_SMALL: Final = ("covered_50", "covered_80", "covered_90", "side_80", "pit_bin")
_WHOLE: Final = ("forecast_id", "step", "target_close_ns", "realised_revision", "realised_at_ns", "scored_at_ns")
_FIGURES: Final = (
    *("realised", "pinball_mean", "crps", "wis", "width_80", "direction_hit", "p_up", "brier", "log_loss"),
    *("abs_error", "log_return"),
)
_STORED: Final = (*_WHOLE, "stage", *_SMALL, *_FIGURES)


@dataclass(frozen=True, slots=True, eq=False)
class PendingForecast:
    """A forecast with graded steps that have matured and have no score yet, and what scoring them needs."""

    id: int
    lane: Lane
    instrument: str
    timeframe: str
    data_cutoff_ns: int
    issued_at_ns: int
    base_price: float
    horizon: int
    levels: tuple[float, ...]
    target_open_ns: IntArray  # (H,)
    target_close_ns: IntArray  # (H,)
    p_up: FloatArray  # (H,)
    has_calibrated: bool
    steps: tuple[int, ...]


class ScoreStore:
    """Scores in the database of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def insert(self, graded: Scores) -> int:
        """Store the rows whose key is not there yet; how many were new."""
        if not len(graded):
            return 0
        with writing(self._engine) as connection:
            if connection.dialect.name == "sqlite":
                return _insert_sqlite(connection, graded)
            return _insert_postgresql(connection, graded)

    def pending(
        self,
        steps: Mapping[str, Sequence[int]] | None = None,
        *,
        known_until_ns: int,
        lane: Lane | None = None,
        instrument: str | None = None,
        timeframe: str | None = None,
        forecaster: str | None = None,
        variant: str | None = None,
        basis: Basis | None = None,
        first_cutoff_ns: int | None = None,
        last_cutoff_ns: int | None = None,
    ) -> list[PendingForecast]:
        """The forecasts with steps whose target closed by `known_until_ns` and that have no raw score, by id.

        `steps` are the graded steps of each timeframe; None grades by the tables of `score.forecasts`. Late steps of
        the live lane are among them: whoever scores makes them void. No block is read.
        """
        which = chosen(
            lane=lane,
            instrument=instrument,
            timeframe=timeframe,
            forecaster=forecaster,
            variant=variant,
            basis=basis,
            first_cutoff_ns=first_cutoff_ns,
            last_cutoff_ns=last_cutoff_ns,
        )
        which.append(forecasts.c.data_cutoff < known_until_ns)
        with reading(self._engine) as connection:
            due = _due(connection, which, _grader(steps), known_until_ns)
            return list(_with_rows(connection, due))

    def variants(self, lane: Lane, timeframe: str) -> tuple[str, ...]:
        """The variants that were issued in a lane, sorted."""
        which = (forecasts.c.lane == lane, forecasts.c.timeframe == timeframe)
        wanted = select(forecasts.c.variant).where(*which).distinct().order_by(forecasts.c.variant)
        with reading(self._engine) as connection:
            return tuple(connection.execute(wanted).scalars())

    def closes(
        self, *, lane: Lane, timeframe: str, variant: str | None = None, first_cutoff_ns: int | None = None
    ) -> dict[int, IntArray]:
        """Forecast id to the closes of its targets (H,), for cutoffs from an instant on."""
        which = chosen(lane=lane, timeframe=timeframe, variant=variant, first_cutoff_ns=first_cutoff_ns)
        with reading(self._engine) as connection:
            rows = connection.execute(select(forecasts.c.id, forecasts.c.target_close).where(*which))
            return {id_: np.frombuffer(closes, "<i8") for id_, closes in rows}

    def read(
        self,
        *,
        lane: Lane,
        timeframe: str,
        variant: str | None = None,
        basis: Basis | None = None,
        instruments: Sequence[str] | None = None,
        forecasters: Sequence[str] | None = None,
        first_cutoff_ns: int | None = None,
        last_cutoff_ns: int | None = None,
        stage: int = 0,
    ) -> tuple[Scores, ScoredKeys]:
        """The scores of one stage as columns, and whose they are, ordered by forecast id and step."""
        which = chosen(
            lane=lane,
            timeframe=timeframe,
            variant=variant,
            basis=basis,
            first_cutoff_ns=first_cutoff_ns,
            last_cutoff_ns=last_cutoff_ns,
        )
        which += [] if instruments is None else [forecasts.c.instrument.in_(instruments)]
        which += [] if forecasters is None else [forecasts.c.forecaster.in_(forecasters)]
        with reading(self._engine) as connection:
            found = _read(connection, which, stage)
            return found, _keys(connection, which, found.forecast_id)


# --- writing ----------------------------------------------------------------------------------------------------


def _insert_sqlite(connection: Connection, graded: Scores) -> int:
    names = [_FIELDS.get(name, name) for name in (*_STORED, "void_reason")]
    rows = list(zip(*(getattr(graded, name).tolist() for name in (*_STORED, "void_reason")), strict=True))
    statement = (
        f"INSERT INTO scores ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
        "ON CONFLICT (forecast_id, step, stage) DO NOTHING"
    )
    return connection.exec_driver_sql(statement, rows).rowcount  # a NaN becomes null in the driver


def _insert_postgresql(connection: Connection, graded: Scores) -> int:
    reasons, code = np.unique(graded.void_reason.astype(str), return_inverse=True)
    columns: dict[str, AnyArray] = {_FIELDS.get(name, name): getattr(graded, name) for name in _STORED}
    staged = stage_columns(connection, columns | {"reason": code.astype(np.int64)})
    nullable = {*_SMALL, *_FIGURES}
    values = [f"NULLIF({name}, 'NaN')" if name in nullable else name for name in columns]
    statement = text(
        f"INSERT INTO scores ({', '.join(columns)}, void_reason) "
        f"SELECT {', '.join(values)}, (CAST(:reasons AS text[]))[reason + 1] FROM {staged} "
        "ON CONFLICT (forecast_id, step, stage) DO NOTHING"
    )
    return connection.execute(statement, {"reasons": reasons.tolist()}).rowcount


# --- what is due ------------------------------------------------------------------------------------------------

_Grader = Callable[[str, int], tuple[int, ...]]


def _grader(steps: Mapping[str, Sequence[int]] | None) -> _Grader:
    """The graded steps of a timeframe and horizon."""

    @lru_cache
    def grade(timeframe: str, horizon: int) -> tuple[int, ...]:
        if steps is None:
            return graded_steps(Timeframe.parse(timeframe), horizon)
        return tuple(sorted(step for step in steps.get(timeframe, ()) if 1 <= step <= horizon))

    return grade


def _due(
    connection: Connection, which: Sequence[ColumnElement[bool]], graded: _Grader, known_until_ns: int
) -> dict[int, tuple[int, ...]]:
    """Forecast id to the steps that are due. Most forecasts are done with or not due: their rows stay unread."""
    done = _done(connection, which)
    wanted = select(forecasts.c.id, forecasts.c.timeframe, forecasts.c.horizon).where(*which).order_by(forecasts.c.id)
    waiting: dict[int, list[int]] = {}
    for id_, timeframe, horizon in connection.execute(wanted):
        scored = done.get(id_, _NONE)
        if steps := [step for step in graded(timeframe, horizon) if step not in scored]:
            waiting[id_] = steps
    due: dict[int, tuple[int, ...]] = {}
    for id_, target_close in _of_ids(connection, list(waiting), forecasts.c.id, forecasts.c.target_close):
        matured = int(np.searchsorted(np.frombuffer(target_close, "<i8"), known_until_ns, side="right"))
        if steps := [step for step in waiting[id_] if step <= matured]:
            due[id_] = tuple(steps)
    return due


def _done(connection: Connection, which: Sequence[ColumnElement[bool]]) -> dict[int, set[int]]:
    """Forecast id to the steps that have a raw score."""
    mine = select(forecasts.c.id).where(*which)
    wanted = select(scores.c.forecast_id, scores.c.step).where(scores.c.forecast_id.in_(mine), scores.c.stage == 0)
    columns = read_columns(connection, wanted, order=_ORDER)
    ids, steps = columns["forecast_id"], columns["step"]
    if not len(ids):
        return {}
    first = np.flatnonzero(np.diff(ids, prepend=ids[0] - 1))
    parts = np.split(steps, first[1:])
    return {int(id_): set(part.tolist()) for id_, part in zip(ids[first], parts, strict=True)}


def _of_ids(
    connection: Connection, ids: Sequence[int], *columns: ColumnElement[Any]
) -> Iterator[Row[*tuple[Any, ...]]]:
    for first in range(0, len(ids), _IDS_PER_QUERY):
        part = ids[first : first + _IDS_PER_QUERY]
        yield from connection.execute(select(*columns).where(forecasts.c.id.in_(part)).order_by(forecasts.c.id))


def _with_rows(connection: Connection, due: Mapping[int, tuple[int, ...]]) -> Iterator[PendingForecast]:
    names = (
        *("id", "lane", "instrument", "timeframe", "data_cutoff", "issued_at", "base_price", "horizon", "levels"),
        *("target_open", "target_close", "p_up", "calibrated_digest"),
    )
    for row in _of_ids(connection, list(due), *(forecasts.c[name] for name in names)):
        yield PendingForecast(
            id=row.id,
            lane=row.lane,
            instrument=row.instrument,
            timeframe=row.timeframe,
            data_cutoff_ns=row.data_cutoff,
            issued_at_ns=row.issued_at,
            base_price=row.base_price,
            horizon=row.horizon,
            levels=_levels(row.levels),
            target_open_ns=np.frombuffer(row.target_open, "<i8"),
            target_close_ns=np.frombuffer(row.target_close, "<i8"),
            p_up=np.array(orjson.loads(row.p_up), np.float64),
            has_calibrated=bool(row.calibrated_digest),
            steps=due[row.id],
        )


@lru_cache
def _levels(document: str) -> tuple[float, ...]:
    return tuple(orjson.loads(document))


# --- reading ----------------------------------------------------------------------------------------------------


def _read(connection: Connection, which: Sequence[ColumnElement[bool]], stage: int) -> Scores:
    mine = scores.c.forecast_id.in_(select(forecasts.c.id).where(*which)), scores.c.stage == stage
    small = [func.coalesce(scores.c[name], _NULL, type_=Integer).label(name) for name in _SMALL]
    plain = [scores.c[_FIELDS.get(name, name)].label(name) for name in (*_WHOLE, *_FIGURES)]
    is_void = func.length(scores.c.void_reason, type_=Integer).label("is_void")
    wanted = select(*plain, *small, is_void).where(*mine)
    columns = read_columns(connection, wanted, order=_ORDER)
    for name in _SMALL:
        columns[name] = np.where(columns[name] == _NULL, np.nan, columns[name])
    columns["stage"] = np.full(len(columns["step"]), stage, np.int8)
    columns["void_reason"] = _reasons(connection, mine, columns.pop("is_void") > 0)
    return Scores(**columns)


def _reasons(connection: Connection, mine: Sequence[ColumnElement[bool]], is_void: AnyArray) -> AnyArray:
    reasons = np.full(len(is_void), "", object)
    if is_void.any():
        wanted = select(scores.c.void_reason).where(*mine, scores.c.void_reason != "")
        found = connection.execute(wanted.order_by(scores.c.forecast_id, scores.c.step)).scalars()
        reasons[is_void] = np.fromiter(found, object)
    return reasons


def _keys(connection: Connection, which: Sequence[ColumnElement[bool]], forecast_id: IntArray) -> ScoredKeys:
    names = ("id", "forecaster", "version", "instrument", "data_cutoff")
    rows = sorted(map(tuple, connection.execute(select(*(forecasts.c[name] for name in names)).where(*which))))
    index = np.searchsorted(np.array([row[0] for row in rows], np.int64), forecast_id)

    def of(column: int) -> AnyArray:
        return np.array([*(row[column] for row in rows), None], object)[index]

    return ScoredKeys(forecaster=of(1), version=of(2), instrument=of(3), data_cutoff_ns=of(4).astype(np.int64))
