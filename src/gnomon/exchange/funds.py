"""Funds: what an order sets aside, and what its fills move. All amounts in units of the asset named."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gnomon.exchange.fees import fee_units, reserve_units
from gnomon.exchange.ledger import Ledger
from gnomon.exchange.listing import Listing
from gnomon.exchange.order import Order, OrderType, Side
from gnomon.exchange.rules import RATE_ONE, FeeAsset, Fees

Worth = Callable[[str, str], tuple[int, int] | None]
"""The last price of a third asset: (numerator, denominator) units of it per unit of the quote; None before a print."""


class Purse:
    """The money of one listing: which accounts its orders touch, and at what rates."""

    __slots__ = ("_fees", "_rates", "_worth", "base", "ledger", "listing", "lot_unit", "notional_unit", "quote",
                 "reserve_rate")  # fmt: skip

    def __init__(self, ledger: Ledger, listing: Listing, fees: Fees, worth: Worth) -> None:
        numbers = {asset.name: number for number, asset in enumerate(ledger.assets)}
        self.ledger = ledger
        self.listing = listing
        self.base = numbers[listing.base.name]
        self.quote = numbers[listing.quote.name]
        self.notional_unit = listing.notional_unit
        self.lot_unit = listing.lot_unit
        self.reserve_rate = max(fees.maker, fees.taker, 0) if fees.asset is FeeAsset.QUOTE else 0
        self._fees = fees
        self._rates = (fees.maker, fees.taker) if fees.asset is FeeAsset.QUOTE else None
        self._worth = worth

    def need(self, side: Side, price: int, lots: int) -> int:
        """Units to lock for `lots` at up to `price`: of the quote with its fees for a BUY, of the base for a SELL."""
        if side is _SELL:
            return lots * self.lot_unit
        notional = price * lots * self.notional_unit
        return notional + reserve_units(notional, self.reserve_rate) if self.reserve_rate else notional

    def need_and_free(self, side: Side, price: int, lots: int) -> tuple[int, int]:
        """Units to lock for a limit order, and those that there are."""
        if side is _SELL:
            return lots * self.lot_unit, self.ledger.free[self.base]
        notional = price * lots * self.notional_unit
        rate = self.reserve_rate
        need = notional - (-notional * rate // RATE_ONE) if rate else notional
        return need, self.ledger.free[self.quote]

    def with_fee(self, notional: int) -> int:
        """What a BUY of this notional can cost in the quote, fees taken from there included."""
        return notional + reserve_units(notional, self.reserve_rate)

    def free(self, side: Side) -> int:
        """Units that a new order of the side may lock."""
        return self.ledger.free[self.base if side is _SELL else self.quote]

    def lock(self, order: Order, units: int) -> None:
        self.ledger.lock(self.base if order.side is _SELL else self.quote, units)
        order.lock += units

    def release(self, order: Order, keep: int = 0) -> int:
        """Set free what is locked beyond `keep`; how much."""
        units = order.lock - keep
        if units:
            self.ledger.release(self.base if order.side is _SELL else self.quote, units)
            order.lock = keep
        return units

    def settle(self, order: Order, price: int, lots: int, is_maker: bool) -> tuple[int, int, int, int, bool, bool]:
        """Move what a fill moves; the order's remainder is already less by `lots`.

        The fee in units, its asset, the rate it was charged at, what the lock held too much and is free again, and
        whether the trade and the fee came out of the lock.
        """
        ledger = self.ledger
        notional, units = price * lots * self.notional_unit, lots * self.lot_unit
        is_locked = order.lock > 0
        if order.side is _SELL:
            gives, gets, paid, received = self.base, self.quote, units, notional
        else:
            gives, gets, paid, received = self.quote, self.base, notional, units
        ledger.trade(gives, paid, gets, received, is_locked)
        if self._rates is not None:
            rate, fee_asset = self._rates[0 if is_maker else 1], self.quote
            fee = notional * rate // RATE_ONE if rate >= 0 else fee_units(notional, rate)
        else:
            rate, fee, fee_asset = self._fee(is_maker, notional, received, gets)
        if is_locked:
            order.lock -= paid
        from_lock = self.reserve_rate > 0 and order.side is not _SELL and order.lock >= fee > 0
        if from_lock:
            order.lock -= fee
        ledger.charge(fee_asset, fee, from_lock)
        released = self.release(order, self.keep(order) if order.remaining else 0) if order.lock else 0
        return fee, fee_asset, rate, released, is_locked, from_lock

    def keep(self, order: Order) -> int:
        """What a lock must still hold after a fill. One that buys without a limit keeps all of it until it ends."""
        if not order.remaining:
            return 0
        if not order.price and order.side is not _SELL:
            return order.lock
        return min(order.lock, self.need(order.side, order.price or order.stop, order.remaining))

    def _fee(self, is_maker: bool, notional: int, received: int, gets: int) -> tuple[int, int, int]:
        """The rate, the fee and its asset."""
        fees = self._fees
        rate = fees.maker if is_maker else fees.taker
        if fees.asset is FeeAsset.OTHER and rate >= 0:
            reduced = rate * fees.discount // RATE_ONE
            other = next((n for n, one in enumerate(self.ledger.assets) if one.name == fees.other), None)
            worth = (1, 1) if other == self.quote else self._worth(fees.other, self.listing.quote.name)
            if worth and other is not None:
                fee = notional * worth[0] * reduced // (worth[1] * RATE_ONE)
                if fee <= self.ledger.free[other]:
                    return reduced, fee, other
        return rate, fee_units(received, rate), gets


_SELL = Side.SELL


def price_of_lock(order: Order, last: int) -> int:
    """The price in ticks that a BUY locks by: its limit, else its stop, else (trailing) the last price."""
    if order.type is OrderType.MARKET:
        return last
    return order.price or order.stop or last


def purses(ledger: Ledger, listings: Mapping[int, Listing], fees: Fees, worth: Worth) -> dict[int, Purse]:
    """One for each listing, by its number."""
    return {number: Purse(ledger, one, fees, worth) for number, one in listings.items()}
