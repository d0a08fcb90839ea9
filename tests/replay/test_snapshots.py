"""Snapshots: a run that goes on from one ends as the run that never stopped."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from tests.replay.scene import random_session
from tests.replay.test_book_watch import session

from gnomon.replay.digests import differences
from gnomon.replay.record import Kept, Record
from gnomon.replay.run import Played, RunPlan, play, play_again, play_from
from gnomon.replay.snapshots import Snapshot, Taking


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


def found_in(one: Snapshot) -> dict[str, Any]:
    """All of it but how far the watches over recorded books have looked."""
    document = one.document
    document["watches"] = [watch for watch in document["watches"] if "_passed" not in watch]
    return document


def assert_same_places(some: Sequence[Snapshot], others: Sequence[Snapshot]) -> int:
    """Snapshots of one moment are the same. Moments may differ: a request that nothing can precede is applied at once
    or waits in the heap, as the watches happen to have looked ahead."""
    known = {(one.seq, one.t): one for one in some}
    both = [(known[one.seq, one.t], one) for one in others if (one.seq, one.t) in known]
    for one, other in both:
        assert found_in(one) == found_in(other), differences(one.state.decode(), other.state.decode())[:5]
    return len(both)


def assert_goes_on(how: RunPlan, trader: Any, seed: int, every: int = 25, cuts: int = 4) -> int:
    run, record, snapshots = snapped(how, trader, every)
    chance = random.Random(seed)
    chosen = sorted(chance.sample(range(len(snapshots)), min(cuts, len(snapshots))))
    for cut in chosen:
        shelf = Shelf()
        taking = Taking(shelf, every)
        again = play_from(snapshots[: cut + 1], record, how, Kept(), taking=taking)
        assert again.digests.row() == run.digests.row(), f"from snapshot {cut} of {len(snapshots)}"
        assert (again.balances, again.fills, again.orders) == (run.balances, run.fills, run.orders)
        assert (again.rejects, again.ambiguous_bars) == (run.rejects, run.ambiguous_bars)
        assert_same_places(shelf.all, snapshots[cut + 1 :])
    return len(chosen)


@pytest.mark.parametrize("seed", range(16))
def test_random_sessions_go_on_from_any_cut_to_the_digests_of_the_whole(seed: int) -> None:
    how, trader = random_session(seed)
    assert assert_goes_on(how, trader(), seed)


@pytest.mark.parametrize("seed", range(8))
def test_so_do_sessions_on_recorded_books(seed: int) -> None:
    how, trader = session(seed)
    assert assert_goes_on(how, trader(), seed)


def test_what_is_taken_without_the_trader_is_the_same() -> None:
    """A snapshot holds nothing of who decided."""
    for seed in (0, 3, 6):
        how, trader = random_session(seed)
        _, record, mine = snapped(how, trader(), 30)
        shelf = Shelf()
        play_again(record, how, Kept(), taking=Taking(shelf, 30))
        assert assert_same_places(shelf.all, mine) > 3


class Watches(Strategy):
    """Woken by prices, volume, quotes, phases, timers, silence; asks for more watches as it goes."""

    wake: ClassVar[Mapping[str, Any]] = {
        "every_nth_print": 11, "volume": 900, "price_cross": [10_003, -9_990], "quotes": True, "session": True,
        "degraded": True, "own_events": True,
    }  # fmt: skip

    def on_start(self, desk: Any) -> None:
        desk.every("1s", "tick")

    def on_trade(self, desk: Any, trade: Any) -> None:
        desk.quote_ticks(trade.price_ticks - 2, trade.price_ticks + 2, 5)
        if trade.position % 4 == 0:
            desk.watch_price(trade.price_ticks + 3)

    def on_quote(self, desk: Any, _quote: Any) -> None:
        desk.note("quoted")

    def on_session(self, desk: Any, phase: str) -> None:
        desk.note(phase)

    def on_degraded(self, desk: Any, why: str) -> None:
        desk.note(why)

    def on_timer(self, desk: Any, name: str) -> None:
        desk.note(name)

    def on_fill(self, desk: Any, fill: Any) -> None:
        desk.note(f"{fill.lots}")
