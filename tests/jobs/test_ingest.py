"""Importing files: one unit a file, whatever happens to the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gnomon.clock import SimClock, Timeframe, parse_instant
from gnomon.errors import NotFound
from gnomon.jobs.ingest import FileReport, ImportOptions, import_files
from gnomon.market.instrument import Instruments
from gnomon.sources.files.read import read
from gnomon.store.store import Store

NOW = SimClock(parse_instant("2025-01-01"))


def write_bars(path: Path, *, close: float = 100.0, rows: int = 60) -> Path:
    times = (np.datetime64("2024-01-01T00:00") + np.arange(rows) * np.timedelta64(1, "h")).astype(str)
    lines = [f"{at},{close},{close + 1},{close - 1},{close},5" for at in times]
    path.write_text("timestamp,open,high,low,close,volume\n" + "\n".join(lines) + "\n")
    return path


def imported(store: Store, configured: Instruments, *paths: Path, skip_bad: bool = False) -> list[FileReport]:
    options = ImportOptions(skip_bad=skip_bad)
    return import_files(store, configured, paths, options, NOW, reject_folder=paths[0].parent / "rejects")


def test_a_folder_stands_for_its_files_and_prose_is_left_out(
    store: Store, configured: Instruments, tmp_path: Path
) -> None:
    folder = tmp_path / "bars"
    folder.mkdir()
    write_bars(folder / "BTCUSDT-1h.csv")
    (folder / "README.md").write_text("about")
    (folder / "notes.csv").write_text("not,bars\n1,2\n")
    reports = imported(store, configured, folder)
    assert [one.status for one in reports] == ["imported", "skipped", "refused"]
    assert reports[2].error is not None
    assert reports[2].error["hint"]
    assert len(store.market.datasets()) == 1


def test_what_a_killed_import_left_is_taken_up(store: Store, configured: Instruments, tmp_path: Path) -> None:
    """Killed after the dataset's folder appeared and before its rows were recorded."""
    path = write_bars(tmp_path / "BTCUSDT-1h.csv")
    half = read(path, instruments=configured)
    store.datasets.write(half.passport, half.series)
    [report] = imported(store, configured, path)
    assert (report.status, report.candles_added, report.dataset) == ("imported", 60, half.passport.hash)
    _, [series] = store.datasets.open(report.dataset)
    assert len(series) == 60


def test_the_same_content_under_another_name_is_known(store: Store, configured: Instruments, tmp_path: Path) -> None:
    first = imported(store, configured, write_bars(tmp_path / "BTCUSDT-1h.csv"))
    again = imported(store, configured, write_bars(tmp_path / "BTC_USDT-1h.csv"))
    assert [first[0].status, again[0].status] == ["imported", "known"]
    assert again[0].candles_added == 0


def test_other_values_for_known_bars_are_revisions_knowable_from_now(
    store: Store, configured: Instruments, tmp_path: Path
) -> None:
    imported(store, configured, write_bars(tmp_path / "BTCUSDT-1h.csv"))
    [later] = imported(store, configured, write_bars(tmp_path / "BTCUSDT-1h.csv", close=105.0, rows=61))
    assert (later.revisions, later.candles_added) == (60, 1)
    tape = store.market.tape([("binance:BTCUSDT", Timeframe.parse("1h"), "raw")])
    before = tape.as_of(NOW.now_ns() - 1).candles("binance:BTCUSDT", Timeframe.parse("1h"))
    after = tape.as_of(NOW.now_ns()).candles("binance:BTCUSDT", Timeframe.parse("1h"))
    assert before.tick.floats(before.close)[:60].tolist() == [100.0] * 60
    assert after.tick.floats(after.close).tolist() == [105.0] * 61


def test_paths_that_are_not_there_are_refused_before_anything_is_read(
    store: Store, configured: Instruments, tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match="no file"):
        imported(store, configured, write_bars(tmp_path / "BTCUSDT-1h.csv"), tmp_path / "absent.csv")
    assert store.market.datasets() == []
