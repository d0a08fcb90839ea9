"""Import of files: read, check, write the dataset, record it, file by file.

Each file is a unit of its own: its dataset folder appears by one rename, its rows by one transaction, in this order.
Killed between the two, the folder waits and the next run records it; the same content never counts twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from gnomon.clock import Clock
from gnomon.errors import GnomonError, Invalid, NotFound
from gnomon.jobs.progress import Progress, silent
from gnomon.market.candles import Basis
from gnomon.market.instrument import Instruments
from gnomon.sources.files.read import Imported, read
from gnomon.sources.files.rejects import write_rejects
from gnomon.store.store import Store

_PROSE = {".md", ".txt", ".rst", ".pdf", ".html"}


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the caller says about the files; None lets the content speak."""

    instrument: str | None = None
    timeframe: str | None = None
    basis: Basis | None = None
    skip_bad: bool = False
    clock_shift_ns: int = 0
    regular_hours: bool = False
    quote_volume: bool = False


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one file."""

    file: str
    status: Literal["imported", "known", "refused", "skipped"]
    dataset: str = ""
    format: str = ""
    rows: int = 0
    candles_added: int = 0
    revisions: int = 0
    rejected_rows: int = 0
    reject_file: str = ""
    series: tuple[dict[str, Any], ...] = ()
    error: dict[str, Any] | None = None

    def row(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__} | {"series": list(self.series)}


def import_files(
    store: Store,
    instruments: Instruments,
    paths: Sequence[Path],
    options: ImportOptions,
    clock: Clock,
    *,
    reject_folder: Path,
    progress: Progress = silent,
) -> list[FileReport]:
    """Import each file (folders stand for the files below them), in the order given. One bad file stops no other."""
    store.datasets.sweep()
    files = list(_files(paths))
    reports = []
    for number, path in enumerate(files):
        progress(number, len(files), path.name)
        if len(files) > 1 and _is_prose(path):
            reports.append(FileReport(str(path), "skipped"))
            continue
        try:
            reports.append(_import_one(store, instruments, path, options, clock, reject_folder))
        except GnomonError as error:
            reports.append(FileReport(str(path), "refused", error=error.document()))
    progress(len(files), len(files), "done")
    return reports


def _import_one(
    store: Store, instruments: Instruments, path: Path, options: ImportOptions, clock: Clock, reject_folder: Path
) -> FileReport:
    known = instruments.with_added(store.market.instruments())
    imported = read(
        path,
        instruments=known,
        instrument=options.instrument,
        timeframe=options.timeframe,
        basis=options.basis,
        skip_bad=options.skip_bad,
        clock_shift_ns=options.clock_shift_ns,
        regular_hours=options.regular_hours,
        quote_volume=options.quote_volume,
    )
    reject_file = _write_rejects(imported, reject_folder)
    passport = imported.passport
    store.datasets.write(passport, imported.series)
    recorded = store.market.record(passport, imported.series, imported.instruments, recorded_ns=clock.now_ns())
    report = FileReport(
        file=str(path),
        status="imported" if recorded.new else "known",
        dataset=passport.hash,
        format=imported.format,
        rows=passport.rows,
        rejected_rows=len(imported.rejects),
        reject_file=reject_file,
        series=tuple(one.row() for one in passport.series),
    )
    return replace(report, candles_added=recorded.candles_added, revisions=recorded.revisions)


def _write_rejects(imported: Imported, folder: Path) -> str:
    if not imported.rejects:
        return ""
    target = folder / f"{imported.name}.rejects.csv"
    write_rejects(target, imported.rejects)
    return str(target)


def _files(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        if path.is_dir():
            inside = sorted(one for one in path.rglob("*") if one.is_file())
            if not inside:
                raise Invalid(f"folder {path} holds no file", hint="name the files to import")
            yield from inside
        elif path.is_file():
            if path.suffix != ".CHECKSUM":
                yield path
        else:
            raise NotFound(f"no file {path}", hint="check the path; folders and several files may be given")


def _is_prose(path: Path) -> bool:
    return path.suffix.lower() in _PROSE or path.name.upper().startswith("LICENSE")
