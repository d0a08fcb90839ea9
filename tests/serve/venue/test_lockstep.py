"""The venue's clock: what a native runtime makes of its wakes is the run that its strategy makes in process."""

from __future__ import annotations

from typing import Any

import pytest
from tests.replay.fixed_runs import runs
from tests.replay.scene import T0, ground, plan, random_session, rough_bars, rules
from tests.serve.venue.native_pair import Ear, NativePair

from gnomon.errors import Invalid
from gnomon.replay.run import play
from gnomon.trader.pulse.lockstep import Control
from gnomon.trader.trader import Strategy
from gnomon.units import MINUTE_NS


@pytest.mark.parametrize("name", ["prints", "late", "bars", "two"])
def test_a_native_bot_has_the_digests_of_its_strategy_in_process(name: str) -> None:
    how, trader = runs()[name]
    inside = play(how, trader)
    how, trader = runs()[name]
    pair = NativePair(how, trader)
    pair.play()
    played = pair.course.run.played
    assert played is not None
    assert played.digests == inside.digests
    assert played.fills == inside.fills > 0


@pytest.mark.parametrize("seed", range(12))
def test_so_has_one_that_does_whatever_a_desk_can_do(seed: int) -> None:
    how, make = random_session(seed)
    inside = play(how, make())
    pair = NativePair(how, make())
    pair.play()
    played = pair.course.run.played
    assert played is not None
    assert played.digests == inside.digests


class Terse(Strategy):
    """Trades now and then, and reads candles that its runtime must ask for."""

    def on_bar(self, desk: Any, bar: Any) -> None:
        minute = bar.time_ns // MINUTE_NS % 97
        if minute == 40:
            desk.note(str(desk.best(0)))
        elif minute == 60:
            desk.buy(0, lots=len(desk.candles(0, 2)))
        elif minute == 61:
            desk.buy(0, lots=2, limit=desk.price(0) * 0.98)
        elif minute == 90:
            desk.cancel_all()
            desk.after("90s", "out")

    def on_timer(self, desk: Any, _name: str) -> None:
        desk.close(0)


@pytest.mark.parametrize("ahead", [0, 1, 7, 1000])
@pytest.mark.parametrize("books", [1, 2])
def test_how_many_wakes_are_told_at_once_moves_nothing(books: int, ahead: int) -> None:
    how = plan(ground(*(rough_bars(seed, 900) for seed in range(books))), rules(), window=(T0, T0 + 1200 * MINUTE_NS))
    inside = play(how, Terse())
    pair = NativePair(how, Terse(), ahead=ahead)
    pair.play()
    played = pair.course.run.played
    assert played is not None
    assert played.digests == inside.digests
    assert inside.fills > 8
    assert pair.runtime.n > 800
    assert pair.told < (books * 500 if ahead >= 7 else 10**9)


@pytest.mark.parametrize("seed", range(8))
def test_nor_does_it_for_one_that_does_whatever_a_desk_can_do(seed: int) -> None:
    how, make = random_session(seed)
    inside = play(how, make())
    pair = NativePair(how, make(), ahead=50)
    pair.play()
    played = pair.course.run.played
    assert played is not None
    assert played.digests == inside.digests


def test_what_was_told_ahead_is_void_after_a_word_of_the_bot() -> None:
    how = plan(ground(rough_bars(3, 60)), rules(), window=(T0 + 10 * MINUTE_NS, T0 + 50 * MINUTE_NS))
    pair = NativePair(how, Terse(), ahead=100)
    pair.clock.attach(pair.ear, None)
    pair.say(pair.runtime.attach())
    pair.say(pair.runtime.begin())
    (frame,) = pair.ear.frames
    first, told = frame["n"], len(frame["ahead"])
    assert (first, told) == (1, 29)
    clock = pair.clock
    clock.control("ACK", [10])
    assert clock.n == 11, "the run stands at the wake after the one that was answered"
    assert pair.ear.frames == [frame], "and nothing is told twice"
    clock.control("TIMER", ["1", "soon"])
    clock.control("ACK", [20])
    assert [one["n"] for one in pair.ear.frames] == [1, 21]
    with pytest.raises(Invalid, match="the newest is 21"):
        clock.control("ACK", [22])


class Early(Strategy):
    """Reads and orders before its first wake."""

    def on_start(self, desk: Any) -> None:
        desk.note(f"{desk.price_ticks(0)} {len(desk.candles(0, 5))}")
        desk.buy(0, lots=3)
        desk.after("90s", "later")

    def on_bar(self, desk: Any, bar: Any) -> None:
        desk.metric("close", bar.candle.close)

    def on_timer(self, desk: Any, _name: str) -> None:
        desk.close(0)


def test_what_is_read_and_ordered_at_the_start_is_in_the_run() -> None:
    how = plan(ground(rough_bars(3, 60)), rules(), window=(T0 + 10 * MINUTE_NS, T0 + 50 * MINUTE_NS))
    inside = play(how, Early())
    pair = NativePair(how, Early())
    pair.play()
    played = pair.course.run.played
    assert played is not None
    assert inside.fills == 2
    assert played.digests == inside.digests


class Alarmed(Strategy):
    """Does what it does when its timer tells it to."""

    def on_start(self, desk: Any) -> None:
        desk.after("90s", "first")

    def on_timer(self, desk: Any, _name: str) -> None:
        desk.buy(0, lots=1)
        desk.after("60s", "next")


def test_a_timer_that_was_set_into_a_dying_connection_and_once_more_is_one_timer() -> None:
    how = plan(ground(rough_bars(3, 60)), rules(), window=(T0 + 10 * MINUTE_NS, T0 + 50 * MINUTE_NS))
    inside = play(how, Alarmed())
    pair = NativePair(how, Alarmed())
    pair.clock.attach(pair.ear, None)
    pair.say(pair.runtime.attach())
    *said, acknowledged = pair.runtime.begin()
    assert [one.method for one in said if isinstance(one, Control)] == ["TIMER"]
    pair.say(said)
    pair.clock.detach(pair.ear)
    pair.ear = Ear()
    pair.clock.attach(pair.ear, pair.runtime.resume())
    pair.say([*said, acknowledged])
    pair.go_on()
    played = pair.course.run.played
    assert played is not None
    assert inside.fills > 30
    assert played.digests == inside.digests
