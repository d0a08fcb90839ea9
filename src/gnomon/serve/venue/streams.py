"""Streams: the events of a session's market by virtual time, to whoever subscribes.

A stream is one, however many subscribe to it. Events come in the total order of time, lane, listing and name, whatever
the order of the subscriptions. What has happened before a subscription is not told.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from gnomon.replay.run import RunPlan
from gnomon.serve.venue import stream_events as events
from gnomon.serve.venue.market_view import MarketView, view_of
from gnomon.serve.venue.stream_names import ALL, Asked, parsed
from gnomon.serve.venue.stream_sources import (
    AggTradeSource,
    BookTickerSource,
    DepthSource,
    KlineSource,
    PartialDepthSource,
    Source,
    TickerSource,
    TradeSource,
)
from gnomon.serve.venue.symbols import Symbols
from gnomon.units import INT64_MAX


class Stream:
    """One subscribed stream: `count` subscriptions, and its sources by the numbers of the listings."""

    __slots__ = ("asked", "count", "is_live", "name", "sources")

    def __init__(self, name: str, asked: Asked, sources: dict[int, Source]) -> None:
        self.name = name
        self.asked = asked
        self.sources = sources
        self.count = 0
        self.is_live = True


class Streams:
    """Of one session. `next_ns` is when the next event is due, INT64_MAX where none is."""

    def __init__(self, plan: RunPlan, symbols: Symbols | None = None) -> None:
        self.view: MarketView = view_of(plan.ground, plan.rules.fills)
        self.symbols = symbols or self.view.symbols
        self.now_ns = plan.start_ns - 1  # everything up to here was told
        self.next_ns = INT64_MAX
        self._streams: dict[str, Stream] = {}
        self._due: list[tuple[int, int, Stream, int]] = []  # next_ns, a running number, whose, of which listing
        self._pushed = 0

    def __contains__(self, name: str) -> bool:
        return name in self._streams

    # --- who listens --------------------------------------------------------------------------------------------------

    def subscribe(self, names: Iterable[str], now_ns: int | None = None) -> list[str]:
        """Count one subscription more to each; the names that there is no stream of. A new stream begins at `now_ns`:
        what is known then is not told. None: where `take` has come to."""
        refused = []
        begin_ns = self.now_ns if now_ns is None else now_ns
        for name in names:
            stream = self._streams.get(name)
            if stream is None:
                asked = parsed(name, self.symbols)
                if asked is None:
                    refused.append(name)
                    continue
                stream = self._streams[name] = Stream(name, asked, self._sources(asked))
                self._begin(stream, begin_ns)
            stream.count += 1
        self._look()
        return refused

    def unsubscribe(self, names: Iterable[str]) -> None:
        """Count one subscription less; a stream without any ends."""
        for name in names:
            stream = self._streams.get(name)
            if stream is not None:
                stream.count -= 1
                if stream.count <= 0:
                    stream.is_live = False
                    del self._streams[name]
        self._look()

    def _sources(self, asked: Asked) -> dict[int, Source]:
        markets, kind = self.view.markets, asked.kind
        if asked.number == ALL:
            if kind == "bookTicker":
                return {number: BookTickerSource(one) for number, one in markets.items()}
            return {ALL: TickerSource(list(markets.values()), kind, True)}
        market = markets[asked.number]
        source: Source
        if kind == "trade":
            source = TradeSource(market)
        elif kind == "aggTrade":
            source = AggTradeSource(market)
        elif kind == "kline":
            assert asked.interval is not None
            source = KlineSource(market, asked.interval, asked.pace_ns)
        elif kind == "bookTicker":
            source = BookTickerSource(market)
        elif kind == "depth" and not asked.levels:
            source = DepthSource(market, asked.pace_ns)
        elif kind == "depth":
            source = PartialDepthSource(market, asked.levels, asked.pace_ns)
        else:
            source = TickerSource([market], kind, False)
        return {asked.number: source}

    # --- time ---------------------------------------------------------------------------------------------------------

    def rewind(self, to_ns: int) -> None:
        """All streams go on from an instant, backward or forward: what is known then is not told."""
        self.now_ns = to_ns
        self._due.clear()
        for stream in self._streams.values():
            self._begin(stream, to_ns)
        self._look()

    def take(self, upto_ns: int) -> list[tuple[str, bytes]]:
        """Name and event of all that are due by an instant. Over a long stretch updates that the next one overtakes are
        left out, never a trade, the close of a candle, or the last state."""
        found: list[tuple[int, int, int, str, int, bytes]] = []
        due = self._due
        while due and due[0][0] <= upto_ns:
            _, _, stream, number = heappop(due)
            if not stream.is_live:
                continue
            source, name = stream.sources[number], stream.name
            for at_ns, lane, body in source.take(upto_ns):
                found.append((at_ns, lane, number, name, len(found), body))
            self._push(stream, number, source)
        self.now_ns = max(self.now_ns, upto_ns)
        self._look()
        found.sort()
        return [(name, body) for _, _, _, name, _, body in found]

    def _begin(self, stream: Stream, now_ns: int) -> None:
        for number, source in stream.sources.items():
            source.begin(now_ns)
            self._push(stream, number, source)

    def _push(self, stream: Stream, number: int, source: Source) -> None:
        if source.next_ns != INT64_MAX:
            self._pushed += 1
            heappush(self._due, (source.next_ns, self._pushed, stream, number))

    def _look(self) -> None:
        due = self._due
        while due and not due[0][2].is_live:
            heappop(due)
        self.next_ns = due[0][0] if due else INT64_MAX

    # --- events of wakes in lock-step ---------------------------------------------------------------------------------

    def trade_event(self, number: int, position: int) -> bytes:
        return events.trade(self.view.markets[number], position)

    def book_ticker_event(self, number: int, now_ns: int) -> bytes:
        """The top of the book as of an instant."""
        market = self.view.markets[number]
        state = market.book.state(now_ns)
        return events.book_ticker(market, state.update, market.book.top(state))
