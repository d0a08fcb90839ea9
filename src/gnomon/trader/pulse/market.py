"""Market: what any Binance-compatible endpoint tells of an instrument, as a session's facts and as a desk's sight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import numpy as np

from gnomon.clock import Timeframe
from gnomon.errors import Invalid, NotFound
from gnomon.exchange.listing import Asset, Filters, Listing
from gnomon.market.candles import UNKNOWN_AMOUNT, Candles
from gnomon.trader.events import BestQuote, Candle
from gnomon.trader.market import Book, Last, Printed
from gnomon.trader.plan import Plan
from gnomon.trader.pulse.client import Rest
from gnomon.trader.pulse.config import Config
from gnomon.trader.pulse.native import SessionFacts
from gnomon.trader.pulse.prints import MS, count
from gnomon.trader.sizing import Costs
from gnomon.units import DAY_NS, MONEY_DECIMALS, Grid

MOST_ROWS: Final = 1000
KEPT_ROWS: Final = 5000
FAR_NS: Final = 36_500 * DAY_NS
RATE_UNITS: Final = 8


def public_facts(rest: Rest, config: Config, wall_ns: int) -> SessionFacts:
    """From exchangeInfo, the account and the server's time. `NotFound` for a symbol that is not traded there."""
    symbol = config.run.symbol.upper()
    info = rest.get("/api/v3/exchangeInfo", {"symbol": symbol})
    row = next((one for one in info.get("symbols", ()) if one["symbol"] == symbol), None)
    if row is None:
        raise NotFound(f"no symbol {symbol}", hint="run.symbol, as exchangeInfo has it")
    listing = listing_of(row)
    account = rest.get("/api/v3/account", signed=True)
    held = {one["asset"]: Decimal(one["free"]) + Decimal(one["locked"]) for one in account["balances"]}
    rates = account.get("commissionRates") or {"maker": "0.001", "taker": "0.001"}
    start_ns = int(rest.get("/api/v3/time")["serverTime"]) * MS
    plan = Plan(
        listings=(listing,),
        start_ns=start_ns,
        end_ns=start_ns + FAR_NS,
        timeframe=Timeframe.parse(config.run.interval),
        balances={name: held[name] for name in (listing.base.name, listing.quote.name) if name in held},
        costs=Costs(_rate(rates["maker"]), _rate(rates["taker"]), is_quoted=False),
        digest=symbol,
        deployment=str(wall_ns),
    )
    return SessionFacts(plan, (symbol,), (True,), has_depth=True)


def listing_of(row: Mapping[str, Any]) -> Listing:
    """A symbol of exchangeInfo as a listing, with the filters that an order of ours meets."""
    filters = {one["filterType"]: one for one in row["filters"]}
    try:
        tick, lot = Decimal(filters["PRICE_FILTER"]["tickSize"]), Decimal(filters["LOT_SIZE"]["stepSize"])
    except KeyError as error:
        raise Invalid(f"{row['symbol']} has no filter {error}", hint="a spot symbol has both") from None
    tick, lot = tick.normalize(), lot.normalize()
    quote = Asset(row["quoteAsset"], max(MONEY_DECIMALS, _decimals(tick * lot)))
    base = Asset(row["baseAsset"], max(MONEY_DECIMALS, _decimals(lot)))
    listing = Listing(0, row["symbol"], base, quote, tick, lot)
    return replace(listing, filters=filters_of(row, listing))


def filters_of(row: Mapping[str, Any], listing: Listing) -> Filters:
    """The filters of a symbol of exchangeInfo on the grid of a listing that is known: its steps are multiples of it."""
    filters = {one["filterType"]: one for one in row["filters"]}
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
    return replace(
        listing.filters,
        step_ticks=max(1, count(filters["PRICE_FILTER"]["tickSize"], listing.tick)),
        step_lots=max(1, count(filters["LOT_SIZE"]["stepSize"], listing.lot)),
        min_lots=max(1, count(filters["LOT_SIZE"]["minQty"], listing.lot)),
        min_notional_units=int(Decimal(notional.get("minNotional", "0")).scaleb(listing.quote.scale)),
    )


class PublicSight:
    """The ports `Market` and `Depth` of a desk, by REST, and by what streams have told since."""

    def __init__(self, facts: SessionFacts, rest: Rest) -> None:
        self._listing = facts.plan.listings[0]
        self._symbol = facts.symbols[0]
        self._timeframe = facts.plan.timeframe
        self._rest = rest
        self._rows: list[tuple[int, ...]] = []  # closed bars: open and close ns, o h l c ticks, lots
        self._is_followed = False
        self._last: Last | None = None

    # --- what is told -------------------------------------------------------------------------------------------------

    def closed(self, candle: Candle) -> None:
        """A bar has closed."""
        row = (candle.open_ns, candle.close_ns, candle.open_ticks, candle.high_ticks, candle.low_ticks,
               candle.close_ticks, candle.volume_lots)  # fmt: skip
        if not self._rows or row[1] > self._rows[-1][1]:
            self._rows.append(row)
            del self._rows[:-KEPT_ROWS]
        self.priced(candle.close_ns, candle.close_ticks)

    def priced(self, time_ns: int, ticks: int) -> None:
        if self._last is None or time_ns >= self._last.knowable_ns:
            self._last = Last(time_ns, ticks)

    def lost(self) -> None:
        """There may be a gap: bars are read again."""
        self._rows.clear()
        self._is_followed = False

    @property
    def newest_close_ns(self) -> int:
        return self._rows[-1][1] if self._rows else 0

    # --- the ports ----------------------------------------------------------------------------------------------------

    def last(self, _instrument: int, now_ns: int) -> Last | None:
        if self._last is None:
            rows = self._rest.get("/api/v3/trades", {"symbol": self._symbol, "limit": "1"})
            if rows:
                time_ns = min(int(rows[-1]["time"]) * MS, now_ns)
                self.priced(time_ns, count(rows[-1]["price"], self._listing.tick))
        return self._last

    def candles(self, _instrument: int, timeframe: Timeframe, n: int, now_ns: int) -> Candles:
        rows = self._rows
        if timeframe != self._timeframe or not self._is_followed or len(rows) < n <= MOST_ROWS:
            rows = self._fetched(timeframe, min(n, MOST_ROWS), now_ns)
            if timeframe == self._timeframe:
                self._rows, self._is_followed = rows, True
        return self._candles(timeframe, [one for one in rows if one[1] <= now_ns][-n:])

    def trades(self, _instrument: int, n: int, now_ns: int) -> Printed:
        rows = self._rest.get("/api/v3/trades", {"symbol": self._symbol, "limit": str(min(n, MOST_ROWS))})
        rows = [one for one in rows if int(one["time"]) * MS <= now_ns]
        listing = self._listing
        return Printed(
            np.array([int(one["time"]) * MS for one in rows], np.int64),
            np.array([count(one["price"], listing.tick) for one in rows], np.int64),
            np.array([count(one["qty"], listing.lot) for one in rows], np.int64),
            np.array([-1 if one["isBuyerMaker"] else 1 for one in rows], np.int64),
        )

    def best(self, instrument: int, now_ns: int) -> BestQuote | None:
        row = self._rest.get("/api/v3/ticker/bookTicker", {"symbol": self._symbol})
        listing = self._listing
        bid, ask = (count(row[name], listing.tick) for name in ("bidPrice", "askPrice"))
        return BestQuote(
            instrument, now_ns, bid, ask, count(row["bidQty"], listing.lot), count(row["askQty"], listing.lot)
        )

    def book(self, _instrument: int, depth: int, now_ns: int) -> Book | None:
        said = self._rest.get("/api/v3/depth", {"symbol": self._symbol, "limit": str(max(5, depth))})
        bids, asks = (
            tuple((count(p, self._listing.tick), count(q, self._listing.lot)) for p, q in said[side][:depth])
            for side in ("bids", "asks")
        )
        return Book(now_ns, bids, asks) if bids or asks else None

    # --- inside -------------------------------------------------------------------------------------------------------

    def _fetched(self, timeframe: Timeframe, n: int, now_ns: int) -> list[tuple[int, ...]]:
        interval = str(timeframe).replace("mo", "M")
        params = {"symbol": self._symbol, "interval": interval, "limit": str(min(n + 1, MOST_ROWS))}
        tick, lot = self._listing.tick, self._listing.lot
        rows = [
            (int(one[0]) * MS, (int(one[6]) + 1) * MS, *(count(x, tick) for x in one[1:5]), count(one[5], lot))
            for one in self._rest.get("/api/v3/klines", params)
        ]
        return [one for one in rows if one[1] <= now_ns]

    def _candles(self, timeframe: Timeframe, rows: Sequence[tuple[int, ...]]) -> Candles:
        columns = np.array(rows, np.int64).reshape(len(rows), 7).T
        listing = self._listing
        open_ns, close_ns, open_, high, low, close, volume = columns
        return Candles(
            listing.id, timeframe, "raw", Grid(listing.tick), Grid(listing.lot), Grid.of("0.00000001"), open_ns,
            close_ns, close_ns.copy(), open_, high, low, close, volume, np.full(len(rows), UNKNOWN_AMOUNT, np.int64),
            np.zeros(len(rows), np.uint8),
        )  # fmt: skip


def _rate(text: str) -> int:
    return int(Decimal(text).scaleb(RATE_UNITS))


def _decimals(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
