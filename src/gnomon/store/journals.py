"""Journals in files: `<home>/journals/<run>.journal`, `.index` and `.side.jsonl`.

A journal is a row of zstd frames, each behind a skippable frame that says what follows (so `zstd -d` reads the whole):

| offset | type | skippable frame |
|---|---|---|
| 0 | u32 | 0x184D2A5A |
| 4 | u32 | 32, the bytes that follow |
| 8 | u32 | plain length of the zstd frame after it |
| 12 | u32 | its compressed length |
| 16 | u64 | seq of its first record that is not a note |
| 24 | 16 bytes | BLAKE2b-128 over those 16 bytes and the compressed ones |

Every frame holds whole records and is appended by one write, so a kill at any moment leaves the frames before it. The
index is rows of 72 bytes: kind (u64), seq (u64), plain offset (u64), file offset (u64), digest (32 bytes), BLAKE2b-64
over those (8 bytes). Kind 1 is the chain every 1,024 records; 2 to 7 are the digests at the end: dataset, config,
inputs, outputs, chain, notes. What it says can be made again from the journal.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from gnomon.errors import Conflict, Invalid, NotFound, Refused
from gnomon.replay.digests import Digests, Prefix
from gnomon.replay.journal import Journal
from gnomon.replay.record import Index, Record

_MAGIC: Final = 0x184D2A5A
_HEAD: Final = Struct("<IIIIQ16s")
_ROW: Final = Struct("<QQQQ32s8s")
_PREFIX: Final = 1
_DIGESTS: Final = ("dataset", "config", "inputs", "outputs", "chain", "notes")
_LARGEST: Final = 2**30
ENDINGS: Final = ("journal", "index", "side.jsonl", "snapshots", "inputs")
"""Of the files of a run."""


class Frame(NamedTuple):
    """Where one frame lies: plain and file offsets of its first byte and behind its last."""

    first_seq: int
    plain: int
    plain_end: int
    at: int
    end: int


class JournalFile:
    """Frames of one file: appended, or read. Where they lie it knows by heart; a reader keeps no file open."""

    def __init__(self, path: Path, *, is_new: bool = False, appends: bool = False) -> None:
        self.path = path
        self._codec = _zstd()
        created = os.O_CREAT | os.O_EXCL if is_new else 0
        self._file = _open(path, os.O_WRONLY | created) if is_new or appends else -1
        self.frames: list[Frame] = []
        self.ending = "" if is_new else self._scan()

    def append(self, plain: bytes, first_seq: int) -> None:
        """One frame of whole records. `Refused` over a file that ends inside a frame: cut it first."""
        if self.ending:
            raise Refused(f"{self.path.name}: {self.ending}", hint="`cut()` drops what is not a whole frame")
        packed = self._codec.compress(plain, asbytes=True)
        sizes = struct_of(len(plain), len(packed), first_seq)
        at = self.frames[-1].end if self.frames else 0
        frame = _HEAD.pack(_MAGIC, 32, len(plain), len(packed), first_seq, _check(sizes + packed)) + packed
        _write_all(self._file, frame, at)
        start = self.frames[-1].plain_end if self.frames else 0
        self.frames.append(Frame(first_seq, start, start + len(plain), at, at + len(frame)))

    def read(self, i: int) -> bytes:
        """The plain bytes of a frame. `Invalid` where they are damaged."""
        frame = self.frames[i]
        with self.path.open("rb", buffering=0) as file:
            data = os.pread(file.fileno(), frame.end - frame.at, frame.at)
        fault = _fault_of(data)
        if fault:
            raise Invalid(f"{self.path.name}, frame {i}: {fault}", hint="restore the file from a copy")
        plain: bytes = self._codec.decompress(data[_HEAD.size :], frame.plain_end - frame.plain, asbytes=True)
        return plain

    def cut(self) -> None:
        """Drop what follows the last whole frame."""
        os.ftruncate(self._file, self.frames[-1].end if self.frames else 0)
        self.ending = ""

    def sync(self) -> None:
        """Ask the machine to put it where a loss of power does not reach."""
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)

    def _scan(self) -> str:
        """Note where the frames lie, by their heads; whether their bytes are whole is seen when they are read, save for
        the last, which a kill may have left half-written."""
        with self.path.open("rb", buffering=0) as file:
            return self._scan_from(file.fileno(), os.fstat(file.fileno()).st_size)

    def _scan_from(self, file: int, size: int) -> str:
        at = plain = 0
        while at < size:
            head = os.pread(file, _HEAD.size, at)
            if len(head) < _HEAD.size:
                return f"it ends {len(head)} bytes into a frame, at byte {at:,}"
            magic, length, plain_size, packed_size, first_seq, _ = _HEAD.unpack(head)
            if (magic, length) != (_MAGIC, 32) or max(plain_size, packed_size) > _LARGEST:
                return f"there is no frame at byte {at:,}"
            end = at + _HEAD.size + packed_size
            if end > size:
                return f"it ends {size - at:,} bytes into a frame of {end - at:,}, at byte {at:,}"
            if end == size and (fault := _fault_of(os.pread(file, end - at, at))):
                return f"its last frame, at byte {at:,}: {fault}"
            self.frames.append(Frame(first_seq, plain, plain + plain_size, at, end))
            at, plain = end, plain + plain_size
        return ""


class JournalWriter:
    """The sink of a journal: frames as they come, the index beside them."""

    def __init__(self, journal: JournalFile, index: Path) -> None:
        self._journal = journal
        self._index = _open(index, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._index_end = 0

    def write(self, plain: bytes, first_seq: int) -> None:
        self._journal.append(plain, first_seq)

    def mark(self, prefix: Prefix) -> None:
        frames = self._journal.frames
        i = bisect_right(frames, prefix.seq, key=lambda frame: frame.first_seq) - 1
        self._row(_PREFIX, prefix.seq, frames[i], prefix.chain)

    def seal(self, digests: Digests) -> None:
        """The six digests behind everything, and both files put where a loss of power does not reach."""
        self._journal.sync()
        last = self._journal.frames[-1]
        for kind, name in enumerate(_DIGESTS, 2):
            self._row(kind, 0, last, getattr(digests, name))
        os.fsync(self._index)

    def close(self) -> None:
        self._journal.close()
        os.close(self._index)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _row(self, kind: int, seq: int, frame: Frame, digest: bytes) -> None:
        row = _ROW.pack(kind, seq, frame.plain_end, frame.end, digest, bytes(8))[:-8]
        _write_all(self._index, row + _check(row)[:8], self._index_end)
        self._index_end += _ROW.size


class JournalReader:
    """The blocks of a journal file, for a `Record`."""

    def __init__(self, journal: JournalFile, index: Path) -> None:
        self._journal = journal
        self._index_path = index
        self._newest: tuple[int, bytes] = (-1, b"")

    def starts(self) -> Sequence[int]:
        return self._starts

    def block(self, i: int) -> bytes:
        if self._newest[0] != i:
            self._newest = i, self._journal.read(i)
        return self._newest[1]

    def index(self) -> Index:
        return self._rows

    def ending(self) -> str:
        return self._journal.ending

    @cached_property
    def _starts(self) -> list[int]:
        return [frame.first_seq for frame in self._journal.frames]

    @cached_property
    def _rows(self) -> Index:
        """What can be read of the index: it ends at the first row that is not whole."""
        prefixes: list[Prefix] = []
        digests: dict[str, bytes] = {}
        data = self._index_path.read_bytes() if self._index_path.exists() else b""
        for at in range(0, len(data) - _ROW.size + 1, _ROW.size):
            kind, seq, _, _, digest, check = _ROW.unpack_from(data, at)
            if check != _check(data[at : at + _ROW.size - 8])[:8] or not 1 <= kind <= 7:
                break
            if kind == _PREFIX:
                prefixes.append(Prefix(seq, digest))
            else:
                digests[_DIGESTS[kind - 2]] = digest
        sealed = Digests(**digests) if len(digests) == len(_DIGESTS) else None
        return Index(tuple(prefixes), sealed)


class SideLog:
    """Wall facts of a run (sockets, real latencies, operator actions, original client ids), a JSON line each; in no
    digest."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, fact: Mapping[str, Any]) -> None:
        """Append a line, by one write."""
        line = json.dumps(fact, ensure_ascii=False, separators=(",", ":")) + "\n"
        file = _open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        try:
            size = os.fstat(file).st_size
            is_torn = size and os.pread(file, 1, size - 1) != b"\n"  # by a kill: it must not take this line with it
            os.write(file, ("\n" + line if is_torn else line).encode())
        finally:
            os.close(file)

    def facts(self) -> Iterator[dict[str, Any]]:
        """The lines in order; one that a kill cut off is left out."""
        if self.path.exists():
            for line in self.path.read_bytes().split(b"\n"):
                try:
                    fact = json.loads(line)
                except ValueError:
                    continue
                if isinstance(fact, dict):
                    yield fact


class Journals:
    """All journals of a home."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "journals"

    def create(self, run: str) -> JournalWriter:
        """A new journal, to be given to `Journal` as its sink. `Conflict` where the run has one."""
        path = self._path(run, "journal")
        self.folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            raise Conflict(f"run {run} has a journal", hint="a run is written once; start another, or resume this one")
        return JournalWriter(JournalFile(path, is_new=True), self._path(run, "index"))

    def read(self, run: str) -> Record:
        """The Record of a run, finished or not. `NotFound` where there is none."""
        return Record(JournalReader(self._file(run), self._path(run, "index")))

    def resume(self, run: str) -> tuple[Journal, JournalWriter]:
        """Go on with a journal whose process is gone, behind its last whole frame. `Refused` after END."""
        file = self._file(run, appends=True)
        file.cut()
        record = Record(JournalReader(file, self._path(run, "index")))
        genesis = record.genesis
        if record.end is not None:
            file.close()
            raise Refused(f"run {run} has ended", hint="nothing follows END; start another run")
        writer = JournalWriter(file, self._path(run, "index"))
        return Journal.resumed(genesis, (one.raw for one in record.everything()), writer), writer

    def side(self, run: str) -> SideLog:
        """The side log of a run; made with its first line."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return SideLog(self._path(run, "side.jsonl"))

    def discard(self, run: str) -> None:
        """A journal that is to be written anew from its inputs is gone; nothing where there is none."""
        for ending in ("journal", "index"):
            self._path(run, ending).unlink(missing_ok=True)

    def delete(self, run: str) -> None:
        """Everything that is kept of a run is gone."""
        for ending in ENDINGS:
            self._path(run, ending).unlink(missing_ok=True)

    def beside(self, run: str, ending: str) -> Path:
        """The path of something else that is kept of a run."""
        return self._path(run, ending)

    def runs(self) -> list[str]:
        """The runs that have a journal, by name."""
        return sorted(path.name.removesuffix(".journal") for path in self.folder.glob("*.journal"))

    def _file(self, run: str, *, appends: bool = False) -> JournalFile:
        path = self._path(run, "journal")
        if not path.exists():
            raise NotFound(f"run {run} has no journal here", hint=f"journals are kept in {self.folder}")
        return JournalFile(path, appends=appends)

    def _path(self, run: str, ending: str) -> Path:
        if not re.fullmatch(r"\w[\w.-]{0,127}", run, re.ASCII):
            raise Invalid(f"not a run: {run!r}", hint="letters, digits, dots, dashes and underscores")
        return self.folder / f"{run}.{ending}"


def struct_of(plain_size: int, packed_size: int, first_seq: int) -> bytes:
    """The part of a skippable frame that its digest covers, besides the compressed bytes."""
    return Struct("<IIQ").pack(plain_size, packed_size, first_seq)


def _fault_of(data: bytes) -> str:
    """What is wrong with the bytes of a frame and its head; empty for nothing."""
    if len(data) < _HEAD.size:
        return "it is cut off"
    magic, length, plain_size, packed_size, first_seq, check = _HEAD.unpack_from(data)
    if (magic, length) != (_MAGIC, 32) or len(data) != _HEAD.size + packed_size:
        return "its head is damaged"
    if check != _check(struct_of(plain_size, packed_size, first_seq) + data[_HEAD.size :]):
        return "its bytes are not those that were written"
    return ""


def _check(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16, person=b"gnomon.frame").digest()


def _zstd() -> Any:
    import pyarrow  # 70 ms, and only whoever touches a journal file needs it

    return pyarrow.Codec("zstd", compression_level=1)


def _open(path: Path, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_BINARY", 0), 0o644)


def _write_all(file: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        done = os.pwrite(file, view, at)
        view, at = view[done:], at + done
