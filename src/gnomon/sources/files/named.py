"""Tables whose columns have names: CSV of any vendor (Kronos and tardis among them), Parquet, Arrow, JSON records.

| format          | known by                                     | time                               | whose          |
|-----------------|----------------------------------------------|------------------------------------|----------------|
| `kronos-csv`    | timestamps open high low close volume amount | end of the bar, exchange's clock   | file name      |
| `tardis-trades` | exchange symbol timestamp local_timestamp …  | microseconds                       | columns        |
| others          | open high low close time; price size time    | UTC where no offset says otherwise | column or name |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pyarrow as pa

from gnomon.sources.files.books import refuse_inverse, tardis_name
from gnomon.sources.files.columns import plain, roles
from gnomon.sources.files.content import Content
from gnomon.sources.files.delimited import Delimited, Progress
from gnomon.sources.files.names import FileName, read_name, symbol_name
from gnomon.sources.files.numbers import usual
from gnomon.sources.files.table import Broken, Clock, Column, Kind, Name, Table
from gnomon.sources.files.unsupported import header_reason, refusal
from gnomon.units import IntArray

_KRONOS: Final = ("timestamps", "open", "high", "low", "close", "volume", "amount")
_TARDIS: Final = {"exchange", "symbol", "timestamp", "local_timestamp", "side", "price", "amount"}
_SYMBOL: Final = ("symbol", "ticker", "pair", "instrument")
_NUMERIC: Final = {"open", "high", "low", "close", "volume", "amount", "price", "size"}


def recognise(header: Sequence[str], file: str) -> tuple[Kind, dict[str, int]] | None:
    """The kind and the position of each column, the ones that must be constant included; None where nothing fits.

    Raises `Invalid` for the kinds of tables that are known and not imported.
    """
    names = plain(header)
    if reason := header_reason(names):
        raise refusal(file, reason)
    found = roles(header, file)
    if found is None:
        return None
    kind, columns = found
    if "exchange" in names:
        columns["exchange"] = names.index("exchange")
    for name in _SYMBOL:
        if name in names:
            columns.setdefault("symbol", names.index(name))
    return kind, columns


def sheet_table(
    content: Content, sheet: Delimited, kind: Kind, columns: Mapping[str, int], progress: Progress | None = None
) -> Table:
    """The one series of a delimited text with a header."""
    kinds: dict[str, Any] = {name: pa.float64() for name in columns if name in _NUMERIC}
    if sheet.sample[columns["time"] : columns["time"] + 1] and sheet.sample[columns["time"]].isdigit():
        kinds["time"] = pa.int64()
    kinds |= {name: pa.int64() for name in ("received", "id") if _is_whole(sheet, columns, name)}
    cells = sheet.read(columns, kinds, progress)
    form = "kronos-csv" if plain(sheet.header) == _KRONOS else "csv"
    form = "tardis-trades" if kind == "trades" and set(plain(sheet.header)) >= _TARDIS else form
    notes = (*sheet.notes, *_unread_notes(sheet.header, columns))
    table = column_table(
        content, form, kind, cells.columns, cells.lines, text=cells.text, broken=cells.broken, notes=notes
    )
    return replace(table, clock=Clock(zone="exchange", stamp="close")) if form == "kronos-csv" else table


def _is_whole(sheet: Delimited, columns: Mapping[str, int], name: str) -> bool:
    return name in columns and columns[name] < len(sheet.sample) and sheet.sample[columns[name]].isdigit()


def column_table(
    content: Content,
    form: str,
    kind: Kind,
    columns: Mapping[str, Column],
    lines: IntArray,
    *,
    text: Callable[[str], Column] | None = None,
    broken: tuple[Broken, ...] = (),
    notes: tuple[str, ...] = (),
) -> Table:
    """The one series of columns that were read already; `Invalid` where the series is one that is not imported."""
    named = _file_name(content)
    if named.series == "funding_rate" or (kind == "candles" and _only_opens(columns)):
        raise refusal(content.file, "funding rates, no candles: the rate stands in `open`, the other prices are 0")
    if named.series in ("index", "premiumIndex"):
        raise refusal(content.file, f"{named.series} prices, no trades: nothing reads them")
    if named.series == "mark":
        notes = (*notes, "mark prices, which the venue computes: a series of its own that is not forecast")
    constants = {name: usual(columns[name]) for name in ("exchange", "symbol") if name in columns}
    name = _name(content.file, named, constants, form)
    return Table(kind, form, name, columns, lines, constants=constants, text=text, broken=broken, notes=notes)


def _file_name(content: Content) -> FileName:
    inner = read_name(content.name)
    return inner if inner.name.symbols else read_name(content.file)


def _name(file: str, named: FileName, constants: Mapping[str, str], form: str) -> Name:
    symbol = symbol_name(constants.get("symbol", ""))
    if not symbol:
        return named.name
    if form != "tardis-trades":
        return replace(named.name, symbols=(symbol, constants["symbol"], re.sub("[^A-Z0-9]", "", symbol)))
    refuse_inverse(file, constants["exchange"], constants["symbol"])
    return tardis_name(constants["exchange"], constants["symbol"])


def _only_opens(columns: Mapping[str, Column]) -> bool:
    others = [columns[name] for name in ("high", "low", "close", "volume") if name in columns]
    return all(isinstance(one, np.ndarray) and len(one) > 0 and not one.any() for one in others)


def _unread_notes(header: Sequence[str], columns: Mapping[str, int]) -> tuple[str, ...]:
    left = [name or "(unnamed)" for at, name in enumerate(header) if at not in columns.values()]
    return (f"columns not read: {', '.join(left)}",) if left else ()
