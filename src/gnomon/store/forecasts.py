"""The ledger of forecasts: issued once, chained by hashes, never changed.

A forecast is identified by (lane, variant, instrument, timeframe, basis, forecaster, version, data cutoff). The head of
each lane's chain is locked by the transaction that extends it, so sequence numbers have no gap and no double.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, cast

import numpy as np
from sqlalchemy import ColumnElement, Connection, Engine, bindparam, func, select, text, update

from gnomon.errors import Conflict, Invalid, NotFound, Unavailable
from gnomon.market.candles import Basis
from gnomon.store.blocks import decode
from gnomon.store.chain import genesis, link
from gnomon.store.columns import insert_rows
from gnomon.store.engine import reading, writing
from gnomon.store.entry import LANES, Entry, Key, Lane, Prepared, check, prepare
from gnomon.store.issued import Issued, StoredForecast, stored
from gnomon.store.tables import chain_heads, forecast_bars, forecast_blocks, forecast_paths, forecasts
from gnomon.store.verification import Broken, Verified, verify_lane
from gnomon.units import FloatArray

__all__ = ["LANES", "Broken", "Entry", "ForecastLedger", "Issued", "Lane", "StoredForecast", "Verified", "chosen"]

_IDS_PER_QUERY: Final = 500
_KEY: Final = tuple(
    forecasts.c[name] for name in ("instrument", "timeframe", "basis", "forecaster", "version", "data_cutoff")
)


# Statements that every issue asks are built once.
_HEAD: Final = select(chain_heads).where(chain_heads.c.lane == bindparam("lane"))
_LOCKED_HEAD: Final = _HEAD.with_for_update()
_MOVE_HEAD: Final = (
    update(chain_heads)
    .where(chain_heads.c.lane == bindparam("which"))
    .values(seq=bindparam("to_seq"), hash=bindparam("to_hash"))
)
_NEWEST_ID: Final = select(func.coalesce(func.max(forecasts.c.id), 0))
_LAST: Final = (
    select(forecasts.c.seq, forecasts.c.row_hash)
    .where(forecasts.c.lane == bindparam("lane"))
    .order_by(forecasts.c.seq.desc())
    .limit(1)
)
_BOX: Final = select(*_KEY, forecasts.c.id).where(
    forecasts.c.lane == bindparam("lane"),
    forecasts.c.variant == bindparam("variant"),
    *(column.in_(bindparam(column.name, expanding=True)) for column in _KEY[:-1]),
    forecasts.c.data_cutoff.between(bindparam("first"), bindparam("last")),
)


class ForecastLedger:
    """The ledger in the database of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def issue(
        self, entries: Sequence[Entry], *, lane: Lane, issued_at_ns: int, variant: str = "", code_version: str = ""
    ) -> Issued:
        """Insert the forecasts whose key is not there yet, in order, in one transaction; the others stay as they are.

        Raises `Invalid`, before anything is written, for a forecast that breaks a rule or a variant in the live lane.
        """
        if lane not in LANES or (lane == "live" and variant):
            raise Invalid(f"lane {lane!r} with variant {variant!r}", hint="live without a variant, or backfill")
        keys = [entry.key for entry in entries]
        with reading(self._engine) as connection:  # what exists need not be packed, nor wait for the lock
            seen = _head(connection, lane)
            known = _ids_of(connection, lane, variant, keys)
        fresh: dict[Key, Prepared] = {}
        for key, entry in zip(keys, entries, strict=True):
            if key not in known and key not in fresh:
                check(entry, issued_at_ns=issued_at_ns)
                fresh[key] = prepare(
                    entry, lane=lane, variant=variant, issued_at_ns=issued_at_ns, code_version=code_version
                )
        added: dict[Key, int] = {}
        if fresh:
            with writing(self._engine) as connection:
                head = _locked_head(connection, lane)
                if head != seen:  # another writer has been here since
                    known |= _ids_of(connection, lane, variant, list(fresh))
                added = _append(connection, lane, head, {key: one for key, one in fresh.items() if key not in known})
        ids = known | added
        return Issued(len(added), len(entries) - len(added), [ids[key] for key in keys])

    def existing_cutoffs(
        self,
        *,
        lane: Lane,
        variant: str,
        instrument: str,
        timeframe: str,
        forecaster: str,
        version: str,
        basis: Basis = "raw",
    ) -> set[int]:
        """The data cutoffs for which a forecast of this key is there."""
        key = {"instrument": instrument, "timeframe": timeframe, "basis": basis}
        which = select(forecasts.c.data_cutoff).filter_by(
            lane=lane, variant=variant, forecaster=forecaster, version=version, **key
        )
        with reading(self._engine) as connection:
            return set(connection.execute(which).scalars())

    def latest(
        self, instrument: str, timeframe: str, forecaster: str, *, as_of_ns: int | None = None, lane: Lane = "live"
    ) -> StoredForecast | None:
        """The newest forecast that had been issued by then: what one could read at that instant."""
        issued = [] if as_of_ns is None else [forecasts.c.issued_at <= as_of_ns]
        order = (forecasts.c.issued_at.desc(), forecasts.c.data_cutoff.desc())
        return self._first(
            chosen(lane=lane, instrument=instrument, timeframe=timeframe, forecaster=forecaster) + issued, order
        )

    def newest(
        self,
        instrument: str,
        timeframe: str,
        forecaster: str,
        *,
        as_of_ns: int | None = None,
        lane: Lane = "live",
        variant: str | None = None,
    ) -> StoredForecast | None:
        """The forecast of the newest cutoff at or before an instant, whenever it was issued: for a look at the past."""
        within = [] if as_of_ns is None else [forecasts.c.data_cutoff <= as_of_ns]
        order = (forecasts.c.data_cutoff.desc(), forecasts.c.issued_at.desc())
        which = chosen(lane=lane, variant=variant, instrument=instrument, timeframe=timeframe, forecaster=forecaster)
        return self._first(which + within, order)

    def get(self, id: int) -> StoredForecast:  # noqa: A002 - the word for it
        """The forecast of an id, or `NotFound`."""
        found = self._first([forecasts.c.id == id], ())
        if found is None:
            raise NotFound(f"no forecast {id}", hint="`find` lists what is stored")
        return found

    def find(
        self,
        *,
        lane: Lane | None = None,
        instrument: str | None = None,
        timeframe: str | None = None,
        forecaster: str | None = None,
        variant: str | None = None,
        basis: Basis | None = None,
        first_cutoff_ns: int | None = None,
        last_cutoff_ns: int | None = None,
        limit: int = 100,
        after_id: int = 0,
        newest_first: bool = False,
    ) -> list[StoredForecast]:
        """At most `limit` forecasts beyond an id, by id or from the newest back, with a cutoff in [first, last)."""
        which = chosen(
            lane=lane,
            instrument=instrument,
            timeframe=timeframe,
            forecaster=forecaster,
            variant=variant,
            basis=basis,
            first_cutoff_ns=first_cutoff_ns,
            last_cutoff_ns=last_cutoff_ns,
        )
        if newest_first:
            which += [forecasts.c.id < after_id] if after_id else []
            wanted = select(forecasts).where(*which).order_by(forecasts.c.id.desc()).limit(limit)
        else:
            wanted = select(forecasts).where(forecasts.c.id > after_id, *which).order_by(forecasts.c.id).limit(limit)
        with reading(self._engine) as connection:
            return [stored(row) for row in connection.execute(wanted).mappings()]

    def quantiles(self, ids: Sequence[int], kind: Literal["raw", "calibrated"] = "raw") -> dict[int, FloatArray]:
        """The quantiles (H, Q) of each id, as stored in float32. `NotFound` for an id that has none of the kind."""
        found: dict[int, FloatArray] = {}
        with reading(self._engine) as connection:
            for part in _parts(sorted(set(ids)), _IDS_PER_QUERY):
                rows = connection.execute(
                    select(forecast_blocks).where(
                        forecast_blocks.c.forecast_id.in_(part), forecast_blocks.c.kind == kind
                    )
                )
                for row in rows:
                    found[row.forecast_id] = _array(row.forecast_id, kind, row)
        absent = set(ids) - set(found)
        if absent:
            raise NotFound(f"forecast {min(absent)} has no {kind} quantiles", hint="ask for raw, of ids that exist")
        return found

    def paths(self, id: int) -> FloatArray | None:  # noqa: A002 - the word for it
        """Sample paths of the close (n, H), or None where there are none or they were retired."""
        with reading(self._engine) as connection:
            row = connection.execute(select(forecast_paths).where(forecast_paths.c.forecast_id == id)).one_or_none()
        return None if row is None else _array(id, "paths", row)

    def head(self, lane: Lane) -> tuple[int, str]:
        """The length of a lane's chain and the hash of its last row."""
        with reading(self._engine) as connection:
            return _head(connection, lane)

    def verify(
        self, lane: Lane | None = None, progress: Callable[[int, int, str], None] | None = None
    ) -> list[Verified]:
        """Walk the chain of a lane, or of each: every row, block, path and bar is recomputed from what is stored."""
        found = []
        for one in LANES if lane is None else (lane,):
            with reading(self._engine) as connection:
                found.append(verify_lane(connection, one, progress))
        return found

    def _first(
        self, which: Sequence[ColumnElement[bool]], order: Sequence[ColumnElement[Any]]
    ) -> StoredForecast | None:
        with reading(self._engine) as connection:
            row = connection.execute(select(forecasts).where(*which).order_by(*order).limit(1)).mappings().one_or_none()
        return None if row is None else stored(row)


def chosen(
    *,
    lane: Lane | None = None,
    instrument: str | None = None,
    timeframe: str | None = None,
    forecaster: str | None = None,
    variant: str | None = None,
    basis: Basis | None = None,
    first_cutoff_ns: int | None = None,
    last_cutoff_ns: int | None = None,
) -> list[ColumnElement[bool]]:
    """Conditions on `forecasts`; None does not restrict. Cutoffs lie in [first, last)."""
    wanted = {"lane": lane, "instrument": instrument, "timeframe": timeframe, "forecaster": forecaster}
    wanted |= {"variant": variant, "basis": basis}
    conditions = [forecasts.c[name] == value for name, value in wanted.items() if value is not None]
    conditions += [] if first_cutoff_ns is None else [forecasts.c.data_cutoff >= first_cutoff_ns]
    conditions += [] if last_cutoff_ns is None else [forecasts.c.data_cutoff < last_cutoff_ns]
    return conditions


# --- inside -----------------------------------------------------------------------------------------------------


def _ids_of(connection: Connection, lane: Lane, variant: str, keys: Sequence[Key]) -> dict[Key, int]:
    """The ids of the keys that are there. The index is asked for the smallest box of keys around them."""
    if not keys:
        return {}
    *names, cutoffs = (set(part) for part in zip(*keys, strict=True))
    given: dict[str, Any] = {column.name: sorted(name) for column, name in zip(_KEY, names, strict=False)}
    given |= {"lane": lane, "variant": variant, "first": min(cutoffs), "last": max(cutoffs)}
    asked = set(keys)
    found = {cast(Key, tuple(key)): id_ for *key, id_ in connection.execute(_BOX, given)}
    return {key: id_ for key, id_ in found.items() if key in asked}


def _head(connection: Connection, lane: Lane) -> tuple[int, str]:
    row = connection.execute(_HEAD, {"lane": lane}).one()
    return row.seq, row.hash


def _locked_head(connection: Connection, lane: Lane) -> tuple[int, str]:
    """The head of the chain; nobody else reads it until this transaction ends (SQLite has one writer at a time).

    Raises `Conflict` when the last row is not the head's: a broken chain is not made longer.
    """
    head = connection.execute(_LOCKED_HEAD, {"lane": lane}).one()
    last = connection.execute(_LAST, {"lane": lane}).one_or_none()
    if (head.seq, head.hash) != (tuple(last) if last is not None else (0, genesis(lane))):
        raise Conflict(
            f"the head of the {lane} chain (row {head.seq}) is not its last row ({last.seq if last else 'none'})",
            hint="run `gnomon verify forecasts`; somebody wrote to the ledger by hand",
        )
    return head.seq, head.hash


def _append(connection: Connection, lane: Lane, head: tuple[int, str], fresh: Mapping[Key, Prepared]) -> dict[Key, int]:
    if not fresh:
        return {}
    seq, last_hash = head
    ids = dict(zip(fresh, _new_ids(connection, len(fresh)), strict=True))
    for key, one in fresh.items():
        seq += 1
        one.row.update(id=ids[key], seq=seq, prev_hash=last_hash)
        last_hash = one.row["row_hash"] = link(last_hash, one.row)
    _insert(connection, list(fresh.values()))
    connection.execute(_MOVE_HEAD, {"which": lane, "to_seq": seq, "to_hash": last_hash})
    return ids


def _new_ids(connection: Connection, count: int) -> list[int]:
    """Ids for new rows. PostgreSQL's may have gaps, where a transaction failed; `seq` has none."""
    if connection.dialect.name == "sqlite":
        last = connection.execute(_NEWEST_ID).scalar_one()
        return list(range(last + 1, last + 1 + count))
    drawn = text("SELECT nextval('forecasts_id_seq') FROM generate_series(1, :count)")
    return sorted(connection.execute(drawn, {"count": count}).scalars())


def _insert(connection: Connection, fresh: Sequence[Prepared]) -> None:
    names = [column.name for column in forecasts.c]
    inserted = insert_rows(connection, forecasts, names, (tuple(one.row[name] for name in names) for one in fresh))
    assert inserted == len(fresh), "a key that exists was not filtered out"  # SQLite's trigger would ignore its row
    blocks = [(one.row["id"], kind, b.dtype, b.shape, b.payload) for one in fresh for kind, b in one.blocks]
    paths = [(one.row["id"], p.dtype, p.shape, p.payload) for one in fresh if (p := one.paths) is not None]
    bars = [row for one in fresh if one.bars is not None for row in one.bars.rows(one.row["id"])]
    for table, rows in ((forecast_blocks, blocks), (forecast_paths, paths), (forecast_bars, bars)):
        if rows:
            insert_rows(connection, table, [column.name for column in table.c], cast(Any, rows))


def _array(forecast_id: int, kind: str, row: Any) -> FloatArray:
    try:
        return decode(row.dtype, row.shape, row.payload).astype(np.float64)
    except ValueError as error:
        raise Unavailable(
            f"the {kind} block of forecast {forecast_id} is damaged: {error}", hint="run `gnomon verify forecasts`"
        ) from None


def _parts(values: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (values[first : first + size] for first in range(0, len(values), size))
