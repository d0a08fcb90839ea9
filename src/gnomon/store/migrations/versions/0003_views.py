"""The seeds' tables as views: ml_predictions, kronos_predictions, signal_evaluations, signal_performance.

One text for both databases; what they spell differently is in `_instant`, `_fact` and `_element`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

HF_IDS = {
    "kronos-base": "NeoQuasar/Kronos-base",
    "kronos-small": "NeoQuasar/Kronos-small",
    "kronos-mini": "NeoQuasar/Kronos-mini",
    "chronos-2": "amazon/chronos-2",
}
SERVED = "f.lane = 'live' AND f.role IN ('model', 'ensemble')"


def upgrade() -> None:
    _names()
    for name, query in (
        ("ml_predictions", _ml_predictions()),
        ("kronos_predictions", _kronos_predictions()),
        ("evaluated_steps", _evaluated_steps()),
        ("signal_evaluations", _signal_evaluations()),
        ("signal_moments", _signal_moments()),
    ):
        op.execute(f"CREATE VIEW {name} AS {query}")
    _performance_sqlite() if _is_sqlite() else _performance_postgresql()


def downgrade() -> None:
    raise NotImplementedError("the ledger is insert-only: there is no way back; restore a backup")


def _names() -> None:
    names = op.create_table(
        "hf_ids",
        sa.Column("forecaster", sa.Text(), nullable=False),
        sa.Column("hf_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("forecaster", name="pk_hf_ids"),
    )
    op.bulk_insert(names, [{"forecaster": name, "hf_id": hf_id} for name, hf_id in HF_IDS.items()])
    live = sa.text("lane = 'live'")
    newest = sa.text("issued_at DESC")
    op.create_index(
        "ix_forecasts_named",
        "forecasts",
        ["instrument", "forecaster", newest],
        sqlite_where=live,
        postgresql_where=live,
    )


# --- what the two databases spell differently -----------------------------------------------------------------------


def _is_sqlite() -> bool:
    return op.get_context().dialect.name == "sqlite"


def _instant(ns: str) -> str:
    """A naive UTC datetime of UTC nanoseconds, to the microsecond. SQLite has no such type: it is the text that
    SQLAlchemy reads and compares as one."""
    if _is_sqlite():
        whole = f"strftime('%Y-%m-%d %H:%M:%S', {ns} / 1000000000, 'unixepoch')"
        return f"({whole} || printf('.%06d', {ns} / 1000 % 1000000))"
    return f"(timestamp '1970-01-01' + {ns} / 1000 * interval '1 microsecond')"


def _fact(*path: str | int) -> str:
    """A text of an instrument's document."""
    if _is_sqlite():
        steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
        return f"json_extract(document, '${steps}')"
    return f"CAST(document AS json) #>> '{{{','.join(map(str, path))}}}'"


def _element(column: str, place: str) -> str:
    """A number of a JSON array, counted from 0."""
    if _is_sqlite():
        return f"json_extract({column}, '$[' || ({place}) || ']')"
    return f"CAST(CAST({column} AS json) ->> ({place}) AS double precision)"


def _json(column: str) -> str:
    return column if _is_sqlite() else f"CAST({column} AS json)"


def _facts() -> str:
    """Names of instruments, read from their documents once a query."""
    return (
        f"facts AS MATERIALIZED (SELECT id, symbol, coalesce({_fact('sources', 'yahoo', 0)}, symbol) AS yahoo, "
        f"{_fact('asset_class')} AS asset_class, {_fact('calendar')} AS calendar FROM instruments)"
    )


# --- views ----------------------------------------------------------------------------------------------------------

# SQLite takes CROSS JOIN as the order of the loops: from an instrument into an index of its forecasts.


def _ml_predictions() -> str:
    return f"""
    WITH {_facts()}
    SELECT f.id, i.symbol, f.timeframe, f.forecaster AS model_name, f.version AS model_version,
        {_instant("f.issued_at")} AS created_at, {_instant("f.issued_at")} AS generated_at,
        {_instant("f.data_cutoff")} AS data_cutoff, f.horizon AS pred_len,
        {_json("f.p10")} AS p10, {_json("f.p50")} AS p50, {_json("f.p90")} AS p90, {_json("NULL")} AS samples,
        {_json("f.event_context")} AS event_context
    FROM facts i CROSS JOIN forecasts f
    WHERE f.instrument = i.id AND {SERVED}"""


def _kronos_predictions() -> str:
    """The date of a session is that of the last nanosecond of its daily bar, in UTC: midnight UTC ends the day before
    it, and the closes of New York (13:00 to 17:00) fall on the same day in UTC."""
    day_ns = "86400000000000"
    return f"""
    WITH {_facts()}
    SELECT id, symbol, model_name, "interval", prediction_made_at, target_date, predicted_open, predicted_high,
        predicted_low, predicted_close, predicted_volume, horizon_days
    FROM (
        SELECT *, row_number() OVER (
            PARTITION BY symbol, target_date, model_name ORDER BY issued_at DESC, cutoff DESC, id DESC) AS newness
        FROM (
            SELECT f.id * 1000 + b.step AS id, i.yahoo AS symbol, coalesce(h.hf_id, f.forecaster) AS model_name,
                f.timeframe AS "interval", {_instant("f.issued_at")} AS prediction_made_at,
                {_instant(f"((b.target_close - 1) / {day_ns} * {day_ns})")} AS target_date,
                b.open AS predicted_open, b.high AS predicted_high, b.low AS predicted_low,
                b.close AS predicted_close, b.volume AS predicted_volume, b.step AS horizon_days,
                f.issued_at, f.data_cutoff AS cutoff
            FROM facts i CROSS JOIN forecasts f CROSS JOIN forecast_bars b
                LEFT JOIN hf_ids h ON h.forecaster = f.forecaster
            WHERE f.instrument = i.id AND b.forecast_id = f.id AND {SERVED} AND f.timeframe = '1d') AS every_issue
        ) AS ranked
    WHERE newness = 1"""


def _evaluated_steps() -> str:
    """Scores at the stage that readers got, with what following the call had brought. Times in ns."""
    went = "CASE WHEN s.log_return > 1e-12 THEN 1 WHEN s.log_return < -1e-12 THEN -1 ELSE 0 END"
    cost = "CASE i.asset_class WHEN 'crypto' THEN 10e-4 WHEN 'equity' THEN 5e-4 WHEN 'fx_commodity' THEN 2e-4 END"
    called = f"CASE WHEN s.direction_hit IS NULL THEN 0 WHEN s.direction_hit = 1 THEN {went} \
WHEN s.direction_hit = 0 THEN -{went.replace('CASE', '(CASE')}) WHEN {_element('f.p50', 's.step - 1')} > f.base_price \
THEN 1 ELSE -1 END"
    return f"""
    WITH {_facts()}
    SELECT f.id AS forecast_id, f.instrument, i.symbol, i.calendar, f.timeframe, f.basis, f.forecaster, f.version,
        f.data_cutoff, f.issued_at, s.step, s.target_close, s.scored_at, f.base_price, f.p10, f.p50, f.p90, s.realised,
        {called} AS called, {went} AS went, s.direction_hit, s.covered_80, s.abs_error * f.base_price AS abs_error,
        s.pinball_mean AS loss,
        CASE WHEN s.direction_hit IS NULL THEN 0.0
            ELSE abs(s.log_return) * (2.0 * s.direction_hit - 1.0) - 2.0 * ({cost}) END AS strategy_return
    FROM facts i CROSS JOIN forecasts f CROSS JOIN scores s
    WHERE f.instrument = i.id AND s.forecast_id = f.id AND f.lane = 'live' AND f.role <> 'shadow' AND s.void_reason = ''
        AND s.stage = CASE WHEN f.calibrated_digest <> '' THEN 1 ELSE 0 END"""


def _signal_evaluations() -> str:
    p10, p50, p90 = (_element(name, "step - 1") for name in ("p10", "p50", "p90"))
    return f"""
    SELECT forecast_id * 100000 + step AS id, forecast_id AS prediction_id, symbol, timeframe, forecaster AS model_name,
        version AS model_version, step, (target_close - data_cutoff) / 3.6e12 AS horizon_hours,
        {_instant("issued_at")} AS issued_at, {_instant("target_close")} AS target_at, base_price,
        {p10} AS p10, {p50} AS p50, {p90} AS p90, realised AS actual_close, called AS predicted_direction,
        went AS realized_direction, direction_hit, covered_80 = 1 AS in_envelope, abs_error,
        100.0 * ({p50} - realised) / realised AS pct_error, strategy_return, {_instant("scored_at")} AS evaluated_at
    FROM evaluated_steps"""


def _signal_moments() -> str:
    """The figures of `signal_performance` but for a square root, which not every SQLite has."""
    key = "instrument, timeframe, basis, data_cutoff, step"
    same_key = " AND ".join(f"n.{name} = v.{name}" for name in key.split(", "))
    variance = "(squares - total * total / n) / nullif(n - 1, 0)"
    return f"""
    WITH naive AS (
        SELECT {key}, avg(loss) AS loss FROM evaluated_steps WHERE forecaster = 'ewma' GROUP BY {key})
    SELECT symbol, timeframe, model_name, step, n, hit_rate, envelope_rate, total / n AS mean_return,
        CASE WHEN {variance} > 1e-12 * squares / n THEN {variance} END AS variance,
        {_bars_in_year()} / step AS holdings_a_year, mean_abs_error, 1.0 - loss / nullif(naive_loss, 0.0) AS skill,
        first_issued, last_issued
    FROM (
        SELECT v.symbol, v.timeframe, v.forecaster AS model_name, v.step, min(v.calendar) AS calendar, count(*) AS n,
            avg(v.direction_hit) AS hit_rate, avg(1.0 * v.covered_80) AS envelope_rate,
            sum(v.strategy_return) AS total, sum(v.strategy_return * v.strategy_return) AS squares,
            avg(v.abs_error) AS mean_abs_error, sum(CASE WHEN n.loss IS NOT NULL THEN v.loss END) AS loss,
            sum(n.loss) AS naive_loss, min(v.issued_at) AS first_issued, max(v.issued_at) AS last_issued
        FROM evaluated_steps v LEFT JOIN naive n ON {same_key}
        GROUP BY v.symbol, v.timeframe, v.forecaster, v.step) AS sums"""


def _bars_in_year() -> str:
    """`score.returns.bars_in_year` of the columns `calendar` and `timeframe`; null for a calendar without a year."""
    count, unit = "CAST(rtrim(timeframe, 'smhdwo') AS double precision)", "ltrim(timeframe, '0123456789')"
    days_a_bar = (
        f"({count} * CASE {unit} WHEN 's' THEN 1 / 86400.0 WHEN 'm' THEN 1 / 1440.0 WHEN 'h' THEN 1 / 24.0 "
        "WHEN 'd' THEN 1.0 WHEN 'w' THEN 7.0 WHEN 'mo' THEN 30.0 END)"
    )
    hours, days = (
        f"CASE calendar WHEN 'always' THEN {always} WHEN 'nyse' THEN {nyse} "
        f"WHEN 'fx' THEN {fx} WHEN 'cme' THEN {fx} END"
        for always, nyse, fx in (("8760.0", "1638.0", "6240.0"), ("365.0", "252.0", "260.0"))
    )
    return (
        f"(CASE WHEN {unit} IN ('s', 'm', 'h') THEN {hours} / 24.0 / {days_a_bar} WHEN timeframe = '1d' THEN {days} "
        f"WHEN calendar IN ('always', 'nyse', 'fx', 'cme') THEN 365.0 / {days_a_bar} END)"
    )


# --- signal_performance ---------------------------------------------------------------------------------------------

FIGURES = "symbol, timeframe, model_name, step, n, hit_rate, envelope_rate, sharpe, mean_abs_error, skill"


def _performance_sqlite() -> None:
    """Rows that the board job refills, behind a view, so that nobody else writes them by this name."""
    texts = [sa.Column(name, sa.Text(), nullable=False) for name in ("symbol", "timeframe", "model_name")]
    doubles = ("hit_rate", "envelope_rate", "sharpe", "mean_abs_error", "skill")
    op.create_table(
        "signal_performance_rows",
        *texts,
        sa.Column("step", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=True) for name in doubles),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("first_issued", "last_issued", "refreshed")),
        sa.PrimaryKeyConstraint("symbol", "timeframe", "model_name", "step", name="pk_signal_performance_rows"),
    )
    instants = ", ".join(f"{_instant(name)} AS {name}_at" for name in ("first_issued", "last_issued", "refreshed"))
    op.execute(f"CREATE VIEW signal_performance AS SELECT {FIGURES}, {instants} FROM signal_performance_rows")


def _performance_postgresql() -> None:
    """A refresh needs the owner: the function lets a worker with fewer rights ask for one. CONCURRENTLY, for which the
    unique index is there, lets readers read on meanwhile."""
    sharpe = "CASE WHEN variance > 0 THEN mean_return / sqrt(variance) * sqrt(holdings_a_year) END AS sharpe"
    op.execute(
        f"CREATE MATERIALIZED VIEW signal_performance AS SELECT {FIGURES.replace('sharpe', sharpe)}, "
        f"{_instant('first_issued')} AS first_issued_at, {_instant('last_issued')} AS last_issued_at, "
        "clock_timestamp() AT TIME ZONE 'UTC' AS refreshed_at FROM signal_moments WITH DATA"
    )
    op.execute("CREATE UNIQUE INDEX uq_signal_performance ON signal_performance (symbol, timeframe, model_name, step)")
    op.execute(
        "CREATE FUNCTION refresh_signal_performance() RETURNS void LANGUAGE plpgsql SECURITY DEFINER "
        "SET search_path = gnomon, pg_temp AS "
        "$$ BEGIN REFRESH MATERIALIZED VIEW CONCURRENTLY gnomon.signal_performance; END $$"
    )
    op.execute("REVOKE ALL ON FUNCTION refresh_signal_performance() FROM PUBLIC")
