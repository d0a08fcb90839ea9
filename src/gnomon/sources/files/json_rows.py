"""JSON arrays: freqtrade's lists `[ms, open, high, low, close, volume]`, its older objects, and other records."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa

from gnomon.errors import Invalid
from gnomon.sources.files.content import Content
from gnomon.sources.files.named import column_table, recognise
from gnomon.sources.files.table import Broken, Column, Table
from gnomon.sources.files.unsupported import refusal

_LIST: Final = ("time", "open", "high", "low", "close", "volume")


def load(file: str, data: bytes) -> Any:
    """The document of a JSON text. NaN and Infinity, which JSON has not, are read for the rules to refuse."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(data.decode(errors="replace"))
    except json.JSONDecodeError as error:
        raise Invalid(
            f"{file}: not JSON at line {error.lineno}, column {error.colno} ({error.msg})",
            hint="is the file cut off? fetch it again",
            detail={"line": error.lineno, "column": error.colno},
        ) from None
    except RecursionError:
        raise Invalid(f"{file}: JSON nested too deep", hint="is this market data?") from None


@contextmanager
def _no_collection() -> Iterator[None]:
    """A hundred thousand small lists would wake the garbage collector over and over: most of the time of parsing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def table(content: Content, data: bytes) -> Table:
    """The one series of a JSON array. Elements are counted from 0."""
    with _no_collection():
        rows = load(content.file, data)
        if not isinstance(rows, list):
            raise refusal(content.file, "JSON of no known kind")
        if not rows:
            raise Invalid(f"{content.file}: an empty JSON array", hint="fetch the file again")
        if isinstance(rows[0], list):
            return _lists(content, rows)
        if isinstance(rows[0], dict):
            return _records(content, rows)
    raise refusal(content.file, f"a JSON array of {type(rows[0]).__name__} values, no rows of candles or trades")


def _lists(content: Content, rows: Sequence[Any]) -> Table:
    if len(rows[0]) != len(_LIST):
        raise refusal(content.file, f"a JSON array of rows with {len(rows[0])} fields: freqtrade's candles have 6")
    try:
        if set(map(len, rows)) != {len(_LIST)}:
            return _uneven_lists(content, rows)
        values = np.fromiter(chain.from_iterable(rows), np.float64, len(rows) * len(_LIST)).reshape(-1, len(_LIST))
    except (TypeError, ValueError, OverflowError):
        return _uneven_lists(content, rows)
    columns = {name: np.ascontiguousarray(column) for name, column in zip(_LIST, values.T, strict=True)}
    if np.abs(columns["time"]).max() < 2**53:  # whole in a float64 as well
        columns["time"] = columns["time"].astype(np.int64)
    return column_table(content, "freqtrade-json", "candles", columns, np.arange(len(rows), dtype=np.int64))


def _uneven_lists(content: Content, rows: Sequence[Any]) -> Table:
    """Some rows are no lists of six, or hold what is no number: every cell as text, for the rules to judge."""
    good = [at for at, row in enumerate(rows) if isinstance(row, list) and len(row) == len(_LIST)]
    wrong = sorted(set(range(len(rows))) - set(good))
    broken = tuple(Broken(at, _spell(rows[at])[:80], "a row is no list of 6 fields") for at in wrong)
    columns = {name: pa.array([_spell(rows[at][k]) for at in good], pa.string()) for k, name in enumerate(_LIST)}
    lines = np.array(good, np.int64)
    return column_table(content, "freqtrade-json", "candles", columns, lines, text=columns.__getitem__, broken=broken)


def _records(content: Content, rows: Sequence[Any]) -> Table:
    header = list(rows[0])
    found = recognise(header, content.file)
    if found is None:
        keys = ", ".join(map(repr, header[:6]))
        raise refusal(content.file, f"a JSON array of objects with the keys {keys}: neither candles nor trades")
    kind, positions = found
    good = [at for at, row in enumerate(rows) if isinstance(row, dict)]
    wrong = sorted(set(range(len(rows))) - set(good))
    broken = tuple(Broken(at, _spell(rows[at])[:80], "a row is no object") for at in wrong)
    columns = {name: json_column([rows[row].get(header[at]) for row in good]) for name, at in positions.items()}
    form = "freqtrade-json-objects" if {"O", "H", "L", "C"} <= set(header) else "json-records"
    return column_table(content, form, kind, columns, np.array(good, np.int64), broken=broken)


def json_column(values: Sequence[Any]) -> Column:
    """Values of one key: numbers where all of them are, else text."""
    kinds = set(map(type, values))
    if kinds <= {int, float}:
        try:
            return np.array(values, np.int64 if kinds == {int} else np.float64)
        except OverflowError:
            pass
    return pa.array([_spell(value) for value in values], pa.string())


def _spell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
