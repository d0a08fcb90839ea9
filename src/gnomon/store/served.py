"""Forecasts as they are served: the calibrated curve where one exists, else the raw one. What pools and boards read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import orjson
from sqlalchemy import Connection, Engine, Row, select

from gnomon.clock import Timeframe
from gnomon.forecast.forecast import Forecast, Role
from gnomon.market.candles import Basis
from gnomon.store.blocks import decode
from gnomon.store.engine import reading
from gnomon.store.entry import Lane
from gnomon.store.tables import forecast_blocks, forecasts
from gnomon.units import FloatArray, IntArray

_IDS_PER_QUERY: Final = 500
_COLUMNS: Final = (
    *("id", "instrument", "basis", "forecaster", "version", "role", "data_cutoff", "issued_at", "base_price"),
    *("levels", "p_up", "target_open", "target_close", "calibrated_digest", "calibration_id", "params"),
)


_STATED: Final = ("timeframe", "as_of", "seed", "input_hash")


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """One forecast as a reader gets it. `quantiles` (H, Q) and `p_up` (H,) as stored, times (H,) UTC ns."""

    id: int
    instrument: str
    basis: str
    forecaster: str
    version: str
    role: Role
    data_cutoff_ns: int
    issued_at_ns: int
    base_price: float
    levels: tuple[float, ...]
    quantiles: FloatArray
    p_up: FloatArray
    target_open_ns: IntArray
    target_close_ns: IntArray
    is_calibrated: bool
    params: dict[str, Any]


def read_served(
    engine: Engine,
    *,
    lane: Lane,
    variant: str = "",
    timeframe: str,
    forecasters: Sequence[str],
    instruments: Sequence[str],
    first_cutoff_ns: int,
    last_cutoff_ns: int,
    cutoffs_ns: Collection[int] | None = None,
    issued_by_ns: int | None = None,
) -> list[Served]:
    """The forecasts with a cutoff in [first, last] (and among `cutoffs_ns`), by cutoff and id; `issued_by_ns` leaves
    out what had not been issued by then."""
    which = [
        forecasts.c.lane == lane,
        forecasts.c.variant == variant,
        forecasts.c.timeframe == timeframe,
        forecasts.c.forecaster.in_(forecasters),
        forecasts.c.instrument.in_(instruments),
        forecasts.c.data_cutoff.between(first_cutoff_ns, last_cutoff_ns),
    ]
    which += [] if issued_by_ns is None else [forecasts.c.issued_at <= issued_by_ns]
    wanted = select(*(forecasts.c[name] for name in _COLUMNS)).where(*which)
    with reading(engine) as connection:
        rows = connection.execute(wanted.order_by(forecasts.c.data_cutoff, forecasts.c.id)).all()
        rows = [row for row in rows if cutoffs_ns is None or row.data_cutoff in cutoffs_ns]
        curves = dict(_curves(connection, rows))
    return [_served(row, curves[row.id]) for row in rows]


def read_stated(
    engine: Engine,
    *,
    lane: Lane,
    variant: str = "",
    instruments: Mapping[str, str],
    upto_seq: int,
    start_ns: int,
    end_ns: int,
    latency_ns: int = 0,
) -> list[tuple[int, Forecast]]:
    """What could be read of a lane in a window, with the instant from which it could: `issued_at` of what was live; of
    a backfill, which was issued long after, the instant that it looked from. `latency_ns` later, of both.

    Rows of the chain up to `upto_seq`, in [start, end), and of each forecaster the newest before. `instruments` with
    the basis of each. In the order of the chain.
    """
    known = forecasts.c.issued_at if lane == "live" else forecasts.c.as_of
    which = [
        forecasts.c.lane == lane,
        forecasts.c.instrument.in_(instruments),
        forecasts.c.seq <= upto_seq,
        known < end_ns - latency_ns,
    ]
    which += [forecasts.c.variant == variant] if variant else []
    keys = ("id", "instrument", "basis", "timeframe", "forecaster")
    light = select(*(forecasts.c[name] for name in keys), known.label("known")).where(*which)
    with reading(engine) as connection:
        chosen: list[int] = []
        before: dict[tuple[str, str, str], tuple[int, int]] = {}
        for row in connection.execute(light.order_by(forecasts.c.seq)):
            if instruments[row.instrument] != row.basis:
                continue
            if row.known + latency_ns >= start_ns:
                chosen.append(row.id)
            else:
                key = row.instrument, row.timeframe, row.forecaster
                before[key] = max(before.get(key, (0, 0)), (row.known, row.id))
        chosen += [id_ for _, id_ in before.values()]
        wanted = select(*(forecasts.c[name] for name in (*_COLUMNS, *_STATED)), forecasts.c.seq, known.label("known"))
        rows: list[Row[Any]] = []
        for first in range(0, len(chosen), _IDS_PER_QUERY):
            part = forecasts.c.id.in_(chosen[first : first + _IDS_PER_QUERY])
            rows.extend(connection.execute(wanted.where(part)))
        curves = dict(_curves(connection, rows))
    rows.sort(key=lambda row: row.seq)
    return [(row.known + latency_ns, _forecast(row, curves[row.id])) for row in rows]


def _forecast(row: Row[Any], quantiles: FloatArray) -> Forecast:
    one = _served(row, quantiles)
    return Forecast(
        forecaster=one.forecaster,
        version=one.version,
        role=one.role,
        instrument=one.instrument,
        timeframe=Timeframe.parse(row.timeframe),
        data_cutoff_ns=one.data_cutoff_ns,
        base_price=one.base_price,
        target_open_ns=one.target_open_ns,
        target_close_ns=one.target_close_ns,
        levels=one.levels,
        quantiles=one.quantiles,
        p_up=one.p_up,
        seed=row.seed,
        input_hash=row.input_hash,
        basis=cast(Basis, one.basis),
        params=one.params,
    )


def _curves(connection: Connection, rows: Sequence[Row[Any]]) -> Iterator[tuple[int, FloatArray]]:
    for first in range(0, len(rows), _IDS_PER_QUERY):
        part = rows[first : first + _IDS_PER_QUERY]
        kind = {row.id: "calibrated" if row.calibrated_digest else "raw" for row in part}
        wanted = select(forecast_blocks).where(forecast_blocks.c.forecast_id.in_(kind))
        for block in connection.execute(wanted):
            if block.kind == kind[block.forecast_id]:
                yield block.forecast_id, decode(block.dtype, block.shape, block.payload).astype(np.float64)


def _served(row: Row[Any], quantiles: FloatArray) -> Served:
    return Served(
        id=row.id,
        instrument=row.instrument,
        basis=row.basis,
        forecaster=row.forecaster,
        version=row.version,
        role=cast(Role, row.role),
        data_cutoff_ns=row.data_cutoff,
        issued_at_ns=row.issued_at,
        base_price=row.base_price,
        levels=tuple(orjson.loads(row.levels)),
        quantiles=quantiles,
        p_up=np.array(orjson.loads(row.p_up), np.float64),
        target_open_ns=np.frombuffer(row.target_open, "<i8"),
        target_close_ns=np.frombuffer(row.target_close, "<i8"),
        is_calibrated=bool(row.calibrated_digest),
        params=orjson.loads(row.params),
    )
