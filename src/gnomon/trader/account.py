"""The account as the trader knows it: balances by the fills that were delivered.

Units of an asset are what fills add to the opening balance, free and locked together; what open orders
hold locked is the blotter's to say. Whatever is not due yet is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from gnomon.errors import Invalid
from gnomon.exchange.listing import Asset, Listing
from gnomon.exchange.order import Side
from gnomon.exchange.outcome import Filled, Margined
from gnomon.trader.orders import Clocked, Heard, Said


class Account:
    """Units owned, by the number of the asset: the order in which the listings name them, base before quote.

    `lots` are the whole lots held, by the number and by the name of an instrument, as far as was taken in.
    """

    __slots__ = (
        "_lot_units",
        "_units",
        "assets",
        "clock",
        "collateral",
        "heard",
        "home",
        "listings",
        "lots",
        "of_instrument",
        "read",
    )

    def __init__(
        self, clock: Clocked, listings: Sequence[Listing], balances: Mapping[str, Decimal], heard: list[Heard]
    ) -> None:
        self.clock = clock
        self.heard = heard
        self.read = 0
        self.listings = tuple(listings)
        by_name: dict[str, Asset] = {}
        for asset in (asset for one in listings for asset in (one.base, one.quote)):
            by_name.setdefault(asset.name, asset)
        self.assets = tuple(by_name.values())
        number = {name: n for n, name in enumerate(by_name)}
        self.of_instrument = {one.number: (number[one.base.name], number[one.quote.name]) for one in listings}
        self._lot_units = {one.number: one.lot_unit for one in listings}
        self.home = number[listings[0].quote.name]  # the asset that equity is counted in
        self._units = [0] * len(self.assets)
        self.collateral = [0] * len(self.assets)  # of short positions, by asset
        for name, amount in balances.items():
            if name not in number:
                raise Invalid(f"a balance of {name}, which nothing here trades", hint=f"one of {', '.join(number)}")
            self._units[number[name]] = self.assets[number[name]].units(amount)
        self.lots: dict[int | str, int] = {}
        self._count_lots()

    def units(self, asset: int) -> int:
        """Free and locked, as of now."""
        heard, at = self.heard, self.read
        if at < len(heard) and heard[at][0] <= self.clock.now_ns:
            self.catch_up()
        return self._units[asset]

    def catch_up(self) -> None:
        """Take in the fills that are known by now."""
        heard, now_ns, at, units = self.heard, self.clock.now_ns, self.read, self._units
        while at < len(heard) and heard[at][0] <= now_ns:
            said = heard[at][1]
            at += 1
            if type(said) is Said and said.moves is not None:
                for place in range(0, len(said.moves), 2):
                    units[said.moves[place]] += said.moves[place + 1]
                continue
            for outcome in said:
                if type(outcome) is Filled:
                    sign = 1 if outcome.side is Side.BUY else -1
                    units[outcome.base] += sign * outcome.base_units
                    units[outcome.quote] -= sign * outcome.notional
                    units[outcome.fee_asset] -= outcome.fee
                elif type(outcome) is Margined:
                    units[outcome.quote] -= outcome.cost
                    self.collateral[outcome.quote] += outcome.locked
        self.read = at
        self._count_lots()

    def _count_lots(self) -> None:
        for listing in self.listings:
            units, unit = self._units[self.of_instrument[listing.number][0]], self._lot_units[listing.number]
            self.lots[listing.number] = self.lots[listing.id] = units // unit if units >= 0 else -(-units // unit)

    def position_units(self, instrument: int) -> int:
        """Of the base asset."""
        return self.units(self.of_instrument[instrument][0])

    def position_lots(self, instrument: int) -> int:
        """Whole lots held: what could be sold. Below zero for a short position."""
        heard, at = self.heard, self.read
        if at < len(heard) and heard[at][0] <= self.clock.now_ns:
            self.catch_up()
        return self.lots[instrument]

    def equity_units(self, ticks: Mapping[int, int]) -> int:
        """Units of the home asset: its balance, and what else is held at these prices (ticks by instrument).

        Assets that no listing prices in the home asset count nothing.
        """
        total = self.units(self.home)
        counted = {self.home}
        for listing in self.listings:
            base, quote = self.of_instrument[listing.number]
            if quote == self.home and base not in counted and listing.number in ticks:
                counted.add(base)
                total += self.units(base) * listing.notional(ticks[listing.number], 1) // listing.lot_unit
        return total
