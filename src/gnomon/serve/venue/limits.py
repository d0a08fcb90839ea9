"""Request weights and counts of unfilled orders, in windows aligned to the session's clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gnomon.errors import Invalid
from gnomon.serve.venue import codes
from gnomon.serve.venue.refusal import VenueRefusal
from gnomon.units import DAY_NS, MINUTE_NS, SECOND_NS

BASES: Final = ("virtual", "wall", "off")
WEIGHT_LIMIT: Final = 6_000
RAW_LIMIT: Final = 61_000
RAW_NS: Final = 5 * MINUTE_NS
ORDERS_10S_LIMIT: Final = 100
ORDERS_10S_NS: Final = 10 * SECOND_NS
ORDERS_1D_LIMIT: Final = 200_000
MOST_ADDRESSES: Final = 4_096
"""Remembered at a time: with more of them, all begin anew."""


class Limits:
    """What one bot (or the unsigned callers of one session) has used. `basis` is the clock that windows run on:
    `virtual`, so that an accelerated bot meets the limits it would meet live; `wall`; or `off`, counted but never
    refused. While `is_paused`, requests are not counted."""

    __slots__ = (
        *("_day", "_minute", "_raw_window", "_ten", "basis", "is_paused", "orders_10s", "orders_1d", "raw"),
        *("orders_10s_limit", "orders_1d_limit", "raw_limit", "used_weight", "wall_now_ns", "weight_limit"),
    )

    def __init__(
        self,
        basis: str = "virtual",
        *,
        weight_limit: int = WEIGHT_LIMIT,
        raw_limit: int = RAW_LIMIT,
        orders_10s_limit: int = ORDERS_10S_LIMIT,
        orders_1d_limit: int = ORDERS_1D_LIMIT,
        wall_now_ns: Callable[[], int] | None = None,
    ) -> None:
        if basis not in BASES:
            raise Invalid(f"rate_limits is {basis!r}", hint=f"one of {', '.join(BASES)}")
        if basis == "wall" and wall_now_ns is None:
            raise Invalid("limits on the wall clock without a wall clock", hint="pass wall_now_ns")
        self.basis = basis
        self.weight_limit = weight_limit
        self.raw_limit = raw_limit
        self.orders_10s_limit = orders_10s_limit
        self.orders_1d_limit = orders_1d_limit
        self.wall_now_ns = wall_now_ns
        self.is_paused = False
        self.used_weight = self.raw = self.orders_10s = self.orders_1d = 0
        self._minute = self._raw_window = self._ten = self._day = -1

    def _now(self, virtual_ns: int) -> int:
        return virtual_ns if self.wall_now_ns is None else self.wall_now_ns()

    def spend(self, virtual_ns: int, weight: int) -> None:
        """Count a request; -1003 when the minute's weight, or the raw count of five minutes, is used up."""
        now_ns = virtual_ns if self.basis != "wall" else self._now(virtual_ns)
        minute = now_ns // MINUTE_NS
        if minute != self._minute:
            self._minute = minute
            self.used_weight = 0
            if now_ns // RAW_NS != self._raw_window:
                self._raw_window = now_ns // RAW_NS
                self.raw = 0
        if self.is_paused:
            return
        self.used_weight += weight
        self.raw += 1
        if self.basis != "off":
            if self.used_weight > self.weight_limit:
                raise codes.too_much_weight(self.weight_limit, _until_next(now_ns, MINUTE_NS))
            if self.raw > self.raw_limit:
                raise codes.too_many_requests(self.raw_limit, _until_next(now_ns, RAW_NS))

    def admit_orders(self, virtual_ns: int, orders: int) -> None:
        """Count new orders; -1015 when a window of the unfilled orders is full already."""
        now_ns = virtual_ns if self.basis != "wall" else self._now(virtual_ns)
        if now_ns // ORDERS_10S_NS != self._ten:
            self._roll_orders(virtual_ns)
        if self.basis != "off":
            if self.orders_10s >= self.orders_10s_limit:
                raise codes.too_many_orders(self.orders_10s_limit, "10 SECONDS", _until_next(now_ns, ORDERS_10S_NS))
            if self.orders_1d >= self.orders_1d_limit:
                raise codes.too_many_orders(self.orders_1d_limit, "1 DAY", _until_next(now_ns, DAY_NS))
        self.orders_10s += orders
        self.orders_1d += orders

    def first_fill(self, virtual_ns: int) -> None:
        """An order met its first fill: it is no unfilled order any more."""
        self.take_back(virtual_ns, 1)

    def take_back(self, virtual_ns: int, orders: int) -> None:
        """So many orders do not count (any more)."""
        self._roll_orders(virtual_ns)
        self.orders_10s = max(0, self.orders_10s - orders)
        self.orders_1d = max(0, self.orders_1d - orders)

    def _roll_orders(self, virtual_ns: int) -> int:
        now_ns = virtual_ns if self.basis != "wall" else self._now(virtual_ns)
        ten = now_ns // ORDERS_10S_NS
        if ten != self._ten:
            self._ten = ten
            self.orders_10s = 0
            if now_ns // DAY_NS != self._day:
                self._day = now_ns // DAY_NS
                self.orders_1d = 0
        return now_ns

    def recount(self, virtual_ns: int, orders: int, used_weight: int, raw: int) -> None:
        """After a restart: what stood in the windows when a call was written down, and the orders that it added."""
        self._minute, self.used_weight = virtual_ns // MINUTE_NS, used_weight
        self._raw_window, self.raw = virtual_ns // RAW_NS, raw
        self._roll_orders(virtual_ns)
        self.orders_10s += orders
        self.orders_1d += orders

    def order_limits(self, virtual_ns: int) -> list[dict[str, Any]]:
        """The two ORDERS limits with their counts."""
        self._roll_orders(virtual_ns)
        return [
            _limit("ORDERS", "SECOND", 10, self.orders_10s_limit, self.orders_10s),
            _limit("ORDERS", "DAY", 1, self.orders_1d_limit, self.orders_1d),
        ]

    def weight_limits(self) -> list[dict[str, Any]]:
        """The REQUEST_WEIGHT limit with its count, as of the last request."""
        return [_limit("REQUEST_WEIGHT", "MINUTE", 1, self.weight_limit, self.used_weight)]


class Strangers:
    """What addresses send that comes to no run: an unknown key, a signature that is wrong, a path that is not there. No
    virtual clock is theirs, so it is counted on the wall's."""

    __slots__ = ("_by_address", "_wall_now_ns")

    def __init__(self, wall_now_ns: Callable[[], int]) -> None:
        self._by_address: dict[str, Limits] = {}
        self._wall_now_ns = wall_now_ns

    def refusal(self, address: str, refusal: VenueRefusal) -> VenueRefusal:
        """What to tell the address: the refusal, or -1003 where it has had too many of them in a minute."""
        limits = self._by_address.get(address)
        if limits is None:
            if len(self._by_address) >= MOST_ADDRESSES:
                self._by_address.clear()
            limits = self._by_address[address] = Limits("wall", wall_now_ns=self._wall_now_ns)
        try:
            limits.spend(0, 1)
        except VenueRefusal as too_many:
            return too_many
        return refusal


def _limit(kind: str, interval: str, interval_num: int, limit: int, count: int) -> dict[str, Any]:
    return {
        "rateLimitType": kind,
        "interval": interval,
        "intervalNum": interval_num,
        "limit": limit,
        "count": count,
    }


def _until_next(now_ns: int, window_ns: int) -> int:
    """Whole seconds until the window ends, at least one."""
    return max(1, -(-(window_ns - now_ns % window_ns) // SECOND_NS))
