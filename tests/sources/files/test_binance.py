"""Binance dumps, as published: zip and .CHECKSUM, with and without header, milliseconds and microseconds."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gnomon.clock import iso
from gnomon.errors import Invalid
from gnomon.market.candles import Candles
from gnomon.market.instrument import Instruments
from gnomon.market.trades import Trades
from gnomon.sources.files.read import Imported, read

JANUARY_2024_MS = 1704067200000
KLINE_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)


def _klines(unit: int = 1) -> list[str]:
    rows = []
    for n in range(4):
        opened = (JANUARY_2024_MS + n * 3_600_000) * unit
        closed = opened + 3_600_000 * unit - 1
        rows.append(f"{opened},42000.{n}0000000,42100.00000000,41900.00000000,42050.00000000,10.50000000,{closed},"
                    f"44152512{n}.12345678,1000,5.00000000,210000.00000000,0")  # fmt: skip
    return rows


@pytest.fixture
def dump(write: Callable[..., Path], instruments: Instruments) -> Callable[..., Imported]:
    def dump_file(name: str, rows: list[str], *, checksum: bool = False, **options: object) -> Imported:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name}.csv", "\n".join(rows) + "\n")
        if checksum:
            write(f"{name}.zip.CHECKSUM", f"{hashlib.sha256(buffer.getvalue()).hexdigest()}  {name}.zip\n")
        return read(write(f"{name}.zip", buffer.getvalue()), instruments=instruments, **options)

    return dump_file


Dump = Callable[..., Imported]


def _series(imported: Imported) -> Candles:
    (only,) = imported.series
    assert isinstance(only, Candles)
    return only


def test_klines_with_and_without_header_in_milli_and_microseconds_are_one_content(dump: Dump) -> None:
    bare = dump("BTCUSDT-1h-2024-01", _klines())
    headed = dump("BTCUSDT-1h-2024-01", [KLINE_HEADER, *_klines()])
    micro = dump("BTCUSDT-1h-2024-01", _klines(1000))
    old_header = dump("BTCUSDT-1h-2024-01", [KLINE_HEADER.replace("quote_volume", "quote_asset_volume", 1), *_klines()])
    assert bare.format == headed.format == "binance-klines"
    assert bare.passport.hash == headed.passport.hash == micro.passport.hash == old_header.passport.hash
    candles = _series(bare)
    assert candles.key == ("binance:BTCUSDT", "1h", "raw")
    assert iso(int(candles.open_ns[0])) == "2024-01-01T00:00:00Z"
    assert iso(int(candles.close_ns[0])) == "2024-01-01T01:00:00Z"


def test_quote_volume_is_the_amount_to_its_last_digit(dump: Dump) -> None:
    candles = _series(dump("BTCUSDT-1h-2024-01", _klines()))
    assert candles.amount.tolist() == [441525120_12345678 + n * 10**8 for n in range(4)]
    assert str(candles.money.step) == "1E-8"


def test_months_are_spelled_1mo(dump: Dump) -> None:
    row = (
        f"{JANUARY_2024_MS},42000.5,43000,41000,42050,10,{JANUARY_2024_MS + 31 * 86_400_000 - 1},441525.5,9,5,210000,0"
    )
    candles = _series(dump("BTCUSDT-1mo-2024-01", [row]))
    assert (str(candles.timeframe), iso(int(candles.close_ns[0]))) == ("1mo", "2024-02-01T00:00:00Z")


def test_the_checksum_is_noted_present_or_absent(dump: Dump) -> None:
    def notes(imported: Imported) -> str:
        return " | ".join(imported.passport.series[0].notes)

    assert "no .CHECKSUM beside it: not verified" in notes(dump("BTCUSDT-1h-2024-01", _klines()))
    assert "SHA-256 verified against its .CHECKSUM" in notes(dump("BTCUSDT-1h-2024-01", _klines(), checksum=True))


def test_a_wrong_checksum_is_refused(dump: Dump) -> None:
    dump("BTCUSDT-1h-2024-01", _klines(), checksum=True)
    with pytest.raises(Invalid, match=r"BTCUSDT-1h-2024-01\.zip: SHA-256 is .*, but .*CHECKSUM says"):
        dump("BTCUSDT-1h-2024-01", _klines()[:3])


@pytest.mark.parametrize("futures", [False, True])
def test_agg_trades_of_eight_and_seven_columns(futures: bool, dump: Dump) -> None:
    rows = [
        f"100,42000.50000000,0.01000000,200,201,{JANUARY_2024_MS},true,true",
        f"101,42000.40000000,0.02000000,202,202,{JANUARY_2024_MS + 5},false,true",
    ]
    if futures:
        header = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
        rows = [header, *(row.rsplit(",", 1)[0] for row in rows)]
    imported = dump("BTCUSDT-aggTrades-2024-01-01", rows)
    (trades,) = imported.series
    assert isinstance(trades, Trades)
    assert (imported.format, trades.instrument) == ("binance-aggtrades", "binance:BTCUSDT")
    assert (trades.id.tolist(), trades.side.tolist()) == ([100, 101], [-1, 1])
    assert trades.price.tolist() == [4200050, 4200040]
    assert iso(int(trades.time_ns[1])) == "2024-01-01T00:00:00.005Z"


@pytest.mark.parametrize("futures", [False, True])
def test_trades_of_seven_and_six_columns(futures: bool, dump: Dump) -> None:
    rows = [
        f"100,42000.5,0.01,420.005,{JANUARY_2024_MS * 1000},True,True",
        f"101,42000.4,0.02,840.008,{JANUARY_2024_MS * 1000 + 7},False,True",
    ]
    if futures:
        rows = ["id,price,qty,quote_qty,time,is_buyer_maker", *(row.rsplit(",", 1)[0] for row in rows)]
    imported = dump("BTCUSDT-trades-2025-01-01", rows)
    (trades,) = imported.series
    assert isinstance(trades, Trades)
    assert imported.format == "binance-trades"
    assert (trades.side.tolist(), int(trades.time_ns[1])) == ([-1, 1], (JANUARY_2024_MS * 1000 + 7) * 1000)
    assert trades.lot.floats(trades.size).tolist() == [0.01, 0.02]


def test_bad_rows_are_named_in_dumps_too(dump: Dump) -> None:
    rows = _klines()
    rows[2] = rows[2].replace("42100.00000000", "41800.00000000")
    with pytest.raises(Invalid, match=r"BTCUSDT-1h-2024-01\.zip, line 3: low <= open, close <= high does not hold"):
        dump("BTCUSDT-1h-2024-01", rows)
    trades = ["100,42000.5,0.01,200,201,1704067200000,true,true", "101,42000.4,0.02,202,202,1704067200005,perhaps,true"]
    with pytest.raises(Invalid, match="line 2: buyer_maker is neither true nor false, received 'perhaps'"):
        dump("BTCUSDT-aggTrades-2024-01-01", trades)


def test_a_symbol_that_is_not_configured_is_crypto_of_binance(dump: Dump) -> None:
    imported = dump("PEPEUSDT-1h-2024-01", _klines())
    (instrument,) = imported.instruments
    assert (instrument.id, instrument.asset_class, instrument.calendar) == ("binance:PEPEUSDT", "crypto", "always")


def test_a_wrong_member_is_refused(write: Callable[..., Path], instruments: Instruments) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0")
    with pytest.raises(Invalid, match=r"BTCUSDT-1h-2024-01\.zip: binary data of no known kind"):
        read(write("BTCUSDT-1h-2024-01.zip", buffer.getvalue()), instruments=instruments)
