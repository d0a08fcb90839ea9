"""Many rows at once: columns of numpy in and out of a table, past the row-by-row road of the drivers.

|       | SQLite                                                           | PostgreSQL                      |
|-------|------------------------------------------------------------------|---------------------------------|
| write | one `executemany` of the raw driver                              | COPY, binary                    |
| read  | integers: one text a column, joined inside SQLite; floats: rows  | one value a column, joined bytes |

All of it happens in the transaction of the connection given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from types import MappingProxyType
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
from sqlalchemy import (
    BigInteger,
    Connection,
    Dialect,
    Double,
    Integer,
    LargeBinary,
    Select,
    SmallInteger,
    Table,
    func,
    select,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy import literal_column as literal
from sqlalchemy.engine.interfaces import Compiled

AnyArray = npt.NDArray[Any]

_WRITE_ROWS: Final = 50_000
_COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TRAILER: Final = b"\xff\xff"


def insert_columns(connection: Connection, table: Table, columns: Mapping[str, AnyArray]) -> None:
    """Insert rows given as integer or float arrays of one length. No value may be missing."""
    if not len(next(iter(columns.values()))):
        return
    if connection.dialect.name == "sqlite":
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        insert_rows(connection, table, tuple(columns), rows)
        return
    _copy_in(connection, table.name, columns, [_kind(table, name) for name in columns])


def insert_rows(connection: Connection, table: Table, names: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> int:
    """Insert rows given as tuples; how many went in (SQLite's triggers may ignore a row whose key exists)."""
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(names))
        statement = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})"
        pending = iter(rows)
        inserted = 0
        while batch := list(islice(pending, _WRITE_ROWS)):
            inserted += connection.exec_driver_sql(statement, cast(Any, batch)).rowcount
        return inserted
    count = 0
    with _cursor(connection).copy(_copy_from(table.name, names)) as copy:
        copy.set_types([_TYPES[str(table.c[name].type)] for name in names])
        for row in rows:
            copy.write_row(row)
            count += 1
    return count


def stage_columns(connection: Connection, columns: Mapping[str, AnyArray]) -> str:
    """PostgreSQL: a temporary table of integer and float columns, gone with the transaction; its name."""
    kinds = [">i8" if column.dtype.kind in "iu" else ">f8" for column in columns.values()]
    types = {">i8": "bigint", ">f8": "double precision"}
    described = ", ".join(f'"{name}" {types[kind]}' for name, kind in zip(columns, kinds, strict=True))
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE staged ({described}) ON COMMIT DROP")
    _copy_in(connection, "staged", columns, kinds)
    return "staged"


def read_columns(
    connection: Connection,
    statement: Select[Any],
    given: Mapping[str, Any] = MappingProxyType({}),
    *,
    order: Sequence[str],
    steady: Mapping[str, str | None] = MappingProxyType({}),
) -> dict[str, AnyArray]:
    """The columns of a query, by name: integers as int64 (none may be null), floats as float64 (null becomes NaN).

    `given` are the values of the statement's parameters: a statement that is kept and asked again is built only once.
    `order` names integer columns that tell the rows apart; the rows are ordered by them. `steady` names integer columns
    that nearly always are a constant (None), or a constant more than the column named: SQLite need not fetch those.
    """
    if connection.dialect.name == "sqlite":
        columns = _read_sqlite(connection, _sqlite_plan(statement, tuple(order), tuple(steady.items())), given)
    else:
        columns = _read_postgresql(connection, *_postgresql_plan(connection.dialect, statement, tuple(order)), given)
    keys = [columns[name] for name in order]
    if _is_sorted(keys):
        return columns
    sorting = np.lexsort(keys[::-1])  # an aggregate is not bound to the order of a subquery, though both keep it today
    return {name: column[sorting] for name, column in columns.items()}


def _ordered(statement: Select[Any], order: Iterable[str]) -> Select[Any]:
    return statement.order_by(*(statement.selected_columns[name] for name in order))


def _is_sorted(keys: Sequence[AnyArray]) -> bool:
    """Whether rows increase by their keys, the first one first."""
    rises = np.zeros(max(0, len(keys[0]) - 1), np.bool_)
    for key in reversed(keys):
        rises = (key[1:] > key[:-1]) | ((key[1:] == key[:-1]) & rises)
    return bool(rises.all())


# --- SQLite -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _SqlitePlan:
    """How the columns of a query are fetched: `joined` each as one text, with the extremes of the steady ones."""

    names: tuple[str, ...]
    joined: tuple[str, ...]
    steady: tuple[tuple[str, str | None], ...]
    first: Select[Any]
    alone: dict[str, Select[Any]]  # a steady column that turns out not to be
    floats: tuple[str, ...]
    rest: Select[Any] | None


@lru_cache(maxsize=64)
def _sqlite_plan(
    statement: Select[Any], order: tuple[str, ...], steady: tuple[tuple[str, str | None], ...]
) -> _SqlitePlan:
    is_one_pass = all(isinstance(column.type, Integer) for column in statement.selected_columns)
    source = (statement if is_one_pass else _ordered(statement, order)).subquery()
    above = {name: source.c[name] - (source.c[base] if base else 0) for name, base in steady}
    extremes = [extreme(value) for value in above.values() for extreme in (func.min, func.max)]
    joined = [column for column in source.c if isinstance(column.type, Integer) and column.key not in above]
    broken = [column for column in source.c if not isinstance(column.type, Integer)]
    infinity = literal("9e999", Double)  # stands for null, which a float array cannot take from an iterator
    return _SqlitePlan(
        names=tuple(column.key for column in source.c),
        joined=tuple(column.key for column in joined),
        steady=steady,
        first=select(*(func.group_concat(column) for column in joined), *extremes),
        alone={name: select(func.group_concat(source.c[name])) for name in above},
        floats=tuple(column.key for column in broken),
        rest=select(*(func.coalesce(column, infinity) for column in broken)) if broken else None,
    )


def _read_sqlite(connection: Connection, plan: _SqlitePlan, given: Mapping[str, Any]) -> dict[str, AnyArray]:
    row = connection.execute(plan.first, given).one()
    found = {name: _whole(text) for name, text in zip(plan.joined, row, strict=False)}
    rows = len(next(iter(found.values())))
    extremes = row[len(plan.joined) :]
    for (name, base), least, most in zip(plan.steady, extremes[::2], extremes[1::2], strict=True):
        if least != most:
            found[name] = _whole(connection.execute(plan.alone[name], given).scalar_one())
        else:
            found[name] = (found[base] if base else np.zeros(rows, np.int64)) + (least or 0)
    if plan.rest is not None:
        cursor = connection.execute(plan.rest, given).cursor
        values = np.fromiter(chain.from_iterable(cast(Any, cursor)), np.float64).reshape(-1, len(plan.floats)).T
        found |= {name: np.where(np.isinf(one), np.nan, one) for name, one in zip(plan.floats, values, strict=True)}
    return {name: found[name] for name in plan.names}


def _whole(text: str | None) -> AnyArray:
    return np.fromstring(text, np.int64, sep=",") if text else np.empty(0, np.int64)


# --- PostgreSQL -----------------------------------------------------------------------------

_TYPES: Final = {
    "BIGINT": "int8",
    "INTEGER": "int4",
    "SMALLINT": "int2",
    "DOUBLE": "float8",
    "TEXT": "text",
    "BLOB": "bytea",
}


@lru_cache(maxsize=64)
def _postgresql_plan(
    dialect: Dialect, statement: Select[Any], order: tuple[str, ...]
) -> tuple[dict[str, str], Compiled]:
    """Names and kinds, and a query of each column as one value: the big-endian bytes of its numbers."""
    source = _ordered(statement, order).subquery()
    nothing = literal("''::bytea", LargeBinary)
    nan = literal("'NaN'::float8", Double)
    joined = [
        func.string_agg(func.int8send(sql_cast(column, BigInteger)), nothing)
        if isinstance(column.type, Integer)
        else func.string_agg(func.float8send(func.coalesce(column, nan)), nothing)
        for column in source.c
    ]
    kinds = {column.key: "i8" if isinstance(column.type, Integer) else "f8" for column in source.c}
    return kinds, select(*joined).compile(dialect=dialect, compile_kwargs={"render_postcompile": True})


def _read_postgresql(
    connection: Connection, kinds: Mapping[str, str], query: Compiled, given: Mapping[str, Any]
) -> dict[str, AnyArray]:
    with _cursor(connection, binary=True) as cursor:
        row = cursor.execute(str(query), query.construct_params(dict(given))).fetchone()
    return {
        name: np.frombuffer(value or b"", f">{kind}").astype(kind)
        for (name, kind), value in zip(kinds.items(), row, strict=True)
    }


def _copy_in(connection: Connection, table: str, columns: Mapping[str, AnyArray], kinds: Sequence[str]) -> None:
    """Rows in the binary COPY format: a count of fields, then for each its length and its big-endian value."""
    records = np.empty(len(next(iter(columns.values()))), _record_dtype(kinds))
    records["fields"] = len(kinds)
    for index, (kind, column) in enumerate(zip(kinds, columns.values(), strict=True)):
        records[f"length{index}"] = int(kind[2:])
        records[f"value{index}"] = column
    with _cursor(connection).copy(_copy_from(table, columns)) as copy:
        copy.write(_COPY_HEADER)
        copy.write(records.tobytes())
        copy.write(_COPY_TRAILER)


def _record_dtype(kinds: Sequence[str]) -> np.dtype[np.void]:
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for index, kind in enumerate(kinds):
        fields += [(f"length{index}", ">i4"), (f"value{index}", kind)]
    return np.dtype(fields)


def _kind(table: Table, name: str) -> str:
    kind = table.c[name].type
    if isinstance(kind, SmallInteger):
        return ">i2"
    if isinstance(kind, BigInteger):
        return ">i8"
    return ">i4" if isinstance(kind, Integer) else ">f8"


def _copy_from(table: str, names: Iterable[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"COPY {table} ({quoted}) FROM STDIN (FORMAT BINARY)"


def _cursor(connection: Connection, **options: bool) -> Any:
    driver = connection.connection.driver_connection
    assert driver is not None
    return driver.cursor(**options)
