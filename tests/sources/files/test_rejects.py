"""Bad rows in a message and in a file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from gnomon.sources.files.rejects import Reject, bad_rows, write_rejects

REJECTS = [
    Reject("a.csv", 3, "'x, \"y\"'", "open is not a number"),
    Reject("a.csv", 9, "'ü\n'", "time goes back"),
    Reject("a.csv", 12, "-1", "volume must not be negative"),
]


def test_the_first_row_is_named_and_the_others_are_counted() -> None:
    one, two, three = (bad_rows(REJECTS[:count]) for count in (1, 2, 3))
    assert one.message == "a.csv, line 3: open is not a number, received 'x, \"y\"'"
    assert two.message.endswith("(and 1 more bad row)")
    assert three.message.endswith("(and 2 more bad rows)")
    assert bad_rows(REJECTS, 500).message.endswith("(and 499 more bad rows)")
    assert "--skip-bad" in one.hint
    assert (one.detail["line"], one.detail["rule"], one.detail["bad_rows"]) == (3, "open is not a number", 1)
    assert json.dumps(three.document())


def test_a_csv_of_rejects_reads_back(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.rejects.csv"
    write_rejects(target, REJECTS)
    with target.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["file", "line", "value", "rule"]
    assert rows[1:] == [[one.file, str(one.line), one.value, one.rule] for one in REJECTS]


def test_json_lines_of_rejects_read_back(tmp_path: Path) -> None:
    target = tmp_path / "a.jsonl"
    write_rejects(target, REJECTS)
    assert [Reject(**json.loads(line)) for line in target.read_text("utf-8").splitlines()] == REJECTS


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    write_rejects(target, REJECTS)
    before = target.read_bytes()
    with pytest.raises(AttributeError):
        write_rejects(target, [*REJECTS, None])
    blocked = tmp_path / "folder.csv"
    blocked.mkdir()
    with pytest.raises(OSError):
        write_rejects(blocked, REJECTS)
    assert target.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.csv", "folder.csv"]
