"""Candles from a raw table: the rules of `rows`, the schedule of the calendar, one integer grid a kind of value."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.market.calendar import Sessions
from gnomon.market.candles import UNKNOWN_AMOUNT, Candles
from gnomon.sources.files.decimals import Counted, count
from gnomon.sources.files.faults import Faults
from gnomon.sources.files.identity import Identity
from gnomon.sources.files.numbers import Flags, Numbers, is_text, read_numbers, trimmed
from gnomon.sources.files.rows import Built, Request, finite_numbers, settle, text_of
from gnomon.sources.files.schedule import Placed, decide_timeframe, marks_ends, place, share_in_session
from gnomon.sources.files.stamps import Stamps, in_zone
from gnomon.sources.files.table import Table
from gnomon.sources.sessions import load_sessions
from gnomon.units import MONEY_DECIMALS, Grid, IntArray

PRICES: Final = ("open", "high", "low", "close")
_MONEY: Final = Grid.of(f"0.{'0' * (MONEY_DECIMALS - 1)}1")
_BASE_DECIMALS: Final = 6  # of a volume that is converted: an estimate needs no more
_SLACK: Final = 1e-7  # relative: within it the order of prices is judged on the counts, where noise is gone
_ORDER_RULE: Final = "low <= open, close <= high does not hold"


def build_candles(table: Table, request: Request, identity: Identity, stamps: Stamps, faults: Faults) -> Built:
    """The candles of a table, basis `raw`. Raises `Invalid` for what concerns the whole of it, never for a row."""
    notes = [*table.notes, *([identity.note] if identity.note else [])]
    sessions = load_sessions(identity.calendar, identity.stamp_zone)
    cells = _read_cells(table, faults, notes)
    if request.quote_volume:
        table = _in_base(table, cells, request.file, notes)
    rows = np.flatnonzero(faults.good)
    if not len(rows):
        return Built(table, faults, sessions=sessions, notes=tuple(notes))
    said, by = (request.timeframe, "--timeframe") if request.timeframe else (table.name.timeframe, "the file")
    timeframe = decide_timeframe(stamps.wall_ns[rows], said, by, request.file)
    stamps = _in_zone(table, identity, stamps, timeframe, sessions, faults, notes)
    rows = np.flatnonzero(faults.good)
    placed = _place(table, stamps.take(rows), timeframe, sessions, notes)
    kept = settle(rows, placed.open_ns, cells, faults, notes)
    rows, opens_ns, closes_ns = rows[kept], placed.open_ns[kept], placed.close_ns[kept]
    grids = _count(table, cells, rows, faults, notes)
    good = faults.good[rows]
    if not good.any():
        return Built(table, faults, sessions=sessions, notes=tuple(notes))
    series = _assemble(identity, timeframe, opens_ns, closes_ns, grids, good)
    return Built(table, faults, series, identity.instrument(series.tick, series.lot), sessions, tuple(notes))


def _read_cells(table: Table, faults: Faults, notes: list[str]) -> dict[str, Numbers]:
    """The numbers of every row, each with the rules that need no other row. An unknown amount is NaN."""
    cells: dict[str, Numbers] = {name: finite_numbers(table, faults, name) for name in PRICES}
    for name in PRICES:
        faults.add(cells[name] <= 0, f"{name} must be positive", name)
    low, high = cells["low"] * (1 - _SLACK), cells["high"] * (1 + _SLACK)
    outside = (low > np.minimum(cells["open"], cells["close"])) | (high < np.maximum(cells["open"], cells["close"]))
    faults.add(outside & faults.good, _ORDER_RULE, *PRICES)
    if "volume" in table.columns:
        cells["volume"] = finite_numbers(table, faults, "volume")
        faults.add(cells["volume"] < 0, "volume must not be negative", "volume")
    else:
        notes.append("no column of volumes: every volume is 0")
    if "amount" in table.columns:
        cells["amount"] = _read_amount(table, faults)
    return cells


def _in_base(table: Table, cells: dict[str, Numbers], file: str, notes: list[str]) -> Table:
    """Turn volumes of the quote currency into the base's, by the typical price of the bar; they become the amounts.

    The table loses its text: no cell of it spells what is counted now.
    """
    if "volume" not in cells:
        raise Invalid(f"{file} has no volumes to convert", hint="leave --quote-volume out")
    typical = (cells["high"] + cells["low"] + cells["close"]) / 3
    if "amount" not in cells:
        cells["amount"] = cells["volume"].astype(np.float64)
    cells["volume"] = np.round(cells["volume"] / np.where(typical > 0, typical, 1), _BASE_DECIMALS)
    notes.append(
        f"volumes were in the quote currency: divided by (high + low + close) / 3, to {_BASE_DECIMALS} decimals"
    )
    return replace(table, text=None)


def _read_amount(table: Table, faults: Faults) -> Numbers:
    """Turnover, NaN where the cell is empty: a source may not know it."""
    column = table.columns["amount"]
    values, good = read_numbers(column)
    values = values.astype(np.float64)
    if is_text(column):
        empty = np.asarray(trimmed(column).to_numpy(zero_copy_only=False) == "", np.bool_)
        values[empty] = np.nan
        good = good | empty
    faults.add(~good, "amount is not a number", "amount")
    faults.add(np.isinf(values), "amount is not a finite number", "amount")
    faults.add(values < 0, "amount must not be negative", "amount")
    return values


# --- time -------------------------------------------------------------------------------------------------------------


def _in_zone(
    table: Table,
    identity: Identity,
    stamps: Stamps,
    timeframe: Timeframe,
    sessions: Sessions,
    faults: Faults,
    notes: list[str],
) -> Stamps:
    """Stamps with their offset from UTC. Dates of daily and longer bars need none."""
    if stamps.ahead_ns is not None or (not timeframe.is_intraday and stamps.are_dates):
        return stamps
    zone = identity.stamp_zone if table.clock.zone == "exchange" else table.clock.zone
    if not zone:
        zone = _likelier_zone(identity, stamps.take(np.flatnonzero(faults.good)), sessions, notes)
    zoned = in_zone(stamps, zone)
    faults.add(stamps.good & ~zoned.good, f"the clock of {zone} skips this time or shows it twice", "time")
    return zoned


def _likelier_zone(identity: Identity, stamps: Stamps, sessions: Sessions, notes: list[str]) -> str:
    """UTC, unless only the exchange's own clock puts the rows into its sessions."""
    if identity.stamp_zone == "UTC" or identity.calendar == "always":
        return "UTC"
    local = in_zone(stamps, identity.stamp_zone)
    as_local = share_in_session(local.utc_ns()[local.good], sessions) if local.good.any() else 0.0
    as_utc = share_in_session(stamps.utc_ns(), sessions)
    if as_local < 0.95 or as_utc > 0.8:
        return "UTC"
    notes.append(
        f"stamps without a zone are read on the clock of {identity.stamp_zone}: {as_local:.0%} of them then lie in "
        f"sessions of {sessions.name}, as UTC {as_utc:.0%}"
    )
    return identity.stamp_zone


def _place(table: Table, stamps: Stamps, timeframe: Timeframe, sessions: Sessions, notes: list[str]) -> Placed:
    stamp = table.clock.stamp
    if timeframe.is_intraday:
        ends = marks_ends(stamps.utc_ns(), sessions)
        if ends is not None and ends != (stamp == "close"):
            stamp = "close" if ends else "open"
            met, never = ("closes", "opening") if ends else ("openings", "close")
            notes.append(f"stamps meet {met} of trading and never an {never}: they mark the {stamp} of their bar")
        elif stamp == "close":
            notes.append("stamps mark the close of their bar")
    placed = place(stamps, timeframe, sessions, stamp)
    notes += placed.notes
    return placed


# --- grids ------------------------------------------------------------------------------------------------------------


def _count(
    table: Table, cells: dict[str, Numbers], rows: IntArray, faults: Faults, notes: list[str]
) -> dict[str, tuple[Counted, Flags]]:
    """Counts of the rows, by kind; a fault where a row does not fit the grid of the others."""
    kinds: dict[str, tuple[str, ...]] = {"prices": PRICES, "volumes": ("volume",), "amounts": ("amount",)}
    grids = {}
    for what, names in kinds.items():
        if not set(names) <= set(cells):
            continue
        columns = [cells[name][rows] for name in names]
        known = ~np.isnan(columns[0]) if what == "amounts" else np.ones(len(rows), np.bool_)
        chosen = rows[known]
        counted = count([one[known] for one in columns], what, text=text_of(table, names, chosen))
        faults.add(
            chosen[~counted.fits], f"the {what} of this row are too large or too fine for those of the others", *names
        )
        notes += counted.notes
        grids[what] = counted, known
    opened, high, low, close = grids["prices"][0].counts
    outside = (low > np.minimum(opened, close)) | (high < np.maximum(opened, close))
    faults.add(rows[outside & grids["prices"][0].fits], _ORDER_RULE, *PRICES)
    return grids


def _assemble(
    identity: Identity,
    timeframe: Timeframe,
    open_ns: IntArray,
    close_ns: IntArray,
    grids: dict[str, tuple[Counted, Flags]],
    good: Flags,
) -> Candles:
    tick, lot = identity.grids or (None, None)
    prices, price_grid = grids["prices"][0].on(tick)
    volume, volume_grid = np.zeros(len(good), np.int64), lot or Grid.of(1)
    if "volumes" in grids:
        (volume,), volume_grid = grids["volumes"][0].on(lot)
    amount, money = np.full(len(good), UNKNOWN_AMOUNT, np.int64), _MONEY
    if "amounts" in grids and grids["amounts"][1].any():
        (amount[grids["amounts"][1]],), money = grids["amounts"][0].on(_MONEY)
    columns = dict(zip(PRICES, prices, strict=True)) | {"volume": volume, "amount": amount}
    return Candles(
        instrument=identity.id,
        timeframe=timeframe,
        basis="raw",
        tick=price_grid,
        lot=volume_grid,
        money=money,
        open_ns=open_ns[good],
        close_ns=close_ns[good],
        knowable_ns=close_ns[good],
        flags=np.zeros(int(good.sum()), np.uint8),
        **{name: column[good] for name, column in columns.items()},
    ).check()
