"""What a file holds once it is unpacked: its bytes, the hashes of what was read, and what there is to say about it."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gnomon.errors import Invalid, NotFound, Unavailable

LARGEST_BYTES: Final = 4 * 1024**3
"""The most that one file may unpack to. It is held in memory, and a small archive can unpack to any size."""

_PACKED: Final = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstandard", b"7z\xbc\xaf": "7-zip"}


@dataclass(frozen=True, slots=True)
class Content:
    """The unpacked bytes of one file.

    `name` is that of the innermost file, `files` maps names to SHA-256; `verified` says that a `.CHECKSUM` beside the
    file agreed.
    """

    path: Path
    name: str
    data: bytes
    files: Mapping[str, str]
    verified: bool = False

    @property
    def file(self) -> str:
        return self.path.name


def open_content(path: Path, largest_bytes: int = LARGEST_BYTES) -> Content:
    """Read and unpack a plain, gzip or zip file and verify the `.CHECKSUM` beside it, where there is one.

    Raises `NotFound` (no such file), `Unavailable` (not readable) and `Invalid` (empty, damaged, too large, or not a
    single file inside).
    """
    packed = _read(path, largest_bytes)
    digest = hashlib.sha256(packed).hexdigest()
    verified = _verify(path, digest)
    name, data = _unpack(path.name, packed, largest_bytes)
    if not data:
        raise Invalid(f"{path.name} is empty", hint="fetch the file again")
    return Content(path, name, data, {path.name: digest}, verified)


def _read(path: Path, largest_bytes: int) -> bytes:
    try:
        if path.stat().st_size > largest_bytes:
            raise _too_large(path.name, largest_bytes)
        data = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"no file {path}", hint="check the path") from None
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror or error}", hint="name a readable file") from None
    if not data:
        raise Invalid(f"{path.name} is empty (0 bytes)", hint="fetch the file again")
    return data


def _unpack(name: str, data: bytes, largest_bytes: int) -> tuple[str, bytes]:
    if data[:2] == b"\x1f\x8b":
        return _without_suffix(name, ".gz"), _gunzip(name, data, largest_bytes)
    if data[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _unzip(name, data, largest_bytes)
    for magic, kind in _PACKED.items():
        if data.startswith(magic):
            raise Invalid(f"{name} is packed with {kind}", hint="unpack it first; gzip and zip are read as they are")
    return name, data


def _without_suffix(name: str, suffix: str) -> str:
    return name[: -len(suffix)] if name.lower().endswith(suffix) else name


def _gunzip(name: str, data: bytes, largest_bytes: int) -> bytes:
    """All members of a gzip file; the size is watched while it is unpacked."""
    pieces: list[bytes] = []
    room = largest_bytes
    while data:
        member = zlib.decompressobj(31)
        try:
            piece = member.decompress(data, room + 1)
        except zlib.error as error:
            raise Invalid(f"{name}: damaged gzip ({error})", hint="fetch the file again") from None
        room -= len(piece)
        if room < 0:
            raise _too_large(name, largest_bytes)
        if not member.eof:
            raise Invalid(f"{name}: the gzip stream ends early (a cut-off download?)", hint="fetch the file again")
        pieces.append(piece)
        data = member.unused_data.lstrip(b"\0")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _unzip(name: str, data: bytes, largest_bytes: int) -> tuple[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            member = _only_member(name, archive)
            if member.file_size > largest_bytes:
                raise _too_large(name, largest_bytes)
            with archive.open(member) as file:
                unpacked = file.read(largest_bytes + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise Invalid(f"{name}: damaged or unusual zip ({error})", hint="fetch the file again, or unpack it") from None
    if len(unpacked) > largest_bytes:
        raise _too_large(name, largest_bytes)
    return Path(member.filename).name, unpacked


def _only_member(name: str, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = [one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX/")]
    if len(members) != 1:
        inside = ", ".join(one.filename for one in members[:3]) + (", …" if len(members) > 3 else "")
        raise Invalid(
            f"{name} holds {len(members)} files{f' ({inside})' if inside else ''} where one is expected",
            hint="unpack it and import the files",
        )
    return members[0]


def _too_large(name: str, largest_bytes: int) -> Invalid:
    return Invalid(
        f"{name} is or unpacks to more than {largest_bytes:,} bytes",
        hint="cut it into smaller files (a file is held in memory while it is read)",
        detail={"largest_bytes": largest_bytes},
    )


def _verify(path: Path, digest: str) -> bool:
    """Compare with `NAME.CHECKSUM` (the digest, then the name), as published beside the Binance dumps."""
    beside = path.with_name(f"{path.name}.CHECKSUM")
    if not beside.is_file():
        return False
    words = beside.read_text(encoding="utf-8", errors="replace").split()
    said = words[0].lower() if words else ""
    if said != digest:
        raise Invalid(
            f"{path.name}: SHA-256 is {digest}, but {beside.name} says {said or 'nothing'}",
            hint="fetch the file and its .CHECKSUM again",
            detail={"received": digest, "expected": said},
        )
    return True
