"""The ledger: issued once, in order, found again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from gnomon.clock import Timeframe
from gnomon.errors import Conflict, Invalid, NotFound, Unavailable
from gnomon.forecast.calibration import chance_above
from gnomon.store.chain import genesis
from gnomon.store.engine import reading
from gnomon.store.forecasts import ForecastLedger
from gnomon.units import HOUR_NS

LATE_NS = 2 * 10**18
TABLES = ("forecasts", "forecast_blocks", "forecast_paths", "forecast_bars")


@pytest.fixture
def ledger(engine: Engine) -> ForecastLedger:
    return ForecastLedger(engine)


def counts(engine: Engine) -> dict[str, int]:
    with reading(engine) as connection:
        return {table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in TABLES}


def whole_paths(horizon: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(90, 110, (8, horizon, 6))


def test_what_was_issued_is_found_as_it_was_said(ledger: ForecastLedger, make: SimpleNamespace) -> None:
    entry = make.entry(4, calibrated=True, params={"a": [1, 2]}, warnings=("one path",), seed=9)
    (id_,) = ledger.issue([entry], lane="live", issued_at_ns=LATE_NS, code_version="0.1").ids
    one, said = ledger.get(id_), entry.forecast
    assert (one.id, one.lane, one.variant, one.seq, one.code_version) == (id_, "live", "", 1, "0.1")
    for name in ("instrument", "basis", "forecaster", "version", "role", "seed", "base_price", "levels", "input_hash"):
        assert getattr(one, name) == getattr(said, name)
    assert (one.timeframe, one.horizon) == ("1h", 24)
    assert (one.as_of_ns, one.issued_at_ns, one.valid_until_ns) == (entry.as_of_ns, LATE_NS, entry.valid_until_ns)
    assert one.data_cutoff_ns == said.data_cutoff_ns
    assert one.target_open_ns == said.target_open_ns.tolist()
    assert one.target_close_ns == said.target_close_ns.tolist()
    assert one.p50 == (said.at_level(0.5) * 1.001).tolist()
    served = chance_above(said.quantiles * 1.001, said.levels, said.base_price)  # of the curve that readers get
    assert one.p_up == served.tolist() != said.p_up.tolist()
    assert (one.params, one.warnings, one.event_context) == ({"a": [1, 2]}, ("one path",), {"active": ["is_cpi"]})
    assert (one.calibration_id, one.job_key) == (7, "predict:4")
    np.testing.assert_array_equal(ledger.quantiles([id_])[id_], said.quantiles.astype(np.float32))
    np.testing.assert_array_equal(ledger.quantiles([id_], "calibrated")[id_], entry.calibrated.astype(np.float32))


def test_a_second_issue_changes_nothing_and_says_so(ledger: ForecastLedger, engine: Engine, make: Any) -> None:
    entries = [make.entry(number) for number in range(3)]
    first = ledger.issue(entries, lane="live", issued_at_ns=LATE_NS)
    before, head = counts(engine), ledger.head("live")
    other = [replace(entry, forecast=replace(entry.forecast, seed=99, base_price=1.0)) for entry in entries]
    again = ledger.issue(other, lane="live", issued_at_ns=LATE_NS + 1)
    assert (first.issued, first.existing) == (3, 0)
    assert (again.issued, again.existing, again.ids) == (0, 3, first.ids)
    assert (counts(engine), ledger.head("live")) == (before, head)
    assert ledger.get(first.ids[0]).seed == 0


def test_new_and_known_forecasts_mix_and_leave_no_gap(ledger: ForecastLedger, make: Any) -> None:
    ledger.issue([make.entry(1), make.entry(3)], lane="live", issued_at_ns=LATE_NS)
    mixed = ledger.issue([make.entry(n) for n in range(5)], lane="live", issued_at_ns=LATE_NS)
    assert (mixed.issued, mixed.existing) == (3, 2)
    assert [ledger.get(id_).data_cutoff_ns for id_ in mixed.ids] == [make.start_ns + n * HOUR_NS for n in range(5)]
    assert sorted(ledger.get(id_).seq for id_ in mixed.ids) == [1, 2, 3, 4, 5]
    assert ledger.verify("live")[0].rows == 5


def test_the_same_key_twice_in_one_call_is_one_forecast(ledger: ForecastLedger, make: Any) -> None:
    first, second = make.entry(1), make.entry(1, seed=5)
    issued = ledger.issue([first, second, make.entry(2)], lane="live", issued_at_ns=LATE_NS)
    assert (issued.issued, issued.existing) == (2, 1)
    assert issued.ids[0] == issued.ids[1] != issued.ids[2]
    assert ledger.get(issued.ids[0]).seed == 1


def test_nothing_at_all_is_no_fault(ledger: ForecastLedger) -> None:
    assert ledger.issue([], lane="live", issued_at_ns=1).ids == []
    assert ledger.head("live") == (0, genesis("live"))
    assert [one.ok for one in ledger.verify()] == [True, True]


def test_every_part_of_the_key_makes_another_forecast(ledger: ForecastLedger, make: Any) -> None:
    one = make.entry(1)
    changes = [
        {"instrument": "us:SPY"},
        {"timeframe": Timeframe.parse("2h")},
        {"basis": "split"},
        {"forecaster": "fhs"},
        {"version": "2"},
    ]
    entries = [one, *(replace(one, forecast=replace(one.forecast, **change)) for change in changes)]
    assert ledger.issue(entries, lane="live", issued_at_ns=LATE_NS).issued == 6
    assert ledger.issue(entries, lane="backfill", issued_at_ns=LATE_NS).issued == 6
    assert ledger.issue(entries, lane="backfill", variant="h24:s1", issued_at_ns=LATE_NS).issued == 6
    assert (ledger.head("live")[0], ledger.head("backfill")[0]) == (6, 12)
    cutoffs = {"lane": "backfill", "variant": "h24:s1", "instrument": one.forecast.instrument, "timeframe": "1h"}
    assert ledger.existing_cutoffs(**cutoffs, forecaster="ewma", version="1") == {one.forecast.data_cutoff_ns}
    assert ledger.existing_cutoffs(**cutoffs, forecaster="ewma", version="3") == set()
    assert ledger.existing_cutoffs(**cutoffs, forecaster="ewma", version="1", basis="adjusted") == set()


def test_a_live_forecast_has_no_variant(ledger: ForecastLedger, make: Any) -> None:
    for lane, variant in (("live", "s1"), ("other", "")):
        with pytest.raises(Invalid):
            ledger.issue([make.entry(1)], lane=lane, variant=variant, issued_at_ns=LATE_NS)
    assert ledger.head("live")[0] == 0


def test_one_bad_forecast_keeps_the_whole_batch_out(ledger: ForecastLedger, engine: Engine, make: Any) -> None:
    bad = make.entry(2)
    bad = replace(bad, forecast=replace(bad.forecast, quantiles=-bad.forecast.quantiles))
    with pytest.raises(Invalid):
        ledger.issue([make.entry(1), bad], lane="live", issued_at_ns=LATE_NS)
    assert counts(engine)["forecasts"] == 0


def test_daily_forecasts_with_whole_paths_bring_bars(ledger: ForecastLedger, engine: Engine, make: Any) -> None:
    daily = make.entry(1, timeframe=Timeframe.parse("1d"), horizon=40, paths=whole_paths(40), n_paths=8)
    hourly = make.entry(1, horizon=40, paths=whole_paths(40)[:, :, 3], n_paths=8)
    ids = ledger.issue([daily, hourly], lane="live", issued_at_ns=LATE_NS).ids
    assert counts(engine) == {"forecasts": 2, "forecast_blocks": 2, "forecast_paths": 2, "forecast_bars": 30}
    with reading(engine) as connection:
        rows = connection.execute(text("SELECT step, close FROM forecast_bars WHERE forecast_id = :id"), {"id": ids[0]})
        found = dict(rows.all())
    median = np.median(daily.forecast.paths[:, :, 3], axis=0)
    assert found == {step: float(median[step - 1]) for step in range(1, 31)}
    for id_ in ids:
        paths = ledger.paths(id_)
        assert paths is not None
        np.testing.assert_array_equal(paths, whole_paths(40)[:, :, 3].astype(np.float32))


def test_a_forecast_without_paths_says_none(ledger: ForecastLedger, make: Any) -> None:
    (id_,) = ledger.issue([make.entry(1)], lane="live", issued_at_ns=LATE_NS).ids
    assert ledger.paths(id_) is None


def test_the_latest_is_the_newest_that_had_been_issued_by_then(ledger: ForecastLedger, make: Any) -> None:
    times = [LATE_NS + n * HOUR_NS for n in (3, 1, 2)]
    for number, at_ns in enumerate(times):
        ledger.issue([make.entry(number)], lane="live", issued_at_ns=at_ns)
    key = ("binance:BTCUSDT", "1h", "ewma")
    naive = sorted((one.issued_at_ns, one.id) for one in ledger.find(lane="live"))

    def expected(as_of_ns: int) -> int | None:
        return max((pair for pair in naive if pair[0] <= as_of_ns), default=(0, None))[1]

    for as_of_ns in range(LATE_NS, LATE_NS + 5 * HOUR_NS, HOUR_NS // 2):
        found = ledger.latest(*key, as_of_ns=as_of_ns)
        assert (found.id if found else None) == expected(as_of_ns)
    assert ledger.latest(*key).issued_at_ns == times[0]
    assert ledger.latest(*key, lane="backfill") is None
    assert ledger.latest("binance:BTCUSDT", "1d", "ewma") is None


def test_of_one_issue_the_latest_is_that_of_the_newest_cutoff(ledger: ForecastLedger, make: Any) -> None:
    ledger.issue([make.entry(n) for n in (2, 5, 1)], lane="backfill", variant="v", issued_at_ns=LATE_NS)
    key = ("binance:BTCUSDT", "1h", "ewma")
    assert ledger.latest(*key, lane="backfill").seed == 5
    assert ledger.newest(*key, lane="backfill").seed == 5
    assert ledger.newest(*key, lane="backfill", as_of_ns=make.start_ns + 4 * HOUR_NS).seed == 2
    assert ledger.newest(*key, lane="backfill", as_of_ns=make.start_ns) is None


def test_the_latest_is_one_look_into_an_index(engine: Engine) -> None:
    statement = (
        "SELECT id FROM forecasts WHERE lane = 'live' AND instrument = 'i' AND timeframe = '1h' AND forecaster = 'f' "
        "AND issued_at <= 5 ORDER BY issued_at DESC, data_cutoff DESC LIMIT 1"
    )
    explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET enable_seqscan = off")  # an empty table is always scanned
        plan = " ".join(str(row) for row in connection.exec_driver_sql(f"{explain} {statement}"))
    assert "ix_forecasts_latest" in plan
    assert not any(word in plan.upper() for word in ("SORT", "TEMP B-TREE", "SCAN FORECASTS"))


def test_find_filters_and_goes_on_where_it_stopped(ledger: ForecastLedger, make: Any) -> None:
    entries = [make.entry(n, forecaster=name) for n in range(6) for name in ("ewma", "fhs")]
    ledger.issue(entries[:6], lane="live", issued_at_ns=LATE_NS)
    ledger.issue(entries, lane="backfill", variant="v", issued_at_ns=LATE_NS)
    everything = ledger.find(limit=1000)
    assert len(everything) == 18
    filters: list[dict[str, Any]] = [
        {"lane": "live"},
        {"lane": "backfill", "forecaster": "fhs"},
        {"variant": "v"},
        {"instrument": "none"},
        {"timeframe": "1h", "basis": "raw"},
        {"first_cutoff_ns": make.start_ns + HOUR_NS, "last_cutoff_ns": make.start_ns + 3 * HOUR_NS},
    ]
    for wanted in filters:
        first, last = wanted.pop("first_cutoff_ns", 0), wanted.pop("last_cutoff_ns", LATE_NS)
        naive = [
            one
            for one in everything
            if all(getattr(one, name) == value for name, value in wanted.items()) and first <= one.data_cutoff_ns < last
        ]
        pages: list[Any] = []
        while page := ledger.find(
            **wanted, first_cutoff_ns=first, last_cutoff_ns=last, limit=4, after_id=pages[-1].id if pages else 0
        ):
            pages += page
        assert pages == naive


def test_ids_that_do_not_exist_are_not_found(ledger: ForecastLedger, make: Any) -> None:
    (id_,) = ledger.issue([make.entry(1)], lane="live", issued_at_ns=LATE_NS).ids
    with pytest.raises(NotFound):
        ledger.get(id_ + 1)
    with pytest.raises(NotFound):
        ledger.quantiles([id_, id_ + 1])
    with pytest.raises(NotFound, match="calibrated"):
        ledger.quantiles([id_], "calibrated")
    assert ledger.quantiles([]) == {}


def test_many_quantiles_are_read_at_once(ledger: ForecastLedger, make: Any) -> None:
    entries = [make.entry(number, horizon=2) for number in range(1100)]
    ids = ledger.issue(entries, lane="backfill", issued_at_ns=LATE_NS).ids
    found = ledger.quantiles(ids)
    for id_, entry in zip(ids, entries, strict=True):
        np.testing.assert_array_equal(found[id_], entry.forecast.quantiles.astype(np.float32))


def test_writers_at_once_make_one_chain_without_gaps(engine: Engine, make: Any) -> None:
    """Eight threads, overlapping batches: each key once, sequence numbers without a gap, the chain whole."""
    ledger = ForecastLedger(engine)

    def issue(worker: int) -> int:
        done = 0
        for first in range(0, 40, 4):
            entries = [make.entry((first + worker + n) % 40, horizon=2) for n in range(8)]
            done += ledger.issue(entries, lane="live", issued_at_ns=LATE_NS).issued
        return done

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(issue, range(8))) == 40
    assert ledger.head("live")[0] == 40
    assert [(one.rows, one.ok) for one in ledger.verify()] == [(40, True), (0, True)]


@pytest.mark.parametrize("change", ["seq = 0", "seq = 7", "hash = prev.hash"])
def test_a_chain_whose_head_is_not_its_last_row_is_not_made_longer(
    ledger: ForecastLedger, engine: Engine, make: Any, change: str
) -> None:
    ledger.issue([make.entry(1)], lane="live", issued_at_ns=LATE_NS)
    change = change.replace("prev.hash", f"'{genesis('live')}'")
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE chain_heads SET {change} WHERE lane = 'live'"))
    before = counts(engine)
    with pytest.raises(Conflict) as refusal:
        ledger.issue([make.entry(2)], lane="live", issued_at_ns=LATE_NS)
    assert "verify" in refusal.value.hint
    assert counts(engine) == before


def test_a_damaged_block_is_said_to_be_damaged(ledger: ForecastLedger, engine: Engine, make: Any) -> None:
    (id_,) = ledger.issue([make.entry(1)], lane="live", issued_at_ns=LATE_NS).ids
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("DROP TRIGGER forecast_blocks_no_update")
        else:
            connection.exec_driver_sql("ALTER TABLE forecast_blocks DISABLE TRIGGER forecast_blocks_sealed")
        connection.execute(text("UPDATE forecast_blocks SET shape = '[1]'"))
    with pytest.raises(Unavailable, match="damaged"):
        ledger.quantiles([id_])
