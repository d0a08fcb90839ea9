"""Funds: what an order sets aside, and what its fills move. All amounts in units of the asset named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from gnomon.exchange.fees import fee_units, reserve_units
from gnomon.exchange.ledger import Account, Ledger, Posting
from gnomon.exchange.listing import Listing
from gnomon.exchange.order import Order, OrderType, Side
from gnomon.exchange.outcome import Role
from gnomon.exchange.rules import RATE_ONE, FeeAsset, Fees


class Settled(NamedTuple):
    """What a fill moved."""

    fee: int
    fee_asset: int
    rate: int
    released: int
    postings: tuple[Posting, ...]


class Funds:
    """One account's money, by listing. `worth(asset, quote)` is the last price of a third asset as (numerator,
    denominator) units of it per unit of the quote, or None where nothing has been printed."""

    __slots__ = ("_assets", "_base", "_fees", "_quote", "_reserve_rate", "_worth", "ledger")

    def __init__(
        self,
        ledger: Ledger,
        listings: Mapping[int, Listing],
        fees: Fees,
        worth: Callable[[str, str], tuple[int, int] | None],
    ) -> None:
        self.ledger = ledger
        self._fees = fees
        self._worth = worth
        self._assets = {asset.name: number for number, asset in enumerate(ledger.assets)}
        self._base = {number: self._assets[one.base.name] for number, one in listings.items()}
        self._quote = {number: self._assets[one.quote.name] for number, one in listings.items()}
        self._reserve_rate = max(fees.maker, fees.taker, 0) if fees.asset is FeeAsset.QUOTE else 0

    def lock_asset(self, order: Order) -> int:
        return (self._quote if order.side is Side.BUY else self._base)[order.instrument]

    def need(self, listing: Listing, side: Side, price: int, lots: int) -> int:
        """Units to lock for `lots` at up to `price`: of the quote with its fees for a BUY, of the base for a SELL."""
        if side is Side.SELL:
            return listing.base_units(lots)
        return self.with_fee(listing.notional(price, lots))

    def with_fee(self, notional: int) -> int:
        """What a BUY of this notional can cost in the quote, fees taken from there included."""
        return notional + reserve_units(notional, self._reserve_rate)

    def free_for(self, listing: Listing, side: Side) -> int:
        return self.ledger.free[(self._quote if side is Side.BUY else self._base)[listing.number]]

    def lock(self, order: Order, units: int) -> None:
        self.ledger.lock(self.lock_asset(order), units)
        order.lock += units

    def release(self, order: Order, keep: int = 0) -> int:
        """Set free what is locked beyond `keep`; how much."""
        units = order.lock - keep
        if units:
            self.ledger.release(self.lock_asset(order), units)
            order.lock = keep
        return units

    def settle(self, listing: Listing, order: Order, price: int, lots: int, role: Role) -> Settled:
        """Move what a fill of `lots` at `price` moves; the order's own remainder is already less by `lots`."""
        rate = self._fees.maker if role is Role.MAKER else self._fees.taker
        base, quote = self._base[listing.number], self._quote[listing.number]
        notional, units = listing.notional(price, lots), listing.base_units(lots)
        account = Account.LOCKED if order.lock else Account.FREE
        ledger = self.ledger
        if order.side is Side.BUY:
            paid = ledger.pay(quote, notional, account), ledger.receive(base, units)
            received, received_asset = units, base
            order.lock -= notional if account is Account.LOCKED else 0
        else:
            paid = ledger.pay(base, units, account), ledger.receive(quote, notional)
            received, received_asset = notional, quote
            order.lock -= units if account is Account.LOCKED else 0
        fee, fee_asset, rate = self._fee(rate, notional, quote, received, received_asset)
        from_lock = fee_asset == quote and order.side is Side.BUY and order.lock >= fee > 0
        charged = ledger.charge(fee_asset, fee, Account.LOCKED if from_lock else Account.FREE)
        order.lock -= fee if from_lock else 0
        released = self.release(order, self._keep(listing, order))
        return Settled(fee, fee_asset, rate, released, (*paid, charged))

    def _keep(self, listing: Listing, order: Order) -> int:
        """What a lock must still hold after a fill."""
        if not order.lock or not order.remaining:
            return 0
        return min(order.lock, self.need(listing, order.side, order.price or order.stop, order.remaining))

    def _fee(self, rate: int, notional: int, quote: int, received: int, received_asset: int) -> tuple[int, int, int]:
        if self._fees.asset is FeeAsset.QUOTE:
            return fee_units(notional, rate), quote, rate
        if self._fees.asset is FeeAsset.OTHER:
            reduced = rate * self._fees.discount // RATE_ONE
            worth = self._worth(self._fees.other, self.ledger.assets[quote].name)
            other = self._assets.get(self._fees.other)
            if worth and other is not None:
                fee = fee_units(notional * worth[0] // worth[1], reduced)
                if 0 <= fee <= self.ledger.free[other]:
                    return fee, other, reduced
        return fee_units(received, rate), received_asset, rate


def price_of_lock(order: Order, last: int) -> int:
    """The price in ticks that a BUY locks by: its limit, else its stop, else (trailing) the last price."""
    if order.type is OrderType.MARKET:
        return last
    return order.price or order.stop or last
