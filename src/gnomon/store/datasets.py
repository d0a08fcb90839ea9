"""Datasets as files: one folder each, named by its hash, written once and read by memory map.

    root/<hash>/passport.json          the passport
    root/<hash>/series.json            key and grids of each series
    root/<hash>/<number>/<column>.npy  its columns; prices and quantities as int32 where every value fits
    root/<hash>/<number>/index_*.npy   of trades and candles: the block index, which is derived (`index_files`)
    root/.writing-<token>/             a dataset being written
    root/.writing-<token>.lock         held by its writer as long as it lives

A folder appears by one rename after everything in it is on the disk, so it is whole or absent. A writer that is killed
leaves a temporary folder; `sweep` knows the dead from the living by the lock, which the kernel frees with the process
(a process id alone may have been given to another process since, or belong to another container).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from gnomon.clock import Timeframe
from gnomon.errors import Invalid, NotFound, Unavailable
from gnomon.market import candles as candles_module
from gnomon.market import depth as depth_module
from gnomon.market import quotes as quotes_module
from gnomon.market import trades as trades_module
from gnomon.market.block_index import BlockIndex
from gnomon.market.candles import Candles
from gnomon.market.dataset import AnySeries, Passport, content_hash, kind_of, series_digest
from gnomon.market.depth import Depth
from gnomon.market.quotes import Quotes
from gnomon.market.trades import Trades
from gnomon.store.chain import canonical
from gnomon.store.index_files import index_names, read_index, write_index
from gnomon.units import Grid

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_WRITING: Final = ".writing-"
_GRIDS: Final = ("tick", "lot", "money")
_NARROWED: Final = frozenset({"price", "size", "bid", "bid_qty", "ask", "ask_qty"})


class DatasetFiles:
    """The folder of immutable datasets."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def root(self) -> Path:
        return self._root

    def write(self, passport: Passport, series: Sequence[AnySeries]) -> Path:
        """The folder of the dataset; written now, unless it is there already. Two writers at once are no harm.

        Raises `Invalid` when the passport's hash is not that of the series, `Unavailable` when the disk refuses.
        """
        target = self._root / passport.hash
        if target.is_dir():
            return target
        if content_hash(series) != passport.hash:
            raise Invalid(f"the passport of {passport.name} is not of these series", hint="make it anew from them")
        try:
            with self._temporary() as folder:
                _write(folder, passport, series)
                _publish(folder, target)
        except OSError as error:
            raise Unavailable(
                f"cannot write the dataset to {target}: {error.strerror}", hint="look at the disk"
            ) from error
        return target

    def open(self, hash: str) -> tuple[dict[str, Any], list[AnySeries]]:  # noqa: A002 - the word for it
        """The passport (`Passport.row()`) and the series of a dataset, their columns mapped from the files.

        Raises `NotFound` for a hash that has no folder.
        """
        folder = self._root / hash
        if not _HASH.fullmatch(hash) or not folder.is_dir():
            raise NotFound(
                f"no files of dataset {hash!r}", hint="`gnomon datasets` lists what is stored; import it again"
            )
        heads = json.loads((folder / "series.json").read_text(encoding="utf-8"))
        passport = json.loads((folder / "passport.json").read_text(encoding="utf-8"))
        return passport, [_series(folder / str(number), head) for number, head in enumerate(heads)]

    def block_index(self, hash: str, number: int) -> BlockIndex:  # noqa: A002 - the word for it
        """The block index of trades or candles by the number of the series: mapped, or made anew where it is wrong.

        Raises `NotFound` for a dataset or a series that is not there, `Invalid` for a series that has no index.
        """
        passport, series = self.open(hash)
        if not 0 <= number < len(series):
            raise NotFound(f"dataset {hash[:12]} has {len(series)} series, no number {number}", hint="count from 0")
        one, folder, of = series[number], self._root / hash / str(number), passport["series"][number]["digest"]
        if not isinstance(one, Trades | Candles):
            raise Invalid(f"{' '.join(one.key)} has no block index", hint="trades and candles have one")
        found = read_index(folder, len(one), of)
        if found is not None:
            return found
        made = BlockIndex.of(one)
        with suppress(OSError):  # where nothing can be written it stays in memory
            self._replace_index(folder, made, of)
        return made

    def _replace_index(self, folder: Path, index: BlockIndex, of: str) -> None:
        """Each file by one rename, the one that vouches for the others last. Two at once are no harm."""
        with self._temporary() as beside:
            write_index(beside, index, of)
            for name in index_names():
                (beside / name).rename(folder / name)
            _sync_folder(folder)

    def sweep(self) -> list[str]:
        """Remove what killed writers left behind; the names of the folders removed. A living writer's stays."""
        if not self._root.is_dir():
            return []
        names = {entry.name.removesuffix(".lock") for entry in self._root.iterdir() if entry.name.startswith(_WRITING)}
        return [name for name in sorted(names) if self._removed(name)]

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        """A folder of our own: first its lock, so that it is never there without; gone at the end, renamed or not."""
        self._root.mkdir(parents=True, exist_ok=True)
        while True:
            name = f"{_WRITING}{secrets.token_hex(8)}"
            lock = self._root / f"{name}.lock"
            descriptor = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if not _is_at(descriptor, lock):
                    continue  # a sweeper was faster than our lock: take another name
                os.write(descriptor, f"{os.getpid()}\n".encode())
                folder = self._root / name
                folder.mkdir()
                try:
                    yield folder
                finally:
                    shutil.rmtree(folder, ignore_errors=True)
                    lock.unlink(missing_ok=True)
                return
            finally:
                os.close(descriptor)

    def _removed(self, name: str) -> bool:
        """Remove a temporary folder unless its writer lives; whether there was one."""
        folder, lock = self._root / name, self._root / f"{name}.lock"
        try:
            descriptor = os.open(lock, os.O_WRONLY)
        except FileNotFoundError:  # a writer's lock is there before its folder and after it: nobody's
            return _emptied(folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            was_there = _emptied(folder)
            lock.unlink(missing_ok=True)
            return was_there
        finally:
            os.close(descriptor)


# --- inside -----------------------------------------------------------------------------------------------------


def _write(folder: Path, passport: Passport, series: Sequence[AnySeries]) -> None:
    for number, one in enumerate(series):
        (folder / str(number)).mkdir()
        for name, column in _stored(one).items():
            with (folder / str(number) / f"{name}.npy").open("wb") as file:
                np.save(file, column, allow_pickle=False)
                _sync(file.fileno())
        if isinstance(one, Trades | Candles):
            write_index(folder / str(number), BlockIndex.of(one), series_digest(one).hex())
        _sync_folder(folder / str(number))
    _write_json(folder / "series.json", [_head(one) for one in series])
    _write_json(folder / "passport.json", passport.row())
    _sync_folder(folder)


def _stored(series: AnySeries) -> dict[str, np.ndarray[Any, Any]]:
    """The columns as they are written: a print of int32 price and size costs half of what its int64 twin costs to read.

    Candles stay wide: they are few, and read as floats.
    """
    columns = series.columns()
    if isinstance(series, Candles):
        return columns
    return {name: _narrow(column) if name in _NARROWED else column for name, column in columns.items()}


def _narrow(column: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    limits = np.iinfo(np.int32)
    fits = limits.min <= int(column.min(initial=0)) and int(column.max(initial=0)) <= limits.max
    return column.astype("<i4") if fits else column


def _publish(folder: Path, target: Path) -> None:
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return  # another writer was first: the hash says that it wrote the same
    _sync_folder(target.parent)


def _head(series: AnySeries) -> dict[str, Any]:
    instrument, timeframe, basis = series.key
    grids = {name: str(getattr(series, name).step) for name in _GRIDS if hasattr(series, name)}
    valid_from = {"valid_from_ns": series.valid_from_ns} if isinstance(series, Depth) else {}
    return {
        "kind": kind_of(series),
        "instrument": instrument,
        "timeframe": timeframe,
        "basis": basis,
        **grids,
        **valid_from,
    }


def _series(folder: Path, head: Mapping[str, Any]) -> AnySeries:
    grids: dict[str, Any] = {name: Grid.of(head[name]) for name in _GRIDS if name in head}
    if head["kind"] == "trades":
        return Trades(head["instrument"], **grids, **_columns(folder, trades_module.COLUMNS))
    if head["kind"] == "quotes":
        return Quotes(head["instrument"], **grids, **_columns(folder, quotes_module.COLUMNS))
    if head["kind"] == "depth":
        columns = _columns(folder, depth_module.COLUMNS)
        return Depth(head["instrument"], **grids, **columns, valid_from_ns=head["valid_from_ns"])
    timeframe = Timeframe.parse(head["timeframe"])
    return Candles(head["instrument"], timeframe, head["basis"], **grids, **_columns(folder, candles_module.COLUMNS))


def _columns(folder: Path, names: Mapping[str, str]) -> dict[str, Any]:
    return {name: _column(folder / f"{name}.npy") for name in names}


def _column(file: Path) -> np.ndarray[Any, Any]:
    """A column as a plain array over the mapped file: a slice of a `memmap` costs several times one of an array."""
    try:
        column = np.load(file, mmap_mode="r", allow_pickle=False).view(np.ndarray)
    except ValueError:  # no rows: there is nothing to map
        column = np.load(file, allow_pickle=False)
    return cast("np.ndarray[Any, Any]", column)


def _emptied(folder: Path) -> bool:
    was_there = folder.is_dir()
    shutil.rmtree(folder, ignore_errors=True)
    return was_there


def _is_at(descriptor: int, file: Path) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.fstat(descriptor).st_ino == file.stat().st_ino
    except FileNotFoundError:
        return False


def _write_json(file: Path, document: Any) -> None:
    with file.open("w", encoding="utf-8") as stream:
        stream.write(canonical(document))
        stream.flush()
        _sync(stream.fileno())


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
