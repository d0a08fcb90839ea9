"""Ingest: what is missing and nothing else, page by page, and what a failure leaves."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.clock import SimClock, Timeframe, iso, parse_instant
from gnomon.errors import NotFound, Unavailable
from gnomon.jobs.engine.memory import MemoryJobs
from gnomon.jobs.fetch import FIRST_FETCH_BARS, fetch, fetch_one, missing, source_of
from gnomon.jobs.handlers import Crew
from gnomon.market.candles import Candles
from gnomon.market.instrument import Instruments
from gnomon.sources.recorded import RecordedSource
from gnomon.sources.source import Request
from gnomon.store.store import Store
from gnomon.units import DAY_NS, HOUR_NS, MINUTE_NS

HOUR = Timeframe.parse("1h")
NOW_NS = parse_instant("2024-03-01T10:20:00Z")


@pytest.fixture
def clock() -> SimClock:
    return SimClock(NOW_NS)


@pytest.fixture
def source(bars: list[Candles], clock: SimClock) -> RecordedSource:
    made = RecordedSource.of(bars, clock, "binance")
    made.page_bars = 300
    return made


def log(source: RecordedSource) -> list[tuple[str, str]]:
    return [(iso(one.first_ns), iso(one.last_ns)) for one in source.asked]


@given(st.lists(st.booleans(), max_size=40))
def test_what_is_missing_is_told_in_runs(stored: list[bool]) -> None:
    opens = np.arange(len(stored), dtype=np.int64) * 10
    windows = list(missing(opens, opens[np.array(stored, bool)] if stored else opens, 10))
    inside = {int(at) for at in opens if any(one.first_ns <= at < one.last_ns for one in windows)}
    assert inside == {int(at) for at, there in zip(opens, stored, strict=True) if not there}
    assert sum(one.bars for one in windows) == len(inside)
    assert all(later.first_ns > earlier.last_ns for earlier, later in pairwise(windows))


def test_an_empty_series_is_filled_and_a_rerun_asks_for_nothing(
    store: Store, configured: Instruments, source: RecordedSource, clock: SimClock
) -> None:
    report = fetch_one(store, source, configured.find("BTCUSDT"), HOUR, clock)
    assert report.error is None
    assert report.pages == 5  # of 300 bars each: those that exist since January
    assert report.added == (parse_instant("2024-03-01T10:00:00Z") - parse_instant("2024-01-01")) // HOUR_NS
    assert log(source)[0][1] == "2024-03-01T10:00:00Z"
    assert (parse_instant(log(source)[0][1]) - parse_instant(log(source)[0][0])) // HOUR_NS == FIRST_FETCH_BARS
    source.asked.clear()
    again = fetch_one(store, source, configured.find("BTCUSDT"), HOUR, clock)
    assert (again.asked, again.added, log(source)) == ([], 0, [])
    clock.advance_to(NOW_NS + 2 * HOUR_NS)
    later = fetch_one(store, source, configured.find("BTCUSDT"), HOUR, clock)
    assert later.added == 2
    assert log(source) == [("2024-03-01T10:00:00Z", "2024-03-01T12:00:00Z")]


def test_a_gap_of_the_last_week_is_asked_for_again_and_an_older_one_only_on_request(
    store: Store, configured: Instruments, bars: list[Candles], source: RecordedSource, clock: SimClock
) -> None:
    btc = next(one for one in bars if one.instrument == "binance:BTCUSDT")
    hole = np.ones(len(btc), bool)
    for at in ("2024-02-10T05:00:00Z", "2024-02-28T07:00:00Z"):
        hole[btc.open_ns == parse_instant(at)] = False
    known = btc.take(hole & (btc.close_ns <= NOW_NS))
    store.market.extend([known], [configured.find("BTCUSDT")], recorded_ns=NOW_NS)
    assert fetch_one(store, source, configured.find("BTCUSDT"), HOUR, clock).added == 1
    assert log(source) == [("2024-02-28T07:00:00Z", "2024-02-28T08:00:00Z")]
    first_ns = parse_instant("2024-02-01")
    assert fetch_one(store, source, configured.find("BTCUSDT"), HOUR, clock, first_ns=first_ns).added == 1
    assert log(source)[1:] == [("2024-02-10T05:00:00Z", "2024-02-10T06:00:00Z")]


class Breaking(RecordedSource):
    """It fails after two pages, once."""

    fails = True

    def candles(self, request: Request) -> Iterator[Candles]:
        for number, page in enumerate(super().candles(request)):
            if number == 2 and self.fails:
                self.fails = False
                raise Unavailable("the line went dead", hint="try again")
            yield page


def test_what_came_before_a_failure_is_kept_and_the_rerun_asks_for_the_rest(
    store: Store, configured: Instruments, bars: list[Candles], clock: SimClock
) -> None:
    source = Breaking({("binance:BTCUSDT", "1h"): bars[0]}, clock, "binance", page_bars=300)
    report = fetch_one(store, source, configured.find("BTCUSDT"), HOUR, clock)
    assert (report.added, report.pages) == (600, 2)
    assert (report.error or {})["error"] == "unavailable"
    source.asked.clear()
    rest = fetch_one(store, source, configured.find("BTCUSDT"), HOUR, clock)
    assert rest.error is None
    assert log(source) == [("2024-01-26T00:00:00Z", "2024-03-01T10:00:00Z")]
    (series,) = store.market.series()
    assert series.rows == (parse_instant("2024-03-01T10:00:00Z") - parse_instant("2024-01-01")) // HOUR_NS


def test_a_bar_that_the_source_tells_otherwise_becomes_a_revision_knowable_now(
    store: Store, configured: Instruments, bars: list[Candles], clock: SimClock
) -> None:
    from dataclasses import replace

    btc = next(one for one in bars if one.instrument == "binance:BTCUSDT")
    fetch_one(store, RecordedSource.of([btc], clock, "binance"), configured.find("BTCUSDT"), HOUR, clock)
    first_ns = parse_instant("2024-02-20")
    row = int(np.flatnonzero(btc.open_ns == first_ns)[0])
    close = btc.close.copy()
    close[row] = btc.low[row]
    changed = RecordedSource.of([replace(btc, close=close)], clock, "binance")
    asked = {"first_ns": first_ns, "last_ns": first_ns + DAY_NS}
    report = fetch_one(store, changed, configured.find("BTCUSDT"), HOUR, clock, revise=True, **asked)
    assert report.revisions == (1 if close[row] != btc.close[row] else 0)
    tape = store.market.tape([("binance:BTCUSDT", HOUR, "raw")])
    view = tape.as_of(NOW_NS - MINUTE_NS).candles("binance:BTCUSDT", HOUR)
    assert view.close[view.open_ns == first_ns] == btc.close[row]
    now = tape.as_of(NOW_NS).candles("binance:BTCUSDT", HOUR)
    assert now.close[now.open_ns == first_ns] == close[row]


def test_one_instrument_without_a_source_stops_no_other(
    store: Store, configured: Instruments, source: RecordedSource, clock: SimClock
) -> None:
    chosen = [configured.find(name) for name in ("SPY", "BTCUSDT")]
    spy, btc = fetch(store, {"binance": source}, chosen, HOUR, clock)
    assert (spy.error or {})["error"] == "not_found"
    assert btc.added > 0
    with pytest.raises(NotFound, match="none of its sources"):
        source_of(configured.find("SPY"), {"binance": source})


def test_the_job_fetches_what_its_sources_have(
    store: Store, configured: Instruments, source: RecordedSource, clock: SimClock
) -> None:
    jobs = MemoryJobs(Crew(store, configured, clock, {"binance": source}).handlers(), clock, store.engine)
    jobs.enqueue("ingest", "1h", {"timeframe": "1h", "instruments": ["BTCUSDT", "ETHUSDT", "SOLUSDT"]})
    jobs.run_due()
    status = jobs.status("ingest:1h")
    assert status.state == "partial"  # there is no recording of SOLUSDT
    assert [one["instrument"] for one in status.result["failed"]] == ["binance:SOLUSDT"]
    assert {one.instrument for one in store.market.series()} == {"binance:BTCUSDT", "binance:ETHUSDT"}
