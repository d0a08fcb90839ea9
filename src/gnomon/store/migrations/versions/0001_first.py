"""The first tables: candles, datasets, the forecast ledger with its triggers, scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SEALED = ("forecasts", "forecast_blocks", "forecast_bars", "ledger_digests")
"""Tables that take rows and never change or lose one. `forecast_paths` may lose rows (retention), not change them."""

KEYS = {
    "forecasts": (
        ("id",),
        ("lane", "seq"),
        ("lane", "variant", "instrument", "timeframe", "basis", "forecaster", "version", "data_cutoff"),
    ),
    "forecast_blocks": (("forecast_id", "kind"),),
    "forecast_bars": (("forecast_id", "step"),),
    "ledger_digests": (("day", "lane"),),
    "forecast_paths": (("forecast_id",),),
}

GENESIS = {
    "live": "8e6461236c3b840441bb78c7e18496e6d7032aedbf5575824d98480692794ccb",
    "backfill": "9320b03a3e561d08405a603389523fa3e943eb9e0e7ef105be9187b5e33543b0",
}
"""`chain.genesis(lane)`: the hash before a lane's first row."""


def upgrade() -> None:
    _market()
    _ledger()
    _scores()
    _seal_sqlite() if op.get_context().dialect.name == "sqlite" else _seal_postgresql()


def downgrade() -> None:
    raise NotImplementedError("the ledger is insert-only: there is no way back; restore a backup")


# --- columns -----------------------------------------------------------------------------


def _of(kind: Callable[[], Any], *names: str, null: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind(), autoincrement=False, nullable=null) for name in names]


def _texts(*names: str) -> list[sa.Column[Any]]:
    return _of(sa.Text, *names)


def _longs(*names: str, null: bool = False) -> list[sa.Column[Any]]:
    return _of(sa.BigInteger, *names, null=null)


def _row_id() -> sa.Column[Any]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True)


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _points(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [to], name=f"fk_{table}_{column}")


# --- tables -----------------------------------------------------------------------------


def _market() -> None:
    op.create_table(
        "instruments", *_texts("id", "symbol", "document"), *_longs("recorded_at"), _key("instruments", "id")
    )
    op.create_table(
        "datasets",
        *_texts("hash", "name", "source", "licence"),
        *_longs("rows", "recorded_at"),
        *_texts("passport"),
        _key("datasets", "hash"),
    )
    op.create_index("ix_datasets_name", "datasets", ["name"])
    op.create_table(
        "dataset_series",
        *_texts("dataset_hash"),
        *_of(sa.Integer, "position"),
        *_texts("kind", "instrument", "timeframe", "basis"),
        *_longs("rows", "first_ns", "last_ns"),
        *_texts("tick", "lot", "digest"),
        *_longs("missing_bars"),
        _points("dataset_series", "dataset_hash", "datasets.hash"),
        _points("dataset_series", "instrument", "instruments.id"),
        _key("dataset_series", "dataset_hash", "position"),
    )
    op.create_table(
        "candle_series",
        _row_id(),
        *_texts("instrument", "timeframe", "basis", "tick", "lot", "money"),
        _points("candle_series", "instrument", "instruments.id"),
        _key("candle_series", "id"),
        sa.UniqueConstraint("instrument", "timeframe", "basis", name="uq_candle_series_instrument_timeframe_basis"),
    )
    op.create_table(
        "candles",
        *_longs("series_id", "open_ns"),
        *_of(sa.Integer, "revision"),
        *_longs("close_ns", "knowable_ns", "open", "high", "low", "close", "volume", "amount"),
        *_of(sa.SmallInteger, "flags"),
        _points("candles", "series_id", "candle_series.id"),
        _key("candles", "series_id", "open_ns", "revision"),
        sqlite_with_rowid=False,
    )


def _ledger() -> None:
    op.create_table(
        "forecasts",
        _row_id(),
        *_texts("lane", "variant"),
        *_longs("seq"),
        *_texts("instrument", "timeframe", "basis", "forecaster", "version", "role"),
        *_texts("information", "revision", "params"),
        *_longs("seed", "as_of", "data_cutoff", "issued_at", "valid_until"),
        *_of(sa.Integer, "horizon", "n_paths", "crossings"),
        *_of(sa.Double, "base_price"),
        *_texts("levels", "input_hash"),
        *_longs("calibration_id", "weights_id", null=True),
        *_texts("code_version", "job_key", "raw_digest", "calibrated_digest", "paths_digest", "bars_digest"),
        *_texts("prev_hash", "row_hash", "warnings", "event_context"),
        *_of(sa.LargeBinary, "target_open", "target_close"),
        *_texts("p_up", "p10", "p50", "p90"),
        sa.CheckConstraint("lane IN ('live', 'backfill')", name="ck_forecasts_lane"),
        _key("forecasts", "id"),
        sa.UniqueConstraint(*KEYS["forecasts"][2], name="uq_forecasts_key"),
        sa.UniqueConstraint("lane", "seq", name="uq_forecasts_lane_seq"),
    )
    op.create_index(
        "ix_forecasts_latest",
        "forecasts",
        ["lane", "instrument", "timeframe", "forecaster", sa.text("issued_at DESC"), sa.text("data_cutoff DESC")],
    )
    op.create_table(
        "forecast_blocks",
        *_longs("forecast_id"),
        *_texts("kind", "dtype", "shape"),
        *_of(sa.LargeBinary, "payload"),
        _points("forecast_blocks", "forecast_id", "forecasts.id"),
        _key("forecast_blocks", "forecast_id", "kind"),
    )
    op.create_table(
        "forecast_paths",
        *_longs("forecast_id"),
        *_texts("dtype", "shape"),
        *_of(sa.LargeBinary, "payload"),
        _points("forecast_paths", "forecast_id", "forecasts.id"),
        _key("forecast_paths", "forecast_id"),
    )
    op.create_table(
        "forecast_bars",
        *_longs("forecast_id"),
        *_of(sa.Integer, "step"),
        *_longs("target_open", "target_close"),
        *_of(sa.Double, "open", "high", "low", "close", "volume"),
        _points("forecast_bars", "forecast_id", "forecasts.id"),
        _key("forecast_bars", "forecast_id", "step"),
    )
    heads = op.create_table(
        "chain_heads", *_texts("lane"), *_longs("seq"), *_texts("hash"), _key("chain_heads", "lane")
    )
    op.bulk_insert(heads, [{"lane": lane, "seq": 0, "hash": first} for lane, first in GENESIS.items()])
    op.create_table(
        "ledger_digests",
        *_texts("day", "lane"),
        *_longs("first_seq", "last_seq"),
        *_texts("head"),
        *_of(sa.Text, "signature", null=True),
        _key("ledger_digests", "day", "lane"),
    )


def _scores() -> None:
    op.create_table(
        "scores",
        *_longs("forecast_id"),
        *_of(sa.Integer, "step"),
        *_of(sa.SmallInteger, "stage"),
        *_longs("target_close"),
        *_of(sa.Double, "realised", null=True),
        *_of(sa.Integer, "realised_revision"),
        *_longs("scored_at"),
        *_of(sa.Double, "pinball_mean", "crps", "wis", null=True),
        *_of(sa.SmallInteger, "covered_50", "covered_80", "covered_90", "side_80", null=True),
        *_of(sa.Double, "width_80", null=True),
        *_of(sa.SmallInteger, "pit_bin", null=True),
        *_of(sa.Double, "direction_hit", "p_up", "brier", "log_loss", "abs_error", "log_return", null=True),
        *_texts("void_reason"),
        _points("scores", "forecast_id", "forecasts.id"),
        _key("scores", "forecast_id", "step", "stage"),
        sqlite_with_rowid=False,
    )


# --- triggers -----------------------------------------------------------------------------


def _refusal(table: str) -> str:
    return f"{table} is insert-only: an issued forecast is never changed or removed"


def _seal_sqlite() -> None:
    """UPDATE and DELETE are refused. INSERT OR REPLACE deletes past such triggers, so a row whose key exists is ignored
    before any conflict clause sees it: every form of conflict becomes a no-op."""
    for table in (*SEALED, "forecast_paths"):
        for verb in ("UPDATE", "DELETE") if table in SEALED else ("UPDATE",):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{_refusal(table)}'); END"
            )
        exists = " OR ".join(
            f"EXISTS (SELECT 1 FROM {table} WHERE {' AND '.join(f'{name} = NEW.{name}' for name in key)})"
            for key in KEYS[table]
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {exists} BEGIN SELECT RAISE(IGNORE); END"
        )


def _seal_postgresql() -> None:
    """Statement triggers: they fire for ON CONFLICT DO UPDATE, MERGE and TRUNCATE too, whatever the rows, and ALWAYS
    keeps them firing for a session that says it is a replica."""
    op.execute(
        "CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
        "'% is insert-only: an issued forecast is never changed or removed', TG_TABLE_NAME; END $$"
    )
    for table in (*SEALED, "forecast_paths"):
        verbs = "UPDATE OR DELETE OR TRUNCATE" if table in SEALED else "UPDATE"
        op.execute(
            f"CREATE TRIGGER {table}_sealed BEFORE {verbs} ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()"
        )
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_sealed")
    for table in ("forecast_blocks", "forecast_paths"):
        op.execute(f"ALTER TABLE {table} ALTER payload SET STORAGE EXTERNAL")  # zlib bytes do not compress again
