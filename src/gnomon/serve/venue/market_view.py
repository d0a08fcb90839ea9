"""The public market of a session: everything that answers and streams are made of, by the number of the listing.

It is a pure function of the ground and of the rules of fills; what it keeps makes it quick and changes no byte.
"""

from __future__ import annotations

from typing import Final
from weakref import WeakKeyDictionary

from gnomon.clock import Timeframe
from gnomon.exchange.bars import Bars
from gnomon.exchange.listing import Listing
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import Fills
from gnomon.replay.ground import Ground, Tape
from gnomon.serve.venue.agg_trades import AggTrades
from gnomon.serve.venue.decimals import Decimals
from gnomon.serve.venue.depth_levels import ShownBook
from gnomon.serve.venue.intervals import Interval
from gnomon.serve.venue.klines import Kept, Klines
from gnomon.serve.venue.spans import BarSpans, CandlesThenPrints, PrintSpans, Spans
from gnomon.serve.venue.symbols import Symbols
from gnomon.serve.venue.trade_rows import TradeRows
from gnomon.units import DAY_NS


class Market:
    """One instrument, as the public sees it."""

    __slots__ = ("_kept", "_klines", "_tape", "_traded", "aggregates", "book", "listing", "own", "prints", "spans",
                 "symbol", "texts", "trade_rows")  # fmt: skip

    def __init__(self, tape: Tape, symbol: str, timeframe: Timeframe, fills: Fills, kept: Kept) -> None:
        self._tape = tape
        self.own = Interval.of(timeframe)
        self._kept = kept
        self._klines: dict[Interval, Klines] = {}
        self.listing: Listing = tape.listing
        self.symbol = symbol
        self.texts = Decimals(tape.listing)
        self.book = ShownBook(tape, fills)
        self.prints = tape.tape if isinstance(tape.tape, Prints) else Prints.empty()
        self.aggregates = AggTrades(self.prints)
        self.trade_rows = TradeRows(self.prints, self.texts)
        self._traded: Spans = _traded(tape)
        self.spans: Spans = self._traded
        """What was traded: prints, and candles before them; candles where there are no prints."""
        traded, told = self._traded, tape.bars
        if isinstance(traded, PrintSpans) and len(told) and told.close_ns.item(0) <= traded.begins_ns:
            self.spans = CandlesThenPrints(BarSpans(told), traded)

    def klines(self, interval: Interval) -> Klines:
        found = self._klines.get(interval)
        if found is None:
            month_ns = 28 * DAY_NS
            is_finer = (interval.length_ns or month_ns) < (self.own.length_ns or month_ns)
            spans = self._traded if is_finer else self.spans
            found = Klines(self._tape, self.own, interval, spans, self.texts, self._kept)
            self._klines[interval] = found
        return found


def _traded(tape: Tape) -> Spans:
    """The finest there is."""
    rows = tape.tape
    if isinstance(rows, Prints):
        return PrintSpans(rows)
    if isinstance(rows.finer, Prints):
        return PrintSpans(rows.finer)
    return BarSpans(rows.finer if isinstance(rows.finer, Bars) else rows)


class MarketView:
    """All instruments of a session."""

    __slots__ = ("markets", "symbols", "timeframe")

    def __init__(self, ground: Ground, fills: Fills) -> None:
        self.symbols = Symbols(ground.listings)
        self.timeframe = ground.timeframe
        kept = Kept()
        self.markets = {
            one.listing.number: Market(one, self.symbols.symbol(one.listing.number), ground.timeframe, fills, kept)
            for one in ground.tapes
        }

    def market(self, symbol: str) -> Market:
        """`VenueRefusal` -1121 where there is none."""
        return self.markets[self.symbols.number(symbol)]


_VIEWS: Final[WeakKeyDictionary[Ground, dict[Fills, MarketView]]] = WeakKeyDictionary()


def view_of(ground: Ground, fills: Fills) -> MarketView:
    """The view of a ground, made once: sessions and bots on one ground share what it keeps."""
    views = _VIEWS.setdefault(ground, {})
    if fills not in views:
        views[fills] = MarketView(ground, fills)
    return views[fills]
