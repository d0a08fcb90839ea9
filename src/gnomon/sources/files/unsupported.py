"""What is recognised and not imported, by the reason: a refusal names what the file is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gnomon.errors import Invalid

SUPPORTED: Final = (
    "supported: CSV, Parquet and Arrow of candles or trades, freqtrade JSON and feather, Binance klines, aggTrades and "
    "trades, Kronos CSV, Alpha Vantage and AI-Trader JSON, LEAN trade ticks, tardis trades, quotes and books, Binance "
    "depth, recordings of the streams of Binance and Bybit"
)


def refusal(file: str, what: str) -> Invalid:
    """The error for a file of a kind that is not imported."""
    return Invalid(f"{file}: {what}", hint=SUPPORTED)


def header_reason(names: Sequence[str]) -> str:
    """Why a table with these columns (plain names) is refused; "" where nothing speaks against it."""
    known = set(names)
    if any(name.startswith(("asks_0", "bids_0")) for name in known):
        return "order book snapshots of another layout than that of tardis"
    if {"is_snapshot", "side", "price"} <= known:
        return "order book increments (L2) of another layout than that of tardis"
    if {"update_type", "side", "price"} <= known:
        return "order book depth of another layout than that of Binance"
    if {"ask_price", "bid_price"} <= known:
        return "quotes (best bid and ask) of another layout than that of tardis"
    if "funding_rate" in known:
        return "funding rates are no candles"
    if {"date", "cash"} <= known:
        return "cash and net values of accounts, no market data"
    return ""


def document_reason(document: dict[str, Any]) -> str:
    """Why a JSON object (or the first of many) is refused."""
    if {"stream", "data"} <= set(document):
        return "recorded websocket messages without the times at which they were received"
    if "positions" in document and ("id" in document or "date" in document):
        return "positions of an agent (a ledger), no market data"
    for name in ("Error Message", "Note", "Information"):
        if name in document:
            return f"an answer of Alpha Vantage without prices: {str(document[name])[:200]}"
    return f"a JSON object of no known kind (keys {', '.join(map(repr, list(document)[:6]))})"


def bytes_reason(data: bytes) -> str:
    """Why these bytes are refused before they are read as a table; "" where nothing speaks against it."""
    head = data[:65536]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16 text: save it as UTF-8"
    if head.count(b"\0") * 100 > len(head):  # fewer stand in a damaged cell
        return "binary data of no known kind"
    return ""


def table_reason(header: Sequence[str], lines: Sequence[bytes], delimiter: str) -> str:
    """Why a text with this first line is no table that we know."""
    counts = {line.count(delimiter.encode()) for line in lines if line.strip()}
    if len(header) < 2 or counts != {len(header) - 1}:
        return "plain text, no table of candles or trades"
    columns = ", ".join(repr(name) for name in header[:8]) + (", …" if len(header) > 8 else "")
    return f"a table with the columns {columns}: neither open, high, low, close nor price and size with a time"
