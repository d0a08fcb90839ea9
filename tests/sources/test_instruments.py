"""The shipped instruments file, row by row, and files of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from gnomon.clock import iso
from gnomon.errors import Invalid, NotFound
from gnomon.sources.instruments import load_instruments, shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.units import Grid

CRYPTO = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT", "AVAXUSDT"]
CURRENCIES = ["EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "USDCAD", "USDCHF", "NZDUSD"]
FUTURES, SHARES = ["GOLD", "SILVER", "OIL"], ["SPY", "QQQ", "AAPL", "NVDA", "TSLA"]
LARGEST = ("AAPL", "MSFT", "NVDA", "AMZN", "GOOGL", "META", "TSLA")


def test_twenty_three_instruments_are_forecast_in_the_documented_order() -> None:
    shipped = [one.symbol for one in shipped_instruments() if one.forecast]
    assert shipped == CRYPTO + CURRENCIES + FUTURES + SHARES
    assert [one.symbol for one in shipped_instruments() if not one.forecast] == ["DXY", "VIX"]


@pytest.mark.parametrize(
    ("symbols", "venue", "asset_class", "calendar", "zone"),
    [
        (CRYPTO, "binance", "crypto", "always", "UTC"),
        (CURRENCIES, "fx", "fx_commodity", "fx", "UTC"),
        (FUTURES, "cme", "fx_commodity", "cme", "America/New_York"),
        (SHARES, "us", "equity", "nyse", "America/New_York"),
        (["DXY"], "fx", "fx_commodity", "fx", "UTC"),
        (["VIX"], "us", "equity", "nyse", "America/New_York"),
    ],
)
def test_each_group_has_its_venue_class_calendar_and_zone(
    symbols: list[str], venue: str, asset_class: str, calendar: str, zone: str
) -> None:
    for symbol in symbols:
        one = shipped_instruments().find(symbol)
        assert (one.id, one.asset_class, one.calendar, one.stamp_zone) == (
            f"{venue}:{symbol}",
            asset_class,
            calendar,
            zone,
        )
        assert one.continuous == (symbol in FUTURES)
        assert one.name
        assert load_sessions(one.calendar) is load_sessions(one.calendar, one.stamp_zone)


@pytest.mark.parametrize(
    ("symbol", "tick", "lot"),
    [
        *(("BTCUSDT", "0.01", "0.00001"), ("ETHUSDT", "0.01", "0.0001"), ("SOLUSDT", "0.01", "0.001")),
        *(("BNBUSDT", "0.01", "0.001"), ("XRPUSDT", "0.0001", "0.1"), ("ADAUSDT", "0.0001", "0.1")),
        *(("DOGEUSDT", "0.00001", "1"), ("AVAXUSDT", "0.01", "0.01"), ("EURUSD", "0.00001", "1000")),
        *(("USDJPY", "0.001", "1000"), ("GOLD", "0.1", "1"), ("SILVER", "0.005", "1"), ("OIL", "0.01", "1")),
        *(("SPY", "0.01", "1"), ("TSLA", "0.01", "1")),
    ],
)
def test_grids_are_those_of_the_venue(symbol: str, tick: str, lot: str) -> None:
    one = shipped_instruments().find(symbol)
    assert (one.tick, one.lot) == (Grid.of(tick), Grid.of(lot))


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        *(("BTC-USD", "BTCUSDT"), ("EURUSD=X", "EURUSD"), ("JPY=X", "USDJPY"), ("cad=x", "USDCAD"), ("GC=F", "GOLD")),
        *(("SI=F", "SILVER"), ("CL=F", "OIL"), ("DX-Y.NYB", "DXY"), ("vixcls", "VIX"), ("us:spy", "SPY")),
    ],
)
def test_any_source_symbol_leads_to_its_instrument(name: str, symbol: str) -> None:
    assert shipped_instruments().find(name).symbol == symbol


def test_central_banks_follow_the_two_currencies() -> None:
    banks = {one.symbol: one.central_banks for one in shipped_instruments()}
    assert banks["EURUSD"] == ("FED", "ECB")
    assert banks["GBPUSD"] == ("FED", "BOE")
    assert banks["USDJPY"] == ("FED", "BOJ")
    assert banks["NZDUSD"] == ("FED", "RBNZ")
    assert {banks[symbol] for symbol in CRYPTO + FUTURES + SHARES} == {("FED",)}


def test_earnings_are_those_of_the_share_or_of_the_largest_in_the_fund() -> None:
    earnings = {one.symbol: one.earnings_of for one in shipped_instruments()}
    assert earnings["SPY"] == earnings["QQQ"] == LARGEST
    assert (earnings["AAPL"], earnings["NVDA"], earnings["TSLA"]) == (("AAPL",), ("NVDA",), ("TSLA",))
    assert not any(earnings[symbol] for symbol in CRYPTO + CURRENCIES + FUTURES)


def test_known_splits_are_listed_and_fall_on_sessions() -> None:
    days = set(load_sessions("nyse").day.tolist())
    splits = {one.symbol: one.splits for one in shipped_instruments() if one.splits}
    newest = {
        symbol: (iso(s[-1].effective_ns)[:10], s[-1].numerator, s[-1].denominator) for symbol, s in splits.items()
    }
    assert newest == {"AAPL": ("2020-08-31", 4, 1), "NVDA": ("2024-06-10", 10, 1), "TSLA": ("2022-08-25", 3, 1)}
    assert all(split.effective_ns // 86_400_000_000_000 in days for one in splits.values() for split in one)


def test_the_shipped_file_is_a_template_for_ones_own(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        "[[instrument]]\nsymbol='X'\nvenue='v'\nasset_class='equity'\ncalendar='XSHG'\ntick='0.01'\nlot=100\n"
    )
    assert [one.id for one in load_instruments(own)] == ["v:X"]


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_file_that_cannot_be_read_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound, match="cannot read the instruments file") as caught:
        load_instruments(tmp_path / name)
    assert "GNOMON_INSTRUMENTS" in caught.value.hint


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[[instrument]]\nsymbol='X'\n", b"no toml"])
def test_a_faulty_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "faulty.toml"
    path.write_bytes(content)
    with pytest.raises(Invalid, match=r"faulty\.toml"):
        load_instruments(path)
