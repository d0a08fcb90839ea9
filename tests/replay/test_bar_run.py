"""Who says nothing but MARKET orders on bars is walked: the very bytes of the engine, whatever is said later."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, note, settings
from hypothesis import strategies as st
from tests.replay.oracle_w1 import crossing
from tests.replay.scene import T0, ground, plan, rough_bars, rules, seeded_bars, sentences
from tests.replay.test_array_run import QUIET

from gnomon.exchange.bars import Bars
from gnomon.exchange.order import OrderType, Side
from gnomon.exchange.outcome import Filled
from gnomon.exchange.rules import SHARE_ONE, WHOLE, FeeAsset, Fees, FillMoment, Fills, Latency, Leg, Taker
from gnomon.replay import bar_run
from gnomon.replay.divergence import first_divergence
from gnomon.replay.record import Kept, Record
from gnomon.replay.run import Played, RunPlan, play, play_again
from gnomon.replay.runners import runner
from gnomon.trader.limits import Limits
from gnomon.trader.orders import OrderRequest
from gnomon.trader.trader import Strategy
from gnomon.units import MINUTE_NS

MOODS = ("limit", "read", "look", "two", "cancel", "raise", "finish", "usd", "at", "note", "bracket", "submit", "huge")


class Moody(Strategy):
    """Buys and sells by MARKET, looks at its account, and after a while does something else."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        chance = random.Random(seed)
        self.chance = random.Random(seed + 1)
        self.often = chance.choice((1, 2, 3, 9))
        self.mood = chance.choice(("", "", "", *MOODS))
        self.after = chance.choice((0, 3, 20, 90))
        self.looks = chance.choice((0, 1, 4))
        self.most = chance.choice((1, 10, 10, 300))
        self.seen: list[Any] = []
        self.calls = 0

    def on_bar(self, desk: Any, bar: Any) -> None:
        self.calls += 1
        chance = self.chance
        if self.looks and self.calls % self.looks == 0:
            orders = [(one.id, one.number, one.state, one.executed_lots) for one in desk.orders(open=False)[-2:]]
            account = desk.position_lots(), desk.cash, desk.free_units
            self.seen.append((desk.now, bar.time_ns, bar.candle.close_ticks, account, orders))
        if self.calls > self.after and self.mood and chance.random() < 0.2:
            self.act(desk)
        elif chance.randrange(self.often) == 0:
            held = desk.position_lots()
            lots = chance.randint(1, self.most)
            if held > 0 and chance.random() < 0.6:
                desk.sell(0, lots=min(lots, held), label="out")
            elif chance.random() < 0.1:
                desk.close(0)
            else:
                desk.buy(lots=lots)

    def act(self, desk: Any) -> None:
        match self.mood:
            case "limit":
                desk.buy(0, lots=1, limit=900)
            case "read":
                self.seen.append(desk.price_ticks())
            case "look":
                self.seen.append(len(desk.candles(0, 5)))
                desk.buy(lots=1)
            case "two":
                desk.buy(lots=1)
                desk.buy(lots=2)
            case "cancel":
                desk.cancel_all()
            case "raise":
                desk.buy(lots=1)
                raise ValueError("enough")
            case "finish":
                desk.buy(lots=1)
                desk.finish("enough")
            case "usd":
                desk.buy(0, usd=50)
            case "at":
                desk.after(1_000_000, "later")
            case "note":
                desk.note("so it is")
                desk.buy(lots=1)
            case "bracket":
                desk.buy(0, lots=2, tp=2_000, sl=500)
            case "submit":
                desk.submit(OrderRequest("t:A0", Side.BUY, OrderType.MARKET, lots=3, client_id=f"mine-{self.calls}"))
            case "huge":
                desk.buy(lots=10**13)

    def on_stop(self, desk: Any) -> None:
        self.seen.append([(one.order.id, one.lots, one.price_ticks) for one in desk.fills()])


def random_run(seed: int) -> RunPlan:
    chance = random.Random(seed)
    count = chance.choice((1, 40, 200, 200, 400))
    bars = chance.choice((seeded_bars, lambda n: rough_bars(seed % 1_000, n), contiguous, contiguous))(count)
    entry_ns = chance.choice((0,) * 8 + (1, 10**6, MINUTE_NS // 4, MINUTE_NS // 4 + 1, MINUTE_NS))
    feed_ns = chance.choice((0,) * 8 + (5, 2 * MINUTE_NS))
    latency = Latency(Leg(feed_ns), Leg(entry_ns), Leg(chance.choice((0, 0, 7, 3 * MINUTE_NS))))
    fills = Fills(
        share=chance.choice((WHOLE, WHOLE, SHARE_ONE, 300_000)),
        slippage_ticks=chance.choice((0, 0, 3)),
        taker=chance.choice((Taker.AUTO,) * 8 + (Taker.QUOTE, Taker.REST)),
        moment=chance.choice((FillMoment.NEXT_OPEN,) * 12 + (FillMoment.NEXT_CLOSE, FillMoment.THIS_CLOSE)),
    )
    rate = chance.choice((0, 50_000, 100_000, -20_000, 1))
    fees = Fees(rate, rate, chance.choice((FeeAsset.QUOTE, FeeAsset.RECEIVED)))
    money = {
        "USDT": Decimal(chance.choice(("10000000",) * 4 + ("10000", "1"))),
        "A0": Decimal(chance.choice((0, 0, 10))),
    }
    first_ns, last_ns = int(bars.open_ns[0]), int(bars.close_ns[-1])
    middle_ns = first_ns + (last_ns - first_ns) // 2
    window = chance.choice(((first_ns - 1, last_ns), (first_ns - 1, last_ns + 10**9), (middle_ns, last_ns + 1)))
    how = plan(ground(bars), rules(fills, fees, latency, balances=money), window=window)
    return replace(how, limits=chance.choice((Limits(0, 0, 0), Limits(), Limits(1, 5, 20))))


def contiguous(count: int) -> Bars:
    """Small bars, one after the other, some of no volume; int32 as a tape may have them."""
    chance = np.random.default_rng(count)
    close = 1_000 + np.cumsum(chance.integers(-3, 4, count))
    first = np.concatenate([close[:1], close[:-1]])
    open_ns = T0 // MINUTE_NS * MINUTE_NS + np.arange(count) * MINUTE_NS
    volume = chance.choice([0, 3, 40, 5_000], count, p=[0.01, 0.01, 0.08, 0.9])
    high, low = np.maximum(first, close) + 1, np.minimum(first, close) - 1
    small = (one.astype(np.int32) for one in (first, high, low, close, volume))
    return Bars(open_ns, open_ns + MINUTE_NS, *small)


def run(how: RunPlan, seed: int, **more: Any) -> tuple[Played, Kept, list[Any]]:
    trader, kept = Moody(seed), Kept()
    return play(how, trader, sink=kept, mode="full", raises=False, **more), kept, trader.seen


@settings(max_examples=300, **QUIET)
@given(st.integers(0, 2**32), st.sampled_from((1, 5, 4_096)))
def test_the_walk_and_the_engine_leave_the_same_bytes(seed: int, held: int) -> None:
    how = random_run(seed)
    note(f"{how.rules}")
    walked: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bar_run, "HELD", held)
        real = bar_run.BarRun._hand_over
        patch.setattr(bar_run.BarRun, "_hand_over", lambda it: (real(it), walked.append(it._written))[0])
        mine, kept, seen = run(how, seed)
    event(f"walked {min(walked[0], 1) if walked else 'not at all'}")
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
        assert kept.prefixes == by_engine.prefixes
    for one in fields(Played):
        if one.name not in ("error", "digests"):
            assert getattr(mine, one.name) == getattr(other, one.name), one.name
    assert repr(mine.error) == repr(other.error)


@settings(max_examples=25, **QUIET)
@given(st.integers(0, 2**32))
def test_a_walked_run_is_that_of_the_naive_runner_and_is_verified_from_its_inputs(seed: int) -> None:
    how = random_run(seed)
    mine, kept, _ = run(how, seed)
    assert Record(kept).check().ok
    naive, _, _ = run(how, seed, search=runner("naive"))
    found = play_again(Record(kept), how, Kept()).digests
    if mine.error is not None:  # what it raised is a note, which nothing is replayed from
        found, naive_digests = (replace(one, notes=mine.digests.notes) for one in (found, naive.digests))
    else:
        naive_digests = naive.digests
    assert found == mine.digests == naive_digests


class Crossing(Strategy):
    def on_start(self, _: Any) -> None:
        self.closes: list[int] = []

    def on_bar(self, desk: Any, bar: Any) -> None:
        closes = self.closes
        closes.append(bar.candle.close_ticks)
        if len(closes) < 30:
            return
        held = desk.position_lots()
        if 3 * sum(closes[-10:]) > sum(closes[-30:]):
            if not held:
                desk.buy(lots=10)
        elif held:
            desk.sell(lots=held)


def test_two_averages_are_walked_to_the_end_and_fill_as_the_plain_reading_has_them() -> None:
    bars = seeded_bars(5_000)
    written: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bar_run, "HELD", 50)
        real = bar_run.BarRun._hand_over
        patch.setattr(bar_run.BarRun, "_hand_over", lambda it: (real(it), written.append(it._written))[0])
        money = {"USDT": Decimal(10_000_000)}
        played = play(plan(ground(bars), rules(Fills(share=WHOLE), balances=money)), Crossing())
    filled = [one for _, one in played.told if type(one) is Filled]
    wanted = crossing(bars.open.tolist(), bars.close.tolist()).fills
    assert [(one.print, "B" if one.side is Side.BUY else "S", one.price, one.lots) for one in filled] == [
        (one.k, one.side, one.price, one.lots) for one in wanted
    ]
    assert written == [len(filled)]
    assert len(filled) > 100
