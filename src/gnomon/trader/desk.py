"""The desk: everything that a trader may see and do, as of its clock.

Reading goes through the ports of `market`; what they answer is checked for stamps beyond now and counted into the
decision log. Doing leaves requests in `outbox`, which whoever drives the desk takes. What the venue says is heard when
it is due, and digested when something is read.

Prices read as floats, money and quantities as `Decimal`; integer twins end in `_ticks`, `_lots`, `_units`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final, NoReturn

import numpy as np

from gnomon import chance
from gnomon.clock import Timeframe, iso, parse_instant
from gnomon.errors import Conflict, Exhausted, Invalid, NotFound, Refused, Unavailable, nearest
from gnomon.exchange.listing import Filters, Listing
from gnomon.exchange.order import (
    Amend,
    Cancel,
    CancelAll,
    ListKind,
    OrderType,
    Place,
    PlaceList,
    Quote,
    Replace,
    Request,
    Side,
)
from gnomon.market.candles import Candles
from gnomon.market.events import CalendarEvent
from gnomon.trader import limits as ceilings
from gnomon.trader import sizing, targets, ticket
from gnomon.trader.account import Account
from gnomon.trader.brackets import Bracket
from gnomon.trader.calc import calc
from gnomon.trader.decisions import Decision, Diary, Seen, packed_alone
from gnomon.trader.events import BestQuote, Timer
from gnomon.trader.market import Book, Depth, Document, Issued, Market, News, Printed
from gnomon.trader.orders import Blotter, Fill, Heard, Late, Order, OrderRequest, Rejected, Working, hear
from gnomon.trader.panel import Panel, panel_of
from gnomon.trader.plan import Plan
from gnomon.trader.sizing import Number
from gnomon.trader.ticket import Purse, Size, Wish
from gnomon.units import DAY_NS, INT64_MAX
from gnomon.units import decimal as exact

OWN: Final = ""
"""The name of the alarm that means: something of one's own is due."""

WATCH: Final = "\n"
"""Of the alarm that means: prices are to be watched."""

UP, DOWN = 1, 2

KEPT_HEARD: Final = 65_536
"""Answers that may wait to be read; then they are taken in, so that memory stays bounded."""

Hook = Callable[[Any, Any], object]

NO_CEILING: Final = INT64_MAX
CLIENT_ID: Final = re.compile(r"[A-Za-z0-9._:/-]{1,36}")

_make = tuple.__new__


class Finished(BaseException):
    """A trader has called `finish`: not an error, and nothing that a strategy's `except Exception` should stop."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Desk:
    """One trader's desk in one session."""

    __slots__ = (
        "_account",
        "_asked",
        "_bar",
        "_bar_end_ns",
        "_bar_first",
        "_bar_orders",
        "_blotter",
        "_bounds_orders",
        "_brackets",
        "_by_id",
        "_ceiling",
        "_closed",
        "_decision_ns",
        "_depth",
        "_diary",
        "_draws",
        "_every",
        "_forecasts",
        "_frame_ns",
        "_has_new_rules",
        "_heard",
        "_is_listening",
        "_listings",
        "_market",
        "_metrics",
        "_news",
        "_notes",
        "_on_fill",
        "_on_order",
        "_on_timer",
        "_prices",
        "_quotes",
        "_requests",
        "_seen",
        "_unnamed",
        "alarms",
        "is_deciding",
        "now_ns",
        "outbox",
        "session",
        "trader",
        "watches",
    )

    def __init__(
        self,
        plan: Plan,
        market: Market,
        news: News | None = None,
        depth: Depth | None = None,
        diary: Diary | None = None,
    ) -> None:
        self.session = plan
        self.now_ns = plan.start_ns
        self.outbox: list[Request] = []
        self.alarms: list[tuple[int, str]] = []
        self.watches: list[tuple[int, int, int]] = []  # asked for: instrument, direction, ticks
        self.trader: Any = None
        self._market, self._news, self._depth, self._diary = market, news, depth, diary
        self._listings = {one.id: one for one in plan.listings}
        self._heard: list[Heard] = []
        self._account = Account(self, plan.listings, plan.balances, self._heard)
        funds = self._account.of_instrument
        self._blotter = Blotter(self, plan.listings, funds, self._heard, plan.id_of)
        self._quotes = self._blotter.quotes
        self._by_id: dict[str, Order] = {}
        self._unnamed: list[Order] = []  # whose ids nobody has asked for yet
        self._brackets: list[Bracket] = []
        self._is_listening = False
        self._every: dict[str, int] = {}
        self._draws: dict[str, int] = {}
        self._on_order: Hook | None = None
        self._on_fill: Hook | None = None
        self._on_timer: Hook | None = None
        self._requests = 0
        self._asked = 0  # orders with a client id, ever: their ordinals
        self._bar = self._bar_first = self._bar_orders = 0
        self._frame_ns = plan.timeframe.nominal_ns
        self._bar_end_ns = plan.bar_end_ns(0)
        self._bounds_orders = bool(plan.limits.open_orders or plan.limits.notional_pct)
        self._ceiling = plan.limits.orders_per_bar or NO_CEILING
        self._closed = ""
        self._has_new_rules = False
        self._seen: Seen | None = None
        self.is_deciding = False  # something was read or said since the last decision was closed
        self._decision_ns = 0
        self._forecasts: list[str] = []
        self._notes: list[str] = []
        self._prices: dict[int, tuple[int, int, int]] = {}  # now, when knowable, ticks: one answer an instant
        self._metrics: list[tuple[str, float]] = []

    # --- time ---------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """The clock, UTC ns."""
        return self.now_ns

    @property
    def day(self) -> int:
        """Of the session, from 1."""
        return (self.now_ns - self.session.start_ns) // DAY_NS + 1

    @property
    def date(self) -> str:
        """The day in UTC, ISO 8601."""
        return iso(self.now_ns)[:10]

    def rng(self, name: str) -> np.random.Generator:
        """The next generator of this name. It belongs to run, name and number, so that no other draw moves it."""
        number = self._draws[name] = self._draws.get(name, 0) + 1
        return chance.generator(self.session.seed, "desk", self.session.entry, name, number)

    # --- see ----------------------------------------------------------------------------------------------------------

    def candles(
        self, instrument: str | int, n: int = 100, timeframe: str | None = None, until: int | str | None = None
    ) -> Candles:
        """The newest `n` closed bars, oldest first; those that were knowable at `until`, which is not after now."""
        listing, at_ns = self._listing(instrument), self._as_of(until)
        if n < 1:
            raise Invalid(f"{n} candles", hint="at least one")
        frame = self._timeframe(timeframe)
        found = self._market.candles(listing.number, frame, n, at_ns)
        self._check_stamp("candles", int(found.knowable_ns[-1]) if len(found) else at_ns, at_ns)
        self._read("candles", listing.id, str(frame), n, *found.columns().values())
        return found

    def price(self, instrument: str | int) -> float | None:
        """The newest price that is known, None before the first."""
        ticks = self.price_ticks(instrument)
        return sizing.price_of(self._listing(instrument), ticks) if ticks else None

    def price_ticks(self, instrument: str | int = 0) -> int:
        """In ticks, 0 before the first."""
        return self._last_ticks(self._listing(instrument).number)

    def _last_ticks(self, number: int) -> int:
        known = self._prices.get(number)
        if known is not None and known[0] == self.now_ns:
            knowable_ns, ticks = known[1], known[2]
        else:
            last = self._market.last(number, self.now_ns)
            knowable_ns, ticks = (0, 0) if last is None else last
            self._check_stamp("price", knowable_ns, self.now_ns)
            self._prices[number] = self.now_ns, knowable_ns, ticks
        self._open_decision().add_price(number, knowable_ns, ticks)
        return ticks

    def best(self, instrument: str | int) -> BestQuote | None:
        """Best bid and ask, in ticks and lots; None where nothing is known."""
        found = self._market.best(self._listing(instrument).number, self.now_ns)
        if found is not None:
            self._check_stamp("best", found.time_ns, self.now_ns)
        self._read("best", found)
        return found

    def book(self, instrument: str | int, depth: int = 10) -> Book | None:
        """Price levels, best first; `Unavailable` where no depth is recorded."""
        if self._depth is None:
            raise Unavailable("this session has no order books", hint="use best(), or a dataset with depth")
        found = self._depth.book(self._listing(instrument).number, depth, self.now_ns)
        if found is not None:
            self._check_stamp("book", found.knowable_ns, self.now_ns)
        self._read("book", depth, found)
        return found

    def trades(self, instrument: str | int, n: int = 100, until: int | str | None = None) -> Printed:
        """The newest `n` prints, oldest first."""
        listing, at_ns = self._listing(instrument), self._as_of(until)
        if n < 1:
            raise Invalid(f"{n} trades", hint="at least one")
        found = self._market.trades(listing.number, n, at_ns)
        self._check_stamp("trades", int(found.knowable_ns[-1]) if len(found.knowable_ns) else at_ns, at_ns)
        self._read("trades", listing.id, n, *found)
        return found

    def forecast(
        self,
        name: str | None = None,
        instrument: str | int = 0,
        timeframe: str | None = None,
        max_age: int | str | None = None,
        issued_by: int | str | None = None,
    ) -> Issued | None:
        """The newest forecast that was issued by now, or by `issued_by`; None where it is missing, or older than
        `max_age`, which the log says."""
        listing, at_ns = self._listing(instrument), self._as_of(issued_by)
        if self._news is None:
            raise Unavailable(
                "this session has no forecasts", hint="replay with forecasts: ledger, backfill or compute"
            )
        found = self._news.forecast(name, listing.number, self._timeframe(timeframe), at_ns)
        if found is None:
            self._read("forecast", name, listing.id, None)
            return None
        self._check_stamp("forecast", found.issued_ns, at_ns)
        self._read("forecast", name, listing.id, found.id)
        age_ns = self.now_ns - found.issued_ns
        if max_age is not None and age_ns > _duration_ns(max_age):
            self.note(f"forecast {found.id} is {age_ns} ns old, at most {_duration_ns(max_age)}")
            return None
        self._forecasts.append(found.id)
        return found

    def calendar(
        self, kinds: Sequence[str] | None = None, ahead: int | str = "7d", back: int | str = "30d"
    ) -> list[CalendarEvent]:
        """What is listed for the time from `back` ago to `ahead` from now, by schedule and id, as known now."""
        if self._news is None:
            raise Unavailable("this session has no calendar", hint="replay a dataset with events")
        first_ns, last_ns = self.now_ns - _duration_ns(back), self.now_ns + _duration_ns(ahead)
        found = [
            one
            for one in self._news.calendar(self.now_ns)
            if first_ns <= one.scheduled_ns <= last_ns and (kinds is None or one.kind in kinds)
        ]
        for one in found:
            self._check_stamp("calendar", one.knowable_ns, self.now_ns)
        self._read("calendar", [(one.id, one.knowable_ns) for one in found])
        return found

    def search(self, query: str, n: int = 5) -> list[Document]:
        """Dated texts; an undated one is refused."""
        if self._news is None:
            raise Unavailable("this session has nothing to search", hint="replay with a collection of texts")
        found = list(self._news.search(query, n, self.now_ns))
        for one in found:
            self._check_stamp("search", one.published_ns, self.now_ns)
        self._read("search", query, n, [(one.published_ns, one.title) for one in found])
        return found

    def instruments(self) -> tuple[Listing, ...]:
        """Tick, lot, filters of each, in the order of the universe. Fees are `session.costs`."""
        return self.session.listings

    def panel(self, lookback: int | None = None, timeframe: str | None = None) -> Panel:
        """The newest bars of all instruments side by side; all there are for None."""
        n = lookback or INT64_MAX
        frame = self._timeframe(timeframe)
        series = [self.candles(one.number, n, timeframe) for one in self.session.listings]
        panel = panel_of(series, self._lookup(frame) if self._news is not None else None)
        return panel[-lookback:] if lookback else panel

    # --- own ----------------------------------------------------------------------------------------------------------

    @property
    def cash(self) -> Decimal:
        """Of the asset that equity is counted in, free and locked."""
        home = self._account.home
        return self._account.assets[home].decimal(self._account.units(home))

    @property
    def cash_units(self) -> int:
        return self._account.units(self._account.home)

    @property
    def free_units(self) -> int:
        """Cash that no open order holds locked, as far as it is known."""
        return self._free_units(self._account.home)

    @property
    def equity(self) -> Decimal:
        """Cash, and what else is held at the newest prices."""
        return self._account.assets[self._account.home].decimal(self.equity_units)

    @property
    def equity_units(self) -> int:
        ticks: dict[int, int] = {}
        for listing in self.session.listings:
            if self._account.position_units(listing.number):
                price = self.price_ticks(listing.number)
                if price:
                    ticks[listing.number] = price
        return self._account.equity_units(ticks)

    def position(self, instrument: str | int = 0) -> Decimal:
        """Quantity held of the base asset."""
        listing = self._listing(instrument)
        return listing.base.decimal(self._account.position_units(listing.number))

    def position_lots(self, instrument: str | int = 0) -> int:
        """Whole lots held."""
        account, heard = self._account, self._heard
        if account.read < len(heard) and heard[account.read][0] <= self.now_ns:
            account.catch_up()
        lots = account.lots.get(instrument)
        return account.lots[self._listing(instrument).number] if lots is None else lots

    def positions(self) -> dict[str, Decimal]:
        """Whatever is not zero, by instrument."""
        held = {one.id: self.position(one.number) for one in self.session.listings}
        return {name: qty for name, qty in held.items() if qty}

    def orders(self, open: bool = True) -> list[Order]:  # noqa: A002 - the word of the desk's face
        """Own orders, oldest first: pending and working ones, or with `open=False` all that had a client id."""
        if open:
            return list(self._blotter.orders())
        self._blotter.catch_up()
        return list(self._ids().values())

    def fills(self, since: int | str | None = None) -> list[Fill]:
        """Own fills that are known, oldest first; those known at `since` or later."""
        self._blotter.catch_up()
        since_ns = _instant_ns(since) if since is not None else 0
        return [one for one in self._blotter.fills if one.known_ns >= since_ns]

    @property
    def limits(self) -> ceilings.Limits:
        return self.session.limits

    # --- do: targets --------------------------------------------------------------------------------------------------

    def target(self, weights: Mapping[str, Number], band: Number | None = None) -> list[Order]:
        """Trade toward weights of equity. The rest is cash; instruments without a weight are sold. Sells come first.

        Raises `Invalid` for weights above 1 together, and for a short where none is allowed; `NotFound` for an unknown
        instrument; `Unavailable` where the price of one that is wanted is not known.
        """
        for name in weights:
            self._listing(name)
        exactly = targets.checked(weights, self._listings)
        holdings = []
        for listing in self.session.listings:
            lots, ticks = self._account.position_lots(listing.number), 0
            if lots or exactly.get(listing.id):
                ticks = self.price_ticks(listing.number)
                if not ticks:
                    raise Unavailable(f"no price of {listing.id} is known yet", hint="wait for its first print or bar")
                holdings.append(targets.Holding(listing, lots, ticks))
        width = targets.DEFAULT_BAND if band is None else exact(band)
        steps = targets.steps(holdings, exactly, self.equity_units, self.free_units, self.session.costs, width)
        return [
            self._send(Place(one.listing.number, one.side, OrderType.MARKET, one.lots, quote_units=one.spend_units))
            for one in steps
        ]

    # --- do: orders in words ------------------------------------------------------------------------------------------

    def buy(
        self,
        instrument: str | int = 0,
        *,
        lots: int | None = None,
        qty: Number | None = None,
        usd: Number | None = None,
        pct: Number | None = None,
        limit: Number | None = None,
        stop: Number | None = None,
        tp: Number | None = None,
        sl: Number | None = None,
        tif: str = "GTC",
        post_only: bool = False,
        reduce_only: bool = False,
        label: str | None = None,
    ) -> Order:
        """Buy with exactly one size, or with all free cash. `usd` is the gross budget, costs included; `pct` percent of
        equity. `tp` and `sl` guard what was filled."""
        if (
            type(lots) is int
            and qty is usd is pct is limit is stop is tp is sl is None
            and tif == "GTC"
            and not (post_only or reduce_only)
        ):
            return self._take(instrument, Side.BUY, lots, label)
        wish = Wish(Side.BUY, ticket.size_of(lots, qty, usd, pct), limit, stop, tif, post_only, reduce_only)
        return self._ask(instrument, wish, tp, sl, label)

    def sell(
        self,
        instrument: str | int = 0,
        *,
        lots: int | None = None,
        qty: Number | None = None,
        usd: Number | None = None,
        pct: Number | None = None,
        limit: Number | None = None,
        stop: Number | None = None,
        tp: Number | None = None,
        sl: Number | None = None,
        tif: str = "GTC",
        post_only: bool = False,
        reduce_only: bool = False,
        label: str | None = None,
    ) -> Order:
        """Sell with exactly one size, or everything. `usd` is what is sold at the newest price, `pct` percent of the
        holding."""
        if (
            type(lots) is int
            and qty is usd is pct is limit is stop is tp is sl is None
            and tif == "GTC"
            and not (post_only or reduce_only)
        ):
            return self._take(instrument, Side.SELL, lots, label)
        wish = Wish(Side.SELL, ticket.size_of(lots, qty, usd, pct), limit, stop, tif, post_only, reduce_only)
        return self._ask(instrument, wish, tp, sl, label)

    def close(self, instrument: str | int = 0, label: str | None = None) -> Order | None:
        """Out of the position by MARKET; None where there is none."""
        listing = self._listing(instrument)
        held = self._account.position_lots(listing.number)
        if not held:
            return None
        side = Side.SELL if held > 0 else Side.BUY
        return self._ask(listing.number, Wish(side, Size("lots", abs(held)), reduce_only=True), None, None, label)

    # --- do: exact ----------------------------------------------------------------------------------------------------

    def submit(self, request: OrderRequest) -> Order:
        """Send an order as it stands. A client id that was used returns its order, and sends nothing."""
        listing = self._listing(request.instrument)
        if request.client_id is not None:
            _check_id(request.client_id)
            if request.client_id in self._ids():
                return self._by_id[request.client_id]
        written = ticket.exactly(listing, request, self._purse(listing, "exact"))
        return self._send_or_decline(listing, written, request.side, request.type, request.label, request.client_id)

    def submit_list(self, kind: ListKind, requests: Sequence[OrderRequest]) -> list[Order]:
        """Send orders that belong together, as they stand, and return them in their order.

        OCO: a leg that takes a profit and one that stops a loss; the first fill or trigger of one expires the other.
        OTO: a LIMIT that works, and an order that begins when it is filled whole. OTOCO: the same with a pair after it.
        What follows is `Pending` until then, ends with the working order, and needs no funds before.

        Raises `Invalid` for another number of orders or of instruments, `Conflict` for a client id that was used.
        """
        if len(requests) != (3 if kind is ListKind.OTOCO else 2):
            raise Invalid(f"{kind.name} of {len(requests)} orders", hint="OCO and OTO are two orders, OTOCO three")
        listings = [self._listing(one.instrument) for one in requests]
        if any(one is not listings[0] for one in listings):
            raise Invalid(f"{kind.name} of several instruments", hint="one instrument for the list")
        self._check_new_ids([one.client_id for one in requests if one.client_id is not None])
        purse = self._purse(listings[0], "exact")
        written = [ticket.exactly(listings[0], one, purse) for one in requests]
        labels = [(one.label, one.client_id) for one in requests]
        why = next((one for one in written if isinstance(one, str)), "")
        if why:
            bare = [Place(listings[0].number, one.side, one.type) for one in requests]
            return [self._decline(one, why, *names) for one, names in zip(bare, labels, strict=True)]
        return self._send_list(kind, [one for one in written if isinstance(one, Place)], labels)

    def modify(
        self, order: Order, *, lots: int | None = None, price: Number | None = None, price_ticks: int | None = None
    ) -> Order:
        """Fewer lots keep the place in the queue and the order; anything else is cancel and new in one arrival, and the
        new order is returned. `lots` is the new total. `Conflict` for an order that is not working."""
        if not isinstance(order.state, Working):
            raise Conflict(f"{order!r} cannot be changed", hint="wait until it works; a final order stays as it is")
        if price is not None:
            price_ticks = sizing.price_ticks(order.listing, price, order.side)
        new = order.place._replace(lots=lots or order.lots, price=price_ticks or order.price_ticks)
        if new == order.place:
            return order
        if new.price == order.price_ticks and new.lots < order.lots:
            self._dispatch(Amend(order.place.instrument, order.number, new.lots))
            return order
        number = order.number
        return self._send(new, order.label, wrap=lambda place: Replace(number, place))

    def cancel(self, order: Order) -> Order:
        """Ask for its cancellation; an order that is known to have ended is left as it is."""
        if order.is_open:
            self._dispatch(Cancel(order.place.instrument, order.number, order.place.client if not order.number else 0))
        return order

    def cancel_all(self, instrument: str | int | None = None) -> None:
        """Every open order of an instrument, or of all."""
        chosen = self.session.listings if instrument is None else (self._listing(instrument),)
        busy = {order.place.instrument for order in self._blotter.orders()}
        for listing in chosen:
            if listing.number in busy:
                self._dispatch(CancelAll(listing.number))

    # --- do: the standing pair ----------------------------------------------------------------------------------------

    def quote_ticks(
        self,
        bid_ticks: int,
        ask_ticks: int,
        lots: int,
        instrument: int = 0,
        post_only: bool = False,
        keep: bool = True,
    ) -> None:
        """The trader's standing pair in one request; a price of 0 withdraws that side.

        Cancels first, then the bid, then the ask, in one arrival. With `keep` a side with the same price and its full
        remainder stays where it is in the queue. `Invalid` for what is no whole number.
        """
        if not (type(bid_ticks) is type(ask_ticks) is type(lots) is type(instrument) is int):
            bid_ticks, ask_ticks = ticket.whole(bid_ticks, "bid_ticks"), ticket.whole(ask_ticks, "ask_ticks")
            lots, instrument = ticket.whole(lots, "lots"), ticket.whole(instrument, "instrument")
        number = self._requests + 1
        if number > self._ceiling or self.now_ns >= self._bar_end_ns:
            why = self._why_not()
            if why:
                self._decline_quote(Place(instrument, Side.BUY, OrderType.LIMIT, lots, bid_ticks or ask_ticks), why)
                return
        self._requests = number
        self._quotes[number] = quote = _make(Quote, (instrument, bid_ticks, ask_ticks, lots, keep, post_only))
        self.outbox.append(quote)

    def quote(
        self,
        bid: Number | None,
        ask: Number | None,
        qty: Number,
        instrument: str | int | None = None,
        post_only: bool = False,
        keep: bool = True,
    ) -> None:
        """The standing pair in prices and a quantity; None withdraws a side."""
        listing = self._listing(0 if instrument is None else instrument)
        bid_ticks = sizing.price_ticks(listing, bid, Side.BUY) if bid is not None else 0
        ask_ticks = sizing.price_ticks(listing, ask, Side.SELL) if ask is not None else 0
        lots = sizing.lots_of(listing, qty)
        short = sizing.shortfall(listing, bid_ticks or ask_ticks or 1, lots) if bid_ticks or ask_ticks else ""
        if short:
            side, ticks = (Side.BUY, bid_ticks) if bid_ticks else (Side.SELL, ask_ticks)
            self._decline_quote(Place(listing.number, side, OrderType.LIMIT, lots, ticks), short)
            return
        self.quote_ticks(bid_ticks, ask_ticks, lots, listing.number, post_only, keep)

    # --- do: timers ---------------------------------------------------------------------------------------------------

    def at(self, time: int | str, name: str) -> None:
        """Wake me at an instant: UTC ns or ISO 8601."""
        at_ns = _instant_ns(time)
        if not name.strip():  # OWN and WATCH are names of the engine's own
            raise Invalid("a timer without a name", hint="name it: on_timer(desk, name) is told")
        if at_ns <= self.now_ns:
            raise Invalid(f"a timer for {iso(at_ns)}, which is over", hint=f"after {iso(self.now_ns)}")
        self.alarms.append((at_ns, name))
        self.is_deciding = True  # whoever drives the desk looks at it now, and takes the timer along

    def after(self, duration: int | str, name: str) -> None:
        """Wake me in a while: ns, or a length such as 5m."""
        self.at(self.now_ns + _duration_ns(duration), name)

    def every(self, duration: int | str, name: str) -> None:
        """Wake me again and again, first in one `duration`."""
        self.after(duration, name)
        self._every[name] = _duration_ns(duration)

    def price_cross(
        self,
        direction: str,
        price: Number | None = None,
        instrument: str | int = 0,
        *,
        price_ticks: int | None = None,
    ) -> None:
        """Wake me (by `on_trade`) at the first print at or beyond a price, `up` or `down`, of those still to come.

        Once: then it is forgotten. `Refused` for a trader whose `wake` does not name `price_cross`.
        """
        listing = self._listing(instrument)
        if direction not in ("up", "down"):
            raise Invalid(f"direction {direction!r}", hint="up or down")
        if (price is None) == (price_ticks is None):
            raise Invalid("a crossing of no price, or of two", hint="price= or price_ticks=")
        wakes = getattr(self.trader, "wakes", None)
        if wakes is None or wakes().price_cross is None:
            raise Refused("no prices are watched for this trader", hint='class data: wake = {"price_cross": ()}')
        if price_ticks is None:
            side = Side.SELL if direction == "up" else Side.BUY  # off the grid: the next tick beyond
            price_ticks = sizing.price_ticks(listing, price or 0, side)
        if price_ticks < 1:
            raise Invalid(f"a crossing of {price_ticks} ticks", hint="a positive price")
        self.watches.append((listing.number, UP if direction == "up" else DOWN, price_ticks))
        self.alarms.append((0, WATCH))
        self.is_deciding = True  # as for a timer

    def finish(self, reason: str) -> NoReturn:
        """End the run here, in good order."""
        self.note(f"finished: {reason}")
        raise Finished(reason)

    # --- say ----------------------------------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        """A sentence for the record."""
        self._open_decision()
        self._notes.append(str(text))

    def metric(self, name: str, value: float) -> None:
        """A number for the record."""
        self._open_decision()
        self._metrics.append((str(name), float(value)))

    def calc(self, expression: str) -> int | float:
        """The value of an expression of numbers; `Invalid` for anything else."""
        return calc(expression)

    # --- whoever drives it --------------------------------------------------------------------------------------------

    @property
    def is_listening(self) -> bool:
        """Whether own events are to wake it: its trader has a hook for them, or brackets wait for their fills."""
        return self._is_listening

    def client_id(self, ordinal: int) -> str:
        """The client id of the order that was the so many-th to get one, of the newest first; empty for none."""
        return next((one.id for one in reversed(self._ids().values()) if one.place.client == ordinal), "")

    def assets(self) -> dict[str, int]:
        """The numbers of the assets by name, as fills speak of them."""
        return {asset.name: number for number, asset in enumerate(self._account.assets)}

    def begin(self, trader: Any) -> None:
        """Sit down: the clock stands at the session's start."""
        self.trader = trader
        hook = getattr(trader, "hook", None)
        for kind in ("order", "fill", "timer"):
            setattr(self, f"_on_{kind}", hook(kind) if hook else _handler(trader, kind))
        self._listen()
        trader.start(self)

    def end(self) -> None:
        """Get up: the trader is told last, when nothing can be ordered any more."""
        self.close_decision()
        self._closed = "the session is over"
        self._ceiling = -1
        self.trader.stop(self)
        self.close_decision()

    def hear(self, due_ns: int, outcomes: Any) -> None:
        """What the venue said, and when it is known here."""
        heard = self._heard
        if heard and due_ns < heard[-1][0]:
            hear(heard, due_ns, outcomes)
        else:
            heard.append((due_ns, outcomes))
        if self._is_listening:
            self.alarms.append((due_ns, OWN))
        if len(heard) >= KEPT_HEARD:
            self._compact()

    def hear_late(self, catch_up: Callable[[], None] | None) -> None:
        """Whoever drives the desk brings what the venue says only when `catch_up` asks for it: before it is read. None:
        at once again."""
        heard = list(self._heard) if catch_up is None else Late(self._heard, catch_up)
        self._heard = self._account.heard = self._blotter.heard = heard

    def rules_changed(self, instrument: int, filters: Filters) -> None:
        """An instrument has other filters from now on. Orders are made to fit them; those that cannot are refused
        here, as the venue would."""
        listings = list(self.session.listings)
        listings[instrument] = replace(listings[instrument], filters=filters)
        self.session = replace(self.session, listings=tuple(listings))
        self._listings = {one.id: one for one in listings}
        self._has_new_rules = True

    def take_watches(self) -> list[tuple[int, int, int]]:
        """The prices to be watched that were asked for: instrument, 1 up or 2 down, ticks."""
        asked, self.watches = self.watches, []
        return asked

    def alarm(self, name: str) -> None:
        """A timer has run out, or (with the name `OWN`) something of one's own is due."""
        if name == OWN:
            self._deliver()
            return
        if name in self._every:
            self.alarms.append((self.now_ns + self._every[name], name))
        if self._on_timer is not None:
            self._on_timer(self, name)

    def tell_forecast(self, hook: Hook, instrument: int, issued: Issued) -> None:
        """A forecast has become knowable: who is told of it has read it."""
        self._check_stamp("forecast", issued.issued_ns, self.now_ns)
        self._read("forecast", issued.forecast.forecaster, self._listing(instrument).id, issued.id)
        self._forecasts.append(issued.id)
        hook(self, issued)

    def tell_event(self, hook: Hook, event: CalendarEvent) -> None:
        """An event was listed or released."""
        self._check_stamp("calendar", event.knowable_ns, self.now_ns)
        self._read("calendar", [(event.id, event.knowable_ns)])
        hook(self, event)

    def close_decision(self) -> None:
        """The end of a hook that may have read or said something, with its requests still in the outbox."""
        self.is_deciding = False
        if self._seen is None:
            return
        if self._diary is not None:
            self._diary.decided(
                Decision(
                    self.session.bar(self._decision_ns), self._decision_ns, self._seen.digest(),
                    tuple(self._forecasts), tuple(self.outbox), tuple(self._notes), tuple(self._metrics),
                )
            )  # fmt: skip
        self._seen = None
        for said in (self._forecasts, self._notes, self._metrics):
            said.clear()

    def take_alone(self) -> bytes:
        """The only request in the outbox, taken with the decision that led to it: that, packed. Empty, with nothing
        taken, where the decision says more."""
        seen = self._seen
        if seen is None or self._forecasts or self._notes or self._metrics:
            return b""
        bar = max(0, self._decision_ns - self.session.start_ns) // self._frame_ns
        packed = packed_alone(bar, self._decision_ns, seen.digest(), self.outbox.pop())
        self._seen = None
        self.is_deciding = False
        return packed

    # --- inside -------------------------------------------------------------------------------------------------------

    def _listing(self, instrument: str | int) -> Listing:
        if isinstance(instrument, int) and not isinstance(instrument, bool):
            if 0 <= instrument < len(self.session.listings):
                return self.session.listings[instrument]
        elif instrument in self._listings:
            return self._listings[instrument]
        close = nearest(str(instrument), self._listings)
        hint = f"did you mean {', '.join(close)}?" if close else f"one of {', '.join(self._listings)}"
        raise NotFound(f"no instrument {instrument!r} in this session", hint=hint, detail={"nearest": close})

    def _timeframe(self, text: str | None) -> Timeframe:
        if text is not None:
            return Timeframe.parse(text)
        own = getattr(self.trader, "timeframe", None)
        return Timeframe.parse(own) if own else self.session.timeframe

    def _as_of(self, until: int | str | None) -> int:
        if until is None:
            return self.now_ns
        at_ns = _instant_ns(until)
        if at_ns > self.now_ns:
            raise Refused(
                f"{iso(at_ns)} has not come yet", hint=f"now is {iso(self.now_ns)}", detail={"kind": "look_ahead"}
            )
        return at_ns

    def _check_stamp(self, what: str, knowable_ns: int, at_ns: int) -> None:
        """A source that answers with what is not knowable yet is broken: it is not passed on."""
        if knowable_ns > at_ns:
            raise Refused(
                f"{what}: the source answered with what is knowable at {iso(knowable_ns)}, asked as of {iso(at_ns)}",
                hint="mend the source: it must answer as of the clock",
                detail={"kind": "look_ahead"},
            )

    def _open_decision(self) -> Seen:
        seen = self._seen
        if seen is None or self._decision_ns != self.now_ns:
            self.close_decision()
            seen = self._seen = Seen()
            self._decision_ns = self.now_ns
            self.is_deciding = True
        return seen

    def _read(self, what: str, *answer: Any) -> None:
        self._open_decision().add(what, *answer)

    def _lookup(self, frame: Timeframe) -> Callable[[str, int, int], Issued | None]:
        news = self._news
        assert news is not None
        read: set[str] = set()

        def lookup(name: str, column: int, at_ns: int) -> Issued | None:
            found = news.forecast(name, column, frame, min(at_ns, self.now_ns))
            if found is not None:
                self._check_stamp("forecast", found.issued_ns, at_ns)
            self._read("forecast", name, column, None if found is None else found.id)
            if found is not None and found.id not in read:
                read.add(found.id)
                self._forecasts.append(found.id)
            return found

        return lookup

    def _free_units(self, asset: int) -> int:
        self._blotter.catch_up()
        return self._account.units(asset) - self._blotter.locked[asset] - self._account.collateral[asset]

    def _purse(self, listing: Listing, size: str) -> Purse:
        """As much of it as a size of this kind needs."""
        quote = self._account.of_instrument[listing.number][1]
        return Purse(
            self._free_units(quote) if size == "all" else 0,
            self._account.position_lots(listing.number),
            self.equity_units if size == "pct" else 0,
            self.price_ticks(listing.number),
        )

    def _ask(self, instrument: str | int, wish: Wish, tp: Number | None, sl: Number | None, label: str | None) -> Order:
        listing = self._listing(instrument)
        bracket = Bracket.of(listing, wish.side, tp, sl, self.price_ticks(listing.number)) if tp or sl else None
        written = ticket.written(listing, wish, self._purse(listing, wish.size.kind), self.session.costs)
        order = self._send_or_decline(listing, written, wish.side, OrderType.MARKET, label, None)
        if bracket is not None and not isinstance(order.state, Rejected):
            bracket.entry = order
            self._brackets.append(bracket)
            self._listen()
        return order

    def _take(self, instrument: str | int, side: Side, lots: int, label: str | None) -> Order:
        """A MARKET order of some lots: what `_ask` makes of it, without the words."""
        if lots <= 0:
            ticket.size_of(lots, None, None, None)
        listing = self._listing(instrument)
        number = listing.number
        short = sizing.shortfall(listing, self._last_ticks(number), lots)
        place = _make(Place, (number, side, OrderType.MARKET, lots, *_PLAIN))
        return self._decline(place, short, label, None) if short else self._send(place, label)

    def _send_or_decline(
        self, listing: Listing, written: Place | str, side: Side, kind: OrderType, label: str | None, given: str | None
    ) -> Order:
        if isinstance(written, Place):
            return self._send(written, label, given)
        return self._decline(Place(listing.number, side, kind), written, label, given)

    def _send(
        self,
        place: Place,
        label: str | None = None,
        given: str | None = None,
        wrap: Callable[[Place], Request] | None = None,
    ) -> Order:
        """One order on its way, or refused by the desk's limits."""
        why = self._refusal((place,))
        if why:
            return self._decline(place, why, label, given)
        self._asked = asked = self._asked + 1
        place = _numbered(place, asked)
        self._requests += 1
        order = self._new_order(place, label, given)
        self._blotter.sent((order,))
        self.outbox.append(wrap(place) if wrap else place)
        return order

    def send_pair(self, profit: Place, stop: Place, label: str | None) -> list[Order]:
        """One cancels the other. For brackets."""
        return self._send_list(ListKind.OCO, (profit, stop), ((label, None), (label, None)))

    def _send_list(
        self, kind: ListKind, places: Sequence[Place], names: Sequence[tuple[str | None, str | None]]
    ) -> list[Order]:
        """Orders in one request, with the label and client id of each, or all refused by the desk's limits."""
        why = self._refusal(tuple(places))
        if why:
            return [self._decline(one, why, *given) for one, given in zip(places, names, strict=True)]
        self._requests += 1
        orders = []
        for place, given in zip(places, names, strict=True):
            self._asked += 1
            orders.append(self._new_order(_numbered(place, self._asked), *given))
        self._blotter.sent(orders)
        self.outbox.append(PlaceList(kind, tuple(one.place for one in orders)))
        return orders

    def _check_new_ids(self, names: Sequence[str]) -> None:
        for number, name in enumerate(names):
            _check_id(name)
            if name in self._ids() or name in names[:number]:
                raise Conflict(f"client id {name!r} was used", hint="a list is sent once: look at orders(open=False)")

    def base_asset(self, instrument: int) -> int:
        """The number of the base asset, as fees are charged in."""
        return self._account.of_instrument[instrument][0]

    def send_one(self, place: Place, label: str | None) -> Order:
        """For brackets."""
        return self._send(place, label)

    def _new_order(self, place: Place, label: str | None, given: str | None) -> Order:
        self._open_decision()
        self._bar_orders += 1
        listing = self.session.listings[place.instrument]
        order = Order(self._blotter, listing, place, self._requests, given, label, self._bar, self._bar_orders)
        if given:
            self._ids()[given] = order
        else:
            self._unnamed.append(order)
        return order

    def _ids(self) -> dict[str, Order]:
        """The orders that have a client id by it, oldest first. Ids are made when somebody asks."""
        if self._unnamed:
            self._by_id.update((one.id, one) for one in self._unnamed)
            self._unnamed.clear()
        return self._by_id

    def _refusal(self, places: tuple[Place, ...]) -> str:
        """Why the desk's limits keep them here; empty where they do not."""
        if self._requests >= self._ceiling or self.now_ns >= self._bar_end_ns:
            why = self._why_not()
            if why:
                return why
        if self._has_new_rules and (why := self._misfit(places)):
            return why
        notional = 0
        for place in places:
            if place.side is Side.BUY:
                listing = self.session.listings[place.instrument]
                ticks = place.price or place.stop or (0 if place.quote_units else self._last_ticks(place.instrument))
                notional = max(notional, place.quote_units or listing.notional(ticks, place.lots))
        if not self._bounds_orders:
            return ""
        most = self.session.limits
        standing = ceilings.Standing(
            self._requests - self._bar_first,
            self._blotter.count_open() if most.open_orders else 0,
            self.equity_units if notional and most.notional_pct else 0,
        )
        answer = ceilings.check(places, notional, standing, most)
        return answer.reason if isinstance(answer, ceilings.Refused) else ""

    def _misfit(self, places: Sequence[Place]) -> str:
        """What of orders the filters would refuse, now that they are others than when the trader sat down."""
        for place in places:
            listing = self.session.listings[place.instrument]
            ticks = place.price or place.stop or self.price_ticks(place.instrument)
            why = sizing.misfit(listing, (place.price, place.stop), place.lots)
            why = why or sizing.shortfall(listing, ticks, place.lots, place.quote_units)
            if why:
                return why
        return ""

    def _why_not(self) -> str:
        """Begin the bar that the clock stands in, and say why nothing may be asked for now; empty when it may."""
        if self._closed:
            return self._closed
        if self.now_ns >= self._bar_end_ns:
            begun_ns = self.session.start_ns
            self._bar = bar = max(0, self.now_ns - begun_ns) // self._frame_ns
            self._bar_end_ns = begun_ns + (bar + 1) * self._frame_ns
            self._bar_first, self._bar_orders = self._requests, 0
            most = self.session.limits.orders_per_bar
            self._ceiling = self._requests + most if most else NO_CEILING
        if self._requests >= self._ceiling:
            most = self.session.limits.orders_per_bar
            return f"request {most + 1} of this bar: the limit is {most}"
        return ""

    def _decline(self, place: Place, why: str, label: str | None, given: str | None) -> Order:
        """Refused by the desk: the order is there, rejected, and the hooks are told at the next wake."""
        self._open_decision()
        order = Order(self._blotter, self.session.listings[place.instrument], place, 0, given or "", label)
        if given:
            self._ids()[given] = order
        self._blotter.declined(order, why)
        if self._is_listening:
            self.alarms.append((self.now_ns, OWN))
        return order

    def _decline_quote(self, place: Place, why: str) -> None:
        self._decline(place, why, "quote", None)

    def _dispatch(self, request: Request) -> None:
        """A request that makes no order. `Exhausted` beyond the limit of the bar, `Refused` after the end."""
        why = self._why_not()
        if why:
            raise (Refused if self._closed else Exhausted)(why, hint="fewer requests, or a higher limit in the session")
        self._open_decision()
        self._requests += 1
        self.outbox.append(request)

    def _listen(self) -> None:
        hears = self._on_order is not None or self._on_fill is not None
        was, self._is_listening = self._is_listening, hears or bool(self._brackets)
        self._blotter.is_listened = self._is_listening
        if self._is_listening and not was:
            waiting = {due_ns for due_ns, _ in self._heard[self._blotter.read :]}
            self.alarms.extend((due_ns, OWN) for due_ns in sorted(waiting))

    def _deliver(self) -> None:
        """Tell the hooks what became of the own orders; keep the guards of their fills up to date."""
        self._blotter.catch_up()
        changes, self._blotter.changes = self._blotter.changes, []
        if not changes:
            return
        if self._brackets:
            for bracket in self._brackets:
                bracket.follow(self)
            self._brackets = [one for one in self._brackets if not one.is_done]
            self._listen()
        for change in changes:
            hook = self._on_fill if type(change) is Fill else self._on_order
            if hook is not None:
                hook(self, change)

    def _compact(self) -> None:
        """Take in what is known, and forget what both the account and the blotter have taken in."""
        self._account.catch_up()
        self._blotter.catch_up()
        done = min(self._account.read, self._blotter.read)
        del self._heard[:done]
        self._account.read -= done
        self._blotter.read -= done


_PLAIN: Final = tuple(Place._field_defaults[name] for name in Place._fields[4:])
"""What a MARKET order of some lots says beyond them."""


def _numbered(place: Place, client: int) -> Place:
    """With the ordinal of its client id."""
    return _make(Place, (*place[:_CLIENT], client, *place[_CLIENT + 1 :]))


_CLIENT: Final = Place._fields.index("client")


def _handler(trader: Any, kind: str) -> Any:
    if kind == "timer":
        return lambda desk, name: trader.handle(desk, Timer(name))
    return trader.handle


def _check_id(name: str) -> None:
    if not CLIENT_ID.fullmatch(name):
        raise Invalid(f"client id {name!r}", hint="1 to 36 of A-Z a-z 0-9 . _ : / -")


def _instant_ns(time: int | str) -> int:
    return parse_instant(time) if isinstance(time, str) else int(time)


def _duration_ns(duration: int | str) -> int:
    length = Timeframe.parse(duration).nominal_ns if isinstance(duration, str) else int(duration)
    if length <= 0:
        raise Invalid(f"a duration of {length} ns", hint="a positive length, e.g. 5m")
    return length
