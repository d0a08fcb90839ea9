"""Rows for people's tools: JSON, CSV or Parquet of one list of flat rows."""

from __future__ import annotations

import base64
import binascii
import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
import orjson
from fastapi.responses import Response

from gnomon.errors import Invalid
from gnomon.units import INT64_MAX

Format = Literal["json", "csv", "parquet"]
MEDIA_TYPES: Final[Mapping[str, str]] = {
    "json": "application/json",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}
Row = Mapping[str, Any]


def dumps(document: Any) -> bytes:
    """A document as JSON; arrays of numpy become lists and NaN becomes null."""
    return orjson.dumps(document, default=_listed, option=orjson.OPT_SERIALIZE_NUMPY)


def json_response(document: Any) -> Response:
    """A document as a JSON response."""
    return Response(dumps(document), media_type="application/json")


def table_response(
    rows: Sequence[Row], form: Format, *, name: str, document: Mapping[str, Any], cursor: str | None = None
) -> Response:
    """The rows in the form asked for: `document` itself as JSON, else a file with the cursor in a header."""
    if form == "json":
        return json_response(document)
    body = as_csv(rows) if form == "csv" else as_parquet(rows)
    headers = {"content-disposition": f'attachment; filename="{name}.{form}"'}
    if cursor is not None:
        headers["x-next-cursor"] = cursor
    return Response(body, media_type=MEDIA_TYPES[form], headers=headers)


def as_csv(rows: Sequence[Row]) -> bytes:
    """A header and a line a row; lists and objects are JSON inside their cell. Nothing for no rows."""
    out = io.StringIO()
    if rows:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(rows[0])
        writer.writerows(map(csv_cells, rows))
    return out.getvalue().encode()


def csv_cells(row: Row) -> list[Any]:
    """The cells of a row's line."""
    return [_cell(value) for value in row.values()]


def as_parquet(rows: Sequence[Row]) -> bytes:
    """One column a field; lists stay lists, objects become JSON text."""
    import pyarrow
    import pyarrow.parquet

    flat = [{name: _text(value) if isinstance(value, dict) else value for name, value in row.items()} for row in rows]
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(flat), out)
    return out.getvalue()


def cursor_after(position: Iterable[int | str]) -> str:
    """An opaque mark of where a list stopped."""
    return base64.urlsafe_b64encode(orjson.dumps(list(position))).decode().rstrip("=")


def cursor_position(cursor: str | None, *, length: int) -> tuple[int, ...] | None:
    """Where a list goes on whose position is whole numbers; `Invalid` for what no answer ever contained."""
    return cursor_keys(cursor, (int,) * length)


def cursor_keys(cursor: str | None, kinds: tuple[type, ...]) -> tuple[Any, ...] | None:
    """Where a list goes on whose position has parts of these kinds (int, str); `Invalid` for any other."""
    if not cursor:
        return None
    try:
        position = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        position = None
    is_ours = isinstance(position, list) and [type(one) for one in position] == list(kinds)
    if is_ours and all(abs(one) <= INT64_MAX if isinstance(one, int) else one.isprintable() for one in position):
        return tuple(position)
    raise Invalid(f"not a cursor: {cursor[:80]!r}", hint="give `next_cursor` of the answer before, or none to begin")


def finite(value: Any) -> Any:
    """NaN as None: JSON has no NaN, and a void row has no figure."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _listed(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()  # orjson itself reads contiguous arrays alone
    raise TypeError(f"{type(value).__name__} has no JSON")


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return _text(value) if isinstance(value, dict | list | tuple) else value


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
