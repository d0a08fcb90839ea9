"""Sight: what a desk on the wire sees of the market, as of its clock.

Bars that were told are kept, so that most questions need no asking. Whatever else is asked for comes from the venue's
own view of the session (`native.answer`), as of the desk's instant: the same numbers and stamps as in process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from gnomon.clock import Timeframe
from gnomon.exchange.listing import Listing
from gnomon.market.candles import UNKNOWN_AMOUNT, Candles
from gnomon.market.events import CalendarEvent
from gnomon.trader.events import BestQuote, Candle
from gnomon.trader.market import Book, Document, Issued, Last, Printed
from gnomon.trader.pulse import native
from gnomon.trader.pulse.native import SessionFacts
from gnomon.units import Grid, IntArray

FIRST_ROWS: Final = 256
MONEY: Final = Grid.of("0.00000001")

Ask = Callable[[Mapping[str, str]], Any]
"""Asks the venue's view; what JSON says. Raises the errors of the tree."""


class Bars:
    """Bars of one instrument, oldest first, in arrays that grow at their end. What was cut out of them stays."""

    __slots__ = ("_columns", "_count", "is_whole")

    def __init__(self, columns: Sequence[IntArray], is_whole: bool) -> None:
        """`is_whole`: there are none before the first."""
        self._columns = list(columns)
        self._count = len(columns[0])
        self.is_whole = is_whole

    def __len__(self) -> int:
        return self._count

    def append(self, row: Sequence[int]) -> None:
        """One more; nothing where it is here already."""
        if self._count and row[1] <= self._columns[1][self._count - 1]:
            return
        if self._count == len(self._columns[0]):
            room = np.zeros(max(FIRST_ROWS, self._count), np.int64)
            self._columns = [np.concatenate([one, room]) for one in self._columns]
        for column, value in zip(self._columns, row, strict=True):
            column[self._count] = value
        self._count += 1

    def until(self, close_ns: int) -> int:
        """How many have closed by then."""
        return int(self._columns[1][: self._count].searchsorted(close_ns, "right"))

    def cut(self, start: int, stop: int) -> list[IntArray]:
        return [one[start:stop] for one in self._columns]


class Sight:
    """The ports `Market`, `News` and `Depth` of a desk on the wire."""

    def __init__(self, facts: SessionFacts, ask: Ask, hears_bars: bool) -> None:
        """`hears_bars`: every bar of the session's timeframe that closes is told, from the first wake of bars on."""
        self._listings: Sequence[Listing] = facts.plan.listings
        self._timeframe = facts.plan.timeframe
        self._feed_ns = facts.feed_ns
        self._is_local = [facts.are_bars_whole and not printed for printed in facts.is_printed]
        self._ask = ask
        self._hears_bars = hears_bars and facts.feed_ns >= 0
        self._is_following = False
        self._told_ns = -1  # the close of the bars that were told last
        self._step_ns = [_step_ns(one, facts.plan.timeframe) for one in self._listings]
        self._bars: dict[int, Bars] = {}
        self._newest: dict[int, tuple[int, int]] = {}
        self._last: dict[int, tuple[int, Last | None]] = {}

    # --- what is told -------------------------------------------------------------------------------------------------

    def closed(self, candles: Sequence[Candle]) -> None:
        """Bars have closed: all that closed at this instant."""
        if not self._is_following:
            self._is_following = self._hears_bars
            self._bars.clear()
        self._told_ns = max(one.close_ns for one in candles)
        for one in candles:
            number = one.listing.number
            self._newest[number] = one.close_ns, one.close_ticks
            bars = self._bars.get(number)
            if bars is not None:
                bars.append(
                    (one.open_ns, one.close_ns, one.open_ticks, one.high_ticks, one.low_ticks, one.close_ticks,
                     one.volume_lots)
                )  # fmt: skip

    def told_last(self, instrument: int, now_ns: int, last: Last | None) -> None:
        """A wake has brought the newest price along."""
        self._last[instrument] = now_ns, last

    def lost(self) -> None:
        """Something may have been missed: nothing that is kept can be trusted."""
        self._bars.clear()
        self._newest.clear()
        self._last.clear()

    def silent_bars(self, now_ns: int) -> int:
        """For how many lengths of a bar none was told; 0 before the first, and where bars are not expected."""
        step_ns = min(self._step_ns, default=0)
        if self._told_ns < 0 or not self._hears_bars or not step_ns:
            return 0
        return (now_ns - self._feed_ns - self._told_ns) // step_ns

    # --- Market -------------------------------------------------------------------------------------------------------

    def last(self, instrument: int, now_ns: int) -> Last | None:
        told = self._last.get(instrument)
        if told is not None and told[0] == now_ns:
            return told[1]
        if self._is_local[instrument] and self._is_current(instrument, now_ns):
            close_ns, ticks = self._newest[instrument]
            return Last(close_ns + self._feed_ns, ticks)
        return native.last_of(self._view("last", instrument, now_ns))

    def candles(self, instrument: int, timeframe: Timeframe, n: int, now_ns: int) -> Candles:
        if timeframe != self._timeframe or not self._is_current(instrument, now_ns):
            return self._asked(instrument, timeframe, n, now_ns)
        bars = self._bars.get(instrument)
        stop = bars.until(now_ns - self._feed_ns) if bars is not None else 0
        if bars is None or (stop < n and not bars.is_whole):
            rows = max(FIRST_ROWS, n + (len(bars) - stop if bars is not None else 0))
            found = self._asked(instrument, timeframe, rows, now_ns)
            bars = self._bars[instrument] = Bars(
                [found.open_ns, found.close_ns, found.open, found.high, found.low, found.close, found.volume],
                is_whole=len(found) < rows,
            )
            stop = bars.until(now_ns - self._feed_ns)
        return self._cut(instrument, bars, max(0, stop - n), stop)

    def trades(self, instrument: int, n: int, now_ns: int) -> Printed:
        return native.trades_of(self._view("trades", instrument, now_ns, n=n))

    def best(self, instrument: int, now_ns: int) -> BestQuote | None:
        return native.best_of(self._view("best", instrument, now_ns))

    # --- Depth and News -----------------------------------------------------------------------------------------------

    def book(self, instrument: int, depth: int, now_ns: int) -> Book | None:
        return native.book_of(self._view("book", instrument, now_ns, n=depth))

    def forecast(self, name: str | None, instrument: int, timeframe: Timeframe, now_ns: int) -> Issued | None:
        said = self._view("forecast", instrument, now_ns, name=name or "", timeframe=timeframe)
        return None if said is None else native.issued_of(said)

    def calendar(self, now_ns: int) -> Sequence[CalendarEvent]:
        return [native.event_of(one) for one in self._view("calendar", 0, now_ns)]

    def search(self, query: str, n: int, now_ns: int) -> Sequence[Document]:
        return native.documents_of(self._view("search", 0, now_ns, query=query, n=n))

    def _is_current(self, instrument: int, now_ns: int) -> bool:
        """Whether no bar can have closed by now that was not told: a timer of its instant comes before the bar."""
        if not self._is_following or instrument not in self._newest:
            return False
        known_ns = now_ns - self._feed_ns
        return known_ns == self._told_ns or known_ns < self._newest[instrument][0] + self._step_ns[instrument]

    # --- inside -------------------------------------------------------------------------------------------------------

    def _view(self, what: str, instrument: int, now_ns: int, **more: object) -> Any:
        params = {"what": what, "instrument": str(instrument), "at": str(now_ns)}
        return self._ask({**params, **{name: str(value) for name, value in more.items()}})

    def _asked(self, instrument: int, timeframe: Timeframe, n: int, now_ns: int) -> Candles:
        return native.candles_of(self._view("candles", instrument, now_ns, n=n, timeframe=timeframe))

    def _cut(self, instrument: int, bars: Bars, start: int, stop: int) -> Candles:
        listing = self._listings[instrument]
        open_ns, close_ns, open_, high, low, close, volume = bars.cut(start, stop)
        return Candles(
            listing.id, self._timeframe, "raw", Grid(listing.tick), Grid(listing.lot), MONEY, open_ns, close_ns,
            close_ns + self._feed_ns, open_, high, low, close, volume,
            np.full(stop - start, UNKNOWN_AMOUNT, np.int64), np.zeros(stop - start, np.uint8),
        )  # fmt: skip


def _step_ns(listing: Listing, timeframe: Timeframe) -> int:
    """From one close to the next at the least; 0 where bars may be cut short."""
    return 0 if listing.hours is not None or timeframe.unit == "mo" else timeframe.nominal_ns
