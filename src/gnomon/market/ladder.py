"""The ladder: an order book as it stood after any row of its depth, answered without replaying what came before.

Each price keeps its own column of updates, sorted by row; what stood at a price is one search, a stretch of levels is
one search for all of them. The best prices after each message are worked out once. Prices in ticks, sizes in lots,
sides 1 (bid) and -1 (ask) as in `market.depth`; a state of the book is the number of depth rows behind it, and it is
asked for at the ends of messages only.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final, NamedTuple

import numpy as np

from gnomon.market.depth import ASK, BID, SNAPSHOT, Depth
from gnomon.units import INT64_MAX, IntArray

FIRST_CHUNK: Final = 16
LAST_CHUNK: Final = 1_024
NO_ASK: Final = INT64_MAX
NO_BID: Final = 0


class Level(NamedTuple):
    """What is displayed at a price, and the depth row that said so (-1: a snapshot that does not name the price)."""

    price: int
    lots: int
    row: int


@dataclass(frozen=True, slots=True, eq=False)
class _Updates:
    """One side's updates, sorted by price and then by row: `keys` are `index of the price * stride + row`."""

    prices: IntArray
    keys: IntArray
    sizes: IntArray
    stride: int

    def before(self, index: int, rows: int) -> int:
        """The place of the last update of a price before the row, -1 where there is none."""
        first = index * self.stride
        at = int(self.keys.searchsorted(first + rows)) - 1
        return at if at >= 0 and self.keys.item(at) >= first else -1

    def index(self, price: int) -> int:
        """Of a price, -1 where it was never named."""
        at = int(self.prices.searchsorted(price))
        return at if at < len(self.prices) and self.prices.item(at) == price else -1


class Ladder:
    """The book of one instrument after any message of its depth."""

    __slots__ = ("_best", "_covered", "_updates", "depth", "first_valid", "starts", "stops", "time_ns")

    def __init__(self, depth: Depth) -> None:
        """Walks the depth once."""
        self.depth = depth
        edges = depth.messages()
        self.starts = edges[:-1]
        self.stops = edges[1:]
        self.time_ns = np.asarray(depth.time_ns)[self.stops - 1] if len(depth) else np.empty(0, np.int64)
        bids, asks, removed = _course(depth)
        self._best: Mapping[int, IntArray] = {BID: bids, ASK: asks}
        self._updates = {side: _updates(depth, side, removed[side]) for side in (BID, ASK)}
        self._covered = _covered(depth)
        self.first_valid = int(self.time_ns.searchsorted(depth.valid_from_ns))
        """Number of the first message after which the book may be walked; that of messages where there is none."""

    def rows_until(self, time_ns: int) -> int:
        """The state after all messages of `time_ns` or earlier."""
        messages = int(self.time_ns.searchsorted(time_ns, "right"))
        return self.stops.item(messages - 1) if messages else 0

    def is_valid(self, rows: int) -> bool:
        """Whether the book may be walked as it stands after `rows`."""
        return self.first_valid < len(self.stops) and rows >= self.stops.item(self.first_valid)

    def best(self, side: int, rows: int) -> int:
        """The best price of a side, `NO_BID` or `NO_ASK` where it is empty."""
        messages = int(self.stops.searchsorted(rows, "right"))
        if not messages:
            return NO_BID if side == BID else NO_ASK
        return self._best[side].item(messages - 1)

    def bests(self, side: int) -> IntArray:
        """The best price of a side after each message."""
        return self._best[side]

    def level(self, side: int, price: int, rows: int) -> Level | None:
        """What is displayed at a price; None where nothing says so.

        Nothing says so where no row has named the price yet, and no snapshot reaches as far as it.
        """
        updates = self._updates[side]
        index = updates.index(price)
        at = updates.before(index, rows) if index >= 0 else -1
        if at >= 0:
            return Level(price, updates.sizes.item(at), updates.keys.item(at) - index * updates.stride)
        for stop, worst_bid, worst_ask in reversed(self._covered):
            if stop <= rows:
                is_inside = price >= worst_bid if side == BID else price <= worst_ask
                return Level(price, 0, -1) if is_inside else None
        return None

    def next_update(self, side: int, price: int, rows: int) -> int:
        """The first depth row from `rows` on that names the price, the number of all rows where none does."""
        updates = self._updates[side]
        index = updates.index(price)
        if index < 0:
            return len(self.depth)
        at = int(updates.keys.searchsorted(index * updates.stride + rows))
        row = updates.keys.item(at) - index * updates.stride if at < len(updates.keys) else len(self.depth)
        return min(row, len(self.depth))

    def levels(self, side: int, rows: int) -> Iterator[Level]:
        """The levels of a side, best first."""
        best = self.best(side, rows)
        if best in (NO_BID, NO_ASK):
            return
        updates = self._updates[side]
        index, chunk = updates.index(best), FIRST_CHUNK
        while 0 <= index < len(updates.prices):
            if side == BID:
                indexes = np.arange(index, max(-1, index - chunk), -1)
            else:
                indexes = np.arange(index, min(len(updates.prices), index + chunk))
            firsts = indexes * updates.stride
            at = updates.keys.searchsorted(firsts + rows) - 1
            row = updates.keys[at] - firsts
            lots = np.where((at >= 0) & (row >= 0), updates.sizes[at], 0)
            shown = np.flatnonzero(lots)
            columns = updates.prices[indexes[shown]], lots[shown], row[shown]
            yield from map(Level, *(column.tolist() for column in columns))
            index -= side * chunk
            chunk = min(2 * chunk, LAST_CHUNK)


# --- inside -----------------------------------------------------------------------------------------------------


Removed = dict[int, list[tuple[int, int]]]
"""By side: (row, price) of the levels that a snapshot took away without naming them."""


def _course(depth: Depth) -> tuple[IntArray, IntArray, Removed]:
    """The best bid and ask after each message, and what snapshots removed. One long loop over all rows."""
    books: dict[int, dict[int, int]] = {BID: {}, ASK: {}}
    heaps: dict[int, list[int]] = {BID: [], ASK: []}
    bests: dict[int, list[int]] = {BID: [], ASK: []}
    removed: Removed = {BID: [], ASK: []}
    sides, prices, sizes = depth.side.tolist(), depth.price.tolist(), depth.size.tolist()
    kinds = depth.kind.tolist()
    for first, stop in itertools.pairwise(depth.messages().tolist()):
        if kinds[first] == SNAPSHOT:
            for side in (BID, ASK):
                removed[side] += [(first, price) for price in sorted(books[side])]
            books, heaps = {BID: {}, ASK: {}}, {BID: [], ASK: []}
        for row in range(first, stop):
            side, price, size = sides[row], prices[row], sizes[row]
            book = books[side]
            if not size:
                book.pop(price, None)
                continue
            if price not in book:
                heappush(heaps[side], -side * price)
            book[price] = size
        for side in (BID, ASK):
            heap, book = heaps[side], books[side]
            while heap and -side * heap[0] not in book:
                heappop(heap)
            bests[side].append(-side * heap[0] if heap else (NO_BID if side == BID else NO_ASK))
    return np.array(bests[BID], np.int64), np.array(bests[ASK], np.int64), removed


def _updates(depth: Depth, side: int, removed: list[tuple[int, int]]) -> _Updates:
    rows = np.flatnonzero(depth.side == side)
    price = np.concatenate([np.asarray(depth.price, np.int64)[rows], [price for _, price in removed]]).astype(np.int64)
    size = np.concatenate([np.asarray(depth.size, np.int64)[rows], np.zeros(len(removed), np.int64)])
    row = np.concatenate([rows, [row for row, _ in removed]]).astype(np.int64)
    named = np.concatenate([np.ones(len(rows), np.int64), np.zeros(len(removed), np.int64)])
    order = np.lexsort((named, row, price))  # what a snapshot takes away comes before what it names
    prices, index = np.unique(price[order], return_inverse=True)
    stride = len(depth) + 1
    return _Updates(prices, index.reshape(-1) * stride + row[order], size[order], stride)


def _covered(depth: Depth) -> tuple[tuple[int, int, int], ...]:
    """The end of each snapshot, the lowest bid and the highest ask that it names."""
    found: list[tuple[int, int, int]] = []
    edges = depth.messages()
    if not len(depth):
        return ()
    for number in np.flatnonzero(np.asarray(depth.kind)[edges[:-1]] == SNAPSHOT).tolist():
        rows = slice(edges.item(number), edges.item(number + 1))
        side, price = depth.side[rows], depth.price[rows]
        bids, asks = price[side == BID], price[side == ASK]
        found.append((rows.stop, int(bids.min()) if len(bids) else NO_ASK, int(asks.max()) if len(asks) else NO_BID))
    return tuple(found)
