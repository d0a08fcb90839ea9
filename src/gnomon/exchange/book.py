"""The book of own orders of one instrument: who rests, who waits, and how far the tape has been read."""

from __future__ import annotations

from typing import Final, Protocol

from gnomon.exchange.bars import Bars
from gnomon.exchange.funds import Purse
from gnomon.exchange.liquidity import Liquidity, NoLiquidity
from gnomon.exchange.listing import Listing
from gnomon.exchange.order import Order, Side
from gnomon.exchange.prints import Prints
from gnomon.exchange.recorded import Shown
from gnomon.exchange.rules import Resting
from gnomon.exchange.stops import trigger_prices
from gnomon.exchange.thresholds import IDLE, NEVER_DOWN, NEVER_UP, Thresholds
from gnomon.units import INT64_MAX, MINUTE_NS

_BUY: Final = Side.BUY

_make = tuple.__new__


class Counted(Protocol):
    """The open orders of the account."""

    orders: dict[int, Order]

    def count(self, instrument: int, /) -> int: ...

    def has_client(self, client: int, /) -> bool: ...


class Book:
    """Own orders of one instrument. `bids` and `asks` are best first, then by arrival; `position` is the next print."""

    __slots__ = (
        "_beyond",
        "_bounds",
        "_last",
        "_market_most",
        "_rows",
        "_step_ticks",
        "_times",
        "_worth",
        "ambiguous_bars",
        "asks",
        "bars",
        "bids",
        "current",
        "has_bars",
        "is_quoted",
        "liquidity",
        "listing",
        "open_left",
        "open_of",
        "pair_ask",
        "pair_bid",
        "path",
        "path_flags",
        "path_of",
        "position",
        "prints",
        "purse",
        "resting",
        "shown",
        "stops",
        "takers",
        "tape",
        "waiting",
    )

    def __init__(
        self,
        listing: Listing,
        tape: Prints | Bars,
        liquidity: Liquidity,
        resting: Resting,
        purse: Purse,
        shown: Shown | None = None,
    ) -> None:
        self.tape = tape
        self.has_bars = isinstance(tape, Bars)
        self.prints = tape if isinstance(tape, Prints) else Prints.empty()  # of an instrument that has them
        self.bars = tape if isinstance(tape, Bars) else Bars.empty()  # of one that has candles only
        self.purse = purse
        self._times = tape.time_ns
        self._rows = len(tape)
        self._last = 0
        self._worth = purse.notional_unit
        self.relist(listing)
        self.liquidity = liquidity
        self.is_quoted = not isinstance(liquidity, NoLiquidity)  # whether takers find more than own orders
        self.shown = shown  # what is recorded of quotes and depth
        self.resting = resting
        self._beyond = 1 if resting is Resting.THROUGH else 0
        self.position = 0
        self.bids: list[Order] = []
        self.asks: list[Order] = []
        self.stops: list[Order] = []
        self.takers: list[Order] = []  # waiting for prints of their own side (rule next_print)
        self.pair_bid: Order | None = None
        self.pair_ask: Order | None = None
        self.waiting: list[Order] = []  # MARKET orders that wait for a bar's open or close
        self.current: Thresholds | None = IDLE  # the thresholds, None when something has changed since
        self.open_left = 0  # lots of a bar's open that are still to be had
        self.open_of = -1  # the bar that they are of
        self.path = (0, 0, 0, 0)
        self.path_of = -1  # the bar that the path is of
        self.path_flags = 0
        self.ambiguous_bars = 0

    def relist(self, listing: Listing) -> None:
        """The listing with the filters that hold from now on."""
        self.listing, rules = listing, listing.filters
        self._market_most = rules.market_max_lots or INT64_MAX
        self._step_ticks = rules.step_ticks
        lowest = INT64_MAX if rules.has_bands else rules.min_price_ticks  # no price is plain where it has a band
        self._bounds = (
            lowest, rules.max_price_ticks or INT64_MAX, max(1, rules.min_lots),
            rules.max_lots or INT64_MAX, rules.step_lots, rules.min_notional_units,
            rules.max_notional_units or INT64_MAX, rules.max_orders or INT64_MAX,
        )  # fmt: skip

    @property
    def is_idle(self) -> bool:
        return self.thresholds is IDLE

    def open_orders(self) -> list[Order]:
        return sorted([*self.bids, *self.asks, *self.stops, *self.takers, *self.waiting], key=_number)

    def resting_orders(self) -> list[Order]:
        """Those that a bar's path may concern, by arrival."""
        return sorted([*self.bids, *self.asks, *self.stops], key=_number)

    def see(self, time_ns: int) -> None:
        """What the tape holds up to `time_ns` is behind it."""
        position = self.position
        if position < self._rows and self._times.item(position) <= time_ns:
            self.position = self.tape.until(time_ns, position)
        if self.has_bars and self.position:
            row = self.position - 1
            is_over = time_ns >= self.bars.close_ns.item(row)
            self._last = (self.bars.close if is_over else self.bars.open).item(row)

    @property
    def read(self) -> tuple[int, int]:
        """How far the tape has been read, and the last price of a bar."""
        return self.position, self._last

    @read.setter
    def read(self, kept: tuple[int, int]) -> None:
        self.position, self._last = kept

    def last_price(self) -> int:
        """Ticks of the last print, or of a bar's open while it lasts and its close after that; 0 before the first."""
        if self.has_bars:
            return self._last
        return self.prints.price.item(self.position - 1) if self.position else 0

    def average(self, minutes: int) -> tuple[int, int]:
        """What was traded in the last `minutes` of trades, which end with the last one: the sum of ticks times lots,
        and lots. Of 0 minutes, and of candles alone, the last price and 1; (0, 0) before the first trade."""
        last = self.last_price()
        if not (minutes and last) or self.has_bars:
            return last, int(last > 0)
        prints, stop = self.prints, self.position
        since_ns = self._times.item(stop - 1) - minutes * MINUTE_NS
        start = int(self._times[:stop].searchsorted(since_ns, "right"))
        price, lots = prints.price[start:stop], prints.lots[start:stop]
        if int(price.max()) * int(lots.max()) * len(lots) > INT64_MAX:
            price = price.astype(object)
        return int((price * lots).sum()), int(lots.sum())

    def is_plain(self, price: int, lots: int, working: Counted) -> bool:
        """Whether a limit order passes every filter of the listing (`checks.filters` says which one it breaks)."""
        low, high, least, most, step, small, large, count = self._bounds
        return (
            low <= price <= high
            and least <= lots <= most
            and small <= price * lots * self._worth <= large
            and (len(working.orders) < count or working.count(self.listing.number) < count)
            and (step == 1 or lots % step == 0)
            and (self._step_ticks == 1 or price % self._step_ticks == 0)
        )

    def is_plain_market(self, lots: int, working: Counted) -> bool:
        """The same of a MARKET order; False where the filters ask what it is worth."""
        _, _, least, most, step, small, large, count = self._bounds
        return (
            least <= lots <= most
            and lots <= self._market_most
            and not small
            and large == INT64_MAX
            and len(working.orders) < count
            and (step == 1 or lots % step == 0)
        )

    def meets(self, side: Side, price: int, time_ns: int) -> bool:
        """Whether a limit at `price` would find a counterpart now, own orders included."""
        best = self.liquidity.best(self.position, time_ns)
        if side is _BUY:
            return (0 < best.ask <= price) or (bool(self.asks) and self.asks[0].price <= price)
        return (0 < price <= best.bid) or (bool(self.bids) and self.bids[0].price >= price)

    def reached_by(self) -> tuple[int, int]:
        """The best own bid and ask: what a recorded ask at or below the one, or bid at or above the other, reaches."""
        return self.bids[0].price if self.bids else NEVER_DOWN, self.asks[0].price if self.asks else NEVER_UP

    def queued(self) -> list[tuple[Side, int]]:
        """Prices at which people are ahead of own orders."""
        return [(one.side, one.price) for one in (*self.bids, *self.asks) if one.ahead]

    def rest(self, order: Order) -> None:
        """To the end of the queue at its price."""
        if order.side is _BUY:
            orders, is_last = self.bids, not self.bids or order.price <= self.bids[-1].price
        else:
            orders, is_last = self.asks, not self.asks or order.price >= self.asks[-1].price
        if is_last:
            orders.append(order)
        else:
            _insert(orders, order, -1 if order.side is _BUY else 1)
        self.current = None

    def wait(self, order: Order) -> None:
        """A stop, until its condition is met."""
        self.stops.append(order)
        self.current = None

    def wait_for_bar(self, order: Order) -> None:
        """A MARKET order, until the next open or close of a bar."""
        self.waiting.append(order)
        self.current = None

    def remove(self, order: Order) -> None:
        """Out of whichever list holds it."""
        self.current = None
        try:
            if order is self.pair_bid:
                self.pair_bid = None
                self.bids.remove(order)
                return
            if order is self.pair_ask:
                self.pair_ask = None
                self.asks.remove(order)
                return
        except ValueError:  # a side of the pair that stands for later prints
            pass
        for orders in (self.bids, self.asks, self.stops, self.takers, self.waiting):
            if order in orders:
                orders.remove(order)

    def moved(self) -> None:
        """What its orders wait for has changed."""
        self.current = None

    @property
    def thresholds(self) -> Thresholds:
        """As things stand. A new object whenever something has changed."""
        return self.current or self.renew()

    def renew(self) -> Thresholds:
        """The thresholds anew."""
        bids, asks = self.bids, self.asks
        if self.stops or self.takers or self.waiting:
            self.current = found = self._of_all()
        elif bids or asks:
            bid = bids[0].price - self._beyond if bids else NEVER_DOWN
            ask = asks[0].price + self._beyond if asks else NEVER_UP
            self.current = found = _make(Thresholds, (bid, ask, NEVER_UP, NEVER_DOWN))
        else:
            self.current = found = IDLE
        return found

    def _of_all(self) -> Thresholds:
        bid = self.bids[0].price - self._beyond if self.bids else NEVER_DOWN
        ask = self.asks[0].price + self._beyond if self.asks else NEVER_UP
        up, down = NEVER_UP, NEVER_DOWN
        for order in self.stops:
            rise, fall = trigger_prices(order)
            up, down = min(up, rise), max(down, fall)
        if self.waiting:
            ask = 0  # the next bar, whatever its prices
        for order in self.takers:  # whatever the price: a buyer's print serves our buying
            bid, ask = (bid, 0) if order.side is Side.BUY else (NEVER_UP, ask)
        return Thresholds(bid, ask, up, down)


def _number(order: Order) -> int:
    return order.number


def _insert(orders: list[Order], order: Order, sign: int) -> None:
    index = len(orders)
    while index and sign * orders[index - 1].price > sign * order.price:
        index -= 1
    orders.insert(index, order)
