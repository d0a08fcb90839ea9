"""A course over the real exchange: the clock is moved by hand, and nothing takes time unless it is told to.

course = HandCourse(sequence("B 10000 x 50", "S 10010 x 20"))
course.until(1)                       # seconds of the tape
answer = course.ask("order.place", symbol="BTCUSDT", side="BUY", type="LIMIT", ...)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import orjson
from tests.exchange.venue import Driver, Row, prints

from gnomon.clock import Timeframe
from gnomon.exchange.exchange import Event, Exchange, Printed
from gnomon.exchange.listing import Asset, Filters, Listing
from gnomon.exchange.order import Request
from gnomon.exchange.outcome import Outcome
from gnomon.exchange.rules import Fees, Fills, Rules
from gnomon.market.block_index import BlockIndex
from gnomon.replay.ground import Ground, Tape, bars_from_prints
from gnomon.serve.venue.account import Account
from gnomon.serve.venue.call import LATER, Call, Handler
from gnomon.serve.venue.order_entry import HANDLERS as ENTRY
from gnomon.serve.venue.order_lists import HANDLERS as LISTS
from gnomon.serve.venue.queries import HANDLERS as QUERIES
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.units import SECOND_NS

HANDLERS: dict[str, Handler] = {**ENTRY, **LISTS, **QUERIES}
START_NS = 1_690_000_000 * SECOND_NS
"""Second 0 of every tape here."""

CALM = ("B 10000 x 500", "S 9999 x 500", "B 10000 x 500", "S 9999 x 500")
"""Last price 99.99, bid 99.99, ask 100.00."""


def btc(number: int = 0, base: str = "BTC", quote: str = "USDT", **filters: Any) -> Listing:
    """Tick 0.01, lot 0.001, a notional of at least 1."""
    least = {"min_notional_units": 10**8, "max_price_ticks": 10**9, "max_lots": 10**7} | filters
    return Listing(
        number, f"binance:{base}{quote}", Asset(base), Asset(quote), Decimal("0.01"), Decimal("0.001"), Filters(**least)
    )


def usual_rules(balances: Mapping[str, str] | None = None, fees: Fees | None = None, **fills: Any) -> Rules:
    """The usual fees, nobody ahead, much at every price."""
    opening = {"USDT": "100000", "BTC": "100"} if balances is None else balances
    settings = {"ahead": 0, "level_lots": 10_000} | fills
    return Rules(Fills(**settings), fees or Fees(), balances={name: Decimal(one) for name, one in opening.items()})


def tape(*texts: str, every_s: int = 1) -> list[Row]:
    """Prints a second apart from second 1 on, written `S 100 x 4`: aggressor, ticks, lots."""
    rows = []
    for number, text in enumerate(texts, 1):
        side, price, _, lots = text.split()
        at_ns = START_NS + number * every_s * SECOND_NS
        rows.append((at_ns, int(price), int(lots), {"B": 1, "S": -1, "?": 0}[side]))
    return rows


class _Telling(Driver):
    """Tells the account of every event, at its instant."""

    told: Callable[[int, int, list[Outcome]], None]

    def _apply(self, event: Event, time_ns: int = 0) -> list[Outcome]:
        outcomes = super()._apply(event, time_ns)
        at_ns = time_ns if isinstance(event, Printed) else event.time_ns  # type: ignore[union-attr]  # no bars here
        self.told(at_ns, getattr(event, "number", 0), outcomes)
        return outcomes


class HandCourse:
    """What handlers see of a run (`serve.venue.call.Course`), over one or several listings."""

    def __init__(
        self,
        rows: Sequence[Row] | Sequence[Sequence[Row]] | None = None,
        *listings: Listing,
        rules: Rules | None = None,
        latency_ns: int = 0,
        run: str = "run-1",
        venue: type[Exchange] = Exchange,
    ) -> None:
        listings = listings or (btc(),)
        rows = tape(*CALM) if rows is None else rows
        self.driver = _Telling(venue, rules or usual_rules(), rows, *listings)
        self.driver.told = self._told
        self.driver.now_ns = START_NS
        self.exchange: Exchange = self.driver.exchange  # type: ignore[assignment]  # never the naive one
        self.account = Account(self.exchange, run)
        self.ground = _ground(listings, self.driver.tapes)
        self.latency_ns = latency_ns
        self.gate: Any = None  # the door's, where a test has one
        self.next_request = 1
        self.events: list[Any] = []
        self.journal: list[tuple[int, int, list[Outcome]]] = []
        self.expected: list[tuple[int, Any]] = []
        self._clients: dict[str, int] = {}
        self._on_the_way: list[tuple[int, Request, Callable[[int, Sequence[Outcome]], None]]] = []
        self._due: list[tuple[int, int, Callable[[int, Sequence[Outcome]], None], list[Outcome]]] = []
        expect = self.account.expect

        def noted(request: int, details: Any) -> None:
            plain = orjson.loads(orjson.dumps(details))
            self.expected.append((request, plain))
            expect(request, plain)

        self.account.expect = noted  # type: ignore[method-assign]  # as the keeper of a run journals it

    # --- as handlers see it -------------------------------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        return self.driver.now_ns

    def send(self, request: Request, then: Callable[[int, Sequence[Outcome]], None]) -> int:
        number = self.next_request
        self.next_request += 1
        if self.latency_ns:
            self._on_the_way.append((self.now_ns + self.latency_ns, request, then))
        else:
            then(self.now_ns, self.driver.send(request))
        return number

    def client(self, text: str) -> int:
        return self._clients.setdefault(text, len(self._clients) + 1)

    # --- by hand ------------------------------------------------------------------------------------------------------

    def until(self, second: float) -> None:
        """Everything up to a second of the tape, answers that are due by then included."""
        to_ns = START_NS + int(second * SECOND_NS)
        while self._on_the_way and self._on_the_way[0][0] <= to_ns:
            at_ns, request, then = self._on_the_way.pop(0)
            self._give(at_ns)
            self._due.append((at_ns + self.latency_ns, at_ns, then, self.driver.send(request, at_ns)))
        self._give(to_ns)
        self.driver.until(to_ns)

    def _give(self, to_ns: int) -> None:
        while self._due and self._due[0][0] <= to_ns:
            due_ns, at_ns, then, outcomes = self._due.pop(0)
            self.driver.until(due_ns)
            then(at_ns, outcomes)

    def call(self, method: str, **params: Any) -> list[Any]:
        """A call whose answers arrive in the list that comes back: documents, or refusals."""
        answers: list[Any] = []

        def reply(value: Any, refusal: VenueRefusal | None) -> None:
            answers.append(refusal if refusal is not None else orjson.loads(orjson.dumps(value)))

        texts = {name: str(one) for name, one in params.items()}
        try:
            value = HANDLERS[method](Call(method, texts, self, reply, True))  # type: ignore[arg-type]  # a Course
        except VenueRefusal as refusal:
            answers.append(refusal)
            return answers
        if value is not LATER:
            answers.append(orjson.loads(orjson.dumps(value)))
        return answers

    def ask(self, method: str, **params: Any) -> Any:
        """The answer; raises the refusal."""
        (answer,) = self.call(method, **params)
        if isinstance(answer, VenueRefusal):
            raise answer
        return answer

    def refused(self, method: str, **params: Any) -> tuple[int, str]:
        """Code and text of the refusal."""
        (answer,) = self.call(method, **params)
        assert isinstance(answer, VenueRefusal), answer
        return answer.code, answer.msg

    def place(self, side: str = "BUY", price: str = "90.00", quantity: str = "1", **more: Any) -> Any:
        """A limit order of BTCUSDT."""
        given = {"symbol": "BTCUSDT", "side": side, "type": "LIMIT", "timeInForce": "GTC"} | more
        return self.ask("order.place", price=price, quantity=quantity, **given)

    def told(self) -> list[dict[str, Any]]:
        """The events since last asked, as a client reads them."""
        found = [orjson.loads(one.body) for one in self.events]
        self.events.clear()
        return found

    def _told(self, at_ns: int, request: int, outcomes: list[Outcome]) -> None:
        self.journal.append((at_ns, request, outcomes))
        self.events += self.account.take(at_ns, request, outcomes)


def _ground(listings: Sequence[Listing], tapes: Mapping[int, Sequence[Row]]) -> Ground:
    found = []
    for one in listings:
        columns = prints(tapes[one.number])
        index = BlockIndex.of_prints(columns.price, columns.lots, columns.side)
        found.append(Tape(one, columns, index, bars_from_prints(columns, 60 * SECOND_NS)))
    return Ground(tuple(found), Timeframe.parse("1m"), bytes(32))
