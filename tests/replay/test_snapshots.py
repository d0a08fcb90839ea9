"""Snapshots: a run that goes on from one ends as the run that never stopped."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from tests.replay.scene import ground, plan, random_session, recorded, rough_prints, rules

from gnomon.errors import GnomonError, Invalid, Refused
from gnomon.exchange.draws import Draws
from gnomon.replay.digests import Digests
from gnomon.replay.record import Kept, Record
from gnomon.replay.run import Played, RunPlan, play, play_again, play_from
from gnomon.replay.snapshots import KeptDraws, Snapshot, Taking
from gnomon.trader.trader import Strategy


class Shelf:
    """Snapshots in memory."""

    def __init__(self) -> None:
        self.all: list[Snapshot] = []

    def add(self, snapshot: Snapshot) -> None:
        self.all.append(Snapshot.unpack(snapshot.pack()))


def snapped(how: RunPlan, trader: Any, every: int) -> tuple[Played, Record, list[Snapshot]]:
    kept, shelf = Kept(), Shelf()
    run = play(how, trader, sink=kept, mode="full", taking=Taking(shelf, every))
    return run, Record(kept), shelf.all


def outcome(one: Digests) -> dict[str, str]:
    return one.row()


def assert_goes_on(how: RunPlan, trader: Any, seed: int, every: int = 25, cuts: int = 4) -> int:
    run, record, snapshots = snapped(how, trader, every)
    chance = random.Random(seed)
    chosen = sorted(chance.sample(range(len(snapshots)), min(cuts, len(snapshots))))
    for cut in chosen:
        shelf = Shelf()
        taking = Taking(shelf, every)
        again = play_from(snapshots[: cut + 1], record, how, Kept(), taking=taking)
        assert outcome(again.digests) == outcome(run.digests), f"from snapshot {cut} of {len(snapshots)}"
        assert (again.balances, again.fills, again.orders) == (run.balances, run.fills, run.orders)
        assert (again.rejects, again.ambiguous_bars) == (run.rejects, run.ambiguous_bars)
        later = snapshots[cut + 1 :]
        assert [one.digest for one in shelf.all] == [one.digest for one in later], "and the later ones are the same"
    return len(chosen)


@pytest.mark.parametrize("seed", range(16))
def test_random_sessions_go_on_from_any_cut_to_the_digests_of_the_whole(seed: int) -> None:
    how, trader = random_session(seed)
    assert assert_goes_on(how, trader(), seed)
