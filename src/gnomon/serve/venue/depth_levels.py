"""The book that a market shows: what was recorded, else a quote around the last price, as of any instant.

| known by then          | top                                          | behind it                               |
|------------------------|----------------------------------------------|-----------------------------------------|
| depth, walkable        | its best levels                              | its levels                              |
| quotes                 | the quote                                    | `level_lots` at each further tick       |
| prints                 | the synthetic quote of the rules             | the same                                |
| candles only           | the last close, a tick or more to each side  | the same; a twentieth of the last volume |

It is the same layer that orders of the session meet; own orders are not in it, and what they took is. `update` counts
everything that was said of the market, so it rises with every change and never falls.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

import numpy as np

from gnomon.exchange.bars import Bars
from gnomon.exchange.liquidity import SyntheticQuote
from gnomon.exchange.order import Side
from gnomon.exchange.prints import Prints
from gnomon.exchange.recorded import DEPTH, QUOTES, Seen
from gnomon.exchange.rules import AUTO, Fills, Taker
from gnomon.market.depth import ASK, BID, SNAPSHOT
from gnomon.market.ladder import Ladder
from gnomon.replay.ground import Tape
from gnomon.units import INT64_MAX

Levels = list[tuple[int, int]]
"""Price in ticks and lots, best first."""

SYNTHETIC: Final = 2
NOTHING: Final = 0
MANY: Final = 1 << 30


class State(NamedTuple):
    """What the book stands on: rows of each layer that are behind, and the layer that is shown."""

    position: int
    quotes: int
    depth: int
    layer: int

    @property
    def update(self) -> int:
        return self.position + self.quotes + self.depth


class Top(NamedTuple):
    """Best prices in ticks and their lots, 0 where there is none."""

    bid: int
    bid_lots: int
    ask: int
    ask_lots: int


class ShownBook:
    """Of one instrument."""

    __slots__ = ("_asks_quotes", "_fills", "_hours", "_prints", "_recorded", "_synthetic", "_tape", "_times")

    def __init__(self, tape: Tape, fills: Fills) -> None:
        self._tape = tape.tape
        self._prints = tape.tape if isinstance(tape.tape, Prints) else None
        self._recorded = tape.recorded if self._prints is not None else None
        self._times = [tape.tape.close_ns if isinstance(tape.tape, Bars) else tape.tape.time_ns]
        if self._recorded is not None:
            layers = self._recorded.quotes, self._recorded.ladder
            self._times += [one.time_ns for one in layers if one is not None]
        self._fills = fills
        self._hours = tape.listing.hours
        self._asks_quotes = fills.taker is Taker.QUOTE
        self._synthetic = SyntheticQuote(self._prints, fills) if self._prints is not None else None

    # --- when ---------------------------------------------------------------------------------------------------------

    def state(self, now_ns: int) -> State:
        if isinstance(self._tape, Bars):
            position = int(self._tape.close_ns.searchsorted(now_ns, "right"))
        else:
            position = self._tape.until(now_ns)
        seen, layer = Seen(0, 0), NOTHING
        if self._recorded is not None:
            seen = self._recorded.until(now_ns)
            layer = self._recorded.layer(seen, self._asks_quotes)
        if self._hours is not None and not self._hours.is_open(now_ns):
            layer = NOTHING
        elif layer == NOTHING and position:
            layer = SYNTHETIC
        return State(position, seen.quotes, seen.depth, layer)

    def said_ns(self, now_ns: int) -> int:
        """When something was said of the market last, 0 where nothing was."""
        found = 0
        for one in self._times:
            at = int(one.searchsorted(now_ns, "right"))
            if at:
                found = max(found, one.item(at - 1))
        return found

    def changes_after(self, now_ns: int) -> int:
        """When something more is said of the market; INT64_MAX where nothing will be."""
        found = INT64_MAX
        for one in self._times:
            at = int(one.searchsorted(now_ns, "right"))
            if at < len(one):
                found = min(found, one.item(at))
        return found

    # --- what ---------------------------------------------------------------------------------------------------------

    def top(self, state: State) -> Top:
        if state.layer == DEPTH:
            ladder = self._ladder
            bid, ask = ladder.best(BID, state.depth), ladder.best(ASK, state.depth)
            bid_level, ask_level = ladder.level(BID, bid, state.depth), ladder.level(ASK, ask, state.depth)
            return Top(
                bid if bid_level else 0, bid_level.lots if bid_level else 0,
                ask if ask_level else 0, ask_level.lots if ask_level else 0,
            )  # fmt: skip
        bids, asks = self.levels(state, BID, 1), self.levels(state, ASK, 1)
        return Top(*(bids[0] if bids else (0, 0)), *(asks[0] if asks else (0, 0)))

    def levels(self, state: State, side: int, limit: int = MANY) -> Levels:
        """The best `limit` levels of a side."""
        if state.layer == DEPTH:
            return [(one.price, one.lots) for one in islice(self._ladder.levels(side, state.depth), limit)]
        if state.layer == NOTHING:
            return []
        found = self._quoted(state, side) if state.layer == QUOTES else self._assumed(state, side)
        return list(islice(((price, lots) for price, lots in found if price > 0 and lots > 0), limit))

    def changed(self, before: State, after: State) -> tuple[Levels, Levels]:
        """The bids and the asks that are others now, with what stands there, 0 for nothing; best first."""
        if before.layer == after.layer == DEPTH:
            rows = slice(before.depth, after.depth)
            depth = self._ladder.depth
            if not (np.asarray(depth.kind[rows]) == SNAPSHOT).any():
                found: dict[int, dict[int, int]] = {BID: {}, ASK: {}}
                columns = depth.side[rows].tolist(), depth.price[rows].tolist(), depth.size[rows].tolist()
                for side, price, lots in zip(*columns, strict=True):
                    found[side][price] = lots
                return sorted(found[BID].items(), reverse=True), sorted(found[ASK].items())
        bids, asks = (_differences(self.levels(before, side), self.levels(after, side)) for side in (BID, ASK))
        return bids[::-1], asks

    # --- inside -------------------------------------------------------------------------------------------------------

    @property
    def _ladder(self) -> Ladder:
        assert self._recorded is not None
        assert self._recorded.ladder is not None
        return self._recorded.ladder

    def _level_lots(self, position: int) -> int:
        if self._fills.level_lots != AUTO:
            return self._fills.level_lots
        if self._prints is not None:
            return self._prints.level_lots(position)
        assert isinstance(self._tape, Bars)
        return max(1, -(-self._tape.volume.item(position - 1) // 20))

    def _quoted(self, state: State, side: int) -> Iterator[tuple[int, int]]:
        assert self._recorded is not None
        quotes = self._recorded.quotes
        assert quotes is not None
        row = state.quotes - 1
        best, lots = (quotes.bid, quotes.bid_qty) if side == BID else (quotes.ask, quotes.ask_qty)
        yield best.item(row), lots.item(row)
        behind = self._level_lots(state.position)
        for number in range(1, self._fills.max_levels):
            yield best.item(row) - side * number, behind

    def _assumed(self, state: State, side: int) -> Iterator[tuple[int, int]]:
        taker = Side.SELL if side == BID else Side.BUY
        if self._synthetic is not None:
            for one in self._synthetic.levels(taker, state.position, 0):
                yield one.price, one.lots
            return
        assert isinstance(self._tape, Bars)
        best = self._tape.close.item(state.position - 1) - side * max(1, -(-self._fills.spread_ticks // 2))
        lots = self._level_lots(state.position)
        for number in range(self._fills.max_levels):
            yield best - side * number, lots


def _differences(before: Levels, after: Levels) -> Levels:
    """By rising price."""
    was, now = dict(before), dict(after)
    gone = [(price, 0) for price in was if price not in now]
    return sorted(gone + [(price, lots) for price, lots in now.items() if was.get(price) != lots])
