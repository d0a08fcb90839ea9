"""A feed whose latency is not the same for each delivery: drawn by identity, or recorded.

What was sent first arrives first. A latency belongs to the tape position of a print (to the close of a candle, UTC ns),
so it is the same whatever else a trader asks for; it is counted as a draw when it is delivered. What was not delivered
is knowable when the slowest that the feed can be is over, or when something later of its tape has been delivered.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from gnomon.clock import Timeframe
from gnomon.exchange.bars import Bars
from gnomon.exchange.draws import Draws, LatencyTable
from gnomon.exchange.liquidity import Liquidity
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import Leg
from gnomon.market.candles import Candles
from gnomon.replay.ground import Ground
from gnomon.replay.streams import BarStream, TradeStream
from gnomon.replay.view import TapeView
from gnomon.trader.events import Bar, BestQuote, Trade
from gnomon.trader.market import Last, Printed
from gnomon.units import IntArray

COMPONENT: Final = "latency.feed"


class Feed:
    """The latency of deliveries, and how far they have come."""

    def __init__(self, leg: Leg, draws: Draws) -> None:
        assert leg.table is not None
        self.slowest_ns = leg.slowest_ns
        self._table = leg.table
        self._draws = draws
        self.trades: dict[int, LaggedTrades] = {}  # by instrument
        self.bars: LaggedBars | None = None

    def arrivals(self, sent_ns: Sequence[int], entities: Sequence[int], after_ns: int) -> list[int]:
        """When each of them arrives, none before `after_ns` nor before the one sent ahead of it."""
        table, found = self._table, []
        for sent, entity in zip(sent_ns, entities, strict=True):
            if isinstance(table, LatencyTable):
                delay = table.at(self._draws.peek(COMPONENT, entity))
            else:
                delay = table.at(sent)
            after_ns = max(after_ns, sent + delay)
            found.append(after_ns)
        return found

    def together(self, later: Iterable[tuple[int, int]], newest_ns: int) -> list[int]:
        """Arrivals of those sent later, each with its entity, that come with the newest of a block: where a block ends
        must not decide what is known."""
        found: list[int] = []
        for sent_ns, entity in later:
            (at_ns,) = self.arrivals([sent_ns], [entity], newest_ns)
            if at_ns > newest_ns:
                break
            found.append(at_ns)
        return found

    def count(self, entities: Sequence[int]) -> None:
        """They have been delivered."""
        if isinstance(self._table, LatencyTable):
            for entity in entities:
                self._draws.note(COMPONENT, entity)

    def printed(self, instrument: int, prints: Prints, now_ns: int) -> int:
        """How many prints are knowable."""
        stream = self.trades.get(instrument)
        told = stream.rows_by(now_ns) if stream is not None else 0
        closed = prints.until(self.bars.closed_by(now_ns) - 1) if self.bars is not None else 0
        return max(told, closed, prints.until(now_ns - self.slowest_ns))

    def closed(self, bars: Bars, now_ns: int) -> int:
        """How many candles are knowable."""
        until_ns = max(now_ns - self.slowest_ns, self.bars.closed_by(now_ns) if self.bars is not None else 0)
        return int(bars.close_ns.searchsorted(until_ns, "right"))

    def stamps(self, sent_ns: IntArray, now_ns: int) -> IntArray:
        """When they were knowable at the latest."""
        return np.minimum(sent_ns + self.slowest_ns, now_ns)


class LaggedTrades(TradeStream):
    """Prints that arrive as the feed brings them."""

    def __init__(self, prints: Prints, trade: Trade, hook: Any, rows: range, feed: Feed, layer: int) -> None:
        self._feed = feed
        self._newest_ns = 0
        super().__init__(prints, trade, hook, rows, 0, layer)
        feed.trades[trade.listing.number] = self

    def rows_by(self, now_ns: int) -> int:
        """How many rows of its tape lie before or at what has arrived by `now_ns`."""
        arrived = self._done + bisect_right(self._known, now_ns)
        return self.rows[arrived - 1] + 1 if arrived else 0

    def _load(self) -> None:
        super()._load()
        rows = self.rows[self._done : self._done + len(self._times)]
        self._times = self._feed.arrivals(self._printed, rows, self._newest_ns)
        if self._times:
            self.next_ns, self._newest_ns = self._times[0], self._times[-1]
        later = self.rows[self._done + len(self._times) :]
        self._known = self._times + self._feed.together(
            ((self._prints.time_ns.item(one), one) for one in later), self._newest_ns
        )

    def run(self, desk: Any, limit_ns: int) -> None:
        try:
            super().run(desk, limit_ns)
        finally:
            _, upto, wakes, _ = self.told
            step = self.rows.step
            self._feed.count(range(upto - 1 - (wakes - 1) * step, upto, step))


class LaggedBars(BarStream):
    """Candles that arrive as the feed brings them, those of one instant together."""

    def __init__(
        self, bars: Sequence[Bars], bar: Bar, hook: Any, window_ns: tuple[int, int], feed: Feed, layer: int
    ) -> None:
        self._feed = feed
        self._newest_ns = 0
        super().__init__(bars, bar, hook, window_ns, 0, layer)
        feed.bars = self

    def closed_by(self, now_ns: int) -> int:
        """The newest close that has arrived by `now_ns`, 0 for none."""
        arrived = self._done + bisect_right(self._known, now_ns)
        return int(self._closes_ns[arrived - 1]) if arrived else 0

    def _load(self) -> None:
        super()._load()
        self._times = self._feed.arrivals(self._closed, self._closed, self._newest_ns)
        if self._times:
            self.next_ns, self._newest_ns = self._times[0], self._times[-1]
        later = map(int, self._closes_ns[self._done + len(self._times) :])
        self._known = self._times + self._feed.together(((one, one) for one in later), self._newest_ns)

    def run(self, desk: Any, limit_ns: int) -> None:
        try:
            super().run(desk, limit_ns)
        finally:
            after, upto, _, _ = self.told
            self._feed.count(self._closes_ns[after:upto].tolist())


class LaggedView(TapeView):
    """What a desk may read where the feed's latency is not the same for each delivery."""

    def __init__(self, ground: Ground, liquidity: dict[int, Liquidity], feed: Feed) -> None:
        super().__init__(ground, liquidity, 0)
        self._feed = feed
        self._late = TapeView(ground, liquidity, feed.slowest_ns)

    def last(self, instrument: int, now_ns: int) -> Last | None:
        tape = self._ground.tapes[instrument].tape
        stop = self._stop(instrument, tape, now_ns)
        if not stop:
            return None
        sent, price = (tape.time_ns, tape.price) if isinstance(tape, Prints) else (tape.close_ns, tape.close)
        return Last(min(sent.item(stop - 1) + self._feed.slowest_ns, now_ns), price.item(stop - 1))

    def candles(self, instrument: int, timeframe: Timeframe, n: int, now_ns: int) -> Candles:
        bars = self._bars(self._ground.tapes[instrument], timeframe)
        stop = self._feed.closed(bars, now_ns)
        until_ns = bars.close_ns.item(stop - 1) if stop else 0
        found = super().candles(instrument, timeframe, n, until_ns)
        found.knowable_ns[:] = self._feed.stamps(found.close_ns, now_ns)
        return found

    def trades(self, instrument: int, n: int, now_ns: int) -> Printed:
        tape = self._ground.tapes[instrument].tape
        if not isinstance(tape, Prints):
            return super().trades(instrument, n, now_ns)
        stop = self._stop(instrument, tape, now_ns)
        rows = slice(max(0, stop - n), stop)
        stamps = self._feed.stamps(tape.time_ns[rows], now_ns)
        return Printed(stamps, tape.price[rows], tape.lots[rows], tape.side[rows].astype(np.int64))

    def best(self, instrument: int, now_ns: int) -> BestQuote | None:
        """As the slowest that the feed can be would have brought it: recorded quotes have no latency of their own."""
        return self._late.best(instrument, now_ns)

    def _stop(self, instrument: int, tape: Prints | Bars, now_ns: int) -> int:
        if isinstance(tape, Prints):
            return self._feed.printed(instrument, tape, now_ns)
        return self._feed.closed(tape, now_ns)
