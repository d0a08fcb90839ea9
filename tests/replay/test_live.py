"""A run that is driven from outside is the run that it would have been in process."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from tests.replay.fixed_runs import runs
from tests.replay.outside import Outside
from tests.replay.scene import T0, ground, plan, random_session, rules, seeded_prints

from gnomon.errors import Conflict
from gnomon.exchange.order import Cancel, OrderType, Place, Side
from gnomon.exchange.outcome import Filled, Outcome
from gnomon.exchange.rules import Latency, Leg
from gnomon.replay.bodies import EndReason
from gnomon.replay.live import OPERATOR, LiveRun, Said
from gnomon.replay.record import Kept, Record
from gnomon.replay.run import RunPlan, play, play_again
from gnomon.trader.trader import Wake
from gnomon.units import INT64_MAX


@pytest.mark.parametrize("name", ["prints", "late", "bars", "two"])
def test_from_outside_it_has_the_digests_it_has_in_process(name: str) -> None:
    how, trader = runs()[name]
    inside = play(how, trader)
    how, trader = runs()[name]
    outside = Outside(how, trader).play()
    assert outside.digests == inside.digests
    assert outside.fills == inside.fills > 0


@pytest.mark.parametrize("seed", range(12))
def test_so_does_a_random_session_however_it_is_stopped_on_the_way(seed: int) -> None:
    how, make = random_session(seed)
    inside = play(how, make())
    dice = random.Random(seed)
    found = Outside(how, make()).play(lambda now_ns: now_ns + dice.randrange(1, 10 ** dice.randrange(1, 12)))
    assert found.digests == inside.digests


class Wild:
    """Sends whatever it likes whenever it likes, woken by its own events alone."""

    def __init__(self, how: RunPlan, seed: int) -> None:
        self.kept = Kept()
        self.run = LiveRun(how, Wake(own_events=True, timers=True), self, sink=self.kept)
        self.told: list[Outcome] = []
        self.answers: dict[int, int] = {}
        self._dice = random.Random(seed)

    def came(self, _now_ns: int, due_ns: int, request: int, outcomes: Sequence[Outcome]) -> None:
        self.told += outcomes
        if request:
            self.answers[request] = due_ns

    def go(self, times: int) -> None:
        run, dice = self.run, self._dice
        run.open(Said(timers=[(run.now_ns + 5, "first")]))
        for _ in range(times):
            until_ns = run.now_ns + dice.randrange(1, 2_000_000_000)
            while run.step(until_ns) is not None:
                run.answer(Said())
            if run.is_over:
                return
            last = run.exchange.books[0].last_price() or 10_000
            for _ in range(dice.randrange(3)):
                side = dice.choice((Side.BUY, Side.SELL))
                price = last + dice.randrange(-3, 4)
                place = Place(0, side, OrderType.LIMIT, dice.randrange(1, 30), price)
                asked = dice.choice((place, place, Cancel(0, dice.randrange(1, 40))))
                run.send(Said(requests=[asked]))


@pytest.mark.parametrize("name", ["prints", "late", "two"])
@pytest.mark.parametrize("seed", range(6))
def test_requests_between_wakes_are_replayed_from_the_record_alone(name: str, seed: int) -> None:
    how, _ = runs()[name]
    wild = Wild(how, seed)
    wild.go(150)
    if not wild.run.is_over:
        wild.run.detach(OPERATOR, "enough")
    played = wild.run.close()
    assert any(isinstance(one, Filled) for one in wild.told)
    record = Record(wild.kept)
    again = Kept()
    assert play_again(record, how, again).digests == played.digests


class Breathless(Wild):
    """Says several things to one wake and between wakes, as they come: a timer, then an order, then a timer."""

    def go(self, times: int) -> None:
        run, dice = self.run, self._dice
        run.open(Said())
        for _ in range(dice.randrange(4)):
            run.send(self._breath())
        for number in range(times):
            run.send(Said(timers=[(run.now_ns + dice.randrange(1, 10**9), f"tick {number}")]))
            wake = run.step(run.now_ns + dice.randrange(1, 2_000_000_000))
            while wake is not None:
                for _ in range(dice.randrange(4)):
                    run.send(self._breath())
                run.answer(self._breath())
                wake = run.step(run.now_ns)
            if run.is_over:
                return
            for _ in range(dice.randrange(4)):
                run.send(self._breath())

    def _breath(self) -> Said:
        dice, run = self._dice, self.run
        last = run.exchange.books[0].last_price() or 10_000
        place = Place(0, dice.choice((Side.BUY, Side.SELL)), OrderType.LIMIT, 5, last + dice.randrange(-3, 4))
        timer = (run.now_ns + dice.randrange(1, 10**9), "shim")
        return Said(requests=[place] * dice.randrange(2), timers=[timer] * dice.randrange(2))


@pytest.mark.parametrize("name", ["prints", "late", "two"])
@pytest.mark.parametrize("seed", range(6))
def test_what_is_said_to_one_wake_piece_by_piece_is_replayed_in_that_order(name: str, seed: int) -> None:
    how, _ = runs()[name]
    wild = Breathless(how, seed)
    wild.go(60)
    if not wild.run.is_over:
        wild.run.detach(OPERATOR, "enough")
    played = wild.run.close()
    record = Record(wild.kept)
    types = [one.type.name for one in record.inputs()]
    assert ("TIMER_SET", "REQUEST", "TIMER_SET") in set(zip(types, types[1:], types[2:], strict=False))
    assert play_again(record, how, Kept()).digests == played.digests


def test_every_request_has_its_answer_and_the_number_that_was_foretold() -> None:
    wild = Wild(runs()["late"][0], 3)
    wild.run.open(Said())
    number = wild.run.next_request
    wild.run.send(Said(requests=[Cancel(0, 99)]))
    while number not in wild.answers:
        if wild.run.step(wild.run.now_ns + 1_000_000) is not None:
            wild.run.answer(Said())
    assert wild.answers[number] > T0


def test_it_says_when_the_next_of_several_requests_arrives() -> None:
    how = plan(ground(seeded_prints(200)), rules(latency=Latency(entry=Leg(5_000_000))))
    run = Wild(how, 0).run
    run.open(Said())
    assert run.next_arrival_ns == INT64_MAX
    arrivals = []
    for _ in range(3):
        run.send(Said(requests=[Cancel(0, 99)]))
        arrivals.append(run.arrival_ns)
        while run.step(run.now_ns + 1_000_000) is not None:
            run.answer(Said())
    assert run.now_ns < arrivals[0] == run.next_arrival_ns < arrivals[1]
    while run.step(arrivals[0]) is not None:
        run.answer(Said())
    assert run.next_arrival_ns == arrivals[1]
    while run.step(arrivals[2]) is not None:
        run.answer(Said())
    assert run.next_arrival_ns == INT64_MAX


def test_a_wake_without_an_answer_holds_the_clock() -> None:
    how = plan(ground(seeded_prints(50)), rules())
    wild = Wild(how, 0)
    wild.run.open(Said(timers=[(how.start_ns + 10, "one")]))
    assert wild.run.step(how.end_ns) is not None
    with pytest.raises(Conflict, match="no answer yet"):
        wild.run.step(how.end_ns)
    wild.run.answer(Said())
    assert wild.run.step(how.end_ns) is None
    assert wild.run.is_over


def test_one_that_an_operator_ends_says_so_and_keeps_its_orders_open() -> None:
    how = plan(ground(seeded_prints(200)), rules())
    wild = Wild(how, 0)
    wild.run.open(Said())
    wild.run.step(how.start_ns + 1_000_000)
    wild.run.send(Said(requests=[Place(0, Side.BUY, OrderType.LIMIT, 1, 1)]))
    wild.run.step(how.start_ns + 2_000_000)
    wild.run.detach(OPERATOR, "seek", EndReason.SEEK)
    played = wild.run.close()
    assert (played.reason, played.why) == (EndReason.SEEK, "seek")
    again = play_again(Record(wild.kept), how, Kept())
    assert again.digests == played.digests
    assert again.reason is EndReason.SEEK


def test_a_trader_that_fails_has_its_orders_cancelled_and_its_words_kept() -> None:
    how = plan(ground(seeded_prints(200)), rules())
    wild = Wild(how, 0)
    wild.run.open(
        Said(timers=[(how.start_ns + 3_000_000, "boom")], requests=[Place(0, Side.BUY, OrderType.LIMIT, 1, 1)])
    )
    while (wake := wild.run.step(how.end_ns)) is not None and wake.kind != "timer":
        wild.run.answer(Said())
    wild.run.fail(Said(), "Traceback\nValueError: boom")
    played = wild.run.close()
    assert (played.reason, played.why) == (EndReason.FAILED, "ValueError: boom")
    assert not wild.run.exchange.working.orders
    assert play_again(Record(wild.kept), how, Kept()).digests.outputs == played.digests.outputs
