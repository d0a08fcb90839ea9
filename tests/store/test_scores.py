"""Scores in and out, and what is still to be scored, against loops over the ledger."""

from __future__ import annotations

from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from gnomon.clock import Timeframe
from gnomon.forecast.calibration import chance_above
from gnomon.score.forecasts import Scores, graded_steps
from gnomon.store.engine import reading
from gnomon.store.forecasts import ForecastLedger
from gnomon.store.scores import ScoreStore
from gnomon.units import HOUR_NS

LATE_NS = 2 * 10**18
HOUR = Timeframe.parse("1h")


def some_scores(ids: list[int], steps: tuple[int, ...] = (1, 2, 3), *, stage: int = 0, seed: int = 0) -> Scores:
    """Random figures for each id and step; every seventh row is void, every fifth has no call."""
    luck = np.random.default_rng(seed)
    count = len(ids) * len(steps)
    columns: dict[str, Any] = {one.name: luck.normal(size=count) for one in fields(Scores)}
    columns |= {name: luck.integers(0, 2, count).astype(float) for name in ("covered_50", "covered_80", "covered_90")}
    columns |= {
        "side_80": luck.integers(-1, 2, count).astype(float),
        "pit_bin": luck.integers(0, 10, count).astype(float),
    }
    columns["direction_hit"] = np.where(np.arange(count) % 5 == 4, np.nan, luck.choice([0.0, 0.5, 1.0], count))
    void = np.arange(count) % 7 == 6
    for name, column in columns.items():
        columns[name] = np.where(void, np.nan, column)
    columns |= {
        "forecast_id": np.repeat(np.array(ids, np.int64), len(steps)),
        "step": np.tile(np.array(steps, np.int64), len(ids)),
        "stage": np.full(count, stage, np.int8),
        "target_close_ns": luck.integers(0, 2**62, count),
        "realised_revision": luck.integers(0, 3, count),
        "realised_at_ns": np.full(count, LATE_NS, np.int64),
        "scored_at_ns": np.full(count, LATE_NS, np.int64),
        "void_reason": np.array(
            [("roll", "halt", "bar 'absent' %s")[n % 3] if v else "" for n, v in enumerate(void)], object
        ),
    }
    return Scores(**columns)


def assert_same(found: Scores, expected: Scores) -> None:
    for one in fields(Scores):
        left, right = getattr(found, one.name), getattr(expected, one.name)
        assert left.dtype == right.dtype, one.name
        np.testing.assert_array_equal(left, right, one.name)


@pytest.fixture
def ledger(engine: Engine) -> ForecastLedger:
    return ForecastLedger(engine)


@pytest.fixture
def store(engine: Engine) -> ScoreStore:
    return ScoreStore(engine)


def issued(ledger: ForecastLedger, make: Any, numbers: range, *, variant: str = "v", **changes: Any) -> list[int]:
    entries = [make.entry(number, **changes) for number in numbers]
    return ledger.issue(entries, lane="backfill", variant=variant, issued_at_ns=LATE_NS).ids


def test_scores_come_back_as_they_went(store: ScoreStore, ledger: ForecastLedger, make: SimpleNamespace) -> None:
    ids = issued(ledger, make, range(20))
    scores = some_scores(ids)
    assert store.insert(scores) == 60
    found, keys = store.read(lane="backfill", timeframe="1h")
    assert_same(found, scores)
    assert keys.forecaster.tolist() == ["ewma"] * 60
    assert keys.version.tolist() == ["1"] * 60
    assert keys.instrument.tolist() == ["binance:BTCUSDT"] * 60
    assert keys.data_cutoff_ns.tolist() == np.repeat(make.start_ns + np.arange(20) * HOUR_NS, 3).tolist()
    assert keys.data_cutoff_ns.dtype == np.int64


def test_missing_figures_are_null_in_the_table(
    store: ScoreStore, ledger: ForecastLedger, engine: Engine, make: Any
) -> None:
    store.insert(some_scores(issued(ledger, make, range(3))))
    with reading(engine) as connection:
        nulls = "SELECT count(*) FROM scores WHERE crps IS NULL AND covered_80 IS NULL AND realised IS NULL"
        assert connection.execute(text(nulls)).scalar() == 1
        assert connection.execute(text("SELECT count(*) FROM scores WHERE void_reason <> ''")).scalar() == 1
        average = connection.execute(text("SELECT avg(crps) FROM scores")).scalar_one()
        assert average == average  # no NaN in SQL: it would poison every aggregate


def test_scores_are_inserted_once(store: ScoreStore, ledger: ForecastLedger, make: SimpleNamespace) -> None:
    ids = issued(ledger, make, range(10))
    first = some_scores(ids[:6])
    assert store.insert(first) == 18
    again = some_scores(ids, seed=1)
    assert store.insert(again) == 12
    assert store.insert(again) == 0
    found, _ = store.read(lane="backfill", timeframe="1h")
    assert_same(found, Scores.join([first, again.take(slice(18, None))]))


def test_stages_are_kept_apart(store: ScoreStore, ledger: ForecastLedger, make: SimpleNamespace) -> None:
    ids = issued(ledger, make, range(4))
    raw, calibrated = some_scores(ids), some_scores(ids, stage=1, seed=1)
    assert store.insert(Scores.join([raw, calibrated])) == 24
    assert_same(store.read(lane="backfill", timeframe="1h")[0], raw)
    assert_same(store.read(lane="backfill", timeframe="1h", stage=1)[0], calibrated)


def test_no_scores_are_no_fault(store: ScoreStore) -> None:
    assert store.insert(some_scores([])) == 0
    found, keys = store.read(lane="live", timeframe="1h")
    assert len(found) == len(keys) == 0
    assert_same(found, some_scores([]))
    assert store.pending(known_until_ns=LATE_NS) == []


def test_scores_are_read_by_filter(store: ScoreStore, ledger: ForecastLedger, make: SimpleNamespace) -> None:
    kinds = [(who, what) for who in ("ewma", "fhs") for what in ("binance:BTCUSDT", "us:SPY")]
    parts = []
    for number, (who, what) in enumerate(kinds):
        parts.append(some_scores(issued(ledger, make, range(8), forecaster=who, instrument=what), seed=number))
        store.insert(parts[-1])
    noise = issued(ledger, make, range(8), variant="other") + issued(ledger, make, range(8), basis="split")
    store.insert(some_scores(noise))
    common: dict[str, Any] = {"lane": "backfill", "variant": "v", "timeframe": "1h", "basis": "raw"}
    assert_same(store.read(**common)[0], Scores.join(parts))
    assert_same(store.read(**common, forecasters=["fhs"])[0], Scores.join(parts[2:]))
    assert_same(store.read(**common, instruments=["us:SPY"])[0], Scores.join([parts[1], parts[3]]))
    found, keys = store.read(**common, instruments=["us:SPY", "none"], forecasters=("fhs",))
    assert_same(found, parts[3])
    assert set(keys.forecaster) == {"fhs"}
    span = {"first_cutoff_ns": make.start_ns + 2 * HOUR_NS, "last_cutoff_ns": make.start_ns + 4 * HOUR_NS}
    assert_same(store.read(**common, **span)[0], Scores.join([part.take(slice(6, 12)) for part in parts]))
    assert len(store.read(**common, instruments=[])[0]) == 0
    assert len(store.read(lane="live", timeframe="1h")[0]) == 0
    assert len(store.read(lane="backfill", timeframe="1d")[0]) == 0
    assert len(store.read(lane="backfill", timeframe="1h")[0]) == 6 * 24


# --- what is pending --------------------------------------------------------------------------------------------


def test_a_pending_forecast_has_what_scoring_needs(store: ScoreStore, ledger: ForecastLedger, make: Any) -> None:
    entry = make.entry(3, calibrated=True)
    (id_,) = ledger.issue([entry], lane="live", issued_at_ns=LATE_NS).ids
    (one,) = store.pending(known_until_ns=LATE_NS, lane="live")
    said = entry.forecast
    assert (one.id, one.lane, one.instrument, one.timeframe) == (id_, "live", said.instrument, "1h")
    assert (one.data_cutoff_ns, one.issued_at_ns, one.base_price) == (said.data_cutoff_ns, LATE_NS, said.base_price)
    assert (one.horizon, one.levels, one.has_calibrated) == (24, said.levels, True)
    np.testing.assert_array_equal(one.target_open_ns, said.target_open_ns)
    np.testing.assert_array_equal(one.target_close_ns, said.target_close_ns)
    served = chance_above(said.quantiles * 1.001, said.levels, said.base_price)  # of the curve that readers get
    np.testing.assert_array_equal(one.p_up, served)
    assert one.steps == graded_steps(HOUR, 24) == (1, 2, 3, 4, 6, 8, 12, 18, 24)
    assert one.p_up.dtype == np.float64
    assert one.target_close_ns.dtype == np.int64


@pytest.mark.parametrize("given", [None, {"1h": (1, 5, 200), "1d": (1,)}, {"1h": ()}, {}])
def test_due_are_graded_steps_that_have_matured_and_have_no_score(
    store: ScoreStore, ledger: ForecastLedger, make: Any, given: dict[str, tuple[int, ...]] | None
) -> None:
    ids = issued(ledger, make, range(30))
    store.insert(some_scores(ids[:10], (1, 2, 3)))
    store.insert(some_scores(ids[10:15], (1, 2, 3), stage=1))  # another stage: nothing of the raw one is done
    store.insert(some_scores(ids[15:20], graded_steps(HOUR, 24)))
    steps = graded_steps(HOUR, 24) if given is None else [step for step in given.get("1h", ()) if step <= 24]
    done = {id_: {1, 2, 3} for id_ in ids[:10]} | {id_: set(graded_steps(HOUR, 24)) for id_ in ids[15:20]}
    for known_until_ns in range(make.start_ns - 1, make.start_ns + 60 * HOUR_NS, 5 * HOUR_NS + 1):
        naive = {}
        for one in ledger.find(limit=1000):
            due = [
                s for s in steps if one.target_close_ns[s - 1] <= known_until_ns and s not in done.get(one.id, set())
            ]
            if due:
                naive[one.id] = tuple(due)
        found = store.pending(given, known_until_ns=known_until_ns)
        assert {one.id: one.steps for one in found} == naive


def test_what_is_pending_is_filtered_like_the_ledger(store: ScoreStore, ledger: ForecastLedger, make: Any) -> None:
    issued(ledger, make, range(5))
    issued(ledger, make, range(5), forecaster="fhs", variant="w")
    issued(ledger, make, range(5), instrument="us:SPY", timeframe=Timeframe.parse("1d"), basis="split")
    ledger.issue([make.entry(1)], lane="live", issued_at_ns=LATE_NS)
    filters: list[dict[str, Any]] = [
        {},
        {"lane": "live"},
        {"forecaster": "fhs"},
        {"variant": "v"},
        {"instrument": "us:SPY"},
        {"timeframe": "1d"},
        {"basis": "split"},
        {"first_cutoff_ns": make.start_ns + HOUR_NS, "last_cutoff_ns": make.start_ns + 3 * HOUR_NS},
    ]
    for wanted in filters:
        expected = [one.id for one in ledger.find(**wanted)]
        assert [one.id for one in store.pending(known_until_ns=LATE_NS * 2, **wanted)] == expected
        assert expected


def test_scored_forecasts_are_not_pending_any_more(store: ScoreStore, ledger: ForecastLedger, make: Any) -> None:
    ids = issued(ledger, make, range(700), horizon=2)
    pending = store.pending(known_until_ns=LATE_NS)
    assert [one.id for one in pending] == ids
    store.insert(some_scores(ids[:650], (1, 2)))
    assert [one.id for one in store.pending(known_until_ns=LATE_NS)] == ids[650:]


def test_no_block_is_read_to_know_what_is_pending(
    store: ScoreStore, ledger: ForecastLedger, engine: Engine, make: Any
) -> None:
    issued(ledger, make, range(3))
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE forecast_blocks")
    assert len(store.pending(known_until_ns=LATE_NS)) == 3
