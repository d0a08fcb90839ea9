"""Recordings of Binance's combined streams, one message a line: `<received, ns> {"stream": ..., "data": {...}}`.

| message          | becomes | time of the venue         | id                                |
|------------------|---------|---------------------------|-----------------------------------|
| `@trade`         | trades  | T                         | t                                 |
| `@bookTicker`    | quotes  | T; spot has none          | u                                 |
| `@depth…`        | depth   | T, else E (spot)          | u: the last update of the message |
| a REST snapshot  | depth   | T, else E, else received  | lastUpdateId                      |

Spot's best prices carry no time of the venue: they are stamped when they were received. Prints of futures whose X is
not MARKET (insurance fund, deleveraging) never met the book: they are dropped and counted. A snapshot is placed among
the updates by its id, after all that it holds already.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa

from gnomon.errors import Invalid
from gnomon.market.depth import ASK, BID
from gnomon.sources.files.content import Content
from gnomon.sources.files.messages import levels_of, nanoseconds, whole
from gnomon.sources.files.names import read_name, symbol_name
from gnomon.sources.files.table import Broken, Kind, Name, Table

Progress = Callable[[int, int], None]

_LINE: Final = re.compile(rb"(\d{16,19}) (\{.*\})\s*")
_FEED: Final = re.compile(rb'\d{16,19} \{"')
_SHOWN: Final = 80


@dataclass(slots=True)
class _Recording:
    """What is collected from the lines, column by column. Of a book message: its levels under one head."""

    trades: dict[str, list[Any]] = field(default_factory=lambda: _columns("time received id price size maker"))
    quotes: dict[str, list[Any]] = field(default_factory=lambda: _columns("time received id bid bid_qty ask ask_qty"))
    books: list[_Message] = field(default_factory=list)
    snapshots: list[_Message] = field(default_factory=list)
    lines: dict[str, list[int]] = field(default_factory=lambda: {"trades": [], "quotes": []})
    symbols: set[str] = field(default_factory=set)
    derived: bool = False  # futures
    timeless: bool = False  # quotes without a time of the venue
    others: dict[str, int] = field(default_factory=dict)  # streams that are not read
    no_market: int = 0
    gaps: int = 0


@dataclass(frozen=True, slots=True)
class _Message:
    line: int
    received: int
    time: int
    last: int
    previous: int  # what must be the last of the message before; -1 where it does not say
    bids: Sequence[Sequence[str]]
    asks: Sequence[Sequence[str]]
    snapshot: bool = False


def is_feed(data: bytes) -> bool:
    """Whether the first line is a time and a JSON object."""
    return _FEED.match(data[:64]) is not None


def tables(content: Content, progress: Progress | None = None) -> list[Table]:
    """Trades, quotes and depth of a recording, those that have rows. `Invalid` where it is of several symbols."""
    recording, broken = _Recording(), []
    done = 0
    for number, line in enumerate(content.data.split(b"\n"), 1):
        if not line.strip():
            continue
        if reason := _read_line(recording, number, line):
            broken.append(Broken(number, repr(line[:_SHOWN].decode(errors="replace")), reason))
        done += len(line) + 1
        if progress is not None and number % 10_000 == 0:
            progress(done, len(content.data))
    found = [one for one in (_trades(recording), _quotes(recording), _depth(recording)) if one is not None]
    if not found:
        raise Invalid(f"{content.file}: a recording without trades, quotes or depth", hint="which streams are in it?")
    name, notes = _name(content, recording), _notes(recording)
    made = [_table(kind, name, columns, lines, recording) for kind, columns, lines in found]
    return [replace(made[0], notes=(*made[0].notes, *notes), broken=tuple(broken)), *made[1:]]


def _read_line(recording: _Recording, number: int, line: bytes) -> str:
    """Add the message of a line; the rule that it breaks, or ""."""
    match = _LINE.fullmatch(line)
    try:
        message = orjson.loads(match[2]) if match else None
    except orjson.JSONDecodeError:
        message = None
    if match is None or not isinstance(message, dict):
        return "a line is no time and JSON object"
    try:
        received = whole(int(match[1]))
        if "lastUpdateId" in message:
            recording.snapshots.append(_snapshot(number, received, message))
        else:
            _add(recording, number, received, str(message["stream"]), message["data"])
    except (KeyError, TypeError, ValueError, IndexError):
        return "a message lacks what its kind has"
    return ""


def _add(recording: _Recording, number: int, received: int, stream: str, data: Mapping[str, Any]) -> None:
    kind = stream.partition("@")[2].partition("@")[0]
    if kind == "trade":
        _add_trade(recording, number, received, data)
    elif kind == "bookTicker":
        _add_quote(recording, number, received, data)
    elif kind == "depth":
        message = _Message(
            number, received, _time(data), whole(data["u"]), _previous(data), levels_of(data["b"]), levels_of(data["a"])
        )
        recording.derived |= "pu" in data
        recording.books.append(message)
    else:
        recording.others[kind or stream] = recording.others.get(kind or stream, 0) + 1
        return
    recording.symbols.add(str(data["s"]))


def _add_trade(recording: _Recording, number: int, received: int, data: Mapping[str, Any]) -> None:
    if data.get("X", "MARKET") != "MARKET":
        recording.no_market += 1
        return
    row = nanoseconds(data["T"]), received, whole(data["t"]), str(data["p"]), str(data["q"]), _truth(data["m"])
    recording.derived |= "X" in data
    _append(recording.trades, row)
    recording.lines["trades"].append(number)


def _add_quote(recording: _Recording, number: int, received: int, data: Mapping[str, Any]) -> None:
    time = nanoseconds(data["T"]) if "T" in data else received
    row = time, received, whole(data["u"]), *(str(data[name]) for name in ("b", "B", "a", "A"))
    recording.timeless |= "T" not in data
    _append(recording.quotes, row)
    recording.lines["quotes"].append(number)


def _snapshot(number: int, received: int, message: Mapping[str, Any]) -> _Message:
    time = _time(message) if "T" in message or "E" in message else received
    last = whole(message["lastUpdateId"])
    return _Message(number, received, time, last, -1, levels_of(message["bids"]), levels_of(message["asks"]), True)


def _time(data: Mapping[str, Any]) -> int:
    return nanoseconds(data["T"] if "T" in data else data["E"])


def _previous(data: Mapping[str, Any]) -> int:
    return whole(data["pu"]) if "pu" in data else whole(data["U"]) - 1


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")
    return value


def _columns(names: str) -> dict[str, list[Any]]:
    return {name: [] for name in names.split()}


def _append(columns: dict[str, list[Any]], row: Sequence[Any]) -> None:
    for column, value in zip(columns.values(), row, strict=True):
        column.append(value)


# --- tables ---------------------------------------------------------------------------------------------------------

_Found = tuple[Kind, dict[str, Any], list[int]]


def _trades(recording: _Recording) -> _Found | None:
    columns = recording.trades
    if not columns["time"]:
        return None
    texts = {name: pa.array(columns[name], pa.string()) for name in ("price", "size")}
    maker = {"buyer_maker": np.array(columns["maker"], np.bool_)}
    return "trades", _whole(columns) | texts | maker, recording.lines["trades"]


def _quotes(recording: _Recording) -> _Found | None:
    columns = recording.quotes
    if not columns["time"]:
        return None
    texts = {name: pa.array(columns[name], pa.string()) for name in ("bid", "bid_qty", "ask", "ask_qty")}
    found = _whole(columns) | texts
    if recording.timeless:
        found["time"] = found.pop("received")
    return "quotes", found, recording.lines["quotes"]


def _depth(recording: _Recording) -> _Found | None:
    messages = _placed(recording)
    if not messages:
        return None
    sizes = [len(one.bids) + len(one.asks) for one in messages]
    sides: list[int] = []
    prices: list[str] = []
    amounts: list[str] = []
    for one in messages:
        sides += [BID] * len(one.bids) + [ASK] * len(one.asks)
        for levels in (one.bids, one.asks):
            prices += [price for price, _ in levels]
            amounts += [amount for _, amount in levels]
    heads = np.array([(one.time, one.received, one.last, one.snapshot) for one in messages], np.int64)
    time, received, last, snapshot = np.repeat(heads, sizes, axis=0).T
    columns = {
        "time": np.ascontiguousarray(time),
        "received": np.ascontiguousarray(received),
        "id": np.ascontiguousarray(last),
        "side": np.array(sides, np.int8),
        "price": pa.array(prices, pa.string()),
        "size": pa.array(amounts, pa.string()),
        "snapshot": snapshot == 1,
    }
    return "depth", columns, np.repeat([one.line for one in messages], sizes).tolist()


def _placed(recording: _Recording) -> list[_Message]:
    """The updates in the order of the file, each snapshot after the last update that it holds; gaps are counted."""
    updates = recording.books
    recording.gaps = sum(
        one.previous != before.last for before, one in itertools.pairwise(updates) if one.previous >= 0
    )
    ids = [one.last for one in updates]
    placed = list(updates)
    for snapshot in sorted(recording.snapshots, key=lambda one: one.last, reverse=True):
        placed.insert(bisect_right(ids, snapshot.last), snapshot)
    return placed


def _whole(columns: Mapping[str, list[Any]]) -> dict[str, Any]:
    return {name: np.array(columns[name], np.int64) for name in ("time", "received", "id")}


def _table(kind: Kind, name: Name, columns: dict[str, Any], lines: list[int], recording: _Recording) -> Table:
    no_market = {"not of the market (X)": recording.no_market} if kind == "trades" and recording.no_market else {}
    is_timeless = kind == "quotes" and recording.timeless
    notes = ("no time of the venue: stamped when they were received",) if is_timeless else ()
    return Table(
        kind,
        "binance-feed",
        name,
        columns,
        np.array(lines, np.int64),
        text=lambda column: columns[column],
        notes=notes,
        stamp="receive" if is_timeless else "exchange",
        dropped=no_market,
    )


def _name(content: Content, recording: _Recording) -> Name:
    if len(recording.symbols) > 1:
        several = ", ".join(sorted(recording.symbols)[:4])
        raise Invalid(f"{content.file} is of {len(recording.symbols)} symbols ({several})", hint="cut it by symbol")
    symbol = symbol_name(next(iter(sorted(recording.symbols)), ""))
    venue = "binance-futures" if recording.derived else "binance"
    if not symbol:
        return read_name(content.file).name
    is_perpetual = recording.derived and "_" not in symbol
    return Name((f"{symbol}-PERP" if is_perpetual else symbol,), venue, asset_class="crypto")


def _notes(recording: _Recording) -> tuple[str, ...]:
    notes = []
    if recording.others:
        streams = ", ".join(f"{name} ({count:,})" for name, count in recording.others.items())
        notes.append(f"messages of other streams are not read: {streams}")
    if recording.gaps:
        notes.append(f"{recording.gaps:,} times an update of the book is missing before another: walk it with care")
    return tuple(notes)
