"""Targets: weights of equity become sells and buys, the sells first.

Nothing is traded below max(minimum notional, band x max(target, current)); a full exit always is. Buys share what is
free and what the sells are expected to bring after costs, so together they never cost more than that. A short sale
brings nothing: it locks its proceeds and a margin. A short is bought back before anything else is bought.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from gnomon.errors import Invalid
from gnomon.exchange.fees import reserve_units
from gnomon.exchange.listing import Listing
from gnomon.exchange.order import Side
from gnomon.exchange.rules import RATE_ONE
from gnomon.trader.sizing import Costs, Number, shortfall, spendable, whole_steps
from gnomon.units import decimal as exact

DEFAULT_BAND = Decimal("0.05")
SUM_TOLERANCE = Decimal("1e-9")


@dataclass(frozen=True, slots=True)
class Holding:
    """One instrument: what is held, and what it is worth. `lots` below zero for a short position."""

    listing: Listing
    lots: int
    ticks: int

    @property
    def value_units(self) -> int:
        return self.listing.notional(self.ticks, self.lots)


@dataclass(frozen=True, slots=True)
class Step:
    """One order of a rebalance: a sale of `lots`, or a purchase for `spend_units` of the quote, fee on top; of `lots`
    where it buys back a short."""

    listing: Listing
    side: Side
    lots: int = 0
    spend_units: int = 0


def checked(weights: Mapping[str, Number], listings: Mapping[str, Listing]) -> dict[str, Decimal]:
    """Weights as decimals; `Invalid` for a sum above 1 and for a short where none is allowed."""
    exactly = {name: exact(weight) for name, weight in weights.items()}
    total = sum(exactly.values(), Decimal(0))
    if total > 1 + SUM_TOLERANCE:
        raise Invalid(f"the weights sum to {total}", hint="at most 1: the rest is cash")
    for name, weight in exactly.items():
        if weight < 0 and not listings[name].may_short:
            raise Invalid(f"the weight of {name} is {weight}", hint="0 or more: it cannot be sold short here")
    return exactly


def steps(
    holdings: Sequence[Holding],
    weights: Mapping[str, Decimal],
    equity_units: int,
    free_units: int,
    costs: Costs,
    band: Decimal = DEFAULT_BAND,
) -> list[Step]:
    """What to trade, in order. Instruments without a weight are sold; `free_units` is cash that no order holds."""
    sells: list[Step] = []
    covers: list[Step] = []
    wanted: list[tuple[Holding, int]] = []
    proceeds = 0
    for holding in holdings:
        target = _share(equity_units, weights.get(holding.listing.id, Decimal(0)))
        change = target - holding.value_units
        if not change or _is_too_small(holding, target, change, band):
            continue
        if change > 0:
            cover = _cover(holding, target, change)
            if cover:  # paid from its collateral
                covers.append(Step(holding.listing, Side.BUY, lots=cover))
                change = max(0, target)
            elif holding.lots < 0:
                continue
            if change:
                wanted.append((holding, change))
            continue
        lots = _sale(holding, target, -change)
        if lots and (not target or not shortfall(holding.listing, holding.ticks, lots)):
            sells.append(Step(holding.listing, Side.SELL, lots=lots))
            notional = holding.listing.notional(holding.ticks, lots)
            short = max(0, lots - max(0, holding.lots))
            locked = holding.listing.notional(holding.ticks, short)
            margin = reserve_units(locked, RATE_ONE + costs.margin_rate)
            proceeds += notional - reserve_units(notional, costs.sell_rate) - margin
    return sells + covers + _buys(wanted, max(0, free_units + proceeds), costs)


def _cover(holding: Holding, target: int, change: int) -> int:
    """Lots to buy back of a short: all of it, or as much as the target is above it."""
    if holding.lots >= 0:
        return 0
    if target >= 0:
        return -holding.lots
    return whole_steps(holding.listing, change // holding.listing.notional(holding.ticks, 1))


def _buys(wanted: Sequence[tuple[Holding, int]], available_units: int, costs: Costs) -> list[Step]:
    """Each in proportion where the money does not reach."""
    total = sum(gross for _, gross in wanted)
    bought: list[Step] = []
    for holding, gross in wanted:
        budget = gross if total <= available_units else gross * available_units // total
        spend = spendable(budget, costs.buy_rate)
        one_step = holding.listing.notional(holding.ticks, holding.listing.filters.step_lots)
        if spend >= one_step and not shortfall(holding.listing, holding.ticks, 0, spend):
            bought.append(Step(holding.listing, Side.BUY, spend_units=spend))
    return bought


def _share(equity_units: int, weight: Decimal) -> int:
    return int((Decimal(equity_units) * weight).to_integral_value(ROUND_FLOOR))


def _is_too_small(holding: Holding, target: int, change: int, band: Decimal) -> bool:
    if not target and holding.lots:
        return False  # a full exit
    larger = max(abs(target), abs(holding.value_units))
    return abs(change) < max(holding.listing.filters.min_notional_units, int(band * larger))


def _sale(holding: Holding, target: int, less_units: int) -> int:
    """Lots to sell, in whole steps; of a full exit all that can be sold."""
    if not target:
        return whole_steps(holding.listing, max(0, holding.lots))
    return whole_steps(holding.listing, less_units // holding.listing.notional(holding.ticks, 1))
