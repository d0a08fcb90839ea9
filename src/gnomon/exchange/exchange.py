"""The exchange: one account at a deterministic venue. `apply(event)` is the only way in, outcomes the only way out.

It holds no clock and draws no chance: events carry their time, and the tape up to each book's position is all that it
sees of the market. Whoever drives it (`replay.engine`) brings events in the total order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from gnomon.errors import Invalid
from gnomon.exchange import checks
from gnomon.exchange.bar_matching import (
    is_in_time,
    is_marketable,
    move_point,
    open_cap,
    open_point,
    take_last_close,
    take_open,
)
from gnomon.exchange.bars import Bars
from gnomon.exchange.book import Book
from gnomon.exchange.book_matching import on_book
from gnomon.exchange.checks import Broken
from gnomon.exchange.funds import Purse, purses
from gnomon.exchange.hours import closed, waits_for_open, while_open
from gnomon.exchange.ledger import Ledger, Posting
from gnomon.exchange.liquidity import Liquidity, NoLiquidity, RecordedLiquidity, SyntheticQuote
from gnomon.exchange.listing import Asset, Filters, Listing
from gnomon.exchange.matching import on_print, plan, reach, take
from gnomon.exchange.order import (
    STOP_TYPES,
    Amend,
    Cancel,
    CancelAll,
    ListKind,
    Order,
    OrderList,
    OrderType,
    Place,
    PlaceList,
    Quote,
    Replace,
    Request,
    Side,
    Status,
    TimeInForce,
)
from gnomon.exchange.outcome import Outcome, Quoted, Refusal, Rejected, Role, Rule, Triggered
from gnomon.exchange.prints import Prints
from gnomon.exchange.recorded import BookMoved, Recorded, Shown
from gnomon.exchange.rules import AUTO, FeeAsset, FillMoment, Resting, Rules, Taker
from gnomon.exchange.takers import Deadline, LaterPrints, Takers
from gnomon.exchange.working import Working

_BUY: Final = Side.BUY
_SELL: Final = Side.SELL
_NONE: Final = (0, 0)

_make = tuple.__new__


class Arrival(NamedTuple):
    """A request reaches the venue; all prints of `time_ns` and before have been told."""

    time_ns: int
    decided_ns: int
    number: int  # of the request
    request: Request


class BarPoint(NamedTuple):
    """A bar that may concern an own order is at a point of its path: 0 its open, 3 its close."""

    instrument: int
    position: int
    point: int


class Printed(NamedTuple):
    """The print at `position` of an instrument concerns an own order."""

    instrument: int
    position: int


class Entry(NamedTuple):
    """A triggered stop enters matching, after all prints of its trigger's instant."""

    time_ns: int
    order: int


class RuleChanged(NamedTuple):
    """From now on other filters hold for an instrument. What is open stays as it is."""

    time_ns: int
    instrument: int
    filters: Filters


class Raced(NamedTuple):
    """A resting order is filled at its own price just before a cancel of it arrives: the fault `cancel_race`."""

    time_ns: int
    order: int
    lots: int  # at most


Event = Arrival | Printed | BookMoved | BarPoint | Entry | Deadline | RuleChanged | Raced
"""What the venue is told. A print, or a move of the recorded book, that concerns no order need not be told:
`Book.position` says how far it has read."""

NOTHING_RECORDED: Final[Mapping[int, Recorded]] = MappingProxyType({})


class Exchange:
    """One account's orders, funds and fills over the prints of the listings."""

    def __init__(
        self,
        listings: Sequence[Listing],
        tapes: Mapping[int, Prints | Bars],
        rules: Rules,
        recorded: Mapping[int, Recorded] = NOTHING_RECORDED,
    ) -> None:
        """`Invalid` when two listings scale an asset differently, or when the rules walk a book that none recorded."""
        self.rules = rules
        self.listings = {one.number: one for one in listings}
        self.ledger = Ledger(_assets(listings))
        purse = purses(self.ledger, self.listings, rules.fees, self._worth)
        self.books = {
            number: _book(one, tapes[number], rules, purse[number], recorded.get(number))
            for number, one in self.listings.items()
        }
        self._has_hours = any(one.hours is not None for one in listings)
        self.working = Working(self.books)
        self.deadlines: list[Deadline] = []  # to be brought back at their time, by whoever drives this
        is_later = rules.fills.taker is Taker.NEXT_PRINT
        self._takers = Takers(self.working, rules.fills, self.deadlines) if is_later else None
        self._looks_first = self._has_hours or is_later or rules.fees.asset is FeeAsset.OTHER
        self.lists_made = 0
        self._queues = rules.fills.resting is Resting.QUEUE
        self._is_fee_elsewhere = rules.fees.asset is FeeAsset.OTHER
        self._handlers: dict[type, Callable[[Arrival, Any], None]] = {
            Place: self._place,
            PlaceList: self._place_list,
            Cancel: self._cancel,
            CancelAll: self._cancel_all,
            Amend: self._amend,
            Replace: self._replace,
            Quote: self._quote,
        }

    def open_balances(self) -> tuple[Posting, ...]:
        """Credit the opening balances of the rules: once, before anything else."""
        numbers = {asset.name: number for number, asset in enumerate(self.ledger.assets)}
        postings: list[Posting] = []
        for name, amount in self.rules.balances.items():
            if name not in numbers:
                raise Invalid(f"a balance of {name}, which nothing here trades", hint=f"one of {', '.join(numbers)}")
            if amount < Decimal(0):
                raise Invalid(f"the opening balance of {name} is {amount}", hint="zero or more")
            postings.extend(self.ledger.open(numbers[name], self.ledger.assets[numbers[name]].units(amount)))
        return tuple(postings)

    def apply(self, event: Event) -> list[Outcome]:
        """What comes of one event, in order."""
        working, kind = self.working, type(event)
        told: Any = event  # of the kind that is asked for below, at no cost
        out: list[Outcome] = []
        working.out = out
        if kind is Printed:
            instrument, position = told
            if not self._looks_first or self._look_first(told):
                on_print(working, self.books[instrument], position, self.rules.fills)
        elif kind is Arrival:
            request = told[3]
            if type(request) is Quote and not self._is_fee_elsewhere and request[0] in self.books:
                self.books[request[0]].see(told[0])
                self._quote(told, request)
            else:
                self._see(_instrument(request), told[0])
                self._handlers[type(request)](told, request)
        elif kind is BarPoint:
            self._point(told)
        elif kind is BookMoved:
            self._move(told)
        elif kind is RuleChanged:
            self._change_rules(told)
        elif kind is Raced:
            self._race(told)
        else:
            self._begin_triggered(told)
        while working.freed:
            self._free(working.freed.pop(0), event)
        return out

    def _change_rules(self, event: RuleChanged) -> None:
        """`listings` has what holds now; each book and purse has it too."""
        book = self.books[event.instrument]
        listing = replace(book.listing, filters=event.filters)
        self.listings[event.instrument] = book.purse.listing = listing
        book.relist(listing)

    def _race(self, event: Raced) -> None:
        order = self.working.orders.get(event.order)
        if order is None:
            return
        self._see(order.instrument, event.time_ns)
        book = self.books[order.instrument]
        if order in (*book.bids, *book.asks):
            self.working.fill(
                book, order, order.price, min(event.lots, order.remaining), Rule.POSTED, Role.MAKER, position=-1
            )

    def _move(self, event: BookMoved) -> None:
        self._see_prints(event)
        book = self.books[event.instrument]
        hours = book.listing.hours
        if hours is None or hours.is_open(event.time_ns):
            on_book(self.working, book, event, self.rules.fills)

    def _point(self, event: BarPoint) -> None:
        book = self.books[event.instrument]
        if event.point == 0:
            open_point(self.working, book, event.position, self.rules.fills)
        else:
            move_point(self.working, book, event.position, event.point, self.rules.fills)

    def _begin_triggered(self, event: Entry | Deadline) -> None:
        order = self.working.orders.get(event.order)
        if order is None:  # cancelled since it was triggered
            return
        self._see(order.instrument, event.time_ns)
        if type(event) is Entry:
            self._enter(order, event.time_ns)
        elif self._takers is not None:
            self._takers.end(order, self.books[order.instrument], event.time_ns)

    def _look_first(self, event: Printed) -> bool:
        """Whether the print is one for resting orders alone.

        None concerns an order while the market is closed; one that others stand for is theirs too.
        """
        if self._is_fee_elsewhere:
            self._see_before(event)
        book = self.books[event.instrument]
        hours = book.listing.hours
        if hours is not None and not hours.is_open(book.prints.time_ns.item(event.position)):
            book.position = event.position + 1
            return False
        if book.takers and self._takers is not None:
            self._takers.on_print(book, event.position)
            return False
        return True

    def _see(self, instrument: int, time_ns: int) -> None:
        """Prints up to the instant that concerned no order are behind the books that are looked at."""
        if self._is_fee_elsewhere:
            for book in self.books.values():
                book.see(time_ns)
        elif instrument in self.books:
            self.books[instrument].see(time_ns)

    def _see_before(self, event: Printed) -> None:
        """What other tapes hold before this print in the total order: one of them may say what a fee is worth."""
        time_ns = int(self.books[event.instrument].tape.time_ns[event.position])
        for number, book in self.books.items():
            if number != event.instrument:
                book.see(time_ns if number < event.instrument else time_ns - 1)

    def _see_prints(self, event: BookMoved) -> None:
        """The prints of this instant are behind; more moves of it may come."""
        others = self.books.values() if self._is_fee_elsewhere else [self.books[event.instrument]]
        for book in others:
            book.see(event.time_ns)

    # --- new orders ---------------------------------------------------------------------------------------------------

    def _place(self, event: Arrival, place: Place) -> None:
        book = self.books.get(place.instrument)
        broken = closed(place, book, event.time_ns) if self._has_hours else None
        if broken is None and (book is None or not checks.is_plain(place, book, self.working)):
            broken = self._check(place)
        broken = broken or self._check_market(place, event.time_ns)
        if broken:
            self._reject(event, broken)
            return
        broken = self._fund(Order.of(place, event.decided_ns, event.time_ns), event.number, event.time_ns)
        if broken:
            self._reject(event, broken)

    def _check(self, place: Place, without: Sequence[Order] = (), beside: Sequence[Place] = ()) -> Broken | None:
        """What the order is in itself, and beside the open ones: all but those `without`, and some `beside` it."""
        book = self.books.get(place.instrument)
        if book is None:
            return Broken(Refusal.UNKNOWN_INSTRUMENT, place.instrument)
        broken = checks.combination(place) or checks.filters(place, book, *self._count(place, without, beside))
        if broken is None and place.client:
            other = self.working.find(0, place.client)
            is_taken = other is not None and other not in without
            if is_taken or any(one.client == place.client for one in beside):
                return Broken(Refusal.DUPLICATE, place.client)
        return broken

    def _count(self, place: Place, without: Sequence[Order], beside: Sequence[Place]) -> tuple[int, int]:
        """Open orders of the instrument, and the stops among them."""
        kinds = [
            one.type
            for one in self.working.orders.values()
            if one.instrument == place.instrument and one not in without
        ]
        kinds += [one.type for one in beside]
        return len(kinds), sum(kind in STOP_TYPES for kind in kinds) if place.type in STOP_TYPES else 0

    def check(self, place: Place, time_ns: int) -> Broken | None:
        """What a new order that arrived now would be refused for, its funds aside. Nothing is changed."""
        return self.check_itself(place, time_ns) or self._as_of(place, time_ns, self._check_market)

    def check_itself(self, place: Place, time_ns: int, without: int = 0) -> Broken | None:
        """The same without what the market says of it, and as if the open order `without` had ended."""
        order = self.working.find(without)
        others = _together(order) if order is not None else ()

        def look(place: Place, time_ns: int) -> Broken | None:
            return closed(place, self.books.get(place.instrument), time_ns) or self._check(place, others)

        return self._as_of(place, time_ns, look)

    def _as_of(self, place: Place, time_ns: int, look: Callable[[Place, int], Broken | None]) -> Broken | None:
        """With the book as it stands at an instant; what the engine has not told of it yet, it tells still."""
        book = self.books.get(place.instrument)
        if book is None:
            return look(place, time_ns)
        kept = book.read
        book.see(time_ns)
        try:
            return look(place, time_ns)
        finally:
            book.read = kept

    def _check_market(self, place: Place, time_ns: int) -> Broken | None:
        """Whether it would trigger, would take or would find nothing, as the market stands."""
        book = self.books[place.instrument]
        if place.type in STOP_TYPES:
            return checks.trigger(place, book)
        if place.type is OrderType.LIMIT_MAKER or place.tif is TimeInForce.GTX:
            return checks.would_take(place.side, place.price, book, time_ns)
        if place.type is OrderType.MARKET and self.rules.fills.taker is Taker.REST:
            return Broken(Refusal.NO_LIQUIDITY)
        return None

    def _fund(self, order: Order, request: int, time_ns: int, number: int = 0) -> Broken | None:
        """Lock what the order needs and let it begin; or what is missing."""
        book = self.books[order.instrument]
        if order.type is OrderType.MARKET:
            begin = self._begin_on_bars if book.has_bars else self._begin_market
            if self._takers is not None and not book.has_bars:
                begin = self._takers.begin_market
            return begin(order, book, request, time_ns, number)
        need, free = self.working.need(order), book.purse.free(order.side)
        if need > free:
            return Broken(Refusal.INSUFFICIENT_BALANCE, need, free)
        if order.is_stop:
            if order.trailing_bips and not order.stop:
                order.reference = book.last_price()
            self.working.accept(order, request, need, number)
            book.wait(order)
            return None
        order.ahead = self._ahead(book, order, time_ns)
        self.working.accept(order, request, need, number)
        self._work(order, book, time_ns)
        return None

    def _begin_market(self, order: Order, book: Book, request: int, time_ns: int, number: int) -> Broken | None:
        """It takes what is there; what is left expires. One that could not be paid in full is refused, not trimmed."""
        steps = list(plan(book, order, time_ns, self.rules.fills))
        if order.quote_units:
            filters = book.listing.filters
            lots = reach(steps, order, book).size
            lots -= lots % filters.step_lots
            if lots < max(1, filters.min_lots):
                return Broken(Refusal.NO_LIQUIDITY, lots, max(1, filters.min_lots))
            order.lots = order.remaining = lots
        purse = book.purse
        if order.side is Side.BUY:
            cost = purse.with_fee(reach(steps, order, book).notional)
        else:
            cost = purse.need(order.side, 0, order.lots)
        free = purse.free(order.side)
        if cost > free:
            return Broken(Refusal.INSUFFICIENT_BALANCE, cost, free)
        self.working.accept(order, request, 0, number)
        take(self.working, book, order, time_ns, self.rules.fills)
        if order.number in self.working.orders:
            self.working.finish(order, Status.EXPIRED, Refusal.NO_LIQUIDITY)
        return None

    def _begin_on_bars(self, order: Order, book: Book, request: int, time_ns: int, number: int) -> Broken | None:
        """At the open of the bar that it is in time for, or of the next; or at the close that was just decided on."""
        fills, working = self.rules.fills, self.working
        last = book.last_price()
        if order.quote_units:
            order.lots = order.remaining = order.quote_units // max(1, book.listing.notional(last, 1)) if last else 0
            if not order.lots:
                return Broken(Refusal.NO_LIQUIDITY, order.quote_units)
        cost, free = book.purse.need_and_free(order.side, last, order.lots)
        if cost > free:
            return Broken(Refusal.INSUFFICIENT_BALANCE, cost, free)
        working.accept(order, request, 0, number)
        if fills.moment is FillMoment.THIS_CLOSE:
            take_last_close(working, book, order, time_ns, fills)
        elif fills.moment is FillMoment.NEXT_OPEN and is_in_time(book, order.decided_ns, time_ns, fills):
            take_open(working, book, order, fills)
        else:
            book.wait_for_bar(order)
        return None

    def _work(self, order: Order, book: Book, time_ns: int) -> None:
        """A priced order meets the market: it takes what it may, and rests with what is left."""
        fills, working = self.rules.fills, self.working
        is_maker = order.type is OrderType.LIMIT_MAKER or order.tif is TimeInForce.GTX
        if not is_maker:
            if order.tif in (TimeInForce.IOC, TimeInForce.FOK) and waits_for_open(book, time_ns):
                book.wait_for_bar(order)
                return
            if self._takers is not None and not book.has_bars and self._takers.waits(order, book, time_ns):
                self._takers.stand(order, book, time_ns)
                return
            if order.tif is TimeInForce.FOK and not self._finds_all(order, book, time_ns):
                working.finish(order, Status.EXPIRED, Refusal.NO_LIQUIDITY)
                return
            if not book.has_bars:
                take(working, book, order, time_ns, fills)
            elif is_in_time(book, order.decided_ns, time_ns, fills) and is_marketable(book, order):
                take_open(working, book, order, fills)
        if order.number not in working.orders:
            return
        if order.tif in (TimeInForce.IOC, TimeInForce.FOK):
            working.finish(order, Status.EXPIRED, Refusal.NO_LIQUIDITY)
        else:
            book.rest(order)

    def _finds_all(self, order: Order, book: Book, time_ns: int) -> bool:
        """Whether its whole quantity is there inside its limit now."""
        fills = self.rules.fills
        if not book.has_bars:
            return reach(list(plan(book, order, time_ns, fills)), order, book).lots >= order.remaining
        in_time = is_in_time(book, order.decided_ns, time_ns, fills)
        return in_time and is_marketable(book, order) and open_cap(book, fills) >= order.remaining

    def _enter(self, order: Order, time_ns: int) -> None:
        """A triggered stop: as a MARKET or a LIMIT order from here on, at the venue already. A pending order begins."""
        if order.awaits is not None:
            self._begin_pending(order.awaits, time_ns)
            return
        book, working = self.books[order.instrument], self.working
        if order.type in (OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT):
            order.ahead = self._ahead(book, order, time_ns)
            self._work(order, book, time_ns)
            return
        if self._takers is not None:
            self._takers.enter(order, book, time_ns)
            return
        if order.side is Side.BUY:
            notional = reach(list(plan(book, order, time_ns, self.rules.fills)), order, book).notional
            short = book.purse.with_fee(notional) - order.lock
            if short > book.purse.free(order.side):
                working.finish(order, Status.EXPIRED, Refusal.INSUFFICIENT_BALANCE)
                return
            if short > 0:
                working.lock_more(order, short)
        take(working, book, order, time_ns, self.rules.fills)
        if order.number in working.orders:
            working.finish(order, Status.EXPIRED, Refusal.NO_LIQUIDITY)

    def _ahead(self, book: Book, order: Order, time_ns: int) -> int:
        """Lots of other people before it, as the rules say."""
        fills = self.rules.fills
        order.queued_ns = time_ns
        if fills.resting is not Resting.QUEUE:
            return 0
        if book.has_bars:
            return 0
        if book.shown is not None:
            ahead = book.shown.ahead(order.side, order.price, time_ns) if fills.ahead == AUTO else fills.ahead
            if ahead >= 0:
                return ahead
        if fills.ahead != AUTO:
            return fills.ahead
        return book.prints.ahead(order.price, book.position, time_ns)

    # --- lists --------------------------------------------------------------------------------------------------------

    def _place_list(self, event: Arrival, request: PlaceList) -> None:
        is_pair = request.kind is ListKind.OCO
        broken = self._check_pair(request, event.time_ns) if is_pair else self._check_sequence(request, event.time_ns)
        if broken:
            self._reject(event, broken)
            return
        orders = [Order.of(place, event.decided_ns, event.time_ns) for place in request.orders]
        working = orders[0] if not is_pair else None
        need = max(self.working.need(order) for order in ([working] if working else orders))
        free = self.books[orders[0].instrument].purse.free(orders[0].side)
        if need > free:
            self._reject(event, Broken(Refusal.INSUFFICIENT_BALANCE, need, free))
            return
        self.lists_made += 1
        made = OrderList(self.lists_made, request.kind, event.number)
        made.legs = orders[1:] if working else orders
        if working is None:
            self._begin_pair(made, need, event.time_ns)
        else:
            self._begin_sequence(made, working, event)

    def _check_pair(self, request: PlaceList, time_ns: int) -> Broken | None:
        """The two legs as a pair, each by itself, both beside the last price, then against the market."""
        if len(request.orders) != 2:
            return Broken(Refusal.BAD_COMBINATION, int(request.kind), len(request.orders))
        profit, stop = request.orders
        broken = checks.legs(profit, stop) or self._check(profit) or self._check(stop, beside=[profit])
        broken = broken or checks.list_prices(profit, stop, self.books[profit.instrument].last_price())
        return broken or self._check_market(profit, time_ns) or self._check_market(stop, time_ns)

    def _check_sequence(self, request: PlaceList, time_ns: int) -> Broken | None:
        """A working order that may rest, then one or a pair. What the market says of these is asked when they begin."""
        orders = request.orders
        broken = checks.sequence(request)
        for number, place in enumerate(orders):
            broken = broken or self._check(place, beside=orders[:number])
        return broken or self._check_market(orders[0], time_ns)

    def _begin_pair(self, pair: OrderList, need: int, time_ns: int) -> None:
        """Both legs are open from now on, with one lock."""
        for order, lock in zip(pair.legs, (need, 0), strict=True):
            book = self.books[order.instrument]
            order.pair = pair
            if order.is_stop:
                if order.trailing_bips and not order.stop:
                    order.reference = book.last_price()
                self.working.accept(order, pair.request, lock, pair.number)
                book.wait(order)
            else:
                order.ahead = self._ahead(book, order, time_ns)
                self.working.accept(order, pair.request, lock, pair.number)
                book.rest(order)

    def _begin_sequence(self, made: OrderList, first: Order, event: Arrival) -> None:
        """The working order is open, the others are known: without a lock, and nowhere in the book."""
        made.working = first
        first.leads = made
        book = self.books[first.instrument]
        first.ahead = self._ahead(book, first, event.time_ns)
        self.working.accept(first, event.number, self.working.need(first), made.number)
        for order in made.legs:
            order.awaits, order.status = made, Status.PENDING_NEW
            self.working.accept(order, event.number, 0, made.number)
        self._work(first, book, event.time_ns)

    def _free(self, pending: OrderList, event: Event) -> None:
        """The working order is filled. By the market: the others begin after all of its instant, as stops do."""
        if isinstance(event, Printed | BookMoved):
            book = self.books[event.instrument]
            self.working.out.append(Triggered(pending.legs[0].number, book.position - 1, book.last_price()))
        elif type(event) is BarPoint:
            times = self.books[event.instrument].bars.times_ns(event.position)
            self._begin_pending(pending, times[event.point])
        else:
            assert isinstance(event, Arrival | Entry | Deadline | Raced)
            self._begin_pending(pending, event.time_ns)

    def _begin_pending(self, pending: OrderList, time_ns: int) -> None:
        """They begin as if they arrived now; what would be refused expires."""
        legs = pending.legs
        places = [Place(*(getattr(leg, name) for name in Place._fields[:-1])) for leg in legs]
        for leg in legs:
            leg.awaits, leg.status = None, Status.NEW
        book = self.books[legs[0].instrument]
        broken = checks.list_prices(places[0], places[1], book.last_price()) if len(legs) == 2 else None
        for place in places:
            broken = broken or closed(place, book, time_ns) or self._check_market(place, time_ns)
        if broken is None and len(legs) == 2:
            need, free = max(self.working.need(leg) for leg in legs), book.purse.free(legs[0].side)
            if need <= free:
                self._begin_pair(pending, need, time_ns)
                return
            broken = Broken(Refusal.INSUFFICIENT_BALANCE, need, free)
        broken = broken or self._fund(legs[0], pending.request, time_ns, pending.number)
        if broken:
            for leg in legs:
                self.working.finish(leg, Status.EXPIRED, broken.refusal)

    # --- changes ------------------------------------------------------------------------------------------------------

    def _cancel(self, event: Arrival, cancel: Cancel) -> None:
        order = self.working.find(cancel.number, cancel.client)
        if order is None or order.instrument != cancel.instrument:
            self._reject(event, Broken(Refusal.UNKNOWN_ORDER, cancel.number or cancel.client), cancel.number)
            return
        self.working.finish(order, Status.CANCELED)

    def _cancel_all(self, event: Arrival, cancel: CancelAll) -> None:
        orders = [one for one in self.working.orders.values() if one.instrument == cancel.instrument]
        if not orders:
            self._reject(event, Broken(Refusal.UNKNOWN_ORDER, cancel.instrument))
        for order in orders:
            if order.number in self.working.orders:  # the other leg of a pair ended with the first
                self.working.finish(order, Status.CANCELED)

    def _amend(self, event: Arrival, amend: Amend) -> None:
        order = self.working.find(amend.number)
        if order is None or order.instrument != amend.instrument:
            self._reject(event, Broken(Refusal.UNKNOWN_ORDER, amend.number), amend.number)
        elif _is_tied(order) or not order.executed + order.prevented < amend.lots < order.lots:
            self._reject(event, Broken(Refusal.NO_CHANGE, amend.lots, order.lots), amend.number)
        elif broken := self._check_amended(order, amend.lots):
            self._reject(event, broken, amend.number)
        else:
            self.working.shrink(order, amend.lots)

    def _check_amended(self, order: Order, lots: int) -> Broken | None:
        place = Place(order.instrument, order.side, order.type, lots, order.price, order.tif, order.stop)
        return checks.filters(place, self.books[order.instrument], 0, 0)

    def _replace(self, event: Arrival, request: Replace) -> None:
        """Cancel and new in one arrival. A new order that is wrong in itself leaves the old one as it is."""
        order = self.working.find(request.number)
        if order is None or order.instrument != request.order.instrument:
            self._reject(event, Broken(Refusal.UNKNOWN_ORDER, request.number), request.number)
            return
        broken = closed(request.order, self.books[order.instrument], event.time_ns)
        broken = broken or self._check(request.order, without=_together(order))
        if broken:
            self._reject(event, broken, request.number)
            return
        self.working.finish(order, Status.CANCELED)
        self._place(event, request.order)

    # --- the standing pair --------------------------------------------------------------------------------------------

    def _quote(self, event: Arrival, quote: Quote) -> None:
        """Cancels first, then the bid, then the ask. A side with the same price and its full remainder may stay."""
        instrument, bid_price, ask_price, lots, keep, post_only = quote
        book = self.books.get(instrument)
        if book is None:
            self._reject(event, Broken(Refusal.UNKNOWN_INSTRUMENT, instrument))
            return
        working, bid, ask = self.working, book.pair_bid, book.pair_ask
        bid_gone = ask_gone = bid_released = ask_released = bid_lock = ask_lock = 0
        if bid is not None and not (keep and _stays(bid, bid_price, lots)):
            bid_gone, bid_released, bid = bid.number, working.withdraw(book, bid), None
        if ask is not None and not (keep and _stays(ask, ask_price, lots)):
            ask_gone, ask_released, ask = ask.number, working.withdraw(book, ask), None
        bid_kept, ask_kept = bid is not None, ask is not None
        out = working.out
        told = len(out)
        if bid_price and not bid_kept:
            bid = self._quote_side(event, book, _BUY, bid_price, lots, post_only)
            bid_lock = bid.asked_lock if bid is not None else 0
        if ask_price and not ask_kept:
            ask = self._quote_side(event, book, _SELL, ask_price, lots, post_only)
            ask_lock = ask.asked_lock if ask is not None else 0
        bid_number, bid_ahead = (bid.number, bid.ahead) if bid is not None else _NONE
        ask_number, ask_ahead = (ask.number, ask.ahead) if ask is not None else _NONE
        quoted = _make(
            Quoted,
            (
                event[2], instrument, bid_number, ask_number, bid_lock, ask_lock, bid_kept, ask_kept, bid_gone,
                ask_gone, bid_released, ask_released, bid_ahead, ask_ahead,
            ),
        )  # fmt: skip
        if len(out) == told:
            out.append(quoted)
        else:
            out.insert(told, quoted)

    def _quote_side(
        self, event: Arrival, book: Book, side: Side, price: int, lots: int, post_only: bool
    ) -> Order | None:
        """A plain limit order for one side of the pair; none where it is refused."""
        now_ns, decided_ns, working, purse = event[0], event[1], self.working, book.purse
        need, free = purse.need_and_free(side, price, lots)
        if need > free or not book.is_plain(price, lots, working):
            kind = OrderType.LIMIT_MAKER if post_only else OrderType.LIMIT
            broken = self._check(Place(book.listing.number, side, kind, lots, price))
            if broken is None and need > free:
                broken = Broken(Refusal.INSUFFICIENT_BALANCE, need, free)
            if broken:
                self._reject(event, broken)
                return None
        facing = book.asks if side is _BUY else book.bids
        takes = (facing or book.is_quoted) and book.meets(side, price, now_ns)
        if takes and post_only:
            self._reject(event, checks.would_take(side, price, book, now_ns) or Broken(Refusal.WOULD_TAKE, price))
            return None
        order = Order(book.listing.number, side, price, lots, decided_ns, now_ns)
        if self._queues:
            order.ahead = self._ahead(book, order, now_ns)
        order.asked_lock = need
        working.admit(order, need, book)
        if takes:
            self._work(order, book, now_ns)
        else:
            book.rest(order)
        if order.remaining and order.number in working.orders:
            if side is _BUY:
                book.pair_bid = order
            else:
                book.pair_ask = order
        return order

    # --- answers ------------------------------------------------------------------------------------------------------

    def _reject(self, event: Arrival, broken: Broken, number: int = 0) -> None:
        self.working.out.append(Rejected(event.number, broken.refusal, broken.received, broken.limit, number))

    def _worth(self, asset: str, quote: str) -> tuple[int, int] | None:
        """Units of `asset` per unit of `quote` as (numerator, denominator), by the last print of a listing of both."""
        for book in self.books.values():
            listing = book.listing
            if listing.base.name == asset and listing.quote.name == quote and book.last_price():
                return listing.lot_unit, listing.notional(book.last_price(), 1)
        return None


def _instrument(request: Request) -> int:
    """The one that a request is about, -1 for none."""
    if type(request) is Place:
        return request.instrument
    if isinstance(request, Replace):
        return request.order.instrument
    if isinstance(request, PlaceList):
        return request.orders[0].instrument if request.orders else -1
    return request.instrument


def _is_tied(order: Order) -> bool:
    """Whether its size is not its own: of a list, or locked by another price than its own."""
    return bool(order.pair or order.leads or order.awaits or order.bound)


def _together(order: Order) -> list[Order]:
    """It and those that a cancel of it would end."""
    pending = order.leads or order.awaits
    if pending is not None and pending.working is not None:
        return [pending.working, *pending.legs]
    return order.pair.legs if order.pair is not None else [order]


def _stays(order: Order, price: int, lots: int) -> bool:
    """Whether it is what a new quote asks for, whole."""
    return order.price == price and order.remaining == lots == order.lots


def _assets(listings: Sequence[Listing]) -> list[Asset]:
    assets: dict[str, Asset] = {}
    for asset in (asset for one in listings for asset in (one.base, one.quote)):
        if assets.setdefault(asset.name, asset) != asset:
            raise Invalid(f"{asset.name} is scaled in two ways", hint="one scale for an asset in all listings")
    return list(assets.values())


def _book(listing: Listing, tape: Prints | Bars, rules: Rules, purse: Purse, recorded: Recorded | None) -> Book:
    taker = rules.fills.taker
    if taker is Taker.WALK and (isinstance(tape, Bars) or recorded is None or recorded.ladder is None):
        raise Invalid(
            f"no depth of {listing.id} is recorded to walk", hint=f"fills.taker = {Taker.AUTO}, or import its depth"
        )
    if isinstance(tape, Bars):
        return Book(listing, tape, while_open(NoLiquidity(), listing), rules.fills.resting, purse)
    shown = Shown(recorded, taker is Taker.QUOTE) if recorded is not None else None
    liquidity = while_open(_liquidity(tape, rules, shown), listing)
    return Book(listing, tape, liquidity, rules.fills.resting, purse, shown)


def _liquidity(tape: Prints, rules: Rules, shown: Shown | None) -> Liquidity:
    if rules.fills.taker is Taker.REST:
        return NoLiquidity()
    if rules.fills.taker is Taker.NEXT_PRINT:
        return LaterPrints(tape)
    return SyntheticQuote(tape, rules.fills) if shown is None else RecordedLiquidity(shown, tape, rules.fills)
