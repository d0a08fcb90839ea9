"""Recorded latency beside a session: its rows take the place of the file's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from gnomon.errors import Invalid, NotFound
from gnomon.exchange.rules import Rules
from gnomon.replay.session import Session
from gnomon.sources.files.latencies import with_latencies

T0 = 1_700_000_000_000_000_000


def test_a_session_names_a_file_and_carries_its_rows(tmp_path: Path) -> None:
    (tmp_path / "lab.csv").write_text(f"t,feed,entry,reply\n{T0},5,6,7\n{T0 + 10},15,16,17\n")
    text = '[session]\ndataset = "d"\nfrom = "2024-01-01"\n[rules.latency]\nentry = { recorded = "lab.csv" }\n'
    whole = with_latencies(text, tmp_path)
    session = Session.parse(whole)
    table = session.rules.latency.entry.table
    assert table is not None
    assert table.at(T0 + 5) == 11
    assert session.from_ns == Session.parse(text.replace('"lab.csv"', "[[1, 1, 1, 1]]")).from_ns
    plain = '[session]\ndataset = "d"\n'
    assert with_latencies(plain, tmp_path) == plain
    with pytest.raises(NotFound, match="no recorded latency"):
        with_latencies(text.replace("lab", "bal"), tmp_path)
    (tmp_path / "lab.csv").write_text("t,feed\n1,2\n")
    with pytest.raises(Invalid, match="columns"):
        with_latencies(text, tmp_path)
    (tmp_path / "lab.csv").write_text("t,feed,entry,reply\n1,2,3,x\n")
    with pytest.raises(Invalid, match="line 2"):
        with_latencies(text, tmp_path)
    assert Rules.parse({}).latency.entry.table is None
