"""What happened, remembered: datasets with their passports, instruments, candles with their revisions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import orjson
from sqlalchemy import Connection, Engine, Row, bindparam, func, insert, select

from gnomon.clock import Timeframe, iso
from gnomon.errors import Invalid, NotFound, nearest
from gnomon.market.candles import Basis, Candles
from gnomon.market.dataset import AnySeries, Passport
from gnomon.market.instrument import Instrument, Split
from gnomon.market.tape import History, Series, Tape
from gnomon.store.bars import EVER, Window, add_bars, read_bars
from gnomon.store.chain import canonical
from gnomon.store.engine import reading, upsert, writing
from gnomon.store.tables import candle_series, candles, dataset_series, datasets, instruments
from gnomon.units import Grid

_HASH_PREFIX: Final = re.compile(r"[0-9a-f]{4,64}")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a `record` changed. `new` is False when the dataset was there already: then nothing changed."""

    new: bool
    candles_added: int
    candles_known: int
    revisions: int


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """One stored series: how many bars (a bar with revisions counts once), from its first open to its last close."""

    instrument: str
    timeframe: str
    basis: Basis
    rows: int
    first_ns: int
    last_ns: int
    tick: Grid
    lot: Grid


class MarketStore:
    """Candles and datasets in the database of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(
        self, passport: Passport, series: Sequence[AnySeries], instruments: Sequence[Instrument], *, recorded_ns: int
    ) -> Recorded:
        """Remember a dataset: its passport, its instruments, its candles. One transaction; once is enough.

        Trades stay in their files (`DatasetFiles`). Raises `Invalid` when a series breaks an invariant, belongs to an
        instrument that nobody described, or does not fit the stored grids.
        """
        bars = [one.check() for one in series if isinstance(one, Candles)]
        with writing(self._engine) as connection:
            _put_instruments(connection, instruments, recorded_ns)
            _require_instruments(connection, {one.instrument for one in series})
            if not _put_dataset(connection, passport, recorded_ns):
                return Recorded(False, 0, sum(len(one) for one in bars), 0)
            # in one order for everybody, so that two importers wait for each other and never in a circle
            added = [add_bars(connection, one, recorded_ns=recorded_ns) for one in sorted(bars, key=lambda b: b.key)]
        return Recorded(True, sum(a.added for a in added), sum(a.known for a in added), sum(a.revisions for a in added))

    def extend(self, bars: Sequence[Candles], instruments: Sequence[Instrument], *, recorded_ns: int) -> Recorded:
        """Add bars that came from a source, and keep what differs from a stored bar as its revision, knowable now.

        One transaction. Raises `Invalid` like `record`; nothing is written then.
        """
        checked = sorted((one.check() for one in bars), key=lambda one: one.key)
        with writing(self._engine) as connection:
            _put_instruments(connection, instruments, recorded_ns)
            _require_instruments(connection, {one.instrument for one in checked})
            added = [add_bars(connection, one, recorded_ns=recorded_ns) for one in checked]
        return Recorded(True, sum(a.added for a in added), sum(a.known for a in added), sum(a.revisions for a in added))

    def opens(
        self, instrument: str, timeframe: Timeframe, basis: Basis, *, first_ns: int, last_ns: int
    ) -> npt.NDArray[np.int64]:
        """The open times of the stored bars in [first_ns, last_ns), sorted; empty for a series that is not stored."""
        series = select(candle_series.c.id).filter_by(instrument=instrument, timeframe=str(timeframe), basis=basis)
        wanted = select(candles.c.open_ns).where(
            candles.c.series_id == series.scalar_subquery(),
            candles.c.revision == 0,
            candles.c.open_ns >= first_ns,
            candles.c.open_ns < last_ns,
        )
        with reading(self._engine) as connection:
            return np.array(connection.execute(wanted.order_by(candles.c.open_ns)).scalars().all(), np.int64)

    def datasets(self) -> list[dict[str, Any]]:
        """The passports (`Passport.row()`) with `recorded_at`, oldest first."""
        wanted = select(datasets.c.passport, datasets.c.recorded_at).order_by(datasets.c.recorded_at, datasets.c.hash)
        with reading(self._engine) as connection:
            return [_passport(row) for row in connection.execute(wanted)]

    def dataset(self, name_or_hash: str) -> dict[str, Any]:
        """The dataset of a hash, of the beginning of one (four digits at least), or the newest of a name.

        Raises `NotFound` with the nearest names, and `Invalid` when several hashes begin so.
        """
        with reading(self._engine) as connection:
            rows = connection.execute(select(datasets).order_by(datasets.c.recorded_at.desc())).all()
        named = [row for row in rows if name_or_hash in (row.hash, row.name)]
        if not named and _HASH_PREFIX.fullmatch(name_or_hash):
            named = [row for row in rows if row.hash.startswith(name_or_hash)]
            if len(named) > 1:
                raise Invalid(f"{len(named)} datasets begin with {name_or_hash}", hint="write more of the hash")
        if named:
            return _passport(named[0])
        close = nearest(name_or_hash, {row.name for row in rows})
        hint = f"did you mean {', '.join(close)}?" if close else "`gnomon datasets` lists what is stored"
        raise NotFound(f"no dataset {name_or_hash!r}", hint=hint, detail={"nearest": close})

    def instruments(self) -> list[Instrument]:
        """Every instrument met by an import, as its newest import described it, by identity."""
        with reading(self._engine) as connection:
            documents = connection.execute(select(instruments.c.document).order_by(instruments.c.id)).scalars()
            return [Instrument.from_row(orjson.loads(document)) for document in documents]

    def series(self) -> list[StoredSeries]:
        """Every stored series with bars, by instrument, timeframe and basis."""
        counted = (
            select(
                candles.c.series_id,
                func.count().label("rows"),
                func.min(candles.c.open_ns).label("first_ns"),
                func.max(candles.c.close_ns).label("last_ns"),
            )
            .where(candles.c.revision == 0)
            .group_by(candles.c.series_id)
            .subquery()
        )
        wanted = select(candle_series, counted).join(counted, counted.c.series_id == candle_series.c.id)
        with reading(self._engine) as connection:
            found = [_stored_series(row) for row in connection.execute(wanted)]
        return sorted(found, key=lambda one: (one.instrument, Timeframe.parse(one.timeframe), one.basis))

    def keys(self, timeframe: str) -> set[tuple[str, Basis]]:
        """Instrument and basis of each series of a timeframe; nothing is counted."""
        wanted = select(candle_series.c.instrument, candle_series.c.basis).filter_by(timeframe=timeframe)
        with reading(self._engine) as connection:
            return {(row.instrument, cast(Basis, row.basis)) for row in connection.execute(wanted)}

    def timeframes(self) -> list[str]:
        """The timeframes of the stored series, shortest first."""
        with reading(self._engine) as connection:
            found = connection.execute(select(candle_series.c.timeframe).distinct()).scalars()
            return sorted(found, key=Timeframe.parse)

    def tape(
        self,
        keys: Iterable[tuple[str, Timeframe, Basis]],
        *,
        splits: Mapping[str, tuple[Split, ...]] = {},
        first_ns: int | None = None,
        last_ns: int | None = None,
        limit: int | None = None,
    ) -> Tape:
        """The as-of tape of the series named, with the bars that open in [first_ns, last_ns), all their revisions.

        `limit` keeps the newest bars of each. `splits` are by instrument identity. A series that is not stored is not
        on the tape; reading it there raises `NotFound`.
        """
        wanted = {(instrument, str(timeframe), basis) for instrument, timeframe, basis in keys}
        found = []
        with reading(self._engine) as connection:
            for row in connection.execute(select(candle_series).order_by(candle_series.c.id)).all():
                if (row.instrument, row.timeframe, row.basis) in wanted:
                    window = _window(connection, row.id, first_ns, last_ns, limit)
                    history = History(read_bars(connection, row, window)[0])
                    found.append(Series(history, tuple(splits.get(row.instrument, ()))))
        return Tape(found)


# --- inside -----------------------------------------------------------------------------


def _put_instruments(connection: Connection, given: Sequence[Instrument], recorded_ns: int) -> None:
    for one in sorted(given, key=lambda instrument: instrument.id):
        values = {"id": one.id, "symbol": one.symbol, "document": canonical(one.row()), "recorded_at": recorded_ns}
        statement = upsert(connection, instruments).values(**values)
        new = statement.excluded
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["id"],
                set_={"symbol": new.symbol, "document": new.document, "recorded_at": new.recorded_at},
                where=instruments.c.document != new.document,
            )
        )


def _require_instruments(connection: Connection, wanted: set[str]) -> None:
    known = set(connection.execute(select(instruments.c.id).where(instruments.c.id.in_(wanted))).scalars())
    if wanted - known:
        raise Invalid(
            f"a series of {min(wanted - known)}, which is no instrument of this import nor a stored one",
            hint="pass its Instrument to record",
        )


def _put_dataset(connection: Connection, passport: Passport, recorded_ns: int) -> bool:
    """Insert the rows of a dataset; False when its hash is there already."""
    values = {
        "hash": passport.hash,
        "name": passport.name,
        "source": passport.source,
        "licence": passport.licence,
        "rows": passport.rows,
        "recorded_at": recorded_ns,
        "passport": canonical(passport.row()),
    }
    statement = upsert(connection, datasets).values(**values).on_conflict_do_nothing().returning(datasets.c.hash)
    if connection.execute(statement).one_or_none() is None:
        return False
    for position, one in enumerate(passport.series):
        names = [column.name for column in dataset_series.c if column.name not in ("dataset_hash", "position")]
        row = {name: getattr(one, name) for name in names}
        connection.execute(insert(dataset_series).values(dataset_hash=passport.hash, position=position, **row))
    return True


_NEWEST_OPEN: Final = (
    select(candles.c.open_ns)
    .where(candles.c.series_id == bindparam("series_id"), candles.c.revision == 0)
    .where(candles.c.open_ns < bindparam("last_ns"))
    .order_by(candles.c.open_ns.desc())
    .limit(1)
    .offset(bindparam("position"))
)


def _window(
    connection: Connection, series_id: int, first_ns: int | None, last_ns: int | None, limit: int | None
) -> Window:
    first_ns = EVER.first_ns if first_ns is None else first_ns
    last_ns = EVER.last_ns if last_ns is None else last_ns
    if limit is None:
        return Window(first_ns, last_ns)
    if limit < 1:
        return Window(last_ns, last_ns, 0)
    given = {"series_id": series_id, "last_ns": last_ns, "position": limit - 1}
    oldest = connection.execute(_NEWEST_OPEN, given).scalar()
    return Window(first_ns if oldest is None else max(first_ns, oldest), last_ns, limit)


def _passport(row: Row[*tuple[Any, ...]]) -> dict[str, Any]:
    return {**orjson.loads(row.passport), "recorded_at": iso(row.recorded_at)}


def _stored_series(row: Row[Any]) -> StoredSeries:
    return StoredSeries(
        instrument=row.instrument,
        timeframe=row.timeframe,
        basis=cast(Basis, row.basis),
        rows=row.rows,
        first_ns=row.first_ns,
        last_ns=row.last_ns,
        tick=Grid.of(row.tick),
        lot=Grid.of(row.lot),
    )
