"""The same venue, written the plain way: every print is told, every open order is looked at each time.

It is the oracle of `exchange.exchange` and the runner `naive`. Nothing is sorted ahead, nothing is remembered that
could be looked up, no print is skipped. It shares with the fast one only units, requests, outcomes, rules, the
arithmetic of fees, listings and the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from gnomon.errors import Invalid
from gnomon.exchange.bars import Bars
from gnomon.exchange.exchange import Arrival, Entry, Event, Printed, Raced, RuleChanged
from gnomon.exchange.fees import fee_units, reserve_units
from gnomon.exchange.ledger import Ledger, Posting
from gnomon.exchange.listing import Asset, Listing
from gnomon.exchange.order import (
    PRICED_TYPES,
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
    SelfTrade,
    Side,
    Status,
    TimeInForce,
)
from gnomon.exchange.outcome import (
    Accepted,
    Changed,
    Filled,
    FillFlag,
    Outcome,
    Quoted,
    QuoteKind,
    Refusal,
    Rejected,
    Role,
    Rule,
    Triggered,
)
from gnomon.exchange.prints import Prints
from gnomon.exchange.recorded import DEPTH, QUOTES, BookMoved, Recorded
from gnomon.exchange.rules import AUTO, RATE_ONE, SHARE_ONE, WHOLE, FeeAsset, Resting, Rules, Taker
from gnomon.exchange.takers import Deadline
from gnomon.exchange.thresholds import Thresholds
from gnomon.market.depth import BID, SNAPSHOT
from gnomon.units import INT64_MAX, MINUTE_NS

LOSSES: Final = (OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT)
PROFITS: Final = (OrderType.LIMIT_MAKER, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT)
LIMITS_OF_STOPS: Final = (OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT)

Broken = tuple[Refusal, int, int]
"""Why a request is refused: code, value received, limit."""

Settled = tuple[int, int, int, int, bool, bool]
"""What a fill moved: rate, fee, its asset, units released, whether trade and fee came out of the lock."""


class Row(NamedTuple):
    """One print."""

    time_ns: int
    price: int
    lots: int
    side: int


class Offer(NamedTuple):
    """Lots that a taker may have at a price, and the level of the market that they are of."""

    price: int
    lots: int
    level: int
    level_price: int
    offered: int  # lots of the level before our share of them
    rule: Rule = Rule.TAKER_SYNTHETIC
    layer: int = 0  # of a recording, and the row there
    row: int = -1


class Match(NamedTuple):
    """One step of a taker: so many lots at a price, of an offer or against an own order."""

    price: int
    lots: int
    own: Order | None = None
    offer: Offer | None = None


class About(NamedTuple):
    """What stood behind a fill; fields as in `Filled`."""

    rule: Rule
    role: Role
    position: int = -1
    row: Row = Row(0, 0, 0, 0)
    ahead_before: int = 0
    ahead_after: int = 0
    excess: int = 0
    cap: int = 0
    level: int = 0
    levels: int = 0
    bid: int = 0
    ask: int = 0
    kind: QuoteKind = QuoteKind.NONE
    flags: FillFlag = FillFlag(0)


@dataclass(slots=True, eq=False)
class Open:
    """An open order: where it stands, and its turn among those that rest."""

    order: Order
    stands: Literal["arriving", "pending", "resting", "waiting", "triggered", "taking"] = "arriving"
    turn: int = 0
    most: int = 0  # taking: the highest price of a MARKET BUY
    until_ns: int = 0  # taking: when it ends
    is_ending: bool = False  # taking: its first print has come
    promised: list[tuple[int, Row, int, int, int, int]] = field(default_factory=list)  # taking: not yet filled


@dataclass(slots=True, eq=False)
class Following:
    """A working order, and those that begin when it is filled."""

    number: int
    request: int
    working: Order
    legs: list[Order]
    places: tuple[Place, ...]
    is_due: bool = False


@dataclass(slots=True, eq=False)
class Recording:
    """What was recorded beside the prints: the rows of both layers, and how the book stands."""

    quotes: list[tuple[int, int, int, int]]  # bid, its lots, ask, its lots
    rows: list[tuple[int, int, int, int, int]]  # time, side, price, lots, kind
    valid_from_ns: int
    quote: int = -1  # the row in force
    told: int = 0  # rows of depth
    is_open: bool = False  # whether the book may be walked
    levels: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)  # side, price to lots, row
    reach: tuple[int, int] | None = None  # the worst prices of the last snapshot, None where a side has none
    had: list[tuple[int, Side, int, int, int]] = field(default_factory=list)  # layer, taker's side, price, row, lots

    def side(self, side: int) -> list[tuple[int, int, int]]:
        """Price, lots and row of the levels of a side, best first."""
        alive = [(price, lots, row) for (of, price), (lots, row) in self.levels.items() if of == side and lots]
        return sorted(alive, reverse=side == BID)

    def known(self, side: int, price: int) -> tuple[int, int] | None:
        """Lots at a price and the row that says so; None where nothing does."""
        if (side, price) in self.levels:
            return self.levels[side, price]
        if self.reach is None:
            return None
        is_inside = price >= self.reach[0] if side == BID else price <= self.reach[1]
        return (0, -1) if is_inside else None

    def taken(self, layer: int, side: Side, price: int, row: int) -> int:
        found = 0
        for of, taker, at, since, lots in self.had:
            if (of, taker, at) == (layer, side, price):
                found = found + lots if since == row else 0
        return found


EVERY: Final = Thresholds(bid=INT64_MAX, ask=-1, up=-1, down=INT64_MAX)
"""Whoever searches for the next print that matters finds the next print."""


@dataclass(slots=True, eq=False)
class Market:
    """One instrument: its prints, how far they were told, and what we took since the last of them."""

    listing: Listing
    rows: list[Row]
    position: int = 0
    thresholds: Thresholds = EVERY
    is_idle: bool = False
    latest: Thresholds = EVERY
    has_bars: bool = False
    recording: Recording | None = None
    taken: list[tuple[Side, int, int]] = field(default_factory=list)  # side, price of the level, lots
    bid: int = 0  # number of the order that stands as the pair's bid, 0 none
    ask: int = 0

    def last_price(self) -> int:
        return self.rows[self.position - 1].price if self.position else 0


class NaiveExchange:
    """One account at the venue, print by print. The face of `Exchange`; every print must be told."""

    def __init__(
        self,
        listings: Sequence[Listing],
        tapes: Mapping[int, Prints | Bars],
        rules: Rules,
        recorded: Mapping[int, Recorded] = MappingProxyType({}),
    ) -> None:
        """`Invalid` when two listings scale an asset differently, or one has candles only."""
        self.rules = rules
        self.assets: list[Asset] = []
        for listing in listings:
            for asset in (listing.base, listing.quote):
                if any(one.name == asset.name and one != asset for one in self.assets):
                    raise Invalid(f"{asset.name} is scaled in two ways", hint="one scale for an asset in all listings")
                if asset not in self.assets:
                    self.assets.append(asset)
        self.ledger = Ledger(self.assets)
        self.books = {one.number: Market(one, _rows(tapes[one.number])) for one in listings}
        for number, one in recorded.items():
            self.books[number].recording = _recording(one)
        self.open: list[Open] = []
        self.following: list[Following] = []
        self.out: list[Outcome] = []
        self.deadlines: list[Deadline] = []
        self.orders_made = self.fills_made = self.lists_made = self.turns = 0
        self.now_ns = 0  # of the newest arrival or entry

    def open_balances(self) -> tuple[Posting, ...]:
        """Credit the opening balances of the rules, in their order."""
        postings: list[Posting] = []
        for name, amount in self.rules.balances.items():
            number = self._asset(name)
            if number is None:
                names = ", ".join(one.name for one in self.assets)
                raise Invalid(f"a balance of {name}, which nothing here trades", hint=f"one of {names}")
            if amount < Decimal(0):
                raise Invalid(f"the opening balance of {name} is {amount}", hint="zero or more")
            postings += self.ledger.open(number, self.assets[number].units(amount))
        return tuple(postings)

    def apply(self, event: Event) -> list[Outcome]:
        """What comes of one event, in order."""
        self.out = []
        if isinstance(event, Arrival | Entry | Deadline | Raced):
            self.now_ns = event.time_ns
        if isinstance(event, Printed):
            self._print(event.instrument, event.position)
        elif isinstance(event, BookMoved):
            self._move(event)
        elif isinstance(event, Entry):
            self._enter(event)
        elif isinstance(event, Deadline):
            self._stop_taking(event)
        elif isinstance(event, Arrival):
            self._request(event)
        elif isinstance(event, RuleChanged):
            self.books[event.instrument].listing = replace(self.books[event.instrument].listing, filters=event.filters)
        elif isinstance(event, Raced):
            self._race(event)
        if isinstance(event, Arrival | Entry | Deadline | Raced):
            for one in self._due():
                self._begin(one, event.time_ns)
        return self.out

    def _request(self, event: Arrival) -> None:
        request = event.request
        if isinstance(request, Place):
            self._place(event, request)
        elif isinstance(request, PlaceList):
            self._place_list(event, request)
        elif isinstance(request, Cancel):
            self._cancel(event, request)
        elif isinstance(request, CancelAll):
            self._cancel_all(event, request)
        elif isinstance(request, Amend):
            self._amend(event, request)
        elif isinstance(request, Replace):
            self._replace(event, request)
        else:
            self._quote(event, request)

    def _refuse(self, event: Arrival, why: Broken, number: int = 0) -> None:
        self.out.append(Rejected(event.number, *why, number))

    def _race(self, event: Raced) -> None:
        """Whoever rests is filled at its own price, as if by a print that nobody recorded."""
        for one in self.open:
            if one.order.number == event.order and one.stands == "resting":
                lots = min(event.lots, one.order.remaining)
                self._fill(one.order, one.order.price, lots, About(Rule.POSTED, Role.MAKER))
                return

    # --- prints -------------------------------------------------------------------------------------------------------

    def _print(self, instrument: int, position: int) -> None:
        """One print: it fills what rests, then it sets off what waits."""
        market = self.books[instrument]
        row = market.rows[position]
        market.position = position + 1
        market.taken.clear()
        if not _is_open(market.listing, row.time_ns):
            return
        takers = self._takers_of(instrument, row)
        for taker in takers:
            if taker.order.tif is not TimeInForce.FOK:
                self._clear_way(taker.order, row.price)
        told = len(self.out)
        touched = [one for one in self.open if _touches(one, instrument, row)]
        touched.sort(key=lambda one: (-one.order.price if one.order.side is Side.BUY else one.order.price, one.turn))
        self._serve([one.order for one in touched], position, row)
        self._set_off(instrument, position, row)
        left = row.lots - sum(one.lots for one in self.out[told:] if isinstance(one, Filled))
        for taker in takers:
            left -= self._give(taker, position, row, left)
        self._call_followers(market)

    def _call_followers(self, market: Market) -> None:
        """Those whose working order the market has filled begin after all of its instant, first filled first."""
        for one in self._due():
            one.is_due = True
            self.out.append(Triggered(one.legs[0].number, market.position - 1, market.last_price()))

    def _due(self) -> list[Following]:
        """Those whose working order this step has filled, in the order of these fills."""
        filled = [one.number for one in self.out if isinstance(one, Filled) and not one.remaining]
        due = [one for one in self.following if one.working.status is Status.FILLED and not one.is_due]
        return sorted(due, key=lambda one: filled.index(one.working.number))

    def _set_off(self, instrument: int, position: int, row: Row) -> None:
        """Every waiting stop sees the print; those that fire wait for the end of its instant."""
        waiting = [one for one in self.open if one.stands == "waiting" and one.order.instrument == instrument]
        waiting.sort(key=lambda one: one.turn)  # a leg of a list may have a lower number and wait for less long
        fired = [one for one in waiting if _fires(one.order, row.price)]
        for one in fired:
            if self._find(one.order.number):  # not ended by the other leg of its pair
                one.stands = "triggered"
                self._end_mates(one.order)
                self.out.append(Triggered(one.order.number, position, row.price))

    def _serve(self, touched: list[Order], position: int, row: Row) -> None:
        """One print, several own orders: no lot of it is given out twice where a share is set."""
        resting, share = self.rules.fills.resting, self.rules.fills.share
        flags = FillFlag.SIDE_UNKNOWN if row.side == 0 else FillFlag(0)
        left, taken = row.lots, 0
        for order in touched:
            is_through = order.price != row.price
            if resting is Resting.THROUGH and not is_through:
                continue
            before = order.ahead
            waits = 0 if is_through or resting is not Resting.QUEUE else before
            if share == WHOLE:
                order.ahead = max(0, waits - row.lots)
                excess = cap = max(0, row.lots - waits)
                lots = order.remaining if excess else 0
            else:
                gone = min(left, max(0, waits - taken))
                left, taken = left - gone, taken + gone
                order.ahead = max(0, waits - taken)
                excess, cap = left, left * share // SHARE_ONE
                lots = min(order.remaining, cap)
                left -= lots
            if lots:
                rule = Rule.MAKER_QUEUE if resting is Resting.QUEUE else Rule.MAKER_TOUCH
                rule = Rule.MAKER_THROUGH if is_through else rule
                about = About(rule, Role.MAKER, position, row, before, order.ahead, excess, cap, flags=flags)
                self._fill(order, order.price, lots, about)

    # --- later prints of their side, for those that take --------------------------------------------------------------

    def _take_later(self, one: Open) -> None:
        self.turns += 1
        one.stands, one.turn = "taking", self.turns
        self._end_at(one, self.now_ns + self.rules.fills.taker_timeout_ns)

    def _end_at(self, one: Open, time_ns: int) -> None:
        one.until_ns = time_ns
        self.deadlines.append(Deadline(time_ns, one.order.number))

    def _takers_of(self, instrument: int, row: Row) -> list[Open]:
        """Those whom the print may serve, by turn. A limit's first print of its side is of its last instant."""
        takers = [one for one in self.open if one.stands == "taking" and one.order.instrument == instrument]
        takers = [one for one in takers if row.side in (0, 1 if one.order.side is Side.BUY else -1)]
        for one in sorted(takers, key=lambda one: one.turn):
            if one.order.price and not one.is_ending:
                one.is_ending = True
                self._end_at(one, row.time_ns)
        inside = [one for one in takers if _inside(one.order, row.price) and not 0 < one.most < row.price]
        return sorted(inside, key=lambda one: one.turn)

    def _clear_way(self, taker: Order, price: int) -> None:
        """Own resting orders at a price or better are met before its print."""
        for maker in self._own_opposite(taker):
            is_near = maker.price <= price if taker.side is Side.BUY else maker.price >= price
            if is_near and self._find(taker.number) and self._find(maker.number):
                self._meet_own(taker, maker, min(taker.remaining, maker.remaining))

    def _give(self, one: Open, position: int, row: Row, left: int) -> int:
        """What the print has for a taker; how many of its lots are gone with that."""
        order, fills = one.order, self.rules.fills
        if self._find(order.number) is None:
            return 0
        ceiling = order.price or one.most
        paid = min(row.price + fills.slippage_ticks, ceiling)
        if order.side is Side.SELL:
            paid = max(row.price - fills.slippage_ticks, order.price)
        wanted = order.remaining - sum(part[2] for part in one.promised)
        if paid > 0 and order.quote_units:
            rest = order.quote_units - order.quote_executed
            wanted = min(wanted, rest // self.books[order.instrument].listing.notional(paid, 1))
        excess = row.lots if fills.share == WHOLE else left
        cap = row.lots if fills.share == WHOLE else left * fills.share // SHARE_ONE
        lots = wanted if fills.share == WHOLE else min(wanted, cap)
        if paid < 1 or lots < 1:
            return 0
        one.promised.append((position, row, lots, paid, excess, cap))
        if order.tif is not TimeInForce.FOK or lots == wanted:
            self._keep_promises(one)
        return 0 if fills.share == WHOLE else lots

    def _keep_promises(self, one: Open) -> None:
        order, promised = one.order, one.promised
        one.promised = []
        if order.tif is TimeInForce.FOK:
            prices = [row.price for _, row, *_ in promised]
            self._clear_way(order, max(prices) if order.side is Side.BUY else min(prices))
        for position, row, lots, paid, excess, cap in promised:
            if self._find(order.number):
                flags = FillFlag(0) if row.side else FillFlag.SIDE_UNKNOWN
                about = About(Rule.TAKER_PRINT, Role.TAKER, position, row, excess=excess, cap=cap, flags=flags)
                self._fill(order, paid, min(lots, order.remaining), about)

    def _stop_taking(self, event: Deadline) -> None:
        """Time is over: a limit rests with what is left, after own orders in its way; what cannot rest expires."""
        one = self._find(event.order)
        if one is None or one.stands != "taking" or one.until_ns != event.time_ns:
            return
        if one.order.price and one.order.tif is TimeInForce.GTC:
            self._take(one.order)
            if self._find(event.order):
                one.order.queued_ns = event.time_ns
                self._rest(one)
        else:
            self._finish(one.order, Status.EXPIRED, Refusal.NO_LIQUIDITY)

    # --- the recorded book --------------------------------------------------------------------------------------------

    def _move(self, event: BookMoved) -> None:
        """A row of quotes, or a message of depth: it changes the book, the queues in it, and reaches who rests."""
        market = self.books[event.instrument]
        book = market.recording
        assert book is not None
        if event.layer == QUOTES:
            book.quote = event.quotes - 1
        else:
            before = {side_price: book.known(*side_price) for side_price in self._levels_with_own(event.instrument)}
            named = self._change(book, event.depth)
            book.is_open = book.is_open or event.time_ns >= book.valid_from_ns
            is_queue = self.rules.fills.resting is Resting.QUEUE
            if book.is_open and is_queue and _is_open(market.listing, event.time_ns):
                self._shorten(market, book, before, named, event.time_ns)
        if event.layer == self._layer(book) and _is_open(market.listing, event.time_ns):
            bid, ask = self._best_recorded(book)
            for side in (Side.BUY, Side.SELL):
                mine = self._own_opposite_of(side.opposite, event.instrument)
                reached = [one for one in mine if (0 < ask <= one.price if side is Side.BUY else bid >= one.price)]
                for order in reached:
                    self._reach(order, book, bid, ask)
        self._call_followers(market)

    def _levels_with_own(self, instrument: int) -> list[tuple[int, int]]:
        orders = [one.order for one in self.open if one.stands == "resting" and one.order.instrument == instrument]
        return [(BID if one.side is Side.BUY else -BID, one.price) for one in orders]

    def _change(self, book: Recording, upto: int) -> list[tuple[int, int]]:
        """Apply the rows of one message; the levels that it names, or takes away."""
        rows = list(enumerate(book.rows))[book.told : upto]
        named = [(side, price) for _, (_, side, price, _, _) in rows]
        if rows[0][1][4] == SNAPSHOT:
            gone = [level for level, (lots, _) in book.levels.items() if lots]
            book.levels |= dict.fromkeys(gone, (0, rows[0][0]))
            named += gone
            bids = [price for side, price in named[: len(rows)] if side == BID]
            asks = [price for side, price in named[: len(rows)] if side != BID]
            book.reach = min(bids, default=INT64_MAX), max(asks, default=0)
        for number, (_, side, price, lots, _) in rows:
            book.levels[side, price] = lots, number
        book.told = upto
        return named

    def _shorten(
        self,
        market: Market,
        book: Recording,
        before: Mapping[tuple[int, int], tuple[int, int] | None],
        named: list[tuple[int, int]],
        time_ns: int,
    ) -> None:
        """People leave the queue when their level shrinks; with a power, prints explain a part of that."""
        power = self.rules.fills.depth_power
        for order in [one.order for one in self.open if one.stands == "resting"]:
            side = BID if order.side is Side.BUY else -BID
            if order.instrument != market.listing.number or (side, order.price) not in named or not order.ahead:
                continue
            was, lots = before[side, order.price], book.levels[side, order.price][0]
            if power and was is not None:
                since_ns = order.queued_ns if was[1] < 0 else max(order.queued_ns, book.rows[was[1]][0])
                explained = sum(
                    row.lots
                    for row in market.rows[: market.position]
                    if since_ns < row.time_ns <= time_ns
                    and row.price == order.price
                    and (row.side <= 0 if side == BID else row.side >= 0)
                )
                gone = max(0, was[0] - lots - explained)
                ahead, behind = order.ahead**power, max(0, was[0] - explained - order.ahead) ** power
                order.ahead -= min(order.ahead, gone * ahead // (ahead + behind))
            order.ahead = min(order.ahead, lots)

    def _layer(self, book: Recording) -> int:
        """The layer that says what is best, 0 for none."""
        by_quotes = QUOTES if book.quote >= 0 else 0
        if self.rules.fills.taker is Taker.QUOTE and book.quotes:
            return by_quotes
        return DEPTH if book.is_open else by_quotes

    def _best_recorded(self, book: Recording) -> tuple[int, int]:
        if self._layer(book) == QUOTES:
            bid, _, ask, _ = book.quotes[book.quote]
            return bid, ask
        bids, asks = book.side(BID), book.side(-BID)
        return bids[0][0] if bids else 0, asks[0][0] if asks else 0

    def _displayed(self, side: Side, book: Recording) -> list[tuple[int, int, int]]:
        """Price, lots and row of what a taker of this side meets."""
        if self._layer(book) == DEPTH:
            return book.side(-BID if side is Side.BUY else BID)
        offers = [(ask, asked) if side is Side.BUY else (bid, wanted) for bid, wanted, ask, asked in book.quotes]
        row = book.quote
        while row and offers[row - 1] == offers[book.quote]:
            row -= 1
        price, lots = offers[row]
        return [(price, lots, row)]

    def _reach(self, order: Order, book: Recording, bid: int, ask: int) -> None:
        """The other side's best price is at the order's own or beyond: a share of what is displayed inside is its."""
        share, layer = self.rules.fills.share, self._layer(book)
        before, order.ahead = order.ahead, 0
        if not self._find(order.number):
            return
        inside = [one for one in self._displayed(order.side, book) if _inside(order, one[0])]
        displayed = sum(lots for _, lots, _ in inside)
        taken = sum(book.taken(layer, order.side, price, row) for price, _, row in inside)
        cap = displayed - taken if share == WHOLE else max(0, displayed * share // SHARE_ONE - taken)
        lots = order.remaining if share == WHOLE else min(order.remaining, cap)
        if not lots:
            return
        left = lots
        for price, at, row in inside:
            got = min(left, at - book.taken(layer, order.side, price, row))
            if got:
                book.had.append((layer, order.side, price, row, got))
                left -= got
        price, _, row = inside[0]
        about = About(
            Rule.MAKER_BOOK, Role.MAKER, row, Row(0, price, displayed, layer), before, 0, displayed - taken, cap,
            bid=bid, ask=ask, kind=QuoteKind.RECORDED,
        )  # fmt: skip
        self._fill(order, order.price, lots, about)

    # --- one order ----------------------------------------------------------------------------------------------------

    def _place(self, event: Arrival, place: Place) -> Order | None:
        """Check, lock, begin. None and a refusal when a check fails."""
        broken = self._check_open(place) or self._check(place) or self._check_market(place)
        if broken:
            self._refuse(event, broken)
            return None
        order = self._made(place, event.decided_ns, event.time_ns)
        broken = self._start(order, event.number, event.time_ns)
        if broken:
            self._refuse(event, broken)
            return None
        return order

    def _start(self, order: Order, request: int, time_ns: int, number: int = 0) -> Broken | None:
        """Lock what it needs and let it begin; or what is missing."""
        if order.type is OrderType.MARKET:
            return self._start_market(order, request, number)
        need = self._need(order)
        free = self._spendable(order)
        if need > free:
            return Refusal.INSUFFICIENT_BALANCE, need, free
        if order.type in (OrderType.LIMIT, OrderType.LIMIT_MAKER):
            order.ahead = self._ahead(order, time_ns)
        one = self._accept(order, request, need, number)
        if order.type in STOP_TYPES:
            self._wait(one, self.books[order.instrument])
        else:
            self._meet_market(one)
        return None

    def _made(self, place: Place, decided_ns: int, time_ns: int) -> Order:
        """The order, without a number: it has one once it is accepted."""
        return Order.of(place, decided_ns, time_ns)

    def _accept(self, order: Order, request: int, lock: int, number: int = 0) -> Open:
        one = self._find(order.number)
        if one is None:
            self.orders_made += 1
            order.number = self.orders_made
            one = Open(order)
            self.open.append(one)
        self._lock(order, lock)
        self.out.append(
            Accepted(order.number, request, order.status, lock, order.ahead, number, order.instrument, order.side)
        )
        return one

    def _wait(self, one: Open, market: Market) -> None:
        self.turns += 1
        one.stands, one.turn = "waiting", self.turns
        if one.order.trailing_bips and not one.order.stop:
            one.order.reference = market.last_price()

    def _rest(self, one: Open) -> None:
        self.turns += 1
        one.stands, one.turn = "resting", self.turns

    def _start_market(self, order: Order, request: int, number: int) -> Broken | None:
        """Take what is there; what is left expires. What the balance cannot pay in full is refused."""
        listing = self.books[order.instrument].listing
        if self.rules.fills.taker is Taker.NEXT_PRINT:
            return self._start_later(order, request, number)
        if order.quote_units:
            lots = sum(one.lots for one in self._matches(order, None, order.quote_units))
            lots -= lots % listing.filters.step_lots
            if lots < max(1, listing.filters.min_lots):
                return Refusal.NO_LIQUIDITY, lots, max(1, listing.filters.min_lots)
            order.lots = order.remaining = lots
        cost = listing.base_units(order.lots)
        if order.side is Side.BUY:
            cost = self._with_fee(self._worth_of(order, self._matches(order, order.lots)))
        free = self._spendable(order)
        if cost > free:
            return Refusal.INSUFFICIENT_BALANCE, cost, free
        self._accept(order, request, 0, number)
        self._take(order)
        if self._find(order.number):
            self._finish(order, Status.EXPIRED, Refusal.NO_LIQUIDITY)
        return None

    def _start_later(self, order: Order, request: int, number: int) -> Broken | None:
        """A MARKET order that takes later prints: its size and its lock by the last one."""
        market, most = self.books[order.instrument], 0
        last = market.last_price()
        if not last:
            return Refusal.NO_LIQUIDITY, 0, 0
        if order.quote_units:
            filters = market.listing.filters
            lots = order.quote_units // market.listing.notional(last, 1)
            lots -= lots % filters.step_lots
            if lots < max(1, filters.min_lots):
                return Refusal.NO_LIQUIDITY, lots, max(1, filters.min_lots)
            order.lots = order.remaining = lots
        need = market.listing.base_units(order.lots)
        if order.side is Side.BUY:
            most = last + self.rules.fills.max_levels
            need = self._with_fee(market.listing.notional(most, order.lots))
            if order.quote_units:
                need = min(need, self._with_fee(order.quote_units))
        free = self._spendable(order)
        if need > free:
            return Refusal.INSUFFICIENT_BALANCE, need, free
        one = self._accept(order, request, need, number)
        one.most = most
        self._take_later(one)
        return None

    def _meet_market(self, one: Open) -> None:
        """A priced order takes what it may, and rests with what is left."""
        order = one.order
        if self.rules.fills.taker is Taker.NEXT_PRINT and not _is_post_only(order.type, order.tif):
            bid, ask = self._best(self.books[order.instrument])
            reaches = 0 < ask <= order.price if order.side is Side.BUY else order.price <= bid
            if reaches or order.tif is not TimeInForce.GTC:
                self._take_later(one)
                return
        if not _is_post_only(order.type, order.tif):
            if order.tif is TimeInForce.FOK:
                matches = self._matches(order, order.remaining)
                if sum(match.lots for match in matches if _executes(order, match)) < order.remaining:
                    self._finish(order, Status.EXPIRED, Refusal.NO_LIQUIDITY)
                    return
            self._take(order)
        if self._find(order.number) is None:
            return
        if order.tif in (TimeInForce.IOC, TimeInForce.FOK):
            self._finish(order, Status.EXPIRED, Refusal.NO_LIQUIDITY)
        else:
            self._rest(one)

    def _enter(self, event: Entry) -> None:
        """A triggered stop meets the market; one that was cancelled since does not."""
        one = self._find(event.order)
        for following in self.following:
            if one is not None and following.is_due and one.order in following.legs:
                self._begin(following, event.time_ns)
                return
        if one is None or one.stands != "triggered":
            return
        order = one.order
        if order.type in LIMITS_OF_STOPS:
            order.ahead = self._ahead(order, event.time_ns)
            self._meet_market(one)
            return
        is_later = self.rules.fills.taker is Taker.NEXT_PRINT
        if order.side is Side.BUY:
            worth = self._worth_of(order, self._matches(order, order.remaining))
            if is_later:
                market = self.books[order.instrument]
                one.most = market.last_price() + self.rules.fills.max_levels
                worth = market.listing.notional(one.most, order.remaining)
            short = self._with_fee(worth) - order.lock
            if short > self._spendable(order):
                self._finish(order, Status.EXPIRED, Refusal.INSUFFICIENT_BALANCE)
                return
            if short > 0:
                self._lock(order, short)
                self.out.append(Changed(order.number, order.status, order.executed, order.remaining, -short))
        if is_later:
            self._take_later(one)
            return
        self._take(order)
        if self._find(order.number):
            self._finish(order, Status.EXPIRED, Refusal.NO_LIQUIDITY)

    # --- taking -------------------------------------------------------------------------------------------------------

    def _best(self, market: Market) -> tuple[int, int]:
        """Best bid and ask that a taker is offered, 0 for none: recorded, or a spread around the last print."""
        spread = self.rules.fills.spread_ticks
        if not _is_open(market.listing, self.now_ns):
            return 0, 0
        if market.recording is not None and self._layer_of_takers(market.recording):
            return self._best_recorded(market.recording)
        if self.rules.fills.taker in (Taker.REST, Taker.WALK) or not market.position:
            return 0, 0
        row = market.rows[market.position - 1]
        if self.rules.fills.taker is Taker.NEXT_PRINT:
            return row.price, row.price
        if row.side > 0:
            return row.price - spread, row.price
        if row.side < 0:
            return row.price, row.price + spread
        return row.price - spread // 2, row.price + spread - spread // 2

    def _layer_of_takers(self, book: Recording) -> int:
        layer = self._layer(book)
        taker = self.rules.fills.taker
        if taker in (Taker.REST, Taker.NEXT_PRINT) or (taker is Taker.WALK and layer == QUOTES):
            return 0
        return layer

    def _recorded_levels(self, side: Side, market: Market, book: Recording, layer: int) -> Iterator[Offer]:
        """Levels of the book; or the best, and behind it an assumed size at each tick."""
        fills, shown = self.rules.fills, self._displayed(side, book)
        rule = Rule.TAKER_WALK
        if shown and shown[0][0] and (layer == QUOTES or fills.taker is Taker.QUOTE):
            (price, lots, row), size, sign = shown[0], self._size(market), 1 if side is Side.BUY else -1
            ticks = range(1, fills.max_levels)
            behind = [(price + sign * tick, size, row) for tick in ticks if price + sign * tick > 0]
            shown = [(price, lots, row), *behind]
            rule = Rule.TAKER_QUOTE
        for number, (price, lots, row) in enumerate(shown, 1):
            left = max(0, lots - book.taken(layer, side, price, row))
            yield Offer(price, left, number, price, left, rule, layer, row)

    def _size(self, market: Market) -> int:
        """Lots assumed at a tick."""
        fills = self.rules.fills
        recent = market.rows[max(0, market.position - 100) : market.position]
        return fills.level_lots if fills.level_lots != AUTO else max(1, -(-sum(row.lots for row in recent) // 20))

    def _levels(self, side: Side, market: Market) -> Iterator[Offer]:
        """The levels with the lots that are offered there."""
        book = market.recording
        if book is not None and _is_open(market.listing, self.now_ns) and (layer := self._layer_of_takers(book)):
            yield from self._recorded_levels(side, market, book, layer)
            return
        bid, ask = self._best(market)
        if not ask or self.rules.fills.taker is Taker.NEXT_PRINT:
            return
        size = self._size(market)
        for level in range(self.rules.fills.max_levels):
            price = ask + level if side is Side.BUY else bid - level
            if price < 1:
                return
            gone = sum(lots for of, at, lots in market.taken if of is side and at == price)
            left = max(0, size - gone)
            yield Offer(price, left, level + 1, price, left)

    def _offers(self, order: Order) -> list[Offer]:
        """What the market offers it inside its limit: slippage moves the price against it, never beyond the limit."""
        fills, side = self.rules.fills, order.side
        offers: list[Offer] = []
        for found in self._levels(side, self.books[order.instrument]):
            level_price, offered = found.level_price, found.offered
            if not _inside(order, level_price):
                continue
            if side is Side.BUY:
                price = level_price + fills.slippage_ticks
                price = min(price, order.price) if order.price else price
            else:
                price = max(level_price - fills.slippage_ticks, order.price)
            lots = offered if fills.share == WHOLE else offered * fills.share // SHARE_ONE
            if lots and price > 0:  # nobody buys at zero or below
                offers.append(found._replace(price=price, lots=lots))
        return offers

    def _matches(self, order: Order, lots: int | None, quote_units: int = 0) -> list[Match]:
        """What the order would meet now, in order: own orders before the market at the same price.

        Bounded by `lots`, or where those are None by what `quote_units` pay for.
        """
        listing = self.books[order.instrument].listing
        own = [one for one in self._own_opposite(order) if _inside(order, one.price)]
        offers = self._offers(order)
        found: list[Match] = []
        while own or offers:
            is_own = bool(own) and not (offers and _is_better(order.side, offers[0].level_price, own[0].price))
            price = own[0].price if is_own else offers[0].price
            want = lots if lots is not None else quote_units // listing.notional(price, 1)
            if want <= 0:
                break
            if is_own:
                maker = own.pop(0)
                available = _met(order.stp, maker.remaining)
                found.append(Match(price, min(want, available), own=maker))
            else:
                offer = offers.pop(0)
                available = offer.lots
                found.append(Match(price, min(want, available), offer=offer))
            if want < available:
                break
            if is_own and order.stp in (SelfTrade.EXPIRE_TAKER, SelfTrade.EXPIRE_BOTH):
                break
            if lots is not None:
                lots -= available
            quote_units -= listing.notional(price, available)
        return found

    def _own_opposite(self, order: Order) -> list[Order]:
        return self._own_opposite_of(order.side, order.instrument)

    def _own_opposite_of(self, side: Side, instrument: int) -> list[Order]:
        """Own resting orders of the other side, best first, then by turn."""
        own = [
            one
            for one in self.open
            if one.stands == "resting" and one.order.instrument == instrument and one.order.side is side.opposite
        ]
        own.sort(key=lambda one: (one.order.price if side is Side.BUY else -one.order.price, one.turn))
        return [one.order for one in own]

    def _worth_of(self, order: Order, matches: list[Match]) -> int:
        """Quote units that the matches trade."""
        listing = self.books[order.instrument].listing
        return sum(listing.notional(one.price, one.lots) for one in matches if _executes(order, one))

    def _take(self, order: Order) -> None:
        market = self.books[order.instrument]
        bid, ask = self._best(market)
        levels = _needed(self._offers(order), order.remaining)
        for match in self._matches(order, order.remaining):
            if match.own is not None:
                self._meet_own(order, match.own, match.lots)
            if match.offer is None:
                continue
            _, _, level, level_price, offered, rule, layer, row = match.offer
            position, kind = market.position - 1, QuoteKind.SYNTHETIC
            if layer:
                assert market.recording is not None
                market.recording.had.append((layer, order.side, level_price, row, match.lots))
                position, kind = row, QuoteKind.RECORDED
            else:
                market.taken.append((order.side, level_price, match.lots))
            about = About(
                rule, Role.TAKER, position, Row(0, level_price, offered, layer), level=level, levels=levels, bid=bid,
                ask=ask, kind=kind,
            )  # fmt: skip
            self._fill(order, match.price, match.lots, about)

    def _meet_own(self, taker: Order, maker: Order, lots: int) -> None:
        """Self-trade prevention: the taker's mode rules. TRANSFER inside one account is DECREMENT."""
        mode = taker.stp
        if mode is SelfTrade.NONE:
            for order, role in ((maker, Role.MAKER), (taker, Role.TAKER)):
                self._fill(order, maker.price, lots, About(Rule.SELF, role, flags=FillFlag.SELF_TRADE))
        elif mode in (SelfTrade.DECREMENT, SelfTrade.TRANSFER):
            for order in (maker, taker):
                self._prevent(order, lots)
        else:
            if mode in (SelfTrade.EXPIRE_MAKER, SelfTrade.EXPIRE_BOTH):
                self._finish(maker, Status.EXPIRED_IN_MATCH)
            if mode in (SelfTrade.EXPIRE_TAKER, SelfTrade.EXPIRE_BOTH):
                self._finish(taker, Status.EXPIRED_IN_MATCH)

    # --- lists --------------------------------------------------------------------------------------------------------

    def _place_list(self, event: Arrival, request: PlaceList) -> None:
        is_pair = request.kind is ListKind.OCO
        broken = self._check_pair(request) if is_pair else self._check_sequence(request)
        if broken:
            self._refuse(event, broken)
            return
        orders = [self._made(place, event.decided_ns, event.time_ns) for place in request.orders]
        need = max(self._need(order) for order in orders) if is_pair else self._need(orders[0])
        free = self._spendable(orders[0])
        if need > free:
            self._refuse(event, (Refusal.INSUFFICIENT_BALANCE, need, free))
            return
        self.lists_made += 1
        if is_pair:
            self._begin_pair(orders, self.lists_made, event.number, need, event.time_ns)
            return
        orders[0].ahead = self._ahead(orders[0], event.time_ns)
        first = self._accept(orders[0], event.number, need, self.lists_made)
        following = Following(self.lists_made, event.number, orders[0], orders[1:], request.orders[1:])
        for order in following.legs:
            order.status = Status.PENDING_NEW
            self._accept(order, event.number, 0, self.lists_made).stands = "pending"
        self.following.append(following)
        self._meet_market(first)

    def _begin_pair(self, orders: list[Order], number: int, request: int, need: int, time_ns: int) -> None:
        pair = OrderList(number, ListKind.OCO)
        pair.legs = orders
        for order, lock in zip(orders, (need, 0), strict=True):
            order.pair = pair
            if order.type in STOP_TYPES:
                self._wait(self._accept(order, request, lock, number), self.books[order.instrument])
            else:
                order.ahead = self._ahead(order, time_ns)
                self._rest(self._accept(order, request, lock, number))

    def _begin(self, following: Following, time_ns: int) -> None:
        """The working order is filled: the others begin as if they arrived now; what would be refused expires."""
        self.following.remove(following)
        legs, places = following.legs, following.places
        for leg in legs:
            leg.status = Status.NEW
        broken = self._check_sides(places[0], places[1]) if len(legs) == 2 else None
        for place in places:
            broken = broken or self._check_open(place) or self._check_market(place)
        if broken is None and len(legs) == 2:
            need = max(self._need(leg) for leg in legs)
            free = self._spendable(legs[0])
            if need <= free:
                self._begin_pair(legs, following.number, following.request, need, time_ns)
                return
            broken = Refusal.INSUFFICIENT_BALANCE, need, free
        broken = broken or self._start(legs[0], following.request, time_ns, following.number)
        if broken:
            for leg in legs:
                self._finish(leg, Status.EXPIRED, broken[0])

    def _check_sequence(self, request: PlaceList) -> Broken | None:
        """OTO and OTOCO: a working order that may rest, then one order or a pair."""
        count = 2 if request.kind is ListKind.OTO else 3
        if len(request.orders) != count:
            return Refusal.BAD_COMBINATION, int(request.kind), len(request.orders)
        first = request.orders[0]
        may_rest = first.tif in (TimeInForce.GTC, TimeInForce.GTX)
        if first.type not in (OrderType.LIMIT, OrderType.LIMIT_MAKER) or not may_rest:
            return Refusal.BAD_COMBINATION, int(first.type), int(first.tif)
        for place in request.orders[1:]:
            if place.instrument != first.instrument or place.quote_units:
                return Refusal.BAD_COMBINATION, place.instrument, first.instrument
        broken = self._check_legs(request.orders[1], request.orders[2]) if count == 3 else None
        for number, place in enumerate(request.orders):
            broken = broken or self._check(place, beside=request.orders[:number])
        return broken or self._check_market(first)

    def _check_pair(self, request: PlaceList) -> Broken | None:
        """Each leg by itself, then the two beside the last price, then against the market."""
        if len(request.orders) != 2:
            return Refusal.BAD_COMBINATION, int(request.kind), len(request.orders)
        profit, stop = request.orders
        broken = self._check_legs(profit, stop) or self._check(profit) or self._check(stop, beside=[profit])
        broken = broken or self._check_sides(profit, stop)
        return broken or self._check_market(profit) or self._check_market(stop)

    def _check_legs(self, profit: Place, stop: Place) -> Broken | None:
        if profit.type not in PROFITS or stop.type not in LOSSES:
            return Refusal.BAD_COMBINATION, int(profit.type), int(stop.type)
        if profit.side is not stop.side or profit.lots != stop.lots or profit.instrument != stop.instrument:
            return Refusal.BAD_COMBINATION, profit.lots, stop.lots
        return None

    def _check_sides(self, profit: Place, stop: Place) -> Broken | None:
        last = self.books[profit.instrument].last_price()
        for leg, is_above in ((profit, profit.side is Side.SELL), (stop, profit.side is Side.BUY)):
            price = leg.stop or (0 if leg.trailing_bips else leg.price)
            if last and price and not (price > last if is_above else price < last):
                return Refusal.LIST_PRICES, price, last
        return None

    # --- changes ------------------------------------------------------------------------------------------------------

    def _cancel(self, event: Arrival, cancel: Cancel) -> None:
        mine = [one.order for one in self.open if one.order.instrument == cancel.instrument]
        if cancel.number:
            wanted = [order for order in mine if order.number == cancel.number]
        else:
            wanted = [order for order in mine if order.client == cancel.client != 0]
        if not wanted:
            self._refuse(event, (Refusal.UNKNOWN_ORDER, cancel.number or cancel.client, 0), cancel.number)
            return
        self._finish(wanted[0], Status.CANCELED)

    def _cancel_all(self, event: Arrival, cancel: CancelAll) -> None:
        orders = [one.order for one in self.open if one.order.instrument == cancel.instrument]
        if not orders:
            self._refuse(event, (Refusal.UNKNOWN_ORDER, cancel.instrument, 0))
        for order in orders:
            if self._find(order.number):
                self._finish(order, Status.CANCELED)

    def _amend(self, event: Arrival, amend: Amend) -> None:
        """Fewer lots, the place in the queue kept."""
        one = self._find(amend.number)
        if one is None or one.order.instrument != amend.instrument:
            self._refuse(event, (Refusal.UNKNOWN_ORDER, amend.number, 0), amend.number)
            return
        order = one.order
        broken: Broken | None = None
        if (
            order.pair is not None
            or self._list_of(order)
            or one.most
            or not order.executed + order.prevented < amend.lots < order.lots
        ):
            broken = Refusal.NO_CHANGE, amend.lots, order.lots
        broken = broken or self._check_price(order.instrument, order.price)
        broken = broken or self._check_price(order.instrument, order.stop)
        broken = broken or self._check_lots(order.type, order.instrument, amend.lots)
        broken = broken or self._check_notional(order.instrument, order.price or order.stop, amend.lots, 0)
        if broken:
            self._refuse(event, broken, amend.number)
            return
        order.lots = amend.lots
        order.remaining = amend.lots - order.executed - order.prevented
        released = self._release(order, min(order.lock, self._need(order)))
        self.out.append(Changed(order.number, order.status, order.executed, order.remaining, released))

    def _replace(self, event: Arrival, request: Replace) -> None:
        """Cancel and new in one arrival. A new order that is wrong in itself leaves the old one as it is."""
        one = self._find(request.number)
        if one is None or one.order.instrument != request.order.instrument:
            self._refuse(event, (Refusal.UNKNOWN_ORDER, request.number, 0), request.number)
            return
        gone = one.order.pair.legs if one.order.pair is not None else [one.order]
        for following in self._list_of(one.order):
            gone = [following.working, *following.legs]
        broken = self._check_open(request.order) or self._check(request.order, without=gone)
        if broken:
            self._refuse(event, broken, request.number)
            return
        self._finish(one.order, Status.CANCELED)
        self._place(event, request.order)

    def _quote(self, event: Arrival, quote: Quote) -> None:
        """The standing pair: cancels first, then the bid, then the ask."""
        market = self.books.get(quote.instrument)
        if market is None:
            self._refuse(event, (Refusal.UNKNOWN_INSTRUMENT, quote.instrument, 0))
            return
        bid, bid_gone, bid_released = self._withdraw(market.bid, quote.bid, quote)
        ask, ask_gone, ask_released = self._withdraw(market.ask, quote.ask, quote)
        bid_kept, ask_kept = bid is not None, ask is not None
        told = len(self.out)
        bid_lock = ask_lock = 0
        if quote.bid and bid is None:
            bid, bid_lock = self._pair_side(event, quote, Side.BUY, quote.bid)
        if quote.ask and ask is None:
            ask, ask_lock = self._pair_side(event, quote, Side.SELL, quote.ask)
        market.bid, market.ask = bid.number if bid else 0, ask.number if ask else 0
        self.out.insert(
            told,
            Quoted(
                event.number, quote.instrument, market.bid, market.ask, bid_lock, ask_lock, bid_kept, ask_kept,
                bid_gone, ask_gone, bid_released, ask_released, bid.ahead if bid else 0, ask.ahead if ask else 0,
            ),
        )  # fmt: skip

    def _withdraw(self, number: int, price: int, quote: Quote) -> tuple[Order | None, int, int]:
        """One side of the pair: the order that stays, or the number of the one withdrawn and what it sets free."""
        one = self._find(number)
        if one is None:
            return None, 0, 0
        order = one.order
        if quote.keep and order.price == price and order.remaining == order.lots == quote.lots:
            return order, 0, 0
        self._finish(order, Status.CANCELED)
        last = self.out.pop()  # told with the pair
        assert isinstance(last, Changed)
        return None, number, last.released

    def _pair_side(self, event: Arrival, quote: Quote, side: Side, price: int) -> tuple[Order | None, int]:
        """A limit order for one side of the pair, and what it locked; that it is accepted is told with the pair."""
        kind = OrderType.LIMIT_MAKER if quote.post_only else OrderType.LIMIT
        order = self._place(event, Place(quote.instrument, side, kind, quote.lots, price))
        if order is None:
            return None, 0
        (accepted,) = (one for one in self.out if isinstance(one, Accepted) and one.number == order.number)
        self.out.remove(accepted)
        return order, accepted.lock

    # --- checks -------------------------------------------------------------------------------------------------------

    def _check(self, place: Place, without: Sequence[Order] = (), beside: Sequence[Place] = ()) -> Broken | None:
        """What a request must be in itself, and beside the open orders (but `without` some, and with some `beside`)."""
        if place.instrument not in self.books:
            return Refusal.UNKNOWN_INSTRUMENT, place.instrument, 0
        open_orders = [one.order for one in self.open if one.order not in without]
        clients = [order.client for order in open_orders] + ([one.client for one in beside])
        mine = [order.type for order in open_orders if order.instrument == place.instrument]
        mine += [one.type for one in beside]
        broken = _check_combination(place)
        broken = broken or self._check_price(place.instrument, place.price)
        broken = broken or self._check_price(place.instrument, place.stop)
        broken = broken or self._check_band(place)
        broken = broken or self._check_lots(place.type, place.instrument, place.lots)
        broken = broken or self._check_notional(
            place.instrument, place.price or place.stop, place.lots, place.quote_units
        )
        broken = broken or self._check_trailing(place) or self._check_counts(place, mine)
        if broken is None and place.client and place.client in clients:
            return Refusal.DUPLICATE, place.client, 0
        return broken

    def _check_price(self, instrument: int, price: int) -> Broken | None:
        filters = self.books[instrument].listing.filters
        low, high = filters.min_price_ticks, filters.max_price_ticks
        broken = _bounded(Refusal.PRICE_FILTER, price, low, high) if price else None
        if broken is None and price % filters.step_ticks:
            broken = Refusal.PRICE_FILTER, price, filters.step_ticks
        return broken

    def _check_band(self, place: Place) -> Broken | None:
        """A limit price beside the average of the last minutes of trades, print by print."""
        market = self.books[place.instrument]
        filters, last = market.listing.filters, market.last_price()
        if not (place.price and last):
            return None
        average = Fraction(last)
        if filters.avg_price_mins and not market.has_bars:
            told = market.rows[: market.position]
            since_ns = told[-1].time_ns - filters.avg_price_mins * 60 * 10**9
            recent = [row for row in told if row.time_ns > since_ns]
            average = Fraction(sum(row.price * row.lots for row in recent), sum(row.lots for row in recent))
        bid, ask = (filters.bid_down, filters.bid_up), (filters.ask_down, filters.ask_up)
        down, up = bid if place.side is Side.BUY else ask
        refusal = Refusal.PERCENT_PRICE if bid == ask else Refusal.PERCENT_PRICE_BY_SIDE
        highest, lowest = average * Fraction(up, RATE_ONE), average * Fraction(down, RATE_ONE)
        if up and place.price > highest:
            return refusal, place.price, floor(highest)
        if down and place.price < lowest:
            return refusal, place.price, ceil(lowest)
        return None

    def _check_lots(self, kind: OrderType, instrument: int, lots: int) -> Broken | None:
        filters = self.books[instrument].listing.filters
        if not lots:
            return None
        broken = _bounded(Refusal.LOT_SIZE, lots, filters.min_lots, filters.max_lots)
        if broken is None and lots % filters.step_lots:
            broken = Refusal.LOT_SIZE, lots, filters.step_lots
        if broken is None and kind is OrderType.MARKET:
            broken = _bounded(Refusal.MARKET_LOT_SIZE, lots, 0, filters.market_max_lots)
        return broken

    def _check_notional(self, instrument: int, price: int, lots: int, quote_units: int) -> Broken | None:
        market = self.books[instrument]
        filters = market.listing.filters
        worth = quote_units or market.listing.notional(price or market.last_price(), lots)
        return _bounded(Refusal.NOTIONAL, worth, filters.min_notional_units, filters.max_notional_units)

    def _check_trailing(self, place: Place) -> Broken | None:
        filters = self.books[place.instrument].listing.filters
        if not place.trailing_bips:
            return None
        low, high = filters.min_trailing_bips, filters.max_trailing_bips
        return _bounded(Refusal.TRAILING_DELTA, place.trailing_bips, low, high)

    def _check_counts(self, place: Place, mine: list[OrderType]) -> Broken | None:
        """Open orders of the instrument, with the new one."""
        filters = self.books[place.instrument].listing.filters
        broken = _bounded(Refusal.MAX_ORDERS, len(mine) + 1, 0, filters.max_orders)
        if broken is None and place.type in STOP_TYPES:
            stops = sum(kind in STOP_TYPES for kind in mine)
            broken = _bounded(Refusal.MAX_STOP_ORDERS, stops + 1, 0, filters.max_stop_orders)
        return broken

    def _check_open(self, place: Place) -> Broken | None:
        """What cannot rest is refused while the market is closed; told when it opens."""
        market = self.books.get(place.instrument)
        is_now = place.type is OrderType.MARKET or (
            place.type is OrderType.LIMIT and place.tif in (TimeInForce.IOC, TimeInForce.FOK)
        )
        if market is None or not is_now or _is_open(market.listing, self.now_ns):
            return None
        hours = market.listing.hours
        assert hours is not None
        later = [one for one in hours.open_ns if one > self.now_ns]
        return Refusal.MARKET_CLOSED, self.now_ns, min(later, default=0)

    def _check_market(self, place: Place) -> Broken | None:
        """Would trigger, would take, would find nothing to take."""
        market = self.books[place.instrument]
        last = market.last_price()
        if last and place.type in STOP_TYPES and not place.trailing_bips and _is_met(place, last):
            return Refusal.WOULD_TRIGGER, last, place.stop
        if _is_post_only(place.type, place.tif):
            bid, ask = self._best(market)
            offered = [ask if place.side is Side.BUY else bid]
            offered += [
                one.order.price
                for one in self.open
                if one.stands == "resting"
                and one.order.instrument == place.instrument
                and one.order.side is place.side.opposite
            ]
            offered = [price for price in offered if price > 0]
            if offered and place.side is Side.BUY and place.price >= min(offered):
                return Refusal.WOULD_TAKE, place.price, min(offered)
            if offered and place.side is Side.SELL and place.price <= max(offered):
                return Refusal.WOULD_TAKE, place.price, max(offered)
        if place.type is OrderType.MARKET and self.rules.fills.taker is Taker.REST:
            return Refusal.NO_LIQUIDITY, 0, 0
        return None

    # --- state and money ----------------------------------------------------------------------------------------------

    def _find(self, number: int) -> Open | None:
        for one in self.open:
            if one.order.number == number:
                return one
        return None

    def _asset(self, name: str) -> int | None:
        for number, asset in enumerate(self.assets):
            if asset.name == name:
                return number
        return None

    def _number(self, asset: Asset) -> int:
        return self.assets.index(asset)

    def _lock_asset(self, order: Order) -> int:
        listing = self.books[order.instrument].listing
        return self._number(listing.quote if order.side is Side.BUY else listing.base)

    def _ahead(self, order: Order, time_ns: int) -> int:
        """Lots of other people before it: fixed, as displayed, or a model of the last minute."""
        fills = self.rules.fills
        if fills.resting is not Resting.QUEUE:
            return 0
        order.queued_ns = time_ns
        if fills.ahead != AUTO:
            return fills.ahead
        market = self.books[order.instrument]
        if market.recording is not None and market.recording.is_open:
            side = BID if order.side is Side.BUY else -BID
            best = market.recording.side(side)
            if not best or _is_better(order.side.opposite, order.price, best[0][0]):
                return 0
            found = market.recording.known(side, order.price)
            if found is not None:
                return found[0]
        recent = [row for row in market.rows[: market.position] if row.time_ns > time_ns - MINUTE_NS]
        prices: list[int] = []
        for row in recent:
            if row.price not in prices:
                prices.append(row.price)
        if not prices:
            return 0
        here = sum(row.lots for row in recent if row.price == order.price)
        return max(here, -(-sum(row.lots for row in recent) // len(prices)))

    def _with_fee(self, notional: int) -> int:
        """What a BUY can cost in the quote, fees taken from there included."""
        fees = self.rules.fees
        return notional + (reserve_units(notional, max(fees.maker, fees.taker)) if fees.asset is FeeAsset.QUOTE else 0)

    def _need(self, order: Order) -> int:
        """Units to set aside for the remainder."""
        market = self.books[order.instrument]
        if order.side is Side.SELL:
            return market.listing.base_units(order.remaining)
        return self._with_fee(
            market.listing.notional(order.price or order.stop or market.last_price(), order.remaining)
        )

    def _spendable(self, order: Order) -> int:
        """Units that it may lock."""
        return self.ledger.free[self._lock_asset(order)]

    def _lock(self, order: Order, units: int) -> None:
        self.ledger.lock(self._lock_asset(order), units)
        order.lock += units

    def _release(self, order: Order, keep: int) -> int:
        units = order.lock - keep
        self.ledger.release(self._lock_asset(order), units)
        order.lock = keep
        return units

    def _finish(self, order: Order, status: Status, reason: int = 0) -> None:
        """It ends; so does the other leg of its pair."""
        order.status = status
        self.open = [one for one in self.open if one.order is not order]
        released = self._release(order, 0)
        self.out.append(Changed(order.number, status, order.executed, order.remaining, released, reason))
        for other in self._mates(order) + self._followers(order):
            self._finish(other, status if status is Status.CANCELED else Status.EXPIRED, reason)

    def _mates(self, order: Order) -> list[Order]:
        """Open orders of its pair, which is no pair from now on."""
        if order.pair is None:
            return []
        mates = [one for one in order.pair.legs if one is not order and self._find(one.number)]
        for one in [order, *mates]:
            one.pair = None
        return mates

    def _list_of(self, order: Order) -> list[Following]:
        return [one for one in self.following if order is one.working or order in one.legs]

    def _followers(self, order: Order) -> list[Order]:
        """The other open orders of its list, which is no list from now on."""
        found: list[Order] = []
        for following in self._list_of(order):
            self.following.remove(following)
            found = [one for one in (following.working, *following.legs) if one is not order and self._find(one.number)]
        return found

    def _end_mates(self, order: Order) -> None:
        """The first fill or trigger of a leg expires the other, and takes over the lock of both."""
        for other in self._mates(order):
            order.lock, other.lock = order.lock + other.lock, 0
            other.status = Status.EXPIRED
            self.open = [one for one in self.open if one.order is not other]
            released = self._release(order, min(order.lock, self._need(order)))
            self.out.append(Changed(other.number, Status.EXPIRED, other.executed, other.remaining, released))

    def _prevent(self, order: Order, lots: int) -> None:
        """Self-trade prevention takes lots from an order."""
        self._end_mates(order)
        order.remaining -= lots
        order.prevented += lots
        if not order.remaining:
            self._finish(order, Status.EXPIRED_IN_MATCH)
            return
        released = self._release(order, self._keep(order))
        self.out.append(Changed(order.number, order.status, order.executed, order.remaining, released))

    def _keep(self, order: Order) -> int:
        """What its lock must still hold. One that buys without a limit keeps all of it until it ends."""
        if not order.remaining:
            return 0
        if order.side is Side.BUY and order.type not in PRICED_TYPES:
            return order.lock
        return min(order.lock, self._need(order))

    def _fill(self, order: Order, price: int, lots: int, about: About) -> None:
        self._end_mates(order)
        listing = self.books[order.instrument].listing
        order.remaining -= lots
        order.executed += lots
        order.quote_executed += listing.notional(price, lots)
        order.status = Status.PARTIALLY_FILLED if order.remaining else Status.FILLED
        rate, fee, fee_asset, released, is_locked, is_fee_locked = self._settle(order, price, lots, about.role)
        self.fills_made += 1
        self.out.append(
            Filled(
                order.number, self.fills_made, order.instrument, order.side, price, lots, order.remaining,
                order.status, about.rule, about.role, about.position, about.row.price, about.row.lots, about.row.side,
                about.ahead_before, about.ahead_after, about.excess, about.cap, about.level, about.levels, about.bid,
                about.ask, about.kind, order.decided_ns, order.arrived_ns, rate, fee, fee_asset, about.flags,
                released, self._number(listing.base), self._number(listing.quote), listing.base_units(lots),
                listing.notional(price, lots), is_locked, is_fee_locked,
            )
        )  # fmt: skip
        if not order.remaining:
            self.open = [one for one in self.open if one.order is not order]

    def _settle(self, order: Order, price: int, lots: int, role: Role) -> Settled:
        """Pay, receive, charge, release."""
        listing, ledger = self.books[order.instrument].listing, self.ledger
        paid, received = listing.notional(price, lots), listing.base_units(lots)
        pays, gets = self._number(listing.quote), self._number(listing.base)
        if order.side is Side.SELL:
            paid, received, pays, gets = received, paid, gets, pays
        is_locked = order.lock > 0
        ledger.trade(pays, paid, gets, received, is_locked)
        order.lock -= paid if is_locked else 0
        rate, fee, asset = self._fee(listing, listing.notional(price, lots), received, gets, role)
        is_fee_locked = self.rules.fees.asset is FeeAsset.QUOTE and order.side is Side.BUY and order.lock >= fee > 0
        ledger.charge(asset, fee, is_fee_locked)
        order.lock -= fee if is_fee_locked else 0
        return rate, fee, asset, self._release(order, self._keep(order)), is_locked, is_fee_locked

    def _fee(self, listing: Listing, notional: int, received: int, gets: int, role: Role) -> tuple[int, int, int]:
        """Rate, fee in units, the asset that pays it."""
        fees = self.rules.fees
        rate = fees.maker if role is Role.MAKER else fees.taker
        if fees.asset is FeeAsset.QUOTE:
            return rate, fee_units(notional, rate), self._number(listing.quote)
        other = self._asset(fees.other)
        if fees.asset is FeeAsset.OTHER and other is not None and rate >= 0:
            reduced = rate * fees.discount // RATE_ONE
            units, worth = self._price_of(fees.other, listing.quote.name)
            if worth and (fee := notional * units * reduced // (worth * RATE_ONE)) <= self.ledger.free[other]:
                return reduced, fee, other
        return rate, fee_units(received, rate), gets

    def _price_of(self, asset: str, quote: str) -> tuple[int, int]:
        """So many units of the asset cost so many of the quote, by the last print; (0, 0) where none says."""
        if asset == quote:
            return 1, 1
        for market in self.books.values():
            if market.listing.base.name == asset and market.listing.quote.name == quote and market.last_price():
                return market.listing.lot_unit, market.listing.notional(market.last_price(), 1)
        return 0, 0


def _rows(prints: Prints | Bars) -> list[Row]:
    if not isinstance(prints, Prints):
        raise Invalid("the naive venue walks prints, and this instrument has candles only", hint="take runner jump")
    columns = (one.tolist() for one in (prints.time_ns, prints.price, prints.lots, prints.side))
    return [Row(*row) for row in zip(*columns, strict=True)]


def _is_open(listing: Listing, time_ns: int) -> bool:
    """Whether an instant lies inside the trading hours; a listing without any never closes."""
    hours = listing.hours
    if hours is None:
        return True
    return any(start <= time_ns < end for start, end in zip(hours.open_ns, hours.close_ns, strict=True))


def _recording(recorded: Recorded) -> Recording:
    quotes, depth = recorded.quotes, recorded.ladder.depth if recorded.ladder is not None else None
    found = Recording([], [], INT64_MAX if depth is None else depth.valid_from_ns)
    if quotes is not None:
        columns = (one.tolist() for one in (quotes.bid, quotes.bid_qty, quotes.ask, quotes.ask_qty))
        found.quotes = list(zip(*columns, strict=True))
    if depth is not None:
        columns = (one.tolist() for one in (depth.time_ns, depth.side, depth.price, depth.size, depth.kind))
        found.rows = list(zip(*columns, strict=True))
    return found


def _needed(offers: list[Offer], lots: int) -> int:
    """How many offers count as levels of an order's way: of a book those that it needs, of a quote all."""
    for number, one in enumerate(offers, 1):
        lots -= one.lots
        if one.rule is Rule.TAKER_WALK and lots <= 0:
            return number
    return len(offers)


def _touches(one: Open, instrument: int, row: Row) -> bool:
    """Whether a print of the opposite aggressor stands at the price of a resting order, or beyond it."""
    order = one.order
    if one.stands != "resting" or order.instrument != instrument:
        return False
    if order.side is Side.BUY:
        return row.side <= 0 and row.price <= order.price
    return row.side >= 0 and row.price >= order.price


def _is_met(order: Order | Place, price: int) -> bool:
    """Whether a price meets the condition of a stop: a loss of a BUY and a profit of a SELL wait for a rise."""
    rises = (order.type in LOSSES) == (order.side is Side.BUY)
    return price >= order.stop if rises else price <= order.stop


def _fires(order: Order, price: int) -> bool:
    """Whether a print sets a stop off; a trailing one takes note of it."""
    is_met = _is_met(order, price)
    if not order.trailing_bips:
        return is_met
    if not order.reference:
        if is_met or not order.stop:
            order.reference = price
        return False
    if order.side is Side.BUY:
        order.reference = min(order.reference, price)
        return price * 10_000 >= order.reference * (10_000 + order.trailing_bips)
    order.reference = max(order.reference, price)
    return price * 10_000 <= order.reference * (10_000 - order.trailing_bips)


def _is_post_only(kind: OrderType, tif: TimeInForce) -> bool:
    return kind is OrderType.LIMIT_MAKER or tif is TimeInForce.GTX


def _inside(order: Order, price: int) -> bool:
    """Whether the order may trade at a price."""
    if not order.price:
        return True
    return price <= order.price if order.side is Side.BUY else price >= order.price


def _is_better(side: Side, price: int, other: int) -> bool:
    return price < other if side is Side.BUY else price > other


def _met(mode: SelfTrade, remaining: int) -> int:
    """Lots of an own order that a taker trades with, or that each loses to the other."""
    return remaining if mode in (SelfTrade.NONE, SelfTrade.DECREMENT, SelfTrade.TRANSFER) else 0


def _executes(order: Order, match: Match) -> bool:
    return match.own is None or order.stp is SelfTrade.NONE


def _bounded(code: Refusal, value: int, low: int, high: int) -> Broken | None:
    """A filter; a bound of 0 is none."""
    if low and value < low:
        return code, value, low
    return (code, value, high) if high and value > high else None


def _check_combination(place: Place) -> Broken | None:
    """Type, time in force and fields must go together; every number an int64 that is not negative."""
    for number in (place.lots, place.price, place.stop, place.trailing_bips, place.quote_units):
        if number != number // 1:  # a fraction, infinite, or no number at all
            return Refusal.BAD_COMBINATION, 0, 0
        if not 0 <= number <= INT64_MAX:
            return Refusal.BAD_COMBINATION, min(max(number, -INT64_MAX), INT64_MAX), 0
    if place.quote_units and (place.lots or place.type is not OrderType.MARKET):
        return Refusal.BAD_COMBINATION, place.lots, 0
    if not place.lots and not place.quote_units:
        return Refusal.LOT_SIZE, 0, 0
    if place.type in PRICED_TYPES and not place.price:
        return Refusal.PRICE_FILTER, 0, 0
    if place.price and place.type not in PRICED_TYPES:
        return Refusal.BAD_COMBINATION, place.price, 0
    if (place.type in STOP_TYPES) != bool(place.stop or place.trailing_bips):
        return Refusal.BAD_COMBINATION, place.stop, 0
    allowed = [TimeInForce.GTC]
    if place.type in (OrderType.LIMIT, *LIMITS_OF_STOPS):
        allowed += [TimeInForce.IOC, TimeInForce.FOK]
    if place.type is OrderType.LIMIT:
        allowed.append(TimeInForce.GTX)
    return None if place.tif in allowed else (Refusal.BAD_COMBINATION, int(place.tif), 0)
