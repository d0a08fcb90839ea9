"""Round trips: each piece of a holding from the fill that opened it to the one that closed it, first in, first out."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gnomon.score.run_record import Fills, Marks, RunRecord
from gnomon.units import FloatArray, IntArray

OPENING = 0
"""The number of the fill that opened what the account held from the beginning: there is none."""

_DUST = 1e-9
"""A remainder below this share of a fill is the rounding of floats, not a holding."""


@dataclass(frozen=True, slots=True, eq=False)
class RoundTrips:
    """Closed pieces of holdings, one a row (K,), in the order in which they were closed.

    `entry` and `exit` are numbers of fills (`OPENING` for what was there from the beginning, valued at the first
    mark); `side` is 1 for a long piece and -1 for a short one. Prices include the fees of both fills, so `profit`, in
    the quote asset, is side x quantity x (exit_price - entry_price), and `gain` is the profit as a share of what the
    entry cost. `adverse` and `favourable` (MAE, MFE) are how far the price went against and for the piece while it was
    held, as shares >= 0 of the entry's fill price.
    """

    instrument: IntArray
    entry: IntArray
    exit: IntArray
    entry_ns: IntArray
    exit_ns: IntArray
    side: IntArray
    quantity: FloatArray
    entry_price: FloatArray
    exit_price: FloatArray
    profit: FloatArray
    gain: FloatArray
    adverse: FloatArray
    favourable: FloatArray

    def __len__(self) -> int:
        return len(self.entry)


@dataclass(frozen=True, slots=True)
class TripFigures:
    """Round trips in a few numbers; None where there was none.

    Here a trip is all that one fill closed, however many pieces it was made of: a rest that a fee in the base asset
    left behind is a piece of its own, and must not count like a trade. A trip hits when its profit is above 0.
    Averages of gain, time, `adverse` and `favourable` weigh the pieces of a trip by what they cost, and trips alike.
    `profit_factor` is the sum of profits over the sum of losses, None without a loss. `open_pieces` are still held.
    """

    n: int
    open_pieces: int
    hit_rate: float | None
    average_profit: float | None
    average_gain: float | None
    best: float | None
    worst: float | None
    profit_factor: float | None
    average_held_ns: int | None
    average_adverse: float | None
    average_favourable: float | None
    worst_adverse: float | None


@dataclass(slots=True)
class _Lot:
    """What is left of an opening fill: its number, instant, price as filled and price with its fee."""

    fill: int
    at_ns: int
    quantity: float
    bare: float
    price: float


_Piece = tuple[int, int, int, int, int, int, float, float, float, float]
"""instrument, entry, exit, entry_ns, exit_ns, side, quantity, entry_price, exit_price, bare price of the entry."""


def round_trips(record: RunRecord) -> RoundTrips:
    """All round trips of a run. A fee in the base asset makes what was bought smaller, any other its price worse."""
    return _trips(record)[0]


def trip_figures(record: RunRecord) -> TripFigures:
    """The round trips of a run, in a few numbers."""
    trips, open_pieces = _trips(record)
    if not len(trips):
        return TripFigures(0, open_pieces, None, None, None, None, None, None, None, None, None, None)
    _, closing = np.unique(trips.exit, return_inverse=True)
    paid = trips.quantity * trips.entry_price
    profit, cost = np.bincount(closing, trips.profit), np.bincount(closing, paid)

    def mean(of_piece: FloatArray) -> float:
        return float((np.bincount(closing, of_piece * paid) / cost).mean())

    lost = -float(profit[profit < 0].sum())
    return TripFigures(
        n=len(profit),
        open_pieces=open_pieces,
        hit_rate=float((profit > 0).mean()),
        average_profit=float(profit.mean()),
        average_gain=float((profit / cost).mean()),
        best=float(profit.max()),
        worst=float(profit.min()),
        profit_factor=float(profit[profit > 0].sum()) / lost if lost > 0 else None,
        average_held_ns=round(mean((trips.exit_ns - trips.entry_ns).astype(np.float64))),
        average_adverse=mean(trips.adverse),
        average_favourable=mean(trips.favourable),
        worst_adverse=float(trips.adverse.max()),
    )


def _trips(record: RunRecord) -> tuple[RoundTrips, int]:
    pieces: list[_Piece] = []
    left = 0
    for instrument in range(len(record.listings)):
        lots = _opening_lots(record.marks, instrument)
        pieces += _matched(record, instrument, lots)
        left += sum(abs(lot.quantity) >= record.listings[instrument].least for lot in lots)
    pieces.sort(key=lambda piece: (piece[4], piece[2]))  # stable: within a fill, first in first
    instruments, entry, exit_, entry_ns, exit_ns, side = (
        np.array([piece[column] for piece in pieces], np.int64) for column in range(6)
    )
    quantity, entry_price, exit_price, bare = (
        np.array([piece[column] for piece in pieces], np.float64) for column in range(6, 10)
    )
    profit = side * quantity * (exit_price - entry_price)
    gain = profit / (quantity * entry_price)
    adverse, favourable = _excursions(record, instruments, entry_ns, exit_ns, side, bare)
    moves = (quantity, entry_price, exit_price, profit, gain, adverse, favourable)
    return RoundTrips(instruments, entry, exit_, entry_ns, exit_ns, side, *moves), left


def _opening_lots(marks: Marks, instrument: int) -> deque[_Lot]:
    held, price = float(marks.position[0, instrument]), float(marks.price[0, instrument])
    return deque([_Lot(OPENING, int(marks.at_ns[0]), held, price, price)] if held else [])


def _matched(record: RunRecord, instrument: int, lots: deque[_Lot]) -> Iterator[_Piece]:
    """Walk the fills of one instrument: what goes with the holding opens a lot, what goes against it closes the oldest.

    Quantities of lots are signed. `lots` is left with what is still held.
    """
    fills = record.fills
    held = float(record.marks.position[0, instrument])
    for row in np.flatnonzero(fills.instrument == instrument).tolist():
        after = float(fills.position_after[row])
        change, held = after - held, after
        if change == 0.0:
            continue
        at_ns, number, bare = int(fills.at_ns[row]), int(fills.number[row]), float(fills.price[row])
        price = abs(_cash_flow(record, row) / change)
        rest, dust = change, _DUST * abs(change)
        while lots and rest * lots[0].quantity < 0.0 and abs(rest) > dust:
            lot = lots[0]
            side = 1 if lot.quantity > 0 else -1
            closed = min(abs(lot.quantity), abs(rest))
            yield instrument, lot.fill, number, lot.at_ns, at_ns, side, closed, lot.price, price, lot.bare
            lot.quantity -= side * closed
            rest += side * closed
            if abs(lot.quantity) <= dust:
                lots.popleft()
        if after == 0.0:
            lots.clear()
        elif abs(rest) > dust:
            lots.append(_Lot(number, at_ns, rest, bare, price))


def _cash_flow(record: RunRecord, row: int) -> float:
    """What a fill brought in the quote asset, its fee included unless the base asset paid it."""
    fills = record.fills
    paid_in_base = record.assets[int(fills.fee_asset[row])] == record.listings[int(fills.instrument[row])].base
    return -float(fills.side[row] * fills.notional[row]) - (0.0 if paid_in_base else float(fills.fee_quote[row]))


def _excursions(
    record: RunRecord, instrument: IntArray, entry_ns: IntArray, exit_ns: IntArray, side: IntArray, bare: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """How far the price went against and for each piece, as shares of the price at which it was entered."""
    adverse, favourable = np.zeros(len(side)), np.zeros(len(side))
    for index in range(len(record.listings)):
        paths = _path_of_marks(record.marks, index), _path_of_fills(record.fills, index)
        for row in np.flatnonzero(instrument == index).tolist():
            seen = [path.between(int(entry_ns[row]), int(exit_ns[row])) for path in paths]
            low, high = (min(one[0] for one in seen), max(one[1] for one in seen))
            down, up = 1.0 - min(low, bare[row]) / bare[row], max(high, bare[row]) / bare[row] - 1.0
            adverse[row], favourable[row] = (down, up) if side[row] > 0 else (up, down)
    return adverse, favourable


def _path_of_marks(marks: Marks, instrument: int) -> _Path:
    """A mark with extremes tells of the stretch since the mark before; one without, of its instant."""
    price = marks.price[:, instrument]
    if marks.low is None or marks.high is None:
        return _Path(marks.at_ns, marks.at_ns, price, price)
    starts = np.append(marks.at_ns[:1], marks.at_ns[:-1])
    return _Path(starts, marks.at_ns, marks.low[:, instrument], marks.high[:, instrument])


def _path_of_fills(fills: Fills, instrument: int) -> _Path:
    own = fills.instrument == instrument
    return _Path(fills.at_ns[own], fills.at_ns[own], fills.price[own], fills.price[own])


class _Path:
    """The lowest and highest price between two instants, by blocks, so that a long hold is cheap."""

    BLOCK = 512

    def __init__(self, starts: IntArray, ends: IntArray, low: FloatArray, high: FloatArray) -> None:
        self._starts, self._ends, self._low, self._high = starts, ends, low, high
        blocks = np.arange(0, len(ends), self.BLOCK)
        self._lows = np.minimum.reduceat(low, blocks) if len(ends) else low
        self._highs = np.maximum.reduceat(high, blocks) if len(ends) else high

    def between(self, first_ns: int, last_ns: int) -> tuple[float, float]:
        """The extremes of what lies wholly in [first, last]; (inf, -inf) where nothing does."""
        a = int(np.searchsorted(self._starts, first_ns, side="left"))
        b = int(np.searchsorted(self._ends, last_ns, side="right"))
        first, last = -(-a // self.BLOCK), b // self.BLOCK
        if first >= last:
            return _least(self._low[a:b]), _most(self._high[a:b])
        edge, tail = first * self.BLOCK, last * self.BLOCK
        lows = self._low[a:edge], self._lows[first:last], self._low[tail:b]
        highs = self._high[a:edge], self._highs[first:last], self._high[tail:b]
        return min(map(_least, lows)), max(map(_most, highs))


def _least(values: FloatArray) -> float:
    return float(values.min()) if len(values) else math.inf


def _most(values: FloatArray) -> float:
    return float(values.max()) if len(values) else -math.inf
