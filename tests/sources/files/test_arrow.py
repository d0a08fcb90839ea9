"""Parquet and Arrow files, with the types that other libraries write."""

from __future__ import annotations

import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from gnomon.clock import iso
from gnomon.errors import Invalid
from gnomon.market.candles import Candles
from gnomon.market.instrument import Instruments
from gnomon.sources.files.read import Imported, read

FRAME = pd.DataFrame(
    {
        "date": pd.date_range("2024-01-01", periods=6, freq="h", tz="UTC"),
        "open": [42000.5, 42050, 42150.75, 42200, 42100, 42075.5],
        "high": [42100.0, 42200, 42300, 42250, 42150, 42100],
        "low": [41900.25, 42000, 42100, 42050, 42000, 41950],
        "close": [42050.0, 42150.75, 42200, 42100, 42075.5, 42000],
        "volume": [12.5, 10.25, 8, 9.125, 7.5, 6],
    }
)


def _bytes(table: pa.Table, form: str) -> bytes:
    buffer = io.BytesIO()
    if form == "parquet":
        pyarrow.parquet.write_table(table, buffer)
    else:
        pyarrow.feather.write_feather(table, buffer)
    return buffer.getvalue()


@pytest.fixture
def load(write: Callable[..., Path], instruments: Instruments) -> Callable[..., Imported]:
    def load_frame(
        frame: object, name: str = "BTC_USDT-1h.feather", form: str = "feather", **options: object
    ) -> Imported:
        table = pa.Table.from_pandas(frame) if isinstance(frame, pd.DataFrame) else frame
        return read(write(name, _bytes(table, form)), instruments=instruments, **options)

    return load_frame


Load = Callable[..., Imported]


def test_every_type_of_column_gives_one_content(
    load: Load, write: Callable[..., Path], instruments: Instruments, hourly: list[str]
) -> None:
    plain = load(FRAME)
    assert plain.format == "feather"
    others = {
        "parquet": (FRAME, "parquet"),
        "index": (FRAME.set_index("date"), "parquet"),
        "naive": (FRAME.assign(date=FRAME["date"].dt.tz_localize(None)), "feather"),
        "epoch": (FRAME.assign(date=FRAME["date"].astype("int64") // 10**6), "feather"),
        "text": (FRAME.astype(str), "feather"),
        "float32": (FRAME.astype(dict.fromkeys(["open", "high", "low", "close", "volume"], "float32")), "feather"),
        "categories": (FRAME.assign(symbol=pd.Categorical(["BTCUSDT"] * 6)), "feather"),
    }
    for how, (frame, form) in others.items():
        assert load(frame, form=form).passport.hash == plain.passport.hash, how
    decimals = pa.table(
        {name: [Decimal(str(x)) for x in FRAME[name]] if name != "date" else FRAME[name] for name in FRAME}
    )
    assert load(decimals).passport.hash == plain.passport.hash
    csv = read(write("BTC_USDT-1h.csv", hourly), instruments=instruments)
    assert csv.passport.hash == plain.passport.hash


def test_dates_in_a_zone_mean_the_session_of_that_date(load: Load) -> None:
    """A library for shares writes midnights in New York, which are no midnights in UTC."""
    days = pd.DatetimeIndex(["2024-01-02", "2024-01-03", "2024-07-03"], tz="America/New_York")
    frame = pd.DataFrame({"Date": days, "Open": 100.0, "High": 101.0, "Low": 99.0, "Close": 100.5, "Volume": 10})
    candles = load(frame, "EURUSD_1d.parquet", "parquet").series[0]
    assert isinstance(candles, Candles)
    assert [iso(int(at)) for at in candles.close_ns] == [
        "2024-01-02T22:00:00Z",
        "2024-01-03T22:00:00Z",
        "2024-07-03T21:00:00Z",
    ]


def test_float32_columns_are_read_as_what_they_stand_for(load: Load) -> None:
    """A bare cast of 42000.6 as a float32 gives 42000.6015625."""
    tenths = FRAME.copy()
    for name in ("open", "high", "low", "close"):
        tenths[name] = np.round(tenths[name] + 0.1, 1)
    single = tenths.astype(dict.fromkeys(["open", "high", "low", "close", "volume"], "float32"))
    assert load(single).passport.hash == load(tenths).passport.hash


def test_rows_are_counted_from_one(load: Load) -> None:
    with pytest.raises(Invalid, match=r"BTC_USDT-1h\.feather, line 3: open is not a finite number, received nan"):
        load(FRAME.assign(open=FRAME["open"].where(FRAME.index != 2)))
    with pytest.raises(Invalid, match="line 3: not a time"):
        load(FRAME.assign(date=FRAME["date"].where(FRAME.index != 2)))
    kept = load(FRAME.assign(volume=[1, 2, 3, -4, 5, 6]), skip_bad=True)
    assert [(one.line, one.value) for one in kept.rejects] == [(4, "-4")]


def test_funding_rates_are_known_by_their_zeros_under_any_name(load: Load) -> None:
    frame = FRAME.assign(open=0.0001, high=0.0, low=0.0, close=0.0, volume=0.0)
    with pytest.raises(Invalid, match="funding rates, no candles: the rate stands in `open`"):
        load(frame, "BTC_USDT-1h.feather")


@pytest.mark.parametrize("form", ["feather", "parquet"])
def test_damaged_and_foreign_files_are_refused(
    form: str, load: Load, write: Callable[..., Path], instruments: Instruments
) -> None:
    data = _bytes(pa.Table.from_pandas(FRAME), form)
    for cut in (data[:20], data[:-40], data[:-1]):
        with pytest.raises(Invalid, match=f"damaged {form} file"):
            read(write(f"BTC_USDT-1h.{form}", cut), instruments=instruments)
    with pytest.raises(Invalid, match=f"{form} with the columns 'a', 'b': neither candles nor trades"):
        load(pa.table({"a": [1], "b": [2]}), f"x.{form}", form)
    with pytest.raises(Invalid, match="columns and no rows"):
        load(pa.Table.from_pandas(FRAME[:0]), f"BTC_USDT-1h.{form}", form)
    with pytest.raises(Invalid, match=r"unpacks to more than 100 bytes|is or unpacks to more than 100 bytes"):
        load(FRAME, f"BTC_USDT-1h.{form}", form, largest_bytes=100)


def test_what_unpacks_too_large_inside_the_format_is_refused(load: Load) -> None:
    rows = 200_000
    frame = pd.DataFrame({"time": np.full(rows, 1704067200), "price": np.ones(rows), "size": np.ones(rows)})
    for form in ("parquet", "feather"):
        with pytest.raises(Invalid, match="unpacks to more than 1,000,000 bytes"):
            load(frame, f"BTC_USDT-trades.{form}", form, largest_bytes=1_000_000)


def test_feather_of_the_first_version_is_named(write: Callable[..., Path], instruments: Instruments) -> None:
    with pytest.raises(Invalid, match="feather of version 1"):
        read(write("a.feather", b"FEA1" + b"\0" * 64), instruments=instruments)
