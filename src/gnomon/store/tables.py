"""The tables, as SQLAlchemy Core. How they came to be, with their triggers, is in `migrations/`.

Instants are int64 UTC nanoseconds. Prices and sizes of candles are integer counts of their series' grids. JSON is kept
as canonical text (`chain.canonical`), the same bytes on both databases, because the ledger's hashes cover it.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

_ID: Final = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts rows in INTEGER PRIMARY KEY alone


def _needed(name: str, kind: Any, *more: Any, **options: Any) -> Column[Any]:
    return Column(name, kind, *more, nullable=False, **options)


# --- market -----------------------------------------------------------------------------

instruments: Final = Table(
    "instruments",
    metadata,
    Column("id", Text, primary_key=True),  # venue:symbol
    _needed("symbol", Text),
    _needed("document", Text),  # JSON, `Instrument.row()`
    _needed("recorded_at", BigInteger),
)

datasets: Final = Table(
    "datasets",
    metadata,
    Column("hash", Text, primary_key=True),
    _needed("name", Text, index=True),
    _needed("source", Text),
    _needed("licence", Text),
    _needed("rows", BigInteger),
    _needed("recorded_at", BigInteger),
    _needed("passport", Text),  # JSON, `Passport.row()`
)

dataset_series: Final = Table(
    "dataset_series",
    metadata,
    Column("dataset_hash", Text, ForeignKey("datasets.hash"), primary_key=True),
    Column("position", Integer, primary_key=True),
    _needed("kind", Text),  # candles, trades
    _needed("instrument", Text, ForeignKey("instruments.id")),
    _needed("timeframe", Text),
    _needed("basis", Text),
    _needed("rows", BigInteger),
    _needed("first_ns", BigInteger),
    _needed("last_ns", BigInteger),
    _needed("tick", Text),
    _needed("lot", Text),
    _needed("digest", Text),
    _needed("missing_bars", BigInteger),
)

candle_series: Final = Table(
    "candle_series",
    metadata,
    Column("id", _ID, primary_key=True),
    _needed("instrument", Text, ForeignKey("instruments.id")),
    _needed("timeframe", Text),
    _needed("basis", Text),
    _needed("tick", Text),
    _needed("lot", Text),
    _needed("money", Text),
    UniqueConstraint("instrument", "timeframe", "basis"),
)

candles: Final = Table(
    "candles",
    metadata,
    Column("series_id", BigInteger, ForeignKey("candle_series.id"), primary_key=True, autoincrement=False),
    Column("open_ns", BigInteger, primary_key=True, autoincrement=False),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    _needed("close_ns", BigInteger),
    _needed("knowable_ns", BigInteger),
    _needed("open", BigInteger),
    _needed("high", BigInteger),
    _needed("low", BigInteger),
    _needed("close", BigInteger),
    _needed("volume", BigInteger),
    _needed("amount", BigInteger),
    _needed("flags", SmallInteger),
    sqlite_with_rowid=False,  # the bars of a series lie side by side, in time order
)

# --- the ledger -----------------------------------------------------------------------------

forecasts: Final = Table(
    "forecasts",
    metadata,
    Column("id", _ID, primary_key=True),
    _needed("lane", Text, CheckConstraint("lane IN ('live', 'backfill')", name="lane")),
    _needed("variant", Text),
    _needed("seq", BigInteger),
    _needed("instrument", Text),
    _needed("timeframe", Text),
    _needed("basis", Text),
    _needed("forecaster", Text),
    _needed("version", Text),
    _needed("role", Text),
    _needed("information", Text),
    _needed("revision", Text),
    _needed("params", Text),  # JSON
    _needed("seed", BigInteger),
    _needed("as_of", BigInteger),
    _needed("data_cutoff", BigInteger),
    _needed("issued_at", BigInteger),
    _needed("valid_until", BigInteger),
    _needed("horizon", Integer),
    _needed("n_paths", Integer),
    _needed("crossings", Integer),
    _needed("base_price", Double),
    _needed("levels", Text),  # JSON
    _needed("input_hash", Text),
    Column("calibration_id", BigInteger),
    Column("weights_id", BigInteger),
    _needed("code_version", Text),
    _needed("job_key", Text),
    _needed("raw_digest", Text),
    _needed("calibrated_digest", Text),  # "" where there is none, as the next two
    _needed("paths_digest", Text),
    _needed("bars_digest", Text),
    _needed("prev_hash", Text),
    _needed("row_hash", Text),
    _needed("warnings", Text),  # JSON
    _needed("event_context", Text),  # JSON
    _needed("target_open", LargeBinary),  # int64 little-endian (horizon,)
    _needed("target_close", LargeBinary),
    _needed("p_up", Text),  # JSON (horizon,), as the next three: as served
    _needed("p10", Text),
    _needed("p50", Text),
    _needed("p90", Text),
    UniqueConstraint(
        *("lane", "variant", "instrument", "timeframe", "basis", "forecaster", "version", "data_cutoff"),
        name="uq_forecasts_key",
    ),
    UniqueConstraint("lane", "seq"),
)
Index(
    "ix_forecasts_latest",
    forecasts.c.lane,
    forecasts.c.instrument,
    forecasts.c.timeframe,
    forecasts.c.forecaster,
    forecasts.c.issued_at.desc(),
    forecasts.c.data_cutoff.desc(),
)
Index(
    "ix_forecasts_named",  # the seed's: symbol, model_name, created_at desc
    forecasts.c.instrument,
    forecasts.c.forecaster,
    forecasts.c.issued_at.desc(),
    sqlite_where=forecasts.c.lane == "live",
    postgresql_where=forecasts.c.lane == "live",
)

forecast_blocks: Final = Table(
    "forecast_blocks",
    metadata,
    Column("forecast_id", BigInteger, ForeignKey("forecasts.id"), primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True),  # raw, calibrated
    _needed("dtype", Text),
    _needed("shape", Text),  # JSON
    _needed("payload", LargeBinary),  # zlib
)

forecast_paths: Final = Table(
    "forecast_paths",
    metadata,
    Column("forecast_id", BigInteger, ForeignKey("forecasts.id"), primary_key=True, autoincrement=False),
    _needed("dtype", Text),
    _needed("shape", Text),
    _needed("payload", LargeBinary),
)

forecast_bars: Final = Table(
    "forecast_bars",
    metadata,
    Column("forecast_id", BigInteger, ForeignKey("forecasts.id"), primary_key=True, autoincrement=False),
    Column("step", Integer, primary_key=True, autoincrement=False),
    _needed("target_open", BigInteger),
    _needed("target_close", BigInteger),
    _needed("open", Double),
    _needed("high", Double),
    _needed("low", Double),
    _needed("close", Double),
    _needed("volume", Double),
)

chain_heads: Final = Table(
    "chain_heads",
    metadata,
    Column("lane", Text, primary_key=True),
    _needed("seq", BigInteger),
    _needed("hash", Text),
)

ledger_digests: Final = Table(
    "ledger_digests",
    metadata,
    Column("day", Text, primary_key=True),  # ISO date, UTC
    Column("lane", Text, primary_key=True),
    _needed("first_seq", BigInteger),
    _needed("last_seq", BigInteger),
    _needed("head", Text),
    Column("signature", Text),
)

# --- derived, rebuildable -----------------------------------------------------------------------------

scores: Final = Table(
    "scores",
    metadata,
    Column("forecast_id", BigInteger, ForeignKey("forecasts.id"), primary_key=True, autoincrement=False),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("stage", SmallInteger, primary_key=True, autoincrement=False),  # 0 raw, 1 calibrated
    _needed("target_close", BigInteger),
    _needed("realised_at", BigInteger),  # when the realised close became knowable; void: when the step was given up
    Column("realised", Double),
    _needed("realised_revision", Integer),
    _needed("scored_at", BigInteger),
    Column("pinball_mean", Double),
    Column("crps", Double),
    Column("wis", Double),
    Column("covered_50", SmallInteger),
    Column("covered_80", SmallInteger),
    Column("covered_90", SmallInteger),
    Column("side_80", SmallInteger),
    Column("width_80", Double),
    Column("pit_bin", SmallInteger),
    Column("direction_hit", Double),  # 1, 0, 0.5 (unchanged price), null (no call)
    Column("p_up", Double),
    Column("brier", Double),
    Column("log_loss", Double),
    Column("abs_error", Double),
    Column("log_return", Double),
    _needed("void_reason", Text),
    sqlite_with_rowid=False,
)

slots: Final = Table(
    "slots",
    metadata,
    Column("instrument", Text, primary_key=True),
    Column("timeframe", Text, primary_key=True),
    Column("forecaster", Text, primary_key=True),
    Column("cutoff", BigInteger, primary_key=True, autoincrement=False),
    _needed("due_at", BigInteger),
    _needed("status", Text, CheckConstraint("status IN ('due', 'issued', 'late', 'missed')", name="status")),
    _needed("why", Text),
    Column("forecast_id", BigInteger, ForeignKey("forecasts.id")),
)
Index("ix_slots_due", slots.c.timeframe, slots.c.due_at)

calibrations: Final = Table(
    "calibrations",
    metadata,
    Column("id", _ID, primary_key=True),
    _needed("lane", Text),
    _needed("variant", Text),
    _needed("forecaster", Text),
    _needed("version", Text),
    _needed("instrument", Text),
    _needed("timeframe", Text),
    _needed("basis", Text),
    _needed("fitted_at", BigInteger),
    _needed("fitted_until", BigInteger),  # knowable time of the newest target used
    _needed("method", Text),  # tracker, split
    _needed("n", BigInteger),  # targets used
    _needed("payload", Text),  # JSON: the state of each horizon bucket
    UniqueConstraint(
        *("lane", "variant", "forecaster", "version", "instrument", "timeframe", "basis", "fitted_at"),
        name="uq_calibrations_key",
    ),
)

weights: Final = Table(
    "weights",
    metadata,
    Column("id", _ID, primary_key=True),
    _needed("lane", Text),
    _needed("variant", Text),
    _needed("ensemble", Text),
    _needed("scope", Text),  # asset class
    _needed("timeframe", Text),
    _needed("fitted_at", BigInteger),
    _needed("fitted_until", BigInteger),
    _needed("payload", Text),  # JSON: the weight of each member, by horizon bucket, and who was left out and why
    UniqueConstraint("lane", "variant", "ensemble", "scope", "timeframe", "fitted_at", name="uq_weights_key"),
)

boards: Final = Table(
    "boards",
    metadata,
    Column("as_of", BigInteger, primary_key=True, autoincrement=False),
    Column("filter_hash", Text, primary_key=True),
    _needed("filter", Text),  # JSON
    _needed("rows", Text),  # JSON
    _needed("ledger_head", Text),
    _needed("hash", Text),
)

hf_ids: Final = Table(
    "hf_ids",  # the names of forecasters at the model hub, for the seeds' views
    metadata,
    Column("forecaster", Text, primary_key=True),
    _needed("hf_id", Text),
)

signal_performance_rows: Final = Table(
    "signal_performance_rows",  # PostgreSQL has a materialised view instead
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("timeframe", Text, primary_key=True),
    Column("model_name", Text, primary_key=True),
    Column("step", Integer, primary_key=True, autoincrement=False),
    _needed("n", BigInteger),
    Column("hit_rate", Double),
    Column("envelope_rate", Double),
    Column("sharpe", Double),
    Column("mean_abs_error", Double),
    Column("skill", Double),
    _needed("first_issued", BigInteger),
    _needed("last_issued", BigInteger),
    _needed("refreshed", BigInteger),
    info={"only": "sqlite"},
)

# --- events -----------------------------------------------------------------------------

calendar_events: Final = Table(
    "calendar_events",
    metadata,
    Column("id", Text, primary_key=True),  # source:its id
    Column("knowable_at", BigInteger, primary_key=True, autoincrement=False),  # of this statement about the event
    _needed("source", Text),
    _needed("kind", Text),  # fomc, cpi, nfp, gdp, pce, earnings, rate_decision, other
    _needed("subject", Text),  # a central bank (FED, ECB …), a share (AAPL …), or a country code
    _needed("title", Text),
    _needed("impact", Text),  # low, medium, high
    _needed("scheduled_at", BigInteger),
    _needed("listed_at", BigInteger),
    Column("released_at", BigInteger),
    Column("forecast", Double),
    Column("actual", Double),
    Column("previous", Double),
    _needed("unit", Text),
    _needed("detail", Text),  # JSON: tone, rate change in basis points …
)
Index("ix_calendar_events_scheduled", calendar_events.c.scheduled_at)

event_surprise_stats: Final = Table(
    "event_surprise_stats",
    metadata,
    Column("event_type", Text, primary_key=True),
    Column("as_of", BigInteger, primary_key=True, autoincrement=False),
    _needed("std", Double),
    _needed("n", Integer),
)

# --- work for later -----------------------------------------------------------------------------

schedules: Final = Table(
    "schedules",
    metadata,
    Column("name", Text, primary_key=True),
    _needed("document", Text),  # JSON, `Schedule.row()`
    _needed("edited", SmallInteger),  # 1: changed by hand, so a new default does not replace it
    _needed("fired_until", BigInteger),  # nominal time of the newest tick that was enqueued, or when it was declared
    _needed("updated_at", BigInteger),
)

workers: Final = Table(
    "workers",
    metadata,
    Column("executor_id", Text, primary_key=True),
    _needed("epoch", BigInteger),
    _needed("host", Text),
    _needed("pid", BigInteger),
    _needed("version", Text),
    _needed("queues", Text),  # JSON
    _needed("started_at", BigInteger),
    _needed("heartbeat_at", BigInteger),
    _needed("state", Text),  # running, draining, stopped, reaped
)

leases: Final = Table(
    "leases",
    metadata,
    Column("slot", Text, primary_key=True),
    _needed("owner", Text),
    _needed("epoch", BigInteger),
    _needed("job_id", Text),
    _needed("taken_at", BigInteger),
    _needed("expires_at", BigInteger),
)

job_transactions: Final = Table(
    "job_transactions",  # what each `tx` of a job answered: written with its rows, so that it happens once
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("step", Text, primary_key=True),
    _needed("output", Text),  # JSON
    _needed("at", BigInteger),
)

job_notes: Final = Table(
    "job_notes",  # progress of jobs, numbered within each
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    _needed("at", BigInteger),
    _needed("kind", Text),  # step, progress
    _needed("document", Text),  # JSON
)

# --- runs -------------------------------------------------------------------------------

runs: Final = Table(
    "runs",  # one trader's course through one session, written once when it is over
    metadata,
    Column("id", Text, primary_key=True),
    _needed("session", Text, index=True),  # its name, or the dataset's
    _needed("entry", Text),
    _needed("sweep", Text, index=True),  # id of the sweep that it belongs to, empty for none
    _needed("trader", Text),
    _needed("params", Text),  # JSON
    _needed("seed", Text),  # u64, decimal
    _needed("dataset", Text),  # content hash
    _needed("spec", Text),  # the session as TOML
    _needed("status", Text),  # completed, stopped, failed
    _needed("reason", Text),
    _needed("digests", Text),  # JSON: dataset, config, inputs, outputs, chain, fingerprint
    _needed("fingerprint", Text, index=True),
    _needed("engine", BigInteger),
    _needed("counts", Text),  # JSON: fills, orders, rejects, ambiguous_bars
    _needed("summary", Text),  # JSON, `score.runs.Summary.row()`
    _needed("journal", Text),  # full or digest
    _needed("created_at", BigInteger),
)

run_labels: Final = Table(
    "run_labels",  # what the newest check of a run found; none where it was never checked
    metadata,
    Column("run", Text, ForeignKey("runs.id"), primary_key=True),
    _needed("label", Text),  # `score.label.Label`
    _needed("reason", Text),
    _needed("equal", Integer),  # of so many runs of the closed loop:
    _needed("repeats", Integer),
    _needed("witnesses", Text),  # JSON: ids of the runs that it was held against
    _needed("journal_bytes", BigInteger),  # the file as it was looked at
    _needed("journal_at", BigInteger),
    _needed("checked_at", BigInteger),
)

# --- sessions and bots ------------------------------------------------------------------

bots: Final = Table(
    "bots",
    metadata,
    Column("id", Text, primary_key=True),
    _needed("workspace", Text),
    _needed("name", Text),
    _needed("revision", Integer),  # the newest of `bot_revisions`
    _needed("kind", Text),  # strategy, agent, remote
    _needed("tier", Text),  # auto, native, shim, unmodified
    _needed("concurrency", Text),  # serial, concurrent
    _needed("status", Text),  # active, disabled, archived
    _needed("note", Text),
    Column("session", Text, index=True),  # where its keys trade; null while unbound
    Column("entry", Text),  # name of the session's entry
    _needed("created_at", BigInteger),
    _needed("updated_at", BigInteger),
    UniqueConstraint("workspace", "name", name="uq_bots_name"),
)

bot_revisions: Final = Table(
    "bot_revisions",
    metadata,
    Column("bot", Text, ForeignKey("bots.id"), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    _needed("spec", Text),  # JSON
    _needed("created_at", BigInteger),
)

bot_keys: Final = Table(
    "bot_keys",
    metadata,
    Column("api_key", Text, primary_key=True),
    _needed("bot", Text, ForeignKey("bots.id"), index=True),
    _needed("kind", Text),  # hmac, ed25519, rsa
    _needed("secret", Text),  # of hmac: sealed (`seal.Seal`)
    _needed("public_key", Text),  # of the others: PEM
    _needed("permissions", Text),  # JSON
    _needed("ip_allow", Text),  # JSON
    Column("expires_at", BigInteger),
    _needed("created_at", BigInteger),
)

sessions: Final = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    _needed("workspace", Text, index=True),
    _needed("name", Text),
    _needed("status", Text),  # `replay.session.Status`
    _needed("enabled", SmallInteger),
    _needed("spec", Text),  # as TOML or JSON, with its seed
    _needed("seed", Text),  # u64, decimal
    _needed("config", Text),  # digest, empty until the first start
    _needed("pace", Text),  # lockstep, max or a factor
    _needed("port", Integer),  # its own, or 0
    _needed("reason", Text),
    _needed("created_at", BigInteger),
    _needed("updated_at", BigInteger),
    Column("started_at", BigInteger),
    Column("ended_at", BigInteger),
)

session_runs: Final = Table(
    "session_runs",  # a bot's starts in a session, open and over
    metadata,
    Column("session", Text, ForeignKey("sessions.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # counts the starts
    _needed("run", Text, unique=True),
    _needed("bot", Text, ForeignKey("bots.id"), index=True),
    _needed("revision", Integer),
    _needed("entry", Text),
    _needed("tier", Text),
    _needed("status", Text),
    _needed("reason", Text),
    Column("parent", Text),  # run that it branched from
    Column("branched_at", BigInteger),  # virtual ns
    _needed("started_at", BigInteger),
    Column("ended_at", BigInteger),  # null while it is open
)
Index(
    "uq_session_runs_open",  # a bot has at most one open run
    session_runs.c.bot,
    unique=True,
    sqlite_where=session_runs.c.ended_at.is_(None),
    postgresql_where=session_runs.c.ended_at.is_(None),
)

telemetry: Final = Table(
    "telemetry",  # what runtimes of bots say about themselves; never in a digest
    metadata,
    Column("bot", Text, ForeignKey("bots.id"), primary_key=True),
    Column("instance", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    _needed("workspace", Text),
    _needed("received_at", BigInteger),
    _needed("state", Text),
    _needed("document", Text),  # JSON, as received
)
Index("ix_telemetry_received", telemetry.c.bot, telemetry.c.received_at)
