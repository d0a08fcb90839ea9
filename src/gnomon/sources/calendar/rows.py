"""Rows of a calendar from cells by name: what every layout, CSV, JSON or a provider's answer, has in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from gnomon.clock import parse_instant
from gnomon.errors import Invalid
from gnomon.sources.calendar.figures import read_figure
from gnomon.sources.calendar.kinds import Classified, classify, declared
from gnomon.sources.calendar.places import BANKS, country_code
from gnomon.sources.calendar.statements import Row
from gnomon.units import DAY_NS, SECOND_NS

COLUMNS: Final = (
    *("id", "kind", "title", "subject", "country", "currency", "impact", "scheduled_at", "date", "time"),
    *("listed_at", "released_at", "knowable_at", "forecast", "actual", "previous", "unit"),
)
"""The names of the cells. `scheduled_at`, or `date` with `time`; `kind` or `title`."""

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_ZONED: Final = re.compile(r".*\d(?:Z|[+-]\d{2}:?\d{2})", re.IGNORECASE)
_TWELVE: Final = re.compile(r"(\d{1,2}):(\d{2})\s*([ap])\.?m\.?", re.IGNORECASE)
_CLOCK: Final = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:?\d{2})?", re.IGNORECASE)
_BANKS: Final = frozenset(BANKS.values())


@dataclass(frozen=True, slots=True)
class Reading:
    """How cells are to be read: the zone of times that have none ("" for none), and kinds by title (see `classify`)."""

    zone: str = ""
    titles: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.zone:
            try:
                ZoneInfo(self.zone)
            except (KeyError, ValueError, OSError):
                raise Invalid(f"no time zone {self.zone!r}", hint="an IANA name, e.g. America/New_York") from None
        for kind in self.titles.values():
            declared(kind)


def read_row(line: int, cells: Mapping[str, Any], reading: Reading) -> Row:
    """The row of these cells; names that are not in `COLUMNS` are ignored. Raises `Invalid` for a cell at fault."""
    text = {name: _text(cells.get(name)) for name in COLUMNS}
    country = country_code(text["country"] or text["currency"])
    classified, country = _classify(text, country, reading)
    return Row(
        line=line,
        title=text["title"] or f"{classified.kind} of {classified.subject or country}",
        classified=classified,
        country=country,
        scheduled_ns=_scheduled(text, reading.zone),
        own_id=text["id"],
        impact=text["impact"],
        unit=text["unit"],
        listed_ns=_instant("listed_at", text, reading.zone, a_date_is_its_end=True),
        released_ns=_instant("released_at", text, reading.zone),
        knowable_ns=_instant("knowable_at", text, reading.zone, a_date_is_its_end=True),
        forecast=_figure("forecast", cells),
        actual=_figure("actual", cells),
        previous=_figure("previous", cells),
    )


def _text(cell: Any) -> str:
    if isinstance(cell, dict | list | bool):
        raise Invalid(f"{str(cell)[:40]!r} is no text", hint="a cell is text or a number")
    return "" if cell is None else " ".join(str(cell).split())


def _figure(name: str, cells: Mapping[str, Any]) -> Any:
    try:
        return read_figure(cells.get(name))
    except Invalid as error:
        raise Invalid(f"{name}: {error.message}", hint=error.hint) from None


def _classify(text: Mapping[str, str], country: str, reading: Reading) -> tuple[Classified, str]:
    """The kind, with the subject that the row says where it says one, and the country."""
    if not text["kind"] and not text["title"]:
        raise Invalid("neither a kind nor a title", hint="each row has one of them")
    subject = text["subject"].upper()
    if not country and subject not in _BANKS:
        country = country_code(text["subject"])
    if not country:
        country = next((code for code, bank in BANKS.items() if bank == subject), "")
    found = declared(text["kind"]) if text["kind"] else classify(text["title"], country, reading.titles)
    own = found.subject or (subject if subject in _BANKS or found.kind == "earnings" else "")
    if found.kind == "rate_decision" and not own:
        own = BANKS.get(country, "")
    if found.kind in ("earnings", "rate_decision") and not own:
        raise Invalid(
            f"a row of kind {found.kind} without its {'share' if found.kind == 'earnings' else 'bank'}",
            hint="write it as the subject, e.g. AAPL or ECB",
        )
    return Classified(found.kind, own, found.rank), country


# --- time -----------------------------------------------------------------------------------------------------------


def _scheduled(text: Mapping[str, str], zone: str) -> int:
    if text["scheduled_at"]:
        at_ns = _instant("scheduled_at", text, zone)
    elif text["date"]:
        stamp = f"{text['date']} {_clock(text['time'])}".strip()
        at_ns = _instant("date", {"date": stamp}, zone)
    else:
        raise Invalid("no scheduled_at", hint="when the event is due, e.g. 2024-09-11T08:30:00-04:00")
    assert at_ns is not None
    return at_ns


def _clock(text: str) -> str:
    """`08:30` of `8:30am` or `8:30`."""
    if match := _TWELVE.fullmatch(text):
        if not 1 <= int(match[1]) <= 12:
            raise Invalid(f"time is {text!r}", hint="a time of day, e.g. 08:30 or 8:30am")
        return f"{int(match[1]) % 12 + (12 if match[3].lower() == 'p' else 0):02}:{match[2]}"
    if text and not _CLOCK.fullmatch(text):
        raise Invalid(f"time is {text!r}", hint="a time of day, e.g. 08:30; leave out events without one")
    return f"0{text}" if text[1:2] == ":" else text


def _instant(name: str, text: Mapping[str, str], zone: str, *, a_date_is_its_end: bool = False) -> int | None:
    """UTC ns of a cell, None for an empty one. A date alone is no time of a release; of a listing it is its last
    instant, so that nothing is known before it was said."""
    stamp = text[name]
    if not stamp:
        return None
    is_date = _DATE.fullmatch(stamp) is not None
    if is_date and not a_date_is_its_end:
        raise Invalid(f"{name} is {stamp!r}, a date without a time", hint="say the time of day")
    try:
        if _ZONED.fullmatch(stamp) and not is_date:
            return parse_instant(stamp.replace("z", "Z"))
        if not zone:
            raise Invalid(
                f"{name} is {stamp!r}, a time without a zone", hint="end it with Z or an offset, or declare the zone"
            )
        wall_ns = parse_instant(stamp) + (DAY_NS if is_date else 0)
    except Invalid as error:
        raise Invalid(
            f"{name}: {error.message}" if "not an instant" in error.message else error.message, hint=error.hint
        ) from None
    return wall_ns if zone == "UTC" else _from_wall(name, stamp, wall_ns, ZoneInfo(zone))


def _from_wall(name: str, stamp: str, wall_ns: int, zone: ZoneInfo) -> int:
    """The instant at which a clock on the wall of a zone reads so. Raises `Invalid` where it never does, or twice."""
    wall = datetime(1970, 1, 1) + timedelta(seconds=wall_ns // SECOND_NS)  # noqa: DTZ001 - a clock without a zone
    found = {wall.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)}
    if len(found) > 1:
        raise Invalid(
            f"{name} is {stamp!r}: the clock of {zone.key} skips this time or shows it twice", hint="add the offset"
        )
    offset = found.pop()
    assert offset is not None
    return wall_ns - round(offset.total_seconds()) * SECOND_NS
