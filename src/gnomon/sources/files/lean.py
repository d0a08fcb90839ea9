"""LEAN's trade ticks: milliseconds since midnight in New York, price in 10^-4, size, exchange, conditions, suspicious.

The date stands in the name of the member or of the file only; several prints of a millisecond keep the order of the
file.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import pyarrow as pa

from gnomon.errors import Invalid
from gnomon.sources.files.content import Content
from gnomon.sources.files.delimited import Delimited, Progress
from gnomon.sources.files.names import symbol_name
from gnomon.sources.files.table import Clock, Name, Table
from gnomon.units import SECOND_NS

_SHAPE: Final = (r"\d{1,8}", r"\d+", r"\d+", r"[A-Za-z]{0,2}", r"[0-9A-Fa-f]*", r"[01]")
_COLUMNS: Final = {"time": 0, "price": 1, "size": 2, "suspicious": 5}
_MEMBER: Final = re.compile(r"(\d{8})_([A-Za-z0-9.]+)_trade", re.IGNORECASE)
_FILE: Final = re.compile(r"(?:([A-Za-z0-9.]+)_)?(\d{8})_trade", re.IGNORECASE)
_PRICE_DECIMALS: Final = 4


def recognise(sheet: Delimited) -> bool:
    """Six columns without a header: whole numbers, a letter, hexadecimal flags and 0 or 1."""
    row = sheet.sample
    fits = len(row) == len(_SHAPE) and all(re.fullmatch(shape, cell) for shape, cell in zip(_SHAPE, row, strict=True))
    return not sheet.header and fits and bool(row[3] or row[4])


def table(content: Content, sheet: Delimited, progress: Progress | None = None) -> Table:
    """The prints of one day, both regular and extended hours."""
    symbol, midnight_ns = _day(content)
    whole = dict.fromkeys(_COLUMNS, pa.int64())
    cells = sheet.read(_COLUMNS, whole, progress)
    return Table(
        kind="trades",
        format="lean-ticks",
        name=Name((symbol,) if symbol else (), venue="us", asset_class="equity"),
        columns=cells.columns,
        lines=cells.lines,
        clock=Clock(base_ns=midnight_ns, unit_ns=1_000_000),
        decimals={"price": _PRICE_DECIMALS, "size": 0},
        text=cells.text,
        broken=cells.broken,
        notes=(*sheet.notes, "no side in the file: trades are two-sided; prints outside the session are flagged"),
    )


def _day(content: Content) -> tuple[str, int]:
    """The symbol ("" where no name has it) and midnight of the date in New York."""
    if match := _MEMBER.match(content.name):
        day, symbol = match[1], match[2]
    elif match := _FILE.match(content.file):
        day, symbol = match[2], match[1] or ""
    else:
        raise Invalid(
            f"{content.file}: LEAN ticks, but no name in it says the date",
            hint="name the file SYMBOL_YYYYMMDD_trade.zip",
        )
    try:
        midnight = datetime(int(day[:4]), int(day[4:6]), int(day[6:]), tzinfo=ZoneInfo("America/New_York"))
    except ValueError:
        raise Invalid(f"{content.file}: {day} is no date", hint="name the file SYMBOL_YYYYMMDD_trade.zip") from None
    return symbol_name(symbol), int(midnight.timestamp()) * SECOND_NS
