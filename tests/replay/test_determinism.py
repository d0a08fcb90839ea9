"""The proofs of determinism: the same session is the same run, whatever happens beside it, and not where it matters.

20 random sessions by default; `GNOMON_SESSIONS=200` is the long form.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from tests.replay.scene import (
    SPREAD_OUT,
    ground,
    linear,
    plan,
    random_session,
    recorded,
    restless,
    rough_prints,
    rules,
)

from gnomon.exchange.draws import COMPONENTS, Draws
from gnomon.exchange.rules import Latency, Leg
from gnomon.replay import engine, journal, streams, windows
from gnomon.replay import ground as module_of_ground
from gnomon.replay import run as module_of_run
from gnomon.replay.digests import Digests
from gnomon.replay.engine import Replay
from gnomon.replay.header import RecordType
from gnomon.replay.record import Kept, Record
from gnomon.replay.run import RunPlan, play, play_again
from gnomon.store.journals import Journals

SESSIONS = int(os.environ.get("GNOMON_SESSIONS", "20"))
FIRST = 1_000
FEW = range(FIRST, FIRST + 4)

TOLD = {RecordType.ACCEPT, RecordType.REJECT, RecordType.ORDER, RecordType.FILL, RecordType.QUOTED, RecordType.TRIGGER}

Session = tuple[RunPlan, Callable[[], Any]]


# --- the same twice ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FIRST, FIRST + SESSIONS))
def test_a_random_session_is_the_same_twice_and_again_from_its_inputs_alone(seed: int) -> None:
    """Four digests, chain and draw tallies; the second run keeps nothing, the third has no trader."""
    how, trader = random_session(seed, rows=500)
    first, record = recorded(how, trader())
    assert play(how, trader(), keeps=False).digests == first.digests
    again = Kept()
    assert play_again(record, how, again).digests == first.digests
    assert record.check().ok
    assert record.end == Record(again).end
    assert record.end is not None


def test_the_sessions_are_not_all_alike_and_do_something() -> None:
    runs = [play(how, trader()) for how, trader in (random_session(seed) for seed in range(FIRST, FIRST + 20))]
    assert len({one.digests.fingerprint for one in runs}) == len(runs)
    assert sum(one.fills for one in runs) > 300
    assert sum(one.rejects for one in runs) > 100
    drawn = [recorded(*_made(random_session(seed)))[1].end for seed in range(FIRST, FIRST + 20)]
    assert any(end is not None and end.tallies for end in drawn)


def _made(session: Session) -> tuple[RunPlan, Any]:
    how, trader = session
    return how, trader()


def test_each_leg_draws_under_its_own_component_once_for_each_event() -> None:
    """What END says of luck: entry legs by the requests that were made, reply legs by the times that something came."""
    drawn = Leg(table=SPREAD_OUT)
    how = plan(ground(rough_prints(6, 300)), rules(latency=Latency(entry=drawn, reply=drawn)))
    _, record = recorded(how, restless(3, every=3))
    requests = [one.body.number for one in record.entries() if one.type is RecordType.REQUEST]
    told = [one for one in record.entries() if one.type in TOLD]
    assert record.end is not None
    counts = {COMPONENTS[one.component]: one.count for one in record.end.tallies}
    assert counts.keys() == {"latency.entry", "latency.reply"}
    assert counts["latency.entry"] == len(requests) == max(requests)
    assert 0 < counts["latency.reply"] <= len(told)
    expected = Draws(how.seed)
    for number in requests:
        expected.latency_ns(SPREAD_OUT, "latency.entry", number)
    (tally,) = expected.tallies()
    assert tally.digest == next(
        one.digest for one in record.end.tallies if COMPONENTS[one.component] == tally.component
    )


# --- what moves nothing -----------------------------------------------------------------------------------------------


class Paused(Replay):
    """Stopped at instants that its caller gives, and going on from there."""

    stops: tuple[int, ...] = ()
    waits: Callable[[], object] = staticmethod(lambda: None)
    """What happens meanwhile."""

    def run(self) -> None:
        ends_ns = self._end_ns
        for stop_ns in self.stops:
            if self._now_ns < stop_ns < ends_ns:
                self._end_ns = stop_ns
                super().run()
                self.waits()
        self._end_ns = ends_ns
        super().run()


def paused(how: RunPlan, seed: int, count: int, waits: Callable[[], object] = lambda: None) -> type[Paused]:
    """An engine that is stopped at so many instants: between prints, and at their very stamps."""
    chance = Random(seed)
    times = [int(at_ns) for one in how.ground.tapes for at_ns in one.tape.time_ns]
    some = [chance.randrange(how.start_ns + 1, how.end_ns) for _ in range(count)]
    some += [chance.choice(times) + chance.choice([0, 0, 1]) for _ in range(count)]
    return type("Stopped", (Paused,), {"stops": tuple(sorted(some)), "waits": staticmethod(waits)})


@pytest.mark.parametrize("seed", range(FIRST, FIRST + 10))
def test_stopping_anywhere_and_going_on_moves_no_digest(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    how, trader = random_session(seed)
    whole = play(how, trader()).digests
    stopped: list[int] = []
    monkeypatch.setattr(module_of_run, "Replay", paused(how, seed, 25, lambda: stopped.append(1)))
    assert play(how, trader()).digests == whole
    assert len(stopped) > 10


def test_a_run_cut_short_is_another_run() -> None:
    """The test above has teeth: the last stop alone, without going on, is seen."""
    how, trader = random_session(FIRST)
    middle_ns = (how.start_ns + how.end_ns) // 2
    assert play(replace(how, end_ns=middle_ns), trader()).digests.outputs != play(how, trader()).digests.outputs


@pytest.mark.parametrize("seed", FEW)
def test_two_runs_in_turns_are_what_each_is_alone(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two engines in one process, each stopped and going on while the other runs: neither knows of the other."""
    sessions = [random_session(seed), random_session(seed + 100)]
    alone = [play(how, trader()).digests for how, trader in sessions]
    turn = threading.Barrier(2)
    monkeypatch.setattr(module_of_run, "Replay", lambda *given: engines[threading.current_thread().name](*given))

    def take_turns() -> None:
        try:
            turn.wait(timeout=0.02)
        except threading.BrokenBarrierError:
            turn.reset()  # the other one has ended

    engines = {str(i): paused(how, seed, 20, take_turns) for i, (how, _) in enumerate(sessions)}
    found: dict[int, Digests] = {}

    def one(i: int) -> None:
        how, trader = sessions[i]
        found[i] = play(how, trader()).digests

    threads = [threading.Thread(target=one, args=(i,), name=str(i)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
    assert [found[0], found[1]] == alone


class Observed(Kept):
    """A sink that looks at everything so far whenever something comes, and takes its time."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.chance = Random(seed)
        self.looks = 0

    def write(self, plain: bytes, first_seq: int) -> None:
        super().write(plain, first_seq)
        self.looks += sum(1 for one in Record(self).everything() if one.type is not RecordType.END)
        if self.chance.random() < 0.5:
            time.sleep(0.001)


@pytest.mark.parametrize("seed", FEW)
def test_an_observer_that_reads_the_record_as_it_grows_moves_no_digest(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    how, trader = random_session(seed)
    alone = play(how, trader()).digests
    seen = Observed(seed)
    drains: list[Callable[[], object]] = []
    make = journal.Journal

    class Watched(make):  # type: ignore[valid-type,misc]  # the class as it stands
        def __init__(self, *given: Any, **more: Any) -> None:
            super().__init__(*given, **more)
            drains.append(self.flush)

    monkeypatch.setattr(module_of_run, "Journal", Watched)
    monkeypatch.setattr(module_of_run, "Replay", paused(how, seed, 10, lambda: drains[-1]()))
    found = play(how, trader(), sink=seen, mode="full").digests
    assert replace(found, notes=alone.notes) == alone  # a look leaves a note of what may still be extended
    assert seen.looks > 50


@pytest.mark.parametrize("seed", FEW)
def test_sleeps_on_every_edge_move_no_digest(seed: int, tmp_path: Path) -> None:
    """At the trader's hooks, at its timers, and where the journal writes its file."""
    how, trader = random_session(seed)
    alone = play(how, trader()).digests
    chance = Random(seed)

    def late(hook: Callable[..., Any]) -> Callable[..., Any]:
        def called(*given: Any) -> Any:
            if chance.random() < 0.1:
                time.sleep(chance.random() / 500)
            return hook(*given)

        return called

    slow = trader()
    kinds = {name: late(getattr(slow, name)) for name in ("try_one", "on_timer", "on_trade", "on_bar", "on_fill")
             if callable(getattr(slow, name, None))}  # fmt: skip
    for name, hook in kinds.items():
        setattr(slow, name, hook)
    with Journals(tmp_path).create("r1") as sink:
        write = sink.write

        class Slow:
            mark, seal = sink.mark, sink.seal

            def write(self, plain: bytes, first_seq: int) -> None:
                time.sleep(0.002)
                write(plain, first_seq)

        assert play(how, slow, sink=Slow(), mode="full").digests == alone
    assert Journals(tmp_path).read("r1").check().ok


KNOBS = {
    "BLOCK_WAKES": streams, "BLOCK_ROWS": windows, "LEAST_WINDOWS": windows,
    "FAR_ROWS": windows, "FIRST_REACH": engine, "LAST_REACH": engine, "NOTES_HELD": journal,
}  # fmt: skip
"""How much is read, looked at or held together: what makes a run quick, and nothing else."""

SIZES = {"one at a time": 1, "three": 3, "seven": 7, "all at once": 1 << 17}


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("seed", FEW)
def test_how_much_is_taken_at_once_moves_no_digest(seed: int, sizes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    how, trader = random_session(seed)
    alone = play(how, trader()).digests
    for name, module in KNOBS.items():
        assert isinstance(getattr(module, name), int)
        monkeypatch.setattr(module, name, SIZES[sizes])
    assert play(how, trader()).digests == alone
    assert recorded(how, trader())[0].digests == alone


@pytest.mark.parametrize("seed", FEW)
def test_how_often_the_journal_is_drained_moves_no_digest(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After every record, and after every third."""
    how, trader = random_session(seed)
    alone = play(how, trader()).digests
    take = journal.Journal._take
    for every in (1, 3):
        count = iter(range(10**9))

        def drains(self: Any, kind: int, record: bytes, every: int = every, count: Iterator[int] = count) -> None:
            take(self, kind, record)
            if not next(count) % every:
                self._drain()

        monkeypatch.setattr(journal.Journal, "_take", drains)
        kept = Kept()
        assert play(how, trader(), sink=kept, mode="full").digests == alone
        assert Record(kept).check().ok
        assert len(kept.blocks) > 20


@pytest.mark.parametrize("seed", FEW)
def test_a_search_row_by_row_moves_no_digest(seed: int) -> None:
    how, trader = random_session(seed)
    assert play(how, trader(), search=linear).digests == play(how, trader()).digests


# --- what moves it ----------------------------------------------------------------------------------------------------


def _digests(how: RunPlan) -> Digests:
    return play(how, restless(3, every=3)).digests


@pytest.fixture(scope="module")
def base() -> RunPlan:
    """Prints with latencies that are drawn, so that a seed is luck."""
    return plan(ground(rough_prints(6, 300)), rules(latency=Latency(entry=Leg(table=SPREAD_OUT))))


def test_one_tick_of_a_print_that_matters_moves_data_and_outputs(base: RunPlan) -> None:
    kept = recorded(base, restless(3, every=3))[1]
    told = [one.body for one in kept.entries() if one.type is RecordType.FILL]
    row = next(one.print for one in told if one.print > 0)
    prints = base.ground.tapes[0].tape
    price = np.array(prints.price)
    price[row] += 1
    other = plan(ground(replace(prints, price=price), digest=b"\1" * 32), base.rules)
    found, moved = _digests(base), _digests(other)
    assert (found.dataset != moved.dataset, found.config == moved.config) == (True, True)
    assert found.outputs != moved.outputs


def test_one_unit_of_fee_moves_config_and_outputs(base: RunPlan) -> None:
    fees = replace(base.rules.fees, maker=base.rules.fees.maker + 1, taker=base.rules.fees.taker + 1)
    found, moved = _digests(base), _digests(replace(base, rules=replace(base.rules, fees=fees)))
    assert found.dataset == moved.dataset
    assert found.config != moved.config
    assert found.outputs != moved.outputs


def test_the_next_seed_moves_inputs_where_luck_is_drawn(base: RunPlan) -> None:
    found, moved = _digests(base), _digests(replace(base, seed=base.seed + 1))
    assert found.config != moved.config
    assert found.inputs != moved.inputs  # other arrivals
    sure = replace(base, rules=replace(base.rules, latency=Latency()))
    found, moved = _digests(sure), _digests(replace(sure, seed=sure.seed + 1))
    assert found.config != moved.config
    assert (found.inputs, found.outputs) == (moved.inputs, moved.outputs)


def test_another_engine_version_moves_the_config(base: RunPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _digests(base)
    assert module_of_run.ENGINE_VERSION == module_of_ground.ENGINE_VERSION
    monkeypatch.setattr(module_of_run, "ENGINE_VERSION", module_of_run.ENGINE_VERSION + 1)
    moved = _digests(base)
    assert found.config != moved.config
    assert found.fingerprint != moved.fingerprint


def test_one_unit_of_money_moves_config_and_outputs(base: RunPlan) -> None:
    richer = {**base.rules.balances, "USDT": base.rules.balances["USDT"] + Decimal("0.00000001")}
    found, moved = _digests(base), _digests(replace(base, rules=base.rules.with_balances(richer)))
    assert found.config != moved.config
    assert found.outputs != moved.outputs
