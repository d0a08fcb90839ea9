"""Issuing forecasts: lanes, cutoffs, misses, one issue a slot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gnomon.clock import SimClock, Timeframe, iso, parse_instant
from gnomon.errors import NotFound
from gnomon.forecast.catalog import BASELINES
from gnomon.jobs.predict import Plan, predict, subjects
from gnomon.market.instrument import Instruments
from gnomon.store.store import Store
from gnomon.units import HOUR_NS, MINUTE_NS

HOUR = Timeframe.parse("1h")
LAST_NS = parse_instant("2024-04-01")


def plan(store: Store, configured: Instruments, *names: str, forecasters: tuple[str, ...] = ("ewma",)) -> Plan:
    return Plan(tuple(subjects(store, configured, HOUR, names)), HOUR, 24, forecasters)


def test_now_issues_live_forecasts_from_the_newest_closed_bar(filled: Store, configured: Instruments) -> None:
    now_ns = LAST_NS + 5 * MINUTE_NS
    report = predict(filled, plan(filled, configured, "BTCUSDT", forecasters=BASELINES), SimClock(now_ns))
    assert (report.lane, report.issued, report.missed, report.failed) == ("live", len(BASELINES), [], [])
    for stored in map(filled.forecasts.get, report.ids):
        assert stored.data_cutoff_ns == LAST_NS
        assert stored.issued_at_ns == now_ns
        assert stored.valid_until_ns == LAST_NS + HOUR_NS + 10 * MINUTE_NS
        assert list(stored.target_close_ns) == [LAST_NS + step * HOUR_NS for step in range(1, 25)]
        assert all(low <= mid <= high for low, mid, high in zip(stored.p10, stored.p50, stored.p90, strict=True))


def test_a_slot_is_issued_once_whatever_the_seed(filled: Store, configured: Instruments) -> None:
    first = predict(filled, plan(filled, configured, "BTCUSDT", forecasters=("fhs",)), SimClock(LAST_NS))
    asked = plan(filled, configured, "BTCUSDT", forecasters=("fhs",))
    again = predict(filled, Plan(asked.subjects, HOUR, 24, ("fhs",), seed=9), SimClock(LAST_NS + 1))
    assert (first.issued, again.issued, again.existing) == (1, 0, 1)
    assert first.ids == again.ids


def test_as_of_goes_to_the_backfill_lane_with_its_real_issue_time(filled: Store, configured: Instruments) -> None:
    as_of_ns, now_ns = parse_instant("2024-03-10T07:31:00Z"), LAST_NS + 10 * HOUR_NS
    report = predict(filled, plan(filled, configured, "ETHUSDT"), SimClock(now_ns), as_of_ns=as_of_ns)
    stored = filled.forecasts.get(report.ids[0])
    assert (stored.lane, stored.variant) == ("backfill", "h24:s0")
    assert (iso(stored.data_cutoff_ns), stored.issued_at_ns) == ("2024-03-10T07:00:00Z", now_ns)
    assert filled.forecasts.latest("binance:ETHUSDT", "1h", "ewma") is None, "live readers never see a backfill"


def test_a_missing_bar_is_a_miss_and_never_the_bar_before(filled: Store, configured: Instruments) -> None:
    late_ns = LAST_NS + 3 * HOUR_NS
    report = predict(filled, plan(filled, configured, "BTCUSDT", "ETHUSDT"), SimClock(late_ns))
    assert (report.issued, report.ids) == (0, [])
    assert [one["instrument"] for one in report.missed] == ["BTCUSDT", "ETHUSDT"]
    assert "2024-04-01T03:00:00Z is missing" in report.missed[0]["reason"]


def test_a_closed_market_is_forecast_from_its_last_bar(filled: Store, configured: Instruments) -> None:
    sunday_ns = parse_instant("2024-03-24T12:00:00Z")
    report = predict(filled, plan(filled, configured, "EURUSD"), SimClock(LAST_NS), as_of_ns=sunday_ns)
    stored = filled.forecasts.get(report.ids[0])
    assert iso(stored.data_cutoff_ns) == "2024-03-22T21:00:00Z"  # Friday 17:00 New York, summer time
    assert iso(stored.target_close_ns[0]) == "2024-03-24T22:00:00Z"  # the hour after Sunday 17:00


def test_the_stored_quantiles_are_those_of_the_forecaster(filled: Store, configured: Instruments) -> None:
    report = predict(filled, plan(filled, configured, "BTCUSDT"), SimClock(LAST_NS))
    stored = filled.forecasts.get(report.ids[0])
    quantiles = filled.forecasts.quantiles(report.ids)[stored.id]
    assert quantiles.shape == (24, len(stored.levels))
    np.testing.assert_array_equal(quantiles[:, list(stored.levels).index(0.1)], np.float32(stored.p10))


def test_unknown_names_are_refused_with_the_nearest(filled: Store, configured: Instruments) -> None:
    with pytest.raises(NotFound, match="no instrument 'BTCUSD'") as caught:
        plan(filled, configured, "BTCUSD")
    assert "BTCUSDT" in caught.value.hint
    with pytest.raises(NotFound, match="no bars of GOLD at 1h"):
        plan(filled, configured, "GOLD")
    assert [one.instrument.symbol for one in subjects(filled, configured, HOUR)] == ["BTCUSDT", "ETHUSDT", "EURUSD"]


def test_a_failing_forecaster_stops_no_other(filled: Store, configured: Instruments) -> None:
    report = predict(filled, plan(filled, configured, "BTCUSDT", forecasters=("ewma", "emwa")), SimClock(LAST_NS))
    assert report.issued == 1
    assert [(one["forecaster"], one["error"]) for one in report.failed] == [("emwa", "not_found")]


def test_within_a_bar_the_context_is_that_of_its_open(filled: Store, configured: Instruments) -> None:
    """The bar that is forming at the instant is stored here; it takes no place in the look-back."""
    wanted = Plan(tuple(subjects(filled, configured, HOUR, ("BTCUSDT",))), HOUR, 24, ("ewma",), lookback_bars=100)
    hashes = set()
    for seed, as_of in enumerate(("2024-03-10T07:00:00Z", "2024-03-10T07:31:00Z", "2024-03-10T07:59:59Z")):
        asked = replace(wanted, seed=seed)
        report = predict(filled, asked, SimClock(LAST_NS), as_of_ns=parse_instant(as_of))
        hashes.add(filled.forecasts.get(report.ids[0]).input_hash)
    assert len(hashes) == 1
