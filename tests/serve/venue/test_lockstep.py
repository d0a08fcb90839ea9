"""The venue's clock: what a native runtime makes of its wakes is the run that its strategy makes in process."""

from __future__ import annotations

from typing import Any

import pytest
from tests.replay.fixed_runs import runs
from tests.replay.scene import T0, ground, plan, random_session, rough_bars, rules
from tests.serve.venue.native_pair import NativePair

from gnomon.replay.run import play
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
