"""The entry of the importer as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from gnomon.errors import Invalid, NotFound
from gnomon.market.dataset import content_hash
from gnomon.market.instrument import Instruments
from gnomon.sources.files.read import read


def test_the_passport_says_what_was_read(
    write: Callable[..., Path], instruments: Instruments, hourly: list[str]
) -> None:
    path = write("BTC_USDT-1h.csv", hourly)
    imported = read(path, instruments=instruments)
    passport = imported.passport
    assert passport.hash == content_hash(imported.series)
    assert passport.files == {"BTC_USDT-1h.csv": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert (imported.name, passport.name, passport.source, passport.licence) == (
        "BTC_USDT-1h",
        "BTC_USDT-1h",
        "csv",
        "unknown",
    )
    assert (passport.rows, passport.rejected_rows, passport.recipe) == (6, 0, {})
    (one,) = passport.series
    assert (one.instrument, one.timeframe, one.tick, one.lot) == ("binance:BTCUSDT", "1h", "0.01", "0.00001")
    assert [instrument.id for instrument in imported.instruments] == ["binance:BTCUSDT"]


def test_the_hash_of_a_file_does_not_hang_on_what_was_imported_before(
    write: Callable[..., Path], instruments: Instruments
) -> None:
    """An instrument that only imports know keeps the grid of its first file; the second file's content is its own."""
    head = "timestamp,open,high,low,close,volume"
    fine = write("LINK_USDT-1h.csv", [head, *(f"{1704067200 + 3600 * n},7.125,7.25,7.0,7.1,3.75" for n in range(4))])
    plain = write("LINK_USDT-1h-2.csv", [head, *(f"{1704067200 + 3600 * n},7.1,7.2,7.0,7.1,3" for n in range(4, 8))])
    alone = read(plain, instruments=instruments, instrument="local:LINKUSDT").passport.hash
    first = read(fine, instruments=instruments)
    known = instruments.with_added(first.instruments)
    assert read(plain, instruments=known, instrument="LINKUSDT").passport.hash == alone
    assert read(fine, instruments=known).passport.hash == first.passport.hash


def test_unknown_files_and_instruments_are_not_found(
    write: Callable[..., Path], instruments: Instruments, hourly: list[str], tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match="no file"):
        read(tmp_path / "absent.csv", instruments=instruments)
    with pytest.raises(NotFound, match="no instrument 'NOSUCH'"):
        read(write("BTC_USDT-1h.csv", hourly), instruments=instruments, instrument="NOSUCH")
    with pytest.raises(Invalid, match="not a timeframe"):
        read(write("BTC_USDT-1h.csv", hourly), instruments=instruments, timeframe="soon")


def test_an_empty_configuration_is_enough(write: Callable[..., Path], hourly: list[str]) -> None:
    imported = read(write("BTC_USDT-1h.csv", hourly), instruments=Instruments([]))
    (instrument,) = imported.instruments
    assert (instrument.id, instrument.asset_class) == ("local:BTCUSDT", "crypto")
    assert (str(instrument.tick.step), str(instrument.lot.step)) == ("0.01", "0.001")
