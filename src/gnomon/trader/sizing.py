"""Sizes and prices of orders on the grids of an instrument.

Prices are snapped away from aggression: a buy down, a sell up; stops away from their trigger. Quantities go down to the
lot step. A budget includes its costs, so an order made from it never costs more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from gnomon.errors import Invalid
from gnomon.exchange.fees import reserve_units
from gnomon.exchange.listing import Asset, Listing
from gnomon.exchange.order import Side
from gnomon.exchange.rules import RATE_ONE, FeeAsset, Fees
from gnomon.units import INT64_MAX
from gnomon.units import decimal as exact

Number = Decimal | float | int | str


@dataclass(frozen=True, slots=True)
class Costs:
    """What trading costs, in parts of 10^-8 of the notional. `is_quoted`: a buy pays its fee in the quote on top.
    `margin_rate`: what a short sale locks of its notional, beyond its proceeds."""

    maker_rate: int
    taker_rate: int
    is_quoted: bool
    margin_rate: int = 0

    @classmethod
    def of(cls, fees: Fees, margin_rate: int = 0) -> Costs:
        return cls(fees.maker, fees.taker, fees.asset is FeeAsset.QUOTE, margin_rate)

    @property
    def buy_rate(self) -> int:
        """What may come on top of the notional of a buy, whichever its role."""
        return max(self.maker_rate, self.taker_rate, 0) if self.is_quoted else 0

    @property
    def sell_rate(self) -> int:
        """What may be taken from the proceeds of a sale."""
        return max(self.taker_rate, 0)


def price_ticks(listing: Listing, price: Number, side: Side) -> int:
    """Ticks of a limit price: a buy's down, a sell's up."""
    return _snap(listing, price, ROUND_FLOOR if side is Side.BUY else ROUND_CEILING)


def stop_ticks(listing: Listing, price: Number, rises: bool) -> int:
    """Ticks of a stop price, away from its trigger: up for one that waits for a rise."""
    return _snap(listing, price, ROUND_CEILING if rises else ROUND_FLOOR)


def _snap(listing: Listing, price: Number, rounding: str) -> int:
    value = exact(price)
    if value <= 0:
        raise Invalid(f"a price of {value}", hint="a positive number")
    step = listing.filters.step_ticks
    ticks = int((value / (listing.tick * step)).to_integral_value(rounding)) * step
    if not 1 <= ticks <= INT64_MAX:
        raise Invalid(f"a price of {value} is {ticks} ticks of {listing.tick}", hint="at least one tick")
    return ticks


def price_of(listing: Listing, ticks: int) -> float:
    """The float that is nearest to a price: 3 ticks of 0.1 are 0.3."""
    up, down = listing.tick.as_integer_ratio()
    return ticks * up / down


def lots_of(listing: Listing, qty: Number) -> int:
    """Lots of a quantity, down to the step; 0 when it is less than one step."""
    value = exact(qty)
    if value <= 0:
        raise Invalid(f"a quantity of {value}", hint="a positive number")
    return whole_steps(listing, int((value / listing.lot).to_integral_value(ROUND_FLOOR)))


def whole_steps(listing: Listing, lots: int) -> int:
    """Down to a multiple of the step."""
    return lots - lots % listing.filters.step_lots


def units_of(asset: Asset, amount: Number) -> int:
    """Money in units, rounded down; it may be written finer than a unit."""
    value = exact(amount)
    if value <= 0:
        raise Invalid(f"an amount of {value} {asset.name}", hint="a positive number")
    return int(value.scaleb(asset.scale).to_integral_value(ROUND_FLOOR))


def share_of(units: int, pct: Number) -> int:
    """`pct` percent of an amount, rounded down."""
    value = exact(pct)
    if not 0 < value <= 100:
        raise Invalid(f"{value} percent", hint="above 0, at most 100")
    return int((Decimal(units) * value / 100).to_integral_value(ROUND_FLOOR))


def spendable(budget_units: int, rate: int) -> int:
    """The largest notional whose cost, the fee on top included, fits the budget."""
    notional = max(0, budget_units * RATE_ONE // (RATE_ONE + rate))
    while notional and notional + reserve_units(notional, rate) > budget_units:
        notional -= 1
    return notional


def lots_for(listing: Listing, ticks: int, budget_units: int, rate: int) -> int:
    """The most lots, in whole steps, that the budget buys at a price with the fee on top."""
    return max(0, whole_steps(listing, spendable(budget_units, rate) // listing.notional(ticks, 1)))


def misfit(listing: Listing, prices: Iterable[int], lots: int) -> str:
    """What does not lie on the steps of an instrument, in words with the step; empty when all does. Prices of 0 are
    none."""
    rules = listing.filters
    if lots % rules.step_lots:
        return f"{lots} lots are no multiple of {rules.step_lots} ({rules.step_lots * listing.lot} {listing.base.name})"
    off = [one for one in prices if one % rules.step_ticks]
    return f"{off[0]} ticks are no multiple of {rules.step_ticks}" if off else ""


def shortfall(listing: Listing, ticks: int, lots: int, notional_units: int = 0) -> str:
    """What an order is below, in words with the minimum; empty when it is large enough."""
    rules = listing.filters
    if not notional_units and lots < max(1, rules.min_lots):
        minimum = max(rules.min_lots, rules.step_lots)
        return f"{lots} lots are below the minimum of {minimum} ({minimum * listing.lot} {listing.base.name})"
    worth = notional_units or listing.notional(ticks, lots)
    if rules.min_notional_units and worth < rules.min_notional_units:
        quote = listing.quote
        return f"{quote.decimal(worth)} {quote.name} is below the minimum of {quote.decimal(rules.min_notional_units)}"
    return ""
