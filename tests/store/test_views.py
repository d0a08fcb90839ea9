"""The seeds' views against the same rows computed in Python from what the stores read."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from sqlalchemy import Engine, select, text

from gnomon.clock import Timeframe, parse_instant
from gnomon.errors import Refused
from gnomon.market.dataset import Passport
from gnomon.market.instrument import Instrument
from gnomon.score.forecasts import grade
from gnomon.score.returns import COST_ONE_WAY, bars_in_year
from gnomon.store.engine import writing
from gnomon.store.forecasts import LANES, ForecastLedger, StoredForecast
from gnomon.store.market import MarketStore
from gnomon.store.performance import PerformanceStore
from gnomon.store.scores import ScoreStore
from gnomon.store.tables import forecast_bars
from gnomon.store.views import (
    SeedViews,
    kronos_predictions,
    ml_predictions,
    signal_evaluations,
    signal_performance,
)
from gnomon.units import DAY_NS, HOUR_NS

DAY, HOUR = Timeframe.parse("1d"), Timeframe.parse("1h")
NEW_YORK = ZoneInfo("America/New_York")
VIEWS = (ml_predictions, kronos_predictions, signal_evaluations, signal_performance)
NOW_NS = parse_instant("2024-03-20T12:00:00.123456Z")


def moment(at_ns: int) -> datetime:
    """A naive UTC datetime, to the microsecond."""
    return datetime(1970, 1, 1) + timedelta(microseconds=at_ns // 1_000)  # noqa: DTZ001 - as the seeds have it


def sessions(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Opens and closes of New York's sessions from Friday 2024-03-08 on: across a weekend and the change of clocks."""
    days = [
        day for n in range(3 * count) if (day := datetime(2024, 3, 8, tzinfo=UTC) + timedelta(days=n)).weekday() < 5
    ]

    def at(hour: int, minute: int) -> np.ndarray:
        stamps = (day.replace(hour=hour, minute=minute, tzinfo=NEW_YORK) for day in days[:count])
        return np.array([int(stamp.timestamp()) * 10**9 for stamp in stamps])

    return at(9, 30), at(16, 0)


def fill(engine: Engine, make: SimpleNamespace, *, issues: int = 2) -> None:
    """Daily models with bars of two instruments, hourly rows of every role, some calibrated, and their scores."""
    btc = make.instrument(sources={"yahoo": ("BTC-USD",), "binance": ("BTCUSDT",)})
    spy = make.instrument("SPY", venue="us", asset_class="equity", calendar="nyse", sources={"yahoo": ("SPY",)})
    gold = make.instrument("GOLD", venue="cme", asset_class="fx_commodity", calendar="cme", sources={})
    candles = [make.candles(3), make.candles(3, instrument=spy.id), make.candles(3, instrument=gold.id)]
    MarketStore(engine).record(Passport.of(candles, "few"), candles, [btc, spy, gold], recorded_ns=1)
    ledger = ForecastLedger(engine)
    luck = np.random.default_rng(5)
    opens, closes = sessions(8)
    for issue in range(issues):
        entries = []
        for who, role in (("kronos-mini", "model"), ("mine", "model"), ("kronos-events", "shadow")):
            paths = 400 * np.exp(luck.normal(0, 0.01, (5, 6, 6)))
            entries.append(
                make.entry(
                    issue,
                    horizon=6,
                    timeframe=DAY,
                    instrument=spy.id,
                    forecaster=who,
                    role=role,
                    data_cutoff_ns=int(opens[issue]) - 1,
                    target_open_ns=opens[issue : issue + 6],
                    target_close_ns=closes[issue : issue + 6],
                    paths=paths,
                    n_paths=5,
                )
            )
        ledger.issue(entries, lane="live", issued_at_ns=NOW_NS + issue)
    hourly = [
        make.entry(number, horizon=6, forecaster=who, role=role, instrument=where, calibrated=number % 2 == 0)
        for number in range(6)
        for where in (btc.id, gold.id)
        for who, role in (("ewma", "baseline"), ("chronos-2", "model"), ("ensemble-pool", "ensemble"))
        if number < 5 or who != "ewma"
    ]
    ids = ledger.issue(hourly, lane="live", issued_at_ns=NOW_NS + DAY_NS).ids
    ledger.issue(hourly, lane="backfill", variant="h6:s0", issued_at_ns=NOW_NS + DAY_NS)
    daily = ledger.find(lane="live", timeframe="1d")
    for one in [ledger.get(number) for number in ids] + daily + ledger.find(lane="backfill", limit=4):
        mark(engine, ledger, one, luck)


def mark(engine: Engine, ledger: ForecastLedger, one: StoredForecast, luck: np.random.Generator) -> None:
    steps = (1, 2, 4)
    realised = one.base_price * np.exp(luck.normal(0, 0.02, (1, len(steps))))
    realised[0, 0] = one.base_price if one.id % 5 == 0 else realised[0, 0]  # some prices do not move
    void = np.full((1, 3), "", object)
    void[0, 2] = "roll" if one.id % 4 == 0 else ""
    for stage, kind in enumerate(("raw", "calibrated") if one.calibrated_digest else ("raw",)):
        graded = grade(
            ledger.quantiles([one.id], kind)[one.id][None],  # type: ignore[arg-type]  # a literal
            one.levels,
            np.array([one.base_price]),
            np.array([one.p_up]),
            steps,
            realised,
            forecast_id=np.array([one.id]),
            target_close_ns=np.array([one.target_close_ns])[:, [step - 1 for step in steps]],
            scored_at_ns=NOW_NS + 30 * DAY_NS,
            stage=stage,
            void_reason=void,
        )
        ScoreStore(engine).insert(graded)


@pytest.fixture
def filled(engine: Engine, make: SimpleNamespace) -> Engine:
    fill(engine, make)
    return engine


# --- the oracles ----------------------------------------------------------------------------------------------------


def instruments_of(engine: Engine) -> dict[str, Instrument]:
    return {one.id: one for one in MarketStore(engine).instruments()}


def live(engine: Engine) -> list[StoredForecast]:
    return ForecastLedger(engine).find(lane="live", limit=10_000)


def ml_rows(engine: Engine) -> list[dict[str, Any]]:
    known = instruments_of(engine)
    return [
        {
            "id": one.id,
            "symbol": known[one.instrument].symbol,
            "timeframe": one.timeframe,
            "model_name": one.forecaster,
            "model_version": one.version,
            "created_at": moment(one.issued_at_ns),
            "generated_at": moment(one.issued_at_ns),
            "data_cutoff": moment(one.data_cutoff_ns),
            "pred_len": one.horizon,
            "p10": one.p10,
            "p50": one.p50,
            "p90": one.p90,
            "samples": None,
            "event_context": one.event_context,
        }
        for one in live(engine)
        if one.role in ("model", "ensemble")
    ]


def kronos_rows(engine: Engine) -> list[dict[str, Any]]:
    known, newest = instruments_of(engine), {}
    names = {"kronos-mini": "NeoQuasar/Kronos-mini"}
    for one in sorted(live(engine), key=lambda row: (row.issued_at_ns, row.data_cutoff_ns, row.id)):
        if one.role not in ("model", "ensemble") or one.timeframe != "1d":
            continue
        with engine.connect() as connection:
            bars = connection.execute(select(forecast_bars).where(forecast_bars.c.forecast_id == one.id)).all()
        for bar in bars:
            day = datetime.fromtimestamp(bar.target_close // 10**9, NEW_YORK).date()
            row = {
                "id": one.id * 1000 + bar.step,
                "symbol": known[one.instrument].sources["yahoo"][0],
                "model_name": names.get(one.forecaster, one.forecaster),
                "interval": "1d",
                "prediction_made_at": moment(one.issued_at_ns),
                "target_date": datetime(day.year, day.month, day.day),  # noqa: DTZ001 - as the seeds have it
                "horizon_days": bar.step,
            }
            row |= {f"predicted_{name}": getattr(bar, name) for name in ("open", "high", "low", "close", "volume")}
            newest[row["symbol"], row["target_date"], row["model_name"]] = row
    return sorted(newest.values(), key=lambda row: row["id"])


def sign(change: float) -> int:
    return 0 if abs(change) <= 1e-12 else (1 if change > 0 else -1)


def evaluation_rows(engine: Engine) -> list[dict[str, Any]]:
    known, rows = instruments_of(engine), []
    by_id = {one.id: one for one in live(engine)}
    for timeframe in ("1h", "1d"):
        for stage in (0, 1):
            found, _ = ScoreStore(engine).read(lane="live", timeframe=timeframe, stage=stage)
            for place, number in enumerate(found.forecast_id.tolist()):
                one, step = by_id[number], int(found.step[place])
                if one.role == "shadow" or found.void_reason[place] or stage != bool(one.calibrated_digest):
                    continue
                middle, actual = one.p50[step - 1], float(found.realised[place])
                called, went = sign(middle / one.base_price - 1), sign(actual / one.base_price - 1)
                cost = 2 * COST_ONE_WAY[known[one.instrument].asset_class] * abs(called)
                rows.append(
                    {
                        "id": number * 100_000 + step,
                        "prediction_id": number,
                        "symbol": known[one.instrument].symbol,
                        "timeframe": timeframe,
                        "model_name": one.forecaster,
                        "model_version": one.version,
                        "step": step,
                        "horizon_hours": (one.target_close_ns[step - 1] - one.data_cutoff_ns) / HOUR_NS,
                        "issued_at": moment(one.issued_at_ns),
                        "target_at": moment(one.target_close_ns[step - 1]),
                        "base_price": one.base_price,
                        "p10": one.p10[step - 1],
                        "p50": middle,
                        "p90": one.p90[step - 1],
                        "actual_close": actual,
                        "predicted_direction": called,
                        "realized_direction": went,
                        "direction_hit": 0.5 if went == 0 else float(called == went),
                        "in_envelope": one.p10[step - 1] <= actual <= one.p90[step - 1],
                        "abs_error": abs(middle - actual),
                        "pct_error": 100 * (middle / actual - 1),
                        "strategy_return": called * np.log(actual / one.base_price) - cost,
                        "evaluated_at": moment(NOW_NS + 30 * DAY_NS),
                        "_loss": float(found.pinball_mean[place]),
                        "_key": (one.instrument, timeframe, one.basis, one.data_cutoff_ns, step),
                        "_year": bars_in_year(known[one.instrument].calendar, Timeframe.parse(timeframe)),
                    }
                )
    return sorted(rows, key=lambda row: row["id"])


def performance_rows(engine: Engine) -> list[dict[str, Any]]:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    every = evaluation_rows(engine)
    naive = {row["_key"]: row["_loss"] for row in every if row["model_name"] == "ewma"}
    for row in every:
        groups[tuple(row[name] for name in ("symbol", "timeframe", "model_name", "step"))].append(row)
    rows = []
    for key, group in sorted(groups.items()):
        came = np.array([row["strategy_return"] for row in group])
        common = [row for row in group if row["_key"] in naive]
        rows.append(
            {
                **dict(zip(("symbol", "timeframe", "model_name", "step"), key, strict=True)),
                "n": len(group),
                "hit_rate": np.mean([row["direction_hit"] for row in group]),
                "envelope_rate": np.mean([row["in_envelope"] for row in group]),
                "sharpe": came.mean() / came.std(ddof=1) * np.sqrt(group[0]["_year"] / key[3])
                if len(came) > 1
                else None,
                "mean_abs_error": np.mean([row["abs_error"] for row in group]),
                "skill": 1 - sum(row["_loss"] for row in common) / sum(naive[row["_key"]] for row in common)
                if common
                else None,
                "first_issued_at": min(row["issued_at"] for row in group),
                "last_issued_at": max(row["issued_at"] for row in group),
            }
        )
    return rows


def assert_same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Equal rows; floats to what float32 blocks leave of them."""
    assert expected
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        wanted = {name: value for name, value in other.items() if not name.startswith("_")}
        assert set(one) == set(wanted)
        for name, value in wanted.items():
            if isinstance(value, float):
                assert one[name] == pytest.approx(value, rel=2e-5, abs=2e-4), name
            else:
                assert one[name] == value, name


# --- tests ----------------------------------------------------------------------------------------------------------


def test_ml_predictions_are_the_live_rows_of_models_and_ensembles(filled: Engine) -> None:
    assert_same(SeedViews(filled).read(ml_predictions), ml_rows(filled))


def test_the_reader_in_python_gives_the_samples_that_sql_cannot(filled: Engine) -> None:
    rows = SeedViews(filled).ml_predictions(ml_predictions.c.model_name == "kronos-mini")
    assert [row["created_at"] for row in rows] == sorted((row["created_at"] for row in rows), reverse=True)
    for row in rows:
        np.testing.assert_array_equal(row["samples"], ForecastLedger(filled).paths(row["id"]))
    (newest,) = SeedViews(filled).ml_predictions(ml_predictions.c.model_name == "chronos-2", limit=1)
    assert newest["samples"] is None


def test_kronos_predictions_show_the_latest_issue_of_each_session(filled: Engine) -> None:
    rows = SeedViews(filled).read(kronos_predictions)
    assert_same(rows, kronos_rows(filled))
    dates = [row["target_date"] for row in rows if row["model_name"] == "NeoQuasar/Kronos-mini"]
    assert len(dates) == len(set(dates)) == 7  # two issues of six steps, a session apart
    assert {day.weekday() for day in dates} == {0, 1, 2, 3, 4}


def test_a_second_issue_supersedes_the_first_and_both_stay_in_the_ledger(engine: Engine, make: SimpleNamespace) -> None:
    fill(engine, make, issues=1)
    (before,) = _closes_of(engine, "2024-03-11")
    fill(engine, make, issues=2)
    (after,) = _closes_of(engine, "2024-03-11")
    assert (before["horizon_days"], after["horizon_days"]) == (2, 1)
    assert before["id"] != after["id"]
    kept = [one for one in live(engine) if one.forecaster == "kronos-mini"]
    assert len(kept) == 2


def _closes_of(engine: Engine, day: str) -> list[dict[str, Any]]:
    """The seed's look-up: a symbol and a session's date at midnight."""
    return SeedViews(engine).read(
        kronos_predictions,
        kronos_predictions.c.symbol == "SPY",
        kronos_predictions.c.target_date == datetime.fromisoformat(day),
        kronos_predictions.c.model_name == "NeoQuasar/Kronos-mini",
    )


def test_a_forecaster_is_shown_by_its_name_at_the_hub(filled: Engine) -> None:
    SeedViews(filled).name_at_hub("mine", "me/mine")
    SeedViews(filled).name_at_hub("mine", "me/mine-2")
    names = {row["model_name"] for row in SeedViews(filled).read(kronos_predictions)}
    assert names == {"NeoQuasar/Kronos-mini", "me/mine-2"}


def test_signal_evaluations_are_the_scores_at_the_stage_that_was_served(filled: Engine) -> None:
    rows = SeedViews(filled).read(signal_evaluations)
    assert_same(rows, evaluation_rows(filled))
    assert {row["direction_hit"] for row in rows} == {0.0, 0.5, 1.0}


def test_signal_performance_is_refreshed_from_them(filled: Engine) -> None:
    assert SeedViews(filled).read(signal_performance) == []
    count = PerformanceStore(filled).refresh(NOW_NS)
    rows = SeedViews(filled).read(signal_performance)
    assert count == len(rows)
    stamps = {row.pop("refreshed_at") for row in rows}
    assert len(stamps) <= count
    assert_same(rows, performance_rows(filled))
    assert {row["skill"] for row in rows if row["model_name"] == "ewma"} == {0.0}
    assert [row["skill"] for row in rows if row["timeframe"] == "1d"] == [None] * 6


def test_a_refresh_replaces_what_was_there(filled: Engine, make: SimpleNamespace) -> None:
    performance = PerformanceStore(filled)
    first = performance.refresh(NOW_NS)
    before = SeedViews(filled).read(signal_performance)
    ledger = ForecastLedger(filled)
    (number,) = ledger.issue([make.entry(50)], lane="live", issued_at_ns=NOW_NS * 2).ids
    mark(filled, ledger, ledger.get(number), np.random.default_rng(1))
    assert performance.refresh(NOW_NS + HOUR_NS) == first
    after = SeedViews(filled).read(signal_performance)
    assert sum(row["n"] for row in after) == sum(row["n"] for row in before) + 3


def test_an_empty_database_has_empty_views(engine: Engine) -> None:
    assert PerformanceStore(engine).refresh(NOW_NS) == 0
    for view in VIEWS:
        assert SeedViews(engine).read(view) == []
    assert SeedViews(engine).ml_predictions() == []


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_view_refuses_every_write(filled: Engine, view: Any) -> None:
    PerformanceStore(filled).refresh(NOW_NS)
    before = SeedViews(filled).read(view)
    for statement in (
        f"UPDATE {view.name} SET symbol = 'x'",
        f"DELETE FROM {view.name}",
        f"INSERT INTO {view.name} (symbol) VALUES ('x')",
    ):
        with pytest.raises(Refused, match="view") as refusal, writing(filled) as connection:
            connection.execute(text(statement))
        assert "views" in refusal.value.hint
    assert SeedViews(filled).read(view) == before


def test_the_lanes_are_kept_apart(filled: Engine) -> None:
    assert len(LANES) == 2
    shown = {row["id"] for row in SeedViews(filled).read(ml_predictions)}
    assert shown.isdisjoint(one.id for one in ForecastLedger(filled).find(lane="backfill", limit=1_000))


@pytest.mark.parametrize(
    "asked",
    [
        "SELECT p50 FROM ml_predictions WHERE symbol = 'BTCUSDT' AND model_name = 'chronos-2'",
        "SELECT p50 FROM signal_evaluations WHERE symbol = 'BTCUSDT' AND model_name = 'chronos-2'",
        "SELECT * FROM kronos_predictions WHERE symbol = 'SPY' AND horizon_days = 1",
    ],
)
def test_a_look_up_by_symbol_goes_through_an_index_of_the_instrument_s_forecasts(filled: Engine, asked: str) -> None:
    with filled.connect() as connection:
        if filled.dialect.name == "sqlite":
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}")]
        else:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # the tables of a test are small
            plan = list(connection.exec_driver_sql(f"EXPLAIN {asked}").scalars())
    assert "ix_forecasts_" in "\n".join(plan)


@pytest.mark.parametrize("calendar", ["always", "nyse", "fx", "cme", "moon"])
def test_the_year_of_a_calendar_is_that_of_the_score_package(engine: Engine, calendar: str) -> None:
    expression = import_module("gnomon.store.migrations.versions.0003_views")._bars_in_year()
    for timeframe in ("1s", "5m", "15m", "1h", "4h", "1d", "3d", "1w", "1mo"):
        asked = text(f"SELECT {expression} FROM (SELECT CAST(:c AS text) AS calendar, CAST(:t AS text) AS timeframe) x")
        with engine.connect() as connection:
            found = connection.execute(asked, {"c": calendar, "t": timeframe}).scalar()
        if calendar == "moon":
            assert found is None
        else:
            assert float(found) == pytest.approx(bars_in_year(calendar, Timeframe.parse(timeframe))), timeframe


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


@pytest.fixture
def on_postgresql(filled: Engine) -> Engine:
    if filled.dialect.name != "postgresql":
        pytest.skip("roles and materialised views are PostgreSQL's")
    return filled


def test_a_worker_with_fewer_rights_may_be_granted_the_refresh(on_postgresql: Engine) -> None:
    performance = PerformanceStore(on_postgresql)
    role = f"worker_{on_postgresql.url.database}"
    with on_postgresql.begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role}")
        connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA gnomon TO {role}")
        connection.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA gnomon TO {role}")
        connection.exec_driver_sql(f"ALTER ROLE {role} LOGIN")
    from gnomon.store.engine import open_engine

    theirs = open_engine(on_postgresql.url.set(username=role).render_as_string(hide_password=False))
    with pytest.raises(Refused, match="may not refresh") as refusal:
        PerformanceStore(theirs).refresh(NOW_NS)
    assert "GRANT EXECUTE" in refusal.value.hint
    with on_postgresql.begin() as connection:
        connection.exec_driver_sql(f"GRANT EXECUTE ON FUNCTION refresh_signal_performance() TO {role}")
    assert PerformanceStore(theirs).refresh(NOW_NS) == performance.refresh(NOW_NS) > 0
    theirs.dispose()
    with on_postgresql.begin() as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {role}")
        connection.exec_driver_sql(f"DROP ROLE {role}")


def test_a_refresh_waits_for_no_reader_and_no_reader_for_it(on_postgresql: Engine) -> None:
    performance = PerformanceStore(on_postgresql)
    performance.refresh(NOW_NS)
    with on_postgresql.connect() as reader, reader.begin():
        count = reader.execute(text("SELECT count(*) FROM signal_performance")).scalar_one()
        assert performance.refresh(NOW_NS) == count  # the reader's transaction is open
        with on_postgresql.begin() as writer:
            writer.execute(text("SELECT refresh_signal_performance()"))
            reader.execute(text("SET LOCAL lock_timeout = '1s'"))
            assert reader.execute(text("SELECT count(*) FROM signal_performance")).scalar_one() == count
