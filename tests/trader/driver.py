"""A naive engine: every print and every point of a bar is told, in the total order, to the real exchange and desk.

It is the plainest way to drive a trader, so that what the desk does is tested with nothing in its place: requests take
their latency, outcomes are heard when they are due, wakes come in their lane.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from heapq import heappop, heappush
from typing import Any

import numpy as np

from gnomon.clock import Timeframe
from gnomon.errors import Unavailable
from gnomon.exchange.bars import Bars
from gnomon.exchange.exchange import Arrival, BarPoint, Entry, Exchange, Printed
from gnomon.exchange.listing import Asset, Filters, Listing
from gnomon.exchange.outcome import Triggered
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import Fees, Rules
from gnomon.market.candles import Candles
from gnomon.market.lanes import Lane
from gnomon.trader.decisions import Decision
from gnomon.trader.desk import Desk, Finished
from gnomon.trader.events import Bar, BestQuote, Candle, Trade
from gnomon.trader.market import Issued, Last
from gnomon.trader.market import Printed as PrintedTail
from gnomon.trader.plan import Plan
from gnomon.trader.sizing import Costs
from gnomon.units import MINUTE_NS, Grid

START_NS = 1_700_000_000_000_000_000 // MINUTE_NS * MINUTE_NS
NO_FEES = Fees(maker=0, taker=0)


def listing(number: int = 0, name: str = "BTC", *, quote: str = "USD", **more: Any) -> Listing:
    """A tick of 0.1 and a lot of 0.001; filters by their names."""
    filters = {key: more.pop(key) for key in list(more) if key in Filters.__dataclass_fields__}
    more = {"tick": Decimal("0.1"), "lot": Decimal("0.001"), **more}
    return Listing(number, f"{name}/{quote}", Asset(name), Asset(quote), filters=Filters(**filters), **more)


def prints(
    price: Sequence[int], *, step_ns: int = 1_000_000_000, lots: int = 100_000, side: Sequence[int] | None = None
) -> Prints:
    """Prints one step apart, the first one step after the start."""
    n = len(price)
    time_ns = START_NS + step_ns * np.arange(1, n + 1)
    sides = np.asarray(side if side is not None else [(-1) ** k for k in range(n)], np.int8)
    return Prints(time_ns, np.asarray(price, np.int64), np.full(n, lots, np.int64), sides)


def bars(close: Sequence[int], *, spread: int = 3, lots: int = 1_000_000, start_ns: int = START_NS) -> Bars:
    """Minute bars, each opening where the last one closed."""
    last = np.asarray(close, np.int64)
    first = np.concatenate([last[:1], last[:-1]])
    open_ns = start_ns + MINUTE_NS * np.arange(len(last))
    high, low = np.maximum(first, last) + spread, np.minimum(first, last) - spread
    return Bars(open_ns, open_ns + MINUTE_NS, first, high, low, last, np.full(len(last), lots, np.int64))


def candles_of(one: Listing, tape: Bars) -> Candles:
    n = len(tape)
    return Candles(
        one.id, Timeframe.parse("1m"), "raw", Grid(one.tick), Grid(one.lot), Grid.of("0.01"),
        tape.open_ns, tape.close_ns, tape.close_ns, tape.open, tape.high, tape.low, tape.close, tape.volume,
        np.full(n, -1, np.int64), np.zeros(n, np.uint8),
    )  # fmt: skip


class ArrayMarket:
    """The port over arrays: whatever is after the clock is there, and must not be read."""

    def __init__(self, listings: Sequence[Listing], tapes: Mapping[int, Prints | Bars]) -> None:
        self.tapes = dict(tapes)
        self.series = {n: candles_of(listings[n], tape) for n, tape in tapes.items() if isinstance(tape, Bars)}

    def last(self, instrument: int, now_ns: int) -> Last | None:
        tape = self.tapes[instrument]
        stamps, prices = (tape.close_ns, tape.close) if isinstance(tape, Bars) else (tape.time_ns, tape.price)
        row = int(np.searchsorted(stamps, now_ns, "right")) - 1
        return Last(int(stamps[row]), int(prices[row])) if row >= 0 else None

    def candles(self, instrument: int, timeframe: Timeframe, n: int, now_ns: int) -> Candles:
        if instrument not in self.series or str(timeframe) != "1m":
            raise Unavailable(f"no {timeframe} candles of {instrument}", hint="1m")
        series = self.series[instrument]
        stop = int(np.searchsorted(series.knowable_ns, now_ns, "right"))
        return series.take(slice(max(0, stop - n), stop))

    def trades(self, instrument: int, n: int, now_ns: int) -> PrintedTail:
        tape = self.tapes[instrument]
        assert isinstance(tape, Prints)
        stop = int(np.searchsorted(tape.time_ns, now_ns, "right"))
        rows = slice(max(0, stop - n), stop)
        return PrintedTail(tape.time_ns[rows], tape.price[rows], tape.lots[rows], tape.side[rows].astype(np.int64))

    def best(self, instrument: int, now_ns: int) -> BestQuote | None:
        last = self.last(instrument, now_ns)
        return last and BestQuote(instrument, last.knowable_ns, last.price_ticks - 1, last.price_ticks + 1)


class ListedNews:
    """Forecasts and events from lists, as of the clock."""

    def __init__(self, issued: Sequence[Issued] = (), events: Sequence[Any] = ()) -> None:
        self.issued = sorted(issued, key=lambda one: one.issued_ns)
        self.events = list(events)

    def forecast(self, name: str | None, instrument: int, timeframe: Timeframe, now_ns: int) -> Issued | None:  # noqa: ARG002 - the port's words
        known = [one for one in self.issued if one.issued_ns <= now_ns and name in (None, one.forecast.forecaster)]
        return known[-1] if known else None

    def calendar(self, now_ns: int) -> list[Any]:
        return [one for one in self.events if one.knowable_ns <= now_ns]

    def search(self, query: str, n: int, now_ns: int) -> list[Any]:  # noqa: ARG002 - the port's words
        raise Unavailable("nothing to search", hint="bring texts")


class Diary:
    def __init__(self) -> None:
        self.decisions: list[Decision] = []

    def decided(self, decision: Decision) -> None:
        self.decisions.append(decision)

    def packed(self) -> bytes:
        return b"".join(one.pack() for one in self.decisions)


class Drive:
    """One trader over tapes, from the first print or bar to the last."""

    def __init__(
        self,
        trader: Any,
        tapes: Mapping[int, Prints | Bars] | Prints | Bars,
        listings: Sequence[Listing] = (),
        *,
        rules: Rules | None = None,
        every: int = 1,
        market: Any = None,
        news: Any = None,
        **plan: Any,
    ) -> None:
        self.tapes = {0: tapes} if isinstance(tapes, Prints | Bars) else dict(tapes)
        self.listings = tuple(listings) or tuple(listing(n) for n in self.tapes)
        balances = {one.quote.name: Decimal(1_000_000) for one in self.listings}
        self.rules = rules or Rules.parse({"preset": "ideal", "fees": {"maker": "0", "taker": "0"}})
        self.rules = self.rules if self.rules.balances else self.rules.with_balances(balances)
        self.exchange = Exchange(self.listings, self.tapes, self.rules)
        self.exchange.open_balances()
        self.diary = Diary()
        last_ns = max(int(tape.time_ns[-1]) for tape in self.tapes.values() if len(tape))
        plan = {"start_ns": START_NS, "end_ns": last_ns + 2 * MINUTE_NS, **plan}
        self.plan = Plan(
            self.listings, timeframe=Timeframe.parse("1m"), balances=self.rules.balances,
            costs=Costs.of(self.rules.fees), **plan,
        )  # fmt: skip
        self.market = market or ArrayMarket(self.listings, self.tapes)
        self.trader = trader
        self.desk = Desk(self.plan, self.market, news, diary=self.diary)
        self.requests: list[Any] = []
        self.told: list[Any] = []  # outcomes
        self.finished: str | None = None
        self._heap: list[tuple[int, int, int, int, Any]] = []
        self._pushed = 0
        self._every = every
        self._arrived_ns = self._replied_ns = 0

    def run(self) -> Drive:
        for number, tape in self.tapes.items():
            self._push_tape(number, tape)
        self._push_bars()
        try:
            self.desk.begin(self.trader)
            self._send()
            while self._heap and self._heap[0][0] < self.plan.end_ns:
                at_ns, lane, source, _, (kind, payload) = heappop(self._heap)
                getattr(self, f"_{kind}")(at_ns, lane, source, payload)
                self._send()
        except Finished as end:
            self.finished = end.reason
        self.desk.now_ns = self.plan.end_ns
        self.desk.end()
        self.exchange.ledger.check()
        return self

    # --- what happens -------------------------------------------------------------------------------------------------

    def _push(self, at_ns: int, lane: Lane, source: int, kind: str, payload: Any) -> None:
        self._pushed += 1
        heappush(self._heap, (at_ns, int(lane), source, self._pushed, (kind, payload)))

    def _push_tape(self, number: int, tape: Prints | Bars) -> None:
        if isinstance(tape, Bars):
            for row in range(len(tape)):
                for point, at_ns in enumerate(tape.times_ns(row)):
                    self._push(at_ns, Lane.PRINT, number, "event", BarPoint(number, row, point))
            return
        for row, at_ns in enumerate(tape.time_ns.tolist()):
            self._push(at_ns, Lane.PRINT, number, "event", Printed(number, row))
            if (row + 1) % self._every == 0:
                self._push(at_ns, Lane.DELIVERY, number, "trade", row)

    def _push_bars(self) -> None:
        closes: dict[int, dict[int, int]] = {}
        for number, tape in self.tapes.items():
            if isinstance(tape, Bars):
                for row, at_ns in enumerate(tape.close_ns.tolist()):
                    closes.setdefault(at_ns, {})[number] = row
        for at_ns, rows in closes.items():
            self._push(at_ns, Lane.DELIVERY, 0, "bar", rows)

    def _event(self, at_ns: int, lane: int, source: int, event: Any) -> None:  # noqa: ARG002 - one shape for all
        outcomes = self.exchange.apply(event)
        self.exchange.ledger.check()
        self.told += outcomes
        for outcome in outcomes:
            if type(outcome) is Triggered and type(event) is Printed:
                self._push(at_ns, Lane.ARRIVAL, 0, "event", Entry(at_ns, outcome.number))
        for deadline in self.exchange.deadlines:
            self._push(deadline.time_ns, Lane.ARRIVAL, 0, "event", deadline)
        self.exchange.deadlines.clear()
        if outcomes:
            self._replied_ns = max(self._replied_ns, at_ns + self.rules.latency.reply.const_ns)
            self.desk.hear(self._replied_ns, outcomes)

    def _timer(self, at_ns: int, lane: int, source: int, name: str) -> None:  # noqa: ARG002 - one shape for all
        self.desk.now_ns = at_ns
        self.desk.alarm(name)

    def _trade(self, at_ns: int, lane: int, source: int, row: int) -> None:  # noqa: ARG002 - one shape for all
        tape, trade = self.tapes[source], Trade(self.listings[source])
        assert isinstance(tape, Prints)
        trade.time_ns, trade.position = at_ns, row
        trade.price_ticks, trade.lots, trade.side = int(tape.price[row]), int(tape.lots[row]), int(tape.side[row])
        self._wake(at_ns, trade)

    def _bar(self, at_ns: int, lane: int, source: int, rows: dict[int, int]) -> None:  # noqa: ARG002 - one shape for all
        found = {}
        for number, row in rows.items():
            tape, candle = self.tapes[number], Candle(self.listings[number])
            assert isinstance(tape, Bars)
            candle.open_ns, candle.close_ns, candle.position = int(tape.open_ns[row]), at_ns, row
            for name in ("open", "high", "low", "close"):
                setattr(candle, f"{name}_ticks", int(getattr(tape, name)[row]))
            candle.volume_lots = int(tape.volume[row])
            found[self.listings[number].id] = candle
        bar = Bar(found)
        bar.time_ns = at_ns
        self._wake(at_ns, bar)

    def _wake(self, at_ns: int, event: Any) -> None:
        self.desk.now_ns = at_ns
        self.trader.handle(self.desk, event)

    def _send(self) -> None:
        desk = self.desk
        desk.close_decision()
        for request in desk.outbox:
            self.requests.append(request)
            self._arrived_ns = max(self._arrived_ns, desk.now_ns + max(1, self.rules.latency.entry.const_ns))
            arrival = Arrival(self._arrived_ns, desk.now_ns, len(self.requests), request)
            self._push(self._arrived_ns, Lane.ARRIVAL, 1, "event", arrival)
        for at_ns, name in desk.alarms:
            self._push(max(at_ns, desk.now_ns + 1), Lane.TIMER, 0, "timer", name)
        desk.outbox.clear()
        desk.alarms.clear()
