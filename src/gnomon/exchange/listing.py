"""Listings: an instrument as the venue trades it, every scale an integer, with the filters of its orders.

A price is `price_ticks * tick`, a quantity `qty_lots * lot`, money a whole number of units `10^-scale` of an asset.
`tick = k_tick * 10^-p` and `lot = k_lot * 10^-q`, so one tick times one lot is worth
`k_tick * k_lot * 10^(scale - p - q)` units of the quote asset: `notional_unit`, exact or refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Final

from gnomon.errors import Invalid
from gnomon.market.calendar import Hours
from gnomon.units import MONEY_DECIMALS

NO_LIMIT: Final = 0
"""A zero bound disables its part of a filter, as at the venues."""
BANDS: Final = ("bid_up", "bid_down", "ask_up", "ask_down", "avg_price_mins")


@dataclass(frozen=True, slots=True)
class Asset:
    """A currency or share that balances are counted in: units of 10^-scale."""

    name: str
    scale: int = MONEY_DECIMALS

    def units(self, amount: Decimal) -> int:
        """The amount in units; `Invalid` when it is finer than a unit."""
        scaled = amount.scaleb(self.scale)
        whole = int(scaled)
        if whole != scaled:
            raise Invalid(
                f"{amount} {self.name} is finer than 10^-{self.scale}", hint="round it, or raise the asset's scale"
            )
        return whole

    def decimal(self, units: int) -> Decimal:
        return Decimal(units).scaleb(-self.scale)


@dataclass(frozen=True, slots=True)
class Filters:
    """Bounds of an order's numbers in ticks, lots and money units; 0 switches a bound off."""

    min_price_ticks: int = 1
    max_price_ticks: int = NO_LIMIT
    min_lots: int = 1
    max_lots: int = NO_LIMIT
    step_lots: int = 1
    step_ticks: int = 1
    market_max_lots: int = NO_LIMIT
    min_notional_units: int = NO_LIMIT
    max_notional_units: int = NO_LIMIT
    min_trailing_bips: int = 10
    max_trailing_bips: int = 2_000
    max_orders: int = 200
    max_stop_orders: int = 50
    bid_up: int = NO_LIMIT  # a limit price beside the average one, in parts of 10^-8: of a bid, of an ask
    bid_down: int = NO_LIMIT
    ask_up: int = NO_LIMIT
    ask_down: int = NO_LIMIT
    avg_price_mins: int = 0  # minutes of trades that the average is of; 0: the last price

    def __post_init__(self) -> None:
        for one in fields(self):
            if getattr(self, one.name) < 0:
                raise Invalid(f"filter {one.name} is {getattr(self, one.name)}", hint="0 switches it off")
        if self.step_lots < 1:
            raise Invalid(f"filter step_lots is {self.step_lots}", hint="at least 1 lot")
        if self.step_ticks < 1:
            raise Invalid(f"filter step_ticks is {self.step_ticks}", hint="at least 1 tick")

    @property
    def has_bands(self) -> bool:
        """Whether a limit price is held against the average one."""
        return bool(self.bid_up or self.bid_down or self.ask_up or self.ask_down)

    @property
    def is_by_side(self) -> bool:
        """Whether bids and asks have bands of their own."""
        return (self.bid_up, self.bid_down) != (self.ask_up, self.ask_down)

    def document(self) -> dict[str, int]:
        """Every bound by name; a step of one tick, which is what a tick is, goes without saying, and so do bands that
        there are not."""
        unsaid: tuple[str, ...] = ("step_ticks",) if self.step_ticks == 1 else ()
        unsaid += () if self.has_bands else BANDS
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name not in unsaid}


@dataclass(frozen=True, slots=True)
class Listing:
    """One tradable instrument of a run. `number` is its place in the run's registry, the source of its prints.

    `hours` are None for a market that never closes.
    """

    number: int
    id: str
    base: Asset
    quote: Asset
    tick: Decimal
    lot: Decimal
    filters: Filters = Filters()
    may_short: bool = False
    hours: Hours | None = None
    notional_unit: int = 0  # derived
    lot_unit: int = 0  # derived

    def __post_init__(self) -> None:
        """`Invalid` when one tick times one lot, or one lot, is not a whole number of money units."""
        for name, step in (("tick", self.tick), ("lot", self.lot)):
            if not step.is_finite() or step <= 0:
                raise Invalid(f"{self.id}: {name} is {step}", hint="a positive decimal such as 0.01")
        set_field = object.__setattr__
        set_field(self, "notional_unit", self._whole(self.tick * self.lot, self.quote))
        set_field(self, "lot_unit", self._whole(self.lot, self.base))

    def _whole(self, step: Decimal, asset: Asset) -> int:
        try:
            return asset.units(step)
        except Invalid as error:
            raise Invalid(
                f"{self.id}: a step of {step} is finer than the units of {asset.name} (10^-{asset.scale})",
                hint=f"raise the scale of {asset.name} in the session's assets",
            ) from error

    def notional(self, price_ticks: int, lots: int) -> int:
        """Units of the quote asset."""
        return price_ticks * lots * self.notional_unit

    def base_units(self, lots: int) -> int:
        return lots * self.lot_unit

    def document(self) -> Mapping[str, object]:
        """Everything that decides a fill, for the digest of the configuration."""
        hours = {"hours": self.hours.document()} if self.hours is not None else {}
        return {
            "id": self.id,
            "base": {"name": self.base.name, "scale": self.base.scale},
            "quote": {"name": self.quote.name, "scale": self.quote.scale},
            "tick": str(self.tick.normalize()),
            "lot": str(self.lot.normalize()),
            "may_short": self.may_short,
            "filters": self.filters.document(),
            **hours,
        }
