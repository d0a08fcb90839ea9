"""Unpacking within bounds: what is damaged, too large or not one file is refused in words."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gnomon.errors import Invalid, NotFound, Unavailable
from gnomon.sources.files.content import open_content

TEXT = b"timestamp,price,size\n" * 500


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_plain_gzip_and_zip_give_the_same_bytes_and_the_inner_name(write: Callable[..., Path]) -> None:
    plain = open_content(write("a.csv", TEXT))
    packed = open_content(write("b.csv.gz", gzip.compress(TEXT)))
    archive = open_content(write("c.zip", _zip({"inner/d.csv": TEXT})))
    assert plain.data == packed.data == archive.data == TEXT
    assert (plain.name, packed.name, archive.name, archive.file) == ("a.csv", "b.csv", "d.csv", "c.zip")
    assert packed.files == {"b.csv.gz": hashlib.sha256(gzip.compress(TEXT)).hexdigest()} or len(packed.files) == 1


def test_content_decides_not_the_ending(write: Callable[..., Path]) -> None:
    assert open_content(write("a.csv", gzip.compress(TEXT))).data == TEXT
    assert open_content(write("a.csv.gz", TEXT)).data == TEXT


def test_a_gzip_of_several_members_is_read_to_its_end(write: Callable[..., Path]) -> None:
    data = gzip.compress(TEXT) + gzip.compress(b"more") + b"\0" * 16
    assert open_content(write("a.gz", data)).data == TEXT + b"more"


@pytest.mark.parametrize("kept", [12, 30, -9, -1])
def test_a_gzip_that_is_cut_off_is_refused(kept: int, write: Callable[..., Path]) -> None:
    with pytest.raises(Invalid, match=r"a\.gz: the gzip stream ends early \(a cut-off download\?\)"):
        open_content(write("a.gz", gzip.compress(TEXT)[:kept]))


def test_a_damaged_gzip_is_refused(write: Callable[..., Path]) -> None:
    data = bytearray(gzip.compress(TEXT))
    data[-6] ^= 0xFF  # the check sum
    with pytest.raises(Invalid, match=r"a\.gz: damaged gzip"):
        open_content(write("a.gz", bytes(data)))


def test_a_damaged_zip_is_refused(write: Callable[..., Path]) -> None:
    data = bytearray(_zip({"a.csv": TEXT}))
    data[60] ^= 0xFF
    with pytest.raises(Invalid, match=r"a\.zip: damaged or unusual zip"):
        open_content(write("a.zip", bytes(data)))
    with pytest.raises(Invalid, match=r"cut\.zip: damaged or unusual zip"):
        open_content(write("cut.zip", _zip({"a.csv": TEXT})[:-30]))


def test_a_zip_must_hold_one_file(write: Callable[..., Path]) -> None:
    with pytest.raises(Invalid, match=r"a\.zip holds 2 files \(a\.csv, b\.csv\) where one is expected"):
        open_content(write("a.zip", _zip({"a.csv": TEXT, "b.csv": TEXT})))
    with pytest.raises(Invalid, match=r"b\.zip holds 0 files where one is expected"):
        open_content(write("b.zip", _zip({})))
    assert open_content(write("c.zip", _zip({"a.csv": TEXT, "__MACOSX/._a.csv": b"x"}))).data == TEXT


def test_what_unpacks_beyond_the_limit_is_refused_without_being_unpacked(write: Callable[..., Path]) -> None:
    bomb = b"\0" * 2_000_000
    for name, data in (("a.gz", gzip.compress(bomb)), ("a.zip", _zip({"a.csv": bomb}))):
        assert len(data) < 10_000
        with pytest.raises(Invalid, match=rf"{name} is or unpacks to more than 1,000,000 bytes") as caught:
            open_content(write(name, data), largest_bytes=1_000_000)
        assert caught.value.detail == {"largest_bytes": 1_000_000}
    with pytest.raises(Invalid, match="more than 1,000 bytes"):
        open_content(write("plain.csv", TEXT), largest_bytes=1_000)


def test_a_zip_that_lies_about_its_size_is_caught(write: Callable[..., Path]) -> None:
    data = bytearray(_zip({"a.csv": b"\0" * 2_000_000}))
    at = data.index(b"PK\x01\x02") + 24  # the size in the directory
    data[at : at + 4] = (1000).to_bytes(4, "little")
    with pytest.raises(Invalid, match=r"a\.zip"):
        open_content(write("a.zip", bytes(data)), largest_bytes=1_000_000)


def test_an_empty_file_and_an_empty_content_are_named(write: Callable[..., Path]) -> None:
    with pytest.raises(Invalid, match=r"a\.csv is empty \(0 bytes\)"):
        open_content(write("a.csv", b""))
    with pytest.raises(Invalid, match=r"a\.gz is empty"):
        open_content(write("a.gz", gzip.compress(b"")))


@pytest.mark.parametrize(
    ("magic", "kind"), [(b"BZh9", "bzip2"), (b"\xfd7zXZ\x00", "xz"), (b"\x28\xb5\x2f\xfd", "zstandard")]
)
def test_other_packings_are_named(magic: bytes, kind: str, write: Callable[..., Path]) -> None:
    with pytest.raises(Invalid, match=f"is packed with {kind}"):
        open_content(write("a", magic + b"whatever"))


def test_an_absent_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file"):
        open_content(tmp_path / "absent.csv")
    with pytest.raises(Unavailable, match="cannot read"):
        open_content(tmp_path)


def test_a_checksum_beside_the_file_is_verified(write: Callable[..., Path]) -> None:
    data = _zip({"BTCUSDT-1h-2024-01.csv": TEXT})
    path = write("BTCUSDT-1h-2024-01.zip", data)
    assert not open_content(path).verified
    write("BTCUSDT-1h-2024-01.zip.CHECKSUM", f"{hashlib.sha256(data).hexdigest()}  BTCUSDT-1h-2024-01.zip\n")
    assert open_content(path).verified
    write("BTCUSDT-1h-2024-01.zip.CHECKSUM", f"{'0' * 64}  BTCUSDT-1h-2024-01.zip\n")
    with pytest.raises(Invalid, match=rf"SHA-256 is {hashlib.sha256(data).hexdigest()}, but .*CHECKSUM says 000"):
        open_content(path)
    write("BTCUSDT-1h-2024-01.zip.CHECKSUM", "")
    with pytest.raises(Invalid, match="says nothing"):
        open_content(path)
