"""Orders: the words of a request, and an order as the venue keeps it.

Requests are what a trader sends, in ticks and lots; they are immutable. An `Order` is the venue's own record of one and
changes as it is worked; nobody outside the exchange holds it, they are told outcomes (`exchange.outcome`).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final, NamedTuple


class Side(IntEnum):
    BUY = 1
    SELL = 2

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(IntEnum):
    LIMIT = 1
    MARKET = 2
    LIMIT_MAKER = 3
    STOP_LOSS = 4
    STOP_LOSS_LIMIT = 5
    TAKE_PROFIT = 6
    TAKE_PROFIT_LIMIT = 7


STOP_TYPES: Final = frozenset(
    {OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT}
)
PRICED_TYPES: Final = frozenset(
    {OrderType.LIMIT, OrderType.LIMIT_MAKER, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT}
)


class TimeInForce(IntEnum):
    GTC = 1
    IOC = 2
    FOK = 3
    GTX = 4  # post-only: LIMIT becomes LIMIT_MAKER


class SelfTrade(IntEnum):
    """Self-trade prevention: what happens when an order would meet one of the same account."""

    NONE = 0
    EXPIRE_TAKER = 1
    EXPIRE_MAKER = 2
    EXPIRE_BOTH = 3
    DECREMENT = 4
    TRANSFER = 5


class Status(IntEnum):
    PENDING_NEW = 1
    NEW = 2
    PARTIALLY_FILLED = 3
    FILLED = 4
    CANCELED = 5
    EXPIRED = 6
    EXPIRED_IN_MATCH = 7
    REJECTED = 8


FINAL: Final = frozenset({Status.FILLED, Status.CANCELED, Status.EXPIRED, Status.EXPIRED_IN_MATCH, Status.REJECTED})


class ListKind(IntEnum):
    OCO = 1  # one cancels the other
    OTO = 2  # the first triggers the second
    OTOCO = 3  # the first triggers a pair


# --- requests -------------------------------------------------------------------------------------------------------
# Named tuples, not dataclasses: as immutable, and a fifth of the cost to make where one is made for every quote.


class Place(NamedTuple):
    """One new order. Absent numbers are 0: `price` ticks, `stop` ticks, `trailing_bips`, `quote_units` of the quote."""

    instrument: int
    side: Side
    type: OrderType
    lots: int = 0
    price: int = 0
    tif: TimeInForce = TimeInForce.GTC
    stop: int = 0
    trailing_bips: int = 0
    quote_units: int = 0
    stp: SelfTrade = SelfTrade.EXPIRE_MAKER
    client: int = 0  # ordinal of the client order id, 0 none
    reduce_only: bool = False


class PlaceList(NamedTuple):
    """Orders that belong together. OCO: two legs. OTO: working, pending. OTOCO: working, then the two legs."""

    kind: ListKind
    orders: tuple[Place, ...]


class Cancel(NamedTuple):
    """Cancel one order by the venue's number, or by the ordinal of its client id when the number is 0."""

    instrument: int
    number: int = 0
    client: int = 0


class CancelAll(NamedTuple):
    instrument: int


class Amend(NamedTuple):
    """Fewer lots for an open order, which keeps its place in the queue. `lots` is the new total."""

    instrument: int
    number: int
    lots: int


class Replace(NamedTuple):
    """Cancel and new in one arrival; nothing happens when the cancel is refused."""

    number: int
    order: Place


class Quote(NamedTuple):
    """The trader's standing pair: withdrawn, kept or replaced in one arrival. A price of 0 withdraws that side."""

    instrument: int
    bid: int
    ask: int
    lots: int
    keep: bool = True
    post_only: bool = False


Request = Place | PlaceList | Cancel | CancelAll | Amend | Replace | Quote


class Order:
    """One order at the venue: what was asked, and how far it has come. Lots, ticks, ns; locks in units."""

    number = 0  # given when it is admitted
    type = OrderType.LIMIT
    tif = TimeInForce.GTC
    status = Status.NEW
    stop = 0
    trailing_bips = 0
    quote_units = 0
    stp = SelfTrade.EXPIRE_MAKER
    client = 0
    executed = 0  # lots
    quote_executed = 0  # money units
    prevented = 0  # lots lost to self-trade prevention
    lock = 0  # units still locked: quote of a BUY, base of a SELL
    asked_lock = 0  # units that were locked when it was admitted
    ahead = 0  # lots of other people before it at its price
    queued_ns = 0  # when it came to stand in the book, if that was asked for
    reference = 0  # trailing: the best price since tracking began, 0 not yet tracking
    bound = 0  # rule next_print: the highest price in ticks that a MARKET BUY pays
    ends_ns = 0  # rule next_print: until when it stands for prints
    is_last_instant = False  # rule next_print: the first print of its side has come, at `ends_ns`
    kept: tuple[Any, ...] = ()  # rule next_print: what a FOK has found (`takers.Part`)
    is_reached = False  # a stop with a trailing delta: its stop price was met
    is_waiting = False  # a stop, for its trigger
    pair: OrderList | None = None  # the first fill or trigger of a leg expires the other
    leads: OrderList | None = None  # orders that begin when this one is filled
    awaits: OrderList | None = None  # of a pending order: the list of those that begin with it

    def __init__(self, instrument: int, side: Side, price: int, lots: int, decided_ns: int, arrived_ns: int) -> None:
        """A plain limit order; whatever else it is, is set by `of`."""
        self.instrument = instrument
        self.side = side
        self.price = price
        self.lots = self.remaining = lots
        self.decided_ns = decided_ns
        self.arrived_ns = arrived_ns

    @classmethod
    def of(cls, place: Place, decided_ns: int, arrived_ns: int) -> Order:
        order = cls(place.instrument, place.side, place.price, place.lots, decided_ns, arrived_ns)
        order.type = place.type
        order.tif = place.tif
        order.stop = place.stop
        order.trailing_bips = place.trailing_bips
        order.quote_units = place.quote_units
        order.stp = place.stp
        order.client = place.client
        order.is_waiting = place.type in STOP_TYPES
        return order

    @property
    def is_open(self) -> bool:
        return self.status is Status.NEW or self.status is Status.PARTIALLY_FILLED

    @property
    def is_stop(self) -> bool:
        return self.type in STOP_TYPES


class OrderList:
    """Orders that end, or begin, together."""

    __slots__ = ("kind", "legs", "number", "request", "working")

    def __init__(self, number: int, kind: ListKind, request: int = 0) -> None:
        self.number = number
        self.kind = kind
        self.request = request
        self.working: Order | None = None  # OTO, OTOCO: the order that must fill first
        self.legs: list[Order] = []
