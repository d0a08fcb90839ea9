"""Whatever stands in a cell or a byte: the file is imported, or refused with the right line, and never crashes."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gnomon.errors import GnomonError, Invalid
from gnomon.market.candles import Candles
from gnomon.sources.files.read import Imported, read
from gnomon.sources.instruments import shipped_instruments

LINES = [
    "timestamp,open,high,low,close,volume",
    *(f"2024-01-01 0{n}:00:00,{42000 + 10.25 * n},{42100 + n},{41900.5 - n},{42050 + n},{12.5 + n}" for n in range(6)),
]
NAME = "BTC_USDT-1h.csv"

_CELLS = st.one_of(
    st.text(st.characters(exclude_characters="\n\r", exclude_categories=("Cs",)), max_size=12),
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.integers(-(10**25), 10**25).map(str),
    st.decimals(allow_nan=True, allow_infinity=True).map(str),
    st.datetimes().map(str),
    st.datetimes().map(lambda at: f"{at.isoformat()}Z"),
    st.integers(0, 5 * 60).map(lambda minute: f"2024-01-01 0{minute // 60}:{minute % 60:02}:00"),
    st.sampled_from(
        ["", " ", '"', '""', "'", ",", ",,", ";", "\x00", "\ufeff", "NaN", "null", "-0", "1e-300", "1_0", "0x1"]
    ),
)


def _read(content: bytes, name: str, **options: object) -> Imported:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        return read(path, instruments=shipped_instruments(), **options)


def _candles(imported: Imported) -> Candles:
    (only,) = imported.series
    assert isinstance(only, Candles)
    return only


def _values(candles: Candles) -> np.ndarray:
    """Rows of floats, so that two grids compare."""
    prices = [candles.tick.floats(getattr(candles, name)) for name in ("open", "high", "low", "close")]
    return np.column_stack([candles.open_ns, candles.close_ns, *prices, candles.lot.floats(candles.volume)])


WHOLE = _values(_candles(_read("\n".join(LINES).encode(), NAME)))


def _outcome(content: bytes, name: str, **options: object) -> Imported | GnomonError:
    try:
        return _read(content, name, **options)
    except GnomonError as error:
        return error


@pytest.mark.slow
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 6), st.integers(0, 5), _CELLS)
@example(2, 0, "2024-01-01 04:00:00")  # the time of a later row
@example(1, 1, '"')
@example(6, 5, '"')
@example(3, 2, "\x00")
@example(1, 3, "1e-12")
@example(4, 5, "1e16")
@example(2, 2, "9" * 30)
def test_any_one_cell_costs_at_most_its_own_row(line: int, column: int, cell: str) -> None:
    row = LINES[line].split(",")
    row[column] = cell
    content = "\n".join([*LINES[:line], ",".join(row), *LINES[line + 1 :]]).encode()
    outcome = _outcome(content, NAME)
    if isinstance(outcome, Imported):
        values, others = _values(_candles(outcome)), np.delete(np.arange(6), line - 1)
        assert len(values) == 6
        assert (values[others] == WHOLE[others]).all()
        return
    assert isinstance(outcome, Invalid)
    assert outcome.detail["bad_rows"] == 1
    # a stamp that lands beside another row makes the two indistinguishable: either may be named
    near = {line + 1} if column else {line, line + 1, line + 2} | _lines_with(cell)
    assert outcome.detail["line"] in near
    values = _values(_candles(_read(content, NAME, skip_bad=True)))
    assert len(values) == 5
    if column:
        assert (values == np.delete(WHOLE, line - 1, axis=0)).all()


def _lines_with(cell: str) -> set[int]:
    return {number for number, text in enumerate(LINES, 1) if text.startswith(cell.strip()[:19] or "-")}


def _zip(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("BTC_USDT-1h.csv", data)
    return buffer.getvalue()


def _columnar(form: str) -> bytes:
    names = LINES[0].split(",")
    rows = [line.split(",") for line in LINES[1:]]
    table = pa.table({name: [row[k] if k == 0 else float(row[k]) for row in rows] for k, name in enumerate(names)})
    buffer = io.BytesIO()
    writer: Callable[..., None] = pyarrow.parquet.write_table if form == "parquet" else pyarrow.feather.write_feather
    writer(table, buffer)
    return buffer.getvalue()


_CSV = "\n".join(LINES).encode()
_LISTS = [[1704067200000 + n * 3600000, 42000.5, 42100, 41900, 42050, 1.5] for n in range(6)]
_LIST_TEXT = json.dumps(_LISTS).encode()
_DOCUMENT = {
    "Meta Data": {"2. Symbol": "EURUSD"},
    "Time Series (Daily)": {
        f"2024-01-0{d}": {"1. open": "1", "2. high": "1", "3. low": "1", "4. close": "1"} for d in (2, 3)
    },
}
SEEDS: dict[str, tuple[str, bytes]] = {
    "csv": (NAME, _CSV),
    "csv.gz": (f"{NAME}.gz", gzip.compress(_CSV)),
    "zip": ("BTC_USDT-1h.zip", _zip(_CSV)),
    "json": ("BTC_USDT-1h.json", _LIST_TEXT),
    "objects": ("BTC_USDT-1h.json", json.dumps([dict(zip("TOHLCV", row, strict=True)) for row in _LISTS]).encode()),
    "vendor": ("prices.json", json.dumps(_DOCUMENT).encode()),
    "feather": ("BTC_USDT-1h.feather", _columnar("feather")),
    "parquet": ("BTC_USDT-1h.parquet", _columnar("parquet")),
}


@pytest.mark.slow
@pytest.mark.parametrize("form", SEEDS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damaged_bytes_are_imported_or_refused_and_never_crash(form: str, data: st.DataObject) -> None:
    name, seed = SEEDS[form]
    damaged = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        how = data.draw(st.sampled_from(("change", "cut", "double", "drop")))
        if how == "change":
            damaged[at] = data.draw(st.integers(0, 255))
        elif how == "cut":
            del damaged[at + 1 :]
        elif how == "double":
            damaged[at:at] = damaged[at : at + 20]
        elif len(damaged) > 20:
            del damaged[at : at + 10]
    for skip_bad in (False, True):
        outcome = _outcome(bytes(damaged), name, skip_bad=skip_bad)
        if isinstance(outcome, Imported):
            for series in outcome.series:
                series.check()
        else:
            assert outcome.message
            assert outcome.hint


# --- recordings and books ---------------------------------------------------------------------------------------------

_DATA = (
    (
        '1723161255088176367 {"stream":"btcusdt@trade","data":{"T":1723161255080,"s":"BTCUSDT","t":5,"p":"61800.30",'
        '"q":"0.006","X":"MARKET","m":false}}'
    ),
    (
        '1723161255088181667 {"stream":"btcusdt@bookTicker","data":{"u":7,"s":"BTCUSDT","b":"61800.20","B":"2.507",'
        '"a":"61800.30","A":"2.504","T":1723161255081}}'
    ),
    (
        '1723161255088181668 {"stream":"btcusdt@depth@0ms","data":{"T":1723161255081,"s":"BTCUSDT","U":5,"u":8,"pu":4,'
        '"b":[["61800.20","1.258"]],"a":[["61800.30","0.5"],["61800.40","0"]]}}'
    ),
    '1723161255088181669 {"lastUpdateId":9,"T":1723161255082,"bids":[["61800.20","1"]],"asks":[["61800.30","2"]]}',
)
_TARDIS = "binance-futures,BTCUSDT,1598918403696000,1598918403810979"
_LEVELS = "asks[0].price,asks[0].amount,bids[0].price,bids[0].amount"
_STAMPS = "exchange,symbol,timestamp,local_timestamp"
_BYBIT = (
    (
        '{"topic":"orderbook.500.XRPUSDT","type":"snapshot","ts":1733011200691,"data":{"s":"XRPUSDT",'
        '"b":[["1.9531","6203"]],"a":[["1.9532","1"]],"u":20254869,"seq":1},"cts":1733011200589}'
    ),
    (
        '{"topic":"orderbook.500.XRPUSDT","type":"delta","ts":1733011200693,"data":{"s":"XRPUSDT",'
        '"b":[["1.9531","0"]],"a":[],"u":20254870,"seq":2},"cts":1733011200590}'
    ),
)
_TICK_ROWS = {
    "feed.txt": _DATA,
    "quotes.csv": (
        f"{_STAMPS},ask_amount,ask_price,bid_price,bid_amount",
        *(f"{_TARDIS},0.84,9682,9681.92,0.67",) * 2,
    ),
    "snapshots.csv": (f"{_STAMPS},{_LEVELS}", *(f"{_TARDIS},11657.08,1.714,11657.07,10.896",) * 2),
    "l2.csv": (
        f"{_STAMPS},is_snapshot,side,price,amount",
        f"{_TARDIS},true,ask,6421.5,18640",
        f"{_TARDIS},false,bid,6420.5,0",
    ),
    "depth.csv": (
        "symbol,timestamp,first_update_id,last_update_id,side,update_type,price,qty,pu",
        "BTCUSDT,1667346579146,2098021528332,2098021528332,b,snap,20377.00,1.770,-1",
        "BTCUSDT,1667346579147,2098021528333,2098021528339,a,set,20378.00,0,-1",
    ),
    "ob500.data": _BYBIT,
}
TICKS = {name: "\n".join(rows) + "\n" for name, rows in _TICK_ROWS.items()}


@pytest.mark.parametrize("name", TICKS)
def test_sound_ticks_are_imported(name: str) -> None:
    assert _read(TICKS[name].encode(), name).passport.rows >= 2


@pytest.mark.slow
@pytest.mark.parametrize("name", TICKS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_bytes_in_a_recording_or_a_book_are_refused_or_sound(name: str, data: st.DataObject) -> None:
    content = TICKS[name].encode()
    at = data.draw(st.integers(0, len(content)))
    length = data.draw(st.integers(0, 12))
    put = data.draw(st.binary(max_size=6) | _CELLS.map(str.encode))
    spoilt = content[:at] + put + content[at + length :]
    for skip_bad in (False, True):
        outcome = _outcome(spoilt, name, skip_bad=skip_bad)
        if isinstance(outcome, Imported):
            for series in outcome.series:
                series.check()
