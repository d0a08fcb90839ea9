"""Snapshots: a run that goes on from one ends as the run that never stopped."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.replay.scene import ground, plan, random_rules, random_session, restless, rough_prints, rules
from tests.replay.test_book_watch import session
from tests.replay.test_ghost import Ends
from tests.replay.test_notices import of_everything, restless_listener

from gnomon.errors import Invalid, Refused
from gnomon.exchange.draws import Draws, LatencyTable
from gnomon.exchange.rules import Latency, Leg
from gnomon.replay.digests import canonical, differences
from gnomon.replay.record import Kept, Record
from gnomon.replay.run import Played, RunPlan, play, play_again, play_from
from gnomon.replay.snapshots import KeptDraws, Snapshot, Taking, TakingReplay, fitting
from gnomon.trader.trader import Strategy


class Shelf:
    """Snapshots in memory."""

    def __init__(self) -> None:
        self.all: list[Snapshot] = []
        self.refusal = ""

    def add(self, snapshot: Snapshot) -> None:
        self.all.append(Snapshot.unpack(snapshot.pack()))

    def refuse(self, why: str) -> None:
        self.refusal = why


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


@pytest.mark.parametrize("seed", range(6))
def test_so_do_sessions_in_which_everything_wakes(seed: int) -> None:
    """Prices, volume, quotes, phases, silences, news, candles, timers, own events."""
    assert assert_goes_on(of_everything(seed), restless_listener(seed), seed, every=40)


@pytest.mark.parametrize("way", ["finish", "fail"])
@pytest.mark.parametrize("at", [18, 60])
def test_so_do_runs_that_their_trader_ends(at: int, way: str) -> None:
    how = plan(ground(rough_prints(3, 200)), rules(latency=Latency(entry=Leg(300_000_000), reply=Leg(200_000_000))))
    kept, shelf = Kept(), Shelf()
    run = play(how, Ends(at, way), sink=kept, mode="full", raises=False, taking=Taking(shelf, 20))
    for cut in range(1, len(shelf.all) + 1):
        again = play_from(shelf.all[:cut], Record(kept), how, Kept())
        assert again.digests.row() == run.digests.row()
        assert again.reason is run.reason
    assert shelf.all


def test_keeping_snapshots_moves_no_digest() -> None:
    for seed in range(4):
        how, trader = random_session(seed)
        run, _, snapshots = snapped(how, trader(), 25)
        assert run.digests.row() == play(how, trader()).digests.row()
        assert snapshots


def test_a_run_without_snapshots_is_driven_by_the_plain_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("nobody asked for snapshots")

    monkeypatch.setattr(TakingReplay, "__init__", never)
    how, trader = random_session(2)
    assert play(how, trader()).orders


# --- what it refuses ------------------------------------------------------------------------------------------------


def a_snapped_run() -> tuple[RunPlan, Record, list[Snapshot]]:
    how, trader = random_session(5)
    _, record, snapshots = snapped(how, trader(), 60)
    return how, record, snapshots[:3]


def changed(one: Snapshot, path: tuple[Any, ...], value: Any) -> Snapshot:
    document = one.document
    place = document
    for step in path[:-1]:
        place = place[step]
    assert place[path[-1]] != value
    place[path[-1]] = value
    return replace(one, state=canonical(document).encode())


def test_one_unit_of_money_in_the_state_is_seen_in_what_follows() -> None:
    how, record, snapshots = a_snapped_run()
    free = snapshots[-1].document["ledger"]["free"]
    wrong = changed(snapshots[-1], ("ledger", "free"), [free[0] + 1, *free[1:]])
    with pytest.raises(Refused, match="does not add up"):
        play_from([*snapshots[:-1], wrong], record, how, Kept())


@pytest.mark.parametrize("name", ["_requests", "_timers"])
def test_a_counter_that_is_off_by_one_moves_the_digests(name: str) -> None:
    how, record, snapshots = a_snapped_run()
    count = snapshots[0].document["engine"][name]
    wrong = changed(snapshots[0], ("engine", name), count + 1)
    run = play_again(record, how, Kept())
    assert play_from([wrong], record, how, Kept()).digests.fingerprint != run.digests.fingerprint


def test_a_damaged_one_is_not_read() -> None:
    _, _, snapshots = a_snapped_run()
    packed = bytearray(snapshots[0].pack())
    assert Snapshot.unpack(bytes(packed)) == snapshots[0]
    for at in (0, 5, 20, 60, 100, len(packed) - len(snapshots[0].asked) - 1):
        packed[at] ^= 1
        with pytest.raises(Invalid):
            Snapshot.unpack(bytes(packed))
        packed[at] ^= 1
    with pytest.raises(Invalid, match="10 bytes"):
        Snapshot.unpack(bytes(packed[:10]))


def test_other_rules_another_journal_and_missing_draws_are_refused() -> None:
    how, record, snapshots = a_snapped_run()
    dearer = replace(how, rules=replace(how.rules, fees=replace(how.rules.fees, taker=how.rules.fees.taker + 1)))
    with pytest.raises(Refused, match="others now"):
        play_from(snapshots, record, dearer, Kept())
    _, other, _ = snapped(how, restless(99), 60)
    assert fitting(record, snapshots) == len(snapshots)
    assert fitting(other, snapshots) == 0
    with pytest.raises(Refused, match="another journal"):
        play_from(snapshots, other, how, Kept())


def test_draws_that_are_missing_are_refused() -> None:
    chance = next(seed for seed in range(30) if drawn(seed))
    how, trader = random_session(chance)
    _, record, snapshots = snapped(how, trader(), 40)
    with pytest.raises(Invalid, match="draws beside"):
        play_from(snapshots[1:2], record, how, Kept())


def drawn(seed: int) -> bool:
    return isinstance(random_rules(seed).latency.entry.table, LatencyTable)


def test_state_that_nobody_thought_of_is_refused() -> None:
    """The engine is free to grow: a snapshot says that it does not know what has grown."""

    class Grown(Strategy):
        def on_trade(self, desk: Any, trade: Any) -> None:
            desk.quote_ticks(trade.price_ticks - 3, trade.price_ticks + 3, 5)

    how = plan(ground(rough_prints(3, 80)), rules())

    class Curious(Shelf):
        def add(self, snapshot: Snapshot) -> None:
            super().add(snapshot)
            engine.mood = "good"

    class Noted(TakingReplay):
        def __init__(self, *args: Any, **more: Any) -> None:
            nonlocal engine
            super().__init__(*args, **more)
            engine = self

    engine: Any = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gnomon.replay.run.TakingReplay", Noted)
        shelf = Curious()
        run = play(how, Grown(), sink=Kept(), mode="full", taking=Taking(shelf, 10))
    assert shelf.refusal == "a snapshot does not know Noted.mood"
    assert len(shelf.all) == 1
    assert run.digests.row() == play(how, Grown()).digests.row(), "the run itself went on"


def test_what_stands_from_the_start_is_refused_before_anything_has_happened() -> None:
    class Known(TakingReplay):
        def __init__(self, *args: Any, **more: Any) -> None:
            self.mood = "good"
            super().__init__(*args, **more)

    how, trader = random_session(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gnomon.replay.run.TakingReplay", Known)
        with pytest.raises(Refused, match=r"does not know Known\.mood"):
            play(how, trader(), taking=Taking(Shelf(), 10))


def test_kept_draws_are_the_same_draws_and_are_brought_back_from_what_was_asked() -> None:
    told: Any = Draws(7)
    assert KeptDraws(7).u64("latency.entry", 3) == told.u64("latency.entry", 3)
    kept = KeptDraws(7)
    for entity in range(1_000):
        assert kept.u64("latency.reply", entity) == told.u64("latency.reply", entity)
    kept.note("latency.feed", 5)
    asked, tallies = kept.take_asked(), kept.tallies()
    again = KeptDraws(7)
    again.restore([asked], [[one.component, one.count, one.digest.hex()] for one in tallies])
    assert again.tallies() == tallies
    assert kept.take_asked().count(b"\x05") == 0, "and only what is new is taken the next time"
    with pytest.raises(Invalid, match="draws beside"):
        KeptDraws(8).restore([], [[one.component, one.count, one.digest.hex()] for one in tallies])
