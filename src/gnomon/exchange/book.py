"""The book of own orders of one instrument, and what the tape must reach before one of them is concerned.

Four thresholds stand for all of them, so that history can be searched and need not be walked:

| threshold | concerned by                                                          |
|-----------|-----------------------------------------------------------------------|
| `bid`     | a seller's print (or one of unknown side) at or below it              |
| `ask`     | a buyer's print (or one of unknown side) at or above it               |
| `up`      | any print at or above it: stops that need a rise, trailing references |
| `down`    | any print at or below it                                              |
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gnomon.exchange.liquidity import Liquidity
from gnomon.exchange.listing import Listing
from gnomon.exchange.order import Order, OrderType, Side
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import Resting
from gnomon.units import INT64_MAX

NEVER_DOWN: Final = -1
NEVER_UP: Final = INT64_MAX
BIPS: Final = 10_000


class Thresholds(NamedTuple):
    """Prices in ticks; `NEVER_DOWN` and `NEVER_UP` where nothing waits."""

    bid: int = NEVER_DOWN
    ask: int = NEVER_UP
    up: int = NEVER_UP
    down: int = NEVER_DOWN


IDLE: Final = Thresholds()


class Book:
    """Own orders of one instrument. `bids` and `asks` are best first, then by arrival; `position` is the next print."""

    __slots__ = (
        "asks",
        "bids",
        "liquidity",
        "listing",
        "pair_ask",
        "pair_bid",
        "position",
        "prints",
        "resting",
        "stops",
        "takers",
        "thresholds",
    )

    def __init__(self, listing: Listing, prints: Prints, liquidity: Liquidity, resting: Resting) -> None:
        self.listing = listing
        self.prints = prints
        self.liquidity = liquidity
        self.resting = resting
        self.position = 0
        self.bids: list[Order] = []
        self.asks: list[Order] = []
        self.stops: list[Order] = []
        self.takers: list[Order] = []  # waiting for prints of their own side (rule next_print)
        self.pair_bid: Order | None = None
        self.pair_ask: Order | None = None
        self.thresholds = IDLE

    @property
    def is_idle(self) -> bool:
        return not (self.bids or self.asks or self.stops or self.takers)

    def open_orders(self) -> list[Order]:
        return sorted([*self.bids, *self.asks, *self.stops, *self.takers], key=_number)

    def last_price(self) -> int:
        """Ticks of the last print, 0 before the first."""
        return int(self.prints.price[self.position - 1]) if self.position else 0

    def rest(self, order: Order) -> None:
        """To the end of the queue at its price."""
        order.since = self.position
        if order.side is Side.BUY:
            _insert(self.bids, order, -1)
        else:
            _insert(self.asks, order, 1)
        self.refresh()

    def wait(self, order: Order) -> None:
        """A stop, until its condition is met."""
        order.since = self.position
        self.stops.append(order)
        self.refresh()

    def remove(self, order: Order) -> None:
        """Out of whichever list holds it."""
        for orders in (self.bids if order.side is Side.BUY else self.asks, self.stops, self.takers):
            if order in orders:
                orders.remove(order)
        if order is self.pair_bid:
            self.pair_bid = None
        elif order is self.pair_ask:
            self.pair_ask = None
        self.refresh()

    def refresh(self) -> None:
        """Set the thresholds to what stands now."""
        beyond = 1 if self.resting is Resting.THROUGH else 0
        bid = self.bids[0].price - beyond if self.bids else NEVER_DOWN
        ask = self.asks[0].price + beyond if self.asks else NEVER_UP
        up, down = NEVER_UP, NEVER_DOWN
        for order in self.stops:
            rise, fall = trigger_prices(order)
            up, down = min(up, rise), max(down, fall)
        for order in self.takers:  # whatever the price: a buyer's print serves our buying
            bid, ask = (bid, 0) if order.side is Side.BUY else (NEVER_UP, ask)
        self.thresholds = Thresholds(bid, ask, up, down)


def _number(order: Order) -> int:
    return order.number


def _insert(orders: list[Order], order: Order, sign: int) -> None:
    index = len(orders)
    while index and sign * orders[index - 1].price > sign * order.price:
        index -= 1
    orders.insert(index, order)


def needs_rise(order: Order) -> bool:
    """Whether its condition is a rise to the stop price: STOP_LOSS BUY and TAKE_PROFIT SELL."""
    is_loss = order.type in (OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT)
    return is_loss == (order.side is Side.BUY)


def trigger_prices(order: Order) -> tuple[int, int]:
    """The nearest prices above and below at which the state of a stop changes: it triggers, or its reference moves."""
    if not order.trailing_bips or (order.stop and not order.is_reached):
        return (order.stop, NEVER_DOWN) if needs_rise(order) else (NEVER_UP, order.stop)
    if not order.reference:  # no print yet: the first one sets it, whatever its price
        return 0, NEVER_DOWN
    if order.side is Side.BUY:
        fires = -(-order.reference * (BIPS + order.trailing_bips) // BIPS)
        return fires, order.reference - 1
    fires = order.reference * (BIPS - order.trailing_bips) // BIPS
    return order.reference + 1, fires


def observe(order: Order, price: int) -> bool:
    """Tell a waiting stop of a print at `price` (any side); whether it fires.

    Trailing orders: BUY fires at `p * 10000 >= low * (10000 + delta)`, SELL at `p * 10000 <= high * (10000 - delta)`,
    with the lowest (highest) print since tracking began. With a stop price tracking begins at the first print that
    meets it, which sets the reference.
    """
    if not order.trailing_bips:
        return price >= order.stop if needs_rise(order) else price <= order.stop
    if order.stop and not order.is_reached:
        order.is_reached = price >= order.stop if needs_rise(order) else price <= order.stop
        if order.is_reached:
            order.reference = price
        return False
    if not order.reference:
        order.reference = price
        return False
    if order.side is Side.BUY:
        order.reference = min(order.reference, price)
        return price * BIPS >= order.reference * (BIPS + order.trailing_bips)
    order.reference = max(order.reference, price)
    return price * BIPS <= order.reference * (BIPS - order.trailing_bips)
