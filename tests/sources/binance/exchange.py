"""A small Binance on this machine: the same bars and prints over REST and as dumps, in the formats of the real one."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from tests.sources.loopback import Loopback, Reply, Seen

from gnomon.chance import generator
from gnomon.clock import Timeframe, parse_instant
from gnomon.market.candles import COLUMNS, Candles
from gnomon.market.instrument import Instrument
from gnomon.sources.instruments import shipped_instruments
from gnomon.sources.sessions import load_sessions
from gnomon.sources.source import Request

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
FILTERS = [
    {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "maxPrice": "1000000.00000000", "tickSize": "0.01000000"},
    {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
    {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True},
]


def ms(text: str) -> int:
    return parse_instant(text) // 1_000_000


def bitcoin() -> Instrument:
    return shipped_instruments().find("BTCUSDT")


def window(first: str, last: str, timeframe: str = "1h", instrument: Instrument | None = None) -> Request:
    instrument = instrument or bitcoin()
    sessions = load_sessions(instrument.calendar)
    return Request(instrument, sessions, Timeframe.parse(timeframe), parse_instant(first), parse_instant(last))


def kline(open_ms: int, length_ms: int = HOUR_MS) -> list[Any]:
    """The bar that opens then: always the same one."""
    draws = generator(1, "kline", open_ms).integers(1, 100_000, 8)
    opened, close = 4_000_000 + int(draws[0]), 4_000_000 + int(draws[1])
    high, low = max(opened, close) + int(draws[2]), min(opened, close) - int(draws[3])
    prices = [f"{cents // 100}.{cents % 100:02d}000000" for cents in (opened, high, low, close)]
    volume, quote, taker = (f"{draws[k]}.{draws[k + 1]:08d}" for k in (4, 5, 6))
    count = int(draws[7])
    return [open_ms, *prices, volume, open_ms + length_ms - 1, quote, count, taker, taker, "0"]


def agg_trade(number: int, time_ms: int) -> dict[str, Any]:
    draws = generator(2, "print", number).integers(1, 100_000, 3)
    price, size = f"{40_000 + draws[0] % 10}.{draws[1] % 100:02d}000000", f"0.{draws[1]:08d}"
    ids = {"f": 3 * number, "l": 3 * number + 2}
    return {"a": number, "p": price, "q": size, **ids, "T": time_ms, "m": bool(draws[2] % 2), "M": True}


@dataclass
class Exchange:
    """Bars of one symbol from `first_ms`, less `outages`; prints; a clock of its own. `routes` are for a `Loopback`."""

    now_ms: int
    first_ms: int = 0
    outages: Sequence[tuple[int, int]] = ()
    prints: Sequence[dict[str, Any]] = ()
    symbol: str = "BTCUSDT"
    length_ms: int = HOUR_MS
    routes: dict[str, Callable[[Seen], Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.routes = {
            "/api/v3/time": lambda _: {"serverTime": self.now_ms},
            "/api/v3/klines": self.klines,
            "/api/v3/aggTrades": self.agg_trades,
            "/api/v3/exchangeInfo": self.exchange_info,
        }

    def opens(self, first_ms: int, last_ms: int) -> Iterable[int]:
        """Opens from `first_ms` to `last_ms`, both included, that have begun by now."""
        start = max(first_ms, self.first_ms)
        start += -start % self.length_ms
        for open_ms in range(start, min(last_ms, self.now_ms) + 1, self.length_ms):
            if not any(a <= open_ms < b for a, b in self.outages):
                yield open_ms

    def klines(self, seen: Seen) -> Any:
        if seen.params["symbol"] != self.symbol:
            return Reply({"code": -1121, "msg": "Invalid symbol."}, status=400)
        limit, rows = int(seen.params["limit"]), []
        for open_ms in self.opens(int(seen.params["startTime"]), int(seen.params["endTime"])):
            rows.append(kline(open_ms, self.length_ms))
            if len(rows) == limit:
                break
        return Reply(rows, headers={"x-mbx-used-weight-1m": "12"})

    def agg_trades(self, seen: Seen) -> Any:
        params, rows = seen.params, list(self.prints)
        if "fromId" in params:
            rows = [row for row in rows if row["a"] >= int(params["fromId"])]
        else:
            first_ms, last_ms = int(params["startTime"]), int(params["endTime"])
            if last_ms - first_ms > HOUR_MS:
                return Reply({"code": -1127, "msg": "More than 1 hours between startTime and endTime."}, status=400)
            rows = [row for row in rows if first_ms <= row["T"] <= last_ms]
        return rows[: int(params["limit"])]

    def exchange_info(self, _: Seen) -> Any:
        return {"timezone": "UTC", "symbols": [{"symbol": self.symbol, "status": "TRADING", "filters": FILTERS}]}

    # --- the archive ------------------------------------------------------------------------------------------------

    def archive(
        self, published_ms: int | None = None, months_until: str = "9999-12"
    ) -> dict[str, Callable[[Seen], Any]]:
        """Routes of data.binance.vision: days that are over by `published_ms`, months before `months_until`."""
        until_ms = self.now_ms if published_ms is None else published_ms

        def file(seen: Seen) -> Reply:
            path = seen.path.removesuffix(".CHECKSUM")
            found = self._dump(path, until_ms, months_until)
            if found is None:
                return Reply("<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", status=404)
            if seen.path != path:
                return Reply(f"{hashlib.sha256(found).hexdigest()}  {path.rpartition('/')[2]}\n")
            return _ranged(found, seen)

        return {"/data/spot/*": file}

    def _dump(self, path: str, until_ms: int, months_until: str) -> bytes | None:
        folder, _, name = path.rpartition("/")
        stem = name.removesuffix(".zip")
        is_month, is_trades = "/monthly/" in folder, "-aggTrades-" in stem
        date = stem.split("-", 2)[2]
        if not stem.startswith(f"{self.symbol}-") or (is_month and date >= months_until):
            return None
        begin = datetime.fromisoformat(f"{date}-01" if is_month else date).replace(tzinfo=UTC)
        end = begin + timedelta(days=32 if is_month else 1)
        end = end.replace(day=1) if is_month else end
        first_ms, last_ms = int(begin.timestamp() * 1000), int(end.timestamp() * 1000)
        if last_ms > until_ms:
            return None
        if is_trades:
            rows = [trade_line(row) for row in self.prints if first_ms <= row["T"] < last_ms]
        else:
            rows = [kline_line(kline(at, self.length_ms)) for at in self.opens(first_ms, last_ms - 1)]
        return packed(stem, rows) if rows else None


def kline_line(row: Sequence[Any]) -> str:
    """A line of a dump: in microseconds from 2025 on."""
    cells = list(row)
    if cells[0] >= ms("2025-01-01"):
        cells[0], cells[6] = cells[0] * 1000, cells[6] * 1000 + 999
    return ",".join(map(str, cells))


def trade_line(row: dict[str, Any]) -> str:
    time = row["T"] * 1000 if row["T"] >= ms("2025-01-01") else row["T"]
    return f"{row['a']},{row['p']},{row['q']},{row['f']},{row['l']},{time},{row['m']},{row['M']}"


def packed(stem: str, rows: Sequence[str], member: str = "") -> bytes:
    """A zip with one file, the same bytes each time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        text = "".join(f"{row}\n" for row in rows)
        archive.writestr(zipfile.ZipInfo(member or f"{stem}.csv"), text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _ranged(content: bytes, seen: Seen) -> Reply:
    """S3 gives ranges, and an ETag."""
    headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"', "Accept-Ranges": "bytes"}
    wanted = seen.headers.get("range", "").removeprefix("bytes=").removesuffix("-")
    if not wanted or seen.headers.get("if-range", headers["ETag"]) != headers["ETag"]:
        return Reply(content, headers=headers)
    start = int(wanted)
    if start >= len(content):
        return Reply(b"", 416)
    headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
    return Reply(content[start:], 206, headers)


def prints_from(first_ms: int, count: int, every_ms: int = 250, first_id: int = 5_000) -> list[dict[str, Any]]:
    """Prints of which four share a millisecond."""
    return [agg_trade(first_id + n, first_ms + n // 4 * 4 * every_ms) for n in range(count)]


def naive(exchange: Exchange, request: Request) -> list[tuple[int, ...]]:
    """What a window must give, by the plainest rule: (open ns, close ns, prices in cents, volume and quote in 1e-8)."""
    rows = []
    for open_ms in exchange.opens(exchange.first_ms, exchange.now_ms):
        row = kline(open_ms, exchange.length_ms)
        begins = request.first_ns <= open_ms * 1_000_000 < request.last_ns
        if begins and row[6] < exchange.now_ms:
            cents = [int(cell.replace(".", "")) // 10**6 for cell in row[1:5]]
            fine = [int(row[5].replace(".", "")), int(row[7].replace(".", ""))]
            rows.append((open_ms * 1_000_000, (row[6] + 1) * 1_000_000, *cents, *fine))
    return rows


def told(pages: Iterable[Candles]) -> list[tuple[int, ...]]:
    """Pages as rows of `naive`, whatever their grids."""
    rows: list[tuple[int, ...]] = []
    for page in pages:
        prices = [
            page.tick.step * int(x) * 100 for name in ("open", "high", "low", "close") for x in getattr(page, name)
        ]
        fine = [page.lot.step * int(x) * 10**8 for x in page.volume]
        worth = [page.money.step * int(x) * 10**8 for x in page.amount]
        columns = [prices[k * len(page) : (k + 1) * len(page)] for k in range(4)]
        exact = [[int(x) for x in column] for column in (*columns, fine, worth)]
        assert all(int(x) == x for column in (*columns, fine, worth) for x in column)
        rows += [tuple(map(int, row)) for row in zip(page.open_ns, page.close_ns, *exact, strict=True)]
        assert (page.knowable_ns == page.close_ns).all()
    return rows


def same(one: Candles, other: Candles) -> bool:
    """The same series to the last column and grid."""
    columns = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in COLUMNS)
    return columns and (one.key, one.tick, one.lot, one.money) == (other.key, other.tick, other.lot, other.money)


def served(exchange: Exchange, date: str = "") -> Loopback:
    return Loopback(exchange.routes, date=date)
