"""The seeds' tables as views: `ml_predictions`, `kronos_predictions`, `signal_evaluations`, `signal_performance`.

They show the live lane in the seeds' names; the ledger and its scores are what is stored. Times are naive UTC
datetimes. SQL cannot inflate a compressed block, so `samples` is null there; `SeedViews.ml_predictions` fills it in.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    Double,
    Engine,
    Integer,
    MetaData,
    Table,
    Text,
    select,
)

from gnomon.store.blocks import decode
from gnomon.store.engine import reading, upsert, writing
from gnomon.store.tables import forecast_paths, hf_ids

views: Final = MetaData()
"""Apart from the tables: nothing here is created from its declaration."""


def _of(kind: Any, *names: str) -> list[Column[Any]]:
    return [Column(name, kind) for name in names]


ml_predictions: Final = Table(
    "ml_predictions",
    views,
    Column("id", BigInteger, primary_key=True),
    *_of(Text, "symbol", "timeframe", "model_name", "model_version"),
    *_of(DateTime, "created_at", "generated_at", "data_cutoff"),
    *_of(Integer, "pred_len"),
    *_of(JSON, "p10", "p50", "p90", "samples", "event_context"),
)

kronos_predictions: Final = Table(
    "kronos_predictions",
    views,
    Column("id", BigInteger, primary_key=True),
    *_of(Text, "symbol", "model_name"),
    Column("interval", Text, quote=True),
    *_of(DateTime, "prediction_made_at", "target_date"),
    *_of(Double, "predicted_open", "predicted_high", "predicted_low", "predicted_close", "predicted_volume"),
    *_of(Integer, "horizon_days"),
)

signal_evaluations: Final = Table(
    "signal_evaluations",
    views,
    Column("id", BigInteger, primary_key=True),
    *_of(BigInteger, "prediction_id"),
    *_of(Text, "symbol", "timeframe", "model_name", "model_version"),
    *_of(Integer, "step"),
    *_of(Double, "horizon_hours"),
    *_of(DateTime, "issued_at", "target_at"),
    *_of(Double, "base_price", "p10", "p50", "p90", "actual_close"),
    *_of(Integer, "predicted_direction", "realized_direction"),
    *_of(Double, "direction_hit"),
    *_of(Boolean, "in_envelope"),
    *_of(Double, "abs_error", "pct_error", "strategy_return"),
    *_of(DateTime, "evaluated_at"),
)

signal_performance: Final = Table(
    "signal_performance",
    views,
    *(Column(name, Text, primary_key=True) for name in ("symbol", "timeframe", "model_name")),
    Column("step", Integer, primary_key=True),
    *_of(BigInteger, "n"),
    *_of(Double, "hit_rate", "envelope_rate", "sharpe", "mean_abs_error", "skill"),
    *_of(DateTime, "first_issued_at", "last_issued_at", "refreshed_at"),
)


class SeedViews:
    """The views in the database of an engine, for reading."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def read(self, view: Table, *which: ColumnElement[bool], limit: int | None = None) -> list[dict[str, Any]]:
        """Rows of a view as its columns say, by its key."""
        wanted = select(view).where(*which).order_by(*view.primary_key).limit(limit)
        with reading(self._engine) as connection:
            return [dict(row) for row in connection.execute(wanted).mappings()]

    def ml_predictions(self, *which: ColumnElement[bool], limit: int = 100) -> list[dict[str, Any]]:
        """The newest rows first, with `samples` (paths, steps) of the close where paths are kept, else None."""
        newest = (ml_predictions.c.created_at.desc(), ml_predictions.c.id.desc())
        with reading(self._engine) as connection:
            wanted = select(ml_predictions).where(*which).order_by(*newest).limit(limit)
            rows = [dict(row) for row in connection.execute(wanted).mappings()]
            for row in rows:
                kept = select(forecast_paths).where(forecast_paths.c.forecast_id == row["id"])
                if (block := connection.execute(kept).one_or_none()) is not None:
                    row["samples"] = decode(block.dtype, block.shape, block.payload).tolist()
        return rows

    def name_at_hub(self, forecaster: str, hf_id: str) -> None:
        """Make known what a forecaster is called at the model hub; `kronos_predictions` shows that name."""
        row = {"forecaster": forecaster, "hf_id": hf_id}
        with writing(self._engine) as connection:
            known = upsert(connection, hf_ids).values(**row)
            connection.execute(known.on_conflict_do_update(index_elements=["forecaster"], set_={"hf_id": hf_id}))
