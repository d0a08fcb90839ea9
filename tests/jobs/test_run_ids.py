"""Ids of runs: they sort by time, and no two are alike."""

from __future__ import annotations

from gnomon.jobs.run_ids import new_id


def test_ids_sort_by_the_millisecond_they_were_made_in() -> None:
    made = [new_id("run", at_ns) for at_ns in (0, 1_000_000, 1_700_000_000_000_000_000, 2**62)]
    assert made == sorted(made)
    assert {len(one) for one in made} == {len("run_") + 26}
    assert made[0].startswith("run_0000000000")


def test_ids_of_one_instant_differ() -> None:
    assert len({new_id("sweep", 5) for _ in range(1_000)}) == 1_000
