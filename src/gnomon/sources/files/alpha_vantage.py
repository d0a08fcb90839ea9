"""Alpha Vantage's JSON, and AI-Trader's lines of it with renamed fields.

One object a file (`alpha-vantage`) or one a line (`ai-trader`): `Meta Data`, and a series keyed by date or time on the
clock of the exchange. Keys have no order of their own: bars are sorted. AI-Trader says `buy price` for the open and
`sell price` for the close, and shows of the newest bar only its open: that bar is still forming and is no bad row, it
is left out with a note.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pyarrow as pa

from gnomon.errors import Invalid
from gnomon.sources.files.names import symbol_name
from gnomon.sources.files.table import Broken, Clock, Name, Table

_FIELDS: Final = {
    "open": "open",
    "buy price": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "sell price": "close",
    "volume": "volume",
}
_COLUMNS: Final = ("time", "open", "high", "low", "close", "volume")
_NUMBERED: Final = re.compile(r"^\d+[a-z]?\. ")
_SERIES: Final = re.compile(r"(?:(Weekly|Monthly) )?(?:Adjusted )?Time Series(?: \((.+)\))?")
_TIMEFRAMES: Final = {"Daily": "1d", "Weekly": "1w", "Monthly": "1mo"}


def is_series(document: Any) -> bool:
    """Whether a JSON object is one of these."""
    return (
        isinstance(document, dict)
        and isinstance(document.get("Meta Data"), dict)
        and isinstance(document.get(_series_key(document) or ""), dict)
    )


def table(document: Mapping[str, Any]) -> Table:
    """The series of a file that is one object. Bars are counted from 0, in the order of the file."""
    return _table(document, "alpha-vantage", None)


def line_tables(file: str, documents: Sequence[tuple[int, Any]]) -> list[Table]:
    """The series of a file with one object a line, as (line number, document). The first is a series."""
    tables = [_table(document, "ai-trader", line) for line, document in documents if is_series(document)]
    broken = tuple(
        Broken(line, repr(document)[:80], "a line is no series of Alpha Vantage")
        for line, document in documents
        if not is_series(document)
    )
    keys = [(one.name.symbols, one.name.timeframe) for one in tables]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise Invalid(f"{file}: {twice[0][0]} stands on two lines", hint="keep one of them")
    return [replace(tables[0], broken=(*tables[0].broken, *broken)), *tables[1:]]


def _table(document: Mapping[str, Any], form: str, line: int | None) -> Table:
    meta = {_NUMBERED.sub("", str(name)).lower(): str(value) for name, value in document["Meta Data"].items()}
    key = _series_key(document)
    assert key is not None
    entries, broken = _entries(document[key], line)
    symbol = symbol_name(meta.get("symbol", ""))
    kept, notes = _without_forming(entries)
    columns = {name: [cells.get(name, "") for _, _, cells in kept] for name in _COLUMNS[1:]}
    columns["time"] = [stamp for stamp, _, _ in kept]
    return Table(
        kind="candles",
        format=form,
        name=Name((symbol,) if symbol else (), "us", _timeframe(key), "equity"),
        columns={name: pa.array(cells, pa.string()) for name, cells in columns.items()},
        lines=np.array([at if line is None else line for _, at, _ in kept], np.int64),
        clock=Clock(zone=meta.get("time zone", "US/Eastern")),
        broken=broken,
        notes=notes,
        shared_lines=line is not None,
        judge_basis=True,
    )


Entry = tuple[str, int, dict[str, str]]


def _entries(series: Mapping[str, Any], line: int | None) -> tuple[list[Entry], tuple[Broken, ...]]:
    """(stamp, position, cells) sorted by stamp, and what is no bar at all."""
    entries, broken = [], []
    for at, (stamp, fields) in enumerate(series.items()):
        if isinstance(fields, dict):
            named = {_FIELDS.get(_NUMBERED.sub("", name)): str(value) for name, value in fields.items()}
            entries.append((stamp, at, {name: value for name, value in named.items() if name is not None}))
        else:
            broken.append(Broken(at if line is None else line, repr(fields)[:80], f"bar {stamp} is no object"))
    return sorted(entries, key=lambda entry: entry[0]), tuple(broken)


def _without_forming(entries: list[Entry]) -> tuple[list[Entry], tuple[str, ...]]:
    if not entries or set(entries[-1][2]) != {"open"}:
        return entries, ()
    return entries[:-1], (f"the newest bar ({entries[-1][0]}) holds only its open: still forming, left out",)


def _series_key(document: Mapping[str, Any]) -> str | None:
    return next((name for name in document if _SERIES.fullmatch(name) and _timeframe(name)), None)


def _timeframe(key: str) -> str:
    """`1d` of `Time Series (Daily)`, `60min` of `Time Series (60min)`; "" for another kind of series."""
    match = _SERIES.fullmatch(key)
    spelled = (match[1] or match[2] or "") if match else ""
    return _TIMEFRAMES.get(spelled, spelled if re.fullmatch(r"\d+min", spelled) else "")
