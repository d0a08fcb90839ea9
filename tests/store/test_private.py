"""Private texts in files: made once, whoever asks, and readable by their owner alone."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gnomon.store.private import private_text


def test_a_text_is_made_once_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "home" / "token"
    made = private_text(file)
    assert private_text(file) == made
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in file.parent.iterdir()] == ["token"]
    file.write_text("mine\n")
    assert private_text(file) == "mine"


def test_many_that_ask_at_once_read_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: private_text(tmp_path / "key"), range(64)))
    assert len(found) == 1
    assert len(found.pop()) == 64
