"""Quoting on prints, print by print: the slow and plain reading of the rules for resting orders.

Own loop, own arithmetic, nothing of the engine: what `engine.md` 5-7, 9 and 15.2 say, written down once more. A print
counts for an order only if it is later than the order's arrival and comes from the other side's aggressor; a fill is
always at the order's own price. One trader, one pair of quotes, one instrument, `taker = rest`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple

UNITS_PER_TICK_LOT = 10_000  # a lot of 0.001 at a tick of 0.1 is worth 10^-4 quote: 10^4 units of 10^-8
FEE_PPCM = 50_000  # parts of 10^-8 of the notional
BUYER, SELLER = 1, 2  # aggressors of a print; 0 is unknown


class Print(NamedTuple):
    """A trade of the market."""

    ts: int
    price: int
    lots: int
    side: int


@dataclass(slots=True)
class Order:
    """A resting order of ours."""

    side: str  # "B" or "S"
    price: int
    remaining: int
    ahead: int


class Fill(NamedTuple):
    """Ours: the number of the print from 1, our side, our price in ticks, lots."""

    k: int
    side: str
    price: int
    lots: int


@dataclass(frozen=True, slots=True)
class Rules:
    """`share = None` lets any print that qualifies fill the whole order; `ahead` is that of a new order, in lots."""

    every: int
    latency_ns: int = 0
    resting: str = "touch"
    ahead: int = 0
    share: Fraction | None = None
    half_spread: int = 5
    lots: int = 10


@dataclass(slots=True)
class Account:
    """Changes against the opening: lots, units of 10^-8 quote; `fills` in the order in which they happened."""

    position: int = 0
    cash: int = 0
    fees: int = 0
    bought: int = 0
    sold: int = 0
    fills: list[Fill] = field(default_factory=list)

    def book(self, fill: Fill) -> None:
        notional = fill.price * fill.lots * UNITS_PER_TICK_LOT
        if fill.side == "B":
            self.position += fill.lots
            self.bought += fill.lots
            self.cash -= notional
        else:
            self.position -= fill.lots
            self.sold += fill.lots
            self.cash += notional
        self.fees += notional * FEE_PPCM // 10**8
        self.fills.append(fill)

    def equity(self, price: int) -> int:
        """Units of 10^-8 quote with the position at `price` ticks."""
        return self.cash + self.position * price * UNITS_PER_TICK_LOT - self.fees

    def digest(self) -> str:
        """The first 16 digits of the SHA-256 of the list of fills."""
        lines = (f"{n},{f.k},{f.side},{f.price},{f.lots}\n" for n, f in enumerate(self.fills, start=1))
        return hashlib.sha256("".join(lines).encode("ascii")).hexdigest()[:16]


def quoting(prints: Iterable[Print], rules: Rules) -> Account:
    """Every `rules.every`-th print the standing pair is replaced by its price minus and plus the half spread."""
    account = Account()
    standing: list[Order] = []
    on_the_way: list[tuple[int, int]] = []  # (arrival, price asked around), the oldest first
    for k, seen in enumerate(prints, start=1):
        while on_the_way and on_the_way[0][0] < seen.ts:
            _, around = on_the_way.pop(0)
            standing = pair(around, rules)
        for order in list(standing):
            lots = filled(order, seen, rules)
            if lots:
                account.book(Fill(k, order.side, order.price, lots))
            if not order.remaining:
                standing.remove(order)
        if k % rules.every == 0:
            on_the_way.append((seen.ts + max(1, rules.latency_ns), seen.price))
    return account


def pair(around: int, rules: Rules) -> list[Order]:
    """The new pair; the one before it is gone, whatever was left of it."""
    return [
        Order("B", around - rules.half_spread, rules.lots, rules.ahead),
        Order("S", around + rules.half_spread, rules.lots, rules.ahead),
    ]


def filled(order: Order, seen: Print, rules: Rules) -> int:
    """Lots of the order that this print fills; takes them, and what the print takes of the queue, from the order."""
    if order.side == "B":
        opposite, beyond = seen.side != BUYER, seen.price < order.price
    else:
        opposite, beyond = seen.side != SELLER, seen.price > order.price
    if not opposite:
        return 0
    at = seen.price == order.price
    left = seen.lots
    if beyond:
        order.ahead = 0
    elif not at or rules.resting == "through":
        return 0
    elif rules.resting == "queue":
        taken = min(left, order.ahead)
        order.ahead -= taken
        left -= taken
        if not left:
            return 0
    lots = order.remaining if rules.share is None else min(order.remaining, int(rules.share * left))
    order.remaining -= lots
    return lots


# --- the rows of the specification ------------------------------------------------------------------------------------

QUEUED = Rules(every=100, resting="queue", ahead=50)
ROWS = {
    "A": Rules(every=100),
    "B": Rules(every=1_000),
    "C": Rules(every=10_000),
    "D": Rules(every=100, latency_ns=120_000_000),
    "E": Rules(every=1_000, latency_ns=120_000_000),
    "F": Rules(every=100, latency_ns=1_020_000_000),
    "G": QUEUED,
    "H": replace(QUEUED, share=Fraction(1)),
    "I": Rules(every=100, share=Fraction(1)),
    "J": replace(QUEUED, every=1_000, share=Fraction(1)),
}
"""Rows of table 15.2 of `engine.md`, over a million prints."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a row must give: lots, and units of 10^-8 quote; `None` where the table is silent."""

    fills: int
    position: int
    cash: int
    fees: int
    digest: str
    equity: int | None = None
    bought: int | None = None
    sold: int | None = None


FIGURES = {
    "A": Figures(10_171, -1_370, 82_325_57500000, 3_054_63565050, "405f230914157a80", equity=-3_135_65665050),
    "B": Figures(1_663, -350, 21_031_49200000, 499_43821800, "8af94f07f471a756", equity=-520_72621800),
    "C": Figures(189, 50, -3_002_47500000, 56_76127650, "b56124fcf63b3c92", equity=-51_69627650),
    "D": Figures(10_253, -1_330, 79_920_62400000, 3_079_26387700, "dafd7b77624b0f99", equity=-3_159_20387700),
    "E": Figures(1_664, -360, 21_631_99200000, 499_73846800, "2e575bfc49f9aeca", equity=-522_03446800),
    "F": Figures(10_710, -1_480, 88_932_34900000, 3_216_51254450, "4dfebaae57426be0", equity=-3_307_34754450),
    "G": Figures(9_719, -1_130, 67_917_57900000, 2_918_89162950, "797faa248d01cf4e", bought=48_030, sold=49_160),
    "H": Figures(10_967, -1_067, 64_130_62120000, 2_905_58603910, "fdfc5c4d98fd51e6", bought=47_840, sold=48_907),
    "I": Figures(11_211, -1_382, 83_050_35210000, 3_044_00404695, "c341725ac11350db", bought=49_987, sold=51_369),
    "J": Figures(1_879, -376, 22_592_65350000, 494_51324875, "13d8fda806344abb", bought=8_045, sold=8_421),
}
# The table prints the list of E as ...aece: one digit of sixteen is a slip of the pen, as no other list of fills could
# share fifteen. hftbacktest 2.4.4 itself, on the same prints, gives ...aeca (bench/exchange_quotes.py).
FIRST_OF_A = [Fill(118, "S", 600_004, 10), Fill(233, "S", 600_009, 10), Fill(332, "B", 600_007, 10)]
FIRST_OF_A += [Fill(566, "S", 600_015, 10)]
LAST_OF_A = Fill(999_910, "S", 601_508, 10)
LAST_PRICE = 601_508
