"""Prints into a real store: whole days, each once, whichever way they come."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.sources.binance.exchange import Exchange, bitcoin, ms, prints_from, window
from tests.sources.loopback import Fault, Loopback

from gnomon.clock import SimClock, parse_instant
from gnomon.errors import Invalid
from gnomon.jobs.fetch_trades import FetchedTrades, fetch_trades
from gnomon.market.trades import Trades
from gnomon.sources.binance.dumps import BinanceDumps
from gnomon.sources.binance.rest import BinanceRest
from gnomon.sources.http import HttpRetries
from gnomon.store.store import Store

NOW = "2025-03-04T12:00:00Z"
PRINTS = prints_from(ms("2025-03-01T23:59:30Z"), 400)  # over midnight
WINDOW = parse_instant("2025-03-01"), parse_instant("2025-03-05")


def exchange() -> Exchange:
    return Exchange(ms(NOW), ms("2025-01-01"), prints=PRINTS)


def by_dumps(store: Store, provider: Loopback, folder: Path) -> FetchedTrades:
    clock = SimClock(parse_instant(NOW))
    retries = HttpRetries(attempts=1)
    with BinanceDumps(folder, clock=clock, base_url=provider.url, retries=retries, sleep=lambda _: None) as source:
        return fetch_trades(store, source, bitcoin(), clock, *WINDOW)


def by_rest(store: Store, provider: Loopback) -> FetchedTrades:
    clock = SimClock(parse_instant(NOW))
    with BinanceRest(clock=clock, base_url=provider.url, sleep=lambda _: None, page_rows=50) as source:
        return fetch_trades(store, source, bitcoin(), clock, *WINDOW)


def stored(store: Store) -> list[int]:
    """Ids of all stored prints, in the order of their days."""
    found = []
    for one in sorted(store.market.datasets(), key=lambda one: one["name"]):
        for series in store.datasets.open(one["hash"])[1]:
            assert isinstance(series, Trades)
            found += series.id.tolist()
    return found


def test_each_whole_day_becomes_a_dataset_and_a_rerun_asks_only_for_the_others(store: Store, tmp_path: Path) -> None:
    with Loopback(exchange().archive()) as provider:
        report = by_dumps(store, provider, tmp_path / "cache")
        assert (report.error, report.prints) == (None, 400)
        assert report.asked == ["2025-03-01", "2025-03-02", "2025-03-03"]  # the 4th is not over
        assert (report.stored, report.empty) == (["2025-03-01", "2025-03-02"], ["2025-03-03"])
        assert [one["name"] for one in store.market.datasets()] == [f"BTCUSDT-aggTrades-{day}" for day in report.stored]
        assert stored(store) == [row["a"] for row in PRINTS]
        asked = len(provider.requests)
        again = by_dumps(store, provider, tmp_path / "cache")
        assert (again.asked, again.prints) == (["2025-03-03"], 0)
        names = {seen.path.rpartition("/")[2] for seen in provider.requests[asked:]}
        assert names == {"BTCUSDT-aggTrades-2025-03-03.zip.CHECKSUM"}


def test_what_rest_tells_page_by_page_is_the_same_day(store: Store, tmp_path: Path) -> None:
    with Loopback(exchange().routes) as provider:
        report = by_rest(store, provider)
    assert (report.error, report.prints) == (None, 400)
    by_pages = {one["name"]: store.datasets.open(one["hash"])[1][0] for one in store.market.datasets()}
    clock = SimClock(parse_instant(NOW))
    with (
        Loopback(exchange().archive()) as provider,
        BinanceDumps(tmp_path, clock=clock, base_url=provider.url) as source,
    ):
        pages = list(source.trades(window("2025-03-01", "2025-03-02")))
    ours = by_pages["BTCUSDT-aggTrades-2025-03-01"]
    assert isinstance(ours, Trades)
    assert ours.tick.floats(ours.price).tolist() == pages[0].tick.floats(pages[0].price).tolist()
    assert ours.lot.floats(ours.size).tolist() == pages[0].lot.floats(pages[0].size).tolist()
    assert ours.time_ns.tolist() == pages[0].time_ns.tolist()


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(keep_bytes=60), Fault(status=403)], ids=repr)
def test_a_fault_stores_no_half_of_a_day_and_the_rerun_completes(store: Store, tmp_path: Path, fault: Fault) -> None:
    with Loopback(exchange().archive()) as provider:
        provider.script(None, None, None, fault)  # in the file of the second day
        failed = by_dumps(store, provider, tmp_path / "cache")
        assert failed.error is not None
        assert failed.stored == ["2025-03-01"]
        assert stored(store) == [row["a"] for row in PRINTS if row["T"] < ms("2025-03-02")]
        rest = by_dumps(store, provider, tmp_path / "cache")
    assert rest.asked == ["2025-03-02", "2025-03-03"]
    assert stored(store) == [row["a"] for row in PRINTS]


def test_ids_that_are_left_out_are_noted(store: Store) -> None:
    rows = [row for row in PRINTS if not 5_010 <= row["a"] < 5_017]
    with Loopback(Exchange(ms(NOW), prints=rows).routes) as provider:
        by_rest(store, provider)
    first = store.market.dataset("BTCUSDT-aggTrades-2025-03-01")
    assert first["series"][0]["notes"] == ["7 ids are left out"]


def test_a_window_without_a_whole_day_is_refused(store: Store) -> None:
    clock = SimClock(parse_instant(NOW))
    with (
        BinanceRest(clock=clock, base_url="http://127.0.0.1:9") as source,
        pytest.raises(Invalid, match="no whole day"),
    ):
        fetch_trades(store, source, bitcoin(), clock, parse_instant("2025-03-04"), parse_instant("2025-03-05"))
