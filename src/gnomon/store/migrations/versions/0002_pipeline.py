"""The pipeline that runs by itself: slots, calibrations, weights, events, schedules, workers, leases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _scores()
    _track_record()
    _events()
    _work()


def downgrade() -> None:
    raise NotImplementedError("the ledger is insert-only: there is no way back; restore a backup")


# --- columns -----------------------------------------------------------------------------


def _of(kind: Callable[[], Any], *names: str, null: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind(), autoincrement=False, nullable=null) for name in names]


def _texts(*names: str) -> list[sa.Column[Any]]:
    return _of(sa.Text, *names)


def _longs(*names: str, null: bool = False) -> list[sa.Column[Any]]:
    return _of(sa.BigInteger, *names, null=null)


def _doubles(*names: str) -> list[sa.Column[Any]]:
    return _of(sa.Double, *names, null=True)


def _row_id() -> sa.Column[Any]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True)


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


# --- tables -----------------------------------------------------------------------------


def _scores() -> None:
    """Until now a bar was knowable at its close in every score, so this is what the new column says of old rows."""
    op.add_column("scores", sa.Column("realised_at", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE scores SET realised_at = target_close")


def _track_record() -> None:
    op.create_table(
        "slots",
        *_texts("instrument", "timeframe", "forecaster"),
        *_longs("cutoff", "due_at"),
        *_texts("status", "why"),
        *_longs("forecast_id", null=True),
        sa.CheckConstraint("status IN ('due', 'issued', 'late', 'missed')", name="ck_slots_status"),
        sa.ForeignKeyConstraint(["forecast_id"], ["forecasts.id"], name="fk_slots_forecast_id"),
        _key("slots", "instrument", "timeframe", "forecaster", "cutoff"),
    )
    op.create_index("ix_slots_due", "slots", ["timeframe", "due_at"])
    calibration = ("lane", "variant", "forecaster", "version", "instrument", "timeframe", "basis")
    op.create_table(
        "calibrations",
        _row_id(),
        *_texts(*calibration),
        *_longs("fitted_at", "fitted_until"),
        *_texts("method"),
        *_longs("n"),
        *_texts("payload"),
        _key("calibrations", "id"),
        sa.UniqueConstraint(*calibration, "fitted_at", name="uq_calibrations_key"),
    )
    scope = ("lane", "variant", "ensemble", "scope", "timeframe")
    op.create_table(
        "weights",
        _row_id(),
        *_texts(*scope),
        *_longs("fitted_at", "fitted_until"),
        *_texts("payload"),
        _key("weights", "id"),
        sa.UniqueConstraint(*scope, "fitted_at", name="uq_weights_key"),
    )
    op.create_table(
        "boards",
        *_longs("as_of"),
        *_texts("filter_hash", "filter", "rows", "ledger_head", "hash"),
        _key("boards", "as_of", "filter_hash"),
    )


def _events() -> None:
    op.create_table(
        "calendar_events",
        *_texts("id"),
        *_longs("knowable_at"),
        *_texts("source", "kind", "subject", "title", "impact"),
        *_longs("scheduled_at", "listed_at"),
        *_longs("released_at", null=True),
        *_doubles("forecast", "actual", "previous"),
        *_texts("unit", "detail"),
        _key("calendar_events", "id", "knowable_at"),
    )
    op.create_index("ix_calendar_events_scheduled", "calendar_events", ["scheduled_at"])
    op.create_table(
        "event_surprise_stats",
        *_texts("event_type"),
        *_longs("as_of"),
        *_of(sa.Double, "std"),
        *_of(sa.Integer, "n"),
        _key("event_surprise_stats", "event_type", "as_of"),
    )


def _work() -> None:
    op.create_table(
        "schedules",
        *_texts("name", "document"),
        *_of(sa.SmallInteger, "edited"),
        *_longs("fired_until", "updated_at"),
        _key("schedules", "name"),
    )
    op.create_table(
        "workers",
        *_texts("executor_id"),
        *_longs("epoch"),
        *_texts("host"),
        *_longs("pid"),
        *_texts("version", "queues"),
        *_longs("started_at", "heartbeat_at"),
        *_texts("state"),
        _key("workers", "executor_id"),
    )
    op.create_table(
        "leases",
        *_texts("slot", "owner"),
        *_longs("epoch"),
        *_texts("job_id"),
        *_longs("taken_at", "expires_at"),
        _key("leases", "slot"),
    )
    op.create_table(
        "job_transactions",
        *_texts("job_id", "step", "output"),
        *_longs("at"),
        _key("job_transactions", "job_id", "step"),
    )
    op.create_table(
        "job_notes",
        *_texts("job_id"),
        *_longs("number", "at"),
        *_texts("kind", "document"),
        _key("job_notes", "job_id", "number"),
    )
