"""Rows of a file that break a rule: what was there, where, and which rule."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gnomon.errors import Invalid


@dataclass(frozen=True, slots=True, order=True)
class Reject:
    """One bad row.

    `line` is the row as a person would count it: the line of a text file (a header is line 1), the row of a Parquet or
    Arrow file from 1, the index of the element of a JSON array or object from 0.
    """

    file: str
    line: int
    value: str
    rule: str


def bad_rows(rejects: Sequence[Reject], count: int | None = None) -> Invalid:
    """The error that names the first bad row and says how many more there are; `count` is their true number."""
    first, total = rejects[0], len(rejects) if count is None else count
    more = f" (and {total - 1} more bad row{'s' if total > 2 else ''})" if total > 1 else ""
    return Invalid(
        f"{first.file}, line {first.line}: {first.rule}, received {first.value}{more}",
        hint="mend the file, or import the good rows with --skip-bad",
        detail={
            "file": first.file,
            "line": first.line,
            "value": first.value,
            "rule": first.rule,
            "bad_rows": total,
            "rejects": [asdict(one) for one in rejects[:20]],
        },
    )


def write_rejects(target: Path, rejects: Sequence[Reject]) -> None:
    """Write `file, line, value, rule` to a `.csv`, or to JSON lines with the suffix `.jsonl`.

    The file appears whole or not at all: it is written beside its place and renamed.
    """
    text = _json_lines(rejects) if target.suffix == ".jsonl" else _csv(rejects)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _json_lines(rejects: Sequence[Reject]) -> str:
    return "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in rejects)


def _csv(rejects: Sequence[Reject]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("file", "line", "value", "rule"))
    writer.writerows((one.file, one.line, one.value, one.rule) for one in rejects)
    return buffer.getvalue()
