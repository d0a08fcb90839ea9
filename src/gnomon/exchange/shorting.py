"""Short sales: shares are lent to a SELL beyond the holding, and money is locked as collateral for them.

What is lent comes from the account `BORROWED` and goes back as soon as it is not needed, so that base sold short is
what is lent beyond what is held. The collateral is the proceeds of what is short, `initial` of them, and `initial` of
what open orders would sell short; it is locked as far as free money goes, and a BUY of it may be paid from there.
At each close the short is marked at the last price, the loan is paid for, and below `maintenance` the venue buys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from gnomon.errors import Invalid
from gnomon.exchange.bars import Bars
from gnomon.exchange.exchange import NOTHING_RECORDED, BarPoint, Event, Exchange, Printed
from gnomon.exchange.fees import reserve_units
from gnomon.exchange.funds import Purse
from gnomon.exchange.listing import Listing
from gnomon.exchange.order import Order, OrderType, Place, Side
from gnomon.exchange.outcome import Filled, Margined, Outcome, Refusal, Rule
from gnomon.exchange.prints import Prints
from gnomon.exchange.recorded import Recorded
from gnomon.exchange.rules import RATE_ONE, Rules, Shorting
from gnomon.units import DAY_NS

BIPS: Final = 10_000
_SELL: Final = Side.SELL


class Mark(NamedTuple):
    """The market of an instrument closes: shorts are marked. On prints it is the last instant that is open."""

    time_ns: int
    instrument: int


def next_close_ns(listing: Listing, has_bars: bool, time_ns: int) -> int:
    """The first mark after an instant, 0 where the hours know of none. Without hours the day ends in UTC."""
    early = 0 if has_bars else 1
    if listing.hours is None:
        return ((time_ns + early) // DAY_NS + 1) * DAY_NS - early
    return next((one - early for one in listing.hours.close_ns if one - early > time_ns), 0)


class ShortPurse(Purse):
    """The money of a listing that may be sold short. All amounts in units."""

    __slots__ = ("_buys", "_is_settling", "_short", "_told", "_waiting", "basis", "collateral", "last", "lent", "paid",
                 "reserved", "shorting")  # fmt: skip

    def begin(self, shorting: Shorting, last: Callable[[], int]) -> None:
        self.shorting, self.last = shorting, last
        self.basis = self.collateral = self.lent = self.reserved = self.paid = 0
        self._buys = self._short = self._waiting = 0  # locks of open BUYs; short; lent to open SELLs
        self._told = 0, 0
        self._is_settling = False

    @property
    def short(self) -> int:
        """Units of the base that were sold and not held."""
        return self._short

    # --- what an order may lock ---------------------------------------------------------------------------------------

    def free(self, side: Side) -> int:
        ledger = self.ledger
        if side is _SELL:
            return ledger.free[self.base] + self._lendable()
        margin = self.basis + _part(self.basis, self.shorting.initial) - self.lent
        return ledger.free[self.quote] + max(0, min(self.collateral, margin))

    def need_and_free(self, side: Side, price: int, lots: int) -> tuple[int, int]:
        return self.need(side, price, lots), self.free(side)

    def _lendable(self) -> int:
        """What free money is collateral enough for, fees apart, at the last price."""
        notional = self.last() * self.notional_unit
        if not notional:
            return 0
        margin = _part(notional, self.shorting.initial) + reserve_units(notional, self.reserve_rate)
        return self.ledger.free[self.quote] // margin * self.lot_unit

    # --- what orders move ---------------------------------------------------------------------------------------------

    def lock(self, order: Order, units: int) -> None:
        ledger = self.ledger
        if order.side is _SELL:
            lacking = units - ledger.free[self.base]
            if lacking > 0:
                ledger.borrow(self.base, lacking)
                notional = (order.price or order.stop or self.last()) * self.notional_unit
                self.reserved += _part(-(-notional * lacking // self.lot_unit), self.shorting.initial)
                self._waiting += lacking
        else:
            lacking = units - ledger.free[self.quote]
            if lacking > 0:
                ledger.release(self.quote, lacking)
                self.collateral -= lacking
                self.lent += lacking
            self._buys += units
        super().lock(order, units)
        self.true_up()

    def release(self, order: Order, keep: int = 0) -> int:
        units = super().release(order, keep)
        if order.side is not _SELL:
            self._buys -= units
        if units and not self._is_settling:
            self.true_up()
        return units

    def settle(self, order: Order, price: int, lots: int, is_maker: bool) -> tuple[int, int, int, int, bool, bool]:
        ledger, before = self.ledger, order.lock
        notional, units = price * lots * self.notional_unit, lots * self.lot_unit
        if not before:
            if order.side is _SELL:
                ledger.borrow(self.base, max(0, units - ledger.free[self.base]))
            else:
                drawn = max(0, min(self.with_fee(notional) - ledger.free[self.quote], self.collateral))
                ledger.release(self.quote, drawn)
                self.collateral -= drawn
        self._is_settling = True
        settled = super().settle(order, price, lots, is_maker)
        self._is_settling = False
        if order.side is _SELL:
            sold = self._now_short() - self._short
            if sold > 0:
                self.basis += -(-notional * sold // units)
                self._short += sold
        else:
            self._buys -= before - order.lock - settled[3]
        self.true_up()
        return settled

    def _now_short(self) -> int:
        ledger, base = self.ledger, self.base
        return max(0, ledger.borrowed[base] - ledger.free[base] - ledger.locked[base])

    def true_up(self) -> None:
        """Shares that nothing needs go back; the collateral becomes what it must be, as far as free money goes."""
        ledger, base, quote = self.ledger, self.base, self.quote
        ledger.borrow(base, -min(ledger.free[base], ledger.borrowed[base]))
        short = self._now_short()
        waiting = ledger.borrowed[base] - short
        if short < self._short:
            self.basis = -(-self.basis * short // self._short)
        if waiting < self._waiting:
            self.reserved = -(-self.reserved * waiting // self._waiting)
        self._short, self._waiting = short, waiting
        self.lent = min(self.lent, self._buys)
        due = self.basis + _part(self.basis, self.shorting.initial) + self.reserved - self.lent
        change = min(max(0, due) - self.collateral, ledger.free[quote])
        if change > 0:
            ledger.lock(quote, change)
        elif change:
            ledger.release(quote, -change)
        self.collateral += change

    # --- the close ----------------------------------------------------------------------------------------------------

    def mark(self, days: int) -> None:
        """Worth and collateral at the last price; the loan costs `borrow_bips_day` of the worth for each day."""
        if self.last():
            self.basis = -(-self.last() * self.notional_unit * self._short // self.lot_unit)
        cost = self.basis * self.shorting.borrow_bips_day * days // BIPS
        ledger, quote = self.ledger, self.quote
        cost = min(cost, ledger.free[quote] + self.collateral)
        drawn = max(0, cost - ledger.free[quote])
        ledger.release(quote, drawn)
        self.collateral -= drawn
        ledger.charge(quote, cost)
        self.paid += cost
        self.true_up()

    def is_called(self) -> bool:
        """Whether the collateral, with what it lent to open BUYs, is below what must be kept."""
        return self.collateral + self.lent < self.basis + _part(self.basis, self.shorting.maintenance)

    def told(self) -> tuple[int, int, int]:
        """What changed since the last time: units lent, collateral, and what the loan has cost."""
        borrowed, locked = self.ledger.borrowed[self.base] - self._told[0], self.collateral - self._told[1]
        self._told = self.ledger.borrowed[self.base], self.collateral
        paid, self.paid = self.paid, 0
        return borrowed, locked, paid


def _part(units: int, rate: int) -> int:
    return -(-units * rate // RATE_ONE)


class ShortingExchange(Exchange):
    """The exchange of a session that lets equities be sold short."""

    def __init__(
        self,
        listings: Sequence[Listing],
        tapes: Mapping[int, Prints | Bars],
        rules: Rules,
        recorded: Mapping[int, Recorded] = NOTHING_RECORDED,
    ) -> None:
        """`Invalid` also where two listings share the asset that may be sold short."""
        super().__init__(listings, tapes, rules, recorded)
        self._shorts: dict[int, ShortPurse] = {}
        self._marks: dict[int, int] = {}  # instrument to its next mark
        self._marked: dict[int, int] = {}  # and to its last
        self._calls: dict[int, int] = {}  # order number of the last call
        assert rules.shorting is not None
        for one in listings:
            if one.may_short:
                alone(one, listings)
                book = self.books[one.number]
                purse = ShortPurse(self.ledger, one, rules.fees, self._worth)
                purse.begin(rules.shorting, book.last_price)
                book.purse = self._shorts[one.number] = purse

    def apply(self, event: Event | Mark) -> list[Outcome]:
        if isinstance(event, Mark):
            out = self.working.out = []
            self._mark(event)
        else:
            out = super().apply(event)
        for number, one in enumerate(out):
            if type(one) is Filled and one.number == self._calls.get(one.instrument):
                out[number] = one._replace(rule=Rule.SHORT_CALL)
        for instrument, purse in self._shorts.items():
            borrowed, locked, paid = purse.told()
            if borrowed or locked or paid:
                out.append(Margined(instrument, purse.base, purse.quote, borrowed, locked, paid))
            if purse.short and instrument not in self._marks:
                self._expect(instrument, self._time_ns(event))
        return out

    def _expect(self, instrument: int, time_ns: int) -> None:
        book = self.books[instrument]
        at_ns = next_close_ns(book.listing, book.has_bars, time_ns)
        self._marked.setdefault(instrument, time_ns)
        if at_ns:
            self._marks[instrument] = at_ns
            self.deadlines.append(Mark(at_ns, instrument))  # type: ignore[arg-type]  # brought back as any of them

    def _time_ns(self, event: Event | Mark) -> int:
        if isinstance(event, Printed):
            return int(self.books[event.instrument].prints.time_ns[event.position])
        if isinstance(event, BarPoint):
            return self.books[event.instrument].bars.times_ns(event.position)[event.point]
        return event.time_ns

    def _mark(self, event: Mark) -> None:
        instrument, purse = event.instrument, self._shorts[event.instrument]
        del self._marks[instrument]
        self._see(instrument, event.time_ns)
        since_ns = self._marked.pop(instrument)
        if not purse.short:
            return
        self._marked[instrument] = event.time_ns
        purse.mark(max(1, event.time_ns // DAY_NS - since_ns // DAY_NS))
        if purse.is_called() and self._calls.get(instrument) not in self.working.orders:
            self._call(event, purse)

    def _call(self, event: Mark, purse: ShortPurse) -> None:
        """Buy back all of it by MARKET, or as much as all the money there is can pay."""
        lots = purse.short // purse.lot_unit
        for _ in range(2):
            if not lots:
                return
            place = Place(event.instrument, Side.BUY, OrderType.MARKET, lots)
            order = Order.of(place, event.time_ns, event.time_ns)
            before = self._calls.get(event.instrument, 0)
            self._calls[event.instrument] = self.working.made + 1
            broken = self._fund(order, 0, event.time_ns)
            if broken is None:
                return
            self._calls[event.instrument] = before
            if broken.refusal is not Refusal.INSUFFICIENT_BALANCE:
                return
            lots = lots * broken.limit // broken.received
            lots -= lots % purse.listing.filters.step_lots


def alone(listing: Listing, listings: Sequence[Listing]) -> None:
    """`Invalid` where another listing trades the asset that may be sold short."""
    for other in listings:
        if other is not listing and listing.base in (other.base, other.quote):
            raise Invalid(
                f"{listing.id} may be sold short, and {other.id} trades {listing.base.name} too",
                hint="a session with one of them",
            )
