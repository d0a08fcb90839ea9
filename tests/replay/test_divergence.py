"""The first divergence against a naive walk, and the verdict for each cause of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import zip_longest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.replay.bodies import Branch, Genesis, TimerFired
from gnomon.replay.digests import config_digest
from gnomon.replay.divergence import Verdict, first_divergence
from gnomon.replay.header import RecordType
from gnomon.replay.journal import Journal
from gnomon.replay.record import Kept, Record

Run = Callable[..., Kept]


def naive(a: Kept, b: Kept) -> int:
    """The first seq at which two records are not the same bytes; 0 for none."""
    pairs = zip_longest(Record(a).entries(), Record(b).entries())
    return next((seq for seq, (one, two) in enumerate(pairs, 1) if one is None or two is None or one.raw != two.raw), 0)


def bent(run: Run, at: int, key: str, value: int, steps: int = 420) -> Kept:
    def bend(step: int, now: dict[str, int]) -> None:
        if step == at:
            now[key] = value

    return run(steps, bend=bend)


def test_a_run_repeated_is_the_same_run(run: Run) -> None:
    found = first_divergence(Record(run(30)), Record(run(30)))
    assert (found.verdict, found.seq) == (Verdict.SAME, 0)


@pytest.mark.parametrize("at", [1, 2, 170, 171, 205, 341, 342, 419, 420])
def test_another_request_is_the_traders_doing(at: int, run: Run) -> None:
    a, b = run(420), bent(run, at, "lots", 11)
    found = first_divergence(Record(a), Record(b))
    assert found.verdict is Verdict.INPUT
    assert found.seq == naive(a, b)
    assert found.a.record is not None
    assert [one.type.name for one in found.a.causes] == ["REQUEST", "DELIVER"]
    assert found.delivery == found.a.causes[1] == found.b.causes[1]
    near = range(max(1, found.seq - 5), min(found.seq + 5, Record(a).check().records) + 1)
    assert [one.seq for one in found.a.around] == list(near)
    assert "trader" in found.sentence


@pytest.mark.parametrize("at", [1, 205, 420])
def test_another_fee_is_the_engines_doing(at: int, run: Run) -> None:
    a, b = run(420), bent(run, at, "fee", 301)
    found = first_divergence(Record(a), Record(b))
    assert (found.verdict, found.seq) == (Verdict.OUTPUT, naive(a, b))
    assert found.a.record is not None
    assert found.a.record.type is RecordType.FILL
    assert [one.type.name for one in found.b.causes] == ["FILL", "QUOTED", "REQUEST", "DELIVER"]
    assert found.delivery == found.a.causes[-1]


def test_a_trader_that_asked_earlier_is_told_by_the_request_and_not_by_the_delivery(run: Run) -> None:
    a, b = run(50), bent(run, 20, "wakes", 4, steps=50)
    found = first_divergence(Record(a), Record(b))
    assert found.verdict is Verdict.INPUT
    assert found.a.record is not None
    assert found.b.record is not None
    assert (found.a.record.type, found.b.record.type) == (RecordType.REQUEST, RecordType.DELIVER)
    assert found.seq == naive(a, b)
    mirrored = first_divergence(Record(b), Record(a))
    assert mirrored.verdict is Verdict.INPUT
    assert (mirrored.b.record, mirrored.a.record) == (found.a.record, found.b.record)


def test_a_delivery_that_tells_other_things_is_the_engines_doing(genesis: Genesis) -> None:
    def play(wakes: int, upto: int, own: tuple[int, int] = (0, 0)) -> Record:
        kept = Kept()
        journal = Journal(genesis, 0, sink=kept)
        journal.deliver(80, 20, 0, 1, [(0, 0, upto)], own, wakes=wakes, first=5)
        journal.end(30, 1)
        return Record(kept)

    whole = play(3, 9)
    for other in (play(3, 8), play(2, 9), play(3, 9, (1, 2))):
        assert first_divergence(whole, other).verdict is Verdict.OUTPUT


def test_the_side_that_ends_earlier_is_named_with_its_reason(run: Run) -> None:
    whole, short = run(420), bent(run, 300, "stop", 1)
    found = first_divergence(Record(whole), Record(short))
    assert (found.verdict, found.sentence) == (Verdict.ENDED, "side b ends earlier: window")
    cut = run(420)
    cut.blocks, cut.firsts = cut.blocks[:2], cut.firsts[:2]
    found = first_divergence(Record(cut), Record(whole))
    assert (found.verdict, found.seq, found.sentence) == (Verdict.ENDED, 2_049, "side a ends earlier: it was cut off")
    assert found.a.around
    same = first_divergence(Record(cut), Record(cut))
    assert same.verdict is Verdict.SAME
    assert "neither has ended" in same.sentence


def test_what_stands_before_the_first_input_is_compared_first(run: Run, genesis: Genesis) -> None:
    config = genesis.config.replace("50000", "50001")
    others = {
        Verdict.DATASET: replace(genesis, dataset=bytes(32), engine=2),
        Verdict.CONFIG: replace(genesis, config=config, config_digest=config_digest(config), engine=2),
        Verdict.ENGINE: replace(genesis, engine=2),
    }
    for verdict, other in others.items():
        found = first_divergence(Record(run(3)), Record(run(3, genesis=other)))
        assert (found.verdict, found.seq) == (verdict, 0)
        assert found.keys == ((("fees.taker", "50000", "50001"),) if verdict is Verdict.CONFIG else ())


def test_runs_that_go_on_from_elsewhere_are_told_apart(genesis: Genesis) -> None:
    def play(at: int) -> Record:
        kept = Kept()
        Journal(genesis, at, sink=kept, branch=Branch(b"f" * 32, at, 4)).end(99, 1)
        return Record(kept)

    assert first_divergence(play(5), play(6)).verdict is Verdict.BRANCH


def test_ends_with_other_draws_or_balances_are_the_engines_doing(genesis: Genesis) -> None:
    def play(units: int, reason: int) -> Record:
        kept = Kept()
        Journal(genesis, 0, sink=kept).end(9, reason, (), [(0, 0, units)])
        return Record(kept)

    assert first_divergence(play(5, 1), play(6, 1)).verdict is Verdict.OUTPUT
    assert first_divergence(play(5, 1), play(5, 2)).verdict is Verdict.ENDED


@given(st.lists(st.integers(0, 3), max_size=60), st.lists(st.integers(0, 3), max_size=60), st.integers(0, 1_100))
@settings(max_examples=40, deadline=None)
def test_bisection_finds_what_a_walk_finds(left: list[int], right: list[int], shared: int) -> None:
    genesis = Genesis(1, 1, bytes(32), bytes(32), "{}", (), (), ())

    def play(tail: list[int]) -> Kept:
        kept = Kept()
        journal = Journal(genesis, 0, sink=kept)
        for i, one in enumerate([0] * shared + [1] * 1_000 + tail + [1] * 1_000):
            journal.put(TimerFired(one), 70, i, 0, 0)
        journal.end(10**6, 1)
        return kept

    a, b = play(left), play(right)
    assert first_divergence(Record(a), Record(b)).seq == naive(a, b)
    a.prefixes.clear()  # an index that is gone only makes it slower
    assert first_divergence(Record(a), Record(b)).seq == naive(a, b)
