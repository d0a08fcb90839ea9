"""A venue in a test: a tape written by hand, a driver that brings events in the total order, both exchanges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from gnomon.exchange.exchange import Arrival, Entry, Event, Exchange, Printed
from gnomon.exchange.listing import Asset, Filters, Listing
from gnomon.exchange.naive import NaiveExchange
from gnomon.exchange.order import Order, OrderType, Place, Request, Side
from gnomon.exchange.outcome import Accepted, Filled, Outcome, Rejected, Triggered
from gnomon.exchange.prints import Prints
from gnomon.exchange.recorded import DEPTH, QUOTES, BookMoved, Recorded, Seen
from gnomon.exchange.rules import Fees, Fills, Rules
from gnomon.exchange.takers import Deadline
from gnomon.market.depth import ASK, BID, Depth
from gnomon.market.ladder import Ladder
from gnomon.market.quotes import Quotes
from gnomon.units import Grid

BUY, SELL = Side.BUY, Side.SELL
Venue = Exchange | NaiveExchange
Row = tuple[int, int, int, int]
"""A print: ns, ticks, lots, aggressor (1 bought, -1 sold, 0 unknown)."""

UNIT = 10**8
"""One whole of an asset in units."""


def listing(number: int = 0, base: str = "BTC", quote: str = "USD", **more: Any) -> Listing:
    """Tick and lot 1, so that one tick times one lot is one whole of the quote."""
    filters = more.pop("filters", Filters())
    tick, lot = Decimal(str(more.pop("tick", 1))), Decimal(str(more.pop("lot", 1)))
    return Listing(number, f"test:{base}{quote}", Asset(base), Asset(quote), tick, lot, filters, **more)


def prints(rows: Iterable[Row]) -> Prints:
    columns = np.array(list(rows), np.int64).reshape(-1, 4)
    return Prints(columns[:, 0].copy(), columns[:, 1].copy(), columns[:, 2].copy(), columns[:, 3].astype(np.int8))


def quotes_of(rows: Iterable[tuple[int, int, int, int, int]]) -> Quotes:
    """Quotes written as ns, bid, its lots, ask, its lots."""
    at_ns, bid, bid_qty, ask, ask_qty = np.array(list(rows), np.int64).reshape(-1, 5).T.copy()
    return Quotes("test:BTCUSD", Grid.of(1), Grid.of(1), at_ns, at_ns, bid, bid_qty, ask, ask_qty).check()


Message = tuple[int, int, Sequence[tuple[int, int, int]]]
"""A message of depth: ns, kind, and (side, price, size) of each row."""


def depth_of(messages: Iterable[Message], valid_from_ns: int = 0) -> Depth:
    rows = [
        (at_ns, side, price, size, kind, number)
        for number, (at_ns, kind, levels) in enumerate(messages)
        for side, price, size in levels
    ]
    at_ns, side, price, size, kind, update = np.array(rows, np.int64).reshape(-1, 6).T.copy()
    columns = side.astype(np.int8), price, size, kind.astype(np.uint8), update
    return Depth("test:BTCUSD", Grid.of(1), Grid.of(1), at_ns, at_ns, *columns, valid_from_ns).check()


def recording(
    quotes: Sequence[tuple[int, int, int, int, int]] = (), depth: Sequence[Message] = (), valid_from_ns: int = 0
) -> Recorded:
    return Recorded(quotes_of(quotes) if quotes else None, Ladder(depth_of(depth, valid_from_ns)) if depth else None)


def all_moves(number: int, recorded: Recorded) -> Iterator[BookMoved]:
    """Every row of quotes and every message of depth, whether it may be walked yet or not."""
    quotes = recorded.quotes.time_ns.tolist() if recorded.quotes is not None else []
    ladder = recorded.ladder
    messages = list(zip(ladder.time_ns.tolist(), ladder.stops.tolist(), strict=True)) if ladder is not None else []
    for row, at_ns in enumerate(quotes):
        yield BookMoved(number, at_ns, QUOTES, row + 1, max((stop for at, stop in messages if at < at_ns), default=0))
    for at_ns, stop in messages:
        yield BookMoved(number, at_ns, DEPTH, sum(at <= at_ns for at in quotes), stop)


def sequence(*texts: str) -> list[Row]:
    """Prints a second apart, written `S 100 x 4`: aggressor (B, S, or ? unknown), ticks, lots."""
    rows = []
    for number, text in enumerate(texts, 1):
        side, price, _, lots = text.split()
        rows.append((number * 10**9, int(price), int(lots), {"B": 1, "S": -1, "?": 0}[side]))
    return rows


def rules(balances: Mapping[str, int] | None = None, fees: Fees | None = None, **fills: Any) -> Rules:
    """No fees, no slippage, nobody ahead, a spread of one tick unless said otherwise. Balances in wholes."""
    settings = {"ahead": 0, "level_lots": 10} | fills
    opening = {"USD": 1_000_000, "BTC": 1_000} if balances is None else balances
    return Rules(
        Fills(**settings), Fees(0, 0) if fees is None else fees, balances={k: Decimal(v) for k, v in opening.items()}
    )


def limit(side: Side, price: int, lots: int, **more: Any) -> Place:
    return Place(more.pop("instrument", 0), side, OrderType.LIMIT, lots, price, **more)


def market(side: Side, lots: int = 0, **more: Any) -> Place:
    return Place(more.pop("instrument", 0), side, OrderType.MARKET, lots, **more)


def stop(kind: OrderType, side: Side, lots: int, **more: Any) -> Place:
    return Place(more.pop("instrument", 0), side, kind, lots, **more)


class Driver:
    """Brings events to one exchange in the total order: prints, then entries of stops, then requests of an instant.

    The fast exchange hears only of the prints that its thresholds say concern it, the naive one of every print.
    """

    def __init__(
        self,
        venue: type[Venue],
        rules: Rules,
        rows: Sequence[Row] | Sequence[Sequence[Row]],
        *listings: Listing,
        recorded: Mapping[int, Recorded] | None = None,
    ) -> None:
        several: Any = rows if rows and not isinstance(rows[0], tuple) else [rows]
        self.listings = listings or (listing(),)
        self.tapes: dict[int, list[Row]] = {
            one.number: list(tape) for one, tape in zip(self.listings, several, strict=True)
        }
        tapes = {number: prints(tape) for number, tape in self.tapes.items()}
        self.exchange = venue(self.listings, tapes, rules, recorded or {})
        self.moves = sorted(
            (move for number, one in (recorded or {}).items() for move in all_moves(number, one)),
            key=lambda move: (move.time_ns, move.instrument, -move.layer),
        )
        self.exchange.open_balances()
        self.outcomes: list[Outcome] = []
        self.steps: list[tuple[Event, list[Outcome]]] = []
        self.now_ns = 0
        self.requests = 0
        self._at = dict.fromkeys(self.tapes, 0)
        self._entries: list[Entry | Deadline] = []

    def until(self, time_ns: int) -> list[Outcome]:
        """Every print up to and with `time_ns`, and what it sets off."""
        start = len(self.outcomes)
        while True:
            found = self._next_print(time_ns)
            at_ns = found[0] if found else time_ns + 1
            moved_ns = self.moves[0].time_ns if self.moves else time_ns + 1
            if moved_ns < at_ns and not (self._entries and self._entries[0].time_ns < moved_ns):
                self._pass(moved_ns)
                move = self.moves.pop(0)
                if self._is_told(move):
                    self._apply(move, moved_ns)
            elif self._entries and self._entries[0].time_ns < at_ns:
                self._pass(self._entries[0].time_ns)
                self._apply(self._entries.pop(0))
            elif found:
                self._pass(found[0] - 1)
                self._at[found[1]] = found[2] + 1
                self._apply(Printed(found[1], found[2]), found[0])
            else:
                break
        self._pass(time_ns)
        self.now_ns = max(self.now_ns, time_ns)
        return self.outcomes[start:]

    def send(self, request: Request, time_ns: int | None = None) -> list[Outcome]:
        """A request that arrives at `time_ns`, after all prints of that instant."""
        at_ns = self.now_ns if time_ns is None else time_ns
        self.until(at_ns)
        self.requests += 1
        return self._apply(Arrival(at_ns, at_ns, self.requests, request))

    def passed(self, instrument: int) -> int:
        """How many prints of an instrument are behind us."""
        return self._at[instrument]

    def end(self) -> list[Outcome]:
        return self.until(max((tape[-1][0] for tape in self.tapes.values() if tape), default=0))

    def _apply(self, event: Event, time_ns: int = 0) -> list[Outcome]:
        outcomes = self.exchange.apply(event)
        self.steps.append((event, outcomes))
        self.outcomes += outcomes
        self._entries += [Entry(time_ns, one.number) for one in outcomes if isinstance(one, Triggered)]
        self._entries += self.exchange.deadlines
        self.exchange.deadlines.clear()
        self._entries.sort(key=lambda one: one.time_ns)
        return outcomes

    def _is_told(self, move: BookMoved) -> bool:
        """The naive exchange hears of every move, the fast one of those that reach an order or the queue before it."""
        if isinstance(self.exchange, NaiveExchange):
            return True
        book = self.exchange.books[move.instrument]
        shown, seen = book.shown, Seen(move.quotes, move.depth)
        assert shown is not None
        if shown.layer(seen) == move.layer:
            bid, ask, _ = shown.recorded.best(seen, move.layer)
            if (book.bids and 0 < ask <= book.bids[0].price) or (book.asks and bid >= book.asks[0].price):
                return True
        if move.layer == QUOTES or shown.recorded.ladder is None:
            return False
        ladder = shown.recorded.ladder
        start = ladder.starts[ladder.stops == move.depth].item()
        sides = {Side.BUY: BID, Side.SELL: ASK}
        return any(
            ladder.next_update(sides[order.side], order.price, start) < move.depth
            for order in (*book.bids, *book.asks)
            if order.ahead
        )

    def _next_print(self, time_ns: int) -> tuple[int, int, int] | None:
        """Time, listing and position of the next print that the exchange must hear of."""
        found: list[tuple[int, int, int]] = []
        for number, tape in self.tapes.items():
            bid, ask, up, down = self.exchange.books[number].thresholds
            for position in range(self._at[number], len(tape)):
                at_ns, price, _, side = tape[position]
                if at_ns > time_ns:
                    break
                if (side <= 0 and price <= bid) or (side >= 0 and price >= ask) or price >= up or price <= down:
                    found.append((at_ns, number, position))
                    break
        return min(found, default=None)

    def _pass(self, time_ns: int) -> None:
        """Prints up to an instant are behind us: whatever an order of that instant waits for comes later."""
        for number, tape in self.tapes.items():
            while self._at[number] < len(tape) and tape[self._at[number]][0] <= time_ns:
                self._at[number] += 1

    # --- looking ------------------------------------------------------------------------------------------------------

    def open_orders(self) -> list[Order]:
        exchange = self.exchange
        if isinstance(exchange, NaiveExchange):
            return [one.order for one in exchange.open]
        return list(exchange.working.orders.values())

    def free(self, asset: str) -> int:
        return self.exchange.ledger.free[self._number(asset)]

    def locked(self, asset: str) -> int:
        return self.exchange.ledger.locked[self._number(asset)]

    def _number(self, asset: str) -> int:
        return [one.name for one in self.exchange.ledger.assets].index(asset)

    def balances(self) -> dict[str, tuple[int, ...]]:
        ledger = self.exchange.ledger
        sides = (ledger.free, ledger.locked, ledger.market, ledger.fees, ledger.opening)
        return {one.name: tuple(side[number] for side in sides) for number, one in enumerate(ledger.assets)}


def fills(outcomes: Iterable[Outcome]) -> list[tuple[int, int]]:
    """Price and lots of each fill."""
    return [(one.price, one.lots) for one in outcomes if isinstance(one, Filled)]


def accepted(outcomes: Iterable[Outcome]) -> Accepted:
    return next(one for one in outcomes if isinstance(one, Accepted))


def refusal(outcomes: Sequence[Outcome]) -> tuple[str, int, int]:
    """Code, value received and limit of the one refusal that came back."""
    (only,) = outcomes
    assert isinstance(only, Rejected), only
    return only.refusal.name, only.received, only.limit
