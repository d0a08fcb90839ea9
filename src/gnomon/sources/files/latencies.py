"""Recorded latency from a CSV beside the session: columns t, feed, entry, reply, all in ns."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, Final

from gnomon.errors import Invalid, NotFound
from gnomon.replay.session import document_of

COLUMNS: Final = ["t", "feed", "entry", "reply"]


def with_latencies(text: str, folder: Path) -> str:
    """A session's text with the rows of recorded latencies in place of their files, so that it stands for itself.

    The text as it is where no leg names a file. `NotFound` for a file that is not there.
    """
    document = document_of(text)
    latency: dict[str, Any] = document.get("rules", {}).get("latency", {})
    named = [leg for leg in latency.values() if isinstance(leg, dict) and isinstance(leg.get("recorded"), str)]
    for leg in named:
        leg["recorded"] = read_latencies(folder / leg["recorded"])
    return json.dumps(document, default=str, sort_keys=True) if named else text


def read_latencies(path: Path) -> list[list[int]]:
    """Rows of (t, feed, entry, reply) in ns. `Invalid` for other columns, and for what is no whole number."""
    if not path.is_file():
        raise NotFound(f"no recorded latency at {path}", hint="a CSV with the columns t,feed,entry,reply in ns")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        head = [name.strip() for name in next(reader, [])]
        if head != COLUMNS:
            raise Invalid(f"{path.name} has the columns {head}", hint="t,feed,entry,reply")
        rows = []
        for number, row in enumerate(reader, 2):
            try:
                rows.append([int(one) for one in row])
            except ValueError:
                raise Invalid(f"{path.name}, line {number}: {','.join(row)}", hint="whole numbers of ns") from None
    return rows
