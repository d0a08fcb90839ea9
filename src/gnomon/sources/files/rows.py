"""The row rules that all kinds share: what a request is, what comes of it, numbers, order, repeats.

| rule                                                       | candles | trades | quotes | depth |
|------------------------------------------------------------|---------|--------|--------|-------|
| the row has all fields, the time and the numbers are there | x       | x      | x      | x     |
| prices are finite and positive                             | x       | x      | x      | x     |
| low <= open, close <= high                                 | x       |        |        |       |
| volume, amount and size are finite and not negative        | x       | x      | x      | x     |
| the side is known, the id is a whole number                |         | x      | x      | x     |
| times increase (candles), or fall by no more than a second | x       | x      | x      | x     |
| a time (of trades: an id) comes once                       | x       | x      |        |       |
| ids rise (of depth: never fall)                            |         | x      | x      | x     |

Out of order are the fewest rows whose removal restores the order; of two rows with one time (of trades: one id) the
first stays. A row left out that repeats one kept in every cell says nothing new: it is dropped with a note. One that
repeats its time (its id) with other values contradicts it, and is a bad row. A file that runs from the newest to the
oldest is turned round, with a note. A stamp of a print that falls a little is lifted to the running maximum and counted
(`order.lifted`); rows of one time keep the order of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gnomon.market.calendar import Sessions
from gnomon.market.candles import Basis
from gnomon.market.dataset import AnySeries
from gnomon.market.instrument import Instrument, Instruments
from gnomon.sources.files.faults import Faults
from gnomon.sources.files.numbers import Flags, Numbers, matches, read_numbers, trimmed
from gnomon.sources.files.order import lifted, out_of_order
from gnomon.sources.files.stamps import Stamps, read_stamps
from gnomon.sources.files.table import Table
from gnomon.units import IntArray


@dataclass(frozen=True, slots=True)
class Request:
    """What the caller of the importer asked for."""

    file: str
    instruments: Instruments
    instrument: str | None = None
    timeframe: str | None = None
    basis: Basis | None = None
    clock_shift_ns: int = 0  # added to every stamp of the recorder's clock
    regular_hours: bool = False  # prints outside the sessions of a share are dropped
    quote_volume: bool = False  # volumes of bars are in the quote currency


@dataclass(frozen=True, slots=True)
class Built:
    """One series, or None when no row is good; what it belongs to, what there is to say, and the bad rows.

    `dropped` counts rows left out for no fault of theirs, by the reason; `lifted` the stamps that fell; `updates` are
    the ids of quotes, where they have any.
    """

    table: Table
    faults: Faults
    series: AnySeries | None = None
    instrument: Instrument | None = None
    sessions: Sessions | None = None
    notes: tuple[str, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    lifted: int = 0
    updates: IntArray | None = None


def read_times(table: Table, faults: Faults) -> Stamps:
    """The stamps of a table; a fault where a cell is no time."""
    stamps = read_stamps(table.columns["time"], table.clock)
    of_a_day = "not a time of that day" if table.clock.unit_ns else "not a time (ISO 8601, or an epoch in one unit)"
    faults.add(~stamps.good, of_a_day, "time")
    return stamps


def require_constants(table: Table, faults: Faults) -> None:
    """A fault where a row names another symbol or exchange than the file."""
    for name, expected in table.constants.items():
        other = ~matches(trimmed(table.columns[name]), f"^{re.escape(expected)}$")
        faults.add(other, f"another {name} than that of the other rows ({expected})", name)


def finite_numbers(table: Table, faults: Faults, name: str) -> Numbers:
    """A column of finite numbers; a fault where a cell is none."""
    values, good = read_numbers(table.columns[name])
    faults.add(~good, f"{name} is not a number", name)
    if values.dtype != np.int64:
        faults.add(~np.isfinite(values), f"{name} is not a finite number", name)
    return values


def text_of(table: Table, names: tuple[str, ...], rows: IntArray) -> Callable[[int], Any] | None:
    """How to read the cells of the rows again as the file spells them, where it is text."""
    spelled = table.text
    if spelled is None:
        return None
    return lambda k: trimmed(spelled(names[k])).take(pa.array(rows))


def settle(
    rows: IntArray, times: IntArray, cells: Mapping[str, npt.NDArray[Any]], faults: Faults, notes: list[str]
) -> IntArray | slice:
    """Positions in `rows` of the bars that stay, oldest first; a slice where that is all of them as they stand.

    `times` are their opens; `cells` the columns of the whole table that tell a repeat from a contradiction.
    """
    if int(np.diff(times).min(initial=1)) >= 1:
        return slice(None)
    order = _oldest_first(times, notes)
    stays = np.ones(len(rows), np.bool_)
    stays[out_of_order(times[order], strict=True)] = False
    kept, left = order[stays], order[~stays]
    rest = _without_repeats(rows, times, kept, left, cells, "time", faults, notes)
    faults.add(rows[rest], "time goes back", "time")
    return kept


def settle_prints(
    rows: IntArray,
    times: IntArray,
    ids: IntArray | None,
    cells: Mapping[str, npt.NDArray[Any]],
    faults: Faults,
    notes: list[str],
) -> tuple[IntArray | slice, IntArray, int]:
    """Positions in `rows` of the prints or quotes that stay, oldest first; their times; and how many were lifted.

    `ids` must rise, where there are any: they tell the order, so a stamp that falls beside them is what is wrong.
    """
    if int(np.diff(times).min(initial=0)) >= 0 and (ids is None or (np.diff(ids) > 0).all()):
        return slice(None), times, 0
    kept = _oldest_first(times, notes)
    if ids is not None:
        kept = _rising(rows, ids, kept, cells, faults, notes)
    wild, steady = lifted(times[kept])
    faults.add(rows[kept[wild]], "time goes back", "time")
    kept = np.delete(kept, wild)
    return kept, steady, int((steady != times[kept]).sum())


def _oldest_first(times: IntArray, notes: list[str]) -> IntArray:
    steps = np.diff(times)
    turned = len(times) > 2 and int((steps < 0).sum()) > int((steps > 0).sum())
    if turned:
        notes.append("the file runs from the newest to the oldest row: turned round")
    return np.arange(len(times))[:: -1 if turned else 1]


def _rising(
    rows: IntArray,
    ids: IntArray,
    order: IntArray,
    cells: Mapping[str, npt.NDArray[Any]],
    faults: Faults,
    notes: list[str],
) -> IntArray:
    """The positions whose ids rise: repeats are dropped, what falls is a fault."""
    repeats = _seen_before(ids[order], np.ones(len(order), np.bool_))
    kept, left = order[~repeats], order[repeats]
    if len(left):
        _without_repeats(rows, ids, kept, left, cells, "id", faults, notes)
    falling = out_of_order(ids[kept], strict=True)
    faults.add(rows[kept[falling]], "id does not rise", "id")
    return np.delete(kept, falling)


def _without_repeats(
    rows: IntArray,
    keys: IntArray,
    kept: IntArray,
    left: IntArray,
    cells: Mapping[str, npt.NDArray[Any]],
    what: str,
    faults: Faults,
    notes: list[str],
) -> IntArray:
    """Of the positions left out: repeats of kept ones are noted, contradictions are faults; the others."""
    twins, same = _twins(rows, keys, kept, left, cells)
    if (twins & same).any():
        notes.append(f"{int((twins & same).sum())} rows repeat another in every cell: dropped")
    faults.add(rows[left[twins & ~same]], f"{what} comes twice with different values", what, *cells)
    return left[~twins]


def _seen_before(keys: IntArray, among: Flags) -> Flags:
    """Which of the rows `among` repeat the key of one before them."""
    places = np.flatnonzero(among)
    _, first = np.unique(keys[places], return_index=True)
    repeats = np.ones(len(places), np.bool_)
    repeats[first] = False
    seen = np.zeros(len(keys), np.bool_)
    seen[places[repeats]] = True
    return seen


def _twins(
    rows: IntArray, keys: IntArray, kept: IntArray, left: IntArray, cells: Mapping[str, npt.NDArray[Any]]
) -> tuple[Flags, Flags]:
    """Which of the rows left out share the key of one that is kept, and which of those equal it in every cell."""
    sorter = np.argsort(keys[kept], kind="stable")
    place = np.minimum(np.searchsorted(keys[kept], keys[left], sorter=sorter), len(kept) - 1)
    twin = kept[sorter[place]]
    here, there = rows[left], rows[twin]
    same = np.ones(len(left), np.bool_)
    for column in cells.values():
        both_unknown = (column[here] != column[here]) & (column[there] != column[there])
        same &= (column[here] == column[there]) | both_unknown
    return np.asarray(keys[twin] == keys[left]), same
