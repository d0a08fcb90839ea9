"""A trader who says nothing but its pair is walked: the very bytes of the engine, whatever it says later."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import event, given, note, settings
from hypothesis import strategies as st
from tests.replay.scene import sentences
from tests.replay.test_array_run import QUIET, random_run

from gnomon.errors import GnomonError
from gnomon.replay import pair_run
from gnomon.replay.divergence import first_divergence
from gnomon.replay.record import Kept, Record
from gnomon.replay.run import Played, RunPlan, play, play_again
from gnomon.trader.trader import Strategy


class Moody(Strategy):
    """Quotes around the prints that it hears, looks at its account, and after a while does something else."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        chance = random.Random(seed)
        self.wake = {"every_nth_print": chance.choice((1, 1, 2, 3, 7, 20))}
        self.chance = random.Random(seed + 1)
        self.often = chance.choice((1, 1, 2, 5))
        self.keeps, self.posts = chance.choice((None, True, False)), chance.choice((None, True, False))
        self.moods = chance.choice(
            ((), (), ("buy",), ("read",), ("cancel",), ("raise",), ("finish",), ("odd",), ("at",))
        )
        self.after = chance.choice((3, 20, 90))
        self.looks = chance.choice((0, 1, 4))
        self.seen: list[Any] = []
        self.calls = 0

    def on_trade(self, desk: Any, trade: Any) -> None:
        self.calls += 1
        chance = self.chance
        if self.looks and self.calls % self.looks == 0:
            self.seen.append((desk.now, desk.position_lots(), desk.cash, desk.free_units))
        if self.calls > self.after and self.moods and chance.random() < 0.2:
            self.act(desk, self.moods[0])
        if chance.randrange(self.often) == 0:
            wide = chance.randint(1, 4)
            bid, ask = trade.price_ticks - wide, trade.price_ticks + chance.randint(1, 4)
            keep = chance.random() < 0.5 if self.keeps is None else self.keeps
            post_only = chance.random() < 0.5 if self.posts is None else self.posts
            bid, ask = bid * (chance.random() < 0.9), ask * (chance.random() < 0.9)
            desk.quote_ticks(bid, ask, chance.choice((1, 2, 10)), 0, post_only, keep)

    def act(self, desk: Any, mood: str) -> None:
        if mood == "buy":
            desk.buy(0, lots=1)
        elif mood == "read":
            self.seen.append(desk.price_ticks())
        elif mood == "cancel":
            desk.cancel_all()
        elif mood == "raise":
            raise ValueError("enough")
        elif mood == "finish":
            desk.finish("enough")
        elif mood == "odd":
            desk.quote_ticks(True, 2**40, 1)
        else:
            desk.after(1_000_000, "later")


def run(how: RunPlan, seed: int, *, may_walk: bool) -> tuple[Played, Kept, list[Any]]:
    trader, kept = Moody(seed), Kept()
    return play(how, trader, sink=kept, mode="full", may_walk=may_walk, raises=False), kept, trader.seen


@settings(max_examples=150, **QUIET)
@given(st.integers(0, 2**32), st.sampled_from((1, 5, 4_096)))
def test_the_walk_and_the_engine_leave_the_same_bytes(seed: int, held: int) -> None:
    how, _ = random_run(seed)
    note(f"{how.rules}")
    walked: list[bool] = []
    real = pair_run.PairRun.of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_run, "HELD", held)
        patch.setattr(pair_run.PairRun, "of", lambda *given: walked.append((it := real(*given)) is not None) or it)
        mine, kept, seen = run(how, seed, may_walk=True)
    event(f"walked {walked == [True]}, {'fills' if mine.fills else 'no fill'}")
    other, by_engine, seen_there = run(how, seed, may_walk=False)
    assert seen == seen_there
    assert sentences(mine.told) == sentences(other.told)
    same = first_divergence(Record(kept), Record(by_engine))
    unlike = {"notes"} if mine.error is not None else set()  # a traceback says where it has passed
    for one in fields(mine.digests):
        if one.name not in unlike:
            there = getattr(other.digests, one.name)
            assert getattr(mine.digests, one.name) == there, f"{seed}: {same.sentence} {same.a.record} {same.b.record}"
    if mine.error is None:
        assert b"".join(kept.blocks) == b"".join(by_engine.blocks)
    for one in fields(Played):
        if one.name not in ("error", "digests"):
            assert getattr(mine, one.name) == getattr(other, one.name), one.name
    assert repr(mine.error) == repr(other.error)


@settings(max_examples=10, **QUIET)
@given(st.integers(0, 2**32))
def test_a_walked_run_is_verified_from_its_inputs(seed: int) -> None:
    how, _ = random_run(seed)
    mine, kept, _ = run(how, seed, may_walk=True)
    assert Record(kept).check().ok
    found = play_again(Record(kept), how, Kept()).digests
    if mine.error is not None:  # what it raised is a note, which nothing is replayed from
        found = replace(found, notes=mine.digests.notes)
    assert found == mine.digests


def test_what_the_walk_does_not_know_is_never_an_error_of_its_own() -> None:
    how, _ = random_run(7)

    class Wrong(Strategy):
        wake = {"every_nth_print": 2}  # noqa: RUF012 - class data of a strategy is written so

        def on_trade(self, desk: Any, _: Any) -> None:
            desk.quote_ticks(1, 2, 0, instrument=5)

    ways = [play(how, Wrong(), raises=False, may_walk=may_walk) for may_walk in (True, False)]
    assert ways[0].digests == ways[1].digests
    assert not isinstance(ways[0].error, GnomonError) or ways[1].error
