"""Own orders as the trader knows them: what was asked, and what the venue has said of it so far.

States carry their data. They are moved by delivered outcomes alone, in the order of delivery, so nothing is known of an
order before the answer has arrived.

| state | from the outcome |
|---|---|
| `Pending(since_ns)` | none yet: on its way; or with a `number`: it waits until the order that it follows is filled |
| `Working(since_ns, remaining_lots)` | accepted, or partly filled |
| `Filled(at_ns)` | the last fill |
| `Cancelled(at_ns, why)` | cancelled, or taken away by self-trade prevention |
| `Rejected(at_ns, why)` | refused, by the desk's limits or by the venue |
| `Expired(at_ns, why)` | what could not be filled at once, the other leg of a pair |
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Protocol

from gnomon.exchange.listing import Listing
from gnomon.exchange.order import OrderType, Place, Quote, SelfTrade, Side, Status, TimeInForce
from gnomon.exchange.outcome import Accepted, Changed, Margined, Outcome, Quoted, Refusal, Triggered
from gnomon.exchange.outcome import Filled as VenueFill
from gnomon.exchange.outcome import Rejected as VenueRejected
from gnomon.trader.sizing import price_of


@dataclass(frozen=True, slots=True)
class Pending:
    since_ns: int


@dataclass(frozen=True, slots=True)
class Working:
    since_ns: int
    remaining_lots: int


@dataclass(frozen=True, slots=True)
class Filled:
    at_ns: int


@dataclass(frozen=True, slots=True)
class Cancelled:
    at_ns: int
    why: str


@dataclass(frozen=True, slots=True)
class Rejected:
    at_ns: int
    why: str


@dataclass(frozen=True, slots=True)
class Expired:
    at_ns: int
    why: str = ""


State = Pending | Working | Filled | Cancelled | Rejected | Expired


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order in the trader's words. Exactly one size; prices as numbers, or as their integer twins in ticks."""

    instrument: str
    side: Side
    type: OrderType = OrderType.MARKET
    lots: int | None = None
    qty: Decimal | float | str | None = None
    usd: Decimal | float | str | None = None
    """Of a MARKET order: money to spend or to get, in the quote asset, costs apart."""
    price: Decimal | float | str | None = None
    price_ticks: int | None = None
    stop: Decimal | float | str | None = None
    stop_ticks: int | None = None
    trailing_bips: int = 0
    tif: TimeInForce = TimeInForce.GTC
    stp: SelfTrade = SelfTrade.EXPIRE_MAKER
    reduce_only: bool = False
    client_id: str | None = None
    label: str | None = None


class Order:
    """One own order. What it says follows the deliveries up to the desk's clock.

    `number` is the venue's number once it is known, `request` counts the desk's requests.
    """

    __slots__ = (
        "_bar",
        "_blotter",
        "_executed_lots",
        "_name",
        "_nth",
        "_number",
        "_quote_units",
        "_sent_ns",
        "_state",
        "label",
        "listing",
        "place",
        "request",
        "serial",
    )

    def __init__(
        self,
        blotter: Blotter,
        listing: Listing,
        place: Place,
        request: int,
        name: str | None = "",
        label: str | None = None,
        bar: int = 0,
        nth: int = 0,
    ) -> None:
        """`name` is its client id; None: made of the bar, and of its number in it."""
        self._blotter = blotter
        self.listing = listing
        self.place = place
        self.request = request
        self._name, self._bar, self._nth = name, bar, nth
        self.label = label
        self.serial = blotter.made = blotter.made + 1
        self._sent_ns = blotter.clock.now_ns
        self._state: State | None = None  # Pending, as nothing has been heard
        self._number = 0
        self._executed_lots = 0
        self._quote_units = 0

    @property
    def id(self) -> str:
        """The client order id, "" of a standing pair's sides."""
        name = self._name
        if name is None:
            self._name = name = self._blotter.id_of(self._bar, self._nth)
        return name

    @property
    def state(self) -> State:
        self._blotter.catch_up()
        return self._state or Pending(self._sent_ns)

    @property
    def number(self) -> int:
        self._blotter.catch_up()
        return self._number

    @property
    def executed_lots(self) -> int:
        self._blotter.catch_up()
        return self._executed_lots

    @property
    def executed(self) -> Decimal:
        return self.executed_lots * self.listing.lot

    @property
    def average_price(self) -> float | None:
        """Of its fills; None before the first."""
        lots = self.executed_lots
        return self._quote_units / (lots * self.listing.notional_unit) * price_of(self.listing, 1) if lots else None

    @property
    def instrument(self) -> str:
        return self.listing.id

    @property
    def side(self) -> Side:
        return self.place.side

    @property
    def type(self) -> OrderType:
        return self.place.type

    @property
    def lots(self) -> int:
        return self.place.lots

    @property
    def price_ticks(self) -> int:
        return self.place.price

    @property
    def is_open(self) -> bool:
        return isinstance(self.state, Pending | Working)

    def __repr__(self) -> str:
        place = self.place
        size = f"{place.lots} lots" if place.lots else f"{place.quote_units} units"
        price, state = f" at {place.price}" if place.price else "", self._state or Pending(self._sent_ns)
        return f"<Order {self.id or self._number} {place.side.name} {size}{price} of {self.listing.id}: {state}>"


@dataclass(frozen=True, slots=True)
class Fill:
    """An own fill as it was delivered. `venue` is the outcome, which explains it."""

    order: Order
    known_ns: int
    venue: VenueFill

    @property
    def instrument(self) -> str:
        return self.order.listing.id

    @property
    def side(self) -> Side:
        return self.venue.side

    @property
    def price_ticks(self) -> int:
        return self.venue.price

    @property
    def price(self) -> float:
        return price_of(self.order.listing, self.venue.price)

    @property
    def lots(self) -> int:
        return self.venue.lots

    @property
    def qty(self) -> Decimal:
        return self.venue.lots * self.order.listing.lot


class Clocked(Protocol):
    """Something that has the time."""

    now_ns: int


@dataclass(frozen=True, slots=True)
class Declined:
    """What the desk itself refused, on its way to the hooks."""

    order: Order


class Said:
    """What the venue said, made when somebody reads it; most is never read.

    `moves` is what it adds to the account: an asset, its units, and so on; None where that is to be read.
    """

    __slots__ = ("_how", "_number", "_row", "moves")

    def __init__(
        self,
        how: Callable[[int, tuple[int, ...]], list[Outcome]],
        number: int,
        row: tuple[int, ...],
        moves: tuple[int, ...] | None = None,
    ) -> None:
        self._how, self._number, self._row, self.moves = how, number, row, moves

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self._how(self._number, self._row))


Heard = tuple[int, Sequence[Outcome | Declined] | Said]
"""What was said, and when it is known."""


class Late(list[Any]):
    """What was heard, where somebody is asked for the newest before it is counted."""

    __slots__ = ("_catch_up",)

    def __init__(self, heard: Iterable[Heard], catch_up: Callable[[], None]) -> None:
        super().__init__(heard)
        self._catch_up = catch_up

    def __len__(self) -> int:
        self._catch_up()
        return super().__len__()

    def __bool__(self) -> bool:
        return super().__len__() > 0


def hear(heard: list[Heard], due_ns: int, outcomes: Sequence[Outcome | Declined] | Said) -> None:
    """Keep what was said in the order in which it is known."""
    if heard and due_ns < heard[-1][0]:
        heard.insert(bisect_right(heard, due_ns, key=_due_ns), (due_ns, outcomes))
    else:
        heard.append((due_ns, outcomes))


def _due_ns(one: Heard) -> int:
    return one[0]


SHORT_CALL: Final = "short call"
"""The label of an order that the venue made to buy back what was sold short."""

WORDS: Final = {
    Refusal.UNKNOWN_INSTRUMENT: "unknown instrument",
    Refusal.NOT_TRADING: "the instrument is not trading",
    Refusal.BAD_COMBINATION: "type, time in force and fields do not go together",
    Refusal.PRICE_FILTER: "the price is outside the filter",
    Refusal.LOT_SIZE: "the quantity is outside the filter",
    Refusal.MARKET_LOT_SIZE: "too large for a market order",
    Refusal.NOTIONAL: "the notional is outside the filter",
    Refusal.TRAILING_DELTA: "the trailing delta is outside the filter",
    Refusal.MAX_ORDERS: "too many open orders",
    Refusal.MAX_STOP_ORDERS: "too many open stops",
    Refusal.PERCENT_PRICE: "price too far from the average one",
    Refusal.PERCENT_PRICE_BY_SIDE: "price too far from the average one for its side",
    Refusal.DUPLICATE: "the client id is in use",
    Refusal.WOULD_TRIGGER: "the stop would trigger immediately",
    Refusal.WOULD_TAKE: "the order would take",
    Refusal.LIST_PRICES: "the prices of the pair are on the wrong sides",
    Refusal.MARKET_CLOSED: "the market is closed",
    Refusal.NO_LIQUIDITY: "no liquidity",
    Refusal.INSUFFICIENT_BALANCE: "insufficient balance",
    Refusal.UNKNOWN_ORDER: "unknown order",
    Refusal.NO_CHANGE: "nothing would change",
    Refusal.RATE_LIMIT: "too many requests",
}


def _by_request(order: Order) -> tuple[int, int]:
    return order.request, order.serial


class Blotter:
    """The own orders of one trader, by the deliveries heard so far.

    `heard` is shared with the account; what lies before `read` was taken in here. `assets` are the numbers of base and
    quote by instrument.
    """

    __slots__ = (
        "_alone",
        "_assets",
        "_by_number",
        "_by_request",
        "changes",
        "clock",
        "fills",
        "heard",
        "id_of",
        "is_listened",
        "listings",
        "locked",
        "made",
        "open",
        "quotes",
        "read",
    )

    def __init__(
        self,
        clock: Clocked,
        listings: Sequence[Listing],
        assets: Mapping[int, tuple[int, int]],
        heard: list[Heard],
        id_of: Callable[[int, int], str] = lambda bar, nth: f"{bar}-{nth}",
    ) -> None:
        """`id_of` makes the client id of an order: of its bar, and its number in that."""
        self.clock = clock
        self.id_of = id_of
        self._assets = assets
        self.made = 0  # orders so far: their serials
        self.listings = {one.number: one for one in listings}
        self.heard = heard
        self.read = 0
        self.locked = [0] * (1 + max(max(pair) for pair in assets.values()))  # units by asset
        self.open: dict[int, Order] = {}  # by serial: pending and working ones
        self.quotes: dict[int, Quote] = {}  # by request
        self.fills: list[Fill] = []
        self.changes: list[Order | Fill] = []  # for the hooks
        self.is_listened = False
        self._alone: dict[int, Order] = {}  # not yet answered, by request: the only order of it
        self._by_request: dict[int, list[Order]] = {}  # those of several
        self._by_number: dict[int, Order] = {}  # open at the venue

    def sent(self, orders: Sequence[Order]) -> None:
        """Requests on their way; the orders of one request together."""
        if len(orders) == 1:
            (order,) = orders
            self._alone[order.request] = self.open[order.serial] = order
            return
        self._by_request[orders[0].request] = list(orders)
        for order in orders:
            self.open[order.serial] = order

    def declined(self, order: Order, why: str) -> None:
        """Refused by the desk: known at once, told to the hooks at the next wake."""
        order._state = Rejected(self.clock.now_ns, why)
        hear(self.heard, self.clock.now_ns, (Declined(order),))

    def catch_up(self) -> None:
        """Take in everything that is known by now."""
        heard, now_ns, at = self.heard, self.clock.now_ns, self.read
        while at < len(heard) and heard[at][0] <= now_ns:
            due_ns, outcomes = heard[at]
            at += 1
            for outcome in outcomes:
                self._take(due_ns, outcome)
        self.read = at

    def orders(self) -> Iterator[Order]:
        """Pending and working ones by their requests, so that it does not matter when one looked last."""
        self.catch_up()
        return iter(sorted(self.open.values(), key=_by_request))

    def count_open(self) -> int:
        self.catch_up()
        return len(self.open)

    def _take(self, due_ns: int, outcome: Outcome | Declined) -> None:
        kind = type(outcome)
        if kind is VenueFill:
            self._fill(due_ns, outcome)  # type: ignore[arg-type]  # kind says so
        elif kind is Accepted:
            self._accept(due_ns, outcome)  # type: ignore[arg-type]  # kind says so
        elif kind is Changed:
            self._change(due_ns, outcome)  # type: ignore[arg-type]  # kind says so
        elif kind is VenueRejected:
            self._reject(due_ns, outcome)  # type: ignore[arg-type]  # kind says so
        elif kind is Quoted:
            self._quoted(due_ns, outcome)  # type: ignore[arg-type]  # kind says so
        elif kind is Declined:
            self._told(outcome.order)  # type: ignore[union-attr]  # kind says so
        else:
            assert kind is Triggered or kind is Margined, outcome  # it goes on working; the account's business

    def _accept(self, due_ns: int, outcome: Accepted) -> None:
        order = self._answered(outcome.request)
        if order is None:
            if not outcome.request:
                self._called(due_ns, outcome)
            else:
                self._begin(due_ns, outcome)
            return
        self._open(due_ns, order, outcome.number, outcome.lock)
        if outcome.status is Status.PENDING_NEW:
            order._state = Pending(due_ns)

    def _begin(self, due_ns: int, outcome: Accepted) -> None:
        """The order that it follows is filled: it works from now on, with a lock of its own."""
        order = self._by_number[outcome.number]
        order._state = Working(due_ns, order.place.lots)
        self.locked[self._lock_asset(order)] += outcome.lock
        self._told(order)

    def _called(self, due_ns: int, outcome: Accepted) -> None:
        """An order that the venue made: it buys back what was sold short."""
        place = Place(outcome.instrument, outcome.side, OrderType.MARKET)
        order = Order(self, self.listings[outcome.instrument], place, 0, label=SHORT_CALL)
        self.open[order.serial] = order
        self._open(due_ns, order, outcome.number, outcome.lock)

    def _open(self, due_ns: int, order: Order, number: int, lock: int) -> None:
        order._number = number
        order._state = Working(due_ns, order.place.lots)
        self._by_number[number] = order
        self.locked[self._lock_asset(order)] += lock
        self._told(order)

    def _fill(self, due_ns: int, outcome: VenueFill) -> None:
        order = self._by_number[outcome.number]
        order._executed_lots += outcome.lots
        order._quote_units += order.listing.notional(outcome.price, outcome.lots)
        gives = outcome.quote if outcome.side is Side.BUY else outcome.base
        if outcome.is_locked:
            self.locked[gives] -= outcome.notional if outcome.side is Side.BUY else outcome.base_units
        if outcome.is_fee_locked:
            self.locked[outcome.fee_asset] -= outcome.fee
        self.locked[gives] -= outcome.released
        if outcome.status is Status.FILLED:
            order._state = Filled(due_ns)
            self._close(order)
        else:
            order._state = Working(_since(order, due_ns), outcome.remaining)
        fill = Fill(order, due_ns, outcome)
        self.fills.append(fill)
        if self.is_listened:
            self.changes += (order, fill)

    def _change(self, due_ns: int, outcome: Changed) -> None:
        order = self._by_number[outcome.number]
        self.locked[self._lock_asset(order)] -= outcome.released
        why = WORDS.get(outcome.reason, "") if outcome.reason else ""  # type: ignore[call-overload]  # an int finds it
        self._end(due_ns, order, outcome.status, outcome.remaining, outcome.executed, why)

    def _end(self, due_ns: int, order: Order, status: Status, remaining: int, executed: int, why: str) -> None:
        if status is Status.CANCELED:
            order._state = Cancelled(due_ns, why or "on request")
        elif status is Status.EXPIRED_IN_MATCH:
            order._state = Cancelled(due_ns, why or "self-trade prevention")
        elif status is Status.EXPIRED:
            order._state = Expired(due_ns, why)
        else:  # fewer lots
            order._state = Working(_since(order, due_ns), remaining)
            order.place = order.place._replace(lots=executed + remaining)
            self._told(order)
            return
        self._close(order)
        self._told(order)

    def _reject(self, due_ns: int, outcome: VenueRejected) -> None:
        quote = self.quotes.pop(outcome.request, None)
        if quote is not None:  # refused as a whole
            place = Place(quote.instrument, Side.BUY, OrderType.LIMIT, quote.lots, quote.bid or quote.ask)
            self.sent([Order(self, self.listings[quote.instrument], place, outcome.request)])
        order = self._answered(outcome.request)
        if order is None:  # of a cancel: the order has ended another way, and said so
            return
        limit = f", limit {outcome.limit}" if outcome.limit else ""
        order._state = Rejected(due_ns, f"{WORDS[outcome.refusal]}: received {outcome.received}{limit}")
        self.open.pop(order.serial, None)
        self._told(order)
        if not order.id:  # a side of the standing pair: the other one has its own answer
            return
        for other in self._by_request.pop(outcome.request, []):  # one leg refused refuses the list
            other._state = order._state
            self.open.pop(other.serial, None)
            self._told(other)

    def _answered(self, request: int) -> Order | None:
        """The next order of the request that had no answer yet."""
        if (alone := self._alone.pop(request, None)) is not None:
            return alone
        waiting = self._by_request.get(request)
        if not waiting:
            return None
        order = waiting.pop(0)
        if not waiting:
            del self._by_request[request]
        return order

    def _quoted(self, due_ns: int, outcome: Quoted) -> None:
        """A side that is neither kept nor has a number was refused: why comes next, for the bid first."""
        quote = self.quotes.pop(outcome.request)
        for gone, released in ((outcome.bid_gone, outcome.bid_released), (outcome.ask_gone, outcome.ask_released)):
            if gone:
                order = self._by_number[gone]
                self.locked[self._lock_asset(order)] -= released
                self._end(due_ns, order, Status.CANCELED, 0, 0, "")
        kind = OrderType.LIMIT_MAKER if quote.post_only else OrderType.LIMIT
        for side, price, number, lock, kept in (
            (Side.BUY, quote.bid, outcome.bid, outcome.bid_lock, outcome.bid_kept),
            (Side.SELL, quote.ask, outcome.ask, outcome.ask_lock, outcome.ask_kept),
        ):
            if price and not kept:
                place = Place(quote.instrument, side, kind, quote.lots, price)
                order = Order(self, self.listings[quote.instrument], place, outcome.request)
                self.open[order.serial] = order
                if number:
                    self._open(due_ns, order, number, lock)
                else:
                    self._by_request.setdefault(outcome.request, []).append(order)

    def _close(self, order: Order) -> None:
        self.open.pop(order.serial, None)
        self._by_number.pop(order._number, None)

    def _told(self, order: Order) -> None:
        if self.is_listened:
            self.changes.append(order)

    def _lock_asset(self, order: Order) -> int:
        base, quote = self._assets[order.place.instrument]
        return quote if order.place.side is Side.BUY else base


def _since(order: Order, due_ns: int) -> int:
    return order._state.since_ns if isinstance(order._state, Working) else due_ns
