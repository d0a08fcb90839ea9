"""Datasets as files: whole or absent, mapped, and swept after a killed writer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.processes import first_line, put_down

import gnomon.store.datasets as datasets_module
from gnomon.errors import Invalid, NotFound, Unavailable
from gnomon.market.block_index import BlockIndex
from gnomon.market.candles import Candles
from gnomon.market.dataset import content_hash, series_digest
from gnomon.market.depth import Depth
from gnomon.market.quotes import Quotes
from gnomon.store.datasets import DatasetFiles

COUNTS = st.integers(1, 2**31 + 1) | st.integers(1, 2**62)


@pytest.fixture
def files(tmp_path: Path) -> DatasetFiles:
    return DatasetFiles(tmp_path / "datasets")


def everything(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*")) if root.exists() else []


def test_what_was_written_is_opened_as_it_was(files: DatasetFiles, make: SimpleNamespace, tmp_path: Path) -> None:
    series = [make.candles(30, flags=np.ones(30, np.uint8)), make.trades(20)]
    passport = make.passport(series)
    folder = files.write(passport, series)
    assert folder == tmp_path / "datasets" / passport.hash
    row, found = files.open(passport.hash)
    assert row == passport.row()
    assert [series_digest(one) for one in found] == [series_digest(one) for one in series]
    bars = found[0]
    assert isinstance(bars, Candles)
    assert (bars.key, bars.tick, bars.lot, bars.money) == (
        series[0].key,
        series[0].tick,
        series[0].lot,
        series[0].money,
    )
    assert isinstance(bars.close.base, np.memmap)
    assert type(bars.close) is np.ndarray
    assert not bars.close.flags.writeable
    assert not [name for name in everything(tmp_path / "datasets") if "writing" in name]


def test_a_dataset_that_is_there_is_not_written_again(files: DatasetFiles, make: SimpleNamespace) -> None:
    series = [make.candles(5)]
    folder = files.write(make.passport(series), series)
    before = [(path, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*"))]
    assert files.write(make.passport(series), series) == folder
    assert [(path, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*"))] == before


def test_quotes_and_depth_come_back_with_what_they_say(files: DatasetFiles, make: SimpleNamespace) -> None:
    series = [make.quotes(), make.depth(), make.trades()]
    passport = make.passport(series)
    files.write(passport, series)
    row, found = files.open(passport.hash)
    assert row == passport.row()
    assert [one.key[1] for one in found] == ["quotes", "depth", "trades"]
    assert [series_digest(one) for one in found] == [series_digest(one) for one in series]
    assert isinstance(found[1], Depth)
    assert found[1].valid_from_ns == make.start_ns + 7


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.lists(st.tuples(COUNTS, COUNTS), max_size=9))
def test_prices_are_narrow_where_they_fit_and_equal_either_way(
    rows: list[tuple[int, int]], files: DatasetFiles, make: SimpleNamespace
) -> None:
    price, size = np.array(rows, np.int64).reshape(-1, 2).T
    trades = replace(make.trades(len(rows)), price=price, size=size)
    quotes = replace(make.quotes(len(rows)), bid=price, bid_qty=size, ask=price, ask_qty=size)
    depth = replace(make.depth(len(rows)), price=price, size=size)
    passport = replace(make.passport([make.candles(1)]), hash=content_hash([trades, quotes, depth]))
    files.write(passport, [trades, quotes, depth])
    _, found = files.open(passport.hash)
    assert [series_digest(one) for one in found] == [series_digest(one) for one in (trades, quotes, depth)]
    for column, wanted in ((price, "price"), (size, "size")):
        fits = all(-(2**31) <= one < 2**31 for one in column.tolist())
        for one in (found[0], found[2]):
            assert getattr(one, wanted).dtype == (np.int32 if fits else np.int64)
            assert getattr(one, wanted).tolist() == column.tolist()
    assert isinstance(found[1], Quotes)
    assert (found[1].bid.tolist(), found[1].ask_qty.tolist()) == (price.tolist(), size.tolist())


# --- the block index ------------------------------------------------------------------------------------------------


def test_the_index_lies_beside_the_columns_and_is_mapped(files: DatasetFiles, make: SimpleNamespace) -> None:
    series = [make.trades(200), make.candles(70), make.quotes()]
    passport = make.passport(series)
    folder = files.write(passport, series)
    for number in (0, 1):
        index = files.block_index(passport.hash, number)
        assert index.digest() == BlockIndex.of(series[number]).digest()
        assert isinstance(index.levels[0].table.base, np.memmap)
    assert not list((folder / "2").glob("index*"))
    with pytest.raises(Invalid, match="quotes raw has no block index"):
        files.block_index(passport.hash, 2)
    with pytest.raises(NotFound, match="has 3 series, no number 3"):
        files.block_index(passport.hash, 3)


def _nothing(file: Path) -> None:
    file.unlink()


def _garbage(file: Path) -> None:
    file.write_bytes(b"\x93NUMPY garbage")


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _changed(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("name", ["index_64.npy", "index_4096.npy", "index_262144.npy", "index.json"])
@pytest.mark.parametrize("spoil", [_nothing, _garbage, _empty, _changed])
def test_an_index_that_is_absent_or_wrong_is_made_anew(
    name: str, spoil: Callable[[Path], None], files: DatasetFiles, make: SimpleNamespace
) -> None:
    series = [make.trades(200)]
    passport = make.passport(series)
    folder = files.write(passport, series)
    before = {file.name: file.read_bytes() for file in (folder / "0").iterdir()}
    spoil(folder / "0" / name)
    assert files.block_index(passport.hash, 0).digest() == BlockIndex.of(series[0]).digest()
    assert {file.name: file.read_bytes() for file in (folder / "0").iterdir()} == before
    assert everything(files.root) == sorted([passport.hash, *(f"{passport.hash}/{one}" for one in everything(folder))])


def test_the_index_of_another_series_is_not_taken_for_this_one(files: DatasetFiles, make: SimpleNamespace) -> None:
    series, other = [make.trades(200)], [replace(make.trades(200), price=make.trades(200).price + 1)]
    folder, foreign = (files.write(make.passport(one), one) for one in (series, other))
    for file in (foreign / "0").glob("index*"):
        (folder / "0" / file.name).write_bytes(file.read_bytes())
    assert files.block_index(folder.name, 0).digest() == BlockIndex.of(series[0]).digest()


def test_where_nothing_can_be_written_the_index_stays_in_memory(
    files: DatasetFiles, make: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = [make.trades(200)]
    folder = files.write(make.passport(series), series)
    (folder / "0" / "index.json").unlink()

    def refused(self: Path, target: Path) -> Path:
        raise OSError(30, "Read-only file system", f"{self} to {target}")

    monkeypatch.setattr(Path, "rename", refused)
    assert files.block_index(folder.name, 0).digest() == BlockIndex.of(series[0]).digest()
    assert not (folder / "0" / "index.json").exists()
    assert not [name for name in everything(files.root) if "writing" in name]


def test_a_dataset_of_before_there_was_an_index_gets_one(files: DatasetFiles, make: SimpleNamespace) -> None:
    series = [make.trades(200)]
    folder = files.write(make.passport(series), series)
    for file in (folder / "0").glob("index*"):
        file.unlink()
    files.block_index(folder.name, 0)
    assert len(list((folder / "0").glob("index*"))) == 4


def test_series_without_rows_are_opened_too(files: DatasetFiles, make: SimpleNamespace) -> None:
    series = [make.candles(0)]
    passport = replace(make.passport([make.candles(1)]), hash=datasets_module.content_hash(series))
    files.write(passport, series)
    assert len(files.open(passport.hash)[1][0]) == 0


def test_a_passport_of_other_series_is_refused(files: DatasetFiles, make: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="not of these series"):
        files.write(make.passport([make.candles(5)]), [make.candles(6)])
    assert everything(tmp_path / "datasets") == []


@pytest.mark.parametrize("name", ["0" * 64, "../../etc", "", "0" * 63, ".writing-1"])
def test_a_dataset_without_files_is_not_found(files: DatasetFiles, name: str) -> None:
    with pytest.raises(NotFound):
        files.open(name)


def test_many_writers_of_one_dataset_make_one_folder(
    files: DatasetFiles, make: SimpleNamespace, tmp_path: Path
) -> None:
    series = [make.candles(300)]
    passport = make.passport(series)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: files.write(passport, series), range(16)))) == 1
    assert [name for name in everything(tmp_path / "datasets") if "/" not in name] == [passport.hash]
    assert series_digest(files.open(passport.hash)[1][0]) == series_digest(series[0])


def test_a_writer_that_fails_leaves_nothing(
    files: DatasetFiles, make: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []

    def full(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 4:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(datasets_module, "_sync", full)
    series = [make.candles(5)]
    with pytest.raises(Unavailable, match="No space left on device"):
        files.write(make.passport(series), series)
    assert everything(tmp_path / "datasets") == []


def test_everything_is_on_the_disk_before_it_has_its_name(
    files: DatasetFiles, make: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    sync, rename = os.fsync, Path.rename

    def noted_sync(descriptor: int) -> None:
        events.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    def noted_rename(self: Path, target: Path) -> Path:
        events.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "rename", noted_rename)
    series = [make.candles(5)]
    folder = files.write(make.passport(series), series)
    before = events[: events.index("rename")]
    written = {path.name for path in folder.rglob("*") if path.is_file()}
    assert written <= set(before)
    assert before[-1].startswith(".writing-")
    assert events[-1] == (tmp_path / "datasets").name


# --- sweeping -------------------------------------------------------------------------------------------------------

WRITER = """
import sys, time
from pathlib import Path
from gnomon.store.datasets import DatasetFiles
with DatasetFiles(Path(sys.argv[1]))._temporary() as folder:
    (folder / "half.npy").write_bytes(b"half")
    print(folder.name, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def writer(tmp_path: Path) -> Callable[[], tuple[subprocess.Popen[str], str]]:
    def start() -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-c", WRITER, str(tmp_path / "datasets")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        return process, first_line(process)

    return start


@pytest.mark.slow
def test_a_killed_writer_is_swept_and_a_living_one_is_not(
    files: DatasetFiles, tmp_path: Path, writer: Callable[[], tuple[subprocess.Popen[str], str]]
) -> None:
    assert files.sweep() == []
    (dead, dead_name), (living, living_name) = writer(), writer()
    root = tmp_path / "datasets"
    try:
        assert files.sweep() == []
        lock = root / f"{living_name}.lock"
        assert lock.read_text().strip() == str(living.pid)
        dead.send_signal(signal.SIGKILL)
        dead.wait(60)
        assert files.sweep() == [dead_name]
        assert everything(root) == sorted([living_name, f"{living_name}.lock", f"{living_name}/half.npy"])
    finally:
        for process in (dead, living):
            put_down(process)
    assert files.sweep() == [living_name]
    assert everything(root) == []


INDEX_WRITER = """
import os, signal, sys
from pathlib import Path
import gnomon.store.index_files as index_files
from gnomon.store.datasets import DatasetFiles

synced = []
sync = index_files._sync
def killed(file):
    sync(file)
    synced.append(file.name)
    if len(synced) == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
index_files._sync = killed

import runpy
files, make = DatasetFiles(Path(sys.argv[1])), runpy.run_path(sys.argv[2])
series = [make["some_trades"](200)]
passport = make["a_passport"](series)
if sys.argv[3] == "import":
    files.write(passport, series)
else:
    files.block_index(passport.hash, 0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("file", [1, 2, 4])
def test_killed_while_it_writes_an_index_it_leaves_nothing(
    file: int, files: DatasetFiles, make: SimpleNamespace
) -> None:
    def killed(doing: str) -> None:
        maker = Path(__file__).with_name("conftest.py")
        command = [sys.executable, "-c", INDEX_WRITER, str(files.root), str(maker), doing, str(file)]
        assert subprocess.run(command, check=False, timeout=300).returncode == -signal.SIGKILL

    killed("import")
    assert [name for name in everything(files.root) if not name.startswith(".writing-")] == []
    assert len(files.sweep()) == 1
    assert everything(files.root) == []
    series = [make.trades(200)]
    folder = files.write(make.passport(series), series)
    whole = everything(folder)
    (folder / "0" / "index_64.npy").unlink()
    killed("make the index anew")
    assert everything(folder) == [name for name in whole if name != "0/index_64.npy"]
    assert len(files.sweep()) == 1
    files.block_index(folder.name, 0)
    assert everything(folder) == whole


def test_a_folder_without_a_lock_and_a_lock_without_a_folder_are_swept(files: DatasetFiles, tmp_path: Path) -> None:
    root = tmp_path / "datasets"
    (root / ".writing-1" / "0").mkdir(parents=True)
    (root / ".writing-2.lock").write_text("1")
    (root / "other").mkdir()
    assert files.sweep() == [".writing-1"]
    assert everything(root) == ["other"]


def test_sweepers_and_writers_at_once_lose_nothing(files: DatasetFiles, make: SimpleNamespace, tmp_path: Path) -> None:
    until = time.monotonic() + 1.0
    swept: list[str] = []

    def sweep() -> None:
        while time.monotonic() < until:
            swept.extend(files.sweep())

    def write(worker: int) -> list[str]:
        done = []
        for number in range(15):
            series = [make.candles(3 + worker * 100 + number)]
            done.append(files.write(make.passport(series), series).name)
        return done

    with ThreadPoolExecutor(6) as pool:
        sweepers = [pool.submit(sweep) for _ in range(3)]
        written = [name for names in pool.map(write, range(3)) for name in names]
        for one in sweepers:
            one.result(timeout=60)
    assert swept == []
    assert sorted(name for name in everything(tmp_path / "datasets") if "/" not in name) == sorted(written)
    assert all(files.open(name)[1] for name in written)
