"""Golden digests: the bytes of records are the same on every machine, version and hash seed. Whoever means to change
them raises `bodies.SCHEMA` (or the engine version) and writes the file anew (`tests/replay/fixed_records.py`)."""

from __future__ import annotations

import json
from pathlib import Path

from tests.replay.fixed_records import digests, write

from gnomon.replay.bodies import TYPE_OF, Failure, Pending
from gnomon.replay.record import Record

ROOT = Path(__file__).parents[2]
GOLDEN = json.loads((ROOT / "tests/golden/digests.json").read_text(encoding="utf-8"))["journal"]


def test_the_digests_of_fixed_records_are_the_golden_ones() -> None:
    assert digests() == GOLDEN


def test_every_type_is_among_the_fixed_records() -> None:
    shapes = [type(one.body) for one in Record(write()).everything()]
    assert set(TYPE_OF) - {*shapes} == {Pending, Failure}
