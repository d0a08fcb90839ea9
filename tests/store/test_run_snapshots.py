"""Snapshots of a run in a file: what a kill leaves, and what damage leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from gnomon.errors import Invalid
from gnomon.replay.snapshots import Snapshot
from gnomon.store.journals import Journals
from gnomon.store.run_snapshots import RunSnapshots

SOME = [Snapshot(seq, 10 * seq, bytes([seq]) * 32, b'{"n":%d}' % seq, b"asked" * seq) for seq in (1, 2, 3)]


def kept(home: Path, some: list[Snapshot]) -> Path:
    with RunSnapshots(home / "r1.snapshots") as file:
        for one in some:
            file.add(one)
    return home / "r1.snapshots"


def test_they_are_read_as_they_were_kept_and_others_follow_them(tmp_path: Path) -> None:
    path = kept(tmp_path, SOME[:2])
    assert RunSnapshots(path).good() == SOME[:2]
    kept(tmp_path, SOME[2:])
    assert RunSnapshots(path).good() == SOME
    assert {one.digest for one in SOME} == {one.digest for one in RunSnapshots(path).good()}


def test_a_run_that_kept_none_has_no_file(tmp_path: Path) -> None:
    path = kept(tmp_path, [])
    assert not path.exists()
    assert RunSnapshots(path).good() == []


def test_one_that_a_kill_cut_off_is_left_out_and_overwritten(tmp_path: Path) -> None:
    path = kept(tmp_path, SOME)
    path.write_bytes(path.read_bytes()[:-7])
    assert RunSnapshots(path).good() == SOME[:2]
    kept(tmp_path, SOME[2:])
    assert RunSnapshots(path).good() == SOME


def test_those_behind_a_damaged_one_are_not_good_either(tmp_path: Path) -> None:
    path = kept(tmp_path, SOME)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert RunSnapshots(path).good() == SOME[:1]


def test_they_lie_beside_the_journal(tmp_path: Path) -> None:
    assert RunSnapshots.of(Journals(tmp_path), "r1").path == tmp_path / "journals" / "r1.snapshots"
    with pytest.raises(Invalid, match="not a run"):
        RunSnapshots.of(Journals(tmp_path), "../r1")
