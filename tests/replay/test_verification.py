"""Verifying: each step fails on its own fault, and a good run passes all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from gnomon.replay.bodies import Genesis
from gnomon.replay.divergence import Verdict
from gnomon.replay.journal import Journal
from gnomon.replay.record import Kept, Record
from gnomon.replay.verification import Outcome, ledger_fault, verify

Run = Callable[..., Kept]


@dataclass
class Again:
    """An engine that gives what it is told to give."""

    result: Kept
    dataset: bytes | None = bytes(range(32))

    def dataset_digest(self, genesis: Genesis) -> bytes | None:
        return self.dataset if genesis.engine else None

    def replay(self, record: Record, into: Kept) -> None:
        assert record.genesis
        into.blocks, into.firsts = self.result.blocks, self.result.firsts
        into.prefixes, into.digests = self.result.prefixes, self.result.digests


def test_a_good_run_is_verified_step_by_step(run: Run) -> None:
    found = verify(Record(run(30)), Again(run(30)))
    assert found.outcome is Outcome.VERIFIED
    assert [step.split(":")[0] for step in found.steps] == ["record", "dataset", "config", "replay", "ledger"]


def test_a_damaged_record_differs_and_a_cut_one_cannot_be_checked(run: Run) -> None:
    damaged, cut = run(30), run(30)
    damaged.blocks[0] = damaged.blocks[0][:-1] + b"\xff"
    assert verify(Record(damaged), Again(run(30))).outcome is Outcome.DIFFERS
    cut.digests = None
    found = verify(Record(cut), Again(run(30)))
    assert found.outcome is Outcome.UNCHECKED
    assert "not whole" in found.steps[-1]


def test_a_dataset_that_is_not_at_hand_cannot_be_checked_and_another_differs(run: Run) -> None:
    missing = verify(Record(run(3)), Again(run(3), dataset=None))
    assert (missing.outcome, "not at hand" in missing.steps[-1]) == (Outcome.UNCHECKED, True)
    assert verify(Record(run(3)), Again(run(3), dataset=bytes(32))).outcome is Outcome.DIFFERS


def test_a_config_that_is_not_the_digested_one_differs(run: Run, genesis: Genesis) -> None:
    kept = run(3, genesis=replace(genesis, config="{}"))
    found = verify(Record(kept), Again(kept))
    assert (found.outcome, "config" in found.steps[-1]) == (Outcome.DIFFERS, True)


def test_a_replay_that_differs_shows_where(run: Run) -> None:
    def bend(step: int, now: dict[str, int]) -> None:
        now["fee"] += step == 12

    found = verify(Record(run(30)), Again(run(30, bend=bend)))
    assert found.outcome is Outcome.DIFFERS
    assert found.divergence is not None
    assert found.divergence.verdict is Verdict.OUTPUT


@pytest.mark.parametrize(
    ("entries", "closing", "fault"),
    [
        ([(0, 0, 5), (4, 0, -4)], [], "sum to zero"),
        ([(0, 0, 5), (4, 1, -5)], [], "sum to zero"),
        ([(0, 0, -5), (4, 0, 5)], [(0, 0, -5), (4, 0, 5)], "free of asset 0 is -5"),
        ([(1, 2, -5), (4, 2, 5)], [(1, 2, -5), (4, 2, 5)], "locked of asset 2 is -5"),
        ([(0, 0, 5), (4, 0, -5)], [(0, 0, 6), (4, 0, -5)], "closing balances"),
        ([(0, 0, 5), (4, 0, -5)], [], "closing balances"),
        ([(0, 0, 5), (4, 0, -5)], [(0, 0, 5), (4, 0, -5), (2, 1, 0)], ""),
    ],
)
def test_money_that_does_not_add_up_is_found(
    entries: list[tuple[int, int, int]], closing: list[tuple[int, int, int]], fault: str, genesis: Genesis
) -> None:
    kept = Kept()
    journal = Journal(genesis, 0, sink=kept)
    journal.posting(30, 1, 0, 0, entries)
    journal.end(2, 1, (), closing)
    found = ledger_fault(Record(kept))
    assert fault in found
    assert bool(found) == bool(fault)


def test_locks_and_releases_move_money_too(genesis: Genesis) -> None:
    kept = Kept()
    journal = Journal(genesis, 0, sink=kept)
    journal.posting(0, 0, 0, 0, [(4, 0, -100), (0, 0, 100), (4, 1, -100), (0, 1, 100)])
    journal.accept(60, 1, 0, 0, 1, 1, 2, 0, 30, 0, 0)
    journal.quoted(60, 1, 0, 0, (2, 0, 0, 1, 2, 3, 0, 0, 0, 0), 40, 7, 0, 0)
    journal.quoted(60, 1, 0, 0, (3, 0, 0, 1, 4, 5, 2, 3, 0, 0), 20, 5, 40, 7)
    fill = (1, 1, 0, 1, 4, 1, 1, 2, 0, 0, 0, 0, *[0] * 16)
    journal.fill(30, 2, 0, 0, fill, 0, 0, 6)
    journal.order(60, 3, 0, 0, 1, 5, 0, 0, 10, 0, 4)
    journal.end(4, 1, (), [(4, 0, -100), (4, 1, -100), (0, 0, 60), (1, 0, 40), (0, 1, 95), (1, 1, 5)])
    assert ledger_fault(Record(kept)) == ""
