"""A point of a curve says what it measured, and the start of a process is seen as the system counts it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench.workload import peers
from bench.workload.seeded import prints, save

CURVE = peers.Peer("gnomon", "", "run_curve.py")


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(prints(4_000), tmp_path_factory.mktemp("curve") / "prints")


def point(given: Path, work: str, *options: object) -> dict[str, Any]:
    said = peers.ask(CURVE, given, work, "--every", 100, *options)
    assert "absent" not in said, said
    return said


@pytest.mark.slow
def test_what_changes_no_fill_changes_none(given: Path) -> None:
    usual = point(given, "quotes")
    assert (usual["prints"], usual["decisions"], usual["prints_a_decision"]) == (4_000, 40, 100)
    assert usual["fills"] > 20
    for options in (("--journal", "full"), ("--journal", "off"), ("--runner", "naive")):
        assert point(given, "quotes", *options)["fills"] == usual["fills"]
    assert point(given, "arrays")["fills"] == usual["fills"]
    assert point(given, "quotes", "--resting", "queue")["fills"] < usual["fills"]


@pytest.mark.slow
def test_so_many_orders_rest_at_a_time(given: Path) -> None:
    few, many = (point(given, "orders", "--orders", count) for count in (5, 20))
    # the first decision sends them all, each later one replaces one and what was filled
    for said, count in ((few, 5), (many, 20)):
        assert count + 39 <= said["orders_sent"] <= count + 39 + said["fills"]


@pytest.mark.slow
def test_a_first_run_by_hand_loads_no_numba(given: Path) -> None:
    assert point(given, "first")["has_numba"] is False
