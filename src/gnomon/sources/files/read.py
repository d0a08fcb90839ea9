"""The one entry of the importer: a file in; checked series, a passport and the rows that were refused out.

Nothing is trusted: a file is unpacked within bounds, recognised by content, checked row by row against the rules of
`rows`, counted on integer grids that depend on the content alone, and placed on the calendar of its instrument. Nothing
is stored here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from gnomon.clock import iso
from gnomon.errors import Invalid
from gnomon.market.calendar import Sessions
from gnomon.market.candles import Basis, Candles
from gnomon.market.dataset import AnySeries, Gap, Passport, SeriesPassport, gaps, hash_of_digests, off_schedule
from gnomon.market.instrument import Instrument, Instruments
from gnomon.sources.files.candle_rows import build_candles
from gnomon.sources.files.content import LARGEST_BYTES, Content, open_content
from gnomon.sources.files.depth_rows import build_depth
from gnomon.sources.files.faults import Faults
from gnomon.sources.files.identity import Identity, identify
from gnomon.sources.files.layers import joined
from gnomon.sources.files.names import stem
from gnomon.sources.files.quote_rows import build_quotes
from gnomon.sources.files.recognise import read_tables
from gnomon.sources.files.rejects import Reject, bad_rows
from gnomon.sources.files.rows import Built, Request, read_times, require_constants
from gnomon.sources.files.stamps import Stamps
from gnomon.sources.files.suspicion import cent_note, judge_bases, split_notes
from gnomon.sources.files.table import Kind, Table
from gnomon.sources.files.tick_rows import clock_of, require_causal
from gnomon.sources.files.trade_rows import build_trades

Progress = Callable[[int, int], None]

_BUILDERS: Final[dict[Kind, Callable[[Table, Request, Identity, Stamps, Faults], Built]]] = {
    "candles": build_candles,
    "trades": build_trades,
    "quotes": build_quotes,
    "depth": build_depth,
}
_SHOWN_REJECTS: Final = 20
_MOST_SCHEDULED: Final = 20_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """What a file holds. `instruments` are those of the series, configured or inferred, each once."""

    name: str
    format: str
    series: tuple[AnySeries, ...]
    instruments: tuple[Instrument, ...]
    passport: Passport
    rejects: tuple[Reject, ...]


def read(
    path: Path,
    *,
    instruments: Instruments,
    instrument: str | None = None,
    timeframe: str | None = None,
    basis: Basis | None = None,
    skip_bad: bool = False,
    clock_shift_ns: int = 0,
    regular_hours: bool = False,
    quote_volume: bool = False,
    progress: Progress | None = None,
    largest_bytes: int = LARGEST_BYTES,
) -> Imported:
    """Read, recognise and check one file.

    `instrument` is any name of a configured instrument, or VENUE:SYMBOL; `timeframe` and `basis` overrule what the file
    shows. `clock_shift_ns` is added to the stamps of the recorder's clock; `regular_hours` leaves out prints outside
    the sessions of a share; `quote_volume` says that volumes of bars are in the quote currency.

    Bad rows raise `Invalid` with the file, line, value and rule of the first; with `skip_bad` they are returned and the
    good ones kept. `progress(done, total)` is told bytes. Raises `NotFound` (no such file, unknown instrument),
    `Unavailable` (not readable) and `Invalid` (everything wrong with the content).
    """
    with np.errstate(all="ignore"):  # a wild number in a cell is for the rules, not for a warning
        request = Request(
            path.name, instruments, instrument, timeframe, basis, clock_shift_ns, regular_hours, quote_volume
        )
        return _read(path, request, skip_bad, progress, largest_bytes)


def _read(path: Path, request: Request, skip_bad: bool, progress: Progress | None, largest_bytes: int) -> Imported:
    content = open_content(path, largest_bytes)
    tables = read_tables(content, largest_bytes, progress)
    owners = {table.name for table in tables}
    if request.instrument is not None and len(owners) > 1:
        raise Invalid(
            f"{path.name} holds series of {len(owners)} instruments, and --instrument names one",
            hint="leave --instrument out",
        )
    built = _judged([_build(table, request) for table in tables], request.basis)
    rejects = _rejects(built, path.name, skip_bad)
    found = [one for one in built if one.series is not None]
    if not found:
        raise _nothing(path.name, rejects)
    latency = require_causal(found, request)
    found = joined(found)
    passport = _passport(content, found, request, skip_bad, len(rejects), latency)
    if progress is not None:
        progress(len(content.data), len(content.data))
    used = {one.instrument.id: one.instrument for one in found if one.instrument is not None}
    series = tuple(one.series for one in found if one.series is not None)
    return Imported(passport.name, passport.source, series, tuple(used.values()), passport, tuple(rejects))


def _build(table: Table, request: Request) -> Built:
    faults = Faults(table)
    stamps = read_times(table, faults)
    require_constants(table, faults)
    if not stamps.good.any():
        return Built(table, faults)
    identity = identify(table.name, stamps.usable, request.instruments, request.instrument, request.file)
    return _BUILDERS[table.kind](table, request, identity, stamps, faults)


def _rejects(built: Sequence[Built], file: str, skip_bad: bool) -> list[Reject]:
    """All bad rows; without `skip_bad` the first of them is raised."""
    count = sum(one.faults.count() for one in built)
    limit = None if skip_bad else _SHOWN_REJECTS
    rejects = sorted((reject for one in built for reject in one.faults.rejects(file, limit)), key=lambda one: one.line)
    if count and not skip_bad:
        raise bad_rows(rejects, count)
    return rejects


def _nothing(file: str, rejects: Sequence[Reject]) -> Invalid:
    if rejects:
        error = bad_rows(rejects)
        return Invalid(f"{file}: no row is good. {error.message}", hint="is this the right file?", detail=error.detail)
    return Invalid(f"{file}: no rows", hint="fetch the file again")


# --- what is said about the series ------------------------------------------------------------------------------------


def _judged(built: Sequence[Built], basis: Basis | None) -> list[Built]:
    """Each with its basis: what the caller says, else what the prices of a vendor's file show, else raw."""
    if basis is not None:
        return [_with_basis(one, basis, "") for one in built]
    judged = {id(one): one.series for one in built if one.table.judge_basis and isinstance(one.series, Candles)}
    bases = dict(zip(judged, judge_bases(list(judged.values())), strict=True))
    return [_with_basis(one, *bases.get(id(one), ("raw", ""))) for one in built]


def _with_basis(built: Built, basis: Basis, why: str) -> Built:
    series = built.series
    if not isinstance(series, Candles):
        return built
    series = replace(series, basis=basis)
    notes = [*built.notes, *([why] if why else []), *split_notes(series)]
    if basis == "raw" and built.instrument is not None and built.instrument.asset_class == "equity":
        notes += [] if built.table.judge_basis else cent_note(series)
    return replace(built, series=series, notes=tuple(notes))


def _passport(
    content: Content, built: Sequence[Built], request: Request, skip_bad: bool, rejected: int, latency: str
) -> Passport:
    said: dict[str, Any] = {"instrument": request.instrument, "timeframe": request.timeframe, "basis": request.basis}
    said |= {"clock_shift_ns": request.clock_shift_ns or None, "regular_hours": request.regular_hours or None}
    said |= {"quote_volume": request.quote_volume or None}
    recipe: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    series = tuple(_series_passport(one, request, latency) for one in built)
    return Passport(
        hash=hash_of_digests(bytes.fromhex(one.digest) for one in series),
        name=stem(content.file),
        source=built[0].table.format,
        licence="unknown",
        files=content.files,
        series=series,
        rejected_rows=rejected,
        recipe=recipe | ({"skip_bad": True} if skip_bad else {}),
    )


def _series_passport(built: Built, request: Request, latency: str) -> SeriesPassport:
    series = built.series
    assert series is not None
    if not isinstance(series, Candles):
        notes = (*built.notes, latency) if latency and "received" in built.table.columns else built.notes
        clock = clock_of(built, request)
        return SeriesPassport.of(series, notes=notes, clock=clock, dropped=built.dropped, lifted=built.lifted)
    if built.sessions is None:
        return SeriesPassport.of(series, notes=built.notes)
    missing, found = _against_calendar(series, built.sessions)
    return SeriesPassport.of(series, gaps=missing, notes=(*built.notes, *found))


def _against_calendar(series: Candles, sessions: Sessions) -> tuple[list[Gap], list[str]]:
    """The gaps, and what is off the schedule. Bars on a grid of their own have no countable gaps."""
    if (series.close_ns[-1] - series.open_ns[0]) // series.timeframe.nominal_ns > _MOST_SCHEDULED:
        return [], [
            f"more than {_MOST_SCHEDULED:,} bars would fit between the first and the last: gaps are not counted"
        ]
    strange = off_schedule(series, sessions)
    if len(strange) * 2 > len(series):
        note = (
            f"{len(strange)} of {len(series)} bars do not open where calendar {sessions.name} opens its bars of "
            f"{series.timeframe} (the first at {iso(int(series.open_ns[strange[0]]))}): missing ones are not counted"
        )
        return [], [note]
    notes = []
    if len(strange):
        first = iso(int(series.open_ns[strange[0]]))
        notes = [f"{len(strange)} bars are off the schedule of calendar {sessions.name} (the first at {first}): kept"]
    return gaps(series, sessions), notes
