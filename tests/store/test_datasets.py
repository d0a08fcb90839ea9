"""Datasets as files: whole or absent, mapped, and swept after a killed writer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import gnomon.store.datasets as datasets_module
from gnomon.errors import Invalid, NotFound, Unavailable
from gnomon.market.candles import Candles
from gnomon.market.dataset import series_digest
from gnomon.store.datasets import DatasetFiles


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
    assert isinstance(bars.close, np.memmap)
    assert not bars.close.flags.writeable
    assert not [name for name in everything(tmp_path / "datasets") if "writing" in name]


def test_a_dataset_that_is_there_is_not_written_again(files: DatasetFiles, make: SimpleNamespace) -> None:
    series = [make.candles(5)]
    folder = files.write(make.passport(series), series)
    before = [(path, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*"))]
    assert files.write(make.passport(series), series) == folder
    assert [(path, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*"))] == before


def test_series_without_rows_are_opened_too(files: DatasetFiles, make: SimpleNamespace) -> None:
    from dataclasses import replace

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
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

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
        dead.wait()
        assert files.sweep() == [dead_name]
        assert everything(root) == sorted([living_name, f"{living_name}.lock", f"{living_name}/half.npy"])
    finally:
        for process in (dead, living):
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
    assert files.sweep() == [living_name]
    assert everything(root) == []


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
            one.result()
    assert swept == []
    assert sorted(name for name in everything(tmp_path / "datasets") if "/" not in name) == sorted(written)
    assert all(files.open(name)[1] for name in written)
