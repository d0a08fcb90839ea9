"""Bars: what happened inside a candle, as far as it can be said, where no prints were recorded.

A candle becomes four points on a declared path. Between two points the price passes every tick, so a limit fills at its
own price and a stop triggers at its own price; the first point is a gap, so what it jumps over is filled there. The
points exist for matching alone: a trader learns of a candle at its close.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from gnomon.exchange.order import Order, Side
from gnomon.exchange.outcome import Role, Rule
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import SHARE_ONE, WHOLE, Fills, Path, Resting
from gnomon.exchange.stops import BIPS, needs_rise
from gnomon.exchange.thresholds import NEVER_DOWN, NEVER_UP, Thresholds
from gnomon.units import INT64_MAX, IntArray

POINTS: Final = 4
"""Open, two extremes, close."""


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Columns of equal length, read-only: `[open_ns, close_ns)`, four prices in ticks, volume in lots."""

    open_ns: IntArray
    close_ns: IntArray
    open: IntArray
    high: IntArray
    low: IntArray
    close: IntArray
    volume: IntArray
    finer: Bars | Prints | None = None  # what is known of the inside of the candles

    @classmethod
    def empty(cls) -> Bars:
        none = np.empty(0, np.int64)
        return cls(none, none, none, none, none, none, none)

    def __len__(self) -> int:
        return len(self.open_ns)

    @property
    def time_ns(self) -> IntArray:
        """When a row begins to matter."""
        return self.open_ns

    def until(self, time_ns: int, start: int = 0) -> int:
        """The position after all bars that open at `time_ns` or earlier, given that those before `start` do."""
        times = self.open_ns
        if start >= len(times) or times.item(start) > time_ns:
            return start
        return start + int(times[start:].searchsorted(time_ns, "right"))

    def reached(self, start: int, stop: int, thresholds: Thresholds) -> npt.NDArray[np.bool_]:
        """Which of the rows in [start, stop) reach a threshold: both sides see the low and the high."""
        low, high = max(thresholds.bid, thresholds.down), min(thresholds.ask, thresholds.up)
        mask = np.zeros(stop - start, np.bool_)
        if low > NEVER_DOWN:
            mask |= self.low[start:stop] <= low
        if high < NEVER_UP:
            mask |= self.high[start:stop] >= high
        return mask

    def path(self, position: int, kind: Path) -> tuple[int, int, int, int]:
        """The four prices in order. Adaptive: the extreme nearer the open first; on a tie low first if it rose."""
        first, high, low, last = (int(column[position]) for column in (self.open, self.high, self.low, self.close))
        if kind is Path.ADAPTIVE:
            up, down = high - first, first - low
            is_low_first = down < up or (down == up and last >= first)
        else:
            is_low_first = kind is Path.OLHC
        return (first, low, high, last) if is_low_first else (first, high, low, last)

    def seen_path(self, position: int) -> tuple[int, int, int, int] | None:
        """The four prices in the order that what is finer shows; None where it does not say.

        It says which extreme came first where it has rows of both, in two rows, and they are those of the candle.
        """
        finer = self.finer
        if finer is None:
            return None
        start = int(finer.time_ns.searchsorted(self.open_ns[position], "left"))
        stop = int(finer.time_ns.searchsorted(self.close_ns[position], "left"))
        if start == stop:
            return None
        tops, bottoms = (finer.high, finer.low) if isinstance(finer, Bars) else (finer.price, finer.price)
        top, bottom = start + int(tops[start:stop].argmax()), start + int(bottoms[start:stop].argmin())
        if top == bottom or tops[top] != self.high[position] or bottoms[bottom] != self.low[position]:
            return None
        return self.path(position, Path.OHLC if top < bottom else Path.OLHC)

    def volumes(self, position: int) -> tuple[int, int, int, int]:
        """Lots of each point: a quarter each, the rest to the close."""
        lots = self.volume.item(position)
        quarter = lots // POINTS
        return quarter, quarter, quarter, lots - 3 * quarter

    def times_ns(self, position: int) -> tuple[int, int, int, int]:
        """When each point is: they order our own events, nothing more."""
        opens, closes = int(self.open_ns[position]), int(self.close_ns[position])
        length = closes - opens
        return opens, opens + length // 3, opens + 2 * length // 3, closes - 1


def opposite(path: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """The same candle with its extremes the other way round."""
    first, one, other, last = path
    return first, other, one, last


class Act(NamedTuple):
    """What a move of the price does to an order: a fill of `lots`, or a trigger (no lots) after which it is a limit."""

    number: int
    price: int
    lots: int
    rule: Rule
    role: Role
    is_trigger: bool


class Ghost:
    """As much of an order as a path needs to know: moved along a path without touching the order."""

    __slots__ = ("bips", "is_buy", "is_reached", "is_waiting", "limit", "number", "pair", "reference", "remaining",
                 "rises", "stop")  # fmt: skip

    def __init__(self, order: Order) -> None:
        self.number = order.number
        self.is_buy = order.side is Side.BUY
        self.limit = order.price
        self.stop = order.stop
        self.is_waiting = order.is_waiting
        self.rises = order.is_stop and needs_rise(order)
        self.bips = order.trailing_bips
        self.reference = order.reference
        self.is_reached = order.is_reached
        self.remaining = order.remaining
        self.pair = order.pair.number if order.pair is not None else 0

    def fires_at(self) -> int:
        """The price at which its condition is met, as things stand; 0 where none can be named yet."""
        if not self.bips or (self.stop and not self.is_reached):
            return self.stop
        if not self.reference:
            return 0
        if self.is_buy:
            return -(-self.reference * (BIPS + self.bips) // BIPS)
        return self.reference * (BIPS - self.bips) // BIPS

    def goes_up(self) -> bool:
        """Whether what it waits for is a rise."""
        if not self.is_waiting:
            return not self.is_buy
        if self.bips and (self.is_reached or not self.stop):
            return self.is_buy
        return self.rises


class Walk:
    """Own orders along the path of one candle. `acts` is what became of them."""

    def __init__(self, orders: Iterable[Order], fills: Fills) -> None:
        self.ghosts = {order.number: Ghost(order) for order in orders}
        self.acts: list[Act] = []
        self._fills = fills
        self._left = 0  # lots of the point that are still to be had

    def gap(self, price: int, lots: int) -> None:
        """The open: what it jumped over is triggered or filled at the open itself."""
        self._left = capped(lots, self._fills)
        for ghost in list(self.ghosts.values()):
            if ghost.number not in self.ghosts or not self._left:
                continue
            if ghost.is_waiting:
                if self._is_jumped(ghost, price):
                    self._trigger(ghost, price)
            elif self._is_beyond(ghost, price):
                self._fill(ghost, price, Rule.BAR_OPEN, Role.TAKER)

    def move(self, start: int, end: int, lots: int) -> None:
        """From one point to the next, past every tick between, with the lots of the point reached."""
        self._left = capped(lots, self._fills)
        at, is_rise = start, end > start
        while self._left:
            ahead = [
                (abs(price - start), ghost.number, price)
                for ghost in self.ghosts.values()
                if (price := self._meets(ghost, at, end, is_rise)) is not None
            ]
            if not ahead:
                break
            _, number, at = min(ahead)
            ghost = self.ghosts[number]
            if ghost.is_waiting:
                self._trigger(ghost, at)
            else:
                self._fill(ghost, ghost.limit, Rule.BAR_PATH, Role.MAKER)
        for ghost in self.ghosts.values():
            self._follow(ghost, start, end)

    def _meets(self, ghost: Ghost, at: int, end: int, is_rise: bool) -> int | None:
        """The price between `at` and `end` at which the move concerns it."""
        if ghost.goes_up() is not is_rise:
            return None
        price = ghost.fires_at() if ghost.is_waiting else ghost.limit
        if not price:
            return None
        if ghost.is_waiting:
            if ghost.stop and ghost.bips and not ghost.is_reached:
                return None  # meeting the stop price only begins the tracking: see `_follow`
            is_met = at <= price <= end if is_rise else end <= price <= at
            return price if is_met else None
        beyond = 0 if self._fills.resting is Resting.TOUCH else 1
        is_met = at <= price <= end - beyond if is_rise else end + beyond <= price <= at
        return price if is_met else None

    def _follow(self, ghost: Ghost, start: int, end: int) -> None:
        """A trailing order keeps the best price of the move."""
        if not (ghost.is_waiting and ghost.bips):
            return
        low, high = min(start, end), max(start, end)
        if ghost.stop and not ghost.is_reached:
            if not low <= ghost.stop <= high:
                return
            ghost.is_reached, ghost.reference = True, ghost.stop
        if not ghost.reference:
            ghost.reference = start
        ghost.reference = min(ghost.reference, low) if ghost.is_buy else max(ghost.reference, high)

    def _is_jumped(self, ghost: Ghost, price: int) -> bool:
        fires = ghost.fires_at()
        if not fires:
            ghost.reference = price
            return False
        is_met = price >= fires if ghost.goes_up() else price <= fires
        if is_met and ghost.bips and ghost.stop and not ghost.is_reached:
            ghost.is_reached, ghost.reference = True, price
            return False
        return is_met

    def _is_beyond(self, ghost: Ghost, price: int) -> bool:
        beyond = 0 if self._fills.resting is Resting.TOUCH else 1
        return price <= ghost.limit - beyond if ghost.is_buy else price >= ghost.limit + beyond

    def _trigger(self, ghost: Ghost, price: int) -> None:
        ghost.is_waiting = False
        self._end_pair(ghost)
        self.acts.append(Act(ghost.number, price, 0, Rule.BAR_STOP, Role.TAKER, True))
        is_met = not ghost.limit or (price <= ghost.limit if ghost.is_buy else price >= ghost.limit)
        if is_met:
            slip = self._fills.slippage_ticks if ghost.is_buy else -self._fills.slippage_ticks
            paid = price + slip
            if ghost.limit:
                paid = min(paid, ghost.limit) if ghost.is_buy else max(paid, ghost.limit)
            self._fill(ghost, paid, Rule.BAR_STOP, Role.TAKER)
        if not ghost.limit:
            self.ghosts.pop(ghost.number, None)  # what is left of a MARKET order expires

    def _fill(self, ghost: Ghost, price: int, rule: Rule, role: Role) -> None:
        lots = min(ghost.remaining, self._left)
        if self._fills.share != WHOLE:
            self._left -= lots
        ghost.remaining -= lots
        self._end_pair(ghost)
        self.acts.append(Act(ghost.number, price, lots, rule, role, False))
        if not ghost.remaining:
            self.ghosts.pop(ghost.number, None)

    def _end_pair(self, ghost: Ghost) -> None:
        if ghost.pair:
            for other in list(self.ghosts.values()):
                if other.pair == ghost.pair and other is not ghost:
                    del self.ghosts[other.number]
            ghost.pair = 0


def capped(lots: int, fills: Fills) -> int:
    """Lots of a point that may be ours; without a share any volume at all fills everything."""
    if fills.share == WHOLE:
        return INT64_MAX if lots else 0
    return lots * fills.share // SHARE_ONE


def walk_through(
    orders: Iterable[Order],
    path: tuple[int, int, int, int],
    volumes: tuple[int, int, int, int],
    fills: Fills,
    *,
    with_gap: bool = True,
) -> list[Act]:
    """What a whole candle would do to the orders: for counting the candles whose path decides."""
    walk = Walk(orders, fills)
    if with_gap:
        walk.gap(path[0], volumes[0])
    for point in range(1, POINTS):
        walk.move(path[point - 1], path[point], volumes[point])
    return walk.acts


def worth_at_close(acts: Iterable[Act], orders: Mapping[int, Order], close: int) -> int:
    """What the fills gained or lost by the close, in ticks times lots."""
    total = 0
    for act in acts:
        gain = (close - act.price) * act.lots
        total += gain if orders[act.number].side is Side.BUY else -gain
    return total
