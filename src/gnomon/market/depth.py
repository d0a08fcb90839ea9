"""Depth: what happened to the levels of an order book, as a struct of integer arrays, a row a level.

| column        | dtype | unit                                                                                     |
|---------------|-------|------------------------------------------------------------------------------------------|
| `time_ns`     | int64 | UTC ns of the venue; never decreasing                                                    |
| `received_ns` | int64 | UTC ns of the recorder's clock; equals `time_ns` where there was none                    |
| `side`        | int8  | 1 bid, -1 ask                                                                            |
| `price`       | int64 | ticks                                                                                    |
| `size`        | int64 | lots at the price from now on; 0 removes the level                                       |
| `kind`        | uint8 | 0 change, 1 level of a snapshot                                                          |
| `update`      | int64 | the venue's id of the message, or its number in the file; the rows of a message share it |

The rows of a message belong together: the book stands after the last of them. The rows of a snapshot's message replace
the whole book. `price` and `size` that were mapped from files are int32 where every value fits: cast before you
multiply.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from gnomon.clock import iso
from gnomon.errors import Invalid
from gnomon.market.quotes import Quotes
from gnomon.units import INT64_MAX, Grid, IntArray, scaled

BID: Final = 1
ASK: Final = -1
CHANGE: Final = 0
SNAPSHOT: Final = 1
NEVER: Final = INT64_MAX

COLUMNS: Final[dict[str, str]] = {
    "time_ns": "<i8",
    "received_ns": "<i8",
    "side": "|i1",
    "price": "<i8",
    "size": "<i8",
    "kind": "|u1",
    "update": "<i8",
}


@dataclass(frozen=True, slots=True, eq=False)
class Depth:
    """Book updates of one instrument in their total order.

    `valid_from_ns` is the first instant at which the book that they make may be walked: the first snapshot, or the
    first agreement with the quotes (`first_agreement`); `NEVER` where there is neither. It moves fills, so it is part
    of what identifies the series.
    """

    instrument: str
    tick: Grid
    lot: Grid
    time_ns: IntArray
    received_ns: IntArray
    side: npt.NDArray[np.int8]
    price: IntArray
    size: IntArray
    kind: npt.NDArray[np.uint8]
    update: IntArray
    valid_from_ns: int = NEVER

    def __len__(self) -> int:
        return len(self.time_ns)

    @property
    def key(self) -> tuple[str, str, str]:
        return self.instrument, "depth", "raw"

    @property
    def has_snapshot(self) -> bool:
        return bool((self.kind == SNAPSHOT).any())

    def columns(self) -> dict[str, npt.NDArray[np.generic]]:
        """Name to array, in the order and dtypes of `COLUMNS`."""
        return {name: np.ascontiguousarray(getattr(self, name), dtype=dtype) for name, dtype in COLUMNS.items()}

    def take(self, rows: slice | IntArray | npt.NDArray[np.bool_]) -> Depth:
        return replace(self, **{name: getattr(self, name)[rows] for name in COLUMNS})

    def regrid(self, tick: Grid, lot: Grid) -> Depth:
        """The same levels counted on grids at least as fine; `Invalid` when one would need rounding."""
        price, size = scaled(self.price, self.tick.times(tick)), scaled(self.size, self.lot.times(lot))
        return replace(self, tick=tick, lot=lot, price=price, size=size)

    def messages(self) -> IntArray:
        """Where each message begins, and one past the last row: messages are `[edges[i], edges[i + 1])`."""
        if not len(self):
            return np.zeros(1, np.int64)
        another = (np.diff(self.update) != 0) | (np.diff(self.kind) != 0)
        return np.concatenate([[0], np.flatnonzero(another) + 1, [len(self)]]).astype(np.int64)

    def check(self) -> Depth:
        """This, or `Invalid` with the first row that breaks an invariant."""
        rules = {
            "time must not go back": np.diff(self.time_ns, prepend=self.time_ns[:1]) >= 0,
            "update ids must not fall": np.diff(self.update, prepend=self.update[:1]) >= 0,
            "price must be positive": self.price > 0,
            "size must not be negative": self.size >= 0,
            "side must be 1 or -1": (self.side == BID) | (self.side == ASK),
            "kind must be 0 or 1": self.kind <= SNAPSHOT,
        }
        for rule, good in rules.items():
            if not good.all():
                row = int(np.argmin(good))
                raise Invalid(
                    f"{self.instrument}, book row {row} at {iso(int(self.time_ns[row]))}: {rule}",
                    hint="mend the source or import with --skip-bad",
                    detail={"row": row, "rule": rule},
                )
        return self


def best_prices(depth: Depth) -> Iterator[tuple[int, int | None, int | None]]:
    """After each message: its last row, the best bid and the best ask in ticks (None where a side is empty).

    Every level that was named counts, also in a book without a snapshot, whose other levels nobody knows.
    """
    books: dict[int, dict[int, int]] = {BID: {}, ASK: {}}
    edges = depth.messages().tolist()
    for first, stop in itertools.pairwise(edges):
        if depth.kind[first] == SNAPSHOT:
            books = {BID: {}, ASK: {}}
        rows = slice(first, stop)
        sides, prices, sizes = depth.side[rows].tolist(), depth.price[rows].tolist(), depth.size[rows].tolist()
        for side, price, size in zip(sides, prices, sizes, strict=True):
            if size:
                books[side][price] = size
            else:
                books[side].pop(price, None)
        yield stop - 1, max(books[BID], default=None), min(books[ASK], default=None)


def first_agreement(depth: Depth, quotes: Quotes, quote_updates: IntArray | None = None) -> int:
    """The first instant at which the best prices of the book agree with the quote in force and do not cross.

    A recording that begins without a snapshot names the levels as they are touched, so the book is known at its top
    from here on. The quote in force at a message is the last whose update id is no later (`quote_updates`, where
    quotes and depth share one count), else the last whose time is no later. `NEVER` where they don't meet.
    """
    for row, bid, ask in best_prices(depth):
        if quote_updates is None:
            at = int(np.searchsorted(quotes.time_ns, depth.time_ns[row], side="right")) - 1
        else:
            at = int(np.searchsorted(quote_updates, depth.update[row], side="right")) - 1
        is_two_sided = bid is not None and ask is not None and bid < ask
        if at >= 0 and is_two_sided and (bid, ask) == (int(quotes.bid[at]), int(quotes.ask[at])):
            return int(depth.time_ns[row])
    return NEVER
