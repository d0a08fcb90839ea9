"""Columns of time as integers: ISO 8601 text, dates, epochs in seconds to nanoseconds, Arrow timestamps.

A stamp is kept as the clock on the wall that was written, and how far that clock is ahead of UTC; whether a bar of a
date is meant, or an instant, and in which zone, is decided later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gnomon.clock import parse_instant
from gnomon.errors import Invalid
from gnomon.sources.files.numbers import Flags, is_text, matches, trimmed
from gnomon.sources.files.table import Clock, Column
from gnomon.units import DAY_NS, HOUR_NS, INT64_MAX, MINUTE_NS, SECOND_NS, IntArray

_EPOCH_UNITS: Final = np.array([SECOND_NS, 1_000_000, 1_000, 1], np.int64)
_EPOCH_LIMITS: Final = np.array([10**11, 10**14, 10**17], np.int64)
"""An epoch below 10^11 counts seconds, below 10^14 milliseconds, below 10^17 microseconds, else nanoseconds."""

_FARTHEST_NS: Final = 2**62
_ISO: Final = r"^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?$"
_ZONED = r"^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})$"
_COMPACT = r"^(19|20)\d{2}[01]\d[0-3]\d$"
_DIGITS = r"^[+-]?(\d{1,18}|[1-8]\d{18})$"
_FRACTION = r"^\d{1,19}\.\d+$"


@dataclass(frozen=True, slots=True, eq=False)
class Stamps:
    """Stamps (n,): the clock as written in ns, how far it is ahead of UTC, and which cells are a time.

    `ahead_ns` is None where the file gives no offset: the zone is then a matter of the layout.
    """

    wall_ns: IntArray
    ahead_ns: IntArray | None
    good: Flags

    def take(self, rows: Any) -> Stamps:
        ahead_ns = None if self.ahead_ns is None else self.ahead_ns[rows]
        return Stamps(self.wall_ns[rows], ahead_ns, self.good[rows])

    @property
    def usable(self) -> Stamps:
        """The good ones."""
        return self if self.good.all() else self.take(self.good)

    @property
    def are_dates(self) -> bool:
        """Whether every stamp is a midnight."""
        return bool((self.wall_ns % DAY_NS == 0).all())

    def utc_ns(self) -> IntArray:
        """The instants, stamps without an offset read as UTC."""
        return self.wall_ns if self.ahead_ns is None else self.wall_ns - self.ahead_ns


def read_stamps(column: Column, clock: Clock) -> Stamps:
    """The stamps of a column of any kind. Cells that are no time of the years 1824 to 2116 are marked, never raised."""
    stamps = _read(column, clock)
    near = (stamps.wall_ns > -_FARTHEST_NS) & (stamps.wall_ns < _FARTHEST_NS)  # room to add and subtract
    return stamps if near.all() else Stamps(np.where(near, stamps.wall_ns, 0), stamps.ahead_ns, stamps.good & near)


def _read(column: Column, clock: Clock) -> Stamps:
    if isinstance(column, np.ndarray):
        return _numbers(column, clock)
    if is_text(column):
        return _text(trimmed(column), clock)
    kind = column.type
    if pa.types.is_timestamp(kind):
        return _arrow(column, kind.tz)
    if pa.types.is_date(kind):
        return _arrow(column.cast(pa.timestamp("ms")), None)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        good = np.asarray(column.is_valid().to_numpy(zero_copy_only=False), np.bool_)
        stamps = _numbers(column.fill_null(0).to_numpy(zero_copy_only=False), clock)
        return Stamps(stamps.wall_ns, stamps.ahead_ns, stamps.good & good)
    return _none(len(column))


def in_zone(stamps: Stamps, zone: str) -> Stamps:
    """Stamps without an offset, read on the clock of a zone; an hour that is skipped or comes twice is marked bad."""
    if stamps.ahead_ns is not None:
        return stamps
    if zone == "UTC":
        return Stamps(stamps.wall_ns, np.zeros_like(stamps.wall_ns), stamps.good)
    import pandas as pd  # type: ignore[import-untyped]  # pandas ships no types

    local = pd.DatetimeIndex(stamps.wall_ns.view("M8[ns]"))
    try:
        utc = local.tz_localize(zone, ambiguous="NaT", nonexistent="NaT").asi8
    except (KeyError, ValueError, OSError) as error:
        raise _no_zone(zone, error) from None
    known = utc != np.iinfo(np.int64).min
    return Stamps(stamps.wall_ns, np.where(known, stamps.wall_ns - utc, 0), stamps.good & known)


# --- by kind ----------------------------------------------------------------------------------------------------------


def _none(rows: int) -> Stamps:
    return Stamps(np.zeros(rows, np.int64), None, np.zeros(rows, np.bool_))


def _numbers(values: Any, clock: Clock) -> Stamps:
    if clock.unit_ns:
        return _since(values, clock)
    finite = np.isfinite(values)
    size = np.abs(np.where(finite, values, 0))
    unit = np.searchsorted(_EPOCH_LIMITS, size, side="right")
    usual = int(np.bincount(unit[finite], minlength=1).argmax()) if finite.any() else 0
    unit_ns = int(_EPOCH_UNITS[usual])
    good = finite & (unit == usual) & (size <= INT64_MAX // unit_ns)
    counted = np.where(good, values, 0)
    if counted.dtype == np.int64:
        wall_ns = counted * unit_ns
    else:  # float64 holds a microsecond of our days: finer digits of a fraction are noise
        whole = np.floor(counted).astype(np.int64)
        wall_ns = whole * unit_ns + np.rint((counted - whole) * unit_ns / 1_000).astype(np.int64) * 1_000
    return Stamps(wall_ns, np.zeros(len(wall_ns), np.int64), good)


def _since(values: Any, clock: Clock) -> Stamps:
    """Units since the base: a clock that runs for one day."""
    with np.errstate(invalid="ignore"):
        good = (values >= 0) & (values <= DAY_NS // clock.unit_ns)
    wall_ns = clock.base_ns + np.where(good, values, 0).astype(np.int64) * clock.unit_ns
    return Stamps(wall_ns, np.zeros(len(wall_ns), np.int64), good)


def _arrow(column: Column, zone: str | None) -> Stamps:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    good = np.asarray(whole.is_valid().to_numpy(zero_copy_only=False), np.bool_)
    try:
        utc_ns = whole.fill_null(0).cast(pa.timestamp("ns", whole.type.tz)).cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        return _none(len(whole))  # beyond the years 1678 to 2262
    if zone is None:
        return Stamps(utc_ns, None, good)
    return Stamps(utc_ns + (ahead_ns := _ahead(utc_ns, zone)), ahead_ns, good)


def _ahead(utc_ns: IntArray, zone: str) -> IntArray:
    if zone.upper() in ("UTC", "Z", "+00:00", "ETC/UTC"):
        return np.zeros(len(utc_ns), np.int64)
    import pandas as pd

    try:
        wall_ns = pd.DatetimeIndex(utc_ns.view("M8[ns]"), tz="UTC").tz_convert(zone).tz_localize(None).asi8
    except (KeyError, ValueError, OSError) as error:
        raise _no_zone(zone, error) from None
    return np.asarray(wall_ns - utc_ns, np.int64)


def _no_zone(zone: str, error: Exception) -> Invalid:
    return Invalid(f"no time zone {zone!r} ({error})", hint="the file names a zone that is not known here")


def _text(text: Any, clock: Clock) -> Stamps:
    """Text of one form: the form that most of the first cells have. Other forms in the same column are bad cells."""
    if len(text) and "/" in text[0].as_py():
        text = pc.replace_substring_regex(text, r"^(\d{4})/(\d{2})/(\d{2})", r"\1-\2-\3")
    form = _form(text)
    if form in (_DIGITS, _FRACTION):
        kind = pa.int64() if form == _DIGITS else pa.float64()
        good = matches(text, form)
        values = np.zeros(len(text), kind.to_pandas_dtype())
        values[good] = text.filter(pa.array(good)).cast(kind).to_numpy(zero_copy_only=False)
        stamps = _numbers(values, clock)
        return Stamps(stamps.wall_ns, stamps.ahead_ns, stamps.good & good)
    if form == _COMPACT:
        text = pc.replace_substring_regex(text, r"^(\d{4})(\d{2})(\d{2})$", r"\1-\2-\3")
    if form == _ZONED:
        return _zoned(text)
    return _iso(text)


def _form(text: Any) -> str:
    head = text.slice(0, 64)
    forms = (_COMPACT, _DIGITS, _FRACTION, _ZONED, _ISO)
    return max(forms, key=lambda form: int(matches(head, form).sum()))  # the first of equals


def _iso(text: Any) -> Stamps:
    try:
        wall_ns = text.cast(pa.timestamp("ns")).cast(pa.int64()).to_numpy()
        return Stamps(wall_ns, None, np.ones(len(text), np.bool_))
    except pa.ArrowInvalid:
        wall_ns, good = np.zeros(len(text), np.int64), matches(text, _ISO)
    for row in np.flatnonzero(good):  # a file with a bad stamp: cell by cell
        try:
            wall_ns[row] = parse_instant(text[int(row)].as_py())
        except Invalid:
            good[row] = False
    return Stamps(wall_ns, None, good)


def _zoned(text: Any) -> Stamps:
    good = matches(text, _ZONED)
    parts = pc.extract_regex(text, r"^(?P<base>.*?)(?P<zone>Z|[+-]\d{2}:?\d{2})$")
    bases = _iso(pc.fill_null(parts.field("base"), ""))
    zones = pc.fill_null(parts.field("zone"), "Z").dictionary_encode()
    known = np.array([_offset_ns(one) for one in zones.dictionary.to_pylist()], np.int64)
    ahead_ns = known[zones.indices.to_numpy(zero_copy_only=False)]
    return Stamps(bases.wall_ns, ahead_ns, bases.good & good)


def _offset_ns(zone: str) -> int:
    if zone == "Z":
        return 0
    size = int(zone[1:3]) * HOUR_NS + int(zone[-2:]) * MINUTE_NS
    return size if zone[0] == "+" else -size
