"""Lock-step without a socket: a strategy woken by frames makes the run that it makes in process, to the byte."""

from __future__ import annotations

from typing import Any

import pytest
from tests.replay import scene
from tests.replay.outlooks import at, event, grounded, said, steady_bars
from tests.replay.scene import (
    ground,
    listing,
    plan,
    random_session,
    restless,
    rough_bars,
    rough_prints,
    rules,
    seeded_bars,
)
from tests.trader.pulse.stand_in import StandIn

from gnomon.exchange.rules import Latency, Leg
from gnomon.replay.run import RunPlan, play
from gnomon.trader.strategies.catalog import strategy
from gnomon.trader.trader import Strategy

QUICK = Latency(Leg(0), Leg(1), Leg(0))
SLOW = Latency(Leg(20_000_000), Leg(10_000_000), Leg(10_000_000))


def both(how: RunPlan, trader: Any, **more: Any) -> tuple[Any, Any, StandIn]:
    """The run in process, the run over the wire, and the venue of the second."""
    here = play(how, trader())
    venue = StandIn(how, trader(), **more)
    return here, venue.play(), venue


def test_the_built_in_strategies_make_the_same_run_on_bars() -> None:
    how = plan(ground(seeded_bars(600)), rules(latency=QUICK))
    for name in ("ema_cross", "sma_cross", "mean_reversion", "buy_and_hold"):
        here, there, venue = both(how, lambda name=name: strategy(name, {}))
        assert here.fills
        assert there.digests == here.digests, name
        assert venue.client.decisions


@pytest.mark.parametrize("outcomes", [False, True], ids=["reports", "outcomes"])
@pytest.mark.parametrize("latency", [QUICK, SLOW], ids=["quick", "slow"])
@pytest.mark.parametrize("seed", range(6))
def test_a_strategy_that_asks_for_everything_makes_the_same_run(
    monkeypatch: pytest.MonkeyPatch, latency: Latency, outcomes: bool, seed: int
) -> None:
    if not outcomes:  # reports know no standing pair
        monkeypatch.setattr(scene, "MOVES", tuple(one for one in scene.MOVES if one is not scene.Restless.quote))
    market = ground(rough_prints(seed, 300), rough_prints(seed + 50, 300))
    how = plan(market, rules(latency=latency), seed)
    here, there, _ = both(how, lambda: restless(seed, every=3, instruments=2, hears=bool(seed % 2)), outcomes=outcomes)
    assert here.orders
    assert there.digests == here.digests


@pytest.mark.parametrize("seed", range(12))
def test_random_sessions_make_the_same_run(seed: int) -> None:
    how, trader = random_session(seed)
    here, there, _ = both(how, trader, outcomes=True)
    assert there.digests == here.digests


class Reads(Strategy):
    """Asks for prices and candles at bars and at timers between them, and trades by what it reads."""

    def on_start(self, desk: Any) -> None:
        desk.candles(listing(1).id, 5)
        desk.every("90s", "look")

    def on_bar(self, desk: Any, bar: Any) -> None:
        for name, candle in bar.candles.items():
            desk.metric(name, candle.close if candle.is_new else -1)
            desk.metric("position", candle.position if candle.is_new else -1)
        self.look(desk)

    def on_timer(self, desk: Any, _name: str) -> None:
        self.look(desk)

    def look(self, desk: Any) -> None:
        desk.price_ticks(0)
        desk.candles(listing(0).id, 7)
        known = desk.candles(listing(1).id, 3).close
        if len(known) and known.sum() % 3 == 0:
            desk.buy(listing(1).id, pct=5)
        elif desk.position_lots(1):
            desk.close(listing(1).id)

    def on_stop(self, desk: Any) -> None:
        desk.note(f"{desk.cash} left")


@pytest.mark.parametrize("seed", range(4))
def test_bars_with_gaps_of_several_instruments_make_the_same_run(seed: int) -> None:
    market = ground(rough_bars(seed, 150), rough_bars(seed + 9, 150))
    here, there, venue = both(plan(market, rules(latency=SLOW), seed), Reads)
    assert here.fills > 5
    assert there.digests == here.digests
    assert venue.asked.count("candles") < 0.5 * venue.n, "most are known without asking"


def test_prints_of_one_instant_are_read_as_in_process() -> None:
    class Looks(Strategy):
        def on_trade(self, desk: Any, trade: Any) -> None:
            desk.metric("seen", trade.price + desk.price(listing().id) + trade.time_ns % 7 + trade.side)
            desk.trades(listing().id, 4)
            desk.best(listing().id)

    here, there, _ = both(plan(ground(rough_prints(3, 120)), rules(latency=SLOW)), Looks)
    assert there.digests == here.digests


class Ends(Strategy):
    """Places two orders; at its tenth bar it finishes, or fails."""

    class Params:
        fails: int = 0

    def on_start(self, _desk: Any) -> None:
        self.bars = 0

    def on_bar(self, desk: Any, bar: Any) -> None:
        self.bars += 1
        if self.bars == 3:
            desk.buy(listing().id, lots=5, limit=bar.candle.low / 2)
        if self.bars == 10:
            desk.buy(listing().id, lots=7)
            desk.note("the tenth")
            if self.params.fails:
                raise ValueError("on purpose")
            desk.finish("enough")

    def on_stop(self, desk: Any) -> None:
        desk.note("bye")


def test_a_trader_that_finishes_makes_the_same_run() -> None:
    here, there, venue = both(plan(ground(seeded_bars(60)), rules(latency=QUICK)), Ends)
    assert (there.digests, there.reason) == (here.digests, here.reason)
    assert venue.client.failure is None


def test_a_callback_that_raises_ends_the_run_with_its_open_orders_cancelled() -> None:
    how = plan(ground(seeded_bars(60)), rules(latency=QUICK))
    here = play(how, Ends(fails=1), raises=False)
    venue = StandIn(how, Ends(fails=1))
    there = venue.play()
    assert there.reason is here.reason
    assert (there.digests.inputs, there.digests.outputs) == (here.digests.inputs, here.digests.outputs)
    assert not venue.stage.exchange.working.orders
    assert isinstance(venue.client.failure, ValueError)


@pytest.mark.parametrize("seed", range(3))
def test_wakes_that_come_again_are_answered_by_the_same_words(seed: int) -> None:
    how = plan(ground(rough_prints(seed, 300)), rules(latency=SLOW), seed)

    def trader() -> Strategy:
        return restless(seed, every=2, hears=True)

    here, there, venue = both(how, trader, outcomes=True, tear=lambda n: n % 5 < 2)
    assert venue.n > 100
    assert there.digests == here.digests


class Hears(Strategy):
    """A rejection, a cancel, a timer and a forecast: what the parity fixture holds."""

    needs = ("oracle",)

    def on_start(self, desk: Any) -> None:
        desk.every("150s", "tick")

    def on_bar(self, desk: Any, bar: Any) -> None:
        issued = desk.forecast("oracle", 0)
        rises = issued is not None and issued.median() > issued.forecast.base_price
        if rises and not desk.position_lots(0):
            desk.buy(0, pct=20)
        elif desk.position_lots(0):
            desk.close(0)
        if bar.candle.close_ticks % 7 == 0:
            desk.buy(0, lots=100_000_000_000)  # too much: refused by the venue

    def on_timer(self, desk: Any, _name: str) -> None:
        for order in desk.orders():
            desk.cancel(order)
        last = desk.price(0)
        if last:
            desk.buy(0, lots=3, limit=last - 5)

    def on_order(self, desk: Any, order: Any) -> None:
        desk.note(f"{order.state}")

    def on_forecast(self, desk: Any, issued: Any) -> None:
        desk.note(f"{issued.id} {issued.p_up()}")

    def on_calendar(self, desk: Any, event: Any) -> None:
        desk.note(f"{event.title} {event.actual} {len(desk.calendar())}")


@pytest.mark.parametrize("outcomes", [False, True], ids=["reports", "outcomes"])
@pytest.mark.parametrize("latency", [QUICK, SLOW], ids=["quick", "slow"])
def test_a_rejection_a_cancel_a_timer_and_a_forecast_make_the_same_decisions(latency: Latency, outcomes: bool) -> None:
    stated = [said(0, at(bar) + 1_000, 1.01 if bar % 3 else 0.99) for bar in range(5, 300, 4)]
    book = [event(1, at(50), at(3)), event(1, at(50), at(50), released_ns=at(50), actual=2.0)]
    how = plan(grounded(steady_bars(4, 400), stated=stated, events=book), rules(latency=latency))
    here, there, venue = both(how, Hears, outcomes=outcomes)
    assert here.rejects > 10
    assert here.fills > 10
    assert there.digests.outputs == here.digests.outputs
    if outcomes:  # else a refusal, which is an answer, may be told before the reports of its instant
        assert there.digests == here.digests
    assert {"forecast", "calendar"} <= {*venue.asked}
