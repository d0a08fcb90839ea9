"""Recorded quotes and depth of one instrument, and what they show an account that took some of it.

A moment of the recording is `Seen`: how many rows of each layer are behind it. Which layer says what is best is a
matter of the taker rule: `quote` asks the quotes, all others the book from where it may be walked on, and the quotes
before that or where no depth is recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from gnomon.exchange.order import Side
from gnomon.market.depth import ASK, BID, Depth
from gnomon.market.ladder import NO_ASK, NO_BID, Ladder
from gnomon.market.quotes import Quotes
from gnomon.units import IntArray

QUOTES: Final = 1
DEPTH: Final = -1
"""The two layers, as the journal's `print_side` tells them apart."""

UNKNOWN: Final = -1


class Seen(NamedTuple):
    """Rows of each layer that are behind."""

    quotes: int
    depth: int


class BookMoved(NamedTuple):
    """A quote, or the last row of a message of depth, is behind; all prints of its instant have been told."""

    instrument: int
    time_ns: int
    layer: int
    quotes: int  # rows of each layer that are behind now
    depth: int


class Offer(NamedTuple):
    """What is displayed at a price, how much of it we took since it was last updated, and the row that displays it."""

    price: int
    lots: int
    taken: int
    row: int


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """All moments at which the recording says something, in order. `bid` and `ask` are the best prices after a move
    of the layer that is asked for them; a move of another layer reaches nobody and has `NO_BID` and `NO_ASK`."""

    time_ns: IntArray
    layer: npt.NDArray[np.int8]
    quotes: IntArray
    depth: IntArray
    bid: IntArray
    ask: IntArray

    def __len__(self) -> int:
        return len(self.time_ns)

    def until(self, time_ns: int, start: int = 0) -> int:
        """The position after all moves of `time_ns` or earlier, given that those before `start` are."""
        times = self.time_ns
        if start >= len(times) or times.item(start) > time_ns:
            return start
        return start + int(times[start:].searchsorted(time_ns, "right"))

    def event(self, instrument: int, position: int) -> BookMoved:
        return BookMoved(
            instrument, self.time_ns.item(position), self.layer.item(position), self.quotes.item(position),
            self.depth.item(position),
        )  # fmt: skip


class Recorded:
    """The layers of one instrument; either may be absent."""

    __slots__ = ("_since", "ladder", "quotes")

    def __init__(self, quotes: Quotes | None, ladder: Ladder | None) -> None:
        self.quotes = quotes
        self.ladder = ladder
        self._since = {
            side: _since(quotes.bid, quotes.bid_qty) if side is Side.SELL else _since(quotes.ask, quotes.ask_qty)
            for side in (Side.BUY, Side.SELL)
            if quotes is not None
        }

    def until(self, time_ns: int) -> Seen:
        """After everything of `time_ns` and earlier."""
        quotes, ladder = self.quotes, self.ladder
        return Seen(
            int(quotes.time_ns.searchsorted(time_ns, "right")) if quotes is not None else 0,
            ladder.rows_until(time_ns) if ladder is not None else 0,
        )

    def since(self, side: Side, row: int) -> int:
        """The row at which the quote that a taker of this side meets was last another one."""
        return self._since[side].item(row)

    def is_walkable(self, seen: Seen) -> bool:
        return self.ladder is not None and self.ladder.is_valid(seen.depth)

    def layer(self, seen: Seen, asks_quotes: bool) -> int:
        """The layer that says what is best, 0 where none does yet."""
        if asks_quotes and self.quotes is not None:
            return QUOTES if seen.quotes else 0
        if self.is_walkable(seen):
            return DEPTH
        return QUOTES if seen.quotes else 0

    def best(self, seen: Seen, layer: int) -> tuple[int, int, int]:
        """Bid, ask (0 where there is none) and the row that they stand on, as the layer says."""
        if layer == QUOTES:
            assert self.quotes is not None
            row = seen.quotes - 1
            return self.quotes.bid.item(row), self.quotes.ask.item(row), row
        assert self.ladder is not None
        ask = self.ladder.best(ASK, seen.depth)
        return self.ladder.best(BID, seen.depth), 0 if ask == NO_ASK else ask, seen.depth - 1

    def time_ns(self, seen: Seen, layer: int) -> int:
        """When the layer said something last."""
        return int(self.rows(layer).time_ns[(seen.quotes if layer == QUOTES else seen.depth) - 1])

    def rows(self, layer: int) -> Quotes | Depth:
        """The rows of a layer that is recorded."""
        if layer == QUOTES:
            assert self.quotes is not None
            return self.quotes
        return _depth(self).depth

    def moves(self, asks_quotes: bool) -> Moves:
        """Everything that may concern a resting order: quotes while they are asked, depth from where it is walkable."""
        quotes, ladder = self.quotes, self.ladder
        first = ladder.first_valid if ladder is not None else 0
        messages = np.arange(first, len(ladder.stops)) if ladder is not None else np.empty(0, np.int64)
        told = np.arange(len(quotes)) if quotes is not None else np.empty(0, np.int64)
        if quotes is not None and not asks_quotes and ladder is not None and len(messages):
            told = told[quotes.time_ns <= ladder.time_ns[first]]  # of one instant they come first
        times = [
            quotes.time_ns[told] if quotes is not None else told,
            ladder.time_ns[messages] if ladder is not None else messages,
        ]
        layer = np.repeat(np.array([QUOTES, DEPTH], np.int8), [len(told), len(messages)])
        time_ns = np.concatenate(times).astype(np.int64)
        order = np.lexsort((layer == DEPTH, time_ns))
        time_ns, layer = time_ns[order], layer[order]
        is_depth = layer == DEPTH
        quote_rows = np.cumsum(~is_depth)
        depth_rows = np.zeros(len(layer), np.int64)
        if ladder is not None and len(ladder.stops):
            reached = first + np.cumsum(is_depth) - 1
            depth_rows = np.where(reached >= 0, ladder.stops[np.maximum(reached, 0)], 0)
        bid, ask = np.full(len(layer), NO_BID, np.int64), np.full(len(layer), NO_ASK, np.int64)
        if quotes is not None:
            rows = quote_rows[~is_depth] - 1
            bid[~is_depth], ask[~is_depth] = quotes.bid[rows], quotes.ask[rows]
        if ladder is not None and not (asks_quotes and quotes is not None):
            rows = first + np.cumsum(is_depth)[is_depth] - 1
            bid[is_depth], ask[is_depth] = ladder.bests(BID)[rows], ladder.bests(ASK)[rows]
        return Moves(time_ns, layer, quote_rows, depth_rows, bid, ask)


class Shown:
    """What the recording shows one account: the levels, less what the account took since their last update."""

    __slots__ = ("_at", "_seen", "_taken", "asks_quotes", "moves", "recorded")

    def __init__(self, recorded: Recorded, asks_quotes: bool) -> None:
        self.recorded = recorded
        self.asks_quotes = asks_quotes
        self.moves = recorded.moves(asks_quotes)
        self._taken: dict[tuple[int, Side, int], tuple[int, int]] = {}  # layer, side, price to row, lots
        self._at = UNKNOWN
        self._seen = Seen(0, 0)

    def at(self, time_ns: int) -> Seen:
        """What is behind after everything of an instant."""
        if time_ns != self._at:
            self._at, self._seen = time_ns, self.recorded.until(time_ns)
        return self._seen

    def layer(self, seen: Seen) -> int:
        return self.recorded.layer(seen, self.asks_quotes)

    def offers(self, side: Side, seen: Seen, layer: int) -> Iterator[Offer]:
        """The levels that a taker of this side meets, best first: of the book, or the one of the quote."""
        recorded = self.recorded
        if layer == QUOTES:
            quotes = recorded.quotes
            assert quotes is not None
            row = seen.quotes - 1
            price, lots = (quotes.ask, quotes.ask_qty) if side is Side.BUY else (quotes.bid, quotes.bid_qty)
            row = recorded.since(side, row)
            yield Offer(price.item(row), lots.item(row), self.taken(layer, side, price.item(row), row), row)
            return
        for price_, lots_, row in _depth(recorded).levels(ASK if side is Side.BUY else BID, seen.depth):
            yield Offer(price_, lots_, self.taken(layer, side, price_, row), row)

    def taken(self, layer: int, side: Side, price: int, row: int) -> int:
        """Lots that the account took at a price since the row that displays it."""
        since, lots = self._taken.get((layer, side, price), (row, 0))
        return lots if since == row else 0

    def take(self, layer: int, side: Side, price: int, row: int, lots: int) -> None:
        self._taken[layer, side, price] = row, self.taken(layer, side, price, row) + lots

    def ahead(self, side: Side, price: int, time_ns: int) -> int:
        """Lots displayed at a price where an order of this side arrives; `UNKNOWN` where the book does not say.

        Nobody is before an order that improves on the best price of its side.
        """
        seen = self.at(time_ns)
        if not self.recorded.is_walkable(seen):
            return UNKNOWN
        ladder, own = _depth(self.recorded), BID if side is Side.BUY else ASK
        best = ladder.best(own, seen.depth)
        if price > best if side is Side.BUY else price < best:
            return 0
        level = ladder.level(own, price, seen.depth)
        return UNKNOWN if level is None else level.lots


def _depth(recorded: Recorded) -> Ladder:
    assert recorded.ladder is not None
    return recorded.ladder


def _since(price: IntArray, lots: IntArray) -> IntArray:
    """For each row the first of the run of equal rows that it ends."""
    rows = np.arange(len(price))
    is_new = np.ones(len(price), np.bool_)
    is_new[1:] = (np.diff(price) != 0) | (np.diff(lots) != 0)
    return np.maximum.accumulate(np.where(is_new, rows, 0)) if len(rows) else rows
