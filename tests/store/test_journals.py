"""Journals in files: what a kill leaves, every flipped or missing byte, and going on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow
import pytest
from tests.processes import running

from gnomon.errors import Conflict, Invalid, NotFound, Refused
from gnomon.replay.bodies import Genesis, Read, TimerFired
from gnomon.replay.digests import Digests
from gnomon.replay.journal import Journal
from gnomon.replay.record import Kept, Record
from gnomon.store.journals import Journals

GENESIS = Genesis(1, 1, bytes(range(32)), bytes(32), "{}", ("engine",), ("X",), ("USD",))


def act(journal: Journal, first: int, last: int, every: int = 700) -> None:
    for i in range(first, last):
        journal.put(TimerFired(i), 70, i, journal.seq, 0)
        journal.put(Read(1, i), 0, i, 0, 1)
        journal.deliver(80, i, 0, 1, [(0, i - 1, i)])
        if not i % every:
            journal.flush()


def write(journals: Journals, run: str, count: int, every: int = 700) -> Digests:
    with journals.create(run) as sink:
        journal = Journal(GENESIS, 0, sink=sink)
        act(journal, 0, count, every)
        return journal.end(count, 1)


def in_memory(count: int, every: int = 700) -> Kept:
    kept = Kept()
    journal = Journal(GENESIS, 0, sink=kept)
    act(journal, 0, count, every)
    journal.end(count, 1)
    return kept


def test_a_file_holds_what_memory_holds(tmp_path: Path) -> None:
    journals, kept = Journals(tmp_path), in_memory(3_000)
    assert write(journals, "r1", 3_000) == kept.digests
    record = journals.read("r1")
    assert record.check().ok
    assert list(record.everything()) == list(Record(kept).everything())
    assert record.prefixes == tuple(kept.prefixes)
    assert record.sealed == kept.digests
    assert record.at(2_500) == Record(kept).at(2_500)
    assert journals.runs() == ["r1"]
    file = tmp_path / "journals" / "r1.journal"
    assert file.stat().st_size < sum(map(len, kept.blocks)) // 2


def test_any_reader_of_zstd_reads_the_plain_bytes(tmp_path: Path) -> None:
    write(Journals(tmp_path), "r1", 3_000)
    with pyarrow.CompressedInputStream(tmp_path / "journals" / "r1.journal", "zstd") as stream:
        assert stream.read() == b"".join(in_memory(3_000).blocks)


def test_the_index_has_the_places_of_the_prefixes(tmp_path: Path) -> None:
    write(Journals(tmp_path), "r1", 3_000)
    rows = (tmp_path / "journals" / "r1.index").read_bytes()
    assert len(rows) == 72 * (5 + 6)
    plain = b"".join(in_memory(3_000).blocks)
    journal = (tmp_path / "journals" / "r1.journal").read_bytes()
    for i in range(5):
        kind, seq, at, file_at = (int.from_bytes(rows[72 * i + j : 72 * i + j + 8], "little") for j in (0, 8, 16, 24))
        assert (kind, seq) == (1, 1_024 * (i + 1))
        follows = int.from_bytes(plain[at + 16 : at + 24], "little")
        assert follows == seq + 1  # the record behind the prefix begins there
        assert journal[file_at : file_at + 4] == (0x184D2A5A).to_bytes(4, "little")


def test_a_cut_at_every_byte_leaves_the_whole_frames_before_it(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    write(journals, "r1", 12, every=3)
    file = tmp_path / "journals" / "r1.journal"
    whole, records = file.read_bytes(), list(journals.read("r1").everything())
    starts = [record.seq for record in records]
    seen = []
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        record = journals.read("r1")
        left = list(record.everything())
        assert left == records[: len(left)]
        assert record.ending
        assert not record.check().ok
        seen.append(len(left))
    assert seen == sorted(seen)
    assert {0, len(starts)} <= {*seen, len(records)}
    assert len({*seen}) >= 4


@pytest.mark.parametrize("bit", [0, 5])
@pytest.mark.parametrize("ending", ["journal", "index"])
def test_any_flipped_byte_of_the_files_is_seen(ending: str, bit: int, tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    write(journals, "r1", 5, every=3)
    file = tmp_path / "journals" / f"r1.{ending}"
    whole = file.read_bytes()
    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
        assert not journals.read("r1").check().ok, f"byte {at}"
    file.write_bytes(whole)
    assert journals.read("r1").check().ok


def test_a_run_goes_on_behind_the_last_whole_frame(tmp_path: Path) -> None:
    journals, expected = Journals(tmp_path), in_memory(3_000)
    with journals.create("r1") as sink:
        journal = Journal(GENESIS, 0, sink=sink)
        act(journal, 0, 2_101)  # the last of them flushes
    file = tmp_path / "journals" / "r1.journal"
    with file.open("ab") as torn:
        torn.write(file.read_bytes()[:57])
    with (tmp_path / "journals" / "r1.index").open("ab") as torn:
        torn.write(b"half a row")
    assert "bytes into a frame" in journals.read("r1").ending
    journal, sink = journals.resume("r1")
    with sink:
        act(journal, 2_101, 3_000)
        assert expected.digests is not None
        assert journal.end(3_000, 1).row() == expected.digests.row()
    assert journals.read("r1").check().ok
    assert journals.read("r1").prefixes == tuple(expected.prefixes)
    with pytest.raises(Refused, match="ended"):
        journals.resume("r1")


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path(sys.argv[2])))
from tests.store.test_journals import GENESIS, act
from gnomon.replay.journal import Journal
from gnomon.store.journals import Journals
with Journals(Path(sys.argv[1])).create("r1") as sink:
    journal = Journal(GENESIS, 0, sink=sink)
    for first in range(0, 10**9, 10):
        act(journal, first, first + 10, every=10)
        journal.flush()
        print(journal.seq, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("told", [1, 40, 150])
def test_what_was_flushed_before_a_kill_is_there(told: int, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", WRITER, str(tmp_path), str(root)]
    with running(command, 300, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        flushed = [int(process.stdout.readline()) for _ in range(told)][-1]
        os.kill(process.pid, signal.SIGKILL)
    journals = Journals(tmp_path)
    record = journals.read("r1")
    checked = record.check()
    assert not checked.faults or "index" in checked.faults[0]
    assert checked.records >= flushed - 1  # the delivery still open is in a note
    journal, sink = journals.resume("r1")
    with sink:
        assert journal.seq >= flushed
        journal.end(10**10, 2)
    assert journals.read("r1").check().ok


def test_an_index_that_is_gone_is_said_and_hides_nothing(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    write(journals, "r1", 3_000)
    (tmp_path / "journals" / "r1.index").unlink()
    checked = journals.read("r1").check()
    assert not checked.faults
    assert "index was not closed" in checked.ending
    assert checked.digests == in_memory(3_000).digests


def test_a_run_is_written_once_and_named_plainly(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    write(journals, "r1", 3)
    with pytest.raises(Conflict, match="r1"):
        journals.create("r1")
    with pytest.raises(NotFound, match="r2"):
        journals.read("r2")
    for name in ("", "../r1", "a/b", ".hidden", "ä", "x" * 200):
        with pytest.raises(Invalid, match="not a run"):
            journals.create(name)


def test_side_facts_come_back_without_the_line_that_a_kill_cut_off(tmp_path: Path) -> None:
    side = Journals(tmp_path).side("r1")
    assert list(side.facts()) == []
    side.write({"latency_ns": 5, "client": "é\n1"})
    side.write({"paused": True})
    with side.path.open("ab") as file:
        file.write(b'{"cut": "o')
    assert list(side.facts()) == [{"latency_ns": 5, "client": "é\n1"}, {"paused": True}]
    side.write({"after": 1})
    assert list(side.facts())[2:] == [{"after": 1}]
