"""The ledger: double-entry postings in integer units. Balances are what the postings add up to, nothing else.

Accounts per asset: `FREE` and `LOCKED` are the trader's, `MARKET` is the other side of every trade, `FEES` where fees
go, `OPENING` where balances come from, `BORROWED`
where shares that are sold short come from. The postings of one event sum to zero per asset.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple, NoReturn

from gnomon.errors import Refused
from gnomon.exchange.listing import Asset


class Account(IntEnum):
    FREE = 0
    LOCKED = 1
    MARKET = 2
    FEES = 3
    OPENING = 4
    BORROWED = 5


class Posting(NamedTuple):
    account: Account
    asset: int
    units: int


class Ledger:
    """Six accounts for each asset, by the asset's number. Every method moves units between two of them.

    A move that would leave `FREE` or `LOCKED` below zero is refused before anything is changed: whoever calls has
    checked the funds, so it is a fault of the engine.
    """

    __slots__ = ("assets", "borrowed", "fees", "free", "locked", "market", "opening")

    def __init__(self, assets: Sequence[Asset]) -> None:
        self.assets = tuple(assets)
        zeros = [0] * len(self.assets)
        self.borrowed = list(zeros)  # what is lent to the trader: the account holds it below zero
        self.free, self.locked, self.market, self.fees, self.opening = (list(zeros) for _ in range(5))

    def open(self, asset: int, units: int) -> tuple[Posting, Posting]:
        """An opening balance, or a credit by the operator."""
        if self.free[asset] + units < 0:
            self._refuse(asset, self.free[asset] + units, "free")
        self.opening[asset] -= units
        self.free[asset] += units
        return Posting(Account.OPENING, asset, -units), Posting(Account.FREE, asset, units)

    def lock(self, asset: int, units: int) -> None:
        after = self.free[asset] - units
        if after < 0:
            self._refuse(asset, after, "free")
        self.free[asset] = after
        self.locked[asset] += units

    def release(self, asset: int, units: int) -> None:
        after = self.locked[asset] - units
        if after < 0:
            self._refuse(asset, after, "locked")
        self.locked[asset] = after
        self.free[asset] += units

    def trade(self, gives: int, paid: int, gets: int, received: int, is_locked: bool) -> None:
        """Pay from `LOCKED` or `FREE` to the market, and receive into `FREE`."""
        side = self.locked if is_locked else self.free
        after = side[gives] - paid
        if after < 0:
            self._refuse(gives, after, "locked" if is_locked else "free")
        side[gives] = after
        self.market[gives] += paid
        self.market[gets] -= received
        self.free[gets] += received

    def charge(self, asset: int, units: int, is_locked: bool = False) -> None:
        """A fee from `FREE` or `LOCKED`; negative for a rebate."""
        side = self.locked if is_locked else self.free
        after = side[asset] - units
        if after < 0:
            self._refuse(asset, after, "locked" if is_locked else "free")
        side[asset] = after
        self.fees[asset] += units

    def borrow(self, asset: int, units: int) -> None:
        """Lend units to `FREE`; below zero they go back."""
        after = self.free[asset] + units
        if after < 0:
            self._refuse(asset, after, "free")
        self.free[asset] = after
        self.borrowed[asset] += units

    def stand(self, asset: int, free: int, locked: int, fees: int) -> None:
        """What a walk has left of an asset; the market has the rest."""
        self.free[asset], self.locked[asset], self.fees[asset] = free, locked, fees
        self.market[asset] = -(self.balance(asset) + fees + self.opening[asset])

    def balance(self, asset: int) -> int:
        """Free and locked; below zero for what is sold short."""
        return self.free[asset] + self.locked[asset] - self.borrowed[asset]

    def check(self) -> None:
        """Nothing is created or lost: the accounts of each asset sum to zero, and none of the trader's is below it."""
        for number, asset in enumerate(self.assets):
            mine = self.free[number], self.locked[number]
            total = sum(mine) + self.market[number] + self.fees[number] + self.opening[number]
            total -= self.borrowed[number]
            if total or min(mine) < 0:
                raise Refused(
                    f"the ledger of {asset.name} does not add up: free {mine[0]}, locked {mine[1]}, sum {total}",
                    hint="a fault of the engine: keep the run's journal and report it",
                )

    def _refuse(self, asset: int, after: int, name: str) -> NoReturn:
        raise Refused(
            f"{name} {self.assets[asset].name} would become {after}",
            hint="a fault of the engine: keep the run's journal and report it",
        )
