"""Secrets at rest: they open with their key, for their owner, and never show in what is stored."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gnomon.errors import Invalid, Unavailable
from gnomon.store.seal import FILE, Seal, seal_at

KEY = "k" * 32


def test_a_secret_opens_for_its_owner_alone_and_under_its_key_alone() -> None:
    sealed = Seal(KEY).shut("abc", "owner")
    assert "abc" not in sealed
    assert Seal(KEY).open(sealed, "owner") == "abc"
    for seal, owner, text in (
        (Seal(KEY), "other", sealed),
        (Seal("l" * 32), "owner", sealed),
        (Seal(KEY), "owner", sealed[:-4] + "AAA="),
        (Seal(KEY), "owner", "1:?"),
        (Seal(KEY), "owner", ""),
    ):
        with pytest.raises(Unavailable, match="does not open"):
            seal.open(text, owner)


def test_the_same_secret_is_never_sealed_to_the_same_text() -> None:
    assert len({Seal(KEY).shut("abc", "owner") for _ in range(50)}) == 50


def test_a_short_key_is_refused() -> None:
    with pytest.raises(Invalid, match="a secret key of 31 characters"):
        Seal("k" * 31)


def test_the_file_is_made_once_and_its_owner_alone_reads_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    sealed = seal_at(home).shut("abc", "owner")
    assert stat.S_IMODE((home / FILE).stat().st_mode) == 0o600
    assert seal_at(home).open(sealed, "owner") == "abc"
    assert [one.name for one in home.iterdir()] == [FILE]
    with pytest.raises(Unavailable):
        seal_at(home, KEY).open(sealed, "owner")
