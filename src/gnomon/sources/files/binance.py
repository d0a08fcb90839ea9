"""Binance's public dumps: klines, aggTrades and trades, with and without a header, in milliseconds or microseconds."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

import pyarrow as pa

from gnomon.sources.files.columns import plain, roles
from gnomon.sources.files.content import Content
from gnomon.sources.files.delimited import Delimited, Progress
from gnomon.sources.files.names import read_name
from gnomon.sources.files.table import Kind, Name, Table

_KLINE: Final = {"time": 0, "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "amount": 7}
_AGG_TRADE: Final = {"id": 0, "price": 1, "size": 2, "time": 5, "buyer_maker": 6}
_TRADE: Final = {"id": 0, "price": 1, "size": 2, "time": 4, "buyer_maker": 5}
_HEADERS: Final[dict[str, tuple[set[str], ...]]] = {
    "binance-klines": ({"open_time", "close_time", "quote_volume"}, {"open_time", "close_time", "quote_asset_volume"}),
    "binance-aggtrades": ({"agg_trade_id", "transact_time"},),
    "binance-trades": ({"qty", "quote_qty", "is_buyer_maker"},),
}
_TRUTH: Final = r"(?i)true|false"
_NUMBER: Final = r"-?\d+(\.\d+)?"
_WHOLE: Final = r"-?\d+"


def recognise(sheet: Delimited) -> tuple[str, dict[str, int]] | None:
    """The format and the position of each column, or None for other tables."""
    if sheet.header:
        names = set(plain(sheet.header))
        formats = (name for name, headers in _HEADERS.items() if any(header <= names for header in headers))
        form = next(formats, "")
        found = roles(sheet.header, sheet.file) if form else None
        return (form, found[1]) if found else None
    return _by_shape(sheet.sample)


def _by_shape(row: tuple[str, ...]) -> tuple[str, dict[str, int]] | None:
    shapes: tuple[tuple[str, dict[str, int], str], ...] = (
        ("binance-klines", _KLINE, "wnnnnnwnwnnn"),
        ("binance-aggtrades", _AGG_TRADE, "wnnwwwtt"),
        ("binance-aggtrades", _AGG_TRADE, "wnnwwwt"),
        ("binance-trades", _TRADE, "wnnnwtt"),
        ("binance-trades", _TRADE, "wnnnwt"),
    )
    kinds = {"w": _WHOLE, "n": _NUMBER, "t": _TRUTH}
    for form, columns, shape in shapes:
        if len(row) == len(shape) and all(re.fullmatch(kinds[k], cell) for k, cell in zip(shape, row, strict=True)):
            return form, columns
    return None


def table(
    content: Content, sheet: Delimited, form: str, columns: dict[str, int], progress: Progress | None = None
) -> Table:
    """The one series of a dump. Quote volume becomes the amount; a bar's close follows from its open."""
    kind: Kind = "candles" if form == "binance-klines" else "trades"
    kinds: dict[str, Any] = dict.fromkeys(columns, pa.float64()) | {"time": pa.int64()}
    if kind == "trades":
        kinds |= {"id": pa.int64(), "buyer_maker": pa.bool_()}
    cells = sheet.read(columns, kinds, progress)
    return Table(
        kind=kind,
        format=form,
        name=_name(content),
        columns=cells.columns,
        lines=cells.lines,
        text=cells.text,
        broken=cells.broken,
        notes=(*sheet.notes, *_notes(content)),
    )


def _name(content: Content) -> Name:
    for file_name in (content.name, content.file):
        name = read_name(file_name).name
        if name.symbols:
            return replace(name, venue="binance", asset_class="crypto")
    return Name(venue="binance", asset_class="crypto")


def _notes(content: Content) -> tuple[str, ...]:
    checked = "SHA-256 verified against its .CHECKSUM" if content.verified else "no .CHECKSUM beside it: not verified"
    return (checked, "the dump does not say whether this is spot or futures: taken as spot")
