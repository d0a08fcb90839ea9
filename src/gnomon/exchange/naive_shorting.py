"""Short sales at the naive venue: everything is worked out anew from what was sold, bought and marked.

The oracle of `exchange.shorting`. It shares with it only the ledger, the outcomes and when the market closes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from types import MappingProxyType

from gnomon.exchange.bars import Bars
from gnomon.exchange.exchange import Event, Printed
from gnomon.exchange.listing import Listing
from gnomon.exchange.naive import NaiveExchange, Settled
from gnomon.exchange.order import Order, OrderType, Place, Side
from gnomon.exchange.outcome import Filled, Margined, Outcome, Refusal, Role, Rule
from gnomon.exchange.prints import Prints
from gnomon.exchange.recorded import Recorded
from gnomon.exchange.rules import RATE_ONE, Rules
from gnomon.exchange.shorting import Mark, next_close_ns
from gnomon.units import DAY_NS


@dataclass(slots=True, eq=False)
class Lent:
    """One listing: what is lent for it and why, in units."""

    worth: int = 0  # of what is short, at the prices it was sold or marked at
    promised: int = 0  # margin of what open orders would sell short
    held: int = 0  # the collateral
    advanced: int = 0  # paid from it into the locks of open BUYs
    short: int = 0
    waiting: int = 0
    told: tuple[int, int] = (0, 0)
    cost: int = 0
    mark_ns: int = 0
    since_ns: int = -1
    call: int = 0
    days: list[int] = field(default_factory=list)


class NaiveShortingExchange(NaiveExchange):
    """The face of `ShortingExchange`; every print must be told."""

    def __init__(
        self,
        listings: Sequence[Listing],
        tapes: Mapping[int, Prints | Bars],
        rules: Rules,
        recorded: Mapping[int, Recorded] = MappingProxyType({}),
    ) -> None:
        super().__init__(listings, tapes, rules, recorded)
        self.lent = {one.number: Lent() for one in listings if one.may_short}
        assert rules.shorting is not None
        self.initial = Fraction(rules.shorting.initial, RATE_ONE)
        self.maintenance = Fraction(rules.shorting.maintenance, RATE_ONE)
        self.cost_a_day = Fraction(rules.shorting.borrow_bips_day, 10_000)

    def apply(self, event: Event | Mark) -> list[Outcome]:
        if isinstance(event, Mark):
            self.out = []
            self.now_ns = event.time_ns
            self._close(event)
        else:
            super().apply(event)
        for instrument, lent in self.lent.items():
            listing = self.books[instrument].listing
            for number, one in enumerate(self.out):
                if isinstance(one, Filled) and lent.call and one.number == lent.call:
                    self.out[number] = one._replace(rule=Rule.SHORT_CALL)
            base, quote = self._number(listing.base), self._number(listing.quote)
            now = self.ledger.borrowed[base], lent.held
            moved = now[0] - lent.told[0], now[1] - lent.told[1], lent.cost
            lent.told, lent.cost = now, 0
            if any(moved):
                self.out.append(Margined(instrument, base, quote, *moved))
            if lent.short and not lent.mark_ns:
                self._await_close(instrument, event)
        return self.out

    def _await_close(self, instrument: int, event: Event | Mark) -> None:
        lent, market = self.lent[instrument], self.books[instrument]
        if isinstance(event, Printed):
            at_ns = self.books[event.instrument].rows[event.position].time_ns
        else:
            at_ns = event.time_ns  # type: ignore[union-attr]  # no bars here
        if lent.since_ns < 0:
            lent.since_ns = at_ns
        lent.mark_ns = next_close_ns(market.listing, False, at_ns)
        if lent.mark_ns:
            self.deadlines.append(Mark(lent.mark_ns, instrument))  # type: ignore[arg-type]  # as any deadline

    # --- what may be locked, and what is ------------------------------------------------------------------------------

    def _spendable(self, order: Order) -> int:
        free, lent = super()._spendable(order), self.lent.get(order.instrument)
        if lent is None:
            return free
        if order.side is Side.BUY:
            ours = lent.worth + ceil(lent.worth * self.initial) - lent.advanced
            return free + max(0, min(lent.held, ours))
        market = self.books[order.instrument]
        worth = market.listing.notional(market.last_price(), 1)
        if not worth:
            return free
        margin = ceil(worth * self.initial) + self._with_fee(worth) - worth
        money = self.ledger.free[self._number(market.listing.quote)]
        return free + market.listing.base_units(money // margin)

    def _lock(self, order: Order, units: int) -> None:
        lent = self.lent.get(order.instrument)
        if lent is not None and units:
            asset = self._lock_asset(order)
            lacking = max(0, units - self.ledger.free[asset])
            if order.side is Side.BUY:
                self._unlock(order.instrument, lacking)
                lent.advanced += lacking
            elif lacking:
                self.ledger.borrow(asset, lacking)
                market = self.books[order.instrument]
                price = order.price or order.stop or market.last_price()
                worth = ceil(Fraction(market.listing.notional(price, 1) * lacking, market.listing.lot_unit))
                lent.promised += ceil(worth * self.initial)
                lent.waiting += lacking
        super()._lock(order, units)
        if lent is not None and units:
            self._balance(order.instrument)

    def _unlock(self, instrument: int, units: int) -> None:
        self.ledger.release(self._number(self.books[instrument].listing.quote), units)
        self.lent[instrument].held -= units

    def _release(self, order: Order, keep: int) -> int:
        units = super()._release(order, keep)
        if units and order.instrument in self.lent and not self._is_paying:
            self._balance(order.instrument)
        return units

    _is_paying = False

    def _settle(self, order: Order, price: int, lots: int, role: Role) -> Settled:
        lent = self.lent.get(order.instrument)
        if lent is None:
            return super()._settle(order, price, lots, role)
        listing = self.books[order.instrument].listing
        worth, units = listing.notional(price, lots), listing.base_units(lots)
        base, quote = self._number(listing.base), self._number(listing.quote)
        if not order.lock and order.side is Side.SELL and units > self.ledger.free[base]:
            self.ledger.borrow(base, units - self.ledger.free[base])
        if not order.lock and order.side is Side.BUY and self._with_fee(worth) > self.ledger.free[quote]:
            self._unlock(order.instrument, min(lent.held, self._with_fee(worth) - self.ledger.free[quote]))
        owned = self._owned(base)
        self._is_paying = True
        settled = super()._settle(order, price, lots, role)
        self._is_paying = False
        more = max(0, -self._owned(base)) - max(0, -owned)
        if more > 0:
            lent.worth += ceil(Fraction(worth * more, units))
            lent.short += more
        self._balance(order.instrument)
        return settled

    def _owned(self, base: int) -> int:
        """Below zero for a short."""
        return self.ledger.free[base] + self.ledger.locked[base] - self.ledger.borrowed[base]

    def _balance(self, instrument: int) -> None:
        """Give back what is idle, and bring the collateral to what it should be."""
        lent, listing, ledger = self.lent[instrument], self.books[instrument].listing, self.ledger
        base, quote = self._number(listing.base), self._number(listing.quote)
        if ledger.free[base] and ledger.borrowed[base]:
            ledger.borrow(base, -min(ledger.free[base], ledger.borrowed[base]))
        short = max(0, -self._owned(base))
        waiting = ledger.borrowed[base] - short
        if short < lent.short:
            lent.worth = ceil(Fraction(lent.worth * short, lent.short))
        if waiting < lent.waiting:
            lent.promised = ceil(Fraction(lent.promised * waiting, lent.waiting))
        lent.short, lent.waiting = short, waiting
        orders = [one.order for one in self.open if one.order.instrument == instrument]
        lent.advanced = min(lent.advanced, sum(one.lock for one in orders if one.side is Side.BUY))
        should = max(0, lent.worth + ceil(lent.worth * self.initial) + lent.promised - lent.advanced)
        if should > lent.held:
            more = min(should - lent.held, ledger.free[quote])
            ledger.lock(quote, more)
            lent.held += more
        else:
            self._unlock(instrument, lent.held - should)

    # --- the close ----------------------------------------------------------------------------------------------------

    def _close(self, event: Mark) -> None:
        lent, market = self.lent[event.instrument], self.books[event.instrument]
        since_ns, lent.mark_ns, lent.since_ns = lent.since_ns, 0, -1
        if not lent.short:
            return
        lent.since_ns = event.time_ns
        listing, ledger = market.listing, self.ledger
        quote = self._number(listing.quote)
        if market.last_price():
            lent.worth = ceil(Fraction(listing.notional(market.last_price(), 1) * lent.short, listing.lot_unit))
        days = max(1, event.time_ns // DAY_NS - since_ns // DAY_NS)
        cost = min(int(lent.worth * self.cost_a_day * days), ledger.free[quote] + lent.held)
        if cost > ledger.free[quote]:
            self._unlock(event.instrument, cost - ledger.free[quote])
        ledger.charge(quote, cost)
        lent.cost += cost
        self._balance(event.instrument)
        if lent.held + lent.advanced < lent.worth + ceil(lent.worth * self.maintenance) and not (
            lent.call and self._find(lent.call)
        ):
            self._buy_back(event, lent)

    def _buy_back(self, event: Mark, lent: Lent) -> None:
        listing = self.books[event.instrument].listing
        lots, tries = lent.short // listing.lot_unit, 2
        while lots and tries:
            order = self._made(Place(event.instrument, Side.BUY, OrderType.MARKET, lots), event.time_ns, event.time_ns)
            before, lent.call = lent.call, self.orders_made + 1
            broken = self._start(order, 0, event.time_ns)
            if broken is None:
                return
            lent.call = before
            code, cost, money = broken
            if code is not Refusal.INSUFFICIENT_BALANCE:
                return
            lots = lots * money // cost
            lots -= lots % listing.filters.step_lots
            tries -= 1
