"""The desk's limits on orders. A check answers with a type: only `Accepted` travels on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gnomon.errors import Invalid
from gnomon.exchange.order import Place

NO_LIMIT = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a session. 0 switches a limit off; `notional_pct` is of the equity, for one order."""

    orders_per_bar: int = 50
    open_orders: int = 200
    notional_pct: int = 100

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not isinstance(value, int) or value < 0:
                raise Invalid(f"limit {name} is {value!r}", hint="a whole number, 0 for none")


class Standing(NamedTuple):
    """Where the trader stands when it asks: requests of this bar, open orders, equity in units of the quote."""

    bar_requests: int
    open_orders: int
    equity_units: int


class Accepted(NamedTuple):
    """May be sent."""

    places: tuple[Place, ...]


class Refused(NamedTuple):
    """May not be sent, and why."""

    reason: str


def check(places: Sequence[Place], notional_units: int, standing: Standing, limits: Limits) -> Accepted | Refused:
    """The orders of one request, the largest notional among them in units of the quote (0 where it frees money)."""
    if limits.orders_per_bar and standing.bar_requests >= limits.orders_per_bar:
        return Refused(f"request {standing.bar_requests + 1} of this bar: the limit is {limits.orders_per_bar}")
    open_orders = standing.open_orders + len(places)
    if limits.open_orders and open_orders > limits.open_orders:
        return Refused(f"{open_orders} open orders: the limit is {limits.open_orders}")
    most = standing.equity_units * limits.notional_pct // 100
    if limits.notional_pct and notional_units > most:
        return Refused(f"a notional of {notional_units} units: the limit is {limits.notional_pct} % of equity, {most}")
    return Accepted(tuple(places))
