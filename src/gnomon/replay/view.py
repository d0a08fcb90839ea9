"""The view: what a desk may read of the ground, as of its clock.

A print is knowable when it has been printed and the feed has carried it; a candle at its close and the same way. Every
answer holds what was knowable at `now_ns` and nothing else.
"""

from __future__ import annotations

from itertools import islice

import numpy as np

from gnomon.clock import Timeframe
from gnomon.errors import NotFound
from gnomon.exchange.bars import Bars
from gnomon.exchange.hours import OpenOnly
from gnomon.exchange.liquidity import Liquidity, RecordedLiquidity
from gnomon.exchange.outcome import QuoteKind
from gnomon.exchange.prints import Prints
from gnomon.exchange.recorded import DEPTH
from gnomon.market.candles import UNKNOWN_AMOUNT, Candles
from gnomon.market.depth import ASK, BID
from gnomon.replay.ground import Ground, Tape, bars_from_prints
from gnomon.trader.events import BestQuote
from gnomon.trader.market import Book, Last, Printed
from gnomon.units import Grid


class TapeView:
    """The port `trader.market.Market` over the tapes of a run. `feed_ns` is the constant part of the feed's latency."""

    def __init__(self, ground: Ground, liquidity: dict[int, Liquidity], feed_ns: int) -> None:
        self._ground = ground
        self._liquidity = liquidity
        self._feed_ns = feed_ns
        self._frame_ns = ground.timeframe.nominal_ns
        self._made: dict[tuple[int, str], Bars] = {}

    def last(self, instrument: int, now_ns: int) -> Last | None:
        """The newest price: of a print, or of a closed candle where nothing is printed."""
        tape = self._ground.tapes[instrument].tape
        if isinstance(tape, Prints):
            stop = tape.until(now_ns - self._feed_ns)
            if not stop:
                return None
            return Last(tape.time_ns.item(stop - 1) + self._feed_ns, tape.price.item(stop - 1))
        stop = self._closed_by(tape, now_ns - self._feed_ns)
        if not stop:
            return None
        return Last(tape.close_ns.item(stop - 1) + self._feed_ns, tape.close.item(stop - 1))

    def candles(self, instrument: int, timeframe: Timeframe, n: int, now_ns: int) -> Candles:
        """The newest `n` closed bars, oldest first."""
        tape = self._ground.tapes[instrument]
        bars = self._bars(tape, timeframe)
        stop = _closed(bars, now_ns - self._feed_ns)
        rows = slice(max(0, stop - n), stop)
        count = len(range(*rows.indices(len(bars))))
        listing = tape.listing
        return Candles(
            instrument=listing.id,
            timeframe=timeframe,
            basis="raw",
            tick=Grid(listing.tick),
            lot=Grid(listing.lot),
            money=Grid.of("0.00000001"),
            open_ns=bars.open_ns[rows],
            close_ns=bars.close_ns[rows],
            knowable_ns=bars.close_ns[rows] + self._feed_ns,
            open=bars.open[rows],
            high=bars.high[rows],
            low=bars.low[rows],
            close=bars.close[rows],
            volume=bars.volume[rows],
            amount=np.full(count, UNKNOWN_AMOUNT, np.int64),
            flags=np.zeros(count, np.uint8),
        )

    def trades(self, instrument: int, n: int, now_ns: int) -> Printed:
        """The newest `n` prints, oldest first; none where the instrument has candles only."""
        tape = self._ground.tapes[instrument].tape
        if not isinstance(tape, Prints):
            none = np.empty(0, np.int64)
            return Printed(none, none, none, none)
        stop = tape.until(now_ns - self._feed_ns)
        rows = slice(max(0, stop - n), stop)
        return Printed(
            tape.time_ns[rows] + self._feed_ns, tape.price[rows], tape.lots[rows], tape.side[rows].astype(np.int64)
        )

    def best(self, instrument: int, now_ns: int) -> BestQuote | None:
        """Best bid and ask, recorded or as the rules assume them; None where they assume none."""
        tape = self._ground.tapes[instrument]
        position = tape.tape.until(now_ns - self._feed_ns)
        liquidity = self._liquidity[instrument]
        as_of_ns = now_ns - self._feed_ns
        best = liquidity.best(position, as_of_ns)
        if best.kind is QuoteKind.NONE or best.print < 0:
            return None
        recorded = liquidity.inner if isinstance(liquidity, OpenOnly) else liquidity
        if isinstance(recorded, RecordedLiquidity) and best.kind is QuoteKind.RECORDED:
            said_ns = recorded.updated_ns(as_of_ns) + self._feed_ns
            return BestQuote(instrument, said_ns, best.bid, best.ask)
        return BestQuote(instrument, tape.tape.time_ns.item(best.print) + self._feed_ns, best.bid, best.ask)

    def _closed_by(self, bars: Bars, now_ns: int) -> int:
        """How many bars are closed by the instant. Where none is missing, that follows from the time."""
        closes, count = bars.close_ns, len(bars)
        if count:
            stop = int((now_ns - closes.item(0)) // self._frame_ns) + 1
            if 0 < stop <= count and closes.item(stop - 1) <= now_ns and (stop == count or closes.item(stop) > now_ns):
                return stop
        return _closed(bars, now_ns)

    def _bars(self, tape: Tape, timeframe: Timeframe) -> Bars:
        if timeframe == self._ground.timeframe:
            return tape.bars
        key = tape.listing.number, str(timeframe)
        if key not in self._made:
            if not isinstance(tape.tape, Prints):
                raise NotFound(
                    f"no candles of {tape.listing.id} at {timeframe}", hint=f"the session has {self._ground.timeframe}"
                )
            self._made[key] = bars_from_prints(tape.tape, timeframe.nominal_ns)
        return self._made[key]


class DepthView:
    """The port `trader.market.Depth` over the recorded books of a run."""

    def __init__(self, ground: Ground, feed_ns: int) -> None:
        self._ground = ground
        self._feed_ns = feed_ns

    @classmethod
    def of(cls, ground: Ground, feed_ns: int) -> DepthView | None:
        """None where no instrument has a recorded book."""
        has_book = any(one.recorded is not None and one.recorded.ladder is not None for one in ground.tapes)
        return cls(ground, feed_ns) if has_book else None

    def book(self, instrument: int, depth: int, now_ns: int) -> Book | None:
        """The best `depth` levels of each side, as history displayed them; None before the book is known."""
        recorded = self._ground.tapes[instrument].recorded
        if recorded is None or recorded.ladder is None:
            return None
        seen = recorded.until(now_ns - self._feed_ns)
        if not recorded.is_walkable(seen):
            return None
        bids, asks = (
            tuple((one.price, one.lots) for one in islice(recorded.ladder.levels(side, seen.depth), depth))
            for side in (BID, ASK)
        )
        return Book(recorded.time_ns(seen, DEPTH) + self._feed_ns, bids, asks)


def _closed(bars: Bars, now_ns: int) -> int:
    """How many bars are closed by the instant."""
    return int(bars.close_ns.searchsorted(now_ns, "right"))
