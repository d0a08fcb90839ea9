"""Tickers: what a market did in a stretch of time that ends now, prices and sizes as the wire writes them.

Nothing traded in it: the last price before, no volume, ids of -1. Nothing traded ever: zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gnomon.serve.venue.market_view import Market
from gnomon.serve.venue.spans import Totals

MILLISECOND_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """[from, now] of one market: what was traded, and the last price before it began (its open where there is none)."""

    market: Market
    from_ns: int
    now_ns: int
    total: Totals
    before: int

    @classmethod
    def of(cls, market: Market, from_ns: int, now_ns: int) -> Window:
        total = market.spans.totals(from_ns, now_ns)
        before = market.spans.close_before(from_ns)
        if total.is_empty:
            last = market.spans.last(now_ns)  # a candle that began before the window may have ended in it
            total = Totals(open=last, high=last, low=last, close=last)
        return cls(market, from_ns, now_ns, total, before or total.open)

    @property
    def count(self) -> int:
        return self.total.stop - self.total.first

    @property
    def first_id(self) -> int:
        return self.total.first if self.count else -1

    @property
    def last_id(self) -> int:
        return self.total.stop - 1 if self.count else -1

    def last_qty(self) -> str:
        """Of the last print, whenever that was; a candle does not say."""
        market = self.market
        position = market.prints.until(self.now_ns)
        return market.texts.qty(market.prints.lots.item(position - 1)) if position else market.texts.zero_qty

    def change(self) -> dict[str, str]:
        """Of the price, from the open."""
        texts, total = self.market.texts, self.total
        moved = total.close - total.open
        return {
            "priceChange": texts.price(moved),
            "priceChangePercent": texts.percent(moved, total.open),
            "weightedAvgPrice": texts.mean_price(total.worth, total.lots),
        }

    def prices(self) -> dict[str, Any]:
        """Open, extremes, volumes, times and ids."""
        texts, total = self.market.texts, self.total
        return {
            "openPrice": texts.price(total.open),
            "highPrice": texts.price(total.high),
            "lowPrice": texts.price(total.low),
            "lastPrice": texts.price(total.close),
            "volume": texts.qty(total.lots),
            "quoteVolume": texts.worth(total.worth),
            "openTime": self.from_ns // MILLISECOND_NS,
            "closeTime": self.now_ns // MILLISECOND_NS,
            "firstId": self.first_id,
            "lastId": self.last_id,
            "count": self.count,
        }

    def mini(self) -> dict[str, Any]:
        return {"symbol": self.market.symbol, **self.prices()}

    def full(self) -> dict[str, Any]:
        return {"symbol": self.market.symbol, **self.change(), **self.prices()}

    def day(self) -> dict[str, Any]:
        """All that the ticker of 24 hours tells, in its order."""
        prices = self.prices()
        return {
            "symbol": self.market.symbol,
            **self.change(),
            "prevClosePrice": self.market.texts.price(self.before),
            "lastPrice": prices.pop("lastPrice"),
            "lastQty": self.last_qty(),
            **best(self.market, self.now_ns),
            **prices,
        }


def best(market: Market, now_ns: int) -> dict[str, str]:
    """The best prices that the market shows."""
    top, texts = market.book.top(market.book.state(now_ns)), market.texts
    return {
        "bidPrice": texts.price(top.bid),
        "bidQty": texts.qty(top.bid_lots),
        "askPrice": texts.price(top.ask),
        "askQty": texts.qty(top.ask_lots),
    }
