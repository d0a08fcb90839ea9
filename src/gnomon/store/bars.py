"""The candles table: bars of one series read, extended, revised and rescaled, as columns.

A series counts its prices, sizes and turnover on one set of grids. Bars that need finer grids rescale what is stored,
exactly; nothing is ever rounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from math import gcd
from typing import Any, Final, cast

import numpy as np
from sqlalchemy import Connection, Row, bindparam, case, func, select, update

from gnomon.clock import Timeframe
from gnomon.errors import Invalid
from gnomon.market.candles import COLUMNS, UNKNOWN_AMOUNT, Basis, Candles
from gnomon.store.columns import AnyArray, insert_columns, read_columns
from gnomon.store.engine import upsert
from gnomon.store.tables import candle_series, candles
from gnomon.units import INT64_MAX, Grid, IntArray

_READ_ROWS: Final = 262_144
_STEADY: Final = {"revision": None, "flags": None, "close_ns": "open_ns", "knowable_ns": "close_ns"}
_PRICES: Final = ("open", "high", "low", "close")
_COMPARED: Final = tuple(name for name in COLUMNS if name not in ("open_ns", "knowable_ns", "amount"))


@dataclass(frozen=True, slots=True)
class Added:
    """What became of the bars of one series: new ones, those known already, revisions of known ones."""

    added: int
    known: int
    revisions: int


def empty(series: Row[Any]) -> Candles:
    """No bars, with the key and the grids of a row of `candle_series`."""
    none = {name: np.empty(0, dtype) for name, dtype in COLUMNS.items()}
    return Candles(
        instrument=series.instrument,
        timeframe=Timeframe.parse(series.timeframe),
        basis=cast(Basis, series.basis),
        tick=Grid.of(series.tick),
        lot=Grid.of(series.lot),
        money=Grid.of(series.money),
        **cast(Any, none),
    )


@dataclass(frozen=True, slots=True)
class Window:
    """Bars that open in [first_ns, last_ns); `most_bars`, where it is known, spares the search for pages."""

    first_ns: int = -INT64_MAX
    last_ns: int = INT64_MAX
    most_bars: int | None = None


EVER: Final = Window()


def read_bars(connection: Connection, series: Row[Any], window: Window = EVER) -> tuple[Candles, IntArray]:
    """All revisions of a series' bars and the number of each revision, ordered by open time and revision."""
    if window.most_bars is not None and window.most_bars <= _READ_ROWS:
        parts = [_page(connection, series.id, window.first_ns, window.last_ns)]
    else:
        parts = list(_pages(connection, series.id, window))
    head = empty(series)
    if not parts:
        return head, np.empty(0, np.int64)
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    revision = whole.pop("revision")
    columns: dict[str, Any] = {name: column.astype(COLUMNS[name], copy=False) for name, column in whole.items()}
    return replace(head, **columns), revision


def add_bars(connection: Connection, incoming: Candles, *, recorded_ns: int) -> Added:
    """Store the bars that are new and, as the next revision, those whose values differ from the newest one stored.

    A new bar keeps the `knowable_ns` it came with. A revision becomes knowable now (`recorded_ns`), never before its
    close nor before the revision it follows. A turnover that the source does not say contradicts nothing.
    """
    series = _locked_series(connection, incoming)
    incoming = _on_common_grids(connection, series, incoming)
    first, last = (int(incoming.open_ns[0]), int(incoming.open_ns[-1])) if len(incoming) else (0, -1)
    stored, revision = read_bars(connection, series, Window(first, last + 1))
    newest = np.flatnonzero(np.diff(stored.open_ns, append=INT64_MAX) > 0)
    row = np.minimum(np.searchsorted(stored.open_ns[newest], incoming.open_ns), max(0, len(newest) - 1))
    is_known = stored.open_ns[newest][row] == incoming.open_ns if len(newest) else np.zeros(len(incoming), np.bool_)
    before = newest[row[is_known]]
    differs = _differs(incoming.take(is_known), stored.take(before))
    _insert(connection, series.id, incoming.take(~is_known), np.zeros(int((~is_known).sum()), np.int64))
    changed, before = incoming.take(is_known).take(differs), before[differs]
    knowable_ns = np.maximum(np.maximum(changed.close_ns, recorded_ns), stored.knowable_ns[before])
    _insert(connection, series.id, replace(changed, knowable_ns=knowable_ns), revision[before] + 1)
    return Added(int((~is_known).sum()), int((~differs).sum()), len(changed))


def common_grid(one: Grid, other: Grid) -> Grid:
    """The coarsest grid on which every value of both lies: the greatest common divisor of the steps."""
    exponent = min(_exponent(one.step), _exponent(other.step))
    first, second = (int(grid.step.scaleb(-exponent)) for grid in (one, other))
    return Grid(Decimal(gcd(first, second)).scaleb(exponent))


# --- reading -----------------------------------------------------------------------------


_PAGE: Final = select(*(candles.c[name] for name in ("revision", *COLUMNS))).where(
    candles.c.series_id == bindparam("series_id"),
    candles.c.open_ns >= bindparam("first_ns"),
    candles.c.open_ns < bindparam("last_ns"),
)
_NTH_OPEN: Final = (
    select(candles.c.open_ns)
    .where(candles.c.series_id == bindparam("series_id"), candles.c.open_ns > bindparam("after_ns"))
    .order_by(candles.c.open_ns)
    .limit(1)
    .offset(bindparam("position"))
)


def _pages(connection: Connection, series_id: int, window: Window) -> Iterator[dict[str, AnyArray]]:
    """The rows in pages of bounded size; all revisions of a bar are on one page."""
    start_ns = window.first_ns
    while start_ns < window.last_ns:
        nth = {"series_id": series_id, "after_ns": start_ns, "position": _READ_ROWS}
        found = cast("int | None", connection.execute(_NTH_OPEN, nth).scalar())
        stop_ns = window.last_ns if found is None else min(found, window.last_ns)
        yield _page(connection, series_id, start_ns, stop_ns)
        start_ns = stop_ns


def _page(connection: Connection, series_id: int, first_ns: int, last_ns: int) -> dict[str, AnyArray]:
    given = {"series_id": series_id, "first_ns": first_ns, "last_ns": last_ns}
    return read_columns(connection, _PAGE, given, order=("open_ns", "revision"), steady=_STEADY)


# --- writing -----------------------------------------------------------------------------


def _locked_series(connection: Connection, incoming: Candles) -> Row[Any]:
    """The row of the series, made when it is new; locked, so that two importers of one series take turns."""
    key = dict(zip(("instrument", "timeframe", "basis"), incoming.key, strict=True))
    grids = {name: str(getattr(incoming, name).step) for name in ("tick", "lot", "money")}
    connection.execute(upsert(connection, candle_series).values(**key, **grids).on_conflict_do_nothing())
    wanted = select(candle_series).filter_by(**key).with_for_update()
    return connection.execute(wanted).one()


def _on_common_grids(connection: Connection, series: Row[Any], incoming: Candles) -> Candles:
    stored = {"tick": Grid.of(series.tick), "lot": Grid.of(series.lot), "money": Grid.of(series.money)}
    common = {name: common_grid(grid, getattr(incoming, name)) for name, grid in stored.items()}
    factors = {name: int(stored[name].step / common[name].step) for name in stored}
    if any(factor != 1 for factor in factors.values()):
        _rescale(connection, series, factors)
        steps = {name: str(grid.step) for name, grid in common.items()}
        connection.execute(update(candle_series).where(candle_series.c.id == series.id).values(**steps))
    return incoming.regrid(**common)


def _rescale(connection: Connection, series: Row[Any], factors: Mapping[str, int]) -> None:
    """Multiply the stored counts, after making sure that none overflows (SQLite would turn it into a float)."""
    largest = connection.execute(
        select(func.max(candles.c.high), func.max(candles.c.volume), func.max(candles.c.amount)).where(
            candles.c.series_id == series.id
        )
    ).one()
    for (name, factor), most in zip(factors.items(), largest, strict=True):
        if most is not None and most > INT64_MAX // factor:
            raise Invalid(
                f"{series.instrument} {series.timeframe}: {name}s {factor} times finer than the stored "
                f"{getattr(series, name)} overflow int64 (the largest count stored is {most})",
                hint="import the new bars on the stored grid",
                detail={"grid": name, "factor": factor},
            )
    scaled: dict[str, Any] = {name: candles.c[name] * factors["tick"] for name in _PRICES}
    scaled["volume"] = candles.c.volume * factors["lot"]
    known = candles.c.amount != UNKNOWN_AMOUNT
    scaled["amount"] = case((known, candles.c.amount * factors["money"]), else_=UNKNOWN_AMOUNT)
    connection.execute(update(candles).where(candles.c.series_id == series.id).values(**scaled))


def _differs(incoming: Candles, stored: Candles) -> AnyArray:
    differs = np.zeros(len(incoming), np.bool_)
    for name in _COMPARED:
        differs |= getattr(incoming, name) != getattr(stored, name)
    differs |= (incoming.amount != stored.amount) & (incoming.amount != UNKNOWN_AMOUNT)
    return differs


def _insert(connection: Connection, series_id: int, bars: Candles, revision: IntArray) -> None:
    columns: dict[str, AnyArray] = {"series_id": np.full(len(bars), series_id, np.int64), "revision": revision}
    insert_columns(connection, candles, columns | cast(dict[str, AnyArray], bars.columns()))


def _exponent(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    assert isinstance(exponent, int)  # a grid step is finite
    return exponent
