"""Brackets: a take-profit and a stop-loss that guard whatever of an order was filled.

Each delivery of new fills is guarded by a pair of its own, one cancels the other, so that the pairs together are always
as large as the fills and nothing stands unguarded while one is replaced. What is too small for an order is guarded
together with the next fill. A fee that is paid in the base asset is not there to be sold, and is not guarded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gnomon.errors import Invalid
from gnomon.exchange.listing import Listing
from gnomon.exchange.order import OrderType, Place, Side
from gnomon.trader import sizing
from gnomon.trader.orders import Order, Pending, Rejected, Working
from gnomon.trader.sizing import Number

if TYPE_CHECKING:
    from gnomon.trader.desk import Desk

LATE: Final = "bracket: its price was behind the market"


class Bracket:
    """The guards of one order. Prices in ticks, 0 for one that was not asked for."""

    __slots__ = ("_guarded_lots", "_guards", "_taken", "entry", "is_done", "listing", "sl_ticks", "tp_ticks")

    def __init__(self, listing: Listing, tp_ticks: int, sl_ticks: int) -> None:
        self.listing = listing
        self.tp_ticks = tp_ticks
        self.sl_ticks = sl_ticks
        self.entry: Order | None = None
        self.is_done = False
        self._guarded_lots = 0
        self._guards: list[Order] = []
        self._taken: set[int] = set()  # serials of refused guards that were dealt with

    @classmethod
    def of(cls, listing: Listing, side: Side, tp: Number | None, sl: Number | None, last_ticks: int) -> Bracket:
        """`Invalid` when the two are on the wrong sides of each other or of the last price (0 unknown)."""
        out = side.opposite
        tp_ticks = sizing.price_ticks(listing, tp, out) if tp is not None else 0
        sl_ticks = sizing.stop_ticks(listing, sl, out is Side.BUY) if sl is not None else 0
        high, low = (tp_ticks, sl_ticks) if side is Side.BUY else (sl_ticks, tp_ticks)
        if high and low and low >= high:
            raise Invalid(f"tp {tp} and sl {sl} of a {side.name}", hint="a profit on one side, a loss on the other")
        if last_ticks and ((high and high <= last_ticks) or (low and low >= last_ticks)):
            raise Invalid(
                f"tp {tp}, sl {sl} with the last price at {last_ticks * listing.tick}",
                hint="the profit beyond the price, the loss before it",
            )
        return cls(listing, tp_ticks, sl_ticks)

    def follow(self, desk: Desk) -> None:
        """Guard what was filled since the last time; leave by MARKET where a guard came too late."""
        entry = self.entry
        assert entry is not None
        self._replace_refused(desk)
        lots = sizing.whole_steps(self.listing, self._sellable(desk)) - self._guarded_lots
        if lots > 0 and not sizing.shortfall(self.listing, self.sl_ticks or self.tp_ticks, lots):
            self._guarded_lots += lots
            self._guards += self._placed(desk, lots)
        is_over = not entry.is_open
        self.is_done = is_over and not any(isinstance(one.state, Pending | Working) for one in self._guards)

    def _sellable(self, desk: Desk) -> int:
        entry = self.entry
        assert entry is not None
        if entry.side is Side.SELL:
            return entry.executed_lots
        base = desk.base_asset(self.listing.number)
        mine = (one.venue for one in desk.fills() if one.order is entry)
        fees = sum(max(0, one.fee) for one in mine if one.fee_asset == base)
        return (self.listing.base_units(entry.executed_lots) - fees) // self.listing.lot_unit

    def _placed(self, desk: Desk, lots: int) -> list[Order]:
        entry = self.entry
        assert entry is not None
        out, number = entry.side.opposite, self.listing.number
        stop = Place(number, out, OrderType.STOP_LOSS, lots, stop=self.sl_ticks)
        if self.tp_ticks and self.sl_ticks:
            profit = Place(number, out, OrderType.LIMIT_MAKER, lots, self.tp_ticks)
            return desk.send_pair(profit, stop, entry.label)
        if self.sl_ticks:
            return [desk.send_one(stop, entry.label)]
        return [desk.send_one(Place(number, out, OrderType.LIMIT, lots, self.tp_ticks), entry.label)]

    def _replace_refused(self, desk: Desk) -> None:
        """A stop that would trigger at once, or a pair whose prices the market has passed."""
        refused = [one for one in self._guards if isinstance(one.state, Rejected) and one.serial not in self._taken]
        done: set[int] = set()
        for one in refused:
            self._taken.add(one.serial)
            if one.type is OrderType.MARKET or one.request in done:
                continue
            done.add(one.request)
            leave = Place(self.listing.number, one.side, OrderType.MARKET, one.lots)
            desk.note(f"{LATE}: {one.lots} lots of {self.listing.id} leave by MARKET")
            self._guards.append(desk.send_one(leave, one.label))
