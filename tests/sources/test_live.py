"""Which sources the settings open."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.sources.calendar.test_http import TOKEN, calendar
from tests.sources.loopback import Loopback

from gnomon.clock import SimClock, parse_instant
from gnomon.errors import Invalid
from gnomon.settings import Settings
from gnomon.sources.binance.rest import BinanceRest
from gnomon.sources.live import KEYLESS, live_calendars, live_sources, trade_sources

CLOCK = SimClock(parse_instant("2024-09-15"))


def names(sources: str, tmp_path: Path, key: str = "") -> list[str]:
    wanted = Settings(sources=sources).source_names
    return list(live_sources(wanted, CLOCK, cache=tmp_path, urls={}, alphavantage_key=key))


def test_by_default_all_that_need_no_key_and_the_others_with_theirs(tmp_path: Path) -> None:
    default = Settings.model_fields["sources"].default
    assert names(default, tmp_path) == list(KEYLESS)
    assert names(default, tmp_path, "key") == [*KEYLESS, "alphavantage"]
    assert names("none", tmp_path) == []


def test_each_opens_once_and_is_closed_with_the_others(tmp_path: Path) -> None:
    pytest.importorskip("ccxt")
    wanted = (*KEYLESS, "alphavantage", "ccxt:kraken")
    with live_sources(wanted, CLOCK, cache=tmp_path, urls={}, alphavantage_key="key") as sources:
        assert len(sources) == 6
        assert {name: one.name for name, one in sources.items()} == {name: name for name in wanted}
        with ThreadPoolExecutor(4) as pool:
            assert len({id(one) for one in pool.map(sources.__getitem__, ["binance"] * 20)}) == 1
        binance = sources["binance"]
        assert isinstance(binance, BinanceRest)
    assert binance.http._client.is_closed


def test_another_address_is_used(tmp_path: Path) -> None:
    with Loopback({"/api/v3/time": lambda _: {"serverTime": 1_700_000_000_000}}) as provider:
        with live_sources(("binance",), CLOCK, cache=tmp_path, urls={"binance": provider.url}) as sources:
            binance = sources["binance"]
            assert isinstance(binance, BinanceRest)
            binance.server_ns()
        assert provider.paths() == ["/api/v3/time"]


def test_prints_come_from_binance_alone(tmp_path: Path) -> None:
    sources = live_sources(("yahoo", "binance", "fred"), CLOCK, cache=tmp_path, urls={})
    assert list(trade_sources(sources)) == ["binance"]


def test_a_name_that_is_none_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no source 'binanse'") as caught:
        names("binanse,yahoo", tmp_path)
    assert "binance" in caught.value.hint


def test_a_calendar_is_there_where_a_table_describes_it() -> None:
    assert list(live_calendars({}, CLOCK, urls={})) == []
    with Loopback({"/v3/economic_calendar": calendar}) as provider:
        table = {"path": "/v3/economic_calendar", "zone": "UTC", "listed_ahead": "7d", "on_time": True}
        urls = {"calendar": provider.url}
        with live_calendars(table, CLOCK, token=TOKEN, urls=urls) as calendars:
            (page,) = calendars["calendar"].events(parse_instant("2024-09-10"), parse_instant("2024-09-12"))
    assert {one.kind for one in page} == {"cpi", "other"}
    assert min(one.knowable_ns for one in page) == parse_instant("2024-09-04T12:30:00Z")


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"base_urll": "x"}, "no setting 'base_urll'"),
        ({"base_url": "http://x"}, "no path"),
        ({"path": "/x"}, "no base_url"),
        ({"base_url": "http://x", "path": "/x", "fields": {"moon": "m"}}, "'moon'"),
        ({"base_url": "http://x", "path": "/x", "zone": "Mars/Base"}, "no time zone"),
    ],
)
def test_a_table_that_describes_none_is_refused(table: dict[str, object], named: str) -> None:
    with pytest.raises(Invalid, match=named):
        live_calendars(table, CLOCK, token=TOKEN, urls={})
