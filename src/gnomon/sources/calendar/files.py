"""Economic events from a CSV or JSON file: rows in; statements, and the rows that were refused, out.

CSV has a header; lines before it that begin with `#` declare what holds for the file (`# zone: America/New_York`). JSON
is a list of objects, or an object with `events` and the same declarations beside it. Packed files (gzip, zip) are read
as they are. The columns are those of `rows.COLUMNS`; the declarations:

| name           | value                                                                              |
|----------------|------------------------------------------------------------------------------------|
| `zone`         | the zone of times without an offset, an IANA name                                  |
| `source`       | what ids begin with, so that files of one source speak of the same events          |
| `listed_ahead` | how long before its time every event stands in the calendar, e.g. `7d`             |
| `on_time`      | `yes`: what is past came out at its scheduled time, where no `released_at` is said |
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from gnomon.clock import Clock, Timeframe, iso
from gnomon.errors import Invalid
from gnomon.market.events import CalendarEvent
from gnomon.sources.calendar.rows import COLUMNS, Reading, read_row
from gnomon.sources.calendar.statements import Declared, Row, one_line_a_release, statements
from gnomon.sources.files.content import open_content
from gnomon.sources.files.json_rows import load
from gnomon.sources.files.rejects import Reject, bad_rows

LARGEST_BYTES: Final = 256 * 1024**2

_SPELLINGS: Final = {
    "title": "event name",
    "currency": "ccy",
    "subject": "symbol bank",
    "impact": "importance",
    "scheduled_at": "scheduled datetime timestamp",
    "listed_at": "listed",
    "released_at": "released",
    "knowable_at": "knowable",
    "forecast": "consensus estimate expected",
    "previous": "prior",
    "unit": "units",
}
_NAMES: Final = {other: name for name, others in _SPELLINGS.items() for other in others.split()}
_DECLARATION: Final = re.compile(r"#\s*(\w+)\s*[:=]\s*(.*?)\s*")
_TRUE: Final = frozenset({"yes", "true", "1", "on"})
_FALSE: Final = frozenset({"no", "false", "0", "off", ""})


@dataclass(frozen=True, slots=True)
class CalendarSettings:
    """What a file declares, or its reader for it; see the module's table."""

    source: str = "file"
    reading: Reading = field(default_factory=Reading)
    declared: Declared = field(default_factory=Declared)


@dataclass(frozen=True, slots=True)
class CalendarRead:
    """What a file holds: statements by event and time, and the rows refused (none unless bad ones were skipped)."""

    events: tuple[CalendarEvent, ...]
    rejects: tuple[Reject, ...]
    rows: int


def read_calendar(
    path: Path, *, read_ns: int, settings: CalendarSettings | None = None, skip_bad: bool = False
) -> CalendarRead:
    """The statements of a file. `read_ns` is when it was read, before which nothing undeclared is taken for known.

    What the file declares wins over `settings`. Bad rows raise `Invalid` with the line and rule of the first; with
    `skip_bad` they are returned and the good ones kept. Raises `NotFound` and `Unavailable` as `open_content` does,
    and `Invalid` for a file without rows or of another form.
    """
    content = open_content(path, LARGEST_BYTES)
    text = _decoded(content.file, content.data)
    found, said = _json(content.file, content.data) if text.lstrip()[:1] in "[{" else _csv(content.file, text)
    settings = _settled(content.file, settings or CalendarSettings(), said)
    rejects: list[Reject] = []
    rows = list(_rows(content.file, found, settings.reading, rejects))
    events = _statements(content.file, one_line_a_release(rows), settings, read_ns, rejects)
    rejects.sort(key=lambda one: one.line)
    if rejects and not skip_bad:
        raise bad_rows(rejects)
    if not found:
        raise Invalid(f"{content.file}: no rows", hint="is this a calendar of events?")
    return CalendarRead(tuple(events), tuple(rejects), len(found))


@dataclass(frozen=True, slots=True)
class CalendarFile:
    """A file as an `EventSource`: read anew at each call, so that what is edited shows; bad rows raise `Invalid`."""

    path: Path
    clock: Clock
    settings: CalendarSettings = field(default_factory=CalendarSettings)

    @property
    def name(self) -> str:
        return self.settings.source

    def events(self, first_ns: int, last_ns: int) -> Iterator[list[CalendarEvent]]:
        """One page: the statements about events scheduled in [first_ns, last_ns)."""
        found = read_calendar(self.path, read_ns=self.clock.now_ns(), settings=self.settings).events
        page = [one for one in found if first_ns <= one.scheduled_ns < last_ns]
        if page:
            yield page


# --- layouts --------------------------------------------------------------------------------------------------------

Found = list[tuple[int, Any]]
"""The rows of a file: where each stands, and its cells by name (whatever else it is gets refused)."""


def _decoded(file: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(f"{file}: not UTF-8 text (byte {error.start})", hint="save it as UTF-8") from None


def _json(file: str, data: bytes) -> tuple[Found, Mapping[str, Any]]:
    document = load(file, data.removeprefix(b"\xef\xbb\xbf"))
    said: Mapping[str, Any] = {}
    if isinstance(document, dict):
        said = {name: value for name, value in document.items() if name != "events"}
        document = document.get("events")
    if not isinstance(document, list):
        raise Invalid(f"{file}: no list of events", hint='a JSON list of objects, or {"events": [...]}')
    return [(at, _named(one) if isinstance(one, dict) else one) for at, one in enumerate(document)], said


def _csv(file: str, text: str) -> tuple[Found, Mapping[str, Any]]:
    said: dict[str, str] = {}
    lines = text.splitlines(keepends=True)
    start = 0
    while start < len(lines) and (not lines[start].strip() or lines[start].startswith("#")):
        if match := _DECLARATION.fullmatch(lines[start].strip()):
            said[match[1].lower()] = match[2]
        start += 1
    reader = csv.reader(io.StringIO("".join(lines[start:]), newline=""), strict=True)
    try:
        header = [one.strip() for one in next(reader, [])]
        _require_header(file, header)
        found: Found = []
        for cells in reader:
            if any(cell.strip() for cell in cells):
                found.append((start + reader.line_num, _of_columns(header, cells)))
    except csv.Error as error:
        raise Invalid(f"{file}, line {start + reader.line_num}: {error}", hint="is a quote not closed?") from None
    return found, said


def _require_header(file: str, header: Sequence[str]) -> None:
    known = [_column(name) for name in header]
    if not ({"scheduled_at", "date"} & set(known) and {"kind", "title"} & set(known)):
        raise Invalid(
            f"{file}: no calendar of events (columns {', '.join(map(repr, header[:8]))})",
            hint=f"columns: {', '.join(COLUMNS)}",
        )
    twice = next((name for name in known if name in COLUMNS and known.count(name) > 1), None)
    if twice is not None:
        raise Invalid(f"{file}: two columns for {twice}", hint="keep one of them")


def _of_columns(header: Sequence[str], cells: Sequence[str]) -> Any:
    return _named(dict(zip(header, cells, strict=True))) if len(cells) == len(header) else list(cells)


def _named(cells: Mapping[str, Any]) -> dict[str, Any]:
    return {_column(name): value for name, value in cells.items()}


def _column(name: str) -> str:
    plain = re.sub(r"[\s-]+", "_", name.strip().lower())
    return _NAMES.get(plain, plain)


# --- rows -----------------------------------------------------------------------------------------------------------


def _settled(file: str, settings: CalendarSettings, said: Mapping[str, Any]) -> CalendarSettings:
    try:
        reading = replace(settings.reading, zone=str(said.get("zone", settings.reading.zone)))
        if isinstance(said.get("titles"), dict):
            reading = replace(reading, titles={**reading.titles, **said["titles"]})
        declared = settings.declared
        if "listed_ahead" in said:
            declared = replace(declared, listed_ahead_ns=Timeframe.parse(str(said["listed_ahead"])).nominal_ns)
        if "on_time" in said:
            declared = replace(declared, on_time=_truth(said["on_time"]))
    except Invalid as error:
        raise Invalid(f"{file}: {error.message}", hint=error.hint) from None
    return CalendarSettings(str(said.get("source", settings.source)), reading, declared)


def _truth(value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in _TRUE | _FALSE:
        raise Invalid(f"on_time is {value!r}", hint="yes or no")
    return word in _TRUE


def _rows(file: str, found: Found, reading: Reading, rejects: list[Reject]) -> Iterator[Row]:
    for line, cells in found:
        if not isinstance(cells, dict):
            rejects.append(Reject(file, line, str(cells)[:80], "not as many cells as the header, or no object"))
            continue
        try:
            yield read_row(line, cells, reading)
        except Invalid as error:
            rejects.append(Reject(file, line, _shown(cells), error.message))


def _shown(cells: Mapping[str, Any]) -> str:
    said = (str(cells.get(name) or "") for name in ("id", "title", "kind", "country", "scheduled_at", "date"))
    return " ".join(one for one in said if one)[:80] or "nothing"


def _statements(
    file: str, rows: Sequence[Row], settings: CalendarSettings, read_ns: int, rejects: list[Reject]
) -> list[CalendarEvent]:
    """The statements of all rows, each once, by event and time. One that contradicts an earlier row is refused."""
    kept: dict[tuple[str, int], tuple[int, CalendarEvent]] = {}
    kinds: dict[str, tuple[str, str]] = {}
    for row in rows:
        try:
            said = statements(row, settings.source, read_ns, settings.declared)
            for one in said:
                _require_agreement(one, kept, kinds)
        except Invalid as error:
            rejects.append(Reject(file, row.line, row.title[:80], error.message))
            continue
        for one in said:
            kinds[one.id] = one.kind, one.subject
            kept.setdefault((one.id, one.knowable_ns), (row.line, one))
    return [one for _, (_, one) in sorted(kept.items())]


def _require_agreement(
    one: CalendarEvent, kept: Mapping[tuple[str, int], tuple[int, CalendarEvent]], kinds: Mapping[str, tuple[str, str]]
) -> None:
    line, other = kept.get((one.id, one.knowable_ns), (0, one))
    if other != one:
        raise Invalid(
            f"event {one.id}: it says otherwise than line {line} of {iso(one.knowable_ns)}",
            hint="a revision is knowable later: give it a knowable_at",
        )
    if kinds.get(one.id, (one.kind, one.subject)) != (one.kind, one.subject):
        raise Invalid(
            f"event {one.id} is {one.kind} of {one.subject} here and another above", hint="give it its own id"
        )
