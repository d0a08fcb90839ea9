"""What must hold after every step, whatever was asked."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence

from tests.exchange.venue import Driver, Row

from gnomon.exchange.exchange import Arrival, Entry, Event, Printed
from gnomon.exchange.ledger import Account
from gnomon.exchange.naive import NaiveExchange
from gnomon.exchange.order import OrderType, Place, PlaceList, Quote, Replace, Request, Side
from gnomon.exchange.outcome import Accepted, Changed, Filled, Margined, Outcome, Quoted, QuoteKind, Role, Rule
from gnomon.exchange.recorded import QUOTES, BookMoved, Recorded
from gnomon.exchange.rules import WHOLE
from gnomon.market.calendar import Hours
from gnomon.market.depth import ASK, BID


def check_books(driver: Driver) -> None:
    """Nothing is created or lost; what is locked is locked for an open order, and no order has more than was asked."""
    ledger = driver.exchange.ledger
    ledger.check()
    locks = [0] * len(ledger.assets)
    for order in driver.open_orders():
        one = next(one for one in driver.listings if one.number == order.instrument)
        asset = one.quote if order.side is Side.BUY else one.base
        locks[ledger.assets.index(asset)] += order.lock
        assert order.lock >= 0
        assert order.remaining > 0
        assert order.executed + order.prevented + order.remaining == order.lots
    shorts = getattr(driver.exchange, "_shorts", {}).values()
    for purse in shorts:
        locks[purse.quote] += purse.collateral
        held = ledger.free[purse.base] + ledger.locked[purse.base] - ledger.borrowed[purse.base]
        assert purse.short == max(0, -held)
        assert not (ledger.borrowed[purse.base] and ledger.free[purse.base])
        assert min(purse.collateral, purse.basis, purse.reserved, purse.lent) >= 0
    for one in getattr(driver.exchange, "lent", {}).values():
        assert min(one.held, one.worth, one.promised, one.advanced) >= 0
    if isinstance(driver.exchange, NaiveExchange):
        for number, one in getattr(driver.exchange, "lent", {}).items():
            quote = next(listing.quote for listing in driver.listings if listing.number == number)
            locks[ledger.assets.index(quote)] += one.held
    assert locks == ledger.locked


class Mirror:
    """Balances as whoever hears the outcomes alone would keep them: postings of fills, locks and what was released."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        ledger = driver.exchange.ledger
        self._free, self._locked = list(ledger.free), list(ledger.locked)
        self._locks_in: dict[int, int] = {}

    def hear(self, outcomes: Sequence[Outcome]) -> None:
        for one in outcomes:
            if isinstance(one, Accepted):
                self._lock(one.number, one.instrument, one.side, one.lock)
            elif isinstance(one, Changed):
                self._move(self._locks_in[one.number], -one.released)
            elif isinstance(one, Quoted):
                for number, lock, side in ((one.bid, one.bid_lock, Side.BUY), (one.ask, one.ask_lock, Side.SELL)):
                    if lock:
                        self._lock(number, one.instrument, side, lock)
                for number, released in ((one.bid_gone, one.bid_released), (one.ask_gone, one.ask_released)):
                    if number:
                        self._move(self._locks_in[number], -released)
            elif isinstance(one, Filled | Margined):
                for account, asset, units in one.postings():
                    if account in (Account.FREE, Account.LOCKED):
                        side = self._free if account is Account.FREE else self._locked
                        side[asset] += units
                if isinstance(one, Filled):
                    self._move(self._locks_in[one.number], -one.released)
        assert (self._free, self._locked) == (self._driver.exchange.ledger.free, self._driver.exchange.ledger.locked)

    def _lock(self, number: int, instrument: int, side: Side, units: int) -> None:
        listing = next(one for one in self._driver.listings if one.number == instrument)
        asset = listing.quote if side is Side.BUY else listing.base
        self._locks_in[number] = self._driver.exchange.ledger.assets.index(asset)
        self._move(self._locks_in[number], units)

    def _move(self, asset: int, units: int) -> None:
        self._free[asset] -= units
        self._locked[asset] += units


class FillCheck:
    """Fills beside the tape and what was asked, by whoever knows nothing else.

    A maker trades with one later print of the other aggressor, at its own price, with no more lots than the print had
    where a share is set. A taker gets nothing better than the last print it could know. No order trades beyond its
    limit or for more than its lots.
    """

    def __init__(
        self,
        tapes: Mapping[int, Sequence[Row]],
        share: int,
        hours: Mapping[int, Hours | None] | None = None,
        recorded: Mapping[int, Recorded] | None = None,
    ) -> None:
        self._tapes = tapes
        self._hours = hours or {}
        self._recorded = recorded or {}
        self._had: dict[tuple[int, int, int], int] = {}  # instrument, layer, row
        self._share = share
        self._times = {number: [row[0] for row in tape] for number, tape in tapes.items()}
        self._asked: dict[int, Place] = {}
        self._left: dict[int, int] = {}
        self._used: dict[tuple[int, int], int] = {}
        self.fills = 0

    def check(self, event: Event, outcomes: Sequence[Outcome]) -> None:
        if isinstance(event, Arrival):
            places = _places(event.request)
            for one in outcomes:
                if isinstance(one, Accepted) and places:
                    self._ask(one.number, places.pop(0))
                if isinstance(one, Quoted) and isinstance(event.request, Quote):
                    self._ask_pair(one, event.request)
        for one in outcomes:
            if isinstance(one, Accepted) and not one.request:
                self._ask(one.number, Place(one.instrument, one.side, OrderType.MARKET))  # a call of the venue's
        for one in outcomes:
            if isinstance(one, Filled):
                self.fills += 1
                self._check_asked(one)
                if one.rule is Rule.TAKER_PRINT:
                    self._check_shared(one, event)
                elif one.quote_kind is QuoteKind.RECORDED:
                    self._check_recorded(one, event)
                elif one.rule is not Rule.SELF:
                    self._check_maker(one) if one.role is Role.MAKER else self._check_taker(one, event)

    def _ask(self, number: int, place: Place) -> None:
        self._asked[number] = place
        self._left[number] = place.lots

    def _ask_pair(self, told: Quoted, quote: Quote) -> None:
        for number, is_kept, side, price in (
            (told.bid, told.bid_kept, Side.BUY, quote.bid),
            (told.ask, told.ask_kept, Side.SELL, quote.ask),
        ):
            if number and not is_kept:
                self._ask(number, Place(quote.instrument, side, OrderType.LIMIT, quote.lots, price))

    def _check_asked(self, fill: Filled) -> None:
        place = self._asked[fill.number]
        assert fill.lots > 0
        assert fill.side is place.side
        if place.lots:
            self._left[fill.number] -= fill.lots
            assert fill.remaining <= self._left[fill.number]
        if place.price:
            assert fill.price <= place.price if fill.side is Side.BUY else fill.price >= place.price
            assert fill.role is Role.TAKER or fill.price == place.price

    def _check_maker(self, fill: Filled) -> None:
        row = self._tapes[fill.instrument][fill.print]
        open_hours = self._hours.get(fill.instrument)
        assert open_hours is None or open_hours.is_open(row[0])
        assert (fill.print_price, fill.print_lots, fill.print_side) == row[1:]
        assert row[0] > fill.arrived_ns
        assert row[3] <= 0 if fill.side is Side.BUY else row[3] >= 0
        assert row[1] <= fill.price if fill.side is Side.BUY else row[1] >= fill.price
        key = fill.instrument, fill.print
        self._used[key] = self._used.get(key, 0) + fill.lots
        assert self._share == WHOLE or self._used[key] <= row[2]

    def _check_shared(self, fill: Filled, event: Event) -> None:
        """A later print of its own side, at its price or worse, and no lot of it twice where a share is set."""
        row = self._tapes[fill.instrument][fill.print]
        assert isinstance(event, Printed)
        assert self._tapes[fill.instrument][event.position][0] == row[0] > fill.arrived_ns
        assert (fill.print_price, fill.print_lots, fill.print_side) == row[1:]
        assert row[3] >= 0 if fill.side is Side.BUY else row[3] <= 0
        place = self._asked[fill.number]
        if fill.side is Side.BUY:
            assert fill.price >= row[1] or fill.price == place.price
        else:
            assert fill.price <= row[1] or fill.price == place.price
        key = fill.instrument, fill.print
        self._used[key] = self._used.get(key, 0) + fill.lots
        assert self._share == WHOLE or self._used[key] <= row[2]

    def _check_recorded(self, fill: Filled, event: Event) -> None:
        """The row that it names displayed what it says before the fill, and at most that was had of it."""
        found = self._recorded[fill.instrument]
        assert not isinstance(event, Printed)
        if fill.print_side == QUOTES:
            quotes, row = found.quotes, fill.print
            assert quotes is not None
            assert not isinstance(event, Arrival | Entry | BookMoved) or quotes.time_ns[row] <= event.time_ns
            columns = (quotes.ask, quotes.ask_qty) if fill.side is Side.BUY else (quotes.bid, quotes.bid_qty)
            price, lots = (int(column[row]) for column in columns)
            is_displayed = fill.level <= 1
        else:
            assert found.ladder is not None
            depth, row = found.ladder.depth, fill.print
            assert isinstance(event, Arrival | Entry | BookMoved)
            assert depth.valid_from_ns <= event.time_ns
            assert depth.time_ns[row] <= event.time_ns
            assert depth.side[row] == (ASK if fill.side is Side.BUY else BID)
            price, lots = int(depth.price[row]), int(depth.size[row])
            is_displayed = fill.rule is not Rule.TAKER_QUOTE or fill.level <= 1
        if fill.role is Role.MAKER:
            assert isinstance(event, BookMoved)
            assert price == fill.print_price
            assert price <= fill.price if fill.side is Side.BUY else price >= fill.price
            assert event.time_ns > fill.arrived_ns
            assert self._share == WHOLE or fill.lots <= fill.share_cap <= fill.print_lots
        elif is_displayed:
            assert price == fill.print_price
            assert fill.price >= price if fill.side is Side.BUY else fill.price <= price
            key = fill.instrument, fill.print_side, fill.print
            if fill.print_side != QUOTES:
                self._had[key] = self._had.get(key, 0) + fill.lots
                assert self._had[key] <= lots

    def _check_taker(self, fill: Filled, event: Event) -> None:
        assert isinstance(event, Arrival | Entry)
        open_hours = self._hours.get(fill.instrument)
        assert open_hours is None or open_hours.is_open(event.time_ns)
        assert fill.print == bisect_right(self._times[fill.instrument], event.time_ns) - 1
        last = self._tapes[fill.instrument][fill.print][1]
        assert fill.price >= last if fill.side is Side.BUY else fill.price <= last


def _places(request: Request) -> list[Place]:
    if isinstance(request, Place):
        return [request]
    if isinstance(request, Replace):
        return [request.order]
    return list(request.orders) if isinstance(request, PlaceList) else []
