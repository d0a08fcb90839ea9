"""Binance's archive, against a server on this machine that publishes the same bars as its REST interface."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.sources.binance.exchange import (
    DAY_MS,
    HOUR_MS,
    Exchange,
    kline,
    kline_line,
    ms,
    naive,
    packed,
    prints_from,
    told,
    window,
)
from tests.sources.loopback import Fault, Loopback, Reply

from gnomon.clock import SimClock, parse_instant
from gnomon.errors import Invalid, NotFound, Refused, Unavailable
from gnomon.market.candles import Candles
from gnomon.sources.binance.dumps import BinanceDumps, Series, plan
from gnomon.sources.binance.venue import SPOT
from gnomon.sources.http import HttpRetries
from gnomon.sources.source import Request

NOW = "2025-03-10T12:34:56Z"
HEADER = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_base,taker_quote,ignore"


def exchange(first: str = "2024-11-01", **options: Any) -> Exchange:
    return Exchange(ms(NOW), ms(first), **options)


def dumps(provider: Loopback, folder: Path, *, now: str = NOW, **options: Any) -> BinanceDumps:
    clock = SimClock(parse_instant(now))
    return BinanceDumps(folder, clock=clock, base_url=provider.url, sleep=lambda _: None, **options)


def fetched(provider: Loopback, folder: Path, request: Request, **options: Any) -> list[Candles]:
    with dumps(provider, folder, **options) as source:
        return list(source.candles(request))


def names(provider: Loopback) -> list[str]:
    """The files asked for, without their checksums."""
    return [path.rpartition("/")[2] for path in provider.paths() if not path.endswith(".CHECKSUM")]


def test_whole_months_come_as_months_and_the_days_beside_them_as_days(tmp_path: Path) -> None:
    venue, request = exchange(), window("2024-11-29T05:00:00Z", "2025-01-02T07:00:00Z")
    with Loopback(venue.archive()) as provider:
        pages = fetched(provider, tmp_path, request)
    assert told(pages) == naive(venue, request)
    days = [f"BTCUSDT-1h-{day}.zip" for day in ("2024-11-29", "2024-11-30")]
    assert names(provider) == [
        *days,
        "BTCUSDT-1h-2024-12.zip",
        "BTCUSDT-1h-2025-01-01.zip",
        "BTCUSDT-1h-2025-01-02.zip",
    ]


def test_stamps_in_microseconds_from_2025_on_are_the_same_instants(tmp_path: Path) -> None:
    venue, request = exchange(), window("2024-12-31", "2025-01-02")
    with Loopback(venue.archive()) as provider:
        before, after = fetched(provider, tmp_path, request)
    assert told([before, after]) == naive(venue, request)
    assert int(after.open_ns[0]) == parse_instant("2025-01-01") == int(before.close_ns[-1])


@pytest.mark.parametrize("header", [[], [HEADER]], ids=["no header", "header"])
@pytest.mark.parametrize("day", ["2024-12-30", "2025-01-30"], ids=["ms", "us"])
def test_a_header_is_no_row(tmp_path: Path, day: str, header: list[str]) -> None:
    lines = [kline_line(kline(ms(day) + hour * HOUR_MS)) for hour in range(24)]
    served = publish({f"BTCUSDT-1h-{day}": [*header, *lines]})
    request = Request(*one_day(day))
    with Loopback(served) as provider:
        assert told(fetched(provider, tmp_path, request)) == naive(exchange(), request)


def one_day(day: str) -> tuple[Any, ...]:
    asked = window(day, day)
    return asked.instrument, asked.sessions, asked.timeframe, asked.first_ns, asked.first_ns + DAY_MS * 1_000_000


def publish(files: dict[str, list[str]], member: str = "") -> dict[str, Callable[[Any], Any]]:
    """An archive of these files alone."""
    packs = {stem: packed(stem, rows, member) for stem, rows in files.items()}

    def file(seen: Any) -> Reply:
        name = seen.path.rpartition("/")[2].removesuffix(".CHECKSUM")
        found = packs.get(name.removesuffix(".zip"))
        if found is None:
            return Reply("<Error/>", status=404)
        if seen.path.endswith(".CHECKSUM"):
            return Reply(f"{hashlib.sha256(found).hexdigest()}  {name}\n")
        return Reply(found)

    return {"/data/spot/*": file}


# --- the cache ------------------------------------------------------------------------------------------------------

DAYS = window("2025-03-01", "2025-03-04")


def test_a_rerun_reads_the_cache_and_asks_for_nothing(tmp_path: Path) -> None:
    with Loopback(exchange().archive()) as provider:
        first = told(fetched(provider, tmp_path, DAYS))
        asked = len(provider.requests)
        assert asked == 6  # three files and their checksums
        assert told(fetched(provider, tmp_path, DAYS)) == first
        assert len(provider.requests) == asked
        wider = window("2025-03-01", "2025-03-05")
        fetched(provider, tmp_path, wider)
    assert names(provider)[3:] == ["BTCUSDT-1h-2025-03-04.zip"]


def test_a_half_downloaded_file_is_gone_on_with_and_never_taken_for_whole(tmp_path: Path) -> None:
    venue = exchange()
    with Loopback(venue.archive()) as provider:
        provider.script(None, Fault(keep_bytes=200), path="/data/spot/daily/klines/BTCUSDT/1h/BTCUSDT-1h-2025-03-02")
        with pytest.raises(Unavailable):
            fetched(provider, tmp_path, DAYS, retries=HttpRetries(attempts=1))
        (part,) = tmp_path.rglob("*.zip.part")
        assert part.stat().st_size == 200
        assert len(list(tmp_path.rglob("*.zip"))) == 1
        assert told(fetched(provider, tmp_path, DAYS)) == naive(venue, DAYS)
    ranges = [seen.headers["range"] for seen in provider.requests if "range" in seen.headers]
    assert ranges == ["bytes=200-"]
    assert names(provider).count("BTCUSDT-1h-2025-03-01.zip") == 1
    assert list(tmp_path.rglob("*.part")) == []


def test_a_file_that_was_damaged_on_disk_is_fetched_anew(tmp_path: Path) -> None:
    venue = exchange()
    with Loopback(venue.archive()) as provider:
        fetched(provider, tmp_path, DAYS)
        damaged = sorted(tmp_path.rglob("*.zip"))[1]
        damaged.write_bytes(damaged.read_bytes()[:-5])
        assert told(fetched(provider, tmp_path, DAYS)) == naive(venue, DAYS)
    assert names(provider)[3:] == [damaged.name]


def test_a_checksum_that_does_not_fit_is_tried_once_more(tmp_path: Path) -> None:
    venue = exchange()
    wrong = Fault(body=f"{'0' * 64}  BTCUSDT-1h-2025-03-01.zip\n")
    with Loopback(venue.archive()) as provider:
        provider.script(wrong)
        assert told(fetched(provider, tmp_path, DAYS)) == naive(venue, DAYS)


def test_a_checksum_that_never_fits_keeps_nothing(tmp_path: Path) -> None:
    wrong = Fault(body=f"{'0' * 64}  BTCUSDT-1h-2025-03-01.zip\n")
    with Loopback(exchange().archive()) as provider:
        provider.script(wrong, None, wrong, None)
        with pytest.raises(Unavailable, match="SHA-256"):
            fetched(provider, tmp_path, DAYS)
    assert [one for one in tmp_path.rglob("*") if one.is_file() and one.name != ".lock"] == []


@pytest.mark.parametrize("body", ["", "<html>", f"{'0' * 63}  BTCUSDT-1h-2025-03-01.zip", f"{'0' * 64}  other.zip"])
def test_a_checksum_file_that_is_none_is_said(tmp_path: Path, body: str) -> None:
    with Loopback(exchange().archive()) as provider:
        provider.script(Fault(body=body))
        with pytest.raises(Unavailable, match="CHECKSUM says"):
            fetched(provider, tmp_path, DAYS)


WEATHER = [
    Fault(status=503),
    Fault(status=429, headers={"Retry-After": "1"}),
    Fault(reset=True),
    Fault(keep_bytes=30),
    Fault(keep_bytes=30, chunked=True),
]


@pytest.mark.parametrize("fault", WEATHER, ids=lambda fault: repr(fault)[:60])
def test_what_passes_leaves_no_trace(tmp_path: Path, fault: Fault) -> None:
    venue = exchange()
    with Loopback(venue.archive()) as provider:
        provider.script(fault, None, fault, fault, None, fault)
        assert told(fetched(provider, tmp_path, DAYS)) == naive(venue, DAYS)


def test_a_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with Loopback(exchange().archive()) as provider, pytest.raises(Unavailable, match="cannot keep"):
        fetched(provider, tmp_path / "cache", DAYS)


# --- what the archive lacks -----------------------------------------------------------------------------------------


def test_a_day_that_the_archive_lacks_is_missing_and_the_others_are_kept(tmp_path: Path) -> None:
    dark = (ms("2025-03-02"), ms("2025-03-03"))
    venue = exchange(outages=[dark])
    with Loopback(venue.archive()) as provider, dumps(provider, tmp_path) as source:
        assert told(source.candles(DAYS)) == naive(venue, DAYS)
        (gap,) = source.missing
    assert (gap.first_ns, gap.until_ns, gap.bars) == (dark[0] * 10**6, dark[1] * 10**6, 24)
    assert "BTCUSDT-1h-2025-03-02.zip" in gap.why


def test_a_month_that_is_not_published_yet_comes_by_its_days(tmp_path: Path) -> None:
    venue, request = exchange(), window("2025-02-01", "2025-03-02")
    with Loopback(venue.archive(months_until="2025-02")) as provider:
        assert told(fetched(provider, tmp_path, request)) == naive(venue, request)
    assert names(provider)[-29:] == [f"BTCUSDT-1h-2025-02-{day:02}.zip" for day in range(1, 29)] + [
        "BTCUSDT-1h-2025-03-01.zip"
    ]


def test_a_day_that_is_not_over_is_not_asked_for(tmp_path: Path) -> None:
    venue, request = exchange(), window("2025-03-09", "2025-03-11")
    with Loopback(venue.archive()) as provider, dumps(provider, tmp_path) as source:
        assert told(source.candles(request)) == naive(venue, window("2025-03-09", "2025-03-10"))
    assert names(provider) == ["BTCUSDT-1h-2025-03-09.zip"]


def test_a_symbol_that_the_archive_does_not_have_is_said(tmp_path: Path) -> None:
    with (
        Loopback(exchange(symbol="ETHUSDT").archive()) as provider,
        pytest.raises(NotFound, match="no klines of BTCUSDT"),
    ):
        fetched(provider, tmp_path, window("2025-02-01", "2025-02-03"))


def test_a_refused_region_is_said_at_once(tmp_path: Path) -> None:
    with Loopback(exchange().archive()) as provider:
        provider.script(Fault(status=403))
        with pytest.raises(Refused):
            fetched(provider, tmp_path, DAYS)
    assert len(provider.requests) == 1


# --- what is inside -------------------------------------------------------------------------------------------------

DAY = "2025-03-01"
GOOD = [kline_line(kline(ms(DAY) + hour * HOUR_MS)) for hour in range(24)]


@pytest.mark.parametrize(
    ("rows", "member", "named"),
    [
        (GOOD, "other.csv", "'BTCUSDT-1h-2025-03-01.csv' expected"),
        ([row.rpartition(",")[0] + ",9,9" for row in GOOD], "", "BTCUSDT-1h-2025-03-01"),
        ([row.replace(".", "x", 1) for row in GOOD], "", "BTCUSDT-1h-2025-03-01"),
        (["a,b,c", "1,2,3"], "", "BTCUSDT-1h-2025-03-01"),
    ],
    ids=["member", "columns", "letters", "another table"],
)
def test_a_changed_layout_is_refused_and_named(tmp_path: Path, rows: list[str], member: str, named: str) -> None:
    with Loopback(publish({f"BTCUSDT-1h-{DAY}": rows}, member)) as provider, pytest.raises(Invalid, match=named):
        fetched(provider, tmp_path, window(DAY, "2025-03-02"))


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    served = publish({f"BTCUSDT-1h-{DAY}": ["0" * 1_000_000]})
    with Loopback(served) as provider, pytest.raises(Invalid, match="unpacks to 1,000,001 bytes"):
        fetched(provider, tmp_path, window(DAY, "2025-03-02"), largest_bytes=100_000)


def test_trades_come_by_the_day_in_the_order_of_their_ids(tmp_path: Path) -> None:
    rows = prints_from(ms("2025-03-01T23:59:00Z"), 600)
    request = window("2025-03-01", "2025-03-03")
    with Loopback(exchange(prints=rows).archive()) as provider, dumps(provider, tmp_path) as source:
        pages = list(source.trades(request))
    assert [number for page in pages for number in page.id.tolist()] == [row["a"] for row in rows]
    assert [at for page in pages for at in page.time_ns.tolist()] == [row["T"] * 10**6 for row in rows]
    assert [side for page in pages for side in page.side.tolist()] == [-1 if row["m"] else 1 for row in rows]
    assert names(provider) == ["BTCUSDT-aggTrades-2025-03-01.zip", "BTCUSDT-aggTrades-2025-03-02.zip"]


def test_a_plan_covers_each_day_of_the_window_once_and_no_other() -> None:
    series = Series(SPOT, "klines", "BTCUSDT", "1h")
    now_ns = parse_instant(NOW)
    for first, last in (("2024-11-15", "2025-03-09"), ("2024-12-01", "2025-01-01"), ("2025-03-09", "2025-03-20")):
        files = plan(series, parse_instant(first), parse_instant(last), now_ns)
        days = [day for one in files for day in range(one.first_day, one.last_day)]
        until = min(parse_instant(last), parse_instant("2025-03-10"))
        assert days == list(range(parse_instant(first) // (DAY_MS * 10**6), until // (DAY_MS * 10**6)))
