"""The newest bars of each series, kept in memory between two looks: an hourly run reads the hour that is new.

What is kept is checked against the database at each look, in one snapshot: bars are only ever added (a revision is a
row of its own), so that a series with the same grids and the same count of rows within the kept span is as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, Engine, Row, bindparam, select

from gnomon.clock import Timeframe
from gnomon.market.candles import COLUMNS, Basis, Candles
from gnomon.market.instrument import Split
from gnomon.market.tape import History, Series, Tape
from gnomon.store.bars import Window, empty, read_bars
from gnomon.store.engine import reading
from gnomon.store.tables import candle_series, candles
from gnomon.units import INT64_MAX

_GRIDS: Final = ("tick", "lot", "money")
_COLUMNS: Final = tuple(COLUMNS)
_SERIES: Final = (
    select(candle_series)
    .where(candle_series.c.instrument.in_(bindparam("instruments", expanding=True)))
    .order_by(candle_series.c.id)
)


@dataclass(frozen=True, slots=True)
class _Tail:
    """All revisions of the bars of a series from `first_ns` to its newest one, when it was last looked at."""

    series: Row[Any]
    first_ns: int
    rows: Candles

    @property
    def last_ns(self) -> int:
        return int(self.rows.open_ns[-1])

    def window(self, last_ns: int, limit: int) -> Candles | None:
        """The newest `limit` bars that open before an instant, all their revisions; None where they reach further back
        than what is kept."""
        stop = int(np.searchsorted(self.rows.open_ns, last_ns))
        opens = self.rows.open_ns[:stop]
        first_of = np.flatnonzero(np.diff(opens, prepend=-INT64_MAX))
        if len(first_of) < limit:
            return self.rows.take(slice(0, stop)) if self.first_ns == -INT64_MAX else None
        return self.rows.take(slice(int(first_of[-limit]), stop))


class Tails:
    """Reads like `MarketStore.tape`, of the end of each series, and remembers what it read."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tails: dict[int, _Tail] = {}
        self._lock = Lock()

    def tape(
        self,
        keys: Iterable[tuple[str, Timeframe, Basis]],
        *,
        last_ns: int,
        limit: int,
        splits: Mapping[str, tuple[Split, ...]] = {},
    ) -> Tape:
        """The newest `limit` bars (one at least) of each series that open before `last_ns`, all their revisions.

        A series that is not stored is not on the tape.
        """
        wanted = {(instrument, str(timeframe), basis) for instrument, timeframe, basis in keys}
        found = []
        with self._lock, reading(self._engine) as connection:
            rows = connection.execute(_SERIES, {"instruments": sorted({key[0] for key in wanted})}).all()
            asked = [row for row in rows if (row.instrument, row.timeframe, row.basis) in wanted]
            self._look(connection, asked)
            for row in asked:
                history = History(self._window(connection, row, last_ns, limit))
                found.append(Series(history, tuple(splits.get(row.instrument, ()))))
        return Tape(found)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _look(self, connection: Connection, asked: list[Row[Any]]) -> None:
        """Forget the tails that are not what the database has any more; add to the others what is new."""
        kept = [self._tails[row.id] for row in asked if row.id in self._tails]
        if not kept:
            return
        grids = {row.id: tuple(getattr(row, name) for name in _GRIDS) for row in asked}
        counts = {row.series_id: row.rows for row in connection.exec_driver_sql(_counts(kept))}
        for tail in kept:
            same = tuple(getattr(tail.series, name) for name in _GRIDS) == grids[tail.series.id]
            if not same or counts[tail.series.id] != len(tail.rows):
                del self._tails[tail.series.id]
        kept = [tail for tail in kept if tail.series.id in self._tails]
        newer: dict[int, list[Any]] = {}
        for row in connection.exec_driver_sql(_newer(kept)) if kept else ():
            newer.setdefault(row[0], []).append(row[1:])
        for id_, rows in newer.items():
            self._tails[id_] = _extended(self._tails[id_], rows)

    def _window(self, connection: Connection, row: Row[Any], last_ns: int, limit: int) -> Candles:
        tail = self._tails.get(row.id)
        found = None if tail is None else tail.window(last_ns, limit)
        if found is not None:
            return found
        first_ns = _open_at(connection, row.id, last_ns, limit - 1)
        first_ns = -INT64_MAX if first_ns is None else first_ns
        if _is_far_from_the_end(connection, row.id, last_ns, limit):
            return read_bars(connection, row, Window(first_ns, last_ns))[0]
        made = _Tail(row, first_ns, read_bars(connection, row, Window(first_ns))[0])
        if not len(made.rows):
            return empty(row)
        self._tails[row.id] = made
        found = made.window(last_ns, limit)
        assert found is not None
        return found


# Statements as text: SQLAlchemy compiles a list of values anew each time, which takes longer than the answer.


def _held(tails: list[_Tail]) -> str:
    rows = ", ".join(f"({int(one.series.id)}, {int(one.first_ns)}, {int(one.last_ns)})" for one in tails)
    return f"WITH held(series_id, first_ns, last_ns) AS (VALUES {rows})"


def _counts(tails: list[_Tail]) -> str:
    counted = (
        "SELECT count(*) FROM candles WHERE candles.series_id = held.series_id "
        "AND candles.open_ns BETWEEN held.first_ns AND held.last_ns"
    )
    return f"{_held(tails)} SELECT held.series_id, ({counted}) AS rows FROM held"


def _newer(tails: list[_Tail]) -> str:
    names = ", ".join(f"candles.{name}" for name in ("series_id", *_COLUMNS))
    beyond = "candles.series_id = held.series_id AND candles.open_ns > held.last_ns"
    order = "candles.series_id, candles.open_ns, candles.revision"
    return f"{_held(tails)} SELECT {names} FROM held JOIN candles ON {beyond} ORDER BY {order}"


def _extended(tail: _Tail, rows: list[Any]) -> _Tail:
    """The tail with newer rows (it grows by a bar an hour: a worker that runs for a year keeps a megabyte a series)."""
    block = {name: np.array(part, COLUMNS[name]) for name, part in zip(_COLUMNS, zip(*rows, strict=True), strict=True)}
    whole: dict[str, Any] = {name: np.concatenate([getattr(tail.rows, name), part]) for name, part in block.items()}
    return replace(tail, rows=replace(tail.rows, **whole))


def _open_at(connection: Connection, series_id: int, before_ns: int, position: int) -> int | None:
    """The open time of the bar that many bars before the newest one that opens before an instant."""
    wanted = (
        select(candles.c.open_ns)
        .where(candles.c.series_id == series_id, candles.c.revision == 0, candles.c.open_ns < before_ns)
        .order_by(candles.c.open_ns.desc())
        .limit(1)
        .offset(position)
    )
    return connection.execute(wanted).scalar()


def _is_far_from_the_end(connection: Connection, series_id: int, last_ns: int, bars: int) -> bool:
    """Whether more bars lie after an instant than are asked for before it: a look at the past, which is not kept."""
    later = select(candles.c.open_ns).where(candles.c.series_id == series_id, candles.c.open_ns >= last_ns)
    return connection.execute(later.limit(1).offset(bars)).scalar() is not None
