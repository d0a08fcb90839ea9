"""The runtime over real sockets, at the real venue: the run that its strategy makes in process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.trader.pulse.standing import Standing, standing

from gnomon.replay.state import state_at
from gnomon.trader.pulse.runner import Ended, Runner
from gnomon.trader.strategies.catalog import strategy
from gnomon.trader.trader import Strategy
from gnomon.units import INT64_MAX
from gnomon.wallclock import WallClock


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Standing]:
    with standing(tmp_path) as found:
        yield found


def ran(venue: Standing, created: Any, name: str, stop: threading.Event | None = None, **run: Any) -> Ended:
    halt = stop or threading.Event()
    within = patience()
    config = venue.config(created, name, **run)
    return Runner(config, WallClock(), halt.wait, lambda: halt.is_set() or within(), lambda _: None).run()


def patience(seconds: float = 120.0) -> Callable[[], bool]:
    """Asked whether to stop: no. AssertionError where a run takes longer than that: its venue and its bot wait for each
    other."""
    until = time.monotonic() + seconds

    def look() -> bool:
        assert time.monotonic() < until, f"the run has not ended in {seconds:.0f} s"
        return False

    return look


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ema_cross", "mean_reversion"])
def test_the_run_over_a_socket_is_the_run_in_process(venue: Standing, name: str) -> None:
    created = venue.scene.create(tier="native")
    venue.launch(created)
    ended = ran(venue, created, name)
    assert (ended.exit, ended.document["mode"], ended.document["reason"]) == (0, "lockstep", "window")
    stored = venue.stored(created)
    inside = venue.scene.in_process(created, strategy(name))
    assert stored.fingerprint == inside.digests.fingerprint.hex()
    assert ended.document["fills"] == inside.fills > 0


class Fails(Strategy):
    """Raises at its twentieth bar, with an order open."""

    def on_start(self, _desk: Any) -> None:
        self.bars = 0

    def on_bar(self, desk: Any, bar: Any) -> None:
        self.bars += 1
        if self.bars == 3:
            desk.buy(0, qty="0.5", limit=bar.candle.low / 2)
        if self.bars == 20:
            raise ValueError("on purpose")


@pytest.mark.slow
def test_a_strategy_that_fails_ends_with_1_and_its_run_as_failed(venue: Standing) -> None:
    created = venue.scene.create(tier="native")
    venue.launch(created)
    ended = ran(venue, created, f"{__file__}:Fails")
    assert ended.exit == 1
    assert isinstance(ended.error, ValueError)
    stored = venue.stored(created)
    assert stored.status == "failed"


@pytest.mark.slow
def test_a_venue_that_goes_and_comes_back_is_waited_for(venue: Standing) -> None:
    created = venue.scene.create(tier="native")
    venue.launch(created)
    looked: list[int] = []

    def look() -> bool:
        """Asked between frames: the venue goes and comes back here and there."""
        looked.append(1)
        if len(looked) in (30, 90, 91, 200):
            venue.stop()
            venue.start()
        return within()

    within = patience()
    config = venue.config(created, "ema_cross")
    ended = Runner(config, WallClock(), threading.Event().wait, look, lambda _: None).run()
    assert ended.exit == 0, ended.document
    stored = venue.stored(created)
    assert stored.fingerprint == venue.scene.in_process(created, strategy("ema_cross")).digests.fingerprint.hex()
    assert ended.document["reconnects"] >= 3


class Rests(Strategy):
    """One order that nobody meets."""

    def on_start(self, desk: Any) -> None:
        desk.buy(0, qty="0.5", limit=1)

    def on_bar(self, desk: Any, bar: Any) -> None: ...


@pytest.mark.slow
@pytest.mark.parametrize("cancels", [True, False])
def test_whoever_is_told_to_stop_leaves_in_good_order(venue: Standing, cancels: bool) -> None:
    created = venue.scene.create(tier="native")
    venue.launch(created)
    stop = threading.Event()
    asked: list[int] = []

    def is_stopping() -> bool:
        asked.append(1)
        return within() or len(asked) > 40

    within = patience()
    config = venue.config(created, f"{__file__}:Rests", cancel_on_stop=cancels)
    ended = Runner(config, WallClock(), stop.wait, is_stopping, lambda _: None).run()
    assert (ended.exit, ended.document["reason"]) == (0, "stopped")
    stored = venue.stored(created)
    assert stored.status == "stopped"
    record = venue.scene.replays.record_of(stored)
    assert len(state_at(record, INT64_MAX).orders) == (0 if cancels else 1)


def test_a_key_that_is_not_known_ends_with_3(venue: Standing) -> None:
    created = venue.scene.create(tier="native")
    ended = ran(venue, created, "ema_cross", api_key="x" * 64)
    assert ended.exit == 3, ended.document


def test_a_venue_that_is_not_there_ends_with_4(tmp_path: Path) -> None:
    away = Standing(tmp_path)
    away.port = 9
    halt = threading.Event()
    config = away.config(away.scene.create(), "ema_cross")
    ended = Runner(config, WallClock(), lambda _: None, halt.is_set, lambda _: None).run()
    assert ended.exit == 4
