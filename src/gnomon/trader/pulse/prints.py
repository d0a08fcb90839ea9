"""Prints and candles as the wire words them, read into the objects that hooks are given."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from gnomon.trader.events import Candle, Trade

MS: Final = 1_000_000


class Counter:
    """Decimal texts as whole counts of a step. The texts of one stream have one length after the point."""

    __slots__ = ("_decimals", "_divisor", "_step")

    def __init__(self, step: Decimal) -> None:
        self._step = step
        self._decimals = self._divisor = 0

    def read(self, text: str) -> int:
        whole, _, part = text.partition(".")
        if len(part) != self._decimals or not self._divisor:
            self._decimals = len(part)
            scaled = self._step.scaleb(len(part))
            self._divisor = int(scaled) if scaled == int(scaled) else 0
        if not self._divisor:  # the step is finer than the text
            return count(text, self._step)
        return int(whole + part) // self._divisor


def count(text: str, step: Decimal) -> int:
    """How many steps a decimal text is."""
    return int(Decimal(text) / step)


class CandleReader:
    """Reads the `k` of kline events into one candle."""

    __slots__ = ("_lots", "_ticks", "candle")

    def __init__(self, candle: Candle) -> None:
        self.candle = candle
        self._ticks = Counter(candle.listing.tick)
        self._lots = Counter(candle.listing.lot)

    def read(self, k: Mapping[str, Any]) -> Candle:
        one, ticks = self.candle, self._ticks.read
        one.is_new = True
        one.position = int(k.get("n_row", one.position + 1))
        one.open_ns = int(k["t"]) * MS
        one.close_ns = (int(k["T"]) + 1) * MS
        one.open_ticks, one.high_ticks = ticks(k["o"]), ticks(k["h"])
        one.low_ticks, one.close_ticks = ticks(k["l"]), ticks(k["c"])
        one.volume_lots = self._lots.read(k["v"])
        return one


class TradeReader:
    """Reads trade events into one print. `feed_ns` is the delay of the feed, -1 where it varies: with a constant one
    the wake says to the nanosecond when it was printed."""

    __slots__ = ("_feed_ns", "_lots", "_ticks", "trade")

    def __init__(self, trade: Trade, feed_ns: int) -> None:
        self.trade = trade
        self._feed_ns = feed_ns
        self._ticks = Counter(trade.listing.tick)
        self._lots = Counter(trade.listing.lot)

    def read(self, event: Mapping[str, Any], now_ns: int) -> Trade:
        one = self.trade
        is_exact = self._feed_ns >= 0 and now_ns > 0
        one.time_ns = now_ns - self._feed_ns if is_exact else int(event["T"]) * MS
        one.price_ticks = self._ticks.read(event["p"])
        one.lots = self._lots.read(event["q"])
        one.side = int(event["side"]) if "side" in event else -1 if event["m"] else 1
        one.position = int(event.get("t", event.get("a", 0)))
        return one
