"""An `EventSource` over a provider's JSON calendar, asked by windows of dates.

The answer is a list of objects (perhaps below a name), each with a time, a country or currency, a title, an impact, and
actual, estimate, previous and unit where they are known: the shape that the popular calendars share. A `Provider` says
where each of our cells stands; `FIELDS` is the usual naming.

What a row says, and from when it is knowable, is `statements`: without a declaration nothing is known before it was
read, so a calendar that is asked every six hours knows an actual up to six hours late. That is what a forecast had.
A window of the past that is fetched once, to begin with, is another matter: there a provider may be declared to list
some days ahead and to release on time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from gnomon.clock import Clock
from gnomon.errors import Exhausted, Invalid, Refused
from gnomon.market.events import CalendarEvent
from gnomon.sources.calendar.rows import COLUMNS, Reading, read_row
from gnomon.sources.calendar.statements import Declared, Row, one_line_a_release, statements
from gnomon.sources.files.rejects import Reject
from gnomon.sources.http import Http, HttpRetries, RateLimit
from gnomon.units import HOUR_NS, SECOND_NS

FIELDS: Final[Mapping[str, str]] = {
    "scheduled_at": "date",
    "title": "event",
    "country": "country",
    "currency": "currency",
    "impact": "impact",
    "actual": "actual",
    "forecast": "estimate",
    "previous": "previous",
    "unit": "unit",
}
"""Our cells, and their usual names in an answer."""

_SECRET_NAME: Final = re.compile(r"(?i).*(api_?key|token|secret).*|key")
_REFUSALS: Final = ("Error Message", "error", "message", "Information")
_LIMIT_WAIT_S: Final = 3600.0
_MOST_SKEW_NS: Final = HOUR_NS
_FEW_BAD_ROWS: Final = 3


@dataclass(frozen=True, slots=True)
class Provider:
    """Where a calendar is and how it spells its rows.

    `rows_at` is the path to the list in the answer ("" for the answer itself, `data.events` for two names). `fields`
    maps `rows.COLUMNS` to the names there. `first_param` and `last_param` take dates in `reading.zone`, both included;
    a window is asked in pages of `page_days`. The token goes into the query or into a header, under `token_name`.
    """

    name: str
    base_url: str
    path: str
    fields: Mapping[str, str] = field(default_factory=lambda: dict(FIELDS))
    rows_at: str = ""
    first_param: str = "from"
    last_param: str = "to"
    page_days: int = 28
    token_in: Literal["query", "header", "none"] = "query"
    token_name: str = "apikey"
    reading: Reading = field(default_factory=lambda: Reading("UTC"))
    declared: Declared = field(default_factory=Declared)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.fields) - set(COLUMNS))
        rules = {
            f"field {unknown[:1]} is none of ours": not unknown,
            "fields name no time": bool({"scheduled_at", "date"} & set(self.fields)),
            "fields name neither a title nor a kind": bool({"title", "kind"} & set(self.fields)),
            "page_days is at least 1": self.page_days >= 1,
            "a token in the query is named …key or …token, so that logs mask it": self.token_in != "query"
            or _SECRET_NAME.fullmatch(self.token_name) is not None,
        }
        for rule, holds in rules.items():
            if not holds:
                raise Invalid(f"calendar provider {self.name}: {rule}", hint=f"our fields: {', '.join(COLUMNS)}")


class CalendarProvider:
    """The calendar of one provider. A context manager; closes its connection.

    `rejects` are rows that could not be read (the line is the row's place in its answer, from 0); an answer with more
    of those than good ones raises `Invalid` with the first. Raises what `Http` raises.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        clock: Clock,
        token: str = "",
        rate: RateLimit | None = None,
        retries: HttpRetries | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if provider.token_in != "none" and not token:
            raise Invalid(f"calendar provider {provider.name} needs a token", hint="set it, or token_in to none")
        self.provider = provider
        self.rejects: list[Reject] = []
        self._clock, self._token = clock, token
        headers = {provider.token_name: token} if provider.token_in == "header" else {}
        pace = rate or RateLimit(30, burst=5)
        self.http = Http(provider.base_url, clock=clock, rate=pace, retries=retries, headers=headers, sleep=sleep)

    @property
    def name(self) -> str:
        return self.provider.name

    def __enter__(self) -> CalendarProvider:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def events(self, first_ns: int, last_ns: int) -> Iterator[list[CalendarEvent]]:
        """Pages of statements about events scheduled in [first_ns, last_ns), by event; whole days are asked for."""
        for first, last in self._pages(first_ns, last_ns):
            rows = [row for row in self._rows(first, last) if first_ns <= row.scheduled_ns < last_ns]
            page = self._statements(one_line_a_release(rows))
            if page:
                yield page

    def _pages(self, first_ns: int, last_ns: int) -> Iterator[tuple[date, date]]:
        """Dates of the first and last day of each page: days are cut at midnight, so a release is on one page."""
        if first_ns >= last_ns:
            return
        zone = ZoneInfo(self.provider.reading.zone or "UTC")
        first, last = (datetime.fromtimestamp(at // SECOND_NS, zone).date() for at in (first_ns, last_ns - 1))
        while first <= last:
            end = min(first + timedelta(days=self.provider.page_days - 1), last)
            yield first, end
            first = end + timedelta(days=1)

    def _rows(self, first: date, last: date) -> list[Row]:
        provider = self.provider
        params = {provider.first_param: first.isoformat(), provider.last_param: last.isoformat()}
        if provider.token_in == "query":
            params[provider.token_name] = self._token
        found = self._found(self.http.json(provider.path, params))
        zone = ZoneInfo(provider.reading.zone or "UTC")
        rows, bad = [], []
        for at, cells in enumerate(found):
            try:
                row = read_row(at, self._named(cells), provider.reading)
            except Invalid as error:
                bad.append(Reject(provider.name, at, str(cells)[:80], error.message))
                continue
            if first <= datetime.fromtimestamp(row.scheduled_ns // SECOND_NS, zone).date() <= last:
                rows.append(row)  # some answer with a day more than asked for, which then comes again
        if len(bad) > max(_FEW_BAD_ROWS, len(found) // 2):
            raise Invalid(
                f"{provider.name}: {len(bad)} of {len(found)} rows cannot be read, the first: {bad[0].rule}",
                hint="does `fields` still fit the answer?",
                detail={"row": bad[0].value, "rule": bad[0].rule},
            )
        self.rejects += bad
        return rows

    def _found(self, document: Any) -> Sequence[Any]:
        """The list of rows in an answer; a refusal in words, or `Invalid` where there is none."""
        rows = document
        for name in self.provider.rows_at.split(".") if self.provider.rows_at else ():
            rows = rows.get(name) if isinstance(rows, dict) else None
        if isinstance(rows, list):
            self._require_fields(rows)
            return rows
        said = (
            next((str(document[name]) for name in _REFUSALS if name in document), "")
            if isinstance(document, dict)
            else ""
        )
        said = " ".join(said.split())[:200].replace(self._token or "\0", "***")
        if "limit" in said.lower():
            raise Exhausted(
                f"{self.name}: {said}",
                hint="wait as long as detail.retry_after_s says",
                detail={"retry_after_s": _LIMIT_WAIT_S},
            )
        if said:
            raise Refused(f"{self.name}: {said}", hint="is the token right, and is the calendar part of the plan?")
        where = self.provider.rows_at or "the answer"
        raise Invalid(f"{self.name}: {where} is no list of events", hint="set `rows_at`", detail={"field": where})

    def _require_fields(self, rows: Sequence[Any]) -> None:
        """A field of the time or the title that no row has: the provider has renamed it."""
        for ours in ("scheduled_at", "date", "title"):
            theirs = self.provider.fields.get(ours)
            if theirs and rows and not any(isinstance(row, dict) and theirs in row for row in rows):
                raise Invalid(
                    f"{self.name}: no row has the field {theirs!r}",
                    hint="does `fields` still fit the answer?",
                    detail={"field": theirs},
                )

    def _named(self, cells: Any) -> dict[str, Any]:
        if not isinstance(cells, dict):
            raise Invalid(f"a row is {type(cells).__name__}, no object", hint="is `rows_at` right?")
        return {ours: cells.get(theirs) for ours, theirs in self.provider.fields.items()}

    def _statements(self, rows: Sequence[Row]) -> list[CalendarEvent]:
        """What the rows say; a row that contradicts one before it is a reject."""
        kept: dict[tuple[str, int], CalendarEvent] = {}
        for row in rows:
            try:
                said = statements(row, self.name, self._read_ns(), self.provider.declared)
            except Invalid as error:
                self.rejects.append(Reject(self.name, row.line, row.title[:80], error.message))
                continue
            if any(kept.get((one.id, one.knowable_ns), one) != one for one in said):
                self.rejects.append(Reject(self.name, row.line, row.title[:80], "it contradicts a row before it"))
                continue
            kept.update({(one.id, one.knowable_ns): one for one in said})
        return [one for _, one in sorted(kept.items())]

    def _read_ns(self) -> int:
        """Our clock, or the provider's where that is ahead by less than an hour: what it shows has happened."""
        behind_ns = -(self.http.clock_ahead_ns or 0)
        return self._clock.now_ns() + (behind_ns if 0 < behind_ns < _MOST_SKEW_NS else 0)
