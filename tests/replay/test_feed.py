"""A feed whose latency is drawn or recorded: when things arrive, what is knowable meanwhile, what is counted."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import pytest
from tests.replay.scene import (
    RICH,
    SPREAD_OUT,
    UP_AND_DOWN,
    ground,
    plan,
    recorded,
    restless,
    rough_bars,
    rough_prints,
    rules,
    sentences,
)  # fmt: skip

from gnomon.exchange.bars import Bars
from gnomon.exchange.draws import COMPONENTS, LatencyTable
from gnomon.exchange.prints import Prints
from gnomon.exchange.rules import Latency, Leg
from gnomon.replay.record import Kept
from gnomon.replay.run import RunPlan, play, play_again
from gnomon.trader.trader import Strategy

DRAWN, CURVE = Leg(table=SPREAD_OUT), Leg(table=UP_AND_DOWN)
SEED = 7


def naive_draw(entity: int) -> int:
    """engine.md 10 and determinism.md, written down once more."""
    data = entity.to_bytes(8, "little") + bytes(8)
    digest = blake2b(data, digest_size=8, key=SEED.to_bytes(8, "little"), person=b"latency.feed").digest()
    u = int.from_bytes(digest, "little")
    i, f = u >> 54, (u >> 22) & 0xFFFFFFFF
    table = SPREAD_OUT.quantiles_ns
    return table[i] + (((table[i + 1] - table[i]) * f) >> 32)


def naive_arrivals(sent: list[int], delay: Callable[[int], int]) -> list[int]:
    found: list[int] = []
    for row, at in enumerate(sent):
        found.append(max([at + delay(row), *found[-1:]]))
    return found


class Listener(Strategy):
    """Notes what it is told and what it could know then."""

    wake = {"every_nth_print": 3}  # noqa: RUF012 - class data of a strategy is written so

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[int, int]] = []
        self.known: list[tuple[int, int]] = []
        self.quoted = 0

    def on_start(self, desk: Any) -> None:
        desk.every("1s", "look")

    def on_trade(self, desk: Any, trade: Any) -> None:
        self.told.append((desk.now, trade.position))
        seen = desk.trades(0, 1_000)
        self.known.append((desk.now, len(seen.price_ticks)))
        assert desk.price_ticks(0) == seen.price_ticks[-1]
        assert len(seen.price_ticks) > trade.position

    def on_timer(self, desk: Any, _name: str) -> None:
        best = desk.best(0)
        self.quoted += best is not None
        assert best is None or best.time_ns <= desk.now
        self.known.append((desk.now, len(desk.trades(0, 1_000).price_ticks)))


class OnBars(Strategy):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[int, int, int]] = []

    def on_bar(self, desk: Any, bar: Any) -> None:
        newest = desk.candles(0, 1)
        self.told.append((desk.now, bar.candle.close_ns, int(newest.close_ns[-1])))


def over(tape: Prints | Bars, feed: Leg, **more: Any) -> RunPlan:
    return plan(ground(tape), rules(latency=Latency(feed)), SEED, **more)


def test_a_print_arrives_as_its_own_draw_says_and_never_before_an_earlier_one() -> None:
    tape, trader = rough_prints(3, 400), Listener()
    play(over(tape, DRAWN), trader)
    rows = range(2, 400, 3)
    sent = tape.time_ns[2::3].tolist()
    due = naive_arrivals(sent, lambda n: naive_draw(rows[n]))
    _, end = ground(tape).span()
    assert trader.told == [one for one in zip(due, rows, strict=True) if one[0] < end]


def test_recorded_latency_is_that_of_the_instant_of_the_print() -> None:
    tape, trader = rough_prints(4, 400), Listener()
    played = play(over(tape, CURVE), trader)
    sent = tape.time_ns[2::3].tolist()
    due = naive_arrivals(sent, lambda n: UP_AND_DOWN.at(sent[n]))
    assert [at for at, _ in trader.told] == due[: len(trader.told)]
    assert played.digests is not None


def test_what_is_known_is_what_was_delivered_or_is_older_than_the_slowest() -> None:
    tape, trader = rough_prints(5, 400), Listener()
    play(over(tape, DRAWN), trader)
    sent = tape.time_ns.tolist()
    for now, count in trader.known:
        told = max([row + 1 for at, row in trader.told if at <= now], default=0)
        old = sum(at <= now - SPREAD_OUT.quantiles_ns[-1] for at in sent)
        assert count == max(told, old)
    assert trader.quoted > 1
    for now, count in trader.known:
        assert all(at <= now for at in sent[:count])


def test_candles_arrive_late_and_are_there_when_they_have() -> None:
    bars, trader = rough_bars(6, 60), OnBars()
    play(over(bars, DRAWN), trader)
    closes = bars.close_ns.tolist()
    due = naive_arrivals(closes, lambda n: naive_draw(closes[n]))
    _, end = ground(bars).span()
    expected = [(at, close, close) for at, close in zip(due, closes, strict=True) if at < end]
    assert trader.told == expected


def test_a_table_of_one_number_is_that_constant() -> None:
    tape = rough_prints(8, 300)
    flat = Leg(table=LatencyTable((5_000_000,) * 1_025))
    one, other = Listener(), Listener()
    play(over(tape, flat), one)
    play(over(tape, Leg(5_000_000)), other)
    assert one.told == other.told


def test_a_draw_is_counted_when_it_is_delivered() -> None:
    tape, trader = rough_prints(9, 300), Listener()
    _, record = recorded(over(tape, DRAWN), trader)
    (tally,) = [one for one in record.end.tallies if one.component == COMPONENTS.index("latency.feed")]
    assert tally.count == len(trader.told) < 300


@pytest.mark.parametrize("feed", [DRAWN, CURVE], ids=["drawn", "recorded"])
@pytest.mark.parametrize("bars", [False, True], ids=["prints", "bars"])
def test_a_run_from_its_inputs_is_the_same_run(feed: Leg, bars: bool) -> None:
    tapes = [rough_bars(11, 120)] if bars else [rough_prints(11, 300), rough_prints(12, 300)]
    how = plan(ground(*tapes), rules(latency=Latency(feed, CURVE, DRAWN), balances=RICH), SEED)
    first, record = recorded(how, restless(5, bars=bars, instruments=len(tapes), hears=True))
    again = play_again(record, how, Kept())
    assert again.digests == first.digests
    second, _ = recorded(how, restless(5, bars=bars, instruments=len(tapes), hears=True))
    assert sentences(second.told) == sentences(first.told)
    assert first.orders > 5


def test_a_request_takes_what_was_recorded_when_it_was_sent() -> None:
    tape = rough_prints(13, 300)
    how = plan(ground(tape), rules(latency=Latency(entry=CURVE)), SEED)
    _, record = recorded(how, restless(6, every=3))
    sent, newest = 0, 0
    for one in record.entries():
        arrival = getattr(one.body, "arrival", None)
        if arrival is not None:
            newest = max(newest, one.t + (UP_AND_DOWN.at(one.t) or 1))
            assert arrival == newest
            sent += 1
    assert sent > 10
