"""The block index: the extremes of every 64, 4,096 and 262,144 prints, so that a search reads no print it can skip.

| bound      | over the rows of a block                                | none such   |
|------------|---------------------------------------------------------|-------------|
| `min_sell` | lowest price of prints that a seller began, or side 0   | `NO_MINIMUM`|
| `max_buy`  | highest price of prints that a buyer began, or side 0   | `NO_MAXIMUM`|
| `min_any`  | lowest price (candles: lowest low)                      | `NO_MINIMUM`|
| `max_any`  | highest price (candles: highest high)                   | `NO_MAXIMUM`|
| `sum_qty`  | lots printed, at most `INT64_MAX`                       | 0           |

No own bid can be filled inside a block whose `min_sell` lies above it, no own ask where `max_buy` lies below it, and no
stop fires where `min_any` and `max_any` don't reach it. All int64, in ticks and lots. A candle has no aggressor: it
counts for both sides. The index is derived from the columns and no part of what identifies them.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gnomon.errors import Invalid
from gnomon.market.candles import Candles
from gnomon.market.trades import Trades
from gnomon.units import INT64_MAX, IntArray

BLOCKS: Final = (64, 4_096, 262_144)
"""Rows a block, one length a level; each divides the next."""

BOUNDS: Final = ("min_sell", "max_buy", "min_any", "max_any", "sum_qty")
NO_MINIMUM: Final = INT64_MAX
NO_MAXIMUM: Final = -INT64_MAX - 1

_CHUNK: Final = 256 * BLOCKS[0]  # rows at a time: what is made on the way stays in the cache
_HALF: Final = 32

Whole = npt.NDArray[np.signedinteger[Any]]
"""A column of whole numbers as it was stored: int64, or int32 where every value fits."""


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """The five bounds of consecutive stretches of rows: `table` is (bound, stretch) int64, its rows have names."""

    table: IntArray
    min_sell: IntArray = field(init=False)
    max_buy: IntArray = field(init=False)
    min_any: IntArray = field(init=False)
    max_any: IntArray = field(init=False)
    sum_qty: IntArray = field(init=False)

    def __post_init__(self) -> None:
        if self.table.dtype != np.int64 or self.table.ndim != 2 or len(self.table) != len(BOUNDS):
            raise Invalid(
                f"bounds are {len(BOUNDS)} rows of int64, received {self.table.shape} of {self.table.dtype}",
                hint="build the index anew from the columns",
            )
        for name, row in zip(BOUNDS, self.table, strict=True):
            object.__setattr__(self, name, row)

    def __len__(self) -> int:
        return len(self.min_any)


@dataclass(frozen=True, slots=True, eq=False)
class BlockIndex:
    """The bounds of every block of a series; the last block of a level may be short."""

    rows: int
    levels: tuple[Bounds, ...]  # one for each of BLOCKS

    def __post_init__(self) -> None:
        expected = [_blocks(self.rows, length) for length in BLOCKS]
        received = [len(level) for level in self.levels]
        if expected != received:
            raise Invalid(
                f"an index of {self.rows} rows has {expected} blocks, received {received}",
                hint="build the index anew from the columns",
            )

    @classmethod
    def of(cls, series: Trades | Candles) -> BlockIndex:
        """The index of prints, or of bars (both sides see the low and the high, the volume is the quantity)."""
        if isinstance(series, Candles):
            return cls.of_ranges(series.low, series.high, series.volume)
        return cls.of_prints(series.price, series.size, series.side)

    @classmethod
    def of_prints(cls, price: Whole, size: Whole, side: npt.NDArray[np.int8]) -> BlockIndex:
        """The index of columns of one length: ticks, lots, and the aggressor (1 bought, -1 sold, 0 unknown)."""
        _same_length(price, size, side)
        return cls._built(len(price), lambda rows: _printed(price[rows], size[rows], side[rows]))

    @classmethod
    def of_ranges(cls, low: Whole, high: Whole, quantity: Whole) -> BlockIndex:
        """The index of rows that span a range of prices: bars."""
        _same_length(low, high, quantity)
        return cls._built(len(low), lambda rows: _ranged(low[rows], high[rows], quantity[rows]))

    @classmethod
    def _built(cls, rows: int, columns: Callable[[slice], _Columns]) -> BlockIndex:
        finest = np.empty((len(BOUNDS), _blocks(rows, BLOCKS[0])), np.int64)
        for start in range(0, rows, _CHUNK):
            stop = min(start + _CHUNK, rows)
            starts = np.arange(0, stop - start, BLOCKS[0])
            first = start // BLOCKS[0]
            _reduce(columns(slice(start, stop)), starts, finest[:, first : first + len(starts)])
        levels = [finest]
        for finer, length in itertools.pairwise(BLOCKS):
            levels.append(_coarser(levels[-1], length // finer))
        return cls(rows, tuple(map(Bounds, levels)))

    def digest(self) -> bytes:
        """BLAKE2b-256 over the rows and the bounds: what a stored index is checked against."""
        state = hashlib.blake2b(self.rows.to_bytes(8, "little"), digest_size=32)
        for level in self.levels:
            state.update(np.ascontiguousarray(level.table, "<i8").data)
        return state.digest()


def window_index(trades: Trades, positions: IntArray | Sequence[int]) -> Bounds:
    """The bounds of the windows `[positions[i], positions[i + 1])`: one less than there are positions.

    What a strategy that wakes at every n-th print may skip at once. A window of no rows has the empty bounds. Raises
    `Invalid` where positions go back or leave `[0, len(trades)]`.
    """
    edges = np.asarray(positions, np.int64)
    _check_edges(edges, len(trades))
    table = np.empty((len(BOUNDS), max(0, len(edges) - 1)), np.int64)
    table[:] = np.array([NO_MINIMUM, NO_MAXIMUM, NO_MINIMUM, NO_MAXIMUM, 0])[:, None]
    filled = np.flatnonzero(np.diff(edges) > 0)
    starts, stops = edges[filled], edges[filled + 1]
    done = 0
    while done < len(filled):  # whole windows of about a chunk of rows at a time, at least one
        until = max(done + 1, int(np.searchsorted(stops, starts[done] + _CHUNK, side="right")))
        rows = slice(int(starts[done]), int(stops[until - 1]))
        out = np.empty((len(BOUNDS), until - done), np.int64)
        _reduce(
            _printed(trades.price[rows], trades.size[rows], trades.side[rows]), starts[done:until] - rows.start, out
        )
        table[:, filled[done:until]] = out
        done = until
    return Bounds(table)


# --- inside -----------------------------------------------------------------------------------------------------

_Columns = tuple[IntArray, IntArray, IntArray, IntArray, IntArray]  # in the order of BOUNDS


def _printed(price: Whole, size: Whole, side: npt.NDArray[np.int8]) -> _Columns:
    wide = price.astype(np.int64)
    sold, bought = _replaced(wide, side > 0, NO_MINIMUM), _replaced(wide, side < 0, NO_MAXIMUM)
    return sold, bought, wide, wide, size.astype(np.int64)


def _replaced(values: IntArray, mask: npt.NDArray[np.bool_], by: int) -> IntArray:
    """`np.where(mask, by, values)` at a third of its cost: sides come and go, and `where` takes a branch for each."""
    ones = -mask.astype(np.int64)
    return np.asarray(values ^ ((values ^ by) & ones))


def _ranged(low: Whole, high: Whole, quantity: Whole) -> _Columns:
    lows, highs = low.astype(np.int64), high.astype(np.int64)
    return lows, highs, lows, highs, quantity.astype(np.int64)


def _reduce(columns: _Columns, starts: IntArray, out: IntArray) -> None:
    """The bounds of the stretches that begin at `starts` and end where the next begins, the last with the columns."""
    sell, buy, low, high, quantity = columns
    out[0] = np.minimum.reduceat(sell, starts)
    out[1] = np.maximum.reduceat(buy, starts)
    out[2] = np.minimum.reduceat(low, starts)
    out[3] = np.maximum.reduceat(high, starts)
    out[4] = _summed(quantity, starts)


def _summed(quantity: IntArray, starts: IntArray) -> IntArray:
    """Sums of non-negative quantities, held at INT64_MAX where they would pass it: added in two halves."""
    if int(quantity.max()) <= INT64_MAX // len(quantity):
        return np.asarray(np.add.reduceat(quantity, starts))
    low = np.add.reduceat(quantity & (2**_HALF - 1), starts)
    high = np.add.reduceat(quantity >> _HALF, starts) + (low >> _HALF)
    fits = high < 2 ** (63 - _HALF)
    return np.where(fits, (np.where(fits, high, 0) << _HALF) | (low & (2**_HALF - 1)), INT64_MAX)


def _coarser(finer: IntArray, times: int) -> IntArray:
    """The bounds of `times` blocks taken together."""
    starts = np.arange(0, finer.shape[1], times)
    coarse = np.empty((len(BOUNDS), len(starts)), np.int64)
    if len(starts):
        _reduce((finer[0], finer[1], finer[2], finer[3], finer[4]), starts, coarse)
    return coarse


def _blocks(rows: int, length: int) -> int:
    return -(-rows // length)


def _same_length(*columns: npt.NDArray[Any]) -> None:
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1:
        raise Invalid(f"columns of {lengths} rows cannot be indexed together", hint="pass columns of one series")


def _check_edges(edges: IntArray, rows: int) -> None:
    if len(edges) and (edges[0] < 0 or edges[-1] > rows or (np.diff(edges) < 0).any()):
        raise Invalid(
            f"positions must not go back and must lie in 0 to {rows}, received {edges[0]} to {edges[-1]}",
            hint="sort the positions at which the trader wakes; the end of the last window is the last position",
        )
