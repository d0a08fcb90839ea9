"""Quotes and order books as tables and lines: tardis, Binance's historical depth, Bybit's recordings.

| format                 | known by                                        | becomes                                   |
|------------------------|-------------------------------------------------|-------------------------------------------|
| `tardis-quotes`        | ask_amount ask_price bid_price bid_amount       | quotes                                    |
| `tardis-book-snapshot` | asks[0].price … bids[0].price …                 | depth, each row a snapshot                |
| `tardis-book-l2`       | is_snapshot side price amount                   | depth                                     |
| `binance-depth`        | first_update_id last_update_id side update_type | depth; `snap` or `set`                    |
| `bybit-book`           | JSON lines with a topic `orderbook…`            | depth; times of the matching engine (cts) |

Inverse instruments, whose amounts are contracts worth a fixed sum of the quote currency, are refused: their lots are
no quantity of the base.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from gnomon.errors import Invalid
from gnomon.market.depth import ASK, BID
from gnomon.sources.files.columns import plain
from gnomon.sources.files.content import Content
from gnomon.sources.files.delimited import Delimited, Progress
from gnomon.sources.files.messages import levels_of, nanoseconds, whole
from gnomon.sources.files.names import symbol_name
from gnomon.sources.files.numbers import trimmed, usual
from gnomon.sources.files.rejects import Reject, bad_rows
from gnomon.sources.files.table import Broken, Column, Kind, Name, Table
from gnomon.units import IntArray

_SOURCE: Final = {"exchange": "exchange", "symbol": "symbol"}
_STAMPS: Final = {"time": "timestamp", "received": "local_timestamp"}
_FORMS: Final[dict[str, tuple[Kind, dict[str, str]]]] = {
    "tardis-quotes": (
        "quotes",
        _SOURCE | _STAMPS | {"bid": "bid_price", "bid_qty": "bid_amount", "ask": "ask_price", "ask_qty": "ask_amount"},
    ),
    "tardis-book-l2": (
        "depth",
        _SOURCE | _STAMPS | {"side": "side", "price": "price", "size": "amount", "snapshot": "is_snapshot"},
    ),
    "binance-depth": (
        "depth",
        {"symbol": "symbol", "time": "timestamp", "id": "last_update_id"}
        | {"side": "side", "price": "price", "size": "qty", "snapshot": "update_type"},
    ),
}
_SNAPSHOTS: Final = "tardis-book-snapshot"
_LEVEL: Final = re.compile(r"(ask|bid)s_(\d+)_(price|amount)")
_SHOWN: Final = 80

_INVERSE: Final = (
    # exchange, symbol: both as they are spelled by tardis or the venue
    (r"deribit", r"(?!.*_(USDC|USDT|EURR)).*"),
    (r"binance-delivery|cryptofacilities|bitmex", r"(?!.*(USDT|USDC)).*"),
    (r"bybit.*", r".*USD([HMUZ]\d+)?"),
    (r"okex-(swap|futures)|huobi-dm(-swap)?|gate-io-futures", r".*-USD(-.*)?|.*_USD"),
)


def refuse_inverse(file: str, exchange: str, symbol: str) -> None:
    """Raise `Invalid` for an instrument whose amounts are contracts worth a fixed sum of the quote currency."""
    for venues, symbols in _INVERSE:
        if re.fullmatch(venues, exchange.lower()) and re.fullmatch(symbols, symbol.upper()):
            raise Invalid(
                f"{file}: {symbol} of {exchange} is inverse: its amounts are contracts, no quantity of the base",
                hint="inverse instruments are not supported yet; import a linear or spot instrument",
            )


def tardis_name(exchange: str, symbol: str) -> Name:
    """Whose series it is, by tardis' names of exchange and symbol."""
    venue, plain_symbol = exchange.lower(), symbol_name(symbol)
    derived = "futures" in venue or "swap" in venue
    return Name((f"{plain_symbol}-PERP" if derived else plain_symbol,), venue, asset_class="crypto")


def recognise(header: Sequence[str]) -> str:
    """The format of a table of quotes or depth; "" for other tables."""
    names = set(plain(header))
    best = {f"{side}_0_{what}" for side in ("asks", "bids") for what in ("price", "amount")}
    if best | set((_SOURCE | _STAMPS).values()) <= names:
        return _SNAPSHOTS
    return next((form for form, (_, wanted) in _FORMS.items() if set(wanted.values()) <= names), "")


def sheet_table(content: Content, sheet: Delimited, form: str, progress: Progress | None = None) -> Table:
    """The one series of a table with a header."""
    names = plain(sheet.header)
    if form == _SNAPSHOTS:
        return _snapshots(content, sheet, names, progress)
    kind, wanted = _FORMS[form]
    numbers: dict[str, Any] = {name: pa.int64() for name in ("time", "received", "id") if name in wanted}
    cells = sheet.read({name: names.index(spelled) for name, spelled in wanted.items()}, numbers, progress)
    columns = dict(cells.columns)
    if form == "binance-depth":
        columns["snapshot"] = _replaced(columns["snapshot"], {"snap": "true", "set": "false"})
    name, constants = _whose(content, columns)
    table = Table(kind, form, name, columns, cells.lines, constants=constants, text=cells.text)
    return replace(table, broken=cells.broken, notes=sheet.notes)


def _whose(content: Content, columns: Mapping[str, Column]) -> tuple[Name, dict[str, str]]:
    """The name, and what every row must say of it: what most rows say."""
    constants = {name: usual(columns[name]) for name in ("exchange", "symbol") if name in columns}
    exchange = constants.get("exchange", "binance-futures")  # Binance sells depth of its futures alone
    refuse_inverse(content.file, exchange, constants["symbol"])
    return tardis_name(exchange, constants["symbol"]), constants


def _replaced(words: Column, by: Mapping[str, str]) -> Column:
    text = trimmed(words)
    for word, value in by.items():
        text = pc.if_else(pc.equal(text, word), value, text)
    return text


# --- snapshots in wide rows -------------------------------------------------------------------------------------------


def _snapshots(content: Content, sheet: Delimited, names: Sequence[str], progress: Progress | None) -> Table:
    """A row a snapshot: asks and bids from the best outward, each with price and amount; absent levels are empty."""
    wanted = {name: names.index(spelled) for name, spelled in (_SOURCE | _STAMPS).items()}
    levels = {name: at for at, name in enumerate(names) if _LEVEL.fullmatch(name) and _has_twin(name, names)}
    cells = sheet.read(wanted | levels, {name: pa.int64() for name in _STAMPS}, progress)
    if not levels:
        raise Invalid(f"{content.file}: no level has one price and one amount", hint="are columns named twice?")
    rows, places = len(cells.lines), sorted({name.rpartition("_")[0] for name in levels}, key=_outward)
    columns = _tall(cells.columns, places, rows)
    which = np.repeat(np.arange(rows), len(places))
    there = ~(_empty(columns["price"]) & _empty(columns["size"]))
    filled = {
        name: column[there] if isinstance(column, np.ndarray) else column.filter(pa.array(there))
        for name, column in columns.items()
    }
    filled |= {name: _taken(cells.columns[name], which[there]) for name in wanted}
    filled["id"] = which[there].astype(np.int64) + 1
    filled["snapshot"] = np.ones(int(there.sum()), np.bool_)
    whose, constants = _whose(content, filled)
    table = Table("depth", _SNAPSHOTS, whose, filled, cells.lines[which[there]], constants=constants)
    return replace(table, text=filled.__getitem__, broken=cells.broken, notes=sheet.notes)


def _has_twin(name: str, names: Sequence[str]) -> bool:
    """Whether the price of a level has its amount, and the amount its price, each once."""
    place, _, what = name.rpartition("_")
    return names.count(name) == names.count(f"{place}_{'amount' if what == 'price' else 'price'}") == 1


def _outward(place: str) -> tuple[int, str]:
    side, number = place.split("_")
    return int(number), side


def _tall(columns: Mapping[str, Column], places: Sequence[str], rows: int) -> dict[str, Column]:
    """Side, price and size of every place of every row, row by row."""
    order = pa.array(np.arange(rows * len(places)).reshape(len(places), rows).T.ravel())

    def joined(what: str) -> Column:
        return pa.concat_arrays([trimmed(columns[f"{place}_{what}"]) for place in places]).take(order)

    sides = np.array([BID if place.startswith("bid") else ASK for place in places], np.int8)
    return {"side": np.tile(sides, rows), "price": joined("price"), "size": joined("amount")}


def _empty(text: Column) -> Any:
    return pc.equal(text, "").to_numpy(zero_copy_only=False)


def _taken(column: Column, rows: IntArray) -> Column:
    return column[rows] if isinstance(column, np.ndarray) else column.take(pa.array(rows))


# --- Bybit ------------------------------------------------------------------------------------------------------------


def is_bybit(document: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a message of Bybit's order book stream."""
    return str(document.get("topic", "")).startswith("orderbook")


def bybit_table(content: Content, progress: Progress | None = None) -> Table:
    """The depth of a recording, one message a line."""
    columns: dict[str, list[Any]] = {name: [] for name in ("time", "id", "snapshot", "side", "price", "size")}
    lines: list[int] = []
    broken: list[Broken] = []
    symbols: dict[str, None] = {}
    for number, line in enumerate(content.data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            symbol, head, levels = _bybit_message(line)
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            broken.append(Broken(number, repr(line[:_SHOWN].decode(errors="replace")), "no message of an order book"))
            continue
        symbols[symbol] = None
        lines += [number] * len(levels)
        for level in levels:
            for column, value in zip(columns.values(), (*head, *level), strict=True):
                column.append(value)
    if not symbols:
        raise bad_rows([Reject(content.file, one.line, one.value, one.rule) for one in broken])
    if len(symbols) != 1:
        raise Invalid(f"{content.file}: order books of {len(symbols)} symbols", hint="one recording is of one symbol")
    if progress is not None:
        progress(len(content.data), len(content.data))
    return _bybit(content, next(iter(symbols)), columns, lines, tuple(broken))


def _bybit_message(line: bytes) -> tuple[str, tuple[int, int, bool], list[tuple[int, str, str]]]:
    """Symbol; time, update id and whether it is a snapshot; side, price and size of each level."""
    message = orjson.loads(line)
    data = message["data"]
    if message["type"] not in ("snapshot", "delta"):
        raise ValueError("neither a snapshot nor a delta")
    time_ns = nanoseconds(message["cts"] if "cts" in message else message["ts"])
    head = time_ns, whole(data["u"]), message["type"] == "snapshot"
    levels = [(side, *level) for side, key in ((BID, "b"), (ASK, "a")) for level in levels_of(data[key])]
    return str(data["s"]), head, levels


def _bybit(
    content: Content, symbol: str, columns: Mapping[str, list[Any]], lines: list[int], broken: tuple[Broken, ...]
) -> Table:
    refuse_inverse(content.file, "bybit", symbol)
    made: dict[str, Any] = {name: np.array(columns[name], np.int64) for name in ("time", "id")}
    made |= {name: pa.array(columns[name], pa.string()) for name in ("price", "size")}
    made |= {"side": np.array(columns["side"], np.int8), "snapshot": np.array(columns["snapshot"], np.bool_)}
    name = Name((symbol_name(symbol),), "bybit", asset_class="crypto")
    note = "the recording does not say whether this is spot or a perpetual: taken as spot"
    table = Table("depth", "bybit-book", name, made, np.array(lines, np.int64), text=made.__getitem__)
    return replace(table, broken=broken, notes=(note,))
