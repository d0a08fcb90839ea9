"""Sources of streams: each knows when its next event is due and makes all that are due by an instant.

| source       | an event                                              | taken over a long stretch          |
|--------------|-------------------------------------------------------|------------------------------------|
| trades       | at each print                                         | all                                |
| aggregates   | at each price of an order                             | all                                |
| klines       | after news, on a grid of 1 s or 2 s; at each close    | each close, of the updates the last |
| tickers      | after news, on a grid of 1 s                          | the last                           |
| book tickers | at each instant at which the top is another one       | all, of very many the last 1,000   |
| depth        | after a change, on a grid of 1 s or 100 ms            | one that says what all would       |

An event on a grid tells everything up to its own instant. The grids begin with the epoch. Where nothing has changed
there is no event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from gnomon.market.depth import ASK, BID
from gnomon.market.lanes import Lane
from gnomon.serve.venue import stream_events as events
from gnomon.serve.venue.depth_levels import State, Top
from gnomon.serve.venue.intervals import Interval
from gnomon.serve.venue.market_data import aggregates
from gnomon.serve.venue.market_view import Market
from gnomon.units import INT64_MAX, SECOND_NS

MOST_TOPS: Final = 1_000


class Due(NamedTuple):
    """One event, and its place in the total order."""

    at_ns: int
    lane: int
    body: bytes


class Source(Protocol):
    """`next_ns`: virtual ns of the next event, INT64_MAX where there is none."""

    next_ns: int

    def begin(self, now_ns: int, /) -> None:
        """What is known at an instant is no news."""
        ...

    def take(self, upto_ns: int, /) -> list[Due]:
        """All that are due by an instant, in order."""
        ...


def ceiled(at_ns: int, pace_ns: int) -> int:
    """The first instant of a grid that is not earlier."""
    return at_ns if at_ns == INT64_MAX else -(-at_ns // pace_ns) * pace_ns


class TradeSource:
    def __init__(self, market: Market) -> None:
        self._market = market
        self._position = 0
        self.next_ns = INT64_MAX

    def begin(self, now_ns: int) -> None:
        self._move(self._market.prints.until(now_ns))

    def take(self, upto_ns: int) -> list[Due]:
        market, first, times = self._market, self._position, self._market.prints.time_ns
        self._move(market.prints.until(upto_ns, first))
        rows = range(first, self._position)
        return [Due(times.item(row), Lane.PRINT, events.trade(market, row)) for row in rows]

    def _move(self, position: int) -> None:
        self._position = position
        times = self._market.prints.time_ns
        self.next_ns = times.item(position) if position < len(times) else INT64_MAX


class AggTradeSource(TradeSource):
    def take(self, upto_ns: int) -> list[Due]:
        market, first = self._market, self._position
        self._move(market.prints.until(upto_ns, first))
        if self._position == first:
            return []
        low, high = (market.aggregates.number(position) for position in (first, self._position - 1))
        rows = aggregates(market, low, high + 1, high + 1, self._position)
        times = market.prints.time_ns
        return [Due(times.item(row[1]), Lane.PRINT, events.agg_trade(market, row)) for row in rows]


class KlineSource:
    def __init__(self, market: Market, interval: Interval, pace_ns: int) -> None:
        self._market = market
        self._name = interval.name
        self._klines = market.klines(interval)
        self._pace_ns = pace_ns
        self._seen_ns = 0
        self._close_ns, self._cell = INT64_MAX, 0
        self.next_ns = INT64_MAX

    def begin(self, now_ns: int) -> None:
        self._seen_ns = now_ns
        self._plan(now_ns)

    def take(self, upto_ns: int) -> list[Due]:
        found: list[Due] = []
        while self._close_ns <= upto_ns:
            close_ns = self._close_ns
            candle = self._klines.candle(self._cell)
            if candle is not None:
                body = events.kline(self._market, self._name, candle, close_ns, True)
                found.append(Due(close_ns, Lane.BAR, body))
            self._seen_ns = max(self._seen_ns, self._klines.seen_at_close(close_ns))
            self._close_ns, self._cell = self._klines.next_close(close_ns)
        last_ns = upto_ns // self._pace_ns * self._pace_ns
        if self._klines.changes_after(self._seen_ns) <= last_ns:
            candle = self._klines.forming(last_ns)
            at_ns = ceiled(self._market.spans.last_ns(last_ns), self._pace_ns)
            if candle is not None:
                found.append(Due(at_ns, Lane.DELIVERY, events.kline(self._market, self._name, candle, at_ns, False)))
            self._seen_ns = last_ns
        self._plan(upto_ns)
        return found

    def _plan(self, now_ns: int) -> None:
        self._close_ns, self._cell = self._klines.next_close(now_ns)
        update_ns = ceiled(self._klines.changes_after(self._seen_ns), self._pace_ns)
        self.next_ns = min(self._close_ns, update_ns)


class TickerSource:
    """Of one market an object, of all an array of those that have changed."""

    def __init__(self, markets: Sequence[Market], kind: str, is_array: bool) -> None:
        self._markets = markets
        self._kind = kind
        self._is_array = is_array
        self._seen_ns = 0
        self.next_ns = INT64_MAX

    def begin(self, now_ns: int) -> None:
        self._seen_ns = now_ns
        self.next_ns = ceiled(min(self._changes_after(one, now_ns) for one in self._markets), SECOND_NS)

    def take(self, upto_ns: int) -> list[Due]:
        last_ns = upto_ns // SECOND_NS * SECOND_NS
        changed = [one for one in self._markets if self._changes_after(one, self._seen_ns) <= last_ns]
        if not changed:
            return []
        at_ns = ceiled(max(self._said_ns(one, last_ns) for one in changed), SECOND_NS)
        bodies = [self._body(one, at_ns) for one in changed]
        self.begin(last_ns)
        return [Due(at_ns, Lane.DELIVERY, b"[" + b",".join(bodies) + b"]" if self._is_array else bodies[0])]

    def _body(self, market: Market, at_ns: int) -> bytes:
        if self._kind == "avgPrice":
            return events.average_price(market, at_ns)
        return events.ticker(market, self._kind, at_ns)

    def _changes_after(self, market: Market, now_ns: int) -> int:
        traded_ns = market.spans.changes_after(now_ns)
        return min(traded_ns, market.book.changes_after(now_ns)) if self._kind == "ticker" else traded_ns

    def _said_ns(self, market: Market, now_ns: int) -> int:
        traded_ns = market.spans.last_ns(now_ns)
        return max(traded_ns, market.book.said_ns(now_ns)) if self._kind == "ticker" else traded_ns


class BookTickerSource:
    def __init__(self, market: Market) -> None:
        self._market = market
        self._top = Top(0, 0, 0, 0)
        self._update = 0
        self.next_ns = INT64_MAX

    def begin(self, now_ns: int) -> None:
        book = self._market.book
        self._top = book.top(book.state(now_ns))
        self._find(now_ns)

    def take(self, upto_ns: int) -> list[Due]:
        found: list[tuple[int, int, Top]] = []
        while self.next_ns <= upto_ns:
            found.append((self.next_ns, self._update, self._top))
            if len(found) > 2 * MOST_TOPS:
                del found[:MOST_TOPS]
            self._find(self.next_ns)
        market = self._market
        return [
            Due(at_ns, Lane.BOOK, events.book_ticker(market, update, top)) for at_ns, update, top in found[-MOST_TOPS:]
        ]

    def _find(self, at_ns: int) -> None:
        """The next instant at which the top is another one."""
        book, last = self._market.book, self._top
        while True:
            at_ns = book.changes_after(at_ns)
            if at_ns == INT64_MAX:
                break
            state = book.state(at_ns)
            self._top, self._update = book.top(state), state.update
            if self._top != last:
                break
        self.next_ns = at_ns


class DepthSource:
    """What has changed of the book: `U` of an event is the `u` of the one before, and 1."""

    def __init__(self, market: Market, pace_ns: int) -> None:
        self._market = market
        self._pace_ns = pace_ns
        self._told = State(0, 0, 0, 0)
        self.next_ns = INT64_MAX

    def begin(self, now_ns: int) -> None:
        self._told = self._market.book.state(now_ns)
        self._find(now_ns)

    def take(self, upto_ns: int) -> list[Due]:
        if self.next_ns > upto_ns:
            return []
        market, last_ns = self._market, upto_ns // self._pace_ns * self._pace_ns
        state = market.book.state(last_ns)
        bids, asks = market.book.changed(self._told, state)
        found: list[Due] = []
        if bids or asks:
            at_ns = ceiled(market.book.said_ns(last_ns), self._pace_ns)
            body = events.depth_update(market, at_ns, self._told.update + 1, state.update, bids, asks)
            found.append(Due(at_ns, Lane.BOOK, body))
            self._told = state
        self._find(last_ns)
        return found

    def _find(self, at_ns: int) -> None:
        """The next instant of the grid at which the book is another one than was told."""
        book = self._market.book
        while True:
            at_ns = ceiled(book.changes_after(at_ns), self._pace_ns)
            if at_ns == INT64_MAX or any(book.changed(self._told, book.state(at_ns))):
                break
        self.next_ns = at_ns


class PartialDepthSource:
    """The best levels, once at first and then whenever they are others."""

    def __init__(self, market: Market, levels: int, pace_ns: int) -> None:
        self._market = market
        self._levels = levels
        self._pace_ns = pace_ns
        self._told: tuple[object, object] | None = None
        self.next_ns = INT64_MAX

    def begin(self, now_ns: int) -> None:
        self._told = None
        self._find(now_ns, (now_ns // self._pace_ns + 1) * self._pace_ns)

    def take(self, upto_ns: int) -> list[Due]:
        if self.next_ns > upto_ns:
            return []
        market, last_ns = self._market, upto_ns // self._pace_ns * self._pace_ns
        state = market.book.state(last_ns)
        levels = self._shown(state)
        found: list[Due] = []
        if levels != self._told and any(levels):
            at_ns = max(self.next_ns, ceiled(market.book.said_ns(last_ns), self._pace_ns))
            found.append(Due(at_ns, Lane.BOOK, events.partial_depth(market, state.update, *levels)))
            self._told = levels
        self._find(last_ns)
        return found

    def _shown(self, state: State) -> tuple[events.Levels, events.Levels]:
        book = self._market.book
        return book.levels(state, BID, self._levels), book.levels(state, ASK, self._levels)

    def _find(self, at_ns: int, first_ns: int = INT64_MAX) -> None:
        """The next instant of the grid at which they are others than were told, or `first_ns`."""
        book = self._market.book
        next_ns = min(first_ns, ceiled(book.changes_after(at_ns), self._pace_ns))
        while next_ns != INT64_MAX:
            levels = self._shown(book.state(next_ns))
            if levels != self._told and any(levels):
                break
            next_ns = ceiled(book.changes_after(next_ns), self._pace_ns)
        self.next_ns = next_ns
