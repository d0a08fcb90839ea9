"""Klines: candles of any interval as of an instant, closed ones from a cache, the last one as far as it has formed.

| instrument has | intervals                   | the forming candle                                                    |
|----------------|-----------------------------|-----------------------------------------------------------------------|
| prints         | all                         | the prints up to now                                                  |
| candles only   | from the finest candles' on | the finest candles closed by now; none is known before, nor its open  |

Those of the session's own timeframe are the candles that its traders are told of. An interval in which nothing was
traded is a candle of the last close without volume, unless the market has closing hours: then there is none. Candles
that do not lie on the grid (of a market that opens at 13:30) are given as they are, once they are closed.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from typing import Final, NamedTuple, Protocol

import numpy as np

from gnomon.exchange.bars import Bars
from gnomon.replay.ground import Tape
from gnomon.serve.venue.decimals import Decimals
from gnomon.serve.venue.intervals import Interval
from gnomon.serve.venue.spans import SPLIT, BarSpans, Rows, Spans, totals
from gnomon.units import DAY_NS, HOUR_NS, INT64_MAX, IntArray

MILLISECOND_NS: Final = 1_000_000
BLOCKS_KEPT: Final = 128
NEVER: Final = (INT64_MAX, 0)

Sums = tuple[int, int, int, int, int, int, int, int, int, int]
"""The fields of `Totals`."""


class Candle(NamedTuple):
    """One row, in ticks, lots and ticks times lots. `[first, stop)` are positions of prints, both 0 where unknown."""

    open_ns: int
    close_ns: int
    first: int
    stop: int
    open: int
    high: int
    low: int
    close: int
    lots: int
    worth: int
    bought: int
    bought_worth: int


def row_bytes(candle: Candle, texts: Decimals) -> bytes:
    """The 12 elements of REST."""
    open_ns, close_ns, first, stop, opened, high, low, close, lots, worth, bought, bought_worth = candle
    price, qty = texts.price, texts.qty
    return (
        f'[{open_ns // MILLISECOND_NS},"{price(opened)}","{price(high)}","{price(low)}","{price(close)}","{qty(lots)}",'
        f'{close_ns // MILLISECOND_NS - 1},"{texts.worth(worth)}",{stop - first},"{qty(bought)}",'
        f'"{texts.worth(bought_worth)}","0"]'
    ).encode()


class Grid(Protocol):
    """Where candles lie: numbered cells."""

    def cell(self, at_ns: int, /) -> int: ...

    def cells(self, at_ns: IntArray, /) -> IntArray: ...

    def opens_ns(self, first: int, stop: int, /) -> IntArray: ...


class OwnGrid:
    """The candles of a series, as they lie. A cell is the number of a candle; it ends where the next one begins."""

    __slots__ = ("_bars",)

    def __init__(self, bars: Bars) -> None:
        self._bars = bars

    def cell(self, at_ns: int) -> int:
        """The number of the first candle that is not closed."""
        return int(self._bars.close_ns.searchsorted(at_ns, "right"))

    def cells(self, at_ns: IntArray) -> IntArray:
        return np.asarray(self._bars.close_ns.searchsorted(at_ns, "right"))

    def opens_ns(self, first: int, stop: int) -> IntArray:
        count = len(self._bars)
        found = np.full(stop - first, INT64_MAX, np.int64)
        known = self._bars.open_ns[max(0, first) : min(stop, count)]
        found[max(0, -first) : max(0, -first) + len(known)] = known
        return found


class Block:
    """Consecutive candles, None where there is none, and their bytes once somebody asked for them."""

    __slots__ = ("_rows", "candles")

    def __init__(self, candles: list[Candle | None]) -> None:
        self.candles = candles
        self._rows: list[bytes] | None = None

    def rows(self, texts: Decimals) -> list[bytes]:
        if self._rows is None:
            self._rows = [row_bytes(one, texts) if one is not None else b"" for one in self.candles]
        return self._rows


class Kept:
    """The blocks that were used last, of all series of a session's market."""

    __slots__ = ("_blocks",)

    def __init__(self) -> None:
        self._blocks: OrderedDict[tuple[Klines, int], Block] = OrderedDict()

    def find(self, klines: Klines, number: int) -> Block:
        key = klines, number
        block = self._blocks.get(key)
        if block is None:
            block = self._blocks[key] = klines.made(number)
            if len(self._blocks) > BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        else:
            self._blocks.move_to_end(key)
        return block


class Klines:
    """The candles of one instrument and interval. A candle is known by the number of its cell."""

    __slots__ = ("_grain_ns", "_is_dense", "_kept", "_size", "_spans", "_told", "_told_cells", "begin", "grid",
                 "texts")  # fmt: skip

    def __init__(
        self, tape: Tape, own: Interval, interval: Interval, spans: Spans, texts: Decimals, kept: Kept
    ) -> None:
        """`own` is the interval of the session's candles."""
        self.texts = texts
        self._spans = spans
        self._kept = kept
        self._is_dense = tape.listing.hours is None
        length_ns = interval.length_ns or 28 * DAY_NS
        self._grain_ns = length_ns
        self._size = 256 if length_ns <= HOUR_NS else 16 if length_ns <= DAY_NS else 1
        self.grid: Grid = interval
        self._told: Bars | None = None
        self._told_cells = np.empty(0, np.int64)
        if interval == own and len(tape.bars):
            self._told = tape.bars
            self._told_cells = interval.cells(tape.bars.open_ns)
            if tape.bars.open_ns.item(0) != interval.open_ns(self._told_cells.item(0)):
                self.grid, self._is_dense = OwnGrid(tape.bars), False
                self._told_cells = np.arange(len(tape.bars))
        self.begin: int = self._begin(length_ns)

    def _begin(self, length_ns: int) -> int:
        """The number of the first candle, INT64_MAX where there is none."""
        found: list[int] = [INT64_MAX, *self._told_cells[:1].tolist()]
        spans = self._spans
        is_too_coarse = isinstance(spans, BarSpans) and (
            not len(spans.bars) or spans.bars.close_ns.item(0) - spans.bars.open_ns.item(0) > length_ns
        )
        if not is_too_coarse and spans.begins_ns != INT64_MAX and not isinstance(self.grid, OwnGrid):
            found.append(self.grid.cell(spans.begins_ns))
        return min(found)

    # --- closed candles -----------------------------------------------------------------------------------------------

    def closed(self, now_ns: int) -> int:
        """The number of the first candle that is not closed."""
        return max(self.begin, self.grid.cell(now_ns)) if self.begin != INT64_MAX else INT64_MAX

    def candle(self, number: int) -> Candle | None:
        """A closed one; None where there is none."""
        return self._kept.find(self, number // self._size).candles[number % self._size]

    def next_close(self, after_ns: int) -> tuple[int, int]:
        """When a candle closes next after an instant, and its number; INT64_MAX and 0 where none will."""
        if isinstance(self.grid, OwnGrid):
            cell = self.grid.cell(after_ns)
            told = self._told
            return (told.close_ns.item(cell), cell) if told is not None and cell < len(told) else NEVER
        if self.begin == INT64_MAX:
            return NEVER
        cell = max(self.begin, self.grid.cell(after_ns))
        if not self._is_dense:
            traded_ns = self._spans.traded_from(self.grid.opens_ns(cell, cell + 1).item(0))
            if traded_ns == INT64_MAX:
                return NEVER
            cell = self.grid.cell(traded_ns)
        return self.grid.opens_ns(cell + 1, cell + 2).item(0), cell

    def changes_after(self, now_ns: int) -> int:
        """When the forming candle changes, or another one begins to form."""
        if isinstance(self.grid, OwnGrid) or self.begin == INT64_MAX:
            return INT64_MAX
        return self._spans.changes_after(now_ns)

    def seen_at_close(self, close_ns: int) -> int:
        """The last instant whose news are in a candle that closes: not the prints of its close."""
        return self._spans.traded_by(close_ns)

    def first_rows(self, first: int, stop: int, limit: int) -> list[bytes]:
        """Of the closed candles [first, stop) the first `limit`."""
        found: list[bytes] = []
        first, size = max(first, self.begin), self._size
        while first < stop and len(found) < limit:
            block = first // size
            rows = self._kept.find(self, block).rows(self.texts)[first - block * size : stop - block * size]
            found += filter(None, rows)
            first = self._next_from((block + 1) * size)
        return found[:limit]

    def last_rows(self, first: int, stop: int, limit: int) -> list[bytes]:
        """Of the closed candles [first, stop) the last `limit`."""
        parts: list[list[bytes]] = []
        first, size, count = max(first, self.begin), self._size, 0
        while first < stop and count < limit:
            block = (stop - 1) // size
            rows = self._kept.find(self, block).rows(self.texts)
            parts.append([one for one in rows[max(0, first - block * size) : stop - block * size] if one])
            count += len(parts[-1])
            stop = self._last_before(block * size)
        found = [row for part in reversed(parts) for row in part]
        return found[max(0, len(found) - limit) :]

    def _next_from(self, cell: int) -> int:
        """The first cell from one on that may hold a candle."""
        if self._is_dense or isinstance(self.grid, OwnGrid):
            return cell
        traded_ns = self._spans.traded_from(self.grid.opens_ns(cell, cell + 1).item(0))
        found = self.grid.cell(traded_ns) if traded_ns != INT64_MAX else INT64_MAX
        row = int(self._told_cells.searchsorted(cell, "left"))
        return min(found, self._told_cells.item(row)) if row < len(self._told_cells) else found

    def _last_before(self, stop: int) -> int:
        """One past the last cell before `stop` that may hold a candle."""
        if self._is_dense or isinstance(self.grid, OwnGrid):
            return stop
        traded_ns = self._spans.traded_before(self.grid.opens_ns(stop, stop + 1).item(0))
        found = self.grid.cell(traded_ns) + 1 if traded_ns >= 0 else self.begin
        row = int(self._told_cells.searchsorted(stop, "left"))
        return max(found, self._told_cells.item(row - 1) + 1) if row else found

    def made(self, block: int) -> Block:
        """From the prints, or finer candles, and from what traders are told."""
        first, stop = block * self._size, (block + 1) * self._size
        edges_ns = self.grid.opens_ns(first, stop + 1)
        if isinstance(self.grid, OwnGrid):
            return Block(
                [self._own(cell) if 0 <= cell < len(self._told_cells) else None for cell in range(first, stop)]
            )
        rows = self._spans.rows(edges_ns.item(0), edges_ns.item(-1), self._grain_ns)
        cells, rows = rows.grouped(self.grid.cells(rows.at_ns))
        return Block(self._candles(first, edges_ns.tolist(), _by_cell(cells, rows)))

    def _candles(self, first: int, edges_ns: list[int], found: dict[int, Sums]) -> list[Candle | None]:
        """One a cell: what was found in it, with the prices that traders are told, or flat at the last close."""
        candles: list[Candle | None] = []
        candle: Candle | None
        told = self._told_between(first, first + len(edges_ns) - 1)
        last = 0
        for cell, (open_ns, close_ns) in enumerate(itertools.pairwise(edges_ns), first):
            one = found.get(cell)
            if cell in told:
                candle = _as_told(told[cell], one)
            elif one is not None:
                candle = Candle(open_ns, close_ns, *one)
            elif self._is_dense and cell >= self.begin:
                last = last or self._close_before(open_ns)
                candle = Candle(open_ns, close_ns, 0, 0, last, last, last, last, 0, 0, 0, 0) if last else None
            else:
                candle = None
            last = candle.close if candle is not None else last
            candles.append(candle)
        return candles

    def _told_between(self, first: int, stop: int) -> dict[int, tuple[int, ...]]:
        """The session's own candles of the cells [first, stop): times, four prices, lots."""
        told = self._told
        if told is None:
            return {}
        start, end = self._told_cells.searchsorted([first, stop]).tolist()
        columns = (told.open_ns, told.close_ns, told.open, told.high, told.low, told.close, told.volume)
        rows = zip(*(one[start:end].tolist() for one in columns), strict=True)
        return dict(zip(self._told_cells[start:end].tolist(), rows, strict=True))

    def _own(self, row: int) -> Candle:
        """A candle that lies on no grid."""
        told = self._told_between(row, row + 1)[row]
        found = totals([self._spans.rows(told[0], told[1], 1)])
        return _as_told(told, None if found.is_empty else found)

    def _close_before(self, at_ns: int) -> int:
        """The last close before a cell, by what is told of it or by what was traded."""
        told, price = self._told, self._spans.close_before(at_ns)
        if told is None or (price and not isinstance(self._spans, BarSpans)):
            return price
        row = int(told.close_ns.searchsorted(at_ns, "right"))
        return told.close.item(row - 1) if row else price

    # --- the forming candle -------------------------------------------------------------------------------------------

    def forming(self, now_ns: int) -> Candle | None:
        """The one of now, as far as it is known; None where nothing is."""
        cell = self.grid.cell(now_ns)
        if cell < self.begin or isinstance(self.grid, OwnGrid):
            return None
        open_ns, close_ns = self.grid.opens_ns(cell, cell + 2).tolist()
        found = self._spans.totals(open_ns, now_ns)
        if not found.is_empty:
            return Candle(open_ns, close_ns, *found)
        last = self._close_before(open_ns)
        if not last or not self._is_dense:
            return None
        return Candle(open_ns, close_ns, 0, 0, last, last, last, last, 0, 0, 0, 0)

    # --- as a request asks --------------------------------------------------------------------------------------------

    def asked(self, now_ns: int, start_ns: int | None, end_ns: int | None, limit: int) -> list[bytes]:
        """Rows whose opens lie in [start, end], as of now: the oldest from `start` where there is one, else the
        newest."""
        if self.begin == INT64_MAX:
            return []
        stop = self.closed(now_ns)
        first = self.begin if start_ns is None else self._from(start_ns)
        end_ns = now_ns if end_ns is None else min(end_ns, now_ns)
        stop_asked = self._from(end_ns + 1)  # the first that opens after the end
        forming = self.forming(now_ns) if first <= stop < stop_asked else None
        last = [row_bytes(forming, self.texts)] if forming is not None else []
        if start_ns is not None:
            return (self.first_rows(first, min(stop, stop_asked), limit) + last)[:limit]
        closed = self.last_rows(first, min(stop, stop_asked), limit - len(last)) if limit > len(last) else []
        return closed + last

    def _from(self, at_ns: int) -> int:
        """The number of the first candle that opens at an instant or later."""
        if isinstance(self.grid, OwnGrid):
            return int(self.grid.opens_ns(0, len(self._told_cells)).searchsorted(at_ns, "left"))
        cell = self.grid.cell(at_ns)
        return cell if self.grid.opens_ns(cell, cell + 1).item(0) >= at_ns else cell + 1


def _as_told(told: tuple[int, ...], found: Sums | None) -> Candle:
    """The prices and the volume of a candle of the session, what it was worth from its prints where there are."""
    open_ns, close_ns, opened, high, low, close, lots = told
    if found is not None:
        first, stop, _, _, _, _, _, worth, bought, bought_worth = found
    else:
        first, stop, bought = 0, 0, lots // 2
        worth, bought_worth = ((opened + high + low + close) * one // 4 for one in (lots, bought))
    return Candle(open_ns, close_ns, first, stop, opened, high, low, close, lots, worth, bought, bought_worth)


def _by_cell(cells: IntArray, rows: Rows) -> dict[int, Sums]:
    """First, stop, four prices, lots, worth, bought and its worth, by cell."""
    columns = (rows.first, rows.stop, rows.open, rows.high, rows.low, rows.close, rows.lots, rows.bought)
    high, low = rows.worth_high.tolist(), rows.worth_low.tolist()
    bought_high, bought_low = rows.bought_high.tolist(), rows.bought_low.tolist()
    numbers = range(len(cells))
    worth = [(high[at] << SPLIT) + low[at] for at in numbers]
    bought_worth = [(bought_high[at] << SPLIT) + bought_low[at] for at in numbers]
    *one, bought = (column.tolist() for column in columns)
    return dict(zip(cells.tolist(), zip(*one, worth, bought, bought_worth, strict=True), strict=True))
