"""Text with delimiters (CSV and its kin): sniffed, then read column by column, with every broken row kept in sight.

A line is a row: a line break inside quotes ends the row all the same, so that a stray quote costs one row and not the
rest of the file. Blank lines count as lines and are no rows.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from gnomon.errors import Invalid
from gnomon.sources.files.numbers import trimmed
from gnomon.sources.files.table import Broken, Column
from gnomon.units import IntArray

Progress = Callable[[int, int], None]

_DELIMITERS: Final = ",;\t|"
_BLOCK_BYTES: Final = 1 << 20
_DATA_LIKE: Final = re.compile(r"[+-]?[0-9.][0-9.eE:+ TZ/-]*")
_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class Cells:
    """Columns of a text table: numbers where they were asked for and all cells are one, else text.

    `lines` is the line of each row, `broken` the rows of another width; `text(name)` spells a column out.
    """

    columns: Mapping[str, Column]
    lines: IntArray
    broken: tuple[Broken, ...]
    text: Callable[[str], Column]


@dataclass(frozen=True, slots=True)
class Delimited:
    """A text table before its columns are read. `header` is empty where the first line is data already.

    `sample` is the first line of data (empty where there is none), `first_line` its number.
    """

    file: str
    data: bytes
    delimiter: str
    header: tuple[str, ...]
    sample: tuple[str, ...]
    first_line: int
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        return len(self.header or self.sample)

    def read(self, wanted: Mapping[str, int], kinds: Mapping[str, Any], progress: Progress | None = None) -> Cells:
        """The columns at the given positions. `kinds` says which are expected to be numbers (pyarrow types)."""
        try:
            rows, skipped = self._parse(wanted, kinds, progress)
            if not any(rows.column(name).null_count for name in kinds):
                columns = {name: _plain(rows.column(name)) for name in wanted}
                lines = self._lines(len(rows), skipped)
                return Cells(columns, lines, self._broken(skipped), lambda name: self._column_text(wanted[name]))
        except pa.ArrowInvalid:
            pass  # a cell is no number: all columns come as text, and the rules point at the cell
        return self._read_text(wanted)

    def _read_text(self, wanted: Mapping[str, int]) -> Cells:
        try:
            rows, skipped = self._parse(wanted, {}, None)
        except pa.ArrowInvalid as error:
            raise Invalid(f"{self.file}: not readable as delimited text ({error})", hint="is it cut off?") from None
        columns = {name: _unquoted(trimmed(rows.column(name))) for name in wanted}
        empty = [np.asarray(one.to_numpy(zero_copy_only=False) == "", np.bool_) for one in columns.values()]
        filled = ~np.logical_and.reduce(empty)
        lines = self._lines(len(rows), skipped)[filled]
        columns = {name: one.filter(pa.array(filled)) for name, one in columns.items()}
        return Cells(columns, lines, self._broken(skipped), columns.__getitem__)

    def _column_text(self, position: int) -> Column:
        rows, _ = self._parse({"column": position}, {}, None)
        return rows.column("column").combine_chunks()

    # --- parsing ------------------------------------------------------------------------------------------------------

    def _parse(self, wanted: Mapping[str, int], kinds: Mapping[str, Any], progress: Progress | None) -> tuple[Any, Any]:
        """A pyarrow table, and (number, fields, text) of the rows of another width."""
        for quote in ('"', False) if b'"' in self.data else (False,):
            skipped: list[tuple[int, int, str]] = []
            batches = list(self._batches(wanted, kinds, quote, skipped, progress))
            rows = pa.Table.from_batches(batches, pa.schema([(name, kinds.get(name, pa.string())) for name in wanted]))
            if not quote or len(rows) + len(skipped) == self._count_lines():
                break
        return rows, skipped

    def _count_lines(self) -> int:
        return self.data.count(b"\n") + (not self.data.endswith(b"\n")) - (self.first_line - 1)

    def _batches(
        self,
        wanted: Mapping[str, int],
        kinds: Mapping[str, Any],
        quote: str | bool,
        skipped: list[tuple[int, int, str]],
        progress: Progress | None,
    ) -> Iterator[Any]:
        def skip(row: Any) -> str:
            skipped.append((row.number, row.actual_columns, row.text))
            return "skip"

        reader = self._reader(wanted, kinds, quote, skip)
        done = 0
        for batch in reader:
            done = min(done + _BLOCK_BYTES, len(self.data))
            if progress is not None:
                progress(done, len(self.data))
            yield batch.rename_columns(list(wanted))

    def _reader(self, wanted: Mapping[str, int], kinds: Mapping[str, Any], quote: str | bool, skip: Any) -> Any:
        places = [str(position) for position in range(self.width)]
        return pa_csv.open_csv(
            pa.BufferReader(self.data),
            read_options=pa_csv.ReadOptions(
                use_threads=False, block_size=_BLOCK_BYTES, skip_rows=self.first_line - 1, column_names=places
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=self.delimiter, quote_char=quote, ignore_empty_lines=False, invalid_row_handler=skip
            ),
            convert_options=pa_csv.ConvertOptions(
                include_columns=[places[position] for position in wanted.values()],
                column_types={places[at]: kinds.get(name, pa.string()) for name, at in wanted.items()},
                null_values=[""],
                strings_can_be_null=False,
            ),
        )

    def _lines(self, rows: int, skipped: list[tuple[int, int, str]]) -> IntArray:
        every = np.arange(self.first_line, self.first_line + rows + len(skipped), dtype=np.int64)
        return np.delete(every, [number - self.first_line for number, _, _ in skipped]) if skipped else every

    def _broken(self, skipped: list[tuple[int, int, str]]) -> tuple[Broken, ...]:
        rule = "a row has {} fields where {} are expected"
        return tuple(
            Broken(number, repr(text[:_SHOWN]), rule.format(fields, self.width))
            for number, fields, text in skipped
            if text.strip()
        )


def _unquoted(text: Any) -> Any:
    """Without the quotes that are left where a stray one forbade to read them as such."""
    return trimmed(pc.utf8_trim(text, '"'))


def _plain(column: Any) -> Column:
    return column.combine_chunks() if pa.types.is_string(column.type) else column.to_numpy()


# --- sniffing ---------------------------------------------------------------------------------------------------------


def sniff(file: str, data: bytes) -> Delimited:
    """What kind of delimited text this is. Bytes that are no UTF-8 become U+FFFD, for the rules to meet."""
    data, notes = _cleaned(data)
    first, line, rest = _next_line(data, 0, 1)
    delimiter = max(_DELIMITERS, key=first.count)
    cells = _cut(first, delimiter)
    if any(_DATA_LIKE.fullmatch(cell) for cell in cells):
        return Delimited(file, data, delimiter, (), cells, line, notes)
    second, second_line, _ = _next_line(data, rest, line + 1)
    return Delimited(file, data, delimiter, cells, _cut(second, delimiter) if second else (), second_line, notes)


def _cleaned(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if data.endswith(b"\n\n"):
        data = data.rstrip(b"\n")
    try:
        if not data.isascii():
            data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        notes = (f"bytes that are no UTF-8, first on line {line}",)
        data = data.decode(errors="replace").encode()
    return data, notes


def _next_line(data: bytes, start: int, number: int) -> tuple[str, int, int]:
    """The next line with anything on it, its number, and where the one after it starts; "" at the end."""
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        text = data[start:end].decode(errors="replace").strip()
        if text:
            return text, number, end + 1
        start, number = end + 1, number + 1
    return "", number, start


def _cut(line: str, delimiter: str) -> tuple[str, ...]:
    try:
        cells = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        cells = line.split(delimiter)
    return tuple(cell.strip() for cell in cells)
