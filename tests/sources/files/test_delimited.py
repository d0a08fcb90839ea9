"""Text tables before any rule: what is the header, which line is which row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gnomon.sources.files.delimited import Delimited, sniff

FLOAT = {"a": pa.float64(), "b": pa.float64()}
BOTH = {"a": 0, "b": 1}


def _sniff(text: str | bytes) -> Delimited:
    return sniff("f.csv", text.encode() if isinstance(text, str) else text)


@pytest.mark.parametrize(
    ("text", "header", "sample", "line"),
    [
        ("a,b\n1,2\n", ("a", "b"), ("1", "2"), 2),
        ("1,2\n3,4\n", (), ("1", "2"), 1),
        ("\n\na;b\n\n1;2", ("a", "b"), ("1", "2"), 5),
        ("a\tb\r\n1\t2\r\n", ("a", "b"), ("1", "2"), 2),
        ("a,b\r1,2\r", ("a", "b"), ("1", "2"), 2),
        ("\ufeff,Open\n0,1\n", ("", "Open"), ("0", "1"), 2),
        ("2024-01-01 00:00:00,x\n", (), ("2024-01-01 00:00:00", "x"), 1),
        ("a,b\n", ("a", "b"), (), 2),
        ('"a","b, c"\n1,2\n', ("a", "b, c"), ("1", "2"), 2),
    ],
)
def test_delimiter_header_and_first_row(text: str, header: tuple[str, ...], sample: tuple[str, ...], line: int) -> None:
    sheet = _sniff(text)
    assert (sheet.header, sheet.sample, sheet.first_line) == (header, sample, line)


def test_numbers_come_as_numbers_and_can_be_spelled_again() -> None:
    cells = _sniff("a,b\n1.50,2\n3,4.25\n").read(BOTH, FLOAT)
    assert cells.columns["a"].tolist() == [1.5, 3.0]
    assert cells.text("a").to_pylist() == ["1.50", "3"]
    assert cells.lines.tolist() == [2, 3]


@pytest.mark.parametrize("blocks", [1, pytest.param(60_000, marks=pytest.mark.slow)])
def test_every_row_keeps_its_line_whatever_is_broken(blocks: int) -> None:
    """Rows of another width, blank lines and stray quotes, also past the size of one block of the reader."""
    unit = ["1,2", "x,2", "", "1,2,3", '"1,2', "7", '"1","2"', "1,2"]
    lines = ["a,b", *(unit * blocks)]
    cells = _sniff("\n".join(lines)).read(BOTH, FLOAT)
    assert [broken.line for broken in cells.broken[:2]] == [5, 7]
    whole = [number for number, line in enumerate(lines, 1) if number > 1 and line.count(",") == 1]
    assert cells.lines.tolist() == whole
    assert len(cells.broken) == 2 * blocks
    spelled = np.array(cells.columns["a"].to_pylist())
    assert (spelled == np.array([lines[number - 1].split(",")[0].strip('"') for number in whole])).all()


def test_a_broken_row_shows_its_beginning_and_the_rule() -> None:
    (broken,) = _sniff("a,b\n1,2\n" + "9," * 100 + "\n").read(BOTH, FLOAT).broken
    assert (broken.line, broken.rule) == (3, "a row has 101 fields where 2 are expected")
    assert broken.value == repr(("9," * 100)[:80])


def test_only_broken_rows_leave_an_empty_table() -> None:
    cells = _sniff("a,b\n1\n2\n").read(BOTH, FLOAT)
    assert (len(cells.lines), [broken.line for broken in cells.broken]) == (0, [2, 3])
