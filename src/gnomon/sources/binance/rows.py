"""Rows of klines and aggTrades, as the REST interface answers them, to candles and trades.

The columns are checked here, one by one; the rules of the rows, the exact decimals and the integer grids are those of
the importer of files, so that a bar is the same whichever way it came.

| kline column                                      | JSON                        |
|---------------------------------------------------|-----------------------------|
| 0 openTime, 6 closeTime (the last ms of the bar)  | whole number, ms since 1970 |
| 1 open, 2 high, 3 low, 4 close                    | decimal as text             |
| 5 volume (base), 7 quoteVolume (our amount)       | decimal as text             |
| 8 trades                                          | whole number                |
| 9 takerBase, 10 takerQuote                        | decimal as text             |
| 11 ignore                                         | anything                    |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from gnomon.clock import iso
from gnomon.errors import Invalid
from gnomon.market.candles import Candles
from gnomon.market.dataset import off_schedule
from gnomon.market.instrument import Instrument, Instruments
from gnomon.market.trades import Trades
from gnomon.sources.files.candle_rows import build_candles
from gnomon.sources.files.faults import Faults
from gnomon.sources.files.identity import identify
from gnomon.sources.files.rejects import bad_rows
from gnomon.sources.files.rows import Built, read_times
from gnomon.sources.files.rows import Request as Wanted
from gnomon.sources.files.table import Clock, Column, Kind, Name, Table
from gnomon.sources.files.trade_rows import build_trades
from gnomon.sources.source import Request

MS_NS: Final = 1_000_000

_WHOLE: Final = "a whole number"
_TEXT: Final = "a decimal as text"
_TRUTH: Final = "true or false"

_KLINE: Final = {
    "openTime": _WHOLE,
    "open": _TEXT,
    "high": _TEXT,
    "low": _TEXT,
    "close": _TEXT,
    "volume": _TEXT,
    "closeTime": _WHOLE,
    "quoteVolume": _TEXT,
    "trades": _WHOLE,
    "takerBase": _TEXT,
    "takerQuote": _TEXT,
    "ignore": "",
}
_TRADE: Final = {"a": _WHOLE, "p": _TEXT, "q": _TEXT, "T": _WHOLE, "m": _TRUTH}
_OURS: Final = {
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "volume": "volume",
    "amount": "quoteVolume",
}
_DECIMAL: Final = re.compile(r"\d{1,20}(\.\d{1,18})?", re.ASCII)
_EARLIEST_MS: Final = 1_262_304_000_000  # 2010: older, or in another unit
_LATEST_MS: Final = 4_102_444_800_000


def kline_candles(rows: Any, request: Request, symbol: str) -> Candles | None:
    """The candles of a page, basis raw, forming ones too; None of a page without a row.

    `Invalid` names the column at fault.
    """
    columns = _kline_columns(rows, symbol)
    if not len(columns["time"]):
        return None
    table = _table("candles", "binance-klines", symbol, str(request.timeframe), columns)
    candles = _good(build_candles, table, request)
    assert isinstance(candles, Candles)
    _check_closes(candles, columns, request, symbol)
    return candles


def trade_prints(rows: Any, request: Request, symbol: str) -> Trades | None:
    """The prints of a page; None of a page without a row. `Invalid` names the field at fault."""
    columns = _trade_columns(rows, symbol)
    if not len(columns["time"]):
        return None
    trades = _good(build_trades, _table("trades", "binance-aggtrades", symbol, "", columns), request)
    assert isinstance(trades, Trades)
    return trades


def on_schedule(candles: Candles, request: Request) -> Candles:
    """Without bars that the calendar does not know. `Invalid` when they are many: it is another calendar."""
    strange = off_schedule(candles, request.sessions)
    if not len(strange):
        return candles
    if len(strange) * 10 > len(candles) and len(strange) > 1:
        first = iso(int(candles.open_ns[strange[0]]))
        raise Invalid(
            f"{request.instrument.id} {request.timeframe}: {len(strange)} of {len(candles)} bars open where calendar "
            f"{request.sessions.name} opens none, the first at {first}",
            hint="does the instrument have the right calendar?",
        )
    return candles.take(np.delete(np.arange(len(candles)), strange))


# --- columns ----------------------------------------------------------------------------------------------------------


def _kline_columns(rows: Any, symbol: str) -> dict[str, Column]:
    _require(isinstance(rows, list), symbol, "klines", f"a list of rows expected, received {_shown(rows)}")
    for number, row in enumerate(rows):
        whole = isinstance(row, list) and len(row) == len(_KLINE)
        got = f"{len(row)} columns" if isinstance(row, list) else _shown(row)
        _require(whole, symbol, f"kline {number}", f"{len(_KLINE)} columns expected, received {got}")
    cells = dict(zip(_KLINE, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(_KLINE, ())
    for name, kind in _KLINE.items():
        _check_column(name, cells[name], kind, symbol, "kline")
    columns: dict[str, Column] = {
        "time": _times(cells["openTime"], symbol, "openTime"),
        "close_time": _times(cells["closeTime"], symbol, "closeTime"),
    }
    return columns | {ours: pa.array(cells[theirs], pa.string()) for ours, theirs in _OURS.items()}


def _trade_columns(rows: Any, symbol: str) -> dict[str, Column]:
    _require(isinstance(rows, list), symbol, "aggTrades", f"a list of objects expected, received {_shown(rows)}")
    for number, row in enumerate(rows):
        _require(isinstance(row, dict), symbol, f"aggTrade {number}", f"an object expected, received {_shown(row)}")
        for field in _TRADE:
            _require(field in row, symbol, f"aggTrade {number}, field {field}", "it is missing")
    cells = {field: [row[field] for row in rows] for field in _TRADE}
    for field, kind in _TRADE.items():
        _check_column(field, cells[field], kind, symbol, "aggTrade")
    return {
        "time": _times(cells["T"], symbol, "T"),
        "price": pa.array(cells["p"], pa.string()),
        "size": pa.array(cells["q"], pa.string()),
        "id": np.array(cells["a"], np.int64),
        "buyer_maker": np.array(cells["m"], np.bool_),
    }


def _is_whole(cell: Any) -> bool:
    return isinstance(cell, int) and not isinstance(cell, bool) and 0 <= cell < 2**62


def _is_decimal(cell: Any) -> bool:
    return isinstance(cell, str) and _DECIMAL.fullmatch(cell) is not None


_IS: Final[dict[str, Callable[[Any], bool]]] = {
    _WHOLE: _is_whole,
    _TEXT: _is_decimal,
    _TRUTH: lambda cell: isinstance(cell, bool),
    "": lambda _: True,
}


def _check_column(name: str, cells: Sequence[Any], kind: str, symbol: str, what: str) -> None:
    number = next((number for number, cell in enumerate(cells) if not _IS[kind](cell)), None)
    if number is not None:
        received = _shown(cells[number])
        raise _changed(symbol, f"{what} {number}, column {name}", f"{kind} expected, received {received}")


def _times(cells: Sequence[int], symbol: str, name: str) -> Column:
    """Milliseconds; another unit than expected is a changed schema, not a far-off date."""
    times = np.array(cells, np.int64)
    strange = (times < _EARLIEST_MS) | (times > _LATEST_MS)
    if strange.any():
        number = int(np.argmax(strange))
        raise _changed(symbol, f"row {number}, column {name}", f"milliseconds expected, received {int(times[number])}")
    return times


def _check_closes(candles: Candles, columns: Mapping[str, Column], request: Request, symbol: str) -> None:
    """A bar closes a millisecond after its closeTime. An outage once cut some short; none is ever longer."""
    opens_ns, closes_ns = columns["time"] * MS_NS, (columns["close_time"] + 1) * MS_NS
    at = np.minimum(np.searchsorted(candles.open_ns, opens_ns), len(candles) - 1)
    strange = candles.open_ns[at] != opens_ns
    if strange.any():
        number = int(np.argmax(strange))
        said = f"no bar of {request.timeframe} opens at {iso(int(opens_ns[number]))}"
        raise _changed(symbol, f"kline {number}, column openTime", said)
    due_ns = candles.close_ns[at]
    wrong = (closes_ns <= opens_ns) | (closes_ns > due_ns)
    if wrong.any():
        number = int(np.argmax(wrong))
        raise _changed(
            symbol,
            f"kline {number}, column closeTime",
            f"at most {iso(int(due_ns[number]) - MS_NS)} expected of a bar of {request.timeframe}, "
            f"received {iso(int(closes_ns[number]) - MS_NS)}",
        )


# --- the importer's rules ---------------------------------------------------------------------------------------------


def _table(kind: Kind, form: str, symbol: str, timeframe: str, columns: dict[str, Column]) -> Table:
    return Table(
        kind=kind,
        format=form,
        name=Name((symbol,), "binance", timeframe, "crypto"),
        columns={name: column for name, column in columns.items() if name != "close_time"},
        lines=np.arange(len(columns["time"]), dtype=np.int64),
        clock=Clock(zone="UTC"),
        text=columns.__getitem__,
    )


def _good(build: Callable[..., Built], table: Table, request: Request) -> Candles | Trades:
    """What the importer makes of a table, without a bad row; `Invalid` names the first of them."""
    faults, what = Faults(table), f"{table.name.symbols[0]} {table.format}"
    stamps = read_times(table, faults)
    wanted = Wanted(what, one_instrument(request.instrument), request.instrument.id, table.name.timeframe or None)
    identity = identify(table.name, stamps, wanted.instruments, wanted.instrument, what)
    with np.errstate(all="ignore"):
        built = build(table, wanted, identity, stamps, faults)
    if faults.count():
        error = bad_rows(faults.rejects(what, 20), faults.count())
        raise Invalid(
            error.message, hint="the provider's answer breaks a rule: nothing of it is used", detail=error.detail
        )
    assert isinstance(built.series, Candles | Trades)
    return built.series


def one_instrument(instrument: Instrument) -> Instruments:
    """A file of instruments that holds this one alone."""
    return Instruments([instrument])


def _require(good: bool, symbol: str, where: str, said: str) -> None:
    if not good:
        raise _changed(symbol, where, said)


def _changed(symbol: str, where: str, said: str) -> Invalid:
    return Invalid(
        f"Binance, {symbol}, {where}: {said}",
        hint="has the interface changed? nothing of this answer is used",
        detail={"symbol": symbol, "where": where},
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
