"""Raw columns of one series as a file gave them, before any rule was applied: what every layout answers with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gnomon.units import IntArray

Kind = Literal["candles", "trades", "quotes", "depth"]

Column = Any
"""A NumPy array (int64, float64, bool) or a pyarrow array (text, timestamps)."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that could not be cut into columns at all."""

    line: int
    value: str
    rule: str


@dataclass(frozen=True, slots=True)
class Name:
    """What a file or its name says about whose series it is. `symbols` are spellings, the one to keep first."""

    symbols: tuple[str, ...] = ()
    venue: str = ""  # "" where the format does not say
    timeframe: str = ""
    asset_class: str = ""  # where the format has one only
    forecast: bool = True  # False for a series that is no tradable price (a mark price)


@dataclass(frozen=True, slots=True)
class Clock:
    """How the stamps of a table are to be read.

    `zone` is the zone of stamps without an offset: an IANA name, `exchange` (the zone of the instrument), or "" for UTC
    unless the rows show otherwise. `stamp` says which end of a bar is stamped. Whole numbers are `base_ns + unit_ns x
    value`; a unit of 0 is found by magnitude.
    """

    zone: str = ""
    stamp: Literal["open", "close"] = "open"
    base_ns: int = 0
    unit_ns: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One series of a file.

    Columns of candles: time open high low close, and volume, amount where there are any. Columns of trades: time price
    size, and received, id, side, buyer_maker, suspicious where there are any. Columns of quotes: time bid bid_qty ask
    ask_qty, and received, id where there are any. Columns of depth: time side price size, and received, id, snapshot
    (true for a level of a snapshot) where there are any. `decimals` is what whole numbers are scaled by (LEAN counts
    prices in 10^-4). `text(name)` reads a column again as the file spells it. `stamp` says whose clock `time` is, and
    `dropped` how many rows were left out for no fault of theirs, by the reason.
    """

    kind: Kind
    format: str
    name: Name
    columns: Mapping[str, Column]
    lines: IntArray
    clock: Clock = Clock()
    decimals: Mapping[str, int] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)  # text columns that must say the same in every row
    text: Callable[[str], Column] | None = None
    broken: tuple[Broken, ...] = ()
    notes: tuple[str, ...] = ()
    shared_lines: bool = False  # several rows stand on one line: rejects then say the time as well
    stamp: Literal["exchange", "receive"] = "exchange"
    dropped: Mapping[str, int] = field(default_factory=dict)
    judge_basis: bool = False  # prices of US shares: off-cent ones tell an adjusted series

    def __len__(self) -> int:
        return len(self.lines)
